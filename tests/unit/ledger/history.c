/* What the history tells: walks, names, runs, tags, uses, counters, pins; before the index has heard of
 * it, after, from a program of its own, and from an index made anew. */
#include "tests/unit/ledger/support.h"

#include "broker/ledger/db.h"
#include "broker/ledger/tags.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include "proto/pb.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct store s;

static void setup(void)
{
	store_init(&s);
}

static void teardown(void)
{
	store_fini(&s);
}

TestSuite(ledger_history, .init = setup, .fini = teardown);

/* The states that a store passes through: whatever is asked must be answered alike in each. */
static void in_every_state(void (*check)(struct ledger_reader *r))
{
	struct ledger_reader *r;
	check(s.reader); /* from the gap */
	cr_assert_eq(ledger_reader_open(&r, NULL, s.dir, NULL), 0);
	check(r);
	store_close(&s); /* from the index */
	store_open(&s);
	check(s.reader);
	check(r);
	ledger_reader_close(r);
	store_close(&s);
	cr_assert_eq(unlink(store_path(&s, "index.db")), 0);
	cr_assert_eq(ledger_reader_open(&r, NULL, s.dir, NULL), 0);
	check(r); /* without one */
	ledger_reader_close(r);
	store_open(&s); /* made anew */
	cr_assert(s.info.index_rebuilt);
	check(s.reader);
}

static int keep_seq(void *arg, const struct ledger_commit_row *row)
{
	buf_printf(arg, "%llu ", (unsigned long long)row->seq);
	return 0;
}

static const char *runs(struct ledger_reader *r, uint64_t n)
{
	static struct buf seen;
	struct sample sample;
	sample_commit(&sample, n);
	buf_reset(&seen);
	cr_assert_eq(ledger_each_run(r, sample.commit.func_hash, sample.args_hash,
				     keep_seq, &seen),
		     0);
	return buf_cstr(&seen);
}

static const char *named(struct ledger_reader *r, const char *name)
{
	static struct buf seen;
	buf_reset(&seen);
	cr_assert_eq(ledger_each_named(r, name, 0, keep_seq, &seen), 0);
	return buf_cstr(&seen);
}

static const char *walk(struct ledger_reader *r, unsigned how, uint64_t from)
{
	static struct buf seen;
	buf_reset(&seen);
	cr_assert_eq(ledger_each_commit(r, how, from, keep_seq, &seen), 0);
	return buf_cstr(&seen);
}

/* put() - commit @seq of example @n. */
static void put(struct ledger_turn *t, uint64_t seq, uint64_t n, const char *name,
		bool good)
{
	struct sample sample;
	sample_commit(&sample, n);
	sample.commit.name = name;
	sample.commit.epoch = seq; /* so that no two are alike */
	if (!good) {
		sample.commit.status = COMMIT_FAILED;
		sample.commit.result.type = CONTENT_NONE;
		sample.commit.error = "no";
	}
	ledger_add_commit(t, seq, 0, good, &sample.commit);
}

static void put_now(uint64_t seq, uint64_t n, const char *name, bool good)
{
	struct ledger_turn *t = store_turn(&s);
	put(t, seq, n, name, good);
	store_put(&s, t);
}

static void remove_now(uint64_t seq)
{
	struct ledger_turn *t = store_turn(&s);
	ledger_add_commit_removed(t, seq);
	store_put(&s, t);
}

static uint64_t current(struct ledger_reader *r, uint64_t n)
{
	struct ledger_hit hit;
	return sample_find(r, n, &hit) ? 0 : hit.seq;
}

/* ---- walks ---- */

static void walks_agree(struct ledger_reader *r)
{
	cr_assert_str_eq(walk(r, 0, 0), "7 6 5 4 3 2 1 ");
	cr_assert_str_eq(walk(r, 0, 4), "3 2 1 ");
	cr_assert_str_eq(walk(r, LEDGER_OLDEST_FIRST, 0), "1 2 3 4 5 6 7 ");
	cr_assert_str_eq(walk(r, LEDGER_OLDEST_FIRST, 5), "6 7 ");
	cr_assert_str_eq(named(r, "train"), "6 4 2 ");
	cr_assert_str_eq(named(r, "eval"), "7 5 3 1 ");
	cr_assert_str_eq(named(r, "tra"), "");
	cr_assert_str_eq(runs(r, 1), "4 3 1 ");
	cr_assert_str_eq(runs(r, 2), "7 6 5 2 ");
	cr_assert_str_eq(runs(r, 3), "");
	cr_assert_eq(current(r, 1), 4);
	cr_assert_eq(current(r, 2), 5);
}

Test(ledger_history, by_number_by_name_and_by_fingerprint)
{
	put_now(1, 1, "eval", true);
	put_now(2, 2, "train", true);
	put_now(3, 1, "eval", false);
	put_now(4, 1, "train", true);
	store_wait_index(&s, 4);
	put_now(5, 2, "eval", true);
	put_now(6, 2, "train", false);
	put_now(7, 2, "eval", false);
	in_every_state(walks_agree);
}

Test(ledger_history, many_of_one_name_come_in_pages_and_may_be_stopped)
{
	struct ledger_turn *t = store_turn(&s);
	for (uint64_t seq = 1; seq <= 1000; seq++)
		put(t, seq, seq, seq % 2 ? "odd" : "even", true);
	store_put(&s, t);
	store_wait_index(&s, 1000);
	t = store_turn(&s);
	for (uint64_t seq = 1001; seq <= 1100; seq++)
		put(t, seq, seq, seq % 2 ? "odd" : "even", true);
	store_put(&s, t);
	CLEANUP_BUF struct buf all = {0};
	for (uint64_t seq = 1099; seq >= 1; seq -= 2) {
		buf_printf(&all, "%llu ", (unsigned long long)seq);
		if (seq == 1)
			break;
	}
	cr_assert_str_eq(named(s.reader, "odd"), buf_cstr(&all));
	buf_reset(&all);
	cr_assert_eq(ledger_each_named(s.reader, "odd", 6, keep_seq, &all), 0);
	cr_assert_str_eq(buf_cstr(&all), "5 3 1 ");
	buf_reset(&all);
	cr_assert_eq(ledger_each_named(s.reader, "even", 1051, keep_seq, &all), 0);
	cr_assert(strncmp(buf_cstr(&all), "1050 1048 ", 10) == 0);
}

Test(ledger_history, a_function_is_found_without_its_file_beside_tasks_of_its_name)
{
	static const char *const names[] = {"f",   "a.py:f", "b.py:f",
					    "f:g", "ff",     "a.py:ff"};
	CLEANUP_BUF struct buf seen = {0};
	for (int round = 0; round < 3; round++) {
		struct ledger_reader *r = s.reader;
		if (round == 0)
			for (uint64_t seq = 1; seq <= 12; seq++)
				put_now(seq, seq, names[seq % 6], true);
		if (round == 1) { /* from the index alone, a program of its own */
			store_wait_index(&s, 12);
			cr_assert_eq(ledger_reader_open(&r, NULL, s.dir, NULL), 0);
		}
		if (round == 2)
			remove_now(8);
		buf_reset(&seen);
		cr_assert_eq(ledger_each_called(r, "f", 0, keep_seq, &seen), 0);
		cr_expect_str_eq(buf_cstr(&seen),
				 round == 2 ? "12 7 6 2 1 " : "12 8 7 6 2 1 ");
		buf_reset(&seen);
		cr_assert_eq(ledger_each_called(r, "f", 7, keep_seq, &seen), 0);
		cr_expect_str_eq(buf_cstr(&seen), "6 2 1 ");
		buf_reset(&seen);
		cr_assert_eq(ledger_each_called(r, "a.py:f", 0, keep_seq, &seen), 0);
		cr_expect_str_eq(buf_cstr(&seen), "7 1 ");
		cr_expect_str_eq(named(r, "f"), "12 6 ");
		if (r != s.reader)
			ledger_reader_close(r);
	}
}

static int stop_at(void *arg, const struct ledger_commit_row *row)
{
	return row->seq == *(uint64_t *)arg ? 1 : 0;
}

Test(ledger_history, what_a_callback_returns_is_returned)
{
	uint64_t at = 2;
	struct sample sample;
	sample_commit(&sample, 5);
	for (uint64_t seq = 1; seq <= 3; seq++)
		put_now(seq, 5, "x", true);
	cr_assert_eq(ledger_each_commit(s.reader, 0, 0, stop_at, &at), 1);
	cr_assert_eq(ledger_each_named(s.reader, "x", 0, stop_at, &at), 1);
	cr_assert_eq(ledger_each_run(s.reader, sample.commit.func_hash, sample.args_hash,
				     stop_at, &at),
		     1);
	at = 9;
	cr_assert_eq(ledger_each_named(s.reader, "x", 0, stop_at, &at), 0);
}

static int count_damaged(void *arg, const struct ledger_commit_row *row)
{
	*(int *)arg += row->body == NULL;
	return 0;
}

Test(ledger_history, damaged_rows_are_passed_over_or_shown)
{
	sqlite3 *db;
	int damaged = 0;
	for (uint64_t seq = 1; seq <= 12; seq++)
		put_now(seq, seq, "x", true);
	store_close(&s);
	cr_assert_eq(db_open(&db, store_path(&s, "meta.db"), DB_JOURNAL, NULL),
		     SQLITE_OK);
	cr_assert_eq(db_exec(db, "UPDATE commits SET body=X'00' WHERE seq=2"), SQLITE_OK);
	db_close(db);
	store_open(&s);
	cr_assert_str_eq(walk(s.reader, LEDGER_OLDEST_FIRST, 9), "10 11 12 ");
	cr_assert_str_eq(walk(s.reader, 0, 5), "4 3 1 ");
	cr_assert_eq(ledger_each_commit(s.reader, LEDGER_DAMAGED_TOO, 0, count_damaged,
					&damaged),
		     0);
	cr_assert_eq(damaged, 1);
	/* It can be removed all the same, and is found by nothing then. */
	cr_assert_eq(current(s.reader, 2), 2);
	remove_now(2);
	store_close(&s);
	store_open(&s);
	cr_assert_eq(current(s.reader, 2), 0);
	cr_assert_str_eq(walk(s.reader, LEDGER_DAMAGED_TOO, 4), "3 1 ");
	cr_assert_eq(current(s.reader, 3), 3);
}

/* ---- removal ---- */

static int find_hash(struct ledger_reader *r, const uint8_t hash[DIGEST_SIZE])
{
	uint64_t seq;
	size_t count;
	return ledger_find_commit(r, hash, 2 * DIGEST_SIZE, &seq, 1, &count);
}

static uint8_t hashes[20][DIGEST_SIZE];

static int keep_hash(void *arg, const struct ledger_commit_row *row)
{
	(void)arg;
	memcpy(hashes[row->seq], row->hash, DIGEST_SIZE);
	return 0;
}

static void only_4_is_left(struct ledger_reader *r)
{
	CLEANUP_BUF struct buf body = {0};
	cr_assert_eq(current(r, 1), 0, "%llu", (unsigned long long)current(r, 1));
	cr_assert_str_eq(runs(r, 1), "1 ");
	cr_assert_eq(current(r, 2), 4);
	cr_assert_str_eq(runs(r, 2), "4 ");
	cr_assert_str_eq(walk(r, 0, 0), "4 1 ");
	cr_assert_str_eq(named(r, "a"), "4 1 ");
	cr_assert_eq(find_hash(r, hashes[4]), 0);
	for (uint64_t seq = 2; seq <= 5; seq++) {
		if (seq == 4)
			continue;
		cr_assert_eq(find_hash(r, hashes[seq]), 1);
		cr_assert_eq(ledger_read_commit(r, seq, &body, NULL), 1);
	}
}

/* remove_all_kinds() - a superseded one (2), a failed one (3), a current one (5). */
static void put_for_removal(void)
{
	put_now(1, 1, "a", true);
	put_now(2, 2, "a", true);
	put_now(3, 2, "a", false);
	put_now(4, 2, "a", true);
	put_now(5, 1, "a", true);
	cr_assert_eq(ledger_each_commit(s.reader, 0, 0, keep_hash, NULL), 0);
}

Test(ledger_history, what_is_removed_is_found_by_nothing_and_what_it_superseded_stays_so)
{
	put_for_removal();
	remove_now(2);
	remove_now(3);
	remove_now(5);
	in_every_state(only_4_is_left);
}

Test(ledger_history, the_same_when_the_index_had_it)
{
	put_for_removal();
	store_close(&s);
	store_open(&s);
	remove_now(2);
	remove_now(3);
	remove_now(5);
	in_every_state(only_4_is_left);
}

Test(ledger_history, removing_the_superseded_leaves_the_current)
{
	put_now(1, 1, "a", true);
	store_wait_index(&s, 1);
	put_now(2, 1, "a", true);
	remove_now(1);
	cr_assert_eq(current(s.reader, 1), 2);
	store_wait_index(&s, 2);
	cr_assert_eq(current(s.reader, 1), 2);
	store_close(&s);
	store_open(&s);
	cr_assert_eq(current(s.reader, 1), 2);
	cr_assert_str_eq(runs(s.reader, 1), "2 ");
}

Test(ledger_history, removing_a_failure_does_not_hide_the_older_result)
{
	put_now(1, 1, "a", true);
	put_now(2, 1, "a", false);
	remove_now(2);
	cr_assert_eq(current(s.reader, 1), 1);
	store_close(&s);
	store_open(&s);
	cr_assert_eq(current(s.reader, 1), 1);
}

static void made_again(struct ledger_reader *r)
{
	cr_assert_eq(current(r, 1), 2);
	cr_assert_str_eq(runs(r, 1), "2 ");
}

Test(ledger_history, what_comes_after_a_removal_is_found)
{
	put_now(1, 1, "a", true);
	store_wait_index(&s, 1);
	remove_now(1);
	put_now(2, 1, "a", true);
	in_every_state(made_again);
	remove_now(2);
	remove_now(2); /* is not there: nothing happens */
	remove_now(77);
	put_now(3, 1, "a", true);
	cr_assert_eq(current(s.reader, 1), 3);
	struct ledger_counters c;
	cr_assert_eq(ledger_read_counters(s.reader, &c), 0);
	cr_assert_eq(c.completed, 1);
}

static void demoted(struct ledger_reader *r)
{
	cr_assert_eq(current(r, 1), 0);
	cr_assert_str_eq(runs(r, 1), "3 2 1 ");
	cr_assert_eq(current(r, 2), 4);
}

Test(ledger_history, what_is_demoted_stays_in_the_history)
{
	put_now(1, 1, "a", true);
	put_now(2, 1, "a", true);
	store_wait_index(&s, 2);
	put_now(3, 1, "a", true);
	put_now(4, 2, "a", true);
	struct ledger_turn *t = store_turn(&s);
	ledger_add_demoted(t, 3);
	ledger_add_demoted(t, 77);
	store_put(&s, t);
	in_every_state(demoted);
	put_now(5, 1, "a", true);
	cr_assert_eq(current(s.reader, 1), 5);
}

Test(ledger_history, numbers_of_removed_commits_are_not_given_again)
{
	put_now(1, 1, "a", true);
	put_now(2, 2, "a", true);
	remove_now(2);
	store_close(&s);
	store_open(&s);
	cr_assert_eq(s.info.next_commit, 3);
	cr_assert_not(s.info.index_rebuilt);
	struct ledger_tops tops;
	cr_assert_eq(ledger_read_tops(s.reader, &tops), 0);
	cr_assert_eq(tops.commit, 2);
}

/* ---- small blobs ---- */

struct inline_seen {
	uint64_t seqs[8];
	size_t count;
	uint64_t bytes;
};

static int keep_inline(void *arg, uint64_t seq, const uint8_t digest[DIGEST_SIZE],
		       uint64_t size)
{
	struct inline_seen *seen = arg;
	(void)digest;
	seen->seqs[seen->count++] = seq;
	seen->bytes += size;
	return 0;
}

static void put_blob(const char *text)
{
	struct ledger_turn *t = store_turn(&s);
	uint8_t digest[DIGEST_SIZE];
	sha256_digest(text, strlen(text), digest);
	ledger_add_blob(t, digest, text, strlen(text));
	store_put(&s, t);
}

static void remove_blob(uint64_t seq, const char *text)
{
	struct ledger_turn *t = store_turn(&s);
	uint8_t digest[DIGEST_SIZE];
	sha256_digest(text, strlen(text), digest);
	ledger_add_blob_removed(t, digest, seq);
	store_put(&s, t);
}

static int has_blob(struct ledger_reader *r, const char *text)
{
	uint8_t digest[DIGEST_SIZE];
	sha256_digest(text, strlen(text), digest);
	return ledger_has_blob(r, digest) == 0;
}

static void one_blob(struct ledger_reader *r)
{
	struct inline_seen seen = {0};
	struct ledger_counters c;
	cr_assert_eq(has_blob(r, "hello"), 0);
	cr_assert_eq(has_blob(r, "world!"), 1);
	cr_assert_eq(ledger_each_inline(r, 0, keep_inline, &seen), 0);
	cr_assert_eq(seen.count, 1);
	cr_assert_eq(seen.bytes, 6);
	cr_assert_eq(ledger_read_counters(r, &c), 0);
	cr_assert_eq(c.inline_blobs, 1);
	cr_assert_eq(c.inline_bytes, 6);
}

Test(ledger_history, small_blobs_are_removed_and_may_come_again_at_once)
{
	put_blob("hello");
	put_blob("world!");
	remove_blob(1, "hello");
	in_every_state(one_blob);
	put_blob(
		"hello"); /* the writer remembers what it wrote lately, and must not here */
	remove_blob(3, "hello");
	put_blob("hello");
	cr_assert_eq(has_blob(s.reader, "hello"), 1);
	store_close(&s);
	store_open(&s);
	cr_assert_eq(has_blob(s.reader, "hello"), 1);
	CLEANUP_BUF struct buf out = {0};
	cr_assert_eq(ledger_read_inline(s.reader, 4, &out), 0);
	cr_assert_str_eq(buf_cstr(&out), "hello");
	cr_assert_eq(ledger_read_inline(s.reader, 3, &out), 1);
}

Test(ledger_history, of_a_blob_that_is_there_twice_the_older_row_can_go)
{
	put_blob("hello");
	store_close(&s);
	store_open(&s);
	put_blob("hello");
	struct inline_seen seen = {0};
	cr_assert_eq(ledger_each_inline(s.reader, 0, keep_inline, &seen), 0);
	cr_assert_eq(seen.count, 2);
	remove_blob(1, "hello");
	cr_assert_eq(has_blob(s.reader, "hello"), 1);
	store_close(&s);
	store_open(&s);
	cr_assert_eq(has_blob(s.reader, "hello"), 1);
	remove_blob(2, "hello");
	cr_assert_eq(has_blob(s.reader, "hello"), 0);
}

/* ---- batches, tags ---- */

static void add_tags(struct buf *chunk, unsigned field, unsigned tags_field,
		     const struct ledger_tag *tags, size_t count)
{
	size_t mark = pb_open(chunk, field);
	for (size_t i = 0; i < count; i++) {
		size_t pair = pb_open(chunk, tags_field);
		pb_text(chunk, 1, tags[i].key);
		pb_text(chunk, 2, tags[i].value);
		pb_close(chunk, pair);
	}
	pb_close(chunk, mark);
}

/* put_batch() - of @chunks chunks, the first with tags of the batch, the last with a task's. */
static void put_batch(uint64_t batch, const struct ledger_tag *of_batch,
		      const struct ledger_tag *of_task)
{
	struct ledger_turn *t = store_turn(&s);
	struct ledger_batch b = sample_batch(batch);
	CLEANUP_BUF struct buf chunk = {0};
	ledger_add_batch(t, &b);
	add_tags(&chunk, 3, 4, of_batch, of_batch != NULL);
	ledger_add_chunk(t, batch, 0, chunk.data, chunk.size);
	buf_reset(&chunk);
	add_tags(&chunk, 5, 4, of_task, of_task != NULL);
	CLEANUP_FREE char *filler = mem_alloc(8000); /* large enough to be packed */
	pb_bytes(&chunk, 7, filler, 8000);
	ledger_add_chunk(t, batch, 1, chunk.data, chunk.size);
	ledger_add_sealed(t, batch, 1);
	store_put(&s, t);
}

static int keep_batch(void *arg, const struct ledger_batch_row *row)
{
	buf_printf(arg, "%llu ", (unsigned long long)row->batch.batch);
	return 0;
}

static const char *tagged(struct ledger_reader *r, const char *key, const char *value)
{
	static struct buf seen;
	buf_reset(&seen);
	cr_assert_eq(ledger_each_tagged_batch(r, key, value, 0, keep_batch, &seen), 0);
	return buf_cstr(&seen);
}

static const char odd[] = "a'b\"[x].*%_;--=\n\xc3\xa9";

static void tags_agree(struct ledger_reader *r)
{
	cr_assert_str_eq(tagged(r, "run", NULL), "4 3 1 ");
	cr_assert_str_eq(tagged(r, "run", "7"), "4 1 ");
	cr_assert_str_eq(tagged(r, "run", "8"), "3 ");
	cr_assert_str_eq(tagged(r, "run", ""), "");
	cr_assert_str_eq(tagged(r, odd, NULL), "2 1 ");
	cr_assert_str_eq(tagged(r, odd, odd), "2 ");
	cr_assert_str_eq(tagged(r, odd, ""), "1 ");
	cr_assert_str_eq(tagged(r, "run=7", NULL), "");
	cr_assert_str_eq(tagged(r, "", NULL), "");
}

Test(ledger_history, batches_by_tag_whatever_its_characters)
{
	put_batch(1, &(struct ledger_tag){"run", "7"}, &(struct ledger_tag){odd, ""});
	put_batch(2, NULL, &(struct ledger_tag){odd, odd});
	store_wait_index_batch(&s, 2);
	put_batch(3, NULL, &(struct ledger_tag){"run", "8"});
	put_batch(4, &(struct ledger_tag){"run", "7"}, NULL);
	in_every_state(tags_agree);
}

static void batch_2_is_gone(struct ledger_reader *r)
{
	struct ledger_batch b = sample_batch(2);
	struct ledger_batch_row row;
	CLEANUP_BUF struct buf out = {0};
	size_t count;
	cr_assert_eq(ledger_find_batch(r, b.id, 2 * DIGEST_SIZE, &row, 1, &count), 1);
	cr_assert_eq(ledger_read_batch(r, 2, &row), 1);
	cr_assert_eq(ledger_read_chunk(r, 2, 0, &out), 1);
	cr_assert_eq(ledger_each_end(r, 2, NULL, NULL), 0); /* calls nothing */
	cr_assert_str_eq(tagged(r, "k", NULL), "3 1 ");
	cr_assert_eq(ledger_list_batches_before(r, 3, keep_batch, &out), 0);
	cr_assert_str_eq(buf_cstr(&out), "1 ");
	struct ledger_counters c;
	cr_assert_eq(ledger_read_counters(r, &c), 0);
	cr_assert_eq(c.batches, 2);
	cr_assert_eq(c.hits, 3);
	cr_assert_eq(c.executed, 1);
}

static void end_batch(uint64_t batch, uint64_t commit, uint8_t flags)
{
	struct ledger_turn *t = store_turn(&s);
	struct core_counts counts = {.total = 1, .cached = 1};
	struct ledger_end end = {
		.status = CORE_COMPLETED, .flags = flags, .commit = commit};
	ledger_add_end(t, batch, &end);
	ledger_add_batch_ended(t, batch, &counts, 1234567);
	store_put(&s, t);
}

static int used(void *arg, const struct ledger_commit_row *row)
{
	if (row->seq == 1) {
		struct ledger_commit_row *to = arg;
		*to = *row;
	}
	return 0;
}

static uint64_t hits_of_1(struct ledger_reader *r)
{
	struct ledger_commit_row row = {0};
	cr_assert_eq(ledger_each_commit(r, LEDGER_WITH_USE, 0, used, &row), 0);
	cr_assert(!row.hits || row.last_used_ms > 1000000);
	return row.hits;
}

Test(ledger_history, a_removed_batch_is_gone_and_what_it_used_is_remembered)
{
	const struct ledger_tag tag = {"k", "v"};
	put_now(1, 1, "a", true);
	put_batch(1, &tag, NULL);
	end_batch(1, 1, 0);
	for (uint64_t n = 2; n <= 3; n++) {
		put_batch(n, &tag, &tag);
		end_batch(n, 1, LEDGER_END_CACHED);
	}
	end_batch(3, 1, LEDGER_END_CACHED);
	cr_assert_eq(hits_of_1(s.reader), 3);
	struct ledger_turn *t = store_turn(&s);
	ledger_add_batch_removed(t, 2);
	store_put(&s, t);
	in_every_state(batch_2_is_gone);
	cr_assert_eq(hits_of_1(s.reader), 3);
	struct ledger_counters c;
	cr_assert_eq(ledger_read_counters(s.reader, &c), 0);
	cr_assert_eq(c.saved_ns, 3 * 1000); /* all summed up when it was closed */
}

/* ---- pins, counters, import ---- */

static int keep_pin(void *arg, const struct ledger_pin *pin)
{
	buf_printf(arg, "%s:%02x:%llu ", pin->name, pin->hash[0],
		   (unsigned long long)pin->wall_ms);
	return 0;
}

static void pins_agree(struct ledger_reader *r)
{
	CLEANUP_BUF struct buf seen = {0};
	uint8_t hash[DIGEST_SIZE];
	cr_assert_eq(ledger_each_pin(r, keep_pin, &seen), 0);
	cr_assert_str_eq(buf_cstr(&seen), "a:03:30 it's \"b\":02:20 ");
	cr_assert_eq(ledger_find_pin(r, "it's \"b\"", hash), 0);
	cr_assert_eq(hash[0], 2);
	cr_assert_eq(ledger_find_pin(r, "c", hash), 1);
}

Test(ledger_history, pins_are_set_moved_and_taken_away)
{
	uint8_t hash[DIGEST_SIZE] = {1};
	put_now(1, 1, "a", true);
	struct ledger_turn *t = store_turn(&s);
	ledger_add_pin(t, "a", hash, 10);
	ledger_add_pin(t, "c", hash, 10);
	hash[0] = 2;
	ledger_add_pin(t, "it's \"b\"", hash, 20);
	store_put(&s, t);
	t = store_turn(&s);
	hash[0] = 3;
	ledger_add_pin(t, "a", hash, 30);
	ledger_add_unpin(t, "c");
	ledger_add_unpin(t, "never");
	store_put(&s, t);
	in_every_state(pins_agree);
}

static void counters_agree(struct ledger_reader *r)
{
	struct ledger_counters kept, counted;
	cr_assert_eq(ledger_read_counters(r, &kept), 0);
	cr_assert_eq(ledger_count(r, &counted), 0);
	cr_assert_eq(kept.objects, 3);
	cr_assert_eq(kept.stored_bytes, 100);
	kept.objects = kept.stored_bytes = 0;
	cr_assert_eq(memcmp(&kept, &counted, sizeof kept), 0);
	cr_assert_eq(kept.completed, 2);
	cr_assert_eq(kept.failed, 1);
	cr_assert_eq(kept.compute_ns, 1000 * (1 + 3 + 5));
}

Test(ledger_history, counters_are_what_a_count_finds)
{
	for (uint64_t n = 1; n <= 5; n++)
		put_now(n, n, "a", n != 3);
	put_blob("hello");
	put_blob("world!");
	remove_blob(2, "world!");
	remove_now(2);
	remove_now(4);
	struct ledger_turn *t = store_turn(&s);
	ledger_add_counters(t,
			    &(struct ledger_counters){.objects = 5, .stored_bytes = 70});
	ledger_add_counters(t, &(struct ledger_counters){.objects = (uint64_t)0 - 2,
							 .stored_bytes = 30});
	store_put(&s, t);
	in_every_state(counters_agree);
}

static void stage(struct ledger_turn *t, uint64_t import, uint64_t n, bool current,
		  const struct ledger_tag *tag)
{
	struct sample sample;
	CLEANUP_BUF struct buf body = {0};
	sample_commit(&sample, n);
	sample.commit.name = "from elsewhere";
	commit_encode(&body, &sample.commit);
	cr_assert_eq(ledger_add_staged(t, import, current, body.data, body.size, tag,
				       tag != NULL),
		     0);
}

static const char *imports_tagged(struct ledger_reader *r, const char *key,
				  const char *value)
{
	static struct buf seen;
	buf_reset(&seen);
	cr_assert_eq(ledger_each_tagged_import(r, key, value, 0, keep_seq, &seen), 0);
	return buf_cstr(&seen);
}

static void import_agrees(struct ledger_reader *r)
{
	CLEANUP_BUF struct buf arena = {0};
	struct ledger_tag *tags;
	size_t count;
	cr_assert_eq(current(r, 1), 2);
	cr_assert_eq(current(r, 2), 0);
	cr_assert_str_eq(runs(r, 2), "3 ");
	cr_assert_eq(current(r, 3), 4);
	cr_assert_eq(current(r, 4), 0);
	cr_assert_str_eq(named(r, "from elsewhere"), "4 3 2 ");
	cr_assert_str_eq(imports_tagged(r, odd, NULL), "4 2 ");
	cr_assert_str_eq(imports_tagged(r, odd, "v"), "2 ");
	cr_assert_str_eq(imports_tagged(r, odd, odd), "4 ");
	cr_assert_str_eq(tagged(r, odd, NULL), "");
	cr_assert_eq(ledger_read_tags(r, 4, &arena, &tags, &count), 0);
	cr_assert_eq(count, 1);
	cr_assert_str_eq(tags[0].key, odd);
	cr_assert_str_eq(tags[0].value, odd);
	buf_reset(&arena);
	cr_assert_eq(ledger_read_tags(r, 3, &arena, &tags, &count), 0);
	cr_assert_eq(count, 0);
}

Test(ledger_history, an_import_is_seen_when_all_of_it_is_taken)
{
	put_now(1, 77, "here", true);
	struct ledger_turn *t = store_turn(&s);
	cr_assert_eq(ledger_add_staged(t, 9, true, "nonsense", 8, NULL, 0), 1);
	stage(t, 9, 1, true, &(struct ledger_tag){odd, "v"});
	stage(t, 9, 2, false, NULL);
	stage(t, 8, 4, true, NULL);
	store_put(&s, t);
	t = store_turn(&s);
	stage(t, 9, 3, true, &(struct ledger_tag){odd, odd});
	store_put(&s, t);
	cr_assert_str_eq(walk(s.reader, 0, 0), "1 ");
	cr_assert_eq(current(s.reader, 1), 0);
	t = store_turn(&s);
	ledger_add_staged_dropped(t, 8);
	ledger_add_staged_taken(t, 9, 2);
	ledger_add_staged_taken(t, 8, 5); /* nothing is there */
	store_put(&s, t);
	in_every_state(import_agrees);
	remove_now(4);
	cr_assert_str_eq(imports_tagged(s.reader, odd, NULL), "2 ");
	cr_assert_eq(s.info.next_commit, 5);
}

Test(ledger_history, an_import_that_did_not_end_leaves_nothing)
{
	struct ledger_turn *t = store_turn(&s);
	stage(t, 9, 1, true, NULL);
	store_put(&s, t);
	store_close(&s);
	store_open(&s);
	t = store_turn(&s);
	ledger_add_staged_taken(t, 9, 1);
	store_put(&s, t);
	cr_assert_str_eq(walk(s.reader, 0, 0), "");
}

Test(ledger_history, a_staged_commit_whose_work_was_done_meanwhile_is_not_current)
{
	struct ledger_turn *t = store_turn(&s);
	stage(t, 9, 1, true, NULL);
	stage(t, 9, 2, true, NULL);
	stage(t, 9, 3, true, NULL);
	store_put(&s, t);
	put_now(1, 2, "here", true);
	t = store_turn(&s);
	ledger_add_staged_demoted(t, 9, 1);
	ledger_add_staged_demoted(t, 9, 77); /* there is none */
	ledger_add_staged_taken(t, 9, 2);
	store_put(&s, t);
	cr_assert_eq(current(s.reader, 1), 2);
	cr_assert_eq(current(s.reader, 2), 1);
	cr_assert_eq(current(s.reader, 3), 4);
	cr_assert_str_eq(runs(s.reader, 2), "3 1 ");
}

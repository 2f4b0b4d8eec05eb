/* Look-ups by key and prefix: in the gap, in the index, in both, by readers of all kinds. */
#include "tests/unit/ledger/support.h"

#include "broker/ledger/db.h"
#include "common/pure/sha256.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
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

TestSuite(ledger_find, .init = setup, .fini = teardown);

static void put_commits(uint64_t first, uint64_t count)
{
	struct sample sample;
	struct ledger_turn *t = store_turn(&s);
	for (uint64_t seq = first; seq < first + count; seq++) {
		sample_commit(&sample, seq);
		ledger_add_commit(t, seq, 0, true, &sample.commit);
	}
	store_put(&s, t);
}

static void all_found(struct ledger_reader *r, uint64_t last)
{
	struct ledger_hit hit;
	for (uint64_t n = 1; n <= last; n++) {
		cr_assert_eq(sample_find(r, n, &hit), 0, "%llu", (unsigned long long)n);
		cr_assert_eq(hit.seq, n);
	}
	cr_assert_eq(sample_find(r, last + 1, &hit), 1);
}

Test(ledger_find, the_same_is_found_before_and_after_the_index_has_it)
{
	put_commits(1, 3000);
	all_found(s.reader, 3000);
	store_wait_index(&s, 3000);
	all_found(s.reader, 3000);
	put_commits(3001, 100); /* some here, some there */
	all_found(s.reader, 3100);
	store_close(&s);
	store_open(&s);
	all_found(s.reader, 3100);
}

Test(ledger_find, a_newer_commit_hides_an_indexed_one)
{
	struct sample sample;
	struct ledger_hit hit;
	put_commits(1, 10);
	store_wait_index(&s, 10);
	struct ledger_turn *t = store_turn(&s);
	sample_commit(&sample, 5);
	ledger_add_commit(t, 11, 5, true, &sample.commit);
	store_put(&s, t);
	cr_assert_eq(sample_find(s.reader, 5, &hit), 0);
	cr_assert_eq(hit.seq, 11);
	store_wait_index(&s, 11);
	cr_assert_eq(sample_find(s.reader, 5, &hit), 0);
	cr_assert_eq(hit.seq, 11);
}

/* As after a gc and the import of an archive: the index still has the one that was removed. */
Test(ledger_find, what_was_removed_and_comes_back_is_found_once)
{
	CLEANUP_BUF struct buf body = {0};
	struct ledger_reader *other;
	struct sample sample;
	struct err e = {0};
	uint8_t hash[DIGEST_SIZE];
	uint64_t seqs[2];
	size_t count;
	sample_commit(&sample, 5);
	cr_assert_eq(ledger_reader_open(&other, NULL, s.dir, &e), 0, "%s", e.what);
	struct ledger_turn *t = store_turn(&s);
	ledger_add_commit(t, 1, 0, true, &sample.commit);
	store_put(&s, t);
	for (uint64_t seq = 2; seq <= 8; seq++) {
		store_wait_index(&s, seq - 1);
		t = store_turn(&s);
		ledger_add_commit_removed(t, seq - 1);
		ledger_add_commit(t, seq, 0, true, &sample.commit);
		store_put(&s, t);
		cr_assert_eq(ledger_read_commit(s.reader, seq, &body, hash), 0);
		struct ledger_reader *readers[] = {s.reader, other};
		for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
			for (unsigned nibbles = 4; nibbles <= 64; nibbles += 60) {
				cr_assert_eq(ledger_find_commit(readers[i], hash, nibbles,
								seqs, 2, &count),
					     0);
				cr_assert_eq(seqs[0], seq);
			}
		}
	}
	ledger_reader_close(other);
}

/* Prefixes of every length of every commit: 0 exactly when it is the only one, by a plain count. */
static void prefixes_agree(struct ledger_reader *r, uint64_t last)
{
	static uint8_t hash[401][DIGEST_SIZE];
	CLEANUP_BUF struct buf body = {0};
	for (uint64_t seq = 1; seq <= last; seq++)
		cr_assert_eq(ledger_read_commit(r, seq, &body, hash[seq]), 0);
	for (uint64_t seq = 1; seq <= last; seq++) {
		for (unsigned nibbles = 1; nibbles <= 64;
		     nibbles += nibbles < 5 ? 1 : 59) {
			size_t same = 0, count;
			for (uint64_t i = 1; i <= last; i++) {
				bool eq = memcmp(hash[i], hash[seq], nibbles / 2) == 0;
				if (nibbles % 2)
					eq &= hash[i][nibbles / 2] >> 4 ==
					      hash[seq][nibbles / 2] >> 4;
				same += eq;
			}
			uint64_t seqs[8];
			uint8_t prefix[DIGEST_SIZE];
			memcpy(prefix, hash[seq], DIGEST_SIZE);
			if (nibbles % 2)
				prefix[nibbles / 2] |= 0x0f; /* says nothing */
			int rc = ledger_find_commit(r, prefix, nibbles, seqs, 8, &count);
			cr_assert_eq(rc, same == 1 ? 0 : 2);
			cr_assert_eq(count, same < 8 ? same : 8);
			if (same == 1)
				cr_assert_eq(seqs[0], seq);
		}
	}
	uint8_t none[DIGEST_SIZE];
	uint64_t seqs[1];
	size_t count;
	sample_digest(none, "nothing", 1);
	cr_assert_eq(ledger_find_commit(r, none, 64, seqs, 1, &count), 1);
	cr_assert_eq(ledger_find_commit(r, none, 65, seqs, 1, &count), 1);
	/* One place only: still told that there are several. */
	cr_assert_eq(ledger_find_commit(r, none, 0, seqs, 1, &count), 2);
	cr_assert_eq(count, 1);
}

Test(ledger_find, commits_by_prefix_with_even_and_odd_digits)
{
	put_commits(1, 300);
	prefixes_agree(s.reader, 300);
	store_wait_index(&s, 300);
	prefixes_agree(s.reader, 300);
	put_commits(301, 100);
	prefixes_agree(s.reader, 400);
}

static int keep_batch(void *arg, const struct ledger_batch_row *row)
{
	struct buf *b = arg;
	buf_add(b, &row->batch.batch, sizeof row->batch.batch);
	return 0;
}

static int second_stops(void *arg, const struct ledger_batch_row *row)
{
	(void)row;
	return ++*(int *)arg == 2 ? 7 : 0;
}

Test(ledger_find, batches_by_prefix_and_in_order)
{
	struct ledger_turn *t = store_turn(&s);
	struct core_counts counts = {.total = 1, .executed = 1};
	for (uint64_t n = 1; n <= 500; n++) {
		struct ledger_batch b = sample_batch(n);
		ledger_add_batch(t, &b);
		if (n <= 490)
			ledger_add_sealed(t, n, 1);
		if (n % 2 == 0 && n <= 490)
			ledger_add_batch_ended(t, n, &counts, n);
	}
	store_put(&s, t);
	for (int again = 0; again < 2; again++) {
		struct ledger_batch_row rows[600];
		size_t count;
		for (uint64_t n = 1; n <= 500; n++) {
			struct ledger_batch b = sample_batch(n);
			cr_assert_eq(
				ledger_find_batch(s.reader, b.id, 64, rows, 1, &count),
				0);
			cr_assert_eq(count, 1);
			cr_assert_eq(rows[0].batch.batch, n);
			cr_assert_eq(rows[0].sealed, n <= 490);
			int rc = ledger_find_batch(s.reader, b.id, 1, rows, 600, &count);
			cr_assert_eq(rc, 2);
			cr_assert(count > 10 && count < 70);
		}
		cr_assert_eq(ledger_find_batch(s.reader, NULL, 0, rows, 1, &count), 0);
		cr_assert_eq(rows[0].batch.batch, 490);
		CLEANUP_BUF struct buf seen = {0};
		cr_assert_eq(ledger_list_batches(s.reader, 100, keep_batch, &seen), 0);
		cr_assert_eq(seen.size, 100 * sizeof(uint64_t));
		for (uint64_t i = 0; i < 100; i++)
			cr_assert_eq(((uint64_t *)(void *)seen.data)[i], 490 - i);
		buf_reset(&seen);
		cr_assert_eq(ledger_list_batches(s.reader, 0, keep_batch, &seen), 0);
		cr_assert_eq(seen.size, 490 * sizeof(uint64_t));
		buf_reset(&seen);
		cr_assert_eq(ledger_each_open_batch(s.reader, keep_batch, &seen), 0);
		cr_assert_eq(seen.size, 255 * sizeof(uint64_t));
		for (uint64_t i = 0; i < 245; i++)
			cr_assert_eq(((uint64_t *)(void *)seen.data)[i], 1 + 2 * i);
		int calls = 0;
		cr_assert_eq(ledger_each_open_batch(s.reader, second_stops, &calls), 7);
		cr_assert_eq(calls, 2);
		store_close(&s); /* now from the index */
		store_open(&s);
	}
}

static int read_within(void *arg, const struct ledger_batch_row *row)
{
	struct ledger_batch_row again;
	cr_assert_eq(ledger_read_batch(arg, row->batch.batch, &again), 0);
	cr_assert_eq(again.batch.batch, row->batch.batch);
	return 0;
}

Test(ledger_find, callbacks_may_use_the_reader)
{
	struct ledger_turn *t = store_turn(&s);
	for (uint64_t n = 1; n <= 200; n++) {
		struct ledger_batch b = sample_batch(n);
		ledger_add_batch(t, &b);
		ledger_add_sealed(t, n, 1);
	}
	store_put(&s, t);
	cr_assert_eq(ledger_list_batches(s.reader, 0, read_within, s.reader), 0);
}

Test(ledger_find, the_newest_of_no_batches_is_none)
{
	struct ledger_batch_row row;
	size_t count = 9;
	cr_assert_eq(ledger_find_batch(s.reader, NULL, 0, &row, 1, &count), 1);
	cr_assert_eq(count, 0);
}

Test(ledger_find, a_program_that_only_reads_sees_all_that_is_durable)
{
	struct ledger_reader *r;
	struct err e = {0};
	put_commits(1, 100);
	store_wait_index(&s, 100);
	put_commits(101, 100); /* in the gap, of another process */
	cr_assert_eq(ledger_reader_open(&r, NULL, s.dir, &e), 0, "%s", e.what);
	all_found(r, 200);
	put_commits(201, 100); /* after it had opened */
	all_found(r, 300);
	store_wait_index(&s, 300);
	all_found(r, 300);
	prefixes_agree(r, 300);
	ledger_reader_close(r);
}

Test(ledger_find, a_program_that_only_reads_needs_no_index)
{
	struct ledger_reader *r;
	struct err e = {0};
	put_commits(1, 100);
	store_close(&s);
	cr_assert_eq(unlink(store_path(&s, "index.db")), 0);
	cr_assert_eq(ledger_reader_open(&r, NULL, s.dir, &e), 0, "%s", e.what);
	all_found(r, 100);
	ledger_reader_close(r);
}

Test(ledger_find, a_folder_without_a_store_is_said_to_be_none)
{
	struct ledger_reader *r;
	struct err e = {0};
	cr_assert_eq(ledger_reader_open(&r, NULL, "/tmp/cashet-nowhere", &e), ERR_FAILED);
	cr_assert_eq(e.code, ERR_NOT_FOUND);
	cr_assert(strstr(e.what, "/tmp/cashet-nowhere"));
}

static void damage(const char *sql)
{
	sqlite3 *db;
	store_close(&s);
	cr_assert_eq(db_open(&db, store_path(&s, "meta.db"), DB_JOURNAL, NULL),
		     SQLITE_OK);
	cr_assert_eq(db_exec(db, sql), SQLITE_OK, "%s", sqlite3_errmsg(db));
	db_close(db);
	store_open(&s);
}

Test(ledger_find, a_damaged_commit_is_none)
{
	CLEANUP_BUF struct buf body = {0};
	uint8_t hash[DIGEST_SIZE];
	put_commits(1, 20);
	damage("UPDATE commits SET body=CAST(substr(body, 1, 80)||X'55'||substr(body, "
	       "82) AS BLOB)"
	       " WHERE seq=3");
	cr_assert_eq(ledger_read_commit(s.reader, 3, &body, hash), 1);
	cr_assert_eq(ledger_read_commit(s.reader, 4, &body, hash), 0);
}

Test(ledger_find, a_damaged_small_blob_is_missing_until_it_is_stored_again)
{
	uint8_t digest[DIGEST_SIZE], filler[DIGEST_SIZE];
	CLEANUP_BUF struct buf out = {0};
	struct ledger_turn *t = store_turn(&s);
	sha256_digest("hello", 5, digest);
	ledger_add_blob(t, digest, "hello", 5);
	for (int i = 0; i < 10; i++) { /* the last ones are looked at when opening */
		sha256_digest(&i, sizeof i, filler);
		ledger_add_blob(t, filler, &i, sizeof i);
	}
	store_put(&s, t);
	damage("UPDATE inline SET bytes=X'68656c6c70' WHERE seq=1");
	cr_assert_eq(ledger_find_blob(s.reader, digest, &out), 1);
	cr_assert_eq(out.size, 0);
	cr_assert_eq(ledger_has_blob(s.reader, digest), 1);
	t = store_turn(&s);
	ledger_add_blob(t, digest, "hello", 5);
	store_put(&s, t);
	cr_assert_eq(ledger_has_blob(s.reader, digest), 0);
	cr_assert_eq(ledger_find_blob(s.reader, digest, &out), 0);
	cr_assert_str_eq(buf_cstr(&out), "hello");
}

/* A reader on a thread of its own, while the writer and the index thread work: whatever is durable
 * is found, always. */
static _Atomic uint64_t durable_commit;
static atomic_bool finished;

static const char *failure;

static void *look(void *arg)
{
	struct ledger_reader *r;
	uint64_t looks = 0;
	(void)arg;
	if (ledger_reader_open(&r, s.ledger, NULL, NULL))
		return failure = "did not open", NULL;
	while (!atomic_load(&finished)) {
		uint64_t last = atomic_load(&durable_commit);
		for (uint64_t n = last > 50 ? last - 50 : 1; n <= last; n++, looks++) {
			struct ledger_hit hit;
			CLEANUP_BUF struct buf body = {0};
			if (sample_find(r, n, &hit) || hit.seq != n)
				return failure = "a durable commit was not found", NULL;
			if (ledger_read_commit(r, hit.seq, &body, NULL))
				return failure = "a durable commit was not read", NULL;
		}
	}
	ledger_reader_close(r);
	if (!looks)
		failure = "nothing was looked at";
	return NULL;
}

Test(ledger_find, what_is_durable_is_found_at_every_moment)
{
	pthread_t thread;
	cr_assert_eq(pthread_create(&thread, NULL, look, NULL), 0);
	for (uint64_t seq = 1; seq <= 30000; seq += 50) {
		put_commits(seq, 50);
		atomic_store(&durable_commit, seq + 49);
		if (seq % 5000 == 1)
			usleep(300000); /* let the index follow */
	}
	atomic_store(&finished, true);
	pthread_join(thread, NULL);
	cr_assert_null(failure, "%s", failure);
}

/* Looks for the next one until it is there, and reads it at once: the row must not come later. */
static void *chase(void *arg)
{
	struct ledger_reader *r;
	(void)arg;
	if (ledger_reader_open(&r, s.ledger, NULL, NULL))
		return failure = "did not open", NULL;
	for (uint64_t n = 1; n <= 300; n++) {
		struct ledger_hit hit;
		CLEANUP_BUF struct buf body = {0};
		while (sample_find(r, n, &hit) && !failure)
			if (atomic_load(&finished) && sample_find(r, n, &hit))
				failure = "a durable commit was not found";
		if (!failure && ledger_read_commit(r, hit.seq, &body, NULL))
			failure = "a commit that was found was not read";
		if (failure)
			break;
	}
	ledger_reader_close(r);
	return NULL;
}

Test(ledger_find, what_is_found_can_be_read_at_every_moment)
{
	pthread_t thread;
	cr_assert_eq(pthread_create(&thread, NULL, chase, NULL), 0);
	for (uint64_t seq = 1; seq <= 300; seq++)
		put_commits(seq, 1);
	atomic_store(&finished, true);
	pthread_join(thread, NULL);
	cr_assert_null(failure, "%s", failure);
}

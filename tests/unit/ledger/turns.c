/* Writing turns and reading them back, while open and after opening again. */
#include "tests/unit/ledger/support.h"

#include "common/pure/sha256.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

static struct store s;

static void setup(void)
{
	store_init(&s);
}

static void teardown(void)
{
	store_fini(&s);
}

TestSuite(ledger_turns, .init = setup, .fini = teardown);

static void open_batch(struct ledger_turn *t, uint64_t number)
{
	struct ledger_batch b = sample_batch(number);
	ledger_add_batch(t, &b);
}

static void put_commit(struct ledger_turn *t, uint64_t seq, uint64_t n, bool current)
{
	struct sample sample;
	sample_commit(&sample, n);
	ledger_add_commit(t, seq, 0, current, &sample.commit);
	memset(&sample, 0xee, sizeof sample); /* all of it was copied */
}

Test(ledger_turns, a_new_store_begins_with_one)
{
	cr_assert(s.info.created);
	cr_assert_not(s.info.index_rebuilt);
	cr_assert_eq(s.info.boot, 1);
	cr_assert_eq(s.info.next_commit, 1);
	cr_assert_eq(s.info.next_batch, 1);
	struct ledger_stats stats;
	cr_assert_eq(ledger_read_stats(s.reader, &stats), 0);
	cr_assert_eq(stats.commits + stats.batches + stats.inline_blobs, 0);
}

Test(ledger_turns, opening_again_keeps_identity_and_counts_boots)
{
	struct ledger_info first = s.info;
	struct ledger_turn *t = store_turn(&s);
	open_batch(t, 1);
	put_commit(t, 1, 1, true);
	store_put(&s, t);
	store_close(&s);
	store_open(&s);
	cr_assert_not(s.info.created);
	cr_assert_not(s.info.index_rebuilt);
	cr_assert_eq(s.info.boot, 2);
	cr_assert_eq(s.info.next_commit, 2);
	cr_assert_eq(s.info.next_batch, 2);
	cr_assert_eq(memcmp(s.info.store_id, first.store_id, 16), 0);
	cr_assert_eq(memcmp(s.info.mac_key, first.mac_key, 32), 0);
}

Test(ledger_turns, a_commit_is_its_canonical_bytes_and_their_hash)
{
	struct sample sample;
	struct ledger_turn *t = store_turn(&s);
	put_commit(t, 1, 5, true);
	store_put(&s, t);
	CLEANUP_BUF struct buf want = {0}, body = {0};
	uint8_t hash[DIGEST_SIZE], want_hash[DIGEST_SIZE];
	sample_commit(&sample, 5);
	commit_encode(&want, &sample.commit);
	sha256_digest(want.data, want.size, want_hash);
	cr_assert_eq(ledger_read_commit(s.reader, 1, &body, hash), 0);
	cr_assert_eq(body.size, want.size);
	cr_assert_eq(memcmp(body.data, want.data, want.size), 0);
	cr_assert_eq(memcmp(hash, want_hash, DIGEST_SIZE), 0);
	cr_assert_eq(ledger_read_commit(s.reader, 2, &body, hash), 1);
}

Test(ledger_turns, a_superseding_commit_names_its_parent)
{
	struct sample sample;
	struct ledger_turn *t = store_turn(&s);
	put_commit(t, 1, 5, true);
	sample_commit(&sample, 5);
	ledger_add_commit(t, 2, 1, true, &sample.commit); /* of the same turn */
	store_put(&s, t);
	t = store_turn(&s);
	ledger_add_commit(t, 3, 2, true, &sample.commit);
	store_put(&s, t);
	uint8_t hash[4][DIGEST_SIZE];
	for (uint64_t seq = 1; seq <= 3; seq++) {
		CLEANUP_BUF struct buf body = {0}, arena = {0};
		struct commit c;
		cr_assert_eq(ledger_read_commit(s.reader, seq, &body, hash[seq]), 0);
		cr_assert_eq(commit_decode(body.data, body.size, &c, &arena), 0);
		cr_assert_eq(c.has_parent, seq > 1);
		if (seq > 1)
			cr_assert_eq(memcmp(c.parent, hash[seq - 1], DIGEST_SIZE), 0);
	}
	struct ledger_hit hit;
	cr_assert_eq(sample_find(s.reader, 5, &hit), 0);
	cr_assert_eq(hit.seq, 3);
}

Test(ledger_turns, a_commit_that_is_not_current_is_no_hit)
{
	struct ledger_hit hit;
	struct ledger_turn *t = store_turn(&s);
	put_commit(t, 1, 5, false);
	store_put(&s, t);
	cr_assert_eq(sample_find(s.reader, 5, &hit), 1);
	t = store_turn(&s);
	put_commit(t, 2, 5, true);
	put_commit(t, 3, 5, false);
	store_put(&s, t);
	cr_assert_eq(sample_find(s.reader, 5, &hit), 0);
	cr_assert_eq(hit.seq, 2);
	cr_assert_eq(hit.expires_wall_ms, 0);
}

Test(ledger_turns, a_hit_tells_when_it_expires)
{
	struct sample sample;
	struct ledger_hit hit;
	struct ledger_turn *t = store_turn(&s);
	sample_commit(&sample, 5);
	sample.commit.ttl_s = 60;
	ledger_add_commit(t, 1, 0, true, &sample.commit);
	store_put(&s, t);
	for (int again = 0; again < 2; again++) {
		cr_assert_eq(sample_find(s.reader, 5, &hit), 0);
		cr_assert_eq(hit.expires_wall_ms, sample.commit.ended_wall_ms + 60000);
		store_wait_index(&s, 1);
	}
}

static int keep_index(void *arg, const struct ledger_end *end)
{
	struct buf *b = arg;
	buf_add(b, &end->index, sizeof end->index);
	return 0;
}

Test(ledger_turns, ends_keep_their_order_over_turns_rows_and_boots)
{
	struct ledger_turn *t = store_turn(&s);
	open_batch(t, 1);
	open_batch(t, 2);
	uint32_t next = 0;
	for (int boot = 0; boot < 3; boot++) {
		for (int turn = 0; turn < 10; turn++) {
			for (int i = 0; i < 500; i++) {
				struct ledger_end end = {.index = next++,
							 .status = CORE_COMPLETED};
				ledger_add_end(t, 1, &end);
				if (i % 7 == 0)
					ledger_add_end(t, 2, &end);
			}
			store_hand_in(&s, t);
			t = store_turn(&s);
		}
		store_put(&s, t);
		store_close(&s);
		store_open(&s);
		t = store_turn(&s);
	}
	store_put(&s, t);
	CLEANUP_BUF struct buf seen = {0};
	cr_assert_eq(ledger_each_end(s.reader, 1, keep_index, &seen), 0);
	cr_assert_eq(seen.size, next * sizeof next);
	for (uint32_t i = 0; i < next; i++)
		cr_assert_eq(((uint32_t *)(void *)seen.data)[i], i);
	buf_reset(&seen);
	cr_assert_eq(ledger_each_end(s.reader, 2, keep_index, &seen), 0);
	cr_assert_eq(seen.size / sizeof next, 30 * 72);
	buf_reset(&seen);
	cr_assert_eq(ledger_each_end(s.reader, 3, keep_index, &seen), 0);
	cr_assert_eq(seen.size, 0);
}

static int keep_epoch(void *arg, const struct ledger_lease *lease)
{
	struct buf *b = arg;
	buf_add(b, &lease->epoch, sizeof lease->epoch);
	return 0;
}

static int stop_at_once(void *arg, const struct ledger_lease *lease)
{
	++*(int *)arg;
	(void)lease;
	return 42;
}

Test(ledger_turns, leases_last_as_long_as_their_batch)
{
	CLEANUP_BUF struct buf seen = {0};
	struct ledger_turn *t = store_turn(&s);
	for (uint64_t b = 1; b <= 3; b++)
		open_batch(t, b);
	for (uint64_t i = 1; i <= 3000; i++) {
		struct ledger_lease lease = {
			.index = (uint32_t)i, .epoch = i, .attempt = 1};
		ledger_add_lease(t, 1 + i % 2, &lease);
	}
	store_put(&s, t);
	cr_assert_eq(ledger_each_lease(s.reader, 1, keep_epoch, &seen), 0);
	cr_assert_eq(seen.size, 1500 * sizeof(uint64_t));
	for (uint64_t i = 0; i < 1500; i++)
		cr_assert_eq(((uint64_t *)(void *)seen.data)[i], 2 + 2 * i);
	int calls = 0;
	cr_assert_eq(ledger_each_lease(s.reader, 2, stop_at_once, &calls), 42);
	cr_assert_eq(calls, 1);
	struct core_counts counts = {.total = 1, .executed = 1};
	struct ledger_lease lease = {.epoch = 9};
	t = store_turn(&s);
	ledger_add_batch_ended(t, 1, &counts, 77);
	ledger_add_lease(t, 3, &lease); /* granted and over in one group */
	ledger_add_batch_ended(t, 3, &counts, 77);
	store_put(&s, t);
	buf_reset(&seen);
	cr_assert_eq(ledger_each_lease(s.reader, 1, keep_epoch, &seen), 0);
	cr_assert_eq(ledger_each_lease(s.reader, 3, keep_epoch, &seen), 0);
	cr_assert_eq(seen.size, 0);
	cr_assert_eq(ledger_each_lease(s.reader, 2, keep_epoch, &seen), 0);
	cr_assert_eq(seen.size, 1500 * sizeof(uint64_t));
}

static int keep_checkpoint(void *arg, const struct ledger_checkpoint *c)
{
	struct buf *seen = arg;
	cr_assert_eq(c->func_hash[0], 0xf);
	cr_assert_eq(c->args_hash[31], 0xa);
	cr_assert(c->has_nonce && c->nonce[15] == 0xe);
	buf_printf(seen, "%u:%.*s ", c->index, (int)c->size, (const char *)c->body);
	return 0;
}

Test(ledger_turns, a_checkpoint_is_replaced_taken_away_and_ends_with_its_batch)
{
	CLEANUP_BUF struct buf seen = {0};
	struct ledger_checkpoint c = {.has_nonce = true};
	c.func_hash[0] = 0xf;
	c.args_hash[31] = 0xa;
	c.nonce[15] = 0xe;
	struct ledger_turn *t = store_turn(&s);
	for (uint64_t b = 1; b <= 2; b++) {
		open_batch(t, b);
		for (uint32_t i = 0; i < 3; i++) {
			char body[] = "first";
			c.index = i;
			c.body = body;
			c.size = 5;
			ledger_add_checkpoint(t, b, &c);
			memset(body, 0, sizeof body); /* it was copied */
		}
	}
	store_put(&s, t);
	t = store_turn(&s);
	c.body = "second";
	c.size = 6;
	c.index = 0;
	ledger_add_checkpoint(t, 1, &c);
	c.index = 1;
	c.size = 0;
	ledger_add_checkpoint(t, 1, &c);
	store_put(&s, t);
	store_close(&s);
	store_open(&s);
	cr_assert_eq(ledger_each_checkpoint(s.reader, 1, keep_checkpoint, &seen), 0);
	cr_assert_str_eq(buf_cstr(&seen), "0:second 2:first ");
	struct core_counts counts = {.total = 1, .executed = 1};
	t = store_turn(&s);
	ledger_add_batch_ended(t, 1, &counts, 77);
	store_put(&s, t);
	buf_reset(&seen);
	cr_assert_eq(ledger_each_checkpoint(s.reader, 1, keep_checkpoint, &seen), 0);
	cr_assert_eq(seen.size, 0);
	cr_assert_eq(ledger_each_checkpoint(s.reader, 2, keep_checkpoint, &seen), 0);
	cr_assert_str_eq(buf_cstr(&seen), "0:first 1:first 2:first ");
}

Test(ledger_turns, chunks_come_back_packed_or_not)
{
	static uint8_t text[100000], noise[100000];
	struct ledger_turn *t = store_turn(&s);
	for (size_t i = 0; i < sizeof text; i++) {
		text[i] = (uint8_t) "lorem ipsum dolor "[i % 18];
		noise[i] = (uint8_t)((i * 2654435761u) >> 13 ^ rand());
	}
	open_batch(t, 1);
	ledger_add_chunk(t, 1, 0, text, sizeof text);
	ledger_add_chunk(t, 1, 1, noise, sizeof noise);
	ledger_add_chunk(t, 1, 2, "small", 5);
	ledger_add_chunk(t, 1, 3, NULL, 0);
	store_put(&s, t);
	CLEANUP_BUF struct buf out = {0};
	buf_add_str(&out, "kept");
	cr_assert_eq(ledger_read_chunk(s.reader, 1, 0, &out), 0);
	cr_assert_eq(out.size, 4 + sizeof text);
	cr_assert_eq(memcmp(out.data + 4, text, sizeof text), 0);
	buf_reset(&out);
	cr_assert_eq(ledger_read_chunk(s.reader, 1, 1, &out), 0);
	cr_assert_eq(out.size, sizeof noise);
	cr_assert_eq(memcmp(out.data, noise, sizeof noise), 0);
	buf_reset(&out);
	cr_assert_eq(ledger_read_chunk(s.reader, 1, 2, &out), 0);
	cr_assert_str_eq(buf_cstr(&out), "small");
	buf_reset(&out);
	cr_assert_eq(ledger_read_chunk(s.reader, 1, 3, &out), 0);
	cr_assert_eq(out.size, 0);
	cr_assert_eq(ledger_read_chunk(s.reader, 1, 4, &out), 1);
	cr_assert_eq(ledger_read_chunk(s.reader, 2, 0, &out), 1);
}

Test(ledger_turns, the_life_of_a_batch_is_in_its_row)
{
	struct ledger_batch_row row;
	struct ledger_batch want = sample_batch(1);
	struct ledger_turn *t = store_turn(&s);
	cr_assert_eq(ledger_read_batch(s.reader, 1, &row), 1);
	open_batch(t, 1);
	ledger_add_chunk(t, 1, 0, "a", 1);
	ledger_add_chunk(t, 1, 1, "b", 1);
	store_put(&s, t);
	cr_assert_eq(ledger_read_batch(s.reader, 1, &row), 0);
	cr_assert_eq(memcmp(&row.batch, &want, sizeof want), 0);
	cr_assert(!row.sealed && !row.ended);
	cr_assert_eq(row.chunk_count, 2);
	t = store_turn(&s);
	ledger_add_chunk(t, 1, 2, "c", 1);
	ledger_add_sealed(t, 1, 12);
	store_put(&s, t);
	cr_assert_eq(ledger_read_batch(s.reader, 1, &row), 0);
	cr_assert(row.sealed && !row.ended);
	cr_assert_eq(row.task_count, 12);
	cr_assert_eq(row.chunk_count, 3);
	struct core_counts counts = {.total = 12, .cached = 10, .failed = 2};
	t = store_turn(&s);
	ledger_add_batch_ended(t, 1, &counts, 1234);
	store_put(&s, t);
	cr_assert_eq(ledger_read_batch(s.reader, 1, &row), 0);
	cr_assert(row.sealed && row.ended);
	cr_assert_eq(row.ended_wall_ms, 1234);
	cr_assert_eq(row.chunk_count, 3);
	cr_assert_eq(memcmp(&row.counts, &counts, sizeof counts), 0);
}

Test(ledger_turns, a_discarded_batch_is_gone_and_its_number_is_not_used_again)
{
	struct ledger_batch_row row;
	struct ledger_batch b = sample_batch(2);
	size_t count;
	CLEANUP_BUF struct buf out = {0};
	struct ledger_turn *t = store_turn(&s);
	open_batch(t, 1);
	ledger_add_sealed(t, 1, 1);
	open_batch(t, 2);
	ledger_add_chunk(t, 2, 0, "a", 1);
	store_put(&s, t);
	cr_assert_eq(ledger_find_batch(s.reader, b.id, 64, &row, 1, &count), 0);
	t = store_turn(&s);
	ledger_add_discarded(t, 2);
	store_put(&s, t);
	for (int again = 0; again < 2; again++) {
		struct ledger_stats stats;
		cr_assert_eq(ledger_read_batch(s.reader, 2, &row), 1);
		cr_assert_eq(ledger_read_chunk(s.reader, 2, 0, &out), 1);
		cr_assert_eq(ledger_find_batch(s.reader, b.id, 64, &row, 1, &count), 1);
		cr_assert_eq(ledger_find_batch(s.reader, b.id, 5, &row, 1, &count), 1);
		cr_assert_eq(ledger_read_stats(s.reader, &stats), 0);
		cr_assert_eq(stats.batches, 1);
		store_close(&s);
		store_open(&s);
		cr_assert_not(s.info.index_rebuilt);
	}
	cr_assert_eq(s.info.next_batch, 3);
}

Test(ledger_turns, a_small_blob_is_verified_and_kept_once)
{
	struct ledger_stats stats;
	CLEANUP_BUF struct buf out = {0};
	uint8_t digest[DIGEST_SIZE], other[DIGEST_SIZE];
	sha256_digest("hello", 5, digest);
	sha256_digest("other", 5, other);
	for (int i = 0; i < 3; i++) {
		struct ledger_turn *t = store_turn(&s);
		ledger_add_blob(t, digest, "hello", 5);
		ledger_add_blob(t, digest, "hello", 5);
		store_put(&s, t);
	}
	cr_assert_eq(ledger_read_stats(s.reader, &stats), 0);
	cr_assert_eq(stats.inline_blobs, 1);
	cr_assert_eq(ledger_has_blob(s.reader, digest), 0);
	cr_assert_eq(ledger_has_blob(s.reader, other), 1);
	cr_assert_eq(ledger_find_blob(s.reader, digest, &out), 0);
	cr_assert_str_eq(buf_cstr(&out), "hello");
	cr_assert_eq(ledger_find_blob(s.reader, other, &out), 1);
	store_close(&s);
	store_open(&s);
	buf_reset(&out);
	cr_assert_eq(ledger_find_blob(s.reader, digest, &out), 0);
	cr_assert_str_eq(buf_cstr(&out), "hello");
}

Test(ledger_turns, large_turns_and_many_small_ones_become_durable_in_order)
{
	uint64_t seq = 0, seen = 0;
	for (int i = 0; i < 2000; i++) {
		struct ledger_turn *t = store_turn(&s);
		for (int k = 0; k < (i % 500 ? 3 : 800); k++) {
			seq++;
			put_commit(t, seq, seq, true);
		}
		store_hand_in(&s, t);
		uint64_t durable = ledger_durable(s.ledger);
		cr_assert_geq(durable, seen);
		cr_assert_leq(durable, s.step);
		seen = durable;
	}
	store_sync(&s);
	cr_assert_eq(ledger_queued_bytes(s.ledger), 0);
	for (uint64_t i = 1; i <= seq; i++) {
		struct ledger_hit hit;
		cr_assert_eq(sample_find(s.reader, i, &hit), 0);
		cr_assert_eq(hit.seq, i);
	}
}

Test(ledger_turns, an_empty_turn_is_durable_with_the_ones_before_it)
{
	struct ledger_turn *t = store_turn(&s);
	cr_assert(ledger_turn_empty(t));
	store_put(&s, t); /* nothing before it */
	t = store_turn(&s);
	put_commit(t, 1, 1, true);
	cr_assert_not(ledger_turn_empty(t));
	store_hand_in(&s, t);
	uint64_t first = s.step;
	store_hand_in(&s, store_turn(&s));
	while (ledger_durable(s.ledger) < s.step)
		;
	struct ledger_hit hit;
	cr_assert_gt(s.step, first);
	cr_assert_eq(sample_find(s.reader, 1, &hit), 0);
}

Test(ledger_turns, the_descriptor_tells_that_something_moved)
{
	struct pollfd p = {.fd = ledger_fd(s.ledger), .events = POLLIN};
	ledger_durable(s.ledger);
	cr_assert_eq(poll(&p, 1, 0), 0);
	struct ledger_turn *t = store_turn(&s);
	put_commit(t, 1, 1, true);
	store_hand_in(&s, t);
	cr_assert_eq(poll(&p, 1, 60000), 1);
	cr_assert_eq(ledger_durable(s.ledger), s.step);
	cr_assert_eq(poll(&p, 1, 0), 0);
}

Test(ledger_turns, closing_makes_durable_what_was_handed_in)
{
	for (uint64_t seq = 1; seq <= 1000; seq++) {
		struct ledger_turn *t = store_turn(&s);
		put_commit(t, seq, seq, true);
		store_hand_in(&s, t);
	}
	store_close(&s);
	store_open(&s);
	cr_assert_eq(s.info.next_commit, 1001);
	struct ledger_hit hit;
	cr_assert_eq(sample_find(s.reader, 1000, &hit), 0);
}

Test(ledger_turns, that_a_batch_paused_and_went_on_is_read_back)
{
	struct ledger_batch_row row;
	struct ledger_turn *t = store_turn(&s);
	open_batch(t, 1);
	ledger_add_sealed(t, 1, 30);
	store_put(&s, t);
	cr_assert_eq(ledger_read_batch(s.reader, 1, &row), 0);
	cr_assert(!row.paused && !row.resumed);
	t = store_turn(&s);
	ledger_add_paused(t, 1, 7);
	store_put(&s, t);
	store_close(&s);
	store_open(&s);
	cr_assert_eq(ledger_read_batch(s.reader, 1, &row), 0);
	cr_assert(row.paused && !row.resumed);
	cr_assert_eq(row.paused_by, 7);
	t = store_turn(&s);
	ledger_add_resumed(t, 1);
	store_put(&s, t);
	cr_assert_eq(ledger_read_batch(s.reader, 1, &row), 0);
	cr_assert(!row.paused && row.resumed);
}

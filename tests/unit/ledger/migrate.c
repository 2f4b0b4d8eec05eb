/* A store of an older version becomes one of this version, with all that is in it. */
#include "tests/unit/ledger/support.h"

#include "broker/ledger/db.h"
#include "common/fs.h"
#include "common/pure/sha256.h"
#include "tests/unit/ledger/version_1.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct store s;

static void make(const char *file, const char *sql)
{
	sqlite3 *db;
	unlink(store_path(&s, file));
	cr_assert_eq(db_open(&db, store_path(&s, file), DB_JOURNAL, NULL), SQLITE_OK);
	cr_assert_eq(db_exec(db, sql), SQLITE_OK, "%s", sqlite3_errmsg(db));
	db_close(db);
}

static void setup(void)
{
	store_init(&s);
	store_close(&s);
	make("meta.db", version_1);
	make("index.db", "CREATE TABLE fp(key); PRAGMA user_version=1");
}

static void teardown(void)
{
	store_fini(&s);
}

TestSuite(ledger_migrate, .init = setup, .fini = teardown);

static int keep_seq(void *arg, const struct ledger_commit_row *row)
{
	buf_printf(arg, "%llu ", (unsigned long long)row->seq);
	return 0;
}

static int keep_batch(void *arg, const struct ledger_batch_row *row)
{
	buf_printf(arg, "%llu ", (unsigned long long)row->batch.batch);
	cr_assert(!row->paused && !row->resumed);
	return 0;
}

static const char *runs(uint64_t n)
{
	static struct buf seen;
	struct sample sample;
	sample_commit(&sample, n);
	buf_reset(&seen);
	cr_assert_eq(ledger_each_run(s.reader, sample.commit.func_hash, sample.args_hash,
				     keep_seq, &seen),
		     0);
	return buf_cstr(&seen);
}

static const char *tagged(const char *key, const char *value)
{
	static struct buf seen;
	buf_reset(&seen);
	cr_assert_eq(ledger_each_tagged_batch(s.reader, key, value, 0, keep_batch, &seen),
		     0);
	return buf_cstr(&seen);
}

static uint64_t current(uint64_t n)
{
	struct ledger_hit hit;
	return sample_find(s.reader, n, &hit) ? 0 : hit.seq;
}

Test(ledger_migrate, all_of_version_1_is_there)
{
	struct ledger_counters c;
	struct ledger_tops tops;
	CLEANUP_BUF struct buf seen = {0};
	uint8_t digest[DIGEST_SIZE];
	store_open(&s);
	cr_assert(s.info.index_rebuilt);
	cr_assert_eq(s.info.next_commit, 5);
	cr_assert_eq(s.info.next_batch, 5); /* 4 was discarded */
	for (int again = 0; again < 2; again++) {
		cr_assert_eq(current(1), 3);
		cr_assert_eq(current(2), 2);
		cr_assert_str_eq(runs(1), "3 1 ");
		cr_assert_str_eq(runs(2), "4 2 ");
		cr_assert_str_eq(tagged("k", NULL), "3 2 1 ");
		cr_assert_str_eq(tagged("k", "2"), "2 ");
		cr_assert_str_eq(tagged("[\"]", NULL), "2 ");
		buf_reset(&seen);
		cr_assert_eq(ledger_each_named(s.reader, "b", 0, keep_seq, &seen), 0);
		cr_assert_str_eq(buf_cstr(&seen), "4 2 ");
		cr_assert_eq(ledger_read_counters(s.reader, &c), 0);
		cr_assert_eq(c.completed, 3);
		cr_assert_eq(c.failed, 1);
		cr_assert_eq(c.batches, 3);
		cr_assert_eq(c.inline_blobs, 2);
		cr_assert_eq(c.inline_bytes, 11);
		cr_assert_eq(c.hits, 1);
		cr_assert_eq(c.deduplicated, 1);
		cr_assert_eq(c.executed, 2);
		cr_assert_eq(c.compute_ns, 1000 * (1 + 2 + 1 + 2));
		cr_assert_eq(ledger_read_tops(s.reader, &tops), 0);
		cr_assert_eq(tops.commit, 4);
		cr_assert_eq(tops.batch, 4);
		sha256_digest("hello", 5, digest);
		cr_assert_eq(ledger_has_blob(s.reader, digest), 0);
		store_close(&s);
		store_open(&s);
		cr_assert_not(s.info.index_rebuilt);
	}
	cr_assert_eq(c.saved_ns, 1000); /* of the hit, summed up when it was closed */
	CLEANUP_BUF struct buf body = {0};
	struct ledger_commit_row row;
	cr_assert_eq(ledger_read_commit_row(s.reader, 3, &body, &row), 0);
	cr_assert_eq(row.hits, 1);
	cr_assert_eq(row.last_used_ms, 1700000002000); /* when its batch ended */
}

Test(ledger_migrate, what_version_1_superseded_does_not_come_back)
{
	store_open(&s);
	struct ledger_turn *t = store_turn(&s);
	ledger_add_commit_removed(t, 3);
	store_put(&s, t);
	cr_assert_eq(current(1), 0);
	store_close(&s);
	cr_assert_eq(unlink(store_path(&s, "index.db")), 0);
	store_open(&s);
	cr_assert_eq(current(1), 0);
	cr_assert_str_eq(runs(1), "1 ");
}

Test(ledger_migrate, a_store_that_only_grew_is_counted_as_if_it_had_always_been_counted)
{
	struct ledger_counters kept, counted;
	store_open(&s);
	cr_assert_eq(ledger_read_counters(s.reader, &kept), 0);
	cr_assert_eq(ledger_count(s.reader, &counted), 0);
	kept.hits = kept.executed = kept.deduplicated = kept.saved_ns = 0;
	cr_assert_eq(memcmp(&kept, &counted, sizeof kept), 0);
}

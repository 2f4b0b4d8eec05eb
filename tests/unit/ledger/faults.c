/* A disk that fails: what is not on it is never called durable; a full one is waited for. */
#include "tests/unit/ledger/support.h"

#include "tests/unit/ledger/fault_vfs.h"

#include "broker/ledger/index.h"

#include "common/clock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct store s;

static void setup(void)
{
	fault_vfs_install();
	store_init(&s);
}

static void teardown(void)
{
	fault_set(FAULT_NONE, "", 0);
	store_fini(&s);
}

TestSuite(ledger_faults, .init = setup, .fini = teardown);

static void hand_in(uint64_t seq)
{
	struct sample sample;
	struct ledger_turn *t = store_turn(&s);
	sample_commit(&sample, seq);
	ledger_add_commit(t, seq, 0, true, &sample.commit);
	store_hand_in(&s, t);
}

static void put(uint64_t seq)
{
	hand_in(seq);
	store_sync(&s);
}

Test(ledger_faults, a_failing_fsync_breaks_the_ledger_and_acknowledges_nothing)
{
	struct err why;
	put(1);
	fault_set(FAULT_SYNC, "meta.db-wal", EIO);
	hand_in(2);
	store_wait_state(&s, LEDGER_BROKEN, &why);
	cr_assert(strstr(why.what, "meta.db"), "%s", why.what);
	cr_assert_eq(ledger_durable(s.ledger), 1);
	fault_set(FAULT_NONE, "",
		  0); /* too late: the kernel may have dropped the pages */
	hand_in(3);
	store_hand_in(&s, store_turn(&s));
	usleep(50000);
	cr_assert_eq(ledger_durable(s.ledger), 1);
	cr_assert_eq(ledger_state(s.ledger, NULL), LEDGER_BROKEN);
	store_close(&s);
	store_open(&s);
	struct ledger_hit hit;
	cr_assert_eq(sample_find(s.reader, 1, &hit), 0);
	cr_assert_eq(sample_find(s.reader, 3, &hit), 1);
}

Test(ledger_faults, a_fsync_without_room_is_a_failing_fsync)
{
	put(1);
	fault_set(FAULT_SYNC, "meta.db-wal", ENOSPC);
	hand_in(2);
	store_wait_state(&s, LEDGER_BROKEN, NULL);
	cr_assert_eq(ledger_durable(s.ledger), 1);
}

Test(ledger_faults, a_failing_write_breaks_the_ledger)
{
	put(1);
	fault_set(FAULT_WRITE, "meta.db-wal", EIO);
	hand_in(2);
	store_wait_state(&s, LEDGER_BROKEN, NULL);
	cr_assert_eq(ledger_durable(s.ledger), 1);
}

Test(ledger_faults, a_full_disk_is_waited_for_and_nothing_is_lost)
{
	struct err why;
	struct ledger_hit hit;
	put(1);
	fault_set(FAULT_WRITE, "meta.db-wal", ENOSPC);
	for (uint64_t seq = 2; seq <= 100; seq++)
		hand_in(seq);
	store_wait_state(&s, LEDGER_FULL, &why);
	cr_assert(strstr(why.next, "room"), "%s", why.next);
	cr_assert_eq(ledger_durable(s.ledger), 1);
	cr_assert_gt(ledger_queued_bytes(s.ledger), 0);
	/* Reading goes on. */
	cr_assert_eq(sample_find(s.reader, 1, &hit), 0);
	cr_assert_eq(sample_find(s.reader, 2, &hit), 1);
	unsigned failures = fault_count();
	while (fault_count() == failures) /* it tries again */
		usleep(10000);
	cr_assert_eq(ledger_state(s.ledger, NULL), LEDGER_FULL);
	fault_set(FAULT_NONE, "", 0);
	store_sync(&s);
	store_wait_state(&s, LEDGER_OK, NULL);
	cr_assert_eq(ledger_queued_bytes(s.ledger), 0);
	for (uint64_t n = 1; n <= 100; n++) {
		cr_assert_eq(sample_find(s.reader, n, &hit), 0);
		cr_assert_eq(hit.seq, n);
	}
	struct ledger_stats stats;
	cr_assert_eq(ledger_read_stats(s.reader, &stats), 0);
	cr_assert_eq(stats.commits, 100);
}

Test(ledger_faults, a_blob_of_a_rolled_back_group_is_written_again)
{
	uint8_t digest[DIGEST_SIZE];
	sample_digest(digest, "blob", 1);
	fault_set(FAULT_WRITE, "meta.db-wal", ENOSPC);
	struct ledger_turn *t = store_turn(&s);
	ledger_add_blob(t, digest, "x", 1);
	store_hand_in(&s, t);
	store_wait_state(&s, LEDGER_FULL, NULL);
	fault_set(FAULT_NONE, "", 0);
	store_sync(&s);
	cr_assert_eq(ledger_has_blob(s.reader, digest), 0);
	struct ledger_stats stats;
	cr_assert_eq(ledger_read_stats(s.reader, &stats), 0);
	cr_assert_eq(stats.inline_blobs, 1);
}

Test(ledger_faults, closing_on_a_full_disk_gives_up)
{
	put(1);
	fault_set(FAULT_WRITE, "meta.db-wal", ENOSPC);
	hand_in(2);
	store_wait_state(&s, LEDGER_FULL, NULL);
	uint64_t began = clock_mono_ns();
	store_close(&s);
	cr_assert_lt(clock_mono_ns() - began, 60 * NS_PER_S);
	fault_set(FAULT_NONE, "", 0);
	store_open(&s);
	cr_assert_eq(s.info.next_commit, 2);
}

Test(ledger_faults, a_full_disk_under_the_index_is_waited_for)
{
	struct ledger_hit hit;
	put(1);
	store_wait_index(&s, 1);
	fault_set(FAULT_WRITE, "index.db-wal", ENOSPC);
	put(2); /* the journal has room */
	cr_assert_eq(sample_find(s.reader, 2, &hit), 0);
	store_wait_state(&s, LEDGER_FULL, NULL);
	cr_assert_eq(sample_find(s.reader, 2, &hit), 0);
	fault_set(FAULT_NONE, "", 0);
	store_wait_state(&s, LEDGER_OK, NULL);
	store_wait_index(&s, 2);
	cr_assert_eq(sample_find(s.reader, 2, &hit), 0);
}

Test(ledger_faults, a_checkpoint_without_room_is_put_off)
{
	struct ledger_hit hit;
	uint64_t seq = 1;
	fault_set(FAULT_WRITE, "meta.db", ENOSPC); /* the log has room */
	while (fault_count() == 0)
		put(seq++);
	put(seq);
	cr_assert_eq(ledger_state(s.ledger, NULL), LEDGER_OK);
	cr_assert_eq(sample_find(s.reader, seq, &hit), 0);
	fault_set(FAULT_NONE, "", 0);
	store_close(&s);
	store_open(&s);
	cr_assert_eq(s.info.next_commit, seq + 1);
}

Test(ledger_faults, a_checkpoint_that_fails_breaks_the_ledger)
{
	fault_set(FAULT_SYNC, "meta.db", EIO);
	for (uint64_t seq = 1; fault_count() == 0; seq++)
		hand_in(seq);
	store_wait_state(&s, LEDGER_BROKEN, NULL);
	fault_set(FAULT_NONE, "", 0);
	uint64_t durable = ledger_durable(s.ledger);
	store_close(&s);
	store_open(&s);
	cr_assert_geq(s.info.next_commit, durable + 1);
}

Test(ledger_faults, opening_on_a_full_disk_says_so)
{
	struct err e;
	store_close(&s);
	fault_set(FAULT_WRITE, "meta.db-wal", ENOSPC);
	cr_assert_eq(store_try_open(&s, &e), ERR_FAILED);
	cr_assert(strstr(e.what, "full"), "%s", e.what);
	cr_assert(strstr(e.next, "room"), "%s", e.next);
	fault_set(FAULT_NONE, "", 0);
	store_open(&s);
}

/* A layer after which there is more in the log of the index than is left there. */
static void write_layer(struct index *index)
{
	struct gap_layer *layer = gap_layer_new();
	layer->mark = index->mark;
	for (uint64_t n = 1; n <= 30000; n++) {
		struct gap_entry entry = {.seq = n};
		sample_digest(entry.key, "entry", n);
		gap_layer_put(layer, GAP_COMMIT, &entry);
		gap_layer_put(layer, GAP_BLOB, &entry);
		gap_layer_put(layer, GAP_FINGERPRINT, &entry);
	}
	cr_assert_eq(index_write(index, layer), SQLITE_OK);
	gap_layer_free(layer);
}

Test(ledger_faults, what_is_in_the_log_of_the_index_goes_to_the_disk_in_order)
{
	static const char *const files[] = {"index.db-wal", "index.db"};
	struct index index;
	struct err e;
	struct stat before, after;
	sqlite3 *journal;
	bool rebuilt;
	store_close(&s);
	cr_assert_eq(db_open(&journal, store_path(&s, "meta.db"), DB_READ, &e), 0);
	cr_assert_eq(index_open(&index, s.dir, journal, (uint8_t[16]){1}, &rebuilt, &e),
		     0);
	write_layer(&index);
	cr_assert_eq(stat(store_path(&s, "index.db"), &before), 0);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		fault_set(FAULT_SYNC, files[i], EIO);
		int rc = index_checkpoint(&index, INDEX_IDLE);
		cr_assert_eq(rc, SQLITE_IOERR_FSYNC);
		cr_assert_eq(fault_count(), 1);
		cr_assert_not(index_is_synced(&index));
		cr_assert_eq(stat(store_path(&s, "index.db"), &after), 0);
		/* Nothing is written before the log is safe. */
		cr_assert_eq(after.st_size > before.st_size, i == 1);
	}
	fault_set(FAULT_NONE, "", 0);
	cr_assert_eq(index_checkpoint(&index, INDEX_IDLE), SQLITE_OK);
	cr_assert(index_is_synced(&index));
	cr_assert_eq(index_checkpoint(&index, INDEX_CLOSING), SQLITE_OK);
	index_close(&index);
	db_close(journal);
	store_open(&s);
}

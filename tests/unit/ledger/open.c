/* Opening stores that are not as they should be. */
#include "tests/unit/ledger/support.h"

#include "broker/ledger/index.h"
#include "broker/ledger/schema.h"
#include "common/fs.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
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

TestSuite(ledger_open, .init = setup, .fini = teardown);

static void put_commits(uint64_t first, uint64_t count)
{
	struct sample sample;
	struct ledger_turn *t = store_turn(&s);
	uint8_t digest[DIGEST_SIZE];
	char text[32];
	for (uint64_t seq = first; seq < first + count; seq++) {
		struct ledger_batch b = sample_batch(seq);
		sample_commit(&sample, seq);
		ledger_add_commit(t, seq, 0, true, &sample.commit);
		ledger_add_batch(t, &b);
		sample_digest(digest, "blob", seq);
		int size =
			snprintf(text, sizeof text, "blob %llu", (unsigned long long)seq);
		ledger_add_blob(t, digest, text, (size_t)size);
	}
	store_put(&s, t);
}

static void all_found(uint64_t last)
{
	struct ledger_hit hit;
	struct ledger_batch_row row;
	uint8_t digest[DIGEST_SIZE];
	size_t count;
	for (uint64_t n = 1; n <= last; n++) {
		struct ledger_batch b = sample_batch(n);
		cr_assert_eq(sample_find(s.reader, n, &hit), 0);
		cr_assert_eq(hit.seq, n);
		cr_assert_eq(ledger_find_batch(s.reader, b.id, 64, &row, 1, &count), 0);
		sample_digest(digest, "blob", n);
		cr_assert_eq(ledger_has_blob(s.reader, digest), 0);
	}
}

static void edit(const char *file, const char *sql)
{
	sqlite3 *db;
	cr_assert_eq(db_open(&db, store_path(&s, file), DB_JOURNAL, NULL), SQLITE_OK);
	cr_assert_eq(db_exec(db, sql), SQLITE_OK, "%s", sqlite3_errmsg(db));
	db_close(db);
}

static void overwrite(const char *file, long at, const void *data, size_t size)
{
	int fd = open(store_path(&s, file), O_WRONLY);
	cr_assert_geq(fd, 0);
	cr_assert_eq(pwrite(fd, data, size, at), (ssize_t)size);
	close(fd);
}

Test(ledger_open, a_newer_store_is_refused_and_says_who_wrote_it)
{
	struct err e;
	put_commits(1, 10);
	store_close(&s);
	edit("meta.db",
	     "PRAGMA user_version=99; UPDATE meta SET value='7.1.0' WHERE key='version'");
	cr_assert_eq(store_try_open(&s, &e), ERR_FAILED);
	cr_assert(strstr(e.what, "newer cashet, 7.1.0"), "%s", e.what);
	cr_assert(strstr(e.what, "schema 99"), "%s", e.what);
	struct ledger_reader *r;
	cr_assert_eq(ledger_reader_open(&r, NULL, s.dir, &e), ERR_FAILED);
	cr_assert(strstr(e.what, "schema 99"), "%s", e.what);
	edit("meta.db", "PRAGMA user_version=4"); /* and nothing was changed */
	store_open(&s);
	all_found(10);
}

Test(ledger_open, a_file_that_is_no_database_is_refused_with_what_to_do)
{
	struct err e;
	store_close(&s);
	overwrite("meta.db", 0, "garbage garbage garbage", 23);
	cr_assert_eq(store_try_open(&s, &e), ERR_FAILED);
	cr_assert(strstr(e.what, "meta.db is damaged"), "%s", e.what);
	cr_assert(strstr(e.next, "objects/ are kept"), "%s", e.next);
}

Test(ledger_open, a_cut_file_is_refused)
{
	struct err e;
	put_commits(1, 1000);
	store_close(&s);
	cr_assert_eq(truncate(store_path(&s, "meta.db"), 65536), 0);
	cr_assert_eq(store_try_open(&s, &e), ERR_FAILED);
	cr_assert(strstr(e.what, "damaged"), "%s", e.what);
	cr_assert_eq(truncate(store_path(&s, "meta.db"), 7), 0);
	cr_assert_eq(store_try_open(&s, &e), ERR_FAILED);
	cr_assert(strstr(e.what, "damaged"), "%s", e.what);
}

Test(ledger_open, a_flipped_schema_is_refused)
{
	struct err e;
	put_commits(1, 10);
	store_close(&s);
	char zeros[200] = {0};
	overwrite("meta.db", 100, zeros, sizeof zeros);
	cr_assert_eq(store_try_open(&s, &e), ERR_FAILED);
	cr_assert(e.what[0]);
}

Test(ledger_open, a_wrong_last_commit_is_refused)
{
	struct err e;
	put_commits(1, 10);
	store_close(&s);
	edit("meta.db", "UPDATE commits SET body=X'00' WHERE seq=10");
	cr_assert_eq(store_try_open(&s, &e), ERR_FAILED);
	cr_assert(strstr(e.what, "commit row 10 is not what was written"), "%s", e.what);
}

Test(ledger_open, a_wrong_last_small_blob_refuses_nothing)
{
	uint8_t digest[DIGEST_SIZE];
	CLEANUP_BUF struct buf out = {0};
	put_commits(1, 10);
	store_close(&s);
	edit("meta.db", "UPDATE inline SET bytes=X'00' WHERE seq=10");
	store_open(&s);
	sample_digest(digest, "blob", 10);
	cr_assert_eq(ledger_find_blob(s.reader, digest, &out), 1);
	sample_digest(digest, "blob", 9);
	cr_assert_eq(ledger_find_blob(s.reader, digest, &out), 0);
}

Test(ledger_open, a_database_of_something_else_is_left_alone)
{
	struct err e;
	store_close(&s);
	cr_assert_eq(unlink(store_path(&s, "meta.db")), 0);
	edit("meta.db", "CREATE TABLE recipes(name)");
	cr_assert_eq(store_try_open(&s, &e), ERR_FAILED);
	cr_assert(strstr(e.what, "not a cashet store"), "%s", e.what);
}

Test(ledger_open, an_empty_file_is_a_store_that_was_not_finished)
{
	store_close(&s);
	cr_assert_eq(truncate(store_path(&s, "meta.db"), 0), 0);
	store_open(&s);
	cr_assert(s.info.created);
}

Test(ledger_open, a_history_that_lost_its_content_beside_blobs_is_not_begun_anew)
{
	struct err e = {0};
	put_commits(1, 1);
	store_close(&s);
	cr_assert_eq(mkdir(store_path(&s, "objects"), 0700), 0);
	cr_assert_eq(mkdir(store_path(&s, "objects/ab"), 0700), 0);
	store_open(&s);
	store_close(&s);
	cr_assert_eq(fs_write_atomic(store_path(&s, "objects/ab/cd"), "x", 1, 0400), 0);
	cr_assert_eq(truncate(store_path(&s, "meta.db"), 0), 0);
	cr_assert_eq(store_try_open(&s, &e), ERR_FAILED);
	cr_assert(strstr(e.what, "is empty, but there are blobs"), "%s", e.what);
	cr_assert(strstr(e.next, "backup"), "%s", e.next);
	/* Whoever takes it away wants that. */
	cr_assert_eq(unlink(store_path(&s, "meta.db")), 0);
	store_open(&s);
	cr_assert(s.info.created);
}

Test(ledger_open, a_folder_that_cannot_be_written_is_named)
{
	struct err e = {0};
	struct ledger *l;
	struct ledger_info info;
	cr_assert_eq(ledger_open(&l, "/proc/self", &info, &e), ERR_FAILED);
	cr_assert(strstr(e.what, "/proc/self"), "%s", e.what);
	cr_assert_eq(ledger_open(&l, "/tmp/cashet-nowhere/at/all", &info, &e),
		     ERR_FAILED);
	cr_assert(strstr(e.what, "/tmp/cashet-nowhere/at/all"), "%s", e.what);
	cr_assert(e.next[0]);
}

Test(ledger_open, only_we_may_read_the_files)
{
	struct stat st;
	put_commits(1, 1);
	static const char *const names[] = {"meta.db", "meta.db-wal", "index.db",
					    "index.db-wal"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		cr_assert_eq(stat(store_path(&s, names[i]), &st), 0, "%s", names[i]);
		cr_assert_eq(st.st_mode & 0777, 0600, "%s %o", names[i], st.st_mode);
	}
}

Test(ledger_open, a_lost_index_is_made_anew)
{
	put_commits(1, 5000);
	store_close(&s);
	cr_assert_eq(unlink(store_path(&s, "index.db")), 0);
	store_open(&s);
	cr_assert(s.info.index_rebuilt);
	all_found(5000);
	put_commits(5001, 10);
	store_close(&s);
	store_open(&s);
	cr_assert_not(s.info.index_rebuilt);
	all_found(5010);
}

Test(ledger_open, a_damaged_index_is_moved_aside_and_made_anew)
{
	put_commits(1, 100);
	store_close(&s);
	overwrite("index.db", 0, "garbage garbage garbage", 23);
	store_open(&s);
	cr_assert(s.info.index_rebuilt);
	cr_assert_eq(access(store_path(&s, "index.db.damaged"), F_OK), 0);
	all_found(100);
}

Test(ledger_open, an_index_of_another_version_is_made_anew)
{
	put_commits(1, 100);
	store_close(&s);
	edit("index.db", "PRAGMA user_version=77; DROP TABLE fp");
	store_open(&s);
	cr_assert(s.info.index_rebuilt);
	cr_assert_eq(access(store_path(&s, "index.db.damaged"), F_OK), -1);
	all_found(100);
}

Test(ledger_open, an_index_of_another_store_is_made_anew)
{
	put_commits(1, 100);
	store_close(&s);
	edit("index.db", "UPDATE mark SET store_id=X'00112233445566778899aabbccddeeff'");
	store_open(&s);
	cr_assert(s.info.index_rebuilt);
	all_found(100);
}

Test(ledger_open, an_index_that_is_ahead_of_a_restored_journal_is_made_anew)
{
	CLEANUP_BUF struct buf backup = {0};
	struct sample sample;
	put_commits(1, 100);
	store_close(&s);
	cr_assert_eq(fs_read_file(store_path(&s, "meta.db"), 1u << 30, &backup), 0);
	store_open(&s);
	put_commits(101, 100);
	store_close(&s);
	cr_assert_eq(fs_write_atomic(store_path(&s, "meta.db"), backup.data, backup.size,
				     0600),
		     0);
	store_open(&s);
	cr_assert(s.info.index_rebuilt);
	cr_assert_eq(s.info.next_commit, 101);
	all_found(100);
	struct ledger_hit hit;
	cr_assert_eq(sample_find(s.reader, 150, &hit), 1);
	/* Restored again, and by now as long as the index, with other commits. */
	store_close(&s);
	store_open(&s);
	struct ledger_turn *t = store_turn(&s);
	sample_commit(&sample, 700);
	ledger_add_commit(t, 101, 0, true, &sample.commit);
	store_put(&s, t);
	store_close(&s);
	CLEANUP_BUF struct buf index = {0};
	cr_assert_eq(fs_read_file(store_path(&s, "index.db"), 1u << 30, &index), 0);
	cr_assert_eq(fs_write_atomic(store_path(&s, "meta.db"), backup.data, backup.size,
				     0600),
		     0);
	store_open(&s);
	t = store_turn(&s);
	sample_commit(&sample, 800);
	ledger_add_commit(t, 101, 0, true, &sample.commit);
	store_put(&s, t);
	store_close(&s);
	cr_assert_eq(
		fs_write_atomic(store_path(&s, "index.db"), index.data, index.size, 0600),
		0);
	store_open(&s);
	cr_assert(s.info.index_rebuilt);
	cr_assert_eq(sample_find(s.reader, 800, &hit), 0);
	cr_assert_eq(sample_find(s.reader, 700, &hit), 1);
}

Test(ledger_open, an_old_index_catches_up)
{
	CLEANUP_BUF struct buf index = {0};
	put_commits(1, 100);
	store_close(&s);
	cr_assert_eq(fs_read_file(store_path(&s, "index.db"), 1u << 30, &index), 0);
	store_open(&s);
	put_commits(101, 400);
	store_close(&s);
	cr_assert_eq(
		fs_write_atomic(store_path(&s, "index.db"), index.data, index.size, 0600),
		0);
	store_open(&s);
	cr_assert_not(s.info.index_rebuilt);
	all_found(500);
}

Test(ledger_open, an_index_damaged_in_use_breaks_the_ledger_and_the_next_start_mends_it)
{
	struct err why;
	struct ledger_hit hit;
	put_commits(1, 20000);
	store_close(&s);
	/* All but the head and the first table's root: found out by a look-up. */
	struct stat st;
	cr_assert_eq(stat(store_path(&s, "index.db"), &st), 0);
	static char noise[8192];
	memset(noise, 0xa5, sizeof noise);
	for (long at = 8192L * 12; at + 8192 <= st.st_size; at += 8192)
		overwrite("index.db", at, noise, sizeof noise);
	store_open(&s);
	int rc = 0;
	for (uint64_t n = 1; n <= 20000 && rc >= 0; n++)
		rc = sample_find(s.reader, n, &hit);
	cr_assert_lt(rc, 0);
	store_wait_state(&s, LEDGER_BROKEN, &why);
	cr_assert(strstr(why.what, "index.db is damaged"), "%s", why.what);
	cr_assert(strstr(why.next, "made anew"), "%s", why.next);
	store_close(&s);
	store_open(&s);
	cr_assert(s.info.index_rebuilt);
	cr_assert_eq(ledger_state(s.ledger, NULL), LEDGER_OK);
	all_found(20000);
}

/* ---- migration, with tables made up for it ---- */

static int fail(sqlite3 *db)
{
	(void)db;
	return SQLITE_CONSTRAINT;
}

static int fill(sqlite3 *db)
{
	return db_exec(db, "UPDATE fruit SET colour='red'");
}

Test(ledger_open, an_older_schema_is_brought_up_step_by_step)
{
	static const struct schema_step one[] = {
		{"CREATE TABLE meta(key TEXT PRIMARY KEY, value); CREATE TABLE "
		 "fruit(name);"
		 "INSERT INTO fruit VALUES('cherry')",
		 NULL},
	};
	static const struct schema_step three[] = {
		{"CREATE TABLE meta(key TEXT PRIMARY KEY, value); CREATE TABLE "
		 "fruit(name);"
		 "INSERT INTO fruit VALUES('cherry')",
		 NULL},
		{"ALTER TABLE fruit ADD COLUMN colour", fill},
		{"CREATE TABLE vegetable(name)", NULL},
	};
	const struct schema v1 = {one, 1, "x.db"}, v3 = {three, 3, "x.db"};
	sqlite3 *db;
	unsigned from = 9;
	uint64_t n = 0;
	struct err e = {0};
	cr_assert_eq(db_open(&db, store_path(&s, "x.db"), DB_JOURNAL, NULL), SQLITE_OK);
	cr_assert_eq(schema_migrate(db, &v1, "x.db", &from, &e), 0, "%s", e.what);
	cr_assert_eq(from, 0);
	cr_assert_eq(schema_migrate(db, &v3, "x.db", &from, &e), 0, "%s", e.what);
	cr_assert_eq(from, 1);
	db_int(db, "SELECT count(*) FROM fruit WHERE colour='red'", &n);
	cr_assert_eq(n, 1);
	db_int(db, "PRAGMA user_version", &n);
	cr_assert_eq(n, 3);
	cr_assert_eq(schema_migrate(db, &v3, "x.db", &from, &e), 0);
	cr_assert_eq(from, 3);
	cr_assert_eq(schema_migrate(db, &v1, "x.db", &from, &e), ERR_FAILED);
	db_close(db);
}

Test(ledger_open, a_failed_migration_leaves_the_store_as_it_was)
{
	static const struct schema_step steps[] = {
		{"CREATE TABLE meta(key TEXT PRIMARY KEY, value)", NULL},
		{"CREATE TABLE half(a)", fail},
	};
	const struct schema v1 = {steps, 1, "x.db"}, v2 = {steps, 2, "x.db"};
	sqlite3 *db;
	unsigned from;
	uint64_t n = 9;
	struct err e = {0};
	cr_assert_eq(db_open(&db, store_path(&s, "x.db"), DB_JOURNAL, NULL), SQLITE_OK);
	cr_assert_eq(schema_migrate(db, &v1, "x.db", &from, &e), 0);
	cr_assert_eq(schema_migrate(db, &v2, "x.db", &from, &e), ERR_FAILED);
	cr_assert(strstr(e.what, "cannot migrate"), "%s", e.what);
	db_int(db, "PRAGMA user_version", &n);
	cr_assert_eq(n, 1);
	db_int(db, "SELECT count(*) FROM sqlite_schema WHERE name='half'", &n);
	cr_assert_eq(n, 0);
	db_close(db);
}

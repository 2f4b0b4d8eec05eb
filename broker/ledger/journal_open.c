/* journal_open.c - see journal_open.h.
 *
 * A journal is refused rather than repaired: what it promises is that nothing acknowledged is lost,
 * and only a person can decide to go on without a part of it. Looked at here: the file's head, the
 * schema, and the last rows of each table (where a torn write would be); the whole structure only if
 * it was not closed in order and is small. The rest is looked at when read: each commit and
 * blob is verified against its digest. */
#include "broker/ledger/journal_open.h"

#include "broker/ledger/schema.h"
#include "broker/ledger/state.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include "common/rand.h"
#include "version.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK_ALL_MAX (32u << 20) /* bytes: about 0.1 s */
#define LOG_RESERVE (4u << 20)	  /* bytes of the log that exist before they are needed */

static int damaged(const char *path, const char *why, struct err *e)
{
	err_set(e, ERR_FAILED, "%s is damaged: %s", path, why);
	err_next(e, "Restore it from a backup; or move it and its -wal file away to "
		    "begin with an empty "
		    "history (the blobs in objects/ are kept, index.db is made anew).");
	return ERR_FAILED;
}

static int failed(sqlite3 *db, const char *path, int rc, const char *what, struct err *e)
{
	CLEANUP_BUF struct buf why = {0};
	db_describe(&why, db, rc);
	if (db_trouble(db, rc) == DB_DAMAGED)
		return damaged(path, buf_cstr(&why), e);
	err_set(e, ERR_FAILED, "cannot %s %s: %s", what, path, buf_cstr(&why));
	if (db_trouble(db, rc) == DB_NO_ROOM)
		err_next(e, "Make room on the disk of the store.");
	return ERR_FAILED;
}

/* holds_files() - is there anything in a folder of @dir/objects? */
static bool holds_files(const char *dir)
{
	CLEANUP_FREE char *objects = db_path(dir, "objects");
	DIR *all = opendir(objects);
	bool found = false;
	for (struct dirent *at; all && !found && (at = readdir(all));) {
		CLEANUP_FREE char *folder = db_path(objects, at->d_name);
		DIR *some = at->d_name[0] == '.' ? NULL : opendir(folder);
		for (struct dirent *in; some && !found && (in = readdir(some));)
			found = in->d_name[0] != '.';
		if (some)
			closedir(some);
	}
	if (all)
		closedir(all);
	return found;
}

/* check_emptied() - a history that begins beside blobs: of no file, somebody may have wanted that; of
 * one that lost its content nobody has. */
static int check_emptied(const char *dir, const char *path, bool was_there, struct err *e)
{
	CLEANUP_BUF struct buf log = {0};
	struct stat st;
	buf_printf(&log, "%s-wal", path);
	/* All of a young one may be in its log. */
	if ((stat(buf_cstr(&log), &st) == 0 && st.st_size > 0) || !holds_files(dir))
		return 0;
	if (!was_there) {
		log_warn("an empty history begins beside the blobs of an earlier one",
			 "objects=%s/objects next=\"%s\"", dir,
			 "if that is not wanted, restore meta.db from a backup before "
			 "the next gc, which removes them");
		return 0;
	}
	err_set(e, ERR_FAILED,
		"%s is empty, but there are blobs in objects/: what ran is not known "
		"any more",
		path);
	err_next(e, "Restore it from a backup; or remove it to begin with an empty "
		    "history (the blobs in objects/ are kept until the next gc).");
	return ERR_FAILED;
}

/* check_file() - before SQLite has it open (closing any descriptor of the file would drop the locks
 * that SQLite holds on it). Makes an empty one that only we may read. */
static int check_file(const char *dir, const char *path, struct err *e)
{
	static const char magic[16] = "SQLite format 3";
	char head[16];
	if (access(dir, W_OK | X_OK) < 0) {
		err_set(e, ERR_FAILED, "cannot write in the store %s: %s", dir,
			strerror(errno));
		err_next(e, "Make it yours (chown, chmod u+rwx), or choose another with "
			    "--store DIR.");
		return ERR_FAILED;
	}
	bool was_there = access(path, F_OK) == 0;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		err_set(e, ERR_FAILED, "cannot open %s: %s", path, strerror(errno));
		err_next(e, "Make it yours (chown, chmod u+rw), or choose another with "
			    "--store DIR.");
		return ERR_FAILED;
	}
	int64_t n = fs_read_full(fd, head, sizeof head);
	int error = errno;
	close(fd);
	if (n < 0)
		return err_set(e, ERR_FAILED, "cannot read %s: %s", path,
			       strerror(error));
	if (n > 0 && (n < 16 || memcmp(head, magic, 16) != 0))
		return damaged(path, "it is not a database", e);
	return n == 0 ? check_emptied(dir, path, was_there, e) : 0;
}

/* check_last() - the last rows can be read and are what was written: columns number, digest, bytes.
 * @why: what is wrong with the content, "" if nothing. */
static int check_last(sqlite3 *db, const char *path, const char *sql, char *why,
		      size_t size, struct err *e)
{
	sqlite3_stmt *stmt = NULL;
	uint8_t digest[DIGEST_SIZE];
	why[0] = '\0';
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
	while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		rc = SQLITE_OK;
		sha256_digest(sqlite3_column_blob(stmt, 2),
			      (size_t)sqlite3_column_bytes(stmt, 2), digest);
		if (sqlite3_column_bytes(stmt, 1) != DIGEST_SIZE ||
		    memcmp(sqlite3_column_blob(stmt, 1), digest, DIGEST_SIZE) != 0)
			snprintf(why, size, "row %" PRId64 " is not what was written",
				 (int64_t)sqlite3_column_int64(stmt, 0));
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE || rc == SQLITE_OK ? 0 : failed(db, path, rc, "read", e);
}

/* check_content() - the end of the history is where a disk that lied about a sync shows. A wrong
 * small blob costs a task's second run and no more, so it refuses nothing. */
static int check_content(sqlite3 *db, const char *path, struct err *e)
{
	char why[128], text[160];
	int err = check_last(
		db, path,
		"SELECT seq, digest, bytes FROM inline ORDER BY seq DESC LIMIT 8", why,
		sizeof why, e);
	if (!err && why[0])
		log_error("small blob found damaged", "what=\"%s\"", why);
	if (!err)
		err = check_last(
			db, path,
			"SELECT seq, hash, body FROM commits ORDER BY seq DESC LIMIT 8",
			why, sizeof why, e);
	if (err || !why[0])
		return err;
	snprintf(text, sizeof text, "commit %s", why);
	return damaged(path, text, e);
}

static int check_all(sqlite3 *db, const char *path, struct err *e)
{
	sqlite3_stmt *stmt = NULL;
	char why[256] = "";
	int rc = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &stmt, NULL);
	if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(stmt, 0);
		if (text && strcmp(text, "ok") != 0)
			snprintf(why, sizeof why, "%s", text);
		rc = SQLITE_OK;
	}
	sqlite3_finalize(stmt);
	if (why[0])
		return damaged(path, why, e);
	return rc == SQLITE_OK || rc == SQLITE_DONE ? 0 : failed(db, path, rc, "read", e);
}

static int check(sqlite3 *db, const char *path, struct err *e)
{
	static const char *const heads[] = {
		"SELECT max(batch) FROM batches",
		"SELECT max(batch) FROM chunks",
		"SELECT max(batch) FROM ends",
		"SELECT max(batch) FROM leases",
		"SELECT max(batch) FROM batches WHERE ended_wall_ms IS NULL",
	};
	uint64_t clean = 0, pages = 0, page_size = 0, value;
	int rc = db_int(db, "SELECT value FROM meta WHERE key='clean'", &clean);
	for (size_t i = 0; i < ARRAY_LEN(heads) && rc == SQLITE_OK; i++)
		rc = db_int(db, heads[i], &value);
	if (rc == SQLITE_OK)
		rc = db_int(db, "PRAGMA page_count", &pages);
	if (rc == SQLITE_OK)
		rc = db_int(db, "PRAGMA page_size", &page_size);
	if (rc != SQLITE_OK)
		return failed(db, path, rc, "read", e);
	int err = check_content(db, path, e);
	if (!err && !clean && pages * page_size <= CHECK_ALL_MAX)
		err = check_all(db, path, e);
	return err;
}

/* ---- settings ---- */

static int set_blob(sqlite3 *db, const char *key, const void *data, size_t size)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, "INSERT OR REPLACE INTO meta VALUES(?1, ?2)", -1,
				    &stmt, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_bind_text(stmt, 1, key, -1, SQLITE_STATIC);
		sqlite3_bind_blob64(stmt, 2, data, size, SQLITE_STATIC);
		rc = db_run(stmt);
	}
	sqlite3_finalize(stmt);
	return rc;
}

static int set_text(sqlite3 *db, const char *key, const char *text)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, "INSERT OR REPLACE INTO meta VALUES(?1, ?2)", -1,
				    &stmt, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_bind_text(stmt, 1, key, -1, SQLITE_STATIC);
		sqlite3_bind_text(stmt, 2, text, -1, SQLITE_STATIC);
		rc = db_run(stmt);
	}
	sqlite3_finalize(stmt);
	return rc;
}

/* get_blob() - Return: SQLITE_NOTFOUND if it is not there or of another size. */
static int get_blob(sqlite3 *db, const char *key, void *out, size_t size)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, "SELECT value FROM meta WHERE key=?1", -1, &stmt,
				    NULL);
	if (rc == SQLITE_OK) {
		sqlite3_bind_text(stmt, 1, key, -1, SQLITE_STATIC);
		rc = sqlite3_step(stmt);
		if (rc == SQLITE_ROW && (size_t)sqlite3_column_bytes(stmt, 0) == size) {
			memcpy(out, sqlite3_column_blob(stmt, 0), size);
			rc = SQLITE_OK;
		} else if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
			rc = SQLITE_NOTFOUND;
		}
	}
	sqlite3_finalize(stmt);
	return rc;
}

static int begin_boot(sqlite3 *db, struct ledger_info *info)
{
	uint64_t boot = 0, clean = 0;
	struct journal_state state = {0};
	char sql[128];
	int rc = db_exec(db, "BEGIN IMMEDIATE");
	if (rc == SQLITE_OK && info->created) {
		rand_bytes(info->store_id, sizeof info->store_id);
		rand_bytes(info->mac_key, sizeof info->mac_key);
		rc = set_blob(db, "store_id", info->store_id, sizeof info->store_id);
		if (rc == SQLITE_OK)
			rc = set_blob(db, "mac_key", info->mac_key, sizeof info->mac_key);
		if (rc == SQLITE_OK)
			rc = set_text(db, "created_by", CASHET_VERSION);
	} else if (rc == SQLITE_OK) {
		rc = get_blob(db, "store_id", info->store_id, sizeof info->store_id);
		if (rc == SQLITE_OK)
			rc = get_blob(db, "mac_key", info->mac_key, sizeof info->mac_key);
	}
	if (rc == SQLITE_OK)
		rc = set_text(db, "version", CASHET_VERSION);
	if (rc == SQLITE_OK)
		rc = db_int(db, "SELECT value FROM meta WHERE key='boot'", &boot);
	if (rc == SQLITE_OK)
		rc = db_int(db, "SELECT value FROM meta WHERE key='clean'", &clean);
	info->boot = boot + 1;
	info->clean = clean;
	snprintf(sql, sizeof sql,
		 "INSERT OR REPLACE INTO meta VALUES('boot', %" PRIu64 "), ('clean', 0)",
		 info->boot);
	if (rc == SQLITE_OK)
		rc = db_exec(db, sql);
	/* What an import has left that did not come to its end. */
	if (rc == SQLITE_OK)
		rc = db_exec(db, "DELETE FROM staged");
	if (rc == SQLITE_OK)
		rc = state_read(db, &state);
	info->next_commit = state.mark.commit + 1;
	info->next_batch = state.mark.batch + 1;
	if (rc == SQLITE_OK)
		rc = db_exec(db, "COMMIT");
	return rc;
}

/* reserve_log() - let the first megabytes of the log exist: a sync of a file that does not grow is
 * half as long (no metadata to write). SQLite reads a log up to the first frame whose checksum is
 * wrong, so zeros behind its end mean nothing. Failing is harmless. */
static void reserve_log(const char *path)
{
	CLEANUP_BUF struct buf log = {0}, zeros = {0};
	struct stat st;
	buf_printf(&log, "%s-wal", path);
	int fd = open(buf_cstr(&log), O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && st.st_size < LOG_RESERVE) {
		size_t size = LOG_RESERVE - (size_t)st.st_size;
		uint8_t *at = buf_reserve(&zeros, size);
		if (at) {
			memset(at, 0, size);
			if (pwrite(fd, at, size, st.st_size) < 0 || fsync(fd) < 0)
				log_debug("log not reserved", "error=%s",
					  strerror(errno));
		}
	}
	close(fd);
}

int journal_open(sqlite3 **dbp, const char *dir, struct ledger_info *info, struct err *e)
{
	CLEANUP_FREE char *path = db_path(dir, "meta.db");
	sqlite3 *db = NULL;
	unsigned from = 0;
	struct err why;
	if (check_file(dir, path, e))
		return ERR_FAILED;
	int rc = db_open(&db, path, DB_JOURNAL, &why);
	if (rc != SQLITE_OK) {
		if (db_trouble(NULL, rc) == DB_DAMAGED)
			return damaged(path, sqlite3_errstr(rc), e);
		if (e)
			*e = why;
		return ERR_FAILED;
	}
	int err = schema_migrate(db, &schema_journal, path, &from, e);
	if (!err && from > 0)
		err = check(db, path, e);
	if (!err) {
		info->created = from == 0;
		rc = begin_boot(db, info);
		if (rc == SQLITE_NOTFOUND)
			err = damaged(path, "its store id or key is missing", e);
		else if (rc != SQLITE_OK)
			err = failed(db, path, rc, "write", e);
	}
	if (!err) {
		int n = fs_sync_dir(dir);
		if (n < 0)
			err = err_set(e, ERR_FAILED, "cannot sync %s: %s", dir,
				      strerror(-n));
	}
	if (err) {
		db_close(db);
		return ERR_FAILED;
	}
	/* Begin with an empty log: a long one was left by a crash. */
	sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	reserve_log(path);
	*dbp = db;
	return 0;
}

void journal_close_clean(sqlite3 *db)
{
	int rc = db_exec(db, "UPDATE meta SET value=1 WHERE key='clean'");
	if (rc == SQLITE_OK)
		rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL,
					       NULL);
	if (rc != SQLITE_OK)
		log_warn("journal not tidied", "error=%s", sqlite3_errstr(rc));
	db_close(db);
}

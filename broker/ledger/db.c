/* db.c - see db.h. */
#include "broker/ledger/db.h"

#include "common/pure/mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Measured: a commit costs 5 to 20 % less time with 8 KiB than with 4 KiB (fewer frames for the same
 * rows); with 16 KiB no less, and a group of one row writes twice as much. */
#define PAGE_SIZE 8192
#define BUSY_TIMEOUT_MS 5000

static pthread_once_t configured = PTHREAD_ONCE_INIT;

/* Counting memory takes a lock in each allocation of each thread; and room for 20 pages at once is more
 * than a command that asks one question reads. Refused, harmlessly, if SQLite was used in this
 * process before. */
static void configure(void)
{
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	sqlite3_config(SQLITE_CONFIG_PAGECACHE, (void *)NULL, 0, 0);
	sqlite3_initialize();
}

char *db_path(const char *dir, const char *name)
{
	size_t size = strlen(dir) + 1 + strlen(name) + 1;
	char *path = mem_alloc(size);
	snprintf(path, size, "%s/%s", dir, name);
	return path;
}

static int set_up(sqlite3 *db, enum db_mode mode)
{
	sqlite3_extended_result_codes(db, 1);
	sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
	char sql[512];
	if (mode == DB_READ || mode == DB_LOOK) {
		/* A reader that closes last must not checkpoint either. */
		sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		return db_exec(db, "PRAGMA query_only=ON; PRAGMA cache_size=-16384;"
				   "PRAGMA mmap_size=0");
	}
	snprintf(sql, sizeof sql,
		 "PRAGMA page_size=%d; PRAGMA auto_vacuum=NONE; PRAGMA journal_mode=WAL;"
		 "PRAGMA synchronous=%s; PRAGMA wal_autocheckpoint=0; PRAGMA mmap_size=0;"
		 "PRAGMA cache_size=-%d; PRAGMA temp_store=MEMORY; PRAGMA "
		 "secure_delete=OFF;"
		 "PRAGMA journal_size_limit=%d",
		 PAGE_SIZE, mode == DB_JOURNAL ? "FULL" : "NORMAL",
		 mode == DB_JOURNAL ? 32768 : 65536, 64 << 20);
	return db_exec(db, sql);
}

/* has_log() - is there a write-ahead log with anything in it? */
static bool has_log(const char *path)
{
	CLEANUP_BUF struct buf log = {0};
	struct stat st;
	buf_printf(&log, "%s-wal", path);
	return stat(buf_cstr(&log), &st) == 0 && st.st_size > 0;
}

static void add_uri(struct buf *out, const char *path, const char *query)
{
	buf_add_str(out, "file:");
	for (; *path; path++) {
		if (strchr("%?#", *path))
			buf_printf(out, "%%%02x", (unsigned char)*path);
		else
			buf_add_byte(out, (uint8_t)*path);
	}
	buf_printf(out, "?%s", query);
}

/* look() - SQLite makes the files of a log where they are missing, even to read. Without a log
 * there is no need of them. With one, what a crash left there is read, its index in memory; where
 * that cannot be (the index's file is gone) they are made after all. */
static int look(sqlite3 **dbp, const char *path)
{
	uint64_t version;
	int rc = SQLITE_OK;
	const char *const queries[] = {has_log(path) ? "readonly_shm=1" : "immutable=1",
				       "mode=ro"};
	for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
		CLEANUP_BUF struct buf uri = {0};
		add_uri(&uri, path, queries[i]);
		db_close(*dbp);
		rc = sqlite3_open_v2(buf_cstr(&uri), dbp,
				     SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READONLY |
					     SQLITE_OPEN_URI,
				     NULL);
		if (rc == SQLITE_OK)
			rc = set_up(*dbp, DB_LOOK);
		if (rc == SQLITE_OK)
			rc = db_int(*dbp, "PRAGMA schema_version", &version);
		if ((rc & 0xff) != SQLITE_CANTOPEN && (rc & 0xff) != SQLITE_READONLY)
			break;
	}
	return rc;
}

static int open_plainly(sqlite3 **dbp, const char *path, enum db_mode mode)
{
	int flags = SQLITE_OPEN_NOMUTEX |
		    (mode == DB_READ ? SQLITE_OPEN_READONLY
				     : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
	int rc = sqlite3_open_v2(path, dbp, flags, NULL);
	return rc == SQLITE_OK ? set_up(*dbp, mode) : rc;
}

int db_open(sqlite3 **dbp, const char *path, enum db_mode mode, struct err *e)
{
	pthread_once(&configured, configure);
	sqlite3 *db = NULL;
	*dbp = NULL;
	int rc = mode == DB_LOOK ? look(&db, path) : open_plainly(&db, path, mode);
	if (rc == SQLITE_OK) {
		*dbp = db;
		return rc;
	}
	CLEANUP_BUF struct buf why = {0};
	db_describe(&why, db, rc);
	err_set(e, ERR_FAILED, "cannot open %s: %s", path, buf_cstr(&why));
	db_close(db);
	return rc;
}

void db_close(sqlite3 *db)
{
	int rc = sqlite3_close(db);
	assert(rc == SQLITE_OK);
	(void)rc;
}

int db_exec(sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

int db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **stmtp)
{
	return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, stmtp, NULL);
}

int db_int(sqlite3 *db, const char *sql, uint64_t *value)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW && sqlite3_column_type(stmt, 0) != SQLITE_NULL)
		*value = (uint64_t)sqlite3_column_int64(stmt, 0);
	int end = sqlite3_finalize(stmt);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? end : rc;
}

int db_run(sqlite3_stmt *stmt)
{
	int rc = sqlite3_step(stmt);
	int end = sqlite3_reset(stmt);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : end;
}

enum db_trouble db_trouble(sqlite3 *db, int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return DB_FINE;
	case SQLITE_FULL:
		return DB_NO_ROOM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return DB_DAMAGED;
	case SQLITE_IOERR: {
		/* After a failed fsync the kernel may have thrown the pages away and would call the next
		 * one a success: never tried again, whatever the reason was. */
		if (rc == SQLITE_IOERR_FSYNC || rc == SQLITE_IOERR_DIR_FSYNC)
			return DB_FAILED;
		int error = sqlite3_system_errno(db);
		return error == ENOSPC || error == EDQUOT ? DB_NO_ROOM : DB_FAILED;
	}
	default:
		return DB_FAILED;
	}
}

int db_errno(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_CANTOPEN:
		return -ENOENT;
	default:
		return -EIO;
	}
}

void db_describe(struct buf *out, sqlite3 *db, int rc)
{
	const char *text = db && sqlite3_extended_errcode(db) == rc ? sqlite3_errmsg(db)
								    : sqlite3_errstr(rc);
	buf_printf(out, "%s (code %d)", text, rc);
	int error = db ? sqlite3_system_errno(db) : 0;
	if (error)
		buf_printf(out, ": %s", strerror(error));
}

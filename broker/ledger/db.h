/* db.h - SQLite as the ledger uses it: one connection per thread without SQLite's own locks, WAL,
 * checkpoints only when we say so. Functions return SQLite's (extended) result codes unless said
 * otherwise; they stay inside broker/ledger. */
#pragma once

#include "common/err.h"
#include "common/pure/buf.h"

#include <sqlite3.h>

enum db_mode {
	DB_JOURNAL, /* writes and checkpoints; each commit is on disk when it returns */
	DB_INDEX, /* writes and checkpoints; may lose its last transactions, never its order */
	DB_READ, /* reads only, never checkpoints */
	/* The same for a program that does not own the store, with no trace left in it: while nobody
	 * serves it, which the caller sees to before and afterwards. */
	DB_LOOK,
};

enum db_trouble {
	DB_FINE,
	DB_NO_ROOM, /* disk or quota is full: the same again works once there is room */
	DB_DAMAGED, /* not a database, or its structure is broken */
	DB_FAILED, /* anything else; a failed fsync above all: what is on disk is not known */
};

/** db_open() - Return: SQLITE_OK, *dbp is the caller's; otherwise *dbp is NULL and @e says why.
 * The code of a file that is no database or broken is SQLITE_NOTADB or SQLITE_CORRUPT. */
int db_open(sqlite3 **dbp, const char *path, enum db_mode mode, struct err *e);
/** db_close() - also for NULL; every statement must have been finalized. */
void db_close(sqlite3 *db);
int db_exec(sqlite3 *db, const char *sql);
int db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **stmtp); /* for long use */
/** db_int() - first column of the first row; @value is left alone if there is none or it is NULL. */
int db_int(sqlite3 *db, const char *sql, uint64_t *value);
/** db_run() - step a statement that gives no rows, and reset it. */
int db_run(sqlite3_stmt *stmt);
enum db_trouble db_trouble(sqlite3 *db, int rc);
/** db_errno() - for readers. Return: the negative errno that stands for @rc. */
int db_errno(int rc);
/** db_describe() - append "database disk image is malformed (code 11)" and the like. */
void db_describe(struct buf *out, sqlite3 *db, int rc);
/** db_path() - "@dir/@name"; the caller frees it. */
char *db_path(const char *dir, const char *name);

/* schema.c - see schema.h.
 *
 * The journal is append-ordered: every key ascends, none is random, so that pages are filled once
 * and never rewritten. What needs look-up by a random key is in index.db (see index.h).
 *
 *   meta     settings: store_id, mac_key, boot, version (that opened it last), created_by, clean (1
 *            after an orderly close), state (state.h: counters, and the highest numbers ever
 *            given: they are never used twice)
 *   batches  sealed 0: still being sent; ended_wall_ms NULL: still running; counts: CBOR
 *            paused: 0 never; n > 0: it is, as the first tasks of its function n - 1 all failed; -1: it
 *            was, and goes on
 *   chunks   SubmitChunk as received; raw_size > 0: @body is a zstd frame of that many bytes
 *   ends     rows of packed struct ledger_end (pack.h), what one group ended of one batch; wall_ms is
 *            NULL in rows of old stores
 *   leases   rows of packed struct ledger_lease; gone when the batch has ended
 *   checkpoints  a packed struct ledger_checkpoint; seq: index + 1; gone when the batch has ended
 *   commits  current 1: found by its fingerprint, until a later one of the same; hash: of @body
 *   inline   small blobs
 *   batch_tags   keys (tags.h) of the tags in a chunk
 *   commit_tags  tags that came with an imported commit (tags.h)
 *   pins     names that stand for commits
 *   staged   commits of an import that is not complete
 *   use      commits that were hit: when last, how often; see journal_chores.c
 *   changes  what happened to rows that the index may have already (gap.h); goes when it surely has
 *            heard of it
 * seq of ends and leases is boot << 32 | counter: ascending over restarts without being looked up. */
#include "broker/ledger/schema.h"

#include "common/log.h"
#include "version.h"

#include <stdio.h>
#include <string.h>

static const char version_1[] =
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
	"CREATE TABLE batches(batch INTEGER PRIMARY KEY, id BLOB NOT NULL,"
	"  client_key BLOB NOT NULL, request BLOB NOT NULL, sealed INTEGER NOT NULL "
	"DEFAULT 0,"
	"  task_count INTEGER NOT NULL DEFAULT 0, chunk_count INTEGER NOT NULL DEFAULT 0,"
	"  ended_wall_ms INTEGER, counts BLOB);"
	"CREATE INDEX open_batches ON batches(batch) WHERE ended_wall_ms IS NULL;"
	"CREATE TABLE chunks(batch INTEGER, chunk INTEGER, raw_size INTEGER NOT NULL,"
	"  body BLOB NOT NULL, PRIMARY KEY(batch, chunk)) WITHOUT ROWID;"
	"CREATE TABLE ends(batch INTEGER, seq INTEGER, entries BLOB NOT NULL,"
	"  PRIMARY KEY(batch, seq)) WITHOUT ROWID;"
	"CREATE TABLE leases(batch INTEGER, seq INTEGER, entries BLOB NOT NULL,"
	"  PRIMARY KEY(batch, seq)) WITHOUT ROWID;"
	"CREATE TABLE commits(seq INTEGER PRIMARY KEY, current INTEGER NOT NULL,"
	"  hash BLOB NOT NULL, body BLOB NOT NULL);"
	"CREATE TABLE inline(seq INTEGER PRIMARY KEY, digest BLOB NOT NULL, bytes BLOB "
	"NOT NULL);";

static const char version_2[] =
	"ALTER TABLE batches ADD COLUMN paused INTEGER NOT NULL DEFAULT 0";

static const char version_3[] =
	"CREATE TABLE checkpoints(batch INTEGER, seq INTEGER, entries BLOB NOT NULL,"
	"  PRIMARY KEY(batch, seq)) WITHOUT ROWID;";

/* To change the schema, append a step; never edit one that was released. Readers of index.db know
 * nothing of these versions: if the change touches what is indexed, raise INDEX_VERSION too. */
static const struct schema_step journal_steps[] = {
	{version_1, NULL},
	{version_2, NULL},
	{version_3, NULL},
	{schema_history_sql, schema_history_count},
};

const struct schema schema_journal = {journal_steps, ARRAY_LEN(journal_steps), "meta.db"};

/* The table meta has had these columns since version 1, and will. */
static void read_writer(sqlite3 *db, char *out, size_t size)
{
	snprintf(out, size, "of an unknown version");
	sqlite3_stmt *stmt = NULL;
	if (sqlite3_prepare_v2(db, "SELECT value FROM meta WHERE key='version'", -1,
			       &stmt, NULL) == SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW)
		snprintf(out, size, "%s", (const char *)sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
}

static int step_up(sqlite3 *db, const struct schema_step *step, unsigned to)
{
	char sql[64];
	snprintf(sql, sizeof sql, "PRAGMA user_version=%u", to);
	int rc = db_exec(db, "BEGIN IMMEDIATE");
	if (rc == SQLITE_OK && step->sql)
		rc = db_exec(db, step->sql);
	if (rc == SQLITE_OK && step->run)
		rc = step->run(db);
	if (rc == SQLITE_OK)
		rc = db_exec(db, sql);
	if (rc == SQLITE_OK)
		rc = db_exec(db, "COMMIT");
	return rc;
}

static int failed(sqlite3 *db, int rc, const char *path, const char *what, struct err *e)
{
	CLEANUP_BUF struct buf why = {0};
	db_describe(&why, db, rc);
	return err_set(e, ERR_FAILED, "cannot %s %s: %s", what, path, buf_cstr(&why));
}

int schema_migrate(sqlite3 *db, const struct schema *schema, const char *path,
		   unsigned *fromp, struct err *e)
{
	uint64_t version = 0, tables = 0;
	int rc = db_int(db, "PRAGMA user_version", &version);
	if (rc == SQLITE_OK)
		rc = db_int(db, "SELECT count(*) FROM sqlite_schema", &tables);
	if (rc != SQLITE_OK)
		return failed(db, rc, path, "read", e);
	if (version > schema->count) {
		char writer[64];
		read_writer(db, writer, sizeof writer);
		err_set(e, ERR_FAILED,
			"%s was written by a newer cashet, %s (schema %u; this is cashet "
			"%s, schema "
			"%u)",
			path, writer, (unsigned)version, CASHET_VERSION, schema->count);
		err_next(e, "Use that version, or another store (--store DIR).");
		return ERR_FAILED;
	}
	if (version == 0 && tables > 0) {
		err_set(e, ERR_FAILED, "%s is a database, but not a cashet store", path);
		err_next(e, "Choose another folder with --store DIR.");
		return ERR_FAILED;
	}
	*fromp = (unsigned)version;
	for (unsigned at = (unsigned)version; at < schema->count; at++) {
		rc = step_up(db, &schema->steps[at], at + 1);
		if (rc != SQLITE_OK) {
			int err = failed(db, rc, path, at ? "migrate" : "create", e);
			if (!sqlite3_get_autocommit(db))
				db_exec(db, "ROLLBACK");
			return err;
		}
		if (version > 0)
			log_info("store migrated", "file=%s schema=%u", schema->name,
				 at + 1);
	}
	return 0;
}

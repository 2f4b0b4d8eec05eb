/* reader.c - see reader.h: connections and snapshots. */
#include "broker/ledger/reader.h"

#include "broker/ledger/impl.h"
#include "broker/ledger/schema.h"
#include "broker/ledger/state.h"
#include "common/log.h"
#include "common/pure/mem.h"
#include "version.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH_COLUMNS                                                                    \
	"batch, id, client_key, request, sealed, task_count, chunk_count, "              \
	"ended_wall_ms, counts, paused "

#define ROW_COLUMNS                                                                      \
	"c.seq, c.hash, c.body, u.last_used_ms, u.hits FROM commits c "                  \
	"LEFT JOIN use u ON u.seq=c.seq "

/* Rows of several columns are read a page at a time: see reader_batches.c. */
static const char *const sql[R_COUNT] = {
	[R_META_BEGIN] = "BEGIN",
	[R_META_END] = "COMMIT",
	[R_INDEX_BEGIN] = "BEGIN",
	[R_INDEX_END] = "COMMIT",
	[R_COMMIT] = "SELECT hash, body FROM commits WHERE seq=?1",
	[R_BLOB] = "SELECT digest, bytes FROM inline WHERE seq=?1",
	[R_BATCH] = "SELECT " BATCH_COLUMNS "FROM batches WHERE batch=?1",
	[R_CHUNK] = "SELECT raw_size, body FROM chunks WHERE batch=?1 AND chunk=?2",
	[R_CHUNK_COUNT] = "SELECT max(chunk) + 1 FROM chunks WHERE batch=?1",
	[R_HAS_TAGS] = "SELECT 1 FROM batch_tags WHERE batch=?1 LIMIT 1",
	[R_ENDS] = "SELECT seq, entries FROM ends WHERE batch=?1 AND seq>?2 ORDER BY seq "
		   "LIMIT 1",
	[R_LEASES] = "SELECT seq, entries FROM leases WHERE batch=?1 AND seq>?2 ORDER BY "
		     "seq LIMIT 1",
	[R_CHECKPOINTS] = "SELECT seq, entries FROM checkpoints WHERE batch=?1 AND "
			  "seq>?2 ORDER BY seq LIMIT 1",
	[R_NEWEST] =
		"SELECT batch FROM batches WHERE sealed=1 ORDER BY batch DESC LIMIT 1",
	[R_LIST] = "SELECT " BATCH_COLUMNS "FROM batches WHERE sealed=1 AND batch<?1 "
		   "ORDER BY batch DESC LIMIT ?2",
	[R_STATE] = "SELECT value FROM meta WHERE key='state'",
	[R_ROW] = "SELECT " ROW_COLUMNS "WHERE c.seq=?1",
	[R_NEWER] = "SELECT " ROW_COLUMNS "WHERE c.seq>?1 ORDER BY c.seq LIMIT ?2",
	[R_OLDER] = "SELECT " ROW_COLUMNS "WHERE c.seq<?1 ORDER BY c.seq DESC LIMIT ?2",
	[R_RECENT_ENDS] =
		"SELECT seq, wall_ms, entries FROM ends WHERE seq>?1 ORDER BY seq LIMIT "
		"?2",
	[R_COMMIT_TAGS] = "SELECT entries FROM commit_tags WHERE seq=?1",
	[R_PIN] = "SELECT hash FROM pins WHERE name=?1",
	[R_PINS] = "SELECT name, hash, wall_ms FROM pins WHERE name>?1 ORDER BY name "
		   "LIMIT 1",
	[R_INLINE] = "SELECT seq, digest, length(bytes) FROM inline WHERE seq>?1 ORDER "
		     "BY seq LIMIT ?2",
	[R_OPEN] = "SELECT " BATCH_COLUMNS
		   "FROM batches WHERE ended_wall_ms IS NULL AND batch>?1 "
		   "ORDER BY batch LIMIT ?2",
	[R_FP] = "SELECT seq, expires_wall_ms FROM fp WHERE key=?1",
	[R_HASH] = "SELECT seq, 0 FROM hash WHERE key=?1",
	[R_BLOB_SEQ] = "SELECT seq, 0 FROM blob WHERE key=?1",
	[R_BATCH_NUMBER] = "SELECT seq, 0 FROM batch WHERE key=?1",
	[R_HASH_RANGE] = "SELECT seq, key FROM hash WHERE key BETWEEN ?1 AND ?2 LIMIT ?3",
	[R_NAME_FIRST] = "SELECT seq FROM name WHERE key=?1 AND seq>=?2 ORDER BY seq "
			 "LIMIT 1",
	[R_NAMES] = "SELECT seq, entries FROM name WHERE key=?1 AND seq<?2 ORDER BY seq "
		    "DESC LIMIT ?3",
	[R_RUNS] = "SELECT seq FROM run WHERE key=?1 AND seq<?2 ORDER BY seq DESC LIMIT "
		   "?3",
	[R_TAGS] = "SELECT seq FROM tag WHERE key=?1 AND seq<?2 ORDER BY seq DESC LIMIT "
		   "?3",
	[R_BATCH_RANGE] =
		"SELECT seq, key FROM batch WHERE key BETWEEN ?1 AND ?2 LIMIT ?3",
};

int reader_errno(struct ledger_reader *r, sqlite3 *db, int rc)
{
	if (db == r->index && r->ledger && db_trouble(db, rc) == DB_DAMAGED)
		ledger_condemn_index(r->ledger, sqlite3_errstr(rc));
	if (db_trouble(db, rc) != DB_FINE)
		log_error("ledger not readable", "file=%s error=\"%s\"",
			  db == r->index ? "index.db" : "meta.db", sqlite3_errstr(rc));
	return db_errno(rc);
}

/* ---- open and close ---- */

static int prepare_one(struct ledger_reader *r, size_t i)
{
	return db_prepare(i <= R_OPEN ? r->meta : r->index, sql[i], &r->stmts[i]);
}

sqlite3_stmt *reader_stmt(struct ledger_reader *r, enum reader_stmt which)
{
	if (!r->stmts[which])
		prepare_one(r, which);
	return r->stmts[which];
}

static int prepare(struct ledger_reader *r, struct err *e)
{
	int rc = SQLITE_OK;
	size_t count = r->index ? R_COUNT : R_OPEN + 1;
	/* A program that asks one question would spend most of its time here. */
	for (size_t i = 0; r->ledger && i < count && rc == SQLITE_OK; i++)
		rc = prepare_one(r, i);
	if (!r->ledger)
		r->scan = gap_scan_new(r->meta);
	if (rc == SQLITE_OK)
		return 0;
	return err_set(e, ERR_FAILED, "cannot read the store %s: %s", r->dir,
		       sqlite3_errstr(rc));
}

/* check_version() - of a store that we only read: any other schema is refused. */
static int check_version(struct ledger_reader *r, struct err *e)
{
	uint64_t version = 0;
	int rc = db_int(r->meta, "PRAGMA user_version", &version);
	if (rc != SQLITE_OK)
		return err_set(e, ERR_FAILED, "cannot read %s/meta.db: %s", r->dir,
			       sqlite3_errstr(rc));
	if (version == schema_journal.count)
		return 0;
	err_set(e, ERR_FAILED,
		"%s/meta.db has schema %" PRIu64 "; cashet %s reads schema %u", r->dir,
		version, CASHET_VERSION, schema_journal.count);
	if (version < schema_journal.count)
		err_next(e, "Start its broker once: that migrates it.");
	else
		err_next(e, "Use the version of cashet that wrote it.");
	return ERR_FAILED;
}

int reader_begin_layer(struct ledger_reader *r)
{
	uint8_t store_id[16];
	struct journal_state state;
	gap_layer_free(r->layer);
	r->layer = gap_layer_new();
	if (r->index)
		return index_read_mark(r->index, store_id, &r->layer->mark);
	/* All rows are read; what has been removed before is not among them. */
	int rc = state_read(r->meta, &state);
	r->layer->mark.change = state.mark.change;
	return rc;
}

static int open_index(struct ledger_reader *r, const char *path, struct err *e)
{
	int rc = db_open(&r->index, path, r->ledger ? DB_READ : DB_LOOK, e);
	if (r->ledger || rc != SQLITE_OK)
		return rc;
	rc = reader_begin_layer(r);
	if (rc != SQLITE_OK) {
		db_close(steal(r->index));
		rc = reader_begin_layer(r);
	}
	return rc;
}

static int open_files(struct ledger_reader *r, struct err *e)
{
	CLEANUP_FREE char *meta = db_path(r->dir, "meta.db");
	CLEANUP_FREE char *index = db_path(r->dir, "index.db");
	if (!r->ledger && access(meta, F_OK) < 0)
		return err_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_FAILED,
			       "%s is not a store: %s", r->dir, strerror(errno));
	if (db_open(&r->meta, meta, r->ledger ? DB_READ : DB_LOOK, e) != SQLITE_OK)
		return ERR_FAILED;
	if (check_version(r, e))
		return ERR_FAILED;
	int rc = open_index(r, index, e);
	if (rc == SQLITE_OK)
		return 0;
	if (r->ledger)
		return ERR_FAILED;
	/* The journal itself, then. What was said of the index does not count any more. */
	rc = reader_begin_layer(r);
	if (rc == SQLITE_OK)
		return 0;
	err_set(e, ERR_FAILED, "cannot read %s: %s", meta, sqlite3_errstr(rc));
	err_next(e, "Restore it from a backup, an archive or a copy of the store.");
	return ERR_FAILED;
}

/* ---- snapshots ---- */

static void release(struct ledger_reader *r, bool meta, bool index)
{
	if (meta && r->meta_held)
		db_run(r->stmts[R_META_END]);
	if (index && r->index_held)
		db_run(r->stmts[R_INDEX_END]);
	r->meta_held &= !meta;
	r->index_held &= !index;
}

void ledger_release_readers(struct ledger *l, bool meta, bool index)
{
	pthread_mutex_lock(&l->readers_lock);
	for (struct ledger_reader *r = l->readers; r; r = r->next) {
		pthread_mutex_lock(&r->lock);
		release(r, meta, index);
		pthread_mutex_unlock(&r->lock);
	}
	pthread_mutex_unlock(&l->readers_lock);
}

void ledger_trim_readers(struct ledger *l)
{
	pthread_mutex_lock(&l->readers_lock);
	for (struct ledger_reader *r = l->readers; r; r = r->next) {
		if (pthread_mutex_trylock(&r->lock))
			continue; /* it is being used */
		release(r, true, true);
		sqlite3_db_release_memory(r->meta);
		sqlite3_db_release_memory(r->index);
		pthread_mutex_unlock(&r->lock);
	}
	pthread_mutex_unlock(&l->readers_lock);
}

int reader_enter(struct ledger_reader *r)
{
	if (!r->ledger)
		return SQLITE_OK;
	pthread_mutex_lock(&r->lock);
	/* Loaded before the snapshot is taken, so that it is never newer than the snapshot. */
	uint64_t version = atomic_load(&r->ledger->version);
	if (r->meta_held && r->version == version)
		return SQLITE_OK;
	release(r, true, false);
	int rc = db_run(r->stmts[R_META_BEGIN]);
	r->meta_held = rc == SQLITE_OK;
	r->version = version;
	if (rc != SQLITE_OK)
		pthread_mutex_unlock(&r->lock);
	return rc;
}

int reader_enter_index(struct ledger_reader *r)
{
	if (!r->ledger)
		return SQLITE_OK;
	pthread_mutex_lock(&r->lock);
	int rc = r->index_held ? SQLITE_OK : db_run(r->stmts[R_INDEX_BEGIN]);
	r->index_held = rc == SQLITE_OK;
	if (rc != SQLITE_OK)
		pthread_mutex_unlock(&r->lock);
	return rc;
}

void reader_leave(struct ledger_reader *r)
{
	if (r->ledger)
		pthread_mutex_unlock(&r->lock);
}

static void enlist(struct ledger_reader *r)
{
	struct ledger *l = r->ledger;
	pthread_mutex_lock(&l->readers_lock);
	r->next = l->readers;
	l->readers = r;
	pthread_mutex_unlock(&l->readers_lock);
}

static void delist(struct ledger_reader *r)
{
	struct ledger *l = r->ledger;
	pthread_mutex_lock(&l->readers_lock);
	for (struct ledger_reader **at = &l->readers; *at; at = &(*at)->next)
		if (*at == r) {
			*at = r->next;
			break;
		}
	pthread_mutex_unlock(&l->readers_lock);
}

int ledger_reader_open(struct ledger_reader **readerp, struct ledger *ledger,
		       const char *dir, struct err *e)
{
	struct ledger_reader *r = mem_alloc(sizeof *r);
	r->ledger = ledger;
	pthread_mutex_init(&r->lock, NULL);
	r->dir = mem_strdup(ledger ? ledger->dir : dir);
	if (open_files(r, e) || prepare(r, e)) {
		ledger_reader_close(r);
		return ERR_FAILED;
	}
	if (ledger)
		enlist(r);
	*readerp = r;
	return 0;
}

void ledger_reader_close(struct ledger_reader *r)
{
	if (!r)
		return;
	if (r->ledger)
		delist(r);
	release(r, true, true);
	for (size_t i = 0; i < R_COUNT; i++)
		sqlite3_finalize(r->stmts[i]);
	gap_scan_free(r->scan);
	gap_layer_free(r->layer);
	db_close(r->meta);
	db_close(r->index);
	pthread_mutex_destroy(&r->lock);
	free(r->dir);
	free(r);
}

uint64_t ledger_changes(const struct ledger_reader *r)
{
	return r->ledger ? atomic_load(&r->ledger->changes) : 0;
}

/* index.c - see index.h. */
#include "broker/ledger/index.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CATCH_UP_STEP 1000000 /* entries per transaction when made anew: about 60 MiB */
#define IDLE_PAGES 512	      /* 4 MiB in the log */
#define BUSY_PAGES 8192	      /* 64 MiB */
#define WANTED_MIN 16384
#define WANTED_MAX 150000

static const char tables[] =
	"CREATE TABLE fp(key BLOB PRIMARY KEY, seq INTEGER NOT NULL,"
	"  expires_wall_ms INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE hash(key BLOB PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE blob(key BLOB PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE batch(key BLOB PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE mark(id INTEGER PRIMARY KEY CHECK(id = 1), store_id BLOB NOT NULL,"
	"  commits INTEGER NOT NULL, blobs INTEGER NOT NULL, batches INTEGER NOT NULL,"
	"  commit_hash BLOB NOT NULL, row_count INTEGER NOT NULL);";

static const char *const put_sql[GAP_KINDS] = {
	[GAP_FINGERPRINT] = "INSERT OR REPLACE INTO fp VALUES(?1, ?2, ?3)",
	[GAP_COMMIT] = "INSERT OR REPLACE INTO hash VALUES(?1, ?2)",
	[GAP_BLOB] = "INSERT OR REPLACE INTO blob VALUES(?1, ?2)",
	[GAP_BATCH] = "INSERT OR REPLACE INTO batch VALUES(?1, ?2)",
};

static const char *const companions[] = {"", "-wal", "-shm"};

void index_move_aside(const char *dir)
{
	CLEANUP_FREE char *path = db_path(dir, "index.db");
	CLEANUP_FREE char *aside = db_path(dir, "index.db.damaged");
	for (size_t i = 0; i < ARRAY_LEN(companions); i++) {
		CLEANUP_BUF struct buf from = {0}, to = {0};
		buf_printf(&from, "%s%s", path, companions[i]);
		buf_printf(&to, "%s%s", aside, companions[i]);
		unlink(buf_cstr(&to));
		/* The shared memory is of no use to anybody; the rest may be looked at. */
		if (i == 2 ? unlink(buf_cstr(&from))
			   : rename(buf_cstr(&from), buf_cstr(&to)))
			if (errno != ENOENT)
				log_warn("index not moved aside", "path=%s error=%s",
					 buf_cstr(&from), strerror(errno));
	}
}

int index_read_mark(sqlite3 *db, uint8_t store_id[16], struct gap_mark *mark)
{
	uint64_t version = 0;
	int rc = db_int(db, "PRAGMA user_version", &version);
	if (rc != SQLITE_OK)
		return rc;
	if (version != INDEX_VERSION)
		return SQLITE_NOTFOUND;
	sqlite3_stmt *stmt = NULL;
	rc = sqlite3_prepare_v2(
		db, "SELECT store_id, commits, blobs, batches, commit_hash FROM mark", -1,
		&stmt, NULL);
	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW && sqlite3_column_bytes(stmt, 0) == 16 &&
	    sqlite3_column_bytes(stmt, 4) == DIGEST_SIZE) {
		memcpy(store_id, sqlite3_column_blob(stmt, 0), 16);
		mark->commit = (uint64_t)sqlite3_column_int64(stmt, 1);
		mark->blob = (uint64_t)sqlite3_column_int64(stmt, 2);
		mark->batch = (uint64_t)sqlite3_column_int64(stmt, 3);
		memcpy(mark->commit_hash, sqlite3_column_blob(stmt, 4), DIGEST_SIZE);
		rc = SQLITE_OK;
	} else if (rc == SQLITE_DONE || rc == SQLITE_ROW) {
		rc = SQLITE_NOTFOUND;
	}
	sqlite3_finalize(stmt);
	return rc;
}

/* covers() - is @mark about this journal? One of another journal, or of a later state of it. */
static bool covers(sqlite3 *journal, const struct gap_mark *mark)
{
	uint64_t blobs = 0, batches = 0, discarded = 0;
	if (db_int(journal, "SELECT max(seq) FROM inline", &blobs) != SQLITE_OK ||
	    db_int(journal, "SELECT max(batch) FROM batches", &batches) != SQLITE_OK ||
	    db_int(journal, "SELECT value FROM meta WHERE key='top_batch'", &discarded) !=
		    SQLITE_OK ||
	    mark->blob > blobs || (mark->batch > batches && mark->batch > discarded))
		return false;
	if (mark->commit == 0)
		return true;
	sqlite3_stmt *stmt = NULL;
	bool same = false;
	if (sqlite3_prepare_v2(journal, "SELECT hash FROM commits WHERE seq=?1", -1,
			       &stmt, NULL) == SQLITE_OK) {
		sqlite3_bind_int64(stmt, 1, (int64_t)mark->commit);
		same = sqlite3_step(stmt) == SQLITE_ROW &&
		       sqlite3_column_bytes(stmt, 0) == DIGEST_SIZE &&
		       memcmp(sqlite3_column_blob(stmt, 0), mark->commit_hash,
			      DIGEST_SIZE) == 0;
	}
	sqlite3_finalize(stmt);
	return same;
}

static int on_wal(void *arg, sqlite3 *db, const char *name, int pages)
{
	(void)db;
	(void)name;
	struct index *index = arg;
	if ((uint64_t)pages < index->wal_pages)
		index->wal_done = 0; /* began anew */
	index->wal_pages = (uint64_t)pages;
	return SQLITE_OK;
}

static int prepare(struct index *index)
{
	int rc = SQLITE_OK;
	for (size_t i = 0; i < GAP_KINDS && rc == SQLITE_OK; i++)
		rc = db_prepare(index->db, put_sql[i], &index->put[i]);
	if (rc == SQLITE_OK)
		rc = db_prepare(index->db, "DELETE FROM batch WHERE key=?1 AND seq=?2",
				&index->drop_batch);
	if (rc == SQLITE_OK)
		rc = db_prepare(
			index->db,
			"INSERT OR REPLACE INTO mark VALUES(1, ?1, ?2, ?3, ?4, ?5, ?6)",
			&index->set_mark);
	if (rc == SQLITE_OK)
		rc = db_int(index->db, "SELECT row_count FROM mark", &index->rows);
	sqlite3_wal_hook(index->db, on_wal, index);
	return rc;
}

static void close_db(struct index *index)
{
	for (size_t i = 0; i < GAP_KINDS; i++)
		sqlite3_finalize(steal(index->put[i]));
	sqlite3_finalize(steal(index->drop_batch));
	sqlite3_finalize(steal(index->set_mark));
	db_close(steal(index->db));
}

void index_close(struct index *index)
{
	close_db(index);
	free(steal(index->path));
}

/* open_existing() - Return: SQLITE_OK; SQLITE_NOTFOUND if it must be made anew (@why: in a word);
 * any other code is not the file's fault. */
static int open_existing(struct index *index, sqlite3 *journal, const char **why,
			 struct err *e)
{
	uint8_t store_id[16];
	*why = "missing";
	if (access(index->path, F_OK) < 0)
		return SQLITE_NOTFOUND;
	int rc = db_open(&index->db, index->path, DB_INDEX, e);
	if (rc == SQLITE_OK)
		rc = index_read_mark(index->db, store_id, &index->mark);
	if (rc == SQLITE_OK) {
		*why = "not of this store";
		bool ours = memcmp(store_id, index->store_id, 16) == 0 &&
			    covers(journal, &index->mark);
		rc = ours ? prepare(index) : SQLITE_NOTFOUND;
	} else {
		*why = "damaged";
		if ((rc & 0xff) == SQLITE_ERROR) /* no such table */
			rc = SQLITE_NOTFOUND;
	}
	if (rc == SQLITE_OK)
		return rc;
	if (db_trouble(index->db, rc) == DB_DAMAGED)
		rc = SQLITE_NOTFOUND;
	close_db(index);
	return rc;
}

static int bind_mark(struct index *index, const struct gap_mark *mark, uint64_t rows)
{
	sqlite3_stmt *s = index->set_mark;
	sqlite3_bind_blob(s, 1, index->store_id, 16, SQLITE_STATIC);
	sqlite3_bind_int64(s, 2, (int64_t)mark->commit);
	sqlite3_bind_int64(s, 3, (int64_t)mark->blob);
	sqlite3_bind_int64(s, 4, (int64_t)mark->batch);
	sqlite3_bind_blob(s, 5, mark->commit_hash, DIGEST_SIZE, SQLITE_STATIC);
	sqlite3_bind_int64(s, 6, (int64_t)rows);
	return db_run(s);
}

static int make(struct index *index, struct err *e)
{
	char sql[64];
	snprintf(sql, sizeof sql, "PRAGMA user_version=%d", INDEX_VERSION);
	index->mark = (struct gap_mark){0};
	int fd = open(index->path, O_RDWR | O_CREAT | O_CLOEXEC,
		      0600); /* for our eyes only */
	if (fd >= 0)
		close(fd);
	int rc = db_open(&index->db, index->path, DB_INDEX, e);
	if (rc != SQLITE_OK)
		return rc;
	rc = db_exec(index->db, "BEGIN IMMEDIATE");
	if (rc == SQLITE_OK)
		rc = db_exec(index->db, tables);
	if (rc == SQLITE_OK)
		rc = db_exec(index->db, sql);
	if (rc == SQLITE_OK)
		rc = prepare(index);
	if (rc == SQLITE_OK)
		rc = bind_mark(index, &index->mark, 0);
	if (rc == SQLITE_OK)
		rc = db_exec(index->db, "COMMIT");
	return rc;
}

static int put_sorted(struct index *index, const struct gap_layer *layer,
		      enum gap_kind kind)
{
	const struct gap_map *map = &layer->maps[kind];
	CLEANUP_FREE uint32_t *places = gap_layer_sorted(layer, kind);
	int rc = SQLITE_OK;
	for (size_t i = 0; i < map->count && rc == SQLITE_OK; i++) {
		const struct gap_entry *entry = &map->items[places[i]];
		bool drop = kind == GAP_BATCH && entry->extra;
		sqlite3_stmt *s = drop ? index->drop_batch : index->put[kind];
		sqlite3_bind_blob(s, 1, entry->key, DIGEST_SIZE, SQLITE_STATIC);
		sqlite3_bind_int64(s, 2, (int64_t)entry->seq);
		if (kind == GAP_FINGERPRINT)
			sqlite3_bind_int64(s, 3, (int64_t)entry->extra);
		rc = db_run(s);
	}
	return rc;
}

int index_write(struct index *index, const struct gap_layer *layer)
{
	uint64_t rows = index->rows + layer->count;
	int rc = db_exec(index->db, "BEGIN IMMEDIATE");
	for (size_t kind = 0; kind < GAP_KINDS && rc == SQLITE_OK; kind++)
		rc = put_sorted(index, layer, kind);
	if (rc == SQLITE_OK)
		rc = bind_mark(index, &layer->mark, rows);
	if (rc == SQLITE_OK)
		rc = db_exec(index->db, "COMMIT");
	if (rc != SQLITE_OK) {
		if (!sqlite3_get_autocommit(index->db))
			db_exec(index->db, "ROLLBACK");
		return rc;
	}
	index->mark = layer->mark;
	index->rows = rows;
	return rc;
}

int index_checkpoint(struct index *index, enum index_when when)
{
	static const uint64_t enough[] = {[INDEX_BUSY] = BUSY_PAGES,
					  [INDEX_IDLE] = IDLE_PAGES,
					  [INDEX_CLOSING] = 1};
	if (index->wal_pages - index->wal_done < enough[when])
		return SQLITE_OK;
	int mode = when == INDEX_CLOSING ? SQLITE_CHECKPOINT_TRUNCATE
					 : SQLITE_CHECKPOINT_PASSIVE;
	int pages = 0, done = 0;
	int rc = sqlite3_wal_checkpoint_v2(index->db, NULL, mode, &pages, &done);
	if ((rc & 0xff) == SQLITE_BUSY)
		return SQLITE_OK; /* a reader is in the way; next time */
	index->wal_done = done > 0 ? (uint64_t)done : 0;
	return rc;
}

size_t index_wanted(const struct index *index)
{
	size_t wanted = index->rows / 16;
	return wanted < WANTED_MIN   ? WANTED_MIN
	       : wanted > WANTED_MAX ? WANTED_MAX
				     : wanted;
}

/* catch_up() - from the mark to the end of the journal. */
static int catch_up(struct index *index, sqlite3 *journal)
{
	struct gap_scan *scan = NULL;
	uint64_t began = clock_mono_ns(), written = 0;
	bool more = true, told = false;
	int rc = gap_scan_new(&scan, journal);
	while (rc == SQLITE_OK && more) {
		struct gap_layer *layer = gap_layer_new();
		layer->mark = index->mark;
		rc = gap_scan(scan, layer, CATCH_UP_STEP, &more);
		if (rc == SQLITE_OK && layer->count)
			rc = index_write(index, layer);
		if (rc == SQLITE_OK)
			rc = index_checkpoint(index, INDEX_BUSY);
		written += layer->count;
		gap_layer_free(layer);
		if (rc == SQLITE_OK && (more || told))
			log_info("index being made",
				 "entries=%" PRIu64 " commits=%" PRIu64, written,
				 index->mark.commit);
		told |= more;
	}
	gap_scan_free(scan);
	if (rc == SQLITE_OK && written)
		log_info("index brought up to date", "entries=%" PRIu64 " ms=%" PRIu64,
			 written, (uint64_t)((clock_mono_ns() - began) / NS_PER_MS));
	return rc;
}

int index_open(struct index *index, const char *dir, sqlite3 *journal,
	       const uint8_t store_id[16], bool *rebuiltp, struct err *e)
{
	const char *why = "";
	*index = (struct index){.path = db_path(dir, "index.db")};
	memcpy(index->store_id, store_id, 16);
	*rebuiltp = false;
	int rc = open_existing(index, journal, &why, e);
	if (rc == SQLITE_OK)
		rc = catch_up(index, journal);
	if (rc == SQLITE_NOTFOUND || db_trouble(index->db, rc) == DB_DAMAGED) {
		close_db(index);
		uint64_t batches = 0;
		db_int(journal, "SELECT max(batch) FROM batches", &batches);
		*rebuiltp = batches > 0;
		if (batches > 0)
			log_warn("index made anew", "path=%s was=%s", index->path,
				 rc == SQLITE_NOTFOUND ? why : "damaged");
		index_move_aside(dir);
		rc = make(index, e);
		if (rc == SQLITE_OK)
			rc = catch_up(index, journal);
	}
	if (rc == SQLITE_OK)
		return 0;
	CLEANUP_BUF struct buf text = {0};
	db_describe(&text, index->db, rc);
	err_set(e, ERR_FAILED, "cannot bring %s up to date: %s", index->path,
		buf_cstr(&text));
	if (db_trouble(index->db, rc) == DB_NO_ROOM)
		err_next(e, "Make room on the disk of the store.");
	else
		err_next(e, "It holds nothing of its own: if it cannot be used, remove "
			    "it and "
			    "start again.");
	index_close(index);
	return ERR_FAILED;
}

/* index.c - see index.h. */
#include "broker/ledger/index.h"

#include "broker/ledger/state.h"
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
#define WANTED_MIN 16384
#define WANTED_MAX 150000

static const char tables[] =
	"CREATE TABLE fp(key BLOB PRIMARY KEY, seq INTEGER NOT NULL,"
	"  expires_wall_ms INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE hash(key BLOB PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE blob(key BLOB PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE batch(key BLOB PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE name(key BLOB, seq INTEGER, entries BLOB NOT NULL,"
	"  PRIMARY KEY(key, seq)) WITHOUT ROWID;"
	"CREATE TABLE run(key BLOB, seq INTEGER, PRIMARY KEY(key, seq)) WITHOUT ROWID;"
	"CREATE TABLE tag(key BLOB, seq INTEGER, PRIMARY KEY(key, seq)) WITHOUT ROWID;"
	"CREATE TABLE mark(id INTEGER PRIMARY KEY CHECK(id = 1), store_id BLOB NOT NULL,"
	"  commits INTEGER NOT NULL, blobs INTEGER NOT NULL, batches INTEGER NOT NULL,"
	"  tags INTEGER NOT NULL, changes INTEGER NOT NULL,"
	"  commit_hash BLOB NOT NULL, row_count INTEGER NOT NULL);";

static const char *const companions[] = {"", "-wal", "-shm"};
static const char other_version[] = "of another version";

/* remove_files() - nothing is wrong with what another version wrote, so nobody wants to look at it. */
static void remove_files(const struct index *index)
{
	for (size_t i = 0; i < ARRAY_LEN(companions); i++) {
		CLEANUP_BUF struct buf path = {0};
		buf_printf(&path, "%s%s", index->path, companions[i]);
		unlink(buf_cstr(&path));
	}
}

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
		db,
		"SELECT store_id, commits, blobs, batches, commit_hash, tags, changes "
		"FROM mark",
		-1, &stmt, NULL);
	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW && sqlite3_column_bytes(stmt, 0) == 16 &&
	    sqlite3_column_bytes(stmt, 4) == DIGEST_SIZE) {
		memcpy(store_id, sqlite3_column_blob(stmt, 0), 16);
		mark->commit = (uint64_t)sqlite3_column_int64(stmt, 1);
		mark->blob = (uint64_t)sqlite3_column_int64(stmt, 2);
		mark->batch = (uint64_t)sqlite3_column_int64(stmt, 3);
		mark->tag = (uint64_t)sqlite3_column_int64(stmt, 5);
		mark->change = (uint64_t)sqlite3_column_int64(stmt, 6);
		memcpy(mark->commit_hash, sqlite3_column_blob(stmt, 4), DIGEST_SIZE);
		rc = SQLITE_OK;
	} else if (rc == SQLITE_DONE || rc == SQLITE_ROW) {
		rc = SQLITE_NOTFOUND;
	}
	sqlite3_finalize(stmt);
	return rc;
}

/* covers() - is @mark about this journal? One of another journal, or of a later state of it, or one
 * that needs to be told what the journal has forgotten, is of no use. */
static bool covers(sqlite3 *journal, const struct gap_mark *mark)
{
	struct journal_state state;
	if (state_read(journal, &state) != SQLITE_OK)
		return false;
	const struct gap_mark *top = &state.mark;
	if (mark->commit > top->commit || mark->blob > top->blob ||
	    mark->batch > top->batch || mark->tag > top->tag ||
	    mark->change > top->change || mark->change < state.trimmed)
		return false;
	if (mark->commit == top->commit)
		return memcmp(mark->commit_hash, top->commit_hash, DIGEST_SIZE) == 0;
	sqlite3_stmt *stmt = NULL;
	bool same = false;
	if (sqlite3_prepare_v2(journal, "SELECT hash FROM commits WHERE seq=?1", -1,
			       &stmt, NULL) == SQLITE_OK) {
		sqlite3_bind_int64(stmt, 1, (int64_t)mark->commit);
		int rc = sqlite3_step(stmt);
		/* It may have been removed since: then the numbers have to do. */
		same = rc == SQLITE_DONE ||
		       (rc == SQLITE_ROW &&
			sqlite3_column_bytes(stmt, 0) == DIGEST_SIZE &&
			memcmp(sqlite3_column_blob(stmt, 0), mark->commit_hash,
			       DIGEST_SIZE) == 0);
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
	int rc = index_prepare(index);
	if (rc == SQLITE_OK)
		rc = db_int(index->db, "SELECT row_count FROM mark", &index->rows);
	sqlite3_wal_hook(index->db, on_wal, index);
	return rc;
}

static void close_db(struct index *index)
{
	for (size_t i = 0; i < GAP_END; i++) {
		sqlite3_finalize(steal(index->put[i]));
		sqlite3_finalize(steal(index->drop[i]));
	}
	sqlite3_finalize(steal(index->old_fingerprint));
	sqlite3_finalize(steal(index->replace_fingerprint));
	sqlite3_finalize(steal(index->set_mark));
	sqlite3_finalize(steal(index->name_row));
	db_close(steal(index->db));
	index_forget_files(index);
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
		*why = rc == SQLITE_NOTFOUND ? other_version : "damaged";
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

static int make(struct index *index, sqlite3 *journal, struct err *e)
{
	char sql[64];
	struct journal_state state;
	snprintf(sql, sizeof sql, "PRAGMA user_version=%d", INDEX_VERSION);
	int rc = state_read(journal, &state);
	if (rc != SQLITE_OK)
		return rc;
	/* All rows are still to be read; what has been removed is not among them. */
	index->mark = (struct gap_mark){.change = state.mark.change};
	int fd = open(index->path, O_RDWR | O_CREAT | O_CLOEXEC,
		      0600); /* for our eyes only */
	if (fd >= 0)
		close(fd);
	rc = db_open(&index->db, index->path, DB_INDEX, e);
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
		rc = index_bind_mark(index, &index->mark, 0);
	if (rc == SQLITE_OK)
		rc = db_exec(index->db, "COMMIT");
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
	struct gap_scan *scan = gap_scan_new(journal);
	uint64_t began = clock_mono_ns(), written = 0;
	bool more = true, told = false;
	int rc = SQLITE_OK;
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
	*index = (struct index){.path = db_path(dir, "index.db"), .files = {-1, -1}};
	memcpy(index->store_id, store_id, 16);
	*rebuiltp = false;
	int rc = open_existing(index, journal, &why, e);
	if (rc == SQLITE_OK)
		rc = catch_up(index, journal);
	if (rc == SQLITE_NOTFOUND || db_trouble(index->db, rc) == DB_DAMAGED) {
		close_db(index);
		struct journal_state state;
		state_read(journal, &state);
		*rebuiltp = state.mark.batch || state.mark.commit || state.mark.blob;
		if (*rebuiltp)
			log_warn("index made anew", "path=%s was=%s", index->path,
				 rc == SQLITE_NOTFOUND ? why : "damaged");
		if (rc == SQLITE_NOTFOUND && why == other_version)
			remove_files(index);
		else
			index_move_aside(dir);
		rc = make(index, journal, e);
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

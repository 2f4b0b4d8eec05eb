/* index_write.c - one layer of the gap becomes one transaction of index.db: sorted, so that each page
 * is changed once. What a newer commit replaces under its fingerprint is kept in the table run; what
 * was removed goes last, so that it goes from there too. */
#include "broker/ledger/index.h"

#include "broker/ledger/index_names.h"
#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

static const char *const put_sql[GAP_END] = {
	[GAP_FINGERPRINT] =
		"INSERT INTO fp VALUES(?1, ?2, ?3) ON CONFLICT(key) DO NOTHING",
	[GAP_COMMIT] = "INSERT OR REPLACE INTO hash VALUES(?1, ?2)",
	[GAP_BLOB] = "INSERT OR REPLACE INTO blob VALUES(?1, ?2)",
	[GAP_BATCH] = "INSERT OR REPLACE INTO batch VALUES(?1, ?2)",
	[GAP_NAME] = "INSERT OR REPLACE INTO name VALUES(?1, ?2, ?3)",
	[GAP_RUN] = "INSERT OR REPLACE INTO run VALUES(?1, ?2)",
	[GAP_TAG] = "INSERT OR REPLACE INTO tag VALUES(?1, ?2)",
};

static const char *const drop_sql[GAP_END] = {
	[GAP_FINGERPRINT] = "DELETE FROM fp WHERE key=?1 AND seq<=?2",
	[GAP_COMMIT] = "DELETE FROM hash WHERE key=?1 AND seq<=?2",
	[GAP_BLOB] = "DELETE FROM blob WHERE key=?1 AND seq<=?2",
	[GAP_BATCH] = "DELETE FROM batch WHERE key=?1 AND seq<=?2",
	[GAP_NAME] = "DELETE FROM name WHERE key=?1 AND seq=?2",
	[GAP_RUN] = "DELETE FROM run WHERE key=?1 AND seq=?2",
	[GAP_TAG] = "DELETE FROM tag WHERE key=?1 AND seq=?2",
};

int index_prepare(struct index *index)
{
	int rc = SQLITE_OK;
	for (size_t i = 0; i < GAP_END && rc == SQLITE_OK; i++) {
		if (put_sql[i])
			rc = db_prepare(index->db, put_sql[i], &index->put[i]);
		if (drop_sql[i] && rc == SQLITE_OK)
			rc = db_prepare(index->db, drop_sql[i], &index->drop[i]);
	}
	if (rc == SQLITE_OK)
		rc = db_prepare(index->db, "SELECT seq FROM fp WHERE key=?1",
				&index->old_fingerprint);
	if (rc == SQLITE_OK)
		rc = db_prepare(index->db,
				"UPDATE fp SET seq=?2, expires_wall_ms=?3 WHERE key=?1",
				&index->replace_fingerprint);
	if (rc == SQLITE_OK)
		rc = db_prepare(index->db,
				"SELECT seq, entries FROM name WHERE key=?1 AND seq>=?2 "
				"ORDER BY seq LIMIT 1",
				&index->name_row);
	if (rc == SQLITE_OK)
		rc = db_prepare(index->db,
				"INSERT OR REPLACE INTO mark "
				"VALUES(1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
				&index->set_mark);
	return rc;
}

int index_bind_mark(struct index *index, const struct gap_mark *mark, uint64_t rows)
{
	sqlite3_stmt *s = index->set_mark;
	sqlite3_bind_blob(s, 1, index->store_id, 16, SQLITE_STATIC);
	sqlite3_bind_int64(s, 2, (int64_t)mark->commit);
	sqlite3_bind_int64(s, 3, (int64_t)mark->blob);
	sqlite3_bind_int64(s, 4, (int64_t)mark->batch);
	sqlite3_bind_int64(s, 5, (int64_t)mark->tag);
	sqlite3_bind_int64(s, 6, (int64_t)mark->change);
	sqlite3_bind_blob(s, 7, mark->commit_hash, DIGEST_SIZE, SQLITE_STATIC);
	sqlite3_bind_int64(s, 8, (int64_t)rows);
	return db_run(s);
}

static int run(sqlite3_stmt *s, const uint8_t *key, size_t key_size, uint64_t seq)
{
	sqlite3_bind_blob(s, 1, key, (int)key_size, SQLITE_STATIC);
	sqlite3_bind_int64(s, 2, (int64_t)seq);
	return db_run(s);
}

/* ---- fingerprints ---- */

/* find_old() - the number under a fingerprint, 0 if none. */
static int find_old(struct index *index, const uint8_t *key, uint64_t *seq)
{
	sqlite3_stmt *s = index->old_fingerprint;
	sqlite3_bind_blob(s, 1, key, DIGEST_SIZE, SQLITE_STATIC);
	*seq = sqlite3_step(s) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(s, 0) : 0;
	return sqlite3_reset(s);
}

/* A row that is there is met again after a crash, or is superseded. */
static int replace_fingerprint(struct index *index, const struct gap_entry *entry)
{
	uint64_t old;
	int rc = find_old(index, entry->key, &old);
	if (rc != SQLITE_OK || old >= entry->seq)
		return rc;
	sqlite3_stmt *s = index->replace_fingerprint;
	sqlite3_bind_int64(s, 3, (int64_t)entry->extra);
	rc = run(s, entry->key, DIGEST_SIZE, entry->seq);
	return rc == SQLITE_OK ? run(index->put[GAP_RUN], entry->key, 8, old) : rc;
}

static int put_fingerprint(struct index *index, const struct gap_entry *entry)
{
	sqlite3_stmt *s = index->put[GAP_FINGERPRINT];
	sqlite3_bind_int64(s, 3, (int64_t)entry->extra);
	int rc = run(s, entry->key, DIGEST_SIZE, entry->seq);
	if (rc == SQLITE_OK && !sqlite3_changes(index->db))
		rc = replace_fingerprint(index, entry);
	return rc;
}

static int drop_fingerprint(struct index *index, const struct gap_entry *entry)
{
	uint64_t old;
	int rc = find_old(index, entry->key, &old);
	if (rc != SQLITE_OK || !old || old > entry->seq)
		return rc;
	rc = run(index->drop[GAP_FINGERPRINT], entry->key, DIGEST_SIZE, entry->seq);
	/* If it is not there as a commit either, it is dropped from here in a moment. */
	return rc == SQLITE_OK ? run(index->put[GAP_RUN], entry->key, 8, old) : rc;
}

/* ---- layers ---- */

static int write_map(struct index *index, const struct gap_layer *layer,
		     enum gap_kind kind)
{
	const struct gap_map *map = &layer->maps[kind];
	CLEANUP_FREE uint32_t *places = gap_layer_sorted(layer, kind);
	int rc = SQLITE_OK;
	for (size_t i = 0; i < map->count && rc == SQLITE_OK; i++) {
		const struct gap_entry *entry = &map->items[places[i]];
		if (kind == GAP_FINGERPRINT)
			rc = entry->gone ? drop_fingerprint(index, entry)
					 : put_fingerprint(index, entry);
		else
			rc = run(entry->gone ? index->drop[kind] : index->put[kind],
				 entry->key, DIGEST_SIZE, entry->seq);
	}
	return rc;
}

static int write_list(const struct gap_list *list, sqlite3_stmt *s)
{
	CLEANUP_FREE struct gap_pair *pairs = gap_list_sorted(list);
	int rc = SQLITE_OK;
	for (size_t i = 0; i < list->count && rc == SQLITE_OK; i++)
		rc = run(s, pairs[i].key, sizeof pairs[i].key, pairs[i].seq);
	return rc;
}

/* write_lost() - commits that were damaged: nothing tells their keys, so whole tables are searched.
 * Once in the life of a disk. */
static int write_lost(struct index *index, const struct gap_list *list)
{
	int rc = SQLITE_OK;
	if (!list->count)
		return rc;
	rc = db_exec(index->db, "CREATE TEMP TABLE lost(seq INTEGER PRIMARY KEY)");
	sqlite3_stmt *s = NULL;
	if (rc == SQLITE_OK)
		rc = db_prepare(index->db, "INSERT OR IGNORE INTO lost VALUES(?1)", &s);
	for (size_t i = 0; i < list->count && rc == SQLITE_OK; i++) {
		sqlite3_bind_int64(s, 1, (int64_t)list->items[i].seq);
		rc = db_run(s);
	}
	sqlite3_finalize(s);
	if (rc == SQLITE_OK)
		rc = db_exec(index->db,
			     "DELETE FROM fp WHERE seq IN (SELECT seq FROM lost);"
			     "DELETE FROM run WHERE seq IN (SELECT seq FROM lost);"
			     "DROP TABLE lost");
	return rc;
}

static int write_lists(struct index *index, const struct gap_layer *layer)
{
	static const struct {
		enum gap_kind list, table;
	} lists[] = {{GAP_RUN, GAP_RUN}, {GAP_OVER, GAP_RUN}, {GAP_TAG, GAP_TAG}};
	int rc = index_put_names(index, &layer->lists[GAP_NAME - GAP_KINDS]);
	for (size_t i = 0; i < ARRAY_LEN(lists) && rc == SQLITE_OK; i++)
		rc = write_list(&layer->lists[lists[i].list - GAP_KINDS],
				index->put[lists[i].table]);
	for (size_t i = 0; i < ARRAY_LEN(lists) && rc == SQLITE_OK; i++)
		rc = write_list(&layer->gone[lists[i].list - GAP_KINDS],
				index->drop[lists[i].table]);
	if (rc == SQLITE_OK)
		rc = index_drop_names(index, &layer->gone[GAP_NAME - GAP_KINDS]);
	if (rc == SQLITE_OK)
		rc = write_lost(index, &layer->lists[GAP_LOST - GAP_KINDS]);
	return rc;
}

int index_write(struct index *index, const struct gap_layer *layer)
{
	uint64_t rows = index->rows + layer->count;
	int rc = db_exec(index->db, "BEGIN IMMEDIATE");
	for (size_t kind = 0; kind < GAP_KINDS && rc == SQLITE_OK; kind++)
		rc = write_map(index, layer, kind);
	if (rc == SQLITE_OK)
		rc = write_lists(index, layer);
	if (rc == SQLITE_OK)
		rc = index_bind_mark(index, &layer->mark, rows);
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

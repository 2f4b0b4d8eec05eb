/* older.c - see older.h. */
#include "broker/ledger/older.h"

#include "common/pure/mem.h"

#include <stdlib.h>

static int open_index(struct older *o)
{
	if (o->runs)
		return SQLITE_OK;
	CLEANUP_FREE char *path = db_path(o->dir, "index.db");
	int rc = o->db ? SQLITE_OK : db_open(&o->db, path, DB_READ, NULL);
	if (rc == SQLITE_OK && !o->current)
		rc = db_prepare(o->db, "SELECT seq FROM fp WHERE key=?1", &o->current);
	if (rc == SQLITE_OK)
		rc = db_prepare(o->db, "SELECT seq FROM run WHERE key=?1 AND seq<?2",
				&o->runs);
	return rc;
}

static int collect(sqlite3_stmt *s, struct gap_seqs *out)
{
	int rc;
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		mem_grow(out->items, out->count, out->capacity);
		out->items[out->count++] = (uint64_t)sqlite3_column_int64(s, 0);
	}
	int end = sqlite3_reset(s);
	return rc == SQLITE_DONE ? SQLITE_OK : end;
}

int older_find(struct older *o, const uint8_t key[DIGEST_SIZE], uint64_t below,
	       struct gap_seqs *out)
{
	int rc = open_index(o);
	if (rc != SQLITE_OK)
		return rc;
	/* The gap first, see gap.h. Its list of runs has none that is current in its row, so only
	 * what was superseded within a layer counts. */
	gap_list(o->gap, GAP_OVER, key, out);
	gap_fingerprints(o->gap, key, out);
	sqlite3_bind_blob(o->current, 1, key, DIGEST_SIZE, SQLITE_STATIC);
	rc = collect(o->current, out);
	sqlite3_bind_blob(o->runs, 1, key, 8, SQLITE_STATIC);
	sqlite3_bind_int64(o->runs, 2, (int64_t)below);
	if (rc == SQLITE_OK)
		rc = collect(o->runs, out);
	size_t kept = 0;
	for (size_t i = 0; i < out->count; i++)
		if (out->items[i] < below)
			out->items[kept++] = out->items[i];
	out->count = kept;
	return rc;
}

void older_fini(struct older *o)
{
	sqlite3_finalize(o->current);
	sqlite3_finalize(o->runs);
	db_close(o->db);
	*o = (struct older){0};
}

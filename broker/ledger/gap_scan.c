/* gap_scan.c - fill a layer from the journal: after a start, for a lost index, and in programs that
 * only read. */
#include "broker/ledger/gap.h"
#include "broker/ledger/pack.h"
#include "broker/ledger/tags.h"
#include "common/log.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct gap_scan {
	sqlite3 *journal;
	bool is_prepared; /* when it is needed: in most programs that only read it never is */
	sqlite3_stmt *commits, *blobs, *batches, *tags, *commit_tags, *changes;
	struct buf arena, keys;
};

static const struct {
	size_t offset;
	const char *sql;
} statements[] = {
	{offsetof(struct gap_scan, commits),
	 "SELECT seq, current, hash, body FROM commits WHERE seq > ?1 ORDER BY seq"},
	{offsetof(struct gap_scan, blobs),
	 "SELECT seq, 0, digest FROM inline WHERE seq > ?1 ORDER BY seq"},
	{offsetof(struct gap_scan, batches),
	 "SELECT batch, 0, id FROM batches WHERE batch > ?1 ORDER BY batch"},
	{offsetof(struct gap_scan, tags),
	 "SELECT seq, batch, keys FROM batch_tags WHERE seq > ?1 ORDER BY seq"},
	{offsetof(struct gap_scan, commit_tags),
	 "SELECT seq, entries FROM commit_tags WHERE seq > ?1 AND seq <= ?2 ORDER BY "
	 "seq"},
	{offsetof(struct gap_scan, changes),
	 "SELECT seq, kind, number, keys FROM changes WHERE seq > ?1 ORDER BY seq"},
};

static sqlite3_stmt **statement(struct gap_scan *scan, size_t i)
{
	return (sqlite3_stmt **)((char *)scan + statements[i].offset);
}

struct gap_scan *gap_scan_new(sqlite3 *journal)
{
	struct gap_scan *scan = mem_alloc(sizeof *scan);
	scan->journal = journal;
	return scan;
}

static int prepare(struct gap_scan *scan)
{
	int rc = SQLITE_OK;
	for (size_t i = 0; i < ARRAY_LEN(statements) && rc == SQLITE_OK; i++)
		if (!*statement(scan, i))
			rc = db_prepare(scan->journal, statements[i].sql,
					statement(scan, i));
	scan->is_prepared = rc == SQLITE_OK;
	return rc;
}

void gap_scan_free(struct gap_scan *scan)
{
	if (!scan)
		return;
	for (size_t i = 0; i < ARRAY_LEN(statements); i++)
		sqlite3_finalize(*statement(scan, i));
	buf_fini(&scan->arena);
	buf_fini(&scan->keys);
	free(scan);
}

static void put_commit(struct gap_scan *scan, struct gap_layer *layer, uint64_t seq,
		       bool current)
{
	struct commit c;
	uint8_t args_hash[DIGEST_SIZE];
	const void *body = sqlite3_column_blob(scan->commits, 3);
	buf_reset(&scan->arena);
	if (commit_decode(body, (size_t)sqlite3_column_bytes(scan->commits, 3), &c,
			  &scan->arena)) {
		log_error("commit found damaged", "seq=%" PRIu64, seq);
		return;
	}
	struct gap_entry entry = {.seq = seq, .extra = pack_expiry(&c)};
	sha256_digest(c.args, c.args_size, args_hash);
	pack_fingerprint(entry.key, c.func_hash, args_hash);
	gap_layer_put(layer, current ? GAP_FINGERPRINT : GAP_RUN, &entry);
	name_key(entry.key, c.name);
	gap_layer_put(layer, GAP_NAME, &entry);
	const char *called = name_called(c.name);
	if (!called)
		return;
	name_key(entry.key, called);
	gap_layer_put(layer, GAP_NAME, &entry);
}

/* Columns: number, flag, 32 bytes of key. */
static int scan_table(struct gap_scan *scan, sqlite3_stmt *stmt, enum gap_kind kind,
		      struct gap_layer *layer, uint64_t *mark, size_t max)
{
	int rc = SQLITE_DONE;
	sqlite3_bind_int64(stmt, 1, (int64_t)*mark);
	while (layer->count < max && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct gap_entry entry = {.seq = (uint64_t)sqlite3_column_int64(stmt, 0)};
		*mark = entry.seq;
		if (sqlite3_column_bytes(stmt, 2) != DIGEST_SIZE) {
			log_error("row found damaged", "kind=%d seq=%" PRIu64, kind,
				  entry.seq);
			continue;
		}
		memcpy(entry.key, sqlite3_column_blob(stmt, 2), DIGEST_SIZE);
		gap_layer_put(layer, kind, &entry);
		if (kind != GAP_COMMIT)
			continue;
		memcpy(layer->mark.commit_hash, entry.key, DIGEST_SIZE);
		put_commit(scan, layer, entry.seq, sqlite3_column_int(stmt, 1));
	}
	int end = sqlite3_reset(stmt);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : end;
}

static void put_tags(struct gap_layer *layer, const uint8_t *keys, size_t size,
		     uint64_t seq)
{
	for (size_t at = 0; at + TAG_KEY_SIZE <= size; at += TAG_KEY_SIZE) {
		struct gap_entry entry = {.seq = seq};
		memcpy(entry.key, keys + at, TAG_KEY_SIZE);
		gap_layer_put(layer, GAP_TAG, &entry);
	}
}

static int scan_tags(struct gap_scan *scan, struct gap_layer *layer, size_t max)
{
	sqlite3_stmt *s = scan->tags;
	int rc = SQLITE_DONE;
	sqlite3_bind_int64(s, 1, (int64_t)layer->mark.tag);
	while (layer->count < max && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		layer->mark.tag = (uint64_t)sqlite3_column_int64(s, 0);
		put_tags(layer, sqlite3_column_blob(s, 2),
			 (size_t)sqlite3_column_bytes(s, 2),
			 (uint64_t)sqlite3_column_int64(s, 1));
	}
	int end = sqlite3_reset(s);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : end;
}

/* Of commits behind @from, up to the last one in the layer. */
static int scan_commit_tags(struct gap_scan *scan, struct gap_layer *layer, uint64_t from)
{
	sqlite3_stmt *s = scan->commit_tags;
	int rc;
	sqlite3_bind_int64(s, 1, (int64_t)from);
	sqlite3_bind_int64(s, 2, (int64_t)layer->mark.commit);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		buf_reset(&scan->keys);
		tags_keys(&scan->keys, sqlite3_column_blob(s, 1),
			  (size_t)sqlite3_column_bytes(s, 1));
		put_tags(layer, scan->keys.data, scan->keys.size,
			 (uint64_t)sqlite3_column_int64(s, 0));
	}
	int end = sqlite3_reset(s);
	return rc == SQLITE_DONE ? SQLITE_OK : end;
}

static void put_add(void *layer, const struct gap_add *add)
{
	gap_layer_put(layer, add->kind, &add->entry);
}

static int scan_changes(struct gap_scan *scan, struct gap_layer *layer, size_t max)
{
	sqlite3_stmt *s = scan->changes;
	int rc = SQLITE_DONE;
	sqlite3_bind_int64(s, 1, (int64_t)layer->mark.change);
	while (layer->count < max && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		layer->mark.change = (uint64_t)sqlite3_column_int64(s, 0);
		if (gap_change((enum gap_change)sqlite3_column_int(s, 1),
			       (uint64_t)sqlite3_column_int64(s, 2),
			       sqlite3_column_blob(s, 3),
			       (size_t)sqlite3_column_bytes(s, 3), put_add, layer))
			log_error("row found damaged", "kind=change seq=%" PRIu64,
				  layer->mark.change);
	}
	int end = sqlite3_reset(s);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : end;
}

/* Changes come last: what one of them takes away has been put before. */
int gap_scan(struct gap_scan *scan, struct gap_layer *layer, size_t max, bool *fullp)
{
	uint64_t from = layer->mark.commit;
	int rc = scan->is_prepared ? SQLITE_OK : prepare(scan);
	if (rc == SQLITE_OK)
		rc = scan_table(scan, scan->commits, GAP_COMMIT, layer,
				&layer->mark.commit, max);
	if (rc == SQLITE_OK)
		rc = scan_commit_tags(scan, layer, from);
	if (rc == SQLITE_OK)
		rc = scan_table(scan, scan->blobs, GAP_BLOB, layer, &layer->mark.blob,
				max);
	if (rc == SQLITE_OK)
		rc = scan_table(scan, scan->batches, GAP_BATCH, layer, &layer->mark.batch,
				max);
	if (rc == SQLITE_OK)
		rc = scan_tags(scan, layer, max);
	if (rc == SQLITE_OK)
		rc = scan_changes(scan, layer, max);
	*fullp = layer->count >= max;
	return rc;
}

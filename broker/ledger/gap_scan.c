/* gap_scan.c - fill a layer from the journal: after a start, for a lost index, and in programs that
 * only read. */
#include "broker/ledger/gap.h"
#include "broker/ledger/pack.h"
#include "common/log.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct gap_scan {
	sqlite3_stmt *commits, *blobs, *batches;
	struct buf arena;
};

int gap_scan_new(struct gap_scan **scanp, sqlite3 *journal)
{
	struct gap_scan *scan = mem_alloc(sizeof *scan);
	int rc = db_prepare(journal,
			    "SELECT seq, current, hash, body FROM commits WHERE seq > ?1 "
			    "ORDER BY seq",
			    &scan->commits);
	if (rc == SQLITE_OK)
		rc = db_prepare(
			journal,
			"SELECT seq, 0, digest FROM inline WHERE seq > ?1 ORDER BY seq",
			&scan->blobs);
	if (rc == SQLITE_OK)
		rc = db_prepare(journal,
				"SELECT batch, 0, id FROM batches WHERE batch > ?1 ORDER "
				"BY batch",
				&scan->batches);
	if (rc != SQLITE_OK) {
		gap_scan_free(scan);
		return rc;
	}
	*scanp = scan;
	return SQLITE_OK;
}

void gap_scan_free(struct gap_scan *scan)
{
	if (!scan)
		return;
	sqlite3_finalize(scan->commits);
	sqlite3_finalize(scan->blobs);
	sqlite3_finalize(scan->batches);
	buf_fini(&scan->arena);
	free(scan);
}

static void put_fingerprint(struct gap_scan *scan, struct gap_layer *layer, uint64_t seq)
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
	gap_layer_put(layer, GAP_FINGERPRINT, &entry);
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
		if (sqlite3_column_int(stmt, 1))
			put_fingerprint(scan, layer, entry.seq);
	}
	int end = sqlite3_reset(stmt);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : end;
}

int gap_scan(struct gap_scan *scan, struct gap_layer *layer, size_t max, bool *fullp)
{
	int rc = scan_table(scan, scan->commits, GAP_COMMIT, layer, &layer->mark.commit,
			    max);
	if (rc == SQLITE_OK)
		rc = scan_table(scan, scan->blobs, GAP_BLOB, layer, &layer->mark.blob,
				max);
	if (rc == SQLITE_OK)
		rc = scan_table(scan, scan->batches, GAP_BATCH, layer, &layer->mark.batch,
				max);
	*fullp = layer->count >= max;
	return rc;
}

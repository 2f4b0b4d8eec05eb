/* reader_find.c - look-ups by key and by prefix; commits and small blobs. The gap is asked first, the
 * index second: see gap.h. */
#include "broker/ledger/reader.h"

#include "broker/ledger/impl.h"
#include "broker/ledger/pack.h"
#include "broker/ledger/state.h"
#include "common/log.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LAYER_MAX                                                                        \
	200000 /* entries of a program's own gap: then it asks how far the index is */

/* covers() - is all in @layer, or in the index below it, that a journal of this state has? */
static bool covers(const struct gap_layer *layer, const struct journal_state *state)
{
	return memcmp(&layer->mark, &state->mark, sizeof layer->mark) == 0;
}

/* A program of its own may have slept while changes were made, written to the index and forgotten. */
int reader_refresh(struct ledger_reader *r)
{
	bool more = true;
	struct journal_state state;
	int err = reader_state(r, &state);
	if (err)
		return err;
	int rc = SQLITE_OK;
	if ((r->layer->count > LAYER_MAX && r->index) ||
	    r->layer->mark.change < state.trimmed)
		rc = reader_begin_layer(r);
	while (rc == SQLITE_OK && more && !covers(r->layer, &state))
		rc = gap_scan(r->scan, r->layer, r->layer->count + LAYER_MAX, &more);
	return rc == SQLITE_OK ? 0 : reader_errno(r, r->meta, rc);
}

static const enum reader_stmt by_key[GAP_KINDS] = {
	[GAP_FINGERPRINT] = R_FP,
	[GAP_COMMIT] = R_HASH,
	[GAP_BLOB] = R_BLOB_SEQ,
	[GAP_BATCH] = R_BATCH_NUMBER,
};

int reader_lookup_index(struct ledger_reader *r, enum gap_kind kind,
			const uint8_t key[DIGEST_SIZE], struct gap_entry *entry)
{
	int rc = reader_enter_index(r);
	if (rc != SQLITE_OK)
		return reader_errno(r, r->index, rc);
	sqlite3_stmt *s = reader_stmt(r, by_key[kind]);
	sqlite3_bind_blob(s, 1, key, DIGEST_SIZE, SQLITE_STATIC);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		memcpy(entry->key, key, DIGEST_SIZE);
		entry->seq = (uint64_t)sqlite3_column_int64(s, 0);
		entry->extra = (uint64_t)sqlite3_column_int64(s, 1);
	}
	sqlite3_reset(s);
	reader_leave(r);
	return rc == SQLITE_ROW	   ? 0
	       : rc == SQLITE_DONE ? 1
				   : reader_errno(r, r->index, rc);
}

static bool find_in_gap(struct ledger_reader *r, enum gap_kind kind,
			const uint8_t key[DIGEST_SIZE], struct gap_entry *entry)
{
	if (r->ledger)
		return gap_find(&r->ledger->gap, kind, key, entry);
	const struct gap_entry *found = gap_layer_find(r->layer, kind, key);
	if (found)
		*entry = *found;
	return found;
}

int reader_lookup(struct ledger_reader *r, enum gap_kind kind,
		  const uint8_t key[DIGEST_SIZE], struct gap_entry *entry)
{
	int err = r->ledger ? 0 : reader_refresh(r);
	if (err)
		return err;
	struct gap_entry found;
	if (!find_in_gap(r, kind, key, &found))
		return r->index ? reader_lookup_index(r, kind, key, entry) : 1;
	if (!found.gone) {
		*entry = found;
		return 0;
	}
	/* What came after the removal may have been written already. */
	err = r->index ? reader_lookup_index(r, kind, key, entry) : 1;
	return err == 0 && entry->seq <= found.seq ? 1 : err;
}

struct match {
	uint64_t *seqs;
	size_t count, max;
	struct gap_entry *met; /* in the gap, the newest layer first */
	size_t met_count, met_capacity;
};

/* is_hidden() - is there a newer one of the same key, or was this one removed? */
static bool is_hidden(const struct match *m, const uint8_t key[DIGEST_SIZE], uint64_t seq)
{
	for (size_t i = 0; i < m->met_count; i++) {
		const struct gap_entry *met = &m->met[i];
		if (memcmp(met->key, key, DIGEST_SIZE) == 0 &&
		    (!met->gone || seq <= met->seq))
			return true;
	}
	return false;
}

static bool add_match(struct match *m, const uint8_t key[DIGEST_SIZE], uint64_t seq)
{
	if (is_hidden(m, key, seq))
		return true;
	if (m->count == m->max)
		return false;
	m->seqs[m->count++] = seq;
	return true;
}

static bool add_entry(void *arg, const struct gap_entry *entry)
{
	struct match *m = arg;
	if (!entry->gone && !add_match(m, entry->key, entry->seq))
		return false;
	mem_grow(m->met, m->met_count, m->met_capacity);
	m->met[m->met_count++] = *entry;
	return true;
}

static int match_index(struct ledger_reader *r, enum gap_kind kind, const uint8_t *prefix,
		       unsigned nibbles, struct match *m)
{
	uint8_t low[DIGEST_SIZE], high[DIGEST_SIZE];
	int rc = reader_enter_index(r);
	if (rc != SQLITE_OK)
		return reader_errno(r, r->index, rc);
	sqlite3_stmt *s =
		reader_stmt(r, kind == GAP_COMMIT ? R_HASH_RANGE : R_BATCH_RANGE);
	pack_prefix_range(prefix, nibbles, low, high);
	sqlite3_bind_blob(s, 1, low, DIGEST_SIZE, SQLITE_STATIC);
	sqlite3_bind_blob(s, 2, high, DIGEST_SIZE, SQLITE_STATIC);
	sqlite3_bind_int64(s, 3,
			   /* some may be hidden by what is in the gap */
			   (int64_t)(m->max + m->met_count));
	while ((rc = sqlite3_step(s)) == SQLITE_ROW)
		if (sqlite3_column_bytes(s, 1) == DIGEST_SIZE &&
		    !add_match(m, sqlite3_column_blob(s, 1),
			       (uint64_t)sqlite3_column_int64(s, 0)))
			break;
	sqlite3_reset(s);
	reader_leave(r);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : reader_errno(r, r->index, rc);
}

int reader_match(struct ledger_reader *r, enum gap_kind kind, const uint8_t *prefix,
		 unsigned nibbles, uint64_t *seqs, size_t max, size_t *countp)
{
	struct match m = {.seqs = seqs, .max = max};
	int err = 0;
	*countp = 0;
	if (nibbles > 2 * DIGEST_SIZE)
		return 0;
	if (r->ledger)
		gap_match(&r->ledger->gap, kind, prefix, nibbles, add_entry, &m);
	else if (!(err = reader_refresh(r)))
		gap_layer_match(r->layer, kind, prefix, nibbles, add_entry, &m);
	if (!err && r->index)
		err = match_index(r, kind, prefix, nibbles, &m);
	*countp = m.count;
	free(m.met);
	return err;
}

/* ---- commits and small blobs ---- */

int ledger_find(struct ledger_reader *r, const uint8_t func_hash[DIGEST_SIZE],
		const uint8_t args_hash[DIGEST_SIZE], struct ledger_hit *hit)
{
	uint8_t key[DIGEST_SIZE];
	struct gap_entry entry;
	pack_fingerprint(key, func_hash, args_hash);
	int rc = reader_lookup(r, GAP_FINGERPRINT, key, &entry);
	if (rc == 0)
		*hit = (struct ledger_hit){.seq = entry.seq,
					   .expires_wall_ms = entry.extra};
	return rc;
}

int reader_read_checked(struct ledger_reader *r, enum reader_stmt which, uint64_t seq,
			struct buf *out, uint8_t digest[DIGEST_SIZE])
{
	sqlite3_stmt *s = reader_stmt(r, which);
	int rc = reader_enter(r), result = 1;
	if (rc != SQLITE_OK)
		return reader_errno(r, r->meta, rc);
	sqlite3_bind_int64(s, 1, (int64_t)seq);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		const void *bytes = sqlite3_column_blob(s, 1);
		size_t size = (size_t)sqlite3_column_bytes(s, 1);
		sha256_digest(size ? bytes : "", size, digest);
		bool whole = sqlite3_column_bytes(s, 0) == DIGEST_SIZE &&
			     memcmp(sqlite3_column_blob(s, 0), digest, DIGEST_SIZE) == 0;
		if (whole)
			buf_add(out, bytes, size);
		result = whole ? 0 : 2;
	} else if (rc != SQLITE_DONE) {
		result = reader_errno(r, r->meta, rc);
	}
	sqlite3_reset(s);
	reader_leave(r);
	return out->failed ? -ENOMEM : result;
}

int ledger_read_commit(struct ledger_reader *r, uint64_t seq, struct buf *body,
		       uint8_t hash[DIGEST_SIZE])
{
	uint8_t digest[DIGEST_SIZE];
	int rc = reader_read_checked(r, R_COMMIT, seq, body, digest);
	if (rc == 2) {
		log_error("commit found damaged", "seq=%" PRIu64, seq);
		return 1;
	}
	if (rc == 0 && hash)
		memcpy(hash, digest, DIGEST_SIZE);
	return rc;
}

int ledger_find_commit(struct ledger_reader *r, const uint8_t *prefix, unsigned nibbles,
		       uint64_t *seqs, size_t max, size_t *countp)
{
	size_t count, room = max > 2 ? max : 2;
	CLEANUP_FREE uint64_t *found = mem_alloc(room * sizeof *found);
	int rc = reader_match(r, GAP_COMMIT, prefix, nibbles, found, room, &count);
	if (rc)
		return rc;
	*countp = count < max ? count : max;
	memcpy(seqs, found, *countp * sizeof *seqs);
	return count == 0 ? 1 : count == 1 ? 0 : 2;
}

int ledger_find_blob(struct ledger_reader *r, const uint8_t digest[DIGEST_SIZE],
		     struct buf *out)
{
	struct gap_entry entry;
	uint8_t found[DIGEST_SIZE];
	size_t before = out->size;
	int rc = reader_lookup(r, GAP_BLOB, digest, &entry);
	if (rc == 0)
		rc = reader_read_checked(r, R_BLOB, entry.seq, out, found);
	if (rc == 0 && memcmp(found, digest, DIGEST_SIZE) != 0)
		rc = 2;
	if (rc != 2)
		return rc;
	out->size = before;
	log_error("small blob found damaged", "seq=%" PRIu64, entry.seq);
	if (r->ledger)
		gap_note_damaged(&r->ledger->gap, digest, entry.seq);
	return 1;
}

int ledger_has_blob(struct ledger_reader *r, const uint8_t digest[DIGEST_SIZE])
{
	struct gap_entry entry;
	int rc = reader_lookup(r, GAP_BLOB, digest, &entry);
	if (rc == 0 && r->ledger && gap_is_damaged(&r->ledger->gap, digest, entry.seq))
		return 1;
	return rc;
}

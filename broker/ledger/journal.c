/* journal.c - see journal.h. */
#include "broker/ledger/journal.h"

#include "broker/ledger/pack.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define PACK_MIN 4096 /* smaller chunks are not worth a zstd frame */

static const char *const sql[J_COUNT] = {
	[J_BEGIN] = "BEGIN IMMEDIATE",
	[J_COMMIT] = "COMMIT",
	[J_BATCH] = "INSERT INTO batches(batch, id, client_key, request) VALUES(?1, ?2, "
		    "?3, ?4)",
	[J_CHUNK] = "INSERT INTO chunks VALUES(?1, ?2, ?3, ?4)",
	[J_SEAL] = "UPDATE batches SET sealed=1, task_count=?2, chunk_count="
		   "coalesce((SELECT max(chunk) + 1 FROM chunks WHERE batch=?1), 0) "
		   "WHERE batch=?1",
	[J_END_ROW] = "INSERT INTO ends VALUES(?1, ?2, ?3)",
	[J_LEASE_ROW] = "INSERT INTO leases VALUES(?1, ?2, ?3)",
	[J_CHECKPOINT] = "INSERT OR REPLACE INTO checkpoints VALUES(?1, ?2, ?3)",
	[J_BATCH_ENDED] = "UPDATE batches SET ended_wall_ms=?2, counts=?3 WHERE batch=?1",
	[J_PAUSE] = "UPDATE batches SET paused=?2 WHERE batch=?1",
	[J_LEASES_GONE] = "DELETE FROM leases WHERE batch=?1",
	[J_CHECKPOINTS_GONE] = "DELETE FROM checkpoints WHERE batch=?1",
	[J_DISCARD_BATCH] = "DELETE FROM batches WHERE batch=?1",
	[J_DISCARD_CHUNKS] = "DELETE FROM chunks WHERE batch=?1",
	[J_DISCARD_ENDS] = "DELETE FROM ends WHERE batch=?1",
	[J_TOP_BATCH] =
		"INSERT INTO meta VALUES('top_batch', ?1) ON CONFLICT(key) DO UPDATE SET "
		"value=max(value, excluded.value)",
	[J_BATCH_ID] = "SELECT id FROM batches WHERE batch=?1",
	[J_COMMIT_ROW] = "INSERT INTO commits VALUES(?1, ?2, ?3, ?4)",
	[J_PARENT] = "SELECT hash FROM commits WHERE seq=?1",
	[J_BLOB] = "INSERT INTO inline VALUES(?1, ?2, ?3)",
	[J_TOTALS] = "INSERT OR REPLACE INTO meta VALUES('totals', ?1)",
};

static int on_wal(void *arg, sqlite3 *db, const char *name, int pages)
{
	(void)db;
	(void)name;
	struct journal *j = arg;
	if ((uint64_t)pages < j->wal_pages)
		j->wal_done = j->wal_tried = 0; /* SQLite began the log anew */
	j->wal_pages = (uint64_t)pages;
	return SQLITE_OK;
}

int journal_read_totals(sqlite3 *db, struct journal_totals *totals)
{
	sqlite3_stmt *stmt = NULL;
	*totals = (struct journal_totals){0};
	int rc = sqlite3_prepare_v2(db, "SELECT value FROM meta WHERE key='totals'", -1,
				    &stmt, NULL);
	if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW &&
	    sqlite3_column_bytes(stmt, 0) == sizeof *totals)
		memcpy(totals, sqlite3_column_blob(stmt, 0), sizeof *totals);
	int end = sqlite3_finalize(stmt);
	return rc == SQLITE_OK ? end : rc;
}

static int read_state(struct journal *j)
{
	struct journal_state *s = &j->now;
	int rc = journal_read_totals(j->db, &s->totals);
	if (rc == SQLITE_OK)
		rc = db_int(j->db, "SELECT max(seq) FROM commits", &s->mark.commit);
	if (rc == SQLITE_OK)
		rc = db_int(j->db, "SELECT max(seq) FROM inline", &s->mark.blob);
	if (rc == SQLITE_OK)
		rc = db_int(j->db, "SELECT max(batch) FROM batches", &s->mark.batch);
	if (rc != SQLITE_OK || !s->mark.commit)
		return rc;
	sqlite3_stmt *stmt = j->stmts[J_PARENT];
	sqlite3_bind_int64(stmt, 1, (int64_t)s->mark.commit);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW && sqlite3_column_bytes(stmt, 0) == DIGEST_SIZE)
		memcpy(s->mark.commit_hash, sqlite3_column_blob(stmt, 0), DIGEST_SIZE);
	return sqlite3_reset(stmt);
}

int journal_init(struct journal *j, sqlite3 *db, uint64_t boot, struct gap *gap)
{
	*j = (struct journal){.db = db, .boot = boot, .gap = gap};
	j->recent = mem_alloc(JOURNAL_RECENT * sizeof *j->recent);
	j->packer = ZSTD_createCCtx();
	if (!j->packer)
		return SQLITE_NOMEM;
	int rc = SQLITE_OK;
	for (size_t i = 0; i < J_COUNT && rc == SQLITE_OK; i++)
		rc = db_prepare(db, sql[i], &j->stmts[i]);
	sqlite3_wal_hook(db, on_wal, j);
	if (rc == SQLITE_OK)
		rc = read_state(j);
	return rc;
}

void journal_fini(struct journal *j)
{
	for (size_t i = 0; i < J_COUNT; i++)
		sqlite3_finalize(j->stmts[i]);
	if (j->db)
		sqlite3_wal_hook(j->db, NULL, NULL);
	ZSTD_freeCCtx(j->packer);
	free(j->ends);
	free(j->leases);
	free(j->ended);
	free(j->adds);
	free(j->recent);
	buf_fini(&j->body);
	buf_fini(&j->row);
	*j = (struct journal){0};
}

int journal_begin(struct journal *j)
{
	j->saved = j->now;
	j->end_count = j->lease_count = j->ended_count = j->add_count = 0;
	return db_run(j->stmts[J_BEGIN]);
}

static void bind_blob(sqlite3_stmt *s, int at, const void *data, size_t size)
{
	/* An empty blob is not NULL. */
	sqlite3_bind_blob64(s, at, size ? data : "", size, SQLITE_STATIC);
}

static int run1(struct journal *j, enum journal_stmt which, uint64_t value)
{
	sqlite3_bind_int64(j->stmts[which], 1, (int64_t)value);
	return db_run(j->stmts[which]);
}

static void add_to_index(struct journal *j, enum gap_kind kind,
			 const uint8_t key[DIGEST_SIZE], uint64_t seq, uint64_t extra)
{
	mem_grow(j->adds, j->add_count, j->add_capacity);
	struct gap_add *add = &j->adds[j->add_count++];
	add->kind = kind;
	add->entry.seq = seq;
	add->entry.extra = extra;
	memcpy(add->entry.key, key, DIGEST_SIZE);
}

/* ---- batches ---- */

static int apply_batch(struct journal *j, const struct ledger_batch *b)
{
	sqlite3_stmt *s = j->stmts[J_BATCH];
	assert(b->batch > j->now.mark.batch); /* the index counts on ascending numbers */
	sqlite3_bind_int64(s, 1, (int64_t)b->batch);
	bind_blob(s, 2, b->id, sizeof b->id);
	bind_blob(s, 3, b->client_key, sizeof b->client_key);
	bind_blob(s, 4, b->request, sizeof b->request);
	int rc = db_run(s);
	j->now.mark.batch = b->batch;
	j->now.totals.batches++;
	add_to_index(j, GAP_BATCH, b->id, b->batch, 0);
	return rc;
}

/* pack_chunk() - Return: size of the zstd frame in j->row, 0 if it does not pay. */
static size_t pack_chunk(struct journal *j, const void *data, size_t size)
{
	if (size <= PACK_MIN || size > UINT32_MAX)
		return 0;
	size_t room = ZSTD_compressBound(size);
	buf_reset(&j->row);
	uint8_t *to = buf_reserve(&j->row, room);
	if (!to)
		return 0;
	size_t packed = ZSTD_compressCCtx(j->packer, to, room, data, size, 1);
	return ZSTD_isError(packed) || packed > size - size / 8 ? 0 : packed;
}

static int apply_chunk(struct journal *j, const struct turn_record *r)
{
	sqlite3_stmt *s = j->stmts[J_CHUNK];
	size_t packed = pack_chunk(j, r->bytes.data, r->bytes.size);
	sqlite3_bind_int64(s, 1, (int64_t)r->batch);
	sqlite3_bind_int64(s, 2, r->number);
	sqlite3_bind_int64(s, 3, packed ? (int64_t)r->bytes.size : 0);
	if (packed)
		bind_blob(s, 4, j->row.data, packed);
	else
		bind_blob(s, 4, r->bytes.data, r->bytes.size);
	return db_run(s);
}

static int apply_sealed(struct journal *j, const struct turn_record *r)
{
	sqlite3_bind_int64(j->stmts[J_SEAL], 2, r->number);
	return run1(j, J_SEAL, r->batch);
}

static int apply_discarded(struct journal *j, uint64_t batch)
{
	static const enum journal_stmt deletes[] = {J_DISCARD_BATCH, J_DISCARD_CHUNKS,
						    J_DISCARD_ENDS, J_LEASES_GONE,
						    J_TOP_BATCH};
	sqlite3_stmt *s = j->stmts[J_BATCH_ID];
	sqlite3_bind_int64(s, 1, (int64_t)batch);
	if (sqlite3_step(s) == SQLITE_ROW && sqlite3_column_bytes(s, 0) == DIGEST_SIZE) {
		add_to_index(j, GAP_BATCH, sqlite3_column_blob(s, 0), batch, 1);
		j->now.totals.batches--;
	}
	int rc = sqlite3_reset(s);
	for (size_t i = 0; i < ARRAY_LEN(deletes) && rc == SQLITE_OK; i++)
		rc = run1(j, deletes[i], batch);
	return rc;
}

static int apply_batch_ended(struct journal *j, const struct turn_record *r)
{
	sqlite3_stmt *s = j->stmts[J_BATCH_ENDED];
	buf_reset(&j->row);
	pack_counts(&j->row, &r->ended.counts);
	sqlite3_bind_int64(s, 2, (int64_t)r->ended.wall_ms);
	bind_blob(s, 3, j->row.data, j->row.size);
	mem_grow(j->ended, j->ended_count, j->ended_capacity);
	j->ended[j->ended_count++] = r->batch;
	return run1(j, J_BATCH_ENDED, r->batch);
}

static int apply_pause(struct journal *j, const struct turn_record *r)
{
	sqlite3_bind_int64(j->stmts[J_PAUSE], 2, r->number ? (int64_t)r->number : -1);
	return run1(j, J_PAUSE, r->batch);
}

static int apply_checkpoint(struct journal *j, const struct turn_record *r)
{
	sqlite3_stmt *s = j->stmts[J_CHECKPOINT];
	buf_reset(&j->row);
	pack_checkpoint(&j->row, &r->checkpoint);
	if (j->row.failed)
		return SQLITE_NOMEM;
	sqlite3_bind_int64(s, 1, (int64_t)r->batch);
	sqlite3_bind_int64(s, 2, (int64_t)r->checkpoint.index + 1);
	bind_blob(s, 3, j->row.data, j->row.size);
	return db_run(s);
}

/* ---- commits and small blobs ---- */

static int find_parent(struct journal *j, uint64_t seq, struct commit *c)
{
	sqlite3_stmt *s = j->stmts[J_PARENT];
	c->has_parent = false;
	if (!seq)
		return SQLITE_OK;
	sqlite3_bind_int64(s, 1, (int64_t)seq);
	if (sqlite3_step(s) == SQLITE_ROW && sqlite3_column_bytes(s, 0) == DIGEST_SIZE) {
		c->has_parent = true;
		memcpy(c->parent, sqlite3_column_blob(s, 0), DIGEST_SIZE);
	}
	return sqlite3_reset(s);
}

static int apply_commit(struct journal *j, const struct turn_record *r)
{
	struct commit c = r->commit.commit;
	uint8_t hash[DIGEST_SIZE], args_hash[DIGEST_SIZE], key[DIGEST_SIZE];
	uint64_t seq = r->batch;
	assert(seq > j->now.mark.commit); /* as above */
	int rc = find_parent(j, r->commit.parent_seq, &c);
	if (rc != SQLITE_OK)
		return rc;
	buf_reset(&j->body);
	commit_encode(&j->body, &c);
	if (j->body.failed)
		return SQLITE_NOMEM;
	sha256_digest(j->body.data, j->body.size, hash);
	sqlite3_stmt *s = j->stmts[J_COMMIT_ROW];
	sqlite3_bind_int64(s, 1, (int64_t)seq);
	sqlite3_bind_int64(s, 2, r->commit.current);
	bind_blob(s, 3, hash, sizeof hash);
	bind_blob(s, 4, j->body.data, j->body.size);
	rc = db_run(s);
	j->now.mark.commit = seq;
	memcpy(j->now.mark.commit_hash, hash, sizeof hash);
	j->now.totals.commits++;
	add_to_index(j, GAP_COMMIT, hash, seq, 0);
	if (r->commit.current) {
		sha256_digest(c.args, c.args_size, args_hash);
		pack_fingerprint(key, c.func_hash, args_hash);
		add_to_index(j, GAP_FINGERPRINT, key, seq, pack_expiry(&c));
	}
	return rc;
}

static int apply_blob(struct journal *j, const struct turn_record *r)
{
	const uint8_t *digest = r->bytes.digest;
	uint32_t place;
	memcpy(&place, digest, sizeof place);
	struct gap_entry *recent = &j->recent[place % JOURNAL_RECENT];
	if (recent->seq && memcmp(recent->key, digest, DIGEST_SIZE) == 0 &&
	    !gap_is_damaged(j->gap, digest, recent->seq))
		return SQLITE_OK;
	uint64_t seq = ++j->now.mark.blob;
	memcpy(recent->key, digest, DIGEST_SIZE);
	recent->seq = seq;
	sqlite3_stmt *s = j->stmts[J_BLOB];
	sqlite3_bind_int64(s, 1, (int64_t)seq);
	bind_blob(s, 2, digest, DIGEST_SIZE);
	bind_blob(s, 3, r->bytes.data, r->bytes.size);
	j->now.totals.blobs++;
	add_to_index(j, GAP_BLOB, digest, seq, 0);
	return db_run(s);
}

/* ---- a turn ---- */

static void keep_end(struct journal *j, const struct turn_record *r)
{
	mem_grow(j->ends, j->end_count, j->end_capacity);
	j->ends[j->end_count] = (struct journal_end){r->batch, j->end_count, r->end};
	j->end_count++;
}

static void keep_lease(struct journal *j, const struct turn_record *r)
{
	mem_grow(j->leases, j->lease_count, j->lease_capacity);
	j->leases[j->lease_count] =
		(struct journal_lease){r->batch, j->lease_count, &r->lease};
	j->lease_count++;
}

int journal_apply(struct journal *j, const struct ledger_turn *t)
{
	int rc = SQLITE_OK;
	for (const struct turn_record *r = t->first; r && rc == SQLITE_OK; r = r->next) {
		switch (r->type) {
		case TURN_BATCH:
			rc = apply_batch(j, &r->opened);
			break;
		case TURN_CHUNK:
			rc = apply_chunk(j, r);
			break;
		case TURN_SEALED:
			rc = apply_sealed(j, r);
			break;
		case TURN_DISCARDED:
			rc = apply_discarded(j, r->batch);
			break;
		case TURN_END:
			keep_end(j, r);
			break;
		case TURN_LEASE:
			keep_lease(j, r);
			break;
		case TURN_CHECKPOINT:
			rc = apply_checkpoint(j, r);
			break;
		case TURN_BATCH_ENDED:
			rc = apply_batch_ended(j, r);
			break;
		case TURN_PAUSE:
			rc = apply_pause(j, r);
			break;
		case TURN_COMMIT:
			rc = apply_commit(j, r);
			break;
		case TURN_BLOB:
			rc = apply_blob(j, r);
			break;
		}
	}
	return rc;
}

/* ---- the end of a group ---- */

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

bool journal_has_ended(const struct journal *j, uint64_t batch)
{
	return j->ended_count &&
	       bsearch(&batch, j->ended, j->ended_count, sizeof batch, by_number);
}

int journal_commit(struct journal *j)
{
	if (j->ended_count)
		qsort(j->ended, j->ended_count, sizeof *j->ended, by_number);
	int rc = journal_flush_ends(j);
	if (rc == SQLITE_OK)
		rc = journal_flush_leases(j);
	for (size_t i = 0; i < j->ended_count && rc == SQLITE_OK; i++) {
		rc = run1(j, J_LEASES_GONE, j->ended[i]);
		if (rc == SQLITE_OK)
			rc = run1(j, J_CHECKPOINTS_GONE, j->ended[i]);
	}
	if (rc == SQLITE_OK &&
	    memcmp(&j->now.totals, &j->saved.totals, sizeof j->now.totals) != 0) {
		bind_blob(j->stmts[J_TOTALS], 1, &j->now.totals, sizeof j->now.totals);
		rc = db_run(j->stmts[J_TOTALS]);
	}
	if (rc == SQLITE_OK)
		rc = db_run(j->stmts[J_COMMIT]);
	return rc;
}

void journal_rollback(struct journal *j)
{
	if (!sqlite3_get_autocommit(j->db))
		db_exec(j->db, "ROLLBACK");
	j->now = j->saved;
	/* It may hold digests of the rows that are gone now. */
	memset(j->recent, 0, JOURNAL_RECENT * sizeof *j->recent);
}

uint64_t journal_wal_pages(const struct journal *j)
{
	return j->wal_pages - (j->wal_done > j->wal_tried ? j->wal_done : j->wal_tried);
}

int journal_checkpoint(struct journal *j)
{
	int pages = 0, done = 0;
	j->wal_tried =
		j->wal_pages; /* a reader in the way is not asked again after each group */
	int rc = sqlite3_wal_checkpoint_v2(j->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages,
					   &done);
	if (rc == SQLITE_OK)
		j->wal_done = done > 0 ? (uint64_t)done : 0;
	return (rc & 0xff) == SQLITE_BUSY ? SQLITE_OK : rc;
}

/* journal.c - see journal.h. */
#include "broker/ledger/journal.h"

#include "broker/ledger/pack.h"
#include "broker/ledger/tags.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define PACK_MIN 4096 /* smaller chunks are not worth a zstd frame */

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

int journal_init(struct journal *j, sqlite3 *db, uint64_t boot, struct gap *gap)
{
	*j = (struct journal){.db = db, .boot = boot, .gap = gap, .hits_unfolded = true};
	j->recent = mem_alloc(JOURNAL_RECENT * sizeof *j->recent);
	j->packer = ZSTD_createCCtx();
	if (!j->packer)
		return SQLITE_NOMEM;
	int rc = SQLITE_OK;
	for (size_t i = 0; i < J_COUNT && rc == SQLITE_OK; i++)
		rc = db_prepare(db, journal_sql[i], &j->stmts[i]);
	sqlite3_wal_hook(db, on_wal, j);
	if (rc == SQLITE_OK)
		rc = state_read(db, &j->now);
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
	free(j->name);
	buf_fini(&j->body);
	buf_fini(&j->row);
	buf_fini(&j->arena);
	buf_fini(&j->keys);
	*j = (struct journal){0};
}

int journal_begin(struct journal *j)
{
	j->saved = j->now;
	j->end_count = j->lease_count = j->ended_count = j->add_count = 0;
	return db_run(j->stmts[J_BEGIN]);
}

void journal_bind_blob(sqlite3_stmt *s, int at, const void *data, size_t size)
{
	/* An empty blob is not NULL. */
	sqlite3_bind_blob64(s, at, size ? data : "", size, SQLITE_STATIC);
}

int journal_run1(struct journal *j, enum journal_stmt which, uint64_t value)
{
	sqlite3_bind_int64(j->stmts[which], 1, (int64_t)value);
	return db_run(j->stmts[which]);
}

/* ---- what the index must learn ---- */

static struct gap_add *next_add(struct journal *j)
{
	mem_grow(j->adds, j->add_count, j->add_capacity);
	return &j->adds[j->add_count++];
}

void journal_put(struct journal *j, enum gap_kind kind, const uint8_t *key,
		 size_t key_size, uint64_t seq, uint64_t extra)
{
	struct gap_add *add = next_add(j);
	add->kind = kind;
	add->entry.seq = seq;
	add->entry.extra = extra;
	add->entry.gone = false;
	memcpy(add->entry.key, key, key_size);
}

void journal_put_tags(struct journal *j, const struct buf *keys, uint64_t seq)
{
	for (size_t at = 0; at < keys->size; at += TAG_KEY_SIZE)
		journal_put(j, GAP_TAG, keys->data + at, TAG_KEY_SIZE, seq, 0);
}

static void put_change(void *arg, const struct gap_add *add)
{
	*next_add(arg) = *add;
}

int journal_change(struct journal *j, enum gap_change change, uint64_t number,
		   const void *keys, size_t size)
{
	sqlite3_stmt *s = j->stmts[J_CHANGE];
	int malformed = gap_change(change, number, keys, size, put_change, j);
	assert(!malformed);
	sqlite3_bind_int64(s, 2, change);
	sqlite3_bind_int64(s, 3, (int64_t)number);
	journal_bind_blob(s, 4, keys, size);
	return journal_run1(j, J_CHANGE, ++j->now.mark.change);
}

/* ---- batches ---- */

static int apply_batch(struct journal *j, const struct ledger_batch *b)
{
	sqlite3_stmt *s = j->stmts[J_BATCH];
	assert(b->batch > j->now.mark.batch); /* the index counts on ascending numbers */
	sqlite3_bind_int64(s, 1, (int64_t)b->batch);
	journal_bind_blob(s, 2, b->id, sizeof b->id);
	journal_bind_blob(s, 3, b->client_key, sizeof b->client_key);
	journal_bind_blob(s, 4, b->request, sizeof b->request);
	int rc = db_run(s);
	j->now.mark.batch = b->batch;
	j->now.counters.batches++;
	journal_put(j, GAP_BATCH, b->id, DIGEST_SIZE, b->batch, 0);
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

/* note_tags() - those of the tasks of a chunk, so that batches are found by them. */
static int note_tags(struct journal *j, const struct turn_record *r)
{
	sqlite3_stmt *s = j->stmts[J_TAGS];
	buf_reset(&j->keys);
	tags_of_chunk(&j->keys, r->bytes.data, r->bytes.size);
	if (j->keys.failed)
		return SQLITE_NOMEM;
	if (!j->keys.size)
		return SQLITE_OK;
	journal_put_tags(j, &j->keys, r->batch);
	sqlite3_bind_int64(s, 2, (int64_t)r->batch);
	journal_bind_blob(s, 3, j->keys.data, j->keys.size);
	return journal_run1(j, J_TAGS, ++j->now.mark.tag);
}

static int apply_chunk(struct journal *j, const struct turn_record *r)
{
	sqlite3_stmt *s = j->stmts[J_CHUNK];
	size_t packed = pack_chunk(j, r->bytes.data, r->bytes.size);
	sqlite3_bind_int64(s, 1, (int64_t)r->batch);
	sqlite3_bind_int64(s, 2, r->number);
	sqlite3_bind_int64(s, 3, packed ? (int64_t)r->bytes.size : 0);
	if (packed)
		journal_bind_blob(s, 4, j->row.data, packed);
	else
		journal_bind_blob(s, 4, r->bytes.data, r->bytes.size);
	int rc = db_run(s);
	return rc == SQLITE_OK ? note_tags(j, r) : rc;
}

static int apply_sealed(struct journal *j, const struct turn_record *r)
{
	sqlite3_bind_int64(j->stmts[J_SEAL], 2, r->number);
	return journal_run1(j, J_SEAL, r->batch);
}

int journal_drop_batch(struct journal *j, uint64_t batch)
{
	static const enum journal_stmt deletes[] = {J_DISCARD_BATCH, J_DISCARD_CHUNKS,
						    J_DISCARD_ENDS,  J_DISCARD_TAGS,
						    J_LEASES_GONE,   J_CHECKPOINTS_GONE};
	sqlite3_stmt *s = j->stmts[J_BATCH_ID];
	sqlite3_bind_int64(s, 1, (int64_t)batch);
	buf_reset(&j->keys);
	if (sqlite3_step(s) == SQLITE_ROW && sqlite3_column_bytes(s, 0) == DIGEST_SIZE)
		buf_add(&j->keys, sqlite3_column_blob(s, 0), DIGEST_SIZE);
	int rc = sqlite3_reset(s);
	if (rc != SQLITE_OK || !j->keys.size)
		return rc;
	s = j->stmts[J_BATCH_TAGS];
	sqlite3_bind_int64(s, 1, (int64_t)batch);
	while (sqlite3_step(s) == SQLITE_ROW)
		buf_add(&j->keys, sqlite3_column_blob(s, 0),
			(size_t)sqlite3_column_bytes(s, 0));
	rc = sqlite3_reset(s);
	for (size_t i = 0; i < ARRAY_LEN(deletes) && rc == SQLITE_OK; i++)
		rc = journal_run1(j, deletes[i], batch);
	j->now.counters.batches--;
	if (j->keys.failed)
		return SQLITE_NOMEM;
	return rc == SQLITE_OK ? journal_change(j, CHANGE_BATCH_GONE, batch, j->keys.data,
						j->keys.size)
			       : rc;
}

static int apply_batch_ended(struct journal *j, const struct turn_record *r)
{
	sqlite3_stmt *s = j->stmts[J_BATCH_ENDED];
	buf_reset(&j->row);
	pack_counts(&j->row, &r->ended.counts);
	sqlite3_bind_int64(s, 2, (int64_t)r->ended.wall_ms);
	journal_bind_blob(s, 3, j->row.data, j->row.size);
	mem_grow(j->ended, j->ended_count, j->ended_capacity);
	j->ended[j->ended_count++] = r->batch;
	return journal_run1(j, J_BATCH_ENDED, r->batch);
}

static int apply_pause(struct journal *j, const struct turn_record *r)
{
	sqlite3_bind_int64(j->stmts[J_PAUSE], 2, r->number ? (int64_t)r->number : -1);
	return journal_run1(j, J_PAUSE, r->batch);
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
	journal_bind_blob(s, 3, j->row.data, j->row.size);
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

static void put_name(struct journal *j, const char *name, uint64_t seq)
{
	uint8_t key[TAG_KEY_SIZE];
	/* Most commits have the name of the one before. */
	if (!j->name || strcmp(j->name, name) != 0) {
		free(j->name);
		j->name = mem_strdup(name);
		name_key(j->name_key, name);
		const char *called = name_called(name);
		if ((j->is_called = called))
			name_key(j->called_key, called);
	}
	memcpy(key, j->name_key, sizeof key);
	journal_put(j, GAP_NAME, key, sizeof key, seq, 0);
	memcpy(key, j->called_key, sizeof key);
	if (j->is_called)
		journal_put(j, GAP_NAME, key, sizeof key, seq, 0);
}

int journal_insert_commit(struct journal *j, uint64_t seq, bool current, const void *body,
			  size_t size, const struct commit *c)
{
	uint8_t hash[DIGEST_SIZE], args_hash[DIGEST_SIZE], key[DIGEST_SIZE];
	sqlite3_stmt *s = j->stmts[J_COMMIT_ROW];
	assert(seq > j->now.mark.commit); /* the index counts on ascending numbers */
	sha256_digest(body, size, hash);
	sqlite3_bind_int64(s, 1, (int64_t)seq);
	sqlite3_bind_int64(s, 2, current);
	journal_bind_blob(s, 3, hash, sizeof hash);
	journal_bind_blob(s, 4, body, size);
	int rc = db_run(s);
	j->now.mark.commit = seq;
	memcpy(j->now.mark.commit_hash, hash, sizeof hash);
	state_count_commit(&j->now.counters, c, false);
	journal_put(j, GAP_COMMIT, hash, sizeof hash, seq, 0);
	put_name(j, c->name, seq);
	sha256_digest(c->args, c->args_size, args_hash);
	pack_fingerprint(key, c->func_hash, args_hash);
	journal_put(j, current ? GAP_FINGERPRINT : GAP_RUN, key, sizeof key, seq,
		    pack_expiry(c));
	return rc;
}

static int apply_commit(struct journal *j, const struct turn_record *r)
{
	struct commit c = r->commit.commit;
	int rc = find_parent(j, r->commit.parent_seq, &c);
	if (rc != SQLITE_OK)
		return rc;
	buf_reset(&j->body);
	commit_encode(&j->body, &c);
	if (j->body.failed)
		return SQLITE_NOMEM;
	return journal_insert_commit(j, r->batch, r->commit.current, j->body.data,
				     j->body.size, &c);
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
	journal_bind_blob(s, 2, digest, DIGEST_SIZE);
	journal_bind_blob(s, 3, r->bytes.data, r->bytes.size);
	j->now.counters.inline_blobs++;
	j->now.counters.inline_bytes += r->bytes.size;
	journal_put(j, GAP_BLOB, digest, DIGEST_SIZE, seq, 0);
	return db_run(s);
}

/* ---- a turn ---- */

static void keep_end(struct journal *j, const struct turn_record *r)
{
	mem_grow(j->ends, j->end_count, j->end_capacity);
	j->ends[j->end_count] = (struct journal_end){r->batch, j->end_count, r->end};
	j->end_count++;
	j->hits_unfolded |= r->end.flags & LEDGER_END_CACHED;
	state_count_end(&j->now.counters, &r->end);
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
			rc = journal_drop_batch(j, r->batch);
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
		case TURN_COMMIT_GONE:
		case TURN_DEMOTED:
		case TURN_BLOB_GONE:
		case TURN_BATCH_GONE:
		case TURN_PIN:
		case TURN_UNPIN:
		case TURN_COUNTERS:
			rc = journal_apply_care(j, r);
			break;
		case TURN_STAGED:
		case TURN_STAGED_TAKEN:
		case TURN_STAGED_DEMOTED:
		case TURN_STAGED_DROPPED:
			rc = journal_apply_import(j, r);
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
		rc = journal_run1(j, J_LEASES_GONE, j->ended[i]);
		if (rc == SQLITE_OK)
			rc = journal_run1(j, J_CHECKPOINTS_GONE, j->ended[i]);
	}
	if (rc == SQLITE_OK && memcmp(&j->now, &j->saved, sizeof j->now) != 0) {
		buf_reset(&j->row);
		state_pack(&j->row, &j->now);
		journal_bind_blob(j->stmts[J_STATE], 1, j->row.data, j->row.size);
		rc = db_run(j->stmts[J_STATE]);
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

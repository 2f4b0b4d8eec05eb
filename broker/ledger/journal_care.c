/* journal_care.c - what is removed, demoted and pinned.
 *
 * Of several commits of a fingerprint the journal calls several current; the highest of them is.
 * So when that one goes, those below it must not come forward, not even in an index that is made
 * anew: each is marked in its own row, in the same transaction. They are found through the index,
 * which gives candidates; their rows decide. */
#include "broker/ledger/journal.h"

#include "broker/ledger/pack.h"
#include "broker/ledger/tags.h"
#include "common/log.h"
#include "common/pure/sha256.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct row {
	bool found, damaged, current;
	uint8_t hash[DIGEST_SIZE], key[DIGEST_SIZE]; /* key: its fingerprint */
	struct commit commit;
	struct buf body, arena;
};

static void row_fini(struct row *row)
{
	buf_fini(&row->body);
	buf_fini(&row->arena);
}

static int read_row(struct journal *j, uint64_t seq, struct row *row)
{
	sqlite3_stmt *s = j->stmts[J_READ_COMMIT];
	uint8_t hash[DIGEST_SIZE] = {0};
	buf_reset(&row->body);
	buf_reset(&row->arena);
	sqlite3_bind_int64(s, 1, (int64_t)seq);
	row->found = sqlite3_step(s) == SQLITE_ROW;
	if (row->found) {
		row->current = sqlite3_column_int(s, 0);
		row->damaged = sqlite3_column_bytes(s, 1) != DIGEST_SIZE;
		memset(row->hash, 0, DIGEST_SIZE);
		if (!row->damaged)
			memcpy(row->hash, sqlite3_column_blob(s, 1), DIGEST_SIZE);
		buf_add(&row->body, sqlite3_column_blob(s, 2),
			(size_t)sqlite3_column_bytes(s, 2));
	}
	int rc = sqlite3_reset(s);
	if (rc != SQLITE_OK || !row->found)
		return rc;
	if (row->body.failed)
		return SQLITE_NOMEM;
	sha256_digest(row->body.data, row->body.size, hash);
	row->damaged |=
		memcmp(hash, row->hash, DIGEST_SIZE) != 0 ||
		commit_decode(row->body.data, row->body.size, &row->commit, &row->arena);
	if (!row->damaged) {
		sha256_digest(row->commit.args, row->commit.args_size, hash);
		pack_fingerprint(row->key, row->commit.func_hash, hash);
	}
	return rc;
}

/* demote_older() - commits of fingerprint @key below @seq are not current from now on. */
static int demote_older(struct journal *j, uint64_t seq, const uint8_t key[DIGEST_SIZE])
{
	struct gap_seqs older = {0};
	CLEANUP(row_fini) struct row row = {0};
	int rc =
		j->older.find ? j->older.find(j->older.arg, key, seq, &older) : SQLITE_OK;
	for (size_t i = 0; i < older.count && rc == SQLITE_OK; i++) {
		rc = read_row(j, older.items[i], &row);
		if (rc == SQLITE_OK && row.found && !row.damaged && row.current &&
		    memcmp(row.key, key, DIGEST_SIZE) == 0)
			rc = journal_run1(j, J_DEMOTE, older.items[i]);
	}
	free(older.items);
	return rc;
}

/* remove_lost() - a row that cannot be read: the index searches for it by its number. */
static int remove_lost(struct journal *j, uint64_t seq, const struct row *row)
{
	int rc = journal_run1(j, J_COMMIT_GONE, seq);
	log_warn("damaged commit removed", "seq=%" PRIu64, seq);
	return rc == SQLITE_OK ? journal_change(j, CHANGE_COMMIT_LOST, seq, row->hash,
						DIGEST_SIZE)
			       : rc;
}

/* add_tags() - append the keys of a commit's own tags to @keys. */
static int add_tags(struct journal *j, uint64_t seq, struct buf *keys)
{
	sqlite3_stmt *s = j->stmts[J_READ_TAGS];
	sqlite3_bind_int64(s, 1, (int64_t)seq);
	if (sqlite3_step(s) == SQLITE_ROW)
		tags_keys(keys, sqlite3_column_blob(s, 0),
			  (size_t)sqlite3_column_bytes(s, 0));
	return sqlite3_reset(s);
}

static int remove_commit(struct journal *j, uint64_t seq)
{
	static const enum journal_stmt deletes[] = {J_TAGS_GONE, J_USE_GONE,
						    J_COMMIT_GONE};
	CLEANUP(row_fini) struct row row = {0};
	uint8_t name[TAG_KEY_SIZE];
	int rc = read_row(j, seq, &row);
	if (rc != SQLITE_OK || !row.found)
		return rc;
	if (row.damaged)
		return remove_lost(j, seq, &row);
	if (row.current)
		rc = demote_older(j, seq, row.key);
	buf_reset(&j->keys);
	buf_add(&j->keys, row.hash, DIGEST_SIZE);
	buf_add(&j->keys, row.key, DIGEST_SIZE);
	name_key(name, row.commit.name);
	buf_add(&j->keys, name, sizeof name);
	const char *called = name_called(row.commit.name);
	if (called) {
		name_key(name, called);
		buf_add(&j->keys, name, sizeof name);
	}
	if (rc == SQLITE_OK)
		rc = add_tags(j, seq, &j->keys);
	for (size_t i = 0; i < ARRAY_LEN(deletes) && rc == SQLITE_OK; i++)
		rc = journal_run1(j, deletes[i], seq);
	if (rc != SQLITE_OK)
		return rc;
	if (j->keys.failed)
		return SQLITE_NOMEM;
	state_count_commit(&j->now.counters, &row.commit, true);
	return journal_change(j, row.current ? CHANGE_COMMIT_GONE : CHANGE_RUN_GONE, seq,
			      j->keys.data, j->keys.size);
}

static int demote(struct journal *j, uint64_t seq)
{
	CLEANUP(row_fini) struct row row = {0};
	int rc = read_row(j, seq, &row);
	if (rc != SQLITE_OK || !row.found || row.damaged || !row.current)
		return rc;
	rc = demote_older(j, seq, row.key);
	if (rc == SQLITE_OK)
		rc = journal_run1(j, J_DEMOTE, seq);
	return rc == SQLITE_OK
		       ? journal_change(j, CHANGE_DEMOTED, seq, row.key, DIGEST_SIZE)
		       : rc;
}

static int remove_blob(struct journal *j, uint64_t seq, const uint8_t *digest)
{
	sqlite3_stmt *s = j->stmts[J_BLOB_SIZE];
	sqlite3_bind_int64(s, 1, (int64_t)seq);
	bool found = sqlite3_step(s) == SQLITE_ROW;
	uint64_t size = (uint64_t)sqlite3_column_int64(s, 0);
	int rc = sqlite3_reset(s);
	if (rc != SQLITE_OK || !found)
		return rc;
	rc = journal_run1(j, J_BLOB_GONE, seq);
	if (rc != SQLITE_OK)
		return rc;
	/* The same bytes may come again at any moment, and must be written then. */
	uint32_t place;
	memcpy(&place, digest, sizeof place);
	struct gap_entry *recent = &j->recent[place % JOURNAL_RECENT];
	if (memcmp(recent->key, digest, DIGEST_SIZE) == 0)
		recent->seq = 0;
	j->now.counters.inline_blobs--;
	j->now.counters.inline_bytes -= size;
	return journal_change(j, CHANGE_BLOB_GONE, seq, digest, DIGEST_SIZE);
}

static int pin(struct journal *j, const struct turn_record *r)
{
	sqlite3_stmt *s = j->stmts[r->type == TURN_PIN ? J_PIN : J_UNPIN];
	sqlite3_bind_text(s, 1, r->pin.name, -1, SQLITE_STATIC);
	if (r->type == TURN_PIN) {
		journal_bind_blob(s, 2, r->pin.hash, DIGEST_SIZE);
		sqlite3_bind_int64(s, 3, (int64_t)r->pin.wall_ms);
	}
	return db_run(s);
}

/* remove_batch() - what its ends tell of the use of commits is summed up first. */
static int remove_batch(struct journal *j, uint64_t batch)
{
	int rc = journal_fold_batch(j, batch);
	return rc == SQLITE_OK ? journal_drop_batch(j, batch) : rc;
}

int journal_apply_care(struct journal *j, const struct turn_record *r)
{
	switch ((int)r->type) {
	case TURN_COMMIT_GONE:
		return remove_commit(j, r->batch);
	case TURN_DEMOTED:
		return demote(j, r->batch);
	case TURN_BLOB_GONE:
		return remove_blob(j, r->batch, r->bytes.digest);
	case TURN_BATCH_GONE:
		return remove_batch(j, r->batch);
	case TURN_COUNTERS:
		state_add_counters(&j->now.counters, &r->counters);
		return SQLITE_OK;
	default:
		return pin(j, r);
	}
}

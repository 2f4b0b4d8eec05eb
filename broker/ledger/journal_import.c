/* journal_import.c - commits from elsewhere: staged in as many transactions as it takes, where nobody
 * sees them, and taken in one. What was staged and not taken is deleted when the store is opened. */
#include "broker/ledger/journal.h"

#include "broker/ledger/tags.h"
#include "common/log.h"

#include <inttypes.h>

static int stage(struct journal *j, const struct turn_record *r)
{
	sqlite3_stmt *s = j->stmts[J_STAGE];
	sqlite3_bind_int64(s, 2, (int64_t)++j->staged);
	sqlite3_bind_int64(s, 3, r->staged.current);
	journal_bind_blob(s, 4, r->staged.body, r->staged.size);
	journal_bind_blob(s, 5, r->staged.tags, r->staged.tags_size);
	return journal_run1(j, J_STAGE, r->batch);
}

static int put_tags(struct journal *j, uint64_t seq, const void *tags, size_t size)
{
	sqlite3_stmt *s = j->stmts[J_COMMIT_TAGS];
	if (!size)
		return SQLITE_OK;
	buf_reset(&j->keys);
	tags_keys(&j->keys, tags, size);
	if (j->keys.failed)
		return SQLITE_NOMEM;
	journal_put_tags(j, &j->keys, seq);
	journal_bind_blob(s, 2, tags, size);
	return journal_run1(j, J_COMMIT_TAGS, seq);
}

static int take_row(struct journal *j, sqlite3_stmt *s, uint64_t seq)
{
	struct commit c;
	const void *body = sqlite3_column_blob(s, 1);
	size_t size = (size_t)sqlite3_column_bytes(s, 1);
	buf_reset(&j->arena);
	/* It was looked at when it was staged: the disk has changed it since. */
	if (commit_decode(body, size, &c, &j->arena)) {
		log_error("staged commit found damaged", "seq=%" PRIu64, seq);
		return SQLITE_CORRUPT;
	}
	int rc = journal_insert_commit(j, seq, sqlite3_column_int(s, 0), body, size, &c);
	if (rc == SQLITE_OK)
		rc = put_tags(j, seq, sqlite3_column_blob(s, 2),
			      (size_t)sqlite3_column_bytes(s, 2));
	return rc;
}

static int take(struct journal *j, uint64_t import, uint64_t first)
{
	sqlite3_stmt *s = j->stmts[J_STAGED];
	int rc = SQLITE_OK, step;
	sqlite3_bind_int64(s, 1, (int64_t)import);
	while (rc == SQLITE_OK && (step = sqlite3_step(s)) != SQLITE_DONE)
		rc = step == SQLITE_ROW ? take_row(j, s, first++) : step;
	sqlite3_reset(s);
	return rc == SQLITE_OK ? journal_run1(j, J_STAGED_GONE, import) : rc;
}

int journal_apply_import(struct journal *j, const struct turn_record *r)
{
	if (r->type == TURN_STAGED)
		return stage(j, r);
	if (r->type == TURN_STAGED_TAKEN)
		return take(j, r->batch, r->first);
	if (r->type == TURN_STAGED_DEMOTED) {
		sqlite3_bind_int64(j->stmts[J_STAGED_DEMOTED], 2, r->number);
		return journal_run1(j, J_STAGED_DEMOTED, r->batch);
	}
	return journal_run1(j, J_STAGED_GONE, r->batch);
}

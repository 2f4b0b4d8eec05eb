/* journal_chores.c - what the writer does when nothing else is to be done.
 *
 * A hit writes nothing but the end of its task. When idle, ends are read in the order in which they
 * were written and summed up in the table use (last use and hits of each commit that was hit, and
 * the time saved), up to the seq @folded of the state: exactly once, as both are in one transaction. */
#include "broker/ledger/journal.h"

#include "broker/ledger/pack.h"

#define FOLD_ROWS 256
#define FOLD_ENDS 1024 /* hits: about 5 ms */
#define FOLD_DUE_ROWS 1024
#define FORGET_CHANGES 2048

/* batch_ended() - when the batch of rows without a time of their own ended. */
static uint64_t batch_ended(struct journal *j, uint64_t batch)
{
	sqlite3_stmt *s = j->stmts[J_FOLD_ENDED];
	uint64_t ms = 0;
	sqlite3_bind_int64(s, 1, (int64_t)batch);
	if (sqlite3_step(s) == SQLITE_ROW)
		ms = (uint64_t)sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return ms;
}

static int fold_hit(struct journal *j, uint64_t seq, uint64_t wall_ms)
{
	struct commit c;
	sqlite3_stmt *s = j->stmts[J_READ_COMMIT];
	bool found = false;
	sqlite3_bind_int64(s, 1, (int64_t)seq);
	buf_reset(&j->arena);
	if (sqlite3_step(s) == SQLITE_ROW)
		found = commit_decode(sqlite3_column_blob(s, 2),
				      (size_t)sqlite3_column_bytes(s, 2), &c,
				      &j->arena) == 0;
	uint64_t saved_ns = found ? c.duration_ns : 0;
	int rc = sqlite3_reset(s);
	if (rc != SQLITE_OK || !found)
		return rc;
	j->now.counters.saved_ns += saved_ns;
	s = j->stmts[J_USE];
	sqlite3_bind_int64(s, 2, (int64_t)wall_ms);
	sqlite3_bind_int64(s, 3, 1);
	return journal_run1(j, J_USE, seq);
}

static int fold_row(struct journal *j, uint64_t batch, uint64_t wall_ms,
		    const struct buf *row, size_t *ends)
{
	struct ledger_end end;
	int rc = SQLITE_OK;
	for (size_t at = 0; rc == SQLITE_OK; at++) {
		if (unpack_end(row->data, row->size, at, &end))
			break;
		if (!(end.flags & LEDGER_END_CACHED) || !end.commit)
			continue;
		++*ends;
		if (!wall_ms)
			wall_ms = batch_ended(j, batch);
		rc = fold_hit(j, end.commit, wall_ms);
	}
	return rc;
}

static int fold_current(struct journal *j, sqlite3_stmt *s, struct buf *row, size_t *ends)
{
	buf_reset(row);
	buf_add(row, sqlite3_column_blob(s, 3), (size_t)sqlite3_column_bytes(s, 3));
	return row->failed ? SQLITE_NOMEM
			   : fold_row(j, (uint64_t)sqlite3_column_int64(s, 1),
				      (uint64_t)sqlite3_column_int64(s, 2), row, ends);
}

/* fold() - the next rows. @morep: there may be more. */
static int fold(struct journal *j, bool *morep)
{
	sqlite3_stmt *s = j->stmts[J_FOLD];
	CLEANUP_BUF struct buf row = {0};
	size_t ends = 0, rows = 0;
	int rc = SQLITE_OK, step = SQLITE_ROW;
	sqlite3_bind_int64(s, 1, (int64_t)j->now.folded);
	sqlite3_bind_int64(s, 2, FOLD_ROWS);
	while (rc == SQLITE_OK && ends < FOLD_ENDS &&
	       (step = sqlite3_step(s)) == SQLITE_ROW) {
		j->now.folded = (uint64_t)sqlite3_column_int64(s, 0);
		rc = fold_current(j, s, &row, &ends);
		rows++;
	}
	int end = sqlite3_reset(s);
	*morep = step == SQLITE_ROW || rows == FOLD_ROWS;
	return rc == SQLITE_OK && step != SQLITE_ROW && step != SQLITE_DONE ? end : rc;
}

int journal_fold_batch(struct journal *j, uint64_t batch)
{
	sqlite3_stmt *s = j->stmts[J_FOLD_BATCH];
	CLEANUP_BUF struct buf row = {0};
	size_t ends = 0;
	int rc = SQLITE_OK, step;
	sqlite3_bind_int64(s, 1, (int64_t)batch);
	sqlite3_bind_int64(s, 2, (int64_t)j->now.folded);
	while (rc == SQLITE_OK && (step = sqlite3_step(s)) != SQLITE_DONE)
		rc = step == SQLITE_ROW ? fold_current(j, s, &row, &ends) : step;
	sqlite3_reset(s);
	return rc;
}

/* forget() - changes that the index has for good. */
static int forget(struct journal *j, uint64_t safe)
{
	uint64_t until = j->now.trimmed + FORGET_CHANGES;
	j->now.trimmed = until < safe ? until : safe;
	return journal_run1(j, J_FORGET, j->now.trimmed);
}

bool journal_chore_due(const struct journal *j, uint64_t safe)
{
	return j->hits_unfolded || j->rows - j->rows_folded >= FOLD_DUE_ROWS ||
	       safe > j->now.trimmed;
}

int journal_chore(struct journal *j, uint64_t safe)
{
	bool more = false;
	int rc = journal_begin(j);
	if (rc == SQLITE_OK && safe > j->now.trimmed)
		rc = forget(j, safe);
	if (rc == SQLITE_OK)
		rc = fold(j, &more);
	if (rc == SQLITE_OK)
		rc = journal_commit(j);
	if (rc != SQLITE_OK) {
		journal_rollback(j);
		return rc;
	}
	if (!more) {
		j->hits_unfolded = false;
		j->rows_folded = j->rows;
	}
	return rc;
}

/* journal_rows.c - ends and leases of a whole group, gathered by batch into few rows. */
#include "broker/ledger/journal.h"

#include "broker/ledger/pack.h"

#include <stdlib.h>

/* @batch and @order come first in both kinds of entry. */
static int by_batch(const void *a, const void *b)
{
	const struct journal_end *x = a, *y = b;
	if (x->batch != y->batch)
		return x->batch < y->batch ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static int by_batch_lease(const void *a, const void *b)
{
	const struct journal_lease *x = a, *y = b;
	if (x->batch != y->batch)
		return x->batch < y->batch ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static int put_row(struct journal *j, enum journal_stmt which, uint64_t batch)
{
	sqlite3_stmt *s = j->stmts[which];
	if (j->row.failed)
		return SQLITE_NOMEM;
	sqlite3_bind_int64(s, 1, (int64_t)batch);
	sqlite3_bind_int64(s, 2, (int64_t)(j->boot << 32 | ++j->rows));
	sqlite3_bind_blob64(s, 3, j->row.data, j->row.size, SQLITE_STATIC);
	if (which == J_END_ROW)
		sqlite3_bind_int64(s, 4, (int64_t)j->wall_ms);
	return db_run(s);
}

int journal_flush_ends(struct journal *j)
{
	int rc = SQLITE_OK;
	if (j->end_count)
		qsort(j->ends, j->end_count, sizeof *j->ends, by_batch);
	for (size_t at = 0; at < j->end_count && rc == SQLITE_OK;) {
		uint64_t batch = j->ends[at].batch;
		buf_reset(&j->row);
		for (size_t n = 0; n < PACK_ROW_MAX && at < j->end_count; n++, at++) {
			if (j->ends[at].batch != batch)
				break;
			pack_end(&j->row, &j->ends[at].end);
		}
		rc = put_row(j, J_END_ROW, batch);
	}
	return rc;
}

int journal_flush_leases(struct journal *j)
{
	const struct ledger_lease *row[PACK_ROW_MAX];
	int rc = SQLITE_OK;
	if (j->lease_count)
		qsort(j->leases, j->lease_count, sizeof *j->leases, by_batch_lease);
	for (size_t at = 0; at < j->lease_count && rc == SQLITE_OK;) {
		uint64_t batch = j->leases[at].batch;
		size_t n = 0;
		while (n < PACK_ROW_MAX && at < j->lease_count &&
		       j->leases[at].batch == batch)
			row[n++] = j->leases[at++].lease;
		if (journal_has_ended(j, batch))
			continue; /* granted and over in one group */
		buf_reset(&j->row);
		pack_leases(&j->row, row, n);
		rc = put_row(j, J_LEASE_ROW, batch);
	}
	return rc;
}

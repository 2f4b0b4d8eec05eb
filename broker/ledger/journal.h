/* journal.h - meta.db as it is written: turns become rows of one transaction.
 *
 *   journal_begin -> journal_apply* -> journal_commit | journal_rollback
 *
 * Ends and leases of all turns of a group are gathered and written at the end, as few rows per
 * batch. What the index must learn is gathered too (@adds); it is the caller's to pass on once the
 * transaction is on disk. Everything kept here in memory goes back to its state before
 * journal_begin() on a rollback. Thread: the writer's (the opener's before it starts).
 *
 * Codes returned are SQLite's. */
#pragma once

#include "broker/ledger/gap.h"
#include "broker/ledger/turn.h"

enum journal_stmt {
	J_BEGIN,
	J_COMMIT,
	J_BATCH,
	J_CHUNK,
	J_SEAL,
	J_END_ROW,
	J_LEASE_ROW,
	J_CHECKPOINT,
	J_BATCH_ENDED,
	J_PAUSE,
	J_LEASES_GONE,
	J_CHECKPOINTS_GONE,
	J_DISCARD_BATCH,
	J_DISCARD_CHUNKS,
	J_DISCARD_ENDS,
	J_TOP_BATCH,
	J_BATCH_ID,
	J_COMMIT_ROW,
	J_PARENT,
	J_BLOB,
	J_TOTALS,
	J_COUNT,
};

struct journal_totals {
	uint64_t commits, batches, blobs;
};

struct journal_end {
	uint64_t batch;
	size_t order;
	struct ledger_end end;
};

struct journal_lease {
	uint64_t batch;
	size_t order;
	const struct ledger_lease *lease; /* in its turn */
};

/* What a transaction changes here. */
struct journal_state {
	struct journal_totals totals;
	struct gap_mark mark;
	uint64_t rows; /* low half of seq of ends and leases */
};

#define JOURNAL_RECENT 4096

struct journal {
	sqlite3 *db;
	sqlite3_stmt *stmts[J_COUNT];
	uint64_t boot;
	struct journal_state now, saved;
	struct journal_end *ends;
	struct journal_lease *leases;
	uint64_t *ended; /* batches */
	struct gap_add *adds;
	size_t end_count, end_capacity, lease_count, lease_capacity, ended_count,
		ended_capacity, add_count, add_capacity;
	struct buf body, row;
	void *packer;	 /* zstd's */
	struct gap *gap; /* asked whether a small blob is known to be damaged */
	/* Digests of small blobs written lately: the same short output comes again and again. */
	struct gap_entry *recent;
	uint64_t wal_pages, wal_done, wal_tried;
};

int journal_init(struct journal *j, sqlite3 *db, uint64_t boot, struct gap *gap);
void journal_fini(struct journal *j); /* not the connection */
int journal_begin(struct journal *j);
int journal_apply(struct journal *j, const struct ledger_turn *t);
int journal_commit(struct journal *j);
void journal_rollback(struct journal *j);
/** journal_read_totals() - what the table meta says. Return: SQLITE_OK, also if it is not there. */
int journal_read_totals(sqlite3 *db, struct journal_totals *totals);
/** journal_checkpoint() - move what is in the log to the database, in one small step. */
int journal_checkpoint(struct journal *j);
/** journal_wal_pages() - pages of the log that a checkpoint has neither moved nor tried to. */
uint64_t journal_wal_pages(const struct journal *j);

/* Between journal.c and journal_rows.c: */
int journal_flush_ends(struct journal *j);
int journal_flush_leases(struct journal *j);
bool journal_has_ended(const struct journal *j, uint64_t batch); /* by this group */

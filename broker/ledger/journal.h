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
#include "broker/ledger/state.h"
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
	J_DISCARD_TAGS,
	J_BATCH_ID,
	J_BATCH_TAGS,
	J_COMMIT_ROW,
	J_PARENT,
	J_BLOB,
	J_TAGS,
	J_COMMIT_TAGS,
	J_STATE,
	J_CHANGE,
	/* journal_care.c */
	J_READ_COMMIT,
	J_READ_TAGS,
	J_COMMIT_GONE,
	J_TAGS_GONE,
	J_USE_GONE,
	J_DEMOTE,
	J_BLOB_SIZE,
	J_BLOB_GONE,
	J_PIN,
	J_UNPIN,
	/* journal_import.c */
	J_STAGE,
	J_STAGED,
	J_STAGED_DEMOTED,
	J_STAGED_GONE,
	/* journal_chores.c */
	J_FOLD,
	J_FOLD_BATCH,
	J_FOLD_ENDED,
	J_USE,
	J_FORGET,
	J_COUNT,
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

/* journal_older - finds candidates for commits of a fingerprint with a number below @below in the
 * gap and in index.db. Return: SQLite's code. */
struct journal_older {
	int (*find)(void *arg, const uint8_t key[DIGEST_SIZE], uint64_t below,
		    struct gap_seqs *out);
	void *arg;
};

#define JOURNAL_RECENT 4096

struct journal {
	sqlite3 *db;
	sqlite3_stmt *stmts[J_COUNT];
	uint64_t boot;
	struct journal_state now, saved; /* a rollback goes back to @saved */
	uint64_t rows;			 /* low half of seq of ends and leases */
	uint64_t rows_folded;
	bool hits_unfolded; /* there may be some; also what an earlier boot has left */
	uint64_t staged;    /* counts rows of staged */
	uint64_t wall_ms;   /* of the group; set by the writer */
	struct journal_older older;
	struct journal_end *ends;
	struct journal_lease *leases;
	uint64_t *ended; /* batches */
	struct gap_add *adds;
	size_t end_count, end_capacity, lease_count, lease_capacity, ended_count,
		ended_capacity, add_count, add_capacity;
	struct buf body, row, arena, keys;
	char *name;			    /* of the last commit, and its key */
	uint8_t name_key[8], called_key[8]; /* the second one if @name has it: tags.h */
	bool is_called;
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
/** journal_chore() - a small transaction of work that is put off while there is other work: uses of
 * commits are summed up, and changes up to @safe, which the index will never ask for, are
 * forgotten. Not between journal_begin() and journal_commit(). */
int journal_chore(struct journal *j, uint64_t safe);
bool journal_chore_due(const struct journal *j, uint64_t safe);
/** journal_checkpoint() - move what is in the log to the database, in one small step. */
int journal_checkpoint(struct journal *j);
/** journal_wal_pages() - pages of the log that a checkpoint has neither moved nor tried to. */
uint64_t journal_wal_pages(const struct journal *j);

/* Between journal.c and journal_rows.c: */
int journal_flush_ends(struct journal *j);
int journal_flush_leases(struct journal *j);
bool journal_has_ended(const struct journal *j, uint64_t batch); /* by this group */

/* Between the files that write rows: */
int journal_run1(struct journal *j, enum journal_stmt which, uint64_t value);
void journal_bind_blob(sqlite3_stmt *s, int at, const void *data, size_t size);
/** journal_put() - tell the index, once the group is on disk. */
void journal_put(struct journal *j, enum gap_kind kind, const uint8_t *key,
		 size_t key_size, uint64_t seq, uint64_t extra);
/** journal_put_tags() - the same for keys of tags behind each other. */
void journal_put_tags(struct journal *j, const struct buf *keys, uint64_t seq);
/** journal_change() - record a change of rows that the index has, and tell it. */
int journal_change(struct journal *j, enum gap_change change, uint64_t number,
		   const void *keys, size_t size);
/** journal_insert_commit() - @body: canonical bytes of @c. */
int journal_insert_commit(struct journal *j, uint64_t seq, bool current, const void *body,
			  size_t size, const struct commit *c);
int journal_fold_batch(struct journal *j, uint64_t batch);
int journal_drop_batch(struct journal *j, uint64_t batch); /* all its rows */
int journal_apply_care(struct journal *j, const struct turn_record *r);
int journal_apply_import(struct journal *j, const struct turn_record *r);
extern const char *const journal_sql[J_COUNT]; /* journal_sql.c */

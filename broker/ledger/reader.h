/* reader.h - struct ledger_reader, shared by the files that read.
 *
 * Beginning and ending a read transaction costs more than a look-up in it, so inside the broker a
 * reader keeps its transactions open between calls. This must neither hide what became durable nor
 * keep SQLite from beginning its logs anew:
 *   - meta.db: the ledger counts its transactions; a reader whose snapshot is of another count
 *     takes a new one.
 *   - index.db: the index thread ends all snapshots after its transaction and before it drops the
 *     layer from the gap (so the argument of gap.h holds).
 *   - both: whoever checkpoints ends all snapshots first.
 * To let other threads end a snapshot, each use of the connections is between reader_enter() and
 * reader_leave(); callbacks run outside. A program of its own has no such helpers: there each call
 * is a transaction of its own. */
#pragma once

#include "broker/ledger/gap.h"
#include "broker/ledger/ledger.h"

enum reader_stmt { /* up to R_OPEN: of meta.db; the rest: of index.db */
		   R_META_BEGIN,
		   R_META_END,
		   R_COMMIT,
		   R_BLOB,
		   R_BATCH,
		   R_CHUNK,
		   R_CHUNK_COUNT,
		   R_HAS_TAGS,
		   R_ENDS,
		   R_LEASES,
		   R_CHECKPOINTS,
		   R_NEWEST,
		   R_LIST,
		   R_STATE,
		   R_ROW,
		   R_NEWER,
		   R_OLDER,
		   R_RECENT_ENDS,
		   R_COMMIT_TAGS,
		   R_PIN,
		   R_PINS,
		   R_INLINE,
		   R_OPEN,
		   R_INDEX_BEGIN,
		   R_INDEX_END,
		   R_FP,
		   R_HASH,
		   R_BLOB_SEQ,
		   R_BATCH_NUMBER,
		   R_HASH_RANGE,
		   R_BATCH_RANGE,
		   R_NAME_FIRST,
		   R_NAMES,
		   R_RUNS,
		   R_TAGS,
		   R_COUNT,
};

struct ledger_reader {
	struct ledger *ledger; /* NULL: a program of its own */
	char *dir;
	sqlite3 *meta, *index; /* @index NULL: not there, all is read from the journal */
	sqlite3_stmt *stmts[R_COUNT];
	/* Without a ledger: what the index does not cover. */
	struct gap_scan *scan;
	struct gap_layer *layer;
	/* With a ledger: */
	pthread_mutex_t lock;
	struct ledger_reader *next; /* in the ledger's list */
	bool meta_held, index_held; /* a snapshot is open */
	uint64_t version; /* of the ledger, before the snapshot of meta.db was taken */
};

/** reader_stmt() - prepared. NULL where that failed, which SQLite says when it is used. */
sqlite3_stmt *reader_stmt(struct ledger_reader *r, enum reader_stmt which);
/** reader_enter() - before using meta.db. Return: SQLite's code; leave only if it is SQLITE_OK. */
int reader_enter(struct ledger_reader *r);
/** reader_enter_index() - the same for index.db. */
int reader_enter_index(struct ledger_reader *r);
void reader_leave(struct ledger_reader *r);

/** reader_errno() - the negative errno for @rc; tells the ledger when index.db is damaged. */
int reader_errno(struct ledger_reader *r, sqlite3 *db, int rc);
/** reader_begin_layer() - a program of its own: begin anew with what the index covers. */
int reader_begin_layer(struct ledger_reader *r);
/** reader_lookup() - the gap first, then the index (see gap.h). Return: 0; 1 if none. */
int reader_lookup(struct ledger_reader *r, enum gap_kind kind,
		  const uint8_t key[DIGEST_SIZE], struct gap_entry *entry);
/** reader_match() - numbers of the entries with a prefix, each once, at most @max, unordered.
 * Return: 0 and *countp; negative errno. */
int reader_match(struct ledger_reader *r, enum gap_kind kind, const uint8_t *prefix,
		 unsigned nibbles, uint64_t *seqs, size_t max, size_t *countp);

/* Candidates of a list (see gap.h), newest first, each once:
 *   reader_list_begin, reader_list_add*, reader_list_next* until it is not 0, reader_list_end */
struct reader_list {
	struct ledger_reader *r;
	enum reader_stmt stmt;
	uint8_t key[8];
	uint64_t below;	     /* the next one is less */
	struct gap_seqs gap; /* of the gap, descending once next was called */
	size_t at;
	struct gap_seqs page; /* of the index, descending */
	size_t place;
	uint64_t from; /* the next page is below it */
	bool sorted, ended;
};
/** reader_list_begin() - @kind: GAP_NAME, GAP_RUN, GAP_TAG. Return: 0 or negative errno. */
int reader_list_begin(struct reader_list *list, struct ledger_reader *r,
		      enum gap_kind kind, const uint8_t key[8], uint64_t below);
void reader_list_add(struct reader_list *list, uint64_t seq);
int reader_list_next(struct reader_list *list, uint64_t *seqp); /* 0; 1 end; errno */
void reader_list_end(struct reader_list *list);
/** reader_refresh() - a program of its own: learn what the journal has got since. */
int reader_refresh(struct ledger_reader *r);
/** reader_lookup_index() - index.db alone. Return: 0; 1 if none. */
int reader_lookup_index(struct ledger_reader *r, enum gap_kind kind,
			const uint8_t key[DIGEST_SIZE], struct gap_entry *entry);
/** reader_read_checked() - columns digest, bytes of row @seq, appended to @out if they agree. Return:
 * 0; 1 if there is no such row; 2 if it is not what was written. */
int reader_read_checked(struct ledger_reader *r, enum reader_stmt which, uint64_t seq,
			struct buf *out, uint8_t digest[DIGEST_SIZE]);
struct journal_state;
int reader_state(struct ledger_reader *r, struct journal_state *state);

/* ledger.h - the durable record of a store: meta.db (an append-ordered journal) and index.db
 * (sorted look-up tables, rebuilt from the journal when lost).
 *
 * Invariants:
 *   - Exactly one process writes; it holds run/lock. One connection per file writes and
 *     checkpoints, each on its own thread; all others are read-only.
 *   - A *turn* is what one round of the broker's loop wants recorded. Turns become durable in
 *     order and whole: one transaction holds one or more turns (group commit), WAL,
 *     synchronous=FULL. ledger_durable() moves only after the transaction is on disk.
 *   - If a transaction fails for want of room, the same turns are tried again until there is
 *     room (LEDGER_FULL meanwhile). If it fails otherwise, LEDGER_BROKEN: nothing more becomes
 *     durable and the broker must stop.
 *   - index.db carries a high-water mark in each of its transactions. Commits above it (the gap)
 *     are in memory here, so that ledger_find() sees every durable commit; one that is handed in
 *     and not durable yet is not seen.
 *   - Numbers of commits and of batches ascend in the order in which turns are handed in.
 *
 * Threads: ledger_* calls on `struct ledger` from the loop's thread only, unless said otherwise; a
 * `struct ledger_reader` from the thread that opened it. */
#pragma once

#include "broker/core/types.h"
#include "common/err.h"
#include "common/format/commit.h"

struct ledger;
struct ledger_turn;
struct ledger_reader;

enum ledger_state { LEDGER_OK, LEDGER_FULL, LEDGER_BROKEN };

struct ledger_info {
	uint8_t store_id[16];
	uint8_t mac_key[32];
	uint64_t boot; /* of this start; durable already */
	uint64_t next_commit;
	uint64_t next_batch;
	bool created;	    /* the store was new */
	bool index_rebuilt; /* index.db was missing or unusable and is being rebuilt */
};

/** ledger_open() - open or create @dir/meta.db and @dir/index.db, migrate older schemas, refuse
 * newer ones (ERR_FAILED, says which version wrote it), check that meta.db is whole
 * (quick_check of its b-tree heads; a corrupt one is refused with what to do), start the threads.
 * The caller holds the store's lock. */
int ledger_open(struct ledger **ledgerp, const char *dir, struct ledger_info *info,
		struct err *e);
/** ledger_close() - make durable what was handed in (unless BROKEN; on a full disk it is tried once
 * more and then lost, unacknowledged), checkpoint, join threads. */
void ledger_close(struct ledger *ledger);

/* ---- writing: build a turn, hand it in; everything passed is copied ---- */

struct ledger_turn *ledger_turn_new(struct ledger *ledger); /* from a pool */

struct ledger_batch {
	uint64_t batch; /* the broker's number */
	uint8_t id[DIGEST_SIZE];
	uint8_t client_key[KEY_SIZE];
	uint8_t request[NONCE_SIZE];
};

/* 20 bytes each in the record; one row holds all that a group of turns ended of one batch. */
struct ledger_end {
	uint32_t index;
	uint8_t status; /* enum core_task_status, an ended one */
	uint8_t flags;	/* 1 cached, 2 deduplicated */
	uint16_t attempts;
	uint32_t upstream;
	uint64_t commit; /* 0: none */
};

struct ledger_lease {
	uint32_t index;
	uint64_t epoch;
	uint32_t attempt;
	uint32_t deaths;
	uint8_t worker_key[KEY_SIZE];
};

void ledger_add_batch(struct ledger_turn *t, const struct ledger_batch *batch);
void ledger_add_chunk(
	struct ledger_turn *t, uint64_t batch, uint32_t chunk, const void *data,
	size_t size); /* packed SubmitChunk as received; the ledger may compress it */
void ledger_add_sealed(struct ledger_turn *t, uint64_t batch, uint32_t task_count);
void ledger_add_discarded(struct ledger_turn *t, uint64_t batch); /* its rows go */
void ledger_add_end(struct ledger_turn *t, uint64_t batch, const struct ledger_end *end);
void ledger_add_lease(struct ledger_turn *t, uint64_t batch,
		      const struct ledger_lease *lease);
void ledger_add_batch_ended(struct ledger_turn *t, uint64_t batch,
			    const struct core_counts *counts, uint64_t wall_ms);
/** ledger_add_commit() - encoded and hashed by the ledger's thread. @parent_seq: sequence number
 * of the commit that it supersedes (0: none; c->parent is filled in from it). @current: whether
 * look-ups by fingerprint find it from now on (completed and cache not OFF). */
void ledger_add_commit(struct ledger_turn *t, uint64_t seq, uint64_t parent_seq,
		       bool current, const struct commit *c);
/** ledger_add_blob() - a small blob, in the journal. @digest is trusted: computed by the caller. */
void ledger_add_blob(struct ledger_turn *t, const uint8_t digest[DIGEST_SIZE],
		     const void *data, size_t size);
bool ledger_turn_empty(const struct ledger_turn *t);
/** ledger_turn_may_wait() - @t need not be synced at once: more is about to follow (the result of a
 * tiny batch that was just submitted), and one sync could serve both. Its group is held open for
 * at most @ns (100 to 300 us make sense), as long as all turns in it may wait. */
void ledger_turn_may_wait(struct ledger_turn *t, uint64_t ns);

/** ledger_hand_in() - queue @t as step @step (ascending); takes it. Never blocks. An empty turn
 * becomes durable with the ones before it. */
void ledger_hand_in(struct ledger *ledger, struct ledger_turn *t, uint64_t step);
/** ledger_fd() - an eventfd that becomes readable when the durable step or the state moved. */
int ledger_fd(const struct ledger *ledger);
/** ledger_durable() - highest step that is on disk; clears the eventfd. */
uint64_t ledger_durable(struct ledger *ledger);
enum ledger_state ledger_state(const struct ledger *ledger, struct err *why);
uint64_t ledger_queued_bytes(const struct ledger *ledger);

/* ---- reading ---- */

/** ledger_reader_open() - with @ledger: inside the broker, sees the gap through memory; with
 * @ledger NULL: a read-only program, opens @dir, scans the gap. */
int ledger_reader_open(struct ledger_reader **readerp, struct ledger *ledger,
		       const char *dir, struct err *e);
void ledger_reader_close(struct ledger_reader *reader); /* before its ledger */
/* All that follow: negative errno when the store cannot be read; -EBADMSG: a row is damaged. */

struct ledger_hit {
	uint64_t seq;
	uint64_t expires_wall_ms; /* 0: never */
};
/** ledger_find() - the current successful commit of a fingerprint. Return: 0; 1 if none. */
int ledger_find(struct ledger_reader *r, const uint8_t func_hash[DIGEST_SIZE],
		const uint8_t args_hash[DIGEST_SIZE], struct ledger_hit *hit);
/** ledger_read_commit() - append its canonical bytes to @body. Return: 0; 1 if there is none. */
int ledger_read_commit(struct ledger_reader *r, uint64_t seq, struct buf *body,
		       uint8_t hash[DIGEST_SIZE]);
/** ledger_find_commit() - by hash prefix of @nibbles hex digits. Return: 0 exactly one; 1 none; 2
 * several: up to @max of them in @seqs, their number (capped at @max) in *countp. */
int ledger_find_commit(struct ledger_reader *r, const uint8_t *prefix, unsigned nibbles,
		       uint64_t *seqs, size_t max, size_t *countp);
/** ledger_find_blob() - a small blob from the journal, digest verified, appended to @out.
 * Return: 0; 1 if not there. */
int ledger_find_blob(struct ledger_reader *r, const uint8_t digest[DIGEST_SIZE],
		     struct buf *out);
int ledger_has_blob(struct ledger_reader *r,
		    const uint8_t digest[DIGEST_SIZE]); /* 0 yes, 1 no */

struct ledger_batch_row {
	struct ledger_batch batch;
	bool sealed, ended;
	uint32_t task_count;
	uint32_t chunk_count;
	struct core_counts counts; /* once ended */
	uint64_t ended_wall_ms;
};
/** ledger_find_batch() - by id prefix, unsealed ones too; @nibbles 0: the newest sealed one. Return
 * as ledger_find_commit(). */
int ledger_find_batch(struct ledger_reader *r, const uint8_t *prefix, unsigned nibbles,
		      struct ledger_batch_row *rows, size_t max, size_t *countp);
int ledger_read_batch(struct ledger_reader *r, uint64_t batch,
		      struct ledger_batch_row *row);
/** ledger_list_batches() - newest first, sealed ones; @max 0: all. @fn returns non-zero to stop, and
 * that is returned then (also below). Callbacks may use the reader. */
int ledger_list_batches(struct ledger_reader *r, size_t max,
			int (*fn)(void *arg, const struct ledger_batch_row *row),
			void *arg);
int ledger_read_chunk(struct ledger_reader *r, uint64_t batch, uint32_t chunk,
		      struct buf *out);
/** ledger_each_end() - all ended tasks of a batch, in the order in which they ended. */
int ledger_each_end(struct ledger_reader *r, uint64_t batch,
		    int (*fn)(void *arg, const struct ledger_end *end), void *arg);
/** ledger_each_lease() - grants recorded for a batch that has not ended, oldest first. */
int ledger_each_lease(struct ledger_reader *r, uint64_t batch,
		      int (*fn)(void *arg, const struct ledger_lease *lease), void *arg);
/** ledger_each_open_batch() - batches that have not ended, by number: what recovery replays. */
int ledger_each_open_batch(struct ledger_reader *r,
			   int (*fn)(void *arg, const struct ledger_batch_row *row),
			   void *arg);
struct ledger_stats {
	uint64_t commits, batches, inline_blobs;
};
int ledger_read_stats(struct ledger_reader *r, struct ledger_stats *stats);

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
	bool clean;	    /* it was closed in order before */
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

enum { LEDGER_END_CACHED = 1, LEDGER_END_DEDUPLICATED = 2 };

/* 20 bytes each in the record; one row holds all that a group of turns ended of one batch. */
struct ledger_end {
	uint32_t index;
	uint8_t status; /* enum core_task_status, an ended one */
	uint8_t flags;	/* LEDGER_END_* */
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

/* What a task left in its checkpoint folder, for its next attempt. The fingerprint is told as well:
 * that of a task is not known before its inputs are. */
struct ledger_checkpoint {
	uint32_t index;
	uint8_t func_hash[DIGEST_SIZE], args_hash[DIGEST_SIZE];
	bool has_nonce;
	uint8_t nonce[NONCE_SIZE];
	const void *body; /* the broker's; when read: the callback's for the call */
	size_t size;	  /* 0: there is none any more */
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
/** ledger_add_checkpoint() - in place of the one that the task had. Gone when the batch has ended. */
void ledger_add_checkpoint(struct ledger_turn *t, uint64_t batch,
			   const struct ledger_checkpoint *checkpoint);
void ledger_add_batch_ended(struct ledger_turn *t, uint64_t batch,
			    const struct core_counts *counts, uint64_t wall_ms);
/** ledger_add_paused() - the first tasks of @function (number within @batch) all failed. */
void ledger_add_paused(struct ledger_turn *t, uint64_t batch, uint32_t function);
void ledger_add_resumed(struct ledger_turn *t, uint64_t batch);
/** ledger_add_commit() - encoded and hashed by the ledger's thread. @parent_seq: sequence number
 * of the commit that it supersedes (0: none; c->parent is filled in from it). @current: whether
 * look-ups by fingerprint find it from now on (completed and cache not OFF). */
void ledger_add_commit(struct ledger_turn *t, uint64_t seq, uint64_t parent_seq,
		       bool current, const struct commit *c);
/** ledger_add_blob() - a small blob, in the journal. @digest is trusted: computed by the caller. */
void ledger_add_blob(struct ledger_turn *t, const uint8_t digest[DIGEST_SIZE],
		     const void *data, size_t size);
/* ---- removing, naming, counting ----
 *
 * Numbers are never used twice. What is removed is found by nobody once its turn is durable, also
 * after a crash and with an index that was lost. Whatever is not there (any more) is passed over. A
 * commit must be durable before its removal is handed in. */

/** ledger_add_commit_removed() - the record of a commit goes, with its tags and uses. If it was the
 * current one of its fingerprint, there is none then: what it had superseded stays superseded. Pins
 * that name it are not touched. Costs the writer some 10 us: at most some hundreds per turn. */
void ledger_add_commit_removed(struct ledger_turn *t, uint64_t seq);
/** ledger_add_demoted() - commit @seq is no longer current, nor is what it had superseded: no
 * look-up by fingerprint finds it; the record stays. Costs as much as a removal. */
void ledger_add_demoted(struct ledger_turn *t, uint64_t seq);
/** ledger_add_blob_removed() - row @seq of a small blob goes, see ledger_each_inline(). One
 * digest may have several rows, of which look-ups find the newest: remove older ones first. */
void ledger_add_blob_removed(struct ledger_turn *t, const uint8_t digest[DIGEST_SIZE],
			     uint64_t seq);
/** ledger_add_batch_removed() - all rows of an ended batch: itself, chunks, ends, leases. What
 * its ends tell of the use of commits is kept. Large ones take the writer a while: one per turn. */
void ledger_add_batch_removed(struct ledger_turn *t, uint64_t batch);

/** ledger_add_pin() - @name stands for this commit from now on, whatever it stood for before. */
void ledger_add_pin(struct ledger_turn *t, const char *name,
		    const uint8_t hash[DIGEST_SIZE], uint64_t wall_ms);
void ledger_add_unpin(struct ledger_turn *t, const char *name);

/* For stats: one row, kept up to date in each transaction, never counted by a scan. */
struct ledger_counters {
	uint64_t completed, failed; /* commits, by status */
	uint64_t compute_ns;	    /* the sum of their durations */
	uint64_t
		referenced_bytes; /* results, outputs and logs that they name, each time */
	uint64_t batches;
	uint64_t inline_blobs, inline_bytes;
	/* what the loop told, see ledger_add_counters(): files in objects/ */
	uint64_t objects, object_bytes, stored_bytes;
	/* ended tasks over the whole life of the store, those of removed batches too */
	uint64_t hits, executed, deduplicated;
	uint64_t
		saved_ns; /* durations of what was hit; lags behind, see ledger_saved_ns() */
};

/** ledger_add_counters() - add @delta to the counters, each field modulo 2^64: what is to be less
 * is given as its complement (0 - n). For objects (the ledger does not see them) and for fsck. */
void ledger_add_counters(struct ledger_turn *t, const struct ledger_counters *delta);

/* ---- importing commits: staged in as many turns as it takes, then all or none ---- */

struct ledger_tag {
	const char *key, *value; /* value: "" if there is none */
};

/** ledger_add_staged() - a commit of import @import (a number of the caller's; staged commits that
 * were not taken are forgotten when the ledger is opened). @body: canonical bytes, the hash is
 * computed here. @current: as ledger_add_commit(). @tags: kept with it.
 * Return: 0; 1 if @body is no commit: nothing was added. */
int ledger_add_staged(struct ledger_turn *t, uint64_t import, bool current,
		      const void *body, size_t size, const struct ledger_tag *tags,
		      size_t tag_count);
/** ledger_add_staged_taken() - all that was staged for @import becomes commits, numbered from
 * @first in the order of staging, in this transaction. @first: as for ledger_add_commit(); the
 * caller leaves as many numbers free as it has staged. It does not look whether there are commits
 * of these hashes: that is the caller's, who makes one import at a time. */
void ledger_add_staged_taken(struct ledger_turn *t, uint64_t import, uint64_t first);
/** ledger_add_staged_demoted() - the @nth commit that was staged (from 0) is not to be current. */
void ledger_add_staged_demoted(struct ledger_turn *t, uint64_t import, uint32_t nth);
void ledger_add_staged_dropped(struct ledger_turn *t, uint64_t import);

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
/** ledger_is_filling() - what is not urgent should wait: soon turns would have to, until the index has
 * caught up. Thread: any. */
bool ledger_is_filling(struct ledger *ledger);

/* ---- reading ---- */

/** ledger_reader_open() - with @ledger: inside the broker, sees the gap through memory; with
 * @ledger NULL: a read-only program, opens @dir, scans the gap. */
int ledger_reader_open(struct ledger_reader **readerp, struct ledger *ledger,
		       const char *dir, struct err *e);
void ledger_reader_close(struct ledger_reader *reader); /* before its ledger */
/** ledger_trim_readers() - readers of @l that are not in use give back the memory of their page caches:
 * up to 16 MiB for each file. Thread: any. */
void ledger_trim_readers(struct ledger *l);
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
	bool paused, resumed;	   /* neither: it never paused */
	uint32_t paused_by;	   /* paused: number of the function */
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
/** ledger_read_chunk_head() - no more than the first @max bytes of it. */
int ledger_read_chunk_head(struct ledger_reader *r, uint64_t batch, uint32_t chunk,
			   size_t max, struct buf *out);
/** ledger_has_tags() - has any task of the batch, or itself, a tag? Return: 0 yes; 1 no. */
int ledger_has_tags(struct ledger_reader *r, uint64_t batch);
/** ledger_each_end() - all ended tasks of a batch, in the order in which they ended. */
int ledger_each_end(struct ledger_reader *r, uint64_t batch,
		    int (*fn)(void *arg, const struct ledger_end *end), void *arg);
/** ledger_each_lease() - grants recorded for a batch that has not ended, oldest first. */
int ledger_each_lease(struct ledger_reader *r, uint64_t batch,
		      int (*fn)(void *arg, const struct ledger_lease *lease), void *arg);
/** ledger_each_checkpoint() - by index, those that are there; of a batch that has not ended. */
int ledger_each_checkpoint(struct ledger_reader *r, uint64_t batch,
			   int (*fn)(void *arg,
				     const struct ledger_checkpoint *checkpoint),
			   void *arg);
/** ledger_each_open_batch() - batches that have not ended, by number: what recovery replays. */
int ledger_each_open_batch(struct ledger_reader *r,
			   int (*fn)(void *arg, const struct ledger_batch_row *row),
			   void *arg);
struct ledger_stats {
	uint64_t commits, batches, inline_blobs;
};
int ledger_read_stats(struct ledger_reader *r, struct ledger_stats *stats);

/* ---- history: walks and look-ups that never scan a table to find something ----
 *
 * Callbacks may use the reader, take as long as they like, and stop a walk by returning non-zero,
 * which is returned then. What is removed meanwhile may or may not be seen. */

struct ledger_commit_row {
	uint64_t seq;
	uint8_t hash[DIGEST_SIZE];
	const uint8_t
		*body; /* verified; valid until the callback returns; NULL: damaged */
	size_t size;
	uint64_t
		last_used_ms; /* newest end of a task that hit it; 0: none since it was made */
	uint64_t hits;
};
typedef int ledger_commit_fn(void *arg, const struct ledger_commit_row *row);

enum ledger_walk {
	LEDGER_NEWEST_FIRST = 0,
	LEDGER_OLDEST_FIRST = 1,
	LEDGER_DAMAGED_TOO = 2, /* rows that are not what was written; else only logged */
	/* uses to the last one: the ends that are not summed up yet are read before the walk (about
	 * a second's worth on a broker that has been idle since) */
	LEDGER_WITH_USE = 4,
};
/** ledger_each_commit() - in the order of numbers. @from: exclusive, 0: from the end. @walk: flags. */
int ledger_each_commit(struct ledger_reader *r, unsigned walk, uint64_t from,
		       ledger_commit_fn *fn, void *arg);
/** ledger_name_fits() - is @wanted the @name of a task, or of a function by source what is behind its
 * file: "train" of "train.py:train"? */
bool ledger_name_fits(const char *name, const char *wanted);
/** ledger_each_called() - as ledger_each_named(), of all names that ledger_name_fits(). */
int ledger_each_called(struct ledger_reader *r, const char *wanted, uint64_t before,
		       ledger_commit_fn *fn, void *arg);
/** ledger_each_named() - commits of tasks of this name, newest first, below @before (0: all). */
int ledger_each_named(struct ledger_reader *r, const char *name, uint64_t before,
		      ledger_commit_fn *fn, void *arg);
/** ledger_each_run() - all commits of a fingerprint: current, superseded, failed; newest first. */
int ledger_each_run(struct ledger_reader *r, const uint8_t func_hash[DIGEST_SIZE],
		    const uint8_t args_hash[DIGEST_SIZE], ledger_commit_fn *fn,
		    void *arg);
/** ledger_read_commit_row() - one commit; its body is appended to @body (row->body points there).
 * Return: 0; 1 if there is none. */
int ledger_read_commit_row(struct ledger_reader *r, uint64_t seq, struct buf *body,
			   struct ledger_commit_row *row);

/** ledger_each_tagged_batch() - *candidates*, newest first, below @before (0: all): every sealed
 * batch with a task tagged @key (and @value, unless NULL), and now and then another one: the caller
 * checks the tags in its chunks. */
int ledger_each_tagged_batch(struct ledger_reader *r, const char *key, const char *value,
			     uint64_t before,
			     int (*fn)(void *arg, const struct ledger_batch_row *row),
			     void *arg);
/** ledger_each_tagged_import() - imported commits with that tag, exactly; newest first. */
int ledger_each_tagged_import(struct ledger_reader *r, const char *key, const char *value,
			      uint64_t before, ledger_commit_fn *fn, void *arg);
/** ledger_read_tags() - those that came with an imported commit; the array and its text lie in
 * @arena, which is empty and the caller's. Return: 0, also if there are none (*countp is 0). */
int ledger_read_tags(struct ledger_reader *r, uint64_t seq, struct buf *arena,
		     struct ledger_tag **tagsp, size_t *countp);
/** ledger_list_batches_before() - as ledger_list_batches(), below @before. */
int ledger_list_batches_before(struct ledger_reader *r, uint64_t before,
			       int (*fn)(void *arg, const struct ledger_batch_row *row),
			       void *arg);

struct ledger_pin {
	const char *name;
	uint8_t hash[DIGEST_SIZE];
	uint64_t wall_ms;
};
/** ledger_find_pin() - Return: 0; 1 if there is none of this name. */
int ledger_find_pin(struct ledger_reader *r, const char *name, uint8_t hash[DIGEST_SIZE]);
int ledger_each_pin(struct ledger_reader *r, /* by name */
		    int (*fn)(void *arg, const struct ledger_pin *pin), void *arg);

/** ledger_each_inline() - all rows of small blobs above @from (0: all), oldest first; @size: bytes,
 * which are not read. For one digest several rows may come. */
int ledger_each_inline(struct ledger_reader *r, uint64_t from,
		       int (*fn)(void *arg, uint64_t seq,
				 const uint8_t digest[DIGEST_SIZE], uint64_t size),
		       void *arg);
/** ledger_read_inline() - the bytes of row @seq, verified, appended to @out. Return: 0; 1 if there is
 * no such row; 2 if it is damaged. */
int ledger_read_inline(struct ledger_reader *r, uint64_t seq, struct buf *out);

struct ledger_tops { /* the highest numbers ever given; 0: none */
	uint64_t commit, batch, blob;
};
int ledger_read_tops(struct ledger_reader *r, struct ledger_tops *tops);
/** ledger_is_clean() - nobody has the store open, and it was closed in order. Return: 0 yes; 1 no. */
int ledger_is_clean(struct ledger_reader *r);
/** ledger_saved_ns() - counters.saved_ns, and what is not summed up yet: of that some of the oldest
 * hits are looked at, and thousands more taken to be like them. */
int ledger_saved_ns(struct ledger_reader *r, uint64_t *saved_ns);
/** ledger_changes() - grows whenever something is removed or demoted: what was read before may not be
 * there any more. Costs nothing. Without a ledger always 0. */
uint64_t ledger_changes(const struct ledger_reader *r);
int ledger_read_counters(struct ledger_reader *r, struct ledger_counters *counters);
/** ledger_count() - the same as it really is, by reading every commit and small blob (fsck): all
 * but objects and what was summed over the life of the store, which are 0. Takes long. */
int ledger_count(struct ledger_reader *r, struct ledger_counters *counters);
/** ledger_file_bytes() - meta.db: its size, and how much of it is free for new rows. */
int ledger_file_bytes(struct ledger_reader *r, uint64_t *sizep, uint64_t *freep);

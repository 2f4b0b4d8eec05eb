/* gap.h - what is in the journal and not yet in the index, by key, in memory.
 *
 * Two layers: the writer adds to the fresh one; the index thread takes it whole (it is then the
 * sealed one and never changes), writes it to index.db, and drops it once that transaction is
 * committed.
 *
 * Why look-ups miss nothing: they ask the gap first and index.db second, in a read transaction
 * that begins after the gap was asked. An entry enters the gap after the journal's transaction and
 * before its turn is called durable; it leaves the gap after the index's transaction. So an entry
 * that is not found in the gap either is not durable yet, or was dropped before we looked, and
 * then our read transaction sees it. If the gap has an entry and the index another one of the
 * same key, that of the gap is the newer one. */
#pragma once

#include "broker/ledger/db.h"

#include <pthread.h>
#include <stdatomic.h>

enum gap_kind { GAP_FINGERPRINT, GAP_COMMIT, GAP_BLOB, GAP_BATCH, GAP_KINDS };

struct gap_entry {
	uint8_t key[DIGEST_SIZE];
	uint64_t seq;	/* of the commit or blob; number of the batch */
	uint64_t extra; /* fingerprint: expires_wall_ms; batch: 1 if discarded */
};

/* An upsert table: of two entries with one key, that with the higher seq stays. */
struct gap_map {
	struct gap_entry *items; /* in the order of arrival */
	uint32_t *slots;	 /* place in @items + 1; open addressing */
	size_t count, capacity;
	unsigned bits; /* 1 << bits slots; 0: none yet */
};

/* How far a table of the journal is covered. */
struct gap_mark {
	uint64_t commit, blob, batch;
	uint8_t commit_hash
		[DIGEST_SIZE]; /* of @commit: tells whether two files belong together */
};

struct gap_layer {
	struct gap_map maps[GAP_KINDS];
	struct gap_mark mark; /* of its last entries */
	size_t count;
};

struct gap_layer *gap_layer_new(void);
void gap_layer_free(struct gap_layer *layer);
void gap_layer_put(struct gap_layer *layer, enum gap_kind kind,
		   const struct gap_entry *entry);
const struct gap_entry *gap_layer_find(const struct gap_layer *layer, enum gap_kind kind,
				       const uint8_t key[DIGEST_SIZE]);
/** gap_layer_match() - entries with a prefix. @fn returns false to stop. Return: false if it did. */
bool gap_layer_match(const struct gap_layer *layer, enum gap_kind kind,
		     const uint8_t *prefix, unsigned nibbles,
		     bool (*fn)(void *arg, uint64_t seq), void *arg);
/** gap_layer_sorted() - places in @items of a map in ascending order of keys; the caller frees. */
uint32_t *gap_layer_sorted(const struct gap_layer *layer, enum gap_kind kind);

/** gap_scan() - read what @journal has beyond @layer's mark into @layer, at most about @max
 * entries, and move the mark. @fullp: true if there may be more. Return: SQLite's code. */
struct gap_scan; /* prepared statements */
int gap_scan_new(struct gap_scan **scanp, sqlite3 *journal);
void gap_scan_free(struct gap_scan *scan);
int gap_scan(struct gap_scan *scan, struct gap_layer *layer, size_t max, bool *fullp);

struct gap_add {
	enum gap_kind kind;
	struct gap_entry entry;
};

struct gap {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* for the index thread and for a writer that waits */
	struct gap_layer *fresh, *sealed; /* @sealed NULL: nothing is being written */
	uint64_t added_ns; /* when @fresh got its first entry; of the monotonic clock */
	uint64_t version;  /* counts additions, so that idleness can be seen */
	size_t wanted; /* the index thread waits for so many entries, or for idleness */
	bool closing, stopped; /* stopped: the index thread is gone */
	bool unbounded;	       /* the writer is finishing: it waits no more */
	/* Small blobs whose bytes in the journal are not what they were: digest and seq. */
	struct gap_layer *damaged;
	atomic_bool any_damaged;
};

void gap_init(struct gap *gap);
void gap_fini(struct gap *gap);
/** gap_add() - by the writer, after the journal's transaction. */
void gap_add(struct gap *gap, const struct gap_add *adds, size_t count,
	     const struct gap_mark *mark, uint64_t now);
/** gap_wait_for_room() - by the writer: until the fresh layer is below its bound. Return: false if
 * the index thread is gone. */
bool gap_wait_for_room(struct gap *gap);
bool gap_find(struct gap *gap, enum gap_kind kind, const uint8_t key[DIGEST_SIZE],
	      struct gap_entry *entry);
void gap_match(struct gap *gap, enum gap_kind kind, const uint8_t *prefix,
	       unsigned nibbles, bool (*fn)(void *arg, uint64_t seq), void *arg);
void gap_note_damaged(struct gap *gap, const uint8_t digest[DIGEST_SIZE], uint64_t seq);
bool gap_is_damaged(struct gap *gap, const uint8_t digest[DIGEST_SIZE], uint64_t seq);
/** gap_seal() - by the index thread: wait until there is something worth writing. Return: the
 * layer, now sealed; NULL if the gap is closing and empty. */
struct gap_layer *gap_seal(struct gap *gap);
void gap_drop_sealed(struct gap *gap); /* after its transaction */
void gap_unbound(struct gap *gap);     /* let gap_wait_for_room() return */
void gap_close(struct gap *gap);       /* no more additions: let gap_seal() return */

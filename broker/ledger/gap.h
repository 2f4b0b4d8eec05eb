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
 * same key, that of the gap is the newer one.
 *
 * Removals are entries too (@gone): one of number n says that what has this key and a number up to n
 * is there no more. It hides that in the older layer and in index.db, until it is written and the
 * row in index.db is deleted. Numbers are never used twice, so what comes later is not hidden.
 *
 * Lists hold what is found by 8 bytes of a hash and may occur many times; they give candidates, and
 * who asks reads the row and compares. So what is removed need not be hidden there. */
#pragma once

#include "broker/ledger/db.h"

#include <pthread.h>
#include <stdatomic.h>

enum gap_kind {
	GAP_FINGERPRINT,
	GAP_COMMIT,
	GAP_BLOB,
	GAP_BATCH,
	GAP_KINDS,
	/* lists: */
	GAP_NAME = GAP_KINDS, /* of a task -> commits */
	GAP_RUN,	      /* fingerprint -> commits that are not current */
	GAP_OVER, /* the same, of those that a later one made so within this layer */
	GAP_TAG,  /* see tags.h -> batches, imported commits */
	GAP_LOST, /* removed commits of which nothing but the number is known */
	GAP_END,
};
#define GAP_LISTS (GAP_END - GAP_KINDS)

struct gap_entry {
	uint8_t key[DIGEST_SIZE];
	uint64_t seq;	/* of the commit or blob; number of the batch */
	uint64_t extra; /* fingerprint: expires_wall_ms */
	bool gone;	/* nothing up to @seq is there */
};

struct gap_pair {
	uint8_t key[8]; /* the first bytes of a hash */
	uint64_t seq;
};

struct gap_list {
	struct gap_pair *items; /* in the order of arrival */
	size_t count, capacity;
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
	uint64_t tag, change; /* rows of batch_tags and of changes */
	uint8_t commit_hash
		[DIGEST_SIZE]; /* of @commit: tells whether two files belong together */
};

struct gap_layer {
	struct gap_map maps[GAP_KINDS];
	struct gap_list lists[GAP_LISTS], gone[GAP_LISTS];
	struct gap_mark mark; /* of its last entries */
	size_t count;	      /* names aside: each comes with a commit */
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
		     bool (*fn)(void *arg, const struct gap_entry *entry), void *arg);
/** gap_list_sorted() - a copy by key and number; the caller frees. */
struct gap_pair *gap_list_sorted(const struct gap_list *list);
struct gap_seqs { /* numbers, in any order; free items */
	uint64_t *items;
	size_t count, capacity;
};
/** gap_layer_list() - append the numbers of a list under @key. */
void gap_layer_list(const struct gap_layer *layer, enum gap_kind kind,
		    const uint8_t key[8], struct gap_seqs *out);
/** gap_layer_sorted() - places in @items of a map in ascending order of keys; the caller frees. */
uint32_t *gap_layer_sorted(const struct gap_layer *layer, enum gap_kind kind);

/** gap_scan() - read what @journal has beyond @layer's mark into @layer, at most about @max
 * entries, and move the mark. @fullp: true if there may be more. Return: SQLite's code. */
struct gap_scan; /* prepared statements */
struct gap_scan *gap_scan_new(sqlite3 *journal);
void gap_scan_free(struct gap_scan *scan);
int gap_scan(struct gap_scan *scan, struct gap_layer *layer, size_t max, bool *fullp);

struct gap_add {
	enum gap_kind kind;
	struct gap_entry entry; /* lists: the first 8 bytes of the key count */
};

/* Changes of rows that the index may have already: each is a row of the table changes as well, so
 * that an index that lost its last transactions is told again. */
enum gap_change { /* @number; @keys */
		  /* of a current commit: what it had superseded is hidden with it */
		  CHANGE_COMMIT_GONE =
			  1, /* commit; hash, fingerprint, 8 of the name; 8 of each tag,
			      * and of what a function is called (tags.h) */
		  CHANGE_DEMOTED = 2,	  /* commit; fingerprint */
		  CHANGE_BLOB_GONE = 3,	  /* row; digest */
		  CHANGE_BATCH_GONE = 4,  /* batch; id, 8 of each tag */
		  CHANGE_COMMIT_LOST = 5, /* commit; its hash as recorded */
		  CHANGE_RUN_GONE = 6, /* as COMMIT_GONE, of one that was not current */
};
/** gap_change() - what a change means for the layers, given to @put. Return: 0; 1 if malformed. */
int gap_change(enum gap_change change, uint64_t number, const uint8_t *keys, size_t size,
	       void (*put)(void *arg, const struct gap_add *add), void *arg);

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
/** gap_is_filling() - is so little room left that who has time should wait? */
bool gap_is_filling(struct gap *gap);
/** gap_find() - @entry may be one that is gone: then index.db counts if it has a higher number. */
bool gap_find(struct gap *gap, enum gap_kind kind, const uint8_t key[DIGEST_SIZE],
	      struct gap_entry *entry);
void gap_match(struct gap *gap, enum gap_kind kind, const uint8_t *prefix,
	       unsigned nibbles, bool (*fn)(void *arg, const struct gap_entry *entry),
	       void *arg);
void gap_list(struct gap *gap, enum gap_kind kind, const uint8_t key[8],
	      struct gap_seqs *out);
/** gap_fingerprints() - append all entries of a fingerprint, also those that a newer one hides. */
void gap_fingerprints(struct gap *gap, const uint8_t key[DIGEST_SIZE],
		      struct gap_seqs *out);
void gap_note_damaged(struct gap *gap, const uint8_t digest[DIGEST_SIZE], uint64_t seq);
bool gap_is_damaged(struct gap *gap, const uint8_t digest[DIGEST_SIZE], uint64_t seq);
/** gap_seal() - by the index thread: wait until there is something worth writing. Return: the
 * layer, now sealed; NULL if the gap is closing and empty. */
struct gap_layer *gap_seal(struct gap *gap);
void gap_drop_sealed(struct gap *gap); /* after its transaction */
void gap_unbound(struct gap *gap);     /* let gap_wait_for_room() return */
void gap_close(struct gap *gap);       /* no more additions: let gap_seal() return */

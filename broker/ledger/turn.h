/* turn.h - what the loop wants recorded, copied into memory of the turn's own.
 *
 * Records lie in the turn's blocks, linked in the order in which they were added. Blocks are taken
 * from and given back to a pool, so that a busy broker does not allocate and an idle one does not
 * keep. The loop fills a turn, the writer empties it: never both at a time. */
#pragma once

#include "broker/ledger/ledger.h"

#include <pthread.h>

enum turn_type {
	TURN_BATCH,
	TURN_CHUNK,
	TURN_SEALED,
	TURN_DISCARDED,
	TURN_END,
	TURN_LEASE,
	TURN_CHECKPOINT,
	TURN_BATCH_ENDED,
	TURN_PAUSE,
	TURN_COMMIT,
	TURN_BLOB,
	TURN_COMMIT_GONE,
	TURN_DEMOTED,
	TURN_BLOB_GONE,
	TURN_BATCH_GONE,
	TURN_PIN,
	TURN_UNPIN,
	TURN_COUNTERS,
	TURN_STAGED,
	TURN_STAGED_TAKEN,
	TURN_STAGED_DEMOTED,
	TURN_STAGED_DROPPED,
};

struct turn_record {
	struct turn_record *next;
	enum turn_type type;
	uint32_t
		number; /* chunk, task count, function + 1 (PAUSE; 0: resumed), place (STAGED_*) */
	uint64_t batch; /* or number of a commit, of a blob's row, of an import */
	union {
		struct ledger_batch opened;
		struct {
			const void *data;
			size_t size;
			uint8_t digest[DIGEST_SIZE];
		} bytes; /* chunk, blob; a removed blob has its digest alone */
		struct ledger_end end;
		struct ledger_lease lease;
		struct ledger_checkpoint checkpoint;
		struct {
			struct core_counts counts;
			uint64_t wall_ms;
		} ended;
		struct {
			uint64_t parent_seq;
			bool current;
			struct commit commit; /* all that it points to is in the turn */
		} commit;
		struct {
			const char *name;
			uint8_t hash[DIGEST_SIZE];
			uint64_t wall_ms;
		} pin; /* UNPIN: the name alone */
		struct ledger_counters counters;
		struct {
			const void *body, *tags;
			size_t size, tags_size;
			bool current;
		} staged;
		uint64_t first; /* of what is taken */
	};
};

struct turn_block {
	struct turn_block *next;
	size_t size; /* of @data */
	_Alignas(16) uint8_t data[];
};

struct turn_pool {
	pthread_mutex_t lock;
	struct ledger_turn *turns;
	struct turn_block *blocks;
	size_t turn_count, block_count;
};

struct ledger_turn {
	struct turn_pool *pool;
	struct ledger_turn *next; /* in the queue, or in the pool */
	struct turn_record *first, **last;
	struct turn_block *blocks; /* the newest first */
	uint8_t *at, *end;	   /* free memory of the newest */
	size_t bytes;		   /* used by records */
	uint64_t step;
	uint64_t may_wait_ns, hold_until; /* monotonic; set when handed in */
};

void turn_pool_init(struct turn_pool *pool);
void turn_pool_fini(struct turn_pool *pool);
struct ledger_turn *turn_take(struct turn_pool *pool);
void turn_give_back(struct ledger_turn *t); /* forgets its records */

/* For the files that add records. Only as much memory as the member of this type needs. */
#define TURN_RECORD_SIZE(member)                                                         \
	(offsetof(struct turn_record, member) + sizeof(((struct turn_record *)0)->member))
#define TURN_RECORD_BARE offsetof(struct turn_record, opened)
struct turn_record *turn_add(struct ledger_turn *t, enum turn_type type, uint64_t batch,
			     uint32_t number, size_t size);
/** turn_copy() - @size bytes in the turn's memory. */
const void *turn_copy(struct ledger_turn *t, const void *data, size_t size);

/* batch.h - the batches that are in memory: from their first chunk until the core forgets them.
 *
 * Per batch, not per task: the functions and options that assignments and commits name, who
 * watches, and which steps its acknowledgements wait for. Tasks live in the core; what ended
 * lives in the ledger. Descriptions are shared between batches by func_hash. */
#pragma once

#include "broker/map.h"
#include "broker/net/peer.h"
#include "common/format/function.h"

struct core_wait_view;
struct core_batch_view;

#define BATCH_LARGE 1000 /* tasks whose memory is worth giving back at once */

#define FUNCTIONS_IDLE_MAX 256

struct function_def { /* shared, counted; the last ones that nobody needs are kept a while */
	struct map_node by_hash;
	struct list idle; /* while refs is 0, the longest unused first */
	uint32_t refs;
	uint8_t hash[DIGEST_SIZE];
	uint8_t *description;
	size_t description_size;
	struct function decoded;
	bool has_source;
	uint8_t source[DIGEST_SIZE]; /* of the batch that came last */
};

struct batch_function {
	struct function_def *def;
	char *name;
	uint32_t options;
	uint8_t *env; /* packed Pair fields, ready to be appended to an Assignment */
	size_t env_size;
	bool has_source;
	uint8_t source[DIGEST_SIZE]; /* what code it is; others have the same identity */
};

struct batch_options {
	uint8_t *packed; /* cashet.Options */
	size_t packed_size;
	uint64_t ttl_s, timeout_ns;
};

struct batch {
	struct map_node by_id, by_number;
	uint64_t number; /* ours and the core's; ascending, never reused */
	uint8_t id[DIGEST_SIZE], client_key[KEY_SIZE], request[NONCE_SIZE];
	uint32_t next_chunk, task_count, group_count;
	bool sealed, ended, refused, recovered;
	uint64_t submit_step; /* its chunks and seal are durable with this */
	uint64_t hold_step;   /* what is shown of it waits for this */
	struct batch_function *functions;
	uint32_t function_count, function_capacity;
	struct batch_options *options;
	uint32_t option_count, option_capacity;
	char *name;
	/* the chunk that is being taken: whom to tell if the core refuses it */
	peer_handle submitter;
	uint64_t submit_serial;
	uint64_t orphan_ns;   /* unsealed: when its client was last seen */
	struct list unsealed; /* of all unsealed ones */
	struct list watches;  /* struct watch.by_batch */
	struct list dirty;    /* something to show changed in this turn */
	char *stuck;	      /* what keeps it, seen STUCK_SECONDS in a row; or NULL */
	unsigned stuck_seconds;
};

struct batches {
	struct map by_id, by_number, functions;
	struct list unsealed, dirty, idle_functions;
	unsigned idle_count;
	uint64_t next_number;
	uint64_t next_orphan_ns;
};

void batches_init(struct broker *b);
void batches_fini(struct broker *b);
struct batch *batch_new(struct broker *b, uint64_t number, const uint8_t id[DIGEST_SIZE],
			const uint8_t client_key[KEY_SIZE],
			const uint8_t request[NONCE_SIZE]);
void batch_free(struct broker *b, struct batch *batch);
struct batch *batches_find(struct broker *b, const uint8_t id[DIGEST_SIZE]);
struct batch *batch_find_number(struct broker *b, uint64_t number);
void batch_make_id(uint8_t id[DIGEST_SIZE], const uint8_t key[KEY_SIZE],
		   const uint8_t request[NONCE_SIZE]);
/** batch_add_function(), batch_add_options() - keep those of a checked chunk. */
void batch_add_function(struct broker *b, struct batch *batch, struct function_def *def,
			const Cashet__Function *f);
void batch_add_options(struct batch *batch, const Cashet__Options *o);
/** function_def_get() - the shared one with these bytes, counted; NULL if they are malformed. */
struct function_def *function_def_get(struct broker *b, const void *data, size_t size);
void function_def_put(struct broker *b, struct function_def *def);
struct function_def *function_def_find(struct broker *b, const uint8_t hash[DIGEST_SIZE]);
void batch_touch(struct broker *b, struct batch *batch);
/** batch_note() - append why it does not get on, in words; nothing if it does (note.c). */
void batch_note(struct buf *out, const struct batch *batch,
		const struct core_batch_view *view);
/** batch_explain_wait() - append what keeps a task from running, in words; "it" is the task (why.c). */
void batch_explain_wait(struct broker *b, const struct batch *batch,
			const struct core_wait_view *wait, struct buf *out);
/** batches_stuck() - once a second: notice those that stand still until somebody does something. */
void batches_stuck(struct broker *b);
/** batches_orphans() - discard unsealed batches whose client is gone for 60 s. */
void batches_orphans(struct broker *b);

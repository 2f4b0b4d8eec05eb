/* dry_run.h - what a batch would do, found out by doing it: the real core takes the batch, its look-ups
 * are answered from the ledger, and nothing is granted. What is over then is cached, what is ready would
 * run, and the rest waits for that.
 *
 * Then, for what waits, the core gets one worker that can do everything and takes no time: it answers for
 * each task what the earlier run of the same task with the same parameters gave, or, where there is
 * none, contents that nobody has ever seen. So what waits is looked up under the assumption that upstream
 * gives what it gave last time; what reads something never seen is known by that.
 *
 * Nothing is written anywhere. Work is done in slices of SLICE_NS, one per question of the asker, so that
 * a batch of a million tasks holds up nobody else's questions. */
#pragma once

#include "broker/core/core.h"
#include "broker/history/intake.h"
#include "broker/history/nearest.h"
#include "broker/history/why.h"

#define DRY_RUN_SLICE_NS (40 * NS_PER_MS)
#define DRY_RUN_DETAILED                                                                 \
	1000		 /* tasks of an entry whose causes are looked for one by one */
#define DRY_RUN_CAUSES 8 /* of an entry that are told apart */

enum dry_phase {
	DRY_CHUNKS,  /* coming in */
	DRY_LOOKUPS, /* as a real broker would */
	DRY_MARK,    /* what is ready now would run */
	DRY_ASSUME,  /* the rest, with the worker */
	DRY_REASONS,
	DRY_READY,
};

struct dry_task { /* numbers of states and reasons as in the protocol */
	uint32_t function;
	uint8_t state, reason;
	bool over, runs; /* runs: it was granted, or was ready */
	uint64_t
		commit; /* CACHED, CACHED_IF_SAME: the hit; runs: what it was compared with */
};

struct dry_function {
	uint8_t hash[DIGEST_SIZE];
	size_t description, size; /* in @bytes */
	uint32_t entry, options;
	uint32_t output_count;
	bool has_source;
	uint8_t source[DIGEST_SIZE];
};

struct dry_options {
	Cashet__Options__Cache cache;
	uint64_t cpus_milli;
};

struct dry_cause {
	char *key;
	uint8_t reason;
	uint64_t count;
	uint32_t index;	    /* of the first such task */
	struct buf changes; /* packed Change fields, field 3 */
};

struct dry_entry { /* tasks of one name */
	char *name;
	struct nearest *nearest; /* once it is needed */
	uint64_t duration_ns, counts[6], total, work_ns, explained;
	struct dry_cause causes[DRY_RUN_CAUSES];
	uint32_t cause_count;
};

struct dry_grant { /* an attempt that the worker is making */
	uint64_t finish_ns;
	struct core_lease lease;
	uint32_t index;
};

struct dry_lookup {
	core_exec_id exec;
	uint8_t func_hash[DIGEST_SIZE], args_hash[DIGEST_SIZE];
	bool need_bytes, need_slots, parent_only;
};

struct digest_set { /* open addressing */
	uint8_t (*items)[DIGEST_SIZE];
	size_t count, places;
};

struct dry_run {
	struct history *h;
	uint8_t id[NONCE_SIZE];
	uint64_t used_ns; /* when it was last asked about */
	enum dry_phase phase;
	struct core *core;
	struct core_effects fx;
	struct intake intake;
	uint64_t step;
	uint32_t next_chunk;
	char *refused;
	struct dry_task *tasks;
	uint32_t task_count, task_room;
	struct dry_function *functions;
	uint32_t function_count, function_room;
	struct dry_options *options;
	uint32_t option_count, option_room;
	struct dry_entry *entries;
	uint32_t entry_count, entry_room;
	struct buf bytes; /* descriptions */
	struct core_resource capacity[CORE_RESOURCES_MAX];
	uint32_t capacity_count;
	struct dry_lookup *lookups; /* from @lookup_first on */
	size_t lookup_first, lookup_count, lookup_room;
	struct dry_grant *grants; /* a heap by finish_ns, index */
	size_t grant_count, grant_room;
	struct digest_set unseen, there; /* there: blobs that are known to be */
	uint32_t cursor;		 /* of the phases that look at every task */
	uint64_t now_ns, chain_ns;	 /* of the worker's time */
	uint64_t wall_ms;
	struct function decoded; /* of function @decoded_number */
	uint32_t decoded_number;
	bool has_decoded;
	struct buf body, arena;
	struct content *slots;
	size_t slot_room;
};

#define DRY_BATCH 1 /* its number in the core */

/* ---- dry_run.c ---- */
const struct function *dry_function(struct dry_run *r, uint32_t number);
bool digest_set_has(const struct digest_set *s, const uint8_t digest[DIGEST_SIZE]);
void digest_set_add(struct digest_set *s, const uint8_t digest[DIGEST_SIZE]);

/* ---- dry_run_core.c ---- */
void dry_begin(struct dry_run *r);
void dry_step(struct dry_run *r, struct core_event *event);
/** dry_work() - go on until ready or @until_ns. */
void dry_work(struct dry_run *r, uint64_t until_ns);

/* ---- dry_run_why.c ---- */
/** dry_print() - what task @index is known by. Return: 0; 1 its inputs are not known.
 * @args: args_fini() it in any case */
int dry_print(struct dry_run *r, uint32_t index, struct print *p, struct args *args);
struct nearest *dry_nearest(struct dry_run *r, uint32_t entry);
void dry_explain(struct dry_run *r, uint32_t index);
/** dry_changes() - append Change fields for what differs from the earlier commit. */
void dry_changes(struct dry_run *r, uint32_t index, struct buf *out, unsigned field);

/* state.h - everything the core remembers, and which file may change what. Private to broker/core.
 *
 * Ownership. A batch owns its tasks, edges, groups and bytes (arena.h) and is freed as a whole. An
 * execution is a pool cell, found by fingerprint; tasks subscribe to it, a revival keeps one
 * alive for a task that is over. A lease is a pool cell, found by epoch, and lies in its worker's
 * lists until the attempt is proved over.
 *
 * Numbers instead of pointers where something may be gone: core_exec_id has a generation, batches
 * and workers have the loop's numbers. Pointers where the target is known to live: a task while
 * its batch is pinned, an execution's subscribers.
 *
 * What a step may free is freed at the beginning of the next one (core->graveyard, core->dead), so
 * effects can point into it.
 *
 * One writer per state: task_become() in task.c, exec_become() in execution.c, lease_become() in
 * grant.c. */
#pragma once

#include "broker/core/arena.h"
#include "broker/core/core.h"
#include "broker/core/lease.h"
#include "broker/core/plant.h"
#include "broker/core/pool.h"
#include "broker/core/table.h"
#include "common/pure/list.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <string.h>

#define NO_SLOT UINT32_MAX
#define NO_EDGE UINT32_MAX

#define LOOKUP_WINDOW                                                                    \
	2048u		  /* unanswered look-ups; the rest of a batch waits for answers */
#define STEP_BUDGET 4096u /* tasks resolved or ended by following up, per step */
#define START_TURN 256u	  /* tasks of one batch before it is another one's turn */
#define SCAN_BUDGET 65536u /* tasks looked at by a cursor, per step */
#define SHARED_LOOK 64u	   /* executions that may run under another batch's limit */
#define OTHER_LOOK 16u	   /* or for whose other requests there may be room */
#define SPONSOR_LOOK                                                                     \
	256u /* subscribers whose request may fit where the first one's does not */
#define MEMBERS_MAX (1u << 24) /* members of all groups of a batch */
#define EDGES_MAX (1u << 30)
#define TASKS_MAX (1u << 30)
#define ARGS_MAX (1u << 28)
#define OUTPUTS_MAX (1u << 20)
#define REMADE_KEPT 64u
#define WORKERS_MAX 65536u
#define LEASES_MAX 65536u /* of one worker */
#define BACKOFF_FIRST_NS (NS_PER_S / 10)
#define BACKOFF_MAX_NS (30 * NS_PER_S)
#define CLAIM_WINDOW_NS                                                                  \
	(50 * NS_PER_MS)	    /* after a JOIN; CREDIT or ALIVE end it earlier */
#define TRANSIT_NS (5 * NS_PER_S)   /* a grant may be on its way this long */
#define FORGET_NS (3600 * NS_PER_S) /* a silent worker is forgotten */
#define TICK_NS NS_PER_S	    /* how often the core wants to see the clock */
#define STALL_NS NS_PER_S	    /* later than that: the loop stalled */

/* ---- interned: what many tasks share ---- */

struct func { /* a function as far as identity goes; intern.c */
	uint8_t hash[DIGEST_SIZE];
	uint32_t output_count;
	uint32_t refs, slot;
};

struct class_item {
	uint32_t resource;
	uint64_t amount;
};

struct class
{ /* a request for resources; intern.c */
	uint32_t refs, slot, count;
	uint64_t memory;   /* who uses more is killed; UINT64_MAX: nobody is */
	uint64_t blocked;  /* core->room at which no worker had room for it */
	uint64_t no_place; /* core->places at which it could not run anywhere at once */
	uint64_t none[2];  /* core->turns at which it got no worker by credit, at once */
	struct class_item items[CORE_RESOURCES_MAX + 1];
};

struct resource { /* a name in use */
	char name[CORE_RESOURCE_NAME];
	uint32_t refs;
};

/* ---- batches ---- */

struct options {
	struct class *class;
	uint64_t timeout_ns;
	uint32_t retries;
	int32_t priority;
	enum core_cache cache;
};

struct function {
	struct func *func;
	uint32_t options;
	uint32_t live, failed; /* tasks of it, see pause.c */
};

enum task_state {
	TASK_WAITING, /* inputs not known */
	TASK_RESOLVED, /* fingerprint known, subscribed to an execution that is being looked up */
	TASK_SUBSCRIBED, /* to an execution that is to run, or runs */
	TASK_DONE,
	TASK_FAILED,
	TASK_SKIPPED,
	TASK_CANCELLED,
};

enum task_flag {
	TASK_READ = 1 << 0,    /* another task gets content from it */
	TASK_NONCE = 1 << 1,   /* NONCE_SIZE bytes lie before args */
	TASK_LISTED = 1 << 2,  /* on core->work */
	TASK_SKIP = 1 << 3,    /* to be skipped; exec: root cause */
	TASK_OLD = 1 << 4,     /* recovered with a lease; exec: number in core->old */
	TASK_HELD = 1 << 5,    /* may have been granted before the restart: rule 6 */
	TASK_CLAIMED = 1 << 6, /* a claim waits for its look-up */
	TASK_CACHED = 1 << 7,
	TASK_DEDUPLICATED = 1 << 8,
	TASK_REVIVED = 1 << 9, /* over, but its output is being made again */
};

struct task { /* 64 bytes */
	uint8_t *args;
	union {
		struct task *
			prev; /* WAITING: core->work; RESOLVED, SUBSCRIBED: ring of subscribers */
		uint64_t commit; /* over */
	};
	union {
		struct task *next;
		struct {
			uint32_t attempts, upstream;
		};
	};
	uint32_t args_size;
	uint32_t function;
	uint32_t batch; /* slot */
	uint32_t index;
	uint32_t out, in; /* first edge from here; first of the run of edges to here */
	uint32_t pending; /* edges to here that are not delivered */
	uint32_t exec;	  /* RESOLVED, SUBSCRIBED: slot; WAITING: see flags */
	uint8_t state;
	uint16_t flags;
};
_Static_assert(sizeof(struct task) <= 72, "memory per queued task");

enum edge_kind {
	EDGE_REF,    /* task -> task: content of a slot */
	EDGE_NEED,   /* task -> task: order only */
	EDGE_LIST,   /* group -> task: content of the list */
	EDGE_MEMBER, /* task -> group: content of a slot, at position @offset */
};

struct edge {
	uint32_t from, to;
	uint32_t next;	 /* from the same node */
	uint32_t offset; /* of the placeholder; of the member */
	uint32_t slot : 28;
	uint32_t kind : 2;
	uint32_t last : 1; /* of the run of edges to the same task */
	uint32_t delivered : 1;
};

struct group {
	struct core_group_range *ranges;
	uint32_t range_count;
	uint32_t in,
		size; /* edges of members that are tasks are in, in + 1, ...; positions */
	uint32_t member_count;
	uint32_t out;
	uint32_t pending;
	uint32_t readers;    /* tasks that read it and are not over */
	uint32_t list_count; /* complete: entries of list */
	bool skip_failed, complete, failed;
	struct content *list; /* by position; once complete without the omitted ones */
	uint8_t digest[DIGEST_SIZE];
};

struct queue { /* of executions, first in, first out; schedule.c */
	uint32_t head, tail, count;
	int32_t priority;
	struct class *class;
	struct class *other; /* each was asked for under this request, too; or NULL */
	bool many;	     /* and under yet others */
	uint32_t limit; /* slot of the batch whose max_parallel applies, or NO_SLOT */
	uint64_t
		since; /* core->grants when it was last given something, or began: fair.c */
	uint64_t
		looked; /* core->grants when a worker to keep for it was last looked for */
	struct worker *kept; /* that is kept free for it, or NULL */
	struct queue *under; /* of a lower priority, whose turn on @kept is after it */
};

struct batch {
	uint64_t number;
	uint8_t id[DIGEST_SIZE];
	uint32_t slot;
	uint32_t max_failures, max_parallel;
	struct arena arena;
	struct seg options, functions, groups, tasks, edges;
	bool sealed, ended, dead;
	bool paused, pause_known;
	uint32_t paused_by; /* number of the function */
	uint32_t
		no_room; /* task that found no room for its inputs lately, or CORE_NO_INDEX */
	bool cancelled; /* all of it, or at max_failures what does not run yet */
	bool cancelled_all;
	uint32_t live;	  /* tasks that are not over */
	uint32_t running; /* current leases under it */
	uint32_t pins;	  /* leases and revivals that need its memory */
	uint32_t start_cursor, sweep_cursor;
	uint64_t end_step;
	uint64_t touched_at;
	struct core_counts counts;
	struct list start_link; /* core->starting: its cursor has not seen every task */
	struct list sweep_link; /* core->sweeping */
	struct list end_link;	/* core->ending, core->ended, core->graveyard */
	struct list revivals;
	struct queue held; /* ready, but the batch is paused */
};

/* ---- executions ---- */

enum exec_state {
	EXEC_LOOKUP,
	EXEC_READY,
	EXEC_LEASED,
	EXEC_BACKOFF,
	EXEC_BLOCKED, /* an input is being made again */
	EXEC_DONE,    /* lingers until durable */
	EXEC_FAILED,  /* freed at the next step */
};

enum exec_flag {
	EXEC_WANT_SLOTS = 1 << 0,
	EXEC_WANT_BYTES = 1 << 1,
	EXEC_ASKED = 1 << 2, /* the look-up is with the loop */
	EXEC_ASKED_SLOTS = 1 << 3,
	EXEC_ASKED_BYTES = 1 << 4,
	EXEC_HELD = 1 << 5,    /* rule 6 */
	EXEC_CLAIMED = 1 << 6, /* claims wait for its look-up */
	EXEC_CHECK = 1 << 7,   /* who pays for it may have changed since it was queued */
	EXEC_INDEXED = 1 << 8, /* in core->fingerprints */
	EXEC_FORCED = 1 << 9,  /* its bytes are known to be gone: a hit does not count */
	EXEC_WAITS =
		1 << 10, /* LEASED, and waits on its worker for room: not running yet */
};

struct exec_extra {	   /* what a simple execution never needs */
	uint32_t attempts; /* failed */
	uint32_t losses;   /* in a row, for the back-off */
	uint32_t deaths;   /* of workers */
	uint32_t unproven; /* leases of it that may still run somewhere */
	uint32_t blocked;  /* revivals that it waits for */
	uint32_t missing_same, missing_total;
	uint32_t killer_count, killer_capacity;
	uint8_t (*killers)[KEY_SIZE];
	uint32_t full_count, full_capacity;
	uint64_t full_since;
	uint8_t (*full)
		[KEY_SIZE]; /* workers without room for its inputs, this round: room.c */
	uint32_t tried;	    /* workers, when it was all of them */
	uint64_t parent;
	uint64_t floor; /* leases of former boots with a lower epoch are over */
	uint64_t retry_at;
	uint8_t nonce[NONCE_SIZE];
	uint8_t missing[DIGEST_SIZE];
	struct list revivals;
};

struct outcome_kept { /* of an execution that lingers */
	uint64_t commit, step;
	uint32_t slot_count;
	struct content slots[];
};

struct execution {	   /* 96 bytes */
	struct task *subs; /* ring; the first one came first */
	struct func *func;
	struct queue *queue;
	union {
		struct lease *lease; /* current: also while READY, when it expired */
		struct outcome_kept *kept; /* DONE */
	};
	struct exec_extra *extra;
	uint8_t args_hash[DIGEST_SIZE];
	uint32_t slot, generation;
	uint32_t prev, next; /* in queue */
	uint32_t sub_count;
	uint8_t state, cache;
	uint16_t flags;
};
_Static_assert(sizeof(struct execution) <= 96, "memory per queued task");

struct remade { /* output of a task that was made again; revive.c */
	uint8_t func_hash[DIGEST_SIZE], args_hash[DIGEST_SIZE];
	uint64_t epoch; /* leases up to here may have missed it without reason */
};

struct revival {	     /* revive.c */
	struct list link;    /* in its batch */
	struct list in_exec; /* in the execution's extra */
	struct list todo;    /* core->reviving: to begin, or to fail */
	struct task *task;
	uint32_t exec;	/* slot or NO_SLOT */
	bool force;	/* what a look-up says of its bytes is not believed any more */
	uint64_t since; /* epoch of the newest lease that missed it */
	bool failed;
	core_exec_id *waiters;
	uint32_t waiter_count, waiter_capacity;
};

/* ---- leases and workers ---- */

enum lease_state {
	LEASE_CURRENT, /* its execution is LEASED by it */
	LEASE_EXPIRED, /* taken away, but nobody else has it: a result is still welcome */
	LEASE_STALE,   /* superseded; kept until its attempt is proved over */
};

enum lease_place { LEASE_PLACED, LEASE_QUEUED, LEASE_NOWHERE }; /* NOWHERE: finished */

struct lease {
	uint64_t epoch;
	core_exec_id exec;
	struct task
		*task; /* CURRENT, EXPIRED: under which it was granted; pins the batch */
	uint64_t batch;
	uint32_t index;
	uint32_t slot;
	struct worker *worker; /* NULL: forgotten */
	struct class *class;
	struct list link; /* in the worker's list of its place */
	uint64_t granted_at;
	uint64_t seen; /* heartbeat that listed it */
	uint8_t state, place;
	int32_t priority; /* with which it was granted */
	uint8_t missed;	  /* heartbeats in a row */
	bool unconfirmed; /* the worker joined again and has not claimed it yet */
	bool stopping;	  /* it was told to stop */
	bool died;	  /* counted as a death, see grant.c */
	uint8_t mac[CORE_MAC_SIZE];
};

struct capacity {
	uint32_t resource;
	uint64_t amount, used;
};

struct worker {
	uint32_t number;
	uint8_t key[KEY_SIZE];
	struct capacity capacity[CORE_RESOURCES_MAX];
	uint32_t capacity_count;
	uint32_t credit;
	uint32_t counts[3]; /* leases by place */
	struct list leases[3];
	bool mixed;		/* the queued ones may not all be of one class */
	uint32_t passed;	/* leases that were placed past the oldest queued one */
	struct queue *kept_for; /* the first of those whose @kept it is: fair.c */
	uint64_t seen_at, gone_at, silent_at, settle_at;
	uint64_t timer_at; /* earliest timer that is set for it */
	uint64_t heartbeat;
	bool gone, silent, draining;
	bool here;	/* none of the three, as of worker_update() */
	bool unsettled; /* joined again; its claims are still coming in */
	bool reborn; /* as another process, so what is not claimed died with the old one */
	uint64_t process;
	bool awaited;  /* rule 6 */
	uint32_t open; /* place in core->open, or NO_SLOT */
};

struct claim { /* a claim, perhaps with its result, that cannot be judged yet; claim.c */
	struct list link;
	struct core_lease lease;
	uint32_t slot;
	uint32_t worker;
	bool started, finished;
	uint64_t deadline; /* batch unknown: parked until then; else TIME_NEVER */
	bool has_report;
	enum core_outcome outcome;
	uint8_t missing[DIGEST_SIZE];
	uint64_t token;
	struct content *slots;
	uint32_t slot_count;
};

struct report { /* of a worker about an attempt */
	enum core_outcome outcome;
	const struct content *slots;
	uint32_t slot_count;
	const uint8_t *missing;
	uint64_t token;
};

struct old_lease {
	uint64_t epoch; /* 0: its task is over */
	uint32_t attempt, deaths;
	uint8_t worker_key[KEY_SIZE];
};

struct awaited {
	uint8_t key[KEY_SIZE];
	bool here;
};

enum timer_kind { TIMER_RETRY, TIMER_WORKER, TIMER_CLAIMS, TIMER_ADOPT, TIMER_UNSEALED };

struct timer {
	uint64_t at;
	uint64_t id;
	enum timer_kind kind;
};

/* ---- all of it ---- */

struct core {
	struct core_config config;
	struct lease_signer signer;
	/* for the hash of fingerprints, so that nobody can aim at one bucket */
	uint64_t secret;
	uint64_t now, step, durable;
	uint64_t epochs;
	uint64_t next_commit;
	bool started; /* saw its first event */
	bool recovering, adopting, holding, draining;
	struct core_effects *fx; /* of the running step */
	size_t fx_start;
	uint64_t refused_results;
	struct core_counts totals; /* waiting, ready, running of sealed batches */

	struct pool funcs, classes;
	struct table func_table, class_table;
	struct resource *resources;
	uint32_t resource_count, resource_capacity;

	struct batch **batches;
	uint32_t batch_count, batch_capacity, batch_live;
	uint32_t *batch_free;
	uint32_t batch_free_count, batch_free_capacity;
	struct table batch_numbers, batch_ids;
	struct list starting, sweeping, ending, ended, graveyard;

	struct task *work_head, *work_tail; /* WAITING tasks to resolve or skip */
	struct list reviving;
	struct remade remade[REMADE_KEPT]; /* the newest ones, a ring */
	uint32_t remade_next;
	void *scratch; /* indices of a refusal */

	struct pool execs;
	uint32_t generation;
	struct table fingerprints;
	struct queue lookups, linger, held, dead;
	uint32_t lookups_out;

	struct queue **ready; /* by priority, then class and limit */
	uint32_t ready_count, ready_capacity;
	bool schedule; /* something became ready, or room was made */
	bool refit; /* workers came or went: what fits nowhere may have another sponsor */
	bool kept_back;	 /* the last pick() left out a worker that is kept for others */
	uint64_t turns;	 /* of queues, so far */
	uint64_t grants; /* so far */
	uint64_t room;	 /* counts what may have made room of any kind */
	uint64_t places; /* counts what may have made room to run at once */

	struct pool leases;
	struct table epoch_table;
	struct worker **workers;
	uint32_t worker_capacity, worker_count;
	struct worker **open; /* may be granted something */
	uint32_t open_count, open_capacity, open_cursor;

	struct pool claim_cells;
	struct table claim_epochs, claim_tasks;
	struct list claims;
	struct old_lease *old;
	uint32_t old_count, old_capacity, old_live;
	struct awaited *awaited;
	uint32_t awaited_count, awaited_capacity, awaited_missing;
	struct table awaited_table;
	uint64_t adopt_at;

	struct timer *timers; /* binary heap */
	uint32_t timer_count, timer_capacity;
};

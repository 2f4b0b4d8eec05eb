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
#define SCAN_BUDGET 65536u     /* tasks looked at by a cursor, per step */
#define MEMBERS_MAX (1u << 24) /* members of all groups of a batch */
#define EDGES_MAX (1u << 30)
#define TASKS_MAX (1u << 30)
#define ARGS_MAX (1u << 28)
#define OUTPUTS_MAX (1u << 20)
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
	uint64_t blocked; /* core->room at which no worker had room for it */
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
	uint32_t limit; /* slot of the batch whose max_parallel applies, or NO_SLOT */
};

struct batch {
	uint64_t number;
	uint8_t id[DIGEST_SIZE];
	uint32_t slot;
	uint32_t max_failures, max_parallel;
	struct arena arena;
	struct seg options, functions, groups, tasks, edges;
	bool sealed, ended, dead;
	bool paused, pause_decided;
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

struct revival {	     /* revive.c */
	struct list link;    /* in its batch */
	struct list in_exec; /* in the execution's extra */
	struct list todo;    /* core->reviving: to begin, or to fail */
	struct task *task;
	uint32_t exec; /* slot or NO_SLOT */
	bool force;    /* what a look-up says of its bytes is not believed any more */
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
	uint64_t seen_at, gone_at, silent_at, settle_at;
	uint64_t timer_at; /* earliest timer that is set for it */
	uint64_t heartbeat;
	bool gone, silent, draining;
	bool unsettled; /* joined again; its claims are still coming in */
	bool reborn;	/* as another process, so what is not claimed died with the old one */
	uint64_t process;
	bool awaited;	/* rule 6 */
	uint32_t open;	/* place in core->open, or NO_SLOT */
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
	uint64_t
		secret; /* for the hash of fingerprints, so that nobody can aim at one bucket */
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
	void *scratch; /* indices of a refusal */

	struct pool execs;
	uint32_t generation;
	struct table fingerprints;
	struct queue lookups, linger, held, dead;
	uint32_t lookups_out;

	struct queue **ready; /* by priority, then class and limit */
	uint32_t ready_count, ready_capacity;
	bool schedule; /* something became ready, or room was made */
	uint64_t room; /* counts what may have made room */

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

/* effects.c */
struct core_effect *fx_add(struct core *core, enum core_effect_type type);
/** fx_count() - effects of the running step. */
size_t fx_count(const struct core *core);

/* intern.c */
struct func *func_intern(struct core *core, const uint8_t hash[DIGEST_SIZE],
			 uint32_t output_count);
void func_ref(struct func *func);
void func_unref(struct core *core, struct func *func);
/** class_intern() - Return: NULL if the request is malformed. */
struct class *class_intern(struct core *core, const struct core_resource *resources,
			   uint32_t count);
void class_ref(struct class *class);
void class_unref(struct core *core, struct class *class);
uint32_t resource_intern(struct core *core, const char name[CORE_RESOURCE_NAME]);
void resource_unref(struct core *core, uint32_t resource);

/* batch.c */
struct batch *batch_find(const struct core *core, uint64_t number);
struct batch *batch_find_id(const struct core *core, const uint8_t id[DIGEST_SIZE]);
void batch_open(struct core *core, const struct core_event *event);
void batch_seal(struct core *core, struct batch *b);
void batch_discard(struct core *core, struct batch *b);
void batch_unsealed_timer(struct core *core, uint64_t number);
void batch_refuse(struct core *core, struct batch *b, enum core_refusal why,
		  uint32_t index, uint32_t *indices,
		  uint32_t index_count); /* takes @indices */
void batch_cancel(struct core *core, struct batch *b, uint32_t index);
void batch_resume(struct core *core, struct batch *b);
void batch_start(struct core *core, struct batch *b);
/** batch_task_over() - bookkeeping when one of its tasks has ended. */
void batch_task_over(struct core *core, struct batch *b, const struct task *t);
/** batch_check_failures() - max_failures and pausing. */
void batch_check_failures(struct core *core, struct batch *b);
void batch_run(
	struct core *core); /* cursors of starting and sweeping batches, within budgets */
void batch_finish(struct core *core); /* announce those that ended in this step */
void batch_unpin(struct core *core, struct batch *b);
void batch_durable(struct core *core);
void batch_bury(struct core *core); /* free what the last step left */
void batch_free_all(struct core *core);

/* chunk.c */
void chunk_take(struct core *core, struct batch *b, const struct core_event *event);

/* graph.c: @return 0, or the refusal was made */
int graph_link(struct core *core, struct batch *b);

/* flow.c */
void flow_list(struct core *core, struct task *t);
void flow_unlist(struct core *core, struct task *t);
void flow_deliver(struct core *core, struct task *t, const struct content *slots,
		  uint32_t count);
void flow_fail(struct core *core, struct task *t, uint32_t root);
void flow_run(struct core *core);
void group_complete(struct core *core, struct batch *b, struct group *g);
void group_tell(struct core *core, struct batch *b, struct group *g);
void group_announce(struct core *core, struct batch *b, struct group *g);
void group_hash(struct group *g);
/** group_place() - position of the member of edge @in in the complete list. */
uint32_t group_place(const struct batch *b, const struct group *g, uint32_t in);
struct content *group_entry(struct batch *b, struct group *g, uint32_t position);
/** group_find() - the member task whose content has this digest, or NULL. */
struct task *group_find(const struct batch *b, const struct group *g,
			const uint8_t digest[DIGEST_SIZE], bool *listed);
void group_omit(struct group *g, uint32_t position);

/** contents_valid() - at least @want of them, each of a type that exists. */
bool contents_valid(const struct content *slots, uint32_t count, uint32_t want);

/* task.c */
static inline struct batch *task_batch(const struct core *core, const struct task *t)
{
	return core->batches[t->batch];
}
static inline bool task_over(const struct task *t)
{
	return t->state >= TASK_DONE;
}
static inline struct task *batch_task(const struct batch *b, uint32_t index)
{
	return seg_at(&b->tasks, index);
}
static inline struct edge *batch_edge(const struct batch *b, uint32_t index)
{
	return seg_at(&b->edges, index);
}
static inline struct group *batch_group(const struct batch *b, uint32_t index)
{
	return seg_at(&b->groups, index);
}
const struct function *task_function(const struct core *core, const struct task *t);
const struct options *task_options(const struct core *core, const struct task *t);
const uint8_t *task_nonce(const struct task *t); /* or NULL */
enum core_task_status task_status(const struct core *core, const struct task *t);
void task_become(struct core *core, struct task *t, enum task_state state);
/** task_count() - add @by to the count of @status in @b and the totals. */
void task_count(struct core *core, struct batch *b, enum core_task_status status, int by);
struct task_end {
	enum task_state state;
	bool cached, deduplicated;
	uint64_t commit;
	uint32_t upstream, attempts;
};
/** task_end() - @t, not subscribed any more, is over; announces it. What depends on it is the
 * caller's to tell. */
void task_end(struct core *core, struct task *t, const struct task_end *end);
/** task_end_before() - the same for one that was over before a restart: told to nobody. */
void task_end_before(struct core *core, struct task *t, const struct task_end *end);
void task_cancel(struct core *core, struct task *t);
void task_resolve(struct core *core, struct task *t);
/** task_drop_old() - forget the lease that it was recovered with. */
void task_drop_old(struct core *core, struct task *t);

/* execution.c */
static inline struct execution *exec_at(const struct core *core, uint32_t slot)
{
	return pool_at(&core->execs, slot);
}
static inline core_exec_id exec_id(const struct execution *e)
{
	return (uint64_t)e->slot << 32 | e->generation;
}
struct execution *exec_find_id(const struct core *core, core_exec_id id);
struct exec_extra *exec_extra(struct execution *e);
struct execution *exec_new(struct core *core, struct func *func,
			   const uint8_t args_hash[DIGEST_SIZE], enum core_cache cache,
			   const uint8_t *nonce);
struct execution *exec_find(const struct core *core, const struct func *func,
			    const uint8_t args_hash[DIGEST_SIZE], enum core_cache cache,
			    const uint8_t *nonce);
bool exec_has_users(const struct execution *e);
void exec_become(struct core *core, struct execution *e, enum exec_state state);
void exec_subscribe(struct core *core, struct execution *e, struct task *t);
void exec_unsubscribe(struct core *core, struct execution *e, struct task *t);
/** exec_abandon() - if nobody uses it any more, it vanishes or is told to stop. */
void exec_abandon(struct core *core, struct execution *e);
void exec_unindex(struct core *core, struct execution *e);
void exec_forget(struct core *core, struct execution *e); /* free it */
/** exec_sponsor() - the task under which it is granted and recorded. NULL: none may now. */
struct task *exec_sponsor(const struct core *core, const struct execution *e);
struct task *exec_any_task(const struct execution *e);
uint32_t exec_retries(const struct core *core, const struct execution *e);
uint64_t exec_timeout(const struct core *core, const struct execution *e);
static inline uint32_t exec_attempts(const struct execution *e)
{
	return e->extra ? e->extra->attempts : 0;
}
/** exec_drop_cancelled() - cancel subscribers whose batch does not want more attempts. Return: false
 * if @e is gone with that. */
bool exec_drop_cancelled(struct core *core, struct execution *e);
void exec_linger_done(struct core *core); /* forget those that are durable */
void exec_bury(struct core *core);

/* lookup.c */
void lookup_want(struct core *core, struct execution *e);
void lookup_run(struct core *core);
void lookup_answer(struct core *core, const struct core_event *event);
bool lookup_has_room(const struct core *core);

/* outcome.c: how executions end */
void outcome_done(struct core *core, struct execution *e, struct lease *l,
		  const struct report *r);
void outcome_failed_attempt(struct core *core, struct execution *e, struct lease *l,
			    const struct report *r, bool final);
void outcome_hit(struct core *core, struct execution *e, uint64_t commit,
		 const struct content *slots, uint32_t slot_count);
void outcome_quarantine(struct core *core, struct execution *e);
void outcome_lost_input(struct core *core, struct execution *e, struct lease *l,
			uint64_t token);
/** outcome_back() - the attempt is over and costs nothing: ready again, after @delay_ns. */
void outcome_back(struct core *core, struct execution *e, uint64_t delay_ns);
uint64_t backoff_ns(uint32_t n);

/* grant.c: leases */
void lease_become(struct core *core, struct lease *l, enum lease_state state);
struct lease *lease_find(const struct core *core, uint64_t epoch);
struct lease *lease_add(struct core *core, struct worker *w, struct execution *e,
			struct task *t, uint64_t epoch, const uint8_t mac[CORE_MAC_SIZE]);
void lease_put(struct core *core, struct lease *l, enum lease_place place);
void lease_grant(struct core *core, struct worker *w, struct execution *e, struct task *t,
		 bool placed);
/** lease_fill() - the fields that say whose work it is; no epoch, holder and MAC. */
void lease_fill(const struct core *core, const struct execution *e, const struct task *t,
		struct core_lease *out);
/** lease_describe() - the lease as its holder must present it; CURRENT and EXPIRED ones. */
void lease_describe(const struct core *core, const struct lease *l,
		    const uint8_t key[KEY_SIZE], struct core_lease *out);
bool lease_matches(const struct core *core, const struct lease *l, const struct worker *w,
		   const struct core_lease *got);
void lease_expire(struct core *core, struct lease *l, bool died);
/** lease_died() - the process that held it is gone, which was not known when it expired. */
void lease_died(struct core *core, struct lease *l);
/** lease_survived() - its process lives after all. */
void lease_survived(const struct core *core, struct lease *l);
/** lease_make_current() - against all rules: for PLANT_NO_EPOCH_CHECK. */
bool lease_make_current(struct core *core, struct lease *l);
void lease_reinstate(struct core *core, struct lease *l, struct worker *w);
void lease_stop(struct core *core, struct lease *l, enum core_stop_why why);
/** lease_end() - the attempt is over: frees @l and what it held. Its execution has no lease then. */
void lease_end(struct core *core, struct lease *l);
/** lease_supersede() - another holds the execution now, or nobody wants it. */
void lease_supersede(struct core *core, struct lease *l);

/* worker.c */
struct worker *worker_find(const struct core *core, uint32_t number);
void worker_join(struct core *core, const struct core_event *event);
void worker_alive(struct core *core, struct worker *w, const struct core_event *event);
void worker_credit(struct core *core, struct worker *w, uint32_t credit);
void worker_gone(struct core *core, struct worker *w);
void worker_leave(struct core *core, struct worker *w); /* BYE, REVOKE */
void worker_drain(struct core *core, struct worker *w);
void worker_heard(struct core *core, struct worker *w);
void worker_timer(struct core *core, uint32_t number);
bool worker_fits(const struct worker *w, const struct class *class, bool free_now);
void worker_use(struct worker *w, const struct class *class, bool add);
void worker_promote(struct core *core, struct worker *w);
void worker_update(struct core *core,
		   struct worker *w); /* may it be granted something? */
void worker_free_all(struct core *core);

/* claim.c */
enum claim_result { CLAIM_REFUSED, CLAIM_WAITS, CLAIM_ADOPTED };
void claim_take(struct core *core, struct worker *w, const struct core_lease *lease,
		bool started, bool finished);
/** claim_judge() - a lease that is in no table. ADOPTED: lease_find() finds it now. WAITS: kept with
 * @report, if any. REFUSED: nothing was said yet. */
enum claim_result claim_judge(struct core *core, struct worker *w,
			      const struct core_lease *lease, bool started, bool finished,
			      const struct report *report);
void claim_retry_task(struct core *core, const struct task *t);
void claim_retry_exec(struct core *core, struct execution *e);
void claim_retry_batch(struct core *core, const uint8_t id[DIGEST_SIZE]);
void claim_expire(struct core *core);
void claim_drop_worker(struct core *core, uint32_t worker);
bool claim_waits(const struct core *core, uint64_t epoch);
void claim_free_all(struct core *core);

/* result.c */
void result_take(struct core *core, struct worker *w, const struct core_lease *lease,
		 const struct report *report);
void result_handback(struct core *core, struct worker *w, const struct core_lease *lease,
		     bool started);

/* revive.c: making the output of tasks that are over again */
enum revive_result {
	REVIVE_WAITS, /* @l has ended; the execution is blocked, ready again, or gone */
	REVIVE_LOST,  /* nothing can bring the input back; nothing was changed */
};
enum revive_result revive_missing(struct core *core, struct execution *e, struct lease *l,
				  const uint8_t digest[DIGEST_SIZE]);
void revive_task(struct core *core, struct task *t, bool force, struct execution *waiter);
void revive_run(struct core *core);
void revive_ready(struct core *core, struct task *t); /* its arguments are complete */
void revive_delivered(struct core *core, struct execution *e, const struct content *slots,
		      uint32_t count);
void revive_failed(struct core *core, struct execution *e);
void revive_drop_batch(struct core *core, struct batch *b);
bool revive_uses(const struct execution *e);
struct task *revive_first_task(const struct execution *e);

/* schedule.c */
void queue_push(struct core *core, struct queue *q, struct execution *e, bool front);
void queue_remove(struct core *core, struct execution *e);
void queue_init(struct queue *q);
void schedule_add(struct core *core, struct execution *e, bool front); /* a READY one */
void schedule_room(struct core *core);
void schedule_run(struct core *core);
void schedule_forget_batch(struct core *core, uint32_t slot);
void schedule_release(struct core *core, struct queue *from);
void schedule_free_all(struct core *core);

/* core.c */
bool core_has_work(const struct core *core);
/* view.c: does a task that is not over read it, and still lack its content? */
bool task_is_wanted(const struct core *core, const struct task *t, bool lacking);

/* deadline.c */
void timer_add(struct core *core, enum timer_kind kind, uint64_t at, uint64_t id);
void timer_run(struct core *core);
void timer_stalled(struct core *core, uint64_t now);

/* recover.c */
void recover_end(struct core *core, struct batch *b, const struct core_event *event);
void recover_lease(struct core *core, struct batch *b, const struct core_event *event);
void recover_start(struct core *core);
void recover_worker_joined(const struct core *core, struct worker *w);
void recover_worker_here(struct core *core, struct worker *w);
void recover_release(struct core *core);

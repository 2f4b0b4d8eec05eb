/* core.h - the decisions of the broker, as a deterministic state machine.
 *
 * core_step(core, event, effects): events go in, effects come out, nothing else happens. No I/O,
 * clock, randomness, thread, environment. Time is the event's @now; core_deadline() says when the
 * core wants a CORE_EV_TIME at the latest. The same event sequence always gives the same effects,
 * to the byte: no decision depends on an address.
 *
 *   task:      WAITING (inputs not known) -> RESOLVED --hit--> DONE
 *                                              +--subscribe--> SUBSCRIBED --execution ended--> DONE | FAILED
 *              upstream failed: SKIPPED.  any live state -> CANCELLED
 *   execution: LOOKUP -> READY -> LEASED -- result --> DONE | FAILED
 *                         ^        | worker lost, lease expired, retryable failure
 *                         +-BACKOFF+        an input's bytes vanished: -> BLOCKED until they are back
 *
 * Rules that the loop keeps, and the simulator checks:
 *   - Effects are valid until the next core_step(); what they point to is owned by the core.
 *   - The loop writes the durable effects (marked D) of a step to the ledger, in order, and lets
 *     the messages that follow from a step leave only when that step is durable. The one
 *     exception is CORE_FX_GRANT with @early set.
 *   - CORE_FX_LOOKUP is answered by one CORE_EV_LOOKUP with the same @exec, any time later.
 *   - CORE_EV_DURABLE tells how far the ledger is; ended executions linger until then, so that
 *     an equal task that arrives meanwhile joins them.
 *
 * Memory: a queued task costs at most 300 bytes here, its arguments included; a batch is freed as
 * soon as it has ended and is durable (CORE_FX_BATCH_FORGOTTEN). Nothing recurses; every step is
 * linear in what it ends or resolves. */
#pragma once

#include "broker/core/types.h"

struct core;

#define CORE_PAUSE_AFTER 20u

struct core_config {
	uint64_t boot;	      /* generation; epoch = boot << 32 | counter */
	uint8_t mac_key[32];  /* of leases, see lease.h */
	uint64_t next_commit; /* sequence number of the next commit, >= 1 */
	/* a worker that is silent this long loses its leases; 0: 30 s */
	uint64_t heartbeat_ns;
	uint64_t disconnect_ns; /* grace of one known to be disconnected; 0: 3 s */
	/* rule 6: how long recovered tasks wait for old workers; 0: 5 s */
	uint64_t adopt_ns;
	uint64_t park_ns; /* how long a claim for an unknown batch is parked; 0: 60 s */
	/* an unsealed batch without a chunk for so long is discarded; 0: never. The loop knows whether its client is gone, and discards. */
	uint64_t unsealed_ns;
	uint32_t poison_deaths; /* worker deaths that quarantine an execution; 0: 3 */
	/* a batch pauses when so many of a function's tasks ended first and all failed; 0: CORE_PAUSE_AFTER */
	uint32_t pause_after;
	uint32_t keep_after; /* how often a request is passed over, see fair.c; 0: 32 */
};

struct core *core_new(
	const struct core_config *config); /* starts in recovery, see CORE_EV_RECOVERED */
void core_free(struct core *core);
void core_step(struct core *core, const struct core_event *event,
	       struct core_effects *effects);
/** core_deadline() - monotonic ns at which a CORE_EV_TIME is due; TIME_NEVER if none. */
uint64_t core_deadline(const struct core *core);

/** core_reserve_commits() - @count numbers of commits that the core will not give to its own.
 * Return: the first one. */
uint64_t core_reserve_commits(struct core *core, uint64_t count);

void core_effects_reset(struct core_effects *effects); /* keeps memory */
void core_effects_fini(struct core_effects *effects);

/* Looking, never changing; for handlers, status and tests. Borrowed until the next step. */
struct core_task_view {
	enum core_task_status status;
	bool cached, deduplicated;
	uint32_t attempts;	 /* made so far on its behalf */
	uint64_t commit;	 /* sequence number, 0: none */
	uint32_t upstream;	 /* CORE_SKIPPED */
	bool upstream_cancelled; /* it did not fail */
	bool has_fingerprint;
	uint8_t func_hash[DIGEST_SIZE], args_hash[DIGEST_SIZE];
	/* CORE_RUNNING, and CORE_READY that waits on its worker: current lease, and its holder */
	uint64_t epoch;
	uint32_t worker;
	/* CORE_RUNNING, or @waits_for_room: of its execution; equal requests have equal numbers */
	int32_t priority;
	uint32_t request;
	bool waits_for_room; /* CORE_READY, and nothing else keeps it from a worker */
	const uint8_t *args; /* resolved as far as known */
	size_t args_size;
};
/** core_view_task() - Return: 0; 1 if the batch is not in memory or has no such task. */
int core_view_task(const struct core *core, uint64_t batch, uint32_t index,
		   struct core_task_view *view);
/** core_wants_slots() - true if a task that is not over reads this one: in recovery, its
 * CORE_EV_OLD_END then carries its slots. */
bool core_wants_slots(const struct core *core, uint64_t batch, uint32_t index);
/** core_has_execution() - is the work for this fingerprint waiting or being done? @nonce: or NULL. */
bool core_has_execution(const struct core *core, const uint8_t func_hash[DIGEST_SIZE],
			const uint8_t args_hash[DIGEST_SIZE], const uint8_t *nonce);
struct core_batch_view {
	struct core_counts counts;
	bool sealed, ended, paused;
	uint32_t paused_by; /* paused: function whose first tasks all failed */
	/* a task whose inputs no worker has room for, and how many were tried; or CORE_NO_INDEX */
	uint32_t no_room, no_room_tried, no_room_function;
	uint32_t task_count;
};
int core_view_batch(const struct core *core, uint64_t batch,
		    struct core_batch_view *view);
enum core_wait {		    /* what keeps a task from running */
		 CORE_WAIT_NOTHING, /* it runs, or is over */
		 CORE_WAIT_TASKS,   /* that it needs */
		 CORE_WAIT_LOOKUP,
		 CORE_WAIT_RESTART, /* rule 6: the workers of the last boot */
		 CORE_WAIT_PAUSED,
		 CORE_WAIT_DRAIN,
		 CORE_WAIT_DISK,
		 CORE_WAIT_PARALLEL,  /* max_parallel: @wanted */
		 CORE_WAIT_NO_WORKER, /* that takes anything */
		 CORE_WAIT_TOO_LARGE, /* @wanted of @resource, no worker has more than @most */
		 CORE_WAIT_ROOM,      /* workers are busy */
		 CORE_WAIT_RETRY, /* in @retry_ns */
		 CORE_WAIT_INPUT, /* its input was lost and is being made again */
};
struct core_wait_view {
	enum core_wait why;
	uint64_t retry_ns;
	char resource[CORE_RESOURCE_NAME];
	uint64_t wanted, most;
	uint32_t function; /* core_view_stuck(): of the task */
};
/** core_view_statuses() - enum core_task_status of the first tasks of a batch, @max at most.
 * Return: how many. */
uint32_t core_view_statuses(const struct core *core, uint64_t batch, uint8_t *statuses,
			    uint32_t max);
/** core_view_wait() - Return: as core_view_task(). */
int core_view_wait(const struct core *core, uint64_t batch, uint32_t index,
		   struct core_wait_view *view);
/** core_view_stuck() - what keeps a batch of which nothing runs although tasks are ready, until somebody
 * does something about it: no worker, resources that none has, a full disk, a drain.
 * @budget: how many tasks may be looked at; goes down by as many as were
 *
 * Return: 0, @view says what keeps the task *@indexp; 1: nothing of the kind, or no such batch. */
int core_view_stuck(const struct core *core, uint64_t batch, uint32_t *budget,
		    uint32_t *indexp, struct core_wait_view *view);
/** core_each_list() - the lists that tasks read which are not over: until one of them has ended, no record
 * names its list. */
void core_each_list(const struct core *core,
		    void (*fn)(void *arg, const uint8_t digest[DIGEST_SIZE]), void *arg);
struct core_worker_view {
	uint32_t running, queued;
	uint64_t used[CORE_RESOURCES_MAX]; /* in the order of the worker's capacity */
	bool gone, silent, draining;
	/* when it is silent and loses its leases, if nothing is heard of it; of one that is
	 * silent, when it did or before */
	uint64_t lost_at;
};
int core_view_worker(const struct core *core, uint32_t worker,
		     struct core_worker_view *view);
struct core_totals {
	uint64_t batches, waiting, ready, running,
		workers; /* tasks: unfinished, of sealed batches */
	uint64_t refused_results;
};
void core_view_totals(const struct core *core, struct core_totals *totals);
/** core_check() - assert every internal invariant; slow, for tests. */
void core_check(const struct core *core);

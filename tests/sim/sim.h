/* sim.h - the simulator: the real core between models of everything around it.
 *
 * One 64-bit seed makes a workload and a plan of faults, and then every choice while it runs. The
 * seed is split into streams, so that one more draw in one of them does not move the others. Time
 * is virtual. What is real is broker/core; the ledger, the disk, the network, workers and clients
 * are models that are simpler and crueller than the real ones: messages are lost, doubled and
 * reordered one by one; a crash keeps exactly what was synced, or one group more.
 *
 * The oracle (oracle.c) sees every effect and every record and knows nothing of how the core
 * works: it holds the promises against what happened. A broken promise ends the run with the
 * seed and a command that replays it. */
#pragma once

#include "broker/core/core.h"
#include "common/pure/mem.h"

#include <stdio.h>

/* ---- random streams ---- */

struct rng {
	uint64_t state;
};
uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n); /* 0 .. n - 1; n > 0 */
bool rng_chance(struct rng *r, unsigned per_mille);

/* ---- what may go wrong; a seed enables a random subset, each at its own rate ---- */

enum fault {
	FAULT_DROP,	 /* messages vanish */
	FAULT_DUPLICATE, /* messages arrive twice */
	FAULT_DELAY,	 /* and late, so out of order */
	FAULT_CUT,	 /* a worker is unreachable, one way or both, for a while */
	FAULT_BROKER_CRASH,
	FAULT_TORN_CRASH, /* the group that was being written survives */
	FAULT_WORKER_CRASH,
	FAULT_WORKER_PAUSE, /* a zombie: goes on after it was given up */
	FAULT_WORKER_LEAVE, /* drains, says goodbye, comes back */
	FAULT_SLOW_DISK,
	FAULT_FULL_DISK,
	FAULT_BROKER_PAUSE, /* the loop stalls: nothing may expire for that */
	FAULT_LOST_BLOB,    /* an input is gone when the worker wants it */
	FAULT_LIAR,   /* results with a wrong fingerprint, old leases, leases of others */
	FAULT_FLAKY,  /* tasks fail now and then */
	FAULT_POISON, /* a task kills its worker */
	FAULT_CANCEL,
	FAULT_HANDBACK,
	FAULT_COUNT,
};

struct sim_options {
	uint64_t seed;
	uint32_t fault_mask; /* faults that may be enabled at all */
	uint32_t batch_max;  /* 0: as the seed says */
	bool trace;	     /* print every event, effect and message */
};

/* ---- workload ---- */

enum task_kind { KIND_GOOD, KIND_BAD, KIND_FLAKY, KIND_SLOW, KIND_POISON };

#define SIM_ARGS_MAX 400
struct sim_task {
	struct core_task_spec spec;
	uint8_t args[SIM_ARGS_MAX];
	struct core_ref refs[8];
	uint32_t needs[4];
	uint8_t nonce[NONCE_SIZE];
};

struct sim_batch {
	uint8_t id[DIGEST_SIZE];
	uint32_t client;
	uint64_t submit_at;
	struct core_options options[4];
	uint32_t option_count;
	struct core_function functions[8];
	enum task_kind kinds[8];
	uint32_t function_count;
	struct core_group groups[8];
	struct core_group_range ranges[8][4];
	uint32_t group_count;
	struct sim_task *tasks;
	uint32_t task_count;
	uint32_t chunk_size; /* tasks a chunk */
	uint32_t max_failures, max_parallel;
	bool bad; /* has a cycle or a dangling reference: must be refused */
	/* what the client knows */
	bool acknowledged, refused, cancelled;
	uint32_t next_try;
};

/* ---- messages ---- */

enum message_type {
	M_SUBMIT, /* client -> broker: a batch (all chunks: the stream below is reliable) */
	M_ACK,	  /* broker -> client */
	M_REFUSED,
	M_CANCEL, /* client -> broker */
	M_HELLO,  /* worker -> broker, with claims */
	M_ALIVE,
	M_BYE,
	M_RESULT,
	M_HANDBACK,
	M_ASSIGN, /* broker -> worker */
	M_STOP,
	M_VERDICT,
};

struct message {
	enum message_type type;
	uint32_t worker;  /* the one that sends or gets it */
	uint64_t session; /* of the worker's connection: older ones are dead */
	uint32_t batch, index;
	struct core_lease lease;
	uint64_t epoch;
	enum core_outcome outcome;
	enum core_verdict verdict;
	struct content slots[8];
	uint32_t slot_count;
	uint8_t missing[DIGEST_SIZE];
	bool started;
	uint64_t cpus; /* of an assignment */
	enum task_kind kind;
	uint8_t args[SIM_ARGS_MAX];
	uint32_t args_size;
	struct core_ref refs[8]; /* of an assignment: where its inputs are */
	uint32_t ref_count;
	uint64_t *epochs; /* ALIVE: owned */
	uint32_t epoch_count;
	struct core_lease
		*claims; /* HELLO: owned; those of unacknowledged results are finished */
	bool *claim_started, *claim_finished;
	uint32_t claim_count;
};

/* ---- the world ---- */

enum action_type {
	A_MESSAGE,
	A_BROKER_WAKE,
	A_BROKER_START,
	A_BROKER_CRASH,
	A_BROKER_RESUME,
	A_DISK,
	A_WORKER_TICK,
	A_WORKER_DONE,
	A_WORKER_CRASH,
	A_WORKER_START,
	A_WORKER_RESUME,
	A_WORKER_HELLO,
	A_WORKER_GONE, /* the broker notices a lost connection */
	A_CLIENT_TRY,
	A_CLIENT_CANCEL,
	A_CLIENT_RESUME,
	A_FAULT,
};

struct action {
	uint64_t at, order;
	enum action_type type;
	uint32_t who;
	uint64_t arg, arg2;
	struct message *message;
};

/* What the ledger holds, in order. */
enum record_type {
	R_OPEN,
	R_SEALED,
	R_FORGET,
	R_END,
	R_LEASE,
	R_COMMIT,
	R_BATCH_ENDED,
};

struct record {
	enum record_type type;
	uint64_t step, batch; /* the broker's number */
	uint32_t sim_batch, index;
	enum core_task_status status;
	bool cached, deduplicated, completed, current, quarantined;
	uint64_t commit, parent, epoch;
	uint32_t upstream, attempts, deaths, attempt;
	uint8_t func_hash[DIGEST_SIZE], args_hash[DIGEST_SIZE];
	bool has_nonce;
	uint8_t nonce[NONCE_SIZE];
	uint8_t worker_key[KEY_SIZE];
	struct content slots[8];
	uint32_t slot_count;
};

struct held { /* a lease on a worker */
	struct message assignment;
	bool started, finished, stopping;
	struct message result;
	uint64_t reported_at;
};

struct sim_worker {
	uint8_t key[KEY_SIZE];
	uint64_t cpus; /* 1/1000 */
	uint32_t credit;
	bool up, paused, joined, draining;
	bool cut_in, cut_out; /* messages to, from it vanish */
	uint64_t session, incarnation;
	struct held *held;
	uint32_t held_count, held_capacity;
};

struct report {
	struct content slots[8];
	uint32_t slot_count;
};

struct outgoing { /* held until its step is durable */
	uint64_t step;
	struct message *message;
};

struct oracle;

#define SIM_WORKERS_MAX 6
struct sim {
	struct sim_options options;
	uint64_t now, order, steps, messages;
	struct rng workload, network, disk, clock, crash, choice;
	unsigned rate[FAULT_COUNT]; /* per mille; 0: off */
	bool calm;		    /* faults have stopped */
	uint64_t calm_at;
	struct action *queue; /* a binary heap by (at, order) */
	size_t queue_count, queue_capacity;

	struct sim_batch *batches;
	uint32_t batch_count;
	struct sim_worker workers[SIM_WORKERS_MAX];
	uint32_t worker_count;

	/* the broker */
	struct core *core;
	struct core_effects effects;
	bool broker_up, broker_paused, disk_busy, disk_full;
	uint64_t boot, step, durable_step, wake_at, broker_life;
	uint64_t next_batch, next_commit;
	struct record *records; /* the ledger: the first @durable_count are on disk */
	size_t record_count, record_capacity, durable_count, writing_count;
	uint64_t writing_step;
	struct outgoing *outbox;
	size_t outbox_count, outbox_capacity;
	uint32_t *batch_of; /* sim batch by the broker's number */
	size_t batch_of_count, batch_of_capacity;
	uint64_t *number_of; /* the broker's number by sim batch, 0: none in this life */
	struct message **inbox; /* what arrived while the loop was stalled */
	size_t inbox_count, inbox_capacity;
	uint64_t session[SIM_WORKERS_MAX]; /* as the broker knows them; 0: none */
	struct report *reports; /* by token - 1: results that the core was told of */
	size_t report_count, report_capacity;
	bool replaying;

	struct oracle *oracle;
	uint64_t trace_hash;
};

/* sim.c: time and messages */
void sim_at(struct sim *s, uint64_t delay, enum action_type type, uint32_t who,
	    uint64_t arg);
void sim_send(struct sim *s,
	      struct message *m); /* takes it; through the network's faults */
void sim_later(struct sim *s, uint64_t delay,
	       struct message *m); /* delivers, past all faults */
struct message *message_new(enum message_type type, uint32_t worker);
void message_free(struct message *m);
void sim_trace(struct sim *s, const char *fmt, ...) PRINTF(2, 3);
void sim_run(struct sim *s); /* to the end; exits the process on a broken promise */
bool sim_fault(struct sim *s, enum fault fault, struct rng *r); /* does it strike now? */
extern const char *const fault_names[FAULT_COUNT];

/* names.c */
extern const char *const message_names[], *const status_names[];
void trace_event(struct sim *s, const struct core_event *ev);
void trace_effect(struct sim *s, const struct core_effect *fx);

/* workload.c */
void workload_make(struct sim *s);
void workload_free(struct sim *s);
/** What a task that runs well writes into @slot: a function of its fingerprint alone. */
struct content workload_output(const uint8_t func_hash[DIGEST_SIZE],
			       const uint8_t args_hash[DIGEST_SIZE], uint32_t slot);

/* broker_model.c */
void broker_start(struct sim *s);
void broker_crash(struct sim *s);
void broker_receive(struct sim *s, struct message *m);
void broker_wake(struct sim *s);
void broker_disk_done(struct sim *s);
void broker_worker_gone(struct sim *s, uint32_t worker);
void broker_resume(struct sim *s);
void broker_hold(struct sim *s, bool full);
void broker_resume_batch(struct sim *s, uint64_t number); /* one that was paused */

/* ledger_model.c */
struct record *ledger_append(struct sim *s, enum record_type type, uint64_t batch);
const struct record *ledger_commit(const struct sim *s, uint64_t commit);
/** The current success of a fingerprint among the durable records; NULL if none. */
const struct record *ledger_current(const struct sim *s,
				    const uint8_t func_hash[DIGEST_SIZE],
				    const uint8_t args_hash[DIGEST_SIZE]);

/* worker_model.c */
void worker_start(struct sim *s, uint32_t worker);
void worker_crash(struct sim *s, uint32_t worker);
void worker_hello(struct sim *s, uint32_t worker);
void worker_tick(struct sim *s, uint32_t worker, uint64_t incarnation);
void worker_done(struct sim *s, uint32_t worker, uint64_t epoch, uint64_t incarnation);
void worker_receive(struct sim *s, struct message *m);
void worker_goodbye(struct sim *s, uint32_t worker);

/* oracle.c: promises */
struct oracle *oracle_new(struct sim *s);
void oracle_free(struct oracle *o);
void oracle_effect(struct sim *s, const struct core_effect *fx);
void oracle_assignment(struct sim *s, const struct message *m); /* one reaches a worker */
void oracle_record(struct sim *s, const struct record *r);	/* one became durable */
void oracle_restart(struct sim *s);
void oracle_lost_blob(struct sim *s, const uint8_t digest[DIGEST_SIZE]);
void oracle_end(struct sim *s);
void broken(struct sim *s, const char *fmt, ...) PRINTF(2, 3) __attribute__((noreturn));

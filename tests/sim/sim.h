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
#include "broker/core/plant.h"
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
	FAULT_LOST_BLOB,    /* bytes rot, at rest or just when a worker wants them */
	FAULT_LIAR,   /* results with a wrong fingerprint, old leases, leases of others */
	FAULT_FLAKY,  /* tasks fail now and then */
	FAULT_POISON, /* a task kills its worker */
	FAULT_CANCEL,
	FAULT_HANDBACK,
	FAULT_SLOW_LOOKUP, /* answers come late, and tell what was true when they were asked for */
	FAULT_EXPIRE,	   /* a commit's ttl is over */
	FAULT_CLIENT_GONE, /* before all of its batch was sent; it may come back */
	FAULT_NEW_KEY,	   /* a restarted worker draws another key, as on ipc */
	FAULT_NO_ROOM,	   /* on the disk of a worker, for the inputs */
	FAULT_GC,	   /* no fault, but work beside all other: garbage is collected */
	FAULT_COUNT,
};

struct sim_options {
	uint64_t seed;
	uint32_t fault_mask; /* faults that may be enabled at all */
	uint32_t batch_max;  /* 0: as the seed says */
	int plant;	     /* a bug that is switched on */
	bool trace;	     /* print every event, effect and message */
};

/* ---- bugs of the loop that are planted in the models, behind those of the core (plant.h) ---- */

enum model_plant {
	PLANT_ACK_BEFORE_COMMIT = PLANT_COUNT, /* messages do not wait for the disk */
	PLANT_BOOT_REUSED,     /* the boot generation is not made durable */
	PLANT_ENDS_FORGOTTEN,  /* what had ended is not told after a restart */
	PLANT_PAUSE_FORGOTTEN, /* after a restart */
	PLANT_GC_IGNORES_LIVE, /* gc takes what batches that go on have ended with */
	PLANT_GC_UNASKED,      /* gc removes what somebody has just been told is there */
	PLANT_GC_MARKS_EARLY,  /* before what was decided until then is on disk */
	PLANT_ALL,
};
extern int model_planted;

/* ---- workload ---- */

enum task_kind {
	KIND_GOOD,
	KIND_BAD,
	KIND_FLAKY,
	KIND_SLOW,
	KIND_POISON,
	KIND_CHANGING /* writes something else each time */
};

#define SIM_ARGS_MAX 400
struct sim_task {
	struct core_task_spec spec;
	uint8_t args[SIM_ARGS_MAX];
	struct core_ref refs[8];
	uint32_t needs[4];
	uint8_t nonce[NONCE_SIZE];
	uint32_t waits; /* checks in calm at which it was ready */
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
	bool acknowledged, refused, cancelled, abandoned;
	/* what the broker has of it in this life */
	uint64_t number; /* 0: nothing */
	uint32_t fed;	 /* chunks */
	bool sealed;
	uint64_t touched_at;
};

/* ---- messages ---- */

enum message_type {
	M_SUBMIT, /* client -> broker: chunks up to @index (the stream below is reliable) */
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
	M_LOOKUP, /* within the broker: an answer of the ledger */
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
	uint64_t cpus, tokens; /* of an assignment */
	int32_t priority;
	enum task_kind kind;
	uint8_t args[SIM_ARGS_MAX];
	uint32_t args_size;
	struct core_ref refs[8]; /* of an assignment: where its inputs are */
	uint32_t ref_count;
	struct core_effect lookup; /* LOOKUP */
	bool answered, hit;
	uint64_t read_at; /* when the ledger was read for it */
	uint64_t commit;
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
	A_BROKER_RESUME,
	A_DISK,
	A_WORKER_TICK,
	A_WORKER_DONE,
	A_WORKER_START,
	A_WORKER_RESUME,
	A_WORKER_HELLO,
	A_WORKER_GONE, /* the broker notices a lost connection */
	A_NUMBER_GONE, /* the same of a worker that has come back under another number */
	A_CLIENT_TRY,
	A_CLIENT_RESUME,
	A_BATCH_IDLE, /* the loop looks after unsealed batches */
	A_FAULT,
	A_GC,
	A_CALM_CHECK,
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
	R_CHUNK,
	R_SEALED,
	R_FORGET,
	R_END,
	R_LEASE,
	R_COMMIT,
	R_BLOB, /* of a list */
	R_BATCH_ENDED,
	R_REMOVED, /* of a commit */
	R_PAUSED,  /* @index: function */
	R_RESUMED,
};

struct record {
	enum record_type type;
	uint64_t step, batch; /* the broker's number */
	uint32_t sim_batch, index;
	enum core_task_status status;
	bool cached, deduplicated, completed, current, quarantined, lost_input;
	bool expired, lost; /* some of its bytes were gone once */
	bool removed;	    /* by gc */
	uint64_t watched;   /* by the gc of this number: it was a hit since */
	struct content inputs[8];
	uint32_t input_count;
	uint64_t commit, parent, epoch;
	uint64_t shape;	 /* of the arguments, without what was put into them */
	uint32_t before; /* commit of the same fingerprint: its record's number + 1 */
	uint32_t upstream, attempts, deaths, attempt;
	uint8_t func_hash[DIGEST_SIZE], args_hash[DIGEST_SIZE];
	bool has_nonce;
	uint8_t nonce[NONCE_SIZE];
	uint8_t worker_key[KEY_SIZE];
	struct content slots[8];
	uint32_t slot_count;
	uint8_t blob[DIGEST_SIZE];
};

struct blob {
	uint8_t digest[DIGEST_SIZE];
	bool present;
	bool made;		 /* by a task, or by the core: can be made again */
	uint32_t losses;	 /* how often it was there, and then was not */
	bool doomed, swept;	 /* about to be removed; removed by gc */
	uint64_t watched;	 /* by the gc of this number: somebody relies on it */
	struct content *entries; /* of a list, once it was announced */
	uint32_t entry_count;
};

struct map { /* open addressing, see map.c; values + 1 */
	uint64_t *keys;
	uint32_t *values;
	uint32_t count, capacity;
};

struct held { /* a lease on a worker */
	struct message assignment;
	uint64_t received_at;
	bool started, finished, stopping;
	struct message result;
	uint64_t reported_at;
	uint32_t passed; /* by later assignments that started before it */
};

struct sim_worker {
	uint8_t key[KEY_SIZE];
	uint64_t cpus, tokens; /* 1/1000; units */
	uint32_t credit;
	bool up, paused;
	bool cut_in, cut_out; /* messages to, from it vanish */
	uint64_t session, incarnation;
	uint64_t last_message[2]; /* when the latest one arrives: here, at the broker */
	struct held *held;
	uint32_t held_count, held_capacity;
};

struct report {
	struct content slots[8];
	uint32_t slot_count;
	bool answered;
};

struct outgoing { /* held until its step is durable */
	uint64_t step;
	struct message *message;
};

struct oracle;

#define SIM_PAUSE_AFTER 4
#define SIM_KEEP_AFTER 4
#define SIM_WORKERS_MAX 6
#define SIM_NUMBERS_MAX 512
#define SIM_TOKENS_MOST 3 /* that a task asks for */
struct sim {
	struct sim_options options;
	uint64_t now, order, steps, messages;
	struct rng workload, network, disk, clock, crash, choice, collect;
	unsigned rate[FAULT_COUNT]; /* per mille; 0: off */
	bool quiet;		    /* nothing can make two attempts overlap */
	bool calm;		    /* faults have stopped */
	uint64_t calm_at;
	struct action *queue; /* a binary heap by (at, order) */
	size_t queue_count, queue_capacity;

	struct sim_batch *batches;
	uint32_t batch_count;
	struct sim_worker workers[SIM_WORKERS_MAX];
	uint32_t worker_count;
	const char *second; /* resource beside "cpus" */
	/* checks in calm, one after the other, at which it had room for any task; was not there */
	uint32_t idle[SIM_WORKERS_MAX], away[SIM_WORKERS_MAX];

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
	struct map commits, fingerprints; /* number of the (latest) record */
	uint32_t *batch_of;		  /* sim batch by the broker's number */
	size_t batch_of_count, batch_of_capacity;
	struct message **inbox; /* what arrived while the loop was stalled */
	size_t inbox_count, inbox_capacity;
	/* as the broker knows them; the core's numbers are not those of the simulation */
	uint64_t session[SIM_WORKERS_MAX]; /* 0: none */
	uint32_t number[SIM_WORKERS_MAX];
	uint8_t known_key[SIM_WORKERS_MAX][KEY_SIZE];
	uint32_t owner[SIM_NUMBERS_MAX]; /* worker + 1; 0: the number is free */
	uint32_t number_count;
	struct report *reports; /* by token - 1: results that the core was told of */
	size_t report_count, report_capacity;
	bool replaying, core_discards;

	struct blob *blobs; /* the store */
	size_t blob_count, blob_capacity;
	struct map blob_map;

	struct oracle *oracle;
	struct fairness *fairness;
	struct gc_model *gc; /* NULL: there was none yet */
	uint64_t gc_touched_at;
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
/** What a task that runs well writes into @slot: a function of its fingerprint, or of its lease. */
struct content workload_output(const struct core_lease *lease, uint32_t slot,
			       enum task_kind kind);

/* map.c */
uint32_t map_get(const struct map *m, uint64_t key); /* UINT32_MAX: none */
void map_set(struct map *m, uint64_t key, uint32_t value);
void map_fini(struct map *m);
uint64_t map_key(const void *data,
		 size_t size); /* of bytes; chain a second with map_mix() */
uint64_t map_mix(uint64_t a, uint64_t b);

/* blob_model.c: the store */
struct blob *blob_find(struct sim *s, const uint8_t digest[DIGEST_SIZE]);
void blob_put(struct sim *s, const uint8_t digest[DIGEST_SIZE], bool made);
void blob_announce(struct sim *s,
		   const struct core_effect *fx); /* a list; not there yet */
bool blob_is_there(struct sim *s, const uint8_t digest[DIGEST_SIZE]);
void blob_lose(struct sim *s, struct blob *blob);
/** blob_missing() - the first input of an assignment that is not there, or NULL. */
const uint8_t *blob_missing(struct sim *s, const struct message *assignment);
void blobs_free(struct sim *s);

/* broker_model.c: the loop */
void broker_step(struct sim *s, struct core_event *ev);
void broker_send_when_durable(struct sim *s, struct message *m);
void broker_receive(struct sim *s, struct message *m);
void broker_wake(struct sim *s);
void broker_resume(struct sim *s);

/* effect_model.c: what the loop does with effects, and the disk */
void effect_apply(struct sim *s, const struct core_effect *fx);
void disk_kick(struct sim *s);
void disk_done(struct sim *s);
bool disk_has(const struct sim *s, uint64_t step); /* all up to it is on disk */
void disk_keep(struct sim *s, size_t count);	   /* so many records are on disk now */
void disk_hold(struct sim *s, bool full);
void flush_outbox(struct sim *s);

/* batch_model.c: batches between clients, loop and core */
void batch_submitted(struct sim *s, const struct message *m);
void batch_feed(struct sim *s, struct sim_batch *b, uint32_t upto);
void batch_idle(struct sim *s, uint32_t batch);
uint32_t batch_chunks(const struct sim_batch *b);
void client_try(struct sim *s, uint32_t batch);
void client_cancel(struct sim *s, uint32_t batch);

/* join_model.c: sessions and numbers of workers in the loop */
void join_hello(struct sim *s, const struct message *m);
void join_gone(struct sim *s, uint32_t worker);
void join_number_gone(struct sim *s, uint32_t number);
void join_forgotten(struct sim *s, uint32_t number);
void join_reset(struct sim *s);

/* gc_model.c */
void gc_begin(struct sim *s);
void gc_step(struct sim *s, uint64_t number);
void gc_end(struct sim *s); /* the broker has crashed, or all is over */
void gc_free(struct sim *s);
bool gc_is_on(const struct sim *s);
/** The number of the gc that has begun to remove; 0: none has. */
uint64_t gc_removing(const struct sim *s);
/** Somebody was told that it is there, or puts it: it stays, if gc has not removed it. */
void gc_watch(struct sim *s, const uint8_t digest[DIGEST_SIZE]);
void gc_watch_commit(struct sim *s, struct record *r);
void gc_watch_slots(struct sim *s, const struct content *slots, uint32_t count);
/** When gc last doomed or removed something: what was read before may not be so any more. */
uint64_t gc_touched_at(const struct sim *s);

/* recovery_model.c: start and crash */
void broker_start(struct sim *s);
void broker_crash(struct sim *s);

/* ledger_model.c */
struct record *ledger_append(struct sim *s, enum record_type type, uint64_t batch);
void ledger_index_commit(struct sim *s, struct record *r); /* complete, just appended */
void ledger_cut(struct sim *s, size_t keep);		   /* what was behind is lost */
struct record *ledger_commit(const struct sim *s, uint64_t commit);
/** The latest commit of a fingerprint that may be a hit, or is superseded; NULL if none. With
 * @durable only among those on disk. */
struct record *ledger_current(const struct sim *s, const uint8_t func_hash[DIGEST_SIZE],
			      const uint8_t args_hash[DIGEST_SIZE], bool durable);
void ledger_look_up(struct sim *s, struct message *m);

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
void oracle_free(struct oracle *o, const struct sim *s);
void oracle_effect(struct sim *s, const struct core_effect *fx);
void oracle_assignment(struct sim *s, const struct message *m); /* one reaches a worker */
void oracle_lookup(struct sim *s, const struct message *m);	/* was read */
void oracle_record(struct sim *s, const struct record *r);	/* one became durable */
/** The broker hears of a worker that it missed these bytes. */
void oracle_missed(struct sim *s, const uint8_t digest[DIGEST_SIZE]);
/** gc removes a blob, or the record of a commit. */
void oracle_swept(struct sim *s, const struct blob *blob, uint64_t gc);
void oracle_dropped(struct sim *s, const struct record *r);
void oracle_restart(struct sim *s);
void oracle_acknowledged(struct sim *s, uint32_t batch); /* a client hears it */
bool oracle_sealed(const struct sim *s, uint32_t batch); /* durably */
/** @m is told to the core now, under @token: no room for the inputs on its worker. */
void oracle_no_room(struct sim *s, const struct message *m, uint64_t token);
void oracle_rooms_reset(struct sim *s);
void oracle_process_ended(struct sim *s, uint32_t worker);
void oracle_poisoned(struct sim *s, const struct sim_worker *w,
		     const struct core_lease *lease);
void broken(struct sim *s, const char *fmt, ...) PRINTF(2, 3) __attribute__((noreturn));

/* oracle_input.c: what a task may read */
struct fate {
	bool ended;
	enum core_task_status status;
	uint64_t commit;
	uint32_t upstream;
	uint64_t passed_on; /* number of the gc that was removing when it was a hit */
};
const struct fate *oracle_fate(const struct sim *s, uint32_t batch, uint32_t index,
			       bool durable);
void oracle_check_args(struct sim *s, uint32_t batch, uint32_t index, const uint8_t *args,
		       uint32_t size, bool durable);
uint64_t oracle_shape(const struct sim_task *t);

/* oracle_pause.c: a sweep that fails from its beginning pauses its batch */
struct pauses;
struct pauses *pauses_new(const struct sim *s);
void pauses_free(struct pauses *p, const struct sim *s);
void pauses_restart(struct sim *s, struct pauses *p);
void pauses_effect(struct sim *s, struct pauses *p, const struct core_effect *fx);

/* oracle_fair.c: who waits is not passed over for ever */
struct fairness;
struct fairness *fair_new(const struct sim *s);
void fair_free(struct fairness *f, const struct sim *s);
void fair_reset(struct sim *s); /* the workers, or what is known of them, changed */
void fair_grant(struct sim *s, const struct core_effect *fx);
/** A worker starts what it held; @started is in its list. */
void fair_started(struct sim *s, uint32_t worker, const struct held *started);

/* oracle_end.c: when faults have stopped, and when all is over */
void oracle_calm(struct sim *s);
void oracle_end(struct sim *s);

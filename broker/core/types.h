/* types.h - what goes into the core and what comes out: plain data, no behaviour. */
#pragma once

#include "common/format/content.h"

#define CORE_RESOURCES_MAX 16
#define CORE_RESOURCE_NAME 32
#define CORE_MAC_SIZE 16
#define CORE_NO_INDEX UINT32_MAX

/* As people see a task; numbers as in TaskResult.State of the protocol. */
enum core_task_status {
	CORE_WAITING,
	CORE_READY,
	CORE_RUNNING,
	CORE_COMPLETED,
	CORE_FAILED,
	CORE_SKIPPED,
	CORE_CANCELLED,
};

struct core_counts {
	uint64_t total, waiting, ready, running;
	/* ended: each task once */
	uint64_t cached, executed, deduplicated, failed, skipped, cancelled;
};

enum core_cache { CORE_CACHE_USE, CORE_CACHE_OFF, CORE_CACHE_FORCE };

struct core_resource {
	/* "cpus" and "gpus" in 1/1000, "memory" in bytes, others 1/1000 */
	char name[CORE_RESOURCE_NAME];
	uint64_t amount;
};

/* Shared by many tasks of a batch; copied by the core. Default request is cpus 1000. */
struct core_options {
	uint32_t retries;
	/* enforced by the worker; carried for the largest-of-subscribers rule */
	uint64_t timeout_ns;
	int32_t priority;
	struct core_resource resources[CORE_RESOURCES_MAX];
	uint32_t resource_count;
	enum core_cache cache;
};

struct core_function {
	uint8_t hash[DIGEST_SIZE];
	uint32_t options;      /* number within the batch */
	uint32_t output_count; /* slots are 2 + output_count */
};

struct core_ref {
	uint32_t offset; /* of the placeholder within args */
	bool is_group;
	uint32_t target; /* task index, or group number */
	uint32_t slot;	 /* of a task */
};

struct core_group_range {
	uint32_t first, count, slot; /* count 0: @content, known from the start */
	struct content content;
};

struct core_group {
	const struct core_group_range *ranges;
	uint32_t range_count;
	bool skip_failed;
};

struct core_task_spec {
	uint32_t function;
	const uint8_t *args;
	uint32_t args_size;
	const struct core_ref *refs;
	uint32_t ref_count;
	const uint32_t *needs;
	uint32_t need_count;
	const uint8_t *
		nonce; /* NONCE_SIZE bytes, or NULL; required exactly when cache is not USE */
};

/* The right of one worker to make one attempt. (batch id is the loop's; the core knows numbers.) */
struct core_lease {
	uint8_t batch_id[DIGEST_SIZE];
	uint32_t index;
	uint64_t epoch;
	uint8_t func_hash[DIGEST_SIZE], args_hash[DIGEST_SIZE];
	bool has_nonce;
	uint8_t nonce[NONCE_SIZE];
	uint8_t worker_key[KEY_SIZE];
	uint8_t mac[CORE_MAC_SIZE];
};

enum core_outcome { /* numbers as in Outcome.Kind of the protocol */
		    CORE_OUT_COMPLETED,
		    CORE_OUT_FAILED,
		    CORE_OUT_TIMED_OUT,
		    CORE_OUT_INPUT_MISSING,
		    CORE_OUT_STOPPED,
		    CORE_OUT_LOST,
		    CORE_OUT_REJECTED,
		    CORE_OUT_NO_ROOM,
};

/* Number of an execution: slot << 32 | generation; never reused while a reply may come. */
typedef uint64_t core_exec_id;

enum core_event_type {
	CORE_EV_TIME,
	/* batches; @batch is the loop's number, ascending, never reused */
	CORE_EV_BATCH_OPEN, /* batch, open */
	CORE_EV_BATCH_CHUNK, /* batch, chunk: checked; a bad one -> CORE_FX_BATCH_REFUSED */
	CORE_EV_BATCH_SEAL, /* batch -> CORE_FX_BATCH_SEALED or _REFUSED (cycle, dangling reference) */
	CORE_EV_BATCH_DISCARD, /* batch: only unsealed ones */
	CORE_EV_CANCEL,	       /* batch, index (CORE_NO_INDEX: all) */
	CORE_EV_RESUME,	       /* batch: a paused one goes on */
	CORE_EV_LOOKUP,	       /* lookup */
	CORE_EV_DURABLE,       /* durable: highest step number that is on disk */
	/* workers; @worker is the loop's number, below 65536, reused only after _FORGOTTEN */
	CORE_EV_WORKER_JOIN, /* worker, join: new or reconnected (same key: same number) */
	CORE_EV_WORKER_CLAIM,  /* worker, claim: one lease that it says it holds */
	CORE_EV_WORKER_CREDIT, /* worker, credit */
	CORE_EV_WORKER_ALIVE, /* worker, alive: a heartbeat with the epochs that it holds */
	CORE_EV_WORKER_GONE, /* worker: disconnected (EHOSTUNREACH); grace starts */
	CORE_EV_WORKER_BYE, /* worker: left for good, its processes are dead; leases are free now */
	CORE_EV_WORKER_DRAIN, /* worker: grant it nothing more */
	CORE_EV_RESULT,	      /* worker, result */
	CORE_EV_HANDBACK,     /* worker, handback */
	CORE_EV_REVOKE_WORKER, /* worker: its key is no longer allowed; as silent for ever */
	CORE_EV_DRAIN,	       /* the broker drains: grant nothing more */
	CORE_EV_HOLD, /* hold: the disk is full (true: grant nothing new) or has room again */
	/* recovery: between core_new() and CORE_EV_RECOVERED; batches are replayed with OPEN, CHUNK,
	 * SEAL (which ask and grant nothing yet), then: */
	CORE_EV_OLD_END,   /* batch, old_end: this task had ended */
	CORE_EV_OLD_LEASE, /* batch, old_lease: this grant was recorded */
	CORE_EV_OLD_PAUSE, /* batch, old_pause: the last of its pauses and resumes */
	CORE_EV_RECOVERED, /* start: look up, wait for old workers (rule 6), grant */
};

struct core_event {
	enum core_event_type type;
	uint64_t now;  /* monotonic ns, never decreasing */
	uint64_t step; /* number of this step, ascending; returned in CORE_EV_DURABLE */
	uint64_t batch;
	uint32_t index;
	uint32_t worker;
	union {
		struct {
			uint8_t id[DIGEST_SIZE];
			uint32_t max_failures, max_parallel; /* 0: none */
		} open;
		struct { /* arrays are borrowed for the call */
			const struct core_options *options;
			uint32_t option_count;
			const struct core_function *functions;
			uint32_t function_count;
			const struct core_group *groups;
			uint32_t group_count;
			const struct core_task_spec *tasks;
			uint32_t task_count;
		} chunk;
		struct {
			core_exec_id exec;
			bool hit; /* a current, unexpired, complete success (bytes too if asked) */
			/* hit: it; otherwise the latest success that is superseded, or 0 */
			uint64_t commit;
			/* hit: by slot; may be NULL unless asked for */
			const struct content *slots;
			uint32_t slot_count;
		} lookup;
		uint64_t durable;
		struct {
			uint8_t key[KEY_SIZE];
			/* same number, same process of this key; 0: not known */
			uint64_t process;
			struct core_resource capacity[CORE_RESOURCES_MAX];
			uint32_t capacity_count;
			uint32_t credit; /* leases beyond those that fit */
			bool draining;
			bool claims; /* some follow, of leases that may be in no table */
		} join;
		struct {
			struct core_lease lease;
			bool started, finished; /* finished: its result follows */
		} claim;
		uint32_t credit;
		struct {
			const uint64_t *
				epochs; /* leases that were granted longer ago than the heartbeat's
						 * round trip and are missing here were never received */
			uint32_t epoch_count;
			uint32_t credit;
		} alive;
		struct {
			struct core_lease lease;
			enum core_outcome outcome;
			const struct content *slots; /* COMPLETED: 2 + output_count */
			uint32_t slot_count;
			uint8_t missing[DIGEST_SIZE]; /* INPUT_MISSING */
			/* the loop's, comes back in effects: where the full report is */
			uint64_t token;
		} result;
		struct {
			struct core_lease lease;
			bool started; /* false: costs nothing; true: lost, costs no attempt either */
		} handback;
		bool hold;
		struct {
			enum core_task_status status; /* an ended one */
			bool cached, deduplicated;
			uint64_t commit;
			uint32_t upstream;
			uint32_t attempts;
			/* COMPLETED and wanted: see core_wants_slots() */
			const struct content *slots;
			uint32_t slot_count;
		} old_end;
		struct {
			uint64_t epoch;
			uint32_t attempt;
			uint32_t deaths;
			uint8_t worker_key[KEY_SIZE];
		} old_lease;
		struct {
			bool paused;	   /* false: a person made it go on */
			uint32_t function; /* paused: whose tasks all failed */
		} old_pause;
	};
};

enum core_verdict { /* numbers as in ResultAck.Verdict */
		    CORE_ACCEPTED,
		    CORE_STALE,
		    CORE_BLOB_MISSING,
		    CORE_MALFORMED,
};

enum core_refusal {
	CORE_R_BAD_FUNCTION, /* number out of range, function's options out of range */
	CORE_R_BAD_REF, /* offset or target or slot out of range, overlapping placeholders */
	CORE_R_SELF_REF,
	CORE_R_CYCLE, /* @index and @indices: the tasks on it */
	CORE_R_BAD_NONCE,
	CORE_R_BAD_OPTIONS,
	CORE_R_TOO_LARGE,
};

enum core_stop_why { CORE_STOP_CANCELLED, CORE_STOP_STALE, CORE_STOP_UNKNOWN };

enum core_effect_type {
	CORE_FX_BATCH_SEALED,	 /* D batch */
	CORE_FX_BATCH_REFUSED,	 /* D batch, refused: it is forgotten */
	CORE_FX_BATCH_DISCARDED, /* D batch */
	CORE_FX_LOOKUP,		 /*   lookup */
	CORE_FX_LIST_BLOB, /* D blob: store these bytes, readers are about to ask for them */
	CORE_FX_GRANT,	   /* D grant: send the assignment */
	CORE_FX_STOP,	   /*   stop: tell the worker to stop this attempt */
	CORE_FX_COMMIT,	   /* D commit */
	CORE_FX_VERDICT, /*   verdict on a result or claim, for the worker */
	CORE_FX_ATTEMPT_FAILED, /*   failed: notice for watchers; @final if the task failed by it */
	CORE_FX_TASK_ENDED,	 /* D ended */
	CORE_FX_BATCH_PAUSED,	 /* D batch, paused */
	CORE_FX_BATCH_RESUMED,	 /* D batch */
	CORE_FX_BATCH_ENDED,	 /* D batch, counts */
	CORE_FX_BATCH_FORGOTTEN, /*   batch: durable and out of memory */
	CORE_FX_WORKER_SILENT, /*   worker: its leases are taken away (it may still come back) */
	CORE_FX_WORKER_FORGOTTEN, /*   worker: number free for reuse */
};

struct core_effect {
	enum core_effect_type type;
	uint64_t batch;
	uint32_t index;
	uint32_t worker;
	union {
		struct {
			enum core_refusal why;
			const uint32_t *indices;
			uint32_t index_count;
		} refused;
		struct {
			core_exec_id exec;
			uint8_t func_hash[DIGEST_SIZE], args_hash[DIGEST_SIZE];
			bool need_bytes; /* some subscriber's result is final: bytes must be there */
			bool need_slots;  /* somebody refers to it */
			bool parent_only; /* FORCE and OFF: only what it supersedes */
		} lookup;
		struct {
			uint8_t digest[DIGEST_SIZE];
			const uint8_t *data;
			size_t size;
		} blob;
		struct {
			struct core_lease lease;
			uint32_t function; /* number within the batch of (batch, index) */
			uint32_t attempt, attempts_max;
			uint64_t timeout_ns; /* largest among the subscribers; 0: none */
			const uint8_t *args; /* resolved */
			uint32_t args_size;
			bool early; /* may leave before the step is durable */
			uint32_t deaths;
		} grant;
		struct {
			uint64_t epoch;
			enum core_stop_why why;
		} stop;
		struct {
			uint64_t commit; /* sequence number given to it */
			uint64_t parent; /* sequence number, 0: none */
			bool completed;
			enum core_cache
				cache; /* OFF: never a hit; FORCE: becomes current */
			/* of the result; 0: made by the core (see @quarantined) */
			uint64_t token;
			bool quarantined; /* failed because it killed workers: @killers */
			const uint8_t (*killers)[KEY_SIZE];
			uint32_t killer_count;
			bool lost_input; /* failed: @missing was no task's output and is gone */
			uint8_t missing[DIGEST_SIZE];
			struct core_lease lease; /* epoch 0 if none */
			uint32_t attempts;
			uint32_t function;
			const uint8_t *args;
			uint32_t args_size;
		} commit;
		struct {
			uint64_t epoch;
			enum core_verdict verdict;
			uint64_t token; /* 0: of a claim */
			bool kept; /* a commit or notice of this step uses @token: do not free before */
		} verdict;
		struct {
			uint32_t attempt, attempts_max;
			uint64_t token;
			bool final, died;  /* died: with the worker */
			uint32_t function; /* of the task, number within its batch */
			uint64_t retry_at;
		} failed;
		struct {
			enum core_task_status status;
			bool cached, deduplicated;
			uint64_t commit; /* 0: none */
			/* SKIPPED: the task that failed (root cause) */
			uint32_t upstream;
			uint32_t attempts;
		} ended;
		struct {
			uint32_t
				function; /* number within the batch: all of its first ones */
			uint32_t failed;
		} paused;
		struct core_counts counts;
	};
};

struct core_effects {
	struct core_effect *items;
	size_t count, capacity;
};

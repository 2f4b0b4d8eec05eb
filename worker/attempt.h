/* attempt.h - one lease that this worker holds, from its assignment to the broker's acknowledgement
 * of what it came to.
 *
 *   UNKNOWN    its function was not sent; asked for           functions arrived -> WAITING
 *   SOURCE     its source is fetched and checked (runner/)    -> WAITING, or DONE if it is bad
 *   WAITING    may start when resources are free              -> PREPARING or RUNNING, a call SENT
 *   PREPARING  a thread brings its inputs and lays them out   -> PREPARED, or DONE if that failed
 *   PREPARED   its directory is ready                         -> RUNNING, a call SENT
 *   SENT       a call that waits in a runner behind others    -> RUNNING; WAITING or PREPARED again
 *                                                                if the runner ends
 *   RUNNING    its process runs in a slot, or the runner      -> COLLECTING or DONE; a call also
 *              works on it                                       WAITING or PREPARED, as SENT
 *   COLLECTING a thread hashes and uploads what it left       -> DONE
 *   DONE       its report is to be sent, or sent              -> gone when acknowledged;
 *                                                                COLLECTING if blobs are missing
 * UNKNOWN becomes WAITING at once if there is nothing to check.
 * Any state but SENT, RUNNING, PREPARING and COLLECTING may be left for "gone" at once. attempt_become()
 * is the only writer of the state and checks the table of edges. */
#pragma once

#include "common/pure/list.h"
#include "worker/dirs.h"
#include "worker/fetch.h"
#include "worker/functions.h"
#include "worker/report.h"
#include "worker/resources.h"
#include "worker/upload.h"

enum attempt_state {
	ATTEMPT_UNKNOWN,
	ATTEMPT_SOURCE,
	ATTEMPT_WAITING,
	ATTEMPT_PREPARING,
	ATTEMPT_PREPARED,
	ATTEMPT_SENT,
	ATTEMPT_RUNNING,
	ATTEMPT_COLLECTING,
	ATTEMPT_DONE,
	ATTEMPT_STATES,
};

/* Why it is being stopped; the largest one decides what is reported. */
enum attempt_stop {
	STOP_NONE,
	STOP_TIMEOUT, /* reported as TIMED_OUT */
	STOP_DRAIN,   /* handed back as lost */
	STOP_REVOKED, /* answered by STOPPED */
	STOP_STALE,   /* the broker does not want to hear of it */
};

struct attempt_lease {
	uint8_t batch[DIGEST_SIZE], func_hash[DIGEST_SIZE], args_hash[DIGEST_SIZE];
	uint8_t nonce[NONCE_SIZE], worker[KEY_SIZE], mac[16];
	bool has_nonce;
	uint32_t index;
	uint64_t epoch;
};

struct attempt_checkpoint { /* what earlier attempts left */
	bool has_content;
	uint8_t digest[DIGEST_SIZE]; /* of a folder */
	char *left_out;		     /* why the last one's is not it; or NULL */
};

struct attempt_options { /* shared by the tasks of an Assign message */
	uint32_t refs;
	uint64_t timeout_ns, grace_ns;
	struct resources resources;
	bool stdout_is_result;
	struct layout_extern *externs;
	size_t extern_count;
	char **secrets; /* names */
	size_t secret_count;
	char *interpreter; /* of calls; or NULL */
	bool is_forked;
	/* that its calls of one function have; referenced, or NULL */
	struct kind *kind;
	uint8_t kind_function[DIGEST_SIZE];
};

struct attempt {
	struct attempt *next; /* in its bucket */
	struct list link;     /* in the worker's list of its state */
	enum attempt_state state;
	struct attempt_lease lease;
	struct attempt_options *options;
	struct worker_function *function; /* NULL only while UNKNOWN */
	char *name;
	uint8_t *args;
	size_t args_size;
	uint32_t number, number_max; /* of the attempt: 1, 2, ... */
	struct attempt_checkpoint checkpoint;
	struct buf env; /* from outside, NAME=VALUE strings; if the broker sent any */
	uint32_t env_count;

	/* of a call */
	struct kind *kind;
	struct check *check;   /* of its source; also of commands */
	struct runner *runner; /* SENT, RUNNING */
	struct list call_link;
	uint64_t expected_ns; /* in its runner */
	bool is_light;	      /* nothing has to be laid out or kept for it */
	char *fault;	      /* of a runner that ended with it, or NULL */

	struct dir *dir;
	struct prepare *prepare; /* PREPARING: the threads'; PREPARED, RUNNING: ours */
	struct upload *upload;	 /* COLLECTING */
	struct grant grant;
	bool has_grant;
	struct slot *slot; /* RUNNING */
	uint32_t run;
	enum attempt_stop stop;
	uint64_t received_ns, started_ns;
	/* when to go on stopping: SIGKILL; TIME_NEVER: not before it ends */
	uint64_t kill_ns;
	uint64_t stopped_ns;
	uint64_t punched[2]; /* of standard output and error; see log_bound() */
	struct report *report;
	bool is_sent;		/* DONE: in this session */
	uint32_t missing_count; /* how often the store said that blobs are missing */
};

struct attempts {
	struct attempt **buckets;
	size_t count;
	struct list lists
		[ATTEMPT_STATES]; /* oldest first; WAITING also holds PREPARING, PREPARED */
	size_t counts[ATTEMPT_STATES];
};

void attempts_init(struct attempts *t);
void attempts_fini(struct attempts *t); /* it is empty */
struct attempt *attempts_find(const struct attempts *t, uint64_t epoch);
/** attempts_find_task() - the attempt of a task, for its logs; NULL. */
struct attempt *attempts_find_task(const struct attempts *t, const Cashet__LogRead *m);

struct attempt_options *attempt_options_new(const Cashet__Options *m);
void attempt_options_unref(struct attempt_options *o);

/** attempt_new() - take an assignment in state UNKNOWN. NULL if its lease is malformed. */
struct attempt *attempt_new(struct attempts *t, const Cashet__Assignment *m,
			    struct attempt_options *options, uint64_t now_ns);
void attempt_become(struct attempts *t, struct attempt *a, enum attempt_state state);
/** attempt_free() - leaves the table. Directory, slot, grant and function were given back. */
void attempt_free(struct attempts *t, struct attempt *a);

/** attempt_log_dir() - where what it prints is, while it runs and behind that; or NULL. */
const struct dir *attempt_log_dir(const struct attempt *a);
/** attempt_is_plain() - nothing has to be laid out for it. */
bool attempt_is_plain(const struct attempt *a);

/** lease_to_message() - @m points into @lease afterwards. */
void lease_to_message(Cashet__Lease *m, struct attempt_lease *lease);

/* fake_broker.h - a broker as a worker sees it: a control ROUTER and a blob ROUTER on ipc sockets in a
 * temporary directory, single-threaded, driven by whoever waits for something. The worker is a
 * forked child that runs worker_run(); all workers are started before the first wait. */
#pragma once

#include "common/format/function.h"
#include "common/pure/list.h"
#include "proto/wire.h"
#include "worker/options.h"
#include <sys/types.h>

#define FAKE_INLINE_MAX 1024

struct fake_blob {
	struct fake_blob *next;
	uint8_t digest[DIGEST_SIZE];
	struct buf data;
};

struct fake_outcome { /* the last report under an epoch */
	struct fake_outcome *next;
	uint64_t epoch;
	unsigned times;
	struct buf packed;
	Cashet__Outcome *m;
};

struct fake_task {
	struct function *function;
	struct args *args;		/* NULL: none */
	struct call_args *call;		/* of a call */
	const uint8_t *source;		/* digest; NULL: none */
	uint32_t attempts_max;		/* 0: 1 */
	const Cashet__Options *options; /* NULL: defaults */
	Cashet__Pair **env;
	size_t env_count;
	bool withhold_function; /* do not send its description */
	bool wrong_args_hash;
};

struct fake {
	char dir[64], url[96], blob_path[96], blob_bind[104];
	void *context, *control, *blobs;
	struct wire_arena arena, blob_arena;
	uint8_t route[64];
	size_t route_size;
	uint8_t worker_key[KEY_SIZE];
	pid_t worker;
	uint64_t next_epoch;
	bool greeted, joined, draining, said_bye;
	bool mute;	   /* take no notice of the worker */
	bool hold_acks;	   /* do not acknowledge results */
	bool forget_blobs; /* answer the next result with BLOB_MISSING for all its outputs */
	unsigned hellos, joins, heartbeats, function_queries;
	uint32_t credit;
	uint64_t epochs[64]; /* of the last heartbeat */
	size_t epoch_count;
	size_t claims, claims_started, claims_finished;
	uint64_t capacity_cpus, capacity_gpus;
	uint64_t handed_back[1024];
	size_t handback_count;
	struct fake_outcome *outcomes;
	size_t outcome_count;
	struct fake_blob *store;
	unsigned puts;
	struct buf log;
	bool has_log, log_running;
	uint8_t known_functions[64][DIGEST_SIZE];
	size_t known_count;
	struct buf
		asked; /* description of the function that FunctionQuery is answered with */
	struct fake_put *put;
};

void fake_start(struct fake *f);
void fake_stop(
	struct fake
		*f); /* SIGKILLs a worker that is still there; removes the directory */
/** fake_run_worker() - with 2 cpus, 2 gpus and its work directory below @f->dir. */
void fake_run_worker(struct fake *f);
/** fake_run_worker_on() - on other options; @o is completed. */
void fake_run_worker_on(struct fake *f, struct options *o);
/** fake_restart() - as a broker that was killed and started again: new sockets, no memory of peers. */
void fake_restart(struct fake *f);
/** fake_store() - put a blob into the store. */
void fake_store(struct fake *f, const void *data, size_t size,
		uint8_t digest[DIGEST_SIZE]);
const struct fake_blob *fake_find(const struct fake *f, const uint8_t *digest);
/** fake_content() - bytes of a content: uploaded, or inside @o. Empty string if it is nowhere. */
const char *fake_content(struct fake *f, const Cashet__Outcome *o,
			 const Cashet__Content *c, size_t *sizep);
uint64_t fake_assign(struct fake *f, const struct fake_task *task);
void fake_revoke(struct fake *f, uint64_t epoch);
void fake_ask_log(struct fake *f, uint64_t epoch, bool is_stderr, uint64_t offset);
void fake_drain(struct fake *f, uint64_t deadline_ms);
/** fake_serve() - one round of at most @ms. */
void fake_serve(struct fake *f, int ms);
/** fake_wait() - serve until *flag or @ms have passed. Return: *flag. */
bool fake_wait(struct fake *f, const bool *flag, int ms);
/** fake_outcome() - serve until the epoch was reported; NULL after @ms. */
Cashet__Outcome *fake_outcome(struct fake *f, uint64_t epoch, int ms);
/** fake_wait_exit() - Return: exit status of the worker, -1 after @ms. */
int fake_wait_exit(struct fake *f, int ms);

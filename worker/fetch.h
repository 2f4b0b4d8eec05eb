/* fetch.h - makes an attempt ready to run: its inputs from the store through the cache into its
 * directory, its command line and environment filled in. */
#pragma once

#include "common/format/source.h"
#include "common/task/layout.h"
#include "worker/jobs.h"
#include "worker/secrets.h"

/* Blobs through the cache, for jobs; waits while the broker is away. */
struct fetcher {
	struct cache *cache;
	struct job_thread *thread;
};
/** fetch_open() - open() of a struct layout_source, whose arg is a fetcher. */
int fetch_open(void *fetcher, const uint8_t digest[DIGEST_SIZE], int *fdp,
	       uint64_t *sizep, struct err *e);

struct prepare {
	struct job job;
	/* in: borrowed, unchanged while the job is out */
	void *owner; /* the attempt */
	const struct function *function;
	const uint8_t *args;
	size_t args_size;
	const struct layout_extern *externs;
	size_t extern_count;
	struct secrets_want secrets;
	const char *cwd, *out, *err, *checkpoint_dir; /* paths of its directory */
	const uint8_t *checkpoint;		      /* digest of a folder, or NULL */
	const char *checkpoint_left_out;	      /* or NULL */
	struct cache *cache;
	const struct source
		*shipped; /* code that is described by what it says; or NULL */
	bool is_call;
	/* out */
	struct call_blobs *blobs; /* of a call */
	enum layout_result result;
	struct err error;
	uint8_t missing[DIGEST_SIZE];
	struct buf
		strings; /* as struct slot_request wants them, up to the function's environment */
	uint32_t argc, envc;
	size_t secrets_at, secrets_size; /* within strings */
};

/** prepare_plain() - for functions that are function_is_plain(): at once, on the calling thread. */
void prepare_plain(struct prepare *p);
/** prepare_submit() - in a thread; then @done. */
void prepare_submit(struct prepare *p, struct jobs *jobs,
		    void (*done)(struct job *job, void *owner));
/** prepare_forget_secrets() - the program has started; of the strings only their values go. */
void prepare_forget_secrets(struct prepare *p);
void prepare_free(struct prepare *p);

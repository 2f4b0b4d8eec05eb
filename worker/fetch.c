/* fetch.c - see fetch.h. While the broker is away a fetch waits and tries again: its lease may well
 * be adopted when the broker is back. */
#include "worker/fetch.h"

#include "common/log.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"
#include "worker/checkpoint.h"
#include "worker/runner/blobs.h"

#include <stdlib.h>
#include <string.h>

static int get_blob(void *arg, const uint8_t digest[DIGEST_SIZE],
		    int (*sink)(void *sink_arg, const void *data, size_t size),
		    void *sink_arg, struct err *e)
{
	struct fetcher *f = arg;
	struct blob_client *client = job_blobs(f->thread);
	if (!client)
		return err_set(e, ERR_UNREACHABLE, "cancelled");
	return blob_client_get(client, digest, 0, 0, sink, sink_arg, e);
}

int fetch_open(void *arg, const uint8_t digest[DIGEST_SIZE], int *fdp, uint64_t *sizep,
	       struct err *e)
{
	struct fetcher *f = arg;
	const struct cache_getter getter = {f, get_blob};
	for (;;) {
		switch (cache_open(f->cache, digest, &getter, fdp, sizep, e)) {
		case CACHE_OK:
			return LAYOUT_OK;
		case CACHE_MISSING:
			return LAYOUT_MISSING;
		case CACHE_FULL:
			return LAYOUT_FULL;
		case CACHE_ERROR:
		case CACHE_UNREACHABLE:
			break;
		}
		if (job_is_cancelled(f->thread))
			return LAYOUT_CANCELLED;
		char hex[HEX_DIGEST_SIZE];
		log_warn("input not fetched", "blob=%s error=%s",
			 hex_encode(hex, digest, DIGEST_SIZE), e->what);
		if (!job_pause(f->thread))
			return LAYOUT_CANCELLED;
	}
}

static void fill_in(struct prepare *p, const struct args *args,
		    const struct input_paths *inputs)
{
	const struct substitution s = {p->function, args, inputs};
	buf_reset(&p->strings);
	buf_add(&p->strings, p->cwd, strlen(p->cwd) + 1);
	buf_add(&p->strings, p->out, strlen(p->out) + 1);
	buf_add(&p->strings, p->err, strlen(p->err) + 1);
	p->argc = p->envc = 0;
	if (substitute_command(&p->strings, &p->argc, &s, &p->error) ||
	    substitute_env(&p->strings, &p->envc, &s, &p->error)) {
		p->result = LAYOUT_BAD;
		return;
	}
	p->secrets_at = p->strings.size;
	int rc = secrets_add(&p->strings, &p->envc, &p->secrets, &p->error);
	p->secrets_size = p->strings.size - p->secrets_at;
	if (rc)
		p->result = rc == (int)ERR_FAILED ? LAYOUT_ERROR : LAYOUT_ABSENT;
}

static int decode(struct prepare *p, struct args *args)
{
	p->result = LAYOUT_OK;
	if (args_decode(p->args, p->args_size, args) == 0 &&
	    args->value_count == p->function->param_count &&
	    args->input_count == p->function->input_count)
		return 0;
	err_set(&p->error, ERR_USAGE, "the arguments do not fit the function");
	p->result = LAYOUT_BAD;
	return 1;
}

void prepare_plain(struct prepare *p)
{
	CLEANUP(args_fini) struct args args = {0};
	if (decode(p, &args) == 0)
		fill_in(p, &args, NULL);
}

static enum layout_result bring_checkpoint(struct prepare *p,
					   const struct layout_source *source)
{
	const struct checkpoint_place place = {
		.dir = p->checkpoint_dir,
		.err = p->err,
		.digest = p->checkpoint,
		.left_out = p->checkpoint_left_out,
		.source = source,
	};
	return checkpoint_lay_out(&place, &p->error);
}

static void run_call(struct prepare *p, const struct layout_source *source)
{
	CLEANUP(args_fini) struct args args = {0};
	if (args_decode(p->args, p->args_size, &args) || !args.call) {
		err_set(&p->error, ERR_USAGE, "the arguments are malformed");
		p->result = LAYOUT_BAD;
		return;
	}
	p->blobs = mem_alloc(sizeof *p->blobs);
	p->result = blobs_gather(p->blobs, &args, p->externs, p->extern_count, p->cwd,
				 source, p->missing, &p->error);
	if (p->result == LAYOUT_OK)
		p->result = bring_checkpoint(p, source);
}

static void run(struct job *job, struct job_thread *thread)
{
	struct prepare *p = container_of(job, struct prepare, job);
	struct fetcher fetcher = {p->cache, thread};
	const struct layout_source source = {&fetcher, fetch_open};
	CLEANUP(args_fini) struct args args = {0};
	if (p->is_call) {
		run_call(p, &source);
		return;
	}
	if (decode(p, &args))
		return;
	struct layout layout = {.function = p->function,
				.args = &args,
				.externs = p->externs,
				.extern_count = p->extern_count,
				.shipped = p->shipped,
				.dir = p->cwd,
				.source = &source};
	p->result = layout_run(&layout, &p->error);
	memcpy(p->missing, layout.missing, DIGEST_SIZE);
	if (p->result == LAYOUT_OK)
		p->result = bring_checkpoint(p, &source);
	if (p->result == LAYOUT_OK)
		fill_in(p, &args, layout.inputs);
	layout_fini(&layout);
}

void prepare_submit(struct prepare *p, struct jobs *jobs,
		    void (*done)(struct job *job, void *owner))
{
	p->job.run = run;
	p->job.done = done;
	p->job.lane = LANE_FETCH;
	jobs_submit(jobs, &p->job);
}

void prepare_forget_secrets(struct prepare *p)
{
	if (p->secrets_size)
		explicit_bzero(p->strings.data + p->secrets_at, p->secrets_size);
}

void prepare_free(struct prepare *p)
{
	if (!p)
		return;
	if (p->secrets.count)
		secrets_wipe(&p->strings);
	else
		buf_fini(&p->strings);
	blobs_free(p->blobs);
	free(p);
}

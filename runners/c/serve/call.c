/* call.c - one call: from its frame to its answer, and the process as it was. */
#include "runners/c/serve/runner.h"

#include "common/json.h"
#include "runners/c/serve/quiet.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* ---- the answer */

static struct frame_part result_part(const struct cashet_task *t)
{
	const void *data = t->room ? t->room : t->result.data;
	if (t->in_file)
		return (struct frame_part){
			.where = FRAME_PATH,
			.size = t->size,
			.bytes = {(const uint8_t *)t->file, strlen(t->file)}};
	return (struct frame_part){
		.where = FRAME_INLINE, .size = t->size, .bytes = {data, t->size}};
}

static void add_number(struct json *j, const char *key, int number)
{
	json_key(j, key);
	if (number < 0)
		json_null(j);
	else
		json_int(j, number);
}

static void add_error(struct buf *out, const struct runner *r)
{
	const struct cashet_task *t = &r->task;
	struct json j;
	json_init(&j, out);
	json_object(&j);
	json_key(&j, "kind");
	json_string(&j, t->failed_kind);
	json_key(&j, "type");
	json_null(&j); /* the message says it all */
	json_key(&j, "message");
	json_string_n(&j, (const char *)t->message.data, t->message.size);
	json_key(&j, "traceback");
	json_null(&j);
	add_number(&j, "exit", r->exit_status);
	add_number(&j, "signal", r->signal);
	json_end_object(&j);
}

/* take_output() - both, inline if they are few together. Return: 0 or a negative errno. */
static int take_output(struct runner *r, struct frame_answer *a)
{
	int out = output_restore(&r->out, r->quiet);
	int err = output_restore(&r->err, r->quiet);
	if (out < 0 || err < 0)
		return out < 0 ? out : err;
	bool is_inline = r->out.size + r->err.size <= r->inline_max;
	out = output_take(&r->out, is_inline, r->id, r->results, &a->out);
	err = output_take(&r->err, is_inline, r->id, r->results, &a->err);
	return out < 0 ? out : err;
}

/* answer() - Return: 0; an exit status if the worker is gone, or nobody can be told what was printed. */
static int answer(struct runner *r)
{
	CLEANUP_BUF struct buf error = {0};
	struct cashet_task *t = &r->task;
	struct frame_answer a = {.id = r->id};
	int printed = take_output(r, &a);
	a.duration_ns = clock_ns(CLOCK_MONOTONIC) - r->started_ns;
	uint64_t cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	a.cpu_ns = cpu_ns - r->cpu_ns + r->child_cpu_ns;
	r->cpu_ns = cpu_ns; /* what is done between two calls counts for the second */
	if (t->failed) {
		add_error(&error, r);
		a.json = (struct frame_bytes){error.data, error.size};
	} else {
		a.kind = t->kind == TASK_JSON ? CONTENT_JSON : CONTENT_FILE;
		a.result = result_part(t);
	}
	buf_reset(&r->answer);
	frame_add_answer(&r->answer, t->failed ? FRAME_ERROR : FRAME_DONE, &a);
	int sent = channel_send(&r->channel, &r->answer);
	if (sent < 0)
		return sent == -EBADF || sent == -ENOTSOCK ? RUNNER_EXIT_CLOSED
							   : RUNNER_EXIT_SPENT;
	return printed < 0 ? RUNNER_EXIT_SPENT : 0;
}

/* ---- the call */

/* run() - r->task is what came of it. */
static void run(struct runner *r, const struct frame_call *call,
		cashet_function *function)
{
	struct cashet_task *t = &r->task;
	const char *directory = NULL;
	if (call->directory.size)
		directory =
			arena_copy(&t->arena, call->directory.data, call->directory.size);
	int status = state_begin(&r->state, call, directory, t->info.batch,
				 &t->info.checkpoint);
	t->info.directory = directory ? directory : r->state.task.path;
	if (status < 0) {
		task_fail(t, "load", "cannot enter the task's folder: %s",
			  strerror(-status));
		return;
	}
	if (call->isolation == FRAME_FORK) {
		runner_fork(r, function);
		return;
	}
	r->calling = true;
	quiet_begin();
	status = function(t);
	r->quiet = quiet_end();
	r->calling = false;
	task_finish(t, status);
}

static void begin(struct runner *r, const struct frame_call *call)
{
	r->id = call->id;
	r->started_ns = clock_ns(CLOCK_MONOTONIC);
	if (r->cpu_ns == 0) /* what the start of the process took is nobody's */
		r->cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	r->child_cpu_ns = 0;
	r->quiet = false;
	r->exit_status = r->signal = -1;
}

int runner_call(struct runner *r, const struct frame_call *call)
{
	struct cashet_task *t = &r->task;
	size_t descriptors = channel_descriptors(call);
	const char *what = "";
	if (descriptors > r->channel.descriptor_count) {
		fprintf(stderr, "cashet-runner-c: a call came without its descriptors\n");
		return RUNNER_EXIT_PROTOCOL;
	}
	begin(r, call);
	if (task_begin(t, call, r->channel.descriptors, descriptors, r->results,
		       r->inline_max)) {
		fprintf(stderr, "cashet-runner-c: %s\n", buf_cstr(&t->message));
		return RUNNER_EXIT_PROTOCOL;
	}
	r->calling = true; /* a library may call exit() when it is opened */
	bool opened;
	struct library *lib = libraries_open(&r->libraries, call->load, &opened);
	r->calling = false;
	if (opened) /* what it did then is not for this call alone */
		state_end(&r->state, false, &what);
	if (!lib)
		task_fail(t, "load", "the worker never loaded this source");
	else if (!lib->function)
		task_fail(t, lib->kind, "%s", buf_cstr(&lib->problem));
	else
		run(r, call, lib->function);
	int status = answer(r);
	task_end(t);
	channel_drop(&r->channel, descriptors);
	if (state_end(&r->state, r->quiet, &what) || status)
		return status ? status : RUNNER_EXIT_SPENT;
	return 0;
}

void runner_left(struct runner *r)
{
	r->calling = false; /* its exit() ends nobody's call */
	close(r->channel.fd);
}

void runner_exiting(struct runner *r, int status)
{
	if (!r->calling)
		return;
	r->calling = false;
	r->exit_status = status & 0xff;
	r->task.failed = false; /* this is what happened last */
	task_fail(&r->task, "exit", "the function called exit(%d)", status);
	if (r->is_child)
		runner_report(r);
	int ended = answer(r);
	task_end(&r->task);
	_exit(ended ? ended : RUNNER_EXIT_SPENT);
}

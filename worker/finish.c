/* finish.c - what an attempt came to; see worker.h. Small results are collected at once, on the
 * loop thread; whatever has to be hashed at length or uploaded goes to a thread. */
#include "worker/worker.h"

#include "common/log.h"
#include "common/num.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MISSING_MAX 8 /* times that a store may ask for the same result's blobs */
#define KIND(name) CASHET__OUTCOME__KIND__##name

/* ---- directories */

struct clean {
	struct job job;
	struct dir *dir;
	int rc;
};

static void clean_run(struct job *job, struct job_thread *thread)
{
	struct clean *c = container_of(job, struct clean, job);
	c->rc = dir_rebuild(c->dir);
}

static void clean_done(struct job *job, void *owner)
{
	struct worker *w = owner;
	struct clean *c = container_of(job, struct clean, job);
	if (c->rc == 0) {
		dirs_put(&w->dirs, c->dir);
	} else {
		log_warn("directory not cleaned", "path=%s error=%s",
			 c->dir->paths[DIR_SELF], strerror(-c->rc));
		dir_drop(c->dir);
	}
	free(c);
}

void finish_release_dir(struct worker *w, struct attempt *a)
{
	if (a->dir)
		finish_clean_dir(w, steal(a->dir));
}

void finish_clean_dir(struct worker *w, struct dir *dir)
{
	if (dir_refresh(dir)) {
		dirs_put(&w->dirs, dir);
		return;
	}
	struct clean *c = mem_alloc(sizeof *c);
	c->dir = dir;
	c->job.run = clean_run;
	c->job.done = clean_done;
	c->job.lane = LANE_UPLOAD;
	jobs_submit(w->jobs, &c->job);
}

/* ---- the end of an attempt */

void finish_forget(struct worker *w, struct attempt *a)
{
	assert(!a->slot && a->state != ATTEMPT_PREPARING &&
	       a->state != ATTEMPT_COLLECTING);
	if (a->has_grant)
		capacity_give(&w->capacity, &a->grant);
	a->has_grant = false;
	/* The report may point into the directory's paths. */
	report_free(steal(a->report));
	prepare_free(steal(a->prepare));
	finish_release_dir(w, a);
	calls_release(a);
	functions_unref(&w->functions, steal(a->function));
	attempt_free(&w->attempts, a);
}

void finish_report(struct worker *w, struct attempt *a)
{
	struct report *r = a->report;
	if (a->stop == STOP_STALE) {
		if (a->state == ATTEMPT_COLLECTING)
			attempt_become(&w->attempts, a, ATTEMPT_DONE);
		finish_forget(w, a);
		return;
	}
	Cashet__Lease *lease = report_alloc(r, sizeof *lease);
	lease_to_message(lease, &a->lease);
	r->outcome.lease = lease;
	attempt_become(&w->attempts, a, ATTEMPT_DONE);
	a->is_sent = false;
	prepare_free(steal(a->prepare));
	if (r->outcome.kind == KIND(COMPLETED))
		w->full_pause_ns = 0; /* the disk is well */
	if (!r->blob_count)	      /* otherwise the store may ask for them once more */
		finish_release_dir(w, a);
	log_debug("attempt ended", "task=%s epoch=%" PRIu64 " kind=%d error=%s", a->name,
		  a->lease.epoch, (int)r->outcome.kind, r->outcome.error);
}

void finish_unstarted(struct worker *w, struct attempt *a, Cashet__Outcome__Kind kind,
		      const char *fmt, ...)
{
	char text[2048];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	a->report = report_new();
	report_fail(a->report, kind, "%s", text);
	if (kind == KIND(INPUT_MISSING)) {
		Cashet__Outcome *o = &a->report->outcome;
		o->missing.len = DIGEST_SIZE;
		o->missing.data = memcpy(report_alloc(a->report, DIGEST_SIZE),
					 a->prepare->missing, DIGEST_SIZE);
	}
	finish_report(w, a);
}

void finish_lost(struct worker *w, struct attempt *a, const char *what, int error)
{
	if (error == -ENOSPC || error == -EDQUOT)
		worker_disk_full(w, what);
	report_free(a->report);
	a->report = report_new();
	report_fail(a->report, KIND(LOST), "%s: %s", what, strerror(-error));
	finish_report(w, a);
}

/* ---- collecting */

static void collected(struct job *job, void *owner)
{
	struct worker *w = owner;
	struct upload *u = container_of(job, struct upload, job);
	struct attempt *a = u->owner;
	int error = u->error;
	a->upload = NULL;
	free(u);
	if (error == 0 || a->stop == STOP_STALE)
		finish_report(w, a);
	else
		finish_lost(w, a, "collecting what the task left", error);
}

/* What a task left is for its next attempt, if there can be one. */
static uint64_t checkpoint_max(const struct worker *w, const struct attempt *a)
{
	bool may_go_on =
		a->report->outcome.kind == KIND(LOST) || a->number < a->number_max;
	return may_go_on ? w->options->checkpoint_bytes : 0;
}

static struct collect what_to_collect(struct worker *w, struct attempt *a)
{
	return (struct collect){
		.without_logs = a->report->outcome.kind == KIND(LOST),
		.checkpoint_max = checkpoint_max(w, a),
		.function = &a->function->f,
		.dir = a->dir,
		.inline_max = w->session.inline_max,
		.stdout_is_result = a->options->stdout_is_result,
		.with_outputs = a->report->outcome.kind == KIND(COMPLETED),
	};
}

static struct upload *begin_upload(struct worker *w, struct attempt *a, bool again)
{
	struct upload *u = mem_alloc(sizeof *u);
	u->owner = a;
	u->collect = what_to_collect(w, a);
	u->collected = again;
	u->report = a->report;
	a->upload = u;
	attempt_become(&w->attempts, a, ATTEMPT_COLLECTING);
	return u;
}

static void collect_ended(struct worker *w, struct attempt *a)
{
	struct collect c = what_to_collect(w, a);
	if (!collect_is_small(&c)) {
		upload_submit(begin_upload(w, a, false), w->jobs, collected);
		return;
	}
	int rc = collect_run(&c, a->report);
	if (rc < 0)
		finish_lost(w, a, "collecting what the task left", rc);
	else
		finish_report(w, a);
}

void finish_upload_again(struct worker *w, struct attempt *a, const Cashet__ResultAck *m)
{
	for (size_t i = 0; i < m->n_missing; i++) {
		bool known = false;
		for (size_t k = 0; k < a->report->blob_count; k++)
			known = known ||
				(m->missing[i].len == DIGEST_SIZE &&
				 !memcmp(m->missing[i].data, a->report->blobs[k].digest,
					 DIGEST_SIZE));
		if (known)
			continue;
		log_warn("the store misses a blob that went inside the result",
			 "task=%s epoch=%" PRIu64, a->name, a->lease.epoch);
	}
	if (++a->missing_count > MISSING_MAX || (!a->dir && !a->report->blob_count)) {
		report_free(a->report);
		a->report = report_new();
		report_fail(a->report, KIND(LOST), "the store did not keep its blobs");
		attempt_become(&w->attempts, a, ATTEMPT_COLLECTING);
		finish_report(w, a);
		return;
	}
	upload_submit(begin_upload(w, a, true), w->jobs, collected);
}

void finish_collect_call(struct worker *w, struct attempt *a, const char *result,
			 uint8_t type, uint64_t size)
{
	struct upload *u = begin_upload(w, a, false);
	u->collect.result = result;
	u->collect.result_type = type;
	u->collect.result_size = size;
	upload_submit(u, w->jobs, collected);
}

/* ---- how a run ended */

static const char *path_in(const struct prepare *p)
{
	/* Behind the three places and the arguments stands the environment. */
	const char *at = (const char *)p->strings.data, *end = at + p->strings.size;
	for (uint32_t skip = 3 + p->argc; skip && at < end; skip--)
		at += strlen(at) + 1;
	for (; at < end; at += strlen(at) + 1)
		if (strncmp(at, "PATH=", 5) == 0)
			return at + 5;
	return "";
}

static const char *program_in(const struct prepare *p)
{
	const char *at = (const char *)p->strings.data;
	for (int skip = 3; skip; skip--)
		at += strlen(at) + 1;
	return at;
}

/* Whether the file itself is there, when the kernel said that something is not. */
static bool exists(const struct attempt *a, const char *program)
{
	CLEANUP_FREE char *full = NULL;
	if (program[0] == '/')
		return access(program, F_OK) == 0;
	if (asprintf(&full, "%s/%s", a->dir->paths[DIR_TASK], program) < 0)
		abort();
	return access(full, F_OK) == 0;
}

#define STRING_MAX_LINUX (128u << 10) /* MAX_ARG_STRLEN: one string, with its NUL */

/* longest_string() - bytes, with the NUL, of the longest argument or variable. */
static size_t longest_string(const struct buf *strings)
{
	size_t longest = 0, size;
	for (size_t at = 0; at < strings->size; at += size) {
		const uint8_t *end = memchr(strings->data + at, 0, strings->size - at);
		size = end ? (size_t)(end - strings->data) + 1 - at : strings->size - at;
		longest = size > longest ? size : longest;
	}
	return longest;
}

static void explain_too_long(struct report *r, const struct attempt *a,
			     const char *program)
{
	const struct buf *strings = &a->prepare->strings;
	size_t longest = longest_string(strings);
	if (longest > STRING_MAX_LINUX)
		report_fail(r, KIND(FAILED),
			    "%s: an argument or variable of %zu bytes is too long: Linux "
			    "takes %u; give it in a file, as an input",
			    program, longest - 1, STRING_MAX_LINUX - 1);
	else
		report_fail(
			r, KIND(FAILED),
			"%s: the arguments and the environment are too long (%zu "
			"bytes); ${inputs.NAME.list} is a file that lists the members",
			program, strings->size);
}

static void explain_exec(struct report *r, const struct attempt *a, int error)
{
	const char *program = program_in(a->prepare);
	const char *slash = strchr(program, '/');
	if (error == ENOENT && !slash)
		report_fail(r, KIND(FAILED), "%s: not found in PATH (%s)", program,
			    path_in(a->prepare));
	else if (error == ENOENT && exists(a, program))
		report_fail(r, KIND(FAILED),
			    "%s: the interpreter that its first line names is not there",
			    program);
	else if (error == ENOENT)
		report_fail(r, KIND(FAILED), "%s: no such file%s", program,
			    program[0] == '/' ? ""
					      : " in the task's directory: name it "
						"in code");
	else if (error == EACCES)
		report_fail(r, KIND(FAILED), "%s: not executable, or not allowed",
			    program);
	else if (error == ENOEXEC)
		report_fail(r, KIND(FAILED),
			    "%s: not a program for this machine; a script needs a first "
			    "line as "
			    "#!/bin/sh",
			    program);
	else if (error == E2BIG)
		explain_too_long(r, a, program);
	else
		report_fail(r, KIND(FAILED), "%s: %s", program, strerror(error));
}

static void explain_start(struct worker *w, struct report *r, const struct attempt *a,
			  const struct slot_report *s)
{
	switch ((enum slot_step)s->step) {
	case SLOT_STEP_EXEC:
		explain_exec(r, a, s->error);
		return;
	case SLOT_STEP_NONE:
		return;
	case SLOT_STEP_REQUEST:
	case SLOT_STEP_STDOUT:
	case SLOT_STEP_STDERR:
	case SLOT_STEP_FORK:
	case SLOT_STEP_CHDIR:
		break;
	}
	if (s->error == ENOSPC || s->error == EDQUOT)
		worker_disk_full(w, "starting a task");
	report_fail(r, KIND(LOST), "this worker could not start it: %s",
		    strerror(s->error));
}

static void explain_call_start(struct worker *w, struct report *r,
			       const struct slot_report *s)
{
	if (s->error == ENOSPC || s->error == EDQUOT)
		worker_disk_full(w, "starting a runner");
	report_fail(r, KIND(LOST), "this worker could not start a runner: %s",
		    strerror(s->error));
}

static void explain_memory(struct report *r, const struct attempt *a, uint64_t used)
{
	CLEANUP_BUF struct buf text = {0};
	buf_add_str(&text, "killed: used ");
	num_add_size(&text, used);
	buf_add_str(&text, " of the ");
	num_add_size(&text, resources_get(&a->options->resources, "memory"));
	buf_add_str(&text, " it asked for (resources.memory)");
	report_fail(r, KIND(FAILED), "%s", buf_cstr(&text));
}

static void explain_status(struct worker *w, struct report *r, const struct attempt *a,
			   int status)
{
	if (WIFSIGNALED(status) && a->kind) {
		r->outcome.term_signal = WTERMSIG(status);
		report_fail(r, KIND(FAILED), "killed by signal %d (%s)", WTERMSIG(status),
			    strsignal(WTERMSIG(status)));
		return;
	}
	if (WIFSIGNALED(status)) {
		const char *name = sigabbrev_np(WTERMSIG(status));
		r->outcome.term_signal = WTERMSIG(status);
		report_fail(r, KIND(FAILED), "killed by %s%s", name ? "SIG" : "a signal",
			    name ? name : "");
		return;
	}
	r->outcome.exit_code = WEXITSTATUS(status);
	if (!r->outcome.exit_code && !a->kind)
		return;
	/* What the task says of it may have found no room either. */
	bool full = drain_disk_is_full(w);
	report_fail(r, KIND(FAILED), "exit %d%s%s%s", r->outcome.exit_code,
		    a->kind ? " before it returned" : "",
		    full ? "; the worker's disk is full: " : "",
		    full ? w->options->work_dir : "");
}

static void describe(struct worker *w, struct report *r, struct attempt *a,
		     const struct slot_report *s)
{
	Cashet__Outcome *o = &r->outcome;
	o->duration_ns = s->duration_ns;
	o->cpu_user_ns = s->cpu_user_ns;
	o->cpu_system_ns = s->cpu_system_ns;
	o->max_rss_bytes = s->max_rss_bytes;
	if (a->stop == STOP_TIMEOUT) {
		CLEANUP_BUF struct buf limit = {0};
		num_add_duration(&limit, a->options->timeout_ns);
		report_fail(r, KIND(TIMED_OUT), "timed out after %s", buf_cstr(&limit));
	}
	if (s->over_bytes)
		explain_memory(r, a, s->over_bytes);
	if (a->fault)
		report_fail(r, KIND(FAILED), "%s", a->fault);
	if (s->step && a->kind)
		explain_call_start(w, r, s);
	else if (s->step)
		explain_start(w, r, a, s);
	else
		explain_status(w, r, a, s->status);
}

static void finish_ended(struct worker *w, struct attempt *a, const struct slot_report *s)
{
	a->report = report_new();
	if (a->stop == STOP_STALE) {
		finish_forget(w, a);
		return;
	}
	if (a->stop == STOP_REVOKED) {
		report_fail(a->report, KIND(STOPPED), "stopped");
		finish_report(w, a);
		return;
	}
	if (a->stop == STOP_DRAIN) {
		report_fail(a->report, KIND(LOST), "its worker went away");
		if (s->step)
			finish_report(w, a);
		else
			collect_ended(w, a);
		return;
	}
	describe(w, a->report, a, s);
	if (s->step)
		finish_report(w, a);
	else
		collect_ended(w, a);
}

void finish_run(struct worker *w, struct attempt *a, const struct slot_report *report)
{
	if (a->slot && a->slot->state == SLOT_BUSY)
		slots_put(&w->slots, a->slot);
	a->slot = NULL;
	if (a->has_grant)
		capacity_give(&w->capacity, &a->grant);
	a->has_grant = false;
	if (a->stop == STOP_NONE)
		credit_ended(&w->credit, report->duration_ns,
			     report->step || report->status);
	mem_grow(w->ended, w->ended_count, w->ended_capacity);
	w->ended[w->ended_count++] = (struct ended){a, *report};
}

void finish_ended_call(struct worker *w, struct attempt *a,
		       const struct slot_report *report)
{
	finish_run(w, a, report);
}

void finish_collect(struct worker *w)
{
	for (size_t i = 0; i < w->ended_count; i++)
		finish_ended(w, w->ended[i].attempt, &w->ended[i].report);
	w->ended_count = 0;
}

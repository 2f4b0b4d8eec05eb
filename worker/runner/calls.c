/* calls.c - see calls.h: before an attempt starts, and when it comes back unstarted. */
#include "worker/runner/calls.h"

#include "common/log.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include "worker/runner/blobs.h"
#include "worker/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIND(name) CASHET__OUTCOME__KIND__##name

void calls_release(struct attempt *a)
{
	sources_put(steal(a->check));
	kind_unref(steal(a->kind));
}

/* ---- those that cannot run */

static void add_log(struct worker *w, struct report *r, const char *text)
{
	size_t size = strlen(text), max = w->session.inline_max;
	uint8_t digest[DIGEST_SIZE];
	if (size > max)
		size = max;
	sha256_digest(text, size, digest);
	report_content(r, &r->err, CONTENT_FILE, digest, size);
	r->outcome.stderr_content = &r->err;
	if (size)
		report_inline(r, text, size);
}

void calls_refuse(struct worker *w, struct attempt *a, Cashet__Outcome__Kind kind,
		  const char *text)
{
	size_t first = strcspn(text, "\n");
	a->report = report_new();
	report_fail(a->report, kind, "%.*s", (int)(first < 1000 ? first : 1000), text);
	if (text[first] && text[first + 1])
		add_log(w, a->report, text);
	if (kind == KIND(INPUT_MISSING) && a->check) {
		Cashet__Outcome *o = &a->report->outcome;
		o->missing.len = DIGEST_SIZE;
		o->missing.data = memcpy(report_alloc(a->report, DIGEST_SIZE),
					 a->check->missing, DIGEST_SIZE);
	}
	finish_report(w, a);
}

static void reject(struct worker *w, struct attempt *a, const char *text)
{
	calls_refuse(w, a, KIND(REJECTED), text);
}

/* ---- the source */

/* The description says what the function is, and the unit what was shipped. */
static bool is_same(struct worker *w, struct attempt *a)
{
	const struct function *f = &a->function->f;
	const struct source_unit *u = sources_unit(a->check);
	char text[400], here[HEX_DIGEST_SIZE], there[HEX_DIGEST_SIZE];
	if (!function_is_call(f) || (!strcmp(u->language, f->language) &&
				     memcmp(u->identity, f->identity, DIGEST_SIZE) == 0))
		return true;
	snprintf(text, sizeof text,
		 "the source is not what the task names: its function %.100s (%.40s) is "
		 "%s, not %s (%.40s)",
		 u->name, u->language, hex_encode(there, u->identity, DIGEST_SIZE),
		 hex_encode(here, f->identity, DIGEST_SIZE), f->language);
	reject(w, a, text);
	return false;
}

static void take_check(struct worker *w, struct attempt *a)
{
	struct check *c = a->check;
	if (c->state == CHECK_BAD || c->state == CHECK_FAILED) {
		calls_refuse(w, a, (Cashet__Outcome__Kind)c->outcome, c->text);
	} else if (c->state != CHECK_READY && a->state == ATTEMPT_UNKNOWN) {
		attempt_become(&w->attempts, a, ATTEMPT_SOURCE);
	} else if (c->state == CHECK_READY && is_same(w, a)) {
		attempt_become(&w->attempts, a, ATTEMPT_WAITING);
		a->received_ns = w->now_ns; /* it did not wait for others until now */
	}
}

void calls_checked(struct worker *w, struct check *c)
{
	struct list *at, *next;
	list_for_each_safe (at, next, &w->attempts.lists[ATTEMPT_SOURCE]) {
		struct attempt *a = container_of(at, struct attempt, link);
		if (a->check == c && a->stop == STOP_NONE)
			take_check(w, a);
	}
}

/* ---- kinds */

static struct kind *find_kind(struct worker *w, struct attempt *a, struct err *e)
{
	struct attempt_options *o = a->options;
	const struct worker_function *f = a->function;
	if (!a->env.size && o->kind && !memcmp(o->kind_function, f->hash, DIGEST_SIZE)) {
		kind_ref(o->kind);
		return o->kind;
	}
	const struct kind_want want = {
		.function = &f->f,
		.interpreter = options_python(w->options, o->interpreter),
		.outer = a->env.size ? &a->env : &f->env,
		.outer_count = a->env.size ? a->env_count : f->env_count,
		.resources = &o->resources,
		.secrets = o->secrets,
		.secret_count = o->secret_count,
	};
	struct kind *kind = kinds_get(&w->kinds, &want, e);
	if (kind && !a->env.size) { /* its neighbours are of the same */
		kind_unref(o->kind);
		o->kind = kind;
		memcpy(o->kind_function, f->hash, DIGEST_SIZE);
		kind_ref(kind);
	}
	return kind;
}

/* All that it refers to was here a moment ago. */
static bool remembers(struct worker *w, struct attempt *a, const struct args *args)
{
	struct call_blobs *blobs = blobs_remembered(args, &w->memory);
	if (!blobs)
		return false;
	a->prepare = mem_alloc(sizeof *a->prepare);
	a->prepare->blobs = blobs;
	return true;
}

/* Return: false if it was refused. */
static bool look_at_args(struct worker *w, struct attempt *a)
{
	CLEANUP(args_fini) struct args args = {0};
	if (args_decode(a->args, a->args_size, &args) || !args.call) {
		reject(w, a, "its arguments are not those of a call");
		return false;
	}
	a->is_light = !a->checkpoint.has_content && !a->checkpoint.left_out &&
		      a->number_max <= 1 && (!args.input_count || remembers(w, a, &args));
	return true;
}

void calls_admit(struct worker *w, struct attempt *a)
{
	struct err e = {0};
	bool is_call = function_is_call(&a->function->f);
	if (!a->function->has_source) {
		reject(w, a,
		       "the broker did not send its source; is it older than the "
		       "client?");
		return;
	}
	if (is_call && !look_at_args(w, a))
		return;
	struct kind *kind = find_kind(w, a, &e);
	if (!kind) {
		reject(w, a, e.what);
		return;
	}
	a->check = sources_get(w, a->function, kind);
	if (is_call)
		a->kind = kind;
	else
		kind_unref(kind);
	take_check(w, a);
}

/* ---- those that come back */

void calls_return(struct worker *w, struct attempt *a)
{
	if (a->stop == STOP_STALE) {
		finish_forget(w, a);
		return;
	}
	attempt_become(&w->attempts, a, a->prepare ? ATTEMPT_PREPARED : ATTEMPT_WAITING);
	list_del(&a->link); /* it was there before the others */
	list_add(&w->attempts.lists[ATTEMPT_WAITING], &a->link);
	if (a->stop == STOP_REVOKED)
		finish_unstarted(w, a, KIND(STOPPED), "stopped");
	else if (a->stop == STOP_DRAIN)
		buf_add(&w->back, &a->lease.epoch, sizeof a->lease.epoch);
}

/* What it printed stands in its runner's files. */
static void take_logs(struct runner *r, struct attempt *a)
{
	if (!a->dir) {
		a->dir = steal(r->dir);
		return;
	}
	for (int i = DIR_OUT; r->dir && i <= DIR_ERR; i++)
		if (rename(r->dir->paths[i], a->dir->paths[i]) < 0)
			log_warn("a call's log is lost", "path=%s", r->dir->paths[i]);
}

void calls_died(struct worker *w, struct runner *r, struct attempt *a, const char *fault,
		const struct slot_report *report)
{
	struct slot_report s = *report;
	if (a->state ==
	    ATTEMPT_SENT) { /* the runner did not get to it; it is the reason */
		attempt_become(&w->attempts, a, ATTEMPT_RUNNING);
		a->started_ns = w->now_ns;
	}
	s.duration_ns = w->now_ns - a->started_ns;
	s.cpu_user_ns = s.cpu_system_ns = 0; /* of all its calls */
	if (fault) {
		free(a->fault);
		a->fault = mem_strdup(fault);
	}
	take_logs(r, a);
	finish_ended_call(w, a, &s);
}

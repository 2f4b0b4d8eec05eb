/* schedule.c - which attempt starts when, and how one is stopped; see worker.h.
 *
 * First come, first served, but a small task may pass a large one that does not fit yet: until the
 * large one has waited PASSING_NS, then everything waits for it. */
#include "worker/worker.h"

#include "common/log.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"
#include "common/task/environment.h"
#include "worker/runner/blobs.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PASSING_NS (2 * NS_PER_S)
#define LOOK_AHEAD 64 /* waiting attempts that are looked at in a round */
#define PASSED_MAX 32 /* kinds of attempts that do not fit, before we stop looking */
#define HAND_BACK_AFTER_NS (500 * NS_PER_MS)
#define STARTING_MAX 16

/* ---- preparing */

static bool take_dir(struct worker *w, struct attempt *a)
{
	int rc = dirs_take(&w->dirs, &a->dir);
	if (rc == 0)
		return true;
	a->dir = NULL;
	if (rc == -ENOSPC || rc == -EDQUOT)
		worker_disk_full(w, "making a task's directory");
	else
		finish_unstarted(w, a, CASHET__OUTCOME__KIND__LOST,
				 "this worker cannot make a directory in %s: %s",
				 w->options->work_dir, strerror(-rc));
	return false;
}

static struct prepare *new_prepare(struct worker *w, struct attempt *a)
{
	struct prepare *p = mem_alloc(sizeof *p);
	p->owner = a;
	p->function = &a->function->f;
	p->args = a->args;
	p->args_size = a->args_size;
	p->externs = a->options->externs;
	p->extern_count = a->options->extern_count;
	p->secrets = (struct secrets_want){
		.names = a->options->secrets,
		.count = a->options->secret_count,
		.worker = w->options->name,
		.files_only = w->options->is_private,
	};
	p->cwd = a->dir->paths[DIR_TASK];
	p->out = a->dir->paths[DIR_OUT];
	p->err = a->dir->paths[DIR_ERR];
	p->checkpoint_dir = a->dir->paths[DIR_CHECKPOINT];
	p->checkpoint = a->checkpoint.has_content ? a->checkpoint.digest : NULL;
	p->checkpoint_left_out = a->checkpoint.left_out;
	p->cache = w->cache;
	p->is_call = a->kind;
	if (a->check)
		p->shipped = &a->check->place->source;
	return p;
}

static void hand_back(struct worker *w, struct attempt *a)
{
	a->stop = STOP_DRAIN;
	buf_add(&w->back, &a->lease.epoch, sizeof a->lease.epoch);
}

/* What preparing came to, if not to a task that is ready. */
static void prepare_failed(struct worker *w, struct attempt *a)
{
	const struct prepare *p = a->prepare;
	char hex[HEX_DIGEST_SIZE];
	switch (p->result) {
	case LAYOUT_OK:
		break;
	case LAYOUT_MISSING:
		finish_unstarted(w, a, CASHET__OUTCOME__KIND__INPUT_MISSING,
				 "the store does not have blob %s",
				 hex_encode(hex, p->missing, DIGEST_SIZE));
		break;
	case LAYOUT_BAD:
		finish_unstarted(w, a, CASHET__OUTCOME__KIND__REJECTED, "%s",
				 p->error.what);
		break;
	case LAYOUT_ABSENT:
		finish_unstarted(w, a, CASHET__OUTCOME__KIND__FAILED, "%s",
				 p->error.what);
		break;
	case LAYOUT_FULL:
		worker_disk_full(w, p->error.what);
		finish_unstarted(w, a, CASHET__OUTCOME__KIND__NO_ROOM,
				 "the worker's disk is full: %s", p->error.what);
		break;
	case LAYOUT_CANCELLED:
	case LAYOUT_ERROR:
		finish_unstarted(w, a, CASHET__OUTCOME__KIND__LOST, "%s", p->error.what);
		break;
	}
}

static void prepared(struct job *job, void *owner)
{
	struct worker *w = owner;
	struct prepare *p = container_of(job, struct prepare, job);
	struct attempt *a = p->owner;
	attempt_become(&w->attempts, a, ATTEMPT_PREPARED);
	if (a->stop == STOP_STALE)
		finish_forget(w, a);
	else if (a->stop == STOP_REVOKED)
		finish_unstarted(w, a, CASHET__OUTCOME__KIND__STOPPED, "stopped");
	else if (p->result == LAYOUT_CANCELLED)
		hand_back(w, a);
	else if (p->result != LAYOUT_OK)
		prepare_failed(w, a);
	else if (p->blobs)
		blobs_remember(p->blobs, &w->memory);
}

static void begin_prepare(struct worker *w, struct attempt *a)
{
	if (!take_dir(w, a))
		return;
	dir_mark_start(a->dir);
	a->prepare = new_prepare(w, a);
	attempt_become(&w->attempts, a, ATTEMPT_PREPARING);
	prepare_submit(a->prepare, w->jobs, prepared);
}

/* ---- starting */

static void complete_env(struct worker *w, struct attempt *a)
{
	struct prepare *p = a->prepare;
	char devices[512];
	const struct buf *outer = a->env.size ? &a->env : &a->function->env;
	buf_add(&p->strings, outer->data, outer->size);
	p->envc += a->env.size ? a->env_count : a->function->env_count;
	if (a->grant.has_gpus)
		grant_devices(&w->capacity, &a->grant, devices, sizeof devices);
	const struct environment_task task = {
		.tmp = a->dir->paths[DIR_TMP],
		.checkpoint = a->dir->paths[DIR_CHECKPOINT],
		.name = a->name,
		.batch = a->lease.batch,
		.index = a->lease.index,
		.attempt = a->number,
		.devices = a->grant.has_gpus ? devices : NULL,
	};
	environment_add_task(&p->strings, &p->envc, p->function, &task);
}

static void give_back_grant(struct worker *w, struct attempt *a)
{
	if (a->has_grant)
		capacity_give(&w->capacity, &a->grant);
	a->has_grant = false;
}

/* Its resources are taken and a slot is idle. */
static void start(struct worker *w, struct attempt *a)
{
	if (a->state == ATTEMPT_WAITING) {
		if (!take_dir(w, a)) {
			give_back_grant(w, a);
			return;
		}
		dir_mark_start(a->dir);
		a->prepare = new_prepare(w, a);
		prepare_plain(a->prepare);
		if (a->prepare->result != LAYOUT_OK) {
			give_back_grant(w, a);
			prepare_failed(w, a);
			return;
		}
	}
	complete_env(w, a);
	struct slot *slot = slots_take(&w->slots, a, NULL);
	a->slot = slot;
	a->run = ++w->run_count;
	a->started_ns = w->now_ns;
	attempt_become(&w->attempts, a, ATTEMPT_RUNNING);
	a->kill_ns = TIME_NEVER;
	const struct buf *strings = &a->prepare->strings;
	const struct slot_program program = {
		.argc = a->prepare->argc,
		.envc = a->prepare->envc,
		.strings = strings->data,
		.size = strings->size,
		.memory_max = resources_get(&a->options->resources, "memory"),
		.channel = -1,
	};
	int rc = slot_send_run(slot->sock, a->run, &program);
	prepare_forget_secrets(a->prepare);
	if (rc == -EPIPE || rc == -ECONNRESET || rc == -ENOTCONN) {
		slots_broken(&w->slots, slot); /* the spawner will tell when it is gone */
		return;
	}
	if (rc < 0) {
		struct slot_report failed = {.step = SLOT_STEP_REQUEST, .error = -rc};
		finish_run(w, a, &failed);
	}
}

struct pass {		 /* one look at those that wait */
	bool closed;	 /* nothing more can start */
	uint32_t passed; /* that did not fit */
	const struct resources
		*unfit; /* of the last of them: its equals need not be tried */
	const struct kind *unfit_kind; /* of calls */
};

static void not_now(struct worker *w, struct attempt *a, struct pass *pass)
{
	pass->closed =
		++pass->passed >= PASSED_MAX || w->now_ns - a->received_ns >= PASSING_NS;
}

static void try_call(struct worker *w, struct attempt *a, struct pass *pass)
{
	if (pass->unfit_kind == a->kind)
		return;
	const char *never = capacity_never(&w->capacity, &a->kind->resources);
	if (never) {
		finish_unstarted(w, a, CASHET__OUTCOME__KIND__LOST,
				 "it asks for more %s than this worker has", never);
		return;
	}
	switch (pool_give(w, a)) {
	case POOL_TAKEN:
		return;
	case POOL_NO_ROOM:
		pass->unfit_kind = a->kind;
		not_now(w, a, pass);
		return;
	case POOL_NO_SLOT:
		if (w->slots.starting < STARTING_MAX)
			pool_request_slot(w);
		pass->closed = true;
		return;
	}
}

static void try_start(struct worker *w, struct attempt *a, struct pass *pass)
{
	const struct resources *want = &a->options->resources;
	if (a->kind) {
		try_call(w, a, pass);
		return;
	}
	if (pass->unfit && resources_equal(pass->unfit, want))
		return;
	const char *never = capacity_never(&w->capacity, want);
	if (never) {
		finish_unstarted(w, a, CASHET__OUTCOME__KIND__LOST,
				 "it asks for more %s than this worker has", never);
		return;
	}
	if (!capacity_take(&w->capacity, want, &a->grant)) {
		pass->unfit = want;
		not_now(w, a, pass);
		return;
	}
	a->has_grant = true;
	if (w->slots.idle) {
		pool_make_room(w, want);
		start(w, a);
		return;
	}
	give_back_grant(w, a);
	if (w->slots.starting < STARTING_MAX)
		pool_request_slot(w);
	pass->closed = true;
}

void schedule_start(struct worker *w)
{
	if (w->drain != DRAIN_NONE || w->is_full || w->spawner_died)
		return;
	uint64_t cpus = resources_get(&w->capacity.total, "cpus") / 1000;
	uint32_t ahead = (uint32_t)(cpus < 2 ? 2 : cpus) * 2;
	sources_start(w);
	const size_t *counts = w->attempts.counts;
	struct pass pass = {0};
	int looked = 0;
	struct list *at, *next;
	list_for_each_safe (at, next, &w->attempts.lists[ATTEMPT_WAITING]) {
		struct attempt *a = container_of(at, struct attempt, link);
		if (looked > LOOK_AHEAD || w->is_full)
			break;
		looked++;
		if (a->state == ATTEMPT_PREPARING || a->stop != STOP_NONE)
			continue;
		bool plain = attempt_is_plain(a);
		if (a->state == ATTEMPT_WAITING && !plain) {
			if (counts[ATTEMPT_PREPARING] + counts[ATTEMPT_PREPARED] < ahead)
				begin_prepare(w, a);
			continue;
		}
		if (!pass.closed) {
			size_t waiting =
				counts[ATTEMPT_WAITING] + counts[ATTEMPT_PREPARED];
			try_start(w, a, &pass);
			/* Those that started are not in the way of others. */
			looked -= counts[ATTEMPT_WAITING] + counts[ATTEMPT_PREPARED] <
				  waiting;
		}
		if (pass.closed &&
		    counts[ATTEMPT_PREPARING] + counts[ATTEMPT_PREPARED] >= ahead)
			break;
	}
	pool_flush(w);
}

/* ---- stopping */

/* The tree in which it runs; of a call, the runner's. Return: false if there is none (any more). */
static bool send_signal(struct attempt *a, int signal)
{
	struct slot *slot = a->runner ? a->runner->user.slot : a->slot;
	if (!slot || slot->sock < 0)
		return false;
	slot_send_signal(slot->sock, a->runner ? a->runner->user.run : a->run, signal);
	return true;
}

void schedule_signal_stop(struct worker *w, struct attempt *a)
{
	if (!send_signal(a, SIGTERM))
		return;
	if (a->runner)
		runner_condemn(a->runner, a);
	a->stopped_ns = w->now_ns;
	a->kill_ns = w->now_ns + a->options->grace_ns;
}

void schedule_stop(struct worker *w, struct attempt *a, enum attempt_stop why)
{
	bool first = a->stop == STOP_NONE;
	if (why > a->stop)
		a->stop = why;
	switch (a->state) {
	case ATTEMPT_UNKNOWN:
	case ATTEMPT_SOURCE:
	case ATTEMPT_WAITING:
	case ATTEMPT_PREPARED:
		if (a->stop == STOP_STALE)
			finish_forget(w, a);
		else if (a->stop == STOP_REVOKED)
			finish_unstarted(w, a, CASHET__OUTCOME__KIND__STOPPED, "stopped");
		else if (first)
			hand_back(w, a);
		return;
	case ATTEMPT_PREPARING:
		atomic_store(&a->prepare->job.cancelled, true);
		return;
	case ATTEMPT_SENT: /* it is stopped when its turn has come; soon, or it would not wait */
		if (!a->runner->was_ready)
			runner_kill(w, a->runner, NULL);
		return;
	case ATTEMPT_RUNNING:
		if (first)
			schedule_signal_stop(w, a);
		return;
	case ATTEMPT_COLLECTING:
	case ATTEMPT_DONE: /* it had ended already; its result says so */
		if (a->stop != STOP_STALE)
			return;
		if (a->state == ATTEMPT_DONE)
			finish_forget(w, a);
		else
			atomic_store(&a->upload->job.cancelled, true);
		return;
	case ATTEMPT_STATES:
		break;
	}
	assert(false);
}

/* Return: when @a wants to be looked at again. */
static uint64_t check_limits(struct worker *w, struct attempt *a)
{
	const struct attempt_options *o = a->options;
	if (a->stop == STOP_NONE) {
		if (!o->timeout_ns || o->timeout_ns >= TIME_NEVER - a->started_ns)
			return TIME_NEVER;
		if (w->now_ns < a->started_ns + o->timeout_ns)
			return a->started_ns + o->timeout_ns;
		schedule_stop(w, a, STOP_TIMEOUT);
		return a->kill_ns;
	}
	if (w->now_ns < a->kill_ns)
		return a->kill_ns;
	if (!send_signal(a, SIGKILL))
		return TIME_NEVER;
	if (w->now_ns - a->stopped_ns > o->grace_ns + 10 * NS_PER_S)
		log_warn("a task does not die", "task=%s epoch=%" PRIu64, a->name,
			 a->lease.epoch);
	a->kill_ns = w->now_ns + NS_PER_S; /* again: what was born meanwhile dies too */
	return a->kill_ns;
}

uint64_t schedule_timers(struct worker *w)
{
	uint64_t next_ns = TIME_NEVER;
	struct list *at, *next;
	list_for_each_safe (at, next, &w->attempts.lists[ATTEMPT_RUNNING]) {
		struct attempt *a = container_of(at, struct attempt, link);
		uint64_t due_ns = check_limits(w, a);
		if (due_ns < next_ns)
			next_ns = due_ns;
	}
	return next_ns;
}

static bool waits_too_long(const struct worker *w, const struct attempt *a)
{
	return (a->state == ATTEMPT_WAITING || a->state == ATTEMPT_PREPARED) &&
	       w->now_ns - a->received_ns >= HAND_BACK_AFTER_NS;
}

void schedule_hand_back(struct worker *w, bool all)
{
	uint32_t keep = all ? 0 : present_credit(w);
	struct list *at;
	for (int state = ATTEMPT_UNKNOWN; state <= ATTEMPT_WAITING; state++) {
		list_for_each (at, &w->attempts.lists[state]) {
			struct attempt *a = container_of(at, struct attempt, link);
			if (a->stop != STOP_NONE)
				continue; /* answered already */
			if (!all && (keep || !waits_too_long(w, a))) {
				keep -= keep > 0;
				continue;
			}
			if (a->state == ATTEMPT_PREPARING)
				atomic_store(&a->prepare->job.cancelled, true);
			else
				hand_back(w, a);
		}
	}
}

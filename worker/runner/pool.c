/* pool.c - see pool.h. */
#include "worker/runner/pool.h"

#include "common/log.h"
#include "common/pure/mem.h"
#include "worker/runner/calls.h"
#include "worker/runner/program.h"
#include "worker/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define STARTING_MAX 16
#define ENDED_NS NS_PER_S /* from the end of the stream to that of the process */
#define RUNNER_CLOSED                                                                    \
	"the function closed a descriptor that is not its own: the runner's channel"
/* Of a runner: */
#define EXIT_MALFORMED 70 /* a frame that is not as it should be; its log says which */
#define EXIT_STALE 71	  /* it can serve no more calls as a fresh one */
#define EXIT_CLOSED 72	  /* the call has closed its channel */

void pool_init(struct pool *p)
{
	*p = (struct pool){.alive = 0};
	list_init(&p->runners);
}

/* ---- the end of a runner */

void runner_free(struct worker *w, struct runner *r)
{
	assert(r->call_count == 0 && !r->has_grant && !r->start);
	list_del(&r->link);
	w->pool.items[r->number] = NULL;
	w->pool.alive--;
	if (!r->was_ready)
		w->pool.starting--;
	if (r->state == RUNNER_READY)
		w->pool.idle--;
	if (r->sock >= 0)
		close(r->sock);
	if (r->dir)
		finish_clean_dir(w, steal(r->dir));
	kind_unref(r->kind);
	buf_fini(&r->in);
	buf_fini(&r->out);
	free(r->marks);
	free(r->fault);
	free(r);
}

static const char *fault_of(const struct runner *r, const struct slot_report *s,
			    char *text, size_t size)
{
	const char *language = r->kind->language;
	if (r->fault)
		return r->fault;
	if (s->over_bytes || (r->condemned && r->was_ready))
		return NULL; /* said by others */
	if (s->step == SLOT_STEP_EXEC)
		snprintf(text, size, "cashet-runner-%s cannot be started: %s", language,
			 strerror(s->error));
	else if (s->step)
		return NULL;
	else if (!r->was_ready && WIFEXITED(s->status))
		snprintf(text, size, "cashet-runner-%s did not start: exit %d", language,
			 WEXITSTATUS(s->status));
	else if (!r->was_ready)
		snprintf(text, size,
			 "cashet-runner-%s did not start: killed by signal %d", language,
			 WTERMSIG(s->status));
	else if (WIFEXITED(s->status) && WEXITSTATUS(s->status) == EXIT_MALFORMED)
		snprintf(text, size, "cashet-runner-%s does not understand the call",
			 language);
	else if (WIFEXITED(s->status) && WEXITSTATUS(s->status) == EXIT_CLOSED)
		return RUNNER_CLOSED;
	else
		return NULL;
	return text;
}

/* What its calls come to. The oldest one is the one that it died of, unless that was another's doing. */
static void settle(struct worker *w, struct runner *r, const struct slot_report *s)
{
	struct attempt *oldest = runner_oldest(r);
	bool stale = !s->step && WIFEXITED(s->status) &&
		     WEXITSTATUS(s->status) == EXIT_STALE && r->answered && !r->fault &&
		     !r->condemned;
	bool other = r->condemned && oldest && oldest->lease.epoch != r->condemned;
	char text[200];
	if (oldest && !stale && !other) {
		runner_detach(w, r, oldest);
		calls_died(w, r, oldest, fault_of(r, s, text, sizeof text), s);
	}
	while (!list_empty(&r->calls)) { /* the youngest first: each goes to the front */
		struct attempt *a =
			container_of(r->calls.prev, struct attempt, call_link);
		runner_detach(w, r, a);
		calls_return(w, a);
	}
}

void runner_end(struct worker *w, struct runner *r, const struct slot_report *s)
{
	settle(w, r, s);
	runner_free(w, r);
}

/* ---- choosing */

struct choice {
	struct runner *idle, *ahead;
};

/* Whether a call that takes @expected_ns may wait behind what it has. What is under way counts as long as it
 * is old: nothing waits behind a call that takes long. */
static bool has_room(const struct worker *w, const struct runner *r, uint64_t expected_ns)
{
	const struct attempt *a = runner_oldest(r);
	if (!expected_ns || r->call_count >= POOL_DEPTH_MAX || !a ||
	    a->state != ATTEMPT_RUNNING)
		return false;
	uint64_t age_ns = w->now_ns - a->started_ns;
	uint64_t queued_ns = r->queued_ns > age_ns ? r->queued_ns : age_ns;
	return queued_ns + expected_ns <= POOL_AHEAD_NS;
}

static struct choice choose(struct worker *w, const struct attempt *a)
{
	struct choice c = {0};
	uint64_t expected_ns = pace_ns(&a->function->pace);
	struct list *at;
	list_for_each (at, &w->pool.runners) {
		struct runner *r = container_of(at, struct runner, link);
		if (r->kind != a->kind)
			continue;
		if (r->state == RUNNER_READY && !c.idle)
			c.idle = r;
		else if (r->state == RUNNER_BUSY && has_room(w, r, expected_ns) &&
			 (!c.ahead || r->call_count < c.ahead->call_count))
			c.ahead = r;
	}
	return c;
}

/* An idle runner takes up its work again, on the devices that it was started with. */
static bool wake_up(struct worker *w, struct runner *r)
{
	char devices[sizeof r->devices] = "";
	if (!capacity_take(&w->capacity, &r->kind->resources, &r->grant))
		return false;
	r->has_grant = true;
	if (r->grant.has_gpus)
		grant_devices(&w->capacity, &r->grant, devices, sizeof devices);
	if (strcmp(devices, r->devices) == 0)
		return true;
	capacity_give(&w->capacity, &r->grant);
	r->has_grant = false;
	return false;
}

static struct runner *idle_with_devices(struct worker *w, const struct kind *kind)
{
	struct list *at;
	list_for_each (at, &w->pool.runners) {
		struct runner *r = container_of(at, struct runner, link);
		if (r->kind == kind && r->state == RUNNER_READY && wake_up(w, r))
			return r;
	}
	return NULL;
}

static enum pool_answer start_one(struct worker *w, struct attempt *a,
				  const struct grant *grant)
{
	struct err e = {0};
	struct grant g = *grant;
	struct runner *r = NULL;
	CLEANUP_FREE char *program = program_find(a->kind->language, &e);
	if (!program) {
		capacity_give(&w->capacity, &g);
		calls_refuse(w, a, CASHET__OUTCOME__KIND__FAILED, e.what);
		return POOL_TAKEN;
	}
	int rc = runner_start(w, a->kind, grant, program, &r);
	if (rc < 0) {
		capacity_give(&w->capacity, &g);
		if (rc == -ENOSPC || rc == -EDQUOT) {
			worker_disk_full(w, "starting a runner");
			return POOL_NO_ROOM;
		}
		finish_unstarted(w, a, CASHET__OUTCOME__KIND__LOST,
				 "this worker cannot start a runner in %s: %s",
				 w->options->work_dir, strerror(-rc));
		return POOL_TAKEN;
	}
	runner_call(w, r, a);
	if (!a->kind->secret_count)
		runner_launch(w, r);
	return POOL_TAKEN;
}

enum pool_answer pool_give(struct worker *w, struct attempt *a)
{
	struct choice c = choose(w, a);
	struct grant grant;
	struct runner *idle = c.idle ? idle_with_devices(w, a->kind) : NULL;
	if (idle) {
		runner_call(w, idle, a);
		return POOL_TAKEN;
	}
	if (!capacity_take(&w->capacity, &a->kind->resources, &grant)) {
		if (!c.ahead)
			return POOL_NO_ROOM;
		runner_call(w, c.ahead, a);
		return POOL_TAKEN;
	}
	if (w->slots.idle && w->pool.starting < STARTING_MAX) {
		pool_make_room(w, &a->kind->resources);
		return start_one(w, a, &grant);
	}
	capacity_give(&w->capacity, &grant);
	if (c.ahead) {
		runner_call(w, c.ahead, a);
		return POOL_TAKEN;
	}
	return w->slots.idle ? POOL_NO_ROOM : POOL_NO_SLOT;
}

/* ---- idle ones */

static void quit(struct worker *w, struct runner *r)
{
	if (r->state != RUNNER_READY)
		return;
	frame_add_quit(&r->out);
	runner_flush(w, r);
	w->pool.idle--;
	r->state = RUNNER_DYING;
	r->quit_ns = w->now_ns;
}

static struct runner *longest_idle(const struct pool *p)
{
	struct runner *best = NULL;
	struct list *at;
	list_for_each (at, &p->runners) {
		struct runner *r = container_of(at, struct runner, link);
		if (r->state == RUNNER_READY && (!best || r->since_ns < best->since_ns))
			best = r;
	}
	return best;
}

static uint64_t idle_memory(const struct pool *p)
{
	uint64_t sum = 0;
	struct list *at;
	list_for_each (at, &p->runners) {
		struct runner *r = container_of(at, struct runner, link);
		if (r->state == RUNNER_READY)
			sum += resources_get(&r->kind->resources, "memory");
	}
	return sum;
}

void pool_request_slot(struct worker *w)
{
	struct runner *r;
	if (!slots_request(&w->slots) && (r = longest_idle(&w->pool)))
		quit(w, r);
}

void pool_make_room(struct worker *w, const struct resources *want)
{
	uint64_t cpus = resources_get(&w->capacity.total, "cpus") / 1000;
	uint64_t total = resources_get(&w->capacity.total, "memory");
	uint64_t used = resources_get(&w->capacity.used, "memory");
	struct runner *r;
	while (w->pool.idle > 2 * cpus + 2 && (r = longest_idle(&w->pool)))
		quit(w, r);
	/* @want is among what is used. */
	while (resources_get(want, "memory") && w->pool.idle &&
	       used + idle_memory(&w->pool) > total && (r = longest_idle(&w->pool)))
		quit(w, r);
}

void pool_quit(struct worker *w)
{
	struct list *at, *next;
	list_for_each_safe (at, next, &w->pool.runners)
		quit(w, container_of(at, struct runner, link));
}

/* Return: when to look again. */
static uint64_t check(struct worker *w, struct runner *r)
{
	uint64_t due_ns;
	switch (r->state) {
	case RUNNER_STARTING:
		if (w->now_ns - r->since_ns < POOL_START_NS)
			return r->since_ns + POOL_START_NS;
		runner_kill(w, r, "the runner did not get ready within 120 s");
		return TIME_NEVER;
	case RUNNER_READY:
		if (r->pinged_ns && w->now_ns - r->pinged_ns >= POOL_PONG_NS) {
			runner_kill(w, r, "the runner does not answer any more");
			return TIME_NEVER;
		}
		if (w->now_ns - r->since_ns >= POOL_IDLE_NS || r->kind->secret_count) {
			quit(w, r);
			return TIME_NEVER;
		}
		if (r->pinged_ns)
			return r->pinged_ns + POOL_PONG_NS;
		due_ns = (r->heard_ns > r->since_ns ? r->heard_ns : r->since_ns) +
			 POOL_PING_NS;
		if (w->now_ns < due_ns)
			return due_ns;
		runner_ping(w, r);
		return r->pinged_ns + POOL_PONG_NS;
	case RUNNER_BUSY:
		return TIME_NEVER;
	case RUNNER_DYING:
		due_ns = (r->quit_ns ? r->quit_ns : r->ended_ns) + ENDED_NS;
		if (due_ns == ENDED_NS || r->fault || !r->user.slot)
			return TIME_NEVER;
		if (w->now_ns < due_ns)
			return due_ns;
		runner_kill(w, r,
			    r->quit_ns ? "the runner does not quit" : RUNNER_CLOSED);
		return TIME_NEVER;
	}
	return TIME_NEVER;
}

uint64_t pool_timers(struct worker *w)
{
	uint64_t next_ns = TIME_NEVER;
	struct list *at, *next;
	list_for_each_safe (at, next, &w->pool.runners) {
		uint64_t due_ns = check(w, container_of(at, struct runner, link));
		if (due_ns < next_ns)
			next_ns = due_ns;
	}
	pool_flush(w);
	return next_ns;
}

void pool_flush(struct worker *w)
{
	struct list *at;
	list_for_each (at, &w->pool.runners) {
		struct runner *r = container_of(at, struct runner, link);
		if (r->out.size && !r->waits_for_room)
			runner_flush(w, r);
	}
}

bool pool_is_deep(const struct pool *p)
{
	bool deep = false;
	struct list *at;
	list_for_each (at, &p->runners) {
		const struct runner *r = container_of(at, struct runner, link);
		if (r->state != RUNNER_BUSY)
			continue;
		if (r->call_count < POOL_DEEP)
			return false;
		deep = true;
	}
	return deep;
}

void pool_readable(struct worker *w, uint32_t number)
{
	struct runner *r = number < w->pool.count ? w->pool.items[number] : NULL;
	if (!r || r->ended_ns)
		return;
	runner_read(w, r);
	if (r->waits_for_room)
		runner_flush(w, r);
}

void pool_fini(struct worker *w)
{
	while (!list_empty(&w->pool.runners)) {
		struct runner *r =
			container_of(w->pool.runners.next, struct runner, link);
		while (!list_empty(&r->calls))
			runner_detach(w, r, runner_oldest(r));
		r->start = NULL;
		if (r->has_grant)
			capacity_give(&w->capacity, &r->grant);
		r->has_grant = false;
		if (r->dir)
			dir_drop(steal(r->dir));
		runner_free(w, r);
	}
}

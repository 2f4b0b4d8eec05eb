/* oracle_end.c - when faults have stopped: healthy workers come back, nothing ready waits beside an
 * idle worker, and in the end everything is what a naive model says that it must be. */
#include "tests/sim/oracle.h"

#include <stdlib.h>
#include <string.h>

#define WAITS_TOO_LONG 25 /* checks; a retry may wait for 30 s */
#define CPUS_MOST 1500	  /* that a task asks for */

/* ---- calm ---- */

static void check_workers(struct sim *s)
{
	for (uint32_t i = 0; i < s->worker_count; i++) {
		const struct sim_worker *w = &s->workers[i];
		struct core_worker_view view;

		bool back = w->up && s->session[i] == w->session &&
			    !core_view_worker(s->core, s->number[i], &view) &&
			    !view.silent;

		s->away[i] = back ? 0 : s->away[i] + 1;
		if (s->away[i] > 1) /* once, while it says hello again */
			broken(s, "worker %u is healthy and not back", i);
		if (back && view.used[0] + CPUS_MOST <= w->cpus &&
		    view.used[1] + SIM_TOKENS_MOST <= w->tokens)
			s->idle[i]++;
		else
			s->idle[i] = 0;
	}
}

/* Also what is over and is being made again counts against its batch. */
static bool has_attempts(const struct sim *s, const struct sim_batch *b)
{
	for (uint32_t i = 0; i < s->worker_count; i++)
		for (uint32_t k = 0; k < s->workers[i].held_count; k++)
			if (&s->batches[s->workers[i].held[k].assignment.batch] == b)
				return true;
	return false;
}

static bool may_wait(const struct sim *s, const struct sim_batch *b,
		     const struct core_batch_view *view)
{
	return view->paused || view->ended || (b->max_parallel && has_attempts(s, b));
}

/* For how long a worker has been idle that could have been asked. */
static uint32_t most_idle(struct sim *s, const struct sim_task *t,
			  const struct core_task_view *task)
{
	const struct print *p =
		oracle_print(s->oracle, task->func_hash, task->args_hash, t->spec.nonce);
	uint32_t most = 0;

	for (uint32_t i = 0; i < s->worker_count; i++)
		if (!oracle_is_refused(s, p, i) && s->idle[i] > most)
			most = s->idle[i];
	return most;
}

static void check_batch(struct sim *s, struct sim_batch *b)
{
	struct core_batch_view view;

	if (!b->number || !b->sealed || core_view_batch(s->core, b->number, &view))
		return;
	for (uint32_t i = 0; i < b->task_count; i++) {
		struct core_task_view task;

		if (oracle_fate(s, (uint32_t)(b - s->batches), i, false)->ended)
			continue;
		if (may_wait(s, b, &view) ||
		    core_view_task(s->core, b->number, i, &task) ||
		    task.status != CORE_READY || task.epoch)
			b->tasks[i].waits = 0;
		else
			b->tasks[i].waits++;
		if (b->tasks[i].waits >= WAITS_TOO_LONG &&
		    most_idle(s, &b->tasks[i], &task) >= WAITS_TOO_LONG)
			broken(s, "task %u:%u is ready, and a worker is idle",
			       (uint32_t)(b - s->batches), i);
	}
}

void oracle_calm(struct sim *s)
{
	if (!s->broker_up)
		broken(s, "the broker is not back");
	check_workers(s);
	for (uint32_t i = 0; i < s->batch_count; i++)
		check_batch(s, &s->batches[i]);
}

/* ---- the end ---- */

enum guess { GUESS_COMPLETED, GUESS_FAILED, GUESS_SKIPPED, GUESS_UNKNOWN };

static enum guess worse(enum guess a, enum guess upstream)
{
	if (a == GUESS_SKIPPED || upstream == GUESS_FAILED || upstream == GUESS_SKIPPED)
		return GUESS_SKIPPED;
	return upstream == GUESS_UNKNOWN ? GUESS_UNKNOWN : a;
}

static enum guess guess_inputs(const struct sim_batch *b, const struct sim_task *t,
			       const uint8_t *known)
{
	enum guess g = GUESS_COMPLETED;

	for (uint32_t k = 0; k < t->spec.need_count; k++)
		g = worse(g, known[t->needs[k]]);
	for (uint32_t k = 0; k < t->spec.ref_count; k++) {
		const struct core_ref *ref = &t->refs[k];

		if (!ref->is_group) {
			g = worse(g, known[ref->target]);
			continue;
		}
		const struct core_group *group = &b->groups[ref->target];

		for (uint32_t n = 0; n < group->range_count; n++)
			for (uint32_t m = 0;
			     m < group->ranges[n].count && !group->skip_failed; m++)
				g = worse(g, known[group->ranges[n].first + m]);
	}
	return g;
}

static enum guess guess(const struct sim_batch *b, uint32_t i, const uint8_t *known)
{
	const struct sim_task *t = &b->tasks[i];
	enum guess g = guess_inputs(b, t, known);

	if (g != GUESS_COMPLETED)
		return g;
	switch (b->kinds[t->spec.function]) {
	case KIND_GOOD:
	case KIND_SLOW:
	case KIND_CHANGING:
		return GUESS_COMPLETED;
	case KIND_BAD:
		return GUESS_FAILED;
	case KIND_FLAKY:
	case KIND_POISON:
		return GUESS_UNKNOWN;
	}
	return GUESS_UNKNOWN;
}

/* Accidents that the model does not foresee; that they were allowed was checked as they happened. */
static bool by_accident(struct sim *s, uint32_t b, const struct fate *f)
{
	const struct record *c = ledger_commit(s, f->commit);

	if (f->status == CORE_FAILED)
		return c->quarantined || c->lost_input;
	return f->status == CORE_SKIPPED &&
	       oracle_fate(s, b, f->upstream, true)->status == CORE_COMPLETED;
}

static void check_end(struct sim *s, uint32_t b)
{
	static const enum core_task_status want[] = {CORE_COMPLETED, CORE_FAILED,
						     CORE_SKIPPED};
	const struct sim_batch *batch = &s->batches[b];
	uint8_t *known = mem_alloc(batch->task_count);
	bool forward = batch->task_count > 1 && batch->tasks[0].spec.ref_count &&
		       batch->tasks[0].refs[0].target == 1;

	for (uint32_t n = 0; n < batch->task_count; n++) {
		uint32_t i = forward ? batch->task_count - 1 - n : n;
		const struct fate *f = oracle_fate(s, b, i, true);

		if (!f->ended)
			broken(s, "task %u:%u of an accepted batch never ended", b, i);
		known[i] = (uint8_t)guess(batch, i, known);
		if (by_accident(s, b, f))
			known[i] = GUESS_UNKNOWN;
		if (batch->cancelled || batch->max_failures || known[i] == GUESS_UNKNOWN)
			continue;
		if (f->status != want[known[i]])
			broken(s, "task %u:%u is %s and must be %s", b, i,
			       status_names[f->status], status_names[want[known[i]]]);
	}
	free(known);
}

void oracle_end(struct sim *s)
{
	for (uint32_t b = 0; b < s->batch_count; b++)
		if (oracle_sealed(s, b) && !s->batches[b].bad)
			check_end(s, b);
}

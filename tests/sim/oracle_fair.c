/* oracle_fair.c - a request that waits for room is not passed over for ever: on at least one of the
 * workers (each can hold any task) others get something only so many times before it does. The same
 * for an assignment that waits on a worker: only so many that came later start before it does.
 * Higher priorities may pass as often as they like. */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

#define TASKS_MAX 60  /* of a batch that is looked at */
#define PASSED_MAX 20 /* several requests wait in turn, each may be passed over */
#define CREDIT_LEFT 8 /* that a worker may have given before */

struct passed {
	uint16_t by[SIM_WORKERS_MAX];
};

struct fairness {
	struct passed **batches; /* NULL: too large */
};

struct fairness *fair_new(const struct sim *s)
{
	struct fairness *f = mem_alloc(sizeof *f);

	f->batches = mem_alloc(s->batch_count * sizeof *f->batches);
	for (uint32_t i = 0; i < s->batch_count; i++)
		if (s->batches[i].task_count <= TASKS_MAX)
			f->batches[i] =
				mem_alloc(s->batches[i].task_count * sizeof **f->batches);
	return f;
}

void fair_free(struct fairness *f, const struct sim *s)
{
	for (uint32_t i = 0; i < s->batch_count; i++)
		free(f->batches[i]);
	free(f->batches);
	free(f);
}

void fair_reset(struct sim *s)
{
	oracle_rooms_reset(s);
	for (uint32_t i = 0; s->fairness && i < s->batch_count; i++)
		if (s->fairness->batches[i])
			memset(s->fairness->batches[i], 0,
			       s->batches[i].task_count * sizeof(struct passed));
}

/* The core takes for alive what has died or is another now, and may keep that one: for as long as it takes
 * to notice. */
static bool believes_in_the_dead(const struct sim *s)
{
	for (uint32_t n = 0; n < SIM_NUMBERS_MAX; n++) {
		struct core_worker_view view;
		uint32_t i = s->owner[n] - 1;

		if (s->owner[n] && (!s->session[i] || s->number[i] != n) &&
		    !core_view_worker(s->core, n, &view) && !view.gone && !view.silent &&
		    !view.draining)
			return true;
	}
	return false;
}

/* On the worker where it was passed over the fewest times, of those that are there. */
static uint32_t least(const struct sim *s, const struct passed *p)
{
	uint32_t fewest = UINT32_MAX;

	for (uint32_t i = 0; i < s->worker_count; i++) {
		struct core_worker_view view;
		bool there = s->session[i] &&
			     !core_view_worker(s->core, s->number[i], &view) &&
			     !view.silent && !view.draining;

		if (there && p->by[i] < fewest)
			fewest = p->by[i];
	}
	return fewest == UINT32_MAX ? 0 : fewest;
}

static void pass(struct sim *s, uint32_t b, uint32_t i, uint32_t worker,
		 const struct core_task_view *granted)
{
	struct passed *p = &s->fairness->batches[b][i];
	struct core_task_view view;

	if (oracle_fate(s, b, i, false)->ended ||
	    core_view_task(s->core, s->batches[b].number, i, &view) ||
	    !view.waits_for_room || view.request == granted->request) {
		*p = (struct passed){0};
		return;
	}
	if (view.priority < granted->priority)
		return;
	p->by[worker]++;
	if (least(s, p) <= PASSED_MAX)
		return;
	if (!believes_in_the_dead(s))
		broken(s, "task %u:%u waits for room, and %u others got it", b, i,
		       least(s, p));
	*p = (struct passed){0};
}

void fair_grant(struct sim *s, const struct core_effect *fx)
{
	uint32_t worker = s->owner[fx->worker] - 1;
	struct core_task_view granted;

	if (worker >= s->worker_count ||
	    core_view_task(s->core, fx->batch, fx->index, &granted) || !granted.epoch)
		return;
	for (uint32_t b = 0; b < s->batch_count; b++)
		for (uint32_t i = 0; s->fairness->batches[b] && s->batches[b].number &&
				     i < s->batches[b].task_count;
		     i++)
			pass(s, b, i, worker, &granted);
}

void fair_started(struct sim *s, uint32_t worker, const struct held *started)
{
	struct sim_worker *w = &s->workers[worker];

	for (struct held *h = w->held; h < started && s->quiet; h++) {
		if (h->started || h->stopping)
			continue;
		if (h->assignment.priority >= started->assignment.priority &&
		    ++h->passed > SIM_KEEP_AFTER + w->credit + CREDIT_LEFT)
			broken(s,
			       "index %u waits on worker %u, and %u others started "
			       "there",
			       h->assignment.index, worker, h->passed);
		return; /* the oldest: the others have their turn after it */
	}
}

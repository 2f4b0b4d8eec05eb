/* oracle_pause.c - a sweep whose first tasks all failed pauses its batch, once; a paused batch begins
 * nothing, also after a restart, until somebody resumes it. */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

struct sweep { /* tasks of one function of a batch */
	uint32_t live, failed;
	bool decided; /* one succeeded, or it has paused */
};

struct pauses {
	struct batch_pauses {
		struct sweep sweeps[8];
		bool paused;
		bool must; /* pause, before anything else of it is granted */
	} * batches;
};

struct pauses *pauses_new(const struct sim *s)
{
	struct pauses *p = mem_alloc(sizeof *p);

	p->batches = mem_alloc(s->batch_count * sizeof *p->batches);
	return p;
}

void pauses_free(struct pauses *p, const struct sim *s)
{
	(void)s;
	free(p->batches);
	free(p);
}

static struct sweep *sweep_of(struct sim *s, struct pauses *p, uint32_t batch,
			      uint32_t index)
{
	return &p->batches[batch].sweeps[s->batches[batch].tasks[index].spec.function];
}

static void ended(struct sweep *w, enum core_task_status status)
{
	w->live--;
	w->failed += status == CORE_FAILED;
	w->decided |= status == CORE_COMPLETED;
}

void pauses_restart(struct sim *s, struct pauses *p)
{
	memset(p->batches, 0, s->batch_count * sizeof *p->batches);
	for (uint32_t b = 0; b < s->batch_count; b++)
		for (uint32_t i = 0; i < s->batches[b].task_count; i++) {
			const struct fate *f = oracle_fate(s, b, i, true);
			struct sweep *w = sweep_of(s, p, b, i);

			w->live++;
			if (f->ended)
				ended(w, f->status);
		}
	for (size_t i = 0; i < s->record_count; i++)
		if (s->records[i].type == R_PAUSED || s->records[i].type == R_RESUMED)
			p->batches[s->records[i].sim_batch].paused =
				s->records[i].type == R_PAUSED;
	for (uint32_t b = 0; b < s->batch_count; b++)
		for (size_t i = 0; i < ARRAY_LEN(p->batches[b].sweeps); i++) {
			struct sweep *w = &p->batches[b].sweeps[i];

			w->decided |= w->failed >= SIM_PAUSE_AFTER;
		}
}

static void task_ended(struct sim *s, struct pauses *p, const struct core_effect *fx)
{
	uint32_t b = s->batch_of[fx->batch];
	struct sweep *w = sweep_of(s, p, b, fx->index);

	ended(w, fx->ended.status);
	if (w->decided || w->failed < SIM_PAUSE_AFTER || s->batches[b].max_failures)
		return;
	if (!w->live)
		return;
	p->batches[b].must |= !p->batches[b].paused;
	w->decided = p->batches[b].paused;
}

static void paused(struct sim *s, struct pauses *p, const struct core_effect *fx)
{
	uint32_t b = s->batch_of[fx->batch];
	struct sweep *w = &p->batches[b].sweeps[fx->paused.function];

	if (w->decided || w->failed < SIM_PAUSE_AFTER || !w->live)
		broken(s, "batch %u pauses for nothing", b);
	if (p->batches[b].paused)
		broken(s, "batch %u pauses twice", b);
	w->decided = p->batches[b].paused = true;
	p->batches[b].must = false;
}

static void granted(struct sim *s, struct pauses *p, const struct core_effect *fx)
{
	uint32_t b = s->batch_of[fx->batch];

	if (oracle_fate(s, b, fx->index, false)->ended)
		return; /* it is being made again, for others */
	if (p->batches[b].must)
		broken(s,
		       "the first tasks of a sweep of batch %u all failed, and it "
		       "goes on",
		       b);
	if (p->batches[b].paused)
		broken(s, "batch %u is paused, and something of it begins", b);
}

void pauses_effect(struct sim *s, struct pauses *p, const struct core_effect *fx)
{
	switch (fx->type) {
	case CORE_FX_TASK_ENDED:
		task_ended(s, p, fx);
		break;
	case CORE_FX_BATCH_PAUSED:
		paused(s, p, fx);
		break;
	case CORE_FX_BATCH_RESUMED:
		p->batches[s->batch_of[fx->batch]].paused = false;
		break;
	case CORE_FX_GRANT:
		granted(s, p, fx);
		break;
	default:
		break;
	}
}

/* pause.c - a sweep whose first tasks all failed pauses its batch, until a person says how to go on.
 *
 * A sweep is what one entry of a batch file makes: the tasks of one function of the batch (a function
 * carries the entry's name, so no two entries share one). What other entries do neither helps nor
 * harms it. What runs goes on; leases that wait on workers are taken back. Hits and successes count
 * alike; what was skipped or cancelled says nothing. Each sweep pauses its batch once at most: who
 * resumed it has seen it.
 *
 * struct function counts: @live, tasks that are not over; @failed, as long as none has succeeded and it
 * has not paused, then SWEEP_DECIDED. Both follow from how tasks ended, so that after a restart they
 * are as they were; only whether the batch still pauses is a record of its own (CORE_EV_OLD_PAUSE). */
#include "broker/core/parts.h"

#define SWEEP_DECIDED UINT32_MAX

static void decide(const struct batch *b, struct function *f)
{
	f->failed = SWEEP_DECIDED;
	if (PLANTED(PLANT_PAUSE_PER_BATCH))
		for (uint32_t i = 0; i < b->functions.count; i++)
			((struct function *)seg_at(&b->functions, i))->failed =
				SWEEP_DECIDED;
}

void pause_count(const struct core *core, const struct task *t)
{
	struct function *f = seg_at(&task_batch(core, t)->functions, t->function);
	f->live--;
	if (t->state == TASK_DONE)
		decide(task_batch(core, t), f);
	if (t->state == TASK_FAILED && f->failed != SWEEP_DECIDED)
		f->failed++;
}

static bool all_failed(const struct core *core, const struct function *f)
{
	return f->failed != SWEEP_DECIDED && f->failed >= core->config.pause_after;
}

/* Of @w, those that have not begun and that only paused batches want. */
static void take_back(struct core *core, const struct worker *w)
{
	struct list *pos;
	list_for_each (pos, &w->leases[LEASE_QUEUED]) {
		struct lease *l = container_of(pos, struct lease, link);
		const struct execution *e = exec_find_id(core, l->exec);
		if (l->state == LEASE_CURRENT && e->subs && !exec_sponsor(core, e))
			lease_stop(core, l, CORE_STOP_CANCELLED);
	}
}

void pause_check(struct core *core, struct batch *b, uint32_t function)
{
	struct function *f = seg_at(&b->functions, function);
	uint32_t failed = f->failed;
	if (!all_failed(core, f) || !f->live || b->cancelled)
		return;
	f->failed = SWEEP_DECIDED;
	if (b->paused)
		return; /* for another one: who resumes it sees both */
	b->paused = true;
	b->paused_by = function;
	struct core_effect *fx = fx_add(core, CORE_FX_BATCH_PAUSED);
	fx->batch = b->number;
	fx->paused.function = function;
	fx->paused.failed = failed;
	for (uint32_t i = 0; i < core->worker_capacity; i++)
		if (core->workers[i])
			take_back(core, core->workers[i]);
}

void pause_resume(struct core *core, struct batch *b)
{
	if (!b->paused)
		return;
	b->paused = false;
	struct core_effect *fx = fx_add(core, CORE_FX_BATCH_RESUMED);
	fx->batch = b->number;
	schedule_release(core, &b->held);
	core->schedule = true;
}

void pause_recover(const struct core *core, struct batch *b,
		   const struct core_event *event)
{
	if (!core->recovering || !b->sealed ||
	    event->old_pause.function >= b->functions.count)
		return;
	b->pause_known = true;
	b->paused = event->old_pause.paused;
	b->paused_by = event->old_pause.function;
}

/* Without a record nobody was told yet: a store of a version that kept none. */
void pause_start(struct core *core, struct batch *b)
{
	for (uint32_t i = 0; i < b->functions.count; i++) {
		struct function *f = seg_at(&b->functions, i);
		if (!b->pause_known)
			pause_check(core, b, i);
		else if (all_failed(core, f))
			f->failed = SWEEP_DECIDED;
	}
}

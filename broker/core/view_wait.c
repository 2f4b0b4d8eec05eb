/* view_wait.c - looking without touching: what keeps a task from running. */
#include "broker/core/parts.h"

/* The first resource that no worker has enough of, even if it were idle. */
static bool too_large(const struct core *core, const struct class *class,
		      struct core_wait_view *view)
{
	for (uint32_t i = 0; i < class->count; i++) {
		const struct class_item *item = &class->items[i];
		uint64_t most = 0;
		for (uint32_t n = 0; n < core->worker_capacity; n++) {
			const struct worker *w = core->workers[n];
			for (uint32_t k = 0; w && k < w->capacity_count; k++)
				if (w->capacity[k].resource == item->resource &&
				    w->capacity[k].amount > most)
					most = w->capacity[k].amount;
		}
		if (item->amount <= most)
			continue;
		memcpy(view->resource, core->resources[item->resource].name,
		       sizeof view->resource);
		view->wanted = item->amount;
		view->most = most;
		return true;
	}
	return false;
}

static bool has_worker(const struct core *core)
{
	for (uint32_t n = 0; n < core->worker_capacity; n++) {
		const struct worker *w = core->workers[n];
		if (w && !w->gone && !w->silent && !w->draining)
			return true;
	}
	return false;
}

static bool fits_some_worker(const struct core *core, const struct class *class)
{
	for (uint32_t n = 0; n < core->worker_capacity; n++)
		if (core->workers[n] && worker_fits(core->workers[n], class, false))
			return true;
	return false;
}

/* Under which it waits: its own, or that of another subscriber. */
static const struct class *request_of(const struct core *core, const struct task *t,
				      const struct execution *e)
{
	return e->queue && e->queue->class ? e->queue->class
					   : task_options(core, t)->class;
}

static enum core_wait why_ready(const struct core *core, const struct task *t,
				const struct execution *e, struct core_wait_view *view)
{
	const struct batch *b = task_batch(core, t);
	const struct class *class = request_of(core, t, e);
	if (core->recovering || e->queue == &core->held)
		return CORE_WAIT_RESTART;
	if (b->paused)
		return CORE_WAIT_PAUSED;
	if (core->draining)
		return CORE_WAIT_DRAIN;
	if (core->holding)
		return CORE_WAIT_DISK;
	if (b->max_parallel && b->running >= b->max_parallel) {
		view->wanted = b->max_parallel;
		return CORE_WAIT_PARALLEL;
	}
	if (!has_worker(core))
		return CORE_WAIT_NO_WORKER;
	if (too_large(core, class, view) || !fits_some_worker(core, class))
		return CORE_WAIT_TOO_LARGE;
	return CORE_WAIT_ROOM;
}

static enum core_wait why(const struct core *core, const struct task *t,
			  struct core_wait_view *view)
{
	if (task_over(t))
		return CORE_WAIT_NOTHING;
	if (t->state == TASK_WAITING)
		return t->pending ? CORE_WAIT_TASKS : CORE_WAIT_LOOKUP;
	const struct execution *e = exec_at(core, t->exec);
	switch ((enum exec_state)e->state) {
	case EXEC_LOOKUP:
		return CORE_WAIT_LOOKUP;
	case EXEC_READY:
		return why_ready(core, t, e, view);
	case EXEC_BACKOFF:
		if (e->extra && e->extra->retry_at > core->now)
			view->retry_ns = e->extra->retry_at - core->now;
		return CORE_WAIT_RETRY;
	case EXEC_BLOCKED:
		return CORE_WAIT_INPUT;
	case EXEC_LEASED:
		return e->flags & EXEC_WAITS ? CORE_WAIT_ROOM : CORE_WAIT_NOTHING;
	case EXEC_DONE:
	case EXEC_FAILED:
		break;
	}
	return CORE_WAIT_NOTHING;
}

int core_view_wait(const struct core *core, uint64_t batch, uint32_t index,
		   struct core_wait_view *view)
{
	const struct batch *b = batch_find(core, batch);
	if (!b || index >= b->tasks.count)
		return 1;
	memset(view, 0, sizeof *view);
	view->why = why(core, batch_task(b, index), view);
	return 0;
}

static bool needs_somebody(enum core_wait why)
{
	return why == CORE_WAIT_DRAIN || why == CORE_WAIT_DISK ||
	       why == CORE_WAIT_NO_WORKER || why == CORE_WAIT_TOO_LARGE;
}

/* Tasks of one class stand alike, so only the first of a row of them costs more than a look. */
int core_view_stuck(const struct core *core, uint64_t batch, uint32_t *budget,
		    uint32_t *indexp, struct core_wait_view *view)
{
	const struct batch *b = batch_find(core, batch);
	const struct class *fine = NULL;
	if (!b || !b->sealed || b->paused || b->counts.running || !b->counts.ready)
		return 1;
	for (uint32_t i = 0; i < b->tasks.count && *budget; i++, --*budget) {
		const struct task *t = batch_task(b, i);
		if (task_over(t) || t->state == TASK_WAITING)
			continue;
		const struct execution *e = exec_at(core, t->exec);
		const struct class *class = request_of(core, t, e);
		if (e->state != EXEC_READY || class == fine)
			continue;
		memset(view, 0, sizeof *view);
		view->why = why_ready(core, t, e, view);
		if (needs_somebody(view->why)) {
			*indexp = i;
			view->function = t->function;
			return 0;
		}
		fine = class;
	}
	return 1;
}

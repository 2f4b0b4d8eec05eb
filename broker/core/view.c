/* view.c - looking without touching. */
#include "broker/core/parts.h"

static bool reader_wants(const struct batch *b, const struct edge *e, bool lacking)
{
	if (e->kind == EDGE_NEED || (lacking && e->delivered))
		return false;
	if (e->kind == EDGE_MEMBER)
		return batch_group(b, e->to)->readers;
	return !task_over(batch_task(b, e->to));
}

bool task_is_wanted(const struct core *core, const struct task *t, bool lacking)
{
	const struct batch *b = task_batch(core, t);
	for (uint32_t i = t->out; i != NO_EDGE; i = batch_edge(b, i)->next)
		if (reader_wants(b, batch_edge(b, i), lacking))
			return true;
	return false;
}

static const struct task *find(const struct core *core, uint64_t batch, uint32_t index)
{
	const struct batch *b = batch_find(core, batch);
	return b && index < b->tasks.count ? batch_task(b, index) : NULL;
}

bool core_wants_slots(const struct core *core, uint64_t batch, uint32_t index)
{
	const struct task *t = find(core, batch, index);
	return t && task_batch(core, t)->sealed && task_is_wanted(core, t, false);
}

int core_view_task(const struct core *core, uint64_t batch, uint32_t index,
		   struct core_task_view *view)
{
	const struct task *t = find(core, batch, index);
	if (!t)
		return 1;
	memset(view, 0, sizeof *view);
	view->status = task_status(core, t);
	view->cached = t->flags & TASK_CACHED;
	view->deduplicated = t->flags & TASK_DEDUPLICATED;
	view->args = t->args;
	view->args_size = t->args_size;
	memcpy(view->func_hash, task_function(core, t)->func->hash, DIGEST_SIZE);
	if (!t->pending) {
		view->has_fingerprint = true;
		sha256_digest(t->args, t->args_size, view->args_hash);
	}
	if (task_over(t)) {
		view->attempts = t->attempts;
		view->commit = t->commit;
		view->upstream = t->upstream;
		const struct task *up = view->status == CORE_SKIPPED
						? find(core, batch, t->upstream)
						: NULL;
		view->upstream_cancelled = up && task_status(core, up) == CORE_CANCELLED;
		return 0;
	}
	if (t->state == TASK_WAITING)
		return 0;
	const struct execution *e = exec_at(core, t->exec);
	view->attempts = exec_attempts(e) + (e->state == EXEC_LEASED);
	if (e->state == EXEC_LEASED) {
		view->epoch = e->lease->epoch;
		view->worker = e->lease->worker->number;
		view->priority = e->lease->priority;
		view->request = e->lease->class->slot;
	}
	view->waits_for_room = schedule_waits_for_room(core, e);
	if (view->waits_for_room) {
		view->priority = e->queue->priority;
		view->request = e->queue->class->slot;
	}
	return 0;
}

uint32_t core_view_statuses(const struct core *core, uint64_t batch, uint8_t *statuses,
			    uint32_t max)
{
	const struct batch *b = batch_find(core, batch);
	uint32_t count = b ? b->tasks.count : 0;
	if (count > max)
		count = max;
	for (uint32_t i = 0; i < count; i++)
		statuses[i] = (uint8_t)task_status(core, batch_task(b, i));
	return count;
}

int core_view_batch(const struct core *core, uint64_t batch, struct core_batch_view *view)
{
	const struct batch *b = batch_find(core, batch);
	if (!b)
		return 1;
	const struct execution *e = room_waits(core, b);
	*view = (struct core_batch_view){
		.no_room = e ? b->no_room : CORE_NO_INDEX,
		.no_room_tried = e ? e->extra->tried : 0,
		.no_room_function = e ? batch_task(b, b->no_room)->function : 0,
		.counts = b->counts,
		.sealed = b->sealed,
		.ended = b->ended,
		.paused = b->paused,
		.paused_by = b->paused_by,
		.task_count = b->tasks.count,
	};
	return 0;
}

void core_each_list(const struct core *core,
		    void (*fn)(void *arg, const uint8_t digest[DIGEST_SIZE]), void *arg)
{
	for (uint32_t i = 0; i < core->batch_count; i++) {
		const struct batch *b = core->batches[i];
		for (uint32_t k = 0; b && !b->dead && k < b->groups.count; k++) {
			const struct group *g = batch_group(b, k);
			if (g->complete && g->readers && g->list_count)
				fn(arg, g->digest);
		}
	}
}

int core_view_worker(const struct core *core, uint32_t worker,
		     struct core_worker_view *view)
{
	const struct worker *w = worker_find(core, worker);
	if (!w)
		return 1;
	*view = (struct core_worker_view){
		.running = w->counts[LEASE_PLACED],
		.queued = w->counts[LEASE_QUEUED],
		.gone = w->gone,
		.silent = w->silent,
		.draining = w->draining,
		.lost_at = worker_lost_at(core, w),
	};
	for (uint32_t i = 0; i < w->capacity_count; i++)
		view->used[i] = w->capacity[i].used;
	return 0;
}

void core_view_totals(const struct core *core, struct core_totals *totals)
{
	*totals = (struct core_totals){
		.batches = core->batch_numbers.count,
		.waiting = core->totals.waiting,
		.ready = core->totals.ready,
		.running = core->totals.running,
		.workers = core->worker_count,
		.refused_results = core->refused_results,
	};
}

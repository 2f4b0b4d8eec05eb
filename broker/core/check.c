/* check.c - every invariant that the other files rely on, asserted over everything. For tests: it
 * costs as much as there is. */
#include "broker/core/parts.h"

static void check_edges_of(const struct batch *b, const struct task *t)
{
	uint32_t pending = 0;
	for (uint32_t i = t->in; i != NO_EDGE; i++) {
		const struct edge *e = batch_edge(b, i);
		assert(e->to == t->index && e->kind != EDGE_MEMBER);
		pending += !e->delivered;
		if (e->last)
			break;
	}
	assert(pending == t->pending);
}

static void check_task(const struct core *core, const struct batch *b,
		       const struct task *t)
{
	check_edges_of(b, t);
	if (t->state == TASK_RESOLVED || t->state == TASK_SUBSCRIBED) {
		const struct execution *e = exec_at(core, t->exec);
		assert(e->slot == t->exec && e->subs && !t->pending);
		assert((t->state == TASK_RESOLVED) == (e->state == EXEC_LOOKUP));
		assert(t->next->prev == t && t->prev->next == t &&
		       t->next->exec == t->exec);
		assert(!(t->flags & (TASK_LISTED | TASK_SKIP)));
	}
	if (t->flags & TASK_LISTED)
		assert(t->state == TASK_WAITING);
	if (t->flags & TASK_REVIVED)
		assert(t->state == TASK_DONE);
	if (!core->recovering && b->sealed && t->state == TASK_WAITING && !t->pending)
		assert(t->flags & TASK_LISTED || t->index >= b->start_cursor);
}

static void check_batch(const struct core *core, const struct batch *b)
{
	uint64_t by_status[7] = {0}, cached = 0, deduplicated = 0, live = 0;
	for (uint32_t i = 0; i < b->tasks.count; i++) {
		const struct task *t = batch_task(b, i);
		if (b->sealed)
			check_task(core, b, t);
		by_status[task_status(core, t)]++;
		live += !task_over(t);
		cached += t->state == TASK_DONE && t->flags & TASK_CACHED;
		deduplicated += t->state == TASK_DONE && !(t->flags & TASK_CACHED) &&
				t->flags & TASK_DEDUPLICATED;
	}
	const struct core_counts *c = &b->counts;
	assert(c->total == b->tasks.count && live == b->live);
	assert(c->waiting == by_status[CORE_WAITING] &&
	       c->ready == by_status[CORE_READY]);
	assert(c->running == by_status[CORE_RUNNING] &&
	       c->failed == by_status[CORE_FAILED]);
	assert(c->skipped == by_status[CORE_SKIPPED] &&
	       c->cancelled == by_status[CORE_CANCELLED]);
	assert(c->cached == cached && c->deduplicated == deduplicated);
	assert(c->cached + c->executed + c->deduplicated == by_status[CORE_COMPLETED]);
	assert(c->total == c->waiting + c->ready + c->running + c->cached + c->executed +
				   c->deduplicated + c->failed + c->skipped +
				   c->cancelled);
	assert(!b->ended || !b->live);
	for (uint32_t i = 0; b->sealed && i < b->groups.count; i++) {
		const struct group *g = batch_group(b, i);
		uint32_t readers = 0;
		for (uint32_t k = g->out; k != NO_EDGE; k = batch_edge(b, k)->next)
			readers += !task_over(batch_task(b, batch_edge(b, k)->to));
		assert(readers == g->readers);
	}
}

static void check_exec(const struct core *core, const struct execution *e)
{
	const struct task *t = e->subs;
	uint32_t n = 0;
	for (; t && (n == 0 || t != e->subs); t = t->next)
		assert(++n <= e->sub_count && t->exec == e->slot);
	assert(n == e->sub_count);
	switch ((enum exec_state)e->state) {
	case EXEC_LOOKUP:
		assert(!(e->flags & EXEC_ASKED) == (e->queue == &core->lookups));
		assert(exec_has_users(e) && !e->lease);
		break;
	case EXEC_READY:
		assert(e->queue && exec_has_users(e));
		assert(!e->lease || e->lease->state == LEASE_EXPIRED);
		break;
	case EXEC_LEASED:
		assert(!e->queue && e->lease && e->lease->state == LEASE_CURRENT);
		assert(e->lease->exec == exec_id(e));
		if (e->flags & EXEC_HELD && core->adopting) /* rule 6 */
			assert(e->lease->epoch >> 32 < core->config.boot);
		break;
	case EXEC_BACKOFF:
		assert(!e->queue && exec_has_users(e));
		break;
	case EXEC_BLOCKED:
		assert(!e->queue && exec_has_users(e) && e->extra->blocked);
		break;
	case EXEC_DONE:
		assert(e->queue == &core->linger && !exec_has_users(e));
		break;
	case EXEC_FAILED:
		assert(e->queue == &core->dead && !exec_has_users(e));
		assert(!(e->flags & EXEC_INDEXED));
		break;
	}
}

static uint32_t check_execs(const struct core *core)
{
	uint32_t found = 0, indexed = 0;
	for (uint32_t slot = 0; slot < core->execs.block_count << core->execs.shift;
	     slot++) {
		if (!pool_has(&core->execs, slot))
			continue;
		const struct execution *e = exec_at(core, slot);
		if (!exec_find_id(core, exec_id(e)) || e->slot != slot)
			continue;
		check_exec(core, e);
		found++;
		indexed += !!(e->flags & EXEC_INDEXED);
	}
	assert(found == core->execs.used && indexed == core->fingerprints.count);
	return found;
}

static void check_lease(const struct core *core, const struct lease *l)
{
	const struct execution *e = exec_find_id(core, l->exec);
	assert(lease_find(core, l->epoch) == l);
	if (l->state == LEASE_STALE) {
		assert(!l->task && l->worker &&
		       (!e || e->state == EXEC_DONE || e->lease != l));
		return;
	}
	assert(e && e->lease == l && l->task);
	assert(task_batch(core, l->task)->number == l->batch &&
	       l->task->index == l->index);
	assert((l->state == LEASE_CURRENT) == (e->state == EXEC_LEASED));
}

static void check_worker(const struct core *core, const struct worker *w)
{
	uint64_t used[CORE_RESOURCES_MAX] = {0};
	for (int place = 0; place < 3; place++) {
		const struct list *pos;
		uint32_t count = 0;
		list_for_each (pos, &w->leases[place]) {
			const struct lease *l =
				container_of(pos, const struct lease, link);
			assert(l->worker == w && l->place == place);
			count++;
			check_lease(core, l);
			assert(!w->silent || l->state != LEASE_CURRENT);
			if (place == LEASE_QUEUED) /* it would have been promoted */
				assert(!worker_fits(w, l->class, true));
			for (uint32_t i = 0; place == LEASE_PLACED && i < l->class->count;
			     i++)
				for (uint32_t k = 0; k < w->capacity_count; k++)
					if (w->capacity[k].resource ==
					    l->class->items[i].resource)
						used[k] += l->class->items[i].amount;
		}
		assert(count == w->counts[place]);
	}
	for (uint32_t k = 0; k < w->capacity_count; k++)
		assert(w->capacity[k].used == used[k] &&
		       used[k] <= w->capacity[k].amount);
	assert(w->open == NO_SLOT || core->open[w->open] == w);
	for (const struct queue *q = w->kept_for; q; q = q->under)
		assert(q->kept == w && (!q->under || q->under->priority < q->priority));
}

static void check_leases_of_batches(const struct core *core)
{
	const struct table *t = &core->epoch_table;
	uint32_t count = 0;
	for (uint32_t i = 0; i < t->capacity; i++) {
		if (t->slots[i].value == TABLE_NONE)
			continue;
		const struct lease *l = pool_at(&core->leases, t->slots[i].value);
		count++;
		if (!l->worker)
			check_lease(core, l);
	}
	assert(count == core->leases.used);
	for (uint32_t i = 0; i < core->batch_count; i++) {
		const struct batch *b = core->batches[i];
		uint32_t running = 0, pins = 0;
		for (uint32_t k = 0; b && k < t->capacity; k++) {
			if (t->slots[k].value == TABLE_NONE)
				continue;
			const struct lease *l = pool_at(&core->leases, t->slots[k].value);
			pins += l->task && l->batch == b->number;
			running += l->state == LEASE_CURRENT && l->batch == b->number;
		}
		const struct list *pos;
		if (b)
			list_for_each (pos, &b->revivals)
				pins++;
		assert(!b || (running == b->running && pins == b->pins));
	}
}

/* @e waits in @q: no worker may take it under the request of any of those who want it that may stand in for
 * that of the queue. */
static void check_waits(const struct core *core, const struct queue *q,
			const struct execution *e)
{
	const struct task *t = e->subs;
	for (uint32_t n = e->sub_count; n; n--, t = t->next) {
		const struct batch *b = task_batch(core, t);
		const struct class *class = task_options(core, t)->class;
		if ((class != q->class && !class_may_stand_in(class, q->class)) ||
		    b->paused || b->cancelled ||
		    (b->max_parallel && b->running >= b->max_parallel))
			continue;
		for (uint32_t i = 0; i < core->open_count; i++) {
			const struct worker *w = core->open[i];
			bool room = worker_fits(w, class, true) ||
				    (w->counts[LEASE_QUEUED] < w->credit &&
				     worker_fits(w, class, false));
			assert(!room || schedule_runs_there(core, w, e) ||
			       room_is_refused(e, w) || fair_is_kept(core, w, q));
		}
	}
}

/* Of each queue the first few: the scheduler does not look at more, either. */
static void check_queues(const struct core *core)
{
	bool rests =
		core->schedule || core->holding || core->draining || core->recovering;
	for (uint32_t i = 0; i < core->ready_count && !rests; i++) {
		const struct queue *q = core->ready[i];
		uint32_t slot = q->head;
		for (uint32_t n = 0; slot != NO_SLOT && n < OTHER_LOOK; n++) {
			const struct execution *e = exec_at(core, slot);
			if (!schedule_is_full(core, q))
				check_waits(core, q, e);
			slot = e->next;
		}
	}
}

void core_check(const struct core *core)
{
	uint64_t waiting = 0, ready = 0, running = 0;
	for (uint32_t i = 0; i < core->batch_count; i++) {
		const struct batch *b = core->batches[i];
		if (!b || b->dead)
			continue;
		check_batch(core, b);
		waiting += b->sealed ? b->counts.waiting : 0;
		ready += b->sealed ? b->counts.ready : 0;
		running += b->sealed ? b->counts.running : 0;
	}
	assert(core->totals.waiting == waiting && core->totals.ready == ready);
	assert(core->totals.running == running);
	check_execs(core);
	for (uint32_t i = 0; i < core->ready_count; i++) {
		const struct worker *w = core->ready[i]->kept;
		const struct queue *q = w ? w->kept_for : NULL;
		while (q && q != core->ready[i])
			q = q->under;
		assert(!w || q);
	}
	for (uint32_t i = 0; i < core->worker_capacity; i++)
		if (core->workers[i])
			check_worker(core, core->workers[i]);
	check_leases_of_batches(core);
	check_queues(core);
}

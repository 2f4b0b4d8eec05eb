/* capacity.c - what fits on a worker.
 *
 * Placed leases fit into the capacity, queued ones wait on the worker for one of those to end; the
 * oldest that fits is then promoted, by the same rule here and there. */
#include "broker/core/parts.h"

bool worker_fits(const struct worker *w, const struct class *class, bool free_now)
{
	for (uint32_t i = 0; i < class->count; i++) {
		const struct class_item *item = &class->items[i];
		uint64_t room = 0;
		for (uint32_t k = 0; k < w->capacity_count; k++)
			if (w->capacity[k].resource == item->resource)
				room = w->capacity[k].amount -
				       (free_now ? w->capacity[k].used : 0);
		if (item->amount > room)
			return false;
	}
	return true;
}

bool class_fits(const struct core *core, const struct class *class)
{
	for (uint32_t n = 0; n < core->worker_capacity; n++) {
		const struct worker *w = core->workers[n];
		if (w && w->here && worker_fits(w, class, false))
			return true;
	}
	return false;
}

void worker_use(struct worker *w, const struct class *class, bool add)
{
	for (uint32_t i = 0; i < class->count; i++)
		for (uint32_t k = 0; k < w->capacity_count; k++)
			if (w->capacity[k].resource == class->items[i].resource)
				w->capacity[k].used += add ? class->items[i].amount
							   : 0 - class->items[i].amount;
}

void worker_promote(struct core *core, struct worker *w)
{
	struct list *pos, *tmp;
	const struct class *full = NULL;
	if (PLANTED(PLANT_NO_PROMOTION))
		return;
	list_for_each_safe (pos, tmp, &w->leases[LEASE_QUEUED]) {
		struct lease *l = container_of(pos, struct lease, link);
		if (l->class == full)
			continue;
		if (worker_fits(w, l->class, true))
			lease_put(core, l, LEASE_PLACED);
		else if (w->mixed)
			full = l->class;
		else
			break;
	}
}

void worker_set_capacity(struct core *core, struct worker *w,
			 const struct core_event *event)
{
	uint32_t count = event->join.capacity_count;
	struct capacity old[CORE_RESOURCES_MAX];
	uint32_t old_count = w->capacity_count;
	memcpy(old, w->capacity, sizeof old);
	w->capacity_count = 0;
	for (uint32_t i = 0; i < count && i < CORE_RESOURCES_MAX; i++) {
		char name[CORE_RESOURCE_NAME];
		memcpy(name, event->join.capacity[i].name, sizeof name);
		name[sizeof name - 1] = 0;
		w->capacity[w->capacity_count++] = (struct capacity){
			.resource = resource_intern(core, name),
			.amount = event->join.capacity[i].amount,
		};
	}
	for (uint32_t i = 0; i < old_count; i++)
		resource_unref(core, old[i].resource);
	w->here = false; /* worker_update() finds that something changed */
}

/* Its capacity may have changed: what it holds is counted anew, in the order in which it got it. */
void worker_place_again(struct core *core, struct worker *w)
{
	struct list *pos, *tmp, *queued = &w->leases[LEASE_QUEUED];
	struct list behind;
	list_init(&behind);
	list_for_each_safe (pos, tmp, queued) {
		list_del(pos);
		list_add_tail(&behind, pos);
	}
	list_for_each_safe (pos, tmp, &w->leases[LEASE_PLACED]) {
		struct lease *l = container_of(pos, struct lease, link);
		list_del(pos);
		list_add_tail(queued, pos);
		l->place = LEASE_QUEUED;
		w->counts[LEASE_PLACED]--;
		w->counts[LEASE_QUEUED]++;
	}
	list_for_each_safe (pos, tmp, &behind) {
		list_del(pos);
		list_add_tail(queued, pos);
	}
	w->mixed = true;
	worker_promote(core, w);
	w->passed = 0;
	list_for_each (pos, queued) {
		struct lease *l = container_of(pos, struct lease, link);
		struct execution *e = exec_find_id(core, l->exec);
		if (e && e->state == EXEC_LEASED && e->lease == l)
			exec_moved(core, e);
	}
}

/* worker.c - workers, and whether they are still there.
 *
 * One that is silent for heartbeat_ns, or disconnected for disconnect_ns, loses its leases, but what
 * it held stays on its account until each attempt is proved over: by its result, a hand-back, a
 * heartbeat (heartbeat.c) or a claim that does not list it, or by the worker leaving for good. */
#include "broker/core/parts.h"
#include "broker/core/picked.h"

#include <stdlib.h>

struct worker *worker_find(const struct core *core, uint32_t number)
{
	return number < core->worker_capacity ? core->workers[number] : NULL;
}

static bool may_take(const struct worker *w)
{
	if (w->gone || w->silent || w->draining || w->unsettled)
		return false;
	if (w->counts[LEASE_PLACED] + w->counts[LEASE_QUEUED] >= LEASES_MAX)
		return false; /* requests of nothing always fit */
	if (w->counts[LEASE_QUEUED] < w->credit || PLANTED(PLANT_OVERSUBSCRIBE))
		return true;
	for (uint32_t k = 0; k < w->capacity_count; k++)
		if (w->capacity[k].used < w->capacity[k].amount)
			return true;
	return w->capacity_count == 0;
}

void worker_update(struct core *core, struct worker *w)
{
	bool open = may_take(w);
	bool here = !w->gone && !w->silent && !w->draining;
	if (here != w->here) {
		w->here = here;
		core->refit = core->schedule = true;
	}
	while (w->kept_for && (w->gone || w->silent || w->draining))
		fair_release(core, w->kept_for); /* another one, next time */
	if (open == (w->open != NO_SLOT))
		return;
	if (open) {
		mem_grow(core->open, core->open_count, core->open_capacity);
		w->open = core->open_count;
		core->open[core->open_count++] = w;
		schedule_room(core);
		return;
	}
	struct worker *last = core->open[--core->open_count];
	core->open[w->open] = last;
	last->open = w->open;
	w->open = NO_SLOT;
}

/* ---- time ---- */

uint64_t worker_lost_at(const struct core *core, const struct worker *w)
{
	uint64_t silent = w->seen_at + core->config.heartbeat_ns,
		 gone = w->gone_at + core->config.disconnect_ns;
	return w->gone && gone < silent ? gone : silent;
}

static uint64_t next_check(const struct core *core, const struct worker *w)
{
	uint64_t at = w->silent ? w->silent_at + FORGET_NS : worker_lost_at(core, w);
	return w->unsettled && w->settle_at < at ? w->settle_at : at;
}

void worker_set_timer(struct core *core, struct worker *w)
{
	uint64_t at = next_check(core, w);
	if (at >= w->timer_at)
		return;
	w->timer_at = at;
	timer_add(core, TIMER_WORKER, at, w->number);
}

static bool is_unconfirmed(const struct lease *l)
{
	return l->unconfirmed;
}

static bool is_current(const struct lease *l)
{
	return l->state == LEASE_CURRENT;
}

static bool is_expired(const struct lease *l)
{
	return l->state == LEASE_EXPIRED;
}

static bool is_stale(const struct lease *l)
{
	return l->state == LEASE_STALE;
}

/* After @w joined again, leases that it did not claim never arrived, or are lost with the process
 * that it was. */
void worker_settle(struct core *core, struct worker *w)
{
	if (!w->unsettled)
		return;
	bool reborn = w->reborn;
	w->unsettled = w->reborn = false;
	CLEANUP(picked_fini) struct picked p = picked_all(w, is_unconfirmed);
	for (uint32_t i = 0; i < p.count; i++) {
		struct lease *l = lease_find(core, p.epochs[i]);
		bool died = reborn && p.places[i] == LEASE_PLACED;
		if (l->state == LEASE_CURRENT)
			lease_expire(core, l, died);
		else if (died)
			lease_died(core, l);
		lease_end(core, l);
	}
	recover_worker_here(core, w);
	worker_update(core, w);
	schedule_room(core);
}

void worker_heard(struct core *core, struct worker *w)
{
	w->seen_at = core->now;
	if (!w->silent)
		return;
	w->silent = false;
	worker_update(core, w);
	schedule_room(core);
	worker_set_timer(core, w);
}

static void forget(struct core *core, struct worker *w);

static bool holds_nothing(const struct worker *w)
{
	return !w->counts[LEASE_PLACED] && !w->counts[LEASE_QUEUED] &&
	       !w->counts[LEASE_NOWHERE];
}

static void take_leases(struct core *core, struct worker *w, bool died)
{
	CLEANUP(picked_fini) struct picked p = picked_all(w, is_current);
	for (uint32_t i = 0; i < p.count; i++)
		lease_expire(core, lease_find(core, p.epochs[i]),
			     died && p.places[i] == LEASE_PLACED);
}

static void end_leases(struct core *core, struct worker *w,
		       bool (*wanted)(const struct lease *))
{
	CLEANUP(picked_fini) struct picked p = picked_all(w, wanted);
	for (uint32_t i = 0; i < p.count; i++)
		lease_end(core, lease_find(core, p.epochs[i]));
}

static bool grace_is_over(const struct core *core, const struct worker *w)
{
	return w->gone && core->now >= w->gone_at + core->config.disconnect_ns;
}

static void silence(struct core *core, struct worker *w)
{
	bool died = grace_is_over(core, w);
	w->silent = true;
	w->silent_at = core->now;
	worker_update(core, w);
	struct core_effect *fx = fx_add(core, CORE_FX_WORKER_SILENT);
	fx->worker = w->number;
	claim_drop_worker(core, w->number);
	if (!PLANTED(PLANT_SILENCE_IGNORED))
		take_leases(core, w, died);
}

void worker_timer(struct core *core, uint32_t number)
{
	struct worker *w = worker_find(core, number);
	if (!w || core->now < w->timer_at)
		return;
	w->timer_at = TIME_NEVER;
	if (w->unsettled && core->now >= w->settle_at)
		worker_settle(core, w);
	if (!w->silent && (core->now >= w->seen_at + core->config.heartbeat_ns ||
			   grace_is_over(core, w)))
		silence(core, w);
	if (PLANTED(PLANT_SILENCE_IGNORED) && !holds_nothing(w))
		w->silent_at = core->now; /* never forgotten either */
	if (w->silent &&
	    ((w->gone && holds_nothing(w)) || core->now >= w->silent_at + FORGET_NS))
		forget(core, w);
	else
		worker_set_timer(core, w);
}

/* ---- coming and going ---- */

static struct worker *add(struct core *core, uint32_t number)
{
	if (number >= core->worker_capacity) {
		uint32_t capacity = core->worker_capacity ? core->worker_capacity : 8;
		while (capacity <= number)
			capacity *= 2;
		core->workers =
			mem_resize(core->workers, capacity * sizeof *core->workers);
		memset(core->workers + core->worker_capacity, 0,
		       (capacity - core->worker_capacity) * sizeof *core->workers);
		core->worker_capacity = capacity;
	}
	struct worker *w = mem_alloc(sizeof *w);
	w->number = number;
	w->open = NO_SLOT;
	w->timer_at = TIME_NEVER;
	for (int place = 0; place < 3; place++)
		list_init(&w->leases[place]);
	core->workers[number] = w;
	core->worker_count++;
	return w;
}

static void doubt_leases(const struct core *core, struct worker *w)
{
	for (int place = 0; place < 3; place++) {
		struct list *pos;
		list_for_each (pos, &w->leases[place]) {
			struct lease *l = container_of(pos, struct lease, link);
			if (!w->reborn)
				lease_survived(core, l);
			l->unconfirmed = true;
			l->missed = 0;
			l->stopping = false; /* the order may be lost: it is repeated */
		}
	}
}

void worker_join(struct core *core, const struct core_event *event)
{
	if (event->worker >= WORKERS_MAX)
		return;
	struct worker *w = worker_find(core, event->worker);
	if (w && memcmp(w->key, event->join.key, KEY_SIZE)) {
		take_leases(core, w, true); /* nothing is left of what it was */
		worker_leave(core, w);
		w = NULL;
	}
	bool known = w && !holds_nothing(w);
	if (!w)
		w = add(core, event->worker);
	memcpy(w->key, event->join.key, KEY_SIZE);
	claim_drop_worker(core, w->number);
	worker_set_capacity(core, w, event);
	w->credit = event->join.credit;
	w->draining = event->join.draining;
	w->gone = w->silent = false;
	w->seen_at = core->now;
	worker_place_again(core, w);
	if (!w->process || w->process != event->join.process)
		w->reborn = true; /* until it is settled, also if it joins twice */
	w->process = event->join.process;
	doubt_leases(core, w);
	/* Claims come next. Who may have some gets nothing before they are in. */
	recover_worker_joined(core, w);
	w->unsettled = known || w->awaited;
	w->reborn &= w->unsettled;
	w->unsettled |= event->join.claims;
	w->settle_at = core->now + CLAIM_WINDOW_NS;
	worker_update(core, w);
	schedule_room(core);
	worker_set_timer(core, w);
}

void worker_credit(struct core *core, struct worker *w, uint32_t credit)
{
	worker_heard(core, w);
	worker_settle(core, w);
	w->credit = credit;
	worker_update(core, w);
	schedule_room(core);
}

void worker_drain(struct core *core, struct worker *w)
{
	w->draining = true;
	worker_update(core, w);
}

void worker_gone(struct core *core, struct worker *w)
{
	if (w->gone)
		return;
	w->gone = true;
	w->gone_at = core->now;
	worker_update(core, w);
	if (w->silent && holds_nothing(w))
		forget(core, w);
	else
		worker_set_timer(core, w);
}

/* Its number becomes free. An expired lease whose execution nobody else got stays claimable. */
static void forget(struct core *core, struct worker *w)
{
	claim_drop_worker(core, w->number);
	recover_worker_here(core, w);
	take_leases(core, w, false);
	end_leases(core, w, is_stale);
	CLEANUP(picked_fini) struct picked p = picked_all(w, is_expired);
	for (uint32_t i = 0; i < p.count; i++) {
		struct lease *l = lease_find(core, p.epochs[i]);
		lease_put(core, l, LEASE_NOWHERE);
		list_del(&l->link);
		w->counts[LEASE_NOWHERE]--;
		l->worker = NULL;
	}
	assert(holds_nothing(w));
	w->gone = true;
	worker_update(core, w);
	for (uint32_t i = 0; i < w->capacity_count; i++)
		resource_unref(core, w->capacity[i].resource);
	struct core_effect *fx = fx_add(core, CORE_FX_WORKER_FORGOTTEN);
	fx->worker = w->number;
	core->workers[w->number] = NULL;
	core->worker_count--;
	free(w);
}

void worker_leave(struct core *core, struct worker *w)
{
	w->gone = true;
	worker_update(core, w);
	take_leases(core, w, false);
	end_leases(
		core, w,
		is_expired); /* its processes are dead, or nothing from it counts any more */
	forget(core, w);
}

void worker_free_all(struct core *core)
{
	for (uint32_t i = 0; i < core->worker_capacity; i++)
		free(core->workers[i]);
	free(core->workers);
	free(core->open);
}

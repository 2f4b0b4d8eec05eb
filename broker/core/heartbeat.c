/* heartbeat.c - what a worker says that it holds, compared with what it should.
 *
 * A lease that it lists lives, whatever was believed of it; one that it does not list is over, or never
 * arrived if it is granted longer ago than a message can take. */
#include "broker/core/parts.h"
#include "broker/core/picked.h"

static void lost_in_transit(struct core *core, struct lease *l)
{
	struct execution *e = exec_find_id(core, l->exec);
	lease_stop(core, l, CORE_STOP_STALE);
	lease_end(core, l);
	outcome_back(core, e, 0);
}

/* A lease that the heartbeat lists. Orders are repeated: the first one may be lost. */
static void is_held(struct core *core, struct worker *w, struct lease *l)
{
	l->missed = 0;
	l->unconfirmed = false;
	switch ((enum lease_state)l->state) {
	case LEASE_EXPIRED:
		lease_reinstate(core, l, w);
		break;
	case LEASE_STALE:
		l->stopping = false;
		lease_stop(core, l, CORE_STOP_STALE);
		break;
	case LEASE_CURRENT:
		if (l->stopping) {
			l->stopping = false;
			lease_stop(core, l, CORE_STOP_CANCELLED);
		}
		break;
	}
}

/* Return: true if @l, which the heartbeat does not list, is over. */
static bool is_lost(const struct core *core, struct lease *l)
{
	if (l->unconfirmed)
		return false; /* settle() decides */
	if (l->state != LEASE_CURRENT)
		return true;
	return core->now >= l->granted_at + TRANSIT_NS && ++l->missed >= 2;
}

static void check_leases(struct core *core, struct worker *w)
{
	CLEANUP(picked_fini) struct picked p = {0};
	for (int place = 0; place < 3; place++) {
		struct list *pos;
		list_for_each (pos, &w->leases[place]) {
			struct lease *l = container_of(pos, struct lease, link);
			if (l->seen == w->heartbeat)
				is_held(core, w, l);
			else if (is_lost(core, l))
				picked_add(&p, l);
		}
	}
	for (uint32_t i = 0; i < p.count; i++) {
		struct lease *l = lease_find(core, p.epochs[i]);
		if (l->state == LEASE_CURRENT)
			lost_in_transit(core, l);
		else
			lease_end(core, l);
	}
}

/* What it holds and we know nothing of must not run. Bounded: the next heartbeat tells the rest. */
static void stop_unknown(struct core *core, struct worker *w, uint64_t epoch,
			 uint32_t *stops)
{
	if (claim_waits(core, epoch) || *stops >= 1024)
		return;
	++*stops;
	struct core_effect *fx = fx_add(core, CORE_FX_STOP);
	fx->worker = w->number;
	fx->stop.epoch = epoch;
	fx->stop.why = CORE_STOP_STALE;
}

/* It was taken for dead. */
static void lives(const struct core *core, const struct worker *w)
{
	for (int place = 0; place < 3; place++) {
		struct list *pos;
		list_for_each (pos, &w->leases[place])
			lease_survived(core, container_of(pos, struct lease, link));
	}
}

void worker_alive(struct core *core, struct worker *w, const struct core_event *event)
{
	uint32_t stops = 0;
	w->heartbeat++;
	for (uint32_t i = 0; i < event->alive.epoch_count; i++) {
		struct lease *l = lease_find(core, event->alive.epochs[i]);
		if (l && l->worker == w)
			l->seen = w->heartbeat;
		else
			stop_unknown(core, w, event->alive.epochs[i], &stops);
	}
	if (w->silent)
		lives(core, w);
	worker_heard(core, w);
	if (w->gone) {
		w->gone = false;
		worker_set_timer(core, w);
	}
	check_leases(core, w);
	worker_settle(core, w);
	w->credit = event->alive.credit;
	worker_update(core, w);
	schedule_room(core);
}

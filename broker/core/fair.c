/* fair.c - small requests do not starve large ones.
 *
 * Room is given to what fits, so a task that needs all of a worker would wait for as long as small ones
 * keep coming. Whoever is passed over keep_after times has a worker kept for it: nothing of the same
 * or a lower priority is granted there until it is served. What runs there runs on; higher
 * priorities go first as ever. Two places where it could starve, two counts:
 *
 *   ready      its queue has been given nothing for keep_after grants (core->grants - queue->since).
 *              The worker with the fewest leases of those that could hold it is kept (queue->kept,
 *              worker->kept_for), one for each queue; the queue that has waited longest chooses first,
 *              and whoever finds none loses nothing of its age. A higher priority may go before it on the
 *              same worker, and it is the next there (queue->under): had it to wait anew elsewhere,
 *              a few of a higher priority would keep it from ever being served while small ones of
 *              its own are. Served elsewhere first, the queue lets go of its worker.
 *   on a worker  the oldest lease that waits there; keep_after others were placed past it
 *              (worker->passed). That worker takes nothing new until it is placed.
 *
 * So a request is passed over at most keep_after times for each request that waits as it does, and then
 * as often as the credit of the worker let others wait there before. */
#include "broker/core/parts.h"

enum { KEEPS_AT_ONCE = 8 }; /* each looks at all workers */

void fair_release(struct core *core, struct queue *q)
{
	if (!q->kept)
		return;
	struct queue **at = &q->kept->kept_for;
	while (*at != q)
		at = &(*at)->under;
	*at = q->under;
	q->under = NULL;
	q->kept = NULL;
	schedule_room(core);
}

void fair_granted(struct core *core, struct queue *q)
{
	q->since = ++core->grants;
	fair_release(core, q);
}

void fair_moves(struct lease *l, enum lease_place place)
{
	struct worker *w = l->worker;
	const struct list *oldest = w->leases[LEASE_QUEUED].next;
	if (list_empty(&w->leases[LEASE_QUEUED]) || oldest == &l->link)
		w->passed = 0;
	else if (place == LEASE_PLACED)
		w->passed++;
}

static const struct lease *oldest_queued(const struct worker *w)
{
	return container_of(w->leases[LEASE_QUEUED].next, const struct lease, link);
}

bool fair_is_kept(const struct core *core, const struct worker *w, const struct queue *q)
{
	if (w->kept_for && w->kept_for != q && w->kept_for->priority >= q->priority)
		return true;
	return w->counts[LEASE_QUEUED] && w->passed >= core->config.keep_after &&
	       oldest_queued(w)->priority >= q->priority && !PLANTED(PLANT_STARVED);
}

static bool could_serve(const struct core *core, const struct worker *w,
			const struct queue *q)
{
	return !w->gone && !w->silent && !w->draining &&
	       worker_fits(w, q->class, false) &&
	       !schedule_runs_there(core, w, exec_at(core, q->head)) &&
	       !room_is_refused(exec_at(core, q->head), w);
}

static struct worker *choose(const struct core *core, const struct queue *q)
{
	struct worker *best = NULL;
	uint32_t fewest = UINT32_MAX;
	for (uint32_t i = 0; i < core->worker_capacity; i++) {
		struct worker *w = core->workers[i];
		if (!w || !could_serve(core, w, q) ||
		    (w->kept_for && w->kept_for->priority >= q->priority))
			continue;
		uint32_t count = w->counts[LEASE_PLACED] + w->counts[LEASE_QUEUED];
		if (count < fewest) {
			fewest = count;
			best = w;
		}
	}
	return best;
}

/* Of those that have been passed over often enough. Where none was to be kept, it is not looked for at
 * each step. NULL: none. */
static struct queue *longest_waiting(const struct core *core)
{
	struct queue *found = NULL;
	uint32_t after = core->config.keep_after;
	for (uint32_t i = 0; i < core->ready_count; i++) {
		struct queue *q = core->ready[i];
		if (q->count && !q->kept && core->grants - q->since >= after &&
		    core->grants - q->looked >= after &&
		    (!found || q->since < found->since) && !schedule_is_full(core, q))
			found = q;
	}
	return found;
}

static void keep(struct core *core, struct queue *q)
{
	/* Who had no room for it may be the last one there. */
	room_next_round(core, exec_at(core, q->head));
	struct worker *w = choose(core, q);
	q->looked = core->grants;
	if (!w)
		return;
	q->kept = w;
	q->under = w->kept_for;
	w->kept_for = q;
}

void fair_run(struct core *core)
{
	for (uint32_t i = 0; i < core->ready_count; i++) {
		struct queue *q = core->ready[i];
		if (q->kept && (!q->count || schedule_is_full(core, q) ||
				!could_serve(core, q->kept, q)))
			fair_release(core, q);
	}
	if (PLANTED(PLANT_STARVED))
		return;
	struct queue *q;
	for (int n = 0; n < KEEPS_AT_ONCE && (q = longest_waiting(core)); n++)
		keep(core, q);
}

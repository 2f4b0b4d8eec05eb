/* room.c - workers whose disks have no room for the inputs of an execution.
 *
 * It goes to another worker: those that have refused it (extra->full) are left out for a minute, or
 * until there is no other that could ever hold it. Then it waits, longer each time, and everybody is asked again: disks
 * get room. Meanwhile its batches can tell what they wait for (batch->no_room). None of this
 * costs an attempt, and a restart forgets it. */
#include "broker/core/parts.h"

#define ROUND_NS (60 * NS_PER_S)

bool room_is_refused(const struct execution *e, const struct worker *w)
{
	if (!e->extra || PLANTED(PLANT_SAME_FULL_WORKER))
		return false;
	for (uint32_t i = 0; i < e->extra->full_count; i++)
		if (!memcmp(e->extra->full[i], w->key, KEY_SIZE))
			return true;
	return false;
}

/* Could @w hold it, were it idle, under the request of any of those who want it? */
static bool could_hold(const struct core *core, const struct execution *e,
		       const struct worker *w, const struct class *class)
{
	const struct task *t = e->subs;
	if (worker_fits(w, class, false))
		return true;
	uint32_t looks = e->sub_count < SPONSOR_LOOK ? e->sub_count : SPONSOR_LOOK;
	for (; looks; looks--) {
		t = t->prev; /* the newest first, as they are granted */
		const struct batch *b = task_batch(core, t);
		if (class_may_stand_in(task_options(core, t)->class, class) &&
		    !b->paused && !b->cancelled &&
		    (!b->max_parallel || b->running < b->max_parallel) &&
		    worker_fits(w, task_options(core, t)->class, false))
			return true;
	}
	return false;
}

static bool anybody_else(const struct core *core, const struct execution *e)
{
	const struct task *t = exec_sponsor(core, e);
	if (!t)
		t = exec_any_task(e);
	for (uint32_t i = 0; t && i < core->worker_capacity; i++) {
		const struct worker *w = core->workers[i];
		if (w && !w->gone && !w->silent && !w->draining &&
		    !room_is_refused(e, w) &&
		    could_hold(core, e, w, task_options(core, t)->class))
			return true;
	}
	return false;
}

bool room_refused(const struct core *core, struct execution *e, const struct worker *w)
{
	struct exec_extra *x = exec_extra(e);
	if (!x->full_count)
		x->full_since = core->now;
	if (!room_is_refused(e, w)) {
		mem_grow(x->full, x->full_count, x->full_capacity);
		memcpy(x->full[x->full_count++], w->key, KEY_SIZE);
	}
	if (anybody_else(core, e))
		return true;
	x->tried = x->full_count;
	x->full_count = 0;
	const struct task *t = e->subs;
	for (uint32_t n = e->sub_count; n; n--, t = t->next)
		task_batch(core, t)->no_room = t->index;
	return false;
}

void room_next_round(const struct core *core, struct execution *e)
{
	struct exec_extra *x = e->extra;
	if (x && x->full_count &&
	    (core->now >= x->full_since + ROUND_NS || !anybody_else(core, e)))
		x->full_count = 0;
}

const struct execution *room_waits(const struct core *core, const struct batch *b)
{
	const struct task *t =
		b->no_room < b->tasks.count ? batch_task(b, b->no_room) : NULL;
	if (!t || (t->state != TASK_SUBSCRIBED && t->state != TASK_RESOLVED))
		return NULL;
	const struct execution *e = exec_at(core, t->exec);
	return e->extra && e->extra->tried && e->state != EXEC_LEASED ? e : NULL;
}

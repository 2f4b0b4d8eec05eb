/* lookup.c - asking whether the work was done before. At most LOOKUP_WINDOW questions are open, so
 * that a batch of a million tasks neither floods the loop nor hides another client's batch. */
#include "broker/core/parts.h"

#define WANTS (EXEC_WANT_SLOTS | EXEC_WANT_BYTES)
_Static_assert(EXEC_ASKED_SLOTS == EXEC_WANT_SLOTS << 3 &&
		       EXEC_ASKED_BYTES == EXEC_WANT_BYTES << 3,
	       "wants are compared with what was asked by shifting");

bool lookup_has_room(const struct core *core)
{
	return core->lookups_out + core->lookups.count < LOOKUP_WINDOW;
}

void lookup_want(struct core *core, struct execution *e)
{
	assert(e->state == EXEC_LOOKUP && !e->queue && !(e->flags & EXEC_ASKED));
	queue_push(core, &core->lookups, e, false);
}

/* A forced task that is over and only lacks its bytes is as good as any other: what it made is
 * current. */
static bool may_hit(const struct execution *e)
{
	if (e->flags & EXEC_FORCED)
		return false;
	return e->cache == CORE_CACHE_USE || (e->cache == CORE_CACHE_FORCE && !e->subs);
}

static void ask(struct core *core, struct execution *e)
{
	const struct task *t = exec_any_task(e);
	e->flags &= ~(EXEC_ASKED_SLOTS | EXEC_ASKED_BYTES);
	e->flags |= EXEC_ASKED | (e->flags & WANTS) << 3;
	core->lookups_out++;
	struct core_effect *fx = fx_add(core, CORE_FX_LOOKUP);
	fx->batch = task_batch(core, t)->number;
	fx->index = t->index;
	fx->lookup.exec = exec_id(e);
	memcpy(fx->lookup.func_hash, e->func->hash, DIGEST_SIZE);
	memcpy(fx->lookup.args_hash, e->args_hash, DIGEST_SIZE);
	fx->lookup.need_bytes = e->flags & EXEC_WANT_BYTES;
	fx->lookup.need_slots = e->flags & EXEC_WANT_SLOTS;
	fx->lookup.parent_only = !may_hit(e);
}

void lookup_run(struct core *core)
{
	while (core->lookups.count && core->lookups_out < LOOKUP_WINDOW) {
		struct execution *e = exec_at(core, core->lookups.head);
		queue_remove(core, e);
		ask(core, e);
	}
}

static bool usable(const struct execution *e, const struct core_event *event)
{
	if (!event->lookup.hit || !may_hit(e))
		return false;
	if (!(e->flags & EXEC_WANT_SLOTS))
		return true;
	return contents_valid(event->lookup.slots, event->lookup.slot_count,
			      2 + e->func->output_count);
}

void lookup_answer(struct core *core, const struct core_event *event)
{
	if (core->lookups_out)
		core->lookups_out--;
	struct execution *e = exec_find_id(core, event->lookup.exec);
	if (!e || e->state != EXEC_LOOKUP || !(e->flags & EXEC_ASKED))
		return; /* it was cancelled meanwhile */
	uint16_t wants = e->flags & WANTS;
	e->flags &= ~EXEC_ASKED;
	if (event->lookup.hit && e->cache == CORE_CACHE_USE && wants & ~(e->flags >> 3)) {
		lookup_want(core, e); /* somebody joined who needs more */
		return;
	}
	if (usable(e, event)) {
		bool slots = e->flags & EXEC_WANT_SLOTS;
		outcome_hit(core, e, event->lookup.commit,
			    slots ? event->lookup.slots : NULL,
			    slots ? event->lookup.slot_count : 0);
		return;
	}
	if (event->lookup.commit &&
	    (!e->extra || e->extra->parent < event->lookup.commit))
		exec_extra(e)->parent = event->lookup.commit;
	bool claimed = e->flags & EXEC_CLAIMED;
	exec_become(core, e, EXEC_READY);
	schedule_add(core, e, revive_uses(e)); /* readers in the queue wait for it */
	if (claimed)
		claim_retry_exec(core, e);
}

/* deadline.c - what is to happen when. A binary heap; timers are never taken back: who set one checks
 * when it rings whether it still means anything.
 *
 * A loop that stalled (stopped process, suspended machine) did not hear its workers meanwhile. The
 * core wants to see the clock every second while there are workers; what it sees later than that
 * is added to every limit on them. */
#include "broker/core/parts.h"

#include <stdlib.h>

void timer_add(struct core *core, enum timer_kind kind, uint64_t at, uint64_t id)
{
	mem_grow(core->timers, core->timer_count, core->timer_capacity);
	struct timer *v = core->timers;
	uint32_t i = core->timer_count++;
	for (uint32_t up; i && v[up = (i - 1) / 2].at > at; i = up)
		v[i] = v[up];
	v[i] = (struct timer){at, id, kind};
}

static struct timer take_first(struct core *core)
{
	struct timer *v = core->timers, first = v[0];
	uint32_t n = --core->timer_count, i = 0;
	struct timer last = v[n];
	for (uint32_t child; (child = 2 * i + 1) < n; i = child) {
		if (child + 1 < n && v[child + 1].at < v[child].at)
			child++;
		if (v[child].at >= last.at)
			break;
		v[i] = v[child];
	}
	v[i] = last;
	if (core->timer_capacity > 64 && n < core->timer_capacity / 8) {
		core->timer_capacity /= 4;
		core->timers = mem_resize(v, core->timer_capacity * sizeof *v);
	}
	return first;
}

static void retry(struct core *core, core_exec_id id)
{
	struct execution *e = exec_find_id(core, id);
	if (!e || e->state != EXEC_BACKOFF || core->now < e->extra->retry_at)
		return;
	exec_become(core, e, EXEC_READY);
	schedule_add(core, e, true);
}

static void adopt(struct core *core)
{
	if (!core->adopting)
		return;
	if (core->now >= core->adopt_at)
		recover_release(core);
	else
		timer_add(core, TIMER_ADOPT, core->adopt_at, 0);
}

static void park(struct core *core)
{
	claim_expire(core);
	uint64_t at = TIME_NEVER;
	struct list *pos;
	list_for_each (pos, &core->claims) {
		const struct claim *c = container_of(pos, struct claim, link);
		at = c->deadline < at ? c->deadline : at;
	}
	if (at != TIME_NEVER)
		timer_add(core, TIMER_CLAIMS, at, 0);
}

void timer_run(struct core *core)
{
	bool parked = false;
	while (core->timer_count && core->timers[0].at <= core->now) {
		struct timer t = take_first(core);
		switch (t.kind) {
		case TIMER_RETRY:
			retry(core, t.id);
			break;
		case TIMER_WORKER:
			worker_timer(core, (uint32_t)t.id);
			break;
		case TIMER_CLAIMS:
			parked = true; /* many have one deadline: once is enough */
			break;
		case TIMER_ADOPT:
			adopt(core);
			break;
		case TIMER_UNSEALED:
			batch_unsealed_timer(core, t.id);
			break;
		}
	}
	if (parked)
		park(core);
}

void timer_stalled(struct core *core, uint64_t now)
{
	if (!core->started || !core->worker_count ||
	    now <= core->now + TICK_NS + STALL_NS)
		return;
	uint64_t late = now - core->now - TICK_NS;
	for (uint32_t i = 0; i < core->worker_capacity; i++) {
		struct worker *w = core->workers[i];
		if (!w)
			continue;
		w->seen_at += late;
		w->gone_at += late;
		w->settle_at += late;
	}
	core->adopt_at += late;
	struct list *pos;
	list_for_each (pos, &core->claims) {
		struct claim *c = container_of(pos, struct claim, link);
		if (c->deadline != TIME_NEVER)
			c->deadline += late;
	}
}

uint64_t core_deadline(const struct core *core)
{
	if (core_has_work(core))
		return core->now;
	uint64_t at = core->timer_count ? core->timers[0].at : TIME_NEVER;
	uint64_t tick = core->worker_count ? core->now + TICK_NS : TIME_NEVER;
	return at < tick ? at : tick;
}

/* broker_model.c - the broker's loop without sockets: messages become events of the real core, and
 * look-ups are answered. */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

#define LARGE 2000 /* records; core_check() costs as much as there is */

static void wake_in_time(struct sim *s)
{
	uint64_t due = core_deadline(s->core);

	if (due == TIME_NEVER || due == s->wake_at)
		return;
	s->wake_at = due;
	sim_at(s, due > s->now ? due - s->now : 0, A_BROKER_WAKE, 0, s->broker_life);
}

/* Some are answered within the turn; others by a thread that read the ledger now or reads it
 * later. */
static void look_up(struct sim *s, const struct core_effect *fx, bool *at_oncep)
{
	struct message *m = message_new(M_LOOKUP, 0);
	uint64_t delay = rng_below(&s->disk, 2) * rng_below(&s->disk, 2 * NS_PER_MS);

	if (sim_fault(s, FAULT_SLOW_LOOKUP, &s->disk))
		delay += rng_below(&s->disk, 5 * NS_PER_S);
	m->lookup = *fx;
	m->session = s->broker_life;
	if (!delay || rng_chance(&s->disk, 500))
		ledger_look_up(s, m);
	*at_oncep = !delay;
	if (delay) {
		sim_later(s, delay, m);
		return;
	}
	broker_receive(s, m);
}

/* Step the core, apply what it wants, answer what it asks. */
void broker_step(struct sim *s, struct core_event *ev)
{
	struct core_effect *asked = NULL;
	size_t count = 0, capacity = 0;
	bool at_once;

	ev->now = s->now;
	ev->step = ++s->step;
	s->steps++;
	trace_event(s, ev);
	core_effects_reset(&s->effects);
	core_step(s->core, ev, &s->effects);
	for (size_t i = 0; i < s->effects.count; i++) {
		const struct core_effect *fx = &s->effects.items[i];

		trace_effect(s, fx);
		effect_apply(s, fx);
		if (fx->type != CORE_FX_LOOKUP)
			continue;
		mem_grow(asked, count, capacity);
		asked[count++] = *fx;
	}
	if (s->steps % (s->record_count > LARGE ? 1024 : 16) == 0)
		core_check(s->core);
	for (size_t i = 0; i < count; i++)
		look_up(s, &asked[i], &at_once);
	free(asked);
	flush_outbox(s);
	disk_kick(s);
	wake_in_time(s);
}

/* ---- messages ---- */

static void result(struct sim *s, const struct message *m)
{
	struct core_event ev = {.type = CORE_EV_RESULT, .worker = s->number[m->worker]};
	struct report *report;

	mem_grow(s->reports, s->report_count, s->report_capacity);
	report = &s->reports[s->report_count++];
	*report = (struct report){0};
	memcpy(report->slots, m->slots, sizeof report->slots);
	report->slot_count = m->slot_count;
	ev.result.lease = m->lease;
	ev.result.outcome = m->outcome;
	if (m->outcome == CORE_OUT_COMPLETED) {
		ev.result.slots = m->slots;
		ev.result.slot_count = m->slot_count;
	}
	memcpy(ev.result.missing, m->missing, DIGEST_SIZE);
	ev.result.token = s->report_count;
	for (uint32_t i = 0; i < m->slot_count; i++) {
		const struct blob *b = blob_find(s, m->slots[i].digest);

		if (b && b->swept) /* it is told so, and brings it once more */
			blob_put(s, m->slots[i].digest, true);
		gc_watch(s, m->slots[i].digest);
	}
	if (m->outcome == CORE_OUT_INPUT_MISSING)
		oracle_missed(s, m->missing);
	if (m->outcome == CORE_OUT_NO_ROOM)
		oracle_no_room(s, m, ev.result.token);
	broker_step(s, &ev);
}

static void answer(struct sim *s, struct message *m)
{
	struct core_event ev = {.type = CORE_EV_LOOKUP};

	if (m->session != s->broker_life)
		return; /* asked before a crash */
	/* The real loop answers in the turn in which it has read; here gc may have come in between. */
	bool stale = s->gc && gc_touched_at(s) >= m->read_at &&
		     model_planted != PLANT_GC_UNASKED;
	if (!m->answered || stale)
		ledger_look_up(s, m);
	if (m->hit) {
		gc_watch_commit(s, ledger_commit(s, m->commit));
		if (m->lookup.lookup.need_bytes)
			gc_watch_slots(s, m->slots, m->slot_count);
	}
	ev.lookup.exec = m->lookup.lookup.exec;
	ev.lookup.hit = m->hit;
	ev.lookup.commit = m->commit;
	if (m->commit && m->lookup.lookup.need_slots) {
		ev.lookup.slots = m->slots;
		ev.lookup.slot_count = m->slot_count;
	}
	broker_step(s, &ev);
}

static void cancel(struct sim *s, const struct message *m)
{
	struct core_event ev = {.type = CORE_EV_CANCEL,
				.batch = s->batches[m->batch].number,
				.index = m->index};

	if (ev.batch)
		broker_step(s, &ev);
}

static void handle(struct sim *s, struct message *m)
{
	struct core_event ev = {.worker = s->number[m->worker]};
	bool from_worker = m->type == M_ALIVE || m->type == M_BYE ||
			   m->type == M_RESULT || m->type == M_HANDBACK;

	if (from_worker && m->session != s->session[m->worker])
		return; /* of a connection that is gone, or that has not said hello */
	switch (m->type) {
	case M_SUBMIT:
		batch_submitted(s, m);
		break;
	case M_CANCEL:
		cancel(s, m);
		break;
	case M_LOOKUP:
		answer(s, m);
		break;
	case M_HELLO:
		join_hello(s, m);
		break;
	case M_ALIVE:
		ev.type = CORE_EV_WORKER_ALIVE;
		ev.alive.epochs = m->epochs;
		ev.alive.epoch_count = m->epoch_count;
		ev.alive.credit = s->workers[m->worker].credit;
		broker_step(s, &ev);
		break;
	case M_BYE:
		ev.type = CORE_EV_WORKER_BYE;
		broker_step(s, &ev);
		break;
	case M_RESULT:
		result(s, m);
		break;
	case M_HANDBACK:
		ev.type = CORE_EV_HANDBACK;
		ev.handback.lease = m->lease;
		ev.handback.started = m->started;
		broker_step(s, &ev);
		break;
	case M_ACK:
	case M_REFUSED:
	case M_ASSIGN:
	case M_STOP:
	case M_VERDICT:
		assert(!"for others");
	}
}

void broker_receive(struct sim *s, struct message *m)
{
	if (!s->broker_up) {
		message_free(m);
		return;
	}
	if (s->broker_paused) {
		mem_grow(s->inbox, s->inbox_count, s->inbox_capacity);
		s->inbox[s->inbox_count++] = m;
		return;
	}
	handle(s, m);
	message_free(m);
}

/* After a stall what has waited is read before the clock is looked at, as the real loop does. */
void broker_resume(struct sim *s)
{
	if (!s->broker_up)
		return;
	s->broker_paused = false;
	for (size_t i = 0; i < s->inbox_count; i++) {
		handle(s, s->inbox[i]);
		message_free(s->inbox[i]);
	}
	s->inbox_count = 0;
	broker_wake(s);
}

void broker_wake(struct sim *s)
{
	struct core_event ev = {.type = CORE_EV_TIME};

	s->wake_at = 0;
	broker_step(s, &ev);
}

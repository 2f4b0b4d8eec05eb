/* recovery_model.c - crash and start of the broker: what is on disk is all that is left, and is told
 * to a new core. */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

/* What the records say of a batch. */
struct past {
	uint32_t chunks;
	bool opened, sealed, over;
};

static struct past *read_past(struct sim *s)
{
	struct past *past = mem_alloc((s->next_batch + 1) * sizeof *past);

	for (size_t i = 0; i < s->record_count; i++) {
		const struct record *r = &s->records[i];

		past[r->batch].opened |= r->type == R_OPEN;
		past[r->batch].chunks += r->type == R_CHUNK;
		past[r->batch].sealed |= r->type == R_SEALED;
		past[r->batch].over |= r->type == R_BATCH_ENDED || r->type == R_FORGET;
	}
	return past;
}

static void replay_batch(struct sim *s, uint64_t number, const struct past *past)
{
	struct sim_batch *b = &s->batches[s->batch_of[number]];
	struct core_event ev = {.type = CORE_EV_BATCH_OPEN, .batch = number};

	b->number = number;
	memcpy(ev.open.id, b->id, DIGEST_SIZE);
	ev.open.max_failures = b->max_failures;
	ev.open.max_parallel = b->max_parallel;
	broker_step(s, &ev);
	batch_feed(s, b, past->sealed ? batch_chunks(b) + 1 : past->chunks);
	b->touched_at = s->now;
	if (!past->sealed)
		sim_at(s, 60 * NS_PER_S, A_BATCH_IDLE, s->batch_of[number],
		       s->broker_life);
}

static void replay_lease(struct sim *s, const struct record *r)
{
	struct core_event ev = {
		.type = CORE_EV_OLD_LEASE, .batch = r->batch, .index = r->index};

	ev.old_lease.epoch = r->epoch;
	ev.old_lease.attempt = r->attempt;
	ev.old_lease.deaths = r->deaths;
	memcpy(ev.old_lease.worker_key, r->worker_key, KEY_SIZE);
	broker_step(s, &ev);
}

static void replay_end(struct sim *s, const struct record *r)
{
	const struct record *c = r->commit ? ledger_commit(s, r->commit) : NULL;
	struct core_event ev = {
		.type = CORE_EV_OLD_END, .batch = r->batch, .index = r->index};
	struct content slots[8];

	ev.old_end.status = r->status;
	ev.old_end.cached = r->cached;
	ev.old_end.deduplicated = r->deduplicated;
	ev.old_end.commit = r->commit;
	ev.old_end.upstream = r->upstream;
	ev.old_end.attempts = r->attempts;
	if (c && core_wants_slots(s->core, r->batch, r->index)) {
		memcpy(slots, c->slots, sizeof slots);
		ev.old_end.slots = slots;
		ev.old_end.slot_count = c->slot_count;
	}
	broker_step(s, &ev);
}

static void replay_pause(struct sim *s, const struct record *r)
{
	struct core_event ev = {.type = CORE_EV_OLD_PAUSE, .batch = r->batch};

	ev.old_pause.paused = r->type == R_PAUSED;
	ev.old_pause.function = r->index;
	broker_step(s, &ev);
	if (ev.old_pause.paused)
		sim_at(s, 5 * NS_PER_S, A_CLIENT_RESUME, (uint32_t)r->batch,
		       s->broker_life);
}

static void replay(struct sim *s)
{
	struct past *past = read_past(s);
	size_t count = s->record_count;

	s->replaying = true;
	for (uint64_t number = 1; number < s->next_batch; number++) {
		struct sim_batch *b = &s->batches[s->batch_of[number]];

		if (past[number].opened && !past[number].over) {
			replay_batch(s, number, &past[number]);
		} else if (past[number].sealed) {
			b->number = number;
			b->sealed = true;
		}
	}
	for (size_t i = 0; i < count; i++) {
		struct record r = s->records[i]; /* a step may move them */

		if (!past[r.batch].sealed || past[r.batch].over)
			continue;
		if (r.type == R_LEASE)
			replay_lease(s, &r);
		if (r.type == R_END && model_planted != PLANT_ENDS_FORGOTTEN)
			replay_end(s, &r);
		if ((r.type == R_PAUSED || r.type == R_RESUMED) &&
		    model_planted != PLANT_PAUSE_FORGOTTEN)
			replay_pause(s, &r);
	}
	s->replaying = false;
	free(past);
}

void broker_start(struct sim *s)
{
	struct core_config config = {.next_commit = s->next_commit};
	struct core_event ev = {.type = CORE_EV_RECOVERED};

	if (!s->boot || model_planted != PLANT_BOOT_REUSED)
		s->boot++;
	config.boot = s->boot;
	config.pause_after = SIM_PAUSE_AFTER;
	config.keep_after = SIM_KEEP_AFTER;
	memset(config.mac_key, 0x5a, sizeof config.mac_key);
	config.unsealed_ns = s->core_discards ? 60 * NS_PER_S : 0;
	s->core = core_new(&config);
	s->broker_up = true;
	s->broker_life++;
	s->wake_at = 0;
	for (uint32_t i = 0; i < s->batch_count; i++) {
		s->batches[i].number = 0;
		s->batches[i].fed = 0;
		s->batches[i].sealed = false;
	}
	join_reset(s);
	oracle_restart(s);
	replay(s);
	broker_step(s, &ev);
	for (uint32_t i = 0; i < s->worker_count; i++) /* they notice when they notice */
		sim_at(s, rng_below(&s->clock, 7) * NS_PER_S / 2, A_WORKER_HELLO, i,
		       s->workers[i].incarnation);
}

void broker_crash(struct sim *s)
{
	size_t keep = s->durable_count;

	if (!s->broker_up)
		return;
	sim_trace(s, "broker crash");
	if (s->disk_busy && sim_fault(s, FAULT_TORN_CRASH, &s->crash))
		keep = s->writing_count; /* written, and nobody was told */
	gc_end(s);
	disk_keep(s, keep);
	ledger_cut(s, keep);
	s->next_commit = 1;
	s->next_batch = 1;
	for (size_t i = 0; i < keep; i++) {
		if (s->records[i].type == R_COMMIT &&
		    s->records[i].commit >= s->next_commit)
			s->next_commit = s->records[i].commit + 1;
		if (s->records[i].batch >= s->next_batch)
			s->next_batch = s->records[i].batch + 1;
	}
	for (size_t i = 0; i < s->outbox_count; i++)
		message_free(s->outbox[i].message);
	for (size_t i = 0; i < s->inbox_count; i++)
		message_free(s->inbox[i]);
	s->outbox_count = s->inbox_count = s->report_count = 0;
	s->disk_busy = s->broker_up = s->broker_paused = false;
	s->broker_life++;
	core_free(s->core);
	s->core = NULL;
}

/* broker_model.c - the broker's loop without sockets and disk: messages become events of the real
 * core, effects become records and messages, and messages wait until their step is on disk. */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

static void step(struct sim *s, struct core_event *ev);

/* ---- the disk ---- */

static void disk_kick(struct sim *s)
{
	uint64_t delay = 50000 + rng_below(&s->disk, 400000);

	if (s->disk_busy || s->disk_full || s->durable_count == s->record_count)
		return;
	if (sim_fault(s, FAULT_SLOW_DISK, &s->disk))
		delay += rng_below(&s->disk, 3 * NS_PER_S);
	s->disk_busy = true;
	s->writing_count = s->record_count;
	s->writing_step = s->step;
	sim_at(s, delay, A_DISK, 0, s->broker_life);
}

/* Everything that was recorded in step @st or before is on disk. */
static bool is_durable(const struct sim *s, uint64_t st)
{
	return s->durable_count == s->record_count ||
	       s->records[s->durable_count].step > st;
}

static void flush_outbox(struct sim *s)
{
	size_t done = 0;

	while (done < s->outbox_count && is_durable(s, s->outbox[done].step))
		sim_send(s, s->outbox[done++].message);
	if (!done)
		return;
	memmove(s->outbox, s->outbox + done,
		(s->outbox_count - done) * sizeof *s->outbox);
	s->outbox_count -= done;
}

static void send_when_durable(struct sim *s, struct message *m)
{
	mem_grow(s->outbox, s->outbox_count, s->outbox_capacity);
	s->outbox[s->outbox_count++] = (struct outgoing){s->step, m};
}

void broker_disk_done(struct sim *s)
{
	struct core_event ev = {.type = CORE_EV_DURABLE, .durable = s->writing_step};

	s->disk_busy = false;
	for (; s->durable_count < s->writing_count; s->durable_count++)
		oracle_record(s, &s->records[s->durable_count]);
	s->durable_step = s->writing_step;
	step(s, &ev);
}

void broker_hold(struct sim *s, bool full)
{
	struct core_event ev = {.type = CORE_EV_HOLD, .hold = full};

	s->disk_full = full;
	if (s->broker_up)
		step(s, &ev);
}

void broker_resume_batch(struct sim *s, uint64_t number)
{
	struct core_event ev = {.type = CORE_EV_RESUME, .batch = number};

	step(s, &ev);
}

/* ---- effects ---- */

static void grant(struct sim *s, const struct core_effect *fx)
{
	struct message *m = message_new(M_ASSIGN, fx->worker);
	struct sim_batch *b = &s->batches[s->batch_of[fx->batch]];
	const struct sim_task *t = &b->tasks[fx->index];
	struct record *r = ledger_append(s, R_LEASE, fx->batch);

	r->index = fx->index;
	r->epoch = fx->grant.lease.epoch;
	r->attempt = fx->grant.attempt;
	r->deaths = fx->grant.deaths;
	memcpy(r->worker_key, fx->grant.lease.worker_key, KEY_SIZE);
	m->session = s->session[fx->worker];
	m->batch = s->batch_of[fx->batch];
	m->index = fx->index;
	m->lease = fx->grant.lease;
	m->kind = b->kinds[t->spec.function];
	m->cpus = b->options[b->functions[t->spec.function].options].resources[0].amount;
	assert(fx->grant.args_size <= sizeof m->args);
	memcpy(m->args, fx->grant.args, fx->grant.args_size);
	m->args_size = fx->grant.args_size;
	memcpy(m->refs, t->refs, sizeof m->refs);
	m->ref_count = t->spec.ref_count;
	m->slot_count = 2 + b->functions[t->spec.function].output_count;
	if (fx->grant.early)
		sim_send(s, m);
	else
		send_when_durable(s, m);
}

static void commit(struct sim *s, const struct core_effect *fx)
{
	struct record *r = ledger_append(s, R_COMMIT, fx->batch);

	r->index = fx->index;
	r->commit = fx->commit.commit;
	r->parent = fx->commit.parent;
	r->completed = fx->commit.completed;
	r->quarantined = fx->commit.quarantined;
	r->current = fx->commit.completed && fx->commit.cache != CORE_CACHE_OFF;
	r->epoch = fx->commit.lease.epoch;
	r->attempts = fx->commit.attempts;
	memcpy(r->func_hash, fx->commit.lease.func_hash, DIGEST_SIZE);
	memcpy(r->args_hash, fx->commit.lease.args_hash, DIGEST_SIZE);
	r->has_nonce = fx->commit.lease.has_nonce;
	memcpy(r->nonce, fx->commit.lease.nonce, NONCE_SIZE);
	if (fx->commit.token && fx->commit.completed) {
		const struct report *report = &s->reports[fx->commit.token - 1];

		memcpy(r->slots, report->slots, sizeof r->slots);
		r->slot_count = report->slot_count;
	}
	if (s->next_commit <= r->commit)
		s->next_commit = r->commit + 1;
}

static void ended(struct sim *s, const struct core_effect *fx)
{
	struct record *r = ledger_append(s, R_END, fx->batch);

	r->index = fx->index;
	r->status = fx->ended.status;
	r->cached = fx->ended.cached;
	r->deduplicated = fx->ended.deduplicated;
	r->commit = fx->ended.commit;
	r->upstream = fx->ended.upstream;
	r->attempts = fx->ended.attempts;
}

static void reply(struct sim *s, const struct core_effect *fx, enum message_type type)
{
	struct message *m = message_new(type, 0);

	m->batch = s->batch_of[fx->batch];
	send_when_durable(s, m);
}

static void to_worker(struct sim *s, const struct core_effect *fx, enum message_type type)
{
	struct message *m = message_new(type, fx->worker);

	m->session = s->session[fx->worker];
	m->epoch = type == M_STOP ? fx->stop.epoch : fx->verdict.epoch;
	if (type == M_VERDICT)
		m->verdict = fx->verdict.verdict;
	send_when_durable(s, m);
}

static void apply(struct sim *s, const struct core_effect *fx)
{
	oracle_effect(s, fx);
	switch (fx->type) {
	case CORE_FX_BATCH_SEALED:
		if (s->replaying)
			break;
		ledger_append(s, R_SEALED, fx->batch);
		reply(s, fx, M_ACK);
		break;
	case CORE_FX_BATCH_REFUSED:
	case CORE_FX_BATCH_DISCARDED:
		ledger_append(s, R_FORGET, fx->batch);
		s->number_of[s->batch_of[fx->batch]] = 0;
		reply(s, fx, M_REFUSED);
		break;
	case CORE_FX_GRANT:
		grant(s, fx);
		break;
	case CORE_FX_COMMIT:
		commit(s, fx);
		break;
	case CORE_FX_TASK_ENDED:
		ended(s, fx);
		break;
	case CORE_FX_BATCH_ENDED:
		ledger_append(s, R_BATCH_ENDED, fx->batch);
		break;
	case CORE_FX_BATCH_PAUSED:
		sim_at(s, 5 * NS_PER_S, A_CLIENT_RESUME, (uint32_t)fx->batch,
		       s->broker_life);
		break;
	case CORE_FX_STOP:
		to_worker(s, fx, M_STOP);
		break;
	case CORE_FX_VERDICT:
		to_worker(s, fx, M_VERDICT);
		break;
	case CORE_FX_LOOKUP:
	case CORE_FX_LIST_BLOB:
	case CORE_FX_ATTEMPT_FAILED:
	case CORE_FX_BATCH_FORGOTTEN:
	case CORE_FX_WORKER_SILENT:
	case CORE_FX_WORKER_FORGOTTEN:
		break;
	}
}

static void look_up(struct sim *s, const struct core_effect *fx)
{
	const struct record *r =
		ledger_current(s, fx->lookup.func_hash, fx->lookup.args_hash);
	struct core_event ev = {.type = CORE_EV_LOOKUP};
	struct content slots[8];

	ev.lookup.exec = fx->lookup.exec;
	if (r) {
		memcpy(slots, r->slots, sizeof slots); /* a step may move the records */
		ev.lookup.hit = !fx->lookup.parent_only;
		ev.lookup.commit = r->commit;
		ev.lookup.slots = fx->lookup.need_slots ? slots : NULL;
		ev.lookup.slot_count = fx->lookup.need_slots ? r->slot_count : 0;
	}
	step(s, &ev);
}

/* Step the core, apply what it wants, answer what it asks, until it asks nothing more. */
static void step(struct sim *s, struct core_event *ev)
{
	struct core_effect *asked = NULL;
	size_t count = 0, capacity = 0;

	ev->now = s->now;
	ev->step = ++s->step;
	s->steps++;
	trace_event(s, ev);
	core_effects_reset(&s->effects);
	core_step(s->core, ev, &s->effects);
	for (size_t i = 0; i < s->effects.count; i++) {
		const struct core_effect *fx = &s->effects.items[i];

		trace_effect(s, fx);
		apply(s, fx);
		if (fx->type != CORE_FX_LOOKUP)
			continue;
		mem_grow(asked, count, capacity);
		asked[count++] = *fx;
	}
	if (s->steps % 16 == 0)
		core_check(s->core);
	for (size_t i = 0; i < count; i++)
		look_up(s, &asked[i]);
	free(asked);
	flush_outbox(s);
	disk_kick(s);
	uint64_t due = core_deadline(s->core);
	if (due != TIME_NEVER && due != s->wake_at) {
		s->wake_at = due;
		sim_at(s, due > s->now ? due - s->now : 0, A_BROKER_WAKE, 0,
		       s->broker_life);
	}
}

/* ---- batches ---- */

static void feed(struct sim *s, uint64_t number, struct sim_batch *b)
{
	struct core_event ev = {.type = CORE_EV_BATCH_OPEN, .batch = number};
	struct core_task_spec specs[300];

	memcpy(ev.open.id, b->id, DIGEST_SIZE);
	ev.open.max_failures = b->max_failures;
	ev.open.max_parallel = b->max_parallel;
	step(s, &ev);
	for (uint32_t first = 0; first < b->task_count; first += b->chunk_size) {
		uint32_t n = b->task_count - first;

		if (n > b->chunk_size)
			n = b->chunk_size;
		for (uint32_t i = 0; i < n; i++)
			specs[i] = b->tasks[first + i].spec;
		ev = (struct core_event){.type = CORE_EV_BATCH_CHUNK, .batch = number};
		ev.chunk.tasks = specs;
		ev.chunk.task_count = n;
		if (!first) {
			ev.chunk.options = b->options;
			ev.chunk.option_count = b->option_count;
			ev.chunk.functions = b->functions;
			ev.chunk.function_count = b->function_count;
			ev.chunk.groups = b->groups;
			ev.chunk.group_count = b->group_count;
		}
		step(s, &ev);
		if (!s->number_of[s->batch_of[number]])
			return; /* refused */
	}
	ev = (struct core_event){.type = CORE_EV_BATCH_SEAL, .batch = number};
	step(s, &ev);
}

static void name_batch(struct sim *s, uint64_t number, uint32_t batch)
{
	while (s->batch_of_count <= number) {
		mem_grow(s->batch_of, s->batch_of_count, s->batch_of_capacity);
		s->batch_of[s->batch_of_count++] = UINT32_MAX;
	}
	s->batch_of[number] = batch;
	s->number_of[batch] = number;
}

static void submitted(struct sim *s, uint32_t batch)
{
	struct message *m;

	if (s->number_of[batch]) { /* again: the same answer */
		m = message_new(M_ACK, 0);
		m->batch = batch;
		send_when_durable(s, m);
		flush_outbox(s);
		return;
	}
	if (s->disk_full)
		return; /* refused for now; the client tries again */
	name_batch(s, s->next_batch++, batch);
	ledger_append(s, R_OPEN, s->number_of[batch]);
	feed(s, s->number_of[batch], &s->batches[batch]);
}

/* ---- start and crash ---- */

static void replay(struct sim *s)
{
	size_t count = s->record_count;
	uint8_t *state = mem_alloc(s->next_batch + 1); /* 1 sealed, 2 over */

	for (size_t i = 0; i < count; i++) {
		const struct record *r = &s->records[i];

		if (r->type == R_SEALED)
			state[r->batch] |= 1;
		if (r->type == R_BATCH_ENDED || r->type == R_FORGET)
			state[r->batch] |= 2;
	}
	memset(s->number_of, 0, s->batch_count * sizeof *s->number_of);
	for (uint64_t number = 1; number < s->next_batch; number++)
		if (state[number] & 1)
			s->number_of[s->batch_of[number]] = number;
	s->replaying = true;
	for (uint64_t number = 1; number < s->next_batch; number++)
		if (state[number] == 1)
			feed(s, number, &s->batches[s->batch_of[number]]);
	for (size_t i = 0; i < count; i++) {
		struct record r = s->records[i];
		struct core_event ev = {.batch = r.batch, .index = r.index};

		if (r.type == R_LEASE && state[r.batch] == 1) {
			ev.type = CORE_EV_OLD_LEASE;
			ev.old_lease.epoch = r.epoch;
			ev.old_lease.attempt = r.attempt;
			ev.old_lease.deaths = r.deaths;
			memcpy(ev.old_lease.worker_key, r.worker_key, KEY_SIZE);
			step(s, &ev);
		} else if (r.type == R_END && state[r.batch] == 1) {
			const struct record *c =
				r.commit ? ledger_commit(s, r.commit) : NULL;
			struct content slots[8];

			ev.type = CORE_EV_OLD_END;
			ev.old_end.status = r.status;
			ev.old_end.cached = r.cached;
			ev.old_end.deduplicated = r.deduplicated;
			ev.old_end.commit = r.commit;
			ev.old_end.upstream = r.upstream;
			ev.old_end.attempts = r.attempts;
			if (c && core_wants_slots(s->core, r.batch, r.index)) {
				memcpy(slots, c->slots, sizeof slots);
				ev.old_end.slots = slots;
				ev.old_end.slot_count = c->slot_count;
			}
			step(s, &ev);
		}
	}
	s->replaying = false;
	free(state);
}

void broker_start(struct sim *s)
{
	struct core_config config = {.boot = ++s->boot, .next_commit = s->next_commit};
	struct core_event ev = {.type = CORE_EV_RECOVERED};

	memset(config.mac_key, 0x5a, sizeof config.mac_key);
	s->core = core_new(&config);
	s->broker_up = true;
	s->broker_life++;
	s->wake_at = 0;
	oracle_restart(s);
	replay(s);
	step(s, &ev);
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
	for (; s->durable_count < keep; s->durable_count++)
		oracle_record(s, &s->records[s->durable_count]);
	s->record_count = keep;
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
	memset(s->session, 0, sizeof s->session);
	s->disk_busy = s->broker_up = s->broker_paused = false;
	s->broker_life++;
	core_free(s->core);
	s->core = NULL;
}

/* ---- messages ---- */

static void hello(struct sim *s, struct message *m)
{
	const struct sim_worker *w = &s->workers[m->worker];
	struct core_event ev = {.type = CORE_EV_WORKER_JOIN, .worker = m->worker};

	if (m->session <= s->session[m->worker])
		return; /* an older connection */
	s->session[m->worker] = m->session;
	memcpy(ev.join.key, w->key, KEY_SIZE);
	ev.join.capacity[0] = (struct core_resource){"cpus", w->cpus};
	ev.join.capacity_count = 1;
	ev.join.credit = w->credit;
	step(s, &ev);
	for (uint32_t i = 0; i < m->claim_count; i++) {
		ev = (struct core_event){.type = CORE_EV_WORKER_CLAIM,
					 .worker = m->worker};
		ev.claim.lease = m->claims[i];
		ev.claim.started = m->claim_started[i];
		ev.claim.finished = m->claim_finished[i];
		step(s, &ev);
	}
}

static void result(struct sim *s, const struct message *m)
{
	struct core_event ev = {.type = CORE_EV_RESULT, .worker = m->worker};
	struct report *report;

	mem_grow(s->reports, s->report_count, s->report_capacity);
	report = &s->reports[s->report_count++];
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
	step(s, &ev);
}

static void handle(struct sim *s, struct message *m)
{
	struct core_event ev = {.worker = m->worker};
	bool from_worker = m->type != M_SUBMIT && m->type != M_CANCEL;

	if (from_worker && m->type != M_HELLO && m->session != s->session[m->worker])
		return; /* of a connection that is gone, or that has not said hello */
	switch (m->type) {
	case M_SUBMIT:
		submitted(s, m->batch);
		break;
	case M_CANCEL:
		if (!s->number_of[m->batch])
			break;
		ev.type = CORE_EV_CANCEL;
		ev.batch = s->number_of[m->batch];
		ev.index = m->index;
		step(s, &ev);
		break;
	case M_HELLO:
		hello(s, m);
		break;
	case M_ALIVE:
		ev.type = CORE_EV_WORKER_ALIVE;
		ev.alive.epochs = m->epochs;
		ev.alive.epoch_count = m->epoch_count;
		ev.alive.credit = s->workers[m->worker].credit;
		step(s, &ev);
		break;
	case M_BYE:
		ev.type = CORE_EV_WORKER_BYE;
		s->session[m->worker] = m->session; /* nothing of it counts any more */
		step(s, &ev);
		break;
	case M_RESULT:
		result(s, m);
		break;
	case M_HANDBACK:
		ev.type = CORE_EV_HANDBACK;
		ev.handback.lease = m->lease;
		ev.handback.started = m->started;
		step(s, &ev);
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
	step(s, &ev);
}

void broker_worker_gone(struct sim *s, uint32_t worker)
{
	struct core_event ev = {.type = CORE_EV_WORKER_GONE, .worker = worker};

	if (s->broker_up && s->session[worker])
		step(s, &ev);
}

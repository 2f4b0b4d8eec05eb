/* effect_model.c - what the loop does with effects: records for the ledger, messages that wait until
 * their step is on disk. And the disk, which takes groups of whole steps. */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

/* ---- the disk ---- */

void disk_kick(struct sim *s)
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

void disk_keep(struct sim *s, size_t count)
{
	for (; s->durable_count < count; s->durable_count++) {
		const struct record *r = &s->records[s->durable_count];

		if (r->type == R_BLOB)
			blob_put(s, r->blob, true);
		oracle_record(s, r);
	}
}

void disk_done(struct sim *s)
{
	struct core_event ev = {.type = CORE_EV_DURABLE, .durable = s->writing_step};

	s->disk_busy = false;
	disk_keep(s, s->writing_count);
	s->durable_step = s->writing_step;
	broker_step(s, &ev);
}

void disk_hold(struct sim *s, bool full)
{
	struct core_event ev = {.type = CORE_EV_HOLD, .hold = full};

	s->disk_full = full;
	if (s->broker_up)
		broker_step(s, &ev);
}

/* ---- what waits for it ---- */

/* Everything that was recorded in step @step or before is on disk. */
bool disk_has(const struct sim *s, uint64_t step)
{
	return s->durable_count == s->record_count ||
	       s->records[s->durable_count].step > step;
}

void flush_outbox(struct sim *s)
{
	size_t done = 0;

	while (done < s->outbox_count && disk_has(s, s->outbox[done].step))
		sim_send(s, s->outbox[done++].message);
	if (!done)
		return;
	memmove(s->outbox, s->outbox + done,
		(s->outbox_count - done) * sizeof *s->outbox);
	s->outbox_count -= done;
}

void broker_send_when_durable(struct sim *s, struct message *m)
{
	if (model_planted == PLANT_ACK_BEFORE_COMMIT) {
		sim_send(s, m);
		return;
	}
	mem_grow(s->outbox, s->outbox_count, s->outbox_capacity);
	s->outbox[s->outbox_count++] = (struct outgoing){s->step, m};
}

/* ---- effects ---- */

/* To the one that has the core's number @number now; to nobody if that has another one. */
static struct message *message_to(const struct sim *s, enum message_type type,
				  uint32_t number)
{
	uint32_t worker = s->owner[number] - 1;
	struct message *m;

	if (worker >= s->worker_count || s->number[worker] != number)
		return NULL;
	m = message_new(type, worker);
	m->session = s->session[worker];
	return m;
}

static void grant(struct sim *s, const struct core_effect *fx)
{
	struct message *m = message_to(s, M_ASSIGN, fx->worker);
	struct sim_batch *b = &s->batches[s->batch_of[fx->batch]];
	const struct sim_task *t = &b->tasks[fx->index];
	struct record *r = ledger_append(s, R_LEASE, fx->batch);
	struct core_task_view view;

	r->index = fx->index;
	r->epoch = fx->grant.lease.epoch;
	r->attempt = fx->grant.attempt;
	r->deaths = fx->grant.deaths;
	memcpy(r->worker_key, fx->grant.lease.worker_key, KEY_SIZE);
	if (!m)
		return;
	m->batch = s->batch_of[fx->batch];
	m->index = fx->index;
	m->lease = fx->grant.lease;
	m->kind = b->kinds[t->spec.function];
	/* A task that is over and made again for its bytes has no lease to be seen: its own counts. */
	m->priority = b->options[b->functions[t->spec.function].options].priority;
	if (!core_view_task(s->core, fx->batch, fx->index, &view) &&
	    view.epoch == m->lease.epoch)
		m->priority = view.priority;
	m->cpus = b->options[b->functions[t->spec.function].options].resources[0].amount;
	m->tokens =
		b->options[b->functions[t->spec.function].options].resources[1].amount;
	assert(fx->grant.args_size <= sizeof m->args);
	memcpy(m->args, fx->grant.args, fx->grant.args_size);
	m->args_size = fx->grant.args_size;
	memcpy(m->refs, t->refs, sizeof m->refs);
	m->ref_count = t->spec.ref_count;
	m->slot_count = 2 + b->functions[t->spec.function].output_count;
	if (fx->grant.early)
		sim_send(s, m);
	else
		broker_send_when_durable(s, m);
}

static void note_inputs(struct sim *s, struct record *r, const uint8_t *args)
{
	const struct sim_task *t = &s->batches[r->sim_batch].tasks[r->index];

	for (uint32_t i = 0; i < t->spec.ref_count; i++)
		memcpy(&r->inputs[r->input_count++], args + t->refs[i].offset,
		       CONTENT_SIZE);
}

static void commit(struct sim *s, const struct core_effect *fx)
{
	struct record *r = ledger_append(s, R_COMMIT, fx->batch);

	r->index = fx->index;
	r->commit = fx->commit.commit;
	r->parent = fx->commit.parent;
	r->completed = fx->commit.completed;
	r->quarantined = fx->commit.quarantined;
	r->lost_input = fx->commit.lost_input;
	r->current = fx->commit.completed && fx->commit.cache != CORE_CACHE_OFF;
	r->epoch = fx->commit.lease.epoch;
	r->attempts = fx->commit.attempts;
	r->shape = oracle_shape(&s->batches[r->sim_batch].tasks[r->index]);
	memcpy(r->func_hash, fx->commit.lease.func_hash, DIGEST_SIZE);
	memcpy(r->args_hash, fx->commit.lease.args_hash, DIGEST_SIZE);
	r->has_nonce = fx->commit.lease.has_nonce;
	memcpy(r->nonce, fx->commit.lease.nonce, NONCE_SIZE);
	if (fx->commit.token && fx->commit.completed) {
		const struct report *report = &s->reports[fx->commit.token - 1];

		memcpy(r->slots, report->slots, sizeof r->slots);
		r->slot_count = report->slot_count;
	}
	note_inputs(s, r, fx->commit.args);
	for (uint32_t i = 0; i < r->slot_count; i++)
		r->lost |= !blob_is_there(s, r->slots[i].digest);
	if (s->next_commit <= r->commit)
		s->next_commit = r->commit + 1;
	ledger_index_commit(s, r);
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
	broker_send_when_durable(s, m);
}

static void to_worker(struct sim *s, const struct core_effect *fx, enum message_type type)
{
	struct message *m = message_to(s, type, fx->worker);

	if (!m)
		return;
	m->epoch = type == M_STOP ? fx->stop.epoch : fx->verdict.epoch;
	if (type == M_VERDICT)
		m->verdict = fx->verdict.verdict;
	broker_send_when_durable(s, m);
}

static void forget_batch(struct sim *s, const struct core_effect *fx)
{
	struct sim_batch *b = &s->batches[s->batch_of[fx->batch]];

	ledger_append(s, R_FORGET, fx->batch);
	b->number = 0;
	b->fed = 0;
	b->sealed = false;
}

void effect_apply(struct sim *s, const struct core_effect *fx)
{
	oracle_effect(s, fx);
	switch (fx->type) {
	case CORE_FX_BATCH_SEALED:
		s->batches[s->batch_of[fx->batch]].sealed = true;
		if (s->replaying)
			break;
		ledger_append(s, R_SEALED, fx->batch);
		reply(s, fx, M_ACK);
		break;
	case CORE_FX_BATCH_REFUSED:
		forget_batch(s, fx);
		reply(s, fx, M_REFUSED);
		break;
	case CORE_FX_BATCH_DISCARDED:
		forget_batch(s, fx);
		break;
	case CORE_FX_LIST_BLOB:
		blob_announce(s, fx);
		gc_watch(s, fx->blob.digest);
		memcpy(ledger_append(s, R_BLOB, fx->batch)->blob, fx->blob.digest,
		       DIGEST_SIZE);
		break;
	case CORE_FX_GRANT:
		grant(s, fx);
		break;
	case CORE_FX_COMMIT:
		commit(s, fx);
		break;
	case CORE_FX_TASK_ENDED:
		if (fx->ended
			    .cached) /* perhaps by one that was not on disk when gc began */
			gc_watch_commit(s, ledger_commit(s, fx->ended.commit));
		ended(s, fx);
		break;
	case CORE_FX_BATCH_ENDED:
		ledger_append(s, R_BATCH_ENDED, fx->batch);
		break;
	case CORE_FX_BATCH_PAUSED:
		ledger_append(s, R_PAUSED, fx->batch)->index = fx->paused.function;
		sim_at(s, 5 * NS_PER_S, A_CLIENT_RESUME, (uint32_t)fx->batch,
		       s->broker_life);
		break;
	case CORE_FX_BATCH_RESUMED:
		ledger_append(s, R_RESUMED, fx->batch);
		break;
	case CORE_FX_STOP:
		to_worker(s, fx, M_STOP);
		break;
	case CORE_FX_VERDICT:
		if (fx->verdict.token)
			s->reports[fx->verdict.token - 1].answered = true;
		to_worker(s, fx, M_VERDICT);
		break;
	case CORE_FX_WORKER_FORGOTTEN:
		join_forgotten(s, fx->worker);
		break;
	case CORE_FX_LOOKUP:
	case CORE_FX_ATTEMPT_FAILED:
	case CORE_FX_BATCH_FORGOTTEN:
	case CORE_FX_WORKER_SILENT:
		break;
	}
}

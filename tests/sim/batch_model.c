/* batch_model.c - batches on their way: clients that send them until they hear something, or die
 * before they have sent all; the loop, which numbers them and looks after those that stay
 * unsealed. */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

#define IDLE_NS (60 * NS_PER_S)

uint32_t batch_chunks(const struct sim_batch *b)
{
	return (b->task_count + b->chunk_size - 1) / b->chunk_size;
}

/* ---- clients ---- */

/* What is sent is everything and the seal, or less by a client that dies or stops for a while. */
void client_try(struct sim *s, uint32_t batch)
{
	struct sim_batch *b = &s->batches[batch];
	struct message *m;

	if (b->acknowledged || b->refused || b->abandoned)
		return;
	m = message_new(M_SUBMIT, 0);
	m->batch = batch;
	m->index = batch_chunks(b) + 1;
	if (sim_fault(s, FAULT_CLIENT_GONE, &s->choice)) {
		m->index = (uint32_t)rng_below(&s->choice, m->index);
		b->abandoned = rng_chance(&s->choice, 300);
		sim_at(s, rng_below(&s->choice, 100) * NS_PER_S, A_CLIENT_TRY, batch, 0);
	} else {
		sim_at(s, 3 * NS_PER_S, A_CLIENT_TRY, batch, 0);
	}
	sim_send(s, m);
}

void client_cancel(struct sim *s, uint32_t batch)
{
	struct message *m = message_new(M_CANCEL, 0);
	struct sim_batch *b = &s->batches[batch];

	m->batch = batch;
	m->index = rng_chance(&s->choice, 500)
			   ? CORE_NO_INDEX
			   : (uint32_t)rng_below(&s->choice, b->task_count);
	b->cancelled = true;
	sim_send(s, m);
}

/* ---- the loop ---- */

static void chunk(struct sim *s, struct sim_batch *b)
{
	struct core_event ev = {.type = CORE_EV_BATCH_CHUNK, .batch = b->number};
	uint32_t first = b->fed * b->chunk_size, n = b->task_count - first;
	struct core_task_spec *specs;

	n = n < b->chunk_size ? n : b->chunk_size;
	specs = mem_alloc(n * sizeof *specs);
	for (uint32_t i = 0; i < n; i++)
		specs[i] = b->tasks[first + i].spec;
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
	b->fed++;
	broker_step(s, &ev);
	free(specs);
}

void batch_feed(struct sim *s, struct sim_batch *b, uint32_t upto)
{
	struct core_event ev = {.batch = b->number};

	while (b->fed < upto && b->fed < batch_chunks(b)) {
		if (!s->replaying)
			ledger_append(s, R_CHUNK, b->number);
		chunk(s, b);
		if (!b->number)
			return; /* refused */
	}
	if (upto <= batch_chunks(b))
		return;
	ev.type = CORE_EV_BATCH_SEAL;
	broker_step(s, &ev);
}

static void open(struct sim *s, uint32_t batch)
{
	struct core_event ev = {.type = CORE_EV_BATCH_OPEN, .batch = s->next_batch++};
	struct sim_batch *b = &s->batches[batch];

	while (s->batch_of_count <= ev.batch) {
		mem_grow(s->batch_of, s->batch_of_count, s->batch_of_capacity);
		s->batch_of[s->batch_of_count++] = UINT32_MAX;
	}
	s->batch_of[ev.batch] = batch;
	b->number = ev.batch;
	b->fed = 0;
	b->sealed = false;
	memcpy(ev.open.id, b->id, DIGEST_SIZE);
	ev.open.max_failures = b->max_failures;
	ev.open.max_parallel = b->max_parallel;
	ledger_append(s, R_OPEN, ev.batch);
	broker_step(s, &ev);
	sim_at(s, IDLE_NS, A_BATCH_IDLE, batch, s->broker_life);
}

void batch_submitted(struct sim *s, const struct message *m)
{
	struct sim_batch *b = &s->batches[m->batch];
	struct message *ack;

	if (b->sealed) { /* again: the same answer */
		if (m->index <= batch_chunks(b))
			return;
		ack = message_new(M_ACK, 0);
		ack->batch = m->batch;
		broker_send_when_durable(s, ack);
		flush_outbox(s);
		return;
	}
	if (s->disk_full)
		return; /* refused for now; the client tries again */
	if (!b->number)
		open(s, m->batch);
	b->touched_at = s->now;
	batch_feed(s, b, m->index);
}

void batch_idle(struct sim *s, uint32_t batch)
{
	struct sim_batch *b = &s->batches[batch];
	struct core_event ev = {.type = CORE_EV_BATCH_DISCARD, .batch = b->number};

	if (!b->number || b->sealed || s->core_discards)
		return;
	if (s->now < b->touched_at + IDLE_NS || s->broker_paused)
		sim_at(s, 5 * NS_PER_S, A_BATCH_IDLE, batch, s->broker_life);
	else
		broker_step(s, &ev);
}

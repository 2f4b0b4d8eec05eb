/* worker_model.c - a worker: holds leases, runs what fits, reads its inputs, writes its outputs,
 * reports until it is heard. It is honest unless FAULT_LIAR strikes; a paused one goes on later
 * as if nothing had happened. */
#include "common/pure/sha256.h"
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

#define PASSING_NS (2 * NS_PER_S) /* as worker/schedule.c has it */

static struct held *find(struct sim_worker *w, uint64_t epoch)
{
	for (uint32_t i = 0; i < w->held_count; i++)
		if (w->held[i].assignment.lease.epoch == epoch)
			return &w->held[i];
	return NULL;
}

static void forget(struct sim_worker *w, struct held *h)
{
	uint32_t i = (uint32_t)(h - w->held);

	memmove(h, h + 1, (w->held_count - i - 1) * sizeof *h);
	w->held_count--;
}

static void lie(struct sim *s, const struct message *truth)
{
	struct message *m = message_new(M_RESULT, truth->worker);

	*m = *truth;
	switch (rng_below(&s->choice, 4)) {
	case 0:
		m->lease.args_hash[3] ^= 1;
		break;
	case 1:
		m->lease.epoch += 1;
		break;
	case 2:
		m->lease.worker_key[0] ^= 7;
		break;
	default:
		m->lease.index += 1;
		break;
	}
	sim_send(s, m);
}

static void report(struct sim *s, uint32_t number, struct held *h)
{
	struct message *m = message_new(M_RESULT, number);

	*m = h->result;
	m->session = s->workers[number].session;
	h->reported_at = s->now;
	if (sim_fault(s, FAULT_LIAR, &s->choice))
		lie(s, m);
	sim_send(s, m);
}

static void start_what_fits(struct sim *s, uint32_t number)
{
	struct sim_worker *w = &s->workers[number];
	uint64_t used = 0, tokens = 0;
	const struct message *unfit = NULL;

	for (uint32_t i = 0; i < w->held_count; i++)
		if (w->held[i].started && !w->held[i].finished) {
			used += w->held[i].assignment.cpus;
			tokens += w->held[i].assignment.tokens;
		}
	for (uint32_t i = 0; i < w->held_count; i++) {
		struct held *h = &w->held[i];
		uint64_t duration = rng_below(&s->choice, 800) * NS_PER_MS;

		if (h->started || h->stopping)
			continue;
		if (unfit && h->assignment.cpus == unfit->cpus &&
		    h->assignment.tokens == unfit->tokens)
			continue;
		if (used + h->assignment.cpus > w->cpus ||
		    tokens + h->assignment.tokens > w->tokens) {
			if (s->now - h->received_at >= PASSING_NS)
				return;		/* now all wait for it */
			unfit = &h->assignment; /* others may pass it */
			continue;
		}
		used += h->assignment.cpus;
		tokens += h->assignment.tokens;
		h->started = true;
		fair_started(s, number, h);
		/* What is not there is found before it runs. */
		if (h->assignment.kind == KIND_SLOW && !blob_missing(s, &h->assignment))
			duration += rng_below(&s->choice, 90) * NS_PER_S;
		sim_at(s, duration, A_WORKER_DONE, number, h->assignment.lease.epoch);
	}
}

/* ---- the end of an attempt ---- */

static bool fails(struct sim *s, const struct message *a)
{
	return a->kind == KIND_BAD ||
	       (a->kind == KIND_FLAKY && rng_chance(&s->choice, s->rate[FAULT_FLAKY]));
}

/* Bytes that rot just when they are wanted. */
static void lose_an_input(struct sim *s, const struct message *a)
{
	const struct core_ref *ref = &a->refs[rng_below(&s->choice, a->ref_count)];
	struct blob *b = blob_find(s, a->args + ref->offset + 1);

	if (b && b->entry_count && rng_chance(&s->choice, 600))
		b = blob_find(s,
			      b->entries[rng_below(&s->choice, b->entry_count)].digest);
	if (b)
		blob_lose(s, b);
}

static void write_outputs(struct sim *s, struct held *h)
{
	const struct message *a = &h->assignment;
	struct core_lease lease = a->lease;

	sha256_digest(a->args, a->args_size, lease.args_hash);
	for (uint32_t i = 0; i < a->slot_count; i++) {
		h->result.slots[i] = workload_output(&lease, i, a->kind);
		blob_put(s, h->result.slots[i].digest, true);
	}
}

static void finish(struct sim *s, uint32_t number, struct held *h)
{
	const struct message *a = &h->assignment;
	struct message *r = &h->result;
	const uint8_t *missing = NULL;

	*r = *a;
	r->type = M_RESULT;
	r->worker = number;
	r->outcome = CORE_OUT_COMPLETED;
	if (!h->stopping && a->ref_count && sim_fault(s, FAULT_LOST_BLOB, &s->choice))
		lose_an_input(s, a);
	if (h->stopping)
		r->outcome = CORE_OUT_STOPPED;
	else if (sim_fault(s, FAULT_NO_ROOM, &s->choice))
		r->outcome = CORE_OUT_NO_ROOM;
	else if ((missing = blob_missing(s, a)))
		r->outcome = CORE_OUT_INPUT_MISSING;
	else if (fails(s, a))
		r->outcome = rng_chance(&s->choice, 200) ? CORE_OUT_TIMED_OUT
							 : CORE_OUT_FAILED;
	if (missing)
		memcpy(r->missing, missing, DIGEST_SIZE);
	if (r->outcome == CORE_OUT_COMPLETED)
		write_outputs(s, h);
	else
		r->slot_count = 0;
	h->finished = true;
	report(s, number, h);
	start_what_fits(s, number);
}

void worker_done(struct sim *s, uint32_t number, uint64_t epoch, uint64_t incarnation)
{
	struct sim_worker *w = &s->workers[number];
	struct held *h = w->incarnation == incarnation ? find(w, epoch) : NULL;

	if (!w->up || !h || !h->started || h->finished)
		return;
	if (w->paused) { /* it will find out when it goes on */
		sim_at(s, NS_PER_S, A_WORKER_DONE, number, epoch);
		return;
	}
	if (h->assignment.kind == KIND_POISON && !s->calm &&
	    rng_chance(&s->choice, 900)) {
		oracle_poisoned(s, w, &h->assignment.lease);
		worker_crash(s, number);
		return;
	}
	finish(s, number, h);
}

/* ---- the process ---- */

void worker_start(struct sim *s, uint32_t number)
{
	struct sim_worker *w = &s->workers[number];

	if (w->up)
		return;
	w->up = true;
	w->paused = false;
	w->incarnation++;
	if (sim_fault(s, FAULT_NEW_KEY, &s->choice))
		memcpy(w->key, &w->incarnation, sizeof w->incarnation);
	worker_hello(s, number);
	sim_at(s, 2 * NS_PER_S, A_WORKER_TICK, number, w->incarnation);
}

static void end(struct sim *s, uint32_t number)
{
	struct sim_worker *w = &s->workers[number];

	oracle_process_ended(s, number);
	w->up = false;
	w->incarnation++;
	w->held_count = 0;
	sim_at(s, NS_PER_S + rng_below(&s->crash, 20) * NS_PER_S, A_WORKER_START, number,
	       0);
}

void worker_crash(struct sim *s, uint32_t number)
{
	struct sim_worker *w = &s->workers[number];

	if (!w->up)
		return;
	sim_trace(s, "worker %u crash", number);
	sim_at(s, rng_below(&s->network, 500) * NS_PER_MS, A_WORKER_GONE, number,
	       w->session);
	end(s, number);
}

/* Leaves for good: hands back what it has, says goodbye; a new process comes later. */
void worker_goodbye(struct sim *s, uint32_t number)
{
	struct sim_worker *w = &s->workers[number];
	struct message *bye;

	if (!w->up || w->paused)
		return;
	for (uint32_t i = 0; i < w->held_count; i++) {
		struct message *m;

		if (w->held[i].finished)
			continue;
		m = message_new(M_HANDBACK, number);
		m->lease = w->held[i].assignment.lease;
		m->started = w->held[i].started;
		m->session = w->session;
		sim_send(s, m);
	}
	bye = message_new(M_BYE, number);
	bye->session = w->session;
	sim_send(s, bye);
	sim_trace(s, "worker %u leaves", number);
	end(s, number);
}

/* ---- what it says ---- */

/* A new connection: the old one's messages are dead, everything is said again. */
void worker_hello(struct sim *s, uint32_t number)
{
	struct sim_worker *w = &s->workers[number];
	struct message *m;

	if (!w->up || w->paused)
		return;
	m = message_new(M_HELLO, number);
	m->session = ++w->session;
	memcpy(m->lease.worker_key, w->key, KEY_SIZE);
	m->epoch = (uint64_t)(number + 1) << 32 | w->incarnation; /* the process */
	m->claim_count = w->held_count;
	m->claims = mem_alloc(w->held_count * sizeof *m->claims);
	m->claim_started = mem_alloc(w->held_count);
	m->claim_finished = mem_alloc(w->held_count);
	for (uint32_t i = 0; i < w->held_count; i++) {
		m->claims[i] = w->held[i].assignment.lease;
		m->claim_started[i] = w->held[i].started;
		m->claim_finished[i] = w->held[i].finished;
	}
	sim_send(s, m);
	for (uint32_t i = 0; i < w->held_count; i++)
		if (w->held[i].finished)
			report(s, number, &w->held[i]);
}

static void heartbeat(struct sim *s, uint32_t number)
{
	struct sim_worker *w = &s->workers[number];
	struct message *m = message_new(M_ALIVE, number);

	m->session = w->session;
	m->epochs = mem_alloc(w->held_count * sizeof *m->epochs);
	for (uint32_t i = 0; i < w->held_count; i++)
		m->epochs[m->epoch_count++] = w->held[i].assignment.lease.epoch;
	sim_send(s, m);
}

void worker_tick(struct sim *s, uint32_t number, uint64_t incarnation)
{
	struct sim_worker *w = &s->workers[number];
	struct message *m;
	struct held *h;

	if (!w->up || w->incarnation != incarnation)
		return;
	sim_at(s, 2 * NS_PER_S, A_WORKER_TICK, number, incarnation);
	if (w->paused)
		return;
	if (s->session[number] != w->session && s->broker_up) {
		worker_hello(s, number); /* "say hello first" */
		return;
	}
	heartbeat(s, number);
	for (uint32_t i = 0; i < w->held_count; i++)
		if (w->held[i].finished && s->now - w->held[i].reported_at > 5 * NS_PER_S)
			report(s, number, &w->held[i]);
	if (!w->held_count || !sim_fault(s, FAULT_HANDBACK, &s->choice))
		return;
	h = &w->held[w->held_count - 1];
	if (h->started)
		return;
	m = message_new(M_HANDBACK, number);
	m->session = w->session;
	m->lease = h->assignment.lease;
	forget(w, h);
	sim_send(s, m);
}

void worker_receive(struct sim *s, struct message *m)
{
	struct sim_worker *w = &s->workers[m->worker];
	struct held *h;

	if (!w->up || m->session != w->session) {
		message_free(m);
		return;
	}
	if (w->paused) { /* waits in the socket */
		sim_later(s, NS_PER_S, m);
		return;
	}
	h = find(w, m->type == M_ASSIGN ? m->lease.epoch : m->epoch);
	switch (m->type) {
	case M_ASSIGN:
		if (h)
			break; /* a duplicate */
		oracle_assignment(s, m);
		mem_grow(w->held, w->held_count, w->held_capacity);
		w->held[w->held_count] =
			(struct held){.assignment = *m, .received_at = s->now};
		w->held_count++;
		start_what_fits(s, m->worker);
		break;
	case M_STOP:
		if (!h || h->finished)
			break;
		h->stopping = true;
		h->started = true;
		finish(s, m->worker, h);
		break;
	case M_VERDICT:
		if (h && h->finished)
			forget(w, h);
		break;
	case M_SUBMIT:
	case M_CANCEL:
	case M_HELLO:
	case M_ALIVE:
	case M_BYE:
	case M_RESULT:
	case M_HANDBACK:
	case M_ACK:
	case M_REFUSED:
	case M_LOOKUP:
		assert(!"for others");
	}
	message_free(m);
}

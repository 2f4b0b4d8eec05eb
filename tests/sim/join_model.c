/* join_model.c - what the loop knows of workers: one session each, and the core's number. A restarted
 * worker with another key may get the same number or a new one. */
#include "tests/sim/sim.h"

#include <string.h>

void join_reset(struct sim *s)
{
	memset(s->session, 0, sizeof s->session);
	memset(s->known_key, 0, sizeof s->known_key);
	memset(s->owner, 0, sizeof s->owner);
	s->number_count = s->worker_count;
	for (uint32_t i = 0; i < s->worker_count; i++) {
		s->number[i] = i;
		s->owner[i] = i + 1;
	}
}

static uint32_t free_number(struct sim *s)
{
	uint32_t n = 0;

	while (s->owner[n])
		n++;
	assert(n < SIM_NUMBERS_MAX);
	return n;
}

void join_forgotten(struct sim *s, uint32_t number)
{
	uint32_t worker = s->owner[number] - 1;

	if (s->number[worker] == number)
		s->session[worker] = 0; /* it must say hello; its number waits for it */
	else
		s->owner[number] = 0;
}

static void take_number(struct sim *s, uint32_t worker)
{
	static const uint8_t nobody[KEY_SIZE];
	const uint8_t *key = s->workers[worker].key;
	bool fresh = !memcmp(s->known_key[worker], nobody, KEY_SIZE);

	if (fresh || !memcmp(s->known_key[worker], key, KEY_SIZE) ||
	    rng_chance(&s->choice, 500)) {
		memcpy(s->known_key[worker], key, KEY_SIZE);
		return;
	}
	memcpy(s->known_key[worker], key, KEY_SIZE);
	sim_at(s, rng_below(&s->network, 3 * NS_PER_S), A_NUMBER_GONE, s->number[worker],
	       s->broker_life);
	s->number[worker] = free_number(s);
	s->owner[s->number[worker]] = worker + 1;
}

void join_hello(struct sim *s, const struct message *m)
{
	const struct sim_worker *w = &s->workers[m->worker];
	struct core_event ev = {.type = CORE_EV_WORKER_JOIN};

	if (m->session <= s->session[m->worker])
		return; /* an older connection */
	fair_reset(s);
	if (memcmp(m->lease.worker_key, w->key, KEY_SIZE))
		return; /* of a process that is gone */
	s->session[m->worker] = m->session;
	take_number(s, m->worker);
	ev.worker = s->number[m->worker];
	memcpy(ev.join.key, w->key, KEY_SIZE);
	ev.join.process = m->epoch;
	ev.join.capacity[0] = (struct core_resource){"cpus", w->cpus};
	strcpy(ev.join.capacity[1].name, s->second);
	ev.join.capacity[1].amount = w->tokens;
	ev.join.capacity_count = 2;
	ev.join.credit = w->credit;
	ev.join.claims = m->claim_count;
	broker_step(s, &ev);
	for (uint32_t i = 0; i < m->claim_count; i++) {
		ev = (struct core_event){.type = CORE_EV_WORKER_CLAIM,
					 .worker = s->number[m->worker]};
		ev.claim.lease = m->claims[i];
		ev.claim.started = m->claim_started[i];
		ev.claim.finished = m->claim_finished[i];
		broker_step(s, &ev);
	}
}

/* The peer is gone; what still comes from that connection is a stranger's, or is heard after all. */
void join_gone(struct sim *s, uint32_t worker)
{
	struct core_event ev = {.type = CORE_EV_WORKER_GONE, .worker = s->number[worker]};

	if (!s->broker_up || !s->session[worker])
		return;
	fair_reset(s);
	if (rng_chance(&s->choice, 700))
		s->session[worker] = 0;
	broker_step(s, &ev);
}

void join_number_gone(struct sim *s, uint32_t number)
{
	struct core_event ev = {.type = CORE_EV_WORKER_GONE, .worker = number};
	uint32_t worker = s->owner[number] - 1;

	fair_reset(s);
	if (worker < s->worker_count && s->number[worker] != number)
		broker_step(s, &ev);
}

/* sim.c - virtual time: a queue of actions, the network between the nodes, the plan of faults. */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const char *const fault_names[FAULT_COUNT] = {
	"drop",	       "duplicate",    "delay",	       "cut",	       "broker-crash",
	"torn-crash",  "worker-crash", "worker-pause", "worker-leave", "slow-disk",
	"full-disk",   "broker-pause", "lost-blob",    "liar",	       "flaky",
	"poison",      "cancel",       "handback",     "slow-lookup",  "expire",
	"client-gone", "new-key",      "no-room",      "gc",
};

uint64_t rng_next(struct rng *r)
{
	uint64_t z = (r->state += 0x9e3779b97f4a7c15u); /* splitmix64 */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
	return rng_next(r) % n;
}

bool rng_chance(struct rng *r, unsigned per_mille)
{
	return rng_below(r, 1000) < per_mille;
}

/* A draw is always made, so that a fault that is masked out does not move the others. */
bool sim_fault(struct sim *s, enum fault fault, struct rng *r)
{
	bool strikes = rng_chance(r, s->rate[fault]);

	return strikes && !s->calm;
}

void sim_trace(struct sim *s, const char *fmt, ...)
{
	char line[512];
	va_list args;
	int size;

	va_start(args, fmt);
	size = vsnprintf(line, sizeof line, fmt, args);
	va_end(args);
	for (int i = 0; i < size && i < (int)sizeof line; i++) /* FNV-1a */
		s->trace_hash = (s->trace_hash ^ (uint8_t)line[i]) * 0x100000001b3u;
	s->trace_hash = (s->trace_hash ^ s->now) * 0x100000001b3u;
	if (s->options.trace)
		printf("%12.6f %s\n", (double)s->now / 1e9, line);
}

/* ---- the queue ---- */

static bool before(const struct action *a, const struct action *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void push(struct sim *s, struct action a)
{
	size_t i;

	a.order = ++s->order;
	mem_grow(s->queue, s->queue_count, s->queue_capacity);
	for (i = s->queue_count++; i && before(&a, &s->queue[(i - 1) / 2]);
	     i = (i - 1) / 2)
		s->queue[i] = s->queue[(i - 1) / 2];
	s->queue[i] = a;
}

static struct action pop(struct sim *s)
{
	struct action top = s->queue[0], last = s->queue[--s->queue_count];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= s->queue_count)
			break;
		if (child + 1 < s->queue_count &&
		    before(&s->queue[child + 1], &s->queue[child]))
			child++;
		if (!before(&s->queue[child], &last))
			break;
		s->queue[i] = s->queue[child];
		i = child;
	}
	s->queue[i] = last;
	return top;
}

void sim_at(struct sim *s, uint64_t delay, enum action_type type, uint32_t who,
	    uint64_t arg)
{
	struct action a = {.at = s->now + delay, .type = type, .who = who, .arg = arg};

	if (type == A_WORKER_DONE)
		a.arg2 = s->workers[who].incarnation;
	push(s, a);
}

/* ---- messages ---- */

struct message *message_new(enum message_type type, uint32_t worker)
{
	struct message *m = mem_alloc(sizeof *m);

	m->type = type;
	m->worker = worker;
	return m;
}

void message_free(struct message *m)
{
	if (!m)
		return;
	free(m->epochs);
	free(m->claims);
	free(m->claim_started);
	free(m->claim_finished);
	free(m);
}

static struct message *message_copy(const struct message *m)
{
	struct message *copy = mem_copy(m, sizeof *m);

	if (m->epochs)
		copy->epochs = mem_copy(m->epochs, m->epoch_count * sizeof *m->epochs);
	if (!m->claims)
		return copy;
	copy->claims = mem_copy(m->claims, m->claim_count * sizeof *m->claims);
	copy->claim_started = mem_copy(m->claim_started, m->claim_count);
	copy->claim_finished = mem_copy(m->claim_finished, m->claim_count);
	return copy;
}

void sim_later(struct sim *s, uint64_t delay, struct message *m)
{
	push(s, (struct action){.at = s->now + delay, .type = A_MESSAGE, .message = m});
}

static bool to_broker(const struct message *m)
{
	return m->type <= M_HANDBACK && m->type != M_ACK && m->type != M_REFUSED;
}

void sim_send(struct sim *s, struct message *m)
{
	uint64_t delay = 20000 + rng_below(&s->network, 200000);
	bool client = m->type == M_SUBMIT || m->type == M_CANCEL || m->type == M_ACK ||
		      m->type == M_REFUSED;
	bool lost = sim_fault(s, FAULT_DROP, &s->network);
	bool twice = sim_fault(s, FAULT_DUPLICATE, &s->network);

	s->messages++;
	bool late = sim_fault(s, FAULT_DELAY, &s->network);
	uint64_t late_by = rng_below(&s->network, 4 * NS_PER_S);

	if (!client) {
		struct sim_worker *w = &s->workers[m->worker];
		uint64_t *last = &w->last_message[to_broker(m)];

		lost = lost || (to_broker(m) ? w->cut_out : w->cut_in);
		if (s->now + delay <= *last) /* a connection keeps the order */
			delay = *last + 1 - s->now;
		*last = s->now + delay;
	}
	if (late)
		delay += late_by;
	sim_trace(s, "%s %s worker %u lease %llx", lost ? "lost" : "sent",
		  message_names[m->type], m->worker,
		  (unsigned long long)(m->epoch ? m->epoch : m->lease.epoch));
	if (twice)
		sim_later(s, delay + rng_below(&s->network, NS_PER_S), message_copy(m));
	if (lost)
		message_free(m);
	else
		sim_later(s, delay, m);
}

/* ---- what arrives ---- */

static void deliver(struct sim *s, struct message *m)
{
	switch (m->type) {
	case M_ACK:
		oracle_acknowledged(s, m->batch);
		s->batches[m->batch].acknowledged = true;
		message_free(m);
		break;
	case M_REFUSED:
		if (!s->batches[m->batch].bad)
			broken(s, "batch %u is good and was refused", m->batch);
		s->batches[m->batch].refused = true;
		message_free(m);
		break;
	case M_ASSIGN:
	case M_STOP:
	case M_VERDICT:
		worker_receive(s, m);
		break;
	case M_SUBMIT:
	case M_CANCEL:
	case M_HELLO:
	case M_ALIVE:
	case M_BYE:
	case M_RESULT:
	case M_HANDBACK:
	case M_LOOKUP:
		broker_receive(s, m);
		break;
	}
}

/* ---- faults that come by themselves ---- */

static void heal(struct sim *s)
{
	s->calm = true;
	s->calm_at = s->now;
	sim_trace(s, "calm");
	for (uint32_t i = 0; i < s->worker_count; i++) {
		struct sim_worker *w = &s->workers[i];

		w->cut_in = w->cut_out = w->paused = false;
		if (!w->up)
			worker_start(s, i);
		else
			worker_hello(s, i);
	}
	if (s->disk_full)
		disk_hold(s, false);
	if (s->broker_paused)
		broker_resume(s);
	if (!s->broker_up)
		broker_start(s);
	sim_at(s, 10 * NS_PER_S, A_CALM_CHECK, 0, 0);
}

/* At rest; a scrub or the next reader finds it gone. */
static void rot(struct sim *s)
{
	struct blob *b;

	if (!s->blob_count)
		return;
	b = &s->blobs[rng_below(&s->disk, s->blob_count)];
	if (b->present)
		blob_lose(s, b);
}

static void strike(struct sim *s)
{
	uint32_t i = (uint32_t)rng_below(&s->crash, s->worker_count);
	struct sim_worker *w = &s->workers[i];
	uint64_t pause = rng_below(&s->clock, 60) * NS_PER_S;

	sim_at(s, NS_PER_S / 4 + rng_below(&s->crash, 3 * NS_PER_S), A_FAULT, 0, 0);
	if (sim_fault(s, FAULT_BROKER_CRASH, &s->crash) && s->broker_up) {
		broker_crash(s);
		sim_at(s, rng_below(&s->crash, 10) * NS_PER_S, A_BROKER_START, 0, 0);
	}
	if (sim_fault(s, FAULT_WORKER_CRASH, &s->crash))
		worker_crash(s, i);
	if (sim_fault(s, FAULT_WORKER_LEAVE, &s->crash))
		worker_goodbye(s, i);
	if (sim_fault(s, FAULT_WORKER_PAUSE, &s->clock) && w->up && !w->paused) {
		w->paused = true;
		sim_at(s, pause, A_WORKER_RESUME, i, w->incarnation);
	}
	if (sim_fault(s, FAULT_CUT, &s->network)) {
		w->cut_in = rng_chance(&s->network, 700);
		w->cut_out = rng_chance(&s->network, 700);
		sim_at(s, rng_below(&s->network, 60) * NS_PER_S, A_WORKER_RESUME, i,
		       w->incarnation);
		if (rng_chance(&s->network, 500))
			sim_at(s, NS_PER_S, A_WORKER_GONE, i, w->session);
	}
	if (sim_fault(s, FAULT_BROKER_PAUSE, &s->clock) && s->broker_up &&
	    !s->broker_paused) {
		s->broker_paused = true;
		sim_at(s, pause, A_BROKER_RESUME, 0, s->broker_life);
	}
	if (sim_fault(s, FAULT_FULL_DISK, &s->disk) && s->broker_up && !s->broker_paused)
		disk_hold(s, !s->disk_full);
	if (sim_fault(s, FAULT_LOST_BLOB, &s->disk))
		rot(s);
	if (sim_fault(s, FAULT_GC, &s->collect) && s->broker_up && !s->broker_paused)
		gc_begin(s);
	if (sim_fault(s, FAULT_CANCEL, &s->choice))
		client_cancel(s, (uint32_t)rng_below(&s->choice, s->batch_count));
}

static void worker_resume(struct sim *s, uint32_t i)
{
	struct sim_worker *w = &s->workers[i];

	w->paused = w->cut_in = w->cut_out = false;
	if (rng_chance(&s->choice, 500))
		worker_hello(
			s,
			i); /* its connection broke; else it goes on with the old one */
}

static void act(struct sim *s, struct action *a)
{
	bool now = a->arg == s->broker_life && s->broker_up;
	uint32_t number = now && a->type == A_CLIENT_RESUME ? a->who : 0;
	struct core_event resume = {.type = CORE_EV_RESUME, .batch = number};

	switch (a->type) {
	case A_MESSAGE:
		deliver(s, a->message);
		break;
	case A_BROKER_WAKE:
		if (now && !s->broker_paused && s->wake_at && s->now >= s->wake_at)
			broker_wake(s);
		break;
	case A_BROKER_START:
		if (!s->broker_up)
			broker_start(s);
		break;
	case A_BROKER_RESUME:
		if (now && s->broker_paused)
			broker_resume(s);
		break;
	case A_DISK:
		if (now)
			disk_done(s);
		break;
	case A_WORKER_TICK:
		worker_tick(s, a->who, a->arg);
		break;
	case A_WORKER_DONE:
		worker_done(s, a->who, a->arg, a->arg2);
		break;
	case A_WORKER_START:
		worker_start(s, a->who);
		break;
	case A_WORKER_RESUME:
		worker_resume(s, a->who);
		break;
	case A_WORKER_HELLO:
		if (s->session[a->who] != s->workers[a->who].session)
			worker_hello(s, a->who);
		break;
	case A_WORKER_GONE:
		if (s->broker_paused || s->session[a->who] != a->arg)
			break;
		oracle_process_ended(s, a->who); /* as far as the broker can know */
		join_gone(s, a->who);
		break;
	case A_NUMBER_GONE:
		if (now && !s->broker_paused)
			join_number_gone(s, a->who);
		else if (now)
			sim_at(s, NS_PER_S, A_NUMBER_GONE, a->who, a->arg);
		break;
	case A_CLIENT_TRY:
		client_try(s, a->who);
		break;
	case A_CLIENT_RESUME:
		if (now && !s->broker_paused)
			broker_step(s, &resume);
		else if (now)
			sim_at(s, NS_PER_S, A_CLIENT_RESUME, a->who, a->arg);
		break;
	case A_BATCH_IDLE:
		if (now)
			batch_idle(s, a->who);
		break;
	case A_FAULT:
		if (!s->calm)
			strike(s);
		break;
	case A_GC:
		gc_step(s, a->arg);
		break;
	case A_CALM_CHECK:
		oracle_calm(s);
		sim_at(s, 2 * NS_PER_S, A_CALM_CHECK, 0, 0);
		break;
	}
}

/* Two attempts of one execution may overlap only by one of these. */
static const enum fault unquiet[] = {
	FAULT_DROP,	    FAULT_DELAY,	FAULT_CUT,	    FAULT_BROKER_CRASH,
	FAULT_WORKER_CRASH, FAULT_WORKER_PAUSE, FAULT_WORKER_LEAVE, FAULT_SLOW_DISK,
	FAULT_BROKER_PAUSE, FAULT_LIAR,		FAULT_NEW_KEY,	    FAULT_FULL_DISK,
	FAULT_POISON,	    FAULT_DUPLICATE,
};

static void plan_faults(struct sim *s)
{
	struct rng plan = {s->options.seed ^ 0x666175u};
	bool quiet = rng_chance(&plan, 100);

	for (int i = 0; i < FAULT_GC; i++) {
		bool on = rng_chance(&plan, 350);
		unsigned rate = 1 + (unsigned)rng_below(&plan, 200);

		if (i == FAULT_LIAR || i == FAULT_FLAKY)
			rate *= 3;
		if (on && (s->options.fault_mask >> i & 1))
			s->rate[i] = rate;
	}
	/* A stream of its own: it came later, and does not move the others. */
	struct rng collect = {s->options.seed ^ 0x6763u};
	if (rng_chance(&collect, 350) && (s->options.fault_mask >> FAULT_GC & 1))
		s->rate[FAULT_GC] = 100 + (unsigned)rng_below(&collect, 800);
	if (s->rate[FAULT_BROKER_CRASH] && rng_chance(&plan, 500))
		s->rate[FAULT_TORN_CRASH] =
			s->options.fault_mask >> FAULT_TORN_CRASH & 1 ? 500 : 0;
	s->core_discards = rng_chance(&plan, 500);
	for (size_t i = 0; i < ARRAY_LEN(unquiet) && quiet; i++)
		s->rate[unquiet[i]] = 0;
	s->quiet = true;
	for (size_t i = 0; i < ARRAY_LEN(unquiet); i++)
		s->quiet &= !s->rate[unquiet[i]];
}

/* All batches of the workload are over, on disk, and nothing of them is left. */
static bool over(const struct sim *s)
{
	struct core_totals totals;

	if (!s->calm || !s->broker_up || s->durable_count != s->record_count)
		return false;
	for (uint32_t i = 0; i < s->batch_count; i++)
		if (!s->batches[i].acknowledged && !s->batches[i].refused &&
		    !s->batches[i].abandoned)
			return false;
	for (uint32_t i = 0; i < s->worker_count; i++)
		if (s->workers[i].held_count)
			return false;
	core_view_totals(s->core, &totals);
	return totals.batches == 0;
}

static void free_all(struct sim *s)
{
	core_free(s->core);
	core_effects_fini(&s->effects);
	oracle_free(s->oracle, s);
	fair_free(s->fairness, s);
	workload_free(s);
	gc_free(s);
	blobs_free(s);
	while (s->queue_count) {
		struct action a = pop(s);

		message_free(a.message);
	}
	for (size_t i = 0; i < s->outbox_count; i++)
		message_free(s->outbox[i].message);
	for (uint32_t i = 0; i < s->worker_count; i++)
		free(s->workers[i].held);
	map_fini(&s->commits);
	map_fini(&s->fingerprints);
	free(s->queue);
	free(s->outbox);
	free(s->records);
	free(s->batch_of);
	free(s->inbox);
	free(s->reports);
}

void sim_run(struct sim *s)
{
	struct rng *streams[] = {&s->workload, &s->network, &s->disk,	&s->clock,
				 &s->crash,    &s->choice,  &s->collect};
	uint64_t limit;

	for (size_t i = 0; i < ARRAY_LEN(streams); i++)
		streams[i]->state = s->options.seed * 0x2545f4914f6cdd1du + i;
	s->trace_hash = 0xcbf29ce484222325u;
	s->next_batch = s->next_commit = 1;
	plan_faults(s);
	workload_make(s);
	s->oracle = oracle_new(s);
	s->fairness = fair_new(s);
	broker_start(s);
	for (uint32_t i = 0; i < s->worker_count; i++)
		sim_at(s, rng_below(&s->network, 5) * NS_PER_S, A_WORKER_START, i, 0);
	for (uint32_t i = 0; i < s->batch_count; i++)
		sim_at(s, s->batches[i].submit_at, A_CLIENT_TRY, i, 0);
	sim_at(s, NS_PER_S, A_FAULT, 0, 0);
	limit = (60 + rng_below(&s->clock, 120)) * NS_PER_S;
	while (!over(s)) {
		struct action a;

		if (!s->calm && s->now > limit)
			heal(s);
		if (s->calm && s->now > s->calm_at + 6 * 3600 * NS_PER_S)
			broken(s, "faults stopped six hours ago and something has not "
				  "ended");
		if (!s->queue_count)
			broken(s, "nothing will happen any more and something has not "
				  "ended");
		a = pop(s);
		s->now = a.at;
		act(s, &a);
	}
	oracle_end(s);
	core_check(s->core);
	free_all(s);
}

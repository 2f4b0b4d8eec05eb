/* worker.c - see worker.h: who they are, and what they tell besides results. */
#include "broker/broker.h"

#include "common/log.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS_MAX 65536u
#define SECOND_OF_KEY_NS (6 * NS_PER_S) /* a peer heard this lately is not replaced */

void workers_init(struct broker *b)
{
	list_init(&b->workers.touched);
	list_init(&b->workers.gone);
}

void workers_fini(struct broker *b)
{
	for (uint32_t i = 0; i < b->workers.count; i++) {
		if (b->workers.by_number[i])
			worker_free(b, b->workers.by_number[i]);
	}
	free(b->workers.by_number);
	map_fini(&b->workers.by_key);
}

struct worker *worker_get(struct broker *b, uint32_t number)
{
	return number < b->workers.count ? b->workers.by_number[number] : NULL;
}

struct worker *workers_find(struct broker *b, const uint8_t key[KEY_SIZE])
{
	for (struct map_node *n = map_first(&b->workers.by_key, map_hash(key, KEY_SIZE));
	     n; n = map_next(n)) {
		struct worker *w = container_of(n, struct worker, by_key);
		if (!memcmp(w->key, key, KEY_SIZE))
			return w;
	}
	return NULL;
}

const char *worker_name(struct broker *b, const uint8_t key[KEY_SIZE])
{
	static char name[16];
	const struct worker *w = workers_find(b, key);
	if (w)
		return w->name;
	return hex_encode(name, key, 4);
}

static void forget_functions(struct worker *w)
{
	struct map_node *n;
	while ((n = map_any(&w->functions))) {
		map_remove(&w->functions, n);
		free(container_of(n, struct known_function, by_hash));
	}
}

static void assigning_reset(struct assigning *a)
{
	buf_reset(&a->tasks);
	buf_reset(&a->functions);
	buf_reset(&a->options);
	a->option_count = 0;
}

static void assigning_fini(struct assigning *a)
{
	buf_fini(&a->tasks);
	buf_fini(&a->functions);
	buf_fini(&a->options);
}

void worker_free(struct broker *b, struct worker *w)
{
	struct peer *peer = peer_get(b, w->peer);
	if (peer)
		peer->worker = NULL;
	map_remove(&b->workers.by_key, &w->by_key);
	b->workers.by_number[w->number] = NULL;
	list_del(&w->touched);
	list_del(&w->gone);
	forget_functions(w);
	map_fini(&w->functions);
	assigning_fini(&w->early);
	assigning_fini(&w->held);
	buf_fini(&w->acks);
	buf_fini(&w->revoke_cancelled);
	buf_fini(&w->revoke_stale);
	free(w->name);
	free(w->host);
	free(w->isolation);
	free(w);
}

void worker_touch(struct broker *b, struct worker *w)
{
	if (list_empty(&w->touched))
		list_add_tail(&b->workers.touched, &w->touched);
}

/* What was on its way to the old session is lost with it: the worker presents itself anew. */
static void forget_session(struct worker *w)
{
	forget_functions(w);
	assigning_reset(&w->early);
	assigning_reset(&w->held);
	buf_reset(&w->acks);
	buf_reset(&w->revoke_cancelled);
	buf_reset(&w->revoke_stale);
	list_del(&w->touched);
	w->peer = 0;
}

void worker_detach(struct broker *b, struct peer *peer)
{
	struct worker *w = peer->worker;
	peer->worker = NULL;
	forget_session(w);
	if (list_empty(&w->gone))
		list_add_tail(&b->workers.gone, &w->gone);
}

void workers_gone(struct broker *b)
{
	while (!list_empty(&b->workers.gone)) {
		struct worker *w =
			container_of(b->workers.gone.next, struct worker, gone);
		list_del(&w->gone);
		if (peer_get(b, w->peer))
			continue; /* it is back already */
		log_info("worker disconnected", "worker=%s", w->name);
		struct core_event event = {.type = CORE_EV_WORKER_GONE,
					   .worker = w->number};
		broker_step(b, &event);
	}
}

/* ---- Drain ---- */

void worker_ask_drain(struct broker *b, struct worker *w, uint64_t deadline_ns)
{
	struct peer *peer = peer_get(b, w->peer);
	Cashet__Envelope e = CASHET__ENVELOPE__INIT;
	Cashet__Drain drain = CASHET__DRAIN__INIT;
	struct core_event event = {.type = CORE_EV_WORKER_DRAIN, .worker = w->number};
	w->draining = w->drain_asked = true;
	w->drain_deadline_ns = deadline_ns;
	if (deadline_ns != TIME_NEVER) /* 0 is none */
		drain.deadline_ms =
			deadline_ns > b->now ? (deadline_ns - b->now) / NS_PER_MS + 1 : 1;
	e.body_case = CASHET__ENVELOPE__BODY_DRAIN;
	e.drain = &drain;
	if (peer)
		peer_send(b, peer, &e);
	broker_step(b, &event);
}

/* ---- WorkerHello ---- */

static struct worker *worker_new(struct broker *b, const struct peer *peer)
{
	uint32_t number = 0;
	while (number < b->workers.count && b->workers.by_number[number])
		number++;
	if (number >= WORKERS_MAX)
		return NULL;
	if (number == b->workers.count) {
		mem_grow(b->workers.by_number, b->workers.count, b->workers.capacity);
		b->workers.count++;
	}
	struct worker *w = mem_alloc(sizeof *w);
	w->number = number;
	memcpy(w->key, peer->key, KEY_SIZE);
	list_init(&w->touched);
	list_init(&w->gone);
	b->workers.by_number[number] = w;
	map_add(&b->workers.by_key, &w->by_key, map_hash(w->key, KEY_SIZE));
	return w;
}

static void describe(struct worker *w, const struct peer *peer,
		     const Cashet__WorkerHello *hello)
{
	free(w->name);
	free(w->host);
	free(w->isolation);
	w->name = mem_strdup(peer->name[0] ? peer->name : "worker");
	w->host = mem_strdup(peer->host);
	w->isolation = mem_strdup(strlen(hello->isolation) < 64 ? hello->isolation : "");
	w->pid = peer->pid;
	w->draining = hello->draining;
	if (memcmp(w->process, peer->instance, KEY_SIZE) != 0)
		w->drain_asked = false;
	memcpy(w->process, peer->instance, KEY_SIZE);
	w->credit = hello->credit;
	w->silent = false;
	w->peer = peer->handle;
}

/* Two processes with one key would take each other's place in turns. One whose predecessor does
 * not answer a send any more, or has the same instance, is that process come back. */
static bool place_is_taken(struct broker *b, const struct worker *w,
			   const struct peer *peer)
{
	struct peer *old = peer_get(b, w->peer);
	if (!old || old == peer)
		return false;
	bool same = !memcmp(old->instance, peer->instance, KEY_SIZE);
	if (!same && b->now - old->heard_ns < SECOND_OF_KEY_NS) {
		Cashet__Envelope e = CASHET__ENVELOPE__INIT;
		Cashet__Ping ping = CASHET__PING__INIT;
		e.body_case = CASHET__ENVELOPE__BODY_PING;
		e.ping = &ping;
		if (!peer_send(b, old, &e))
			return true;
		return false;
	}
	peer_drop(b, old, "its worker has a new session");
	return false;
}

static void claims(struct broker *b, uint32_t number, const Cashet__WorkerHello *hello)
{
	for (size_t i = 0; i < hello->n_claims; i++) {
		const Cashet__Claim *claim = hello->claims[i];
		struct core_event event = {.type = CORE_EV_WORKER_CLAIM,
					   .worker = number};
		if (!claim->lease ||
		    worker_lease(b, claim->lease, &event.claim.lease, &event.batch)) {
			b->refused_messages++;
			continue;
		}
		event.index = event.claim.lease.index;
		event.claim.started = claim->started;
		event.claim.finished = claim->finished;
		broker_step(b, &event);
	}
}

static void refuse(struct broker *b, struct peer *peer, uint64_t serial,
		   enum err_code code, const char *what, const char *next)
{
	struct err e = {0};
	err_set(&e, code, "%s", what);
	if (next)
		err_next(&e, "%s", next);
	b->refused_messages++;
	peer_error(b, peer, serial, &e);
}

void handle_worker_hello(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	const Cashet__WorkerHello *hello = e->worker_hello;
	struct core_event event = {.type = CORE_EV_WORKER_JOIN};
	if (worker_resources(event.join.capacity, &event.join.capacity_count,
			     hello->capacity, hello->n_capacity)) {
		refuse(b, peer, e->serial, ERR_USAGE,
		       "WorkerHello.capacity has bad, doubled or too many names (16 at "
		       "most)",
		       NULL);
		return;
	}
	struct worker *w = workers_find(b, peer->key);
	if (w && place_is_taken(b, w, peer)) {
		refuse(b, peer, e->serial, ERR_NOT_ALLOWED,
		       "another worker with this key is connected",
		       "give each worker a key of its own: cashet key new NAME");
		return;
	}
	if (!w)
		w = worker_new(b, peer);
	if (!w) {
		refuse(b, peer, e->serial, ERR_FAILED, "65,536 workers are connected",
		       NULL);
		return;
	}
	forget_session(w);
	describe(w, peer, hello);
	peer->worker = w;
	list_del(&w->gone);
	w->heard_ns = b->now;
	memcpy(w->capacity, event.join.capacity, sizeof w->capacity);
	w->capacity_count = event.join.capacity_count;
	memcpy(event.join.key, w->key, KEY_SIZE);
	memcpy(&event.join.process, peer->instance, sizeof event.join.process);
	event.join.credit = hello->credit;
	event.join.draining = hello->draining;
	event.join.claims = hello->n_claims;
	event.worker = w->number;
	uint32_t number = w->number;
	log_info("worker joined", "worker=%s host=%s pid=%llu claims=%zu", w->name,
		 w->host, (unsigned long long)w->pid, hello->n_claims);
	broker_step(b, &event);
	claims(b, number, hello);
	w = worker_get(b, number);
	if (w && w->drain_asked && !hello->draining)
		worker_ask_drain(b, w, w->drain_deadline_ns);
}

/* ---- signs of life ---- */

void handle_heartbeat(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	const Cashet__Heartbeat *beat = e->heartbeat;
	struct worker *w = peer->worker;
	struct core_event event = {.type = CORE_EV_WORKER_ALIVE,
				   .worker = w->number,
				   .alive = {.epochs = beat->epochs,
					     .epoch_count = (uint32_t)beat->n_epochs,
					     .credit = beat->credit}};
	w->heard_ns = b->now;
	w->silent = false;
	w->credit = beat->credit;
	bool drains = beat->draining && !w->draining;
	w->draining |= beat->draining;
	broker_step(b, &event);
	if (drains) {
		struct core_event drain = {.type = CORE_EV_WORKER_DRAIN,
					   .worker = event.worker};
		broker_step(b, &drain);
	}
}

void handle_handback(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	const Cashet__Handback *back = e->handback;
	uint32_t number = peer->worker->number;
	for (size_t i = 0; i < back->n_leases; i++) {
		struct core_event event = {.type = CORE_EV_HANDBACK, .worker = number};
		if (worker_lease(b, back->leases[i], &event.handback.lease,
				 &event.batch)) {
			b->refused_messages++;
			continue;
		}
		event.index = event.handback.lease.index;
		event.handback.started = back->started;
		broker_step(b, &event);
	}
	log_debug("leases handed back", "worker=%u leases=%zu", number, back->n_leases);
}

int worker_lease(struct broker *b, const Cashet__Lease *from, struct core_lease *lease,
		 uint64_t *numberp)
{
	if (!wire_is(&from->batch, DIGEST_SIZE) ||
	    !wire_is(&from->func_hash, DIGEST_SIZE) ||
	    !wire_is(&from->args_hash, DIGEST_SIZE) ||
	    !wire_is(&from->worker, KEY_SIZE) || !wire_is(&from->mac, CORE_MAC_SIZE) ||
	    (from->nonce.len && !wire_is(&from->nonce, NONCE_SIZE)))
		return 1;
	memset(lease, 0, sizeof *lease);
	memcpy(lease->batch_id, from->batch.data, DIGEST_SIZE);
	memcpy(lease->func_hash, from->func_hash.data, DIGEST_SIZE);
	memcpy(lease->args_hash, from->args_hash.data, DIGEST_SIZE);
	memcpy(lease->worker_key, from->worker.data, KEY_SIZE);
	memcpy(lease->mac, from->mac.data, CORE_MAC_SIZE);
	lease->has_nonce = from->nonce.len != 0;
	if (lease->has_nonce)
		memcpy(lease->nonce, from->nonce.data, NONCE_SIZE);
	lease->index = from->index;
	lease->epoch = from->epoch;
	const struct batch *batch = batches_find(b, lease->batch_id);
	*numberp = batch ? batch->number : 0;
	return 0;
}

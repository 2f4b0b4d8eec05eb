/* session.c - see peer.h. */
#include "broker/broker.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"
#include "version.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void peers_init(struct broker *b)
{
	list_init(&b->peers.all);
	b->peers.slots = mem_alloc(16 * sizeof *b->peers.slots);
	b->peers.slot_capacity = 16;
	b->peers.slot_count = 1;
}

static uint64_t route_hash(unsigned socket, const uint8_t *route, size_t size)
{
	return map_hash(route, size) + socket;
}

struct peer *peer_find(struct broker *b, unsigned socket, const struct wire_frame *frame)
{
	uint64_t hash = route_hash(socket, frame->route, frame->route_size);
	for (struct map_node *n = map_first(&b->peers.by_route, hash); n;
	     n = map_next(n)) {
		struct peer *peer = container_of(n, struct peer, by_route);
		if (peer->socket == socket && peer->route_size == frame->route_size &&
		    !memcmp(peer->route, frame->route, frame->route_size))
			return peer;
	}
	return NULL;
}

struct peer *peer_get(struct broker *b, peer_handle handle)
{
	uint32_t slot = (uint32_t)(handle >> 32);
	if (!slot || slot >= b->peers.slot_count)
		return NULL;
	const struct peer_slot *s = &b->peers.slots[slot];
	return s->generation == (uint32_t)handle ? s->peer : NULL;
}

static void take_slot(struct peers *p, struct peer *peer)
{
	uint32_t slot = p->free_slot;
	if (slot) {
		p->free_slot = p->slots[slot].next_free;
	} else {
		mem_grow(p->slots, p->slot_count, p->slot_capacity);
		slot = p->slot_count++;
		p->slots[slot] = (struct peer_slot){0};
	}
	p->slots[slot].peer = peer;
	peer->handle = (uint64_t)slot << 32 | ++p->slots[slot].generation;
}

static void free_slot(struct peers *p, struct peer *peer)
{
	uint32_t slot = (uint32_t)(peer->handle >> 32);
	p->slots[slot].peer = NULL;
	p->slots[slot].next_free = p->free_slot;
	p->free_slot = slot;
}

static void peer_free(struct broker *b, struct peer *peer)
{
	watch_remove_peer(peer);
	map_remove(&b->peers.by_route, &peer->by_route);
	list_del(&peer->node);
	free_slot(&b->peers, peer);
	if (peer->kind == PEER_WORKER)
		b->peers.workers--;
	else
		b->peers.clients--;
	free(peer->name);
	free(peer->host);
	free(peer->version);
	free(peer);
}

void peer_drop(struct broker *b, struct peer *peer, const char *why)
{
	log_info("session ended", "peer=%s kind=%s why=%s", peer->name,
		 peer->kind == PEER_WORKER ? "worker" : "client", why);
	peer_handle handle = peer->handle;
	if (peer->worker)
		worker_detach(b, peer);
	/* What the core did with that may itself have found the peer gone. */
	if (peer_get(b, handle))
		peer_free(b, peer);
}

void peers_fini(struct broker *b)
{
	while (b->peers.all.next && !list_empty(&b->peers.all))
		peer_free(b, container_of(b->peers.all.next, struct peer, node));
	free(b->peers.slots);
	map_fini(&b->peers.by_route);
}

void peer_heard(struct broker *b, struct peer *peer)
{
	peer->heard_ns = b->now;
	list_del(&peer->node);
	list_add_tail(&b->peers.all, &peer->node);
}

/* ---- sending ---- */

static int sent(struct broker *b, struct peer *peer, int failed, int error)
{
	if (!failed)
		return 0;
	peer_drop(b, peer, error == EAGAIN ? "too slow: its queue is full" : "gone");
	return 1;
}

int peer_send(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	int error = 0;
	int failed = wire_send(broker_socket(b, peer->socket), peer->route,
			       peer->route_size, e, &error);
	return sent(b, peer, failed, error);
}

int peer_send_packed(struct broker *b, struct peer *peer, const struct buf *packed)
{
	assert(!packed->failed);
	int error = 0;
	int failed = outbox_transmit(b, peer, packed->data, packed->size, &error);
	return sent(b, peer, failed, error);
}

static void error_message(Cashet__Envelope *e, Cashet__Error *error, uint64_t serial,
			  int code, const char *what, const char *next)
{
	cashet__envelope__init(e);
	cashet__error__init(error);
	error->code = (uint32_t)code;
	error->what = (char *)what;
	error->next = (char *)(next ? next : "");
	e->serial = serial;
	e->body_case = CASHET__ENVELOPE__BODY_ERROR;
	e->error = error;
}

int peer_error(struct broker *b, struct peer *peer, uint64_t serial, const struct err *e)
{
	Cashet__Envelope out;
	Cashet__Error error;
	error_message(&out, &error, serial, (int)e->code, e->what, e->next);
	return peer_send(b, peer, &out);
}

void peer_refuse(struct broker *b, unsigned socket, const struct wire_frame *frame,
		 uint64_t serial, enum err_code code, const char *what, const char *next)
{
	b->refused_messages++;
	if (!frame->route_size)
		return;
	Cashet__Envelope out;
	Cashet__Error error;
	error_message(&out, &error, serial, (int)code, what, next);
	int unused;
	wire_send(broker_socket(b, socket), frame->route, frame->route_size, &out,
		  &unused);
}

/* ---- Hello ---- */

static const char *hello_wrong(const Cashet__Hello *hello)
{
	if (hello->protocol != WIRE_PROTOCOL)
		return "this broker speaks protocol 1 (cashet " CASHET_VERSION
		       "); install the same version of cashet on both sides";
	if (!wire_is(&hello->instance, KEY_SIZE))
		return "Hello.instance must be 32 bytes";
	if (strlen(hello->name) > 255 || strlen(hello->host) > 255 ||
	    strlen(hello->version) > 63)
		return "a name in Hello is too long";
	if (hello->kind != CASHET__HELLO__KIND__CLIENT &&
	    hello->kind != CASHET__HELLO__KIND__WORKER)
		return "Hello.kind is unknown";
	return NULL;
}

/* identify() - key and role of the peer behind @frame. Return: NULL, or why it may not come in. */
static const char *identify(struct broker *b, struct peer *peer,
			    const struct wire_frame *frame, const Cashet__Hello *hello)
{
	memcpy(peer->instance, hello->instance.data, KEY_SIZE);
	peer->secured = b->controls[peer->socket].secured;
	if (!peer->secured) {
		memcpy(peer->key, hello->instance.data, KEY_SIZE);
		peer->role = ROLE_ADMIN;
		return NULL;
	}
	if (key_parse_z85(peer->key, frame->user))
		return "the authenticator did not name your key";
	peer->role = auth_role(b->auth, peer->key);
	switch (peer->role) {
	case ROLE_ADMIN:
		return NULL;
	case ROLE_WORKER:
		return peer->kind == PEER_WORKER ? NULL : "this key has the role worker";
	case ROLE_CLIENT:
	case ROLE_OBSERVER:
		return peer->kind == PEER_CLIENT
			       ? NULL
			       : "this key is not allowed to be a worker";
	case ROLE_NONE:
	case ROLE_BROKER:
		break;
	}
	return "this key is not trusted here";
}

static void welcome(struct broker *b, struct peer *peer, uint64_t serial)
{
	const struct control *c = &b->controls[peer->socket];
	Cashet__Envelope e = CASHET__ENVELOPE__INIT;
	Cashet__Welcome w = CASHET__WELCOME__INIT;
	w.protocol = WIRE_PROTOCOL;
	w.version = (char *)CASHET_VERSION;
	w.store.data = b->info.store_id;
	w.store.len = sizeof b->info.store_id;
	w.boot = b->info.boot;
	w.blob_port = c->blob_port;
	if (c->blob_path) {
		w.blob_path = c->blob_path;
		w.store_path = b->store;
	}
	w.inline_max = INLINE_MAX;
	w.message_max = WIRE_MESSAGE_MAX;
	w.role = (char *)key_role_name(peer->role);
	w.insecure = b->insecure;
	w.pid = (uint64_t)getpid();
	w.is_private = b->options->is_private;
	e.serial = serial;
	e.body_case = CASHET__ENVELOPE__BODY_WELCOME;
	e.welcome = &w;
	peer_send(b, peer, &e);
}

/* Bytes of a peer's text, for a log line or a table, without surprises. */
static char *plain(const char *text)
{
	char *copy = mem_strdup(text);
	for (char *at = copy; *at; at++) {
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = '?';
	}
	return copy;
}

void peer_hello(struct broker *b, unsigned socket, const struct wire_frame *frame,
		const Cashet__Envelope *e)
{
	const Cashet__Hello *hello = e->hello;
	const char *wrong = hello_wrong(hello);
	if (wrong) {
		peer_refuse(b, socket, frame, e->serial, ERR_USAGE, wrong, NULL);
		return;
	}
	struct peer *old = peer_find(b, socket, frame);
	if (old)
		peer_drop(b, old, "said Hello again");
	struct peer made = {.socket = socket,
			    .kind = hello->kind == CASHET__HELLO__KIND__WORKER
					    ? PEER_WORKER
					    : PEER_CLIENT};
	wrong = identify(b, &made, frame, hello);
	if (wrong) {
		char next[256];
		char z85[41] = "PUBLIC-KEY";
		if (made.secured)
			key_z85(z85, made.key);
		snprintf(next, sizeof next,
			 "on the broker's machine: cashet key trust '%s' --role %s", z85,
			 made.kind == PEER_WORKER ? "worker" : "client");
		log_warn("peer refused", "key=%s why=%s", z85, wrong);
		peer_refuse(b, socket, frame, e->serial, ERR_NOT_ALLOWED, wrong, next);
		return;
	}
	if (made.kind == PEER_CLIENT && b->peers.clients >= b->client_max) {
		peer_refuse(
			b, socket, frame, e->serial, ERR_FAILED,
			"the broker has as many clients as its file descriptors allow",
			"try again later, or raise the limit of open files (ulimit -n) "
			"of "
			"cashet-broker");
		return;
	}
	struct peer *peer = mem_copy(&made, sizeof made);
	memcpy(peer->route, frame->route, frame->route_size);
	peer->route_size = frame->route_size;
	peer->name = plain(hello->name);
	peer->host = plain(hello->host);
	peer->version = plain(hello->version);
	peer->pid = hello->pid;
	peer->heard_ns = b->now;
	list_init(&peer->watches);
	list_init(&peer->node);
	list_add_tail(&b->peers.all, &peer->node);
	take_slot(&b->peers, peer);
	map_add(&b->peers.by_route, &peer->by_route,
		route_hash(socket, peer->route, peer->route_size));
	if (peer->kind == PEER_WORKER)
		b->peers.workers++;
	else
		b->peers.clients++;
	log_debug("session began", "peer=%s kind=%s pid=%llu", peer->name,
		  peer->kind == PEER_WORKER ? "worker" : "client",
		  (unsigned long long)peer->pid);
	welcome(b, peer, e->serial);
}

/* ---- liveness ---- */

static void drop_revoked(struct broker *b)
{
	uint64_t generation = b->auth ? auth_generation(b->auth) : 0;
	if (generation == b->peers.auth_generation)
		return;
	b->peers.auth_generation = generation;
	for (uint32_t i = 1; i < b->peers.slot_count; i++) {
		struct peer *peer = b->peers.slots[i].peer;
		if (!peer || !peer->secured ||
		    auth_role(b->auth, peer->key) == peer->role)
			continue;
		struct worker *w = peer->worker;
		peer_handle handle = peer->handle;
		if (w) {
			struct core_event event = {.type = CORE_EV_REVOKE_WORKER,
						   .worker = w->number};
			broker_step(b, &event);
		}
		struct err e = {0};
		err_set(&e, ERR_NOT_ALLOWED, "this key is not trusted any more");
		peer = peer_get(b, handle);
		if (peer && !peer_error(b, peer, 0, &e))
			peer_drop(b, peer, "key revoked");
	}
}

void peers_sweep(struct broker *b)
{
	if (b->now < b->peers.next_sweep_ns)
		return;
	b->peers.next_sweep_ns = b->now + PEER_PING_NS;
	drop_revoked(b);
	while (!list_empty(&b->peers.all)) {
		struct peer *oldest = container_of(b->peers.all.next, struct peer, node);
		if (b->now - oldest->heard_ns < PEER_SILENT_NS)
			break;
		peer_drop(b, oldest, "silent");
	}
	/* A ROUTER does not report lost peers; sending to them does. */
	Cashet__Envelope e = CASHET__ENVELOPE__INIT;
	Cashet__Ping ping = CASHET__PING__INIT;
	ping.sent = b->now;
	e.body_case = CASHET__ENVELOPE__BODY_PING;
	e.ping = &ping;
	for (uint32_t i = 1; i < b->peers.slot_count; i++) {
		if (b->peers.slots[i].peer)
			peer_send(b, b->peers.slots[i].peer, &e);
	}
}

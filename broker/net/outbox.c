/* outbox.c - see outbox.h. */
#include "broker/broker.h"

#include "common/log.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

static int send_part(void *router, zmq_msg_t *msg, int flags)
{
	while (zmq_msg_send(msg, router, flags | ZMQ_DONTWAIT) < 0) {
		int error = errno;
		if (error == EINTR)
			continue;
		zmq_msg_close(msg);
		return error;
	}
	return 0;
}

int outbox_transmit(struct broker *b, const struct peer *peer, const void *data,
		    size_t size, int *errnop)
{
	void *router = broker_socket(b, peer->socket);
	zmq_msg_t route, body;
	if (zmq_msg_init_size(&route, peer->route_size) < 0 ||
	    zmq_msg_init_size(&body, size) < 0)
		abort(); /* out of memory; recovery is by replay */
	memcpy(zmq_msg_data(&route), peer->route, peer->route_size);
	memcpy(zmq_msg_data(&body), data, size);
	*errnop = send_part(router, &route, ZMQ_SNDMORE);
	if (*errnop)
		zmq_msg_close(&body);
	else
		*errnop = send_part(router, &body, 0);
	return *errnop != 0;
}

static void put(struct broker *b, struct outbox_entry entry)
{
	struct outbox *o = &b->outbox;
	if (o->count == o->capacity) {
		size_t capacity = o->capacity ? 2 * o->capacity : 64;
		struct outbox_entry *items = mem_alloc(capacity * sizeof *items);
		for (size_t i = 0; i < o->count; i++)
			items[i] = o->items[(o->first + i) & (o->capacity - 1)];
		free(o->items);
		o->items = items;
		o->first = 0;
		o->capacity = capacity;
	}
	if (o->count) { /* they leave in the order of being put */
		const struct outbox_entry *last =
			&o->items[(o->first + o->count - 1) & (o->capacity - 1)];
		if (entry.step < last->step)
			entry.step = last->step;
	}
	o->items[(o->first + o->count++) & (o->capacity - 1)] = entry;
}

void outbox_send(struct broker *b, struct peer *peer, uint64_t step,
		 const struct buf *message)
{
	assert(!message->failed);
	if (step <= b->durable) {
		peer_send_packed(b, peer, message);
		return;
	}
	peer->held_bytes += message->size;
	if (peer->held_bytes > PEER_HELD_MAX) {
		peer_drop(b, peer, "too slow: too much waits for it");
		return;
	}
	put(b, (struct outbox_entry){.step = step,
				     .peer = peer->handle,
				     .data = mem_copy(message->data, message->size),
				     .size = message->size});
}

void outbox_send_envelope(struct broker *b, struct peer *peer, uint64_t step,
			  const Cashet__Envelope *e)
{
	if (step <= b->durable) {
		peer_send(b, peer, e);
		return;
	}
	buf_reset(&b->packed);
	wire_pack(&b->packed, e);
	outbox_send(b, peer, step, &b->packed);
}

void outbox_do(struct broker *b, uint64_t step, void (*action)(struct broker *, void *),
	       void (*drop)(void *), void *arg)
{
	if (step <= b->durable)
		action(b, arg);
	else
		put(b, (struct outbox_entry){
			       .step = step, .action = action, .drop = drop, .arg = arg});
}

static void let_go(struct broker *b, struct outbox_entry *entry)
{
	if (entry->action) {
		entry->action(b, entry->arg);
		return;
	}
	struct peer *peer = peer_get(b, entry->peer);
	int error;
	if (peer) {
		peer->held_bytes -= entry->size;
		if (outbox_transmit(b, peer, entry->data, entry->size, &error))
			peer_drop(b, peer,
				  error == EAGAIN ? "too slow: its queue is full"
						  : "gone");
	}
	free(entry->data);
}

void outbox_release(struct broker *b, uint64_t durable)
{
	struct outbox *o = &b->outbox;
	while (o->count && o->items[o->first].step <= durable) {
		struct outbox_entry entry = o->items[o->first];
		o->first = (o->first + 1) & (o->capacity - 1);
		o->count--;
		let_go(b, &entry); /* may put new ones */
	}
}

void outbox_fini(struct broker *b)
{
	struct outbox *o = &b->outbox;
	/* What is not durable is never told. */
	for (size_t i = 0; i < o->count; i++) {
		struct outbox_entry *entry =
			&o->items[(o->first + i) & (o->capacity - 1)];
		if (entry->action)
			entry->drop(entry->arg);
		free(entry->data);
	}
	free(o->items);
	*o = (struct outbox){0};
}

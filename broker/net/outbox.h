/* outbox.h - what may leave only when its cause is durable.
 *
 * Entries leave in the order in which they were put, each as soon as the ledger has reached its
 * step. What needs no waiting (see outbox_hold_step()) is sent at once and never gets here. An
 * entry is a packed message, or something to do then, such as building a page of results that
 * reads the commits of this very step. Peers are named by handle: gone ones are skipped. */
#pragma once

#include "broker/net/peer.h"

struct outbox_entry {
	uint64_t step;
	peer_handle peer;
	/* a message, or: */
	void (*action)(struct broker *b, void *arg); /* takes @arg */
	void (*drop)(void *arg); /* instead of @action when the broker ends before that */
	void *arg;
	uint8_t *data; /* heap */
	size_t size;
};

struct outbox { /* a ring */
	struct outbox_entry *items;
	size_t first, count, capacity;
};

/** outbox_transmit() - send packed bytes to @peer's route now, without blocking. Return: 0; 1 and
 * *errnop if its queue is full (EAGAIN) or it is gone (EHOSTUNREACH). */
int outbox_transmit(struct broker *b, const struct peer *peer, const void *data,
		    size_t size, int *errnop);
/** outbox_send() - send packed @message to @peer once @step is durable; now if it is. */
void outbox_send(struct broker *b, struct peer *peer, uint64_t step,
		 const struct buf *message);
void outbox_send_envelope(struct broker *b, struct peer *peer, uint64_t step,
			  const Cashet__Envelope *e);
/** outbox_do() - call @action(@arg) once @step is durable; now if it is. */
void outbox_do(struct broker *b, uint64_t step, void (*action)(struct broker *, void *),
	       void (*drop)(void *), void *arg);
/** outbox_release() - let go what @durable covers. */
void outbox_release(struct broker *b, uint64_t durable);
void outbox_fini(struct broker *b);

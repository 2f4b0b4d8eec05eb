/* transport.h - how envelopes get to the broker and back: a ZeroMQ DEALER for tcp, with keys; and
 * for ipc a socket of our own that speaks ZMTP, so that a run which only talks to the broker of
 * its store needs neither ZeroMQ's threads nor the library itself.
 *
 * One transport is one connection. When it is lost it stays lost, and is closed and opened anew. */
#pragma once

#include "common/err.h"
#include "proto/keys.h"

enum transport_state {
	TRANSPORT_WORKING,     /* or still connecting */
	TRANSPORT_LOST,	       /* of no more use */
	TRANSPORT_KEY_REFUSED, /* the broker does not trust our key */
	TRANSPORT_KEYS_DIFFER, /* one side uses keys and the other does not */
	TRANSPORT_UNPROVEN, /* the handshake failed without a reason: not who it should be? */
};

struct transport_options {
	const char *url;
	void *zmq;		     /* context, for tcp */
	const struct key_pair *self; /* CURVE, or NULL */
	const uint8_t *server;
	size_t message_max;
};

struct transport { /* the head of each kind's struct */
	const struct transport_kind *kind;
};

struct transport_kind {
	/** open() - begins to connect; nothing waits. Return: 0 or ERR_*. */
	int (*open)(struct transport **tp, const struct transport_options *o,
		    struct err *e);
	void (*close)(struct transport *t); /* what was not sent yet is not */
	/** send() - queue one message. Return: 0; 1 if it cannot be taken. */
	int (*send)(struct transport *t, const void *data, size_t size);
	/** recv() - one message, borrowed until the next call. Return: 0; 1 nothing there; 2 what
	 * came was no message. */
	int (*recv)(struct transport *t, const uint8_t **datap, size_t *sizep);
	/** wait() - until something may have come, at most @timeout_ns. Return: 0; 1 nothing came;
	 * -1 a signal did. */
	int (*wait)(struct transport *t, uint64_t timeout_ns);
	enum transport_state (*state)(struct transport *t);
};

extern const struct transport_kind transport_ipc, transport_zmq;

/* transport_zmq.c - a DEALER. Its monitor tells a refused key from a broker that is not there, and a
 * lost connection at once. */
#include "client/transport.h"

#include "proto/endpoint.h"
#include "proto/wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define RECONNECT_MS 20
#define RECONNECT_MAX_MS 500

struct zmq_transport {
	struct transport base;
	void *socket, *monitor;
	struct wire_frame frame; /* of the message that is lent */
	bool lent;
	enum transport_state state;
};

static struct zmq_transport *of(struct transport *t)
{
	return container_of(t, struct zmq_transport, base);
}

static void give_back(struct zmq_transport *z)
{
	if (z->lent)
		wire_frame_fini(&z->frame);
	z->lent = false;
}

static void zmq_transport_close(struct transport *t)
{
	struct zmq_transport *z = of(t);
	give_back(z);
	if (z->monitor) {
		zmq_socket_monitor(z->socket, NULL, 0);
		zmq_close(z->monitor);
	}
	if (z->socket)
		zmq_close(z->socket);
	free(z);
}

/* Without a monitor we would only be slower to notice. */
static void attach_monitor(struct zmq_transport *z, void *zmq)
{
	char name[64];
	static const int events =
		ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
		ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
	snprintf(name, sizeof name, "inproc://monitor-%p", z->socket);
	if (zmq_socket_monitor(z->socket, name, events) < 0)
		return;
	z->monitor = zmq_socket(zmq, ZMQ_PAIR);
	if (z->monitor && zmq_connect(z->monitor, name) < 0) {
		zmq_close(z->monitor);
		z->monitor = NULL;
	}
}

static int zmq_transport_open(struct transport **tp, const struct transport_options *o,
			      struct err *e)
{
	struct zmq_transport *z = calloc(1, sizeof *z);
	if (!z)
		return err_set(e, ERR_FAILED, "out of memory");
	z->base.kind = &transport_zmq;
	int r = 0, ivl = RECONNECT_MS, ivl_max = RECONNECT_MAX_MS;
	z->socket = zmq_socket(o->zmq, ZMQ_DEALER);
	if (!z->socket) {
		r = err_set(e, ERR_FAILED, "no socket: %s", zmq_strerror(errno));
		goto failed;
	}
	endpoint_setup(z->socket, o->message_max);
	zmq_setsockopt(z->socket, ZMQ_RECONNECT_IVL, &ivl, sizeof ivl);
	zmq_setsockopt(z->socket, ZMQ_RECONNECT_IVL_MAX, &ivl_max, sizeof ivl_max);
	if (o->self && endpoint_secure_client(z->socket, o->self, o->server)) {
		r = err_set(e, ERR_NOT_ALLOWED, "the keys cannot be used: %s",
			    zmq_strerror(errno));
		goto failed;
	}
	attach_monitor(z, o->zmq);
	if (zmq_connect(z->socket, o->url) < 0) {
		r = err_set(e, ERR_UNREACHABLE, "%s cannot be connected to: %s", o->url,
			    zmq_strerror(errno));
		goto failed;
	}
	*tp = &z->base;
	return 0;
failed:
	zmq_transport_close(&z->base);
	return r;
}

static int zmq_transport_send(struct transport *t, const void *data, size_t size)
{
	int r;
	do
		r = zmq_send(of(t)->socket, data, size, ZMQ_DONTWAIT);
	while (r < 0 && errno == EINTR);
	return r < 0;
}

static int zmq_transport_recv(struct transport *t, const uint8_t **datap, size_t *sizep)
{
	struct zmq_transport *z = of(t);
	give_back(z);
	int r = wire_recv(z->socket, false, &z->frame);
	if (r)
		return r;
	z->lent = true;
	*datap = z->frame.data;
	*sizep = z->frame.size;
	return 0;
}

static int zmq_transport_wait(struct transport *t, uint64_t timeout_ns)
{
	struct zmq_transport *z = of(t);
	uint64_t ms = timeout_ns / NS_PER_MS + (timeout_ns % NS_PER_MS ? 1 : 0);
	zmq_pollitem_t items[2] = {{.socket = z->socket, .events = ZMQ_POLLIN},
				   {.socket = z->monitor, .events = ZMQ_POLLIN}};
	int r = zmq_poll(items, z->monitor ? 2 : 1,
			 (long)(ms > 1u << 30 ? 1u << 30 : ms));
	return r < 0 ? -1 : r == 0;
}

static enum transport_state zmq_transport_state(struct transport *t)
{
	struct zmq_transport *z = of(t);
	uint8_t head[8];
	char address[256];
	while (z->monitor && z->state == TRANSPORT_WORKING) {
		int size = zmq_recv(z->monitor, head, sizeof head, ZMQ_DONTWAIT);
		if (size < 0)
			break;
		int more = 0;
		size_t more_size = sizeof more;
		zmq_getsockopt(z->monitor, ZMQ_RCVMORE, &more, &more_size);
		if (more)
			zmq_recv(z->monitor, address, sizeof address, ZMQ_DONTWAIT);
		uint16_t event = 0;
		if (size >= 6)
			memcpy(&event, head, sizeof event);
		if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
			z->state = TRANSPORT_KEY_REFUSED;
		else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL)
			z->state = TRANSPORT_KEYS_DIFFER;
		else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL)
			z->state = TRANSPORT_UNPROVEN;
		else if (event == ZMQ_EVENT_DISCONNECTED)
			z->state = TRANSPORT_LOST;
	}
	return z->state;
}

const struct transport_kind transport_zmq = {
	.open = zmq_transport_open,
	.close = zmq_transport_close,
	.send = zmq_transport_send,
	.recv = zmq_transport_recv,
	.wait = zmq_transport_wait,
	.state = zmq_transport_state,
};

/* auth_selftest.c - a broker that would let strangers in must not run: it dials itself with a key
 * that nobody can trust, from a context of its own, and looks at how the handshake ends. */
#include "broker/net/auth.h"

#include "common/clock.h"
#include "proto/endpoint.h"
#include "proto/wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define MONITOR "inproc://selftest"
#define CONNECT_NS (3 * NS_PER_S)
#define SILENCE_NS NS_PER_S /* connected, and not let in for so long: refused */

enum verdict { VERDICT_NONE, VERDICT_CONNECTED, VERDICT_REFUSED, VERDICT_ACCEPTED };

/* next_event() - the kind of the next monitor event, 0 if none came before @until. */
static uint16_t next_event(void *monitor, uint64_t until)
{
	uint64_t now = clock_mono_ns();
	zmq_pollitem_t item = {.socket = monitor, .events = ZMQ_POLLIN};
	long wait_ms = now < until ? (long)((until - now) / NS_PER_MS) + 1 : 0;
	if (zmq_poll(&item, 1, wait_ms) <= 0)
		return 0;
	zmq_msg_t msg;
	uint16_t event = 0;
	int more = 1;
	for (int part = 0; more; part++) {
		zmq_msg_init(&msg);
		if (zmq_msg_recv(&msg, monitor, 0) < 0)
			more = 0;
		else if (part == 0 && zmq_msg_size(&msg) >= sizeof event)
			memcpy(&event, zmq_msg_data(&msg), sizeof event);
		more = more && zmq_msg_more(&msg);
		zmq_msg_close(&msg);
	}
	return event;
}

static enum verdict watch(void *monitor)
{
	uint64_t until = clock_mono_ns() + CONNECT_NS;
	enum verdict verdict = VERDICT_NONE;
	while (clock_mono_ns() < until) {
		switch (next_event(monitor, until)) {
		case ZMQ_EVENT_CONNECTED:
			if (verdict == VERDICT_NONE)
				until = clock_mono_ns() + SILENCE_NS;
			verdict = VERDICT_CONNECTED;
			break;
		case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
			return VERDICT_ACCEPTED;
		case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
		case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
		case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
			return VERDICT_REFUSED;
		default:
			break;
		}
	}
	return verdict;
}

/* dial_url() - heap; an address that means "all of them" becomes loopback. */
static char *dial_url(const char *url)
{
	static const char *const any[][2] = {
		{"tcp://0.0.0.0:", "tcp://127.0.0.1:"},
		{"tcp://*:", "tcp://127.0.0.1:"},
		{"tcp://[::]:", "tcp://[::1]:"},
		{"tcp://[::ffff:0.0.0.0]:", "tcp://127.0.0.1:"},
	};
	char *out = NULL;
	for (size_t i = 0; i < ARRAY_LEN(any); i++) {
		size_t size = strlen(any[i][0]);
		if (strncmp(url, any[i][0], size) == 0)
			return asprintf(&out, "%s%s", any[i][1], url + size) < 0 ? NULL
										 : out;
	}
	return strdup(url);
}

static int dial(void *context, const char *url, const uint8_t *server,
		enum verdict *verdict)
{
	struct key_pair stranger = {.name = "selftest"};
	char public[41], secret[41];
	if (zmq_curve_keypair(public, secret) < 0)
		return -errno;
	key_parse_z85(stranger.public, public);
	key_parse_z85(stranger.secret, secret);
	void *socket = zmq_socket(context, ZMQ_DEALER);
	void *monitor = zmq_socket(context, ZMQ_PAIR);
	if (!socket || !monitor)
		return -errno;
	endpoint_setup(socket, WIRE_MESSAGE_MAX);
	int linger = 0;
	zmq_setsockopt(monitor, ZMQ_LINGER, &linger, sizeof linger);
	int rc = endpoint_secure_client(socket, &stranger, server);
	if (rc == 0 &&
	    (zmq_socket_monitor(socket, MONITOR, ZMQ_EVENT_ALL) < 0 ||
	     zmq_connect(monitor, MONITOR) < 0 || zmq_connect(socket, url) < 0))
		rc = -errno;
	if (rc == 0)
		*verdict = watch(monitor);
	if (socket)
		zmq_socket_monitor(socket, NULL, 0);
	if (monitor)
		zmq_close(monitor);
	if (socket)
		zmq_close(socket);
	return rc;
}

int auth_selftest(const char *url, const uint8_t server[KEY_SIZE], struct err *e)
{
	char *to = dial_url(url);
	void *context = to ? zmq_ctx_new() : NULL;
	enum verdict verdict = VERDICT_NONE;
	int rc = context ? dial(context, to, server, &verdict) : -ENOMEM;
	if (context)
		zmq_ctx_term(context);
	free(to);
	if (rc)
		return err_set(e, ERR_FAILED, "cannot test the authentication of %s: %s",
			       url, zmq_strerror(-rc));
	switch (verdict) {
	case VERDICT_CONNECTED: /* and then silence: the authenticator does not let anybody in */
	case VERDICT_REFUSED:
		return 0;
	case VERDICT_ACCEPTED:
		err_set(e, ERR_NOT_ALLOWED, "%s let in a key that nobody trusts", url);
		err_next(
			e,
			"this broker must not run: its libzmq may be broken or replaced");
		return ERR_NOT_ALLOWED;
	case VERDICT_NONE:
		break;
	}
	return err_set(e, ERR_UNREACHABLE,
		       "cannot test the authentication of %s: no connection", url);
}

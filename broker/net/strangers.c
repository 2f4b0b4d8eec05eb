/* strangers.c - see strangers.h.
 *
 * The monitor of a router tells how many connections began and how many handshakes succeeded, but not
 * which ones. The difference are handshakes that go on, and strangers; what of it stays for longer than a
 * handshake may take, its least value over some seconds, were strangers. Keys that are not trusted are
 * left out, since the authenticator counts them. The monitor's queue has no bound, because libzmq
 * would wait for room in it; it is emptied every second. */
#include "broker/net/strangers.h"

#include "broker/broker.h"
#include "broker/net/auth.h"
#include "common/log.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum {
	SECONDS = ENDPOINT_HANDSHAKE_MS / 1000 + 2, /* a handshake is over by then */
	EVENTS = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
		 ZMQ_EVENT_HANDSHAKE_FAILED_AUTH
};

struct strangers {
	void *events; /* PAIR */
	/* Connections that began, less those that are known to be over: a ring of seconds. */
	uint64_t open[SECONDS];
	unsigned at;
	uint64_t accepted, known; /* known: it succeeded, or its key was refused */
	uint64_t told;
};

void strangers_watch(struct broker *b, struct control *c)
{
	char url[64];
	int no_bound = 0;
	struct strangers *s = mem_alloc(sizeof *s);
	snprintf(url, sizeof url, "inproc://strangers-%p", c->router);
	s->events = zmq_socket(b->zmq, ZMQ_PAIR);
	if (s->events &&
	    zmq_setsockopt(s->events, ZMQ_RCVHWM, &no_bound, sizeof no_bound) == 0 &&
	    zmq_socket_monitor(c->router, url, EVENTS) == 0 &&
	    zmq_connect(s->events, url) == 0) {
		c->strangers = s;
		return;
	}
	log_warn("strangers are not counted", "error=%s", zmq_strerror(errno));
	zmq_socket_monitor(c->router, NULL, 0);
	if (s->events)
		zmq_close(s->events);
	free(s);
}

void strangers_unwatch(struct control *c)
{
	if (!c->strangers)
		return;
	zmq_socket_monitor(c->router, NULL, 0);
	zmq_close(c->strangers->events);
	free(c->strangers);
	c->strangers = NULL;
}

/* next_event() - Return: 0; 1 if there is none. */
static int next_event(void *events, uint16_t *what)
{
	uint8_t frame[6] = {0};
	char address[8]; /* not wanted */
	if (zmq_recv(events, frame, sizeof frame, ZMQ_DONTWAIT) < 0)
		return 1;
	memcpy(what, frame, sizeof *what);
	(void)zmq_recv(events, address, sizeof address, ZMQ_DONTWAIT);
	return 0;
}

static uint64_t count_one(struct strangers *s)
{
	uint16_t what;
	while (next_event(s->events, &what) == 0)
		*(what == ZMQ_EVENT_ACCEPTED ? &s->accepted : &s->known) += 1;
	s->at = (s->at + 1) % SECONDS;
	s->open[s->at] = s->accepted > s->known ? s->accepted - s->known : 0;
	uint64_t least = s->open[0];
	for (unsigned i = 1; i < SECONDS; i++)
		least = s->open[i] < least ? s->open[i] : least;
	uint64_t news = least > s->told ? least - s->told : 0;
	s->told += news;
	return news;
}

void strangers_count(struct broker *b)
{
	uint64_t count = 0, refused = b->auth ? auth_refused(b->auth) : 0;
	for (unsigned i = 0; i < b->control_count; i++)
		if (b->controls[i].strangers)
			count += count_one(b->controls[i].strangers);
	if (count)
		log_warn("connections ended before they had said who they are",
			 "count=%llu", (unsigned long long)count);
	b->refused_messages += count + refused - b->auth_refused_seen;
	b->auth_refused_seen = refused;
}

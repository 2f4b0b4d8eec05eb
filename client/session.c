/* session.c - sessions of a handle with its broker: beginning, keeping, losing, dispatching.
 *
 *   no transport --begin()--> open (Hello and all that is pending were sent) --Welcome--> greeted
 *   open, greeted --lost, silent for 6 s, Bye--> no transport, and again after a backoff
 *   open, greeted --Error "say Hello first": ZeroMQ had reconnected by itself--> open, as it is */
#include "client/handle.h"

#include "client/local.h"
#include "client/private_broker.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/pure/mem.h"
#include "proto/endpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PING_NS (2 * NS_PER_S)
#define SILENCE_NS (6 * NS_PER_S)
#define BACKOFF_FIRST_NS (20 * NS_PER_MS)
#define BACKOFF_LAST_NS (500 * NS_PER_MS)
#define BACKOFF_DRAINING_NS (200 * NS_PER_MS) /* what it runs has to end first */
#define SHORT_LIFE_NS                                                                    \
	(2 * NS_PER_S) /* of a private broker that was started, answered and broke down */
#define SHORT_LIVES_MAX 20
#define HANDSHAKES_MAX 3 /* that failed without a reason, before the keys are blamed */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void handle_send(struct cashet *c, const void *packed, size_t size)
{
	/* Without a session the next one says it. */
	if (c->transport && !c->broken &&
	    c->transport->kind->send(c->transport, packed, size))
		c->broken = true;
}

void handle_say(struct cashet *c, const Cashet__Envelope *envelope)
{
	CLEANUP_BUF struct buf packed = {0};
	wire_pack(&packed, envelope);
	if (packed.failed)
		c->broken = true;
	else
		handle_send(c, packed.data, packed.size);
}

static void send_hello(struct cashet *c)
{
	char host[256] = "";
	gethostname(host, sizeof host - 1);
	Cashet__Hello hello = CASHET__HELLO__INIT;
	hello.protocol = WIRE_PROTOCOL;
	hello.version = (char *)cashet_version();
	hello.instance = (ProtobufCBinaryData){.data = c->instance, .len = KEY_SIZE};
	hello.name = c->name;
	hello.kind = CASHET__HELLO__KIND__CLIENT;
	hello.pid = (uint64_t)getpid();
	hello.host = host;
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	envelope.body_case = CASHET__ENVELOPE__BODY_HELLO;
	envelope.hello = &hello;
	handle_say(c, &envelope);
}

void handle_present(struct cashet *c)
{
	uint64_t now = clock_mono_ns();
	c->greeted = false;
	c->began_ns = c->heard_ns = now;
	c->ping_ns = now + PING_NS;
	send_hello(c);
	submission_resume(c);
	watch_resume(c, submission_is_open(c));
	struct list *at;
	list_for_each (at, &c->requests) {
		struct request *r = container_of(at, struct request, node);
		if (!r->done && !r->local)
			handle_send(c, r->packed.data, r->packed.size);
	}
}

/* Did the private broker that was lost come to its end as it should, asked to by a client of another
 * version, say? It has marked its lock, which the next one will not have taken yet. */
static bool has_ended_well(const struct cashet *c)
{
	CLEANUP_BUF struct buf text = {0};
	CLEANUP_FREE char *path = NULL;
	if (c->where.url || asprintf(&path, "%s/run/lock", c->where.dir) < 0)
		return false;
	return fs_read_file(path, 4096, &text) == 0 &&
	       text.size > strlen(STORE_END_MARK) &&
	       memmem(text.data, text.size, STORE_END_MARK, strlen(STORE_END_MARK));
}

static void drop(struct cashet *c)
{
	if (c->transport)
		c->transport->kind->close(c->transport);
	c->transport = NULL;
	uint64_t now = clock_mono_ns();
	if (c->greeted) {
		bool is_short = !c->turned_away && now - c->began_ns < SHORT_LIFE_NS &&
				!has_ended_well(c);
		c->short_lives = is_short ? c->short_lives + 1 : 0;
		c->lost_ns = now;
	}
	if (c->turned_away)
		c->backoff_ns = BACKOFF_DRAINING_NS;
	else if (c->backoff_ns)
		c->backoff_ns = least(2 * c->backoff_ns, BACKOFF_LAST_NS);
	else
		c->backoff_ns = BACKOFF_FIRST_NS;
	c->greeted = c->broken = c->turned_away = false;
	c->retry_ns = now + c->backoff_ns;
}

/* The URL of this session's broker: a store's may move when it is started anew. */
static int locate(struct cashet *c, uint64_t patience_ns, struct err *e)
{
	if (c->where.url) {
		if (!c->url)
			c->url = strdup(c->where.url);
		return c->url ? 0 : handle_no_memory(e);
	}
	if (c->short_lives >= SHORT_LIVES_MAX) {
		err_set(e, ERR_UNREACHABLE,
			"the private broker of %s ended %" PRIu32
			" times right after it had been started",
			c->where.dir, c->short_lives);
		err_next(e, "see %s/run/broker.log for why", c->where.dir);
		return ERR_UNREACHABLE;
	}
	bool ended = false;
	struct private_broker p = {
		.dir = c->where.dir,
		.endedp = &ended,
		.must_exist = c->must_exist,
		.may_start = !c->reading && (!c->welcome.known || c->welcome.is_private),
		.wait_ns = least(c->connect_ns, patience_ns),
		.interrupted = c->interrupted,
		.interrupted_arg = c->interrupted_arg,
	};
	char *url = NULL;
	int r = private_broker_find(&p, &url, e);
	c->short_lives += ended ? 2 : 0; /* it has tried it twice */
	if (r)
		return r;
	free(c->url);
	c->url = url;
	return 0;
}

static int begin(struct cashet *c, struct err *e)
{
	bool tcp = endpoint_is_tcp(c->url);
	int r = tcp ? handle_zmq(c, e) : 0;
	if (r)
		return r;
	struct transport_options options = {
		.url = c->url,
		.zmq = c->zmq,
		.self = c->secured ? &c->self : NULL,
		.server = c->secured ? c->server : NULL,
		.message_max = WIRE_MESSAGE_MAX,
	};
	r = (tcp ? &transport_zmq : &transport_ipc)->open(&c->transport, &options, e);
	if (r == 0)
		handle_present(c);
	return r;
}

/* ---- keeping it ---- */

/* Return: number of messages taken in, or -1 with *@rp and @e set. */
static int receive(struct cashet *c, int *rp, struct err *e)
{
	int count = 0;
	while (c->transport && !c->broken) {
		const uint8_t *data;
		size_t size;
		int r = c->transport->kind->recv(c->transport, &data, &size);
		if (r == 1)
			break;
		count++;
		if (r == 2)
			continue;
		c->heard_ns = clock_mono_ns();
		wire_arena_reset(c->arena);
		Cashet__Envelope *envelope = wire_unpack(c->arena, data, size);
		if (!envelope)
			continue;
		*rp = handle_dispatch(c, envelope, e);
		if (*rp)
			return -1;
	}
	return count;
}

/* ---- what becomes of the connection ---- */

static int refused_by_key(struct cashet *c, struct err *e)
{
	char public[41];
	key_z85(public, c->self.public);
	err_set(e, ERR_NOT_ALLOWED, "the broker at %s does not trust this key (%s): %s",
		c->url, c->self.name, public);
	err_next(e,
		 "on the broker's machine: cashet key trust '%s' --role client --name %s",
		 public, c->self.name);
	return ERR_NOT_ALLOWED;
}

static int refused_by_mechanism(struct cashet *c, struct err *e)
{
	if (c->secured) {
		err_set(e, ERR_NOT_ALLOWED, "the broker at %s does not use keys", c->url);
		err_next(e, "it runs --insecure; on a trusted network say so too: "
			    "--insecure");
	} else {
		err_set(e, ERR_NOT_ALLOWED,
			"the broker at %s wants keys, and none was used", c->url);
		err_next(e,
			 "cashet key new me; cashet key trust BROKER_PUBKEY --role "
			 "broker --name "
			 "%s; on the broker's machine: cashet key trust PUBKEY --role "
			 "client",
			 c->url + strlen("tcp://"));
	}
	return ERR_NOT_ALLOWED;
}

static int refused_without_reason(struct cashet *c, struct err *e)
{
	if (!c->secured || c->welcome.known || ++c->handshakes_failed < HANDSHAKES_MAX)
		return 0;
	char public[41];
	key_z85(public, c->server);
	err_set(e, ERR_NOT_ALLOWED, "%s does not prove to be the broker with the key %s",
		c->url, public);
	err_next(e,
		 "compare with what cashet-broker printed at its start; if it has a new "
		 "key: "
		 "cashet key trust PUBKEY --role broker --name %s",
		 c->url + strlen("tcp://"));
	return ERR_NOT_ALLOWED;
}

static int check_transport(struct cashet *c, struct err *e)
{
	switch (c->transport->kind->state(c->transport)) {
	case TRANSPORT_WORKING:
		return 0;
	case TRANSPORT_KEY_REFUSED:
		return c->secured ? refused_by_key(c, e) : refused_by_mechanism(c, e);
	case TRANSPORT_KEYS_DIFFER:
		return refused_by_mechanism(c, e);
	case TRANSPORT_UNPROVEN:
		c->broken = true;
		return refused_without_reason(c, e);
	case TRANSPORT_LOST:
		break;
	}
	c->broken = true;
	return 0;
}

/* ---- pumping ---- */

static int unreachable(struct cashet *c, struct err *e)
{
	uint64_t tried_s = (clock_mono_ns() - c->lost_ns + NS_PER_S / 2) / NS_PER_S;
	if (c->where.dir) {
		err_set(e, ERR_UNREACHABLE,
			"the broker of %s does not answer at %s; tried for %llu s",
			c->where.dir, c->url ? c->url : "its socket",
			(unsigned long long)tried_s);
		err_next(e,
			 "see %s/run/broker.log; to start one: cashet-broker --store %s",
			 c->where.dir, c->where.dir);
	} else {
		err_set(e, ERR_UNREACHABLE,
			"no broker answers at %s (%s); tried for %llu s", c->where.url,
			c->where.said_by, (unsigned long long)tried_s);
		if (endpoint_is_tcp(c->where.url))
			err_next(e, "start one: cashet-broker --listen %s --store DIR",
				 c->where.url);
		else
			err_next(e, "start one: cashet-broker --store DIR");
	}
	return ERR_UNREACHABLE;
}

static int check_patience(struct cashet *c, uint64_t now, uint64_t patience_ns,
			  struct err *e)
{
	if (c->greeted || patience_ns == TIME_NEVER)
		return 0;
	if (!c->welcome.known)
		patience_ns = c->connect_ns;
	return now - c->lost_ns >= patience_ns ? unreachable(c, e) : 0;
}

/* Without a transport: begin a session, or wait until that may be tried again. */
static int get_session(struct cashet *c, uint64_t until_ns, uint64_t patience_ns,
		       struct err *e)
{
	uint64_t now = clock_mono_ns();
	if (!c->lost_ns)
		c->lost_ns = now; /* the first attempt: what came before was no waiting */
	if (now < c->retry_ns) {
		uint64_t pause =
			least(c->retry_ns, until_ns > now ? until_ns : now) - now;
		struct timespec t = {.tv_sec = (time_t)(pause / NS_PER_S),
				     .tv_nsec = (long)(pause % NS_PER_S)};
		nanosleep(&t, NULL);
		return check_patience(c, clock_mono_ns(), patience_ns, e);
	}
	int r = locate(c, patience_ns, e);
	bool located = r == 0;
	if (located)
		r = begin(c, e);
	if (r == 0)
		return 0;
	drop(c);
	if (r == ERR_UNREACHABLE && c->reading && local_may(c))
		return r; /* there is another way, and whoever asks takes it */
	/* Nobody at the address yet, or no more: that may change. Where a private broker could not
	 * be started, it has been waited for. */
	if (r == ERR_UNREACHABLE && c->short_lives < SHORT_LIVES_MAX &&
	    (located || c->welcome.known || c->reading))
		return check_patience(c, clock_mono_ns(), patience_ns, e);
	return r;
}

static int wait_for_events(struct cashet *c, uint64_t now, uint64_t until_ns,
			   uint64_t patience_ns)
{
	uint64_t wake = least(until_ns, least(c->ping_ns, c->heard_ns + SILENCE_NS));
	if (!c->greeted && patience_ns != TIME_NEVER) {
		uint64_t bear = c->welcome.known ? patience_ns : c->connect_ns;
		wake = least(wake, c->lost_ns + bear);
	}
	return c->transport->kind->wait(c->transport, wake > now ? wake - now : 0);
}

static void keep_alive(struct cashet *c)
{
	uint64_t now = clock_mono_ns();
	if (now >= c->heard_ns + SILENCE_NS) {
		c->broken = true;
	} else if (now >= c->ping_ns) {
		Cashet__Ping ping = CASHET__PING__INIT;
		ping.sent = now;
		Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
		envelope.body_case = CASHET__ENVELOPE__BODY_PING;
		envelope.ping = &ping;
		c->ping_ns = now + PING_NS;
		if (c->greeted)
			handle_say(c, &envelope);
	}
}

int handle_pump(struct cashet *c, uint64_t until_ns, uint64_t patience_ns, struct err *e)
{
	if (c->interrupted && c->interrupted(c->interrupted_arg))
		return err_set(e, ERR_DETACHED, "interrupted");
	if (c->broken)
		drop(c);
	/* Whoever did not listen for a while has not heard silence. */
	uint64_t now = clock_mono_ns();
	if (now > c->pumped_ns + PING_NS)
		c->heard_ns = now;
	c->pumped_ns = now;
	if (!c->transport) {
		int r = get_session(c, until_ns, patience_ns, e);
		if (r || !c->transport)
			return r;
	}
	int r = 0, count = receive(c, &r, e);
	if (count)
		return r;
	now = clock_mono_ns();
	r = check_patience(c, now, patience_ns, e);
	if (r || c->broken)
		return r;
	int woken = wait_for_events(c, now, until_ns, patience_ns);
	c->pumped_ns = clock_mono_ns();
	if (woken < 0)
		return 0; /* a signal, mostly */
	if (receive(c, &r, e) < 0)
		return r;
	r = check_transport(c, e);
	if (r == 0 && !c->broken)
		keep_alive(c);
	return r;
}

int handle_greeted(struct cashet *c, struct err *e)
{
	while (!c->greeted) {
		int r = handle_pump(c, TIME_NEVER, c->connect_ns, e);
		if (r)
			return r;
	}
	return 0;
}

/* session.c - see session.h. */
#include "worker/session.h"

#include "common/log.h"
#include "common/pure/mem.h"
#include "common/rand.h"
#include "proto/keys.h"
#include "version.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#define GREET_AGAIN_NS (2 * NS_PER_S)
#define WARN_EVERY_NS (30 * NS_PER_S)
#define FIRST_WARN_NS (10 * NS_PER_S)

static void open_socket(struct session *s, uint64_t now_ns)
{
	s->socket = zmq_socket(s->zmq_context, ZMQ_DEALER);
	if (!s->socket) { /* the next one is made when this has been silent for long enough */
		log_error("no socket to the broker", "error=%s", zmq_strerror(errno));
		s->heard_ns = s->hello_ns = now_ns;
		return;
	}
	endpoint_setup(s->socket, WIRE_MESSAGE_MAX);
	if (s->has_keys)
		endpoint_secure_client(s->socket, &s->self, s->server);
	if (zmq_connect(s->socket, s->url) < 0)
		log_error("connection failed", "url=%s error=%s", s->url,
			  zmq_strerror(errno));
	s->heard_ns = s->pinged_ns = now_ns;
	session_greet(s, now_ns);
}

static int no_key(const char *host_port, struct err *e)
{
	err_set(e, ERR_NOT_ALLOWED,
		"tcp://%s needs keys, and there is none of this worker's", host_port);
	err_next(
		e,
		"cashet key new NAME; on the broker's machine: cashet key trust PUBKEY "
		"--role worker; or --insecure (CASHET_INSECURE=1) for a broker that runs "
		"--insecure, on a network that you trust");
	return ERR_NOT_ALLOWED;
}

static int no_broker_key(const char *host_port, struct err *e)
{
	err_set(e, ERR_NOT_ALLOWED, "no key of the broker at %s is trusted here",
		host_port);
	err_next(e,
		 "cashet key trust PUBKEY --role broker --name %s  (cashet-broker prints "
		 "its PUBKEY when it starts), or --insecure (CASHET_INSECURE=1) for a "
		 "broker that runs --insecure, on a network that you trust",
		 host_port);
	return ERR_NOT_ALLOWED;
}

/* Keys are for TCP. Whoever answers at the address makes this machine run programs, so there is no
 * way without keys but to say so. */
static int find_keys(struct session *s, const char *key_file, bool insecure,
		     struct err *e)
{
	if (!endpoint_is_tcp(s->url))
		return 0;
	const char *host_port = strstr(s->url, "://") + 3;
	if (insecure) {
		log_warn("insecure",
			 "why=\"TCP without keys: whoever answers at %s may run anything "
			 "here\"",
			 host_port);
		return 0;
	}
	const char *chosen = getenv("CASHET_KEY");
	bool asked = key_file || (chosen && *chosen);
	int rc = key_load(key_file, s->name, &s->self, e);
	if (rc)
		return rc == ERR_NOT_FOUND && !asked ? no_key(host_port, e) : rc;
	rc = key_find_broker(host_port, s->server, e);
	if (rc)
		return rc == ERR_NOT_FOUND ? no_broker_key(host_port, e) : rc;
	s->has_keys = true;
	return 0;
}

int session_init(struct session *s, const char *url, const char *name,
		 const char *key_file, bool insecure, uint64_t now_ns, struct err *e)
{
	*s = (struct session){
		.url = url, .name = name, .lost_ns = now_ns, .warned_ns = now_ns};
	int rc = find_keys(s, key_file, insecure, e);
	if (rc)
		return rc;
	gethostname(s->host, sizeof s->host - 1);
	rand_bytes(s->instance, sizeof s->instance);
	wire_arena_init(&s->arena);
	s->zmq_context = zmq_ctx_new();
	if (!s->zmq_context)
		abort();
	open_socket(s, now_ns);
	return 0;
}

void session_fini(struct session *s)
{
	if (s->socket) {
		int linger_ms = 500; /* for the last words */
		zmq_setsockopt(s->socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
		zmq_close(s->socket);
	}
	if (s->zmq_context)
		zmq_ctx_term(s->zmq_context);
	wire_arena_fini(&s->arena);
	free(s->blob_url);
	*s = (struct session){0};
}

int session_fd(struct session *s)
{
	int fd = -1;
	size_t size = sizeof fd;
	if (s->socket)
		zmq_getsockopt(s->socket, ZMQ_FD, &fd, &size);
	return fd;
}

bool session_has_input(struct session *s)
{
	int events = 0;
	size_t size = sizeof events;
	if (s->socket)
		zmq_getsockopt(s->socket, ZMQ_EVENTS, &events, &size);
	return events & ZMQ_POLLIN;
}

Cashet__Envelope *session_receive(struct session *s, uint64_t now_ns)
{
	struct wire_frame frame;
	for (;;) {
		int rc = wire_recv(s->socket, false, &frame);
		if (rc == 1)
			return NULL;
		if (rc == 2)
			continue;
		wire_arena_reset(&s->arena);
		Cashet__Envelope *e = wire_unpack(&s->arena, frame.data, frame.size);
		wire_frame_fini(&frame);
		if (!e) {
			log_warn("malformed message from the broker", "url=%s", s->url);
			continue;
		}
		s->heard_ns = now_ns;
		return e;
	}
}

bool session_send(struct session *s, const Cashet__Envelope *envelope)
{
	int error;
	return s->state == SESSION_UP &&
	       wire_send(s->socket, NULL, 0, envelope, &error) == 0;
}

void session_greet(struct session *s, uint64_t now_ns)
{
	Cashet__Hello hello = CASHET__HELLO__INIT;
	Cashet__Envelope e = CASHET__ENVELOPE__INIT;
	hello.protocol = WIRE_PROTOCOL;
	hello.version = (char *)(uintptr_t)CASHET_VERSION;
	hello.instance = (ProtobufCBinaryData){KEY_SIZE, s->instance};
	hello.name = (char *)(uintptr_t)s->name;
	hello.kind = CASHET__HELLO__KIND__WORKER;
	hello.pid = (uint64_t)getpid();
	hello.host = s->host;
	e.body_case = CASHET__ENVELOPE__BODY_HELLO;
	e.hello = &hello;
	int error;
	if (s->socket)
		wire_send(s->socket, NULL, 0, &e, &error);
	if (s->state == SESSION_UP)
		s->lost_ns = now_ns;
	s->state = SESSION_GREETING;
	s->hello_ns = now_ns;
}

int session_welcome(struct session *s, const Cashet__Welcome *m)
{
	if (m->protocol != WIRE_PROTOCOL || m->store.len != sizeof s->store)
		return 1;
	char *url = endpoint_blob_url(s->url, m->blob_port, m->blob_path);
	if (!url)
		return 1;
	free(s->blob_url);
	s->blob_url = url;
	if (s->has_store && memcmp(s->store, m->store.data, sizeof s->store))
		log_warn("the broker has another store than before", "url=%s", s->url);
	memcpy(s->store, m->store.data, sizeof s->store);
	s->has_store = true;
	s->inline_max = m->inline_max;
	s->message_max = m->message_max ? m->message_max : WIRE_MESSAGE_MAX;
	s->state = SESSION_UP;
	return 0;
}

static void explain_silence(struct session *s, uint64_t now_ns)
{
	if (now_ns - s->lost_ns < FIRST_WARN_NS ||
	    (s->warned_ns > s->lost_ns && now_ns - s->warned_ns < WARN_EVERY_NS))
		return;
	s->warned_ns = now_ns;
	char next[256] = "", public[41];
	if (s->has_keys) {
		key_z85(public, s->server);
		snprintf(next, sizeof next,
			 " next=\"on the broker's machine, cashet key ls: is this "
			 "worker's key trusted there as worker, and is the broker's own "
			 "%s? If it has another: cashet key trust, here\"",
			 public);
	} else if (endpoint_is_tcp(s->url)) {
		snprintf(
			next, sizeof next,
			" next=\"if it wants keys: run this worker without --insecure\"");
	}
	log_warn("the broker does not answer", "url=%s%s", s->url, next);
}

static void ping(struct session *s, uint64_t now_ns)
{
	Cashet__Ping m = CASHET__PING__INIT;
	Cashet__Envelope e = CASHET__ENVELOPE__INIT;
	m.sent = now_ns;
	e.body_case = CASHET__ENVELOPE__BODY_PING;
	e.ping = &m;
	s->pinged_ns = now_ns;
	session_send(s, &e);
}

bool session_is_silent(const struct session *s, uint64_t now_ns)
{
	return now_ns - s->heard_ns >= SESSION_SILENCE_NS;
}

void session_reopen(struct session *s, uint64_t now_ns)
{
	if (s->state == SESSION_UP) {
		s->lost_ns = now_ns;
		log_warn("the broker fell silent", "url=%s", s->url);
	}
	if (s->socket)
		zmq_close(s->socket);
	s->state = SESSION_DOWN;
	open_socket(s, now_ns);
}

uint64_t session_tick(struct session *s, uint64_t now_ns)
{
	uint64_t silent_ns = s->heard_ns + SESSION_SILENCE_NS, next_ns;
	if (s->state == SESSION_UP) {
		if (now_ns - s->pinged_ns >= SESSION_PING_NS)
			ping(s, now_ns);
		next_ns = s->pinged_ns + SESSION_PING_NS;
	} else {
		explain_silence(s, now_ns);
		if (now_ns - s->hello_ns >= GREET_AGAIN_NS)
			session_greet(s, now_ns);
		next_ns = s->hello_ns + GREET_AGAIN_NS;
	}
	return silent_ns < next_ns ? silent_ns : next_ns;
}

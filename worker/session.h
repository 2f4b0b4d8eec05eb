/* session.h - the control connection to the broker: one DEALER socket, said Hello on, watched, and
 * made anew when nothing was heard for SESSION_SILENCE_NS.
 *
 *   DOWN --open--> GREETING (Hello sent) --Welcome--> UP
 *   UP --Error "say Hello first" (the broker restarted)--> GREETING
 *   GREETING, UP --silence--> DOWN, and at once open again
 *
 * What is presented after each Welcome is the owner's business. */
#pragma once

#include "proto/endpoint.h"
#include "proto/wire.h"

#define SESSION_PING_NS (2 * NS_PER_S)
#define SESSION_SILENCE_NS (6 * NS_PER_S)

enum session_state { SESSION_DOWN, SESSION_GREETING, SESSION_UP };

struct session {
	enum session_state state;
	void *zmq_context, *socket;
	const char *url, *name;
	char host[128];
	uint8_t instance[KEY_SIZE];
	struct key_pair self;
	uint8_t server[KEY_SIZE];
	bool has_keys;
	uint64_t heard_ns, hello_ns, pinged_ns, warned_ns;
	uint64_t lost_ns; /* when it was last UP, or opened first */
	struct wire_arena arena;
	/* of the last Welcome */
	uint8_t store[16];
	bool has_store;
	uint32_t inline_max, message_max;
	char *blob_url;
};

/** session_init() - @url, @name: borrowed. Finds keys for TCP; with @insecure there are none.
 * Return: 0 or ERR_* in @e. */
int session_init(struct session *s, const char *url, const char *name,
		 const char *key_file, bool insecure, uint64_t now_ns, struct err *e);
void session_fini(struct session *s);
/** session_fd() - to poll for reading; edge-triggered as ZMQ_FD is. -1 while DOWN,
 * and when no socket could be made. */
int session_fd(struct session *s);
/** session_has_input() - true if session_receive() would give something; ask before sleeping. */
bool session_has_input(struct session *s);
/** session_receive() - the next message; borrowed until the next call. NULL if there is none. */
Cashet__Envelope *session_receive(struct session *s, uint64_t now_ns);
/** session_send() - Return: false if it is not UP or its queue is full; try again later. */
bool session_send(struct session *s, const Cashet__Envelope *envelope);
/** session_welcome() - take a Welcome: the session is UP. Return: 0, 1 if it is malformed. */
int session_welcome(struct session *s, const Cashet__Welcome *m);
/** session_greet() - say Hello (again). */
void session_greet(struct session *s, uint64_t now_ns);
/** session_is_silent() - nothing was heard for too long: session_reopen() it. */
bool session_is_silent(const struct session *s, uint64_t now_ns);
/** session_reopen() - a new socket (and descriptor) in place of the old one. */
void session_reopen(struct session *s, uint64_t now_ns);
/** session_tick() - ping, greet again. Return: when to call it again. */
uint64_t session_tick(struct session *s, uint64_t now_ns);

/* rig.h - a whole broker in a thread of the test, on a store in a temporary directory, and peers
 * that speak raw messages to it. Waits for messages, never for time to pass. */
#pragma once

#include "broker/broker.h"

#include <pthread.h>

#define RIG_WAIT_MS 60000

struct rig {
	char dir[64];
	struct options options;
	struct broker *b; /* look only while it is stopped, or at what never changes */
	pthread_t thread;
	bool running;
	void *zmq;
	char *url;
};

void rig_start(struct rig *r); /* a new store */
void rig_stop(struct rig *r);  /* as a drain does */
void rig_again(struct rig *r); /* on the same store */
void rig_end(struct rig *r);   /* and the store is removed */

struct end { /* a peer */
	struct rig *rig;
	void *socket;
	uint8_t instance[KEY_SIZE];
	struct wire_arena arena;
	struct wire_frame frame;
	bool has_frame;
	uint64_t serial;
	uint32_t credit; /* of a worker */
	uint8_t request[NONCE_SIZE];
};

void end_open(struct end *e, struct rig *r);		      /* says nothing yet */
void end_hello(struct end *e, struct rig *r, bool is_worker); /* and is welcome */
void end_reconnect(
	struct end *e); /* the same process, a new connection; without a Hello */
void end_say_hello(struct end *e, bool is_worker);
void end_close(struct end *e);
void end_send(struct end *e, Cashet__Envelope *envelope);
void end_send_bytes(struct end *e, const void *data, size_t size);
/** end_recv() - the next message of kind @want; Pings are skipped, others too if @skip. Valid
 * until the next receive. The test fails after RIG_WAIT_MS. */
Cashet__Envelope *end_recv(struct end *e, Cashet__Envelope__BodyCase want);
Cashet__Envelope *end_recv_any(struct end *e, int wait_ms); /* NULL: nothing came */

/* ---- a worker that does what it is told ---- */
void worker_hello(struct end *e, uint32_t cpus, uint32_t credit);
/** worker_result() - report @a as completed with @text as its output, or as failed when NULL. */
void worker_result(struct end *e, const Cashet__Assignment *a, const char *text);

/** worker_returns() - report call @a as completed: it returned @text, of this content type (0: it says
 * nothing of a result), and printed @printed. */
void worker_returns(struct end *e, const Cashet__Assignment *a, uint8_t type,
		    const char *text, const char *printed);
/** worker_stopped() - report the revoked attempt of @lease as stopped. */
void worker_stopped(struct end *e, const Cashet__Lease *lease);

/* ---- a client's batches ---- */
struct plan; /* a SubmitChunk in the making */
struct plan *plan_new(struct end *client);
/** plan_command() - function number of `argv0`; outputs: "name=path" or NULL. */
uint32_t plan_command(struct plan *p, const char *argv0, const char *output);
/** plan_call() - function number of a call whose identity is @identity again and again; @source: digest, 32
 * bytes, or NULL to name none. */
uint32_t plan_call(struct plan *p, uint8_t identity, const uint8_t *source);
/** plan_call_task() - with the keyword argument lr=@value, and data=the result of task @reads (-1: none) */
uint32_t plan_call_task(struct plan *p, uint32_t function, int64_t value, int reads);
Cashet__Options *plan_options(struct plan *p); /* of all functions, to be changed */
/** plan_task() - with the integer @value as its parameter; @reads: index of a task whose result is
 * its input, -1: none. Return: its index. */
uint32_t plan_task(struct plan *p, uint32_t function, int64_t value, int reads);
void plan_need(struct plan *p, uint32_t task, uint32_t needs);
void plan_nonce(struct plan *p, uint32_t task);
/** plan_send() - as one sealing chunk. plan_free() after. */
void plan_send(struct plan *p, bool watch);
void plan_chunk(struct plan *p, uint32_t chunk,
		bool seal);	   /* what was added, as chunk number */
void plan_discard(struct plan *p); /* the client gives it up */
void plan_batch(const struct plan *p, uint8_t id[DIGEST_SIZE]);
void plan_free(struct plan *p);

/* ---- whole conversations ---- */
/** worker_work() - answer assignments until @count results were accepted; @text as above. */
void worker_work(struct end *w, unsigned count, const char *text);
/** client_acknowledge() - @progress, the last message received. */
void client_acknowledge(struct end *c, const Cashet__Progress *progress);
/** client_last_progress() - acknowledge Progress until the last one, which is returned. */
Cashet__Progress *client_last_progress(struct end *c);
/** plan_three() - three tasks of /bin/true with different parameters. */
struct plan *plan_three(struct end *client);

/* noop_worker.c - a worker that runs nothing: every assignment is answered at once with
 * an empty success. What is left is the broker, the sockets and the disk.
 *
 *   noop_worker URL [SLOTS [BYTES]]      runs until it is killed
 *
 * With BYTES each task has so much standard output, of its own; at most 1024. */
#include "common/clock.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include "common/rand.h"
#include "proto/endpoint.h"
#include "proto/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

struct noop_worker {
	void *socket;
	struct wire_arena arena;
	uint8_t instance[KEY_SIZE];
	uint64_t slots;
	size_t bytes; /* of standard output */
};

static void send_or_die(struct noop_worker *w, const Cashet__Envelope *envelope)
{
	int error = 0;

	if (wire_send(w->socket, NULL, 0, envelope, &error)) {
		fprintf(stderr, "noop_worker: cannot send: %s\n", strerror(error));
		exit(1);
	}
}

static void say_hello(struct noop_worker *w)
{
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	Cashet__Hello hello = CASHET__HELLO__INIT;
	Cashet__WorkerHello worker = CASHET__WORKER_HELLO__INIT;
	Cashet__Resource cpus = CASHET__RESOURCE__INIT, *resources = &cpus;

	hello.protocol = WIRE_PROTOCOL;
	hello.version = (char *)"bench";
	hello.name = (char *)"noop";
	hello.host = (char *)"localhost";
	hello.kind = CASHET__HELLO__KIND__WORKER;
	hello.pid = (uint64_t)getpid();
	hello.instance = (ProtobufCBinaryData){KEY_SIZE, w->instance};
	envelope.serial = 1;
	envelope.body_case = CASHET__ENVELOPE__BODY_HELLO;
	envelope.hello = &hello;
	send_or_die(w, &envelope);

	cpus.name = (char *)"cpus";
	cpus.milli = w->slots * 1000;
	worker.n_capacity = 1;
	worker.capacity = &resources;
	worker.isolation = (char *)"none";
	envelope.serial = 2;
	envelope.body_case = CASHET__ENVELOPE__BODY_WORKER_HELLO;
	envelope.worker_hello = &worker;
	send_or_die(w, &envelope);
}

enum { BYTES_MAX = 1024 };

struct output { /* of one task */
	uint8_t text[BYTES_MAX], digest[DIGEST_SIZE];
	Cashet__Content content;
	Cashet__InlineBlob blob, *blobs;
};

static void make_output(struct output *o, const Cashet__Lease *lease, size_t bytes)
{
	char head[128];
	int size = snprintf(head, sizeof head, "task %u of lease %llx\n", lease->index,
			    (unsigned long long)lease->epoch);

	for (size_t i = 0; i < bytes; i++)
		o->text[i] = (uint8_t)head[i % (size_t)size];
	sha256_digest(o->text, bytes, o->digest);
	o->content = (Cashet__Content)CASHET__CONTENT__INIT;
	o->content.type = 1;
	o->content.size = bytes;
	o->content.digest = (ProtobufCBinaryData){DIGEST_SIZE, o->digest};
	o->blob = (Cashet__InlineBlob)CASHET__INLINE_BLOB__INIT;
	o->blob.data = (ProtobufCBinaryData){bytes, o->text};
	o->blobs = &o->blob;
}

static void answer(struct noop_worker *w, const Cashet__Assign *assign)
{
	static uint8_t empty[DIGEST_SIZE];
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	Cashet__Results results = CASHET__RESULTS__INIT;
	Cashet__Content nothing = CASHET__CONTENT__INIT;
	Cashet__Outcome *outcomes = mem_alloc(assign->n_tasks * sizeof *outcomes);
	Cashet__Outcome **pointers = mem_alloc(assign->n_tasks * sizeof *pointers);
	struct output *outputs =
		w->bytes ? mem_alloc(assign->n_tasks * sizeof *outputs) : NULL;

	memcpy(empty, sha256_empty, sizeof empty);
	nothing.type = 1;
	nothing.digest = (ProtobufCBinaryData){DIGEST_SIZE, empty};
	for (size_t i = 0; i < assign->n_tasks; i++) {
		outcomes[i] = (Cashet__Outcome)CASHET__OUTCOME__INIT;
		outcomes[i].lease = assign->tasks[i]->lease;
		outcomes[i].stdout_content = &nothing;
		outcomes[i].stderr_content = &nothing;
		outcomes[i].duration_ns = 1;
		pointers[i] = &outcomes[i];
		if (!outputs)
			continue;
		make_output(&outputs[i], assign->tasks[i]->lease, w->bytes);
		outcomes[i].stdout_content = &outputs[i].content;
		outcomes[i].n_blobs = 1;
		outcomes[i].blobs = (Cashet__InlineBlob **)&outputs[i].blobs;
	}
	results.n_outcomes = assign->n_tasks;
	results.outcomes = pointers;
	envelope.body_case = CASHET__ENVELOPE__BODY_RESULTS;
	envelope.results = &results;
	send_or_die(w, &envelope);
	free(outcomes);
	free(pointers);
	free(outputs);
}

static void handle(struct noop_worker *w, const Cashet__Envelope *envelope)
{
	Cashet__Envelope reply = CASHET__ENVELOPE__INIT;
	Cashet__Pong pong = CASHET__PONG__INIT;

	switch (envelope->body_case) {
	case CASHET__ENVELOPE__BODY_ASSIGN:
		if (envelope->assign->n_tasks)
			answer(w, envelope->assign);
		break;
	case CASHET__ENVELOPE__BODY_PING:
		pong.sent = envelope->ping->sent;
		reply.body_case = CASHET__ENVELOPE__BODY_PONG;
		reply.pong = &pong;
		send_or_die(w, &reply);
		break;
	case CASHET__ENVELOPE__BODY_ERROR:
		if (strstr(envelope->error->what, "Hello")) {
			say_hello(w);
			break;
		}
		fprintf(stderr, "noop_worker: %s\n", envelope->error->what);
		exit(1);
	default:
		break;
	}
}

static void heartbeat(struct noop_worker *w)
{
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	Cashet__Heartbeat beat = CASHET__HEARTBEAT__INIT;

	envelope.body_case = CASHET__ENVELOPE__BODY_HEARTBEAT;
	envelope.heartbeat = &beat;
	send_or_die(w, &envelope);
}

int main(int argc, char **argv)
{
	void *context = zmq_ctx_new();
	struct noop_worker w = {.socket = zmq_socket(context, ZMQ_DEALER),
				.slots = argc > 2 ? strtoull(argv[2], NULL, 10) : 20000,
				.bytes = argc > 3 ? strtoull(argv[3], NULL, 10) : 0};
	uint64_t beat_at = 0;

	if (argc < 2 || w.bytes > BYTES_MAX) {
		fprintf(stderr, "usage: noop_worker URL [SLOTS [BYTES]]\n");
		return 2;
	}
	wire_arena_init(&w.arena);
	rand_bytes(w.instance, sizeof w.instance);
	endpoint_setup(w.socket, WIRE_MESSAGE_MAX);
	if (zmq_connect(w.socket, argv[1])) {
		fprintf(stderr, "noop_worker: %s: %s\n", argv[1], zmq_strerror(errno));
		return 3;
	}
	say_hello(&w);
	for (;;) {
		zmq_pollitem_t item = {.socket = w.socket, .events = ZMQ_POLLIN};
		struct wire_frame frame;

		zmq_poll(&item, 1, 500);
		while (!wire_recv(w.socket, false, &frame)) {
			Cashet__Envelope *envelope =
				wire_unpack(&w.arena, frame.data, frame.size);

			if (envelope)
				handle(&w, envelope);
			wire_arena_reset(&w.arena);
			wire_frame_fini(&frame);
		}
		if (clock_mono_ns() > beat_at) {
			heartbeat(&w);
			beat_at = clock_mono_ns() + 2 * NS_PER_S;
		}
	}
}

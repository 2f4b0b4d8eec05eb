/* fake_broker.c - see fake_broker.h. */
#include "tests/unit/client/fake_broker.h"

#include "common/pure/sha256.h"
#include "proto/endpoint.h"
#include "proto/wire.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#define PEERS_MAX 64
#define CHUNKS_MAX 256

struct fake_inside {
	pthread_t thread;
	_Atomic int stop;
	void *zmq, *router;
	struct {
		uint8_t route[64];
		size_t size;
	} peers[PEERS_MAX];
	size_t peer_count;
	uint8_t watcher[64];
	size_t watcher_size;
	uint8_t instance[KEY_SIZE], request[16], batch[DIGEST_SIZE];
	uint32_t next;
	bool sealed, told_end;
	Cashet__SubmitChunk *parts[CHUNKS_MAX];
	Cashet__TaskResult *rows;
	Cashet__TaskResult **row_pointers;
	Cashet__Function **functions;
	size_t row_count, function_count;
};

static ProtobufCBinaryData bytes(uint8_t *data, size_t size)
{
	return (ProtobufCBinaryData){.data = data, .len = size};
}

static void reply(struct fake *f, const void *route, size_t size,
		  const Cashet__Envelope *envelope)
{
	int error;
	if (!f->mute)
		wire_send(f->inside->router, route, size, envelope, &error);
}

static void say_error(struct fake *f, const struct wire_frame *frame, uint64_t serial,
		      uint32_t code, const char *what)
{
	Cashet__Error error = CASHET__ERROR__INIT;
	error.code = code;
	error.what = (char *)what;
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	envelope.serial = serial;
	envelope.body_case = CASHET__ENVELOPE__BODY_ERROR;
	envelope.error = &error;
	reply(f, frame->route, frame->route_size, &envelope);
}

static bool is_known(const struct fake_inside *in, const struct wire_frame *frame)
{
	for (size_t i = 0; i < in->peer_count; i++)
		if (in->peers[i].size == frame->route_size &&
		    memcmp(in->peers[i].route, frame->route, frame->route_size) == 0)
			return true;
	return false;
}

static void take_hello(struct fake *f, const struct wire_frame *frame,
		       const Cashet__Hello *hello)
{
	struct fake_inside *in = f->inside;
	f->hellos++;
	if (!is_known(in, frame) && in->peer_count < PEERS_MAX) {
		memcpy(in->peers[in->peer_count].route, frame->route, frame->route_size);
		in->peers[in->peer_count++].size = frame->route_size;
	}
	memcpy(in->instance, hello->instance.data, KEY_SIZE);
	Cashet__Welcome welcome = CASHET__WELCOME__INIT;
	welcome.protocol = WIRE_PROTOCOL;
	welcome.version = (char *)"test";
	welcome.role = (char *)"admin";
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	envelope.body_case = CASHET__ENVELOPE__BODY_WELCOME;
	envelope.welcome = &welcome;
	reply(f, frame->route, frame->route_size, &envelope);
}

/* The sealed batch as rows: every task a hit. */
static void make_rows(struct fake_inside *in)
{
	size_t tasks = 0, functions = 0;
	for (uint32_t i = 0; i < in->next; i++) {
		tasks += in->parts[i]->n_tasks;
		functions += in->parts[i]->n_functions;
	}
	in->rows = calloc(tasks + 1, sizeof *in->rows);
	in->row_pointers = calloc(tasks + 1, sizeof *in->row_pointers);
	in->functions = calloc(functions + 1, sizeof *in->functions);
	for (uint32_t i = 0; i < in->next; i++) {
		for (size_t k = 0; k < in->parts[i]->n_functions; k++)
			in->functions[in->function_count++] = in->parts[i]->functions[k];
		for (size_t k = 0; k < in->parts[i]->n_tasks; k++) {
			Cashet__TaskResult *row = &in->rows[in->row_count];
			cashet__task_result__init(row);
			row->index = (uint32_t)in->row_count;
			row->state = CASHET__TASK_RESULT__STATE__COMPLETED;
			row->cached = true;
			row->exit_code = 0;
			row->function = in->parts[i]->tasks[k]->function;
			row->args = in->parts[i]->tasks[k]->args;
			in->row_pointers[in->row_count++] = row;
		}
	}
}

static void fill_counts(const struct fake *f, Cashet__Counts *counts)
{
	counts->total = counts->cached = f->inside->row_count;
	if (f->hold) {
		counts->waiting = counts->total;
		counts->cached = 0;
	}
}

static void fill_page(struct fake *f, Cashet__ResultsPage *page, Cashet__Counts *counts,
		      uint32_t first, size_t count)
{
	struct fake_inside *in = f->inside;
	fill_counts(f, counts);
	page->batch = bytes(in->batch, DIGEST_SIZE);
	page->first = first;
	page->total = (uint32_t)in->row_count;
	if (first > in->row_count)
		first = (uint32_t)in->row_count;
	if (count == 0 || count > in->row_count - first)
		count = in->row_count - first;
	page->next = first + (uint32_t)count;
	page->ended = !f->hold;
	page->n_functions = in->function_count;
	page->functions = in->functions;
	page->n_tasks = count;
	page->tasks = in->row_pointers + first;
	page->counts = counts;
}

static void tell_progress(struct fake *f)
{
	struct fake_inside *in = f->inside;
	if (!in->sealed || !in->watcher_size || in->told_end)
		return;
	Cashet__Counts counts = CASHET__COUNTS__INIT, page_counts = CASHET__COUNTS__INIT;
	Cashet__ResultsPage page = CASHET__RESULTS_PAGE__INIT;
	Cashet__Progress progress = CASHET__PROGRESS__INIT;
	fill_counts(f, &counts);
	progress.batch = bytes(in->batch, DIGEST_SIZE);
	progress.counts = &counts;
	progress.ended = !f->hold;
	if (progress.ended && !f->no_inline) {
		fill_page(f, &page, &page_counts, 0, 0);
		progress.results = &page;
	}
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	envelope.body_case = CASHET__ENVELOPE__BODY_PROGRESS;
	envelope.progress = &progress;
	reply(f, in->watcher, in->watcher_size, &envelope);
	in->told_end = progress.ended;
}

static void watch(struct fake_inside *in, const struct wire_frame *frame)
{
	memcpy(in->watcher, frame->route, frame->route_size);
	in->watcher_size = frame->route_size;
	in->told_end = false;
}

static void acknowledge(struct fake *f, const struct wire_frame *frame, uint64_t serial,
			uint32_t next)
{
	struct fake_inside *in = f->inside;
	Cashet__SubmitAck ack = CASHET__SUBMIT_ACK__INIT;
	ack.request = bytes(in->request, sizeof in->request);
	ack.batch = bytes(in->batch, DIGEST_SIZE);
	ack.next = next;
	ack.sealed = in->sealed && next;
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	envelope.serial = serial;
	envelope.body_case = CASHET__ENVELOPE__BODY_SUBMIT_ACK;
	envelope.submit_ack = &ack;
	f->acks++;
	reply(f, frame->route, frame->route_size, &envelope);
}

static void take_chunk(struct fake *f, const struct wire_frame *frame, uint64_t serial,
		       const Cashet__SubmitChunk *chunk)
{
	struct fake_inside *in = f->inside;
	f->chunks++;
	if (chunk->discard)
		return;
	if (chunk->seal && f->refuse) {
		say_error(f, frame, serial, 2, "cycle: a -> b -> a");
		return;
	}
	if (f->lose && chunk->chunk) {
		acknowledge(f, frame, serial, 0);
		return;
	}
	if (chunk->chunk < in->next) {
		f->repeated++;
	} else {
		cr_assert_eq(chunk->chunk, in->next, "chunks come in order");
		if (chunk->chunk == 0) {
			struct sha256 hash;
			memcpy(in->request, chunk->request.data, sizeof in->request);
			sha256_init(&hash);
			sha256_update(&hash, in->instance, KEY_SIZE);
			sha256_update(&hash, in->request, sizeof in->request);
			sha256_final(&hash, in->batch);
		}
		size_t size = cashet__submit_chunk__get_packed_size(chunk);
		uint8_t *packed = malloc(size);
		cashet__submit_chunk__pack(chunk, packed);
		in->parts[in->next++] = cashet__submit_chunk__unpack(NULL, size, packed);
		free(packed);
		in->sealed = chunk->seal;
		if (in->sealed)
			make_rows(in);
	}
	if (chunk->watch)
		watch(in, frame);
	if (!f->hold_acks)
		acknowledge(f, frame, serial, in->next);
}

static void take_query(struct fake *f, const struct wire_frame *frame, uint64_t serial,
		       const Cashet__ResultsQuery *query)
{
	struct fake_inside *in = f->inside;
	f->queries++;
	if (!in->sealed ||
	    (query->batch->prefix.len && query->batch->prefix.data[0] != in->batch[0])) {
		say_error(f, frame, serial, 5, "there is no such batch");
		return;
	}
	Cashet__Counts counts = CASHET__COUNTS__INIT;
	Cashet__ResultsPage page = CASHET__RESULTS_PAGE__INIT;
	size_t count = query->count ? query->count : (size_t)f->page;
	fill_page(f, &page, &counts, query->first, count);
	Cashet__NameCounts name = CASHET__NAME_COUNTS__INIT, *names[] = {&name};
	Cashet__Counts of_name = CASHET__COUNTS__INIT;
	if (query->by_name) {
		name.name = (char *)(page.first ? "other" : "first");
		name.counts = &of_name;
		of_name.total = of_name.executed = page.n_tasks;
		page.names = names;
		page.n_names = 1;
		page.n_tasks = 0;
	}
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	envelope.serial = serial;
	envelope.body_case = CASHET__ENVELOPE__BODY_RESULTS_PAGE;
	envelope.results_page = &page;
	reply(f, frame->route, frame->route_size, &envelope);
}

static void take(struct fake *f, const struct wire_frame *frame,
		 Cashet__Envelope *envelope)
{
	Cashet__Envelope pong = CASHET__ENVELOPE__INIT;
	Cashet__Pong body = CASHET__PONG__INIT;
	if (envelope->body_case == CASHET__ENVELOPE__BODY_HELLO) {
		take_hello(f, frame, envelope->hello);
		return;
	}
	if (!is_known(f->inside, frame)) {
		say_error(f, frame, envelope->serial, 4, "say Hello first");
		return;
	}
	switch ((int)envelope->body_case) {
	case CASHET__ENVELOPE__BODY_PING:
		pong.body_case = CASHET__ENVELOPE__BODY_PONG;
		pong.pong = &body;
		reply(f, frame->route, frame->route_size, &pong);
		break;
	case CASHET__ENVELOPE__BODY_SUBMIT_CHUNK:
		take_chunk(f, frame, envelope->serial, envelope->submit_chunk);
		break;
	case CASHET__ENVELOPE__BODY_WATCH:
		f->watches++;
		watch(f->inside, frame);
		break;
	case CASHET__ENVELOPE__BODY_RESULTS_QUERY:
		take_query(f, frame, envelope->serial, envelope->results_query);
		break;
	default:
		break;
	}
}

static void bind_router(struct fake *f)
{
	struct fake_inside *in = f->inside;
	in->router = zmq_socket(in->zmq, ZMQ_ROUTER);
	endpoint_setup(in->router, WIRE_MESSAGE_MAX);
	cr_assert_eq(zmq_bind(in->router, f->url), 0);
}

static void misbehave(struct fake *f)
{
	struct fake_inside *in = f->inside;
	if (f->forget) {
		in->peer_count = in->watcher_size = 0;
		f->forget = 0;
	}
	if (f->rebind) {
		in->peer_count = in->watcher_size = 0;
		zmq_close(in->router);
		usleep(100000);
		bind_router(f);
		f->rebind = 0;
	}
}

static void *run(void *arg)
{
	struct fake *f = arg;
	struct wire_arena arena;
	wire_arena_init(&arena);
	while (!f->inside->stop) {
		misbehave(f);
		zmq_pollitem_t item = {.socket = f->inside->router, .events = ZMQ_POLLIN};
		zmq_poll(&item, 1, 2);
		struct wire_frame frame;
		while (wire_recv(f->inside->router, true, &frame) == 0) {
			wire_arena_reset(&arena);
			Cashet__Envelope *envelope =
				wire_unpack(&arena, frame.data, frame.size);
			cr_assert_not_null(envelope);
			take(f, &frame, envelope);
			wire_frame_fini(&frame);
		}
		tell_progress(f);
	}
	wire_arena_fini(&arena);
	return NULL;
}

struct fake *fake_start(const char *name)
{
	struct fake *f = calloc(1, sizeof *f);
	f->inside = calloc(1, sizeof *f->inside);
	snprintf(f->url, sizeof f->url, "ipc:///tmp/cashet-test-%d-%s.sock",
		 (int)getpid(), name);
	f->inside->zmq = zmq_ctx_new();
	bind_router(f);
	cr_assert_eq(pthread_create(&f->inside->thread, NULL, run, f), 0);
	return f;
}

void fake_stop(struct fake *f)
{
	struct fake_inside *in = f->inside;
	in->stop = 1;
	pthread_join(in->thread, NULL);
	zmq_close(in->router);
	zmq_ctx_term(in->zmq);
	for (uint32_t i = 0; i < in->next; i++)
		cashet__submit_chunk__free_unpacked(in->parts[i], NULL);
	free(in->rows);
	free(in->row_pointers);
	free(in->functions);
	free(in);
	unlink(f->url + strlen("ipc://"));
	free(f);
}

const Cashet__SubmitChunk *fake_chunk(const struct fake *f, uint32_t number)
{
	cr_assert_lt(number, f->inside->next);
	return f->inside->parts[number];
}

/* rig.c - see rig.h. */
#include "rig.h"

#include "common/fs.h"
#include "common/log.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include "common/rand.h"
#include "proto/endpoint.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

static void *run(void *arg)
{
	struct rig *r = arg;
	broker_run(r->b);
	return NULL;
}

void rig_again(struct rig *r)
{
	struct err e = {0};
	int rc = broker_open(&r->b, &r->options, &e);
	cr_assert(rc == 0, "broker_open: %s", e.what);
	free(r->url);
	r->url = mem_strdup(r->b->controls[0].url);
	cr_assert(pthread_create(&r->thread, NULL, run, r) == 0);
	r->running = true;
}

void rig_start(struct rig *r)
{
	*r = (struct rig){0};
	log_threshold = getenv("CASHET_TEST_LOG") ? LOG_DEBUG : LOG_ERROR;
	strcpy(r->dir, "/tmp/cashet-unit-XXXXXX");
	cr_assert(mkdtemp(r->dir));
	r->options = (struct options){
		.store = r->dir, .drain_timeout_ns = TIME_NEVER, .quiet = true};
	r->zmq = zmq_ctx_new();
	rig_again(r);
}

void rig_stop(struct rig *r)
{
	if (!r->running)
		return;
	broker_stop(r->b);
	pthread_join(r->thread, NULL);
	broker_free(r->b);
	r->b = NULL;
	r->running = false;
}

void rig_end(struct rig *r)
{
	rig_stop(r);
	zmq_ctx_term(r->zmq);
	free(r->url);
	fs_remove_tree(r->dir);
}

/* ---- peers ---- */

void end_reconnect(struct end *e)
{
	if (e->socket)
		zmq_close(e->socket);
	e->socket = zmq_socket(e->rig->zmq, ZMQ_DEALER);
	cr_assert(e->socket);
	endpoint_setup(e->socket, WIRE_MESSAGE_MAX);
	cr_assert(zmq_connect(e->socket, e->rig->url) == 0);
}

void end_open(struct end *e, struct rig *r)
{
	*e = (struct end){.rig = r};
	rand_bytes(e->instance, sizeof e->instance);
	wire_arena_init(&e->arena);
	end_reconnect(e);
}

void end_send_bytes(struct end *e, const void *data, size_t size)
{
	cr_assert(zmq_send(e->socket, data, size, 0) == (int)size);
}

void end_send(struct end *e, Cashet__Envelope *envelope)
{
	int error;
	if (!envelope->serial)
		envelope->serial = ++e->serial;
	cr_assert(wire_send(e->socket, NULL, 0, envelope, &error) == 0);
}

void end_say_hello(struct end *e, bool is_worker)
{
	Cashet__Envelope m = CASHET__ENVELOPE__INIT;
	Cashet__Hello hello = CASHET__HELLO__INIT;
	hello.protocol = WIRE_PROTOCOL;
	hello.version = (char *)"test";
	hello.name = (char *)(is_worker ? "w" : "c");
	hello.host = (char *)"here";
	hello.pid = (uint64_t)getpid();
	hello.instance.data = e->instance;
	hello.instance.len = KEY_SIZE;
	hello.kind =
		is_worker ? CASHET__HELLO__KIND__WORKER : CASHET__HELLO__KIND__CLIENT;
	m.body_case = CASHET__ENVELOPE__BODY_HELLO;
	m.hello = &hello;
	end_send(e, &m);
}

void end_hello(struct end *e, struct rig *r, bool is_worker)
{
	end_open(e, r);
	end_say_hello(e, is_worker);
	Cashet__Envelope *m = end_recv(e, CASHET__ENVELOPE__BODY_WELCOME);
	cr_assert(m->welcome->protocol == WIRE_PROTOCOL);
}

void end_close(struct end *e)
{
	if (e->has_frame)
		wire_frame_fini(&e->frame);
	wire_arena_fini(&e->arena);
	zmq_close(e->socket);
}

Cashet__Envelope *end_recv_any(struct end *e, int wait_ms)
{
	for (;;) {
		if (e->has_frame)
			wire_frame_fini(&e->frame);
		e->has_frame = false;
		zmq_pollitem_t item = {.socket = e->socket, .events = ZMQ_POLLIN};
		if (zmq_poll(&item, 1, wait_ms) <= 0)
			return NULL;
		if (wire_recv(e->socket, false, &e->frame))
			continue;
		e->has_frame = true;
		wire_arena_reset(&e->arena);
		Cashet__Envelope *m =
			wire_unpack(&e->arena, e->frame.data, e->frame.size);
		cr_assert(m, "the broker sent what cannot be unpacked");
		if (m->body_case != CASHET__ENVELOPE__BODY_PING)
			return m;
	}
}

Cashet__Envelope *end_recv(struct end *e, Cashet__Envelope__BodyCase want)
{
	for (;;) {
		Cashet__Envelope *m = end_recv_any(e, RIG_WAIT_MS);
		cr_assert(m, "message %d did not come", (int)want);
		if (m->body_case == want)
			return m;
		cr_assert(m->body_case != CASHET__ENVELOPE__BODY_ERROR,
			  "instead of message %d came the error: %s", (int)want,
			  m->error->what);
	}
}

/* ---- workers ---- */

void worker_hello(struct end *e, uint32_t cpus, uint32_t credit)
{
	Cashet__Envelope m = CASHET__ENVELOPE__INIT;
	Cashet__WorkerHello hello = CASHET__WORKER_HELLO__INIT;
	Cashet__Resource cpu = CASHET__RESOURCE__INIT, *list[] = {&cpu};
	cpu.name = (char *)"cpus";
	cpu.milli = 1000ull * cpus;
	hello.n_capacity = 1;
	hello.capacity = list;
	hello.credit = e->credit = credit;
	m.body_case = CASHET__ENVELOPE__BODY_WORKER_HELLO;
	m.worker_hello = &hello;
	end_send(e, &m);
}

static void send_outcome(struct end *e, Cashet__Outcome *o)
{
	Cashet__Envelope m = CASHET__ENVELOPE__INIT;
	Cashet__Results results = CASHET__RESULTS__INIT;
	Cashet__Outcome *outcomes[] = {o};
	results.outcomes = outcomes;
	results.n_outcomes = 1;
	results.credit = e->credit;
	m.body_case = CASHET__ENVELOPE__BODY_RESULTS;
	m.results = &results;
	end_send(e, &m);
}

static void add_text(Cashet__Content *content, Cashet__InlineBlob *blob,
		     uint8_t digest[DIGEST_SIZE], uint8_t type, const char *text)
{
	cashet__content__init(content);
	cashet__inline_blob__init(blob);
	sha256_digest(text, strlen(text), digest);
	content->type = type;
	content->digest.data = digest;
	content->digest.len = DIGEST_SIZE;
	content->size = strlen(text);
	blob->data.data = (uint8_t *)text;
	blob->data.len = strlen(text);
}

void worker_returns(struct end *e, const Cashet__Assignment *a, uint8_t type,
		    const char *text, const char *printed)
{
	Cashet__Outcome o = CASHET__OUTCOME__INIT;
	Cashet__Content contents[2];
	Cashet__InlineBlob blobs[2], *list[] = {&blobs[0], &blobs[1]};
	uint8_t digests[2][DIGEST_SIZE];
	add_text(&contents[0], &blobs[0], digests[0], type, text);
	add_text(&contents[1], &blobs[1], digests[1], CONTENT_FILE, printed);
	o.lease = a->lease;
	o.kind = CASHET__OUTCOME__KIND__COMPLETED;
	o.result = type ? &contents[0] : NULL;
	o.stdout_content = &contents[1];
	o.blobs = list;
	o.n_blobs = 2;
	send_outcome(e, &o);
}

void worker_result(struct end *e, const Cashet__Assignment *a, const char *text)
{
	Cashet__Outcome o = CASHET__OUTCOME__INIT;
	Cashet__Content content;
	Cashet__InlineBlob blob, *blobs[] = {&blob};
	uint8_t digest[DIGEST_SIZE];
	o.lease = a->lease;
	o.kind = text ? CASHET__OUTCOME__KIND__COMPLETED : CASHET__OUTCOME__KIND__FAILED;
	o.exit_code = text ? 0 : 1;
	o.error = (char *)(text ? "" : "exit 1");
	o.duration_ns = 1000000;
	if (text) {
		add_text(&content, &blob, digest, CONTENT_FILE, text);
		o.stdout_content = &content;
		o.blobs = blobs;
		o.n_blobs = 1;
	}
	send_outcome(e, &o);
}

void worker_stopped(struct end *e, const Cashet__Lease *lease)
{
	Cashet__Outcome o = CASHET__OUTCOME__INIT;
	o.lease = (Cashet__Lease *)lease;
	o.kind = CASHET__OUTCOME__KIND__STOPPED;
	send_outcome(e, &o);
}

/* ---- batches ---- */

#define PLAN_MAX 256

struct plan {
	struct end *client;
	uint8_t request[NONCE_SIZE];
	Cashet__BatchInfo info;
	Cashet__Options options;
	Cashet__Function functions[8], *function_list[8];
	struct buf descriptions[8];
	bool reads[8];
	Cashet__TaskSpec tasks[PLAN_MAX], *task_list[PLAN_MAX];
	Cashet__Ref refs[PLAN_MAX], *ref_list[PLAN_MAX];
	struct buf args[PLAN_MAX];
	uint32_t needs[PLAN_MAX][4];
	uint8_t nonces[PLAN_MAX][NONCE_SIZE];
	size_t function_count, task_count, sent_functions, sent_tasks;
};

struct plan *plan_new(struct end *client)
{
	struct plan *p = mem_alloc(sizeof *p);
	p->client = client;
	rand_bytes(p->request, sizeof p->request);
	cashet__batch_info__init(&p->info);
	cashet__options__init(&p->options);
	p->info.name = (char *)"plan";
	return p;
}

Cashet__Options *plan_options(struct plan *p)
{
	return &p->options;
}

uint32_t plan_command(struct plan *p, const char *argv0, const char *output)
{
	uint32_t number = (uint32_t)p->function_count++;
	struct function f = {0};
	char *argv[] = {(char *)argv0}, *params[] = {(char *)"v"},
	     *inputs[] = {(char *)"in"};
	char name[64], *path = NULL;
	struct function_pair out;
	f.argv = argv;
	f.argc = 1;
	f.params = params;
	f.param_count = 1;
	f.inputs = inputs;
	f.input_count = 1;
	if (output) {
		snprintf(name, sizeof name, "%s", output);
		path = strchr(name, '=');
		*path++ = '\0';
		out = (struct function_pair){name, path};
		f.outputs = &out;
		f.output_count = 1;
	}
	function_encode(&p->descriptions[number], &f);
	Cashet__Function *to = &p->functions[number];
	cashet__function__init(to);
	to->description.data = p->descriptions[number].data;
	to->description.len = p->descriptions[number].size;
	to->name = (char *)argv0;
	p->function_list[number] = to;
	return number;
}

uint32_t plan_call(struct plan *p, uint8_t identity, const uint8_t *source)
{
	uint32_t number = (uint32_t)p->function_count++;
	struct function f = {.language = (char *)"python"};
	memset(f.identity, identity, DIGEST_SIZE);
	function_encode(&p->descriptions[number], &f);
	Cashet__Function *to = &p->functions[number];
	cashet__function__init(to);
	to->description.data = p->descriptions[number].data;
	to->description.len = p->descriptions[number].size;
	to->name = (char *)"train.py:train";
	to->source.data = (uint8_t *)source;
	to->source.len = source ? DIGEST_SIZE : 0;
	p->function_list[number] = to;
	return number;
}

/* The arguments are in p->args[index] already. @offset: of the placeholder of what it reads. */
static uint32_t add_task(struct plan *p, uint32_t function, int reads, size_t offset)
{
	uint32_t index = (uint32_t)p->task_count++;
	Cashet__TaskSpec *t = &p->tasks[index];
	cashet__task_spec__init(t);
	t->function = function;
	t->args.data = p->args[index].data;
	t->args.len = p->args[index].size;
	if (reads >= 0) {
		cashet__ref__init(&p->refs[index]);
		p->refs[index].offset = (uint32_t)offset;
		p->refs[index].target = (uint32_t)reads;
		p->refs[index].slot = SLOT_RESULT;
		p->ref_list[index] = &p->refs[index];
		t->n_refs = 1;
		t->refs = &p->ref_list[index];
	}
	t->needs = p->needs[index];
	p->task_list[index] = t;
	return index;
}

uint32_t plan_call_task(struct plan *p, uint32_t function, int64_t value, int reads)
{
	cr_assert(p->task_count < PLAN_MAX);
	struct arg keywords[] = {
		{.type = ARG_REF, .name = (char *)"data", .name_size = 4},
		{.type = ARG_INT, .name = (char *)"lr", .name_size = 2, .i = value},
	};
	struct call_args call = {.keywords = keywords, .keyword_count = 2};
	struct args a = {.call = &call};
	if (reads < 0) {
		call.keywords++;
		call.keyword_count--;
	}
	args_encode(&p->args[p->task_count], &a); /* sorts: lr is first then */
	return add_task(p, function, reads,
			keywords[keywords[0].type == ARG_REF ? 0 : 1].offset);
}

uint32_t plan_task(struct plan *p, uint32_t function, int64_t value, int reads)
{
	uint32_t index = (uint32_t)p->task_count;
	cr_assert(index < PLAN_MAX);
	struct args a = {0};
	struct value v = {.type = VALUE_INT, .i = value};
	char *names[] = {(char *)"f"};
	struct args_input input = {.names = names, .name_count = 1};
	if (reads < 0) {
		input.content.type = CONTENT_FILE;
		memcpy(input.content.digest, sha256_empty, DIGEST_SIZE);
	}
	a.values = &v;
	a.value_count = 1;
	a.inputs = &input;
	a.input_count = 1;
	args_encode(&p->args[index], &a);
	return add_task(p, function, reads, input.offset);
}

void plan_need(struct plan *p, uint32_t task, uint32_t needs)
{
	p->needs[task][p->tasks[task].n_needs++] = needs;
}

void plan_nonce(struct plan *p, uint32_t task)
{
	rand_bytes(p->nonces[task], NONCE_SIZE);
	p->tasks[task].nonce.data = p->nonces[task];
	p->tasks[task].nonce.len = NONCE_SIZE;
}

static void send_chunk(struct plan *p, uint32_t chunk, bool seal, bool watch)
{
	Cashet__Envelope m = CASHET__ENVELOPE__INIT;
	Cashet__SubmitChunk c = CASHET__SUBMIT_CHUNK__INIT;
	Cashet__Options *options[] = {&p->options};
	c.request.data = p->request;
	c.request.len = NONCE_SIZE;
	c.chunk = chunk;
	if (!chunk) {
		c.info = &p->info;
		c.n_options = 1;
		c.options = options;
	}
	c.functions = p->function_list + p->sent_functions;
	c.n_functions = p->function_count - p->sent_functions;
	c.tasks = p->task_list + p->sent_tasks;
	c.n_tasks = p->task_count - p->sent_tasks;
	c.seal = seal;
	c.watch = watch;
	m.body_case = CASHET__ENVELOPE__BODY_SUBMIT_CHUNK;
	m.submit_chunk = &c;
	end_send(p->client, &m);
}

void plan_send(struct plan *p, bool watch)
{
	p->sent_functions = p->sent_tasks = 0;
	send_chunk(p, 0, true, watch);
}

void plan_chunk(struct plan *p, uint32_t chunk, bool seal)
{
	send_chunk(p, chunk, seal, false);
	p->sent_functions = p->function_count;
	p->sent_tasks = p->task_count;
}

void plan_discard(struct plan *p)
{
	Cashet__Envelope m = CASHET__ENVELOPE__INIT;
	Cashet__SubmitChunk c = CASHET__SUBMIT_CHUNK__INIT;
	c.request.data = p->request;
	c.request.len = NONCE_SIZE;
	c.discard = true;
	m.body_case = CASHET__ENVELOPE__BODY_SUBMIT_CHUNK;
	m.submit_chunk = &c;
	end_send(p->client, &m);
}

void plan_batch(const struct plan *p, uint8_t id[DIGEST_SIZE])
{
	batch_make_id(id, p->client->instance, p->request);
}

void plan_free(struct plan *p)
{
	for (size_t i = 0; i < p->function_count; i++)
		buf_fini(&p->descriptions[i]);
	for (size_t i = 0; i < p->task_count; i++)
		buf_fini(&p->args[i]);
	free(p);
}

/* ---- whole conversations ---- */

/* Take assignments and answer them until @count results are acknowledged as accepted. */
void worker_work(struct end *w, unsigned count, const char *text)
{
	unsigned accepted = 0;
	while (accepted < count) {
		Cashet__Envelope *m = end_recv_any(w, RIG_WAIT_MS);
		cr_assert(m, "only %u of %u results were accepted", accepted, count);
		if (m->body_case == CASHET__ENVELOPE__BODY_ASSIGN) {
			for (size_t i = 0; i < m->assign->n_tasks; i++)
				worker_result(w, m->assign->tasks[i], text);
		} else if (m->body_case == CASHET__ENVELOPE__BODY_RESULT_ACKS) {
			for (size_t i = 0; i < m->result_acks->n_acks; i++)
				accepted += m->result_acks->acks[i]->verdict ==
					    CASHET__RESULT_ACK__VERDICT__ACCEPTED;
		}
	}
}

void client_acknowledge(struct end *c, const Cashet__Progress *progress)
{
	Cashet__Envelope ack = CASHET__ENVELOPE__INIT;
	Cashet__ProgressAck body = CASHET__PROGRESS_ACK__INIT;
	body.batch = progress->batch;
	ack.body_case = CASHET__ENVELOPE__BODY_PROGRESS_ACK;
	ack.progress_ack = &body;
	end_send(c, &ack);
}

Cashet__Progress *client_last_progress(struct end *c)
{
	for (;;) {
		Cashet__Envelope *m = end_recv(c, CASHET__ENVELOPE__BODY_PROGRESS);
		if (m->progress->ended)
			return m->progress;
		client_acknowledge(c, m->progress);
	}
}

struct plan *plan_three(struct end *client)
{
	struct plan *p = plan_new(client);
	uint32_t f = plan_command(p, "/bin/true", NULL);
	for (int i = 0; i < 3; i++)
		plan_task(p, f, i, -1);
	return p;
}

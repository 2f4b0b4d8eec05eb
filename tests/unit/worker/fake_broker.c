/* fake_broker.c - see fake_broker.h. */
#include "fake_broker.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include "worker/spawner/spawner.h"
#include "worker/worker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

struct fake_put {
	struct fake_put *next;
	uint64_t stream;
	struct buf data;
};

/* ---- sockets */

static void *bind_router(struct fake *f, const char *url)
{
	void *socket = zmq_socket(f->context, ZMQ_ROUTER);
	endpoint_setup(socket, WIRE_MESSAGE_MAX);
	for (int i = 0; zmq_bind(socket, url) < 0; i++) {
		if (i == 200) {
			perror(url);
			abort();
		}
		usleep(10000); /* the old socket is closed in the background */
	}
	return socket;
}

static void open_sockets(struct fake *f)
{
	f->control = bind_router(f, f->url);
	f->blobs = bind_router(f, f->blob_bind);
	f->greeted = f->joined = false;
	f->known_count = 0;
}

static void close_sockets(struct fake *f)
{
	zmq_close(f->control);
	zmq_close(f->blobs);
}

void fake_start(struct fake *f)
{
	*f = (struct fake){.next_epoch = 1};
	strcpy(f->dir, "/tmp/cashet-worker-test-XXXXXX");
	if (!mkdtemp(f->dir))
		abort();
	snprintf(f->url, sizeof f->url, "ipc://%s/broker.sock", f->dir);
	snprintf(f->blob_path, sizeof f->blob_path, "%s/broker.sock.blobs", f->dir);
	snprintf(f->blob_bind, sizeof f->blob_bind, "ipc://%s", f->blob_path);
	wire_arena_init(&f->arena);
	wire_arena_init(&f->blob_arena);
}

void fake_restart(struct fake *f)
{
	close_sockets(f);
	open_sockets(f);
}

void fake_run_worker_on(struct fake *f, struct options *o)
{
	char *work_dir;
	if (asprintf(&work_dir, "%s/work", f->dir) < 0)
		abort();
	o->broker = f->url;
	o->name = (char *)(uintptr_t) "tester";
	if (!o->work_dir) {
		o->work_dir = work_dir;
		o->work_dir_given = true;
	}
	if (!resources_get(&o->capacity.total, "cpus"))
		capacity_add(&o->capacity, "cpus", 2000);
	if (!o->cache_bytes)
		o->cache_bytes = 1 << 20;
	if (!o->drain_timeout_ns)
		o->drain_timeout_ns = TIME_NEVER;
	fflush(NULL);
	f->worker = fork();
	if (f->worker == 0) {
		pid_t spawner_pid;
		prctl(PR_SET_PDEATHSIG,
		      SIGKILL); /* a test that failed does not leave us */
		log_threshold = getenv("TEST_LOG") ? LOG_DEBUG : LOG_ERROR;
		int spawner = spawner_start(&spawner_pid);
		sigset_t mask;
		sigemptyset(&mask);
		sigaddset(&mask, SIGTERM);
		sigprocmask(SIG_BLOCK, &mask, NULL);
		int rc = worker_run(o, spawner, spawner_pid);
		free(work_dir);
		exit(rc);
	}
	free(o->work_dir == work_dir ? NULL : work_dir);
}

void fake_run_worker(struct fake *f)
{
	struct options o = {0};
	capacity_add_gpu(&o.capacity, 3);
	capacity_add_gpu(&o.capacity, 5);
	fake_run_worker_on(f, &o);
	free(o.work_dir);
}

void fake_stop(struct fake *f)
{
	if (f->worker > 0) {
		kill(f->worker, SIGKILL);
		waitpid(f->worker, NULL, 0);
	}
	if (f->context) {
		close_sockets(f);
		zmq_ctx_term(f->context);
	}
	wire_arena_fini(&f->arena);
	wire_arena_fini(&f->blob_arena);
	while (f->outcomes) {
		struct fake_outcome *o = f->outcomes;
		f->outcomes = o->next;
		cashet__outcome__free_unpacked(o->m, NULL);
		buf_fini(&o->packed);
		free(o);
	}
	while (f->store) {
		struct fake_blob *b = f->store;
		f->store = b->next;
		buf_fini(&b->data);
		free(b);
	}
	while (f->put) {
		struct fake_put *p = f->put;
		f->put = p->next;
		buf_fini(&p->data);
		free(p);
	}
	buf_fini(&f->log);
	buf_fini(&f->asked);
	fs_remove_tree(f->dir);
}

static void say(struct fake *f, Cashet__Envelope__BodyCase body, void *message,
		uint64_t serial)
{
	Cashet__Envelope e = CASHET__ENVELOPE__INIT;
	int error;
	e.serial = serial;
	e.body_case = body;
	e.hello = message;
	wire_send(f->control, f->route, f->route_size, &e, &error);
}

/* ---- control */

static void refuse(struct fake *f, const struct wire_frame *frame)
{
	Cashet__Envelope e = CASHET__ENVELOPE__INIT;
	Cashet__Error m = CASHET__ERROR__INIT;
	int error;
	m.code = ERR_USAGE;
	m.what = (char *)(uintptr_t) "say Hello first";
	e.body_case = CASHET__ENVELOPE__BODY_ERROR;
	e.error = &m;
	wire_send(f->control, frame->route, frame->route_size, &e, &error);
}

static void welcome(struct fake *f, const struct wire_frame *frame,
		    const Cashet__Hello *m)
{
	static uint8_t store[16] = {7};
	Cashet__Welcome w = CASHET__WELCOME__INIT;
	memcpy(f->route, frame->route, frame->route_size);
	f->route_size = frame->route_size;
	memcpy(f->worker_key, m->instance.data, KEY_SIZE);
	f->greeted = true;
	f->hellos++;
	w.protocol = WIRE_PROTOCOL;
	w.version = (char *)(uintptr_t) "test";
	w.store = (ProtobufCBinaryData){sizeof store, store};
	w.boot = 1;
	w.blob_path = f->blob_path;
	w.inline_max = FAKE_INLINE_MAX;
	w.message_max = WIRE_MESSAGE_MAX;
	say(f, CASHET__ENVELOPE__BODY_WELCOME, &w, 0);
}

static void take_worker_hello(struct fake *f, const Cashet__WorkerHello *m)
{
	f->joined = true;
	f->joins++;
	f->credit = m->credit;
	f->claims = m->n_claims;
	f->claims_started = f->claims_finished = 0;
	for (size_t i = 0; i < m->n_claims; i++) {
		f->claims_started += m->claims[i]->started;
		f->claims_finished += m->claims[i]->finished;
	}
	for (size_t i = 0; i < m->n_capacity; i++) {
		if (!strcmp(m->capacity[i]->name, "cpus"))
			f->capacity_cpus = m->capacity[i]->milli;
		if (!strcmp(m->capacity[i]->name, "gpus"))
			f->capacity_gpus = m->capacity[i]->milli;
	}
}

static void keep_outcome(struct fake *f, const Cashet__Outcome *m)
{
	struct fake_outcome *o = f->outcomes;
	while (o && o->epoch != m->lease->epoch)
		o = o->next;
	if (!o) {
		o = mem_alloc(sizeof *o);
		o->epoch = m->lease->epoch;
		o->next = f->outcomes;
		f->outcomes = o;
		f->outcome_count++;
	} else {
		cashet__outcome__free_unpacked(o->m, NULL);
		buf_reset(&o->packed);
	}
	o->times++;
	size_t size = cashet__outcome__get_packed_size(m);
	cashet__outcome__pack(m, buf_reserve(&o->packed, size));
	o->packed.size = size;
	o->m = cashet__outcome__unpack(NULL, size, o->packed.data);
}

static void take_results(struct fake *f, const Cashet__Results *m)
{
	Cashet__ResultAcks acks = CASHET__RESULT_ACKS__INIT;
	Cashet__ResultAck *list = mem_alloc(m->n_outcomes * sizeof *list);
	Cashet__ResultAck **pointers = mem_alloc(m->n_outcomes * sizeof *pointers);
	ProtobufCBinaryData missing[1];
	f->credit = m->credit;
	for (size_t i = 0; i < m->n_outcomes; i++) {
		const Cashet__Outcome *o = m->outcomes[i];
		keep_outcome(f, o);
		cashet__result_ack__init(&list[i]);
		list[i].epoch = o->lease->epoch;
		if (f->forget_blobs && o->n_outputs) {
			missing[0] = o->outputs[0]->content->digest;
			list[i].verdict = CASHET__RESULT_ACK__VERDICT__BLOB_MISSING;
			list[i].missing = missing;
			list[i].n_missing = 1;
			f->forget_blobs = false;
			while (f->store) {
				struct fake_blob *b = f->store;
				f->store = b->next;
				buf_fini(&b->data);
				free(b);
			}
		}
		pointers[i] = &list[i];
	}
	acks.acks = pointers;
	acks.n_acks = m->n_outcomes;
	if (!f->hold_acks)
		say(f, CASHET__ENVELOPE__BODY_RESULT_ACKS, &acks, 0);
	free(list);
	free(pointers);
}

static void take_heartbeat(struct fake *f, const Cashet__Heartbeat *m)
{
	f->heartbeats++;
	f->credit = m->credit;
	f->draining = m->draining;
	f->epoch_count = m->n_epochs < 64 ? m->n_epochs : 64;
	if (f->epoch_count)
		memcpy(f->epochs, m->epochs, f->epoch_count * sizeof *m->epochs);
}

static void answer_query(struct fake *f, const Cashet__FunctionQuery *m)
{
	Cashet__Assign assign = CASHET__ASSIGN__INIT;
	Cashet__AssignedFunction af = CASHET__ASSIGNED_FUNCTION__INIT, *list[1] = {&af};
	f->function_queries++;
	af.func_hash = m->func_hash;
	af.description = (ProtobufCBinaryData){f->asked.size, f->asked.data};
	assign.functions = list;
	assign.n_functions = 1;
	say(f, CASHET__ENVELOPE__BODY_ASSIGN, &assign, 0);
}

static void take(struct fake *f, const Cashet__Envelope *e)
{
	Cashet__Pong pong = CASHET__PONG__INIT;
	switch (e->body_case) {
	case CASHET__ENVELOPE__BODY_PING:
		say(f, CASHET__ENVELOPE__BODY_PONG, &pong, e->serial);
		break;
	case CASHET__ENVELOPE__BODY_WORKER_HELLO:
		take_worker_hello(f, e->worker_hello);
		break;
	case CASHET__ENVELOPE__BODY_RESULTS:
		take_results(f, e->results);
		break;
	case CASHET__ENVELOPE__BODY_HEARTBEAT:
		take_heartbeat(f, e->heartbeat);
		break;
	case CASHET__ENVELOPE__BODY_HANDBACK:
		for (size_t i = 0; i < e->handback->n_leases && f->handback_count < 64;
		     i++)
			f->handed_back[f->handback_count++] =
				e->handback->leases[i]->epoch;
		break;
	case CASHET__ENVELOPE__BODY_LOG_DATA:
		buf_reset(&f->log);
		buf_add(&f->log, e->log_data->data.data, e->log_data->data.len);
		f->log_running = e->log_data->running;
		f->has_log = true;
		break;
	case CASHET__ENVELOPE__BODY_FUNCTION_QUERY:
		answer_query(f, e->function_query);
		break;
	case CASHET__ENVELOPE__BODY_BYE:
		f->said_bye = true;
		break;
	default:
		break;
	}
}

static void serve_control(struct fake *f)
{
	struct wire_frame frame;
	while (wire_recv(f->control, true, &frame) == 0) {
		wire_arena_reset(&f->arena);
		Cashet__Envelope *e = wire_unpack(&f->arena, frame.data, frame.size);
		if (e && !f->mute) {
			bool is_peer = f->greeted && frame.route_size == f->route_size &&
				       !memcmp(frame.route, f->route, f->route_size);
			if (e->body_case == CASHET__ENVELOPE__BODY_HELLO)
				welcome(f, &frame, e->hello);
			else if (is_peer)
				take(f, e);
			else
				refuse(f, &frame);
		}
		wire_frame_fini(&frame);
	}
}

/* ---- blobs */

const struct fake_blob *fake_find(const struct fake *f, const uint8_t *digest)
{
	for (const struct fake_blob *b = f->store; b; b = b->next)
		if (memcmp(b->digest, digest, DIGEST_SIZE) == 0)
			return b;
	return NULL;
}

void fake_store(struct fake *f, const void *data, size_t size,
		uint8_t digest[DIGEST_SIZE])
{
	sha256_digest(data, size, digest);
	if (fake_find(f, digest))
		return;
	struct fake_blob *b = mem_alloc(sizeof *b);
	memcpy(b->digest, digest, DIGEST_SIZE);
	buf_add(&b->data, data, size);
	b->next = f->store;
	f->store = b;
}

static void blob_say(struct fake *f, const struct wire_frame *to, Cashet__BlobMessage *m,
		     const void *payload, size_t size)
{
	int error;
	wire_send_blob(f->blobs, to->route, to->route_size, m, payload, size, &error);
}

static void blob_have(struct fake *f, const struct wire_frame *frame,
		      const Cashet__BlobMessage *m, Cashet__BlobMessage *reply)
{
	ProtobufCBinaryData *missing = mem_alloc(m->n_digests * sizeof *missing);
	size_t count = 0;
	for (size_t i = 0; i < m->n_digests; i++)
		if (!fake_find(f, m->digests[i].data))
			missing[count++] = m->digests[i];
	reply->kind = CASHET__BLOB_MESSAGE__KIND__HAVE_REPLY;
	reply->digests = missing;
	reply->n_digests = count;
	blob_say(f, frame, reply, NULL, 0);
	free(missing);
}

static struct fake_put *find_put(struct fake *f, uint64_t stream)
{
	struct fake_put *p = f->put;
	while (p && p->stream != stream)
		p = p->next;
	return p;
}

static void blob_end(struct fake *f, const struct wire_frame *frame,
		     const Cashet__BlobMessage *m, Cashet__BlobMessage *reply)
{
	struct fake_put **at = &f->put;
	while (*at && (*at)->stream != m->stream)
		at = &(*at)->next;
	struct fake_put *p = *at;
	if (!p)
		return;
	uint8_t digest[DIGEST_SIZE];
	fake_store(f, p->data.data, p->data.size, digest);
	*at = p->next;
	buf_fini(&p->data);
	free(p);
	f->puts++;
	reply->kind = CASHET__BLOB_MESSAGE__KIND__OK;
	reply->digest = (ProtobufCBinaryData){DIGEST_SIZE, digest};
	blob_say(f, frame, reply, NULL, 0);
}

static void blob_get(struct fake *f, const struct wire_frame *frame,
		     const Cashet__BlobMessage *m, Cashet__BlobMessage *reply)
{
	const struct fake_blob *b = fake_find(f, m->digest.data);
	Cashet__Error error = CASHET__ERROR__INIT;
	if (!b) {
		error.code = ERR_NOT_FOUND;
		reply->kind = CASHET__BLOB_MESSAGE__KIND__ERROR;
		reply->error = &error;
		blob_say(f, frame, reply, NULL, 0);
		return;
	}
	/* Test blobs are smaller than the window. */
	for (size_t at = m->offset; at < b->data.size; at += WIRE_BLOB_PIECE) {
		size_t n = b->data.size - at < WIRE_BLOB_PIECE ? b->data.size - at
							       : WIRE_BLOB_PIECE;
		reply->kind = CASHET__BLOB_MESSAGE__KIND__DATA;
		reply->offset = at;
		blob_say(f, frame, reply, b->data.data + at, n);
	}
	reply->kind = CASHET__BLOB_MESSAGE__KIND__END;
	reply->offset = 0;
	reply->size = b->data.size;
	blob_say(f, frame, reply, NULL, 0);
}

static void serve_blob(struct fake *f, const struct wire_frame *frame,
		       const Cashet__BlobMessage *m)
{
	Cashet__BlobMessage reply = CASHET__BLOB_MESSAGE__INIT;
	Cashet__Welcome w = CASHET__WELCOME__INIT;
	struct fake_put *p;
	reply.stream = m->stream;
	switch (m->kind) {
	case CASHET__BLOB_MESSAGE__KIND__HELLO:
		w.protocol = WIRE_PROTOCOL;
		reply.kind = CASHET__BLOB_MESSAGE__KIND__WELCOME;
		reply.welcome = &w;
		blob_say(f, frame, &reply, NULL, 0);
		break;
	case CASHET__BLOB_MESSAGE__KIND__HAVE:
		blob_have(f, frame, m, &reply);
		break;
	case CASHET__BLOB_MESSAGE__KIND__PUT:
		p = mem_alloc(sizeof *p);
		p->stream = m->stream;
		p->next = f->put;
		f->put = p;
		reply.kind = CASHET__BLOB_MESSAGE__KIND__CREDIT;
		reply.credit = WIRE_BLOB_WINDOW;
		blob_say(f, frame, &reply, NULL, 0);
		break;
	case CASHET__BLOB_MESSAGE__KIND__DATA:
		p = find_put(f, m->stream);
		if (p) {
			buf_add(&p->data, frame->payload, frame->payload_size);
			reply.kind = CASHET__BLOB_MESSAGE__KIND__CREDIT;
			reply.credit = frame->payload_size;
			blob_say(f, frame, &reply, NULL, 0);
		}
		break;
	case CASHET__BLOB_MESSAGE__KIND__END:
		blob_end(f, frame, m, &reply);
		break;
	case CASHET__BLOB_MESSAGE__KIND__GET:
		blob_get(f, frame, m, &reply);
		break;
	default:
		break;
	}
}

static void serve_blobs(struct fake *f)
{
	struct wire_frame frame;
	while (wire_recv(f->blobs, true, &frame) == 0) {
		wire_arena_reset(&f->blob_arena);
		Cashet__BlobMessage *m =
			wire_unpack_blob(&f->blob_arena, frame.data, frame.size);
		if (m && !f->mute)
			serve_blob(f, &frame, m);
		wire_frame_fini(&frame);
	}
}

/* ---- driving */

void fake_serve(struct fake *f, int ms)
{
	if (!f->context) { /* not earlier: ZeroMQ has threads, and workers are forked from us */
		f->context = zmq_ctx_new();
		open_sockets(f);
	}
	zmq_pollitem_t items[2] = {{f->control, 0, ZMQ_POLLIN, 0},
				   {f->blobs, 0, ZMQ_POLLIN, 0}};
	zmq_poll(items, 2, ms);
	serve_control(f);
	serve_blobs(f);
}

bool fake_wait(struct fake *f, const bool *flag, int ms)
{
	uint64_t until_ns = clock_mono_ns() + (uint64_t)ms * NS_PER_MS;
	while (!*flag && clock_mono_ns() < until_ns)
		fake_serve(f, 20);
	return *flag;
}

Cashet__Outcome *fake_outcome(struct fake *f, uint64_t epoch, int ms)
{
	uint64_t until_ns = clock_mono_ns() + (uint64_t)ms * NS_PER_MS;
	for (;;) {
		for (struct fake_outcome *o = f->outcomes; o; o = o->next)
			if (o->epoch == epoch)
				return o->m;
		if (clock_mono_ns() >= until_ns)
			return NULL;
		fake_serve(f, 20);
	}
}

int fake_wait_exit(struct fake *f, int ms)
{
	uint64_t until_ns = clock_mono_ns() + (uint64_t)ms * NS_PER_MS;
	while (clock_mono_ns() < until_ns) {
		int status;
		if (waitpid(f->worker, &status, WNOHANG) == f->worker) {
			f->worker = 0;
			fake_serve(f, 0); /* its last words */
			return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
		}
		fake_serve(f, 10);
	}
	return -1;
}

static bool knows(struct fake *f, const uint8_t *hash)
{
	for (size_t i = 0; i < f->known_count; i++)
		if (!memcmp(f->known_functions[i], hash, DIGEST_SIZE))
			return true;
	if (f->known_count < 64)
		memcpy(f->known_functions[f->known_count++], hash, DIGEST_SIZE);
	return false;
}

uint64_t fake_assign(struct fake *f, const struct fake_task *task)
{
	static uint8_t batch[DIGEST_SIZE] = {0xba}, mac[16] = {0x3a};
	CLEANUP_BUF struct buf description = {0};
	CLEANUP_BUF struct buf args = {0};
	uint8_t func_hash[DIGEST_SIZE], args_hash[DIGEST_SIZE];
	struct args none = {0};
	function_encode(&description, task->function);
	args_encode(&args, task->args ? task->args : &none);
	sha256_digest(description.data, description.size, func_hash);
	sha256_digest(args.data, args.size, args_hash);
	if (task->wrong_args_hash)
		args_hash[0] ^= 1;
	Cashet__Lease lease = CASHET__LEASE__INIT;
	lease.batch = (ProtobufCBinaryData){DIGEST_SIZE, batch};
	lease.epoch = f->next_epoch++;
	lease.index = (uint32_t)lease.epoch;
	lease.func_hash = (ProtobufCBinaryData){DIGEST_SIZE, func_hash};
	lease.args_hash = (ProtobufCBinaryData){DIGEST_SIZE, args_hash};
	lease.worker = (ProtobufCBinaryData){KEY_SIZE, f->worker_key};
	lease.mac = (ProtobufCBinaryData){sizeof mac, mac};
	Cashet__Assignment a = CASHET__ASSIGNMENT__INIT, *tasks[1] = {&a};
	a.lease = &lease;
	a.args = (ProtobufCBinaryData){args.size, args.data};
	a.attempt = 1;
	a.attempts_max = 1;
	a.name = (char *)(uintptr_t) "task";
	a.env = task->env;
	a.n_env = task->env_count;
	Cashet__AssignedFunction af = CASHET__ASSIGNED_FUNCTION__INIT,
				 *functions[1] = {&af};
	af.func_hash = lease.func_hash;
	af.description = (ProtobufCBinaryData){description.size, description.data};
	af.name = (char *)(uintptr_t) "task";
	Cashet__Options defaults = CASHET__OPTIONS__INIT, *options[1] = {&defaults};
	if (task->options)
		options[0] = (Cashet__Options *)(uintptr_t)task->options;
	Cashet__Assign m = CASHET__ASSIGN__INIT;
	m.tasks = tasks;
	m.n_tasks = 1;
	m.options = options;
	m.n_options = 1;
	if (task->withhold_function) {
		buf_reset(&f->asked);
		buf_add(&f->asked, description.data, description.size);
	} else if (!knows(f, func_hash)) {
		m.functions = functions;
		m.n_functions = 1;
	}
	say(f, CASHET__ENVELOPE__BODY_ASSIGN, &m, 0);
	return lease.epoch;
}

void fake_revoke(struct fake *f, uint64_t epoch)
{
	Cashet__Revoke m = CASHET__REVOKE__INIT;
	m.epochs = &epoch;
	m.n_epochs = 1;
	say(f, CASHET__ENVELOPE__BODY_REVOKE, &m, 0);
}

void fake_ask_log(struct fake *f, uint64_t epoch, bool is_stderr, uint64_t offset)
{
	Cashet__LogRead m = CASHET__LOG_READ__INIT;
	m.epoch = epoch;
	m.is_stderr = is_stderr;
	m.offset = offset;
	f->has_log = false;
	say(f, CASHET__ENVELOPE__BODY_LOG_READ, &m, 99);
}

void fake_drain(struct fake *f, uint64_t deadline_ms)
{
	Cashet__Drain m = CASHET__DRAIN__INIT;
	m.deadline_ms = deadline_ms;
	say(f, CASHET__ENVELOPE__BODY_DRAIN, &m, 0);
}

const char *fake_content(struct fake *f, const Cashet__Outcome *o,
			 const Cashet__Content *c, size_t *sizep)
{
	uint8_t digest[DIGEST_SIZE];
	*sizep = 0;
	if (!c || c->digest.len != DIGEST_SIZE)
		return "";
	for (size_t i = 0; i < o->n_blobs; i++) {
		sha256_digest(o->blobs[i]->data.data, o->blobs[i]->data.len, digest);
		if (!memcmp(digest, c->digest.data, DIGEST_SIZE)) {
			*sizep = o->blobs[i]->data.len;
			return (const char *)o->blobs[i]->data.data;
		}
	}
	const struct fake_blob *b = fake_find(f, c->digest.data);
	if (!b)
		return "";
	*sizep = b->data.size;
	return (const char *)b->data.data;
}

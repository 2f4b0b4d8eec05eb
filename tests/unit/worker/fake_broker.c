/* fake_broker.c - see fake_broker.h: its life, and what tests ask of it. */
#include "tests/unit/worker/fake_internal.h"

#include "common/clock.h"
#include "common/fs.h"
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
	fake_serve_control(f);
	fake_serve_blobs(f);
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
	if (task->call)
		call_args_encode(&args, task->call);
	else
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
	a.attempts_max = task->attempts_max ? task->attempts_max : 1;
	a.name = (char *)(uintptr_t) "task";
	a.env = task->env;
	a.n_env = task->env_count;
	Cashet__AssignedFunction af = CASHET__ASSIGNED_FUNCTION__INIT,
				 *functions[1] = {&af};
	af.func_hash = lease.func_hash;
	af.description = (ProtobufCBinaryData){description.size, description.data};
	af.name = (char *)(uintptr_t) "task";
	if (task->source)
		af.source = (ProtobufCBinaryData){DIGEST_SIZE,
						  (uint8_t *)(uintptr_t)task->source};
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
	fake_say(f, CASHET__ENVELOPE__BODY_ASSIGN, &m, 0);
	return lease.epoch;
}

void fake_revoke(struct fake *f, uint64_t epoch)
{
	Cashet__Revoke m = CASHET__REVOKE__INIT;
	m.epochs = &epoch;
	m.n_epochs = 1;
	fake_say(f, CASHET__ENVELOPE__BODY_REVOKE, &m, 0);
}

void fake_ask_log(struct fake *f, uint64_t epoch, bool is_stderr, uint64_t offset)
{
	Cashet__LogRead m = CASHET__LOG_READ__INIT;
	m.epoch = epoch;
	m.is_stderr = is_stderr;
	m.offset = offset;
	f->has_log = false;
	fake_say(f, CASHET__ENVELOPE__BODY_LOG_READ, &m, 99);
}

void fake_drain(struct fake *f, uint64_t deadline_ms)
{
	Cashet__Drain m = CASHET__DRAIN__INIT;
	m.deadline_ms = deadline_ms;
	fake_say(f, CASHET__ENVELOPE__BODY_DRAIN, &m, 0);
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

/* care.c - see care.h: the thread, its calls to the loop, its answers to clients. */
#include "broker/care/care_impl.h"

#include "broker/care/guard.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TELL_NS (200 * NS_PER_MS)
#define JOBS_MAX 16
#define EASE_NS (5 * NS_PER_MS)

struct answer {
	struct list node;
	peer_handle peer;
	struct buf packed;
	bool is_last;
	struct care_job
		*job; /* while it is not the last one: told to stop if the peer is gone */
};

/* ---- on the thread ---- */

static void to_loop(struct care *care)
{
	__atomic_add_fetch(&care->for_loop, 1, __ATOMIC_RELEASE);
	broker_wake(care->b);
}

/* give_way() - what care records is told to the index too: before that is so far behind that
 * everybody's turns would wait for it, only care does. */
static void give_way(struct care *care)
{
	while (ledger_is_filling(care->b->ledger) &&
	       !__atomic_load_n(&care->stopping, __ATOMIC_ACQUIRE))
		nanosleep(&(struct timespec){.tv_nsec = EASE_NS}, NULL);
}

int care_call(struct care *care, int (*fn)(struct broker *b, void *arg), void *arg,
	      bool durable)
{
	if (durable)
		give_way(care);
	struct care_call *call = mem_alloc(sizeof *call);
	*call = (struct care_call){.fn = fn, .arg = arg, .durable = durable};
	pthread_mutex_lock(&care->lock);
	care->call = call;
	to_loop(care);
	while (call->state != CALL_OVER && !care->stopping)
		pthread_cond_wait(&care->changed, &care->lock);
	int rc = call->state == CALL_OVER ? call->rc : -ECANCELED;
	if (call->state == CALL_WAITS)
		care->call = NULL;
	call->abandoned = call->state == CALL_RUNS;
	if (!call->abandoned)
		free(call);
	pthread_mutex_unlock(&care->lock);
	return rc;
}

bool care_stopped(const struct care *care)
{
	return __atomic_load_n(&care->stopping, __ATOMIC_ACQUIRE) ||
	       __atomic_load_n(&care->job->stop, __ATOMIC_ACQUIRE);
}

static void say(struct care *care, Cashet__Envelope *envelope, bool is_last)
{
	struct answer *a = mem_alloc(sizeof *a);
	envelope->serial = care->job->serial;
	a->peer = care->job->peer;
	a->job = care->job;
	a->is_last = is_last;
	wire_pack(&a->packed, envelope);
	pthread_mutex_lock(&care->lock);
	list_add_tail(&care->answers, &a->node);
	pthread_mutex_unlock(&care->lock);
	to_loop(care);
}

void care_progress(struct care *care, const char *phase, uint64_t done, uint64_t total)
{
	uint64_t now = clock_mono_ns();
	if (now - care->told_ns < TELL_NS)
		return;
	care->told_ns = now;
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	Cashet__CareProgress progress = CASHET__CARE_PROGRESS__INIT;
	progress.phase = (char *)phase;
	progress.done = done;
	progress.total = total;
	envelope.body_case = CASHET__ENVELOPE__BODY_CARE_PROGRESS;
	envelope.care_progress = &progress;
	say(care, &envelope, false);
}

void care_report(struct care *care, const Cashet__CareReport *report)
{
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	envelope.body_case = CASHET__ENVELOPE__BODY_CARE_REPORT;
	envelope.care_report = (Cashet__CareReport *)report;
	say(care, &envelope, true);
}

int care_broken(struct err *e, int rc)
{
	if (rc == -ECANCELED)
		return err_set(e, ERR_FAILED, "the broker is ending");
	return err_set(e, ERR_FAILED, "the store cannot be read: %s",
		       strerror(rc < 0 ? -rc : rc));
}

int care_chunk(struct care *care, uint64_t batch, uint32_t chunk, struct buf *data,
	       Cashet__SubmitChunk **chunkp)
{
	buf_reset(data);
	if (ledger_read_chunk(care->reader, batch, chunk, data))
		return 1;
	wire_arena_reset(&care->chunk_arena);
	*chunkp = wire_unpack_chunk(&care->chunk_arena, data->data, data->size);
	return *chunkp ? 0 : 1;
}

static const struct {
	Cashet__Envelope__BodyCase what;
	care_job_fn *run;
} jobs[] = {
	{CASHET__ENVELOPE__BODY_GC_REQUEST, care_gc},
	{CASHET__ENVELOPE__BODY_REMOVE_REQUEST, care_remove},
	{CASHET__ENVELOPE__BODY_FSCK_REQUEST, care_fsck},
};

static void run_job(struct care *care)
{
	struct err e = {0};
	int rc = ERR_FAILED;
	if (care->job->is_recount) {
		care_recount(care);
		return;
	}
	wire_arena_reset(&care->arena);
	const Cashet__Envelope *request =
		wire_unpack(&care->arena, care->job->packed.data, care->job->packed.size);
	care->told_ns = clock_mono_ns();
	for (size_t i = 0; request && i < ARRAY_LEN(jobs); i++)
		if (jobs[i].what == request->body_case)
			rc = jobs[i].run(care, request, &e);
	if (!rc)
		return;
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	Cashet__Error error = CASHET__ERROR__INIT;
	error.code = e.code ? e.code : ERR_FAILED;
	error.what = e.what;
	error.next = e.next;
	envelope.body_case = CASHET__ENVELOPE__BODY_ERROR;
	envelope.error = &error;
	say(care, &envelope, true);
}

static void job_free(struct care_job *job)
{
	buf_fini(&job->packed);
	free(job);
}

static void *care_main(void *arg)
{
	struct care *care = arg;
	pthread_setname_np(pthread_self(), "care");
	pthread_mutex_lock(&care->lock);
	while (!care->stopping) {
		if (list_empty(&care->jobs)) {
			pthread_cond_wait(&care->changed, &care->lock);
			continue;
		}
		care->job = container_of(care->jobs.next, struct care_job, node);
		pthread_mutex_unlock(&care->lock);
		run_job(care);
		pthread_mutex_lock(&care->lock);
		struct list *at;
		list_for_each (at, &care->answers)
			container_of(at, struct answer, node)->job = NULL;
		list_del(&care->job->node);
		job_free(steal(care->job));
	}
	pthread_mutex_unlock(&care->lock);
	return NULL;
}

/* ---- life ---- */

int care_start(struct broker *b, struct err *e)
{
	struct care *care = b->care = mem_alloc(sizeof *care);
	care->b = b;
	list_init(&care->jobs);
	list_init(&care->answers);
	pthread_mutex_init(&care->lock, NULL);
	pthread_cond_init(&care->changed, NULL);
	wire_arena_init(&care->arena);
	wire_arena_init(&care->chunk_arena);
	int rc = ledger_reader_open(&care->reader, b->ledger, b->store, e);
	if (rc)
		return rc;
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&care->thread, NULL, care_main, care);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc)
		return err_set(e, ERR_FAILED, "no thread: %s", strerror(rc));
	care->started = true;
	return 0;
}

static void answer_free(struct answer *a)
{
	buf_fini(&a->packed);
	free(a);
}

void care_stop(struct broker *b)
{
	struct care *care = b->care;
	if (!care)
		return;
	pthread_mutex_lock(&care->lock);
	__atomic_store_n(&care->stopping, true, __ATOMIC_RELEASE);
	pthread_cond_broadcast(&care->changed);
	pthread_mutex_unlock(&care->lock);
	if (care->started)
		pthread_join(care->thread, NULL);
	while (!list_empty(&care->jobs)) {
		struct list *first = care->jobs.next;
		list_del(first);
		job_free(container_of(first, struct care_job, node));
	}
	while (!list_empty(&care->answers)) {
		struct list *first = care->answers.next;
		list_del(first);
		answer_free(container_of(first, struct answer, node));
	}
	ledger_reader_close(care->reader);
	wire_arena_fini(&care->arena);
	wire_arena_fini(&care->chunk_arena);
	set64_fini(&care->freed);
	pthread_cond_destroy(&care->changed);
	pthread_mutex_destroy(&care->lock);
	b->care = NULL;
	free(care);
}

/* ---- on the loop ---- */

/* Everything that the loop does with a call after the thread may have given it up goes through here,
 * also when the broker ends: @care may be gone by then, but the call is not. */
static void call_over(struct care *care, struct care_call *call)
{
	if (!care) {
		free(call);
		return;
	}
	pthread_mutex_lock(&care->lock);
	bool abandoned = call->abandoned;
	call->state = CALL_OVER;
	pthread_cond_broadcast(&care->changed);
	pthread_mutex_unlock(&care->lock);
	if (abandoned)
		free(call);
}

static void call_is_durable(struct broker *b, void *arg)
{
	call_over(b->care, arg);
}

/* The broker ends: the thread was joined before and has abandoned the call. */
static void call_dropped(void *arg)
{
	free(arg);
}

static void run_call(struct broker *b)
{
	struct care *care = b->care;
	pthread_mutex_lock(&care->lock);
	struct care_call *call = steal(care->call);
	if (call)
		call->state = CALL_RUNS;
	pthread_mutex_unlock(&care->lock);
	if (!call)
		return;
	call->rc = call->fn(b, call->arg);
	if (call->durable && !call->rc)
		outbox_do(b, b->step, call_is_durable, call_dropped, call);
	else
		call_over(care, call);
}

static void send_answers(struct broker *b)
{
	struct care *care = b->care;
	struct list answers;
	list_init(&answers);
	pthread_mutex_lock(&care->lock);
	while (!list_empty(&care->answers)) {
		struct answer *a = container_of(care->answers.next, struct answer, node);
		list_del(&a->node);
		list_add_tail(&answers, &a->node);
		if (a->job && !peer_get(b, a->peer))
			__atomic_store_n(&a->job->stop, true, __ATOMIC_RELEASE);
		a->job = NULL;
	}
	pthread_mutex_unlock(&care->lock);
	while (!list_empty(&answers)) {
		struct answer *a = container_of(answers.next, struct answer, node);
		struct peer *peer = peer_get(b, a->peer);
		list_del(&a->node);
		if (peer) {
			peer->queries -= a->is_last;
			peer_send_packed(b, peer, &a->packed);
		}
		answer_free(a);
	}
}

void care_turn(struct broker *b)
{
	if (!b->care || !__atomic_exchange_n(&b->care->for_loop, 0, __ATOMIC_ACQ_REL))
		return;
	run_call(b);
	send_answers(b);
}

void care_begin_recount(struct broker *b)
{
	struct care *care = b->care;
	struct care_job *job = mem_alloc(sizeof *job);
	job->is_recount = true;
	pthread_mutex_lock(&care->lock);
	list_add_tail(&care->jobs, &job->node);
	pthread_cond_broadcast(&care->changed);
	pthread_mutex_unlock(&care->lock);
}

void handle_care(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	struct care *care = b->care;
	unsigned waiting = 0;
	struct list *at;
	struct err error = {0};
	pthread_mutex_lock(&care->lock);
	list_for_each (at, &care->jobs) {
		const struct care_job *job = container_of(at, struct care_job, node);
		if (job->is_recount)
			continue;
		waiting++;
		/* A request that was said again after a broken connection. */
		if (job->peer == peer->handle && job->serial == e->serial) {
			pthread_mutex_unlock(&care->lock);
			return;
		}
	}
	if (waiting < JOBS_MAX && peer->queries < PEER_QUERIES_MAX) {
		struct care_job *job = mem_alloc(sizeof *job);
		job->peer = peer->handle;
		job->serial = e->serial;
		wire_pack(&job->packed, e);
		peer->queries++;
		list_add_tail(&care->jobs, &job->node);
		pthread_cond_broadcast(&care->changed);
	} else {
		err_set(&error, ERR_FAILED, "the broker has %u jobs of this kind waiting",
			waiting);
		err_next(&error, "try again when they are done");
	}
	pthread_mutex_unlock(&care->lock);
	if (error.code)
		peer_error(b, peer, e->serial, &error);
}

void handle_fsck(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	struct err error = {0};
	if (!e->fsck_request->repair || peer->role == ROLE_ADMIN) {
		handle_care(b, peer, e);
		return;
	}
	err_set(&error, ERR_NOT_ALLOWED, "the role of your key does not allow repairs");
	err_next(&error, "cashet fsck without --repair only looks");
	peer_error(b, peer, e->serial, &error);
}

void handle_care_stop(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	struct care *care = b->care;
	struct list *at;
	pthread_mutex_lock(&care->lock);
	list_for_each (at, &care->jobs) {
		struct care_job *job = container_of(at, struct care_job, node);
		if (job->peer == peer->handle && job->serial == e->care_stop->job)
			__atomic_store_n(&job->stop, true, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&care->lock);
}

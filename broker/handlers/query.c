/* query.c - see query.h: the thread, its queue, and the handlers that ask it. */
#include "broker/handlers/query.h"

#include "broker/history/history.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/pure/mem.h"
#include "proto/pb.h"
#include "version.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct query {
	struct broker *b; /* only to wake it, and its `known` */
	pthread_t thread;
	bool started;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct list asked, answered; /* under the mutex */
	unsigned answered_count;     /* atomic: spares the loop the mutex */
	bool stop;
	struct ledger_reader *reader; /* these three are the thread's */
	struct history *history;
	struct wire_arena arena;
};

static void answer(struct query *q, struct job *job)
{
	wire_arena_reset(&q->arena);
	const Cashet__Envelope *question =
		wire_unpack(&q->arena, job->question.data, job->question.size);
	assert(question); /* it was unpacked before, by the loop */
	history_answer(q->history, question, &job->live, &job->answer);
}

static void *run(void *arg)
{
	struct query *q = arg;
	known_fill(q->b->known, q->reader);
	pthread_mutex_lock(&q->mutex);
	while (!q->stop) {
		if (list_empty(&q->asked)) {
			pthread_cond_wait(&q->changed, &q->mutex);
			continue;
		}
		struct job *job = container_of(q->asked.next, struct job, node);
		list_del(&job->node);
		pthread_mutex_unlock(&q->mutex);
		answer(q, job);
		pthread_mutex_lock(&q->mutex);
		list_add_tail(&q->answered, &job->node);
		__atomic_add_fetch(&q->answered_count, 1, __ATOMIC_RELEASE);
		broker_wake(q->b);
	}
	pthread_mutex_unlock(&q->mutex);
	return NULL;
}

int query_start(struct broker *b, struct err *e)
{
	struct query *q = b->query = mem_alloc(sizeof *q);
	q->b = b;
	list_init(&q->asked);
	list_init(&q->answered);
	pthread_mutex_init(&q->mutex, NULL);
	pthread_cond_init(&q->changed, NULL);
	int rc = ledger_reader_open(&q->reader, b->ledger, b->store, e);
	if (rc)
		return rc;
	q->history = history_open(q->reader, b->cas);
	wire_arena_init(&q->arena);
	rc = pthread_create(&q->thread, NULL, run, q);
	if (rc)
		return err_set(e, ERR_FAILED, "no thread: %s", strerror(rc));
	q->started = true;
	return 0;
}

static void free_all(struct list *jobs)
{
	while (!list_empty(jobs)) {
		struct job *job = container_of(jobs->next, struct job, node);
		list_del(&job->node);
		job_free(job);
	}
}

void query_stop(struct broker *b)
{
	struct query *q = b->query;
	if (!q)
		return;
	if (q->started) {
		pthread_mutex_lock(&q->mutex);
		q->stop = true;
		pthread_cond_signal(&q->changed);
		pthread_mutex_unlock(&q->mutex);
		pthread_join(q->thread, NULL);
	}
	history_close(q->history);
	ledger_reader_close(q->reader);
	wire_arena_fini(&q->arena);
	free_all(&q->asked);
	free_all(&q->answered);
	pthread_mutex_destroy(&q->mutex);
	pthread_cond_destroy(&q->changed);
	free(q);
	b->query = NULL;
}

void query_take_answers(struct broker *b)
{
	struct query *q = b->query;
	struct list answers;
	if (!__atomic_load_n(&q->answered_count, __ATOMIC_ACQUIRE))
		return;
	list_init(&answers);
	pthread_mutex_lock(&q->mutex);
	while (!list_empty(&q->answered)) {
		struct list *first = q->answered.next;
		list_del(first);
		list_add_tail(&answers, first);
	}
	__atomic_store_n(&q->answered_count, 0, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&q->mutex);
	while (!list_empty(&answers)) {
		struct job *job = container_of(answers.next, struct job, node);
		list_del(&job->node);
		struct peer *peer = peer_get(b, job->peer);
		if (peer) {
			peer->queries--;
			peer_send_packed(b, peer, &job->answer);
		}
		job_free(job);
	}
}

/* ---- asking ---- */

struct job *job_new(struct broker *b, const struct peer *peer, uint64_t serial)
{
	struct job *job = mem_alloc(sizeof *job);
	list_init(&job->node);
	job->peer = peer->handle;
	job->serial = serial;
	buf_add(&job->question, b->frame->data, b->frame->size);
	return job;
}

void job_free(void *arg)
{
	struct job *job = arg;
	buf_fini(&job->answer);
	buf_fini(&job->question);
	buf_fini(&job->live.status);
	free(job->live.tasks);
	if (job->live.task) {
		free(job->live.task->args);
		free(job->live.task->statuses);
		free(job->live.task->note);
		free(job->live.task);
	}
	for (size_t i = 0; i < job->live.batch_count; i++)
		free(job->live.batches[i].note);
	free(job->live.batches);
	free(job);
}

static void hand_over(struct broker *b, void *arg)
{
	struct job *job = arg;
	struct query *q = b->query;
	pthread_mutex_lock(&q->mutex);
	list_add_tail(&q->asked, &job->node);
	pthread_cond_signal(&q->changed);
	pthread_mutex_unlock(&q->mutex);
}

void query_ask(struct broker *b, struct peer *peer, struct job *job)
{
	if (peer->queries >= PEER_QUERIES_MAX) {
		struct err e = {0};
		err_set(&e, ERR_FAILED, "more than %d unanswered questions of one client",
			PEER_QUERIES_MAX);
		uint64_t serial = job->serial;
		job_free(job);
		peer_error(b, peer, serial, &e);
		return;
	}
	peer->queries++;
	outbox_do(b, b->step, hand_over, job_free, job);
}

static void live_row(struct broker *b, const struct batch *batch,
		     struct ledger_batch_row *row)
{
	struct core_batch_view view = {0};
	core_view_batch(b->core, batch->number, &view);
	*row = (struct ledger_batch_row){.sealed = batch->sealed,
					 .ended = view.ended,
					 .task_count = batch->task_count,
					 .chunk_count = batch->next_chunk,
					 .counts = view.counts};
	row->batch.batch = batch->number;
	memcpy(row->batch.id, batch->id, DIGEST_SIZE);
}

static void snapshot_tasks(struct broker *b, const struct batch *batch,
			   const Cashet__ResultsQuery *query, struct history_live *live)
{
	uint32_t first, count;
	history_page_range(query, batch->task_count, &first, &count);
	live->in_memory = true;
	live->tasks = mem_alloc((count + 1) * sizeof *live->tasks);
	for (uint32_t i = 0; i < count; i++) {
		struct core_task_view view;
		live->tasks[i].index = first + i;
		if (!core_view_task(b->core, batch->number, first + i, &view))
			page_from_view(&live->tasks[i], first + i, &view);
	}
}

struct job *job_about(struct broker *b, struct peer *peer, uint64_t serial,
		      const Cashet__BatchRef *ref, struct batch **batchp)
{
	struct err error = {0};
	struct ledger_batch_row row;
	if (resolve_batch(b, ref, batchp, &row, &error)) {
		peer_error(b, peer, serial, &error);
		return NULL;
	}
	if (*batchp)
		live_row(b, *batchp, &row);
	struct job *job = job_new(b, peer, serial);
	job->live.has_row = true;
	job->live.row = row;
	return job;
}

void handle_question(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	query_ask(b, peer, job_new(b, peer, e->serial));
}

void handle_results_query(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	const Cashet__ResultsQuery *query = e->results_query;
	struct batch *batch;
	struct job *job = job_about(b, peer, e->serial, query->batch, &batch);
	if (!job)
		return;
	if (batch)
		snapshot_tasks(b, batch, query, &job->live);
	query_ask(b, peer, job);
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = ((const struct history_live_batch *)a)->number,
		 y = ((const struct history_live_batch *)b)->number;
	return x < y ? -1 : x > y;
}

static void snapshot_batches(struct broker *b, struct history_live *live)
{
	const struct map *map = &b->batches.by_number;
	live->batches = mem_alloc((map->count + 1) * sizeof *live->batches);
	for (size_t i = 0; map->count && i <= map->mask; i++) {
		for (struct map_node *n = map->buckets[i]; n; n = n->next) {
			struct batch *batch = container_of(n, struct batch, by_number);
			struct core_batch_view view;
			if (core_view_batch(b->core, batch->number, &view))
				continue;
			CLEANUP_BUF struct buf note = {0};
			batch_note(&note, batch, &view);
			live->batches[live->batch_count++] = (struct history_live_batch){
				.number = batch->number,
				.counts = view.counts,
				.paused = view.paused,
				.note = note.size ? mem_strdup(buf_cstr(&note)) : NULL};
		}
	}
	if (live->batch_count)
		qsort(live->batches, live->batch_count, sizeof *live->batches, by_number);
}

void handle_batches_query(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	const Cashet__BatchesQuery *query = e->batches_query;
	struct batch *batch = NULL;
	struct job *job = query->has_one
				  ? job_about(b, peer, e->serial, query->one, &batch)
				  : job_new(b, peer, e->serial);
	if (!job)
		return;
	snapshot_batches(b, &job->live);
	query_ask(b, peer, job);
}

static uint64_t rss_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long long pages = 0;
	if (f) {
		if (fscanf(f, "%*u %llu", &pages) != 1)
			pages = 0;
		fclose(f);
	}
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void handle_status(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	struct core_totals totals;
	core_view_totals(b->core, &totals);
	struct job *job = job_new(b, peer, e->serial);
	struct buf *out = &job->live.status;
	pb_text(out, 1, CASHET_VERSION);
	pb_uint(out, 2, (uint64_t)getpid());
	pb_uint(out, 3, (clock_mono_ns() - b->started_ns) / NS_PER_MS);
	pb_text(out, 4, b->store);
	pb_uint(out, 5, b->info.boot);
	pb_uint(out, 6, b->insecure);
	pb_uint(out, 7, b->draining);
	for (unsigned i = 0; i < b->control_count; i++)
		pb_text(out, 8, b->controls[i].url);
	pb_uint(out, 9, totals.batches);
	pb_uint(out, 10, totals.waiting);
	pb_uint(out, 11, totals.ready);
	pb_uint(out, 12, totals.running);
	pb_uint(out, 13, totals.workers);
	pb_uint(out, 14, b->peers.clients);
	pb_uint(out, 16, b->lookups.hits);
	pb_uint(out, 17, b->lookups.misses);
	pb_uint(out, 18, b->refused_messages);
	pb_uint(out, 19, totals.refused_results);
	pb_uint(out, 20, rss_bytes());
	pb_uint(out, 21, b->free_bytes);
	pb_uint(out, 22, b->holding);
	query_ask(b, peer, job);
}

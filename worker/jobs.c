/* jobs.c - see jobs.h. */
#include "worker/jobs.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 16
#define GIVE_UP_NS                                                                       \
	(10 * NS_PER_S) /* of one transfer without progress; jobs then try again */

struct queue {
	struct job *first, **last;
};

struct job_thread {
	struct jobs *jobs;
	enum job_lane lane;
	pthread_t thread;
	struct job *current;
	struct blob_client *blobs;
	uint64_t generation; /* of the address that @blobs was made for */
};

struct jobs {
	struct jobs_options options;
	pthread_mutex_t lock;
	pthread_cond_t wake; /* a job, an address, or the end */
	struct queue waiting[LANES], done;
	struct job_thread threads[LANES][THREADS_MAX];
	unsigned started[LANES], idle[LANES];
	char *url;
	uint64_t generation;
	bool ending;
	int event_fd;
};

static void queue_init(struct queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

static void queue_add(struct queue *q, struct job *job)
{
	job->next = NULL;
	*q->last = job;
	q->last = &job->next;
}

static struct job *queue_take(struct queue *q)
{
	struct job *job = q->first;
	if (job) {
		q->first = job->next;
		if (!q->first)
			q->last = &q->first;
	}
	return job;
}

struct jobs *jobs_new(const struct jobs_options *options)
{
	struct jobs *j = mem_alloc(sizeof *j);
	j->options = *options;
	if (j->options.threads_per_lane > THREADS_MAX)
		j->options.threads_per_lane = THREADS_MAX;
	pthread_mutex_init(&j->lock, NULL);
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&j->wake, &attr);
	pthread_condattr_destroy(&attr);
	for (int i = 0; i < LANES; i++)
		queue_init(&j->waiting[i]);
	queue_init(&j->done);
	j->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (j->event_fd < 0)
		abort();
	return j;
}

static void *thread_main(void *arg)
{
	struct job_thread *t = arg;
	struct jobs *j = t->jobs;
	pthread_mutex_lock(&j->lock);
	for (;;) {
		t->current = queue_take(&j->waiting[t->lane]);
		if (!t->current) {
			if (j->ending)
				break;
			j->idle[t->lane]++;
			pthread_cond_wait(&j->wake, &j->lock);
			j->idle[t->lane]--;
			continue;
		}
		pthread_mutex_unlock(&j->lock);
		t->current->run(t->current, t);
		pthread_mutex_lock(&j->lock);
		bool was_empty = !j->done.first;
		queue_add(&j->done, t->current);
		t->current = NULL;
		if (was_empty) {
			uint64_t one = 1;
			ssize_t n = write(j->event_fd, &one, sizeof one);
			(void)n;
		}
	}
	pthread_mutex_unlock(&j->lock);
	blob_client_free(t->blobs);
	return NULL;
}

/* Locked. */
static void start_thread(struct jobs *j, enum job_lane lane)
{
	struct job_thread *t = &j->threads[lane][j->started[lane]];
	*t = (struct job_thread){.jobs = j, .lane = lane};
	int rc = pthread_create(&t->thread, NULL, thread_main, t);
	if (rc == 0)
		j->started[lane]++;
	else if (j->started[lane] == 0)
		abort(); /* nobody would ever run it */
}

void jobs_submit(struct jobs *j, struct job *job)
{
	pthread_mutex_lock(&j->lock);
	queue_add(&j->waiting[job->lane], job);
	if (j->idle[job->lane] == 0 &&
	    j->started[job->lane] < j->options.threads_per_lane)
		start_thread(j, job->lane);
	pthread_cond_broadcast(&j->wake);
	pthread_mutex_unlock(&j->lock);
}

void jobs_set_url(struct jobs *j, const char *url)
{
	pthread_mutex_lock(&j->lock);
	if (!j->url || strcmp(j->url, url)) {
		free(j->url);
		j->url = mem_strdup(url);
		j->generation++;
		pthread_cond_broadcast(&j->wake);
	}
	pthread_mutex_unlock(&j->lock);
}

int jobs_fd(const struct jobs *j)
{
	return j->event_fd;
}

void jobs_take_done(struct jobs *j, void *owner)
{
	uint64_t count;
	ssize_t n = read(j->event_fd, &count, sizeof count);
	(void)n;
	pthread_mutex_lock(&j->lock);
	struct job *job = j->done.first;
	queue_init(&j->done);
	pthread_mutex_unlock(&j->lock);
	while (job) {
		struct job *next = job->next;
		job->done(job, owner);
		job = next;
	}
}

/* Threads end when nothing waits; what was submitted behind the back of the last one gets another.
 * Return: false if there was nothing left to wait for. */
static bool wind_up(struct jobs *j)
{
	bool any = false;
	for (int lane = 0; lane < LANES; lane++) {
		for (unsigned i = 0; i < j->started[lane]; i++)
			pthread_join(j->threads[lane][i].thread, NULL);
		any = any || j->started[lane];
		j->started[lane] = 0;
	}
	pthread_mutex_lock(&j->lock);
	any = any || j->done.first;
	for (int lane = 0; lane < LANES; lane++) {
		if (!j->waiting[lane].first)
			continue;
		any = true;
		start_thread(j, lane);
	}
	pthread_mutex_unlock(&j->lock);
	return any;
}

void jobs_free(struct jobs *j, void *owner)
{
	if (!j)
		return;
	pthread_mutex_lock(&j->lock);
	j->ending = true;
	pthread_cond_broadcast(&j->wake);
	pthread_mutex_unlock(&j->lock);
	while (wind_up(j)) /* what is done may submit more: a directory to be cleaned */
		jobs_take_done(j, owner);
	pthread_cond_destroy(&j->wake);
	pthread_mutex_destroy(&j->lock);
	close(j->event_fd);
	free(j->url);
	free(j);
}

/* ---- for jobs */

static bool is_cancelled(void *arg)
{
	struct job_thread *t = arg;
	pthread_mutex_lock(&t->jobs->lock);
	bool ending = t->jobs->ending;
	pthread_mutex_unlock(&t->jobs->lock);
	return ending || (t->current && atomic_load(&t->current->cancelled));
}

bool job_is_cancelled(struct job_thread *t)
{
	return is_cancelled(t);
}

/* Locked. Wait for news, a tenth of a second at most (a cancelled job is not news). */
static void wait_briefly(struct jobs *j)
{
	uint64_t until_ns = clock_mono_ns() + 100 * NS_PER_MS;
	struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S),
				 .tv_nsec = (long)(until_ns % NS_PER_S)};
	pthread_cond_timedwait(&j->wake, &j->lock, &until);
}

bool job_pause(struct job_thread *t)
{
	uint64_t until_ns = clock_mono_ns() + NS_PER_S;
	while (clock_mono_ns() < until_ns && !is_cancelled(t)) {
		pthread_mutex_lock(&t->jobs->lock);
		wait_briefly(t->jobs);
		pthread_mutex_unlock(&t->jobs->lock);
	}
	return !is_cancelled(t);
}

/* Return: a copy of the address, its generation noted; NULL when cancelled before it was known. */
static char *wait_for_url(struct job_thread *t)
{
	struct jobs *j = t->jobs;
	while (!is_cancelled(t)) {
		pthread_mutex_lock(&j->lock);
		char *url = j->url ? mem_strdup(j->url) : NULL;
		bool is_current = url && t->generation == j->generation;
		if (url && !is_current) {
			blob_client_free(t->blobs);
			t->blobs = NULL;
		}
		t->generation = j->generation;
		if (!url)
			wait_briefly(j);
		pthread_mutex_unlock(&j->lock);
		if (url)
			return url;
	}
	return NULL;
}

struct blob_client *job_blobs(struct job_thread *t)
{
	CLEANUP_FREE char *url = wait_for_url(t);
	if (!url || t->blobs)
		return url ? t->blobs : NULL;
	const struct jobs_options *o = &t->jobs->options;
	struct blob_client_options options = {
		.zmq_context = o->zmq_context,
		.url = url,
		.self = o->self,
		.server = o->server,
		.instance = o->instance,
		.name = o->name,
		.give_up_ns = GIVE_UP_NS,
		.cancelled = is_cancelled,
		.cancelled_arg = t,
	};
	struct err e = {0};
	while (blob_client_new(&t->blobs, &options, &e)) {
		t->blobs = NULL;
		log_warn("blob connection failed", "url=%s error=%s", url, e.what);
		if (!job_pause(t))
			return NULL;
	}
	return t->blobs;
}

/* jobs.c - the threads that do the disk's work for streams, first come, first served. What a
 * stream does in one go is bounded (a window of bytes), so nobody waits long for a thread. */
#include "broker/blobs/impl.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

static void *jobs_main(void *arg)
{
	struct blobs *b = arg;
	struct blob_jobs *jobs = &b->jobs;
	pthread_setname_np(pthread_self(), "blob-job");
	pthread_mutex_lock(&jobs->lock);
	for (;;) {
		while (list_empty(&jobs->todo) && !jobs->is_stopping)
			pthread_cond_wait(&jobs->work, &jobs->lock);
		if (list_empty(&jobs->todo))
			break;
		struct blob_stream *s =
			container_of(jobs->todo.next, struct blob_stream, job_link);
		list_del(&s->job_link);
		pthread_mutex_unlock(&jobs->lock);
		stream_ops(s)->job(b, s);
		pthread_mutex_lock(&jobs->lock);
		list_add_tail(&jobs->done, &s->job_link);
		uint64_t one = 1;
		(void)!write(b->wake, &one, sizeof one);
	}
	pthread_mutex_unlock(&jobs->lock);
	return NULL;
}

int jobs_start(struct blobs *b)
{
	struct blob_jobs *jobs = &b->jobs;
	pthread_mutex_init(&jobs->lock, NULL);
	pthread_cond_init(&jobs->work, NULL);
	list_init(&jobs->todo);
	list_init(&jobs->done);
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = 0;
	while (rc == 0 && jobs->started < BLOBS_JOBS) {
		rc = pthread_create(&jobs->threads[jobs->started], NULL, jobs_main, b);
		if (rc == 0)
			jobs->started++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -rc;
}

void jobs_stop(struct blobs *b)
{
	struct blob_jobs *jobs = &b->jobs;
	pthread_mutex_lock(&jobs->lock);
	jobs->is_stopping = true;
	pthread_cond_broadcast(&jobs->work);
	pthread_mutex_unlock(&jobs->lock);
	for (unsigned i = 0; i < jobs->started; i++)
		pthread_join(jobs->threads[i], NULL);
	jobs->started = 0;
}

void jobs_submit(struct blobs *b, struct blob_stream *s)
{
	struct blob_jobs *jobs = &b->jobs;
	pthread_mutex_lock(&jobs->lock);
	list_add_tail(&jobs->todo, &s->job_link);
	pthread_cond_signal(&jobs->work);
	pthread_mutex_unlock(&jobs->lock);
}

struct blob_stream *jobs_take(struct blobs *b)
{
	struct blob_jobs *jobs = &b->jobs;
	struct blob_stream *s = NULL;
	pthread_mutex_lock(&jobs->lock);
	if (!list_empty(&jobs->done)) {
		s = container_of(jobs->done.next, struct blob_stream, job_link);
		list_del(&s->job_link);
	}
	pthread_mutex_unlock(&jobs->lock);
	return s;
}

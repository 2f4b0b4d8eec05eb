/* pool.c - see pool.h. */
#include "broker/store/pool.h"

#include "broker/store/frame.h"

#include <signal.h>
#include <stdlib.h>
#include <zstd.h>

static void tools_init(struct cas_pool_tools *tools)
{
	tools->pack = ZSTD_createCCtx();
	tools->unpack = ZSTD_createDCtx();
	tools->scratch = malloc(frame_bound(FRAME_CHUNK));
	if (!tools->pack || !tools->unpack || !tools->scratch ||
	    direct_room_init(&tools->room, frame_bound(FRAME_CHUNK)))
		abort(); /* as mem_alloc() does */
}

static void tools_fini(struct cas_pool_tools *tools)
{
	ZSTD_freeCCtx(tools->pack);
	ZSTD_freeDCtx(tools->unpack);
	free(tools->scratch);
	direct_room_fini(&tools->room);
}

struct cas_pool_tools cas_pool_borrow(struct cas_pool *pool)
{
	struct cas_pool_tools tools = {0};
	pthread_mutex_lock(&pool->lock);
	if (pool->spares)
		tools = pool->spare[--pool->spares];
	pthread_mutex_unlock(&pool->lock);
	if (!tools.pack)
		tools_init(&tools);
	return tools;
}

void cas_pool_give_back(struct cas_pool *pool, struct cas_pool_tools *tools)
{
	pthread_mutex_lock(&pool->lock);
	bool is_kept = pool->spares < POOL_SPARE;
	if (is_kept)
		pool->spare[pool->spares++] = *tools;
	pthread_mutex_unlock(&pool->lock);
	if (!is_kept)
		tools_fini(tools);
	*tools = (struct cas_pool_tools){0};
}

void cas_pool_init(struct cas_pool *pool)
{
	*pool = (struct cas_pool){0};
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->done, NULL);
	pool->last = &pool->first;
	pool->limit = POOL_THREADS;
}

void cas_pool_fini(struct cas_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	assert(!pool->first);
	pool->is_stopping = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->started; i++)
		pthread_join(pool->threads[i], NULL);
	for (unsigned i = 0; i < pool->spares; i++)
		tools_fini(&pool->spare[i]);
	pthread_cond_destroy(&pool->work);
	pthread_cond_destroy(&pool->done);
	pthread_mutex_destroy(&pool->lock);
}

static struct cas_pool_job *take_job(struct cas_pool *pool)
{
	struct cas_pool_job *job = pool->first;
	pool->first = job->next;
	if (!pool->first)
		pool->last = &pool->first;
	return job;
}

static void *pool_main(void *arg)
{
	struct cas_pool *pool = arg;
	struct cas_pool_tools tools;
	pthread_setname_np(pthread_self(), "store");
	tools_init(&tools);
	pthread_mutex_lock(&pool->lock);
	for (;;) {
		while (!pool->first && !pool->is_stopping) {
			pool->idle++;
			pthread_cond_wait(&pool->work, &pool->lock);
			pool->idle--;
		}
		if (!pool->first)
			break;
		struct cas_pool_job *job = take_job(pool);
		pthread_mutex_unlock(&pool->lock);
		job->run(job, &tools);
		pthread_mutex_lock(&pool->lock);
		job->is_done = true; /* from here on the job may vanish */
		pthread_cond_broadcast(&pool->done);
	}
	pthread_mutex_unlock(&pool->lock);
	tools_fini(&tools);
	return NULL;
}

/* start_thread() - with all signals blocked: they are for the loop. */
static void start_thread(struct cas_pool *pool)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = pthread_create(&pool->threads[pool->started], NULL, pool_main, pool);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc == 0)
		pool->started++;
}

void cas_pool_submit(struct cas_pool *pool, struct cas_pool_job *job)
{
	pthread_mutex_lock(&pool->lock);
	job->is_done = false;
	job->next = NULL;
	if (!pool->idle && pool->started < pool->limit)
		start_thread(pool);
	bool has_threads = pool->started > 0;
	if (has_threads) {
		*pool->last = job;
		pool->last = &job->next;
		pthread_cond_signal(&pool->work);
	}
	pthread_mutex_unlock(&pool->lock);
	if (has_threads)
		return;
	/* The system gives us no thread: slower, but just as right. */
	struct cas_pool_tools tools = cas_pool_borrow(pool);
	job->run(job, &tools);
	cas_pool_give_back(pool, &tools);
	job->is_done = true;
}

void cas_pool_wait(struct cas_pool *pool, struct cas_pool_job *job)
{
	pthread_mutex_lock(&pool->lock);
	while (!job->is_done)
		pthread_cond_wait(&pool->done, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
}

bool pool_is_done(struct cas_pool *pool, struct cas_pool_job *job)
{
	pthread_mutex_lock(&pool->lock);
	bool is_done = job->is_done;
	pthread_mutex_unlock(&pool->lock);
	return is_done;
}

/* pool.h - a few threads that compress, unpack and write for the large blobs of one
 * store. They start when the first job comes, so a store of small blobs has none. Jobs
 * are the caller's memory and are waited for by whoever gave them; a job never waits for
 * another one. */
#pragma once

#include "common/direct.h"
#include "common/pure/base.h"
#include <pthread.h>

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

struct cas_pool_tools { /* one set per thread, reused from job to job */
	struct ZSTD_CCtx_s *pack;
	struct ZSTD_DCtx_s *unpack;
	uint8_t *scratch; /* frame_bound(FRAME_CHUNK) bytes */
	struct direct_room room;
};

struct cas_pool_job {
	void (*run)(struct cas_pool_job *job, struct cas_pool_tools *tools);
	struct cas_pool_job *next;
	bool is_done; /* under the pool's lock */
};

#define POOL_THREADS 4 /* also of one processor: half of them wait for the disk */
#define POOL_SPARE 4
struct cas_pool {
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	struct cas_pool_job *first, **last;
	pthread_t threads[POOL_THREADS];
	unsigned started, idle, limit;
	struct cas_pool_tools spare[POOL_SPARE];
	unsigned spares;
	bool is_stopping;
};

void cas_pool_init(struct cas_pool *pool);
void cas_pool_fini(struct cas_pool *pool); /* no job may be left */
void cas_pool_submit(struct cas_pool *pool, struct cas_pool_job *job);
void cas_pool_wait(struct cas_pool *pool, struct cas_pool_job *job);
bool pool_is_done(struct cas_pool *pool, struct cas_pool_job *job);

/** cas_pool_borrow() - tools for who does a job on its own thread; then cas_pool_give_back(). */
struct cas_pool_tools cas_pool_borrow(struct cas_pool *pool);
void cas_pool_give_back(struct cas_pool *pool, struct cas_pool_tools *tools);

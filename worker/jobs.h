/* jobs.h - work that may take long, off the loop thread: two lanes of threads (so that a large
 * upload does not keep inputs from coming), each thread with its own connection for blobs.
 *
 * A job belongs to its submitter until jobs_submit(), to the threads until jobs_take_done(). */
#pragma once

#include "proto/blob_client.h"
#include "worker/cache.h"
#include <stdatomic.h>

enum job_lane { LANE_FETCH, LANE_UPLOAD, LANES };

struct jobs;
struct job_thread; /* the thread that runs a job: a handle for job_blobs() */

struct job {
	struct job *next;
	void (*run)(struct job *job, struct job_thread *thread);
	void (*done)(struct job *job, void *owner); /* on the loop thread */
	enum job_lane lane;
	atomic_bool cancelled; /* set by the submitter: end soon */
};

struct jobs_options {
	void *zmq_context;
	const struct key_pair *self; /* NULL without CURVE */
	const uint8_t *server;
	const uint8_t *instance;
	const char *name;
	unsigned threads_per_lane;
};

/** jobs_new() - threads start with the first job of their lane. */
struct jobs *jobs_new(const struct jobs_options *options);
/** jobs_free() - cancels and waits for what runs, and calls done() of everything, also of what done()
 * submits. */
void jobs_free(struct jobs *jobs, void *owner);
/** jobs_set_url() - where the blob socket is now. */
void jobs_set_url(struct jobs *jobs, const char *url);
void jobs_submit(struct jobs *jobs, struct job *job);
/** jobs_fd() - readable when jobs_take_done() has something. */
int jobs_fd(const struct jobs *jobs);
/** jobs_take_done() - call done(job, @owner) of all finished jobs. */
void jobs_take_done(struct jobs *jobs, void *owner);

/** job_is_cancelled() - also true while the program ends. */
bool job_is_cancelled(struct job_thread *thread);
/** job_blobs() - this thread's connection; waits until the address is known. NULL when cancelled. */
struct blob_client *job_blobs(struct job_thread *thread);
/** job_pause() - sleep, up to a second, until it is worth trying again. Return: false if cancelled. */
bool job_pause(struct job_thread *thread);

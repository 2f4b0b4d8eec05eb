/* runner.h - one warm process that calls functions; docs/runners.md is what is said to it.
 *
 *   STARTING  its program was asked for; it may hold its first call  -> READY, or DYING
 *   READY     it waits, and holds no resources                       -> BUSY, DYING
 *   BUSY      it has calls: the oldest is under way                  -> READY, DYING
 *   DYING     it gets nothing more; its tree is being killed, or it was told to quit -> gone
 *
 * Calls are answered in the order in which they were sent, so the oldest one is the one that a death
 * is about. All others go to another runner, as if they had never been here. */
#pragma once

#include "common/task/frames.h"
#include "worker/attempt.h"
#include "worker/runner/kind.h"
#include "worker/slots.h"

#define RUNNER_LOADS 1024 /* functions that it knows at a time */

struct worker;

enum runner_state { RUNNER_STARTING, RUNNER_READY, RUNNER_BUSY, RUNNER_DYING };

struct runner {
	struct list link; /* of the pool */
	uint32_t number;  /* in the pool's table */
	enum runner_state state;
	bool was_ready;
	struct kind *kind;
	struct slot_user user;
	struct runner_start *start; /* while a thread reads its secrets */
	int sock;
	struct dir *dir;
	struct grant grant; /* while it has calls */
	bool has_grant;
	char devices[256]; /* of CUDA_VISIBLE_DEVICES, as it was started */
	struct list calls; /* attempts by call_link, oldest first */
	uint32_t call_count;
	uint64_t queued_ns; /* what its calls will take, by the mean of their functions */
	uint64_t answered;  /* calls */

	struct buf in, out;
	size_t in_at, out_at;	   /* what was taken, what was sent */
	struct runner_mark *marks; /* descriptors that go with bytes of @out */
	size_t mark_count, mark_capacity;
	bool waits_for_room; /* its socket is full */

	uint64_t loads[RUNNER_LOADS]; /* serials of checks */
	uint32_t load_count, load_next, load_last;

	uint64_t since_ns;  /* of STARTING; READY: idle since */
	uint64_t pinged_ns; /* 0: no ping is out */
	uint64_t heard_ns;  /* when the last one was answered */
	uint64_t quit_ns;   /* when it was told to; 0: it was not */
	uint64_t ended_ns;  /* its stream: soon the process; 0: not yet */
	uint64_t condemned; /* epoch of the call for whose sake it dies; 0: none */
	char *fault;	    /* why it dies, if that is the runner's doing */
};

/** runner_start() - make one, with all of @grant, which is its own from then on. It waits for
 * runner_launch(), or for a thread that reads its secrets and then does the same.
 * Return: 0; negative errno, and nothing is left of it. */
int runner_start(struct worker *w, struct kind *kind, const struct grant *grant,
		 const char *program, struct runner **runnerp);
void runner_launch(struct worker *w, struct runner *r);
/** runner_end() - its tree is dead: what its calls come to; it is gone then. */
void runner_end(struct worker *w, struct runner *r, const struct slot_report *report);
void runner_free(struct worker *w, struct runner *r); /* without calls and grant */
/** runner_call() - send a call; it is the runner's from now on. @a is WAITING or PREPARED. */
void runner_call(struct worker *w, struct runner *r, struct attempt *a);
/** runner_flush() - write what is to be written, as far as it goes. */
void runner_flush(struct worker *w, struct runner *r);
/** runner_read() - take its answers. Return: true if there may be more. */
bool runner_read(struct worker *w, struct runner *r);
/** runner_welcome() - the first words. */
void runner_welcome(struct worker *w, struct runner *r);
void runner_ping(struct worker *w, struct runner *r);
/** runner_kill() - its tree, at once. @fault: what it did wrong, or NULL. */
void runner_kill(struct worker *w, struct runner *r, const char *fault);
/** runner_condemn() - it is being stopped for the sake of this call. */
void runner_condemn(struct runner *r, const struct attempt *a);
/** runner_detach() - the call is the runner's no more. */
void runner_detach(struct worker *w, struct runner *r, struct attempt *a);
/** runner_promote() - the oldest call is under way now, and its clock runs. */
void runner_promote(struct worker *w, struct runner *r);
static inline struct attempt *runner_oldest(const struct runner *r)
{
	return list_empty(&r->calls)
		       ? NULL
		       : container_of(r->calls.next, struct attempt, call_link);
}

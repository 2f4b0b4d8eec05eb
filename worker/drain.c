/* drain.c - a worker that takes nothing new: its disk is full for now, or it is about to end; see
 * worker.h. */
#include "worker/worker.h"

#include "common/fs.h"
#include "common/log.h"

#include <inttypes.h>
#include <unistd.h>

#define FULL_PAUSE_NS                                                                    \
	(2 * NS_PER_S) /* doubled up to FULL_PAUSE_MAX_NS while it does not help */
#define FULL_PAUSE_MAX_NS (60 * NS_PER_S)
#define FULL_ROOM (1u << 20) /* free bytes with which it is worth trying again */
#define LAST_WORDS_NS                                                                    \
	(10 * NS_PER_S) /* draining: how long to wait for a broker that is away */

/* ---- full disk */

void worker_disk_full(struct worker *w, const char *what)
{
	if (w->is_full)
		return;
	w->is_full = true;
	w->full_pause_ns = w->full_pause_ns ? 2 * w->full_pause_ns : FULL_PAUSE_NS;
	if (w->full_pause_ns > FULL_PAUSE_MAX_NS)
		w->full_pause_ns = FULL_PAUSE_MAX_NS;
	w->full_until_ns = w->now_ns + w->full_pause_ns;
	log_error("disk full, nothing new is taken", "dir=%s while=%s",
		  w->options->work_dir, what);
	schedule_hand_back(w, true);
	w->beat_ns = w->now_ns; /* tell the broker now */
}

void drain_check_disk(struct worker *w)
{
	uint64_t free_bytes = 0;
	if (!w->is_full || w->now_ns < w->full_until_ns ||
	    fs_free_bytes(w->options->work_dir, &free_bytes) < 0 ||
	    free_bytes < FULL_ROOM)
		return;
	log_info("the disk has room again", "dir=%s free=%" PRIu64, w->options->work_dir,
		 free_bytes);
	w->is_full = false;
	/* A worker that drained comes back by presenting itself anew. */
	if (w->session.state == SESSION_UP)
		session_greet(&w->session, w->now_ns);
}

bool drain_disk_is_full(const struct worker *w)
{
	uint64_t free_bytes = 0;
	return fs_free_bytes(w->options->work_dir, &free_bytes) == 0 &&
	       free_bytes < FULL_ROOM;
}

/* ---- draining */

void worker_drain(struct worker *w, enum drain drain, uint64_t deadline_ns,
		  const char *why)
{
	if (deadline_ns < w->drain_deadline_ns)
		w->drain_deadline_ns = deadline_ns;
	if (drain <= w->drain)
		return;
	log_info(drain == DRAIN_HARD ? "stopping all tasks" : "draining",
		 "why=%s running=%zu", why, w->attempts.counts[ATTEMPT_RUNNING]);
	w->drain = drain;
	w->beat_ns = w->now_ns;
	schedule_hand_back(w, true);
	pool_quit(w);
	struct list *at, *next;
	if (drain == DRAIN_HARD)
		list_for_each_safe (at, next, &w->attempts.lists[ATTEMPT_RUNNING])
			schedule_stop(w, container_of(at, struct attempt, link),
				      STOP_DRAIN);
}

/* Is everything said and done? */
void drain_check(struct worker *w)
{
	if (w->drain == DRAIN_NONE)
		return;
	if (w->now_ns >= w->drain_deadline_ns)
		worker_drain(w, DRAIN_HARD, TIME_NEVER,
			     "the drain's deadline has passed");
	schedule_hand_back(w, true);
	if (w->attempts.count == 0) {
		w->done = true;
		return;
	}
	const size_t *counts = w->attempts.counts;
	/* With its deadline behind it, it does not wait for ever to upload something either. */
	bool works = counts[ATTEMPT_RUNNING] || counts[ATTEMPT_PREPARING] ||
		     counts[ATTEMPT_SENT] ||
		     (counts[ATTEMPT_COLLECTING] && w->drain != DRAIN_HARD);
	if (works || w->session.state == SESSION_UP || !w->idle_since_ns)
		w->idle_since_ns = w->now_ns;
	if (w->now_ns - w->idle_since_ns >= LAST_WORDS_NS) {
		log_error("ended with results that no broker took", "leases=%zu",
			  w->attempts.count);
		w->exit_code = ERR_UNREACHABLE;
		w->done = true;
	}
}

/* The private broker that started us is gone: if there is a new one, it has a new worker. */
void drain_check_parent(struct worker *w)
{
	if (w->options->is_private && w->drain == DRAIN_NONE &&
	    getppid() != w->parent_pid)
		worker_drain(w, DRAIN_SOFT, TIME_NEVER, "its broker is gone");
}

/* worker.h - the worker's loop thread: one struct, and the files that each do one thing with it.
 *
 *   life.c      the beginning and the end
 *   loop.c      sleeps, wakes, calls the others in order; timers; signals
 *   drain.c     takes nothing new: the disk is full, or the end is near
 *   handlers.c  what the broker says
 *   present.c   what the broker is told about us: WorkerHello, Heartbeat, Results, Handback
 *   schedule.c  which attempt starts when; stopping
 *   finish.c    what an attempt came to
 *   runner/     calls: their sources, and the warm processes that run them
 *
 * One round: everything that happened is taken in, then what can start is started, then results are
 * made and sent in one message. Starting comes before reporting, so that a slot is never idle while
 * its last result is being written down. */
#pragma once

#include "worker/attempt.h"
#include "worker/credit.h"
#include "worker/options.h"
#include "worker/runner/calls.h"
#include "worker/runner/memory.h"
#include "worker/runner/pool.h"
#include "worker/session.h"
#include "worker/slots.h"

/* How tasks are kept apart; shown to operators. Memory is measured by each slot (spawner/memory.h). */
#define WORKER_ISOLATION "process, memory measured"

enum drain {
	DRAIN_NONE,
	DRAIN_SOFT, /* finish what runs, hand back the rest */
	DRAIN_HARD, /* stop what runs as well, hand all back */
};

struct ended { /* a run that ended in this round */
	struct attempt *attempt;
	struct slot_report report;
};

struct worker {
	const struct options *options;
	int epoll, spawner, signals, lock, zmq_fd;
	pid_t spawner_pid, parent_pid;
	bool spawner_died;
	uint64_t now_ns;
	bool has_input; /* of the broker's */

	struct session session;
	struct jobs *jobs;
	struct cache *cache;
	struct dirs dirs;
	struct functions functions;
	struct kinds kinds;
	struct sources sources;
	struct pool pool;
	struct memory memory;
	struct attempts attempts;
	struct slots slots;
	struct capacity capacity;
	struct credit credit;
	uint32_t run_count;

	struct ended *ended;
	size_t ended_count, ended_capacity;
	struct buf back; /* epochs (uint64_t) of attempts to hand back as unstarted */
	uint32_t shown_credit;

	uint64_t beat_ns, tick_ns; /* when the next heartbeat and housekeeping are due */
	enum drain drain;
	uint64_t drain_deadline_ns;
	/* draining, nothing runs: how long to wait for acknowledgements */
	uint64_t idle_since_ns;
	bool is_full; /* the disk: nothing new is taken */
	uint64_t full_until_ns, full_pause_ns;
	bool done;
	int exit_code;
};

/* life.c */
int worker_run(const struct options *options, int spawner, pid_t spawner_pid);

/* loop.c */
enum loop_tag {
	TAG_BROKER = 1,
	TAG_SPAWNER,
	TAG_JOBS,
	TAG_SIGNALS,
	TAG_SLOT,
	TAG_RUNNER
};
#define LOOP_TAG(tag)                                                                    \
	((uint64_t)(tag) << 32) /* in epoll_event.data; a slot's number below */
void loop_watch(struct worker *w, int fd, enum loop_tag tag);
void loop_watch_broker(struct worker *w); /* its socket was made anew */
/** loop_round() - wait until @wake_ns or something happens, and see to all of it. */
void loop_round(struct worker *w, uint64_t *wake_ns);

/* drain.c */
void worker_drain(struct worker *w, enum drain drain, uint64_t deadline_ns,
		  const char *why);
void worker_disk_full(struct worker *w, const char *what);
void drain_check(struct worker *w); /* is everything said and done? */
void drain_check_disk(struct worker *w);
bool drain_disk_is_full(const struct worker *w); /* just now */
void drain_check_parent(struct worker *w);

/* handlers.c */
void worker_handle(struct worker *w, const Cashet__Envelope *e);

/* present.c */
void present_hello(struct worker *w);
void present_heartbeat(struct worker *w);
void present_results(struct worker *w);	  /* those that were not sent in this session */
void present_handbacks(struct worker *w); /* w->back; the attempts are gone then */
uint32_t present_credit(struct worker *w);
bool worker_takes_nothing(const struct worker *w);

/* schedule.c */
void schedule_start(struct worker *w);
/** schedule_stop() - begin to stop an attempt in any state. */
void schedule_stop(struct worker *w, struct attempt *a, enum attempt_stop why);
/** schedule_signal_stop() - SIGTERM to what RUNs it, SIGKILL after its grace. */
void schedule_signal_stop(struct worker *w, struct attempt *a);
/** schedule_timers() - limits, grace periods. Return: when to call it again. */
uint64_t schedule_timers(struct worker *w);
/** schedule_hand_back() - leases that wait while another worker might run them. */
void schedule_hand_back(struct worker *w, bool all);

/* finish.c */
/** finish_run() - its process tree is dead: slot and resources are free from now on. */
void finish_run(struct worker *w, struct attempt *a, const struct slot_report *report);
/** finish_collect() - make the reports of all that ended in this round. */
void finish_collect(struct worker *w);
/** finish_report() - it came to this; to be sent. */
void finish_report(struct worker *w, struct attempt *a);
/** finish_unstarted() - a report for an attempt that never ran. */
void finish_unstarted(struct worker *w, struct attempt *a, Cashet__Outcome__Kind kind,
		      const char *fmt, ...) PRINTF(4, 5);
/** finish_forget() - nobody wants to hear of it any more. */
void finish_forget(struct worker *w, struct attempt *a);
/** finish_upload_again() - the store says that blobs of its report are missing. */
void finish_upload_again(struct worker *w, struct attempt *a, const Cashet__ResultAck *m);
void finish_release_dir(struct worker *w, struct attempt *a);
/** finish_clean_dir() - a directory that was used: make it as new, in a thread if that takes long. */
void finish_clean_dir(struct worker *w, struct dir *dir);
/** finish_ended_call() - the runner ended in the middle of it; its directory has what it printed. */
void finish_ended_call(struct worker *w, struct attempt *a,
		       const struct slot_report *report);
/** finish_collect_call() - a call that is RUNNING was answered, with files in its directory.
 * @result: of its result, living as long as the report; or NULL. */
void finish_collect_call(struct worker *w, struct attempt *a, const char *result,
			 uint8_t type, uint64_t size);
/** finish_lost() - this worker failed, not the task: LOST. @error: negative errno. */
void finish_lost(struct worker *w, struct attempt *a, const char *what, int error);

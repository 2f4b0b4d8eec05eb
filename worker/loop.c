/* loop.c - the worker's loop; see worker.h. */
#include "worker/worker.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/pure/mem.h"
#include "worker/logs.h"
#include "worker/workdir.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define TAG(n) ((uint64_t)(n) << 32)
enum { TAG_BROKER = 1, TAG_SPAWNER, TAG_JOBS, TAG_SIGNALS, TAG_SLOT };

#define BEAT_NS (2 * NS_PER_S)
#define TICK_BUSY_NS (250 * NS_PER_MS)
#define TICK_IDLE_NS NS_PER_S
#define MESSAGES_MAX 256 /* of the broker in one round */
#define FIRST_SLOTS_MAX 16
#define FULL_PAUSE_NS                                                                    \
	(2 * NS_PER_S) /* doubled up to FULL_PAUSE_MAX_NS while it does not help */
#define FULL_PAUSE_MAX_NS (60 * NS_PER_S)
#define FULL_ROOM (1u << 20) /* free bytes with which it is worth trying again */
#define LAST_WORDS_NS                                                                    \
	(10 * NS_PER_S) /* draining: how long to wait for a broker that is away */
#define THREADS_PER_LANE 2

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

static void check_disk(struct worker *w)
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
	struct list *at, *next;
	if (drain == DRAIN_HARD)
		list_for_each_safe (at, next, &w->attempts.lists[ATTEMPT_RUNNING])
			schedule_stop(w, container_of(at, struct attempt, link),
				      STOP_DRAIN);
}

/* Is everything said and done? */
static void check_drained(struct worker *w)
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
static void check_parent(struct worker *w)
{
	if (w->options->is_private && w->drain == DRAIN_NONE &&
	    getppid() != w->parent_pid)
		worker_drain(w, DRAIN_SOFT, TIME_NEVER, "its broker is gone");
}

/* ---- housekeeping */

static void bound_logs(struct worker *w)
{
	struct list *at;
	list_for_each (at, &w->attempts.lists[ATTEMPT_RUNNING]) {
		struct attempt *a = container_of(at, struct attempt, link);
		if (!a->dir)
			continue;
		if (!a->options->stdout_is_result)
			log_bound(a->dir->paths[DIR_OUT], &a->punched[0]);
		log_bound(a->dir->paths[DIR_ERR], &a->punched[1]);
	}
}

static uint64_t housekeeping(struct worker *w)
{
	if (w->now_ns >= w->tick_ns) {
		bound_logs(w);
		check_disk(w);
		check_parent(w);
		if (w->drain == DRAIN_NONE)
			schedule_hand_back(w, false);
		bool busy = w->attempts.count || w->drain || w->is_full;
		w->tick_ns = w->now_ns + (busy ? TICK_BUSY_NS : TICK_IDLE_NS);
	}
	if (w->now_ns >= w->beat_ns) {
		if (w->session.state == SESSION_UP)
			present_heartbeat(w);
		w->beat_ns = w->now_ns + BEAT_NS;
	}
	return w->tick_ns < w->beat_ns ? w->tick_ns : w->beat_ns;
}

/* ---- the session's socket */

static void watch_broker(struct worker *w)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = TAG(TAG_BROKER)};
	w->zmq_fd = session_fd(&w->session);
	if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->zmq_fd, &event) < 0)
		abort();
}

static uint64_t tend_session(struct worker *w)
{
	if (session_is_silent(&w->session, w->now_ns)) {
		epoll_ctl(w->epoll, EPOLL_CTL_DEL, w->zmq_fd, NULL);
		session_reopen(&w->session, w->now_ns);
		watch_broker(w);
	}
	return session_tick(&w->session, w->now_ns);
}

static void read_broker(struct worker *w)
{
	for (int i = 0; i < MESSAGES_MAX && !w->done; i++) {
		const Cashet__Envelope *e = session_receive(&w->session, w->now_ns);
		if (!e)
			return;
		worker_handle(w, e);
	}
}

/* ---- what wakes the loop */

static void slot_died(struct worker *w, uint32_t number)
{
	struct attempt *a = slots_gone(&w->slots, number);
	log_warn("a slot process died", "slot=%u task=%s", number, a ? a->name : "");
	if (!a)
		return;
	a->slot = NULL;
	struct slot_report report = {.step = SLOT_STEP_FORK, .error = ECHILD};
	finish_run(w, a, &report);
}

static void read_slot(struct worker *w, uint32_t number)
{
	struct slot *slot = number < w->slots.count ? w->slots.items[number] : NULL;
	if (!slot || slot->sock < 0)
		return;
	struct slot_report report;
	int rc = slot_receive(slot->sock, &report);
	if (rc < 0) {
		slots_broken(&w->slots, slot);
		if (w->spawner_died) /* the slot has killed its tree before it ended */
			slot_died(w, number);
	} else if (rc == 0 && slot->attempt && slot->attempt->run == report.run) {
		finish_run(w, slot->attempt, &report);
	}
}

static void read_spawner(struct worker *w)
{
	struct spawner_message m;
	int sock, rc;
	while ((rc = spawner_receive(w->spawner, &m, &sock)) == 0) {
		if (m.type == SPAWNER_SLOT)
			slots_arrived(&w->slots, &m, sock);
		else if (m.type == SPAWNER_SLOT_GONE)
			slot_died(w, m.slot);
	}
	if (rc == 1)
		return;
	log_error("the spawner process died", "pid=%d", w->spawner_pid);
	epoll_ctl(w->epoll, EPOLL_CTL_DEL, w->spawner, NULL);
	w->spawner_died = true;
	w->exit_code = ERR_FAILED;
	worker_drain(w, DRAIN_HARD, w->now_ns, "no task can be started any more");
}

static void read_signals(struct worker *w)
{
	struct signalfd_siginfo info;
	while (read(w->signals, &info, sizeof info) == sizeof info) {
		uint64_t timeout_ns = w->options->drain_timeout_ns;
		uint64_t deadline_ns = timeout_ns < TIME_NEVER - w->now_ns
					       ? w->now_ns + timeout_ns
					       : TIME_NEVER;
		if (w->drain == DRAIN_HARD)
			w->done =
				true; /* a third one: at once; the slots kill what they run */
		else if (w->drain == DRAIN_SOFT)
			worker_drain(w, DRAIN_HARD, TIME_NEVER, "a second signal");
		else
			worker_drain(w, DRAIN_SOFT, deadline_ns, "a signal");
	}
}

static void wake(struct worker *w, uint64_t what)
{
	switch (what >> 32) {
	case TAG_BROKER:
		w->has_input = true;
		break;
	case TAG_SPAWNER:
		read_spawner(w);
		break;
	case TAG_JOBS:
		jobs_take_done(w->jobs, w);
		break;
	case TAG_SIGNALS:
		read_signals(w);
		break;
	case TAG_SLOT:
		read_slot(w, (uint32_t)what);
		break;
	}
}

static int sleep_ms(struct worker *w, uint64_t until_ns)
{
	w->has_input = session_has_input(&w->session);
	if (w->has_input || until_ns <= w->now_ns)
		return 0;
	uint64_t ms = (until_ns - w->now_ns + NS_PER_MS - 1) / NS_PER_MS;
	return ms > 10000 ? 10000 : (int)ms;
}

static void one_round(struct worker *w, uint64_t *wake_ns)
{
	struct epoll_event events[64];
	int count =
		epoll_wait(w->epoll, events, ARRAY_LEN(events), sleep_ms(w, *wake_ns));
	w->now_ns = clock_mono_ns();
	for (int i = 0; i < count; i++)
		wake(w, events[i].data.u64);
	if (w->has_input)
		read_broker(w);
	uint64_t session_ns = tend_session(w);
	uint64_t keep_ns = housekeeping(w);
	schedule_start(w);
	finish_collect(w);
	present_handbacks(w);
	present_results(w);
	check_drained(w);
	*wake_ns = schedule_timers(w);
	if (session_ns < *wake_ns)
		*wake_ns = session_ns;
	if (keep_ns < *wake_ns)
		*wake_ns = keep_ns;
	if (w->ended_count)
		*wake_ns = 0;
}

/* ---- beginning and end */

static void watch(struct worker *w, int fd, uint64_t tag)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = TAG(tag)};
	if (fd < 0 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		abort();
}

static void raise_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int set_up(struct worker *w, struct err *e)
{
	w->lock = workdir_open(w->options, e);
	if (w->lock < 0)
		return (int)e->code;
	int rc = session_init(&w->session, w->options->broker, w->options->name,
			      w->options->key_file, w->now_ns, e);
	if (rc)
		return rc;
	const struct jobs_options options = {
		.zmq_context = w->session.zmq_context,
		.self = w->session.has_keys ? &w->session.self : NULL,
		.server = w->session.has_keys ? w->session.server : NULL,
		.instance = w->session.instance,
		.name = w->options->name,
		.threads_per_lane = THREADS_PER_LANE,
	};
	w->jobs = jobs_new(&options);
	CLEANUP_FREE char *cache_dir = workdir_path(w->options, "cache");
	CLEANUP_FREE char *attempts_dir = workdir_path(w->options, "attempts");
	rc = cache_new(&w->cache, cache_dir, w->options->cache_bytes);
	if (rc < 0)
		return err_set(e, ERR_FAILED, "%s: %s", cache_dir, strerror(-rc));
	dirs_init(&w->dirs, attempts_dir);
	functions_init(&w->functions);
	attempts_init(&w->attempts);
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	slots_init(&w->slots, w->spawner, w->epoll, TAG(TAG_SLOT));
	sigset_t mask;
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	w->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	watch(w, w->signals, TAG_SIGNALS);
	watch(w, w->spawner, TAG_SPAWNER);
	watch(w, jobs_fd(w->jobs), TAG_JOBS);
	watch_broker(w);
	return 0;
}

/* set_up() fails before there is more than this. */
static void undo_set_up(struct worker *w)
{
	jobs_free(w->jobs, w);
	cache_free(w->cache);
	session_fini(&w->session);
	if (w->lock >= 0) {
		workdir_remove(w->options);
		close(w->lock);
	}
	close(w->spawner);
	free(w);
}

static void say_goodbye(struct worker *w)
{
	Cashet__Bye bye = CASHET__BYE__INIT;
	Cashet__Envelope e = CASHET__ENVELOPE__INIT;
	static char why[] = "drained";
	bye.why = why;
	e.body_case = CASHET__ENVELOPE__BODY_BYE;
	e.bye = &bye;
	session_send(&w->session, &e);
}

/* What is still there when the program ends: slots are closed first, which kills their trees. */
static void forget_all(struct worker *w)
{
	for (int state = 0; state < ATTEMPT_STATES; state++) {
		struct list *at, *next;
		list_for_each_safe (at, next, &w->attempts.lists[state]) {
			struct attempt *a = container_of(at, struct attempt, link);
			a->slot = NULL;
			report_free(steal(a->report));
			if (a->dir)
				dir_drop(steal(a->dir));
			a->has_grant = false;
			functions_unref(&w->functions, steal(a->function));
			attempt_free(&w->attempts, a);
		}
	}
}

static void wait_for_spawner(struct worker *w)
{
	close(w->spawner);
	for (int i = 0; i < 500; i++) {
		if (waitpid(w->spawner_pid, NULL, WNOHANG) != 0)
			return;
		usleep(10000);
	}
	log_warn("the spawner is still killing tasks", "pid=%d", w->spawner_pid);
}

static void tear_down(struct worker *w)
{
	if (w->attempts.count == 0)
		say_goodbye(w);
	slots_fini(&w->slots);
	wait_for_spawner(w);
	/* In this order: done() of the last jobs uses the tables. */
	jobs_free(w->jobs, w);
	forget_all(w);
	session_fini(&w->session);
	attempts_fini(&w->attempts);
	functions_fini(&w->functions);
	dirs_fini(&w->dirs);
	cache_free(w->cache);
	buf_fini(&w->back);
	free(w->ended);
	close(w->signals);
	close(w->epoll);
	workdir_remove(w->options);
	close(w->lock);
}

static void start_first_slots(struct worker *w)
{
	uint64_t cpus = resources_get(&w->capacity.total, "cpus") / 1000;
	for (uint64_t i = 0; i < cpus && i < FIRST_SLOTS_MAX; i++)
		slots_request(&w->slots);
}

int worker_run(const struct options *options, int spawner, pid_t spawner_pid)
{
	struct worker *w = mem_alloc(sizeof *w);
	struct err e = {0};
	w->options = options;
	w->capacity = options->capacity;
	w->spawner = spawner;
	w->spawner_pid = spawner_pid;
	w->parent_pid = getppid();
	w->lock = -1;
	w->drain_deadline_ns = TIME_NEVER;
	w->now_ns = clock_mono_ns();
	raise_descriptor_limit();
	int rc = set_up(w, &e);
	if (rc) {
		err_print(&e, "cashet-worker");
		undo_set_up(w);
		return rc;
	}
	start_first_slots(w);
	workdir_clean_siblings(w->options, w->jobs);
	log_info("started", "name=%s broker=%s dir=%s isolation=\"%s\"", options->name,
		 options->broker, options->work_dir, WORKER_ISOLATION);
	uint64_t wake_ns = 0;
	while (!w->done)
		one_round(w, &wake_ns);
	rc = w->exit_code;
	tear_down(w);
	free(w);
	log_info("ended", "name=%s exit=%d", options->name, rc);
	return rc;
}

/* loop.c - one round of the worker's loop; see worker.h. */
#include "worker/worker.h"

#include "common/clock.h"
#include "common/log.h"
#include "worker/logs.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define BEAT_NS (2 * NS_PER_S)
#define TICK_BUSY_NS (250 * NS_PER_MS)
#define TICK_IDLE_NS NS_PER_S
#define MESSAGES_MAX 256 /* of the broker in one round */

/* ---- housekeeping */

static void bound_logs(struct worker *w)
{
	struct list *at;
	list_for_each (at, &w->attempts.lists[ATTEMPT_RUNNING]) {
		struct attempt *a = container_of(at, struct attempt, link);
		const struct dir *dir = attempt_log_dir(a);
		if (!dir)
			continue;
		if (!a->options->stdout_is_result)
			log_bound(dir->paths[DIR_OUT], &a->punched[0]);
		log_bound(dir->paths[DIR_ERR], &a->punched[1]);
	}
}

static uint64_t housekeeping(struct worker *w)
{
	if (w->now_ns >= w->tick_ns) {
		bound_logs(w);
		drain_check_disk(w);
		drain_check_parent(w);
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

/* ---- what is waited for */

void loop_watch(struct worker *w, int fd, enum loop_tag tag)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = LOOP_TAG(tag)};
	if (fd < 0 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		abort();
}

void loop_watch_broker(struct worker *w)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = LOOP_TAG(TAG_BROKER)};
	w->zmq_fd = session_fd(&w->session);
	if (w->zmq_fd >= 0 && epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->zmq_fd, &event) < 0)
		abort();
}

static uint64_t tend_session(struct worker *w)
{
	if (session_is_silent(&w->session, w->now_ns)) {
		if (w->zmq_fd >= 0)
			epoll_ctl(w->epoll, EPOLL_CTL_DEL, w->zmq_fd, NULL);
		session_reopen(&w->session, w->now_ns);
		loop_watch_broker(w);
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
	const struct slot_report report = {.step = SLOT_STEP_FORK, .error = ECHILD};
	struct slot_user *user;
	struct attempt *a = slots_gone(&w->slots, number, &user);
	log_warn("a slot process died", "slot=%u task=%s", number, a ? a->name : "");
	if (user)
		user->ended(user, w, &report);
	if (!a)
		return;
	a->slot = NULL;
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
	} else if (rc == 0 && slot->user && slot->user->run == report.run) {
		struct slot_user *user = slot->user;
		slots_put(&w->slots, slot);
		user->ended(user, w, &report);
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
	case TAG_RUNNER:
		pool_readable(w, (uint32_t)what);
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

void loop_round(struct worker *w, uint64_t *wake_ns)
{
	struct epoll_event events[64];
	if (pool_is_deep(&w->pool))
		nanosleep(&(struct timespec){.tv_nsec = POOL_PAUSE_NS}, NULL);
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
	drain_check(w);
	uint64_t pool_ns = pool_timers(w), sources_ns = sources_timers(w);
	*wake_ns = schedule_timers(w);
	if (pool_ns < *wake_ns)
		*wake_ns = pool_ns;
	if (sources_ns < *wake_ns)
		*wake_ns = sources_ns;
	if (session_ns < *wake_ns)
		*wake_ns = session_ns;
	if (keep_ns < *wake_ns)
		*wake_ns = keep_ns;
	if (w->ended_count)
		*wake_ns = 0;
}

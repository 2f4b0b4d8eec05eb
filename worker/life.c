/* life.c - how a worker begins and ends; see worker.h. */
#include "worker/worker.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/pure/mem.h"
#include "worker/workdir.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_SLOTS_MAX 16
#define THREADS_PER_LANE 2

#define DESCRIPTORS_MIN 64
#define DESCRIPTORS_MAX 65536
/* Sockets, threads that each hold a few files, a log that is read: 40 at most; the rest are slots. */
#define DESCRIPTORS_KEPT 48

/* Tasks do not see it: the spawner was there before. Return: 0, or ERR_* in @e. */
static int raise_descriptor_limit(uint32_t *slots_maxp, struct err *e)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		limit.rlim_cur = limit.rlim_max = DESCRIPTORS_MAX;
	rlim_t wanted =
		limit.rlim_max < DESCRIPTORS_MAX ? limit.rlim_max : DESCRIPTORS_MAX;
	rlim_t had = limit.rlim_cur;
	if (had < wanted) {
		limit.rlim_cur = wanted;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			limit.rlim_cur = had;
	}
	if (limit.rlim_cur < DESCRIPTORS_MIN) {
		err_set(e, ERR_FAILED,
			"only %u files may be open at a time, too few for a worker",
			(unsigned)limit.rlim_cur);
		err_next(e,
			 "allow %u or more: ulimit -n 1024 (LimitNOFILE= in a unit of "
			 "systemd)",
			 DESCRIPTORS_MIN);
		return ERR_FAILED;
	}
	*slots_maxp = limit.rlim_cur > DESCRIPTORS_MAX
			      ? DESCRIPTORS_MAX
			      : (uint32_t)limit.rlim_cur - DESCRIPTORS_KEPT;
	return 0;
}

static int set_up(struct worker *w, struct err *e)
{
	uint32_t slots_max;
	int rc = raise_descriptor_limit(&slots_max, e);
	if (rc)
		return rc;
	w->lock = workdir_open(w->options, e);
	if (w->lock < 0)
		return (int)e->code;
	rc = session_init(&w->session, w->options->broker, w->options->name,
			  w->options->key_file, w->options->insecure, w->now_ns, e);
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
	kinds_init(&w->kinds);
	sources_init(&w->sources, workdir_path(w->options, "sources"));
	pool_init(&w->pool);
	memory_init(&w->memory);
	attempts_init(&w->attempts);
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	slots_init(&w->slots, w->spawner, w->epoll, LOOP_TAG(TAG_SLOT), slots_max);
	sigset_t mask;
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	w->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	loop_watch(w, w->signals, TAG_SIGNALS);
	loop_watch(w, w->spawner, TAG_SPAWNER);
	loop_watch(w, jobs_fd(w->jobs), TAG_JOBS);
	loop_watch_broker(w);
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
			calls_release(a);
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
	pool_fini(w);
	forget_all(w);
	sources_fini(&w->sources);
	memory_fini(&w->memory);
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
		loop_round(w, &wake_ns);
	rc = w->exit_code;
	tear_down(w);
	free(w);
	log_info("ended", "name=%s exit=%d", options->name, rc);
	return rc;
}

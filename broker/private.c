/* private.c - the life of a private broker: one local worker, and an end when nobody is left.
 *
 * Worker: started when the sockets are there, again when it dies (sooner or later, by how often).
 * One that outlived the last broker is not doubled: it comes back by itself, with what it holds.
 *
 * The end: nobody is connected and nothing is to do for a while -> admission is closed (the
 * sockets are unlinked while the lock is held) -> whoever got in before that keeps us -> else
 * the loop ends. A client that finds no socket starts another broker, which waits for the lock
 * no longer than we take to leave. */
#include "broker/broker.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LAST_CALL_NS (200 * NS_PER_MS) /* between closing admission and leaving */
#define RESTART_FIRST_NS (100 * NS_PER_MS)
#define RESTART_LAST_NS (30 * NS_PER_S)
#define STEADY_NS (60 * NS_PER_S) /* a worker that lived this long died by accident */
#define LOOK_NS (20 * NS_PER_MS)
#define WORKER_END_MS 8000
#define DEATHS_KEPT 16

extern char **environ;

struct death {
	uint8_t key[KEY_SIZE];
	char how[32];
};

struct life {
	pid_t worker; /* our child; 0: none */
	pid_t orphan; /* of an earlier broker, still alive; 0: none */
	pid_t noted;  /* what run/worker.pid says, as far as it is ours */
	uint64_t started_ns, restart_ns, pause_ns;
	uint64_t idle_ns;      /* since when; 0: not idle */
	uint64_t last_call_ns; /* admission closed then; 0: it is open */
	uint64_t next_look_ns;
	struct death deaths[DEATHS_KEPT];
	unsigned next_death;
};

static char *pid_file(struct broker *b)
{
	char *path = NULL;
	if (asprintf(&path, "%s/worker.pid", b->run_dir) < 0)
		abort();
	return path;
}

static long noted_pid(struct broker *b)
{
	CLEANUP_BUF struct buf text = {0};
	char *path = pid_file(b);
	int rc = fs_read_file(path, 64, &text);
	free(path);
	return rc ? 0 : strtol(buf_cstr(&text), NULL, 10);
}

/* A worker of an earlier broker of this store, if it lives: its command line names our socket. */
static pid_t find_orphan(struct broker *b)
{
	CLEANUP_BUF struct buf command = {0};
	char proc[64];
	long pid = noted_pid(b);
	if (pid <= 1)
		return 0;
	snprintf(proc, sizeof proc, "/proc/%ld/cmdline", pid);
	if (fs_read_file(proc, 65536, &command) || !command.size)
		return 0;
	const char *url = b->controls[0].url;
	return memmem(command.data, command.size, url, strlen(url)) ? (pid_t)pid : 0;
}

static void remember_worker(struct broker *b, pid_t pid)
{
	char text[32], *path = pid_file(b);
	int size = snprintf(text, sizeof text, "%d\n", (int)pid);
	if (!fs_write_atomic(path, text, (size_t)size, 0600))
		b->life->noted = pid;
	free(path);
}

/* Of a store that was taken away and made anew the file is another broker's. */
static void forget_worker(struct broker *b)
{
	if (!b->life->noted || store_vanished(b) || noted_pid(b) != b->life->noted)
		return;
	char *path = pid_file(b);
	unlink(path);
	free(path);
}

static void start_worker(struct broker *b)
{
	struct life *l = b->life;
	char *program = b->options->worker_program
				? mem_strdup(b->options->worker_program)
				: options_program("cashet-worker");
	const char *argv[] = {program,	"--broker", b->controls[0].url,
			      "--name", "local",    "--private",
			      NULL};
	posix_spawnattr_t attr;
	posix_spawn_file_actions_t files;
	sigset_t none, defaults;
	sigemptyset(&none);
	sigfillset(&defaults);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &defaults);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", 0, 0);
	pid_t pid = 0;
	int rc = posix_spawnp(&pid, program, &files, &attr, (char *const *)argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	l->started_ns = b->now;
	if (rc) {
		log_error("local worker not started", "program=%s why=%s", program,
			  strerror(rc));
		l->restart_ns = b->now + RESTART_LAST_NS;
	} else {
		log_info("local worker started", "pid=%d", (int)pid);
		l->worker = pid;
		remember_worker(b, pid);
	}
	free(program);
}

int life_start(struct broker *b, struct err *e)
{
	(void)e;
	b->life = mem_alloc(sizeof *b->life);
	if (!b->options->is_private)
		return 0;
	b->life->orphan = b->life->noted = find_orphan(b);
	if (b->life->orphan)
		log_info("local worker of the last broker found", "pid=%d",
			 (int)b->life->orphan);
	else
		start_worker(b);
	return 0;
}

static void note_death(struct broker *b, pid_t pid, int status)
{
	struct life *l = b->life;
	for (uint32_t i = 0; i < b->workers.count; i++) {
		struct worker *w = b->workers.by_number[i];
		if (!w || w->pid != (uint64_t)pid)
			continue;
		struct death *d = &l->deaths[l->next_death++ % DEATHS_KEPT];
		memcpy(d->key, w->key, KEY_SIZE);
		if (WIFSIGNALED(status))
			snprintf(d->how, sizeof d->how, "signal %d", WTERMSIG(status));
		else
			snprintf(d->how, sizeof d->how, "exit %d", WEXITSTATUS(status));
	}
}

const char *life_last_death(struct broker *b, const uint8_t key[KEY_SIZE])
{
	const struct life *l = b->life;
	for (unsigned i = 0; l && i < DEATHS_KEPT; i++) {
		if (l->deaths[i].how[0] && !memcmp(l->deaths[i].key, key, KEY_SIZE))
			return l->deaths[i].how;
	}
	return NULL;
}

static void look_after_worker(struct broker *b)
{
	struct life *l = b->life;
	int status;
	if (l->orphan && kill(l->orphan, 0) < 0 && errno == ESRCH) {
		l->orphan = 0;
		l->restart_ns = b->now;
	}
	if (l->worker && waitpid(l->worker, &status, WNOHANG) == l->worker) {
		note_death(b, l->worker, status);
		if (b->now - l->started_ns > STEADY_NS)
			l->pause_ns = 0;
		l->pause_ns = l->pause_ns ? 2 * l->pause_ns : RESTART_FIRST_NS;
		if (l->pause_ns > RESTART_LAST_NS)
			l->pause_ns = RESTART_LAST_NS;
		l->restart_ns = b->now + l->pause_ns;
		log_warn("local worker died", "pid=%d status=%d", (int)l->worker, status);
		l->worker = 0;
	}
	if (!l->worker && !l->orphan && !b->draining && b->now >= l->restart_ns)
		start_worker(b);
}

static bool is_idle(struct broker *b)
{
	struct core_totals totals;
	core_view_totals(b->core, &totals);
	return !b->peers.clients && !b->batches.by_id.count && !totals.batches &&
	       !b->outbox.count;
}

static void look_for_the_end(struct broker *b)
{
	struct life *l = b->life;
	if (!is_idle(b)) {
		l->idle_ns = 0;
		if (l->last_call_ns) {
			l->last_call_ns = 0;
			listen_admit(b, true);
		}
		return;
	}
	if (!l->idle_ns)
		l->idle_ns = b->now;
	if (!l->last_call_ns && b->now - l->idle_ns >= b->options->idle_ns) {
		listen_admit(b, false);
		l->last_call_ns = b->now;
	} else if (l->last_call_ns && b->now - l->last_call_ns >= LAST_CALL_NS) {
		log_info("ending", "why=nobody is connected and nothing is to do");
		b->stop = true;
	}
}

void life_check(struct broker *b)
{
	struct life *l = b->life;
	if (!b->options->is_private || b->now < l->next_look_ns)
		return;
	l->next_look_ns = b->now + LOOK_NS;
	look_after_worker(b);
	look_for_the_end(b);
}

uint64_t life_deadline(struct broker *b)
{
	const struct life *l = b->life;
	if (!b->options->is_private)
		return TIME_NEVER;
	uint64_t at = TIME_NEVER;
	if (l->last_call_ns)
		at = l->last_call_ns + LAST_CALL_NS;
	else if (l->idle_ns)
		at = l->idle_ns + b->options->idle_ns;
	if (!l->worker && !l->orphan && l->restart_ns < at)
		at = l->restart_ns;
	return at < l->next_look_ns ? l->next_look_ns : at;
}

/* The worker has the last word of its tasks: they get SIGTERM, grace and SIGKILL from it. */
static void end_worker(pid_t pid)
{
	kill(pid, SIGTERM);
	for (int waited = 0; waited < WORKER_END_MS; waited += 10) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return;
		struct timespec t = {.tv_nsec = 10 * 1000 * 1000};
		nanosleep(&t, NULL);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

void life_fini(struct broker *b)
{
	struct life *l = b->life;
	if (!l)
		return;
	if (l->worker)
		end_worker(l->worker);
	else if (l->orphan)
		kill(l->orphan, SIGTERM);
	forget_worker(b);
	free(l);
	b->life = NULL;
}

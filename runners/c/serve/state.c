/* state.c - see state.h. All of it costs about 30 system calls behind a call of a function, unless that
 * has made none itself. */
#include "runners/c/serve/state.h"

#include "common/pure/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <fenv.h>
#include <inttypes.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Those that programs handle. Each costs a system call, behind each call that made any. */
static const int watched[] = {SIGHUP,  SIGINT,	SIGQUIT, SIGILL,   SIGABRT, SIGBUS,
			      SIGFPE,  SIGSEGV, SIGPIPE, SIGALRM,  SIGTERM, SIGUSR1,
			      SIGUSR2, SIGCHLD, SIGPROF, SIGVTALRM};

static const char *const variables[STATE_VARIABLES] = {"CASHET_TASK", "CASHET_BATCH",
						       "CASHET_INDEX", "CASHET_ATTEMPT",
						       "CASHET_CHECKPOINT"};

/* ---- environment: ours is an array of our own, so that what setenv() does to it is undone by
 * pointing to it again */

static bool is_ours(const char *entry)
{
	for (size_t i = 0; i < STATE_VARIABLES; i++) {
		size_t size = strlen(variables[i]);
		if (!strncmp(entry, variables[i], size) && entry[size] == '=')
			return true;
	}
	return false;
}

static void keep_environment(struct state *s)
{
	size_t count = 0;
	for (char **e = environ; *e; e++) {
		s->text_size += strlen(*e) + 1;
		count++;
	}
	s->text = mem_alloc(s->text_size);
	s->before = mem_alloc((count + 1) * sizeof *s->before);
	s->now = mem_alloc((count + STATE_VARIABLES + 1) * sizeof *s->now);
	char *at = s->text;
	s->text_size = 0;
	for (char **e = environ; *e; e++) {
		if (is_ours(*e))
			continue;
		size_t size = strlen(*e) + 1;
		s->before[s->before_count++] = memcpy(at, *e, size);
		at += size;
		s->text_size += size;
	}
	s->pristine = mem_copy(s->text, s->text_size);
}

static void set(struct state *s, enum state_variable which, const char *value)
{
	struct buf *b = &s->own[which];
	buf_reset(b);
	buf_add_str(b, variables[which]);
	buf_add_byte(b, '=');
	buf_add_str(b, value);
	buf_cstr(b);
}

static void give_environment(struct state *s, const struct frame_call *call,
			     const char *batch, const char *checkpoint)
{
	char number[16];
	buf_reset(&s->own[STATE_TASK]);
	buf_add_str(&s->own[STATE_TASK], "CASHET_TASK=");
	buf_add(&s->own[STATE_TASK], call->name.data, call->name.size);
	set(s, STATE_BATCH, batch);
	snprintf(number, sizeof number, "%" PRIu32, call->index);
	set(s, STATE_INDEX, number);
	snprintf(number, sizeof number, "%" PRIu32, call->attempt);
	set(s, STATE_ATTEMPT, number);
	set(s, STATE_CHECKPOINT, checkpoint);
	if (memcmp(s->text, s->pristine, s->text_size))
		memcpy(s->text, s->pristine, s->text_size); /* written into in place */
	size_t n = s->before_count;
	memcpy(s->now, s->before, n * sizeof *s->now);
	for (size_t i = 0; i < STATE_VARIABLES; i++)
		s->now[n++] = (char *)(uintptr_t)buf_cstr(&s->own[i]);
	s->now[n] = NULL;
	environ = s->now;
}

/* ---- the rest */

static void restore_signals(void)
{
	struct sigaction action;
	sigset_t none;
	for (size_t i = 0; i < ARRAY_LEN(watched); i++) {
		if (sigaction(watched[i], NULL, &action) || action.sa_handler == SIG_DFL)
			continue;
		action = (struct sigaction){.sa_handler = SIG_DFL};
		sigaction(watched[i], &action, NULL);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void stop_timers(void)
{
	static const struct itimerval never;
	setitimer(ITIMER_REAL, &never, NULL); /* alarm(), too */
	setitimer(ITIMER_VIRTUAL, &never, NULL);
	setitimer(ITIMER_PROF, &never, NULL);
}

/* restore_environment() - and the time zone that libc has read from it, if that may be another. */
static void restore_environment(struct state *s)
{
	const char *now = getenv("TZ");
	environ = s->before;
	const char *before = getenv("TZ");
	if (now != before && (!now || !before || strcmp(now, before)))
		tzset();
}

static void restore_arithmetic(void)
{
	fesetenv(FE_DFL_ENV);
	uselocale(LC_GLOBAL_LOCALE);
	const char *locale = setlocale(LC_ALL, NULL);
	if (locale && strcmp(locale, "C"))
		setlocale(LC_ALL, "C");
}

/* has_children() - those that have ended are forgotten. */
static bool has_children(void)
{
	pid_t pid;
	while ((pid = waitpid(-1, NULL, WNOHANG | __WALL)) > 0)
		continue;
	return pid == 0;
}

/* full() - descriptors are given from the lowest on. Those behind this one are for the calls to come, of
 * which a worker gives them some. */
static int full(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit))
		return -1;
	return (int)(limit.rlim_cur < (1u << 20) ? limit.rlim_cur : (1u << 20)) / 4 * 3;
}

static bool go_back(struct state *s)
{
	if (!s->moved && folder_is_current(&s->task))
		return true;
	s->moved = false;
	return chdir(s->task.path) == 0;
}

int state_init(struct state *s, const char *dir, const char **what)
{
	static const char *const names[] = {"task", "tmp", "checkpoint"};
	struct folder *folders[] = {&s->task, &s->tmp, &s->checkpoint};
	*s = (struct state){.mask = umask(077), .full = full()};
	umask(s->mask);
	signal(SIGPIPE, SIG_DFL); /* also if whoever started the worker ignores it */
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		int status = folder_init(folders[i], dir, names[i]);
		*what = names[i];
		if (status < 0)
			return status;
	}
	keep_environment(s);
	*what = "task";
	return chdir(s->task.path) ? -errno : 0;
}

void state_fini(struct state *s)
{
	folder_fini(&s->task);
	folder_fini(&s->tmp);
	folder_fini(&s->checkpoint);
	free(s->before);
	free(s->now);
	free(s->text);
	free(s->pristine);
	for (size_t i = 0; i < STATE_VARIABLES; i++)
		buf_fini(&s->own[i]);
	buf_fini(&s->beside);
}

int state_begin(struct state *s, const struct frame_call *call, const char *directory,
		const char *batch, const char **checkpoint)
{
	*checkpoint = s->checkpoint.path;
	if (directory) {
		const char *slash = strrchr(directory, '/');
		s->moved = true;
		if (chdir(directory))
			return -errno;
		buf_reset(&s->beside);
		buf_add(&s->beside, directory, slash ? (size_t)(slash - directory) : 0);
		buf_add_str(&s->beside, "/checkpoint");
		*checkpoint = buf_cstr(&s->beside);
	}
	give_environment(s, call, batch, *checkpoint);
	return 0;
}

static int restore_kernel_state(struct state *s, const char **what)
{
	umask(s->mask);
	stop_timers(); /* before their signals would end the process */
	restore_signals();
	if (has_children()) {
		*what = "processes that the function started are still there";
		return 1;
	}
	if (fcntl(s->full, F_GETFD) >= 0) {
		*what = "too many descriptors were left open";
		return 1;
	}
	int task = folder_empty(&s->task);
	if (task < 0 || folder_empty(&s->tmp) < 0 || folder_empty(&s->checkpoint) < 0) {
		*what = "a folder of the task cannot be emptied";
		return 1;
	}
	return 0;
}

int state_end(struct state *s, bool quiet, const char **what)
{
	restore_arithmetic();
	restore_environment(s);
	if (!quiet && restore_kernel_state(s, what))
		return 1;
	if ((!quiet || s->moved) && !go_back(s)) {
		*what = "the folder of the task cannot be entered";
		return 1;
	}
	return 0;
}

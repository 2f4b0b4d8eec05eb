/* exec.c - see exec.h. vfork() because fork() copies page tables, and because the child
 * can then tell the parent by plain memory why it failed. The child runs only on what was
 * prepared before: no allocation, no library call beyond system calls. */
#include "worker/spawner/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define CANDIDATES_MAX 256
#define STACK_SIZE 65536
#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

struct candidates {
	const char *paths[CANDIDATES_MAX];
	size_t count;
	char *storage;
};

static const char *path_of(char **envp)
{
	for (; *envp; envp++)
		if (strncmp(*envp, "PATH=", 5) == 0)
			return *envp + 5;
	return DEFAULT_PATH;
}

/* find_candidates() - as execvp() would try them; an empty entry is the working
 * directory. */
static int find_candidates(struct candidates *c, const char *program, char **envp)
{
	*c = (struct candidates){0};
	if (strchr(program, '/') || !*program) {
		c->paths[c->count++] = program;
		return 0;
	}
	const char *path = path_of(envp);
	size_t program_size = strlen(program) + 1, entries = 1;
	for (const char *at = path; *at; at++)
		entries += *at == ':';
	c->storage = malloc(strlen(path) + entries * (program_size + 2));
	if (!c->storage)
		return ENOMEM;
	char *to = c->storage;
	for (const char *at = path; c->count < CANDIDATES_MAX; at++) {
		size_t size = strcspn(at, ":");
		c->paths[c->count++] = to;
		memcpy(to, at, size);
		to += size;
		if (size)
			*to++ = '/';
		memcpy(to, program, program_size);
		to += program_size;
		at += size;
		if (!*at)
			break;
	}
	return 0;
}

/* try_all() - in the child. EACCES somewhere is told rather than ENOENT everywhere. */
static int try_all(const struct candidates *c, const struct exec_plan *plan)
{
	int error = ENOENT;
	for (size_t i = 0; i < c->count; i++) {
		execve(c->paths[i], plan->argv, plan->envp);
		switch (errno) {
		case EACCES:
			error = EACCES;
			break;
		case ENOENT:
		case ENOTDIR:
		case ENODEV:
		case ESTALE:
			break;
		default:
			return errno;
		}
	}
	return error;
}

/* What the child needs and what it says; it shares our memory until it is another program or has
 * given up, and we sleep meanwhile. */
struct child {
	const struct exec_plan *plan;
	const struct candidates *candidates;
	sigset_t no_signals;
	enum slot_step step;
	int error;
};

static int child_main(void *arg)
{
	struct child *c = arg;
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(c->plan->in, 0);
	dup2(c->plan->out, 1);
	dup2(c->plan->err, 2);
	if (c->plan->channel >= 0 && dup2(c->plan->channel, 3) == 3)
		fcntl(3, F_SETFD, 0); /* it may have been 3 before */
	if (chdir(c->plan->cwd) < 0) {
		c->error = errno;
		c->step = SLOT_STEP_CHDIR;
		_exit(127);
	}
	sigprocmask(SIG_SETMASK, &c->no_signals, NULL);
	c->error = try_all(c->candidates, c->plan);
	c->step = SLOT_STEP_EXEC;
	_exit(127);
}

/* The thread sanitizer takes every clone() for a fork(): it prepares its state in the child, and
 * then finds it prepared in the parent, whose memory that is. By this name it does not see it. */
#if defined(__SANITIZE_THREAD__)
#define UNSEEN_CLONE
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNSEEN_CLONE
#endif
#endif
#ifdef UNSEEN_CLONE
int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);
#define clone __clone
#endif

pid_t exec_start(const struct exec_plan *plan, enum slot_step *stepp, int *errorp)
{
	static char stack[STACK_SIZE] __attribute__((aligned(16)));
	struct candidates candidates;
	*errorp = find_candidates(&candidates, plan->argv[0], plan->envp);
	if (*errorp) {
		*stepp = SLOT_STEP_EXEC;
		return -1;
	}
	struct child c = {.plan = plan, .candidates = &candidates};
	sigemptyset(&c.no_signals);
	pid_t pid = clone(child_main, stack + sizeof stack,
			  CLONE_VM | CLONE_VFORK | SIGCHLD, &c);
	if (pid < 0) {
		c.step = SLOT_STEP_FORK;
		c.error = errno;
	}
	free(candidates.storage);
	*stepp = c.step;
	*errorp = c.error;
	return c.step ? -1 : pid;
}

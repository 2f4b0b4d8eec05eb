/* exec.c - see exec.h. vfork() because fork() copies page tables, and because the child
 * can then tell the parent by plain memory why it failed. The child runs only on what was
 * prepared before: no allocation, no library call beyond system calls. */
#include "worker/spawner/exec.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define CANDIDATES_MAX 256
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

/* Written by the child, which shares our memory until it is another program or gives up.
 */
static volatile struct {
	enum slot_step step;
	int error;
} failure;

static void __attribute__((noreturn))
child(const struct exec_plan *plan, const struct candidates *c, const sigset_t *none)
{
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(plan->in, 0);
	dup2(plan->out, 1);
	dup2(plan->err, 2);
	if (chdir(plan->cwd) < 0) {
		failure.step = SLOT_STEP_CHDIR;
		failure.error = errno;
		_exit(127);
	}
	sigprocmask(SIG_SETMASK, none, NULL);
	failure.error = try_all(c, plan);
	failure.step = SLOT_STEP_EXEC;
	_exit(127);
}

pid_t exec_start(const struct exec_plan *plan, enum slot_step *stepp, int *errorp)
{
	struct candidates c;
	*errorp = find_candidates(&c, plan->argv[0], plan->envp);
	if (*errorp) {
		*stepp = SLOT_STEP_EXEC;
		return -1;
	}
	sigset_t none;
	sigemptyset(&none);
	failure.step = SLOT_STEP_NONE;
	failure.error = 0;
	pid_t pid = vfork();
	if (pid == 0)
		child(plan, &c, &none);
	if (pid < 0) {
		failure.step = SLOT_STEP_FORK;
		failure.error = errno;
	}
	free(c.storage);
	*stepp = failure.step;
	*errorp = failure.error;
	return *stepp ? -1 : pid;
}

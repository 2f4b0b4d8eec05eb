/* process.c - see process.h. */
#include "client/describe/process.h"

#include "common/clock.h"
#include "common/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define IDLE_MS 200
#define REAP_MS 10 /* where the kernel has no pidfd */
#define PIECE (64u << 10)

extern char **environ;

struct child {
	pid_t pid;
	int pidfd;
	int in, out, err;	  /* ours: -1, or the ends that we read */
	int child_out, child_err; /* theirs */
	bool ended;
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void child_fini(struct child *c)
{
	close_fd(&c->in);
	close_fd(&c->out);
	close_fd(&c->err);
	close_fd(&c->child_out);
	close_fd(&c->child_err);
	close_fd(&c->pidfd);
}

void process_end_fini(struct process_end *end)
{
	buf_fini(&end->output);
	buf_fini(&end->said);
}

/* ---- starting */

/* above() - the host may have started without 0 to 2, which are the child's to be. */
static int above(int fd)
{
	if (fd < 0 || fd > 2)
		return fd;
	int high = fcntl(fd, F_DUPFD_CLOEXEC, 3), error = errno;
	close(fd);
	errno = error;
	return high;
}

static int open_pipe(int *ours, int *theirs)
{
	int fds[2];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	*ours = above(fds[0]);
	*theirs = above(fds[1]);
	if (*ours < 0 || *theirs < 0 || fcntl(*ours, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

static int open_input(struct child *c, const void *data, size_t size)
{
	c->in = above(memfd_create("cashet-input", MFD_CLOEXEC));
	if (c->in < 0)
		return -errno;
	int r = fs_write_all(c->in, data, size);
	return r ? r : lseek(c->in, 0, SEEK_SET) < 0 ? -errno : 0;
}

static int set_actions(posix_spawn_file_actions_t *a, const struct child *c,
		       const char *folder)
{
	int r = posix_spawn_file_actions_adddup2(a, c->in, 0);
	if (!r)
		r = posix_spawn_file_actions_adddup2(a, c->child_out, 1);
	if (!r)
		r = posix_spawn_file_actions_adddup2(a, c->child_err, 2);
#if __GLIBC_PREREQ(                                                                      \
	2, 34) /* before: what the host did not mark close-on-exec is inherited */
	if (!r)
		r = posix_spawn_file_actions_addclosefrom_np(a, 3);
#endif
	return r ? r : posix_spawn_file_actions_addchdir_np(a, folder);
}

static int set_attributes(posix_spawnattr_t *attributes)
{
	sigset_t all, none;
	sigfillset(&all);
	sigemptyset(&none);
	int r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP |
							     POSIX_SPAWN_SETSIGDEF |
							     POSIX_SPAWN_SETSIGMASK);
	if (!r)
		r = posix_spawnattr_setsigdefault(attributes, &all);
	return r ? r : posix_spawnattr_setsigmask(attributes, &none);
}

/* Return: 0 or an errno. */
static int spawn(const struct process_call *call, struct child *c)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int r = posix_spawn_file_actions_init(&actions);
	if (r)
		return r;
	r = posix_spawnattr_init(&attributes);
	if (!r) {
		r = set_actions(&actions, c, call->folder);
		if (!r)
			r = set_attributes(&attributes);
		if (!r)
			r = posix_spawn(&c->pid, call->argv[0], &actions, &attributes,
					(char *const *)call->argv, environ);
		posix_spawnattr_destroy(&attributes);
	}
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

static int start(const struct process_call *call, struct child *c)
{
	int r = open_input(c, call->input, call->input_size);
	if (!r)
		r = open_pipe(&c->out, &c->child_out);
	if (!r)
		r = open_pipe(&c->err, &c->child_err);
	if (r)
		return -r;
	r = spawn(call, c);
	close_fd(&c->in);
	close_fd(&c->child_out);
	close_fd(&c->child_err);
	if (!r)
		c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0u);
	return r;
}

/* ---- listening, until it has ended */

/* take() - all that is there now. @max: beyond, bytes are read and forgotten.
 * Return: 0; -EFBIG if some were; -ENOMEM. */
static int take(int *fd, struct buf *to, size_t max)
{
	int r = 0;
	while (*fd >= 0) {
		uint8_t *at = buf_reserve(to, PIECE);
		if (!at)
			return -ENOMEM;
		ssize_t n = read(*fd, at, PIECE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			close_fd(fd);
			break;
		}
		if ((size_t)n > max - to->size) {
			r = -EFBIG;
			n = (ssize_t)(max - to->size);
		}
		to->size += (size_t)n;
		if (r)
			break;
	}
	return r;
}

/* take_status() - Return: true if it has ended. */
static bool take_status(struct child *c, struct process_end *end, int flags)
{
	pid_t pid;
	do
		pid = waitpid(c->pid, &end->status, flags);
	while (pid < 0 && errno == EINTR);
	end->has_status = pid == c->pid;
	c->ended = pid != 0; /* also if the host was quicker: ECHILD */
	return c->ended;
}

static bool has_ended(struct child *c, struct process_end *end, const struct pollfd *p)
{
	return p->fd >= 0 ? p->revents != 0 : take_status(c, end, WNOHANG);
}

static int listen_to(struct child *c, const struct process_call *call,
		     struct process_end *end, struct err *e)
{
	uint64_t until = clock_mono_ns() + call->time_ns, idle_at = clock_mono_ns();
	bool over = false;
	while (!over) {
		uint64_t now = clock_mono_ns();
		if (now >= until) {
			end->timed_out = true;
			return 0;
		}
		if (call->idle && now >= idle_at) {
			int r = call->idle(call->idle_arg, e);
			if (r)
				return r;
			idle_at = now + IDLE_MS * NS_PER_MS;
		}
		struct pollfd items[] = {{.fd = c->out, .events = POLLIN},
					 {.fd = c->err, .events = POLLIN},
					 {.fd = c->pidfd, .events = POLLIN}};
		if (poll(items, 3, c->pidfd >= 0 ? IDLE_MS : REAP_MS) < 0)
			items[2].revents = 0;
		over = has_ended(c, end, &items[2]);
		int out = take(&c->out, &end->output, call->output_max);
		int err = take(&c->err, &end->said, PROCESS_SAID_MAX);
		if (out == -ENOMEM || err == -ENOMEM)
			return err_set(e, ERR_FAILED, "out of memory");
		end->too_large = out == -EFBIG;
		over = over || end->too_large;
	}
	return 0;
}

/* finish() - nothing of it is left. As long as it is not reaped its number is nobody else's. */
static void finish(struct child *c, struct process_end *end)
{
	if (c->ended)
		return;
	kill(-c->pid, SIGKILL);
	take_status(c, end, 0);
}

int process_run(const struct process_call *call, struct process_end *end, struct err *e)
{
	struct child c = {.pidfd = -1,
			  .in = -1,
			  .out = -1,
			  .err = -1,
			  .child_out = -1,
			  .child_err = -1};
	int r = 0;
	end->error = start(call, &c);
	if (!end->error) {
		r = listen_to(&c, call, end, e);
		finish(&c, end);
	}
	child_fini(&c);
	return r;
}

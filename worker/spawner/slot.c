/* slot.c - see slot.h. A slot is a child subreaper: when the program has exited, whatever
 * it left behind is a child of the slot, so "wait4() knows no child" proves that the tree
 * is dead, with one system call and no scan. Only if something is left, it is frozen,
 * killed and reaped until then.
 *
 * Signals SIGCHLD (a process ended) and SIGUSR2 (the spawner died) are blocked but in
 * ppoll(). */
#include "worker/spawner/slot.h"

#include "common/clock.h"
#include "worker/spawner/exec.h"
#include "worker/spawner/memory.h"
#include "worker/spawner/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct slot {
	int sock, null;
	sigset_t in_poll; /* what is blocked inside ppoll() */
	char *record;	  /* of the request, strings included */
	char *strings;	  /* in record, or mapped */
	size_t mapped;
	int channel; /* that came with the request, or -1 */
	char **pointers;
	size_t pointer_capacity;
};

struct run {
	pid_t pid; /* -1: it did not start, or was waited for */
	bool ended, no_children;
	uint64_t memory_max; /* 0: no limit, or it was killed for it */
	uint64_t look_ns;    /* when to measure next */
	struct slot_report report;
};

static volatile sig_atomic_t orphaned;

static void on_signal(int signal)
{
	if (signal == SIGUSR2)
		orphaned = 1;
}

static uint64_t timeval_ns(struct timeval t)
{
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_usec * 1000;
}

/* reap() - wait for all that ended, without blocking. */
static void reap(struct run *run)
{
	for (;;) {
		struct rusage usage;
		int status;
		pid_t pid = wait4(-1, &status, WNOHANG, &usage);
		if (pid < 0 && errno == EINTR)
			continue;
		run->no_children = pid < 0;
		if (pid <= 0)
			return;
		struct slot_report *r = &run->report;
		r->cpu_user_ns += timeval_ns(usage.ru_utime);
		r->cpu_system_ns += timeval_ns(usage.ru_stime);
		uint64_t rss = (uint64_t)usage.ru_maxrss * 1024;
		if (rss > r->max_rss_bytes)
			r->max_rss_bytes = rss;
		if (pid == run->pid) {
			run->ended = true;
			r->status = status;
		}
	}
}

/* sweep() - until no descendant is left. */
static void sweep(struct run *run)
{
	sigset_t child;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	reap(run);
	while (!run->no_children) {
		run->report.leftovers += tree_freeze_and_kill();
		sigtimedwait(&child, NULL, &(struct timespec){.tv_nsec = 10000000});
		reap(run);
	}
}

static void __attribute__((noreturn)) give_up(struct run *run)
{
	sweep(run);
	_exit(0);
}

/* ---- requests */

static void drop_strings(struct slot *s)
{
	if (s->mapped)
		munmap(s->strings, s->mapped);
	s->mapped = 0;
}

static int map_strings(struct slot *s, int fd, size_t size)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return errno;
	if ((size_t)st.st_size < size || size == 0)
		return EINVAL;
	s->strings = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (s->strings == MAP_FAILED)
		return errno;
	s->mapped = size;
	return 0;
}

static void drop_channel(struct slot *s)
{
	if (s->channel >= 0)
		close(s->channel);
	s->channel = -1;
}

/* take_descriptors() - strings that are too long for the record, and the channel. */
static void take_descriptors(struct slot *s, struct msghdr *msg,
			     const struct slot_request *request, size_t *sizep)
{
	int fds[2] = {-1, -1};
	struct cmsghdr *head = CMSG_FIRSTHDR(msg);
	if (head && head->cmsg_type == SCM_RIGHTS) {
		size_t size = head->cmsg_len - CMSG_LEN(0);
		memcpy(fds, CMSG_DATA(head), size < sizeof fds ? size : sizeof fds);
	}
	int strings = request->size > SLOT_INLINE_MAX ? 0 : -1;
	int channel = request->has_channel ? strings + 1 : -1;
	if (strings == 0 && fds[0] >= 0) {
		*sizep = map_strings(s, fds[0], request->size) ? 0 : request->size;
		close(fds[0]);
	}
	if (channel >= 0)
		s->channel = fds[channel];
}

/* receive() - Return: 0 and a request; 1 nothing there; -1 the worker is gone. A request
 * whose strings or channel are unusable has argc 0. */
static int receive(struct slot *s, struct slot_request *request)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(2 * sizeof(int))];
	} control;
	struct iovec iov = {s->record, sizeof *request + SLOT_INLINE_MAX};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof control};
	ssize_t n = recvmsg(s->sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 1 : -1;
	if (n < (ssize_t)sizeof *request)
		return -1;
	memcpy(request, s->record, sizeof *request);
	if (request->type != SLOT_RUN)
		return 0;
	drop_strings(s);
	s->strings = s->record + sizeof *request;
	size_t size = (size_t)n - sizeof *request;
	drop_channel(s);
	take_descriptors(s, &msg, request, &size);
	if (size != request->size || size == 0 || s->strings[size - 1] ||
	    (request->has_channel && s->channel < 0))
		request->argc = 0;
	return 0;
}

/* forget_strings() - the program has them, or never will; values of secrets are among them. */
static void forget_strings(struct slot *s, const struct slot_request *request)
{
	if (s->mapped)
		drop_strings(s);
	else if (request->size <= SLOT_INLINE_MAX)
		explicit_bzero(s->record + sizeof *request, request->size);
}

/* take_strings() - pointers to @count strings, NULL behind them. Return: false if there
 * are fewer. */
static bool take_strings(char **atp, const char *end, char **out, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (*atp >= end)
			return false;
		out[i] = *atp;
		*atp += strlen(*atp) + 1;
	}
	out[count] = NULL;
	return true;
}

struct command {
	char *places[4]; /* working directory, standard output, standard error, NULL */
	char **argv, **envp;
};

static int parse(struct slot *s, const struct slot_request *request, struct command *c)
{
	size_t need = (size_t)request->argc + request->envc + 2;
	if (request->argc == 0)
		return EINVAL;
	if (need > s->pointer_capacity) {
		char **larger = realloc(s->pointers, need * sizeof *larger);
		if (!larger)
			return ENOMEM;
		s->pointers = larger;
		s->pointer_capacity = need;
	}
	c->argv = s->pointers;
	c->envp = s->pointers + request->argc + 1;
	char *at = s->strings;
	const char *end = at + request->size;
	bool ok = take_strings(&at, end, c->places, 3) &&
		  take_strings(&at, end, c->argv, request->argc) &&
		  take_strings(&at, end, c->envp, request->envc);
	return ok ? 0 : EINVAL;
}

/* ---- running */

static void start(struct slot *s, const struct slot_request *request, struct run *run)
{
	struct command c;
	enum slot_step step = SLOT_STEP_REQUEST;
	int out = -1, err = -1, error = parse(s, request, &c);
	const int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW;
	if (!error) {
		step = SLOT_STEP_STDOUT;
		out = open(c.places[1], flags);
		error = out < 0 ? errno : 0;
	}
	if (!error) {
		step = SLOT_STEP_STDERR;
		err = open(c.places[2], flags);
		error = err < 0 ? errno : 0;
	}
	if (!error) {
		struct exec_plan plan = {.argv = c.argv,
					 .envp = c.envp,
					 .cwd = c.places[0],
					 .in = s->null,
					 .out = out,
					 .err = err,
					 .channel = s->channel};
		run->pid = exec_start(&plan, &step, &error);
	}
	if (out >= 0)
		close(out);
	if (err >= 0)
		close(err);
	drop_channel(s); /* its end is to be seen when the program ends */
	if (run->pid < 0) {
		run->report.step = step;
		run->report.error = error;
		run->ended = true;
	}
}

/* Signals for this run; anything else while it runs is a bug of the worker's. */
static void serve(struct slot *s, struct run *run)
{
	struct slot_request request;
	int rc = receive(s, &request);
	if (rc < 0)
		give_up(run);
	if (rc == 0 && request.type == SLOT_SIGNAL && request.run == run->report.run) {
		if (request.signal == SIGKILL)
			run->report.leftovers += tree_freeze_and_kill();
		else
			tree_signal((int)request.signal);
	}
}

/* What the tree uses, now and then. One that is over gets no grace: its neighbours need none of
 * what it would do with it. Return: how long to sleep, or NULL for as long as nothing happens. */
static const struct timespec *check_memory(struct run *run, struct timespec *wait)
{
	if (!run->memory_max)
		return NULL;
	uint64_t now_ns = clock_mono_ns();
	if (now_ns >= run->look_ns) {
		uint64_t used = memory_of_tree(run->memory_max);
		if (used > run->memory_max) {
			run->report.over_bytes = used;
			run->memory_max = 0;
			tree_freeze_and_kill();
			return NULL;
		}
		run->look_ns = now_ns + memory_pause_ns(used, run->memory_max);
	}
	uint64_t ns = run->look_ns - now_ns;
	*wait = (struct timespec){(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)};
	return wait;
}

static void supervise(struct slot *s, struct run *run)
{
	struct pollfd pfd = {.fd = s->sock, .events = POLLIN};
	struct timespec wait;
	reap(run);
	while (!run->ended) {
		int n = ppoll(&pfd, 1, check_memory(run, &wait), &s->in_poll);
		if (orphaned)
			give_up(run);
		if (n > 0)
			serve(s, run);
		else
			reap(run);
	}
}

static void execute(struct slot *s, const struct slot_request *request)
{
	struct run run = {.pid = -1,
			  .memory_max = request->memory_max,
			  .report = {.type = SLOT_ENDED, .run = request->run}};
	uint64_t begin_ns = clock_mono_ns();
	start(s, request, &run);
	forget_strings(s, request);
	supervise(s, &run);
	run.report.duration_ns = clock_mono_ns() - begin_ns;
	if (!run.no_children)
		sweep(&run);
	ssize_t n;
	do
		n = send(s->sock, &run.report, sizeof run.report, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		_exit(0);
}

static void set_up_signals(struct slot *s)
{
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigdelset(&all, SIGCHLD);
	sigdelset(&all, SIGUSR2);
	s->in_poll = all;
	struct sigaction action = {.sa_handler = on_signal};
	sigaction(SIGCHLD, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
}

/* Out of memory, the kernel should take a task before it takes a broker or a worker. Its file is ours
 * to write only while we can be dumped. */
static void prefer_as_victim(void)
{
	prctl(PR_SET_DUMPABLE, 1);
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	ssize_t n = write(fd, "500", 3);
	(void)n;
	close(fd);
}

void slot_main(int sock)
{
	struct slot s = {.sock = sock, .channel = -1};
	pid_t parent = getppid();
	set_up_signals(&s);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_PDEATHSIG, SIGUSR2);
	prctl(PR_SET_NAME, "cashet-slot");
	prefer_as_victim();
	prctl(PR_SET_DUMPABLE, 0); /* see worker/main.c; programs that we start can be */
	s.null = open("/dev/null", O_RDWR | O_CLOEXEC);
	s.record = malloc(sizeof(struct slot_request) + SLOT_INLINE_MAX);
	if (s.null < 0 || !s.record || getppid() != parent)
		_exit(1);
	struct pollfd pfd = {.fd = sock, .events = POLLIN};
	while (!orphaned) {
		if (ppoll(&pfd, 1, NULL, &s.in_poll) <= 0)
			continue;
		struct slot_request request;
		int rc = receive(&s, &request);
		if (rc < 0)
			break;
		if (rc == 0 && request.type == SLOT_RUN)
			execute(&s, &request);
	}
	_exit(0);
}

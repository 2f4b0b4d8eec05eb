/* spawner.c - the spawner process; see spawner.h. It is a child subreaper as well: when a
 * slot process dies (the kernel killed it, say), what ran below it comes here and is
 * killed before the worker hears of it. Every child of the spawner that is not a slot is
 * such an orphan. */
#include "worker/spawner/spawner.h"

#include "common/clock.h"
#include "worker/spawner/slot.h"
#include "worker/spawner/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SPAWNER_FD 3
#define CHILDREN_MAX 4096
#define FAREWELL_NS                                                                      \
	(4 * NS_PER_S) /* that slots get to kill their trees when the worker died */

struct slot_process {
	pid_t pid;
	uint32_t slot;
};

struct spawner {
	struct slot_process *slots;
	size_t count, capacity;
	sigset_t in_poll;
};

static void on_child(int signal)
{
	(void)signal; /* ppoll() returns */
}

static struct slot_process *find_slot(struct spawner *s, pid_t pid)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->slots[i].pid == pid)
			return &s->slots[i];
	return NULL;
}

/* ---- orphans */

/* Kill what came to us from a dead slot: children that are not slots, and whom they
 * leave. */
static void kill_orphans(struct spawner *s)
{
	static int children[CHILDREN_MAX];
	for (;;) {
		size_t n = tree_children(getpid(), children, CHILDREN_MAX);
		bool found = false;
		for (size_t i = 0; i < n; i++) {
			if (find_slot(s, children[i]))
				continue;
			found = true;
			kill(children[i], SIGKILL);
		}
		if (!found)
			return;
		for (size_t i = 0; i < n; i++)
			if (!find_slot(s, children[i]))
				waitpid(children[i], NULL, 0);
	}
}

static void send_message(const struct spawner_message *message, int fd)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)message, sizeof *message};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof control;
		struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
		*head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd),
					 .cmsg_level = SOL_SOCKET,
					 .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(head), &fd, sizeof fd);
	}
	while (sendmsg(SPAWNER_FD, &msg, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

static void reap_slots(struct spawner *s, bool tell)
{
	for (;;) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);
		if (pid <= 0)
			return;
		struct slot_process *slot = find_slot(s, pid);
		if (!slot)
			continue;
		uint32_t number = slot->slot;
		*slot = s->slots[--s->count];
		kill_orphans(s);
		struct spawner_message gone = {SPAWNER_SLOT_GONE, number, pid, 0};
		if (tell)
			send_message(&gone, -1);
	}
}

/* ---- slots */

static int add_slot(struct spawner *s, uint32_t number, int ends[2])
{
	if (s->count == s->capacity) {
		size_t capacity = s->capacity ? 2 * s->capacity : 16;
		void *larger = realloc(s->slots, capacity * sizeof *s->slots);
		if (!larger)
			return -ENOMEM;
		s->slots = larger;
		s->capacity = capacity;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0) {
		close(SPAWNER_FD);
		close(ends[0]);
		slot_main(ends[1]);
	}
	int error = errno;
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return -error;
	}
	s->slots[s->count++] = (struct slot_process){pid, number};
	return pid;
}

static void make_slot(struct spawner *s, uint32_t number)
{
	int ends[2] = {-1, -1};
	int pid = add_slot(s, number, ends);
	struct spawner_message reply = {SPAWNER_SLOT, number, pid, 0};
	if (pid < 0) {
		reply.pid = 0;
		reply.error = -pid;
		ends[0] = -1;
	}
	send_message(&reply, ends[0]);
	if (ends[0] >= 0)
		close(ends[0]);
}

/* The worker is gone, and with it its ends of the slots' sockets: they end by themselves.
 */
static void __attribute__((noreturn)) farewell(struct spawner *s)
{
	uint64_t until_ns = clock_mono_ns() + FAREWELL_NS;
	while (s->count && clock_mono_ns() < until_ns) {
		struct timespec tick = {.tv_nsec = 20000000};
		ppoll(NULL, 0, &tick, &s->in_poll);
		reap_slots(s, false);
	}
	s->count = 0; /* whoever is left is not spared */
	tree_freeze_and_kill();
	kill_orphans(s);
	_exit(0);
}

static void __attribute__((noreturn)) spawner_main(void)
{
	struct spawner s = {0};
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	s.in_poll = all;
	sigdelset(&s.in_poll, SIGCHLD);
	struct sigaction action = {.sa_handler = on_child};
	sigaction(SIGCHLD, &action, NULL);
	struct pollfd pfd = {.fd = SPAWNER_FD, .events = POLLIN};
	for (;;) {
		if (ppoll(&pfd, 1, NULL, &s.in_poll) > 0) {
			struct spawner_message message;
			ssize_t n =
				recv(SPAWNER_FD, &message, sizeof message, MSG_DONTWAIT);
			if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
				farewell(&s);
			if (n == sizeof message && message.type == SPAWNER_NEW_SLOT)
				make_slot(&s, message.slot);
		}
		reap_slots(&s, true);
	}
}

/* What tasks inherit: nothing open but /dev/null, no ignored signal, no way to more
 * privileges. */
static void become_spawner(int sock)
{
	setsid();
	for (int signal = 1; signal < NSIG; signal++)
		if (signal != SIGKILL && signal != SIGSTOP)
			sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL},
				  NULL);
	if (sock != SPAWNER_FD)
		dup2(sock, SPAWNER_FD);
	fcntl(SPAWNER_FD, F_SETFD, FD_CLOEXEC);
	close_range(SPAWNER_FD + 1, ~0u, 0);
	int null = open("/dev/null", O_RDWR);
	for (int fd = 0; null >= 0 && fd < 3; fd++)
		dup2(null, fd);
	if (null > 3)
		close(null);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_NAME, "cashet-spawner");
}

int spawner_start(pid_t *pidp)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid < 0) {
		int error = errno;
		close(ends[0]);
		close(ends[1]);
		return -error;
	}
	if (pid == 0) {
		close(ends[0]);
		become_spawner(ends[1]);
		spawner_main();
	}
	close(ends[1]);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	*pidp = pid;
	return ends[0];
}

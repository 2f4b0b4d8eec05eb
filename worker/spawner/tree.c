/* tree.c - see tree.h. Children are read from /proc/PID/task/TID/children; a kernel
 * without that file (CONFIG_PROC_CHILDREN) gets a scan of /proc. This is the slow path: a
 * task that leaves nothing behind never comes here. */
#include "worker/spawner/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TREE_MAX 65536 /* processes in one sweep; the rest is met by the next one */
#define FREEZE_ROUNDS 64

struct member {
	int pid, parent;
};

struct members {
	struct member *items;
	size_t count;
};

static ssize_t read_text(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	size_t used = 0;
	while (used < size - 1) {
		ssize_t n = read(fd, out + used, size - 1 - used);
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	close(fd);
	out[used] = '\0';
	return (ssize_t)used;
}

/* parent_of() - field 4 of /proc/PID/stat; the name before it may hold anything, ')'
 * included. */
static int parent_of(int pid)
{
	char path[64], text[512];
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	if (read_text(path, text, sizeof text) <= 0)
		return -1;
	const char *at = strrchr(text, ')');
	int parent = -1;
	char state;
	if (!at || sscanf(at + 1, " %c %d", &state, &parent) != 2)
		return -1;
	return parent;
}

/* Return: false if this kernel has no such file. */
static bool children_of_threads(int pid, int *pids, size_t max, size_t *countp)
{
	static char text[1 << 16];
	char path[96];
	snprintf(path, sizeof path, "/proc/%d/task", pid);
	DIR *dir = opendir(path);
	if (!dir)
		return true; /* it is gone, and so has no children */
	bool known = true;
	for (struct dirent *e; known && (e = readdir(dir));) {
		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		snprintf(path, sizeof path, "/proc/%d/task/%.20s/children", pid,
			 e->d_name);
		if (read_text(path, text, sizeof text) < 0) {
			known = errno != ENOENT || parent_of(pid) < 0 ||
				access("/proc/self/task", F_OK) < 0;
			continue;
		}
		char *at = text;
		while (*countp < max) {
			char *end;
			long child = strtol(at, &end, 10);
			if (end == at)
				break;
			pids[(*countp)++] = (int)child;
			at = end;
		}
	}
	closedir(dir);
	return known;
}

static void children_by_scan(int pid, int *pids, size_t max, size_t *countp)
{
	DIR *dir = opendir("/proc");
	if (!dir)
		return;
	for (struct dirent *e; *countp < max && (e = readdir(dir));) {
		int child = atoi(e->d_name);
		if (child > 0 && parent_of(child) == pid)
			pids[(*countp)++] = child;
	}
	closedir(dir);
}

static bool kernel_lists_children(void)
{
	static int known = -1;
	if (known < 0) {
		char path[96];
		snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
		known = access(path, R_OK) == 0;
	}
	return known;
}

size_t tree_children(int pid, int *pids, size_t max)
{
	size_t count = 0;
	if (!kernel_lists_children() || !children_of_threads(pid, pids, max, &count)) {
		count = 0;
		children_by_scan(pid, pids, max, &count);
	}
	return count;
}

/* All descendants, parents before children. */
static void collect(struct members *m)
{
	static int children[TREE_MAX];
	m->count = 0;
	size_t done = 0;
	int parent = getpid();
	for (;;) {
		size_t n = tree_children(parent, children, TREE_MAX - m->count);
		for (size_t i = 0; i < n; i++)
			m->items[m->count++] = (struct member){children[i], parent};
		if (done == m->count)
			return;
		parent = m->items[done++].pid;
	}
}

/* signal_member() - through a pidfd that is opened first and checked afterwards: if the
 * pid still has that parent then, the descriptor is of the process that was found.
 * (Children that were orphaned meanwhile belong to us and are found by the next sweep.)
 */
static bool signal_member(const struct member *m, int signal)
{
	int fd = (int)syscall(SYS_pidfd_open, m->pid, 0);
	if (fd < 0) {
		if (errno != ENOSYS && errno != EPERM)
			return false;
		return parent_of(m->pid) == m->parent && kill(m->pid, signal) == 0;
	}
	int parent = parent_of(m->pid);
	bool ok = (parent == m->parent || parent == getpid()) &&
		  syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) == 0;
	close(fd);
	return ok;
}

static struct member *member_storage(void)
{
	static struct member items[TREE_MAX];
	return items;
}

unsigned tree_signal(int signal)
{
	struct members m = {.items = member_storage()};
	unsigned sent = 0;
	collect(&m);
	for (size_t i = 0; i < m.count; i++)
		sent += signal_member(&m.items[i], signal);
	return sent;
}

void tree_each(void (*fn)(void *arg, int pid), void *arg)
{
	struct members m = {.items = member_storage()};
	collect(&m);
	for (size_t i = 0; i < m.count; i++)
		fn(arg, m.items[i].pid);
}

static bool is_stopped_or_dead(int pid)
{
	char path[64], text[512];
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	if (read_text(path, text, sizeof text) <= 0)
		return true;
	const char *at = strrchr(text, ')');
	return !at || at[1] != ' ' || strchr("TtZX", at[2]);
}

unsigned tree_freeze_and_kill(void)
{
	struct members m = {.items = member_storage()};
	for (int round = 0; round < FREEZE_ROUNDS; round++) {
		unsigned moving = 0;
		collect(&m);
		for (size_t i = 0; i < m.count; i++)
			if (!is_stopped_or_dead(m.items[i].pid))
				moving += signal_member(&m.items[i], SIGSTOP);
		if (moving == 0)
			break;
	}
	unsigned sent = 0;
	for (size_t i = 0; i < m.count; i++)
		sent += signal_member(&m.items[i], SIGKILL);
	return sent;
}

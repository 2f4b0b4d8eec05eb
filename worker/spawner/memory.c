/* memory.c - see memory.h. The first look is at /proc/PID/status, where every process counts all
 * that it shares: too much, but cheap, as the kernel keeps these sums. Only if that is over the
 * limit, /proc/PID/smaps_rollup is read, for which the kernel walks the page tables. */
#include "worker/spawner/memory.h"

#include "worker/spawner/tree.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAUSE_NS (100 * NS_PER_MS)
#define PAUSE_CLOSE_NS (20 * NS_PER_MS)
#define PROC_TEXT_MAX 16384

struct measure {
	bool exactly;
	uint64_t bytes;
};

static bool read_proc(int pid, const char *name, char text[PROC_TEXT_MAX])
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, text, PROC_TEXT_MAX - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* "\nNAME:   123 kB" - Return: bytes, 0 if there is no such line. */
static uint64_t field(const char *text, const char *name)
{
	const char *at = strstr(text, name);
	return at ? strtoull(at + strlen(name), NULL, 10) * 1024 : 0;
}

static uint64_t sum_of_status(int pid)
{
	char text[PROC_TEXT_MAX];
	if (!read_proc(pid, "status", text))
		return 0; /* it is gone */
	return field(text, "\nRssAnon:") + field(text, "\nRssShmem:") +
	       field(text, "\nVmSwap:");
}

static void add(void *arg, int pid)
{
	struct measure *m = arg;
	char text[PROC_TEXT_MAX];
	/* Kernels before 5.9 have no Pss_Anon, and some processes may not be looked into. */
	if (m->exactly && read_proc(pid, "smaps_rollup", text) &&
	    strstr(text, "\nPss_Anon:"))
		m->bytes += field(text, "\nPss_Anon:") + field(text, "\nPss_Shmem:") +
			    field(text, "\nSwapPss:");
	else
		m->bytes += sum_of_status(pid);
}

uint64_t memory_of_tree(uint64_t max)
{
	struct measure m = {0};
	tree_each(add, &m);
	if (m.bytes > max) {
		m = (struct measure){.exactly = true};
		tree_each(add, &m);
	}
	return m.bytes;
}

uint64_t memory_pause_ns(uint64_t used, uint64_t max)
{
	return used > max / 2 ? PAUSE_CLOSE_NS : PAUSE_NS;
}

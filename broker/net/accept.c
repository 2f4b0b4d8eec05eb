/* accept.c - see accept.h.
 *
 * libzmq calls accept4() on its own threads; when descriptors have run out its ipc listener ends
 * the process and its TCP listener spins. The symbol of a program goes before that of libc, so
 * this one is called instead. A connection too many is taken and closed at once, which frees its
 * place in the backlog, and ECONNABORTED says that there is nothing to see: libzmq goes on, and
 * the peer tries again later. Descriptors are given out lowest first, so the number of a new one
 * says how many are in use.
 *
 * The last quarter is for blob sockets: were it full of clients that wait, the workers could not
 * fetch what those clients wait for. */
#include "broker/net/accept.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define PREFERRED_MAX 16

/* Descriptors that are still given to connections, and to those of blob sockets; atomic. */
static int highest = 1 << 30, highest_preferred = 1 << 30;
static uint64_t refused; /* atomic */
static char preferred[PREFERRED_MAX]
		     [256];	 /* paths and ports; written before they listen long */
static unsigned preferred_count; /* atomic */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int spare = -1; /* under the lock: given up to take a connection that is closed */

uint64_t accept_limit(uint64_t descriptors, uint64_t used)
{
	pthread_mutex_lock(&lock);
	if (spare < 0)
		spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pthread_mutex_unlock(&lock);
	uint64_t most = descriptors < 1u << 30 ? descriptors : 1u << 30;
	uint64_t last = most - (most / 4 < ACCEPT_KEPT ? most / 4 : ACCEPT_KEPT);
	uint64_t connections = last > used ? last - used : 1;
	uint64_t others = connections - connections / 4;
	__atomic_store_n(&highest_preferred, (int)(used + connections), __ATOMIC_RELAXED);
	__atomic_store_n(&highest, (int)(used + others), __ATOMIC_RELAXED);
	return others;
}

void accept_prefer(const char *url)
{
	const char *name = strncmp(url, "ipc://", 6) == 0 ? url + 6 : strrchr(url, ':');
	unsigned n = __atomic_load_n(&preferred_count, __ATOMIC_ACQUIRE);
	if (!name || n == PREFERRED_MAX)
		return;
	snprintf(preferred[n], sizeof preferred[n], "%s", name);
	__atomic_store_n(&preferred_count, n + 1, __ATOMIC_RELEASE);
}

static bool is_preferred(int listener)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un path;
	} a = {0};
	socklen_t size = sizeof a;
	char name[256] = "";
	if (getsockname(listener, &a.any, &size))
		return false;
	if (a.any.sa_family == AF_UNIX)
		snprintf(name, sizeof name, "%.107s", a.path.sun_path);
	else if (a.any.sa_family == AF_INET)
		snprintf(name, sizeof name, ":%u", ntohs(a.v4.sin_port));
	else if (a.any.sa_family == AF_INET6)
		snprintf(name, sizeof name, ":%u", ntohs(a.v6.sin6_port));
	unsigned n = __atomic_load_n(&preferred_count, __ATOMIC_ACQUIRE);
	for (unsigned i = 0; i < n; i++)
		if (strcmp(preferred[i], name) == 0)
			return true;
	return false;
}

static bool has_room(int listener, int fd)
{
	return fd <= __atomic_load_n(&highest, __ATOMIC_RELAXED) ||
	       (fd <= __atomic_load_n(&highest_preferred, __ATOMIC_RELAXED) &&
		is_preferred(listener));
}

uint64_t accept_refused(void)
{
	return __atomic_load_n(&refused, __ATOMIC_RELAXED);
}

static int take(int listener, struct sockaddr *address, socklen_t *size, int flags)
{
	return (int)syscall(SYS_accept4, listener, address, size, flags);
}

/* There is no descriptor at all: lend the spare one. */
static void turn_away(int listener)
{
	pthread_mutex_lock(&lock);
	if (spare >= 0)
		close(spare);
	int fd = take(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pthread_mutex_unlock(&lock);
}

__attribute__((visibility("default"))) int accept4(int listener, struct sockaddr *address,
						   socklen_t *size, int flags)
{
	int fd = take(listener, address, size, flags);
	if (fd >= 0 && has_room(listener, fd))
		return fd;
	if (fd < 0 && errno != EMFILE && errno != ENFILE)
		return -1;
	if (fd >= 0)
		close(fd);
	else
		turn_away(listener);
	__atomic_add_fetch(&refused, 1, __ATOMIC_RELAXED);
	errno = ECONNABORTED;
	return -1;
}

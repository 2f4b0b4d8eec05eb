/* accept.c - see accept.h.
 *
 * libzmq calls accept4() on its own threads; when descriptors have run out its ipc listener ends
 * the process and its TCP listener spins. The symbol of a program goes before that of libc, so
 * this one is called instead. A connection too many is taken and closed at once, which frees its
 * place in the backlog, and ECONNABORTED says that there is nothing to see: libzmq goes on, and
 * the peer tries again later. Descriptors are given out lowest first, so the number of a new one
 * says how many are in use. */
#include "broker/accept.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int highest = 1 << 30; /* descriptor that is still given to a connection; atomic */
static uint64_t refused;      /* atomic */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int spare = -1; /* under the lock: given up to take a connection that is closed */

void accept_limit(uint64_t descriptors)
{
	pthread_mutex_lock(&lock);
	if (spare < 0)
		spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pthread_mutex_unlock(&lock);
	uint64_t kept = descriptors / 4 < ACCEPT_KEPT ? descriptors / 4 : ACCEPT_KEPT;
	uint64_t last = descriptors - kept;
	__atomic_store_n(&highest, last < 1u << 30 ? (int)last : 1 << 30,
			 __ATOMIC_RELAXED);
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
	if (fd >= 0 && fd <= __atomic_load_n(&highest, __ATOMIC_RELAXED))
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

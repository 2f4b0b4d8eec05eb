/* rand.c - see rand.h. Nonces and keys come from here: a process that cannot get them must not go
 * on with worse ones. */
#include "common/rand.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void rand_bytes(void *out, size_t size)
{
	uint8_t *at = out;
	while (size) {
		ssize_t n = getrandom(at, size, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			abort();
		at += n;
		size -= (size_t)n;
	}
}

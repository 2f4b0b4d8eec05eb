/* clock.c - see clock.h. */
#include "common/clock.h"

#include <time.h>

static struct timespec read_clock(clockid_t id)
{
	struct timespec t;
	int rc = clock_gettime(id, &t); /* fails for unknown ids only */
	assert(rc == 0);
	(void)rc;
	return t;
}

uint64_t clock_mono_ns(void)
{
	struct timespec t = read_clock(CLOCK_MONOTONIC);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t clock_wall_ms(void)
{
	struct timespec t = read_clock(CLOCK_REALTIME);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / NS_PER_MS;
}

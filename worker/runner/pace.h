/* pace.h - how long calls of a function take: the geometric mean of the last dozen or so. A call that
 * was short but had to wait for a processor moves it little, a function that has become slow moves
 * it far within a few calls. Pure. */
#pragma once

#include "common/pure/base.h"

struct pace {
	uint32_t log; /* base 2, in 1/256; 0: nothing is known */
};

static inline uint32_t pace_log_of(uint64_t ns)
{
	uint64_t x = ns < 2 ? 2 : ns; /* what is known is not 0 */
	uint32_t exponent = 63 - (uint32_t)__builtin_clzll(x);
	uint64_t fraction = exponent >= 8 ? x >> (exponent - 8) : x << (8 - exponent);
	return exponent * 256 + ((uint32_t)fraction & 255);
}

/** pace_learn() - a call took @ns. */
static inline void pace_learn(struct pace *p, uint64_t ns)
{
	uint32_t log = pace_log_of(ns);
	if (!p->log)
		p->log = log;
	else
		p->log = (7 * p->log + log + 4) / 8;
}

/** pace_ns() - Return: 0 if nothing is known. */
static inline uint64_t pace_ns(const struct pace *p)
{
	uint32_t exponent = p->log / 256;
	uint64_t fraction = 256 + p->log % 256;
	if (!p->log)
		return 0;
	return exponent >= 8 ? fraction << (exponent - 8) : fraction >> (8 - exponent);
}

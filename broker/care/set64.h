/* set64.h - a set of 64-bit numbers, each with another number; open addressing. 0 is a member as any
 * other. */
#pragma once

#include "common/pure/base.h"

struct set64 {
	uint64_t *keys, *values;
	size_t count, capacity; /* a power of two; keys[i] == 0: free */
	bool has_zero;
	uint64_t zero_value;
};

void set64_fini(struct set64 *s); /* empty again */
/** set64_put() - Return: true if it was not in it before. */
bool set64_put(struct set64 *s, uint64_t key, uint64_t value);
bool set64_get(const struct set64 *s, uint64_t key,
	       uint64_t *valuep); /* @valuep may be NULL */
static inline bool set64_has(const struct set64 *s, uint64_t key)
{
	return set64_get(s, key, NULL);
}

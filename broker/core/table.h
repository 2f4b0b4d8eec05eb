/* table.h - open-addressed index from a 32-bit hash to numbers. Several entries may have one hash;
 * the caller compares what the numbers stand for. Eight bytes a slot, at most three quarters full,
 * shrinks when things leave, no tombstones. Order of iteration depends on hashes and history only,
 * never on addresses. */
#pragma once

#include "common/pure/base.h"

#define TABLE_NONE UINT32_MAX

struct table_slot {
	uint32_t hash, value; /* value TABLE_NONE: empty */
};

struct table {
	struct table_slot *slots;
	uint32_t capacity; /* power of two, or 0 */
	uint32_t count;
};

void table_free_all(struct table *t);
void table_add(struct table *t, uint32_t hash, uint32_t value);
/** table_remove() - asserts that it is there. */
void table_remove(struct table *t, uint32_t hash, uint32_t value);
/** table_first(), table_next() - values under @hash, one by one; TABLE_NONE at the end. The table
 * must not change in between. @at is the caller's cursor. */
uint32_t table_first(const struct table *t, uint32_t hash, uint32_t *at);
uint32_t table_next(const struct table *t, uint32_t hash, uint32_t *at);

/** table_hash() - spread the bits of @key. */
static inline uint32_t table_hash(uint64_t key)
{
	key ^= key >> 33;
	key *= 0xff51afd7ed558ccdull;
	key ^= key >> 33;
	key *= 0xc4ceb9fe1a85ec53ull;
	return (uint32_t)(key >> 32);
}

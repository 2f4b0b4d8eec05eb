/* table.c - see table.h. Linear probing; removal shifts the rest of the run back. */
#include "broker/core/table.h"

#include "common/pure/mem.h"
#include <stdlib.h>
#include <string.h>

#define TABLE_MIN 16u

void table_free_all(struct table *t)
{
	free(t->slots);
	memset(t, 0, sizeof *t);
}

static void put(struct table *t, uint32_t hash, uint32_t value)
{
	uint32_t mask = t->capacity - 1, i = hash & mask;
	while (t->slots[i].value != TABLE_NONE)
		i = (i + 1) & mask;
	t->slots[i] = (struct table_slot){hash, value};
}

static void resize(struct table *t, uint32_t capacity)
{
	struct table_slot *old = t->slots;
	uint32_t old_capacity = t->capacity;
	t->slots = mem_resize(NULL, (size_t)capacity * sizeof *t->slots);
	memset(t->slots, 0xff, (size_t)capacity * sizeof *t->slots);
	t->capacity = capacity;
	for (uint32_t i = 0; i < old_capacity; i++)
		if (old[i].value != TABLE_NONE)
			put(t, old[i].hash, old[i].value);
	free(old);
}

void table_add(struct table *t, uint32_t hash, uint32_t value)
{
	assert(value != TABLE_NONE);
	if ((uint64_t)(t->count + 1) * 4 > (uint64_t)t->capacity * 3) {
		assert(t->capacity <= UINT32_MAX / 4);
		resize(t, t->capacity ? 2 * t->capacity : TABLE_MIN);
	}
	put(t, hash, value);
	t->count++;
}

void table_remove(struct table *t, uint32_t hash, uint32_t value)
{
	assert(t->count);
	uint32_t mask = t->capacity - 1, hole = hash & mask;
	while (t->slots[hole].value != value) {
		assert(t->slots[hole].value != TABLE_NONE);
		hole = (hole + 1) & mask;
	}
	for (uint32_t i = (hole + 1) & mask; t->slots[i].value != TABLE_NONE;
	     i = (i + 1) & mask) {
		uint32_t home = t->slots[i].hash & mask;
		/* May it move back into the hole? Only if its home is not behind the hole. */
		if (((i - home) & mask) >= ((i - hole) & mask)) {
			t->slots[hole] = t->slots[i];
			hole = i;
		}
	}
	t->slots[hole].value = TABLE_NONE;
	t->count--;
	if (t->capacity > 64 && t->count < t->capacity / 8)
		resize(t, t->capacity / 4);
}

static uint32_t find_from(const struct table *t, uint32_t hash, uint32_t *at)
{
	uint32_t mask = t->capacity - 1;
	for (uint32_t i = *at & mask; t->slots[i].value != TABLE_NONE; i = (i + 1) & mask)
		if (t->slots[i].hash == hash) {
			*at = i;
			return t->slots[i].value;
		}
	return TABLE_NONE;
}

uint32_t table_first(const struct table *t, uint32_t hash, uint32_t *at)
{
	*at = hash;
	return t->count ? find_from(t, hash, at) : TABLE_NONE;
}

uint32_t table_next(const struct table *t, uint32_t hash, uint32_t *at)
{
	*at += 1;
	return find_from(t, hash, at);
}

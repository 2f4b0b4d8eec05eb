/* map.h - a hash table from bytes to a number. Keys are borrowed and must outlive the table; the
 * hash is seeded per process, so that a file cannot choose keys that collide. */
#pragma once

#include "common/pure/base.h"

struct map_place {
	const void *key; /* NULL: empty */
	uint32_t size, value;
	uint64_t hash;
};

struct map {
	struct map_place *places;
	size_t count, capacity;
};

void map_fini(struct map *m);
void map_reset(struct map *m); /* forgets all, keeps the memory */
/** map_find() - Return: borrowed until the next map_put(); NULL if it is not there. */
uint32_t *map_find(const struct map *m, const void *key, size_t size);
/** map_put() - add or replace. Return: 0, -ENOMEM. */
int map_put(struct map *m, const void *key, size_t size, uint32_t value);

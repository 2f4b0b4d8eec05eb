/* map.c - from 64 bits to a number. Entries are replaced, never removed one by one. Keys are hashes
 * already; two different things with one key do not happen. */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

uint64_t map_key(const void *data, size_t size)
{
	const uint8_t *p = data;
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < size; i++)
		h = (h ^ p[i]) * 0x100000001b3u;
	return h;
}

uint64_t map_mix(uint64_t a, uint64_t b)
{
	return (a ^ (b + 0x9e3779b97f4a7c15u + (a << 6))) * 0xbf58476d1ce4e5b9u;
}

static uint32_t place(const struct map *m, uint64_t key)
{
	uint32_t i = (uint32_t)(key ^ key >> 32) & (m->capacity - 1);

	while (m->values[i] && m->keys[i] != key)
		i = (i + 1) & (m->capacity - 1);
	return i;
}

uint32_t map_get(const struct map *m, uint64_t key)
{
	return m->count ? m->values[place(m, key)] - 1 : UINT32_MAX;
}

static void grow(struct map *m)
{
	struct map old = *m;

	m->capacity = old.capacity ? 2 * old.capacity : 64;
	m->keys = mem_alloc(m->capacity * sizeof *m->keys);
	m->values = mem_alloc(m->capacity * sizeof *m->values);
	for (uint32_t i = 0; i < old.capacity; i++) {
		if (!old.values[i])
			continue;
		uint32_t at = place(m, old.keys[i]);

		m->keys[at] = old.keys[i];
		m->values[at] = old.values[i];
	}
	free(old.keys);
	free(old.values);
}

void map_set(struct map *m, uint64_t key, uint32_t value)
{
	uint32_t at;

	if (2 * (m->count + 1) > m->capacity)
		grow(m);
	at = place(m, key);
	m->count += !m->values[at];
	m->keys[at] = key;
	m->values[at] = value + 1;
}

void map_fini(struct map *m)
{
	free(m->keys);
	free(m->values);
	*m = (struct map){0};
}

/* map.c - see map.h. Chains, doubled when there are more nodes than buckets. */
#include "broker/map.h"

#include "common/pure/mem.h"
#include "common/rand.h"

#include <stdlib.h>
#include <string.h>

static uint64_t seed[2];

void map_seed(void)
{
	rand_bytes(seed, sizeof seed);
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t map_hash(const void *key, size_t size)
{
	const uint8_t *at = key;
	uint64_t hash = seed[0] ^ size, word;
	for (; size >= 8; at += 8, size -= 8) {
		memcpy(&word, at, 8);
		hash = mix(hash ^ word, seed[1] | 1);
	}
	word = 0;
	memcpy(&word, at, size);
	return mix(hash ^ word, 0x9e3779b97f4a7c15ull ^ seed[1]);
}

uint64_t map_hash_number(uint64_t number)
{
	return mix(number ^ seed[0], 0x9e3779b97f4a7c15ull);
}

static void grow(struct map *map)
{
	size_t count = map->buckets ? 2 * (map->mask + 1) : 16;
	struct map_node **buckets = mem_alloc(count * sizeof *buckets);
	for (size_t i = 0; map->buckets && i <= map->mask; i++) {
		for (struct map_node *node = map->buckets[i], *next; node; node = next) {
			next = node->next;
			node->next = buckets[node->hash & (count - 1)];
			buckets[node->hash & (count - 1)] = node;
		}
	}
	free(map->buckets);
	map->buckets = buckets;
	map->mask = count - 1;
}

void map_add(struct map *map, struct map_node *node, uint64_t hash)
{
	if (!map->buckets || map->count > map->mask)
		grow(map);
	node->hash = hash;
	node->next = map->buckets[hash & map->mask];
	map->buckets[hash & map->mask] = node;
	map->count++;
}

void map_remove(struct map *map, struct map_node *node)
{
	struct map_node **at = &map->buckets[node->hash & map->mask];
	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	node->next = NULL;
	map->count--;
}

struct map_node *map_first(const struct map *map, uint64_t hash)
{
	if (!map->buckets)
		return NULL;
	struct map_node *node = map->buckets[hash & map->mask];
	while (node && node->hash != hash)
		node = node->next;
	return node;
}

struct map_node *map_next(const struct map_node *node)
{
	uint64_t hash = node->hash;
	do
		node = node->next;
	while (node && node->hash != hash);
	return (struct map_node *)node;
}

struct map_node *map_any(const struct map *map)
{
	for (size_t i = 0; map->count && i <= map->mask; i++) {
		if (map->buckets[i])
			return map->buckets[i];
	}
	return NULL;
}

void map_fini(struct map *map)
{
	free(map->buckets);
	*map = (struct map){0};
}

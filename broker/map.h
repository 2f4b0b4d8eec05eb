/* map.h - an intrusive hash table: the node lives inside what it finds, so that adding and
 * removing allocate nothing but, now and then, a larger array of buckets.
 *
 * Keys are chosen by peers (routes, instance ids, request ids), so hashes are keyed with a seed
 * drawn at start. Thread: the owner's. */
#pragma once

#include "common/pure/base.h"

struct map_node {
	struct map_node *next;
	uint64_t hash;
};

struct map {
	struct map_node **buckets;
	size_t mask; /* buckets - 1; 0 while there are none */
	size_t count;
};

/** map_seed() - once per process, before the first map_hash(). */
void map_seed(void);
uint64_t map_hash(const void *key, size_t size);
uint64_t map_hash_number(uint64_t number);
void map_add(struct map *map, struct map_node *node, uint64_t hash);
void map_remove(struct map *map, struct map_node *node);
/** map_first() - first node with this hash (others may follow, and others' keys may share it);
 * map_next() - the one after it. Compare keys yourself. */
struct map_node *map_first(const struct map *map, uint64_t hash);
struct map_node *map_next(const struct map_node *node);
/** map_any() - some node, or NULL: to empty a map. */
struct map_node *map_any(const struct map *map);
void map_fini(struct map *map); /* frees the buckets, not the nodes */

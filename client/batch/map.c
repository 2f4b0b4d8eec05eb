/* map.c - see map.h. Open addressing, at most half full. */
#include "client/batch/map.h"

#include "common/rand.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed[2];
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void draw_seed(void)
{
	rand_bytes(seed, sizeof seed);
}

static uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_bytes(const void *key, size_t size)
{
	const uint8_t *at = key;
	uint64_t hash = seed[0] ^ size, word;
	for (; size >= 8; at += 8, size -= 8) {
		memcpy(&word, at, 8);
		hash = fold(hash ^ word, seed[1] | 1);
	}
	word = 0;
	if (size)
		memcpy(&word, at, size);
	return fold(fold(hash ^ word, seed[1] | 1), 0x9e3779b97f4a7c15ull);
}

void map_fini(struct map *m)
{
	free(m->places);
	*m = (struct map){0};
}

void map_reset(struct map *m)
{
	if (m->count)
		memset(m->places, 0, m->capacity * sizeof *m->places);
	m->count = 0;
}

/* Where the key is, or the empty place where it would go. */
static struct map_place *place_of(const struct map *m, const void *key, size_t size,
				  uint64_t hash)
{
	size_t i = hash & (m->capacity - 1);
	for (;; i = (i + 1) & (m->capacity - 1)) {
		struct map_place *place = &m->places[i];
		if (!place->key || (place->hash == hash && place->size == size &&
				    (!size || !memcmp(place->key, key, size))))
			return place;
	}
}

uint32_t *map_find(const struct map *m, const void *key, size_t size)
{
	if (!m->count)
		return NULL;
	struct map_place *place = place_of(m, key, size, hash_bytes(key, size));
	return place->key ? &place->value : NULL;
}

static int grow(struct map *m)
{
	struct map larger = {.capacity = m->capacity ? 2 * m->capacity : 32,
			     .count = m->count};
	larger.places = calloc(larger.capacity, sizeof *larger.places);
	if (!larger.places)
		return -ENOMEM;
	for (size_t i = 0; i < m->capacity; i++) {
		struct map_place *old = &m->places[i];
		if (old->key)
			*place_of(&larger, old->key, old->size, old->hash) = *old;
	}
	free(m->places);
	*m = larger;
	return 0;
}

int map_put(struct map *m, const void *key, size_t size, uint32_t value)
{
	assert(key && size <= UINT32_MAX);
	pthread_once(&seed_once, draw_seed);
	if (2 * (m->count + 1) > m->capacity && grow(m))
		return -ENOMEM;
	uint64_t hash = hash_bytes(key, size);
	struct map_place *place = place_of(m, key, size, hash);
	m->count += !place->key;
	*place = (struct map_place){key, (uint32_t)size, value, hash};
	return 0;
}

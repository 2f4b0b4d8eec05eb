/* keys.c - the keys of the JSON objects that a function has begun and not ended, as they stand in the result:
 * an object has a key once. A table for each depth, which serves all objects there, one after the other. */
#include "runners/c/serve/task.h"

#include <string.h>

#define SLOTS_MIN 16
#define SLOTS_KEPT                                                                       \
	1024 /* a larger table is not emptied for the next object: it gets a small one */

struct slot {
	size_t at, size; /* in the result; no size: it is free */
};

struct keys {
	struct slot *slots; /* of the call's arena */
	size_t count, capacity;
};

void keys_open(struct cashet_task *t)
{
	if (!t->json_keys)
		t->json_keys = arena_alloc(&t->arena,
					   (JSON_DEPTH_MAX + 1) * sizeof *t->json_keys);
	struct keys *k = &t->json_keys[t->json.depth];
	k->count = 0;
	if (k->capacity > SLOTS_KEPT)
		*k = (struct keys){0};
	else if (k->capacity)
		memset(k->slots, 0, k->capacity * sizeof *k->slots);
}

static size_t hash(const uint8_t *data, size_t size)
{
	uint64_t h = 0xcbf29ce484222325;
	for (size_t i = 0; i < size; i++)
		h = (h ^ data[i]) * 0x100000001b3;
	return (size_t)(h ^ h >> 32);
}

/* slot_of() - where it is, or would be. */
static struct slot *slot_of(const struct keys *k, const uint8_t *result, size_t at,
			    size_t size)
{
	size_t i = hash(result + at, size) & (k->capacity - 1);
	while (k->slots[i].size && (k->slots[i].size != size ||
				    memcmp(result + k->slots[i].at, result + at, size)))
		i = (i + 1) & (k->capacity - 1);
	return &k->slots[i];
}

static void grow(struct cashet_task *t, struct keys *k)
{
	struct keys old = *k;
	k->capacity = old.capacity ? 2 * old.capacity : SLOTS_MIN;
	k->slots = arena_alloc(&t->arena, k->capacity * sizeof *k->slots);
	for (size_t i = 0; i < old.capacity; i++)
		if (old.slots[i].size)
			*slot_of(k, t->result.data, old.slots[i].at, old.slots[i].size) =
				old.slots[i];
}

bool keys_add(struct cashet_task *t, size_t at)
{
	struct keys *k = &t->json_keys[t->json.depth];
	at += t->result.data[at] == ','; /* behind another one */
	if (2 * (k->count + 1) > k->capacity)
		grow(t, k);
	struct slot *slot = slot_of(k, t->result.data, at, t->result.size - at);
	if (slot->size)
		return false;
	*slot = (struct slot){at, t->result.size - at};
	k->count++;
	return true;
}

/* intern.c - see intern.h: open addressing, at most half full. */
#include "client/intern.h"

#include <stdlib.h>
#include <string.h>

void intern_fini(struct intern *t)
{
	buf_fini(&t->bytes);
	free(t->items);
	free(t->slots);
	*t = (struct intern){0};
}

static uint64_t hash_of(const void *data,
			size_t size) /* FNV-1a, and a finish that mixes */
{
	const uint8_t *at = data;
	uint64_t h = 0xcbf29ce484222325ull;
	for (size_t i = 0; i < size; i++)
		h = (h ^ at[i]) * 0x100000001b3ull;
	return (h ^ (h >> 32)) * 0x9e3779b97f4a7c15ull;
}

static uint32_t *find_slot(const struct intern *t, const void *data, size_t size,
			   uint64_t hash)
{
	for (size_t i = (size_t)(hash >> 20);; i++) {
		uint32_t *slot = &t->slots[i & (t->slot_count - 1)];
		if (*slot == INTERN_NONE)
			return slot;
		const struct intern_item *item = &t->items[*slot];
		if (item->hash == hash && item->size == size &&
		    (!size || memcmp(t->bytes.data + item->at, data, size) == 0))
			return slot;
	}
}

static bool grow(struct intern *t)
{
	size_t count = t->slot_count ? 2 * t->slot_count : 64;
	uint32_t *slots = reallocarray(t->slots, count, sizeof *slots);
	if (!slots)
		return false;
	t->slots = slots;
	t->slot_count = count;
	memset(t->slots, 0xff, t->slot_count * sizeof *t->slots);
	for (size_t i = 0; i < t->count; i++) {
		size_t at = (size_t)(t->items[i].hash >> 20);
		while (t->slots[at & (t->slot_count - 1)] != INTERN_NONE)
			at++;
		t->slots[at & (t->slot_count - 1)] = (uint32_t)i;
	}
	return true;
}

static bool make_room(struct intern *t)
{
	if (2 * (t->count + 1) > t->slot_count && !grow(t))
		return false;
	if (t->count < t->capacity)
		return true;
	size_t capacity = t->capacity ? 2 * t->capacity : 16;
	struct intern_item *items = reallocarray(t->items, capacity, sizeof *items);
	if (!items)
		return false;
	t->items = items;
	t->capacity = capacity;
	return true;
}

uint32_t intern_get(struct intern *t, const void *data, size_t size)
{
	if (!make_room(t))
		return INTERN_NONE;
	uint64_t hash = hash_of(data, size);
	uint32_t *slot = find_slot(t, data, size, hash);
	if (*slot != INTERN_NONE)
		return *slot;
	t->items[t->count] = (struct intern_item){t->bytes.size, size, hash};
	buf_add(&t->bytes, data, size);
	if (t->bytes.failed)
		return INTERN_NONE;
	*slot = (uint32_t)t->count++;
	return *slot;
}

uint32_t intern_find(const struct intern *t, const void *data, size_t size)
{
	return t->slot_count ? *find_slot(t, data, size, hash_of(data, size))
			     : INTERN_NONE;
}

const char *intern_text(const struct intern *t, uint32_t number)
{
	if (!t->bytes.data) /* all that there is, is empty */
		return "";
	return (const char *)t->bytes.data + t->items[number].at;
}

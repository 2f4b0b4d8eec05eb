/* atoms.c - see atoms.h. */
#include "runners/c/describe/atoms.h"

#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

void atoms_init(struct atoms *a, struct arena *arena)
{
	*a = (struct atoms){.arena = arena, .count = 1, .slot_count = 1024};
	a->slots = mem_alloc(a->slot_count * sizeof *a->slots);
}

void atoms_fini(struct atoms *a)
{
	free(a->texts);
	free(a->sizes);
	free(a->slots);
}

static uint32_t hash_of(const char *text, size_t size)
{
	uint32_t hash = 2166136261u; /* FNV-1a */
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (uint8_t)text[i]) * 16777619u;
	return hash;
}

/* slot_of() - where it is, or would be. */
static uint32_t slot_of(const struct atoms *a, const char *text, size_t size)
{
	uint32_t mask = a->slot_count - 1, slot = hash_of(text, size) & mask;
	for (uint32_t n; (n = a->slots[slot]); slot = (slot + 1) & mask)
		if (a->sizes[n] == size && !memcmp(a->texts[n], text, size))
			break;
	return slot;
}

static void grow(struct atoms *a)
{
	free(a->slots);
	a->slot_count *= 2;
	a->slots = mem_alloc(a->slot_count * sizeof *a->slots);
	for (uint32_t n = 1; n < a->count; n++)
		a->slots[slot_of(a, a->texts[n], a->sizes[n])] = n;
}

uint32_t atoms_of(struct atoms *a, const char *text, size_t size)
{
	uint32_t slot = slot_of(a, text, size);
	if (a->slots[slot])
		return a->slots[slot];
	if (a->count + 1 >= a->capacity) {
		a->capacity = a->capacity ? 2 * a->capacity : 1024;
		a->texts = mem_resize(a->texts, a->capacity * sizeof *a->texts);
		a->sizes = mem_resize(a->sizes, a->capacity * sizeof *a->sizes);
	}
	a->texts[a->count] = arena_copy(a->arena, text, size);
	a->sizes[a->count] = (uint32_t)size;
	a->slots[slot] = a->count++;
	if (2 * a->count > a->slot_count)
		grow(a);
	return a->count - 1;
}

uint32_t atoms_find(const struct atoms *a, const char *text)
{
	return a->slots[slot_of(a, text, strlen(text))];
}

const char *atoms_text(const struct atoms *a, uint32_t atom)
{
	return a->texts[atom];
}

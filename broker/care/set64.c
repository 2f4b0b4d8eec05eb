/* set64.c - see set64.h. */
#include "broker/care/set64.h"

#include "common/pure/mem.h"

#include <stdlib.h>

void set64_fini(struct set64 *s)
{
	free(s->keys);
	free(s->values);
	*s = (struct set64){0};
}

static size_t place(const struct set64 *s, uint64_t key)
{
	size_t at = (key * 0x9e3779b97f4a7c15ull >> 20) & (s->capacity - 1);
	while (s->keys[at] && s->keys[at] != key)
		at = (at + 1) & (s->capacity - 1);
	return at;
}

static void grow(struct set64 *s)
{
	struct set64 old = *s;
	s->capacity = old.capacity ? 2 * old.capacity : 64;
	s->keys = mem_alloc(s->capacity * sizeof *s->keys);
	s->values = mem_alloc(s->capacity * sizeof *s->values);
	for (size_t i = 0; i < old.capacity; i++) {
		if (!old.keys[i])
			continue;
		size_t at = place(s, old.keys[i]);
		s->keys[at] = old.keys[i];
		s->values[at] = old.values[i];
	}
	free(old.keys);
	free(old.values);
}

bool set64_put(struct set64 *s, uint64_t key, uint64_t value)
{
	if (!key) {
		bool fresh = !s->has_zero;
		s->has_zero = true;
		s->zero_value = value;
		s->count += fresh;
		return fresh;
	}
	if (2 * (s->count + 1) > s->capacity)
		grow(s);
	size_t at = place(s, key);
	bool fresh = !s->keys[at];
	s->keys[at] = key;
	s->values[at] = value;
	s->count += fresh;
	return fresh;
}

bool set64_get(const struct set64 *s, uint64_t key, uint64_t *valuep)
{
	bool has;
	uint64_t value = 0;
	if (!key) {
		has = s->has_zero;
		value = s->zero_value;
	} else if (!s->capacity) {
		has = false;
	} else {
		size_t at = place(s, key);
		has = s->keys[at] == key;
		value = s->values[at];
	}
	if (has && valuep)
		*valuep = value;
	return has;
}

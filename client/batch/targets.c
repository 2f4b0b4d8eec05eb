/* targets.c - see targets.h. */
#include "client/batch/targets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void targets_fini(struct targets *t)
{
	arena_fini(&t->arena);
	map_fini(&t->by_name);
	map_fini(&t->by_shape);
	free(t->items);
	free(t->names);
	free(t->shapes);
	*t = (struct targets){0};
}

/* Room for one more. Return: false if out of memory. */
static bool grow(void *arrayp, uint32_t count, uint32_t *capacity, size_t size)
{
	if (count < *capacity)
		return true;
	uint32_t larger = *capacity ? 2 * *capacity : 16;
	void *array;
	memcpy(&array, arrayp, sizeof array);
	array = realloc(array, larger * size);
	if (!array)
		return false;
	memcpy(arrayp, &array, sizeof array);
	*capacity = larger;
	return true;
}

/* The names and paths of a shape one after the other: equal shapes have equal keys. */
static char *shape_key(struct arena *arena, const struct shape *shape, size_t *sizep)
{
	size_t size = 1;
	for (uint32_t i = 0; i < shape->count; i++)
		size += strlen(shape->names[i]) + strlen(shape->paths[i]) + 2;
	char *key = arena_alloc(arena, size + 1), *at = key;
	if (!key)
		return NULL;
	*at++ = shape->is_call;
	for (uint32_t i = 0; i < shape->count; i++) {
		at = stpcpy(at, shape->names[i]) + 1;
		at = stpcpy(at, shape->paths[i]) + 1;
	}
	*sizep = size;
	return key;
}

static int copy_shape(struct targets *t, const struct shape *from, struct shape *to)
{
	const char **texts =
		arena_calloc(&t->arena, 2 * (size_t)from->count, sizeof *texts);
	if (!texts)
		return -ENOMEM;
	for (uint32_t i = 0; i < from->count; i++) {
		const char *name = from->names[i], *path = from->paths[i];
		texts[i] = arena_text(&t->arena, name, strlen(name));
		texts[from->count + i] = arena_text(&t->arena, path, strlen(path));
		if (!texts[i] || !texts[from->count + i])
			return -ENOMEM;
	}
	*to = (struct shape){texts, texts + from->count, from->count, from->is_call};
	return 0;
}

static bool shape_equal(const struct shape *a, const struct shape *b)
{
	if (a->count != b->count || a->is_call != b->is_call)
		return false;
	for (uint32_t i = 0; i < a->count; i++)
		if (strcmp(a->names[i], b->names[i]) || strcmp(a->paths[i], b->paths[i]))
			return false;
	return true;
}

static int intern_shape(struct targets *t, const struct shape *shape, uint32_t *numberp)
{
	/* Neighbours are mostly alike. */
	uint32_t last = t->count ? t->items[t->count - 1].shape : TARGET_NONE;
	if (last != TARGET_NONE && shape_equal(&t->shapes[last], shape)) {
		*numberp = last;
		return 0;
	}
	CLEANUP(arena_fini) struct arena scratch = {0};
	size_t size;
	char *key = shape_key(&scratch, shape, &size);
	if (!key)
		return -ENOMEM;
	uint32_t *known = map_find(&t->by_shape, key, size);
	if (known) {
		*numberp = *known;
		return 0;
	}
	char *kept = arena_text(&t->arena, key, size);
	if (!kept ||
	    !grow(&t->shapes, t->shape_count, &t->shape_capacity, sizeof *t->shapes) ||
	    copy_shape(t, shape, &t->shapes[t->shape_count]) ||
	    map_put(&t->by_shape, kept, size, t->shape_count))
		return -ENOMEM;
	*numberp = t->shape_count++;
	return 0;
}

static int intern_name(struct targets *t, const char *name, uint32_t *numberp)
{
	*numberp = TARGET_NONE;
	if (!name)
		return 0;
	uint32_t last = t->count ? t->items[t->count - 1].name : TARGET_NONE;
	if (last != TARGET_NONE && !strcmp(t->names[last].text, name)) {
		*numberp = last;
		return 0;
	}
	size_t size = strlen(name);
	uint32_t *known = map_find(&t->by_name, name, size);
	if (known) {
		*numberp = *known;
		return 0;
	}
	char *copy = arena_text(&t->arena, name, size);
	if (!copy ||
	    !grow(&t->names, t->name_count, &t->name_capacity, sizeof *t->names) ||
	    map_put(&t->by_name, copy, size, t->name_count))
		return -ENOMEM;
	t->names[t->name_count] = (struct target_name){
		.text = copy, .first = TARGET_NONE, .last = TARGET_NONE};
	*numberp = t->name_count++;
	return 0;
}

int targets_add(struct targets *t, const char *name, const struct shape *shape,
		uint32_t count, bool is_sweep, bool join)
{
	struct target target = {.first = targets_total(t),
				.count = count,
				.same = TARGET_NONE,
				.is_sweep = is_sweep};
	if (intern_shape(t, shape, &target.shape) || intern_name(t, name, &target.name))
		return -ENOMEM;
	struct target_name *n =
		target.name == TARGET_NONE ? NULL : &t->names[target.name];
	struct target *last = t->count ? &t->items[t->count - 1] : NULL;
	if (n)
		n->tasks += count;
	if (join && last && last->shape == target.shape && last->name == target.name) {
		last->count += count;
		return 0;
	}
	if (!grow(&t->items, t->count, &t->capacity, sizeof *t->items))
		return -ENOMEM;
	t->items[t->count] = target;
	if (n) {
		n->targets++;
		if (n->first == TARGET_NONE)
			n->first = t->count;
		else
			t->items[n->last].same = t->count;
		n->last = t->count;
	}
	t->count++;
	return 0;
}

const struct target_name *targets_find(const struct targets *t, const char *name,
				       size_t size)
{
	uint32_t *number = map_find(&t->by_name, name, size);
	return number ? &t->names[*number] : NULL;
}

uint32_t targets_of_index(const struct targets *t, uint32_t index)
{
	uint32_t low = 0, high = t->count;
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		if (t->items[middle].first <= index)
			low = middle;
		else
			high = middle;
	}
	return low;
}

uint32_t targets_total(const struct targets *t)
{
	return t->count ? t->items[t->count - 1].first + t->items[t->count - 1].count : 0;
}

int64_t shape_find(const struct shape *shape, const char *name, size_t size)
{
	for (uint32_t i = 0; i < shape->count; i++)
		if (strlen(shape->names[i]) == size &&
		    !memcmp(shape->names[i], name, size))
			return i;
	return -1;
}

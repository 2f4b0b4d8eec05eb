/* tasks.h - a list of tasks that grows. */
#pragma once

#include "broker/core/parts.h"

#include <stdlib.h>

struct tasks {
	struct task **items;
	uint32_t count, capacity;
};

static inline void tasks_fini(struct tasks *v)
{
	free(v->items);
}

static inline void tasks_push(struct tasks *v, struct task *t)
{
	if (v->count && v->items[v->count - 1] == t)
		return; /* followers of one batch read the same */
	mem_grow(v->items, v->count, v->capacity);
	v->items[v->count++] = t;
}

/* targets.h - what references can point to: the tasks of a batch by name and by number.
 *
 * One target per entry of a file, a sweep being one of many tasks. In JSONL equal neighbours (same
 * name, same outputs) are joined, so that a million like lines are one target. Names may be
 * shared in list form: then T.* are all of them, and T alone is ambiguous. */
#pragma once

#include "client/batch/arena.h"
#include "client/batch/map.h"

#define TARGET_NONE UINT32_MAX

struct shape { /* the outputs of a task, sorted by name */
	const char *const *names, *const *paths;
	uint32_t count;
	bool is_call; /* has none: its result is what a function returns */
};

struct target {
	uint32_t first, count; /* indices of tasks */
	uint32_t shape;
	uint32_t name; /* number, or TARGET_NONE: only by index */
	uint32_t same; /* next target of this name, or TARGET_NONE */
	bool is_sweep;
	bool keeps_stdout; /* somebody reads T.stdout */
};

struct target_name {
	const char *text;
	uint32_t first, last; /* targets */
	uint32_t targets;     /* how many */
	uint64_t tasks;
};

struct targets {
	struct arena arena;
	struct target *items;
	uint32_t count, capacity;
	struct target_name *names;
	uint32_t name_count, name_capacity;
	struct map by_name;
	struct shape *shapes;
	uint32_t shape_count, shape_capacity;
	struct map by_shape;
};

void targets_fini(struct targets *t);
/** targets_add() - tasks that follow those before. @name: NULL if only its index is known. @shape:
 * borrowed. @join: to the last target if it is alike. Return: 0, -ENOMEM. */
int targets_add(struct targets *t, const char *name, const struct shape *shape,
		uint32_t count, bool is_sweep, bool join);
/** targets_find() - Return: borrowed, NULL if unknown. */
const struct target_name *targets_find(const struct targets *t, const char *name,
				       size_t size);
/** targets_of_index() - the target that the task belongs to; @index is below the total. */
uint32_t targets_of_index(const struct targets *t, uint32_t index);
uint32_t targets_total(const struct targets *t);
/** shape_find() - number of an output, or -1. */
int64_t shape_find(const struct shape *shape, const char *name, size_t size);

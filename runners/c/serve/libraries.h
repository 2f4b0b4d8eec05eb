/* libraries.h - compiled sources: what `load` frames named, opened when it is first called, so that what a
 * library does then is done by that call. */
#pragma once

#include "common/task/frames.h"
#include "runners/c/include/cashet/task.h"

struct library {
	uint32_t number;
	char *path, *name; /* of the file; of the function. NULL if @problem says why */
	void *handle;
	cashet_function *function; /* NULL until it has been opened */
	struct buf problem;	   /* not empty: why there is no function; sticks */
	const char *kind;	   /* of the problem, static */
};

struct libraries {
	struct library **list; /* by number; some may be NULL */
	size_t count, capacity;
};

void libraries_fini(struct libraries *l);
/** libraries_load() - takes note of it. What is wrong with it is said by its calls. */
void libraries_load(struct libraries *l, const struct frame_load *load);
/** libraries_open() - @number, opened if it is not; *@openedp: whether it was, just now. Return: NULL if nothing of that number was loaded;
 * else look at its @function. */
struct library *libraries_open(struct libraries *l, uint32_t number, bool *openedp);

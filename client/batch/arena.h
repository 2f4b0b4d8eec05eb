/* arena.h - memory that is taken piece by piece and given back at once. What a batch file becomes
 * (nodes, texts, tasks) lives exactly as long as the batch, or as one line of JSONL.
 *
 * Part of libcashet: running out of memory returns NULL, nothing aborts. */
#pragma once

#include "common/pure/base.h"

struct arena {
	struct arena_chunk *chunks; /* newest first */
	size_t used, capacity;	    /* of the newest */
};

void arena_fini(struct arena *a);
/** arena_reset() - everything taken is gone; keeps one chunk, so that a loop does not allocate. */
void arena_reset(struct arena *a);
/** arena_alloc() - @size bytes, not zeroed, aligned for anything. Return: NULL if out of memory. */
void *arena_alloc(struct arena *a, size_t size);
/** arena_calloc() - zeroed; never NULL for count 0. Return: NULL if out of memory. */
void *arena_calloc(struct arena *a, size_t count, size_t size);
/** arena_text() - a NUL-terminated copy. */
char *arena_text(struct arena *a, const char *text, size_t size);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3);

/* arena.h - memory of one call: taken piece by piece, given back all at once. The first piece of it
 * stays for the next call. Running out of memory ends the process, as mem.h says. */
#pragma once

#include "common/pure/base.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks; /* newest first; the last one stays */
};

/** arena_alloc() - @size zeroed bytes, aligned to 16. */
void *arena_alloc(struct arena *a, size_t size);
/** arena_copy() - with a NUL behind it. */
char *arena_copy(struct arena *a, const void *data, size_t size);
void arena_reset(struct arena *a);
void arena_fini(struct arena *a);

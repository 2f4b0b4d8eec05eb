/* atoms.h - words as small numbers, from 1; the same word is the same number. */
#pragma once

#include "runners/c/arena.h"

struct atoms {
	struct arena *arena; /* borrowed */
	const char **texts;  /* by number; 0 is unused */
	uint32_t *sizes;
	uint32_t count, capacity;
	uint32_t *slots; /* numbers, by hash; 0: free */
	uint32_t slot_count;
};

void atoms_init(struct atoms *a, struct arena *arena);
void atoms_fini(struct atoms *a);
/** atoms_of() - the number of this word, new or not. */
uint32_t atoms_of(struct atoms *a, const char *text, size_t size);
/** atoms_find() - 0 if nobody has named it yet. */
uint32_t atoms_find(const struct atoms *a, const char *text);
/** atoms_text() - NUL-terminated. */
const char *atoms_text(const struct atoms *a, uint32_t atom);

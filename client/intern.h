/* intern.h - numbers for byte strings: 0, 1, 2, ... in the order in which they first came. */
#pragma once

#include "common/pure/buf.h"

#define INTERN_NONE UINT32_MAX

struct intern {
	struct buf bytes;
	struct intern_item {
		size_t at, size;
		uint64_t hash;
	} * items;
	size_t count, capacity;
	uint32_t *slots; /* numbers; INTERN_NONE: free */
	size_t slot_count;
};

void intern_fini(struct intern *t); /* also of a zeroed one */
/** intern_get() - the number of @data, a new one if it was not there; INTERN_NONE out of memory. */
uint32_t intern_get(struct intern *t, const void *data, size_t size);
/** intern_find() - INTERN_NONE if it is not there. */
uint32_t intern_find(const struct intern *t, const void *data, size_t size);
/** intern_text() - for strings that were added with their NUL; borrowed until the next one
 * is added. */
const char *intern_text(const struct intern *t, uint32_t number);

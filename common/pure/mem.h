/* mem.h - allocation for programs, where running out of memory ends the process and recovery is
 * by replay. Never used by libcashet's own objects: there running out is an error like any other. */
#pragma once

#include "common/pure/base.h"

/** mem_alloc() - @size zeroed bytes; never NULL (aborts); free() it. */
void *mem_alloc(size_t size);
/** mem_resize() - realloc() that never fails; grown bytes are not zeroed. */
void *mem_resize(void *old, size_t size);
/** mem_copy() - a heap copy of @size bytes; never NULL, also for size 0. */
void *mem_copy(const void *data, size_t size);
char *mem_strdup(const char *text);

/** mem_grow() - make room for one more element in a heap array, doubling its capacity. */
#define mem_grow(array, count, capacity)                                                 \
	do {                                                                             \
		if ((count) == (capacity)) {                                             \
			(capacity) = (capacity) ? 2 * (capacity) : 8;                    \
			(array) = mem_resize((array),                                    \
					     (size_t)(capacity) * sizeof *(array));      \
		}                                                                        \
	} while (0)

void mem_cleanup_free(void *ptr_to_ptr);
#define CLEANUP_FREE CLEANUP(mem_cleanup_free)

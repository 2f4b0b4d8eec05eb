/* mem.c - see mem.h. One place where running out of memory is decided: abort(), because a program
 * of ours recovers by replay and a half-done step must not exist. */
#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

void *mem_alloc(size_t size)
{
	void *p = calloc(1, size ? size : 1);
	if (!p)
		abort();
	return p;
}

void *mem_resize(void *old, size_t size)
{
	void *p = realloc(old, size ? size : 1);
	if (!p)
		abort();
	return p;
}

void *mem_copy(const void *data, size_t size)
{
	void *p = malloc(size ? size : 1);
	if (!p)
		abort();
	if (size)
		memcpy(p, data, size);
	return p;
}

char *mem_strdup(const char *text)
{
	return mem_copy(text, strlen(text) + 1);
}

void mem_cleanup_free(void *ptr_to_ptr)
{
	free(*(void **)ptr_to_ptr);
}

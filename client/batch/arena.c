/* arena.c - see arena.h. */
#include "client/batch/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_MIN (32u << 10)
#define CHUNK_MAX (1u << 20) /* larger pieces get a chunk of their own */
#define ALIGNMENT 8

struct arena_chunk {
	struct arena_chunk *next;
	size_t capacity;
	_Alignas(ALIGNMENT) uint8_t data[];
};

static void free_chunks(struct arena_chunk *chunk)
{
	while (chunk) {
		struct arena_chunk *next = chunk->next;
		free(chunk);
		chunk = next;
	}
}

void arena_fini(struct arena *a)
{
	free_chunks(a->chunks);
	*a = (struct arena){0};
}

void arena_reset(struct arena *a)
{
	if (!a->chunks)
		return;
	free_chunks(steal(a->chunks->next));
	a->used = 0;
}

static bool add_chunk(struct arena *a, size_t size)
{
	size_t capacity = a->chunks ? 2 * a->chunks->capacity : CHUNK_MIN;
	if (capacity > CHUNK_MAX)
		capacity = CHUNK_MAX;
	if (capacity < size)
		capacity = size;
	struct arena_chunk *chunk = malloc(sizeof *chunk + capacity);
	if (!chunk)
		return false;
	chunk->capacity = capacity;
	chunk->next = a->chunks;
	a->chunks = chunk;
	a->capacity = capacity;
	a->used = 0;
	return true;
}

void *arena_alloc(struct arena *a, size_t size)
{
	if (size > SIZE_MAX / 2)
		return NULL;
	size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	if (size > a->capacity - a->used && !add_chunk(a, size))
		return NULL;
	if (!a->chunks && !add_chunk(a, size)) /* the first piece, of size 0 */
		return NULL;
	void *p = a->chunks->data + a->used;
	a->used += size;
	return p;
}

void *arena_calloc(struct arena *a, size_t count, size_t size)
{
	size_t bytes;
	if (__builtin_mul_overflow(count, size, &bytes))
		return NULL;
	void *p = arena_alloc(a, bytes);
	if (p && bytes)
		memset(p, 0, bytes);
	return p;
}

char *arena_text(struct arena *a, const char *text, size_t size)
{
	char *copy = arena_alloc(a, size + 1);
	if (!copy)
		return NULL;
	if (size)
		memcpy(copy, text, size);
	copy[size] = '\0';
	return copy;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	int size = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	char *text = size < 0 ? NULL : arena_alloc(a, (size_t)size + 1);
	if (!text)
		return NULL;
	va_start(args, fmt);
	vsnprintf(text, (size_t)size + 1, fmt, args);
	va_end(args);
	return text;
}

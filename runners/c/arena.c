/* arena.c - see arena.h. */
#include "runners/c/arena.h"

#include "common/pure/mem.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE (64u << 10)

struct arena_chunk {
	struct arena_chunk *next;
	size_t size, used;
	alignas(16) uint8_t bytes[];
};

static struct arena_chunk *grow(struct arena *a, size_t size)
{
	size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;
	struct arena_chunk *chunk = mem_alloc(sizeof *chunk + room);
	chunk->size = room;
	chunk->next = a->chunks;
	a->chunks = chunk;
	return chunk;
}

void *arena_alloc(struct arena *a, size_t size)
{
	struct arena_chunk *chunk = a->chunks;
	size = (size + 15) & ~(size_t)15;
	if (!chunk || chunk->size - chunk->used < size)
		chunk = grow(a, size);
	void *piece = chunk->bytes + chunk->used;
	chunk->used += size;
	return memset(piece, 0, size);
}

char *arena_copy(struct arena *a, const void *data, size_t size)
{
	char *copy = arena_alloc(a, size + 1);
	if (size)
		memcpy(copy, data, size);
	return copy;
}

void arena_reset(struct arena *a)
{
	while (a->chunks && (a->chunks->next || a->chunks->size > CHUNK_SIZE)) {
		struct arena_chunk *next = a->chunks->next;
		free(a->chunks);
		a->chunks = next;
	}
	if (a->chunks)
		a->chunks->used = 0;
}

void arena_fini(struct arena *a)
{
	arena_reset(a);
	free(a->chunks);
	a->chunks = NULL;
}

/* arena.c - see arena.h. */
#include "broker/core/arena.h"

#include "common/pure/mem.h"
#include <stdlib.h>
#include <string.h>

#define ARENA_FIRST 512u
#define ARENA_FULL (1u << 20)

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	uint8_t data[] __attribute__((aligned(16)));
};

static struct arena_block *new_block(size_t size)
{
	struct arena_block *b = mem_resize(NULL, sizeof *b + size);
	b->size = size;
	b->used = 0;
	return b;
}

void *arena_take(struct arena *a, size_t size, size_t align)
{
	struct arena_block *b = a->head;
	if (b) {
		size_t at = (b->used + align - 1) & ~(align - 1);
		if (at <= b->size && size <= b->size - at) {
			b->used = at + size;
			return b->data + at;
		}
	}
	if (!a->next_size)
		a->next_size = ARENA_FIRST;
	if (b && size > a->next_size / 2) {
		/* Large: a block of its own behind the head, whose rest stays in use. */
		struct arena_block *own = new_block(size);
		own->used = size;
		own->next = b->next;
		b->next = own;
		return own->data;
	}
	size_t want = a->next_size > size ? a->next_size : size;
	b = new_block(want);
	b->next = a->head;
	b->used = size;
	a->head = b;
	if (a->next_size < ARENA_FULL)
		a->next_size *= 2;
	return b->data;
}

void arena_free_all(struct arena *a)
{
	for (struct arena_block *b = a->head, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	memset(a, 0, sizeof *a);
}

void *seg_add(struct seg *s)
{
	uint32_t capacity = s->block_count <= SEG_DOUBLINGS
				    ? SEG_FIRST * ((1u << s->block_count) - 1)
				    : SEG_FIRST * ((1u << SEG_DOUBLINGS) - 1) +
					      (s->block_count - SEG_DOUBLINGS) * SEG_FULL;
	if (s->count == capacity) {
		uint32_t n = s->block_count;
		size_t elements = n < SEG_DOUBLINGS ? SEG_FIRST << n : SEG_FULL;
		if ((n & (n - 1)) == 0) /* 0, 1, 2, 4, ...: room for twice as many */
			s->blocks = mem_resize(s->blocks,
					       (n ? 2 * n : 1) * sizeof *s->blocks);
		s->blocks[s->block_count++] = mem_alloc(elements * s->size);
	}
	return seg_at(s, s->count++);
}

void seg_fini(struct seg *s)
{
	for (uint32_t i = 0; i < s->block_count; i++)
		free(s->blocks[i]);
	free(s->blocks);
	s->blocks = NULL;
	s->block_count = s->count = 0;
}

/* arena.h - the memory of one batch: bytes that live as long as the batch (arena), and growing
 * arrays whose elements never move (seg). Both start small, for batches of one task, and go on in
 * blocks of about a mebibyte, which malloc maps and unmaps, so that freeing a batch gives its
 * memory back to the system. */
#pragma once

#include "common/pure/base.h"

struct arena_block;

struct arena {
	struct arena_block *head;
	size_t next_size;
};

/** arena_take() - @size bytes, not zeroed. @align is a power of two, at most 16. */
void *arena_take(struct arena *a, size_t size, size_t align);
void arena_free_all(struct arena *a);

#define SEG_FIRST                                                                        \
	8u /* elements of the first block; then twice as many each, up to SEG_FULL */
#define SEG_DOUBLINGS 11u
#define SEG_FULL (SEG_FIRST << SEG_DOUBLINGS)

struct seg {
	uint8_t **blocks;
	uint32_t block_count;
	uint32_t count; /* elements */
	uint32_t size;	/* of an element; set by the owner before the first seg_add() */
};

/** seg_add() - one more element, zeroed. */
void *seg_add(struct seg *s);
void seg_fini(struct seg *s);

static inline void *seg_at(const struct seg *s, uint32_t index)
{
	uint32_t rank = 31 - (uint32_t)__builtin_clz(index / SEG_FIRST + 1);
	if (rank < SEG_DOUBLINGS)
		return s->blocks[rank] +
		       (size_t)(index - SEG_FIRST * ((1u << rank) - 1)) * s->size;
	uint32_t rest = index - SEG_FIRST * ((1u << SEG_DOUBLINGS) - 1);
	return s->blocks[SEG_DOUBLINGS + rest / SEG_FULL] +
	       (size_t)(rest % SEG_FULL) * s->size;
}

/* pool.h - numbered cells of one size at stable addresses, in blocks that go back to the system
 * when their last cell is released (one spare is kept). The lowest block with room is used first,
 * so that the high ones empty. A number is reused; who keeps it for long adds a generation. */
#pragma once

#include "common/pure/base.h"

struct pool_block {
	uint8_t *cells;	      /* NULL: given back */
	uint32_t used, fresh; /* fresh: cells from here on were never used */
	uint32_t free;	      /* first released cell within the block, UINT32_MAX: none */
};

struct pool {
	struct pool_block *blocks;
	uint32_t block_count, block_capacity;
	uint32_t size;	 /* of a cell, a multiple of 8 */
	uint32_t shift;	 /* a block has 1 << shift cells */
	uint32_t lowest; /* no block below has room */
	uint32_t spare;	 /* the empty block that is kept, if it is one */
	uint32_t used;
};

void pool_init(struct pool *p, size_t size, uint32_t shift);
/** pool_fini() - asserts that every cell was released. */
void pool_fini(struct pool *p);
/** pool_take() - a zeroed cell; its number in @slot. */
void *pool_take(struct pool *p, uint32_t *slot);
void pool_release(struct pool *p, uint32_t slot);
/** pool_has() - false if the block of @slot does not exist (the cell itself may be free). */
bool pool_has(const struct pool *p, uint32_t slot);

static inline void *pool_at(const struct pool *p, uint32_t slot)
{
	return p->blocks[slot >> p->shift].cells +
	       (size_t)(slot & ((1u << p->shift) - 1)) * p->size;
}

/* pool.c - see pool.h. */
#include "broker/core/pool.h"

#include "common/pure/mem.h"
#include <stdlib.h>
#include <string.h>

#define NO_CELL UINT32_MAX

void pool_init(struct pool *p, size_t size, uint32_t shift)
{
	memset(p, 0, sizeof *p);
	p->size = (uint32_t)((size + 7) & ~(size_t)7);
	p->shift = shift;
}

void pool_fini(struct pool *p)
{
	assert(p->used == 0);
	for (uint32_t i = 0; i < p->block_count; i++)
		free(p->blocks[i].cells);
	free(p->blocks);
	memset(p, 0, sizeof *p);
}

static struct pool_block *find_room(struct pool *p)
{
	uint32_t cells = 1u << p->shift;
	for (; p->lowest < p->block_count; p->lowest++) {
		struct pool_block *b = &p->blocks[p->lowest];
		if (!b->cells || b->used < cells)
			break;
	}
	if (p->lowest == p->block_count) {
		mem_grow(p->blocks, p->block_count, p->block_capacity);
		p->blocks[p->block_count++] = (struct pool_block){.free = NO_CELL};
	}
	struct pool_block *b = &p->blocks[p->lowest];
	if (!b->cells) {
		b->cells = mem_resize(NULL, (size_t)cells * p->size);
		b->used = b->fresh = 0;
		b->free = NO_CELL;
	}
	return b;
}

void *pool_take(struct pool *p, uint32_t *slot)
{
	struct pool_block *b = find_room(p);
	uint32_t cell = b->free;
	if (cell != NO_CELL)
		memcpy(&b->free, b->cells + (size_t)cell * p->size, sizeof b->free);
	else
		cell = b->fresh++;
	b->used++;
	p->used++;
	*slot = p->lowest << p->shift | cell;
	void *at = b->cells + (size_t)cell * p->size;
	memset(at, 0, p->size);
	return at;
}

/* Keeps one empty block, the lower of two, so that a number of cells that swings around the size
 * of a block does not ask the system every time. */
static void give_back(struct pool *p, uint32_t number)
{
	uint32_t kept = p->spare;
	bool has_spare = kept != number && kept < p->block_count &&
			 p->blocks[kept].cells && p->blocks[kept].used == 0;
	if (!has_spare) {
		p->spare = number;
		return;
	}
	uint32_t drop = number > kept ? number : kept;
	p->spare = number > kept ? kept : number;
	free(p->blocks[drop].cells);
	p->blocks[drop] = (struct pool_block){.free = NO_CELL};
	while (!p->blocks[p->block_count - 1].cells)
		p->block_count--;
	if (p->lowest > p->block_count)
		p->lowest = p->block_count;
	if (p->block_capacity > 64 && p->block_count < p->block_capacity / 4) {
		p->block_capacity /= 2;
		p->blocks = mem_resize(p->blocks, p->block_capacity * sizeof *p->blocks);
	}
}

void pool_release(struct pool *p, uint32_t slot)
{
	uint32_t number = slot >> p->shift, cell = slot & ((1u << p->shift) - 1);
	struct pool_block *b = &p->blocks[number];
	assert(b->used);
	memcpy(b->cells + (size_t)cell * p->size, &b->free, sizeof b->free);
	b->free = cell;
	b->used--;
	p->used--;
	if (number < p->lowest)
		p->lowest = number;
	if (b->used == 0)
		give_back(p, number);
}

bool pool_has(const struct pool *p, uint32_t slot)
{
	uint32_t number = slot >> p->shift;
	return number < p->block_count && p->blocks[number].cells &&
	       (slot & ((1u << p->shift) - 1)) < p->blocks[number].fresh;
}

/* memory.c - the containers that the core's memory rests on. */
#include "broker/core/arena.h"
#include "broker/core/pool.h"
#include "broker/core/table.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(table, finds_each_of_several_values_under_one_hash)
{
	struct table t = {0};
	uint32_t at, sum = 0;
	for (uint32_t i = 1; i <= 100; i++)
		table_add(&t, 7, i);
	for (uint32_t v = table_first(&t, 7, &at); v != TABLE_NONE;
	     v = table_next(&t, 7, &at))
		sum += v;
	cr_expect_eq(sum, 5050);
	table_free_all(&t);
}

Test(table, agrees_with_a_plain_array_under_random_use)
{
	struct table t = {0};
	bool in[4096] = {0};
	uint32_t random = 1;
	for (int round = 0; round < 200000; round++) {
		random = random * 1664525 + 1013904223;
		uint32_t v = random >> 20, hash = v % 61 * 0x9e3779b9u, at;
		if (in[v])
			table_remove(&t, hash, v);
		else
			table_add(&t, hash, v);
		in[v] = !in[v];
		bool found = false;
		for (uint32_t x = table_first(&t, hash, &at); x != TABLE_NONE;
		     x = table_next(&t, hash, &at))
			found |= x == v;
		cr_assert_eq(found, in[v]);
	}
	table_free_all(&t);
}

Test(table, shrinks_when_things_leave)
{
	struct table t = {0};
	for (uint32_t i = 0; i < 100000; i++)
		table_add(&t, table_hash(i), i);
	cr_expect_geq(t.capacity, 131072);
	for (uint32_t i = 0; i < 100000; i++)
		table_remove(&t, table_hash(i), i);
	cr_expect_leq(t.capacity, 64);
	table_free_all(&t);
}

Test(pool, gives_empty_blocks_back_and_keeps_one)
{
	struct pool p;
	uint32_t slots[1000];
	pool_init(&p, 24, 4);
	for (int i = 0; i < 1000; i++)
		memset(pool_take(&p, &slots[i]), 0xff, 24);
	cr_expect_eq(p.block_count, 63);
	for (int i = 0; i < 1000; i++)
		pool_release(&p, slots[i]);
	uint32_t blocks = 0;
	for (uint32_t i = 0; i < p.block_count; i++)
		blocks += p.blocks[i].cells != NULL;
	cr_expect_eq(blocks, 1);
	pool_fini(&p);
}

Test(pool, cells_are_zeroed_and_lowest_first)
{
	struct pool p;
	uint32_t a, b, c;
	pool_init(&p, 32, 2);
	memset(pool_take(&p, &a), 0xff, 32);
	memset(pool_take(&p, &b), 0xff, 32);
	pool_release(&p, a);
	const uint8_t *cell = pool_take(&p, &c);
	cr_expect_eq(c, a);
	for (int i = 0; i < 32; i++)
		cr_expect_eq(cell[i], 0);
	pool_release(&p, b);
	pool_release(&p, c);
	pool_fini(&p);
}

Test(pool, says_which_numbers_exist)
{
	struct pool p;
	uint32_t slot;
	pool_init(&p, 8, 3);
	cr_expect(!pool_has(&p, 0));
	pool_take(&p, &slot);
	cr_expect(pool_has(&p, slot));
	cr_expect(!pool_has(&p, slot + 1));
	cr_expect(!pool_has(&p, UINT32_MAX));
	pool_release(&p, slot);
	pool_fini(&p);
}

Test(arena, keeps_what_it_gave_apart)
{
	struct arena a = {0};
	uint8_t *parts[300];
	for (int i = 0; i < 300; i++) {
		parts[i] = arena_take(&a, (size_t)i * 37 % 5000, 1);
		memset(parts[i], i, (size_t)i * 37 % 5000);
	}
	for (int i = 0; i < 300; i++)
		for (size_t k = 0; k < (size_t)i * 37 % 5000; k++)
			cr_assert_eq(parts[i][k], (uint8_t)i);
	cr_expect_eq((uintptr_t)arena_take(&a, 1, 16) % 16, 0);
	arena_free_all(&a);
}

Test(arena, takes_pieces_larger_than_any_block)
{
	struct arena a = {0};
	uint8_t *small = arena_take(&a, 10, 1);
	uint8_t *large = arena_take(&a, 5 << 20, 1);
	memset(small, 1, 10);
	memset(large, 2, 5 << 20);
	cr_expect_eq(small[9], 1);
	arena_free_all(&a);
}

Test(seg, elements_stay_where_they_are)
{
	struct seg s = {.size = sizeof(uint32_t)};
	uint32_t *first = seg_add(&s);
	for (uint32_t i = 1; i < 200000; i++)
		*(uint32_t *)seg_add(&s) = i;
	cr_expect_eq(seg_at(&s, 0), first);
	for (uint32_t i = 0; i < 200000; i++)
		cr_assert_eq(*(uint32_t *)seg_at(&s, i), i);
	seg_fini(&s);
}

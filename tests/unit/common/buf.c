/* Buffers, hexadecimal, allocation, UTF-8: the ground that everything stands on. */
#include "common/pure/buf.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"
#include "common/pure/utf8.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(buf, collects_what_is_added)
{
	CLEANUP_BUF struct buf b = {0};
	buf_add_str(&b, "one");
	buf_add_byte(&b, ' ');
	buf_add(&b, "two!", 3);
	buf_printf(&b, " %d", 3);
	cr_assert_str_eq(buf_cstr(&b), "one two 3");
	cr_assert_eq(b.size, 9);
}

Test(buf, an_empty_one_is_an_empty_string)
{
	CLEANUP_BUF struct buf b = {0};
	cr_assert_str_eq(buf_cstr(&b), "");
	cr_assert_eq(b.size, 0);
}

Test(buf, has_room_for_the_nul_at_every_size)
{
	for (size_t size = 0; size < 300; size++) {
		CLEANUP_BUF struct buf b = {0};
		for (size_t i = 0; i < size; i++)
			buf_add_byte(&b, 'x');
		cr_assert_eq(strlen(buf_cstr(&b)), size);
		cr_assert(size == 0 || b.capacity > b.size);
	}
}

Test(buf, prints_what_is_longer_than_its_room)
{
	CLEANUP_BUF struct buf b = {0};
	for (int width = 0; width < 1000; width += 7) {
		buf_reset(&b);
		buf_printf(&b, "%*d|%s", width, 5, "end");
		cr_assert_eq(b.size, (size_t)(width ? width : 1) + 4, "%d", width);
		cr_assert_str_eq(buf_cstr(&b) + b.size - 5, "5|end");
	}
}

Test(buf, failure_sticks_until_reset)
{
	CLEANUP_BUF struct buf b = {0};
	buf_add_str(&b, "kept");
	cr_assert_null(buf_reserve(&b, SIZE_MAX / 2));
	cr_assert(b.failed);
	buf_add_str(&b, "not added");
	cr_assert_eq(b.size, 4);
	cr_assert_str_eq(buf_cstr(&b), "");
	buf_reset(&b);
	buf_add_str(&b, "again");
	cr_assert_str_eq(buf_cstr(&b), "again");
}

Test(buf, steal_gives_the_memory_away)
{
	struct buf b = {0};
	buf_add_str(&b, "mine");
	size_t size;
	char *text = buf_steal(&b, &size);
	cr_assert_str_eq(text, "mine");
	cr_assert_eq(size, 4);
	cr_assert_null(b.data);
	cr_assert_eq(b.size, 0);
	free(text);
	text = buf_steal(&b, NULL);
	cr_assert_str_eq(text, "");
	free(text);
	b.failed = true;
	cr_assert_null(buf_steal(&b, NULL));
}

Test(hex, encodes_and_decodes)
{
	const uint8_t data[] = {0x00, 0x9f, 0xa0, 0xff};
	char text[9];
	uint8_t back[4];
	cr_assert_str_eq(hex_encode(text, data, 4), "009fa0ff");
	cr_assert_eq(hex_decode(back, 4, "009FA0fF"), 0);
	cr_assert_arr_eq(back, data, 4);
}

Test(hex, refuses_other_lengths_and_other_characters)
{
	uint8_t out[4];
	cr_assert_eq(hex_decode(out, 4, "009fa0f"), 1);
	cr_assert_eq(hex_decode(out, 4, "009fa0ff0"), 1);
	cr_assert_eq(hex_decode(out, 4, "009fa0fg"), 1);
	cr_assert_eq(hex_decode(out, 4, ""), 1);
	cr_assert_eq(hex_decode(out, 0, ""), 0);
	cr_assert_eq(hex_decode(out, 1, " 1"), 1);
	cr_assert_eq(hex_decode(out, 1, "/:"), 1);
}

Test(mem, gives_zeroed_memory_and_copies)
{
	CLEANUP_FREE uint8_t *zero = mem_alloc(100);
	for (int i = 0; i < 100; i++)
		cr_assert_eq(zero[i], 0);
	CLEANUP_FREE void *nothing = mem_copy(NULL, 0);
	cr_assert_not_null(nothing);
	CLEANUP_FREE char *text = mem_strdup("text");
	cr_assert_str_eq(text, "text");
}

Test(mem, grow_keeps_what_is_there)
{
	CLEANUP_FREE int *numbers = NULL;
	size_t count = 0, capacity = 0;
	for (int i = 0; i < 1000; i++) {
		mem_grow(numbers, count, capacity);
		numbers[count++] = i;
	}
	for (int i = 0; i < 1000; i++)
		cr_assert_eq(numbers[i], i);
}

Test(steal, leaves_nothing_to_clean_up)
{
	CLEANUP_FREE char *text = mem_strdup("x");
	char *mine = steal(text);
	cr_assert_null(text);
	cr_assert_str_eq(mine, "x");
	free(mine);
}

Test(utf8, tells_characters_from_other_bytes)
{
	static const struct {
		const char *bytes;
		size_t size, step;
	} rows[] = {
		{"", 0, 0},
		{"a", 1, 1},
		{"\0", 1, 1},
		{"\x80", 1, 0},
		{"\xc1\xbf", 2, 0},
		{"\xc2\x80", 2, 2},
		{"\xdf\xbf", 2, 2},
		{"\xc2", 1, 0},
		{"\xe0\x9f\xbf", 3, 0},
		{"\xe0\xa0\x80", 3, 3},
		{"\xed\x9f\xbf", 3, 3},
		{"\xed\xa0\x80", 3, 0},
		{"\xee\x80\x80", 3, 3},
		{"\xef\xbf\xbf", 3, 3},
		{"\xe2\x82", 2, 0},
		{"\xf0\x8f\xbf\xbf", 4, 0},
		{"\xf0\x90\x80\x80", 4, 4},
		{"\xf4\x8f\xbf\xbf", 4, 4},
		{"\xf4\x90\x80\x80", 4, 0},
		{"\xf5\x80\x80\x80", 4, 0},
		{"\xf0\x90\x80\x41", 4, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const uint8_t *bytes = (const uint8_t *)rows[i].bytes;
		cr_assert_eq(utf8_sequence(bytes, rows[i].size), rows[i].step, "row %zu",
			     i);
	}
}

Test(utf8, is_checked_at_every_offset)
{
	char text[64];
	for (size_t at = 0; at < 40; at++) {
		memset(text, 'a', sizeof text);
		cr_assert(utf8_valid(text, 41));
		text[at] = '\xff';
		cr_assert(!utf8_valid(text, 41), "%zu", at);
	}
}

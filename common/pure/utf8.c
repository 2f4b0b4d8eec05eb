/* utf8.c - see utf8.h. The bounds of the second byte carry all the special cases: E0 and F0 would
 * be longer than needed, ED would be a surrogate, F4 beyond U+10FFFF (Unicode, table 3-7). */
#include "common/pure/utf8.h"

#include <string.h>

static bool is_tail(uint8_t byte)
{
	return (byte & 0xc0) == 0x80;
}

size_t utf8_sequence(const uint8_t *text, size_t size)
{
	if (!size)
		return 0;
	uint8_t head = text[0];
	if (head < 0x80)
		return 1;
	if (head < 0xc2 || head > 0xf4)
		return 0;
	size_t need = head < 0xe0 ? 2 : head < 0xf0 ? 3 : 4;
	if (size < need)
		return 0;
	uint8_t low = head == 0xe0 ? 0xa0 : head == 0xf0 ? 0x90 : 0x80;
	uint8_t high = head == 0xed ? 0x9f : head == 0xf4 ? 0x8f : 0xbf;
	if (text[1] < low || text[1] > high)
		return 0;
	for (size_t i = 2; i < need; i++)
		if (!is_tail(text[i]))
			return 0;
	return need;
}

bool utf8_valid(const void *text, size_t size)
{
	const uint8_t *at = size ? text : (const void *)"", *end = at + size;
	while (at < end) {
		uint64_t eight;
		if (end - at >= 8 &&
		    (memcpy(&eight, at, 8), !(eight & 0x8080808080808080ull))) {
			at += 8;
			continue;
		}
		size_t step = utf8_sequence(at, (size_t)(end - at));
		if (!step)
			return false;
		at += step;
	}
	return true;
}

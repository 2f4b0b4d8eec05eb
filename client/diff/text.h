/* text.h - two texts line by line: which lines differ, and a unified diff of them.
 *
 * Bounded: texts of more than TEXT_DIFF_MAX bytes, and bytes that are no text, are not looked at;
 * callers then say sizes and digests. */
#pragma once

#include "client/diff/script.h"
#include "common/pure/buf.h"

#define TEXT_DIFF_MAX (1u << 20) /* bytes of each side */

struct text_line {
	const char *text; /* borrowed, without its line end */
	size_t size;
	bool ended; /* false: the last line, and no line end behind it */
};

struct text_diff {
	struct text_line *a, *b;
	uint32_t a_count, b_count;
	struct script script;
};

/** text_is_text() - UTF-8 without NUL and of a size that is looked at. */
bool text_is_text(const void *data, size_t size);
/** text_split() - lines of @data, borrowed from it. Return: 0 (free() *linesp), -ENOMEM. */
int text_split(const void *data, size_t size, struct text_line **linesp,
	       uint32_t *countp);
/** text_diff_make() - both borrowed until text_diff_fini(). Return: 0, -ENOMEM. */
int text_diff_make(struct text_diff *d, const void *a, size_t a_size, const void *b,
		   size_t b_size);
void text_diff_fini(struct text_diff *d);
/** text_diff_render() - append a unified diff with three lines around; nothing if they are equal.
 * @a_name, @b_name: for the two lines of its head; NULL: no head. */
void text_diff_render(struct buf *out, const struct text_diff *d, const char *a_name,
		      const char *b_name);

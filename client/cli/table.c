/* table.c - see table.h. */
#include "client/cli/table.h"

#include "common/json.h"
#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

#define GAP 2

void table_init(struct table *t, size_t columns)
{
	assert(columns > 0 && columns <= TABLE_COLUMNS_MAX);
	*t = (struct table){.columns = columns};
}

void table_fini(struct table *t)
{
	buf_fini(&t->text);
	free(t->cells);
	*t = (struct table){0};
}

void table_cell(struct table *t, const char *text)
{
	mem_grow(t->cells, t->cell_count, t->cell_capacity);
	t->cells[t->cell_count++] = t->text.size;
	text_escape(&t->text, text, strlen(text));
	buf_add_byte(&t->text, '\0');
}

void table_cellf(struct table *t, const char *fmt, ...)
{
	CLEANUP_BUF struct buf text = {0};
	va_list args;
	va_start(args, fmt);
	buf_vprintf(&text, fmt, args);
	va_end(args);
	table_cell(t, buf_cstr(&text));
}

/* Columns on a terminal of characters that do not take one. */
static const struct wide {
	uint32_t first, last;
	uint8_t columns;
} wides[] = {
	{0x300, 0x36f, 0},     {0x1ab0, 0x1aff, 0},   {0x1dc0, 0x1dff, 0},
	{0x200b, 0x200f, 0},   {0x20d0, 0x20ff, 0},   {0x1100, 0x115f, 2},
	{0x2e80, 0x303e, 2},   {0x3041, 0x33ff, 2},   {0x3400, 0x4dbf, 2},
	{0x4e00, 0x9fff, 2},   {0xa000, 0xa4cf, 2},   {0xac00, 0xd7a3, 2},
	{0xf900, 0xfaff, 2},   {0xfe00, 0xfe0f, 0},   {0xfe20, 0xfe2f, 0},
	{0xfe30, 0xfe6f, 2},   {0xff00, 0xff60, 2},   {0xffe0, 0xffe6, 2},
	{0x1f300, 0x1f64f, 2}, {0x1f680, 0x1f6ff, 2}, {0x1f900, 0x1f9ff, 2},
	{0x20000, 0x3fffd, 2},
};

static size_t columns_of(uint32_t character)
{
	for (size_t i = 0; character >= 0x300 && i < ARRAY_LEN(wides); i++)
		if (character >= wides[i].first && character <= wides[i].last)
			return wides[i].columns;
	return 1;
}

size_t text_width(const char *text)
{
	size_t width = 0;
	for (const unsigned char *at = (const unsigned char *)text; *at;) {
		uint32_t character = *at < 0xc0	  ? *at
				     : *at < 0xe0 ? *at & 0x1f
				     : *at < 0xf0 ? *at & 0x0f
						  : *at & 0x07;
		for (at++; (*at & 0xc0) == 0x80; at++)
			character = character << 6 | (*at & 0x3f);
		width += columns_of(character);
	}
	return width;
}

bool text_is_number(const char *text)
{
	char *end;
	if (!*text)
		return true; /* nothing there does not make a column of text */
	strtod(text, &end);
	return end != text &&
	       (*end == '\0' || strcmp(end, "s") == 0 || strcmp(end, "ms") == 0);
}

void table_put(struct buf *out, const char *text, size_t width, bool right, bool last)
{
	size_t used = text_width(text), pad = used < width ? width - used : 0;
	if (right)
		buf_printf(out, "%*s", (int)pad, "");
	buf_add_str(out, text);
	if (!last) {
		buf_printf(out, "%*s", (int)(GAP + (right ? 0 : pad)), "");
		return;
	}
	while (out->size && out->data[out->size - 1] == ' ')
		out->size--; /* of empty cells at the end */
	buf_add_byte(out, '\n');
}

static const char *cell_at(const struct table *t, size_t i)
{
	return (const char *)t->text.data + t->cells[i];
}

void table_render(struct table *t, struct buf *out, bool color)
{
	size_t widths[TABLE_COLUMNS_MAX] = {0};
	if (!t->cell_count || t->text.failed)
		return;
	memset(t->right, true, sizeof t->right);
	for (size_t i = 0; i < t->cell_count; i++) {
		size_t column = i % t->columns, width = text_width(cell_at(t, i));
		if (width > widths[column])
			widths[column] = width;
		if (i >= t->columns && !text_is_number(cell_at(t, i)))
			t->right[column] = false;
	}
	for (size_t i = 0; i < t->cell_count; i++) {
		size_t column = i % t->columns;
		if (color && i == 0)
			buf_add_str(out, TABLE_BOLD);
		table_put(out, cell_at(t, i), widths[column], t->right[column],
			  column == t->columns - 1);
		if (color && i == t->columns - 1) {
			out->size--;
			buf_add_str(out, TABLE_PLAIN "\n");
		}
	}
}

/* table.h - columns on standard output: as wide as their widest cell, numbers to the right, text
 * of strangers escaped. */
#pragma once

#include "common/pure/buf.h"

struct table {
	struct buf text; /* of all cells, NUL-terminated */
	size_t *cells;	 /* offsets in @text, row by row */
	size_t cell_count, cell_capacity;
	size_t columns;
	bool right[64]; /* of a column: all its cells but the first are numbers */
};

#define TABLE_COLUMNS_MAX 64
#define TABLE_BOLD "\033[1m"
#define TABLE_PLAIN "\033[0m"

/** table_init() - @columns: at most TABLE_COLUMNS_MAX. The first row is the head. */
void table_init(struct table *t, size_t columns);
/** table_cell() - the next cell, row by row; @text is escaped. */
void table_cell(struct table *t, const char *text);
void table_cellf(struct table *t, const char *fmt, ...) PRINTF(2, 3);
/** table_render() - append all rows, two spaces between columns, to @out. @head: ANSI text before
 * and after the first row, or NULL. */
void table_render(struct table *t, struct buf *out, bool color);
void table_fini(struct table *t);
/** text_width() - columns that a UTF-8 text takes on a terminal: one for most characters, two for East
 * Asian ones, none for those that are put over others. */
size_t text_width(const char *text);
/** text_is_number() - so that it stands to the right; nothing at all is no reason against it. */
bool text_is_number(const char *text);
/** table_put() - one cell of a line, for those who know the widths; @last ends the line. */
void table_put(struct buf *out, const char *text, size_t width, bool right, bool last);

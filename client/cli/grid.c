/* grid.c - see grid.h. A row in the spool: its size (4 bytes), then for each cell the column (4 bytes)
 * and the text with its NUL, escaped already if it is for people. */
#include "client/cli/grid.h"

#include "client/cli/cli.h"
#include "common/pure/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE (256u << 10)

void grid_init(struct grid *g, bool csv)
{
	*g = (struct grid){.csv = csv};
}

void grid_fini(struct grid *g)
{
	intern_fini(&g->names);
	free(g->columns);
	spool_fini(&g->rows);
	buf_fini(&g->row);
	*g = (struct grid){0};
}

void grid_choose(struct grid *g, enum grid_kind kind, const struct text_list *names)
{
	g->chosen[kind] = names;
}

const char *grid_name(const struct grid *g, uint32_t column)
{
	return intern_text(&g->names, column) + 1;
}

static uint32_t rank_of(struct grid *g, enum grid_kind kind, const char *name)
{
	const struct text_list *chosen = g->chosen[kind];
	uint32_t met = g->met[kind]++;
	if (!chosen || !chosen->count)
		return met;
	for (size_t i = 0; i < chosen->count; i++)
		if (strcmp(chosen->items[i], name) == 0)
			return (uint32_t)i;
	return GRID_NOT_CHOSEN;
}

uint32_t grid_column(struct grid *g, enum grid_kind kind, const char *name, uint32_t hint)
{
	if (hint < g->names.count && g->columns[hint].kind == kind &&
	    strcmp(grid_name(g, hint), name) == 0)
		return hint;
	CLEANUP_BUF struct buf key = {0};
	buf_add_byte(&key, (uint8_t)('0' + kind));
	buf_add(&key, name, strlen(name) + 1);
	size_t before = g->names.count;
	uint32_t column = intern_add(&g->names, key.data, key.size);
	if (column < before)
		return column;
	mem_grow(g->columns, before, g->column_capacity);
	g->columns[column] =
		(struct grid_column){.kind = kind, .rank = rank_of(g, kind, name)};
	return column;
}

void grid_cell(struct grid *g, uint32_t column, const char *text)
{
	struct grid_column *c = &g->columns[column];
	if (c->rank == GRID_NOT_CHOSEN)
		return;
	if (!g->row.size)
		buf_add(&g->row, &(uint32_t){0}, sizeof(uint32_t));
	buf_add(&g->row, &column, sizeof column);
	size_t at = g->row.size;
	if (g->csv)
		buf_add_str(&g->row, text);
	else
		text_escape(&g->row, text, strlen(text));
	buf_add_byte(&g->row, '\0');
	if (g->row.failed)
		abort(); /* as mem_alloc() */
	const char *kept = (const char *)g->row.data + at;
	size_t width = g->csv ? 0 : text_width(kept);
	c->width = width > c->width ? width : c->width;
	c->is_text = c->is_text || !text_is_number(kept);
	c->any = c->any || *kept;
}

void grid_end_row(struct grid *g)
{
	if (!g->row.size)
		buf_add(&g->row, &(uint32_t){0}, sizeof(uint32_t));
	uint32_t size = (uint32_t)(g->row.size - sizeof size);
	memcpy(g->row.data, &size, sizeof size);
	spool_add(&g->rows, g->row.data, g->row.size);
	buf_reset(&g->row);
}

/* ---- printing ---- */

struct printing {
	struct grid *grid;
	uint32_t *order; /* columns as they are shown */
	size_t count;
	const char **texts; /* of a row, by column */
};

static int cmp_columns(const void *a, const void *b, void *arg)
{
	const struct grid *g = arg;
	const struct grid_column *x = &g->columns[*(const uint32_t *)a],
				 *y = &g->columns[*(const uint32_t *)b];
	if (x->kind != y->kind)
		return (int)x->kind - (int)y->kind;
	return x->rank < y->rank ? -1 : x->rank > y->rank;
}

static bool is_fixed(const struct grid_column *c)
{
	return c->kind != GRID_PARAM && c->kind != GRID_METRIC;
}

/* Return: how many columns a terminal has no room for. */
static size_t choose_columns(struct printing *p)
{
	struct grid *g = p->grid;
	size_t fixed = 0, left_out = 0;
	p->order = mem_alloc((g->names.count + 1) * sizeof *p->order);
	for (uint32_t i = 0; i < g->names.count; i++) {
		const struct grid_column *c = &g->columns[i];
		if (c->rank == GRID_NOT_CHOSEN || (c->lazy && !c->any))
			continue;
		fixed += is_fixed(c);
		p->order[p->count++] = i;
	}
	qsort_r(p->order, p->count, sizeof *p->order, cmp_columns, g);
	size_t room = fixed < TABLE_COLUMNS_MAX ? TABLE_COLUMNS_MAX - fixed : 1;
	if (g->csv || p->count <= fixed + room)
		return 0;
	size_t kept = 0, free_shown = 0;
	for (size_t i = 0; i < p->count; i++) {
		if (is_fixed(&g->columns[p->order[i]]) || free_shown++ < room)
			p->order[kept++] = p->order[i];
		else
			left_out++;
	}
	p->count = kept;
	return left_out;
}

/* RFC 4180: quoted when it must be. Control characters stay: this is data, but for a terminal. */
static void csv_cell(const struct cli *cli, struct buf *out, const char *text, bool last)
{
	CLEANUP_BUF struct buf escaped = {0};
	if (cli->tty_out) {
		text_escape(&escaped, text, strlen(text));
		text = buf_cstr(&escaped);
	}
	if (!strpbrk(text, ",\"\r\n")) {
		buf_add_str(out, text);
	} else {
		buf_add_byte(out, '"');
		for (; *text; text++) {
			if (*text == '"')
				buf_add_byte(out, '"');
			buf_add_byte(out, (uint8_t)*text);
		}
		buf_add_byte(out, '"');
	}
	buf_add_byte(out, last ? '\n' : ',');
}

static void print_head(const struct cli *cli, const struct printing *p, struct buf *out)
{
	const struct grid *g = p->grid;
	if (cli->color_out && !g->csv)
		buf_add_str(out, TABLE_BOLD);
	for (size_t i = 0; i < p->count; i++) {
		const struct grid_column *c = &g->columns[p->order[i]];
		CLEANUP_BUF struct buf name = {0};
		bool last = i + 1 == p->count;
		if (g->csv && (c->kind == GRID_PARAM || c->kind == GRID_METRIC))
			buf_add_str(&name,
				    c->kind == GRID_PARAM ? "params." : "metrics.");
		if (g->csv) {
			buf_add_str(&name, grid_name(g, p->order[i]));
			csv_cell(cli, out, buf_cstr(&name), last);
			continue;
		}
		text_escape(&name, grid_name(g, p->order[i]),
			    strlen(grid_name(g, p->order[i])));
		table_put(out, buf_cstr(&name), c->width, !c->is_text, last);
	}
	if (cli->color_out && !g->csv) {
		out->size--;
		buf_add_str(out, TABLE_PLAIN "\n");
	}
}

static void print_row(const struct cli *cli, const struct printing *p, const char *row,
		      size_t size, struct buf *out)
{
	const struct grid *g = p->grid;
	for (size_t i = 0; i < g->names.count; i++)
		p->texts[i] = "";
	for (size_t at = 0; at < size;) {
		uint32_t column;
		memcpy(&column, row + at, sizeof column);
		p->texts[column] = row + at + sizeof column;
		at += sizeof column + strlen(p->texts[column]) + 1;
	}
	size_t began = out->size;
	for (size_t i = 0; i < p->count; i++) {
		const struct grid_column *c = &g->columns[p->order[i]];
		const char *text = p->texts[p->order[i]];
		bool last = i + 1 == p->count;
		if (g->csv)
			csv_cell(cli, out, text, last);
		else
			table_put(out, text, c->width, !c->is_text, last);
	}
	if (out->size == began)
		buf_add_byte(out, '\n');
}

static int print_rows(struct cli *cli, const struct printing *p, struct buf *out)
{
	struct spool *rows = &p->grid->rows;
	const void *head;
	while ((head = spool_next(rows, sizeof(uint32_t)))) {
		uint32_t size;
		memcpy(&size, head, sizeof size);
		const char *row = spool_next(rows, size);
		if (!row)
			break;
		print_row(cli, p, row, size, out);
		int failed = out->size >= PIECE ? cli_write(cli, out) : 0;
		if (failed)
			return failed;
	}
	return 0;
}

static int spool_failed(struct cli *cli, int error)
{
	struct err e;
	err_set(&e, ERR_FAILED, "a temporary file cannot be used: %s", strerror(-error));
	err_next(&e, "TMPDIR says where such files are");
	return cli_fail_err(cli, &e);
}

int grid_print(struct cli *cli, struct grid *g)
{
	struct printing p = {.grid = g};
	CLEANUP_BUF struct buf out = {0};
	int error = spool_rewind(&g->rows);
	if (error)
		return spool_failed(cli, error);
	for (size_t i = 0; i < g->names.count; i++) {
		CLEANUP_BUF struct buf name = {0};
		const char *text = grid_name(g, (uint32_t)i);
		text_escape(&name, text, strlen(text));
		size_t width = text_width(buf_cstr(&name));
		if (width > g->columns[i].width)
			g->columns[i].width = width;
	}
	size_t left_out = choose_columns(&p);
	p.texts = mem_alloc((g->names.count + 1) * sizeof *p.texts);
	print_head(cli, &p, &out);
	int code = print_rows(cli, &p, &out);
	if (code == 0 && g->rows.error)
		code = spool_failed(cli, g->rows.error);
	if (code == 0)
		code = cli_write(cli, &out);
	if (left_out)
		cli_note(cli,
			 "%zu more columns: --csv and --json have them, --param and "
			 "--metric choose",
			 left_out);
	free(p.order);
	free(p.texts);
	return code;
}

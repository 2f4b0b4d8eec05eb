/* show.c - how values, titles, durations and whole batches look to people. */
#include "client/cli/cli.h"

#include "common/clock.h"
#include "common/num.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ERROR_WIDTH 60 /* characters of an error in a table */

static void add_double(struct buf *out, double value, bool exact)
{
	char text[32];
	if (exact || !isfinite(value))
		buf_add_str(out, num_format_double(text, value));
	else
		buf_printf(out, "%.6g", value);
}

void show_value(struct buf *out, const struct cashet_value *value, bool exact)
{
	switch (value->type) {
	case CASHET_BOOL:
		buf_add_str(out, value->boolean ? "true" : "false");
		break;
	case CASHET_INT:
		buf_printf(out, "%" PRId64, value->i);
		break;
	case CASHET_UINT:
		buf_printf(out, "%" PRIu64, value->u);
		break;
	case CASHET_DOUBLE:
		add_double(out, value->d, exact);
		break;
	case CASHET_STRING:
		buf_add_str(out, value->text);
		break;
	}
}

void show_title(struct buf *out, const char *name, const struct cashet_param *params,
		size_t count)
{
	text_escape(out, name, strlen(name));
	for (size_t i = 0; i < count; i++) {
		CLEANUP_BUF struct buf value = {0};
		show_value(&value, &params[i].value, false);
		buf_add_byte(out, i ? ',' : '[');
		text_escape(out, params[i].name, strlen(params[i].name));
		buf_add_byte(out, '=');
		text_escape(out, buf_cstr(&value), value.size);
	}
	if (count)
		buf_add_byte(out, ']');
}

const char *show_status(const struct cashet_result *r)
{
	return r->cached ? "cached" : cashet_status_name(r->status);
}

void show_duration(struct buf *out, uint64_t ns)
{
	uint64_t s = ns / NS_PER_S;
	if (ns < NS_PER_S / 10)
		buf_printf(out, "%.1fms", (double)ns / NS_PER_MS);
	else if (s < 60)
		buf_printf(out, "%.2fs", (double)ns / NS_PER_S);
	else if (s < 3600)
		buf_printf(out, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
	else
		buf_printf(out, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
}

void show_ago(struct buf *out, uint64_t wall_ms)
{
	uint64_t now = clock_wall_ms();
	uint64_t s = now > wall_ms ? (now - wall_ms) / 1000 : 0;
	if (!wall_ms)
		buf_add_byte(out, '-');
	else if (s < 60)
		buf_printf(out, "%" PRIu64 "s ago", s);
	else if (s < 3600)
		buf_printf(out, "%" PRIu64 "m ago", s / 60);
	else if (s < 48 * 3600)
		buf_printf(out, "%" PRIu64 "h ago", s / 3600);
	else
		buf_printf(out, "%" PRIu64 "d ago", s / 86400);
}

void show_counts(struct buf *out, const struct cashet_counts *c)
{
	const struct {
		const char *name;
		uint64_t count;
	} parts[] = {
		{"cached", c->cached},
		{"executed", c->executed},
		{"deduplicated", c->deduplicated},
		{"running", c->running},
		{"ready", c->ready},
		{"waiting", c->waiting},
		{"failed", c->failed},
		{"skipped", c->skipped},
		{"cancelled", c->cancelled},
	};
	buf_printf(out, "%" PRIu64 " task%s", c->total, c->total == 1 ? "" : "s");
	bool first = true;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (!parts[i].count)
			continue;
		buf_printf(out, "%s%" PRIu64 " %s", first ? ": " : ", ", parts[i].count,
			   parts[i].name);
		first = false;
	}
}

void show_short(char out[SHORT_HASH + 1], const uint8_t digest[32])
{
	hex_encode(out, digest, SHORT_HASH / 2);
}

/* ---- a batch as a grid: which columns there are is known only at its end ---- */

enum column_kind { COLUMN_PARAM, COLUMN_METRIC };

struct column {
	char *name;
	enum column_kind kind;
};

struct cell {
	uint32_t column;
	size_t text; /* offset in the grid's */
};

struct line { /* fixed columns of a row, as offsets; then its cells */
	size_t first_cell, cell_count;
	uint32_t index;
	size_t name, status, duration, worker, error;
	int exit_code;
	uint32_t attempts;
	char commit[CASHET_HEX_SIZE];
};

struct grid {
	struct buf text;
	struct column *columns;
	size_t column_count, column_capacity;
	struct cell *cells;
	size_t cell_count, cell_capacity;
	struct line *lines;
	size_t line_count, line_capacity;
};

static void grid_fini(struct grid *g)
{
	for (size_t i = 0; i < g->column_count; i++)
		free(g->columns[i].name);
	free(g->columns);
	free(g->cells);
	free(g->lines);
	buf_fini(&g->text);
}

static size_t keep(struct grid *g, const char *text)
{
	size_t at = g->text.size;
	buf_add(&g->text, text, strlen(text) + 1);
	return at;
}

static const char *kept(const struct grid *g, size_t at)
{
	return (const char *)g->text.data + at;
}

/* Neighbours have the same columns in the same order, so looking from @hint on finds it at once. */
static uint32_t find_column(struct grid *g, enum column_kind kind, const char *name,
			    size_t hint)
{
	for (size_t n = 0; n < g->column_count; n++) {
		size_t i = (hint + n) % g->column_count;
		if (g->columns[i].kind == kind && strcmp(g->columns[i].name, name) == 0)
			return (uint32_t)i;
	}
	mem_grow(g->columns, g->column_count, g->column_capacity);
	g->columns[g->column_count] =
		(struct column){.name = mem_strdup(name), .kind = kind};
	return (uint32_t)g->column_count++;
}

static void add_cell(struct grid *g, uint32_t column, const struct buf *text)
{
	mem_grow(g->cells, g->cell_count, g->cell_capacity);
	g->cells[g->cell_count++] = (struct cell){.column = column, .text = g->text.size};
	buf_add(&g->text, text->data, text->size);
	buf_add_byte(&g->text, '\0');
}

static void add_line(struct grid *g, const struct cashet_result *r, bool exact)
{
	CLEANUP_BUF struct buf text = {0};
	size_t first = g->cell_count;
	uint32_t column = 0;
	for (size_t i = 0; i < r->param_count; i++) {
		buf_reset(&text);
		show_value(&text, &r->params[i].value, exact);
		column = find_column(g, COLUMN_PARAM, r->params[i].name, column + 1);
		add_cell(g, column, &text);
	}
	for (size_t i = 0; i < r->metric_count; i++) {
		const struct cashet_metric *m = &r->metrics[i];
		buf_reset(&text);
		if (m->is_text)
			buf_add_str(&text, m->text);
		else
			add_double(&text, m->number, exact);
		column = find_column(g, COLUMN_METRIC, m->name, column + 1);
		add_cell(g, column, &text);
	}
	struct line line = {
		.first_cell = first,
		.cell_count = g->cell_count - first,
		.index = r->index,
		.exit_code = r->exit_code,
		.attempts = r->attempts,
		.name = keep(g, r->name),
		.status = keep(g, exact ? cashet_status_name(r->status) : show_status(r)),
		.worker = keep(g, r->worker),
		.error = keep(g, r->error),
	};
	buf_reset(&text);
	if (exact)
		buf_printf(&text, "%.3f", (double)r->duration_ns / NS_PER_MS);
	else if (r->duration_ns)
		show_duration(&text, r->duration_ns);
	line.duration = keep(g, buf_cstr(&text));
	if (r->has_commit)
		hex_encode(line.commit, r->commit, sizeof r->commit);
	mem_grow(g->lines, g->line_count, g->line_capacity);
	g->lines[g->line_count++] = line;
}

static int read_grid(struct cli *cli, struct cashet_results *results, bool exact,
		     struct grid *g)
{
	struct cashet_error e;
	const struct cashet_result *r;
	for (;;) {
		if (cashet_results_next(results, &r, &e))
			return cli_fail(cli, &e);
		if (!r)
			return 0;
		add_line(g, r, exact);
	}
}

/* The cells of a line, by column; "" where it has none. */
static void spread(const struct grid *g, const struct line *line, const char **texts)
{
	for (size_t i = 0; i < g->column_count; i++)
		texts[i] = "";
	for (size_t i = 0; i < line->cell_count; i++) {
		const struct cell *cell = &g->cells[line->first_cell + i];
		texts[cell->column] = kept(g, cell->text);
	}
}

static int cmp_columns(const void *a, const void *b)
{
	const struct column *const *x = a, *const *y = b;
	if ((*x)->kind != (*y)->kind)
		return (int)(*x)->kind - (int)(*y)->kind;
	return *x < *y ? -1 : *x > *y;
}

/* Parameters first, then metrics, each in order of appearance. */
static size_t *order_columns(const struct grid *g)
{
	size_t *order = mem_alloc((g->column_count + 1) * sizeof *order);
	const struct column **sorted = mem_alloc((g->column_count + 1) * sizeof *sorted);
	for (size_t i = 0; i < g->column_count; i++)
		sorted[i] = &g->columns[i];
	qsort(sorted, g->column_count, sizeof *sorted, cmp_columns);
	for (size_t i = 0; i < g->column_count; i++)
		order[i] = (size_t)(sorted[i] - g->columns);
	free(sorted);
	return order;
}

/* An error may quote a whole PATH; the table tells its beginning, --json and --csv all of it. */
static void error_cell(struct table *t, const char *text)
{
	size_t at = 0;
	for (size_t width = 0; text[at]; at++) {
		if (((unsigned char)text[at] & 0xc0) == 0x80)
			continue;
		if (width++ == ERROR_WIDTH)
			break;
	}
	if (text[at])
		table_cellf(t, "%.*s...", (int)at, text);
	else
		table_cell(t, text);
}

static void render_lines(struct cli *cli, const struct grid *g, const size_t *order,
			 const char *batch, struct buf *out)
{
	enum { FIXED = 6 }; /* task, name, status, time, commit, error */
	size_t shown = g->column_count;
	if (shown > TABLE_COLUMNS_MAX - FIXED)
		shown = TABLE_COLUMNS_MAX - FIXED;
	bool errors = false;
	for (size_t i = 0; i < g->line_count; i++)
		errors = errors || *kept(g, g->lines[i].error);
	struct table t;
	table_init(&t, shown + FIXED - !errors);
	table_cell(&t, "task");
	table_cell(&t, "name");
	for (size_t i = 0; i < shown; i++)
		table_cell(&t, g->columns[order[i]].name);
	table_cell(&t, "status");
	table_cell(&t, "time");
	table_cell(&t, "commit");
	if (errors)
		table_cell(&t, "error");
	const char **texts = mem_alloc((g->column_count + 1) * sizeof *texts);
	for (size_t i = 0; i < g->line_count; i++) {
		const struct line *line = &g->lines[i];
		spread(g, line, texts);
		table_cellf(&t, "%.*s:%" PRIu32, SHORT_HASH, batch, line->index);
		table_cell(&t, kept(g, line->name));
		for (size_t k = 0; k < shown; k++)
			table_cell(&t, texts[order[k]]);
		table_cell(&t, kept(g, line->status));
		table_cell(&t, kept(g, line->duration));
		table_cellf(&t, "%.*s", SHORT_HASH, line->commit);
		if (errors)
			error_cell(&t, kept(g, line->error));
	}
	free(texts);
	table_render(&t, out, cli->color_out);
	table_fini(&t);
	if (shown < g->column_count)
		cli_note(cli, "%zu more columns: --csv and --json have them",
			 g->column_count - shown);
}

/* RFC 4180: quoted when it must be. Control characters stay: this is data. */
static void csv_cell(struct buf *out, const char *text, bool last)
{
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

static void render_csv(const struct grid *g, const size_t *order, struct buf *out)
{
	buf_add_str(
		out,
		"index,name,status,attempts,exit_code,duration_ms,worker,commit,error");
	for (size_t i = 0; i < g->column_count; i++) {
		const struct column *column = &g->columns[order[i]];
		CLEANUP_BUF struct buf name = {0};
		buf_printf(&name, "%s.%s",
			   column->kind == COLUMN_PARAM ? "params" : "metrics",
			   column->name);
		buf_add_byte(out, ',');
		csv_cell(out, buf_cstr(&name), false);
		out->size--; /* the comma: written in front of the next */
	}
	buf_add_byte(out, '\n');
	const char **texts = mem_alloc((g->column_count + 1) * sizeof *texts);
	for (size_t i = 0; i < g->line_count; i++) {
		const struct line *line = &g->lines[i];
		spread(g, line, texts);
		buf_printf(out, "%" PRIu32 ",", line->index);
		csv_cell(out, kept(g, line->name), false);
		csv_cell(out, kept(g, line->status), false);
		buf_printf(out, "%" PRIu32 ",", line->attempts);
		if (line->exit_code >= 0)
			buf_printf(out, "%d", line->exit_code);
		buf_printf(out, ",%s,", kept(g, line->duration));
		csv_cell(out, kept(g, line->worker), false);
		buf_printf(out, "%s,", line->commit);
		csv_cell(out, kept(g, line->error), g->column_count == 0);
		for (size_t k = 0; k < g->column_count; k++)
			csv_cell(out, texts[order[k]], k == g->column_count - 1);
	}
	free(texts);
}

int show_table(struct cli *cli, struct cashet_results *results, bool csv)
{
	struct grid g = {0};
	CLEANUP_BUF struct buf out = {0};
	int r = read_grid(cli, results, csv, &g);
	if (r == 0) {
		size_t *order = order_columns(&g);
		if (csv)
			render_csv(&g, order, &out);
		else
			render_lines(cli, &g, order, cashet_results_batch(results)->batch,
				     &out);
		free(order);
		r = cli_write(cli, &out);
	}
	grid_fini(&g);
	return r;
}

/* grid.h - a table of which the columns are known only at its end, as text or as CSV.
 *
 * Rows are cells by column and need not have all; they wait in a spool, so memory goes with columns
 * and not with rows. Columns of parameters and metrics appear in the order in which they first came,
 * or as they were chosen. */
#pragma once

#include "client/cli/intern.h"
#include "client/cli/spool.h"

struct cli;
struct text_list;

enum grid_kind { /* in the order in which they stand */
		 GRID_BEFORE,
		 GRID_PARAM,
		 GRID_COUNT,
		 GRID_METRIC,
		 GRID_AFTER,
		 GRID_KINDS,
};

struct grid_column {
	enum grid_kind kind;
	uint32_t rank; /* within its kind; GRID_NOT_CHOSEN: not to be shown */
	size_t width;
	bool is_text; /* has a cell that is no number */
	bool any;     /* has a cell with something in it */
	bool lazy;    /* shown only if it has */
};
#define GRID_NOT_CHOSEN UINT32_MAX

struct grid {
	bool csv;
	struct intern
		names; /* kind and name, with its NUL: numbers are those of columns */
	struct grid_column *columns;
	size_t column_capacity;
	uint32_t met[GRID_KINDS];		    /* columns of a kind */
	const struct text_list *chosen[GRID_KINDS]; /* borrowed; empty or NULL: all */
	struct spool rows;
	struct buf row; /* the one that is being filled in */
};

void grid_init(struct grid *g, bool csv);
void grid_fini(struct grid *g);
/** grid_choose() - of @kind show only these, in this order. Before the first row. */
void grid_choose(struct grid *g, enum grid_kind kind, const struct text_list *names);
/** grid_column() - the column of this name. @hint: where to look first; neighbours have the same
 * columns in the same order. */
uint32_t grid_column(struct grid *g, enum grid_kind kind, const char *name,
		     uint32_t hint);
const char *grid_name(const struct grid *g, uint32_t column);
/** grid_cell() - of the row that is being filled in; at most one per column. */
void grid_cell(struct grid *g, uint32_t column, const char *text);
void grid_end_row(struct grid *g);
/** grid_print() - all of it to standard output. Return: 0 or an exit code, printed. */
int grid_print(struct cli *cli, struct grid *g);

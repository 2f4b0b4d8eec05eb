/* results_tasks.c - a batch as a table: a row per task, columns for parameters and metrics. */
#include "client/cli/grid.h"
#include "client/cli/results.h"

#include "common/pure/hex.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ERROR_WIDTH 60 /* characters of an error in a table */

static void put(struct grid *g, enum grid_kind kind, const char *name, const char *text)
{
	grid_cell(g, grid_column(g, kind, name, INTERN_NONE), text);
}

static void put_values(struct grid *g, const struct cashet_result *r)
{
	CLEANUP_BUF struct buf text = {0};
	uint32_t column = INTERN_NONE - 1;
	for (size_t i = 0; i < r->param_count; i++) {
		buf_reset(&text);
		show_value(&text, &r->params[i].value, g->csv ? SHOW_CSV : SHOW_TABLE);
		column = grid_column(g, GRID_PARAM, r->params[i].name, column + 1);
		grid_cell(g, column, buf_cstr(&text));
	}
	for (size_t i = 0; i < r->metric_count; i++) {
		const struct cashet_metric *m = &r->metrics[i];
		buf_reset(&text);
		if (m->is_text)
			buf_add_str(&text, m->text);
		else
			show_double(&text, m->number, g->csv);
		column = grid_column(g, GRID_METRIC, m->name, column + 1);
		grid_cell(g, column, buf_cstr(&text));
	}
}

/* An error may quote a whole PATH; the table tells its beginning, --json and --csv all of it. */
static void put_error(struct grid *g, const char *error)
{
	CLEANUP_BUF struct buf text = {0};
	show_cut(&text, error, ERROR_WIDTH);
	uint32_t column = grid_column(g, GRID_AFTER, "error", INTERN_NONE);
	g->columns[column].lazy = true;
	grid_cell(g, column, buf_cstr(&text));
}

static void put_task(struct grid *g, const struct cashet_result *r,
		     const struct cashet_batch *batch)
{
	CLEANUP_BUF struct buf time = {0};
	char task[64], commit[SHORT_HASH + 1] = "";
	snprintf(task, sizeof task, "%.*s:%" PRIu32, SHORT_HASH, batch->batch, r->index);
	put(g, GRID_BEFORE, "task", task);
	put(g, GRID_BEFORE, "name", r->name);
	put_values(g, r);
	put(g, GRID_AFTER, "status", show_status(r));
	if (r->duration_ns)
		show_duration(&time, r->duration_ns);
	put(g, GRID_AFTER, "time", buf_cstr(&time));
	if (r->has_commit)
		show_short(commit, r->commit);
	bool removed = batch->ended && r->status == CASHET_COMPLETED && !r->has_commit;
	put(g, GRID_AFTER, "commit", removed ? "removed" : commit);
	put_error(g, r->error);
}

static void put_csv(struct grid *g, const struct cashet_result *r)
{
	char index[16], attempts[16], code[16] = "", time[48], commit[CASHET_HEX_SIZE];
	snprintf(index, sizeof index, "%" PRIu32, r->index);
	snprintf(attempts, sizeof attempts, "%" PRIu32, r->attempts);
	if (r->exit_code >= 0)
		snprintf(code, sizeof code, "%d", r->exit_code);
	snprintf(time, sizeof time, "%.3f", (double)(r->duration_ns / 1000) / 1000);
	commit[0] = '\0';
	if (r->has_commit)
		hex_encode(commit, r->commit, sizeof r->commit);
	put(g, GRID_BEFORE, "index", index);
	put(g, GRID_BEFORE, "name", r->name);
	put(g, GRID_BEFORE, "status", cashet_status_name(r->status));
	put(g, GRID_BEFORE, "attempts", attempts);
	put(g, GRID_BEFORE, "exit_code", code);
	put(g, GRID_BEFORE, "duration_ms", time);
	put(g, GRID_BEFORE, "worker", r->worker);
	put(g, GRID_BEFORE, "commit", commit);
	put(g, GRID_BEFORE, "error", r->error);
	put_values(g, r);
}

static int read_tasks(struct cli *cli, struct cashet_results *results, struct grid *g,
		      struct met *met)
{
	struct cashet_error e;
	const struct cashet_result *r;
	const struct cashet_batch *batch = cashet_results_batch(results);
	for (;;) {
		if (cashet_results_next(results, &r, &e))
			return cli_fail(cli, &e);
		if (!r)
			return 0;
		if (g->csv)
			put_csv(g, r);
		else
			put_task(g, r, batch);
		grid_end_row(g);
		if (met)
			met_note(met, r);
	}
}

int results_tasks(struct cli *cli, struct cashet_results *results, const struct wanted *w,
		  bool csv)
{
	struct grid g;
	struct met met = {0};
	bool choose = w && w->params.count + w->metrics.count > 0;
	const char *batch = cashet_results_batch(results)->batch;
	grid_init(&g, csv);
	if (choose) {
		grid_choose(&g, GRID_PARAM, &w->params);
		grid_choose(&g, GRID_METRIC, &w->metrics);
	}
	int code = read_tasks(cli, results, &g, choose ? &met : NULL);
	if (code == 0 && choose)
		code = met_check(cli, &w->params, &met.params, "parameter", batch);
	if (code == 0 && choose)
		code = met_check(cli, &w->metrics, &met.metrics, "metric", batch);
	if (code == 0)
		code = grid_print(cli, &g);
	met_fini(&met);
	grid_fini(&g);
	return code;
}

int show_table(struct cli *cli, struct cashet_results *results, bool csv)
{
	return results_tasks(cli, results, NULL, csv);
}

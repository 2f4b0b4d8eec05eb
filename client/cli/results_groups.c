/* results_groups.c - results --group-by: the numbers of many runs as one row per group. */
#include "client/cli/grid.h"
#include "client/cli/results.h"

#include "common/pure/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct shown { /* metrics in the order of their columns */
	size_t *metrics;
	size_t count;
};

static size_t find_metric(const struct cashet_groups *g, const char *name)
{
	size_t i = 0;
	while (i < g->metric_count && strcmp(g->metrics[i].name, name) != 0)
		i++;
	return i;
}

/* Those that were chosen, else all that have a number somewhere. */
static int choose_metrics(struct cli *cli, const struct cashet_groups *g,
			  const struct wanted *w, const char *batch, struct shown *out)
{
	size_t most =
		w->metrics.count > g->metric_count ? w->metrics.count : g->metric_count;
	out->metrics = mem_alloc((most + 1) * sizeof *out->metrics);
	for (size_t i = 0; !w->metrics.count && i < g->metric_count; i++)
		if (g->metrics[i].numbers)
			out->metrics[out->count++] = i;
	for (size_t i = 0; i < w->metrics.count; i++) {
		const char *name = w->metrics.items[i];
		size_t number = find_metric(g, name);
		if (number == g->metric_count)
			continue;
		const struct cashet_grouped_metric *m = &g->metrics[number];
		if (!m->numbers && !m->texts && !m->not_finite)
			continue; /* only tasks of no group have it */
		if (!m->numbers)
			return cli_usage(
				cli, "",
				"metric %s of batch %.*s is never a number: task "
				"%" PRIu32 " says %s",
				name, SHORT_HASH, batch, m->first, m->shown);
		out->metrics[out->count++] = number;
	}
	return 0;
}

static void tell_left_out(const struct cli *cli, const struct cashet_groups *g,
			  const struct wanted *w, const struct shown *shown)
{
	uint64_t unfinished = 0;
	for (size_t i = 0; i < g->group_count; i++)
		unfinished += g->groups[i].tasks - g->groups[i].completed;
	if (g->left_out) {
		CLEANUP_BUF struct buf by = {0};
		for (size_t i = 0; i < w->group_by.count; i++)
			buf_printf(&by, "%s%s", i ? ", " : "", w->group_by.items[i]);
		cli_note(cli, "without %s, left out: %" PRIu64 " of %" PRIu64 " tasks",
			 buf_cstr(&by), g->left_out, g->tasks);
	}
	if (unfinished)
		cli_note(cli,
			 "not completed, not in the numbers: %" PRIu64 " of %" PRIu64
			 " tasks",
			 unfinished, g->tasks);
	for (size_t i = 0; i < shown->count; i++) {
		const struct cashet_grouped_metric *m = &g->metrics[shown->metrics[i]];
		uint64_t left_out = m->texts + m->not_finite;
		CLEANUP_BUF struct buf name = {0}, text = {0};
		if (!left_out)
			continue;
		text_escape(&name, m->name, strlen(m->name));
		text_escape(&text, m->shown, strlen(m->shown));
		cli_note(cli,
			 "%s is no number in %" PRIu64 " of %" PRIu64
			 " tasks (task %" PRIu32 " says %s): left out",
			 buf_cstr(&name), left_out, left_out + m->numbers, m->first,
			 buf_cstr(&text));
	}
}

/* Return: false: there is none. */
static bool number_of(const struct cashet_summary *s, enum summary_kind kind, double *out)
{
	const double numbers[SUMMARY_KINDS] = {
		[SUMMARY_N] = (double)s->n, [SUMMARY_MEAN] = s->mean,
		[SUMMARY_STD] = s->std,	    [SUMMARY_MIN] = s->min,
		[SUMMARY_MAX] = s->max,	    [SUMMARY_MEDIAN] = s->median,
		[SUMMARY_SUM] = s->sum};
	*out = numbers[kind];
	return !isnan(*out);
}

/* ---- as a table ---- */

static void put_number(struct grid *g, enum grid_kind kind, const char *name,
		       uint64_t value)
{
	char text[24];
	snprintf(text, sizeof text, "%" PRIu64, value);
	grid_cell(g, grid_column(g, kind, name, INTERN_NONE), text);
}

static void put_summary(struct grid *g, const char *metric,
			const struct cashet_summary *s, enum summary_kind kind)
{
	CLEANUP_BUF struct buf text = {0}, name = {0};
	double value;
	buf_printf(&name, "%s.%s", metric, summary_names[kind]);
	uint32_t column = grid_column(g, GRID_METRIC, buf_cstr(&name), INTERN_NONE);
	if (!number_of(s, kind, &value))
		return;
	if (kind == SUMMARY_N)
		buf_printf(&text, "%.0f", value);
	else
		show_double(&text, value, g->csv);
	grid_cell(g, column, buf_cstr(&text));
}

static void put_group(struct grid *to, const struct cashet_groups *g,
		      const struct cashet_group *group, const struct wanted *w,
		      const struct shown *shown)
{
	CLEANUP_BUF struct buf text = {0};
	for (size_t i = 0; i < w->group_by.count; i++) {
		buf_reset(&text);
		show_value(&text, &group->values[i], to->csv ? SHOW_CSV : SHOW_TABLE);
		grid_cell(to,
			  grid_column(to, GRID_PARAM, w->group_by.items[i], INTERN_NONE),
			  buf_cstr(&text));
	}
	/* In front of the metrics, of which they belong to all. */
	put_number(to, GRID_COUNT, "tasks", group->tasks);
	put_number(to, GRID_COUNT, "completed", group->completed);
	for (size_t i = 0; i < shown->count; i++)
		for (unsigned k = 0; k < w->kind_count; k++)
			put_summary(to, g->metrics[shown->metrics[i]].name,
				    &group->metrics[shown->metrics[i]], w->kinds[k]);
	grid_end_row(to);
}

static int print_table(struct cli *cli, const struct cashet_groups *g,
		       const struct wanted *w, const struct shown *shown)
{
	struct grid grid;
	grid_init(&grid, cli->settings.csv);
	for (size_t i = 0; i < g->group_count; i++)
		put_group(&grid, g, &g->groups[i], w, shown);
	int code = grid_print(cli, &grid);
	grid_fini(&grid);
	return code;
}

/* ---- as JSON ---- */

static void json_summary(struct json *j, const struct cashet_summary *s,
			 const struct wanted *w)
{
	json_object(j);
	for (unsigned k = 0; k < w->kind_count; k++) {
		double value;
		json_key(j, summary_names[w->kinds[k]]);
		if (!number_of(s, w->kinds[k], &value))
			json_null(j);
		else if (w->kinds[k] == SUMMARY_N)
			json_uint(j, s->n);
		else
			json_double(j, value);
	}
	json_end_object(j);
}

static void json_group(struct json *j, const struct cashet_groups *g,
		       const struct cashet_group *group, const struct wanted *w,
		       const struct shown *shown)
{
	json_object(j);
	json_key(j, "params");
	json_object(j);
	for (size_t i = 0; i < w->group_by.count; i++) {
		json_key(j, w->group_by.items[i]);
		json_value(j, &group->values[i]);
	}
	json_end_object(j);
	json_key(j, "tasks");
	json_uint(j, group->tasks);
	json_key(j, "completed");
	json_uint(j, group->completed);
	json_key(j, "metrics");
	json_object(j);
	for (size_t i = 0; i < shown->count; i++) {
		json_key(j, g->metrics[shown->metrics[i]].name);
		json_summary(j, &group->metrics[shown->metrics[i]], w);
	}
	json_end_object(j);
	json_end_object(j);
}

static int print_json(struct cli *cli, const struct cashet_groups *g,
		      const struct wanted *w, const struct shown *shown,
		      const struct cashet_batch *batch)
{
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	json_batch(&j, &out, batch);
	json_key(&j, "group_by");
	json_array(&j);
	for (size_t i = 0; i < w->group_by.count; i++)
		json_string(&j, w->group_by.items[i]);
	json_end_array(&j);
	json_key(&j, "left_out");
	json_uint(&j, g->left_out);
	json_key(&j, "not_numbers");
	json_object(&j);
	for (size_t i = 0; i < shown->count; i++) {
		const struct cashet_grouped_metric *m = &g->metrics[shown->metrics[i]];
		if (!(m->texts + m->not_finite))
			continue;
		json_key(&j, m->name);
		json_uint(&j, m->texts + m->not_finite);
	}
	json_end_object(&j);
	json_key(&j, "groups");
	json_array(&j);
	for (size_t i = 0; i < g->group_count; i++) {
		json_group(&j, g, &g->groups[i], w, shown);
		int failed = json_pass(cli, &out);
		if (failed)
			return failed;
	}
	json_end_array(&j);
	return json_finish(cli, &j);
}

static int print_groups(struct cli *cli, const struct cashet_groups *g,
			const struct wanted *w, const struct cashet_batch *batch)
{
	struct shown shown = {0};
	int code = choose_metrics(cli, g, w, batch->batch, &shown);
	if (code == 0)
		code = cli->settings.json ? print_json(cli, g, w, &shown, batch)
					  : print_table(cli, g, w, &shown);
	if (code == 0)
		tell_left_out(cli, g, w, &shown);
	free(shown.metrics);
	return code;
}

/* Nothing is printed before it is known that all names are right. */
static int check_names(struct cli *cli, const struct cashet_groups *g,
		       const struct wanted *w, const char *batch)
{
	CLEANUP_FREE const char **names =
		mem_alloc((g->metric_count + 1) * sizeof *names);
	for (size_t i = 0; i < g->metric_count; i++)
		names[i] = g->metrics[i].name;
	int code = names_check(cli, &w->group_by, g->params, g->param_count, "parameter",
			       batch);
	return code ? code
		    : names_check(cli, &w->metrics, names, g->metric_count, "metric",
				  batch);
}

int results_groups(struct cli *cli, struct cashet_results *results,
		   const struct wanted *w)
{
	const struct cashet_batch *batch = cashet_results_batch(results);
	struct cashet_grouping how = {.by = w->group_by.items,
				      .by_count = w->group_by.count};
	struct cashet_groups *g;
	struct cashet_error e;
	for (unsigned i = 0; i < w->kind_count; i++)
		how.median = how.median || w->kinds[i] == SUMMARY_MEDIAN;
	if (cashet_groups(results, &how, &g, &e))
		return cli_fail(cli, &e);
	int code = check_names(cli, g, w, batch->batch);
	if (code == 0)
		code = print_groups(cli, g, w, batch);
	cashet_groups_free(g);
	return code;
}

/* results_groups.c - results --group-by: the numbers of many runs as one row per group. */
#include "client/cli/aggregate.h"
#include "client/cli/grid.h"
#include "client/cli/results.h"

#include "common/pure/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct shown { /* metrics in the order of their columns */
	uint32_t *metrics;
	size_t count;
};

static int read_all(struct cli *cli, struct cashet_results *results, struct aggregate *a,
		    struct met *met)
{
	struct cashet_error e;
	const struct cashet_result *r;
	for (;;) {
		if (cashet_results_next(results, &r, &e))
			return cli_fail(cli, &e);
		if (!r)
			return 0;
		aggregate_add(a, r);
		met_note(met, r);
	}
}

static bool has_numbers(const struct aggregate *a, uint32_t metric)
{
	return a->infos[metric].numbers > 0;
}

/* Those that were chosen, else all that have a number somewhere. */
static int choose_metrics(struct cli *cli, const struct aggregate *a,
			  const struct wanted *w, const char *batch, struct shown *out)
{
	size_t most =
		w->metrics.count > a->metrics.count ? w->metrics.count : a->metrics.count;
	out->metrics = mem_alloc((most + 1) * sizeof *out->metrics);
	for (uint32_t i = 0; !w->metrics.count && i < a->metrics.count; i++)
		if (has_numbers(a, i))
			out->metrics[out->count++] = i;
	for (size_t i = 0; i < w->metrics.count; i++) {
		const char *name = w->metrics.items[i];
		uint32_t metric = intern_find(&a->metrics, name, strlen(name) + 1);
		if (metric == INTERN_NONE) /* only tasks of no group have it */
			continue;
		if (!has_numbers(a, metric))
			return cli_usage(
				cli, "",
				"metric %s of batch %.*s is never a number: task "
				"%" PRIu32 " says %s",
				name, SHORT_HASH, batch, a->infos[metric].first,
				a->infos[metric].shown);
		out->metrics[out->count++] = metric;
	}
	return 0;
}

static void tell_left_out(const struct cli *cli, const struct aggregate *a,
			  const struct wanted *w, const struct shown *shown)
{
	uint64_t unfinished = 0;
	for (size_t i = 0; i < a->keys.count; i++)
		unfinished += a->groups[i].tasks - a->groups[i].completed;
	if (a->left_out) {
		CLEANUP_BUF struct buf by = {0};
		for (size_t i = 0; i < w->group_by.count; i++)
			buf_printf(&by, "%s%s", i ? ", " : "", w->group_by.items[i]);
		cli_note(cli, "without %s, left out: %" PRIu64 " of %" PRIu64 " tasks",
			 buf_cstr(&by), a->left_out, a->tasks);
	}
	if (unfinished)
		cli_note(cli,
			 "not completed, not in the numbers: %" PRIu64 " of %" PRIu64
			 " tasks",
			 unfinished, a->tasks);
	for (size_t i = 0; i < shown->count; i++) {
		const struct aggregate_metric *info = &a->infos[shown->metrics[i]];
		CLEANUP_BUF struct buf name = {0}, text = {0};
		const char *said = intern_text(&a->metrics, shown->metrics[i]);
		if (!(info->texts + info->nonfinite))
			continue;
		text_escape(&name, said, strlen(said));
		text_escape(&text, info->shown, strlen(info->shown));
		cli_note(cli,
			 "%s is no number in %" PRIu64 " of %" PRIu64
			 " tasks (task %" PRIu32 " says %s): left out",
			 buf_cstr(&name), info->texts + info->nonfinite,
			 info->texts + info->nonfinite + info->numbers, info->first,
			 buf_cstr(&text));
	}
}

/* ---- as a table ---- */

static const struct cashet_value *value_of(const struct aggregate *a, uint32_t group,
					   size_t column)
{
	return &a->values[group * a->by_count + column];
}

static void put_number(struct grid *g, enum grid_kind kind, const char *name,
		       uint64_t value)
{
	char text[24];
	snprintf(text, sizeof text, "%" PRIu64, value);
	grid_cell(g, grid_column(g, kind, name, INTERN_NONE), text);
}

static void put_group(struct grid *g, struct aggregate *a, uint32_t group,
		      const struct wanted *w, const struct shown *shown)
{
	CLEANUP_BUF struct buf text = {0};
	CLEANUP_BUF struct buf name = {0};
	for (size_t i = 0; i < a->by_count; i++) {
		buf_reset(&text);
		show_value(&text, value_of(a, group, i), g->csv);
		grid_cell(g, grid_column(g, GRID_PARAM, a->by[i], INTERN_NONE),
			  buf_cstr(&text));
	}
	/* In front of the metrics, of which they belong to all. */
	put_number(g, GRID_COUNT, "tasks", a->groups[group].tasks);
	put_number(g, GRID_COUNT, "completed", a->groups[group].completed);
	for (size_t i = 0; i < shown->count; i++) {
		for (unsigned k = 0; k < w->kind_count; k++) {
			double value;
			buf_reset(&name);
			buf_printf(&name, "%s.%s",
				   intern_text(&a->metrics, shown->metrics[i]),
				   summary_names[w->kinds[k]]);
			uint32_t column =
				grid_column(g, GRID_METRIC, buf_cstr(&name), INTERN_NONE);
			if (!aggregate_get(a, group, shown->metrics[i], w->kinds[k],
					   &value))
				continue;
			buf_reset(&text);
			if (w->kinds[k] == SUMMARY_N)
				buf_printf(&text, "%.0f", value);
			else
				show_double(&text, value, g->csv);
			grid_cell(g, column, buf_cstr(&text));
		}
	}
	grid_end_row(g);
}

static int print_table(struct cli *cli, struct aggregate *a, const uint32_t *order,
		       const struct wanted *w, const struct shown *shown)
{
	struct grid g;
	grid_init(&g, cli->settings.csv);
	for (size_t i = 0; i < a->keys.count; i++)
		put_group(&g, a, order[i], w, shown);
	int code = grid_print(cli, &g);
	grid_fini(&g);
	return code;
}

/* ---- as JSON ---- */

static void json_group(struct json *j, struct aggregate *a, uint32_t group,
		       const struct wanted *w, const struct shown *shown)
{
	json_object(j);
	json_key(j, "params");
	json_object(j);
	for (size_t i = 0; i < a->by_count; i++) {
		json_key(j, a->by[i]);
		json_value(j, value_of(a, group, i));
	}
	json_end_object(j);
	json_key(j, "tasks");
	json_uint(j, a->groups[group].tasks);
	json_key(j, "completed");
	json_uint(j, a->groups[group].completed);
	json_key(j, "metrics");
	json_object(j);
	for (size_t i = 0; i < shown->count; i++) {
		json_key(j, intern_text(&a->metrics, shown->metrics[i]));
		json_object(j);
		for (unsigned k = 0; k < w->kind_count; k++) {
			double value;
			json_key(j, summary_names[w->kinds[k]]);
			if (!aggregate_get(a, group, shown->metrics[i], w->kinds[k],
					   &value))
				json_null(j);
			else if (w->kinds[k] == SUMMARY_N)
				json_uint(j, (uint64_t)value);
			else
				json_double(j, value);
		}
		json_end_object(j);
	}
	json_end_object(j);
	json_end_object(j);
}

static int print_json(struct cli *cli, struct aggregate *a, const uint32_t *order,
		      const struct wanted *w, const struct shown *shown,
		      const struct cashet_batch *batch)
{
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	json_batch(&j, &out, batch);
	json_key(&j, "group_by");
	json_array(&j);
	for (size_t i = 0; i < a->by_count; i++)
		json_string(&j, a->by[i]);
	json_end_array(&j);
	json_key(&j, "left_out");
	json_uint(&j, a->left_out);
	json_key(&j, "not_numbers");
	json_object(&j);
	for (size_t i = 0; i < shown->count; i++) {
		const struct aggregate_metric *info = &a->infos[shown->metrics[i]];
		if (!(info->texts + info->nonfinite))
			continue;
		json_key(&j, intern_text(&a->metrics, shown->metrics[i]));
		json_uint(&j, info->texts + info->nonfinite);
	}
	json_end_object(&j);
	json_key(&j, "groups");
	json_array(&j);
	for (size_t i = 0; i < a->keys.count; i++) {
		json_group(&j, a, order[i], w, shown);
		int failed = json_pass(cli, &out);
		if (failed)
			return failed;
	}
	json_end_array(&j);
	return json_finish(cli, &j);
}

static int print_groups(struct cli *cli, struct aggregate *a, const struct wanted *w,
			const struct cashet_batch *batch)
{
	struct shown shown = {0};
	int code = choose_metrics(cli, a, w, batch->batch, &shown);
	if (code == 0) {
		uint32_t *order = aggregate_order(a);
		code = cli->settings.json ? print_json(cli, a, order, w, &shown, batch)
					  : print_table(cli, a, order, w, &shown);
		free(order);
	}
	if (code == 0)
		tell_left_out(cli, a, w, &shown);
	free(shown.metrics);
	return code;
}

int results_groups(struct cli *cli, struct cashet_results *results,
		   const struct wanted *w)
{
	struct aggregate a;
	struct met met = {0};
	const struct cashet_batch *batch = cashet_results_batch(results);
	bool medians = false;
	for (unsigned i = 0; i < w->kind_count; i++)
		medians = medians || w->kinds[i] == SUMMARY_MEDIAN;
	aggregate_init(&a, w->group_by.items, w->group_by.count, medians);
	int code = read_all(cli, results, &a, &met);
	if (code == 0)
		code = met_check(cli, &w->group_by, &met.params, "parameter",
				 batch->batch);
	if (code == 0)
		code = met_check(cli, &w->metrics, &met.metrics, "metric", batch->batch);
	if (code == 0)
		code = print_groups(cli, &a, w, batch);
	met_fini(&met);
	aggregate_fini(&a);
	return code;
}

/* cmd_results.c - results, best. */
#include "client/cli/cli.h"

#include "common/num.h"
#include "common/pure/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOP 10

int cmd_results(struct cli *cli)
{
	const struct settings *s = &cli->settings;
	struct cashet_error e;
	struct cashet_results *results;
	if (s->csv && s->json)
		return cli_usage(cli, "", "--csv or --json, not both");
	cli_catch();
	int code = cli_open(cli, true, true);
	if (code)
		return code;
	if (cashet_results_open(cli->c, cli->words.count ? cli->words.items[0] : "",
				&results, &e))
		return cli_fail(cli, &e);
	if (s->json)
		code = show_json(cli, results);
	else
		code = show_table(cli, results, s->csv);
	cashet_results_close(results);
	return code;
}

/* ---- best ---- */

struct ranked {
	double value;
	uint32_t index;
	char *json; /* the whole task */
	char *name, *commit;
	char **params; /* as text, in the order of the columns */
};

struct ranking {
	char metric[256]; /* "" until it is known */
	int direction;	  /* 1: the largest first; -1; 0: not known */
	uint64_t top;
	struct ranked *items; /* sorted, at most @top */
	size_t count;
	char **columns; /* names of parameters */
	size_t column_count, column_capacity;
	uint64_t completed, with_metric;
	char *seen; /* names of metrics of the first completed task, for the error */
};

static void ranked_fini(struct ranked *r, size_t columns)
{
	free(r->json);
	free(r->name);
	free(r->commit);
	for (size_t i = 0; r->params && i < columns; i++)
		free(r->params[i]);
	free(r->params);
}

static void ranking_fini(struct ranking *g)
{
	for (size_t i = 0; i < g->count; i++)
		ranked_fini(&g->items[i], g->column_count);
	for (size_t i = 0; i < g->column_count; i++)
		free(g->columns[i]);
	free(g->columns);
	free(g->items);
	free(g->seen);
}

/* metrics.best of a task, "val_loss:min": which metric, unless told; which way, unless told. */
static void learn(struct ranking *g, const struct cashet_result *r)
{
	for (size_t i = 0; i < r->best_count; i++) {
		const char *best = r->best[i], *colon = strrchr(best, ':');
		size_t size = colon ? (size_t)(colon - best) : strlen(best);
		if (size >= sizeof g->metric || !colon)
			continue;
		bool same =
			strlen(g->metric) == size && memcmp(g->metric, best, size) == 0;
		if (*g->metric && !same)
			continue;
		memcpy(g->metric, best, size);
		g->metric[size] = '\0';
		if (!g->direction)
			g->direction = strcmp(colon + 1, "max") == 0 ? 1 : -1;
		return;
	}
}

static const struct cashet_metric *find_metric(const struct cashet_result *r,
					       const char *name)
{
	for (size_t i = 0; i < r->metric_count; i++)
		if (strcmp(r->metrics[i].name, name) == 0)
			return &r->metrics[i];
	return NULL;
}

static void note_seen(struct ranking *g, const struct cashet_result *r)
{
	CLEANUP_BUF struct buf names = {0};
	if (g->seen || !r->metric_count)
		return;
	for (size_t i = 0; i < r->metric_count; i++)
		if (!r->metrics[i].is_text)
			buf_printf(&names, "%s%s", names.size ? ", " : "",
				   r->metrics[i].name);
	g->seen = buf_steal(&names, NULL);
}

static size_t find_column(struct ranking *g, const char *name)
{
	for (size_t i = 0; i < g->column_count; i++)
		if (strcmp(g->columns[i], name) == 0)
			return i;
	mem_grow(g->columns, g->column_count, g->column_capacity);
	g->columns[g->column_count++] = mem_strdup(name);
	for (size_t i = 0; i < g->count;
	     i++) { /* the ones before have no such parameter */
		g->items[i].params =
			mem_resize(g->items[i].params, g->column_count * sizeof(char *));
		g->items[i].params[g->column_count - 1] = NULL;
	}
	return g->column_count - 1;
}

static struct ranked make_ranked(struct ranking *g, const struct cashet_result *r,
				 double value)
{
	CLEANUP_BUF struct buf text = {0};
	struct json j;
	struct ranked item = {
		.value = value, .index = r->index, .name = mem_strdup(r->name)};
	json_init(&j, &text);
	json_result(&j, r);
	item.json = buf_steal(&text, NULL);
	char commit[SHORT_HASH + 1] = "";
	if (r->has_commit)
		show_short(commit, r->commit);
	item.commit = mem_strdup(commit);
	for (size_t i = 0; i < r->param_count; i++)
		find_column(g, r->params[i].name);
	item.params = mem_alloc((g->column_count + 1) * sizeof *item.params);
	for (size_t i = 0; i < r->param_count; i++) {
		buf_reset(&text);
		show_value(&text, &r->params[i].value, false);
		size_t column = find_column(g, r->params[i].name);
		free(item.params[column]);
		item.params[column] = mem_strdup(buf_cstr(&text));
	}
	return item;
}

/* Insertion into what is best so far; of equals the lower index stays in front. */
static void rank(struct ranking *g, const struct cashet_result *r, double value)
{
	size_t at = g->count;
	while (at > 0 && g->direction * value > g->direction * g->items[at - 1].value)
		at--;
	if (at >= g->top)
		return;
	struct ranked item = make_ranked(g, r, value);
	if (g->count == g->top)
		ranked_fini(&g->items[--g->count], g->column_count);
	else
		g->items = mem_resize(g->items, (g->count + 1) * sizeof *g->items);
	memmove(g->items + at + 1, g->items + at, (g->count - at) * sizeof *g->items);
	g->items[at] = item;
	g->count++;
}

static int read_ranking(struct cli *cli, struct cashet_results *results,
			struct ranking *g)
{
	struct cashet_error e;
	for (;;) {
		const struct cashet_result *r;
		if (cashet_results_next(results, &r, &e))
			return cli_fail(cli, &e);
		if (!r)
			return 0;
		learn(g, r);
		if (r->status != CASHET_COMPLETED)
			continue;
		g->completed++;
		note_seen(g, r);
		const struct cashet_metric *m =
			*g->metric ? find_metric(r, g->metric) : NULL;
		if (!m || m->is_text || isnan(m->number))
			continue;
		g->with_metric++;
		if (g->direction)
			rank(g, r, m->number);
	}
}

static int check_ranking(struct cli *cli, const struct ranking *g, const char *batch)
{
	const char *seen = g->seen && *g->seen ? g->seen : NULL;
	CLEANUP_BUF struct buf next = {0};
	if (seen)
		buf_printf(&next, "there is: %s", seen);
	if (!*g->metric && !seen && g->completed)
		return cli_usage(
			cli,
			"results lists its tasks; metrics.from in the batch file says "
			"where a task writes its metrics",
			"no task of batch %.*s has metrics", SHORT_HASH, batch);
	if (!*g->metric)
		return cli_usage(
			cli, seen ? buf_cstr(&next) : "",
			"best of batch %.*s by which metric? Say --by METRIC with "
			"--max or --min, or metrics.best in the batch file",
			SHORT_HASH, batch);
	if (!g->direction)
		return cli_usage(cli, "",
				 "is a large %s good or a small one? Say --max or --min",
				 g->metric);
	if (g->count)
		return 0;
	struct cashet_error e = {.code = CASHET_NOT_FOUND};
	snprintf(e.what, sizeof e.what,
		 "none of %" PRIu64 " completed tasks has a metric %s", g->completed,
		 g->metric);
	snprintf(e.next, sizeof e.next, "%s", buf_cstr(&next));
	return cli_fail(cli, &e);
}

/* Whether tasks of several names compete; else the name says nothing. */
static bool names_differ(const struct ranking *g)
{
	for (size_t i = 1; i < g->count; i++)
		if (strcmp(g->items[0].name, g->items[i].name))
			return true;
	return false;
}

static int render_ranking(struct cli *cli, const struct ranking *g, const char *batch)
{
	enum { FIXED = 5 }; /* #, the metric, name, task, commit */
	struct table t;
	CLEANUP_BUF struct buf out = {0};
	size_t columns = g->column_count;
	bool names = names_differ(g);
	if (columns > TABLE_COLUMNS_MAX - FIXED)
		columns = TABLE_COLUMNS_MAX - FIXED;
	table_init(&t, columns + FIXED - !names);
	table_cell(&t, "#");
	table_cell(&t, g->metric);
	for (size_t i = 0; i < columns; i++)
		table_cell(&t, g->columns[i]);
	if (names)
		table_cell(&t, "name");
	table_cell(&t, "task");
	table_cell(&t, "commit");
	for (size_t i = 0; i < g->count; i++) {
		const struct ranked *r = &g->items[i];
		table_cellf(&t, "%zu", i + 1);
		table_cellf(&t, "%.6g", r->value);
		for (size_t k = 0; k < columns; k++)
			table_cell(&t, r->params[k] ? r->params[k] : "");
		if (names)
			table_cell(&t, r->name);
		table_cellf(&t, "%.*s:%" PRIu32, SHORT_HASH, batch, r->index);
		table_cell(&t, r->commit);
	}
	table_render(&t, &out, cli->color_out);
	table_fini(&t);
	return cli_write(cli, &out);
}

static int json_ranking(struct cli *cli, const struct ranking *g, const char *batch)
{
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	json_begin(&j, &out);
	json_key(&j, "batch");
	json_string(&j, batch);
	json_key(&j, "metric");
	json_string(&j, g->metric);
	json_key(&j, "direction");
	json_string(&j, g->direction > 0 ? "max" : "min");
	json_key(&j, "tasks");
	json_array(&j);
	for (size_t i = 0; i < g->count; i++) {
		if (i)
			buf_add_byte(&out, ',');
		buf_add_str(&out, g->items[i].json); /* written by json_result() */
	}
	json_end_array(&j);
	return json_finish(cli, &j);
}

int cmd_best(struct cli *cli)
{
	const struct settings *s = &cli->settings;
	struct ranking g = {.top = s->top ? s->top : TOP};
	struct cashet_error e;
	struct cashet_results *results;
	if (s->max && s->min)
		return cli_usage(cli, "", "--max or --min, not both");
	if (s->by && strlen(s->by) >= sizeof g.metric)
		return cli_usage(cli, "", "the name of a metric is not that long");
	snprintf(g.metric, sizeof g.metric, "%s", s->by ? s->by : "");
	g.direction = s->max ? 1 : s->min ? -1 : 0;
	int code = cli_open(cli, true, true);
	if (code)
		return code;
	if (cashet_results_open(cli->c, cli->words.count ? cli->words.items[0] : "",
				&results, &e))
		return cli_fail(cli, &e);
	code = read_ranking(cli, results, &g);
	const char *batch = cashet_results_batch(results)->batch;
	if (code == 0)
		code = check_ranking(cli, &g, batch);
	if (code == 0 && s->json)
		code = json_ranking(cli, &g, batch);
	else if (code == 0)
		code = render_ranking(cli, &g, batch);
	cashet_results_close(results);
	ranking_fini(&g);
	return code;
}

/* cmd_best.c - best: how the best of a batch look; which they are, cashet_best() says. */
#include "client/cli/cli.h"
#include "client/cli/intern.h"

#include "common/pure/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ranked {
	double value;
	uint32_t index;
	char *name, commit[SHORT_HASH + 1];
	char **params; /* as text, by number of the column */
	size_t param_count;
};

struct ranking {
	struct cli *cli;
	struct cashet_ranking how;
	struct json json; /* --json: written as they come */
	struct buf out;
	struct ranked *items;
	size_t count, capacity;
	struct intern columns; /* names of their parameters */
	bool begun;
	int code;
};

static void ranking_fini(struct ranking *g)
{
	for (size_t i = 0; i < g->count; i++) {
		struct ranked *r = &g->items[i];
		free(r->name);
		for (size_t k = 0; k < r->param_count; k++)
			free(r->params[k]);
		free(r->params);
	}
	free(g->items);
	intern_fini(&g->columns);
	buf_fini(&g->out);
}

/* ---- JSON ---- */

static void json_head(struct ranking *g)
{
	struct json *j = &g->json;
	json_begin(j, &g->out);
	json_key(j, "batch");
	json_string(j, g->how.batch);
	json_key(j, "metric");
	json_string(j, g->how.metric);
	json_key(j, "direction");
	json_string(j, g->how.max ? "max" : "min");
	json_key(j, "tasks");
	json_array(j);
}

static int json_row(void *arg, double value, const struct cashet_result *r)
{
	struct ranking *g = arg;
	if (!g->begun)
		json_head(g);
	g->begun = true;
	json_result(&g->json, r);
	g->code = json_pass(g->cli, &g->out);
	return g->code;
}

/* ---- the table ---- */

static int keep_row(void *arg, double value, const struct cashet_result *r)
{
	struct ranking *g = arg;
	struct ranked item = {
		.value = value, .index = r->index, .name = mem_strdup(r->name)};
	if (r->has_commit)
		show_short(item.commit, r->commit);
	for (size_t i = 0; i < r->param_count; i++)
		intern_add(&g->columns, r->params[i].name, strlen(r->params[i].name) + 1);
	item.param_count = g->columns.count;
	item.params = mem_alloc((item.param_count + 1) * sizeof *item.params);
	for (size_t i = 0; i < r->param_count; i++) {
		CLEANUP_BUF struct buf text = {0};
		show_value(&text, &r->params[i].value, SHOW_TABLE);
		uint32_t column = intern_find(&g->columns, r->params[i].name,
					      strlen(r->params[i].name) + 1);
		free(item.params[column]);
		item.params[column] = mem_strdup(buf_cstr(&text));
	}
	mem_grow(g->items, g->count, g->capacity);
	g->items[g->count++] = item;
	return 0;
}

/* Whether tasks of several names compete; else the name says nothing. */
static bool names_differ(const struct ranking *g)
{
	for (size_t i = 1; i < g->count; i++)
		if (strcmp(g->items[0].name, g->items[i].name))
			return true;
	return false;
}

static int render(struct cli *cli, const struct ranking *g)
{
	enum { FIXED = 5 }; /* #, the metric, name, task, commit */
	struct table t;
	CLEANUP_BUF struct buf out = {0};
	size_t count = g->columns.count, most = TABLE_COLUMNS_MAX - FIXED;
	bool names = names_differ(g);
	count = count < most ? count : most;
	table_init(&t, count + FIXED - !names);
	table_cell(&t, "#");
	table_cell(&t, g->how.metric);
	for (size_t i = 0; i < count; i++)
		table_cell(&t, intern_text(&g->columns, (uint32_t)i));
	if (names)
		table_cell(&t, "name");
	table_cell(&t, "task");
	table_cell(&t, "commit");
	for (size_t i = 0; i < g->count; i++) {
		const struct ranked *r = &g->items[i];
		table_cellf(&t, "%zu", i + 1);
		table_cellf(&t, "%.6g", r->value);
		for (size_t k = 0; k < count; k++) {
			bool has = k < r->param_count && r->params[k];
			table_cell(&t, has ? r->params[k] : "");
		}
		if (names)
			table_cell(&t, r->name);
		table_cellf(&t, "%.*s:%" PRIu32, SHORT_HASH, g->how.batch, r->index);
		table_cell(&t, r->commit);
	}
	table_render(&t, &out, cli->color_out);
	table_fini(&t);
	return cli_write(cli, &out);
}

static void tell_left_out(const struct cli *cli, const struct cashet_ranking *how)
{
	if (how->texts + how->nans)
		cli_note(cli, "without a number for it, so not ranked: %" PRIu64,
			 how->texts + how->nans);
	if (how->removed)
		cli_note(cli,
			 "removed from the store, so not ranked: %" PRIu64 " of %" PRIu64
			 " results",
			 how->removed, how->completed);
}

static int best(struct cli *cli, struct ranking *g)
{
	const struct settings *s = &cli->settings;
	const struct cashet_best how = {
		.metric = s->by,
		.max = s->max,
		.min = s->min,
		.top = s->top > UINT32_MAX ? UINT32_MAX : (uint32_t)s->top,
	};
	struct cashet_error e;
	if (cashet_best(cli->c, cli->words.count ? cli->words.items[0] : "", &how,
			s->json ? json_row : keep_row, g, &g->how, &e))
		return cli_fail(cli, &e);
	if (g->code)
		return g->code;
	tell_left_out(cli, &g->how);
	if (!s->json)
		return render(cli, g);
	json_end_array(&g->json);
	return json_finish(cli, &g->json);
}

int cmd_best(struct cli *cli)
{
	struct ranking g = {.cli = cli};
	if (cli->settings.max && cli->settings.min)
		return cli_usage(cli, "", "--max or --min, not both");
	cli_catch();
	int code = cli_open(cli, true, true);
	if (code == 0)
		code = best(cli, &g);
	ranking_fini(&g);
	return code;
}

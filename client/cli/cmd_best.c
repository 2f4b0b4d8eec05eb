/* cmd_best.c - best: the K best of a batch in one pass. They are kept in a heap with the worst of them
 * on top, so each task costs one comparison, and log K if it is among the best so far. NaN and texts
 * never are; of equals the lower index is the better one. */
#include "client/cli/results.h"

#include "common/names.h"
#include "common/pure/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOP 10

struct ranked {
	double value;
	uint32_t index;
	char *json; /* the whole task; only for --json */
	char *name, *commit;
	char **params; /* as text, by number of the column */
	size_t param_count;
};

struct ranking {
	char metric[256]; /* "" until it is known */
	int direction;	  /* 1: the largest first; -1; 0: not known */
	bool json;
	uint64_t top;
	struct ranked *items; /* a heap, then sorted; at most @top */
	size_t count, capacity;
	struct intern columns; /* names of parameters of the best, past and present */
	struct met met;
	uint64_t numbers, texts, nans; /* of completed tasks with the metric */
};

static void ranked_fini(struct ranked *r)
{
	free(r->json);
	free(r->name);
	free(r->commit);
	for (size_t i = 0; i < r->param_count; i++)
		free(r->params[i]);
	free(r->params);
}

static void ranking_fini(struct ranking *g)
{
	for (size_t i = 0; i < g->count; i++)
		ranked_fini(&g->items[i]);
	free(g->items);
	intern_fini(&g->columns);
	met_fini(&g->met);
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

static struct ranked make_ranked(struct ranking *g, const struct cashet_result *r,
				 double value)
{
	CLEANUP_BUF struct buf text = {0};
	struct ranked item = {
		.value = value, .index = r->index, .name = mem_strdup(r->name)};
	if (g->json) {
		struct json j;
		json_init(&j, &text);
		json_result(&j, r);
		item.json = buf_steal(&text, NULL);
	}
	char commit[SHORT_HASH + 1] = "";
	if (r->has_commit)
		show_short(commit, r->commit);
	item.commit = mem_strdup(commit);
	for (size_t i = 0; i < r->param_count; i++)
		intern_add(&g->columns, r->params[i].name, strlen(r->params[i].name) + 1);
	item.param_count = g->columns.count;
	item.params = mem_alloc((item.param_count + 1) * sizeof *item.params);
	for (size_t i = 0; i < r->param_count; i++) {
		buf_reset(&text);
		show_value(&text, &r->params[i].value, false);
		uint32_t column = intern_find(&g->columns, r->params[i].name,
					      strlen(r->params[i].name) + 1);
		free(item.params[column]);
		item.params[column] = mem_strdup(buf_cstr(&text));
	}
	return item;
}

/* ---- the heap ---- */

static bool is_better(const struct ranking *g, double value, uint32_t index,
		      const struct ranked *than)
{
	if (value != than->value)
		return g->direction > 0 ? value > than->value : value < than->value;
	return index < than->index;
}

static bool is_worse_item(const struct ranking *g, size_t a, size_t b)
{
	return is_better(g, g->items[b].value, g->items[b].index, &g->items[a]);
}

static void swap_items(struct ranking *g, size_t a, size_t b)
{
	struct ranked t = g->items[a];
	g->items[a] = g->items[b];
	g->items[b] = t;
}

static void sift_up(struct ranking *g, size_t at)
{
	while (at > 0 && is_worse_item(g, at, (at - 1) / 2)) {
		swap_items(g, at, (at - 1) / 2);
		at = (at - 1) / 2;
	}
}

static void sift_down(struct ranking *g, size_t at)
{
	for (;;) {
		size_t worst = at, left = 2 * at + 1;
		if (left < g->count && is_worse_item(g, left, worst))
			worst = left;
		if (left + 1 < g->count && is_worse_item(g, left + 1, worst))
			worst = left + 1;
		if (worst == at)
			return;
		swap_items(g, at, worst);
		at = worst;
	}
}

static void rank(struct ranking *g, const struct cashet_result *r, double value)
{
	if (g->count < g->top) {
		mem_grow(g->items, g->count, g->capacity);
		g->items[g->count++] = make_ranked(g, r, value);
		sift_up(g, g->count - 1);
	} else if (is_better(g, value, r->index, &g->items[0])) {
		ranked_fini(&g->items[0]);
		g->items[0] = make_ranked(g, r, value);
		sift_down(g, 0);
	}
}

static int cmp_ranked(const void *a, const void *b, void *arg)
{
	const struct ranking *g = arg;
	const struct ranked *x = a, *y = b;
	return is_better(g, x->value, x->index, y) ? -1 : 1;
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
			break;
		learn(g, r);
		if (r->status != CASHET_COMPLETED)
			continue;
		met_note(&g->met, r);
		const struct cashet_metric *m =
			*g->metric ? find_metric(r, g->metric) : NULL;
		if (!m)
			continue;
		if (m->is_text || isnan(m->number)) {
			*(m->is_text ? &g->texts : &g->nans) += 1;
			continue;
		}
		g->numbers++;
		if (g->direction)
			rank(g, r, m->number);
	}
	/* What has only just ended may not be on disk yet. */
	if (!cashet_results_batch(results)->ended)
		g->met.removed = 0;
	if (g->count)
		qsort_r(g->items, g->count, sizeof *g->items, cmp_ranked, g);
	return 0;
}

/* ---- nothing to rank ---- */

static int no_number(struct cli *cli, const struct ranking *g, const char *batch)
{
	struct cashet_error e = {.code = CASHET_NOT_FOUND};
	const struct intern *known = &g->met.metrics;
	CLEANUP_BUF struct buf next = {0};
	const char **names = mem_alloc((known->count + 1) * sizeof *names);
	for (uint32_t i = 0; i < known->count; i++)
		names[i] = intern_text(known, i);
	const char *near = names_suggest(g->metric, names, known->count);
	free(names);
	if (g->texts + g->nans)
		snprintf(e.what, sizeof e.what,
			 "no task of batch %.*s has a number for %s: %" PRIu64
			 " say NaN, %" PRIu64 " a text",
			 SHORT_HASH, batch, g->metric, g->nans, g->texts);
	else
		snprintf(e.what, sizeof e.what,
			 "none of %" PRIu64
			 " completed tasks of batch %.*s has a metric %s%s%s%s",
			 g->met.completed, SHORT_HASH, batch, g->metric,
			 near ? "; did you mean " : "", near ? near : "",
			 near ? "?" : "");
	if (known->count) {
		buf_add_str(&next, "there is: ");
		met_list(&next, known);
	}
	snprintf(e.next, sizeof e.next, "%s", buf_cstr(&next));
	return cli_fail(cli, &e);
}

/* gc, rm or clear: the batch remembers that its tasks were done, not what came of them. */
static int were_removed(struct cli *cli, const struct ranking *g, const char *batch)
{
	struct cashet_error e = {.code = CASHET_NOT_FOUND};
	if (g->met.removed < g->met.completed)
		snprintf(
			e.what, sizeof e.what,
			"%" PRIu64 " of %" PRIu64
			" results of batch %.*s were removed from the store, and what is "
			"left has no metric%s%s",
			g->met.removed, g->met.completed, SHORT_HASH, batch,
			*g->metric ? " " : "", g->metric);
	else
		snprintf(e.what, sizeof e.what,
			 "the results of batch %.*s (%" PRIu64
			 " tasks) were removed from the store",
			 SHORT_HASH, batch, g->met.completed);
	snprintf(e.next, sizeof e.next,
		 "cashet retry %.*s runs them again; cashet pin COMMIT --name NAME keeps "
		 "a result from gc",
		 SHORT_HASH, batch);
	return cli_fail(cli, &e);
}

static int check_ranking(struct cli *cli, const struct ranking *g, const char *batch)
{
	CLEANUP_BUF struct buf next = {0};
	bool any = g->met.metrics.count > 0;
	if (g->met.removed && !g->numbers && !(g->texts + g->nans) &&
	    (g->met.removed == g->met.completed || !any || *g->metric))
		return were_removed(cli, g, batch);
	if (any) {
		buf_add_str(&next, "there is: ");
		met_list(&next, &g->met.metrics);
	}
	if (!*g->metric && !any && g->met.completed)
		return cli_usage(
			cli,
			"results lists its tasks; metrics.from in the batch file says "
			"where a task writes its metrics",
			"no task of batch %.*s has metrics", SHORT_HASH, batch);
	if (!*g->metric)
		return cli_usage(
			cli, buf_cstr(&next),
			"best of batch %.*s by which metric? Say --by METRIC with "
			"--max or --min, or metrics.best in the batch file",
			SHORT_HASH, batch);
	if (!g->numbers)
		return no_number(cli, g, batch);
	if (!g->direction)
		return cli_usage(cli, "",
				 "is a large %s good or a small one? Say --max or --min",
				 g->metric);
	return 0;
}

/* ---- printing ---- */

/* Whether tasks of several names compete; else the name says nothing. */
static bool names_differ(const struct ranking *g)
{
	for (size_t i = 1; i < g->count; i++)
		if (strcmp(g->items[0].name, g->items[i].name))
			return true;
	return false;
}

/* Parameters that the best have: those of tasks that were only best for a while have left no value. */
static size_t choose_columns(const struct ranking *g, uint32_t *columns, size_t most)
{
	size_t count = 0;
	for (uint32_t k = 0; k < g->columns.count && count < most; k++) {
		bool used = false;
		for (size_t i = 0; i < g->count && !used; i++)
			used = k < g->items[i].param_count && g->items[i].params[k];
		if (used)
			columns[count++] = k;
	}
	return count;
}

static int render_ranking(struct cli *cli, const struct ranking *g, const char *batch)
{
	enum { FIXED = 5 }; /* #, the metric, name, task, commit */
	struct table t;
	CLEANUP_BUF struct buf out = {0};
	uint32_t columns[TABLE_COLUMNS_MAX];
	size_t count = choose_columns(g, columns, TABLE_COLUMNS_MAX - FIXED);
	bool names = names_differ(g);
	table_init(&t, count + FIXED - !names);
	table_cell(&t, "#");
	table_cell(&t, g->metric);
	for (size_t i = 0; i < count; i++)
		table_cell(&t, intern_text(&g->columns, columns[i]));
	if (names)
		table_cell(&t, "name");
	table_cell(&t, "task");
	table_cell(&t, "commit");
	for (size_t i = 0; i < g->count; i++) {
		const struct ranked *r = &g->items[i];
		table_cellf(&t, "%zu", i + 1);
		table_cellf(&t, "%.6g", r->value);
		for (size_t k = 0; k < count; k++) {
			uint32_t column = columns[k];
			bool has = column < r->param_count && r->params[column];
			table_cell(&t, has ? r->params[column] : "");
		}
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
		int failed = json_pass(cli, &out);
		if (failed)
			return failed;
	}
	json_end_array(&j);
	return json_finish(cli, &j);
}

static int best_of(struct cli *cli, struct cashet_results *results, struct ranking *g)
{
	const char *batch = cashet_results_batch(results)->batch;
	int code = read_ranking(cli, results, g);
	if (code == 0)
		code = check_ranking(cli, g, batch);
	if (code)
		return code;
	if (g->texts + g->nans)
		cli_note(cli, "without a number for it, so not ranked: %" PRIu64,
			 g->texts + g->nans);
	if (g->met.removed)
		cli_note(cli,
			 "removed from the store, so not ranked: %" PRIu64 " of %" PRIu64
			 " results",
			 g->met.removed, g->met.completed);
	return g->json ? json_ranking(cli, g, batch) : render_ranking(cli, g, batch);
}

int cmd_best(struct cli *cli)
{
	const struct settings *s = &cli->settings;
	struct ranking g = {.top = s->top ? s->top : TOP, .json = s->json};
	struct cashet_error e;
	struct cashet_results *results;
	if (s->max && s->min)
		return cli_usage(cli, "", "--max or --min, not both");
	if (s->by && strlen(s->by) >= sizeof g.metric)
		return cli_usage(cli, "", "the name of a metric is not that long");
	snprintf(g.metric, sizeof g.metric, "%s", s->by ? s->by : "");
	g.direction = s->max ? 1 : s->min ? -1 : 0;
	cli_catch();
	int code = cli_open(cli, true, true);
	if (code)
		return code;
	if (cashet_results_open(cli->c, cli->words.count ? cli->words.items[0] : "",
				&results, &e))
		return cli_fail(cli, &e);
	code = best_of(cli, results, &g);
	cashet_results_close(results);
	ranking_fini(&g);
	return code;
}

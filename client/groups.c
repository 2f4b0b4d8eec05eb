/* groups.c - cashet_groups(): what groups of a batch's tasks have in common, from one pass over them. */
#include "client/aggregate.h"
#include "client/handle.h"

#include <math.h>
#include <stdlib.h>

struct groups {
	struct cashet_groups public; /* first: what callers have */
	struct aggregate all;
	struct cashet_group *groups;
	struct cashet_summary *summaries; /* of each group, one for each metric */
	struct cashet_grouped_metric *metrics;
	const char **params;
};

void cashet_groups_free(struct cashet_groups *public)
{
	if (!public)
		return;
	struct groups *g = container_of(public, struct groups, public);
	aggregate_fini(&g->all);
	free(g->groups);
	free(g->summaries);
	free(g->metrics);
	free(g->params);
	free(g);
}

static int read_all(struct groups *g, struct cashet_results *results, struct err *e)
{
	struct cashet_error error;
	const struct cashet_result *r;
	for (;;) {
		int code = cashet_results_next(results, &r, &error);
		if (code) {
			err_set(e, (enum err_code)code, "%s", error.what);
			err_next(e, "%s", error.next);
			return code;
		}
		if (!r)
			return 0;
		aggregate_add(&g->all, r);
		if (g->all.failed)
			return handle_no_memory(e);
	}
}

static double number(struct aggregate *a, uint32_t group, uint32_t metric,
		     enum summary_kind kind)
{
	double value;
	return aggregate_get(a, group, metric, kind, &value) ? value : (double)NAN;
}

static void fill_summary(struct groups *g, uint32_t group, uint32_t metric,
			 struct cashet_summary *to)
{
	struct aggregate *a = &g->all;
	*to = (struct cashet_summary){.n = (uint64_t)number(a, group, metric, SUMMARY_N),
				      .mean = number(a, group, metric, SUMMARY_MEAN),
				      .std = number(a, group, metric, SUMMARY_STD),
				      .min = number(a, group, metric, SUMMARY_MIN),
				      .max = number(a, group, metric, SUMMARY_MAX),
				      .median = number(a, group, metric, SUMMARY_MEDIAN),
				      .sum = number(a, group, metric, SUMMARY_SUM)};
}

static void fill_names(struct groups *g)
{
	struct aggregate *a = &g->all;
	for (uint32_t i = 0; i < a->params.count; i++)
		g->params[i] = intern_text(&a->params, i);
	for (uint32_t i = 0; i < a->metrics.count; i++)
		g->metrics[i] = (struct cashet_grouped_metric){
			.name = intern_text(&a->metrics, i),
			.numbers = a->infos[i].numbers,
			.texts = a->infos[i].texts,
			.not_finite = a->infos[i].nonfinite,
			.first = a->infos[i].first,
			.shown = a->infos[i].shown};
}

/* Groups in their order; all that is borrowed is in @g. */
static int fill(struct groups *g, struct err *e)
{
	struct aggregate *a = &g->all;
	size_t count = a->keys.count, metrics = a->metrics.count;
	uint32_t *order = aggregate_order(a);
	g->groups = calloc(count + 1, sizeof *g->groups);
	g->summaries = calloc(count * metrics + 1, sizeof *g->summaries);
	g->metrics = calloc(metrics + 1, sizeof *g->metrics);
	g->params = calloc(a->params.count + 1, sizeof *g->params);
	if (!order || !g->groups || !g->summaries || !g->metrics || !g->params) {
		free(order);
		return handle_no_memory(e);
	}
	fill_names(g);
	for (size_t i = 0; i < count; i++) {
		struct cashet_summary *all = &g->summaries[i * metrics];
		for (uint32_t k = 0; k < metrics; k++)
			fill_summary(g, order[i], k, &all[k]);
		g->groups[i] = (struct cashet_group){
			.values = &a->values[order[i] * a->by_count],
			.tasks = a->groups[order[i]].tasks,
			.completed = a->groups[order[i]].completed,
			.metrics = all};
	}
	free(order);
	g->public = (struct cashet_groups){.groups = g->groups,
					   .group_count = count,
					   .metrics = g->metrics,
					   .metric_count = metrics,
					   .params = g->params,
					   .param_count = a->params.count,
					   .tasks = a->tasks,
					   .left_out = a->left_out};
	return 0;
}

int cashet_groups(struct cashet_results *results, const struct cashet_grouping *how,
		  struct cashet_groups **out, struct cashet_error *error)
{
	struct err e;
	struct groups *g = calloc(1, sizeof *g);
	int r = g ? 0 : handle_no_memory(&e);
	if (!r) {
		aggregate_init(&g->all, how ? how->by : NULL, how ? how->by_count : 0,
			       how && how->median);
		r = read_all(g, results, &e);
	}
	if (!r)
		r = fill(g, &e);
	if (!r)
		*out = &g->public;
	else if (g)
		cashet_groups_free(&g->public);
	return error_give(error, &e, r);
}

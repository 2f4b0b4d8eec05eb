/* best.c - the K best of a batch: one pass that keeps their numbers in a heap with the worst of them on
 * top, so each task costs one comparison, and log K if it is among the best so far; then the K tasks are
 * asked for again, one by one. NaN and texts are never ranked; of equals the lower index is better. */
#include "client/handle.h"

#include "common/names.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOP 10
#define NAMES 64 /* of metrics, for the error that lists them */

struct item {
	double value;
	uint32_t index;
};

struct heap {
	struct item *items;
	size_t count, capacity, top;
	bool max;
};

struct ranking {
	struct cashet_ranking shown;
	int direction; /* 1: the largest first; -1; 0: not known */
	struct heap heap;
	char *names[NAMES]; /* of metrics that there are */
	size_t name_count;
};

/* ---- the heap ---- */

static bool is_better(bool max, const struct item *a, const struct item *b)
{
	if (a->value != b->value)
		return max ? a->value > b->value : a->value < b->value;
	return a->index < b->index;
}

static void swap_items(struct item *a, struct item *b)
{
	struct item t = *a;
	*a = *b;
	*b = t;
}

static void sift_up(struct heap *h, size_t at)
{
	for (; at > 0; at = (at - 1) / 2) {
		struct item *parent = &h->items[(at - 1) / 2];
		if (!is_better(h->max, parent, &h->items[at]))
			return;
		swap_items(parent, &h->items[at]);
	}
}

static void sift_down(struct heap *h, size_t at)
{
	for (;;) {
		size_t worst = at, left = 2 * at + 1;
		for (size_t i = left; i < h->count && i <= left + 1; i++)
			if (is_better(h->max, &h->items[worst], &h->items[i]))
				worst = i;
		if (worst == at)
			return;
		swap_items(&h->items[at], &h->items[worst]);
		at = worst;
	}
}

/* Return: 0, or -1 without memory. */
static int rank(struct heap *h, struct item item)
{
	if (h->count == h->top) {
		if (!is_better(h->max, &item, &h->items[0]))
			return 0;
		h->items[0] = item;
		sift_down(h, 0);
		return 0;
	}
	if (h->count == h->capacity) {
		size_t capacity = h->capacity ? 2 * h->capacity : 16;
		struct item *items = realloc(h->items, capacity * sizeof *items);
		if (!items)
			return -1;
		h->items = items;
		h->capacity = capacity;
	}
	h->items[h->count++] = item;
	sift_up(h, h->count - 1);
	return 0;
}

/* The best first: the worst of a heap goes to its end, again and again. */
static void sort(struct heap *h)
{
	size_t count = h->count;
	while (h->count > 1) {
		swap_items(&h->items[0], &h->items[--h->count]);
		sift_down(h, 0);
	}
	h->count = count;
}

/* ---- reading ---- */

/* metrics.best of a task, "val_loss:min": which metric, unless told; which way, unless told. */
static void learn(struct ranking *g, const struct cashet_result *r)
{
	char *metric = g->shown.metric;
	for (size_t i = 0; i < r->best_count; i++) {
		const char *best = r->best[i], *colon = strrchr(best, ':');
		size_t size = colon ? (size_t)(colon - best) : strlen(best);
		if (size >= sizeof g->shown.metric || !colon)
			continue;
		if (*metric && (strlen(metric) != size || memcmp(metric, best, size)))
			continue;
		memcpy(metric, best, size);
		metric[size] = '\0';
		if (!g->direction)
			g->direction = strcmp(colon + 1, "max") == 0 ? 1 : -1;
		return;
	}
}

static int note_names(struct ranking *g, const struct cashet_result *r)
{
	for (size_t i = 0; i < r->metric_count; i++) {
		size_t k = 0;
		while (k < g->name_count && strcmp(g->names[k], r->metrics[i].name) != 0)
			k++;
		if (k < g->name_count || g->name_count == NAMES)
			continue;
		g->names[k] = strdup(r->metrics[i].name);
		if (!g->names[k])
			return -1;
		g->name_count++;
	}
	return 0;
}

static const struct cashet_metric *find_metric(const struct cashet_result *r,
					       const char *name)
{
	for (size_t i = 0; *name && i < r->metric_count; i++)
		if (strcmp(r->metrics[i].name, name) == 0)
			return &r->metrics[i];
	return NULL;
}

static int look_at(struct ranking *g, const struct cashet_result *r)
{
	struct cashet_ranking *s = &g->shown;
	learn(g, r);
	if (r->status != CASHET_COMPLETED)
		return 0;
	s->completed++;
	s->removed += !r->has_commit;
	if (note_names(g, r))
		return -1;
	const struct cashet_metric *m = find_metric(r, s->metric);
	if (!m)
		return 0;
	if (m->is_text || isnan(m->number)) {
		*(m->is_text ? &s->texts : &s->nans) += 1;
		return 0;
	}
	s->numbers++;
	if (!g->direction)
		return 0;
	g->heap.max = g->direction > 0;
	return rank(&g->heap, (struct item){m->number, r->index});
}

static int read_all(struct cashet *c, const char *batch, struct ranking *g,
		    struct cashet_error *error)
{
	struct cashet_results *results;
	const struct cashet_result *r;
	struct err e;
	int failed = cashet_results_open(c, batch, &results, error);
	if (failed)
		return failed;
	const struct cashet_batch *found = cashet_results_batch(results);
	memcpy(g->shown.batch, found->batch, sizeof g->shown.batch);
	bool ended = found->ended;
	while (!(failed = cashet_results_next(results, &r, error)) && r)
		if (look_at(g, r)) {
			failed = error_give(error, &e, handle_no_memory(&e));
			break;
		}
	cashet_results_close(results);
	if (!ended) /* what has only just ended may not be on disk yet */
		g->shown.removed = 0;
	sort(&g->heap);
	return failed;
}

/* ---- nothing to rank ---- */

static void add_names(const struct ranking *g, char next[512])
{
	size_t used = 0;
	*next = '\0';
	for (size_t i = 0; i < g->name_count && used < 512; i++)
		used += (size_t)snprintf(next + used, 512 - used, "%s%s",
					 i ? ", " : "there is: ", g->names[i]);
}

static int no_number(const struct ranking *g, struct err *e)
{
	const struct cashet_ranking *s = &g->shown;
	char next[512];
	const char *near =
		names_suggest(s->metric, (const char *const *)g->names, g->name_count);
	if (s->texts + s->nans)
		err_set(e, ERR_NOT_FOUND,
			"no task of batch %.8s has a number for %s: %" PRIu64
			" say NaN, %" PRIu64 " a text",
			s->batch, s->metric, s->nans, s->texts);
	else
		err_set(e, ERR_NOT_FOUND,
			"none of %" PRIu64
			" completed tasks of batch %.8s has a metric %s%s%s%s",
			s->completed, s->batch, s->metric, near ? "; did you mean " : "",
			near ? near : "", near ? "?" : "");
	add_names(g, next);
	err_next(e, "%s", next);
	return ERR_NOT_FOUND;
}

/* gc, rm or clear: the batch remembers that its tasks were done, not what came of them. */
static int were_removed(const struct ranking *g, struct err *e)
{
	const struct cashet_ranking *s = &g->shown;
	if (s->removed < s->completed)
		err_set(e, ERR_NOT_FOUND,
			"%" PRIu64 " of %" PRIu64
			" results of batch %.8s were removed from the store, and what is "
			"left has no metric%s%s",
			s->removed, s->completed, s->batch, *s->metric ? " " : "",
			s->metric);
	else
		err_set(e, ERR_NOT_FOUND,
			"the results of batch %.8s (%" PRIu64
			" tasks) were removed from the store",
			s->batch, s->completed);
	err_next(e,
		 "cashet retry %.8s runs them again; cashet pin COMMIT --name NAME keeps "
		 "a result from gc",
		 s->batch);
	return ERR_NOT_FOUND;
}

static int check(const struct ranking *g, struct err *e)
{
	const struct cashet_ranking *s = &g->shown;
	char next[512];
	bool any = g->name_count > 0;
	if (s->removed && !s->numbers && !(s->texts + s->nans) &&
	    (s->removed == s->completed || !any || *s->metric))
		return were_removed(g, e);
	if (!*s->metric && !any && s->completed) {
		err_set(e, ERR_USAGE, "no task of batch %.8s has metrics", s->batch);
		err_next(e,
			 "results lists its tasks; metrics.from in the batch file says "
			 "where a task writes its metrics");
		return ERR_USAGE;
	}
	if (!*s->metric) {
		err_set(e, ERR_USAGE,
			"best of batch %.8s by which metric? Say --by METRIC with --max "
			"or --min, or metrics.best in the batch file",
			s->batch);
		add_names(g, next);
		err_next(e, "%s", next);
		return ERR_USAGE;
	}
	if (!s->numbers)
		return no_number(g, e);
	if (g->direction)
		return 0;
	err_set(e, ERR_USAGE, "is a large %s good or a small one? Say --max or --min",
		s->metric);
	err_next(e, "cashet best %.8s --by %s --max", s->batch, s->metric);
	return ERR_USAGE;
}

/* ---- the function ---- */

static int give(struct cashet *c, const struct ranking *g, cashet_best_row row, void *arg,
		struct cashet_error *error)
{
	bool enough = false;
	for (size_t i = 0; i < g->heap.count && !enough; i++) {
		const struct item *item = &g->heap.items[i];
		struct cashet_results *results;
		const struct cashet_result *r;
		int failed = cashet_result_one(c, g->shown.batch, item->index, &results,
					       &r, error);
		if (failed)
			return failed;
		enough = row(arg, item->value, r) != 0;
		cashet_results_close(results);
	}
	return 0;
}

int cashet_best(struct cashet *c, const char *batch, const struct cashet_best *how,
		cashet_best_row row, void *arg, struct cashet_ranking *out,
		struct cashet_error *error)
{
	static const struct cashet_best as_told;
	struct ranking g = {0};
	struct err e;
	how = how ? how : &as_told;
	if (how->metric && strlen(how->metric) >= sizeof g.shown.metric)
		return error_give(
			error, &e,
			err_set(&e, ERR_USAGE, "the name of a metric is not that long"));
	if (how->max && how->min)
		return error_give(error, &e,
				  err_set(&e, ERR_USAGE, "--max or --min, not both"));
	strcpy(g.shown.metric, how->metric ? how->metric : "");
	g.direction = how->max ? 1 : how->min ? -1 : 0;
	g.heap.top = how->top ? how->top : TOP;
	int code = read_all(c, batch, &g, error);
	if (code == 0)
		code = error_give(error, &e, check(&g, &e));
	g.shown.max = g.heap.max;
	if (out)
		*out = g.shown;
	if (code == 0)
		code = give(c, &g, row, arg, error);
	for (size_t i = 0; i < g.name_count; i++)
		free(g.names[i]);
	free(g.heap.items);
	return code;
}

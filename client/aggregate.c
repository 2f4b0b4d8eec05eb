/* aggregate.c - see aggregate.h. */
#include "client/aggregate.h"

#include "common/num.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const summary_names[SUMMARY_KINDS] = {"n",	 "mean",   "std", "min",
						  "max", "median", "sum"};

/* ---- one group's numbers ---- */

/* more() - room for one more of @size bytes behind @count. Return: false, and all as it was. */
static bool more(void **items, size_t count, size_t *capacity, size_t size)
{
	if (count < *capacity)
		return true;
	size_t wanted = *capacity ? 2 * *capacity : 16;
	void *grown = reallocarray(*items, wanted, size);
	if (!grown)
		return false;
	*items = grown;
	*capacity = wanted;
	return true;
}

bool summary_add(struct summary *s, double x, bool keep_value)
{
	if (s->n == 0) {
		s->min = s->max = x;
		s->mean = s->squares = s->sum = s->lost = 0;
	}
	s->n++;
	double off = x - s->mean;
	s->mean += off / (double)s->n;
	s->squares += off * (x - s->mean);
	s->min = x < s->min ? x : s->min;
	s->max = x > s->max ? x : s->max;
	double sum = s->sum + x;
	s->lost += fabs(s->sum) >= fabs(x) ? (s->sum - sum) + x : (x - sum) + s->sum;
	s->sum = sum;
	if (!keep_value)
		return true;
	void *values = s->values;
	bool ok = more(&values, s->value_count, &s->value_capacity, sizeof *s->values);
	s->values = values;
	if (ok)
		s->values[s->value_count++] = x;
	return ok;
}

static int cmp_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static bool median(struct summary *s, double *out)
{
	size_t n = s->value_count;
	if (n == 0)
		return false;
	qsort(s->values, n, sizeof *s->values, cmp_doubles);
	double high = s->values[n / 2], low = s->values[(n - 1) / 2];
	*out = low + (high - low) / 2;
	return true;
}

bool summary_get(struct summary *s, enum summary_kind kind, double *out)
{
	switch (kind) {
	case SUMMARY_N:
		*out = (double)s->n;
		return true;
	case SUMMARY_MEAN:
		*out = s->mean;
		break;
	case SUMMARY_STD:
		if (s->n < 2)
			return false;
		*out = sqrt(s->squares / (double)(s->n - 1));
		break;
	case SUMMARY_MIN:
		*out = s->min;
		break;
	case SUMMARY_MAX:
		*out = s->max;
		break;
	case SUMMARY_MEDIAN:
		return median(s, out);
	case SUMMARY_SUM:
		*out = s->sum + s->lost;
		break;
	case SUMMARY_KINDS:
		return false;
	}
	return s->n > 0;
}

void summary_fini(struct summary *s)
{
	free(s->values);
	*s = (struct summary){0};
}

/* ---- groups ---- */

void aggregate_init(struct aggregate *a, const char *const *by, size_t by_count,
		    bool medians)
{
	*a = (struct aggregate){.by = by, .by_count = by_count, .medians = medians};
}

void aggregate_fini(struct aggregate *a)
{
	for (size_t i = 0; i < a->keys.count; i++) {
		struct aggregate_group *g = &a->groups[i];
		for (size_t k = 0; k < g->summary_count; k++)
			summary_fini(&g->summaries[k]);
		free(g->summaries);
		for (size_t k = 0; k < a->by_count; k++)
			if (a->values[i * a->by_count + k].type == CASHET_STRING)
				free((char *)a->values[i * a->by_count + k].text);
	}
	free(a->groups);
	free(a->values);
	free(a->infos);
	intern_fini(&a->keys);
	intern_fini(&a->metrics);
	intern_fini(&a->params);
	*a = (struct aggregate){0};
}

/* The same bytes for values that are the same to people; a terminator that none contains. */
static void add_key(struct buf *out, const struct cashet_value *v)
{
	char text[32];
	switch (v->type) {
	case CASHET_BOOL:
		buf_add_str(out, v->boolean ? "t" : "f");
		break;
	case CASHET_INT:
		buf_printf(out, "n%" PRId64, v->i);
		break;
	case CASHET_UINT:
		buf_printf(out, "n%" PRIu64, v->u);
		break;
	case CASHET_DOUBLE:
		if (v->d == floor(v->d) && fabs(v->d) < 0x1p63)
			buf_printf(out, "n%" PRId64, (int64_t)v->d);
		else if (v->d == floor(v->d) && v->d >= 0 && v->d < 0x1p64)
			buf_printf(out, "n%" PRIu64, (uint64_t)v->d);
		else
			buf_printf(out, "n%s", num_format_double(text, v->d));
		break;
	case CASHET_STRING:
		buf_printf(out, "%c%s", v->is_written ? 'w' : 's', v->text);
		break;
	}
	buf_add_byte(out, '\0');
}

static const struct cashet_value *find_param(const struct cashet_result *r,
					     const char *name)
{
	for (size_t i = 0; i < r->param_count; i++)
		if (strcmp(r->params[i].name, name) == 0)
			return &r->params[i].value;
	return NULL;
}

/* Room for the next group and its values. */
static bool grow_groups(struct aggregate *a)
{
	size_t count = a->keys.count;
	if (count < a->group_capacity)
		return true;
	size_t capacity = a->group_capacity ? 2 * a->group_capacity : 16;
	struct aggregate_group *groups =
		reallocarray(a->groups, capacity, sizeof *groups);
	if (groups)
		a->groups = groups;
	struct cashet_value *values =
		groups ? reallocarray(a->values, capacity * a->by_count + 1,
				      sizeof *values)
		       : NULL;
	if (!values)
		return false;
	a->values = values;
	a->group_capacity = capacity;
	return true;
}

/* A text is copied; without memory it is one that need not be freed. */
static void new_group(struct aggregate *a, const struct cashet_result *r, size_t number)
{
	a->groups[number] = (struct aggregate_group){0};
	for (size_t i = 0; i < a->by_count; i++) {
		struct cashet_value v = *find_param(r, a->by[i]);
		if (v.type == CASHET_STRING && !(v.text = strdup(v.text))) {
			v = (struct cashet_value){.type = CASHET_BOOL};
			a->failed = true;
		}
		a->values[number * a->by_count + i] = v;
	}
}

/* Return: NULL: it has not all the parameters; or out of memory. */
static struct aggregate_group *find_group(struct aggregate *a,
					  const struct cashet_result *r)
{
	CLEANUP_BUF struct buf key = {0};
	for (size_t i = 0; i < a->by_count; i++) {
		const struct cashet_value *v = find_param(r, a->by[i]);
		if (!v)
			return NULL;
		add_key(&key, v);
	}
	size_t before = a->keys.count;
	uint32_t number = grow_groups(a) && !key.failed
				  ? intern_get(&a->keys, buf_cstr(&key), key.size)
				  : INTERN_NONE;
	if (number == INTERN_NONE) {
		a->failed = true;
		return NULL;
	}
	if (number == before)
		new_group(a, r, number);
	return &a->groups[number];
}

/* Return: NULL out of memory. */
static struct aggregate_metric *info_of(struct aggregate *a, const char *name,
					uint32_t *numberp)
{
	size_t before = a->metrics.count;
	void *infos = a->infos;
	bool ok = more(&infos, before, &a->info_capacity, sizeof *a->infos);
	a->infos = infos;
	*numberp = ok ? intern_get(&a->metrics, name, strlen(name) + 1) : INTERN_NONE;
	if (*numberp == INTERN_NONE) {
		a->failed = true;
		return NULL;
	}
	if (*numberp == before)
		a->infos[before] = (struct aggregate_metric){0};
	return &a->infos[*numberp];
}

/* Return: NULL out of memory. */
static struct summary *summary_of(struct aggregate_group *g, uint32_t metric)
{
	if (metric >= g->summary_count) {
		size_t count = (size_t)metric + 1;
		struct summary *grown = reallocarray(g->summaries, count, sizeof *grown);
		if (!grown)
			return NULL;
		g->summaries = grown;
		memset(g->summaries + g->summary_count, 0,
		       (count - g->summary_count) * sizeof *g->summaries);
		g->summary_count = count;
	}
	return &g->summaries[metric];
}

/* @g: NULL: of no group, or not completed: only the name is noted. */
static void add_metric(struct aggregate *a, struct aggregate_group *g,
		       const struct cashet_result *r, const struct cashet_metric *m)
{
	uint32_t number;
	struct aggregate_metric *info = info_of(a, m->name, &number);
	if (!info || !g)
		return;
	if (!m->is_text && isfinite(m->number)) {
		struct summary *s = summary_of(g, number);
		info->numbers++;
		if (!s || !summary_add(s, m->number, a->medians))
			a->failed = true;
		return;
	}
	if (info->texts + info->nonfinite == 0) {
		char number_text[32];
		info->first = r->index;
		snprintf(info->shown, sizeof info->shown, "%s",
			 m->is_text ? m->text
				    : num_format_double(number_text, m->number));
	}
	*(m->is_text ? &info->texts : &info->nonfinite) += 1;
}

void aggregate_add(struct aggregate *a, const struct cashet_result *r)
{
	if (a->failed)
		return;
	a->tasks++;
	for (size_t i = 0; i < r->param_count; i++)
		if (intern_get(&a->params, r->params[i].name,
			       strlen(r->params[i].name) + 1) == INTERN_NONE)
			a->failed = true;
	struct aggregate_group *g = find_group(a, r);
	if (a->failed)
		return;
	bool counts = g && r->status == CASHET_COMPLETED;
	if (g)
		g->tasks++;
	else
		a->left_out++;
	if (counts)
		g->completed++;
	for (size_t i = 0; i < r->metric_count && !a->failed; i++)
		add_metric(a, counts ? g : NULL, r, &r->metrics[i]);
}

bool aggregate_get(struct aggregate *a, uint32_t group, uint32_t metric,
		   enum summary_kind kind, double *out)
{
	struct summary none = {0};
	struct aggregate_group *g = &a->groups[group];
	return summary_get(metric < g->summary_count ? &g->summaries[metric] : &none,
			   kind, out);
}

/* ---- the order of groups ---- */

struct order {
	const struct aggregate *a;
	long double *ranks; /* of each group, @by_count of them; 64 bits of integer fit */
};

static bool is_number(const struct cashet_value *v, long double *out)
{
	if (v->type == CASHET_INT)
		*out = (long double)v->i;
	else if (v->type == CASHET_UINT)
		*out = (long double)v->u;
	else if (v->type == CASHET_DOUBLE)
		*out = (long double)v->d;
	else
		return false;
	return true;
}

/* Return: false out of memory. */
static bool rank_column(const struct aggregate *a, size_t column, long double *ranks)
{
	bool numbers = true, ok = true;
	for (size_t i = 0; i < a->keys.count && numbers; i++)
		numbers = is_number(&a->values[i * a->by_count + column],
				    &ranks[i * a->by_count + column]);
	if (numbers)
		return true;
	struct intern seen = {0};
	CLEANUP_BUF struct buf key = {0};
	for (size_t i = 0; i < a->keys.count && ok; i++) {
		buf_reset(&key);
		add_key(&key, &a->values[i * a->by_count + column]);
		uint32_t rank = intern_get(&seen, buf_cstr(&key), key.size);
		ranks[i * a->by_count + column] = rank;
		ok = rank != INTERN_NONE && !key.failed;
	}
	intern_fini(&seen);
	return ok;
}

static int cmp_groups(const void *a, const void *b, void *arg)
{
	const struct order *o = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	for (size_t i = 0; i < o->a->by_count; i++) {
		long double p = o->ranks[x * o->a->by_count + i],
			    q = o->ranks[y * o->a->by_count + i];
		if (p != q)
			return p < q ? -1 : 1;
	}
	return x < y ? -1 : x > y;
}

uint32_t *aggregate_order(const struct aggregate *a)
{
	struct order o = {.a = a};
	uint32_t *order = calloc(a->keys.count + 1, sizeof *order);
	o.ranks = calloc(a->keys.count * a->by_count + 1, sizeof *o.ranks);
	bool ok = order && o.ranks;
	for (size_t i = 0; i < a->by_count && ok; i++)
		ok = rank_column(a, i, o.ranks);
	for (size_t i = 0; i < a->keys.count && ok; i++)
		order[i] = (uint32_t)i;
	if (ok && a->keys.count)
		qsort_r(order, a->keys.count, sizeof *order, cmp_groups, &o);
	free(o.ranks);
	if (ok)
		return order;
	free(order);
	return NULL;
}

/* sweep_walk.c - see sweep.h: values of axes, draws, exclusion, order. */
#include "client/batch/sweep.h"

#include "client/batch/scalar.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define REJECTED_MAX                                                                     \
	100000 /* draws in a row that exclude takes away before random gives up */

#define TABLE_MAX 100000 /* points of an interval that are worked out once */

/* The finaliser of splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static uint64_t stream_of(uint64_t seed, const char *name)
{
	uint64_t hash = 0xcbf29ce484222325ull;
	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 0x100000001b3ull;
	return mix(seed ^ hash);
}

static uint64_t draw(const struct axis *axis, uint64_t k)
{
	return mix(axis->stream + (k + 1) * 0x9e3779b97f4a7c15ull);
}

/* point() - @part of the way from low to high. */
static double point(const struct axis *axis, long double part)
{
	long double low = axis->low, high = axis->high;
	long double x = axis->kind == AXIS_LOG_UNIFORM
				? expl(logl(low) + (logl(high) - logl(low)) * part)
				: low + (high - low) * part;
	return scalar_round15((double)x);
}

static struct sweep_value plain(struct value value)
{
	return (struct sweep_value){.value = value};
}

static struct sweep_value integer_at(const struct axis *axis, uint64_t i)
{
	/* As unsigned: the product may pass the ends of int64 on its way to a value inside. */
	uint64_t value = (uint64_t)axis->first + i * (uint64_t)axis->step;
	return plain((struct value){.type = VALUE_INT, .i = (int64_t)value});
}

static struct sweep_value grid_value(const struct axis *axis, uint64_t i)
{
	if (axis->values)
		return axis->values[i];
	switch (axis->kind) {
	case AXIS_VALUES:
		return axis->values[i];
	case AXIS_RANGE:
		return integer_at(axis, i);
	case AXIS_UNIFORM:
	case AXIS_LOG_UNIFORM:
		break;
	}
	double d = i == 0 ? axis->low
		   : i == axis->count - 1
			   ? axis->high
			   : point(axis, (long double)i / (axis->count - 1));
	return plain((struct value){.type = VALUE_DOUBLE, .d = d});
}

int sweep_tabulate(struct sweep *s, struct arena *arena)
{
	for (uint32_t i = 0; i < s->axis_count; i++) {
		struct axis *axis = &s->axes[i];
		if (axis->values || axis->kind == AXIS_RANGE || axis->count > TABLE_MAX)
			continue;
		struct sweep_value *values =
			arena_alloc(arena, axis->count * sizeof *values);
		if (!values)
			return -ENOMEM;
		for (uint64_t k = 0; k < axis->count; k++)
			values[k] = grid_value(axis, k);
		axis->values = values;
	}
	return 0;
}

static struct sweep_value random_value(const struct axis *axis, uint64_t k)
{
	uint64_t bits = draw(axis, k);
	uint64_t i = (uint64_t)((unsigned __int128)bits * axis->count >> 64);
	switch (axis->kind) {
	case AXIS_VALUES:
		return axis->values[i];
	case AXIS_RANGE:
		return integer_at(axis, i);
	case AXIS_UNIFORM:
	case AXIS_LOG_UNIFORM:
		break;
	}
	double d = point(axis, (long double)(bits >> 11) / (1ull << 53));
	return plain((struct value){.type = VALUE_DOUBLE, .d = d});
}

/* ---- exclusion */

/* Exact for every value: 64 bits of integer and a double both fit a long double. */
static bool as_number(const struct value *v, long double *number)
{
	switch (v->type) {
	case VALUE_INT:
		*number = v->i;
		return true;
	case VALUE_UINT:
		*number = v->u;
		return true;
	case VALUE_DOUBLE:
		*number = v->d;
		return true;
	case VALUE_BOOL:
	case VALUE_STRING:
		break;
	}
	return false;
}

static bool same(const struct sweep *s, const struct sweep_value *a,
		 const struct sweep_value *b)
{
	long double x, y;
	if (a->rich || b->rich)
		return a->rich && b->rich && s->reader->equal(a->rich, b->rich);
	if (as_number(&a->value, &x) && as_number(&b->value, &y))
		return x == y;
	return value_equal(&a->value, &b->value);
}

static bool holds(const struct sweep *s, const struct condition *c,
		  const struct sweep_value *v)
{
	long double x, y;
	bool numbers = c->count && !v->rich && !c->values->rich &&
		       as_number(&v->value, &x) && as_number(&c->values->value, &y);
	switch (c->op) {
	case OP_EQ:
		return same(s, v, c->values);
	case OP_NE:
		return !same(s, v, c->values);
	case OP_LT:
		return numbers && x < y;
	case OP_LE:
		return numbers && x <= y;
	case OP_GT:
		return numbers && x > y;
	case OP_GE:
		return numbers && x >= y;
	case OP_IN:
		for (uint32_t i = 0; i < c->count; i++)
			if (same(s, v, &c->values[i]))
				return true;
		return false;
	}
	return false;
}

static bool is_excluded(const struct sweep *s, const struct sweep_value *values)
{
	for (uint32_t i = 0; i < s->exclusion_count; i++) {
		const struct exclusion *exclusion = &s->exclusions[i];
		uint32_t met = 0;
		while (met < exclusion->count &&
		       holds(s, &exclusion->conditions[met],
			     &values[exclusion->conditions[met].axis]))
			met++;
		if (met == exclusion->count)
			return true;
	}
	return false;
}

/* ---- walking */

int sweep_walk_init(struct sweep_walk *walk, const struct sweep *sweep,
		    struct arena *arena)
{
	*walk = (struct sweep_walk){.sweep = sweep};
	walk->values = arena_calloc(arena, sweep->axis_count, sizeof *walk->values);
	walk->places = arena_calloc(arena, sweep->axis_count, sizeof *walk->places);
	if (!walk->values || !walk->places)
		return -ENOMEM;
	for (uint32_t i = 0; i < sweep->axis_count; i++)
		sweep->axes[i].stream =
			stream_of(sweep->sample_seed, sweep->axes[i].name);
	return 0;
}

/* Return: false when all combinations were tried. */
static bool next_of_grid(struct sweep_walk *w)
{
	const struct sweep *s = w->sweep;
	if (w->step++ == 0) {
		for (uint32_t i = 0; i < s->axis_count; i++)
			w->values[i] = grid_value(&s->axes[i], 0);
		return true;
	}
	for (uint32_t i = s->axis_count; i-- > 0;) {
		bool wraps = ++w->places[i] == s->axes[i].count;
		if (wraps)
			w->places[i] = 0;
		w->values[i] = grid_value(&s->axes[i], w->places[i]);
		if (!wraps)
			return true;
	}
	return false;
}

static bool next_of_random(struct sweep_walk *w)
{
	const struct sweep *s = w->sweep;
	if (w->found == s->n || w->step == s->try_max)
		return false;
	for (uint32_t i = 0; i < s->axis_count; i++)
		w->values[i] = random_value(&s->axes[i], w->step);
	w->step++;
	return true;
}

static bool next_of_list(struct sweep_walk *w)
{
	const struct sweep *s = w->sweep;
	if (w->step == s->row_count)
		return false;
	memcpy(w->values, s->rows + w->step++ * s->axis_count,
	       s->axis_count * sizeof *w->values);
	return true;
}

static bool next_candidate(struct sweep_walk *w)
{
	switch (w->sweep->method) {
	case SWEEP_GRID:
		return next_of_grid(w);
	case SWEEP_RANDOM:
		return next_of_random(w);
	case SWEEP_LIST:
		return next_of_list(w);
	}
	return false;
}

bool sweep_walk_next(struct sweep_walk *w)
{
	const struct sweep *s = w->sweep;
	while (!w->included && next_candidate(w)) {
		if (is_excluded(s, w->values))
			continue;
		w->found++;
		return true;
	}
	if (w->included == s->include_count)
		return false;
	memcpy(w->values, s->includes + (size_t)w->included++ * s->axis_count,
	       s->axis_count * sizeof *w->values);
	return true;
}

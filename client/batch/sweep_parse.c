/* sweep_parse.c - see sweep.h: the schema of a sweep, and its count without expanding it. */
#include "client/batch/get.h"
#include "client/batch/sweep.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	KEY_METHOD,
	KEY_PARAMS,
	KEY_EXCLUDE,
	KEY_INCLUDE,
	KEY_MAX,
	KEY_N,
	KEY_SEED,
	KEY_COUNT
};
static const char *const sweep_keys[] = {"method", "params", "exclude",	    "include",
					 "max",	   "n",	     "sample_seed", NULL};
static const char *const methods[] = {"grid", "random", "list", NULL};
static const char *const ops[] = {"eq", "ne", "lt", "le", "gt", "ge", "in", NULL};

struct parse {
	struct doc *doc;
	struct sweep *sweep;
	const char *task;
};

static void *take(struct parse *p, size_t count, size_t size)
{
	void *memory = arena_calloc(&p->doc->arena, count, size);
	if (!memory)
		doc_no_memory(p->doc);
	return memory;
}

/* get_one() - a value of @parameter; @what: for messages. */
static int get_one(struct parse *p, const struct node *node, const char *what,
		   const char *parameter, struct sweep_value *value)
{
	const struct sweep_reader *reader = p->sweep->reader;
	return reader ? reader->read(reader->arg, node, parameter, value)
		      : get_value(p->doc, node, what, &value->value);
}

static int get_values(struct parse *p, const struct node *list, const char *what,
		      const char *parameter, const struct sweep_value **valuesp)
{
	struct sweep_value *values = take(p, list->count, sizeof *values);
	if (!values)
		return ERR_FAILED;
	for (uint32_t i = 0; i < list->count; i++) {
		int e = get_one(p, &list->items[i], what, parameter, &values[i]);
		if (e)
			return e;
	}
	*valuesp = values;
	return 0;
}

/* ---- axes */

static int get_choices(struct parse *p, const struct node *list, struct axis *axis)
{
	if (!list->count)
		return doc_fail(p->doc, list, "parameter \"%s\" has no values",
				axis->name);
	axis->kind = AXIS_VALUES;
	axis->count = list->count;
	return get_values(p, list, "a value of a parameter", axis->name, &axis->values);
}

static int get_range(struct parse *p, const struct node *node, struct axis *axis)
{
	int64_t v[3] = {0, 0, 1};
	if (node->kind != NODE_LIST || node->count < 2 || node->count > 3)
		return doc_fail(
			p->doc, node,
			"range is [first, end] or [first, end, step]; end is not in it");
	for (uint32_t i = 0; i < node->count; i++) {
		int e = get_int(p->doc, &node->items[i], "a part of a range", INT64_MIN,
				INT64_MAX, &v[i]);
		if (e)
			return e;
	}
	if (v[2] == 0)
		return doc_fail(p->doc, node, "the step of a range cannot be 0");
	__int128 span = (__int128)v[1] - v[0], step = v[2];
	__int128 count = (span + step + (step > 0 ? -1 : 1)) / step;
	if (span == 0 || (span > 0) != (step > 0))
		count = 0;
	if (count <= 0)
		return doc_fail(p->doc, node,
				"this range is empty: its end is not in it");
	axis->kind = AXIS_RANGE;
	axis->first = v[0];
	axis->step = v[2];
	axis->count = (uint64_t)count;
	return 0;
}

static int get_interval(struct parse *p, const struct node *node, const char *what,
			struct axis *axis)
{
	if (node->kind != NODE_LIST || node->count != 2)
		return doc_fail(p->doc, node, "%s is [from, to]", what);
	int e = get_number(p->doc, &node->items[0], what, &axis->low);
	if (!e)
		e = get_number(p->doc, &node->items[1], what, &axis->high);
	if (e)
		return e;
	if (axis->kind == AXIS_LOG_UNIFORM && (axis->low <= 0 || axis->high <= 0))
		return doc_fail(p->doc, node, "log_uniform needs numbers above 0");
	return 0;
}

/* {range: ...}, {uniform: [a, b], n: k}, {log_uniform: [a, b], n: k}, {choice: [...]} */
static int get_spec(struct parse *p, const struct node *node, struct axis *axis)
{
	enum {
		SPEC_RANGE,
		SPEC_UNIFORM,
		SPEC_LOG_UNIFORM,
		SPEC_CHOICE,
		SPEC_N,
		SPEC_COUNT
	};
	static const char *const keys[] = {"range",  "uniform", "log_uniform",
					   "choice", "n",	NULL};
	const struct node *v[SPEC_COUNT];
	int e = get_keys(p->doc, node, "the values of a parameter", keys, v);
	if (e)
		return e;
	if (!!v[SPEC_RANGE] + !!v[SPEC_UNIFORM] + !!v[SPEC_LOG_UNIFORM] +
		    !!v[SPEC_CHOICE] !=
	    1)
		return doc_fail(p->doc, node,
				"the values of \"%s\" need one of range, uniform, "
				"log_uniform, choice",
				axis->name);
	bool is_interval = v[SPEC_UNIFORM] || v[SPEC_LOG_UNIFORM];
	bool needs_n = is_interval && p->sweep->method == SWEEP_GRID;
	if (v[SPEC_N] && !needs_n)
		return doc_fail(p->doc, v[SPEC_N],
				is_interval ? "n is beside method: it counts the samples "
					      "of all parameters"
					    : "n is for uniform and log_uniform");
	if (v[SPEC_RANGE])
		return get_range(p, v[SPEC_RANGE], axis);
	if (v[SPEC_CHOICE]) {
		e = get_is_list(p->doc, v[SPEC_CHOICE], "choice");
		return e ? e : get_choices(p, v[SPEC_CHOICE], axis);
	}
	axis->kind = v[SPEC_UNIFORM] ? AXIS_UNIFORM : AXIS_LOG_UNIFORM;
	const char *what = v[SPEC_UNIFORM] ? "uniform" : "log_uniform";
	e = get_interval(p, v[SPEC_UNIFORM] ? v[SPEC_UNIFORM] : v[SPEC_LOG_UNIFORM], what,
			 axis);
	if (e || !needs_n)
		return e;
	if (!v[SPEC_N])
		return doc_fail(p->doc, node,
				"%s in a grid needs n, the number of points", what);
	if ((e = get_uint(p->doc, v[SPEC_N], "n", UINT64_MAX, &axis->count)))
		return e;
	if (axis->count < 2)
		return doc_fail(p->doc, v[SPEC_N],
				"n must be 2 or more: both ends are points");
	return 0;
}

static int get_axis(struct parse *p, const struct node_pair *pair, struct axis *axis)
{
	int e = get_name(p->doc, &pair->key, "a parameter", &axis->name);
	if (e)
		return e;
	switch ((enum node_kind)pair->value.kind) {
	case NODE_LIST:
		return get_choices(p, &pair->value, axis);
	case NODE_MAP:
		return get_spec(p, &pair->value, axis);
	case NODE_TEXT:
		break;
	}
	return doc_fail(p->doc, &pair->value,
			"the values of \"%s\" must be a list or a map like {range: [0, "
			"3]}; a single "
			"value is [%.60s]",
			axis->name, pair->value.text);
}

static int check_width(struct parse *p, const struct node *map)
{
	if (!map->count)
		return doc_fail(p->doc, map, "a sweep needs a parameter at least");
	if (map->count > SWEEP_PARAMS_MAX)
		return doc_fail(p->doc, map, "a task has %d parameters at most",
				SWEEP_PARAMS_MAX);
	return 0;
}

static int get_axes(struct parse *p, const struct node *params)
{
	struct sweep *s = p->sweep;
	int e = get_is_map(p->doc, params, "params");
	if (e)
		return e;
	if ((e = check_width(p, params)))
		return e;
	if (!(s->axes = take(p, params->count, sizeof *s->axes)))
		return ERR_FAILED;
	for (uint32_t i = 0; i < params->count; i++) {
		if ((e = get_axis(p, &params->pairs[i], &s->axes[i])))
			return e;
		s->axis_count++;
	}
	return 0;
}

/* ---- rows: of method list, and of include */

static int find_axis(struct parse *p, const struct node *key, uint32_t *axisp)
{
	const struct sweep *s = p->sweep;
	for (uint32_t i = 0; i < s->axis_count; i++)
		if (!strcmp(s->axes[i].name, key->text)) {
			*axisp = i;
			return 0;
		}
	const char **names = take(p, s->axis_count + 1, sizeof *names);
	if (!names)
		return ERR_FAILED;
	for (uint32_t i = 0; i < s->axis_count; i++)
		names[i] = s->axes[i].name;
	return get_unknown_key(p->doc, key, "the parameters of this sweep", names);
}

static int get_row(struct parse *p, const struct node *map, const char *what,
		   struct sweep_value *row)
{
	const struct sweep *s = p->sweep;
	int e = get_is_map(p->doc, map, what);
	for (uint32_t i = 0; !e && i < map->count; i++) {
		uint32_t axis;
		e = find_axis(p, &map->pairs[i].key, &axis);
		if (!e)
			e = get_one(p, &map->pairs[i].value, "a value of a parameter",
				    s->axes[axis].name, &row[axis]);
	}
	if (e || map->count == s->axis_count) /* keys are unique */
		return e;
	uint32_t missing = 0;
	while (node_find(map, s->axes[missing].name))
		missing++;
	return doc_fail(p->doc, map, "%s must give every parameter; \"%s\" is missing",
			what, s->axes[missing].name);
}

static int get_rows(struct parse *p, const struct node *list, const char *what,
		    const struct sweep_value **rowsp, uint32_t *countp)
{
	size_t width = p->sweep->axis_count;
	struct sweep_value *rows = take(p, list->count * width, sizeof *rows);
	if (!rows)
		return ERR_FAILED;
	for (uint32_t i = 0; i < list->count; i++) {
		int e = get_row(p, &list->items[i], what, rows + i * width);
		if (e)
			return e;
	}
	*rowsp = rows;
	*countp = list->count;
	return 0;
}

/* The first row says which parameters there are. */
static int get_list(struct parse *p, const struct node *params)
{
	struct sweep *s = p->sweep;
	int e = get_is_list(p->doc, params, "params of method list");
	if (e)
		return e;
	if (!params->count)
		return doc_fail(p->doc, params, "this sweep is empty");
	const struct node *first = &params->items[0];
	if ((e = get_is_map(p->doc, first, "a row of params")))
		return e;
	if ((e = check_width(p, first)))
		return e;
	if (!(s->axes = take(p, first->count, sizeof *s->axes)))
		return ERR_FAILED;
	for (uint32_t i = 0; i < first->count; i++) {
		e = get_name(p->doc, &first->pairs[i].key, "a parameter",
			     &s->axes[i].name);
		if (e)
			return e;
	}
	s->axis_count = first->count;
	return get_rows(p, params, "a row of params", &s->rows, &s->row_count);
}

/* ---- exclude */

static int get_condition(struct parse *p, const struct node_pair *op, struct condition *c)
{
	unsigned choice = 0;
	while (ops[choice] && strcmp(ops[choice], op->key.text))
		choice++;
	if (!ops[choice])
		return get_unknown_key(p->doc, &op->key, "a condition", ops);
	c->op = (enum sweep_op)choice;
	const char *name = p->sweep->axes[c->axis].name;
	if (c->op == OP_IN) {
		int e = get_is_list(p->doc, &op->value, "in");
		if (e)
			return e;
		c->count = op->value.count;
		return get_values(p, &op->value, "a value of in", name, &c->values);
	}
	struct sweep_value *value = take(p, 1, sizeof *value);
	if (!value)
		return ERR_FAILED;
	c->values = value;
	c->count = 1;
	double unused;
	if (c->op != OP_EQ && c->op != OP_NE) {
		int e = get_number(p->doc, &op->value, ops[choice], &unused);
		if (e)
			return e;
	}
	return get_one(p, &op->value, ops[choice], name, value);
}

static size_t count_conditions(const struct node *map)
{
	size_t count = 0;
	for (uint32_t i = 0; i < map->count; i++)
		count += map->pairs[i].value.kind == NODE_MAP ? map->pairs[i].value.count
							      : 1;
	return count;
}

static int get_exclusion(struct parse *p, const struct node *map,
			 struct exclusion *exclusion)
{
	int e = get_is_map(p->doc, map, "an entry of exclude");
	if (e)
		return e;
	size_t count = count_conditions(map);
	if (!count)
		return doc_fail(p->doc, map,
				"an entry of exclude without conditions would match all");
	struct condition *conditions = take(p, count, sizeof *conditions),
			 *c = conditions;
	if (!conditions)
		return ERR_FAILED;
	for (uint32_t i = 0; i < map->count; i++) {
		const struct node *value = &map->pairs[i].value;
		uint32_t axis;
		if ((e = find_axis(p, &map->pairs[i].key, &axis)))
			return e;
		if (value->kind == NODE_LIST)
			return doc_fail(p->doc, value, "several values are {in: [...]}");
		if (value->kind == NODE_MAP && !value->count)
			return doc_fail(p->doc, value,
					"a condition is a value, or like {gt: 0.05}");
		struct node_pair eq = {.key = {.text = "eq"}, .value = *value};
		const struct node_pair *pairs =
			value->kind == NODE_MAP ? value->pairs : &eq;
		uint32_t pair_count = value->kind == NODE_MAP ? value->count : 1;
		for (uint32_t k = 0; k < pair_count; k++, c++) {
			c->axis = axis;
			if ((e = get_condition(p, &pairs[k], c)))
				return e;
		}
	}
	*exclusion = (struct exclusion){conditions, (uint32_t)count};
	return 0;
}

static int get_exclusions(struct parse *p, const struct node *list)
{
	int e = get_is_list(p->doc, list, "exclude");
	if (e)
		return e;
	struct exclusion *exclusions = take(p, list->count, sizeof *exclusions);
	if (!exclusions)
		return ERR_FAILED;
	for (uint32_t i = 0; i < list->count; i++)
		if ((e = get_exclusion(p, &list->items[i], &exclusions[i])))
			return e;
	p->sweep->exclusions = exclusions;
	p->sweep->exclusion_count = list->count;
	return 0;
}

/* ---- count */

static int fail_limit(struct parse *p, const struct node *node, uint64_t count)
{
	int e = doc_fail(p->doc, node,
			 "the sweep of task \"%s\" is over the limit: %s%" PRIu64
			 " tasks, and a file may have %u",
			 p->task, count == UINT64_MAX ? "more than " : "", count,
			 SWEEP_MAX);
	err_next(p->doc->e, "narrow it, sample it (method: random), or write JSONL");
	return e;
}

static uint64_t grid_size(const struct sweep *s)
{
	uint64_t size = 1;
	for (uint32_t i = 0; i < s->axis_count; i++)
		if (__builtin_mul_overflow(size, s->axes[i].count, &size))
			return UINT64_MAX;
	return size;
}

/* Only what exclude takes away has to be tried out, and that is bounded. */
static int count_by_walk(struct parse *p)
{
	struct sweep *s = p->sweep;
	struct sweep_walk walk;
	if (sweep_walk_init(&walk, s, &p->doc->arena))
		return doc_no_memory(p->doc);
	s->count = 0;
	while (sweep_walk_next(&walk))
		s->count++;
	return 0;
}

/* try_max() - how many combinations exclude may be tried on, so that checking a file takes
 * seconds at most. */
static uint64_t try_max(const struct sweep *s)
{
	uint64_t work = 1;
	for (uint32_t i = 0; i < s->exclusion_count; i++)
		for (uint32_t k = 0; k < s->exclusions[i].count; k++)
			work += s->exclusions[i].conditions[k].count;
	uint64_t most = SWEEP_WORK_MAX / work;
	return most < SWEEP_WALK_MAX ? most : SWEEP_WALK_MAX;
}

static int count_excluded(struct parse *p, const struct node *node,
			  const struct node *exclude)
{
	struct sweep *s = p->sweep;
	uint64_t count = s->method == SWEEP_GRID ? grid_size(s) : s->row_count;
	s->try_max = try_max(s);
	if (s->method == SWEEP_RANDOM && s->try_max > SWEEP_DRAWS_MAX(s->n))
		s->try_max = SWEEP_DRAWS_MAX(s->n);
	if (count > SWEEP_WALK_MAX)
		return fail_limit(p, node, count);
	if (count > s->try_max)
		return doc_fail(p->doc, exclude,
				"exclude has too many conditions to be tried on %" PRIu64
				" combinations",
				count);
	int e = count_by_walk(p);
	if (!e && s->method == SWEEP_RANDOM && s->count < s->n + s->include_count)
		e = doc_fail(p->doc, exclude,
			     "exclude leaves too little to draw %" PRIu64 " samples from",
			     s->n);
	if (!e && !s->count)
		e = doc_fail(p->doc, exclude,
			     "exclude leaves nothing of the sweep of task \"%s\"",
			     p->task);
	return e;
}

static int count_tasks(struct parse *p, const struct node *node,
		       const struct node *exclude)
{
	struct sweep *s = p->sweep;
	uint64_t count = s->method == SWEEP_GRID     ? grid_size(s)
			 : s->method == SWEEP_RANDOM ? s->n
						     : s->row_count;
	bool excludes = s->exclusion_count;
	if (count > SWEEP_MAX && !(excludes && s->method == SWEEP_GRID))
		return fail_limit(p, node, count);
	s->count = count + s->include_count;
	s->try_max = UINT64_MAX;
	if (s->method == SWEEP_GRID && sweep_tabulate(s, &p->doc->arena))
		return doc_no_memory(p->doc);
	int e = excludes ? count_excluded(p, node, exclude) : 0;
	return !e && s->count > SWEEP_MAX ? fail_limit(p, node, s->count) : e;
}

static int get_max(struct parse *p, const struct node *max)
{
	uint64_t most;
	int e = get_uint(p->doc, max, "max", SWEEP_MAX, &most);
	if (!e && p->sweep->count > most)
		e = doc_fail(p->doc, max,
			     "the sweep of task \"%s\" has %" PRIu64
			     " tasks, more than its max of %" PRIu64,
			     p->task, p->sweep->count, most);
	return e;
}

static int get_sampling(struct parse *p, const struct node *node,
			const struct node *const *v)
{
	struct sweep *s = p->sweep;
	const struct node *stray = v[KEY_N] ? v[KEY_N] : v[KEY_SEED];
	if (s->method != SWEEP_RANDOM)
		return stray ? doc_fail(p->doc, stray, "%s is for method: random",
					v[KEY_N] ? "n" : "sample_seed")
			     : 0;
	if (!v[KEY_N])
		return doc_fail(p->doc, node,
				"method: random needs n, the number of samples");
	int e = get_uint(p->doc, v[KEY_N], "n", UINT64_MAX, &s->n);
	if (!e && !s->n)
		e = doc_fail(p->doc, v[KEY_N], "n must be 1 or more");
	if (!e && v[KEY_SEED])
		e = get_uint(p->doc, v[KEY_SEED], "sample_seed", UINT64_MAX,
			     &s->sample_seed);
	return e;
}

const struct node *sweep_key(const struct node *sweep, const char *parameter)
{
	const struct node *params = node_find(sweep, "params");
	if (params && params->kind == NODE_LIST)
		params = params->count ? params->items : NULL;
	for (uint32_t i = 0; params && params->kind == NODE_MAP && i < params->count; i++)
		if (!strcmp(params->pairs[i].key.text, parameter))
			return &params->pairs[i].key;
	return NULL;
}

int sweep_parse(struct doc *doc, const struct node *node, const char *task,
		const struct sweep_reader *reader, struct sweep **sweepp)
{
	struct parse p = {.doc = doc, .task = task};
	const struct node *v[KEY_COUNT];
	int e = get_keys(doc, node, "a sweep", sweep_keys, v);
	if (e)
		return e;
	struct sweep *s = p.sweep = take(&p, 1, sizeof *s);
	if (!s)
		return ERR_FAILED;
	s->reader = reader;
	unsigned method = SWEEP_GRID;
	if (v[KEY_METHOD] &&
	    (e = get_choice(doc, v[KEY_METHOD], "method", methods, &method)))
		return e;
	s->method = (enum sweep_method)method;
	if (!v[KEY_PARAMS])
		return doc_fail(doc, node, "a sweep needs params");
	if (s->method != SWEEP_LIST && v[KEY_PARAMS]->kind == NODE_LIST)
		return doc_fail(doc, v[KEY_PARAMS],
				"params as a list of rows needs method: list");
	if ((e = get_sampling(&p, node, v)))
		return e;
	e = s->method == SWEEP_LIST ? get_list(&p, v[KEY_PARAMS])
				    : get_axes(&p, v[KEY_PARAMS]);
	if (!e && v[KEY_EXCLUDE])
		e = get_exclusions(&p, v[KEY_EXCLUDE]);
	if (!e && v[KEY_INCLUDE] && !(e = get_is_list(doc, v[KEY_INCLUDE], "include")))
		e = get_rows(&p, v[KEY_INCLUDE], "an entry of include", &s->includes,
			     &s->include_count);
	if (!e)
		e = count_tasks(&p, node, v[KEY_EXCLUDE]);
	if (!e && v[KEY_MAX])
		e = get_max(&p, v[KEY_MAX]);
	if (!e)
		*sweepp = s;
	return e;
}

/* spec_task.c - see spec.h: one entry of a batch file. */
#include "client/batch/spec.h"

#include "common/fs.h"
#include "common/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	KEY_RESOURCES,
	KEY_RETRIES,
	KEY_TIMEOUT,
	KEY_GRACE,
	KEY_PRIORITY,
	KEY_CACHE,
	KEY_METRICS,
	KEY_CODE,
	KEY_INPUTS,
	KEY_OUTPUTS,
	KEY_ENV,
	KEY_TAGS,
	KEY_SECRETS,
	KEY_PYTHON,
	KEY_ISOLATION,
	KEY_CFLAGS,
	KEY_DEFAULTS_END,
	KEY_RUN = KEY_DEFAULTS_END,
	KEY_PARAMS,
	KEY_SWEEP,
	KEY_NEEDS,
	KEY_CALL,
	KEY_ARGS,
	KEY_KWARGS,
	KEY_NAME,
	KEY_COUNT,
};
_Static_assert((int)KEY_METRICS == OPTION_METRICS,
	       "the options come first, in their order");

/* Those of defaults first. To add a key: a row here and above, a reader, a row in the documents. */
static const char *const keys[] = {
	"resources", "retries", "timeout", "grace",  "priority", "cache",   "metrics",
	"code",	     "inputs",	"outputs", "env",    "tags",	 "secrets", "python",
	"isolation", "cflags",	"run",	   "params", "sweep",	 "needs",   "call",
	"args",	     "kwargs",	"name",	   NULL};
static const char *const default_keys[] = {
	"resources", "retries", "timeout",   "grace",	"priority", "cache",
	"metrics",   "code",	"inputs",    "outputs", "env",	    "tags",
	"secrets",   "python",	"isolation", "cflags",	NULL};
_Static_assert(ARRAY_LEN(keys) == KEY_COUNT + 1, "a row per key");
_Static_assert(ARRAY_LEN(default_keys) == KEY_DEFAULTS_END + 1, "a row per key");

void *spec_take(struct spec *s, size_t count, size_t size)
{
	void *memory = arena_calloc(&s->doc->arena, count, size);
	if (!memory)
		doc_no_memory(s->doc);
	return memory;
}

/* ---- maps of texts */

static int by_key(const void *a, const void *b)
{
	const struct spec_pair *x = a, *y = b;
	return strcmp(x->key, y->key);
}

/* A later pair of the same key replaces the earlier; pairs are few. */
static void set_pair(struct spec_pairs *pairs, const struct spec_pair *pair)
{
	for (uint32_t i = 0; i < pairs->count; i++)
		if (!strcmp(pairs->items[i].key, pair->key)) {
			pairs->items[i] = *pair;
			return;
		}
	pairs->items[pairs->count++] = *pair;
}

static int set_pairs(struct spec *s, const struct node *map, const char *what,
		     struct spec_pairs *pairs)
{
	if (!map)
		return 0;
	if (map->count > SPEC_PAIRS_MAX)
		return doc_fail(s->doc, map, "%s has %d entries at most", what,
				SPEC_PAIRS_MAX);
	for (uint32_t i = 0; i < map->count; i++) {
		struct spec_pair pair = {.key = map->pairs[i].key.text,
					 .node = &map->pairs[i].value};
		/* "k=v" is how both are written, in the environment and after --tag. */
		if (!*pair.key || strchr(pair.key, '='))
			return doc_fail(s->doc, &map->pairs[i].key,
					"\"%.60s\" cannot be a name in %s", pair.key,
					what);
		int e = get_text(s->doc, pair.node, pair.key, &pair.value);
		if (e)
			return e;
		set_pair(pairs, &pair);
	}
	return 0;
}

int spec_read_pairs(struct spec *s, const struct node *own, const struct node *common,
		    const char *what, struct spec_pairs *pairs)
{
	int e = own ? get_is_map(s->doc, own, what) : 0;
	if (!e && common)
		e = get_is_map(s->doc, common, what);
	if (e)
		return e;
	size_t count = (own ? own->count : 0) + (common ? common->count : 0);
	if (s->extra_tags)
		count += s->extra_tags->count;
	if (!count)
		return 0;
	if (!(pairs->items = spec_take(s, count, sizeof *pairs->items)))
		return ERR_FAILED;
	e = set_pairs(s, common, what, pairs);
	if (!e)
		e = set_pairs(s, own, what, pairs);
	if (!e && pairs->count > 1)
		qsort(pairs->items, pairs->count, sizeof *pairs->items, by_key);
	return e;
}

static int read_tags(struct spec *s, const struct node *own, const struct node *common,
		     struct spec_task *task)
{
	int e = spec_read_pairs(s, own, common, "tags", &task->tags);
	if (e || !s->extra_tags)
		return e;
	for (uint32_t i = 0; i < s->extra_tags->count; i++)
		set_pair(&task->tags, &s->extra_tags->items[i]);
	if (task->tags.count > 1)
		qsort(task->tags.items, task->tags.count, sizeof *task->tags.items,
		      by_key);
	return 0;
}

/* ---- names */

/* default_name() - of the program, without its folders; FILE:FUNCTION of a call. */
static const char *default_name(struct spec *s, const struct spec_task *task)
{
	if (task->call)
		return task->call->node->text;
	const char *word =
		task->argv ? task->argv[0] : task->shell + strspn(task->shell, " \t\n");
	size_t size = task->argv ? strlen(word) : strcspn(word, " \t\n;&|<>()");
	for (size_t i = size; i-- > 0;)
		if (word[i] == '/' && i + 1 < size) {
			word += i + 1;
			size -= i + 1;
			break;
		}
	if (size > 64)
		size = 64;
	char *name = arena_text(&s->doc->arena, word, size);
	if (!name)
		return NULL;
	for (char *at = name; *at; at++) {
		bool fine = (*at >= 'A' && *at <= 'Z') || (*at >= 'a' && *at <= 'z') ||
			    (*at >= '0' && *at <= '9') || *at == '_' || *at == '-' ||
			    (*at == '.' && at > name);
		if (!fine)
			*at = '_';
	}
	return *name ? name : "task";
}

static int read_names(struct spec *s, const struct node *key, const struct node *name,
		      struct spec_task *task)
{
	if (key && name)
		return doc_fail(s->doc, name, "the name of this task is its key, \"%s\"",
				key->text);
	const struct node *given = key ? key : name;
	if (!given) {
		task->name = default_name(s, task);
		return task->name ? 0 : doc_no_memory(s->doc);
	}
	int e = get_name(s->doc, given, "the name of a task", &task->name);
	if (!e && !key && !task->name[strspn(task->name, "0123456789")])
		e = doc_fail(s->doc, given,
			     "a task of a list cannot be named by a number");
	task->ref_name = task->name;
	return e;
}

/* ---- parameters */

static int read_params(struct spec *s, const struct node *node, struct spec_task *task)
{
	if (!node)
		return 0;
	int e = get_is_map(s->doc, node, "params");
	if (e)
		return e;
	if (node->count > SWEEP_PARAMS_MAX)
		return doc_fail(s->doc, node, "a task has %d parameters at most",
				SWEEP_PARAMS_MAX);
	if (!(task->params = spec_take(s, node->count, sizeof *task->params)))
		return ERR_FAILED;
	for (uint32_t i = 0; i < node->count; i++) {
		struct spec_param *param = &task->params[i];
		e = get_name(s->doc, &node->pairs[i].key, "a parameter", &param->name);
		if (!e)
			e = get_value(s->doc, &node->pairs[i].value, param->name,
				      &param->value);
		if (e)
			return e;
	}
	task->param_count = node->count;
	return 0;
}

static int read_sweep(struct spec *s, const struct node *node, struct spec_task *task)
{
	task->count = 1;
	if (!node)
		return 0;
	if (s->form == SPEC_LINES)
		return doc_fail(s->doc, node,
				"sweep is not for JSONL lines: a line is one task; use a "
				"YAML or JSON "
				"file");
	int e = task->call ? spec_read_sweep_of_call(s, node, task)
			   : sweep_parse(s->doc, node, task->name, NULL, &task->sweep);
	if (e)
		return e;
	for (uint32_t i = 0; i < task->param_count; i++)
		for (uint32_t k = 0; k < task->sweep->axis_count; k++)
			if (!strcmp(task->params[i].name, task->sweep->axes[k].name))
				return doc_fail(
					s->doc, node,
					"parameter \"%s\" is in params and in the sweep",
					task->params[i].name);
	task->count = task->sweep->count;
	return 0;
}

/* ---- the entry */

static const struct node *key_of(const struct node *map, const struct node *value)
{
	for (uint32_t i = 0; i < map->count; i++)
		if (&map->pairs[i].value == value)
			return &map->pairs[i].key;
	return value;
}

/* What there is beside what, each way. */
static const struct {
	int key;
	bool of_call; /* of calls alone; else of commands alone */
	const char *why;
} sides[] = {
	{KEY_ARGS, true, "a command has its arguments in run"},
	{KEY_KWARGS, true, "a command has its arguments in run and params"},
	{KEY_PYTHON, true, "a command names its program in run"},
	{KEY_ISOLATION, true, "a command is a process of its own"},
	{KEY_CFLAGS, true, "a command is what run says"},
	{KEY_INPUTS, false, "pass {file: ...} or {ref: ...} as an argument"},
	{KEY_OUTPUTS, false, "its result is what the function returns"},
	{KEY_PARAMS, false, "pass them as kwargs"},
};

static int check_sides(struct spec *s, const struct node *map, const struct node *whole,
		       const char *where, const struct node *const *v,
		       const struct node *const *d)
{
	const struct node *at = v[KEY_CALL] && v[KEY_RUN] ? v[KEY_CALL] : NULL;
	if (at)
		return doc_fail(s->doc, key_of(map, at),
				"%s has run and call: a task is a command or a call",
				where);
	if (!v[KEY_CALL] && !v[KEY_RUN])
		return doc_fail(s->doc, whole,
				"%s has neither run (a list or a shell string) nor call "
				"(FILE:FUNCTION)",
				where);
	for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
		int key = sides[i].key;
		if (v[key] && sides[i].of_call != (v[KEY_CALL] != NULL))
			return doc_fail(s->doc, key_of(map, v[key]), "%s is for %s: %s",
					keys[key],
					sides[i].of_call ? "calls" : "commands",
					sides[i].why);
		if (v[KEY_CALL] && !sides[i].of_call && key < KEY_DEFAULTS_END && d[key])
			return doc_fail(s->doc, key_of(map, v[KEY_CALL]),
					"defaults has %s, which is for commands: %s",
					keys[key], sides[i].why);
	}
	return 0;
}

static int read_run(struct spec *s, const struct node *const *v,
		    const struct node *const *d, struct spec_task *task)
{
	if (!v[KEY_CALL])
		return spec_read_run(s, v[KEY_RUN], task);
	const struct node *own[CALL_KEYS] = {[CALL_CALL] = v[KEY_CALL],
					     [CALL_PYTHON] = v[KEY_PYTHON],
					     [CALL_ISOLATION] = v[KEY_ISOLATION],
					     [CALL_CFLAGS] = v[KEY_CFLAGS]};
	const struct node *common[CALL_KEYS] = {[CALL_PYTHON] = d[KEY_PYTHON],
						[CALL_ISOLATION] = d[KEY_ISOLATION],
						[CALL_CFLAGS] = d[KEY_CFLAGS]};
	return spec_read_call(s, own, common, task);
}

/* What goes in and comes out. */
static int read_io(struct spec *s, const struct node *const *v,
		   const struct node *const *d, struct spec_task *task)
{
	int e;
	if (task->call) {
		e = spec_read_args(s, v[KEY_ARGS], v[KEY_KWARGS], v[KEY_SWEEP], task);
		return e ? e : spec_check_templates(s, NULL, task);
	}
	e = spec_read_outputs(s, v[KEY_OUTPUTS], d[KEY_OUTPUTS], task);
	if (!e)
		e = spec_read_inputs(s, v[KEY_INPUTS], d[KEY_INPUTS], task);
	return e ? e : spec_check_templates(s, v[KEY_RUN], task);
}

int spec_read_task(struct spec *s, const struct node *key, const struct node *node,
		   struct spec_task *task)
{
	const struct node *v[KEY_COUNT], *d[KEY_DEFAULTS_END] = {0};
	char where[160];
	*task = (struct spec_task){.node = key ? key : node};
	if (key)
		snprintf(where, sizeof where, "task \"%.128s\"", key->text);
	int e = get_keys(s->doc, node, key ? where : "a task", keys, v);
	if (!e && s->defaults)
		e = get_keys(s->doc, s->defaults, "defaults", default_keys, d);
	if (!e)
		e = check_sides(s, node, key ? key : node, key ? where : "the task", v,
				d);
	if (!e)
		e = read_run(s, v, d, task);
	if (!e)
		e = read_names(s, key, v[KEY_NAME], task);
	if (!e)
		e = read_params(s, v[KEY_PARAMS], task);
	if (!e)
		e = read_sweep(s, v[KEY_SWEEP], task);
	if (!e)
		e = spec_read_options(s, v, d, task);
	if (!e)
		e = spec_read_pairs(s, v[KEY_ENV], d[KEY_ENV], "env", &task->env);
	if (!e)
		e = spec_read_secrets(s, v[KEY_SECRETS] ? v[KEY_SECRETS] : d[KEY_SECRETS],
				      task);
	if (!e)
		e = read_tags(s, v[KEY_TAGS], d[KEY_TAGS], task);
	if (!e)
		e = read_io(s, v, d, task);
	if (!e && (v[KEY_CODE] || d[KEY_CODE]))
		e = spec_read_code(s, v[KEY_CODE] ? v[KEY_CODE] : d[KEY_CODE], task);
	if (!e)
		e = spec_check_layout(s, v[KEY_METRICS] ? v[KEY_METRICS] : d[KEY_METRICS],
				      task);
	if (!e && v[KEY_NEEDS])
		e = spec_read_needs(s, v[KEY_NEEDS], task);
	return e ? e : spec_check_size(s, task);
}

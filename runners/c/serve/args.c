/* args.c - arguments: from the bytes of the call to a tree, and what cashet/task.h reads from it. */
#include "runners/c/serve/task.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- from what call_args.h has read; texts and keys stay where they are, until task_end() */

static int take_items(struct cashet_task *t, const struct arg *from, size_t count,
		      const struct cashet_arg *parent, struct cashet_arg **itemsp);

static int take_value(struct cashet_task *t, const struct arg *from,
		      struct cashet_arg *to)
{
	switch (from->type) {
	case ARG_NULL:
		to->type = CASHET_TYPE_NULL;
		return 0;
	case ARG_BOOL:
		to->type = CASHET_TYPE_BOOL;
		to->boolean = from->boolean;
		return 0;
	case ARG_INT:
		to->type = CASHET_TYPE_INT;
		to->i = from->i;
		return 0;
	case ARG_FLOAT:
		to->type = CASHET_TYPE_FLOAT;
		to->d = from->d;
		return 0;
	case ARG_TEXT:
	case ARG_BYTES:
		to->type = from->type == ARG_TEXT ? CASHET_TYPE_TEXT : CASHET_TYPE_BYTES;
		to->data = from->data;
		to->size = from->size;
		return 0;
	case ARG_LIST:
	case ARG_MAP:
		to->type = from->type == ARG_LIST ? CASHET_TYPE_LIST : CASHET_TYPE_MAP;
		to->count = from->count;
		return take_items(t, from->items, from->count, to, &to->items);
	case ARG_REF:
		return blobs_arg(t, to, &from->content, NULL);
	case ARG_FILE:
		return blobs_arg(t, to, &from->content, from->data);
	}
	return 1;
}

static int take_items(struct cashet_task *t, const struct arg *from, size_t count,
		      const struct cashet_arg *parent, struct cashet_arg **itemsp)
{
	struct cashet_arg *items = arena_alloc(&t->arena, count * sizeof *items);
	*itemsp = items;
	for (size_t i = 0; i < count; i++) {
		items[i] = (struct cashet_arg){
			.task = t, .parent = parent, .position = i, .key = from[i].name};
		if (take_value(t, &from[i], &items[i]))
			return 1;
	}
	return 0;
}

int args_read(struct cashet_task *t, const void *data, size_t size)
{
	struct call_args *given = &t->given;
	if (call_args_decode(data, size, given))
		return 1;
	t->positional_count = given->positional_count;
	t->named_count = given->keyword_count;
	return take_items(t, given->positional, given->positional_count, NULL,
			  &t->positional) ||
	       take_items(t, given->keywords, given->keyword_count, NULL, &t->named);
}

/* ---- what goes wrong */

static void add_label(struct buf *out, const struct cashet_arg *arg)
{
	const struct cashet_arg *chain[4 * JSON_DEPTH_MAX];
	size_t depth = 0;
	for (; arg && depth < ARRAY_LEN(chain); arg = arg->parent)
		chain[depth++] = arg;
	while (depth-- > 0) {
		arg = chain[depth];
		if (arg->key)
			buf_printf(out, "%s%s", arg->parent ? "." : "", arg->key);
		else
			buf_printf(out, arg->parent ? "[%zu]" : "%zu", arg->position);
	}
}

const char *args_label(const struct cashet_arg *arg)
{
	CLEANUP_BUF struct buf label = {0};
	add_label(&label, arg);
	return arena_copy(&arg->task->arena, buf_cstr(&label), label.size);
}

static void expected(const struct cashet_arg *arg, const char *what)
{
	if (arg->type == CASHET_TYPE_MISSING)
		task_fail(arg->task, "exception", "argument %s is missing (%s expected)",
			  args_label(arg), what);
	else
		task_fail(arg->task, "exception", "argument %s: %s expected, %s given",
			  args_label(arg), what, cashet_type_name(arg->type));
}

static void wrong(const struct cashet_arg *arg, const char *why)
{
	task_fail(arg->task, "exception", "argument %s: %s", args_label(arg), why);
}

/* known() - its type, for which a JSON result has to be read. */
static const struct cashet_arg *known(const struct cashet_arg *arg)
{
	if (arg->pending == ARG_KNOWN)
		return arg;
	/* The tree is ours; users see it const. */
	struct cashet_arg *own = (struct cashet_arg *)(uintptr_t)arg;
	const void *data = blobs_data(own->task, own->blob);
	own->pending = ARG_KNOWN;
	own->type = CASHET_TYPE_NULL;
	if (data && json_value_read(own->task, own, data, own->blob->from.size))
		wrong(arg, "what the other task returned is no JSON that can be read "
			   "here: it is none, or a key has a NUL in it");
	return arg;
}

/* is() - has it this type? If not, the task has failed. */
static bool is(const struct cashet_arg *arg, enum cashet_type type)
{
	if (known(arg)->type == type)
		return true;
	expected(arg, cashet_type_name(type));
	return false;
}

static struct cashet_arg *missing(struct cashet_task *t, const struct cashet_arg *parent,
				  const char *key, size_t position)
{
	struct cashet_arg *arg = arena_alloc(&t->arena, sizeof *arg);
	*arg = (struct cashet_arg){.task = t, .parent = parent, .position = position};
	if (key)
		arg->key = arena_copy(&t->arena, key, strlen(key));
	return arg;
}

static const struct cashet_arg *find_key(const struct cashet_arg *items, size_t count,
					 const char *key)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(items[i].key, key))
			return &items[i];
	return NULL;
}

/* ---- cashet/task.h */

const struct cashet_arg *cashet_arg(struct cashet_task *t, const char *name)
{
	const struct cashet_arg *arg = find_key(t->named, t->named_count, name);
	return arg ? arg : missing(t, NULL, name, 0);
}

const struct cashet_arg *cashet_arg_at(struct cashet_task *t, size_t position)
{
	return position < t->positional_count ? &t->positional[position]
					      : missing(t, NULL, NULL, position);
}

const struct cashet_arg *cashet_arg_or_at(struct cashet_task *t, const char *name,
					  size_t position)
{
	const struct cashet_arg *arg = find_key(t->named, t->named_count, name);
	if (!arg && position < t->positional_count)
		arg = &t->positional[position];
	return arg ? arg : missing(t, NULL, name, 0);
}

size_t cashet_arg_count(struct cashet_task *t)
{
	return t->positional_count;
}

enum cashet_type cashet_type(const struct cashet_arg *arg)
{
	return known(arg)->type;
}

const char *cashet_type_name(enum cashet_type type)
{
	switch (type) {
	case CASHET_TYPE_MISSING:
		return "nothing";
	case CASHET_TYPE_NULL:
		return "null";
	case CASHET_TYPE_BOOL:
		return "boolean";
	case CASHET_TYPE_INT:
		return "integer";
	case CASHET_TYPE_FLOAT:
		return "float";
	case CASHET_TYPE_TEXT:
		return "text";
	case CASHET_TYPE_BYTES:
		return "bytes";
	case CASHET_TYPE_LIST:
		return "list";
	case CASHET_TYPE_MAP:
		return "map";
	case CASHET_TYPE_PATH:
		return "file";
	}
	return "unknown type";
}

bool cashet_has(const struct cashet_arg *arg)
{
	enum cashet_type type = known(arg)->type;
	return type != CASHET_TYPE_MISSING && type != CASHET_TYPE_NULL;
}

bool cashet_bool(const struct cashet_arg *arg)
{
	return is(arg, CASHET_TYPE_BOOL) && arg->boolean;
}

int64_t cashet_int(const struct cashet_arg *arg)
{
	return is(arg, CASHET_TYPE_INT) ? arg->i : 0;
}

double cashet_float(const struct cashet_arg *arg)
{
	if (known(arg)->type != CASHET_TYPE_INT)
		return is(arg, CASHET_TYPE_FLOAT) ? arg->d : 0;
	double value = (double)arg->i;
	if (value >= 0x1p63 || (int64_t)value != arg->i)
		wrong(arg, "float expected, and no float is exactly this integer");
	return value;
}

const char *cashet_text(const struct cashet_arg *arg)
{
	if (!is(arg, CASHET_TYPE_TEXT))
		return "";
	if (strlen(arg->data) == arg->size)
		return arg->data;
	wrong(arg, "the text has a NUL in it; read it with cashet_bytes()");
	return "";
}

const void *cashet_bytes(const struct cashet_arg *arg, size_t *sizep)
{
	size_t unused;
	sizep = sizep ? sizep : &unused;
	*sizep = 0;
	if (known(arg)->type != CASHET_TYPE_TEXT && !is(arg, CASHET_TYPE_BYTES))
		return "";
	if (arg->type == CASHET_TYPE_TEXT || !arg->blob) { /* a text's blob is JSON */
		*sizep = arg->size;
		return arg->data ? arg->data : "";
	}
	const void *data = blobs_data(arg->task, arg->blob);
	if (!data)
		return "";
	*sizep = arg->blob->from.size;
	return data;
}

const char *cashet_path(const struct cashet_arg *arg)
{
	return is(arg, CASHET_TYPE_PATH) ? arg->data : "";
}

const char *cashet_json(const struct cashet_arg *arg, size_t *sizep)
{
	size_t unused;
	sizep = sizep ? sizep : &unused;
	*sizep = 0;
	const void *data = NULL;
	if (!arg->blob || arg->blob->content.type != CONTENT_JSON)
		expected(arg, "JSON result of a task");
	else
		data = blobs_data(arg->task, arg->blob);
	if (!data)
		return "";
	*sizep = arg->blob->from.size;
	return arena_copy(&arg->task->arena, data, *sizep);
}

size_t cashet_count(const struct cashet_arg *arg)
{
	if (known(arg)->type != CASHET_TYPE_MAP && !is(arg, CASHET_TYPE_LIST))
		return 0;
	return arg->count;
}

const struct cashet_arg *cashet_item(const struct cashet_arg *arg, size_t position)
{
	return position < cashet_count(arg) ? &arg->items[position]
					    : missing(arg->task, arg, NULL, position);
}

const struct cashet_arg *cashet_member(const struct cashet_arg *arg, const char *key)
{
	const struct cashet_arg *found = NULL;
	if (is(arg, CASHET_TYPE_MAP))
		found = find_key(arg->items, arg->count, key);
	return found ? found : missing(arg->task, arg, key, 0);
}

const char *cashet_key(const struct cashet_arg *arg)
{
	return arg->key ? arg->key : "";
}

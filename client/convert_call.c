/* convert_call.c - see convert.h: calls of functions by source. */
#include "client/convert.h"

#include "common/pure/sha256.h"

#include <stdlib.h>
#include <string.h>

struct building {
	struct converter *v;
	size_t index;
	struct spec_task *to;
	uint32_t input_capacity;
	uint32_t values;
};

/* ---- which function */

/* read_target() - Return: 0; ERR_USAGE, ERR_FAILED in v->e. */
static int read_target(struct converter *v, size_t index, struct describe_target *t)
{
	const struct cashet_task *task = &v->tasks[index];
	const char *function;
	int r = convert_text(v, index, task->call, "call");
	if (r)
		return r;
	size_t size = describe_split(task->call, &function);
	char *file = arena_text(&v->arena, task->call, size);
	if (!file)
		return convert_no_memory(v);
	const char *language = describe_language(file);
	if (!function || !language)
		return convert_fail(v, index,
				    "\"%.200s\" names no function: FILE.py:FUNCTION or "
				    "FILE.c:FUNCTION",
				    task->call);
	*t = (struct describe_target){
		.language = language, .file = file, .function = function};
	bool python = !strcmp(language, "python");
	if (task->python && !python)
		return convert_fail(v, index, "python is for functions in Python");
	if (task->cflag_count && python)
		return convert_fail(v, index, "cflags are for functions in C");
	for (size_t i = 0; r == 0 && i < task->cflag_count; i++)
		r = convert_text(v, index, task->cflags[i], "an entry of cflags");
	t->flags = task->cflags;
	t->flag_count = task->cflag_count;
	t->python = task->python;
	if (!r && task->python)
		r = convert_text(v, index, task->python, "python");
	if (!r && task->python && strchr(task->python, '/') && *task->python != '/' &&
	    !(t->python =
		      arena_printf(&v->arena, "%s/%s", v->files.folder, task->python)))
		r = convert_no_memory(v);
	return r;
}

int convert_want_call(struct converter *v, size_t index)
{
	struct describe_target target;
	uint32_t unused;
	int r = read_target(v, index, &target);
	return r ? r : describer_want(v->shipping.describer, &target, &unused, v->e);
}

static int describe(struct converter *v, size_t index, struct spec_task *to)
{
	struct describe_target target;
	struct spec_call *call = to->call;
	struct describer *d = v->shipping.describer;
	int r = read_target(v, index, &target);
	if (!r)
		r = describer_want(d, &target, &call->number, v->e);
	if (!r && !describer_get(d, call->number))
		r = describer_run(d, v->e);
	if (r)
		return r;
	struct err why = {0};
	call->function = describer_get(d, call->number);
	if (!call->function->ok) {
		r = describe_fail(call->function, &why);
		convert_fail(v, index, "%s", why.what);
		err_next(v->e, "%s", why.next);
		v->e->code = why.code;
		return r;
	}
	shipping_warn(&v->shipping, call->function);
	call->python = target.python;
	if (call->python && !(call->version = spec_version(&v->arena, call->function)))
		return convert_no_memory(v);
	r = shipped_call(&v->shipping, call->number, &to->shipped, &why);
	if (r == ERR_USAGE)
		return convert_fail(v, index, "%s", why.what);
	return r ? convert_no_memory(v) : 0;
}

/* ---- arguments */

static int add_input(struct building *b, struct spec_member **memberp, uint32_t *numberp)
{
	struct spec_task *t = b->to;
	if (t->input_count == b->input_capacity) {
		uint32_t capacity = b->input_capacity ? 2 * b->input_capacity : 4;
		struct spec_input *inputs = convert_take(b->v, capacity, sizeof *inputs);
		if (!inputs)
			return ERR_FAILED;
		if (t->input_count)
			memcpy(inputs, t->inputs, t->input_count * sizeof *inputs);
		t->inputs = inputs;
		b->input_capacity = capacity;
	}
	struct spec_member *m = convert_take(b->v, 1, sizeof *m);
	if (!m)
		return ERR_FAILED;
	*numberp = t->input_count;
	t->inputs[t->input_count++] =
		(struct spec_input){.name = "value", .members = m, .count = 1};
	*memberp = m;
	return 0;
}

static int convert_content(struct building *b, const struct cashet_source *from,
			   struct arg *to)
{
	struct spec_member *m;
	uint32_t number;
	int r = add_input(b, &m, &number);
	if (!r)
		r = convert_member(b->v, b->index, from, "file", m);
	if (r)
		return r;
	*to = (struct arg){.type = ARG_REF, .size = number};
	if (m->kind == MEMBER_EXTERN) {
		to->content.type = CONTENT_EXTERN;
		sha256_digest(m->as, strlen(m->as), to->content.digest);
	} else if (m->kind == MEMBER_FILE) {
		to->content = m->item->content;
		if (from->kind == CASHET_SOURCE_BLOB && !from->as)
			return 0; /* the value that it is, not a file */
		to->type = ARG_FILE;
		to->data = (char *)(uintptr_t)m->file_name;
		to->size = strlen(m->file_name);
	}
	return 0;
}

static int convert_arg(struct building *b, const struct cashet_arg *from, unsigned depth,
		       struct arg *to);

static int convert_items(struct building *b, const struct cashet_arg *from,
			 unsigned depth, struct arg *to)
{
	if (depth >= ARG_DEPTH_MAX)
		return convert_fail(b->v, b->index,
				    "lists and maps inside each other, more than %d",
				    ARG_DEPTH_MAX);
	to->type = from->type == CASHET_ARG_LIST ? ARG_LIST : ARG_MAP;
	to->count = from->count;
	if (!(to->items = convert_take(b->v, from->count, sizeof *to->items)))
		return ERR_FAILED;
	int r = 0;
	for (size_t i = 0; r == 0 && i < from->count; i++) {
		const struct cashet_arg *item = &from->items[i];
		if (to->type == ARG_MAP)
			r = convert_text(b->v, b->index, item->name, "a key of a map");
		if (r == 0)
			r = convert_arg(b, item, depth + 1, &to->items[i]);
		if (r == 0 && to->type == ARG_MAP) {
			to->items[i].name = (char *)(uintptr_t)item->name;
			to->items[i].name_size = strlen(item->name);
		}
	}
	return r;
}

static int convert_arg(struct building *b, const struct cashet_arg *from, unsigned depth,
		       struct arg *to)
{
	if (++b->values > ARG_COUNT_MAX) {
		convert_fail(b->v, b->index, "a call has %u values at most",
			     ARG_COUNT_MAX);
		err_next(b->v->e, "pass many values as a file");
		return ERR_USAGE;
	}
	*to = (struct arg){0};
	switch (from->type) {
	case CASHET_ARG_NULL:
		return 0;
	case CASHET_ARG_BOOL:
		to->type = ARG_BOOL;
		to->boolean = from->boolean;
		return 0;
	case CASHET_ARG_INT:
		to->type = ARG_INT;
		to->i = from->i;
		return 0;
	case CASHET_ARG_FLOAT:
		to->type = ARG_FLOAT;
		to->d = from->d;
		return 0;
	case CASHET_ARG_TEXT:
		to->type = ARG_TEXT;
		to->data = (char *)(uintptr_t)from->text;
		to->size = from->text ? strlen(from->text) : 0;
		return convert_text(b->v, b->index, from->text, "an argument");
	case CASHET_ARG_BYTES:
		to->type = ARG_BYTES;
		to->data = (char *)(uintptr_t)(from->count ? from->data : "");
		to->size = from->count;
		return to->data ? 0 : convert_fail(b->v, b->index, "bytes that are NULL");
	case CASHET_ARG_LIST:
	case CASHET_ARG_MAP:
		return convert_items(b, from, depth, to);
	case CASHET_ARG_SOURCE:
		return convert_content(b, &from->source, to);
	}
	return convert_fail(b->v, b->index, "an argument has no type of ours");
}

static int convert_args(struct building *b)
{
	const struct cashet_task *t = &b->v->tasks[b->index];
	struct call_args *args = &b->to->call->args;
	args->positional = convert_take(b->v, t->arg_count, sizeof *args->positional);
	args->keywords = convert_take(b->v, t->kwarg_count, sizeof *args->keywords);
	if (!args->positional || !args->keywords)
		return ERR_FAILED;
	int r = 0;
	for (size_t i = 0; r == 0 && i < t->arg_count; i++)
		r = convert_arg(b, &t->args[i], 0, &args->positional[i]);
	for (size_t i = 0; r == 0 && i < t->kwarg_count; i++) {
		const char *name = t->kwargs[i].name;
		r = convert_text(b->v, b->index, name, "the name of an argument");
		if (r == 0 && !*name)
			r = convert_fail(b->v, b->index, "an argument needs a name");
		if (r == 0)
			r = convert_arg(b, &t->kwargs[i], 0, &args->keywords[i]);
		args->keywords[i].name = (char *)(uintptr_t)name;
		args->keywords[i].name_size = name ? strlen(name) : 0;
	}
	args->positional_count = t->arg_count;
	args->keyword_count = t->kwarg_count;
	return r;
}

/* ---- in one spelling, and what people are shown of it */

/* What it was given, as far as that is short. */
static int set_labels(struct building *b, size_t given,
		      const struct describe_binding *binding)
{
	struct spec_call *call = b->to->call;
	const struct call_args *args = &call->args;
	size_t positional =
		args->positional_count < given ? args->positional_count : given;
	call->labels =
		convert_take(b->v, positional + binding->given, sizeof *call->labels);
	if (!call->labels)
		return ERR_FAILED;
	for (size_t i = 0; i < positional; i++) {
		const char *label = arena_printf(&b->v->arena, "%zu", i);
		if (!label)
			return convert_no_memory(b->v);
		if (args->positional[i].type <= ARG_TEXT)
			call->labels[call->label_count++] = label;
	}
	for (size_t i = 0; i < binding->given; i++)
		if (args->keywords[i].type <= ARG_TEXT)
			call->labels[call->label_count++] = args->keywords[i].name;
	return 0;
}

static int bind(struct building *b)
{
	struct describe_binding binding;
	struct err why = {0};
	struct spec_call *call = b->to->call;
	size_t given = call->args.positional_count;
	int r = describe_bind(call->function, &call->args, &b->v->arena, &binding, &why);
	if (r == ERR_USAGE) {
		convert_fail(b->v, b->index, "%s", why.what);
		err_next(b->v->e, "%s", why.next);
		return r;
	}
	return r ? convert_no_memory(b->v) : set_labels(b, given, &binding);
}

/* What makes a command has no meaning here. */
static int refuse_command(struct converter *v, size_t index)
{
	const struct cashet_task *t = &v->tasks[index];
	if (t->argc || t->shell)
		return convert_fail(v, index,
				    "it has a command and a call, which are two tasks");
	const char *part = t->param_count    ? "params: use kwargs"
			   : t->input_count  ? "inputs: pass a source as an argument"
			   : t->output_count ? "outputs: what it returns is its result"
			   : t->metrics	     ? "metrics: return a map with numbers"
					     : NULL;
	return part ? convert_fail(v, index, "a call has no %s", part) : 0;
}

int convert_call(struct converter *v, size_t index, struct spec_task *to)
{
	struct building b = {.v = v, .index = index, .to = to};
	int r = refuse_command(v, index);
	if (!r && !(to->call = convert_take(v, 1, sizeof *to->call)))
		r = ERR_FAILED;
	if (r)
		return r;
	struct node *node = convert_take(v, 1, sizeof *node); /* as a batch file has it */
	if (!node)
		return ERR_FAILED;
	to->name = node->text = v->tasks[index].call;
	node->count = (uint32_t)strlen(node->text);
	to->call->node = node;
	to->call->fork = v->tasks[index].fork;
	r = describe(v, index, to);
	if (!r)
		r = convert_args(&b);
	return r ? r : bind(&b);
}

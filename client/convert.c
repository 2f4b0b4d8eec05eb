/* convert.c - see convert.h: texts, parameters, the command. */
#include "client/convert.h"

#include "common/names.h"
#include "common/pure/utf8.h"
#include "common/template.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *convert_title(const struct cashet_task *t)
{
	return t->name ? t->name : t->call ? t->call : "task";
}

int convert_fail(struct converter *v, size_t index, const char *fmt, ...)
{
	CLEANUP_BUF struct buf text = {0};
	va_list args;
	va_start(args, fmt);
	buf_vprintf(&text, fmt, args);
	va_end(args);
	/* Of a call alone nobody asks which task it is. */
	if (v->count == 1 && v->tasks[index].call)
		return err_set(v->e, ERR_USAGE, "%s", buf_cstr(&text));
	return err_set(v->e, ERR_USAGE, "task %zu (\"%s\"): %s", index,
		       convert_title(&v->tasks[index]), buf_cstr(&text));
}

int convert_no_memory(struct converter *v)
{
	return err_set(v->e, ERR_FAILED, "out of memory");
}

void *convert_take(struct converter *v, size_t count, size_t size)
{
	void *memory = arena_calloc(&v->arena, count, size);
	if (!memory)
		convert_no_memory(v);
	return memory;
}

/* ---- texts, names, pairs */

int convert_text(struct converter *v, size_t index, const char *text, const char *what)
{
	if (!text)
		return convert_fail(v, index, "%s is NULL", what);
	if (!utf8_valid(text, strlen(text)))
		return convert_fail(v, index, "%s is not UTF-8", what);
	return 0;
}

int convert_name(struct converter *v, size_t index, const char *name, const char *what)
{
	int r = convert_text(v, index, name, what);
	if (!r && !names_valid(name, false))
		r = convert_fail(
			v, index,
			"\"%.100s\" is no name for %s: 1 to 128 of A-Z a-z 0-9 _ -", name,
			what);
	return r;
}

static int by_key(const void *a, const void *b)
{
	const struct spec_pair *x = a, *y = b;
	return strcmp(x->key, y->key);
}

int convert_pairs(struct converter *v, size_t index, const struct cashet_pair *from,
		  size_t count, const char *what, struct spec_pairs *to)
{
	if (!count)
		return 0;
	if (!(to->items = convert_take(v, count, sizeof *to->items)))
		return ERR_FAILED;
	for (size_t i = 0; i < count; i++) {
		int r = convert_text(v, index, from[i].key, what);
		if (!r)
			r = convert_text(v, index, from[i].value, what);
		if (!r && !*from[i].key)
			r = convert_fail(v, index, "%s has an empty name", what);
		/* "k=v" is how both are written, in the environment and after --tag. */
		if (!r && strchr(from[i].key, '='))
			r = convert_fail(v, index, "\"%.100s\" cannot be a name in %s",
					 from[i].key, what);
		if (r)
			return r;
		to->items[i] =
			(struct spec_pair){.key = from[i].key, .value = from[i].value};
	}
	to->count = (uint32_t)count;
	qsort(to->items, count, sizeof *to->items, by_key);
	for (size_t i = 1; i < count; i++)
		if (strcmp(to->items[i - 1].key, to->items[i].key) == 0)
			return convert_fail(v, index, "%s has \"%.100s\" twice", what,
					    to->items[i].key);
	return 0;
}

/* ---- parameters */

static int convert_value(struct converter *v, size_t index,
			 const struct cashet_param *from, struct value *to)
{
	const struct cashet_value *in = &from->value;
	switch (in->type) {
	case CASHET_BOOL:
		*to = (struct value){.type = VALUE_BOOL, .boolean = in->boolean};
		return 0;
	case CASHET_INT:
		*to = (struct value){.type = VALUE_INT, .i = in->i};
		return 0;
	case CASHET_UINT: /* what fits is the same number, so the same identity */
		*to = in->u <= INT64_MAX
			      ? (struct value){.type = VALUE_INT, .i = (int64_t)in->u}
			      : (struct value){.type = VALUE_UINT, .u = in->u};
		return 0;
	case CASHET_DOUBLE:
		if (!isfinite(in->d))
			return convert_fail(v, index,
					    "parameter \"%s\" is not a finite number",
					    from->name);
		*to = (struct value){.type = VALUE_DOUBLE, .d = in->d};
		return 0;
	case CASHET_STRING:
		*to = (struct value){.type = VALUE_STRING, .text = (char *)in->text};
		return convert_text(v, index, in->text, "a parameter");
	}
	return convert_fail(v, index, "parameter \"%s\" has no type of ours", from->name);
}

static int by_text(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;
	return strcmp(*x, *y);
}

static int convert_params(struct converter *v, size_t index, struct spec_task *to)
{
	const struct cashet_task *t = &v->tasks[index];
	if (!t->param_count)
		return 0;
	if (!(to->params = convert_take(v, t->param_count, sizeof *to->params)))
		return ERR_FAILED;
	for (size_t i = 0; i < t->param_count; i++) {
		int r = convert_name(v, index, t->params[i].name, "a parameter");
		if (!r)
			r = convert_value(v, index, &t->params[i], &to->params[i].value);
		if (r)
			return r;
		to->params[i].name = t->params[i].name;
	}
	to->param_count = (uint32_t)t->param_count;
	const char **sorted = convert_take(v, t->param_count, sizeof *sorted);
	if (!sorted)
		return ERR_FAILED;
	for (size_t i = 0; i < t->param_count; i++)
		sorted[i] = t->params[i].name;
	qsort(sorted, t->param_count, sizeof *sorted, by_text);
	for (size_t i = 1; i < t->param_count; i++)
		if (strcmp(sorted[i - 1], sorted[i]) == 0)
			return convert_fail(v, index, "parameter \"%s\" is there twice",
					    sorted[i]);
	return 0;
}

/* ---- the command */

static int check_size(struct converter *v, size_t index, const struct spec_task *t)
{
	uint64_t size = spec_description_size(t);
	if (size <= FUNCTION_SIZE_MAX)
		return 0;
	convert_fail(v, index,
		     "its description has %" PRIu64
		     " bytes, most of them in %s; the limit is %u MiB",
		     size, spec_largest_part(t), FUNCTION_SIZE_MAX >> 20);
	err_next(v->e, SPEC_SIZE_NEXT);
	return ERR_USAGE;
}

static bool is_known(const struct spec_task *t, const struct template_span *span)
{
	uint32_t count = span->kind == TEMPLATE_PARAM	 ? t->param_count
			 : span->kind == TEMPLATE_OUTPUT ? t->outputs.count
							 : t->input_count;
	for (uint32_t i = 0; i < count; i++) {
		const char *name = span->kind == TEMPLATE_PARAM ? t->params[i].name
				   : span->kind == TEMPLATE_OUTPUT
					   ? t->outputs.items[i].key
					   : t->inputs[i].name;
		if (strlen(name) == span->name_size &&
		    memcmp(name, span->name, span->name_size) == 0)
			return span->kind != TEMPLATE_INPUT_LIST || t->inputs[i].is_list;
	}
	return false;
}

static int check_template(struct converter *v, size_t index, const char *text,
			  const struct spec_task *t)
{
	struct template_scan scan;
	struct template_span span;
	int r = convert_text(v, index, text, "argv, shell or env");
	if (r || !strstr(text, "${"))
		return r;
	template_scan_init(&scan, text, strlen(text));
	while (template_next(&scan, &span)) {
		if (span.kind == TEMPLATE_TEXT || span.kind == TEMPLATE_ESCAPE)
			continue;
		if (span.kind == TEMPLATE_UNKNOWN || !is_known(t, &span))
			return convert_fail(
				v, index, "unknown %.*s; a literal ${ is written $${",
				(int)(span.end - span.start > 60 ? 60
								 : span.end - span.start),
				text + span.start);
	}
	return 0;
}

static int check_env(struct converter *v, size_t index, const struct spec_task *to)
{
	int r = 0;
	for (uint32_t i = 0; r == 0 && i < to->env.count; i++)
		r = check_template(v, index, to->env.items[i].value, to);
	return r;
}

static int convert_run(struct converter *v, size_t index, struct spec_task *to)
{
	const struct cashet_task *t = &v->tasks[index];
	if (t->call)
		return check_env(v, index, to);
	if ((t->argc > 0) == (t->shell != NULL))
		return convert_fail(v, index,
				    "it needs argv, shell or call, one of them");
	if (t->argc && (!t->argv || !t->argv[0] || !*t->argv[0]))
		return convert_fail(v, index, "the program has no name");
	if (t->shell && !t->shell[strspn(t->shell, " \t\n")])
		return convert_fail(v, index, "shell is empty");
	to->argv = (const char **)t->argv;
	to->argc = (uint32_t)t->argc;
	to->shell = t->shell;
	int r = t->shell ? check_template(v, index, t->shell, to) : 0;
	for (size_t i = 0; r == 0 && i < t->argc; i++)
		r = check_template(v, index, t->argv[i], to);
	return r ? r : check_env(v, index, to);
}

/* ---- all of it */

int convert_task(struct converter *v, size_t index, struct spec_task *to)
{
	const struct cashet_task *t = &v->tasks[index];
	arena_reset(&v->arena);
	*to = (struct spec_task){.name = convert_title(t),
				 .metrics = t->metrics,
				 .salt = t->salt,
				 .count = 1};
	int r = t->call ? convert_call(v, index, to) : convert_params(v, index, to);
	if (!r && !t->call)
		r = convert_inputs(v, index, to);
	if (!r)
		r = convert_pairs(v, index, t->outputs, t->output_count, "outputs",
				  &to->outputs);
	if (!r)
		r = convert_pairs(v, index, t->env, t->env_count, "env", &to->env);
	if (!r)
		r = convert_pairs(v, index, t->tags, t->tag_count, "tags", &to->tags);
	if (!r && t->salt)
		r = convert_text(v, index, t->salt, "salt");
	if (!r)
		r = convert_code(v, index, to);
	if (!r)
		r = convert_needs(v, index, to);
	if (!r)
		r = convert_run(v, index, to);
	if (!r)
		r = convert_layout(v, index, to);
	if (!r)
		r = check_size(v, index, to);
	return r ? r : convert_options(v, index, to);
}

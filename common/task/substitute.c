/* substitute.c - see substitute.h. */
#include "common/task/substitute.h"

#include "common/template.h"

#include <string.h>

enum quoting { PLAIN, SHELL };

/* Means itself to every shell, unquoted, also where quotes would be in the way: $((...)). */
static bool is_plain_word(const char *text, size_t size)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789@%+=:,./_-";

	for (size_t i = 0; i < size; i++)
		if (!text[i] || !strchr(plain, text[i]))
			return false;
	return size > 0;
}

void shell_quote(struct buf *out, const char *text, size_t size)
{
	if (is_plain_word(text, size)) {
		buf_add(out, text, size);
		return;
	}
	buf_add_byte(out, '\'');
	for (size_t i = 0; i < size; i++) {
		if (text[i] == '\'')
			buf_add_str(out, "'\\''");
		else
			buf_add_byte(out, (uint8_t)text[i]);
	}
	buf_add_byte(out, '\'');
}

static void add_value(struct buf *out, enum quoting quoting, const char *text,
		      size_t size)
{
	if (quoting == SHELL)
		shell_quote(out, text, size);
	else
		buf_add(out, text, size);
}

static size_t find_name(char *const *names, size_t count,
			const struct template_span *span)
{
	for (size_t i = 0; i < count; i++)
		if (strlen(names[i]) == span->name_size &&
		    memcmp(names[i], span->name, span->name_size) == 0)
			return i;
	return SIZE_MAX;
}

static int unknown(const char *text, const struct template_span *span, struct err *e)
{
	return err_set(
		e, ERR_USAGE, "unknown %.*s in \"%.200s\"",
		(int)(span->end - span->start > 100 ? 100 : span->end - span->start),
		text + span->start, text);
}

static const struct input_paths *find_input(const struct substitution *s,
					    const struct template_span *span)
{
	size_t i = find_name(s->function->inputs, s->function->input_count, span);
	return i == SIZE_MAX ? NULL : &s->inputs[i];
}

static int add_input(struct buf *out, enum quoting quoting, const struct substitution *s,
		     const struct template_span *span)
{
	const struct input_paths *input = find_input(s, span);
	if (!input)
		return 1;
	if (span->kind == TEMPLATE_INPUT_LIST) {
		if (!input->list)
			return 1;
		add_value(out, quoting, input->list, strlen(input->list));
		return 0;
	}
	for (size_t i = 0; i < input->count; i++) {
		if (i)
			buf_add_byte(out, ' ');
		add_value(out, quoting, input->paths[i], strlen(input->paths[i]));
	}
	return 0;
}

static int add_param(struct buf *out, enum quoting quoting, const struct substitution *s,
		     const struct template_span *span)
{
	size_t i = find_name(s->function->params, s->function->param_count, span);
	if (i >= s->args->value_count)
		return 1;
	CLEANUP_BUF struct buf text = {0};
	value_format(&text, &s->args->values[i]);
	add_value(out, quoting, buf_cstr(&text), text.size);
	return 0;
}

static int add_output(struct buf *out, enum quoting quoting, const struct substitution *s,
		      const struct template_span *span)
{
	const struct function *f = s->function;
	for (size_t i = 0; i < f->output_count; i++) {
		const struct function_pair *o = &f->outputs[i];
		if (strlen(o->name) != span->name_size ||
		    memcmp(o->name, span->name, span->name_size) != 0)
			continue;
		add_value(out, quoting, o->value, strlen(o->value));
		return 0;
	}
	return 1;
}

static int add_text(struct buf *out, const char *text, enum quoting quoting,
		    const struct substitution *s, struct err *e)
{
	struct template_scan scan;
	struct template_span span;
	template_scan_init(&scan, text, strlen(text));
	while (template_next(&scan, &span)) {
		int rc = 0;
		switch (span.kind) {
		case TEMPLATE_TEXT:
			buf_add(out, text + span.start, span.end - span.start);
			break;
		case TEMPLATE_ESCAPE:
			buf_add_str(out, "${");
			break;
		case TEMPLATE_PARAM:
			rc = add_param(out, quoting, s, &span);
			break;
		case TEMPLATE_INPUT:
		case TEMPLATE_INPUT_LIST:
			rc = add_input(out, quoting, s, &span);
			break;
		case TEMPLATE_OUTPUT:
			rc = add_output(out, quoting, s, &span);
			break;
		case TEMPLATE_UNKNOWN:
			rc = 1;
		}
		if (rc)
			return unknown(text, &span, e);
	}
	return 0;
}

/* An item that is nothing but a list input: one item per path. Return: true if it was. */
static bool add_list_items(struct buf *out, uint32_t *argcp, const char *text,
			   const struct substitution *s)
{
	struct template_scan scan;
	struct template_span span;
	size_t size = strlen(text);
	template_scan_init(&scan, text, size);
	if (!template_next(&scan, &span) || span.end != size ||
	    span.kind != TEMPLATE_INPUT)
		return false;
	const struct input_paths *input = find_input(s, &span);
	if (!input || !input->is_list)
		return false;
	for (size_t i = 0; i < input->count; i++)
		buf_add(out, input->paths[i], strlen(input->paths[i]) + 1);
	*argcp += (uint32_t)input->count;
	return true;
}

int substitute_command(struct buf *strings, uint32_t *argcp, const struct substitution *s,
		       struct err *e)
{
	const struct function *f = s->function;
	uint32_t argc = 0;
	if (f->shell) {
		static const char prefix[] = "/bin/sh\0-c"; /* and its last NUL */
		buf_add(strings, prefix, sizeof prefix);
		int rc = add_text(strings, f->shell, SHELL, s, e);
		buf_add_byte(strings, 0);
		*argcp = 3;
		return rc;
	}
	for (size_t i = 0; i < f->argc; i++) {
		if (add_list_items(strings, &argc, f->argv[i], s))
			continue;
		int rc = add_text(strings, f->argv[i], PLAIN, s, e);
		if (rc)
			return rc;
		buf_add_byte(strings, 0);
		argc++;
	}
	if (argc == 0)
		return err_set(e, ERR_USAGE, "the command is empty");
	*argcp = argc;
	return 0;
}

int substitute_env(struct buf *strings, uint32_t *envcp, const struct substitution *s,
		   struct err *e)
{
	const struct function *f = s->function;
	for (size_t i = 0; i < f->env_count; i++) {
		buf_add_str(strings, f->env[i].name);
		buf_add_byte(strings, '=');
		int rc = add_text(strings, f->env[i].value, PLAIN, s, e);
		if (rc)
			return rc;
		buf_add_byte(strings, 0);
		++*envcp;
	}
	return 0;
}

/* spec_run.c - see spec.h: the command, and the ${...} in it. */
#include "client/batch/spec.h"

#include "common/names.h"
#include "common/template.h"

#include <stdio.h>
#include <string.h>

int spec_read_run(struct spec *s, const struct node *run, struct spec_task *task)
{
	if (run->kind == NODE_MAP || (run->kind == NODE_TEXT && !get_is_text(run))) {
		char found[128];
		return doc_fail(
			s->doc, run,
			"run must be a list (argv) or a text (for the shell), not %s",
			get_describe(run, found));
	}
	if (run->kind == NODE_TEXT) {
		int e = get_text(s->doc, run, "run", &task->shell);
		if (!e && !task->shell[strspn(task->shell, " \t\n")])
			e = doc_fail(s->doc, run, "run is empty");
		return e;
	}
	if (!run->count)
		return doc_fail(s->doc, run, "run is empty");
	if (!(task->argv = spec_take(s, run->count, sizeof *task->argv)))
		return ERR_FAILED;
	for (uint32_t i = 0; i < run->count; i++) {
		int e = get_text(s->doc, &run->items[i], "an item of run",
				 &task->argv[i]);
		if (e)
			return e;
	}
	task->argc = run->count;
	return *task->argv[0]
		       ? 0
		       : doc_fail(s->doc, &run->items[0], "the program has no name");
}

/* ---- templates */

static bool is_name(const char *name, const struct template_span *span)
{
	return strlen(name) == span->name_size &&
	       !memcmp(name, span->name, span->name_size);
}

/* names_of() - what ${p.*}, ${inputs.*} or ${outputs.*} may name. */
static size_t names_of(const struct spec_task *t, enum template_kind kind,
		       const char **names)
{
	size_t count = 0;
	if (kind == TEMPLATE_PARAM) {
		for (uint32_t i = 0; i < t->param_count; i++)
			names[count++] = t->params[i].name;
		for (uint32_t i = 0; t->sweep && i < t->sweep->axis_count; i++)
			names[count++] = t->sweep->axes[i].name;
	} else if (kind == TEMPLATE_OUTPUT) {
		for (uint32_t i = 0; i < t->outputs.count; i++)
			names[count++] = t->outputs.items[i].key;
	} else {
		for (uint32_t i = 0; i < t->input_count; i++)
			names[count++] = t->inputs[i].name;
	}
	return count;
}

static int fail_name(struct spec *s, const struct node *node, const struct spec_task *t,
		     const char *text, const struct template_span *span)
{
	const char *what = span->kind == TEMPLATE_PARAM	   ? "parameter"
			   : span->kind == TEMPLATE_OUTPUT ? "output"
							   : "input";
	uint32_t most = t->param_count + t->input_count + t->outputs.count +
			(t->sweep ? t->sweep->axis_count : 0);
	const char **names = spec_take(s, most, sizeof *names);
	char *name = arena_text(&s->doc->arena, span->name, span->name_size);
	if (!names || !name)
		return doc_no_memory(s->doc);
	const char *near = names_suggest(name, names, names_of(t, span->kind, names));
	size_t size = span->end - span->start;
	return doc_fail_within(s->doc, node, text + span->start, size,
			       "unknown %.*s: task \"%s\" has no %s \"%s\"%s%s%s",
			       (int)(size > 100 ? 100 : size), text + span->start,
			       t->name, what, name, near ? "; did you mean \"" : "",
			       near ? near : "", near ? "\"?" : "");
}

static int fail_unknown(struct spec *s, const struct node *node, const char *text,
			const struct template_span *span)
{
	size_t size = span->end - span->start;
	const char *at = text + span->start;
	if (at[size - 1] != '}')
		return doc_fail_within(s->doc, node, at, size > 40 ? 40 : size,
				       "${ without }; a literal ${ is written $${");
	return doc_fail_within(
		s->doc, node, at, size,
		"unknown %.*s: there are ${p.NAME}, ${inputs.NAME}, "
		"${inputs.NAME.list}, ${outputs.NAME}; a literal ${ is written $${",
		(int)(size > 60 ? 60 : size), at);
}

/* Whether the task has what the span names. */
static bool is_known(const struct spec_task *t, const struct template_span *span)
{
	switch (span->kind) {
	case TEMPLATE_PARAM:
		for (uint32_t i = 0; i < t->param_count; i++)
			if (is_name(t->params[i].name, span))
				return true;
		for (uint32_t i = 0; t->sweep && i < t->sweep->axis_count; i++)
			if (is_name(t->sweep->axes[i].name, span))
				return true;
		return false;
	case TEMPLATE_OUTPUT:
		for (uint32_t i = 0; i < t->outputs.count; i++)
			if (is_name(t->outputs.items[i].key, span))
				return true;
		return false;
	case TEMPLATE_INPUT:
	case TEMPLATE_INPUT_LIST:
		for (uint32_t i = 0; i < t->input_count; i++)
			if (is_name(t->inputs[i].name, span))
				return true;
		return false;
	case TEMPLATE_TEXT:
	case TEMPLATE_ESCAPE:
		return true;
	case TEMPLATE_UNKNOWN:
		break;
	}
	return false;
}

/* ${inputs.NAME.list} is a file only where the input stands for several. */
static bool is_listed(const struct spec_task *t, const struct template_span *span)
{
	for (uint32_t i = 0; i < t->input_count; i++) {
		const struct spec_input *input = &t->inputs[i];
		if (is_name(input->name, span))
			return input->is_list || (input->members->kind == MEMBER_REF &&
						  input->members->ref.all);
	}
	return false;
}

static int check_text(struct spec *s, const struct node *node, const char *text,
		      const struct spec_task *task)
{
	struct template_scan scan;
	struct template_span span;
	if (!strstr(text, "${"))
		return 0;
	template_scan_init(&scan, text, strlen(text));
	while (template_next(&scan, &span)) {
		if (task->call && span.kind != TEMPLATE_TEXT &&
		    span.kind != TEMPLATE_ESCAPE)
			return doc_fail_within(
				s->doc, node, text + span.start, span.end - span.start,
				"env of a call has no ${...}: pass it as an argument; a "
				"literal ${ is written $${");
		if (span.kind == TEMPLATE_UNKNOWN)
			return fail_unknown(s, node, text, &span);
		if (!is_known(task, &span))
			return fail_name(s, node, task, text, &span);
		if (span.kind == TEMPLATE_INPUT_LIST && !is_listed(task, &span))
			return doc_fail_within(
				s->doc, node, text + span.start, span.end - span.start,
				"input \"%.*s\" is not a list: write ${inputs.%.*s}",
				(int)span.name_size, span.name, (int)span.name_size,
				span.name);
	}
	return 0;
}

int spec_check_templates(struct spec *s, const struct node *run,
			 const struct spec_task *task)
{
	int e = task->shell ? check_text(s, run, task->shell, task) : 0;
	for (uint32_t i = 0; !e && i < task->argc; i++)
		e = check_text(s, &run->items[i], task->argv[i], task);
	for (uint32_t i = 0; !e && i < task->env.count; i++)
		e = check_text(s, task->env.items[i].node, task->env.items[i].value,
			       task);
	return e;
}

/* spec_ref.c - see spec.h: references between tasks, read and resolved.
 *
 *	T  T.out  T.stdout     one task        T.*  T.*.out  T.*.stdout     all of a sweep
 *
 * In list form T may be a number, also bare: {ref: 0}. */
#include "client/batch/emit.h"
#include "client/batch/spec.h"

#include "common/names.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 80
#define SUGGEST_MAX 10000 /* names that a slip is compared with */
#define NAMES_MAX 100000
#define NEEDS_MAX 20000000

static int fail_form(struct spec *s, const struct node *node)
{
	return doc_fail(
		s->doc, node,
		"\"%.*s\" is not a reference: there are T, T.OUTPUT, T.stdout, T.* and "
		"T.*.OUTPUT",
		SHOWN, node->text);
}

int spec_read_ref(struct spec *s, const struct node *node, struct spec_ref *ref)
{
	const char *text;
	int e = get_text(s->doc, node, "ref", &text);
	if (e)
		return e;
	size_t size = strcspn(text, ".");
	*ref = (struct spec_ref){.node = node,
				 .task = text,
				 .task_size = (uint32_t)size,
				 .target = TARGET_NONE};
	if (!size)
		return fail_form(s, node);
	if (s->form != SPEC_BY_NAME && strspn(text, "0123456789") == size) {
		ref->by_index = true;
		ref->index = size > 18 ? UINT64_MAX : strtoull(text, NULL, 10);
	}
	const char *rest = text + size;
	if (!strncmp(rest, ".*", 2)) {
		ref->all = true;
		rest += 2;
	}
	if (*rest == '.' && rest[1] && !strchr(rest + 1, '.'))
		ref->output = rest + 1;
	else if (*rest)
		return fail_form(s, node);
	return 0;
}

int spec_read_needs(struct spec *s, const struct node *node, struct spec_task *task)
{
	int e = get_is_list(s->doc, node, "needs");
	if (e)
		return e;
	if (!(task->needs = spec_take(s, node->count, sizeof *task->needs)))
		return ERR_FAILED;
	for (uint32_t i = 0; i < node->count; i++) {
		struct spec_ref *ref = &task->needs[i];
		if ((e = spec_read_ref(s, &node->items[i], ref)))
			return e;
		if (ref->output)
			return doc_fail(s->doc, ref->node,
					"needs has tasks, not outputs: write \"%.*s\"",
					(int)ref->task_size, ref->task);
		ref->all = true; /* a sweep means all of its tasks */
	}
	task->need_count = node->count;
	return 0;
}

/* ---- finding the target */

static int fail_unknown(struct spec *s, const struct targets *t,
			const struct spec_ref *ref)
{
	char *name = arena_text(&s->doc->arena, ref->task, ref->task_size);
	uint32_t count = t->name_count < SUGGEST_MAX ? t->name_count : SUGGEST_MAX;
	const char **names = spec_take(s, count, sizeof *names);
	if (!name || !names)
		return doc_no_memory(s->doc);
	for (uint32_t i = 0; i < count; i++)
		names[i] = t->names[i].text;
	const char *near = names_suggest(name, names, count);
	const char *where = s->form == SPEC_LINES ? " on an earlier line" : "";
	if (near)
		return doc_fail(s->doc, ref->node,
				"unknown task \"%.*s\"%s; did you mean \"%s\"?", SHOWN,
				name, where, near);
	return doc_fail(s->doc, ref->node, "unknown task \"%.*s\"%s", SHOWN, name, where);
}

static int fail_self(struct spec *s, const struct spec_ref *ref,
		     const struct spec_task *task)
{
	return doc_fail(s->doc, ref->node, "task \"%s\" refers to itself", task->name);
}

static int find_by_index(struct spec *s, const struct targets *t, struct spec_ref *ref,
			 const struct spec_task *task, uint32_t self, uint32_t index)
{
	if (s->form == SPEC_LINES) {
		if (ref->index == index)
			return fail_self(s, ref, task);
		if (ref->index > index)
			return doc_fail(s->doc, ref->node,
					"reference to task %.*s from task %" PRIu32
					": in JSONL references point backwards",
					(int)ref->task_size, ref->task, index);
		ref->first = (uint32_t)ref->index;
		ref->target = targets_of_index(t, ref->first);
		return 0;
	}
	if (ref->index >= t->count)
		return doc_fail(
			s->doc, ref->node,
			"unknown task %.*s: the tasks of this list are 0 to %" PRIu32,
			(int)ref->task_size, ref->task, t->count - 1);
	ref->target = (uint32_t)ref->index;
	ref->first = t->items[ref->target].first;
	return ref->target == self ? fail_self(s, ref, task) : 0;
}

static int find_by_name(struct spec *s, const struct targets *t, struct spec_ref *ref,
			const struct spec_task *task)
{
	const struct target_name *name = targets_find(t, ref->task, ref->task_size);
	if (!name) {
		if (task->ref_name && strlen(task->ref_name) == ref->task_size &&
		    !memcmp(task->ref_name, ref->task, ref->task_size))
			return fail_self(s, ref, task);
		return fail_unknown(s, t, ref);
	}
	ref->target = name->first;
	bool is_one = name->targets == 1 &&
		      (t->items[name->first].is_sweep || name->tasks == 1);
	if (!ref->all && !is_one)
		return doc_fail(
			s->doc, ref->node,
			"%" PRIu64
			" tasks are named \"%s\": refer to all of them by \"%s.*\", or "
			"to one by its number",
			name->tasks, name->text, name->text);
	return 0;
}

/* ---- its output */

static int fail_output(struct spec *s, const struct spec_ref *ref,
		       const struct shape *shape)
{
	const char **names = spec_take(s, (size_t)shape->count + 1, sizeof *names);
	if (!names)
		return ERR_FAILED;
	for (uint32_t i = 0; i < shape->count; i++)
		names[i] = shape->names[i];
	names[shape->count] = "stdout";
	const char *near = names_suggest(ref->output, names, shape->count + 1);
	int size = (int)ref->task_size;
	if (near)
		return doc_fail(
			s->doc, ref->node,
			"task \"%.*s\" has no output \"%.*s\"; did you mean \"%s\"?",
			size, ref->task, SHOWN, ref->output, near);
	if (shape->is_call)
		return doc_fail(s->doc, ref->node,
				"task \"%.*s\" has no output \"%.*s\": it is a call, and "
				"its result is what the function returns",
				size, ref->task, SHOWN, ref->output);
	if (!shape->count)
		return doc_fail(s->doc, ref->node,
				"task \"%.*s\" has no output \"%.*s\": it declares none, "
				"and its result is "
				"its standard output",
				size, ref->task, SHOWN, ref->output);
	return doc_fail(s->doc, ref->node, "task \"%.*s\" has no output \"%.*s\"", size,
			ref->task, SHOWN, ref->output);
}

static const char *file_name_of(const struct shape *shape, uint32_t slot)
{
	if (slot == SLOT_STDOUT || (!shape->count && !shape->is_call))
		return "stdout";
	if (slot == SLOT_RESULT)
		return "result";
	const char *path = shape->paths[slot - SLOT_OUTPUT], *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

uint32_t ref_slot(const struct spec_ref *ref, const struct shape *shape)
{
	if (!ref->output)
		return SLOT_RESULT;
	if (!strcmp(ref->output, "stdout"))
		return SLOT_STDOUT;
	return SLOT_OUTPUT +
	       (uint32_t)shape_find(shape, ref->output, strlen(ref->output));
}

uint32_t ref_next(const struct targets *t, const struct spec_ref *ref, uint32_t target)
{
	return ref->all && !ref->by_index ? t->items[target].same : TARGET_NONE;
}

uint32_t ref_tasks(const struct targets *t, const struct spec_ref *ref, uint32_t target,
		   uint32_t *firstp)
{
	const struct target *at = &t->items[target];
	/* A target of JSONL may be many like lines; a number names one of them. */
	bool one = ref->by_index && !at->is_sweep;
	*firstp = one ? ref->first : at->first;
	return one || !ref->all ? 1 : at->count;
}

const char *ref_file_name(const struct targets *t, const struct spec_ref *ref,
			  uint32_t target)
{
	const struct shape *shape = &t->shapes[t->items[target].shape];
	return file_name_of(shape, ref_slot(ref, shape));
}

static int check_target(struct spec *s, struct targets *t, struct spec_ref *ref,
			uint32_t number)
{
	struct target *target = &t->items[number];
	const struct shape *shape = &t->shapes[target->shape];
	bool is_stdout = ref->output && !strcmp(ref->output, "stdout");
	int size = (int)ref->task_size;
	if (target->is_sweep && !ref->all)
		return doc_fail(s->doc, ref->node,
				"\"%.*s\" is a sweep of %" PRIu32
				" tasks: write \"%.*s.*%s%s\" for all of them",
				size, ref->task, target->count, size, ref->task,
				ref->output ? "." : "", ref->output ? ref->output : "");
	if (ref->output && !is_stdout &&
	    shape_find(shape, ref->output, strlen(ref->output)) < 0)
		return fail_output(s, ref, shape);
	if (is_stdout && shape->is_call && s->form == SPEC_LINES)
		return doc_fail(
			s->doc, ref->node,
			"task \"%.*s\" is a call, so its standard output is a log; "
			"what JSONL passes on must be its result",
			size, ref->task);
	if (is_stdout && shape->count && s->form == SPEC_LINES)
		return doc_fail(s->doc, ref->node,
				"task \"%.*s\" declares outputs, so its standard output "
				"is a log; what "
				"JSONL passes on must be an output",
				size, ref->task);
	target->keeps_stdout |= is_stdout;
	return 0;
}

static int resolve(struct spec *s, struct targets *t, struct spec_ref *ref,
		   const struct spec_task *task, uint32_t self, uint32_t index)
{
	int e = ref->by_index ? find_by_index(s, t, ref, task, self, index)
			      : find_by_name(s, t, ref, task);
	if (e)
		return e;
	for (uint32_t i = ref->target; i != TARGET_NONE; i = ref_next(t, ref, i)) {
		if (i == self)
			return fail_self(s, ref, task);
		if ((e = check_target(s, t, ref, i)))
			return e;
	}
	return 0;
}

/* What differs in names is named one by one in the arguments, which must be known and bounded. */
static int check_names(struct spec *s, const struct targets *t,
		       const struct spec_input *input)
{
	uint64_t members;
	if (input_names(t, input, &members))
		return 0;
	for (uint32_t i = 0; i < input->count; i++)
		if (input->members[i].kind == MEMBER_REF &&
		    input->members[i].ref.skip_failed)
			return doc_fail(s->doc, input->node,
					"failed: skip needs files of one name, and those "
					"of input \"%s\" "
					"differ",
					input->name);
	if (members > NAMES_MAX)
		return doc_fail(s->doc, input->node,
				"input \"%s\" is %" PRIu64
				" files whose names differ; %d is the limit",
				input->name, members, NAMES_MAX);
	return 0;
}

int spec_resolve(struct spec *s, struct targets *targets, struct spec_task *task,
		 uint32_t self, uint32_t index)
{
	int e = 0;
	for (uint32_t i = 0; !e && i < task->input_count; i++) {
		for (uint32_t k = 0; !e && k < task->inputs[i].count; k++) {
			struct spec_member *m = &task->inputs[i].members[k];
			if (m->kind == MEMBER_REF)
				e = resolve(s, targets, &m->ref, task, self, index);
		}
		if (!e && !task->call)
			e = check_names(s, targets, &task->inputs[i]);
	}
	uint64_t needed = 0;
	for (uint32_t i = 0; !e && i < task->need_count; i++) {
		const struct spec_ref *ref = &task->needs[i];
		e = resolve(s, targets, &task->needs[i], task, self, index);
		uint32_t unused, at = e ? TARGET_NONE : ref->target;
		for (; at != TARGET_NONE; at = ref_next(targets, ref, at))
			needed += ref_tasks(targets, ref, at, &unused);
	}
	s->need_edges += needed * task->count;
	if (!e && s->need_edges > NEEDS_MAX) {
		e = doc_fail(s->doc, task->needs[0].node,
			     "needs joins every task to every other: more than %d pairs",
			     NEEDS_MAX);
		err_next(s->doc->e, "make it an input, {ref: \"T.*\"}, which joins all "
				    "of them at once");
	}
	return e;
}

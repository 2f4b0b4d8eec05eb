/* spec_call.c - see spec.h: which function a call calls, and what the describer says of it. */
#include "client/batch/spec.h"

#include "common/template.h"

#include <string.h>

#define SHOWN 200
#define FLAGS_MAX 1000

/* ---- the function */

struct wanted {
	struct describe_target to;
	const char *python; /* as the worker is told */
};

static int read_python(struct spec *s, const struct node *node, struct wanted *t)
{
	int e = get_text(s->doc, node, "python", &t->python);
	if (!e && !*t->python)
		e = doc_fail(s->doc, node, "python is empty");
	if (e)
		return e;
	if (strchr(t->python, '/') && *t->python != '/')
		t->python = arena_printf(&s->doc->arena, "%s/%s", s->files->folder,
					 t->python);
	t->to.python = t->python;
	return t->python ? 0 : doc_no_memory(s->doc);
}

static int read_flags(struct spec *s, const struct node *node, struct wanted *t)
{
	int e = get_is_list(s->doc, node, "cflags");
	if (!e && node->count > FLAGS_MAX)
		e = doc_fail(s->doc, node, "cflags has %d entries at most", FLAGS_MAX);
	if (e)
		return e;
	const char **flags = spec_take(s, node->count, sizeof *flags);
	if (!flags)
		return ERR_FAILED;
	for (uint32_t i = 0; !e && i < node->count; i++)
		e = get_text(s->doc, &node->items[i], "an entry of cflags", &flags[i]);
	t->to.flags = flags;
	t->to.flag_count = node->count;
	return e;
}

/* read_target() - @own and @common as in spec_read_call(). What the defaults have for another
 * language is not for this one. */
static int read_target(struct spec *s, const struct node *const *own,
		       const struct node *const *common, struct wanted *t)
{
	const char *text, *function;
	int e = get_text(s->doc, own[CALL_CALL], "call", &text);
	if (e)
		return e;
	size_t size = describe_split(text, &function);
	if (!function || !size)
		return doc_fail(
			s->doc, own[CALL_CALL],
			"call must be FILE:FUNCTION, like train.py:train, not \"%.*s\"",
			SHOWN, text);
	char *file = arena_text(&s->doc->arena, text, size);
	if (!file)
		return doc_no_memory(s->doc);
	const char *language = describe_language(file);
	if (!language)
		return doc_fail(s->doc, own[CALL_CALL],
				"\"%.*s\" is neither Python (.py) nor C (.c): those have "
				"functions that can be called",
				SHOWN, file);
	*t = (struct wanted){
		.to = {.language = language, .file = file, .function = function}};
	bool is_python = !strcmp(language, "python");
	const struct node *python = own[CALL_PYTHON], *flags = own[CALL_CFLAGS];
	if (python && !is_python)
		return doc_fail(s->doc, python, "python is for functions in Python");
	if (flags && is_python)
		return doc_fail(s->doc, flags, "cflags is for functions in C");
	python = python ? python : common[CALL_PYTHON];
	flags = flags ? flags : common[CALL_CFLAGS];
	if (python && is_python)
		return read_python(s, python, t);
	return flags && !is_python ? read_flags(s, flags, t) : 0;
}

/* The describer did not make it: where in the batch file, and what it said. */
static int fail_described(struct spec *s, const struct node *node,
			  const struct described *d)
{
	struct err why = {0};
	int e = describe_fail(d, &why);
	doc_fail(s->doc, node, "%s", why.what);
	err_next(s->doc->e, "%s", why.next);
	s->doc->e->code = why.code;
	return e;
}

char *spec_version(struct arena *arena, const struct described *function)
{
	const char *version = function->version;
	size_t size = strcspn(version, ".");
	if (version[size])
		size += 1 + strcspn(version + size + 1, ".");
	return arena_text(arena, version, size);
}

static int describe(struct spec *s, const struct describe_target *target,
		    struct spec_call *call)
{
	struct describer *d = s->shipping->describer;
	int e = describer_want(d, target, &call->number, s->doc->e);
	if (!e && !describer_get(d, call->number))
		e = describer_run(d, s->doc->e);
	if (e)
		return e;
	call->function = describer_get(d, call->number);
	if (!call->function->ok)
		return fail_described(s, call->node, call->function);
	shipping_warn(s->shipping, call->function);
	return 0;
}

int spec_read_call(struct spec *s, const struct node *const *own,
		   const struct node *const *common, struct spec_task *task)
{
	static const char *const isolations[] = {"shared", "fork", NULL};
	struct spec_call *call = spec_take(s, 1, sizeof *call);
	const struct node *isolation =
		own[CALL_ISOLATION] ? own[CALL_ISOLATION] : common[CALL_ISOLATION];
	struct wanted target;
	unsigned choice = 0;
	if (!call)
		return ERR_FAILED;
	call->node = own[CALL_CALL];
	int e = read_target(s, own, common, &target);
	if (!e && isolation)
		e = get_choice(s->doc, isolation, "isolation", isolations, &choice);
	if (!e)
		e = describe(s, &target.to, call);
	if (e)
		return e;
	call->fork = choice;
	call->python = target.python;
	if (call->python &&
	    !(call->version = spec_version(&s->doc->arena, call->function)))
		return doc_no_memory(s->doc);
	task->call = call;
	struct err why = {0};
	e = shipped_call(s->shipping, call->number, &task->shipped, &why);
	if (e == ERR_USAGE)
		return doc_fail(s->doc, call->node, "%s", why.what);
	return e ? doc_no_memory(s->doc) : 0;
}

/* ---- wanted ahead: one process for all of a file */

static int want_call(struct spec *s, const struct node *node)
{
	static const char *const keys[] = {[CALL_CALL] = "call",
					   [CALL_PYTHON] = "python",
					   [CALL_ISOLATION] = "isolation",
					   [CALL_CFLAGS] = "cflags"};
	const struct node *own[CALL_KEYS], *common[CALL_KEYS];
	struct wanted target;
	uint32_t unused;
	for (size_t i = 0; i < CALL_KEYS; i++) {
		own[i] = node_find(node, keys[i]);
		common[i] = s->defaults ? node_find(s->defaults, keys[i]) : NULL;
	}
	int e = read_target(s, own, common, &target);
	if (e)
		return e;
	return describer_want(s->shipping->describer, &target.to, &unused, s->doc->e);
}

static int want_code(struct spec *s, const struct node *node)
{
	struct spec_code *code = NULL;
	uint32_t count = 0;
	int e = spec_find_code(s, node, &code, &count);
	return e ? e : shipped_want(s->shipping, code, count, s->doc->e);
}

int spec_want(struct spec *s, const struct node *node)
{
	if (node->kind != NODE_MAP)
		return 0;
	int e = 0;
	const struct node *code = node_find(node, "code");
	if (node_find(node, "call"))
		e = want_call(s, node);
	else if (code)
		e = want_code(s, code);
	if (e == ERR_USAGE) {
		*s->doc->e = (struct err){0};
		e = 0;
	}
	return e;
}

/* ---- what people are shown of the arguments */

struct label_walk {
	struct spec *s;
	const struct spec_task *task;
	const char **of_hole; /* its first label */
};

static int note_hole(void *arg, const char *label, struct arg *value)
{
	struct label_walk *w = arg;
	if (value->type != ARG_REF || !(value->size & SPEC_HOLE))
		return 0;
	const char *copy = arena_text(&w->s->doc->arena, label, strlen(label));
	w->of_hole[value->size & ~SPEC_HOLE] = copy;
	return copy ? 0 : 1;
}

static bool names_axis(const struct spec_hole *hole, const struct sweep *sweep,
		       uint32_t axis)
{
	struct template_scan scan;
	struct template_span span;
	const char *name = sweep->axes[axis].name;
	if (!hole->text)
		return hole->axis == axis;
	template_scan_init(&scan, hole->text, strlen(hole->text));
	while (template_next(&scan, &span))
		if (span.kind == TEMPLATE_PARAM && strlen(name) == span.name_size &&
		    !memcmp(name, span.name, span.name_size))
			return true;
	return false;
}

static void add_label(struct spec_call *call, const char *label)
{
	for (uint32_t i = 0; i < call->label_count; i++)
		if (!strcmp(call->labels[i], label))
			return;
	call->labels[call->label_count++] = label;
}

/* Of a sweep: where its parameters stand, in their order. */
static int label_sweep(struct spec *s, struct spec_task *task)
{
	struct spec_call *call = task->call;
	struct label_walk w = {.s = s, .task = task};
	w.of_hole = spec_take(s, call->hole_count, sizeof *w.of_hole);
	call->labels = spec_take(s, task->sweep->axis_count, sizeof *call->labels);
	if (!w.of_hole || !call->labels)
		return ERR_FAILED;
	if (call_args_each(&call->args, note_hole, &w))
		return doc_no_memory(s->doc);
	for (uint32_t i = 0; i < task->sweep->axis_count; i++)
		for (uint32_t k = 0; k < call->hole_count; k++)
			if (w.of_hole[k] && names_axis(&call->holes[k], task->sweep, i)) {
				add_label(call, w.of_hole[k]);
				break;
			}
	return 0;
}

static bool is_shown(const struct arg *a)
{
	return a->type <= ARG_TEXT;
}

/* Of a task among others of a list: what it was given, as far as that is short. */
static int label_given(struct spec *s, size_t positional, size_t keywords,
		       struct spec_call *call)
{
	const struct call_args *args = &call->args;
	call->labels = spec_take(s, positional + keywords, sizeof *call->labels);
	if (!call->labels)
		return ERR_FAILED;
	for (size_t i = 0; i < positional; i++) {
		const char *label = arena_printf(&s->doc->arena, "%zu", i);
		if (!label)
			return doc_no_memory(s->doc);
		if (is_shown(&args->positional[i]))
			add_label(call, label);
	}
	for (size_t i = 0; i < keywords; i++)
		if (is_shown(&args->keywords[i]))
			add_label(call, args->keywords[i].name);
	return 0;
}

int spec_set_labels(struct spec *s, size_t given, const struct describe_binding *binding,
		    struct spec_task *task)
{
	size_t positional = task->call->args.positional_count;
	if (task->sweep)
		return label_sweep(s, task);
	if (s->form == SPEC_BY_NAME)
		return 0;
	return label_given(s, positional < given ? positional : given, binding->given,
			   task->call);
}

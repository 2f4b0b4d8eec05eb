/* tasks.c - feed_tasks(): see convert.h for how a task becomes one.
 *
 * Three passes: the first learns names and outputs, so that references may point forwards; the
 * second checks every task, so that nothing of a bad batch is sent; the third emits. */
#include "client/feed.h"

#include "client/batch/emit.h"
#include "client/convert.h"
#include "common/pure/utf8.h"

#include <stdlib.h>
#include <string.h>

static int check_output_names(struct converter *v, size_t index,
			      const struct spec_task *t)
{
	for (uint32_t i = 0; i < t->outputs.count; i++) {
		int r = convert_name(v, index, t->outputs.items[i].key, "an output");
		if (r)
			return r;
		if (strcmp(t->outputs.items[i].key, "stdout") == 0)
			return convert_fail(v, index,
					    "an output cannot be called stdout");
	}
	return 0;
}

/* ---- the passes */

/* What others may refer to, before any reference is looked at. */
static int learn(struct converter *v)
{
	for (size_t i = 0; i < v->count; i++) {
		const struct cashet_task *t = &v->tasks[i];
		struct spec_task outputs = {0};
		arena_reset(&v->arena);
		int r = convert_arrays(v, i);
		if (!r && t->name)
			r = convert_name(v, i, t->name, "a task");
		if (!r)
			r = convert_pairs(v, i, t->outputs, t->output_count, "outputs",
					  &outputs.outputs);
		if (!r)
			r = check_output_names(v, i, &outputs);
		if (r)
			return r;
		struct shape shape = {.count = outputs.outputs.count};
		const char **names = convert_take(v, shape.count, sizeof *names);
		const char **paths = convert_take(v, shape.count, sizeof *paths);
		if (!names || !paths)
			return ERR_FAILED;
		for (uint32_t k = 0; k < shape.count; k++) {
			names[k] = outputs.outputs.items[k].key;
			paths[k] = outputs.outputs.items[k].value;
		}
		shape.names = names;
		shape.paths = paths;
		if (targets_add(&v->targets, NULL, &shape, 1, false, false))
			return convert_no_memory(v);
		if (!t->name)
			continue;
		size_t size = strlen(t->name);
		uint32_t number = map_find(&v->names, t->name, size) ? CONVERT_AMBIGUOUS
								     : (uint32_t)i;
		if (map_put(&v->names, t->name, size, number))
			return convert_no_memory(v);
	}
	return 0;
}

/* What is needed of describers, so that one process says it all. */
static int want_all(struct converter *v)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < v->count; i++) {
		struct spec_task task = {0};
		arena_reset(&v->arena);
		if (v->tasks[i].call) {
			r = convert_want_call(v, i);
			continue;
		}
		r = convert_find_code(v, i, &task);
		if (r == 0)
			r = shipped_want(&v->shipping, task.code, task.code_count, v->e);
	}
	return r;
}

static void note_stdout(struct converter *v, const struct cashet_ref *ref)
{
	uint32_t target = ref->index;
	if (!ref->output || strcmp(ref->output, "stdout"))
		return;
	if (ref->task) {
		const uint32_t *found = map_find(&v->names, ref->task, strlen(ref->task));
		target = found ? *found : CONVERT_AMBIGUOUS;
	}
	if (target < v->count)
		v->targets.items[target].keeps_stdout = true;
}

static void note_args(struct converter *v, const struct cashet_arg *args, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct cashet_arg *a = &args[i];
		if (a->type == CASHET_ARG_LIST || a->type == CASHET_ARG_MAP)
			note_args(v, a->items, a->count);
		else if (a->type == CASHET_ARG_SOURCE &&
			 a->source.kind == CASHET_SOURCE_REF)
			note_stdout(v, &a->source.ref);
	}
}

/* Who reads whose standard output, and that every task is right, before anything is sent. */
static int check_all(struct converter *v)
{
	for (size_t i = 0; i < v->count; i++) {
		const struct cashet_task *t = &v->tasks[i];
		struct spec_task unused;
		for (size_t k = 0; k < t->input_count; k++)
			for (size_t n = 0; n < t->inputs[k].source_count; n++)
				if (t->inputs[k].sources[n].kind == CASHET_SOURCE_REF)
					note_stdout(v, &t->inputs[k].sources[n].ref);
		int r = convert_task(v, i, &unused);
		if (r)
			return r;
		note_args(v, t->args, t->arg_count); /* their depth is checked now */
		note_args(v, t->kwargs, t->kwarg_count);
	}
	return 0;
}

static int emit_all(struct converter *v, struct builder *b, bool private_env)
{
	struct emit m;
	int r = emit_init(&m, b, &v->targets, private_env, v->e);
	if (r)
		return r;
	for (size_t i = 0; r == 0 && i < v->count; i++) {
		struct spec_task task;
		r = convert_task(v, i, &task);
		if (r == 0)
			r = emit_task(&m, &task, v->targets.items[i].keeps_stdout);
	}
	emit_fini(&m);
	return r;
}

/* ---- submitting */

static int send(struct cashet *c, struct converter *v, const struct feed *feed)
{
	const struct cashet_submit_options *o = v->options;
	struct builder_sink sink;
	uint8_t request[NONCE_SIZE];
	Cashet__BatchInfo info = CASHET__BATCH_INFO__INIT;
	Cashet__Policy policy = CASHET__POLICY__INIT;
	Cashet__Pair *pairs = calloc(o->tag_count + 1, sizeof *pairs);
	Cashet__Pair **tags = calloc(o->tag_count + 1, sizeof *tags);
	int r = pairs && tags ? feed->begin(feed->arg, &sink, request, v->e)
			      : convert_no_memory(v);
	if (r == 0) {
		policy.max_failures = o->max_failures;
		policy.max_parallel = o->max_parallel;
		info.name = (char *)(o->name ? o->name : "");
		info.policy = &policy;
		info.tags = tags;
		info.n_tags = o->tag_count;
		for (size_t i = 0; i < o->tag_count; i++) {
			cashet__pair__init(&pairs[i]);
			pairs[i].key = (char *)o->tags[i].key;
			pairs[i].value = (char *)o->tags[i].value;
			tags[i] = &pairs[i];
		}
		struct builder *b = builder_new(request, &info, &sink);
		r = b ? emit_all(v, b, c->where.dir != NULL) : convert_no_memory(v);
		if (r == 0)
			r = builder_finish(b, feed->watch, v->e);
		builder_free(b);
		r = feed->end(feed->arg, r, v->e);
	}
	free(tags);
	free(pairs);
	return r;
}

static int check_batch(struct converter *v)
{
	const struct cashet_submit_options *o = v->options;
	if (!v->count || v->count >= UINT32_MAX)
		return err_set(v->e, ERR_USAGE, "a batch has 1 to %u tasks, not %zu",
			       UINT32_MAX - 1, v->count);
	if (!v->tasks || (o->tag_count && !o->tags))
		return err_set(v->e, ERR_USAGE,
			       "the tasks or tags of the batch are NULL");
	if (o->name && !utf8_valid(o->name, strlen(o->name)))
		return err_set(v->e, ERR_USAGE, "the batch's name is not UTF-8");
	for (size_t i = 0; i < o->tag_count; i++)
		if (!o->tags[i].key || !*o->tags[i].key || !o->tags[i].value ||
		    !utf8_valid(o->tags[i].key, strlen(o->tags[i].key)) ||
		    !utf8_valid(o->tags[i].value, strlen(o->tags[i].value)))
			return err_set(v->e, ERR_USAGE,
				       "tag %zu of the batch has no key, no value, or "
				       "is not UTF-8",
				       i);
	return 0;
}

int feed_tasks(struct cashet *c, const struct cashet_task *tasks, size_t count,
	       const struct cashet_submit_options *options, const struct feed *feed,
	       struct err *e)
{
	static const struct cashet_submit_options none;
	struct converter v = {.tasks = tasks,
			      .count = count,
			      .options = options ? options : &none,
			      .e = e};
	char *memo = handle_memo_path(c);
	struct describe_options describe = {
		.memo_path = memo, .idle = feed_keep_up, .idle_arg = c};
	v.shipping = (struct shipping){.files = &v.files,
				       .warn = v.options->warned,
				       .warn_arg = v.options->warned_arg};
	int r = check_batch(&v);
	if (r == 0)
		r = files_init(&v.files, "-", memo, e);
	if (r == 0)
		r = shipping_init(&v.shipping, &describe, e);
	if (r == 0)
		r = learn(&v);
	if (r == 0)
		r = want_all(&v);
	if (r == 0)
		r = check_all(&v);
	if (r == 0)
		r = send(c, &v, feed);
	if (r == 0)
		memo_save(&v.files.memo);
	shipping_fini(&v.shipping);
	files_fini(&v.files);
	targets_fini(&v.targets);
	map_fini(&v.names);
	arena_fini(&v.arena);
	free(memo);
	return r;
}

/* convert_arrays.c - arrays of a task that are announced and not there: a slip of the program that made
 * it, which is told so and does not crash. Looked at first, before anything reads them. */
#include "client/convert.h"

static int check_items(struct converter *v, size_t index, const struct cashet_arg *args,
		       size_t count, unsigned depth)
{
	for (size_t i = 0; i < count; i++) {
		const struct cashet_arg *a = &args[i];
		if (a->type == CASHET_ARG_BYTES && a->count && !a->data)
			return convert_fail(v, index,
					    "the bytes of an argument are NULL");
		if (a->type != CASHET_ARG_LIST && a->type != CASHET_ARG_MAP)
			continue;
		if (a->count && !a->items)
			return convert_fail(v, index,
					    "the items of an argument are NULL");
		if (!depth)
			return convert_fail(
				v, index,
				"lists and maps inside each other, more than %d",
				ARG_DEPTH_MAX);
		int r = check_items(v, index, a->items, a->count, depth - 1);
		if (r)
			return r;
	}
	return 0;
}

int convert_arrays(struct converter *v, size_t index)
{
	const struct cashet_task *t = &v->tasks[index];
	const struct {
		const char *name;
		const void *array;
		size_t count;
	} all[] = {
		{"argv", t->argv, t->argc},
		{"args", t->args, t->arg_count},
		{"kwargs", t->kwargs, t->kwarg_count},
		{"cflags", t->cflags, t->cflag_count},
		{"code", t->code, t->code_count},
		{"params", t->params, t->param_count},
		{"inputs", t->inputs, t->input_count},
		{"outputs", t->outputs, t->output_count},
		{"env", t->env, t->env_count},
		{"needs", t->needs, t->need_count},
		{"best", t->best, t->best_count},
		{"tags", t->tags, t->tag_count},
		{"resources", t->resources, t->resource_count},
		{"secrets", t->secrets, t->secret_count},
	};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (all[i].count && !all[i].array)
			return convert_fail(v, index, "%s is NULL, and its count %zu",
					    all[i].name, all[i].count);
	for (size_t i = 0; i < t->input_count; i++)
		if (t->inputs[i].source_count && !t->inputs[i].sources)
			return convert_fail(v, index, "the sources of an input are NULL");
	int r = check_items(v, index, t->args, t->arg_count, ARG_DEPTH_MAX);
	return r ? r : check_items(v, index, t->kwargs, t->kwarg_count, ARG_DEPTH_MAX);
}

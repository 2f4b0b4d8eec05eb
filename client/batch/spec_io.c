/* spec_io.c - see spec.h: what goes into a task's directory and what comes out of it. */
#include "client/batch/spec.h"

#include "common/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_SHOWN 120

/* ---- outputs */

int spec_read_outputs(struct spec *s, const struct node *own, const struct node *common,
		      struct spec_task *task)
{
	int e = spec_read_pairs(s, own, common, "outputs", &task->outputs);
	for (uint32_t i = 0; !e && i < task->outputs.count; i++) {
		struct spec_pair *output = &task->outputs.items[i];
		const struct node_pair *pair = container_of(
			(struct node *)(uintptr_t)output->node, struct node_pair, value);
		e = get_name(s->doc, &pair->key, "an output", &output->key);
		if (!e && !strcmp(output->key, "stdout"))
			e = doc_fail(s->doc, &pair->key,
				     "an output cannot be named stdout: that is the "
				     "standard output");
		if (!e)
			e = get_inside(s->doc, output->node, "an output", &output->value);
	}
	return e;
}

/* ---- inputs */

/* base_name() - the name that a file keeps; @otherwise where a path has none, like "..". */
static const char *base_name(const char *tidy, const char *otherwise)
{
	const char *slash = strrchr(tidy, '/');
	const char *name = slash ? slash + 1 : tidy;
	return *name && strcmp(name, "..") ? name : otherwise;
}

static int read_file(struct spec *s, const struct node *node, const char *what,
		     const char *otherwise, struct spec_member *m)
{
	const char *path;
	int e = get_text(s->doc, node, "file", &path);
	if (e)
		return e;
	if (!*path)
		return doc_fail(s->doc, node, "file is empty");
	char *tidy = get_tidy_path(&s->doc->arena, path);
	if (!tidy)
		return doc_no_memory(s->doc);
	struct err why;
	e = files_get(s->files, *tidy ? tidy : ".", FILES_INPUT, &m->item, &why);
	if (e == ERR_FAILED)
		return doc_no_memory(s->doc);
	if (e) {
		doc_fail(s->doc, node, "%s: %s", what, why.what);
		err_next(s->doc->e, "%s",
			 strstr(path, "${") ? "${...} has no meaning here: a file is the "
					      "same for every "
					      "task of a sweep"
					    : why.next);
		return e;
	}
	m->kind = MEMBER_FILE;
	m->file_name = base_name(tidy, otherwise);
	return 0;
}

static int read_extern(struct spec *s, const struct node *path, const struct node *as,
		       const char *otherwise, struct spec_member *m)
{
	if (!as)
		return doc_fail(s->doc, m->node,
				"{path: ...} is on every worker and needs as, the name "
				"of its content; "
				"what is beside the batch file is {file: ...}");
	int e = get_text(s->doc, path, "path", &m->path);
	if (!e)
		e = get_text(s->doc, as, "as", &m->as);
	if (e)
		return e;
	if (*m->path != '/')
		return doc_fail(s->doc, path,
				"path is that of every worker and begins with /; what is "
				"beside the batch "
				"file is {file: ...}");
	if (!*m->as)
		return doc_fail(s->doc, as, "as is empty");
	m->kind = MEMBER_EXTERN;
	m->file_name = otherwise;
	return 0;
}

int spec_read_member(struct spec *s, const struct node *node, const char *what,
		     const char *otherwise, struct spec_member *m)
{
	enum { IN_FILE, IN_REF, IN_FAILED, IN_PATH, IN_AS, IN_COUNT };
	static const char *const keys[] = {"file", "ref", "failed", "path", "as", NULL};
	static const char *const failed[] = {"skip", NULL};
	const struct node *v[IN_COUNT];
	m->node = node;
	if (node->kind == NODE_TEXT)
		return doc_fail(s->doc, node,
				"an input must be {file: PATH}, {ref: TASK} or {path: "
				"PATH, as: NAME}");
	int e = get_keys(s->doc, node, "an input", keys, v);
	if (e)
		return e;
	if (!!v[IN_FILE] + !!v[IN_REF] + !!v[IN_PATH] != 1)
		return doc_fail(s->doc, node, "an input is one of file, ref and path");
	if (v[IN_FAILED] && !v[IN_REF])
		return doc_fail(s->doc, v[IN_FAILED], "failed is for ref");
	if (v[IN_AS] && !v[IN_PATH])
		return doc_fail(s->doc, v[IN_AS], "as is for path");
	if (v[IN_FILE])
		return read_file(s, v[IN_FILE], what, otherwise, m);
	if (v[IN_PATH])
		return read_extern(s, v[IN_PATH], v[IN_AS], otherwise, m);
	m->kind = MEMBER_REF;
	if ((e = spec_read_ref(s, v[IN_REF], &m->ref)) || !v[IN_FAILED])
		return e;
	unsigned unused;
	if ((e = get_choice(s->doc, v[IN_FAILED], "failed", failed, &unused)))
		return e;
	if (!m->ref.all)
		return doc_fail(s->doc, v[IN_FAILED],
				"failed: skip is for a reference to many, like \"T.*\"");
	m->ref.skip_failed = true;
	return 0;
}

/* What is skipped moves those behind it, so nothing may depend on their places. */
static int check_skip(struct spec *s, const struct spec_input *input)
{
	bool skips = false;
	for (uint32_t i = 0; i < input->count; i++)
		skips |= input->members[i].kind == MEMBER_REF &&
			 input->members[i].ref.skip_failed;
	for (uint32_t i = 0; skips && i < input->count; i++) {
		const struct spec_member *m = &input->members[i];
		if (m->kind == MEMBER_REF && !m->ref.skip_failed)
			return doc_fail(
				s->doc, m->node,
				"all references of one input have failed: skip, or none");
		if (m->kind == MEMBER_EXTERN)
			return doc_fail(
				s->doc, m->node,
				"{path: ...} cannot be in one list with failed: skip");
	}
	return 0;
}

static int read_input(struct spec *s, const struct node_pair *pair,
		      struct spec_input *input)
{
	int e = get_name(s->doc, &pair->key, "an input", &input->name);
	if (e)
		return e;
	const struct node *node = input->node = &pair->value;
	input->is_list = node->kind == NODE_LIST;
	input->count = input->is_list ? node->count : 1;
	if (!(input->members = spec_take(s, input->count, sizeof *input->members)))
		return ERR_FAILED;
	char what[160];
	snprintf(what, sizeof what, "input \"%s\"", input->name);
	for (uint32_t i = 0; !e && i < input->count; i++)
		e = spec_read_member(s, input->is_list ? &node->items[i] : node, what,
				     input->name, &input->members[i]);
	return e ? e : check_skip(s, input);
}

static int by_name(const void *a, const void *b)
{
	const struct spec_input *x = a, *y = b;
	return strcmp(x->name, y->name);
}

int spec_read_inputs(struct spec *s, const struct node *own, const struct node *common,
		     struct spec_task *task)
{
	const struct node *maps[] = {own, common};
	size_t most = 0;
	for (size_t m = 0; m < ARRAY_LEN(maps); m++) {
		int e = maps[m] ? get_is_map(s->doc, maps[m], "inputs") : 0;
		if (e)
			return e;
		most += maps[m] ? maps[m]->count : 0;
		if (maps[m] && maps[m]->count > SPEC_PAIRS_MAX)
			return doc_fail(s->doc, maps[m], "inputs has %d entries at most",
					SPEC_PAIRS_MAX);
	}
	if (!most)
		return 0;
	if (!(task->inputs = spec_take(s, most, sizeof *task->inputs)))
		return ERR_FAILED;
	for (size_t m = 0; m < ARRAY_LEN(maps); m++)
		for (uint32_t i = 0; maps[m] && i < maps[m]->count; i++) {
			const struct node_pair *pair = &maps[m]->pairs[i];
			if (maps[m] == common && own && node_find(own, pair->key.text))
				continue;
			int e = read_input(s, pair, &task->inputs[task->input_count]);
			if (e)
				return e;
			task->input_count++;
		}
	if (task->input_count > 1)
		qsort(task->inputs, task->input_count, sizeof *task->inputs, by_name);
	return 0;
}

/* ---- layout: everything in its place */

static bool overlap(const char *a, const char *b)
{
	size_t size = strlen(a), b_size = strlen(b);
	if (size > b_size)
		return overlap(b, a);
	return !memcmp(a, b, size) && (b[size] == '/' || !b[size]);
}

static int check_written(struct spec *s, const struct node *node, const char *path,
			 const struct spec_task *task)
{
	if (overlap(path, "inputs"))
		return doc_fail(s->doc, node,
				"\"%.*s\": inputs/ is where a task finds its inputs, and "
				"not its to write",
				PATH_SHOWN, path);
	for (uint32_t i = 0; i < task->code_count; i++)
		if (overlap(path, task->code[i].path))
			return doc_fail(s->doc, node, "\"%.*s\" is also code (\"%.*s\")",
					PATH_SHOWN, path, PATH_SHOWN, task->code[i].path);
	return 0;
}

int spec_check_layout(struct spec *s, const struct node *metrics, struct spec_task *task)
{
	for (uint32_t i = 0; i < task->outputs.count; i++) {
		const struct spec_pair *output = &task->outputs.items[i];
		int e = check_written(s, output->node, output->value, task);
		if (e)
			return e;
		for (uint32_t k = 0; k < i; k++)
			if (overlap(output->value, task->outputs.items[k].value))
				return doc_fail(s->doc, output->node,
						"outputs \"%s\" and \"%s\" overlap "
						"(\"%.*s\", \"%.*s\")",
						task->outputs.items[k].key, output->key,
						PATH_SHOWN, task->outputs.items[k].value,
						PATH_SHOWN, output->value);
	}
	return task->metrics && metrics ? check_written(s, metrics, task->metrics, task)
					: 0;
}

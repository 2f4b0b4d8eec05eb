/* convert_inputs.c - see convert.h: what goes into a task's directory, and from where. */
#include "client/convert.h"

#include "common/fs.h"
#include "common/pure/hex.h"

#include <stdlib.h>
#include <string.h>

/* ---- references */

static int resolve(struct converter *v, size_t index, const struct cashet_ref *from,
		   struct spec_ref *to)
{
	uint32_t target = from->index;
	if (from->task) {
		const uint32_t *found =
			map_find(&v->names, from->task, strlen(from->task));
		if (!found)
			return convert_fail(
				v, index,
				"it refers to \"%.100s\", and no task of this batch is "
				"called that",
				from->task);
		if (*found == CONVERT_AMBIGUOUS)
			return convert_fail(
				v, index,
				"it refers to \"%.100s\", and several tasks are called "
				"that: use an index",
				from->task);
		target = *found;
	} else if (target >= v->count) {
		return convert_fail(v, index, "it refers to task %u of %zu", target,
				    v->count);
	}
	if (target == index)
		return convert_fail(v, index, "it refers to itself");
	*to = (struct spec_ref){.by_index = true,
				.index = target,
				.target = target,
				.first = target,
				.output = from->output};
	if (!from->output || strcmp(from->output, "stdout") == 0)
		return 0;
	const struct shape *shape = &v->targets.shapes[v->targets.items[target].shape];
	if (shape_find(shape, from->output, strlen(from->output)) < 0)
		return convert_fail(v, index, "task %u (\"%s\") has no output \"%.100s\"",
				    target, convert_title(&v->tasks[target]),
				    from->output);
	return 0;
}

int convert_needs(struct converter *v, size_t index, struct spec_task *to)
{
	const struct cashet_task *t = &v->tasks[index];
	if (!t->need_count)
		return 0;
	if (!(to->needs = convert_take(v, t->need_count, sizeof *to->needs)))
		return ERR_FAILED;
	for (size_t i = 0; i < t->need_count; i++) {
		if (t->needs[i].output)
			return convert_fail(v, index, "needs takes tasks, not outputs");
		int r = resolve(v, index, &t->needs[i], &to->needs[i]);
		if (r)
			return r;
	}
	to->need_count = (uint32_t)t->need_count;
	return 0;
}

/* ---- inputs */

static const char *base_name(const char *path, const char *otherwise)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	return *name && strcmp(name, "..") && strcmp(name, ".") ? name : otherwise;
}

static char *without_slashes(struct converter *v, const char *path)
{
	size_t size = strlen(path);
	while (size > 1 && path[size - 1] == '/')
		size--;
	char *copy = arena_text(&v->arena, path, size);
	if (!copy)
		convert_no_memory(v);
	return copy;
}

static int check_file_name(struct converter *v, size_t index, const char *name)
{
	if (convert_text(v, index, name, "a file name"))
		return ERR_USAGE;
	if (!*name || strchr(name, '/') || !fs_path_is_inside(name))
		return convert_fail(v, index, "\"%.100s\" is no file name", name);
	return 0;
}

static int get_local(struct converter *v, size_t index, const char *path,
		     enum files_use use, struct files_item **itemp)
{
	struct err why;
	int r = files_get(&v->files, path, use, itemp, &why);
	if (r == ERR_USAGE) {
		convert_fail(v, index, "%s", why.what);
		err_next(v->e, "%s", why.next);
	} else if (r && v->e) {
		*v->e = why;
	}
	return r;
}

static int convert_file(struct converter *v, size_t index,
			const struct cashet_source *from, const char *input,
			struct spec_member *to)
{
	int r = convert_text(v, index, from->path, "the path of an input");
	if (!r && !*from->path)
		r = convert_fail(v, index, "the path of an input is empty");
	if (r)
		return r;
	char *path = without_slashes(v, from->path);
	if (!path)
		return ERR_FAILED;
	to->kind = MEMBER_FILE;
	to->file_name = from->as ? from->as : base_name(path, input);
	r = check_file_name(v, index, to->file_name);
	return r ? r : get_local(v, index, path, FILES_INPUT, &to->item);
}

/* In the store already: an item of which nothing is left to upload. */
static int convert_blob(struct converter *v, size_t index,
			const struct cashet_source *from, const char *input,
			struct spec_member *to)
{
	if (!(to->item = convert_take(v, 1, sizeof *to->item)))
		return ERR_FAILED;
	to->kind = MEMBER_FILE;
	to->file_name = from->as ? from->as : input;
	to->item->uploaded = true;
	to->item->content.type = from->content	    ? (uint8_t)from->content
				 : from->executable ? CONTENT_EXEC
						    : CONTENT_FILE;
	if (!content_is_result(to->item->content.type))
		return convert_fail(v, index, "input \"%s\": that is no type of content",
				    input);
	if (!from->digest ||
	    hex_decode(to->item->content.digest, DIGEST_SIZE, from->digest))
		return convert_fail(v, index,
				    "input \"%s\": a digest is 64 hexadecimal digits",
				    input);
	return check_file_name(v, index, to->file_name);
}

static int convert_extern(struct converter *v, size_t index,
			  const struct cashet_source *from, const char *input,
			  struct spec_member *to)
{
	int r = convert_text(v, index, from->path, "the path of an input");
	if (!r)
		r = convert_text(v, index, from->as, "what identifies an input (as)");
	if (!r && (*from->path != '/' || !*from->as))
		r = convert_fail(
			v, index,
			"input \"%s\": a path that every worker has is absolute, and as "
			"is not empty",
			input);
	to->kind = MEMBER_EXTERN;
	to->file_name = input;
	to->path = from->path;
	to->as = from->as;
	return r;
}

int convert_member(struct converter *v, size_t index, const struct cashet_source *from,
		   const char *input, struct spec_member *to)
{
	switch (from->kind) {
	case CASHET_SOURCE_FILE:
		return convert_file(v, index, from, input, to);
	case CASHET_SOURCE_REF:
		to->kind = MEMBER_REF;
		return resolve(v, index, &from->ref, &to->ref);
	case CASHET_SOURCE_BLOB:
		return convert_blob(v, index, from, input, to);
	case CASHET_SOURCE_EXTERN:
		return convert_extern(v, index, from, input, to);
	}
	return convert_fail(v, index, "input \"%s\" has no kind of ours", input);
}

static int by_input(const void *a, const void *b)
{
	const struct spec_input *x = a, *y = b;
	return strcmp(x->name, y->name);
}

static int convert_input(struct converter *v, size_t index,
			 const struct cashet_input *from, struct spec_input *to)
{
	int r = convert_name(v, index, from->name, "an input");
	if (r)
		return r;
	if (!from->is_list && from->source_count == 0)
		return convert_fail(v, index, "input \"%s\" has no source", from->name);
	*to = (struct spec_input){.name = from->name,
				  .is_list = from->is_list || from->source_count > 1,
				  .count = (uint32_t)from->source_count};
	if (!(to->members = convert_take(v, from->source_count, sizeof *to->members)))
		return ERR_FAILED;
	for (size_t i = 0; r == 0 && i < from->source_count; i++)
		r = convert_member(v, index, &from->sources[i], from->name,
				   &to->members[i]);
	return r;
}

int convert_inputs(struct converter *v, size_t index, struct spec_task *to)
{
	const struct cashet_task *t = &v->tasks[index];
	if (!t->input_count)
		return 0;
	if (!(to->inputs = convert_take(v, t->input_count, sizeof *to->inputs)))
		return ERR_FAILED;
	for (size_t i = 0; i < t->input_count; i++) {
		int r = convert_input(v, index, &t->inputs[i], &to->inputs[i]);
		if (r)
			return r;
	}
	to->input_count = (uint32_t)t->input_count;
	if (t->input_count > 1)
		qsort(to->inputs, t->input_count, sizeof *to->inputs, by_input);
	for (size_t i = 1; i < t->input_count; i++)
		if (strcmp(to->inputs[i - 1].name, to->inputs[i].name) == 0)
			return convert_fail(v, index, "input \"%s\" is there twice",
					    to->inputs[i].name);
	return 0;
}

/* ---- code and outputs */

static int add_code(struct converter *v, size_t index,
		    const struct cashet_code_entry *entry, struct spec_task *to,
		    uint32_t *capacity)
{
	int r = convert_text(v, index, entry->path, "the path of code");
	char *path = r ? NULL : without_slashes(v, entry->path);
	if (!path)
		return r ? r : ERR_FAILED;
	const char *as = entry->as ? entry->as : base_name(path, "");
	if (!fs_path_is_inside(as))
		return convert_fail(
			v, index, "\"%.100s\" is no place within a task's directory", as);
	struct files_item *item;
	r = get_local(v, index, path, FILES_CODE, &item);
	if (r)
		return r;
	if (to->code_count + item->count > *capacity) {
		*capacity = 2 * (to->code_count + item->count);
		struct spec_code *code = convert_take(v, *capacity, sizeof *code);
		if (!code)
			return ERR_FAILED;
		if (to->code_count)
			memcpy(code, to->code, to->code_count * sizeof *code);
		to->code = code;
	}
	bool crowded = shipped_crowded(&v->shipping, item, path);
	for (uint32_t i = 0; i < item->count; i++) {
		struct files_member *m = &item->members[i];
		const char *at =
			*m->path ? arena_printf(&v->arena, "%s/%s", as, m->path) : as;
		if (!at)
			return convert_no_memory(v);
		to->code[to->code_count++] = (struct spec_code){
			.path = at,
			.file = m,
			.by_bytes = crowded && shipped_is_script(m->full_path)};
	}
	return 0;
}

int convert_find_code(struct converter *v, size_t index, struct spec_task *to)
{
	const struct cashet_task *t = &v->tasks[index];
	uint32_t capacity = 0;
	for (size_t i = 0; i < t->code_count; i++) {
		int r = add_code(v, index, &t->code[i], to, &capacity);
		if (r)
			return r;
	}
	if (to->code_count)
		qsort(to->code, to->code_count, sizeof *to->code, shipped_order);
	return 0;
}

int convert_code(struct converter *v, size_t index, struct spec_task *to)
{
	int r = convert_find_code(v, index, to);
	if (r)
		return r;
	if (to->call) {
		shipped_bytes(to->code, to->code_count);
		return 0;
	}
	struct err why = {0};
	r = shipped_code(&v->shipping, to->code, to->code_count, &to->shipped, &why);
	if (r == ERR_USAGE) {
		convert_fail(v, index, "code: %s", why.what);
		err_next(v->e, "%s", why.next);
	} else if (r) {
		*v->e = why;
	}
	return r;
}

static bool overlap(const char *a, const char *b)
{
	size_t a_size = strlen(a), b_size = strlen(b),
	       size = a_size < b_size ? a_size : b_size;
	if (memcmp(a, b, size))
		return false;
	return a_size == b_size || (a_size < b_size ? b[size] : a[size]) == '/';
}

/* Nothing is laid out or written twice, and inputs/ belongs to the inputs. */
int convert_layout(struct converter *v, size_t index, const struct spec_task *t)
{
	size_t count = t->outputs.count + (t->metrics ? 1 : 0);
	for (uint32_t i = 0; i < t->code_count; i++)
		if (overlap(t->code[i].path, "inputs") ||
		    (i && overlap(t->code[i - 1].path, t->code[i].path)))
			return convert_fail(v, index,
					    "code \"%.100s\" is in the way of another",
					    t->code[i].path);
	for (size_t i = 0; i < count; i++) {
		bool is_output = i < t->outputs.count;
		const char *path = is_output ? t->outputs.items[i].value : t->metrics;
		if (!fs_path_is_inside(path) || overlap(path, "inputs"))
			return convert_fail(
				v, index,
				"\"%.100s\" is not a path that a task may write", path);
		for (uint32_t k = 0; k < t->code_count; k++)
			if (overlap(path, t->code[k].path))
				return convert_fail(v, index, "\"%.100s\" is also code",
						    path);
		for (size_t k = 0; is_output && k < i; k++)
			if (overlap(path, t->outputs.items[k].value))
				return convert_fail(
					v, index, "outputs \"%s\" and \"%s\" overlap",
					t->outputs.items[k].key, t->outputs.items[i].key);
	}
	return 0;
}

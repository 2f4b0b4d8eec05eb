/* spec_code.c - see spec.h: the files and folders of `code:`. */
#include "client/batch/spec.h"

#include "common/format/path_order.h"
#include "common/fs.h"

#include <stdlib.h>
#include <string.h>

#define PATH_SHOWN 120

/* last_part() - a name for what is laid out from elsewhere, in a hint. */
static const char *last_part(const char *tidy)
{
	const char *slash = strrchr(tidy, '/');
	const char *name = slash ? slash + 1 : tidy;
	return *name && strcmp(name, "..") ? name : "code";
}

struct code {
	struct spec_code *items;
	uint32_t count, capacity;
};

static int add_code(struct spec *s, const struct node *node,
		    const struct files_item *item, const char *prefix, bool by_bytes,
		    struct code *code)
{
	if (!item->count)
		return doc_fail(s->doc, node, "this folder has no files");
	if (code->count + item->count > code->capacity) {
		uint32_t larger = 2 * (code->count + item->count);
		struct spec_code *items = spec_take(s, larger, sizeof *items);
		if (!items)
			return ERR_FAILED;
		if (code->count)
			memcpy(items, code->items, code->count * sizeof *items);
		code->items = items;
		code->capacity = larger;
	}
	bool crowded = shipped_crowded(s->shipping, item, node->text);
	for (uint32_t i = 0; i < item->count; i++) {
		struct files_member *m = &item->members[i];
		bool joined = *prefix && *m->path;
		const char *path =
			joined	  ? arena_printf(&s->doc->arena, "%s/%s", prefix, m->path)
			: *prefix ? prefix
				  : m->path;
		if (!path)
			return doc_no_memory(s->doc);
		code->items[code->count++] = (struct spec_code){
			.path = path,
			.file = m,
			.by_bytes =
				by_bytes || (crowded && shipped_is_script(m->full_path))};
	}
	return 0;
}

static int read_entry(struct spec *s, const struct node *node, struct code *code)
{
	enum { CODE_PATH, CODE_AS, CODE_IDENTITY, CODE_COUNT };
	static const char *const keys[] = {"path", "as", "identity", NULL};
	static const char *const identities[] = {"bytes", NULL};
	const struct node *v[CODE_COUNT] = {node, NULL, NULL};
	int e = node->kind == NODE_TEXT
			? 0
			: get_keys(s->doc, node, "an entry of code", keys, v);
	if (e)
		return e;
	if (!v[CODE_PATH])
		return doc_fail(s->doc, node,
				"an entry of code is a path, or {path: ..., as: ..., "
				"identity: bytes}");
	const char *path;
	if ((e = get_text(s->doc, v[CODE_PATH], "an entry of code", &path)))
		return e;
	if (!*path)
		return doc_fail(s->doc, v[CODE_PATH], "an entry of code is empty");
	char *tidy = get_tidy_path(&s->doc->arena, path);
	if (!tidy)
		return doc_no_memory(s->doc);
	unsigned identity;
	if (v[CODE_IDENTITY] &&
	    (e = get_choice(s->doc, v[CODE_IDENTITY], "identity", identities, &identity)))
		return e;
	const char *as = tidy;
	if (v[CODE_AS] && (e = get_inside(s->doc, v[CODE_AS], "as", &as)))
		return e;
	if (*as && !fs_path_is_inside(as))
		return doc_fail(s->doc, v[CODE_PATH],
				"\"%.*s\" is outside of the batch file's folder; say "
				"where the task "
				"finds it: {path: %.*s, as: %s}",
				PATH_SHOWN, path, PATH_SHOWN, path, last_part(tidy));
	struct files_item *item;
	struct err why;
	e = files_get(s->files, *tidy ? tidy : ".", FILES_CODE, &item, &why);
	if (e == ERR_FAILED)
		return doc_no_memory(s->doc);
	if (e) {
		doc_fail(s->doc, v[CODE_PATH], "code: %s", why.what);
		err_next(s->doc->e, "%s", why.next);
		return e;
	}
	return add_code(s, v[CODE_PATH], item, as, v[CODE_IDENTITY] != NULL, code);
}

int spec_find_code(struct spec *s, const struct node *node, struct spec_code **codep,
		   uint32_t *countp)
{
	struct code code = {0};
	int e = get_is_list(s->doc, node, "code");
	for (uint32_t i = 0; !e && i < node->count; i++)
		e = read_entry(s, &node->items[i], &code);
	if (e)
		return e;
	if (code.count)
		qsort(code.items, code.count, sizeof *code.items, shipped_order);
	*codep = code.items;
	*countp = code.count;
	return 0;
}

static int check_places(struct spec *s, const struct node *node,
			const struct spec_task *task)
{
	CLEANUP(path_order_fini) struct path_order order = {0};
	for (uint32_t i = 0; i < task->code_count; i++) {
		const char *path = task->code[i].path;
		if (path_order_next(&order, path))
			return doc_fail(s->doc, node, "code has two entries for \"%.*s\"",
					PATH_SHOWN, path);
		if (!strcmp(path, "inputs") || !strncmp(path, "inputs/", 7))
			return doc_fail(s->doc, node,
					"\"%.*s\": inputs/ is where a task finds its "
					"inputs; lay the code "
					"out elsewhere with {path: ..., as: ...}",
					PATH_SHOWN, path);
	}
	return 0;
}

/* How each file is hashed; what is said without a place gets one. */
static int set_schemes(struct spec *s, const struct node *node, struct spec_task *task)
{
	struct err why = {0};
	if (task->call) {
		shipped_bytes(task->code, task->code_count);
		return 0;
	}
	int e = shipped_code(s->shipping, task->code, task->code_count, &task->shipped,
			     &why);
	if (e == ERR_USAGE) {
		doc_fail(s->doc, node, "code: %s", why.what);
		err_next(s->doc->e, "%s", why.next);
	} else if (e) {
		*s->doc->e = why;
	}
	return e;
}

int spec_read_code(struct spec *s, const struct node *node, struct spec_task *task)
{
	/* The code of the defaults is that of every task: laid out once. */
	bool is_again = s->form != SPEC_LINES && node->kind == NODE_LIST && node->count &&
			node->items == s->code_items &&
			node->count == s->code_items_count &&
			s->code_is_call == (task->call != NULL);
	if (is_again) {
		task->code = s->code;
		task->code_count = s->code_count;
		if (!task->call)
			task->shipped = s->shipped;
		return 0;
	}
	int e = spec_find_code(s, node, &task->code, &task->code_count);
	if (e || !task->code_count)
		return e;
	e = check_places(s, node, task);
	if (!e)
		e = set_schemes(s, node, task);
	if (e)
		return e;
	s->code_items = node->items;
	s->code_items_count = node->count;
	s->code_is_call = task->call;
	s->code = task->code;
	s->code_count = task->code_count;
	s->shipped = task->shipped;
	return 0;
}

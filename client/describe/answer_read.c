/* answer_read.c - see answer.h: one row becomes a struct described. */
#include "client/describe/answer.h"

#include "client/batch/doc.h"
#include "common/format/call_args.h"
#include "common/fs.h"
#include "common/pure/hex.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_DEPTH_MAX 24

struct reading {
	struct arena *arena; /* of what stays */
	char *wrong;
	bool no_memory;
};

/* ---- fields. All return true if all is well; else r->wrong or r->no_memory says more. */

static bool fail(struct reading *r, const char *key, const char *what)
{
	if (!r->no_memory && !*r->wrong)
		snprintf(r->wrong, 200, "\"%.60s\" is no %s", key, what);
	return false;
}

static bool no_memory(struct reading *r)
{
	r->no_memory = true;
	return false;
}

static bool is_null(const struct node *n)
{
	return !n || (n->kind == NODE_TEXT && n->empty);
}

static bool copy(struct reading *r, const char *text, size_t size, char **to)
{
	*to = arena_text(r->arena, text, size);
	return *to || no_memory(r);
}

static bool text(struct reading *r, const struct node *map, const char *key, char **to)
{
	const struct node *n = node_find(map, key);
	if (!n || n->kind != NODE_TEXT || !n->quoted)
		return fail(r, key, "text");
	return copy(r, n->text, n->count, to);
}

/* may_text() - absent or null: @absent, which is NULL or static. */
static bool may_text(struct reading *r, const struct node *map, const char *key,
		     const char *absent, char **to)
{
	if (!is_null(node_find(map, key)))
		return text(r, map, key, to);
	*to = (char *)(uintptr_t)absent;
	return true;
}

static bool truth(struct reading *r, const struct node *map, const char *key, bool *to)
{
	const struct node *n = node_find(map, key);
	if (!n || n->kind != NODE_TEXT || n->quoted ||
	    (strcmp(n->text, "true") && strcmp(n->text, "false")))
		return fail(r, key, "boolean");
	*to = *n->text == 't';
	return true;
}

static bool count(struct reading *r, const struct node *map, const char *key,
		  uint64_t max, uint64_t *to)
{
	const struct node *n = node_find(map, key);
	char *end;
	if (!n || n->kind != NODE_TEXT || n->quoted || *n->text < '0' || *n->text > '9')
		return fail(r, key, "number");
	errno = 0;
	*to = strtoull(n->text, &end, 10);
	return (!*end && !errno && *to <= max) || fail(r, key, "number of ours");
}

/* place() - a line or column; absent: 0. */
static bool place(struct reading *r, const struct node *map, const char *key,
		  uint32_t *to)
{
	uint64_t value = 0;
	if (!is_null(node_find(map, key)) && !count(r, map, key, UINT32_MAX, &value))
		return false;
	*to = (uint32_t)value;
	return true;
}

static bool digest(struct reading *r, const struct node *map, const char *key,
		   uint8_t to[DIGEST_SIZE])
{
	const struct node *n = node_find(map, key);
	return (n && n->kind == NODE_TEXT && n->quoted &&
		!hex_decode(to, DIGEST_SIZE, n->text)) ||
	       fail(r, key, "digest");
}

/* list() - absent is empty. @items: zeroed memory for its members. */
static bool list(struct reading *r, const struct node *map, const char *key, size_t size,
		 const struct node **listp, void **itemsp)
{
	static const struct node none = {.kind = NODE_LIST};
	*listp = node_find(map, key);
	if (is_null(*listp))
		*listp = &none;
	if ((*listp)->kind != NODE_LIST)
		return fail(r, key, "list");
	*itemsp = arena_calloc(r->arena, (*listp)->count, size);
	return *itemsp || no_memory(r);
}

/* ---- defaults */

static bool read_value(struct reading *r, const struct node *n, struct arg *to,
		       unsigned depth);

static bool read_items(struct reading *r, const struct node *n, struct arg *to,
		       unsigned depth)
{
	bool map = to->type == ARG_MAP;
	if (n->kind != NODE_LIST)
		return fail(r, "default", "list");
	to->count = n->count;
	to->items = arena_calloc(r->arena, n->count, sizeof *to->items);
	if (!to->items)
		return no_memory(r);
	for (uint32_t i = 0; i < n->count; i++) {
		const struct node *item = &n->items[i];
		struct arg *a = &to->items[i];
		if (map && (item->kind != NODE_LIST || item->count != 2 ||
			    item->items[0].kind != NODE_TEXT || !item->items[0].quoted))
			return fail(r, "default", "map");
		if (map) {
			a->name_size = item->items[0].count;
			if (!copy(r, item->items[0].text, a->name_size, &a->name))
				return false;
			item = &item->items[1];
		}
		if (!read_value(r, item, a, depth + 1))
			return false;
	}
	return true;
}

static bool read_hex(struct reading *r, const struct node *n, size_t size, void *to)
{
	return (n->kind == NODE_TEXT && n->quoted && n->count == 2 * size &&
		!hex_decode(to, size, n->text)) ||
	       fail(r, "default", "hexadecimal text");
}

static bool read_float(struct reading *r, const struct node *n, double *to)
{
	uint8_t bytes[8];
	if (!read_hex(r, n, sizeof bytes, bytes))
		return false;
	uint64_t bits = 0;
	for (size_t i = 0; i < sizeof bytes; i++)
		bits = bits << 8 | bytes[i];
	memcpy(to, &bits, sizeof bits);
	return true;
}

static bool read_int(struct reading *r, const struct node *n, int64_t *to)
{
	char *end;
	if (n->kind != NODE_TEXT || !n->quoted)
		return fail(r, "default", "integer");
	errno = 0;
	*to = strtoll(n->text, &end, 10);
	return (n->count && !*end && !errno) || fail(r, "default", "integer");
}

static bool read_bytes(struct reading *r, const struct node *n, struct arg *to)
{
	to->size = n->count / 2;
	to->data = arena_calloc(r->arena, to->size + 1, 1);
	return to->data ? read_hex(r, n, to->size, to->data) : no_memory(r);
}

/* One of {"int": "3"}, {"list": [...]}, ... */
static bool read_value(struct reading *r, const struct node *n, struct arg *to,
		       unsigned depth)
{
	static const char *const types[] = {
		[ARG_NULL] = "null",   [ARG_BOOL] = "bool", [ARG_INT] = "int",
		[ARG_FLOAT] = "float", [ARG_TEXT] = "str",  [ARG_BYTES] = "bytes",
		[ARG_LIST] = "list",   [ARG_MAP] = "map"};
	if (n->kind != NODE_MAP || n->count != 1 || depth > DEFAULT_DEPTH_MAX)
		return fail(r, "default", "value");
	const struct node *value = &n->pairs[0].value;
	size_t type = 0;
	while (type < ARRAY_LEN(types) && strcmp(n->pairs[0].key.text, types[type]))
		type++;
	to->type = (enum arg_type)type;
	switch (type) {
	case ARG_NULL:
		return true;
	case ARG_BOOL:
		return truth(r, n, "bool", &to->boolean);
	case ARG_INT:
		return read_int(r, value, &to->i);
	case ARG_FLOAT:
		return read_float(r, value, &to->d);
	case ARG_TEXT:
		to->size = value->count;
		return text(r, n, "str", &to->data);
	case ARG_BYTES:
		return read_bytes(r, value, to);
	case ARG_LIST:
	case ARG_MAP:
		return read_items(r, value, to, depth);
	default:
		return fail(r, "default", "value of a type of ours");
	}
}

static bool read_parameter(struct reading *r, const struct node *n,
			   struct described_parameter *to)
{
	static const char *const kinds[] = {"positional", "any", "rest", "keyword",
					    "keywords"};
	char *name, *kind;
	if (!text(r, n, "name", &name) || !text(r, n, "kind", &kind))
		return false;
	size_t k = 0;
	while (k < ARRAY_LEN(kinds) && strcmp(kind, kinds[k]))
		k++;
	if (k == ARRAY_LEN(kinds))
		return fail(r, "kind", "kind of a parameter");
	to->name = name;
	to->kind = (enum parameter_kind)k;
	if (k == PARAMETER_REST || k == PARAMETER_KEYWORDS)
		return true;
	const struct node *value = node_find(n, "default");
	if (!truth(r, n, "required", &to->required) || is_null(value))
		return !*r->wrong && !r->no_memory;
	struct arg *a = arena_calloc(r->arena, 1, sizeof *a);
	if (!a)
		return no_memory(r);
	to->value = a;
	return read_value(r, value, a, 0);
}

static bool read_signature(struct reading *r, const struct node *entry,
			   struct described *d)
{
	const struct node *signature = node_find(entry, "signature"), *rows;
	void *items;
	if (is_null(signature))
		return true;
	if (signature->kind != NODE_MAP)
		return fail(r, "signature", "object");
	if (!truth(r, signature, "exact", &d->exact) ||
	    !list(r, signature, "parameters", sizeof *d->parameters, &rows, &items))
		return false;
	struct described_parameter *parameters = items;
	d->has_signature = true;
	d->parameters = parameters;
	d->parameter_count = rows->count;
	for (uint32_t i = 0; i < rows->count; i++)
		if (!read_parameter(r, &rows->items[i], &parameters[i]))
			return false;
	return true;
}

/* ---- the lists of a row */

static bool read_files(struct reading *r, const struct node *row, struct described *d)
{
	const struct node *rows;
	void *items;
	if (!list(r, row, "closure", sizeof *d->files, &rows, &items))
		return false;
	struct described_file *files = items;
	d->files = files;
	d->file_count = rows->count;
	bool has_entry = false;
	for (uint32_t i = 0; i < rows->count; i++) {
		const struct node *n = &rows->items[i];
		char *path, *full;
		if (!text(r, n, "path", &path) || !text(r, n, "file", &full) ||
		    !count(r, n, "size", INT64_MAX, &files[i].size) ||
		    !digest(r, n, "sha256", files[i].digest))
			return false;
		if (!fs_path_is_inside(path) || *full != '/')
			return fail(r, "closure", "list of paths inside of a folder");
		files[i].path = path;
		files[i].full_path = full;
		has_entry = has_entry || !strcmp(path, d->unit.path);
	}
	return has_entry || fail(r, "closure", "list that has the entry's file");
}

static bool read_packages(struct reading *r, const struct node *row,
			  struct source_unit *u)
{
	const struct node *rows;
	void *items;
	if (!list(r, row, "packages", sizeof *u->packages, &rows, &items))
		return false;
	u->packages = items;
	u->package_count = rows->count;
	for (uint32_t i = 0; i < rows->count; i++) {
		const struct node *n = &rows->items[i];
		struct source_package *p = &u->packages[i];
		if (!text(r, n, "name", &p->name) ||
		    !may_text(r, n, "version", NULL, &p->version) ||
		    !truth(r, n, "counts", &p->counts))
			return false;
	}
	return true;
}

static bool read_flags(struct reading *r, const struct node *row, struct source_unit *u)
{
	const struct node *rows;
	void *items;
	if (is_null(node_find(row, "flags"))) /* those that were asked for stay */
		return true;
	if (!list(r, row, "flags", sizeof *u->flags, &rows, &items))
		return false;
	u->flags = items;
	u->flag_count = rows->count;
	for (uint32_t i = 0; i < rows->count; i++) {
		const struct node *n = &rows->items[i];
		if (n->kind != NODE_TEXT || !n->quoted)
			return fail(r, "flags", "list of texts");
		if (!copy(r, n->text, n->count, &u->flags[i]))
			return false;
	}
	return true;
}

static bool read_definitions(struct reading *r, const struct node *row,
			     struct source_unit *u)
{
	const struct node *rows;
	void *items;
	if (!list(r, row, "definitions", sizeof *u->definitions, &rows, &items))
		return false;
	u->definitions = items;
	u->definition_count = rows->count;
	for (uint32_t i = 0; i < rows->count; i++) {
		const struct node *n = &rows->items[i];
		struct source_definition *p = &u->definitions[i];
		if (!text(r, n, "label", &p->label) || !text(r, n, "kind", &p->kind) ||
		    !may_text(r, n, "path", "", &p->path) ||
		    !place(r, n, "line", &p->line) || !digest(r, n, "sha256", p->digest))
			return false;
	}
	return true;
}

static bool read_warning(struct reading *r, const struct node *n,
			 struct described_warning *to)
{
	char *name, *subject, *message, *file;
	if (!text(r, n, "name", &name) || !may_text(r, n, "subject", "", &subject) ||
	    !text(r, n, "message", &message) || !may_text(r, n, "file", "", &file) ||
	    !place(r, n, "line", &to->line) || !place(r, n, "column", &to->column))
		return false;
	to->name = name;
	to->subject = subject;
	to->message = message;
	to->file = file;
	return true;
}

static bool read_warnings(struct reading *r, const struct node *row, struct described *d)
{
	const struct node *rows;
	void *items;
	if (!list(r, row, "warnings", sizeof *d->warnings, &rows, &items))
		return false;
	struct described_warning *warnings = items;
	d->warnings = warnings;
	d->warning_count = rows->count;
	for (uint32_t i = 0; i < rows->count; i++)
		if (!read_warning(r, &rows->items[i], &warnings[i]))
			return false;
	return true;
}

static bool read_entry(struct reading *r, const struct node *row, struct described *d)
{
	const struct node *entry = node_find(row, "entry");
	char *title, *module, *kind;
	if (!entry || entry->kind != NODE_MAP)
		return fail(r, "entry", "object");
	if (!text(r, entry, "path", &d->unit.path) ||
	    !may_text(r, entry, "function", NULL, &d->unit.name) ||
	    !may_text(r, entry, "module", NULL, &module) ||
	    !text(r, entry, "name", &title) || !text(r, entry, "kind", &kind))
		return false;
	d->title = title;
	d->module = module;
	d->kind = kind;
	return read_signature(r, entry, d);
}

static bool read_row(struct reading *r, const struct node *row, struct described *d)
{
	char *canonical;
	if (row->kind != NODE_MAP)
		return fail(r, "targets", "list of objects");
	if (!truth(r, row, "ok", &d->ok))
		return false;
	const struct node *error = node_find(row, "error");
	if (!d->ok)
		return error ? read_warning(r, error, &d->error)
			     : fail(r, "error", "object");
	if (!read_entry(r, row, d) || !digest(r, row, "hash", d->unit.hash) ||
	    !digest(r, row, "identity", d->unit.identity) || !read_files(r, row, d) ||
	    !read_packages(r, row, &d->unit) || !read_flags(r, row, &d->unit) ||
	    !read_definitions(r, row, &d->unit) || !read_warnings(r, row, d) ||
	    !may_text(r, row, "canonical", NULL, &canonical))
		return false;
	d->canonical = canonical;
	return true;
}

int answer_read(const char *row, size_t size, struct arena *arena, struct described *d,
		char wrong[200])
{
	CLEANUP(doc_fini) struct doc doc = {0};
	struct err e = {0};
	struct reading r = {.arena = arena, .wrong = wrong};
	*wrong = '\0';
	doc.source = (struct source_text){"answer", row, size, 1};
	doc.e = &e;
	int code = doc_parse_json(&doc);
	if (code) {
		snprintf(wrong, 200, "%.190s", e.what);
		return code;
	}
	if (read_row(&r, &doc.root, d))
		return 0;
	return r.no_memory ? ERR_FAILED : ERR_USAGE;
}

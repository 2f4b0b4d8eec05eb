/* answer.c - what was found, as the row of a target: docs/runners.md, "The answer". */
#include "runners/c/describe/describer.h"

#include "common/pure/hex.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include "runners/c/place.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct layout {
	const struct text **files; /* sorted by path */
	size_t count, capacity;
	char root[PATH_MAX]; /* ends in "/" */
};

static void text_field(struct json *j, const char *key, const char *value)
{
	json_key(j, key);
	json_string(j, value);
}

static void number_field(struct json *j, const char *key, uint64_t value)
{
	json_key(j, key);
	json_uint(j, value);
}

static void digest_field(struct json *j, const char *key,
			 const uint8_t digest[DIGEST_SIZE])
{
	json_key(j, key);
	json_hex(j, digest, DIGEST_SIZE);
}

/* ---- files, and the folder that has them all */

static int by_path(const void *a, const void *b)
{
	const struct text *const *x = a, *const *y = b;
	return strcmp((*x)->path, (*y)->path);
}

static void add_unit(struct layout *l, const struct unit *u)
{
	for (size_t i = 0; i < u->file_count; i++) {
		const struct text *t = u->files[i].text;
		bool known = !t;
		for (size_t k = 0; !known && k < l->count; k++)
			known = !strcmp(l->files[k]->path, t->path);
		if (known)
			continue;
		mem_grow(l->files, l->count, l->capacity);
		l->files[l->count++] = t;
	}
}

/* widen() - so that @path is below the root. */
static void widen(struct layout *l, const char *path)
{
	size_t size = 0, slash = 0;
	for (; l->root[size] && l->root[size] == path[size]; size++)
		if (path[size] == '/')
			slash = size + 1;
	if (l->root[size]) /* it ends in a slash: that was met, or is not shared */
		l->root[slash] = '\0';
}

static bool has_files(const struct layout *l, const char *folder)
{
	size_t size = strlen(folder);
	for (size_t i = 0; i < l->count; i++)
		if (!strncmp(l->files[i]->path, folder, size) &&
		    l->files[i]->path[size] == '/')
			return true;
	return false;
}

static void lay_out(struct describer *d, const struct target *t, struct layout *l)
{
	*l = (struct layout){0};
	for (size_t i = 0; i < d->active_count; i++)
		if (d->active[i]->is_used)
			add_unit(l, d->active[i]);
	qsort(l->files, l->count, sizeof(const struct text *), by_path);
	snprintf(l->root, sizeof l->root, "%s", t->path);
	strrchr(l->root, '/')[1] = '\0';
	for (size_t i = 0; i < l->count; i++)
		widen(l, l->files[i]->path);
}

static const char *inside(const struct layout *l, const char *path)
{
	return path + strlen(l->root);
}

/* ---- parts of the row */

static void write_entry(const struct describer *d, const struct target *t,
			const struct declaration *entry, const struct layout *l,
			struct json *j)
{
	CLEANUP_BUF struct buf name = {0};
	const struct unit *u = d->nodes[0].unit;
	const struct text *in = u->files[entry->file].text;
	buf_printf(&name, "%s:%s", strrchr(t->path, '/') + 1, t->function);
	json_key(j, "entry");
	json_object(j);
	text_field(j, "path", inside(l, t->path));
	text_field(j, "file", t->path);
	text_field(j, "function", t->function);
	text_field(j, "kind", "function");
	text_field(j, "name", buf_cstr(&name));
	json_key(j, "defined");
	json_object(j);
	text_field(j, "path", inside(l, in->path));
	number_field(j, "line", in->tokens[text_at(in, entry->start)].line);
	json_end_object(j);
	json_key(j, "signature");
	json_object(j);
	json_key(j, "exact");
	json_bool(j, false);
	json_key(j, "parameters");
	json_array(j);
	json_end_array(j);
	json_end_object(j);
	json_end_object(j);
}

/* flag_of() - as it is where the files are laid out; NULL: it is of no use there. */
static const char *flag_of(const struct layout *l, const char *flag,
			   char text[PATH_MAX + 8])
{
	if (strncmp(flag, "-I", 2))
		return flag;
	size_t size = strlen(l->root);
	if (!has_files(l, flag + 2))
		return NULL;
	bool root = strlen(flag + 2) + 1 == size;
	snprintf(text, PATH_MAX + 8, "-I%s", root ? "." : flag + 2 + size);
	return text;
}

static void write_flags(const struct describer *d, const struct layout *l, struct json *j)
{
	char text[PATH_MAX + 8];
	json_key(j, "flags");
	json_array(j);
	for (size_t i = 0; i < d->flags->count; i++) {
		const char *flag = flag_of(l, d->flags->list[i], text);
		if (flag)
			json_string(j, flag);
	}
	json_end_array(j);
}

static void write_identity(const struct describer *d, struct json *j)
{
	CLEANUP_BUF struct buf text = {0};
	char hex[HEX_DIGEST_SIZE];
	uint8_t digest[DIGEST_SIZE];
	buf_printf(&text, "cashet-c-identity 1\n%s\n",
		   hex_encode(hex, d->hash, DIGEST_SIZE));
	for (size_t i = 0; i < d->flags->count; i++)
		if (flags_is_identity(d->flags->list[i]))
			buf_printf(&text, "%s\n", d->flags->list[i]);
	sha256_digest(text.data, text.size, digest);
	digest_field(j, "hash", d->hash);
	digest_field(j, "identity", digest);
}

/* is_unit() - is it given to the compiler by itself? What is only included is not. */
static bool is_unit(const struct describer *d, const struct text *t)
{
	for (size_t i = 0; i < d->active_count; i++)
		if (d->active[i]->is_used && d->active[i]->files[0].text == t)
			return true;
	return false;
}

static void write_closure(const struct describer *d, const struct layout *l,
			  struct json *j)
{
	json_key(j, "closure");
	json_array(j);
	for (size_t i = 0; i < l->count; i++) {
		json_object(j);
		text_field(j, "path", inside(l, l->files[i]->path));
		text_field(j, "file", l->files[i]->path);
		number_field(j, "size", l->files[i]->size);
		digest_field(j, "sha256", l->files[i]->digest);
		json_key(j, "compiled");
		json_bool(j, is_unit(d, l->files[i]));
		json_end_object(j);
	}
	json_end_array(j);
}

static void write_definitions(const struct describer *d, const struct layout *l,
			      struct json *j)
{
	json_key(j, "definitions");
	json_array(j);
	for (size_t i = 0; i < d->section_count; i++) {
		const struct section *s = &d->sections[i];
		const struct node *n = &d->nodes[s->node];
		json_object(j);
		text_field(j, "label", s->label);
		text_field(j, "kind", n->kind);
		text_field(j, "path", inside(l, n->path));
		number_field(j, "line", n->line);
		digest_field(j, "sha256", s->digest);
		json_end_object(j);
	}
	json_end_array(j);
}

static int by_warning(const void *a, const void *b)
{
	const struct warning *x = a, *y = b;
	int order = strcmp(x->file, y->file);
	if (order)
		return order;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->column < y->column ? -1 : x->column > y->column;
}

static void write_warnings(const struct describer *d, struct json *j)
{
	if (d->warning_count)
		qsort(d->warnings, d->warning_count, sizeof *d->warnings, by_warning);
	json_key(j, "warnings");
	json_array(j);
	for (size_t i = 0; i < d->warning_count; i++) {
		const struct warning *w = &d->warnings[i];
		json_object(j);
		text_field(j, "name", w->name);
		text_field(j, "subject", w->subject);
		text_field(j, "message", w->message);
		text_field(j, "file", w->file);
		number_field(j, "line", w->line);
		number_field(j, "column", w->column);
		json_end_object(j);
	}
	json_end_array(j);
}

/* ---- headers of the system's */

static void add_header(const struct unit_file *f, struct buf *out)
{
	CXString name = clang.getFileName(f->cx);
	const char *path = clang.getCString(name);
	struct stat st;
	if (path && !stat(path, &st))
		buf_printf(out, "%s %jd %jd.%09ld\n", path, (intmax_t)st.st_size,
			   (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	clang.disposeString(name);
}

/* write_headers() - so that a library that was compiled with others is not taken for this one. */
static void write_headers(const struct describer *d, struct json *j)
{
	CLEANUP_BUF struct buf all = {0};
	uint8_t digest[DIGEST_SIZE];
	for (size_t i = 0; i < d->active_count; i++)
		for (size_t k = 0; k < d->active[i]->file_count; k++)
			if (d->active[i]->is_used && !d->active[i]->files[k].text)
				add_header(&d->active[i]->files[k], &all);
	sha256_digest(all.data, all.size, digest);
	digest_field(j, "headers", digest);
}

/* ---- what was looked at */

static void write_stat(struct json *j, const char *path, bool is_file)
{
	struct stat st;
	if (stat(path, &st))
		return;
	json_array(j);
	json_string(j, path);
	if (is_file)
		json_uint(j, (uint64_t)st.st_size);
	json_uint(j,
		  (uint64_t)st.st_mtim.tv_sec * NS_PER_S + (uint64_t)st.st_mtim.tv_nsec);
	json_uint(j, st.st_ino);
	json_end_array(j);
}

static void write_folder(struct json *j, const char *path, const char *last)
{
	if (strcmp(path, last))
		write_stat(j, path, false);
}

/* write_below() - the folders below @folder in which the header of this #include was looked for. */
static void write_below(struct json *j, const char *folder, size_t size,
			const struct token *name)
{
	char path[PATH_MAX];
	for (uint32_t i = 1; i + 1 < name->size; i++) {
		if (name->text[i] != '/' || i == 1)
			continue;
		snprintf(path, sizeof path, "%.*s/%.*s", (int)size, folder, (int)i - 1,
			 name->text + 1);
		write_stat(j, path, false);
	}
}

static void write_subfolders(const struct describer *d, const struct text *t,
			     struct json *j)
{
	for (uint32_t i = 0; i < t->count; i++) {
		const struct token *name = &t->tokens[i];
		if (name->kind != C_TOKEN_HEADER || !memchr(name->text, '/', name->size))
			continue;
		write_below(j, t->path, (size_t)(strrchr(t->path, '/') - t->path), name);
		for (size_t k = 0; k < d->flags->folder_count; k++)
			write_below(j, d->flags->folders[k], strlen(d->flags->folders[k]),
				    name);
	}
}

static void write_looked(const struct describer *d, const struct layout *l,
			 struct json *j)
{
	char folder[PATH_MAX], last[PATH_MAX] = "";
	json_key(j, "looked");
	json_object(j);
	json_key(j, "files");
	json_array(j);
	for (size_t i = 0; i < l->count; i++)
		write_stat(j, l->files[i]->path, true);
	write_stat(j, place_program(), true);
	write_stat(j, clang.path, true);
	json_end_array(j);
	json_key(j, "folders"); /* where a new file would be another header, or sibling */
	json_array(j);
	for (size_t i = 0; i < l->count; i++) {
		snprintf(folder, sizeof folder, "%s", l->files[i]->path);
		*strrchr(folder, '/') = '\0';
		write_folder(j, folder[0] ? folder : "/", last);
		strcpy(last, folder[0] ? folder : "/");
	}
	for (size_t i = 0; i < d->flags->folder_count; i++)
		write_stat(j, d->flags->folders[i], false);
	for (size_t i = 0; i < l->count; i++)
		write_subfolders(d, l->files[i], j);
	json_end_array(j);
	json_key(j, "absent");
	json_array(j);
	json_end_array(j);
	json_end_object(j);
}

/* ---- rows */

void answer_row(struct describer *d, const struct target *t,
		const struct declaration *entry, bool canonical, struct json *j)
{
	struct layout l;
	lay_out(d, t, &l);
	for (size_t i = 0; i < d->flags->folder_count; i++) {
		if (!has_files(&l, d->flags->folders[i]))
			continue;
		char path[PATH_MAX + 2];
		snprintf(path, sizeof path, "%s/", d->flags->folders[i]);
		widen(&l, path);
	}
	json_object(j);
	text_field(j, "target", t->given);
	json_key(j, "ok");
	json_bool(j, true);
	write_entry(d, t, entry, &l, j);
	write_identity(d, j);
	json_key(j, "packages");
	json_array(j);
	json_end_array(j);
	write_flags(d, &l, j);
	write_closure(d, &l, j);
	write_definitions(d, &l, j);
	write_warnings(d, j);
	write_headers(d, j);
	write_looked(d, &l, j);
	if (canonical) {
		json_key(j, "canonical");
		json_string_n(j, (const char *)d->canonical.data, d->canonical.size);
	}
	json_end_object(j);
	free(l.files);
}

void answer_error(const struct target *t, const struct problem *p, struct json *j)
{
	const char *file = p->file;
	if (file && t->path && !strcmp(file, t->path))
		file = t->file; /* as the caller knows it */
	json_object(j);
	text_field(j, "target", t->given);
	json_key(j, "ok");
	json_bool(j, false);
	json_key(j, "error");
	json_object(j);
	text_field(j, "name", p->name);
	text_field(j, "message", p->message);
	if (file)
		text_field(j, "file", file);
	if (p->line) {
		number_field(j, "line", p->line);
		number_field(j, "column", p->column ? p->column : 1);
	}
	json_end_object(j);
	json_end_object(j);
}

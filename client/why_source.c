/* why_source.c - see why_source.h. Definitions are compared by the digests that the describer gave them:
 * those say what changed. Where in its text it did is found by comparing the lines of the files, which
 * helps to read and decides nothing. */
#include "client/why_source.h"

#include "client/diff/definition.h"

#include <stdlib.h>
#include <string.h>

#define WHERE_MAX 4 /* definitions that are told of one file of code */
#define FILES_READ_MAX 64

struct sides { /* of one pair of sources */
	struct source old, now;
	struct cashet_change **changes;
	size_t *count;
	struct texts *texts;
	const struct source_reader *reader;
	bool diffs;
	size_t reads;
	struct err *e;
};

/* ---- texts ---- */

static const struct source_file *find_file(const struct source *s, const char *path)
{
	for (size_t i = 0; i < s->file_count; i++)
		if (!strcmp(s->files[i].path, path))
			return &s->files[i];
	return NULL;
}

/* The text of a file of one side. Return: 0; 1 it is not to be had. */
static int read_file(struct sides *s, bool now, const char *path, struct buf *out)
{
	const struct source_file *f = find_file(now ? &s->now : &s->old, path);
	if (!f || s->reads >= FILES_READ_MAX)
		return 1;
	s->reads++;
	return s->reader->read(s->reader->arg, now, true, f->digest, out, s->e);
}

/* "train.py:load()" */
static void add_label(struct buf *out, const struct source_definition *d)
{
	buf_add_str(out, d->path);
	if (strcmp(d->kind, "script") != 0 && strcmp(d->kind, "module") != 0 &&
	    strcmp(d->kind, "effects") != 0)
		buf_printf(out, ":%s%s", d->label,
			   strcmp(d->kind, "function") == 0 ? "()" : "");
}

/* Either may be NULL: "train.py:load()  line 31 changed", "... is new", "... is gone". */
static int describe(struct sides *s, struct buf *out, const struct source_definition *old,
		    const struct source_definition *now)
{
	CLEANUP_BUF struct buf a = {0}, b = {0};
	struct text_diff d;
	bool told = false;
	add_label(out, now ? now : old);
	if (!old || !now) {
		buf_add_str(out, now ? "  is new" : "  is gone");
		return 0;
	}
	int r = read_file(s, false, old->path, &a);
	if (!r)
		r = read_file(s, true, now->path, &b);
	if (r > 1)
		return r;
	if (!r) {
		if (text_diff_make(&d, a.data, a.size, b.data, b.size))
			return handle_no_memory(s->e);
		told = source_lines(out, &d, old, now);
		text_diff_fini(&d);
	}
	buf_add_str(out, told ? " changed" : "  changed");
	return 0;
}

/* ---- changes ---- */

static struct cashet_change *add_change(struct sides *s, enum cashet_component component,
					enum cashet_how how, const char *name)
{
	struct cashet_change *grown =
		reallocarray(*s->changes, *s->count + 2, sizeof *grown);
	if (!grown)
		return NULL;
	*s->changes = grown;
	struct cashet_change *c = &grown[(*s->count)++];
	CLEANUP_BUF struct buf text = {0};
	buf_add_str(&text, name);
	*c = (struct cashet_change){.component = component,
				    .how = how,
				    .before = "",
				    .after = "",
				    .where = "",
				    .origin_name = ""};
	c->name = texts_add(s->texts, &text);
	return c->name ? c : NULL;
}

static int add_texts(struct sides *s, enum cashet_component component, const char *name,
		     const char *old, const char *now)
{
	CLEANUP_BUF struct buf was = {0}, is = {0};
	struct cashet_change *c = add_change(s, component,
					     !old   ? CASHET_ADDED
					     : !now ? CASHET_REMOVED
						    : CASHET_CHANGED,
					     name);
	if (!c)
		return handle_no_memory(s->e);
	buf_add_str(&was, old ? old : "");
	buf_add_str(&is, now ? now : "");
	c->before = texts_add(s->texts, &was);
	c->after = texts_add(s->texts, &is);
	return c->before && c->after ? 0 : handle_no_memory(s->e);
}

static int add_diff(struct sides *s, struct cashet_change *c, const char *old_path,
		    const char *path)
{
	CLEANUP_BUF struct buf a = {0}, b = {0}, text = {0};
	struct text_diff d;
	int r = read_file(s, false, old_path, &a);
	if (!r)
		r = read_file(s, true, path, &b);
	if (r)
		return r == 1 ? 0 : r;
	if (text_diff_make(&d, a.data, a.size, b.data, b.size))
		return handle_no_memory(s->e);
	text_diff_render(&text, &d, NULL, NULL);
	text_diff_fini(&d);
	c->diff = texts_add(s->texts, &text);
	return c->diff ? 0 : handle_no_memory(s->e);
}

static bool has_diff(const struct sides *s, const char *path)
{
	for (size_t i = 0; i < *s->count; i++)
		if ((*s->changes)[i].diff && (*s->changes)[i].file &&
		    !strcmp((*s->changes)[i].file, path))
			return true;
	return false;
}

static int take_definition(struct sides *s, const struct source_definition *old,
			   const struct source_definition *now)
{
	CLEANUP_BUF struct buf where = {0}, file = {0};
	const struct source_definition *d = now ? now : old;
	int r = describe(s, &where, old, now);
	if (r)
		return r;
	struct cashet_change *c = add_change(s, CASHET_DEFINITION,
					     !old   ? CASHET_ADDED
					     : !now ? CASHET_REMOVED
						    : CASHET_CHANGED,
					     d->label);
	buf_add_str(&file, d->path);
	if (!c || !(c->where = texts_add(s->texts, &where)))
		return handle_no_memory(s->e);
	bool told = has_diff(s, d->path);
	if (!(c->file = texts_add(s->texts, &file)))
		return handle_no_memory(s->e);
	c->line = d->line;
	return s->diffs && old && now && !told ? add_diff(s, c, old->path, now->path) : 0;
}

/* ---- units ---- */

static int by_label(const void *a, const void *b)
{
	const struct source_definition *const *x = a, *const *y = b;
	return strcmp((*x)->label, (*y)->label);
}

static const struct source_definition **sorted(const struct source_unit *u)
{
	const struct source_definition **list =
		malloc((u->definition_count + 1) * sizeof *list);
	for (size_t i = 0; list && i < u->definition_count; i++)
		list[i] = &u->definitions[i];
	if (list && u->definition_count)
		qsort(list, u->definition_count, sizeof *list, by_label);
	return list;
}

/* Calls @fn for each definition that differs; in the order of their labels. */
static int each_definition(struct sides *s, const struct source_unit *old,
			   const struct source_unit *now,
			   int (*fn)(struct sides *s, void *arg,
				     const struct source_definition *old,
				     const struct source_definition *now),
			   void *arg)
{
	const struct source_definition **a = sorted(old), **b = sorted(now);
	int r = a && b ? 0 : handle_no_memory(s->e);
	for (size_t i = 0, k = 0;
	     !r && (i < old->definition_count || k < now->definition_count);) {
		int order = i == old->definition_count ? 1
			    : k == now->definition_count
				    ? -1
				    : strcmp(a[i]->label, b[k]->label);
		const struct source_definition *x = order <= 0 ? a[i] : NULL,
					       *y = order >= 0 ? b[k] : NULL;
		if (!x || !y || memcmp(x->digest, y->digest, DIGEST_SIZE) != 0)
			r = fn(s, arg, x, y);
		i += order <= 0;
		k += order >= 0;
	}
	free(a);
	free(b);
	return r;
}

static const struct source_package *find_package(const struct source_unit *u,
						 const char *name)
{
	for (size_t i = 0; i < u->package_count; i++)
		if (u->packages[i].counts && !strcmp(u->packages[i].name, name))
			return &u->packages[i];
	return NULL;
}

static const char *version_of(const struct source_package *p)
{
	return !p ? NULL : p->version ? p->version : "unknown";
}

static int compare_packages(struct sides *s, const struct source_unit *old,
			    const struct source_unit *now)
{
	int r = 0;
	for (size_t i = 0; i < now->package_count && !r; i++) {
		const struct source_package *p = &now->packages[i];
		const char *was = version_of(find_package(old, p->name));
		if (p->counts && (!was || strcmp(was, version_of(p)) != 0))
			r = add_texts(s, CASHET_PACKAGE, p->name, was, version_of(p));
	}
	for (size_t i = 0; i < old->package_count && !r; i++)
		if (old->packages[i].counts && !find_package(now, old->packages[i].name))
			r = add_texts(s, CASHET_PACKAGE, old->packages[i].name,
				      version_of(&old->packages[i]), NULL);
	return r;
}

static int compare_flags(struct sides *s, const struct source_unit *old,
			 const struct source_unit *now)
{
	CLEANUP_BUF struct buf a = {0}, b = {0};
	for (size_t i = 0; i < old->flag_count; i++)
		buf_printf(&a, "%s%s", i ? " " : "", old->flags[i]);
	for (size_t i = 0; i < now->flag_count; i++)
		buf_printf(&b, "%s%s", i ? " " : "", now->flags[i]);
	if (!strcmp(buf_cstr(&a), buf_cstr(&b)))
		return 0;
	return add_texts(s, CASHET_FLAGS, "", buf_cstr(&a), buf_cstr(&b));
}

static int add_definition(struct sides *s, void *arg, const struct source_definition *old,
			  const struct source_definition *now)
{
	(void)arg;
	return take_definition(s, old, now);
}

/* Of something that changed all the same: what is not told by any of its parts. */
static int compare_units(struct sides *s, const struct source_unit *old,
			 const struct source_unit *now)
{
	size_t before = *s->count;
	int r = each_definition(s, old, now, add_definition, NULL);
	if (!r)
		r = compare_packages(s, old, now);
	if (!r)
		r = compare_flags(s, old, now);
	if (r || *s->count > before)
		return r;
	CLEANUP_BUF struct buf where = {0};
	struct cashet_change *c = add_change(s, CASHET_CODE, CASHET_CHANGED, now->path);
	buf_printf(&where, "%s%s%s changed", now->path, now->name ? ":" : "",
		   now->name ? now->name : "");
	if (!c || !(c->where = texts_add(s->texts, &where)))
		return handle_no_memory(s->e);
	return 0;
}

/* ---- code of commands: hashed by what it means ---- */

static const struct source_unit *unit_of(const struct source *s, const char *path)
{
	for (size_t i = 0; i < s->unit_count; i++)
		if (!strcmp(s->units[i].path, path))
			return &s->units[i];
	return NULL;
}

struct wheres {
	const char *path;
	struct buf text;
	size_t count;
};

/* Of the file itself they are told with it, of those that it reaches by themselves. */
static int add_where(struct sides *s, void *arg, const struct source_definition *old,
		     const struct source_definition *now)
{
	struct wheres *w = arg;
	CLEANUP_BUF struct buf one = {0};
	if (strcmp((now ? now : old)->path, w->path) != 0)
		return take_definition(s, old, now);
	if (w->count++ >= WHERE_MAX)
		return 0;
	int r = describe(s, &one, old, now);
	buf_printf(&w->text, "%s%s", w->count > 1 ? "; " : "", buf_cstr(&one));
	return r;
}

static void set_file(struct cashet_content *to, const struct source *s, const char *path)
{
	const struct source_file *f = find_file(s, path);
	if (!f)
		return;
	to->type = f->executable ? CASHET_CONTENT_EXEC : CASHET_CONTENT_FILE;
	memcpy(to->digest, f->digest, DIGEST_SIZE);
}

static int look_at_code(struct sides *s, size_t number)
{
	struct cashet_change *c = &(*s->changes)[number];
	const char *name = c->name;
	bool same_mode = c->old.type == c->now.type;
	size_t before = *s->count;
	struct wheres w = {.path = name};
	const struct source_unit *old = unit_of(&s->old, name),
				 *now = unit_of(&s->now, name);
	if (*c->before)
		set_file(&c->old, &s->old, name);
	if (*c->after)
		set_file(&c->now, &s->now, name);
	if (c->how != CASHET_CHANGED || !*c->before || !*c->after || !old || !now)
		return 0;
	int r = each_definition(s, old, now, add_where, &w);
	if (!r)
		r = compare_packages(s, old, now);
	c = &(*s->changes)[number];
	if (!r && w.count) {
		if (w.count > WHERE_MAX)
			buf_printf(&w.text, "; and %zu more", w.count - WHERE_MAX);
		c->where = texts_add(s->texts, &w.text);
		r = c->where ? 0 : handle_no_memory(s->e);
	} else if (!r && same_mode && *s->count > before) {
		c->how =
			CASHET_SAME; /* but for what it reaches, which is told by itself */
	}
	buf_fini(&w.text);
	if (!r && s->diffs)
		r = add_diff(s, c, name, name);
	return r;
}

/* ---- what differs in nothing that counts ---- */

static bool counts(const struct sides *s, const char *path, size_t first)
{
	for (size_t i = 0; i < *s->count; i++) {
		const struct cashet_change *c = &(*s->changes)[i];
		if (i >= first && c->component == CASHET_DEFINITION && c->file &&
		    !strcmp(c->file, path))
			return true;
		if (c->component == CASHET_CODE && c->how != CASHET_SAME &&
		    !strcmp(c->name, path))
			return true;
	}
	return false;
}

static int compare_layout(struct sides *s, size_t first)
{
	int r = 0;
	for (size_t i = 0; i < s->now.file_count && !r; i++) {
		const struct source_file *now = &s->now.files[i],
					 *old = find_file(&s->old, now->path);
		if (!old || !memcmp(old->digest, now->digest, DIGEST_SIZE) ||
		    counts(s, now->path, first))
			continue;
		struct cashet_change *c =
			add_change(s, CASHET_LAYOUT, CASHET_CHANGED, now->path);
		if (!c)
			return handle_no_memory(s->e);
		c->file = c->name;
		set_file(&c->old, &s->old, now->path);
		set_file(&c->now, &s->now, now->path);
		r = s->diffs ? add_diff(s, c, now->path, now->path) : 0;
	}
	return r;
}

/* ---- all of it ---- */

static int read_source(const struct source_reader *reader, bool now,
		       const struct cashet_content *content, struct source *out,
		       struct err *e)
{
	CLEANUP_BUF struct buf data = {0};
	if (content->type == CASHET_CONTENT_NONE)
		return 1;
	int r = reader->read(reader->arg, now, false, content->digest, &data, e);
	return r ? r : source_decode(data.data, data.size, out);
}

static int no_source(struct sides *s, const struct cashet_change *source)
{
	if (source->how != CASHET_CHANGED)
		return 0;
	CLEANUP_BUF struct buf where = {0};
	struct cashet_change *c = add_change(s, CASHET_CODE, CASHET_CHANGED, "");
	buf_add_str(&where,
		    "its source changed; what it was is not in the store any more");
	if (!c || !(c->where = texts_add(s->texts, &where)))
		return handle_no_memory(s->e);
	return 0;
}

static int look_into(struct sides *s, size_t number)
{
	struct cashet_change source = (*s->changes)[number];
	size_t first = *s->count;
	int r = read_source(s->reader, false, &source.old, &s->old, s->e);
	if (!r)
		r = read_source(s->reader, true, &source.now, &s->now, s->e);
	if (r)
		return r == 1 ? no_source(s, &source) : r;
	if (source.how == CASHET_CHANGED && s->old.unit_count && s->now.unit_count)
		r = compare_units(s, &s->old.units[0], &s->now.units[0]);
	for (size_t i = 0; i < first && !r; i++)
		if ((*s->changes)[i].component == CASHET_CODE)
			r = look_at_code(s, i);
	return r ? r : compare_layout(s, first);
}

int source_changes(struct cashet_change **changesp, size_t *countp, struct texts *texts,
		   const struct source_reader *reader, bool diffs, struct err *e)
{
	size_t count = *countp;
	int r = 0;
	for (size_t i = 0; i < count && !r; i++) {
		const struct cashet_change *c = &(*changesp)[i];
		if (c->component != CASHET_SOURCE ||
		    !memcmp(c->old.digest, c->now.digest, DIGEST_SIZE))
			continue;
		struct sides s = {.changes = changesp,
				  .count = countp,
				  .texts = texts,
				  .reader = reader,
				  .diffs = diffs,
				  .e = e};
		r = look_into(&s, i);
		source_fini(&s.old);
		source_fini(&s.now);
	}
	return r;
}

int source_compare(struct cashet_change **changesp, size_t *countp, struct texts *texts,
		   const struct source_reader *reader, const struct source_pair *pair,
		   struct err *e)
{
	const struct source_unit *old = &pair->old->units[pair->old_unit],
				 *now = &pair->now->units[pair->now_unit];
	struct sides s = {.old = *pair->old, /* borrowed */
			  .now = *pair->now,
			  .changes = changesp,
			  .count = countp,
			  .texts = texts,
			  .reader = reader,
			  .diffs = true,
			  .e = e};
	size_t first = *countp;
	int r = 0;
	if (memcmp(old->identity, now->identity, DIGEST_SIZE) != 0)
		r = compare_units(&s, old, now);
	return r ? r : compare_layout(&s, first);
}

/* ship.c - what goes to the broker with a call: the source blob and the files behind it. */
#include "client/describe/describe.h"

#include "common/pure/sha256.h"

#include <stdlib.h>
#include <string.h>

static int no_memory(struct err *e)
{
	return err_set(e, ERR_FAILED, "out of memory");
}

/* ---- files of all units and those beside them, each path once */

static int by_path(const void *a, const void *b)
{
	const struct source_file *x = a, *y = b;
	return strcmp(x->path, y->path);
}

/* join() - equal paths lie side by side; they must be equal files. */
static int join(struct source *s, struct err *e)
{
	size_t kept = 0;
	if (s->file_count)
		qsort(s->files, s->file_count, sizeof *s->files, by_path);
	for (size_t i = 0; i < s->file_count; i++) {
		struct source_file *f = &s->files[i];
		struct source_file *last = kept ? &s->files[kept - 1] : NULL;
		if (!last || strcmp(last->path, f->path)) {
			s->files[kept++] = *f;
			continue;
		}
		if (memcmp(last->digest, f->digest, DIGEST_SIZE)) {
			err_set(e, ERR_USAGE,
				"two different files would be laid out as \"%.300s\"",
				f->path);
			err_next(e, "give one of them another place with {path, as}, or "
				    "rename it");
			return ERR_USAGE;
		}
		last->executable = last->executable || f->executable;
	}
	s->file_count = kept;
	return 0;
}

struct laid {
	struct arena arena;
	struct source source;
};

static void laid_fini(struct laid *l)
{
	free(l->source.files);
	free(l->source.units);
	arena_fini(&l->arena); /* their texts are here, or the describer's */
}

static char *under(struct laid *l, const char *prefix, const char *path)
{
	if (!prefix || !*prefix)
		return (char *)(uintptr_t)path;
	return arena_printf(&l->arena, "%s%s", prefix, path);
}

static int add_definitions(struct laid *l, const char *prefix, struct source_unit *u)
{
	struct source_definition *all =
		arena_calloc(&l->arena, u->definition_count, sizeof *all);
	if (!all)
		return 1;
	for (size_t i = 0; i < u->definition_count; i++) {
		all[i] = u->definitions[i];
		if (*all[i].path && !(all[i].path = under(l, prefix, all[i].path)))
			return 1;
	}
	u->definitions = all;
	return 0;
}

static int add_unit(struct laid *l, const struct described *d, const char *prefix)
{
	struct source_unit *u = &l->source.units[l->source.unit_count++];
	*u = d->unit;
	if (!(u->path = under(l, prefix, u->path)) ||
	    (prefix && *prefix && add_definitions(l, prefix, u)))
		return 1;
	for (size_t i = 0; i < d->file_count; i++) {
		struct source_file *f = &l->source.files[l->source.file_count++];
		f->size = d->files[i].size;
		memcpy(f->digest, d->files[i].digest, DIGEST_SIZE);
		if (!(f->path = under(l, prefix, d->files[i].path)))
			return 1;
	}
	return 0;
}

int describe_source(struct buf *out, uint8_t digest[DIGEST_SIZE],
		    const struct describe_source *source, struct err *e)
{
	CLEANUP(laid_fini) struct laid l = {0};
	size_t files = source->file_count, start = out->size;
	for (size_t i = 0; i < source->unit_count; i++)
		files += source->units[i]->file_count;
	l.source.files = calloc(files + 1, sizeof *l.source.files);
	l.source.units = calloc(source->unit_count + 1, sizeof *l.source.units);
	if (!l.source.files || !l.source.units)
		return no_memory(e);
	for (size_t i = 0; i < source->unit_count; i++)
		if (add_unit(&l, source->units[i],
			     source->prefixes ? source->prefixes[i] : NULL))
			return no_memory(e);
	for (size_t i = 0; i < source->file_count; i++)
		l.source.files[l.source.file_count++] = source->files[i];
	int r = join(&l.source, e);
	if (r)
		return r;
	source_encode(out, &l.source);
	if (out->failed)
		return no_memory(e);
	if (out->size - start > SOURCE_SIZE_MAX)
		return err_set(e, ERR_USAGE,
			       "what is known of %.200s takes more than %u MiB: too many "
			       "files or definitions",
			       source->unit_count ? source->units[0]->title : "the code",
			       SOURCE_SIZE_MAX >> 20);
	sha256_digest(out->data + start, out->size - start, digest);
	return 0;
}

int describe_upload(const struct described *d, struct builder *b, struct err *e)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < d->file_count; i++) {
		if (!d->files[i].size) /* nothing is there always, and never stored */
			continue;
		struct builder_upload upload = {.path = d->files[i].full_path,
						.size = d->files[i].size};
		memcpy(upload.digest, d->files[i].digest, DIGEST_SIZE);
		r = builder_upload(b, &upload, e);
	}
	return r;
}

/* ---- what is wrong with one, for people */

static void add_place(struct buf *out, const struct described *d)
{
	buf_add_str(out, *d->error.file ? d->error.file : d->target);
	if (d->error.line)
		buf_printf(out, ":%u", d->error.line);
	if (d->error.column)
		buf_printf(out, ":%u", d->error.column);
}

int describe_fail(const struct described *d, struct err *e)
{
	CLEANUP_BUF struct buf where = {0};
	add_place(&where, d);
	int r = err_set(e, d->no_program ? ERR_FAILED : ERR_USAGE, "%.400s: %.500s",
			d->no_program ? d->target : buf_cstr(&where), d->error.message);
	if (*d->error.subject) /* of our own making: what to do next */
		err_next(e, "%s", d->error.subject);
	return r;
}

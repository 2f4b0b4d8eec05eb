/* describe_against.c - cashet_describe_against(): a function as it is in its files now, beside what a run
 * had. Which parts differ is told as why_source.c tells it of two runs: the older side is in the store,
 * the newer one is here. */
#include "client/describe/describe.h"
#include "client/describe/inside.h"
#include "client/diff/text.h"
#include "client/why_source.h"

#include "common/pure/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct against {
	struct cashet_comparison public; /* first: what callers have */
	struct cashet *c;
	struct cashet_shown *shown;
	struct cashet_descriptions *all;
	const struct described *now;
	struct source old, fresh;
	size_t unit; /* of @old */
	struct cashet_change *changes;
	size_t change_count;
	struct texts texts;
	struct err *e;
};

void cashet_comparison_free(struct cashet_comparison *public)
{
	if (!public)
		return;
	struct against *a = container_of(public, struct against, public);
	cashet_shown_free(a->shown);
	cashet_descriptions_free(a->all);
	source_fini(&a->old);
	source_fini(&a->fresh);
	free(a->changes);
	texts_fini(&a->texts);
	free(a);
}

/* ---- what the run had */

static int no_source(struct against *a)
{
	const struct cashet_shown *s = a->shown;
	if (s->function && s->function->language)
		return err_set(a->e, ERR_NOT_FOUND,
			       "the source of that run is not in the store any more");
	err_set(a->e, ERR_USAGE,
		"that run is of a command without code that counts by "
		"what it means: there is no function to compare with");
	err_next(a->e, "cashet diff compares two runs");
	return ERR_USAGE;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* Of a call its only unit; of a command the script of this name, or its only one. */
static int choose_unit(struct against *a, const char *target)
{
	const char *name;
	size_t size = describe_split(target, &name);
	const char *file = target;
	for (size_t i = 0; i < size; i++)
		file = target[i] == '/' ? target + i + 1 : file;
	size -= (size_t)(file - target);
	size_t fits = 0, named = 0;
	for (size_t i = 0; i < a->old.unit_count; i++) {
		const struct source_unit *u = &a->old.units[i];
		if (!u->name != !name)
			continue;
		bool same = !name && strlen(base_name(u->path)) == size &&
			    !memcmp(base_name(u->path), file, size);
		if (!fits++ || (same && !named))
			a->unit = i;
		named += same;
	}
	if (fits == 1 || named == 1)
		return 0;
	if (!fits) {
		err_set(a->e, ERR_USAGE,
			name ? "that run is of a command, not of a function"
			     : "that run is of a function, not of a command");
		err_next(a->e,
			 name ? "name a script: cashet describe %.*s"
			      : "name a function: cashet describe %.*s:FUNCTION",
			 (int)(file - target + (ptrdiff_t)size), target);
		return ERR_USAGE;
	}
	return err_set(a->e, ERR_USAGE,
		       named ? "the command of that run has %zu files called %.*s"
			     : "the command of that run has %zu files of code, none of "
			       "them called %.*s",
		       named ? named : fits, (int)size, file);
}

static int take_run(struct against *a, const char *what, const char *target)
{
	struct cashet_error error;
	CLEANUP_BUF struct buf data = {0};
	int r = cashet_show(a->c, what, &a->shown, &error);
	if (r) {
		err_set(a->e, (enum err_code)r, "%s", error.what);
		err_next(a->e, "%s", error.next);
		return r;
	}
	if (!a->shown->source)
		return no_source(a);
	r = why_read(a->c, a->shown->source->digest, &data, a->e);
	if (r == 1 || (!r && source_decode(data.data, data.size, &a->old)))
		return no_source(a);
	if (!r)
		r = choose_unit(a, target);
	if (r)
		return r;
	a->public.then = a->shown;
	a->public.unit = &a->shown->source->units[a->unit];
	return 0;
}

/* ---- what it is now */

/* Flags that are not given are those of the run. */
static int take_function(struct against *a, const struct cashet_describe *what)
{
	const struct source_unit *u = &a->old.units[a->unit];
	struct cashet_describe asked = *what;
	struct cashet_error error;
	CLEANUP_BUF struct buf data = {0};
	uint8_t unused[DIGEST_SIZE];
	asked.count = 1;
	if (!asked.cflag_count) {
		asked.cflags = (const char *const *)u->flags;
		asked.cflag_count = u->flag_count;
	}
	int r = cashet_describe(&asked, &a->all, &error);
	if (r) {
		err_set(a->e, (enum err_code)r, "%s", error.what);
		err_next(a->e, "%s", error.next);
		return r;
	}
	a->now = descriptions_described(a->all, 0);
	if (!a->now->ok)
		return describe_fail(a->now, a->e);
	if (strcmp(a->now->unit.language, u->language) != 0)
		return err_set(a->e, ERR_USAGE, "%s is in %s, that run's %s in %s",
			       a->now->title, a->now->unit.language, u->path,
			       u->language);
	const struct describe_source source = {.units = &a->now, .unit_count = 1};
	r = describe_source(&data, unused, &source, a->e);
	if (!r && source_decode(data.data, data.size, &a->fresh))
		r = handle_no_memory(a->e);
	a->public.now = &a->all->items[0];
	return r;
}

/* ---- what differs */

static int read_here(struct against *a, const uint8_t digest[DIGEST_SIZE],
		     struct buf *out)
{
	uint8_t found[DIGEST_SIZE];
	for (size_t i = 0; i < a->now->file_count; i++) {
		const struct described_file *f = &a->now->files[i];
		if (memcmp(f->digest, digest, DIGEST_SIZE) || f->size > TEXT_DIFF_MAX)
			continue;
		int fd = open(f->full_path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		ssize_t n = fd < 0 ? -1 : 1;
		while (n > 0 && out->size <= TEXT_DIFF_MAX) {
			uint8_t *to = buf_reserve(out, 65536);
			n = to ? read(fd, to, 65536) : -1;
			out->size += n > 0 ? (size_t)n : 0;
		}
		if (fd >= 0)
			close(fd);
		sha256_digest(out->size ? (const void *)out->data : "", out->size, found);
		if (n == 0 && !memcmp(found, digest, DIGEST_SIZE))
			return text_is_text(out->data, out->size) ? 0 : 1;
		buf_reset(out); /* it was changed just now: another may be the same */
	}
	return 1;
}

static int read_blob(void *arg, bool now, bool text, const uint8_t digest[DIGEST_SIZE],
		     struct buf *out, struct err *e)
{
	struct against *a = arg;
	if (now)
		return read_here(a, digest, out);
	return text ? why_fetch(a->c, digest, out, e) : why_read(a->c, digest, out, e);
}

/* The version that the task asked for counts if it asked for one: "3.11". */
static int compare_version(struct against *a, bool asked)
{
	CLEANUP_BUF struct buf was = {0}, is = {0};
	const char *old = a->shown->function ? a->shown->function->version : NULL;
	const char *now = a->now->version;
	size_t size = strcspn(now, ".");
	size += now[size] ? 1 + strcspn(now + size + 1, ".") : 0;
	if (!old && !asked)
		return 0;
	if (old && strlen(old) == size && !memcmp(old, now, size))
		return 0;
	struct cashet_change *c = &a->changes[a->change_count];
	buf_add_str(&was, old ? old : "");
	buf_add(&is, now, size);
	*c = (struct cashet_change){.component = CASHET_INTERPRETER,
				    .how = old ? CASHET_CHANGED : CASHET_ADDED,
				    .name = "",
				    .before = texts_add(&a->texts, &was),
				    .after = texts_add(&a->texts, &is),
				    .where = "",
				    .origin_name = ""};
	a->change_count++;
	return c->before && c->after ? 0 : handle_no_memory(a->e);
}

static int compare(struct against *a, bool asked)
{
	const struct source_unit *old = &a->old.units[a->unit], *now = a->fresh.units;
	const struct source_reader reader = {read_blob, a};
	const struct source_pair pair = {&a->old, &a->fresh, a->unit, 0};
	a->changes = calloc(1, sizeof *a->changes);
	if (!a->changes)
		return handle_no_memory(a->e);
	int r = strcmp(old->language, "python") ? 0 : compare_version(a, asked);
	a->public.same =
		!a->change_count && !memcmp(old->identity, now->identity, DIGEST_SIZE);
	if (!r)
		r = source_compare(&a->changes, &a->change_count, &a->texts, &reader,
				   &pair, a->e);
	a->public.changes = a->changes;
	a->public.change_count = a->change_count;
	return r;
}

int cashet_describe_against(struct cashet *c, const struct cashet_describe *what,
			    const char *against, struct cashet_comparison **out,
			    struct cashet_error *error)
{
	struct err e;
	struct against *a = calloc(1, sizeof *a);
	int r = a ? 0 : handle_no_memory(&e);
	if (!r && what->count != 1)
		r = err_set(&e, ERR_USAGE, "one function is compared at a time, not %zu",
			    what->count);
	if (!r) {
		a->c = c;
		a->e = &e;
		r = take_run(a, against, what->targets[0]);
	}
	if (!r)
		r = take_function(a, what);
	if (!r)
		r = compare(a, what->python != NULL);
	if (r && a)
		cashet_comparison_free(&a->public);
	else if (!r)
		*out = &a->public;
	return error_give(error, &e, r);
}

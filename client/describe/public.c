/* public.c - cashet_describe(): descriptions in the shape of cashet.h. */
#include "client/describe/inside.h"

#include "client/handle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct descriptions {
	struct cashet_descriptions public; /* what is given out */
	struct describer *describer;
	struct arena arena;
	uint32_t *numbers; /* of each target at the describer */
};

struct asking {
	const struct cashet_describe *what;
	struct descriptions *to;
	struct err *e;
};

void cashet_descriptions_free(struct cashet_descriptions *d)
{
	if (!d)
		return;
	struct descriptions *all = container_of(d, struct descriptions, public);
	describer_free(all->describer);
	arena_fini(&all->arena);
	free(all);
}

static int ask_idle(void *arg, struct err *e)
{
	const struct cashet_describe *what = arg;
	if (!what->interrupted || !what->interrupted(what->arg))
		return 0;
	return err_set(e, ERR_DETACHED, "interrupted");
}

/* ---- one description */

static void add_parameter(struct buf *out, const struct described_parameter *p)
{
	static const char *const stars[] = {
		[PARAMETER_REST] = "*", [PARAMETER_KEYWORDS] = "**"};
	if (p->kind == PARAMETER_REST || p->kind == PARAMETER_KEYWORDS)
		buf_add_str(out, stars[p->kind]);
	buf_add_str(out, p->name);
	if (p->kind == PARAMETER_REST || p->kind == PARAMETER_KEYWORDS || p->required)
		return;
	buf_add_str(out, "=");
	if (p->value)
		arg_format(out, p->value);
	else
		buf_add_str(out, "...");
}

/* add_signature() - as Python writes it; JSON's words for its literals. */
static void add_signature(struct buf *out, const struct described *d)
{
	bool star = false;
	buf_add_str(out, "(");
	for (size_t i = 0; i < d->parameter_count; i++) {
		const struct described_parameter *p = &d->parameters[i];
		const char *comma = i ? ", " : "";
		if (i && d->parameters[i - 1].kind == PARAMETER_POSITIONAL &&
		    p->kind != PARAMETER_POSITIONAL)
			buf_add_str(out, ", /");
		if (p->kind == PARAMETER_KEYWORD && !star)
			buf_printf(out, "%s*", comma);
		star = star || p->kind == PARAMETER_KEYWORD || p->kind == PARAMETER_REST;
		if (p->kind == PARAMETER_KEYWORD && !i && star)
			comma = ", ";
		buf_add_str(out, comma);
		add_parameter(out, p);
	}
	if (d->parameter_count &&
	    d->parameters[d->parameter_count - 1].kind == PARAMETER_POSITIONAL)
		buf_add_str(out, ", /");
	buf_add_str(out, ")");
}

static struct cashet_warning warning_of(const struct described_warning *w)
{
	return (struct cashet_warning){w->name, w->subject, w->message,
				       w->file, w->line,    w->column};
}

static int fill_lists(struct asking *a, const struct described *d,
		      struct cashet_description *to)
{
	struct arena *arena = &a->to->arena;
	const struct source_unit *u = &d->unit;
	struct cashet_described_file *files =
		arena_calloc(arena, d->file_count, sizeof *files);
	struct cashet_package *packages =
		arena_calloc(arena, u->package_count, sizeof *packages);
	struct cashet_definition *definitions =
		arena_calloc(arena, u->definition_count, sizeof *definitions);
	struct cashet_warning *warnings =
		arena_calloc(arena, d->warning_count, sizeof *warnings);
	if (!files || !packages || !definitions || !warnings)
		return handle_no_memory(a->e);
	for (size_t i = 0; i < d->file_count; i++) {
		files[i].path = d->files[i].path;
		files[i].file = d->files[i].full_path;
		files[i].size = d->files[i].size;
		memcpy(files[i].digest, d->files[i].digest, DIGEST_SIZE);
	}
	for (size_t i = 0; i < u->package_count; i++)
		packages[i] = (struct cashet_package){u->packages[i].name,
						      u->packages[i].version,
						      u->packages[i].counts};
	for (size_t i = 0; i < u->definition_count; i++) {
		const struct source_definition *from = &u->definitions[i];
		definitions[i] = (struct cashet_definition){from->label, from->kind,
							    from->path, from->line};
		memcpy(definitions[i].digest, from->digest, DIGEST_SIZE);
	}
	for (size_t i = 0; i < d->warning_count; i++)
		warnings[i] = warning_of(&d->warnings[i]);
	to->files = files;
	to->packages = packages;
	to->definitions = definitions;
	to->warnings = warnings;
	to->file_count = d->file_count;
	to->package_count = u->package_count;
	to->definition_count = u->definition_count;
	to->warning_count = d->warning_count;
	return 0;
}

static int fill(struct asking *a, const struct described *d,
		struct cashet_description *to)
{
	to->target = d->target;
	to->ok = d->ok;
	to->error = warning_of(&d->error);
	if (!d->ok)
		return 0;
	CLEANUP_BUF struct buf signature = {0};
	if (d->has_signature) {
		add_signature(&signature, d);
		to->signature =
			arena_text(&a->to->arena, buf_cstr(&signature), signature.size);
		if (!to->signature || signature.failed)
			return handle_no_memory(a->e);
	}
	to->language = d->unit.language;
	to->name = d->title;
	to->kind = d->kind;
	to->version = d->version;
	to->canonical = d->canonical;
	memcpy(to->hash, d->unit.hash, DIGEST_SIZE);
	memcpy(to->identity, d->unit.identity, DIGEST_SIZE);
	return fill_lists(a, d, to);
}

const struct described *descriptions_described(struct cashet_descriptions *d,
					       size_t number)
{
	const struct descriptions *all = container_of(d, struct descriptions, public);
	return describer_get(all->describer, all->numbers[number]);
}

/* ---- all of them */

static int want_one(struct asking *a, size_t i)
{
	const struct cashet_describe *what = a->what;
	const char *target = what->targets[i], *name;
	size_t size = describe_split(target, &name);
	const char *file = arena_text(&a->to->arena, target, size);
	if (!file)
		return handle_no_memory(a->e);
	struct describe_target t = {.language = describe_language(file),
				    .file = file,
				    .function = name,
				    .canonical = what->canonical};
	if (t.language && !strcmp(t.language, "python"))
		t.python = what->python;
	if (t.language && !strcmp(t.language, "c")) {
		t.flags = what->cflags;
		t.flag_count = what->cflag_count;
	}
	return describer_want(a->to->describer, &t, &a->to->numbers[i], a->e);
}

static int ask(struct asking *a, const char *folder)
{
	const struct cashet_describe *what = a->what;
	struct describe_options options = {
		.folder = folder, .idle = ask_idle, .idle_arg = (void *)(uintptr_t)what};
	struct cashet_description *items =
		arena_calloc(&a->to->arena, what->count, sizeof *items);
	uint32_t *numbers = arena_calloc(&a->to->arena, what->count, sizeof *numbers);
	a->to->numbers = numbers;
	if (!items || !numbers)
		return handle_no_memory(a->e);
	int r = describer_new(&a->to->describer, &options, a->e);
	for (size_t i = 0; r == 0 && i < what->count; i++)
		r = want_one(a, i);
	if (r == 0)
		r = describer_run(a->to->describer, a->e);
	for (size_t i = 0; r == 0 && i < what->count; i++)
		r = fill(a, describer_get(a->to->describer, a->to->numbers[i]),
			 &items[i]);
	a->to->public.items = items;
	a->to->public.count = what->count;
	return r;
}

int cashet_describe(const struct cashet_describe *what, struct cashet_descriptions **dp,
		    struct cashet_error *error)
{
	struct err e;
	struct asking a = {.what = what, .e = &e};
	const char *said = what->folder ? what->folder : ".";
	char *folder = realpath(said, NULL);
	int r = 0;
	if (!folder)
		r = err_set(&e, ERR_USAGE, "the folder %.300s: %s", said,
			    strerror(errno));
	if (r == 0 && !(a.to = calloc(1, sizeof *a.to)))
		r = handle_no_memory(&e);
	if (r == 0)
		r = ask(&a, folder);
	free(folder);
	if (r == 0)
		*dp = &a.to->public;
	else if (a.to)
		cashet_descriptions_free(&a.to->public);
	return error_give(error, &e, r);
}

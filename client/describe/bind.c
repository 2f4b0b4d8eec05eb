/* bind.c - describe_bind(): every spelling of a call becomes one.
 *
 * Python gives values to parameters first by position, then by name. Where the signature is exact we
 * do the same, and write down: what is by position only stays there; whatever can be named is,
 * sorted later by whoever encodes; literal defaults are filled in. One spelling has to stay: where
 * *args has values, those in front of it are by position, since there is no other way to say it. */
#include "client/describe/describe.h"

#include "common/format/call_args.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct binding {
	const struct described *d;
	struct arg *values; /* of each parameter; name set: has one */
	bool *has;
	const struct described_parameter *rest, *keywords;
	struct arg *more; /* **kwargs */
	size_t more_count, rest_first, rest_count;
	struct err *e;
};

static int fail(struct binding *b, const char *fmt, ...) PRINTF(2, 3);
static int fail(struct binding *b, const char *fmt, ...)
{
	char text[600];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	return err_set(b->e, ERR_USAGE, "%.300s %s", b->d->title, text);
}

static bool is_plain(const struct described_parameter *p)
{
	return p->kind != PARAMETER_REST && p->kind != PARAMETER_KEYWORDS;
}

static bool by_position(const struct described_parameter *p)
{
	return p->kind == PARAMETER_POSITIONAL || p->kind == PARAMETER_ANY;
}

static bool by_name(const struct described_parameter *p)
{
	return p->kind == PARAMETER_KEYWORD || p->kind == PARAMETER_ANY;
}

static int take_positional(struct binding *b, const struct call_args *args)
{
	const struct described *d = b->d;
	size_t at = 0;
	for (size_t i = 0; i < d->parameter_count && at < args->positional_count; i++)
		if (by_position(&d->parameters[i])) {
			b->values[i] = args->positional[at++];
			b->has[i] = true;
		}
	b->rest_first = at;
	b->rest_count = args->positional_count - at;
	if (b->rest_count && !b->rest)
		return fail(b, "takes %zu arguments by position, not %zu", at,
			    args->positional_count);
	return 0;
}

static void list_names(const struct binding *b, struct buf *out)
{
	for (size_t i = 0; i < b->d->parameter_count; i++)
		if (by_name(&b->d->parameters[i]))
			buf_printf(out, "%s%s", out->size ? ", " : "",
				   b->d->parameters[i].name);
}

static int unknown_name(struct binding *b, const struct arg *a)
{
	CLEANUP_BUF struct buf names = {0};
	list_names(b, &names);
	fail(b, "has no parameter \"%.100s\"", a->name);
	if (names.size)
		err_next(b->e, "it has: %.400s", buf_cstr(&names));
	return ERR_USAGE;
}

static int take_keyword(struct binding *b, const struct arg *a)
{
	const struct described *d = b->d;
	bool only_positional = false;
	for (size_t i = 0; i < d->parameter_count; i++) {
		const struct described_parameter *p = &d->parameters[i];
		if (!is_plain(p) || strlen(p->name) != a->name_size ||
		    memcmp(p->name, a->name, a->name_size))
			continue;
		if (p->kind == PARAMETER_POSITIONAL) {
			only_positional = true;
			break;
		}
		if (b->has[i])
			return fail(b, "gets \"%.100s\" twice", a->name);
		b->values[i] = *a;
		b->has[i] = true;
		return 0;
	}
	for (size_t i = 0; i < b->more_count; i++)
		if (b->more[i].name_size == a->name_size &&
		    !memcmp(b->more[i].name, a->name, a->name_size))
			return fail(b, "gets \"%.100s\" twice", a->name);
	if (b->keywords) {
		b->more[b->more_count++] = *a;
		return 0;
	}
	if (only_positional)
		return fail(b, "takes \"%.100s\" by position only", a->name);
	return unknown_name(b, a);
}

/* Literal defaults are values like any other; the others stay the function's own affair. */
static int fill_in(struct binding *b)
{
	for (size_t i = 0; i < b->d->parameter_count; i++) {
		const struct described_parameter *p = &b->d->parameters[i];
		if (!is_plain(p) || b->has[i])
			continue;
		if (p->required)
			return fail(b, "needs a value for \"%.100s\"", p->name);
		if (p->value) {
			b->values[i] = *p->value;
			b->has[i] = true;
		}
	}
	return 0;
}

static void add_named(struct call_args *to, const struct described_parameter *p,
		      const struct arg *value)
{
	struct arg *a = &to->keywords[to->keyword_count++];
	*a = *value;
	a->name = (char *)(uintptr_t)p->name;
	a->name_size = strlen(p->name);
}

static void add_positional(struct call_args *to, const struct arg *value)
{
	struct arg *a = &to->positional[to->positional_count++];
	*a = *value;
	a->name = NULL;
	a->name_size = 0;
}

/* A gap among those by position can only be left at the end. */
static void write_down(struct binding *b, const struct call_args *from,
		       struct call_args *to)
{
	bool gap = false;
	for (size_t i = 0; i < b->d->parameter_count; i++) {
		const struct described_parameter *p = &b->d->parameters[i];
		bool positional = p->kind == PARAMETER_POSITIONAL ||
				  (p->kind == PARAMETER_ANY && b->rest_count);
		if (!is_plain(p))
			continue;
		if (!b->has[i])
			gap = true;
		else if (!positional)
			add_named(to, p, &b->values[i]);
		else if (!gap)
			add_positional(to, &b->values[i]);
	}
	for (size_t i = 0; i < b->rest_count; i++)
		add_positional(to, &from->positional[b->rest_first + i]);
	for (size_t i = 0; i < b->more_count; i++)
		to->keywords[to->keyword_count++] = b->more[i];
}

static int bind(struct binding *b, struct call_args *args, struct call_args *to)
{
	for (size_t i = 0; i < b->d->parameter_count; i++) {
		const struct described_parameter *p = &b->d->parameters[i];
		if (p->kind == PARAMETER_REST)
			b->rest = p;
		if (p->kind == PARAMETER_KEYWORDS)
			b->keywords = p;
	}
	int r = take_positional(b, args);
	for (size_t i = 0; r == 0 && i < args->keyword_count; i++)
		r = take_keyword(b, &args->keywords[i]);
	if (r == 0)
		r = fill_in(b);
	if (r == 0)
		write_down(b, args, to);
	return r;
}

int describe_bind(const struct described *d, struct call_args *args, struct arena *arena,
		  struct err *e)
{
	if (!d->exact)
		return 0;
	struct binding b = {.d = d, .e = e};
	struct call_args to = {0};
	size_t most = d->parameter_count + args->positional_count + args->keyword_count;
	b.values = arena_calloc(arena, d->parameter_count, sizeof *b.values);
	b.has = arena_calloc(arena, d->parameter_count, sizeof *b.has);
	b.more = arena_calloc(arena, args->keyword_count, sizeof *b.more);
	to.positional = arena_calloc(arena, most, sizeof *to.positional);
	to.keywords = arena_calloc(arena, most, sizeof *to.keywords);
	if (!b.values || !b.has || !b.more || !to.positional || !to.keywords)
		return err_set(e, ERR_FAILED, "out of memory");
	int r = bind(&b, args, &to);
	if (r == 0)
		*args = to;
	return r;
}

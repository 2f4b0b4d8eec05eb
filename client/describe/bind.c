/* bind.c - see describe.h: arguments meet parameters, as the language would do it, so that
 * train(0.1), train(lr=0.1) and train(lr=0.1, epochs=3) are one call if 3 is the default of epochs.
 *
 * What stays by position is what cannot be named: parameters by position only, the values of
 * *args, and with these everything in front of them. A default that is no literal is not filled
 * in; the function itself counts, and with it that default. */
#include "client/describe/describe.h"

#include "common/names.h"

#include <stdio.h>
#include <string.h>

#define SHOWN 80
#define SUGGEST_MAX 256

struct bind {
	const struct described *d;
	const struct call_args *args; /* as given */
	struct describe_binding *binding;
	struct err *e;
	const char *title;  /* "train" */
	size_t by_position; /* parameters that take one */
	bool has_rest, has_keywords;
	struct call_args out;
};

static bool takes_position(const struct described_parameter *p)
{
	return p->kind == PARAMETER_POSITIONAL || p->kind == PARAMETER_ANY;
}

static bool takes_name(const struct described_parameter *p)
{
	return p->kind == PARAMETER_KEYWORD || p->kind == PARAMETER_ANY;
}

static bool is_named(const struct arg *a, const char *name)
{
	return strlen(name) == a->name_size && !memcmp(a->name, name, a->name_size);
}

static const struct arg *find_given(const struct bind *b, const char *name)
{
	for (size_t i = 0; i < b->args->keyword_count; i++)
		if (is_named(&b->args->keywords[i], name))
			return &b->args->keywords[i];
	return NULL;
}

/* ---- errors */

static void say_parameters(struct bind *b)
{
	char list[300] = "";
	size_t size = 0;
	for (size_t i = 0; i < b->d->parameter_count; i++) {
		const struct described_parameter *p = &b->d->parameters[i];
		const char *star = p->kind == PARAMETER_REST	   ? "*"
				   : p->kind == PARAMETER_KEYWORDS ? "**"
								   : "";
		int n = snprintf(list + size, sizeof list - size, "%s%s%.*s",
				 i ? ", " : "", star, SHOWN, p->name);
		if (n < 0 || size + (size_t)n >= sizeof list)
			return;
		size += (size_t)n;
	}
	if (*list)
		err_next(b->e, "its parameters are %s", list);
	else
		err_next(b->e, "it has no parameters");
}

static int fail_unknown(struct bind *b, const struct arg *a)
{
	const char *names[SUGGEST_MAX];
	size_t count = 0;
	for (size_t i = 0; i < b->d->parameter_count && count < SUGGEST_MAX; i++)
		if (takes_name(&b->d->parameters[i]))
			names[count++] = b->d->parameters[i].name;
	b->binding->keyword = a->name;
	const char *near = names_suggest(a->name, names, count);
	err_set(b->e, ERR_USAGE, "%s() has no parameter \"%.*s\"%s%s%s", b->title, SHOWN,
		a->name, near ? "; did you mean \"" : "", near ? near : "",
		near ? "\"?" : "");
	if (!near)
		say_parameters(b);
	return ERR_USAGE;
}

static int fail_by_position_only(struct bind *b, const struct arg *a)
{
	b->binding->keyword = a->name;
	return err_set(b->e, ERR_USAGE,
		       "%s() takes \"%.*s\" by position only: put it into args", b->title,
		       SHOWN, a->name);
}

static int fail_twice(struct bind *b, const struct described_parameter *p)
{
	b->binding->keyword = p->name;
	return err_set(b->e, ERR_USAGE,
		       "%s() gets \"%.*s\" twice: by position and by name", b->title,
		       SHOWN, p->name);
}

static int fail_missing(struct bind *b, const struct described_parameter *p)
{
	err_set(b->e, ERR_USAGE, "%s() needs \"%.*s\"%s", b->title, SHOWN, p->name,
		p->kind == PARAMETER_POSITIONAL ? ", by position" : "");
	say_parameters(b);
	return ERR_USAGE;
}

static int fail_too_many(struct bind *b)
{
	b->binding->has_position = true;
	b->binding->position = b->by_position;
	err_set(b->e, ERR_USAGE, "%s() takes %zu argument%s by position, not %zu",
		b->title, b->by_position, b->by_position == 1 ? "" : "s",
		b->args->positional_count);
	say_parameters(b);
	return ERR_USAGE;
}

/* ---- keywords that were given */

static const struct described_parameter *find_parameter(const struct bind *b,
							const struct arg *a)
{
	for (size_t i = 0; i < b->d->parameter_count; i++) {
		const struct described_parameter *p = &b->d->parameters[i];
		if ((takes_position(p) || takes_name(p)) && is_named(a, p->name))
			return p;
	}
	return NULL;
}

static int check_keywords(struct bind *b)
{
	for (size_t i = 0; i < b->args->keyword_count; i++) {
		const struct arg *a = &b->args->keywords[i];
		const struct described_parameter *p = find_parameter(b, a);
		if (b->has_keywords && (!p || p->kind == PARAMETER_POSITIONAL))
			continue;
		if (!p)
			return fail_unknown(b, a);
		if (p->kind == PARAMETER_POSITIONAL)
			return fail_by_position_only(b, a);
	}
	return 0;
}

/* ---- binding */

static void put_keyword(struct bind *b, const struct arg *value, const char *name)
{
	struct arg *to = &b->out.keywords[b->out.keyword_count++];
	*to = *value;
	to->name = (char *)(uintptr_t)name;
	to->name_size = strlen(name);
}

static void put_positional(struct bind *b, const struct arg *value)
{
	struct arg *to = &b->out.positional[b->out.positional_count++];
	*to = *value;
	to->name = NULL;
	to->name_size = 0;
}

/* Those by position, in order; @stays: none can be named, since values of *args come behind. */
static int bind_positional(struct bind *b, bool stays)
{
	size_t at = 0, given = b->args->positional_count;
	bool gap = false; /* one was left out, so none can follow by position */
	for (size_t i = 0; i < b->d->parameter_count; i++) {
		const struct described_parameter *p = &b->d->parameters[i];
		bool only = p->kind == PARAMETER_POSITIONAL;
		if (!takes_position(p))
			continue;
		const struct arg *value = at < given ? &b->args->positional[at] : NULL;
		bool named = !only && find_given(b, p->name);
		at++;
		if (value && named)
			return fail_twice(b, p);
		if (!value && !named && p->required)
			return fail_missing(b, p);
		if (value && !only && !stays) {
			put_keyword(b, value, p->name);
			continue;
		}
		if (!value && only)
			value = p->value;
		if (!value && only)
			gap = true;
		if (value && !gap)
			put_positional(b, value);
	}
	for (; at < given; at++)
		put_positional(b, &b->args->positional[at]);
	return 0;
}

/* Given ones first, in their order; then the defaults of all that has no value yet. */
static int bind_keywords(struct bind *b)
{
	size_t at = 0;
	for (size_t i = 0; i < b->args->keyword_count; i++)
		b->out.keywords[b->out.keyword_count++] = b->args->keywords[i];
	b->binding->given = b->out.keyword_count;
	for (size_t i = 0; i < b->d->parameter_count; i++) {
		const struct described_parameter *p = &b->d->parameters[i];
		bool has_position = takes_position(p) && at++ < b->args->positional_count;
		if (has_position || !takes_name(p) || find_given(b, p->name))
			continue;
		if (p->required)
			return fail_missing(b, p);
		if (p->value)
			put_keyword(b, p->value, p->name);
	}
	return 0;
}

int describe_bind(const struct described *d, struct call_args *args, struct arena *arena,
		  struct describe_binding *binding, struct err *e)
{
	*binding = (struct describe_binding){.given = args->keyword_count};
	if (!d->exact)
		return 0;
	struct bind b = {.d = d, .args = args, .binding = binding, .e = e};
	b.title = d->unit.name ? d->unit.name : d->target;
	for (size_t i = 0; i < d->parameter_count; i++) {
		b.by_position += takes_position(&d->parameters[i]);
		b.has_rest |= d->parameters[i].kind == PARAMETER_REST;
		b.has_keywords |= d->parameters[i].kind == PARAMETER_KEYWORDS;
	}
	bool stays = args->positional_count > b.by_position;
	if (stays && !b.has_rest)
		return fail_too_many(&b);
	size_t most = d->parameter_count + args->positional_count;
	b.out.positional = arena_calloc(arena, most, sizeof *b.out.positional);
	b.out.keywords =
		arena_calloc(arena, most + args->keyword_count, sizeof *b.out.keywords);
	if (!b.out.positional || !b.out.keywords)
		return err_set(e, ERR_FAILED, "out of memory");
	int r = check_keywords(&b);
	if (!r)
		r = bind_positional(&b, stays);
	if (!r)
		r = bind_keywords(&b);
	if (!r)
		*args = b.out;
	return r;
}

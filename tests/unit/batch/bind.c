/* bind.c - describe_bind(): what Python makes of arguments, as a table, and as a law: whatever is
 * given by position may be given by name, and whatever is a default may be said. */
#include "client/describe/describe.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A signature is words: "a" required, "a=1" with a default, "a=?" with one that is no literal;
 * "/" in front: by position only, ".": by name only, "*", "**". Arguments: "1" or "a=1". */
#define MANY 16

struct given {
	struct described d;
	struct described_parameter parameters[MANY];
	struct arg defaults[MANY], positional[MANY], keywords[MANY];
	struct call_args args;
	char text[4][200];
};

static struct arg integer(const char *text)
{
	return (struct arg){.type = ARG_INT, .i = atoi(text)};
}

static void read_signature(struct given *g, const char *text)
{
	strcpy(g->text[0], text);
	for (char *word = strtok(g->text[0], " "); word; word = strtok(NULL, " ")) {
		struct described_parameter *p = &g->parameters[g->d.parameter_count];
		char *equals = strchr(word, '=');
		p->kind = !strncmp(word, "**", 2) ? PARAMETER_KEYWORDS
			  : *word == '*'	  ? PARAMETER_REST
			  : *word == '/'	  ? PARAMETER_POSITIONAL
			  : *word == '.'	  ? PARAMETER_KEYWORD
						  : PARAMETER_ANY;
		p->required = !equals && *word != '*';
		if (equals && equals[1] != '?') {
			g->defaults[g->d.parameter_count] = integer(equals + 1);
			p->value = &g->defaults[g->d.parameter_count];
		}
		if (equals)
			*equals = '\0';
		p->name = word + strspn(word, "*/.");
		g->d.parameter_count++;
	}
	g->d.parameters = g->parameters;
	g->d.exact = true;
	g->d.unit.name = "f";
}

static void read_args(struct given *g, const char *text)
{
	strcpy(g->text[1], text);
	g->args.positional = g->positional;
	g->args.keywords = g->keywords;
	for (char *word = strtok(g->text[1], " "); word; word = strtok(NULL, " ")) {
		char *equals = strchr(word, '=');
		if (!equals) {
			g->positional[g->args.positional_count++] = integer(word);
			continue;
		}
		struct arg *a = &g->keywords[g->args.keyword_count++];
		*equals = '\0';
		*a = integer(equals + 1);
		a->name = word;
		a->name_size = strlen(word);
	}
}

/* bound() - "1 2 a=3" with names in order, or the error. */
static const char *bound(const char *signature, const char *args)
{
	static char out[1600];
	struct given g = {0};
	struct describe_binding binding;
	struct err e = {0};
	CLEANUP(arena_fini) struct arena arena = {0};
	CLEANUP_BUF struct buf bytes = {0};
	read_signature(&g, signature);
	read_args(&g, args);
	int r = describe_bind(&g.d, &g.args, &arena, &binding, &e);
	if (r) {
		cr_assert_eq(r, ERR_USAGE);
		snprintf(out, sizeof out, "%s%s%s", e.what, *e.next ? "; " : "", e.next);
		return out;
	}
	cr_assert_eq(call_args_encode(&bytes, &g.args), 0, "%s", args);
	out[0] = '\0';
	for (size_t i = 0; i < g.args.positional_count; i++)
		sprintf(out + strlen(out), "%d ", (int)g.args.positional[i].i);
	for (size_t i = 0; i < g.args.keyword_count; i++)
		sprintf(out + strlen(out), "%s=%d ", g.args.keywords[i].name,
			(int)g.args.keywords[i].i);
	return out;
}

Test(bind, spellings_become_one_and_what_python_refuses_is_refused)
{
	static const struct {
		const char *signature, *args, *is;
	} rows[] = {
		{"", "", ""},
		{"a", "1", "a=1 "},
		{"a", "a=1", "a=1 "},
		{"a b=2", "1", "a=1 b=2 "},
		{"a b=2", "1 2", "a=1 b=2 "},
		{"a b=2", "b=2 a=1", "a=1 b=2 "},
		{"a b=2", "1 b=3", "a=1 b=3 "},
		{"a=? b=2", "", "b=2 "},
		{"a=? b=2", "5", "a=5 b=2 "},
		{"/a b", "1 2", "1 b=2 "},
		{"/a b", "1 b=2", "1 b=2 "},
		{"/a=1 b=2", "", "1 b=2 "},
		{"/a=1 /b=2 c=3", "7", "7 2 c=3 "},
		{"/a=? /b=2 c=3", "", "c=3 "},
		{"/a=? /b=2 c=3", "7", "7 2 c=3 "},
		{"a *r", "1", "a=1 "},
		{"a *r", "1 2 3", "1 2 3 "},
		{"a b=2 *r", "1", "a=1 b=2 "},
		{"a b=2 *r", "1 2 3", "1 2 3 "},
		{"a b=2 *r .k=4", "1 2 3", "1 2 3 k=4 "},
		{"*r", "", ""},
		{"*r", "1", "1 "},
		{"a .k", "1 k=2", "a=1 k=2 "},
		{".k=2", "", "k=2 "},
		{".k=?", "", ""},
		{"a **m", "1 z=2 y=3", "a=1 y=3 z=2 "},
		{"/a **m", "1 a=2", "1 a=2 "},
		{"a=1 **m", "z=2", "a=1 z=2 "},
		{"a b", "1 c=2", "f() has no parameter \"c\"; its parameters are a, b"},
		{"lr epochs=3", "lrr=1",
		 "f() has no parameter \"lrr\"; did you mean \"lr\"?"},
		{"a b", "1", "f() needs \"b\"; its parameters are a, b"},
		{"a b", "", "f() needs \"a\"; its parameters are a, b"},
		{"/a b=1", "", "f() needs \"a\", by position; its parameters are a, b"},
		{".k", "", "f() needs \"k\"; its parameters are k"},
		{"a *r .k **m", "1", "f() needs \"k\"; its parameters are a, *r, k, **m"},
		{"a", "1 2",
		 "f() takes 1 argument by position, not 2; its parameters are a"},
		{"", "1",
		 "f() takes 0 arguments by position, not 1; it has no parameters"},
		{"a .k=1", "1 2 3",
		 "f() takes 1 argument by position, not 3; its parameters are a, k"},
		{"a b=2", "1 a=2", "f() gets \"a\" twice: by position and by name"},
		{"a *r", "1 2 a=3", "f() gets \"a\" twice: by position and by name"},
		{"/a b=1", "a=1", "f() takes \"a\" by position only: put it into args"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		cr_expect_str_eq(bound(rows[i].signature, rows[i].args), rows[i].is,
				 "f(%s) of (%s): %s, not %s", rows[i].signature,
				 rows[i].args, bound(rows[i].signature, rows[i].args),
				 rows[i].is);
}

Test(bind, any_split_between_positions_and_names_is_the_same_call)
{
	/* a, b, c, d = 1, 2, 3, 4, where c and d have these defaults: by position up to @split, named
	 * behind it, in any order, with or without what is a default. */
	static const char *const names[] = {"a", "b", "c", "d"};
	for (unsigned split = 0; split <= 4; split++)
		for (unsigned turn = 0; turn < 4; turn++)
			for (unsigned left_out = 0; left_out < 4; left_out++) {
				char args[64] = "";
				for (unsigned i = 0; i < split; i++)
					sprintf(args + strlen(args), "%u ", i + 1);
				for (unsigned k = 0; k < 4; k++) {
					unsigned i = (k + turn) % 4;
					if (i >= split &&
					    !(i >= 2 && left_out >> (i - 2) & 1))
						sprintf(args + strlen(args), "%s=%u ",
							names[i], i + 1);
				}
				cr_expect_str_eq(bound("a b c=3 d=4", args),
						 "a=1 b=2 c=3 d=4 ", "%s", args);
			}
}

Test(bind, what_is_not_exact_is_left_as_it_is)
{
	struct given g = {0};
	struct describe_binding binding;
	struct err e = {0};
	CLEANUP(arena_fini) struct arena arena = {0};
	read_signature(&g, "a b=2");
	read_args(&g, "1 2 3 zz=1");
	g.d.exact = false;
	cr_expect_eq(describe_bind(&g.d, &g.args, &arena, &binding, &e), 0);
	cr_expect_eq(g.args.positional_count, 3u);
	cr_expect_eq(g.args.keyword_count, 1u);
	cr_expect_eq(binding.given, 1u);
}

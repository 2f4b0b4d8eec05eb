/* compare_call.c - the arguments of two calls, by their labels. What is equal is one component, however
 * much is in it; of maps and short lists that differ, each part is looked at. References and files are
 * inputs wherever they stand. */
#include "broker/history/compare_walk.h"

#include "common/pure/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_PARTS_MAX 64 /* of lists whose parts are compared one by one */

struct pair {
	struct walk *walk;
	const struct compare_side *now;
	const struct arg *a, *b; /* either may be NULL */
};

static bool is_input(const struct arg *a)
{
	return a->type == ARG_REF || a->type == ARG_FILE;
}

/* Its number among the inputs of @now. */
static size_t input_number(const struct compare_side *now, const struct arg *a)
{
	size_t i = 0;
	while (i + 1 < now->args->input_count && now->args->inputs[i].offset != a->offset)
		i++;
	return i;
}

static void format(struct buf *out, const struct arg *a, struct component *c, bool is_now)
{
	if (!a)
		return;
	if (a->type == ARG_FILE)
		buf_add(out, a->data,
			a->size); /* its name: what it holds is told by digest */
	else if (a->type != ARG_REF)
		arg_format(out, a);
	const char *text = buf_cstr(out);
	if (is_now) {
		c->now = text;
		c->now_size = out->size;
	} else {
		c->old = text;
		c->old_size = out->size;
	}
}

static void leaf(const struct pair *p, const char *label, bool same)
{
	CLEANUP_BUF struct buf was = {0}, is = {0};
	const struct arg *a = p->a, *b = p->b;
	bool input = b ? is_input(b) : is_input(a);
	struct component c = {.what = input ? CASHET__CHANGE__WHAT__INPUT
					    : CASHET__CHANGE__WHAT__PARAM,
			      .name = label,
			      .has_old = a,
			      .has_now = b,
			      .same = same};
	if (input) {
		c.old_content = a && is_input(a) ? &a->content : NULL;
		c.now_content = b ? &b->content : NULL;
		c.input = b ? input_number(p->now, b) : 0;
	}
	if (p->walk->sink) {
		format(&was, a, &c, false);
		format(&is, b, &c, true);
	}
	compare_report(p->walk, &c);
}

static void compare_values(struct walk *w, const struct compare_side *now,
			   const struct arg *a, const struct arg *b, struct buf *label);

static void part(struct walk *w, const struct compare_side *now, const struct arg *a,
		 const struct arg *b, struct buf *label, const char *name, size_t number)
{
	size_t before = label->size;
	if (name)
		buf_printf(label, "%s%s", before ? "." : "", name);
	else
		buf_printf(label, before ? "[%zu]" : "%zu", number);
	compare_values(w, now, a, b, label);
	label->size = before;
}

static int name_order(const struct arg *a, const struct arg *b)
{
	return cbor_key_order(a->name, a->name_size, b->name, b->name_size);
}

/* Both in the order of their bytes. */
static void compare_maps(struct walk *w, const struct compare_side *now,
			 const struct arg *a, size_t a_count, const struct arg *b,
			 size_t b_count, struct buf *label)
{
	for (size_t i = 0, k = 0; (i < a_count || k < b_count) && !compare_enough(w);) {
		int order = i == a_count   ? 1
			    : k == b_count ? -1
					   : name_order(&a[i], &b[k]);
		part(w, now, order <= 0 ? &a[i] : NULL, order >= 0 ? &b[k] : NULL, label,
		     order <= 0 ? a[i].name : b[k].name, 0);
		i += order <= 0;
		k += order >= 0;
	}
}

static void compare_lists(struct walk *w, const struct compare_side *now,
			  const struct arg *a, size_t a_count, const struct arg *b,
			  size_t b_count, struct buf *label)
{
	for (size_t i = 0; (i < a_count || i < b_count) && !compare_enough(w); i++)
		part(w, now, i < a_count ? &a[i] : NULL, i < b_count ? &b[i] : NULL,
		     label, NULL, i);
}

static void compare_values(struct walk *w, const struct compare_side *now,
			   const struct arg *a, const struct arg *b, struct buf *label)
{
	struct pair p = {w, now, a, b};
	bool same = a && b && arg_equal(a, b);
	if (!same && a && b && a->type == ARG_MAP && b->type == ARG_MAP)
		compare_maps(w, now, a->items, a->count, b->items, b->count, label);
	else if (!same && a && b && a->type == ARG_LIST && b->type == ARG_LIST &&
		 a->count == b->count && a->count <= LIST_PARTS_MAX)
		compare_lists(w, now, a->items, a->count, b->items, b->count, label);
	else
		leaf(&p, buf_cstr(label), same);
}

void compare_call_args(struct walk *w, const struct compare_side *old,
		       const struct compare_side *now)
{
	CLEANUP_BUF struct buf label = {0};
	const struct call_args *a = old->args->call, *b = now->args->call;
	compare_lists(w, now, a->positional, a->positional_count, b->positional,
		      b->positional_count, &label);
	if (!compare_enough(w))
		compare_maps(w, now, a->keywords, a->keyword_count, b->keywords,
			     b->keyword_count, &label);
}

/* compare_walk.h - the walk over two sides, which compare.c and compare_call.c share. */
#pragma once

#include "broker/history/compare.h"

struct walk {
	const struct compare_sink *sink;     /* NULL: only count */
	unsigned function, differing, limit; /* see weigh() */
};

struct component {
	Cashet__Change__What what;
	const char *name;
	bool has_old, has_now, same;
	const char *old, *now; /* as text, or NULL */
	size_t old_size, now_size;
	const struct content *old_content, *now_content;
	size_t input; /* its number, INPUT only */
};

void compare_report(struct walk *w, const struct component *c);
/** compare_text() - two texts, either of which may be missing. */
void compare_text(struct walk *w, Cashet__Change__What what, const char *name,
		  const char *old, const char *now);
static inline bool compare_enough(const struct walk *w)
{
	return w->differing >= w->limit;
}

/* ---- compare_call.c ---- */

/** compare_call_args() - both sides have arguments of calls. */
void compare_call_args(struct walk *w, const struct compare_side *old,
		       const struct compare_side *now);

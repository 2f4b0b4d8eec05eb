/* script.c - see script.h. Items are marked as gone (of @a) or new (of @b); hunks are the runs of
 * marks. A piece is a range of both sides; pieces to be searched lie on a stack of their own. */
#include "client/diff/script.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LEVELS_MAX 8 /* how often a piece may be cut */
#define NOWHERE (-0x40000000)

struct piece {
	uint32_t a, a_end, b, b_end;
	uint32_t level;
};

struct search {
	const uint32_t *a, *b;
	bool *gone, *fresh;
	struct piece *todo;
	size_t todo_count, todo_capacity;
	int32_t *trace; /* what the search reached at each cost, one behind the other */
};

void script_fini(struct script *s)
{
	free(s->hunks);
	*s = (struct script){0};
}

static int push(struct search *s, const struct piece *piece)
{
	if (s->todo_count == s->todo_capacity) {
		size_t capacity = s->todo_capacity ? 2 * s->todo_capacity : 16;
		struct piece *todo = reallocarray(s->todo, capacity, sizeof *todo);
		if (!todo)
			return -ENOMEM;
		s->todo = todo;
		s->todo_capacity = capacity;
	}
	s->todo[s->todo_count++] = *piece;
	return 0;
}

static void mark(struct search *s, const struct piece *p)
{
	memset(s->gone + p->a, true, p->a_end - p->a);
	memset(s->fresh + p->b, true, p->b_end - p->b);
}

static void trim(const struct search *s, struct piece *p)
{
	while (p->a < p->a_end && p->b < p->b_end && s->a[p->a] == s->b[p->b]) {
		p->a++;
		p->b++;
	}
	while (p->a < p->a_end && p->b < p->b_end &&
	       s->a[p->a_end - 1] == s->b[p->b_end - 1]) {
		p->a_end--;
		p->b_end--;
	}
}

/* ---- Myers: how far one gets on each diagonal k = x - y with d changes ---- */

/* The row of cost @d begins at d * d and has 2 * d + 1 places, of which every other one is used. */
static int32_t *row(const struct search *s, int32_t d)
{
	return s->trace + (size_t)d * (size_t)d + (size_t)d;
}

/* Where one gets on diagonal @k with the change that makes it @d: one item gone (to the right) or one
 * new (down), whichever leads further. Return: x, or NOWHERE. */
static int32_t step(const struct search *s, const struct piece *p, int32_t d, int32_t k,
		    bool *downp)
{
	*downp = false;
	if (d == 0)
		return 0;
	const int32_t *before = row(s, d - 1);
	int32_t right = k > -d && before[k - 1] >= 0 ? before[k - 1] + 1 : NOWHERE;
	int32_t down = k < d ? before[k + 1] : NOWHERE;
	if (right > (int32_t)(p->a_end - p->a))
		right = NOWHERE;
	if (down - k > (int32_t)(p->b_end - p->b))
		down = NOWHERE;
	*downp = down >= right;
	return *downp ? down : right;
}

/* From the end back to the start, marking what is not on a diagonal. */
static void walk_back(const struct search *s, const struct piece *p, int32_t d)
{
	int32_t k = (int32_t)(p->a_end - p->a) - (int32_t)(p->b_end - p->b);
	for (; d > 0; d--) {
		bool down;
		int32_t x = step(s, p, d, k, &down);
		if (down) /* from (x, y - 1), where y is x - k */
			s->fresh[p->b + (uint32_t)(x - k - 1)] = true;
		else
			s->gone[p->a + (uint32_t)(x - 1)] = true;
		k += down ? 1 : -1;
	}
}

/* Return: true if the piece was solved within the limit. */
static bool search_piece(const struct search *s, const struct piece *p)
{
	int32_t n = (int32_t)(p->a_end - p->a), m = (int32_t)(p->b_end - p->b);
	for (int32_t d = 0; d <= SCRIPT_COST_MAX && d <= n + m; d++) {
		int32_t *here = row(s, d);
		for (int32_t k = -d; k <= d; k += 2) {
			bool down;
			int32_t x = step(s, p, d, k, &down), y = x - k;
			while (x >= 0 && x < n && y < m &&
			       s->a[p->a + (uint32_t)x] == s->b[p->b + (uint32_t)y]) {
				x++;
				y++;
			}
			here[k] = x;
			if (x == n && y == m) {
				walk_back(s, p, d);
				return true;
			}
		}
	}
	return false;
}

/* ---- cutting at items that both sides have once ---- */

struct anchor {
	uint32_t item, a, b; /* places; a_count, b_count of occurrences are kept apart */
	uint32_t a_count, b_count;
};

static int by_item(const void *x, const void *y)
{
	const struct anchor *a = x, *b = y;
	return a->item < b->item ? -1 : a->item > b->item;
}

static int by_place(const void *x, const void *y)
{
	const struct anchor *a = x, *b = y;
	return a->a < b->a ? -1 : a->a > b->a;
}

/* The anchors of @p in order of their place in a: items that are there once on both sides. */
static int find_anchors(const struct search *s, const struct piece *p,
			struct anchor **anchorsp, size_t *countp)
{
	size_t total = (p->a_end - p->a) + (p->b_end - p->b), kept = 0;
	struct anchor *all = calloc(total + 1, sizeof *all);
	if (!all)
		return -ENOMEM;
	size_t count = 0;
	for (uint32_t i = p->a; i < p->a_end; i++)
		all[count++] = (struct anchor){.item = s->a[i], .a = i, .a_count = 1};
	for (uint32_t i = p->b; i < p->b_end; i++)
		all[count++] = (struct anchor){.item = s->b[i], .b = i, .b_count = 1};
	qsort(all, count, sizeof *all, by_item);
	for (size_t i = 0, next; i < count; i = next) {
		struct anchor sum = {.item = all[i].item};
		for (next = i; next < count && all[next].item == sum.item; next++) {
			sum.a += all[next].a;
			sum.b += all[next].b;
			sum.a_count += all[next].a_count;
			sum.b_count += all[next].b_count;
		}
		if (sum.a_count == 1 && sum.b_count == 1)
			all[kept++] = sum;
	}
	qsort(all, kept, sizeof *all, by_place);
	*anchorsp = all;
	*countp = kept;
	return 0;
}

/* Keep the longest run of anchors whose places ascend in b too. Return: their number, or -ENOMEM. */
static int64_t ascending(struct anchor *anchors, size_t count)
{
	size_t *tails = calloc(count + 1, sizeof *tails),
	       *before = calloc(count + 1, sizeof *before), length = 0;
	if (!tails || !before) {
		free(tails);
		free(before);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		size_t low = 0, high = length;
		while (low < high) {
			size_t middle = low + (high - low) / 2;
			if (anchors[tails[middle]].b < anchors[i].b)
				low = middle + 1;
			else
				high = middle;
		}
		before[i] = low ? tails[low - 1] : SIZE_MAX;
		tails[low] = i;
		if (low == length)
			length++;
	}
	/* Mark the chain from its end, then pull it together. */
	for (size_t i = length ? tails[length - 1] : SIZE_MAX; i != SIZE_MAX;
	     i = before[i])
		anchors[i].item = UINT32_MAX;
	size_t kept = 0;
	for (size_t i = 0; i < count; i++)
		if (anchors[i].item == UINT32_MAX)
			anchors[kept++] = anchors[i];
	free(tails);
	free(before);
	return (int64_t)kept;
}

/* Return: 1 cut, 0 there is nowhere to cut, -ENOMEM. */
static int cut(struct search *s, const struct piece *p)
{
	struct anchor *anchors = NULL;
	size_t found = 0;
	if (p->level == LEVELS_MAX)
		return 0;
	int rc = find_anchors(s, p, &anchors, &found);
	int64_t count = rc ? rc : ascending(anchors, found);
	struct piece part = {.a = p->a, .b = p->b, .level = p->level + 1};
	rc = count < 0 ? (int)count : 0;
	for (int64_t i = 0; rc == 0 && i < count; i++) {
		part.a_end = anchors[i].a;
		part.b_end = anchors[i].b;
		rc = push(s, &part);
		part.a = part.a_end + 1;
		part.b = part.b_end + 1;
	}
	part.a_end = p->a_end;
	part.b_end = p->b_end;
	if (rc == 0 && count > 0)
		rc = push(s, &part);
	free(anchors);
	return rc ? rc : count > 0;
}

static int solve(struct search *s)
{
	while (s->todo_count) {
		struct piece p = s->todo[--s->todo_count];
		trim(s, &p);
		if (p.a == p.a_end || p.b == p.b_end) {
			mark(s, &p);
			continue;
		}
		if (search_piece(s, &p))
			continue;
		int rc = cut(s, &p);
		if (rc < 0)
			return rc;
		if (rc == 0)
			mark(s, &p);
	}
	return 0;
}

static int add_hunk(struct script *s, const struct script_hunk *hunk)
{
	if (s->count == s->capacity) {
		size_t capacity = s->capacity ? 2 * s->capacity : 16;
		struct script_hunk *hunks =
			reallocarray(s->hunks, capacity, sizeof *hunks);
		if (!hunks)
			return -ENOMEM;
		s->hunks = hunks;
		s->capacity = capacity;
	}
	s->hunks[s->count++] = *hunk;
	return 0;
}

static int gather(struct script *out, const struct search *s, uint32_t a_count,
		  uint32_t b_count)
{
	uint32_t a = 0, b = 0;
	while (a < a_count || b < b_count) {
		struct script_hunk hunk = {.a_first = a, .b_first = b};
		while (a < a_count && s->gone[a])
			a++;
		while (b < b_count && s->fresh[b])
			b++;
		hunk.a_count = a - hunk.a_first;
		hunk.b_count = b - hunk.b_first;
		if (!hunk.a_count && !hunk.b_count) {
			a++;
			b++;
		} else if (add_hunk(out, &hunk)) {
			return -ENOMEM;
		}
	}
	return 0;
}

int script_make(struct script *out, const uint32_t *a, uint32_t a_count,
		const uint32_t *b, uint32_t b_count)
{
	struct search s = {.a = a, .b = b};
	size_t cost = (size_t)a_count + b_count;
	if (cost > SCRIPT_COST_MAX)
		cost = SCRIPT_COST_MAX;
	*out = (struct script){0};
	s.gone = calloc((size_t)a_count + 1, sizeof *s.gone);
	s.fresh = calloc((size_t)b_count + 1, sizeof *s.fresh);
	s.trace = calloc((cost + 1) * (cost + 1), sizeof *s.trace);
	struct piece all = {.a_end = a_count, .b_end = b_count};
	int rc = s.gone && s.fresh && s.trace ? push(&s, &all) : -ENOMEM;
	if (rc == 0)
		rc = solve(&s);
	if (rc == 0)
		rc = gather(out, &s, a_count, b_count);
	if (rc)
		script_fini(out);
	free(s.gone);
	free(s.fresh);
	free(s.trace);
	free(s.todo);
	return rc;
}

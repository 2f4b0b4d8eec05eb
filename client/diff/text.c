/* text.c - see text.h. Lines get numbers by a hash table, equal lines the same one; a last line
 * without its end is another line than the same text with one. */
#include "client/diff/text.h"

#include "common/pure/utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONTEXT 3

bool text_is_text(const void *data, size_t size)
{
	return size <= TEXT_DIFF_MAX && !memchr(size ? data : "", '\0', size) &&
	       utf8_valid(size ? data : "", size);
}

int text_split(const void *data, size_t size, struct text_line **linesp, uint32_t *countp)
{
	const char *at = size ? data : "", *end = at + size;
	uint32_t count = 0;
	for (const char *p = at; p < end; count++) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));
		p = stop ? stop + 1 : end;
	}
	struct text_line *lines = calloc((size_t)count + 1, sizeof *lines);
	if (!lines)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		lines[i] = (struct text_line){.text = at,
					      .size = (size_t)((stop ? stop : end) - at),
					      .ended = stop != NULL};
		at = stop ? stop + 1 : end;
	}
	*linesp = lines;
	*countp = count;
	return 0;
}

/* ---- numbers for lines ---- */

struct numbers {
	const struct text_line **lines; /* by place; NULL: empty */
	uint32_t *numbers;
	size_t places;
	uint32_t next;
};

static uint64_t hash_line(const struct text_line *line)
{
	uint64_t h = 0xcbf29ce484222325ull + line->ended;
	for (size_t i = 0; i < line->size; i++)
		h = (h ^ (uint8_t)line->text[i]) * 0x100000001b3ull;
	return h ^ h >> 29;
}

static bool same_line(const struct text_line *a, const struct text_line *b)
{
	return a->size == b->size && a->ended == b->ended &&
	       !memcmp(a->text, b->text, a->size);
}

static uint32_t number_of(struct numbers *n, const struct text_line *line)
{
	size_t at = hash_line(line) & (n->places - 1);
	while (n->lines[at] && !same_line(n->lines[at], line))
		at = (at + 1) & (n->places - 1);
	if (!n->lines[at]) {
		n->lines[at] = line;
		n->numbers[at] = n->next++;
	}
	return n->numbers[at];
}

static int make_script(struct text_diff *d)
{
	size_t total = (size_t)d->a_count + d->b_count;
	struct numbers n = {.places = 64};
	while (n.places < 2 * total)
		n.places *= 2;
	n.lines = calloc(n.places, sizeof(struct text_line *));
	n.numbers = calloc(n.places, sizeof *n.numbers);
	uint32_t *items = calloc(total + 1, sizeof *items);
	int rc = -ENOMEM;
	if (n.lines && n.numbers && items) {
		for (uint32_t i = 0; i < d->a_count; i++)
			items[i] = number_of(&n, &d->a[i]);
		for (uint32_t i = 0; i < d->b_count; i++)
			items[d->a_count + i] = number_of(&n, &d->b[i]);
		rc = script_make(&d->script, items, d->a_count, items + d->a_count,
				 d->b_count);
	}
	free(n.lines);
	free(n.numbers);
	free(items);
	return rc;
}

int text_diff_make(struct text_diff *d, const void *a, size_t a_size, const void *b,
		   size_t b_size)
{
	*d = (struct text_diff){0};
	int rc = text_split(a, a_size, &d->a, &d->a_count);
	if (rc == 0)
		rc = text_split(b, b_size, &d->b, &d->b_count);
	if (rc == 0)
		rc = make_script(d);
	if (rc)
		text_diff_fini(d);
	return rc;
}

void text_diff_fini(struct text_diff *d)
{
	free(d->a);
	free(d->b);
	script_fini(&d->script);
	*d = (struct text_diff){0};
}

/* ---- rendering ---- */

static void add_lines(struct buf *out, char sign, const struct text_line *lines,
		      uint32_t first, uint32_t count)
{
	for (uint32_t i = first; i < first + count; i++) {
		buf_add_byte(out, (uint8_t)sign);
		buf_add(out, lines[i].text, lines[i].size);
		buf_add_str(out, lines[i].ended ? "\n" : "\n\\ no line end\n");
	}
}

/* As diff(1) counts: an empty range is named by the line before it. */
static void add_range(struct buf *out, char sign, uint32_t first, uint32_t count)
{
	buf_printf(out, "%c%u", sign, count ? first + 1 : first);
	if (count != 1)
		buf_printf(out, ",%u", count);
}

/* Hunks [first, last) are near enough to share their surroundings. */
static void render_group(struct buf *out, const struct text_diff *d, size_t first,
			 size_t last)
{
	const struct script_hunk *h = d->script.hunks, *end = &h[last - 1];
	uint32_t before = h[first].a_first < CONTEXT ? h[first].a_first : CONTEXT;
	uint32_t rest = d->a_count - (end->a_first + end->a_count);
	uint32_t after = rest < CONTEXT ? rest : CONTEXT;
	uint32_t a = h[first].a_first - before, b = h[first].b_first - before;
	buf_add_str(out, "@@ ");
	add_range(out, '-', a, end->a_first + end->a_count + after - a);
	buf_add_byte(out, ' ');
	add_range(out, '+', b, end->b_first + end->b_count + after - b);
	buf_add_str(out, " @@\n");
	for (size_t i = first; i < last; i++) {
		add_lines(out, ' ', d->a, a, h[i].a_first - a);
		add_lines(out, '-', d->a, h[i].a_first, h[i].a_count);
		add_lines(out, '+', d->b, h[i].b_first, h[i].b_count);
		a = h[i].a_first + h[i].a_count;
	}
	add_lines(out, ' ', d->a, a, after);
}

void text_diff_render(struct buf *out, const struct text_diff *d, const char *a_name,
		      const char *b_name)
{
	const struct script *s = &d->script;
	if (s->count && a_name && b_name)
		buf_printf(out, "--- %s\n+++ %s\n", a_name, b_name);
	for (size_t i = 0, next; i < s->count; i = next) {
		for (next = i + 1; next < s->count; next++) {
			const struct script_hunk *last = &s->hunks[next - 1];
			if (s->hunks[next].a_first - (last->a_first + last->a_count) >
			    2 * CONTEXT)
				break;
		}
		render_group(out, d, i, next);
	}
}

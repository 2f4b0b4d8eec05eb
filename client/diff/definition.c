/* definition.c - see definition.h. */
#include "client/diff/definition.h"

#include "client/diff/code.h"

#include <string.h>

#define RANGES_MAX 4

static size_t indent_of(const struct text_line *line)
{
	size_t at = 0;
	while (at < line->size && (line->text[at] == ' ' || line->text[at] == '\t'))
		at++;
	return at;
}

static bool is_blank(const struct text_line *line)
{
	size_t at = indent_of(line);
	return at == line->size || line->text[at] == '\r';
}

/* Nothing, or a comment alone. */
static bool is_idle(const struct text_line *line, bool python)
{
	size_t at = indent_of(line);
	const char *text = line->text + at;
	size_t left = line->size - at;
	if (is_blank(line))
		return true;
	if (python)
		return *text == '#';
	return left > 1 && ((*text == '/' && (text[1] == '/' || text[1] == '*')) ||
			    (*text == '*' && (text[1] == '/' || text[1] == ' ')));
}

static uint32_t end_of_python(const struct text_line *lines, uint32_t count,
			      uint32_t first)
{
	size_t indent = indent_of(&lines[first]);
	uint32_t at = first;
	while (at + 1 < count && lines[at].size > indent &&
	       lines[at].text[indent] == '@') /* decorators */
		at++;
	for (at++; at < count; at++) {
		if (is_blank(&lines[at]) || indent_of(&lines[at]) > indent)
			continue;
		if (!strchr(")]}", lines[at].text[indent_of(&lines[at])]))
			break;
	}
	return at;
}

static uint32_t end_of_c(const struct text_line *lines, uint32_t count, uint32_t first)
{
	bool macro = lines[first].size && lines[first].text[0] == '#', open = false;
	for (uint32_t at = first; at < count; at++) {
		const struct text_line *l = &lines[at];
		char last = l->size ? l->text[l->size - 1] : ' ';
		open = open || memchr(l->text, '{', l->size);
		if (macro ? last != '\\'
			  : (open && l->size && l->text[0] == '}') ||
				    (!open && last == ';') ||
				    (open && at == first && last == '}'))
			return at + 1;
	}
	return count;
}

/* Lines [first, end) of a definition, from 0. */
static void range_of(const struct text_line *lines, uint32_t count,
		     const struct source_definition *d, bool python, uint32_t *firstp,
		     uint32_t *endp)
{
	bool whole = !d->line || d->line > count || !strcmp(d->kind, "script") ||
		     !strcmp(d->kind, "effects") || !strcmp(d->kind, "module");
	*firstp = whole ? 0 : d->line - 1;
	*endp = whole	 ? count
		: python ? end_of_python(lines, count, *firstp)
			 : end_of_c(lines, count, *firstp);
}

static bool idle_hunk(const struct text_diff *d, const struct script_hunk *h, bool python)
{
	for (uint32_t i = 0; i < h->a_count; i++)
		if (!is_idle(&d->a[h->a_first + i], python))
			return false;
	for (uint32_t i = 0; i < h->b_count; i++)
		if (!is_idle(&d->b[h->b_first + i], python))
			return false;
	return true;
}

/* Of a script: the function that all its changes are in. */
static void note_function(const struct text_diff *d, const struct script_hunk *h,
			  const char *path, bool first, char name[CODE_NAME_MAX])
{
	char found[CODE_NAME_MAX];
	if (h->b_count)
		code_function(path, d->b, d->b_count, h->b_first, found);
	else
		code_function(path, d->a, d->a_count, h->a_first, found);
	if (first)
		memcpy(name, found, CODE_NAME_MAX);
	else if (strcmp(name, found) != 0)
		*name = '\0';
}

static bool is_python(const char *path)
{
	const char *dot = strrchr(path, '.');
	return dot && !strncmp(dot, ".py", 3);
}

bool source_lines(struct buf *out, const struct text_diff *d,
		  const struct source_definition *old,
		  const struct source_definition *now)
{
	bool python = is_python(now->path);
	uint32_t a_first, a_end, b_first, b_end, count = 0, last = 0;
	char function[CODE_NAME_MAX] = "";
	CLEANUP_BUF struct buf lines = {0};
	range_of(d->a, d->a_count, old, python, &a_first, &a_end);
	range_of(d->b, d->b_count, now, python, &b_first, &b_end);
	for (size_t i = 0; i < d->script.count; i++) {
		const struct script_hunk *h = &d->script.hunks[i];
		bool in =
			h->b_count
				? h->b_first < b_end && h->b_first + h->b_count > b_first
				: h->a_first < a_end && h->a_first + h->a_count > a_first;
		if (!in || idle_hunk(d, h, python))
			continue;
		if (strcmp(now->kind, "script") == 0)
			note_function(d, h, now->path, !count, function);
		if (++count > RANGES_MAX) {
			buf_add_str(&lines, ", ...");
			break;
		}
		uint32_t first = h->b_first < b_first ? b_first : h->b_first;
		last = h->b_count ? h->b_first + h->b_count : first + 1;
		last = last > b_end ? b_end : last;
		buf_printf(&lines, "%s%u", count > 1 ? ", " : "", first + 1);
		if (last > first + 1)
			buf_printf(&lines, "-%u", last);
		last -= first;
	}
	if (lines.size && *function)
		buf_printf(out, ":%s()", function);
	if (lines.size)
		buf_printf(out, "  line%s %s", count > 1 || last > 1 ? "s" : "",
			   buf_cstr(&lines));
	return lines.size > 0;
}

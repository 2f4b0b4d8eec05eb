/* code.c - see code.h. */
#include "client/diff/code.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum language { LANGUAGE_OTHER, LANGUAGE_PYTHON, LANGUAGE_C, LANGUAGE_SHELL };

static enum language language_of(const char *path)
{
	static const struct {
		const char *suffix;
		enum language language;
	} rows[] = {
		{".py", LANGUAGE_PYTHON}, {".pyi", LANGUAGE_PYTHON},
		{".c", LANGUAGE_C},	  {".h", LANGUAGE_C},
		{".cc", LANGUAGE_C},	  {".cpp", LANGUAGE_C},
		{".cxx", LANGUAGE_C},	  {".hpp", LANGUAGE_C},
		{".cu", LANGUAGE_C},	  {".js", LANGUAGE_C},
		{".ts", LANGUAGE_C},	  {".go", LANGUAGE_C},
		{".rs", LANGUAGE_C},	  {".java", LANGUAGE_C},
		{".sh", LANGUAGE_SHELL},  {".bash", LANGUAGE_SHELL},
	};
	const char *dot = strrchr(path, '.');
	for (size_t i = 0; dot && i < ARRAY_LEN(rows); i++)
		if (strcmp(dot, rows[i].suffix) == 0)
			return rows[i].language;
	return LANGUAGE_OTHER;
}

/* ---- without comments and superfluous white space ---- */

struct plain { /* writes the text that counts */
	struct buf *out;
	bool space; /* white space is due before the next character */
	bool line;  /* a line end is due */
};

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* Between two characters of words white space counts, elsewhere it does not. */
static void put(struct plain *p, char c)
{
	if (p->line && p->out->size)
		buf_add_byte(p->out, '\n');
	else if (p->space && p->out->size &&
		 is_word((char)p->out->data[p->out->size - 1]) && is_word(c))
		buf_add_byte(p->out, ' ');
	p->line = p->space = false;
	buf_add_byte(p->out, (uint8_t)c);
}

/* A string literal from @at to behind its end, as it is. */
static const char *put_string(struct plain *p, const char *at, const char *end,
			      bool triple)
{
	char quote = *at;
	size_t width = triple ? 3 : 1;
	for (size_t i = 0; i < width; i++)
		put(p, *at++);
	while (at < end) {
		bool closes =
			*at == quote &&
			(!triple || (end - at >= 3 && at[1] == quote && at[2] == quote));
		if (*at == '\\' && end - at > 1) {
			buf_add(p->out, at, 2);
			at += 2;
			continue;
		}
		if (closes) {
			buf_add(p->out, at, width);
			return at + width;
		}
		if (*at == '\n' && !triple)
			return at; /* not closed: an apostrophe in some text */
		buf_add_byte(p->out, (uint8_t)*at++);
	}
	return at;
}

static bool is_triple(const char *at, const char *end)
{
	return end - at >= 3 && at[1] == at[0] && at[2] == at[0];
}

static const char *line_end(const char *at, const char *end)
{
	const char *stop = memchr(at, '\n', (size_t)(end - at));
	return stop ? stop : end;
}

/* Indentation is part of Python's syntax; blank lines and those with a comment only are not. */
static void plain_python(struct buf *out, const char *at, const char *end)
{
	struct plain p = {.out = out};
	bool starts = true;
	while (at < end) {
		if (starts) {
			const char *text = at;
			while (text < end && (*text == ' ' || *text == '\t'))
				text++;
			starts = false;
			if (text == end || *text == '\n' || *text == '\r' ||
			    *text == '#') {
				at = text;
			} else {
				p.line = true;
				if (text > at) { /* put() would drop it */
					put(&p, *at);
					buf_add(out, at + 1, (size_t)(text - at - 1));
				}
				at = text;
				continue;
			}
		} else if (*at == '#') {
			at = line_end(at, end);
		} else if (*at == '"' || *at == '\'') {
			at = put_string(&p, at, end, is_triple(at, end));
		} else if (*at == '\n') {
			p.space = false;
			starts = true;
			at++;
		} else if (isspace((unsigned char)*at)) {
			p.space = true;
			at++;
		} else {
			put(&p, *at++);
		}
	}
}

/* Line ends count on lines of the preprocessor only. */
static void plain_c(struct buf *out, const char *at, const char *end)
{
	struct plain p = {.out = out};
	bool starts = true, directive = false;
	while (at < end) {
		if (*at == '/' && end - at > 1 && at[1] == '/') {
			at = line_end(at, end);
		} else if (*at == '/' && end - at > 1 && at[1] == '*') {
			at += 2;
			while (at < end && !(*at == '*' && end - at > 1 && at[1] == '/'))
				at++;
			at = end - at >= 2 ? at + 2 : end;
			p.space = true;
		} else if (*at == '"' || *at == '\'' || *at == '`') {
			at = put_string(&p, at, end, false);
			starts = false;
		} else if (*at == '\n') {
			bool goes_on = directive && at[-1] == '\\';
			p.line = p.line || (directive && !goes_on);
			p.space = true;
			directive = directive && goes_on;
			starts = true;
			at++;
		} else if (isspace((unsigned char)*at)) {
			p.space = true;
			at++;
		} else {
			if (starts && *at == '#') {
				directive = true;
				p.line = true;
			}
			starts = false;
			put(&p, *at++);
		}
	}
}

static bool only_comments(enum language language, const char *a, size_t a_size,
			  const char *b, size_t b_size)
{
	CLEANUP_BUF struct buf old = {0}, now = {0};
	if (language != LANGUAGE_PYTHON && language != LANGUAGE_C)
		return false;
	void (*plain)(struct buf *, const char *, const char *) =
		language == LANGUAGE_PYTHON ? plain_python : plain_c;
	plain(&old, a, a + a_size);
	plain(&now, b, b + b_size);
	return !old.failed && !now.failed && old.size == now.size &&
	       !memcmp(old.size ? old.data : (uint8_t *)"",
		       now.size ? now.data : (uint8_t *)"", old.size);
}

/* ---- which function a line is in ---- */

static size_t indent_of(const struct text_line *line)
{
	size_t width = 0;
	for (size_t i = 0; i < line->size; i++) {
		if (line->text[i] == '\t')
			width = (width / 8 + 1) * 8;
		else if (line->text[i] == ' ')
			width++;
		else
			return width;
	}
	return SIZE_MAX; /* blank */
}

static const char *skip_word(const char *at, const char *end, const char *word)
{
	size_t size = strlen(word);
	if ((size_t)(end - at) <= size || memcmp(at, word, size) || is_word(at[size]))
		return NULL;
	for (at += size; at < end && (*at == ' ' || *at == '\t');)
		at++;
	return at;
}

static size_t name_size(const char *at, const char *end)
{
	size_t size = 0;
	while (at + size < end && is_word(at[size]))
		size++;
	return size;
}

/* "Outer." in front of what is there, since the search goes outwards. */
static void prepend(char name[CODE_NAME_MAX], const char *text, size_t size)
{
	char rest[CODE_NAME_MAX];
	memcpy(rest, name, sizeof rest);
	snprintf(name, CODE_NAME_MAX, "%.*s%s%.*s", (int)(size > 60 ? 60 : size), text,
		 *rest ? "." : "", 60, rest);
}

static void find_python(const struct text_line *lines, uint32_t count, uint32_t line,
			char name[CODE_NAME_MAX])
{
	size_t limit = SIZE_MAX;
	for (uint32_t i = line; limit == SIZE_MAX && i < count; i++)
		limit = indent_of(&lines[i]);
	if (limit == SIZE_MAX)
		return;
	limit++; /* the line itself may be a def */
	for (uint32_t i = line + 1; i-- > 0 && limit > 0;) {
		const char *at = lines[i].text, *end = at + lines[i].size;
		size_t indent = indent_of(&lines[i]);
		if (indent >= limit)
			continue;
		while (at < end && (*at == ' ' || *at == '\t'))
			at++;
		if (*at == '#')
			continue;
		limit = indent;
		const char *after = skip_word(at, end, "async");
		at = after ? after : at;
		after = skip_word(at, end, "def");
		after = after ? after : skip_word(at, end, "class");
		if (after && name_size(after, end))
			prepend(name, after, name_size(after, end));
	}
}

static bool is_keyword(const char *text, size_t size)
{
	static const char *const words[] = {"if",     "for",	"while", "switch",
					    "return", "sizeof", "else",	 "do",
					    "case",   "defined"};
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strlen(words[i]) == size && !memcmp(words[i], text, size))
			return true;
	return false;
}

/* The name before the first "(" of a line at column 0 that does not end in ";": the head of a
 * function as nearly everybody writes it. */
static size_t c_head(const struct text_line *line, const char **namep)
{
	const char *at = line->text, *end = at + line->size;
	if (at == end || !(is_word(*at) || *at == '~') || end[-1] == ';' ||
	    end[-1] == ':')
		return 0;
	const char *open = memchr(at, '(', (size_t)(end - at));
	if (!open)
		return 0;
	if (skip_word(at, end, "func") == open) { /* Go: func (r *T) name( */
		const char *close = memchr(open, ')', (size_t)(end - open));
		open = close ? memchr(close, '(', (size_t)(end - close)) : NULL;
	}
	if (!open || memchr(at, '=', (size_t)(open - at)))
		return 0;
	const char *stop = open;
	while (stop > at && stop[-1] == ' ')
		stop--;
	const char *name = stop;
	while (name > at && is_word(name[-1]))
		name--;
	*namep = name;
	return is_keyword(name, (size_t)(stop - name)) ? 0 : (size_t)(stop - name);
}

static void find_c(const struct text_line *lines, uint32_t line, char name[CODE_NAME_MAX])
{
	for (uint32_t i = line + 1; i-- > 0;) {
		const char *found;
		size_t size = c_head(&lines[i], &found);
		if (size) {
			prepend(name, found, size);
			return;
		}
		if (i < line && lines[i].size && lines[i].text[0] == '}')
			return; /* the one before ended: this line is between two */
	}
}

static void find_function(enum language language, const struct text_line *lines,
			  uint32_t count, uint32_t line, char name[CODE_NAME_MAX])
{
	if (line >= count)
		return;
	if (language == LANGUAGE_PYTHON)
		find_python(lines, count, line, name);
	else if (language == LANGUAGE_C || language == LANGUAGE_SHELL)
		find_c(lines, line, name);
}

void code_function(const char *path, const struct text_line *lines, uint32_t count,
		   uint32_t line, char name[CODE_NAME_MAX])
{
	*name = '\0';
	find_function(language_of(path), lines, count, line, name);
}

/* ---- all of it ---- */

int code_look(struct code_look *look, const char *path, const void *a, size_t a_size,
	      const void *b, size_t b_size)
{
	enum language language = language_of(path);
	struct text_diff d;
	*look = (struct code_look){0};
	int rc = text_diff_make(&d, a, a_size, b, b_size);
	if (rc)
		return rc;
	for (size_t i = 0; i < d.script.count; i++) {
		const struct script_hunk *h = &d.script.hunks[i];
		if (look->range_count == CODE_RANGES_MAX) {
			look->more++;
			continue;
		}
		struct code_range *range = &look->ranges[look->range_count++];
		range->first = h->b_first + 1;
		range->last = h->b_first + (h->b_count ? h->b_count : 1);
		range->removed = !h->b_count;
		/* Of what is gone, the function that it was in. */
		if (h->b_count)
			find_function(language, d.b, d.b_count, h->b_first,
				      range->function);
		else
			find_function(language, d.a, d.a_count, h->a_first,
				      range->function);
	}
	look->only_comments =
		d.script.count && only_comments(language, a, a_size, b, b_size);
	text_diff_fini(&d);
	return 0;
}

static void add_lines(struct buf *out, const struct code_look *look, size_t first,
		      size_t last)
{
	bool one = last - first == 1 &&
		   look->ranges[first].first == look->ranges[first].last;
	bool removed = look->ranges[first].removed;
	buf_printf(out, "  line%s ", one ? "" : "s");
	for (size_t i = first; i < last; i++) {
		const struct code_range *r = &look->ranges[i];
		buf_printf(out, "%s%u", i > first ? ", " : "", r->first);
		if (r->last > r->first)
			buf_printf(out, "-%u", r->last);
		removed = removed && r->removed;
	}
	buf_add_str(out, removed ? " removed" : " changed");
}

void code_describe(struct buf *out, const struct code_look *look, const char *path)
{
	if (!look->range_count || look->only_comments) {
		buf_printf(out, "bytes of %s changed%s", path,
			   look->only_comments ? " (only comments/whitespace)" : "");
		return;
	}
	for (size_t i = 0, next; i < look->range_count; i = next) {
		const char *name = look->ranges[i].function;
		for (next = i + 1; next < look->range_count; next++)
			if (strcmp(look->ranges[next].function, name))
				break;
		if (i == 0)
			buf_add_str(out, path);
		else
			buf_add_str(out, "; ");
		if (*name)
			buf_printf(out, "%s%s()", i ? "" : ":", name);
		add_lines(out, look, i, next);
	}
	if (look->more)
		buf_printf(out, ", and %zu more places", look->more);
}

/* err.c - see err.h. Errors quote what strangers wrote (file names, task output), so whatever is
 * printed is escaped; the line breaks of a message of several lines are ours and stay. */
#include "common/err.h"

#include "common/json.h"
#include "common/pure/utf8.h"

#include <stdio.h>
#include <string.h>

/* Cut at a character's end when the text did not fit. */
PRINTF(3, 0) static void format(char *out, size_t size, const char *fmt, va_list args)
{
	int need = vsnprintf(out, size, fmt, args);
	if (need < 0)
		out[0] = '\0';
	if (need < (int)size)
		return;
	size_t end = size - 1, start = end;
	while (start > 0 && end - start < 3 && ((uint8_t)out[start] & 0xc0) != 0xc0)
		start--;
	if ((uint8_t)out[start] >= 0xc0 &&
	    !utf8_sequence((uint8_t *)out + start, end - start))
		out[start] = '\0';
}

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	if (!e)
		return code;
	/* Not written in place: the arguments may point into @e, to say more about it. */
	char what[sizeof e->what];
	va_list args;
	va_start(args, fmt);
	format(what, sizeof what, fmt, args);
	va_end(args);
	memcpy(e->what, what, sizeof what);
	e->code = code;
	e->next[0] = '\0';
	return code;
}

void err_next(struct err *e, const char *fmt, ...)
{
	if (!e)
		return;
	char next[sizeof e->next];
	va_list args;
	va_start(args, fmt);
	format(next, sizeof next, fmt, args);
	va_end(args);
	memcpy(e->next, next, sizeof next);
}

static void add_lines(struct buf *out, const char *text, const char *indent)
{
	for (;;) {
		size_t size = strcspn(text, "\n");
		buf_add_str(out, indent);
		text_escape(out, text, size);
		buf_add_byte(out, '\n');
		if (!text[size])
			return;
		text += size + 1;
	}
}

void err_print(const struct err *e, const char *program)
{
	CLEANUP_BUF struct buf out = {0};
	buf_printf(&out, "%s: ", program);
	add_lines(&out, e->what, "");
	if (e->next[0])
		add_lines(&out, e->next, "  ");
	fflush(stdout); /* the product first, so that a pipe of both reads in order */
	fputs(buf_cstr(&out), stderr);
}

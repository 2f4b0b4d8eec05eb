/* source.c - see source.h. */
#include "client/batch/source.h"

#include "common/fs.h"
#include "common/pure/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME_SHOWN 200	  /* bytes of the file's name in messages */
#define MESSAGE_SHOWN 380 /* bytes of the message; what is left is for the line */
#define COLUMNS_BEFORE 44 /* of the line, before the caret */
#define COLUMNS_SHOWN 76
#define LINE_SHOWN 280 /* bytes of the line at most: combining marks take no column */
#define TAB_WIDTH 8
#define READ_PIECE (256u << 10)

int source_no_memory(struct err *e)
{
	return err_set(e, ERR_FAILED,
		       "out of memory while the batch file was being read");
}

int source_open(const char *path, const char *name, int *fdp, struct err *e)
{
	if (!strcmp(path, "-")) {
		*fdp = STDIN_FILENO;
		return 0;
	}
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;
	if (fd < 0 && errno == ENOENT)
		return err_set(e, ERR_USAGE, "%s: there is no such file", name);
	if (fd < 0 || fstat(fd, &st) < 0) {
		int error = errno;
		if (fd >= 0)
			close(fd);
		return err_set(e, ERR_USAGE, "%s: cannot be read: %s", name,
			       strerror(error));
	}
	if (S_ISDIR(st.st_mode)) {
		close(fd);
		return err_set(e, ERR_USAGE, "%s: is a folder, not a batch file", name);
	}
	if (S_ISREG(st.st_mode) && st.st_size == 0) {
		close(fd);
		return err_set(e, ERR_USAGE, "%s: the file is empty", name);
	}
	*fdp = fd;
	return 0;
}

int source_read(int fd, const char *name, struct buf *out, struct err *e)
{
	for (;;) {
		uint8_t *to = buf_reserve(out, READ_PIECE);
		if (!to)
			return source_no_memory(e);
		int64_t n = fs_read_full(fd, to, READ_PIECE);
		if (n < 0)
			return err_set(e, ERR_USAGE, "%s: cannot be read: %s", name,
				       strerror((int)-n));
		out->size += (size_t)n;
		if (out->size > SOURCE_MAX) {
			err_set(e, ERR_USAGE, "%s: the file is larger than %u MiB", name,
				SOURCE_MAX >> 20);
			err_next(e,
				 "write generated sets as JSONL, which is not bounded");
			return ERR_USAGE;
		}
		if (n < READ_PIECE)
			return 0;
	}
}

static bool starts_with(const struct source_text *s, const char *bytes, size_t size)
{
	return s->size >= size && !memcmp(s->text, bytes, size);
}

int source_check(struct source_text *s, struct err *e)
{
	if (s->size == 0)
		return err_set(e, ERR_USAGE, "%s: the file is empty", s->name);
	if (starts_with(s, "\xef\xbb\xbf", 3)) {
		s->text += 3;
		s->size -= 3;
	}
	if (starts_with(s, "\xff\xfe", 2) || starts_with(s, "\xfe\xff", 2))
		return err_set(e, ERR_USAGE, "%s: the file is UTF-16; save it as UTF-8",
			       s->name);
	const char *nul = s->size ? memchr(s->text, 0, s->size) : NULL;
	if (nul)
		return err_set(e, ERR_USAGE, "%s: not a text file: byte %zu is zero",
			       s->name, (size_t)(nul - s->text));
	if (utf8_valid(s->text, s->size))
		return 0;
	size_t at = 0, step;
	while ((step = utf8_sequence((const uint8_t *)s->text + at, s->size - at)))
		at += step;
	return source_fail(s, at, e, "not a text file in UTF-8: byte 0x%02x",
			   (uint8_t)s->text[at]);
}

/* A file that ends with a line break ends there, not on an empty line behind it. */
static size_t settle(const struct source_text *s, size_t offset)
{
	if (offset > s->size)
		offset = s->size;
	if (offset == s->size && offset > 0 && s->text[offset - 1] == '\n')
		offset--;
	return offset;
}

void source_where(const struct source_text *s, size_t offset, uint64_t *line,
		  uint64_t *column)
{
	offset = settle(s, offset);
	*line = s->first_line;
	*column = 1;
	for (size_t i = 0; i < offset; i++) {
		if (s->text[i] == '\n') {
			++*line;
			*column = 1;
		} else if (((uint8_t)s->text[i] & 0xc0) != 0x80) {
			++*column;
		}
	}
}

/* Columns that a character takes on a terminal: Unicode's wide blocks 2, combining marks 0. */
static unsigned width_of(const uint8_t *at, size_t size)
{
	uint32_t c = at[0];
	if (size == 2)
		c = (c & 0x1f) << 6 | (at[1] & 0x3f);
	else if (size == 3)
		c = (c & 0xf) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3f);
	else if (size == 4)
		c = (c & 7) << 18 | (at[1] & 0x3fu) << 12 | (at[2] & 0x3fu) << 6 |
		    (at[3] & 0x3f);
	if ((c >= 0x300 && c < 0x370) || (c >= 0x200b && c < 0x2010) || c == 0xfe0f)
		return 0;
	bool wide = (c >= 0x1100 && c < 0x1160) || (c >= 0x2e80 && c < 0xa4d0) ||
		    (c >= 0xac00 && c < 0xd7a4) || (c >= 0xf900 && c < 0xfb00) ||
		    (c >= 0xfe30 && c < 0xfe70) || (c >= 0xff00 && c < 0xff61) ||
		    (c >= 0xffe0 && c < 0xffe7) || (c >= 0x1f300 && c < 0x1fb00) ||
		    (c >= 0x20000 && c < 0x3fffe);
	return wide ? 2 : 1;
}

static bool is_control(const uint8_t *at, size_t size)
{
	return at[0] < 0x20 || at[0] == 0x7f ||
	       (size == 2 && at[0] == 0xc2 && at[1] < 0xa0);
}

/* shown_from() - the first byte of the line that is shown, so that the caret is in sight. */
static size_t shown_from(const struct source_text *s, size_t line, size_t offset)
{
	size_t at = offset;
	unsigned columns = 0;
	while (at > line && columns < COLUMNS_BEFORE && offset - at < LINE_SHOWN / 2) {
		do
			at--;
		while (at > line && ((uint8_t)s->text[at] & 0xc0) == 0x80);
		columns += s->text[at] == '\t' ? TAB_WIDTH : 1;
	}
	return at;
}

/* show() - the line and the caret below it. */
static void show(const struct source_text *s, size_t offset, struct buf *out)
{
	size_t line = offset;
	while (line > 0 && s->text[line - 1] != '\n')
		line--;
	size_t at = shown_from(s, line, offset), start = out->size + 3;
	unsigned column = 0, caret = 0;
	buf_add_str(out, "\n  ");
	if (at > line) {
		buf_add_str(out, "...");
		column = 3;
	}
	for (; at < s->size && s->text[at] != '\n';) {
		const uint8_t *c = (const uint8_t *)s->text + at;
		size_t size = utf8_sequence(c, s->size - at);
		if (at == offset)
			caret = column;
		if (*c == '\r' && at + 1 < s->size && c[1] == '\n')
			break;
		if (column >= COLUMNS_SHOWN || out->size - start > LINE_SHOWN) {
			buf_add_str(out, "...");
			break;
		}
		unsigned width = 1;
		if (*c == '\t') {
			width = TAB_WIDTH - column % TAB_WIDTH;
			buf_printf(out, "%*s", (int)width, "");
		} else if (!size || is_control(c, size)) {
			buf_add_byte(out, '?');
		} else {
			width = width_of(c, size);
			buf_add(out, c, size);
		}
		column += width;
		at += size ? size : 1;
	}
	if (at <= offset)
		caret = column;
	buf_printf(out, "\n  %*s^", (int)caret, "");
}

/* What did not fit may end within a character. */
static void cut_at_character(char *text)
{
	const uint8_t *at = (const uint8_t *)text;
	size_t size = strlen(text), good = 0, step;
	while (good < size && (step = utf8_sequence(at + good, size - good)))
		good += step;
	text[good] = '\0';
}

int source_vfail(const struct source_text *s, size_t offset, struct err *e,
		 const char *fmt, va_list args)
{
	uint64_t line, column;
	offset = settle(s, offset);
	source_where(s, offset, &line, &column);
	char message[MESSAGE_SHOWN];
	if (vsnprintf(message, sizeof message, fmt, args) >= (int)sizeof message)
		cut_at_character(message);
	CLEANUP_BUF struct buf out = {0};
	const char *name = s->name;
	size_t name_size = strlen(name);
	if (name_size > NAME_SHOWN) {
		buf_add_str(&out, "...");
		name += name_size - NAME_SHOWN;
	}
	buf_printf(&out, "%s:%" PRIu64 ":%" PRIu64 ": %s", name, line, column, message);
	show(s, offset, &out);
	return err_set(e, ERR_USAGE, "%s", buf_cstr(&out));
}

int source_fail(const struct source_text *s, size_t offset, struct err *e,
		const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	int r = source_vfail(s, offset, e, fmt, args);
	va_end(args);
	return r;
}

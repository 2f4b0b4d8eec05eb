/* terminal.c - see terminal.h. */
#include "client/cli/terminal.h"

#include "common/fs.h"
#include "common/json.h"
#include "common/pure/utf8.h"

#include <errno.h>
#include <string.h>

/* Bytes at the end that may be the beginning of a character: at most three. */
static size_t unfinished(const uint8_t *data, size_t size)
{
	for (size_t back = 1; back <= 3 && back <= size; back++) {
		uint8_t byte = data[size - back];
		if ((byte & 0xc0) == 0x80)
			continue;
		size_t whole = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
		return whole > back ? back : 0;
	}
	return 0;
}

static bool is_text(const uint8_t *data, size_t size)
{
	size -= unfinished(data, size);
	if (!size) /* @data may be NULL */
		return true;
	return utf8_valid(data, size) && !memchr(data, 0, size);
}

static int show(struct terminal *t, const uint8_t *data, size_t size)
{
	buf_reset(&t->text);
	for (size_t at = 0; at < size;) {
		size_t run = at;
		while (run < size && data[run] != '\n' && data[run] != '\t' &&
		       data[run] != '\r')
			run++;
		text_escape(&t->text, (const char *)data + at, run - at);
		if (run < size)
			buf_add_byte(&t->text, data[run++]);
		at = run;
	}
	return t->text.failed ? -ENOMEM : fs_write_all(t->fd, t->text.data, t->text.size);
}

/* What is in @head, but for a character that has only begun (unless it is the end). */
static int flush(struct terminal *t, bool end)
{
	size_t left = end ? 0 : unfinished(t->head.data, t->head.size);
	size_t size = t->head.size - left;
	int r = size ? show(t, t->head.data, size) : 0;
	memmove(t->head.data, t->head.data + size, left);
	t->head.size = left;
	return r;
}

static int decide(struct terminal *t)
{
	t->decided = true;
	t->is_binary = t->refuse_binary && !is_text(t->head.data, t->head.size);
	return t->is_binary ? -ECANCELED : 0;
}

int terminal_write(void *arg, const void *data, size_t size)
{
	struct terminal *t = arg;
	int r = 0;
	buf_add(&t->head, data, size);
	if (t->head.failed)
		return -ENOMEM;
	if (!t->decided && t->refuse_binary && t->head.size < TERMINAL_PEEK)
		return 0;
	if (!t->decided)
		r = decide(t);
	return r || !t->head.size ? r : flush(t, false);
}

int terminal_end(struct terminal *t)
{
	int r = t->decided ? 0 : decide(t);
	return r || !t->head.size ? r : flush(t, true);
}

void terminal_fini(struct terminal *t)
{
	buf_fini(&t->head);
	buf_fini(&t->text);
}

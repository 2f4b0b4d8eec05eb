/* lines.c - see lines.h. */
#include "client/batch/lines.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define PIECE (256u << 10)
#define IDLE_MS 500

void lines_init(struct lines *l, int fd, const char *name)
{
	*l = (struct lines){.fd = fd, .name = name, .keeps = true};
}

void lines_fini(struct lines *l)
{
	buf_fini(&l->buf);
}

/* wait_for_more() - a pipe may be silent for hours; somebody has other things to look after. */
static int wait_for_more(struct lines *l, struct err *e)
{
	struct pollfd item = {.fd = l->fd, .events = POLLIN};
	while (l->idle && poll(&item, 1, IDLE_MS) <= 0) {
		int r = l->idle(l->idle_arg, e);
		if (r)
			return r;
	}
	return 0;
}

/* read_fd() - as l->read(). */
static int read_fd(struct lines *l, void *out, size_t size, size_t *gotp, struct err *e)
{
	ssize_t n;
	do {
		int r = wait_for_more(l, e);
		if (r)
			return r;
		n = read(l->fd, out, size);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_set(e, ERR_USAGE, "%s: cannot be read: %s", l->name,
			       strerror(errno));
	*gotp = (size_t)n;
	return 0;
}

/* read_more() - one read, so that a slow writer's lines are seen as they come. */
static int read_more(struct lines *l, struct err *e)
{
	if (l->at && !l->keeps) {
		memmove(l->buf.data, l->buf.data + l->at, l->buf.size - l->at);
		l->buf.size -= l->at;
		l->at = 0;
	}
	uint8_t *to = buf_reserve(&l->buf, PIECE);
	if (!to)
		return source_no_memory(e);
	size_t got = 0;
	int r = l->read ? l->read(l->read_arg, to, PIECE, &got, e)
			: read_fd(l, to, PIECE, &got, e);
	if (r)
		return r;
	l->buf.size += got;
	l->at_end = got == 0;
	return 0;
}

static bool is_blank(const char *text, size_t size)
{
	while (size && (*text == ' ' || *text == '\t' || *text == '\r')) {
		text++;
		size--;
	}
	return !size;
}

/* find_end() - of the line at l->at: behind its break. l->at itself: there is none. */
static int find_end(struct lines *l, size_t *endp, struct err *e)
{
	size_t searched = 0;
	for (;;) {
		size_t size = l->buf.size - l->at;
		size_t from = l->at + searched;
		const uint8_t *end = size > searched ? memchr(l->buf.data + from, '\n',
							      size - searched)
						     : NULL;
		if (end) {
			*endp = (size_t)(end - l->buf.data) + 1;
			return 0;
		}
		searched = size;
		if (l->at_end) {
			*endp = l->buf.size;
			return 0;
		}
		if (size > LINES_MAX)
			break;
		int r = read_more(l, e);
		if (r)
			return r;
	}
	err_set(e, ERR_USAGE, "%s: line %llu is longer than %u MiB", l->name,
		(unsigned long long)l->number + 1, LINES_MAX >> 20);
	err_next(e, "JSONL has one task on each line; pass large data as an input file");
	return ERR_USAGE;
}

int lines_peek(struct lines *l, struct source_text *line, struct err *e)
{
	for (;;) {
		int r = find_end(l, &l->line_end, e);
		if (r)
			return r;
		if (l->line_end == l->at) {
			*line = (struct source_text){.name = l->name};
			return 0;
		}
		const char *text = (const char *)l->buf.data + l->at;
		size_t size = l->line_end - l->at;
		if (size && text[size - 1] == '\n')
			size--;
		if (l->number == 0 && size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
			text += 3;
			size -= 3;
		}
		if (!is_blank(text, size)) {
			*line = (struct source_text){l->name, text, size, l->number + 1};
			return 0;
		}
		lines_take(l);
	}
}

void lines_take(struct lines *l)
{
	l->at = l->line_end;
	l->number++;
}

void lines_rewind(struct lines *l)
{
	assert(l->keeps);
	l->keeps = false;
	l->at = 0;
	l->number = 0;
}

int lines_rest(struct lines *l, struct err *e)
{
	int r = 0;
	while (l->read && r == 0 && !l->at_end && l->buf.size <= SOURCE_MAX)
		r = read_more(l, e);
	if (r)
		return r;
	if (l->read && !l->at_end)
		return err_set(e, ERR_USAGE, "%s has more than %u MiB", l->name,
			       SOURCE_MAX >> 20);
	return l->at_end ? 0 : source_read(l->fd, l->name, &l->buf, e);
}

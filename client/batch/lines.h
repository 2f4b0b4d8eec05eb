/* lines.h - a file line by line, in memory bounded by its longest line (LINES_MAX). */
#pragma once

#include "client/batch/source.h"

#define LINES_MAX (4u << 20) /* bytes of a line */

struct lines {
	int fd;
	const char *name;
	struct buf buf;
	size_t at;	 /* of what has not been given */
	size_t line_end; /* behind the line that was given, its break included */
	uint64_t number; /* of the line that was given; 1 is the first */
	bool keeps;	 /* what was taken, for lines_rewind() */
	bool at_end;	 /* of the file: all is in @buf */
	/* Called about every half second, and after signals, while a slow writer is waited for.
	 * Return: 0; ERR_* in @e, which ends the waiting. May be NULL. */
	int (*idle)(void *arg, struct err *e);
	void *idle_arg;
	/* Instead of @fd, which is -1: up to @size bytes; none is the end. Return: 0, ERR_*. */
	int (*read)(void *arg, void *out, size_t size, size_t *gotp, struct err *e);
	void *read_arg;
};

void lines_init(struct lines *l, int fd, const char *name);
void lines_fini(struct lines *l); /* does not close */
/** lines_peek() - the next line that is not blank, without its break, in @line; its text is NULL at
 * the end. It stays the next until lines_take(), and is borrowed until then. Return: 0, ERR_*. */
int lines_peek(struct lines *l, struct source_text *line, struct err *e);
void lines_take(struct lines *l);
/** lines_rewind() - back to the first line, once; until then what is taken stays in memory. */
void lines_rewind(struct lines *l);
/** lines_rest() - read all that is left; it is then in l->buf from l->at on. */
int lines_rest(struct lines *l, struct err *e);

/* source.h - the text of a batch file, and errors that point into it:
 *
 *	sweep.yaml:12:5: unknown key "retrys" in task "train"; did you mean "retries"?
 *	      retrys: 3
 *	      ^
 *
 * Columns count characters from 1. The line is shown with tabs expanded and control characters
 * replaced, so that the caret stands under what is meant; of a long line the part around it. */
#pragma once

#include "common/err.h"
#include "common/pure/buf.h"

#define SOURCE_MAX (64u << 20) /* bytes of a file; JSONL is not bounded */

struct source_text {
	const char *name; /* as shown to people */
	const char *text; /* UTF-8 without a byte order mark */
	size_t size;
	uint64_t first_line; /* 1, or the number of the line in JSONL */
};

/** source_open() - @path "-" is standard input. Return: 0 or ERR_USAGE: not there, a folder, empty. */
int source_open(const char *path, const char *name, int *fdp, struct err *e);
/** source_read() - append all that @fd has. Return: 0 or ERR_USAGE: not readable, too large. */
int source_read(int fd, const char *name, struct buf *out, struct err *e);
/** source_check() - text at all? Drops a byte order mark. Return: 0 or ERR_USAGE: empty, binary. */
int source_check(struct source_text *s, struct err *e);
void source_where(const struct source_text *s, size_t offset, uint64_t *line,
		  uint64_t *column);
/** source_fail() - an error at a byte of the text. Return: ERR_USAGE. */
int source_fail(const struct source_text *s, size_t offset, struct err *e,
		const char *fmt, ...) PRINTF(4, 5);
int source_vfail(const struct source_text *s, size_t offset, struct err *e,
		 const char *fmt, va_list args) PRINTF(4, 0);
/** source_no_memory() - Return: ERR_FAILED. */
int source_no_memory(struct err *e);

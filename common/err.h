/* err.h - an error as a person meets it: what happened and why, and what to do next. */
#pragma once

#include "common/pure/base.h"

/* Exit codes of the programs; also the codes of errors in libcashet (see cashet.h). */
enum err_code {
	ERR_NONE = 0,
	ERR_FAILED = 1,	     /* tasks failed, or any failure without a row of its own */
	ERR_USAGE = 2,	     /* usage, bad file */
	ERR_UNREACHABLE = 3, /* broker */
	ERR_NOT_ALLOWED = 4,
	ERR_NOT_FOUND = 5,
	ERR_AMBIGUOUS = 6,
	ERR_TIMED_OUT = 7,
	ERR_DETACHED = 130,
};

struct err {
	enum err_code code; /* ERR_NONE: no error */
	char what[1024]; /* what and why; no trailing newline; may hold several lines */
	char next[512];	 /* what to do next, or "" */
};

/** err_set() - fill @e (which may be NULL). Return: @code, so that `return err_set(...)` works. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...) PRINTF(3, 4);
void err_next(struct err *e, const char *fmt, ...) PRINTF(2, 3);
/** err_print() - "PROGRAM: what" and "  next" to standard error, control characters escaped. */
void err_print(const struct err *e, const char *program);

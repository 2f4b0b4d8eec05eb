/* secrets.h - values of secrets, which tasks name and workers have. */
#pragma once

#include "common/err.h"
#include "common/pure/buf.h"

struct secrets_want {
	char *const *names;
	size_t count;
	const char *worker; /* its name, for errors */
	bool files_only;    /* of a private broker; see secrets.c */
};

/** secrets_add() - append NAME=VALUE of each, with its NUL, to @strings. Reads files: not on the
 * loop thread.
 * Return: 0; ERR_FAILED when this worker is out of something; otherwise a code of what is wrong with
 * the secret here. @e names the secret, the worker and where it looked, never a value. */
int secrets_add(struct buf *strings, uint32_t *envcp, const struct secrets_want *want,
		struct err *e);
/** secrets_wipe() - buf_fini() of a buffer that values went through. */
void secrets_wipe(struct buf *strings);

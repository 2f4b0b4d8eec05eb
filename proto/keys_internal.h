/* keys_internal.h - what keys.c and keys_trust.c share. Include from these two only. */
#pragma once

#include "proto/keys.h"
#include <stdlib.h>
#include <unistd.h>

/** keys_path() - DIR/@name, heap; NULL without memory. */
char *keys_path(const char *name);
/** keys_lock() - make the folder and lock it; close(*fdp) unlocks. Waits up to 10 s. */
int keys_lock(int *fdp, struct err *e);
int keys_no_memory(struct err *e);
/** keys_failed() - "cannot DOING 'PATH': why" for negative errno @rc. */
int keys_failed(struct err *e, const char *doing, const char *path, int rc);
/** keys_add_row() - append to a heap array. Return: 0, or 1 without memory. */
int keys_add_row(struct key_trust **rows, size_t *count, const struct key_trust *row);

static inline void keys_free_text(char **text)
{
	free(*text);
}
static inline void keys_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define CLEANUP_TEXT CLEANUP(keys_free_text)
#define CLEANUP_FD CLEANUP(keys_close)

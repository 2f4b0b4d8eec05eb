/* spool.h - bytes that are written once and then read once, in order, of any size in bounded memory:
 * what is more than SPOOL_MEMORY goes to a file without a name in $TMPDIR. Commands that must have
 * seen a whole batch before they can print its first line keep its lines in one. */
#pragma once

#include "common/pure/buf.h"

#define SPOOL_MEMORY (16u << 20)

struct spool {
	struct buf memory; /* what was written last; while reading, what was read last */
	size_t at;	   /* reading: within @memory */
	int fd;		   /* 0: all is in memory */
	uint64_t file_at;  /* reading: within the file */
	int error;	   /* negative errno, sticks */
};

void spool_fini(struct spool *s); /* also of a zeroed one */
/** spool_add() - errors stick and are told by spool_rewind(). */
void spool_add(struct spool *s, const void *data, size_t size);
/** spool_rewind() - writing is over, reading begins. Return: 0 or the negative errno of anything that
 * went wrong so far. */
int spool_rewind(struct spool *s);
/** spool_next() - the next @size bytes, valid until the next call. Return: NULL: there are not so many,
 * or (s->error) they cannot be read. */
const void *spool_next(struct spool *s, size_t size);

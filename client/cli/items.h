/* items.h - the lines of `map --over`, as lines of a JSONL batch, made while they are read: in memory that
 * is bounded by the longest one. An array is the arguments by position, an object those by name,
 * anything else the only argument; so are @FILE and ref:COMMIT, which are no JSON. */
#pragma once

#include "client/cli/cli.h"

struct items {
	struct cli *cli;
	const char *name; /* of the file, for messages */
	int fd;
	struct buf in; /* what was read, from @at on */
	size_t at;
	uint64_t line; /* number of the last one that was taken */
	bool at_end;
	struct buf keywords; /* "a":1,"b":2: those of --kw */
	struct buf head;     /* {"call":...,"retries":... */
	struct buf out;	     /* lines that wait to be given, from @given on */
	size_t given;
	uint64_t count;
	struct cashet *finder; /* for ref:COMMIT; NULL until there is one */
};

/** items_open() - what all calls have, and the file. Return: 0 or the exit code, printed; fini in any
 * case. */
int items_open(struct items *m);
void items_fini(struct items *m);
/** items_read() - of a cashet_stream. @items: struct items. */
int items_read(void *items, void *out, size_t size, size_t *gotp, struct cashet_error *e);

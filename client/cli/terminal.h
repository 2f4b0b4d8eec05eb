/* terminal.h - bytes that somebody else made, on a terminal: shown, not done. Line ends, tabs and
 * carriage returns stay; everything else that is no printable text is escaped. */
#pragma once

#include "common/pure/buf.h"

#define TERMINAL_PEEK 4096 /* bytes by which text is told from anything else */

struct terminal {
	int fd;
	bool refuse_binary; /* nothing is written if the first bytes are no text */
	bool is_binary;	    /* ... and they are not */
	struct buf
		head; /* bytes that wait: for a decision, or for the rest of a character */
	bool decided;
	struct buf text;
};

/** terminal_write() - a cashet_sink. -ECANCELED: what comes is not text, see @refuse_binary. */
int terminal_write(void *terminal, const void *data, size_t size);
/** terminal_end() - what waited is written. Return: 0; negative errno. */
int terminal_end(struct terminal *t);
void terminal_fini(struct terminal *t);

/* target.h - what people name where a commit is expected: the beginning of its hash, a pin, a task. */
#pragma once

#include "client/handle.h"

struct target { /* a Target and the memory that it points to; not to be copied */
	Cashet__Target message;
	Cashet__BatchRef batch;
	uint8_t bytes[DIGEST_SIZE];
	char name[129];
};

/** target_parse() - "4af09d1c" (4 to 64 digits in any case), "b7f3:12" (a task), or the name of a pin.
 * Return: 0; ERR_USAGE in @e. */
int target_parse(const char *text, struct target *t, struct err *e);

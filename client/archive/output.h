/* output.h - a file that appears when it is complete, and until then is not there. */
#pragma once

#include "common/err.h"

struct output { /* zeroed before output_open(); output_close() it */
	char *path;
	char *temp; /* its name until then; NULL: it has none */
	int fd;
	bool is_whole; /* standard output, a pipe, a device: nothing is to be put in place */
	bool is_open;
};

/** output_open() - @path: "-" is standard output. What is not a regular file is written to as it is.
 * Return: 0; ERR_USAGE, ERR_FAILED. */
int output_open(struct output *o, const char *path, struct err *e);
/** output_publish() - sync it, and put it in the place of what was there. */
int output_publish(struct output *o, struct err *e);
void output_close(struct output *o); /* unless published, nothing is left */

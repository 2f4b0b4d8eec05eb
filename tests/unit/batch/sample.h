/* sample.h - batch files in a temporary folder, and what they become, as text. */
#pragma once

#include "client/batch/batch.h"

/** sample_begin() - a fresh folder, which becomes the working directory until sample_end(). */
void sample_begin(void);
void sample_end(void);
void sample_write(const char *path, const char *text); /* makes folders as needed */
void sample_write_bytes(const char *path, const void *data, size_t size);
/** sample_run() - open and feed. Return: "" or the error: what, and "\n> next" if there is one;
 * *dump (may be NULL) is what the builder gave, a line per item. Valid until the next call. */
const char *sample_run(const struct batch_options *options, const char **dump);
/** sample_text() - write @text to @path, run it. Return: the dump; fails the test on an error. */
const char *sample_text(const char *path, const char *text);
/** sample_description_size() - bytes of the last function that was given. */
size_t sample_description_size(void);
/** sample_error() - the same for a file that must not be accepted. */
const char *sample_error(const char *path, const char *text);

struct sample_row {
	const char *name, *path;
	const char *text;
	size_t size; /* of text; 0: up to its NUL */
	const char *error;
};
/** sample_check_errors() - every row gives exactly its error, exit code 2 and no chunk. */
void sample_check_errors(const struct sample_row *rows, size_t count);

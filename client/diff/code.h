/* code.h - what changed in a file of source, as a person would say it: which lines, in which function,
 * and whether it is only comments or white space. A lexical look, no parser: it helps to read, and
 * decides nothing. Identity is the file's bytes. */
#pragma once

#include "client/diff/text.h"

#define CODE_RANGES_MAX 4
#define CODE_NAME_MAX 128

struct code_range { /* of lines of the new text, from 1 */
	uint32_t first, last;
	bool removed; /* lines that stood before @first are gone, none came */
	char function[CODE_NAME_MAX]; /* "load", "Model.fit"; "": none was found */
};

struct code_look {
	bool only_comments; /* comments, blank lines, white space; false also where unsure */
	struct code_range ranges[CODE_RANGES_MAX];
	size_t range_count;
	size_t more; /* ranges that are left out */
};

/** code_look() - @path says the language. Both are text (text_is_text()). Return: 0, -ENOMEM. */
int code_look(struct code_look *look, const char *path, const void *a, size_t a_size,
	      const void *b, size_t b_size);
/** code_function() - in which function line @line (from 0) is; "" if none was found. */
void code_function(const char *path, const struct text_line *lines, uint32_t count,
		   uint32_t line, char name[CODE_NAME_MAX]);
/** code_describe() - "train.py:load()  line 31 changed". Not escaped. */
void code_describe(struct buf *out, const struct code_look *look, const char *path);

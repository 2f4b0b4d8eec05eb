/* answer.h - what a describer wrote, read strictly: docs/runners.md.
 *
 * An answer is cut into its head and rows without building anything; a row is kept as text (that
 * is what is remembered) and becomes a struct described when it is read. Programs may be damaged
 * or replaced, and files of answers too: everything is checked, and a field that is not as it must
 * be makes the whole row unreadable. Fields that are not known are passed over. */
#pragma once

#include "client/describe/describe.h"

#define ANSWER_PROTOCOL 1

struct answer_row {
	const char *text; /* borrowed from the answer */
	size_t size;
	size_t looked_at, looked_size; /* the value of its "looked"; 0: there is none */
};

struct answer {
	char *version; /* of the interpreter or compiler; in the arena; "" */
	struct answer_row *rows;
	size_t count, capacity;
	char wrong[200]; /* what is not as it must be */
};

void describe_answer_fini(struct answer *a);
/** answer_cut() - Return: 0; ERR_USAGE: it is no answer, @a->wrong says why; ERR_FAILED. */
int answer_cut(struct answer *a, const void *data, size_t size, struct arena *arena);

/** answer_read() - a row. @d: its target and unit.language are set by the caller; texts are copied
 * to @arena. Return: 0, also of one that is not ok; ERR_USAGE: @wrong says why; ERR_FAILED. */
int answer_read(const char *row, size_t size, struct arena *arena, struct described *d,
		char wrong[200]);

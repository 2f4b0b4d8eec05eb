/* convert.h - a task of the public API as the batch file reader would have read it (struct
 * spec_task), so that it goes the same way from there and has the same fingerprint.
 *
 * Converted tasks live in an arena that the next one reuses. References are resolved against
 * @names and @targets, which the first pass over all tasks fills. */
#pragma once

#include "client/batch/spec.h"
#include "client/cashet.h"

#define CONVERT_AMBIGUOUS UINT32_MAX

struct converter {
	const struct cashet_task *tasks;
	size_t count;
	const struct cashet_submit_options *options;
	struct map names; /* of tasks to index, or CONVERT_AMBIGUOUS */
	struct targets targets;
	struct files files;
	struct shipping shipping;
	struct arena arena; /* of one task */
	struct err *e;
};

/** convert_task() - all of it checked. Return: 0, ERR_USAGE, ERR_FAILED in v->e. */
int convert_task(struct converter *v, size_t index, struct spec_task *to);

/** convert_arrays() - the task's arrays are there; nothing may read them before. Return: 0, ERR_USAGE. */
int convert_arrays(struct converter *v, size_t index);

/* The parts, as far as they are in files of their own. */
/** convert_want_call() - tell the describer which function the task at @index calls. */
int convert_want_call(struct converter *v, size_t index);
/** convert_call() - the function and its arguments; sets to->name. */
int convert_call(struct converter *v, size_t index, struct spec_task *to);
/** convert_member() - @input: its name, for messages, and of a file whose path has none. */
int convert_member(struct converter *v, size_t index, const struct cashet_source *from,
		   const char *input, struct spec_member *to);
int convert_inputs(struct converter *v, size_t index, struct spec_task *to);
int convert_needs(struct converter *v, size_t index, struct spec_task *to);
/** convert_find_code() - sorted, without schemes: those need a describer, which is run once for all
 * that is wanted. convert_code() sets them. */
int convert_find_code(struct converter *v, size_t index, struct spec_task *to);
int convert_code(struct converter *v, size_t index, struct spec_task *to);
int convert_layout(struct converter *v, size_t index, const struct spec_task *t);
int convert_options(struct converter *v, size_t index, struct spec_task *to);
int convert_pairs(struct converter *v, size_t index, const struct cashet_pair *from,
		  size_t count, const char *what, struct spec_pairs *to);
int convert_text(struct converter *v, size_t index, const char *text, const char *what);
int convert_name(struct converter *v, size_t index, const char *name, const char *what);
const char *
convert_title(const struct cashet_task *t); /* its name, or what stands for it */
void *convert_take(struct converter *v, size_t count,
		   size_t size); /* NULL: v->e says so */
/** convert_fail() - an error that names the task. Return: ERR_USAGE. */
int convert_fail(struct converter *v, size_t index, const char *fmt, ...) PRINTF(3, 4);
int convert_no_memory(struct converter *v);

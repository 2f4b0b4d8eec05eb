/* lay_out.h - a run laid out by hand: what is known of it, and what it becomes. */
#pragma once

#include "client/handle.h"
#include "client/history.h"
#include "client/why.h"
#include "common/format/commit.h"
#include "common/task/layout.h"

struct lay_out { /* of one task; what is borrowed lives in the two answers */
	struct cashet *c;
	struct answer about; /* the task, its function, its arguments */
	struct commit commit;
	struct buf commit_arena;
	Cashet__Options *options; /* NULL: defaults */
	bool own_options;	  /* unpacked by us */
	Cashet__Pair **outer;	  /* of the submitter */
	size_t outer_count;
	struct request *specs; /* of its batch, if that is still recorded */
	struct function function;
	struct args args;
	const void *args_data;
	size_t args_size;
	bool has_source; /* what code it was: */
	uint8_t source_digest[DIGEST_SIZE];
	struct source source;
	char *dir, *task, *tmp, *checkpoint, *script;
};

/** lay_out_place() - @shipped (or NULL), code and inputs of @f into @dir. layout_fini() it if it has a
 * function then. */
int lay_out_place(struct lay_out *l, const struct function *f, const struct args *args,
		  const struct source *shipped, const char *dir, struct layout *layout,
		  struct err *e);
/** lay_out_call() - all of a call, and the script. */
int lay_out_call(struct lay_out *l, struct cashet_laid_out *out, struct keep *keep,
		 struct err *e);
/** lay_out_finish_argv() - as lay_out_finish(), of this command: @argc texts, each with its NUL. */
int lay_out_finish_argv(struct lay_out *l, const struct buf *argv, uint32_t argc,
			struct cashet_laid_out *out, struct keep *keep, struct err *e);
/** lay_out_finish() - command and environment into @out, and the script. @inputs: as laid out. */
int lay_out_finish(struct lay_out *l, const struct input_paths *inputs,
		   struct cashet_laid_out *out, struct keep *keep, struct err *e);

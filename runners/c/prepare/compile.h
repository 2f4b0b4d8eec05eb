/* compile.h - the local compiler: $CC, else cc. */
#pragma once

#include "common/pure/buf.h"

struct compile_job {
	const char *folder;	    /* of the source; file names are relative to it */
	const char *const *sources; /* .c files */
	size_t source_count;
	const char *const *flags; /* of the task, checked */
	size_t flag_count;
	bool by_hand;	      /* a debugger finds the files where they are */
	const char *function; /* the only name that the library shows */
	const char *script;   /* a path for the linker's list of names; removed again */
	const char *output;
};

/** compile_version() - what the compiler says that it is. Return: 0; 1 if there is none: @out says so. */
int compile_version(struct buf *out);
/** compile_run() - @said: what the compiler printed, at most COMPILE_SAID_MAX bytes of it. The same
 * files give the same bytes, wherever they lie. Return: 0; 1 if it failed. */
int compile_run(const struct compile_job *job, struct buf *said);
#define COMPILE_SAID_MAX (64u << 10)

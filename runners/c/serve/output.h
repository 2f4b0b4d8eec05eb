/* output.h - what a call printed: DIR/out and DIR/err, which are descriptors 1 and 2 of the process. */
#pragma once

#include "common/pure/buf.h"
#include "common/task/frames.h"

#include <sys/stat.h>

struct output {
	int fd;	    /* the file, high up and to read and write; never closed */
	int target; /* 1 or 2 */
	const char *name, *suffix; /* static */
	ino_t inode;
	dev_t device;
	struct buf bytes; /* of the last call, when they were few */
	char file
		[40]; /* of the last call, when they were many: its name in the results folder */
	uint64_t size;
};

/** output_init() - @dir/@name, which is there. Return: 0 or a negative errno. */
int output_init(struct output *o, const char *dir, const char *name, int target);
void output_fini(struct output *o);
/** output_restore() - if the function closed or redirected the descriptor, it is as it was; o->size is what
 * was printed. @quiet: it made no system call. Return: 0 or a negative errno. */
int output_restore(struct output *o, bool quiet);
/** output_take() - what was printed, for the answer of call @id: inline, or as a file in the folder
 * @results. The file is empty again. Valid until the next one. Return: 0 or a negative errno. */
int output_take(struct output *o, bool is_inline, uint64_t id, int results,
		struct frame_part *part);
/** output_keep_high() - a descriptor like @fd that programs do not meet when they close all that they
 * know; close-on-exec. Return: it, or a negative errno. */
int output_keep_high(int fd);

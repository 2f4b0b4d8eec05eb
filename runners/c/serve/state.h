/* state.h - what of the process a function may have changed, and the next one must not find so: the
 * current folder, the environment, signals, umask, locale, rounding, children, room for descriptors. */
#pragma once

#include "common/task/frames.h"
#include "runners/c/serve/folders.h"

/* The variables that each call has of its own. */
enum state_variable {
	STATE_TASK,
	STATE_BATCH,
	STATE_INDEX,
	STATE_ATTEMPT,
	STATE_CHECKPOINT,
	STATE_VARIABLES
};

struct state {
	struct folder task, tmp, checkpoint;
	char **before;	/* the environment as it was when we began; strings are copies */
	char **now;	/* what environ is during a call: @before, then our own */
	char *text;	/* the bytes of @before's strings, "\0" between */
	char *pristine; /* the same, for comparison */
	size_t text_size, before_count;
	struct buf own[STATE_VARIABLES];
	struct buf beside; /* the checkpoint of a call with a folder of its own */
	mode_t mask;
	int full; /* a descriptor: when it is there, most of those that may be are in use */
	bool moved; /* the current folder is not @task */
};

/** state_init() - folders below @dir; the current folder is then DIR/task. Return: 0, or a negative errno
 * and *@what says of what. */
int state_init(struct state *s, const char *dir, const char **what);
void state_fini(struct state *s);
/**
 * state_begin() - the folder and the environment of a call
 * @directory: of the call; NULL: DIR/task
 * @batch: in hexadecimal
 * @checkpoint: set to the path of that folder; valid until the next call
 *
 * Return: 0 or a negative errno: there is no such folder.
 */
int state_begin(struct state *s, const struct frame_call *call, const char *directory,
		const char *batch, const char **checkpoint);
/** state_end() - all as it was. @quiet: no system call was made. Return: 0; 1 if that cannot be: children are left, or too many
 * descriptors, a folder cannot be emptied; *@what says so, static. The process should then be replaced. */
int state_end(struct state *s, bool quiet, const char **what);

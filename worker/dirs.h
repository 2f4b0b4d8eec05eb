/* dirs.h - the directories of attempts, kept and used again when a task left no trace in them.
 *
 *	ROOT/NUMBER/task         working directory
 *	ROOT/NUMBER/tmp          TMPDIR
 *	ROOT/NUMBER/checkpoint   CASHET_CHECKPOINT
 *	ROOT/NUMBER/out, err     standard output and error
 *
 * Making and removing these five costs more than running /bin/true, looking whether they were
 * touched costs six stat(). A folder counts as untouched when inode, mode and ctime are as recorded.
 * If the record was not older than the file system's clock tick when the task started (a change
 * within one tick leaves ctime as it was), the folder is read as well. Anything else is removed
 * and made anew. */
#pragma once

#include "common/pure/base.h"
#include <time.h>

enum dir_place {
	DIR_SELF,
	DIR_TASK,
	DIR_TMP,
	DIR_CHECKPOINT,
	DIR_OUT,
	DIR_ERR,
	DIR_PLACES
};

struct dir {
	struct dir *next;
	char *paths[DIR_PLACES]; /* absolute */
	struct dir_stamp {
		uint64_t inode;
		uint32_t mode;
		struct timespec ctime;
	} stamps[DIR_PLACES];
	bool is_settled; /* the record was old enough when the task started */
};

struct dirs {
	char *root;
	uint32_t next_number;
	struct dir *idle;
	size_t idle_count;
};

void dirs_init(struct dirs *d, const char *root); /* @root exists */
void dirs_fini(struct dirs *d);			  /* forgets; the files stay */
/** dirs_take() - a fresh one. Return: 0 or negative errno. Thread: the owner of @d. */
int dirs_take(struct dirs *d, struct dir **dirp);
/** dir_mark_start() - it is about to be used: something laid out in it, or a task run. */
void dir_mark_start(struct dir *dir);
/** dir_refresh() - make it as new as cheaply as it allows: nothing if untouched, empty the output
 * files, ... Return: true if it is as new; false: dir_rebuild() it, which may take long. */
bool dir_refresh(struct dir *dir);
/** dir_rebuild() - remove everything in it and make it anew. 0 or negative errno. Thread: any. */
int dir_rebuild(struct dir *dir);
/** dirs_put() - back to the idle ones; it is as new. */
void dirs_put(struct dirs *d, struct dir *dir);
/** dir_drop() - it could not be rebuilt: try to remove it, and forget it. */
void dir_drop(struct dir *dir);

/* folders.h - the folders that every call finds empty: task (the current one), tmp, checkpoint.
 *
 * Looking costs less than emptying: a folder whose time of change is the one that it had when it was
 * last seen empty, and is older than the clock's step, is empty still. */
#pragma once

#include "common/pure/base.h"

#include <sys/stat.h>
#include <time.h>

struct folder {
	char *path; /* absolute */
	int fd;	    /* of the folder that was last seen empty, high up; or -1 */
	ino_t inode;
	dev_t device;
	struct timespec changed; /* when it was last seen empty */
	bool sure;		 /* no change since could have the same time */
};

/** folder_init() - makes it if it is not there. Return: 0 or a negative errno. */
int folder_init(struct folder *f, const char *parent, const char *name);
void folder_fini(struct folder *f);
/** folder_is_current() - after folder_empty(): is it the current one? */
bool folder_is_current(const struct folder *f);
/** folder_empty() - after a call: it is there, it is the same, it is empty. Return: 1 if it was not,
 * 0 if it was, or a negative errno. */
int folder_empty(struct folder *f);

/* fs_output.c - where bytes go that a command was told to write to a file.
 *
 * A file is there whole or not at all, so a new one takes the place of the old. That must not happen to
 * what is no file of its own: a symbolic link (it stays, what it stands for is replaced), a device or a
 * pipe (it is written), the file that standard output is, by whatever name (/dev/stdout, /dev/fd/1): it
 * goes on where it is. */
#include "common/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_standard_output(const struct stat *st)
{
	struct stat out;
	return fstat(STDOUT_FILENO, &out) == 0 && out.st_dev == st->st_dev &&
	       out.st_ino == st->st_ino;
}

int fs_output_find(const char *path, char **realp, int *fdp)
{
	struct stat st;
	*realp = NULL;
	*fdp = -1;
	if (stat(path, &st) < 0) {
		if (errno != ENOENT)
			return -errno;
		/* A link to nothing is told of: what it means to stand for cannot be known. */
		if (lstat(path, &st) == 0)
			return -ENOENT;
		*realp = strdup(path);
		return *realp ? 0 : -ENOMEM;
	}
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (is_standard_output(&st))
		*fdp = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	else if (!S_ISREG(st.st_mode))
		*fdp = open(path, O_WRONLY | O_CLOEXEC);
	else
		*realp = realpath(path, NULL);
	return *fdp < 0 && !*realp ? -errno : 0;
}

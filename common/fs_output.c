/* fs_output.c - where bytes go that a command was told to write to a file.
 *
 * A file is there whole or not at all, so a new one takes the place of the old. That must not happen to
 * what is no file of its own: a symbolic link (it stays, what it stands for is replaced), a device or a
 * pipe (it is written), the file that standard output is, by whatever name (/dev/stdout, /dev/fd/1): it
 * goes on where it is. Nor may the new file be open to more people than the old one, not even while
 * it is written. */
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

mode_t fs_output_mode(const char *real, mode_t fresh)
{
	struct stat st;
	return stat(real, &st) < 0 && errno == ENOENT ? fresh : 0600;
}

void fs_output_like(int fd, const char *real)
{
	struct stat st, made;
	if (stat(real, &st) < 0 || fstat(fd, &made) < 0)
		return;
	mode_t mode = st.st_mode & 0777;
	/* Owner and group stay, too, if they may. Another group has no more than anybody has. */
	if (st.st_uid != made.st_uid && fchown(fd, st.st_uid, (gid_t)-1) < 0)
		mode |= S_IRUSR | S_IWUSR;
	if (st.st_gid != made.st_gid && fchown(fd, (uid_t)-1, st.st_gid) < 0)
		mode &= (mode_t)(0700 | (mode & 07) << 3 | 07);
	if (fchmod(fd, mode) < 0)
		return; /* it stays its owner's only */
}

void fs_standard_open(void)
{
	/* Opened the wrong way round, so that reading and writing what is closed stays an error; what is
	 * said on standard error may be lost. */
	static const int flags[] = {O_WRONLY, O_RDONLY, O_RDWR};
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
		    open("/dev/null", flags[fd]) < 0)
			return; /* nothing below it is free, so it was to become @fd */
}

/* file.c - a put whose bytes the broker reads from the sender's own file, so that they need not
 * go through a socket: the kernel shows the files that a process has open to those who may trace it.
 *
 * Only on ipc sockets, whose folder is the owner's alone: whoever writes there is the broker's user, and
 * gains nothing that the user does not have. Whether the broker sees the same file (and not that of
 * another process, as from within a container) is told by device and inode; if in doubt, the bytes
 * come as messages. Nothing is trusted: what was read is what is hashed and stored. */
#include "broker/blobs/impl.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool blob_file_may(const struct blobs *b, const struct blob_peer *peer)
{
	return !b->endpoints[peer->endpoint].curve &&
	       !strncmp(b->urls[peer->endpoint], "ipc://", 6);
}

int blob_file_open(const struct blob_file *file)
{
	char path[64];
	struct stat st;
	snprintf(path, sizeof path, "/proc/%" PRIu64 "/fd/%" PRIu64, file->pid, file->fd);
	/* Opening something else than a file might do something. */
	int name = open(path, O_PATH | O_CLOEXEC), fd = -1;
	if (name < 0)
		return -1;
	if (fstat(name, &st) == 0 && S_ISREG(st.st_mode) && st.st_dev == file->device &&
	    st.st_ino == file->inode) {
		snprintf(path, sizeof path, "/proc/self/fd/%d", name);
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	}
	close(name);
	return fd;
}

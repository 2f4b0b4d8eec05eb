/* fs.c - see fs.h. What is written becomes visible only whole: under a temporary name first, synced,
 * then renamed, then the folder is synced, because a rename lives in the folder. A failing fsync()
 * is reported and never tried again: the kernel may have dropped the pages it failed to write. */
#include "common/fs.h"

#include "common/pure/hex.h"
#include "common/rand.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define CLEANUP_FD CLEANUP(close_fd)

static void free_text(char **text)
{
	free(*text);
}
#define CLEANUP_TEXT CLEANUP(free_text)

int fs_mkdir_p(const char *path, mode_t mode)
{
	CLEANUP_TEXT char *copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	/* From the left, past each slash; a last round without one makes the folder itself. */
	for (char *at = copy + strspn(copy, "/");; at++) {
		at += strcspn(at, "/");
		char end = *at;
		*at = '\0';
		if (*copy && mkdir(copy, mode) < 0 && errno != EEXIST) {
			int error = errno;
			struct stat st;
			/* EROFS and EACCES are also said of what is there already. */
			if (stat(copy, &st) < 0 || !S_ISDIR(st.st_mode))
				return -error;
		}
		*at = end;
		if (!end)
			break;
	}
	struct stat st;
	if (stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int fs_read_file(const char *path, size_t max, struct buf *out)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > max)
		return -EFBIG;
	/* The size is a hint only: files grow, and those of /proc have none. */
	size_t before = out->size;
	size_t chunk =
		S_ISREG(st.st_mode) && st.st_size > 0 ? (size_t)st.st_size + 1 : 4096;
	for (;;) {
		uint8_t *to = buf_reserve(out, chunk);
		if (!to)
			return -ENOMEM;
		int64_t n = fs_read_full(fd, to, chunk);
		if (n < 0 || out->size - before + (size_t)n > max) {
			out->size = before;
			return n < 0 ? (int)n : -EFBIG;
		}
		out->size += (size_t)n;
		if ((size_t)n < chunk)
			return 0;
		chunk = 65536;
	}
}

int fs_write_all(int fd, const void *data, size_t size)
{
	const uint8_t *at = data;
	while (size) {
		ssize_t n = write(fd, at, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

int64_t fs_read_full(int fd, void *out, size_t size)
{
	size_t done = 0;
	while (done < size) {
		ssize_t n = read(fd, (uint8_t *)out + done, size - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (int64_t)done;
}

int fs_sync_dir(const char *path)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fsync(fd) < 0 ? -errno : 0;
}

static int sync_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return fs_sync_dir(".");
	CLEANUP_TEXT char *parent =
		strndup(path, slash == path ? 1 : (size_t)(slash - path));
	return parent ? fs_sync_dir(parent) : -ENOMEM;
}

static int write_synced(int fd, const void *data, size_t size, mode_t mode)
{
	if (fchmod(fd, mode) < 0) /* what was asked for, whatever the umask */
		return -errno;
	int rc = fs_write_all(fd, data, size);
	if (rc < 0)
		return rc;
	return fsync(fd) < 0 ? -errno : 0;
}

int fs_write_atomic(const char *path, const void *data, size_t size, mode_t mode)
{
	uint8_t salt[8];
	char salt_hex[2 * sizeof salt + 1];
	CLEANUP_TEXT char *temp = NULL;
	rand_bytes(salt, sizeof salt);
	if (asprintf(&temp, "%s.%s.tmp", path, hex_encode(salt_hex, salt, sizeof salt)) <
	    0) {
		temp = NULL;
		return -ENOMEM;
	}
	int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int rc = write_synced(fd, data, size, mode);
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	if (rc == 0 && rename(temp, path) < 0)
		rc = -errno;
	if (rc < 0) {
		unlink(temp);
		return rc;
	}
	return sync_parent(path);
}

/* read_pid() - 0 if the holder has not written it yet. */
static int read_pid(int fd)
{
	char text[32] = {0};
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	return n > 0 ? atoi(text) : 0;
}

/* lock_names() - is the locked file still the one that @path names? The last holder may have
 * removed it between our open() and our lock. */
static bool lock_names(int fd, const char *path)
{
	struct stat ours, named;
	return fstat(fd, &ours) == 0 && stat(path, &named) == 0 &&
	       ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
}

int fs_lock(const char *path, int *pidp)
{
	for (;;) {
		CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			return -errno;
		struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		if (fcntl(fd, F_OFD_SETLK, &whole) < 0) {
			if (errno != EAGAIN && errno != EACCES)
				return -errno;
			if (pidp)
				*pidp = read_pid(fd);
			return -EWOULDBLOCK;
		}
		if (!lock_names(fd, path))
			continue;
		char pid[32];
		int size = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
		if (ftruncate(fd, 0) < 0)
			return -errno;
		int rc = fs_write_all(fd, pid, (size_t)size);
		if (rc < 0)
			return rc;
		int held = fd;
		fd = -1;
		return held;
	}
}

bool fs_path_is_inside(const char *path)
{
	for (;;) {
		size_t size = strcspn(path, "/");
		if (size == 0 || (size == 1 && path[0] == '.') ||
		    (size == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		if (!path[size])
			return true;
		path += size + 1;
	}
}

int fs_free_bytes(const char *path, uint64_t *bytes)
{
	struct statvfs st;
	if (statvfs(path, &st) < 0)
		return -errno;
	*bytes = (uint64_t)st.f_bavail * st.f_frsize;
	return 0;
}

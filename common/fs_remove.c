/* fs_remove.c - fs_remove_tree(). A task can leave a tree of any depth, so neither recursion nor one
 * descriptor per level will do. Folders found inside a folder are moved up into the top one under
 * a fresh name, which makes the tree shallow: two descriptors are enough for any depth. Everything
 * is reached through descriptors opened with O_NOFOLLOW, so a link put in the way is removed and
 * never followed. */
#include "common/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct removal {
	int top;	 /* the tree's own folder */
	uint64_t moved;	 /* gives fresh names */
	int first_error; /* the rest is removed nevertheless */
	bool progress;	 /* in this pass over the top folder */
};

static void note(struct removal *r, int rc)
{
	if (rc < 0 && !r->first_error)
		r->first_error = rc;
}

static bool is_dots(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* open_dir() - open for reading, allowed to change what is in it. Return: NULL and errno. */
static DIR *open_dir(int at, const char *name)
{
	int handle = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (handle < 0)
		return NULL;
	struct stat st;
	char self[64];
	snprintf(self, sizeof self, "/proc/self/fd/%d", handle);
	/* By way of the handle, so that a folder swapped for a link does not get the mode. */
	if (fstat(handle, &st) == 0 && (st.st_mode & 0700) != 0700)
		chmod(self, 0700);
	int fd = openat(handle, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = errno;
	close(handle);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (fd >= 0 && !dir)
		close(fd);
	if (fd < 0)
		errno = error;
	return dir;
}

/* remove_or_move() - a file goes at once, a folder moves to the top. Return: 0 or negative errno. */
static int remove_or_move(struct removal *r, int at, const char *name)
{
	if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (unlinkat(at, name, AT_REMOVEDIR) == 0)
		return 0;
	if (errno == ENOTDIR)
		return -EPERM;
	struct stat st; /* a folder's own mode decides whether its ".." may change */
	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    (st.st_mode & 0700) != 0700) {
		DIR *opened = open_dir(at, name);
		if (opened)
			closedir(opened);
	}
	for (;;) {
		char fresh[32];
		snprintf(fresh, sizeof fresh, ".rm-%016llx",
			 (unsigned long long)r->moved++);
		if (renameat2(at, name, r->top, fresh, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno == EINVAL && renameat(at, name, r->top, fresh) == 0)
			return 0; /* a file system without RENAME_NOREPLACE */
		if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR)
			return -errno;
	}
}

static int empty_folder(struct removal *r, const char *name)
{
	__attribute__((cleanup(close_dir))) DIR *dir = open_dir(r->top, name);
	if (!dir)
		return -errno;
	for (struct dirent *e; errno = 0, (e = readdir(dir));)
		if (!is_dots(e->d_name))
			note(r, remove_or_move(r, dirfd(dir), e->d_name));
	return -errno;
}

static void remove_entry(struct removal *r, const char *name)
{
	if (unlinkat(r->top, name, 0) == 0) {
		r->progress = true;
		return;
	}
	if (errno != EISDIR && errno != EPERM) {
		note(r, errno == ENOENT ? 0 : -errno);
		return;
	}
	int rc = empty_folder(r, name);
	if (unlinkat(r->top, name, AT_REMOVEDIR) == 0)
		r->progress = true;
	else
		note(r, rc < 0 ? rc : -errno);
}

int fs_remove_tree(const char *path)
{
	if (unlink(path) == 0 || errno == ENOENT || errno == ENOTDIR)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	__attribute__((cleanup(close_dir))) DIR *dir = open_dir(AT_FDCWD, path);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	struct removal r = {.top = dirfd(dir)};
	/* Passes until one removes nothing: moved folders may appear behind the reading position. */
	do {
		r.progress = false;
		r.first_error = 0;
		rewinddir(dir);
		for (struct dirent *e; (e = readdir(dir));)
			if (!is_dots(e->d_name))
				remove_entry(&r, e->d_name);
	} while (r.progress);
	if (rmdir(path) == 0 || errno == ENOENT)
		return 0;
	return r.first_error ? r.first_error : -errno;
}

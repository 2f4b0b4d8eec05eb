/* folders.c - see folders.h. */
#include "runners/c/serve/folders.h"

#include "common/fs.h"
#include "common/pure/mem.h"
#include "runners/c/serve/output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLOCK_STEP_NS                                                                    \
	(20 * NS_PER_MS) /* of file times: a tick, of the slowest kernels, twice */

static int64_t ns_of(const struct timespec *t)
{
	return (int64_t)t->tv_sec * (int64_t)NS_PER_S + t->tv_nsec;
}

static bool is_old(const struct timespec *changed)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return ns_of(&now) - ns_of(changed) > (int64_t)CLOCK_STEP_NS;
}

/* empty() - what is in it. Return: 1 if there was something, 0 if not, or a negative errno. */
static int empty(const char *path)
{
	CLEANUP_BUF struct buf name = {0};
	DIR *dir = opendir(path);
	if (!dir)
		return -errno;
	int status = 0;
	for (struct dirent *e; status >= 0 && (e = readdir(dir));) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		buf_reset(&name);
		buf_printf(&name, "%s/%s", path, e->d_name);
		status = fs_remove_tree(buf_cstr(&name));
		if (status == 0)
			status = 1;
	}
	closedir(dir);
	return status;
}

/* look() - it is empty: what it looks like then. */
static int look(struct folder *f)
{
	struct stat st;
	if (f->fd >= 0)
		close(f->fd);
	int fd = open(f->path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	f->fd = output_keep_high(fd);
	close(fd);
	if (f->fd < 0)
		return f->fd;
	if (fstat(f->fd, &st))
		return -errno;
	f->inode = st.st_ino;
	f->device = st.st_dev;
	f->changed = st.st_ctim;
	f->sure = false;
	return 0;
}

int folder_init(struct folder *f, const char *parent, const char *name)
{
	size_t size = strlen(parent) + strlen(name) + 2;
	f->fd = -1;
	f->path = mem_alloc(size);
	snprintf(f->path, size, "%s/%s", parent, name);
	int status = fs_mkdir_p(f->path, 0700);
	if (status == 0)
		status = empty(f->path);
	return status < 0 ? status : look(f);
}

void folder_fini(struct folder *f)
{
	if (f->path && f->fd >= 0)
		close(f->fd);
	free(f->path);
	f->path = NULL;
}

static bool unchanged(const struct folder *f, const struct stat *st)
{
	return st->st_ino == f->inode && st->st_dev == f->device &&
	       ns_of(&st->st_ctim) == ns_of(&f->changed);
}

bool folder_is_current(const struct folder *f)
{
	char path[PATH_MAX];
	return getcwd(path, sizeof path) && !strcmp(path, f->path);
}

/* make_empty() - by its path. Return: 1 if it was not, 0 if it was, or a negative errno. */
static int make_empty(const char *path)
{
	struct stat st;
	int status = lstat(path, &st) ? -errno : 0;
	if (status == 0 && !S_ISDIR(st.st_mode)) {
		status = fs_remove_tree(path);
		status = status < 0 ? status : -ENOENT;
	}
	if (status == -ENOENT) {
		status = fs_mkdir_p(path, 0700);
		return status < 0 ? status : 1;
	}
	if (status == 0 && (st.st_mode & 0700) != 0700 && chmod(path, 0700))
		status = -errno;
	return status < 0 ? status : empty(path);
}

int folder_empty(struct folder *f)
{
	struct stat st;
	/* Renaming or removing it is a change too. */
	bool same = fstat(f->fd, &st) == 0 && st.st_nlink > 0 && unchanged(f, &st);
	if (same && f->sure)
		return 0;
	bool old = same && is_old(&f->changed); /* before it is looked into */
	int status = make_empty(f->path);
	if (status < 0)
		return status;
	if (status == 0 && same) {
		f->sure = old;
		return 0;
	}
	int looked = look(f);
	return looked < 0 ? looked : status;
}

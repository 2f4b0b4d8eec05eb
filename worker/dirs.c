/* dirs.c - see dirs.h. */
#include "worker/dirs.h"

#include "common/fs.h"
#include "common/pure/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IDLE_MAX 256
#define TICK_NS (50 * NS_PER_MS) /* longer than any tick of a file system's clock */

static const char *const names[DIR_PLACES] = {
	[DIR_SELF] = "",    [DIR_TASK] = "/task",
	[DIR_TMP] = "/tmp", [DIR_CHECKPOINT] = "/checkpoint",
	[DIR_OUT] = "/out", [DIR_ERR] = "/err",
};

static bool is_file(enum dir_place place)
{
	return place == DIR_OUT || place == DIR_ERR;
}

void dirs_init(struct dirs *d, const char *root)
{
	*d = (struct dirs){.root = mem_strdup(root)};
}

static void dir_free(struct dir *dir)
{
	for (size_t i = 0; i < DIR_PLACES; i++)
		free(dir->paths[i]);
	free(dir);
}

void dirs_fini(struct dirs *d)
{
	while (d->idle) {
		struct dir *dir = d->idle;
		d->idle = dir->next;
		dir_free(dir);
	}
	free(d->root);
	*d = (struct dirs){0};
}

static int record(struct dir *dir, enum dir_place place)
{
	struct stat st;
	if (lstat(dir->paths[place], &st) < 0)
		return -errno;
	dir->stamps[place] = (struct dir_stamp){st.st_ino, st.st_mode, st.st_ctim};
	return 0;
}

static int build(struct dir *dir)
{
	int rc = 0;
	dir->is_settled = false;
	for (int i = 0; rc == 0 && i < DIR_PLACES; i++) {
		if (is_file(i)) {
			int fd = open(dir->paths[i],
				      O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
			rc = fd < 0 ? -errno : 0;
			if (fd >= 0)
				close(fd);
		} else {
			rc = mkdir(dir->paths[i], 0700) < 0 ? -errno : 0;
		}
	}
	for (int i = 0; rc == 0 && i < DIR_PLACES; i++)
		rc = record(dir, i);
	return rc;
}

int dirs_take(struct dirs *d, struct dir **dirp)
{
	struct dir *dir = d->idle;
	if (dir) {
		d->idle = dir->next;
		d->idle_count--;
		dir->next = NULL;
		*dirp = dir;
		return 0;
	}
	dir = mem_alloc(sizeof *dir);
	uint32_t number = d->next_number++;
	for (int i = 0; i < DIR_PLACES; i++) {
		char *path;
		if (asprintf(&path, "%s/%u%s", d->root, number, names[i]) < 0)
			abort();
		dir->paths[i] = path;
	}
	int rc = build(dir);
	if (rc < 0) {
		dir_drop(dir);
		return rc;
	}
	*dirp = dir;
	return 0;
}

static int64_t since_ns(const struct timespec *now, const struct timespec *then)
{
	return (now->tv_sec - then->tv_sec) * (int64_t)NS_PER_S +
	       (now->tv_nsec - then->tv_nsec);
}

void dir_mark_start(struct dir *dir)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	dir->is_settled = true;
	for (int i = 0; i < DIR_PLACES; i++)
		if (!is_file(i) &&
		    since_ns(&now, &dir->stamps[i].ctime) < (int64_t)TICK_NS)
			dir->is_settled = false;
}

/* Only what build() makes is in it: three folders and two files in the outer one, else nothing. */
static bool holds_only_ours(const struct dir *dir, enum dir_place place)
{
	DIR *entries = opendir(dir->paths[place]);
	if (!entries)
		return false;
	int count = 0;
	for (struct dirent *e; (e = readdir(entries));)
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			count++;
	closedir(entries);
	/* The five by name are checked one by one. */
	return count == (place == DIR_SELF ? DIR_PLACES - 1 : 0);
}

static bool is_untouched(const struct dir *dir, enum dir_place place)
{
	struct stat st;
	const struct dir_stamp *was = &dir->stamps[place];
	if (lstat(dir->paths[place], &st) < 0 || st.st_ino != was->inode ||
	    st.st_mode != was->mode)
		return false;
	if (is_file(place)) /* its content is all there is to it */
		return st.st_nlink == 1 &&
		       (st.st_size == 0 || truncate(dir->paths[place], 0) == 0);
	return st.st_ctim.tv_sec == was->ctime.tv_sec &&
	       st.st_ctim.tv_nsec == was->ctime.tv_nsec &&
	       (dir->is_settled || holds_only_ours(dir, place));
}

bool dir_refresh(struct dir *dir)
{
	for (int i = 0; i < DIR_PLACES; i++)
		if (!is_untouched(dir, i))
			return false;
	return true;
}

int dir_rebuild(struct dir *dir)
{
	int rc = fs_remove_tree(dir->paths[DIR_SELF]);
	return rc < 0 ? rc : build(dir);
}

void dirs_put(struct dirs *d, struct dir *dir)
{
	if (d->idle_count >= IDLE_MAX) {
		dir_drop(dir);
		return;
	}
	dir->next = d->idle;
	d->idle = dir;
	d->idle_count++;
}

void dir_drop(struct dir *dir)
{
	fs_remove_tree(dir->paths[DIR_SELF]);
	dir_free(dir);
}

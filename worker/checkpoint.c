/* checkpoint.c - see checkpoint.h. Blobs of a checkpoint are always uploaded, never sent inside a
 * report: a report that does not end its task is not kept. */
#include "worker/checkpoint.h"

#include "common/fs.h"
#include "common/pure/mem.h"
#include "worker/output_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool checkpoint_is_empty(const struct dir *dir)
{
	const char *path = dir->paths[DIR_CHECKPOINT];
	DIR *entries = opendir(path);
	struct stat st;
	if (!entries)
		return lstat(path, &st) < 0;
	bool empty = true;
	for (struct dirent *e; empty && (e = readdir(entries));)
		empty = !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..");
	closedir(entries);
	return empty;
}

/* Return: 0; 1 with the reason in @e if it cannot be kept; negative errno. */
static int walk(const char *path, uint64_t max, struct report *r, struct err *e)
{
	struct stat st;
	CLEANUP_FREE char *root = realpath(path, NULL);
	if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode) || !root) {
		err_set(e, ERR_FAILED, "it is not a folder any more");
		return 1;
	}
	struct output_walk w = {.report = r, .root = root, .bytes_max = max};
	return output_add(&w, root, &r->checkpoint_content, e);
}

int checkpoint_collect(const struct dir *dir, uint64_t max, struct report *r)
{
	size_t noted = r->blob_count;
	struct err e = {0};
	r->outcome.checkpoint = &r->checkpoint;
	if (checkpoint_is_empty(dir))
		return 0;
	int rc = walk(dir->paths[DIR_CHECKPOINT], max, r, &e);
	if (rc == 0) {
		r->checkpoint.content = &r->checkpoint_content;
		return 0;
	}
	r->blob_count = noted;
	/* It changes no more, so what cannot be read now cannot be read later. */
	r->checkpoint.left_out = report_text(r, rc > 0 ? e.what : strerror(-rc));
	return 0;
}

static void say(const char *err, const char *what, const char *why)
{
	CLEANUP_BUF struct buf line = {0};
	buf_printf(&line, "cashet: %s: %s\n", what, why);
	int fd = open(err, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	fs_write_all(fd, line.data, line.size);
	close(fd);
}

/* Part of it may be there. */
static enum layout_result empty_folder(const char *dir, struct err *e)
{
	int rc = fs_remove_tree(dir);
	if (rc == 0 && mkdir(dir, 0700) < 0)
		rc = -errno;
	if (rc == 0)
		return LAYOUT_OK;
	err_set(e, ERR_FAILED, "emptying %s: %s", dir, strerror(-rc));
	return LAYOUT_ERROR;
}

enum layout_result checkpoint_lay_out(const struct checkpoint_place *place, struct err *e)
{
	if (place->left_out)
		say(place->err, "the checkpoint of the last attempt was left out",
		    place->left_out);
	if (!place->digest)
		return LAYOUT_OK;
	struct err why = {0};
	enum layout_result result =
		layout_folder(place->dir, place->digest, place->source, NULL, &why);
	switch (result) {
	case LAYOUT_OK:
		return LAYOUT_OK;
	case LAYOUT_FULL:
	case LAYOUT_CANCELLED:
		*e = why;
		return result;
	case LAYOUT_MISSING:
		err_set(&why, ERR_NOT_FOUND, "the store does not have all of it");
		break;
	case LAYOUT_BAD:
	case LAYOUT_ABSENT:
	case LAYOUT_ERROR:
		break;
	}
	say(place->err, "starting without the checkpoint of an earlier attempt",
	    why.what);
	return empty_folder(place->dir, e);
}

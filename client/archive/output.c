/* output.c - see output.h. Where the file system can, the file has no name while it is written, so that
 * not even kill -9 leaves one behind. */
#include "client/archive/output.h"

#include "common/fs.h"
#include "common/rand.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int cannot(struct err *e, const char *path, const char *what, int error)
{
	return err_set(e, ERR_FAILED, "%s cannot be %s: %s", path, what, strerror(error));
}

static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return strdup(".");
	return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static int open_standard(struct output *o, struct err *e)
{
	if (isatty(STDOUT_FILENO)) {
		err_set(e, ERR_USAGE, "an archive is nothing for a terminal");
		err_next(e, "name a file, or pipe it to another program");
		return ERR_USAGE;
	}
	o->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	o->is_whole = true;
	o->is_open = o->fd >= 0;
	return o->is_open ? 0 : cannot(e, "standard output", "written", errno);
}

static char *temp_name(const char *path)
{
	uint64_t number;
	char *name = NULL;
	rand_bytes(&number, sizeof number);
	return asprintf(&name, "%s.%08" PRIx64 ".tmp", path, number) < 0 ? NULL : name;
}

static int open_temp(struct output *o, const char *folder)
{
	mode_t mode = fs_output_mode(o->path, 0666);
	o->fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
	if (o->fd >= 0 || errno == EACCES || errno == ENOENT || errno == EROFS)
		return o->fd < 0 ? errno : 0;
	o->temp = temp_name(o->path);
	if (!o->temp)
		return ENOMEM;
	o->fd = open(o->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	return o->fd < 0 ? errno : 0;
}

int output_open(struct output *o, const char *path, struct err *e)
{
	if (strcmp(path, "-") == 0)
		return open_standard(o, e);
	int rc = fs_output_find(path, &o->path, &o->fd);
	int error = -rc;
	if (!rc && !o->path) { /* a device, a pipe, standard output by another name */
		o->is_whole = true;
	} else if (!rc) {
		char *folder = folder_of(o->path);
		error = folder ? open_temp(o, folder) : ENOMEM;
		free(folder);
	}
	o->is_open = !error;
	return error ? cannot(e, path, "made", error) : 0;
}

int output_publish(struct output *o, struct err *e)
{
	char from[64];
	if (o->is_whole)
		return 0;
	fs_output_like(o->fd, o->path);
	if (fsync(o->fd) < 0)
		return cannot(e, o->path, "written", errno);
	if (!o->temp) {
		char *name = temp_name(o->path);
		snprintf(from, sizeof from, "/proc/self/fd/%d", o->fd);
		if (!name ||
		    linkat(AT_FDCWD, from, AT_FDCWD, name, AT_SYMLINK_FOLLOW) < 0) {
			int error = name ? errno : ENOMEM;
			free(name);
			return cannot(e, o->path, "made", error);
		}
		o->temp = name;
	}
	if (rename(o->temp, o->path) < 0)
		return cannot(e, o->path, "made", errno);
	free(o->temp);
	o->temp = NULL;
	char *folder = folder_of(o->path);
	int rc = folder ? fs_sync_dir(folder) : -ENOMEM;
	free(folder);
	return rc ? cannot(e, o->path, "put on disk", -rc) : 0;
}

void output_close(struct output *o)
{
	if (o->temp)
		unlink(o->temp);
	if (o->is_open)
		close(o->fd);
	free(o->temp);
	free(o->path);
	*o = (struct output){0};
}

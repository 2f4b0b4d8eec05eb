/* secrets.c - see secrets.h. A value is the content of secrets/NAME in the configuration folder, less
 * one line end, else the worker's own variable NAME. The worker of a private broker takes files only:
 * its environment is that of whoever happened to start the broker, perhaps days ago, and would give
 * one value today and an older one, or none, tomorrow.
 *
 * Values go into the task's environment and into nothing that outlives the start of the task. */
#include "worker/secrets.h"

#include "common/fs.h"
#include "common/names.h"
#include "common/pure/mem.h"
#include "proto/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VALUE_MAX 65536 /* execve() takes 128 KiB in one variable */

/* Kubernetes and others mount secrets as links, so a link is followed; what counts is the file. */
static int check_file(int fd, const char *path, struct err *e)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_set(e, ERR_FAILED, "cannot read %s: %s", path,
			       strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_USAGE, "%s is not a file", path);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return err_set(e, ERR_NOT_ALLOWED,
			       "%s belongs to somebody else (user %u): make it this "
			       "worker's own (user %u)",
			       path, st.st_uid, geteuid());
	if (st.st_mode & 077)
		return err_set(e, ERR_NOT_ALLOWED,
			       "others can read or change %s (mode %03o): chmod 600 it, "
			       "and change the secret if somebody may have read it",
			       path, st.st_mode & 0777);
	if (st.st_size > VALUE_MAX + 2)
		return err_set(e, ERR_USAGE, "%s has more than 64 KiB", path);
	return 0;
}

/* Without the end of its line, which editors and echo add. */
static size_t value_size(const uint8_t *data, size_t size)
{
	if (size && data[size - 1] == '\n')
		size--;
	if (size && data[size - 1] == '\r')
		size--;
	return size;
}

static int add_value(struct buf *out, const char *name, const char *where,
		     const uint8_t *data, size_t size, struct err *e)
{
	if (!size)
		return err_set(e, ERR_USAGE, "%s is empty", where);
	if (size > VALUE_MAX)
		return err_set(e, ERR_USAGE, "%s has more than 64 KiB", where);
	if (memchr(data, 0, size))
		return err_set(e, ERR_USAGE,
			       "%s has a NUL byte, which no variable can hold", where);
	buf_add_str(out, name);
	buf_add_byte(out, '=');
	buf_add(out, data, size);
	buf_add_byte(out, 0);
	return 0;
}

static int add_from_file(struct buf *out, const char *name, const char *path, int fd,
			 struct err *e)
{
	static const size_t room = VALUE_MAX + 3;
	int rc = check_file(fd, path, e);
	if (rc)
		return rc;
	uint8_t *data = malloc(room);
	if (!data)
		return err_set(e, ERR_FAILED, "out of memory");
	int64_t size = fs_read_full(fd, data, room);
	if (size < 0)
		rc = err_set(e, ERR_FAILED, "cannot read %s: %s", path,
			     strerror((int)-size));
	else
		rc = add_value(out, name, path, data, value_size(data, (size_t)size), e);
	explicit_bzero(data, room);
	free(data);
	return rc;
}

/* is_of_worker() - another attempt may well fare better. */
static bool is_of_worker(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == EIO ||
	       error == EINTR || error == ESTALE;
}

static int add_one(struct buf *out, const char *name, bool files_only, struct err *e)
{
	const char *problem = names_secret_problem(name); /* it becomes a path */
	if (problem)
		return err_set(e, ERR_USAGE, "it cannot be one: %s", problem);
	CLEANUP_FREE char *dir = key_dir();
	CLEANUP_FREE char *path = NULL;
	if (!dir || asprintf(&path, "%s/secrets/%s", dir, name) < 0)
		return err_set(e, ERR_FAILED, "out of memory");
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0) {
		int rc = add_from_file(out, name, path, fd, e);
		close(fd);
		return rc;
	}
	if (errno != ENOENT && errno != ENOTDIR)
		return err_set(e, is_of_worker(errno) ? ERR_FAILED : ERR_NOT_ALLOWED,
			       "cannot read %s: %s", path, strerror(errno));
	if (files_only)
		return err_set(e, ERR_NOT_FOUND,
			       "there is no %s; with a private broker, values come "
			       "from files (mode 600) only",
			       path);
	const char *value = getenv(name);
	if (value && *value)
		return add_value(out, name, "the worker's variable",
				 (const uint8_t *)value, strlen(value), e);
	return err_set(e, ERR_NOT_FOUND,
		       "there is no %s (mode 600), and no such variable in the "
		       "worker's environment",
		       path);
}

int secrets_add(struct buf *strings, uint32_t *envcp, const struct secrets_want *want,
		struct err *e)
{
	for (size_t i = 0; i < want->count; i++) {
		struct err why = {0};
		int rc = add_one(strings, want->names[i], want->files_only, &why);
		if (rc)
			return err_set(e, why.code, "secret %.128s on worker %s: %s",
				       want->names[i], want->worker, why.what);
		++*envcp;
	}
	return 0;
}

void secrets_wipe(struct buf *strings)
{
	if (strings->data)
		explicit_bzero(strings->data, strings->capacity);
	buf_fini(strings);
}

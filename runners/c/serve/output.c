/* output.c - see output.h. */
#include "runners/c/serve/output.h"

#include "common/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define HIGH 32 /* descriptors below the limit */

int output_keep_high(int fd)
{
	struct rlimit limit;
	int from = 3;
	if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur > 2 * HIGH)
		from = (int)(limit.rlim_cur < (1u << 20) ? limit.rlim_cur : (1u << 20)) -
		       HIGH;
	int high = fcntl(fd, F_DUPFD_CLOEXEC, from);
	return high < 0 ? -errno : high;
}

int output_init(struct output *o, const char *dir, const char *name, int target)
{
	CLEANUP_BUF struct buf path = {0};
	struct stat st;
	*o = (struct output){.fd = -1, .target = target, .name = name};
	buf_printf(&path, "%s/%s", dir, name);
	int fd = open(buf_cstr(&path), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	o->fd = output_keep_high(fd);
	close(fd);
	if (o->fd < 0)
		return o->fd;
	if (fstat(o->fd, &st))
		return -errno;
	o->inode = st.st_ino;
	o->device = st.st_dev;
	/* Where it does not yet go there. */
	return output_restore(o, false);
}

void output_fini(struct output *o)
{
	buf_fini(&o->bytes);
	if (o->fd >= 0)
		close(o->fd);
}

int output_restore(struct output *o, bool quiet)
{
	struct stat st;
	FILE *stream = o->target == 1 ? stdout : stderr;
	if (fileno(stream) != o->target)
		return -EBADF; /* fclose(): there is no way back */
	if (quiet && __fpending(stream) == 0) {
		clearerr(stream);
		o->size = 0;
		return 0;
	}
	if (fstat(o->target, &st) || st.st_ino != o->inode || st.st_dev != o->device) {
		if (fcntl(STDIN_FILENO, F_GETFD) < 0)
			open("/dev/null", O_RDONLY); /* the lowest that is free */
		if (dup2(o->fd, o->target) < 0 || fstat(o->target, &st))
			return -errno;
	}
	if (__fpending(stream) > 0) {
		fflush(stream);
		if (fstat(o->target, &st))
			return -errno;
	}
	clearerr(stream);
	o->size = (uint64_t)st.st_size;
	return 0;
}

static int read_inline(struct output *o, struct frame_part *part)
{
	buf_reset(&o->bytes);
	uint8_t *to = buf_reserve(&o->bytes, o->size);
	ssize_t got = to ? pread(o->fd, to, o->size, 0) : -1;
	if (got < 0)
		return to ? -errno : -ENOMEM;
	o->bytes.size = (size_t)got;
	*part = (struct frame_part){.where = FRAME_INLINE,
				    .size = o->bytes.size,
				    .bytes = {o->bytes.data, o->bytes.size}};
	return 0;
}

/* copy_out() - to a file of its own, since the descriptors of the process stay with this one. */
static int copy_out(struct output *o, uint64_t id, int results, struct frame_part *part)
{
	snprintf(o->file, sizeof o->file, "%" PRIu64 ".%s", id, o->name);
	int fd = openat(results, o->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int status = 0;
	uint64_t done = 0;
	char piece[16 << 10];
	while (status == 0 && done < o->size) {
		ssize_t got = pread(o->fd, piece, sizeof piece, (off_t)done);
		if (got <= 0) {
			status = got < 0 ? -errno : 0;
			break;
		}
		status = fs_write_all(fd, piece, (size_t)got);
		done += (uint64_t)got;
	}
	close(fd);
	*part = (struct frame_part){
		.where = FRAME_PATH,
		.size = done,
		.bytes = {(const uint8_t *)o->file, strlen(o->file)},
	};
	return status;
}

int output_take(struct output *o, bool is_inline, uint64_t id, int results,
		struct frame_part *part)
{
	*part = (struct frame_part){.where = FRAME_INLINE};
	if (o->size == 0)
		return 0;
	int status = is_inline ? read_inline(o, part) : copy_out(o, id, results, part);
	if (status == 0 && ftruncate(o->fd, 0))
		status = -errno;
	o->size = 0;
	return status;
}

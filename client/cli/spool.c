/* spool.c - see spool.h. */
#include "client/cli/spool.h"

#include "common/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE (256u << 10)

void spool_fini(struct spool *s)
{
	buf_fini(&s->memory);
	if (s->fd > 0)
		close(s->fd);
	*s = (struct spool){0};
}

static int open_unnamed(void)
{
	const char *dir = getenv("TMPDIR");
	char path[4096];
	if (!dir || !*dir)
		dir = "/tmp";
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	snprintf(path, sizeof path, "%s/cashet-XXXXXX", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd < 0 ? -errno : fd;
}

static void spill(struct spool *s)
{
	if (s->fd == 0) {
		int fd = open_unnamed();
		if (fd < 0) {
			s->error = fd;
			return;
		}
		s->fd = fd;
	}
	s->error = fs_write_all(s->fd, s->memory.data, s->memory.size);
	buf_reset(&s->memory);
}

void spool_add(struct spool *s, const void *data, size_t size)
{
	if (s->error)
		return;
	buf_add(&s->memory, data, size);
	if (s->memory.failed)
		s->error = -ENOMEM;
	else if (s->memory.size >= SPOOL_MEMORY)
		spill(s);
}

int spool_rewind(struct spool *s)
{
	if (s->error == 0 && s->fd > 0)
		spill(s);
	s->at = 0;
	s->file_at = 0;
	return s->error;
}

static void read_more(struct spool *s, size_t size)
{
	size_t left = s->memory.size - s->at;
	memmove(s->memory.data, s->memory.data + s->at, left);
	s->memory.size = left;
	s->at = 0;
	while (s->error == 0 && s->memory.size < size) {
		uint8_t *to = buf_reserve(&s->memory, size > PIECE ? size : PIECE);
		ssize_t n = to ? pread(s->fd, to, size > PIECE ? size : PIECE,
				       (off_t)s->file_at)
			       : -1;
		if (n == 0)
			return;
		if (n < 0) {
			s->error = to ? -errno : -ENOMEM;
			continue;
		}
		s->memory.size += (size_t)n;
		s->file_at += (uint64_t)n;
	}
}

const void *spool_next(struct spool *s, size_t size)
{
	if (s->memory.size - s->at < size && s->fd > 0 && s->error == 0)
		read_more(s, size);
	if (s->error || s->memory.size - s->at < size)
		return NULL;
	s->at += size;
	return s->memory.data + s->at - size;
}

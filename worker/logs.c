/* logs.c - see logs.h. */
#include "worker/logs.h"

#include "common/fs.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOLE_MIN (4u << 20) /* smaller ones are not worth a system call */
#define HOLE_ALIGN 65536u
#define PIECE (1u << 20)

void log_bound(const char *path, uint64_t *punchedp)
{
	struct stat st;
	if (stat(path, &st) < 0 || !log_needs_trim((uint64_t)st.st_size))
		return;
	uint64_t start = *punchedp > LOG_KEEP ? *punchedp : LOG_KEEP;
	uint64_t end = ((uint64_t)st.st_size - LOG_KEEP) / HOLE_ALIGN * HOLE_ALIGN;
	if (end < start + HOLE_MIN)
		return;
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)start,
		      (off_t)(end - start)) == 0)
		*punchedp = end;
	close(fd);
}

static int copy_range(int from, uint64_t offset, uint64_t size, int to)
{
	CLEANUP_FREE char *piece = mem_alloc(PIECE);
	while (size) {
		ssize_t n = pread(from, piece, size < PIECE ? (size_t)size : PIECE,
				  (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		int rc = fs_write_all(to, piece, (size_t)n);
		if (rc < 0)
			return rc;
		offset += (uint64_t)n;
		size -= (uint64_t)n;
	}
	return 0;
}

int log_trim(int from, uint64_t size, int to)
{
	if (!log_needs_trim(size))
		return copy_range(from, 0, size, to);
	char mark[96];
	int n = snprintf(mark, sizeof mark,
			 "\n[cashet: %" PRIu64 " bytes left out here]\n",
			 size - 2 * (uint64_t)LOG_KEEP);
	int rc = copy_range(from, 0, LOG_KEEP, to);
	if (rc == 0)
		rc = fs_write_all(to, mark, (size_t)n);
	return rc ? rc : copy_range(from, size - LOG_KEEP, LOG_KEEP, to);
}

int log_read(const char *path, uint64_t *offsetp, uint64_t punched, size_t max,
	     struct buf *out, uint64_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	struct stat st;
	int rc = fstat(fd, &st) < 0 ? -errno : 0;
	if (rc == 0) {
		*size = (uint64_t)st.st_size;
		if (*offsetp >= LOG_KEEP && *offsetp < punched)
			*offsetp = punched;
		if (*offsetp < LOG_KEEP && punched && max > LOG_KEEP - *offsetp)
			max = (size_t)(LOG_KEEP - *offsetp);
		uint8_t *to = buf_reserve(out, max);
		ssize_t n = to ? pread(fd, to, max, (off_t)*offsetp) : 0;
		rc = n < 0 ? -errno : 0;
		out->size += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	return rc;
}

/* direct.c - see direct.h. */
#include "common/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t floor_of(uint64_t at)
{
	return at & ~(uint64_t)(DIRECT_ALIGN - 1);
}

static size_t sum(const struct iovec *parts, int count)
{
	size_t size = 0;
	for (int i = 0; i < count; i++)
		size += parts[i].iov_len;
	return size;
}

bool direct_switch(int fd, bool around)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return false;
	flags = around ? flags | O_DIRECT : flags & ~O_DIRECT;
	return (fcntl(fd, F_SETFL, flags) == 0) == around;
}

int direct_room_init(struct direct_room *room, size_t size)
{
	size = floor_of(size + DIRECT_ALIGN - 1) + 2 * (size_t)DIRECT_ALIGN;
	room->data = aligned_alloc(DIRECT_ALIGN, size);
	room->size = room->data ? size : 0;
	return room->data ? 0 : -ENOMEM;
}

void direct_room_fini(struct direct_room *room)
{
	free(room->data);
	*room = (struct direct_room){0};
}

int direct_piece_make(struct direct_piece *piece, size_t size, uint64_t at)
{
	if (piece->room.size < size + 2 * (size_t)DIRECT_ALIGN) {
		direct_room_fini(&piece->room);
		if (direct_room_init(&piece->room, size))
			return -ENOMEM;
	}
	piece->data = piece->room.data + DIRECT_ALIGN + at % DIRECT_ALIGN;
	piece->size = size;
	return 0;
}

/* ---- writing ---- */

void direct_tail_add(struct direct_tail *tail, uint64_t at, const struct iovec *parts,
		     int count)
{
	uint64_t boundary = floor_of(at + sum(parts, count));
	for (int i = 0; i < count; i++) {
		const uint8_t *from = parts[i].iov_base;
		uint64_t end = at + parts[i].iov_len;
		if (parts[i].iov_len && end > boundary) {
			uint64_t skip = at < boundary ? boundary - at : 0;
			memcpy(tail->bytes + (at + skip) % DIRECT_ALIGN, from + skip,
			       parts[i].iov_len - skip);
		}
		at = end;
	}
}

static int write_all(int fd, const uint8_t *data, size_t size, uint64_t at)
{
	while (size) {
		ssize_t n = pwrite(fd, data, size, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		/* A device with larger blocks, a file system that thinks otherwise now. */
		if (n < 0 && errno == EINVAL && (fcntl(fd, F_GETFL) & O_DIRECT)) {
			(void)direct_switch(fd, false);
			continue;
		}
		if (n < 0)
			return -errno;
		/* What comes after a write that was cut is not aligned any more. */
		if ((size_t)n < size && n % DIRECT_ALIGN)
			(void)direct_switch(fd, false);
		data += n;
		at += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

int direct_write(int fd, const struct direct_tail *before, uint64_t at,
		 const struct iovec *parts, int count, struct direct_room *room)
{
	uint64_t start = floor_of(at), end = floor_of(at + sum(parts, count));
	size_t filled = (size_t)(at - start);
	memcpy(room->data, before->bytes, filled);
	for (int i = 0; i < count && start < end; i++) {
		const uint8_t *from = parts[i].iov_base;
		size_t left = parts[i].iov_len;
		while (left && start < end) {
			size_t part = room->size - filled;
			part = part < left ? part : left;
			memcpy(room->data + filled, from, part);
			filled += part;
			from += part;
			left -= part;
			if (filled < room->size && start + filled < end)
				continue;
			size_t whole = filled;
			if (start + whole > end)
				whole = (size_t)(end - start);
			int rc = write_all(fd, room->data, whole, start);
			if (rc)
				return rc;
			start += whole;
			filled = 0;
		}
	}
	return 0;
}

int direct_write_piece(int fd, const struct direct_tail *before, uint64_t at,
		       const struct iovec *heads, int count,
		       const struct direct_piece *piece)
{
	uint64_t start = floor_of(at), data_at = at + sum(heads, count);
	size_t front = (size_t)(data_at - start);
	size_t stands = (size_t)(piece->data - piece->room.data);
	if (front > stands || (stands - front) % DIRECT_ALIGN)
		return 1;
	uint8_t *from = piece->data - front, *to = from + (at - start);
	memcpy(from, before->bytes, (size_t)(at - start));
	for (int i = 0; i < count; i++) {
		if (heads[i].iov_len) /* an empty one may be nowhere */
			to = mempcpy(to, heads[i].iov_base, heads[i].iov_len);
	}
	return write_all(fd, from, (size_t)(floor_of(data_at + piece->size) - start),
			 start);
}

int direct_end(int fd, const struct direct_tail *tail, uint64_t size)
{
	uint64_t start = floor_of(size);
	(void)direct_switch(fd, false);
	return write_all(fd, tail->bytes, (size_t)(size - start), start);
}

/* ---- reading ---- */

void direct_reader_init(struct direct_reader *reader, int fd, uint64_t kept)
{
	char path[64];
	struct stat st;
	*reader = (struct direct_reader){.fd = fd, .around = -1};
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size <= kept)
		return;
	void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return;
	reader->map = map;
	reader->size = (size_t)st.st_size;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	reader->around = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
}

void direct_reader_fini(struct direct_reader *reader)
{
	if (reader->map) {
		munmap(reader->map, reader->size);
		if (reader->around >= 0)
			close(reader->around);
	}
	*reader = (struct direct_reader){.fd = -1, .around = -1};
}

/* is_kept() - is all of it in the cache? A read that does not wait would tell, too, but has the kernel
 * read ahead. */
static bool is_kept(const struct direct_reader *reader, uint64_t at, size_t size)
{
	unsigned char pages[512];
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t end = at + size < reader->size ? at + size : reader->size;
	for (at -= at % page; at < end; at += sizeof pages * page) {
		size_t part = sizeof pages * page;
		part = part < end - at ? part : (size_t)(end - at);
		size_t count = (part + page - 1) / page;
		if (mincore((uint8_t *)reader->map + at, part, pages) < 0)
			return true; /* let the kernel see to it */
		for (size_t i = 0; i < count; i++)
			if (!(pages[i] & 1))
				return false;
	}
	return true;
}

/* copy_out() - @data to where byte @done of @parts is. */
static void copy_out(const struct iovec *parts, int count, size_t done,
		     const uint8_t *data, size_t size)
{
	for (int i = 0; i < count && size; i++) {
		size_t length = parts[i].iov_len;
		if (done >= length) {
			done -= length;
			continue;
		}
		size_t part = length - done < size ? length - done : size;
		memcpy((uint8_t *)parts[i].iov_base + done, data, part);
		data += part;
		size -= part;
		done = 0;
	}
}

static int64_t read_kept(int fd, uint64_t at, const struct iovec *parts, int count)
{
	struct iovec left[64];
	size_t done = 0, size = sum(parts, count);
	while (done < size) {
		int n = 0;
		size_t skip = done;
		for (int i = 0; i < count && n < (int)ARRAY_LEN(left); i++) {
			if (skip >= parts[i].iov_len) {
				skip -= parts[i].iov_len;
				continue;
			}
			left[n++] = (struct iovec){(uint8_t *)parts[i].iov_base + skip,
						   parts[i].iov_len - skip};
			skip = 0;
		}
		ssize_t got = preadv(fd, left, n, (off_t)(at + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (int64_t)done;
}

static int64_t read_around(int around, uint64_t at, const struct iovec *parts, int count,
			   struct direct_room *room)
{
	size_t size = sum(parts, count), done = 0;
	while (done < size) {
		uint64_t from = at + done, start = floor_of(from);
		size_t skip = (size_t)(from - start), want = size - done + skip;
		want = (size_t)floor_of(want + DIRECT_ALIGN - 1);
		want = want < room->size ? want : room->size;
		ssize_t n = pread(around, room->data, want, (off_t)start);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if ((size_t)n <= skip)
			break;
		size_t got = (size_t)n - skip;
		got = got < size - done ? got : size - done;
		copy_out(parts, count, done, room->data + skip, got);
		done += got;
	}
	return (int64_t)done;
}

int64_t direct_read(const struct direct_reader *reader, uint64_t at,
		    const struct iovec *parts, int count, struct direct_room *room)
{
	if (reader->map && reader->around >= 0 &&
	    !is_kept(reader, at, sum(parts, count))) {
		int64_t n = read_around(reader->around, at, parts, count, room);
		if (n != -EINVAL)
			return n;
	}
	return read_kept(reader->fd, at, parts, count);
}

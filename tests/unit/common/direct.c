/* direct.c - what goes around the cache is what came, however it is cut, whoever writes first, and also
 * where the disk cannot do it. */
#include "common/direct.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool refuses; /* the disk takes nothing around the cache */
static int writes_around, reads_around;

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
	if (fcntl(fd, F_GETFL) & O_DIRECT) {
		cr_assert(size % DIRECT_ALIGN == 0 && at % DIRECT_ALIGN == 0);
		writes_around++;
		if (refuses) {
			errno = EINVAL;
			return -1;
		}
	}
	return syscall(SYS_pwrite64, fd, data, size, at);
}

ssize_t pread(int fd, void *out, size_t size, off_t at)
{
	reads_around++;
	return syscall(SYS_pread64, fd, out, size, at);
}

/* A file whose file system can do it, or, where the test is run, none that can. */
static int scratch(void)
{
	char path[] = "/var/tmp/direct-XXXXXX";
	int fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	unlink(path);
	return fd;
}

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

#define PIECES 64
struct piece {
	uint64_t at;
	struct iovec parts[3];
	struct direct_tail before;
};

/* @size bytes in pieces that are placed in order and written in another one. */
static void write_file(int fd, uint8_t *data, size_t size, uint32_t seed)
{
	static struct piece pieces[PIECES];
	struct direct_tail tail = {{0}};
	struct direct_room room;
	uint64_t at = 0;
	cr_assert_eq(direct_room_init(&room, 10000), 0);
	for (int i = 0; i < PIECES; i++) {
		struct piece *p = &pieces[i];
		p->at = at;
		p->before = tail;
		for (int k = 0; k < 3; k++) {
			size_t part = next_random(&seed) % (i % 2 ? 30000 : 700);
			if ((i == PIECES - 1 && k == 2) || part > size - at)
				part = size - at;
			p->parts[k] = (struct iovec){data + at, part};
			at += part;
		}
		direct_tail_add(&tail, p->at, p->parts, 3);
	}
	for (int i = 0; i < PIECES; i++) {
		struct piece *p = &pieces[(i * 29 + 7) % PIECES];
		cr_assert_eq(direct_write(fd, &p->before, p->at, p->parts, 3, &room), 0);
	}
	cr_assert_eq(direct_end(fd, &tail, size), 0);
	cr_assert_not(fcntl(fd, F_GETFL) & O_DIRECT);
	direct_room_fini(&room);
}

static void check(int fd, const uint8_t *data, size_t size)
{
	uint8_t *back = malloc(size + 1);
	cr_assert_eq(lseek(fd, 0, SEEK_END), (off_t)size);
	cr_assert_eq(syscall(SYS_pread64, fd, back, size + 1, 0ul), (long)size);
	cr_assert_eq(memcmp(back, data, size), 0);
	free(back);
}

static uint8_t *make(size_t size)
{
	uint8_t *data = malloc(size + 1);
	uint32_t state = 2463534242;
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)next_random(&state);
	return data;
}

Test(direct, pieces_that_are_written_in_any_order_make_the_file)
{
	static const size_t sizes[] = {1, 4095, 4096, 4097, 100000, 500000};
	uint8_t *data = make(500000);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		int fd = scratch();
		(void)direct_switch(fd, true);
		write_file(fd, data, sizes[i], (uint32_t)i + 1);
		check(fd, data, sizes[i]);
		close(fd);
	}
	free(data);
}

Test(direct, a_disk_that_cannot_gets_the_same_bytes_through_the_cache)
{
	uint8_t *data = make(500000);
	int fd = scratch();
	refuses = true;
	bool around = direct_switch(fd, true);
	write_file(fd, data, 500000, 9);
	cr_assert_eq(writes_around, around ? 1 : 0, "it is tried once");
	check(fd, data, 500000);
	close(fd);
	fd = memfd_create("direct", MFD_CLOEXEC);
	(void)direct_switch(fd, true);
	refuses = false;
	write_file(fd, data, 500000, 9);
	check(fd, data, 500000);
	close(fd);
	free(data);
}

static void read_some(const struct direct_reader *reader, const uint8_t *data,
		      size_t size)
{
	struct direct_room room;
	uint8_t *back = malloc(size);
	uint32_t seed = 77;
	cr_assert_eq(direct_room_init(&room, 10000), 0);
	for (int i = 0; i < 50; i++) {
		size_t at = next_random(&seed) % size,
		       want = next_random(&seed) % (i % 2 ? 90000 : 900) + 2;
		size_t there = want < size - at ? want : size - at;
		struct iovec parts[] = {{back, 1},
					{back + 1, want / 2},
					{back + 1 + want / 2, want - 1 - want / 2}};
		if (want > size)
			continue;
		cr_assert_eq(direct_read(reader, at, parts, 3, &room), (int64_t)there);
		cr_assert_eq(memcmp(back, data + at, there), 0);
	}
	direct_room_fini(&room);
	free(back);
}

Test(direct, what_is_read_is_the_same_from_the_cache_and_from_the_disk)
{
	size_t size = 300001;
	uint8_t *data = make(size);
	struct direct_reader reader;
	int fd = scratch();
	write_file(fd, data, size, 5);
	direct_reader_init(&reader, fd, size);
	cr_assert_null(reader.map, "it is not larger than what is kept");
	read_some(&reader, data, size);
	direct_reader_fini(&reader);
	direct_reader_init(&reader, fd, size - 1);
	cr_assert(reader.map);
	read_some(&reader, data, size);
	cr_assert_eq(fsync(fd), 0);
	cr_assert_eq(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	int before = reads_around;
	read_some(&reader, data, size);
	cr_assert(reader.around < 0 || reads_around > before);
	direct_reader_fini(&reader);
	direct_reader_fini(&reader); /* twice is fine */
	close(fd);
	free(data);
}

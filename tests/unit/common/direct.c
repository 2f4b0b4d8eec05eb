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

/* One piece of its own, the second of two; what is before it is @front bytes, then two heads. @off: how
 * far from where it should stand. Return: was it written from where it is? */
static bool write_own(int fd, const uint8_t *data, size_t front, const size_t heads[2],
		      size_t size, size_t off)
{
	struct direct_tail before = {{0}}, after;
	struct direct_piece piece = {0};
	struct direct_room room;
	size_t at = front + heads[0] + heads[1];
	struct iovec parts[] = {{(void *)data, front},
				{(void *)(data + front), heads[0]},
				{(void *)(data + front + heads[0]), heads[1]},
				{NULL, size}};
	cr_assert_eq(direct_room_init(&room, 10000), 0);
	cr_assert_eq(direct_piece_make(&piece, size, at + off), 0);
	memcpy(piece.data, data + at, size);
	parts[3].iov_base = piece.data;
	cr_assert_eq(direct_write(fd, &before, 0, parts, 1, &room), 0);
	direct_tail_add(&before, 0, parts, 1);
	after = before;
	direct_tail_add(&after, front, parts + 1, 3);
	int rc = direct_write_piece(fd, &before, front, parts + 1, 2, &piece);
	cr_assert(rc == 0 || rc == 1);
	if (rc)
		cr_assert_eq(direct_write(fd, &before, front, parts + 1, 3, &room), 0);
	cr_assert_eq(direct_end(fd, &after, at + size), 0);
	const uint8_t *memory = piece.room.data; /* what is large enough stays */
	cr_assert_eq(direct_piece_make(&piece, size / 2, 3), 0);
	cr_assert_eq(piece.room.data, memory);
	direct_room_fini(&piece.room);
	direct_room_fini(&room);
	return rc == 0;
}

Test(direct, a_piece_that_stands_as_it_will_stand_is_written_from_where_it_is)
{
	static const struct {
		size_t front, heads[2], size, off;
		bool own;
	} rows[] = {
		{0, {0, 9}, 100000, 0, true},	    {4087, {0, 9}, 8192, 0, true},
		{5000, {0, 9}, 100000, 0, true},    {5000, {0, 9}, 100000, 1, false},
		{5000, {3, 9}, 20, 0, true},	    {4095, {4000, 9}, 50000, 0, true},
		{4095, {8000, 9}, 50000, 0, false}, /* the heads have no room */
		{8192, {0, 0}, 4096, 0, true},	    {70000, {100, 9}, 1, 4095, false},
	};
	uint8_t *data = make(200000);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int fd = scratch();
		(void)direct_switch(fd, true);
		cr_assert_eq(write_own(fd, data, rows[i].front, rows[i].heads,
				       rows[i].size, rows[i].off),
			     rows[i].own, "row %zu", i);
		check(fd, data,
		      rows[i].front + rows[i].heads[0] + rows[i].heads[1] + rows[i].size);
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

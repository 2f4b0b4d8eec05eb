/* cas_dir.c - what is particular to blobs in a directory: how files look, what faults of the disk do.
 * Calls of the store to fsync() and pwritev() come by here first, so that the disk can be full or
 * broken when a test wants it. */
#include "broker/store/cas_dir.h"
#include "common/fs.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"
#include "common/rand.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <zstd.h>

static int fsync_error, write_error;
static int fsyncs;
static atomic_int writes_around;
static int64_t room = INT64_MAX; /* bytes that the disk still takes */

int fsync(int fd)
{
	fsyncs++;
	errno = fsync_error;
	return fsync_error ? -1 : (int)syscall(SYS_fsync, fd);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
	if (write_error || room <= 0) {
		errno = write_error ? write_error : ENOSPC;
		return -1;
	}
	/* Less than was asked for, as a disk that is nearly full does. */
	struct iovec first = parts[0];
	if (count > 1 && room == INT64_MAX)
		return syscall(SYS_pwritev, fd, parts, count, (unsigned long)offset, 0ul);
	if ((int64_t)first.iov_len > room)
		first.iov_len = (size_t)room;
	room -= room == INT64_MAX ? 0 : (int64_t)first.iov_len;
	return pwrite(fd, first.iov_base, first.iov_len, offset);
}

/* Writes around the cache. */
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
	if (fcntl(fd, F_GETFL) & O_DIRECT) {
		writes_around++;
		if (write_error || room < (int64_t)size) {
			errno = write_error ? write_error : ENOSPC;
			return -1;
		}
		room -= room == INT64_MAX ? 0 : (int64_t)size;
	}
	return syscall(SYS_pwrite64, fd, data, size, offset);
}

static char folder[64];
static struct cas *cas;

static void setup(void)
{
	struct err e = {0};
	fsync_error = write_error = 0;
	room = INT64_MAX;
	strcpy(folder, "/tmp/cas-dir-XXXXXX");
	cr_assert(mkdtemp(folder));
	cr_assert_eq(cas_open_dir(&cas, folder, &e), 0, "%s", e.what);
}

static void teardown(void)
{
	cas_free(cas);
	fs_remove_tree(folder);
}

TestSuite(cas_dir, .init = setup, .fini = teardown);

static const char *path_of(const uint8_t *digest)
{
	static char path[256];
	char hex[HEX_DIGEST_SIZE];
	hex_encode(hex, digest, DIGEST_SIZE);
	snprintf(path, sizeof path, "%s/objects/%.2s/%s", folder, hex, hex + 2);
	return path;
}

static size_t files_in(const char *name)
{
	char path[256];
	size_t count = 0;
	snprintf(path, sizeof path, "%s/%s", folder, name);
	DIR *dir = opendir(path);
	cr_assert(dir);
	for (const struct dirent *entry; (entry = readdir(dir));)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

static uint8_t *random_bytes(size_t size)
{
	uint8_t *data = mem_alloc(size);
	rand_bytes(data, size);
	return data;
}

Test(cas_dir, a_blob_is_a_read_only_zstd_file)
{
	static const size_t sizes[] = {5, 300000, 3000000};
	for (size_t i = 0; i < 2 * ARRAY_LEN(sizes); i++) {
		size_t size = sizes[i / 2];
		uint8_t *data = i % 2 ? random_bytes(size) : mem_alloc(size),
			name[DIGEST_SIZE];
		struct buf file = {0};
		struct stat st;
		cr_assert_eq(cas_put(cas, data, size, NULL, name), 0);
		cr_assert_eq(stat(path_of(name), &st), 0);
		cr_assert_eq(st.st_mode & 07777, 0444);
		cr_assert_eq(fs_read_file(path_of(name), 4 << 20, &file), 0);
		uint8_t *out = mem_alloc(size + 1);
		cr_assert_eq(ZSTD_decompress(out, size + 1, file.data, file.size), size);
		cr_assert_eq(memcmp(out, data, size), 0);
		/* What does not compress costs next to nothing on top. */
		cr_assert_leq(file.size, size + size / 10000 + 100);
		cr_assert(i % 2 || file.size < size / 100 + 100);
		buf_fini(&file);
		free(out);
		free(data);
	}
	struct stat st;
	char objects[128];
	snprintf(objects, sizeof objects, "%s/objects", folder);
	cr_assert_eq(stat(objects, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0700);
}

Test(cas_dir, nothing_is_acknowledged_before_file_and_folder_are_synced)
{
	fsyncs = 0;
	uint8_t name[DIGEST_SIZE];
	cr_assert_eq(cas_put(cas, "hello", 5, NULL, name), 0);
	cr_assert_eq(fsyncs, 3); /* the file, objects/ with a new folder, that folder */
	fsyncs = 0;
	cr_assert_eq(cas_put(cas, "hello", 5, NULL, name), 0);
	cr_assert_eq(fsyncs,
		     1); /* of who stored it first, the folder may not be synced yet */
}

Test(cas_dir, after_a_failed_sync_nothing_is_acknowledged_any_more)
{
	uint8_t name[DIGEST_SIZE];
	fsync_error = EIO;
	cr_assert_eq(cas_broken(cas), 0);
	cr_assert_eq(cas_put(cas, "hello", 5, NULL, name), -EIO);
	fsync_error = 0; /* the kernel reports it once */
	cr_assert_eq(cas_put(cas, "other", 5, NULL, name), -EIO);
	cr_assert_eq(cas_broken(cas), -EIO);
	cr_assert_eq(files_in("tmp"), 0);
}

Test(cas_dir, a_full_disk_keeps_nothing_and_recovers_by_itself)
{
	size_t size = 3 << 20;
	uint8_t *data = random_bytes(size), name[DIGEST_SIZE];
	for (int64_t left = 0; left < 4 << 20; left += 700001) {
		room = left;
		int rc = cas_put(cas, data, size, NULL, name);
		if (left < (int64_t)size) {
			cr_assert_eq(rc, CAS_E_FULL, "%d", rc);
			cr_assert_eq(files_in("tmp"), 0);
			cr_assert_eq(files_in("objects"), 0);
		}
	}
	fsync_error = ENOSPC; /* delayed allocation says it late */
	room = INT64_MAX;
	cr_assert_eq(cas_put(cas, "hello", 5, NULL, name), CAS_E_FULL);
	cr_assert_eq(files_in("tmp"), 0);
	fsync_error = 0;
	cr_assert_eq(cas_put(cas, "hello", 5, NULL, name), 0);
	cr_assert_eq(cas_broken(cas), 0);
	free(data);
}

Test(cas_dir, writing_errors_of_other_kinds_are_passed_on)
{
	uint8_t name[DIGEST_SIZE];
	write_error = EROFS;
	cr_assert_eq(cas_put(cas, "hello", 5, NULL, name), -EROFS);
	cr_assert_eq(files_in("tmp"), 0);
}

Test(cas_dir, a_torn_file_under_a_final_name_is_replaced_by_the_next_put)
{
	static const size_t sizes[] = {4000, 2500000};
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		uint8_t *data = random_bytes(sizes[i]), name[DIGEST_SIZE];
		struct stat st;
		cr_assert_eq(cas_put(cas, data, sizes[i], NULL, name), 0);
		cr_assert_eq(stat(path_of(name), &st), 0);
		for (int k = 0; k < 3; k++) {
			off_t torn = k == 0 ? 0 : k == 1 ? 10 : st.st_size - 1;
			cr_assert_eq(chmod(path_of(name), 0600), 0);
			cr_assert_eq(truncate(path_of(name), torn), 0);
			cr_assert_eq(cas_put(cas, data, sizes[i], NULL, name), 0);
			struct buf out = {0};
			cr_assert_eq(cas_read(cas, name, sizes[i], &out), 0);
			buf_fini(&out);
		}
		cr_assert_eq(truncate(path_of(name), st.st_size / 2), 0);
		cr_assert_eq(cas_has(cas, name, NULL),
			     CAS_E_MISSING); /* and told before read */
		free(data);
	}
	cr_assert_eq(files_in("quarantine"), 2);
}

Test(cas_dir, a_corrupt_blob_is_kept_aside_for_people)
{
	uint8_t name[DIGEST_SIZE];
	struct buf out = {0};
	cr_assert_eq(cas_put(cas, "hello hello hello", 17, NULL, name), 0);
	cr_assert_eq(chmod(path_of(name), 0600), 0);
	int fd = open(path_of(name), O_WRONLY);
	cr_assert_eq(pwrite(fd, "\x77", 1, 50), 1);
	close(fd);
	cr_assert_eq(cas_read(cas, name, 100, &out), CAS_E_CORRUPT);
	cr_assert_eq(files_in("quarantine"), 1);
	cr_assert_eq(cas_has(cas, name, NULL), CAS_E_MISSING);
	buf_fini(&out);
}

Test(cas_dir, who_reads_a_bad_file_does_not_take_away_a_good_one)
{
	size_t size = 3 << 20;
	uint8_t *data = random_bytes(size), name[DIGEST_SIZE], *out = mem_alloc(size);
	struct cas_get *get = NULL;
	cr_assert_eq(cas_put(cas, data, size, NULL, name), 0);
	cr_assert_eq(chmod(path_of(name), 0600), 0);
	int fd = open(path_of(name), O_WRONLY);
	cr_assert_eq(pwrite(fd, "\x77\x77\x77\x77", 4, (off_t)size - 100), 4);
	close(fd);
	cr_assert_eq(cas_get_open(cas, name, &get, NULL), 0);
	cr_assert_eq(cas_remove(cas, name), 0); /* meanwhile it was recomputed */
	cr_assert_eq(cas_put(cas, data, size, NULL, name), 0);
	int64_t n;
	while ((n = cas_get_read(get, out, size)) > 0)
		continue;
	cr_assert_eq(n, -EBADMSG);
	cas_get_close(get);
	cr_assert_eq(cas_has(cas, name, NULL), 0);
	cr_assert_eq(files_in("quarantine"), 0);
	free(out);
	free(data);
}

Test(cas_dir, what_a_crash_left_in_tmp_is_gone_after_opening)
{
	struct err e = {0};
	struct cas_put *put = NULL;
	size_t size = 12 << 20; /* more than is on its way at a time */
	uint8_t *data = random_bytes(size), name[DIGEST_SIZE];
	cr_assert_eq(cas_put(cas, "hello", 5, NULL, name), 0);
	cr_assert_eq(cas_put_open(cas, &put), 0);
	cr_assert_eq(cas_put_write(put, data, size), 0);
	cr_assert_eq(files_in("tmp"), 1);
	struct cas *after = NULL; /* as if the process had died */
	cr_assert_eq(cas_open_dir(&after, folder, &e), 0, "%s", e.what);
	cr_assert_eq(files_in("tmp"), 0);
	cr_assert_eq(cas_has(after, name, NULL), 0);
	cas_free(after);
	cas_put_abort(put);
	free(data);
}

/* Put, told to be of another size; read back. */
static int put_expected(size_t size, uint64_t expected)
{
	struct cas_put *put = NULL;
	uint8_t *data = random_bytes(size), name[DIGEST_SIZE];
	cr_assert_eq(cas_put_open(cas, &put), 0);
	cas_put_expect(put, expected);
	int rc = cas_put_write(put, data, size);
	if (rc)
		cas_put_abort(put);
	else
		rc = cas_put_commit(put, NULL, name, NULL);
	if (rc == 0) {
		struct buf out = {0};
		cr_assert_eq(cas_read(cas, name, size, &out), 0);
		cr_assert(out.size == size && memcmp(out.data, data, size) == 0);
		buf_fini(&out);
	}
	free(data);
	return rc;
}

Test(cas_dir, a_large_blob_goes_around_the_cache_from_where_it_is_large)
{
	int probe = open(folder, O_TMPFILE | O_RDWR | O_DIRECT, 0600);
	cr_assert_eq(put_expected(3 << 20, 3 << 20), 0);
	cr_assert_eq(writes_around, 0);
	cr_assert_eq(put_expected((3 << 20) + 5, 1 << 30), 0);
	cr_assert(probe < 0 || writes_around >= 3);
	writes_around = 0;
	cr_assert_eq(put_expected((18 << 20) + 77, UINT64_MAX), 0);
	cr_assert(probe < 0 || (writes_around && writes_around <= 3));
	if (probe >= 0)
		close(probe);
}

Test(cas_dir, a_disk_that_is_full_takes_no_large_blob_around_the_cache_either)
{
	for (int i = 0; i < 3; i++) {
		room = (2 << 20) * (int64_t)i;
		cr_assert_eq(put_expected(9 << 20, 1 << 30), CAS_E_FULL);
		cr_assert_eq(files_in("tmp"), 0);
	}
	room = INT64_MAX;
	cr_assert_eq(put_expected(9 << 20, 1 << 30), 0);
}

struct coming {
	pthread_t thread;
	uint8_t seed;
	bool stop; /* atomic */
};

static void *come_and_go(void *arg)
{
	struct coming *c = arg;
	for (uint32_t i = 0; !__atomic_load_n(&c->stop, __ATOMIC_ACQUIRE); i++) {
		uint8_t data[64] = {c->seed, (uint8_t)i, (uint8_t)(i >> 8)};
		uint8_t name[DIGEST_SIZE];
		cr_assert_eq(cas_put(cas, data, 3 + i % 60, NULL, name), 0);
		if (i % 3)
			cr_assert_eq(cas_remove(cas, name), 0);
	}
	return NULL;
}

Test(cas_dir, files_are_counted_anew_while_others_come_and_go)
{
	struct coming coming[2] = {{.seed = 1}, {.seed = 2}};
	struct cas_counts before, found;
	for (uint32_t i = 0; i < 300; i++)
		cr_assert_eq(cas_put(cas, &i, sizeof i, NULL, NULL), 0);
	cas_take_counts(cas, &before);
	cas_free(cas);
	cr_assert_eq(cas_open_dir(&cas, folder, NULL), 0);
	for (unsigned i = 0; i < 2; i++)
		cr_assert_eq(
			pthread_create(&coming[i].thread, NULL, come_and_go, &coming[i]),
			0);
	for (unsigned i = 0; i < 20; i++) {
		cr_assert_eq(cas_recount(cas, NULL, NULL, &found), 0);
		cr_assert_eq(found.objects, before.objects);
		cr_assert_eq(found.bytes, before.bytes);
		cr_assert_eq(found.stored, before.stored);
	}
	for (unsigned i = 0; i < 2; i++) {
		__atomic_store_n(&coming[i].stop, true, __ATOMIC_RELEASE);
		pthread_join(coming[i].thread, NULL);
	}
}

Test(cas_dir, strange_files_are_no_blobs)
{
	char path[256];
	uint8_t name[DIGEST_SIZE] = {0xab};
	struct buf out = {0};
	cr_assert_eq(mkdir(path_of(name), 0700), -1); /* no such fan-out folder yet */
	snprintf(path, sizeof path, "%s/objects/ab", folder);
	cr_assert_eq(mkdir(path, 0700), 0);
	cr_assert_eq(mkdir(path_of(name), 0700), 0);
	cr_assert_eq(cas_read(cas, name, 10, &out), CAS_E_MISSING);
	cr_assert_eq(rmdir(path_of(name)), 0);
	cr_assert_eq(symlink("/etc/passwd", path_of(name)), 0);
	cr_assert_eq(cas_read(cas, name, 10, &out), CAS_E_MISSING);
	cr_assert_eq(unlink(path_of(name)), 0);
	cr_assert_eq(mkfifo(path_of(name), 0600), 0);
	cr_assert_eq(cas_read(cas, name, 10, &out), CAS_E_MISSING);
	buf_fini(&out);
}

Test(cas_dir, a_store_that_cannot_be_written_is_an_error_that_names_it)
{
	struct err e = {0};
	struct cas *other = NULL;
	cr_assert_neq(cas_open_dir(&other, "/proc/nowhere", &e), 0);
	cr_assert(strstr(e.what, "/proc/nowhere"), "%s", e.what);
}

/* ---- frames ---- */

Test(frame, a_header_claims_a_size_and_nothing_else_passes_as_one)
{
	uint8_t header[FRAME_HEADER_SIZE];
	uint64_t size = 0;
	frame_put_header(header, 123456789012);
	cr_assert_eq(frame_get_header(header, &size), 0);
	cr_assert_eq(size, 123456789012);
	for (int i = 0; i < 16; i++) {
		header[i] ^= 1;
		cr_assert_eq(frame_get_header(header, &size), 1, "byte %d", i);
		header[i] ^= 1;
	}
	frame_put_header(header, 0); /* the empty blob is never stored */
	cr_assert_eq(frame_get_header(header, &size), 1);
}

Test(frame, a_sample_tells_noise_from_text)
{
	uint8_t *noise = random_bytes(1 << 20), *text = mem_alloc(1 << 20);
	for (size_t i = 0; i < 1 << 20; i++)
		text[i] = (uint8_t) "0123456789abcdef"[noise[i] & 15];
	cr_assert_not(frame_compresses(noise, 1 << 20));
	cr_assert(frame_compresses(text, 1 << 20));
	memset(noise, 'x', 1 << 18); /* a quarter is enough */
	cr_assert(frame_compresses(noise, 1 << 20));
	free(noise);
	free(text);
}

/* A header that promises much and frames that hold little, or the other way round. */
Test(frame, a_bomb_gives_out_no_more_than_its_header_says)
{
	size_t size = 1 << 20;
	uint8_t *zeroes = mem_alloc(size), *packed = mem_alloc(frame_bound(size));
	ZSTD_CCtx *context = ZSTD_createCCtx();
	size_t packed_size =
		frame_compress(context, zeroes, size, packed, frame_bound(size));
	cr_assert_gt(packed_size, 0);
	static const uint64_t claims[] = {1, (1 << 20) - 1, (1 << 20) + 1, 1ull << 40};
	for (size_t i = 0; i <= ARRAY_LEN(claims); i++) {
		uint8_t header[FRAME_HEADER_SIZE], digest[DIGEST_SIZE] = {(uint8_t)i, 1};
		char path[256];
		struct buf file = {0}, out = {0};
		frame_put_header(header, i < ARRAY_LEN(claims) ? claims[i] : size);
		buf_add(&file, header, sizeof header);
		buf_add(&file, packed, packed_size);
		snprintf(path, sizeof path, "%s/objects/%02zx", folder, i);
		fs_mkdir_p(path, 0700);
		cr_assert_eq(fs_write_atomic(path_of(digest), file.data, file.size, 0444),
			     0);
		/* The last one is in order but for its name. */
		cr_assert_eq(cas_read(cas, digest, 1 << 30, &out),
			     i == 3 ? -EFBIG : CAS_E_CORRUPT, "%zu", i);
		cr_assert_eq(out.size, 0);
		buf_fini(&file);
		buf_fini(&out);
	}
	ZSTD_freeCCtx(context);
	free(packed);
	free(zeroes);
}

TestSuite(frame, .init = setup, .fini = teardown);

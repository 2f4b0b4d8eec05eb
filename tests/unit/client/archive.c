/* Archives: what is written is read again; what a reader remembers; what a disk that is full says. */
#include "client/archive/output.h"
#include "client/archive/read.h"
#include "client/archive/write.h"
#include "common/format/call_args.h"
#include "common/format/source.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int64_t read_fd(void *arg, void *out, size_t size)
{
	ssize_t n = read(*(int *)arg, out, size);
	return n < 0 ? -errno : n;
}

static int scratch(void)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	cr_assert(fd >= 0);
	return fd;
}

/* Bytes that compress, or hardly. */
static uint8_t *make(size_t size, bool random, uint8_t digest[DIGEST_SIZE])
{
	uint8_t *data = mem_alloc(size + 1);
	uint64_t x = 88172645463325252ull;
	for (size_t i = 0; i < size; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		data[i] = random ? (uint8_t)x : (uint8_t)(i / 1000);
	}
	sha256_digest(data, size, digest);
	return data;
}

static const struct blob {
	size_t size;
	bool random;
} blobs[] = {{1, false},
	     {63, true},
	     {4096, false},
	     {4097, true},
	     {300000, false},
	     {1u << 20, true},
	     {(1u << 20) + 1, false},
	     {14u << 20, true}, /* from here on it goes around the cache */
	     {(7u << 20) - 3, false}};

static void write_blobs(int fd, struct archive_counts *counts, uint64_t *bytes)
{
	struct archive_writer *w = archive_writer_new(fd);
	uint8_t digest[DIGEST_SIZE];
	cr_assert_eq(archive_write_head(w, 1, "test"), 0);
	for (size_t i = 0; i < ARRAY_LEN(blobs); i++) {
		CLEANUP_FREE uint8_t *data = make(blobs[i].size, blobs[i].random, digest);
		cr_assert_eq(archive_write_blob(w, CONTENT_FILE, digest), 0);
		cr_assert_eq(archive_write_content(w, data, blobs[i].size, NULL, 0), 0);
		cr_assert_eq(archive_write_blob_end(w), 0);
	}
	memset(digest, 7, sizeof digest);
	cr_assert_eq(archive_write_absent(w, digest), 0);
	cr_assert_eq(archive_write_end(w, counts, bytes), 0);
	archive_writer_free(w);
}

Test(archive, what_is_written_is_read_again)
{
	int fd = scratch();
	struct archive_counts counts;
	struct archive_entry entry;
	struct err e = {0};
	uint64_t bytes;
	write_blobs(fd, &counts, &bytes);
	cr_assert_eq(counts.blobs, ARRAY_LEN(blobs));
	cr_assert_eq(counts.absent, 1);
	cr_assert_eq(bytes, (uint64_t)lseek(fd, 0, SEEK_END));
	lseek(fd, 0, SEEK_SET);
	struct archive_reader *r = archive_reader_new(read_fd, &fd, UINT64_MAX);
	for (size_t i = 0; i < ARRAY_LEN(blobs); i++) {
		uint8_t digest[DIGEST_SIZE];
		CLEANUP_FREE uint8_t *data = make(blobs[i].size, blobs[i].random, digest);
		cr_assert_eq(archive_read(r, &entry, &e), 0, "%s", e.what);
		cr_assert_eq(entry.kind, ARCHIVE_BLOB);
		cr_assert_arr_eq(entry.digest, digest, DIGEST_SIZE);
		if (i % 3 == 1)
			continue; /* is verified all the same */
		const void *part;
		size_t at = 0, size = 1;
		while (size) {
			cr_assert_eq(
				archive_read_content(r, 100000, &part, &size, NULL, &e),
				0);
			cr_assert(size <= blobs[i].size - at);
			cr_assert(!size || memcmp(part, data + at, size) == 0);
			at += size;
		}
		cr_assert_eq(at, blobs[i].size);
	}
	cr_assert_eq(archive_read(r, &entry, &e), 0, "%s", e.what);
	cr_assert_eq(entry.kind, ARCHIVE_FINISHED);
	cr_assert_eq(memcmp(archive_read_counts(r), &counts, sizeof counts), 0);
	cr_assert_eq(archive_read_bytes(r), bytes);
	archive_reader_free(r);
	close(fd);
}

#define MANY                                                                             \
	(40u                                                                             \
	 << 20) /* so much that it goes around the cache, in a file that is made longer ahead */

/* An archive of one blob, as it is in the store: pieces as they are, then one that is packed here. */
static void write_pieces(int fd, const uint8_t *data, const uint8_t *digest,
			 uint64_t *bytes)
{
	struct archive_writer *w = archive_writer_new(fd);
	struct archive_counts counts;
	struct direct_piece piece = {0};
	unsigned known = 0, count = 0;
	uint64_t at;
	cr_assert_eq(archive_write_head(w, 1, "test"), 0);
	cr_assert_eq(archive_write_blob(w, CONTENT_FILE, digest), 0);
	for (size_t done = 0; done < MANY; count++) {
		size_t part = count % 9 == 8 ? 5 + count : ARCHIVE_PIECE - count % 3;
		part = part < MANY - done ? part : MANY - done;
		bool is_known = archive_write_at(w, &at);
		known += is_known;
		if (count == 20) { /* nobody knows how it compresses */
			cr_assert_eq(archive_write_content(w, data + done, part, NULL, 0),
				     0);
		} else {
			at = is_known ? at + ARCHIVE_PIECE_HEAD : count;
			cr_assert_eq(direct_piece_make(&piece, part, at), 0);
			memcpy(piece.data, data + done, part);
			cr_assert_eq(archive_write_piece(w, &piece), 0);
		}
		done += part;
	}
	cr_assert_geq(known, 20);
	cr_assert_eq(archive_write_blob_end(w), 0);
	cr_assert_eq(archive_write_end(w, &counts, bytes), 0);
	cr_assert(archive_write_at(w, &at));
	cr_assert_eq(at, *bytes);
	cr_assert_eq(counts.bytes, MANY);
	archive_writer_free(w);
	direct_room_fini(&piece.room);
}

static void read_pieces(int fd, const uint8_t *digest)
{
	struct archive_entry entry;
	struct err e = {0};
	lseek(fd, 0, SEEK_SET);
	struct archive_reader *r = archive_reader_new(read_fd, &fd, UINT64_MAX);
	cr_assert_eq(archive_read(r, &entry, &e), 0, "%s", e.what);
	cr_assert_arr_eq(entry.digest, digest, DIGEST_SIZE);
	cr_assert_eq(archive_read(r, &entry, &e), 0, "%s", e.what); /* verified */
	cr_assert_eq(entry.kind, ARCHIVE_FINISHED);
	archive_reader_free(r);
}

Test(archive, memory_of_pieces_goes_along_and_the_file_is_as_long_as_they_are)
{
	uint8_t digest[DIGEST_SIZE];
	uint64_t bytes;
	CLEANUP_FREE uint8_t *data = make(MANY, true, digest);
	int fd = scratch();
	write_pieces(fd, data, digest, &bytes);
	cr_assert_eq(bytes, (uint64_t)lseek(fd, 0, SEEK_END));
	read_pieces(fd, digest);
	/* One that was longer before stays so. */
	uint8_t last = 7;
	cr_assert_eq(pwrite(fd, &last, 1, 2 * MANY), 1);
	lseek(fd, 0, SEEK_SET);
	write_pieces(fd, data, digest, &bytes);
	cr_assert_eq(lseek(fd, 0, SEEK_CUR), (off_t)bytes);
	cr_assert_eq(lseek(fd, 0, SEEK_END), 2 * MANY + 1);
	close(fd);
	int ends[2];
	cr_assert_eq(pipe(ends), 0); /* nobody reads: an error, and no more than that */
	close(ends[0]);
	signal(SIGPIPE, SIG_IGN);
	struct archive_writer *w = archive_writer_new(ends[1]);
	struct direct_piece piece = {0};
	int rc = archive_write_blob(w, CONTENT_FILE, digest);
	for (int i = 0; i < 20 && !rc; i++) {
		cr_assert_eq(direct_piece_make(&piece, ARCHIVE_PIECE, 0), 0);
		memset(piece.data, i, ARCHIVE_PIECE);
		rc = archive_write_piece(w, &piece);
	}
	cr_assert_eq(rc, -EPIPE);
	archive_writer_free(w);
	direct_room_fini(&piece.room);
	close(ends[1]);
}

Test(archive, a_file_that_is_given_up_is_no_longer_than_what_was_written)
{
	uint8_t digest[DIGEST_SIZE] = {1};
	struct direct_piece piece = {0};
	int fd = scratch();
	struct archive_writer *w = archive_writer_new(fd);
	cr_assert_eq(archive_write_blob(w, CONTENT_FILE, digest), 0);
	for (int i = 0; i < 40; i++) {
		cr_assert_eq(direct_piece_make(&piece, ARCHIVE_PIECE, 0), 0);
		memset(piece.data, i, ARCHIVE_PIECE);
		cr_assert_eq(archive_write_piece(w, &piece), 0);
	}
	archive_writer_free(w);
	cr_assert_leq(lseek(fd, 0, SEEK_END), 40 * (ARCHIVE_PIECE + 9) + 100);
	direct_room_fini(&piece.room);
	close(fd);
}

static int flip_and_read(int fd, off_t at)
{
	struct archive_entry entry = {0};
	struct err e = {0};
	uint8_t byte;
	cr_assert_eq(pread(fd, &byte, 1, at), 1);
	byte ^= 1;
	cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
	lseek(fd, 0, SEEK_SET);
	struct archive_reader *r = archive_reader_new(read_fd, &fd, UINT64_MAX);
	int rc = 0;
	while (!rc && entry.kind != ARCHIVE_FINISHED)
		rc = archive_read(r, &entry, &e);
	archive_reader_free(r);
	byte ^= 1;
	cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
	return rc;
}

Test(archive, every_bit_that_was_flipped_is_seen)
{
	int fd = scratch();
	struct archive_counts counts;
	uint64_t bytes;
	write_blobs(fd, &counts, &bytes);
	for (uint64_t at = 0; at < bytes; at += at < 4096 ? 97 : 999331)
		cr_assert_eq(flip_and_read(fd, (off_t)at), ERR_USAGE, "byte %llu",
			     (unsigned long long)at);
	close(fd);
}

Test(archive, a_disk_that_is_full_is_told)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct archive_writer *w = archive_writer_new(fd);
	struct archive_counts counts;
	uint8_t digest[DIGEST_SIZE];
	uint64_t bytes;
	CLEANUP_FREE uint8_t *data = make(4u << 20, true, digest);
	archive_write_head(w, 1, "test");
	archive_write_blob(w, CONTENT_FILE, digest);
	for (int i = 0; i < 8; i++)
		archive_write_content(w, data, 4u << 20, NULL, 0);
	archive_write_blob_end(w);
	cr_assert_eq(archive_write_end(w, &counts, &bytes), -ENOSPC);
	archive_writer_free(w);
	w = archive_writer_new(fd); /* given up half way */
	archive_write_blob(w, CONTENT_FILE, digest);
	archive_write_content(w, data, 4u << 20, NULL, 0);
	archive_writer_free(w);
	close(fd);
}

Test(archive, digests_are_remembered_with_all_that_is_known_of_them)
{
	struct seen s = {0};
	uint8_t digest[DIGEST_SIZE];
	for (uint32_t i = 0; i < 20000; i++) {
		sha256_digest(&i, sizeof i, digest);
		cr_assert_eq(seen_bits(&s, digest), 0);
		cr_assert_eq(seen_add(&s, digest, SEEN_FILE), 0);
	}
	for (uint32_t i = 0; i < 20000; i += 3) {
		sha256_digest(&i, sizeof i, digest);
		cr_assert_eq(seen_add(&s, digest, SEEN_TREE), 0);
	}
	cr_assert_eq(s.count, 20000);
	for (uint32_t i = 0; i < 20000; i++) {
		struct content c = {.type = CONTENT_TREE};
		sha256_digest(&i, sizeof i, c.digest);
		cr_assert_eq(seen_bits(&s, c.digest),
			     i % 3 ? SEEN_FILE : SEEN_FILE | SEEN_TREE);
		cr_assert_eq(seen_has(&s, &c), i % 3 == 0);
		c.type = CONTENT_EXEC;
		cr_assert(seen_has(&s, &c));
	}
	seen_fini(&s);
}

Test(archive, a_file_appears_when_it_is_complete)
{
	char folder[] = "/tmp/cashet-archive-XXXXXX", path[64];
	struct output o = {0};
	struct err e = {0};
	cr_assert(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/a", folder);
	cr_assert_eq(output_open(&o, path, &e), 0);
	cr_assert_eq(write(o.fd, "x", 1), 1);
	cr_assert_eq(access(path, F_OK), -1);
	output_close(&o);
	cr_assert_eq(access(path, F_OK), -1);
	for (int i = 0; i < 2; i++) { /* the second takes the place of the first */
		cr_assert_eq(output_open(&o, path, &e), 0);
		cr_assert_eq(write(o.fd, "xy", i + 1), i + 1);
		cr_assert_eq(output_publish(&o, &e), 0, "%s", e.what);
		output_close(&o);
		struct stat st;
		cr_assert_eq(stat(path, &st), 0);
		cr_assert_eq(st.st_size, i + 1);
	}
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(rmdir(folder), 0); /* nothing else is in it */
}

/* ---- sources ---- */

#define CODE "def train(): pass\n"

static void write_blob(struct archive_writer *w, uint64_t type, const void *data,
		       size_t size)
{
	uint8_t digest[DIGEST_SIZE];
	sha256_digest(data, size, digest);
	cr_assert_eq(archive_write_blob(w, type, digest), 0);
	cr_assert_eq(archive_write_content(w, data, size, NULL, 0), 0);
	cr_assert_eq(archive_write_blob_end(w), 0);
}

/* @file: with the one that it names. Return: what reading all of it gives. */
static int read_source(bool file, bool whole, struct err *e)
{
	struct source_file f = {.path = (char *)"a.py", .size = sizeof CODE - 1};
	struct source s = {.files = &f, .file_count = 1};
	CLEANUP_BUF struct buf source = {0};
	struct archive_counts counts;
	struct archive_entry entry = {0};
	uint64_t bytes;
	sha256_digest(CODE, sizeof CODE - 1, f.digest);
	source_encode(&source, &s);
	int fd = scratch();
	struct archive_writer *w = archive_writer_new(fd);
	cr_assert_eq(archive_write_head(w, 1, "test"), 0);
	if (file)
		write_blob(w, CONTENT_FILE, CODE, sizeof CODE - 1);
	write_blob(w, ARCHIVE_SOURCE, source.data, source.size - !whole);
	cr_assert_eq(archive_write_end(w, &counts, &bytes), 0);
	archive_writer_free(w);
	lseek(fd, 0, SEEK_SET);
	struct archive_reader *r = archive_reader_new(read_fd, &fd, UINT64_MAX);
	int rc = 0;
	while (!rc && entry.kind != ARCHIVE_FINISHED)
		rc = archive_read(r, &entry, e);
	archive_reader_free(r);
	close(fd);
	return rc;
}

Test(archive, source_comes_behind_its_files)
{
	struct err e = {0};
	cr_assert_eq(read_source(true, true, &e), 0, "%s", e.what);
	cr_assert_eq(read_source(false, true, &e), ERR_USAGE);
	cr_assert(strstr(e.what, "did not come before"), "%s", e.what);
	cr_assert_eq(read_source(true, false, &e), ERR_USAGE);
	cr_assert(strstr(e.what, "malformed"), "%s", e.what);
}

static int note_ref(void *arg, const struct content *content)
{
	uint8_t *types = arg;
	types[types[0] = (uint8_t)(types[0] + 1)] = content->type;
	return 0;
}

Test(archive, commit_of_a_call_names_its_source_and_json_is_a_file)
{
	struct arg ref = {.type = ARG_REF, .content.type = CONTENT_PICKLE};
	struct call_args call = {.positional = &ref, .positional_count = 1};
	CLEANUP_BUF struct buf args = {0};
	uint8_t types[16] = {0};
	cr_assert_eq(call_args_encode(&args, &call), 0);
	struct commit c = {.args = args.data,
			   .args_size = args.size,
			   .result.type = CONTENT_JSON,
			   .has_source = true};
	cr_assert_eq(archive_refs_of_commit(&c, false, note_ref, types), 0);
	static const uint8_t wanted[] = {4, ARCHIVE_FUNCTION, ARCHIVE_SOURCE,
					 CONTENT_PICKLE, CONTENT_JSON};
	cr_assert_arr_eq(types, wanted, sizeof wanted);
	struct seen seen = {0};
	cr_assert_eq(seen_add(&seen, c.result.digest, SEEN_FILE), 0);
	cr_assert(seen_has(&seen, &c.result));
	cr_assert(seen_has(&seen, &ref.content));
	seen_fini(&seen);
}

/* cas.c - the contract of the blob store, one suite over all backends: what cas.h
 * promises, whoever keeps the bytes. A new backend is a row in backends[]: how to make
 * one, and how to spoil a blob. */
#include "broker/store/cas_ops.h"
#include "common/direct.h"
#include "common/fs.h"
#include "common/pure/buf.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

struct fixture {
	const struct backend *backend;
	char folder[64];
	struct cas *cas;
};

struct backend {
	const char *name;
	void (*open)(struct fixture *f);
	/* Flip one bit of what is stored of @digest; @where from 0 to 1 of its length. */
	void (*spoil)(struct fixture *f, const uint8_t *digest, double where);
};

static void open_dir(struct fixture *f)
{
	strcpy(f->folder, "/tmp/cas-contract-XXXXXX");
	cr_assert(mkdtemp(f->folder));
	struct err e = {0};
	cr_assert_eq(cas_open_dir(&f->cas, f->folder, &e), 0, "%s", e.what);
}

static void spoil_dir(struct fixture *f, const uint8_t *digest, double where)
{
	char hex[HEX_DIGEST_SIZE], path[256];
	hex_encode(hex, digest, DIGEST_SIZE);
	snprintf(path, sizeof path, "%s/objects/%.2s/%s", f->folder, hex, hex + 2);
	cr_assert_eq(chmod(path, 0600), 0);
	int fd = open(path, O_RDWR);
	cr_assert_geq(fd, 0);
	struct stat st;
	fstat(fd, &st);
	off_t at = (off_t)((double)(st.st_size - 1) * where);
	uint8_t byte;
	cr_assert_eq(pread(fd, &byte, 1, at), 1);
	byte ^= 0x10;
	cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void open_memory(struct fixture *f)
{
	cr_assert_eq(cas_open_memory(&f->cas), 0);
}

static void spoil_memory(struct fixture *f, const uint8_t *digest, double where)
{
	uint64_t size = 0;
	cr_assert_eq(cas_has(f->cas, digest, &size), 0);
	cas_memory_flip(f->cas, digest, (uint64_t)((double)(size - 1) * where) * 8 + 4);
}

static const struct backend backends[] = {
	{"directory", open_dir, spoil_dir},
	{"memory", open_memory, spoil_memory},
};

static struct fixture setup(const struct backend *backend)
{
	struct fixture f = {.backend = backend};
	backend->open(&f);
	return f;
}

static void teardown(struct fixture *f)
{
	cas_free(f->cas);
	if (f->folder[0])
		cr_assert_eq(fs_remove_tree(f->folder), 0);
}

/* Bytes that compress (@kind 0), that do not (1), or a bit of both (2). */
static uint8_t *make(size_t size, int kind, uint64_t seed)
{
	uint8_t *data = mem_resize(NULL, size ? size : 1);
	uint64_t x = seed * 0x9e3779b97f4a7c15ull + 88172645463325252ull;
	for (size_t i = 0; i < size; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		bool is_text = kind == 0 || (kind == 2 && (i / 300000) % 2);
		data[i] = is_text ? (uint8_t)("etaoin shrdlu\n\n\n"[x >> 60])
				  : (uint8_t)(x >> 33);
	}
	return data;
}

static int sum_each(void *arg, const uint8_t *digest, uint64_t stored)
{
	uint64_t *sum = arg;
	sum[0]++;
	sum[1] += stored;
	sum[2] ^= digest[0] | (uint64_t)digest[31] << 8;
	return 0;
}

/* A parameter is copied to another process, where pointers mean nothing: rows go by number. */
static int rows[] = {0, 1};
_Static_assert(ARRAY_LEN(rows) == ARRAY_LEN(backends), "a number for each row");

#define CONTRACT(sentence)                                                               \
	static void body_##sentence(struct fixture *f);                                  \
	ParameterizedTestParameters(cas, sentence)                                       \
	{                                                                                \
		return cr_make_param_array(int, rows, ARRAY_LEN(rows));                  \
	}                                                                                \
	ParameterizedTest(int *row, cas, sentence)                                       \
	{                                                                                \
		struct fixture f = setup(&backends[*row]);                               \
		body_##sentence(&f);                                                     \
		teardown(&f);                                                            \
	}                                                                                \
	static void body_##sentence(struct fixture *f)

static const size_t sizes[] = {
	1,	2,	55,	 64,	  1000,	   8192,    8193,    65535,   131072,
	131073, 262144, 1048575, 1048576, 1048577, 1310720, 2097152, 3000001, 8388608,
};

CONTRACT(what_was_put_is_read_back_and_named_by_its_bytes)
{
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		for (int kind = 0; kind < 3; kind++) {
			uint8_t *data = make(sizes[i], kind, i);
			uint8_t want[DIGEST_SIZE], got[DIGEST_SIZE];
			sha256_digest(data, sizes[i], want);
			cr_assert_eq(cas_put(f->cas, data, sizes[i], NULL, got), 0);
			cr_assert_arr_eq(got, want, DIGEST_SIZE);
			uint64_t size = 0;
			cr_assert_eq(cas_has(f->cas, got, &size), 0);
			cr_assert_eq(size, sizes[i]);
			struct buf out = {0};
			cr_assert_eq(cas_read(f->cas, got, sizes[i], &out), 0);
			cr_assert_eq(out.size, sizes[i]);
			cr_assert_eq(memcmp(out.data, data, sizes[i]), 0);
			buf_fini(&out);
			free(data);
		}
	}
}

CONTRACT(a_stream_in_pieces_of_any_size_gives_the_same_blob)
{
	size_t size = 5000001;
	const size_t pieces[] = {997, 65536, 262144, 262143, 1 << 20, 3 << 20};
	for (int kind = 0; kind < 3; kind++) {
		uint8_t *data = make(size, kind, 7);
		uint8_t want[DIGEST_SIZE], got[DIGEST_SIZE];
		sha256_digest(data, size, want);
		for (size_t k = 0; k < ARRAY_LEN(pieces); k++) {
			struct cas_put *put = NULL;
			cr_assert_eq(cas_put_open(f->cas, &put), 0);
			if (k % 2) /* it is told to be large, or not */
				cas_put_expect(put, k % 4 == 1 ? 1ull << 40 : size);
			for (size_t at = 0; at < size; at += pieces[k]) {
				size_t n = size - at < pieces[k] ? size - at : pieces[k];
				uint8_t *lent = mem_copy(data + at, n);
				cr_assert_eq(cas_put_write(put, lent, n), 0);
				memset(lent, 0xee,
				       n); /* it was borrowed until return only */
				free(lent);
			}
			uint64_t stored = 0;
			cr_assert_eq(cas_put_commit(put, want, got, &stored), 0);
			cr_assert_eq(stored, size);
			struct cas_get *get = NULL;
			cr_assert_eq(cas_get_open(f->cas, got, &get, &stored), 0);
			uint8_t *back = mem_alloc(size + 1);
			size_t at = 0;
			int64_t n;
			while ((n = cas_get_read(get, back + at, pieces[k])) > 0)
				at += (size_t)n;
			cr_assert_eq(n, 0);
			cr_assert_eq(at, size);
			cr_assert_eq(memcmp(back, data, size), 0);
			cas_get_close(get);
			free(back);
			cr_assert_eq(cas_remove(f->cas, got), 0);
		}
		free(data);
	}
}

/* Reads all of it, taking each chunk's memory along where that goes. Return: chunks that stood in it as they
 * were to stand in a file, after those that were on their way already. */
static int read_handed_over(struct cas_get *get, const uint8_t *data, size_t size)
{
	struct direct_piece kept[3] = {0};
	uint64_t place = 1000;
	size_t at = 0;
	int placed = 0;
	int64_t n;
	const void *chunk;
	for (int i = 0; (n = cas_get_next(get, &chunk, 1 << 20)) > 0; i++) {
		struct direct_piece *piece = &kept[i % 3];
		uint8_t *stored = mem_alloc(1 << 20);
		bool raw;
		int64_t frame = cas_get_stored(get, stored, 1 << 20, &raw);
		cr_assert_geq(frame, 0);
		cr_assert_eq(memcmp(chunk, data + at, (size_t)n), 0);
		if (cas_get_hand_over(get, piece)) {
			cr_assert_eq(piece->size, (size_t)n);
			cr_assert_eq(memcmp(piece->data, data + at, (size_t)n), 0);
			cr_assert_geq(piece->data - piece->room.data, DIRECT_ALIGN);
			size_t stands = (size_t)(piece->data - piece->room.data);
			placed += i > 4 && (place + 9 - stands) % DIRECT_ALIGN == 0;
			memset(piece->data, 0xee, piece->size);
			cr_assert_not(cas_get_hand_over(get, piece), "it went once");
		}
		place += 9 + (uint64_t)(frame ? frame : n);
		if (i == 0)
			cas_get_place(get, place, 9);
		at += (size_t)n;
		free(stored);
	}
	cr_assert_eq(n, 0);
	cr_assert_eq(at, size);
	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		direct_room_fini(&kept[i].room);
	return placed;
}

CONTRACT(memory_of_chunks_may_be_taken_along)
{
	static const size_t many[] = {1, 5000, 1 << 20, (1 << 20) + 1, 12345678};
	for (int kind = 0; kind < 3; kind++) {
		for (size_t i = 0; i < ARRAY_LEN(many); i++) {
			uint8_t *data = make(many[i], kind, i), digest[DIGEST_SIZE];
			struct cas_get *get = NULL;
			cr_assert_eq(cas_put(f->cas, data, many[i], NULL, digest), 0);
			cr_assert_eq(cas_get_open(f->cas, digest, &get, NULL), 0);
			int placed = read_handed_over(get, data, many[i]);
			if (many[i] == 12345678 && f->folder[0])
				cr_assert_geq(placed, 4);
			cas_get_close(get);
			free(data);
		}
	}
}

/* A file of what pieces[] of @data are, as they are and packed. */
struct pieces {
	int fd;
	uint8_t *frames;
	struct cas_piece list[64];
	size_t count;
};

static void cut(struct pieces *p, const uint8_t *data, size_t size)
{
	static const uint32_t parts[] = {1, 70000, 1 << 20, 262144, 999};
	char path[] = "/tmp/cas-pieces-XXXXXX";
	p->fd = mkstemp(path);
	cr_assert_geq(p->fd, 0);
	unlink(path);
	uint8_t *frame = p->frames = mem_alloc(ZSTD_compressBound(size) + (1 << 16));
	uint64_t end = 0;
	for (size_t at = 0; at < size; at += p->list[p->count++].size) {
		struct cas_piece *piece = &p->list[p->count];
		uint32_t part = parts[p->count % ARRAY_LEN(parts)];
		*piece = (struct cas_piece){.fd = p->fd, .from = end};
		piece->size = size - at < part ? (uint32_t)(size - at) : part;
		const uint8_t *bytes = data + at;
		size_t n = piece->size;
		if (p->count % 3) {
			n = ZSTD_compress(frame, ZSTD_compressBound(n), bytes, n, 1);
			cr_assert(!ZSTD_isError(n));
			bytes = frame;
			piece->stored = (uint32_t)n;
			frame += n;
		}
		if (p->count % 2) /* from memory */
			piece->data = bytes;
		cr_assert_eq(pwrite(p->fd, bytes, n, (off_t)end), (ssize_t)n);
		end += n;
		cr_assert_lt(p->count + 1, ARRAY_LEN(p->list));
	}
}

static void uncut(struct pieces *p)
{
	close(p->fd);
	free(p->frames);
}

CONTRACT(pieces_of_files_and_frames_give_the_same_blob)
{
	size_t size = 9000001;
	for (int kind = 0; kind < 3; kind++) {
		uint8_t *data = make(size, kind, 11);
		uint8_t want[DIGEST_SIZE], got[DIGEST_SIZE];
		struct pieces p = {0};
		struct cas_put *put = NULL;
		struct buf out = {0};
		sha256_digest(data, size, want);
		cut(&p, data, size);
		cr_assert_eq(cas_put_open(f->cas, &put), 0);
		if (kind)
			cas_put_expect(put, kind == 1 ? 1ull << 40 : UINT64_MAX);
		for (size_t i = 0; i < p.count; i++)
			cr_assert_eq(cas_put_piece(put, &p.list[i]), 0);
		cas_put_name(put, got);
		cr_assert_arr_eq(got, want, DIGEST_SIZE);
		cr_assert_eq(cas_put_commit(put, want, got, NULL), 0);
		cr_assert_eq(cas_read(f->cas, got, size, &out), 0);
		cr_assert_eq(out.size, size);
		cr_assert_eq(memcmp(out.data, data, size), 0);
		uncut(&p);
		buf_fini(&out);
		free(data);
	}
}

/* Return: what putting this alone, behind something good, ends with. */
static int put_piece(struct fixture *f, struct cas_piece piece)
{
	struct cas_put *put = NULL;
	cr_assert_eq(cas_put_open(f->cas, &put), 0);
	cr_assert_eq(cas_put_write(put, "good", 4), 0);
	int rc = cas_put_piece(put, &piece);
	return rc ? (cas_put_abort(put), rc) : cas_put_commit(put, NULL, NULL, NULL);
}

CONTRACT(a_piece_that_is_not_what_it_is_said_to_be_is_refused)
{
	uint8_t frame[4096], data[2000] = {1, 2, 3};
	uint32_t n = (uint32_t)ZSTD_compress(frame, sizeof frame, data, sizeof data, 1);
	struct cas_piece good = {.data = frame, .stored = n, .size = sizeof data}, bad;
	cr_assert_eq(put_piece(f, good), 0);
	bad = good;
	bad.size++; /* unpacks to less */
	cr_assert_eq(put_piece(f, bad), CAS_E_MISMATCH);
	bad = good;
	bad.size--; /* to more */
	cr_assert_eq(put_piece(f, bad), CAS_E_MISMATCH);
	bad = good;
	bad.stored--; /* torn */
	cr_assert_eq(put_piece(f, bad), CAS_E_MISMATCH);
	bad = good;
	memcpy(frame + n, frame, n); /* two frames */
	bad.stored = 2 * n;
	cr_assert_eq(put_piece(f, bad), CAS_E_MISMATCH);
	bad.size *= 2;
	cr_assert_eq(put_piece(f, bad), CAS_E_MISMATCH);
	bad = (struct cas_piece){.data = data, .stored = sizeof data, .size = 5000};
	cr_assert_eq(put_piece(f, bad), CAS_E_MISMATCH); /* no frame */
	bad = good;
	bad.size = CAS_PIECE_MAX + 1;
	cr_assert_eq(put_piece(f, bad), CAS_E_MISMATCH);
	bad = good;
	bad.size = 0;
	cr_assert_eq(put_piece(f, bad), CAS_E_MISMATCH);

	FILE *file = tmpfile();
	cr_assert(file);
	fwrite(data, 1, sizeof data, file);
	fflush(file);
	bad = (struct cas_piece){.fd = fileno(file), .size = sizeof data};
	cr_assert_eq(put_piece(f, bad), 0);
	bad.from = 1; /* the file ends before it */
	cr_assert_eq(put_piece(f, bad), CAS_E_MISMATCH);
	bad.from = UINT64_MAX - 2;
	cr_assert_eq(put_piece(f, bad), CAS_E_MISMATCH);
	bad = (struct cas_piece){.fd = -1, .size = 10};
	cr_assert_lt(put_piece(f, bad), 0);
	fclose(file);
	uint64_t sum[3] = {0};
	cas_each(f->cas, sum_each, sum);
	cr_assert_eq(sum[0], 1); /* the good ones are the same */
}

CONTRACT(what_comes_and_goes_is_counted_once)
{
	uint8_t a[DIGEST_SIZE], b[DIGEST_SIZE];
	struct cas_counts c;
	cas_take_counts(f->cas, &c);
	cr_assert_eq(cas_put(f->cas, "one", 3, NULL, a), 0);
	cr_assert_eq(cas_put(f->cas, "seven!!", 7, NULL, b), 0);
	cr_assert_eq(cas_put(f->cas, "one", 3, NULL, a), 0); /* is there */
	cr_assert_eq(cas_put(f->cas, "bad", 3, a, NULL), CAS_E_MISMATCH);
	cas_take_counts(f->cas, &c);
	cr_assert_eq(c.objects, 2);
	cr_assert_eq(c.bytes, 10);
	cr_assert_geq(c.stored, 10);
	int64_t stored = c.stored;
	cas_take_counts(f->cas, &c);
	cr_assert_eq(c.objects | c.bytes | c.stored, 0, "taken");
	cr_assert_eq(cas_recount(f->cas, NULL, NULL, &c), 0);
	cr_assert_eq(c.objects | c.bytes | c.stored, 0, "nothing when it was opened");
	cr_assert_eq(cas_remove(f->cas, a), 0);
	cr_assert_eq(cas_remove(f->cas, a), CAS_E_MISSING);
	cas_doom(f->cas, b);
	cr_assert_eq(cas_remove_doomed(f->cas, b), 0);
	cas_take_counts(f->cas, &c);
	cr_assert_eq(c.objects, -2);
	cr_assert_eq(c.bytes, -10);
	cr_assert_eq(c.stored, -stored);
}

CONTRACT(the_empty_blob_exists_without_being_stored)
{
	uint64_t size = 1, sum[3] = {0};
	uint8_t digest[DIGEST_SIZE];
	struct buf out = {0};
	cr_assert_eq(cas_has(f->cas, sha256_empty, &size), 0);
	cr_assert_eq(size, 0);
	cr_assert_eq(cas_put(f->cas, NULL, 0, NULL, digest), 0);
	cr_assert_arr_eq(digest, sha256_empty, DIGEST_SIZE);
	cr_assert_eq(cas_read(f->cas, sha256_empty, 0, &out), 0);
	cr_assert_eq(out.size, 0);
	cas_each(f->cas, sum_each, sum);
	cr_assert_eq(sum[0], 0);
	cr_assert_eq(cas_remove(f->cas, sha256_empty), CAS_E_MISSING);
	buf_fini(&out);
}

CONTRACT(a_blob_that_is_not_what_was_promised_is_not_kept)
{
	uint8_t wrong[DIGEST_SIZE] = {1}, name[DIGEST_SIZE];
	sha256_digest("hello", 5, name);
	cr_assert_eq(cas_put(f->cas, "hello", 5, wrong, NULL), CAS_E_MISMATCH);
	cr_assert_eq(cas_has(f->cas, name, NULL), CAS_E_MISSING);
	cr_assert_eq(cas_has(f->cas, wrong, NULL), CAS_E_MISSING);
}

CONTRACT(nothing_is_visible_before_the_commit_or_after_an_abort)
{
	uint8_t *data = make(3 << 20, 2, 1), name[DIGEST_SIZE];
	sha256_digest(data, 3 << 20, name);
	struct cas_put *put = NULL;
	uint64_t sum[3] = {0};
	cr_assert_eq(cas_put_open(f->cas, &put), 0);
	cr_assert_eq(cas_put_write(put, data, 3 << 20), 0);
	cr_assert_eq(cas_has(f->cas, name, NULL), CAS_E_MISSING);
	cas_each(f->cas, sum_each, sum);
	cr_assert_eq(sum[0], 0);
	cas_put_abort(put);
	cr_assert_eq(cas_has(f->cas, name, NULL), CAS_E_MISSING);
	free(data);
}

CONTRACT(storing_twice_is_harmless)
{
	uint8_t *data = make(2 << 20, 0, 3), name[DIGEST_SIZE];
	uint64_t sum[3] = {0};
	for (int i = 0; i < 3; i++)
		cr_assert_eq(cas_put(f->cas, data, 2 << 20, NULL, name), 0);
	cas_each(f->cas, sum_each, sum);
	cr_assert_eq(sum[0], 1);
	cr_assert_eq(sum[2], name[0] | (uint64_t)name[31] << 8);
	free(data);
}

CONTRACT(a_flipped_bit_anywhere_is_caught_and_the_blob_is_missing_from_then_on)
{
	for (int kind = 0; kind < 2; kind++) {
		for (int i = 0; i <= 20; i++) {
			size_t size = i % 2 ? 3000 : 2500000;
			uint8_t *data = make(size, kind, (uint64_t)(100 + i)),
				name[DIGEST_SIZE];
			cr_assert_eq(cas_put(f->cas, data, size, NULL, name), 0);
			f->backend->spoil(f, name, i / 20.0);
			struct buf out = {0};
			int rc = cas_read(f->cas, name, size, &out);
			cr_assert_eq(rc, CAS_E_CORRUPT, "kind %d place %d: %d", kind, i,
				     rc);
			cr_assert_eq(out.size, 0);
			cr_assert_eq(cas_read(f->cas, name, size, &out), CAS_E_MISSING);
			cr_assert_eq(cas_has(f->cas, name, NULL), CAS_E_MISSING);
			/* ... and can be put again. */
			cr_assert_eq(cas_put(f->cas, data, size, name, NULL), 0);
			cr_assert_eq(cas_read(f->cas, name, size, &out), 0);
			buf_fini(&out);
			free(data);
		}
	}
}

CONTRACT(a_stream_of_a_corrupt_blob_ends_with_badmsg)
{
	size_t size = 4 << 20;
	uint8_t *data = make(size, 1, 9), name[DIGEST_SIZE];
	cr_assert_eq(cas_put(f->cas, data, size, NULL, name), 0);
	f->backend->spoil(f, name, 0.9);
	struct cas_get *get = NULL;
	cr_assert_eq(cas_get_open(f->cas, name, &get, NULL), 0);
	uint8_t *out = mem_alloc(65536);
	int64_t n;
	while ((n = cas_get_read(get, out, 65536)) > 0)
		continue;
	cr_assert_eq(n, -EBADMSG);
	cr_assert_eq(cas_get_read(get, out, 65536), -EBADMSG);
	cas_get_close(get);
	cr_assert_eq(cas_has(f->cas, name, NULL), CAS_E_MISSING);
	free(out);
	free(data);
}

CONTRACT(a_blob_larger_than_allowed_is_not_read)
{
	uint8_t name[DIGEST_SIZE];
	struct buf out = {0};
	buf_add_str(&out, "before");
	cr_assert_eq(cas_put(f->cas, "hello", 5, NULL, name), 0);
	cr_assert_eq(cas_read(f->cas, name, 4, &out), -EFBIG);
	cr_assert_eq(cas_read(f->cas, name, 5, &out), 0);
	cr_assert_str_eq(buf_cstr(&out), "beforehello");
	buf_fini(&out);
}

CONTRACT(a_removed_blob_can_still_be_read_by_who_has_opened_it)
{
	size_t size = 3 << 20;
	uint8_t *data = make(size, 1, 5), name[DIGEST_SIZE];
	cr_assert_eq(cas_put(f->cas, data, size, NULL, name), 0);
	struct cas_get *get = NULL;
	cr_assert_eq(cas_get_open(f->cas, name, &get, NULL), 0);
	cr_assert_eq(cas_remove(f->cas, name), 0);
	cr_assert_eq(cas_remove(f->cas, name), CAS_E_MISSING);
	uint8_t *out = mem_alloc(size);
	size_t at = 0;
	int64_t n;
	while ((n = cas_get_read(get, out, size)) > 0)
		at += (size_t)n;
	cr_assert_eq(n, 0);
	cr_assert_eq(at, size);
	cas_get_close(get);
	free(out);
	free(data);
}

#define THREADS 4
static void *put_and_get_many(void *arg)
{
	struct cas *cas = arg;
	for (uint64_t i = 0; i < 40; i++) {
		size_t size = i % 10 == 0 ? 2500000 : 100 + i * 997;
		uint8_t *data = make(size, (int)(i % 3), i % 20), name[DIGEST_SIZE];
		struct buf out = {0};
		cr_assert_eq(cas_put(cas, data, size, NULL, name), 0);
		cr_assert_eq(cas_read(cas, name, size, &out), 0);
		cr_assert_eq(memcmp(out.data, data, size), 0);
		buf_fini(&out);
		free(data);
	}
	return NULL;
}

CONTRACT(threads_may_put_and_get_the_same_blobs_at_once)
{
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, put_and_get_many, f->cas);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

/* ---- removing what somebody may ask for ---- */

CONTRACT(a_doomed_blob_goes_unless_somebody_asks_for_it)
{
	uint8_t digest[3][DIGEST_SIZE];
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(cas_put(f->cas, &"abc"[i], 1, NULL, digest[i]), 0);
		cas_doom(f->cas, digest[i]);
		cas_doom(f->cas, digest[i]);
	}
	cr_assert_eq(cas_has(f->cas, digest[0], NULL), 0);
	CLEANUP_BUF struct buf out = {0};
	cr_assert_eq(cas_read(f->cas, digest[1], 10, &out), 0);
	cr_assert_eq(cas_remove_doomed(f->cas, digest[0]), CAS_E_SAVED);
	cr_assert_eq(cas_remove_doomed(f->cas, digest[1]), CAS_E_SAVED);
	cr_assert_eq(cas_remove_doomed(f->cas, digest[2]), 0);
	cr_assert_eq(cas_has(f->cas, digest[0], NULL), 0);
	cr_assert_eq(cas_has(f->cas, digest[1], NULL), 0);
	cr_assert_eq(cas_has(f->cas, digest[2], NULL), CAS_E_MISSING);
	cr_assert_eq(cas_remove_doomed(f->cas, digest[2]), CAS_E_SAVED);
	cas_doom(f->cas, digest[2]);
	cr_assert_eq(cas_remove_doomed(f->cas, digest[2]), CAS_E_MISSING);
	cas_doom(f->cas, digest[0]);
	cr_assert_eq(cas_put(f->cas, "a", 1, NULL, NULL), 0);
	cr_assert_eq(cas_remove_doomed(f->cas, digest[0]), CAS_E_SAVED);
}

CONTRACT(thousands_of_doomed_blobs_are_told_apart)
{
	enum { COUNT = 5000 };
	uint8_t(*digests)[DIGEST_SIZE] = mem_alloc(COUNT * sizeof *digests);
	for (uint32_t i = 0; i < COUNT; i++) {
		sha256_digest(&i, sizeof i, digests[i]);
		if (i % 10 == 0)
			cr_assert_eq(cas_put(f->cas, &i, sizeof i, digests[i], NULL), 0);
		cas_doom(f->cas, digests[i]);
	}
	for (uint32_t i = 0; i < COUNT; i += 3)
		cas_save(f->cas, digests[i]);
	for (uint32_t i = 0; i < COUNT; i++) {
		int want = i % 3 == 0 ? CAS_E_SAVED : i % 10 ? CAS_E_MISSING : 0;
		cr_assert_eq(cas_remove_doomed(f->cas, digests[i]), want);
	}
	free(digests);
}

struct race {
	struct cas *cas;
	pthread_mutex_t lock;
	bool claimed, over;
	uint8_t digest[DIGEST_SIZE];
	unsigned removed;
};

static void *remove_again_and_again(void *arg)
{
	struct race *r = arg;
	for (bool over = false; !over;) {
		pthread_mutex_lock(&r->lock);
		if (!r->claimed)
			cas_doom(r->cas, r->digest);
		over = r->over;
		pthread_mutex_unlock(&r->lock);
		int rc = cas_remove_doomed(r->cas, r->digest);
		__atomic_add_fetch(&r->removed, rc == 0, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void claim(struct race *r, bool on)
{
	pthread_mutex_lock(&r->lock);
	r->claimed = on;
	pthread_mutex_unlock(&r->lock);
}

CONTRACT(what_was_acknowledged_after_a_claim_is_there_while_others_remove_it)
{
	struct race r = {.cas = f->cas, .lock = PTHREAD_MUTEX_INITIALIZER};
	pthread_t thread;
	sha256_digest("x", 1, r.digest);
	cr_assert_eq(pthread_create(&thread, NULL, remove_again_and_again, &r), 0);
	/* Until it was removed a hundred times, and in any case a thousand times. */
	for (unsigned i = 0;
	     i < 1000 || __atomic_load_n(&r.removed, __ATOMIC_RELAXED) < 100; i++) {
		claim(&r, true);
		bool there = i % 2 && cas_has(f->cas, r.digest, NULL) == 0;
		if (!there)
			cr_assert_eq(cas_put(f->cas, "x", 1, NULL, NULL), 0);
		cr_assert_eq(cas_has(f->cas, r.digest, NULL), 0, "round %u", i);
		claim(&r, false);
	}
	pthread_mutex_lock(&r.lock);
	r.over = true;
	pthread_mutex_unlock(&r.lock);
	cr_assert_eq(pthread_join(thread, NULL), 0);
}

/* frame.c - see frame.h. The zstd format is RFC 8878: section 3.1.1 (frames and
 * blocks), 3.1.2 (skippable frames). */
#include "broker/store/frame.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define MAGIC_ZSTD 0xfd2fb528u
#define MAGIC_HEADER 0x184d2a5cu
#define MAGIC_PACKED 0x184d2a5du
#define MAGIC_RAW 0x184d2a5eu
#define VERSION 1

static void put32(uint8_t *out, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		out[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t get32(const uint8_t *in)
{
	return in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 |
	       (uint32_t)in[3] << 24;
}

void frame_put_header(uint8_t out[FRAME_HEADER_SIZE], uint64_t blob_size)
{
	put32(out, MAGIC_HEADER);
	put32(out + 4, FRAME_HEADER_SIZE - 8);
	memcpy(out + 8, "csht", 4);
	put32(out + 12, VERSION);
	put32(out + 16, (uint32_t)blob_size);
	put32(out + 20, (uint32_t)(blob_size >> 32));
}

int frame_get_header(const uint8_t in[FRAME_HEADER_SIZE], uint64_t *blob_size)
{
	uint8_t same[FRAME_HEADER_SIZE];
	uint64_t size = get32(in + 16) | (uint64_t)get32(in + 20) << 32;
	frame_put_header(same, size);
	if (!size || size > INT64_MAX || memcmp(same, in, sizeof same) != 0)
		return 1;
	*blob_size = size;
	return 0;
}

/* Four slices, and how often their byte values collide: for bytes that are all alike
 * likely, the sum of squared counts is n + n (n - 1) / 256; a tenth more is 7.86 bits per
 * byte and worth trying. What repeats only at a distance escapes this, and level 1 finds
 * little of that. */
bool frame_compresses(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	const size_t slice = 2048;
	if (size <= 4 * slice)
		return true; /* cheaper to try */
	uint32_t counts[256] = {0};
	for (size_t i = 0; i < 4; i++) {
		const uint8_t *at = bytes + i * ((size - slice) / 3);
		for (size_t k = 0; k < slice; k++)
			counts[at[k]]++;
	}
	uint64_t sum = 0, n = 4 * slice;
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		sum += (uint64_t)counts[i] * counts[i];
	return sum * 10 > (n + n * (n - 1) / 256) * 11;
}

static void put_record(uint8_t *out, uint32_t magic, uint32_t stored, uint32_t content)
{
	put32(out, magic);
	put32(out + 4, FRAME_RECORD_SIZE - 8);
	put32(out + 8, stored);
	put32(out + 12, content);
}

static uint32_t block_count(uint32_t content)
{
	return (content + FRAME_BLOCK - 1) / FRAME_BLOCK;
}

static uint32_t raw_stored(uint32_t content)
{
	return 9 + 3 * block_count(content) + content;
}

/* make_raw_head() - magic, descriptor (single segment, content size in 4 bytes), content
 * size. */
static void make_raw_head(uint8_t out[9], uint32_t content)
{
	put32(out, MAGIC_ZSTD);
	out[4] = 0xa0;
	put32(out + 5, content);
}

static void make_block_head(uint8_t out[3], bool is_last, uint32_t size)
{
	uint32_t head = (uint32_t)is_last | size << 3; /* type 0: raw */
	out[0] = (uint8_t)head;
	out[1] = (uint8_t)(head >> 8);
	out[2] = (uint8_t)(head >> 16);
}

void frame_make_raw(struct frame_raw *raw, const void *data, size_t size)
{
	assert(size && size <= FRAME_CHUNK);
	uint32_t content = (uint32_t)size;
	put_record(raw->head, MAGIC_RAW, raw_stored(content), content);
	make_raw_head(raw->head + FRAME_RECORD_SIZE, content);
	raw->parts[0] = (struct iovec){raw->head, sizeof raw->head};
	raw->count = 1;
	uint8_t *at = (uint8_t *)data;
	for (uint32_t left = content; left;) {
		uint32_t block = left < FRAME_BLOCK ? left : FRAME_BLOCK;
		uint8_t *head = raw->block_heads[raw->count / 2];
		left -= block;
		make_block_head(head, left == 0, block);
		raw->parts[raw->count++] = (struct iovec){head, 3};
		raw->parts[raw->count++] = (struct iovec){at, block};
		at += block;
	}
	raw->size = FRAME_RECORD_SIZE + raw_stored(content);
}

size_t frame_bound(size_t size)
{
	return FRAME_RECORD_SIZE + ZSTD_compressBound(size);
}

bool frame_put_record(uint8_t out[FRAME_RECORD_SIZE], size_t stored, size_t content)
{
	if (stored >= raw_stored((uint32_t)content))
		return false;
	put_record(out, MAGIC_PACKED, (uint32_t)stored, (uint32_t)content);
	return true;
}

size_t frame_compress(ZSTD_CCtx *context, const void *data, size_t size, uint8_t *out,
		      size_t room)
{
	assert(size && size <= FRAME_CHUNK && room >= frame_bound(size));
	size_t stored =
		ZSTD_compressCCtx(context, out + FRAME_RECORD_SIZE,
				  room - FRAME_RECORD_SIZE, data, size, FRAME_LEVEL);
	if (ZSTD_isError(stored) || !frame_put_record(out, stored, size))
		return 0;
	return FRAME_RECORD_SIZE + stored;
}

/* ---- reading ---- */

/* read_at() - all of it or nothing. A file that ends too early is a torn one. */
static int read_at(const struct direct_reader *from, struct iovec *parts, int count,
		   uint64_t offset, size_t size, struct direct_room *room)
{
	int64_t n = direct_read(from, offset, parts, count, room);
	if (n < 0)
		return (int)n;
	return (size_t)n == size ? 0 : -EBADMSG;
}

/* read_head() - a few bytes, through the cache. */
static int read_head(int fd, void *out, size_t size, uint64_t offset)
{
	struct direct_reader plain = {.fd = fd};
	return read_at(&plain, &(struct iovec){out, size}, 1, offset, size, NULL);
}

int frame_next(int fd, uint64_t *offset, uint64_t left, struct frame_record *record)
{
	uint8_t head[FRAME_RECORD_SIZE];
	int rc = read_head(fd, head, sizeof head, *offset);
	if (rc)
		return rc;
	uint32_t magic = get32(head);
	struct frame_record found = {
		.at = *offset + FRAME_RECORD_SIZE,
		.stored = get32(head + 8),
		.content = get32(head + 12),
		.is_raw = magic == MAGIC_RAW,
	};
	if ((magic != MAGIC_PACKED && magic != MAGIC_RAW) ||
	    get32(head + 4) != FRAME_RECORD_SIZE - 8 || !found.content ||
	    found.content > FRAME_CHUNK || found.content > left || !found.stored)
		return -EBADMSG;
	if (found.is_raw ? found.stored != raw_stored(found.content)
			 : found.stored > ZSTD_compressBound(found.content))
		return -EBADMSG;
	*record = found;
	*offset = found.at + found.stored;
	return 0;
}

/* The content goes straight to where it is wanted; the few bytes between must be ours. */
static int read_raw(const struct direct_reader *from, const struct frame_record *record,
		    uint8_t *out, struct direct_room *room)
{
	struct frame_raw want, got;
	frame_make_raw(&want, out, record->content);
	got = want;
	got.parts[0] = (struct iovec){got.head + FRAME_RECORD_SIZE, 9};
	for (int i = 1; i < got.count; i += 2)
		got.parts[i].iov_base = got.block_heads[i / 2];
	int rc = read_at(from, got.parts, got.count, record->at, record->stored, room);
	if (rc)
		return rc;
	size_t heads = 3 * block_count(record->content);
	bool same = !memcmp(want.head, got.head, sizeof want.head) &&
		    !memcmp(want.block_heads, got.block_heads, heads);
	return same ? 0 : -EBADMSG;
}

int frame_read(ZSTD_DCtx *context, const struct direct_reader *from,
	       const struct frame_record *record, uint8_t *out, uint8_t *scratch,
	       struct direct_room *room)
{
	if (record->is_raw)
		return read_raw(from, record, out, room);
	int rc = read_at(from, &(struct iovec){scratch, record->stored}, 1, record->at,
			 record->stored, room);
	if (rc)
		return rc;
	size_t n = ZSTD_decompressDCtx(context, out, record->content, scratch,
				       record->stored);
	return n == record->content ? 0 : -EBADMSG;
}

int frame_walk(int fd, uint64_t *blob_size)
{
	uint8_t head[FRAME_HEADER_SIZE];
	int rc = read_head(fd, head, sizeof head, 0);
	if (rc)
		return rc;
	uint64_t size, offset = FRAME_HEADER_SIZE;
	if (frame_get_header(head, &size))
		return -EBADMSG;
	struct frame_record record;
	for (uint64_t left = size; left; left -= record.content) {
		rc = frame_next(fd, &offset, left, &record);
		if (rc)
			return rc;
	}
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size != offset)
		return -EBADMSG;
	*blob_size = size;
	return 0;
}

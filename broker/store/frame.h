/* frame.h - how the bytes of a blob look on disk: a file that `zstd -d` can read.
 *
 *   header      skippable frame of 24 bytes: "csht", version, size of the whole blob
 *   record...   skippable frame of 16 bytes (stored size, content size), then one zstd
 * frame of that stored size, holding at most FRAME_CHUNK bytes of content
 *
 * A frame is compressed, or raw (one that does not compress: blocks copied as they are,
 * at the speed of the disk). Frames stand alone, so they are made and read in parallel;
 * every size is known and bounded before anything is unpacked, so no file can make the
 * reader use more than one chunk of memory per frame in flight, nor give out more than
 * the header says. */
#pragma once

#include "common/direct.h"
#include "common/pure/base.h"
#include <sys/uio.h>

#define FRAME_CHUNK (1u << 20)
#define FRAME_BLOCK (128u << 10) /* of a raw frame; the largest that zstd allows */
#define FRAME_HEADER_SIZE 24
#define FRAME_RECORD_SIZE 16
#define FRAME_LEVEL 1

struct frame_record {
	uint64_t at;	  /* offset in the file of the zstd frame */
	uint32_t stored;  /* bytes of it */
	uint32_t content; /* bytes that it holds, 1..FRAME_CHUNK */
	bool is_raw;
};

/* A raw frame as writev() wants it; borrows the content. */
#define FRAME_RAW_BLOCKS (FRAME_CHUNK / FRAME_BLOCK)
struct frame_raw {
	uint8_t head[FRAME_RECORD_SIZE + 9];
	uint8_t block_heads[FRAME_RAW_BLOCKS][3];
	struct iovec parts[1 + 2 * FRAME_RAW_BLOCKS];
	int count;
	size_t size; /* bytes in all */
};

/** frame_compresses() - does a sample of @data look as if compressing it gains anything?
 */
bool frame_compresses(const void *data, size_t size);
void frame_put_header(uint8_t out[FRAME_HEADER_SIZE], uint64_t blob_size);
/** frame_get_header() - Return: 0, 1 if this is not one. */
int frame_get_header(const uint8_t in[FRAME_HEADER_SIZE], uint64_t *blob_size);
/** frame_make_raw() - @size bytes at @data (1..FRAME_CHUNK) as a record and its raw
 * frame. */
void frame_make_raw(struct frame_raw *raw, const void *data, size_t size);
/** frame_bound() - room that frame_compress() needs for @size bytes. */
size_t frame_bound(size_t size);
struct ZSTD_CCtx_s;
/** frame_compress() - record and compressed frame to @out. Return: bytes, or 0 if raw is
 * smaller. */
size_t frame_compress(struct ZSTD_CCtx_s *context, const void *data, size_t size,
		      uint8_t *out, size_t room);
/** frame_next() - the record at *@offset of @fd, moving *@offset behind its frame. @left:
 * bytes of content that the header promises beyond what was seen. Return: 0; -EBADMSG;
 * -errno. */
int frame_next(int fd, uint64_t *offset, uint64_t left, struct frame_record *record);
/** frame_put_record() - that goes before a compressed frame of so many bytes. Return: is the frame worth
 * keeping, or does raw take less? */
bool frame_put_record(uint8_t out[FRAME_RECORD_SIZE], size_t stored, size_t content);
struct ZSTD_DCtx_s;
/** frame_read() - the content of @record to @out (record->content bytes), by way of
 * @scratch (frame_bound() bytes; not used for raw frames). Return: 0; -EBADMSG; -errno.
 */
int frame_read(struct ZSTD_DCtx_s *context, const struct direct_reader *from,
	       const struct frame_record *record, uint8_t *out, uint8_t *scratch,
	       struct direct_room *room);
/** frame_walk() - is the file whole, as far as that can be told without unpacking it?
 * Return: 0 and the blob's size; -EBADMSG; -errno. */
int frame_walk(int fd, uint64_t *blob_size);

/* write.h - writing an archive: its entries in order. Threads of its own compress and write the bytes, so
 * that whoever reads and verifies blobs does not wait for either.
 *
 * Thread: the owner's. Errors of the file stick, and are returned by every call after them. */
#pragma once

#include "client/archive/archive.h"
#include "common/direct.h"
#include "common/err.h"

struct archive_writer;

/** archive_writer_new() - @fd: borrowed. Return: NULL: out of memory, or no thread. */
struct archive_writer *archive_writer_new(int fd);
/** archive_writer_free() - NULL is fine; what was not written yet is not. */
void archive_writer_free(struct archive_writer *w);

/* All: 0, or a negative errno. */
int archive_write_head(struct archive_writer *w, uint64_t wall_ms, const char *version);
int archive_write_blob(struct archive_writer *w, uint64_t type,
		       const uint8_t digest[DIGEST_SIZE]);
/** archive_write_content() - of the blob that was begun. @stored: the same as one zstd frame; @data: it is
 * known not to compress; NULL: nobody knows. */
int archive_write_content(struct archive_writer *w, const void *data, size_t size,
			  const void *stored, size_t stored_size);
/** archive_write_piece() - the same of at most ARCHIVE_PIECE bytes that are known not to compress, without a
 * copy: their memory is the writer's from then on, and @piece is other memory, for the next. */
int archive_write_piece(struct archive_writer *w, struct direct_piece *piece);
/** archive_write_at() - where the next byte will be in the file. Return: is that known? */
bool archive_write_at(struct archive_writer *w, uint64_t *atp);
int archive_write_blob_end(struct archive_writer *w);
int archive_write_blob_void(struct archive_writer *w);
int archive_write_absent(struct archive_writer *w, const uint8_t digest[DIGEST_SIZE]);
struct archive_tag {
	const char *key, *value;
};
int archive_write_commit(struct archive_writer *w, const void *body, size_t size,
			 const uint8_t hash[DIGEST_SIZE], bool current,
			 const struct archive_tag *tags, size_t tag_count);
int archive_write_pin(struct archive_writer *w, const char *name,
		      const uint8_t hash[DIGEST_SIZE], uint64_t wall_ms);
/** archive_write_end() - manifest and end; all is with the kernel on return. @bytesp: written in all. */
int archive_write_end(struct archive_writer *w, struct archive_counts *counts,
		      uint64_t *bytesp);
/** archive_written() - so far. */
const struct archive_counts *archive_written(const struct archive_writer *w);

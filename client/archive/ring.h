/* ring.h - the bytes of an archive on their way to its file: whoever fills and a few writers, which compress
 * and write, share a ring of slots, so that who reads and verifies blobs waits for neither.
 *
 * Thread: the owner's. Errors of the file stick, and are returned by every call after them: negative
 * errno. */
#pragma once

#include "client/archive/archive.h"
#include "common/direct.h"

struct archive_ring;
struct ZSTD_CCtx_s;

/** archive_ring_new() - @fd: borrowed. Return: NULL: out of memory, or no thread. */
struct archive_ring *archive_ring_new(int fd);
/** archive_ring_free() - NULL is fine; what was not written yet is not. */
void archive_ring_free(struct archive_ring *r);
/** archive_ring_bytes() - as they are. */
int archive_ring_bytes(struct archive_ring *r, const void *data, size_t size);
/** archive_ring_content() - a piece of at most ARCHIVE_PIECE bytes, which gets its head here. @is_raw: it
 * is known not to compress. */
int archive_ring_content(struct archive_ring *r, const void *data, size_t size,
			 bool is_raw);
/** archive_ring_piece() - the same of one that is known not to compress, without a copy: its memory goes to
 * the ring, and @piece gets other memory, or none, for it. */
int archive_ring_piece(struct archive_ring *r, struct direct_piece *piece);
/** archive_ring_at() - where the next byte will be. Return: is that known? Not while a piece before it may
 * still be compressed. */
bool archive_ring_at(struct archive_ring *r, uint64_t *atp);
/** archive_ring_end() - all is with the kernel on return, and nothing may follow. */
int archive_ring_end(struct archive_ring *r);
/** archive_ring_written() - bytes, once it has ended. */
uint64_t archive_ring_written(const struct archive_ring *r);

void archive_piece_head(uint8_t head[ARCHIVE_PIECE_HEAD], enum archive_form form,
			size_t stored, size_t content);
/** archive_pack_piece() - as one frame to @out. Return: its size; 0: it gains too little. */
size_t archive_pack_piece(struct ZSTD_CCtx_s *cctx, const void *data, size_t size,
			  uint8_t *out, size_t room);

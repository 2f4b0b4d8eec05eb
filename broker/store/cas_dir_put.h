/* cas_dir_put.h - what cas_dir_put.c (a put from its opening to its end) and cas_dir_chunks.c (its
 * chunks, between caller, pool and file) share. */
#pragma once

#include "broker/store/cas_dir.h"

#define CHUNKS 6 /* of one put that are being made or written */

struct chunk {
	struct cas_pool_job job;
	struct dir_put *put;
	struct cas_piece piece; /* that is loaded; piece.size 0: the content is here */
	uint8_t *in, *out;	/* FRAME_CHUNK, frame_bound(FRAME_CHUNK) bytes */
	size_t in_size;
	size_t out_size; /* record and frame; 0: the content goes as it is */
	struct frame_raw raw;
	uint64_t at;	/* in the file */
	bool is_around; /* @before is what is before it in its block, see direct.h */
	struct direct_tail before;
	uint64_t old, from, to; /* see write_back(); all 0: not yet */
	int error;
};

struct dir_put {
	struct cas_put put;
	struct cas_dir *dir;
	int fd; /* -1 until something is written */
	char temp[32];
	uint64_t offset; /* end of the file */
	/* What is behind this goes around the cache; once that is so: @is_around. */
	uint64_t kept;
	bool is_around;
	struct direct_tail tail;
	struct direct_reader
		source; /* reads the file that pieces are in, the one of @source_fd */
	int source_fd;
	uint64_t started_back,
		dropped; /* on its way to the disk up to here; there up to here */
	uint8_t *fill;
	size_t filled, room;
	struct chunk *ring[CHUNKS];
	/* How many chunks were begun; of these were made, hashed and given a place in the file; of
	 * these are written. */
	uint64_t begun, placed, written;
	unsigned loading;	/* pieces, begun and not placed */
	bool is_counted;	/* in dir->streaming */
	uint64_t content_bytes; /* that have a place */
};

/** chunks_add_fill() - the full buffer becomes a chunk, and gives its place to another. */
int chunks_add_fill(struct dir_put *put);
int chunks_add_piece(struct dir_put *put, const struct cas_piece *piece);
/** chunks_hash() - all that is being loaded. */
int chunks_hash(struct dir_put *put);
/** chunks_write() - all that were begun are in the file. */
int chunks_write(struct dir_put *put);
/** chunks_write_last() - at once, on this thread. */
int chunks_write_last(struct dir_put *put, struct chunk *chunk,
		      struct cas_pool_tools *tools);
/** chunks_end() - after the last one: what is left of the file. */
int chunks_end(struct dir_put *put);
void chunks_pack(struct chunk *chunk, struct cas_pool_tools *tools);
void chunks_free(struct dir_put *put);

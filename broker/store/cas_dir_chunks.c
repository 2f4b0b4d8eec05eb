/* cas_dir_chunks.c - the chunks of a large put. Each goes through three stations, and the owner of the
 * put does nothing but the middle one, so that hashing never waits for the disk:
 *
 *   make    pool: compress what was filled; or read a piece of a file, or unpack a frame
 *   place   owner, in order: hash what was loaded, and know where in the file it will be
 *   write   pool: to that place, in any order
 *
 * The kernel is told to write back early, so that the sync at the end is short. What is larger than
 * what is to stay in memory goes around the cache, see common/direct.h. */
#include "broker/store/cas_dir_put.h"

#include "broker/store/piece.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WRITE_BACK (8u << 20)
#define CROWD 2 /* puts beyond that many have no more in flight than: */
#define CHUNKS_MIN 2

/* ---- the file ---- */

static int open_temp(struct dir_put *put)
{
	if (put->fd >= 0)
		return 0;
	snprintf(put->temp, sizeof put->temp, "put.%" PRIuFAST64,
		 atomic_fetch_add(&put->dir->counter, 1));
	put->fd = openat(put->dir->tmp, put->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
			 0444);
	put->offset = FRAME_HEADER_SIZE; /* written last, when the size is known */
	return put->fd < 0 ? -errno : 0;
}

/* write_back() - have a window of the file written to the disk, and wait for the one before it. Only
 * hints: the sync at the end is what counts and reports errors. It is short then, and memory is not
 * filled with bytes that nobody may ever read again: where they cannot go around the cache, pages
 * beyond DIRECT_KEPT are given back at once. */
static void write_back(const struct chunk *chunk)
{
	int fd = chunk->put->fd;
	off_t old = (off_t)chunk->old, from = (off_t)chunk->from, to = (off_t)chunk->to;
	if (!to)
		return;
	(void)sync_file_range(fd, from, to - from, SYNC_FILE_RANGE_WRITE);
	if (old == from)
		return;
	(void)sync_file_range(fd, old, from - old,
			      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
				      SYNC_FILE_RANGE_WAIT_AFTER);
	if (old >= (off_t)DIRECT_KEPT)
		(void)posix_fadvise(fd, old, from - old, POSIX_FADV_DONTNEED);
}

static int write_parts(int fd, struct iovec *parts, int count, uint64_t at)
{
	while (count) {
		ssize_t n = pwritev(fd, parts, count, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += (uint64_t)n;
		for (; count && (size_t)n >= parts->iov_len; parts++, count--)
			n -= (ssize_t)parts->iov_len;
		if (count) {
			parts->iov_base = (uint8_t *)parts->iov_base + n;
			parts->iov_len -= (size_t)n;
		}
	}
	return 0;
}

static struct iovec *parts_of(struct chunk *c, struct iovec *packed, int *countp)
{
	*packed = (struct iovec){c->out, c->out_size};
	*countp = c->out_size ? 1 : c->raw.count;
	return c->out_size ? packed : c->raw.parts;
}

static void run_write(struct cas_pool_job *job, struct cas_pool_tools *tools)
{
	struct chunk *c = container_of(job, struct chunk, job);
	struct iovec packed;
	int count;
	struct iovec *parts = parts_of(c, &packed, &count);
	if (c->is_around) {
		c->error = direct_write(c->put->fd, &c->before, c->at, parts, count,
					&tools->room);
		return;
	}
	c->error = write_parts(c->put->fd, parts, count, c->at);
	write_back(c);
}

/* ---- making ---- */

void chunks_pack(struct chunk *chunk, struct cas_pool_tools *tools)
{
	chunk->out_size = 0;
	if (frame_compresses(chunk->in, chunk->in_size))
		chunk->out_size = frame_compress(tools->pack, chunk->in, chunk->in_size,
						 chunk->out, frame_bound(chunk->in_size));
}

static void run_pack(struct cas_pool_job *job, struct cas_pool_tools *tools)
{
	chunks_pack(container_of(job, struct chunk, job), tools);
}

static void run_load(struct cas_pool_job *job, struct cas_pool_tools *tools)
{
	struct chunk *c = container_of(job, struct chunk, job);
	const struct cas_piece *piece = &c->piece;
	c->in_size = piece->size;
	c->out_size = 0;
	c->error = piece_load(tools->unpack, piece, &c->put->source, c->in,
			      c->out + FRAME_RECORD_SIZE, &tools->room);
	if (c->error)
		return;
	if (piece->stored && frame_put_record(c->out, piece->stored, piece->size))
		c->out_size = FRAME_RECORD_SIZE + piece->stored;
	else if (!piece->stored)
		chunks_pack(c, tools);
}

/* ---- from station to station ---- */

static struct chunk *chunk_at(struct dir_put *put, uint64_t number)
{
	return put->ring[number % CHUNKS];
}

/* What was placed, and failed to be, needs no waiting for: its job is over. */
static int finish_next(struct dir_put *put)
{
	struct chunk *c = chunk_at(put, put->written);
	cas_pool_wait(&put->dir->pool, &c->job);
	put->written++;
	return c->error;
}

/* go_around() - from @c on; what is before it is in the file then, so that no block is written both ways
 * at once. */
static int go_around(struct dir_put *put, const struct chunk *c)
{
	int rc = 0;
	while (rc == 0 && put->written < put->placed && chunk_at(put, put->written) != c)
		rc = finish_next(put);
	put->kept = UINT64_MAX; /* it is tried once */
	put->is_around = rc == 0 && direct_switch(put->fd, true);
	return rc;
}

/* give_place() - behind the one before it. */
static int give_place(struct dir_put *put, struct chunk *c)
{
	struct iovec packed;
	int count, rc = open_temp(put);
	if (rc == 0 && put->offset >= put->kept)
		rc = go_around(put, c);
	if (rc)
		return rc;
	if (!c->out_size)
		frame_make_raw(&c->raw, c->in, c->in_size);
	struct iovec *parts = parts_of(c, &packed, &count);
	c->at = put->offset;
	c->is_around = put->is_around;
	c->before = put->tail;
	direct_tail_add(&put->tail, c->at, parts, count);
	put->offset += c->out_size ? c->out_size : c->raw.size;
	put->content_bytes += c->in_size;
	c->old = c->from = c->to = 0;
	if (!c->is_around && c->at - put->started_back >= WRITE_BACK) {
		c->old = put->dropped;
		c->from = put->started_back;
		c->to = c->at;
		put->dropped = c->from;
		put->started_back = c->to;
	}
	return 0;
}

static int place_next(struct dir_put *put)
{
	struct chunk *c = chunk_at(put, put->placed);
	cas_pool_wait(&put->dir->pool, &c->job);
	put->placed++;
	if (c->error)
		return c->error;
	if (c->piece.size) {
		cas_put_hash(&put->put, c->in, c->in_size);
		put->loading--;
	}
	c->error = give_place(put, c);
	if (c->error)
		return c->error;
	c->job.run = run_write;
	cas_pool_submit(&put->dir->pool, &c->job);
	return 0;
}

/* next_chunk() - a free one. Half of them are being made, half are being written. */
static int next_chunk(struct dir_put *put, struct chunk **chunkp)
{
	if (!put->is_counted)
		put->dir->streaming++;
	put->is_counted = true;
	unsigned limit = put->dir->streaming > CROWD ? CHUNKS_MIN : CHUNKS;
	int rc = 0;
	while (rc == 0 && put->begun - put->placed >= limit / 2)
		rc = place_next(put);
	while (rc == 0 && put->begun - put->written >= limit)
		rc = finish_next(put);
	if (rc)
		return rc;
	struct chunk **at = &put->ring[put->begun % CHUNKS];
	if (!*at) {
		*at = mem_alloc(sizeof **at);
		(*at)->put = put;
		(*at)->in = mem_resize(NULL, FRAME_CHUNK);
		(*at)->out = mem_resize(NULL, frame_bound(FRAME_CHUNK));
	}
	(*at)->error = 0;
	*chunkp = *at;
	return 0;
}

static int begin(struct dir_put *put, struct chunk *c)
{
	put->begun++;
	cas_pool_submit(&put->dir->pool, &c->job);
	int rc = 0;
	while (rc == 0 && put->placed < put->begun &&
	       pool_is_done(&put->dir->pool, &chunk_at(put, put->placed)->job))
		rc = place_next(put);
	return rc;
}

int chunks_add_fill(struct dir_put *put)
{
	struct chunk *c;
	int rc = next_chunk(put, &c);
	if (rc)
		return rc;
	uint8_t *empty = c->in;
	if (put->room < FRAME_CHUNK) /* it will be somebody else's */
		put->fill = mem_resize(put->fill, FRAME_CHUNK);
	c->in = put->fill;
	c->in_size = put->filled;
	c->piece = (struct cas_piece){0};
	c->job.run = run_pack;
	put->fill = empty;
	put->room = FRAME_CHUNK;
	put->filled = 0;
	return begin(put, c);
}

/* set_source() - what pieces are in, before any of them is read. */
static int set_source(struct dir_put *put, const struct cas_piece *piece)
{
	if (piece->data || put->source_fd == piece->fd)
		return 0;
	int rc = chunks_hash(put); /* nobody reads the one before any more */
	direct_reader_fini(&put->source);
	direct_reader_init(&put->source, piece->fd, DIRECT_KEPT);
	put->source_fd = piece->fd;
	return rc;
}

int chunks_add_piece(struct dir_put *put, const struct cas_piece *piece)
{
	struct chunk *c;
	int rc = set_source(put, piece);
	if (rc == 0)
		rc = next_chunk(put, &c);
	if (rc)
		return rc;
	c->piece = *piece;
	if (piece->data) { /* a frame, which is the caller's */
		c->piece.data = c->out + FRAME_RECORD_SIZE;
		memcpy(c->out + FRAME_RECORD_SIZE, piece->data, piece->stored);
	}
	c->job.run = run_load;
	put->loading++;
	return begin(put, c);
}

int chunks_hash(struct dir_put *put)
{
	int rc = 0;
	while (rc == 0 && put->loading)
		rc = place_next(put);
	return rc;
}

int chunks_write(struct dir_put *put)
{
	int rc = 0;
	while (rc == 0 && put->placed < put->begun)
		rc = place_next(put);
	while (rc == 0 && put->written < put->placed)
		rc = finish_next(put);
	return rc;
}

int chunks_write_last(struct dir_put *put, struct chunk *chunk,
		      struct cas_pool_tools *tools)
{
	chunk->put = put;
	int rc = give_place(put, chunk);
	if (rc)
		return rc;
	run_write(&chunk->job, tools);
	return chunk->error;
}

int chunks_end(struct dir_put *put)
{
	return put->is_around ? direct_end(put->fd, &put->tail, put->offset) : 0;
}

void chunks_free(struct dir_put *put)
{
	while (put->written < put->begun)
		(void)finish_next(put);
	for (unsigned i = 0; i < CHUNKS; i++) {
		if (!put->ring[i])
			continue;
		free(put->ring[i]->in);
		free(put->ring[i]->out);
		free(put->ring[i]);
	}
	direct_reader_fini(&put->source);
	if (put->is_counted)
		put->dir->streaming--;
}

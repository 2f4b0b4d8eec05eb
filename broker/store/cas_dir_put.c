/* cas_dir_put.c - writing a blob. Up to one chunk stays in memory and is packed by the
 * caller in one go, so that a small put costs one write and no thread. A larger one
 * flows:
 *
 *   caller --fill--> [chunk] --pool: pack--> ring of RING chunks, in order --caller:
 * write--> tmp
 *
 * Pieces that do not compress skip all that: the pool writes them from the caller's own
 * memory while the caller hashes it (cas_put_write() in cas.c), and put_settle() waits
 * for that. The kernel is told to write back early, so that the sync at the end is short.
 */
#include "broker/store/cas_dir.h"

#include "common/fs.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define RING 2 /* chunks being packed or waiting to be written */
#define FIRST_FILL (16u << 10)
#define RAW_PIECE (64u << 10) /* below, a piece is not worth a frame of its own */
#define WRITE_BACK (8u << 20)
#define KEEP_CACHED (256 << 20) /* what follows in a file does not stay in memory */

struct chunk {
	struct cas_pool_job job;
	uint8_t *in, *out;	  /* FRAME_CHUNK, frame_bound(FRAME_CHUNK) bytes */
	size_t in_size, out_size; /* out_size 0: does not compress */
};

struct direct { /* a piece written raw from the caller's memory */
	struct cas_pool_job job;
	struct dir_put *put;
	struct frame_raw raw;
	int error;
};

struct dir_put {
	struct cas_put put;
	struct cas_dir *dir;
	int fd; /* -1 until something is written */
	char temp[32];
	uint64_t offset; /* end of the file */
	uint64_t started_back,
		dropped; /* on its way to the disk up to here; there up to here */
	uint8_t *fill;
	size_t filled, room;
	struct chunk *ring[RING];
	unsigned head, count; /* oldest chunk in the ring, chunks there */
	struct direct *direct;
	bool is_direct;	  /* the pool is writing put->direct */
	uint64_t written; /* content bytes that went to the file */
};

static struct dir_put *put_of(struct cas_put *put)
{
	return container_of(put, struct dir_put, put);
}

int cas_dir_put_open(struct cas *cas, struct cas_put **putp)
{
	struct cas_dir *d = container_of(cas, struct cas_dir, cas);
	if (d->broken)
		return d->broken;
	if (d->tmp < 0)
		return -EROFS;
	struct dir_put *put = mem_alloc(sizeof *put);
	put->dir = d;
	put->fd = -1;
	*putp = &put->put;
	return 0;
}

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

/* write_back() - have the last window of the file written to the disk, and wait for the one before.
 * Only hints: the sync at the end is what counts and reports errors. It is short then, and memory
 * is not filled with bytes that nobody may ever read again: pages beyond KEEP_CACHED are given
 * back at once, which also spares a virtual machine from fetching fresh ones (2 to 4 times as
 * fast for 1 GiB, measured). */
static void write_back(struct dir_put *put)
{
	off_t from = (off_t)put->started_back,
	      size = (off_t)(put->offset - put->started_back);
	(void)sync_file_range(put->fd, from, size, SYNC_FILE_RANGE_WRITE);
	if (put->dropped < put->started_back) {
		off_t old = (off_t)put->dropped;
		(void)sync_file_range(put->fd, old, from - old,
				      SYNC_FILE_RANGE_WAIT_BEFORE |
					      SYNC_FILE_RANGE_WRITE |
					      SYNC_FILE_RANGE_WAIT_AFTER);
		if (old >= KEEP_CACHED)
			(void)posix_fadvise(put->fd, old, from - old,
					    POSIX_FADV_DONTNEED);
		put->dropped = put->started_back;
	}
	put->started_back = put->offset;
}

/* write_parts() - at the end of the file; @parts is used up. */
static int write_parts(struct dir_put *put, struct iovec *parts, int count)
{
	while (count) {
		ssize_t n = pwritev(put->fd, parts, count, (off_t)put->offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		put->offset += (uint64_t)n;
		for (; count && (size_t)n >= parts->iov_len; parts++, count--)
			n -= (ssize_t)parts->iov_len;
		if (count) {
			parts->iov_base = (uint8_t *)parts->iov_base + n;
			parts->iov_len -= (size_t)n;
		}
	}
	if (put->offset - put->started_back >= WRITE_BACK)
		write_back(put);
	return 0;
}

static int write_raw(struct dir_put *put, const uint8_t *data, size_t size)
{
	struct frame_raw raw;
	frame_make_raw(&raw, data, size);
	return write_parts(put, raw.parts, raw.count);
}

/* ---- chunks ---- */

static void pack_chunk(struct chunk *chunk, struct cas_pool_tools *tools)
{
	chunk->out_size = 0;
	if (frame_compresses(chunk->in, chunk->in_size))
		chunk->out_size = frame_compress(tools->pack, chunk->in, chunk->in_size,
						 chunk->out, frame_bound(chunk->in_size));
}

static void run_pack(struct cas_pool_job *job, struct cas_pool_tools *tools)
{
	pack_chunk(container_of(job, struct chunk, job), tools);
}

static int write_chunk(struct dir_put *put, const struct chunk *chunk)
{
	int rc = open_temp(put);
	if (rc)
		return rc;
	put->written += chunk->in_size;
	if (!chunk->out_size)
		return write_raw(put, chunk->in, chunk->in_size);
	return write_parts(put, &(struct iovec){chunk->out, chunk->out_size}, 1);
}

/* reap() - write the oldest chunks that are packed; wait until at most @keep are left. */
static int reap(struct dir_put *put, unsigned keep)
{
	while (put->count) {
		struct chunk *chunk = put->ring[put->head];
		if (put->count > keep)
			cas_pool_wait(&put->dir->pool, &chunk->job);
		else if (!pool_is_done(&put->dir->pool, &chunk->job))
			return 0;
		put->head = (put->head + 1) % RING;
		put->count--;
		int rc = write_chunk(put, chunk);
		if (rc)
			return rc;
	}
	return 0;
}

/* submit_fill() - the full buffer becomes a chunk of the ring and gives its place to
 * another. */
static int submit_fill(struct dir_put *put)
{
	int rc = reap(put, RING - 1);
	if (rc)
		return rc;
	unsigned at = (put->head + put->count) % RING;
	struct chunk *chunk = put->ring[at];
	if (!chunk) {
		chunk = put->ring[at] = mem_alloc(sizeof *chunk);
		chunk->in = mem_resize(NULL, FRAME_CHUNK);
		chunk->out = mem_resize(NULL, frame_bound(FRAME_CHUNK));
		chunk->job.run = run_pack;
	}
	uint8_t *empty = chunk->in;
	chunk->in = put->fill;
	chunk->in_size = put->filled;
	put->fill = empty;
	put->room = FRAME_CHUNK;
	put->filled = 0;
	put->count++;
	cas_pool_submit(&put->dir->pool, &chunk->job);
	return 0;
}

static size_t add_to_fill(struct dir_put *put, const uint8_t *data, size_t size)
{
	size_t left = FRAME_CHUNK - put->filled;
	if (size > left)
		size = left;
	if (put->filled + size > put->room) {
		size_t room = put->room ? put->room : FIRST_FILL;
		while (room < put->filled + size)
			room *= 2;
		put->fill = mem_resize(put->fill, room);
		put->room = room;
	}
	memcpy(put->fill + put->filled, data, size);
	put->filled += size;
	return size;
}

/* ---- pieces that do not compress ---- */

static void run_direct(struct cas_pool_job *job, struct cas_pool_tools *tools)
{
	struct direct *direct = container_of(job, struct direct, job);
	(void)tools;
	direct->error = write_parts(direct->put, direct->raw.parts, direct->raw.count);
}

static int start_direct(struct dir_put *put, const uint8_t *data, size_t size)
{
	int rc = reap(put, 0);
	if (rc == 0)
		rc = open_temp(put);
	if (rc)
		return rc;
	if (!put->direct) {
		put->direct = mem_alloc(sizeof *put->direct);
		put->direct->job.run = run_direct;
		put->direct->put = put;
	}
	frame_make_raw(&put->direct->raw, data, size);
	put->written += size;
	put->is_direct = true;
	cas_pool_submit(&put->dir->pool, &put->direct->job);
	return 0;
}

static int settle(struct dir_put *put)
{
	if (!put->is_direct)
		return 0;
	cas_pool_wait(&put->dir->pool, &put->direct->job);
	put->is_direct = false;
	return put->direct->error;
}

int cas_dir_put_write(struct cas_put *base, const void *data, size_t size)
{
	struct dir_put *put = put_of(base);
	const uint8_t *at = data;
	while (size) {
		int rc = 0;
		bool is_direct =
			!put->filled && size >= RAW_PIECE && base->size >= FRAME_CHUNK;
		if (is_direct && !frame_compresses(at, size)) {
			size_t piece = size < FRAME_CHUNK ? size : FRAME_CHUNK;
			rc = settle(put);
			if (rc == 0)
				rc = start_direct(put, at, piece);
			at += piece;
			size -= piece;
		} else {
			/* Before what follows in the file is written, what is on its way
			 * has to be. */
			size_t taken = add_to_fill(put, at, size);
			at += taken;
			size -= taken;
			rc = put->filled == FRAME_CHUNK ? settle(put) : 0;
			if (rc == 0 && put->filled == FRAME_CHUNK)
				rc = submit_fill(put);
		}
		if (rc)
			return dir_error(rc);
	}
	return 0;
}

int cas_dir_put_settle(struct cas_put *base)
{
	struct dir_put *put = put_of(base);
	int rc = settle(put);
	if (rc == 0)
		rc = reap(put, RING);
	return dir_error(rc);
}

/* ---- the end ---- */

/* pack_rest() - the last chunk, or the only one: on this thread. */
static int pack_rest(struct dir_put *put)
{
	if (!put->filled)
		return 0;
	struct chunk chunk = {.in = put->fill, .in_size = put->filled};
	struct cas_pool_tools tools = cas_pool_borrow(&put->dir->pool);
	chunk.out = mem_resize(NULL, frame_bound(put->filled));
	pack_chunk(&chunk, &tools);
	cas_pool_give_back(&put->dir->pool, &tools);
	int rc = write_chunk(put, &chunk);
	free(chunk.out);
	return rc;
}

static int write_header(struct dir_put *put)
{
	uint8_t header[FRAME_HEADER_SIZE];
	frame_put_header(header, put->put.size);
	ssize_t n = pwrite(put->fd, header, sizeof header, 0);
	return n == sizeof header ? 0 : n < 0 ? -errno : -EIO;
}

int cas_dir_put_commit(struct cas_put *base, const uint8_t *digest)
{
	struct dir_put *put = put_of(base);
	struct cas_dir *d = put->dir;
	int rc = reap(put, 0);
	if (rc == 0)
		rc = pack_rest(put);
	if (rc == 0)
		rc = write_header(put);
	if (rc)
		return dir_error(rc);
	assert(put->written == base->size);
	/* A blob that is there already is not written to the disk a second time. */
	rc = dir_publish(d, put->temp, digest, base->size, false);
	if (rc == 1) {
		rc = fsync(put->fd) < 0 ? dir_note_failed_sync(d, -errno) : 0;
		if (rc == 0)
			rc = dir_publish(d, put->temp, digest, base->size, true);
	}
	if (rc == 0)
		put->temp[0] = '\0';
	return dir_error(rc);
}

void cas_dir_put_free(struct cas_put *base)
{
	struct dir_put *put = put_of(base);
	(void)settle(put);
	for (unsigned i = 0; i < put->count; i++)
		cas_pool_wait(&put->dir->pool, &put->ring[(put->head + i) % RING]->job);
	for (unsigned i = 0; i < RING; i++) {
		if (!put->ring[i])
			continue;
		free(put->ring[i]->in);
		free(put->ring[i]->out);
		free(put->ring[i]);
	}
	if (put->fd >= 0) {
		close(put->fd);
		if (put->temp[0])
			unlinkat(put->dir->tmp, put->temp, 0);
	}
	free(put->direct);
	free(put->fill);
	free(put);
}

/* cas_dir_put.c - writing a blob. Up to one chunk stays in memory and is packed by the
 * caller in one go, so that a small put costs one write and no thread. A larger one
 * flows: what the caller gives is copied to a buffer, which becomes a chunk when it is full; pieces of
 * files, and frames, are chunks of their own (cas_dir_chunks.c). */
#include "broker/store/cas_dir_put.h"

#include "common/fs.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_FILL (16u << 10)
#define KEPT_UNKNOWN (16u << 20) /* of what nobody is about to read */

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
	put->fd = put->source_fd = put->source.fd = -1;
	put->kept = DIRECT_KEPT;
	*putp = &put->put;
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

int cas_dir_put_write(struct cas_put *base, const void *data, size_t size)
{
	struct dir_put *put = put_of(base);
	const uint8_t *at = data;
	while (size) {
		size_t taken = add_to_fill(put, at, size);
		at += taken;
		size -= taken;
		int rc = put->filled == FRAME_CHUNK ? chunks_add_fill(put) : 0;
		if (rc)
			return dir_error(rc);
	}
	return 0;
}

void cas_dir_put_expect(struct cas_put *base, uint64_t size)
{
	put_of(base)->kept = size == UINT64_MAX	  ? KEPT_UNKNOWN
			     : size > DIRECT_KEPT ? 0
						  : DIRECT_KEPT;
}

int cas_dir_put_piece(struct cas_put *base, const struct cas_piece *piece)
{
	struct dir_put *put = put_of(base);
	int rc = put->filled ? chunks_add_fill(put) : 0;
	if (rc == 0)
		rc = chunks_add_piece(put, piece);
	return dir_error(rc);
}

int cas_dir_put_settle(struct cas_put *base)
{
	return dir_error(chunks_hash(put_of(base)));
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
	chunks_pack(&chunk, &tools);
	int rc = chunks_write_last(put, &chunk, &tools);
	cas_pool_give_back(&put->dir->pool, &tools);
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
	int rc = chunks_write(put);
	if (rc == 0)
		rc = pack_rest(put);
	if (rc == 0)
		rc = chunks_end(put);
	if (rc == 0)
		rc = write_header(put);
	if (rc)
		return dir_error(rc);
	assert(put->content_bytes == base->size);
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
	chunks_free(put);
	if (put->fd >= 0) {
		close(put->fd);
		if (put->temp[0])
			unlinkat(put->dir->tmp, put->temp, 0);
	}
	free(put->fill);
	free(put);
}

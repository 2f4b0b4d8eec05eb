/* write.c - see write.h. What an archive consists of, and the digest of it; ring.c has the bytes compressed
 * and written. */
#include "client/archive/write.h"

#include "client/archive/ring.h"
#include "common/pure/sha256.h"

#include <errno.h>
#include <stdlib.h>
#include <zstd.h>

#define INLINE_PIECE                                                                     \
	4096 /* is compressed where it comes from: no use in waking anybody */

struct archive_writer {
	struct archive_ring *ring;
	struct sha256 sha;
	struct archive_counts counts;
	uint64_t blob_bytes;
	struct buf head;
	ZSTD_CCtx *small; /* NULL: small pieces are not compressed */
	uint8_t small_out[2 * INLINE_PIECE];
};

static void put32(uint8_t *to, uint64_t value)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* ---- filling ---- */

static int add_hashed(struct archive_writer *w, const void *data, size_t size)
{
	sha256_update(&w->sha, data, size);
	return archive_ring_bytes(w->ring, data, size);
}

static int add_entry(struct archive_writer *w, char kind)
{
	uint8_t start[5] = {(uint8_t)kind};
	if (w->head.failed)
		return -ENOMEM;
	put32(start + 1, w->head.size);
	int rc = add_hashed(w, start, sizeof start);
	return rc ? rc : add_hashed(w, w->head.data, w->head.size);
}

static struct buf *begin_head(struct archive_writer *w, uint64_t count)
{
	buf_reset(&w->head);
	cbor_add_array(&w->head, count);
	return &w->head;
}

int archive_write_head(struct archive_writer *w, uint64_t wall_ms, const char *version)
{
	struct buf *head = begin_head(w, 2);
	cbor_add_uint(head, wall_ms);
	cbor_add_text(head, version);
	int rc = add_hashed(w, ARCHIVE_MAGIC, ARCHIVE_MAGIC_SIZE);
	return rc ? rc : add_entry(w, 'H');
}

int archive_write_blob(struct archive_writer *w, uint64_t type,
		       const uint8_t digest[DIGEST_SIZE])
{
	struct buf *head = begin_head(w, 2);
	cbor_add_uint(head, type);
	cbor_add_bytes(head, digest, DIGEST_SIZE);
	w->blob_bytes = 0;
	return add_entry(w, 'B');
}

static int add_piece(struct archive_writer *w, enum archive_form form, const void *stored,
		     size_t stored_size, size_t size)
{
	uint8_t head[ARCHIVE_PIECE_HEAD];
	archive_piece_head(head, form, stored_size, size);
	int rc = archive_ring_bytes(w->ring, head, sizeof head);
	return rc ? rc : archive_ring_bytes(w->ring, stored, stored_size);
}

static int add_content(struct archive_writer *w, const void *data, size_t size,
		       bool is_raw)
{
	if (size <= INLINE_PIECE) {
		size_t n = archive_pack_piece(w->small, data, size, w->small_out,
					      sizeof w->small_out);
		return n ? add_piece(w, ARCHIVE_ZSTD, w->small_out, n, size)
			 : add_piece(w, ARCHIVE_RAW, data, size, size);
	}
	return archive_ring_content(w->ring, data, size, is_raw);
}

int archive_write_content(struct archive_writer *w, const void *data, size_t size,
			  const void *stored, size_t stored_size)
{
	w->blob_bytes += size;
	if (stored && stored != data)
		return add_piece(w, ARCHIVE_ZSTD, stored, stored_size, size);
	int rc = 0;
	for (size_t at = 0; at < size && !rc; at += ARCHIVE_PIECE) {
		size_t part = size - at < ARCHIVE_PIECE ? size - at : ARCHIVE_PIECE;
		rc = add_content(w, (const uint8_t *)data + at, part, stored == data);
	}
	return rc;
}

int archive_write_piece(struct archive_writer *w, struct direct_piece *piece)
{
	if (piece->size <= INLINE_PIECE)
		return archive_write_content(w, piece->data, piece->size, piece->data,
					     piece->size);
	w->blob_bytes += piece->size;
	return archive_ring_piece(w->ring, piece);
}

bool archive_write_at(struct archive_writer *w, uint64_t *atp)
{
	return archive_ring_at(w->ring, atp);
}

int archive_write_blob_end(struct archive_writer *w)
{
	uint8_t end[ARCHIVE_PIECE_HEAD] = {ARCHIVE_END};
	put32(end + 1, w->blob_bytes >> 32);
	put32(end + 5, w->blob_bytes);
	w->counts.blobs++;
	w->counts.bytes += w->blob_bytes;
	return add_hashed(w, end, sizeof end);
}

int archive_write_blob_void(struct archive_writer *w)
{
	const uint8_t end[ARCHIVE_PIECE_HEAD] = {ARCHIVE_VOID};
	w->counts.absent++;
	return add_hashed(w, end, sizeof end);
}

int archive_write_absent(struct archive_writer *w, const uint8_t digest[DIGEST_SIZE])
{
	cbor_add_bytes(begin_head(w, 1), digest, DIGEST_SIZE);
	w->counts.absent++;
	return add_entry(w, 'A');
}

int archive_write_commit(struct archive_writer *w, const void *body, size_t size,
			 const uint8_t hash[DIGEST_SIZE], bool current,
			 const struct archive_tag *tags, size_t tag_count)
{
	struct buf *head = begin_head(w, 4);
	cbor_add_bytes(head, body, size);
	cbor_add_bytes(head, hash, DIGEST_SIZE);
	cbor_add_bool(head, current);
	cbor_add_array(head, tag_count);
	for (size_t i = 0; i < tag_count; i++) {
		cbor_add_array(head, 2);
		cbor_add_text(head, tags[i].key);
		cbor_add_text(head, tags[i].value);
	}
	w->counts.commits++;
	return head->size > ARCHIVE_HEAD_MAX ? -EFBIG : add_entry(w, 'C');
}

int archive_write_pin(struct archive_writer *w, const char *name,
		      const uint8_t hash[DIGEST_SIZE], uint64_t wall_ms)
{
	struct buf *head = begin_head(w, 3);
	cbor_add_text(head, name);
	cbor_add_bytes(head, hash, DIGEST_SIZE);
	cbor_add_uint(head, wall_ms);
	w->counts.pins++;
	return add_entry(w, 'P');
}

const struct archive_counts *archive_written(const struct archive_writer *w)
{
	return &w->counts;
}

/* ---- life ---- */

int archive_write_end(struct archive_writer *w, struct archive_counts *counts,
		      uint64_t *bytesp)
{
	uint8_t digest[DIGEST_SIZE];
	struct buf *head = begin_head(w, 5);
	cbor_add_uint(head, w->counts.commits);
	cbor_add_uint(head, w->counts.blobs);
	cbor_add_uint(head, w->counts.absent);
	cbor_add_uint(head, w->counts.pins);
	cbor_add_uint(head, w->counts.bytes);
	int rc = add_entry(w, 'M');
	struct sha256 sha = w->sha;
	sha256_final(&sha, digest);
	cbor_add_bytes(begin_head(w, 1), digest, DIGEST_SIZE);
	if (!rc)
		rc = add_entry(w, 'Z');
	int end = archive_ring_end(w->ring);
	*counts = w->counts;
	*bytesp = archive_ring_written(w->ring);
	return rc ? rc : end;
}

struct archive_writer *archive_writer_new(int fd)
{
	struct archive_writer *w = calloc(1, sizeof *w);
	if (!w)
		return NULL;
	sha256_init(&w->sha);
	w->small = ZSTD_createCCtx();
	w->ring = archive_ring_new(fd);
	if (w->ring)
		return w;
	archive_writer_free(w);
	return NULL;
}

void archive_writer_free(struct archive_writer *w)
{
	if (!w)
		return;
	archive_ring_free(w->ring);
	buf_fini(&w->head);
	ZSTD_freeCCtx(w->small);
	free(w);
}

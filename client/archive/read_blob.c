/* read_blob.c - blobs and their pieces, see read.h. */
#include "client/archive/read_impl.h"

#include "common/pure/hex.h"

#include <stdio.h>
#include <string.h>
#include <zstd.h>

#define PIECE_HEAD 9
#define STORED_MAX (ARCHIVE_PIECE + (64u << 10)) /* of a piece */
#define RATIO_MAX 1000

static int add_size(struct archive_reader *r, size_t size, struct err *e)
{
	r->blob_bytes += size;
	r->counts.bytes += size;
	if (r->ratio_free == UINT64_MAX || r->counts.bytes <= r->ratio_free ||
	    (r->counts.bytes - r->ratio_free) / RATIO_MAX <= r->taken)
		return 0;
	err_set(e, ERR_USAGE,
		"this archive unpacks to more than 1000 times its own size");
	err_next(e, "if that is right, say how much it may be: --max-size");
	return ERR_USAGE;
}

/* next_head() - what piece comes; r->next.size 0: the blob ends here. */
static int next_head(struct archive_reader *r, bool *voidp, struct err *e)
{
	const uint8_t *head;
	int rc = read_take(r, PIECE_HEAD, &head, e);
	if (rc)
		return rc;
	uint8_t form = head[0];
	uint32_t stored = read_get32(head + 1), size = read_get32(head + 5);
	r->next.size = 0;
	*voidp = form == ARCHIVE_VOID;
	if (form == ARCHIVE_END || form == ARCHIVE_VOID) {
		sha256_update(&r->sha, head, PIECE_HEAD);
		uint64_t total = form == ARCHIVE_END ? r->blob_bytes : 0;
		return ((uint64_t)stored << 32 | size) == total
			       ? 0
			       : read_bad(e, "a blob is not as long as it says");
	}
	if (form > ARCHIVE_VOID || !size || size > ARCHIVE_PIECE || !stored ||
	    stored > STORED_MAX || (form == ARCHIVE_RAW && stored != size))
		return read_bad(e, "a piece of a blob that cannot be one");
	r->next = (struct piece_head){form == ARCHIVE_ZSTD, stored, size};
	return add_size(r, size, e);
}

/* unpack_next() - the content of the piece that comes, borrowed until the next call. */
static int unpack_next(struct archive_reader *r, const uint8_t **datap, size_t *sizep,
		       struct err *e)
{
	struct piece_head head = r->next;
	r->next.size = 0;
	int rc = read_take(r, head.stored, datap, e);
	if (!rc && head.is_packed) {
		size_t n = ZSTD_decompressDCtx(r->dctx, r->content, head.size, *datap,
					       head.stored);
		if (ZSTD_isError(n) || n != head.size)
			return read_bad(e, "a piece of a blob that does not unpack");
		*datap = r->content;
	}
	*sizep = head.size;
	return rc;
}

int read_blob_piece(struct archive_reader *r, const uint8_t **datap, size_t *sizep,
		    bool *voidp, struct err *e)
{
	*sizep = 0;
	int rc = next_head(r, voidp, e);
	return rc || !r->next.size ? rc : unpack_next(r, datap, sizep, e);
}

int read_mark(struct archive_reader *r, const uint8_t *digest, uint8_t bits,
	      struct err *e)
{
	return seen_add(&r->seen, digest, bits) ? read_no_memory(e) : 0;
}

int read_end_blob(struct archive_reader *r, bool is_void, uint8_t bit,
		  const uint8_t *digest, struct err *e)
{
	if (!is_void) {
		r->counts.blobs++;
		return read_mark(r, digest, bit, e);
	}
	r->counts.bytes -= r->blob_bytes;
	r->counts.absent++;
	if (seen_bits(&r->seen, digest) & SEEN_BLOB)
		return read_bad(e, "a blob is there and absent");
	return read_mark(r, digest, SEEN_ABSENT, e);
}

int read_mismatch(struct err *e, const uint8_t *digest)
{
	char hex[HEX_DIGEST_SIZE], what[128];
	snprintf(what, sizeof what, "the bytes of blob %.16s are not those of its name",
		 hex_encode(hex, digest, DIGEST_SIZE));
	return read_bad(e, what);
}

void archive_read_verify(struct archive_reader *r)
{
	r->verify = true;
	sha256_init(&r->blob_sha);
}

static int finish_blob(struct archive_reader *r, bool is_void, struct err *e)
{
	r->in_blob = r->sparse = false;
	if (!is_void && !r->blob_bytes)
		return read_bad(e, "a blob without bytes");
	if (!is_void && r->verify) {
		uint8_t digest[DIGEST_SIZE];
		sha256_final(&r->blob_sha, digest);
		if (memcmp(digest, r->digest, DIGEST_SIZE) != 0)
			return read_mismatch(e, r->digest);
	}
	return read_end_blob(r, is_void, SEEN_FILE, r->digest, e);
}

int archive_next_size(struct archive_reader *r, size_t *sizep, bool *voidp, struct err *e)
{
	bool is_void = false;
	int rc = 0;
	if (r->in_blob && !r->piece_left && !r->next.size) {
		rc = next_head(r, &is_void, e);
		if (!rc && !r->next.size)
			rc = finish_blob(r, is_void, e);
	}
	if (voidp)
		*voidp = is_void;
	*sizep = rc ? 0 : r->next.size;
	return rc;
}

int archive_read_content(struct archive_reader *r, size_t max, const void **datap,
			 size_t *sizep, bool *voidp, struct err *e)
{
	size_t size;
	int rc = archive_next_size(r, &size, voidp, e);
	if (!rc && size)
		rc = unpack_next(r, &r->piece, &r->piece_left, e);
	if (!rc && size && r->verify)
		sha256_update(&r->blob_sha, r->piece, r->piece_left);
	*sizep = rc ? 0 : r->piece_left < max ? r->piece_left : max;
	*datap = r->piece;
	if (rc || !*sizep)
		return rc;
	r->piece += *sizep;
	r->piece_left -= *sizep;
	return 0;
}

int archive_read_piece(struct archive_reader *r, bool pass_over_it,
		       struct archive_piece *piece, bool *voidp, struct err *e)
{
	size_t size;
	*piece = (struct archive_piece){0};
	int rc = archive_next_size(r, &size, voidp, e);
	if (rc || (!size && !r->piece_left))
		return rc;
	struct piece_head head = r->next;
	/* A frame that gains nothing may be larger than what it holds. */
	bool is_plain = !size || (head.is_packed && head.stored >= head.size);
	if (is_plain) {
		rc = archive_read_content(r, ARCHIVE_PIECE, &piece->data, &size, voidp,
					  e);
		piece->size = (uint32_t)size;
		return rc;
	}
	r->sparse = pass_over_it;
	r->next.size = 0;
	piece->from = r->taken;
	piece->stored = head.is_packed ? head.stored : 0;
	piece->size = head.size;
	if (pass_over_it)
		return read_pass_over(r, head.stored, e);
	const uint8_t *data;
	rc = read_take(r, head.stored, &data, e);
	piece->data = data;
	return rc;
}

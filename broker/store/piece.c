/* piece.c - see piece.h. A frame comes from a stranger: it is one zstd frame and nothing else, with
 * the content that was announced, or it is refused. */
#include "broker/store/piece.h"

#include "broker/store/frame.h"

#include <string.h>
#include <zstd.h>

bool piece_is_sane(const struct cas_piece *piece)
{
	return piece->size && piece->size <= CAS_PIECE_MAX &&
	       piece->stored <= ZSTD_compressBound(piece->size) &&
	       piece->from <= INT64_MAX - CAS_PIECE_MAX * 2;
}

static int read_file(const struct direct_reader *from, uint64_t at, uint8_t *out,
		     size_t size, struct direct_room *room)
{
	int64_t n = direct_read(from, at, &(struct iovec){out, size}, 1, room);
	if (n < 0)
		return (int)n;
	return (size_t)n == size ? 0 : CAS_E_MISMATCH;
}

int piece_load(ZSTD_DCtx *context, const struct cas_piece *piece,
	       const struct direct_reader *from, uint8_t *out, uint8_t *stored,
	       struct direct_room *room)
{
	size_t size = piece->stored ? piece->stored : piece->size;
	uint8_t *to = piece->stored ? stored : out;
	int rc = 0;
	if (!piece->data)
		rc = read_file(from, piece->from, to, size, room);
	else if (piece->data != to)
		memcpy(to, piece->data, size);
	if (rc || !piece->stored)
		return rc;
	if (ZSTD_findFrameCompressedSize(stored, size) != size ||
	    ZSTD_decompressDCtx(context, out, piece->size, stored, size) != piece->size)
		return CAS_E_MISMATCH;
	return 0;
}

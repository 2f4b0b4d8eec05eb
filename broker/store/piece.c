/* piece.c - see piece.h. A frame comes from a stranger: it is one zstd frame and nothing else, with
 * the content that was announced, or it is refused. */
#include "broker/store/piece.h"

#include "broker/store/frame.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

bool piece_is_sane(const struct cas_piece *piece)
{
	return piece->size && piece->size <= CAS_PIECE_MAX &&
	       piece->stored <= ZSTD_compressBound(piece->size) &&
	       piece->from <= INT64_MAX - CAS_PIECE_MAX * 2;
}

static int read_file(const struct cas_piece *piece, uint8_t *out, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = pread(piece->fd, out + done, size - done,
				  (off_t)(piece->from + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : CAS_E_MISMATCH;
		done += (size_t)n;
	}
	return 0;
}

int piece_load(ZSTD_DCtx *context, const struct cas_piece *piece, uint8_t *out,
	       uint8_t *stored)
{
	size_t size = piece->stored ? piece->stored : piece->size;
	uint8_t *to = piece->stored ? stored : out;
	int rc = 0;
	if (!piece->data)
		rc = read_file(piece, to, size);
	else if (piece->data != to)
		memcpy(to, piece->data, size);
	if (rc || !piece->stored)
		return rc;
	if (ZSTD_findFrameCompressedSize(stored, size) != size ||
	    ZSTD_decompressDCtx(context, out, piece->size, stored, size) != piece->size)
		return CAS_E_MISMATCH;
	return 0;
}

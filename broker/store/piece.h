/* piece.h - taking in a piece of a blob that is being put (struct cas_piece, cas.h). */
#pragma once

#include "broker/store/cas.h"
#include "common/direct.h"

struct ZSTD_DCtx_s;

/** piece_is_sane() - its sizes are such that it can be loaded, and stored as it is. */
bool piece_is_sane(const struct cas_piece *piece);
/** piece_load() - its content to @out (piece->size bytes); the frame that holds it, if there is one,
 * to @stored (piece->stored bytes), where it may be already. @from: reads piece->fd. Return: 0; CAS_E_MISMATCH: it is not what it is said to be, or
 * the file ended; -errno. */
int piece_load(struct ZSTD_DCtx_s *context, const struct cas_piece *piece,
	       const struct direct_reader *from, uint8_t *out, uint8_t *stored,
	       struct direct_room *room);

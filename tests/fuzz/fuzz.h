/* fuzz.h - what fuzz targets share. A decoder must refuse, or accept what encodes to the same bytes:
 * two forms of one content would be two names for one piece of work. */
#pragma once

#include "common/pure/buf.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** must() - assert() that no build switches off. */
static inline void must(bool condition)
{
	if (!condition)
		abort();
}

static inline void must_be_canonical(const struct buf *again, const uint8_t *data,
				     size_t size)
{
	must(!again->failed && again->size == size && !memcmp(again->data, data, size));
}

/* json.h - two JSON texts by path: "metrics.loss: 0.31 -> 0.29". Members by name in any order, items of
 * arrays by position. Bounded like text.h. */
#pragma once

#include "common/pure/buf.h"

#define JSON_DIFF_LINES 200 /* differences that are written out; the rest is counted */

/** json_diff() - append a line for each difference: "PATH: OLD -> NEW", "+ PATH: NEW", "- PATH: OLD".
 * Values as they are written there. Return: how many there are; -1 if one of them is not JSON (nothing
 * is appended); -ENOMEM. */
int64_t json_diff(struct buf *out, const void *a, size_t a_size, const void *b,
		  size_t b_size);

/* cbor_head.h - what writer and reader of CBOR share. An item starts with a head: three bits of major
 * type and an argument that is in the low five bits, or in the 1, 2, 4 or 8 bytes that follow, and
 * always in the fewest. Private to cbor_*.c. */
#pragma once

#include "common/pure/base.h"

enum major { M_UINT, M_NEGINT, M_BYTES, M_TEXT, M_ARRAY, M_MAP, M_TAG, M_SIMPLE };

enum {
	SIMPLE_FALSE = 20,
	SIMPLE_TRUE = 21,
	SIMPLE_NULL = 22,
	SIMPLE_HALF = 25,
	SIMPLE_FLOAT = 26,
	SIMPLE_DOUBLE = 27,
};

#define HALF_NAN 0x7e00

/** cbor_half_from_float() - the half with exactly the value of @f, which is no NaN.
 * Return: true if there is one. */
bool cbor_half_from_float(float f, uint16_t *half);
double cbor_double_from_half(uint16_t half);

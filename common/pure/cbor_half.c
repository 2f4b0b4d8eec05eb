/* cbor_half.c - floats of 16 bits (IEEE 754 binary16), which C17 has no type for. */
#include "common/pure/cbor_head.h"

#include <math.h>
#include <string.h>

bool cbor_half_from_float(float f, uint16_t *half)
{
	uint32_t bits;
	memcpy(&bits, &f, 4);
	uint32_t sign = bits >> 16 & 0x8000, fraction = bits & 0x7fffff;
	int exponent = (int)(bits >> 23 & 0xff) - 127;
	if (!(bits & 0x7fffffff)) {
		*half = (uint16_t)sign;
	} else if (exponent == 128) { /* infinity */
		*half = (uint16_t)(sign | 0x7c00);
	} else if (exponent >= -14 && exponent <= 15) {
		if (fraction & 0x1fff)
			return false;
		*half = (uint16_t)(sign | (uint32_t)(exponent + 15) << 10 |
				   fraction >> 13);
	} else if (exponent >= -24 &&
		   exponent < -14) { /* subnormal: multiples of 2^-24 */
		uint32_t significand = fraction | 0x800000;
		int shift = -1 - exponent;
		if (significand & ((1u << shift) - 1))
			return false;
		*half = (uint16_t)(sign | significand >> shift);
	} else {
		return false;
	}
	return true;
}

double cbor_double_from_half(uint16_t half)
{
	int exponent = half >> 10 & 31, fraction = half & 0x3ff;
	double value = exponent == 31 ? (fraction ? (double)NAN : HUGE_VAL)
		       : exponent     ? ldexp(fraction + 1024, exponent - 25)
				      : ldexp(fraction, -24);
	return half & 0x8000 ? -value : value;
}

/* literal.c - see literal.h. Nothing here depends on the locale. */
#include "client/batch/literal.h"

#include "client/batch/scalar.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- base64 */

static int sextet(char c)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(alphabet, c) : NULL;
	return at ? (int)(at - alphabet) : -1;
}

int literal_base64(const char *text, uint8_t *out, size_t *sizep)
{
	uint32_t bits = 0;
	unsigned count = 0, padding = 0; /* of sextets, all told; of "=" */
	size_t size = 0;
	for (; *text; text++) {
		if (strchr(" \t\r\n", *text))
			continue;
		if (*text == '=') {
			padding++;
			continue;
		}
		int six = sextet(*text);
		if (six < 0 || padding)
			return 1;
		bits = bits << 6 | (uint32_t)six;
		count = (count + 1) % 4;
		if (count != 1)
			out[size++] = (uint8_t)(bits >> (count == 2   ? 4
							 : count == 3 ? 2
								      : 0));
	}
	/* One sextet is no byte; the bits that are left over are zero in what encoders write. */
	if (count == 1 || (count == 2 && bits & 0xf) || (count == 3 && bits & 3))
		return 1;
	if (padding && (count + padding) % 4)
		return 1;
	*sizep = size;
	return padding > 2;
}

/* ---- floats */

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* What stands behind "0x": digits, perhaps a point among them, perhaps p and an exponent. */
static int read_hex(const char *at, double *valuep)
{
	uint64_t mantissa = 0;
	long exponent = 0, behind = 0;
	bool point = false, any = false;
	for (; *at && *at != 'p' && *at != 'P'; at++) {
		if (*at == '.' && !point) {
			point = true;
			continue;
		}
		int digit = hex_digit(*at);
		if (digit < 0)
			return 1;
		any = true;
		behind += point;
		if (mantissa >> 60)
			return 1; /* more bits than any double has, or zeros behind them */
		mantissa = mantissa << 4 | (uint64_t)digit;
		if (behind > 1000)
			return 1;
	}
	if (!any)
		return 1;
	if (*at) {
		const char *digits = ++at;
		digits += *digits == '-' || *digits == '+';
		if (!*digits || digits[strspn(digits, "0123456789")])
			return 1;
		exponent = strlen(digits) > 6 ? 1000000 : strtol(at, NULL, 10);
	}
	double d = (double)mantissa;
	if ((uint64_t)d != mantissa || mantissa >> 63)
		return 1;
	int shift = (int)(exponent - 4 * behind);
	*valuep = ldexp(d, shift);
	/* Bits that fall off below the smallest double. */
	return isinf(*valuep) || ldexp(*valuep, -shift) != d;
}

int literal_float(const char *text, double *valuep)
{
	const char *at = text + (*text == '-' || *text == '+');
	bool negative = *text == '-';
	struct value v;
	if (*at == '.' && (at[1] | 32) >= 'a')
		at++; /* as YAML writes .inf and .nan */
	if (!strcasecmp(at, "nan")) {
		*valuep = NAN;
		return 0;
	}
	if (!strcasecmp(at, "inf")) {
		*valuep = negative ? -INFINITY : INFINITY;
		return 0;
	}
	if (at[0] == '0' && (at[1] | 32) == 'x') {
		if (read_hex(at + 2, valuep))
			return 1;
		*valuep = negative ? -*valuep : *valuep;
		return 0;
	}
	if (scalar_parse(text, &v) != SCALAR_VALUE || v.type == VALUE_BOOL)
		return 1;
	*valuep = v.type == VALUE_DOUBLE ? v.d
		  : v.type == VALUE_INT	 ? (double)v.i
					 : (double)v.u;
	return 0;
}

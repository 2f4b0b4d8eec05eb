/* cbor_write.c - the writer of cbor.h. It has one way to write each value, so equal data has equal
 * bytes. */
#include "common/pure/cbor.h"

#include "common/pure/cbor_head.h"

#include <math.h>
#include <string.h>

static void add_big_endian(struct buf *b, uint8_t first, uint64_t value, unsigned bytes)
{
	uint8_t *to = buf_reserve(b, 1 + bytes);
	if (!to)
		return;
	*to++ = first;
	for (unsigned i = bytes; i-- > 0;)
		*to++ = (uint8_t)(value >> (8 * i));
	b->size += 1 + bytes;
}

static void add_head(struct buf *b, enum major major, uint64_t n)
{
	uint8_t type = (uint8_t)(major << 5);
	if (n < 24)
		buf_add_byte(b, (uint8_t)(type | n));
	else if (n <= UINT8_MAX)
		add_big_endian(b, type | 24, n, 1);
	else if (n <= UINT16_MAX)
		add_big_endian(b, type | 25, n, 2);
	else if (n <= UINT32_MAX)
		add_big_endian(b, type | 26, n, 4);
	else
		add_big_endian(b, type | 27, n, 8);
}

void cbor_add_uint(struct buf *b, uint64_t value)
{
	add_head(b, M_UINT, value);
}

void cbor_add_int(struct buf *b, int64_t value)
{
	if (value >= 0)
		add_head(b, M_UINT, (uint64_t)value);
	else
		add_head(b, M_NEGINT, ~(uint64_t)value); /* -1 - n */
}

void cbor_add_double(struct buf *b, double value)
{
	const uint8_t type = M_SIMPLE << 5;
	uint16_t half;
	if (isnan(value)) {
		add_big_endian(b, type | SIMPLE_HALF, HALF_NAN, 2);
		return;
	}
	/* Out of range is asked first: such a conversion is undefined. */
	if (!isinf(value) && fabs(value) > 3.4028234663852886e38) {
		uint64_t bits;
		memcpy(&bits, &value, 8);
		add_big_endian(b, type | SIMPLE_DOUBLE, bits, 8);
		return;
	}
	float single = (float)value;
	if ((double)single != value) {
		uint64_t bits;
		memcpy(&bits, &value, 8);
		add_big_endian(b, type | SIMPLE_DOUBLE, bits, 8);
	} else if (!cbor_half_from_float(single, &half)) {
		uint32_t bits;
		memcpy(&bits, &single, 4);
		add_big_endian(b, type | SIMPLE_FLOAT, bits, 4);
	} else {
		add_big_endian(b, type | SIMPLE_HALF, half, 2);
	}
}

void cbor_add_bool(struct buf *b, bool value)
{
	add_head(b, M_SIMPLE, value ? SIMPLE_TRUE : SIMPLE_FALSE);
}

void cbor_add_null(struct buf *b)
{
	add_head(b, M_SIMPLE, SIMPLE_NULL);
}

void cbor_add_bytes(struct buf *b, const void *data, size_t size)
{
	add_head(b, M_BYTES, size);
	buf_add(b, data, size);
}

void cbor_add_text(struct buf *b, const char *text)
{
	cbor_add_text_n(b, text, strlen(text));
}

void cbor_add_text_n(struct buf *b, const char *text, size_t size)
{
	add_head(b, M_TEXT, size);
	buf_add(b, text, size);
}

void cbor_add_array(struct buf *b, uint64_t count)
{
	add_head(b, M_ARRAY, count);
}

void cbor_add_map(struct buf *b, uint64_t pairs)
{
	add_head(b, M_MAP, pairs);
}

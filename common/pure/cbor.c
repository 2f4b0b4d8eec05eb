/* cbor.c - see cbor.h. An item starts with a head: three bits of major type and an argument that is
 * in the low five bits, or in the 1, 2, 4 or 8 bytes that follow, and always in the fewest. The
 * reader accepts exactly what the writer can write, so equal data has equal bytes. */
#include "common/pure/cbor.h"

#include "common/pure/utf8.h"

#include <math.h>
#include <string.h>

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

/* ---- writing */

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

/* half_from_float() - the half with exactly the value of @f. Return: true if there is one. */
static bool half_from_float(float f, uint16_t *half)
{
	uint32_t bits;
	memcpy(&bits, &f, 4);
	uint32_t sign = bits >> 16 & 0x8000, fraction = bits & 0x7fffff;
	int exponent = (int)(bits >> 23 & 0xff) - 127;
	if (!(bits & 0x7fffffff)) {
		*half = (uint16_t)sign;
	} else if (exponent == 128) { /* infinity; NaN is written apart */
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

static double double_from_half(uint16_t half)
{
	int exponent = half >> 10 & 31, fraction = half & 0x3ff;
	double value = exponent == 31 ? (fraction ? (double)NAN : HUGE_VAL)
		       : exponent     ? ldexp(fraction + 1024, exponent - 25)
				      : ldexp(fraction, -24);
	return half & 0x8000 ? -value : value;
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
	} else if (!half_from_float(single, &half)) {
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

/* ---- reading */

void cbor_reader_init(struct cbor_reader *r, const void *data, size_t size)
{
	*r = (struct cbor_reader){.at = data, .end = (const uint8_t *)data + size};
}

static int fail(struct cbor_reader *r)
{
	r->failed = true;
	return 1;
}

static size_t left(const struct cbor_reader *r)
{
	return (size_t)(r->end - r->at);
}

/* read_head() - @low: the five bits as they stand, which for M_SIMPLE give the width. */
static int read_head(struct cbor_reader *r, enum major *major, uint8_t *low, uint64_t *n)
{
	if (r->failed || r->at == r->end)
		return fail(r);
	uint8_t first = *r->at++;
	*major = first >> 5;
	*low = first & 31;
	*n = *low;
	if (*low < 24)
		return 0;
	if (*low > 27) /* reserved, and lengths that are not known */
		return fail(r);
	size_t bytes = (size_t)1 << (*low - 24);
	if (left(r) < bytes)
		return fail(r);
	*n = 0;
	for (size_t i = 0; i < bytes; i++)
		*n = *n << 8 | *r->at++;
	if (*major ==
	    M_SIMPLE) /* the argument is a float, not a number to be shortened */
		return 0;
	static const uint64_t least[] = {24, UINT8_MAX + 1ull, UINT16_MAX + 1ull,
					 UINT32_MAX + 1ull};
	return *n < least[*low - 24] ? fail(r) : 0;
}

/* A float is refused unless the writer would have written it in this width: written again into
 * nothing but its first byte, it must choose the same. */
static int read_float(struct cbor_reader *r, uint8_t low, uint64_t bits, double *value)
{
	uint16_t half;
	float single;
	if (low == SIMPLE_HALF) {
		*value = double_from_half((uint16_t)bits);
		return isnan(*value) && bits != HALF_NAN ? fail(r) : 0;
	}
	if (low == SIMPLE_FLOAT) {
		uint32_t bits32 = (uint32_t)bits;
		memcpy(&single, &bits32, 4);
		*value = (double)single;
		return isnan(single) || half_from_float(single, &half) ? fail(r) : 0;
	}
	memcpy(value, &bits, 8);
	if (isnan(*value) || isinf(*value))
		return fail(r);
	return fabs(*value) <= 3.4028234663852886e38 && (double)(float)*value == *value
		       ? fail(r)
		       : 0;
}

static int read_simple(struct cbor_reader *r, uint8_t low, uint64_t n,
		       struct cbor_item *item)
{
	switch (low) {
	case SIMPLE_FALSE:
	case SIMPLE_TRUE:
		item->type = CBOR_BOOL;
		item->boolean = low == SIMPLE_TRUE;
		return 0;
	case SIMPLE_NULL:
		item->type = CBOR_NULL;
		return 0;
	case SIMPLE_HALF:
	case SIMPLE_FLOAT:
	case SIMPLE_DOUBLE:
		item->type = CBOR_DOUBLE;
		return read_float(r, low, n, &item->d);
	default:
		return fail(r);
	}
}

static int read_string(struct cbor_reader *r, uint64_t n, struct cbor_item *item)
{
	if (n > left(r))
		return fail(r);
	item->data = r->at;
	item->size = (size_t)n;
	r->at += n;
	return 0;
}

int cbor_read(struct cbor_reader *r, struct cbor_item *item)
{
	enum major major;
	uint8_t low;
	uint64_t n;
	*item = (struct cbor_item){0};
	if (read_head(r, &major, &low, &n))
		return 1;
	switch (major) {
	case M_UINT:
		item->type = CBOR_UINT;
		item->u = n;
		return 0;
	case M_NEGINT:
		if (n > INT64_MAX)
			return fail(r);
		item->type = CBOR_NEGINT;
		item->i = -1 - (int64_t)n;
		return 0;
	case M_BYTES:
		item->type = CBOR_BYTES;
		return read_string(r, n, item);
	case M_TEXT:
		item->type = CBOR_TEXT;
		if (read_string(r, n, item))
			return 1;
		return utf8_valid(item->data, item->size) ? 0 : fail(r);
	case M_ARRAY:
	case M_MAP:
		/* An element takes a byte at least: nobody allocates for what cannot be there. */
		if (n > left(r) / (major == M_MAP ? 2 : 1))
			return fail(r);
		item->type = major == M_MAP ? CBOR_MAP : CBOR_ARRAY;
		item->u = n;
		return 0;
	case M_TAG:
		return fail(r);
	case M_SIMPLE:
		return read_simple(r, low, n, item);
	}
	return fail(r);
}

static int read_typed(struct cbor_reader *r, enum cbor_type type, struct cbor_item *item)
{
	if (cbor_read(r, item))
		return 1;
	return item->type == type ? 0 : fail(r);
}

int cbor_read_uint(struct cbor_reader *r, uint64_t *value)
{
	struct cbor_item item;
	if (read_typed(r, CBOR_UINT, &item))
		return 1;
	*value = item.u;
	return 0;
}

int cbor_read_int(struct cbor_reader *r, int64_t *value)
{
	struct cbor_item item;
	if (cbor_read(r, &item))
		return 1;
	if (item.type == CBOR_UINT && item.u <= INT64_MAX)
		*value = (int64_t)item.u;
	else if (item.type == CBOR_NEGINT)
		*value = item.i;
	else
		return fail(r);
	return 0;
}

int cbor_read_bool(struct cbor_reader *r, bool *value)
{
	struct cbor_item item;
	if (read_typed(r, CBOR_BOOL, &item))
		return 1;
	*value = item.boolean;
	return 0;
}

int cbor_read_bytes(struct cbor_reader *r, const uint8_t **data, size_t *size)
{
	struct cbor_item item;
	if (read_typed(r, CBOR_BYTES, &item))
		return 1;
	*data = item.data;
	*size = item.size;
	return 0;
}

int cbor_read_digest(struct cbor_reader *r, uint8_t out[DIGEST_SIZE])
{
	struct cbor_item item;
	if (read_typed(r, CBOR_BYTES, &item))
		return 1;
	if (item.size != DIGEST_SIZE)
		return fail(r);
	memcpy(out, item.data, DIGEST_SIZE);
	return 0;
}

int cbor_read_text(struct cbor_reader *r, const char **textp, size_t *size)
{
	struct cbor_item item;
	if (read_typed(r, CBOR_TEXT, &item))
		return 1;
	if (item.size && memchr(item.data, 0, item.size))
		return fail(r);
	*textp = (const char *)item.data;
	*size = item.size;
	return 0;
}

int cbor_read_array(struct cbor_reader *r, uint64_t *count)
{
	struct cbor_item item;
	if (read_typed(r, CBOR_ARRAY, &item))
		return 1;
	*count = item.u;
	return 0;
}

int cbor_read_map(struct cbor_reader *r, uint64_t *pairs)
{
	struct cbor_item item;
	if (read_typed(r, CBOR_MAP, &item))
		return 1;
	*pairs = item.u;
	return 0;
}

int cbor_key_order(const char *a, size_t a_size, const char *b, size_t b_size)
{
	if (a_size != b_size)
		return a_size < b_size ? -1 : 1;
	return a_size ? memcmp(a, b, a_size) : 0;
}

int cbor_read_key(struct cbor_reader *r, struct cbor_key *key)
{
	const char *text;
	size_t size;
	if (cbor_read_text(r, &text, &size))
		return 1;
	if (key->text && cbor_key_order(key->text, key->size, text, size) >= 0)
		return fail(r);
	*key = (struct cbor_key){text, size};
	return 0;
}

int cbor_peek_type(const struct cbor_reader *r, enum cbor_type *type)
{
	struct cbor_reader ahead = *r;
	struct cbor_item item;
	if (cbor_read(&ahead, &item))
		return 1;
	*type = item.type;
	return 0;
}

int cbor_skip(struct cbor_reader *r)
{
	/* One level per open array or map: how many items are due, and for maps the last key. */
	struct level {
		uint64_t due;
		bool is_map;
		struct cbor_key key;
	} levels[CBOR_DEPTH_MAX];
	size_t depth = 0;
	do {
		struct level *level = depth ? &levels[depth - 1] : NULL;
		if (level && level->due == 0) {
			depth--;
			continue;
		}
		if (level && level->is_map && level->due % 2 == 0) {
			if (cbor_read_key(r, &level->key))
				return 1;
			level->due--;
			continue;
		}
		struct cbor_item item;
		if (cbor_read(r, &item))
			return 1;
		if (level)
			level->due--;
		if (item.type != CBOR_ARRAY && item.type != CBOR_MAP)
			continue;
		if (depth == CBOR_DEPTH_MAX)
			return fail(r);
		bool is_map = item.type == CBOR_MAP;
		levels[depth++] = (struct level){.due = is_map ? 2 * item.u : item.u,
						 .is_map = is_map};
	} while (depth);
	return 0;
}

bool cbor_done(const struct cbor_reader *r)
{
	return !r->failed && r->at == r->end;
}

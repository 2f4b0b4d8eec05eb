/* cbor_read.c - the reader of cbor.h. It accepts exactly what the writer can write. Nothing is
 * allocated, and a length or count is checked against the bytes left before anybody sees it. */
#include "common/pure/cbor.h"

#include "common/pure/cbor_head.h"
#include "common/pure/utf8.h"

#include <math.h>
#include <string.h>

void cbor_reader_init(struct cbor_reader *r, const void *data, size_t size)
{
	static const uint8_t nothing; /* which may come without an address */
	const uint8_t *at = size ? data : &nothing;
	*r = (struct cbor_reader){.at = at, .end = at + size};
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
		*value = cbor_double_from_half((uint16_t)bits);
		return isnan(*value) && bits != HALF_NAN ? fail(r) : 0;
	}
	if (low == SIMPLE_FLOAT) {
		uint32_t bits32 = (uint32_t)bits;
		memcpy(&single, &bits32, 4);
		*value = (double)single;
		return isnan(single) || cbor_half_from_float(single, &half) ? fail(r) : 0;
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

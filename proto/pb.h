/* pb.h - writes protobuf fields straight into a buffer, for the messages of which there is one
 * part per task: no tree of structs, no second pass for sizes. Everything else goes through
 * protobuf-c. As proto3 does, a number of 0 and empty bytes are left out.
 *
 * A message inside a message: mark = pb_open(b, field); its fields; pb_close(b, mark). */
#pragma once

#include "common/pure/buf.h"
#include <string.h>

enum { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

static inline size_t pb_varint_size(uint64_t value)
{
	size_t size = 1;
	for (; value >= 0x80; value >>= 7)
		size++;
	return size;
}

static inline uint8_t *pb_put_varint(uint8_t *to, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*to++ = (uint8_t)value | 0x80;
	*to++ = (uint8_t)value;
	return to;
}

static inline void pb_varint(struct buf *b, uint64_t value)
{
	uint8_t *to = buf_reserve(b, 10);
	if (to)
		b->size += (size_t)(pb_put_varint(to, value) - to);
}

static inline void pb_tag(struct buf *b, unsigned field, unsigned type)
{
	pb_varint(b, (uint64_t)field << 3 | type);
}

static inline void pb_uint(struct buf *b, unsigned field, uint64_t value)
{
	if (!value)
		return;
	pb_tag(b, field, PB_VARINT);
	pb_varint(b, value);
}

static inline void pb_sint(struct buf *b, unsigned field, int32_t value)
{
	pb_uint(b, field, (uint32_t)value << 1 ^ (uint32_t)(value >> 31));
}

static inline void pb_fixed64(struct buf *b, unsigned field, uint64_t value)
{
	pb_tag(b, field, PB_FIXED64);
	uint8_t *to = buf_reserve(b, 8);
	for (int i = 0; to && i < 8; i++)
		to[i] = (uint8_t)(value >> (8 * i));
	b->size += to ? 8 : 0;
}

static inline void pb_double(struct buf *b, unsigned field, double value)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof bits);
	if (bits)
		pb_fixed64(b, field, bits);
}

static inline void pb_bytes(struct buf *b, unsigned field, const void *data, size_t size)
{
	if (!size)
		return;
	pb_tag(b, field, PB_BYTES);
	pb_varint(b, size);
	buf_add(b, data, size);
}

static inline void pb_text(struct buf *b, unsigned field, const char *text)
{
	pb_bytes(b, field, text, text ? strlen(text) : 0);
}

/** pb_open() - begin a message inside; room for a length of one byte is kept. */
static inline size_t pb_open(struct buf *b, unsigned field)
{
	pb_tag(b, field, PB_BYTES);
	buf_add_byte(b, 0);
	return b->size;
}

static inline void pb_close(struct buf *b, size_t mark)
{
	if (b->failed)
		return;
	size_t size = b->size - mark, extra = pb_varint_size(size) - 1;
	if (extra) {
		if (!buf_reserve(b, extra))
			return;
		memmove(b->data + mark + extra, b->data + mark, size);
		b->size += extra;
	}
	pb_put_varint(b->data + mark - 1, size);
}

struct pb_field {
	unsigned number, type;
	uint64_t value;	     /* PB_VARINT, PB_FIXED64 */
	const uint8_t *data; /* PB_BYTES: borrowed */
	size_t size;
};

/** pb_next() - the field at *@at of a packed message; @at moves behind it. Return: true; false at
 * the end, or if malformed (then *@at is not @end). */
bool pb_next(const uint8_t **at, const uint8_t *end, struct pb_field *field);
/** pb_find() - as pb_next(), the next one with this @number and of type PB_BYTES. */
bool pb_find(const uint8_t **at, const uint8_t *end, unsigned number,
	     struct pb_field *field);

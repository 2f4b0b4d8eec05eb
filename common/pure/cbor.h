/* cbor.h - deterministic CBOR (RFC 8949 section 4.2.1): a writer that cannot write anything else,
 * and a reader that refuses anything else. Floats: shortest of 16/32/64 bits that keeps the value;
 * NaN is refused by callers. Map keys are text, sorted by the caller in bytewise order of their
 * encoding (shorter first, then bytes); cbor_read_key() checks order and rejects duplicates. NaN,
 * should one come nevertheless, is the half-width 0x7e00 and nothing else. */
#pragma once

#include "common/pure/buf.h"

void cbor_add_uint(struct buf *b, uint64_t value);
void cbor_add_int(struct buf *b, int64_t value);
void cbor_add_double(struct buf *b, double value);
void cbor_add_bool(struct buf *b, bool value);
void cbor_add_null(struct buf *b);
void cbor_add_bytes(struct buf *b, const void *data, size_t size);
void cbor_add_text(struct buf *b, const char *text);
void cbor_add_text_n(struct buf *b, const char *text, size_t size);
void cbor_add_array(struct buf *b, uint64_t count);
void cbor_add_map(struct buf *b, uint64_t pairs);

enum cbor_type {
	CBOR_UINT,
	CBOR_NEGINT, /* only when it does not fit CBOR_UINT; value in i, >= INT64_MIN */
	CBOR_BYTES,
	CBOR_TEXT,
	CBOR_ARRAY,
	CBOR_MAP,
	CBOR_BOOL,
	CBOR_NULL,
	CBOR_DOUBLE,
};

struct cbor_item {
	enum cbor_type type;
	union {
		uint64_t u; /* CBOR_UINT; element count of ARRAY; pair count of MAP */
		int64_t i;
		double d;
		bool boolean;
	};
	const uint8_t *data; /* BYTES and TEXT: borrowed from the input */
	size_t size;
};

struct cbor_reader {
	const uint8_t *at, *end;
	bool failed; /* sticks */
};

void cbor_reader_init(struct cbor_reader *r, const void *data, size_t size);
/** cbor_read() - next item (head only for ARRAY and MAP). Text is checked to be UTF-8.
 * Return: 0; 1 at malformed or non-deterministic input or at the end (r->failed is then set). */
int cbor_read(struct cbor_reader *r, struct cbor_item *item);
/* Typed reads: as cbor_read(), and 1 as well if the next item has another type. */
int cbor_read_uint(struct cbor_reader *r, uint64_t *value);
int cbor_read_int(struct cbor_reader *r, int64_t *value);
int cbor_read_bool(struct cbor_reader *r, bool *value);
int cbor_read_bytes(struct cbor_reader *r, const uint8_t **data, size_t *size);
int cbor_read_digest(struct cbor_reader *r,
		     uint8_t out[DIGEST_SIZE]); /* bytes of size 32 */
/** cbor_read_text() - @textp borrowed, NOT terminated; text with a NUL inside is refused. */
int cbor_read_text(struct cbor_reader *r, const char **textp, size_t *size);
int cbor_read_array(struct cbor_reader *r, uint64_t *count);
int cbor_read_map(struct cbor_reader *r, uint64_t *pairs);
/** cbor_read_key() - next key of a map: text behind @key in the order of keys. Start every map with
 * a zeroed @key; it then holds the key (borrowed). Return: as cbor_read_text(). */
struct cbor_key {
	const char *text;
	size_t size;
};
int cbor_read_key(struct cbor_reader *r, struct cbor_key *key);
/** cbor_key_order() - how two keys are ordered. Return: negative, 0, positive. */
int cbor_key_order(const char *a, size_t a_size, const char *b, size_t b_size);
/** cbor_peek_type() - type of the next item without moving. Return: 0 or 1 as cbor_read(). */
int cbor_peek_type(const struct cbor_reader *r, enum cbor_type *type);
#define CBOR_DEPTH_MAX 64
/** cbor_skip() - pass over one whole item, nested ones included, without recursion. Order of keys
 * is checked; nesting deeper than CBOR_DEPTH_MAX is refused. */
int cbor_skip(struct cbor_reader *r);
/** cbor_done() - Return: true if all was read and nothing failed. */
bool cbor_done(const struct cbor_reader *r);

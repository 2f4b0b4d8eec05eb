/* json_read.h - a strict pull parser of JSON (RFC 8259) over a buffer in memory.
 *
 *	struct json_reader r;
 *	struct json_token t;
 *	json_reader_init(&r, data, size);
 *	while (json_next(&r, &t) == 0 && t.type != JSON_END)
 *		...
 *	if (r.failed)
 *		... r.message, r.line, r.column ...
 *	json_reader_fini(&r);
 *
 * Strict: UTF-8 only, no comments, no trailing commas, no lone surrogates, no NUL in
 * strings, depth at most JSON_DEPTH_MAX, one value and nothing behind it. Keys are not
 * compared with each other: whoever collects them refuses duplicates. Memory: at most the
 * longest string that has escapes. */
#pragma once

#include "common/json.h"

enum json_type {
	JSON_OBJECT,
	JSON_END_OBJECT,
	JSON_ARRAY,
	JSON_END_ARRAY,
	JSON_KEY,
	JSON_STRING,
	JSON_INT,    /* fits int64_t: i */
	JSON_UINT,   /* above INT64_MAX: u */
	JSON_DOUBLE, /* has a point or an exponent, or is an integer beyond 64 bits: d,
			text */
	JSON_TRUE,
	JSON_FALSE,
	JSON_NULL,
	JSON_END, /* the value is complete and only white space follows */
};

struct json_token {
	enum json_type type;
	bool is_wide;	   /* JSON_DOUBLE: an integer that does not fit 64 bits; d is the
			      nearest */
	size_t start, end; /* offsets in the input, quotes included: for messages */
	/* KEY and STRING: decoded; numbers: as written. NOT terminated. Borrowed from the
	 * input, or from the reader until the next call. */
	const char *text;
	size_t size;
	union {
		int64_t i;
		uint64_t u;
		double d;
	};
};

struct json_reader {
	const uint8_t *data, *at, *end;
	struct buf scratch;
	uint64_t objects; /* bit d: the container at depth d is an object */
	uint8_t depth;
	uint8_t state;
	bool failed; /* sticks */
	bool takes_nan; /* set it behind init: NaN, Infinity and -Infinity are numbers too, as
			   Python and JavaScript libraries write them */
	bool takes_nul; /* set it behind init: \u0000 may be in strings and keys, which have
			   a size */
	char message[128];
	uint64_t first_line; /* 1; set it behind init when the buffer is a line of a
				larger file */
	uint64_t line;	     /* of the error, from first_line */
	uint64_t column;     /* of the error, in characters from 1 */
};

void json_reader_init(struct json_reader *r, const void *data, size_t size);
void json_reader_fini(struct json_reader *r);
/** json_next() - Return: 0; 1 if the input is malformed (also out of memory): r->failed.
 */
int json_next(struct json_reader *r, struct json_token *token);
/** json_skip() - behind @token, which began a value: for a container read to its end. 0
 * or 1. */
int json_skip(struct json_reader *r, const struct json_token *token);
/** json_fail() - fail at @offset with a message of the caller's, as if it were malformed.
 * Return: 1. */
int json_fail(struct json_reader *r, size_t offset, const char *fmt, ...) PRINTF(3, 4);
/** json_where() - line and column (in characters) of an offset in the input. */
void json_where(const struct json_reader *r, size_t offset, uint64_t *line,
		uint64_t *column);
/** json_type_name() - "an object", "a number", ...: for messages. */
const char *json_type_name(enum json_type type);

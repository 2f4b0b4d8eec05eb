/* json.h - writing JSON to a buffer, and escaping user text for a terminal. A writer that keeps
 * commas and nesting right; callers give keys and values in order. */
#pragma once

#include "common/pure/buf.h"

#define JSON_DEPTH_MAX 64

struct json {
	struct buf *out;
	uint8_t depth;
	bool need_comma[JSON_DEPTH_MAX + 1];
};

void json_init(struct json *j, struct buf *out);
void json_object(struct json *j);
void json_end_object(struct json *j);
void json_array(struct json *j);
void json_end_array(struct json *j);
void json_key(struct json *j, const char *key);
void json_string(struct json *j, const char *text);
void json_string_n(struct json *j, const char *text,
		   size_t size); /* bad UTF-8 becomes U+FFFD */
void json_int(struct json *j, int64_t value);
void json_uint(struct json *j, uint64_t value);
void json_double(struct json *j, double value); /* inf and nan become null */
void json_bool(struct json *j, bool value);
void json_null(struct json *j);
void json_hex(struct json *j, const void *data, size_t size);

/** text_escape() - append @text with control characters (C0 except none, DEL, C1, those that change
 * the direction of text) and invalid UTF-8 as \xNN, \n and \t as such two-character escapes: safe on
 * a terminal, one line. */
void text_escape(struct buf *out, const char *text, size_t size);

/* json.c - see json.h. A value asks for its comma before it is written; the key has asked for it
 * already when the value belongs to one. */
#include "common/json.h"

#include "common/num.h"
#include "common/pure/hex.h"
#include "common/pure/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

void json_init(struct json *j, struct buf *out)
{
	*j = (struct json){.out = out};
}

static void begin_value(struct json *j)
{
	if (j->need_comma[j->depth])
		buf_add_byte(j->out, ',');
	j->need_comma[j->depth] = true;
}

static void open_level(struct json *j, char bracket)
{
	begin_value(j);
	assert(j->depth < JSON_DEPTH_MAX);
	j->depth++;
	j->need_comma[j->depth] = false;
	buf_add_byte(j->out, (uint8_t)bracket);
}

static void close_level(struct json *j, char bracket)
{
	assert(j->depth > 0);
	j->depth--;
	buf_add_byte(j->out, (uint8_t)bracket);
}

void json_object(struct json *j)
{
	open_level(j, '{');
}

void json_end_object(struct json *j)
{
	close_level(j, '}');
}

void json_array(struct json *j)
{
	open_level(j, '[');
}

void json_end_array(struct json *j)
{
	close_level(j, ']');
}

/* is_c1() - U+0080 to U+009F, which terminals obey like C0. */
static bool is_c1(const uint8_t *at, size_t step)
{
	return step == 2 && at[0] == 0xc2 && at[1] < 0xa0;
}

/* is_bidi() - U+202A to U+202E, U+2066 to U+2069: they show text in another order than it has. */
static bool is_bidi(const uint8_t *at, size_t step)
{
	if (step != 3 || at[0] != 0xe2)
		return false;
	return at[1] == 0x80 ? at[2] >= 0xaa && at[2] <= 0xae
			     : at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9;
}

static void add_quoted(struct buf *out, const char *text, size_t size)
{
	const uint8_t *at = (const uint8_t *)(size ? text : ""), *end = at + size;
	buf_add_byte(out, '"');
	while (at < end) {
		const uint8_t *run = at;
		while (at < end && *at >= 0x20 && *at < 0x7f && *at != '"' && *at != '\\')
			at++;
		buf_add(out, run, (size_t)(at - run));
		if (at == end)
			break;
		size_t step = utf8_sequence(at, (size_t)(end - at));
		if (step == 0)
			buf_add_str(out, "\xef\xbf\xbd"); /* U+FFFD */
		else if (*at == '"' || *at == '\\')
			buf_printf(out, "\\%c", *at);
		else if (*at == '\n')
			buf_add_str(out, "\\n");
		else if (*at == '\t')
			buf_add_str(out, "\\t");
		else if (step == 1)
			buf_printf(out, "\\u%04x", *at);
		else if (is_c1(at, step))
			buf_printf(out, "\\u%04x", at[1]);
		else
			buf_add(out, at, step);
		at += step ? step : 1;
	}
	buf_add_byte(out, '"');
}

void json_key(struct json *j, const char *key)
{
	begin_value(j);
	add_quoted(j->out, key, strlen(key));
	buf_add_byte(j->out, ':');
	j->need_comma[j->depth] = false;
}

void json_string(struct json *j, const char *text)
{
	json_string_n(j, text, strlen(text));
}

void json_string_n(struct json *j, const char *text, size_t size)
{
	begin_value(j);
	add_quoted(j->out, text, size);
}

void json_int(struct json *j, int64_t value)
{
	begin_value(j);
	buf_printf(j->out, "%" PRId64, value);
}

void json_uint(struct json *j, uint64_t value)
{
	begin_value(j);
	buf_printf(j->out, "%" PRIu64, value);
}

void json_double(struct json *j, double value)
{
	char text[32];
	begin_value(j);
	buf_add_str(j->out, isfinite(value) ? num_format_double(text, value) : "null");
}

void json_bool(struct json *j, bool value)
{
	begin_value(j);
	buf_add_str(j->out, value ? "true" : "false");
}

void json_null(struct json *j)
{
	begin_value(j);
	buf_add_str(j->out, "null");
}

void json_hex(struct json *j, const void *data, size_t size)
{
	begin_value(j);
	buf_add_byte(j->out, '"');
	uint8_t *to = buf_reserve(j->out, 2 * size);
	if (to) {
		hex_encode((char *)to, data, size); /* its NUL takes the byte kept free */
		j->out->size += 2 * size;
	}
	buf_add_byte(j->out, '"');
}

void text_escape(struct buf *out, const char *text, size_t size)
{
	const uint8_t *at = (const uint8_t *)text, *end = at + size;
	while (at < end) {
		const uint8_t *run = at;
		while (at < end && *at >= 0x20 && *at < 0x7f)
			at++;
		buf_add(out, run, (size_t)(at - run));
		if (at == end)
			break;
		size_t step = utf8_sequence(at, (size_t)(end - at));
		if (step > 1 && !is_c1(at, step) && !is_bidi(at, step)) {
			buf_add(out, at, step);
			at += step;
			continue;
		}
		if (*at == '\n')
			buf_add_str(out, "\\n");
		else if (*at == '\t')
			buf_add_str(out, "\\t");
		else
			buf_printf(out, "\\x%02x", *at);
		at++; /* the tail of a C1 is no character of its own: it is escaped next */
	}
}

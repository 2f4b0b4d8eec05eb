/* json_read.c - see json_read.h. One loop over states; the only stack is a bit per level.
 * Strings without escapes are borrowed from the input, eight bytes at a time; numbers are
 * parsed without the locale (for libcashet someone else's) and without copying in all
 * usual cases. */
#include "common/json_read.h"

#include "common/pure/utf8.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum state {
	STATE_VALUE, /* a value must follow */
	STATE_FIRST, /* behind [ or {: a value or key, or the end of the container */
	STATE_KEY,   /* behind a comma in an object */
	STATE_COLON,
	STATE_AFTER, /* behind a value in a container: a comma, or its end */
	STATE_END,   /* the value is complete */
};

void json_reader_init(struct json_reader *r, const void *data, size_t size)
{
	*r = (struct json_reader){.data = data,
				  .at = data,
				  .end = (const uint8_t *)data + size,
				  .first_line = 1};
}

void json_reader_fini(struct json_reader *r)
{
	buf_fini(&r->scratch);
}

void json_where(const struct json_reader *r, size_t offset, uint64_t *line,
		uint64_t *column)
{
	const uint8_t *stop = r->data + offset;
	if (stop > r->end)
		stop = r->end;
	*line = r->first_line;
	*column = 1;
	for (const uint8_t *at = r->data; at < stop; at++) {
		if (*at == '\n') {
			++*line;
			*column = 1;
		} else if ((*at & 0xc0) != 0x80) {
			++*column;
		}
	}
}

PRINTF(3, 0)
static int fail_v(struct json_reader *r, size_t offset, const char *fmt, va_list args)
{
	if (r->failed)
		return 1;
	r->failed = true;
	vsnprintf(r->message, sizeof r->message, fmt, args);
	json_where(r, offset, &r->line, &r->column);
	return 1;
}

int json_fail(struct json_reader *r, size_t offset, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	fail_v(r, offset, fmt, args);
	va_end(args);
	return 1;
}

static int PRINTF(3, 4)
	fail_at(struct json_reader *r, const uint8_t *at, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	fail_v(r, (size_t)(at - r->data), fmt, args);
	va_end(args);
	return 1;
}

/* What stands at r->at, for a message. */
static int fail_here(struct json_reader *r, const char *expected)
{
	if (r->at == r->end)
		return fail_at(r, r->at, "the text ends where %s is expected", expected);
	if (*r->at < 0x20 || *r->at >= 0x7f)
		return fail_at(r, r->at, "byte 0x%02x where %s is expected", *r->at,
			       expected);
	return fail_at(r, r->at, "'%c' where %s is expected", *r->at, expected);
}

/* ---- strings */

#define ONES 0x0101010101010101ull
#define HIGHS 0x8080808080808080ull
#define HAS_ZERO(x) (((x)-ONES) & ~(x)&HIGHS)

/* plain_end() - first byte from @at that ends a run of plain ASCII: a quote, backslash,
 * control character, or anything above 0x7f. */
static const uint8_t *plain_end(const uint8_t *at, const uint8_t *end)
{
	while (end - at >= 8) {
		uint64_t word;
		memcpy(&word, at, 8);
		uint64_t odd = HAS_ZERO(word ^ (ONES * '"')) |
			       HAS_ZERO(word ^ (ONES * '\\')) |
			       ((word - ONES * 0x20) & ~word & HIGHS) | (word & HIGHS);
		if (odd)
			break;
		at += 8;
	}
	while (at < end && *at >= 0x20 && *at < 0x80 && *at != '"' && *at != '\\')
		at++;
	return at;
}

static int read_hex4(const uint8_t *at, const uint8_t *end, uint32_t *value)
{
	if (end - at < 4)
		return 1;
	*value = 0;
	for (int i = 0; i < 4; i++) {
		uint8_t c = at[i];
		uint32_t digit;
		if (c >= '0' && c <= '9')
			digit = c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			digit = (c | 0x20u) - 'a' + 10;
		else
			return 1;
		*value = *value << 4 | digit;
	}
	return 0;
}

static void add_utf8(struct buf *b, uint32_t c)
{
	if (c < 0x80) {
		buf_add_byte(b, (uint8_t)c);
	} else if (c < 0x800) {
		buf_add_byte(b, (uint8_t)(0xc0 | c >> 6));
		buf_add_byte(b, (uint8_t)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		buf_add_byte(b, (uint8_t)(0xe0 | c >> 12));
		buf_add_byte(b, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
		buf_add_byte(b, (uint8_t)(0x80 | (c & 0x3f)));
	} else {
		buf_add_byte(b, (uint8_t)(0xf0 | c >> 18));
		buf_add_byte(b, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
		buf_add_byte(b, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
		buf_add_byte(b, (uint8_t)(0x80 | (c & 0x3f)));
	}
}

/* \uXXXX, with its other half when it is a surrogate; *atp is behind the u. */
static int read_unicode(struct json_reader *r, const uint8_t **atp, struct buf *out)
{
	const uint8_t *at = *atp;
	uint32_t c, low;
	if (read_hex4(at, r->end, &c))
		return fail_at(r, at - 2, "\\u needs four hexadecimal digits");
	if (c == 0 && !r->takes_nul)
		return fail_at(r, at - 2, "\\u0000 is not allowed in strings");
	if (c >= 0xdc00 && c < 0xe000)
		return fail_at(r, at - 2, "half of a surrogate pair");
	at += 4;
	if (c >= 0xd800 && c < 0xdc00) {
		if (r->end - at < 6 || at[0] != '\\' || at[1] != 'u' ||
		    read_hex4(at + 2, r->end, &low) || low < 0xdc00 || low >= 0xe000)
			return fail_at(r, at - 6, "half of a surrogate pair");
		c = 0x10000 + ((c - 0xd800) << 10 | (low - 0xdc00));
		at += 6;
	}
	add_utf8(out, c);
	*atp = at;
	return 0;
}

static int read_escape(struct json_reader *r, const uint8_t **atp, struct buf *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const uint8_t *at = *atp + 1;
	if (at == r->end)
		return fail_at(r, *atp, "the text ends inside a string");
	const char *found = *at ? strchr(from, *at) : NULL;
	if (found) {
		buf_add_byte(out, (uint8_t)to[found - from]);
		*atp = at + 1;
		return 0;
	}
	if (*at != 'u')
		return fail_at(r, *atp, "unknown escape in a string");
	at++;
	if (read_unicode(r, &at, out))
		return 1;
	*atp = at;
	return 0;
}

/* r->at is on the opening quote. */
static int read_string(struct json_reader *r, struct json_token *t)
{
	const uint8_t *run = r->at + 1, *at = run;
	bool copied = false;
	for (;;) {
		at = plain_end(at, r->end);
		if (at == r->end)
			return fail_at(r, r->at, "the string is not closed");
		if (*at == '"')
			break;
		if (*at == '\\') {
			if (!copied)
				buf_reset(&r->scratch);
			copied = true;
			buf_add(&r->scratch, run, (size_t)(at - run));
			if (read_escape(r, &at, &r->scratch))
				return 1;
			run = at;
		} else if (*at < 0x20) {
			return fail_at(r, at, "control character 0x%02x in a string",
				       *at);
		} else {
			size_t n = utf8_sequence(at, (size_t)(r->end - at));
			if (n == 0)
				return fail_at(r, at, "byte 0x%02x is not UTF-8", *at);
			at += n;
		}
	}
	if (copied) {
		buf_add(&r->scratch, run, (size_t)(at - run));
		if (r->scratch.failed)
			return fail_at(r, r->at, "out of memory");
		t->text = (const char *)r->scratch.data;
		t->size = r->scratch.size;
	} else {
		t->text = (const char *)run;
		t->size = (size_t)(at - run);
	}
	if (!t->text)
		t->text = "";
	r->at = at + 1;
	return 0;
}

/* ---- numbers */

static const uint8_t *digits_end(const uint8_t *at, const uint8_t *end)
{
	while (at < end && *at >= '0' && *at <= '9')
		at++;
	return at;
}

/* slow_double() - strtod() of the digits without the point, which the locale may write
 * otherwise.
 * @fraction: how many of @digits stand behind the point. */
static int slow_double(struct json_reader *r, const uint8_t *start,
		       const uint8_t *mantissa_end, long fraction, long exponent,
		       double *value)
{
	char small[64];
	size_t size = (size_t)(mantissa_end - start);
	CLEANUP_BUF struct buf large = {0};
	char *text = small;
	if (size + 32 > sizeof small) {
		text = (char *)buf_reserve(&large, size + 32);
		if (!text)
			return fail_at(r, start, "out of memory");
	}
	size_t n = 0;
	for (const uint8_t *at = start; at < mantissa_end; at++)
		if (*at != '.')
			text[n++] = (char)*at;
	snprintf(text + n, 32, "e%ld", exponent - fraction);
	*value = strtod(text, NULL);
	if (isinf(*value))
		return fail_at(r, start,
			       "the number does not fit: floats end at 1.8e308");
	return 0;
}

/* Exact when mantissa and power of ten are (Clinger's fast path). */
static bool quick_double(uint64_t mantissa, long exponent, double *value)
{
	static const double powers[] = {1e0,  1e1,  1e2,  1e3,	1e4,  1e5,  1e6,  1e7,
					1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
					1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
	if (mantissa > 1ull << 53 || exponent < -22 || exponent > 22)
		return false;
	*value = exponent < 0 ? (double)mantissa / powers[-exponent]
			      : (double)mantissa * powers[exponent];
	return true;
}

struct number { /* -? whole [. fraction] [e exponent], already checked for shape */
	const uint8_t *digits, *whole_end, *mantissa_end;
	long fraction, exponent;
	bool negative, is_integer;
};

static int scan_number(struct json_reader *r, struct number *n)
{
	const uint8_t *at = r->at;
	*n = (struct number){.negative = *at == '-', .is_integer = true};
	at += n->negative;
	n->digits = at;
	at = n->whole_end = digits_end(at, r->end);
	if (at == n->digits)
		return fail_at(r, r->at, "a number needs digits");
	if (*n->digits == '0' && at > n->digits + 1)
		return fail_at(r, r->at,
			       "a number does not begin with 0 and another digit");
	if (at < r->end && *at == '.') {
		const uint8_t *first = at + 1;
		at = digits_end(first, r->end);
		if (at == first)
			return fail_at(r, r->at, "digits are expected behind the point");
		n->fraction = at - first;
		n->is_integer = false;
	}
	n->mantissa_end = at;
	if (at < r->end && (*at | 0x20) == 'e') {
		at++;
		bool down = at < r->end && *at == '-';
		at += at < r->end && (*at == '-' || *at == '+');
		const uint8_t *first = at;
		at = digits_end(first, r->end);
		if (at == first)
			return fail_at(r, r->at, "digits are expected in the exponent");
		for (; first < at; first++)
			if (n->exponent < 1000000000)
				n->exponent = 10 * n->exponent + (*first - '0');
		if (down)
			n->exponent = -n->exponent;
		n->is_integer = false;
	}
	r->at = at;
	return 0;
}

static int read_number(struct json_reader *r, struct json_token *t)
{
	const uint8_t *start = r->at;
	struct number n;
	if (scan_number(r, &n))
		return 1;
	t->text = (const char *)start;
	t->size = (size_t)(r->at - start);
	uint64_t mantissa = 0;
	bool fits = true;
	for (const uint8_t *at = n.digits; fits && at < n.mantissa_end; at++)
		if (*at != '.')
			fits = !__builtin_mul_overflow(mantissa, 10, &mantissa) &&
			       !__builtin_add_overflow(mantissa, (uint64_t)(*at - '0'),
						       &mantissa);
	if (n.is_integer && fits && mantissa <= (uint64_t)INT64_MAX + n.negative) {
		t->type = JSON_INT;
		t->i = n.negative ? (int64_t)-mantissa : (int64_t)mantissa;
		return 0;
	}
	if (n.is_integer && fits && !n.negative) {
		t->type = JSON_UINT;
		t->u = mantissa;
		return 0;
	}
	t->type = JSON_DOUBLE;
	t->is_wide = n.is_integer;
	double value = 0;
	if ((!fits || !quick_double(mantissa, n.exponent - n.fraction, &value)) &&
	    slow_double(r, n.digits, n.mantissa_end, n.fraction, n.exponent, &value))
		return 1;
	t->d = n.negative ? -value : value;
	return 0;
}

/* ---- structure */

static void skip_space(struct json_reader *r)
{
	while (r->at < r->end &&
	       (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r'))
		r->at++;
}

static bool in_object(const struct json_reader *r)
{
	return r->objects >> (r->depth - 1) & 1;
}

static int open_container(struct json_reader *r, struct json_token *t, bool is_object)
{
	if (r->depth == JSON_DEPTH_MAX)
		return fail_at(r, r->at, "nested deeper than %d levels", JSON_DEPTH_MAX);
	uint64_t bit = 1ull << r->depth++;
	r->objects = is_object ? r->objects | bit : r->objects & ~bit;
	r->state = STATE_FIRST;
	r->at++;
	t->type = is_object ? JSON_OBJECT : JSON_ARRAY;
	return 0;
}

static void close_container(struct json_reader *r, struct json_token *t)
{
	t->type = in_object(r) ? JSON_END_OBJECT : JSON_END_ARRAY;
	r->depth--;
	r->state = r->depth ? STATE_AFTER : STATE_END;
	r->at++;
}

static int read_word(struct json_reader *r, struct json_token *t)
{
	static const struct {
		const char *word;
		enum json_type type;
	} words[] = {{"true", JSON_TRUE}, {"false", JSON_FALSE}, {"null", JSON_NULL}};
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		size_t n = strlen(words[i].word);
		if ((size_t)(r->end - r->at) >= n &&
		    memcmp(r->at, words[i].word, n) == 0) {
			r->at += n;
			t->type = words[i].type;
			return 0;
		}
	}
	return fail_here(r, "a value");
}

/* read_nan() - Return: whether one of the numbers that JSON does not know stands here. */
static bool read_nan(struct json_reader *r, struct json_token *t)
{
	static const struct {
		const char *word;
		double value;
	} words[] = {{"NaN", NAN}, {"Infinity", INFINITY}, {"-Infinity", -INFINITY}};
	for (size_t i = 0; r->takes_nan && i < ARRAY_LEN(words); i++) {
		size_t n = strlen(words[i].word);
		if ((size_t)(r->end - r->at) < n || memcmp(r->at, words[i].word, n) != 0)
			continue;
		t->text = (const char *)r->at;
		t->size = n;
		r->at += n;
		t->type = JSON_DOUBLE;
		t->d = words[i].value;
		return true;
	}
	return false;
}

static int read_value(struct json_reader *r, struct json_token *t)
{
	if (r->at == r->end)
		return fail_here(r, "a value");
	uint8_t c = *r->at;
	if (c == '{' || c == '[')
		return open_container(r, t, c == '{');
	r->state = r->depth ? STATE_AFTER : STATE_END;
	if (c == '"') {
		t->type = JSON_STRING;
		return read_string(r, t);
	}
	if (read_nan(r, t))
		return 0;
	if (c == '-' || (c >= '0' && c <= '9'))
		return read_number(r, t);
	return read_word(r, t);
}

static int read_key(struct json_reader *r, struct json_token *t)
{
	if (r->at == r->end || *r->at != '"')
		return fail_here(r, "a key in double quotes");
	t->type = JSON_KEY;
	r->state = STATE_COLON;
	return read_string(r, t);
}

/* take_separators() - what stands between tokens and is not one: colons and commas. */
static int take_separators(struct json_reader *r)
{
	if (r->state == STATE_COLON) {
		if (r->at == r->end || *r->at != ':')
			return fail_here(r, "':'");
		r->state = STATE_VALUE;
	} else if (r->state == STATE_AFTER && r->at < r->end && *r->at == ',') {
		r->state = in_object(r) ? STATE_KEY : STATE_VALUE;
	} else {
		return 0;
	}
	r->at++;
	skip_space(r);
	return 0;
}

int json_next(struct json_reader *r, struct json_token *t)
{
	if (r->failed)
		return 1;
	skip_space(r);
	if (take_separators(r))
		return 1;
	*t = (struct json_token){.start = (size_t)(r->at - r->data)};
	int rc = 0;
	bool closes = r->depth && r->at < r->end && *r->at == (in_object(r) ? '}' : ']');
	switch ((enum state)r->state) {
	case STATE_VALUE:
		rc = read_value(r, t);
		break;
	case STATE_KEY:
		rc = read_key(r, t);
		break;
	case STATE_FIRST:
		if (closes)
			close_container(r, t);
		else
			rc = in_object(r) ? read_key(r, t) : read_value(r, t);
		break;
	case STATE_AFTER:
		if (closes)
			close_container(r, t);
		else
			rc = fail_here(r, in_object(r) ? "',' or '}'" : "',' or ']'");
		break;
	case STATE_END:
		if (r->at < r->end)
			rc = fail_here(r, "the end of the text");
		t->type = JSON_END;
		break;
	case STATE_COLON:
		assert(false && "a colon is a separator");
	}
	t->end = (size_t)(r->at - r->data);
	return rc;
}

int json_skip(struct json_reader *r, const struct json_token *token)
{
	if (token->type != JSON_OBJECT && token->type != JSON_ARRAY)
		return r->failed;
	uint8_t outside = r->depth - 1;
	struct json_token t;
	while (r->depth > outside)
		if (json_next(r, &t))
			return 1;
	return 0;
}

const char *json_type_name(enum json_type type)
{
	switch (type) {
	case JSON_OBJECT:
	case JSON_END_OBJECT:
		return "an object";
	case JSON_ARRAY:
	case JSON_END_ARRAY:
		return "a list";
	case JSON_KEY:
		return "a key";
	case JSON_STRING:
		return "a string";
	case JSON_INT:
	case JSON_UINT:
	case JSON_DOUBLE:
		return "a number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "true or false";
	case JSON_NULL:
		return "null";
	case JSON_END:
		return "the end";
	}
	return "?";
}

/* scalar.c - plain scalars by the core schema of YAML 1.2 (section 10.3.2); JSON's are a subset.
 * Nothing here depends on the locale of the process. */
#include "client/batch/scalar.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 400 /* characters; longer than any double needs */

static bool is_one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (!strcmp(text, *words))
			return true;
	return false;
}

static size_t digits(const char *at)
{
	return strspn(at, "0123456789");
}

struct number {
	bool negative, is_float;
	const char *mantissa; /* digits, perhaps with a point among them */
	size_t mantissa_size;
	const char *exponent; /* behind the e, or NULL */
};

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? */
static bool scan_number(const char *text, struct number *n)
{
	const char *at = text;
	*n = (struct number){.negative = *at == '-'};
	at += *at == '-' || *at == '+';
	n->mantissa = at;
	size_t whole = digits(at), fraction = 0;
	at += whole;
	if (*at == '.') {
		fraction = digits(++at);
		at += fraction;
		n->is_float = true;
	}
	if (!whole && !fraction)
		return false;
	n->mantissa_size = (size_t)(at - n->mantissa);
	if (*at == 'e' || *at == 'E') {
		n->exponent = ++at;
		at += *at == '-' || *at == '+';
		if (!digits(at))
			return false;
		at += digits(at);
		n->is_float = true;
	}
	return !*at;
}

/* parse_double() - strtod() of the digits without the point, which the locale may write
 * otherwise. */
static enum scalar_kind parse_double(const struct number *n, struct value *v)
{
	char text[NUMBER_MAX + 32];
	long exponent = n->exponent ? strtol(n->exponent, NULL, 10) : 0;
	size_t size = 0, behind_point = 0;
	bool point = false, zero = true;
	for (size_t i = 0; i < n->mantissa_size; i++) {
		if (n->mantissa[i] == '.') {
			point = true;
			continue;
		}
		zero = zero && n->mantissa[i] == '0';
		behind_point += point;
		text[size++] = n->mantissa[i];
	}
	/* strtol() stops at its ends; that far from 0 the sum below cannot matter. */
	if (exponent > 1000000)
		exponent = 1000000;
	if (exponent < -1000000)
		exponent = -1000000;
	snprintf(text + size, sizeof text - size, "e%ld", exponent - (long)behind_point);
	double d = strtod(text, NULL);
	if (isinf(d) || (d == 0 && !zero))
		return SCALAR_OUT_OF_RANGE;
	*v = (struct value){.type = VALUE_DOUBLE, .d = n->negative ? -d : d};
	return SCALAR_VALUE;
}

static bool parse_digits(const char *text, size_t size, unsigned base, uint64_t *out)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < size; i++) {
		char c = text[i];
		unsigned digit =
			c <= '9' ? (unsigned)(c - '0') : (unsigned)(c | 32) - 'a' + 10;
		if (__builtin_mul_overflow(sum, (uint64_t)base, &sum) ||
		    __builtin_add_overflow(sum, (uint64_t)digit, &sum))
			return false;
	}
	*out = sum;
	return true;
}

static enum scalar_kind set_integer(bool fits, bool negative, uint64_t magnitude,
				    struct value *v)
{
	if (!fits || (negative && magnitude > (uint64_t)INT64_MAX + 1))
		return SCALAR_OUT_OF_RANGE;
	if (negative)
		*v = (struct value){.type = VALUE_INT, .i = (int64_t)(0 - magnitude)};
	else if (magnitude <= INT64_MAX)
		*v = (struct value){.type = VALUE_INT, .i = (int64_t)magnitude};
	else
		*v = (struct value){.type = VALUE_UINT, .u = magnitude};
	return SCALAR_VALUE;
}

/* 0o17 and 0x1f; they have no sign. */
static bool scan_based(const char *text, struct value *v, enum scalar_kind *kind)
{
	if (text[0] != '0' || (text[1] != 'o' && text[1] != 'x'))
		return false;
	const char *set = text[1] == 'o' ? "01234567" : "0123456789abcdefABCDEF";
	size_t size = strspn(text + 2, set);
	if (!size || text[2 + size])
		return false;
	uint64_t magnitude = 0;
	bool fits = parse_digits(text + 2, size, text[1] == 'o' ? 8 : 16, &magnitude);
	*kind = set_integer(fits, false, magnitude, v);
	return true;
}

enum scalar_kind scalar_parse(const char *text, struct value *v)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
	static const char *const trues[] = {"true", "True", "TRUE", NULL};
	static const char *const falses[] = {"false", "False", "FALSE", NULL};
	static const char *const specials[] = {
		".inf",	 ".Inf",  ".INF", "+.inf", "+.Inf", "+.INF", "-.inf",
		"-.Inf", "-.INF", ".nan", ".NaN",  ".NAN",  NULL};
	char first = *text;
	if (is_one_of(text, nulls))
		return SCALAR_NULL;
	if (strchr("tTfF", first)) {
		bool is_true = is_one_of(text, trues);
		if (!is_true && !is_one_of(text, falses))
			return SCALAR_TEXT;
		*v = (struct value){.type = VALUE_BOOL, .boolean = is_true};
		return SCALAR_VALUE;
	}
	if (!strchr("+-.0123456789", first))
		return SCALAR_TEXT;
	if (is_one_of(text, specials))
		return SCALAR_NOT_FINITE;
	enum scalar_kind kind;
	if (scan_based(text, v, &kind))
		return kind;
	struct number n;
	if (!scan_number(text, &n))
		return SCALAR_TEXT;
	if (strlen(text) > NUMBER_MAX)
		return SCALAR_OUT_OF_RANGE;
	if (n.is_float)
		return parse_double(&n, v);
	uint64_t magnitude = 0;
	bool fits = parse_digits(n.mantissa, n.mantissa_size, 10, &magnitude);
	return set_integer(fits, n.negative, magnitude, v);
}

double scalar_round15(double value)
{
	/* Read back through scalar_parse(), whatever the locale's decimal point is. */
	char text[40];
	snprintf(text, sizeof text, "%.14e", value);
	for (char *at = text; *at; at++)
		if (!strchr("0123456789e+-", *at))
			*at = '.';
	struct value v;
	return scalar_parse(text, &v) == SCALAR_VALUE && v.type == VALUE_DOUBLE ? v.d
										: value;
}

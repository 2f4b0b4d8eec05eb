/* The pull parser: what it reads, what it refuses and where it says so. */
#include "common/json_read.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* All tokens as text; an error as "!line:column message". */
static const char *tokens_n(const char *text, size_t size)
{
	static struct buf out;
	struct json_reader r;
	struct json_token t;
	/* A copy of exact size, so that a read beyond it is found. */
	char *copy = malloc(size ? size : 1);
	memcpy(copy, text, size);
	buf_reset(&out);
	json_reader_init(&r, copy, size);
	while (json_next(&r, &t) == 0 && t.type != JSON_END) {
		if (out.size)
			buf_add_byte(&out, ' ');
		switch (t.type) {
		case JSON_OBJECT:
			buf_add_str(&out, "{");
			break;
		case JSON_END_OBJECT:
			buf_add_str(&out, "}");
			break;
		case JSON_ARRAY:
			buf_add_str(&out, "[");
			break;
		case JSON_END_ARRAY:
			buf_add_str(&out, "]");
			break;
		case JSON_KEY:
			buf_printf(&out, "%.*s:", (int)t.size, t.text);
			break;
		case JSON_STRING:
			buf_printf(&out, "'%.*s'", (int)t.size, t.text);
			break;
		case JSON_INT:
			buf_printf(&out, "i%" PRId64, t.i);
			break;
		case JSON_UINT:
			buf_printf(&out, "u%" PRIu64, t.u);
			break;
		case JSON_DOUBLE:
			buf_printf(&out, "%s%.17g", t.is_wide ? "w" : "d", t.d);
			break;
		default:
			buf_add_str(&out, json_type_name(t.type));
		}
	}
	if (r.failed)
		buf_printf(&out, "%s!%" PRIu64 ":%" PRIu64 " %s", out.size ? " " : "",
			   r.line, r.column, r.message);
	json_reader_fini(&r);
	free(copy);
	return buf_cstr(&out);
}

static const char *tokens(const char *text)
{
	return tokens_n(text, strlen(text));
}

Test(json_read, reads_containers)
{
	cr_assert_str_eq(tokens("{\"a\": [1, {}, []], \"b\": null}"),
			 "{ a: [ i1 { } [ ] ] b: null }");
	cr_assert_str_eq(tokens(" [ ] "), "[ ]");
	cr_assert_str_eq(tokens("true"), "true or false");
	cr_assert_str_eq(tokens("\"x\""), "'x'");
}

Test(json_read, reads_integers_exactly)
{
	cr_assert_str_eq(tokens("[0, -0, 9223372036854775807, -9223372036854775808]"),
			 "[ i0 i0 i9223372036854775807 i-9223372036854775808 ]");
	cr_assert_str_eq(tokens("[9223372036854775808, 18446744073709551615]"),
			 "[ u9223372036854775808 u18446744073709551615 ]");
	cr_assert_str_eq(tokens("[18446744073709551616, -9223372036854775809]"),
			 "[ w1.8446744073709552e+19 w-9.2233720368547758e+18 ]");
}

Test(json_read, reads_doubles_as_strtod_does)
{
	static const char *const samples[] = {
		"0.1",
		"1e3",
		"1E+3",
		"1.5e-7",
		"123456789012345678.5",
		"4.9e-324",
		"1e-999", /* what programs wrote is read as the nearest double */
		"-1e-999",
		"2.2250738585072014e-308",
		"1.7976931348623157e308",
		"0.30000000000000004",
		"9007199254740993.0",
		"-0.0",
		"1e22",
		"1e23",
		"0.000001",
		"179769313486231570814527423731704356798070567525844996598917476803157260"
		"780028538760589558632766878171540458953514382464234321326889464182768467"
		"546703537516986049910576551282076245490090389328944075868508455133942304"
		"583236903222948165808559332123347747.0",
	};
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct json_reader r;
		struct json_token t;
		json_reader_init(&r, samples[i], strlen(samples[i]));
		cr_assert_eq(json_next(&r, &t), 0, "%s", samples[i]);
		cr_assert_eq(t.type, JSON_DOUBLE);
		double want = strtod(samples[i], NULL);
		cr_assert_eq(memcmp(&t.d, &want, sizeof want), 0, "%s: %.17g", samples[i],
			     t.d);
		json_reader_fini(&r);
	}
}

Test(json_read, decodes_strings)
{
	cr_assert_str_eq(
		tokens("\"a\\n\\t\\\"\\\\\\/\\u0041\\u00e4\\u20ac\\ud83d\\ude00z\""),
		"'a\n\t\"\\/A\u00e4\u20ac\U0001f600z'");
	cr_assert_str_eq(
		tokens("[\"plain text longer than eight\", \"\u00e4\u00f6\", \"\"]"),
		"[ 'plain text longer than eight' '\u00e4\u00f6' '' ]");
	cr_assert_str_eq(tokens("{\"k\\u0065y\": \"\\u0076\"}"), "{ key: 'v' }");
}

Test(json_read, refuses_what_is_not_json)
{
	static const struct {
		const char *text, *error;
	} samples[] = {
		{"", "!1:1 the text ends where a value is expected"},
		{"  ", "!1:3 the text ends where a value is expected"},
		{"[1,]", "[ i1 !1:4 ']' where a value is expected"},
		{"[1 2]", "[ i1 !1:4 '2' where ',' or ']' is expected"},
		{"{\"a\" 1}", "{ a: !1:6 '1' where ':' is expected"},
		{"{\"a\":1,}",
		 "{ a: i1 !1:8 '}' where a key in double quotes is expected"},
		{"{a:1}", "{ !1:2 'a' where a key in double quotes is expected"},
		{"[1}", "[ i1 !1:3 '}' where ',' or ']' is expected"},
		{"[", "[ !1:2 the text ends where a value is expected"},
		{"1 2", "i1 !1:3 '2' where the end of the text is expected"},
		{"tru", "!1:1 't' where a value is expected"},
		{"'a'", "!1:1 ''' where a value is expected"},
		{"01", "!1:1 a number does not begin with 0 and another digit"},
		{"-", "!1:1 a number needs digits"},
		{".5", "!1:1 '.' where a value is expected"},
		{"1.", "!1:1 digits are expected behind the point"},
		{"1e", "!1:1 digits are expected in the exponent"},
		{"1e999", "!1:1 the number does not fit: floats end at 1.8e308"},
		{"NaN", "!1:1 'N' where a value is expected"},
		{"\"a", "!1:1 the string is not closed"},
		{"\"a\\", "!1:3 the text ends inside a string"},
		{"\"\\x\"", "!1:2 unknown escape in a string"},
		{"\"\\u12\"", "!1:2 \\u needs four hexadecimal digits"},
		{"\"\\u0000\"", "!1:2 \\u0000 is not allowed in strings"},
		{"\"\\ud800x\"", "!1:2 half of a surrogate pair"},
		{"\"\\ud800\\u0041\"", "!1:2 half of a surrogate pair"},
		{"\"\\udc00\"", "!1:2 half of a surrogate pair"},
		{"\"a\tb\"", "!1:3 control character 0x09 in a string"},
		{"\"\xff\"", "!1:2 byte 0xff is not UTF-8"},
		{"\"\xc0\x80\"", "!1:2 byte 0xc0 is not UTF-8"},
		{"\"\xed\xa0\x80\"", "!1:2 byte 0xed is not UTF-8"},
		{"\xef\xbb\xbf{}", "!1:1 byte 0xef where a value is expected"},
		{"// x\n1", "!1:1 '/' where a value is expected"},
	};
	for (size_t i = 0; i < ARRAY_LEN(samples); i++)
		cr_assert_str_eq(tokens(samples[i].text), samples[i].error);
}

Test(json_read, counts_lines_and_characters)
{
	cr_assert_str_eq(
		tokens("{\n  \"\u00e4\u20ac\": 1,\n  \"b\": \u20ac"),
		"{ \u00e4\u20ac: i1 b: !3:8 byte 0xe2 where a value is expected");
}

Test(json_read, bounds_the_depth)
{
	struct buf text = {0};
	for (int i = 0; i < JSON_DEPTH_MAX; i++)
		buf_add_str(&text, i % 2 ? "{\"a\":" : "[");
	buf_add_str(&text, "1");
	for (int i = JSON_DEPTH_MAX; i--;)
		buf_add_str(&text, i % 2 ? "}" : "]");
	cr_assert_null(strchr(tokens(buf_cstr(&text)), '!'));
	buf_reset(&text);
	for (int i = 0; i <= JSON_DEPTH_MAX; i++)
		buf_add_str(&text, "[");
	cr_assert_not_null(
		strstr(tokens(buf_cstr(&text)), "nested deeper than 64 levels"));
	buf_fini(&text);
}

Test(json_read, skips_a_value_of_any_kind)
{
	static const char text[] =
		"{\"a\": {\"x\": [1, {\"y\": []}]}, \"b\": 2, \"c\": [[]]}";
	struct json_reader r;
	struct json_token t;
	json_reader_init(&r, text, sizeof text - 1);
	json_next(&r, &t);
	char keys[8];
	size_t count = 0;
	while (json_next(&r, &t) == 0 && t.type == JSON_KEY) {
		keys[count++] = t.text[0];
		cr_assert_eq(json_next(&r, &t), 0);
		cr_assert_eq(json_skip(&r, &t), 0);
	}
	cr_assert_eq(t.type, JSON_END_OBJECT);
	cr_assert_eq(json_next(&r, &t), 0);
	cr_assert_eq(t.type, JSON_END);
	cr_assert_eq(count, 3);
	cr_assert_arr_eq(keys, "abc", 3);
	json_reader_fini(&r);
}

Test(json_read, takes_a_nul_only_where_it_is_wanted)
{
	static const char text[] = "[\"a\\u0000b\"]";
	struct json_reader r;
	struct json_token t;
	for (int i = 0; i < 2; i++) {
		json_reader_init(&r, text, sizeof text - 1);
		r.takes_nul = i;
		json_next(&r, &t);
		cr_assert_eq(json_next(&r, &t), !i);
		if (i)
			cr_assert(t.size == 3 && !memcmp(t.text, "a\0b", 3));
		json_reader_fini(&r);
	}
}

Test(json_read, a_caller_fails_at_a_token)
{
	struct json_reader r;
	struct json_token t;
	json_reader_init(&r, "\n [7]", 5);
	r.first_line = 40;
	json_next(&r, &t);
	json_next(&r, &t);
	cr_assert_eq(json_fail(&r, t.start, "%s is bad luck", "7"), 1);
	cr_assert_eq(r.line, 41);
	cr_assert_eq(r.column, 3);
	cr_assert_str_eq(r.message, "7 is bad luck");
	cr_assert_eq(json_next(&r, &t), 1, "it sticks");
	json_reader_fini(&r);
}

Test(json_read, every_prefix_and_every_flipped_byte_is_read_or_refused)
{
	static const char text[] = "{\"a\":[1,-2.5e-3,\"x\\u00e4\\ud83d\\ude00\\n\",true,"
				   "null,{}],\"b\u00e4\":18446744073709551616}";
	for (size_t size = 0; size < sizeof text; size++)
		tokens_n(text, size);
	char copy[sizeof text];
	for (size_t at = 0; at < sizeof text - 1; at++)
		for (int bit = 0; bit < 8; bit++) {
			memcpy(copy, text, sizeof text);
			copy[at] ^= (char)(1 << bit);
			tokens_n(copy, sizeof text - 1);
		}
}

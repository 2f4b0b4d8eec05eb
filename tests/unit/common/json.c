/* JSON, escaping for terminals, errors and log lines: what people and programs read. */
#include "common/json.h"
#include "common/err.h"
#include "common/log.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

Test(json, keeps_commas_and_nesting_right)
{
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	json_init(&j, &out);
	json_object(&j);
	json_key(&j, "name");
	json_string(&j, "digits");
	json_key(&j, "list");
	json_array(&j);
	json_int(&j, -1);
	json_uint(&j, UINT64_MAX);
	json_array(&j);
	json_end_array(&j);
	json_object(&j);
	json_end_object(&j);
	json_end_array(&j);
	json_key(&j, "on");
	json_bool(&j, true);
	json_key(&j, "none");
	json_null(&j);
	json_key(&j, "hash");
	json_hex(&j, "\xab\xcd", 2);
	json_end_object(&j);
	cr_assert_str_eq(buf_cstr(&out),
			 "{\"name\":\"digits\",\"list\":[-1,18446744073709551615,[],{}],"
			 "\"on\":true,\"none\":null,\"hash\":\"abcd\"}");
}

Test(json, nothing_at_all_is_an_empty_string)
{
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	json_init(&j, &out);
	json_string_n(&j, NULL, 0);
	cr_assert_str_eq(buf_cstr(&out), "\"\"");
}

Test(json, nests_to_its_depth)
{
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	json_init(&j, &out);
	for (int i = 0; i < JSON_DEPTH_MAX; i++)
		json_array(&j);
	json_int(&j, 1);
	for (int i = 0; i < JSON_DEPTH_MAX; i++)
		json_end_array(&j);
	cr_assert_eq(out.size, 2 * JSON_DEPTH_MAX + 1);
}

static void expect_string(const char *text, size_t size, const char *want)
{
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	json_init(&j, &out);
	json_string_n(&j, text, size);
	cr_assert_str_eq(buf_cstr(&out), want);
}

Test(json, escapes_what_must_be)
{
	expect_string("a\"b\\c", 5, "\"a\\\"b\\\\c\"");
	expect_string("\n\t\r\0\x1b", 5, "\"\\n\\t\\u000d\\u0000\\u001b\"");
	expect_string("\x7f", 1, "\"\\u007f\"");
	expect_string("\xc2\x9b", 2, "\"\\u009b\"");
	expect_string("\xc3\xbc", 2, "\"\xc3\xbc\"");
	expect_string("a\xff"
		      "b",
		      3,
		      "\"a\xef\xbf\xbd"
		      "b\"");
	expect_string("\xe2\x82", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"");
	expect_string("", 0, "\"\"");
}

Test(json, writes_doubles_that_json_has)
{
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	json_init(&j, &out);
	json_array(&j);
	json_double(&j, 0.1);
	json_double(&j, 3);
	json_double(&j, 1e-5);
	json_double(&j, (double)NAN);
	json_double(&j, (double)INFINITY);
	json_end_array(&j);
	cr_assert_str_eq(buf_cstr(&out), "[0.1,3.0,1e-05,null,null]");
}

static void expect_escaped(const char *text, size_t size, const char *want)
{
	CLEANUP_BUF struct buf out = {0};
	text_escape(&out, text, size);
	cr_assert_str_eq(buf_cstr(&out), want);
}

Test(text_escape, leaves_nothing_that_a_terminal_obeys)
{
	expect_escaped("plain \xc3\xbc", 8, "plain \xc3\xbc");
	expect_escaped("\x1b[31mred\a", 9, "\\x1b[31mred\\x07");
	expect_escaped("a\nb\tc\r", 6, "a\\nb\\tc\\x0d");
	expect_escaped("\0", 1, "\\x00");
	expect_escaped("\x7f", 1, "\\x7f");
	expect_escaped("\xc2\x9b"
		       "1m",
		       4, "\\xc2\\x9b1m");
	expect_escaped("\xff\xc3", 2, "\\xff\\xc3");
	expect_escaped("a\xe2\x80\xae"
		       "b",
		       5, "a\\xe2\\x80\\xaeb"); /* right to left */
	expect_escaped("\xe2\x81\xa9\xe2\x80\xa6", 6, "\\xe2\\x81\\xa9\xe2\x80\xa6");
}

Test(err, keeps_the_code_and_the_text)
{
	struct err e = {0};
	cr_assert_eq(err_set(&e, ERR_USAGE, "no file %s", "x"), ERR_USAGE);
	err_next(&e, "try %d", 2);
	cr_assert_eq(e.code, ERR_USAGE);
	cr_assert_str_eq(e.what, "no file x");
	cr_assert_str_eq(e.next, "try 2");
	err_set(&e, ERR_FAILED, "reading: %s", e.what);
	cr_assert_str_eq(e.what, "reading: no file x");
	cr_assert_str_eq(e.next, "", "advice for another error is gone");
}

Test(err, may_have_nowhere_to_go)
{
	cr_assert_eq(err_set(NULL, ERR_TIMED_OUT, "late"), ERR_TIMED_OUT);
	err_next(NULL, "nothing");
}

Test(err, cuts_long_text_between_characters)
{
	struct err e = {0};
	char text[3000];
	for (size_t shift = 0; shift < 3; shift++) {
		memset(text, 'a', shift);
		for (size_t i = shift; i + 3 < sizeof text; i += 3)
			memcpy(text + i, "\xe2\x82\xac", 4);
		err_set(&e, ERR_FAILED, "%s", text);
		size_t size = strlen(e.what);
		cr_assert(size >= sizeof e.what - 3 && size < sizeof e.what);
		cr_assert_eq((size - shift) % 3, 0, "shift %zu size %zu", shift, size);
	}
}

Test(err, is_printed_with_control_characters_escaped, .init = cr_redirect_stderr)
{
	struct err e = {0};
	err_set(&e, ERR_USAGE, "sweep.yaml:3:1: bad\n  \x1b[31m");
	err_next(&e, "see docs");
	err_print(&e, "cashet");
	cr_assert_stderr_eq_str("cashet: sweep.yaml:3:1: bad\n  \\x1b[31m\n  see docs\n");
}

Test(log, knows_its_levels)
{
	enum log_level level = LOG_INFO;
	cr_assert_eq(log_level_parse("debug", &level), 0);
	cr_assert_eq(level, LOG_DEBUG);
	cr_assert_eq(log_level_parse("error", &level), 0);
	cr_assert_eq(level, LOG_ERROR);
	cr_assert_eq(log_level_parse("loud", &level), 1);
	cr_assert_eq(level, LOG_ERROR);
}

/* capture() - what @write_lines() writes to standard error. */
static const char *capture(void (*write_lines)(void))
{
	static char text[65536];
	int ends[2], saved = dup(STDERR_FILENO);
	cr_assert_eq(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	write_lines();
	dup2(saved, STDERR_FILENO);
	close(saved);
	ssize_t size = read(ends[0], text, sizeof text - 1);
	close(ends[0]);
	text[size > 0 ? size : 0] = '\0';
	return text;
}

static size_t count_of(const char *text, const char *what)
{
	size_t count = 0;
	for (; (text = strstr(text, what)); text++)
		count++;
	return count;
}

static void one_of_each(void)
{
	log_info("lease granted", "task=%d name=%s", 3, "a\nb");
	log_debug("not shown", "");
	log_error("disk full", "");
}

Test(log, writes_a_line_per_event)
{
	const char *text = capture(one_of_each);
	cr_assert_not_null(strstr(text, "Z info  lease granted task=3 name=a\\nb\n"),
			   "%s", text);
	cr_assert_not_null(strstr(text, "Z error disk full\n"), "%s", text);
	cr_assert_eq(count_of(text, "\n"), 2);
	cr_assert_eq(text[4], '-');
	cr_assert_eq(text[10], 'T');
}

static void many_warnings(void)
{
	for (int i = 0; i < 100; i++)
		log_warn("frame refused", "peer=%d", i);
	log_warn("another kind", "");
	for (int i = 0; i < 100; i++)
		log_info("not limited", "");
}

Test(log, limits_warnings_by_kind_and_nothing_else)
{
	const char *text = capture(many_warnings);
	cr_assert_eq(count_of(text, "frame refused"), 10);
	cr_assert_eq(count_of(text, "another kind"), 1);
	cr_assert_eq(count_of(text, "not limited"), 100);
}

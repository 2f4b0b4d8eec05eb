/* terminal.c - strangers' bytes on a terminal. */
#include "client/cli/terminal.h"

#include "common/fs.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

struct shown {
	int code;
	bool is_binary;
	char text[16384];
};

/* @data in pieces of @step bytes. */
static struct shown show(const void *data, size_t size, size_t step, bool refuse_binary)
{
	struct shown out = {0};
	int fds[2];
	cr_assert_eq(pipe(fds), 0);
	struct terminal t = {.fd = fds[1], .refuse_binary = refuse_binary};
	for (size_t at = 0; at < size && !out.code; at += step)
		out.code = terminal_write(&t, (const char *)data + at,
					  size - at < step ? size - at : step);
	if (!out.code)
		out.code = terminal_end(&t);
	out.is_binary = t.is_binary;
	terminal_fini(&t);
	close(fds[1]);
	int64_t n = fs_read_full(fds[0], out.text, sizeof out.text - 1);
	cr_assert_geq(n, 0);
	close(fds[0]);
	return out;
}

Test(terminal, control_characters_are_shown_not_done)
{
	static const char text[] = "a\tb\r\n\033[31mred\033[0m \xc2\x9b \x80 \x7f\n";
	for (size_t step = 1; step < sizeof text; step++) {
		struct shown s = show(text, sizeof text - 1, step, false);
		cr_assert_eq(s.code, 0);
		cr_assert_str_eq(s.text, "a\tb\r\n\\x1b[31mred\\x1b[0m \\xc2\\x9b \\x80 "
					 "\\x7f\n");
	}
}

Test(terminal, a_character_that_comes_in_pieces_is_one)
{
	static const char text[] = "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80.";
	for (size_t step = 1; step < sizeof text; step++)
		cr_assert_str_eq(show(text, sizeof text - 1, step, false).text, text);
	/* the end cuts one: what there is of it is shown */
	cr_assert_str_eq(show("x\xe2\x82", 3, 1, false).text, "x\\xe2\\x82");
}

Test(terminal, what_is_no_text_is_refused_before_anything_was_written)
{
	static const char bytes[] = "text\n\0more";
	for (size_t step = 1; step < sizeof bytes; step++) {
		struct shown s = show(bytes, sizeof bytes, step, true);
		cr_assert_eq(s.code, -ECANCELED);
		cr_assert(s.is_binary);
		cr_assert_str_empty(s.text);
	}
	cr_assert(show("\xff\xfe", 2, 2, true).is_binary);
	cr_assert_not(show("{\"a\": 1}\n", 9, 1, true).is_binary);
	cr_assert_not(show("", 0, 1, true).is_binary);
	/* a character on the border of what is looked at */
	static char text[TERMINAL_PEEK + 8];
	memset(text, 'x', sizeof text);
	memcpy(text + TERMINAL_PEEK - 1, "\xe2\x82\xac", 3);
	struct shown s = show(text, sizeof text, sizeof text, true);
	cr_assert_not(s.is_binary);
	cr_assert_arr_eq(s.text, text, sizeof text);
	cr_assert_not(show(text, TERMINAL_PEEK, 64, false).is_binary);
}

/* target.c - what people name where a commit is expected. */
#include "client/target.h"

#include <criterion/criterion.h>
#include <string.h>

static struct target t;
static struct err e;

Test(target, digits_in_any_case_are_a_prefix)
{
	cr_assert_eq(target_parse("4AF09", &t, &e), 0);
	cr_assert_eq(t.message.prefix.len, 3);
	cr_assert_eq(t.message.odd, 1);
	cr_assert_arr_eq(t.message.prefix.data, "\x4a\xf0\x90", 3);
	cr_assert_str_empty(t.message.name);
	cr_assert_not(t.message.is_task);
	cr_assert_eq(target_parse("4af0", &t, &e), 0);
	cr_assert_eq(t.message.odd, 0);
}

Test(target, a_colon_makes_it_a_task)
{
	cr_assert_eq(target_parse("b7f3:12", &t, &e), 0);
	cr_assert(t.message.is_task);
	cr_assert_eq(t.message.index, 12);
	cr_assert_eq(t.message.batch->prefix.len, 2);
	cr_assert_eq(target_parse(":0", &t, &e), 0, "of the newest batch");
	const char *const bad[] = {
		"b7f3:", "b7f3:x",	     "b7f3:-1",		"b7f3:1x", "train:1",
		"b7f:1", "b7f3:99999999999", "b7f3:4294967295", "b7f3: 1"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_assert_eq(target_parse(bad[i], &t, &e), ERR_USAGE, "%s", bad[i]);
}

Test(target, other_names_are_pins)
{
	const char *const good[] = {"best", "abc", "release-1.0", "deadbeef.1"};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		cr_assert_eq(target_parse(good[i], &t, &e), 0, "%s", good[i]);
		cr_assert_str_eq(t.message.name, good[i]);
		cr_assert_eq(t.message.prefix.len, 0);
	}
	char longest[130];
	memset(longest, 'x', sizeof longest);
	longest[128] = '\0';
	cr_assert_eq(target_parse(longest, &t, &e), 0);
	longest[128] = 'x';
	longest[129] = '\0';
	const char *const bad[] = {"", "a b", "a/b", "\n", "é", longest};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_assert_eq(target_parse(bad[i], &t, &e), ERR_USAGE, "%s", bad[i]);
}

Test(target, more_digits_than_a_hash_has_are_refused)
{
	char digits[66];
	memset(digits, 'a', sizeof digits);
	digits[64] = '\0';
	cr_assert_eq(target_parse(digits, &t, &e), 0);
	digits[64] = 'a';
	digits[65] = '\0';
	cr_assert_eq(target_parse(digits, &t, &e), ERR_USAGE);
}

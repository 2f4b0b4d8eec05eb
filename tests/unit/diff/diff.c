/* Differences of sequences, texts and JSON. */
#include "client/diff/json.h"
#include "client/diff/text.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* What a script makes of @a must be @b, and hunks may neither touch nor be empty. */
static uint64_t check_script(const uint32_t *a, uint32_t a_count, const uint32_t *b,
			     uint32_t b_count)
{
	struct script s;
	uint64_t changes = 0;
	cr_assert_eq(script_make(&s, a, a_count, b, b_count), 0);
	uint32_t x = 0, y = 0;
	for (size_t i = 0; i < s.count; i++) {
		const struct script_hunk *h = &s.hunks[i];
		cr_assert(h->a_count || h->b_count);
		cr_assert_eq(h->a_first - x, h->b_first - y);
		cr_assert(i == 0 || h->a_first > x);
		for (; x < h->a_first; x++, y++)
			cr_assert_eq(a[x], b[y]);
		x += h->a_count;
		y += h->b_count;
		changes += h->a_count + h->b_count;
	}
	cr_assert_eq(a_count - x, b_count - y);
	for (; x < a_count; x++, y++)
		cr_assert_eq(a[x], b[y]);
	script_fini(&s);
	return changes;
}

/* The shortest, the slow way. */
static uint64_t shortest(const uint32_t *a, uint32_t n, const uint32_t *b, uint32_t m)
{
	uint32_t *before = calloc(m + 1, sizeof *before),
		 *now = calloc(m + 1, sizeof *now);
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t k = 0; k < m; k++)
			now[k + 1] = a[i] == b[k]	      ? before[k] + 1
				     : now[k] > before[k + 1] ? now[k]
							      : before[k + 1];
		memcpy(before, now, (m + 1) * sizeof *now);
	}
	uint64_t common = before[m];
	free(before);
	free(now);
	return n + m - 2 * common;
}

Test(script, small_inputs_get_the_shortest_script)
{
	uint64_t seed = 1;
	for (int round = 0; round < 3000; round++) {
		uint32_t a[24], b[24];
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		uint32_t n = (uint32_t)(seed >> 60) + (round % 9), m = (seed >> 50) % 20,
			 kinds = 1 + (uint32_t)(seed >> 40) % 5;
		for (uint32_t i = 0; i < n; i++)
			a[i] = (uint32_t)((seed >> (i % 30)) % kinds);
		for (uint32_t i = 0; i < m; i++)
			b[i] = (uint32_t)((seed >> (i % 29 + 7)) % kinds);
		cr_assert_eq(check_script(a, n, b, m), shortest(a, n, b, m));
	}
}

Test(script, very_different_inputs_still_get_a_right_script)
{
	enum { COUNT = 6000 };
	uint32_t *a = calloc(COUNT, sizeof *a), *b = calloc(COUNT, sizeof *b);
	uint64_t seed = 7;
	for (uint32_t i = 0; i < COUNT; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		a[i] = i % 50 ? (uint32_t)(seed >> 52) : 100000 + i;
		b[i] = i % 50 ? (uint32_t)(seed >> 40) % 4096 : 100000 + i;
	}
	uint64_t changes = check_script(a, COUNT, b, COUNT);
	/* The anchors, one item in 50, are found. */
	cr_assert_leq(changes, 2 * (COUNT - COUNT / 50));
	for (uint32_t i = 0; i < COUNT; i++)
		b[i] += 1000000;
	cr_assert_eq(check_script(a, COUNT, b, COUNT), 2 * COUNT);
	free(a);
	free(b);
}

Test(script, an_empty_side_is_all_gone_or_all_new)
{
	uint32_t items[] = {1, 2, 3};
	cr_assert_eq(check_script(items, 3, NULL, 0), 3);
	cr_assert_eq(check_script(NULL, 0, items, 3), 3);
	cr_assert_eq(check_script(NULL, 0, NULL, 0), 0);
	cr_assert_eq(check_script(items, 3, items, 3), 0);
}

static void expect_text(const char *a, const char *b, const char *want)
{
	struct text_diff d;
	CLEANUP_BUF struct buf out = {0};
	cr_assert_eq(text_diff_make(&d, a, strlen(a), b, strlen(b)), 0);
	text_diff_render(&out, &d, "old", "new");
	cr_assert_str_eq(buf_cstr(&out), want);
	text_diff_fini(&d);
}

Test(text_diff, one_changed_line_shows_three_around)
{
	expect_text(
		"1\n2\n3\n4\n5\n6\n7\n8\n", "1\n2\n3\n4\nfive\n6\n7\n8\n",
		"--- old\n+++ new\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n");
}

Test(text_diff, a_missing_line_end_is_a_change)
{
	expect_text("a\nb\n", "a\nb",
		    "--- old\n+++ new\n@@ -1,2 +1,2 @@\n a\n-b\n+b\n\\ no line end\n");
}

Test(text_diff, equal_texts_give_nothing)
{
	expect_text("a\nb\n", "a\nb\n", "");
	expect_text("", "", "");
}

Test(text_diff, no_bytes_at_all_are_no_lines)
{
	struct text_line *lines;
	uint32_t count = 1;
	cr_assert_eq(text_split(NULL, 0, &lines, &count),
		     0); /* an empty blob is no memory */
	cr_assert_eq(count, 0);
	free(lines);
}

Test(text_diff, far_changes_are_two_hunks_and_an_empty_side_counts_from_zero)
{
	expect_text("", "x\n", "--- old\n+++ new\n@@ -0,0 +1 @@\n+x\n");
	expect_text("a\n1\n2\n3\n4\n5\n6\n7\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\nB\n",
		    "--- old\n+++ new\n@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n"
		    "@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-b\n+B\n");
}

Test(text_diff, binary_and_large_is_no_text)
{
	cr_assert(text_is_text("abc\n", 4));
	cr_assert(text_is_text("", 0));
	cr_assert_not(text_is_text("a\0c", 3));
	cr_assert_not(text_is_text("\xff\xfe", 2));
	char *large = calloc(TEXT_DIFF_MAX + 1, 1);
	memset(large, 'x', TEXT_DIFF_MAX + 1);
	cr_assert(text_is_text(large, TEXT_DIFF_MAX));
	cr_assert_not(text_is_text(large, TEXT_DIFF_MAX + 1));
	free(large);
}

static int64_t json(const char *a, const char *b, const char *want)
{
	CLEANUP_BUF struct buf out = {0};
	int64_t found = json_diff(&out, a, strlen(a), b, strlen(b));
	cr_assert_str_eq(buf_cstr(&out), want);
	return found;
}

Test(json_diff, differences_are_named_by_their_path)
{
	cr_assert_eq(json("{\"a\": 1, \"b\": {\"c\": [1, 2, 3]}, \"gone\": null}",
			  "{\"b\": {\"c\": [1, 5, 3, 4]}, \"a\": 1, \"fresh\": \"x\"}",
			  "b.c[1]: 2 -> 5\n+ b.c[3]: 4\n- gone: null\n+ fresh: \"x\"\n"),
		     4);
}

Test(json_diff, order_and_white_space_do_not_count)
{
	cr_assert_eq(
		json("{\"a\":1,\"b\":[true]}", "{ \"b\" : [ true ] ,\n \"a\": 1}", ""),
		0);
}

Test(json_diff, values_of_another_type_are_replaced_whole)
{
	cr_assert_eq(
		json("{\"a\": {\"b\":\n 1}}", "{\"a\": [1]}", "a: {\"b\":  1} -> [1]\n"),
		1);
	cr_assert_eq(json("1", "2", "(all): 1 -> 2\n"), 1);
}

Test(json_diff, what_is_not_json_is_said)
{
	cr_assert_eq(json("{", "{}", ""), -1);
	cr_assert_eq(json("{}", "hello", ""), -1);
}

Test(json_diff, many_differences_are_counted)
{
	CLEANUP_BUF struct buf a = {0}, b = {0}, out = {0};
	buf_add_byte(&a, '[');
	buf_add_byte(&b, '[');
	for (int i = 0; i < 500; i++) {
		buf_printf(&a, "%s%d", i ? "," : "", i);
		buf_printf(&b, "%s%d", i ? "," : "", i + 1000);
	}
	buf_add_byte(&a, ']');
	buf_add_byte(&b, ']');
	cr_assert_eq(json_diff(&out, a.data, a.size, b.data, b.size), 500);
	cr_assert(strstr(buf_cstr(&out), "and 300 more differences\n"));
}

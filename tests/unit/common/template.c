/* Where ${...} stands in a text. */
#include "common/template.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* "kind:name[start,end) ..." */
static const char *scan(const char *text)
{
	static char out[1024];
	static const char *const kinds[] = {"text", "escape", "p",	"in",
					    "list", "out",    "unknown"};
	struct template_scan s;
	struct template_span span;
	size_t used = 0, at = 0;
	out[0] = '\0';
	template_scan_init(&s, text, strlen(text));
	while (template_next(&s, &span)) {
		cr_assert_eq(span.start, at, "no gaps");
		at = span.end;
		used += (size_t)snprintf(
			out + used, sizeof out - used, "%s%s:%.*s[%zu,%zu)",
			used ? " " : "", kinds[span.kind], (int)span.name_size,
			span.name ? span.name : "", span.start, span.end);
	}
	cr_assert_eq(at, strlen(text));
	return out;
}

Test(template, finds_each_kind)
{
	cr_assert_str_eq(scan("--lr=${p.lr} x"), "text:[0,5) p:lr[5,12) text:[12,14)");
	cr_assert_str_eq(scan("${inputs.data}"), "in:data[0,14)");
	cr_assert_str_eq(scan("${inputs.data.list}"), "list:data[0,19)");
	cr_assert_str_eq(scan("${outputs.w-1}"), "out:w-1[0,14)");
	cr_assert_str_eq(scan("${p.a}${p.b}"), "p:a[0,6) p:b[6,12)");
}

Test(template, an_input_may_be_called_list)
{
	cr_assert_str_eq(scan("${inputs.list}"), "in:list[0,14)");
	cr_assert_str_eq(scan("${inputs.list.list}"), "list:list[0,19)");
	cr_assert_str_eq(scan("${inputs..list}"), "unknown:inputs..list[0,15)");
}

Test(template, other_dollars_are_text)
{
	cr_assert_str_eq(scan("$HOME $1 $$ $(x) 5$"), "text:[0,19)");
	cr_assert_str_eq(scan(""), "");
	cr_assert_str_eq(scan("$"), "text:[0,1)");
	cr_assert_str_eq(scan("}{"), "text:[0,2)");
}

Test(template, two_dollars_escape_a_brace)
{
	cr_assert_str_eq(scan("$${p.a}"), "escape:[0,3) text:[3,7)");
	cr_assert_str_eq(scan("a$${HOME}${p.a}"),
			 "text:[0,1) escape:[1,4) text:[4,9) p:a[9,15)");
	cr_assert_str_eq(scan("$$${p.a}"), "text:[0,1) escape:[1,4) text:[4,8)");
	cr_assert_str_eq(scan("$${"), "escape:[0,3)");
}

Test(template, everything_else_in_braces_is_unknown)
{
	cr_assert_str_eq(scan("${HOME}"), "unknown:HOME[0,7)");
	cr_assert_str_eq(scan("${p.}"), "unknown:p.[0,5)");
	cr_assert_str_eq(scan("${p.a b}"), "unknown:p.a b[0,8)");
	cr_assert_str_eq(scan("${p.-a}"), "unknown:p.-a[0,7)");
	cr_assert_str_eq(scan("${}"), "unknown:[0,3)");
	cr_assert_str_eq(scan("x${p.a"), "text:[0,1) unknown:p.a[1,6)");
	cr_assert_str_eq(scan("${outputs.a.b}"), "unknown:outputs.a.b[0,14)");
}

Test(template, a_single_span_is_an_item_of_its_own)
{
	cr_assert(template_is_single("${inputs.a}", 11, TEMPLATE_INPUT));
	cr_assert_not(template_is_single("${inputs.a} ", 12, TEMPLATE_INPUT));
	cr_assert_not(template_is_single("${p.a}", 6, TEMPLATE_INPUT));
	cr_assert_not(template_is_single("", 0, TEMPLATE_TEXT));
}

Test(template, the_first_unknown_is_shown)
{
	struct template_span span;
	cr_assert_not(template_find_unknown("${p.a} $x", 9, &span));
	cr_assert(template_find_unknown("${p.a} ${q.b} ${r}", 18, &span));
	cr_assert_eq(span.start, 7);
	cr_assert_eq(span.end, 13);
}

/* literal.c - bytes and floats that YAML cannot write. */
#include "client/batch/literal.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

Test(literal, base64_is_read_strictly)
{
	static const struct {
		const char *text, *bytes;
	} good[] = {{"", ""},
		    {"YQ==", "a"},
		    {"YQ", "a"},
		    {"YWI=", "ab"},
		    {"YWJj", "abc"},
		    {"YW Jj\n", "abc"},
		    {"+/+/", "\xfb\xff\xbf"}};
	static const char *const bad[] = {
		"Y", "YQ=", "YR==", "YWJ=", "YQ==YQ==", "Y-Q=", "====", "YQ===", "YWJjZ"};
	uint8_t out[16];
	size_t size;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		cr_assert_eq(literal_base64(good[i].text, out, &size), 0, "%s",
			     good[i].text);
		cr_expect_eq(size, strlen(good[i].bytes), "%s", good[i].text);
		cr_expect(!memcmp(out, good[i].bytes, size), "%s", good[i].text);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_expect_eq(literal_base64(bad[i], out, &size), 1, "%s", bad[i]);
}

Test(literal, floats_are_read_to_the_bit)
{
	static const struct {
		const char *text;
		double value;
	} good[] = {{"inf", INFINITY},
		    {"-inf", -INFINITY},
		    {"+inf", INFINITY},
		    {"-.inf", -INFINITY},
		    {"3", 3.0},
		    {"-0.0", -0.0},
		    {"0.1", 0.1},
		    {"0x1.8p3", 12.0},
		    {"0x1.999999999999ap-4", 0.1},
		    {"-0x0.0p+0", -0.0},
		    {"0x1p-1074", 4.9406564584124654e-324},
		    {"0x1.fffffffffffffp+1023", 1.7976931348623157e308},
		    {"0X10", 16.0}};
	static const char *const bad[] = {"",
					  "x",
					  "0x",
					  "0x1p",
					  "0x1p-1075",
					  "0x1p1024",
					  "0x1.00000000000001p0",
					  "0x1.8p3x",
					  "true",
					  "1_000",
					  "infinite"};
	double d;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		cr_assert_eq(literal_float(good[i].text, &d), 0, "%s", good[i].text);
		cr_expect(!memcmp(&d, &good[i].value, sizeof d), "%s: %a", good[i].text,
			  d);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_expect_eq(literal_float(bad[i], &d), 1, "%s", bad[i]);
	cr_assert_eq(literal_float("nan", &d), 0);
	cr_expect(isnan(d));
}

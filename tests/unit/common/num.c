/* Numbers, durations, sizes, names. */
#include "common/num.h"
#include "common/names.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

Test(num_format_double, prints_as_python_repr)
{
	/* Each row was printed by CPython 3.11. */
	static const struct {
		double value;
		const char *text;
	} rows[] = {
		{0.0, "0.0"},
		{-0.0, "-0.0"},
		{1.0, "1.0"},
		{-1.5, "-1.5"},
		{3.0, "3.0"},
		{100.0, "100.0"},
		{0.1, "0.1"},
		{0.001, "0.001"},
		{3e-4, "0.0003"},
		{1e-4, "0.0001"},
		{1e-5, "1e-05"},
		{1.5e-5, "1.5e-05"},
		{1.0 / 3, "0.3333333333333333"},
		{2.0 / 3, "0.6666666666666666"},
		{0.1 + 0.2, "0.30000000000000004"},
		{3.141592653589793, "3.141592653589793"},
		{123456789.125, "123456789.125"},
		{999999999999999.0, "999999999999999.0"},
		{1e15, "1000000000000000.0"},
		{1234567890123456.0, "1234567890123456.0"},
		{9007199254740993.0, "9007199254740992.0"},
		{9999999999999998.0, "9999999999999998.0"},
		{1e16, "1e+16"},
		{1.5e16, "1.5e+16"},
		{1e22, "1e+22"},
		{1e23, "1e+23"},
		{1e100, "1e+100"},
		{1.7976931348623157e308, "1.7976931348623157e+308"},
		{2.2250738585072014e-308, "2.2250738585072014e-308"},
		{5e-324, "5e-324"},
		{1e-320, "1e-320"},
		{0x1p-44, "5.684341886080802e-14"},
		{0x1p-24, "5.960464477539063e-08"},
		{0x1p63, "9.223372036854776e+18"},
		{4.35, "4.35"},
		{0.000123, "0.000123"},
		{1e-7, "1e-07"},
		{(double)INFINITY, "inf"},
		{-(double)INFINITY, "-inf"},
		{(double)NAN, "nan"},
	};
	char text[32];
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		cr_assert_str_eq(num_format_double(text, rows[i].value), rows[i].text);
}

Test(num_format_double, reads_back_the_same)
{
	uint64_t seed = 42;
	char text[32];
	for (int i = 0; i < 50000; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		double value;
		memcpy(&value, &seed, 8);
		if (isnan(value))
			continue;
		num_format_double(text, value);
		cr_assert(strlen(text) < 32);
		cr_assert_eq(strtod(text, NULL), value, "%s", text);
	}
}

static void expect_duration(const char *text, uint64_t ns)
{
	uint64_t got = 0;
	cr_assert_eq(num_parse_duration(text, &got), 0, "%s", text);
	cr_assert_eq(got, ns, "%s", text);
}

Test(num_parse_duration, takes_what_people_write)
{
	expect_duration("10m", 600 * NS_PER_S);
	expect_duration("1h30m", 5400 * NS_PER_S);
	expect_duration("500ms", 500 * NS_PER_MS);
	expect_duration("30d", 30 * 86400 * NS_PER_S);
	expect_duration("2w", 14 * 86400 * NS_PER_S);
	expect_duration("45", 45 * NS_PER_S);
	expect_duration("0", 0);
	expect_duration("0s", 0);
	expect_duration("1.5s", 1500 * NS_PER_MS);
	expect_duration("0.25", 250 * NS_PER_MS);
	expect_duration("1m30s500ms", 90500 * NS_PER_MS);
}

Test(num_parse_duration, refuses_what_is_not_a_duration)
{
	static const char *const texts[] = {"",
					    "m",
					    "-1s",
					    "1x",
					    "1 m",
					    "30m1h",
					    "1m1m",
					    "1h30",
					    ".5s",
					    "1.s",
					    "1e3s",
					    " 1s",
					    "1s ",
					    "1.2.3",
					    "999999999999999999999s",
					    "1000000w",
					    "0.0000000001s"};
	uint64_t ns = 7;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		cr_assert_eq(num_parse_duration(texts[i], &ns), 1, "%s", texts[i]);
	cr_assert_eq(ns, 7, "written on success only");
}

static void expect_size(const char *text, uint64_t bytes)
{
	uint64_t got = 0;
	cr_assert_eq(num_parse_size(text, &got), 0, "%s", text);
	cr_assert_eq(got, bytes, "%s", text);
}

Test(num_parse_size, takes_what_people_write)
{
	expect_size("64", 64);
	expect_size("0", 0);
	expect_size("64B", 64);
	expect_size("100k", 100000);
	expect_size("512MB", 512000000);
	expect_size("1GiB", 1ull << 30);
	expect_size("1Gi", 1ull << 30);
	expect_size("2T", 2000000000000);
	expect_size("1.5GiB", 3ull << 29);
	expect_size("1.2 GiB", 1288490189);
	expect_size("18446744073709551615", UINT64_MAX);
}

Test(num_parse_size, refuses_what_is_not_a_size)
{
	static const char *const texts[] = {"",
					    "k",
					    "-1",
					    "1.5",
					    "1KIB",
					    "1Gb",
					    "1 ",
					    "1kk",
					    "1MiBs",
					    "0x10",
					    "1e3",
					    "18446744073709551616",
					    "99999999999T"};
	uint64_t bytes;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		cr_assert_eq(num_parse_size(texts[i], &bytes), 1, "%s", texts[i]);
}

Test(num_add_duration, prints_what_is_worth_reading)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} rows[] = {
		{0, "0s"},
		{85000, "0.09ms"},
		{1240000, "1.24ms"},
		{12340000, "12.3ms"},
		{123400000, "123ms"},
		{999600000, "1s"},
		{1 * NS_PER_S, "1s"},
		{1240 * NS_PER_MS, "1.24s"},
		{1500 * NS_PER_MS, "1.5s"},
		{59999 * NS_PER_MS, "1m"},
		{600 * NS_PER_S, "10m"},
		{605 * NS_PER_S, "10m5s"},
		{5400 * NS_PER_S, "1h30m"},
		{3599900 * NS_PER_MS, "1h"},
		{86399 * NS_PER_S, "1d"},
		{180000 * NS_PER_S, "2d2h"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP_BUF struct buf b = {0};
		num_add_duration(&b, rows[i].ns);
		cr_assert_str_eq(buf_cstr(&b), rows[i].text);
		uint64_t back;
		cr_assert_eq(num_parse_duration(buf_cstr(&b), &back), 0, "%s",
			     buf_cstr(&b));
	}
}

Test(num_add_size, prints_what_is_worth_reading)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {
		{0, "0 B"},
		{512, "512 B"},
		{1023, "1023 B"},
		{1024, "1 KiB"},
		{1288490189, "1.2 GiB"},
		{512ull << 20, "512 MiB"},
		{(1ull << 20) - 1, "1 MiB"},
		{UINT64_MAX, "16 EiB"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP_BUF struct buf b = {0};
		num_add_size(&b, rows[i].bytes);
		cr_assert_str_eq(buf_cstr(&b), rows[i].text);
	}
}

Test(names_suggest, finds_the_slip)
{
	static const char *const commands[] = {"submit", "status", "best",
					       "get",	 "logs",   "log"};
	size_t count = ARRAY_LEN(commands);
	cr_assert_str_eq(names_suggest("sumbit", commands, count), "submit");
	cr_assert_str_eq(names_suggest("submitt", commands, count), "submit");
	cr_assert_str_eq(names_suggest("bset", commands, count), "best");
	cr_assert_str_eq(names_suggest("gte", commands, count), "get");
	cr_assert_str_eq(names_suggest("log", commands, count), "log");
	cr_assert_null(names_suggest("frobnicate", commands, count));
	cr_assert_null(names_suggest("x", commands, count));
	cr_assert_null(names_suggest("", commands, count));
	char long_word[500];
	memset(long_word, 's', sizeof long_word);
	long_word[499] = '\0';
	cr_assert_null(names_suggest(long_word, commands, count));
}

Test(names_secret, is_a_variable_and_a_file_and_nothing_of_every_task)
{
	char longest[130];
	memset(longest, 'A', 128);
	longest[128] = '\0';
	static const char *const fine[] = {"TOKEN", "_", "a1_B", "PATHS", "CASHET"};
	static const char *const bad[] = {"",	      "1A",
					  "A-B",      "A.B",
					  "A/B",      "..",
					  "A=B",      "A B",
					  "\xc3\xbc", "PATH",
					  "HOME",     "CASHET_",
					  "TMPDIR",   "CUDA_VISIBLE_DEVICES"};
	cr_assert_null(names_secret_problem(longest));
	strcat(longest, "A");
	cr_assert_not_null(names_secret_problem(longest));
	for (size_t i = 0; i < ARRAY_LEN(fine); i++)
		cr_assert_null(names_secret_problem(fine[i]), "%s", fine[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_assert_not_null(names_secret_problem(bad[i]), "%s", bad[i]);
}

Test(names_valid, accepts_names_and_nothing_else)
{
	char name[140];
	cr_assert(names_valid("train", false));
	cr_assert(names_valid("Train_2-b", false));
	cr_assert(!names_valid("", false));
	cr_assert(!names_valid("a.b", false));
	cr_assert(names_valid("a.b", true));
	cr_assert(!names_valid(".b", true));
	cr_assert(!names_valid("a b", true));
	cr_assert(!names_valid("a/b", true));
	cr_assert(!names_valid("\xc3\xbc", true));
	memset(name, 'n', sizeof name);
	name[128] = '\0';
	cr_assert(names_valid(name, false));
	name[128] = 'n';
	name[129] = '\0';
	cr_assert(!names_valid(name, false));
}

/* show.c - tables, titles and JSON as people and programs get them. */
#include "client/cli/cli.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

Test(table, columns_are_as_wide_as_they_must_be_and_numbers_stand_right)
{
	struct table t;
	CLEANUP_BUF struct buf out = {0};
	table_init(&t, 3);
	const char *cells[] = {"name", "loss", "x", "a", "0.5", "", "longer", "12", "y"};
	for (size_t i = 0; i < ARRAY_LEN(cells); i++)
		table_cell(&t, cells[i]);
	table_render(&t, &out, false);
	cr_assert_str_eq(buf_cstr(&out), "name    loss  x\n"
					 "a        0.5\n"
					 "longer    12  y\n");
	table_fini(&t);
}

Test(table, what_would_drive_the_terminal_is_shown_instead)
{
	struct table t;
	CLEANUP_BUF struct buf out = {0};
	table_init(&t, 1);
	table_cell(&t, "n");
	table_cell(&t, "a\033[2Jb\nc");
	table_render(&t, &out, false);
	cr_assert_str_eq(buf_cstr(&out), "n\na\\x1b[2Jb\\nc\n");
	table_fini(&t);
}

Test(table, width_counts_characters)
{
	cr_assert_eq(text_width("abc"), 3);
	cr_assert_eq(text_width("\xc3\xa4\xe2\x82\xac"), 2);
	cr_assert_eq(text_width("\u65e5\u672c"), 4, "wide ones");
	cr_assert_eq(text_width("e\u0301\U0001f600"), 3, "one of none, one of two");
}

Test(show, a_title_has_the_parameters_in_it)
{
	struct cashet_param params[] = {
		{"lr", {.type = CASHET_DOUBLE, .d = 0.1}},
		{"seed", {.type = CASHET_INT, .i = 2}},
		{"opt", {.type = CASHET_STRING, .text = "a\033dam"}},
	};
	CLEANUP_BUF struct buf out = {0};
	show_title(&out, "train", params, 3);
	cr_assert_str_eq(buf_cstr(&out), "train[lr=0.1,seed=2,opt=a\\x1bdam]");
	buf_reset(&out);
	show_title(&out, "prep", NULL, 0);
	cr_assert_str_eq(buf_cstr(&out), "prep");
}

static const char *shown(const struct cashet_value *value, enum show_how how)
{
	static struct buf out;
	buf_reset(&out);
	show_value(&out, value, how);
	return buf_cstr(&out);
}

static const char *text_shown(const char *text, enum show_how how)
{
	return shown(&(struct cashet_value){.type = CASHET_STRING, .text = text}, how);
}

Test(show, values_that_differ_look_different)
{
	static const struct {
		double d;
		const char *table, *full;
	} doubles[] = {{1, "1.0", "1.0"},
		       {-0.0, "-0.0", "-0.0"},
		       {0.1 + 0.2, "0.3", "0.30000000000000004"},
		       {1e20, "1e+20", "1e+20"},
		       {100000, "100000.0", "100000.0"},
		       {(double)INFINITY, "inf", "inf"}};
	struct cashet_value one = {.type = CASHET_INT, .i = 1};
	cr_expect_str_eq(shown(&one, SHOW_TABLE), "1");
	for (size_t i = 0; i < ARRAY_LEN(doubles); i++) {
		struct cashet_value v = {.type = CASHET_DOUBLE, .d = doubles[i].d};
		cr_expect_str_eq(shown(&v, SHOW_TABLE), doubles[i].table);
		cr_expect_str_eq(shown(&v, SHOW_FULL), doubles[i].full);
	}
	static const char *const quoted[] = {
		"1",	"1.0", "-3e5", "0x1f", "true",	 "null",   "~",		".5",
		".inf", "nan", "inf",  "",     "[1, 2]", "{a: 1}", "<8 bytes>", "(0a1b)"};
	for (size_t i = 0; i < ARRAY_LEN(quoted); i++) {
		char want[16];
		snprintf(want, sizeof want, "\"%s\"", quoted[i]);
		cr_expect_str_eq(text_shown(quoted[i], SHOW_TABLE), want);
		cr_expect_str_eq(text_shown(quoted[i], SHOW_FULL), want);
		cr_expect_str_eq(text_shown(quoted[i], SHOW_CSV), quoted[i]);
	}
	static const char *const plain[] = {"adam", "v1", "1.2.3", "no", "a b", "x[1]"};
	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		cr_expect_str_eq(text_shown(plain[i], SHOW_TABLE), plain[i]);
	char longer[101] = "";
	memset(longer, 'y', 100);
	cr_expect_eq(strlen(text_shown(longer, SHOW_TABLE)), 63);
	cr_expect_str_eq(text_shown(longer, SHOW_FULL), longer);
	cr_expect_str_eq(text_shown(longer, SHOW_CSV), longer);
	/* What an argument is that is no text looks as it is written. */
	static const char *const written[] = {"null", "[1, 2]", "{\"a\": 1}",
					      "<8 bytes>"};
	for (size_t i = 0; i < ARRAY_LEN(written); i++) {
		struct cashet_value v = {
			.type = CASHET_STRING, .is_written = true, .text = written[i]};
		cr_expect_str_eq(shown(&v, SHOW_TABLE), written[i]);
		cr_expect_str_eq(shown(&v, SHOW_FULL), written[i]);
		cr_expect_str_eq(shown(&v, SHOW_CSV), written[i]);
		CLEANUP_BUF struct buf out = {0};
		struct json j;
		json_init(&j, &out);
		json_value(&j, &v);
		cr_expect_eq(buf_cstr(&out)[0], i ? '"' : 'n', "%s", buf_cstr(&out));
	}
	cr_expect_str_eq(text_shown("\"1\"", SHOW_TABLE), "\"\\\"1\\\"\"");
	cr_expect_str_eq(text_shown("\"1\"", SHOW_CSV), "\"1\"");
}

Test(show, durations_are_short)
{
	CLEANUP_BUF struct buf out = {0};
	show_duration(&out, 1500000);
	buf_add_byte(&out, ' ');
	show_duration(&out, 1240 * NS_PER_MS);
	buf_add_byte(&out, ' ');
	show_duration(&out, 190 * NS_PER_S);
	buf_add_byte(&out, ' ');
	show_duration(&out, 7320 * NS_PER_S);
	cr_assert_str_eq(buf_cstr(&out), "1.5ms 1.24s 3m10s 2h02m");
}

Test(show, json_of_a_task_has_every_key_of_the_promise)
{
	struct cashet_param params[] = {
		{"flag", {.type = CASHET_BOOL, .boolean = true}},
		{"lr", {.type = CASHET_DOUBLE, .d = 0.001}},
		{"text", {.type = CASHET_STRING, .text = "a\"b"}},
		{"u", {.type = CASHET_UINT, .u = UINT64_MAX}},
	};
	struct cashet_output outputs[] = {
		{"weights", "w.bin", {.type = CASHET_CONTENT_FILE, .size = 3}}};
	struct cashet_metric metrics[] = {
		{.name = "acc", .number = 0.97},
		{.name = "note", .is_text = true, .text = "good"}};
	struct cashet_result r = {
		.index = 7,
		.name = "train",
		.params = params,
		.param_count = 4,
		.status = CASHET_COMPLETED,
		.cached = true,
		.exit_code = 0,
		.has_fingerprint = true,
		.has_commit = true,
		.outputs = outputs,
		.output_count = 1,
		.metrics = metrics,
		.metric_count = 2,
		.worker = "node-1",
		.duration_ns = 1234567,
		.error = "",
	};
	memset(r.func_hash, 0xab, sizeof r.func_hash);
	memset(r.args_hash, 0xcd, sizeof r.args_hash);
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	json_init(&j, &out);
	json_array(&j);
	json_result(&j, &r);
	json_result(&j, &r);
	json_end_array(&j);
	const char *text = buf_cstr(&out);
	static const char *const parts[] = {
		("[{\"index\":7,\"name\":\"train\",\"params\":{\"flag\":true,\"lr\":0."
		 "001,"
		 "\"text\":\"a\\\"b\",\"u\":18446744073709551615},\"status\":"
		 "\"completed\","
		 "\"cached\":true,\"deduplicated\":false,\"attempts\":0,\"exit_code\":0,"
		 "\"signal\":null,\"fingerprint\":\"abab"),
		"abab:cdcd",
		"cdcd\",\"commit\":\"0000",
		"\"output\":null,",
		"\"outputs\":{\"weights\":\"0000",
		("\"worker\":\"node-1\",\"duration_ms\":1.234,\"error\":null,"
		 "\"metrics\":{\"acc\":0.97,\"note\":\"good\"}},{\"index\":7,"),
	};
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		cr_assert_not_null(strstr(text, parts[i]), "%s in %s", parts[i], text);
}

Test(show, json_of_a_task_that_never_ran_is_null_where_nothing_is)
{
	struct cashet_result r = {.name = "t",
				  .status = CASHET_SKIPPED,
				  .exit_code = -1,
				  .worker = "",
				  .error = "task 0, which it needs, failed"};
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	json_init(&j, &out);
	json_result(&j, &r);
	const char *text = buf_cstr(&out);
	static const char *const parts[] = {
		"\"status\":\"skipped\"", "\"exit_code\":null",	  "\"fingerprint\":null",
		"\"commit\":null",	  "\"worker\":null",	  "\"outputs\":{}",
		"\"params\":{}",	  "\"error\":\"task 0, ", "\"metrics\":{}"};
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		cr_assert_not_null(strstr(text, parts[i]), "%s in %s", parts[i], text);
}

Test(show, a_word_with_a_colon_is_a_task)
{
	struct cli cli = {.program = "cashet"};
	char batch[CASHET_HEX_SIZE];
	uint32_t index;
	cr_assert_eq(cli_task(&cli, "b7f3:12", batch, &index), 0);
	cr_assert_str_eq(batch, "b7f3");
	cr_assert_eq(index, 12);
	cr_assert_eq(cli_task(&cli, ":3", batch, &index), 0);
	cr_assert_str_eq(batch, "");
	cr_assert_eq(cli_task(&cli, "b7f3", batch, &index), 1);
	cr_assert_eq(cli_task(&cli, "b7f3:x", batch, &index), 2);
	cr_assert_eq(cli_task(&cli, "b7f3:-1", batch, &index), 2);
	cr_assert_eq(cli_task(&cli, "b7f3:99999999999", batch, &index), 2);
}

Test(show, every_command_can_be_found_and_explained)
{
	for (size_t i = 0; i < command_count; i++) {
		const struct command *c = &command_table[i];
		cr_assert_not_null(c->run);
		cr_assert_leq(c->least, c->most);
		for (size_t k = i + 1; k < command_count; k++)
			cr_assert_str_neq(c->name, command_table[k].name);
	}
}

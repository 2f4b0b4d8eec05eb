/* Filling in ${...}. */
#include "common/task/substitute.h"

#include <criterion/criterion.h>
#include <string.h>

static char *params[] = {"flag", "lr", "name", "seed"};
static char *input_names[] = {"all", "data", "none"};
static struct function_pair outputs[] = {{"model", "out/model.bin"}};
static struct value values[] = {
	{.type = VALUE_BOOL, .boolean = true},
	{.type = VALUE_DOUBLE, .d = 1e-5},
	{.type = VALUE_STRING, .text = "it's $(rm -rf) ${p.lr}"},
	{.type = VALUE_INT, .i = -3},
};
static char *all[] = {"inputs/all/000000/a b", "inputs/all/000001/c"};
static char *data[] = {"inputs/data/digits.csv"};
static struct input_paths paths[] = {
	{all, 2, true, "inputs/all.list"},
	{data, 1, false, NULL},
	{NULL, 0, true, "inputs/none.list"},
};

/* Strings joined by '|'; an error is "!what". */
static const char *fill(char **argv, size_t argc, const char *shell, uint32_t *countp)
{
	static struct buf out;
	struct function f = {.argv = argv,
			     .argc = argc,
			     .shell = (char *)(uintptr_t)shell,
			     .params = params,
			     .param_count = 4,
			     .inputs = input_names,
			     .input_count = 3,
			     .outputs = outputs,
			     .output_count = 1};
	struct args a = {.values = values, .value_count = 4, .input_count = 3};
	struct substitution s = {&f, &a, paths};
	struct err e = {0};
	buf_reset(&out);
	if (substitute_command(&out, countp, &s, &e)) {
		buf_reset(&out);
		buf_printf(&out, "!%s", e.what);
		return buf_cstr(&out);
	}
	for (size_t i = 0; i + 1 < out.size; i++)
		if (!out.data[i])
			out.data[i] = '|';
	return buf_cstr(&out);
}

static const char *item(char *text)
{
	uint32_t argc;
	return fill(&text, 1, NULL, &argc);
}

Test(substitute, parameters_are_written_as_people_write_them)
{
	cr_assert_str_eq(item("--lr=${p.lr}"), "--lr=1e-05");
	cr_assert_str_eq(item("${p.flag},${p.seed}"), "true,-3");
}

Test(substitute, what_is_filled_in_is_not_scanned_again)
{
	cr_assert_str_eq(item("${p.name}"), "it's $(rm -rf) ${p.lr}");
}

Test(substitute, paths_of_inputs_and_outputs)
{
	cr_assert_str_eq(item("${inputs.data}:${outputs.model}"),
			 "inputs/data/digits.csv:out/model.bin");
	cr_assert_str_eq(item("${inputs.all.list}"), "inputs/all.list");
}

Test(substitute, a_list_alone_becomes_one_item_per_file)
{
	char *argv[] = {"cat", "${inputs.all}", "x${inputs.all}", "${inputs.none}",
			"end"};
	uint32_t argc;
	cr_assert_str_eq(fill(argv, 5, NULL, &argc),
			 "cat|inputs/all/000000/a b|inputs/all/000001/c|"
			 "xinputs/all/000000/a b inputs/all/000001/c|end");
	cr_assert_eq(argc, 5);
}

Test(substitute, other_dollars_stay)
{
	cr_assert_str_eq(item("$HOME $${p.lr} $1 $$"), "$HOME ${p.lr} $1 $$");
}

Test(substitute, a_shell_string_gets_values_quoted_where_they_need_it)
{
	uint32_t argc;
	cr_assert_str_eq(
		fill(NULL, 0, "echo ${p.name} ${inputs.all} $HOME > ${outputs.model}",
		     &argc),
		"/bin/sh|-c|echo 'it'\\''s $(rm -rf) ${p.lr}' 'inputs/all/000000/a b' "
		"inputs/all/000001/c $HOME > out/model.bin");
	cr_assert_eq(argc, 3);
	cr_assert_str_eq(fill(NULL, 0, "echo $((${p.seed} + 1))", &argc),
			 "/bin/sh|-c|echo $((-3 + 1))");
}

Test(substitute, words_that_a_shell_would_read_are_quoted)
{
	static const char *const words[] = {"",	  "a b", "~",	 "*", "a;b",
					    "$x", "`x`", "x\ny", "!", "#"};
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		CLEANUP_BUF struct buf out = {0};
		shell_quote(&out, words[i], strlen(words[i]));
		cr_assert_eq(out.data[0], '\'', "%s", words[i]);
	}
}

Test(substitute, the_unknown_is_an_error_that_names_it)
{
	cr_assert_str_eq(item("a ${p.nope} b"),
			 "!unknown ${p.nope} in \"a ${p.nope} b\"");
	cr_assert_str_eq(item("${inputs.nope}"),
			 "!unknown ${inputs.nope} in \"${inputs.nope}\"");
	cr_assert_str_eq(item("${outputs.nope}"),
			 "!unknown ${outputs.nope} in \"${outputs.nope}\"");
	cr_assert_str_eq(item("${HOME}"), "!unknown ${HOME} in \"${HOME}\"");
	cr_assert_str_eq(item("${inputs.data.list}"),
			 "!unknown ${inputs.data.list} in \"${inputs.data.list}\"");
	char *empty[] = {"${inputs.none}"};
	uint32_t argc;
	cr_assert_str_eq(fill(empty, 1, NULL, &argc), "!the command is empty");
}

Test(substitute, environment_values_too)
{
	struct function_pair env[] = {{"A", "x${p.seed}"}, {"FILES", "${inputs.all}"}};
	struct function f = {.env = env,
			     .env_count = 2,
			     .params = params,
			     .param_count = 4,
			     .inputs = input_names,
			     .input_count = 3};
	struct args a = {.values = values, .value_count = 4};
	struct substitution s = {&f, &a, paths};
	CLEANUP_BUF struct buf out = {0};
	uint32_t count = 0;
	cr_assert_eq(substitute_env(&out, &count, &s, NULL), 0);
	cr_assert_eq(count, 2);
	cr_assert_str_eq((char *)out.data, "A=x-3");
	cr_assert_str_eq((char *)out.data + 6,
			 "FILES=inputs/all/000000/a b inputs/all/000001/c");
}

/* Functions, arguments and commits: both ways, and what their decoders refuse. */
#include "common/pure/sha256.h"
#include "tests/unit/common/samples.h"

#include <criterion/criterion.h>
#include <stdlib.h>

Test(function, reads_back_sorted)
{
	CLEANUP_BUF struct buf b = {0};
	CLEANUP_BUF struct buf again = {0};
	CLEANUP(function_fini) struct function f = {0};
	function_encode(&b, sample_function());
	cr_assert_eq(function_decode(b.data, b.size, &f), 0);
	cr_assert_eq(f.argc, 4);
	cr_assert_str_eq(f.argv[3], "${p.lr}");
	cr_assert_null(f.shell);
	cr_assert_str_eq(f.env[0].name, "A", "shorter names first, as CBOR has it");
	cr_assert_str_eq(f.env[0].value, "");
	cr_assert_str_eq(f.env[1].name, "ZZ");
	cr_assert_str_eq(f.env[2].name, "OMP_NUM_THREADS");
	cr_assert_str_eq(f.params[0], "lr");
	cr_assert_str_eq(f.inputs[0], "base");
	cr_assert_str_eq(f.outputs[0].name, "log");
	cr_assert_str_eq(f.outputs[1].value, "out/w.bin");
	cr_assert_str_eq(f.metrics, "metrics.json");
	cr_assert_str_eq(f.salt, "a");
	cr_assert_str_eq(f.code[0].path, "lib/run.sh");
	cr_assert(f.code[0].executable && !f.code[1].executable);
	cr_assert_eq(f.code[1].digest[0], 0x20);
	function_encode(&again, &f);
	cr_assert_eq(again.size, b.size);
	cr_assert_arr_eq(again.data, b.data, b.size);
}

Test(function, a_shell_string_and_nothing_else)
{
	CLEANUP_BUF struct buf b = {0};
	CLEANUP(function_fini) struct function back = {0};
	struct function f = {.shell = "sort | uniq"};
	function_encode(&b, &f);
	cr_assert_eq(function_decode(b.data, b.size, &back), 0);
	cr_assert_str_eq(back.shell, "sort | uniq");
	cr_assert_null(back.argv);
	cr_assert_null(back.metrics);
	cr_assert_null(back.salt);
	cr_assert_eq(back.env_count + back.output_count + back.code_count, 0);
}

static int recode(const struct function *f)
{
	CLEANUP_BUF struct buf b = {0};
	CLEANUP(function_fini) struct function back = {0};
	struct function copy = *f;
	function_encode(&b, &copy);
	return function_decode(b.data, b.size, &back);
}

Test(function, refuses_what_a_worker_must_not_lay_out)
{
	static const char *const bad_paths[] = {"/etc/passwd", "../x", "a/../../x", "",
						"."};
	char *argv[] = {"true"};
	for (size_t i = 0; i < ARRAY_LEN(bad_paths); i++) {
		char path[32];
		strcpy(path, bad_paths[i]);
		struct function_pair output = {"o", path};
		struct function_code code = {.path = path};
		struct function f = {
			.argv = argv, .argc = 1, .outputs = &output, .output_count = 1};
		cr_assert_eq(recode(&f), 1, "output %s", path);
		f = (struct function){
			.argv = argv, .argc = 1, .code = &code, .code_count = 1};
		cr_assert_eq(recode(&f), 1, "code %s", path);
		f = (struct function){.argv = argv, .argc = 1, .metrics = path};
		cr_assert_eq(recode(&f), 1, "metrics %s", path);
	}
}

Test(function, refuses_duplicates_and_bad_names)
{
	char *argv[] = {"true"}, *twice[] = {"a", "a"}, *bad[] = {"../a"};
	struct function_pair pairs[] = {{"a", "x"}, {"a", "y"}};
	struct function_pair equals = {"A=B", "x"}, nameless = {"", "x"};
	struct function_code code[] = {{.path = "a"}, {.path = "a/b"}};
	struct function f = {.argv = argv, .argc = 1};
	cr_assert_eq(recode(&f), 0);
	f.params = twice, f.param_count = 2;
	cr_assert_eq(recode(&f), 1);
	f.params = bad, f.param_count = 1;
	cr_assert_eq(recode(&f), 1);
	f = (struct function){.argv = argv, .argc = 1, .inputs = twice, .input_count = 2};
	cr_assert_eq(recode(&f), 1);
	f = (struct function){
		.argv = argv, .argc = 1, .outputs = pairs, .output_count = 2};
	cr_assert_eq(recode(&f), 1);
	f = (struct function){.argv = argv, .argc = 1, .env = pairs, .env_count = 2};
	cr_assert_eq(recode(&f), 1);
	f = (struct function){.argv = argv, .argc = 1, .env = &equals, .env_count = 1};
	cr_assert_eq(recode(&f), 1);
	f = (struct function){.argv = argv, .argc = 1, .env = &nameless, .env_count = 1};
	cr_assert_eq(recode(&f), 1);
	f = (struct function){.argv = argv, .argc = 1, .code = code, .code_count = 2};
	cr_assert_eq(recode(&f), 1, "a file is no folder");
	f = (struct function){.argv = argv, .argc = 0};
	cr_assert_eq(recode(&f), 1, "nothing to run");
	f = (struct function){.shell = ""};
	cr_assert_eq(recode(&f), 1);
}

Test(args, read_back_with_the_places_of_their_contents)
{
	CLEANUP_BUF struct buf b = {0};
	CLEANUP(args_fini) struct args a = {0};
	struct args *sample = sample_args();
	args_encode(&b, sample);
	cr_assert_eq(args_decode(b.data, b.size, &a), 0);
	cr_assert_eq(a.value_count, 5);
	for (size_t i = 0; i < a.value_count; i++)
		cr_assert(value_equal(&a.values[i], &sample->values[i]));
	cr_assert_eq(a.input_count, 2);
	for (size_t i = 0; i < a.input_count; i++) {
		cr_assert_eq(a.inputs[i].offset, sample->inputs[i].offset);
		cr_assert_arr_eq(b.data + a.inputs[i].offset, &sample->inputs[i].content,
				 CONTENT_SIZE);
	}
	cr_assert(!a.inputs[0].name_is_array && a.inputs[1].name_is_array);
	cr_assert_str_eq(a.inputs[0].names[0], "data.npz");
	cr_assert_str_eq(a.inputs[1].names[1], "w1.bin");
}

Test(args, a_reference_is_resolved_by_writing_in_place)
{
	CLEANUP_BUF struct buf b = {0};
	CLEANUP(args_fini) struct args a = {0};
	struct args *sample = sample_args();
	args_encode(&b, sample);
	struct content found = {.type = CONTENT_LIST};
	sample_digest(found.digest, 0xc0);
	memcpy(b.data + sample->inputs[1].offset, &found, CONTENT_SIZE);
	cr_assert_eq(args_decode(b.data, b.size, &a), 0);
	cr_assert_arr_eq(&a.inputs[1].content, &found, CONTENT_SIZE);
}

static int recode_args(char *name, uint8_t type)
{
	CLEANUP_BUF struct buf b = {0};
	CLEANUP(args_fini) struct args back = {0};
	struct args_input input = {
		.names = &name, .name_count = 1, .content = {.type = type}};
	struct args a = {.inputs = &input, .input_count = 1};
	args_encode(&b, &a);
	return args_decode(b.data, b.size, &back);
}

/* Digests that end like an empty array, numbers that look like one: whoever passes over arguments without
 * inputs must not pass over these. */
Test(args, are_passed_over_only_if_there_are_no_inputs)
{
	char *names[] = {(char *)"f"};
	struct args_input input = {
		.names = names, .name_count = 1, .content.type = CONTENT_FILE};
	memset(input.content.digest, 0x80, DIGEST_SIZE);
	struct value v = {.type = VALUE_INT, .i = 0x80};
	struct args with = {.inputs = &input, .input_count = 1},
		    without = {.values = &v, .value_count = 1};
	struct arg ref = {.type = ARG_REF, .content = input.content},
		   number = {.type = ARG_INT,
			     .name = (char *)"n",
			     .name_size = 1,
			     .i = 128};
	struct call_args call = {.keywords = &number,
				 .keyword_count = 1,
				 .positional = &ref,
				 .positional_count = 1};
	struct args call_with = {.call = &call};
	CLEANUP_BUF struct buf b = {0};
	args_encode(&b, &with);
	cr_assert(args_may_have_inputs(b.data, b.size));
	buf_reset(&b);
	args_encode(&b, &without);
	cr_assert(!args_may_have_inputs(b.data, b.size));
	buf_reset(&b);
	args_encode(&b, &call_with);
	cr_assert_eq(b.data[b.size - 1], 0x80);
	cr_assert(args_may_have_inputs(b.data, b.size));
	call.positional_count = 0;
	buf_reset(&b);
	args_encode(&b, &call_with);
	cr_assert(!args_may_have_inputs(b.data, b.size));
	cr_assert(!args_may_have_inputs(NULL, 0));
}

Test(args, refuse_file_names_that_lead_elsewhere)
{
	cr_assert_eq(recode_args("data.npz", CONTENT_FILE), 0);
	cr_assert_eq(recode_args("..", CONTENT_FILE), 1);
	cr_assert_eq(recode_args(".", CONTENT_FILE), 1);
	cr_assert_eq(recode_args("", CONTENT_FILE), 1);
	cr_assert_eq(recode_args("a/b", CONTENT_FILE), 1);
	cr_assert_eq(recode_args("/a", CONTENT_FILE), 1);
}

Test(args, refuse_contents_that_are_none)
{
	cr_assert_eq(recode_args("a", CONTENT_NONE), 0, "not resolved yet");
	cr_assert_eq(recode_args("a", CONTENT_EXTERN), 0);
	cr_assert_eq(recode_args("a", CONTENT_DIR), 1);
	cr_assert_eq(recode_args("a", 255), 1);
}

static void expect_same_commit(const struct commit *a, const struct commit *b)
{
	CLEANUP_BUF struct buf x = {0};
	CLEANUP_BUF struct buf y = {0};
	commit_encode(&x, a);
	commit_encode(&y, b);
	cr_assert_eq(x.size, y.size);
	cr_assert_arr_eq(x.data, y.data, x.size);
}

Test(commit, reads_back)
{
	CLEANUP_BUF struct buf b = {0};
	CLEANUP_BUF struct buf arena = {0};
	struct commit c, *sample = sample_commit();
	commit_encode(&b, sample);
	cr_assert_eq(commit_decode(b.data, b.size, &c, &arena), 0);
	cr_assert_str_eq(c.name, "train");
	cr_assert_eq(c.args_size, 4);
	cr_assert(c.args > b.data && c.args < b.data + b.size, "borrowed");
	cr_assert(c.has_nonce && c.has_parent && c.has_stdout && !c.has_stderr);
	cr_assert_eq(c.result.type, CONTENT_RESULT);
	cr_assert_eq(c.output_count, 2);
	cr_assert_str_eq(c.outputs[1].path, "out");
	cr_assert_eq(c.outputs[1].size, 3456);
	cr_assert_eq(c.metric_count, 2);
	cr_assert_str_eq(c.metrics[0].text, "adam");
	cr_assert_eq(c.metrics[1].number, 0.2141);
	cr_assert_eq(c.exit_code, -1);
	cr_assert_eq(c.term_signal, 9);
	cr_assert_eq(c.epoch, 3ull << 32 | 17);
	cr_assert_str_eq(c.worker_name, "node-2");
	expect_same_commit(&c, sample);
}

Test(commit, a_failure_has_no_result)
{
	CLEANUP_BUF struct buf b = {0};
	CLEANUP_BUF struct buf arena = {0};
	struct commit c, failed = {
				 .status = COMMIT_FAILED,
				 .name = "train",
				 .error = "exit 1",
				 .worker_name = "w",
			 };
	commit_encode(&b, &failed);
	cr_assert_eq(commit_decode(b.data, b.size, &c, &arena), 0);
	cr_assert_eq(c.result.type, CONTENT_NONE);
	cr_assert_eq(c.status, COMMIT_FAILED);
	cr_assert_str_eq(c.error, "exit 1");
	expect_same_commit(&c, &failed);
}

static int recode_commit(const struct commit *c)
{
	CLEANUP_BUF struct buf b = {0};
	CLEANUP_BUF struct buf arena = {0};
	struct commit back;
	commit_encode(&b, c);
	return commit_decode(b.data, b.size, &back, &arena);
}

Test(commit, refuses_what_cannot_be)
{
	struct commit c = *sample_commit();
	c.status = 2;
	cr_assert_eq(recode_commit(&c), 1);
	c = *sample_commit();
	c.result.type = CONTENT_DIR;
	cr_assert_eq(recode_commit(&c), 1);
	struct commit_output outputs[] = {sample_commit()->outputs[1],
					  sample_commit()->outputs[0]};
	c = *sample_commit();
	c.outputs = outputs;
	cr_assert_eq(recode_commit(&c), 1, "not sorted");
	outputs[0].name = "a";
	cr_assert_eq(recode_commit(&c), 0);
	outputs[1].path = "../x";
	cr_assert_eq(recode_commit(&c), 1);
	struct commit_metric metrics[] = {{.name = "a"}, {.name = "a"}};
	c = *sample_commit();
	c.metrics = metrics;
	cr_assert_eq(recode_commit(&c), 1, "twice");
	metrics[1].name = "b";
	cr_assert_eq(recode_commit(&c), 0);
}

/* Whatever is accepted after damage must be what it encodes to: there is one form. */
Test(formats, every_prefix_is_refused_and_every_flipped_bit_is_refused_or_canonical)
{
	CLEANUP_BUF struct buf f = {0};
	CLEANUP_BUF struct buf a = {0};
	CLEANUP_BUF struct buf c = {0};
	function_encode(&f, sample_function());
	args_encode(&a, sample_args());
	commit_encode(&c, sample_commit());
	struct buf *all[] = {&f, &a, &c};
	for (size_t which = 0; which < ARRAY_LEN(all); which++) {
		struct buf *b = all[which];
		for (size_t step = 0; step < 9 * b->size; step++) {
			CLEANUP_BUF struct buf again = {0};
			CLEANUP_BUF struct buf arena = {0};
			CLEANUP(function_fini) struct function function = {0};
			CLEANUP(args_fini) struct args args = {0};
			struct commit commit;
			bool cut = step >= 8 * b->size;
			size_t size = cut ? step - 8 * b->size : b->size;
			if (!cut)
				b->data[step / 8] ^= (uint8_t)(1 << step % 8);
			bool taken = false;
			if (which == 0 &&
			    (taken = !function_decode(b->data, size, &function)))
				function_encode(&again, &function);
			if (which == 1 && (taken = !args_decode(b->data, size, &args)))
				args_encode(&again, &args);
			if (which == 2 &&
			    (taken = !commit_decode(b->data, size, &commit, &arena)))
				commit_encode(&again, &commit);
			cr_assert(!(taken && cut), "%zu cut to %zu", which, size);
			if (taken) {
				cr_assert_eq(again.size, b->size);
				cr_assert_arr_eq(again.data, b->data, b->size);
			}
			if (!cut)
				b->data[step / 8] ^= (uint8_t)(1 << step % 8);
		}
	}
}

/* lines.c - JSONL: a task on each line, streamed. */
#include "sample.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SAMPLE .init = sample_begin, .fini = sample_end

Test(batch_lines, each_line_is_a_task_and_references_point_backwards, SAMPLE)
{
	const char *dump = sample_text(
		"l.jsonl", "{\"run\": [\"split\", \"1\"], \"name\": \"part\"}\n"
			   "{\"run\": [\"split\", \"2\"], \"name\": \"part\"}\r\n"
			   "\n"
			   "{\"run\": [\"other\"], \"outputs\": {\"o\": \"d/o.txt\"}, "
			   "\"name\": \"other\"}\n"
			   "{\"run\": [\"split\", \"3\"], \"name\": \"part\", "
			   "\"params\": {\"p\": 1.5}}\n"
			   "{\"run\": [\"join\"], \"inputs\": {\"all\": {\"ref\": "
			   "\"part.*\"}, \"one\": {\"ref\": 1}, "
			   "\"o\": {\"ref\": \"other.o\"}, \"two\": {\"ref\": \"2.o\"}}, "
			   "\"needs\": [0, \"other\"]}");
	cr_expect_str_eq(
		dump,
		"batch  l.jsonl failures=0 parallel=0\n"
		"options cpus=1000 retries=0 timeout=0ms grace=5000ms priority=0 cache=0 "
		"ttl=0 stdout\n"
		"options cpus=1000 retries=0 timeout=0ms grace=5000ms priority=0 cache=0 "
		"ttl=0\n"
		"function part options=0 split 1\n"
		"function part options=0 split 2\n"
		"function other options=1 other out:o=d/o.txt\n"
		"function part options=0 split 3 p:p\n"
		"function join options=0 join in:all in:o in:one in:two\n"
		"group 0+2.0 3+1.0\n"
		"task f=0\n"
		"task f=1\n"
		"task f=2\n"
		"task f=3 (1.5)\n"
		"task f=4 stdout=group0 o.txt=2.2 stdout=1.0 o.txt=2.2 needs 0,2\n",
		"%s", dump);
}

Test(batch_lines, equal_functions_and_options_are_given_once, SAMPLE)
{
	CLEANUP_BUF struct buf text = {0};
	for (int i = 0; i < 50; i++)
		buf_printf(&text,
			   "{\"run\": [\"x\", \"${p.i}\"], \"params\": {\"i\": %d}}\n",
			   i);
	const char *dump = sample_text("e.jsonl", buf_cstr(&text));
	const char *function = strstr(dump, "\nfunction "),
		   *options = strstr(dump, "\noptions ");
	cr_assert(function && options);
	cr_expect(!strstr(function + 1, "\nfunction ") &&
		  !strstr(options + 1, "\noptions "));
	cr_expect(strstr(dump, "task f=0 (49)\n"));
}

Test(batch_lines, the_format_is_known_by_content, SAMPLE)
{
	const char *dump = sample_text("data", "{\"run\": \"a\"}\n{\"run\": \"b\"}\n");
	cr_expect(strstr(dump, "task f=1\n"), "%s", dump);
	dump = sample_text("data",
			   "{\"version\": 1, \"tasks\": {\"a\": {\"run\": \"x\"}}}\n");
	cr_expect(strstr(dump, "function a "), "%s", dump);
	dump = sample_text("data",
			   "{\n\"version\": 1, \"tasks\": {\"a\": {\"run\": \"x\"}}}\n");
	cr_expect(strstr(dump, "function a "), "%s", dump);
	dump = sample_text("data", "{version: 1, tasks: {a: {run: x}}}\n");
	cr_expect(strstr(dump, "function a "), "%s", dump);
	dump = sample_text("data", "\xef\xbb\xbfversion: 1\ntasks: {a: {run: x}}\n");
	cr_expect(strstr(dump, "function a "), "%s", dump);
	dump = sample_text(
		"data", "\n\n{\"version\": 1, \"tasks\": {\"a\": {\"run\": \"x\"}}}\n");
	cr_expect(strstr(dump, "function a "), "%s", dump);
	cr_expect_str_eq(sample_error("data", "\n\nversion: 3\n"),
			 "data:3:10: unknown version 3: this cashet reads version 1\n"
			 "  version: 3\n"
			 "           ^\n"
			 "> a newer cashet may read it");
	cr_expect_str_eq(sample_error("data", " \n"), "data: the file has no content");
	dump = sample_text("data.jsonl", "\xef\xbb\xbf{\"run\": \"x\"}");
	cr_expect(strstr(dump, "function x "), "%s", dump);
}

Test(batch_lines, standard_input_is_read_as_it_comes, SAMPLE)
{
	const char *dump;
	sample_write("in", "{\"run\": \"a\"}\n{\"run\": \"b\", \"oops\": 1}\n");
	cr_assert(freopen("in", "r", stdin));
	const char *problem = sample_run(&(struct batch_options){.path = "-"}, &dump);
	cr_expect_str_eq(problem,
			 "<stdin>:2:14: unknown key \"oops\" in a task; it may have: "
			 "resources, retries, "
			 "timeout, grace, priority, cache, metrics, code, inputs, "
			 "outputs, env, tags, secrets, "
			 "python, isolation, cflags, run, params, sweep, needs, call, "
			 "args, kwargs, name\n"
			 "  {\"run\": \"b\", \"oops\": 1}\n"
			 "               ^");
}

Test(batch_lines, a_line_is_bounded, SAMPLE)
{
	size_t size = 5u << 20;
	char *text = malloc(size + 1);
	memset(text, 'x', size);
	memcpy(text, "{\"run\": \"", 9);
	text[size] = '\0';
	cr_expect_str_eq(
		sample_error("long.jsonl", text),
		"long.jsonl: line 1 is longer than 4 MiB\n"
		"> JSONL has one task on each line; pass large data as an input file");
	free(text);
}

Test(batch_lines, json_in_one_long_line_is_known_by_its_beginning, SAMPLE)
{
	CLEANUP_BUF struct buf text = {0};
	buf_add_str(&text,
		    "{\"version\": 1, \"tasks\": {\"a\": {\"run\": [\"\\ud83d\\ude00\"");
	buf_add_str(&text, "], \"needs\": [");
	for (int i = 0; i < 500000; i++)
		buf_add_str(&text, i ? ", \"b\"" : "\"b\"");
	buf_add_str(&text, "]}, \"b\": {\"run\": \"b\"}}}");
	const char *dump = sample_text("data", buf_cstr(&text));
	cr_expect(strstr(dump, "function a "));
}

Test(batch_lines, a_file_is_bounded, SAMPLE)
{
	sample_write("large.yaml", "#");
	cr_assert_eq(truncate("large.yaml", (64l << 20) + 1), 0);
	cr_expect_str_eq(sample_error("large.yaml", NULL),
			 "large.yaml: the file is larger than 64 MiB\n"
			 "> write generated sets as JSONL, which is not bounded");
}

/* calls.c - functions by source in batch files: arguments, references, sweeps, what is shown and
 * what is shipped. The describer is a fake: fake_describer.h. */
#include "client/batch/shipped.h"
#include "common/format/function.h"
#include "fake_describer.h"
#include "sample.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char source[] = "prep: n=10 seed=0\n"
			     "train: data lr=0.1 .epochs=3 .opts=null .name=x\n"
			     "any: *xs **more\n"
			     "only: /a /b=2 c=3\n"
			     "late: x=? y=1\n"
			     "odd~ x\n"
			     "warns: x # a name that is computed\n";

static void begin(void)
{
	sample_begin();
	sample_write("f.py", source);
	fake_runs = 0;
}

TestSuite(batch_calls, .init = begin, .fini = sample_end);

/* The lines of a dump that begin with @what. */
static const char *lines_of(const char *dump, const char *what)
{
	static char out[8192];
	size_t size = 0;
	out[0] = '\0';
	for (const char *line = dump; *line;) {
		size_t length = strcspn(line, "\n") + 1;
		if (!strncmp(line, what, strlen(what)) && size + length < sizeof out) {
			memcpy(out + size, line, length);
			size += length;
			out[size] = '\0';
		}
		line += length;
	}
	return out;
}

static const char *task_of(const char *entry)
{
	char text[2048];
	snprintf(text, sizeof text, "version: 1\ntasks:\n  t: %s\n", entry);
	return lines_of(sample_text("b.yaml", text), "task");
}

Test(batch_calls, every_kind_of_value_arrives_as_what_it_is)
{
	cr_expect_str_eq(
		task_of("{call: f.py:any, args: [null, ~, true, 1, -2, 0x10, 1.0, 1e3, "
			"-0.0, x, "
			"\"1\", \"null\", [], {}, [1, [2]], {b: 1, a: {c: null}}]}"),
		"task f=0 null null true 1 -2 16 1.0 1000.0 -0.0 \"x\" \"1\" \"null\" [] "
		"{} "
		"[1, [2]] {\"a\": {\"c\": null}, \"b\": 1}\n");
	cr_expect_str_eq(task_of("{call: f.py:any, args: [{bytes: AAEC}, {bytes: \"\"}, "
				 "{float: nan}, "
				 "{float: -inf}, {float: \"0x1.8p3\"}, {float: 3}, "
				 "{value: {ref: 1, "
				 "x: \"${p.y}\"}}, {value: 5}, \"a $${b} $c\"]}"),
			 "task f=0 <000102> <> nan -inf 12.0 3.0 {\"x\": \"${p.y}\", "
			 "\"ref\": 1} 5 "
			 "\"a ${b} $c\"\n");
	cr_expect_str_eq(task_of("{call: f.py:any, kwargs: {a: 9223372036854775807, b: "
				 "-9223372036854775808, path: {path: /x, mode: r}}}"),
			 "task f=0 a=9223372036854775807 b=-9223372036854775808 "
			 "path={\"mode\": \"r\", \"path\": \"/x\"}\n");
}

Test(batch_calls, all_spellings_of_a_call_are_one)
{
	static const char *const same[] = {
		"{call: f.py:prep}",
		"{call: f.py:prep, args: [10]}",
		"{call: f.py:prep, args: [10, 0]}",
		"{call: f.py:prep, args: [10], kwargs: {seed: 0}}",
		"{call: f.py:prep, kwargs: {seed: 0}}",
		"{call: f.py:prep, kwargs: {n: 10, seed: 0}}",
		"{call: f.py:prep, kwargs: {seed: 0, n: 10}}",
	};
	for (size_t i = 0; i < ARRAY_LEN(same); i++)
		cr_expect_str_eq(task_of(same[i]), "task f=0 n=10 seed=0\n", "%s",
				 same[i]);
	cr_expect_str_eq(task_of("{call: f.py:prep, args: [10.0]}"),
			 "task f=0 n=10.0 seed=0\n");
	cr_expect_str_eq(task_of("{call: f.py:odd, args: [10]}"), "task f=0 10\n");
	cr_expect_str_eq(task_of("{call: f.py:odd, kwargs: {x: 10}}"), "task f=0 x=10\n");
	cr_expect_str_eq(task_of("{call: f.py:only, args: [1]}"), "task f=0 1 2 c=3\n");
	cr_expect_str_eq(task_of("{call: f.py:only, args: [1, 2, 3]}"),
			 "task f=0 1 2 c=3\n");
	cr_expect_str_eq(task_of("{call: f.py:late}"), "task f=0 y=1\n");
}

Test(batch_calls, references_and_files_stand_anywhere)
{
	sample_write("data/a.csv", "1");
	const char *dump = sample_text(
		"b.yaml",
		"version: 1\n"
		"tasks:\n"
		"  cmd: {run: x, outputs: {o: out.bin}}\n"
		"  prep: {call: f.py:prep}\n"
		"  s: {call: f.py:prep, sweep: {params: {n: [1, 2]}}}\n"
		"  t:\n"
		"    call: f.py:any\n"
		"    args: [{ref: prep}, [{ref: \"s.*\"}, {ref: prep.stdout}]]\n"
		"    kwargs:\n"
		"      z: {deep: [{ref: cmd.o}]}\n"
		"      skip: {ref: \"s.*\", failed: skip}\n"
		"      file: {file: data/a.csv}\n"
		"      tree: {file: data}\n"
		"      big: {path: /big, as: v1}\n"
		"  after: {run: [x, \"${inputs.i}\"], inputs: {i: {ref: t}}}\n");
	cr_expect_str_eq(
		lines_of(dump, "task"),
		"task f=0\n"
		"task f=1 n=10 seed=0\n"
		"task f=2 n=1 seed=0\n"
		"task f=2 n=2 seed=0\n"
		"task f=3 (result of a task) [(result of a task), (result of a task)] "
		"z={\"deep\": "
		"[(result of a task)]} big=(3bfc269594ef) file=a.csv (6b86b273ff34) "
		"skip=(result of a task) tree=data (f87e4c4b9954) ; 0:value=1.0 "
		"1[0]:value=group0 "
		"1[1]:value=1.1 z.deep[0]:value=0.2 big:value=type6:3bfc "
		"file:a.csv=type1:6b86 "
		"skip:value=group1 tree:data=type3:f87e\n"
		"task f=4 result=4.0\n");
	cr_expect_str_eq(lines_of(dump, "group"), "group 2+2.0\ngroup 2+2.0 skip\n");
	cr_expect(strstr(dump, "extern=4.0:/big\n"), "%s", dump);
	cr_expect(strstr(dump, "upload a.csv 1 6b86"), "%s", dump);
	/* Standard output is kept of what somebody reads it from, and is no call's result. */
	cr_expect_str_eq(
		lines_of(dump, "options cpus=1000 retries=0 timeout=0ms grace=5000ms "
			       "priority=0 cache=0 ttl=0 stdout"),
		"options cpus=1000 retries=0 timeout=0ms grace=5000ms priority=0 "
		"cache=0 ttl=0 stdout\n");
}

Test(batch_calls, a_sweep_is_over_any_argument)
{
	const char *dump =
		sample_text("b.yaml", "version: 1\n"
				      "tasks:\n"
				      "  p: {call: f.py:prep}\n"
				      "  t:\n"
				      "    call: f.py:train\n"
				      "    args: [{ref: p}]\n"
				      "    kwargs: {opts: {d: [\"${p.depth}\"]}, name: "
				      "\"d$${${p.depth}-${p.lr}\"}\n"
				      "    sweep: {params: {epochs: [1, null, [1, {ref: "
				      "p}], {a: x}], lr: [0.5], "
				      "depth: [2]}}\n");
	cr_expect_str_eq(lines_of(dump, "task f=1"),
			 "task f=1 lr=0.1 data=(result of a task) name=\"d${2-0.5\" "
			 "opts={\"d\": [2]} "
			 "epochs=1 ; "
			 "data:value=0.0\n"
			 "task f=1 lr=0.1 data=(result of a task) name=\"d${2-0.5\" "
			 "opts={\"d\": [2]} "
			 "epochs=null "
			 "; data:value=0.0\n"
			 "task f=1 lr=0.1 data=(result of a task) name=\"d${2-0.5\" "
			 "opts={\"d\": [2]} "
			 "epochs=[1, "
			 "(result of a task)] ; data:value=0.0 epochs[1]:value=0.0\n"
			 "task f=1 lr=0.1 data=(result of a task) name=\"d${2-0.5\" "
			 "opts={\"d\": [2]} "
			 "epochs={\"a\": \"x\"} ; data:value=0.0\n");
	cr_expect(strstr(dump, "shows:epochs,name,opts.d[0]\n"), "%s", dump);
	cr_expect_str_eq(
		task_of("{call: f.py:prep, sweep: {params: {n: {range: [0, 2]}, seed: "
			"[[1], null]}, exclude: [{n: 1, seed: {in: [[1]]}}], include: "
			"[{n: 7, seed: {x: 1}}]}}"),
		"task f=0 n=0 seed=[1]\n"
		"task f=0 n=0 seed=null\n"
		"task f=0 n=1 seed=null\n"
		"task f=0 n=7 seed={\"x\": 1}\n");
	cr_expect_str_eq(
		task_of("{call: f.py:any, args: [\"${p.a}\", \"${p.a}\"], sweep: "
			"{method: list, params: [{a: 1}, {a: [x]}]}}"),
		"task f=0 1 1\ntask f=0 [\"x\"] [\"x\"]\n");
}

Test(batch_calls, a_function_is_known_by_its_file_and_name)
{
	const char *dump = sample_text(
		"b.yaml",
		"version: 1\n"
		"defaults: {python: venv/bin/python, isolation: fork, env: {A: b}}\n"
		"tasks:\n"
		"  t: {call: f.py:prep, cache: {salt: s}, metrics: {best: {loss: min}}}\n"
		"  u: {call: f.py:prep, isolation: shared, python: python3.11}\n"
		"  c: {run: x}\n");
	cr_expect(strstr(dump, "function f.py:prep options=0 python 3.11 "), "%s", dump);
	cr_expect(strstr(dump, " env:A=b salt:s\n"), "%s", dump);
	cr_expect(strstr(dump, "best=loss:min fork python:/tmp/cashet-batch-"), "%s",
		  dump);
	cr_expect(strstr(dump, "/venv/bin/python\n"), "%s", dump);
	cr_expect(strstr(dump, "ttl=0 python:python3.11\n"), "%s", dump);
	cr_expect(strstr(dump, "upload f.py "), "%s", dump);
	cr_expect(strstr(dump, "upload (made) "), "%s", dump);
	cr_expect_eq(fake_runs, 1u);
}

Test(batch_calls, lines_are_calls_too_and_one_function_is_described_once)
{
	const char *dump = sample_text(
		"l.jsonl",
		"{\"call\": \"f.py:prep\", \"name\": \"p\", \"args\": [1]}\n"
		"{\"call\": \"f.py:prep\", \"args\": [2], \"kwargs\": {\"seed\": 4}}\n"
		"{\"call\": \"f.py:any\", \"args\": [{\"ref\": 0}, 5], \"kwargs\": "
		"{\"k\": "
		"{\"ref\": \"p\"}, \"s\": \"x\"}}\n");
	cr_expect_str_eq(lines_of(dump, "task"),
			 "task f=0 n=1 seed=0\n"
			 "task f=1 n=2 seed=4\n"
			 "task f=2 (result of a task) 5 k=(result of a task) s=\"x\" ; "
			 "0:value=0.0 "
			 "k:value=0.0\n");
	cr_expect(strstr(dump, " shows:n\n"), "%s", dump);
	cr_expect(strstr(dump, " shows:n,seed\n"), "%s", dump);
	cr_expect(strstr(dump, " shows:1,s\n"), "%s", dump);
	cr_expect_eq(fake_runs, 2u);
}

static char warned[4096];

/* The folder's name is new in every run. */
static void note_warning(void *arg, const char *text)
{
	const char *at = strstr(text, "/tmp/");
	if (at)
		strncat(warned, text, (size_t)(at - text));
	strcat(strcat(warned, at ? strchr(at + 5, '/') + 1 : text), "\n");
}

Test(batch_calls, code_is_hashed_by_what_it_means)
{
	const char *dump;
	sample_write("tools/run.py", "import helper.py\nmain: x\n");
	sample_write("tools/helper.py", "y: a\n");
	sample_write("tools/old.py", "print 'x' !\n");
	sample_write("k.c", "int  x; /* a */\n");
	sample_write("k2.c", "int x;\n");
	sample_write("bad.c", "/* no end\n");
	sample_write("b.yaml",
		     "version: 1\n"
		     "tasks:\n"
		     "  t: {run: x, code: [tools/run.py, k.c, bad.c]}\n"
		     "  u: {run: x, code: [tools/run.py, {path: k2.c, as: k.c}, bad.c]}\n"
		     "  f: {run: x, code: [tools]}\n"
		     "  b: {run: x, code: [{path: tools, identity: bytes}]}\n"
		     "  c: {call: f.py:prep, code: [tools/helper.py]}\n"
		     "  w: {call: f.py:warns, args: [1]}\n");
	warned[0] = '\0';
	struct batch_options options = {.path = "b.yaml", .warn = note_warning};
	cr_assert_str_empty(sample_run(&options, &dump));
	const char *functions = lines_of(dump, "function");
	char first[200], second[200];
	cr_assert_eq(sscanf(functions, "%199[^\n]\n%199[^\n]", first, second), 2);
	cr_expect_str_eq(strstr(first, " options"), strstr(second, " options"),
			 "layout of C does not count: %s %s", first, second);
	cr_expect(strstr(first, "scheme:k.c=3 scheme:tools/run.py=2"), "%s", first);
	cr_expect(!strstr(first, "scheme:bad.c"), "%s", first);
	cr_expect(strstr(functions, "scheme:tools/helper.py=2 scheme:tools/run.py=2\n"),
		  "%s", functions);
	cr_expect(strstr(dump, "upload helper.py 5 "), "%s", dump);
	cr_expect_eq(fake_runs, 1u);
	cr_expect_str_eq(
		warned, "bad.c is hashed by its bytes, comments too: line 1, column 1: a "
			"comment has no end\n"
			"tools/old.py is hashed by its bytes, comments too: tools/old.py:"
			"12:7: invalid syntax\n"
			"f.py:3:5: a name that is computed\n");
}

Test(batch_calls, a_warning_is_said_once_and_twenty_are_enough)
{
	CLEANUP_BUF struct buf text = {0}, file = {0};
	buf_add_str(&text, "version: 1\ntasks:\n");
	for (int i = 0; i < 30; i++) {
		buf_printf(&text, "  a%d: {call: w.py:f%d}\n  b%d: {call: w.py:same}\n",
			   i, i, i);
		buf_printf(&file, "f%d: # of %d\n", i, i);
	}
	buf_add_str(&file, "same: # of all\n");
	sample_write("w.py", buf_cstr(&file));
	sample_write("b.yaml", buf_cstr(&text));
	warned[0] = '\0';
	struct batch_options options = {.path = "b.yaml", .warn = note_warning};
	cr_assert_str_empty(sample_run(&options, NULL));
	size_t lines = 0;
	for (const char *at = warned; *at; at++)
		lines += *at == '\n';
	cr_expect_eq(lines, 21u, "%s", warned);
	cr_expect(strstr(warned, "w.py:3:5: of all\n"), "%s", warned);
	cr_expect(strstr(warned, "there are more warnings"), "%s", warned);
}

Test(batch_calls, scripts_of_a_large_folder_are_hashed_by_their_bytes)
{
	const char *dump;
	char path[32];
	for (int i = 0; i < SHIPPED_SCRIPTS_MAX; i++) {
		snprintf(path, sizeof path, "src/m%d.py", i);
		sample_write(path, "x: a\n");
	}
	sample_write("src/k.c", "int x;\n");
	sample_write("b.yaml", "version: 1\ntasks: {t: {run: x, code: [src]}}\n");
	warned[0] = '\0';
	struct batch_options options = {.path = "b.yaml", .warn = note_warning};
	cr_assert_str_empty(sample_run(&options, &dump));
	cr_expect(strstr(dump, "scheme:src/m99.py=2"), "%s", dump);
	cr_expect_str_empty(warned);
	sample_write("src/one_more.py", "x: a\n");
	cr_assert_str_empty(sample_run(&options, &dump));
	cr_expect(!strstr(dump, ".py=2"), "%s", dump);
	cr_expect(strstr(dump, "scheme:src/k.c=3"), "%s", dump);
	cr_expect_str_eq(warned,
			 "\"src\" has 101 scripts, more than 100: they are hashed by "
			 "their bytes, comments too\n");
}

/* everything() - a call with all that its description may have, and a salt of @size bytes. */
static const char *everything(struct buf *text, size_t size)
{
	buf_reset(text);
	buf_add_str(
		text,
		"version: 1\ntasks:\n  a:\n    call: f.py:prep\n    python: /bin/py\n"
		"    env: {A: b, LONG: \"0123456789012345678901234567890123456789\"}\n"
		"    code: [data/x.txt, k.c, f.py]\n    cache: {salt: \"");
	for (size_t i = 0; i < size; i++)
		buf_add_byte(text, 's');
	buf_add_str(text, "\"}\n");
	return buf_cstr(text);
}

Test(batch_calls, a_description_is_bounded_to_the_byte)
{
	CLEANUP_BUF struct buf text = {0};
	sample_write("data/x.txt", "1");
	sample_write("k.c", "2");
	sample_text("b.yaml", everything(&text, 100000));
	size_t salt = FUNCTION_SIZE_MAX - sample_description_size() + 100000;
	sample_text("b.yaml", everything(&text, salt));
	cr_expect_eq(sample_description_size(), FUNCTION_SIZE_MAX);
	const char *error = sample_error("b.yaml", everything(&text, salt + 1));
	cr_expect(strstr(error, "the description of task \"a\" has 1048577 bytes"), "%s",
		  error);
}

Test(batch_calls, arguments_are_bounded)
{
	CLEANUP_BUF struct buf text = {0};
	buf_add_str(&text, "{\"call\": \"f.py:any\", \"args\": [[");
	for (uint32_t i = 0; i < ARG_COUNT_MAX - 1; i++)
		buf_add_str(&text, i ? ",1" : "1");
	size_t size = text.size;
	buf_add_str(&text, "]]}\n");
	sample_text("l.jsonl", buf_cstr(&text));
	text.size = size;
	buf_add_str(&text, ",1]]}\n");
	const char *error = sample_error("l.jsonl", buf_cstr(&text));
	cr_expect(strstr(error, "argument 0: a call has 262144 values at most"), "%s",
		  error);

	buf_reset(&text);
	buf_add_str(&text, "{\"call\": \"f.py:any\", \"args\": [");
	for (uint32_t i = 0; i < ARG_DEPTH_MAX + 1; i++)
		buf_add_str(&text, "[");
	for (uint32_t i = 0; i < ARG_DEPTH_MAX + 1; i++)
		buf_add_str(&text, "]");
	buf_add_str(&text, "]}\n");
	error = sample_error("l.jsonl", buf_cstr(&text));
	cr_expect(strstr(error, "lists and maps inside each other, 30 of them at most"),
		  "%s", error);
	/* What a sweep puts in counts with what is around it. */
	buf_reset(&text);
	buf_add_str(&text, "version: 1\ntasks:\n  t:\n    call: f.py:any\n    args: [");
	for (uint32_t i = 0; i < ARG_DEPTH_MAX; i++)
		buf_add_str(&text, "[");
	buf_add_str(&text, "\"${p.x}\"");
	for (uint32_t i = 0; i < ARG_DEPTH_MAX; i++)
		buf_add_str(&text, "]");
	buf_add_str(&text, "]\n    sweep: {params: {x: [1, [2]]}}\n");
	error = sample_error("b.yaml", buf_cstr(&text));
	cr_expect(strstr(error, "nested more than 30 deep"), "%s", error);
}

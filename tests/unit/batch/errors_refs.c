/* errors_refs.c - references, cycles, inputs, code and outputs: the exact words, the
 * place, the line, the caret. */
#include "sample.h"

#include <criterion/criterion.h>

static const struct sample_row rows[] = {
	{"unknown ref", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  prep: {run: x}\n"
	 "  a: {run: x, inputs: {d: {ref: perp}}}\n",
	 0,
	 "b.yaml:4:33: unknown task \"perp\"; did you mean \"prep\"?\n"
	 "    a: {run: x, inputs: {d: {ref: perp}}}\n"
	 "                                  ^"},
	{"unknown ref far", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    inputs: {d: {ref: qqqqqq}}\n",
	 0,
	 "b.yaml:5:23: unknown task \"qqqqqq\"\n"
	 "      inputs: {d: {ref: qqqqqq}}\n"
	 "                        ^"},
	{"unknown output", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  prep: {run: x, outputs: {data: d}}\n"
	 "  a: {run: x, inputs: {d: {ref: prep.dta}}}\n",
	 0,
	 "b.yaml:4:33: task \"prep\" has no output \"dta\"; did you mean \"data\"?\n"
	 "    a: {run: x, inputs: {d: {ref: prep.dta}}}\n"
	 "                                  ^"},
	{"no outputs", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  prep: {run: x}\n"
	 "  a: {run: x, inputs: {d: {ref: prep.model}}}\n",
	 0,
	 "b.yaml:4:33: task \"prep\" has no output \"model\": it declares none, and its "
	 "result is its standard output\n"
	 "    a: {run: x, inputs: {d: {ref: prep.model}}}\n"
	 "                                  ^"},
	{"self", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    inputs: {d: {ref: a}}\n",
	 0,
	 "b.yaml:5:23: task \"a\" refers to itself\n"
	 "      inputs: {d: {ref: a}}\n"
	 "                        ^"},
	{"self need", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    needs: [a]\n",
	 0,
	 "b.yaml:5:13: task \"a\" refers to itself\n"
	 "      needs: [a]\n"
	 "              ^"},
	{"sweep without star", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  s: {run: \"${p.x}\", sweep: {params: {x: [1, 2]}}, outputs: {w: w}}\n"
	 "  a: {run: x, inputs: {d: {ref: s.w}}}\n",
	 0,
	 "b.yaml:4:33: \"s\" is a sweep of 2 tasks: write \"s.*.w\" for all of them\n"
	 "    a: {run: x, inputs: {d: {ref: s.w}}}\n"
	 "                                  ^"},
	{"sweep without star2", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  s: {run: \"${p.x}\", sweep: {params: {x: [1, 2]}}}\n"
	 "  a: {run: x, inputs: {d: {ref: s}}}\n",
	 0,
	 "b.yaml:4:33: \"s\" is a sweep of 2 tasks: write \"s.*\" for all of them\n"
	 "    a: {run: x, inputs: {d: {ref: s}}}\n"
	 "                                  ^"},
	{"bad ref", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    inputs: {d: {ref: \"b..c\"}}\n",
	 0,
	 "b.yaml:5:23: \"b..c\" is not a reference: there are T, T.OUTPUT, T.stdout, T.* "
	 "and T.*.OUTPUT\n"
	 "      inputs: {d: {ref: \"b..c\"}}\n"
	 "                        ^"},
	{"cycle", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a: {run: x, inputs: {i: {ref: c}}}\n"
	 "  b: {run: x, needs: [a]}\n"
	 "  c: {run: x, inputs: {i: {ref: b}}}\n",
	 0,
	 "b.yaml:3:33: a cycle: a -> c -> b -> a wait for each other\n"
	 "    a: {run: x, inputs: {i: {ref: c}}}\n"
	 "                                  ^"},
	{"cycle list", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  - {run: x}\n"
	 "  - {run: [/bin/y, 1], inputs: {i: {ref: 2}}}\n"
	 "  - {run: z, needs: [1]}\n",
	 0,
	 "b.yaml:4:42: a cycle: 1 (y) -> 2 (z) -> 1 (y) wait for each other\n"
	 "    - {run: [/bin/y, 1], inputs: {i: {ref: 2}}}\n"
	 "                                           ^"},
	{"list range", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  - {run: x, needs: [4]}\n",
	 0,
	 "b.yaml:3:22: unknown task 4: the tasks of this list are 0 to 0\n"
	 "    - {run: x, needs: [4]}\n"
	 "                       ^"},
	{"needs output", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  b: {run: x}\n"
	 "  a: {run: x, needs: [b.stdout]}\n",
	 0,
	 "b.yaml:4:23: needs has tasks, not outputs: write \"b\"\n"
	 "    a: {run: x, needs: [b.stdout]}\n"
	 "                        ^"},
	{"ambiguous", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  - {name: t, run: x}\n"
	 "  - {name: t, run: y}\n"
	 "  - {run: z, inputs: {i: {ref: t}}}\n",
	 0,
	 "b.yaml:5:32: 2 tasks are named \"t\": refer to all of them by \"t.*\", or to "
	 "one by its number\n"
	 "    - {run: z, inputs: {i: {ref: t}}}\n"
	 "                                 ^"},
	{"numeric name", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  - {name: \"7\", run: x}\n",
	 0,
	 "b.yaml:3:12: a task of a list cannot be named by a number\n"
	 "    - {name: \"7\", run: x}\n"
	 "             ^"},
	{"missing input", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    inputs: {src: {file: digits.csv}}\n",
	 0,
	 "b.yaml:5:26: input \"src\": there is no file or folder \"digits.csv\"\n"
	 "      inputs: {src: {file: digits.csv}}\n"
	 "                           ^\n"
	 "> paths are relative to the batch file, in FOLDER"},
	{"missing input template", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    inputs: {src: {file: \"d-${p.x}.csv\"}}\n",
	 0,
	 "b.yaml:5:26: input \"src\": there is no file or folder \"d-${p.x}.csv\"\n"
	 "      inputs: {src: {file: \"d-${p.x}.csv\"}}\n"
	 "                           ^\n"
	 "> ${...} has no meaning here: a file is the same for every task of a sweep"},
	{"missing code", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    code: [train.py]\n",
	 0,
	 "b.yaml:5:12: code: there is no file or folder \"train.py\"\n"
	 "      code: [train.py]\n"
	 "             ^\n"
	 "> paths are relative to the batch file, in FOLDER"},
	{"code outside", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    code: [../lib/x.py]\n",
	 0,
	 "b.yaml:5:12: \"../lib/x.py\" is outside of the batch file's folder; say where "
	 "the task finds it: {path: ../lib/x.py, as: x.py}\n"
	 "      code: [../lib/x.py]\n"
	 "             ^"},
	{"code absolute", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    code: [/etc/passwd]\n",
	 0,
	 "b.yaml:5:12: \"/etc/passwd\" is outside of the batch file's folder; say where "
	 "the task finds it: {path: /etc/passwd, as: passwd}\n"
	 "      code: [/etc/passwd]\n"
	 "             ^"},
	{"code twice", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    code: [x.py, {path: x.py, as: ./x.py}]\n",
	 0,
	 "b.yaml:5:11: code has two entries for \"x.py\"\n"
	 "      code: [x.py, {path: x.py, as: ./x.py}]\n"
	 "            ^"},
	{"code inputs", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    code: [{path: x.py, as: inputs/x.py}]\n",
	 0,
	 "b.yaml:5:11: \"inputs/x.py\": inputs/ is where a task finds its inputs; lay "
	 "the code out elsewhere with {path: ..., as: ...}\n"
	 "      code: [{path: x.py, as: inputs/x.py}]\n"
	 "            ^"},
	{"input text", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    inputs: {src: x.py}\n",
	 0,
	 "b.yaml:5:19: an input must be {file: PATH}, {ref: TASK} or {path: PATH, as: "
	 "NAME}\n"
	 "      inputs: {src: x.py}\n"
	 "                    ^"},
	{"input two", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    inputs: {src: {file: x.py, ref: b}}\n",
	 0,
	 "b.yaml:5:19: an input is one of file, ref and path\n"
	 "      inputs: {src: {file: x.py, ref: b}}\n"
	 "                    ^"},
	{"input path no as", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    inputs: {src: {path: /data}}\n",
	 0,
	 "b.yaml:5:19: {path: ...} is on every worker and needs as, the name of its "
	 "content; what is beside the batch file is {file: ...}\n"
	 "      inputs: {src: {path: /data}}\n"
	 "                    ^"},
	{"input path relative", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    inputs: {src: {path: data, as: v1}}\n",
	 0,
	 "b.yaml:5:26: path is that of every worker and begins with /; what is beside "
	 "the batch file is {file: ...}\n"
	 "      inputs: {src: {path: data, as: v1}}\n"
	 "                           ^"},
	{"failed one", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  b: {run: x}\n"
	 "  a: {run: x, inputs: {i: {ref: b, failed: skip}}}\n",
	 0,
	 "b.yaml:4:44: failed: skip is for a reference to many, like \"T.*\"\n"
	 "    a: {run: x, inputs: {i: {ref: b, failed: skip}}}\n"
	 "                                             ^"},
	{"output outside", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    outputs: {o: ../up.txt}\n",
	 0,
	 "b.yaml:5:18: an output must be a path inside the task's directory, not "
	 "\"../up.txt\"\n"
	 "      outputs: {o: ../up.txt}\n"
	 "                   ^"},
	{"output absolute", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    outputs: {o: /tmp/up.txt}\n",
	 0,
	 "b.yaml:5:18: an output must be a path inside the task's directory, not "
	 "\"/tmp/up.txt\"\n"
	 "      outputs: {o: /tmp/up.txt}\n"
	 "                   ^"},
	{"output dotdot", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    outputs: {o: a/../../b}\n",
	 0,
	 "b.yaml:5:18: an output must be a path inside the task's directory, not "
	 "\"a/../../b\"\n"
	 "      outputs: {o: a/../../b}\n"
	 "                   ^"},
	{"output inputs", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    outputs: {o: inputs/x}\n",
	 0,
	 "b.yaml:5:18: \"inputs/x\": inputs/ is where a task finds its inputs, and not "
	 "its to write\n"
	 "      outputs: {o: inputs/x}\n"
	 "                   ^"},
	{"output overlap", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    outputs: {o: out, p: out/x}\n",
	 0,
	 "b.yaml:5:26: outputs \"o\" and \"p\" overlap (\"out\", \"out/x\")\n"
	 "      outputs: {o: out, p: out/x}\n"
	 "                           ^"},
	{"output code", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    code: [x.py]\n"
	 "    outputs: {o: x.py}\n",
	 0,
	 "b.yaml:6:18: \"x.py\" is also code (\"x.py\")\n"
	 "      outputs: {o: x.py}\n"
	 "                   ^"},
	{"output stdout", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    outputs: {stdout: x}\n",
	 0,
	 "b.yaml:5:15: an output cannot be named stdout: that is the standard output\n"
	 "      outputs: {stdout: x}\n"
	 "                ^"},
	{"output template", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    outputs: {o: \"w-${p.x}\"}\n",
	 0,
	 "b.yaml:5:18: ${...} has no meaning in a path: every task has a directory of "
	 "its own\n"
	 "      outputs: {o: \"w-${p.x}\"}\n"
	 "                   ^"},
	{"metrics outside", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    metrics: {from: ../m.json}\n",
	 0,
	 "b.yaml:5:21: metrics.from must be a path inside the task's directory, not "
	 "\"../m.json\"\n"
	 "      metrics: {from: ../m.json}\n"
	 "                      ^"},
	{"unknown param", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: [x, \"--lr=${p.lrr}\"]\n"
	 "    sweep: {params: {lr: [1]}}\n",
	 0,
	 "b.yaml:4:20: unknown ${p.lrr}: task \"a\" has no parameter \"lrr\"; did you "
	 "mean \"lr\"?\n"
	 "      run: [x, \"--lr=${p.lrr}\"]\n"
	 "                     ^"},
	{"unknown input", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: [x, \"${inputs.data}\"]\n",
	 0,
	 "b.yaml:4:15: unknown ${inputs.data}: task \"a\" has no input \"data\"\n"
	 "      run: [x, \"${inputs.data}\"]\n"
	 "                ^"},
	{"unknown template", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: echo ${HOME}\n",
	 0,
	 "b.yaml:4:15: unknown ${HOME}: there are ${p.NAME}, ${inputs.NAME}, "
	 "${inputs.NAME.list}, ${outputs.NAME}; a literal ${ is written $${\n"
	 "      run: echo ${HOME}\n"
	 "                ^"},
	{"unclosed template", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: [echo, \"${p.x\"]\n",
	 0,
	 "b.yaml:4:18: ${ without }; a literal ${ is written $${\n"
	 "      run: [echo, \"${p.x\"]\n"
	 "                   ^"},
	{"env template", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    env: {A: \"1-${outputs.o}\"}\n",
	 0,
	 "b.yaml:5:17: unknown ${outputs.o}: task \"a\" has no output \"o\"\n"
	 "      env: {A: \"1-${outputs.o}\"}\n"
	 "                  ^"},
	{"list of one", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: [x, \"${inputs.d.list}\"]\n"
	 "    inputs: {d: {file: x.py}}\n",
	 0,
	 "b.yaml:4:15: input \"d\" is not a list: write ${inputs.d}\n"
	 "      run: [x, \"${inputs.d.list}\"]\n"
	 "                ^"},
};

Test(batch_ref_errors, what_cannot_be_found_or_laid_out_is_refused_with_its_position,
     .init = sample_begin, .fini = sample_end)
{
	sample_write("x.py", "x\n");
	sample_check_errors(rows, ARRAY_LEN(rows));
}

Test(batch_ref_errors, a_long_circle_is_named_by_its_ends, .init = sample_begin,
     .fini = sample_end)
{
	CLEANUP_BUF struct buf text = {0};
	buf_add_str(&text, "version: 1\ntasks:\n");
	for (int i = 0; i < 30000; i++)
		buf_printf(&text, "  t%d: {run: x, needs: [t%d]}\n", i, (i + 1) % 30000);
	cr_expect_str_eq(
		sample_error("b.yaml", buf_cstr(&text)),
		"b.yaml:3:24: a cycle: t0 -> t1 -> t2 "
		"-> t3 -> t4 -> "
		"t5 -> t6 -> t7 -> (29991 more) -> t29999 -> t0 wait for each other\n"
		"    t0: {run: x, needs: [t1]}\n"
		"                         ^");
}

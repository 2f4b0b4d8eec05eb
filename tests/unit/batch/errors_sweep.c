/* errors_sweep.c - sweeps: the exact words, the
 * place, the line, the caret. */
#include "sample.h"

#include <criterion/criterion.h>

static const struct sample_row rows[] = {
	{"over limit", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    sweep: {params: {a: {range: [0, 1000]}, b: {range: [0, 1001]}}}\n",
	 0,
	 "b.yaml:5:12: the sweep of task \"a\" is over the limit: 1001000 tasks, and a "
	 "file may have 1000000\n"
	 "      sweep: {params: {a: {range: [0, 1000]}, b: {range: [0, 1001]}}}\n"
	 "             ^\n"
	 "> narrow it, sample it (method: random), or write JSONL"},
	{"way over limit", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    sweep: {params: {a: {range: [0, 9000000000000000000]}, b: {range: [0, "
	 "9000000000000000000]}}}\n",
	 0,
	 "b.yaml:5:12: the sweep of task \"a\" is over the limit: more than "
	 "18446744073709551615 tasks, and a file may have 1000000\n"
	 "      sweep: {params: {a: {range: [0, 9000000000000000000]}, b: {range: [0, "
	 "90...\n"
	 "             ^\n"
	 "> narrow it, sample it (method: random), or write JSONL"},
	{"total over limit", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a: {run: x, sweep: {params: {x: {range: [0, 600000]}}}}\n"
	 "  b: {run: x, sweep: {params: {x: {range: [0, 600000]}}}}\n",
	 0,
	 "b.yaml:4:3: with this task (\"b\") the file has 1200000 tasks and is over the "
	 "limit of 1000000\n"
	 "    b: {run: x, sweep: {params: {x: {range: [0, 600000]}}}}\n"
	 "    ^\n"
	 "> write generated sets as JSONL, which is not bounded"},
	{"random over limit", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    sweep: {method: random, n: 1000001, params: {a: [1]}}\n",
	 0,
	 "b.yaml:5:12: the sweep of task \"a\" is over the limit: 1000001 tasks, and a "
	 "file may have 1000000\n"
	 "      sweep: {method: random, n: 1000001, params: {a: [1]}}\n"
	 "             ^\n"
	 "> narrow it, sample it (method: random), or write JSONL"},
	{"sweep max", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    sweep: {params: {a: [1, 2, 3]}, max: 2}\n",
	 0,
	 "b.yaml:5:42: the sweep of task \"a\" has 3 tasks, more than its max of 2\n"
	 "      sweep: {params: {a: [1, 2, 3]}, max: 2}\n"
	 "                                           ^"},
	{"sweep scalar", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    sweep: {params: {a: 3}}\n",
	 0,
	 "b.yaml:5:25: the values of \"a\" must be a list or a map like {range: [0, 3]}; "
	 "a single value is [3]\n"
	 "      sweep: {params: {a: 3}}\n"
	 "                          ^"},
	{"sweep empty", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    sweep: {params: {a: []}}\n",
	 0,
	 "b.yaml:5:25: parameter \"a\" has no values\n"
	 "      sweep: {params: {a: []}}\n"
	 "                          ^"},
	{"sweep range", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    sweep: {params: {a: {range: [3, 3]}}}\n",
	 0,
	 "b.yaml:5:33: this range is empty: its end is not in it\n"
	 "      sweep: {params: {a: {range: [3, 3]}}}\n"
	 "                                  ^"},
	{"sweep range float", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    sweep: {params: {a: {range: [0, 1.5]}}}\n",
	 0,
	 "b.yaml:5:37: a part of a range must be a whole number, not the number 1.5\n"
	 "      sweep: {params: {a: {range: [0, 1.5]}}}\n"
	 "                                      ^"},
	{"sweep no n", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    sweep: {params: {a: {uniform: [0, 1]}}}\n",
	 0,
	 "b.yaml:5:25: uniform in a grid needs n, the number of points\n"
	 "      sweep: {params: {a: {uniform: [0, 1]}}}\n"
	 "                          ^"},
	{"sweep n one", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    sweep: {params: {a: {uniform: [0, 1], n: 1}}}\n",
	 0,
	 "b.yaml:5:46: n must be 2 or more: both ends are points\n"
	 "  ...   sweep: {params: {a: {uniform: [0, 1], n: 1}}}\n"
	 "                                                 ^"},
	{"sweep log zero", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    sweep: {params: {a: {log_uniform: [0, 1], n: 3}}}\n",
	 0,
	 "b.yaml:5:39: log_uniform needs numbers above 0\n"
	 "      sweep: {params: {a: {log_uniform: [0, 1], n: 3}}}\n"
	 "                                        ^"},
	{"sweep inf", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    sweep: {params: {a: [1, .inf]}}\n",
	 0,
	 "b.yaml:5:29: a value of a parameter must be finite, not .inf; quote it to pass "
	 "a text\n"
	 "      sweep: {params: {a: [1, .inf]}}\n"
	 "                              ^"},
	{"sweep wide int", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    sweep: {params: {a: [18446744073709551616]}}\n",
	 0,
	 "b.yaml:5:26: 18446744073709551616 does not fit: integers have 64 bits, and "
	 "floats go from 4.9e-324 to 1.8e308; quote it to pass a text\n"
	 "      sweep: {params: {a: [18446744073709551616]}}\n"
	 "                           ^"},
	{"sweep small float", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    sweep: {params: {a: [5e-324, 0e-999, 1e-999]}}\n",
	 0,
	 "b.yaml:5:42: 1e-999 does not fit: integers have 64 bits, and floats go from "
	 "4.9e-324 to 1.8e308; quote it to pass a text\n"
	 "      sweep: {params: {a: [5e-324, 0e-999, 1e-999]}}\n"
	 "                                           ^"},
	{"sweep null", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    sweep: {params: {a: [1, null]}}\n",
	 0,
	 "b.yaml:5:29: a value of a parameter must be a number, a text, true or false, "
	 "not null\n"
	 "      sweep: {params: {a: [1, null]}}\n"
	 "                              ^"},
	{"exclude unknown", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    sweep: {params: {lr: [1]}, exclude: [{lrr: 1}]}\n",
	 0,
	 "b.yaml:5:43: unknown key \"lrr\" in the parameters of this sweep; did you mean "
	 "\"lr\"?\n"
	 "      sweep: {params: {lr: [1]}, exclude: [{lrr: 1}]}\n"
	 "                                            ^"},
	{"exclude op", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    sweep: {params: {lr: [1]}, exclude: [{lr: {gte: 1}}]}\n",
	 0,
	 "b.yaml:5:48: unknown key \"gte\" in a condition; did you mean \"gt\"?\n"
	 "  ... sweep: {params: {lr: [1]}, exclude: [{lr: {gte: 1}}]}\n"
	 "                                                 ^"},
	{"exclude all", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    sweep: {params: {lr: [1]}, exclude: [{lr: 1}]}\n",
	 0,
	 "b.yaml:5:41: exclude leaves nothing of the sweep of task \"a\"\n"
	 "      sweep: {params: {lr: [1]}, exclude: [{lr: 1}]}\n"
	 "                                          ^"},
	{"include missing", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    sweep: {params: {lr: [1], s: [2]}, include: [{lr: 3}]}\n",
	 0,
	 "b.yaml:5:50: an entry of include must give every parameter; \"s\" is missing\n"
	 "  ...weep: {params: {lr: [1], s: [2]}, include: [{lr: 3}]}\n"
	 "                                                 ^"},
	{"random no n", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    sweep: {method: random, params: {lr: [1]}}\n",
	 0,
	 "b.yaml:5:12: method: random needs n, the number of samples\n"
	 "      sweep: {method: random, params: {lr: [1]}}\n"
	 "             ^"},
	{"grid n", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    sweep: {n: 3, params: {lr: [1]}}\n",
	 0,
	 "b.yaml:5:16: n is for method: random\n"
	 "      sweep: {n: 3, params: {lr: [1]}}\n"
	 "                 ^"},
	{"method", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    sweep: {method: bayes, params: {lr: [1]}}\n",
	 0,
	 "b.yaml:5:21: method must be grid, random or list, not the text \"bayes\"\n"
	 "      sweep: {method: bayes, params: {lr: [1]}}\n"
	 "                      ^"},
	{"params twice", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    params: {lr: 1}\n"
	 "    sweep: {params: {lr: [1]}}\n",
	 0,
	 "b.yaml:6:12: parameter \"lr\" is in params and in the sweep\n"
	 "      sweep: {params: {lr: [1]}}\n"
	 "             ^"},
};

Test(batch_sweep_errors, a_sweep_that_makes_no_sense_is_refused_with_its_position,
     .init = sample_begin, .fini = sample_end)
{
	sample_check_errors(rows, ARRAY_LEN(rows));
}

/* errors_calls.c - calls that cannot be: the exact words, the place, the line, the caret. */
#include "sample.h"

#include <criterion/criterion.h>

#define HEAD "version: 1\ntasks:\n"

static const struct sample_row rows[] = {
	{"unknown parameter", "b.yaml",
	 HEAD "  t: {call: f.py:train, args: [1], kwargs: {lrr: 2}}\n", 0,
	 "b.yaml:3:45: train() has no parameter \"lrr\"; did you mean \"lr\"?\n"
	 "    t: {call: f.py:train, args: [1], kwargs: {lrr: 2}}\n"
	 "                                              ^"},
	{"unknown parameter far", "b.yaml",
	 HEAD "  t: {call: f.py:train, args: [1], kwargs: {qqqq: 2}}\n", 0,
	 "b.yaml:3:45: train() has no parameter \"qqqq\"\n"
	 "    t: {call: f.py:train, args: [1], kwargs: {qqqq: 2}}\n"
	 "                                              ^\n"
	 "> its parameters are data, lr, epochs"},
	{"missing", "b.yaml", HEAD "  t: {call: f.py:train, kwargs: {lr: 2}}\n", 0,
	 "b.yaml:3:13: train() needs \"data\"\n"
	 "    t: {call: f.py:train, kwargs: {lr: 2}}\n"
	 "              ^\n"
	 "> its parameters are data, lr, epochs"},
	{"too many", "b.yaml", HEAD "  t: {call: f.py:train, args: [1, 2, 3]}\n", 0,
	 "b.yaml:3:38: train() takes 2 arguments by position, not 3\n"
	 "    t: {call: f.py:train, args: [1, 2, 3]}\n"
	 "                                       ^\n"
	 "> its parameters are data, lr, epochs"},
	{"none at all", "b.yaml", HEAD "  t: {call: f.py:none, args: [1]}\n", 0,
	 "b.yaml:3:31: none() takes 0 arguments by position, not 1\n"
	 "    t: {call: f.py:none, args: [1]}\n"
	 "                                ^\n"
	 "> it has no parameters"},
	{"twice", "b.yaml",
	 HEAD "  t: {call: f.py:train, args: [1], kwargs: {data: 2}}\n", 0,
	 "b.yaml:3:45: train() gets \"data\" twice: by position and by name\n"
	 "    t: {call: f.py:train, args: [1], kwargs: {data: 2}}\n"
	 "                                              ^"},
	{"by position only", "b.yaml", HEAD "  t: {call: f.py:only, kwargs: {a: 2}}\n", 0,
	 "b.yaml:3:33: only() takes \"a\" by position only: put it into args\n"
	 "    t: {call: f.py:only, kwargs: {a: 2}}\n"
	 "                                  ^"},
	{"twice by the sweep", "b.yaml",
	 HEAD "  t: {call: f.py:train, args: [1], kwargs: {lr: 1}, sweep: {params: {lr: "
	      "[1, 2]}}}\n",
	 0,
	 "b.yaml:3:70: \"lr\" is in kwargs and in the sweep\n"
	 "  ...rgs: [1], kwargs: {lr: 1}, sweep: {params: {lr: [1, 2]}}}\n"
	 "                                                 ^\n"
	 "> a parameter of another name stands where an argument is \"${p.NAME}\""},
	{"sweep of what is not there", "b.yaml",
	 HEAD "  t: {call: f.py:train, args: [1], sweep: {params: {lrr: [1, 2]}}}\n", 0,
	 "b.yaml:3:53: train() has no parameter \"lrr\"; did you mean \"lr\"?\n"
	 "  ...ll: f.py:train, args: [1], sweep: {params: {lrr: [1, 2]}}}\n"
	 "                                                 ^"},
	{"describer's error", "b.yaml", HEAD "  t: {call: f.py:bad}\n", 0,
	 "b.yaml:3:13: f.py:12:7: invalid syntax\n"
	 "    t: {call: f.py:bad}\n"
	 "              ^"},
	{"no file", "b.yaml", HEAD "  t: {call: g.py:f}\n", 0,
	 "b.yaml:3:13: g.py: there is no such file\n"
	 "    t: {call: g.py:f}\n"
	 "              ^"},
	{"no function", "b.yaml", HEAD "  t: {call: f.py}\n", 0,
	 "b.yaml:3:13: call must be FILE:FUNCTION, like train.py:train, not \"f.py\"\n"
	 "    t: {call: f.py}\n"
	 "              ^"},
	{"run and call", "b.yaml", HEAD "  t: {call: f.py:train, run: x}\n", 0,
	 "b.yaml:3:7: task \"t\" has run and call: a task is a command or a call\n"
	 "    t: {call: f.py:train, run: x}\n"
	 "        ^"},
	{"inputs", "b.yaml", HEAD "  t: {call: f.py:none, inputs: {a: {ref: t}}}\n", 0,
	 "b.yaml:3:24: inputs is for commands: pass {file: ...} or {ref: ...} as an "
	 "argument\n"
	 "    t: {call: f.py:none, inputs: {a: {ref: t}}}\n"
	 "                         ^"},
	{"outputs", "b.yaml", HEAD "  t: {call: f.py:none, outputs: {a: b}}\n", 0,
	 "b.yaml:3:24: outputs is for commands: its result is what the function "
	 "returns\n"
	 "    t: {call: f.py:none, outputs: {a: b}}\n"
	 "                         ^"},
	{"params", "b.yaml", HEAD "  t: {call: f.py:none, params: {a: b}}\n", 0,
	 "b.yaml:3:24: params is for commands: pass them as kwargs\n"
	 "    t: {call: f.py:none, params: {a: b}}\n"
	 "                         ^"},
	{"kwargs of a command", "b.yaml", HEAD "  t: {run: x, kwargs: {a: b}}\n", 0,
	 "b.yaml:3:15: kwargs is for calls: a command has its arguments in run and "
	 "params\n"
	 "    t: {run: x, kwargs: {a: b}}\n"
	 "                ^"},
	{"python of a command", "b.yaml", HEAD "  t: {run: x, python: p}\n", 0,
	 "b.yaml:3:15: python is for calls: a command names its program in run\n"
	 "    t: {run: x, python: p}\n"
	 "                ^"},
	{"cflags of Python", "b.yaml", HEAD "  t: {call: f.py:none, cflags: [-O3]}\n", 0,
	 "b.yaml:3:32: cflags is for functions in C\n"
	 "    t: {call: f.py:none, cflags: [-O3]}\n"
	 "                                 ^"},
	{"metrics.from", "b.yaml",
	 HEAD "  t: {call: f.py:none, metrics: {from: m.json}}\n", 0,
	 "b.yaml:3:40: metrics.from is for commands: the metrics of a call are the "
	 "numbers and texts of the map that it returns\n"
	 "    t: {call: f.py:none, metrics: {from: m.json}}\n"
	 "                                         ^"},
	{"isolation", "b.yaml", HEAD "  t: {call: f.py:none, isolation: thread}\n", 0,
	 "b.yaml:3:35: isolation must be shared or fork, not the text \"thread\"\n"
	 "    t: {call: f.py:none, isolation: thread}\n"
	 "                                    ^"},
	{"env", "b.yaml", HEAD "  t: {call: f.py:none, env: {A: \"${p.x}\"}}\n", 0,
	 "b.yaml:3:34: env of a call has no ${...}: pass it as an argument; a literal "
	 "${ is written $${\n"
	 "    t: {call: f.py:none, env: {A: \"${p.x}\"}}\n"
	 "                                   ^"},
	{"large integer", "b.yaml",
	 HEAD "  t: {call: f.py:any, args: [9223372036854775808]}\n", 0,
	 "b.yaml:3:30: argument 0: 9223372036854775808 does not fit: integers have 64 "
	 "bits, with sign, and floats go from 4.9e-324 to 1.8e308; quote it to pass a "
	 "text\n"
	 "    t: {call: f.py:any, args: [9223372036854775808]}\n"
	 "                               ^"},
	{"nan", "b.yaml", HEAD "  t: {call: f.py:any, args: [.nan]}\n", 0,
	 "b.yaml:3:30: argument 0: .nan is written {float: nan}; quote it to pass a "
	 "text\n"
	 "    t: {call: f.py:any, args: [.nan]}\n"
	 "                               ^"},
	{"base64", "b.yaml", HEAD "  t: {call: f.py:any, args: [{bytes: \"a\"}]}\n", 0,
	 "b.yaml:3:38: argument 0: bytes are written in base64\n"
	 "    t: {call: f.py:any, args: [{bytes: \"a\"}]}\n"
	 "                                       ^"},
	{"float", "b.yaml", HEAD "  t: {call: f.py:any, args: [{float: x}]}\n", 0,
	 "b.yaml:3:38: argument 0: \"x\" is no float: write nan, inf, -inf, 0.1 or "
	 "0x1.8p3\n"
	 "    t: {call: f.py:any, args: [{float: x}]}\n"
	 "                                       ^"},
	{"slip in a reference", "b.yaml",
	 HEAD "  t: {call: f.py:any, args: [{ref: a, faild: skip}]}\n", 0,
	 "b.yaml:3:39: argument 0: a map with \"ref\" has a meaning of its own, and "
	 "no \"faild\"\n"
	 "    t: {call: f.py:any, args: [{ref: a, faild: skip}]}\n"
	 "                                        ^\n"
	 "> a map that is meant as it stands is {value: {ref: ...}}"},
	{"no such file", "b.yaml",
	 HEAD "  t: {call: f.py:any, kwargs: {x: {file: nope}}}\n", 0,
	 "b.yaml:3:42: argument \"x\": there is no file or folder \"nope\"\n"
	 "    t: {call: f.py:any, kwargs: {x: {file: nope}}}\n"
	 "                                           ^\n"
	 "> paths are relative to the batch file, in FOLDER"},
	{"no parameter", "b.yaml",
	 HEAD "  t: {call: f.py:any, args: [\"${p.lr}\"], sweep: {params: {lrr: [1]}}}\n",
	 0,
	 "b.yaml:3:31: unknown ${p.lr}: task \"t\" has no parameter \"lr\" in its "
	 "sweep; did you mean \"lrr\"?\n"
	 "    t: {call: f.py:any, args: [\"${p.lr}\"], sweep: {params: {lrr: [1]}}}\n"
	 "                                ^"},
	{"template of commands", "b.yaml",
	 HEAD "  t: {call: f.py:any, args: [\"a ${inputs.x}\"]}\n", 0,
	 "b.yaml:3:33: unknown ${inputs.x}: in arguments there is ${p.NAME}; a "
	 "literal ${ is written $${\n"
	 "    t: {call: f.py:any, args: [\"a ${inputs.x}\"]}\n"
	 "                                  ^"},
	{"list within a text", "b.yaml",
	 HEAD
	 "  t: {call: f.py:any, args: [\"a ${p.x}\"], sweep: {params: {x: [[1]]}}}\n",
	 0,
	 "b.yaml:3:64: parameter \"x\" stands inside of a text, where only numbers, "
	 "texts, true and false can be written\n"
	 "  ...y, args: [\"a ${p.x}\"], sweep: {params: {x: [[1]]}}}\n"
	 "                                                 ^"},
	{"path in a sweep", "b.yaml",
	 HEAD "  t: {call: f.py:any, sweep: {params: {x: [{path: /x, as: a}]}}}\n", 0,
	 "b.yaml:3:44: {path: ...} cannot be a value of a sweep: sweep over a text, "
	 "or name the path in args or kwargs\n"
	 "    t: {call: f.py:any, sweep: {params: {x: [{path: /x, as: a}]}}}\n"
	 "                                             ^"},
	{"output of a call", "b.yaml",
	 HEAD "  a: {call: f.py:none}\n"
	      "  t: {call: f.py:any, args: [{ref: a.o}]}\n",
	 0,
	 "b.yaml:4:36: task \"a\" has no output \"o\": it is a call, and its result "
	 "is what the function returns\n"
	 "    t: {call: f.py:any, args: [{ref: a.o}]}\n"
	 "                                     ^"},
	{"sweep without star", "b.yaml",
	 HEAD "  a: {call: f.py:any, sweep: {params: {x: [1, 2]}}}\n"
	      "  t: {call: f.py:any, args: [{ref: a}]}\n",
	 0,
	 "b.yaml:4:36: \"a\" is a sweep of 2 tasks: write \"a.*\" for all of them\n"
	 "    t: {call: f.py:any, args: [{ref: a}]}\n"
	 "                                     ^"},
	{"itself", "b.yaml", HEAD "  t: {call: f.py:any, args: [[{ref: t}]]}\n", 0,
	 "b.yaml:3:37: task \"t\" refers to itself\n"
	 "    t: {call: f.py:any, args: [[{ref: t}]]}\n"
	 "                                      ^"},
	{"circle", "b.yaml",
	 HEAD "  a: {call: f.py:any, args: [{ref: t}]}\n"
	      "  t: {call: f.py:any, args: [{ref: a}]}\n",
	 0,
	 "b.yaml:3:36: a cycle: a -> t -> a wait for each other\n"
	 "    a: {call: f.py:any, args: [{ref: t}]}\n"
	 "                                     ^"},
};

static void begin(void)
{
	sample_begin();
	sample_write("f.py", "train: data lr=0.1 .epochs=3\n"
			     "only: /a b=1\n"
			     "any: *xs **more\n"
			     "none:\n"
			     "bad! invalid syntax\n");
}

Test(batch_call_errors, what_does_not_fit_a_function_is_refused_with_its_position,
     .init = begin, .fini = sample_end)
{
	sample_check_errors(rows, ARRAY_LEN(rows));
}

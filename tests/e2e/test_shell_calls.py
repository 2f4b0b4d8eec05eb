"""shell: a call that is laid out by hand is called with the very arguments, in C and in Python."""

import json
import os
import signal
import subprocess
import unittest

from harness import Site, main

C = r'''
#include <cashet/task.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "show.h"
#ifndef NUMBER
#define NUMBER 0
#endif

int show(struct cashet_task *task)
{
	const struct cashet_arg *of = cashet_arg_at(task, 0);
	cashet_json_object(task);
	for (size_t i = 0; i < cashet_count(of); i++) {
		cashet_json_key(task, cashet_key(cashet_item(of, i)));
		write_value(task, cashet_item(of, i));
	}
	cashet_json_key(task, "n");
	cashet_json_int(task, NUMBER + cashet_int(cashet_arg(task, "n")));
	cashet_json_key(task, "task");
	cashet_json_text(task, cashet_info(task)->name);
	cashet_json_key(task, "env");
	cashet_json_text(task, getenv("MINE"));
	cashet_json_end(task);
	return 0;
}

int raw(struct cashet_task *task)
{
	memset(cashet_return_room(task, 100000), 'x', 100000);
	return 0;
}

int fails(struct cashet_task *task)
{
	return cashet_bool(cashet_arg_at(task, 0)) ? raise(SIGABRT) : cashet_fail(task, "no such luck");
}
'''

HEADER = r'''
static void write_value(struct cashet_task *task, const struct cashet_arg *v)
{
	switch (cashet_type(v)) {
	case CASHET_TYPE_NULL:
		cashet_json_null(task);
		break;
	case CASHET_TYPE_BOOL:
		cashet_json_bool(task, cashet_bool(v));
		break;
	case CASHET_TYPE_INT:
		cashet_json_int(task, cashet_int(v));
		break;
	case CASHET_TYPE_FLOAT:
		if (cashet_float(v) - cashet_float(v) == 0)
			cashet_json_float(task, cashet_float(v));
		else
			cashet_json_text(task, cashet_float(v) < 0 ? "less" : "more");
		break;
	case CASHET_TYPE_TEXT:
	case CASHET_TYPE_BYTES: {
		size_t size;
		const unsigned char *bytes = cashet_bytes(v, &size);
		cashet_json_array(task);
		for (size_t i = 0; i < size && i < 8; i++)
			cashet_json_int(task, bytes[i]);
		cashet_json_int(task, (int64_t)size);
		cashet_json_end(task);
		break;
	}
	case CASHET_TYPE_LIST:
	case CASHET_TYPE_MAP:
		cashet_json_array(task);
		for (size_t i = 0; i < cashet_count(v); i++) {
			cashet_json_text(task, cashet_key(cashet_item(v, i)));
			write_value(task, cashet_item(v, i));
		}
		cashet_json_end(task);
		break;
	case CASHET_TYPE_PATH:
		cashet_json_text(task, chdir(cashet_path(v)) ? strrchr(cashet_path(v), '/') : access("a", R_OK) ? "empty" : "folder");
		break;
	default:
		cashet_json_text(task, "missing");
	}
}
'''

PYTHON = '''
import os


class Odd:
    def __init__(self, n):
        self.n = n


def make(n):
    return Odd(n)


async def show(of, *, odd, n=0):
    def told(v):
        return v if not hasattr(v, "name") else os.listdir(v) if v.is_dir() else v.name
    return repr([sorted((k, told(v)) for k, v in of.items()), odd.n, n, os.environ["MINE"]])
'''

BATCH = """version: 1
name: lab
defaults: {env: {MINE: "a b"}}
tasks:
  raw: {call: lib.c:raw}
  out: {run: 'mkdir d; echo one > d/a; echo two > b', outputs: {d: d, b: b}}
  odd: {call: pkg/__init__.py:make, args: [7]}
  c:
    call: lib.c:show
    cflags: [-DNUMBER=40]
    args: [OF]
    kwargs: {n: 2}
  py:
    call: pkg/__init__.py:show
    args: [OF]
    kwargs: {odd: {ref: odd}, n: 2}
""".replace("OF", """{
      none: null, yes: true, int: -5, point: 0.1, whole: 1.0, inf: {float: -inf}, text: "é", some: {bytes: AAH/},
      list: [1, [2.5, {}], {k: "v"}], raw: {ref: raw}, out: {ref: out.d}, b: {ref: out.b}, all: [{ref: raw}], own: {file: in.txt}}""")


class ShellCalls(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.site = Site(cls)
        cls.addClassCleanup(cls.site.close)
        for name, text in (("lib.c", C), ("show.h", HEADER), ("pkg/__init__.py", PYTHON), ("in.txt", "mine"), ("b.yaml", BATCH)):
            cls.site.write(name, text)
        result = cls.site.submit("b.yaml")
        cls.tasks = {name: f"{result['batch'][:8]}:{i}" for i, name in enumerate(("raw", "out", "odd", "c", "py"))}

    def cashet(self, *argv, code=0, **more):
        done = self.site.run(*argv, **more)
        self.assertEqual(done.code, code, f"{argv}\n{done.out}\n{done.err}")
        return done

    def test_the_result_is_the_one_that_the_worker_had(self):
        worker = self.cashet("get", self.tasks["c"]).out
        by_hand = self.cashet("shell", self.tasks["c"], "-c", "../run").out
        self.assertEqual(json.loads(by_hand), json.loads(worker))
        found = json.loads(worker)
        self.assertEqual([found["n"], found["task"], found["env"], found["text"]], [42, "lib.c:show", "a b", [195, 169, 2]])
        self.assertEqual(eval(self.cashet("shell", self.tasks["py"], "-c", "../run").out),
                         json.loads(self.cashet("get", self.tasks["py"]).out))
        self.assertEqual(self.cashet("shell", self.tasks["raw"], "-c", "../run").out, "x" * 100000)

    def test_what_is_kept_can_be_changed_and_called_again(self):
        laid = self.cashet("shell", self.tasks["c"], "--dir", "lab", "--json").json
        self.assertEqual(os.path.basename(laid["argv"][0]), "cashet-runner-c")
        self.assertEqual(laid["argv"][1:], ["run", self.site.path("lab")])

        def run(code=0):
            done = subprocess.run([laid["run"]], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, code, done.stderr)
            return json.loads(done.stdout) if code == 0 else done.stderr

        self.assertEqual(run()["n"], 42)
        call = json.loads(self.site.read("lab/call.json"))
        call["kwargs"]["n"] = 3
        call["flags"].append("-O0")
        call["args"][0]["map"]["text"] = {"text": "610062"}
        self.site.write("lab/call.json", json.dumps(call))
        self.assertEqual([run()["n"], run()["text"]], [43, [97, 0, 98, 3]])
        self.site.write("lab/source/lib.c", C.replace("NUMBER +", "NUMBER + 1000 +"))
        self.assertEqual(run()["n"], 1043)
        self.site.write("lab/source/lib.c", C.replace("NUMBER +", "NUMBER + nothing +"))
        self.assertIn("lib.c:21", run(1))
        self.site.write("lab/source/lib.c", C)
        for bad in ({"n": {"else": "3"}}, {"n": {"float": "x"}}, {"n": {"bytes": "no/such"}}, {"n": {}}, {"n": {"hex": "0"}}):
            self.site.write("lab/call.json", json.dumps({**call, "kwargs": bad}))
            self.assertIn("argument n", run(1))
        self.site.write("lab/call.json", "{")
        self.assertIn("call.json", run(1))

    def test_failures_are_its_own(self):
        self.site.write("f.yaml", "version: 1\ntasks:\n  f: {call: lib.c:fails, args: [false]}\n  g: {call: lib.c:fails, args: [true]}\n")
        batch = self.site.submit("f.yaml", code=1)["batch"]
        self.assertIn("no such luck", self.cashet("shell", f"{batch}:0", "-c", "../run", code=1).err)
        self.cashet("shell", f"{batch}:1", "-c", "../run", code=128 + signal.SIGABRT)


if __name__ == "__main__":
    main()

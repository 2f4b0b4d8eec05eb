"""Calls: functions by source in warm runners, what they do wrong, and that their neighbours do not notice."""

import json
import os
import py_compile
import signal
import unittest

from harness import BIN, Site, alive, main, until, with_enough_time

LIAR = '''#!/usr/bin/env python3
"""A describer that tells what is not so: its worker must not believe it."""
import hashlib, json, os, subprocess, sys
done = subprocess.run([os.environ["TRUE_RUNNER"], *sys.argv[1:]], stdout=subprocess.PIPE)
row = json.loads(done.stdout)
for target in row["targets"]:
    exec(os.environ["LIE"])
print(json.dumps(row))
'''
BYTECODE = """
data = open(os.environ["BYTECODE"], "rb").read()
target["closure"].insert(0, {"path": "__pycache__/honest.cpython-%d%d.pyc" % sys.version_info[:2], "file": os.environ["BYTECODE"],
                             "size": len(data), "sha256": hashlib.sha256(data).hexdigest()})
"""
PYTHON = '''
import os
import sys
import time
from pathlib import Path


def add(a, b=10):
    return a + b


def total(parts, scale=1.0):
    return {"total": sum(parts) * scale, "count": len(parts)}


def keep(x):
    return (x, {x})


def unpack(kept):
    return [kept[0], sorted(kept[1])]


def raw(n):
    return b"x" * n


def length(data):
    return [type(data).__name__, len(data)]


def read(file):
    return [file.name, file.read_text(), type(file).__name__ in ("PosixPath", "WindowsPath")]


def raises(i):
    print("printed before")
    raise ValueError("bad lr\\nand more")


def leaves(i):
    sys.exit(3)


def interrupts(i):
    raise KeyboardInterrupt


def stops(i):
    raise StopIteration


def kills(i):
    os.kill(os.getpid(), 11)


def aborts(i):
    os.abort()


def closes(i):
    os.closerange(0, 64)


def prints(i):
    print("out", i)
    os.write(2, b"err\\n")
    os.system("echo from a child")
    return i


def forever(i):
    print("begun", flush=True)
    while True:
        pass


def stubborn(i):
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(1)


def tells(path):
    Path(path).write_text(str(os.getpid()))
    print("I am here", flush=True)
    time.sleep(1000)


STATE = []


def state(i):
    STATE.append(i)
    return len(STATE)


def where(i):
    Path("left.txt").write_text("x")
    return [os.environ["CASHET_TASK"], os.environ["CASHET_INDEX"], os.environ["LR"],
            sorted(os.listdir("."))]


def resumes(i):
    print("attempt", os.environ["CASHET_ATTEMPT"])
    path = Path(os.environ["CASHET_CHECKPOINT"], "at")
    if path.exists():
        return path.read_text()
    path.write_text("half")
    raise RuntimeError("once")


def huge(n):
    return [0] * n


def show(*args, **kwargs):
    return repr((args, sorted(kwargs.items())))


def paths(*, folder, big, n=0):
    return [sorted(p.name for p in folder.iterdir()), folder.name, big.read_text()]


def odd(i):
    if i % 2 == 0:
        raise ValueError(i)
    return i


def train(data, lr=0.1, *, epochs=3):
    return {"loss": lr * epochs + sum(data)}


def large(n):
    print("y" * n)
    return "z" * n
'''

C = '''
#include <cashet/task.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int twice(struct cashet_task *task)
{
	cashet_json_int(task, 2 * cashet_int(cashet_arg_at(task, 0)));
	return 0;
}

int crashes(struct cashet_task *task)
{
	(void)task;
	puts("about to");
	fflush(stdout);
	raise(SIGSEGV);
	return 0;
}

int fails(struct cashet_task *task)
{
	cashet_fail(task, "no such luck");
	return 1;
}
'''


class Calls(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.site = Site(cls)
        cls.addClassCleanup(cls.site.close)
        cls.site.broker()
        cls.site.worker()
        cls.site.write("lib.py", PYTHON)
        cls.site.write("lib.c", C)
        cls.serial = 0

    def submit(self, text, code=0):
        Calls.serial += 1
        name = f"b{Calls.serial}.yaml"
        return self.site.submit(self.site.write(name, "version: 1\ntasks:\n" + text), code=code)

    def call(self, function, *args, code=0, **more):
        """One call; what is said of its task."""
        more = "".join(f"    {k}: {json.dumps(v)}\n" for k, v in more.items())
        result = self.submit(f"  t:\n    call: {function}\n    args: {json.dumps(args)}\n{more}", code)
        self.assertEqual(len(result["tasks"]), 1)
        return result["tasks"][0]

    def failing(self, function, *args, **more):
        task = self.call(function, *args, code=1, **more)
        self.assertEqual(task["status"], "failed")
        return task

    def get(self, number=0, stream="result"):
        batch = self.site.run("ps", "-a", "--json").json["batches"][0]["batch"]
        argv = ["get", f"{batch}:{number}"] if stream == "result" else \
            ["logs", f"{batch}:{number}", f"--{stream}"]
        done = self.site.run(*argv)
        self.assertEqual(done.code, 0, done.err)
        return done.out

    # ---- what goes well ----

    def test_values_go_in_and_come_out(self):
        self.call("lib.py:add", 1, code=0)
        self.assertEqual(json.loads(self.get()), 11)
        result = self.submit("""
  parts: {call: lib.py:add, args: [1], sweep: {params: {b: [1, 2, 3]}}}
  all: {call: lib.py:total, kwargs: {parts: {ref: parts.*}, scale: 2.0}}
  kept: {call: lib.py:keep, args: [5]}
  back: {call: lib.py:unpack, args: [{ref: kept}]}
  raw: {call: lib.py:raw, args: [300000]}
  size: {call: lib.py:length, args: [{ref: raw}]}
  cmd: {run: [wc, -c, "${inputs.x}"], inputs: {x: {ref: raw}}}
  out: {call: lib.py:length, args: [{ref: cmd}]}
""")
        self.assertEqual([t["status"] for t in result["tasks"]], ["completed"] * 10)
        self.assertEqual(json.loads(self.get(3)), {"total": 18.0, "count": 3})
        self.assertEqual(json.loads(self.get(5)), [5, [5]])
        self.assertEqual(json.loads(self.get(7)), ["bytes", 300000])
        self.assertEqual(json.loads(self.get(9))[0], "bytes")

    def test_files_keep_their_names(self):
        self.site.write("data.csv", "1,2\n")
        self.submit('  t: {call: lib.py:read, args: [{file: data.csv}]}\n')
        self.assertEqual(json.loads(self.get()), ["data.csv", "1,2\n", True])

    def test_large_results_and_logs(self):
        self.call("lib.py:large", 3000000)
        self.assertEqual(len(json.loads(self.get())), 3000000)
        self.assertEqual(len(self.get(stream="stdout")), 3000001)

    def test_metrics_come_from_a_result_that_is_an_object(self):
        self.call("lib.py:total", [1, 2])
        batch = self.site.run("ps", "-a", "--json").json["batches"][0]["batch"]
        task = self.site.run("results", batch, "--json").json["tasks"][0]
        self.assertEqual(task["metrics"], {"count": 2, "total": 3})

    def test_what_is_printed_belongs_to_its_call(self):
        self.submit("  t: {call: lib.py:prints, sweep: {params: {i: {range: [0, 5]}}}}\n")
        for i in range(5):
            self.assertEqual(self.get(i, "stdout").split("\n"), [f"out {i}", "from a child", ""])
            self.assertEqual(self.get(i, "stderr"), "err\n")

    def test_calls_of_one_environment_share_a_process_and_a_clean_folder(self):
        result = self.submit("""  t:
    call: lib.py:where
    env: {LR: "0.5"}
    sweep: {params: {i: {range: [0, 4]}}}
""")
        self.assertEqual(result["counts"]["executed"], 4)
        for i in range(4):
            self.assertEqual(json.loads(self.get(i)), ["lib.py:where", str(i), "0.5", ["left.txt"]])
        self.submit("  t: {call: lib.py:state, isolation: fork, sweep: {params: {i: {range: [0, 4]}}}}\n")
        self.assertEqual([json.loads(self.get(i)) for i in range(4)], [1, 1, 1, 1])

    def test_a_comment_leaves_it_cached_and_a_change_does_not(self):
        self.site.write("own.py", "def helper(x):\n    return x + 1\n\ndef f(x):\n    return helper(x)\n")
        self.assertEqual(self.call("own.py:f", 1)["cached"], False)
        self.site.write("own.py", "# why\ndef helper(x):\n    'doc'\n    return (x + 1)\n\ndef f(x): return helper(x)\n")
        self.assertEqual(self.call("own.py:f", 1)["cached"], True)
        self.site.write("own.py", "def helper(x):\n    return x + 2\n\ndef f(x):\n    return helper(x)\n")
        self.assertEqual(self.call("own.py:f", 1)["cached"], False)
        self.assertEqual(json.loads(self.get()), 3)

    def test_the_next_attempt_finds_what_the_last_one_kept(self):
        task = self.call("lib.py:resumes", 1, retries=1)
        self.assertEqual(task["attempts"], 2)
        self.assertEqual(json.loads(self.get()), "half")
        self.assertEqual(self.get(stream="stdout"), "attempt 2\n")

    def test_scripts_and_c_files_of_commands(self):
        self.site.write("cmd/run.py", "import part\nprint(part.x())\n")
        self.site.write("cmd/part.py", "def x():\n    return 5\n")
        self.site.write("cmd/prog.c", "#include <stdio.h>\nint main(void) { puts(\"c\"); return 0; }\n")
        text = """
  py: {run: [python3, cmd/run.py], code: [cmd/run.py]}
  c: {run: "cc -o prog cmd/prog.c && ./prog", code: [cmd/prog.c]}
"""
        result = self.submit(text)
        self.assertEqual([t["cached"] for t in result["tasks"]], [False, False])
        self.assertEqual((self.get(0), self.get(1)), ("5\n", "c\n"))
        self.site.write("cmd/run.py", "# a comment\nimport part\n\nprint( part.x() )\n")
        self.site.write("cmd/prog.c", "#include <stdio.h> // io\nint main(void)\n{\n  puts(\"c\");\n  return 0;\n}\n")
        self.assertEqual([t["cached"] for t in self.submit(text)["tasks"]], [True, True])
        self.site.write("cmd/part.py", "def x():\n    return 6\n")
        self.assertEqual([t["cached"] for t in self.submit(text)["tasks"]], [False, True])
        self.assertEqual(self.get(0), "6\n")

    # ---- what goes wrong ----

    def test_an_exception_is_the_error_and_its_traceback_the_log(self):
        task = self.failing("lib.py:raises", 1)
        self.assertEqual(task["error"], "ValueError: bad lr")
        log = self.get(stream="stderr")
        self.assertIn("Traceback", log)
        self.assertIn("ValueError: bad lr\nand more", log)
        self.assertIn("raises", log)
        self.assertEqual(self.get(stream="stdout"), "printed before\n")

    def test_ways_to_leave(self):
        self.assertIn("exit 3", self.failing("lib.py:leaves", 1)["error"])
        self.assertIn("KeyboardInterrupt", self.failing("lib.py:interrupts", 1)["error"])
        self.assertIn("StopIteration", self.failing("lib.py:stops", 1)["error"])
        self.assertEqual(self.failing("lib.py:kills", 1)["error"], "killed by signal 11 (Segmentation fault)")
        self.assertEqual(self.failing("lib.py:aborts", 1)["error"], "killed by signal 6 (Aborted)")
        self.assertIn("signal 11", self.failing("lib.py:kills", 1, isolation="fork")["error"])
        self.assertIn("nothing", self.call("lib.py:add", 1, "nothing", code=1)["error"] + "nothing")

    def test_a_compiled_library_that_is_gone_is_made_again(self):
        self.call("lib.c:twice", 1001)
        folder = self.site.path(".cache/cashet/libraries")
        self.assertTrue(os.listdir(folder))
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        self.failing("lib.c:crashes", 1001)  # the next runner opens it anew
        self.call("lib.c:twice", 1002)
        self.assertEqual(json.loads(self.get()), 2004)

    def test_neighbours_do_not_notice(self):
        result = self.submit("""
  bad: {call: lib.py:kills, sweep: {params: {i: {range: [0, 5]}}}}
  worse: {call: lib.py:closes, sweep: {params: {i: {range: [0, 5]}}}}
  good: {call: lib.py:state, sweep: {params: {i: {range: [100, 300]}}}}
  other: {run: "echo ${p.i}", sweep: {params: {i: {range: [0, 5]}}}}
""", code=1)
        by_name = {}
        for t in result["tasks"]:
            by_name.setdefault(t["name"].split("[")[0], []).append(t)
        self.assertEqual({t["status"] for t in by_name["lib.py:state"]}, {"completed"})
        self.assertEqual([t for t in by_name["lib.py:state"] if t["attempts"] != 1], [])
        self.assertEqual({t["status"] for t in by_name["lib.py:kills"]}, {"failed"})

    def test_a_time_limit_kills_for_real(self):
        def attempt(seconds):
            task = self.failing("lib.py:forever", 1, timeout=f"{seconds}s", grace="1s")
            self.assertEqual(task["error"], f"timed out after {seconds}s")
            return self.get(stream="stdout") == "begun\n"

        with_enough_time(attempt, 1)
        self.assertEqual(self.failing("lib.py:stubborn", 1, timeout="500ms", grace="500ms")["error"],
                         "timed out after 500ms")

    def test_logs_are_followed_and_a_cancelled_call_is_dead(self):
        path = self.site.path("pid")
        file = self.site.write("tells.yaml", f"""
version: 1
tasks: {{t: {{call: lib.py:tells, args: [{json.dumps(path)}]}}}}
""")
        submit = self.site.start_submit(file)
        pid = int(until(lambda: self.site.read("pid"), "the function to tell"))
        batch = self.site.run("ps", "--json").json["batches"][0]["batch"]
        until(lambda: self.site.run("logs", f"{batch}:0", "--stdout").out == "I am here\n", "its log")
        self.assertEqual(self.site.run("cancel", batch).code, 0)
        submit.finish(code=None)
        until(lambda: not alive(pid), "the runner to die")

    def test_more_memory_than_it_asked_for(self):
        site = Site(self)
        self.addCleanup(site.close)
        site.broker()
        site.worker("node-1", 1, "--memory", "1G")
        site.write("lib.py", PYTHON)
        result = site.submit(site.write("b.yaml", """
version: 1
tasks: {t: {call: lib.py:huge, args: [100000000], resources: {memory: 200M}}}
"""), code=1)
        self.assertIn("it asked for (resources.memory)", result["tasks"][0]["error"])

    # ---- batch files ----

    def test_every_value_arrives_as_what_it_is(self):
        self.submit("""
  one: {call: lib.py:add, args: [1], kwargs: {b: 1}}
  t:
    call: lib.py:show
    args: [null, true, 1, 1.0, "1", {bytes: MQ==}, {float: -inf}, [], {a: [{}]}, {ref: one}]
    kwargs: {s: {value: {ref: 1}}, f: "x${p.a}$${", a: "${p.a}", b: [{ref: one}]}
    sweep: {params: {a: [2, x]}}
""")
        for i, a in enumerate((2, "x")):
            self.assertEqual(json.loads(self.get(1 + i)), repr((
                (None, True, 1, 1.0, "1", b"1", float("-inf"), [], {"a": [{}]}, 2),
                [("a", a), ("b", [2]), ("f", f"x{a}${{"), ("s", {"ref": 1})])))

    def test_spellings_of_a_call_are_one(self):
        def run(args, kwargs):
            return self.submit(f"  t: {{call: lib.py:train, args: {args}, kwargs: {kwargs}}}\n")
        self.assertEqual(run("[[1, 2]]", "{}")["counts"]["executed"], 1)
        for args, kwargs in (("[[1, 2], 0.1]", "{}"), ("[]", "{data: [1, 2]}"),
                             ("[[1, 2]]", "{epochs: 3}"), ("[]", "{epochs: 3, lr: 0.1, data: [1, 2]}")):
            self.assertEqual(run(args, kwargs)["counts"]["cached"], 1, f"{args} {kwargs}")
        for args, kwargs in (("[[1, 2.0]]", "{}"), ("[[1, 2]]", "{epochs: 3.0}")):
            self.assertEqual(run(args, kwargs)["counts"]["executed"], 1, f"{args} {kwargs}")

    def test_a_sweep_over_lists_and_nothing(self):
        result = self.submit("""
  prep: {call: lib.py:add, args: [1, 1]}
  t:
    call: lib.py:show
    sweep: {params: {x: [null, [1, {ref: prep}], {k: v}], y: {range: [0, 2]}}}
""")
        self.assertEqual(result["counts"]["executed"], 7)
        self.assertEqual([json.loads(self.get(1 + 2 * i)) for i in range(3)],
                         [repr(((), [("x", x), ("y", 0)])) for x in (None, [1, 2], {"k": "v"})])

    def test_folders_paths_of_workers_and_those_that_succeeded(self):
        self.site.write("in/a.txt", "a")
        self.site.write("in/b.txt", "b")
        big = self.site.write("big.txt", "big")
        other = self.site.write("moved.txt", "other")
        text = """
  s: {call: lib.py:odd, sweep: {params: {i: {range: [0, 6]}}}}
  p: {call: lib.py:paths, kwargs: {folder: {file: in}, big: {path: %s, as: v1}}}
  t: {call: lib.py:total, args: [{ref: s.*, failed: skip}]}
"""
        self.submit(text % big, code=1)
        self.assertEqual(json.loads(self.get(6)), [["a.txt", "b.txt"], "in", "big"])
        self.assertEqual(json.loads(self.get(7)), {"total": 9.0, "count": 3})
        again = self.submit(text % other, code=1)  # another place of the same content
        self.assertTrue(again["tasks"][6]["cached"])

    def test_lines_are_calls_too(self):
        path = self.site.write("calls.jsonl", "".join(json.dumps(line) + "\n" for line in (
            {"call": "lib.py:add", "name": "a", "args": [1, 2]},
            {"call": "lib.py:add", "name": "a", "args": [1], "kwargs": {"b": 3}},
            {"call": "lib.py:total", "args": [{"ref": "a.*"}, {"float": "0x1p1"}]},
            {"run": ["cat", "${inputs.x}"], "inputs": {"x": {"ref": 2}}})))
        result = self.site.submit(path)
        self.assertEqual([t["status"] for t in result["tasks"]], ["completed"] * 4)
        self.assertEqual(json.loads(self.get(3)), {"total": 14.0, "count": 2})

    def test_nothing_of_a_call_that_cannot_be_is_submitted(self):
        self.site.write("bad.py", "def f(:\n")
        before = self.site.run("ps", "-a", "--json").json["batches"]
        for entry, *said in (
                ("call: lib.py:train, args: [[1]], kwargs: {lrr: 1}", ":3:", "did you mean \"lr\"?"),
                ("call: lib.py:trian", ":3:", "lib.py", "trian"),
                ("call: bad.py:f", ":3:", "bad.py:1:7", "invalid syntax"),
                ("call: lib.py:add, outputs: {a: b}", ":3:", "outputs"),
                ("call: lib.py:add, args: [{ref: t}]", ":3:", "refers to itself")):
            path = self.site.write("slip.yaml", f"version: 1\ntasks:\n  t: {{{entry}}}\n")
            done = self.site.run("submit", path)
            self.assertEqual(done.code, 2, done.err)
            for text in said:
                self.assertIn(text, done.err)
        self.assertEqual(self.site.run("ps", "-a", "--json").json["batches"], before)

    def test_a_client_that_lies_about_its_source_is_refused(self):
        self.site.write("honest.py", "def f(x):\n    return ['honest', x]\n")
        self.site.write("other.py", "def f(x):\n    return ['another', x]\n")
        bytecode = py_compile.compile(os.path.join(self.site.dir, "other.py"), os.path.join(self.site.dir, "other.pyc"),
                                      invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
        os.chmod(self.site.write("liar/cashet-runner-python", LIAR), 0o755)
        env = {"CASHET_RUNNER_PATH": os.path.join(self.site.dir, "liar"), "BYTECODE": bytecode,
               "TRUE_RUNNER": os.path.join(BIN, "cashet-runner-python")}
        for n, (lie, said) in enumerate(((BYTECODE, "has a file __pycache__/honest"),
                                         ("target['hash'] = 64 * '0'", "is not what its client said"))):
            # What an honest describer said is not remembered here, however long ago that was.
            done = self.site.run("submit", "honest.py:f", str(n), env=dict(
                env, LIE=lie, XDG_CACHE_HOME=self.site.path(f"liar/cache{n}")))
            self.assertEqual((done.code, done.out), (1, ""), done.err)
            self.assertIn(said, done.err)
            done = self.site.run("submit", "honest.py:f", str(n), env=dict(env, LIE="pass"))
            self.assertEqual(json.loads(done.out), ["honest", n], done.err)

    def test_code_of_commands_counts_by_what_it_means(self):
        def run():
            return self.submit("  t: {run: [python3, script.py], code: [script.py, {path: raw.py, "
                               "identity: bytes}]}\n")["counts"]
        self.site.write("near.py", "def f():\n    return 'near'\n")
        self.site.write("raw.py", "# a\n")
        self.site.write("script.py", "import near\nprint(near.f())\n")
        self.assertEqual(run()["executed"], 1)
        self.assertEqual(self.get(), "near\n")  # what it imports is there
        self.site.write("script.py", '"""What it does."""\nimport near  # beside it\nprint( near.f() )\n')
        self.assertEqual(run()["cached"], 1)
        self.site.write("near.py", "def f():\n    return 'far'\n")
        self.assertEqual(run()["executed"], 1)
        self.assertEqual(self.get(), "far\n")
        self.site.write("raw.py", "# b\n")
        self.assertEqual(run()["executed"], 1)
        self.site.write("script.py", "print 'old'\n")
        path = self.site.write("old.yaml", "version: 1\ntasks: {t: {run: [cat, script.py], code: [script.py]}}\n")
        done = self.site.run("submit", path)
        self.assertEqual(done.code, 0, done.err)
        self.assertIn("script.py is hashed by its bytes", done.err)
        self.assertEqual(self.get(), "print 'old'\n")

    # ---- C ----

    def test_c_functions(self):
        self.call("lib.c:twice", 21)
        self.assertEqual(json.loads(self.get()), 42)
        self.assertEqual(self.failing("lib.c:crashes", 1)["error"],
                         "killed by signal 11 (Segmentation fault)")
        self.assertEqual(self.get(stream="stdout"), "about to\n")
        self.assertIn("no such luck", self.failing("lib.c:fails", 1)["error"])
        task = self.failing("lib.c:twice", 1, cflags=["-lno_such_library"])
        self.assertIn("no_such_library", task["error"] + self.get(stream="stderr"))


if __name__ == "__main__":
    main()

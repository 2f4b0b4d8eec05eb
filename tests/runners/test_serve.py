"""cashet-runner-python serve: what calls give, how they fail. The driver is the worker."""

import contextlib
import json
import math
import os
import pickle
import signal
import struct
import sys
import unittest

from driver import BOTH, EXEC, EXTERN, FILE, FORK, JSON, PICKLE, SHARED, TIMEOUT_S, TREE, File, Ref, ServeTest, Worker, \
    list_of, outputs
from runner import start


class Values(ServeTest):
    def test_arguments_arrive_as_what_they_are(self):
        shown = self.load("def f(*args, **kwargs): return repr((args, kwargs))\n")
        for args, kwargs in [
                ((), {}), ((None, True, False), {}),
                ((0, 1, 23, 24, 255, 256, 65535, 65536, 1 << 32, (1 << 63) - 1), {}),
                ((-1, -24, -25, -256, -257, -65537, -(1 << 63)), {}),
                ((0.0, 0.5, -0.0, 0.1, 1e300, math.inf, -math.inf, math.nan, 1.5e-45, 65504.0, 1 / 3), {}),
                (("", "é", "a\0b", "x" * 70000), {}), ((b"", b"\xff\0", b"x" * 300), {}),
                (([], [1, [2, [3]]], {}, {"a": [None], "b": 1, "é": {"": 0}}), {}),
                ((1,), {"lr": 0.1, "deep": {"a": [b""]}, "name": "x"}), (list(range(1000)), {})]:
            self.assertEqual(self.result(shown, *args, kwargs=kwargs), repr((tuple(args), kwargs)))

    def test_results_are_bytes_or_json_or_a_pickle(self):
        bad = json.dumps("\ud800")
        for text, kind, data in [
                ("None", JSON, b"null"), ("True", JSON, b"true"), ("7", JSON, b"7"), ("-(1 << 63)", JSON, b"-9223372036854775808"),
                ("0.1", JSON, b"0.1"), ("1e16", JSON, b"1e+16"), ("-0.0", JSON, b"-0.0"), ("'é\\n'", JSON, '"é\\n"'.encode()),
                ("[]", JSON, b"[]"), ("{}", JSON, b"{}"), ("{'b': [1, 2.5, None, 'x'], 'a': {}}", JSON, b'{"b":[1,2.5,null,"x"],"a":{}}'),
                ("b'x\\0'", FILE, b"x\0"), ("bytearray(b'y')", FILE, b"y"), ("memoryview(b'abcdef')[::2]", FILE, b"ace"),
                ("(1, 2)", PICKLE, (1, 2)), ("[1, (2,)]", PICKLE, [1, (2,)]), ("{1: 2}", PICKLE, {1: 2}), ("1 << 63", PICKLE, 1 << 63),
                ("[1 << 64]", PICKLE, [1 << 64]), ("float('inf')", PICKLE, math.inf), ("{'x': [float('-inf')]}", PICKLE, {"x": [-math.inf]}),
                (bad, PICKLE, "\ud800"), ("[%s]" % bad, PICKLE, ["\ud800"]), ("{'x', 'y'}", PICKLE, {"x", "y"}), ("1j", PICKLE, 1j),
                ("type('T', (int,), {}) and __import__('datetime').date(2026, 1, 2)", PICKLE, __import__("datetime").date(2026, 1, 2))]:
            with self.subTest(text):
                found = self.call(self.load("def f(): return %s\n" % text))
                self.assertEqual(found.kind, kind, found)
                self.assertEqual(pickle.loads(found.value) if kind == PICKLE else found.value, data)

    def test_subclasses_and_circles_are_pickles(self):
        load = self.load("import enum\nclass E(enum.IntEnum):\n    A = 1\nclass D(dict): pass\n"
                         "def f(n):\n    x = []\n    x.append(x)\n    deep = []\n    for _ in range(300): deep = [deep]\n"
                         "    return [E.A, D(a=1), {'x': E.A}, x, deep][n]\n")
        for n in range(5):
            found = self.call(load, n)
            self.assertEqual((found.letter, found.kind), ("D", PICKLE), found)

    def test_json_is_as_deep_as_all_can_read_it(self):
        load = self.load("def f(n):\n    deep = 1\n    for i in range(n): deep = [deep] if i % 2 else {'x': deep}\n    return deep\n")
        self.assertEqual([self.call(load, n).kind for n in (0, 1, 63, 64, 65, 100)], [JSON] * 4 + [PICKLE] * 2)

    def test_what_cannot_be_bytes_is_an_error_that_says_so(self):
        for text, words in [("(x for x in 'ab')", "generator"), ("lambda: 1", "pickled"), ("open('/dev/null')", "pickled"),
                            ("__import__('threading').Lock()", "pickled")]:
            for isolation in BOTH:
                error = self.error(self.load("def f(): return %s\n" % text), isolation=isolation)
                self.assertEqual(error["kind"], "result", error)
                self.assertIn(words, error["message"])
        error = self.error(self.load("class R:\n    def __reduce__(self): raise SystemExit(3)\ndef f(): return R()\n"))
        self.assertEqual((error["kind"], error["type"]), ("result", "SystemExit"))
        error = self.error(self.load("async def f():\n    yield 1\n"))
        self.assertIn("asynchronous generator", error["message"])
        error = self.error(self.load("def f():\n    yield 1\n"))
        self.assertIn("list(", error["message"])

    def test_async_functions_are_run(self):
        load = self.load("import asyncio\nasync def g(x):\n    await asyncio.sleep(0)\n    return x + 1\n"
                         "async def f(x):\n    return await asyncio.gather(g(x), g(2 * x))\n")
        for isolation in BOTH:
            self.assertEqual(self.result(load, 3, isolation=isolation), [4, 7])
        error = self.error(self.load("async def f():\n    await g()\nasync def g():\n    raise KeyError('no')\n"))
        self.assertEqual([line.split(",")[0] for line in error["traceback"].splitlines() if line.startswith("  File")],
                         ['  File "train.py"'] * 2)

    def test_references_are_the_objects_that_they_were(self):
        shown = self.load("import pathlib\ndef f(*args): return [repr(a) for a in args]\n")
        tree = self.path("tree")
        os.mkdir(tree)
        for where in ("inline", "fd"):
            refs = [Ref(FILE, b"raw\0", where), Ref(EXEC, b"#!", where), Ref(JSON, '{"a":[1,"é"]}'.encode(), where),
                    Ref(PICKLE, pickle.dumps({1: (2, b"3")}), where), Ref(JSON, b"1", where), Ref(FILE, b"1", where),
                    Ref(TREE, b"manifest", path=tree), Ref(EXTERN, b"v3", path="/data/x")]
            want = [repr(v) for v in (b"raw\0", b"#!", {"a": [1, "é"]}, {1: (2, b"3")}, 1, b"1")] + \
                ["PosixPath('%s')" % tree, "PosixPath('/data/x')"]
            self.assertEqual(self.result(shown, *refs), want)
            self.assertEqual(self.result(shown, list_of(*refs[:6]), [refs[0], {"k": refs[2]}]),
                             ["[%s]" % ", ".join(want[:6]), "[b'raw\\x00', {'k': {'a': [1, 'é']}}]"])
            named = outputs(weights=refs[0], folder=refs[6])
            self.assertEqual(self.result(shown, named), ["{'folder': PosixPath('%s'), 'weights': b'raw\\x00'}" % tree])
        self.assertEqual(self.result(shown, Ref(FILE, b"")), ["b''"])
        self.assertEqual(self.result(shown, list_of()), ["[]"])

    def test_files_are_paths_that_keep_their_names(self):
        self.write({"1/data.csv": "one", "2/data.csv": "two"})
        load = self.load("import pathlib\ndef f(a, b): return [type(a).__name__, a.name, a.read_text(), b.read_text()]\n")
        self.assertEqual(self.result(load, File(self.path("1/data.csv")), File(self.path("2/data.csv"))),
                         ["PosixPath", "data.csv", "one", "two"])

    def test_each_call_has_its_own_copy(self):
        load = self.load("def f(x):\n    x.append(4)\n    return x\n")
        for ref in (Ref(PICKLE, pickle.dumps([1])), Ref(JSON, b"[1]")):
            for _ in range(2):
                self.assertEqual(self.result(load, ref), [1, 4])

    def test_many_references_and_descriptors(self):
        refs = [Ref(FILE, b"%d" % n, "fd") for n in range(64)] + [Ref(FILE, b"x%d" % n) for n in range(200)]
        load = self.load("import os\ndef f(*refs): return b''.join(refs).decode(), len(os.listdir('/proc/self/fd'))\n")
        text, count = self.result(load, *refs)
        self.assertEqual(text, "".join(map(str, range(64))) + "".join("x%d" % n for n in range(200)))
        for _ in range(3):
            self.assertEqual(self.result(load, *refs)[1], count, "descriptors stay open")

    def test_large_blobs_come_and_go(self):
        data = os.urandom(1 << 20) * 24
        load = self.load("def f(x): return x[::-1]\n")
        found = self.call(load, Ref(FILE, data, "fd"))
        self.assertEqual(found.value, data[::-1])
        self.assertEqual(self.call(load, data).value, data[::-1])
        found = self.call(self.load("def f(): return ['x' * 1000] * 1000\n"))
        self.assertEqual((found.kind, len(json.loads(found.value))), (JSON, 1000))
        found = self.call(load, Ref(FILE, data, "fd"), isolation=FORK)
        self.assertEqual(found.value, data[::-1])

    def test_an_argument_that_cannot_be_unpickled_says_why(self):
        gone = pickle.dumps(self.Gone()).replace(b"test_serve", b"nowhere000").replace(b"__main__", b"nowhere0")
        error = self.error(self.load("def f(x): pass\n"), Ref(PICKLE, gone))
        self.assertEqual(error["kind"], "load")
        self.assertIn("must import", error["message"])
        self.assertEqual(self.error(self.load("def f(x): pass\n"), Ref(PICKLE, b"nonsense"))["kind"], "load")
        self.assertEqual(self.error(self.load("def f(x): pass\n"), Ref(JSON, b"{"))["kind"], "load")

    class Gone:
        pass

    def test_calling_it_wrongly_is_an_exception(self):
        error = self.error(self.load("def f(x): pass\n"), 1, 2)
        self.assertEqual((error["kind"], error["type"]), ("exception", "TypeError"))
        self.assertEqual(error["message"], "f() takes 1 positional argument but 2 were given")


Values.Gone.__qualname__ = "Gone"
Gone = Values.Gone

FAILURES = [  # of f, kind, type, in the message
    ("raise ValueError('no')", "exception", "ValueError", "no"),
    ("raise Mine('x')", "exception", "train.Mine", "x"),
    ("raise StopIteration(3)", "exception", "StopIteration", "3"),
    ("raise KeyboardInterrupt", "exception", "KeyboardInterrupt", ""),
    ("raise GeneratorExit", "exception", "GeneratorExit", ""),
    ("raise BaseException('b')", "exception", "BaseException", "b"),
    ("f()", "exception", "RecursionError", "recursion"),
    ("raise MemoryError", "exception", "MemoryError", ""),
    ("raise OSError(2, 'gone')", "exception", "FileNotFoundError", "gone"),
    ("raise Mute", "exception", "train.Mute", "(it has no text)"),
    ("raise ValueError('\\ud800\\0')", "exception", "ValueError", "\\ud800\\x00"),
    ("raise ValueError('x' * 1000000)", "exception", "ValueError", "characters ..."),
    ("os.kill(os.getpid(), signal.SIGINT); time.sleep(60)", "exception", "KeyboardInterrupt", ""),
    ("sys.exit(3)", "exit", "SystemExit", "sys.exit(3)"),
    ("sys.exit()", "exit", "SystemExit", "sys.exit(0)"),
    ("sys.exit('bye')", "exit", "SystemExit", "bye"),
    ("exit(4)", "exit", "SystemExit", "sys.exit(4)"),
]
HEAD = """import ctypes, os, signal, sys, time
class Mine(Exception): pass
class Mute(Exception):
    def __str__(self): raise SystemExit(1)
def f():
    print("said")
    """


class Failures(ServeTest):
    def test_whatever_a_function_raises_is_its_error_and_the_next_call_is_well(self):
        well = self.load("def f(): return 1\n")
        pid = self.worker.ready["pid"]
        for body, kind, type_, message in FAILURES:
            load = self.load(HEAD + body + "\n")
            for isolation in BOTH:
                found = self.call(load, isolation=isolation)
                error = found.error
                self.assertEqual((error["kind"], error["type"]), (kind, type_), error)
                self.assertIn(message, error["message"])
                self.assertEqual(found.out[:5], b"said\n")
                self.assertIn('File "train.py", line ', error["traceback"])
                self.assertNotIn("cashet", error["traceback"])
                self.assertEqual(self.result(well), 1)
        self.assertEqual(self.worker.ready["pid"], pid)
        self.assertEqual([self.error(self.load(HEAD + b + "\n"))["exit"] for b in ("sys.exit(3)", "sys.exit()", "sys.exit('x')")],
                         [3, 0, 1])

    def test_tracebacks_are_those_of_the_source(self):
        load = self.load("from pkg.inner import g\nimport json\ndef f(n):\n    try:\n        json.loads('{')\n"
                         "    except ValueError:\n        g(n)\n", pkg__SLASH____init__="",
                         pkg__SLASH__inner="def g(n):\n    return 1 / n\n")
        lines = [line.strip() for line in self.error(load, 0)["traceback"].splitlines()]
        self.assertIn('File "train.py", line 5, in f', lines)
        self.assertIn('File "pkg/inner.py", line 2, in g', lines)
        self.assertIn("return 1 / n", lines)
        self.assertEqual(lines[-1], "ZeroDivisionError: division by zero")
        self.assertFalse([line for line in lines if "cashet" in line or "/source" in line], lines)

    def test_loads_that_fail_fail_their_calls(self):
        for text, type_, message in [
                ("raise ValueError('at import')\ndef f(): pass\n", "ValueError", "at import"),
                ("import nowhere\ndef f(): pass\n", "ModuleNotFoundError", "nowhere"),
                ("def f(:\n", "SyntaxError", ""), ("def g(): pass\n", "ImportError", "no f"), ("f = 3\n", "TypeError", "called"),
                ("import sys\nsys.exit(3)\n", "SystemExit", "3"), ("raise KeyboardInterrupt\n", "KeyboardInterrupt", "")]:
            load = self.load(text)
            for isolation in BOTH:
                for _ in range(2):
                    error = self.error(load, isolation=isolation)
                    self.assertEqual((error["kind"], error["type"]), ("load", type_), error)
                    self.assertIn(message, error["message"])
                    self.assertNotIn("cashet_runner", error["traceback"])
        self.assertEqual(self.error(self.worker.load(self.path("none")))["kind"], "load")

    def test_an_import_that_failed_is_tried_again(self):
        flag = self.path("flag")
        load = self.load("import os\nimport other\nif not os.path.exists(%r): raise OSError('not yet')\n"
                         "def f(): return other.n\n" % flag, other="n = 7\n")
        self.assertEqual(self.error(load)["message"], "not yet")
        self.write({"flag": ""})
        self.assertEqual(self.result(load), 7)

    def test_other_versions_are_refused_with_both_lists(self):
        self.write({"s/train.py": "def f(): return 1\n"})
        worker = self.worker
        error = self.error(worker.load(self.path("s"), name="f", packages=[{"name": "no-such-thing", "version": "1.2"}]))
        self.assertEqual(error["kind"], "refused")
        self.assertIn("no-such-thing 1.2", error["message"])
        self.assertIn("not installed", error["message"])
        error = self.error(worker.load(self.path("s"), name="f", version="3.1"))
        self.assertEqual(error["kind"], "refused")
        good = "%d.%d" % sys.version_info[:2]
        self.assertEqual(self.result(worker.load(self.path("s"), name="f", version=good, packages=[])), 1)

    def test_what_kills_the_process_kills_only_the_child_of_a_fork(self):
        for body, kind, number in [
                ("os._exit(0)", "exit", 0), ("os._exit(7)", "exit", 7), ("os.abort()", "signal", signal.SIGABRT),
                ("ctypes.string_at(0)", "signal", signal.SIGSEGV), ("os.kill(os.getpid(), 9)", "signal", 9),
                ("os.kill(os.getpid(), 15); time.sleep(60)", "signal", 15)]:
            with self.subTest(body):
                found = self.call(self.load(HEAD + body + "\n"), isolation=FORK)
                self.assertEqual((found.error["kind"], found.error[kind]), (kind, number), found)
                self.assertEqual(found.out, b"said\n")
        self.assertEqual(self.result(self.load("def f(): return 1\n")), 1)

    def test_the_log_of_a_crash_says_whose_frames_are_whose(self):
        load = self.load("import ctypes\ndef g(): ctypes.string_at(0)\ndef f(): g()\n")
        logs = [self.call(load, isolation=FORK).err.decode()]
        worker = self.worker
        worker.begin(load)
        self.assertIsNone(worker.frame())
        worker.process.wait(TIMEOUT_S)
        with open(worker.path("err")) as f:
            logs.append(f.read())
        self.ended()
        for log in logs:
            self.assertTrue(log.startswith("Fatal Python error: Segmentation fault\n"), log)
            frames = [line for line in log.splitlines() if line.startswith("  File ")]
            own = ["cashet's own" in line or "cashet_runner/program.py" in line or "cashet-runner-python" in line for line in frames]
            self.assertEqual(own, [False] * 3 + [True] * (len(own) - 3), log)
            self.assertIn("train.py\", line 2 in g", frames[1])

    def test_what_kills_a_shared_runner_leaves_what_was_printed(self):
        for body, status in [("os._exit(7)", 7), ("os.abort()", -signal.SIGABRT), ("ctypes.string_at(0)", -signal.SIGSEGV),
                             ("os.closerange(3, 1 << 16)", 72), ("os.closerange(3, 1 << 16); raise ValueError", 72)]:
            with self.subTest(body):
                load = self.load(HEAD + body + "\n")
                worker = self.worker
                worker.begin(load)
                with contextlib.suppress(EOFError):  # it may be dead by then
                    worker.begin(load)
                self.assertIsNone(worker.frame())
                self.assertEqual(worker.process.wait(TIMEOUT_S), status)
                with open(worker.path("out")) as f:
                    self.assertEqual(f.read(), "said\n")
                self.ended()

    def test_a_copy_that_a_call_makes_of_the_process_answers_nothing(self):
        load = self.load("import os\ndef f():\n    pid = os.fork()\n    print('x')\n    if pid: os.waitpid(pid, 0)\n"
                         "    return os.getpid()\n")
        for isolation in BOTH:
            found = self.call(load, isolation=isolation)
            self.assertEqual(found.letter, "D", found)
            self.assertEqual(found.out, b"x\nx\n")
            if isolation == SHARED:
                self.assertEqual(int(found.value), self.worker.ready["pid"])
        found = self.call(self.load("import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\nprint('y')\ndef f(): pass\n"))
        self.assertEqual((found.letter, found.out), ("D", b"y\ny\n"))
        found = self.call(self.load("import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\nprint('y')\ndef f(): pass\n"))
        self.assertEqual((found.letter, found.out), ("D", b"y\ny\n"))
        self.worker.send(b"P", b"12345678")
        self.assertEqual(self.worker.frame(), (b"O", b"12345678"))

    def test_a_child_that_dies_is_noticed_though_others_hold_its_pipe(self):
        load = self.load("import os, time\ndef f(run):\n    if os.fork() == 0:\n"
                         "        while os.path.exists(run): time.sleep(0.01)\n        os._exit(0)\n    os._exit(3)\n")
        self.write({"run": ""})  # until the folder of the test is removed
        self.assertEqual(self.error(load, self.path("run"), isolation=FORK)["exit"], 3)

    def test_what_still_runs_ends_the_runner_behind_the_answer(self):
        for body in ["import threading, time\ndef f():\n    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n",
                     "import subprocess\ndef f():\n    subprocess.Popen(['sleep', '60'])\n"]:
            for isolation in BOTH:
                load = self.load(body + "    return 5\n")
                self.assertEqual(self.result(load, isolation=isolation), 5)
                self.assertEqual(self.ended(), 71)

    def test_threads_of_libraries_that_wait_may_stay(self):
        load = self.load("import concurrent.futures as c, multiprocessing, multiprocessing.resource_tracker as r, queue, threading\n"
                         "pool = c.ThreadPoolExecutor(2)\ndef f():\n    r.ensure_running()\n"
                         "    threading.Thread(target=queue.Queue().get, daemon=True).start()\n"
                         "    threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
                         "    return sum(pool.map(int, '1234'))\n")
        pid = self.worker.ready["pid"]
        for _ in range(3):
            self.assertEqual(self.result(load), 10)
        self.assertEqual(self.worker.ready["pid"], pid)
        load = self.load("import threading\ndef wait(): threading.Event().wait()\n"
                         "def f(): threading.Thread(target=wait, daemon=True).start()\n")
        self.assertEqual(self.call(load).letter, "D")
        self.assertEqual(self.ended(), 71)

    def test_what_an_import_prints_is_printed_once(self):
        load = self.load("import sys\nsys.stdout.write('no end')\ndef f(): pass\n")
        self.assertEqual(self.call(load, isolation=FORK).out, b"no end")

    def test_threads_and_processes_that_end_are_fine(self):
        load = self.load("import threading, subprocess, concurrent.futures as c\ndef f():\n"
                         "    t = threading.Thread(target=print, args=('thread',))\n    t.start()\n    t.join()\n"
                         "    with c.ThreadPoolExecutor(4) as p: n = sum(p.map(int, '1234'))\n"
                         "    return n, subprocess.run(['echo', 'hi'], capture_output=True).stdout.decode()\n")
        for isolation in BOTH:
            for _ in range(3):
                self.assertEqual(self.result(load, isolation=isolation), (10, "hi\n"))


class Stream(ServeTest):
    def test_many_calls_may_be_queued_and_pings_come_in_turn(self):
        load = self.load("def f(x): return x\n")
        worker = self.worker
        for n in range(300):
            worker.begin(load, n)
            if n % 100 == 0:
                worker.send(b"P", struct.pack("<Q", n))
        for n in range(300):
            self.assertEqual(worker.answer().value, b"%d" % n)
            if n % 100 == 0:
                self.assertEqual(worker.frame(), (b"O", struct.pack("<Q", n)))

    def test_an_answer_says_how_long_it_took(self):
        found = self.call(self.load("import time\ndef f():\n    end = time.process_time() + 0.02\n"
                                    "    while time.process_time() < end: pass\n"))
        self.assertGreaterEqual(found.duration, 15_000_000)
        self.assertGreaterEqual(found.cpu, 15_000_000)
        found = self.call(self.load("import time\ndef f():\n    end = time.process_time() + 0.02\n"
                                    "    while time.process_time() < end: pass\n"), isolation=FORK)
        self.assertGreaterEqual(found.cpu, 15_000_000)

    def test_it_ends_with_the_stream_or_when_told(self):
        worker = Worker()
        self.assertEqual(worker.close(), 0)
        worker = Worker()
        worker.raw(struct.pack("<I", 1) + b"Q" + struct.pack("<I", 9) + b"P12345678")
        self.assertIsNone(worker.frame())
        self.assertEqual(worker.close(), 0)

    def test_a_number_can_stand_for_another_function(self):
        load = self.load("def f(): return 1\ndef g(): return 2\n")
        self.assertEqual(self.result(load), 1)
        self.worker.loads -= 1
        self.assertEqual(self.worker.load(self.path("source1"), name="g"), load)
        self.assertEqual(self.result(load), 2)

    def test_it_needs_its_socket(self):
        done = start("serve")
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"descriptor 3", done.stderr)


if __name__ == "__main__":
    unittest.main()

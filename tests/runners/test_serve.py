"""cashet-runner-python serve: what calls give, how they fail, what they leave behind. The driver is the worker."""

import json
import math
import os
import pickle
import signal
import struct
import sys
import time
import unittest

from driver import EXEC, EXTERN, FILE, JSON, PICKLE, TREE, TIMEOUT_S, File, Ref, Worker, list_of, outputs
from runner import RunnerTest, pythons

BOTH = SHARED, FORK = 0, 1


class ServeTest(RunnerTest):
    """One runner for all tests of a class, as long as it lives."""

    worker_ = None
    inline_max = 65536

    @property
    def worker(self):
        cls = type(self)
        if cls.worker_ is None:
            cls.worker_ = Worker(inline_max=cls.inline_max)
        return cls.worker_

    @classmethod
    def tearDownClass(cls):
        if cls.worker_ is not None:
            cls.worker_.close()
            cls.worker_ = None

    def ended(self):
        """The exit status of the runner, which ends by itself."""
        worker, type(self).worker_ = self.worker_, None
        self.assertIsNone(worker.frame())
        status = worker.process.wait(TIMEOUT_S)
        worker.close()
        return status

    def load(self, text, name="f", path="train.py", **files):
        """The number of a function in a source of its own."""
        self.sources = getattr(self, "sources", 0) + 1
        below = "source%d" % self.sources
        self.write(dict({path: text}, **{n.replace("__SLASH__", "/") + ".py": t for n, t in files.items()}), below)
        return self.worker.load(self.path(below), path, name)

    def call(self, load, *args, **more):
        return self.worker.call(load, *args, **more)

    def result(self, load, *args, **more):
        """The value of an answer that is good, whatever it was made into."""
        found = self.call(load, *args, **more)
        self.assertIsNone(found.error, found)
        self.assertEqual(found.kind in (FILE, JSON, PICKLE), True)
        if found.kind == JSON:
            return json.loads(found.value)
        return pickle.loads(found.value) if found.kind == PICKLE else found.value

    def error(self, load, *args, **more):
        found = self.call(load, *args, **more)
        self.assertEqual(found.letter, "E", found)
        return found.error


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

    def test_what_kills_a_shared_runner_leaves_what_was_printed(self):
        for body, status in [("os._exit(7)", 7), ("os.abort()", -signal.SIGABRT), ("ctypes.string_at(0)", -signal.SIGSEGV),
                             ("os.closerange(3, 1 << 16)", 72)]:
            with self.subTest(body):
                load = self.load(HEAD + body + "\n")
                worker = self.worker
                worker.begin(load)
                worker.begin(load)
                self.assertIsNone(worker.frame())
                with open(worker.path("out")) as f:
                    self.assertEqual(f.read(), "said\n")
                self.assertEqual(self.ended(), status)

    def test_a_copy_that_a_call_makes_of_the_process_answers_nothing(self):
        load = self.load("import os\ndef f():\n    pid = os.fork()\n    print('x')\n    if pid: os.waitpid(pid, 0)\n"
                         "    return os.getpid()\n")
        for isolation in BOTH:
            found = self.call(load, isolation=isolation)
            self.assertEqual(found.letter, "D", found)
            self.assertEqual(found.out, b"x\nx\n")
            if isolation == SHARED:
                self.assertEqual(int(found.value), self.worker.ready["pid"])
        self.worker.send(b"P", b"12345678")
        self.assertEqual(self.worker.frame(), (b"O", b"12345678"))

    def test_what_still_runs_ends_the_runner_behind_the_answer(self):
        for body in ["import threading, time\ndef f():\n    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n",
                     "import subprocess\ndef f():\n    subprocess.Popen(['sleep', '60'])\n"]:
            for isolation in BOTH:
                load = self.load(body + "    return 5\n")
                self.assertEqual(self.result(load, isolation=isolation), 5)
                self.assertEqual(self.ended(), 71)

    def test_threads_and_processes_that_end_are_fine(self):
        load = self.load("import threading, subprocess, concurrent.futures as c\ndef f():\n"
                         "    t = threading.Thread(target=print, args=('thread',))\n    t.start()\n    t.join()\n"
                         "    with c.ThreadPoolExecutor(4) as p: n = sum(p.map(int, '1234'))\n"
                         "    return n, subprocess.run(['echo', 'hi'], capture_output=True).stdout.decode()\n")
        for isolation in BOTH:
            for _ in range(3):
                self.assertEqual(self.result(load, isolation=isolation), (10, "hi\n"))


PRINTS = [  # body, out, err
    ("print('a'); sys.stderr.write('b')", b"a\n", b"b"),
    ("sys.stdout.write('no end')", b"no end", b""),
    ("os.write(1, b'x'); os.write(2, b'y')", b"x", b"y"),
    ("ctypes.CDLL(None).puts(b'c'); ctypes.CDLL(None).printf(b'd')", b"c\nd", b""),
    ("os.system('echo shell; echo err >&2')", b"shell\n", b"err\n"),
    ("open('/dev/stdout', 'w').write('dev')", b"dev", b""),
    ("print('é\\ud800', file=sys.stderr)", b"", "é\\ud800\n".encode()),
    ("warnings.warn('again')", b"", b"train.py:3: UserWarning: again"),
    ("logging.warning('log')", b"", b"WARNING:root:log\n"),
]
SPOILS = [  # what is done to descriptors and streams
    "os.close(1)", "os.close(2)", "os.close(1); os.close(2)", "os.closerange(0, 900)",
    "os.dup2(os.open('/dev/null', os.O_WRONLY), 1); print('lost')", "sys.stdout.close()", "sys.stderr.close()",
    "sys.stdout = None", "sys.stdout = sys.stderr = io.StringIO()", "sys.stdout.detach()", "del sys.stdout",
    "sys.__stdout__ = None", "os.close(0)", "os.ftruncate(1, 1000)", "os.unlink('../out')", "os.path.exists('../err') and os.rename('../err', '../gone')",
    "os.lseek(1, 500, 0)", "fcntl.fcntl(1, fcntl.F_SETFL, 0)",
]


class Output(ServeTest):
    inline_max = 1000
    HEAD = "import ctypes, fcntl, io, logging, os, sys, warnings\ndef f():\n    "

    def test_what_is_printed_belongs_to_its_call(self):
        silent = self.load("def f(): pass\n")
        for body, out, err in PRINTS:
            load = self.load(self.HEAD + body + "\n")
            for isolation in BOTH:
                for _ in range(2):
                    found = self.call(load, isolation=isolation)
                    self.assertEqual(found.error, None)
                    self.assertEqual(found.out, out, body)
                    self.assertIn(err, found.err, body)
                    self.assertEqual(bool(err), bool(found.err), found.err)
                    after = self.call(silent)
                    self.assertEqual((after.out, after.err), (b"", b""), body)

    def test_what_an_import_prints_belongs_to_the_first_call(self):
        load = self.load("print('imported')\ndef f(): print('called')\n")
        self.assertEqual([self.call(load).out for _ in range(2)], [b"imported\ncalled\n", b"called\n"])

    def test_much_output_is_handed_over_as_files(self):
        for n, size in enumerate((400, 999, 1000, 1001, 5000, 3 << 20)):
            load = self.load("import os\ndef f(): print('x' * %d); os.write(2, b'y' * %d); return 'r' * %d\n" % (
                size - 1, size // 2, size))
            for isolation in BOTH:
                found = self.call(load, isolation=isolation)
                self.assertEqual((len(found.out), len(found.err), len(found.value)), (size, size // 2, size + 2))
                self.assertEqual((set(found.out), set(found.err)), (set(b"x\n"), set(b"y")))
        self.assertEqual(os.listdir(self.worker.path("results")), [])
        self.assertEqual(self.call(self.load("def f(): print('after')\n")).out, b"after\n")

    def test_streams_that_a_call_breaks_are_whole_for_the_next(self):
        good = self.load("import os, sys\ndef f():\n    print('out')\n    print('err', file=sys.stderr)\n    os.write(1, b'raw')\n"
                         "    os.write(2, b'raw')\n    return sys.stdin is not None and os.fstat(0).st_mode\n")
        mode = self.result(good)
        for body in SPOILS:
            load = self.load(self.HEAD + body + "\n")
            for isolation in BOTH:
                found = self.call(load, isolation=isolation)
                self.assertEqual(found.letter, "D", (body, found))
                after = self.call(good)
                self.assertEqual((after.out, after.err), (b"out\nraw", b"err\nraw"), body)
                self.assertEqual((after.error, after.value), (None, b"%d" % mode), body)
                if "../" in body:
                    found = self.call(self.load(self.HEAD + body + "; os.write(1, b'x' * 5000); os.write(2, b'y' * 5000)\n"))
                    self.assertEqual((found.out, found.err), (b"x" * 5000, b"y" * 5000))

    def test_a_thread_that_prints_while_it_ends_disturbs_nobody(self):
        load = self.load("import threading\ndef f():\n    t = threading.Thread(target=lambda: print('t'))\n    t.start()\n")
        for _ in range(20):
            self.assertEqual(self.call(load).letter, "D")
        self.worker.send(b"P", b"abcdefgh")
        self.assertEqual(self.worker.frame(), (b"O", b"abcdefgh"))


STATE = """import decimal, gc, locale, os, resource, signal, sys, warnings, builtins, asyncio
def state():
    return {"cwd": os.getcwd(), "umask": (os.umask(0o22), os.umask(0o22))[0], "env": dict(os.environ), "path": sys.path,
            "argv": sys.argv, "meta": len(sys.meta_path), "filters": len(warnings.filters), "locale": locale.setlocale(locale.LC_ALL),
            "term": str(signal.getsignal(signal.SIGTERM)), "usr1": str(signal.getsignal(signal.SIGUSR1)),
            "int": str(signal.getsignal(signal.SIGINT)), "pipe": str(signal.getsignal(signal.SIGPIPE)),
            "mask": sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))), "alarm": signal.getitimer(signal.ITIMER_REAL)[0] > 0,
            "recursion": sys.getrecursionlimit(), "trace": sys.gettrace() is None, "gc": gc.isenabled(),
            "files": resource.getrlimit(resource.RLIMIT_NOFILE), "task": os.listdir("."), "tmp": os.listdir(os.environ["TMPDIR"]),
            "checkpoint": os.listdir(os.environ["CASHET_CHECKPOINT"]), "precision": decimal.getcontext().prec,
            "environ": type(os.environ).__name__, "putenv": os.popen("env | sort | grep -v '^_='").read()}
"""
CHANGES = [
    "os.chdir('/')", "os.umask(0o077)", "os.environ['X'] = 'y'", "del os.environ['PATH']", "os.environ.clear()", "os.environ = {}",
    "os.environ['CASHET_TASK'] = 'me'", "sys.path.insert(0, '/tmp')", "sys.path = []", "sys.path.clear()", "sys.argv.append('x')",
    "sys.meta_path.insert(0, sys.meta_path[0])", "warnings.simplefilter('ignore')", "warnings.filters.clear()",
    "locale.setlocale(locale.LC_ALL, 'C')", "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "signal.signal(signal.SIGUSR1, lambda *a: None)", "signal.signal(signal.SIGINT, signal.SIG_DFL)",
    "signal.signal(signal.SIGPIPE, signal.SIG_DFL)", "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])", "signal.alarm(100)",
    "signal.setitimer(signal.ITIMER_REAL, 100)", "sys.setrecursionlimit(500)", "sys.settrace(lambda *a: None)", "gc.disable()",
    "resource.setrlimit(resource.RLIMIT_NOFILE, (1000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))",
    "open('left', 'w').write('x')", "os.makedirs('deep/er/est')", "os.symlink('/', 'link')", "os.mkfifo('fifo')",
    "(os.mkdir('locked'), open('locked/x', 'w'), os.chmod('locked', 0))", "os.rmdir('.') if 0 else os.rmdir('../task')",
    "os.rename('../tmp', '../tmp2')", "(os.rmdir('../checkpoint'), open('../checkpoint', 'w'))", "os.chmod('.', 0)",
    "open(os.environ['TMPDIR'] + '/left', 'w')", "open(os.environ['CASHET_CHECKPOINT'] + '/left', 'w')",
    "setattr(decimal.getcontext(), 'prec', 3)", "os.mkdir('\\udcff')", "os.chdir('/') or os.rename(TASK, TASK + '2')",
]


class Leftovers(ServeTest):
    def test_what_a_call_changes_is_put_back(self):
        look = self.load(STATE + "TASK = os.getcwd()\ndef f(body):\n    exec(body)\n", name="state")
        change = self.worker.load(self.path("source1"), name="f")
        self.call(change, "pass")
        before = self.result(look)
        for isolation in BOTH:
            for body in CHANGES:
                found = self.call(change, body, isolation=isolation)
                self.assertEqual(found.letter, "D", (body, found))
                after = self.result(look)
                if isinstance(after, tuple):
                    after = list(after)
                self.assertEqual(before, after, body)

    def test_a_limit_that_cannot_be_raised_again_ends_the_runner(self):
        if os.geteuid() == 0:
            self.skipTest("root may raise it")
        load = self.load("import resource\ndef f(): resource.setrlimit(resource.RLIMIT_NOFILE, (800, 800))\n")
        self.assertEqual(self.call(load).letter, "D")
        self.assertEqual(self.ended(), 71)

    def test_globals_of_modules_stay_in_shared_and_not_in_fork(self):
        load = self.load("n = 0\ndef f():\n    global n\n    n += 1\n    return n\n")
        self.assertEqual([self.result(load, isolation=i) for i in (0, 1, 1, 0, 0)], [1, 2, 2, 2, 3])

    def test_variables_say_which_call_it_is(self):
        load = self.load("import os, subprocess\ndef f():\n    env = subprocess.run(['env'], capture_output=True).stdout.decode()\n"
                         "    names = sorted(n for n in os.environ if n.startswith('CASHET_'))\n"
                         "    assert all(n + '=' + os.environ[n] + '\\n' in env for n in names)\n"
                         "    return [os.environ[n] for n in names], os.getcwd()\n")
        worker = self.worker
        for isolation in BOTH:
            for index in (0, 3):
                values, cwd = self.result(load, task="train[%d]" % index, index=index, attempt=2, isolation=isolation)
                self.assertEqual(values, ["2", "ab" * 32, worker.path("checkpoint"), str(index), "train[%d]" % index])
                self.assertEqual(cwd, worker.path("task"))
        self.write({"elsewhere/task/x": "kept"})
        values, cwd = self.result(load, directory=self.path("elsewhere/task"))
        self.assertEqual((values[2], cwd), (self.path("elsewhere/checkpoint"), self.path("elsewhere/task")))
        self.assertEqual(self.result(load)[1], worker.path("task"))
        self.assertTrue(os.path.exists(self.path("elsewhere/task/x")))
        self.assertEqual(self.error(load, directory=self.path("nowhere"))["kind"], "load")


class Modules(ServeTest):
    def test_modules_of_one_name_never_meet(self):
        text = "import helper\nfrom pkg import deep\ndef f():\n    import late\n    from pkg.late import n\n" \
               "    return [helper.n, deep.n, late.n, n, helper.__file__]\n"
        loads = []
        for n in (1, 2, 3):
            files = {name: "n = %d\n" % n for name in ("helper", "late", "pkg__SLASH__deep", "pkg__SLASH__late")}
            loads.append(self.load(text, pkg__SLASH____init__="", **files))
        for isolation in BOTH:
            for _ in range(2):
                for n, load in enumerate(loads, 1):
                    found = self.result(load, isolation=isolation)
                    self.assertEqual(found, [n] * 4 + [self.path("source%d" % n, "helper.py")])

    def test_a_source_that_has_less_does_not_find_it_elsewhere(self):
        one = self.load("import helper\ndef f(): return helper.n\n", helper="n = 1\n")
        self.assertEqual(self.result(one), 1)
        two = self.load("def f():\n    import helper\n")
        self.assertEqual(self.error(two)["type"], "ModuleNotFoundError")
        self.assertEqual(self.error(self.load("import train2\ndef f(): pass\n"))["kind"], "load")

    def test_pickles_find_the_classes_of_their_source(self):
        text = "class Model:\n    n = %d\ndef f(x=None):\n    return Model() if x is None else [x.n, type(x) is Model]\n"
        loads = [self.load(text % n, path="model.py") for n in (1, 2)]
        data = self.call(loads[0])
        self.assertEqual(data.kind, PICKLE)
        for _ in range(2):
            for n, load in enumerate(loads, 1):
                self.assertEqual(self.result(load, Ref(PICKLE, data.value)), [n, True])

    def test_the_runner_is_not_visible(self):
        load = self.load("import sys, cashet_runner, channel, frames, json\ndef f():\n    main = sys.modules['__main__']\n"
                         "    return [cashet_runner.n, channel.n, frames.n, sorted(m for m in sys.modules if 'cashet' in m),\n"
                         "            sorted(vars(main)), [p for p in sys.path[1:] if 'runner' in p or p in ('', '.')]]\n",
                         cashet_runner="n = 1\n", channel="n = 2\n", frames="n = 3\n")
        found = self.result(load)
        self.assertEqual(found[:4], [1, 2, 3, ["cashet_runner"]])
        self.assertEqual([name for name in found[4] if not name.startswith("__")], [])
        self.assertEqual(found[5], [])
        error = self.error(self.load("import cashet_runner\ndef f(): pass\n"))
        self.assertEqual(error["type"], "ModuleNotFoundError")

    def test_nothing_comes_from_the_working_directory(self):
        self.write({"s/train.py": "def f(): import planted\n", "w/task/planted.py": "", "w/task/json.py": "raise SystemExit\n"})
        error = self.error(self.worker.load(self.path("s"), name="f"), directory=self.path("w/task"))
        self.assertEqual(error["type"], "ModuleNotFoundError")

    def test_a_file_named_like_a_module_of_pythons_is_the_sources_alone(self):
        mine = self.load("import json, string, email.message\ndef f():\n    import json as again\n"
                         "    return [json.n, again.n, hasattr(string, 'digits')]\n", json="n = 5\n")
        other = self.load("import json\ndef f(): return json.loads('3')\n")
        self.assertEqual(self.result(other), 3)
        for _ in range(2):
            self.assertEqual(self.result(mine), [5, 5, True])
        error = self.error(self.worker.load(self.path("source1"), name="g"))
        self.assertIn("defines no g", error["message"])
        self.worker.begin(other)
        if self.worker.frame() is None:  # what it has loaded may be spoilt: not one answer more
            self.assertEqual(self.ended(), 71)
        other = self.worker.load(self.path("source2"), name="f")
        self.assertEqual(self.result(other), 3)

    def test_a_source_can_have_any_entry(self):
        for path, module in [("pkg/train.py", "pkg.train"), ("pkg/__init__.py", "pkg"), ("time.py", "time"), ("os.py", "os"),
                             ("a_b.py", None)]:
            with self.subTest(path):
                below = "any_" + path.replace("/", "_")
                self.write({path: "def f(): return __name__\n"}, below)
                if path == "pkg/train.py":
                    self.write({"pkg/__init__.py": ""}, below)
                load = self.worker.load(self.path(below), path, "f", module=module)
                self.assertEqual(self.result(load), module or "a_b")

    def test_what_an_import_does_to_the_search_stays_with_its_source(self):
        self.write({"more/extra.py": "n = 9\n"})
        load = self.load("import sys\nsys.path.append(%r)\ndef f():\n    import extra\n    return extra.n\n" % self.path("more"))
        other = self.load("def f():\n    import extra\n")
        for _ in range(2):
            self.assertEqual(self.result(load), 9)
            self.assertEqual(self.error(other)["type"], "ModuleNotFoundError")

    def test_modules_made_by_hand_and_builtins_stay_with_their_source(self):
        load = self.load("import sys, types, builtins\nsys.modules['made'] = types.ModuleType('made')\nbuiltins.mine = 3\n"
                         "def f():\n    import made\n    return mine\n")
        other = self.load("import sys, builtins\ndef f(): return 'made' in sys.modules, hasattr(builtins, 'mine')\n")
        self.assertEqual(self.result(load), 3)
        self.assertEqual(self.result(other), (False, False))

    def test_many_sources(self):
        loads = [self.load("import h\ndef f(): return h.n\n", h="n = %d\n" % n) for n in range(100)]
        for _ in range(2):
            self.assertEqual([self.result(load) for load in loads], list(range(100)))

    def test_functions_of_one_source_share_its_modules(self):
        one = self.load("n = []\ndef f(): n.append(1)\ndef g(): return len(n)\n")
        two = self.worker.load(self.path("source1"), name="g")
        self.call(one)
        self.assertEqual(self.result(two), 1)

    def test_data_classes_and_processes_work(self):
        load = self.load("from __future__ import annotations\nimport dataclasses, multiprocessing, pickle\n"
                         "@dataclasses.dataclass\nclass D:\n    x: int = 1\ndef double(x): return 2 * x\n"
                         "def f():\n    with multiprocessing.get_context('fork').Pool(2) as p:\n"
                         "        found = p.map(double, [1, 2])\n        p.close()\n        p.join()\n"
                         "    return [found, pickle.loads(pickle.dumps(D(4))).x]\n")
        self.assertEqual(self.result(load), [[2, 4], 4])


class Environment(ServeTest):
    def test_installed_packages_are_found_as_a_normal_start_finds_them(self):
        python = self.environment()
        self.install("Fancy", "1.2", {"fancy.py": "n = 1\n"})
        self.write({"venv/" + os.path.join("lib", "python%d.%d" % sys.version_info[:2], "site-packages", "x.pth"):
                    self.path("src") + "\nimport sys; sys.from_pth = 5\n", "src/edited.py": "n = 2\n", "extra/by_path.py": "n = 3\n",
                    "s/train.py": "import fancy, edited, by_path, sys\n"
                                  "def f(): return [fancy.n, edited.n, by_path.n, sys.from_pth, sys.prefix, sys.executable]\n"})
        worker = Worker(python=python, env={"PYTHONPATH": "relative:" + self.path("extra")})
        self.addCleanup(worker.close)
        load = worker.load(self.path("s"), name="f", packages=[{"name": "fancy", "version": "1.2"}])
        found = worker.call(load)
        self.assertEqual(json.loads(found.value), [1, 2, 3, 5, self.path("venv"), python])
        load = worker.load(self.path("s"), name="f", packages=[{"name": "Fancy", "version": "1.3"}])
        self.assertIn("Fancy 1.2", worker.call(load).error["message"])

    def test_every_python_of_this_machine_serves(self):
        self.write({"s/train.py": "import os, sys\nclass C: pass\ndef f(x, *more):\n    print('p')\n    os.write(2, b'e')\n"
                                  "    if x == 1: raise ValueError(x)\n    if x == 2: return C()\n    return [x, sys.version_info[1]]\n"
                                  "async def g(): return 1\n"})
        for minor, path in pythons():
            with self.subTest(minor=minor):
                worker = Worker(python=path)
                self.addCleanup(worker.close)
                load = worker.load(self.path("s"), name="f")
                for isolation in (SHARED, FORK):
                    found = worker.call(load, 0, isolation=isolation)
                    self.assertEqual((found.value, found.out, found.err), (b"[0,%d]" % minor, b"p\n", b"e"), found)
                    error = worker.call(load, 1, isolation=isolation).error
                    self.assertEqual((error["type"], error["traceback"].count("File")), ("ValueError", 1), error)
                    self.assertEqual(worker.call(load, 2, isolation=isolation).kind, PICKLE)
                    self.assertEqual(worker.call(load, Ref(PICKLE, pickle.dumps(5, 4)), isolation=isolation).value, b"[5,%d]" % minor)
                    self.assertEqual(worker.call(worker.load(self.path("s"), name="g"), isolation=isolation).value, b"1")


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
        worker.send(b"Q")
        worker.send(b"P", b"12345678")
        self.assertIsNone(worker.frame())
        self.assertEqual(worker.close(), 0)

    def test_a_number_can_stand_for_another_function(self):
        load = self.load("def f(): return 1\ndef g(): return 2\n")
        self.assertEqual(self.result(load), 1)
        self.worker.loads -= 1
        self.assertEqual(self.worker.load(self.path("source1"), name="g"), load)
        self.assertEqual(self.result(load), 2)

    def test_it_needs_its_socket(self):
        from runner import start
        done = start("serve")
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"descriptor 3", done.stderr)


if __name__ == "__main__":
    unittest.main()

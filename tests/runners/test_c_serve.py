"""cashet-runner-c serve and prepare: calls as a worker makes them, and what functions do to their process."""

import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

from c_runner import PROGRAM, RunnerTest, answer, start
from driver import EXTERN, FILE, JSON, PICKLE, TREE, EXEC, File, Ref, Worker, list_of, outputs

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(HERE, "serve_tasks.c")
NAN = float("nan")


def lay_out(row, folder):
    """What a worker has of a source: its files, and beside them what the client said. Return: the folder of files."""
    for c in row["closure"]:
        path = os.path.join(folder, "files", c["path"])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        shutil.copy(c["file"], path)
    with open(os.path.join(folder, "source.json"), "w") as f:
        json.dump({"source": "00" * 32, "version": None, "units": [
            {"language": "c", "path": row["entry"]["path"], "name": row["entry"]["function"], "hash": row["hash"],
             "identity": row["identity"], "packages": [], "flags": row["flags"]}]}, f)
    return os.path.join(folder, "files")


def prepare(files, cache, **more):
    done = start("prepare", "--cache", cache, files, **more)
    found = json.loads(done.stdout)
    assert done.returncode == (0 if found["ok"] else 1), done
    return found


class Shared:
    """The library of serve_tasks.c: for all tests of this file, built as workers do, but with every name in it."""

    folder = library = None

    @classmethod
    def get(cls):
        if cls.library is None:
            cls.folder = tempfile.mkdtemp(prefix="cashet-runner-c-")
            unittest.addModuleCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
            cls.library = os.path.join(cls.folder, "tasks.so")
            include = os.path.join(os.path.dirname(os.path.dirname(PROGRAM)), "include")
            done = start_compiler("-shared", "-fPIC", "-O1", "-g", "-isystem", include, SOURCE, "-o", cls.library, "-lpthread")
            assert done == 0
        return cls.library


def start_compiler(*args):
    import subprocess
    return subprocess.run(["cc", *args]).returncode


class ServeTest(RunnerTest):
    def worker(self, **more):
        worker = Worker(command=[PROGRAM], **more)
        self.addCleanup(worker.close)
        return worker

    def load(self, worker, name):
        return worker.load(HERE, path="serve_tasks.c", name=name, library=Shared.get(), packages=[], version=None)

    def good(self, worker, name, *args, **more):
        """The value of a call that must be good; JSON is read."""
        found = worker.call(self.load(worker, name), *args, **more)
        self.assertEqual(found.letter, "D", found)
        return json.loads(found.value) if found.kind == JSON else found.value

    def bad(self, worker, name, kind, *args, **more):
        found = worker.call(self.load(worker, name), *args, **more)
        self.assertEqual((found.letter, found.error["kind"] if found.error else None), ("E", kind), found)
        return found


class Arguments(ServeTest):
    def test_every_type_arrives_as_what_it_is(self):
        w = self.worker()
        values = [None, True, False, 0, -1, 2**63 - 1, -2**63, "", "é\n", [], [1, [2, [3]]], {}, {"k": {"l": None}, "": 2}]
        self.assertEqual(self.good(w, "echo", *values), values + ["missing"])
        self.assertEqual(self.good(w, "echo", kwargs={"named": [1]}), [[1]])
        floats = [0.5, -0.0, 1e-320, float("inf"), NAN, 1.0]
        self.assertEqual(self.good(w, "echo", *floats)[:-1], ["0x1p-1", "-0x0p+0", "0x0.00000000007e8p-1022", "inf", "nan", "0x1p+0"])
        self.assertEqual(self.good(w, "echo", b"", b"ab", b"\0" * 1000)[:-1], [[0, -1, -1, True], [2, 97, 98, True], [1000, 0, 0, True]])

    def test_what_other_tasks_made(self):
        w = self.worker()
        self.write({"folder/a": "1", "deep/data.csv": "x"})
        large = bytes(range(256)) * 1000
        refs = [Ref(FILE, b"small"), Ref(EXEC, b"#!"), Ref(FILE, b""), Ref(FILE, large, where="descriptor"), Ref(PICKLE, b"\x80."),
                Ref(JSON, b'{"a": [1, 2.5, "x", null, true], "b": {"c": 18446744073709551615}}'), Ref(JSON, b"7", where="descriptor"),
                list_of(Ref(FILE, b"one"), Ref(JSON, b'"two"')), list_of(), outputs(model=Ref(FILE, b"m"), best=Ref(EXEC, b"1")),
                Ref(TREE, b"t", path=self.path("folder")), Ref(EXTERN, b"v1", path="/usr"), File(self.path("deep/data.csv"))]
        expected = [[5, 115, 108, True], [2, 35, 33, True], [0, -1, -1, True], [256000, 0, 255, True], [2, 128, 46, True],
                    {"a": [1, "0x1.4p+1", "x", None, True], "b": {"c": "0x1p+64"}}, 7, [[3, 111, 101, True], "two"], [],
                    {"best": [1, 49, 49, True], "model": [1, 109, 109, True]}, self.path("folder"), "/usr", self.path("deep/data.csv")]
        for isolation in (0, 1):
            self.assertEqual(self.good(w, "echo", *refs, isolation=isolation)[:-1], expected)
        self.assertEqual(self.good(w, "echo", [Ref(FILE, b"in a list")], kwargs={"named": {"x": Ref(JSON, b"[]")}}),
                         [[[9, 105, 116, True]], {"x": []}])
        self.assertEqual(self.good(w, "raw_json", Ref(JSON, b' {"a":1} ')), b' {"a":1} ')
        for given in ("a\u00e9", Ref(JSON, '"a\\u00e9"'.encode()), Ref(FILE, "a\u00e9".encode())):
            self.assertEqual(self.good(w, "as_bytes", given), "a\u00e9".encode())
        self.assertEqual(self.good(w, "as_bytes", Ref(JSON, b'"a\\u0000b"')), b"a\0b")
        for text, said in ((b'"a\\u0000b"', "read it with cashet_bytes()"), (b'{"a\\u0000b": 1}', "a key has a NUL")):
            self.assertIn(said, self.bad(w, "echo", "exception", Ref(JSON, text)).error["message"])

    def test_many_members(self):
        w = self.worker()
        members = [Ref(FILE, b"%d" % n) for n in range(3000)]
        found = self.good(w, "echo", list_of(*members))
        self.assertEqual([m[0] for m in found[0]], [len(b"%d" % n) for n in range(3000)])

    def test_a_wrong_type_is_a_message_that_names_the_argument(self):
        w = self.worker()
        rows = [("bool", 1, "argument value: boolean expected, integer given"), ("int", 1.0, "argument value: integer expected, float given"),
                ("float", "x", "argument value: float expected, text given"), ("float", 2**53 + 1, "argument value: float expected, and no float is exactly this integer"),
                ("text", b"", "argument value: text expected, bytes given"), ("text", "a\0b", "argument value: the text has a NUL in it; read it with cashet_bytes()"),
                ("bytes", [], "argument value: bytes expected, list given"), ("path", {}, "argument value: file expected, map given"),
                ("count", None, "argument value: list expected, null given"), ("member", [0, {"x": "y"}], "argument value[1].x: integer expected, text given"),
                ("member", [0], "argument value[1] is missing (map expected)"), ("member", [0, {}], "argument value[1].x is missing (integer expected)"),
                ("json", 1, "argument value: JSON result of a task expected, integer given")]
        for as_, value, message in rows:
            with self.subTest(message):
                found = self.bad(w, "wrong", "exception", kwargs={"as": as_, "value": value})
                self.assertEqual(found.error["message"], message)
        self.assertEqual(self.bad(w, "wrong", "exception", kwargs={"value": 1}).error["message"], "argument as is missing (text expected)")
        for good in (("float", 3), ("float", 2**53), ("bytes", "text")):
            self.good(w, "wrong", kwargs=dict(zip(("as", "value"), good)))

    def test_malformed_arguments_end_it(self):
        for encoded in (b"", b"\x80", b"\x83\x01\x80\xa0", b"\x83\x02\x81\x18\x01\xa0", b"\x83\x02\x80\xa0\x00", b"\x83\x02\x81\x81\x09\xa0",
                        b"\x83\x02\x81\x82\x03\x58\x21" + b"\x01" * 33 + b"\xa0", b"\x83\x02\x81" + b"\x82\x01" * 40 + b"\x00\xa0"):
            w = self.worker()
            w.begin(self.load(w, "noop"), encoded=encoded)
            self.assertIsNone(w.frame())
            self.assertEqual(w.process.wait(60), 70, encoded)

    def test_about_the_task(self):
        w = self.worker()
        for isolation in (0, 1):
            self.assertEqual(self.good(w, "info", task="größe", index=5, attempt=2, isolation=isolation),
                             ["größe", "ab" * 32, 5, 2, True, w.path("checkpoint"), "größe", "5", "2", True, True])
        os.makedirs(self.path("own", "task"))
        self.assertEqual(self.good(w, "info", directory=self.path("own", "task"))[4:6], [True, self.path("own", "checkpoint")])
        self.assertEqual(self.good(w, "info")[4:6], [True, w.path("checkpoint")])


class Results(ServeTest):
    def test_nothing_bytes_and_json(self):
        w = self.worker(inline_max=5000)
        self.assertIsNone(self.good(w, "noop"))
        for isolation in (0, 1):
            for size in (0, 10, 4998, 4999, 300000):
                self.assertEqual(self.good(w, "bytes", size, isolation=isolation), b"x" * size + b"7%")
            for size in (0, 1, 5000, 5001, 3000000):
                found = self.good(w, "room", size, isolation=isolation)
                self.assertEqual((len(found), found.count(b"r")), (size, (size + 99) // 100))
            self.assertEqual(w.call(self.load(w, "json"), isolation=isolation).value.decode(),
                             '{"a\\"\\né":[0.1,-0.0,1e+300,3.0,-9223372036854775808,"\\u0001/\\\\"],"b":{}}')
        self.assertEqual(len(self.good(w, "echo", ["x" * 100] * 200)[0]), 200)
        self.assertEqual(os.listdir(w.path("results")), [])

    def test_what_is_no_result(self):
        w = self.worker()
        for n in range(11):
            for isolation in (0, 1):
                self.assertGreater(len(self.bad(w, "bad_result", "result", n, isolation=isolation).error["message"]), 10, n)

    def test_an_object_has_a_key_once(self):
        w = self.worker()
        for n in (0, 5, 3000):
            found = self.good(w, "keys", n, False, "")
            self.assertEqual([len(found[2]), found[2].get('"1')], [n + 1, {'"1': 1} if n else None])
            for key in ["", '"0', '"%d' % (n - 1)][:1 if n == 0 else 3]:
                self.assertEqual(self.bad(w, "keys", "result", n, True, key).error["message"],
                                 "a JSON object has the key %s twice" % key)
        self.assertEqual(os.listdir(w.path("results")), [])

    def test_failing_says_why(self):
        w = self.worker()
        for isolation in (0, 1):
            found = self.bad(w, "failing", "exception", isolation=isolation)
            self.assertEqual((found.error["message"], found.out), ("it is 42", b"so far\n"))
            self.assertEqual(self.bad(w, "returns_three", "exception", isolation=isolation).error["message"], "the function returned 3")

    def test_what_was_printed(self):
        w = self.worker(inline_max=1000)
        for isolation in (0, 1):
            for n in (0, 3, 20000, 1):
                found = w.call(self.load(w, "print"), n, isolation=isolation)
                self.assertEqual((found.out, found.err), (b"".join(b"line %d\n" % i for i in range(n)), b"to people"))


class Process(ServeTest):
    def test_a_call_finds_the_process_as_it_should_be(self):
        w = self.worker()
        for isolation in (0, 1):
            for _ in range(3):
                w.call(self.load(w, "mess"), isolation=isolation)
                found = w.call(self.load(w, "clean"))
                self.assertEqual((json.loads(found.value), found.out), ([True] * 14, b"seen"))

    def test_small_calls_hide_nothing(self):
        w = self.worker()
        load = {name: self.load(w, name) for name in ("noop", "mess", "clean")}

        def small(count):
            for _ in range(count):
                self.assertEqual(w.call(load["noop"]).letter, "D")

        for count in (1, 2, 30, 0, 0, 0):
            small(count)
            found = w.call(load["clean"])
            self.assertEqual((json.loads(found.value), found.out), ([True] * 14, b"seen"), count)
            small(count)
            self.assertEqual(w.call(load["mess"]).out, b"printed")

    def test_globals_stay_in_a_shared_process_only(self):
        w = self.worker()
        found = [self.good(w, "counter", isolation=isolation) for isolation in (0, 1, 1, 0)]
        self.assertEqual(found, [1, 2, 2, 2])

    def test_death_in_a_fork_is_an_answer(self):
        w = self.worker(env={"ASAN_OPTIONS": "handle_segv=0:handle_abort=0"})
        for name, args, kind, number in (("segfault", (), "signal", signal.SIGSEGV), ("aborts", (), "signal", signal.SIGABRT),
                                         ("exits", (3,), "exit", 3), ("exits", (0,), "exit", 0), ("leaves_at_once", (), "exit", 9)):
            found = self.bad(w, name, kind, *args, isolation=1)
            self.assertEqual(found.error["signal" if kind == "signal" else "exit"], number, found)
            if name in ("segfault", "exits"):
                self.assertEqual(found.out, b"before")
        self.good(w, "noop")

    def test_exit_is_an_answer_and_the_end(self):
        w = self.worker()
        found = self.bad(w, "exits", "exit", 5)
        self.assertEqual((found.error["exit"], found.out), (5, b"before"))
        self.assertIsNone(w.frame())
        self.assertEqual(w.process.wait(60), 71)

    def test_death_of_the_process_is_seen(self):
        for name, status in (("segfault", -signal.SIGSEGV), ("aborts", -signal.SIGABRT), ("leaves_at_once", 9)):
            w = self.worker(env={"ASAN_OPTIONS": "handle_segv=0:handle_abort=0"})
            w.begin(self.load(w, name))
            self.assertIsNone(w.frame())
            self.assertEqual(w.process.wait(60), status)
            if name == "segfault":
                with open(w.path("out")) as f:
                    self.assertEqual(f.read(), "before")

    def test_what_cannot_be_put_right_ends_it_behind_its_answer(self):
        for name in ("leaves_a_child", "closes_streams"):
            w = self.worker()
            self.good(w, name)
            self.assertIsNone(w.frame())
            self.assertEqual(w.process.wait(60), 71)
            try:  # the child, which the worker would kill with the tree
                os.killpg(w.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def test_closing_all_descriptors_fails_that_call_only(self):
        w = self.worker()
        w.begin(self.load(w, "closes_all"))
        self.assertIsNone(w.frame())
        self.assertEqual(w.process.wait(60), 72)

    def test_descriptors_that_calls_leave_open_are_no_trouble_of_others(self):
        w = self.worker(descriptors=256)
        self.good(w, "leaves_descriptors", 200, isolation=1)
        for count in (50, 50, 100):
            self.good(w, "leaves_descriptors", count)
        self.assertIsNone(w.frame())
        self.assertEqual(w.process.wait(60), 71)

    def test_mapped_arguments_cannot_be_written(self):
        w = self.worker(env={"ASAN_OPTIONS": "handle_segv=0"})
        found = self.bad(w, "writes_to_argument", "signal", Ref(FILE, b"x" * 100000, where="descriptor"), isolation=1)
        self.assertEqual(found.error["signal"], signal.SIGSEGV)

    def test_threads(self):
        self.assertEqual(self.good(self.worker(), "threads"), 6)

    def test_descriptors_are_given_back(self):
        w = self.worker()
        load = self.load(w, "echo")
        self.good(w, "noop")
        before = len(os.listdir("/proc/%d/fd" % w.process.pid))
        for n in range(20):
            w.call(load, Ref(FILE, b"%d" % n * 5000, where="descriptor"), isolation=n % 2)
        end = time.monotonic() + 60  # those of the last call go behind its answer
        while len(os.listdir("/proc/%d/fd" % w.process.pid)) != before:
            self.assertLess(time.monotonic(), end, os.listdir("/proc/%d/fd" % w.process.pid))
            time.sleep(0.01)


class Protocol(ServeTest):
    def test_many_calls_at_once_are_answered_in_order(self):
        w = self.worker()
        load = self.load(w, "echo")

        def send():
            for n in range(500):
                w.begin(load, n, Ref(FILE, b"%d" % n * 3000, where="descriptor") if n % 50 == 0 else None)
        sender = threading.Thread(target=send)
        sender.start()
        for n in range(500):
            found = w.answer()
            self.assertEqual((found.id, json.loads(found.value)[0]), (n + 1, n))
        sender.join()

    def test_ping_quit_and_the_end_of_the_stream(self):
        w = self.worker()
        w.send(b"P", struct.pack("<Q", 77))
        self.assertEqual(w.frame(), (b"O", struct.pack("<Q", 77)))
        w.send(b"Q")
        self.assertIsNone(w.frame())
        self.assertEqual(w.process.wait(60), 0)
        w = self.worker()
        self.assertEqual((w.ready["protocol"], w.ready["language"]), (1, "c"))
        self.assertEqual(w.close(), 0)

    def test_what_cannot_be_loaded_fails_its_calls(self):
        w = self.worker()
        self.write({"text.so": "no library", "x-" + "0" * 64 + ".so": "changed"})
        for library, name in ((Shared.get(), "no_such"), (self.path("missing.so"), "f"), (self.path("text.so"), "f"),
                              (self.path("x-" + "0" * 64 + ".so"), "f"), (None, "f")):
            load = w.load(HERE, name=name, library=library, packages=[], version=None)
            self.assertEqual(w.call(load).error["kind"], "load")
        self.assertEqual(w.call(99).error["kind"], "load")
        load = w.load(HERE, name="noop", library=Shared.get(), packages=[{"name": "x", "version": "1"}], version=None)
        self.assertEqual(w.call(load).error["kind"], "refused")
        self.good(w, "noop")

    def test_malformed_frames_end_it(self):
        w = self.worker()
        body, _ = w.call_body(self.load(w, "noop"))
        cut = struct.pack("<I", len(body)) + b"C" + body[:-1]
        for data in (b"\0\0\0\0", b"\xff\xff\xff\xff", struct.pack("<I", 1) + b"?", struct.pack("<I", 1) + b"R", cut,
                     struct.pack("<I", 3) + b"W{}", struct.pack("<I", 2) + b"P\0"):
            w = self.worker()
            w.raw(data)
            self.assertIsNone(w.frame(), data)
            self.assertEqual(w.process.wait(60), 70, data)
        w = self.worker(welcome=False)
        w.send(b"P", bytes(8))
        self.assertEqual(w.process.wait(60), 70)

    def test_frames_of_noise_never_kill_it_by_a_signal(self):
        random.seed(11)
        for _ in range(12):
            w = self.worker()
            body, _ = w.call_body(self.load(w, "echo"), [1, [2, "x"], {"k": Ref(FILE, b"abc")}, Ref(JSON, b"[1]")])
            try:
                for _ in range(60):
                    noise = bytearray(body)
                    for _ in range(random.randrange(1, 4)):
                        noise[random.randrange(len(noise))] = random.randrange(256)
                    w.send(b"C", bytes(noise))
            except (OSError, EOFError):
                pass
            try:
                w.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            while w.frame() is not None:
                pass
            self.assertIn(w.process.wait(60), (0, 70, 71))


class Prepare(RunnerTest):
    FILES = {"train.c": '#include <cashet/task.h>\n#include "helper.h"\nint train(struct cashet_task *task)\n{\n'
                        '\tcashet_json_int(task, helper(LIMIT));\n\treturn 0;\n}\nint other(struct cashet_task *t) { return missing(); }\n',
             "helper.h": "int helper(int x);\nint missing(void);\n", "helper.c": "int helper(int x) { return x * 2; }\n"}

    def source(self, files=None, *flags):
        self.write(files or self.FILES, "client")
        row = answer(*["--flag=" + f for f in flags], self.path("client", "train.c:train"))["targets"][0]
        self.assertTrue(row["ok"], row)
        return row, lay_out(row, self.path("source"))

    def refused(self, files, kind):
        found = prepare(files, self.path("cache"))
        self.assertFalse(found["ok"], found)
        self.assertEqual(found["error"]["kind"], kind, found)
        return found["error"]["message"]

    def call(self, library):
        worker = Worker(command=[PROGRAM])
        self.addCleanup(worker.close)
        return worker.call(worker.load(HERE, name="train", library=library, packages=[], version=None))

    def test_it_compiles_once_and_what_it_compiled_runs(self):
        _, files = self.source(None, "-DLIMIT=21", "-O3")
        first = prepare(files, self.path("cache"))
        self.assertTrue(first["ok"], first)
        made = os.stat(first["library"])
        self.assertEqual(made.st_mode & 0o777, 0o500)
        again = prepare(files, self.path("cache"))
        self.assertEqual((again, os.stat(first["library"]).st_ino), (first, made.st_ino))
        self.assertEqual(self.call(first["library"]).value, b"42")
        os.chmod(first["library"], 0o700)
        with open(first["library"], "ab") as f:
            f.write(b"more")
        self.assertIn("changed", self.call(first["library"]).error["message"])
        third = prepare(files, self.path("cache"))
        self.assertEqual(third, first)
        self.assertEqual(self.call(third["library"]).value, b"42")
        self.assertEqual(os.listdir(self.path("cache")), [os.path.basename(first["library"])])

    def test_it_gives_the_same_bytes_wherever_the_source_lies(self):
        row, files = self.source(None, "-DLIMIT=1")
        other = lay_out(row, self.path("elsewhere", "deeper"))
        found = [prepare(f, self.path(cache)) for f, cache in ((files, "cache"), (other, "second"))]
        self.assertEqual(*[os.path.basename(f["library"]) for f in found])

    def test_another_flag_is_another_library(self):
        libraries = set()
        for n in (1, 2):
            _, files = self.source(None, "-DLIMIT=%d" % n)
            libraries.add(prepare(files, self.path("cache"))["library"])
        self.assertEqual(len(libraries), 2)

    def test_a_source_that_is_not_what_was_said_is_refused(self):
        _, files = self.source(None, "-DLIMIT=21")
        with open(os.path.join(files, "helper.c"), "w") as f:
            f.write("int helper(int x) { return x * 3; }\n")
        self.assertIn("hash", self.refused(files, "mismatch"))
        with open(os.path.join(files, "helper.c"), "w") as f:
            f.write("int helper(int x) { return }\n")
        self.assertIn("helper.c:1:", self.refused(files, "syntax"))
        os.unlink(os.path.join(files, "train.c"))
        self.refused(files, "missing")
        os.unlink(os.path.join(files, "..", "source.json"))
        self.assertIn("source.json", self.refused(files, "missing"))

    def test_flags_are_checked_again(self):
        row, files = self.source(None, "-DLIMIT=21")
        row["flags"] = ["-DLIMIT=22"]
        lay_out(row, self.path("source"))
        self.assertIn("identity", self.refused(files, "mismatch"))
        row["flags"] = ["-fplugin=x.so"]
        lay_out(row, self.path("source"))
        self.assertIn("-fplugin", self.refused(files, "mismatch"))

    def test_what_the_compiler_refuses_is_said_in_its_words(self):
        _, files = self.source({"train.c": "#include <cashet/task.h>\n#ifndef __clang__\n#error only clang\n#endif\n"
                                           "int train(struct cashet_task *task) { return 0; }\n"})
        found = prepare(files, self.path("cache"), env=dict(os.environ, CC="gcc"))
        self.assertEqual(found["error"]["kind"], "compile")
        self.assertIn("./train.c:3:2: error: #error only clang", found["error"]["message"])
        for more, flags, first in (("", ["-lno_such_library"], "cannot find -lno_such_library"),
                                   ('__asm__ volatile("no_such_instruction");', [], "no such instruction")):
            _, wrong = self.source({"train.c": "#include <cashet/task.h>\nint train(struct cashet_task *task)\n{\n\t%s\n"
                                               "\treturn 0;\n}\n" % more}, *flags)
            message = prepare(wrong, self.path("cache"), env=dict(os.environ, CC="gcc"))["error"]["message"]
            self.assertIn(first, message.split("\n")[0])
        found = prepare(files, self.path("cache"), env=dict(os.environ, CC="no-such-compiler"))
        self.assertEqual(found["error"]["kind"], "compile")
        self.assertIn("no-such-compiler", found["error"]["message"])
        self.assertEqual(os.listdir(self.path("cache")), [])

    def test_a_name_of_the_source_is_never_taken_from_elsewhere(self):
        _, files = self.source({"train.c": "#include <cashet/task.h>\n#include <stdlib.h>\n"
                                           "int y1(int x) { return x + 1; }\n__attribute__((noinline)) int serve(void) { return y1(4); }\n"
                                           "int train(struct cashet_task *task) { cashet_json_int(task, serve()); return 0; }\n"})
        self.assertEqual(self.call(prepare(files, self.path("cache"))["library"]).value, b"5")

    def test_a_cache_that_others_may_write_is_not_used(self):
        _, files = self.source(None, "-DLIMIT=21")
        os.mkdir(self.path("cache"))
        os.chmod(self.path("cache"), 0o777)
        self.assertIn("writable by nobody else", self.refused(files, "missing"))
        os.chmod(self.path("cache"), 0o700)
        self.assertTrue(prepare(files, self.path("cache"))["ok"])
        os.mkdir(self.path("open"))
        os.chmod(self.path("open"), 0o777)  # the folder itself could be exchanged
        self.assertIn("writable by nobody else", prepare(files, self.path("open", "cache"))["error"]["message"])
        os.chmod(self.path("open"), 0o1777)
        self.assertTrue(prepare(files, self.path("open", "cache"))["ok"])

    def names(self):
        return sorted(os.listdir(self.path("cache")))

    def fake(self, name, size, age):
        """A file of the cache, not used for so many seconds; without bytes on the disk."""
        path = self.path("cache", name)
        with open(path, "wb") as f:
            f.truncate(size)
        os.utime(path, (time.time() - age,) * 2)

    def test_what_was_not_used_for_longest_makes_room(self):
        _, files = self.source(None, "-DLIMIT=21")
        os.mkdir(self.path("cache"), 0o700)
        old, older, oldest = ("%064x-%064x.so" % (n, n) for n in range(3))
        for name, age in ((old, 1000), (older, 2000), (oldest, 3000)):
            self.fake(name, 200 << 20, age)
        self.fake("new-1-2.so", 10, 4000)  # of one that was killed
        self.fake("new-1-3.so", 10, 3)
        self.fake("other", 900 << 20, 9000)
        mine = os.path.basename(prepare(files, self.path("cache"))["library"])
        self.assertEqual(self.names(), sorted([old, older, mine, "new-1-3.so", "other"]))
        os.utime(self.path("cache", mine), (5, 5))
        prepare(files, self.path("cache"))
        self.assertGreater(os.stat(self.path("cache", mine)).st_mtime, 5, "it was used")
        os.utime(self.path("cache", mine), (5, 5))
        self.call(self.path("cache", mine))
        self.assertGreater(os.stat(self.path("cache", mine)).st_mtime, 5, "it was loaded")

    def test_many_compile_the_same_at_once_and_one_is_left(self):
        _, files = self.source(None, "-DLIMIT=21")
        argv = [PROGRAM, "prepare", "--cache", self.path("cache"), files]
        many = [subprocess.Popen(argv, stdout=subprocess.PIPE) for _ in range(4)]
        said = {one.communicate()[0] for one in many}
        self.assertEqual([len(said), [one.returncode for one in many]], [1, [0] * 4], said)
        self.assertEqual(self.names(), [os.path.basename(json.loads(said.pop())["library"])])

    def test_half_a_library_is_made_again(self):
        _, files = self.source(None, "-DLIMIT=21")
        first = prepare(files, self.path("cache"))
        os.chmod(first["library"], 0o700)
        os.truncate(first["library"], 1000)
        self.assertEqual(prepare(files, self.path("cache")), first)
        self.assertEqual(self.call(first["library"]).value, b"42")
        os.truncate(first["library"], 0)
        os.unlink(first["library"])
        self.assertEqual(prepare(files, self.path("cache")), first)

    def test_where_it_is_without_a_folder_given(self):
        _, files = self.source(None, "-DLIMIT=21")
        env = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
        for more, folder in (({"XDG_CACHE_HOME": self.path("x"), "HOME": self.path("h")}, self.path("x/cashet/libraries")),
                             ({"XDG_CACHE_HOME": "x", "HOME": self.path("h")}, self.path("h/.cache/cashet/libraries")),
                             ({"HOME": "relative"}, "/tmp/cashet-%d/libraries" % os.getuid())):
            found = json.loads(start("prepare", files, env={**env, **more}).stdout)
            self.assertTrue(found["ok"], found)
            self.assertEqual(os.path.dirname(found["library"]), folder)
        os.unlink(found["library"])

    def compiler(self, *lines):
        self.write({"cc": "#!/bin/sh\n" + "".join(line + "\n" for line in lines) + 'exec cc "$@"\n'})
        os.chmod(self.path("cc"), 0o755)
        return dict(os.environ, CC=self.path("cc"))

    def test_another_version_of_the_compiler_compiles_again(self):
        _, files = self.source(None, "-DLIMIT=21")
        for version in (1, 2, 2):
            env = self.compiler('[ "$1" = --version ] && echo cc %d && exit' % version, "echo >>%s" % self.path("compiled"))
            self.assertTrue(prepare(files, self.path("cache"), env=env)["ok"])
        self.assertEqual(os.stat(self.path("compiled")).st_size, 2)

    def test_a_full_disk_is_not_the_fault_of_the_source(self):
        _, files = self.source(None, "-DLIMIT=21")
        env = self.compiler('[ "$1" = --version ] || { echo "train.c:1: fatal error: error writing: No space left on device"; exit 1; }')
        found = prepare(files, self.path("cache"), env=env)
        self.assertEqual(found["error"]["kind"], "full", found)
        self.assertEqual(self.names(), [])

    def test_changed_headers_of_the_system_compile_again(self):
        _, files = self.source(None, "-DLIMIT=21")
        header = self.path("usr/include/cashet/task.h")
        os.makedirs(os.path.dirname(header))
        os.makedirs(self.path("usr/bin"))
        shutil.copy(os.path.join(os.path.dirname(os.path.dirname(PROGRAM)), "include/cashet/task.h"), header)
        shutil.copy(PROGRAM, self.path("usr/bin/runner"))
        argv = [self.path("usr/bin/runner"), "prepare", "--cache", self.path("cache"), files]
        env = self.compiler('[ "$1" = --version ] || echo >>%s' % self.path("compiled"))
        for time_ns, compiled in ((1, 1), (1, 1), (2, 2)):
            os.utime(header, ns=(time_ns, time_ns))
            self.assertTrue(json.loads(subprocess.run(argv, stdout=subprocess.PIPE, check=True, env=env).stdout)["ok"])
            self.assertEqual(os.stat(self.path("compiled")).st_size, compiled)


if __name__ == "__main__":
    assert "CASHET_BIN" in os.environ
    unittest.main()

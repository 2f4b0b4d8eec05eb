"""Functions by source on the command line: describe, submit FILE:FUNCTION, map, and how often describers run."""

import json
import os
import pty
import select
import subprocess
import unittest

from harness import BIN, PATIENCE, Site, main, until

PYTHON = '''"""Functions."""
import math
from pathlib import Path

LIMIT = 10


def helper(x):
    """Documented."""
    return math.sqrt(x)      # a comment


def add(x, y=1, *, scale=1.0):
    return {"sum": x + y, "scaled": (x + y) * scale}


def square(x):
    return x * x


def root(x):
    return helper(x) if x < LIMIT else None


def seen(*args, **kw):
    def say(a):
        return ["file", a.name, a.read_text()] if isinstance(a, Path) else [type(a).__name__, repr(a)]
    return [[say(a) for a in args], {k: say(v) for k, v in kw.items()}]


def raw(n):
    return b"\\x00\\xff" * n


def odd(x):
    return (x, {x})


def picky(x):
    if x < 0:
        raise ValueError("no %d" % x)
    return x
'''

# A describer that counts how often it is begun, around the real one.
COUNTING = """#!/bin/sh
echo "$*" >> "$COUNT_FILE"
exec "$REAL_RUNNER" "$@"
"""


class Describing(unittest.TestCase):
    """No broker is needed."""

    maxDiff = None

    def setUp(self):
        self.site = Site(self)
        self.addCleanup(self.site.close)
        self.site.write("f.py", PYTHON)

    def describe(self, *argv, code=0, **more):
        done = self.site.run("describe", *argv, **more)
        self.assertEqual(done.code, code, done.err + done.out)
        return done

    def test_what_counts_is_printed(self):
        out = self.describe("f.py:root").out
        self.assertIn("f.py:root(x)\n", out)
        self.assertRegex(out, r"(?m)^hash +[0-9a-f]{64}$")
        self.assertRegex(out, r"(?m)^helper +function +f.py:8 ")
        self.assertRegex(out, r"(?m)^LIMIT +variable +f.py:5 ")
        self.assertRegex(out, r"(?m)^f.py +\d+ B +[0-9a-f]{8}$")
        self.assertIn("cashet-python 1\nentry @root\n", out)
        self.assertNotIn("Documented", out)
        self.assertFalse(os.path.exists(self.site.path(".cashet")))

    def test_json_has_all_of_it(self):
        one, script = self.describe("f.py:add", "f.py", "--json").json["targets"]
        self.assertEqual((one["ok"], one["name"], one["language"], one["kind"], one["signature"]),
                         (True, "f.py:add", "python", "function", "(x, y=1, *, scale=1.0)"))
        self.assertEqual([d["label"] for d in one["definitions"]], ["add"])
        self.assertEqual([(f["path"], f["size"]) for f in one["files"]], [("f.py", len(PYTHON))])
        self.assertEqual(script["kind"], "script")
        self.assertIsNone(script["signature"])
        self.assertNotEqual(one["hash"], script["hash"])
        self.assertTrue(one["canonical"].startswith("cashet-python 1\n"))

    def test_comments_keep_the_hash_and_a_helper_changes_it(self):
        def identity(name="root"):
            return self.describe(f"f.py:{name}", "--json").json["targets"][0]["identity"]
        first, other = identity(), identity("add")
        self.site.write("f.py", "# hello\n\n" + PYTHON.replace("      # a comment", ""))
        self.assertEqual(identity(), first)
        self.site.write("f.py", PYTHON.replace("LIMIT = 10", "LIMIT = 11"))
        self.assertNotEqual(identity(), first)
        self.assertEqual(identity("add"), other)

    def test_what_cannot_be_described_is_said_and_the_rest_is_printed(self):
        self.site.write("bad.py", "def f(:\n")
        done = self.describe("bad.py:f", "f.py:nope", "f.py:add", "gone.py:x", code=2)
        self.assertIn("f.py:add(x, y=1, *, scale=1.0)", done.out)
        self.assertRegex(done.err, r"(?m)^cashet: \S*bad.py:1:7: invalid syntax")
        self.assertIn("cashet: f.py: it defines no nope", done.err)
        self.assertIn("cashet: gone.py: there is no such file", done.err)
        done = self.describe("f.txt:x", code=2)
        self.assertIn("end in .py or .c", done.err)
        rows = self.describe("bad.py:f", "--json", code=2).json["targets"]
        self.assertEqual((rows[0]["ok"], rows[0]["error"]["name"], rows[0]["error"]["line"]),
                         (False, "syntax", 1))

    def test_a_describer_that_is_missing_is_named(self):
        done = self.describe("f.py:add", code=2, env={"CASHET_RUNNER_PATH": self.site.dir})
        self.assertIn("cashet-runner-python, which reads Python sources, is not in", done.err)
        self.assertIn("install cashet-runner-python", done.err)
        done = self.describe("f.py:add", "--python", "no-such-python", code=2)
        self.assertIn('"no-such-python"', done.err)

    def test_a_terminal_gets_nothing_that_moves_its_cursor(self):
        self.site.write("g.py", "def f():\n    return '\x1b[2J'\n")
        master, slave = pty.openpty()
        subprocess.run([os.path.join(BIN, "cashet"), "describe", "g.py:f"], stdout=slave, check=True,
                       cwd=self.site.dir, env=self.site.env(), timeout=PATIENCE)
        os.close(slave)
        text = read_terminal(master)
        self.assertIn("g.py:f", text)
        self.assertNotIn("\x1b[2J", text)


def read_terminal(master):
    text = b""
    while select.select([master], [], [], 1)[0]:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        text += piece
    os.close(master)
    return text.decode(errors="replace")


class Calling(unittest.TestCase):
    """submit FILE:FUNCTION and map, on one cluster."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.site = Site(cls)
        cls.addClassCleanup(cls.site.close)
        cls.site.write("f.py", PYTHON)
        cls.site.write("note.txt", "of ours")
        cls.site.broker()
        cls.site.worker(wait=True)

    def submit(self, *argv, code=0, **more):
        done = self.site.run("submit", *argv, **more)
        self.assertEqual(done.code, code, done.err + done.out)
        return done

    def call(self, *argv, **more):
        """The result of a call, as JSON."""
        batch = self.submit(*argv, "--json", **more).json["batch"]
        return json.loads(self.site.run("get", f"{batch}:0").out)

    def map(self, function, items, *argv, code=0):
        text = "".join(json.dumps(i) + "\n" for i in items) if not isinstance(items, str) else items
        self.site.write("items.jsonl", text)
        done = self.site.run("map", function, "--over", "items.jsonl", *argv)
        self.assertEqual(done.code, code, done.err + done.out)
        return done

    # ---- submit FILE:FUNCTION ----

    def test_arguments_are_typed(self):
        args, kw = self.call("f.py:seen", "3", "-4", "0.5", "3.0", "true", "null", "text", '"3"', "",
                             '[1, {"a": [null]}]', "@note.txt", ".inf", "-.5", "no", "--kw", "k=1e3",
                             "--kw", "t=a=b", "--kw=f=@note.txt")
        self.assertEqual(args, [
            ["int", "3"], ["int", "-4"], ["float", "0.5"], ["float", "3.0"], ["bool", "True"],
            ["NoneType", "None"], ["str", "'text'"], ["str", "'3'"], ["str", "''"],
            ["list", "[1, {'a': [None]}]"], ["file", "note.txt", "of ours"], ["float", "inf"],
            ["float", "-0.5"], ["str", "'no'"]])
        self.assertEqual(kw, {"k": ["float", "1000.0"], "t": ["str", "'a=b'"],
                              "f": ["file", "note.txt", "of ours"]})

    def test_spellings_are_one_and_defaults_are_filled_in(self):
        prints = {self.submit("f.py:add", *argv, "--json").json["tasks"][0]["fingerprint"]
                  for argv in (["7"], ["7", "1"], ["--kw", "x=7"], ["7", "--kw", "scale=1.0"],
                               ["--kw", "y=1", "--kw", "x=7"])}
        self.assertEqual(len(prints), 1)
        self.site.write("same.yaml", "version: 1\ntasks: {t: {call: f.py:add, args: [7]}}\n")
        self.assertIn(self.site.submit("same.yaml", code=0)["tasks"][0]["fingerprint"], prints)
        other = self.submit("f.py:add", "7.0", "--json").json["tasks"][0]["fingerprint"]
        self.assertNotIn(other, prints)

    def test_a_batch_file_means_the_same(self):
        line = self.submit("f.py:seen", '[1, {"b": "x", "a": null}]', "@note.txt", "--kw", "v=-0.0",
                           "--json").json
        self.site.write("same.jsonl", json.dumps({
            "call": "f.py:seen", "args": [[1, {"a": None, "b": "x"}], {"file": "note.txt"}],
            "kwargs": {"v": {"float": "-0.0"}}}) + "\n")
        again = self.site.submit("same.jsonl")
        self.assertEqual(again["tasks"][0]["fingerprint"], line["tasks"][0]["fingerprint"])
        self.assertTrue(again["tasks"][0]["cached"])

    def test_the_result_of_an_earlier_task_is_an_argument(self):
        batch = self.submit("f.py:add", "100", "--json").json["batch"]
        commit = self.submit("f.py:add", "100", "--json").json["tasks"][0]["commit"]
        for name in (commit[:12], f"{batch[:12]}:0"):
            self.assertEqual(self.call("f.py:seen", f"ref:{name}")[0],
                             [["dict", "{'sum': 101, 'scaled': 101.0}"]])
        self.submit("f.py:odd", "5", "--detach", "--json")
        self.site.run("wait")
        self.assertEqual(self.call("f.py:seen", "--kw", "x=ref::0")[1], {"x": ["tuple", "(5, {5})"]})
        self.submit("f.py:raw", "2", "--json")
        self.assertEqual(self.call("f.py:seen", "ref::0")[0], [["bytes", repr(b"\0\xff\0\xff")]])
        # of ten thousand commits (see below), one in seven times one begins with ffff
        none = "f" * 40
        self.assertIn(f"no commit begins with {none}",
                      self.submit("f.py:seen", f"ref:{none}", code=5).err)

    def test_what_is_wrong_is_said_and_nothing_is_submitted(self):
        before = len(self.site.run("ps", "--all", "--json").json["batches"])
        for argv, message in (
                (["f.py:add"], 'needs "x"'),
                (["f.py:add", "1", "2", "3"], "by position"),
                (["f.py:add", "1", "--kw", "z=1"], 'no parameter "z"'),
                (["f.py:add", "1", "--kw", "x=1"], '"x"'),
                (["f.py:nope"], "defines no nope"),
                (["gone.py:f"], "there is no such file"),
                (["f.py:add", "99999999999999999999"], "does not fit"),
                (["f.py:add", "1e400"], "floats go from"),
                (["f.py"], "say which of its functions"), (["f.py:"], "say which of its functions"),
                (["f.py:add", "@"], "names no file"),
                (["f.py:add", "[1,"], "not valid JSON"),
                (["f.py:add", "@gone.txt"], "gone.txt"),
                (["f.py:add", "1", "--kw", "x"], "--kw takes NAME=VALUE"),
                (["f.py:add", "1", "--kw", "y=1", "--kw", "y=2"], '--kw gives "y" twice'),
                (["f.py:add", "1", "--isolation", "none"], "--isolation is shared or fork"),
                (["f.py:add", "1", "--cflag=-O3"], "cflags"),
                (["items.yaml", "1"], "arguments are for functions"),
                (["items.yaml", "--kw", "a=1"], "--kw is for functions"),
                (["items.yaml", "--python", "python3"], "--python is for functions")):
            with self.subTest(argv=argv):
                done = self.submit(*argv, code=2)
                self.assertIn(message, done.err)
                self.assertEqual(done.out, "")
        self.assertEqual(len(self.site.run("ps", "--all", "--json").json["batches"]), before)

    def test_a_dry_run_says_what_would_run(self):
        self.submit("f.py:add", "55", "2")
        self.assertIn("1 cached", self.submit("f.py:add", "55", "2", "--dry-run").out)
        self.assertIn("1 would run", self.submit("f.py:add", "55", "3", "--dry-run").out)

    def test_standard_output_is_the_result_alone(self):
        self.assertEqual(self.submit("f.py:add", "1", "1").out, '{"sum":2,"scaled":2.0}')
        done = subprocess.run([os.path.join(BIN, "cashet"), "submit", "f.py:raw", "2", "-q"],
                              stdin=subprocess.DEVNULL, capture_output=True, cwd=self.site.dir,
                              env=self.site.env(), timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"\0\xff\0\xff", b""))
        self.assertRegex(self.submit("f.py:add", "1", "1", "--detach").out, r"^[0-9a-f]{8}\n$")

    def test_a_failure_is_exit_1(self):
        done = self.submit("f.py:picky", "--", "-3", code=1)
        self.assertIn("ValueError: no -3", done.err)
        self.assertEqual(done.out, "")
        done = self.submit("f.py:picky", "-q", "--", "-3", code=1)
        self.assertRegex(done.err, r"^cashet: f.py:picky: ValueError: no -3\n  cashet logs [0-9a-f]{8}:0 prints what it wrote\n$")
        self.assertEqual(done.out, "")

    def test_a_terminal_is_shown_the_result(self):
        for call, shown in ((["f.py:add", "1", "1"], '{"sum":2,"scaled":2.0}'),
                            (["f.py:raw", "3"], "binary, 6 B")):
            master, slave = pty.openpty()
            subprocess.run([os.path.join(BIN, "cashet"), "submit", *call], stdout=slave, stderr=slave,
                           stdin=subprocess.DEVNULL, check=True, cwd=self.site.dir,
                           env=self.site.env(), timeout=PATIENCE)
            os.close(slave)
            self.assertIn(shown, read_terminal(master))

    # ---- map ----

    def test_lines_are_calls_and_results_are_lines_in_order(self):
        done = self.map("f.py:add", [[1, 2], {"x": 3}, 4, {"y": 6, "x": 5}, [7.5]], "--kw", "scale=2")
        self.assertEqual([json.loads(line) for line in done.out.splitlines()], [
            {"sum": 3, "scaled": 6}, {"sum": 4, "scaled": 8}, {"sum": 5, "scaled": 10},
            {"sum": 11, "scaled": 22}, {"sum": 8.5, "scaled": 17}])
        self.assertIn("5 tasks: ", done.err)

    def test_values_are_passed_as_they_are(self):
        items = [["${p.x}", {"ref": "a", "file": "b"}], {"x": {"value": 1}}, "text", None, True,
                 [[]], {}, "\u00e9\n", 1 << 62, -0.0]
        done = self.map("f.py:seen", items)
        rows = [json.loads(line) for line in done.out.splitlines()]
        self.assertEqual(rows, [
            [[["str", "'${p.x}'"], ["dict", "{'ref': 'a', 'file': 'b'}"]], {}],
            [[], {"x": ["dict", "{'value': 1}"]}], [[["str", "'text'"]], {}],
            [[["NoneType", "None"]], {}], [[["bool", "True"]], {}], [[["list", "[]"]], {}], [[], {}],
            [[["str", repr("\u00e9\n")]], {}], [[["int", str(1 << 62)]], {}],
            [[["float", "-0.0"]], {}]])

    def test_results_and_files_are_items_and_fixed_arguments(self):
        one = self.submit("f.py:add", "1", "2", "--json").json["batch"]
        odd = self.submit("f.py:odd", "3", "--json").json["batch"]
        done = self.map("f.py:seen", f"ref:{one}:0\r\n\n @note.txt\nref:{odd}:0  \n", code=2)
        self.assertIn("items.jsonl:3:2: not valid JSON", done.err)
        done = self.map("f.py:seen", f"ref:{one}:0\r\n\n@note.txt\n\"ref:x\"\nref:{odd}:0  \n[1]\n",
                        "--kw", f"k=ref:{one}:0")
        added = ["dict", "{'sum': 3, 'scaled': 3.0}"]
        self.assertEqual([json.loads(line) for line in done.out.splitlines()], [
            [[added], {"k": added}], [[["file", "note.txt", "of ours"]], {"k": added}],
            [[["str", "'ref:x'"]], {"k": added}], [[["tuple", "(3, {3})"]], {"k": added}],
            [[["int", "1"]], {"k": added}]])
        # As submit has it: the same work.
        again = self.submit("f.py:seen", f"ref:{odd}:0", "--kw", f"k=ref:{one}:0", "--json").json
        self.assertTrue(again["tasks"][0]["cached"])
        before = len(self.site.run("ps", "--all", "--json").json["batches"])
        for items, kw, code, message in (
                ("1\nref:nobody\n", "k=1", 5, "items.jsonl:2:1: "),
                (f"ref:{one}:7\n", "k=1", 5, "items.jsonl:1:1: "), ("1\n", "k=ref:nobody", 5, "nobody"),
                ("1\n@gone.txt\n", "k=1", 2, "items.jsonl:2: ")):
            with self.subTest(items=items, kw=kw):
                done = self.map("f.py:seen", items, "--kw", kw, code=code)
                self.assertIn(message, done.err)
        self.assertEqual(len(self.site.run("ps", "--all", "--json").json["batches"]), before)

    def test_results_that_are_no_json_and_failures_have_lines_too(self):
        done = self.map("f.py:raw", [1])
        row = json.loads(done.out)
        self.assertEqual(row["size"], 2)
        self.assertEqual(self.site.run("get", row["commit"], "-o", "raw.bin").code, 0)
        with open(self.site.path("raw.bin"), "rb") as f:
            self.assertEqual(f.read(), b"\0\xff")
        os.chmod(self.site.write("picky.jsonl", "old"), 0o600)
        done = self.map("f.py:picky", [1, -2, 3], "-o", "picky.jsonl", code=1)
        self.assertEqual(os.stat(self.site.path("picky.jsonl")).st_mode & 0o777, 0o600)
        self.assertEqual(done.out, "")
        one, two, three = [json.loads(line) for line in self.site.read("picky.jsonl").splitlines()]
        self.assertEqual((one, three), (1, 3))
        self.assertEqual((two["error"], two["status"]), ("ValueError: no -2", "failed"))
        self.assertRegex(two["task"], r"^[0-9a-f]{8}:1$")

    def test_a_bad_line_names_its_number_and_nothing_is_submitted(self):
        before = len(self.site.run("ps", "--all", "--json").json["batches"])
        good = "".join(f"{i}\n" for i in range(5000))
        for bad, message in (('{"x":1\n', "items.jsonl:5002:"), ("1 2\n", "items.jsonl:5002:"),
                             ('{"z":1}\n', 'items.jsonl:5002: add() has no parameter "z"'),
                             ("[1,2,3]\n", "items.jsonl:5002: "),
                             ("[99999999999999999999]\n", "items.jsonl:5002: ")):
            with self.subTest(bad=bad):
                done = self.map("f.py:add", good + "\n" + bad + "1\n", code=2)
                self.assertIn(message, done.err)
                self.assertEqual(done.out, "")
        done = self.map("f.py:add", "", code=2)
        self.assertIn("no items", done.err)
        self.assertEqual(len(self.site.run("ps", "--all", "--json").json["batches"]), before)

    def test_a_pipe_is_read_as_it_comes(self):
        process = subprocess.Popen([os.path.join(BIN, "cashet"), "map", "f.py:square", "--over", "-"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, cwd=self.site.dir, env=self.site.env())
        for i in range(2000):
            process.stdin.write(b"%d\n" % (1000000 + i))
            if i % 500 == 0:
                process.stdin.flush()
        out, err = process.communicate(timeout=PATIENCE * 3)
        self.assertEqual(process.returncode, 0, err)
        self.assertEqual([int(x) for x in out.split()], [(1000000 + i) ** 2 for i in range(2000)])

    def test_what_is_used_wrongly(self):
        self.map("f.py:square", [1])
        for argv, message in ((["f.py:square"], "--over ITEMS.jsonl is missing"),
                              (["f.py", "--over", "items.jsonl"], "names no function"),
                              (["f.py:square", "--over", "gone.jsonl"], "gone.jsonl cannot be read"),
                              (["f.py:square", "--over", "items.jsonl", "--kw", "x=@"], "names no file"),
                              (["f.py:add", "--over", "items.jsonl", "--kw", "y"],
                               "--kw takes NAME=VALUE")):
            with self.subTest(argv=argv):
                done = self.site.run("map", *argv)
                self.assertEqual(done.code, 2)
                self.assertIn(message, done.err)


class Remembering(unittest.TestCase):
    """How often describers run."""

    def setUp(self):
        s = self.site = Site(self)
        self.addCleanup(s.close)
        s.write("src/f.py", PYTHON)
        s.write("runners/cashet-runner-python", COUNTING, mode=0o755)
        real = os.path.join(BIN, "cashet-runner-python")
        self.assertTrue(os.path.exists(real), real)
        s.variables.update(COUNT_FILE=s.path("count"), REAL_RUNNER=real,
                           XDG_CACHE_HOME=s.path("cache"))
        s.broker()
        s.worker(wait=True)

    def began(self):
        return sum(" describe " in f" {line} " for line in self.site.read("count").splitlines())

    def run_counted(self, *argv):
        before = self.began()
        done = self.site.run(*argv, cwd=self.site.path("src"),
                             env={"CASHET_RUNNER_PATH": self.site.path("runners")})
        self.assertEqual(done.code, 0, done.err)
        return self.began() - before

    def test_ten_thousand_items_describe_once_and_a_repeat_not_at_all(self):
        self.site.write("items.jsonl", "".join(f"{i}\n" for i in range(10000)))
        items = self.site.path("items.jsonl")
        self.assertEqual(self.run_counted("map", "f.py:square", "--over", items, "--detach"), 1)
        # What was touched just now is not remembered: it is once two seconds are over.
        until(lambda: self.run_counted("submit", "f.py:square", "3", "--dry-run") == 0,
              "the description to be remembered")
        self.assertEqual(self.run_counted("submit", "f.py:square", "4", "--dry-run"), 0)
        self.site.write("src/f.py", PYTHON + "\n# more\n")
        self.assertEqual(self.run_counted("submit", "f.py:square", "4", "--dry-run"), 1)


if __name__ == "__main__":
    main()

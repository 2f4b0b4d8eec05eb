"""Sources that are wrong, or made to do harm: each gets an error with a name, a place and a reason, on time,
and the other targets of the call still get their answers. Nothing that is described is ever run."""

import os
import stat
import subprocess
import sys
import unittest

from runner import PROGRAM, RunnerTest, answer, pythons, start

DEEP = "def f():\n    return "

# file, content, error, line, column (0: not said by every version)
BAD = [
    ("syntax.py", "x = 1\ndef f(:\n    return 1\n", "syntax", 2, 7),
    # what only the second half of the compiler refuses
    ("return.py", "def f():\n    return 1\n\n\nreturn 3\n", "syntax", 5, 1),
    ("in_class.py", "class f:\n    x = 'é'; return 1\n", "syntax", 2, 14),
    ("break.py", "def f():\n    'é'; break\n", "syntax", 2, 10),
    ("continue.py", "if f:\n    continue\n", "syntax", 2, 5),
    ("nonlocal.py", "def f(): pass\nnonlocal x\n", "syntax", 2, 1),
    ("unbound.py", "def f():\n    nonlocal x\n", "syntax", 2, 5),
    ("twice.py", "x = 1\ndef f(a, b, a): pass\n", "syntax", 2, 0),
    ("await.py", "def f():\n    await g()\n", "syntax", 2, 5),
    ("yield.py", "def f(): pass\nx = yield 1\n", "syntax", 2, 5),
    ("from.py", "async def f():\n    yield from x\n", "syntax", 2, 5),
    ("global.py", "def f():\n    'éé'; x = 1; global x\n", "syntax", 2, 18),
    ("constant.py", "def f():\n    __debug__ = 1\n", "syntax", 2, 5),
    ("future.py", "x = 1\nfrom __future__ import annotations\ndef f(): pass\n", "syntax", 2, 1),
    ("except.py", "def f():\n    try: pass\n    except: pass\n    except E: pass\n", "syntax", 0, 0),
    ("stars.py", "def f():\n    a, *b, *c = x\n", "syntax", 2, 5),
    ("indent.py", "def f():\n    x\n  y\n", "syntax", 3, 0),
    ("open.py", "def f():\n    return (1,\n", "syntax", 2, 0),
    ("number.py", DEEP + "9" * 5000 + "\n", None, 0, 0),
    ("null.py", b"def f():\n    return 1\0\n", "null-byte", 2, 13),
    ("utf16.py", "def f(): pass\n".encode("utf-16"), "null-byte", 1, 0),
    ("utf8.py", b"def f():\n    return 'a\xff'\n", "encoding", 2, 14),
    ("latin.py", b"# coding: ascii\nx = '\xe9'\n", "encoding", 2, 6),
    ("nonsense.py", b"# coding: nonsense\n", "encoding", 1, 1),
    ("rot13.py", b"# coding: rot13\nqrs s(): cnff\n", "encoding", 1, 1),
    ("hex.py", b"# coding: hex\n6162\n", "encoding", 1, 1),
    ("mark.py", b"\xef\xbb\xbf# coding: latin-1\n", "encoding", 1, 1),
    ("brackets.py", DEEP + "(" * 5000 + "1" + ")" * 5000 + "\n", "nested-too-deeply", 0, 0),
    ("signs.py", DEEP + "-" * 50000 + "1\n", "nested-too-deeply", 0, 0),
    ("sum.py", DEEP + "+".join(["1"] * 50000) + "\n", "nested-too-deeply", 0, 0),
    ("calls.py", DEEP + "f" + "()" * 50000 + "\n", "nested-too-deeply", 0, 0),
    ("elif.py", "def f(x):\n    if x: pass\n" + "    elif x: pass\n" * 20000, "nested-too-deeply", 0, 0),
    ("lambda.py", DEEP + "lambda: " * 5000 + "1\n", "nested-too-deeply", 0, 0),
    ("large.py", "x = 1\n" * (10 * 1024 * 1024 // 6), "too-large", 0, 0),
    ("empty.py", "", "no-such-function", 0, 0),
    ("other.py", "def g(): pass\n", "no-such-function", 0, 0),
    ("module.py", "import os as f\n", "not-a-function", 1, 1),
    ("two words.py", "def f(): pass\n", "not-a-module", 0, 0),
    ("class.py", "class f: pass\n", None, 0, 0),  # a class can be called; but class.py cannot be imported
]

GOOD = [
    ("latin1.py", b"# -*- coding: latin-1 -*-\ndef f():\n    return '\xe9'\n"),
    ("second.py", b"#!/usr/bin/python3\n# vim: set fileencoding=iso-8859-1 :\ndef f():\n    return '\xe9'\n"),
    ("plain.py", "def f():\n    return 'é'\n"),
    ("marked.py", "\ufeffdef f():\n    return 'é'\n"),
    ("mac.py", "def f():\r    return 'é'\r"),
    ("utf7.py", b"# coding: utf-7\ndef f():\n    return '+AOk-'\n"),
    ("no_coding.py", "x = 1\n\n# coding: nonsense\ndef f():\n    return 'é'\n"),
]


class Hostile(RunnerTest):
    def test_what_is_wrong_has_a_name_and_a_place(self):
        self.write({name: content for name, content, *_ in BAD})
        rows = answer("describe", *[self.path(name) + ":f" for name, *_ in BAD])["targets"]
        self.assertEqual(len(rows), len(BAD))
        for (name, _, error, line, column), row in zip(BAD, rows):
            with self.subTest(name):
                if error is None:
                    self.assertTrue(row["ok"] or row["error"]["message"], row)
                    continue
                self.assertFalse(row["ok"])
                self.assertEqual(row["error"]["name"], error, row)
                self.assertEqual(row["error"]["file"], self.path(name))
                self.assertGreater(len(row["error"]["message"]), 10)
                if line:
                    self.assertEqual(row["error"]["line"], line, row)
                if column:
                    self.assertEqual(row["error"]["column"], column, row)

    def test_encodings_mean_the_letters_that_they_are(self):
        self.write(dict(GOOD))
        rows = answer("describe", *[self.path(name) + ":f" for name, _ in GOOD])["targets"]
        self.assertEqual({row.get("hash") for row in rows}, {rows[0]["hash"]}, rows)

    def test_an_error_in_what_is_imported_names_that_file(self):
        self.write({"train.py": "from helpers import g\ndef f(): return g()\n", "helpers.py": "def g(:\n"})
        row = self.describe("train.py:f")
        self.assertEqual((row["error"]["file"], row["error"]["line"]), (self.path("helpers.py"), 1))
        self.write({"helpers.py": "def g(): pass\n\nreturn 1\n"})
        error = self.describe("train.py:f")["error"]
        self.assertEqual((error["name"], error["file"], error["line"], error["column"]),
                         ("syntax", self.path("helpers.py"), 3, 1))

    def test_what_only_the_compiler_refuses_is_refused_by_every_python(self):
        wrong = [(name, content, line, column) for name, content, _, line, column in BAD[1:16]]
        self.write({name: content for name, content, *_ in wrong})
        for minor, path in pythons():
            rows = answer("describe", *[self.path(name) + ":f" for name, *_ in wrong], python=path)["targets"]
            for (name, _, line, column), row in zip(wrong, rows):
                with self.subTest(name, python=minor):
                    error = row["error"]
                    self.assertEqual((error["name"], error["file"]), ("syntax", self.path(name)))
                    self.assertGreater(min(error["line"], error["column"]), 0)
                    if line:
                        self.assertEqual(error["line"], line)
                    if column:
                        self.assertEqual(error["column"], column)

    def test_what_is_no_file(self):
        os.mkdir(self.path("folder.py"))
        os.symlink("loop.py", self.path("loop.py"))
        os.symlink("nowhere.py", self.path("dangling.py"))
        os.mkfifo(self.path("fifo.py"))
        for name, error in (("missing.py", "not-found"), ("folder.py", "not-a-file"),
                            ("loop.py", "not-readable"), ("dangling.py", "not-readable"),
                            ("fifo.py", "not-a-file"), ("missing.py/x.py", "not-found"),
                            ("x.py:1f", "bad-target"), ("x.py:a.b", "bad-target")):
            for target in (name, name + ":f") if ":" not in name else (name,):
                with self.subTest(target):
                    row = self.describe(target)
                    self.assertFalse(row["ok"])
                    self.assertEqual(row["error"]["name"], error)

    def test_a_file_that_may_not_be_read(self):
        self.write({"secret.py": "def f(): pass\n"})
        os.chmod(self.path("secret.py"), 0)
        if os.access(self.path("secret.py"), os.R_OK):
            self.skipTest("root reads everything")
        self.assertEqual(self.describe("secret.py:f")["error"]["name"], "not-readable")

    def test_a_name_that_is_not_utf8(self):
        name = os.fsdecode(b"b\xff.py")
        self.write({name: "def f(): pass\n"})
        self.assertEqual(self.describe(name)["error"]["name"], "bad-target")

    def test_circles_end(self):
        self.write({
            "a.py": "from b import x, g\nimport b\ndef f(): return x, g, b.f\n",
            "b.py": "from a import x, f\nimport a\nfrom a import *\ndef g(): return x, f, a.g, a\n",
            "c.py": "from d import *\ndef f(): return f(y)\ny = lambda: y\nclass A(A): pass\n",
            "d.py": "from c import *\n",
            "pkg/__init__.py": "from . import one\nfrom .one import *\n",
            "pkg/one.py": "from . import *\nfrom .. import x\nimport pkg\ndef f(): return pkg.one.f, pkg\n",
        })
        os.symlink(".", self.path("pkg", "again"))
        for target in ("a.py:f", "b.py:g", "c.py:f", "pkg/one.py:f", "a.py", "d.py", "pkg/again/one.py:f"):
            with self.subTest(target):
                self.assertEqual(self.described(target)["hash"], self.described(target)["hash"])

    def test_one_bad_target_leaves_the_others_theirs(self):
        self.write({"good.py": "def f(): pass\n", "bad.py": DEEP + "-" * 100000 + "1\n"})
        alone = self.described("good.py:f")
        for order in (("good.py:f", "bad.py:f"), ("bad.py:f", "good.py:f")):
            rows = {row["target"]: row for row in answer("describe", *map(self.path, order))["targets"]}
            self.assertEqual(rows[self.path("good.py:f")], alone)
            self.assertFalse(rows[self.path("bad.py:f")]["ok"])

    def test_deep_sources_are_read_as_far_as_python_itself_reads_them(self):
        self.write({"sum.py": DEEP + "+".join(["1"] * 800) + "\n",
                    "list.py": DEEP + "[" * 90 + "]" * 90 + "\n",
                    "chain.py": DEEP + "f" + ".a" * 300 + "\n"})
        for name in ("sum.py", "list.py", "chain.py"):
            self.described(name + ":f")

    def test_nothing_of_the_users_is_run(self):
        victim, trap = self.path("victim"), "import os\nos.remove(%r)\n" % self.path("victim")
        self.write({"victim": "", "train.py": trap + "import helpers\nimport json\n@helpers.g\ndef f(x=helpers.g(1)):\n"
                    "    '''%s'''\n    return json, helpers, __import__('other')\n" % trap,
                    "helpers.py": trap + "def g(x): return x\n", "other.py": trap, "pkg/__init__.py": trap,
                    "pkg/in.py": trap})
        for name in ("json", "os", "ast", "re", "site", "sitecustomize", "usercustomize", "encodings",
                     "cashet_runner", "warnings", "traceback", "resource", "enum"):
            self.write({name + ".py": trap})
        env = dict(os.environ, PYTHONPATH=self.folder, PYTHONSTARTUP=self.path("train.py"),
                   PYTHONUSERBASE=self.folder)
        version = "python%d.%d" % sys.version_info[:2]
        self.write({"evil.pth": "import os; os.remove(%r)\n" % victim},
                   f"lib/{version}/site-packages")
        for args in ([], [self.path("train.py")], [self.path("train.py:f")], [self.path("pkg/__init__.py")]):
            for command in ([sys.executable, "-I", "-S", PROGRAM], [PROGRAM]):
                done = subprocess.run(command + (["describe"] + args if args else ["version"]), cwd=self.folder,
                                      env=env, capture_output=True)
                self.assertEqual((done.returncode, done.stderr), (0, b""), (command, done.stderr))
                self.assertTrue(os.path.exists(victim), command)
        with self.assertRaises(FileNotFoundError):  # and the trap is one
            exec(compile(trap, "trap", "exec"))
            exec(compile(trap, "trap", "exec"))

    def test_it_writes_nowhere(self):
        self.write({"train.py": "import helpers\ndef f(): return helpers.x\n", "helpers.py": "x = 1\n"})
        before = sorted(os.listdir(self.folder))
        self.described("train.py:f")
        self.assertEqual(sorted(os.listdir(self.folder)), before)


class Calls(RunnerTest):
    def test_a_wrong_call_is_said_on_standard_error(self):
        for args in ([], ["describe"], ["descrybe", "x"], ["describe", "--colour", "x"], ["describe", "--root"],
                     ["describe", "--root", "/nowhere", "x"], ["--python"], ["--python", "/nowhere", "version"]):
            done = start(*args)
            self.assertEqual((done.returncode, done.stdout), (2, b""), args)
            self.assertIn(b"usage: cashet-runner-python", done.stderr)

    def test_help_and_version(self):
        self.assertIn(b"describe", start("help").stdout)
        self.assertIn(b"protocol 1, scheme 1, Python", start("--version").stdout)

    def test_targets_come_from_standard_input_too(self):
        self.write({"a.py": "def f(): pass\n", "b.py": "def f(): pass\n"})
        found = answer("describe", "-", input=f"{self.path('a.py:f')}\n{self.path('b.py')}\n".encode())
        self.assertEqual([row["ok"] for row in found["targets"]], [True, True])

    def test_a_reader_that_goes_away_is_no_crash(self):
        self.write({"a.py": "def f(): pass\n"})
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run([sys.executable, "-IS", PROGRAM, "describe", self.path("a.py:f")], stdout=write,
                              stderr=subprocess.PIPE)
        os.close(write)
        self.assertEqual((done.returncode, done.stderr), (1, b""))

    def test_another_interpreter_can_be_named(self):
        self.write({"a.py": "def f(): pass\n"})
        link = self.path("its-python")
        with open(link, "w") as f:
            f.write(f'#!/bin/sh\necho ran >{self.path("ran")}\nexec {sys.executable} "$@"\n')
        os.chmod(link, os.stat(link).st_mode | stat.S_IXUSR)
        done = start("--python", link, "describe", self.path("a.py:f"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(os.path.exists(self.path("ran")))


if __name__ == "__main__":
    unittest.main()

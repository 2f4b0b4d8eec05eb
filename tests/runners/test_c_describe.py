"""cashet-runner-c describe: the answer, what it says of sources that are wrong or made to do harm, what it warns
of, and which files belong to a function."""

import hashlib
import json
import os
import shutil
import unittest

from c_runner import RunnerTest, answer, start

HEAD = "#include <cashet/task.h>\n"
TASK = "int train(struct cashet_task *task) { return %s; }\n"

# file, content, error, line, column (0: not said)
BAD = [
    ("syntax.c", HEAD + "int train(struct cashet_task *task)\n{\n\treturn 1 +;\n}\n", "syntax", 4, 12),
    ("letters.c", HEAD + "/* é */ int é = ;\n", "syntax", 2, 17),
    ("type.c", HEAD + "int train(struct cashet_task *task) { struct no x; return 0; }\n", "syntax", 2, 49),
    ("open.c", HEAD + "int train(struct cashet_task *task) {\n", "syntax", 2, 0),
    ("comment.c", HEAD + "int a; /* no end\n", "syntax", 2, 8),
    ("text.c", HEAD + 'char a[] = "no end;\n', "syntax", 2, 12),
    ("assert.c", HEAD + '_Static_assert(0, "no");\n', "syntax", 2, 1),
    ("error.c", HEAD + "#error stop right here\n", "syntax", 2, 2),
    ("implicit.c", HEAD + TASK % "helper()", "syntax", 2, 46),
    ("include.c", HEAD + '#include "missing.h"\n', "include-not-found", 2, 10),
    ("null.c", (HEAD + "int a;\0\n").encode(), "null-byte", 2, 7),
    ("nulls.c", (HEAD + "/* \0 */\n").encode(), "null-byte", 2, 4),
    ("utf16.c", (HEAD + TASK % 0).encode("utf-16"), "encoding", 0, 0),
    ("utf8.c", HEAD.encode() + b'char a[] = "\xff";\n', "encoding", 2, 12),
    ("name.c", HEAD.encode() + b"int a\xe9;\n", "encoding", 2, 5),
    ("brackets.c", HEAD + TASK % ("(" * 5000 + "1" + ")" * 5000), "nested-too-deeply", 2, 0),
    ("braces.c", HEAD + "int train(struct cashet_task *task) {" + "{" * 5000 + "}" * 5000 + "}\n", "nested-too-deeply", 2, 0),
    ("signs.c", HEAD + TASK % ("- " * 200000 + "1"), "nested-too-deeply", 0, 0),
    ("circle.c", HEAD + '#include "circle.c"\n', "syntax", 2, 10),
    ("large.c", HEAD + "int a;\n" * (10 * 1024 * 1024 // 7), "too-large", 0, 0),
    ("empty.c", "", "no-such-function", 0, 0),
    ("other.c", HEAD + "int other(struct cashet_task *task) { return 0; }\n", "no-such-function", 0, 0),
    ("declared.c", HEAD + "int train(struct cashet_task *task);\n", "no-such-function", 0, 0),
    ("static.c", HEAD + "static " + TASK % 0, "not-a-task", 2, 1),
    ("void.c", HEAD + "void train(struct cashet_task *task) { }\n", "not-a-task", 2, 1),
    ("two.c", HEAD + "int train(struct cashet_task *task, int more) { return more; }\n", "not-a-task", 2, 1),
    ("variable.c", HEAD + "int train = 3;\n", "not-a-task", 2, 1),
    ("undefined.c", HEAD + "int helper(void);\n" + TASK % "helper()", "undefined-function", 2, 1),
    ("variables.c", HEAD + "extern int helped;\n" + TASK % "helped", "undefined-variable", 2, 1),
    ("absolute.c", HEAD + '#include "%s/inc.h"\n' + TASK % 0, "absolute-include", 2, 10),
    ("train.cc", HEAD + TASK % 0, "bad-target", 0, 0),
]


class Answer(RunnerTest):
    def test_what_it_says(self):
        self.write({"src/train.c": self.task("\treturn helper(LIMIT);", '#include "../inc/helper.h"\n#define LIMIT 3'),
                    "inc/helper.h": "int helper(int);\n", "inc/helper.c": '#include "helper.h"\nint helper(int x) { return x; }\n'})
        found = answer(self.path("src/train.c:train"))
        self.assertEqual((found["protocol"], found["describer"], found["scheme"]), (1, "c", 1))
        row, = found["targets"]
        self.assertEqual(row["entry"], {
            "path": "src/train.c", "file": self.path("src/train.c"), "function": "train", "kind": "function",
            "name": "train.c:train", "defined": {"path": "src/train.c", "line": 4},
            "signature": {"exact": False, "parameters": []}})
        self.assertEqual([(c["path"], c["compiled"]) for c in row["closure"]],
                         [("inc/helper.c", True), ("inc/helper.h", False), ("src/train.c", True)])
        for c in row["closure"]:
            with open(c["file"], "rb") as f:
                data = f.read()
            self.assertEqual((c["size"], c["sha256"]), (len(data), hashlib.sha256(data).hexdigest()))
        self.assertEqual([(d["label"], d["kind"], d["path"], d["line"]) for d in row["definitions"]],
                         [("train", "function", "src/train.c", 4), ("helper", "function", "inc/helper.c", 2),
                          ("LIMIT", "macro", "src/train.c", 3)])
        self.assertEqual((row["packages"], row["flags"], row["warnings"]), ([], [], []))

    def test_the_hash_is_of_the_canonical_form_and_the_identity_of_it_and_the_flags(self):
        self.write({"train.c": self.task("\treturn N;")})
        row = self.described("train.c:train", "--canonical", "--flag=-DN=2", "--flag", "-O3")
        self.assertEqual(row["canonical"], "cashet-c 1\nentry @train\nfunction train\n"
                         "  int train ( struct cashet_task * task ) {\n    return N ;\n    return 0 ;\n  }\n")
        self.assertEqual(row["hash"], hashlib.sha256(row["canonical"].encode()).hexdigest())
        text = "cashet-c-identity 1\n%s\n-DN=2\n-O3\n" % row["hash"]
        self.assertEqual(row["identity"], hashlib.sha256(text.encode()).hexdigest())
        section = row["canonical"][row["canonical"].index("function"):]
        self.assertEqual(row["definitions"][0]["sha256"], hashlib.sha256(section.encode()).hexdigest())

    def test_what_was_looked_at(self):
        self.write({"train.c": self.task("", '#include "a.h"'), "inc/a.h": "\n"})
        row = self.described("train.c:train", "--flag=-Iinc")
        files = {name: (size, mtime, inode) for name, size, mtime, inode in row["looked"]["files"]}
        folders = {name: (mtime, inode) for name, mtime, inode in row["looked"]["folders"]}
        for path in (self.path("train.c"), self.path("inc/a.h")):
            st = os.stat(path)
            self.assertEqual(files[path], (st.st_size, st.st_mtime_ns, st.st_ino))
        for path in (self.folder, self.path("inc")):
            st = os.stat(path)
            self.assertEqual(folders[path], (st.st_mtime_ns, st.st_ino))
        self.assertEqual(row["looked"]["absent"], [])

    def test_many_targets_on_standard_input(self):
        self.write({"train.c": self.task("") + "int other(struct cashet_task *t) { return 1; }\n"})
        targets = [self.path("train.c:train"), self.path("train.c:other"), self.path("no.c:train")]
        rows = answer("-", input="\n".join(targets).encode())["targets"]
        self.assertEqual([r["target"] for r in rows], targets)
        self.assertEqual([r["ok"] for r in rows], [True, True, False])

    def test_wrong_calls(self):
        for args in ([], ["describe"], ["describe", "--nonsense", "x.c:f"], ["describe", "--root"], ["nonsense"],
                     ["describe", "--root", "/nowhere", "x.c:f"], ["describe", "--flag"]):
            done = start(*args)
            self.assertEqual((done.returncode, done.stdout), (2, b""), args)
            self.assertIn(b"cashet-runner-c", done.stderr)


class Closure(RunnerTest):
    def test_it_can_be_laid_out_elsewhere_and_is_the_same_there(self):
        self.write({"batch/src/train.c": self.task("\treturn first() + second();", '#include "first.h"\n#include "deep/second.h"'),
                    "batch/src/first.h": "int first(void);\n", "batch/src/first.c": '#include "first.h"\n#include "sizes.h"\nint first(void) { return SIZE; }\n',
                    "batch/inc/deep/second.h": "static inline int second(void) { return 2; }\n",
                    "batch/inc/sizes.h": "#define SIZE 4\n", "batch/unused/x.h": "\n"})
        flags = ["--flag=-I" + name for name in ("../batch/inc", "unused")]
        row = self.described("batch/src/train.c:train", "--root", self.path("batch"), *flags, "--flag=-DX")
        self.assertEqual(row["flags"], ["-Iinc", "-DX"])
        self.assertEqual([c["path"] for c in row["closure"]],
                         ["inc/deep/second.h", "inc/sizes.h", "src/first.c", "src/first.h", "src/train.c"])
        for c in row["closure"]:
            os.makedirs(os.path.dirname(self.path("there", c["path"])), exist_ok=True)
            shutil.copy(c["file"], self.path("there", c["path"]))
        again = self.described("there/src/train.c:train", "--root", self.path("there"),
                               *["--flag=" + f for f in row["flags"]])
        for field in ("hash", "identity", "flags"):
            self.assertEqual(again[field], row[field])

    def test_two_units_that_see_a_header_in_two_ways(self):
        """The second #define of SIZE is of the other unit's struct only."""
        files = {"train.c": self.task("\treturn other() + sizeof(struct s);", '#define SIZE 1\n#include "s.h"\n#include "other.h"'),
                 "s.h": "struct s { char c[SIZE]; };\n", "other.h": "int other(void);\n",
                 "other.c": '#define SIZE 2\n#include "s.h"\nint other(void) { return sizeof(struct s); }\n'}
        self.write(files, "a")
        self.write(dict(files, **{"other.c": files["other.c"].replace("SIZE 2", "SIZE 3")}), "b")
        first, second = (self.described(f"{d}/train.c:train", "--canonical") for d in "ab")
        self.assertNotEqual(first["hash"], second["hash"])
        self.assertEqual([d["label"] for d in first["definitions"]], ["train", "other", "s", "SIZE", "SIZE#2"])

    def test_functions_of_one_name_in_two_files(self):
        self.write({"train.c": self.task("\treturn other() + helper();", '#include "other.h"\nstatic int helper(void) { return 1; }'),
                    "other.h": "int other(void);\n", "other.c": "static int helper(void) { return 2; }\nint other(void) { return helper(); }\n"})
        row = self.described("train.c:train")
        self.assertEqual([(d["label"], d["path"]) for d in row["definitions"]],
                         [("train", "train.c"), ("other", "other.c"), ("helper", "train.c"), ("helper#2", "other.c")])

    def test_what_no_file_of_ours_defines_may_be_in_a_library(self):
        self.write({"train.c": self.task("\treturn compress_it();", "int compress_it(void);")})
        self.refused("train.c:train", "undefined-function")
        row = self.described("train.c:train", "--flag=-lcompress")
        self.assertEqual(self.warned(row), {("undefined-function", "compress_it")})
        self.refused("train.c:train", "undefined-function", "--flag=-lm")

    def test_a_header_that_says_it_is_the_systems_is_ours(self):
        text = "#pragma GCC system_header\nstatic inline int helper(void) { return %d; }\n"
        hashes = set()
        for n in (1, 2):
            self.write({"train.c": self.task("\treturn helper();", '#include "helper.h"'), "helper.h": text % n}, str(n))
            hashes.add(self.described(f"{n}/train.c:train")["hash"])
        self.assertEqual(len(hashes), 2)

    def test_the_environment_adds_no_headers(self):
        self.write({"train.c": self.task("", '#include "sneaked.h"'), "sneaked/sneaked.h": "\n"})
        env = dict(os.environ, CPATH=self.path("sneaked"), C_INCLUDE_PATH=self.path("sneaked"))
        row = answer(self.path("train.c:train"), env=env)["targets"][0]
        self.assertEqual(row["error"]["name"], "include-not-found")


class Warnings(RunnerTest):
    def test_what_does_not_count_is_said_by_name(self):
        self.write({"train.c": self.task('\tprintf("%d %s", HERE, __DATE__);\n\treturn dlopen("x", 1) != 0;',
                                         "#include <stdio.h>\n#include <dlfcn.h>\n#define HERE __LINE__\n"
                                         "#ifdef __clang__\nint c;\n#endif\nint unused(void) { return __COUNTER__; }")})
        row = self.described("train.c:train")
        self.assertEqual(self.warned(row), {("place-used", "__LINE__"), ("place-used", "__DATE__"),
                                            ("native-library", "dlopen"), ("compiler-used", "__clang__")})
        place = {w["subject"]: (w["line"], w["column"]) for w in row["warnings"]}
        self.assertEqual(place["__LINE__"], (4, 14))


class Flags(RunnerTest):
    def test_those_that_name_programs_plugins_or_files_are_refused(self):
        self.write({"train.c": self.task("")})
        for flag in ("-fplugin=x.so", "-Bx", "@file", "-include", "-includex.h", "-o", "-ox", "-x", "-wrapper", "--config=x",
                     "-load", "-Xclang", "-Wl,-z", "-Wa,x", "-Wp,x", "-specs=x", "-fplugin-arg-x", "-I/etc", "-Inowhere",
                     "-mllvm", "-l../x", "-L.", "train.c", "", "-D", "-D1x", "-fprofile-use=x", "-M", "-S", "-DX\n", "-nostdinc",
                     "-isystem", "-imacros", "-idirafter", "-fuse-ld=x", "-static", "-shared", "-fdump-tree-all", "-save-temps"):
            done = start("describe", "--flag=" + flag, self.path("train.c:train"))
            self.assertEqual((done.returncode, done.stdout), (2, b""), flag)
            self.assertTrue(done.stderr, flag)

    def test_those_for_code_are_taken_and_count(self):
        self.write({"train.c": self.task("")})
        plain = self.described("train.c:train")
        found = {plain["identity"]}
        for flag in ("-O3", "-Ofast", "-DX", "-DX=1", '-DX="a b"', "-DF(x)=x", "-UX", "-std=gnu11", "-ffast-math", "-fno-math-errno",
                     "-march=x86-64", "-mavx2", "-Wall", "-Wno-unused", "-g", "-lm", "-pthread", "-fopenmp", "-fwrapv",
                     "-ffp-contract=off", "-funroll-loops"):
            row = self.described("train.c:train", "--flag=" + flag)
            self.assertEqual(row["hash"], plain["hash"], flag)
            found.add(row["identity"])
        self.assertEqual(len(found), 22)


class Hostile(RunnerTest):
    def test_what_is_wrong_has_a_name_and_a_place(self):
        self.write({"inc.h": "\n"})
        self.write({name: text.replace("%s", self.folder) if name == "absolute.c" else text for name, text, *_ in BAD})
        rows = answer(*[self.path(name) + ":train" for name, *_ in BAD])["targets"]
        self.assertEqual(len(rows), len(BAD))
        for (name, _, error, line, column), row in zip(BAD, rows):
            with self.subTest(name):
                self.assertFalse(row["ok"])
                self.assertEqual(row["error"]["name"], error, row)
                self.assertEqual(row["error"]["file"], self.path(name))
                self.assertGreater(len(row["error"]["message"]), 10)
                if line:
                    self.assertEqual(row["error"]["line"], line, row)
                if column:
                    self.assertEqual(row["error"]["column"], column, row)

    def test_an_error_in_a_header_or_sibling_names_that_file(self):
        self.write({"train.c": self.task("\treturn f();", '#include "f.h"'), "f.h": "int f(void);\n", "f.c": "int f(void) { return }\n"})
        error = self.refused("train.c:train", "syntax")
        self.assertEqual((error["file"], error["line"]), (self.path("f.c"), 1))

    def test_what_is_no_file(self):
        os.mkdir(self.path("folder.c"))
        os.symlink("loop.c", self.path("loop.c"))
        os.mkfifo(self.path("fifo.c"))
        for name, error in (("missing.c", "not-found"), ("folder.c", "not-a-file"), ("loop.c", "not-readable"),
                            ("fifo.c", "not-a-file"), ("missing/x.c", "not-found"), ("x.c:1f", "bad-target"), ("x.c:a.b", "bad-target")):
            with self.subTest(name):
                self.refused(name if ":" in name else name + ":train", error)
        self.assertEqual(answer(os.fsencode(self.folder) + b"/\xff.c:train")["targets"][0]["error"]["name"], "bad-target")

    def test_latin1_in_comments_is_nobodys_business(self):
        self.write({"train.c": self.task("").encode() + b"/* \xe9 */ // \xff\n"})
        self.described("train.c:train")

    def test_circles_end(self):
        self.write({"train.c": self.task("\treturn a(0);", '#include "a.h"\n#define X Y\n#define Y X\nstruct t { struct t *next; } *head;'),
                    "a.h": '#pragma once\n#include "b.h"\nint a(int);\n', "b.h": '#pragma once\n#include "a.h"\nint b(int);\n',
                    "a.c": '#include "a.h"\nint a(int x) { return x ? b(x - 1) : 0; }\n',
                    "b.c": '#include "b.h"\nint b(int x) { return x ? a(x - 1) : 0; }\n'})
        self.assertEqual({d["label"] for d in self.described("train.c:train")["definitions"]}, {"train", "a", "b"})

    def test_nothing_of_it_is_ever_run(self):
        mark = self.path("mark")
        self.write({"train.c": self.task("", '#include <stdio.h>\n__attribute__((constructor)) static void f(void) { remove("%s"); }' % mark), "mark": ""})
        self.described("train.c:train")
        self.assertTrue(os.path.exists(mark))


if __name__ == "__main__":
    assert "CASHET_BIN" in os.environ and json
    unittest.main()

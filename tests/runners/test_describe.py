"""What the answer of describe holds: the closure, packages, signature, warnings, definitions."""

import hashlib
import importlib.metadata
import os
import shutil
import sys
import unittest

from edits import FILES
from runner import SITE, RunnerTest, answer


class Closure(RunnerTest):
    def lay_out(self, row, below):
        for file in row["closure"]:
            path = self.path(below, file["path"])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            shutil.copy(file["file"], path)

    def test_what_is_shipped_has_the_same_identity_where_it_arrives(self):
        self.write(FILES, "project")
        self.write({"tasks/train.py": "from lib.a import f\ndef train(): return f()\n",
                    "lib/a.py": "from lib import b\ndef f(): return b.x\n", "lib/b.py": "x = 1\n"}, "roots")
        for n, (target, *options) in enumerate([
                ("project/train.py:train",), ("project/train.py",), ("project/pkg/model.py:Model",),
                ("project/pkg/util/deep.py:dig",),
                ("roots/tasks/train.py:train", "--root", self.path("roots")),
                ("roots/tasks/train.py", "--root", self.path("roots"))]):
            with self.subTest(target):
                here = self.described(target, *options)
                self.lay_out(here, "there%d" % n)
                function = ":" + here["entry"]["function"] if here["entry"]["function"] else ""
                there = self.described("there%d/%s%s" % (n, here["entry"]["path"], function))
                for key in ("hash", "identity", "packages", "definitions"):
                    self.assertEqual(here[key], there[key], key)
                self.assertEqual([f["path"] for f in here["closure"]], [f["path"] for f in there["closure"]])

    def test_all_that_an_import_runs_is_shipped_and_nothing_else(self):
        self.write(FILES, "project")
        self.write({"alone.py": "x = 1\n", "pkg/alone.py": "x = 1\n"}, "project")
        row = self.described("project/train.py:train")
        self.assertEqual([f["path"] for f in row["closure"]], sorted(FILES))
        row = self.described("project/pkg/util/deep.py:dig")
        self.assertEqual([f["path"] for f in row["closure"]],
                         ["pkg/__init__.py", "pkg/model.py", "pkg/util/__init__.py", "pkg/util/deep.py"])

    def test_digest_and_size_are_those_of_the_bytes(self):
        text = "# comment\r\ndef f(): pass\n".encode()
        self.write({"a.py": text})
        file, = self.described("a.py:f")["closure"]
        self.assertEqual(file, {"path": "a.py", "file": self.path("a.py"), "size": len(text), "module": "a",
                                "sha256": hashlib.sha256(text).hexdigest()})

    def test_imports_inside_of_functions_are_shipped(self):
        self.write({"a.py": "def f():\n    import b\n    from c import g as h\n    return b.x, h()\n"
                            "def unreached():\n    import d\n",
                    "b.py": "x = 1\n", "c.py": "def g(): return 2\n", "d.py": ""})
        row = self.described("a.py:f")
        self.assertEqual([f["path"] for f in row["closure"]], ["a.py", "b.py", "c.py"])
        self.write({"c.py": "def g(): return 3\n"})
        self.assertNotEqual(self.described("a.py:f")["hash"], row["hash"])

    def test_namespace_packages_and_extension_modules(self):
        self.write({"a.py": "import space.inner\nimport fast\ndef f(): return space.inner.x, fast.run()\n",
                    "space/inner.py": "x = 1\n", "fast.cpython-39-x86_64-linux-gnu.so": b"\x7fELF 1"})
        row = self.described("a.py:f")
        self.assertEqual([f["path"] for f in row["closure"]],
                         ["a.py", "fast.cpython-39-x86_64-linux-gnu.so", "space/inner.py"])
        self.write({"fast.cpython-39-x86_64-linux-gnu.so": b"\x7fELF 2"})
        self.assertNotEqual(self.described("a.py:f")["hash"], row["hash"])

    def test_a_script_that_is_imported_too_is_shipped_once(self):
        self.write({"my-run.py": "import run, other\n", "run.py": "import other\nx = 1\n", "other.py": "import run\nrun.x\n"})
        self.assertEqual([f["path"] for f in self.described("run.py")["closure"]], ["other.py", "run.py"])
        self.assertEqual([f["path"] for f in self.described("my-run.py")["closure"]], ["my-run.py", "other.py", "run.py"])

    def test_where_it_lies_does_not_count(self):
        self.write(FILES, "one")
        self.write(FILES, "other/deeper/place")
        os.symlink(self.path("one"), self.path("link"))
        self.assertEqual(len({self.described(p + "/train.py:train")["identity"]
                              for p in ("one", "other/deeper/place", "link")}), 1)

    def test_a_moved_helper_and_another_name_of_the_file_keep_the_hash(self):
        self.write({"a.py": "from b import f\ndef main(): return f()\n", "b.py": "def f(): return g()\ndef g(): return 1\n",
                    "c.py": "import d as e\ndef main(): return e.f()\n", "d.py": "from h import g\ndef f(): return g()\n",
                    "h.py": "def g(): return 1\n"})
        self.assertEqual(self.described("a.py:main")["hash"], self.described("c.py:main")["hash"])

    def test_a_script_in_a_package_finds_by_dots_what_lies_beside_it(self):
        files = {"p/__init__.py": "", "p/__main__.py": "from . import deep\nfrom .far import z\nprint(deep.q, z.k)\n",
                 "p/deep.py": "from . import b\nq = b.v\n", "p/b.py": "v = 7\n", "p/far/__init__.py": "",
                 "p/far/z.py": "from .. import b\nfrom ..b import v\nk = b.v + v\n"}
        self.write(files)
        row = self.described("p/__main__.py")
        self.assertEqual(row["warnings"], [])
        self.assertEqual([f["path"] for f in row["closure"]], ["__main__.py", "b.py", "deep.py", "far/__init__.py", "far/z.py"])
        self.write({"p/b.py": "v = 8\n"})
        self.assertNotEqual(self.described("p/__main__.py")["hash"], row["hash"])
        self.write({"q/" + name[2:]: text for name, text in files.items() if name != "p/__init__.py"})
        self.assertEqual({w["name"] for w in self.described("q/__main__.py")["warnings"]}, {"import-not-found"})

    def test_functions_of_one_name_in_two_files_are_two(self):
        body = "import b, c\ndef f(): return %s\n"
        self.write({"a.py": body % "b.g() - c.g()", "x.py": body % "c.g() - b.g()", "y.py": body % "b.g() - b.g()",
                    "b.py": "def g(): return 1\n", "c.py": "def g(): return 2\n"})
        self.assertEqual(len({self.described(f"{n}.py:f")["hash"] for n in "axy"}), 3)


class Packages(RunnerTest):
    def test_installed_packages_count_by_name_and_version_when_they_are_reached(self):
        python = self.environment()
        info = self.install("Fancy-Arrays", "1.2", {"arrays/__init__.py": "raise SystemExit\n", "arrays/deep.py": ""})
        self.install("other", "3", {"other.py": ""})
        self.install("space-one", "4", {"space/one/__init__.py": ""})
        self.install("space-two", "5", {"space/two/__init__.py": ""})
        self.write({"a.py": "import arrays.deep as d, other, os\nfrom space.two import x\nimport random\n"
                            "def f(): return d.g(), x, os.sep\n"})
        row = self.described("a.py:f", python=python)
        self.assertEqual([(p["name"], p["version"], p["modules"], p["counts"]) for p in row["packages"]],
                         [("Fancy-Arrays", "1.2", ["arrays"], True), ("other", "3", ["other"], False),
                          ("space-two", "5", ["space"], True)])
        self.assertEqual(row["warnings"], [])
        with open(os.path.join(info, "METADATA"), "w") as f:
            f.write("Name: Fancy-Arrays\nVersion: 1.3\n")
        after = self.described("a.py:f", python=python)
        self.assertEqual(after["hash"], row["hash"])
        self.assertNotEqual(after["identity"], row["identity"])
        shutil.rmtree(self.path("venv", SITE, "other-3.dist-info"))
        self.assertEqual(self.described("a.py:f", python=python)["identity"], after["identity"])

    def test_a_package_without_metadata_and_one_that_is_not_there_are_warned_about(self):
        python = self.environment()
        self.write({os.path.join("venv", SITE, "loose.py"): ""})
        self.write({"a.py": "import loose, nowhere\ndef f(): return loose.x, nowhere.y\n"})
        row = self.described("a.py:f", python=python)
        self.assertEqual(self.warned(row), {("package-without-version", "loose"), ("import-not-found", "nowhere")})

    def test_sources_that_are_installed_for_editing_are_followed(self):
        python = self.environment()
        self.write({"src/mine/__init__.py": "def g(): return 1\n", "flat/yours/__init__.py": "def h(): return 1\n",
                    os.path.join("venv", SITE, "__editable__.mine.pth"): self.path("src") + "\nimport sys; sys.exit(3)\n",
                    os.path.join("venv", SITE, "__editable___yours_finder.py"):
                        "import sys\nMAPPING: dict[str, str] = {'yours': %r}\nsys.exit(3)\n" % self.path("flat/yours"),
                    "a.py": "import mine\nfrom yours import h\ndef f(): return mine.g(), h()\n"})
        row = self.described("a.py:f", python=python)
        self.assertEqual([f["path"] for f in row["closure"]], ["a.py", "mine/__init__.py", "yours/__init__.py"])
        self.write({"flat/yours/__init__.py": "def h(): return 2\n"})
        self.assertNotEqual(self.described("a.py:f", python=python)["hash"], row["hash"])

    def test_it_says_what_importlib_metadata_says(self):
        names = importlib.metadata.packages_distributions() if sys.version_info >= (3, 10) else {}
        wanted = {}
        for top, dists in sorted(names.items()):
            if top.isidentifier() and top not in sys.stdlib_module_names and len(set(dists)) == 1:
                wanted[top] = (dists[0], importlib.metadata.version(dists[0]))
        wanted = dict(list(wanted.items())[:40])
        self.write({"a.py": "".join(f"import {top}\n" for top in wanted) +
                            "def f(): return [%s]\n" % ", ".join(wanted)})
        if not wanted:
            self.skipTest("nothing is installed here")
        row = self.described("a.py:f")
        found = {top: (p["name"], p["version"]) for p in row["packages"] for top in p["modules"]}
        for top, said in wanted.items():
            if top in found and found[top][1] is not None:
                self.assertEqual(found[top], said, top)
        self.assertGreater(len(found), len(wanted) // 2)

    def test_a_file_of_the_users_goes_before_the_standard_library_and_a_folder_does_not(self):
        self.write({"a.py": "import queue, json, sys\ndef f(): return queue.x, json.dumps(1), sys.path\n",
                    "queue.py": "x = 1\n", "json/data.txt": "", "sys.py": "path = 1\n"})
        row = self.described("a.py:f")
        self.assertEqual([f["path"] for f in row["closure"]], ["a.py", "queue.py"])
        self.assertEqual(self.warned(row), {("shadows-standard-library", "queue")})


class Signature(RunnerTest):
    def signature(self, head, before=""):
        self.write({"a.py": f"{before}\ndef f({head}): pass\n"})
        return self.described("a.py:f")["entry"]["signature"]

    def test_kinds_of_parameters(self):
        found = self.signature("a, /, b, *rest, c, d=1, **more")
        self.assertEqual([(p["name"], p["kind"], p.get("required")) for p in found["parameters"]],
                         [("a", "positional", True), ("b", "any", True), ("rest", "rest", None),
                          ("c", "keyword", True), ("d", "keyword", False), ("more", "keywords", None)])
        self.assertTrue(found["exact"])

    def test_literal_defaults_are_values_of_their_types(self):
        rows = [
                ("None", {"null": True}), ("True", {"bool": True}), ("1", {"int": "1"}), ("-1", {"int": "-1"}),
                ("-0x8000000000000000", {"int": "-9223372036854775808"}), ("-0x8000000000000001", None), ("0x7fffffffffffffff", {"int": "9223372036854775807"}),
                ("1 << 3", None), ("1.5", {"float": "3ff8000000000000"}), ("-0.0", {"float": "8000000000000000"}),
                ("1e999", {"float": "7ff0000000000000"}), ("'é'", {"str": "é"}), (r"'\ud800'", None),
                ("b'a\\xff'", {"bytes": "61ff"}), ("1j", None), ("(1,)", None), ("{1}", None), ("...", None),
                ("[1, ['a']]", {"list": [{"int": "1"}, {"list": [{"str": "a"}]}]}),
                ("{'b': 1, 'a': None}", {"map": [["b", {"int": "1"}], ["a", {"null": True}]]}),
                ("{1: 2}", None), ("{**x}", None), ("len", None), ("f'x'", None), ("-True", None),
                ("'a' 'b'", {"str": "ab"})]
        self.write({"a.py": "".join(f"def f{n}(a={text}): pass\n" for n, (text, _) in enumerate(rows))})
        found = answer("describe", *[self.path(f"a.py:f{n}") for n in range(len(rows))])["targets"]
        for (text, value), row in zip(rows, found):
            with self.subTest(text):
                parameter, = row["entry"]["signature"]["parameters"]
                self.assertEqual((parameter["required"], parameter["default"]), (False, value))

    def test_a_decorator_may_change_how_a_function_is_called(self):
        for decorator, exact in (("functools.lru_cache(None)", True), ("functools.cache", True), ("mine", False),
                                 ("functools.wraps(len)", False)):
            found = self.signature("a", f"import functools\ndef mine(f): return f\n@{decorator}")
            self.assertEqual(found["exact"], exact, decorator)

    def test_kinds_of_entries(self):
        self.write({"a.py": "import functools\nfrom b import g as again\nasync def co(): pass\n"
                            "async def ag(): yield 1\ndef ge():\n    x = yield\ndef fu():\n    def g(): yield 1\n"
                            "class Cl: pass\nva = functools.partial(fu)\nla = lambda: 1\n", "b.py": "\ndef g(): pass\n"})
        kinds = {name: self.described("a.py:" + name)["entry"] for name in "co ag ge fu Cl va la again".split()}
        self.assertEqual({n: e["kind"] for n, e in kinds.items()},
                         {"co": "coroutine", "ag": "async-generator", "ge": "generator", "fu": "function",
                          "Cl": "class", "va": "variable", "la": "variable", "again": "function"})
        self.assertEqual(kinds["again"]["defined"], {"path": "b.py", "line": 2})


class Warnings(RunnerTest):
    def warnings(self, body, before=""):
        self.write({"a.py": f"{before}\ndef f(x):\n    return {body}\n", "b.py": "def g(): return 1\ny = 2\n"})
        return self.described("a.py:f")

    def all_warnings(self, rows):
        """The answers for rows of (body, before, ...)."""
        for n, (body, before, *_) in enumerate(rows):
            self.write({"a.py": f"{before}\ndef f(x):\n    return {body}\n", "b.py": "def g(): return 1\ny = 2\n"}, str(n))
        return answer("describe", *[self.path(f"{n}/a.py:f") for n in range(len(rows))])["targets"]

    def test_what_cannot_be_followed_is_warned_about_by_name(self):
        rows = [
                ("importlib.import_module(x)", "import importlib", "dynamic-import", "importlib.import_module"),
                ("imp(x)", "from importlib import import_module as imp", "dynamic-import", "importlib.import_module"),
                ("__import__(x)", "", "dynamic-import", "__import__"),
                ("[__import__(i) for i in x]", "", "dynamic-import", "__import__"),
                ("getattr(b, x)", "import b", "computed-name", "getattr"),
                ("(lambda: getattr(x, x))", "", "computed-name", "getattr"),
                ("globals()[x]", "", "computed-name", "globals"),
                ("sys.modules['b'].n", "import sys", "computed-name", "sys.modules"),
                ("known.get(x)", "from sys import modules as known", "computed-name", "sys.modules"),
                ("eval(x)", "", "runs-text", "eval"), ("exec(x)", "", "runs-text", "exec"),
                ("compile(x, '', 'exec')", "", "runs-text", "compile"),
                ("runpy.run_path(x)", "import runpy", "runs-text", "runpy.run_path"),
                ("ctypes.CDLL(x)", "import ctypes", "native-library", "ctypes.CDLL"),
                ("scaled(x)", "def make(n):\n    def inner(v): return v * n\n    return inner\nscaled = make(open('x'))",
                 "captured-variable", "scaled.n"),
                ("nothing(x)", "", "undefined-name", "nothing"),
                ("b.nothing", "import b", "unknown-attribute", "b.nothing"),
                ("missing.x", "import missing", "import-not-found", "missing"),
                ("1", "import missing.deeper", "import-not-found", "missing"), ("c", "from .. import c", "import-not-found", ".c"),
                ("c", "from b import c", "import-not-found", "b.c"),
                ("__file__", "", "place-used", "__file__"), ("f.__doc__", "", "docstring-used", "__doc__"),
                ("__doc__", "", "docstring-used", "__doc__"),
                ("sys.path.append(x)", "import sys", "search-path", "sys.path"),
                ("object.__subclasses__()", "", "subclasses", "__subclasses__")]
        for (body, _, name, subject), row in zip(rows, self.all_warnings(rows)):
            with self.subTest(body):
                self.assertIn((name, subject), self.warned(row))
                for warning in row["warnings"]:
                    self.assertEqual(warning["file"].rpartition("/")[2], "a.py")
                    self.assertGreaterEqual(min(warning["line"], warning["column"]), 1)

    def test_what_can_be_followed_is_not_warned_about(self):
        rows = [
                ("getattr(x, 'name')", ""), ("importlib.import_module('b').g()", "import importlib"),
                ("__import__('b')", ""), ("getattr(b, 'g')()", "import b"), ("b.g.__name__", "import b"),
                ("sqrt(x)", "from math import *"), ("__name__", ""), ("[i for i in x if i]", ""),
                ("vars(x)", ""), ("x.compile(x)", ""), ("re.compile(x)", "import re"), ("b.__name__", "import b"),
                ("(eval := x)", ""), ("aiter(ExceptionGroup(x))", ""),
                ("X", "def set_x():\n    global X\n    X = 1\nset_x()")]
        for (body, _), row in zip(rows, self.all_warnings(rows)):
            with self.subTest(body):
                self.assertEqual(row["warnings"], [])

    def test_what_is_reached_by_a_module_as_a_value_counts_whole(self):
        for body in ("getattr(b, x)", "vars(b)", "x(b)", "importlib.import_module('b')", "__import__('b')", "b.__dict__"):
            with self.subTest(body):
                before = self.warnings(body, "import b, importlib")["hash"]
                self.write({"b.py": "def g(): return 1\ny = 3\n"})
                self.assertNotEqual(self.described("a.py:f")["hash"], before)

    def test_places_are_exact(self):
        self.write({"a.py": "def f(x):\n    return 'äöü', eval(x)\n"})
        warning, = self.described("a.py:f")["warnings"]
        self.assertEqual((warning["line"], warning["column"]), (2, 19))


class Names(RunnerTest):
    """Whose a name is: a row reaches g, or does not."""

    def test_locals_hide_globals_and_nothing_else_does(self):
        rows = [
            (True, "def f(): return g"), (False, "def f(g): return g"), (False, "def f():\n    g = 1\n    return g"),
            (False, "def f():\n    for g in x: pass\n    return g"), (False, "def f(): return [g for g in x]"),
            (True, "def f(): return [g for y in x]"), (True, "def f(): return [y for y in g]"),
            (True, "def f(): return [g for g in g]"), (False, "def f(): return [y for g in x for y in g]"),
            (True, "def f():\n    def i(g): pass\n    return g"), (False, "def f():\n    g = 1\n    def i(): return g\n    return i"),
            (True, "def f():\n    def i():\n        g = 1\n    return g"), (True, "def f():\n    global g\n    g = 1"),
            (True, "def f():\n    g = 1\n    def i():\n        global g\n        return g"),
            (True, "class f:\n    g = 1\n    def m(self): return g"), (True, "class f:\n    g = g"),
            (True, "class f:\n    x = [g for i in y]\n    g = 1"), (False, "def f(x): return x.g"),
            (False, "def f(x): return x(g=1)"), (False, "def f():\n    import os as g\n    return g"),
            (False, "def f():\n    try: pass\n    except E as g: return g"), (False, "def f():\n    with x as g: return g"),
            (False, "def f():\n    if (g := 1): return g"), (False, "def f():\n    [g := i for i in x]\n    return g"),
            (False, "def f(): return lambda g: g"), (True, "def f(): return lambda x=g: x"), (True, "def f(x=g): pass"),
            (True, "def f(x: g): pass"), (True, "def f() -> g: pass"), (True, "@g\ndef f(): pass"), (True, "class f(g): pass"),
            (True, "class f(metaclass=g): pass"), (True, "def f(): return f'{g}'"), (True, "def f(): return f'{1:{g}}'"),
            (True, "def f():\n    del x[g]"), (True, "async def f():\n    async for x in g: pass"), (False, "def f(): return 'g'"),
            (True, "def f():\n    while g: pass"), (True, "def f():\n    def i():\n        class C:\n            x = g\n    return i"),
            (True, "def f(x): return x[g:]"), (True, "def f(x):\n    x[g] = 1"), (True, "def f(): return {**g}"),
            (True, "def f(): return (yield g)"), (True, "def f():\n    raise E from g"), (True, "def f(): return h(*g)"),
            (True, "def f():\n    g.x += 1"), (False, "def f():\n    nonsense: g\n    g = 1"), (True, "f = h(g)"), (True, "f = [g]"),
            (True, "f = lambda: g"), (True, "f = 1\nf = g"), (True, "if x: f = g\nelse: f = 1"), (True, "for f in g: pass"),
            (True, "f = 1\nf.x = g"), (True, "f = {}\nf['x'] = g"), (True, "try:\n    from m import f\nexcept E:\n    f = g"),
            (True, "class A:\n    def m(self): return g\ndef f(): return A"),
            (True, "class A:\n    class B:\n        x = g\ndef f(): return A.B"),
        ]
        if sys.version_info >= (3, 10):
            rows += [(True, "def f(x):\n    match x:\n        case g(): pass"), (False, "def f(x):\n    match x:\n        case g: return g"),
                     (True, "def f(x):\n    match x:\n        case g.y: pass"), (False, "def f(x):\n    match x:\n        case [*g]: return g"),
                     (False, "def f(x):\n    match x:\n        case {**g}: return g"), (True, "def f(x):\n    match x:\n        case 1 if g: pass"),
                     (False, "def f(x):\n    match x:\n        case 1 as g: return g")]
        if sys.version_info >= (3, 12):
            rows += [(True, "def f[T: g](x): pass"), (False, "def f[g](x: g): return g"), (True, "type f = g"),
                     (False, "class f[g]: x: g"), (True, "type f[T] = dict[T, g]")]
        targets = []
        for n, (_, text) in enumerate(rows):
            for value in "12":
                self.write({"a.py": f"def g(): return {value}\n{text}\n"}, f"{n}-{value}")
                targets.append(self.path(f"{n}-{value}", "a.py:f"))
        found = answer("describe", *targets)["targets"]
        for n, (reaches, text) in enumerate(rows):
            one, two = found[2 * n], found[2 * n + 1]
            with self.subTest(text):
                self.assertTrue(one["ok"], one)
                self.assertEqual(one["hash"] != two["hash"], reaches)


class Effects(RunnerTest):
    """What the import of a module does: a row's change of 1 to 2 changes f, or does not."""

    def test_statements_at_the_top_level_count_when_they_can_change_what_counts(self):
        table = "T = {}\ndef reg(x):\n    T[x] = x\n    return x\ndef f(): return T\n"
        base = "class Base:\n    all = []\n    def __init_subclass__(cls): Base.all.append(cls)\ndef f(): return Base.all\n"
        rows = [
            (True, "import random\nrandom.seed(V)\ndef f(): pass\n"), (True, "import os\nos.environ['X'] = 'V'\ndef f(): pass\n"),
            (True, "print(V)\ndef f(): pass\n"), (True, "def go(): return V\ngo()\ndef f(): pass\n"),
            (False, "x = V\ndef f(): pass\n"), (False, "def g(): return V\ndef f(): pass\n"), (False, "T = {}\nT['a'] = V\ndef f(): pass\n"),
            (True, "T = {}\nT['a'] = V\ndef f(): return T\n"), (True, "T = []\nT.append(V)\ndef f(): return T\n"),
            (True, "T = []\nfor i in range(V): T.append(i)\ndef f(): return T\n"), (True, "T = {}\nU = T\nU['a'] = V\ndef f(): return T\n"),
            (True, "if V: x = 1\ndef f(): return x\n"), (False, "if V: x = 1\ndef f(): pass\n"),
            (True, table + "@reg\ndef plugin(): return V\n"), (True, table + "y = reg(V)\n"), (True, table + "class A:\n    x = reg(V)\n"),
            (False, "def keep(x): return x\n@keep\ndef plugin(): return V\ndef f(): return keep\n"),
            (False, "import functools\n@functools.cache\ndef plugin(): return V\ndef f(): return functools\n"),
            (False, "import logging\nlog = logging.getLogger()\ndef timed(x):\n    log.info(x)\n    return x\n"
                    "@timed\ndef plugin(): return V\ndef f(): return log\n"),
            (True, base + "class A(Base): x = V\n"), (False, base.replace("return Base.all", "pass") + "class A(Base): x = V\n"),
            (True, "class C: pass\nC.x = V\ndef f(): return C\n"), (True, "def h(): pass\nh.x = V\ndef f(): return h\n"),
            (True, "import b\nb.x = V\ndef f(): return b.x\n"), (False, "import b\nb.x = V\ndef f(): return b.z\n"),
            (True, "import b\ndef f(): return b.g()\n", "x = 1\nz = 2\nprint(V)\ndef g(): pass\n"),
            (True, "import b\ndef f(): pass\n", "print(V)\n"), (False, "import b\ndef f(): pass\n", "x = V\n"),
            (True, "def f():\n    import b\n", "print(V)\n"), (False, "def f(): pass\ndef g():\n    import b\n", "print(V)\n"),
            (True, "import b.c\ndef f(): pass\n", None, {"b/__init__.py": "print(V)\n", "b/c.py": ""}),
            (False, "def f(): pass\nif __name__ == '__main__':\n    print(V)\n"),
            (True, "A = B = {}\nA['x'] = V\ndef f(): return B\n"), (True, "U = []\nT = [U]\nT[0].append(V)\ndef f(): return U\n"),
            (True, "def go():\n    global X\n    X = V\ngo()\ndef f(): return X\n"),
            (True, "class C: pass\nT = [C]\nT[0].x = V\ndef f(): return C\n"),
            (True, "assert V\ndef f(): pass\n"), (True, "x = 1\ndel x\nx = V\ndef f(): return x\n"),
            (True, "from functools import singledispatch\n@singledispatch\ndef f(x): pass\n@f.register\ndef _(x: int): return V\n"),
        ]
        targets = []
        for n, (_, text, *more) in enumerate(rows):
            for value in "12":
                files = {"a.py": text, "b.py": "x = 1\nz = 2\n" if not more or more[0] is None else more[0]}
                if len(more) > 1:
                    del files["b.py"]
                    files.update(more[1])
                self.write({name: t.replace("V", value) for name, t in files.items()}, f"{n}-{value}")
                targets.append(self.path(f"{n}-{value}", "a.py:f"))
        found = answer("describe", *targets)["targets"]
        for n, (counts, text, *_) in enumerate(rows):
            one, two = found[2 * n], found[2 * n + 1]
            with self.subTest(text):
                self.assertTrue(one["ok"] and two["ok"], (one, two))
                self.assertEqual(one["hash"] != two["hash"], counts)


class Answers(RunnerTest):
    def test_definitions_say_what_changed_and_where(self):
        self.write(FILES)
        before = {d["label"]: d for d in self.described("train.py:train")["definitions"]}
        self.assertEqual((before["dig"]["path"], before["dig"]["line"], before["dig"]["kind"]),
                         ("pkg/util/deep.py", 4, "function"))
        self.assertEqual(before["effects"]["lines"][0]["path"], "train.py")
        self.write({"helpers.py": FILES["helpers.py"].replace("path.strip()", "path.rstrip()")})
        after = {d["label"]: d for d in self.described("train.py:train")["definitions"]}
        self.assertEqual([n for n in before if before[n]["sha256"] != after[n]["sha256"]], ["inner_load"])

    def test_the_hash_is_that_of_the_canonical_form(self):
        self.write(FILES)
        row = self.described("train.py:train", "--canonical")
        self.assertEqual(hashlib.sha256(row["canonical"].encode()).hexdigest(), row["hash"])
        self.assertTrue(row["canonical"].startswith("cashet-python 1\nentry @train\nfunction train\n"))
        self.assertNotIn("canonical", self.described("train.py:train"))

    def test_the_answer_is_the_same_every_time(self):
        self.write(FILES)
        said = [answer("describe", "--canonical", self.path("train.py:train"), env=dict(os.environ, PYTHONHASHSEED=seed))
                for seed in ("0", "1", "77")]
        self.assertEqual(said[0], said[1])
        self.assertEqual(said[0], said[2])


if __name__ == "__main__":
    unittest.main()

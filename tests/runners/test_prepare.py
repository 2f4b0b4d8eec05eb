"""cashet-runner-python prepare: a source is what its client said, or it is refused with the reason."""

import json
import os
import shutil
import sys
import unittest

from edits import FILES
from runner import SITE, RunnerTest, answer, pythons, start


class Prepare(RunnerTest):
    def ship(self, row, below="source/files"):
        """Lays a described target out as a worker does. Return: its unit, as source.json has it."""
        for file in row["closure"]:
            path = self.path(below, file["path"])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            shutil.copy(file["file"], path)
        return {"language": "python", "path": row["entry"]["path"], "name": row["entry"]["function"], "hash": row["hash"],
                "identity": row["identity"], "packages": row["packages"], "flags": []}

    def prepare(self, *units, version=None, python=None, text=None, below="source", files=None):
        said = {"source": "00", "units": units, "version": version}
        if files is not None:
            said["files"] = files
        self.write({"source.json": json.dumps(said) if text is None else text}, below)
        done = start(*([] if python is None else ["--python", python]), "prepare", "--cache", self.path("cache"),
                     self.path(below, "files"))
        self.assertEqual(done.stderr, b"")
        found = json.loads(done.stdout)
        self.assertEqual(done.returncode, 0 if found["ok"] else 1)
        return found

    def refused(self, kind, *units, words=(), **more):
        error = self.prepare(*units, **more)["error"]
        self.assertEqual(error["kind"], kind, error)
        for word in words:
            self.assertIn(word, error["message"])

    def test_what_is_as_it_was_described_is_good(self):
        self.write(FILES, "project")
        for n, target in enumerate(("train.py:train", "train.py", "pkg/model.py:Model")):
            with self.subTest(target):
                below = "source%d" % n
                row = self.described("project/" + target)
                unit = self.ship(row, below + "/files")
                self.assertEqual(self.prepare(unit, below=below, files=[file["path"] for file in row["closure"]]),
                                 {"ok": True, "library": None, "version": "%d.%d.%d" % sys.version_info[:3]})
        self.assertTrue(self.prepare(dict(unit, language="c", hash="0"), below=below)["ok"], "of another language")

    def test_scripts_below_a_folder_find_what_lies_in_it(self):
        self.write({"tools/run.py": "import near\nfrom lib import far\nprint(near.x, far.x)\n", "tools/near.py": "x = 1\n",
                    "lib/far.py": "x = 2\n"})
        row = self.described("tools/run.py", "--root", self.folder)
        self.write({"tools/run.py": "import near\nfrom lib import far\nprint(near.x, far.x)\n", "tools/near.py": "x = 1\n",
                    "lib/far.py": "x = 2\n"}, "source/files")
        unit = dict(self.ship(row), path="tools/run.py")
        self.assertTrue(self.prepare(unit, files=["tools/run.py", "tools/near.py", "lib/far.py"])["ok"])

    def test_a_file_that_no_hash_is_of_is_refused(self):
        self.write({"a.py": "def f():\n    try:\n        import more\n    except ImportError:\n        return 1\n"})
        unit = self.ship(self.described("a.py:f"))
        self.write({"source/files/data.json": "", "source/files/more.pyc": "", "source/files/__pycache__/a.cpython-311.pyc": ""})
        self.assertTrue(self.prepare(unit, files=["a.py"])["ok"], "others count by their bytes")
        for path in ("data.json", "more.pyc", "__pycache__/a.cpython-311.pyc", "../a.py"):
            self.refused("mismatch", unit, files=["a.py", path], words=[path])
        self.refused("missing", unit, files=[1])

    def test_another_source_is_refused(self):
        self.write(FILES, "project")
        unit = self.ship(self.described("project/train.py:train"))
        self.refused("mismatch", dict(unit, hash="0" * 64), words=["0" * 64, unit["hash"], "train.py:train"])
        self.refused("mismatch", dict(unit, identity="0" * 64), words=[unit["identity"]])
        self.write({"helpers.py": FILES["helpers.py"].replace("path.strip()", "path.rstrip()")}, "source/files")
        self.refused("mismatch", unit, words=[unit["hash"]])
        self.write({"helpers.py": FILES["helpers.py"] + "# a comment\n"}, "source/files")
        self.assertTrue(self.prepare(unit)["ok"])
        self.write({"helpers.py": "def g(:\n"}, "source/files")
        self.refused("syntax", unit, words=["helpers.py:1:"])
        self.refused("syntax", dict(unit, name="nobody"), words=["nobody"])
        os.unlink(self.path("source/files/helpers.py"))
        self.refused("mismatch", unit)
        self.refused("missing", dict(unit, path="none.py"), words=["none.py"])

    def test_what_kills_the_parser_costs_its_own_unit_only(self):
        self.write({"a.py": "def f(): return 1\n"})
        unit = self.ship(self.described("a.py:f"))
        self.write({"deep.py": "def f():\n    return " + "(" * 5000 + "1" + ")" * 5000 + "\n"}, "source/files")
        self.refused("syntax", unit, dict(unit, path="deep.py"), words=["deep.py", "nested"])

    def test_other_packages_are_refused_with_both_lists(self):
        python = self.environment()
        self.install("Fancy", "1.2", {"fancy.py": ""})
        self.write({"a.py": "import fancy\ndef f(): return fancy.x\n"})
        unit = self.ship(self.described("a.py:f", python=python))
        self.assertTrue(self.prepare(unit, python=python)["ok"])
        os.rename(self.path("venv", SITE, "Fancy-1.2.dist-info"), self.path("venv", SITE, "Fancy-1.3.dist-info"))
        self.write({"METADATA": "Name: Fancy\nVersion: 1.3\n"}, os.path.join("venv", SITE, "Fancy-1.3.dist-info"))
        self.refused("packages", unit, python=python, words=["Fancy 1.2", "Fancy 1.3"])
        shutil.rmtree(self.path("venv", SITE))
        self.refused("packages", unit, python=python, words=["Fancy 1.2", "no Fancy"])

    def test_another_version_is_refused(self):
        self.write({"a.py": "def f(): return 1\n"})
        unit = self.ship(self.described("a.py:f"))
        self.assertTrue(self.prepare(unit, version="%d.%d" % sys.version_info[:2])["ok"])
        self.refused("version", unit, version="3.1", words=["3.1"])
        for minor, path in pythons():
            self.assertEqual(self.prepare(unit, version="3.%d" % minor, python=path)["ok"], True)

    def test_an_interpreter_that_is_none_is_said_so(self):
        self.write({"a.py": "def f(): return 1\n"})
        unit = self.ship(self.described("a.py:f"))
        self.refused("missing", unit, python="/no/such/python", words=["/no/such/python"])
        self.refused("missing", unit, python="no-such-python", words=["no-such-python"])
        for minor, path in pythons(range(6, 9)):
            self.refused("version", unit, python=path, words=["3.%d" % minor])

    def test_nothing_of_the_source_is_run(self):
        self.write({"a.py": "open(%r, 'w')\ndef f(): return 1\n" % self.path("ran"), "json.py": "open(%r, 'w')\n" % self.path("ran")})
        unit = self.ship(self.described("a.py:f"))
        shutil.copy(self.path("json.py"), self.path("source/files/json.py"))
        self.assertTrue(self.prepare(unit)["ok"])
        self.assertFalse(os.path.exists(self.path("ran")))

    def test_a_source_json_that_is_none(self):
        self.write({"source/files/a.py": ""})
        for text in ("", "{", "[]", "{}", '{"units": 1}', '{"units": [{"language": "python"}]}', '{"units": [], "version": 3}',
                     '{"units": [{"language": "python", "path": "a\\u0000", "name": null, "hash": "", "identity": "", "packages": []}]}',
                     "[" * 100000):
            self.refused("missing", text=text, words=["source.json"])
        self.assertEqual(start("prepare").returncode, 2)
        self.assertEqual(start("prepare", "--cache").returncode, 2)
        self.assertEqual(answer("describe", self.path("source/files/a.py"))["targets"][0]["ok"], True)


if __name__ == "__main__":
    unittest.main()

"""`looked`: whatever changes an answer is seen by stat() of what the answer says that it looked at."""

import os
import shutil
import unittest

from runner import PROGRAM, SITE, RunnerTest

FILES = {
    "a.py": "import b, c.d, e, nowhere, fancy, mine\nfrom c import g\ndef f(): return b.x, c.d.x, e.x, g, fancy.x, mine.x\n",
    "b.py": "x = 1\n",
    "b/data.txt": "no module",
    "c/__init__.py": "g = 1\n",
    "c/d.py": "x = 1\n",
    "far/e.py": "x = 1\n",
    "src/mine.py": "x = 1\n",
}


def kept(looked):
    """Whether all that was looked at is as it was."""
    def is_file(path, size, mtime, inode):
        now = os.stat(path)
        return (now.st_size, now.st_mtime_ns, now.st_ino) == (size, mtime, inode)

    def is_folder(path, mtime, inode):
        now = os.stat(path)
        return (now.st_mtime_ns, now.st_ino) == (mtime, inode)
    try:
        return all(is_file(*row) for row in looked["files"]) and all(is_folder(*row) for row in looked["folders"]) \
            and not any(os.path.exists(path) for path in looked["absent"])
    except FileNotFoundError:
        return False


def append(path, text):
    with open(path, "a") as f:
        f.write(text)


class Looked(RunnerTest):
    def setUp(self):
        super().setUp()
        self.write(FILES)
        self.python = self.environment()
        self.install("Fancy", "1.2", {"fancy/__init__.py": ""})
        self.write({os.path.join("venv", SITE, "mine.pth"): self.path("src") + "\n"})
        for folder, _, names in os.walk(self.folder):
            for name in names + ["."]:
                if not os.path.islink(os.path.join(folder, name)):
                    os.utime(os.path.join(folder, name), ns=(1, 1))  # so that any change is seen

    def look(self):
        row = self.described("a.py:f", "--root", self.path("far"), python=self.python)
        return row, row["looked"]

    def changes(self):
        """What somebody may do, each of which gives another answer."""
        def write(name, text):
            return lambda: self.write({name: text})
        site = os.path.join("venv", SITE)
        yield "another file", write("b.py", "x = 2\n")
        yield "another file of a package", write("c/d.py", "x = 2\n")
        yield "a file of a root", write("far/e.py", "x = 2\n")
        yield "what was nowhere is there", write("nowhere.py", "x = 1\n")
        yield "it is in a root", write("far/nowhere.py", "x = 1\n")
        yield "it is installed", lambda: self.install("nowhere", "1", {"nowhere/__init__.py": ""})
        yield "a file goes before a root's", write("e.py", "x = 2\n")
        yield "a package goes before a file", write("b/__init__.py", "x = 2\n")
        yield "the folder becomes a package", write("__init__.py", "x = 2\n")
        yield "a module goes before an attribute", write("c/__init__.py", "from . import g\n")
        yield "another version is installed", lambda: os.rename(self.path(site, "Fancy-1.2.dist-info"),
                                                               self.path(site, "Fancy-1.3.dist-info"))
        yield "its metadata are edited", write(os.path.join(site, "Fancy-1.2.dist-info/METADATA"), "Name: Fancy\nVersion: 2\n")
        yield "a package is removed", lambda: shutil.rmtree(self.path(site, "fancy"))
        yield "a package is emptied", lambda: os.unlink(self.path(site, "fancy/__init__.py"))
        yield "what is installed for editing is edited", write("src/mine.py", "x = 2\n")
        yield "it is gone", lambda: os.unlink(self.path("src/mine.py"))
        yield "it is elsewhere", write(os.path.join(site, "mine.pth"), self.path("far") + "\n")
        yield "the environment is another", lambda: append(self.path("venv/pyvenv.cfg"), "x = y\n")
        yield "the root is another folder", lambda: (os.rename(self.path("far"), self.path("near")), os.mkdir(self.path("far")))

    def test_what_changes_the_answer_is_seen(self):
        for name, _ in list(self.changes()):
            with self.subTest(name):
                self.tearDown()
                self.doCleanups()
                self.setUp()
                before, looked = self.look()
                self.assertTrue(kept(looked))
                dict(self.changes())[name]()
                self.assertFalse(kept(looked))
                after = self.describe("a.py:f", "--root", self.path("far"), python=self.python)
                if after["ok"]:
                    self.assertTrue(kept(after["looked"]))

    def test_what_does_not_is_not(self):
        self.write({"other/x.py": "x = 1\n"})
        os.utime(self.folder, ns=(1, 1))
        _, looked = self.look()
        self.write({"other/x.py": "x = 2\n", "other/y.py": "x = 1\n", "far/deep/z.txt": ""})
        os.utime(self.path("far"), ns=(1, 1))
        self.assertTrue(kept(looked))
        self.assertEqual(self.look()[1]["files"], looked["files"])

    def test_a_link_to_the_file_counts_as_itself(self):
        self.write({"v1/t.py": "def f(): return 1\n", "v2/t.py": "def f(): return 2\n"})
        os.symlink(self.path("v1"), self.path("current"))
        looked = self.described("current/t.py:f")["looked"]
        self.assertTrue(kept(looked))
        os.unlink(self.path("current"))
        os.symlink(self.path("v2"), self.path("current"))
        self.assertFalse(kept(looked))

    def test_the_program_and_the_interpreter_are_among_it(self):
        files = [row[0] for row in self.look()[1]["files"]]
        self.assertIn(self.python, files)
        self.assertIn(os.path.join(os.path.dirname(PROGRAM), "cashet_runner", "canon.py"), files)
        self.assertEqual(len(files), len(set(files)))


if __name__ == "__main__":
    unittest.main()

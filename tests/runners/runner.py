"""What the tests of cashet-runner-python share: scratch folders, and many targets in one call."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SITE = os.path.join("lib", "python%d.%d" % sys.version_info[:2], "site-packages")
HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.realpath(os.path.join(os.environ["CASHET_BIN"], "cashet-runner-python"))


def start(*args, python=None, **more):
    """Runs the program with this interpreter, or @python."""
    return subprocess.run([python or sys.executable, "-I", "-S", PROGRAM, *args], capture_output=True, **more)


def answer(*args, python=None, **more):
    """What it says, as read from JSON; whatever its exit status."""
    done = start(*args, python=python, **more)
    if done.stderr or done.returncode not in (0, 1):
        raise AssertionError(f"exit {done.returncode}: {done.stderr.decode()}")
    found = json.loads(done.stdout)
    assert done.returncode == (0 if all(t["ok"] for t in found["targets"]) else 1)
    return found


def pythons(minors=range(9, 15)):
    """Interpreters of this machine, by default those that the program is for: (version, path)."""
    found = {}
    roots = os.path.expanduser("~/.pyenv/versions")
    folders = [os.path.join(roots, v, "bin") for v in sorted(os.listdir(roots))] if os.path.isdir(roots) else []
    for folder in folders + ["/usr/local/bin", "/usr/bin"]:
        for minor in minors:
            path = os.path.join(folder, f"python3.{minor}")
            if minor not in found and os.access(path, os.X_OK):
                found[minor] = path
    return sorted(found.items())


class RunnerTest(unittest.TestCase):
    """A folder of its own for each test."""

    def setUp(self):
        self.folder = os.path.realpath(tempfile.mkdtemp(prefix="cashet-runner-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def write(self, files, below=""):
        """@files: path to text or bytes."""
        for name, text in files.items():
            path = self.path(below, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(text if isinstance(text, bytes) else text.encode())

    def describe(self, target, *options, **more):
        """The row of one target in the scratch folder."""
        return answer("describe", *options, "--", self.path(target), **more)["targets"][0]

    def described(self, target, *options, **more):
        """The same, of a target that must be good."""
        row = self.describe(target, *options, **more)
        self.assertTrue(row["ok"], row)
        return row

    def warned(self, row):
        return {(w["name"], w["subject"]) for w in row["warnings"]}

    def environment(self):
        """A virtual environment of this interpreter: two links and a file; with packages of its own."""
        os.makedirs(self.path("venv/bin"))
        os.symlink(os.path.realpath(sys.executable), self.path("venv/bin/python"))
        self.write({"venv/pyvenv.cfg": f"home = {os.path.dirname(os.path.realpath(sys.executable))}\n"
                                       "include-system-site-packages = false\n"})
        return self.path("venv/bin/python")

    def install(self, name, version, files, where=None):
        info = f"{name.replace('-', '_')}-{version}.dist-info"
        record = "".join(f"{f},,\n" for f in files)
        self.write(dict(files, **{f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nText\n",
                                  f"{info}/RECORD": record}), where or os.path.join("venv", SITE))
        return self.path(where or os.path.join("venv", SITE), info)

"""What the tests of cashet-runner-c share."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest

PROGRAM = os.path.join(os.path.realpath(os.environ["CASHET_BIN"]), "cashet-runner-c")


def start(*args, **more):
    return subprocess.run([PROGRAM, *args], capture_output=True, **more)


def answer(*args, **more):
    """What describe says, as read from JSON; whatever its exit status."""
    done = start("describe", *args, **more)
    if done.stderr or done.returncode not in (0, 1):
        raise AssertionError(f"exit {done.returncode}: {done.stderr.decode()}")
    found = json.loads(done.stdout)
    assert done.returncode == (0 if all(t["ok"] for t in found["targets"]) else 1)
    return found


class RunnerTest(unittest.TestCase):
    """A folder of its own for each test."""

    def setUp(self):
        self.folder = os.path.realpath(tempfile.mkdtemp(prefix="cashet-runner-c-"))
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
        return answer(*options, "--", self.path(target), **more)["targets"][0]

    def described(self, target, *options, **more):
        row = self.describe(target, *options, **more)
        self.assertTrue(row["ok"], row)
        return row

    def refused(self, target, name, *options, **more):
        """The error of a target that must be bad."""
        row = self.describe(target, *options, **more)
        self.assertFalse(row["ok"], row)
        self.assertEqual(row["error"]["name"], name, row)
        self.assertGreater(len(row["error"]["message"]), 10)
        return row["error"]

    def warned(self, row):
        return {(w["name"], w["subject"]) for w in row["warnings"]}

    def task(self, body, before=""):
        """A source whose train() does this."""
        return "#include <cashet/task.h>\n%s\nint train(struct cashet_task *task)\n{\n%s\n\treturn 0;\n}\n" % (
            before, body)

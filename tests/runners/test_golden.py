"""The canonical form is frozen: golden.json has the hashes of golden/*.py, which every version of Python that
can read them must find. If this fails, a change would silently lose every cache there is. Do not mend a
hash: give the new form a new scheme number.

test_golden.py --write adds the hashes of targets that have none yet.
"""

import json
import os
import sys
import unittest

from edits import FILES
from runner import HERE, RunnerTest, answer, pythons

HASHES = os.path.join(HERE, "golden.json")
# target, first Python that reads it
TARGETS = [("every.py", 9), ("every.py:entry", 9), ("every.py:Klass", 9), ("every.py:statements", 9), ("every.py:TEXTS", 9),
           ("every.py:lam", 9), ("every_helpers.py:one", 9), ("match.py:entry", 10), ("match.py", 10), ("groups.py:entry", 11),
           ("types12.py:entry", 12), ("types12.py", 12), ("types13.py:entry", 13)]


def described(minor, python=None):
    targets = [target for target, first in TARGETS if first <= minor]
    rows = answer("describe", "--canonical", *[os.path.join(HERE, "golden", t) for t in targets], python=python)["targets"]
    return dict(zip(targets, rows))


class Golden(RunnerTest):
    def check(self, minor, python=None):
        with open(HASHES) as f:
            golden = json.load(f)
        for target, row in described(minor, python).items():
            with self.subTest(target, python=python or sys.executable):
                self.assertTrue(row["ok"], row)
                self.assertEqual(row["hash"], golden[target], row["canonical"])

    def test_this_python_finds_the_frozen_hashes(self):
        self.check(sys.version_info[1])

    def test_every_other_python_of_this_machine_finds_them_too(self):
        others = [(minor, path) for minor, path in pythons() if minor != sys.version_info[1]]
        if not others:
            self.skipTest("there is no other Python here")
        for minor, path in others:
            self.check(minor, path)

    def test_the_program_of_the_table_of_edits_is_one_of_them(self):
        self.write(FILES)
        with open(HASHES) as f:
            self.assertEqual(self.described("train.py:train")["hash"], json.load(f)["edits"])

    def test_versions_agree_on_signatures_warnings_and_definitions(self):
        target = os.path.join(HERE, "golden", "every.py:entry")
        said = [answer("describe", target, python=path)["targets"][0] for _, path in pythons()]
        for row in said:
            del row["looked"]  # it names the interpreter
        for row in said[1:]:
            self.assertEqual(row, said[0])


def write():
    golden = {}
    if os.path.exists(HASHES):
        with open(HASHES) as f:
            golden = json.load(f)
    for minor, path in pythons():
        for target, row in described(minor, path).items():
            assert row["ok"], row
            assert golden.setdefault(target, row["hash"]) == row["hash"], target
    with open(HASHES, "w") as f:
        json.dump(golden, f, indent=1, sort_keys=True)
        f.write("\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write()
    else:
        unittest.main()

"""The table of edits.py, in both directions: from the program to its edited form, and back; and the tables
of effects.py, attributes.py and spellings.py."""

import os
import re
import subprocess
import sys
import unittest

import attributes
from edits import CHANGE, EDITS, FILES, KEEP
from effects import CHANGES, KEEPS
from runner import RunnerTest, answer
from spellings import B, OTHER, SAME


def edited(file, before, after):
    text = FILES[file]
    assert text.count(before) == 1, (file, before, text.count(before))
    return dict(FILES, **{file: text.replace(before, after)})


class Edits(RunnerTest):
    def targets(self):
        """One folder for the program and one for each edit; one call describes them all."""
        self.write(FILES, "base")
        names = ["base"]
        for n, (_, _, file, before, after) in enumerate(EDITS):
            names.append("edit%d" % n)
            self.write(edited(file, before, after), names[-1])
        return [self.path(name, "train.py") for name in names]

    def hashes(self, targets):
        rows = answer("describe", *targets)["targets"]
        for row in rows:
            self.assertTrue(row["ok"], row)
        return [row["hash"] for row in rows]

    def judged(self, what, keeps, before, after):
        with self.subTest(what + (" must keep" if keeps else " must change")):
            (self.assertEqual if keeps else self.assertNotEqual)(before, after)

    def test_every_edit_keeps_or_changes_the_hash_as_it_must_in_both_directions(self):
        targets = [target + ":train" for target in self.targets()]
        base, *forth = self.hashes(targets)
        back = self.hashes(targets[::-1])[::-1]
        self.assertEqual([base, *forth], back, "the order of targets changes a hash")
        for (verdict, what, file, *_), found in zip(EDITS, forth):
            self.judged(f"{what} ({file})", verdict == KEEP, base, found)
        changed = [found for (verdict, *_), found in zip(EDITS, forth) if verdict == CHANGE]
        self.assertEqual(len(set(changed)), len(changed), "two edits that differ have one hash")

    def test_a_whole_script_changes_with_what_it_says_and_keeps_with_what_it_does_not(self):
        base, *found = self.hashes(self.targets())
        own = {"a function that is not reached", "a constant that is not reached", "what only the script does",
               "the script's part is gone", "a local name that a global has too",
               "functions in another order"}
        for (verdict, what, file, *_), hashed in zip(EDITS, found):
            self.judged(f"{what} ({file})", verdict == KEEP and what not in own, base, hashed)

    def test_the_table_is_as_large_as_it_must_be(self):
        verdicts = [verdict for verdict, *_ in EDITS]
        self.assertGreaterEqual(min(verdicts.count(KEEP), verdicts.count(CHANGE)), 30)
        self.assertEqual(len({what for _, what, *_ in EDITS}), len(EDITS))


def readable(text):
    """Whether this Python can read it."""
    return sys.version_info >= (3, 11) or sys.version_info >= (3, 10) and "except*" not in text or \
        not re.search(r"except\*|^ *match .*:$", text, re.M)


class Tables(RunnerTest):
    """Rows of (whether the hashes must differ, files, other files)."""

    def check(self, rows):
        rows = [row for row in rows if readable(row[1]["a.py"] + row[2]["a.py"])]
        targets = []
        for n, (_, *versions) in enumerate(rows):
            for name, files in zip("12", versions):
                self.write(files, f"{n}-{name}")
                targets.append(self.path(f"{n}-{name}", "a.py:f"))
        found = answer("describe", "-", input="\n".join(targets).encode())["targets"]
        for n, (differ, files, _) in enumerate(rows):
            one, two = found[2 * n], found[2 * n + 1]
            with self.subTest(files, differ=differ):
                self.assertTrue(one["ok"] and two["ok"], (one, two))
                self.assertEqual(one["hash"] != two["hash"], differ)
        return found

    def check_shipped(self, found):
        """What is shipped is described there as it was here, or the worker would refuse it."""
        shipped = {}
        for row in found:
            if any(part["path"] == "a.py" for part in row["closure"]):  # else f is defined in another file
                below = f"shipped{len(shipped)}"
                for part in row["closure"]:
                    with open(part["file"], "rb") as f:
                        self.write({part["path"]: f.read()}, below)
                shipped[self.path(below, "a.py:f")] = row
        self.assertGreater(len(shipped), len(found) // 2)
        arrived = answer("describe", "-", input="\n".join(shipped).encode())["targets"]
        for row, there in zip(shipped.values(), arrived):
            with self.subTest(row["target"]):
                self.assertEqual((row["hash"], row["identity"], [part["path"] for part in row["closure"]]),
                                 (there["hash"], there["identity"], [part["path"] for part in there["closure"]]))

    def test_what_an_import_does_counts_when_the_function_may_find_it_changed(self):
        rows = []
        for differ, row in [(True, row) for row in CHANGES] + [(False, row) for row in KEEPS]:
            text, more = row if isinstance(row, tuple) else (row, {})
            files = dict(more, **{"a.py": text})
            rows.append([differ] + [{name: re.sub("V(?![a-z])", value, t) for name, t in files.items()} for value in "12"])
        self.check_shipped(self.check(rows)[::2])

    def test_an_attribute_of_a_package_is_what_it_is_when_the_function_runs(self):
        rows = []
        for differ, table in ((True, attributes.CHANGES), (False, attributes.KEEPS)):
            for text, init, more in table:
                files = dict({"p/y.py": ""}, **more, **{"a.py": text, "p/__init__.py": init})
                rows.append([differ] + [{name: re.sub("V(?![a-z])", value, t) for name, t in files.items()} for value in "12"])
        found = self.check(rows)
        self.check_shipped(found[::2])
        self.check_runs(rows, found)

    def check_runs(self, rows, found):
        """What is shipped gives what the whole program does: all at once, since each start of Python costs."""
        for n, (_, files, _) in enumerate(rows):
            for part in found[2 * n]["closure"]:
                with open(part["file"], "rb") as f:
                    self.write({part["path"]: f.read()}, f"run{n}")
        program = (
            "import importlib, sys\nown = set(sys.modules)\nfor folder in sys.argv[1:]:\n    sys.path.insert(0, folder)\n"
            "    try: print(importlib.import_module('a').f())\n    except Exception as e: print('error', e)\n    sys.path.pop(0)\n"
            "    for name in [n for n in sys.modules if n.partition('.')[0] in ('a', 'b', 'p')]: del sys.modules[name]\n"
            "    importlib.invalidate_caches()\n")
        whole, shipped = (subprocess.run(
            [sys.executable, "-B", "-I", "-c", program, *[self.path(form % n) for n in range(len(rows))]],
            capture_output=True, check=True).stdout.decode().splitlines() for form in ("%d-1", "run%d"))
        self.assertEqual(len(whole), len(rows))
        for (_, files, _), one, two in zip(rows, whole, shipped):
            with self.subTest(files):
                self.assertNotIn("error", one)
                self.assertEqual(one, two)

    def test_spellings_of_one_meaning_are_one_and_others_are_not(self):
        self.check([[differ] + [dict(B, **(more[0] if more else {}), **{"a.py": text}) for text in (one, two)]
                    for differ, table in ((False, SAME), (True, OTHER)) for one, two, *more in table])


if __name__ == "__main__":
    assert "CASHET_BIN" in os.environ
    unittest.main()

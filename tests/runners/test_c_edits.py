"""The tables of c_edits.py, in both directions: from the program to its edited form, and back; and of c_pairs.py."""

import os
import unittest

from c_edits import CHANGE, EDITS, FILES, KEEP
from c_pairs import PAIRS
from c_runner import RunnerTest, answer


def edited(file, before, after):
    text = FILES[file]
    assert text.count(before) == 1, (file, before, text.count(before))
    return dict(FILES, **{file: text.replace(before, after)})


class Edits(RunnerTest):
    def hashes(self, targets, flags=()):
        rows = answer(*(f"--flag={flag}" for flag in flags), *targets)["targets"]
        for row in rows:
            self.assertTrue(row["ok"], row)
        return [row["hash"] for row in rows]

    def test_every_edit_keeps_or_changes_the_hash_as_it_must_in_both_directions(self):
        self.write(FILES, "base")
        targets = [self.path("base", "train.c:train")]
        for n, (_, _, file, before, after) in enumerate(EDITS):
            self.write(edited(file, before, after), "edit%d" % n)
            targets.append(self.path("edit%d" % n, "train.c:train"))
        base, *forth = self.hashes(targets)
        back = self.hashes(targets[::-5])  # the others would cost seconds and say the same
        self.assertEqual([base, *forth][::-5], back, "the order of targets changes a hash")
        for (verdict, what, file, *_), found in zip(EDITS, forth):
            with self.subTest(f"{what} ({file}) must {verdict}"):
                (self.assertEqual if verdict == KEEP else self.assertNotEqual)(base, found)
        changed = [found for (verdict, *_), found in zip(EDITS, forth) if verdict == CHANGE]
        self.assertEqual(len(set(changed)), len(changed), "two edits that differ have one hash")

    def test_every_pair_has_one_hash_or_two_as_it_must(self):
        for flags in sorted({tuple(flags) for *_, flags in PAIRS}):
            rows = [row for row in PAIRS if tuple(row[4]) == flags]
            targets = []
            for verdict, what, *programs, _ in rows:
                for n, program in enumerate(programs):
                    folder = "%s %s %d" % (what, " ".join(flags).replace("/", ""), n)
                    self.write(program, folder)
                    targets.append(self.path(folder, "train.c:train"))
            found = self.hashes(targets, flags)
            for (verdict, what, *_), before, after in zip(rows, found[::2], found[1::2]):
                with self.subTest(f"{what} must {verdict}"):
                    (self.assertEqual if verdict == KEEP else self.assertNotEqual)(before, after)

    def test_the_hash_stays(self):
        """With it, all that users have cached. Another canonical form would be `cashet-c 2`."""
        self.write(FILES)
        self.assertEqual(self.hashes([self.path("train.c:train")]),
                         ["22f56929ca298eba6ce9212e1f943beb12c10c13f409460d8be01f5fae211b0d"])

    def test_the_table_is_as_large_as_it_must_be(self):
        verdicts = [verdict for verdict, *_ in EDITS + PAIRS]
        self.assertGreaterEqual(min(verdicts.count(KEEP), verdicts.count(CHANGE)), 30)
        self.assertEqual(len({what for _, what, *_ in EDITS + PAIRS}), len(EDITS + PAIRS))


if __name__ == "__main__":
    assert "CASHET_BIN" in os.environ
    unittest.main()

"""The example in its three forms, reduced: the same best network; layout does not count; a number in a helper
counts for just those that reach it."""

import json
import os
import re
import shutil
import unittest

from harness import BIN, Site, main

DIGITS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples", "digits")
TRAININGS = 8


class Digits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = Site(cls)
        cls.addClassCleanup(cls.site.close)
        for name in os.listdir(DIGITS):
            shutil.copy(os.path.join(DIGITS, name), cls.site.path(name))
        for name in ("sweep", "sweep-c", "sweep-python"):
            cls.edit(f"{name}.yaml", ("n: 3}", "n: 2}"), ("[8, 16, 24]", "[3]"), ("900", "100"),
                     *((("../../build/bin/digits", os.path.join(BIN, "digits")), ('"8",', '"2",'))
                       if name == "sweep" else (("epochs: 8", "epochs: 2"),)))
        cls.site.broker()
        cls.site.worker("node-1", 2, wait=True)

    @classmethod
    def edit(cls, name, *changes):
        text = cls.site.read(name)
        for old, new in changes:
            assert old in text, f"{old} is not in {name}"
            text = text.replace(old, new)
        cls.site.write(name, text)

    def counts(self, form):
        counts = self.site.submit(self.site.path(f"{form}.yaml"))["counts"]
        self.assertEqual(counts["total"], TRAININGS + 2)
        return counts["executed"], counts["cached"]

    def best(self):
        row = self.site.run("best", "-k", "1", "--json").json["tasks"][0]
        return row["params"], row["metrics"]

    def test_1_all_forms_come_to_the_same_network(self):
        found = []
        for form in ("sweep", "sweep-c", "sweep-python"):
            self.assertEqual(self.counts(form), (TRAININGS + 2, 0), form)
            params, metrics = self.best()
            found.append((params, {k: metrics[k] for k in ("val_loss", "val_accuracy", "train_loss")}))
        self.assertEqual(found[0], found[1])
        self.assertEqual(found[1], found[2])

    def test_2_layout_and_comments_do_not_count(self):
        for name in ("tasks.py", "data.py", "mlp.py"):
            text = self.site.read(name)
            text = re.sub(r'""".*?"""', '"""Says nothing."""', text, count=1, flags=re.S)
            self.site.write(name, "# A comment.\n\n" + text.replace("\n\n\n", "\n\n\n# Another.\n\n").replace(
                "(0.0 - ", "(0.0 -  ").replace(" = [", " =  ["))
        for name in ("tasks.c", "data.c", "mlp.c", "data.h", "mlp.h"):
            text = self.site.read(name)
            self.site.write(name, "// A comment.\n" + text.replace("\t", "  ").replace(";\n", "; /* so */\n"))
        for form in ("sweep-c", "sweep-python"):
            self.assertEqual(self.counts(form), (0, TRAININGS + 2), form)

    def test_3_a_number_in_a_helper_counts_for_those_that_reach_it(self):
        self.edit("mlp.py", ("0.9, 0.999, 1e-8", "0.9, 0.999, 1e-6"))
        self.edit("mlp.c", ("epsilon = 1e-8", "epsilon = 1e-6"))
        for form, target in (("sweep-python", "tasks.py:train"), ("sweep-c", "tasks.c:train")):
            executed, cached = self.counts(form)
            self.assertEqual(cached, 1, f"{form}: the preparation alone is a hit")
            self.assertEqual(executed, TRAININGS + 1)
            found = self.site.run("describe", self.site.path(target), "--json")
            self.assertEqual(found.code, 0, found.err)
            labels = json.dumps(found.json)
            self.assertIn("Adam" if "python" in form else "step_adam", labels)
        self.edit("tasks.py", ("SHOWN = 5", "SHOWN = 4"))
        self.edit("tasks.c", ("#define SHOWN 5", "#define SHOWN 4"))
        for form in ("sweep-python", "sweep-c"):
            self.assertEqual(self.counts(form), (1, TRAININGS + 1), form)


if __name__ == "__main__":
    main()

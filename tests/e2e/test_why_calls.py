"""Functions by source in the history: show, get, results, log, why, diff, dry runs, shell, gc, archives.

One chain of calls, changed step by step in one store: each step says what changed, and nothing else."""

import hashlib
import json
import os
import subprocess

from harness import PATIENCE, SiteTest, main

MODEL = """import helpers


class Model:
    def __init__(self, w):
        self.w = w


def prep(n):
    # the data
    return [i for i in range(n)]


def train(data, lr=0.5, *, net=None):
    if lr > 1:
        raise ValueError(f"lr is {lr}")
    return Model(helpers.scale(sum(data)) * lr)


def report(models, raw):
    print("reporting")
    return {"w": [m.w for m in models], "best": max(m.w for m in models), "raw": raw.read_text()}
"""

HELPERS = """FACTOR = 2


def scale(x):
    return x * FACTOR
"""

BATCH = """
version: 1
name: chain
tasks:
  prep: {{call: "model.py:prep", args: [4]}}
  train:
    call: model.py:train
    args: [{{ref: prep}}]
    kwargs: {{net: {{layers: [64, {layer}], act: relu}}}}
    sweep: {{params: {{lr: {lrs}}}}}
    tags: {{stage: train}}
    metrics: {{best: {{w: max}}}}
  report:
    call: model.py:report
    args: [{{ref: "train.*", failed: skip}}, {{file: raw.txt}}]
"""


class CallsTest(SiteTest):
    def write(self, model=MODEL, helpers=HELPERS, layer=10, lrs="[0.5, 0.25]", raw="raw\n"):
        self.site.write("model.py", model)
        self.site.write("helpers.py", helpers)
        self.site.write("raw.txt", raw)
        return self.site.write("chain.yaml", BATCH.format(layer=layer, lrs=lrs))

    def submit(self, *options, code=0, **what):
        return self.site.submit(self.write(**what), *options, code=code)

    def ok(self, *argv):
        done = self.site.run(*argv)
        self.assertEqual(done.code, 0, done.err + done.out)
        return done

    def why(self, batch, index):
        return self.ok("why", f"{batch['batch']}:{index}", "--json").json

    def causes(self, why):
        return [(c["component"], c["name"], c.get("where") or (c.get("before"), c.get("after")))
                for c in why["changes"] if c["cause"] and c["component"] != "input"]

    def inputs(self, why):
        return [c["name"] for c in why["changes"] if c["cause"] and c["component"] == "input"]

    def dry(self, **what):
        path = self.write(**what)
        return self.ok("submit", path, "--dry-run", "--json").json


class Told(CallsTest):
    def test_a_chain_is_told_as_it_changes(self):
        first = self.submit()
        self.assert_counts(first, executed=4)
        self.look_at(first)
        self.comments(first)
        self.helper(first)
        self.against(first)
        self.argument()
        self.upstream()
        self.failure()
        self.keep_and_carry()

    def look_at(self, first):
        train, report = first["tasks"][1]["commit"], first["tasks"][3]["commit"]
        shown = self.ok("show", train).out
        self.assertRegex(shown, r"(?m)^Function: model.py:train$")
        self.assertRegex(shown, r"(?m)^  call   model.py:train  python  line 14$")
        self.assertRegex(shown, r"(?m)^  hash   [0-9a-f]{64}$")
        self.assertRegex(shown, r"(?m)^  file   helpers.py  [0-9a-f]{64}$")
        self.assertIn('  net = {"act": "relu", "layers": [64, 10]}\n', shown)
        self.assertRegex(shown, r"(?m)^  data  [0-9a-f]{8}  from " + first["tasks"][0]["commit"][:8]
                         + " model.py:prep$")
        whole = self.ok("show", train, "--json").json
        self.assertEqual(whole["function"]["language"], "python")
        self.assertEqual([f["path"] for f in whole["source"]["files"]], ["helpers.py", "model.py"])
        self.assertEqual(whole["task"]["result_type"], "pickle")
        self.assertEqual(whole["inputs"][0]["name"], "data")
        # The parameters of a sweep are columns, what came out is a metric.
        results = self.ok("results", first["batch"], "--json").json
        self.assertEqual([t["params"].get("lr") for t in results["tasks"]], [None, 0.5, 0.25, None])
        self.assertEqual(results["tasks"][3]["metrics"]["best"], 6)
        got = self.ok("get", report).out
        self.assertEqual(json.loads(got), {"w": [6.0, 3.0], "best": 6.0, "raw": "raw\n"})
        self.assertEqual(self.ok("get", report, "--stdout").out, "reporting\n")
        named = self.ok("log", "--func", "model.py:train", "--json").json["commits"]
        self.assertEqual(len(named), 2)
        # Also by what people call it; what is taken away is named in full.
        short = self.ok("log", "--func", "train", "--json").json["commits"]
        self.assertEqual([c["commit"] for c in short], [c["commit"] for c in named])
        self.assertEqual(self.ok("log", "--func", "rain", "--json").json["commits"], [])
        for name, count in (("train", 0), ("model.py:train", 2)):
            gone = self.ok("invalidate", "--func", name, "--dry-run", "--json").json
            self.assertEqual(gone["commits"], count, name)
        # A pickle is written as it is, and never opened for anybody.
        pickled = subprocess.run([os.path.join(os.environ["CASHET_BIN"], "cashet"), "get", train],
                                 env=self.site.env(), cwd=self.site.dir, capture_output=True,
                                 timeout=PATIENCE * 3)
        self.assertTrue(pickled.stdout.startswith(b"\x80\x04"), pickled)
        graph = self.ok("history", report, "--graph").out
        self.assertIn("model.py:prep", graph)

    def comments(self, first):
        again = self.submit(model=MODEL.replace("# the data", "# some data") + "\n\n# end\n")
        self.assert_counts(again, cached=4)

    def helper(self, first):
        helpers = HELPERS.replace("FACTOR = 2", "# by hand\nFACTOR = 3")
        dry = self.dry(helpers=helpers)
        train = next(e for e in dry["entries"] if e["name"] == "model.py:train")
        self.assertEqual(train["causes"][0]["changes"][0]["where"],
                         "helpers.py:FACTOR  line 2 changed")
        again = self.submit(helpers=helpers, model=MODEL.replace("# the data", "# more data"))
        self.assert_counts(again, cached=1, executed=3)
        why = self.why(again, 1)
        self.assertEqual(self.causes(why),
                         [("definition", "FACTOR", "helpers.py:FACTOR  line 2 changed")])
        self.assertEqual(why["earlier"]["task"]["commit"], first["tasks"][1]["commit"])
        self.assertEqual(self.inputs(self.why(again, 3)), ["models"])
        text = self.ok("diff", first["tasks"][1]["commit"], again["tasks"][1]["commit"]).out
        self.assertIn("--- code helpers.py\n", text)
        self.assertIn("\n-FACTOR = 2\n+# by hand\n+FACTOR = 3\n", text)
        self.assertIn("--- nothing that counts in model.py\n", text)
        text = self.ok("diff", first["tasks"][3]["commit"], again["tasks"][3]["commit"]).out
        self.assertIn("--- output result\nw[0]: 6.0 -> 9.0\n", text)

    def against(self, first):
        """A function as it is now beside what a run had: helper() has changed FACTOR, and a comment."""
        def compare(function, against, *options):
            return self.ok("describe", f"model.py:{function}", "--against", against, *options)
        old = first["tasks"][1]["commit"]
        told = compare("train", old, "--json").json
        self.assertFalse(told["same"])
        self.assertEqual([(c["component"], c["name"], c["cause"]) for c in told["changes"]],
                         [("definition", "FACTOR", True), ("layout", "model.py", False)])
        self.assertEqual((told["against"]["commit"], told["against"]["name"]), (old, "train"))
        self.assertNotEqual(told["now"]["identity"], told["against"]["identity"])
        text = compare("train", f"{first['batch']}:1").out
        self.assertRegex(text, r"\ADIFFERS  model.py:train [0-9a-f]{8} from model.py:train [0-9a-f]{8} of "
                         + old[:8] + r" \([0-9a-f]{4}:1, .* ago\) in:\n")
        self.assertIn("  function  helpers.py:FACTOR  line 2 changed\n", text)
        self.assertIn("--- code helpers.py\n", text)
        self.assertIn("\n-FACTOR = 2\n+# by hand\n+FACTOR = 3\n", text)
        self.assertNotIn("some data", text)
        # What does not reach it is the same, whatever comments there are.
        told = compare("prep", first["tasks"][0]["commit"], "--json").json
        self.assertTrue(told["same"])
        self.assertEqual([(c["component"], c["name"]) for c in told["changes"]],
                         [("layout", "helpers.py"), ("layout", "model.py")])
        self.assertRegex(compare("prep", first["tasks"][0]["commit"]).out, r"\ASAME  model.py:prep ")
        # Another function: what one has and the other has not.
        told = compare("prep", old, "--json").json
        self.assertIn(("removed", "FACTOR"), [(c["how"], c["name"]) for c in told["changes"]])
        for argv, code, message in (
                (["model.py:train", "model.py:prep", "--against", old], 2, "one function at a time"),
                (["model.py", "--against", old], 2, "not of a command"),
                (["model.py:nope", "--against", old], 2, "defines no nope"),
                (["model.py:train", "--against", "nobody"], 5, "nobody")):
            done = self.site.run("describe", *argv)
            self.assertEqual(done.code, code, done.err)
            self.assertIn(message, done.err)

    def argument(self):
        self.submit()
        again = self.submit(layer=12)
        self.assertEqual(self.causes(self.why(again, 1)), [("param", "net.layers[1]", ("10", "12"))])
        again = self.submit(lrs="[0.75]")
        why = self.why(again, 1)
        self.assertEqual([c[:2] for c in self.causes(why)], [("param", "lr")])
        self.assertRegex(self.ok("why", f"{again['batch']}:1").out,
                         r"(?m)^  params    lr +0\.(5|25) -> 0.75 +<- cause$")

    def upstream(self):
        model = MODEL.replace("range(n)", "range(1, n)")
        dry = self.dry(model=model)
        self.assertEqual(dry["counts"]["run"], 1)
        self.assertEqual(dry["counts"]["cached_if_same"], 3)
        again = self.submit(model=model, raw="other\n")
        # the same sum of another list: train runs, gives the same bytes
        why = self.why(again, 1)
        self.assertEqual((self.causes(why), self.inputs(why)), ([], ["data"]))
        data = next(c for c in why["changes"] if c["name"] == "data")
        self.assertEqual((data["from"]["name"], data["from"]["ran"]), ("model.py:prep", True))
        self.assertEqual(self.inputs(self.why(again, 3)), ["raw"])

    def failure(self):
        done = self.site.run(self.write(lrs="[0.5, 2.0]"), program="cashet-submit")
        self.assertEqual(done.code, 1)
        self.assertRegex(done.err, r"x model.py:train\[lr=2(\.0)?\]  ValueError: lr is 2.0")
        shown = self.ok("log", "--status", "failed", "--json").json["commits"][0]
        text = self.ok("show", shown["commit"]).out
        self.assertIn("ValueError: lr is 2.0", text)
        self.assertRegex(text, r'File "model.py", line 16')

    def keep_and_carry(self):
        """A pin keeps the source of a commit through clear; an archive carries it."""
        whole = self.submit()
        report = whole["tasks"][3]["commit"]
        self.ok("pin", report, "--name", "best")
        self.ok("export", "all.archive")
        self.ok("clear", "--yes")
        folder = self.site.path("laid")
        self.ok("shell", "best", "--dir", folder, "--json")
        ran = subprocess.run([os.path.join(folder, "run")], capture_output=True, text=True)
        self.assertIn("'best': 6.0", ran.stdout, ran.stderr)
        self.assertEqual(self.ok("fsck", "--read-data", "100", "--json").json["problems"], 0)
        other = self.site.path("other")
        self.ok("import", "all.archive", "--store", other)
        again = self.site.submit(self.write(), "--store", other)
        self.assert_counts(again, cached=4)
        self.assertIn("file   helpers.py", self.ok("show", report, "--store", other).out)
        self.assertEqual(self.ok("fsck", "--read-data", "100", "--json", "--store", other)
                         .json["problems"], 0)


class Scripts(CallsTest):
    def test_a_script_is_compared_with_the_one_of_its_name(self):
        self.site.write("lib.py", "N = 4\n\n\ndef f():\n    return N\n")
        self.site.write("main.py", "import lib\nprint(lib.f())\n")
        batch = self.site.submit(self.site.write("b.yaml", """
version: 1
tasks:
  both: {run: [python3, main.py], code: [main.py, lib.py]}
  bare: {run: "true"}
"""))["batch"]
        both, bare = f"{batch}:0", f"{batch}:1"
        self.assertTrue(self.ok("describe", "main.py", "--against", both, "--json").json["same"])
        self.site.write("lib.py", "# a comment\nN = 5\n\n\ndef f():\n    return N\n")
        text = self.ok("describe", "main.py", "--against", both).out
        self.assertRegex(text, r"\ADIFFERS  main.py [0-9a-f]{8} from main.py [0-9a-f]{8} of ")
        self.assertIn("  function  lib.py:N  line 2 changed\n", text)
        self.assertFalse(self.ok("describe", "lib.py", "--against", both, "--json").json["same"])
        for argv, message in ((["main.py", "--against", bare], "without code that counts"),
                              (["lib.py:f", "--against", both], "not of a function"),
                              (["model.py", "--against", both], "none of them called model.py")):
            self.site.write("model.py", MODEL)
            done = self.site.run("describe", *argv)
            self.assertEqual(done.code, 2, done.err)
            self.assertIn(message, done.err)


class Kept(CallsTest):
    def test_a_waiting_task_needs_the_files_of_its_source(self):
        self.site.broker()
        self.ok("submit", self.write(), "--detach")
        self.ok("clear", "--yes")
        self.assertEqual(self.ok("fsck", "--json").json["problems"], 0)
        digest = hashlib.sha256(HELPERS.encode()).hexdigest()
        os.unlink(os.path.join(self.site.store, "objects", digest[:2], digest[2:]))
        found = self.site.run("fsck", "--json").json["findings"]
        self.assertEqual([(f["kind"], f["blob"]) for f in found if f["kind"] != "counters-wrong"],
                         [("input-missing", digest)] * 3, found)


if __name__ == "__main__":
    main()

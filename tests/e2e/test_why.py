"""why: the one thing that changed is named, and nothing else; diff and dry runs say the same."""

import json
import os
import re
import time

from harness import PATIENCE, SiteTest, main, processes_with, until

TRAIN = """import sys


def load(path):
    # careful
    return open(path).read().split()


def main():
    lr = float(sys.argv[1])
    data = load(sys.argv[2])
    print(lr * len(data))


main()
"""

SWEEP = """
version: 1
name: digits
defaults: {{retries: {retries}, tags: {{experiment: {tag}}}}}
tasks:
  prep:
    run: "cat ${{inputs.src}} | tr a-z A-Z > data.txt"
    inputs: {{src: {{file: raw.txt}}}}
    outputs: {{data: data.txt}}
  train:
    run: [python3, train.py, "${{p.lr}}", "${{inputs.data}}"]
    code: [{files}]
    inputs: {{data: {{ref: prep.data}}}}
    sweep: {{params: {{lr: {lrs}, seed: [0, 1]}}}}
    env: {{THREADS: "{threads}"}}
    cache: {{salt: {salt}}}
"""


class WhyTest(SiteTest):
    """A chain like that of the digits example, in the default store of the site's folder."""

    def sweep(self, lrs="[0.1, 0.2]", threads=1, salt="a", retries=0, tag="v1", raw="a b c\n",
              train=TRAIN, files="train.py"):
        self.site.write("train.py", train)
        self.site.write("raw.txt", raw)
        return self.site.write("sweep.yaml", SWEEP.format(
            lrs=lrs, threads=threads, salt=salt, retries=retries, tag=tag,
            files=files))

    def submit(self, *options, code=0, **what):
        return self.site.submit(self.sweep(**what), *options, code=code)

    def why(self, what, *options, code=0):
        done = self.site.run("why", what, "--json", *options)
        self.assertEqual(done.code, code, done.err)
        return done.json if code == 0 else done

    def causes(self, why):
        return [(c["component"], c["name"]) for c in why["changes"] if c["cause"]]

    def why_task(self, batch, index=1):
        return self.why(f"{batch['batch']}:{index}")

    def wait_for_quiet(self):
        """Until the private broker has left: a new one knows nothing of what was there."""
        until(lambda: not processes_with(self.site.path(".cashet")), "the private broker to leave")


class Why(WhyTest):
    def test_a_changed_line_is_named_with_its_function(self):
        first = self.submit()
        again = self.submit(train=TRAIN.replace("split()", "split(None)"))
        self.assert_counts(again, cached=1, executed=4)
        for index in range(1, 5):
            why = self.why_task(again, index)
            self.assertEqual((why["verdict"], why["reason"]), ("ran", "changed"))
            self.assertEqual(self.causes(why), [("code", "train.py")])
            change = next(c for c in why["changes"] if c["cause"])
            self.assertEqual(change["where"], "train.py:load()  line 6 changed")
            # Its own predecessor, not just any.
            self.assertEqual(why["earlier"]["task"]["commit"], first["tasks"][index]["commit"])
        text = self.site.run("why", f"{again['batch'][:8]}:1").out
        lines = text.splitlines()
        self.assertRegex(lines[0], r"^RAN  fingerprint [0-9a-f:]+ differs from [0-9a-f]+\.\.\. "
                                   r"\(.*\) in:$")
        self.assertRegex(lines[1], r"^  function  train.py:load\(\)  line 6 changed +<- cause$")
        self.assertRegex(lines[2], r"^  input     data +unchanged \([0-9a-f]+\.\.\.\)$")
        self.assertRegex(lines[3], r"^  params    lr seed +unchanged$")
        # The same by the commit's hash.
        commit = again["tasks"][1]["commit"]
        said = lambda text: re.sub(r"\((.* ago|just now)\)", "(AGO)", text)
        self.assertEqual(said(self.site.run("why", commit[:10]).out), said(text))

    def test_a_comment_does_not_count_unless_bytes_do(self):
        self.submit()
        again = self.submit(train=TRAIN.replace("# careful", "# really careful"))
        self.assert_counts(again, cached=5)
        # Beside what is a cause it is said to be none.
        other = self.submit(train=TRAIN.replace("# careful", "# so careful"), lrs="[0.3]")
        layout = [c for c in self.why_task(other)["changes"] if c["component"] == "layout"]
        self.assertEqual([(c["name"], c["cause"]) for c in layout], [("train.py", False)])
        self.assertIn("not a cause: what differs in train.py",
                      self.site.run("why", f"{other['batch']}:1").out)
        files = "{path: train.py, identity: bytes}"
        self.submit(files=files)
        again = self.submit(train=TRAIN.replace("# careful", "# really careful"), files=files)
        why = self.why_task(again)
        change = next(c for c in why["changes"] if c["cause"])
        self.assertTrue(change["only_comments"])
        self.assertIn("only comments/whitespace", self.site.run("why", f"{again['batch']}:1").out)

    def test_what_a_script_reaches_is_the_cause_and_the_script_is_none(self):
        train = "import scale\n" + TRAIN.replace("lr * len", "lr * scale.FACTOR * len")
        self.site.write("scale.py", "FACTOR = 1\n")
        self.submit(train=train)
        self.site.write("scale.py", "FACTOR = 2\n")
        for text in (train, train.replace("# careful", "# so careful")):
            said = self.site.run(self.sweep(train=text), "--dry-run", program="cashet-submit")
            self.assertIn("scale.py:FACTOR  line 1 changed", said.out)
            self.assertNotIn("train.py ", said.out)
        why = self.why_task(self.submit(train=text))
        self.assertEqual(self.causes(why), [("definition", "FACTOR")])

    def test_a_changed_value_is_named(self):
        self.submit()
        again = self.submit(lrs="[0.1, 0.3]")
        self.assert_counts(again, cached=3, executed=2)
        why = self.why_task(again, 4)
        self.assertEqual(self.causes(why), [("param", "lr")])
        change = next(c for c in why["changes"] if c["cause"])
        self.assertEqual((change["before"], change["after"]), ("0.2", "0.3"))
        # The neighbour with the same seed, at the same place of the sweep.
        self.assertEqual(why["earlier"]["task"]["params"]["seed"], 1)
        self.assertEqual(self.why_task(again, 1)["verdict"], "hit")

    def test_a_number_and_its_text_are_told_apart(self):
        self.submit(lrs="[0.1]")
        again = self.submit(lrs='["0.1"]')
        change = next(c for c in self.why_task(again)["changes"] if c["cause"])
        self.assertEqual((change["before"], change["after"]), ("0.1", '"0.1"'))

    def test_a_changed_input_file_is_followed_through_the_chain(self):
        first = self.submit()
        again = self.submit(raw="a b c d\n")
        self.assert_counts(again, executed=5)
        self.assertEqual(self.causes(self.why_task(again, 0)), [("input", "src")])
        why = self.why_task(again, 2)
        self.assertEqual(self.causes(why), [("input", "data")])
        change = next(c for c in why["changes"] if c["cause"])
        self.assertEqual(change["from"]["name"], "prep")
        self.assertTrue(change["from"]["ran"])
        self.assertEqual(change["from"]["commit"], again["tasks"][0]["commit"])
        self.assertEqual(why["earlier"]["task"]["commit"], first["tasks"][2]["commit"])

    def test_code_and_input_at_once_are_both_named(self):
        first = self.submit()
        again = self.submit(raw="x\n", train=TRAIN.replace("lr *", "2 * lr *"))
        why = self.why_task(again, 3)
        self.assertEqual(self.causes(why), [("code", "train.py"), ("input", "data")])
        self.assertEqual(why["earlier"]["task"]["commit"], first["tasks"][3]["commit"])

    def test_env_and_salt_are_named(self):
        self.submit()
        self.assertEqual(self.causes(self.why_task(self.submit(threads=2))), [("env", "THREADS")])
        why = self.why_task(self.submit(threads=2, salt="b"))
        self.assertEqual(self.causes(why), [("salt", None)])
        change = next(c for c in why["changes"] if c["cause"])
        self.assertEqual((change["before"], change["after"]), ("a", "b"))

    def test_tags_and_retries_are_no_cause(self):
        self.submit()
        again = self.submit(retries=2, tag="v2")
        self.assert_counts(again, cached=5)
        again = self.submit(retries=2, tag="v2", salt="b")
        why = self.why_task(again)
        self.assertEqual(self.causes(why), [("salt", None)])
        others = {(c["component"], c["name"]) for c in why["changes"]
                  if not c["cause"] and c["how"] != "same"}
        self.assertEqual(others, {("tag", "experiment"), ("option", "retries")})
        self.assertIn("not a cause: ", self.site.run("why", f"{again['batch']}:1").out)

    def test_the_first_run_is_said_to_be_one(self):
        first = self.submit()
        self.assertEqual(self.why_task(first, 0)["reason"], "first")
        # Of the first sweep, all but one have a neighbour of the same batch.
        reasons = [self.why_task(first, i)["reason"] for i in range(1, 5)]
        self.assertEqual(sorted(reasons), ["changed"] * 3 + ["first"])

    def test_a_hit_names_its_commit(self):
        first = self.submit()
        again = self.submit()
        why = self.why_task(again, 2)
        self.assertEqual(why["verdict"], "hit")
        self.assertEqual(why["run"]["task"]["commit"], first["tasks"][2]["commit"])
        self.assertIn(f"HIT  commit {first['tasks'][2]['commit'][:8]}",
                      self.site.run("why", f"{again['batch']}:2").out)

    def test_forced_and_uncached_runs_say_so(self):
        first = self.submit()
        forced = self.submit("--force")
        why = self.why_task(forced, 1)
        self.assertEqual(why["reason"], "forced")
        self.assertEqual(why["earlier"]["task"]["commit"], first["tasks"][1]["commit"])
        self.assertEqual(self.causes(why), [])
        self.assertEqual(self.why_task(self.submit("--no-cache"), 1)["reason"], "no_cache")

    def test_what_ran_uncached_was_not_kept(self):
        self.submit("--no-cache")
        self.assertEqual(self.why_task(self.submit(), 0)["reason"], "not_kept")

    def one(self, run, more="", code=0):
        file = self.site.write("one.yaml", f"version: 1\ntasks:\n  t:\n    run: {run}\n{more}")
        return self.site.submit(file, code=code)

    def test_an_expired_result_says_so(self):
        first = self.one("[echo, hello]", "    cache: {ttl: 1s}\n")

        def expired():
            again = self.one("[echo, hello]", "    cache: {ttl: 1s}\n")
            return again if again["counts"]["executed"] else None

        again = until(expired, "the result to expire")
        why = self.why_task(again, 0)
        self.assertEqual(why["reason"], "expired")
        self.assertEqual(why["earlier"]["task"]["commit"], first["tasks"][0]["commit"])
        self.assertIn("ttl was 1s", self.site.run("why", f"{again['batch']}:0").out)

    def blob(self, digest):
        return self.site.path(f".cashet/objects/{digest[:2]}/{digest[2:]}")

    def large(self):
        return self.one('"seq 1 20000 > out"', "    outputs: {out: out}\n")

    def test_a_lost_blob_says_so(self):
        first = self.large()
        os.unlink(self.blob(first["tasks"][0]["outputs"]["out"]))
        self.wait_for_quiet()
        again = self.large()
        self.assert_counts(again, executed=1)
        self.assertEqual(self.why_task(again, 0)["reason"], "gone")

    def test_a_corrupt_blob_says_so(self):
        first = self.large()
        path = self.blob(first["tasks"][0]["outputs"]["out"])
        self.wait_for_quiet()
        os.chmod(path, 0o644)
        with open(path, "r+b") as f:
            f.truncate(20)
        again = self.large()
        self.assert_counts(again, executed=1)
        self.assertEqual(self.why_task(again, 0)["reason"], "corrupt")

    def test_an_invalidated_result_says_so(self):
        first = self.large()
        self.assertEqual(self.site.run("invalidate", "--func", "t", "--yes").code, 0)
        again = self.large()
        why = self.why_task(again, 0)
        self.assertEqual(why["reason"], "invalidated")
        self.assertEqual(why["earlier"]["task"]["commit"], first["tasks"][0]["commit"])

    def test_pins_are_named_like_commits(self):
        first = self.large()
        self.assertEqual(self.site.run("pin", first["tasks"][0]["commit"][:8], "--name",
                                       "best-so-far").code, 0)
        self.assertEqual(self.why("best-so-far")["run"]["task"]["commit"],
                         first["tasks"][0]["commit"])
        self.assertEqual(self.site.run("diff", "best-so-far", f"{first['batch']}:0").code, 0)

    def test_a_failure_tells_attempts_error_and_logs(self):
        failed = self.one('"exit 3"', "    retries: 1\n", code=1)
        why = self.why_task(failed, 0)
        self.assertEqual((why["verdict"], why["reason"]), ("failed", "first"))
        self.assertEqual(why["run"]["task"]["attempts"], 2)
        text = self.site.run("why", f"{failed['batch']}:0").out
        self.assertIn("FAILED  attempt 2", text)
        self.assertIn(f"cashet logs {failed['batch'][:4]}:0", text)
        again = self.one('"exit 3"', "    retries: 1\n", code=1)
        self.assertEqual(self.why_task(again, 0)["reason"], "failed_before")

    def test_between_attempts_and_after_them_logs_say_why_there_are_none(self):
        file = self.site.write("again.yaml", 'version: 1\ntasks:\n  a: {run: "echo x; exit 3", retries: 30}\n')
        batch = self.site.run("submit", "--detach", file).out.strip()
        logs = lambda: self.site.run("logs", f"{batch}:0").err
        try:  # what is waited for comes again and again, and stays for longer each time
            until(lambda: "failed, and what it wrote is not kept" in logs(), "an attempt failed")
        finally:
            self.assertEqual(self.site.run("cancel", batch).code, 0)
        self.site.run("wait", batch)
        self.assertRegex(logs(), r"was cancelled in or after attempt [1-9]")

    def test_a_skipped_task_names_the_chain_to_the_root_cause(self):
        file = self.site.write("chain.yaml", """
version: 1
tasks:
  a: {run: "exit 1"}
  b: {run: [cat, "${inputs.x}"], inputs: {x: {ref: a}}}
  c: {run: [cat, "${inputs.x}"], inputs: {x: {ref: "b"}}}
  d: {run: [cat, "${inputs.x}"], inputs: {x: {ref: "c"}}}
""")
        batch = self.site.submit(file, code=1)
        why = self.why_task(batch, 3)
        self.assertEqual(why["verdict"], "skipped")
        self.assertEqual([(t["index"], t["name"], t["status"]) for t in why["tasks"]],
                         [(2, "c", "skipped"), (1, "b", "skipped"), (0, "a", "failed")])

    def test_waiting_and_running_tasks_say_what_for(self):
        self.site.variables["CASHET_DIR"] = self.site.path(".cashet")
        file = self.site.write("slow.yaml", f"""
version: 1
tasks:
  a: {{run: "while [ ! -e {self.site.path('go')} ]; do sleep 0.05; done"}}
  b: {{run: [cat, "${{inputs.x}}"], inputs: {{x: {{ref: a}}}}, needs: [c]}}
  c: {{run: [echo, c], resources: {{cpus: 1000}}}}
""")
        done = self.site.run(file, "--detach", "--json", program="cashet-submit")
        batch = done.json["batch"]
        until(lambda: self.why(f"{batch}:0")["verdict"] == "running", "the first task to run")
        self.assertIn("on local", self.why(f"{batch}:0")["note"])
        waiting = self.why(f"{batch}:1")
        self.assertEqual((waiting["verdict"], [(t["name"], t["status"]) for t in waiting["tasks"]]),
                         ("waiting", [("a", "running"), ("c", "ready")]))
        ready = self.why(f"{batch}:2")
        self.assertEqual((ready["verdict"], ready["reason"]), ("ready", "first"))
        self.assertIn("cpus 1000", ready["note"])
        self.site.write("go", "")
        self.site.run("cancel", f"{batch}:2")
        self.site.run("wait", batch)
        self.assertEqual(self.why(f"{batch}:2")["verdict"], "cancelled")

    def test_through_a_broker_it_says_the_same(self):
        first = self.submit()
        again = self.submit(train=TRAIN.replace("split()", "split(None)"))
        self.assertTrue(first)
        local = self.why_task(again)
        self.wait_for_quiet()
        direct = self.why_task(again)
        self.assertEqual(local, direct)

    def test_what_is_not_there_is_said(self):
        self.assertEqual(self.why("abcd", code=5).code, 5)
        self.assertFalse(os.path.exists(self.site.path(".cashet")))
        batch = self.submit()
        self.assertEqual(self.why(f"{batch['batch']}:99", code=5).code, 5)
        self.assertEqual(self.why("ffffffff", code=5).code, 5)
        self.assertEqual(self.why("nopin", code=5).code, 5)
        self.assertEqual(self.why("a:b:c", code=2).code, 2)

    def test_what_strangers_wrote_is_escaped(self):
        first = self.one('"echo \\x1b"', "    cache: {salt: \"a\\e[31m\"}\n")
        again = self.one('"echo \\x1b"', "    cache: {salt: \"b\\e[31m\"}\n")
        self.assertTrue(first)
        self.assertNotIn("\x1b", self.site.run("why", f"{again['batch']}:0").out)


class DryRun(WhyTest):
    def dry(self, *options, code=0, **what):
        done = self.site.run(self.sweep(**what), "--dry-run", "--json", *options,
                             program="cashet-submit")
        self.assertEqual(done.code, code, done.err)
        return done.json

    def forecasts(self, dry):
        return [t["forecast"] for t in dry["tasks"]]

    def test_without_a_store_all_would_run_and_none_is_made(self):
        dry = self.dry()
        self.assertEqual(dry["counts"]["total"], 5)
        self.assertEqual(self.forecasts(dry), ["run"] + ["waits"] * 4)
        self.assertEqual(dry["tasks"][0]["reason"], "first")
        self.assertFalse(os.path.exists(self.site.path(".cashet")))

    def test_what_it_says_is_what_happens(self):
        self.submit()
        for what, forecasts in (
                ({}, ["cached"] * 5),
                ({"train": TRAIN.replace("lr *", "3 * lr *")}, ["cached"] + ["run"] * 4),
                ({"lrs": "[0.1, 0.3]"}, ["cached"] * 3 + ["run"] * 2),
                ({"raw": "x\n"}, ["run"] + ["cached_if_same"] * 4),
                ({"raw": "x\n", "salt": "b"}, ["run"] * 1 + ["run_alike"] * 4)):
            with self.subTest(what=what):
                self.assertEqual(self.forecasts(self.dry(**what)), forecasts)
        # Upper case hides the change: what would be cached if upstream gives the same, is.
        dry = self.dry(raw="A b c\n")
        self.assertEqual(self.forecasts(dry), ["run"] + ["cached_if_same"] * 4)
        again = self.submit(raw="A b c\n")
        self.assert_counts(again, executed=1, cached=4)
        self.assertEqual([t["commit"] for t in dry["tasks"][1:]],
                         [t["commit"] for t in again["tasks"][1:]])

    def test_why_is_said_with_the_line(self):
        self.submit()
        dry = self.dry(train=TRAIN.replace("split()", "split(None)"))
        cause = dry["entries"][1]["causes"][0]
        self.assertEqual((cause["reason"], cause["tasks"]), ("changed", 4))
        self.assertEqual(cause["changes"][0]["where"], "train.py:load()  line 6 changed")
        for task in dry["tasks"][1:]:
            self.assertEqual([(c["component"], c["name"]) for c in task["changes"]],
                             [("code", "train.py")])
        text = self.site.run("submit", "sweep.yaml", "--dry-run").out
        self.assertIn("4  train.py:load()  line 6 changed", text)
        self.assertIn("5 tasks: 1 cached, 4 would run", text)
        # And on a file as it is now: nothing was stored.
        self.assertEqual(self.site.run("submit", "sweep.yaml", "--dry-run").out, text)

    def test_one_of_several_values_is_an_example(self):
        self.submit()
        self.sweep(lrs="[0.3, 0.4]")
        text = self.site.run("submit", "sweep.yaml", "--dry-run").out
        self.assertRegex(text, r"4  lr, for example 0\.[12] -> 0\.3\n")

    def test_forced_tasks_and_expired_ones_would_run(self):
        self.submit()
        dry = self.dry("--force")
        self.assertEqual(self.forecasts(dry), ["run"] + ["run_alike"] * 4)
        self.assertEqual({t["reason"] for t in dry["tasks"]}, {"forced"})

    def test_equal_tasks_join(self):
        file = self.site.write("same.jsonl", '{"run": ["echo", "a"]}\n' * 3)
        done = self.site.run(file, "--dry-run", "--json", program="cashet-submit")
        self.assertEqual([t["forecast"] for t in done.json["tasks"]], ["run", "join", "join"])

    def test_it_changes_nothing_and_asks_a_broker_alike(self):
        first = self.submit()
        change = {"train": TRAIN.replace("lr *", "3 * lr *")}
        served = self.dry(**change)
        self.wait_for_quiet()

        def listing():
            return sorted((os.path.join(folder, name), os.stat(os.path.join(folder, name)).st_mtime_ns)
                          for folder, _, names in os.walk(self.site.path(".cashet"))
                          for name in names if name != "files.memo")

        before = listing()
        direct = self.dry(**change)
        self.assertEqual(before, listing())
        for dry in served, direct:
            for key in "estimate_ms", "chain_ms", "work_ms", "cpus":
                self.assertGreater(dry.pop(key), 0)
        self.assertEqual(served, direct)
        self.assertEqual(self.site.run("ps", "-a", "--json").json["batches"][0]["batch"],
                         first["batch"])

    def test_a_bad_file_is_refused_as_ever(self):
        file = self.site.write("bad.yaml", "version: 1\ntasks: {t: {rum: x}}\n")
        done = self.site.run(file, "--dry-run", program="cashet-submit")
        self.assertEqual(done.code, 2)
        self.assertIn("bad.yaml:2", done.err)

    def test_wildcards_wait_as_one(self):
        text = """
version: 1
tasks:
  part: {{run: [echo, "{word}", "${{p.i}}"], sweep: {{params: {{i: {xs}}}}}}}
  sum: {{run: [cat, "${{inputs.all}}"], inputs: {{all: {{ref: "part.*"}}}}}}
"""
        self.site.submit(self.site.write("w.yaml", text.format(word="a", xs="[1, 2]")))

        def dry(**what):
            self.site.write("w.yaml", text.format(**what))
            done = self.site.run("w.yaml", "--dry-run", "--json", program="cashet-submit")
            return [t["forecast"] for t in done.json["tasks"]]

        self.assertEqual(dry(word="a", xs="[1, 2]"), ["cached"] * 3)
        # A new part was never seen, so the sum waits; of other words the parts' outputs are
        # taken to be what they were.
        self.assertEqual(dry(word="a", xs="[1, 2, 3]"), ["cached"] * 2 + ["run", "waits"])
        self.assertEqual(dry(word="b", xs="[1, 2]"), ["run"] * 2 + ["cached_if_same"])


class Diff(WhyTest):
    def diff(self, a, b, code=0):
        done = self.site.run("diff", a, b, "--json")
        self.assertEqual(done.code, code, done.err)
        return done.json if code == 0 else done

    def two(self, old, new, outputs):
        """Diff of two commands that make the same outputs."""
        commits = []
        for run in old, new:
            file = self.site.write("one.json", json.dumps({
                "version": 1, "tasks": {"t": {"run": run, "outputs": outputs}}}))
            commits.append(self.site.submit(file)["tasks"][0]["commit"])
        return commits, self.diff(*commits)

    def output(self, diff, name):
        return next(o for o in diff["outputs"] if o["name"] == name)

    def test_source_arguments_and_text(self):
        first = self.submit()
        again = self.submit(train=TRAIN.replace("lr *", "2 * lr *"), lrs="[0.1, 0.3]")
        diff = self.diff(f"{first['batch']}:3", f"{again['batch']}:3")
        changed = {(c["component"], c["name"]): c for c in diff["changes"] if c["how"] != "same"}
        self.assertEqual(set(changed), {("code", "train.py"), ("param", "lr")})
        self.assertIn("-    print(lr * len(data))\n+    print(2 * lr * len(data))\n",
                      changed["code", "train.py"]["diff"])
        self.assertEqual(self.output(diff, "stdout")["diff"],
                         "@@ -1 +1 @@\n-0.6000000000000001\n+1.7999999999999998\n")
        text = self.site.run("diff", first["tasks"][3]["commit"], again["tasks"][3]["commit"]).out
        self.assertTrue(text.startswith(f"- {first['tasks'][3]['commit'][:8]}  train[lr=0.2,seed=0]"),
                        text)
        self.assertRegex(text, r"params    lr +0.2 -> 0.3")
        self.assertIn("+    print(2 * lr * len(data))", text)

    def test_json_by_path_binary_by_size_and_trees_by_entry(self):
        outputs = {"j": "j.json", "b": "b.bin", "d": "d"}
        run = ("mkdir d; echo '{\"a\": [1, %s], \"b\": 0}' > j.json; head -c %s /dev/zero > b.bin; "
               "echo same > d/same; echo %s > d/changed; echo %s > d/only-%s")
        _, diff = self.two(run % (1, 100, 1, 1, 1), run % (2, 200, 2, 2, 2), outputs)
        self.assertEqual(self.output(diff, "j")["diff"], "a[1]: 1 -> 2\n")
        self.assertEqual(self.output(diff, "j")["kind"], "json")
        binary = self.output(diff, "b")
        self.assertEqual((binary["before"]["size"], binary["after"]["size"], binary["diff"]),
                         (100, 200, None))
        self.assertEqual({o["name"]: o["how"] for o in diff["outputs"] if o["name"][0] == "d"},
                         {"d": "changed", "d/changed": "changed", "d/only-1": "removed",
                          "d/only-2": "added"})

    def test_large_files_are_said_by_size_and_digest(self):
        _, diff = self.two("seq 1 500000 > out", "seq 2 500001 > out", {"out": "out"})
        out = self.output(diff, "out")
        self.assertEqual((out["how"], out["diff"]), ("changed", None))

    def test_a_run_and_itself_do_not_differ(self):
        batch = self.submit()
        diff = self.diff(f"{batch['batch']}:1", batch["tasks"][1]["commit"][:12])
        self.assertEqual({c["how"] for c in diff["changes"]}, {"same"})
        self.assertEqual({o["how"] for o in diff["outputs"]}, {"same"})

    def test_failures_show_their_errors(self):
        batches = [self.site.submit(self.site.write(
            "a.yaml", f"version: 1\ntasks: {{t: {{run: exit {n}}}}}\n"), code=1) for n in (1, 2)]
        text = self.site.run("diff", *(f"{b['batch']}:0" for b in batches)).out
        self.assertIn("exit 1", text)
        self.assertIn("exit 2", text)

    def test_what_has_not_run_cannot_be_compared(self):
        batch = self.submit()
        self.diff(f"{batch['batch']}:1", "ffffffff", code=5)
        self.diff("x:y", "ffffffff", code=2)
        file = self.site.write("f.yaml", """
version: 1
tasks:
  a: {run: exit 1}
  b: {run: [cat, "${inputs.x}"], inputs: {x: {ref: a}}}
""")
        failed = self.site.submit(file, code=1)
        done = self.diff(f"{batch['batch']}:1", f"{failed['batch']}:1", code=5)
        self.assertIn("the second one was skipped", done.err)
        self.assertIn("nothing to compare", done.err)

    def test_output_is_exact_when_piped(self):
        (a, b), _ = self.two("printf 'a\\033[31m\\n' > out", "printf 'b\\033[31m\\n' > out",
                             {"out": "out"})
        self.assertIn("-a\x1b[31m\n+b\x1b[31m\n", self.site.run("diff", a, b).out)


class Large(WhyTest):
    def test_in_a_batch_of_many_tasks(self):
        """Prints how long it takes; what it says must be right."""
        count = int(os.environ.get("CASHET_TEST_MANY", "2000"))

        def lines(salt):
            return "".join(json.dumps({
                "name": "t", "run": ["true"], "params": {"i": i}, "cache": {"salt": salt},
                "env": {"I": "${p.i}"}}) + "\n" for i in range(count))

        self.site.variables["CASHET_DIR"] = self.site.path(".cashet")
        self.site.write("many.jsonl", lines("a"))
        first = self.site.submit("many.jsonl", timeout=PATIENCE * 10)
        self.site.write("many.jsonl", lines("b"))
        again = self.site.submit("many.jsonl", timeout=PATIENCE * 10)
        for index in (0, count // 2, count - 1):
            began = time.monotonic()
            why = self.why(f"{again['batch']}:{index}")
            print(f"why {index} of {count}: {(time.monotonic() - began) * 1000:.1f} ms")
            self.assertEqual(self.causes(why), [("salt", None)])
            self.assertEqual(why["earlier"]["task"]["commit"], first["tasks"][index]["commit"])
        self.site.write("many.jsonl", lines("c"))
        began = time.monotonic()
        done = self.site.run("many.jsonl", "--dry-run", program="cashet-submit",
                             timeout=PATIENCE * 10)
        print(f"dry run of {count}: {time.monotonic() - began:.2f} s")
        self.assertIn(f"{count} would run", done.out)
        self.assertIn(f"{count}  salt b -> c", done.out)


if __name__ == "__main__":
    main()

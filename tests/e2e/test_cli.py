"""Every command as a user types it: what it prints, its --json, its exit code."""

import csv
import io
import json
import os
import re
import shutil
import unittest

from harness import SiteTest, alive, main, until

SWEEP = """version: 1
name: cli
tasks:
  t:
    run: 'echo out; echo err >&2; echo "{\\"loss\\": ${p.x}}" > m.json; test ${p.x} != 3'
    sweep: {params: {x: [1, 2, 3]}}
    metrics: {from: m.json, best: {loss: min}}
  after: {run: [cat, "${inputs.i}"], inputs: {i: {ref: "t.*"}}}
"""
FIELDS = {"index", "name", "params", "status", "cached", "attempts", "exit_code", "fingerprint",
          "commit", "output", "outputs", "worker", "duration_ms", "error", "metrics"}


class Commands(SiteTest):
    def cashet(self, *argv, code=0, **options):
        done = self.site.run(*argv, **options)
        self.assertEqual(done.code, code, f"{argv}\n{done.out}\n{done.err}")
        return done

    def sweep(self):
        self.site.write("s.yaml", SWEEP)
        return self.site.submit(self.site.path("s.yaml"), code=1)

    def test_values_of_completed_failed_skipped_and_cached_tasks(self):
        first, second = self.sweep(), self.sweep()
        for result in (first, second):
            self.assertEqual([set(t) >= FIELDS for t in result["tasks"]], [True] * 4)
            self.assertEqual([t["status"] for t in result["tasks"]],
                             ["completed", "completed", "failed", "skipped"])
        self.assert_counts(first, total=4, executed=2, failed=1, skipped=1)
        self.assert_counts(second, total=4, cached=2, failed=1, skipped=1)
        done, hit, bad, skipped = (first["tasks"][0], second["tasks"][0], first["tasks"][2],
                                   first["tasks"][3])
        self.assertEqual((done["exit_code"], done["attempts"], done["metrics"]),
                         (0, 1, {"loss": 1}))
        self.assertEqual((hit["cached"], hit["commit"], hit["output"], hit["fingerprint"]),
                         (True, done["commit"], done["output"], done["fingerprint"]))
        self.assertEqual((bad["exit_code"], bad["cached"]), (1, False))
        self.assertTrue(bad["error"])
        self.assertEqual((skipped["exit_code"], skipped["commit"], skipped["attempts"]),
                         (None, None, 0))

    def test_results_best_get_and_logs(self):
        result = self.sweep()
        batch, commit = result["batch"], result["tasks"][0]["commit"]
        rows = list(csv.DictReader(io.StringIO(self.cashet("results", batch, "--csv").out)))
        self.assertEqual([r["params.x"] for r in rows], ["1", "2", "3", ""])
        self.assertEqual(self.cashet("results", "--json").json["batch"], batch)
        self.assertEqual(self.cashet("best", "--json", "-k", "1").json["tasks"][0]["index"], 0)
        self.assertEqual(self.cashet("best", batch, "--max", "--json").json["tasks"][0]["index"], 1)
        self.cashet("best", "--by", "nothing", "--min", code=5)
        for word in (f"{batch[:6]}:0", commit, commit[:12]):
            self.assertEqual(self.cashet("get", word).out, "out\n")
        self.assertEqual(self.cashet("get", f"{batch}:0", "--stderr").out, "err\n")
        logs = self.cashet("logs", f"{batch}:2")
        self.assertEqual((logs.out, logs.err), ("out\n", "err\n"))
        logs = self.cashet("logs", f"{batch}:2", "--json").json
        self.assertEqual((logs["stdout"], logs["stderr"]), ("out\n", "err\n"))
        self.cashet("get", "0" * 64, code=5)
        self.cashet("get", f"{batch}:99", code=5)
        self.cashet("logs", batch, code=2)
        short = self.cashet("get", "abc", code=5)  # no prefix, but it could be a pin
        self.assertIn('"abc" is neither a pin nor 4 or more digits of a hash', short.err)
        self.cashet("get", "a/b", code=2)  # nothing can be called that

    def test_parameters_stand_in_the_order_of_the_file(self):
        self.site.write("o.yaml", """version: 1
tasks:
  t:
    run: 'echo "{\\"loss\\": ${p.opt}}" > m.json; exit ${p.bad}'
    params: {zeta: 0}
    sweep: {params: {opt: [2, 1], lr: [0.5], bad: [0, 1]}}
    metrics: {from: m.json, best: {loss: min}}
""")
        order = ["zeta", "opt", "lr", "bad"]
        run = self.site.run("o.yaml", program="cashet-submit")
        self.assertEqual(run.code, 1, run.err)
        batch = run.out.split()[0]
        self.assertIn("x t[zeta=0,opt=2,lr=0.5,bad=1]  exit 1", run.err)
        head = run.out.splitlines()[1].split()
        self.assertEqual(head, ["task", "name", *order, "loss", "status", "time", "commit", "error"])
        self.assertEqual(run.out.splitlines()[2].split()[:6],
                         [f"{batch}:0", "t", "0", "2", "0.5", "0"])
        for argv in (["results"], ["results", "--csv"]):  # the broker is asked: a page, not a chunk
            head = self.cashet(*argv).out.splitlines()[0].replace("params.", "")
            self.assertEqual([w for w in re.split(r"[ ,]+", head) if w in order], order)
        self.assertEqual(list(self.cashet("results", "--json").json["tasks"][0]["params"]), order)
        best = self.cashet("best", batch).out.splitlines()
        self.assertEqual(best[0].split(), ["#", "loss", *order, "task", "commit"])
        self.assertEqual(best[1].split()[:-1], ["1", "1", "0", "1", "0.5", "0", f"{batch}:2"])
        self.cashet("retry", batch, code=1)  # made of what was stored
        self.assertEqual(self.cashet("best").out.splitlines()[0], best[0])

    def test_best_names_the_tasks_when_several_compete(self):
        task = "    run: 'echo \"{\\\"loss\\\": %d}\" > m.json'\n    metrics: {from: m.json}\n"
        self.site.write("n.yaml", "version: 1\ntasks:\n  a:\n" + task % 1 + "  b:\n" + task % 2)
        self.site.submit(self.site.path("n.yaml"))
        best = self.cashet("best", "--by", "loss", "--max").out.splitlines()
        self.assertEqual(best[0].split(), ["#", "loss", "name", "task", "commit"])
        self.assertEqual([line.split()[2] for line in best[1:]], ["b", "a"])

    def test_a_long_error_is_cut_in_the_table_and_whole_in_json(self):
        self.site.write("l.yaml", "version: 1\ntasks: {t: {run: [%s]}}\n" % ("x" * 90))
        last = self.cashet("submit", "l.yaml", code=1).out.splitlines()[-1]
        self.assertTrue(last.endswith("x" * 60 + "..."), last)
        error = self.cashet("results", "--json").json["tasks"][0]["error"]
        self.assertIn("x" * 90, error)
        self.assertIn("best of batch", self.cashet("best", code=2).err)
        self.site.write("l.yaml", "version: 1\ntasks: {t: {run: [echo, hi]}}\n")
        self.cashet("submit", "l.yaml")
        self.assertIn("no task of batch", self.cashet("best", code=2).err)
        self.cashet("retry")  # the newest
        self.assertIn('no command "sumbit";', self.cashet("sumbit", "x", code=2).err)

    def test_a_draining_broker_refuses_new_work_with_exit_1_and_says_why(self):
        go = self.site.path("go")
        self.site.broker()
        self.site.worker()
        self.site.write("a.yaml", f"version: 1\ntasks: {{t: {{run: 'while ! test -e {go}; do sleep 0.05; done'}}}}\n")
        self.site.write("b.yaml", "version: 1\ntasks: {t: {run: [echo, hi]}}\n")
        submit = self.site.start_submit("a.yaml")
        until(lambda: any(b["counts"]["running"] for b in self.cashet("ps", "--json").json["batches"]),
              "the task to run")
        self.cashet("broker", "drain")
        refused = self.cashet("submit", "b.yaml", code=1)
        self.assertIn("the broker is draining", refused.err)
        self.assertIn("submit again when", refused.err)
        self.site.write("go", "")
        self.assert_counts(submit.finish(), executed=1)

    def test_an_ambiguous_prefix_lists_the_candidates(self):
        self.site.write("m.jsonl", "".join(
            json.dumps({"run": ["true"], "params": {"i": i}}) + "\n" for i in range(1500)))
        tasks = self.site.submit(self.site.path("m.jsonl"))["tasks"]
        seen = {}
        for task in tasks:
            seen.setdefault(task["commit"][:4], []).append(task["commit"])
        prefix, commits = max(seen.items(), key=lambda pair: len(pair[1]))
        self.assertGreater(len(commits), 1)
        done = self.cashet("get", prefix, code=6)
        self.assertIn(commits[0][:8], done.err)

    def test_wait_cancel_retry_and_ps(self):
        self.site.write("w.yaml", "version: 1\ntasks: {a: {run: [sleep, '60']}, "
                        "b: {run: [sleep, '61']}}\n")
        batch = self.cashet("submit", "w.yaml", "--detach", "--json").json["batch"]
        self.cashet("wait", batch, "--timeout", "300ms", code=7)
        listed = self.cashet("ps", "--json").json["batches"]
        self.assertEqual([b["batch"] for b in listed], [batch])
        self.cashet("cancel", f"{batch}:0")
        self.assertTrue(self.cashet("cancel", batch, "--json").json["cancelled"])
        done = self.cashet("wait", batch, code=1)
        self.assertIn(f"cashet retry {batch[:8]}", done.err)
        self.assertEqual(self.cashet("ps", "--json").json, {"schema": 1, "batches": [], "left_out": 0})
        listed = self.cashet("ps", "-a", "--json").json["batches"]
        self.assertEqual([(b["batch"], b["state"]) for b in listed], [(batch, "cancelled")])
        result = self.cashet("results", batch, "--json").json
        self.assertEqual([t["status"] for t in result["tasks"]], ["cancelled"] * 2)
        again = self.cashet("retry", batch, "--detach", "--json").json["batch"]
        self.assertNotEqual(again, batch)
        self.cashet("cancel", again)
        self.cashet("wait", "ffff0000", code=5)

    def test_keys_and_version(self):
        public = self.cashet("key", "new", "me", "--json").json["public"]
        self.assertEqual(len(public), 40)
        self.cashet("key", "trust", public, "--role", "client", "--name", "me")
        self.assertEqual(self.cashet("key", "ls", "--json").json["trusted"][0]["role"], "client")
        self.cashet("key", "trust", public, "--role", "king", code=2)
        self.cashet("key", "revoke", "me")
        self.cashet("key", "revoke", "me", code=5)
        self.assertRegex(self.cashet("version", "--json").json["version"], r"^\d+\.\d+")
        self.assertIn("submit", self.cashet("help").out)

    def test_status_and_workers(self):
        self.site.variables["CASHET_PRIVATE_IDLE"] = "600"
        self.sweep()
        self.assertTrue(self.cashet("broker", "status", "--json").json["private"])
        self.assertEqual(self.cashet("worker", "ls", "--json").json["workers"][0]["name"], "local")

    def test_stats_count_files_as_they_come_and_go(self):
        self.site.write("s.yaml", "version: 1\ntasks: {t: {run: [seq, '30000'], tags: {big: ''}}}\n")
        task = self.site.submit(self.site.path("s.yaml"))["tasks"][0]
        size = self.cashet("get", task["commit"], "--json").json["size"]
        stats = until(lambda: next((s for s in [self.cashet("stats", "--json").json] if s["blobs"]), None),
                      "the file to be counted")
        self.assertEqual((stats["blobs"], stats["blob_bytes"]), (1, size))
        self.assertTrue(0 < stats["blob_stored_bytes"] < size, "it is compressed")
        self.assertGreater(stats["compression"], 1)
        self.cashet("clear", "--yes")
        until(lambda: self.cashet("stats", "--json").json["blobs"] == 0, "the file to be counted off")

    def test_slips_are_exit_2_and_name_the_nearest(self):
        for argv, near in ((["sumbit"], "submit"), (["ps", "--jsn"], "json"),
                           (["worker", "lss"], "worker ls")):
            self.assertIn(near, self.cashet(*argv, code=2).err)
        for argv in ([], ["submit"], ["ps", "x"], ["best", "--max", "--min"], ["wait", "--timeout"],
                     ["ps", "-Z"], ["ps", "--zzzzzz"], ["best", "-k", "0"], ["worker"], ["key"],
                     ["log", "--since", "x"], ["ps", "--color", "red"], ["results", "a/b"]):
            what, *next = self.cashet(*argv, code=2).err.splitlines()
            self.assertTrue(what.startswith("cashet: "), argv)
            self.assertTrue(argv == ["results", "a/b"] or next, f"{argv}: what to do next?")
        self.assertIn("-k takes", self.cashet("best", "-k", "0", code=2).err)
        self.assertIn("cashet best --help", self.cashet("best", "-k", "0", code=2).err)

    def test_help_of_a_command_of_a_group_and_of_all(self):
        for argv in (["help", "best"], ["best", "--help"], ["--help", "best"], ["best", "-k", "3", "-h"]):
            self.assertIn("usage: cashet best [OPTIONS] [BATCH]\n", self.cashet(*argv).out)
        for argv in (["help", "key"], ["key", "--help"], ["key", "-h"]):
            self.assertIn("key revoke", self.cashet(*argv).out)
        self.assertIn("usage: cashet worker ls", self.cashet("help", "worker", "ls").out)
        self.assertIn("did you mean best?", self.cashet("help", "bets", code=2).err)
        done = self.site.run("--help", program="cashet-submit")
        self.assertIn("usage: cashet-submit [OPTIONS] FILE|FILE:FUNCTION [ARG...]\n", done.out)
        for program in ("cashet-broker", "cashet-worker"):
            self.assertIn("--log-level LEVEL", self.site.run("--help", program=program).out)
            slip = self.site.run("--log-lvel", "info", program=program)
            self.assertEqual(slip.code, 2)
            self.assertIn("did you mean --log-level?", slip.err)

    def test_every_command_says_that_a_store_is_not_there_and_makes_none(self):
        self.site.write("a.yaml", "version: 1\ntasks: {t: {run: [echo, hi]}}\n")
        for words in ("ps", "ps -a", "wait", "wait abcd", "results", "best", "log", "show abcd",
                      "history abcd", "stats", "get abcd", "get :1", "logs :1", "why :1", "diff abcd abce",
                      "shell :1", "cancel abcd", "retry", "gc", "clear --yes", "rm abcd", "invalidate --func x",
                      "pin abcd --name x", "unpin x", "pins", "export x", "fsck", "fsck --repair",
                      "worker ls", "worker drain x", "broker status", "broker drain"):
            done = self.cashet(*words.split(), "--store", "nowhere", code=5)
            self.assertIn("there is no store at", done.err, words)
            self.assertIn("--store DIR", done.err, words)
            self.assertEqual(done.out, "", words)
        self.cashet("submit", "--dry-run", "a.yaml", "--store", "nowhere")
        self.assertEqual(sorted(os.listdir(self.site.dir)), ["a.yaml"])

    def test_what_did_not_run_says_why_it_has_no_log_and_no_commit(self):
        result = self.sweep()
        short = result["batch"][:8]
        for argv in (["logs", ":3"], ["logs", ":3", "-f"], ["logs", ":3", "--json"]):
            err = self.cashet(*argv, code=5).err
            self.assertIn(f"task {short}:3 was skipped, so it wrote nothing: task 2, which it needs, failed", err)
            self.assertIn(f"cashet logs {short}:2", err)
        for argv in (["show", ":3"], ["rm", ":3"], ["pin", ":3", "--name", "x"]):
            err = self.cashet(*argv, code=5).err
            self.assertIn(f"task {short}:3 has no commit: it was skipped", err)
            self.assertIn(f"cashet why {short}:3", err)
        for argv in (["logs", ":4"], ["show", ":4"], ["get", ":4"], ["why", ":4"], ["rm", ":4"]):
            self.assertIn("has no task 4: it has 4, from 0 on", self.cashet(*argv, code=5).err)
        for argv in (["show", "nope"], ["why", "nope"], ["diff", "nope", ":0"], ["rm", "nope"],
                     ["get", "nope"], ["shell", "nope"], ["invalidate", "--downstream", "nope"]):
            self.assertIn('"nope" is neither a pin nor', self.cashet(*argv, code=5).err)
        for words in (["cancel", ":0"], ["cancel", short]):  # nothing is changed by that
            self.assertFalse(self.cashet(*words, "--json").json["cancelled"])
            self.assertIn("had ended already", self.cashet(*words).err)
        self.assertIn("nothing to do", self.cashet("invalidate", "--func", "nope").out)
        self.cashet("rm", ":0")
        self.assertIn("was removed before", self.cashet("rm", ":0", code=5).err)
        self.cashet("gc")
        self.assertIn("nothing to remove", self.cashet("gc").out)

    def test_a_store_that_was_removed_can_be_used_again_at_once(self):
        self.site.write("f.txt", "x" * 5000)
        self.site.write("s.yaml", "version: 1\ntasks: {t: {run: [cat, '${inputs.f}'], "
                        "inputs: {f: {file: f.txt}}, outputs: {o: f2}}}\n"
                        .replace("run: [cat, '${inputs.f}']", "run: 'cp ${inputs.f} ${outputs.o}'"))
        last = None
        for _ in range(3):  # the broker of the removed one goes, and takes nothing of the new one
            result = self.site.submit(self.site.path("s.yaml"))
            self.assert_counts(result, executed=1)
            until(lambda: not last or not alive(last), "the broker of the removed store to end")
            last = self.cashet("broker", "status", "--json").json["pid"]
            self.assertTrue(os.path.exists(self.site.path(".cashet/run/worker.pid")))
            self.assertEqual(len(self.cashet("get", f"{result['batch']}:0").out), 5000)
            store = self.site.path(".cashet")
            os.rename(store, self.site.path("gone"))  # at once; below, what is in it may still change
            until(lambda: shutil.rmtree(self.site.path("gone"), ignore_errors=True) or
                  not os.path.exists(self.site.path("gone")), "the store to be removed")

    def test_sockets_that_were_removed_are_made_anew_by_the_broker_that_lives(self):
        self.site.write("f.txt", "x" * 5000)
        self.site.write("s.yaml", """version: 1
tasks:
  t: {run: 'cp ${inputs.f} ${outputs.o}; while ! test -e %s; do sleep 0.05; done', outputs: {o: o},
      inputs: {f: {file: f.txt}}}
""" % self.site.path("go"))
        for store in (self.site.path("here"), self.site.path("d" * 90)):
            with self.subTest(store=store):
                self.site.variables = {"CASHET_DIR": store, "CASHET_PRIVATE_IDLE": "600"}
                running = self.site.start_submit(self.site.path("s.yaml"), "--force")
                until(lambda: self.site.run("ps").out.count("running"), "the task to run")
                pid = self.cashet("broker", "status", "--json").json["pid"]
                with open(os.path.join(store, "run", "socket")) as f:
                    path = f.read().strip()
                for file in (path, path + ".blobs", os.path.join(store, "run", "socket")):
                    os.unlink(file)
                self.assertEqual(self.cashet("broker", "status", "--json").json["pid"], pid)
                self.site.write("go", "")
                self.assert_counts(running.finish(), executed=1)
                self.site.write("f.txt", os.path.basename(store) * 5000)  # to be uploaded
                result = self.site.submit(self.site.path("s.yaml"))
                self.assert_counts(result, executed=1)
                self.assertEqual(self.cashet("get", f"{result['batch']}:0").out,
                                 os.path.basename(store) * 5000)
                self.assertEqual(self.cashet("broker", "status", "--json").json["pid"], pid)
                os.unlink(self.site.path("go"))

    def test_stores_from_elsewhere_and_with_long_paths(self):
        self.site.write("s.yaml", "version: 1\ntasks: {t: {run: [echo, hi]}}\n")
        long = self.site.path("d" * 90 + "/a store")
        for options, env in ((["--store", long], {}), ([], {"CASHET_DIR": self.site.path("here")})):
            for hits in (0, 1):
                done = self.cashet("submit", self.site.path("s.yaml"), "--json", *options, cwd="/",
                                   env=env)
                self.assertEqual(done.json["counts"]["cached"], hits)


if __name__ == "__main__":
    main()

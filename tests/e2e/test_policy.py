"""Limits of a batch and of its tasks: how many at a time, how many failures, who goes first, how long,
how often."""

import contextlib
import json
import os
import unittest

from harness import SiteTest, alive, main, until, with_enough_time


class Policy(SiteTest):
    def file(self, tasks, name="b.json", **top):
        return self.site.write(name, json.dumps({"version": 1, "tasks": tasks, **top}))

    def start(self, cpus=6):
        self.site.broker()
        self.site.worker("node-1", cpus, wait=True)

    def status(self):
        return self.site.run("broker", "status", "--json").json

    def lines(self):
        return self.site.read("ran").splitlines()

    def held(self, text):
        """A shell text that notes + TEXT, waits for the file go, notes - TEXT."""
        ran, go = self.site.path("ran"), self.site.path("go")
        return (f"echo + {text} >> {ran}; while ! test -e {go}; do sleep 0.02; done; "
                f"echo - {text} >> {ran}")

    def sweep(self, run, count):
        return {"run": run, "sweep": {"params": {"i": {"range": [0, count]}}}}

    def test_max_parallel_is_reached_and_kept(self):
        self.start()
        submit = self.site.start_submit(self.file({"t": self.sweep(self.held("${p.i}"), 12)},
                                                  policy={"max_parallel": 2}))
        until(lambda: len(self.lines()) == 2, "two to run")
        # other batches have the rest of the slots
        self.site.submit(self.file({"u": {"run": ["echo", "other"]}}, "other.json"))
        status = self.status()
        self.assertEqual((status["running"], len(self.lines())), (2, 2), status)
        self.site.write("go", "")
        self.assert_counts(submit.finish(), executed=12)
        now, most = 0, 0
        for line in self.lines():
            now += 1 if line[0] == "+" else -1
            most = max(most, now)
        self.assertEqual(most, 2)

    def test_max_failures_cancels_what_waits_and_lets_what_runs_end(self):
        self.start(3)
        tasks = {"long": {"run": self.held("long"), "priority": 9},
                 "bad": {"run": "exit 1", "priority": 5}, "worse": {"run": "exit 2", "priority": 5},
                 "rest": self.sweep("sleep 600; : ${p.i}", 40)}
        submit = self.site.start_submit(self.file(tasks, policy={"max_failures": 2}))
        batch = until(lambda: self.site.run("ps", "--json").json["batches"], "the batch")[0]["batch"]
        rows = lambda: self.site.run("results", batch, "--json").json["tasks"]
        until(lambda: sum(t["status"] == "failed" for t in rows()) == 2, "two failures")
        waiting = lambda: [t for t in rows() if t["status"] in ("waiting", "ready")]
        until(lambda: not waiting(), "the rest to be cancelled")
        self.assertEqual(rows()[0]["status"], "running")
        going = [t["index"] for t in rows() if t["status"] == "running" and t["index"]]
        for index in going:  # what ran goes on, until somebody cancels it
            self.assertEqual(self.site.run("cancel", f"{batch}:{index}").code, 0)
        self.site.write("go", "")
        result = submit.finish(code=1)
        self.assert_counts(result, total=43, executed=1, failed=2, cancelled=40)

    def test_a_batch_of_which_everything_fails_pauses_and_can_go_on(self):
        self.start()
        flag = self.site.path("flag")
        file = self.file({"t": self.sweep(f"test -e {flag} && echo ${{p.i}}", 60)})
        done = self.site.run(file, program="cashet-submit")
        self.assertEqual(done.code, 1, done.err)
        batch = self.site.run("ps", "--json").json["batches"][0]
        self.assertEqual(batch["state"], "paused")
        for word in (f"cashet retry {batch['batch'][:4]}", f"cashet cancel {batch['batch'][:4]}"):
            self.assertIn(word, done.err)
        self.site.write("flag", "")
        done = self.site.run("retry", batch["batch"], "--json")
        counts = done.json["counts"]
        self.assertEqual((counts["total"], counts["executed"] + counts["failed"]), (60, 60))
        self.assertGreaterEqual(counts["failed"], 20)
        self.assert_counts(self.site.submit(file), total=60, failed=0)

    def test_a_later_batch_of_higher_priority_goes_first(self):
        self.start(1)
        ran = self.site.path("ran")
        submits = [self.site.start_submit(self.file({"hold": {"run": self.held("hold")}}, "h.json"))]
        until(self.lines, "the slot to be taken")
        queued = lambda: self.site.run("worker", "ls", "--json").json["workers"][0]["queued"]
        for name, more in (("low", {"priority": -1}), ("none", {}), ("high", {"priority": 2})):
            waiting = self.status()["ready"]
            submits.append(self.site.start_submit(self.file(
                {name: self.sweep(f"echo {name} >> {ran}; : ${{p.i}}", 3) | more}, f"{name}.json")))
            until(lambda: self.status()["ready"] == waiting + 3 and not queued(),
                  "the batch to wait, and none of it on the worker")
        self.site.write("go", "")
        for submit in submits:
            submit.finish()
        self.assertEqual(self.lines()[2:], ["high"] * 3 + ["none"] * 3 + ["low"] * 3)

    def test_what_nobody_can_run_is_told_to_who_waits_for_it(self):
        self.start()
        submit = self.site.start_submit(self.file({"t": {"run": ["true"], "resources": {"gpus": 1}}}))
        until(lambda: "t (task 0): it asks for gpus 1, which no worker has" in submit.text(), "a word")
        batch = self.site.run("ps", "--json").json["batches"][0]
        self.assertIn("asks for gpus 1", batch["note"])
        self.assertEqual(self.site.run("cancel", batch["batch"]).code, 0)
        self.assert_counts(submit.finish(code=1), cancelled=1)

    def test_what_needs_a_cancelled_task_says_so(self):
        self.start()
        submit = self.site.start_submit(self.file({
            "t": {"run": "sleep 1000", "grace": "100ms"}, "after": {"run": "true", "needs": ["t"]},
            "other": {"run": self.held("other")}}))
        until(self.lines, "the other one to run")
        batch = self.site.run("ps", "--json").json["batches"][0]["batch"]
        self.assertEqual(self.site.run("cancel", f"{batch}:0").code, 0)
        after = lambda: self.site.run("results", batch, "--json").json["tasks"][1]
        until(lambda: after()["status"] == "skipped", "the cancelled one to end")
        said = [after()["error"]]  # while the batch goes on, when it ends, and from the store
        self.site.write("go", "")
        said += [submit.finish(code=1)["tasks"][1]["error"], after()["error"]]
        self.assertEqual(said, ["task 0, which it needs, was cancelled"] * 3)

    def test_attempts_are_counted_and_the_last_one_may_succeed(self):
        self.start()
        ran = self.site.path("ran")
        result = self.site.submit(self.file({"t": {
            "run": f"echo $CASHET_ATTEMPT >> {ran}; test $(wc -l < {ran}) = 3 && echo fine",
            "retries": 5}}))
        task = result["tasks"][0]
        self.assertEqual((task["status"], task["attempts"], task["exit_code"]), ("completed", 3, 0))
        self.assertEqual(self.lines(), ["1", "2", "3"])
        self.assertEqual(self.site.run("get", f"{result['batch']}:0").out, "fine\n")
        again = self.site.submit(self.site.path("b.json"))["tasks"][0]
        self.assertEqual((again["cached"], again["attempts"]), (True, 0))

    def test_a_time_out_asks_first_then_kills_and_never_runs_two_copies(self):
        self.start()
        ran, pids, begun = (self.site.path(name) for name in ("ran", "pids", "begun"))

        def attempt(seconds):
            for name in ("ran", "pids", "begun"):
                self.site.write(name, "")
            result = self.site.submit(self.file({
                "polite": {"run": f"trap 'echo asked >> {ran}; exit 0' TERM; echo >> {begun}; "
                                  "while :; do sleep 0.02; done", "timeout": f"{seconds}s", "grace": "60s"},
                "deaf": {"run": f"trap '' TERM; for p in $(cat {pids}); do kill -0 $p && echo two >> {ran}; done; "
                                f"echo $$ >> {pids}; echo >> {begun}; while :; do sleep 0.02; done",
                         "timeout": f"{seconds}s", "grace": "200ms", "retries": 2}}), code=1)
            polite, deaf = result["tasks"]
            found = [int(p) for p in self.site.read("pids").split()]
            self.assertFalse(any(map(alive, found)))
            self.assertEqual((polite["status"], polite["attempts"]), ("failed", 1))
            self.assertEqual((deaf["status"], deaf["attempts"]), ("failed", 3))
            for task in polite, deaf:
                self.assertIn(f"timed out after {round(1000 * seconds)}ms" if seconds < 1 else
                              f"timed out after {seconds:g}s", task["error"])
            if len(self.site.read("begun").splitlines()) < 4:
                return False
            self.assertEqual(self.lines(), ["asked"])
            return True

        with_enough_time(attempt)

    def test_waiting_in_the_queue_is_no_part_of_the_time_limit(self):
        self.start(1)

        def attempt(seconds):
            for name in ("ran", "go"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.site.path(name))
            submit = self.site.start_submit(self.file({
                "hold": {"run": self.held("hold") + f"; sleep {seconds}"},
                "t": {"run": ["true"], "timeout": f"{seconds}s"}}), "--force")
            until(self.lines, "the slot to be taken")
            self.site.write("go", "")
            return submit.finish(code=None)["counts"]["executed"] == 2

        with_enough_time(attempt)


if __name__ == "__main__":
    main()

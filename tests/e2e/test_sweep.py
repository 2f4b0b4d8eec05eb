"""The private broker of a store directory: run, run again, change one value, many at once."""

import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import termios
import unittest

from harness import BIN, PATIENCE, SiteTest, alive, main, processes_with, until

SWEEP = """
version: 1
name: squares
tasks:
  base:
    run: "echo 10 > base.txt; echo base >> {ran}"
    outputs: {{base: base.txt}}
  square:
    run: "echo $(( $(cat ${{inputs.base}}) + ${{p.x}} * ${{p.x}} )) > ${{outputs.out}}; echo square ${{p.x}} >> {ran}"
    inputs: {{base: {{ref: base.base}}}}
    sweep: {{params: {{x: {xs}}}}}
    outputs: {{out: out.txt}}
  total:
    run: "cat ${{inputs.all}} | paste -sd+ | sed 's/^/echo /' > cmd; awk '{{s += $1}} END {{print s}}' ${{inputs.all}}; echo total >> {ran}"
    inputs: {{all: {{ref: "square.*.out"}}}}
"""


def unread(pipe):
    """How many bytes nobody has read yet."""
    return struct.unpack("i", fcntl.ioctl(pipe.fileno(), termios.FIONREAD, b"    "))[0]


def sleeps(pid):
    """How often the process has gone to sleep."""
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", f.read(), re.M)[1])


FAILING = """
version: 1
name: doomed
tasks:
  prep: {{run: "echo 1 > o", outputs: {{o: o}}}}
  bad:
    run: "cat ${{inputs.o}}; test -e {cured}"
    inputs: {{o: {{ref: prep.o}}}}
    sweep: {{params: {{i: {{range: [0, 150]}}}}}}
"""


class Sweep(SiteTest):
    def sweep(self, xs="[1, 2, 3]"):
        return self.site.write("sweep.yaml", SWEEP.format(ran=self.site.path("ran"), xs=xs))

    def test_runs_once_and_is_cached_the_second_time(self):
        file = self.sweep()
        first = self.site.submit(file)
        self.assert_counts(first, total=5, executed=5)
        self.assertEqual({t["status"] for t in first["tasks"]}, {"completed"})
        got = self.site.run("get", f"{first['batch']}:4")
        self.assertEqual((got.code, got.out), (0, "44\n"))
        second = self.site.submit(file)
        self.assert_counts(second, total=5, cached=5)
        self.assertEqual([t["commit"] for t in first["tasks"]],
                         [t["commit"] for t in second["tasks"]])
        self.assertEqual(set(self.ran().values()), {1})

    def test_changing_one_value_runs_only_the_difference(self):
        self.site.submit(self.sweep())
        again = self.site.submit(self.sweep("[1, 2, 3, 4]"))
        self.assert_counts(again, total=6, cached=4, executed=2)
        self.assertEqual(self.ran()["square 1"], 1)
        self.assertEqual(self.ran()["total"], 2)

    def test_same_bytes_upstream_leave_everything_downstream_cached(self):
        file = self.sweep()
        self.site.submit(file)
        with open(file) as f:
            text = f.read().replace("echo 10 >", "echo  10 >")
        result = self.site.submit(self.site.write("sweep.yaml", text))
        self.assert_counts(result, total=5, executed=1, cached=4)

    def test_works_from_another_directory(self):
        file = self.sweep()
        other = self.site.path("elsewhere")
        os.mkdir(other)
        result = self.site.submit(file, cwd=other)
        self.assert_counts(result, executed=5)
        self.assertTrue(os.path.isdir(os.path.join(other, ".cashet")))

    def test_json_has_every_promised_field(self):
        result = self.site.submit(self.sweep())
        self.assertEqual(set(result["counts"]), {"total", "cached", "executed", "deduplicated",
                                                 "failed", "skipped", "cancelled"})
        task = result["tasks"][1]
        for field in ("index name params status cached attempts exit_code fingerprint commit output "
                      "outputs worker duration_ms error metrics").split():
            self.assertIn(field, task)
        self.assertEqual((task["index"], task["name"], task["params"]), (1, "square", {"x": 1}))
        self.assertEqual((task["status"], task["cached"], task["exit_code"]),
                         ("completed", False, 0))
        self.assertRegex(task["outputs"]["out"], "^[0-9a-f]{64}$")
        self.assertRegex(task["output"], "^[0-9a-f]{64}$")
        self.assertRegex(task["commit"], "^[0-9a-f]{64}$")
        self.assertRegex(task["fingerprint"], "^[0-9a-f]{64}:[0-9a-f]{64}$")

    def test_eight_processes_on_one_store_run_each_task_once(self):
        file = self.sweep(str(list(range(20))))
        self.site.variables["CASHET_DIR"] = self.site.path(".cashet")
        all_at_once = [self.site.start_submit(file) for _ in range(8)]
        results = [p.finish() for p in all_at_once]
        for result in results:
            self.assert_counts(result, total=22, failed=0, skipped=0)
        self.assertEqual(sum(r["counts"]["executed"] for r in results), 22)
        self.assertEqual(set(self.ran().values()), {1}, self.ran())
        until(lambda: not processes_with(self.site.dir), "the private broker to leave")

    def test_private_broker_leaves_when_its_store_vanishes(self):
        self.site.variables["CASHET_PRIVATE_IDLE"] = "600"
        self.site.submit(self.sweep())
        self.assertTrue(processes_with(self.site.path(".cashet")))
        os.rename(self.site.path(".cashet"), self.site.path("gone"))
        until(lambda: not processes_with(self.site.dir), "the private broker to leave")

    def test_detached_batch_goes_on_and_can_be_waited_for(self):
        done = self.site.run(self.sweep(), "--detach", "--json", program="cashet-submit")
        self.assertEqual(done.code, 0, done.err)
        batch = json.loads(done.out)["batch"]
        self.assertEqual(self.site.run("wait", batch).code, 0)
        rows = self.site.run("results", batch, "--json").json["tasks"]
        self.assertEqual({r["status"] for r in rows}, {"completed"})

    def test_ctrl_c_detaches_and_says_how_to_come_back(self):
        file = self.site.write("slow.yaml", "version: 1\ntasks: {t: {run: 'while ! test -e %s; do sleep 0.05; "
                               "done'}}\n" % self.site.path("go"))
        submit = self.site.start_submit(file)
        until(lambda: self.site.run("ps", "--json").code == 0 and
              self.site.run("ps", "--json").json["batches"], "the batch to show")
        submit.signal(signal.SIGINT)
        self.assertEqual(submit.wait(), 130)
        self.assertIn("cashet wait", submit.text())
        self.site.write("go", "")
        self.assertEqual(self.site.run("wait").code, 0)

    def test_a_submit_that_is_told_to_end_does_not_wait_for_a_lost_broker_for_ever(self):
        broker = self.site.broker()
        submit = subprocess.Popen([os.path.join(BIN, "cashet-submit"), "-", "--format", "jsonl"],
                                  stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=self.site.env(),
                                  cwd=self.site.dir)
        self.addCleanup(lambda: submit.poll() is None and submit.kill())
        until(lambda: self.site.run("broker", "status", "--json").json["clients"] > 1, "submit to connect")
        broker.signal(signal.SIGSTOP)
        submit.stdin.write(b'{"run": ["echo", "1"]}\n')
        submit.stdin.flush()
        until(lambda: not unread(submit.stdin), "the line to be read")
        submit.stdin.close()
        submit.stdin = None  # so that communicate() leaves it
        # It has read the end, and waits for the broker, once it has gone to sleep a few times more.
        before = sleeps(submit.pid)
        until(lambda: sleeps(submit.pid) > before + 3, "submit to wait for the broker")
        submit.send_signal(signal.SIGTERM)
        _, said = submit.communicate(timeout=PATIENCE)
        broker.signal(signal.SIGCONT)
        self.assertEqual(submit.returncode, 130, said)

    def test_jsonl_of_many_tasks_runs_and_is_cached(self):
        lines = "".join(json.dumps({"run": ["/bin/echo", str(i)]}) + "\n" for i in range(300))
        file = self.site.write("many.jsonl", lines)
        self.assert_counts(self.site.submit(file), total=300, executed=300)
        again = self.site.submit(file)
        self.assert_counts(again, total=300, cached=300)

    def test_equal_tasks_of_one_batch_run_once(self):
        lines = json.dumps({"run": ["sh", "-c", f"echo x >> {self.site.path('ran')}"]}) + "\n"
        result = self.site.submit(self.site.write("same.jsonl", lines * 5))
        self.assert_counts(result, total=5, executed=1, deduplicated=4)
        self.assertEqual(self.ran(), {"x": 1})


class Pause(SiteTest):
    """A sweep that fails from its beginning pauses its batch, whatever other entries do."""

    def paused(self):
        """Submits until it pauses; gives the batch."""
        done = self.site.run(self.site.write("bad.yaml", FAILING.format(cured=self.site.path("cured"))),
                             program="cashet-submit")
        self.assertEqual(done.code, 1, done.err)
        self.assertIn("the first 20 ended tasks of bad all failed", done.err)
        self.assertIn("cashet retry", done.err)
        return self.row()["batch"]

    def row(self):
        return self.site.run("ps", "--json").json["batches"][0]

    def assert_paused(self):
        row = self.row()
        self.assertEqual(row["state"], "paused")
        self.assertEqual(row["note"], "the first 20 ended tasks of bad all failed")
        self.assertEqual(row["counts"]["running"], 0)
        self.assertGreater(row["counts"]["ready"], 0)
        said = self.site.run("ps")
        self.assertIn(f"cashet retry {row['batch'][:8]}", said.err)
        return row

    def test_stays_over_a_crash_of_the_broker_until_retry(self):
        broker = self.site.broker()
        self.site.worker()
        batch = self.paused()
        failed = self.assert_paused()["counts"]["failed"]
        broker.kill()
        broker = self.site.broker()
        until(lambda: self.site.workers(), "the worker to come back")
        self.assertEqual(self.assert_paused()["counts"]["failed"], failed)
        self.assertEqual(self.site.run("wait", batch).code, 1)  # it does not hang
        self.site.write("cured", "")
        done = self.site.run("retry", batch, "--json")
        self.assertEqual(done.code, 1, done.err)  # those that had failed have
        self.assertEqual(done.json["batch"], batch)
        self.assert_counts(done.json, total=151, failed=failed, executed=151 - failed)

    def test_that_it_was_resumed_survives_a_crash_too(self):
        broker = self.site.broker()
        worker = self.site.worker()
        batch = self.paused()
        worker.kill()  # so that it cannot end
        self.assertEqual(self.site.run("retry", "-d", batch).code, 0)
        self.assertNotEqual(self.row()["state"], "paused")
        broker.kill()
        self.site.broker()
        self.assertNotEqual(self.row()["state"], "paused")
        self.site.worker("node-2")
        done = self.site.run("wait", "--json", batch)  # the others fail as well: no second pause
        self.assertEqual(done.code, 1, done.err)
        self.assertTrue(done.json["ended"])
        self.assert_counts(done.json, total=151, executed=1, failed=150)


if __name__ == "__main__":
    main()

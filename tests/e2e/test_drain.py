"""Leaving in good order: workers and brokers that are asked to finish, and asked again; what is handed
back costs no attempt; a private broker makes room for another version."""

import json
import os
import signal
import unittest

from harness import BIN, SiteTest, alive, main, processes_with, until


class Drain(SiteTest):
    def file(self, tasks, name="b.json", **top):
        return self.site.write(name, json.dumps({"version": 1, "tasks": tasks, **top}))

    def held(self, name="t", **more):
        """A task that notes its attempt in `ran` and ends once the file go is there."""
        ran, go = self.site.path("ran"), self.site.path("go")
        return {name: {"run": f"echo {name} $$ >> {ran}; while ! test -e {go}; do sleep 0.02; done; "
                              f"echo {name} done", **more}}

    def pids(self):
        return [int(line.split()[1]) for line in self.site.read("ran").splitlines()]

    def state(self, name):
        return next((w["state"] for w in self.site.workers() if w["name"] == name), None)

    def queued(self, count):
        status = lambda: self.site.run("broker", "status", "--json").json
        until(lambda: status()["ready"] == count, f"{count} to wait")

    def test_a_worker_that_is_drained_by_name_finishes_and_takes_nothing_new(self):
        self.site.broker()
        first = self.site.worker("node-1", 1, wait=True)
        submit = self.site.start_submit(self.file(self.held("a") | self.held("b")))
        until(self.pids, "a task to run")
        self.assertEqual(self.site.run("worker", "drain", "node-9").code, 5)
        done = self.site.run("worker", "drain", "node-1", "--json")
        self.assertEqual((done.code, done.json["worker"], done.json["draining"]), (0, "node-1", True))
        self.assertEqual(self.state("node-1"), "draining")
        self.queued(1)
        self.site.write("go", "")
        self.assertEqual(first.wait(), 0, first.text())
        self.assertEqual(len(self.pids()), 1)
        self.site.worker("node-2", 1)
        result = submit.finish()
        self.assertEqual([t["worker"] for t in result["tasks"]], ["node-1", "node-2"])
        self.assertEqual([t["attempts"] for t in result["tasks"]], [1, 1])

    def handed_back(self, stop):
        """@stop makes node-1 give its task back before that has ended; node-2 goes on from there."""
        self.site.broker()
        first = self.site.worker("node-1", 1, wait=True)
        ran, go = self.site.path("ran"), self.site.path("go")
        submit = self.site.start_submit(self.file({"t": {
            "run": f"echo t $$ >> {ran}; trap 'exit 1' TERM; while ! test -e {go}; do sleep 0.02; done",
            "grace": "60s"}}))
        until(self.pids, "the task to run")
        stop(first)
        self.assertEqual(first.wait(), 0, first.text())
        self.assertFalse(alive(self.pids()[0]))
        self.site.write("go", "")
        self.site.worker("node-2", 1)
        task = submit.finish()["tasks"][0]
        self.assertEqual((task["status"], task["worker"], task["attempts"]),
                         ("completed", "node-2", 1), task)

    def test_a_deadline_hands_back_and_costs_no_attempt(self):
        self.handed_back(lambda _: self.assertEqual(
            self.site.run("worker", "drain", "node-1", "--deadline", "200ms").code, 0))

    def test_a_second_sigterm_hands_back_and_costs_no_attempt(self):
        def twice(worker):
            worker.signal(signal.SIGTERM)
            until(lambda: self.state("node-1") == "draining", "the worker to drain")
            worker.signal(signal.SIGTERM)
        self.handed_back(twice)

    def test_a_broker_that_is_drained_finishes_what_runs_and_refuses_new_work(self):
        broker = self.site.broker()
        self.site.worker("node-1", 1, wait=True)
        submit = self.site.start_submit(self.file(self.held("a") | self.held("b", needs=["a"])))
        until(self.pids, "a task to run")
        done = self.site.run("drain", program="cashet-broker")
        self.assertEqual(done.code, 0, done.err)
        self.assertTrue(self.site.run("broker", "status", "--json").json["draining"])
        other = self.site.run(self.file({"c": {"run": ["true"]}}, "c.json"), program="cashet-submit",
                              timeout=60)
        self.assertNotEqual(other.code, 0)
        self.assertIn("drain", other.err)
        self.site.write("go", "")
        self.assertEqual(broker.wait(), 0, broker.text())
        self.assertEqual(len(self.pids()), 1, "a draining broker leased something new")
        self.site.broker()  # the submit has waited, and what was queued goes on
        self.assert_counts(submit.finish(), executed=2)
        self.assertEqual(len(self.pids()), 2)

    def test_the_second_sigterm_of_a_broker_leaves_tasks_to_their_worker(self):
        broker = self.site.broker()
        self.site.worker("node-1", 1, wait=True)
        submit = self.site.start_submit(self.file(self.held()))
        until(self.pids, "the task to run")
        broker.signal(signal.SIGTERM)
        until(lambda: "draining" in broker.text(), "the broker to drain")
        self.assertTrue(broker.running())
        broker.signal(signal.SIGTERM)
        self.assertEqual(broker.wait(), 0, broker.text())
        self.assertTrue(alive(self.pids()[0]))
        self.site.broker()
        self.site.write("go", "")
        task = submit.finish()["tasks"][0]
        self.assertEqual((task["status"], task["attempts"]), ("completed", 1))
        self.assertEqual(len(self.pids()), 1)

    def test_a_broker_s_deadline(self):
        broker = self.site.broker()
        self.site.worker("node-1", 1, wait=True)
        submit = self.site.start_submit(self.file(self.held()))
        until(self.pids, "the task to run")
        done = self.site.run("broker", "drain", "--deadline", "100ms", "--json")
        self.assertEqual((done.code, done.json["draining"]), (0, True))
        self.assertEqual(broker.wait(), 0, broker.text())
        self.site.broker()
        self.site.write("go", "")
        self.assertEqual(submit.finish()["tasks"][0]["attempts"], 1)
        self.assertEqual(len(self.pids()), 1)

    def test_monitoring_words_of_the_broker_program(self):
        self.site.broker()
        self.site.worker("node-1", 1, wait=True)
        submit = self.site.start_submit(self.file(self.held("a") | self.held("b"), name="q.json"))
        until(self.pids, "a task to run")
        batch = self.site.run("ps", "--json").json["batches"][0]["batch"]
        for word, text in (("status", self.site.store), ("workers", "node-1"), ("queue", batch[:8])):
            done = self.site.run(word, program="cashet-broker")
            self.assertEqual(done.code, 0, done.err)
            self.assertIn(text, done.out)
            done = self.site.run(word, "--json", program="cashet-broker")
            self.assertEqual((done.code, done.json["schema"]), (0, 1), done.err)
        self.assertEqual(self.site.run("statu", program="cashet-broker").code, 2)
        self.site.write("go", "")
        submit.finish()


class Handover(SiteTest):
    def another_version(self):
        """The programs again, with another version in them, in a folder of their own."""
        version = self.site.run("version", "--json").json["version"].encode()
        other = bytes([version[0] ^ 1]) + version[1:]
        folder = self.site.path("bin")
        os.mkdir(folder)
        for name in os.listdir(BIN):
            path = os.path.join(BIN, name)
            if not os.path.isfile(path):
                continue
            with open(path, "rb") as f:
                content = f.read()
            self.site.write(os.path.join(folder, name),
                            content.replace(version + b"\0", other + b"\0"), 0o755)
        return folder, other.decode()

    def test_a_client_of_another_version_gets_a_broker_of_its_own(self):
        self.site.variables["CASHET_PRIVATE_IDLE"] = "600"
        file = self.site.write("b.yaml", "version: 1\ntasks: {t: {run: [echo, hi]}}\n")
        self.site.submit(file)
        before = self.site.run("broker", "status", "--json").json
        folder, version = self.another_version()
        new = self.site.run(file, "--json", program=os.path.join(folder, "cashet-submit"))
        self.assertEqual(new.code, 0, new.err)
        self.assert_counts(new.json, cached=1)
        until(lambda: not alive(before["pid"]), "the old broker to end")
        after = self.site.run("broker", "status", "--json", program=os.path.join(folder, "cashet"))
        self.assertEqual(after.code, 0, after.err)
        self.assertEqual(after.json["version"], version)
        self.assertNotEqual(after.json["pid"], before["pid"])

    def test_an_orderly_end_is_marked_and_a_crash_is_not(self):
        """By that, clients tell a private broker that made room from one that breaks down at once."""
        self.site.variables["CASHET_PRIVATE_IDLE"] = "600"
        file = self.site.write("b.yaml", "version: 1\ntasks: {t: {run: [echo, hi]}}\n")

        def started():
            self.site.submit(file)
            pid = self.site.run("broker", "status", "--json").json["pid"]
            self.assertEqual(lock(), [str(pid)])
            return pid

        lock = lambda: self.site.read(".cashet/run/lock").split()
        for number, mark in ((signal.SIGKILL, []), (signal.SIGTERM, ["ended"])):
            pid = started()
            os.kill(pid, number)
            until(lambda: not alive(pid), "the broker to end")
            self.assertEqual(lock(), [str(pid), *mark])
        started()

    def test_new_work_waits_for_a_private_broker_that_drains(self):
        self.site.variables["CASHET_PRIVATE_IDLE"] = "600"
        ran, go = self.site.path("ran"), self.site.path("go")
        old = self.site.start_submit(self.site.write("old.yaml", f"""
version: 1
tasks: {{t: {{run: "echo old >> {ran}; while ! test -e {go}; do sleep 0.02; done"}}}}
"""))
        until(self.ran, "the task to run")
        self.assertEqual(self.site.run("broker", "drain").code, 0)
        new = self.site.start_submit(self.site.write("new.yaml", f"""
version: 1
tasks: {{t: {{run: "echo new >> {ran}", inputs: {{f: {{file: old.yaml}}}}}}}}
"""))
        until(lambda: "peer=cashet-submit" in self.site.read(".cashet/run/broker.log") or
              not new.running(), "the second to be turned away")
        self.assertTrue(new.running(), new.text())
        self.site.write("go", "")
        self.assert_counts(new.finish(), executed=1)
        self.assert_counts(old.finish(), executed=1)
        self.assertEqual(self.ran(), {"old": 1, "new": 1})

    def test_clients_of_two_versions_at_work_both_come_to_an_end(self):
        self.site.variables["CASHET_PRIVATE_IDLE"] = "600"
        ran = self.site.path("ran")
        file = lambda name: self.site.write(f"{name}.yaml", f"""
version: 1
tasks: {{t: {{run: "echo {name} ${{p.i}} >> {ran}; sleep 0.2", sweep: {{params: {{i: {{range: [0, 12]}}}}}}}}}}
""")
        old = self.site.start_submit(file("old"))
        until(self.ran, "a task of the first")
        folder, _ = self.another_version()
        new = self.site.run(file("new"), "--json", program=os.path.join(folder, "cashet-submit"))
        self.assertEqual(new.code, 0, new.err)
        self.assert_counts(new.json, executed=12)
        self.assert_counts(old.finish(), executed=12)
        self.assertEqual(set(self.ran().values()), {1})


if __name__ == "__main__":
    main()

"""Processes killed for real: brokers and workers die, stop, are cut off; nothing acknowledged is lost."""

import json
import os
import random
import signal
import socket
import threading
import time
import unittest

from harness import BIN, PATIENCE, Process, SiteTest, alive, free_port, main, until


def sweep(site, count, seconds="0.05", name="sweep.yaml"):
    ran = site.path("ran")
    return site.write(name, f"""
version: 1
tasks:
  prep: {{run: "echo prep >> {ran}; echo 1 > o", outputs: {{o: o}}}}
  t:
    run: "sleep {seconds}; echo t ${{p.i}} >> {ran}; cat ${{inputs.o}}"
    inputs: {{o: {{ref: prep.o}}}}
    sweep: {{params: {{i: {{range: [0, {count}]}}}}}}
""")


class Broker(SiteTest):
    def test_killed_at_random_moments_loses_nothing_and_counts_right(self):
        seed = int(os.environ.get("CASHET_TEST_SEED", random.randrange(1 << 32)))
        print(f"seed {seed}", flush=True)
        dice = random.Random(seed)
        broker = self.site.broker()
        self.site.worker()
        submit = self.site.start_submit(sweep(self.site, 150))
        for _ in range(5):
            target = len(self.site.read("ran").splitlines()) + dice.randrange(1, 20)
            until(lambda: len(self.site.read("ran").splitlines()) >= target or
                  not submit.running(), "progress")
            broker.kill()
            broker = self.site.broker(wait=False)
        result = submit.finish()
        self.assert_counts(result, total=151, executed=151)
        again = self.site.submit(self.site.path("sweep.yaml"))
        self.assert_counts(again, total=151, cached=151)

    def test_killed_again_and_again_under_eight_clients(self):
        broker = self.site.broker()
        self.site.worker("node-1", 4)
        ran = self.site.path("ran")
        file = self.site.write("many.yaml", f"""
version: 1
tasks: {{t: {{run: "echo ${{p.i}} >> {ran}", sweep: {{params: {{i: {{range: [0, 1000]}}}}}}}}}}
""")
        submits = [self.site.start_submit(file) for _ in range(8)]
        kills = 0
        while kills < 8 and any(s.running() for s in submits):
            had = len(self.site.read("ran"))
            until(lambda: len(self.site.read("ran")) > had or
                  not any(s.running() for s in submits), "progress")
            broker.kill()
            kills += 1
            broker = self.site.broker(wait=False)
        results = [s.finish() for s in submits]
        self.assertGreater(kills, 2)
        for result in results:
            self.assert_counts(result, total=1000, failed=0, skipped=0, cancelled=0)
            self.assertEqual([t["commit"] for t in result["tasks"]],
                             [t["commit"] for t in results[0]["tasks"]])
        self.assertEqual(sum(r["counts"]["executed"] for r in results), 1000)
        self.assertEqual(len(self.ran()), 1000)

    def test_stopped_for_a_while_expires_nothing(self):
        broker = self.site.broker()
        self.site.worker()
        submit = self.site.start_submit(sweep(self.site, 20, "0.2"))
        until(lambda: len(self.ran()) > 5, "progress")
        broker.signal(signal.SIGSTOP)
        time.sleep(7)  # longer than peers wait before they dial again
        broker.signal(signal.SIGCONT)
        self.assert_counts(submit.finish(), total=21, executed=21)
        self.assertEqual(set(self.ran().values()), {1})

    def test_worker_and_client_may_be_there_before_the_broker(self):
        self.site.url = f"tcp://127.0.0.1:{free_port()}"
        worker = self.site.worker("node-1", 2, "--insecure")
        until(lambda: "broker" in worker.text(), "the worker to look for its broker")
        self.site.broker("--insecure", listen="tcp")
        self.assert_counts(self.site.submit(sweep(self.site, 5)), executed=6)
        self.assertTrue(worker.running())

    def test_few_file_descriptors_refuse_peers_and_spin_not(self):
        broker = self.site.broker(prefix=["prlimit", "--nofile=64:64"])
        self.site.worker(wait=True)
        file = sweep(self.site, 20, "0.1")
        submits = [self.site.start_submit(file) for _ in range(30)]
        for submit in submits:
            submit.popen.communicate(timeout=PATIENCE * 3)
        self.assertTrue(broker.running(), broker.text())
        self.assertEqual({s.popen.returncode for s in submits} - {0, 1, 3}, set())
        until(lambda: self.site.run(file, program="cashet-submit").code == 0, "room again")

        def rests():
            before = cpu_time(broker.pid)
            time.sleep(1)
            return cpu_time(broker.pid) - before < 0.5

        until(rests, "the idle broker not to spin")

    def test_listening_somewhere_else_after_a_restart(self):
        broker = self.site.broker()
        self.site.worker()
        submit = self.site.start_submit(sweep(self.site, 40))
        until(lambda: len(self.ran()) > 3, "progress")
        broker.kill()
        self.site.broker("--insecure", "--listen", f"tcp://127.0.0.1:{free_port()}")
        self.assert_counts(submit.finish(), total=41, executed=41)

    def test_running_tasks_are_adopted_not_run_again(self):
        ran, go = self.site.path("ran"), self.site.path("go")
        broker = self.site.broker()
        self.site.worker()
        file = self.site.write("long.yaml", f"""
version: 1
tasks: {{t: {{run: "echo ${{p.i}} >> {ran}; while ! test -e {go}; do sleep 0.05; done",
        sweep: {{params: {{i: [1, 2]}}}}}}}}
""")
        submit = self.site.start_submit(file)
        until(lambda: len(self.ran()) == 2, "both tasks to run")
        until(lambda: "0/2" in submit.text(), "the batch to be on disk: it may run before")
        broker.kill()
        self.site.broker()
        self.site.write("go", "")
        result = submit.finish()
        self.assert_counts(result, executed=2)
        self.assertEqual(set(self.ran().values()), {1})
        self.assertEqual([t["attempts"] for t in result["tasks"]], [1, 1])

    def test_results_made_while_the_broker_was_away_are_kept(self):
        ran, go = self.site.path("ran"), self.site.path("go")
        broker = self.site.broker()
        self.site.worker()
        file = self.site.write("long.yaml", f"""
version: 1
tasks: {{t: {{run: "echo x >> {ran}; while ! test -e {go}; do sleep 0.05; done; echo done >> {ran}"}}}}
""")
        submit = self.site.start_submit(file)
        until(lambda: self.ran(), "the task to run")
        until(lambda: "0/1" in submit.text(), "the batch to be on disk: it may run before")
        broker.kill()
        self.site.write("go", "")
        until(lambda: "done" in self.ran(), "the task to end")
        self.site.broker()
        result = submit.finish()
        self.assert_counts(result, executed=1)
        self.assertEqual(self.ran(), {"x": 1, "done": 1})

    def test_sigterm_drains_and_a_restart_goes_on(self):
        broker = self.site.broker()
        self.site.worker()
        submit = self.site.start_submit(sweep(self.site, 60))
        until(lambda: len(self.ran()) > 5, "progress")
        broker.signal(signal.SIGTERM)
        self.assertEqual(broker.wait(), 0, broker.text())
        self.site.broker()
        self.assert_counts(submit.finish(), total=61, executed=61)
        self.assertEqual(set(self.ran().values()), {1})

    def test_second_broker_on_the_same_store_is_refused_with_the_pid(self):
        first = self.site.broker()
        url = self.site.url
        second = Process(self.site, "second", [os.path.join(BIN, "cashet-broker"), "--listen",
                                               f"ipc://{self.site.dir}/c.sock", "--store",
                                               self.site.store])
        self.assertNotEqual(second.wait(), 0)
        self.assertIn(str(first.pid), second.text())
        self.assertEqual(self.site.run("broker", "status").code, 0)
        self.assertEqual(self.site.url, url)


class Worker(SiteTest):
    def test_killed_worker_s_tasks_finish_elsewhere_and_its_processes_die(self):
        self.site.broker()
        first = self.site.worker("node-1", wait=True)
        go, pids = self.site.path("go"), self.site.path("pids")
        file = self.site.write("k.yaml", f"""
version: 1
tasks: {{t: {{run: "echo $$ >> {pids}; while ! test -e {go}; do sleep 0.05; done; echo ${{p.i}}",
        sweep: {{params: {{i: [1, 2]}}}}}}}}
""")
        submit = self.site.start_submit(file)
        until(lambda: len(self.site.read("pids").split()) == 2, "both to run")
        old = [int(p) for p in self.site.read("pids").split()]
        first.kill()
        until(lambda: not any(map(alive, old)), "the processes of the dead worker to die")
        self.site.write("go", "")
        self.site.worker("node-2")
        result = submit.finish()
        self.assert_counts(result, executed=2)
        self.assertEqual({t["worker"] for t in result["tasks"]}, {"node-2"})

    def test_stopped_worker_s_late_result_changes_nothing(self):
        self.site.broker()
        first = self.site.worker("node-1", 1, wait=True)
        ran, go = self.site.path("ran"), self.site.path("go")
        file = self.site.write("s.yaml", f"""
version: 1
tasks: {{t: {{run: "echo x >> {ran}; while ! test -e {go}; do sleep 0.05; done; echo $RANDOM$$"}}}}
""")
        submit = self.site.start_submit(file)
        until(lambda: self.ran(), "the task to run")
        first.signal(signal.SIGSTOP)
        self.site.write("go", "")
        self.site.worker("node-2", 1)
        result = submit.finish()
        self.assertEqual(result["tasks"][0]["worker"], "node-2")
        row = next(w for w in self.site.workers() if w["name"] == "node-1")
        self.assertEqual((row["state"], row["running"], row["lost"], row["lost_in_ms"]),
                         ("silent", 1, True, None))
        self.assertRegex(self.site.run("worker", "ls").out, r"(?m)^node-1 +silent, leases ended ")
        first.signal(signal.SIGCONT)
        until(lambda: any(w["name"] == "node-1" and w["state"] == "ready" and not w["running"]
                          for w in self.site.workers()), "node-1 to come back")
        rows = self.site.run("results", result["batch"], "--json").json["tasks"]
        self.assertEqual(rows[0]["commit"], result["tasks"][0]["commit"])
        again = self.site.submit(self.site.path("s.yaml"))
        self.assertEqual(again["tasks"][0]["commit"], result["tasks"][0]["commit"])

    def test_worker_behind_a_cut_network_is_replaced_and_comes_back(self):
        self.site.broker("--insecure", listen="tcp")
        proxy = Proxy(self.site.url)
        self.addCleanup(proxy.close)
        broker_url, self.site.url = self.site.url, proxy.url
        self.site.worker("far", 1)
        self.site.url = broker_url
        until(lambda: any(w["name"] == "far" for w in self.site.workers()), "far to join")
        ran, go = self.site.path("ran"), self.site.path("go")
        file = self.site.write("n.yaml", f"""
version: 1
tasks: {{t: {{run: "echo x >> {ran}; while ! test -e {go}; do sleep 0.05; done; echo fin"}}}}
""")
        submit = self.site.start_submit(file)
        until(lambda: self.ran(), "the task to run")
        proxy.cut()
        self.site.write("go", "")
        self.site.worker("near", 1)
        result = submit.finish()
        self.assertEqual(result["tasks"][0]["status"], "completed")
        self.assert_counts(result, executed=1)
        proxy.heal()
        until(lambda: any(w["name"] == "far" and w["state"] == "ready"
                          for w in self.site.workers()), "far to come back")

    def test_killed_again_and_again(self):
        self.site.broker()
        worker = self.site.worker("node-1", 2, wait=True)
        submit = self.site.start_submit(sweep(self.site, 60))
        for n in range(2, 7):
            had = len(self.site.read("ran").splitlines())
            until(lambda: len(self.site.read("ran").splitlines()) >= had + 5 or
                  not submit.running(), "progress")
            worker.kill()
            worker = self.site.worker("node-1", 2)
        self.assert_counts(submit.finish(), total=61, executed=61)

    def test_two_of_the_same_name_share_the_work(self):
        self.site.broker()
        self.site.worker("twin", 1, wait=True)
        self.site.worker("twin", 1, "--work-dir", self.site.path("work-twin-2"))
        until(lambda: len(self.site.workers()) == 2, "both to join")
        self.assert_counts(self.site.submit(sweep(self.site, 20)), total=21, executed=21)
        self.assertEqual(set(self.ran().values()), {1})

    def test_two_in_one_work_folder_do_not_harm_each_other(self):
        self.site.broker()
        self.site.worker("twin", 1, wait=True)
        second = self.site.worker("twin", 1)
        until(lambda: len(self.site.workers()) == 2 or not second.running(), "the second")
        self.assert_counts(self.site.submit(sweep(self.site, 20)), total=21, executed=21)
        self.assertEqual(set(self.ran().values()), {1})

    def test_drained_worker_finishes_what_it_has_and_leaves(self):
        self.site.broker()
        worker = self.site.worker("node-1", wait=True)
        submit = self.site.start_submit(sweep(self.site, 40))
        until(lambda: len(self.ran()) > 3, "progress")
        worker.signal(signal.SIGTERM)
        self.assertEqual(worker.wait(), 0, worker.text())
        self.site.worker("node-2")
        self.assert_counts(submit.finish(), total=41, executed=41)
        self.assertEqual(set(self.ran().values()), {1})


class Clients(SiteTest):
    def test_two_clients_with_the_same_sweep_run_each_task_once(self):
        self.site.broker()
        file = sweep(self.site, 30)
        one, two = self.site.start_submit(file), self.site.start_submit(file)
        self.site.worker()
        a, b = one.finish(), two.finish()
        for result in (a, b):
            self.assert_counts(result, total=31, failed=0)
        self.assertEqual(a["counts"]["executed"] + b["counts"]["executed"], 31)
        self.assertEqual(set(self.ran().values()), {1})
        self.assertEqual([t["commit"] for t in a["tasks"]], [t["commit"] for t in b["tasks"]])

    def test_killed_client_s_sealed_batch_goes_on(self):
        self.site.broker()
        submit = self.site.start_submit(sweep(self.site, 20))
        until(lambda: self.site.run("ps", "--json").json["batches"], "the batch")
        batch = self.site.run("ps", "--json").json["batches"][0]["batch"]
        submit.kill()
        self.site.worker()
        self.assertEqual(self.site.run("wait", batch).code, 0)

    def test_killed_while_it_uploads_leaves_nothing(self):
        self.site.broker("--insecure", listen="tcp")
        self.site.worker("node-1", 2, "--insecure")
        with open(self.site.path("big"), "wb") as f:
            for _ in range(64):
                f.write(os.urandom(1 << 20))
        file = self.site.write("up.yaml", "version: 1\ntasks: {t: {run: 'wc -c < ${inputs.b}', "
                               "inputs: {b: {file: big}}}}\n")
        proxy = Proxy(self.site.url, most=20 << 20)
        self.addCleanup(proxy.close)
        broker_url, self.site.url = self.site.url, proxy.url
        submit = self.site.start_submit(file)
        self.site.url = broker_url
        until(lambda: used(self.site.store) > 10 << 20, "some of the upload")
        submit.kill()
        self.assertLess(used(self.site.store), 64 << 20)
        self.assertEqual(self.site.run("ps", "-a", "--json").json["batches"], [])
        self.assert_counts(self.site.submit(file), executed=1)

    def test_killed_in_the_middle_of_a_stream_runs_and_shows_nothing(self):
        broker = self.site.broker()
        self.site.worker()
        ran = self.site.path("ran")
        os.mkfifo(self.site.path("stream.jsonl"))
        submit = self.site.start_submit(self.site.path("stream.jsonl"))
        with open(self.site.path("stream.jsonl"), "w") as f:
            for i in range(20000):
                f.write(json.dumps({"name": f"t{i}", "run": f"echo {i} >> {ran}; : {'x' * 200}"}) + "\n")
            f.flush()
            status = lambda: self.site.run("broker", "status", "--json").json
            until(lambda: any(size > 1 << 20 for size in sizes(self.site.store, "meta.db")),
                  "chunks on the disk")
            submit.kill()
        self.assertEqual(self.site.run("ps", "-a", "--json").json["batches"], [])
        broker.kill()
        self.site.broker()
        self.assertEqual(self.site.run("ps", "-a", "--json").json["batches"], [])
        self.assertEqual(status()["ready"] + status()["running"] + status()["waiting"], 0)
        self.assertEqual(self.ran(), {})


def used(folder):
    """Bytes on disk below @folder."""
    total = 0
    for at, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(at, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


def sizes(folder, prefix):
    return [os.path.getsize(os.path.join(folder, n)) for n in os.listdir(folder)
            if n.startswith(prefix)]


def cpu_time(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Proxy:
    """Forwards TCP to the control and the blob port of a broker, until it is cut or `most` bytes went
    through it."""

    def __init__(self, url, most=float("inf")):
        self.most = most
        self.host, port = url[len("tcp://"):].split(":")
        self.port = free_port()
        self.url = f"tcp://127.0.0.1:{self.port}"
        self.open, self.pairs, self.stopped = True, [], False
        for offset in (0, 1):
            threading.Thread(target=self.listen, args=(self.port + offset, int(port) + offset),
                             daemon=True).start()

    def listen(self, port, target):
        server = socket.create_server(("127.0.0.1", port))
        server.settimeout(0.1)
        while not self.stopped:
            try:
                near, _ = server.accept()
            except TimeoutError:
                continue
            try:
                far = socket.create_connection((self.host, target))
            except OSError:
                near.close()
                continue
            self.pairs.append((near, far))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(a, b), daemon=True).start()
        server.close()

    def pump(self, a, b):
        try:
            while data := a.recv(65536):
                self.most -= len(data)
                if self.open and self.most > 0:  # a cut network swallows, it does not close
                    b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            s.close()

    def cut(self):
        self.open = False

    def heal(self):
        """Old connections lost bytes: they are reset, new ones work."""
        pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for s in pair:
                try:
                    s.shutdown(socket.SHUT_RDWR)  # whoever waits for it wakes up; close() alone would not do
                except OSError:
                    pass
        self.open = True

    def close(self):
        self.stopped = True
        self.heal()


if __name__ == "__main__":
    main()

"""Disks that are full, not writable, corrupt, lost, or of another version."""

import glob
import os
import signal
import sqlite3
import subprocess
import unittest

from harness import BIN, Process, SiteTest, main, until

THREE = """
version: 1
tasks:
  a: {run: "head -c 200000 /dev/urandom > o; echo a >> %s", outputs: {o: o}}
  b: {run: "wc -c < ${inputs.o}; echo b >> %s", inputs: {o: {ref: a.o}}}
"""


class Store(SiteTest):
    def batch(self):
        ran = self.site.path("ran")
        return self.site.write("t.yaml", THREE % (ran, ran))

    def refused(self, *words):
        broker = Process(self.site, "broker", [os.path.join(BIN, "cashet-broker"), "--listen",
                         f"ipc://{self.site.dir}/b.sock", "--store", self.site.store])
        self.assertNotEqual(broker.wait(), 0)
        for word in words:
            self.assertIn(word, broker.text())

    def stop(self, broker):
        broker.popen.terminate()
        self.assertEqual(broker.wait(), 0, broker.text())

    def filled(self):
        """A store in which the batch ran; its broker has stopped."""
        broker = self.site.broker()
        worker = self.site.worker()
        result = self.site.submit(self.batch())
        self.stop(broker)
        return worker, result

    @unittest.skipIf(os.getuid() == 0, "root may write anywhere")
    def test_not_writable(self):
        os.makedirs(self.site.store, 0o500)
        self.refused(self.site.store)

    def test_a_file_in_its_place(self):
        self.site.write("store", "x")
        self.refused(self.site.store)

    def test_newer_version_is_refused(self):
        self.filled()
        db = sqlite3.connect(os.path.join(self.site.store, "meta.db"))
        db.execute("PRAGMA user_version = 99")
        db.commit()
        db.close()
        self.refused("newer")

    def test_corrupt_journal_is_refused_and_says_what_to_do(self):
        self.filled()
        for path in glob.glob(os.path.join(self.site.store, "meta.db*")):
            with open(path, "r+b") as f:
                f.write(os.urandom(4096))
        self.refused("meta.db")

    def test_who_reads_a_corrupt_journal_is_told_so(self):
        self.filled()
        path = os.path.join(self.site.store, "meta.db")
        db = sqlite3.connect(path)
        size, = db.execute("PRAGMA page_size").fetchone()
        page, = db.execute("SELECT rootpage FROM sqlite_master WHERE name='meta'").fetchone()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        with open(path, "r+b") as f:
            f.seek((page - 1) * size)
            f.write(bytes(size))
        for index in glob.glob(os.path.join(self.site.store, "index.db*")):
            os.unlink(index)
        self.site.url = None
        for argv in (["log"], ["show", "feed"], ["stats"], ["fsck"], ["results"]):
            done = self.site.run(*argv, "--store", self.site.store)
            self.assertEqual((done.code, done.out), (1, ""), argv)
            self.assertIn("meta.db: database disk image is malformed", done.err)

    def test_a_client_whose_private_broker_cannot_be_started_again_ends(self):
        file = self.site.write("s.yaml", "version: 1\ntasks: {s: {run: [sleep, '600']}}\n")
        submit = Process(self.site, "submit", [os.path.join(BIN, "cashet-submit"), file, "--store",
                                               self.site.store])
        lock = os.path.join(self.site.store, "run", "lock")
        until(lambda: "running" in self.site.run("ps", "--store", self.site.store).out, "the task")
        with open(lock) as f:
            broker = int(f.read().split()[0])
        os.kill(broker, signal.SIGSTOP)
        with open(os.path.join(self.site.store, "meta.db"), "r+b") as f:
            f.write(bytes(100))
        os.kill(broker, signal.SIGKILL)
        self.assertEqual(submit.wait(), 3)
        self.assertIn("ended as soon as it was started", submit.text())
        self.assertIn("meta.db", submit.text())

    def test_lost_index_is_rebuilt(self):
        self.filled()
        for path in glob.glob(os.path.join(self.site.store, "index.db*")):
            os.unlink(path)
        self.site.broker()
        self.assert_counts(self.site.submit(self.batch()), cached=2)

    def test_corrupt_index_is_rebuilt(self):
        self.filled()
        for path in glob.glob(os.path.join(self.site.store, "index.db*")):
            with open(path, "r+b") as f:
                f.write(os.urandom(4096))
        self.site.broker()
        self.assert_counts(self.site.submit(self.batch()), cached=2)

    def test_flipped_blob_is_quarantined_and_made_again(self):
        self.filled()
        blobs = [p for p in glob.glob(os.path.join(self.site.store, "objects", "*", "*"))
                 if os.path.getsize(p) > 100000]
        self.assertEqual(len(blobs), 1)
        os.chmod(blobs[0], 0o644)
        with open(blobs[0], "r+b") as f:
            f.seek(os.path.getsize(blobs[0]) // 2)
            byte = f.read(1)
            f.seek(-1, 1)
            f.write(bytes([byte[0] ^ 1]))
        self.site.broker()
        # b is changed, so a's bytes are needed; the worker's cache is not asked: it is a new one
        self.site.worker("node-2", 2)
        with open(self.batch()) as f:
            text = f.read().replace("wc -c <", "wc  -c <")
        self.site.processes[1].popen.kill()
        result = self.site.submit(self.site.write("t.yaml", text))
        self.assertEqual([t["status"] for t in result["tasks"]], ["completed", "completed"])
        self.assertGreaterEqual(self.ran()["a"], 2)
        self.assertTrue(os.listdir(os.path.join(self.site.store, "quarantine")))

    def test_lost_blob_of_a_final_result_is_made_again(self):
        self.filled()
        file = self.site.write("f.yaml", "version: 1\ntasks: {t: {run: 'head -c 100000 /dev/zero'}}\n")
        broker = self.site.broker()
        self.site.submit(file)
        self.stop(broker)
        for path in glob.glob(os.path.join(self.site.store, "objects", "*", "*")):
            os.unlink(path)
        self.site.broker()
        self.assert_counts(self.site.submit(file), executed=1)

    @unittest.skipUnless(os.getuid() == 0, "mounts a small tmpfs")
    def test_full_disk_refuses_new_work_and_goes_on_when_there_is_room(self):
        os.makedirs(self.site.store)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80m", "none", self.site.store],
                       check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", self.site.store])
        self.site.broker()
        self.site.worker()
        echo = self.site.write("e.yaml", "version: 1\ntasks: {t: {run: [echo, '1']}}\n")
        self.site.submit(echo)
        ballast = os.path.join(self.site.store, "ballast")
        with open(ballast, "wb") as f:
            try:
                while True:
                    f.write(b"x" * 65536)
                    f.flush()
            except OSError:
                pass
        other = self.site.write("f.yaml", "version: 1\ntasks: {t: {run: [echo, '2']}}\n")
        done = until(lambda: (lambda r: r if r.code else None)(
            self.site.run(other, program="cashet-submit")), "the refusal")
        self.assertIn("full", done.err)
        self.assertEqual(self.site.run("broker", "status").code, 0)
        os.unlink(ballast)
        until(lambda: self.site.run(other, program="cashet-submit").code == 0, "room again")

    @unittest.skipUnless(os.getuid() == 0, "mounts a small tmpfs")
    def test_full_disk_of_a_worker_costs_no_attempt(self):
        small = self.site.path("work-small")
        os.makedirs(small)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", small], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", small])
        self.site.write("big", os.urandom(10 << 20))
        self.site.broker()
        self.site.worker("small", 1, wait=True)
        file = self.site.write("w.yaml", "version: 1\ntasks: {t: {run: 'wc -c < ${inputs.b}', "
                               "inputs: {b: {file: big}}}}\n")
        submit = self.site.start_submit(file)
        until(lambda: "space" in self.site.processes[1].text().lower() or
              "full" in self.site.processes[1].text().lower(), "the worker to complain")
        until(lambda: "no worker has room on its disk for the inputs of t (task 0): 1 tried" in
              self.site.run("ps", "--json").json["batches"][0]["note"], "what it waits for")
        until(lambda: "waiting: no worker has room" in submit.text(), "the progress to say so")
        self.site.worker("roomy", 1)
        result = submit.finish()
        self.assertEqual((result["tasks"][0]["status"], result["tasks"][0]["worker"]),
                         ("completed", "roomy"))

    @unittest.skipUnless(os.getuid() == 0, "mounts a small tmpfs")
    def test_task_that_fails_on_a_full_disk_of_its_worker_is_told_so(self):
        """It cannot say so itself: what it writes to standard error finds no room."""
        small = self.site.path("work-small")
        os.makedirs(small)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", small], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", small])
        self.site.broker()
        self.site.worker("small", 1)
        file = self.site.write("f.yaml", """
version: 1
tasks:
  fills: {run: "head -c 8388608 /dev/zero > o", outputs: {o: o}}
""")
        tasks = self.site.submit(file, code=1)["tasks"]
        self.assertEqual(tasks[0]["error"], f"exit 1; the worker's disk is full: {small}")


if __name__ == "__main__":
    main()

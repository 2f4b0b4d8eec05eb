"""Brokers, workers and clients over TCP: keys, roles, strangers, nobody there."""

import contextlib
import os
import socket
import struct
import subprocess
import unittest
import unittest.mock

from harness import BIN, PATIENCE, Process, SiteTest, free_port, main, until

ECHO = "version: 1\ntasks: {t: {run: [echo, hi]}}\n"


class Keys(SiteTest):
    def key(self, *words, code=0, env=None):
        done = self.site.run("key", *words, env=env)
        self.assertEqual(done.code, code, done.err)
        return done

    def public(self, name, env=None):
        rows = self.site.run("key", "ls", "--json", env=env).json["keys"]
        return next(k["public"] for k in rows if k["name"] == name)

    def cluster(self):
        for name in ("broker", "node-1", "me"):
            self.key("new", name)
        self.key("trust", self.public("node-1"), "--role", "worker")
        self.key("trust", self.public("me"), "--role", "client")
        self.key("trust", self.public("broker"), "--role", "broker")
        self.site.url = f"tcp://127.0.0.1:{free_port()}"
        self.site.variables["CASHET_KEY"] = "me"
        broker = Process(self.site, "broker", [os.path.join(BIN, "cashet-broker"), "--listen",
                         self.site.url, "--store", self.site.store, "--key", "broker"])
        self.site.worker("node-1", 2, "--key", "node-1")
        return broker

    def test_cluster_with_keys_runs_a_batch(self):
        self.cluster()
        result = self.site.submit(self.site.write("e.yaml", ECHO))
        self.assert_counts(result, executed=1)
        self.assertEqual(result["tasks"][0]["worker"], "node-1")

    def test_wrong_key_is_exit_4_and_says_how_to_trust_it(self):
        self.cluster()
        self.site.submit(self.site.write("e.yaml", ECHO))
        self.key("new", "stranger")
        done = self.site.run("broker", "status", env={"CASHET_KEY": "stranger"})
        self.assertEqual(done.code, 4, done.err)
        self.assertIn("cashet key trust", done.err)
        self.assertIn(self.public("stranger"), done.err)

    def test_a_worker_that_trusts_another_broker_says_what_to_compare(self):
        self.cluster()
        mine, other = self.public("broker"), {"CASHET_CONFIG": self.site.path("other")}
        self.key("new", "node-2", env=other)
        self.key("new", "impostor", env=other)
        self.key("trust", self.public("impostor", other), "--role", "broker", env=other)
        self.key("trust", self.public("node-2", other), "--role", "worker")
        with unittest.mock.patch.dict(self.site.variables, other):
            worker = self.site.worker("node-2", 1, "--key", "node-2")
        until(lambda: self.public("impostor", other) in worker.text(), "the worker to say what it expects")
        self.assertNotIn(mine, worker.text())
        self.assertNotIn("node-2", [w["name"] for w in self.site.workers()])

    def test_client_key_cannot_be_a_worker_and_observer_cannot_submit(self):
        self.cluster()
        file = self.site.write("e.yaml", ECHO)
        self.site.submit(file)
        self.key("new", "eye")
        self.key("trust", self.public("eye"), "--role", "observer")
        watch = lambda: self.site.run("broker", "status", env={"CASHET_KEY": "eye"}).code == 0
        until(watch, "the broker to take the new key")
        done = self.site.run(file, program="cashet-submit", env={"CASHET_KEY": "eye"})
        self.assertEqual(done.code, 4, done.err)

    def test_revoked_key_is_out(self):
        self.cluster()
        self.site.submit(self.site.write("e.yaml", ECHO))
        self.key("revoke", self.public("me"))
        until(lambda: self.site.run("broker", "status").code == 4, "the key to be refused")

    def test_tcp_without_keys_is_refused_with_the_fix(self):
        broker = Process(self.site, "broker", [os.path.join(BIN, "cashet-broker"), "--listen",
                         f"tcp://127.0.0.1:{free_port()}", "--store", self.site.store])
        self.assertNotEqual(broker.wait(), 0)
        self.assertIn("cashet key new", broker.text())
        self.assertIn("--insecure", broker.text())

    def test_a_worker_without_keys_is_refused_with_the_fix(self):
        url = f"tcp://127.0.0.1:{free_port()}"
        def starts(*options, **env):
            worker = subprocess.run([os.path.join(BIN, "cashet-worker"), "--broker", url, *options],
                                    capture_output=True, text=True, env=self.site.env(**env), timeout=PATIENCE)
            self.assertEqual((worker.returncode, worker.stdout), (4, ""), worker.stderr)
            return worker.stderr
        for word in ("cashet key new", "--role worker", "--insecure", "CASHET_INSECURE=1", url):
            self.assertIn(word, starts(CASHET_INSECURE="0"))
        self.key("new", "w")
        for word in ("cashet key trust", "--role broker", url[len("tcp://"):], "--insecure"):
            self.assertIn(word, starts())
        # a key that cannot be used is no reason to do without
        os.chmod(self.site.path("config/keys/w.key"), 0o644)
        self.assertIn("chmod 600", starts())

    def test_a_client_without_keys_is_refused_with_the_fix(self):
        self.site.url = f"tcp://127.0.0.1:{free_port()}"
        done = self.site.run("ps")
        self.assertEqual(done.code, 4, done.err)
        for word in ("cashet key new", "--role client", "--insecure", "CASHET_INSECURE=1", self.site.url):
            self.assertIn(word, done.err)

    def test_a_worker_with_insecure_uses_no_key_though_it_has_one(self):
        self.key("new", "w")
        self.site.broker("--insecure", listen="tcp")
        del self.site.variables["CASHET_INSECURE"]
        worker = self.site.worker("node-1", 2, "--insecure")
        until(lambda: any(w["name"] == "node-1" for w in self.site.run(
            "worker", "ls", "--json", "--insecure").json["workers"]), "it to join")
        self.assertIn("insecure", worker.text())

    def test_key_files_are_private_and_names_are_not_taken_twice(self):
        self.key("new", "a")
        path = os.path.join(self.site.dir, "config", "keys", "a.key")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertNotEqual(self.site.run("key", "new", "a").code, 0)


class Network(SiteTest):
    def test_nobody_there_is_exit_3_and_says_what_was_tried(self):
        self.site.url = f"tcp://127.0.0.1:{free_port()}"
        done = self.site.run("ps", "--insecure")
        self.assertEqual(done.code, 3, done.err)
        self.assertIn(self.site.url, done.err)
        self.assertIn("cashet-broker", done.err)

    def test_insecure_broker_takes_peers_without_keys_and_warns(self):
        broker = self.site.broker("--insecure", listen="tcp")
        self.site.worker()
        self.assert_counts(self.site.submit(self.site.write("e.yaml", ECHO)), executed=1)
        self.assertIn("insecure", broker.text())
        self.assertTrue(self.site.run("broker", "status", "--json").json["insecure"])

    def refused(self):
        return self.site.run("broker", "status", "--json").json["refused_messages"]

    def test_garbage_from_a_stranger_has_no_effect_on_others(self):
        self.site.broker("--insecure", listen="tcp")
        self.site.worker()
        before = self.refused()
        host, port = self.site.url[len("tcp://"):].split(":")
        greeting = b"\xff" + b"\0" * 8 + b"\x7f\x03\x00NULL" + b"\0" * 16 + b"\0" + b"\0" * 31
        for body in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 200, b"\0" * 64):
            with contextlib.suppress(ConnectionError), \
                    socket.create_connection((host, int(port))) as s:
                s.sendall(body)
        ready = b"\x04\x1a\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
        for offset in (0, 1):
            for body in (b"", b"\0", os.urandom(300), b"\xff" * 2000, b"\x52\x7f" + b"\x0a" * 90):
                with contextlib.suppress(ConnectionError), \
                        socket.create_connection((host, int(port) + offset)) as s:
                    s.sendall(greeting + ready)
                    s.sendall(b"\x02" + struct.pack(">Q", len(body)) + body)
                    s.sendall(b"\x02" + struct.pack(">Q", 1 << 40))
            with contextlib.suppress(ConnectionError), \
                    socket.create_connection((host, int(port) + offset)) as s:
                s.sendall(os.urandom(4096))
        self.assert_counts(self.site.submit(self.site.write("e.yaml", ECHO)), executed=1)
        # what libzmq did not let through is counted too, once it cannot be a handshake any more
        until(lambda: self.refused() >= before + 3, "three strangers to be counted")

    def test_more_work_than_workers_waits_for_one(self):
        self.site.broker()
        submit = self.site.start_submit(self.site.write("e.yaml", ECHO))
        until(lambda: self.site.run("ps", "--json").json["batches"], "the batch to wait")
        self.site.worker()
        self.assert_counts(submit.finish(), executed=1)

    def test_gpus_are_handed_out_by_index(self):
        self.site.broker()
        self.site.worker("node-1", 4, "--gpus", "4,7")
        file = self.site.write("g.yaml", """
version: 1
tasks:
  t:
    run: "echo $CUDA_VISIBLE_DEVICES; echo >> %s; while test $(wc -l < %s) -lt 2; do sleep 0.05; done"
    env: {X: "${p.x}"}
    resources: {gpus: 1}
    sweep: {params: {x: [1, 2, 3, 4]}}
""" % (self.site.path("began"), self.site.path("began")))
        result = self.site.submit(file)
        seen = {self.site.run("get", f"{result['batch']}:{i}").out.strip() for i in range(4)}
        self.assertEqual(seen, {"4", "7"})

    def test_priority_goes_first(self):
        self.site.broker()
        ran = self.site.path("ran")
        file = self.site.write("p.yaml", f"""
version: 1
tasks:
  low: {{run: "echo low >> {ran}", sweep: {{params: {{x: [1, 2, 3]}}}}, env: {{X: "${{p.x}}"}}}}
  high: {{run: "echo high >> {ran}", priority: 5}}
""")
        submit = self.site.start_submit(file)
        until(lambda: self.site.run("ps", "--json").json["batches"], "the batch to wait")
        self.site.worker("node-1", 1)
        submit.finish()
        self.assertEqual(self.site.read("ran").splitlines()[0], "high")


if __name__ == "__main__":
    main()

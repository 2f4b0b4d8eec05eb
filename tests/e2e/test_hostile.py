"""Peers that have said Hello and then lie, babble, flood, or do not listen: the broker stays up and bounded,
refuses and counts, and nobody else notices."""

import os
import random
import socket
import time
import unittest

import zmtp
from harness import SiteTest, main, until
from zmtp import Fixed, Peer, pb

ECHO = "version: 1\ntasks: {t: {run: [echo, '%s']}}\n"
FOREVER = (1 << 64) - 1


def mutations(dice, corpus, count):
    """`count` messages, each one of the corpus with something wrong about it."""
    for _ in range(count):
        message = bytearray(dice.choice(corpus))
        for _ in range(dice.choice((1, 1, 2, 5))):
            at = dice.randrange(len(message) + 1)
            match dice.randrange(7):
                case 0 if message:
                    message[at % len(message)] ^= 1 << dice.randrange(8)
                case 1:
                    del message[at:]
                case 2:
                    message[at:at] = os.urandom(dice.randrange(1, 9))
                case 3:
                    message[at:at] = zmtp.varint(dice.choice((FOREVER, 1 << 31, 1 << 32, 0)))
                case 4:
                    del message[at:at + dice.randrange(1, 40)]
                case 5:
                    message += dice.choice(corpus)
                case 6:
                    piece = message[at:at + dice.randrange(1, 40)]
                    message[at:at] = bytes(piece) * dice.randrange(1, 30)
        # what an admin may really ask for is not what this is about
        if zmtp.varint(zmtp.DRAIN_REQUEST << 3 | 2) not in message:
            yield bytes(message)


class Hostile(SiteTest):
    def setUp(self):
        super().setUp()
        self.process = self.site.broker()
        self.worker = self.site.worker()
        self.seed = int(os.environ.get("CASHET_TEST_SEED", random.randrange(1 << 32)))
        print(f"seed {self.seed}", flush=True)
        self.dice = random.Random(self.seed)

    def peer(self, **options):
        peer = Peer(self.site.url, **options)
        self.addCleanup(peer.close)
        return peer

    def status(self):
        done = self.site.run("broker", "status", "--json")
        self.assertEqual(done.code, 0, done.err + self.site.logs())
        return done.json

    def assert_unharmed(self):
        self.assertTrue(self.process.running(), self.process.text()[-8000:])
        file = self.site.write("echo.yaml", ECHO % random.random())
        self.assert_counts(self.site.submit(file), executed=1)
        self.assertTrue(self.worker.running(), self.worker.text()[-8000:])

    def rss(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) << 10 for line in f if line.startswith("VmRSS"))

    def babble(self, corpus, count, again):
        """Send mutations; after a hang-up, or when the broker forgot the peer, again() makes a new one."""
        peer = again()
        for i, message in enumerate(mutations(self.dice, corpus, count)):
            try:
                peer.send(message)
                if i % 50 == 49:
                    peer.say(zmtp.PING, pb((1, i)), serial=1 << 40)
                    if peer.hear(zmtp.PONG, zmtp.ERROR)[0] == zmtp.ERROR and i % 500 == 499:
                        raise ConnectionError
            except (ConnectionError, socket.timeout):
                peer.close()
                peer = again()

    def chunk(self, **more):
        """A valid batch of one command task, as its function bytes are made by libcashet."""
        return pb((1, os.urandom(16)), (2, 0), (3, pb((1, "b"))), (4, pb((1, 1))),
                  (5, pb((1, b"\x80"), (2, "t"), (3, 0))), (7, pb((1, 0), (2, b"\xa0"))),
                  (8, 1), (10, 1))

    def client_corpus(self):
        batch = pb((1, os.urandom(4)))
        bodies = [
            (zmtp.SUBMIT_CHUNK, self.chunk()),
            (zmtp.SUBMIT_CHUNK, pb((1, os.urandom(16)), (2, 0), *[
                (7, pb((1, 0), (2, b"\xa0" + bytes(40)), (3, pb((1, 2), (3, i + 1), (4, i))),
                       (4, bytes([i, i + 1])))) for i in range(8)],
                (6, pb((1, pb((1, 0), (2, 8), (3, 2))), (2, 1))), (8, 1))),
            (zmtp.SUBMIT_CHUNK, pb((1, os.urandom(16)), (2, 1), (9, 1))),
            (zmtp.WATCH, pb((1, batch), (3, 64))), (zmtp.WATCH, pb((1, b""), (3, 64))),
            (zmtp.PROGRESS_ACK, pb((1, os.urandom(32)))),
            (zmtp.RESULTS_QUERY, pb((1, b""), (2, 0), (3, 5), (4, 1))),
            (zmtp.RETRY, pb((1, batch), (2, os.urandom(16)))),
            (zmtp.CANCEL, pb((1, batch), (2, 1), (3, 7))),
            (zmtp.BATCHES_QUERY, pb((1, 10), (2, 1), (3, batch), (4, 1))),
            (zmtp.LOG_READ, pb((1, b""), (2, 0), (4, 0), (5, 1000))),
            (zmtp.COMMIT_QUERY, pb((1, os.urandom(3)), (2, 1))),
            (zmtp.STATUS_QUERY, b""), (zmtp.WORKERS_QUERY, b""), (zmtp.PONG, pb((1, 5))),
        ]
        return [pb((1, 7), body) for body in bodies]

    def worker_corpus(self, lease=None):
        lease = lease or pb((1, os.urandom(32)), (2, 3), (3, Fixed(1 << 32 | 5)), (4, bytes(32)),
                            (5, bytes(32)), (7, os.urandom(32)), (8, bytes(16)))
        content = pb((1, 1), (2, os.urandom(32)), (3, 5))
        outcome = pb((1, lease), (2, 0), (5, 1000), (10, content), (11, content),
                     (12, pb((1, "o"), (2, "o"), (3, content))), (13, pb((1, "m"), (2, 1), (3, "x"))),
                     (14, pb((1, b"hello"))))
        bodies = [(zmtp.RESULTS, pb((1, outcome), (2, 4)))] * 4 + [
            (zmtp.RESULTS, pb(*[(1, outcome)] * 20)),
            (zmtp.RESULTS, pb((1, pb((1, lease), (2, 3), (15, bytes(32)))))),
            (zmtp.HEARTBEAT, pb((1, b"".join(bytes([i] * 8) for i in range(9))), (2, 1 << 31))),
            (zmtp.HANDBACK, pb((1, lease), (2, 1), (3, "no"))),
            (zmtp.FUNCTION_QUERY, pb((1, os.urandom(32)))),
            (zmtp.LOG_DATA, pb((1, b"x" * 100), (3, 1), (8, 1 << 32))),
            (zmtp.WORKER_HELLO, pb((1, pb((1, "trap"), (2, 1000))), (3, 1), (4, pb((1, lease), (2, 1))))),
        ]
        return [pb((1, 7), body) for body in bodies]

    def test_babble_of_a_client(self):
        def again():
            peer = self.peer()
            peer.hello()
            return peer

        before = self.status()
        self.babble(self.client_corpus(), 3000, again)
        self.assert_unharmed()
        self.assertGreater(self.status()["refused_messages"], before["refused_messages"] + 100)

    def test_babble_of_a_worker(self):
        def again():
            peer = self.peer()
            peer.join(("trap", 1000))
            return peer

        before = self.status()
        self.babble(self.worker_corpus(), 3000, again)
        self.assert_unharmed()
        after = self.status()
        self.assertGreater(after["refused_messages"], before["refused_messages"] + 100)

    def test_babble_on_the_blob_socket(self):
        digest = os.urandom(32)
        corpus = [pb((1, stream), (2, kind), *more) for stream in (1, 2, FOREVER) for kind, *more in (
            (zmtp.B_HAVE, (7, digest), (7, digest)), (zmtp.B_PUT, (3, 5)), (zmtp.B_PUT, (3, FOREVER)),
            (zmtp.B_DATA, (4, 0)), (zmtp.B_END, (3, digest)), (zmtp.B_GET, (3, digest), (6, 1 << 20)),
            (zmtp.B_CREDIT, (6, FOREVER)), (zmtp.B_CREDIT, (6, 0)), (zmtp.B_CANCEL,), (zmtp.B_OK,))]

        def again():
            peer = self.peer(blobs=True)
            peer.send(pb((2, zmtp.B_HELLO), (9, peer.hello_body())))
            return peer

        peer = again()
        for i, message in enumerate(mutations(self.dice, corpus, 3000)):
            try:
                if i % 3:
                    peer.send(message)
                else:
                    peer.send(message, os.urandom(self.dice.choice((0, 5, 5000))))
                if i % 100 == 99:
                    peer.close()
                    peer = again()
            except (ConnectionError, socket.timeout):
                peer = again()
        self.assert_unharmed()
        self.site.write("big", os.urandom(1 << 20))
        file = self.site.write("b.yaml", "version: 1\ntasks: {t: {run: 'wc -c < ${inputs.b}', "
                               "inputs: {b: {file: big}}}}\n")
        self.assert_counts(self.site.submit(file), executed=1)

    def trap(self):
        """A worker of ours holds the lease of a task that only it can run: (peer, lease, submit)."""
        peer = self.peer()
        peer.join(("trap", 1000), ("cpus", 1000), name="trap")
        file = self.site.write("trap.yaml", "version: 1\ntasks: {t: {run: [echo, trap], "
                               "resources: {trap: 1}}}\n")
        submit = self.site.start_submit(file)
        assign = peer.hear(zmtp.ASSIGN)[1]
        lease = zmtp.unpb(assign[1][0])[1][0]
        return peer, lease, submit

    def result(self, lease):
        return pb((1, pb((1, lease), (2, 0))))

    def test_lease_of_another_is_refused(self):
        _, lease, submit = self.trap()
        before = self.status()["refused_results"]
        thief = self.peer()
        thief.join(("other", 1000), name="thief")
        thief.say(zmtp.RESULTS, self.result(lease), 5)
        acks = thief.hear(zmtp.RESULT_ACKS)[1]
        self.assertEqual(zmtp.unpb(acks[1][0]).get(2), [1], "STALE")
        thief.say(zmtp.HANDBACK, pb((1, lease)), 6)
        thief.say(zmtp.HEARTBEAT, pb((1, zmtp.unpb(lease)[3][0])), 7)
        claim = self.peer()
        claim.join(("other", 1000), name="claimer", claims=[pb((1, lease), (2, 1), (3, 1))])
        until(lambda: self.status()["refused_results"] > before, "the refusal to be counted")
        self.assertTrue(submit.running())
        self.assert_unharmed()

    def test_babble_about_a_lease_that_is_held(self):
        peer, lease, submit = self.trap()

        def again():
            nonlocal peer
            peer.close()
            peer = self.peer()
            peer.join(("trap", 1000), ("cpus", 1000), name="trap")
            return peer

        self.babble(self.worker_corpus(lease), 1500, again)
        self.assert_unharmed()

    def test_wrong_role_is_refused_and_counted(self):
        client, worker = self.peer(), self.peer()
        client.hello()
        worker.hello(zmtp.WORKER)
        before = self.status()["refused_messages"]
        for peer, what in ((client, zmtp.RESULTS), (client, zmtp.WORKER_HELLO), (worker, zmtp.CANCEL),
                           (worker, zmtp.RESULTS), (worker, zmtp.SUBMIT_CHUNK), (client, zmtp.ASSIGN),
                           (client, zmtp.WELCOME)):
            peer.say(what, b"", 9)
            self.assertIn(zmtp.unpb(peer.recv()[0]).get(1), ([9], None), what)
        self.assertEqual(self.status()["refused_messages"], before + 7)
        self.assert_unharmed()

    def test_client_that_never_reads_is_dropped_and_costs_little(self):
        deaf = self.peer(receive_buffer=4096)
        deaf.hello()
        self.status()
        before = self.rss()
        deaf.s.settimeout(0.5)
        asked = 0
        end = time.monotonic() + 5
        try:
            while asked < 60000 and time.monotonic() < end:
                deaf.say(zmtp.STATUS_QUERY, b"", 1 + asked)
                asked += 1
        except (socket.timeout, ConnectionError):
            pass
        until(lambda: self.status()["clients"] <= 1, "the deaf client to be dropped")
        self.assertLess(self.rss() - before, 64 << 20)
        self.assert_unharmed()

    def test_unfinished_batches_are_bounded_and_forgotten(self):
        peer = self.peer()
        peer.hello()
        for i in range(2000):
            peer.say(zmtp.SUBMIT_CHUNK, pb((1, os.urandom(16)), (2, 0), (3, pb((1, "b")))), i + 1)
            if i % 20 < 19:
                continue
            try:
                peer.say(zmtp.PING, pb((1, i)), 1 << 40)
                peer.hear(zmtp.PONG)
            except (ConnectionError, socket.timeout):  # too slow: what was durable late came at once
                peer.close()
                peer = self.peer()
                peer.hello()
        peer.close()
        self.assertEqual(self.site.run("ps", "-a", "--json").json["batches"], [])
        self.assert_unharmed()


if __name__ == "__main__":
    main()

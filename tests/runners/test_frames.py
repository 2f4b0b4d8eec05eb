"""Frames and arguments that are not as docs/runners.md says: the runner ends with 70, says why, and runs nothing.

The decoders are fuzzed in this process, thousands of times; whole runners with what a broken worker could send.
The seed is printed if a case fails; CASHET_SEED repeats it."""

import os
import random
import socket
import struct
import sys
import threading
import unittest

from driver import FILE, JSON, TIMEOUT_S, Ref, Worker, arguments, list_of, outputs, text16, text32, value
from runner import PROGRAM, RunnerTest

sys.path.insert(0, os.path.dirname(PROGRAM))
from cashet_runner.arguments import Reader, Unusable  # noqa: E402
from cashet_runner.channel import CALL, Channel, Ended, Malformed  # noqa: E402

SEED = int(os.environ.get("CASHET_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
MALFORMED = 70

ARGUMENTS = [arguments(*case) for case in [
    ([], {}), ([1, -1, 1 << 40, 0.5, -0.0, 0.1, float("nan"), None, True], {}), (["text", b"bytes" * 10], {"k": [1, {"a": {}}]}),
    ([[[[[]]]], {"a": 1, "b": 2, "cc": 3}], {"x": 1, "yy": 2}), (list(range(300)), {"n" * 30: "x" * 300})]]
WRONG_ARGUMENTS = [  # what is not deterministic CBOR, or no argument
    b"", b"\x83", b"\x83\x02\x80", b"\x83\x01\x80\xa0", b"\x82\x02\x80", b"\x84\x02\x80\xa0\x00", b"\x83\x02\x80\xa0\x00",
    b"\x83\x02\x9f\xff\xa0", b"\x83\x02\x81\x18\x17\xa0", b"\x83\x02\x81\x19\x00\xff\xa0", b"\x83\x02\x98\x00\xa0",
    b"\x83\x02\x81\x1b" + b"\xff" * 8 + b"\xa0", b"\x83\x02\x81\x3b" + b"\xff" * 8 + b"\xa0", b"\x83\x02\x81\x61\xff\xa0",
    b"\x83\x02\x81\xf7\xa0", b"\x83\x02\x81\xf8\x20\xa0", b"\x83\x02\x81\xfa\x3f\x00\x00\x00\xa0",
    b"\x83\x02\x81\xfb\x3f\xe0" + b"\0" * 6 + b"\xa0", b"\x83\x02\x81\xf9\x7e\x01\xa0", b"\x83\x02\x81\xfa\x7f\xc0\0\0\xa0",
    b"\x83\x02\x81\xc0\x01\xa0", b"\x83\x02\x81\x80\xa0", b"\x83\x02\x81\x81\x05\xa0", b"\x83\x02\x81\x82\x02\x01\xa0",
    b"\x83\x02\x81\x82\x02\xa2\x61b\x01\x61a\x01\xa0", b"\x83\x02\x81\x82\x02\xa2\x61a\x01\x61a\x01\xa0", b"\x83\x02\x80\xa1\x01\x01",
    b"\x83\x02\x81" + b"\x82\x01" * 40 + b"\x01\xa0", b"\x83\x02\x81\xa0\xa0", b"\x83\x02\x9b" + b"\xff" * 8,
    b"\x83\x02\x81\x82\x03\x41\x01\xa0", b"\x83\x02\x81\x82\x03" + value(b"\x01" * 33) + b"\xa0",
    b"\x83\x02\x81\x83\x04\x61x" + value(b"\x01" * 33) + b"\xa0", b"\x83\x02\x81\x83\x04\x01" + value(b"\x01" * 33) + b"\xa0",
    b"\x83\x02\x81\x5b\x7f" + b"\xff" * 7 + b"\xa0"]


def frame(letter, body):
    return struct.pack("<I", 1 + len(body)) + letter + body


def spoilt(rng, data):
    """@data with something else somewhere."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(len(data) + 1) if data else 0
        what = rng.randrange(5)
        if what == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif what == 1:
            data[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif what == 2:
            del data[at:at + rng.randrange(1, 9)]
        elif what == 3 and at < len(data):
            data[at] = rng.choice((0, 1, 0x7f, 0x80, 0xff))
        else:
            data[at:at + 4] = struct.pack("<I", rng.choice((0, 1, 0xffffffff, 0x7fffffff, rng.randrange(1 << 32))))
    return bytes(data)


class Decoders(unittest.TestCase):
    def setUp(self):
        self.rng = random.Random(SEED)

    def read(self, data):
        return Reader(data, [], [], None, None).arguments()

    def test_arguments_are_read_whole_or_not_at_all(self):
        for data in ARGUMENTS:
            for end in range(len(data)):
                with self.assertRaises(Malformed, msg=(data, end)):
                    self.read(data[:end])
            args, kwargs = self.read(data)
            self.assertEqual(arguments(args, kwargs), data)

    def test_what_no_client_writes_is_refused(self):
        for data in WRONG_ARGUMENTS:
            with self.assertRaises(Malformed, msg=data):
                self.read(data)

    def test_spoilt_arguments_are_refused_or_say_what_they_are(self):
        accepted = 0
        for n in range(12000):
            data = spoilt(self.rng, self.rng.choice(ARGUMENTS))
            try:
                found = self.read(data)
            except Malformed:
                continue
            except Exception as e:
                raise AssertionError(f"seed {SEED}, case {n}: {data!r}") from e
            self.assertEqual(arguments(*found), data, f"seed {SEED}, case {n}")
            accepted += 1
        self.assertGreater(accepted, 100)

    def test_spoilt_manifests_and_lists_are_refused(self):
        member = Ref(FILE, b"bytes")
        rows = [(FILE, member.digest, 5, 0, b"bytes")]
        for whole in (list_of(member, member), outputs(a=member, b=member)):
            for n in range(3000):
                data = spoilt(self.rng, whole.data)
                blobs = rows + [(whole.kind, whole.digest, len(data), 0, data)]
                try:
                    found = Reader(b"", blobs, [], None, None).reference(bytes((whole.kind,)) + whole.digest)
                except (Malformed, Unusable):
                    continue
                except Exception as e:
                    raise AssertionError(f"seed {SEED}, case {n}: {data!r}") from e
                self.assertIn(type(found), (list, dict))

    def test_spoilt_calls_are_refused_or_have_all_their_parts(self):
        calls = [call_body(), call_body(args=arguments([1], {"k": "v"}), name=b"x" * 300, directory=b"/d/e"),
                 call_body(blobs=[struct.pack("<B32sQB", JSON, b"d" * 32, 3, 0) + b"123",
                                  struct.pack("<B32sQB", FILE, b"e" * 32, 9, 2) + text32(b"/x/y")])]
        ours, theirs = socket.socketpair()
        fd = os.dup(ours.fileno())
        ours.close()
        channel = Channel(fd)
        self.addCleanup(channel.close)
        self.addCleanup(theirs.close)
        good = 0
        for n in range(6000):
            body = spoilt(self.rng, self.rng.choice(calls)) if n else calls[2]
            theirs.sendall(frame(b"C", body))
            kind, at, end = channel.frame()
            self.assertEqual((kind, end - at), (ord("C"), len(body)))
            try:
                call = channel.call(at, end)
            except Malformed:
                continue
            except Exception as e:
                raise AssertionError(f"seed {SEED}, case {n}: {body!r}") from e
            good += 1
            self.assertEqual(call_of(call), body, f"seed {SEED}, case {n}")
        self.assertGreater(good, 100)

    def test_frames_come_in_any_pieces(self):
        ours, theirs = socket.socketpair()
        fd = os.dup(ours.fileno())
        ours.close()
        channel = Channel(fd)
        self.addCleanup(channel.close)
        bodies = [self.rng.randbytes(self.rng.choice((0, 1, 8, 100, 5000, 300000))) for _ in range(60)]
        stream = b"".join(frame(b"X", body) for body in bodies)
        sizes = [self.rng.choice((1, 3, 50, 4000, 70000)) for _ in range(1000)]

        def send():
            at = 0
            while at < len(stream):
                at += theirs.send(stream[at:at + sizes[at % len(sizes)]])
            theirs.close()
        sender = threading.Thread(target=send)
        sender.start()
        for body in bodies:
            _, start, end = channel.frame()
            self.assertEqual(bytes(channel.buffer[start:end]), body)
        sender.join()
        with self.assertRaises(Ended):
            channel.frame()


def call_body(load=1, args=b"\x83\x02\x80\xa0", name=b"train", directory=b"", blobs=(), isolation=0):
    return struct.pack("<QIII32sB", 7, load, 0, 1, b"b" * 32, isolation) + text16(name) + text32(directory) + \
        text32(args) + struct.pack("<I", len(blobs)) + b"".join(blobs)


def call_of(call):
    """The body that a Call was read from."""
    rows = []
    for row in call.blobs:
        start = struct.pack("<B32sQB", *row[:4])
        rows.append(start + (row[4] if row[3] == 0 else text32(row[4])))
    return CALL.pack(call.id, call.load, call.index, call.attempt, call.batch, call.isolation, len(call.name)) + call.name + \
        text32(call.directory) + text32(call.args) + struct.pack("<I", len(rows)) + b"".join(rows)


class Runners(RunnerTest):
    """Each case has a runner of its own, which has answered one call; nothing of the case may run."""

    def setUp(self):
        super().setUp()
        self.write({"s/train.py": "def f(*a, **k): open(%r, 'a').write('ran\\n')\n" % self.path("ran")})

    def ends(self, data, status=MALFORMED, descriptors=(), welcome=True, shut=False, pongs=0):
        worker = Worker(welcome=welcome)
        try:
            if welcome:
                load = worker.load(self.path("s"), name="f")
                self.assertEqual(worker.call(load).letter, "D")
                os.unlink(self.path("ran"))
            try:
                worker.raw(data, descriptors)
            except EOFError:
                pass  # it has ended before all was sent
            if shut:
                worker.socket.shutdown(socket.SHUT_WR)
            for _ in range(pongs):
                self.assertEqual(worker.frame()[0], b"O")
            self.assertIsNone(worker.frame())
            self.assertEqual(worker.process.wait(TIMEOUT_S), status, data[:100])
            if status == MALFORMED:
                with open(worker.path("err")) as err:
                    self.assertIn("cashet-runner-python: the worker sent ", err.read())
            self.assertFalse(os.path.exists(self.path("ran")), data[:100])
        finally:
            worker.close()

    def test_what_is_no_frame_ends_the_runner(self):
        call = frame(b"C", call_body())
        ref = Ref(FILE, b"abc")
        named = arguments([ref], {})
        row = struct.pack("<B32sQ", FILE, ref.digest, 3)
        cases = {
            "size 0": b"\0\0\0\0", "size beyond all": struct.pack("<I", (64 << 20) + 1) + b"C", "text": b"GET / HTTP/1.1\r\n\r\n",
            "unknown type": frame(b"Z", b""), "second welcome": frame(b"W", b"{}"), "short ping": frame(b"P", b"1234"),
            "long quit": frame(b"Q", b"x"), "answer": frame(b"D", b"x" * 60), "empty call": frame(b"C", b""),
            "call with a tail": frame(b"C", call_body() + b"x"), "call of no load": frame(b"C", call_body(load=99)),
            "isolation 2": frame(b"C", call_body(isolation=2)), "name with a null": frame(b"C", call_body(name=b"a\0b")),
            "arguments of another scheme": frame(b"C", call_body(args=b"\x83\x01\x80\xa0")),
            "no arguments": frame(b"C", call_body(args=b"")), "load of nothing": frame(b"L", b""),
            "load without JSON": frame(b"L", b"\x01\0\0\0{"), "load of a list": frame(b"L", b"\x01\0\0\0[]"),
            "load of a number": frame(b"L", b'\x01\0\0\0{"dir": 1, "path": "a", "name": "b"}'),
            "load of no folder": frame(b"L", b'\x01\0\0\0{"dir": "a", "path": "a", "name": "b"}'),
            "packages": frame(b"L", b'\x01\0\0\0{"dir": "/a", "path": "a", "name": "b", "packages": [1]}'),
            "missing blob": frame(b"C", call_body(args=named)),
            "cut blob": frame(b"C", call_body(args=named, blobs=[row + b"\0ab"])),
            "blob nowhere": frame(b"C", call_body(args=named, blobs=[row + b"\x03"])),
            "no descriptor": frame(b"C", call_body(args=named, blobs=[row + struct.pack("<BIQ", 1, 0, 0)])),
            "crooked offset": frame(b"C", call_body(args=named, blobs=[row + struct.pack("<BIQ", 1, 0, 1)])),
            "many blobs": frame(b"C", call_body()[:-4] + b"\xff" * 4),
        }
        for name, data in cases.items():
            with self.subTest(name):
                self.ends(data + call)

    def test_isolation_by_fork_is_no_way_around(self):
        self.ends(frame(b"C", call_body(args=b"\x83\x01\x80\xa0", isolation=1)))

    def test_a_stream_that_ends_within_a_frame(self):
        call = frame(b"C", call_body())
        for size in (1, 4, 5, 40, len(call) - 1):
            with self.subTest(size):
                self.ends(call[:size], shut=True)
        self.ends(b"", status=0, shut=True)

    def test_a_welcome_that_is_none(self):
        for data in [frame(b"C", call_body()), frame(b"W", b""), frame(b"W", b"[]"), frame(b"W", b'{"protocol": 2, "dir": "/tmp"}'),
                     frame(b"W", b'{"protocol": 1, "dir": "tmp", "inline_max": 1}'), frame(b"W", b'{"protocol": 1, "dir": "/tmp"}'),
                     frame(b"W", b"[" * 100000), frame(b"Q", b"")]:
            with self.subTest(data[:60]):
                self.ends(data, welcome=False)

    def test_random_streams_end_in_time(self):
        rng = random.Random(SEED)
        valid = [call_body(load=99), call_body(load=99, args=arguments([1, "x"], {"k": [2]}), isolation=1)]
        for n in range(12):
            data = b"".join(spoilt(rng, frame(b"C", rng.choice(valid))) for _ in range(5)) if n % 2 else rng.randbytes(500)
            with self.subTest(f"seed {SEED}, case {n}"):
                self.ends(data, shut=True)

    def test_descriptors_that_nobody_names(self):
        fd = os.open("/dev/null", os.O_RDONLY)
        self.addCleanup(os.close, fd)
        self.ends(frame(b"P", b"12345678"), descriptors=[fd] * 3, pongs=1)
        self.ends(frame(b"P", b"12345678"), descriptors=[fd] * 65)


if __name__ == "__main__":
    unittest.main()

"""Plays the worker for a runner: frames as docs/runners.md has them, over a socket pair; and what tests of serving
share."""

import array
import hashlib
import json
import os
import pickle
import resource
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from collections import namedtuple

from runner import PROGRAM, RunnerTest

FILE, EXEC, TREE, LIST, RESULT, EXTERN, JSON, PICKLE = 1, 2, 3, 4, 5, 6, 8, 9
Answer = namedtuple("Answer", "letter id kind value error out err duration cpu")
BOTH = SHARED, FORK = 0, 1
TIMEOUT_S = 120  # nothing here takes long; a runner that hangs fails its test


class Ref:
    """A reference in arguments."""

    def __init__(self, kind, data, where="inline", path=None):
        self.kind, self.data, self.where, self.path = kind, data, where, path
        self.digest = hashlib.sha256(data).digest()


class File:
    """A `file` argument: a path that ends in its name."""

    def __init__(self, path):
        self.path, self.name = path, os.path.basename(path)
        self.digest = hashlib.sha256(path.encode()).digest()


def head(major, n):
    if n < 24:
        return bytes((major << 5 | n,))
    for code, form in ((24, ">B"), (25, ">H"), (26, ">I"), (27, ">Q")):
        if n < 1 << 8 * struct.calcsize(form):
            return bytes((major << 5 | code,)) + struct.pack(form, n)
    raise ValueError(n)


def value(v):
    """A value of call_args.h."""
    if v is None:
        return b"\xf6"
    if isinstance(v, bool):
        return b"\xf5" if v else b"\xf4"
    if isinstance(v, int):
        return head(0, v) if v >= 0 else head(1, -1 - v)
    if isinstance(v, float):
        if v != v:
            return b"\xf9\x7e\x00"
        for code, form in ((b"\xf9", ">e"), (b"\xfa", ">f")):
            try:
                if struct.unpack(form, struct.pack(form, v))[0] == v:
                    return code + struct.pack(form, v)
            except OverflowError:
                pass
        return b"\xfb" + struct.pack(">d", v)
    if isinstance(v, str):
        return head(3, len(v.encode())) + v.encode()
    if isinstance(v, bytes):
        return head(2, len(v)) + v
    if isinstance(v, list):
        return head(4, 1 + len(v)) + b"\x01" + b"".join(map(value, v))
    if isinstance(v, dict):
        return b"\x82\x02" + mapping(v)
    if isinstance(v, Ref):
        return b"\x82\x03" + value(bytes((v.kind,)) + v.digest)
    if isinstance(v, File):
        return b"\x83\x04" + value(v.name) + value(bytes((FILE,)) + v.digest)
    raise TypeError(v)


def mapping(v):
    pairs = sorted(((value(k), value(item)) for k, item in v.items()), key=lambda p: (len(p[0]), p[0]))
    return head(5, len(v)) + b"".join(k + item for k, item in pairs)


def arguments(args, kwargs):
    return b"\x83\x02" + head(4, len(args)) + b"".join(map(value, args)) + mapping(kwargs)


def references(v):
    """All Refs and Files in arguments, those behind lists too."""
    if isinstance(v, (Ref, File)):
        yield v
        for member in getattr(v, "members", ()):
            yield from references(member)
    elif isinstance(v, (list, tuple)):
        for item in v:
            yield from references(item)
    elif isinstance(v, dict):
        for item in v.values():
            yield from references(item)


def list_of(*refs):
    found = Ref(LIST, b"".join(bytes((r.kind,)) + r.digest for r in refs))
    found.members = refs
    return found


def outputs(**refs):
    rows = [head(4, 5) + value(name) + value("out/" + name) + value(ref.kind) + value(len(ref.data)) +
            value(ref.digest) for name, ref in sorted(refs.items())]
    found = Ref(RESULT, b"\x83" + value("cashet.result") + b"\x01" + head(4, len(rows)) + b"".join(rows))
    found.members = list(refs.values())
    return found


def text16(data):
    return struct.pack("<H", len(data)) + data


def text32(data):
    return struct.pack("<I", len(data)) + data


class Worker:
    """One runner process in a folder of its own."""

    def __init__(self, inline_max=65536, python=None, env=None, welcome=True, fresh=(), command=None,
                 descriptors=None):
        self.dir = os.path.realpath(tempfile.mkdtemp(prefix="cashet-serve-"))
        for name in ("task", "tmp", "checkpoint", "results"):
            os.mkdir(os.path.join(self.dir, name))
        self.socket, other = socket.socketpair()
        self.socket.settimeout(TIMEOUT_S)
        env = dict({"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"),
                    "TMPDIR": os.path.join(self.dir, "tmp")}, **(env or {}))
        limit = None if descriptors is None else (
            lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors)))
        with open(self.path("out"), "ab") as out, open(self.path("err"), "ab") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c",
                 "import os, sys; n = int(sys.argv[1]); n == 3 or (os.dup2(n, 3), os.close(n)); os.execv(sys.argv[2], sys.argv[2:])",
                 str(other.fileno()), *(command or [python or sys.executable, "-I", "-S", PROGRAM]), "serve"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=self.dir, env=env,
                pass_fds=[other.fileno()], start_new_session=True, preexec_fn=limit)
        other.close()
        self.buffer = b""
        self.calls = self.loads = 0
        if welcome:
            self.send(b"W", json.dumps({"protocol": 1, "dir": self.dir, "inline_max": inline_max}).encode())
            letter, body = self.frame()
            assert letter == b"R", (letter, body)
            self.ready = json.loads(body)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def close(self):
        """Ends it. Return: its exit status."""
        self.socket.close()
        status = self.process.wait(TIMEOUT_S)
        shutil.rmtree(self.dir, ignore_errors=True)
        return status

    # ---- frames ----

    def raw(self, data, descriptors=()):
        while data:
            if descriptors:
                rights = array.array("i", descriptors)
                sent = self.socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
                descriptors = ()
            else:
                try:
                    sent = self.socket.send(data)
                except BrokenPipeError:
                    self.gone()
            data = data[sent:]

    def send(self, letter, body=b"", descriptors=()):
        self.raw(struct.pack("<I", 1 + len(body)) + letter + body, descriptors)

    def load(self, folder, path="train.py", name="train", **more):
        self.loads += 1
        row = dict({"source": "00" * 32, "dir": folder, "path": path, "module": None, "name": name}, **more)
        self.send(b"L", struct.pack("<I", self.loads) + json.dumps(row).encode())
        return self.loads

    def frame(self):
        """(letter, body) of the next frame; None at the end of the stream."""
        while len(self.buffer) < 4 or len(self.buffer) < 4 + struct.unpack_from("<I", self.buffer)[0]:
            try:
                data = self.socket.recv(1 << 20)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self.buffer += data
        size = 4 + struct.unpack_from("<I", self.buffer)[0]
        found, self.buffer = self.buffer[:size], self.buffer[size:]
        return found[4:5], found[5:]

    def call_body(self, load, args=(), kwargs=None, isolation=0, task="train", directory="", index=0, attempt=1,
                  encoded=None, id_=None):
        """(body, descriptors to send with it)."""
        self.calls += 1
        args = list(args)
        rows, descriptors, seen = [], [], set()
        for ref in references([args, kwargs or {}]):
            if isinstance(ref, File):
                rows.append(struct.pack("<B32sQB", FILE, ref.digest, 0, 2) + text32(ref.path.encode()))
                continue
            if (ref.kind, ref.digest) in seen:
                continue
            seen.add((ref.kind, ref.digest))
            row = struct.pack("<B32sQ", ref.kind, ref.digest, len(ref.data))
            if ref.path is not None:
                rows.append(row + b"\x02" + text32(ref.path.encode()))
            elif ref.where == "inline":
                rows.append(row + b"\x00" + ref.data)
            else:  # at an offset, in a descriptor
                with tempfile.TemporaryFile() as f:
                    f.write(b"\0" * 4096 + ref.data)
                    f.flush()
                    descriptors.append(os.dup(f.fileno()))
                rows.append(row + struct.pack("<BIQ", 1, len(descriptors) - 1, 4096))
        encoded = arguments(args, kwargs or {}) if encoded is None else encoded
        return struct.pack("<QIII32sB", self.calls if id_ is None else id_, load, index, attempt, b"\xab" * 32, isolation) + \
            text16(task.encode()) + text32(directory.encode()) + text32(encoded) + \
            struct.pack("<I", len(rows)) + b"".join(rows), descriptors

    def call(self, load, *args, isolation=0, kwargs=None, **more):
        """Calls, and waits for the answer."""
        self.begin(load, *args, isolation=isolation, kwargs=kwargs, **more)
        return self.answer()

    def begin(self, load, *args, isolation=0, kwargs=None, **more):
        body, descriptors = self.call_body(load, args, kwargs, isolation, **more)
        self.send(b"C", body, descriptors)
        for fd in descriptors:
            os.close(fd)

    def answer(self):
        found = self.frame()
        if found is None:
            self.gone()
        return self.read(*found)

    def gone(self):
        with open(self.path("err"), errors="replace") as err:
            raise EOFError("the runner ended with %d: %s" % (self.process.wait(TIMEOUT_S), err.read()))

    def read(self, letter, body):
        if letter == b"D":
            id_, kind, duration, cpu = struct.unpack_from("<QBQQ", body)
            data, at = self.part(body, 25)
            out, at = self.part(body, at)
            err, at = self.part(body, at)
            assert at == len(body), (at, body)
            return Answer("D", id_, kind, data, None, out, err, duration, cpu)
        assert letter == b"E", (letter, body)
        id_, duration, cpu = struct.unpack_from("<QQQ", body)
        out, at = self.part(body, 24)
        err, at = self.part(body, at)
        size, = struct.unpack_from("<I", body, at)
        assert at + 4 + size == len(body)
        error = json.loads(body[at + 4:])
        return Answer("E", id_, None, None, error, out, err, duration, cpu)

    def part(self, body, at):
        if body[at] == 0:
            size, = struct.unpack_from("<I", body, at + 1)
            return body[at + 5:at + 5 + size], at + 5 + size
        assert body[at] == 1
        size, length = struct.unpack_from("<QH", body, at + 1)
        name = body[at + 11:at + 11 + length].decode()
        path = self.path("results", name)
        assert os.path.getsize(path) == size, (name, size)
        with open(path, "rb") as f:
            data = f.read()
        os.unlink(path)
        return data, at + 11 + length


class ServeTest(RunnerTest):
    """One runner for all tests of a class, as long as it lives."""

    worker_ = None
    inline_max = 65536

    @property
    def worker(self):
        cls = type(self)
        if cls.worker_ is None:
            cls.worker_ = Worker(inline_max=cls.inline_max)
        return cls.worker_

    @classmethod
    def tearDownClass(cls):
        if cls.worker_ is not None:
            cls.worker_.close()
            cls.worker_ = None

    def ended(self):
        """The exit status of the runner, which ends by itself."""
        worker, type(self).worker_ = self.worker_, None
        self.assertIsNone(worker.frame())
        status = worker.process.wait(TIMEOUT_S)
        worker.close()
        return status

    def load(self, text, name="f", path="train.py", **files):
        """The number of a function in a source of its own."""
        self.sources = getattr(self, "sources", 0) + 1
        below = "source%d" % self.sources
        self.write(dict({path: text}, **{n.replace("__SLASH__", "/") + ".py": t for n, t in files.items()}), below)
        return self.worker.load(self.path(below), path, name)

    def call(self, load, *args, **more):
        return self.worker.call(load, *args, **more)

    def result(self, load, *args, **more):
        """The value of an answer that is good, whatever it was made into."""
        found = self.call(load, *args, **more)
        self.assertIsNone(found.error, found)
        self.assertEqual(found.kind in (FILE, JSON, PICKLE), True)
        if found.kind == JSON:
            return json.loads(found.value)
        return pickle.loads(found.value) if found.kind == PICKLE else found.value

    def error(self, load, *args, **more):
        found = self.call(load, *args, **more)
        self.assertEqual(found.letter, "E", found)
        return found.error

"""A peer that says what it likes: ZMTP 3 (NULL) and protobuf by hand, for the hostile tests."""

import os
import socket
import struct
import time

from harness import PATIENCE

GREETING = b"\xff" + b"\0" * 8 + b"\x7f\x03\x00NULL" + b"\0" * 16 + b"\0" + b"\0" * 31
CLIENT, WORKER = 0, 1

# Fields of Envelope.body (proto/cashet.proto)
HELLO, WELCOME, ERROR, PING, PONG, BYE = 10, 11, 12, 13, 14, 15
SUBMIT_CHUNK, SUBMIT_ACK, WATCH, PROGRESS, RESULTS_QUERY, RESULTS_PAGE = 20, 21, 22, 23, 24, 25
CANCEL, RETRY, DONE, BATCHES_QUERY, LOG_READ, LOG_DATA = 26, 27, 28, 29, 31, 32
STATUS_QUERY, STATUS, WORKERS_QUERY, DRAIN_REQUEST, PROGRESS_ACK, COMMIT_QUERY = \
    33, 34, 35, 37, 38, 39
WORKER_HELLO, ASSIGN, RESULTS, RESULT_ACKS, REVOKE, HEARTBEAT, HANDBACK = \
    50, 51, 52, 53, 54, 55, 56
FUNCTION_QUERY = 58
# BlobMessage.kind
B_HELLO, B_WELCOME, B_HAVE, B_HAVE_REPLY, B_PUT, B_DATA, B_END, B_GET, B_CREDIT, B_OK, B_ERROR, \
    B_CANCEL = range(12)


def varint(n):
    out = bytearray()
    n &= (1 << 64) - 1
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


class Fixed(int):
    """A fixed64 field."""


def pb(*fields):
    """A packed message of (number, value): ints, Fixed, bytes (also of a message inside), text."""
    out = b""
    for number, value in fields:
        if isinstance(value, Fixed):
            out += varint(number << 3 | 1) + struct.pack("<Q", value)
        elif isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def unpb(data):
    """{number: [values]} of a packed message."""
    fields, at = {}, 0

    def number():
        nonlocal at
        n = shift = 0
        while True:
            byte = data[at]
            at += 1
            n |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return n

    while at < len(data):
        tag = number()
        if tag & 7 == 0:
            value = number()
        elif tag & 7 == 1:
            value = Fixed(struct.unpack_from("<Q", data, at)[0])
            at += 8
        else:
            size = number()
            value = data[at:at + size]
            at += size
        fields.setdefault(tag >> 3, []).append(value)
    return fields


class Peer:
    """A DEALER on a raw socket. `url` is the broker's; blobs=True takes its blob socket."""

    def __init__(self, url, blobs=False, receive_buffer=None):
        if url.startswith("ipc://"):
            self.s = socket.socket(socket.AF_UNIX)
            address = url[len("ipc://"):] + (".blobs" if blobs else "")
        else:
            host, port = url[len("tcp://"):].split(":")
            self.s = socket.socket()
            address = (host, int(port) + blobs)
        if receive_buffer:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.s.settimeout(PATIENCE)
        self.s.connect(address)
        self.buffer = b""
        self.s.sendall(GREETING)
        self.take(64)
        ready = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
        self.s.sendall(b"\x04" + bytes([len(ready)]) + ready)
        self.frame()
        self.instance = os.urandom(32)

    def close(self):
        self.s.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- frames ----

    def take(self, size):
        while len(self.buffer) < size:
            data = self.s.recv(1 << 16)
            if not data:
                raise ConnectionError("the broker hung up")
            self.buffer += data
        out, self.buffer = self.buffer[:size], self.buffer[size:]
        return out

    def frame(self):
        flags = self.take(1)[0]
        size = struct.unpack(">Q", self.take(8))[0] if flags & 2 else self.take(1)[0]
        return flags, self.take(size)

    def send(self, *frames):
        out = b""
        for i, body in enumerate(frames):
            out += bytes([2 | (i + 1 < len(frames))]) + struct.pack(">Q", len(body)) + body
        self.s.sendall(out)

    def recv(self, end=float("inf")):
        """The next message, all its frames; commands (ZMTP heartbeats) are answered until @end."""
        frames = []
        while True:
            if time.monotonic() > end:
                raise socket.timeout("nothing but heartbeats")
            flags, body = self.frame()
            if flags & 4:
                if body.startswith(b"\x04PING"):
                    pong = b"\x04PONG" + body[7:]
                    self.s.sendall(b"\x04" + bytes([len(pong)]) + pong)
                continue
            frames.append(body)
            if not flags & 1:
                return frames

    # ---- the control socket ----

    def say(self, what, body=b"", serial=0):
        self.send(pb((1, serial), (what, body)))

    def hear(self, *wanted):
        """Skip messages until one of `wanted`; its (kind, fields). Heartbeats are no answer: not for ever."""
        end = time.monotonic() + PATIENCE
        while True:
            envelope = unpb(self.recv(end)[0])
            for kind in wanted:
                if kind in envelope:
                    return kind, unpb(envelope[kind][0])

    def hello_body(self, kind=CLIENT, name="stranger"):
        return pb((1, 1), (2, "0"), (3, self.instance), (4, name), (5, kind), (6, os.getpid()),
                  (7, "here"))

    def hello(self, kind=CLIENT, name="stranger"):
        self.say(HELLO, self.hello_body(kind, name))
        return self.hear(WELCOME)[1]

    def join(self, *capacity, name="stranger", credit=0, claims=()):
        """Hello and WorkerHello with (name, milli) pairs."""
        self.hello(WORKER, name)
        self.say(WORKER_HELLO, pb(*[(1, pb((1, n), (2, milli))) for n, milli in capacity],
                                  (3, credit), *[(4, claim) for claim in claims], (5, "process")))

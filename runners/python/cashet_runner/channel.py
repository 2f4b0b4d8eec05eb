"""Frames on the socket to the worker: docs/runners.md, "Serving". Bytes in, fields out; nothing is run here.

A frame is looked at where it was received, and checked whole before anything of it is used: whatever is not
as the page says raises Malformed, and the runner ends. The socket lies far above the descriptors that a
function would close by habit, and no program that it starts inherits it.
"""

import _socket
import fcntl
import os
import struct

FRAME_MAX = 64 << 20
BUFFER = 256 << 10
DESCRIPTORS_MAX = 64  # of one frame; one receive may bring those of one frame only
FILE, JSON, PICKLE = 1, 8, 9
INLINE, DESCRIPTOR, PATH = 0, 1, 2

SIZE = struct.Struct("<I")
CALL = struct.Struct("<QIII32sBH")
BLOB = struct.Struct("<B32sQB")
PLACE = struct.Struct("<IQ")
TOKEN = struct.Struct("<Q")
ANSWER = struct.Struct("<IBQBQQ")
FAILURE = struct.Struct("<IBQQQ")
PART = struct.Struct("<BI")
FILE_PART = struct.Struct("<BQH")
NOTHING = PART.pack(INLINE, 0)


class Malformed(Exception):
    """The worker says what the protocol does not know."""


class Ended(Exception):
    """The stream ended between two frames."""


class Lost(Exception):
    """The socket is gone: something closed it from within."""


class Call:
    """One C frame. @blobs: rows (type, digest, size, where, ...): bytes; (n, offset); path."""

    __slots__ = ("id", "load", "index", "attempt", "batch", "isolation", "name", "directory", "args", "blobs",
                 "descriptors")


def high():
    """Where descriptors of ours go: far above what is used, far below what costs memory."""
    return max(64, min(os.sysconf("SC_OPEN_MAX") - 32, 4000))


def keep(fd):
    """@fd, out of the way."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, high())


class Channel:
    def __init__(self, fd):
        self._socket = _socket.socket(fileno=keep(fd))
        os.close(fd)
        self._socket.setblocking(True)
        self._receive = self._socket.recvmsg_into
        self._ancillary = _socket.CMSG_SPACE(4 * 253)  # the kernel's most
        self.buffer = bytearray(BUFFER)
        self._view = memoryview(self.buffer)
        self._start = self._end = 0
        self.descriptors = []

    def close(self):
        self._socket.close()

    # ---- in ----

    def frame(self):
        """(type, start, end) of the next frame's body in @buffer, until the next call of this."""
        while True:
            start = self._start
            have = self._end - start
            size = 0
            if have >= 4:
                size = SIZE.unpack_from(self.buffer, start)[0]
                if not 1 <= size <= FRAME_MAX:
                    raise Malformed("a frame of %d bytes" % size)
                if have >= 4 + size:
                    self._start = start + 4 + size
                    return self.buffer[start + 4], start + 5, start + 4 + size
            self._fill(4 + size)

    def _fill(self, size):
        """Receives something, with room for @size bytes from the start of the frame."""
        start, end = self._start, self._end
        if start == end and self.descriptors:
            raise Malformed("%d descriptors that no blob names" % len(self.descriptors))
        if start == end and len(self.buffer) > BUFFER and size <= BUFFER:
            self._room(BUFFER)  # a large frame is over
        elif start == end:
            self._start = self._end = 0
        elif len(self.buffer) - start < max(size, 4096):
            self._room(max(size, BUFFER))
        end = self._end
        try:
            count, ancillary, flags, _ = self._receive([self._view[end:]], self._ancillary)
        except ConnectionResetError:
            raise Ended from None
        except OSError as e:
            raise Lost(e.strerror) from None
        for level, kind, data in ancillary:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                self._take(data)
        if flags & _socket.MSG_CTRUNC:
            raise Malformed("more descriptors than a message may have")
        if not count:
            if self._end > self._start:
                raise Malformed("the stream ends within a frame")
            raise Ended
        self._end = end + count

    def _room(self, size):
        data = bytes(self._view[self._start:self._end])
        self.buffer = bytearray(size)
        self._view = memoryview(self.buffer)
        self._view[:len(data)] = data
        self._start, self._end = 0, len(data)

    def _take(self, data):
        count = len(data) // 4
        for fd in struct.unpack("%di" % count, data[:4 * count]):
            os.set_inheritable(fd, False)
            self.descriptors.append(fd)
        if count > DESCRIPTORS_MAX:
            raise Malformed("%d descriptors with one frame" % count)

    def call(self, at, end):
        """The Call in buffer[at:end]."""
        buffer = self.buffer
        call = Call()
        try:
            (call.id, call.load, call.index, call.attempt, call.batch, call.isolation,
             size) = CALL.unpack_from(buffer, at)
            at += 55
            call.name = bytes(buffer[at:at + size])
            at += size
            size = SIZE.unpack_from(buffer, at)[0]
            at += 4
            call.directory = bytes(buffer[at:at + size]) if size else b""
            at += size
            size = SIZE.unpack_from(buffer, at)[0]
            at += 4
            call.args = bytes(buffer[at:at + size])
            at += size
            count = SIZE.unpack_from(buffer, at)[0]
            at += 4
            call.descriptors = call.blobs = ()
            if count:
                at = self._blobs(call, at, end, count)
        except struct.error:
            raise Malformed("a call that is cut off") from None
        if at != end:
            raise Malformed("a call that is %d bytes too %s" % (abs(end - at), "long" if end > at else "short"))
        if call.isolation > 1:
            raise Malformed("isolation %d" % call.isolation)
        if 0 in call.name or 0 in call.directory:
            raise Malformed("a null byte in a name")
        return call

    def _blobs(self, call, at, end, count):
        if count > (end - at) // 42:
            raise Malformed("%d blobs in %d bytes" % (count, end - at))
        buffer, rows, used = self.buffer, [], 0
        for _ in range(count):
            kind, digest, size, where = BLOB.unpack_from(buffer, at)
            at += 42
            if where == INLINE:
                if size > end - at:
                    raise Malformed("a blob that is cut off")
                rows.append((kind, digest, size, where, bytes(buffer[at:at + size])))
                at += size
            elif where == DESCRIPTOR:
                n, offset = PLACE.unpack_from(buffer, at)
                at += 12
                if n >= DESCRIPTORS_MAX or offset & 4095 or offset >> 62 or size >> 62:
                    raise Malformed("a blob in descriptor %d at %d" % (n, offset))
                used = max(used, n + 1)
                rows.append((kind, digest, size, where, n, offset))
            elif where == PATH:
                length = SIZE.unpack_from(buffer, at)[0]
                at += 4
                path = bytes(buffer[at:at + length])
                at += length
                if not path or 0 in path:
                    raise Malformed("a blob at no path")
                rows.append((kind, digest, size, where, path))
            else:
                raise Malformed("a blob at %d" % where)
        if used > len(self.descriptors):
            raise Malformed("a frame with %d descriptors that needs %d" % (len(self.descriptors), used))
        call.blobs = rows
        call.descriptors = self.descriptors[:used]
        del self.descriptors[:used]
        return at

    # ---- out ----

    def send(self, data):
        try:
            sent = self._socket.send(data)
            if sent < len(data):
                self._socket.sendall(memoryview(data)[sent:])
        except (BrokenPipeError, ConnectionResetError):
            raise Ended from None
        except OSError as e:
            raise Lost(e.strerror) from None

    def ready(self, text):
        self.send(SIZE.pack(1 + len(text)) + b"R" + text)

    def pong(self, token):
        self.send(SIZE.pack(9) + b"O" + token)

    def done(self, id_, kind, duration, cpu, parts):
        """@parts: result, out, err, each as part() or file_part() writes it."""
        self.send(ANSWER.pack(26 + len(parts), 68, id_, kind, duration, cpu) + parts)

    def error(self, id_, duration, cpu, logs, text):
        self.send(FAILURE.pack(29 + len(logs) + len(text), 69, id_, duration, cpu) + logs +
                  SIZE.pack(len(text)) + text)


def part(data):
    return PART.pack(INLINE, len(data)) + data


def file_part(size, name):
    name = name.encode()
    return FILE_PART.pack(1, size, len(name)) + name

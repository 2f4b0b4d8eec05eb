"""Arguments of a call, from their bytes: common/format/call_args.h. Deterministic CBOR and nothing else.

References are looked up among the call's blobs and made anew for each call, so that no call sees what another
did with its copy. Unpickling runs code of the call's source: its modules must be the visible ones.
"""

import os
import pathlib
import struct

from .channel import DESCRIPTOR, INLINE, JSON, PATH, PICKLE, Malformed

FILE, EXEC, TREE, LIST, RESULT, EXTERN = 1, 2, 3, 4, 5, 6
DEPTH_MAX = 32
ONE_READ = 1 << 30
NONE = b"\x83\x02\x80\xa0"  # [2, [], {}]

HALF, SINGLE, DOUBLE = struct.Struct(">e"), struct.Struct(">f"), struct.Struct(">d")
U16, U32, U64 = struct.Struct(">H"), struct.Struct(">I"), struct.Struct(">Q")


class Unusable(Exception):
    """A reference that cannot be made into a value; says why. @cause: the exception behind it, if any."""

    def __init__(self, message, cause=None):
        super().__init__(message)
        self.cause = cause


class Reader:
    """@blobs: rows as channel.Call has them, @descriptors: of the frame. @loads: json.loads, and
    pickle.loads."""

    def __init__(self, data, blobs, descriptors, load_json, load_pickle):
        self.data, self.size = data, len(data)
        self.blobs, self.descriptors = blobs, descriptors
        self.load_json, self.load_pickle = load_json, load_pickle

    def arguments(self):
        """(list, dict) of the whole."""
        try:
            at = self._head(0, 4, 3)
            if self.data[at] != 2:
                raise Malformed("arguments of scheme %d" % self.data[at])
            count, at = self._count(at + 1, 4)
            args = []
            for _ in range(count):
                value, at = self.value(at, 0)
                args.append(value)
            kwargs, at = self._map(at, 0)
        except (IndexError, struct.error):
            raise Malformed("arguments that are cut off") from None
        if at != self.size:
            raise Malformed("arguments with %d bytes too many" % (self.size - at))
        return args, kwargs

    def value(self, at, depth):
        """(value, where it ends) of the one at @at."""
        data = self.data
        head = data[at]
        if head < 0x18:
            return head, at + 1
        major = head >> 5
        if major == 3:
            size, at = self._count(at, 3)
            end = at + size
            if end > self.size:
                raise IndexError
            try:
                return data[at:end].decode("utf-8"), end
            except UnicodeDecodeError:
                raise Malformed("a text that is not UTF-8") from None
        if major == 0:
            found, at = self._count(at, 0)
            if found >> 63:
                raise Malformed("an integer of more than 64 bits")
            return found, at
        if major == 1:
            found, at = self._count(at, 1)
            if found >> 63:
                raise Malformed("an integer of more than 64 bits")
            return -1 - found, at
        if major == 7:
            return self._simple(head, at)
        if major == 2:
            return self._bytes(at)
        if major == 4:
            return self._tagged(at, depth + 1)
        raise Malformed("a value that begins with %d" % head)

    def _simple(self, head, at):
        if head == 0xfb:
            found = DOUBLE.unpack_from(self.data, at + 1)[0]
            if found != found or _fits(SINGLE, found):
                raise Malformed("a float that is longer than it must be")
            return found, at + 9
        if head == 0xfa:
            found = SINGLE.unpack_from(self.data, at + 1)[0]
            if found != found or _fits(HALF, found):
                raise Malformed("a float that is longer than it must be")
            return found, at + 5
        if head == 0xf9:
            found = HALF.unpack_from(self.data, at + 1)[0]
            if found != found and self.data[at + 1:at + 3] != b"\x7e\x00":
                raise Malformed("another NaN")
            return found, at + 3
        if head in (0xf4, 0xf5):
            return head == 0xf5, at + 1
        if head == 0xf6:
            return None, at + 1
        raise Malformed("a value that begins with %d" % head)

    def _tagged(self, at, depth):
        """A list, a map, a reference, a file: an array headed by a number."""
        if depth > DEPTH_MAX:
            raise Malformed("values nested too deeply")
        count, at = self._count(at, 4)
        tag = self.data[at] if count else 0
        at += 1
        if tag == 1:
            found = []
            for _ in range(count - 1):
                value, at = self.value(at, depth)
                found.append(value)
            return found, at
        if tag == 2 and count == 2:
            return self._map(at, depth)
        if tag == 3 and count == 2:
            placeholder, at = self._bytes(at)
            return self.reference(placeholder), at
        if tag == 4 and count == 3:
            name, at = self.value(at, depth)
            placeholder, at = self._bytes(at)
            return self._file(name, placeholder), at
        raise Malformed("an array of %d that is headed by %d" % (count, tag))

    def _map(self, at, depth):
        count, at = self._count(at, 5)
        found, last = {}, None
        for _ in range(count):
            if self.data[at] >> 5 != 3:
                raise Malformed("a key that is no text")
            start = at
            key, at = self.value(at, depth)
            order = (at - start, self.data[start:at])
            if last is not None and order <= last:
                raise Malformed("keys out of order")
            last = order
            found[key], at = self.value(at, depth)
        return found, at

    def _bytes(self, at):
        size, at = self._count(at, 2)
        end = at + size
        if end > self.size:
            raise IndexError
        return self.data[at:end], end

    def _head(self, at, major, count):
        found, at = self._count(at, major)
        if found != count:
            raise Malformed("an array of %d, not %d" % (found, count))
        return at

    def _count(self, at, major):
        """(number behind the head at @at, where it ends), in the shortest form and no other."""
        head = self.data[at]
        if head >> 5 != major:
            raise Malformed("type %d, not %d" % (head >> 5, major))
        low = head & 31
        if low < 24:
            return low, at + 1
        if low == 24:
            found, at, least = self.data[at + 1], at + 2, 24
        elif low == 25:
            found, at, least = U16.unpack_from(self.data, at + 1)[0], at + 3, 1 << 8
        elif low == 26:
            found, at, least = U32.unpack_from(self.data, at + 1)[0], at + 5, 1 << 16
        elif low == 27:
            found, at, least = U64.unpack_from(self.data, at + 1)[0], at + 9, 1 << 32
        else:
            raise Malformed("a head of %d" % head)
        if found < least or major > 1 and found > self.size:
            raise Malformed("a count of %d" % found)
        return found, at

    # ---- references ----

    def reference(self, placeholder):
        """What a placeholder stands for, as an object."""
        if len(placeholder) != 33:
            raise Malformed("a placeholder of %d bytes" % len(placeholder))
        kind, digest = placeholder[0], placeholder[1:]
        if kind in (TREE, EXTERN):
            return self._path(self._row(kind, digest, True))
        row = self._row(kind, digest, False)
        if kind in (FILE, EXEC):
            return self._read(row)
        if kind == JSON:
            return self._loaded(self.load_json, self._read(row), "JSON")
        if kind == PICKLE:
            return self._loaded(self.load_pickle, self._read(row), "a pickle")
        if kind == LIST:
            members = self._read(row)
            if len(members) % 33:
                raise Malformed("a list of %d bytes" % len(members))
            return [self.reference(members[at:at + 33]) for at in range(0, len(members), 33)]
        if kind == RESULT:
            return self._outputs(self._read(row))
        raise Malformed("a placeholder of type %d" % kind)

    def _outputs(self, manifest):
        """["cashet.result", 1, [[name, path, type, size, digest], ...]] as a dict."""
        reader = Reader(manifest, self.blobs, self.descriptors, self.load_json, self.load_pickle)
        try:
            at = reader._head(0, 4, 3)
            tag, at = reader.value(at, 0)
            version, at = reader.value(at, 0)
            if tag != "cashet.result" or version != 1:
                raise Malformed("a manifest of outputs that begins otherwise")
            count, at = reader._count(at, 4)
            found = {}
            for _ in range(count):
                at = reader._head(at, 4, 5)
                name, at = reader.value(at, 0)
                _, at = reader.value(at, 0)
                kind, at = reader.value(at, 0)
                _, at = reader.value(at, 0)
                digest, at = reader._bytes(at)
                if kind not in (FILE, EXEC, TREE):
                    raise Malformed("an output of type %r" % (kind,))
                found[name] = self.reference(bytes((kind,)) + digest)
        except (IndexError, struct.error):
            raise Malformed("a manifest of outputs that is cut off") from None
        return found

    def _file(self, name, placeholder):
        """The path of the copy that is called @name."""
        if len(placeholder) != 33 or name.__class__ is not str:
            raise Malformed("a file argument")
        kind, digest, last = placeholder[0], placeholder[1:], name.encode()
        for row in self.blobs:
            if row[3] == PATH and row[1] == digest and row[0] == kind and row[4].rpartition(b"/")[2] == last:
                return self._path(row)
        raise Malformed("no path for the file argument %s" % ascii(name))

    def _row(self, kind, digest, path):
        for row in self.blobs:
            if row[1] == digest and row[0] == kind and (row[3] == PATH) == path:
                return row
        for row in self.blobs:
            if row[1] == digest and (row[3] == PATH) == path:
                return row
        raise Malformed("no blob of type %d with digest %s" % (kind, digest.hex()))

    @staticmethod
    def _path(row):
        return pathlib.Path(os.fsdecode(row[4]))

    def _read(self, row):
        if row[3] == INLINE:
            return row[4]
        assert row[3] == DESCRIPTOR
        fd, size, offset = self.descriptors[row[4]], row[2], row[5]
        try:
            data = os.pread(fd, min(size, ONE_READ), offset)
            while len(data) < size:
                more = os.pread(fd, min(size - len(data), ONE_READ), offset + len(data))
                if not more:
                    raise Unusable("a reference has %d bytes of %d" % (len(data), size))
                data += more
        except OSError as e:
            raise Unusable("a reference cannot be read: %s" % e.strerror) from None
        return data

    @staticmethod
    def _loaded(load, data, what):
        try:
            return load(data)
        except BaseException as e:
            raise Unusable("an argument that is %s cannot be read here: %s: %s%s" % (
                what, type(e).__name__, e, "; the file of the function must import what it is made of"
                if isinstance(e, (ImportError, AttributeError)) else ""), e) from None


def _fits(form, value):
    """Whether @value is the same in a shorter form."""
    try:
        return form.unpack(form.pack(value))[0] == value
    except (OverflowError, struct.error):
        return False

"""A source file, from bytes to a tree, with an error of our own for everything that can be wrong with it.

Decoding follows PEP 263 by hand: the interpreter's own would say less about where a bad byte is, and says it
differently in each version. The tree is made by compile(), which never runs anything; what only its second half
refuses (a return outside of a function) is found by going through that too, and throwing the code away.
"""

import ast
import codecs
import os
import stat
import sys

from .digest import sha256
from .problems import Problem

FILE_MAX = 2 << 20  # a tree takes up to 400 times its source
BOM = codecs.BOM_UTF8


class Source:
    """One file as it was when it was read, once: what is hashed is what is shipped."""

    __slots__ = ("file", "size", "sha256", "text", "tree", "status", "_lines")

    def __init__(self, file):
        self.file = file
        data, self.status = read(file)
        self.size = len(data)
        self.sha256 = sha256(data).hexdigest()
        self.text = decode(data, file)
        self._lines = None
        self.tree = parse(self.text, file)
        self._check()

    def column(self, node):
        """Where @node begins, in characters from 1: the tree counts bytes from 0."""
        return self._characters(node.lineno, getattr(node, "col_offset", 0))

    def _characters(self, line, offset):
        """The column, from 1, of byte @offset of @line."""
        if self._lines is None:
            self._lines = self.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if line > len(self._lines):
            return offset + 1
        return len(self._lines[line - 1].encode("utf-8", "replace")[:offset].decode("utf-8", "replace")) + 1

    def _check(self):
        """Problem if Python would refuse to import it, although there is a tree. An importer may have more room than
        there is here, so what is too deep is left to it."""
        try:
            compile(self.text, self.file, "exec", dont_inherit=True)
        except SyntaxError as e:  # its place is in bytes; Python 3.9 does not know some
            known = bool(e.lineno)
            raise Problem("syntax", said(e), self.file, e.lineno if known else 0,
                          self._characters(e.lineno, max((e.offset or 1) - 1, 0)) if known else 0) from None
        except (RecursionError, MemoryError, ValueError, OverflowError):
            pass


def read(file):
    """(bytes, what fstat() says) of @file, which must be a regular file of a bearable size."""
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as e:
        raise Problem("not-readable", "cannot open it: %s" % e.strerror, file) from None
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise Problem("not-a-file", "it is a folder" if stat.S_ISDIR(status.st_mode) else
                      "it is no regular file", file)
    with os.fdopen(fd, "rb") as f:
        try:
            data = f.read(FILE_MAX + 1)
        except OSError as e:
            raise Problem("not-readable", "cannot read it: %s" % e.strerror, file) from None
    if len(data) > FILE_MAX:
        raise Problem("too-large", "it has %d bytes; a source may have %d: keep data in a file of its "
                      "own, as an input" % (max(status.st_size, len(data)), FILE_MAX), file)
    return data, status


def decode(data, file):
    """Text of @data, by its byte order mark or its coding line, else UTF-8."""
    at = data.find(b"\0")
    if at >= 0:
        line, column = place(data, at)
        raise Problem("null-byte", "there is a null byte: this is no source text", file, line, column)
    name = declared(data)
    if data.startswith(BOM):
        if name not in (None, "utf-8"):
            raise Problem("encoding", "it begins with a UTF-8 mark and says that it is %s" % name, file, 1, 1)
        data, name = data[len(BOM):], "utf-8"
    try:
        return data.decode(name or "utf-8")
    except LookupError:
        raise Problem("encoding", "its coding line says %s, which is no text encoding that this Python "
                      "knows" % ascii(name), file, 1, 1) from None
    except UnicodeDecodeError as e:
        line, column = place(data, e.start)
        raise Problem("encoding", "byte 0x%02x is not %s (%s); save it as UTF-8, or say what it is in "
                      "the first line, like: # -*- coding: latin-1 -*-"
                      % (data[e.start], name or "UTF-8", e.reason), file, line, column) from None
    except (UnicodeError, ValueError) as e:
        raise Problem("encoding", "it is not %s: %s" % (name or "UTF-8", e), file, 1, 1) from None


def declared(data):
    """What the coding line says, or None: a comment on line 1, or on line 2 below a comment or nothing."""
    end = 0
    for _ in range(2):
        start, end = end, data.find(b"\n", end) + 1
        line = data[start:end] if end else data[start:]
        if start == 0 and line.startswith(BOM):
            line = line[len(BOM):]
        line = line.strip(b" \t\f\r\n")
        if line and not line.startswith(b"#"):
            return None
        found = coding(line)
        if found or not end:
            return found
    return None


def coding(comment):
    """What stands behind "coding:" or "coding="; the usual spellings of UTF-8 are one."""
    at = comment.find(b"coding")
    while at >= 0:
        rest = comment[at + 6:]
        if rest[:1] in (b":", b"="):
            rest = rest[1:].lstrip(b" \t")
            end = 0
            while end < len(rest) and (rest[end:end + 1].isalnum() or rest[end:end + 1] in b"-_."):
                end += 1
            if end:
                name = rest[:end].decode("ascii").lower().replace("_", "-")
                return "utf-8" if name in ("utf-8", "utf8") or name.startswith("utf-8-") else name
        at = comment.find(b"coding", at + 6)
    return None


def place(data, at):
    """Line and column, from 1, of byte @at."""
    before = data[:at]
    start = before.rfind(b"\n") + 1
    return before.count(b"\n") + 1, len(before[start:].decode("utf-8", "replace")) + 1


def parse(text, file):
    """The tree. Whatever the parser does instead becomes a Problem."""
    try:
        return compile(text, file, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    except SyntaxError as e:
        message = e.msg or "not understood"
        if "nested" in message or "too complex" in message:
            raise too_deep(file, e.lineno or 0, e.offset or 0) from None
        raise Problem("syntax", said(e), file, e.lineno or 1, e.offset or 1) from None
    except (RecursionError, MemoryError):
        raise too_deep(file) from None
    except (ValueError, OverflowError) as e:
        raise Problem("syntax", str(e), file) from None


def said(e):
    return "%s (as Python %d.%d reads it)" % ((e.msg or "not understood",) + sys.version_info[:2])


def too_deep(file, line=0, column=0):
    return Problem("nested-too-deeply", "it is nested too deeply to be read; split the expression, or "
                   "keep data in a file of its own", file, line, column)

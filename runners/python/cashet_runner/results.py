"""What a call returned, as bytes with a content type: docs/runners.md, "Python serves"."""

import json
import types

from .channel import FILE, JSON, PICKLE

try:
    from _pickle import dumps, loads
except ImportError:
    from pickle import dumps, loads

INT_MIN, INT_MAX = -(1 << 63), (1 << 63) - 1
DEPTH_MAX = 64  # as deep as every reader of JSON goes, also that of C functions: JSON_DEPTH_MAX
PROTOCOL = 4
BYTES = (bytes, bytearray, memoryview)
PLAIN = {bool, type(None)}
GENERATORS = (types.GeneratorType, types.AsyncGeneratorType)

write_json = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False,
                              separators=(",", ":")).encode
read_json = json.JSONDecoder().decode


class NoResult(Exception):
    """It cannot be made into bytes. @cause: the exception that says so, if any."""

    def __init__(self, message, cause=None):
        super().__init__(message)
        self.cause = cause


def load_json(data):
    return read_json(data.decode("utf-8"))


def load_pickle(data):
    return loads(data)


def encode(value):
    """(content type, bytes-like) of a result."""
    if value is None:
        return JSON, b"null"
    cls = value.__class__
    if cls is int and INT_MIN <= value <= INT_MAX:
        return JSON, b"%d" % value
    if cls in BYTES:
        if cls is memoryview:
            return FILE, value.tobytes()
        return FILE, value
    if isinstance(value, GENERATORS) or cls is types.CoroutineType:
        raise NoResult("it returned a%s, which has not run yet: return what it gives, like list(...)"
                       % {types.GeneratorType: " generator", types.CoroutineType: " coroutine"}.get(
                           cls, "n asynchronous generator"))
    try:
        if plain(value, 0):
            return JSON, write_json(value).encode("utf-8")
    except (ValueError, RecursionError):
        pass  # not finite, no UTF-8
    try:
        return PICKLE, dumps(value, PROTOCOL)
    except BaseException as e:
        raise NoResult("it returned %s, which cannot be pickled: %s: %s" % (a(cls), type(e).__name__, text(e)),
                       e) from None


def plain(value, depth):
    """Whether @value is made of what JSON has, exactly; NaN and lone surrogates are found later."""
    cls = value.__class__
    if cls is str or cls is float or value is None or cls is bool:
        return True
    if cls is int:
        return INT_MIN <= value <= INT_MAX
    if depth == DEPTH_MAX:
        return False
    if cls is dict:
        if value and set(map(type, value)) != {str}:
            return False
        value = value.values()
    elif cls is not list:
        return False
    left = set(map(type, value)) - {str, float, bool, type(None)}
    if not left:
        return True
    if left == {int}:
        return all(INT_MIN <= item <= INT_MAX for item in value if item.__class__ is int)
    if not left <= {int, list, dict}:
        return False
    for item in value:
        if not plain(item, depth + 1):
            return False
    return True


def a(cls):
    name = cls.__qualname__ if cls.__module__ == "builtins" else cls.__module__ + "." + cls.__qualname__
    return ("an " if name[:1] in "aeiou" else "a ") + name


def text(e):
    """What an exception says; some fail at that too."""
    try:
        return str(e)
    except BaseException:
        return "(it has no text)"

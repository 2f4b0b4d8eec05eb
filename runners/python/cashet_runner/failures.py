"""What went wrong, as the JSON of an E frame. A traceback begins with the first frame of the source's, and
names files as they are in the source."""

import json
import os
import sys
import types

from .results import text

MESSAGE_MAX = 16 << 10
TRACEBACK_MAX = 96 << 10
OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep
MARK = "(cashet's own) "


def report(kind, message, exception=None, views=None, exit_=None, signal=None):
    """The bytes of an error. @exception: with its type and traceback."""
    row = {"kind": kind, "type": None, "message": cut(message, MESSAGE_MAX), "traceback": "",
           "exit": exit_, "signal": signal}
    if exception is not None:
        row["type"] = type_name(exception)
        row["traceback"] = cut(traceback_of(exception, views), TRACEBACK_MAX)
    return json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def raised(kind, exception, views):
    """The bytes of an exception that came out of the source's code."""
    exit_, message = None, text(exception)
    if isinstance(exception, SystemExit):
        exit_, message = exit_status(exception.code)
        if kind == "exception":
            kind = "exit"
    return report(kind, message, exception, views, exit_)


def exit_status(code):
    """(status, message) of sys.exit(@code), as the interpreter would end."""
    if code is None:
        code = 0
    if isinstance(code, int):
        status = int(code) & 0xff
        return status, "it called sys.exit(%d) instead of returning" % code
    return 1, "it called sys.exit(): %s" % text(code)


def type_name(exception):
    cls = type(exception)
    return cls.__qualname__ if cls.__module__ == "builtins" else "%s.%s" % (cls.__module__, cls.__qualname__)


def traceback_of(exception, views):
    """The text, or as much of it as can be made."""
    folder = views.current.folder if views.current else OURS
    try:
        module = views.borrow("traceback")
        asyncio = getattr(sys.modules.get("asyncio"), "__file__", None)
        skipped = (OURS, MARK, "<frozen importlib") + ((os.path.dirname(asyncio) + os.sep,) if asyncio else ())
        skipped += (os.path.dirname(os.__file__) + "/importlib/",)
        at = exception.__traceback__
        while at is not None and at.tb_frame.f_code.co_filename.startswith(skipped):
            at = at.tb_next
        lines = module.format_exception(type(exception), exception, at)
        return "".join(lines).replace('File "' + folder, 'File "')
    except BaseException as e:
        return "(no traceback: %s)\n" % type(e).__name__


def cut(message, most):
    """Printable, and not longer than @most characters."""
    message = message.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
    if len(message) <= most:
        return message
    return "%s\n... %d characters ...\n%s" % (message[:most // 2], len(message) - most, message[-most // 2:])


def mark(module):
    """From now on frames of the functions of @module say whose they are: when code of the source kills the process,
    Python itself writes all frames that it stands in."""
    for value in vars(module).values():
        for function in vars(value).values() if isinstance(value, type) else (value,):
            if isinstance(function, types.FunctionType) and function.__module__ == module.__name__:
                function.__code__ = marked(function.__code__)


def marked(code):
    return code.replace(co_filename=MARK + os.path.basename(code.co_filename), co_consts=tuple(
        marked(constant) if isinstance(constant, types.CodeType) else constant for constant in code.co_consts))

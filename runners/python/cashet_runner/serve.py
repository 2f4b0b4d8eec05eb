"""cashet-runner-python serve: calls come as frames, one after the other, and each is answered before the next
begins. The parts: channel (frames), arguments and results (values), views (whose modules are visible), folders
and process (what is put back between calls), isolation (a child for a call), failures (errors)."""

import _contextvars
import _signal
import faulthandler
import json
import os
import sys
import time
import types

from . import environment, failures, isolation
from .arguments import NONE, Reader, Unusable
from .channel import SIZE, Channel, Ended, Lost, Malformed
from .folders import Broken, Place
from .process import Process
from .results import NoResult, a, encode, load_json, load_pickle
from .views import Spoilt, View, Views

PROTOCOL = 1
MALFORMED, REPLACE, CLOSED = 70, 71, 72
WARM_MAX = 64  # sources whose modules are kept
LINES = 1  # _IOLBF
MALFORMED_CALL = b"\xff"
VERSION = "%d.%d.%d" % sys.version_info[:3]
DYNAMIC = tuple(path for path in sys.path if path.endswith("lib-dynload"))
CoroutineType = types.CoroutineType
copy_context, getpid = _contextvars.copy_context, os.getpid
clock, cpu_clock = time.perf_counter_ns, time.process_time_ns
modules = sys.modules


class Refused(Exception):
    """Another version than was described."""


class Load:
    """What calls of one number call."""

    __slots__ = ("view", "module", "name", "file", "path", "packages", "version", "function")

    def __init__(self, view, row):
        self.view, self.name, self.path = view, row["name"], row["path"]
        self.module = row.get("module") or module_of(self.path)
        self.file = view.folder + self.path
        self.packages, self.version = row.get("packages") or [], row.get("version")
        self.function = None


def module_of(path):
    name = path[:-3] if path.endswith(".py") else path
    if name.endswith("/__init__"):
        name = name[:-9]
    return name.replace("/", ".")


def text(data, *names):
    """The row of a frame that is JSON, with fields that are texts."""
    try:
        row = json.loads(bytes(data).decode("utf-8"))
        for name in names:
            if row[name].__class__ is not str or "\0" in row[name]:
                raise ValueError(name)
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        raise Malformed("JSON in a frame: %s: %s" % (type(e).__name__, e)) from None
    return row


class Server:
    def __init__(self, channel, views):
        self.channel, self.views = channel, views
        self.loads, self.sources, self.warm = {}, {}, {}
        self.place = self.process = self.flush = self.installed = None
        self.seen, self.cpu = 0, cpu_clock()
        self.begun = self.answered = False  # the function of the call under way; a call
        self.imported, self.searched = False, list(sys.path)
        self.stamps = environment.stamps(self.searched)

    # ---- the loop ----

    def run(self):
        channel = self.channel
        kind, at, end = channel.frame()
        if kind != 87:
            raise Malformed("the first frame is no welcome")
        self.welcome(channel.buffer[at:end])
        while True:
            kind, at, end = channel.frame()
            if kind == 67:  # C
                self.call(channel.call(at, end))
            elif kind == 76:  # L
                self.load(channel.buffer[at:end])
            elif kind == 80:  # P
                if end - at != 8:
                    raise Malformed("a ping of %d bytes" % (end - at))
                channel.pong(bytes(channel.buffer[at:end]))
            elif kind == 81 and at == end:  # Q
                return
            else:
                raise Malformed("a frame of type %d and %d bytes" % (kind, end - at))

    def welcome(self, data):
        row = text(data, "dir")
        inline_max = row.get("inline_max")
        if row.get("protocol") != PROTOCOL:
            raise Malformed("protocol %r; this runner speaks %d" % (row.get("protocol"), PROTOCOL))
        if not os.path.isabs(row["dir"]) or inline_max.__class__ is not int or not 0 <= inline_max <= 1 << 24:
            raise Malformed("a welcome without a folder, or with inline_max %r" % (inline_max,))
        self.place = Place(row["dir"], inline_max)
        self.process = Process()
        os.register_at_fork(after_in_child=self.channel.close)
        self.channel.ready(json.dumps({
            "protocol": PROTOCOL, "language": "python", "version": VERSION,
            "pid": os.getpid()}).encode())

    def load(self, data):
        if len(data) < 4:
            raise Malformed("a load without a number")
        row = text(data[4:], "dir", "path", "name")
        if not os.path.isabs(row["dir"]) or row.get("module").__class__ not in (str, type(None)):
            raise Malformed("a load of no folder, or no module")
        try:
            packages = [(p["name"], p.get("version")) for p in row.get("packages") or []]
            hash(tuple(packages))
        except (TypeError, KeyError, AttributeError):
            raise Malformed("packages of a load") from None
        view = self.sources.get(row["dir"])
        if view is None:
            view = self.sources[row["dir"]] = View(row["dir"], self.views.path)
        self.loads[SIZE.unpack_from(data)[0]] = Load(view, dict(row, packages=packages))

    def enter(self, view):
        """Makes the modules of @view visible, and the process what its import made of it."""
        self.views.enter(view)
        self.process.enter(view.state)
        self.warm.pop(view, None)
        self.warm[view] = True
        if len(self.warm) > WARM_MAX:
            self.forget(next(iter(self.warm)))

    def forget(self, view):
        """The modules of a source that was not called for long; they are imported again if need be."""
        del self.warm[view]
        view.modules, view.state = {}, None
        for load in self.loads.values():
            if load.view is view:
                load.function = None

    # ---- a call ----

    def call(self, call):
        load = self.loads.get(call.load)
        if load is None:
            raise Malformed("a call of load %d, which did not come" % call.load)
        place, process = self.place, self.process
        began = clock()
        if load.view is not self.views.current:
            self.enter(load.view)
        self.announce(call)
        spent = left = 0
        try:
            if call.directory:
                os.chdir(call.directory)
            if not call.isolation:
                kind, data = self.attempt(call, load)
            else:
                kind, data = 0, self.prepared(load) if load.function is None else None
                if data is None:
                    kind, left, data, spent = self.isolated(call, load)
        except OSError as e:  # no folder, no further process
            kind, data = 0, failures.report("load", "the call cannot begin: %s" % e, e, self.views)
        for fd in call.descriptors:
            try:
                os.close(fd)
            except OSError:
                pass  # the function has
        self.flush_c()
        logs = place.logs(call.id)
        cpu = cpu_clock()
        spent += cpu - self.cpu
        self.cpu = cpu
        try:
            if kind:
                self.channel.done(call.id, kind, clock() - began, spent, data + logs)
            else:
                self.channel.error(call.id, clock() - began, spent, logs, data)
        except Lost:
            place.put_back(logs)
            raise
        self.begun, self.answered = False, True
        try:
            process.restore()
            process.finish(load.view.folder)
            self.views.restore()
            place.tidy()
        except (AttributeError, TypeError, ValueError, OSError) as e:  # of what a call has deleted or replaced
            raise Broken("%s: %s" % (type(e).__name__, e)) from None
        if left:
            raise Broken("processes or threads of the call still run")

    def announce(self, call):
        announce = self.process.announce
        announce(b"CASHET_TASK", call.name)
        announce(b"CASHET_BATCH", call.batch.hex().encode())
        announce(b"CASHET_INDEX", b"%d" % call.index)
        announce(b"CASHET_ATTEMPT", b"%d" % call.attempt)
        announce(b"CASHET_CHECKPOINT", os.path.join(os.path.dirname(call.directory), b"checkpoint")
                 if call.directory else self.place.checkpoint_bytes)

    def attempt(self, call, load):
        """(content type, part of the result), or (0, error)."""
        stage = "load"
        try:
            function = load.function
            if function is None:
                function = self.resolve(load)
            if call.args == NONE:
                stage = "exception"
                result = self.apply(function, (), {})
            else:
                args, kwargs = Reader(call.args, call.blobs, call.descriptors, load_json, load_pickle).arguments()
                stage = "exception"
                result = self.apply(function, args, kwargs)
                del args, kwargs
            stage = "result"
            kind, data = encode(result)
            del result
            return kind, self.place.result(call.id, data)
        except (Malformed, Spoilt):
            raise
        except Refused as e:
            return 0, failures.report("refused", str(e))
        except Unusable as e:
            return 0, failures.report("load", str(e), e.cause, self.views)
        except NoResult as e:
            return 0, failures.report("result", str(e), e.cause, self.views)
        except BaseException as e:
            if stage == "result" and isinstance(e, OSError):
                return 0, failures.report("result", "the result cannot be kept: %s" % e.strerror)
            return 0, failures.raised(stage, e, self.views)

    def apply(self, function, args, kwargs):
        """Calls it, in a context of its own."""
        self.begun = True
        try:
            result = copy_context().run(function, *args, **kwargs)
            if result.__class__ is CoroutineType:
                result = self.views.borrow("asyncio").run(result)
            return result
        finally:
            if getpid() != self.process.pid:
                self.end_copy()

    def end_copy(self):
        """Code of the source has forked, and both have come back: only one of them is the runner."""
        self.place.flush()
        os._exit(0)

    def resolve(self, load):
        """The function of a load; whatever its import raises."""
        if load.version and VERSION != load.version and not VERSION.startswith(load.version + "."):
            raise Refused("it was described for Python %s; this is %s, %s" % (load.version, VERSION, sys.executable))
        self.compare(load.packages)
        self.imported = True
        try:
            module = self.views.load(load.module, load.file)
        finally:
            if getpid() != self.process.pid:
                self.end_copy()
        try:
            function = getattr(module, load.name)
        except AttributeError:
            raise ImportError("%s defines no %s" % (load.path, load.name)) from None
        if not callable(function):
            raise TypeError("%s in %s is %s, which cannot be called" % (load.name, load.path, a(type(function))))
        load.view.state = self.process.adopt()
        load.function = function
        return function

    def compare(self, packages):
        wanted = [(name, version) for name, version in packages if version is not None]
        if not wanted:
            return
        stamps = environment.stamps(self.searched)
        if stamps != self.stamps:
            if self.imported:  # perhaps what was there before
                raise Spoilt("packages were installed or removed while it ran")
            self.stamps, self.installed = stamps, None
        if self.installed is None:
            self.installed = environment.distributions()
        here = [(name, self.installed.get(environment.plain(name))) for name, _ in wanted]
        if here != wanted:
            raise Refused("installed packages differ: it was described with %s; here is %s" % (
                listed(wanted), listed(here)))

    def prepared(self, load):
        """For a call in a child: imports the function here, once for all of them. None, or the error."""
        try:
            self.resolve(load)
            return None
        except Spoilt:
            raise
        except Refused as e:
            return failures.report("refused", str(e))
        except BaseException as e:
            return failures.raised("load", e, self.views)

    def isolated(self, call, load):
        """(content type or 0, whether anything of it still runs, part or error, cpu)."""
        def work():
            self.process.pid = os.getpid()
            try:
                kind, data = self.attempt(call, load)
            except Malformed as e:
                return MALFORMED_CALL + str(e).encode()
            self.flush_c()
            self.place.flush()
            try:
                self.process.finish(load.view.folder)
                return bytes((kind, 0)) + data
            except Broken:
                return bytes((kind, 1)) + data
        self.flush_c()
        self.place.flush()  # or the child would write it too
        data, status, spent = isolation.run(work)
        if data is None:
            if os.WIFSIGNALED(status):
                number = os.WTERMSIG(status)
                return 0, 0, failures.report("signal", "it was killed by signal %d (%s)" % (
                    number, _signal.strsignal(number)), signal=number), spent
            status = os.WEXITSTATUS(status)
            return 0, 0, failures.report("exit", "it ended the process with status %d instead of returning"
                                         % status, exit_=status), spent
        if data[:1] == MALFORMED_CALL:
            raise Malformed(data[1:].decode())
        return data[0], data[1], data[2:], spent

    # ---- what C code prints ----

    def flush_c(self):
        if len(modules) != self.seen:
            self.seen = len(modules)
            if self.flush is None and any(is_foreign(module) for module in list(modules.values())):
                self.find_flush()
        if self.flush is not None:
            self.flush(None)

    def find_flush(self):
        """C code of others is loaded, which may print: from now on lines of it are written at once."""
        try:
            ctypes = self.views.borrow("ctypes")
            library = ctypes.CDLL(None)
            for name in ("stdout", "stderr"):
                library.setvbuf(ctypes.c_void_p.in_dll(library, name), None, LINES, ctypes.c_size_t(0))
            self.flush = library.fflush
        except (ImportError, OSError, AttributeError, ValueError):
            self.flush = lambda file: None


def is_foreign(module):
    """An extension module that Python does not bring, or what can call any library."""
    file = getattr(module, "__file__", None)
    return file.__class__ is str and file.endswith(".so") and (
        not file.startswith(DYNAMIC) or "_ctypes." in file)


def listed(packages):
    return ", ".join("%s %s" % (name, version or "(not installed)") for name, version in packages)


def main(program, startup):
    """Serves the socket that is descriptor 3. Return: the exit status."""
    environment.seed(program)
    try:
        channel = Channel(3)
    except OSError as e:
        sys.stderr.write("cashet-runner-python: serve needs its worker's socket as descriptor 3: %s\n" % e.strerror)
        return 2
    faulthandler.enable(2, all_threads=False)
    environment.set_up(program, __package__)
    server = Server(channel, Views(startup))
    try:
        server.run()
    except Ended:
        return 0
    except Malformed as e:
        return say(MALFORMED, "the worker sent %s" % e)
    except (Broken, Spoilt) as e:
        return say(REPLACE, "it ends, to be replaced: %s" % e)
    except Lost as e:
        return say(CLOSED, "a call closed the runner's own descriptors: %s" % e)
    except Exception as e:
        if server.begun or not server.answered:
            raise
        # A call before has replaced something that we are made of, like a function of the standard library.
        return say(REPLACE, "it ends, to be replaced: %s: %s" % (type(e).__name__, e))
    return 0


def say(status, message):
    try:
        os.write(2, ("cashet-runner-python: %s\n" % message).encode("utf-8", "backslashreplace"))
    except OSError:
        pass
    return status

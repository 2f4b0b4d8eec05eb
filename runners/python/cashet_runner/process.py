"""What a call may change in the process, and how it is put back: between two calls a runner is as it was.

What the import of a source changes belongs to the source, like its modules: its State is what the process is
put back to for its calls. What nothing but a new process can undo (threads and children that still run,
handlers of C code) raises folders.Broken. The rest costs a comparison each; what can only have changed if a
certain module is loaded is looked at only then.
"""

import _locale
import _signal
import _socket
import _thread
import faulthandler
import fcntl
import gc
import os
import resource
import sys
import time

from .channel import high
from .folders import Broken
from .settings import LIBRARY, Settings

SIGNALS = [number for number in sorted(_signal.valid_signals())
           if number not in (_signal.SIGKILL, _signal.SIGSTOP)]
TIMERS = (_signal.ITIMER_REAL, _signal.ITIMER_VIRTUAL, _signal.ITIMER_PROF)
LIMITS = sorted({getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")})
OURS = frozenset((b"CASHET_TASK", b"CASHET_BATCH", b"CASHET_INDEX", b"CASHET_ATTEMPT", b"CASHET_CHECKPOINT"))
WAITS = ("wait", "get", "_worker", "select")  # of threading, queue, concurrent.futures, selectors
OURS_MOST = 64  # descriptors of our own, from high() on
GRACE_S = 0.5  # for threads and processes that are about to end
get_digits = getattr(sys, "get_int_max_str_digits", int)
set_digits = getattr(sys, "set_int_max_str_digits", int)
PRIO_PROCESS, getpriority, sched_getaffinity = os.PRIO_PROCESS, os.getpriority, os.sched_getaffinity
modules = sys.modules
modules.pop("resource")  # that it is there says that a call may have used it
environ = os.environ


class State:
    """How the process is now. @variables: name to value, None: there is none, where it differs from @table."""

    __slots__ = ("umask", "nice", "processors", "recursion", "collects", "threshold", "switch", "digits", "stack",
                 "timeout", "handlers", "locale", "limits", "variables", "settings")

    def __init__(self, table):
        self.umask = os.umask(0o022)
        os.umask(self.umask)
        self.nice, self.processors = os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0)
        self.recursion = sys.getrecursionlimit()
        self.collects, self.threshold = gc.isenabled(), gc.get_threshold()
        self.switch, self.digits = sys.getswitchinterval(), get_digits()
        self.stack = _thread.stack_size()  # which has set it to 0
        _thread.stack_size(self.stack)
        self.timeout = _socket.getdefaulttimeout()
        self.handlers = {number: _signal.getsignal(number) for number in SIGNALS}
        self.locale = _locale.setlocale(_locale.LC_ALL, None)
        self.limits = {number: resource.getrlimit(number) for number in LIMITS}
        self.settings = Settings()
        now = environ._data
        self.variables = {name: now.get(name) for name in set(now) | set(table)
                          if name not in OURS and now.get(name) != table.get(name)}


class Process:
    def __init__(self):
        self.pid = os.getpid()
        self.table = environ._data
        self.first = dict(self.table)  # variables of all calls
        self.expected = dict(self.table)
        self.own = OURS - self.first.keys()
        self.base = self.state = State(self.first)
        self.threads = _thread._count()
        self.full = full()

    def adopt(self):
        """What an import has left belongs to its source. Return: its State."""
        self.threads = max(self.threads, _thread._count())
        self.enter(State(self.first))
        return self.state

    def enter(self, state):
        """From now on the process is put back to @state, a source's, or None: has not been imported."""
        own = {name: value for name, value in self.expected.items() if name in self.own}
        self.state = state or self.base
        self.expected = dict(self.first)
        for name, value in self.state.variables.items():
            if value is None:
                self.expected.pop(name, None)
            else:
                self.expected[name] = value
        self.expected.update(own)
        self.restore()

    def announce(self, name, value):
        """A variable of the call's."""
        if self.expected.get(name) != value and name in self.own:
            self.expected[name] = self.table[name] = value
            os.putenv(name, value)

    def restore(self):
        state = self.state
        if os.environ is not environ or environ._data is not self.table or self.table != self.expected:
            self._environment()
        try:
            fcntl.fcntl(self.full, fcntl.F_GETFD)
            raise Broken("calls have left too many descriptors open")
        except OSError:
            pass
        os.umask(state.umask)
        if getpriority(PRIO_PROCESS, 0) != state.nice or sched_getaffinity(0) != state.processors:
            self._scheduling(state)
        if sys.getrecursionlimit() != state.recursion:
            sys.setrecursionlimit(state.recursion)
        if sys.gettrace() is not None:
            sys.settrace(None)
        if sys.getprofile() is not None:
            sys.setprofile(None)
        if gc.isenabled() != state.collects:
            gc.enable() if state.collects else gc.disable()
        if gc.get_threshold() != state.threshold:
            gc.set_threshold(*state.threshold)
        if sys.getswitchinterval() != state.switch:
            sys.setswitchinterval(state.switch)
        if get_digits() != state.digits:
            set_digits(state.digits)
        _thread.stack_size(state.stack)
        if _socket.getdefaulttimeout() != state.timeout:
            _socket.setdefaulttimeout(state.timeout)
        state.settings.restore()
        if not faulthandler.is_enabled():
            faulthandler.enable(2, all_threads=False)
        if "signal" in modules:
            self._signals(state)
        if "locale" in modules and _locale.setlocale(_locale.LC_ALL, None) != state.locale:
            _locale.setlocale(_locale.LC_ALL, state.locale)
        if "resource" in modules:
            self._limits(state)

    def _environment(self):
        os.environ = environ
        environ._data = self.table
        zone = self.table.get(b"TZ")
        for name in [name for name in self.table if name not in self.expected]:
            os.unsetenv(name)
            del self.table[name]
        for name, value in self.expected.items():
            if self.table.get(name) != value:
                os.putenv(name, value)
                self.table[name] = value
        if self.table.get(b"TZ") != zone:
            time.tzset()

    @staticmethod
    def _scheduling(state):
        try:
            os.setpriority(os.PRIO_PROCESS, 0, state.nice)
            os.sched_setaffinity(0, state.processors)
        except OSError:
            raise Broken("its nice value, or its processors, are not what they were") from None

    @staticmethod
    def _signals(state):
        _signal.set_wakeup_fd(-1)
        for timer in TIMERS:
            _signal.setitimer(timer, 0)
        for number, was in state.handlers.items():
            now = _signal.getsignal(number)
            if now is not was and now != was:
                if was is None:
                    raise Broken("signal %d has another handler" % number)
                _signal.signal(number, was)
        if _signal.pthread_sigmask(_signal.SIG_BLOCK, ()):
            _signal.pthread_sigmask(_signal.SIG_SETMASK, ())

    @staticmethod
    def _limits(state):
        for number, limits in state.limits.items():
            if resource.getrlimit(number) != limits:
                try:
                    resource.setrlimit(number, limits)
                except (OSError, ValueError):
                    raise Broken("resource limit %d is lower than it was" % number) from None

    def finish(self, folder):
        """Nothing of the call still runs. What is about to end has a moment for it; threads of libraries that
        wait for more to do may stay, and multiprocessing's helpers. @folder: of the source."""
        end = None
        while True:
            what = None
            if _thread._count() > self.threads and not self._wait(folder):
                what = "threads"
            else:
                try:
                    while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG) is not None:
                        pass  # ended, and nobody waited for it
                    if not children() <= helpers():
                        what = "processes"
                except ChildProcessError:
                    pass
            if what is None:
                return
            if end is None:
                end = time.monotonic() + GRACE_S
            elif time.monotonic() > end:
                raise Broken("%s of the call still run" % what)
            time.sleep(0.001)

    def _wait(self, folder):
        """Whether all threads but this one only wait; if so, so many there may be from now on."""
        count, own = _thread._count(), _thread.get_ident()
        frames = [frame for ident, frame in sys._current_frames().items() if ident != own]
        if len(frames) < count or not all(waits(frame, folder) for frame in frames):
            return False
        self.threads = count
        return True


def full():
    """The descriptor which, when there is one, says that most of those that may be are in use: they are given
    from the lowest on. Those behind it are for the calls to come, of which a worker gives them some."""
    number = os.sysconf("SC_OPEN_MAX") * 3 // 4
    return high() + OURS_MOST if high() <= number < high() + OURS_MOST else number


def waits(frame, folder):
    """Whether a thread stands in one of the standard library's waits, and not for code of the source."""
    code = frame.f_code
    if code.co_name not in WAITS or not code.co_filename.startswith(LIBRARY):
        return False
    while frame is not None:
        if frame.f_code.co_filename.startswith(folder):
            return False
        frame = frame.f_back
    return True


def children():
    """The processes that are children of this one."""
    found = set()
    for thread in os.listdir("/proc/self/task"):
        try:
            with open("/proc/self/task/%s/children" % thread) as f:
                found.update(map(int, f.read().split()))
        except OSError:
            pass
    return found


def helpers():
    """Processes that multiprocessing starts once, and keeps."""
    found = set()
    for name, holder, pid in (("multiprocessing.resource_tracker", "_resource_tracker", "_pid"),
                              ("multiprocessing.forkserver", "_forkserver", "_forkserver_pid")):
        found.add(getattr(getattr(modules.get(name), holder, None), pid, None))
    return found

"""What a call may change in the process, and how it is put back: between two calls a runner is as it was.

What nothing but a new process can undo (threads and children that still run, handlers of C code) raises
folders.Broken. The rest costs a comparison each; what can only have changed if a certain module is loaded is
looked at only then.
"""

import _locale
import _signal
import _thread
import _warnings
import gc
import os
import resource
import sys
import time
import warnings

from .folders import Broken

SIGNALS = [number for number in sorted(_signal.valid_signals())
           if number not in (_signal.SIGKILL, _signal.SIGSTOP)]
GRACE_S = 0.1  # for threads and processes that are about to end
forget_warnings = getattr(_warnings, "_filters_mutated", None) or getattr(
    _warnings, "_filters_mutated_lock_held", lambda: None)
LIMITS = sorted({getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")})
modules = sys.modules
modules.pop("resource")  # that it is there says that a call may have used it
environ = os.environ


class Process:
    """How it was when it was made."""

    def __init__(self, views):
        self.views = views
        self.pid = os.getpid()
        self.umask = os.umask(0o022)
        os.umask(self.umask)
        self.table = environ._data
        self.expected = dict(self.table)
        self.own = frozenset(name for name in (b"CASHET_TASK", b"CASHET_BATCH", b"CASHET_INDEX",
                                               b"CASHET_ATTEMPT", b"CASHET_CHECKPOINT") if name not in self.table)
        self.recursion = sys.getrecursionlimit()
        self.filters = list(warnings.filters)
        self.handlers = {number: _signal.getsignal(number) for number in SIGNALS}
        self.locale = _locale.setlocale(_locale.LC_ALL, None)
        self.threads = _thread._count()
        self.limits = {number: resource.getrlimit(number) for number in LIMITS}

    def adopt(self):
        """What an import leaves behind belongs to the source, and stays."""
        self.threads = max(self.threads, _thread._count())
        self.filters = list(warnings.filters)

    def announce(self, name, value):
        """A variable of the call's."""
        if self.expected.get(name) != value and name in self.own:
            self.expected[name] = self.table[name] = value
            os.putenv(name, value)

    def restore(self):
        if os.environ is not environ or environ._data is not self.table or self.table != self.expected:
            self._environment()
        if os.umask(self.umask) != self.umask:
            pass  # put back by asking
        if sys.getrecursionlimit() != self.recursion:
            sys.setrecursionlimit(self.recursion)
        if sys.gettrace() is not None:
            sys.settrace(None)
        if sys.getprofile() is not None:
            sys.setprofile(None)
        if not gc.isenabled():
            gc.enable()
        if warnings.filters != self.filters:
            warnings.filters[:] = self.filters
        forget_warnings()
        if "signal" in modules:
            self._signals()
        if "locale" in modules and _locale.setlocale(_locale.LC_ALL, None) != self.locale:
            _locale.setlocale(_locale.LC_ALL, self.locale)
        if "resource" in modules:
            self._limits()
        self.finish()

    def finish(self):
        """Nothing of the call still runs. What is about to end has a moment for it."""
        end = None
        while True:
            if _thread._count() <= self.threads:
                try:
                    while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG) is not None:
                        pass  # ended, and nobody waited for it
                except ChildProcessError:
                    return
                what = "processes"
            else:
                what = "threads"
            if end is None:
                end = time.monotonic() + GRACE_S
            elif time.monotonic() > end:
                raise Broken("%s of the call still run" % what)
            time.sleep(0.001)

    def _environment(self):
        os.environ = environ
        environ._data = self.table
        for name in [name for name in self.table if name not in self.expected]:
            os.unsetenv(name)
            del self.table[name]
        for name, value in self.expected.items():
            if self.table.get(name) != value:
                os.putenv(name, value)
                self.table[name] = value

    def _signals(self):
        for timer in (_signal.ITIMER_REAL, _signal.ITIMER_VIRTUAL, _signal.ITIMER_PROF):
            _signal.setitimer(timer, 0)
        for number in SIGNALS:
            was, now = self.handlers[number], _signal.getsignal(number)
            if now is not was and now != was:
                if was is None:
                    raise Broken("signal %d has another handler" % number)
                _signal.signal(number, was)
        if _signal.pthread_sigmask(_signal.SIG_BLOCK, ()):
            _signal.pthread_sigmask(_signal.SIG_SETMASK, ())

    def _limits(self):
        for number, limits in self.limits.items():
            if resource.getrlimit(number) != limits:
                try:
                    resource.setrlimit(number, limits)
                except (OSError, ValueError):
                    raise Broken("resource limit %d is lower than it was" % number) from None

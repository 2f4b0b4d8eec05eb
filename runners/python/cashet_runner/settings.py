"""Settings that modules of the standard library keep for the whole process, which a call may leave changed: put back
as process.State says. A module that is not loaded has none; a file of the source's may have its name.
"""

import _warnings
import gc
import os
import sys
import warnings

LIBRARY = os.path.dirname(os.__file__) + os.sep
HOOKS = ("excepthook", "unraisablehook", "displayhook", "dont_write_bytecode")
ROWS = 131072  # csv's own limit
# As many versions of Python have it: with other filters, warnings that were shown once are shown again.
forget_warnings = getattr(_warnings, "_filters_mutated", lambda: None)
modules, system = sys.modules, sys.__dict__
get_debug, callbacks = gc.get_debug, gc.callbacks
known = {}  # name to the module that is the standard library's


def standard(name):
    """The module of the standard library's, if it is loaded."""
    module = modules.get(name)
    if module is None or known.get(name) is module:
        return module
    file = getattr(module, "__file__", None)
    if file.__class__ is not str or not file.startswith(LIBRARY):
        return None
    known[name] = module
    return module


class Settings:
    """As they are now."""

    __slots__ = ("filters", "hooks", "limit", "debug", "callbacks", "handlers", "level", "disabled", "temporary",
                 "rows", "thread_hook")

    def __init__(self):
        self.filters = list(warnings.filters)
        self.hooks = (sys.excepthook, sys.unraisablehook, sys.displayhook, True)  # a source's folder belongs to all
        self.limit = system.get("tracebacklimit")
        self.debug, self.callbacks = get_debug(), list(callbacks)
        root = getattr(standard("logging"), "root", None)
        self.handlers = [] if root is None else list(root.handlers)
        self.level, self.disabled = (30, 0) if root is None else (root.level, root.manager.disable)
        self.temporary = getattr(standard("tempfile"), "tempdir", None)
        self.rows = modules["_csv"].field_size_limit() if "_csv" in modules else ROWS
        self.thread_hook = getattr(standard("threading"), "excepthook", None)

    def restore(self):
        if warnings.filters != self.filters:
            warnings.filters[:] = self.filters
        forget_warnings()
        if (sys.excepthook, sys.unraisablehook, sys.displayhook, sys.dont_write_bytecode) != self.hooks:
            for name, hook in zip(HOOKS, self.hooks):
                setattr(sys, name, hook)
        if system.get("tracebacklimit") != self.limit:
            sys.tracebacklimit = self.limit
            if self.limit is None:
                del sys.tracebacklimit
        if get_debug() != self.debug:
            gc.set_debug(self.debug)
        if callbacks != self.callbacks:
            callbacks[:] = self.callbacks
        if "logging" in modules:
            self._logging()
        if "tempfile" in modules:
            module = standard("tempfile")
            if module is not None and module.tempdir != self.temporary:
                module.tempdir = self.temporary
        if "_csv" in modules and modules["_csv"].field_size_limit() != self.rows:
            modules["_csv"].field_size_limit(self.rows)
        if "threading" in modules:
            self._threading()

    def _logging(self):
        """Handlers of a call's write to its files; logging.basicConfig() does nothing where there are some."""
        module = standard("logging")
        root = getattr(module, "root", None)
        if root is None:
            return
        if root.handlers != self.handlers:
            root.handlers[:] = self.handlers
        if root.level != self.level:
            root.setLevel(self.level)
        if root.manager.disable != self.disabled:
            module.disable(self.disabled)

    def _threading(self):
        module = standard("threading")
        if getattr(module, "_trace_hook", None) is not None:
            module.settrace(None)
        if getattr(module, "_profile_hook", None) is not None:
            module.setprofile(None)
        hook = getattr(module, "excepthook", None)
        if hook is not self.thread_hook and hook is not None:
            module.excepthook = self.thread_hook or getattr(module, "__excepthook__", hook)

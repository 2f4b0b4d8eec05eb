"""Which modules a source sees. Between calls of different sources the modules of the one are taken out of
sys.modules and those of the other put in, with sys.path and all else that finds modules; so two modules of one
name never meet, not in an import inside of a function and not in a pickle.

What the interpreter or pip installed is imported once and shared by all sources. But a source can have a file
named like one of these (json.py). It does not see the shared one then, and what it imports from outside may
have bound its file instead; none of that can be given to others, so after it the runner ends (Spoilt).
"""

import builtins
import importlib
import importlib.machinery
import importlib.util
import os
import sys

from .folders import Broken

import_module = importlib.import_module
find_spec = importlib.machinery.PathFinder.find_spec
modules = sys.modules


class Spoilt(Exception):
    """This process cannot serve the source that comes next; a fresh one can."""


class View:
    """What one source sees. @folder: its files. @modules: its own, as they were when it was left. @shadows: names
    of files that others could mean; @hidden: modules of these names, while it is visible. @state: what its import
    made of the process."""

    def __init__(self, folder, path):
        self.folder = os.path.join(folder, "")
        self.tops = tops_of(folder)
        self.modules, self.hidden, self.shadows = {}, {}, None
        self.path = [folder] + path
        self.meta_path, self.path_hooks = list(sys.meta_path), list(sys.path_hooks)
        self.argv, self.state = [self.folder], None

    def hides(self, name):
        return name.partition(".")[0] in self.shadows


def tops_of(folder):
    """Names of modules at the top of a folder."""
    try:
        names = os.listdir(folder)
    except OSError:
        return frozenset()
    return frozenset(name.partition(".")[0] for name in names
                     if name.endswith((".py", ".so")) or os.path.isdir(os.path.join(folder, name)))


class Views:
    """@startup: modules that every Python has from its start: no file of a source comes before them."""

    def __init__(self, startup):
        self.startup = frozenset(startup)
        self.path = list(sys.path)
        self.roots = tuple(os.path.join(p, "") for p in sys.path if os.path.isabs(p))
        self.shared = set(modules)
        self.argv = sys.argv
        self.current = None
        self.base = View(os.sep, [])
        self.base.path, self.base.tops, self.base.shadows = self.path, frozenset(), frozenset()
        self.base.argv = [""]
        self._builtins = dict(builtins.__dict__)

    def enter(self, view):
        """Makes @view, or with None nobody's, the visible one."""
        if self.current is not None:
            self._leave(self.current)
        self.current = view
        if view is not None:
            if view.shadows is None:
                view.shadows = frozenset(self._shadows(view))
            if view.shadows:
                for name in [name for name in modules if view.hides(name)]:
                    view.hidden[name] = modules.pop(name)
            modules.update(view.modules)
        self.restore()

    def _leave(self, view):
        if self._sort(view) and view.shadows:
            raise Spoilt("a file of the source is named like a module that others import (%s)"
                         % ", ".join(sorted(view.shadows)))
        for name in view.modules:
            del modules[name]
        modules.update(view.hidden)
        view.hidden = {}
        self._restore_builtins()

    def _restore_builtins(self):
        now = builtins.__dict__
        changed = [name for name, value in now.items() if self._builtins.get(name, now) is not value]
        if changed or len(now) != len(self._builtins):
            now.update(self._builtins)
            for name in set(now) - set(self._builtins):
                del now[name]

    def _sort(self, view):
        """Says in @view.modules what is the source's now; whether anything new is not."""
        new = modules.keys() - self.shared
        if view.shadows:
            new.update(name for name in modules if view.hides(name))
        own, found = {}, False
        for name in new:
            module = modules[name]
            if name in view.modules or self._owns(view, name, module):
                own[name] = module
            else:
                self.shared.add(name)
                found = True
        view.modules = own
        return found

    def _owns(self, view, name, module):
        file = getattr(module, "__file__", None)
        if file.__class__ is str:
            return file.startswith(view.folder) or not file.startswith(self.roots)
        spec = getattr(module, "__spec__", None)
        if getattr(spec, "origin", None) in ("built-in", "frozen"):
            return False
        places = getattr(module, "__path__", None)
        if places is not None:
            try:
                return any(place.startswith(view.folder) for place in places)
            except Exception:
                return True
        top = name.partition(".")[0]
        return top in view.tops or top not in self.shared and (
            top == name or self._owns(view, top, modules.get(top)))

    def _shadows(self, view):
        """Names of the source's that somebody else could mean."""
        for name in view.tops:
            if name in self.startup or not os.path.isfile(os.path.join(view.folder, name, "__init__.py")) \
                    and not is_module(view.folder, name):
                continue
            try:
                if name in modules or find_spec(name, self.path) is not None:
                    yield name
            except Exception:
                yield name

    def restore(self):
        """What finds modules, as it is for the visible source; calls may have changed it."""
        view = self.current or self.base
        if sys.modules is not modules or "builtins" not in modules:
            raise Broken("sys.modules is not what it was")
        if sys.path != view.path:
            sys.path = list(view.path)
        if sys.meta_path != view.meta_path:
            sys.meta_path[:] = view.meta_path
        if sys.path_hooks != view.path_hooks:
            sys.path_hooks[:] = view.path_hooks
        if sys.argv != view.argv:
            sys.argv = list(view.argv)

    def load(self, name, file):
        """The module @name of the visible source, which is @file; what its import leaves in sys.path counts
        from now on. If it fails nothing of the source stays loaded."""
        view = self.current
        view.argv = [file]
        self.restore()
        try:
            module = modules.get(name)
            if module is None or not same_file(module, file):
                module = import_module(name)
                if not same_file(module, file):  # the interpreter has one of that name in itself
                    module = self._by_file(name, file)
        except BaseException:
            self._forget(view)
            raise
        view.path, view.meta_path, view.path_hooks = list(sys.path), list(sys.meta_path), list(sys.path_hooks)
        return module

    @staticmethod
    def _by_file(name, file):
        spec = importlib.util.spec_from_file_location(name, file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def _forget(self, view):
        self._sort(view)
        for name in view.modules:
            del modules[name]
        view.modules = {}
        self.restore()

    def borrow(self, name):
        """A module of the standard library's, whatever the visible source calls so."""
        view = self.current
        if view is not None and view.shadows:
            hidden = {n: modules.pop(n) for n in list(modules) if n not in self.shared or view.hides(n)}
            modules.update(view.hidden)
        else:
            hidden = None
        path, sys.path = sys.path, list(self.path)
        try:
            return import_module(name)
        finally:
            sys.path = path
            if hidden is not None:
                self.shared.update(modules)
                for n in [n for n in modules if view.hides(n)]:
                    view.hidden[n] = modules.pop(n)
                modules.update(hidden)


def is_module(folder, name):
    return any(entry == name + ".py" or entry.startswith(name + ".") and entry.endswith(".so")
               for entry in os.listdir(folder))


def same_file(module, file):
    found = getattr(module, "__file__", None)
    return found == file or found.__class__ is str and os.path.realpath(found) == os.path.realpath(file)

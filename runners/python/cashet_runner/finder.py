"""Which file a module's name stands for, as Python's own search would find it, without running any of it.

Searched in this order: names that the interpreter has in itself; the roots (the folder of the entry's
top-level package, then what --root adds); the standard library; installed packages; sources that are
installed for editing. What is found in a root or installed for editing is the user's, and is followed.
"""

import os

from .installed import Installed, listing
from .looked import Looked
from .module import Binary, Module, Namespace
from .problems import Problem
from .source import FILE_MAX, Source, read
from .stdlib import BUILT_IN, MODULES

FILES_MAX = 5000
BYTES_MAX = 32 << 20

EXTERNAL = "external"  # the standard library, or installed: not followed
MISSING = "missing"


class Finder:
    """The modules of one set of roots. @main: the file that runs as __main__, or None. @in_package: it
    lies in a package, and what it imports by dots is beside it."""

    def __init__(self, roots, main=None, sources=None, installed=None):
        self.roots = roots
        self.main = main
        self.in_package = main is not None and os.path.isfile(os.path.join(roots[0], "__init__.py"))
        self.sources = {} if sources is None else sources  # shared by all targets
        self.installed = installed or Installed()
        self.looked = Looked(self.installed.looked)
        self.modules = {}  # dotted name to Module, Binary, Namespace, EXTERNAL or MISSING
        self.shadowing = []  # of the user's, named like one of the standard library's
        self._listings = {}
        self._count = self._bytes = 0

    def find(self, dotted):
        """What @dotted is. A file that is found is read and parsed; Problem if that fails."""
        found = self.modules.get(dotted)
        if found is None:
            parent, _, last = dotted.rpartition(".")
            found = self._below(self.find(parent), dotted, last) if parent else self._top(dotted)
            self.modules[dotted] = found
        return found

    def _below(self, package, dotted, last):
        if isinstance(package, (Module, Namespace)) and package.folders is not None:
            return self._in_folders(package.folders, dotted, last) or MISSING
        return package if package in (EXTERNAL, MISSING) else MISSING

    def _top(self, name):
        if name in BUILT_IN:
            return EXTERNAL
        found = self._in_folders(self.roots, name, name)
        if found is not None and not isinstance(found, Namespace):
            if name in MODULES:
                self.shadowing.append(found)
            return found
        if name in MODULES:
            return EXTERNAL
        installed = self.installed.file_of([name])
        if installed is not None and (found is None or installed[1].endswith((".py", ".so"))):
            return EXTERNAL  # what is installed goes before a mere folder of the user's
        if found is None:
            mapped = self.installed.mapped(name)
            found = self._in_folders(self.installed.search_paths() + ([mapped] if mapped else []),
                                     name, name)
        return found or MISSING

    def _in_folders(self, folders, dotted, last):
        portions = []
        for folder in folders:
            names = self._listing(folder)
            if last in names:
                inside = os.path.join(folder, last)
                self.looked.at(inside)
                if os.path.isfile(os.path.join(inside, "__init__.py")):
                    return self.load(dotted, os.path.join(inside, "__init__.py"), [inside])
            if last + ".py" in names:
                return self.load(dotted, os.path.join(folder, last + ".py"), None)
            for name in sorted(names):
                if name.endswith(".so") and name.startswith(last + "."):
                    return self._binary(dotted, os.path.join(folder, name))
            if last in names and os.path.isdir(os.path.join(folder, last)):
                portions.append(os.path.join(folder, last))
        return Namespace(dotted, portions) if portions else None

    def has(self, folders, name):
        """Whether a file there, or a folder, may be a module @name."""
        return any(name in names or name + ".py" in names or any(n.startswith(name + ".") for n in names)
                   for names in map(self._listing, folders))

    def _listing(self, folder):
        found = self._listings.get(folder)
        if found is None:
            self.looked.at(folder)
            found = self._listings[folder] = listing(folder)
        return found

    def load(self, dotted, file, folders, main=False):
        """The Module @dotted of @file; @folders: where its submodules are, if it is a package."""
        source = self.sources.get(file)
        if source is None:
            source = self.sources[file] = Source(file)
        self.looked.file(file, source.status)
        self._weigh(source.size, file)
        return Module(self, dotted, source, folders, main)

    def _binary(self, dotted, file):
        self.looked.at(file)
        data = read_all(file)
        self._weigh(len(data), file)
        return Binary(dotted, file, data)

    def _weigh(self, size, file):
        self._count += 1
        self._bytes += size
        if self._count > FILES_MAX or self._bytes > BYTES_MAX:
            raise Problem("too-many-files", "the files that it imports are more than %d, or larger than "
                          "%d MiB together" % (FILES_MAX, BYTES_MAX >> 20), file)


def read_all(file):
    """A binary module's bytes; it may be as large as a closure."""
    try:
        if os.path.isfile(file) and os.path.getsize(file) > FILE_MAX:
            if os.path.getsize(file) > BYTES_MAX:
                raise Problem("too-large", "a binary module may have %d MiB" % (BYTES_MAX >> 20), file)
            with open(file, "rb") as f:
                return f.read()
    except OSError as e:
        raise Problem("not-readable", "cannot read it: %s" % e.strerror, file) from None
    return read(file)[0]


def place_of(file):
    """(root, dotted name, folders of its submodules) of a file as a function's module: its package is
    as large as there are __init__.py above it. All folders from its own to the root were looked at."""
    folder, base = os.path.split(file)
    parts = [] if base == "__init__.py" else [base[:-3] if base.endswith(".py") else base]
    folders = [folder] if base == "__init__.py" else None
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        folder, name = os.path.split(folder)
        if not name:
            break
        parts.insert(0, name)
    return folder, ".".join(parts), folders

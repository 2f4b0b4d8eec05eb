"""Targets in, the answer of docs/runners.md out."""

import os
import sys

from . import packages, signature
from .digest import sha256
from .finder import Finder, place_of
from .grammar import FUNCTIONS
from .installed import Installed
from .looked import of_this_program
from .module import Definition, External, Module
from .problems import Problem, printable
from .reach import Reach
from .source import too_deep

PROTOCOL = 1


class Describer:
    """Describes targets one after the other; files are read once for all of them."""

    def __init__(self, roots, canonical, given=()):
        self.roots, self.canonical, self.given = roots, canonical, given
        self._sources, self._installed, self._finders = {}, Installed(of_this_program()), {}

    def answer(self, targets):
        return {"protocol": PROTOCOL, "describer": "python", "scheme": 1, "python": interpreter(),
                "targets": [self.target(target) for target in targets]}

    def target(self, target):
        """The row of one target; an error is a row too."""
        try:
            text_of(target)
            return dict({"target": target, "ok": True}, **self._describe(target))
        except Problem as e:
            problem = e
        except RecursionError:
            problem = too_deep(split(target)[0])
        except MemoryError:
            problem = Problem("too-large", "there is not enough memory to read it", split(target)[0])
        except Exception as e:  # a bug of ours must not cost the other targets their answers
            import traceback
            traceback.print_exc()
            problem = Problem("internal", "cashet-runner-python went wrong (%s: %s); please report what it "
                              "wrote to standard error" % (type(e).__name__, e))
        return {"target": printable(target), "ok": False, "error": problem.row()}

    def _describe(self, target):
        file, function = split(target)
        finder, module = self._open(file, script=function is None)
        entry = module.whole if function is None else self._entry(module, function, file)
        reach = Reach(finder, entry)
        text, digests = reach.canonical()
        rows, more = packages.of_reach(reach)
        for module_ in reach.modules.values():
            text_of(module_.file)
        found = {
            "entry": entry_row(module, entry, function),
            "hash": sha256(text.encode()).hexdigest(),
        }
        found["identity"] = identity(found["hash"], rows)
        found["packages"] = rows
        found["closure"] = closure(reach)
        found["definitions"] = [definition_row(reach, d, digest) for d, digest in digests]
        warnings = reach.warnings() + more
        warnings.sort(key=lambda w: (w.file, w.line, w.column, w.name, w.subject))
        found["warnings"] = unique([w.row() for w in warnings])
        found["looked"] = self._looked(finder, file)
        if self.canonical:
            found["canonical"] = text
        return found

    def _looked(self, finder, file):
        """What would have to change for another answer. What was looked at for other targets of the same
        roots counts too."""
        looked = finder.looked
        for path in self.given:
            looked.at(path)
        at, root = os.path.dirname(os.path.realpath(file)), finder.roots[0]
        while at != root and len(at) > len(root):
            looked.at(at)
            at = os.path.dirname(at)
        looked.at(root)
        looked.at(os.path.abspath(file))
        return looked.row()

    def _open(self, file, script):
        """The finder of a file's roots, and its module."""
        real = os.path.realpath(file)
        if not os.path.lexists(file):
            raise Problem("not-found", "there is no such file", file)
        if script:
            root, dotted, folders = os.path.dirname(real), stem(real), None
        else:
            root, dotted, folders = place_of(real)
            for part in dotted.split("."):
                if not part.isidentifier():
                    raise Problem("not-a-module", "%s is no name that Python could import; rename the file, "
                                  "or use it as code: of a command" % ascii(part), file)
        roots = [root] + [r for r in self.roots if r != root]
        key = (tuple(roots), real if script else None)
        found = self._finders.get(key)
        if found is None:
            finder = Finder(roots, real if script else None, self._sources, self._installed)
            main = finder.load(dotted, real, None, main=True) if script else None
            found = self._finders[key] = (finder, main)
        finder, module = found
        if module is None:
            module = finder.find(dotted)
            if not isinstance(module, Module) or os.path.realpath(module.file) != real:
                module = finder.modules[dotted] = finder.load(dotted, real, folders)
        return finder, module

    @staticmethod
    def _entry(module, function, file):
        """The Definition of the entry; what cannot be one is said here."""
        found = module.member(function)
        if isinstance(found, Definition) and found.kind != "binary":
            return found
        if isinstance(found, Module):
            raise Problem("not-a-function", "%s is a module (%s)" % (function, found.path), file, 1, 1)
        if isinstance(found, (External, Definition)):
            raise Problem("not-a-function", "%s is imported from %s, which is no source of yours; write a "
                          "function that calls it" % (function, getattr(found, "dotted", found)), file, 1, 1)
        names = sorted(n for n, b in module.binders.items()
                       if module.statements[b[-1]].__class__ in FUNCTIONS)
        raise Problem("no-such-function", "it defines no %s at its top level; it has: %s"
                      % (function, ", ".join(names[:10]) or "no functions"), file)


def split(target):
    """FILE:FUNCTION as (file, function); a file without one as (file, None)."""
    file, colon, function = target.rpartition(":")
    if not colon:
        return target, None
    if not function.isidentifier():
        if os.path.lexists(target):
            return target, None  # a colon in the name of a file
        raise Problem("bad-target", "%s is no name of a function at the top of a file: write FILE:FUNCTION"
                      % ascii(function), file)
    if not file:
        raise Problem("bad-target", "there is no file before the colon: write FILE:FUNCTION")
    return file, function


def stem(file):
    base = os.path.basename(file)
    return base[:-3] if base.endswith(".py") else base


def text_of(name):
    """Paths go into JSON, which is UTF-8."""
    try:
        return name.encode("utf-8") and name
    except UnicodeEncodeError:
        raise Problem("bad-target", "the file's name is not UTF-8: rename it") from None


def unique(rows):
    found = []
    for row in rows:
        if row not in found[-8:]:
            found.append(row)
    return found


def interpreter():
    return {"version": "%d.%d.%d" % sys.version_info[:3], "implementation": sys.implementation.name,
            "executable": printable(sys.executable or "")}


def identity(digest, rows):
    """The hash, and the versions that count."""
    text = "cashet-python-identity 1\n" + digest + "\n"
    for row in rows:
        if row["counts"]:
            text += "%s %s\n" % (ascii(row["name"]), ascii(row["version"]))
    return sha256(text.encode()).hexdigest()


def entry_row(module, entry, function):
    row = {"path": module.path, "module": module.name, "file": module.file, "function": function,
           "kind": entry.kind, "name": os.path.basename(module.file) + (":" + function if function else "")}
    if entry.kind == "script":
        return row
    row["defined"] = {"path": entry.module.path, "line": entry.node.lineno}
    if entry.kind == "function":
        row["kind"] = signature.kind_of(entry.node)
        row["signature"] = signature.of_function(entry.node, not all(
            keeps_signature(entry.module, d) for d in entry.node.decorator_list))
    return row


def keeps_signature(module, decorator):
    """A decorator that is known to leave alone how a function is called."""
    found = module.meaning(getattr(decorator, "func", decorator))
    if isinstance(found, External):
        return found.dotted in signature.KEEPS
    return found is None and getattr(decorator, "id", None) in signature.KEEPS


def closure(reach):
    """The files to ship, by path."""
    rows = []
    for module in reach.modules.values():
        rows.append({"path": module.path, "file": module.file, "size": module.size,
                     "sha256": module.sha256, "module": module.name})
    for binary in reach.binaries.values():
        rows.append({"path": binary.path, "file": binary.file, "size": binary.size,
                     "sha256": binary.sha256, "module": binary.dotted})
    rows = {row["path"]: row for row in reversed(rows)}  # a script may also be imported by name
    return [rows[path] for path in sorted(rows)]


def definition_row(reach, definition, digest):
    if definition is None:
        return {"label": "effects", "kind": "effects", "sha256": digest,
                "lines": [{"path": u.module.path, "line": u.node.lineno} for u in
                          sorted(reach.effects, key=reach._place)]}
    row = {"label": reach.labels[definition], "kind": definition.kind, "path": definition.module.path,
           "sha256": digest}
    if definition.indices and definition.kind not in ("module", "script"):
        row["line"] = definition.node.lineno
    return row

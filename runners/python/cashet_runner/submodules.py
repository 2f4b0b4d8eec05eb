"""What the attributes of a package are that have the names of files in it: p.x is the file p/x.py once something has
imported it, and what __init__.py binds as x from then on, if it does so later.

Whatever a package imports itself is known: its import always runs first. What others import comes later, and
has the last word then; whether they do, Reach knows.
"""

import ast

from .module import imports_below

PLAIN = (ast.Assign, ast.AugAssign, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)


class Submodules:
    """Of a package. @brought: name to the first of its statements by which it imports that file."""

    def __init__(self, package):
        self.package, self.brought = package, {}
        prefix, seen = package.dotted + ".", {package.dotted}
        for index, node in enumerate(package.statements):
            stack = [row + (package,) for inner in imports_below(node) for row in package.loaded_by(inner)][::-1]
            while stack:
                dotted, perhaps, module = stack.pop()
                if dotted in seen or perhaps and not self._is_file(dotted, module, index):
                    continue
                seen.add(dotted)
                found = package.finder.find(dotted)
                if found.__class__ is str:
                    continue
                if dotted.startswith(prefix) and "." not in dotted[len(prefix):]:
                    self.brought[dotted[len(prefix):]] = index
                stack += [row[:2] + (found,) for row in getattr(found, "loads", ())][::-1]

    def _is_file(self, dotted, module, index):
        """Whether "from a import b" imports a file b: not if a has such a name."""
        above, _, name = dotted.rpartition(".")
        found = self.package.finder.find(above)
        bound = getattr(found, "binders", {}).get(name)
        return bound is None or found is module and (found is not self.package or index <= bound[0])

    def statement(self, node):
        """The statement that the import @node is in."""
        return next((index for index, at in enumerate(self.package.statements)
                     if any(inner is node for inner in ast.walk(at))), None)

    def is_file(self, binding):
        """Whether a "from . import x" of the package itself means the file x, though x is also bound."""
        name = binding.member
        if name not in self.brought:
            return False
        index, first = self.statement(binding.node), self.package.binders.get(name, [None])[0]
        return index is not None and (first is None or index <= first)

    def bound_later(self, name):
        """Whether a statement that binds @name stands behind the import of the file (or is it)."""
        return name in self.brought and self._last(name) >= self.brought[name]

    def settled(self, name):
        """Whether it always does, so that the file is not p.NAME, whoever imports it."""
        if not self.bound_later(name):
            return False
        last = self._last(name)
        node = self.package.statements[last]
        return last == self.brought[name] or node.__class__ in PLAIN or \
            node.__class__ is ast.AnnAssign and node.value is not None

    def _last(self, name):
        return max(self.package.binders.get(name, [-1])[-1], max(
            (index for index, _ in self.package.stars if name in self.package.of_star(index)), default=-1))

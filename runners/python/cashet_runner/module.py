"""One file of the user's as a module: its top-level statements, who binds which name, what it imports.

Nothing is followed here; a name is only told what it stands for: a definition (Definition), a module, something
outside (External), or nothing known (None).
"""

import ast
import os

from .digest import sha256
from .grammar import FUNCTIONS, chain
from .scopes import OTHER, Scope, bind


class External:
    """What is not the user's: @dotted, as far as names go. @module: the part that is surely a module."""

    __slots__ = ("dotted", "module", "known")

    def __init__(self, dotted, module, known=True):
        self.dotted, self.module, self.known = dotted, module, known


class TypeOnly:
    """Imported for type checkers only: the name does not exist when the code runs."""


TYPE_ONLY = TypeOnly()


class Missing:
    """What an import takes from a module of the user's that does not define it. @hook: the module's
    __getattr__, which may, or None."""

    __slots__ = ("dotted", "hook")

    def __init__(self, dotted, hook):
        self.dotted, self.hook = dotted, hook


class Definition:
    """What a name of a module's top level stands for. @kind: function, class, variable; or module, script,
    for a whole file; or binary. @indices: the statements that make it."""

    __slots__ = ("kind", "name", "module", "indices")

    def __init__(self, kind, name, module, indices):
        self.kind, self.name, self.module, self.indices = kind, name, module, indices

    @property
    def node(self):
        return self.module.statements[self.indices[0]]


class Namespace:
    """A folder without __init__.py: a package of which only the submodules exist."""

    def __init__(self, dotted, folders):
        self.dotted, self.folders = dotted, folders


class Binary:
    """An extension module of the user's: counted by its bytes."""

    folders = None

    def __init__(self, dotted, file, data):
        self.dotted, self.file, self.size = dotted, file, len(data)
        self.sha256 = sha256(data).hexdigest()
        self.path = dotted.rpartition(".")[0].replace(".", "/")
        self.path += ("/" if self.path else "") + file.rpartition("/")[2]
        self.definition = Definition("binary", dotted.rpartition(".")[2], self, [])


class Module:
    """@folders: where its submodules are, None if it is no package. @main: it runs as __main__."""

    def __init__(self, finder, dotted, source, folders, main=False):
        self.finder, self.dotted, self.source, self.folders = finder, dotted, source, folders
        self.file, self.size, self.sha256 = source.file, source.size, source.sha256
        self.main = main
        self.name = "__main__" if main else dotted
        self.path = dotted.replace(".", "/") + ("/__init__.py" if folders is not None else ".py")
        if main:
            self.path = os.path.basename(source.file)
        self.future = False  # from __future__ import annotations
        self.statements, self.type_only = [], {}
        self.names, self.binders, self.stars = {}, {}, []
        self.loads = []  # of its own import: rows of loaded_by() and the statement
        self.units, self._studies, self._rebound = {}, {}, None
        self._definitions, self._looking, self._below = {}, set(), None
        self._lists = None  # whether __all__ is only bound
        self._take(source.tree.body)
        for index, node in enumerate(self.statements):
            self._bind(index, node)
        self.whole = Definition("script" if main else "module", self.name.rpartition(".")[2], self,
                                list(range(len(self.statements))))

    # ---- the top level ----

    def _take(self, body):
        for node in body:
            if node.__class__ is ast.If:
                if says_type_checking(node.test) and not self._checks(node.test):
                    scope = Scope("function")
                    bind(scope, node.body, self)
                    self.type_only.update(scope.names)
                    self._take(node.orelse)
                    continue
                if not self.main and says_main(node.test):
                    self._take(node.orelse)
                    continue
            if node.__class__ is ast.ImportFrom and node.module == "__future__" and not node.level:
                self.future |= any(a.name == "annotations" for a in node.names)
                continue
            self.statements.append(node)

    def _checks(self, test):
        """Whether the module says itself that TYPE_CHECKING is true."""
        return test.__class__ is ast.Name and any(
            node.__class__ in (ast.Assign, ast.AnnAssign) and getattr(node.value, "value", None) not in (False, 0)
            and any(getattr(target, "id", None) == test.id
                    for target in (node.targets if node.__class__ is ast.Assign else [node.target]))
            for node in self.source.tree.body)

    def _bind(self, index, node):
        scope = Scope("function")
        bind(scope, [node], self)
        for name, binding in scope.names.items():
            self.names[name] = OTHER if name in self.names else binding
            self.binders.setdefault(name, []).append(index)
        for name in scope.globals:  # allowed at the top, and nothing new there
            self.names.setdefault(name, OTHER)
        if node.__class__ is ast.ClassDef:
            for name in bound_by_class(node, self):
                self.names[name] = OTHER
                if index not in self.binders.setdefault(name, []):
                    self.binders[name].append(index)
        for node in imports_below(node):
            self.loads += [row + (node,) for row in self.loaded_by(node)]
            if node.__class__ is ast.ImportFrom and node.names[0].name == "*":
                self.stars.append((index, self.absolute(node)))

    def absolute(self, node):
        """The module that "from X import" means, or None if its dots lead out of the top; "" is the folder of a
        script that lies in a package."""
        if not node.level:
            return node.module or ""
        parts = [] if self.main else self.dotted.split(".")
        if parts and self.folders is None:
            parts.pop()
        up = node.level - 1
        if up > len(parts) or up == len(parts) and not self.finder.in_package:
            return None
        parts = parts[:len(parts) - up]
        return ".".join(parts + ([node.module] if node.module else []))

    def loaded_by(self, node):
        """(dotted name, whether it may also be no module) of what an import statement imports, parents
        first."""
        if node.__class__ is ast.Import:
            return [(name, False) for alias in node.names for name in prefixes(alias.name)]
        target = self.absolute(node)
        if target is None:
            return []
        if not target:  # from . import a, beside a script
            return [(alias.name, True) for alias in node.names if alias.name != "*"]
        return [(name, False) for name in prefixes(target)] + \
            [(target + "." + alias.name, True) for alias in node.names if alias.name != "*"]

    def study(self, index):
        """What the statement does when the module is imported, as effects.Study says."""
        found = self._studies.get(index)
        if found is None:
            from .effects import Study  # which looks names up here
            found = self._studies[index] = Study(self, self.statements[index])
        return found

    def rebound(self):
        """Names that functions of the module bind by "global"."""
        if self._rebound is None:
            self._rebound, stack = set(), list(self.statements)
            while stack:
                node = stack.pop()
                if node.__class__ is ast.Global:
                    self._rebound.update(node.names)
                for field in ("body", "handlers", "cases", "orelse", "finalbody"):
                    value = getattr(node, field, None)
                    if value.__class__ is list:
                        stack += value
        return self._rebound

    # ---- names ----

    def lookup(self, name):
        """What the global @name of this module stands for."""
        if name in self._looking:
            return None  # a circle of imports that defines nothing
        self._looking.add(name)
        try:
            last = self.binders.get(name, [-1])[-1]
            for index, target in reversed(self.stars):
                if index < last:
                    break
                found = target and self.finder.find(target)
                if isinstance(found, Module) and name in found.exported():
                    member = found.member(name)
                    hook = found.lookup("__getattr__") if member is None else None
                    return member if hook is None else Missing(target + "." + name, hook)
            if last < 0:
                return TYPE_ONLY if name in self.type_only else self._perhaps(name) or self._file(name)
            binding = self.names[name]
            return self.resolve(binding) if binding is not OTHER else self.define(name)
        finally:
            self._looking.discard(name)

    def _perhaps(self, name):
        """What a module of which __all__ is computed may give by "import *"."""
        for _, target in reversed(self.stars):
            found = target and self.finder.find(target)
            if isinstance(found, Module) and "__all__" in found.binders and found.names_listed() is None:
                member = found.member(name)
                if member is not None:
                    return member
        return None

    def _file(self, name):
        """The submodule that the package's own import makes a name of it."""
        if self.folders is None or not self.finder.has(self.folders, name) or name not in self.below().brought:
            return None
        return thing(self.finder.find(self.dotted + "." + name), self.dotted + "." + name)

    def below(self):
        """The package's Submodules."""
        if self._below is None:
            from .submodules import Submodules
            self._below = Submodules(self)
        return self._below

    def of_star(self, index):
        """What the "import *" of the statement binds."""
        found = [target and self.finder.find(target) for at, target in self.stars if at == index]
        return {name for module in found if isinstance(module, Module) for name in module.exported()}

    def meaning(self, node):
        """What a.b.c at the top level stands for; the definition that it is in, where it leads into one."""
        root, names = chain(node)
        if root is None:
            return None
        found = self.lookup(root.id)
        for name in names:
            if not isinstance(found, (Module, Namespace, External)):
                break
            found = attribute(self.finder, found, name)
        return found

    def define(self, name):
        found = self._definitions.get(name)
        if found is None:
            indices = self.binders[name]
            kind = "variable"
            node = self.statements[indices[0]]
            if len(indices) == 1 and getattr(node, "name", None) == name:
                kind = "function" if node.__class__ in FUNCTIONS else \
                    "class" if node.__class__ is ast.ClassDef else "variable"
            found = self._definitions[name] = Definition(kind, name, self, indices)
        return found

    def resolve(self, binding):
        """What an Import stands for."""
        if binding.target == "":
            found = thing(self.finder.find(binding.member), binding.member)
            if not isinstance(found, External):
                return found
        if not binding.target:
            return External("." + (binding.member or ""), "", known=False)
        found = self.finder.find(binding.target)
        if binding.member is None:
            return self._last_of(found, binding.target)
        if found is self and self.folders is not None and binding.member in self.binders and \
                self.names[binding.member] is not binding and self.below().is_file(binding):
            return thing(self.finder.find(self.dotted + "." + binding.member), self.dotted + "." + binding.member)
        member = attribute(self.finder, thing(found, binding.target), binding.member)
        if member is None:
            hook = found.lookup("__getattr__") if isinstance(found, Module) else None
            return Missing(binding.target + "." + binding.member, hook)
        return member

    def _last_of(self, found, dotted):
        """What "import a.b as c" binds: the attribute b of a."""
        above, _, name = dotted.rpartition(".")
        package = self.finder.find(above) if above else None
        if isinstance(package, Module) and package.folders is not None:
            bound = package.lookup(name)
            if bound is not None and bound is not found and package.below().bound_later(name):
                return bound
        return thing(found, dotted)

    def member(self, name):
        """What "from this import name" gives: a global, else a submodule; None if neither."""
        found = self.lookup(name)
        if found is None and self.folders is not None:
            below = self.finder.find(self.dotted + "." + name)
            if not isinstance(below, str):
                return thing(below, self.dotted + "." + name)
        return found

    def exported(self):
        """What "import *" takes."""
        listed = self.names_listed()
        if listed is not None:
            return listed
        names = {name for name in self.names if not name.startswith("_")}
        if self.folders is not None:
            names |= {name for name in self.below().brought if not name.startswith("_")}
        if "*" not in self._looking:
            self._looking.add("*")
            for _, target in self.stars:
                found = target and self.finder.find(target)
                if isinstance(found, Module):
                    names |= {name for name in found.exported() if not name.startswith("_")}
            self._looking.discard("*")
        return names

    def names_listed(self):
        """__all__, where it is written out; None if it is not there or computed."""
        names = set()
        for index in self.binders.get("__all__", ()):
            value = getattr(self.statements[index], "value", None)
            if value.__class__ not in (ast.List, ast.Tuple) or \
                    any(e.__class__ is not ast.Constant for e in value.elts):
                return None
            names |= {e.value for e in value.elts}
        if "__all__" not in self.binders:
            return None
        if self._lists is None:
            self._lists = not any(changes_all(inner) for node in self.statements for inner in ast.walk(node))
        return names if self._lists else None


def bound_by_class(node, module):
    """What the body of a class binds as the module's, by "global"."""
    found, stack = [], [node]
    while stack:
        node = stack.pop()
        if node.__class__ is ast.ClassDef:
            if any(inner.__class__ is ast.Global for inner in node.body):
                scope = Scope("class")
                bind(scope, node.body, module)
                found += [name for name in scope.names if name in scope.globals]
            stack += node.body
    return found


def changes_all(node):
    """__all__.append("x"), anywhere: a function, or a decorator, may do it while the module is imported."""
    return node.__class__ is ast.Attribute and node.attr in ("append", "extend", "insert", "remove", "pop", "clear") \
        and getattr(node.value, "id", None) == "__all__" or node.__class__ is ast.Global and "__all__" in node.names


def thing(found, dotted):
    """What an import of the module gives a name."""
    if isinstance(found, Binary):
        return found.definition
    if isinstance(found, str):
        return External(dotted, dotted, known=found == "external")
    return found


def attribute(finder, target, name):
    """@target.name, as far as it can be told without running anything; None if it cannot."""
    if isinstance(target, External):
        return External(target.dotted + "." + name, target.module, target.known)
    if isinstance(target, Module):
        return target.member(name)
    if isinstance(target, Namespace):
        below = finder.find(target.dotted + "." + name)
        return None if isinstance(below, str) else thing(below, target.dotted + "." + name)
    return None


def prefixes(dotted):
    parts = dotted.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts) + 1)]


def imports_below(node):
    """Import statements that run when @node does at the top level, in order."""
    found, stack = [], [node]
    while stack:
        node = stack.pop()
        if node.__class__ is ast.Import or node.__class__ is ast.ImportFrom:
            found.append(node)
        elif node.__class__ not in FUNCTIONS:
            below = []
            for field in ("body", "handlers", "cases", "orelse", "finalbody"):
                value = getattr(node, field, None)
                if value.__class__ is list:
                    below += value
            stack += reversed(below)
    return found


def says_type_checking(test):
    return getattr(test, "id", None) == "TYPE_CHECKING" or \
        test.__class__ is ast.Attribute and test.attr == "TYPE_CHECKING"


def says_main(test):
    """__name__ == "__main__", either way round."""
    if test.__class__ is not ast.Compare or len(test.ops) != 1 or test.ops[0].__class__ is not ast.Eq:
        return False
    sides = [test.left, test.comparators[0]]
    return {getattr(s, "id", None) for s in sides} == {"__name__", None} and \
        {getattr(s, "value", None) for s in sides} == {"__main__", None}

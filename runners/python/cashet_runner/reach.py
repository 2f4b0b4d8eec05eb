"""From the entry along all references: which definitions count, in which order, and the canonical form.

Also which modules an import of the entry's module runs, since the statements at their top level may change
what counts (effects.py), and since all of them must be shipped.
"""

import ast

from . import deeds, quiet
from .digest import sha256
from .module import Binary, Definition, Module
from .problems import Warning_
from .units import code_of, unit_of, warning
from .values import is_mutable, values_of

SCHEME = "cashet-python 1"
IMPORTS = (ast.Import, ast.ImportFrom)


def ancestors(module, node):
    """The classes of the user's that the class @node comes from."""
    found, stack = {}, [(module, base) for base in node.bases]
    while stack:
        at, base = stack.pop()
        while base.__class__ is ast.Subscript:
            base = base.value
        target = at.meaning(base)
        if isinstance(target, Definition) and target not in found:
            found[target] = True
            if target.kind == "class":
                stack += [(target.module, inner) for inner in target.node.bases]
    return found


class Reach:
    """@entry: a Definition. When made: @order, the Definitions that count; @modules, those that run."""

    def __init__(self, finder, entry):
        self.finder, self.entry = finder, entry
        self.order, self.labels = [], {}
        self.owner = {}  # unit to the Definition, or None: an effect
        self.units = {}  # Definition to its units
        self.effects = []
        self.subclasses = False  # something asks a class for its subclasses: those count then
        self.modules, self.binaries, self.missing = {}, {}, []
        self._used, self._closures, self._codes, self._runs = set(), {}, {}, {}
        if isinstance(entry.module, Module):
            if entry.module.main:
                self._import(entry.module)
            else:
                self._load(entry.module.dotted, False, None, None)
        self._add(entry)
        done = 0
        while True:
            while done < len(self.order):
                self._take_all(self.order[done])
                done += 1
            if not self._sweep():
                break

    # ---- definitions ----

    def _add(self, definition):
        if definition in self.labels:
            return
        name, n = definition.name, 1
        while name in self._used:
            n += 1
            name = "%s#%d" % (definition.name, n)
        self._used.add(name)
        self.labels[definition] = name
        self.order.append(definition)
        self.units[definition] = []

    def _take_all(self, definition):
        if definition.kind == "binary":
            self._load(definition.module.dotted, False, None, None)
            return
        whole = definition.kind in ("module", "script")
        if isinstance(definition.module, Module) and not definition.module.main:
            self._load(definition.module.dotted, False, None, None)
        for index in definition.indices:
            if whole and self._skipped(definition.module.statements[index]):
                continue
            self._take(unit_of(definition.module, index), definition)

    @staticmethod
    def _skipped(node):
        """Of whole files: imports (who uses the names says it), and what does nothing."""
        return node.__class__ in IMPORTS or node.__class__ is ast.Pass or \
            node.__class__ is ast.Expr and node.value.__class__ is ast.Constant

    def _take(self, unit, owner):
        (self.effects if owner is None else self.units[owner]).append(unit)
        if unit in self.owner:
            return
        self.owner[unit] = owner
        self.subclasses |= any(row.name == "subclasses" for row in unit.warnings)
        for definition in unit.refs:
            self._add(definition)
        for dotted, perhaps, node in unit.loads:
            self._load(dotted, perhaps, unit.module, node)

    # ---- modules ----

    def _load(self, dotted, perhaps, importer, node):
        """An import of @dotted, of all packages around it first. @perhaps: "from a import b", where b may
        be no module."""
        parts = dotted.split(".")
        for n in range(1, len(parts) + 1):
            name = ".".join(parts[:n])
            if name in self.modules or name in self.binaries:
                continue
            parent = self.modules.get(".".join(parts[:n - 1]))
            if perhaps and n == len(parts) and parent is not None and not self._is_module(parent, name):
                if parent.member(parts[-1]) is None and not parent.stars and \
                        parent.lookup("__getattr__") is None:
                    self.missing.append((name, importer, node))
                return
            found = self.finder.find(name)
            if found == "missing":
                if node is not None:
                    self.missing.append((name, importer, node))
                return
            if isinstance(found, Module):
                self._import(found)
            elif isinstance(found, Binary):
                self.binaries[name] = found

    @staticmethod
    def _is_module(parent, name):
        """Whether "from parent import" imports the module @name: not if it binds another thing so."""
        found = parent.member(name.rpartition(".")[2])
        if isinstance(found, Definition) and found.kind == "binary":
            return True
        if getattr(found, "folders", False) is not False and found.dotted == name:
            return True
        return parent.folders is not None and parent.finder.has(parent.folders, name.rpartition(".")[2]) and \
            name.rpartition(".")[2] in parent.below().brought

    def _import(self, module):
        self.modules[module.name] = module
        for dotted, perhaps, node in module.loads:
            self._load(dotted, perhaps, module, node)
        for _, target in module.stars:  # the files that __all__ names
            found = target and self.finder.find(target)
            if isinstance(found, Module) and found.folders is not None:
                for name in sorted(found.names_listed() or ()):
                    if found.lookup(name) is None and self.finder.find(target + "." + name).__class__ is not str:
                        self._load(target + "." + name, False, module, None)

    # ---- what else changes what counts ----

    def _sweep(self):
        """Takes top-level statements whose effect counts now; whether there were any."""
        found = False
        for module in list(self.modules.values()):
            for index, node in enumerate(module.statements):
                unit = module.units.get(index)
                if unit is not None and unit in self.owner:
                    continue
                if node.__class__ in IMPORTS:
                    continue
                study = module.study(index)
                if study.effect or self.subclasses and node.__class__ is ast.ClassDef and \
                        any(self._counts(base) for base in ancestors(module, node)):
                    self._take(unit_of(module, index), None)
                    found = True
                    continue
                touched = [d for d in dict.fromkeys(study.touches) if self._counts(d)]
                if touched:
                    for definition in touched:
                        self._take(unit_of(module, index), definition if definition in self.labels else
                                   definition.module.whole)
                    found = True
                elif any(self._changes(trigger, module, index) for trigger in study.triggers) or \
                        any(self._operates(module, *operation) for operation in study.operations) or \
                        study.own and self._calls_own(module, index, study.own):
                    self._take(unit_of(module, index), None)
                    found = True
        return self._take_hidden() or found

    def _take_hidden(self):
        """Takes files p/x.py, where p/__init__.py binds an x that counts and what p.x is may be either."""
        found = False
        for name, module in list(self.modules.items()):
            above, _, last = name.rpartition(".")
            package = self.modules.get(above)
            if package is None or module.whole in self.labels:
                continue
            bound = package.lookup(last)
            if bound is None or bound is module or package.below().settled(last) or \
                    isinstance(bound, Definition) and not self._counts(bound):
                continue
            self._add(module.whole)
            found = True
        return found

    def _changes(self, trigger, module, index):
        """Whether the code that statement @index of @module calls can change something that counts, or
        reaches outside."""
        expression = trigger.expression
        if self._is_method(trigger.module, getattr(expression, "func", expression)):
            return True
        code = self._code(trigger.module, expression)
        if self._reaches_mutable(code.refs):
            return True
        found = self._run(code, trigger.depth, True)
        if found.outside or any(self._counts(d) for d in found.stores) or self._renamed(found):
            return True
        for value in trigger.args:
            given = self._code(trigger.module, value)
            if found.given and any(self._counts(d) for d in given.refs) or \
                    (found.calls or found.asks) and any(not quiet.quiet(dotted) for dotted in given.mentions):
                return True
        if trigger.decorated and found.calls:  # the decorator calls what it decorates
            code = unit_of(module, index).code
            found = self._run(code, deeds.DEEP, True)
            return found.outside or self._reaches_mutable(code.refs) or self._renamed(found) or \
                any(self._reaches_mutable(body.refs) for body in found.bodies)
        return False

    def _is_method(self, module, called, depth=0):
        """@dispatch.register, of something that counts, also by a name of its own."""
        if called.__class__ is ast.Attribute:
            owner = module.meaning(called.value)
            if isinstance(owner, Definition) and self._counts(owner):
                return owner.kind != "variable" or is_mutable(owner)
        target = module.meaning(called)
        return depth < 9 and isinstance(target, Definition) and target.kind == "variable" and \
            any(self._is_method(target.module, value, depth + 1) for value in values_of(target) if value is not None)

    def _operates(self, module, value, methods):
        """Whether what an operator or an attribute of @value calls can change what counts."""
        code = self._code(module, value)
        found = self._run(code, 1, False, methods)
        return self._changed_by(found) or found.own and any(self._counts(d) for d in code.refs)

    def _calls_own(self, module, index, names):
        """Whether functions of a class that its body calls can."""
        return self._changed_by(deeds.run_own(unit_of, unit_of(module, index).code, names))

    def _changed_by(self, found):
        return found.outside or any(self._counts(d) for d in found.stores) or self._renamed(found) or \
            any(self._counts(d) and is_mutable(d) for body in found.bodies for d in body.refs)

    def _renamed(self, found):
        return any(self._counts(d) for body in found.bodies for d in body.renamed())

    def _counts(self, definition):
        """It does, or all of its module does."""
        return definition in self.labels or isinstance(definition.module, Module) and \
            definition.module.whole in self.labels

    def _reaches_mutable(self, definitions):
        return any(self._counts(inner) and is_mutable(inner) for definition in definitions
                   for inner in self._closure(definition))

    def _code(self, module, expression):
        found = self._codes.get(expression)
        if found is None:
            found = self._codes[expression] = code_of(module, expression)
        return found

    def _run(self, code, depth, calls, methods=frozenset()):
        key = code, depth, calls, methods
        found = self._runs.get(key)
        if found is None:
            found = self._runs[key] = deeds.run(unit_of, code, depth, calls, methods)
        return found

    def _closure(self, definition):
        """All that @definition reaches, itself included."""
        found = self._closures.get(definition)
        if found is None:
            found, stack = {definition: True}, [definition]
            while stack:
                at = stack.pop()
                if at.kind == "binary":
                    continue
                for index in at.indices:
                    if at.kind in ("module", "script") and self._skipped(at.module.statements[index]):
                        continue
                    for inner in unit_of(at.module, index).refs:
                        if inner not in found:
                            found[inner] = True
                            stack.append(inner)
            self._closures[definition] = found
        return found

    # ---- the canonical form ----

    def sections(self):
        """(Definition or None, text) in the order of the canonical form."""
        label = self.labels.__getitem__
        self._ranks = {module: n for n, module in enumerate(self.modules.values())}
        for definition in self.order:
            head = definition.kind + " " + label(definition)
            if definition.kind == "class":
                head += " " + definition.module.name + "." + definition.name
            elif definition.kind == "binary":
                head += " " + definition.module.sha256
            yield definition, self._section(head, self._sorted(definition), definition, label)
        if self.effects:
            units = sorted(self.effects, key=self._place)
            yield None, self._section("effects", units, None, label)

    def _sorted(self, definition):
        """In the order of the file; changes from other modules come last."""
        return sorted(self.units[definition], key=lambda u: (u.module is not definition.module,
                                                             self._place(u)))

    def _place(self, unit):
        return self._ranks.get(unit.module, len(self._ranks)), unit.index

    def _section(self, head, units, owner, label):
        lines = [head]
        for unit in units:
            first = self.owner[unit]
            if first is owner:
                lines.append("  " + unit.text(label))
            else:
                lines.append("  (see %s)" % ("@" + label(first) if first is not None else "effects"))
        return "\n".join(lines) + "\n"

    def canonical(self):
        """(text, [(Definition or None, SHA-256 of its section)])."""
        texts = ["%s\nentry @%s\n" % (SCHEME, self.labels[self.entry])]
        digests = []
        for definition, text in self.sections():
            texts.append(text)
            digests.append((definition, sha256(text.encode()).hexdigest()))
        return "".join(texts), digests

    # ---- warnings ----

    def warnings(self):
        found = []
        for unit in self.owner:
            found += unit.warnings
        for name, module, node in self.missing:
            found.append(warning(module, "import-not-found", name, "the module %s is not found: if it is "
                                 "there when the code runs, it does not count (is its folder a root?)"
                                 % name, node))
        for definition in self.order:
            found += self._captured(definition)
        for module in self.finder.shadowing:
            if self.modules.get(module.dotted) is module:
                found.append(Warning_("shadows-standard-library", module.dotted, "%s is named like a module "
                                      "of the standard library and is found before it" % module.path,
                                      module.file, 1, 1))
        seen = {}
        for row in found:
            seen.setdefault((row.file, row.line, row.column, row.name, row.subject), row)
        return [seen[key] for key in sorted(seen)]

    def _captured(self, definition):
        """f = make(3), where make() returns a function that keeps variables of it."""
        if definition.kind != "variable" or len(definition.indices) != 1:
            return []
        value = getattr(definition.node, "value", None)
        if value.__class__ is not ast.Call or value.func.__class__ is not ast.Name:
            return []
        made = definition.module.lookup(value.func.id)
        if not isinstance(made, Definition) or made.kind != "function":
            return []
        kept = sorted(unit_of(made.module, made.indices[0]).captures)
        return [warning(definition.module, "captured-variable", "%s.%s" % (definition.name, name),
                        "%s is made by %s() and may keep its variable %s: the call counts as it is written, "
                        "not the value" % (definition.name, made.name, name), definition.node)
                for name in kept]

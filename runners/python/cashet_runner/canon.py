"""Syntax to canonical text: docs/runners.md has the scheme. Names are written as what they stand for:

    x          a local name, or one that is bound here
    @load      a definition of the user's, by its label (filled in when all definitions are known)
    $os.path   something outside: the standard library or an installed package
    %len       a builtin, or nothing known

What has no effect is left out: docstrings and other constants that stand alone, and pass.
"""

import ast
import builtins

from . import deeds, dynamic, quoted
from .grammar import COMPREHENSIONS, FUNCTIONS, ROWS, SIGNS, chain
from .module import TYPE_ONLY, Definition, External, Missing, Module, Namespace, attribute
from .problems import Problem
from .scopes import OTHER, Import, imports, of_class, of_comprehension, of_function, of_types
from .stdlib import BUILTINS

LOCAL = object()
PLACES = frozenset(("__file__", "__path__", "__spec__", "__loader__", "__package__", "__cached__"))


class Writer:
    """Writes nodes of @module into @unit."""

    def __init__(self, module, unit):
        self.module, self.unit = module, unit
        self.put = unit.parts.append
        self.scopes, self.classes = [], []
        self.depth = 1
        self.at, self.kept = unit.code, set()  # for deeds.py

    def node(self, node):
        write = SPECIAL.get(node.__class__)
        if write is not None:
            return write(self, node)
        row = ROWS.get(node.__class__)
        if row is None:
            raise Problem("syntax-unknown", "%s is syntax that this version of cashet does not know"
                          % node.__class__.__name__, self.module.file, getattr(node, "lineno", 0), 1)
        self.put("(" + row[0])
        for field in row[1]:
            self.put(" ")
            self.value(getattr(node, field, None))
        self.put(")")

    def value(self, value):
        """A field: a node, none, a list, or an operator."""
        if value is None:
            self.put("-")
        elif value.__class__ is list:
            if value and isinstance(value[0], (ast.stmt, ast.excepthandler)) or \
                    value and value[0].__class__.__name__ == "match_case":
                self.body(value)
            else:
                self.items(value)
        elif value.__class__ in SIGNS:
            self.put(SIGNS[value.__class__])
        else:
            self.node(value)

    def items(self, values):
        self.put("[")
        for n, value in enumerate(values):
            if n:
                self.put(" ")
            self.value(value)
        self.put("]")

    def body(self, statements):
        """A block: a line for each statement that does something."""
        self.put("[")
        self.depth += 1
        line = "\n" + "  " * self.depth
        for statement in statements:
            if not idle(statement):
                self.put(line)
                self.node(statement)
        self.depth -= 1
        self.put("]")

    def tagged(self, tag, *values):
        """(tag value...), where a text is written as it is."""
        self.put("(" + tag)
        for value in values:
            self.put(" ")
            if value.__class__ is str:
                self.put(value)
            else:
                self.value(value)
        self.put(")")

    # ---- names ----

    def stands_for(self, name):
        """LOCAL, or what the module's lookup says: what reading @name here means."""
        scopes = self.scopes
        for at in range(len(scopes) - 1, -1, -1):
            scope = scopes[at]
            if scope.kind == "class" and at != len(scopes) - 1:
                continue
            if name in scope.globals:
                break
            if name in scope.names:
                binding = scope.names[name]
                if scope.top and binding is OTHER and \
                        any(s.kind == "function" for s in scopes[at + 1:]):
                    self.unit.captures.add(name)
                return LOCAL if binding is OTHER else self.module.resolve(binding)
        found = self.module.lookup(name)
        if found is None and self.classes and name.startswith("__") and not name.endswith("__"):
            found = self.module.lookup(mangled(self.classes[-1], name))
        return found

    def name(self, node):
        name = node.id
        if node.ctx.__class__ is not ast.Load:
            return self.store(name)
        target = self.stands_for(name)
        if target is not LOCAL:
            return self.target(target, name, node)
        if node not in self.kept:
            self.at.uses.add(name)
        if self.scopes[-1].kind == "class" and name in self.scopes[-1].names:
            outer = self.module.lookup(name)  # x = x in a class reads the one outside first
            if outer is not None:
                self.put("(own " + name + " ")
                self.target(outer, name, node)
                return self.put(")")
        self.put(name)

    def store(self, name):
        for scope in reversed(self.scopes):
            if name in scope.globals:
                target = self.module.lookup(name)
                return self.refer(target) if isinstance(target, Definition) else self.put("%" + name)
            if name in scope.names and scope.kind != "comprehension":
                break
        self.put(name)

    def refer(self, definition):
        self.unit.refs[definition] = True
        self.at.refs[definition] = self.at.refs.get(definition, 0) + 1
        self.put(definition)

    def target(self, target, name, node):
        """What a name that is not local stands for."""
        if isinstance(target, Definition):
            self.refer(target)
        elif isinstance(target, External):
            self.put("$" + target.dotted)
            self.unit.external(target, node)
            self.at.mentions.add(target.dotted)
        elif isinstance(target, Module):
            self.refer(target.whole)
        elif isinstance(target, Namespace):
            self.put("(namespace " + target.dotted + ")")
            self.unit.warn("module-as-value", target.dotted, "the package %s is used as a value: which of "
                           "its modules that reaches is not known" % target.dotted, node)
        elif isinstance(target, Missing):  # the import is warned about
            self.put("%" + target.dotted)
            if isinstance(target.hook, Definition):
                self.unit.refs[target.hook] = True
        elif target is TYPE_ONLY:
            self.put("(type-only " + name + ")")
        elif name == "__name__":
            self.put("(module-name " + ascii(self.module.name) + ")")
        elif name in PLACES:
            self.put("(module-place " + name + " " + ascii(self.module.path) + ")")
            self.unit.warn("place-used", name, "%s is read here: where the source lies is no part of its "
                           "identity, but its path in the closure" % name, node)
        else:
            self.unknown(name, node)

    def unknown(self, name, node):
        self.put("%" + name)
        if name == "__doc__":
            self.unit.warn("docstring-used", name, "the module's docstring is read here, and docstrings do "
                           "not count", node)
        elif name not in BUILTINS and not hasattr(builtins, name):
            stars = [star for _, star in self.module.stars if star
                     and self.module.finder.find(star).__class__ is str]
            for star in stars:
                self.unit.external(External(star, star, self.module.finder.find(star) == "external"), node)
            if not stars and name not in self.unit.undefined and name not in self.module.rebound():
                self.unit.undefined.add(name)
                self.unit.warn("undefined-name", name, "nothing defines %s; if it is put there while the "
                               "code runs, what it is does not count" % name, node)

    def attribute(self, node):
        root, names = chain(node)
        self.at.attrs.update(names)
        if node.ctx.__class__ is not ast.Load:
            deeds.stored(self, node if root is not None and len(names) == 1 and self.is_module(root)
                         else node.value)
            if node.value is root:
                self.kept.add(root)
        if root is not None:
            target = self.stands_for(root.id)
            if isinstance(target, Module):
                self.asks(names, node)
            if isinstance(target, (Module, Namespace, External)):
                return self.dotted(root, target, names, node)
        self.asks(names, node)
        base = node
        while base.__class__ is ast.Attribute:
            base = base.value
        self.put("(attr " * len(names))
        self.node(base)
        for name in names:
            self.put(" " + name + ")")

    def asks(self, names, node):
        """Warns about attributes that are more than what the source says."""
        if "__doc__" in names:
            self.unit.warn("docstring-used", "__doc__", "a docstring is read here, and docstrings do not "
                           "count", node)
        elif "__subclasses__" in names:
            self.unit.warn("subclasses", "__subclasses__", "subclasses that are made while the code runs do not "
                           "count", node)

    def is_module(self, root):
        return isinstance(self.stands_for(root.id), Module)

    def subscript(self, node):
        if node.ctx.__class__ is not ast.Load:
            deeds.stored(self, node.value)
        else:
            quoted.subscript(self, node)
            if self.is_this_module(node):
                self.unit.refs[self.module.whole] = self.at.refs[self.module.whole] = True
                self.put("(item $sys.modules ")
                self.node(node.slice)
                return self.put(")")
        self.tagged("item", node.value, node.slice)

    def is_this_module(self, node):
        """sys.modules[__name__]"""
        root, names = chain(node.value)
        if root is None or getattr(node.slice, "id", None) != "__name__" or self.stands_for("__name__") is not None:
            return False
        target = self.stands_for(root.id)
        return isinstance(target, External) and ".".join([target.dotted] + names) == "sys.modules"

    def return_(self, node):
        if node.value.__class__ is ast.Name:
            self.kept.add(node.value)
        self.tagged("return", node.value)

    def dotted(self, root, target, names, node):
        """root.names, where root is a module: as far as it leads."""
        finder, taken = self.module.finder, 0
        while taken < len(names) and isinstance(target, (Module, Namespace)):
            inner = attribute(finder, target, names[taken])
            if inner is None:
                break
            target = inner
            taken += 1
        names = names[taken:]
        if names and isinstance(target, External):
            target, names = External(".".join([target.dotted] + names), target.module, target.known), []
        if names and isinstance(target, (Module, Namespace)):
            target = self.odd_member(target, names.pop(0), node)
        self.put("(attr " * len(names))
        if target.__class__ is str:
            self.put(target)
        else:
            self.target(target, root.id, node)
        for name in names:
            self.put(" " + name + ")")

    def odd_member(self, module, name, node):
        """An attribute of a module that its source does not bind."""
        if isinstance(module, Module):
            if name == "__dict__":
                return module.whole
            hook = module.lookup("__getattr__")
            if isinstance(hook, Definition):
                self.unit.refs[hook] = True
            elif name == "__name__":
                return "(module-name " + ascii(module.name) + ")"
            elif not (name.startswith("__") and name.endswith("__")) and not module.stars:
                self.unit.warn("unknown-attribute", module.dotted + "." + name, "nothing in %s defines %s; if "
                               "it is put there while the code runs, what it is does not count"
                               % (module.path, name), node)
        return "(member " + module.dotted + " " + name + ")"

    # ---- definitions ----

    def function(self, node):
        self.put("(def " if node.__class__ is ast.FunctionDef else "(async-def ")
        self.put(node.name + " ")
        self.items(node.decorator_list)
        self.types(node)
        self.put(" ")
        self.arguments(node.args)
        self.put(" ")
        self.annotation(node.returns)
        self.value(node.returns)
        self.put(" ")
        self.enter("function", node.name, node.args)
        if node.decorator_list and self.at.parent.kind == "function":
            deeds.decorated(self, node, self.at)
        self.scopes.append(of_function(node, self.module, not self.scopes))
        self.body(node.body)
        self.scopes.pop()
        self.leave()
        self.end_types(node)
        self.put(")")

    def enter(self, kind, name="", args=None):
        self.at = self.at.inner(kind, name, args)

    def leave(self):
        self.at = self.at.parent

    def types(self, node):
        params = getattr(node, "type_params", None)
        if params:
            self.scopes.append(of_types(params))
            self.put(" (types ")
            self.items(params)
            self.put(")")

    def end_types(self, node):
        if getattr(node, "type_params", None):
            self.scopes.pop()

    def arguments(self, args):
        """(KIND name annotation default) each; KIND: pos, any, rest, key, keys."""
        plain = args.posonlyargs + args.args
        defaults = [None] * (len(plain) - len(args.defaults)) + args.defaults
        rows = [("pos" if n < len(args.posonlyargs) else "any", arg, default)
                for n, (arg, default) in enumerate(zip(plain, defaults))]
        if args.vararg:
            rows.append(("rest", args.vararg, None))
        rows += [("key", arg, default) for arg, default in zip(args.kwonlyargs, args.kw_defaults)]
        if args.kwarg:
            rows.append(("keys", args.kwarg, None))
        self.put("[")
        for n, (kind, arg, default) in enumerate(rows):
            self.put(" " if n else "")
            self.annotation(arg.annotation)
            self.tagged(kind, arg.arg, arg.annotation, default)
        self.put("]")

    def annotation(self, node):
        if node is not None:
            self.unit.annotated = True
            quoted.annotation(self, node)

    def lambda_(self, node):
        self.put("(lambda ")
        self.arguments(node.args)
        self.put(" ")
        self.enter("lambda", "", node.args)
        self.scopes.append(of_function(node, self.module, False))
        self.node(node.body)
        self.scopes.pop()
        self.leave()
        self.put(")")

    def class_(self, node):
        self.put("(class " + node.name + " ")
        self.items(node.decorator_list)
        self.types(node)
        self.put(" ")
        self.items(node.bases)
        self.put(" ")
        self.items(node.keywords)
        self.put(" ")
        self.scopes.append(of_class(node, self.module))
        self.classes.append(node.name)
        self.enter("class", node.name)
        self.body(node.body)
        self.leave()
        self.classes.pop()
        self.scopes.pop()
        self.end_types(node)
        self.put(")")

    def alias(self, node):
        self.put("(type " + node.name.id)
        self.types(node)
        self.put(" ")
        self.node(node.value)
        self.end_types(node)
        self.put(")")

    def type_param(self, node):
        kind = {"TypeVar": "var", "ParamSpec": "params", "TypeVarTuple": "vars"}[node.__class__.__name__]
        self.tagged(kind, node.name, getattr(node, "bound", None), getattr(node, "default_value", None))

    def annotated(self, node):
        if self.scopes and self.scopes[-1].kind == "function":
            self.unit.annotated = True  # of a local: nobody can ask for it
        else:
            self.annotation(node.annotation)
        self.tagged("annotate" if node.simple else "annotate-only", node.target, node.annotation, node.value)

    def comprehension(self, node):
        """The first iterable belongs to the scope around it."""
        self.put({ast.ListComp: "(list-of ", ast.SetComp: "(set-of ", ast.DictComp: "(dict-of ",
                  ast.GeneratorExp: "(each "}[node.__class__])
        self.node(node.generators[0].iter)
        self.scopes.append(of_comprehension(node))
        for n, part in enumerate(node.generators):
            self.put(" ")
            self.tagged("async-for" if part.is_async else "for", part.target, part.iter if n else "-",
                        part.ifs)
        self.put(" ")
        if node.__class__ is ast.DictComp:
            self.node(node.key)
            self.put(" ")
            self.node(node.value)
        else:
            self.node(node.elt)
        self.scopes.pop()
        self.put(")")

    # ---- imports: who uses the names says what they mean; what remains is that the import happens ----

    def import_(self, node):
        module = self.module
        names = self.scopes[-1].names if self.scopes else module.names
        self.unit.loads += [row + (node,) for row in module.loaded_by(node)]
        self.put("(import")
        for name, binding in imports(node, module):
            target = module.resolve(binding)
            if self.at.kind == "function" and not isinstance(target, External):
                self.at.outside = True  # it runs a module of the user's, which is shipped only if this counts
            dotted = (binding.target or ".") + ("." + binding.member if binding.member else "")
            if self.scopes and self.scopes[-1].kind == "class":  # self.NAME reads it
                whole = target.whole if isinstance(target, Module) else target
                if isinstance(whole, Definition):
                    self.unit.refs[whole] = self.at.refs[whole] = True
            if isinstance(names.get(name), Import):
                if isinstance(target, External):
                    self.put(" ")
                    self.target(target, name, node)
            else:
                self.put(" (bind " + name + " ")
                if target is None:
                    self.put("%" + dotted)
                else:
                    self.target(target, name, node)
                self.put(")")
        if node.__class__ is ast.ImportFrom and node.names[0].name == "*":
            star = module.absolute(node) or "."
            if module.finder.find(star).__class__ is str:
                self.put(" $" + star + ".*")
                self.unit.external(External(star, star, module.finder.find(star) == "external"), node)
        self.put(")")

    # ---- calls and constants ----

    def call(self, node):
        called = deeds.called(self, node)
        quoted.call(self, node)
        self.put("(call ")
        self.node(node.func)
        self.put(" ")
        self.items(node.args)
        for keyword in node.keywords:
            self.put(" ")
            self.node(keyword)
        if called is not None:
            dynamic.check(self, node, called)
        self.put(")")

    def keyword(self, node):
        self.tagged("kw" if node.arg else "kws", *([node.arg] if node.arg else []), node.value)

    def constant(self, node):
        self.put(literal(node.value))

    def joined(self, node):
        """f"...": neighbouring texts are one, empty ones are none, and without a value it is a text."""
        parts = []
        for part in node.values:
            if part.__class__ is ast.Constant:
                if parts and parts[-1].__class__ is str:
                    parts[-1] += part.value
                else:
                    parts.append(part.value)
            else:
                parts.append(part)
        parts = [part for part in parts if part != ""]
        if node.__class__ is ast.JoinedStr and all(part.__class__ is str for part in parts):
            return self.put(ascii("".join(parts)))
        self.put("(format" if node.__class__ is ast.JoinedStr else "(template")
        for part in parts:
            self.put(" ")
            if part.__class__ is str:
                self.put(ascii(part))
            else:
                self.node(part)
        self.put(")")

    def formatted(self, node):
        spec = node.format_spec
        if spec is not None and not any(getattr(v, "value", None) != "" for v in spec.values):
            spec = None
        text = [ascii(node.str)] if hasattr(node, "str") else []
        self.tagged("value", *text, node.value, chr(node.conversion) if node.conversion > 0 else "-", spec)

    def dict_(self, node):
        self.put("(dict")
        for key, value in zip(node.keys, node.values):
            self.put(" ")
            self.tagged("spread", value) if key is None else self.tagged("pair", key, value)
        self.put(")")

    # ---- patterns and the rest ----

    def match_as(self, node):
        self.tagged("match-as", node.name or "-", node.pattern)

    def match_mapping(self, node):
        self.tagged("match-mapping", node.keys, node.patterns, node.rest or "-")

    def match_class(self, node):
        self.tagged("match-class", node.cls, node.patterns, "[" + " ".join(node.kwd_attrs) + "]",
                    node.kwd_patterns)

    def handler(self, node):
        self.tagged("except", node.type, node.name or "-", node.body)


def idle(node):
    """A statement that does nothing: a docstring, a constant that stands alone, pass."""
    cls = node.__class__
    return cls is ast.Pass or cls is ast.Expr and node.value.__class__ is ast.Constant


def mangled(cls, name):
    cls = cls.lstrip("_")
    return "_" + cls + name if cls else name


def literal(value):
    """A constant: values that differ in type or value have different texts, in every version."""
    cls = value.__class__
    if cls is str:
        return ascii(value)
    if cls is int:
        return str(value) if -(1 << 63) <= value < 1 << 63 else hex(value)
    if cls is float:
        return repr(value) if value < float("inf") else "1e999"
    if cls is complex:
        return "(complex " + literal(value.imag) + ")"
    return "..." if value is Ellipsis else repr(value)  # bytes, True, False, None


SPECIAL = {
    ast.Name: Writer.name, ast.Attribute: Writer.attribute, ast.Call: Writer.call,
    ast.Constant: Writer.constant, ast.keyword: Writer.keyword, ast.Lambda: Writer.lambda_,
    ast.ClassDef: Writer.class_, ast.AnnAssign: Writer.annotated, ast.JoinedStr: Writer.joined,
    ast.FormattedValue: Writer.formatted, ast.Dict: Writer.dict_, ast.ExceptHandler: Writer.handler,
    ast.Import: Writer.import_, ast.ImportFrom: Writer.import_,
    ast.Global: lambda w, n: w.tagged("global", *n.names),
    ast.Nonlocal: lambda w, n: w.tagged("nonlocal", *n.names),
    ast.Pass: lambda w, n: w.put("(pass)"),
    ast.Subscript: Writer.subscript, ast.Return: Writer.return_,
}
for _cls in FUNCTIONS:
    SPECIAL[_cls] = Writer.function
for _cls in COMPREHENSIONS:
    SPECIAL[_cls] = Writer.comprehension
for _name, _write in {
        "MatchAs": Writer.match_as, "MatchMapping": Writer.match_mapping, "MatchClass": Writer.match_class,
        "MatchStar": lambda w, n: w.tagged("match-star", n.name or "-"),
        "MatchSingleton": lambda w, n: w.tagged("match-value", literal(n.value)),
        "TypeAlias": Writer.alias, "TypeVar": Writer.type_param, "ParamSpec": Writer.type_param,
        "TypeVarTuple": Writer.type_param, "TemplateStr": Writer.joined,
        "Interpolation": Writer.formatted}.items():
    if hasattr(ast, _name):
        SPECIAL[getattr(ast, _name)] = _write

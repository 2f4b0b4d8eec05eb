"""What the user's code does when it runs while a module is imported: whether it may reach outside (random.seed(),
os.environ[...] = ..., print()), which definitions it changes by an attribute, whether it calls what it is given.

The Writer notes in a Code, one for each body, what stands in it; run() goes along names from those that are called.
A method counts as run if something names an attribute so, a function inside of another if something there uses
it otherwise than to return it. What is not known to be quiet (quiet.py) is not.
"""

import ast

from . import quiet
from .grammar import chain
from .module import Definition, External, Missing, Module, Namespace, attribute

ANY = object()
DEEP = 9  # so many times what is returned may be called: no limit
MAKING = frozenset(("__init__", "__new__", "__post_init__", "__init_subclass__", "__set_name__", "__prepare__",
                    "__class_getitem__"))
SIDEWAYS = frozenset(("__bases__", "__mro__", "__base__", "__class__", "__globals__", "__builtins__", "__dict__"))
HARMLESS = quiet.BUILTINS | {"next", "vars", "dir", "locals", "aiter", "anext", "setattr", "delattr"}


class Code:
    """One body. @refs: Definitions in it; @deep: those of which the result is called; @called: variables that are
    called, or changed. @uses, @attrs: names of locals and of attributes that it reads. @given: it changes an
    argument; @calls: it calls one, or something that only the run knows; @asks: a method of one. @dynamic: it reads
    attributes by computed names. @local: it changes something by a local name, which may be anything that it names
    otherwise than to call it."""

    __slots__ = ("kind", "name", "params", "parent", "children", "refs", "deep", "called", "uses", "attrs",
                 "mentions", "stores", "outside", "given", "own", "calls", "asks", "always", "dynamic",
                 "callees", "local")

    def __init__(self, kind, name="", params=(), parent=None):
        self.kind, self.name, self.params, self.parent = kind, name, params, parent
        self.children, self.refs, self.callees = [], {}, {}
        self.deep, self.called, self.uses, self.attrs, self.mentions, self.stores = (
            set(), set(), set(), set(), set(), set())
        self.outside = self.given = self.own = self.calls = self.asks = self.always = self.dynamic = False
        self.local = False

    def inner(self, kind, name, args=None):
        params = [a.arg for a in (args.posonlyargs + args.args + args.kwonlyargs +
                                  [a for a in (args.vararg, args.kwarg) if a])] if args else ()
        found = Code(kind, name, params, self)
        self.children.append(found)
        return found

    def renamed(self):
        """Functions and classes that it may change by a local name."""
        return [d for d, count in self.refs.items() if self.local and d.kind in ("function", "class")
                and count > self.callees.get(d, 0)]

    def param(self, name):
        """Whether @name is a parameter here or around; "own" for the first one of a method."""
        at = self
        while at is not None:
            if name in at.params:
                if at.params[0] == name and at.parent is not None and at.parent.kind == "class":
                    return "own"
                return "given"
            if any(child.name == name for child in at.children):
                return None
            at = at.parent
        return None


# ---- what the Writer notes ----

def followed(writer, root, names):
    """What root.names stands for, and the names that are left."""
    return follow(writer, writer.stands_for(root.id), names)


def follow(writer, target, names):
    finder = writer.module.finder
    while names and isinstance(target, (Module, Namespace)):
        inner = attribute(finder, target, names[0])
        if inner is None:
            break
        target, names = inner, names[1:]
    return target, names


def called(writer, node):
    """Notes the call @node. Return: the name of the builtin, or of what is outside, that is called; else None."""
    func, at = node.func, writer.at
    root, names = chain(func)
    if root is None:
        if func.__class__ is ast.Attribute:
            at.outside |= quiet.reaches(func.attr, node)
        elif func.__class__ is ast.Call:
            inner, rest = chain(func.func)
            target = followed(writer, inner, rest)[0] if inner is not None else None
            if isinstance(target, Definition):
                at.deep.add(target)
            elif target is None or not isinstance(target, External):
                at.calls = True
            elif quiet.keeping(target.dotted):  # wraps(f)(wrapper), partial(f)()
                at.calls |= ".".join([target.dotted] + rest) not in ("functools.wraps", "functools.lru_cache")
                if not at.calls:
                    keep(writer, node)
        elif func.__class__ is not ast.Lambda:
            at.calls = True
            while func.__class__ is ast.Subscript:
                func = func.value
            inner, rest = chain(func)
            target = followed(writer, inner, rest)[0] if inner is not None else None
            if isinstance(target, Definition):
                at.called.add(target)
        return None
    first = writer.stands_for(root.id)
    target, rest = follow(writer, first, names)
    if isinstance(target, External):
        dotted = ".".join([target.dotted] + rest)
        if not quiet.quiet(dotted):
            at.outside = True
        elif quiet.keeping(dotted):
            keep(writer, node)
        else:
            handed(writer, node)
        return dotted if first is target else None
    if isinstance(target, Definition):
        at.callees[target] = at.callees.get(target, 0) + 1
        if target.kind == "variable":
            at.called.add(target)
            at.outside |= bool(rest) and quiet.reaches(rest[-1], node)
    elif isinstance(target, Missing) or isinstance(target, (Module, Namespace)):
        at.outside = True
    elif target is not None:  # a local
        if rest:
            at.outside |= quiet.reaches(rest[-1], node)
            at.asks |= at.param(root.id) == "given"
        elif at.param(root.id) or not defined(at, root.id):
            at.calls = True
    elif not rest:
        builtin(writer, node, root.id)
        return root.id
    elif rest[-1] in ("__setattr__", "__delattr__") and node.args:
        stored(writer, node.args[0], True)
    return None


def builtin(writer, node, name):
    at = writer.at
    if name in ("setattr", "delattr"):
        if node.args:
            stored(writer, node.args[0], True)
    elif name == "open":
        at.outside |= not quiet.opens(node)
    elif name not in HARMLESS:
        at.outside = True
    elif name in quiet.KEEPING:
        keep(writer, node)
        if name == "getattr" and len(node.args) > 1 and node.args[1].__class__ is not ast.Constant:
            at.dynamic = True
    else:
        handed(writer, node)


def defined(at, name):
    """Whether a function or class inside of one of these bodies is called @name."""
    while at is not None:
        if any(child.name == name for child in at.children):
            return True
        at = at.parent
    return False


def keep(writer, node):
    """Names among the arguments are no use of what they are."""
    writer.kept.update(arg for arg in node.args if arg.__class__ is ast.Name)


def handed(writer, node):
    """A parameter among the arguments may be called."""
    for arg in list(node.args) + [k.value for k in node.keywords]:
        if arg.__class__ is ast.Name and writer.at.param(arg.id) == "given":
            writer.at.calls = True


def stored(writer, base, whole=False):
    """Notes that something is stored into @base.NAME or @base[...]; @whole: @base itself is what is changed."""
    at = writer.at
    while base.__class__ is ast.Subscript:
        base = base.value
    root, names = chain(base)
    if root is None:
        at.outside |= base.__class__ is ast.Call and getattr(base.func, "id", None) == "type"
        return
    if names and SIDEWAYS.intersection(names):
        at.outside = True
    target, rest = followed(writer, root, names)
    if isinstance(target, External):
        at.outside = True
    elif isinstance(target, Definition):
        at.stores.add(target)
        at.called.add(target)
    elif isinstance(target, (Module, Namespace, Missing)):
        at.outside = True
    elif target is not None:
        kind = at.param(root.id)
        at.given |= kind == "given"
        at.own |= kind == "own"
        at.local |= kind is None


def decorated(writer, node, child):
    """Notes that the decorators of @node, inside of a function, are called with it."""
    for decorator in node.decorator_list:
        root, names = chain(decorator.func if decorator.__class__ is ast.Call else decorator)
        target, rest = followed(writer, root, names) if root is not None else (None, names)
        if isinstance(target, External):
            dotted = ".".join([target.dotted] + rest)
            child.parent.outside |= not quiet.quiet(dotted)
            child.always |= not quiet.keeping(dotted)
        elif root is None or target is not None or root.id not in quiet.KEEPING:
            child.always |= not (rest and rest[-1] in quiet.METHODS)


# ---- what runs ----

class Run:
    """What may happen: @outside, @stores, @given, @own, @calls, @asks of the bodies that may run; @seen:
    Definitions."""

    def __init__(self):
        self.outside = self.given = self.own = self.calls = self.asks = False
        self.stores, self.called, self.seen, self.bodies = set(), set(), {}, {}


def run(unit_of, code, depth, calls, methods=()):
    """The Run of @code, of an expression. @depth: so often what its names give is called. @calls: it calls them;
    else only methods of the objects run that it names: special ones, those that it reads, and @methods."""
    walk = Walk(unit_of, code.attrs.union(methods), calls)
    while True:
        size = len(walk.names) + len(walk.attrs)
        walk.found = found = Run()
        walk.stack = [(definition, max(depth, 2 if definition in code.deep else 1), calls) for definition in code.refs]
        if calls:
            walk.body(code, depth)
        while walk.stack:
            walk.definition(*walk.stack.pop())
        if len(walk.names) + len(walk.attrs) == size:
            break
    for definition in found.called:
        if definition.kind == "variable" and not found.outside:
            found.outside = any(not quiet.quiet(mention) for index in definition.indices
                                for mention in unit_of(definition.module, index).code.mentions)
    return found


def run_own(unit_of, code, names):
    """The Run of those functions of the classes in @code that are called @names: their bodies call them."""
    walk = Walk(unit_of, names, False)
    while True:
        size = len(walk.names) + len(walk.attrs)
        walk.found, walk.stack = Run(), []
        for child in code.children:
            if child.kind == "class":
                walk.class_(child, DEEP)
        while walk.stack:
            walk.definition(*walk.stack.pop())
        if len(walk.names) + len(walk.attrs) == size:
            return walk.found


class Walk:
    """@names, @attrs: that are read in what runs, until no more are found. @making: objects are made."""

    def __init__(self, unit_of, attrs, making):
        self.unit_of, self.names, self.attrs, self.making = unit_of, set(), set(attrs), making

    def definition(self, definition, depth, runs):
        """@runs: it is called; else what matters is of which classes it may be."""
        seen = self.found.seen
        if seen.get((definition, runs), 0) >= depth:
            return
        seen[definition, runs] = depth
        if definition.kind in ("binary", "module", "script"):
            self.found.outside |= runs
            return
        for index in definition.indices:
            code = self.unit_of(definition.module, index).code
            if definition.kind == "function":
                if definition.node.decorator_list:
                    self.all(code.refs, runs)
                for child in code.children:
                    if child.name == definition.name:
                        self.body(child, depth) if runs else self.types(child)
                continue
            self.all(code.refs, runs)
            for child in code.children:
                if child.kind == "class":
                    self.class_(child, depth if definition.kind == "class" else DEEP)
                elif runs:
                    self.body(child, DEEP)
                else:
                    self.types(child)

    def all(self, refs, runs=True):
        self.stack += [(definition, DEEP, runs) for definition in refs]

    def types(self, code):
        """What a body names may be what it gives."""
        self.all(code.refs, False)
        for child in code.children:
            self.class_(child, 1) if child.kind == "class" else self.types(child)

    def body(self, code, depth):
        found = self.found
        if found.bodies.get(code, 0) >= depth:
            return
        found.bodies[code] = depth
        found.outside |= code.outside
        found.given |= code.given
        found.own |= code.own
        found.calls |= code.calls
        found.asks |= code.asks
        if code.dynamic:
            self.attrs.add(ANY)
        found.stores |= code.stores
        found.called |= code.called
        self.names |= code.uses
        self.attrs |= code.attrs
        for definition in code.refs:
            self.stack.append((definition, DEEP if code.calls else 2 if definition in code.deep else 1, True))
        for child in code.children:
            if child.kind == "class":
                self.class_(child, DEEP)
            elif child.kind == "lambda" or depth > 1 or child.always or child.name in self.names:
                self.body(child, max(depth - 1, 1))

    def class_(self, code, depth):
        self.all(code.refs, self.making)
        for child in code.children:
            if child.kind == "class":
                self.class_(child, depth)
            elif child.kind == "lambda" or child.name in self.attrs or ANY in self.attrs or \
                    self.special(child.name, depth):
                self.body(child, DEEP)

    def special(self, name, depth):
        if not name.startswith("__") or not name.endswith("__"):
            return False
        if name in MAKING:
            return self.making
        return name != "__call__" or depth > 1

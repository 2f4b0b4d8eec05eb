"""Whose a name is. One pass over a body finds what it binds; a chain of such scopes then says whether a name
is a local, or an import of one, or the module's."""

import ast

from .grammar import COMPREHENSIONS, FIELDS, FUNCTIONS, children

OTHER = None  # bound by something that is not exactly one import


class Import:
    """A name that one import binds: module @target (absolute; None above the top), or its @member."""

    __slots__ = ("target", "member", "node")

    def __init__(self, target, member, node):
        self.target, self.member, self.node = target, member, node


class Scope:
    """@names: to Import or OTHER. @kind: function, class, comprehension, types. @skipped: names that the
    body says are the module's (global) or an outer function's (nonlocal)."""

    __slots__ = ("kind", "names", "globals", "nonlocals", "top")

    def __init__(self, kind, top=False):
        self.kind, self.top = kind, top
        self.names, self.globals, self.nonlocals = {}, set(), set()

    def add(self, name, binding=OTHER):
        self.names[name] = OTHER if name in self.names else binding

    def settle(self):
        for name in self.globals | self.nonlocals:
            self.names.pop(name, None)
        return self


def bind(scope, nodes, module):
    """Adds to @scope what @nodes (a list) bind in it; bodies of functions and classes are their own."""
    stack = list(nodes)
    while stack:
        node = stack.pop()
        cls = node.__class__
        if cls is ast.Name:
            if node.ctx.__class__ is not ast.Load:
                scope.add(node.id)
        elif cls is ast.Constant:
            pass
        elif cls in FUNCTIONS or cls is ast.ClassDef:
            scope.add(node.name)
            stack += children(node)
        elif cls is ast.Import or cls is ast.ImportFrom:
            for name, binding in imports(node, module):
                scope.add(name, binding)
        elif cls in COMPREHENSIONS:
            bind_walrus(scope, node)
        elif cls is ast.Global:
            scope.globals.update(node.names)
        elif cls is ast.Nonlocal:
            scope.nonlocals.update(node.names)
        else:
            name = captured(node)
            if name:
                scope.add(name)
            stack += children(node)


def captured(node):
    """The name that an except clause or a pattern binds."""
    kind = node.__class__.__name__
    if kind in ("ExceptHandler", "MatchAs", "MatchStar"):
        return node.name
    return node.rest if kind == "MatchMapping" else None


def bind_walrus(scope, comprehension):
    """:= in a comprehension binds in the scope around it."""
    stack = [comprehension]
    while stack:
        node = stack.pop()
        if node.__class__ is ast.NamedExpr:
            scope.add(node.target.id)
        if node.__class__ is not ast.Lambda:
            stack += children(node)


def imports(node, module):
    """The (name, Import) of an import statement; those of a star are not here."""
    if node.__class__ is ast.Import:
        return [(a.asname, Import(a.name, None, node)) if a.asname else
                (a.name.partition(".")[0], Import(a.name.partition(".")[0], None, node))
                for a in node.names]
    target = module.absolute(node)
    return [(a.asname or a.name, Import(target, a.name, node)) for a in node.names if a.name != "*"]


def of_arguments(scope, args):
    for arg in args.posonlyargs + args.args + args.kwonlyargs:
        scope.add(arg.arg)
    for arg in (args.vararg, args.kwarg):
        if arg is not None:
            scope.add(arg.arg)


def of_function(node, module, top):
    """The scope of a function's or a lambda's body."""
    scope = Scope("function", top)
    of_arguments(scope, node.args)
    bind(scope, node.body if node.body.__class__ is list else [node.body], module)
    return scope.settle()


def of_class(node, module):
    scope = Scope("class")
    bind(scope, node.body, module)
    return scope.settle()


def of_comprehension(node):
    scope = Scope("comprehension")
    stack = [g.target for g in node.generators]
    while stack:
        target = stack.pop()
        if target.__class__ is ast.Name:
            if target.ctx.__class__ is not ast.Load:
                scope.add(target.id)
        elif target.__class__ in FIELDS:
            stack += children(target)
    return scope


def of_types(params):
    scope = Scope("types")
    for param in params:
        scope.add(param.name)
    return scope

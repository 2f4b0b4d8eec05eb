"""What a top-level statement does, beyond binding names, when its module is imported.

    effect     it may do anything: random.seed(0), os.environ["X"] = "1", setup(). It counts whenever its
               module is imported
    touches    it changes certain definitions: TABLE["x"] = 1, TABLE.append(f), Model.limit = 3. It counts
               when one of them does
    triggers   it calls the user's code: decorators, x = register(f), def unused(x=register(f)), bases whose
               class has __init_subclass__. It counts when that code can change something that counts, or
               reaches outside (deeds.py)
    operations it does something to an object of the user's classes, whose methods that may run: a + 1, a.size

What is called outside is an effect unless quiet.py knows that it only gives a value. Whatever cannot be told is an
effect too: what counts for nothing costs a run, what does not count although it should costs a wrong result.
"""

import ast
from collections import namedtuple

from . import quiet
from .deeds import SIDEWAYS
from .grammar import FUNCTIONS, chain, named, walk
from .module import Definition, External, Module, Namespace, attribute
from .stdlib import MODULES
from .values import aliases, is_container, is_fixed, is_mutable, is_plain, outside_base, sees_subclasses, values_of

CALLING = {"map", "filter", "iter", "functools.reduce", "itertools.accumulate", "itertools.dropwhile",
           "itertools.filterfalse", "itertools.groupby", "itertools.starmap", "itertools.takewhile"}
FUNCTION_KEYWORDS = {"key", "func", "default", "object_hook", "cls"}

# @expression of @module is called, or calls; @depth: so many times its result is, too. @decorated: whether the
# definition below it is handed to it. @args: what it is given.
Trigger = namedtuple("Trigger", "module expression depth decorated args")


class Study:
    def __init__(self, module, node):
        self.module = module
        self.effect = False
        self.touches, self.triggers, self.operations = [], [], []
        self.own = set()  # functions of a class that its own body calls
        self.local = {}  # names of class bodies and comprehensions: to the expressions that they stand for
        self._statement(node)

    def _trigger(self, expression, depth=1, decorated=False, args=()):
        self.triggers.append(Trigger(self.module, expression, depth, decorated, args))

    # ---- statements ----

    def _statement(self, node):
        cls = node.__class__
        if cls in FUNCTIONS:
            self._function(node)
        elif cls is ast.ClassDef:
            self._class(node)
        elif cls is ast.Expr:
            self._expression(node.value)
        elif cls is ast.Assign or cls is ast.AnnAssign:
            self._assign(node)
        elif cls is ast.AugAssign:
            self._changed(node.target, True)
            self._evaluate(node.value)
        elif cls is ast.Delete:
            for target in node.targets:
                self._changed(target)
                self._operate(target)
        elif cls in (ast.Assert, ast.Raise):
            self.effect = True
        elif cls.__name__ != "TypeAlias":
            self._compound(node)

    def _assign(self, node):
        targets = node.targets if node.__class__ is ast.Assign else [node.target]
        for target in targets:
            self._changed(target)
            if target.__class__ in (ast.Tuple, ast.List) and node.value is not None:
                self._iterated(node.value)
        if node.value is not None:
            self._evaluate(node.value)
        if node.__class__ is ast.AnnAssign:
            self._annotation(node.annotation)

    def _annotation(self, node):
        if node is not None and not self.module.future:
            self._evaluate(node)

    def _function(self, node):
        for decorator in node.decorator_list:
            self._decorator(decorator)
        args = node.args
        for value in args.defaults + args.kw_defaults:
            if value is not None:
                self._evaluate(value)
        for arg in args.posonlyargs + args.args + args.kwonlyargs + [args.vararg, args.kwarg]:
            if arg is not None:
                self._annotation(arg.annotation)
        self._annotation(node.returns)

    def _compound(self, node):
        """if, for, while, with, try, match: what is in it, and what its head does."""
        for field in ("test", "subject", "type", "guard"):
            value = getattr(node, field, None)
            if value is not None:
                self._evaluate(value)
                self._operate(value)
        if getattr(node, "iter", None) is not None:
            self._evaluate(node.iter)
            self._iterated(node.iter)
            self._changed(node.target)
        for item in getattr(node, "items", ()):
            self._evaluate(item.context_expr)
            self._operate(item.context_expr)
            if item.optional_vars is not None:
                self._changed(item.optional_vars)
        for field in ("body", "handlers", "cases", "orelse", "finalbody"):
            for inner in getattr(node, field, None) or ():
                if isinstance(inner, ast.stmt):
                    self._statement(inner)
                else:
                    self._compound(inner)

    def _class(self, node):
        for decorator in node.decorator_list:
            self._decorator(decorator)
        for base in node.bases:
            self._evaluate(base)
            self._base(base)
        for keyword in node.keywords:
            self._evaluate(keyword.value)
            self._trigger(keyword.value)
            target, rest, root = self._resolve(keyword.value)
            if keyword.arg == "metaclass" and isinstance(target, External):
                self.effect |= not quiet.quiet(target.dotted)
        outer, self.local = self.local, dict(self.local)
        for inner in node.body:
            self._local(inner)
            self._statement(inner)
            if inner.__class__ is ast.Assign:
                self._operate(inner.value, "__set_name__")
        self.local = outer

    def _local(self, node):
        """What a statement in the body of a class binds there."""
        if node.__class__ in FUNCTIONS or node.__class__ is ast.ClassDef:
            self.local.setdefault(node.name, [])
        elif node.__class__ in (ast.Assign, ast.AnnAssign):
            for target in node.targets if node.__class__ is ast.Assign else [node.target]:
                for name in walk(target):
                    if name.__class__ is ast.Name and name.ctx.__class__ is ast.Store:
                        self.local.setdefault(name.id, []).append(node.value)

    def _base(self, base):
        """A class of @base is made."""
        while base.__class__ is ast.Subscript:
            base = base.value
        target, rest, root = self._resolve(base)
        if isinstance(target, External):
            self.effect |= not quiet.base(target.dotted, target.dotted.partition(".")[0] in MODULES)
        elif isinstance(target, Definition) and target.kind == "variable":
            self._trigger(base)
            if not is_plain(target):
                self._touch(target)
        elif sees_subclasses(self.module, base):
            self._trigger(base)
            if outside_base(self.module, base):
                self.effect = True

    def _decorator(self, node):
        """The decorator @node is called with what is below it."""
        self._evaluate(node)
        core, depth = (node.func, 2) if node.__class__ is ast.Call else (node, 1)
        target, rest, root = self._resolve(core)
        if root is None:
            self._trigger(node, depth, True)
            self.effect |= getattr(core, "attr", None) not in quiet.METHODS
        elif isinstance(target, External):
            if not quiet.quiet(target.dotted):
                self.effect = True
            elif not quiet.keeping(target.dotted):
                self._trigger(node, depth, True)
        elif isinstance(target, Definition):
            self._trigger(node, depth, True)
        elif root.id in self.local:
            self._call_of_local(root.id, rest)
        elif target is not None or rest or root.id not in quiet.KEEPING:
            self.effect = True

    # ---- expressions ----

    def _resolve(self, node):
        """(what a.b.c stands for, the names that are left, the Name a or None)."""
        root, names = chain(node)
        if root is None or root.id in self.local:
            return None, names, root
        found, finder = self.module.lookup(root.id), self.module.finder
        while names and isinstance(found, (Module, Namespace, External)):
            inner = attribute(finder, found, names[0])
            if inner is None:
                break
            found, names = inner, names[1:]
        return found, names, root

    def _expression(self, value):
        if value.__class__ is ast.Constant:
            return
        if value.__class__ is ast.Call and value.func.__class__ is ast.Attribute:
            owner = self.module.meaning(value.func.value)
            if isinstance(owner, Definition) and is_plain(owner):
                self._evaluate(value)
                self._touch(owner, value.func.value.__class__ is ast.Attribute)
                return
        self.effect = True

    def _evaluate(self, value):
        """@value is computed: what it calls, and what it does to objects of the user's classes."""
        cls = value.__class__
        if cls is ast.Constant or cls is ast.Name or cls is ast.Lambda and not value.args.defaults:
            return
        nodes = list(walk(value))
        outer = self.local
        for node in nodes:
            if node.__class__ is ast.comprehension:
                if self.local is outer:
                    self.local = dict(outer)
                for name in walk(node.target):
                    if name.__class__ is ast.Name:
                        self.local[name.id] = [value]
        for node in nodes:
            cls = node.__class__
            if cls is ast.Call:
                self._call(node, value)
            elif cls is ast.comprehension:
                self._iterated(node.iter)
                self._changed(node.target)
                for test in node.ifs:
                    self._operate(test)
            elif cls is ast.Starred:
                self._iterated(node.value)
            elif cls is ast.NamedExpr:
                pass
            else:
                for inner in OPERANDS.get(cls, ()):
                    inner = getattr(node, inner)
                    for operand in inner if inner.__class__ is list else [inner]:
                        self._operate(operand)
                if cls is ast.Compare and any(op.__class__ in (ast.In, ast.NotIn) for op in node.ops):
                    for operand in node.comparators:
                        self._iterated(operand)
        self.local = outer

    def _call(self, node, whole):
        target, rest, root = self._resolve(node.func)
        if root is None:
            self._call_of_value(node, whole)
        elif root.id in self.local:
            self._call_of_local(root.id, rest, node)
        elif isinstance(target, External):
            if quiet.quiet(target.dotted):
                self._handed(node, target.dotted)
            else:
                self.effect = True
        elif isinstance(target, Definition):
            if rest and target.kind == "variable":
                self._method(node, target, rest)
            else:
                self._trigger(node, args=given(node))
        elif target is not None:
            self.effect = True
        elif rest:  # list.append(S, 1)
            self._handed(node, root.id)
            self.effect |= rest[-1] not in quiet.METHODS
        else:
            self._builtin(node, root.id)

    def _call_of_local(self, name, rest, *more):
        if not self.local[name]:
            self.own.add(name)
        if not rest or rest[-1] not in quiet.METHODS:
            self._loose(self.local[name] + list(more))

    def _builtin(self, node, name):
        if name in ("setattr", "delattr"):
            self._set(node)
        elif name == "open":
            self.effect |= not quiet.opens(node)
        elif name == "next" and node.args:
            self._iterated(node.args[0])
        elif name == "type" and len(node.args) == 3:
            self._trigger(node)
        elif name in quiet.BUILTINS:
            self._handed(node, name)
        else:
            self.effect = True

    def _set(self, node):
        """setattr(x, "name", value) is x.name = value."""
        target, rest, root = self._resolve(node.args[0]) if node.args else (None, [], None)
        if isinstance(target, Module) and not rest and len(node.args) > 1 and \
                node.args[1].__class__ is ast.Constant and node.args[1].value.__class__ is str:
            target = attribute(self.module.finder, target, node.args[1].value)
        if isinstance(target, Definition) and not rest and (target.kind != "variable" or is_plain(target)):
            self._touch(target)
        else:
            self.effect = True

    def _method(self, node, owner, rest):
        """OWNER.rest() of a variable."""
        self._handed(node, ".".join(rest))
        if quiet.reaches(rest[-1], node):
            self.effect = True
        if not is_plain(owner):
            self._trigger(node, args=given(node))
        elif rest[-1] in quiet.METHODS and (is_container(owner) or not is_mutable(owner)):
            return
        self._touch(owner, len(rest) > 1)

    def _call_of_value(self, node, whole):
        """What is called has no name: [f][0](), make(3)(x), "".join(x), Path("x").mkdir()."""
        func = node.func
        if func.__class__ is ast.Attribute:
            if func.attr in quiet.METHODS or func.value.__class__ in (ast.Constant, ast.JoinedStr):
                return self._handed(node, func.attr)
            self.effect = True
            return None
        if func.__class__ is ast.Lambda:
            outer, self.local = self.local, dict(self.local)
            for arg in func.args.posonlyargs + func.args.args + func.args.kwonlyargs:
                self.local[arg.arg] = [node]
            self._evaluate(func.body)
            self.local = outer
        self._trigger(node, 9, args=given(node))
        names = [self._resolve(n)[0] for n in walk(func) if n.__class__ in (ast.Name, ast.Attribute)]
        maker = self._resolve(func.func)[0] if func.__class__ is ast.Call else None
        kept = isinstance(maker, External) and quiet.keeping(maker.dotted)  # lru_cache()(f)
        if kept and maker.dotted in quiet.CHANGING:
            self._change_all(given(node))
        if any(isinstance(n, External) and not quiet.quiet(n.dotted) for n in names) or \
                not any(isinstance(n, Definition) for n in names) and func.__class__ is not ast.Lambda and not kept:
            self.effect = True
        return None

    def _handed(self, node, callee):
        """The arguments of a call of something quiet: functions may be called by it, iterators go on."""
        if callee in quiet.CHANGING:
            self._change_all(given(node))
        if quiet.keeping(callee):
            return
        for n, arg in enumerate(node.args):
            self._argument(arg, callee in CALLING)
        for keyword in node.keywords:
            self._argument(keyword.value, keyword.arg in FUNCTION_KEYWORDS)

    def _change_all(self, expressions):
        """Functions and classes among them get attributes: dataclass(K), update_wrapper(f, g)."""
        for expression in expressions:
            target, rest, root = self._resolve(expression)
            if isinstance(target, Definition) and not rest:
                self._touch(target)

    def _argument(self, value, called):
        if value.__class__ is ast.Starred:
            value = value.value
        if value.__class__ is ast.Lambda:
            outer, self.local = self.local, dict(self.local)
            for arg in value.args.posonlyargs + value.args.args + value.args.kwonlyargs:
                self.local[arg.arg] = [value.body]
            self._evaluate(value.body)
            self._trigger(value)
            self.local = outer
        elif value.__class__ in (ast.List, ast.Tuple, ast.Set):
            for item in value.elts:
                self._argument(item, called)
        else:
            target, rest, root = self._resolve(value)
            if isinstance(target, External):
                self.effect |= called and not quiet.quiet(target.dotted)
            elif isinstance(target, Definition):
                if target.kind != "variable":
                    self._trigger(value)
                elif rest:
                    self._trigger(value)
                    if called:
                        self._touch(target)
                else:
                    self._iterated(value)

    def _iterated(self, value):
        """Something goes through @value: an iterator has less in it then."""
        if value.__class__ in (ast.IfExp, ast.BoolOp, ast.NamedExpr):
            for inner in value.values if value.__class__ is ast.BoolOp else \
                    [value.body, value.orelse] if value.__class__ is ast.IfExp else [value.value]:
                self._iterated(inner)
            return
        target, rest, root = self._resolve(value)
        if isinstance(target, Definition) and target.kind == "variable" and not is_container(target):
            self._touch(target)
            self._operate(value)

    def _operate(self, value, *methods):
        """An operator, a condition, an attribute of @value: methods of it may run, also @methods."""
        target, rest, root = self._resolve(value)
        if isinstance(target, Definition) and target.kind == "variable" and not is_plain(target) and \
                is_mutable(target):
            self.operations.append((value, frozenset(methods)))

    def _loose(self, expressions):
        """Something unknown is done with what they name."""
        for expression in expressions:
            if expression is None:
                continue
            self._trigger(expression, 9)
            for name in named(expression):
                target, rest, root = self._resolve(name)
                if isinstance(target, Definition):
                    self._touch(target, True)
                elif isinstance(target, External) and not quiet.quiet(target.dotted):
                    self.effect = True

    # ---- what is changed ----

    def _changed(self, target, augmented=False):
        """The object that a store into x.y or x[y] changes; with += the one that x is, too."""
        if target.__class__ in (ast.Tuple, ast.List):
            for item in target.elts:
                self._changed(item)
        elif target.__class__ is ast.Starred:
            self._changed(target.value)
        elif target.__class__ in (ast.Attribute, ast.Subscript):
            self._evaluate(target.value)
            if target.__class__ is ast.Subscript:
                self._evaluate(target.slice)
            base = target.value
            while base.__class__ in (ast.Attribute, ast.Subscript):
                base = base.value
            if base.__class__ is ast.Name and base.id in self.local:
                self._loose(self.local[base.id])
                return
            found = self.module.meaning(target) if target.__class__ is ast.Attribute else None
            if SIDEWAYS.intersection(chain(target)[1]):
                self.effect = True
            if not isinstance(found, Definition):  # helpers.LIMIT = 3 is found so, TABLE.x and TABLE[x] here
                found = self.module.meaning(target.value)
            if isinstance(found, Definition) and (found.kind != "variable" or is_plain(found)):
                self._touch(found, augmented or target.value.__class__ is ast.Attribute)
            else:
                self.effect = True  # of something else, or of what another name may also have
        elif augmented and target.__class__ is ast.Name and target.id not in self.local:
            found = self.module.lookup(target.id)
            if isinstance(found, Definition):
                self._touch(found, False, True)
                self._operate(target)

    def _touch(self, definition, inside=False, made=False):
        """It is changed, by whatever name; @inside: or what is in it. @made: or what made it, if that is code."""
        self.touches.append(definition)
        stack, seen = [definition], {definition}
        while stack:
            at = stack.pop()
            if at.kind != "variable":
                continue
            for value in values_of(at):
                meant = at.module.meaning(value) if value is not None else None
                if isinstance(meant, External) and not quiet.quiet(meant.dotted):
                    self.effect = True  # env = os.environ; env |= ...
                for found in aliases(at.module, value, inside):
                    if found not in seen and (found.kind != "variable" or is_mutable(found)):
                        seen.add(found)
                        stack.append(found)
                        self.touches.append(found)
                if made and value is not None and not is_fixed(at.module, value):
                    self.triggers.append(Trigger(at.module, value, 1, False, ()))


OPERANDS = {ast.BinOp: ("left", "right"), ast.UnaryOp: ("operand",), ast.Compare: ("left", "comparators"),
            ast.BoolOp: ("values",), ast.Subscript: ("value", "slice"), ast.FormattedValue: ("value",),
            ast.IfExp: ("test",), ast.Attribute: ()}


def given(node):
    return tuple(node.args) + tuple(k.value for k in node.keywords)

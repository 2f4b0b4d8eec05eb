"""What a top-level statement does, beyond binding names, when its module is imported.

    effect     it may do anything: random.seed(0), os.environ["X"] = "1", setup(). It counts whenever its
               module is imported
    touches    it changes certain definitions: TABLE["x"] = 1, TABLE.append(f), Model.limit = 3. It counts
               when one of them does
    triggers   expressions that call the user's code: decorators, x = register(f), bases whose class has
               __init_subclass__. It counts when that code can change something that counts
"""

import ast

from .grammar import FUNCTIONS, walk
from .module import Definition, External

LITERALS = (ast.Constant, ast.List, ast.Dict, ast.Set, ast.Tuple, ast.ListComp, ast.DictComp, ast.SetComp)
NEVER_CHANGED = {"logging.getLogger", "re.compile", "typing.TypeVar", "collections.namedtuple",
                 "threading.Lock", "threading.RLock", "pathlib.Path", "operator.attrgetter",
                 "operator.itemgetter", "struct.Struct", "decimal.Decimal", "fractions.Fraction"}


class Study:
    def __init__(self, module, node):
        self.module = module
        self.effect = False
        self.touches, self.triggers = [], []
        self._statement(node)

    def _statement(self, node):
        cls = node.__class__
        if cls in FUNCTIONS:
            self.triggers += node.decorator_list
        elif cls is ast.ClassDef:
            self._class(node)
        elif cls is ast.Expr:
            self._expression(node.value)
        elif cls in (ast.Assign, ast.AnnAssign, ast.AugAssign):
            for target in node.targets if cls is ast.Assign else [node.target]:
                self._changed(target)
            if node.value is not None:
                self._calls(node.value)
        elif cls is ast.Delete:
            for target in node.targets:
                self._changed(target)
        elif cls in (ast.Assert, ast.Raise):
            self.effect = True
        else:
            self._compound(node)

    def _compound(self, node):
        """if, for, while, with, try, match: what is in it, and the calls of its head."""
        for field in ("test", "iter", "subject"):
            if getattr(node, field, None) is not None:
                self._calls(getattr(node, field))
        for item in getattr(node, "items", ()):
            self._calls(item.context_expr)
        for field in ("body", "handlers", "cases", "orelse", "finalbody"):
            for inner in getattr(node, field, None) or ():
                if isinstance(inner, ast.stmt):
                    self._statement(inner)
                else:
                    self._compound(inner)

    def _class(self, node):
        self.triggers += node.decorator_list
        self.triggers += [base for base in node.bases if sees_subclasses(self.module, base)]
        self.triggers += [keyword.value for keyword in node.keywords]
        for inner in node.body:
            if inner.__class__ in FUNCTIONS:
                self.triggers += inner.decorator_list
            elif inner.__class__ in (ast.Assign, ast.AnnAssign):
                if inner.value is not None:
                    self._calls(inner.value)
            else:
                self._statement(inner)

    def _expression(self, value):
        if value.__class__ is ast.Constant:
            return
        if value.__class__ is ast.Call and value.func.__class__ is ast.Attribute:
            owner = self.module.meaning(value.func.value)
            if isinstance(owner, Definition) and is_plain(owner):
                self.touches.append(owner)
                return
        self.effect = True

    def _changed(self, target):
        """The object that a store into x.y or x[y] changes."""
        if target.__class__ in (ast.Tuple, ast.List):
            for item in target.elts:
                self._changed(item)
        elif target.__class__ is ast.Starred:
            self._changed(target.value)
        elif target.__class__ in (ast.Attribute, ast.Subscript):
            found = self.module.meaning(target) if target.__class__ is ast.Attribute else None
            if not isinstance(found, Definition):  # helpers.LIMIT = 3 is found so, TABLE.x and TABLE[x] here
                found = self.module.meaning(target.value)
            if isinstance(found, Definition) and (found.kind != "variable" or is_plain(found)):
                self.touches.append(found)
            else:
                self.effect = True  # of something else, or of what another name may also have

    def _calls(self, value):
        """Calls of the user's code in an expression; what others are called cannot know it."""
        for node in walk(value):
            if node.__class__ is ast.Call:
                called = self.module.meaning(node.func)
                if called is None and node.func.__class__ is ast.Attribute:
                    self.triggers.append(node.func)
                elif called is not None and not isinstance(called, External):
                    self.triggers.append(node)


def sees_subclasses(module, base, depth=0):
    """Whether @base is a class of the user's that is told of its subclasses, or has a metaclass."""
    found = module.meaning(base)
    if not isinstance(found, Definition) or found.kind != "class" or depth > 20:
        return False
    node = found.node
    if any(k.arg == "metaclass" for k in node.keywords) or \
            any(getattr(n, "name", None) == "__init_subclass__" for n in node.body):
        return True
    return any(sees_subclasses(found.module, b, depth + 1) for b in node.bases)


def is_plain(definition):
    """A variable whose methods can change nothing but itself: a container, or something from outside."""
    if definition.kind != "variable":
        return False
    for index in definition.indices:
        node = definition.module.statements[index]
        value = getattr(node, "value", None)
        if len(getattr(node, "targets", "1")) != 1:
            return False  # a = b = []: two names of one thing
        if isinstance(value, LITERALS):
            continue
        if value.__class__ is not ast.Call:
            return False
        called = definition.module.meaning(value.func)
        if not (isinstance(called, External) or called is None and value.func.__class__ is ast.Name):
            return False
    return True


def is_mutable(definition):
    """Whether code that has it could change it. Said of no function; of a class that has containers."""
    module = definition.module
    if definition.kind == "variable":
        values = [getattr(module.statements[i], "value", None) for i in definition.indices]
    elif definition.kind == "class":
        values = [n.value for n in definition.node.body
                  if n.__class__ in (ast.Assign, ast.AnnAssign) and n.value is not None]
        if not values:
            return False
        return any(not is_fixed(module, value) for value in values)
    else:
        return False
    return any(not is_fixed(module, value) for value in values) or \
        definition.name in module.rebound()


def is_fixed(module, value):
    """A value that cannot change: a constant, or what of the standard library never does."""
    if value is None:
        return False
    if value.__class__ is ast.Call:
        called = module.meaning(value.func)
        return isinstance(called, External) and called.dotted in NEVER_CHANGED
    if value.__class__ is ast.Tuple:
        return all(is_fixed(module, item) for item in value.elts)
    if value.__class__ is ast.BinOp:
        return is_fixed(module, value.left) and is_fixed(module, value.right)
    if value.__class__ is ast.UnaryOp:
        return is_fixed(module, value.operand)
    return value.__class__ in (ast.Constant, ast.Lambda)

"""What a variable of a module's top level may stand for, as far as its statements say: whether it can change, whether it
has other names, what classes come from.
"""

import ast

from . import quiet
from .grammar import named
from .module import Definition, External
from .stdlib import MODULES

LITERALS = (ast.Constant, ast.List, ast.Dict, ast.Set, ast.Tuple, ast.ListComp, ast.DictComp, ast.SetComp)
CONTAINERS = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
NEVER_CHANGED = {"logging.getLogger", "re.compile", "typing.TypeVar", "collections.namedtuple",
                 "threading.Lock", "threading.RLock", "pathlib.Path", "operator.attrgetter",
                 "operator.itemgetter", "struct.Struct", "decimal.Decimal", "fractions.Fraction"}


def values_of(definition):
    """The expressions that a variable stands for, of each of its statements; None where that is no assignment."""
    found = []
    for index in definition.indices:
        node = definition.module.statements[index]
        if node.__class__ in (ast.Assign, ast.AnnAssign):
            found.append(node.value)
        elif node.__class__ in (ast.For, ast.AsyncFor):
            found.append(ast.copy_location(ast.Tuple([node.iter], ast.Load()), node))
        elif node.__class__ is ast.Expr:
            found.append(node.value)
    return found


def aliases(module, value, inside):
    """The Definitions that @value may be another name of; @inside: or that may be in it."""
    if value is None or value.__class__ is ast.Lambda:
        return []
    if value.__class__ is ast.IfExp:
        return aliases(module, value.body, inside) + aliases(module, value.orelse, inside)
    if value.__class__ is ast.BoolOp:
        return [found for part in value.values for found in aliases(module, part, inside)]
    if value.__class__ is ast.NamedExpr:
        return aliases(module, value.value, inside)
    if value.__class__ in LITERALS and not inside:
        return []
    found = []
    for name in named(value):
        target = module.meaning(name)
        if isinstance(target, Definition):
            found.append(target)
    return found


def sees_subclasses(module, base, depth=0):
    """Whether @base is a class of the user's that is told of its subclasses, or has a metaclass."""
    while base.__class__ is ast.Subscript:
        base = base.value
    found = module.meaning(base)
    if not isinstance(found, Definition) or found.kind != "class" or depth > 20:
        return False
    node = found.node
    if any(k.arg == "metaclass" for k in node.keywords) or \
            any(getattr(n, "name", None) == "__init_subclass__" for n in node.body):
        return True
    if outside_base(module, base):
        return True
    return any(sees_subclasses(found.module, b, depth + 1) for b in node.bases)


def outside_base(module, base, depth=0):
    """Whether a class that @base comes from is not the user's, and may take note of its subclasses."""
    while base.__class__ is ast.Subscript:
        base = base.value
    found = module.meaning(base)
    if isinstance(found, External):
        return not quiet.base(found.dotted, found.dotted.partition(".")[0] in MODULES)
    if not isinstance(found, Definition) or found.kind != "class" or depth > 20:
        return False
    return any(outside_base(found.module, b, depth + 1) for b in found.node.bases)


def is_plain(definition):
    """A variable whose methods can change nothing but itself: a container, or something from outside."""
    if definition.kind != "variable":
        return False
    for index in definition.indices:
        node = definition.module.statements[index]
        value = getattr(node, "value", None)
        targets = getattr(node, "targets", None)
        if targets is not None and (len(targets) != 1 or targets[0].__class__ is not ast.Name):
            return False  # a = b = []: two names of one thing; a, b = c
        if isinstance(value, LITERALS):
            continue
        if value.__class__ is not ast.Call:
            return False
        called = definition.module.meaning(value.func)
        if isinstance(called, External):
            if not quiet.contained(called.dotted):
                return False
        elif called is not None or value.func.__class__ is not ast.Name or \
                value.func.id not in quiet.BUILTINS:
            return False
    return True


def is_container(definition):
    """A variable of which one may go through what is in it without a change: no iterator."""
    for value in values_of(definition) or [None]:
        if not isinstance(value, LITERALS) and not (value.__class__ is ast.Call and getattr(
                value.func, "id", None) in ("list", "dict", "set", "tuple", "frozenset", "sorted", "range")):
            return False
    return True


def is_mutable(definition):
    """Whether code that has it could change it: of a class one that has containers, of a function containers as
    defaults."""
    module = definition.module
    if definition.kind == "variable":
        values = [getattr(module.statements[i], "value", None) for i in definition.indices]
    elif definition.kind == "class":
        values = [n.value for n in definition.node.body
                  if n.__class__ in (ast.Assign, ast.AnnAssign) and n.value is not None]
        if not values:
            return False
        return any(not is_fixed(module, value) for value in values)
    elif definition.kind == "function":
        args = definition.node.args
        return any(value.__class__ in CONTAINERS for value in args.defaults + args.kw_defaults)
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

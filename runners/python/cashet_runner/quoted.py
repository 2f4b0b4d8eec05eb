"""Annotations in quotes, "Config": whoever asks for the types that they mean (a dataclass, typing.get_type_hints)
evaluates them, so what they name is followed as if there were no quotes. They are written as the texts that they are.
"""

import ast

from .deeds import followed
from .grammar import chain, named, walk
from .module import Definition, External

GENERIC = frozenset(("dict", "frozenset", "list", "set", "tuple", "type"))
TYPING = ("typing.", "typing_extensions.")
TEXTS = frozenset(("Literal", "Annotated"))  # strings in these are no types


def outside(writer, node):
    """The dotted name of what is outside, or in typing, that @node stands for; else None."""
    root, names = chain(node)
    if root is None:
        return None
    target, rest = followed(writer, root, names)
    if isinstance(target, External):
        return ".".join([target.dotted] + rest)
    return root.id if target is None and not rest else None


def annotation(writer, node, place=None):
    """Follows what texts in the annotation @node name. @place: where it stands, if it is in one itself."""
    stack = [node]
    while stack:
        node = stack.pop()
        if node.__class__ is ast.Constant:
            if node.value.__class__ is str:
                text(writer, node.value, place or node)
        elif node.__class__ is ast.Subscript and last(node.value) in TEXTS:
            if last(node.value) == "Annotated" and node.slice.__class__ is ast.Tuple:
                stack.append(node.slice.elts[0])
        elif node.__class__ is ast.Subscript:
            stack.append(node.slice)
        elif node.__class__ in (ast.Tuple, ast.List):
            stack += reversed(node.elts)
        elif node.__class__ is ast.BinOp:
            stack += [node.right, node.left]


def last(node):
    return getattr(node, "attr", None) or getattr(node, "id", None)


def text(writer, value, place):
    try:
        tree = compile(value.strip(), "annotation", "eval", ast.PyCF_ONLY_AST, dont_inherit=True).body
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
        return
    for name in named(tree):
        root, names = chain(name)
        target, _ = followed(writer, root, names)
        if isinstance(target, Definition):
            writer.unit.refs[target] = writer.at.refs[target] = True
        elif isinstance(target, External):
            writer.unit.external(target, place)
    annotation(writer, tree, place)


def subscript(writer, node):
    """Optional["Config"], wherever it stands."""
    if any(n.__class__ is ast.Constant and n.value.__class__ is str for n in walk(node.slice)):
        name = outside(writer, node.value)
        if name is not None and (name.startswith(TYPING) or name in GENERIC):
            annotation(writer, node)


def call(writer, node):
    """TypeVar("T", bound="Config"), NamedTuple("N", [("x", "Config")]), TypedDict("D", {"x": "Config"})."""
    name = last(node.func)
    if name not in ("TypeVar", "ForwardRef", "NamedTuple", "TypedDict", "NewType"):
        return
    if not (outside(writer, node.func) or "").startswith(TYPING):
        return
    for value in node.args[:1] if name == "ForwardRef" else node.args[1:]:
        if value.__class__ is ast.Dict:
            rows = value.values
        elif value.__class__ in (ast.List, ast.Tuple):
            rows = [row.elts[-1] for row in value.elts if row.__class__ is ast.Tuple and row.elts]
        else:
            rows = [value]
        for row in rows:
            annotation(writer, row)
    for keyword in node.keywords:
        annotation(writer, keyword.value)

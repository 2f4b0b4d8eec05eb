"""The parameters of a function, as written, so that positional and keyword spellings of one call can be made
one: with the values of defaults that are literals of the types that arguments have (docs/runners.md)."""

import ast
import struct

INT_MIN, INT_MAX = -(1 << 63), (1 << 63) - 1
DEPTH_MAX = 20
KEEPS = {"functools.cache", "functools.lru_cache", "contextlib.contextmanager", "staticmethod"}


class NoLiteral(Exception):
    """A default that is no value that an argument could have."""


def of_function(node, decorated):
    """@node as JSON; @decorated: by something that may change how it is called."""
    args = node.args
    plain = args.posonlyargs + args.args
    defaults = [None] * (len(plain) - len(args.defaults)) + args.defaults
    rows = [row("positional" if n < len(args.posonlyargs) else "any", arg, default)
            for n, (arg, default) in enumerate(zip(plain, defaults))]
    if args.vararg:
        rows.append({"name": args.vararg.arg, "kind": "rest"})
    rows += [row("keyword", arg, default) for arg, default in zip(args.kwonlyargs, args.kw_defaults)]
    if args.kwarg:
        rows.append({"name": args.kwarg.arg, "kind": "keywords"})
    return {"exact": not decorated, "parameters": rows}


def row(kind, arg, default):
    found = {"name": arg.arg, "kind": kind, "required": default is None}
    if default is not None:
        try:
            found["default"] = literal(default, 0)
        except NoLiteral:
            found["default"] = None
    return found


def literal(node, depth):
    """{"type": value} of a literal."""
    cls = node.__class__
    if depth > DEPTH_MAX:
        raise NoLiteral
    if cls is ast.Constant:
        return constant(node.value)
    if cls is ast.UnaryOp and node.op.__class__ in (ast.USub, ast.UAdd) and \
            node.operand.__class__ is ast.Constant and node.operand.value.__class__ in (int, float):
        value = node.operand.value
        return constant(-value if node.op.__class__ is ast.USub else value)
    if cls is ast.List:
        return {"list": [literal(item, depth + 1) for item in node.elts]}
    if cls is ast.Dict:
        pairs = {}
        for key, value in zip(node.keys, node.values):
            if key.__class__ is not ast.Constant or key.value.__class__ is not str:
                raise NoLiteral
            pairs[key.value] = literal(value, depth + 1)  # the last one counts, as in Python
        return {"map": [[utf8(key), value] for key, value in pairs.items()]}
    raise NoLiteral


def constant(value):
    cls = value.__class__
    if value is None:
        return {"null": True}
    if cls is bool:
        return {"bool": value}
    if cls is int and INT_MIN <= value <= INT_MAX:
        return {"int": str(value)}
    if cls is float:
        return {"float": struct.pack(">d", value).hex()}
    if cls is str and "\0" not in value:
        return {"str": utf8(value)}
    if cls is bytes:
        return {"bytes": value.hex()}
    raise NoLiteral


def utf8(text):
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise NoLiteral from None
    return text


def kind_of(node):
    """function, generator, coroutine or async-generator: what calling it gives."""
    yields, stack = False, list(node.body)
    while stack and not yields:
        at = stack.pop()
        if isinstance(at, (ast.Yield, ast.YieldFrom)):
            yields = True
        elif not isinstance(at, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            stack += ast.iter_child_nodes(at)
    if node.__class__ is ast.AsyncFunctionDef:
        return "async-generator" if yields else "coroutine"
    return "generator" if yields else "function"

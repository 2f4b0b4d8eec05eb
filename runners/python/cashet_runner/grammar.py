"""The table of syntax: which nodes there are, the tag that each has in the canonical form, and the fields
that count, in their order. Frozen: the canonical form must not depend on the version of Python, whose trees
change. A row is added for new syntax; what is there keeps its tag and fields for ever.

Fields that are absent here (positions, kind, type_comment, simple, ctx) do not count. A node with None
instead of a tag is written by a function of its own in canon.py; its fields are those to look for names in.
"""

import ast

TABLE = {
    # statements
    "FunctionDef": (None, "decorator_list args returns"),
    "AsyncFunctionDef": (None, "decorator_list args returns"),
    "ClassDef": (None, "decorator_list bases keywords"),
    "Return": ("return", "value"),
    "Delete": ("del", "targets"),
    "Assign": ("assign", "targets value"),
    "AugAssign": ("augment", "op target value"),
    "AnnAssign": (None, "target annotation value"),
    "TypeAlias": (None, "name value"),
    "For": ("for", "target iter body orelse"),
    "AsyncFor": ("async-for", "target iter body orelse"),
    "While": ("while", "test body orelse"),
    "If": ("if", "test body orelse"),
    "With": ("with", "items body"),
    "AsyncWith": ("async-with", "items body"),
    "Match": ("match", "subject cases"),
    "Raise": ("raise", "exc cause"),
    "Try": ("try", "body handlers orelse finalbody"),
    "TryStar": ("try-star", "body handlers orelse finalbody"),
    "Assert": ("assert", "test msg"),
    "Import": (None, ""),
    "ImportFrom": (None, ""),
    "Global": (None, ""),
    "Nonlocal": (None, ""),
    "Expr": ("do", "value"),
    "Pass": (None, ""),
    "Break": ("break", ""),
    "Continue": ("continue", ""),
    # expressions
    "BoolOp": ("bool", "op values"),
    "NamedExpr": ("walrus", "target value"),
    "BinOp": ("binary", "op left right"),
    "UnaryOp": ("unary", "op operand"),
    "Lambda": (None, "args"),
    "IfExp": ("ifelse", "test body orelse"),
    "Dict": (None, "keys values"),
    "Set": ("set", "elts"),
    "ListComp": (None, "elt generators"),
    "SetComp": (None, "elt generators"),
    "DictComp": (None, "key value generators"),
    "GeneratorExp": (None, "elt generators"),
    "Await": ("await", "value"),
    "Yield": ("yield", "value"),
    "YieldFrom": ("yield-from", "value"),
    "Compare": ("compare", "left ops comparators"),
    "Call": (None, "func args keywords"),
    "FormattedValue": (None, "value format_spec"),
    "Interpolation": (None, "value format_spec"),
    "JoinedStr": (None, "values"),
    "TemplateStr": (None, "values"),
    "Constant": (None, ""),
    "Attribute": (None, "value"),
    "Subscript": ("item", "value slice"),
    "Starred": ("star", "value"),
    "Name": (None, ""),
    "List": ("list", "elts"),
    "Tuple": ("tuple", "elts"),
    "Slice": ("slice", "lower upper step"),
    # parts of those
    "comprehension": (None, "target iter ifs"),
    "ExceptHandler": (None, "type body"),
    "arguments": (None, "posonlyargs args vararg kwonlyargs kw_defaults kwarg defaults"),
    "arg": (None, "annotation"),
    "keyword": (None, "value"),
    "withitem": ("item-as", "context_expr optional_vars"),
    "match_case": ("case", "pattern guard body"),
    # patterns
    "MatchValue": ("match-value", "value"),
    "MatchSingleton": (None, ""),
    "MatchSequence": ("match-sequence", "patterns"),
    "MatchMapping": (None, "keys patterns"),
    "MatchClass": (None, "cls patterns kwd_patterns"),
    "MatchStar": (None, ""),
    "MatchAs": (None, "pattern"),
    "MatchOr": ("match-or", "patterns"),
    # type parameters
    "TypeVar": (None, "bound default_value"),
    "ParamSpec": (None, "default_value"),
    "TypeVarTuple": (None, "default_value"),
}

OPERATORS = {
    "And": "and", "Or": "or", "Add": "+", "Sub": "-", "Mult": "*", "MatMult": "@", "Div": "/", "Mod": "%",
    "Pow": "**", "LShift": "<<", "RShift": ">>", "BitOr": "|", "BitXor": "^", "BitAnd": "&",
    "FloorDiv": "//", "Invert": "~", "Not": "not", "UAdd": "+", "USub": "-", "Eq": "==", "NotEq": "!=",
    "Lt": "<", "LtE": "<=", "Gt": ">", "GtE": ">=", "Is": "is", "IsNot": "is-not", "In": "in",
    "NotIn": "not-in",
}


def classes(table):
    """@table with this Python's classes for names; those that it does not have are left out."""
    return {getattr(ast, name): row for name, row in table.items() if hasattr(ast, name)}


ROWS = {cls: (tag, tuple(fields.split())) for cls, (tag, fields) in classes(TABLE).items()}
FIELDS = {cls: fields for cls, (tag, fields) in ROWS.items()}
SIGNS = classes(OPERATORS)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def children(node):
    """The nodes below @node that count, in order; not those of operators and contexts."""
    for field in FIELDS.get(node.__class__, ()):
        value = getattr(node, field, None)
        if value.__class__ is list:
            for item in value:
                if item.__class__ in FIELDS:
                    yield item
        elif value.__class__ in FIELDS:
            yield value


def walk(node):
    """@node and everything below it, bodies of functions and classes left out; parents first."""
    stack = [node]
    while stack:
        node = stack.pop()
        yield node
        below = list(children(node))
        below.reverse()
        stack += below


def chain(node):
    """a.b.c as (Name a, ["b", "c"]), or (None, ...) if it does not begin with a name."""
    names = []
    while node.__class__ is ast.Attribute:
        names.append(node.attr)
        node = node.value
    names.reverse()
    return (node if node.__class__ is ast.Name else None), names


def named(expression):
    """The outermost a.b.c in @expression, but for what is called."""
    found, stack = [], [expression]
    while stack:
        node = stack.pop()
        if chain(node)[0] is not None:
            found.append(node)
        elif node.__class__ is ast.Call:
            if chain(node.func)[0] is None:
                stack.append(node.func)
            stack += node.args
            stack += [keyword.value for keyword in node.keywords]
        else:
            stack += [inner for inner in ast.iter_child_nodes(node) if isinstance(inner, ast.expr)
                      or inner.__class__ in (ast.comprehension, ast.keyword)]
    return found

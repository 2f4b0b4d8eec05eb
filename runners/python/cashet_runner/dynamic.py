"""Calls that no reading of the source can follow: each is warned about by name, and where a module is at
stake that is known, all of it is reached."""

import ast

from .module import Module, Namespace, thing

# what the name of a builtin or of something in the standard library does: (warning, what it does)
RUNS = {
    "eval": "evaluates text", "exec": "executes text", "compile": "compiles text",
    "runpy.run_path": "runs a file", "runpy.run_module": "runs a module",
    "types.FunctionType": "makes a function of code", "types.CodeType": "makes code",
}
LOADS = {
    "ctypes.CDLL", "ctypes.PyDLL", "ctypes.cdll.LoadLibrary", "ctypes.util.find_library",
}
IMPORTS = {
    "__import__", "importlib.import_module", "importlib.__import__", "importlib.reload",
    "importlib.util.spec_from_file_location", "importlib.util.module_from_spec",
    "importlib.machinery.SourceFileLoader", "pkgutil.iter_modules", "pkgutil.walk_packages",
    "pkgutil.resolve_name", "importlib.metadata.entry_points",
}
BY_NAME = {"getattr", "setattr", "delattr", "hasattr"}
TABLES = {"globals", "vars", "locals"}


def check(writer, node, called):
    """@node, a Call whose parts are written, of the builtin or what is outside @called: warns, and writes what else
    it reaches."""
    warn = writer.unit.warn
    if called in BY_NAME:
        by_name(writer, node, called)
    elif called in TABLES:
        if called != "locals" and not node.args and (called == "globals" or not writer.scopes):
            writer.put(" (reaches ")
            writer.refer(writer.module.whole)
            writer.put(")")
            warn("computed-name", called, "%s() gives every name of %s: all of it counts"
                 % (called, writer.module.path), node)
    elif called in IMPORTS:
        imported(writer, node, called)
    elif called in RUNS:
        warn("runs-text", called, "%s() %s: what that reaches does not count" % (called, RUNS[called]), node)
    elif called in LOADS:
        warn("native-library", called, "%s() loads a library that does not count" % called, node)
    elif called.startswith("sys.path."):
        warn("search-path", "sys.path", "sys.path is changed here: modules that are found by it do not "
             "count, unless their folder is given as a root", node)


def text(node):
    """A constant text, or None."""
    return node.value if node.__class__ is ast.Constant and node.value.__class__ is str else None


def by_name(writer, node, called):
    """getattr(x, name): a constant name is like x.name; of a module all is reached already, as a value."""
    if len(node.args) < 2 or text(node.args[1]) is not None:
        return
    writer.unit.warn("computed-name", called, "%s() with a computed name: which definition that is cannot "
                     "be told" % called, node)


def imported(writer, node, called):
    """import_module("x") is followed, with all of x; with a computed name it cannot be."""
    name = text(node.args[0]) if node.args else None
    if called == "importlib.import_module" and name and name.startswith("."):
        name = relative(writer.module, name, node)
    if called in ("__import__", "importlib.import_module") and name and not name.startswith("."):
        writer.unit.loads += [(name, False, node)]
        target = thing(writer.module.finder.find(name), name)
        if isinstance(target, Namespace):
            return
        writer.put(" (reaches ")
        if isinstance(target, Module):
            writer.refer(target.whole)
        else:
            writer.target(target, name, node)
        writer.put(")")
        return
    if called == "importlib.reload":
        return
    writer.unit.warn("dynamic-import", called, "%s() imports what is known only when it runs: that does not "
                     "count" % called, node)


def relative(module, name, node):
    """The module that import_module(@name, package) means, if the package is written out; else @name."""
    given = node.args[1:2] + [keyword.value for keyword in node.keywords if keyword.arg == "package"]
    package = text(given[0]) if given else None
    if package is None and given and not module.main and module.lookup(getattr(given[0], "id", "")) is None:
        if given[0].id == "__package__" or given[0].id == "__name__" and module.folders is not None:
            package = module.dotted if module.folders is not None else module.dotted.rpartition(".")[0]
    parts = package.split(".") if package else []
    rest = name.lstrip(".")
    up = len(name) - len(rest) - 1
    if not rest or up >= len(parts):
        return name
    return ".".join(parts[:len(parts) - up] + [rest])

"""A unit is one top-level statement: what the canonical form is made of. It is written at most once, when
something first asks for it, with places for labels that are not known yet."""

from .canon import Writer
from .deeds import Code
from .problems import Warning_
from .source import too_deep


class Unit:
    """@parts: texts and Definitions. @refs: the Definitions in it, in order. @loads: (module, node) that
    imports inside of functions run. @externals: (External, line). @captures: names of the outermost
    function that functions inside of it use. @code: what it does (deeds.py)."""

    def __init__(self, module, index):
        self.module, self.index = module, index
        self.parts, self.refs, self.loads = [], {}, []
        self.externals, self.warnings, self.captures = {}, [], set()
        self.annotated, self.undefined = False, set()
        self.code = Code("top")

    @property
    def node(self):
        return self.module.statements[self.index]

    def external(self, target, node):
        if target.dotted not in self.externals and (target.dotted + ".").startswith("sys.modules."):
            self.warn("computed-name", "sys.modules", "a module that is taken out of sys.modules "
                      "does not count", node)
        self.externals.setdefault(target.dotted, (target, node))

    def warn(self, name, subject, message, node):
        self.warnings.append(warning(self.module, name, subject, message, node))

    def text(self, label):
        """The canonical text; @label gives a Definition's."""
        written = "".join([part if part.__class__ is str else "@" + label(part) for part in self.parts])
        if self.annotated and self.module.future:
            return "(future-annotations) " + written
        return written


def warning(module, name, subject, message, node):
    return Warning_(name, subject, message, module.file, node.lineno, module.source.column(node))


def unit_of(module, index):
    """The unit of a statement of @module, written."""
    found = module.units.get(index)
    if found is None:
        found = module.units[index] = Unit(module, index)
        guarded(module, found.node, lambda: Writer(module, found).node(found.node))
    return found


def code_of(module, expression):
    """What an expression at the top level of @module does, and names."""
    scratch = Unit(module, 0)
    guarded(module, expression, lambda: Writer(module, scratch).node(expression))
    return scratch.code


def guarded(module, node, write):
    try:
        write()
    except RecursionError:
        raise too_deep(module.file, node.lineno, module.source.column(node)) from None

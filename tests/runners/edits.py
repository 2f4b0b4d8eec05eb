"""The table of edits: what must keep the hash of train.py:train, and what must change it.

A row is (verdict, what it is, file, before, after); before stands in the file exactly once, or is None
when the file is new. FILES is the program that they edit.
"""

FILES = {
    "train.py": '''"""Trains."""
import functools
import json
import os.path as osp
from contextlib import contextmanager

import helpers
import helpers as h
import unused
from helpers import load as read, scale
from pkg.model import Model, base_rate
from pkg import util
from stars import *

LIMIT = 10
SEPARATE = 20
NAMES: dict = {"a": 1}
NAMES["b"] = 2
TABLE = {}
HANDLERS = []
first, second = 3, 4
if LIMIT > 5:
    MODE = "big"
else:
    MODE = "small"
try:
    import fastjson
except ImportError:
    fastjson = None


def timed(function):
    """Times."""
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper


def register(function):
    TABLE[function.__name__] = function
    return function


@register
def plugin(x):
    return x + 1


@timed
def step(x, *, rate=LIMIT):
    return x * rate


def in_comprehension(x):
    return x - 1


def in_lambda(x):
    return x - 2


def in_nested(x):
    return x - 3


def in_default():
    return 7


def in_fstring(x):
    return x - 4


def in_partial(x, y):
    return x - y


def in_condition(x):
    return x - 6


def recursive(n):
    return n and other_half(n - 1)


def other_half(n):
    return n and recursive(n - 1)


@contextmanager
def opened(x):
    yield x


class Base:
    shared = 1

    def size(self):
        return 1


class Options(Base):
    """Options."""
    limit = LIMIT
    factor: float = base_rate()

    def __init__(self, x=first):
        """Makes one."""
        self.x = x

    @property
    def twice(self):
        return self.x * 2

    @staticmethod
    def made():
        return Options(h.static(3))


halve = functools.partial(in_partial, y=2)


def train(lr=0.5, epochs=3, *rest, seed=in_default(), **more):
    """Trains a model."""
    # the main loop
    options = Options.made()
    total = [in_comprehension(i) for i in range(epochs)]
    key = sorted(total, key=lambda v: in_lambda(v))

    def inner(v):
        nonlocal total
        total = v
        return in_nested(v)
    with opened(read(str(lr))) as f:
        text = f"{in_fstring(f):>{scale}}" "end"
    if in_condition(lr) and epochs:
        text += MODE
    model = Model(options.twice, helpers.constant)
    data = {"a": 1, "b": [1.5, None, True], **NAMES}
    for name, value in data.items():
        text += osp.join(name, json.dumps(value))
    try:
        halve(inner(3))
    except (ValueError, KeyError) as e:
        raise RuntimeError("bad") from e
    step(util.deep.dig(recursive(3)), rate=star_function(2))
    return TABLE["plugin"](key[0:2]), model, text


def not_reached(x):
    return train() + SEPARATE


if __name__ == "__main__":
    print(train())
''',
    "helpers.py": '''import math

constant = 5
scale = 12
_cache = {}


def load(path):
    if path not in _cache:
        _cache[path] = inner_load(path)
    return _cache[path]


def inner_load(path):
    return path.strip() * int(math.sqrt(4))


def static(x):
    return x


def lonely():
    return 1
''',
    "pkg/__init__.py": '''"""A package."""
from . import util
from .model import Model as Again

VERSION = "1.0"
''',
    "pkg/model.py": '''from .util import deep
from .util.deep import weight as w
from . import VERSION


def base_rate():
    return 0.1


class Meta(type):
    pass


class Model(metaclass=Meta):
    __slots__ = ("size", "constant")

    def __init__(self, size, constant):
        self.size = size + w(size)
        self.constant = constant

    def fit(self):
        return deep.dig(self.size), VERSION


def unreached_model():
    return Model(1, 2)
''',
    "pkg/util/__init__.py": "from . import deep\n",
    "pkg/util/deep.py": '''DEPTH = 3


def dig(x, depth=DEPTH):
    return [x] * depth


def weight(x):
    return x and 1
''',
    "stars.py": '''__all__ = ["star_function"]


def star_function(x):
    return hidden(x)


def hidden(x):
    return x + 1


def not_exported(x):
    return x
''',
    "unused.py": '''import string

VALUE = 1


def helper():
    return string.digits
''',
}

KEEP, CHANGE = "must keep", "must change"

EDITS = [
    # comments, docstrings, formatting
    (KEEP, "a comment is edited", "train.py", "# the main loop", "# the loop"),
    (KEEP, "a comment at the end of a line", "train.py", "    options = Options.made()\n",
     "    options = Options.made()  # made\n"),
    (KEEP, "the module's docstring", "train.py", '"""Trains."""', '"""Trains, and more."""'),
    (KEEP, "the module's docstring is gone", "train.py", '"""Trains."""\n', ""),
    (KEEP, "the function's docstring", "train.py", '"""Trains a model."""', '"""Fits a model."""'),
    (KEEP, "the function's docstring is gone", "train.py", '    """Trains a model."""\n', ""),
    (KEEP, "a docstring of a helper is new", "helpers.py", "def static(x):\n", 'def static(x):\n    "Static."\n'),
    (KEEP, "a class's docstring", "train.py", '"""Options."""', "'''Settings.'''"),
    (KEEP, "a method's docstring is gone", "train.py", '        """Makes one."""\n', ""),
    (KEEP, "the docstring of a decorator", "train.py", '"""Times."""', '"""Measures."""'),
    (KEEP, "a text that stands alone", "train.py", "    options = Options.made()\n",
     '    "just a text"\n    options = Options.made()\n'),
    (KEEP, "blank lines", "train.py", "LIMIT = 10\n", "\n\n\nLIMIT = 10\n\n\n"),
    (KEEP, "other quotes", "train.py", '"big"', "'big'"),
    (KEEP, "a number in hex", "train.py", "LIMIT = 10", "LIMIT = 0xA"),
    (KEEP, "a number with an underline", "train.py", "LIMIT = 10", "LIMIT = 1_0"),
    (KEEP, "a float written longer", "train.py", "lr=0.5", "lr=5.00e-1"),
    (KEEP, "parentheses", "train.py", "return x * rate", "return (x * (rate))"),
    (KEEP, "a line in two", "train.py", "    model = Model(options.twice, helpers.constant)",
     "    model = Model(\n        options.twice,\n        helpers.constant,\n    )"),
    (KEEP, "a backslash", "train.py", "if in_condition(lr) and epochs:", "if in_condition(lr) \\\n            and epochs:"),
    (KEEP, "two statements on a line", "train.py", "LIMIT = 10\nSEPARATE = 20\n", "LIMIT = 10; SEPARATE = 20\n"),
    (KEEP, "another depth of indent", "helpers.py", "    return x\n\n\ndef lonely", "        return x\n\n\ndef lonely"),
    (KEEP, "tabs", "helpers.py", "    return path.strip()", "\treturn path.strip()"),
    (KEEP, "line ends of Windows", "pkg/util/deep.py", "DEPTH = 3\n", "DEPTH = 3\r\n"),
    (KEEP, "a u before a text", "train.py", '"bad"', 'u"bad"'),
    (KEEP, "a raw text of the same letters", "train.py", '"bad"', 'r"bad"'),
    (KEEP, "an escape of the same letter", "train.py", '"bad"', '"b\\x61d"'),
    (KEEP, "neighbouring texts in one", "train.py", '}" "end"', '}end"'),
    (KEEP, "pass in a body that has more", "train.py", "    options = Options.made()\n",
     "    pass\n    options = Options.made()\n"),
    (KEEP, "... for pass", "pkg/model.py", "class Meta(type):\n    pass", "class Meta(type):\n    ..."),
    (KEEP, "a coding line", "helpers.py", "import math\n", "# -*- coding: utf-8 -*-\nimport math\n"),
    (KEEP, "a byte order mark", "helpers.py", "import math\n", "\ufeffimport math\n"),
    (KEEP, "the last line end is gone", "stars.py", "    return x\n", "    return x"),
    # what is not reached
    (KEEP, "a function that is not reached", "train.py", "return train() + SEPARATE", "return train() - SEPARATE"),
    (KEEP, "a constant that is not reached", "train.py", "SEPARATE = 20", "SEPARATE = 21"),
    (KEEP, "a helper that is not reached", "helpers.py", "def lonely():\n    return 1", "def lonely():\n    return 2"),
    (KEEP, "a function more", "helpers.py", "def lonely", "def another():\n    return 5\n\n\ndef lonely"),
    (KEEP, "a function less", "stars.py", "def not_exported(x):\n    return x\n", ""),
    (KEEP, "a module that is imported and not used", "unused.py", "VALUE = 1", "VALUE = 2"),
    (KEEP, "a constant more in a package", "pkg/__init__.py", 'VERSION = "1.0"', 'VERSION = "1.0"\nAUTHOR = "x"'),
    (KEEP, "a method of a class that is not reached", "pkg/model.py", "return Model(1, 2)", "return Model(2, 2)"),
    (KEEP, "what only the script does", "train.py", "    print(train())", "    print(train(2))"),
    (KEEP, "the script's part is gone", "train.py", '\n\nif __name__ == "__main__":\n    print(train())\n', "\n"),
    (KEEP, "a local name that a global has too", "train.py", "SEPARATE = 20", "SEPARATE = 20\nkey = 5"),
    (KEEP, "a name for type checkers only", "train.py", "LIMIT = 10\n",
     "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from somewhere import Thing\nLIMIT = 10\n"),
    # where things come from
    (KEEP, "imports in another order", "train.py", "import functools\nimport json\n", "import json\nimport functools\n"),
    (KEEP, "an import that is not used", "train.py", "import json\n", "import json\nimport random\n"),
    (KEEP, "a module by another alias", "train.py", "import os.path as osp\n", "import os.path as osp, os.path\n"),
    (KEEP, "two imports in one", "train.py", "import functools\nimport json\n", "import functools, json\n"),
    (KEEP, "from instead of a dot", "pkg/model.py", "from . import VERSION", "from pkg import VERSION"),
    (KEEP, "import with dots instead of from", "pkg/model.py", "from .util import deep\n", "import pkg.util.deep as deep\n"),
    (KEEP, "functions in another order", "train.py",
     "def in_comprehension(x):\n    return x - 1\n\n\ndef in_lambda(x):\n    return x - 2\n",
     "def in_lambda(x):\n    return x - 2\n\n\ndef in_comprehension(x):\n    return x - 1\n"),
    (KEEP, "a module of the user's more, imported", "train.py", "import unused\n", "import unused\nimport unused as u2\n"),
    (KEEP, "__future__ where nothing is annotated", "stars.py", '__all__ = [', 'from __future__ import annotations\n__all__ = ['),
    # the function itself
    (CHANGE, "an operator", "train.py", "return x * rate", "return x + rate"),
    (CHANGE, "a statement more", "train.py", "    options = Options.made()\n", "    options = Options.made()\n    epochs += 1\n"),
    (CHANGE, "statements in another order", "train.py",
     "    options = Options.made()\n    total = [in_comprehension(i) for i in range(epochs)]\n",
     "    total = [in_comprehension(i) for i in range(epochs)]\n    options = Options.made()\n"),
    (CHANGE, "a text", "train.py", '"bad"', '"worse"'),
    (CHANGE, "bytes for a text", "train.py", '"bad"', 'b"bad"'),
    (CHANGE, "a float for an integer", "train.py", "LIMIT = 10", "LIMIT = 10.0"),
    (CHANGE, "True for 1", "train.py", "first, second = 3", "first, second = True"),
    (CHANGE, "a sign", "train.py", "[1.5,", "[-1.5,"),
    (CHANGE, "a default", "train.py", "lr=0.5", "lr=0.25"),
    (CHANGE, "a keyword default", "train.py", "seed=in_default()", "seed=3"),
    (CHANGE, "the name of a parameter", "train.py", "epochs=3", "rounds=3"),
    (CHANGE, "parameters in another order", "train.py", "lr=0.5, epochs=3", "epochs=3, lr=0.5"),
    (CHANGE, "a parameter by keyword only", "train.py", "def step(x, *, rate", "def step(x, rate"),
    (CHANGE, "a parameter by position only", "helpers.py", "def static(x)", "def static(x, /)"),
    (CHANGE, "an annotation", "helpers.py", "def static(x)", "def static(x: int)"),
    (CHANGE, "an index for a slice", "train.py", "key[0:2]", "key[0]"),
    (CHANGE, "a slice", "train.py", "key[0:2]", "key[0:3]"),
    (CHANGE, "the width in an f-string", "train.py", ":>{scale}}", ":<{scale}}"),
    (CHANGE, "a conversion in an f-string", "train.py", "{in_fstring(f):", "{in_fstring(f)!r:"),
    (CHANGE, "what is caught", "train.py", "(ValueError, KeyError)", "(ValueError, IndexError)"),
    (CHANGE, "raise without from", "train.py", 'RuntimeError("bad") from e', 'RuntimeError("bad")'),
    (CHANGE, "and, or", "train.py", "in_condition(lr) and", "in_condition(lr) or"),
    (CHANGE, "a generator for a list", "train.py", "total = [in_comprehension(i) for i in range(epochs)]",
     "total = (in_comprehension(i) for i in range(epochs))"),
    (CHANGE, "nonlocal is gone", "train.py", "        nonlocal total\n", ""),
    (CHANGE, "async", "train.py", "def opened(x)", "async def opened(x)"),
    (CHANGE, "a builtin for another", "train.py", "key = sorted(total", "key = list(total"),
    (CHANGE, "a builtin that the module defines now", "train.py", "LIMIT = 10\n", "LIMIT = 10\nsorted = max\n"),
    # helpers, wherever they are named
    (CHANGE, "in a comprehension", "train.py", "return x - 1\n", "return x - 11\n"),
    (CHANGE, "in a lambda", "train.py", "return x - 2\n", "return x - 12\n"),
    (CHANGE, "in a nested function", "train.py", "return x - 3\n", "return x - 13\n"),
    (CHANGE, "in a default", "train.py", "return 7\n", "return 8\n"),
    (CHANGE, "in an f-string", "train.py", "return x - 4\n", "return x - 14\n"),
    (CHANGE, "in functools.partial", "train.py", "return x - y\n", "return y - x\n"),
    (CHANGE, "the partial itself", "train.py", "y=2)", "y=3)"),
    (CHANGE, "in a condition", "train.py", "return x - 6\n", "return x - 16\n"),
    (CHANGE, "in a circle of functions", "train.py", "return n and recursive(n - 1)", "return n and recursive(n - 2)"),
    (CHANGE, "a decorator's wrapper", "train.py", "return function(*args, **kwargs)", "return function(*args)"),
    (CHANGE, "a decorator less", "train.py", "@timed\ndef step", "def step"),
    (CHANGE, "a decorator more", "train.py", "def in_lambda(x)", "@timed\ndef in_lambda(x)"),
    (CHANGE, "a decorator of the standard library", "train.py", "@contextmanager\ndef", "def"),
    (CHANGE, "a default that is a global", "train.py", "LIMIT = 10", "LIMIT = 11"),
    (CHANGE, "half of a tuple of globals", "train.py", "first, second = 3, 4", "first, second = 5, 4"),
    (CHANGE, "a condition at the top level", "train.py", "if LIMIT > 5:", "if LIMIT > 6:"),
    (CHANGE, "a global that is filled later", "train.py", 'NAMES["b"] = 2', 'NAMES["b"] = 3'),
    (CHANGE, "a global that is filled in one place more", "train.py", 'NAMES["b"] = 2', 'NAMES["b"] = 2\nNAMES.update(c=3)'),
    (CHANGE, "what a decorator put into a table", "train.py", "return x + 1\n", "return x + 2\n"),
    (CHANGE, "one more in that table", "train.py", "@timed\ndef step", "@register\ndef plugin2(x):\n    return 1\n\n\n@timed\ndef step"),
    (CHANGE, "a helper in another file, by its alias", "helpers.py", "return _cache[path]", "return _cache.get(path)"),
    (CHANGE, "a helper of that helper", "helpers.py", "path.strip()", "path.rstrip()"),
    (CHANGE, "a global of that helper", "helpers.py", "_cache = {}", "_cache = {'x': 1}"),
    (CHANGE, "module.constant", "helpers.py", "constant = 5", "constant = 6"),
    (CHANGE, "a constant by from-import", "helpers.py", "scale = 12", "scale = 13"),
    (CHANGE, "in a static method of a class", "helpers.py", "def static(x):\n    return x", "def static(x):\n    return -x"),
    (CHANGE, "a method", "train.py", "return self.x * 2", "return self.x * 3"),
    (CHANGE, "an attribute of a class", "train.py", "    limit = LIMIT\n", "    limit = LIMIT + 1\n"),
    (CHANGE, "a class's default", "train.py", "x=first", "x=second"),
    (CHANGE, "a base class", "train.py", "shared = 1", "shared = 2"),
    (CHANGE, "another base class", "train.py", "class Options(Base)", "class Options"),
    (CHANGE, "called in a class's body", "pkg/model.py", "return 0.1", "return 0.2"),
    (CHANGE, "a metaclass", "pkg/model.py", "class Meta(type):\n    pass", "class Meta(type):\n    x = 1"),
    (CHANGE, "__slots__", "pkg/model.py", '("size", "constant")', '("size", "constant", "more")'),
    (CHANGE, "package.module.function", "pkg/util/deep.py", "return [x] * depth", "return [x] * depth * 2"),
    (CHANGE, "its default, a constant", "pkg/util/deep.py", "DEPTH = 3", "DEPTH = 4"),
    (CHANGE, "a relative import with an alias", "pkg/util/deep.py", "return x and 1", "return x and 2"),
    (CHANGE, "a constant of a package", "pkg/__init__.py", '"1.0"', '"1.1"'),
    (CHANGE, "by import *", "stars.py", "return hidden(x)", "return hidden(x) + 1"),
    (CHANGE, "below import *", "stars.py", "return x + 1", "return x + 2"),
    (CHANGE, "import * takes another name", "stars.py", '["star_function"]', '["hidden"]'),
    (CHANGE, "another function of the standard library", "helpers.py", "math.sqrt", "math.cbrt"),
    (CHANGE, "another module of the standard library", "train.py", "import json\n", "import marshal as json\n"),
    (CHANGE, "an import in try", "train.py", "    fastjson = None", "    fastjson = None\n    MODE = 'slow'"),
    # what an import does
    (CHANGE, "a call at the top level", "helpers.py", "_cache = {}", "_cache = {}\nmath.floor(1)"),
    (CHANGE, "of a module that is only imported", "unused.py", "VALUE = 1", "VALUE = 1\nstring.capwords('a')"),
    (CHANGE, "of a module that imports this one", "train.py", "LIMIT = 10\n", "LIMIT = 10\nhelpers.constant = 6\n"),
    (CHANGE, "the environment", "unused.py", "VALUE = 1", "VALUE = 1\nstring.whitespace = ' '"),
    (CHANGE, "an attribute of a class from outside", "train.py", "halve = ", "Options.limit = 1\nhalve = "),
    (CHANGE, "a name of the function", "train.py", "def in_default():\n    return 7", "def in_default():\n    return LIMIT and 7"),
]

"""The table of what p.x is when both p/__init__.py and a file p/x.py may say it: programs in which V stands for 1,
then for 2, as in effects.py. A row is (text of a.py, of p/__init__.py, {other files}).
"""

G = "def g(): return V\nh = 1\n"
SAME = "def g(): return 0\nh = 1\n"
USE = "def f(): return x.g()\n"
DOTTED = "def f(): return p.x.g()\n"
X, Y = {"p/x.py": G, "p/y.py": SAME}, {"p/x.py": SAME, "p/y.py": G}
CHANGES = [
    # what __init__ binds, where nothing imports the file, or __init__ did so before
    ("from p import x\n" + USE, "from . import y as x\n", Y),
    ("from p import x\ndef f(): return x\n", "x = V\n", X),
    ("import p.x as z\ndef f(): return z.g()\n", "from . import x\nfrom . import y as x\n", Y),
    ("import p.x as z\ndef f(): return z.g()\n", "from .x import h\nfrom . import y as x\n", Y),
    ("import p.x\n" + DOTTED, "from .x import h\nfrom . import y as x\n", Y),
    ("import p.q.x as z\ndef f(): return z.g()\n", "", {
        "p/q/__init__.py": "from . import x as _x\nclass K:\n    @staticmethod\n    def g(): return V\nx = K\n", "p/q/x.py": SAME}),
    ("from p import x\ndef f(): return x\n", "from . import x\nx = x.g()\n", X),
    # the file, which is imported later
    ("import p.x\n" + DOTTED, "from . import y as x\n", X),
    ("from p.x import h\nimport p\n" + DOTTED, "from . import y as x\n", X),
    ("import b\nfrom p import x\n" + USE, "from . import y as x\n", dict(X, **{"b.py": "import p.x\n"})),
    ("import p.x as z\ndef f(): return z.g()\n", "from . import y as x\n", X),
    ("import p.x\n" + DOTTED, "from . import y as x\nfrom .x import h\n", X),
    ("from p import x\n" + USE, "from . import y as x\nfrom .x import h\n", X),
    ("import p\ndef f():\n    import p.x\n    return p.x.g()\n", "x = 3\n", X),
    ("import p\ndef f():\n    from p.x import h\n    return p.x.g()\n", "x = 3\n", X),
    ("import p\n" + DOTTED, "from .x import h\nimport os\nif not os: x = 3\n", X),
    # one of several
    ("import p\n" + DOTTED, "try:\n    from .fast import x\nexcept ImportError:\n    from . import x\n", X),
    ("import p\n" + DOTTED, "try:\n    from . import fast as x\nexcept ImportError:\n    from . import x\n", X),
    ("import p\n" + DOTTED, "try:\n    from . import fast as x\nexcept ImportError:\n    from . import x\n",
     {"p/x.py": SAME, "p/fast.py": G}),
    # names of __init__ that no statement there binds
    ("import p\ndef f(): return p.go()\n", "from .x import h\ndef go(): return x.g()\n", X),
    ("import p\ndef f(): return p.go()\n", "import p.x\ndef go(): return x.g()\n", X),
    ("import p\ndef f(): return p.go()\n", "from .b import h\ndef go(): return x.g()\n", dict(X, **{"p/b.py": "from .x import h\n"})),
    ("from p import *\n" + USE, "from .x import h\n", X),
    ("from p import *\ndef f(): return go()\n", "from .x import *\ndef go(): return x.g()\n", X),
    # what changes __all__ is a function, or stands below something
    ("from p import *\ndef f(): return x()\n",
     "def export(h):\n    __all__.append(h.__name__)\n    return h\n__all__ = []\n@export\ndef x(): return V\n", {}),
    ("def x(): return 0\nfrom p import *\ndef f(): return x()\n",
     "def export(h):\n    __all__.append(h.__name__)\n    return h\n__all__ = []\n@export\ndef x(): return V\n", {}),
    ("def x(): return 0\nfrom p import *\ndef f(): return x()\n", "__all__ = []\nif True: __all__.append('x')\ndef x(): return V\n", {}),
    # files that __all__ names, and import_module() with dots
    ("from p import *\n" + USE, "__all__ = ['x']\n", X),
    ("from p import *\nimport random\ndef f(): return random.random()\n", "__all__ = ['x']\n", {"p/x.py": "import random\nrandom.seed(V)\n"}),
    ("import p\n" + DOTTED, "import importlib\nx = importlib.import_module('.x', __name__)\n", X),
    ("import p\n" + DOTTED, "import importlib\nx = importlib.import_module('.x', package=__package__)\n", X),
    ("import p.b\ndef f(): return p.b.x.g()\n", "", dict(X, **{"p/b.py": "from importlib import import_module\nx = import_module('.x', __package__)\n"})),
    ("import p.q.b\ndef f(): return p.q.b.x.g()\n", "", dict(X, **{
        "p/q/__init__.py": "", "p/q/b.py": "from importlib import import_module\nx = import_module('..x', 'p.q')\n"})),
]
KEEPS = [
    ("from p import x\ndef f(): return x\n", "x = 3\n", X),
    ("from p import x\n" + USE, "from . import y as x\n", X),
    ("import p.x as z\ndef f(): return z.g()\n", "from .x import h\nfrom . import y as x\n", X),
    ("import p.x as x\ndef f(): return x()\n", "from .x import x\n", {"p/x.py": "def x(): return 1\nu = V\n"}),
    ("import p.x\ndef f(): return p.x()\n", "from .x import x\n", {"p/x.py": "def x(): return 1\nu = V\n"}),
    ("from p.x import g\ndef f(): return g()\n", "from . import y as x\n", Y),
    ("from p import *\ndef f(): return 1\n", "__all__ = ['x']\n", X),
    ("from p import x\ndef f(): return x\n", "from .y import x\n", {"p/x.py": "this is no Python V\n", "p/y.py": "x = 1\n"}),
]

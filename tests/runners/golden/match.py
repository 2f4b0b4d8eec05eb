# The match statement, of Python 3.10.
def entry(x, y):
    match x, y:
        case 1 | -1 | 1.5 | 2 - 3j | "a" "b" | b"c" | None | True: return 0
        case [a, (b, *_), *rest] if a: return a, b, rest
        case {"k": 1, "l": [c, *d], **more}: return c, d, more
        case {}: pass
        case []: ...
        case [*_]: ...
        case Klass(): return 1
        case Klass.Inner(1, 2, x=3, y=Klass(z)) as whole: return whole, z
        case str(s) | (int() as s): return s
        case Klass.attribute: return 2
        case _: return x
    with (open(x) as f, open(y) as g):
        return f, g


class Klass:
    __match_args__ = ("a", "b")
    attribute = 1
    class Inner: pass

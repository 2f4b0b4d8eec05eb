# Every kind of syntax that Python 3.9 has, most of it twice. Do not mend: the hashes of these are frozen.
from __future__ import annotations
import asyncio, math as m, os.path
import xml.etree.ElementTree
from collections import OrderedDict as OD, deque
import every_helpers as eh
from every_helpers import *
from every_helpers import one as uno, Späß

INTEGERS = 0, 1, -1, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffffffffffffffffffff, 0b11, 0o17, 1_000
FLOATS = 0.0, -0.0, 0.1, 1e-7, 1e22, 1e23, 123456789.123456789, 1e400, 5e-324, 1.0, 3.
COMPLEX = 1j, 0j, 2.5j, 1e400j
TEXTS = "", 'a', "it's", '"', """x
y""", "\0\x01\t\n\r\\", "\xe9é", "\u2028", "\U0001f600", "\ud83d\ude00", "\N{BULLET}", r"\n", u"u", "a" "b"
BYTES = b"", b"a\x00\xff'", br"\n", b"a" b"b"
OTHERS = None, True, False, ..., Ellipsis, NotImplemented, __debug__
A, (B, *C), [D] = 1, (2, 3, 4), [5]
E = F = {}
F["x"]: int = 1
G: "text"
(H): int = 2
E["y"] = 1; E["y"] += 2; E["y"] **= 2; E["y"] //= 3; E["y"] <<= 1; E["y"] >>= 1; E["y"] |= 1; E["y"] &= 3; E["y"] ^= 1
J = [1, 2, 3]; J[0] -= 1; J[1] *= 2; J[2] /= 2; J[0] %= 3; J[0] @= eh.Matrix()
del J[0], J[:1], E["y"]
lam = lambda a, b=1, /, c=2, *d, e, f=3, **g: (a, b, c, d, e, f, g)
plain = lambda: (yield)


def operators(a, b):
    r = a + b - a * b / a // b % a ** b @ a << b >> a | b & a ^ b
    r = not a, ~a, +a, -a, a and b or a and not b, a if b else r
    r = a < b <= a != b == a > b >= a is b is not a in b not in a
    return r, a[0], a[0, 1], a[(0, 1)], a[0:1], a[::], a[0:1:2, ..., 1:], a[b:], a.b.c(d=1)[2].e, (a)(*b, 1, *a, x=1, **b, **a)


def texts(a, b=3, w=4):
    return (f"", f"a", f"{a}", f"{a!r}", f"{a!s:>{w}}", f"{a:{b}.{w}}", f"{{}}", f"{a}{b}", f"x{a}y{b}z", f"{a=}", f"{a = !r:^5}",
            "a" f"{a}" "b" f"c" 'd', f"{a:}", f"{'q'}", f"{(lambda x: x)(a)}", f"{a['k']}", f"{a!a}", f"{ {1: 2}[1] }", rf"\n{a}\t",
            f"""{
    a}""", f"{a:%Y-%m-%d}", f"{1 if a else 2}", f"{a:x{'y'}z}", "%s" % a, f"é{a}\N{BULLET}")


def collections(a):
    x = [], [1, *a], (), (1,), (*a, 2), {1}, {*a, 1}, {}, {1: 2, **a, "x": 3}
    y = [i for i in a], {i for i in a if i if not i}, {i: j for i, j in a for k in j}, (i for i in a), [[j for j in i] for i in a]
    z = [k := 1, (n := len(a)) > 1], [last := i for i in a]
    return x, y, z, k, n, last


def statements(a, *, b: int = 1, **c: "x") -> "y":
    """Docstring."""
    global COUNT
    COUNT = a
    for i, *j in a:
        if i: continue
        elif j: break
        else: pass
    else:
        a = 1
    while a:
        a -= 1
    else:
        a = 2
    try:
        raise ValueError(a) from None
    except (ValueError, TypeError) as e:
        raise
    except OSError:
        assert a, "message"
    except:
        return
    else:
        assert a
    finally:
        del a
    with open(b) as f, open(c): "text"
    with open(b): ...
    import json, os.path as osp
    from math import sin as s, cos
    x: int
    y: int = 3
    def inner(q=b, *, r=c):
        nonlocal x
        x = q
        def deeper(): return x, y, COUNT
        return deeper
    class Local(dict, metaclass=type, extra=1):
        z = y = y
        def m(self): return __class__, super().m, z
    return json.dumps(osp), s(cos), inner, Local, eh.one.x, eh.sub, uno, Späß, two(), xml.etree.ElementTree.parse, OD, deque, m.pi, lam, plain


def generators(a):
    x = yield
    y = yield a
    z = yield from a
    return x, y, z


async def coroutines(a):
    async for i in a:
        await i
    else:
        pass
    async with a as b, b:
        c = [i async for i in a], {await i for i in a}, [await i for i in a if await i]
    await asyncio.sleep(0)
    yield 1


@eh.decorate
@eh.decorate_with(1, x=[2])
class Klass(eh.Base, eh.sub.Other):
    """Docstring."""
    __slots__ = ()
    a: int
    b: int = 1
    c = b
    __private = 2

    @property
    def p(self): return self.__private

    @p.setter
    def p(self, v): self._p = v

    @staticmethod
    def s(*, a=None): "just a docstring"

    @classmethod
    async def c(cls, /): ...

    class Inner:
        x = INTEGERS

    def __getattr__(self, name, _cache={}): return getattr(self, "x", Klass.Inner)


if os.path.sep == "/":
    COUNT = 1
elif A:
    COUNT = 2
else:
    COUNT: int = 3
try:
    import nothing_like_it as maybe
except ImportError:
    maybe = None
for LOOP in range(3):
    E[LOOP] = LOOP
with open(os.devnull) as DEV:
    pass


def entry():
    return (operators, texts, collections, statements, generators, coroutines, Klass, INTEGERS, FLOATS, COMPLEX, TEXTS, BYTES, OTHERS,
            A, B, C, D, E, F, G, H, J, COUNT, maybe, LOOP, DEV)

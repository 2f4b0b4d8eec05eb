import every_sub as sub

__all__ = ["one", "two"]


def one(): return Späß()
def two(): return one() or three()
def three(): return two()


class Späß: pass
class Base: pass


class Matrix:
    def __rmatmul__(self, other): return other


def decorate(c): return c


def decorate_with(*a, **k):
    def keep(c): return c, a, k
    return keep

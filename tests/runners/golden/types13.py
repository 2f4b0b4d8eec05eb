# Defaults of type parameters, of Python 3.13.
def entry[T = int, *Ts = *tuple[int], **P = [Other]](x: T): return x
class Other: pass

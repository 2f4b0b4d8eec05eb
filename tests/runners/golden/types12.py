# Type parameters, type aliases and f-strings without bounds, of Python 3.12.
type Alias = list[Other]
type Generic[T, *Ts, **P] = dict[T, Other] | P
type Recursive = list[Recursive]


class Other: pass
class Klass[T: Other, U: (int, Other)](Other, dict[T, U]):
    def m[V](self, v: V, t: T) -> Other: return [V, T]


def entry[T, *Ts, **P](x: T, *y: *Ts, z: P = Other) -> Alias:
    def inner[U: T](u: U): return T, U, x
    return f"{x + f"{y["a"]}" + 'b' "c"}", f"{'\n'.join(z)}", f"{
        x  # a comment
    }", Generic, Klass, Recursive, inner

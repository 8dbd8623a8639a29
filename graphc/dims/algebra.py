"""Integer algebra of sizes in normal form: shapes, extents, strides, indices.

A size is an `int` or a `Dim`: sum_k c_k * prod_j atom_j**p_kj with int c_k, over atoms: symbols (>= 0) and calls of
`//`, `%`, `min`, `max`. Equal normal forms are equal sizes; divisors are taken to be positive.
"""

from __future__ import annotations

import math
import numbers
import operator
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, NoReturn

from graphc.dims.comparison import decided, inside, no_value
from graphc.errors import ArgumentError, fail

Bound = int | float  # an int, or -inf / inf where nothing is provable
Range = tuple[Bound, Bound]


class Atom:
    """What polynomials are over: an integer in [range[0], range[1]]; ordered by `key`, which says what it is."""

    __slots__ = ()
    key: str

    def __lt__(self, other: Atom) -> bool:
        return self.key < other.key


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Symbol(Atom):
    """A named unknown >= 0, equal only to itself: kind "size" (bound by a call's inputs) or "axis" (a loop index)."""

    name: str
    kind: str
    serial: int
    key: str
    range: ClassVar[Range] = (0, math.inf)

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, repr=False)
class Call(Atom):
    """fn(a, b), fn one of floordiv, mod, min, max."""

    key: str
    fn: str = field(compare=False)
    args: tuple[Size, Size] = field(compare=False)
    range: Range = field(compare=False)
    symbols: frozenset[Symbol] = field(compare=False)

    def __repr__(self) -> str:
        a, b = self.args
        if self.fn in ("min", "max"):
            return f"{self.fn}({a}, {b})"
        return f"{_operand(a)}{'//' if self.fn == 'floordiv' else ' % '}{_operand(b)}"


Monomial = tuple[tuple[Symbol | Call, int], ...]
Term = tuple[Monomial, int]


def _binary(fn: Callable[[Any, Any], Size]) -> Callable[[Dim, Size], Size]:
    def method(self: Dim, other: Size) -> Size:
        size = _size(other)
        return NotImplemented if size is None else fn(self, size)

    return method


def _order(relation: str, known: Callable[[Any, Any], bool | None]) -> Callable[[Dim, Size], bool]:
    def method(self: Dim, other: Size) -> bool:
        size = _size(other)
        return NotImplemented if size is None else decided(known(self, size), self, relation, size)  # type: ignore[return-value]

    return method


class Dim:
    """sum of coefficient * monomial, e.g. `2*m*n + n//2 + 1`; never constant: a constant result is a plain int."""

    __slots__ = ("__weakref__", "_hash", "_symbols", "terms")
    terms: tuple[Term, ...]
    _hash: int
    _symbols: frozenset[Symbol]  # set when first asked for
    __array_ufunc__ = None  # numpy scalars leave arithmetic to the methods below

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Dim is immutable; cannot set {name!r}")

    def __deepcopy__(self, memo: object = None) -> Dim:
        return self  # immutable, and its symbols are what they are by identity

    __copy__ = __deepcopy__

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        """Inside graphc: the same normal form. In the user's code what is not provable has no truth value, see `comparison`."""
        if self is other or (type(other) is Dim and self._hash == other._hash and self.terms == other.terms):
            return True
        if inside(sys._getframe(1)):
            return False if type(other) is Dim or type(other) is int else NotImplemented
        size = _size(other)
        return NotImplemented if size is None else decided(equal(self, size), self, "==", size)  # type: ignore[return-value]

    def __neg__(self) -> Dim:
        return _dim(tuple([(m, -c) for m, c in self.terms]))

    __add__ = __radd__ = _binary(lambda a, b: _add(a.terms, _terms(b), 1))
    __sub__ = _binary(lambda a, b: _add(a.terms, _terms(b), -1))
    __rsub__ = _binary(lambda a, b: _add(_terms(b), a.terms, -1))
    __mul__ = __rmul__ = _binary(lambda a, b: _multiply(a, b))
    __floordiv__ = _binary(lambda a, b: floordiv(a, b))
    __rfloordiv__ = _binary(lambda a, b: floordiv(b, a))
    __mod__ = _binary(lambda a, b: mod(a, b))
    __rmod__ = _binary(lambda a, b: mod(b, a))

    __lt__ = _order("<", lambda a, b: less_equal(a + 1, b))
    __le__ = _order("<=", lambda a, b: less_equal(a, b))
    __gt__ = _order(">", lambda a, b: less_equal(b + 1, a))
    __ge__ = _order(">=", lambda a, b: less_equal(b, a))

    def __bool__(self) -> bool:
        return bool(decided(True if equal(self, 0) is False else None, self, "!=", 0))  # what is 0 for all values is the int

    __int__ = __index__ = __float__ = no_value

    def __repr__(self) -> str:
        text = ""
        for m, c in sorted(self.terms, key=lambda t: (-sum(p for _, p in t[0]), t[0])):
            sign = ("-" if c < 0 else "") if not text else (" - " if c < 0 else " + ")
            bare = len(m) == 1 and m[0][1] == 1 and abs(c) == 1 and sign != "-"  # -n//2 would read as (-n)//2
            factors = [repr(a) if bare else _operand(a) + (f"**{p}" if p > 1 else "") for a, p in m]
            text += sign + "*".join(factors if m and abs(c) == 1 else [str(abs(c)), *factors])
        return text


Size = int | Dim
Index = Size
_set_terms = Dim.__dict__["terms"].__set__  # past __setattr__, and faster than object.__setattr__
_set_hash = Dim.__dict__["_hash"].__set__
_set_symbols = Dim.__dict__["_symbols"].__set__
_NO_SYMBOLS: frozenset[Symbol] = frozenset()


def _dim(terms: tuple[Term, ...]) -> Dim:
    out: Dim = object.__new__(Dim)
    _set_terms(out, terms)
    # with the lengths: hash(-1) == hash(-2), and keys of one hash are compared
    _set_hash(out, hash((terms, *[c.bit_length() for _, c in terms])))
    return out


def _monomial(m: Monomial) -> Size:
    return _dim(((m, 1),)) if m else 1


def _size(x: object) -> Size | None:
    """x as a size, None where it is none: bool is not a size, numpy integers are."""
    if type(x) is int or type(x) is Dim:
        return x
    return operator.index(x) if isinstance(x, numbers.Integral) and not isinstance(x, bool) else None


def _checked(x: Size) -> Size:
    size = _size(x)
    if size is None:
        fail(ArgumentError, f"a size is an int or a Dim, got {type(x).__name__}: {x!r}")
    return size


def _terms(a: Size) -> tuple[Term, ...]:
    return a.terms if isinstance(a, Dim) else (((), a),) if a else ()


def _collect(table: dict[Monomial, int]) -> Size:
    terms = sorted([t for t in table.items() if t[1]])
    if not terms or not terms[-1][0]:  # the constant monomial sorts first: it is last only when alone
        return terms[0][1] if terms else 0
    return _dim(tuple(terms))


def _add(a: tuple[Term, ...], b: tuple[Term, ...], sign: int) -> Size:
    table = dict(a)
    for m, c in b:
        table[m] = table.get(m, 0) + sign * c
    return _collect(table)


def _multiply(a: Dim, b: Size) -> Size:
    if isinstance(b, int):
        return _dim(tuple([(m, c * b) for m, c in a.terms])) if b else 0
    table: dict[Monomial, int] = {}
    for m, c in a.terms:
        for k, d in b.terms:
            product = _times(m, k)
            table[product] = table.get(product, 0) + c * d
    return _collect(table)


def _times(a: Monomial, b: Monomial, sign: int = 1) -> Monomial:
    if not b or (not a and sign > 0):
        return a or b
    powers = dict(a)
    for atom, p in b:
        powers[atom] = powers.get(atom, 0) + sign * p
    return tuple(sorted([t for t in powers.items() if t[1]]))


def _atom(a: Size) -> Symbol | Call | None:
    if isinstance(a, Dim) and len(a.terms) == 1:
        m, c = a.terms[0]
        if c == 1 and len(m) == 1 and m[0][1] == 1:
            return m[0][0]
    return None


def _operand(a: Size | Symbol | Call) -> str:
    bare = a if isinstance(a, (int, Symbol, Call)) else _atom(a)
    plain = isinstance(bare, (int, Symbol)) or (bare is not None and bare.fn in ("min", "max"))
    return f"{a}" if plain else f"({a})"


def _scale(x: Bound, y: Bound) -> Bound:
    return x * y if x and y else 0  # 0 * inf is 0: the unbounded factor is finite for each value of the symbols


def _floor(x: Bound, y: Bound) -> Bound:
    return x if math.isinf(x) else (0 if x >= 0 else -1) if y == math.inf else x // y


def _span(op: Callable[[Bound, Bound], Bound], a: Range, b: Range) -> Range:
    corners = [op(x, y) for x in a for y in b]
    return min(corners), max(corners)


_RANGES: dict[str, Callable[[Range, Range], Range]] = {
    "floordiv": lambda a, b: _span(_floor, a, (max(1, b[0]), b[1])),  # divisors are positive
    "mod": lambda a, b: (0, min(b[1] - 1, a[1]) if a[0] >= 0 else b[1] - 1),
    "min": lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
    "max": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
}


def _monomial_range(m: Monomial) -> Range:
    out = m[0][0].range
    for x in [x for x, p in m for _ in range(p)][1:]:
        out = _span(_scale, out, x.range)
    return out


@lru_cache(maxsize=4096)
def _low(a: Size, relaxations: int = 3) -> Bound:
    """Term by term; where that is unbounded, again with a call replaced by an affine bound of it. All orders lead to the same few."""
    total = sum(c if not m else _scale(c, _monomial_range(m)[c < 0]) for m, c in _terms(a))
    if total > -math.inf or not relaxations:
        return total
    for m, c in _terms(a):
        if len(m) == 1 and m[0][1] == 1 and isinstance(m[0][0], Call):
            for x, k in _relaxed(m[0][0], c > 0):
                total = max(total, -_floor(-_low(k * (a - c * _monomial(m)) + c * x, relaxations - 1), k))
    return total


def _relaxed(call: Call, below: bool) -> list[tuple[Size, int]]:
    """(x, k) with x/k <= call (below) or x/k >= call, such as (x - k + 1)/k <= x//k <= x/k and x % y <= y - 1."""
    a, b = call.args
    if call.fn == "floordiv" and isinstance(b, int):
        return [(a - b + 1 if below else a, b)]
    if call.fn == ("max" if below else "min"):
        return [(a, 1), (b, 1)]
    if below or call.fn == "max":
        return []
    return [(b - 1, 1)] * (call.fn == "mod") + [(a, 1)] * (_low(a, 0) >= 0)


def lower_bound(a: Size) -> int | None:
    """A provable constant c <= a for all symbols >= 0 (divisors > 0); None where there is none."""
    low = _low(_checked(a))
    return low if isinstance(low, int) else None


def equal(a: Size, b: Size) -> bool | None:
    """a == b for all symbols: True by normal form; False where a - b is never 0; None where it depends."""
    d = _checked(a) - _checked(b)
    if isinstance(d, int):
        return d == 0
    constant = sum(c for m, c in d.terms if not m)
    never = constant % math.gcd(*(c for m, c in d.terms if m)) != 0 or _low(d) > 0 or _low(-d) > 0
    return False if never else None


def less_equal(a: Size, b: Size) -> bool | None:
    """a <= b for all symbols: True; a > b for all symbols: False; None where it depends or is not provable."""
    d = _checked(b) - _checked(a)
    return True if _low(d) >= 0 else False if _low(-d) > 0 else None


def _call(fn: str, a: Size, b: Size) -> Size:
    key = f"~{fn}({_key(a)},{_key(b)})"
    ranges = _RANGES[fn]((_low(a), -_low(-a)), (_low(b), -_low(-b)))
    return _monomial(((Call(key, fn, (a, b), ranges, symbols(a) | symbols(b)), 1),))


def _key(a: Size) -> str:
    return "+".join([f"{c}" + "".join([f"*{x.key}^{p}" for x, p in m]) for m, c in _terms(a)])


def _extreme(fn: str, a: Size, b: Size) -> Size:
    low, high = sorted((_checked(a), _checked(b)), key=lambda s: (isinstance(s, int), _key(s)))
    order = less_equal(low, high)
    if order is None and not less_equal(high, low):
        return _call(fn, low, high)
    return low if (order is True) == (fn == "min") else high


def minimum(a: Size, b: Size) -> Size:
    """min(a, b), folded where a <= b or b <= a is provable."""
    return _extreme("min", a, b)


def maximum(a: Size, b: Size) -> Size:
    """max(a, b), folded where a <= b or b <= a is provable."""
    return _extreme("max", a, b)


def _split(a: Size, by: Monomial, d: int = 1) -> tuple[Size, Size]:
    """(q, r) with a == q*d*by + r: the terms of a that the term d*by divides, and the others."""
    quotient: dict[Monomial, int] = {}
    rest: dict[Monomial, int] = {}
    for m, c in _terms(a):
        k = _times(m, by, -1)
        if c % d or any(p < 0 for _, p in k):
            rest[m] = c
        else:
            quotient[k] = c // d
    return _collect(quotient), _collect(rest)


def divide(a: Size, b: Size) -> Size | None:
    """q with a == q*b as polynomials: divide(n*m + 2*n, n) = m + 2; None where there is none."""
    rest, b = _checked(a), _checked(b)
    atoms = sorted({x for m, _ in _terms(rest) + _terms(b) for x, _ in m})

    def lead(s: Size) -> Term:
        # Long division needs an order kept by multiplication: powers of the atoms in turn, lexicographically.
        return max(_terms(s), key=lambda t: [dict(t[0]).get(x, 0) for x in atoms])

    q: Size = 0
    while rest != 0:
        step = _split(_dim((lead(rest),)), *lead(b))[0] if b != 0 else 0
        if step == 0:
            return None
        q, rest = q + step, rest - step * b
    return q


def _division(fn: str, a: Size, b: Size) -> Size:
    """a//b or a % b through a == q*b + r, where that leaves 0 <= r < b or q takes terms out of a call."""
    a, b, floor = _checked(a), _checked(b), fn == "floordiv"
    if isinstance(b, int) and b <= 0:
        raise ZeroDivisionError(f"({a}) // 0") if b == 0 else ValueError(f"({a}) // {b}: the divisor must be positive")
    if len(_terms(b)) == 1:
        q, r = _split(a, *_terms(b)[0])
    else:
        exact = divide(a, b)
        q, r = (0, a) if exact is None else (exact, 0)
    if isinstance(r, int) and isinstance(b, int):
        q, r = q + r // b, r % b
    if r == 0 or (_low(r) >= 0 and _low(b - 1 - r) >= 0):
        return q if floor else r
    if isinstance(b, Dim):
        return _call(fn, a, b)
    common = math.gcd(b, *(c for _, c in _terms(r)))
    r, b = _split(r, (), common)[0], b // common
    inner = _atom(r)
    if isinstance(inner, Call) and inner.fn == fn and isinstance(inner.args[1], int):
        x, k = inner.args
        if floor:
            return q + floordiv(x, k * b)
        if k % b == 0:
            return common * mod(x, b)
    return q + _call(fn, r, b) if floor else common * _call(fn, r, b)


def floordiv(a: Size, b: Size) -> Size:
    """floor(a / b), b > 0: (8*n + 5)//4 = 2*n + 1, n*m//m = n, (4*n + m)//4 = n + m//4, n//2//3 = n//6."""
    return a // b if type(a) is type(b) is int and b > 0 else _division("floordiv", a, b)


def mod(a: Size, b: Size) -> Size:
    """a - b*(a//b), b > 0: (4*n + 3) % 4 = 3, n*m % m = 0, 4*n % 8 = 4*(n % 2), n % 8 % 4 = n % 4."""
    return a % b if type(a) is type(b) is int and b > 0 else _division("mod", a, b)


def symbols(a: Size) -> frozenset[Symbol]:
    """All symbols of a, those inside calls too."""
    if not isinstance(a, Dim):
        _checked(a)
        return _NO_SYMBOLS
    try:
        return a._symbols
    except AttributeError:
        atoms = [x for m, _ in a.terms for x, _ in m]
        found = _NO_SYMBOLS.union(*[x.symbols if isinstance(x, Call) else (x,) for x in atoms])
        _set_symbols(a, found)
        return found

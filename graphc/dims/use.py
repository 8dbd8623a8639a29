"""What sizes are used for: values, replacement, slopes along an index, text."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from functools import lru_cache

from graphc.dims.algebra import (
    Call,
    Dim,
    Size,
    Symbol,
    _atom,
    _checked,
    _dim,
    _monomial,
    _split,
    floordiv,
    maximum,
    minimum,
    mod,
    symbols,
)  # fmt: skip

_FUNCTIONS = {"floordiv": floordiv, "mod": mod, "min": minimum, "max": maximum}


def product(sizes: Iterable[Size]) -> Size:
    """prod(sizes); 1 for none."""
    return math.prod(map(_checked, sizes))


def substitute(a: Size, mapping: Mapping[Symbol, Size]) -> Size:
    """a with each symbol replaced at once: n + m under {n: m, m: 3} is m + 3."""
    if isinstance(a, int) or symbols(a).isdisjoint(mapping):
        return _checked(a)
    total: Size = 0
    for m, c in a.terms:
        term: Size = c
        for x, p in m:
            if isinstance(x, Call):
                u, v = x.args
                value = _FUNCTIONS[x.fn](substitute(u, mapping), substitute(v, mapping))
            else:
                value = mapping[x] if x in mapping else _monomial(((x, 1),))
            term = term * product([value] * p)
        total = total + term
    return total


def evaluate(a: Size, env: Mapping[Symbol, int]) -> int:
    """The int that a is with the symbols at env; KeyError names a symbol without a value."""
    if type(a) is int:
        return a
    unbound = [s.name for s in sorted(symbols(a)) if s not in env]
    if unbound:
        raise KeyError(f"the size {unbound[0]} of {a} has no value")
    return operator.index(substitute(a, env))


MAX_INT64 = 2**63 - 1


def fits_int64(a: Size, env: Mapping[Symbol, int]) -> bool:
    """Whether native code, which computes in wrapping int64, gets a right: it and each operand of its calls is an int64.

    Sums and products may wrap on the way: they come back.
    """
    within = -MAX_INT64 - 1 <= evaluate(a, env) <= MAX_INT64
    return within and all(fits_int64(b, env) for call in _calls(a) for b in call.args)


def safe_up_to(sizes: Iterable[Size]) -> int:
    """The largest n such that no part of any of the sizes leaves int64 while no symbol is above n: 3037000499 for n*n; -1 for none."""
    listed = list(sizes)
    low, high = -1, MAX_INT64
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if all(_magnitude(a, middle) <= MAX_INT64 for a in listed) else (low, middle - 1)
    return low


def _calls(a: Size) -> list[Call]:
    return [] if isinstance(a, int) else [x for m, _ in a.terms for x, _ in m if isinstance(x, Call)]


def _magnitude(a: Size, n: int) -> int:
    """A bound of |a| and of the operands of its calls, for symbols in 0..n."""
    if isinstance(a, int):
        return abs(a)
    total = 0
    for m, c in a.terms:
        factors = [(max(_magnitude(b, n) for b in x.args) if isinstance(x, Call) else n) ** p for x, p in m]
        total += abs(c) * math.prod(factors)
    return total


def affine(a: Size, s: Symbol) -> tuple[Size, Size] | None:
    """(c, r) with a == c*s + r, c and r free of s; None where a is not affine in s."""
    return _affine(a, s) if isinstance(a, Dim) else (0, _checked(a))


@lru_cache(maxsize=4096)  # code generation asks for the same few offsets, over and over
def _affine(a: Dim, s: Symbol) -> tuple[Size, Size] | None:
    slope, rest = _split(a, ((s, 1),))
    return None if s in symbols(slope) | symbols(rest) else (slope, rest)


def of_symbol(s: Symbol) -> Dim:
    """The size that is just this symbol."""
    return _dim(((((s, 1),), 1),))


def as_symbol(a: Size) -> Symbol | None:
    """The symbol that a is, else None."""
    atom = _atom(a)
    return atom if isinstance(atom, Symbol) else None


def solve(a: Size, value: int) -> tuple[Symbol, int] | None:
    """(n, (value - k) // c) for a = c*n + k; None for another form; ValueError where no integer n >= 0 solves it."""
    for s in symbols(a):
        parts = affine(a, s)
        if parts and isinstance(parts[0], int) and isinstance(parts[1], int):
            n, rest = divmod(value - parts[1], parts[0])
            if rest or n < 0:
                raise ValueError(f"no integer {s.name} >= 0 makes {a} equal {value}")
            return s, n
    return None


def format_shape(shape: tuple[Size, ...]) -> str:
    """`n, 64`."""
    return ", ".join([str(s) for s in shape])

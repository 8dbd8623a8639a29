"""Where symbols come from: by name, of an axis without one, loop indices."""

from __future__ import annotations

import itertools

from graphc.dims.algebra import Dim, Symbol, _dim
from graphc.errors import ShapeError, fail

_serials = itertools.count(1)
_named: dict[str, Dim] = {}


def dim(name: str) -> Dim:
    """The size symbol of that name, one process-wide."""
    found = _named.get(name) if type(name) is str else None
    if found is not None:
        return found
    if not isinstance(name, str) or not name.isidentifier():
        fail(ShapeError, f"a size is named by an identifier such as 'n', got {name!r}")
    return _named.setdefault(name, _symbol(name, "size", 0, name))


def fresh(name: str = "d") -> Dim:
    """A new anonymous size symbol, printed as `_d3`."""
    serial = next(_serials)
    return _symbol(f"_{name}{serial}", "size", serial, f"_{name}")  # ordered by age: _d9 before _d10, as _d10 before _d11


def fresh_of(variable: str, axis: int) -> Dim:
    """A new size symbol for an axis that a variable leaves open, printed as what a user writes for it: `x.shape[0]`."""
    return anonymous(f"{variable}.shape[{axis}]")


def anonymous(name: str) -> Dim:
    """A new size symbol that is printed by this name, as one of `fresh` or `fresh_of` is; no other one is equal to it."""
    return _symbol(name, "size", next(_serials), "_d")


def axis(name: str) -> Dim:
    """A new loop index >= 0; two axes of one name are two symbols."""
    return _symbol(name, "axis", next(_serials), name)


def counter(name: str) -> Dim:
    """A new size that a loop of a program counts: an argument of kernels as other sizes are, but bound by no call."""
    return _symbol(name, "size", next(_serials), name)


def _symbol(name: str, kind: str, serial: int, stem: str) -> Dim:
    # A blank sorts before every character of an identifier: keys order as (kind, stem, serial).
    return _dim(((((Symbol(name, kind, serial, f"{kind} {stem} {serial:012d}"), 1),), 1),))

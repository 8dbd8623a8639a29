"""The typing rules of the scalar language, and how far an index can reach: what the verifiers of programs and of loops share."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from graphc import dims
from graphc.dims import Dim, Size, Symbol
from graphc.dtypes import bool_, int64
from graphc.scalars import COMPARISONS, Scalar, format_scalar

LEAVES = ("const", "index", "load", "fetch", "local", "arg")
UNARY = ("neg", "abs", "sqrt", "floor", "ceil", "trunc", "rint", "not")
BINARY = ("add", "sub", "mul", "div", "floordiv", "mod", "min", "max", "copysign", "and", "or", "xor", "shl", "ashr", "lshr")
ARITY = {
    **dict.fromkeys((*UNARY, "cast", "bitcast", "lookup"), 1), **dict.fromkeys((*BINARY, *COMPARISONS), 2), "fma": 3, "select": 3,
}  # fmt: skip
KINDS = {  # the NumPy kinds of what an op works on, where not every kind has a meaning
    **dict.fromkeys(("sqrt", "floor", "ceil", "trunc", "rint", "copysign"), "f"),
    **dict.fromkeys(("floordiv", "mod", "shl", "ashr", "lshr"), "iu"), **dict.fromkeys(("and", "or", "xor", "not"), "biu"),
}  # fmt: skip

Reach = tuple[Size, Size]


def scalar_fault(s: Scalar) -> str:
    """What is wrong with the dtypes of one Scalar and its arguments, "" where nothing is.

    A name that is no op is a function of the vector math.
    """
    if s.op == "const":
        return _const_fault(s)
    if s.op == "index":
        return "" if s.dtype == int64 and isinstance(s.param, Dim) else f"an index is an i64 of a Dim, not {s.dtype} of {s.param!r}"
    if s.op in LEAVES:
        return ""
    got = ", ".join(a.dtype.name for a in s.args)
    if len(s.args) != ARITY.get(s.op, max(len(s.args), 1)):
        return f"{s.op} takes {ARITY.get(s.op, 'one or more')} arguments, not {len(s.args)}"
    if s.op in ("cast", "bitcast", "lookup"):
        return _conversion_fault(s)
    worked_on = s.args[1:] if s.op == "select" else s.args
    if s.op == "select" and s.args[0].dtype != bool_:
        return f"select chooses by a bool, not by {s.args[0].dtype}"
    if any(a.dtype != worked_on[0].dtype for a in worked_on):
        return f"{s.op} of different dtypes: {got}"
    if worked_on[0].dtype.kind not in KINDS.get(s.op, "fiub"):
        return f"{s.op} is not defined for {got}"
    wanted = bool_ if s.op in COMPARISONS else worked_on[0].dtype
    return "" if s.dtype == wanted else f"{s.op} of {got} is {wanted}, not {s.dtype}"


def _const_fault(s: Scalar) -> str:
    if s.dtype.kind == "f":
        return "" if type(s.param) is int and -(1 << 63) <= s.param < 1 << 63 else f"a float constant is its 64 bits, not {s.param!r}"
    if s.dtype == bool_:
        return "" if type(s.param) is bool else f"a bool constant is a bool, not {s.param!r}"
    info = np.iinfo(s.dtype)
    return "" if type(s.param) is int and info.min <= s.param <= info.max else f"{s.param!r} is no {s.dtype}"


def _conversion_fault(s: Scalar) -> str:
    source = s.args[0].dtype
    if s.op == "bitcast" and source.itemsize != s.dtype.itemsize:
        return f"bitcast of {source} to {s.dtype}, which has another size"
    if s.op == "lookup" and (source.kind not in "iu" or s.dtype.kind != "f" or not isinstance(s.param, tuple)):
        return f"lookup is a float of a table at an integer, not {s.dtype} at {source}"
    return ""


def show(s: Scalar) -> str:
    """A Scalar in at most 100 characters."""
    text = format_scalar(s, limit=100)
    return text if len(text) <= 100 else text[:97] + "..."


# -- indices --------------------------------------------------------------------------------------------------------
def unbound(size: Size, axes: Mapping[Symbol, Size]) -> list[str]:
    """The loop indices in `size` that are none of `axes`."""
    return sorted(s.name for s in dims.symbols(size) if s.kind != "size" and s not in axes)


def reach(index: Size, axes: Mapping[Symbol, Size]) -> Reach | None:
    """The least and the greatest value of an index while each loop runs over its extent; None where it is not affine in them."""
    low: Size = index
    high: Size = index
    for symbol in sorted(s for s in dims.symbols(index) if s.kind != "size"):
        split = dims.affine(index, symbol)
        if split is None or not isinstance(split[0], int):
            rising = split is not None and dims.less_equal(0, split[0])
            if not rising:
                return None
        down = split is not None and isinstance(split[0], int) and split[0] < 0
        first, last = (axes[symbol] - 1, 0) if down else (0, axes[symbol] - 1)
        low, high = dims.substitute(low, {symbol: first}), dims.substitute(high, {symbol: last})
    return low, high


def outside(index: Size, size: Size, axes: Mapping[Symbol, Size]) -> bool:
    """True where the loops provably reach an index below 0, or one of `size` or more."""
    if any(dims.less_equal(axes[s], 0) for s in dims.symbols(index) if s in axes):
        return False  # a loop that never runs
    ends = reach(index, axes)
    return ends is not None and (dims.less_equal(ends[0], -1) is True or dims.less_equal(size, ends[1]) is True)

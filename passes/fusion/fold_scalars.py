"""Whole numbers and truth values that are known: what remains of index arithmetic and masks where indices are numbers or loops."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from graphc import dims
from graphc import scalars as sc
from graphc.dims import Size, Symbol
from graphc.scalars import COMPARISONS, Scalar
from graphc.verify.scalar import reach, unbound

_BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "min": np.minimum, "max": np.maximum, "and": np.bitwise_and,
    "or": np.bitwise_or, "xor": np.bitwise_xor,
}  # fmt: skip
_COMPARE = dict(zip(COMPARISONS, (np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal)))


class Folder:
    """What is known inside loops of these extents (which may grow), and the results so far."""

    def __init__(self, extents: Mapping[Symbol, Size]) -> None:
        self.extents = extents
        self.known: dict[Scalar, Scalar] = {}

    def folded(self, root: Scalar) -> Scalar:
        """The same value with known whole numbers computed and known choices made: select(2 < 3, a, b) -> a, j0 < 0 -> False."""
        stack, known = [root], self.known
        while stack:
            s = stack[-1]
            waiting = [a for a in s.args if a not in known]
            if s in known or not waiting:
                stack.pop()
                known.setdefault(s, self.one(s, tuple([known[a] for a in s.args])))
            stack += waiting
        return known[root]

    def one(self, s: Scalar, args: tuple[Scalar, ...]) -> Scalar:
        """`s` over arguments that are folded."""
        if s.op == "select":
            if args[0].op == "const":
                return args[1] if args[0].param else args[2]
            if args[1] is args[2]:
                return args[1]
        elif args and all([a.op == "const" and a.dtype.kind in "iub" for a in args]):
            made = _value(s, [np.asarray(sc.const_value(a), a.dtype) for a in args])
            if made is not None:
                return sc.const(made.item(), s.dtype)
        elif s.op in ("lt", "le", "gt", "ge") and (holds := self.compared(s.op, *args)) is not None:
            return sc.const(holds, s.dtype)
        return s if args == s.args else sc.scalar(s.op, args, s.dtype, s.param)

    def compared(self, op: str, a: Scalar, b: Scalar) -> bool | None:
        """What is known of two indices in all turns of the loops."""
        if any(x.op not in ("const", "index") or x.dtype.kind != "i" or unbound(x.param, self.extents) for x in (a, b)):
            return None
        less: Size = (b.param - a.param if op in ("lt", "le") else a.param - b.param) - (1 if op in ("lt", "gt") else 0)
        ends = reach(less, self.extents)
        if ends is None:
            return None
        return True if dims.less_equal(0, ends[0]) is True else False if dims.less_equal(ends[1], -1) is True else None


def _value(s: Scalar, values: list[np.ndarray]) -> np.ndarray | None:
    with np.errstate(all="ignore"):
        if s.op in _COMPARE:
            return np.asarray(_COMPARE[s.op](*values))
        if s.op in _BINARY:
            return np.asarray(_BINARY[s.op](*values))
        if s.op == "not" and s.dtype == np.bool_:
            return ~values[0]
        if s.op == "cast":
            return values[0].astype(s.dtype)
    return None

"""`pad`: an array continued beyond its ends, in every mode of NumPy's.

What lies beyond an end is a number, a value made of the elements near it, or the array again: mirrored, mirrored with its sign
turned about the end, or repeated. The last are one index map each, of sizes that are known or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc import dims
from graphc.dims import Dim, Size
from graphc.dtypes import float64, is_float
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.operators import FUNCTIONS
from graphc.ops.joining import concatenate
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import in_dtype
from graphc.ops.slicing import along, pad_widths, pad_with, reverse
from graphc.ops.spread import astype, broadcast_to, filled

KEYWORDS: dict[str, str] = {  # mode: the keyword that it takes
    "constant": "constant_values", "edge": "", "empty": "", "linear_ramp": "end_values", "maximum": "stat_length", "mean": "stat_length",
    "median": "stat_length", "minimum": "stat_length", "reflect": "reflect_type", "symmetric": "reflect_type", "wrap": "",
}  # fmt: skip
REDUCTIONS = {"maximum": "max", "minimum": "min", "mean": "mean", "median": "median"}


def pad(x: ArrayLike, pad_width: object, mode: str = "constant", **options: Any) -> Node:
    """x continued beyond the ends of each axis, one axis after the other.

        constant     constant_values (0): a number                     0 0 | a b c | 0 0
        edge         the element at the end                            a a | a b c | c c
        reflect      mirrored about the end                            c b | a b c | b a
        symmetric    mirrored, the end included                        b a | a b c | c b
        wrap         from the other end                                b c | a b c | a b
        linear_ramp  evenly from the end to end_values (0)
        maximum, minimum, mean, median   of the stat_length elements next to the end (None: of all)
        empty        zeros

    pad_width: `w`, `(before, after)` or `((before, after), ...)` with a pair per axis, as in NumPy; widths may be symbolic sizes.
    constant_values, end_values and stat_length have these forms too, and may be nodes of rank 0. reflect_type="odd": the mirror image
    of the distance from the end, 2 x[end] - x[mirrored]. Raises ArgumentError for other modes and keywords, ShapeError for widths that
    do not fit and for an empty axis that a mode would have to continue (IndexOutOfRange where only the call knows that it is empty).
    """
    node = asarray(x)
    if not isinstance(mode, str) or mode not in KEYWORDS:
        hint = f"one of {', '.join(map(repr, KEYWORDS))}; concatenate parts of your own for others"
        fail(ArgumentError, f"pad: mode {getattr(mode, '__name__', repr(mode))} is not supported", node, hint=hint)
    for name in options:
        if name != KEYWORDS[mode]:
            takes = f"takes {KEYWORDS[mode]} alone" if KEYWORDS[mode] else "takes no keyword"
            fail(ArgumentError, f"pad: {name} cannot be used with mode {mode!r}", node, hint=f"mode {mode!r} {takes}")
    widths = pad_widths(pad_width, node)
    chosen = _sides(options.get(KEYWORDS[mode], None if mode in REDUCTIONS else 0), node, KEYWORDS[mode])
    if mode in ("constant", "empty"):
        return _with_numbers(node, widths, chosen)
    odd = options.get("reflect_type", "even")
    if odd not in ("even", "odd"):
        fail(ArgumentError, f"pad: reflect_type is 'even' or 'odd', got {odd!r}", node)
    for axis, (before, after) in enumerate(widths):
        if before == 0 and after == 0:
            continue
        if not filled(node.shape[axis]):
            fail(ShapeError, f"pad: mode {mode!r} cannot continue the empty axis {axis}", node)
        if mode in ("reflect", "symmetric", "wrap"):
            node = _again(node, axis, before, after, mode, odd == "odd")
        else:
            node = _beside(node, axis, (before, after), mode, chosen[axis] if mode in REDUCTIONS or mode == "linear_ramp" else (0, 0))
    return node


def _sides(value: Any, x: Node, what: str) -> list[tuple[Any, Any]]:
    """A pair per axis of NumPy's forms: one value, a pair, a pair per axis."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    rows = list(value) if isinstance(value, (tuple, list)) else [value]
    if not any(isinstance(row, (tuple, list)) for row in rows):
        rows = [rows]
    pairs = [tuple(row) if isinstance(row, (tuple, list)) else (row,) for row in rows]
    pairs = [pair * 2 if len(pair) == 1 else pair for pair in pairs]
    pairs = pairs * x.ndim if len(pairs) == 1 else pairs
    if len(pairs) != x.ndim or any(len(pair) != 2 for pair in pairs):
        fail(ShapeError, f"pad: {what} {value!r:.60} does not give a pair for each of {x.ndim} axes", x)
    return pairs


def _number(value: ArrayLike, x: Node, what: str) -> Node:
    number = in_dtype(value, x.dtype)
    if number.ndim:
        fail(ArgumentError, f"pad: {what} are numbers", number)
    return number


def _with_numbers(x: Node, widths: Sequence[tuple[Size, Size]], values: Sequence[tuple[Any, Any]]) -> Node:
    """Beyond the ends of each axis its own two numbers; the corners are those of the last axis."""
    numbers = [(_number(low, x, "constant_values"), _number(high, x, "constant_values")) for low, high in values]
    if len({number for pair in numbers for number in pair}) <= 1:
        value = numbers[0][0] if numbers else _number(0, x, "constant_values")
        return pad_with(x, value, tuple([low for low, _ in widths]), tuple([high for _, high in widths]))
    none = (0,) * x.ndim
    for axis, ((before, after), (low, high)) in enumerate(zip(widths, numbers)):
        x = pad_with(x, low, (*none[:axis], before, *none[axis + 1 :]), none)
        x = pad_with(x, high, none, (*none[:axis], after, *none[axis + 1 :]))
    return x


# -- values made of the elements near the end ---------------------------------------------------------------------------
def _beside(x: Node, axis: int, widths: tuple[Size, Size], mode: str, chosen: tuple[Any, Any]) -> Node:
    parts = [_part(x, axis, side, width, mode, chosen[side]) if width != 0 else None for side, width in enumerate(widths)]
    return concatenate([p for p in (parts[0], x, parts[1]) if p is not None], axis)


def _part(x: Node, axis: int, side: int, width: Size, mode: str, chosen: Any) -> Node:
    """What lies beyond one end."""
    n, shape = x.shape[axis], (*x.shape[:axis], width, *x.shape[axis + 1 :])
    if mode in REDUCTIONS:
        return broadcast_to(_statistic(x, axis, side, mode, chosen), shape)
    end = along(x, axis, n - 1 if side else 0, 1)
    if mode == "edge":
        return broadcast_to(end, shape)
    steps = FUNCTIONS["arange"](width, dtype=x.dtype if is_float(x.dtype) else float64)
    steps = FUNCTIONS["reshape"](steps, tuple([width if k == axis else 1 for k in range(x.ndim)]))
    target = _number(chosen, x, "end_values")
    ramp = target + (width - 1 - steps if side else steps) * ((end - target) / width)
    return ramp if is_float(x.dtype) else astype(FUNCTIONS["floor"](ramp), x.dtype)


def _statistic(x: Node, axis: int, side: int, mode: str, length: Any) -> Node:
    """Of the `length` elements next to an end (None: of all); the mean and the median of integers are rounded."""
    n = x.shape[axis]
    if length is not None:
        if not isinstance(length, Dim) and (isinstance(length, bool) or not isinstance(length, (int, np.integer)) or length < 1):
            fail(ArgumentError, f"pad: stat_length is None or at least 1, got {length!r}", x)
        length = int(length) if not isinstance(length, Dim) else length
        near = dims.minimum(length, n)
        x = along(x, axis, n - near if side else 0, near)
    value = FUNCTIONS[REDUCTIONS[mode]](x, axis=axis, keepdims=True)
    return value if is_float(x.dtype) or value.dtype == x.dtype else astype(FUNCTIONS["round"](value), x.dtype)


# -- the array again ----------------------------------------------------------------------------------------------------
def _again(x: Node, axis: int, before: Size, after: Size, mode: str, odd: bool) -> Node:
    """Mirrored or repeated: parts of x where it is long enough, else an index for each element of the result."""
    n = x.shape[axis]
    least = 1 if mode == "reflect" else 0
    if not odd and all(dims.less_equal(width + least, n) is True for width in (before, after)):
        low = along(x, axis, n - before if mode == "wrap" else least, before)
        high = along(x, axis, 0 if mode == "wrap" else n - least - after, after)
        parts = (low, x, high) if mode == "wrap" else (reverse(low, (axis,)), x, reverse(high, (axis,)))
        return concatenate([part for part, width in zip(parts, (before, n, after)) if width != 0], axis)
    known = isinstance(before, int) and isinstance(n, int) and isinstance(after, int)
    arange: Any = np.arange if known else FUNCTIONS["arange"]
    place = arange(before + n + after) - before
    if mode == "wrap":
        return FUNCTIONS["take"](x, place % n, axis=axis, mode="clip")  # type: ignore[no-any-return]
    last = n - least  # positions from the first end to the last: a period goes there and back
    if isinstance(last, int) and last == 0:
        return FUNCTIONS["take"](x, place * 0, axis=axis)  # type: ignore[no-any-return]
    turns, k = place // (2 * last), place % (2 * last)
    back = k > n - 1
    choose: Any = np.where if known else FUNCTIONS["where"]
    index = choose(back, 2 * last - 1 + least - k, k)
    taken: Node = FUNCTIONS["take"](x, index, axis=axis, mode="clip")
    if not odd:
        return taken
    # mirrored about the last element: 2 x[n-1] - x[index]; each period further: 2 (x[n-1] - x[0]) more
    first, end = along(x, axis, 0, 1), along(x, axis, n - 1, 1)

    def column(values: Any) -> Node:
        whole = FUNCTIONS["reshape"](asarray(values), tuple([before + n + after if j == axis else 1 for j in range(x.ndim)]))
        return whole if whole.dtype.kind == "b" else astype(whole, x.dtype)

    return FUNCTIONS["where"](column(back), 2 * end - taken, taken) + 2 * column(turns) * (end - first)  # type: ignore[no-any-return]


__all__ = ["pad"]

"""How an op is written as mathematics: `x @ w + b`, `mean(x, axis=0)`, `x[1:, ::2]`; without a row, `name(operands, parameter=value)`.

A `Piece` is a text and how tightly it binds, as in Python: an operand of looser binding gets parentheses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from graphc import dims
from graphc.dims import Size
from graphc.frozen import Frozen
from graphc.ir import Node, Op
from graphc.ops import OPS
from graphc.ops.registry import CONSTANT, DIM, SHARED
from graphc.ops.spread import BROADCAST, CAST, REDUCE
from graphc.printer import format_param, format_type, splat_text

COMPARE, ADD, MULTIPLY, UNARY, POWER, ATOM = 4, 9, 10, 11, 12, 13
MOST_OPERANDS = 6  # of one op


class Piece(NamedTuple):
    """A text, and how tightly it binds."""

    text: str
    level: int = ATOM

    def within(self, level: int) -> str:
        """The text as an operand of something that binds with `level`."""
        return self.text if self.level >= level else f"({self.text})"


Pieces = Sequence[Piece]
_INFIX: dict[Op, tuple[str, int]] = {OPS[name]: how for name, how in {
    "equal": ("==", COMPARE), "not_equal": ("!=", COMPARE), "less": ("<", COMPARE), "less_equal": ("<=", COMPARE),
    "greater": (">", COMPARE), "greater_equal": (">=", COMPARE),
    "bitwise_or": ("|", 5), "bitwise_xor": ("^", 6), "bitwise_and": ("&", 7), "left_shift": ("<<", 8), "right_shift": (">>", 8),
    "add": ("+", ADD), "subtract": ("-", ADD), "multiply": ("*", MULTIPLY), "divide": ("/", MULTIPLY),
    "floor_divide": ("//", MULTIPLY), "mod": ("%", MULTIPLY), "power": ("**", POWER),
}.items()}  # fmt: skip


def infix(symbol: str, level: int, left: Piece, right: Piece) -> Piece:
    """`left symbol right`: from left to right, but for `**`, which goes the other way, and comparisons, which do not chain."""
    a = left.within(level if level not in (COMPARE, POWER) else level + 1)
    b = right.within(UNARY if level == POWER else level + 1)
    return Piece(f"{a} {symbol} {b}", level)


def call(name: str, *arguments: str) -> Piece:
    return Piece(f"{name}({', '.join(arguments)})")


def leaf(node: Node) -> Piece | None:
    """What is written as it is: a number, a small array, a size. None for any other node; variables have their names."""
    if node.op is DIM:
        return Piece(str(node.params[0]), ATOM if dims.as_symbol(node.params[0]) is not None else ADD)
    if node.op is not CONSTANT or not isinstance(node.params[0], Frozen):
        return None
    one = splat_text(node)
    text = one.partition(":")[0] if one is not None else repr(node.params[0])
    whole = text.removesuffix(".0") if text != "-0.0" else text  # x ** 2, as it was written
    return Piece(whole, UNARY if whole.startswith("-") else ATOM)


def written(node: Node, given: Pieces) -> Piece:
    """A node in terms of its operands."""
    if node.op in _INFIX and len(given) == 2:
        return infix(*_INFIX[node.op], *given)
    row = _ROWS.get(node.op)
    found = row(node, given) if row is not None else None
    if found is not None:
        return found
    shown = [p.text for p in given[:MOST_OPERANDS]] + ["..."] * (len(given) > MOST_OPERANDS)
    return call(node.op.name, *shown, *[f"{k}={format_param(v)}" for k, v in zip(node.op.params, node.params)])


def _axes(axes: tuple[int, ...]) -> str:
    return str(axes[0]) if len(axes) == 1 else format_param(axes)


def _reduce(node: Node, given: Pieces) -> Piece:
    axes, combine = node.attrs["axes"], node.attrs["combine"]
    every = len(axes) == len(node.inputs[0].shape)
    return call(str(combine), given[0].text, *([] if every else [f"axis={_axes(axes)}"]))


def mean_of(node: Node) -> Node | None:
    """The sum that a division makes a mean: sum(x) / (the number of elements summed)."""
    if node.op is not OPS["divide"] or node.inputs[0].op is not REDUCE or node.inputs[0].attrs["combine"] != "sum":
        return None
    total, count = node.inputs
    while count.op in (BROADCAST, CAST):
        count = count.inputs[0]
    summed = dims.product([total.inputs[0].shape[axis] for axis in total.attrs["axes"]])
    number: Size | float = -1
    if count.op is DIM:
        number = count.params[0]
    elif count.op is CONSTANT and splat_text(count) is not None:
        number = count.params[0].array.reshape(-1)[0].item()
    return total if number == summed else None


def mean(total: Node, x: Piece) -> Piece:
    """`mean(x, axis=0)` for the sum of x."""
    return Piece("mean" + _reduce(total, [x]).text[len("sum") :])


def stretched(node: Node, x: Piece) -> Piece:
    """A broadcast where another operand says the shape: as little as NumPy's rules need, `b` or `s[:, None]`."""
    axes, rank = node.attrs["axes"], len(node.shape)
    first = axes[0] if axes else rank
    if axes == tuple(range(first, rank)):
        return x
    return Piece(f"{x.within(ATOM)}[{', '.join(':' if k in axes else 'None' for k in range(first, rank))}]")


def _broadcast(node: Node, given: Pieces) -> Piece:
    return call("broadcast_to", stretched(node, given[0]).text, format_param(node.shape))


def _reshape(node: Node, given: Pieces) -> Piece:
    """`x[:, None]` where only axes of size 1 come, else `reshape(x, (n, 3))`."""
    have, keys = list(node.inputs[0].shape), []
    for size in node.shape:
        keys.append(":" if have and have[0] == size else "None" if size == 1 else "")
        have = have[1:] if keys[-1] == ":" else have
    if have or not all(keys) or not keys:
        return call("reshape", given[0].text, format_param(node.shape))
    return Piece(f"{given[0].within(ATOM)}[{', '.join(keys)}]")


def _transpose(node: Node, given: Pieces) -> Piece:
    axes = node.attrs["axes"]
    if axes == tuple(range(len(axes)))[::-1]:
        return Piece(f"{given[0].within(ATOM)}.T")
    return call("transpose", given[0].text, format_param(axes))


def _contract(node: Node, given: Pieces) -> Piece:
    """`x @ w`, with `.T` for an operand that is read the other way; `einsum` for the rest."""
    a, b, out = node.attrs["spec"]
    if len(a) == len(b) == len(out) == 1 and a == b == out:
        return infix("*", MULTIPLY, *given)
    for left in (a, a[::-1]):
        for right in (b, b[::-1]):
            if _is_matmul(left, right, out):
                x = given[0] if left == a else Piece(given[0].within(ATOM) + ".T")
                y = given[1] if right == b else Piece(given[1].within(ATOM) + ".T")
                return infix("@", MULTIPLY, x, y)
    letters = ["".join(chr(ord("a") + k) if k < 26 else f"<{k}>" for k in labels) for labels in (a, b, out)]
    return call("einsum", f"'{letters[0]},{letters[1]}->{letters[2]}'", given[0].text, given[1].text)


def _is_matmul(a: tuple[int, ...], b: tuple[int, ...], out: tuple[int, ...]) -> bool:
    if not a or not b or len(a) > 2 or len(b) > 2:
        return False
    inner = b[0]
    return a[-1] == inner and inner not in out and out == (*a[:-1], *b[1:]) and len(set(out)) == len(out)


def _slice(node: Node, given: Pieces) -> Piece:
    starts, sizes, steps = node.params
    shown = [_cut(n, start, size, step) for n, start, size, step in zip(node.inputs[0].shape, starts, sizes, steps)]
    while len(shown) > 1 and shown[-1] == ":":
        shown.pop()
    return Piece(f"{given[0].within(ATOM)}[{', '.join(shown)}]")


def _cut(n: Size, start: Size, size: Size, step: Size) -> str:
    stop = start + (size - 1) * step + 1
    past = n - stop  # what is left; less than a step at the end of the axis
    ends = isinstance(past, int) and isinstance(step, int) and past < step
    return ("" if start == 0 else str(start)) + ":" + ("" if ends else str(stop)) + (f":{step}" if step != 1 else "")


def _gather(node: Node, given: Pieces) -> Piece | None:
    axes, batch = node.attrs["axes"], node.attrs["batch"]
    if batch or axes != tuple(range(len(axes))):
        return None
    return Piece(f"{given[0].within(ATOM)}[{', '.join(p.text for p in given[1:])}]")


def _iota(node: Node, given: Pieces) -> Piece | None:
    return call("arange", format_param(node.shape[0])) if len(node.shape) == 1 else None


def _concat(node: Node, given: Pieces) -> Piece:
    shown = [p.text for p in given[:MOST_OPERANDS]] + ["..."] * (len(given) > MOST_OPERANDS)
    return call("concatenate", f"[{', '.join(shown)}]", f"axis={node.attrs['axis']}")


_ROWS: dict[Op, Callable[[Node, Pieces], Piece | None]] = {OPS[name]: how for name, how in {
    "negative": lambda node, given: Piece(f"-{given[0].within(UNARY)}", UNARY),
    "invert": lambda node, given: Piece(f"~{given[0].within(UNARY)}", UNARY),
    "logical_not": lambda node, given: Piece(f"~{given[0].within(UNARY)}", UNARY) if node.inputs[0].dtype == node.dtype else None,
    "square": lambda node, given: Piece(f"{given[0].within(ATOM)} ** 2", POWER),
    "reciprocal": lambda node, given: Piece(f"1 / {given[0].within(UNARY)}", MULTIPLY),
    "select": lambda node, given: call("where", *[p.text for p in given]),
    "cast": lambda node, given: call(node.dtype.name, given[0].text),
    "get": lambda node, given: Piece(f"{given[0].within(ATOM)}[{node.attrs['index']}]"),
    "reduce": _reduce, "broadcast": _broadcast, "reshape": _reshape, "transpose": _transpose, "contract": _contract, "slice": _slice,
    "reverse": lambda node, given: call("flip", given[0].text, f"axis={_axes(node.attrs['axes'])}"),
    "gather": _gather, "iota": _iota, "concat": _concat,
}.items()}  # fmt: skip


def kind(node: Node) -> str:
    """The type of a node, and whether it is state."""
    return format_type(node.type) + (", state" if node.op is SHARED else "")


__all__ = ["ATOM", "Piece", "kind", "leaf", "mean", "mean_of", "stretched", "written"]

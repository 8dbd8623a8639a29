"""Functions that give two arrays from one pass: divmod, modf, frexp, and an extreme with its position.

    q, r = gx.divmod(a, b)                       q * b + r = a
    value, index = gx.max_with_index(x, axis=1)  value = x[.., index, ..]

Each is an op of two outputs (`graphc.ops.outputs`): what is asked of one of them alone costs what that one costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from graphc import scalars
from graphc.dims import Size
from graphc.dtypes import float64, int32, int64, promote
from graphc.errors import DTypeError, ShapeError, fail
from graphc.ir import Node, Op, make
from graphc.loopform import LoopForm, Read
from graphc.ops.arithmetic import remainder_parts
from graphc.ops.compare import isfinite, stop_gradient, where, zeros_as
from graphc.ops.create import iota
from graphc.ops.cumulate import arg_reduce_ref, arg_reduce_type
from graphc.ops.outputs import outputs
from graphc.ops.reductions import Axis, kept, nonempty
from graphc.ops.registry import ArrayLike, asarray, register, structural
from graphc.ops.rows import DTYPE_RULES, fit, weak_dtype
from graphc.ops.spread import broadcast
from graphc.scalars import Scalar
from graphc.traits import Traits
from graphc.types import TensorType, same_size, tensor_type

Pair = tuple[Node, Node]
Cotangents = tuple["Node | None", ...]


def _pair(
    name: str,
    arity: int,
    doc: str,
    *,
    ref: Callable[..., Any],
    vjp: Callable[..., Sequence[Node | None]],
    emit: Callable[..., tuple[Scalar, Scalar]],
    dtype: str,
    second: np.dtype | None = None,
) -> Op:
    """Declare an elementwise op of two outputs: emit gives one element of each; the second has the dtype of the first, or `second`."""

    def type_rule(*inputs: TensorType) -> tuple[TensorType, TensorType]:
        first = inputs[0]
        for other in inputs[1:]:
            if other.dtype != first.dtype:
                fail(DTypeError, f"{name}: dtypes {first.dtype} and {other.dtype} differ")
            if len(other.shape) != len(first.shape) or not all(map(same_size, first.shape, other.shape)):
                fail(ShapeError, f"{name}: shapes {first} and {other} differ")
        made = DTYPE_RULES[dtype](first.dtype)[1]
        return tensor_type(made, first.shape), tensor_type(second or made, first.shape)

    def form(k: int) -> LoopForm:
        return LoopForm(lambda read, at, r: emit(scalars, *[read(i, at) for i in range(arity)])[k])

    forms = (form(0), form(1))
    return register(
        Op(name=name, arity=arity, params=(), doc=doc, type_rule=type_rule, ref=ref, vjp=vjp, loop=lambda node: forms, elementwise=True,
           costly=True)
    )  # fmt: skip


def _applied(op: Op, dtype: str, *args: ArrayLike) -> tuple[Node, ...]:
    """The outputs for anything array-like: promoted, cast, broadcast; Python numbers are weak."""
    dtypes = [weak_dtype(a, op.name) for a in args]
    compute, _ = DTYPE_RULES[dtype](promote(*dtypes))
    nodes = [asarray(a, compute if isinstance(d, (int, float)) else None) for a, d in zip(args, dtypes)]
    return outputs(make(op, tuple(fit(nodes, compute, op.name))))


# -- divmod ---------------------------------------------------------------------------------------------------------------
def _divmod_vjp(g: Cotangents, out: Pair, x: Node, y: Node) -> Pair:
    """The quotient is constant but for its jumps, so r = x - q y gives (g, -g q)."""
    remainder = g[1]
    return (zeros_as(x), zeros_as(y)) if remainder is None else (remainder, -(remainder * out[0]))


DIVMOD = _pair(
    "divmod", 2, "floor(x / y) and what is left, x - y floor(x / y).", ref=np.divmod, vjp=_divmod_vjp, dtype="number",
    emit=lambda s, x, y: remainder_parts(s, x, y) if x.dtype.kind == "f" else (x // y, x % y),
)  # fmt: skip


def divmod(x: ArrayLike, y: ArrayLike) -> Pair:
    """(floor_divide(x, y), mod(x, y)); by an integer 0 both are 0. The derivative of the quotient is 0. NumPy's broadcasting.

    Raises ShapeError, DTypeError.
    """
    quotient, remainder = _applied(DIVMOD, "number", x, y)
    return quotient, remainder


# -- modf -----------------------------------------------------------------------------------------------------------------
def _emit_modf(s: ModuleType, x: Scalar) -> tuple[Scalar, Scalar]:
    """The fraction of an infinity is 0; both parts have the sign of x."""
    whole = s.unary("trunc", x)
    infinite = abs(x).eq(float("inf"))
    return s.copysign(s.select(infinite, 0.0, x - whole), x), whole


MODF = _pair(
    "modf", 1, "The fraction and the whole part of x, both with its sign.", ref=np.modf, dtype="float", emit=_emit_modf,
    vjp=lambda g, out, x: (zeros_as(x) if g[0] is None else g[0],),
)  # fmt: skip


def modf(x: ArrayLike) -> Pair:
    """(fraction, whole part) with fraction + whole = x, both with the sign of x. The derivative of the fraction is 1, of the other 0.

    Raises DTypeError.
    """
    fraction, whole = _applied(MODF, "float", x)
    return fraction, whole


# -- frexp ----------------------------------------------------------------------------------------------------------------
def _emit_frexp(s: ModuleType, x: Scalar) -> tuple[Scalar, Scalar]:
    """From the bits: the exponent field goes out, and that of [0.5, 1) in. Subnormals are scaled into the normal range first."""
    wide = x.dtype == float64
    whole, digits, field, half = (int64, 52, 0x7FF, 1022) if wide else (int32, 23, 0xFF, 126)
    tiny = abs(x) < float(np.finfo(x.dtype).tiny)
    bits = s.select(tiny, x * 2.0 ** (digits + 1), x).bitcast(whole)
    exponent = (s.shift_right(bits, digits) & field) - half - s.select(tiny, s.const(digits + 1, whole), 0)
    mantissa = ((bits & ~(field << digits)) | (half << digits)).bitcast(x.dtype)
    ordinary = abs(x) < float("inf")
    ordinary = ordinary & x.ne(0.0)
    return s.select(ordinary, mantissa, x), s.select(ordinary, exponent, 0).cast(int32)


def _frexp_vjp(g: Cotangents, out: Pair, x: Node) -> tuple[Node]:
    """The mantissa is x times a power of two that is constant but for its jumps: mantissa / x, exact; 1 at 0, infinities and nan."""
    mantissa = g[0]
    if mantissa is None:
        return (zeros_as(x),)
    ordinary = isfinite(x) & (x != 0)
    scale = where(ordinary, out[0] / where(ordinary, x, 1.0), 1.0)
    return (mantissa * stop_gradient(scale),)


def _frexp_ref(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mantissa, exponent = np.frexp(x)
    return mantissa, np.where(np.isfinite(x), exponent, 0).astype(int32)  # of these C leaves it open


FREXP = _pair(
    "frexp", 1, "The mantissa in [0.5, 1), with the sign of x, and the exponent: x = mantissa 2**exponent.", dtype="float", second=int32,
    ref=_frexp_ref, emit=_emit_frexp, vjp=_frexp_vjp,
)  # fmt: skip


def frexp(x: ArrayLike) -> Pair:
    """(mantissa, exponent): x = mantissa * 2**exponent with 0.5 <= |mantissa| < 1, an int32 exponent; (x, 0) for 0, infinities, nan.

    The derivative of the mantissa is 2**-exponent. Raises DTypeError.
    """
    mantissa, exponent = _applied(FREXP, "float", x)
    return mantissa, exponent


# -- an extreme and its position --------------------------------------------------------------------------------------------
Axes = tuple[int, ...]


def _extreme_type(x: TensorType, axes: Axes, combine: str) -> tuple[TensorType, TensorType]:
    index = arg_reduce_type(x, axes, f"{combine}_with_index")
    return tensor_type(x.dtype, index.shape), index


def _extreme_ref(x: np.ndarray, axes: Axes, combine: str) -> tuple[np.ndarray, np.ndarray]:
    index = arg_reduce_ref(x, axes, f"arg{combine}")
    kept = [k for k in range(x.ndim) if k not in axes]
    rows = x.transpose(*kept, *axes).reshape(*index.shape, int(np.prod([x.shape[a] for a in axes], dtype=np.int64)))
    return np.take_along_axis(rows, index[..., None], -1)[..., 0], index


def _extreme_loop(node: Node) -> tuple[LoopForm, LoopForm]:
    (x,), (axes, combine) = node.inputs, node.params

    def body(read: Read, at: tuple[Size, ...], r: tuple[Size, ...]) -> Scalar:
        kept, reduced = iter(at), iter(r)
        return read(0, [next(reduced) if k in axes else next(kept) for k in range(x.ndim)])

    extents = tuple([x.shape[a] for a in axes])
    return LoopForm(body, extents, combine), LoopForm(body, extents, f"arg{combine}")


def _along(v: Node, x: Node, axes: Axes) -> Node:
    """A value for each row, beside the elements of x that it stands for."""
    return broadcast(v, x.shape, tuple([k for k in range(x.ndim) if k not in axes]))


def _chosen(index: Node, x: Node, axes: Axes) -> Node:
    """Where the elements of x lie at the row-major position `index` of `axes`."""
    place: Node | None = None
    for a in axes:
        step = iota(x.shape, a)
        place = step if place is None else place * x.shape[a] + step
    return broadcast(asarray(True), x.shape, ()) if place is None else place == _along(index, x, axes)


def _extreme_vjp(g: Cotangents, out: Pair, x: Node, axes: Axes, combine: str) -> tuple[Node]:
    value = g[0]
    if value is None:
        return (zeros_as(x),)
    return (where(_chosen(out[1], x, axes), _along(value, x, axes), 0),)


def _extreme_batch(inputs: Sequence[Node], mapped: Sequence[bool], axes: Axes, combine: str) -> tuple[Node, ...]:
    return outputs(make(EXTREME, (inputs[0],), (tuple([a + 1 for a in axes]), combine)))


EXTREME: Op = structural(
    "extreme", 1, "The maximum or minimum over `axes` and the row-major position of the first one; nan wins. combine: max | min.",
    params=("axes", "combine"), type_rule=_extreme_type, ref=_extreme_ref, vjp=_extreme_vjp, loop=_extreme_loop,
    batch=_extreme_batch,
    traits=Traits(reduces=True, masks=lambda out, x, axes, combine: (_chosen(out[1], x, axes),)),
)  # fmt: skip


def max_with_index(x: ArrayLike, axis: Axis = None, *, keepdims: bool = False) -> Pair:
    """(max(x), argmax(x)) over `axis` (None: all) in one pass: the index is int64, row-major in several axes; nan wins.

    Of equal elements the first is taken, and the whole derivative of the value goes to it (that of `max` is shared). Raises ShapeError,
    for an empty axis too.
    """
    return _extreme(x, axis, keepdims, "max")


def min_with_index(x: ArrayLike, axis: Axis = None, *, keepdims: bool = False) -> Pair:
    """(min(x), argmin(x)) over `axis`, see `max_with_index`."""
    return _extreme(x, axis, keepdims, "min")


def _extreme(x: ArrayLike, axis: Axis, keepdims: bool, combine: str) -> Pair:
    node = asarray(x)
    axes = nonempty(node, axis, f"{combine}_with_index")
    value, index = outputs(make(EXTREME, (node,), (axes, combine)))
    return kept(value, axes, keepdims), kept(index, axes, keepdims)


__all__ = ["divmod", "frexp", "max_with_index", "min_with_index", "modf"]

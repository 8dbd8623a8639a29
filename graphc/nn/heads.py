"""Attention: averages of values whose weights are the softmax of products of queries and keys; one head, many, masked, in blocks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc import dims
from graphc.control.custom import custom_vjp
from graphc.control.scan import scan
from graphc.dims import Size
from graphc.dtypes import bool_, is_integer
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node
from graphc.nn.layers import dense
from graphc.nn.parameters import Params, floats, part
from graphc.ops.arithmetic import maximum
from graphc.ops.compare import where
from graphc.ops.create import arange, zeros
from graphc.ops.elementwise import exp, log
from graphc.ops.padding import pad
from graphc.ops.products import matmul
from graphc.ops.reductions import any as some
from graphc.ops.reductions import max as largest
from graphc.ops.reductions import softmax
from graphc.ops.reductions import sum as total
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import expand_dims, moveaxis, reshape, swapaxes
from graphc.ops.spread import broadcast_to
from graphc.records import dataclass
from graphc.types import broadcast_shapes, same_size, whole_number

NEVER = -0.5  # times the largest number of the dtype: a score whose exponential is 0 beside any other, and that may be subtracted


def attention(
    q: ArrayLike, k: ArrayLike, v: ArrayLike, mask: ArrayLike | None = None, causal: bool = False, scale: float | None = None, *,
    block: int | None = None,
) -> Node:  # fmt: skip
    """out = softmax(scale * q k') v over the last two axes: scaled dot-product attention (Vaswani et al. 2017).

    q: (.., S, d), k: (.., T, d), v: (.., T, e) -> (.., S, e); the axes in front (batch, heads) broadcast; sizes may be symbolic. Floats,
    promoted. scale: 1 / sqrt(d) by default. mask: bools that broadcast to (.., S, T), True where a query may see a key; `padding_mask`
    makes one of lengths. A query that sees no key gives 0, and passes no derivative on. causal: query i sees keys 0 .. i only.

    Without `block` the scores are one (.., S, T) array; for the derivative the weights alone are kept. With `block`, that many keys at a
    time by a running softmax, forward and backward: memory for (.., S, block), and the scores are computed once more for the derivative.
    The right choice where (.., S, T) does not fit the cache by far; the same values to rounding. Derivatives of blocks are those of
    reverse mode, of every order; jvp and hvp raise NotDifferentiableError.

    Raises ShapeError with the sizes, DTypeError for a mask that is no array of bools, ArgumentError.

    >>> q = k = gx.asarray([[1.0, 0.0], [0.0, 1.0]])
    >>> gx.nn.attention(q, k, gx.asarray([[1.0], [2.0]]), causal=True).eval().round(3)
    array([[1.  ],
           [1.67]])
    """
    what = "attention"
    queries, keys, values = floats(what, q), floats(what, k), floats(what, v)
    for node, name in ((queries, "queries"), (keys, "keys"), (values, "values")):
        if node.ndim < 2:
            fail(ShapeError, f"{what}: {name} have the axes (.., positions, features), not {node.ndim} axes", node)
    if not same_size(queries.shape[-1], keys.shape[-1]):
        fail(ShapeError, f"{what}: features of queries and keys differ: {queries.shape[-1]} and {keys.shape[-1]}", queries, keys)
    if not same_size(keys.shape[-2], values.shape[-2]):
        fail(ShapeError, f"{what}: {keys.shape[-2]} keys, but {values.shape[-2]} values", keys, values)
    lead = broadcast_shapes([queries.shape[:-2], keys.shape[:-2], values.shape[:-2]], what, [queries, keys, values])
    sees = None if mask is None else _mask(asarray(mask), (*lead, queries.shape[-2], keys.shape[-2]))
    factor = _scale(queries.shape[-1], scale, queries)
    if block is not None and whole_number(block, f"{what}: block") < 1:
        fail(ArgumentError, f"{what}: block is a positive number of keys, got {block}")
    asked = queries * factor
    out = _whole(asked, keys, values, sees, causal) if block is None else _in_blocks(asked, keys, values, sees, causal, block)
    if sees is None:
        return out
    seen = sees & _earlier(queries.shape[-2], keys.shape[-2]) if causal else sees
    return where(some(seen, axis=-1, keepdims=True), out, 0)


def _earlier(queries: Size, keys: Size) -> Node:
    """[i, j] = j <= i."""
    return arange(keys) <= expand_dims(arange(queries), -1)


def _scale(size: Size, scale: float | None, q: Node) -> float | Node:
    if scale is not None:
        return scale
    return 1 / math.sqrt(max(size, 1)) if isinstance(size, int) else 1 / asarray(size, q.dtype) ** 0.5


def _mask(sees: Node, shape: tuple[Size, ...]) -> Node:
    """A mask of all axes of the scores; those of size 1 stay."""
    if sees.dtype != bool_:
        fail(DTypeError, "attention: a mask is of bools, True where a query may see a key", sees, hint="mask > 0, or mask == 0")
    if sees.ndim > len(shape) or not all(n == 1 or same_size(n, m) for n, m in zip(sees.shape[::-1], shape[::-1])):
        fail(ShapeError, f"attention: the mask should broadcast to ({', '.join(map(str, shape))})", sees)
    return reshape(sees, (*[1] * (len(shape) - sees.ndim), *sees.shape))


def _whole(q: Node, k: Node, v: Node, sees: Node | None, causal: bool) -> Node:
    scores = matmul(q, swapaxes(k, -1, -2))
    if causal:
        earlier = _earlier(q.shape[-2], k.shape[-2])
        sees = earlier if sees is None else sees & earlier
    return matmul(softmax(scores if sees is None else where(sees, scores, _never(q))), v)


def _never(q: Node) -> Node:
    return asarray(NEVER * float(np.finfo(q.dtype).max), q.dtype)


# -- some keys at a time ------------------------------------------------------------------------------------------------
def _in_blocks(q: Node, k: Node, v: Node, sees: Node | None, causal: bool, block: int) -> Node:
    """The same with a running softmax over blocks of keys: a last block that is not full sees nothing behind the end."""
    length = k.shape[-2]
    turns = dims.floordiv(length + block - 1, block)
    missing = turns * block - length
    lead = broadcast_shapes([q.shape[:-2], k.shape[:-2], v.shape[:-2]], "attention", [q, k, v])
    q, k, v = (broadcast_to(x, (*lead, *x.shape[-2:])) for x in (q, k, v))

    def cut(x: Node, axis: int) -> Node:
        """(.., T, ..) -> (turns, .., block, ..)"""
        at = x.ndim + axis
        wider = pad(x, [(0, missing if n == at else 0) for n in range(x.ndim)]) if missing != 0 else x
        return moveaxis(reshape(wider, (*x.shape[:at], turns, block, *x.shape[at + 1 :])), at, 0)

    masks = None if sees is None else cut(broadcast_to(sees, (*sees.shape[:-1], length)), -1)
    rule = _Blocks(length, block, causal, missing != 0)
    attend = custom_vjp(rule.out)
    attend.defvjp(rule.forward, rule.backward)
    return attend(q, cut(k, -2), cut(v, -2), masks)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class _Blocks:
    """Attention to keys in blocks, and its derivative from the output and the logarithm of the normaliser (Dao et al. 2022)."""

    length: Size
    block: int
    causal: bool
    partial: bool

    def out(self, q: Node, k: Node, v: Node, sees: Node | None) -> Node:
        return self.forward(q, k, v, sees)[0]

    def forward(self, q: Node, k: Node, v: Node, sees: Node | None) -> tuple[Node, Any]:
        """k: (turns, .., block, d), v: (turns, .., block, e)."""
        rows = q.shape[:-1]

        def turn(carry: Any, x: Any) -> tuple[Any, None]:
            (most, weight, summed), (t, keys, values, mask) = carry, x
            scores = self.scores(q, keys, mask, t)
            now = maximum(most, largest(scores, axis=-1))
            e, shrink = exp(scores - expand_dims(now, -1)), exp(most - now)
            return (now, weight * shrink + total(e, axis=-1), summed * expand_dims(shrink, -1) + matmul(e, values)), None

        start = (broadcast_to(_never(q), rows), zeros(rows, q.dtype), zeros((*rows, v.shape[-1]), q.dtype))
        (most, weight, summed), _ = scan(turn, start, (arange(k.shape[0]), k, v, sees), checkpoint="full")
        weight = where(weight > 0, weight, 1)  # of no keys
        out = summed / expand_dims(weight, -1)
        return out, (q, k, v, sees, out, most + log(weight))

    def scores(self, q: Node, keys: Node, mask: Node | None, t: Node) -> Node:
        scores = matmul(q, swapaxes(keys, -1, -2))
        at = t * self.block + arange(self.block)
        for hidden in self._conditions(q, at, mask):
            scores = where(hidden, scores, _never(q))
        return scores

    def _conditions(self, q: Node, at: Node, mask: Node | None) -> list[Node]:
        made = [at < asarray(self.length)] if self.partial else []
        made += [at <= expand_dims(arange(q.shape[-2]), -1)] if self.causal else []
        return made if mask is None else [*made, mask]

    def backward(self, kept: Any, g: Node) -> Any:
        q, k, v, sees, out, normaliser = kept
        mean = total(g * out, axis=-1, keepdims=True)

        def turn(dq: Node, x: Any) -> tuple[Node, tuple[Node, Node]]:
            t, keys, values, mask = x
            p = exp(self.scores(q, keys, mask, t) - expand_dims(normaliser, -1))
            slope = p * (matmul(g, swapaxes(values, -1, -2)) - mean)
            return dq + matmul(slope, keys), (matmul(swapaxes(slope, -1, -2), q), matmul(swapaxes(p, -1, -2), g))

        dq, (dk, dv) = scan(turn, zeros(q.shape, q.dtype), (arange(k.shape[0]), k, v, sees), checkpoint="full")
        return dq, dk, dv, None


# -- heads --------------------------------------------------------------------------------------------------------------
def multi_head_attention(
    p: Params, x: ArrayLike, memory: ArrayLike | None = None, *, heads: int, mask: ArrayLike | None = None, causal: bool = False,
    block: int | None = None,
) -> Node:  # fmt: skip
    """out = dense(p["out"], the heads' attention side by side), each head on width / heads features of queries, keys and values.

    p: {"query", "key", "value", "out"}, dicts of `dense`. x: (.., S, width), what asks; memory: (.., T, features), what is looked at, by
    default x. mask: as for `attention`, of (.., heads or 1, S or 1, T). -> (.., S, width of "out"). Raises ArgumentError where a parameter
    is missing, ShapeError with the sizes.

    >>> p = gx.nn.init.attention(0, 8, heads=2)
    >>> gx.nn.multi_head_attention(p, np.ones((3, 5, 8)), heads=2, causal=True).shape
    (3, 5, 8)
    """
    what = "multi_head_attention"
    parts = {name: part(p, name, "attention") for name in ("query", "key", "value", "out")}
    source = x if memory is None else memory
    count = whole_number(heads, f"{what}: heads")
    q, k, v = (_heads(dense(parts[name], y), count, what) for name, y in (("query", x), ("key", source), ("value", source)))
    out = swapaxes(attention(q, k, v, mask, causal, block=block), -2, -3)
    return dense(parts["out"], reshape(out, (*out.shape[:-2], out.shape[-2] * out.shape[-1])))


def _heads(x: Node, count: int, what: str) -> Node:
    """(.., S, width) -> (.., heads, S, width / heads)"""
    width = x.shape[-1]
    if x.ndim < 2 or count < 1 or not same_size(dims.floordiv(width, max(count, 1)) * count, width):
        fail(ShapeError, f"{what}: needs (.., positions, features) whose features {count} heads divide", x)
    return swapaxes(reshape(x, (*x.shape[:-1], count, dims.floordiv(width, count))), -2, -3)


def padding_mask(lengths: ArrayLike, size: Size) -> Node:
    """out[b, 0, 0, t] = t < lengths[b]: the mask of `multi_head_attention` for sequences that are `size` long with their padding.

    lengths: (batch,) integers -> bools (batch, 1, 1, size). Raises DTypeError, ShapeError.
    """
    node = asarray(lengths)
    if not is_integer(node.dtype):
        fail(DTypeError, "padding_mask: lengths are integers", node)
    if node.ndim != 1:
        fail(ShapeError, f"padding_mask: needs one length for each sequence, got {node.ndim} axes", node)
    return arange(size) < reshape(node, (node.shape[0], 1, 1, 1))


__all__ = ["attention", "multi_head_attention", "padding_mask"]

"""Activations that the top level does not have: formulas of a few nodes each, which fuse into what makes their operand.

`gx.relu`, `gx.tanh`, `gx.sigmoid`, `gx.log_sigmoid`, `gx.softplus`, `gx.softmax`, `gx.log_softmax` and `gx.abs` are found here as well.
Elementwise unless it says otherwise; integers give floats; derivatives of every order, with the value at a kink said where there is one.
"""

from __future__ import annotations

import math

from graphc import dims
from graphc.dims import Size
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.nn.parameters import floats, together
from graphc.ops.arithmetic import abs, clip, minimum, relu
from graphc.ops.compare import where
from graphc.ops.elementwise import expm1, log_sigmoid, sigmoid, softplus, tanh
from graphc.ops.reductions import log_softmax, softmax
from graphc.ops.reductions import max as largest
from graphc.ops.registry import ArrayLike
from graphc.ops.shape import reshape
from graphc.ops.special.normal import ndtr
from graphc.types import normal_axis, same_size, whole_number

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017: mean 0 and variance 1 are a fixed point


def leaky_relu(x: ArrayLike, negative_slope: ArrayLike = 0.01) -> Node:
    """max(0, x) + negative_slope * min(0, x). Its derivative at 0 is the slope. See `prelu` for a slope to be learned.

    >>> gx.nn.leaky_relu(gx.asarray([-2.0, 3.0])).eval()
    array([-0.02,  3.  ])
    """
    node = floats("leaky_relu", x)
    return where(node > 0, node, node * negative_slope)


def prelu(x: ArrayLike, alpha: ArrayLike, axis: int = -1) -> Node:
    """max(0, x) + alpha * min(0, x), alpha one number or one for each place along `axis` (He et al. 2015).

    alpha: () or (n,), n the size of that axis; its derivative is the sum of g * min(0, x). Raises ShapeError with both sizes.
    """
    node, slope = together("prelu", x, alpha)
    if slope.ndim > 1:
        fail(ShapeError, f"prelu: alpha has {slope.ndim} axes, not 0 or 1", node, slope)
    if slope.ndim:
        at = normal_axis(axis, node.ndim, "prelu", node)
        if not same_size(slope.shape[0], node.shape[at]):
            fail(ShapeError, f"prelu: {slope.shape[0]} slopes for {node.shape[at]} places along axis {axis}", node, slope)
        slope = reshape(slope, (slope.shape[0], *[1] * (node.ndim - 1 - at)))
    return where(node > 0, node, node * slope)


def elu(x: ArrayLike, alpha: ArrayLike = 1.0) -> Node:
    """x where x > 0, alpha * (e**x - 1) elsewhere: saturates to -alpha. Its derivative at 0 is alpha. (Clevert et al. 2015)"""
    node = floats("elu", x)
    return where(node > 0, node, alpha * expm1(node))


def selu(x: ArrayLike) -> Node:
    """1.0507 * elu(x, 1.6733): with `init.lecun_normal` weights keeps mean 0 and variance 1 (Klambauer et al. 2017)."""
    return SELU_SCALE * elu(floats("selu", x), SELU_ALPHA)


def gelu(x: ArrayLike, approximate: bool = False) -> Node:
    """x * Phi(x), Phi the standard normal distribution function (Hendrycks and Gimpel 2016).

    approximate: x * sigmoid(2 u) = x (1 + tanh(u)) / 2 with u = sqrt(2 / pi) (x + 0.044715 x**3), which is within 5e-4 of it.
    """
    node = floats("gelu", x)
    if approximate:
        return node * sigmoid(2 * math.sqrt(2 / math.pi) * (node + 0.044715 * (node * node * node)))
    return node * ndtr(node)


def silu(x: ArrayLike) -> Node:
    """x * sigmoid(x), also called swish."""
    node = floats("silu", x)
    return node * sigmoid(node)


swish = silu


def mish(x: ArrayLike) -> Node:
    """x * tanh(softplus(x)) (Misra 2019)."""
    node = floats("mish", x)
    return node * tanh(softplus(node))


def softsign(x: ArrayLike) -> Node:
    """x / (1 + |x|): as tanh, with tails that fall as 1 / x**2."""
    node = floats("softsign", x)
    return node / (1 + abs(node))


def hard_tanh(x: ArrayLike) -> Node:
    """max(-1, min(1, x)). Its derivative is 1 on the closed interval, as that of `gx.clip`."""
    return clip(floats("hard_tanh", x), -1, 1)


def hard_sigmoid(x: ArrayLike) -> Node:
    """max(0, min(1, x / 6 + 1 / 2))."""
    return clip(floats("hard_sigmoid", x) / 6 + 0.5, 0, 1)


def hard_swish(x: ArrayLike) -> Node:
    """x * hard_sigmoid(x)."""
    node = floats("hard_swish", x)
    return node * hard_sigmoid(node)


def relu6(x: ArrayLike) -> Node:
    """min(max(0, x), 6). Its derivative at 0 is 0."""
    return minimum(relu(floats("relu6", x)), 6)


# -- along an axis ------------------------------------------------------------------------------------------------------
def _groups(what: str, node: Node, count: object, axis: int, of: str) -> tuple[int, Size]:
    """(the axis, how many groups of `count` places it has). ShapeError where it has no whole number of them."""
    at, each = normal_axis(axis, node.ndim, what, node), whole_number(count, f"{what}: {of}", node)
    if each < 1:
        fail(ArgumentError, f"{what}: {of} must be at least 1, got {each}", node)
    size = node.shape[at]
    if not same_size(dims.floordiv(size, each) * each, size):
        fail(ShapeError, f"{what}: {size} places along axis {axis} are not a multiple of {of} {each}", node)
    return at, dims.floordiv(size, each)


def maxout(x: ArrayLike, pieces: int, axis: int = -1) -> Node:
    """out[.., i] = max over j of x[.., i * pieces + j]: linear pieces of which the largest counts (Goodfellow et al. 2013).

    x: (.., units * pieces, ..) -> (.., units, ..): `maxout(dense(p, x), 2)` is max(b1 + w1 x, b2 + w2 x) for every unit. The derivative
    goes to the largest piece, in equal parts to equal ones. Raises ShapeError, ArgumentError.

    >>> gx.nn.maxout(gx.asarray([1.0, 5.0, -2.0, -3.0]), 2).eval()
    array([ 5., -2.])
    """
    node = floats("maxout", x)
    at, units = _groups("maxout", node, pieces, axis, "pieces")
    return largest(reshape(node, (*node.shape[:at], units, pieces, *node.shape[at + 1 :])), axis=at + 1)


def glu(x: ArrayLike, axis: int = -1) -> Node:
    """a * sigmoid(b), a and b the first and the second half of x along `axis` (Dauphin et al. 2016). Raises ShapeError for odd sizes."""
    node = floats("glu", x)
    at, half = _groups("glu", node, 2, axis, "halves")
    parts = reshape(node, (*node.shape[:at], 2, half, *node.shape[at + 1 :]))
    before = (slice(None),) * at
    return parts[(*before, 0)] * sigmoid(parts[(*before, 1)])


__all__ = [
    "abs", "elu", "gelu", "glu", "hard_sigmoid", "hard_swish", "hard_tanh", "leaky_relu", "log_sigmoid", "log_softmax", "maxout", "mish",
    "prelu", "relu", "relu6", "selu", "sigmoid", "silu", "softmax", "softplus", "softsign", "swish", "tanh",
]  # fmt: skip

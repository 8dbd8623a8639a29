"""Losses: of a prediction and its target, one number for each example or element, then `reduction` of them.

reduction: "mean" (of all numbers), "sum", "none". What a class or a bit is scored with are logits, so that nothing overflows or becomes
log(0): `cross_entropy(scores, labels)`, not of probabilities. Integers give floats; derivatives of every order.
"""

from __future__ import annotations

from graphc.dtypes import bool_, is_float, is_integer
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node
from graphc.nn.parameters import floats
from graphc.nn.residuals import paired, reduced, residual
from graphc.ops.arithmetic import abs, relu, square
from graphc.ops.compare import where
from graphc.ops.create import one_hot
from graphc.ops.elementwise import softplus, xlogy
from graphc.ops.indexing import take_along_axis
from graphc.ops.linalg.norms import norm
from graphc.ops.reductions import log_softmax, mean
from graphc.ops.reductions import max as largest
from graphc.ops.reductions import sum as total
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import expand_dims, squeeze
from graphc.ops.special.entropy import xlog1py
from graphc.ops.spread import astype
from graphc.types import normal_axis, same_size


# -- of numbers ---------------------------------------------------------------------------------------------------------
def squared_error(prediction: ArrayLike, target: ArrayLike, reduction: str = "mean") -> Node:
    """(prediction - target)**2, whose best constant is the mean of the targets. Gradient 2 (prediction - target).

    Both of one shape, or one a number. Raises ShapeError, DTypeError, ArgumentError.

    >>> gx.nn.squared_error([1.0, 2.0], [0.0, 4.0], "none").eval()
    array([1., 4.])
    """
    return reduced("squared_error", square(residual("squared_error", prediction, target)), reduction)


def absolute_error(prediction: ArrayLike, target: ArrayLike, reduction: str = "mean") -> Node:
    """|prediction - target|, whose best constant is a median of the targets. Its derivative is 0 where they are equal."""
    return reduced("absolute_error", abs(residual("absolute_error", prediction, target)), reduction)


def huber(prediction: ArrayLike, target: ArrayLike, delta: ArrayLike = 1.0, reduction: str = "mean", axis: int | None = None) -> Node:
    """r**2 / 2 where r <= delta, delta (r - delta / 2) beyond, r = |prediction - target|, or its norm along `axis`.

    The slope never exceeds delta. (Huber 1964; some books print twice this.) The derivative at 0 is 0, of norms as well.
    """
    gap = residual("huber", prediction, target)
    r = abs(gap) if axis is None else norm(gap, axis=axis)
    inner = where(r <= delta, r, delta)  # r, clipped: r = inner and the second term is 0, or inner = delta
    return reduced("huber", inner * (r - 0.5 * inner), reduction)


# -- of scores of classes -----------------------------------------------------------------------------------------------
def cross_entropy(logits: ArrayLike, targets: ArrayLike, axis: int = -1, label_smoothing: float = 0.0, reduction: str = "mean") -> Node:
    """-sum over classes k of t[k] * log(softmax(logits)[k]) along `axis`.

    targets: integer labels in 0 .. classes - 1, of the shape of the logits without `axis`; or floats of the shape of the logits that add up
    to 1 along it. label_smoothing s: t becomes (1 - s) t + s / classes. Gradient softmax(logits) - t. A logit of -inf excludes a class
    (where its t is 0 and s is 0). Raises ShapeError with both sizes, DTypeError, ArgumentError; IndexOutOfRange at the call for a label
    that is no class, negative ones as well.

    >>> float(gx.nn.cross_entropy([5.0, 2.0, 0.0, -2.0], 0).eval().round(6))
    0.055848
    """
    what = "cross_entropy"
    scores, t = floats(what, logits), asarray(targets)
    if isinstance(label_smoothing, bool) or not isinstance(label_smoothing, (int, float)) or not 0 <= label_smoothing <= 1:
        fail(ArgumentError, f"{what}: label_smoothing is a number in [0, 1], got {label_smoothing!r}")
    at = normal_axis(axis, scores.ndim, what, scores)
    logp = log_softmax(scores, at)
    rest = (*scores.shape[:at], *scores.shape[at + 1 :])
    labels = is_integer(t.dtype) or t.dtype == bool_
    wanted = rest if labels else scores.shape
    if t.ndim != len(wanted) or not all(same_size(a, b) for a, b in zip(t.shape, wanted)):
        kind = "integer labels of the shape of the logits without the axis of classes" if labels else "a distribution for each example"
        hint = "cast one-hot rows to floats" if labels and t.ndim == scores.ndim else "gx.nn.squared_error takes numbers"
        fail(ShapeError, f"{what}: needs {kind}, ({', '.join(map(str, wanted))})", scores, t, hint=hint)
    if labels:  # as unsigned numbers, so that -1 is no last class
        loss = -squeeze(take_along_axis(logp, expand_dims(astype(t, "uint64"), at), axis=at), at)
    else:
        t = astype(t, scores.dtype) if scores.dtype.itemsize >= t.dtype.itemsize else t
        loss = -total(where(t != 0, t * logp, 0), axis=at)
    if label_smoothing:
        loss = (1 - label_smoothing) * loss - label_smoothing * mean(logp, axis=at)
    return reduced(what, loss, reduction)


def binary_cross_entropy(logits: ArrayLike, targets: ArrayLike, reduction: str = "mean") -> Node:
    """-y log(p) - (1 - y) log(1 - p), p = sigmoid(logits), as y softplus(-a) + (1 - y) softplus(a): exact for logits of any size.

    targets y: 0, 1, bools, or anything between. Gradient p - y. Raises ShapeError, DTypeError, ArgumentError.
    """
    what = "binary_cross_entropy"
    a, y = paired(what, logits, targets)
    return reduced(what, y * softplus(-a) + (1 - y) * softplus(a), reduction)


def bernoulli_nll(probability: ArrayLike, targets: ArrayLike, reduction: str = "mean") -> Node:
    """-y log(p) - (1 - y) log(1 - p) of probabilities p in [0, 1], 0 log(0) = 0; inf where what happened had p = 0.

    Where p comes from a sigmoid, `binary_cross_entropy` of its argument is exact for any size.
    """
    p, y = paired("bernoulli_nll", probability, targets)
    return reduced("bernoulli_nll", -(xlogy(y, p) + xlog1py(1 - y, -p)), reduction)


def hinge(scores: ArrayLike, targets: ArrayLike, reduction: str = "mean") -> Node:
    """max(0, 1 - t * score), targets t = -1 or 1. Its derivative at the kink is 0. Raises ShapeError, DTypeError, ArgumentError."""
    s, t = paired("hinge", scores, targets)
    return reduced("hinge", relu(1 - t * s), reduction)


def multiclass_hinge(scores: ArrayLike, labels: ArrayLike, margin: float = 1.0, over: str = "max", reduction: str = "mean") -> Node:
    """max over k other than the label y of max(0, margin + s[k] - s[y]) (Crammer and Singer 2001), classes along the last axis.

    over="sum": the sum over k instead of the largest (Weston and Watkins 1999). labels: integers, the shape of scores without the last
    axis. Raises ShapeError, DTypeError, ArgumentError; IndexOutOfRange at the call.
    """
    what = "multiclass_hinge"
    s, y = floats(what, scores), asarray(labels)
    if over not in ("max", "sum"):
        fail(ArgumentError, f"{what}: over is 'max' or 'sum', got {over!r}")
    if not is_integer(y.dtype):
        fail(DTypeError, f"{what}: labels must be integers", y)
    if s.ndim == 0 or y.ndim != s.ndim - 1 or not all(same_size(a, b) for a, b in zip(y.shape, s.shape)):
        fail(ShapeError, f"{what}: needs a label for each row of scores", s, y)
    own = take_along_axis(s, expand_dims(astype(y, "uint64"), -1), axis=-1)
    short = where(one_hot(y, s.shape[-1], dtype=bool_), 0, relu(margin + s - own))
    return reduced(what, largest(short, axis=-1) if over == "max" else total(short, axis=-1), reduction)


def kl_divergence(logits: ArrayLike, targets: ArrayLike, axis: int = -1, reduction: str = "mean") -> Node:
    """sum over k of t[k] * (log(t[k]) - log(softmax(logits)[k])): `cross_entropy` less the entropy of t, the same gradient by the logits.

    targets: floats that add up to 1 along `axis`, 0 log(0) = 0. Raises ShapeError, DTypeError, ArgumentError.
    """
    t = asarray(targets)
    if not is_float(t.dtype):
        fail(DTypeError, "kl_divergence: targets are distributions, arrays of floats", t)
    loss = cross_entropy(logits, t, axis, reduction="none")
    return reduced("kl_divergence", loss + total(xlogy(t, t), axis=axis), reduction)


__all__ = [
    "absolute_error", "bernoulli_nll", "binary_cross_entropy", "cross_entropy", "hinge", "huber", "kl_divergence", "multiclass_hinge",
    "squared_error",
]  # fmt: skip

"""Normalisations: batch, layer, group, root mean square, spectral; whitening; folding into the layer before.

Parameters are dicts of "scale" and, if wanted, "bias"; p = None normalises alone. What is carried from batch to batch (running means, the
vector of a power iteration) is a second dict, the state, that a layer returns anew:

    y, after = gx.nn.batch_norm(p, state, x, training=True)
    step = gx.function([x], loss, updates=((p, state), (new_p, after)))    # and training=False for the graph that predicts
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphc import dims, tree
from graphc.dims import Size
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.nn.parameters import Params, agree, floats, optional, parameter
from graphc.ops.arithmetic import rsqrt, square
from graphc.ops.arithmetic import sqrt as root
from graphc.ops.compare import stop_gradient
from graphc.ops.create import eye
from graphc.ops.linalg.systems import cholesky, solve_triangular
from graphc.ops.products import matmul
from graphc.ops.reductions import mean
from graphc.ops.reductions import sum as total
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import reshape, transpose
from graphc.ops.spread import astype
from graphc.types import normal_axes, normal_axis, same_size, whole_number

State = dict[str, Node]


def layer_norm(p: Params | None, x: ArrayLike, axis: int | Sequence[int] = -1, epsilon: float = 1e-5) -> Node:
    """out = (x - mean) / sqrt(variance + epsilon) * scale + bias, mean and variance of each example over `axis`.

    The variance is mean((x - mean)**2), by n. p: {"scale", "bias"} of the sizes of `axis`, the bias optional; None: neither. Integers give
    floats. Raises ArgumentError where a parameter is missing, ShapeError with both sizes. (Ba et al. 2016)

    >>> gx.nn.layer_norm(None, [[1.0, 2.0, 3.0]], epsilon=0.0).eval().round(4)
    array([[-1.2247,  0.    ,  1.2247]])
    """
    node = floats("layer_norm", x)
    axes = normal_axes(axis, node.ndim, "layer_norm", node)
    centred = node - mean(node, axis=axes, keepdims=True)
    return _affine(p, centred * rsqrt(mean(square(centred), axis=axes, keepdims=True) + epsilon), axes, "layer_norm")


def rms_norm(p: Params | None, x: ArrayLike, axis: int | Sequence[int] = -1, epsilon: float = 1e-5) -> Node:
    """out = x / sqrt(mean(x**2) + epsilon) * scale + bias over `axis`; otherwise as `layer_norm`. (Zhang and Sennrich 2019)"""
    node = floats("rms_norm", x)
    axes = normal_axes(axis, node.ndim, "rms_norm", node)
    return _affine(p, node * rsqrt(mean(square(node), axis=axes, keepdims=True) + epsilon), axes, "rms_norm")


def group_norm(p: Params | None, x: ArrayLike, groups: int, axis: int = 1, epsilon: float = 1e-5) -> Node:
    """`layer_norm` over all axes behind the first, the channels along `axis` in so many groups that are normalised by themselves.

    x: (batch, channels, *space); axis=-1 for channels last. groups=1: a layer norm; as many as channels: an instance norm. p: {"scale",
    "bias"} of (channels,). Raises ArgumentError, ShapeError where the channels do not make so many groups. (Wu and He 2018)
    """
    what = "group_norm"
    node, count = floats(what, x), whole_number(groups, "group_norm: groups")
    at = normal_axis(axis, node.ndim, what, node)
    if at == 0:
        fail(ShapeError, f"{what}: the channels cannot be the first axis, which is that of examples", node)
    channels = node.shape[at]
    if count < 1 or not same_size(dims.floordiv(channels, max(count, 1)) * count, channels):
        fail(ShapeError, f"{what}: {channels} channels do not make {count} groups", node)
    parts = reshape(node, (*node.shape[:at], count, dims.floordiv(channels, count), *node.shape[at + 1 :]))
    axes = tuple([k for k in range(1, parts.ndim) if k != at])
    centred = parts - mean(parts, axis=axes, keepdims=True)
    made = centred * rsqrt(mean(square(centred), axis=axes, keepdims=True) + epsilon)
    return _affine(p, reshape(made, node.shape), (at,), what)


def batch_norm(
    p: Params | None, state: Mapping[str, Any], x: ArrayLike, training: bool, axis: int = 1, momentum: float = 0.9, epsilon: float = 1e-5,
) -> tuple[Node, State]:  # fmt: skip
    """(out, new state): out = (x - mean) / sqrt(variance + epsilon) * scale + bias for each channel along `axis`.

    training: mean and variance are those of the batch, over all axes but `axis`, the variance by n; derivatives go through both. The
    new state is momentum * state + (1 - momentum) * those. Not training: mean and variance are the state's, and the state comes back.

    p: {"scale", "bias"} of (channels,), the bias optional, or None; state: {"mean", "variance"} of (channels,). x: (batch, channels) or
    (batch, channels, *space); axis=-1 for channels last. The two graphs share p and state. Raises ArgumentError where a parameter is
    missing, ShapeError with both sizes. (Ioffe and Szegedy 2015)

    >>> p, state = gx.nn.init.batch_norm(2), gx.nn.init.batch_norm_state(2)
    >>> y, after = gx.nn.batch_norm(p, state, [[1.0, 2.0], [3.0, 6.0]], training=True)
    >>> after["mean"].eval()
    array([0.2, 0.4])
    """
    what = "batch_norm"
    node = floats(what, x)
    at = normal_axis(axis, node.ndim, what, node)
    have: State = {key: parameter(state, key, "batch_norm_state", 1) for key in ("mean", "variance")}
    for key, value in have.items():
        agree(what, node.shape[at], value.shape[0], f"channels of the input and elements of {key!r} differ", node, value)
    others = tuple([k for k in range(node.ndim) if k != at])
    lie = (node.shape[at], *[1] * (node.ndim - 1 - at))
    if not training:
        centred = node - reshape(have["mean"], lie)
        return _affine(p, centred * reshape(rsqrt(have["variance"] + epsilon), lie), (at,), what), have
    middle = mean(node, axis=others, keepdims=True)
    centred = node - middle
    spread = mean(square(centred), axis=others, keepdims=True)
    now = {"mean": reshape(middle, lie[:1]), "variance": reshape(spread, lie[:1])}
    after = {key: astype(momentum * old + (1 - momentum) * now[key], old.dtype) for key, old in have.items()}
    return _affine(p, centred * rsqrt(spread + epsilon), (at,), what), after


def _affine(p: Params | None, made: Node, axes: tuple[int, ...], what: str) -> Node:
    """made * scale + bias, both of the sizes of `axes`."""
    if p is None:
        return made
    at = sorted(axes)
    sizes: tuple[Size, ...] = tuple([made.shape[k] for k in at])
    lie = tuple([made.shape[k] if k in at else 1 for k in range(at[0], made.ndim)])
    for key in ("scale", "bias"):
        value = parameter(p, key, what) if key == "scale" else optional(p, key, what)
        if value is None:
            continue
        if value.ndim != len(sizes) or not all(same_size(a, b) for a, b in zip(value.shape, sizes)):
            wanted = ", ".join(map(str, sizes)) + ("," if len(sizes) == 1 else "")
            fail(ShapeError, f"{what}: {key!r} should have the shape ({wanted})", value, made)
        made = made * reshape(value, lie) if key == "scale" else made + reshape(value, lie)
    return made


def fold_batch_norm(
    p: Params, norm: Params | None, state: Mapping[str, Any], epsilon: float = 1e-5, axis: int | None = None
) -> dict[str, Any]:
    """{"weight", "bias"} of the one layer that does what dense or convolution `p` followed by `batch_norm` does when not training:

    weight * k, (bias - mean) * k + shift with k = scale / sqrt(variance + epsilon).

    axis: that of the outputs in the weight; by default the last of a dense weight, the first of a convolution's ("NCHW"; -1 for "NHWC").
    Arrays give arrays, nodes give nodes. Raises ArgumentError where a parameter is missing, ShapeError with both sizes.
    """
    what = "fold_batch_norm"
    parts = {"weight": parameter(p, "weight", what)}
    for key, source in (("mean", state), ("variance", state)):
        parts[key] = parameter(source, key, "batch_norm_state", 1)
    at = normal_axis((-1 if parts["weight"].ndim == 2 else 0) if axis is None else axis, parts["weight"].ndim, what)
    agree(
        what, parts["weight"].shape[at], parts["mean"].shape[0], "outputs of the layer and channels differ", parts["weight"], parts["mean"]
    )
    k = rsqrt(parts["variance"] + epsilon)
    if norm is not None:
        k = k * parameter(norm, "scale", what, 1)
    bias, shift = optional(p, "bias", what, 1), None if norm is None else optional(norm, "bias", what, 1)
    moved = (0 - parts["mean"] if bias is None else bias - parts["mean"]) * k
    folded = {
        "weight": parts["weight"] * reshape(k, (k.shape[0], *[1] * (parts["weight"].ndim - 1 - at))),
        "bias": moved if shift is None else moved + shift,
    }
    symbolic = any(isinstance(leaf, Node) for leaf in tree.leaves([dict(p), dict(norm or {}), dict(state)]))
    return folded if symbolic else {key: node.eval() for key, node in folded.items()}


def spectral_norm(
    weight: ArrayLike, state: Mapping[str, Any], training: bool = True, iterations: int = 1, epsilon: float = 1e-12
) -> tuple[Node, State]:
    """(weight / sigma, new state): sigma = u . W v, its largest singular value by power iteration (Miyato et al. 2018).

    W is the weight as a matrix of its last axis and all others. u, v are held constant for the derivative. training: `iterations` more
    turns of v = W' u / |W' u|, u = W v / |W v|, whose u is the new state; otherwise the state's u is used and comes back.
    state: {"u": (rows of W,)}, from `init.spectral_norm_state`. Raises ArgumentError, ShapeError.
    """
    what = "spectral_norm"
    node, u = floats(what, weight), stop_gradient(parameter(state, "u", "spectral_norm_state", 1))
    if node.ndim < 2:
        fail(ShapeError, f"{what}: the weight has {node.ndim} axes, not at least 2", node)
    w = reshape(node, (-1, node.shape[-1]))
    agree(what, w.shape[0], u.shape[0], "rows of the weight and elements of 'u' differ", node, u)
    turns = whole_number(iterations, f"{what}: iterations") if training else 0
    if turns < 0:
        fail(ArgumentError, f"{what}: iterations must not be negative, got {turns}")
    held = stop_gradient(w)
    v = _unit(matmul(u, held), epsilon)
    for k in range(turns):
        v = v if k == 0 else _unit(matmul(u, held), epsilon)
        u = _unit(matmul(held, v), epsilon)
    return node / total(u * matmul(w, stop_gradient(v))), {"u": u}


def _unit(a: Node, epsilon: float) -> Node:
    return a / (root(total(square(a))) + epsilon)


def whiten(x: ArrayLike, epsilon: float = 0.0) -> Node:
    """(x - mean) L^-T, L L' = the covariance of the columns of x by n, plus epsilon on its diagonal: a covariance of I.

    x: (examples, features), more examples than features unless epsilon > 0; derivatives go through mean and covariance. It removes every
    linear relation between the features, where `batch_norm` removes their scales. Raises ShapeError, LinAlgError at the call where the
    covariance is singular.
    """
    node = floats("whiten", x)
    if node.ndim != 2:
        fail(ShapeError, f"whiten: needs (examples, features), got {node.ndim} axes", node)
    centred = node - mean(node, axis=0)
    covariance = matmul(transpose(centred), centred) / asarray(node.shape[0], node.dtype)
    if epsilon:
        covariance = covariance + epsilon * eye(node.shape[1], dtype=node.dtype)
    return transpose(solve_triangular(cholesky(covariance), transpose(centred), lower=True))


__all__ = ["batch_norm", "fold_batch_norm", "group_norm", "layer_norm", "rms_norm", "spectral_norm", "whiten"]

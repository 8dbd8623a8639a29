"""The dicts of initial parameters, one function for each layer; `graphc.nn.init` is where users find them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, ShapeError, fail
from graphc.nn.weights import Initialiser, floating, generator, glorot_uniform, he_normal, normal, orthogonal, sizes

Dict = dict[str, np.ndarray]


def _count(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        fail(ArgumentError, f"init.{what}: a size is a whole number, got {value!r:.60}")
    return int(value)


def _bias(bias: Any, n: int, dtype: Any, what: str) -> Dict:
    """{"bias": (n,)} from a number or an array of them, {} from None."""
    if bias is None:
        return {}
    value = np.asarray(bias, floating(dtype))
    if value.shape not in ((), (n,)):
        fail(ShapeError, f"init.{what}: {n} biases are wanted, got the shape {value.shape}")
    return {"bias": np.broadcast_to(value, (n,)).copy()}


def dense(rng: Any, n_in: int, n_out: int, *, weight: Initialiser = glorot_uniform, bias: Any = 0.0, dtype: Any = "float64") -> Dict:
    """{"weight": (n_in, n_out), "bias": (n_out,)} for `gx.nn.dense`.

    weight: a function (rng, shape, dtype) -> array, such as those of `gx.nn.init`; bias: a number, an array, or None for a layer without.
    Raises ArgumentError, ShapeError, DTypeError.
    """
    n_in, n_out = _count(n_in, "dense"), _count(n_out, "dense")
    return {"weight": weight(rng, (n_in, n_out), dtype), **_bias(bias, n_out, dtype, "dense")}


def conv(
    rng: Any, n_in: int, n_out: int, kernel: int | Sequence[int], *, groups: int = 1, layout: str = "NCHW", weight: Initialiser = he_normal,
    bias: Any = 0.0, dtype: Any = "float64",
) -> Dict:  # fmt: skip
    """{"weight": (n_out, n_in / groups, *kernel), "bias": (n_out,)} for `gx.nn.conv_layer`; "NHWC": (*kernel, n_in / groups, n_out).

    kernel: a width for each axis of space; one number is one axis. weight: a function (rng, shape, dtype, layout=) -> array.
    """
    n_in, n_out, taps = _count(n_in, "conv"), _count(n_out, "conv"), sizes(kernel, "conv", 1)
    if _count(groups, "conv") < 1 or n_in % groups or n_out % groups:
        fail(ShapeError, f"init.conv: {n_in} and {n_out} channels do not make {groups} groups")
    shape = (n_out, n_in // groups, *taps) if layout == "NCHW" else (*taps, n_in // groups, n_out)
    return {"weight": weight(rng, shape, dtype, layout=layout), **_bias(bias, n_out, dtype, "conv")}


def conv_transpose(
    rng: Any, n_in: int, n_out: int, kernel: int | Sequence[int], *, groups: int = 1, layout: str = "NCHW", weight: Initialiser = he_normal,
    bias: Any = 0.0, dtype: Any = "float64",
) -> Dict:  # fmt: skip
    """{"weight": (n_in, n_out / groups, *kernel), "bias": (n_out,)} for `gx.nn.conv_transpose_layer`.

    "NHWC": (*kernel, n_out / groups, n_in). Other arguments and errors are those of `conv`.
    """
    made = conv(rng, _count(n_out, "conv_transpose"), n_in, kernel, groups=groups, layout=layout, weight=weight, bias=None, dtype=dtype)
    return {**made, **_bias(bias, n_out, dtype, "conv_transpose")}


def embedding(rng: Any, count: int, width: int, *, scale: float = 1.0, dtype: Any = "float64") -> Dict:
    """{"weight": (count, width)} of N(0, scale**2) for `gx.nn.embedding`."""
    return {"weight": normal(rng, (_count(count, "embedding"), _count(width, "embedding")), dtype, scale=scale)}


def rbf(examples: Any, units: int, width: float, *, rng: Any, dtype: Any = "float64") -> Dict:
    """{"centres": (units, n_in), "width": (units,)} for `gx.nn.rbf`: the centres are rows of `examples`, drawn without replacement."""
    rows, n = np.asarray(examples), _count(units, "rbf")
    if rows.ndim != 2 or n > len(rows):
        fail(ShapeError, f"init.rbf: {n} centres of examples of shape {rows.shape}")
    return {"centres": generator(rng).choice(rows, n, replace=False).astype(floating(dtype)), "width": np.full(n, width, floating(dtype))}


# -- normalisations -----------------------------------------------------------------------------------------------------
def _norm(size: int | Sequence[int], what: str, dtype: Any) -> Dict:
    shape = sizes(size, what)
    return {"scale": np.ones(shape, floating(dtype)), "bias": np.zeros(shape, floating(dtype))}


def layer_norm(size: int | Sequence[int], *, dtype: Any = "float64") -> Dict:
    """{"scale": ones, "bias": zeros} of the sizes of the axes that are normalised."""
    return _norm(size, "layer_norm", dtype)


def group_norm(channels: int, *, dtype: Any = "float64") -> Dict:
    """{"scale": ones, "bias": zeros} of (channels,)."""
    return _norm(channels, "group_norm", dtype)


def rms_norm(size: int | Sequence[int], *, dtype: Any = "float64") -> Dict:
    """{"scale": ones} of the sizes of the axes that are normalised."""
    return {"scale": _norm(size, "rms_norm", dtype)["scale"]}


def batch_norm(channels: int, *, dtype: Any = "float64") -> Dict:
    """{"scale": ones, "bias": zeros} of (channels,); `batch_norm_state` makes what is carried."""
    return _norm(channels, "batch_norm", dtype)


def batch_norm_state(channels: int, *, dtype: Any = "float64") -> Dict:
    """{"mean": zeros, "variance": ones} of (channels,)."""
    made = _norm(channels, "batch_norm_state", dtype)
    return {"mean": made["bias"], "variance": made["scale"]}


def spectral_norm_state(rng: Any, weight: Any) -> Dict:
    """{"u": a random unit vector} for `gx.nn.spectral_norm` of this weight: one element for each row of it as a matrix."""
    shape = sizes(tuple(weight.shape), "spectral_norm_state", 2)
    u = generator(rng).normal(size=int(np.prod(shape[:-1])))
    return {"u": (u / np.linalg.norm(u)).astype(floating(weight.dtype))}


# -- recurrences and attention ------------------------------------------------------------------------------------------
def _recurrent(rng: Any, n_in: int, n_hidden: int, gates: int, what: str, dtype: Any) -> Dict:
    """Weights of `gates` blocks side by side: Glorot's for what is read, orthogonal ones for the recurrence."""
    n, h, source = _count(n_in, what), _count(n_hidden, what), generator(rng)
    read = [glorot_uniform(source, (n, h), dtype) for _ in range(gates)]
    again = [orthogonal(source, (h, h), dtype) for _ in range(gates)]
    return {"weight": np.concatenate(read, 1), "recurrent": np.concatenate(again, 1), "bias": np.zeros(gates * h, floating(dtype))}


def rnn(rng: Any, n_in: int, n_hidden: int, *, dtype: Any = "float64") -> Dict:
    """{"weight": (n_in, h), "recurrent": (h, h), "bias": (h,)} for `gx.nn.rnn`."""
    return _recurrent(rng, n_in, n_hidden, 1, "rnn", dtype)


def lstm(rng: Any, n_in: int, n_hidden: int, *, forget_bias: float = 1.0, dtype: Any = "float64") -> Dict:
    """{"weight": (n_in, 4 h), "recurrent": (h, 4 h), "bias": (4 h,)} for `gx.nn.lstm`: blocks input, forget, cell, output.

    The gate that forgets begins open, with a bias of 1 (Jozefowicz et al. 2015).
    """
    made = _recurrent(rng, n_in, n_hidden, 4, "lstm", dtype)
    made["bias"][n_hidden : 2 * n_hidden] = forget_bias
    return made


def gru(rng: Any, n_in: int, n_hidden: int, *, dtype: Any = "float64") -> Dict:
    """{"weight": (n_in, 3 h), "recurrent": (h, 3 h), "bias": (3 h,), "recurrent_bias": (3 h,)} for `gx.nn.gru`: reset, update, new."""
    made = _recurrent(rng, n_in, n_hidden, 3, "gru", dtype)
    return {**made, "recurrent_bias": np.zeros_like(made["bias"])}


def jordan_rnn(rng: Any, n_in: int, n_hidden: int, n_out: int, *, dtype: Any = "float64") -> dict[str, Any]:
    """{"weight": (n_in, h), "recurrent": (n_out, h), "bias": (h,), "out": a dict of `dense`} for `gx.nn.jordan_rnn`."""
    source = generator(rng)
    made = {
        **dense(source, n_in, n_hidden, dtype=dtype),
        "recurrent": glorot_uniform(source, (_count(n_out, "jordan_rnn"), n_hidden), dtype),
    }
    return {**made, "out": dense(source, n_hidden, n_out, dtype=dtype)}


def bidirectional(layer: Callable[..., Any], rng: Any, n_in: int, n_hidden: int, **options: Any) -> dict[str, Any]:
    """{"forward", "backward"}: two dicts of a layer of `gx.nn.init`, such as `gx.nn.init.lstm`, for `gx.nn.bidirectional`."""
    source = generator(rng)
    return {name: layer(source, n_in, n_hidden, **options) for name in ("forward", "backward")}


def attention(
    rng: Any, width: int, heads: int, *, memory_width: int | None = None, bias: bool = True, dtype: Any = "float64"
) -> dict[str, Dict]:
    """{"query", "key", "value", "out"}: four dicts of `dense` of (width, width) for `gx.nn.multi_head_attention` with so many heads.

    memory_width: the features of what keys and values are made of, where those are not the queries' own. Raises ShapeError unless the heads
    divide the width.
    """
    n, memory, source = _count(width, "attention"), width if memory_width is None else memory_width, generator(rng)
    if _count(heads, "attention") < 1 or n % heads:
        fail(ShapeError, f"init.attention: {heads} heads do not divide the width {n}")
    wide = {"query": n, "key": memory, "value": memory, "out": n}
    return {name: dense(source, rows, n, bias=0.0 if bias else None, dtype=dtype) for name, rows in wide.items()}


__all__ = [
    "attention", "batch_norm", "batch_norm_state", "bidirectional", "conv", "conv_transpose", "dense", "embedding", "group_norm", "gru",
    "jordan_rnn", "layer_norm", "lstm", "rbf", "rms_norm", "rnn", "spectral_norm_state",
]  # fmt: skip

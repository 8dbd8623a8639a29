"""Initial weights, drawn by NumPy: scaled by the sizes of the layer, orthogonal, sparse."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, DTypeError, ShapeError, fail

Initialiser = Callable[..., np.ndarray]
LAYOUTS = ("NCHW", "NHWC")


def generator(rng: Any) -> np.random.Generator:
    """`rng` itself, or a new generator of a seed. ArgumentError for anything else."""
    if isinstance(rng, np.random.Generator):
        return rng
    if rng is None or isinstance(rng, bool):
        fail(ArgumentError, f"init: rng is a numpy Generator or a seed, got {rng!r}", hint="np.random.default_rng(0), or 0")
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        fail(ArgumentError, f"init: rng is a numpy Generator or a seed, got {rng!r:.60}: {error}")


def floating(dtype: Any) -> np.dtype:
    """A dtype of floats. DTypeError."""
    try:
        made: np.dtype = np.dtype(dtype)
    except TypeError:
        made = np.dtype(object)
    if made.kind != "f" or made.itemsize > 8:
        fail(DTypeError, f"init: weights are floats, float32 or float64, not {dtype!r}")
    return made


def sizes(shape: Any, what: str, least: int = 0) -> tuple[int, ...]:
    """A shape of whole numbers. ArgumentError, ShapeError for fewer axes than `least`."""
    listed: list[Any] = [shape] if isinstance(shape, (int, np.integer)) else list(shape) if isinstance(shape, (tuple, list)) else [None]
    if any(isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0 for n in listed):
        fail(ArgumentError, f"init.{what}: a shape is a tuple of whole numbers, got {shape!r:.60}")
    if len(listed) < least:
        fail(ShapeError, f"init.{what}: needs at least {least} axes, got the shape {tuple(listed)}")
    return tuple([int(n) for n in listed])


def fans(shape: Sequence[int], layout: str = "NCHW") -> tuple[int, int]:
    """(n_in, n_out): from how many numbers one output is made, and in how many outputs one input is used.

    Of a matrix (n_in, n_out) these; of the weight of a convolution, (out, in, *kernel) in layout "NCHW", (*kernel, in, out) in "NHWC",
    channels times taps.
    """
    if layout not in LAYOUTS:
        fail(ArgumentError, f"init: layout is 'NCHW' or 'NHWC', got {layout!r}")
    if len(shape) == 2:
        return shape[0], shape[1]
    first = layout == "NCHW"
    taps = math.prod(shape[2:] if first else shape[:-2])
    return (shape[1] if first else shape[-2]) * taps, (shape[0] if first else shape[-1]) * taps


def uniform(rng: Any, shape: Any, dtype: Any = "float64", *, scale: float | None = None, layout: str = "NCHW") -> np.ndarray:
    """U(-scale, scale); by default scale = 1 / sqrt(n_in), of variance 1 / (3 n_in)."""
    lengths = sizes(shape, "uniform", 2 if scale is None else 0)
    limit = 1 / math.sqrt(max(fans(lengths, layout)[0], 1)) if scale is None else scale
    return generator(rng).uniform(-limit, limit, lengths).astype(floating(dtype))


def normal(rng: Any, shape: Any, dtype: Any = "float64", *, scale: float = 0.01) -> np.ndarray:
    """N(0, scale**2)."""
    return generator(rng).normal(0, scale, sizes(shape, "normal")).astype(floating(dtype))


def _scaled(name: str, kind: str, variance: Callable[[int, int], float], doc: str) -> Initialiser:
    """An initialiser of mean 0 whose variance is a function of (n_in, n_out)."""

    def draw(rng: Any, shape: Any, dtype: Any = "float64", *, gain: float = 1.0, layout: str = "NCHW") -> np.ndarray:
        lengths = sizes(shape, name, 2)
        deviation = gain * math.sqrt(variance(*[max(n, 1) for n in fans(lengths, layout)]))
        source = generator(rng)
        drawn = source.normal(0, deviation, lengths) if kind == "normal" else source.uniform(-1, 1, lengths) * (deviation * math.sqrt(3))
        return drawn.astype(floating(dtype))

    draw.__name__ = draw.__qualname__ = name
    draw.__doc__ = doc + " shape: (n_in, n_out) or that of a convolution's weight, see `layout`; gain multiplies."
    return draw


_GLOROT = lambda n_in, n_out: 2 / (n_in + n_out)
_HE = lambda n_in, n_out: 2 / n_in
_LECUN = lambda n_in, n_out: 1 / n_in
glorot_uniform = _scaled("glorot_uniform", "uniform", _GLOROT, "U(-a, a), a = sqrt(6 / (n_in + n_out)) (Glorot and Bengio 2010).")
glorot_normal = _scaled("glorot_normal", "normal", _GLOROT, "N(0, 2 / (n_in + n_out)) (Glorot and Bengio 2010).")
he_uniform = _scaled("he_uniform", "uniform", _HE, "U(-a, a), a = sqrt(6 / n_in): for rectifiers (He et al. 2015).")
he_normal = _scaled("he_normal", "normal", _HE, "N(0, 2 / n_in): for rectifiers (He et al. 2015).")
lecun_uniform = _scaled("lecun_uniform", "uniform", _LECUN, "U(-a, a), a = sqrt(3 / n_in) (LeCun et al. 1998).")
lecun_normal = _scaled("lecun_normal", "normal", _LECUN, "N(0, 1 / n_in) (LeCun et al. 1998).")


def orthogonal(rng: Any, shape: Any, dtype: Any = "float64", *, gain: float = 1.0, layout: str = "NCHW") -> np.ndarray:
    """gain * Q, Q uniform among the matrices with orthonormal rows or columns, whichever are fewer (Saxe et al. 2013).

    shape: (n_in, n_out), or that of a convolution's weight, whose matrix is (out channels, the rest). A gain above 1 makes up for what
    activations shrink: sqrt(2) for relu, about 1.1 in a tanh net of a thousand layers (Sussillo 2014).
    """
    lengths, source = sizes(shape, "orthogonal", 2), generator(rng)
    fans(lengths, layout)  # refuses a wrong layout
    rows = lengths[0] if layout == "NCHW" and len(lengths) > 2 else math.prod(lengths[:-1])
    columns = math.prod(lengths) // max(rows, 1)
    q, r = np.linalg.qr(source.normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)  # without it, not all matrices are equally likely
    return (gain * (q if rows >= columns else q.T).reshape(lengths)).astype(floating(dtype))


def sparse(rng: Any, shape: Any, dtype: Any = "float64", *, nonzeros: int, scale: float = 1.0) -> np.ndarray:
    """N(0, scale**2) in exactly `nonzeros` places of each column, which is what one unit reads, 0 elsewhere (Martens 2010).

    shape: (n_in, n_out). The places are drawn without replacement. Raises ArgumentError unless 0 <= nonzeros <= n_in.

    >>> int((gx.nn.init.sparse(0, (100, 5), nonzeros=15) != 0).sum())
    75
    """
    lengths, source = sizes(shape, "sparse", 2), generator(rng)
    if len(lengths) != 2 or isinstance(nonzeros, bool) or not isinstance(nonzeros, (int, np.integer)) or not 0 <= nonzeros <= lengths[0]:
        fail(ArgumentError, f"init.sparse: a unit of the shape {lengths} cannot have {nonzeros!r} weights that are not 0")
    out = np.zeros(lengths)
    chosen = np.argsort(source.random(lengths), axis=0)[:nonzeros]
    values = source.normal(0, scale, chosen.shape)
    np.put_along_axis(out, chosen, np.where(values == 0, scale, values), axis=0)
    return out.astype(floating(dtype))


__all__ = [
    "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform", "normal", "orthogonal", "sparse",
    "uniform",
]  # fmt: skip

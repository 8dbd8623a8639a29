"""Fourier transforms under NumPy's names. A complex array is a pair of real ones, `Complex(real, imag)`.

re, im = gx.fft.rfft(x);   y = gx.fft.irfft((re * h, im * h), n=x.shape[0])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from graphc import dims
from graphc.dims import Dim, Size
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.operators import NUMPY_FUNCTIONS
from graphc.ops import fourier
from graphc.ops.create import arange, zeros
from graphc.ops.joining import concatenate, roll
from graphc.ops.linalg.common import alike, choice, floats
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import moveaxis
from graphc.types import as_size, normal_axes, normal_axis


class Complex(NamedTuple):
    """A complex array: its real and its imaginary part, two real arrays of one dtype and shape."""

    real: Node
    imag: Node


Operand = ArrayLike | tuple[ArrayLike, ArrayLike]
Count = int | Dim | None


# -- along one axis ----------------------------------------------------------------------------------------------------------
def rfft(a: ArrayLike, n: Count = None, axis: int = -1, norm: str | None = None) -> Complex:
    """The spectrum of real values, of which n // 2 + 1 entries tell the others: s sum_j a[j] exp(-2 pi i j k / n).

        re, im = gx.fft.rfft(x)                  x: (.., n) -> (.., n//2 + 1) twice

    n: the number of points, a is cut or filled up with zeros. norm: None or "backward" (s = 1), "ortho" (1/sqrt(n)), "forward" (1/n).
    Linear: its derivative is an inverse transform, to any order. Raises ShapeError, DTypeError, ArgumentError.
    """
    (x,) = floats("rfft", a)
    where = _axis("rfft", x, axis)
    pair = fourier.real(_of_length("rfft", moveaxis(x, where, -1), n), _norm("rfft", norm))
    return _back(pair, where)


def irfft(a: Operand, n: Count = None, axis: int = -1, norm: str | None = None) -> Node:
    """The n real values (None: 2 (m - 1)) whose spectrum begins with the m given entries; the inverse of `rfft`.

        x = gx.fft.irfft((re, im), n)            imaginary parts at 0 and at n / 2 are not read

    norm as there, with s = 1/n, 1/sqrt(n), 1. Raises ShapeError, DTypeError, ArgumentError.
    """
    re, im = _pair("irfft", a)
    where = _axis("irfft", re, axis)
    count = 2 * (re.shape[where] - 1) if n is None else as_size(n)
    real, imag = [_of_length("irfft", moveaxis(x, where, -1), count // 2 + 1) for x in (re, im)]
    return moveaxis(fourier.inverse_real(real, imag, count, _norm("irfft", norm)), -1, where)


def fft(a: Operand, n: Count = None, axis: int = -1, norm: str | None = None) -> Complex:
    """The spectrum s sum_j a[j] exp(-2 pi i j k / n) of real values, or of complex ones given as a pair (re, im). See `rfft`."""
    return _complex("fft", a, n, axis, norm, inverse=False)


def ifft(a: Operand, n: Count = None, axis: int = -1, norm: str | None = None) -> Complex:
    """The values s sum_k a[k] exp(2 pi i j k / n), the inverse of `fft`: s = 1/n, 1/sqrt(n) or 1 as `norm` says."""
    return _complex("ifft", a, n, axis, norm, inverse=True)


def _complex(what: str, a: Operand, n: Count, axis: int, norm: str | None, inverse: bool) -> Complex:
    re, im = _pair(what, a)
    where = _axis(what, re, axis)
    real, imag = [_of_length(what, moveaxis(x, where, -1), n) for x in (re, im)]
    return _back(fourier.complex_(real, imag, inverse, _norm(what, norm)), where)


# -- along several axes --------------------------------------------------------------------------------------------------------
Axes = Sequence[int] | None


def rfftn(a: ArrayLike, s: Sequence[Count] | None = None, axes: Axes = None, norm: str | None = None) -> Complex:
    """The spectrum over several axes (None: all of them, or the last len(s)), halved along the last one of these. See `rfft`."""
    (x,) = floats("rfftn", a)
    listed, counts = _listed("rfftn", x, s, axes)
    found = rfft(x, counts[-1], listed[-1], norm)
    for axis, n in zip(listed[-2::-1], counts[-2::-1]):
        found = fft(found, n, axis, norm)
    return found


def irfftn(a: Operand, s: Sequence[Count] | None = None, axes: Axes = None, norm: str | None = None) -> Node:
    """The inverse of `rfftn`; s: the numbers of points, of which the last is even where it is not given."""
    pair = _pair("irfftn", a)
    listed, counts = _listed("irfftn", pair[0], s, axes)
    for axis, n in zip(listed[:-1], counts[:-1]):
        pair = ifft(pair, n, axis, norm)
    return irfft(pair, counts[-1], listed[-1], norm)


def fftn(a: Operand, s: Sequence[Count] | None = None, axes: Axes = None, norm: str | None = None) -> Complex:
    """`fft` along several axes, all for None."""
    pair = _pair("fftn", a)
    for axis, n in zip(*_listed("fftn", pair[0], s, axes)):
        pair = fft(pair, n, axis, norm)
    return Complex(*pair)


def ifftn(a: Operand, s: Sequence[Count] | None = None, axes: Axes = None, norm: str | None = None) -> Complex:
    """`ifft` along several axes, all for None."""
    pair = _pair("ifftn", a)
    for axis, n in zip(*_listed("ifftn", pair[0], s, axes)):
        pair = ifft(pair, n, axis, norm)
    return Complex(*pair)


def rfft2(a: ArrayLike, s: Sequence[Count] | None = None, axes: Axes = (-2, -1), norm: str | None = None) -> Complex:
    """`rfftn` over two axes, the last ones."""
    return rfftn(a, s, axes, norm)


def irfft2(a: Operand, s: Sequence[Count] | None = None, axes: Axes = (-2, -1), norm: str | None = None) -> Node:
    """`irfftn` over two axes, the last ones."""
    return irfftn(a, s, axes, norm)


def fft2(a: Operand, s: Sequence[Count] | None = None, axes: Axes = (-2, -1), norm: str | None = None) -> Complex:
    """`fftn` over two axes, the last ones."""
    return fftn(a, s, axes, norm)


def ifft2(a: Operand, s: Sequence[Count] | None = None, axes: Axes = (-2, -1), norm: str | None = None) -> Complex:
    """`ifftn` over two axes, the last ones."""
    return ifftn(a, s, axes, norm)


# -- frequencies, order ----------------------------------------------------------------------------------------------------------
def fftfreq(n: int | Dim, d: float = 1.0) -> Node:
    """The frequency of each entry of a spectrum of n points a distance d apart: 0, 1, .., -2, -1 over n d."""
    count = as_size(n)
    k = arange(count)
    return (k - (k > (count - 1) // 2) * count) / (asarray(count) * d)


def rfftfreq(n: int | Dim, d: float = 1.0) -> Node:
    """The frequencies of half a spectrum: 0, 1, .., n//2 over n d."""
    count = as_size(n)
    return arange(count // 2 + 1) / (asarray(count) * d)


def fftshift(x: ArrayLike, axes: int | Sequence[int] | None = None) -> Node:
    """The entries with frequency 0 moved to the middle. Raises ShapeError."""
    node = asarray(x)
    listed = normal_axes(axes, node.ndim, "fftshift", node)
    return roll(node, [node.shape[a] // 2 for a in listed], listed)


def ifftshift(x: ArrayLike, axes: int | Sequence[int] | None = None) -> Node:
    """The inverse of `fftshift`. Raises ShapeError."""
    node = asarray(x)
    listed = normal_axes(axes, node.ndim, "ifftshift", node)
    return roll(node, [-(node.shape[a] // 2) for a in listed], listed)


def fftconvolve(in1: ArrayLike, in2: ArrayLike, mode: str = "full", axes: int | Sequence[int] | None = None) -> Node:
    """The convolution sum_k in1[k] in2[i - k] over `axes` (None: all), through spectra: SciPy's.

    mode "full": m + n - 1 entries; "same": the middle m of them, as in1; "valid": those without zeros beyond the ends, max - min + 1.
    Other axes are broadcast. Raises ShapeError, DTypeError, ArgumentError.
    """
    a, b = floats("fftconvolve", in1, in2)
    choice("fftconvolve", "mode", mode, ("full", "same", "valid"))
    if a.ndim != b.ndim:
        fail(ShapeError, f"fftconvolve: {a.ndim} and {b.ndim} axes", a, b)
    listed = normal_axes(axes, a.ndim, "fftconvolve", a)
    if not listed:
        return a * b
    full = [a.shape[k] + b.shape[k] - 1 for k in listed]
    left, right = rfftn(a, full, listed), rfftn(b, full, listed)
    product = (left.real * right.real - left.imag * right.imag, left.real * right.imag + left.imag * right.real)
    result = irfftn(product, full, listed)
    if mode == "full":
        return result
    key: list[slice] = [slice(None)] * a.ndim
    for axis, whole in zip(listed, full):
        m, n = a.shape[axis], b.shape[axis]
        count = m if mode == "same" else dims.maximum(m, n) - dims.minimum(m, n) + 1
        start = (whole - count) // 2 if mode == "same" else dims.minimum(m, n) - 1
        key[axis] = slice(start, start + count)
    return result[tuple(key)]


# -- pieces ------------------------------------------------------------------------------------------------------------------------
def _pair(what: str, a: Operand) -> tuple[Node, Node]:
    """The parts of a complex operand; of a real one the imaginary part is 0."""
    if isinstance(a, tuple) and len(a) == 2:
        re, im = floats(what, *a)
        if re.ndim != im.ndim or any(dims.equal(m, n) is False for m, n in zip(re.shape, im.shape)):
            fail(ShapeError, f"{what}: the real and the imaginary part differ in shape", re, im)
        return re, im
    (x,) = floats(what, a)
    return fourier.of_real(x)


def _axis(what: str, x: Node, axis: int) -> int:
    if x.ndim == 0:
        fail(ShapeError, f"{what}: a number has no axis", x)
    return normal_axis(axis, x.ndim, what, x)


def _norm(what: str, norm: str | None) -> str:
    return str(choice(what, "norm", norm, (None, *fourier.NORMS)) or "backward")


def _of_length(what: str, x: Node, n: Count) -> Node:
    """x with n entries along its last axis: cut, or zeros behind its own."""
    have = x.shape[-1]
    count: Size = have if n is None else as_size(n)
    fourier.some(what, count)
    if alike(count, have):
        return x
    missing = dims.maximum(count - have, 0)
    longer = x if missing == 0 else concatenate([x, zeros((*x.shape[:-1], missing), x.dtype)], axis=-1)
    return longer[..., :count]


def _back(pair: tuple[Node, Node], axis: int) -> Complex:
    return Complex(*[moveaxis(x, -1, axis) for x in pair])


def _listed(what: str, x: Node, s: Sequence[Count] | None, axes: Axes) -> tuple[list[int], list[Count]]:
    """The axes in order, and for each the number of points, or None."""
    if axes is None:
        listed = list(range(x.ndim) if s is None else range(x.ndim - len(s), x.ndim))
    else:
        listed = [normal_axis(a, x.ndim, what, x) for a in axes]
    counts: list[Count] = [None] * len(listed) if s is None else list(s)
    if not listed or len(counts) != len(listed):
        fail(ArgumentError, f"{what}: {len(counts)} numbers of points for {len(listed)} axes", x)
    return listed, counts


__all__ = [
    "Complex", "fft", "fft2", "fftconvolve", "fftfreq", "fftn", "fftshift", "ifft", "ifft2", "ifftn", "ifftshift", "irfft", "irfft2",
    "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip

for _name in __all__:
    _theirs = getattr(np.fft, _name, None)
    if hasattr(_theirs, "__wrapped__"):  # what an array-function dispatcher leaves
        NUMPY_FUNCTIONS.setdefault(_theirs, globals()[_name])

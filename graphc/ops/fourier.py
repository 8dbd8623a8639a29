"""Discrete Fourier transforms along the last axis. A complex array is a pair of real ones; each transform is linear, so closed in these.

    X[k] = s sum x[j] exp(-2 pi i j k / n)       rfft, fft      s: 1 | 1/sqrt(n) | 1/n     norm: backward | ortho | forward
    x[j] = s sum X[k] exp(+2 pi i j k / n)       irfft, ifft    s: 1/n | 1/sqrt(n) | 1

The transpose of one is the other with the same s; between real and complex values a spectrum's inner entries count twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.dims import Size
from graphc.dtypes import is_float
from graphc.errors import DTypeError, ShapeError, fail
from graphc.ir import Node, make
from graphc.ops.compare import where, zeros_as
from graphc.ops.create import arange
from graphc.ops.host import host_op
from graphc.ops.linalg.common import Parts, zeros_if_none
from graphc.ops.outputs import outputs
from graphc.types import TensorType, same_size, tensor_type

Pair = tuple[Node, Node]
NORMS = ("backward", "ortho", "forward")
_SWAPPED = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _floats(what: str, *types: TensorType) -> None:
    first = types[0]
    for t in types:
        if not is_float(t.dtype) or t.dtype != first.dtype:
            fail(DTypeError, f"{what}: floats of one dtype are needed, got {', '.join(map(str, types))}")
        if not t.ndim or t.ndim != first.ndim or not all(map(same_size, t.shape, first.shape)):
            fail(ShapeError, f"{what}: arrays of one shape are needed, got {', '.join(map(str, types))}")
        some(what, t.shape[-1])


def some(what: str, n: Size) -> None:
    """Raise ShapeError for a transform of nothing."""
    if isinstance(n, int) and n < 1:
        fail(ShapeError, f"{what}: there is no transform of {n} points")


def _parts(x: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(x.real, dtype), np.asarray(x.imag, dtype)


def _joined(re: np.ndarray, im: np.ndarray) -> np.ndarray:
    """re + i im, also where im is infinite."""
    z = np.empty(re.shape, np.result_type(re.dtype, np.complex64))
    z.real, z.imag = re, im
    return z


# -- real to complex -----------------------------------------------------------------------------------------------------------
def _rfft_type(x: TensorType, norm: str) -> tuple[TensorType, TensorType]:
    _floats("rfft", x)
    half = tensor_type(x.dtype, (*x.shape[:-1], x.shape[-1] // 2 + 1))
    return half, half


def _rfft_ref(x: np.ndarray, norm: str) -> Any:
    some("rfft", x.shape[-1])
    return _parts(np.fft.rfft(x, norm=norm), x.dtype)  # type: ignore[arg-type]


def _twice(like: Node, n: Size) -> Node:
    """2 where an entry of half a spectrum stands for two, else 1."""
    k = arange(like.shape[-1])
    return where((k == 0) | (k * 2 == n), 1.0, 2.0).astype(like.dtype)


def _rfft_vjp(g: Parts, out: Any, x: Node, norm: str) -> list[Node]:
    twice = _twice(out[0], x.shape[-1])
    real, imag = [zeros_if_none(part, out[0]) / twice for part in g]
    return [inverse_real(real, imag, x.shape[-1], _SWAPPED[norm])]


RFFT = host_op(
    "rfft", 1, "Half of the spectrum of real values: its real and its imaginary part.", params=("norm",), type_rule=_rfft_type,
    ref=_rfft_ref, vjp=_rfft_vjp,
)  # fmt: skip


def real(x: Node, norm: str) -> Pair:
    """The primitive."""
    first, second = outputs(make(RFFT, (x,), (norm,)))
    return first, second


# -- complex to real -----------------------------------------------------------------------------------------------------------
def _irfft_type(re: TensorType, im: TensorType, n: Size, norm: str) -> TensorType:
    _floats("irfft", re, im)
    some("irfft", n)
    if not same_size(re.shape[-1], n // 2 + 1):
        fail(ShapeError, f"irfft: half a spectrum of {n} points has {n // 2 + 1}, got {re.shape[-1]}")
    return tensor_type(re.dtype, (*re.shape[:-1], n))


def _irfft_ref(re: np.ndarray, im: np.ndarray, n: int, norm: str) -> np.ndarray:
    some("irfft", n)
    return np.asarray(np.fft.irfft(_joined(re, im), n, norm=norm), re.dtype)  # type: ignore[arg-type]


def _irfft_vjp(g: Node, out: Node, re: Node, im: Node, n: Size, norm: str) -> list[Node]:
    twice = _twice(re, n)
    first, second = real(g, _SWAPPED[norm])
    return [first * twice, second * twice]


IRFFT = host_op(
    "irfft", 2, "The n real values of which half of the spectrum is given; imaginary parts of its ends are not read.",
    params=("n", "norm"), type_rule=_irfft_type, ref=_irfft_ref, vjp=_irfft_vjp,
)  # fmt: skip


def inverse_real(re: Node, im: Node, n: Size, norm: str) -> Node:
    """The primitive."""
    return make(IRFFT, (re, im), (n, norm))


# -- complex to complex ----------------------------------------------------------------------------------------------------------
def _fft_type(re: TensorType, im: TensorType, inverse: bool, norm: str) -> tuple[TensorType, TensorType]:
    _floats("ifft" if inverse else "fft", re, im)
    return re, re


def _fft_ref(re: np.ndarray, im: np.ndarray, inverse: bool, norm: str) -> Any:
    some("fft", re.shape[-1])
    transform = np.fft.ifft if inverse else np.fft.fft
    return _parts(transform(_joined(re, im), norm=norm), re.dtype)  # type: ignore[arg-type]


def _fft_vjp(g: Parts, out: Any, re: Node, im: Node, inverse: bool, norm: str) -> Pair:
    return complex_(zeros_if_none(g[0], re), zeros_if_none(g[1], re), not inverse, _SWAPPED[norm])


FFT = host_op(
    "fft", 2, "The spectrum of complex values, or the values of a spectrum: real and imaginary parts.", params=("inverse", "norm"),
    type_rule=_fft_type, ref=_fft_ref, vjp=_fft_vjp,
)  # fmt: skip


def complex_(re: Node, im: Node, inverse: bool, norm: str) -> Pair:
    """The primitive."""
    first, second = outputs(make(FFT, (re, im), (inverse, norm)))
    return first, second


def of_real(x: Node) -> Pair:
    """Real values as complex ones."""
    return x, zeros_as(x)

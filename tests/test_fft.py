"""Fourier transforms of pairs of reals, against NumPy's and SciPy's; derivatives by complex-free differences, to order 3."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.signal

import graphc as gx
from graphc.derivatives.check_grad import check_grad
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.interp import evaluate

F = gx.fft
NORMS = (None, "backward", "ortho", "forward")


def close(got: Any, wanted: np.ndarray, dtype: str = "float64") -> None:
    """A pair beside a complex array, or an array beside a real one."""
    parts = (wanted.real, wanted.imag) if np.iscomplexobj(wanted) else (wanted,)
    for mine, theirs in zip(got if isinstance(got, tuple) else (got,), parts, strict=True):
        assert mine.dtype == dtype and mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=(2e-5 if dtype == "float32" else 1e-12) * max(np.abs(wanted).max(), 1))


@pytest.fixture(scope="module", params=["float64", "float32"])
def compiled(request: Any) -> Any:
    x, y = gx.tensor("x", ("b", "n"), request.param), gx.tensor("y", ("b", "n"), request.param)
    n, outs = gx.dim("n"), {}
    for norm in NORMS[1:]:
        outs[norm] = {
            "rfft": F.rfft(x, norm=norm), "fft": F.fft((x, y), norm=norm), "ifft": F.ifft((x, y), norm=norm),
            "irfft": F.irfft((x, y), 2 * n - 1, norm=norm),
        }  # fmt: skip
    outs["even"], outs["short"], outs["long"] = F.irfft((x, y), 2 * n), F.rfft(x, 2), F.fft(x, n + 3, axis=0)
    outs["frequencies"], outs["half"], outs["shift"] = F.fftfreq(n, 0.5), F.rfftfreq(n), F.ifftshift(F.fftshift(x))
    outs["slope"] = gx.grad(gx.sum(F.rfft(x)[0] ** 3 + F.rfft(x)[1] ** 3), x)
    return request.param, gx.function([x, y], outs)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 13])
def test_every_transform_for_every_size(compiled: Any, n: int) -> None:
    dtype, f = compiled
    x, y = np.random.default_rng(n).normal(size=(2, 3, n)).astype(dtype)
    got, z = f(x, y), x + 1j * y.astype(dtype)
    for norm in NORMS[1:]:
        close(got[norm]["rfft"], np.fft.rfft(x, norm=norm), dtype)
        close(got[norm]["fft"], np.fft.fft(z, norm=norm), dtype)
        close(got[norm]["ifft"], np.fft.ifft(z, norm=norm), dtype)
        close(got[norm]["irfft"], np.fft.irfft(z, 2 * n - 1, norm=norm), dtype)
    close(got["even"], np.fft.irfft(z, 2 * n), dtype)
    close(got["short"], np.fft.rfft(x, 2), dtype)
    close(got["long"], np.fft.fft(x, n + 3, axis=0), dtype)
    close(got["frequencies"], np.fft.fftfreq(n, 0.5))
    close(got["half"], np.fft.rfftfreq(n))
    np.testing.assert_array_equal(got["shift"], x)
    k = np.arange(n)
    angles = 2 * np.pi * np.outer(np.arange(n // 2 + 1), k) / n
    re, im = x @ np.cos(angles).T, -x @ np.sin(angles).T
    close(got["slope"], (3 * re**2 @ np.cos(angles) - 3 * im**2 @ np.sin(angles)).astype(dtype), dtype)


def test_several_axes_and_numpys_names() -> None:
    a, b = np.random.default_rng(1).normal(size=(2, 3, 4, 5))
    x, y = gx.tensor("x", (3, 4, 5)), gx.tensor("y", (3, 4, 5))
    z = a + 1j * b
    pairs: list[tuple[Any, Any]] = [
        (np.fft.rfft(x, axis=1), np.fft.rfft(a, axis=1)), (np.fft.rfftn(x), np.fft.rfftn(a)), (F.fftn((x, y)), np.fft.fftn(z)),
        (F.ifftn((x, y), (2, 7), (0, 2)), np.fft.ifftn(z, (2, 7), (0, 2))), (np.fft.fft2(x, norm="ortho"), np.fft.fft2(a, norm="ortho")),
        (F.irfftn((x, y)), np.fft.irfftn(z)), (F.irfft2((x, y), (4, 3)), np.fft.irfft2(z, (4, 3))), (F.ifft2(x), np.fft.ifft2(a)),
        (F.rfft2(x, axes=(0, 1)), np.fft.rfft2(a, axes=(0, 1))), (np.fft.fftshift(x, 1), np.fft.fftshift(a, 1)),
        (F.irfft(F.rfft(x, axis=0), 3, axis=0), a), (F.fft(gx.asarray([1, 2, 3])), np.fft.fft([1, 2, 3])),
        *[(F.fftconvolve(x, y[:2, :3, 1:], mode), scipy.signal.fftconvolve(a, b[:2, :3, 1:], mode)) for mode in ("full", "same", "valid")],
        (F.fftconvolve(x, y[:, :2], axes=1), scipy.signal.fftconvolve(a, b[:, :2], axes=1)),
    ]  # fmt: skip
    for ours, theirs in pairs:
        parts = list(ours) if isinstance(ours, tuple) else [ours]
        got = evaluate(parts, {x: a, y: b})
        close(tuple(got) if isinstance(ours, tuple) else got[0], np.asarray(theirs))


@pytest.mark.parametrize("n", [1, 4, 5])
def test_derivatives_to_order_3(n: int) -> None:
    a, b = np.random.default_rng(2).normal(size=(2, 2, n))
    x, y = gx.tensor("x", (2, n)), gx.tensor("y", (2, n))
    for norm in NORMS:
        re, im = F.rfft(x, norm=norm)
        u, v = F.ifft(F.fft((x * y, x), norm=norm), n + 1, norm="ortho")
        back = F.irfft((x, y), 2 * n - 1, norm=norm)
        out = gx.sum(re**2 * im) + gx.sum(re**3) + gx.sum(u**2 * v) + gx.sum(back**3) + gx.sum(F.irfft((y, x), 2 * n, norm=norm) ** 3)
        check_grad(out, [x, y], {x: a, y: b}, order=3, rtol=1e-5)


def test_mapped_and_in_a_scan() -> None:
    a = np.random.default_rng(4).normal(size=(3, 6))
    x = gx.tensor("x", ("b", 6))
    lanes = gx.vmap(lambda row: F.rfft(row)[0])(x)
    turns = gx.scan(lambda c, row: (F.irfft(F.rfft(c + row), 6), F.rfft(c)[1]), gx.zeros((6,)), x)
    got = gx.function([x], [lanes, *turns], mode="verify")(a)
    close(got[0], np.fft.rfft(a).real)
    close(got[1], a.sum(0))
    close(got[2], np.fft.rfft(np.cumsum(a, 0) - a).imag)


def test_misuse() -> None:
    x = gx.tensor("x", (3, 4))
    with pytest.raises(ShapeError, match="no transform of 0 points"):
        F.rfft(x, 0)
    with pytest.raises(ShapeError, match="no transform of 0 points"):
        gx.function([y := gx.tensor("y", ("n",))], F.rfft(y)[0])(np.zeros(0))
    with pytest.raises(ShapeError, match="differ in shape"):
        F.fft((x, x[:2]))
    with pytest.raises(ArgumentError, match="norm='half'"):
        F.rfft(x, norm="half")
    with pytest.raises(ShapeError, match="axis 2"):
        F.rfft(x, axis=2)
    with pytest.raises(ShapeError, match="a number has no axis"):
        F.rfft(1.0)
    with pytest.raises(ArgumentError, match="mode='most'"):
        F.fftconvolve(x, x, "most")


COMPLEX = np.array([1 + 2j, 3])
ENTRANCES: dict[str, Any] = {
    "asarray": lambda x: gx.asarray(COMPLEX),
    "asarray of a number": lambda x: gx.asarray(1j),
    "asarray of a list": lambda x: gx.asarray([1j, 2]),
    "asarray with a dtype": lambda x: gx.asarray(COMPLEX, "float64"),
    "asarray to complex": lambda x: gx.asarray([1.0], "complex128"),
    "operator, number": lambda x: x + 1j,
    "operator, reflected": lambda x: 1j * x,
    "operator, array": lambda x: x * COMPLEX,
    "operator, array first": lambda x: COMPLEX * x,
    "operator, NumPy's number": lambda x: x - np.complex64(1j),
    "function": lambda x: gx.sin(COMPLEX),
    "NumPy's function": lambda x: np.add(x, COMPLEX),
    "where": lambda x: gx.where(True, x, 1j),
    "full": lambda x: gx.full((2,), 1j),
    "zeros": lambda x: gx.zeros((2,), "complex64"),
    "astype": lambda x: x.astype(complex),
    "tensor": lambda x: gx.tensor("z", (2,), "complex128"),
    "tensor, Python's type": lambda x: gx.tensor("z", (2,), complex),
    "scalar": lambda x: gx.scalar("z", "complex64"),
    "like": lambda x: gx.like(COMPLEX, "z"),
    "shared": lambda x: gx.shared(COMPLEX),
    "set_value": lambda x: gx.shared(np.zeros(2)).set_value(COMPLEX),
    "argument": lambda x: gx.function([x], x)(COMPLEX),
    "argument, cast": lambda x: gx.function([x], x, casting="unsafe")(COMPLEX),
    "argument, list": lambda x: gx.function([x], x)([1j, 2j]),
    "jit": lambda x: gx.jit(lambda v: v)(COMPLEX),
    "eval": lambda x: x.eval({x: COMPLEX}),
    "at": lambda x: x.at[0].set(1j),
    "arange": lambda x: gx.arange(2, dtype=complex),
    "solve": lambda x: gx.linalg.solve(np.eye(2) * 1j, x),
    "fft": lambda x: F.fft(COMPLEX),
    "callback": lambda x: gx.callback(lambda v: v * 1j, lambda v: COMPLEX)(x),
    "callback's result": lambda x: gx.function([x], gx.callback(lambda v: v * 1j, lambda v: v)(x))(np.ones(2)),
    "cond": lambda x: gx.cond(True, lambda v: v, lambda v: v * 1j, x),
    "scan's carry": lambda x: gx.scan(lambda c, _: (c, None), COMPLEX, length=2),
}


@pytest.mark.parametrize("where", ENTRANCES)
def test_complex_values_are_refused_at_every_entrance(where: str) -> None:
    with pytest.raises(DTypeError, match=r"(?s)complex.*two (real )?arrays"):
        ENTRANCES[where](gx.tensor("x", (2,)))

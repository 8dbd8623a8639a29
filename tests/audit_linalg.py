"""The examples of `test_audit` for the ops of linear algebra and Fourier transforms: (f, shapes of its arrays), each f on nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import graphc as gx
from graphc.ir import make
from graphc.ops.linalg.determinants import SLOPE, cofactors
from graphc.ops.linalg.functions import lyapunov

L = gx.linalg

EXAMPLES: dict[str, list[tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]]] = {
    "cholesky": [(lambda a: L.cholesky(a @ a.mT + gx.eye(3)), ((3, 3),)), (lambda a: L.cholesky(a @ a.mT + gx.eye(2)), ((2, 2, 2),))],
    "solve_triangular": [(lambda a, b: L.solve_triangular(a + 2 * gx.eye(3), b, lower=True), ((3, 3), (3, 2)))],
    "lu": [(lambda a: L.lu(a + gx.eye(3))[1] + L.lu(a + gx.eye(3))[2], ((3, 3),))],
    "solve": [(lambda a, b: L.solve(a + 3 * gx.eye(3), b), ((3, 3), (3,)))],
    "inv": [(lambda a: L.inv(a + 3 * gx.eye(2)), ((2, 2, 2),))],
    "log_abs_det": [(lambda a: L.slogdet(a + 3 * gx.eye(3))[1], ((2, 3, 3),))],
    "product_of_pivots": [(lambda a: L.det(a + 3 * gx.eye(3)), ((3, 3),))],
    "cofactors": [(lambda a: gx.sin(cofactors(a + gx.eye(3))), ((3, 3),))],
    "cofactors_slope": [(lambda a, e: gx.sin(make(SLOPE, (a + gx.eye(3), e))), ((3, 3), (3, 3)))],
    "qr": [(lambda a: L.qr(a + 2 * gx.eye(3))[0] ** 2 + L.qr(a + 2 * gx.eye(3))[1] ** 2, ((3, 3),))],
    "qr_upper": [(lambda a: L.qr(a + 2 * gx.eye(3), "r") ** 2, ((3, 3),))],
    "svd": [(lambda a: L.svd(a)[0] ** 2 * L.svd(a)[1], ((2, 2),))],
    "svdvals": [(lambda a: L.svdvals(a), ((3, 2),))],
    "pinv": [(lambda a: L.pinv(a), ((3, 2),))],
    "lstsq": [(lambda a, b: L.lstsq(a, b)[0], ((3, 2), (3,)))],
    "eigh": [(lambda a: L.eigh(a)[0] * L.eigh(a)[1] ** 2, ((2, 2),))],
    "expm": [(lambda a: L.expm(a), ((2, 2),))],
    "sqrtm": [(lambda a: L.sqrtm(a @ a.mT + gx.eye(2)), ((2, 2),))],
    "rfft": [(lambda x: gx.fft.rfft(x)[0] ** 2 * gx.fft.rfft(x, norm="ortho")[1], ((2, 5),))],
    "irfft": [(lambda x, y: gx.fft.irfft((x, y)) ** 2, ((2, 3), (2, 3)))],
    "fft": [(lambda x, y: gx.fft.fft((x, y))[0] ** 2 * gx.fft.ifft((x, y))[1], ((2, 3), (2, 3)))],
    "lyapunov": [(lambda a, c: lyapunov(a @ a.mT + gx.eye(2), c), ((2, 2), (2, 2)))],
}

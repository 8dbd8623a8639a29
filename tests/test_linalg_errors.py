"""What linear algebra and the transforms say when they refuse: the texts are in golden/errors_linalg.txt."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

import graphc as gx
from graphc.ir import origin
from tests.test_errors import text

with origin(("train.py", 9)):
    A, ROW, X, T = gx.tensor("a", (3, 3)), gx.tensor("b", (3, 4)), gx.tensor("x", (4,)), gx.tensor("t", (2, 3, 4))
LA = gx.linalg

REFUSED: dict[str, Callable[[], object]] = {
    **{f"{name} of a matrix that is not square": partial(getattr(LA, name), ROW) for name in (
        "cholesky", "inv", "det", "slogdet", "eigh", "eigvalsh", "expm", "sqrtm")},
    **{f"{name} of a vector": partial(getattr(LA, name), X) for name in ("cholesky", "qr", "svd", "inv", "pinv", "trace")},
    "a right side of another size": lambda: LA.solve(A, X),
    "a triangle of another size": lambda: LA.solve_triangular(A, ROW.T),
    "a power that is no integer": lambda: LA.matrix_power(A, 0.5),
    "a power of what is not square": lambda: LA.matrix_power(ROW, 2),
    "one factor": lambda: LA.multi_dot([A]),
    "factors that do not fit": lambda: LA.multi_dot([ROW, A, ROW]),
    "an unknown norm": lambda: LA.norm(A, ord="spectral"),
    "a norm of three axes": lambda: LA.norm(T, ord=2, axis=(0, 1, 2)),
    "what to do on an error": lambda: LA.cholesky(A, on_error="ignore"),
    "an assumption nobody knows": lambda: gx.assume(A, "diagonal"),
    "complex results": lambda: np.linalg.eig(A),
    "a transform of no points": lambda: gx.fft.rfft(X, n=0),
    "a transform along an axis that is not there": lambda: gx.fft.rfft(X, axis=1),
}  # fmt: skip


def test_golden(golden: Callable[[str, str], None]) -> None:
    golden("errors_linalg", text(REFUSED))

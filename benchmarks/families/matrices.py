"""Many small matrices: Cholesky factors, linear systems, symmetric eigenvalues, batched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.row import Arrays, Row, normal

SIZES = ((4, 16_000), (8, 4_000), (16, 1_000), (32, 250))
WHO = ("graphc", "graphc-1", "graphc-before", "numpy", "jax")


def positive(n: int, batch: int, dtype: str) -> np.ndarray:
    """Symmetric positive definite matrices."""
    a = normal("a", batch, n, n, dtype=dtype)
    return np.asarray(a @ a.swapaxes(1, 2) + n * np.eye(n), a.dtype)


def cholesky(xp: Any, a: Any) -> Any:
    return xp.linalg.cholesky(a)


def solve(xp: Any, a: Any, b: Any) -> Any:
    return xp.linalg.solve(a, b)


def eigenvalues(xp: Any, a: Any) -> Any:
    return xp.linalg.eigh(a)[0]


def rows() -> Iterator[Row]:
    for dtype, width in (("f32", 4), ("f64", 8)):
        for n, batch in SIZES:
            one = lambda n=n, batch=batch, dtype=dtype: (positive(n, batch, dtype),)

            def two(n: int = n, batch: int = batch, dtype: str = dtype) -> Arrays:
                return normal("a", batch, n, n, dtype=dtype) + n * np.eye(n, dtype=positive(1, 1, dtype).dtype), normal(
                    "b", batch, n, 1, dtype=dtype
                )

            for name, function, data, flops, moved in (
                ("cholesky", cholesky, one, n**3 / 3, 2 * n * n),
                ("solve", solve, two, 2 * n**3 / 3, n * n + 2 * n),
                ("eigh", eigenvalues, one, 9 * n**3, n * n + n),
            ):
                loose = 1e-2 if dtype == "f32" else 1e-8
                where = f"matrices/{name}/{dtype}/{batch}x{n}x{n}"
                yield Row(where, function, data, flops=batch * flops, nbytes=batch * width * moved, tolerance=loose, only=WHO)

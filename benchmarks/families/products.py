"""Matrix products: square, skinny, with a vector, with bias and gelu, and with sizes known only at run time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.row import FLOPS, Row, normal

SHAPES = ((64, 64, 64), (256, 256, 256), (1024, 1024, 1024), (2048, 2048, 2048), (64, 784, 256))
EPILOGUES = ((64, 784, 256), (512, 512, 512))
VECTORS = (1024, 4096)


def product(xp: Any, a: Any, b: Any) -> Any:
    return a @ b


def product_bias_gelu(xp: Any, a: Any, b: Any, bias: Any) -> Any:
    return xp.gelu(a @ b + bias)


def rows() -> Iterator[Row]:
    """FLOPs are 2 m k n; the smallest traffic is each matrix once."""
    for dtype, width in (("f32", 4), ("f64", 8)):
        for m, k, n in SHAPES:
            size = str(m) if m == k == n else f"{m}x{k}x{n}"
            common = {
                "data": lambda m=m, k=k, n=n, dtype=dtype: (normal("a", m, k, dtype=dtype), normal("b", k, n, dtype=dtype)),
                "flops": 2 * m * k * n,
                "nbytes": width * (m * k + k * n + m * n),
            }
            yield Row(f"products/static/{dtype}/{size}", product, **common)
            yield Row(f"products/run-time/{dtype}/{size}", product, shapes=(("m", "k"), ("k", "n")), **common)
        for n in VECTORS:
            data = lambda n=n, dtype=dtype: (normal("a", n, n, dtype=dtype), normal("x", n, dtype=dtype))
            yield Row(f"products/vector/{dtype}/{n}", product, data, flops=2 * n * n, nbytes=width * (n * n + 2 * n))
        for m, k, n in EPILOGUES:
            size = str(m) if m == k == n else f"{m}x{k}x{n}"
            data = lambda m=m, k=k, n=n, dtype=dtype: tuple(
                normal(name, *shape, dtype=dtype, scale=0.05) for name, shape in (("a", (m, k)), ("b", (k, n)), ("c", (n,)))
            )
            flops = 2 * m * k * n + m * n * (FLOPS[dtype]["erf"] + 4)
            yield Row(f"products/bias-gelu/{dtype}/{size}", product_bias_gelu, data, flops=flops, nbytes=width * (m * k + k * n + m * n))

"""Matrix products: square, skinny, batched, with a vector, with bias and gelu, at every offset, and with sizes known only at run time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.row import DTYPES, FLOPS, Arrays, Row, normal

SHAPES = ((64, 64, 64), (256, 256, 256), (1024, 1024, 1024), (2048, 2048, 2048), (64, 784, 256))
ODD = (100, 129, 250)
EPILOGUES = ((64, 784, 256), (512, 512, 512))
VECTORS = (256, 1024, 4096)
WIDE = 512  # the long sides of a skinny product
FEW_ROWS = (1, 2, 4, 8, 16)
FEW_COLUMNS = (8, 10, 16, 32)
SHORT = (1, 2, 4, 8, 16)  # steps of k
BATCHES = ((64, 32, 32, 32), (256, 32, 32, 32), (16, 128, 64, 128))
SCORES, VALUES = (16, 128, 64, 128), (16, 128, 128, 64)  # q k^T and p v of attention
OFFSETS = (0, 16, 32, 48)  # bytes behind a multiple of LINE: NumPy gives all of them
LINE = 64
PEERS = ("graphc", "graphc-1", "graphc-before", "numpy", "jax", "torch", "torch.compile")


def product(xp: Any, a: Any, b: Any) -> Any:
    return a @ b


def product_turned(xp: Any, a: Any, b: Any) -> Any:
    """Of a batch, the right operand read by columns."""
    return a @ xp.swapaxes(b, 1, 2)


def product_bias_gelu(xp: Any, a: Any, b: Any, bias: Any) -> Any:
    return xp.gelu(a @ b + bias)


def behind(a: np.ndarray, offset: int) -> np.ndarray:
    """A copy that starts `offset` bytes behind a multiple of LINE."""
    room = np.empty(a.nbytes + 2 * LINE, np.uint8)
    start = -room.ctypes.data % LINE + offset
    copy = room[start : start + a.nbytes].view(a.dtype).reshape(a.shape)
    copy[...] = a
    return copy


def rows() -> Iterator[Row]:
    """FLOPs are 2 m k n; the smallest traffic is each matrix once."""
    for dtype in DTYPES:
        width = DTYPES[dtype]().itemsize
        for shape in SHAPES:
            yield _row("static", dtype, shape, only=())
            yield _row("run-time", dtype, shape, shapes=(("m", "k"), ("k", "n")), only=())
        for n in ODD:
            yield _row("static", dtype, (n, n, n))
        for n in FEW_COLUMNS:
            yield _row("few-columns", dtype, (WIDE, WIDE, n))
        for m in FEW_ROWS:
            yield _row("few-rows", dtype, (m, WIDE, WIDE))
        for k in SHORT:
            yield _row("short", dtype, (WIDE, k, WIDE))
        for shape in (SHAPES[1], SHAPES[4]):
            for offset in OFFSETS:
                yield _row(f"offset-{offset}", dtype, shape, offset=offset)
        for batch in (*BATCHES, VALUES):
            yield _batched("batched", dtype, batch)
        yield _batched("batched-turned", dtype, SCORES)
        for n in VECTORS:
            data = lambda n=n, dtype=dtype: (normal("a", n, n, dtype=dtype), normal("x", n, dtype=dtype))
            flops, nbytes = 2 * n * n, width * (n * n + 2 * n)
            yield Row(f"products/vector/{dtype}/{n}", product, data, flops=flops, nbytes=nbytes)
            turned = lambda n=n, dtype=dtype: (normal("x", n, dtype=dtype), normal("a", n, n, dtype=dtype))
            yield Row(f"products/vector-left/{dtype}/{n}", product, turned, flops=flops, nbytes=nbytes, only=PEERS)
        for m, k, n in EPILOGUES:
            data = lambda m=m, k=k, n=n, dtype=dtype: tuple(
                normal(name, *shape, dtype=dtype, scale=0.05) for name, shape in (("a", (m, k)), ("b", (k, n)), ("c", (n,)))
            )
            flops = 2 * m * k * n + m * n * (FLOPS[dtype]["erf"] + 4)
            nbytes = width * (m * k + k * n + m * n)
            yield Row(f"products/bias-gelu/{dtype}/{_size(m, k, n)}", product_bias_gelu, data, flops=flops, nbytes=nbytes)


def _row(what: str, dtype: str, shape: tuple[int, int, int], *, offset: int | None = None, **more: Any) -> Row:
    """(m, k) @ (k, n)."""
    m, k, n = shape
    width = DTYPES[dtype]().itemsize

    def data() -> Arrays:
        pair = normal("a", m, k, dtype=dtype), normal("b", k, n, dtype=dtype)
        return pair if offset is None else tuple(behind(a, offset) for a in pair)

    name, nbytes = f"products/{what}/{dtype}/{_size(m, k, n)}", width * (m * k + k * n + m * n)
    return Row(name, product, data, flops=2 * m * k * n, nbytes=nbytes, **{"only": PEERS} | more)


def _batched(what: str, dtype: str, shape: tuple[int, int, int, int]) -> Row:
    """(batch, m, k) @ (batch, k, n)."""
    batch, m, k, n = shape
    turned = what == "batched-turned"
    data = lambda: (normal("a", batch, m, k, dtype=dtype), normal("b", batch, *((n, k) if turned else (k, n)), dtype=dtype))
    nbytes = DTYPES[dtype]().itemsize * batch * (m * k + k * n + m * n)
    name = f"products/{what}/{dtype}/{batch}x{m}x{k}x{n}"
    return Row(name, product_turned if turned else product, data, flops=2 * batch * m * k * n, nbytes=nbytes, only=PEERS)


def _size(m: int, k: int, n: int) -> str:
    return str(m) if m == k == n else f"{m}x{k}x{n}"

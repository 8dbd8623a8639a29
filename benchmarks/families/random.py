"""Random draws of a million numbers: graphc, NumPy (PCG64), torch (Mersenne Twister), JAX (Threefry), each by bits of its own.

Nobody draws the same numbers, so what is compared is their mean and mean square.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.row import Arrays, Row

LONG, WHO = 1_000_000, ("graphc", "graphc-1", "graphc-before", "numpy", "jax", "torch")
CONTINUOUS: dict[str, tuple[Any, ...]] = {"uniform": (), "normal": (), "exponential": (), "gamma": (2.5,)}
DISCRETE: dict[str, tuple[Any, ...]] = {"bernoulli": (0.3,), "poisson": (3.5,), "binomial": (20.0, 0.3), "permutation": ()}


def draw(what: str, arguments: tuple[Any, ...], draws: Any) -> Any:
    """By the method of this name of a peer's `Draws`."""
    return getattr(draws, what)(LONG, *arguments)


def _nothing() -> Arrays:
    return ()


def rows() -> Iterator[Row]:
    for what, arguments in CONTINUOUS.items():
        for dtype, width in (("f32", 4), ("f64", 8)):
            yield _row(what, arguments, dtype, width)
    for what, arguments in DISCRETE.items():
        yield _row(what, arguments, "f64", 1 if what == "bernoulli" else 8)


def _row(what: str, arguments: tuple[Any, ...], dtype: str, width: int) -> Row:
    function = partial(draw, what, arguments)
    return Row(f"random/{what}/{dtype}/{LONG}", function, _nothing, want="draws", nbytes=width * LONG, tolerance=0.02, only=WHO)

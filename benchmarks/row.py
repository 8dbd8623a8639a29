"""`Row`: one workload, written once against a namespace of array functions; `select`: the rows of all families."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any

import numpy as np

Arrays = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Row:
    """A line of the table.

    `function(xp, *arrays)` is the workload in the functions of `benchmarks.peers.Ops`; `data()` makes its arguments, `data(k)` those of
    the k-th call where every call has another size.
    """

    name: str
    """family/what/dtype/size: what the globs of the command line match."""
    function: Callable[..., Any]
    data: Callable[..., Arrays]
    want: str = "value"
    """What a peer makes of the function: value, call, call_out, gradient, value_and_gradient, hvp, hessian, step, sgd_step, resize, draws,
    nodes, cold, warm, import."""
    wrt: int = 1
    """Derivatives are taken for, and training moves, the first `wrt` arguments; for hvp as many directions come last."""
    shapes: tuple[tuple[Any, ...], ...] | None = None
    """Declared shapes; a string is a size known only at run time. None: the shapes of the data."""
    flops: float = 0.0
    """Floating-point operations that no program can avoid; see FLOPS for those of a transcendental function."""
    nbytes: float = 0.0
    """Bytes of inputs and outputs: what must move at least once."""
    by_hand: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    """What a user of this peer writes instead: derivatives in NumPy, loops for numba."""
    only: tuple[str, ...] = ()
    """The only peers that have this row; () is all."""
    skip: Mapping[str, str] = field(default_factory=dict)
    """Peers that sit this row out, and why."""
    tolerance: float = 0.0
    """Largest accepted |difference| / (1 + |value|); 0 is 2e-4 for float32 and 1e-9 for float64."""
    unit: str = "s"

    @property
    def family(self) -> str:
        return self.name.split("/")[0]

    @property
    def dtype(self) -> str:
        return "f32" if "/f32" in self.name else "f64"

    @property
    def accepted(self) -> float:
        return self.tolerance or (2e-4 if self.dtype == "f32" else 1e-9)

    @property
    def fresh(self) -> bool:
        """Every sample is a new process."""
        return self.want in ("cold", "warm", "import")


# Floating-point operations of one element of a vector implementation: polynomial, range reduction and reconstruction counted as the
# instructions a good one needs, an fma as two. Limits made of them are estimates to 20 %.
FLOPS = {
    "f32": {"exp": 20, "log": 26, "log1p": 34, "tanh": 30, "erf": 34, "sin": 26, "div": 8, "sqrt": 8},
    "f64": {"exp": 32, "log": 44, "log1p": 52, "tanh": 46, "erf": 70, "sin": 40, "div": 16, "sqrt": 16},
}
DTYPES = {"f32": np.float32, "f64": np.float64}


def normal(name: str, *shape: int, dtype: str, scale: float = 1.0) -> np.ndarray:
    """Standard normal numbers, the same ones for the same name in every process."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return (rng.standard_normal(shape) * scale).astype(DTYPES[dtype])


def all_rows() -> Iterator[Row]:
    """Every row, family by family in the order of the table."""
    from benchmarks import families  # late: the families import this module

    for family in families.FAMILIES:
        yield from family.rows()


def select(globs: list[str]) -> list[Row]:
    """Rows whose name begins with one of the globs."""
    return [r for r in all_rows() if not globs or any(fnmatch(r.name, g + "*") for g in globs)]


def find(name: str) -> Row:
    """The row of this name."""
    return next(r for r in all_rows() if r.name == name)

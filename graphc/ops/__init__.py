"""The op tables. Importing them all binds the operators and methods of nodes, and what NumPy's functions do with a node."""

# ruff: noqa: F401 - the modules are read off the names below
from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from graphc.operators import FUNCTIONS, NUMPY_FUNCTIONS
from graphc.ops import (
    aliases,
    arithmetic,
    arrangement,
    assuming,
    at,
    choices,
    compare,
    compound,
    create,
    diagonals,
    differences,
    draws,
    dynamic,
    einsum,
    elementwise,
    fitting,
    grids,
    ignoring_nan,
    indexing,
    joining,
    keys,
    kinds,
    ldexp,
    lengths,
    padding,
    philox,
    polynomials,
    positions,
    products,
    quantiles,
    reductions,
    registry,
    replaced,
    running,
    searching,
    segments,
    selecting,
    several,
    shape,
    sinc,
    slicing,
    sliding,
    sorting,
    special,
    spread,
    statistics,
    ufuncs,
    vectors,
)
from graphc.ops.linalg import norms, structured
from graphc.ops.registry import OPS
from graphc.ops.rows import PUBLIC
from graphc.protocol import METHODS

# what a module above lists as public is what users find in `graphc`; those of special functions they find in `graphc.special`
MODULES = tuple([m for m in list(globals().values()) if isinstance(m, ModuleType) and m is not np and hasattr(m, "__all__")])
FUNCTIONS |= PUBLIC | {name: getattr(module, name) for module in MODULES for name in module.__all__}
FUNCTIONS["getitem"] = keys.getitem

_ELSEWHERE: dict[str, Callable[..., Any]] = {"where": selecting.where_or_nonzero}  # what does more under NumPy's name


def _bind_numpy() -> None:
    """`np.f(node)` is our f for every function that NumPy has under the same name: ufuncs, and functions that dispatch on arrays."""
    for name, function in (FUNCTIONS | _ELSEWHERE).items():
        theirs = getattr(np, name, None)
        if isinstance(theirs, np.ufunc) or hasattr(theirs, "__wrapped__"):  # __wrapped__: what an array-function dispatcher leaves
            NUMPY_FUNCTIONS[theirs] = function
    NUMPY_FUNCTIONS[np.linalg.norm] = FUNCTIONS["norm"]
    NUMPY_FUNCTIONS.update({method: FUNCTIONS[name] for method, name in METHODS.items()})


_bind_numpy()

__all__ = ["OPS", "elementwise"]

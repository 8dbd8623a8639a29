"""The op tables. Importing them all binds the operators and methods of nodes, and what NumPy's functions do with a node."""

# ruff: noqa: I001 - several names a line
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.operators import FUNCTIONS, NUMPY_FUNCTIONS
from graphc.ops import (
    arithmetic, at, compare, create, diagonals, elementwise, indexing, joining, keys, padding, products, reductions, registry, several, shape,
    slicing, sliding, sorting, special, spread,
    selecting,
)  # fmt: skip
from graphc.ops.linalg import norms, structured
from graphc.ops.registry import OPS
from graphc.ops.rows import PUBLIC

# every module's public names are what users find in `graphc`
MODULES = (
    arithmetic, at, compare, create, diagonals, elementwise, indexing, joining, norms, padding, products, reductions, registry, several, shape,
    slicing, sliding, sorting, spread, structured,
    selecting,
)  # fmt: skip
assert special.MODULES  # its rows are in PUBLIC; users find them in graphc.special
FUNCTIONS |= PUBLIC | {name: getattr(module, name) for module in MODULES for name in module.__all__}
FUNCTIONS |= {"getitem": keys.getitem, "ndim": shape.ndim, "shape": shape.shape, "size": shape.size}

# what NumPy calls differently, or keeps in a namespace
_ELSEWHERE: dict[str, Callable[..., Any]] = {
    "amax": FUNCTIONS["max"], "amin": FUNCTIONS["min"], "around": FUNCTIONS["round"], "concat": joining.concatenate,
    "permute_dims": shape.transpose, "matrix_transpose": lambda x: shape.swapaxes(x, -1, -2), "copy": lambda a, order="K": a,
    "where": selecting.where_or_nonzero,
}  # fmt: skip


def _bind_numpy() -> None:
    """`np.f(node)` is our f for every function that NumPy has under the same name: ufuncs, and functions that dispatch on arrays."""
    for name, function in (FUNCTIONS | _ELSEWHERE).items():
        theirs = getattr(np, name, None)
        if isinstance(theirs, np.ufunc) or hasattr(theirs, "__wrapped__"):  # __wrapped__: what an array-function dispatcher leaves
            NUMPY_FUNCTIONS[theirs] = function
    NUMPY_FUNCTIONS[np.linalg.norm] = FUNCTIONS["norm"]


_bind_numpy()

__all__ = ["OPS", "elementwise"]

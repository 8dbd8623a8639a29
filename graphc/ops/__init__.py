"""The op tables. Importing them all binds the operators and methods of nodes, and what NumPy's functions do with a node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.operators import FUNCTIONS, NUMPY_FUNCTIONS
from graphc.ops import at, create, diagonals, elementwise, indexing, joining, keys, products, reductions, several, shape, slicing, spread
from graphc.ops.registry import OPS, asarray
from graphc.ops.rows import PUBLIC

# the public functions of each module, by name
_NAMES: dict[Any, str] = {
    at: "at",
    create: "arange eye full full_like identity linspace meshgrid one_hot ones ones_like tri tril triu zeros zeros_like",
    diagonals: "diag diagonal trace",
    indexing: "take take_along_axis",
    joining: "array_split column_stack concatenate hstack repeat roll split stack tile vstack",
    keys: "getitem",
    products: " ".join(products.__all__),
    reductions: " ".join(reductions.__all__),
    several: " ".join(several.__all__),
    shape: "broadcast_arrays expand_dims flatten moveaxis ndim ravel reshape shape size squeeze swapaxes transpose",
    slicing: "flip pad",
    spread: "astype broadcast_to",
}
FUNCTIONS |= PUBLIC | {name: getattr(module, name) for module, names in _NAMES.items() for name in names.split()}
FUNCTIONS["asarray"] = asarray

# what NumPy calls differently, or keeps in a namespace
_ELSEWHERE: dict[str, Callable[..., Any]] = {
    "amax": FUNCTIONS["max"], "amin": FUNCTIONS["min"], "around": FUNCTIONS["round"], "concat": joining.concatenate,
    "permute_dims": shape.transpose, "matrix_transpose": lambda x: shape.swapaxes(x, -1, -2), "copy": lambda a, order="K": a,
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

"""Linear algebra under NumPy's and SciPy's names, over the last two axes, any batch axes in front.

    l = gx.linalg.cholesky(k);   x = gx.linalg.cho_solve((l, True), y);   w, v = gx.linalg.eigh(k)

Every function has derivatives of any order by graphc's own nodes, with what is degenerate said where it is documented. Matrices without
an answer (singular, not positive definite, nan) are LinAlgError at the call, which leaves state as it was, or nan with on_error="nan".
"""

from __future__ import annotations

import numpy as np

from graphc.errors import LinAlgError
from graphc.ir import Node
from graphc.operators import NUMPY_FUNCTIONS
from graphc.ops import diagonals
from graphc.ops.linalg.common import matrices
from graphc.ops.linalg.eigen import eigh, eigvalsh
from graphc.ops.linalg.norms import matrix_norm, norm, vector_norm
from graphc.ops.linalg.spectra import cond, expm, qr, sqrtm, svd, svdvals
from graphc.ops.linalg.structured import block_diag, kron, multi_dot, toeplitz
from graphc.ops.linalg.systems import (
    cho_factor,
    cho_solve,
    cholesky,
    det,
    inv,
    lstsq,
    lu,
    matrix_power,
    matrix_rank,
    pinv,
    slogdet,
    solve,
    solve_triangular,
    tensorinv,
    tensorsolve,
)
from graphc.ops.products import matmul, outer, tensordot
from graphc.ops.registry import ArrayLike
from graphc.ops.shape import swapaxes
from graphc.ops.vectors import cross, vecdot


def diagonal(x: ArrayLike, *, offset: int = 0) -> Node:
    """The diagonals of the matrices in the last two axes: (.., m, n) -> (.., k). Raises ShapeError."""
    return diagonals.diagonal(matrices("diagonal", x), offset, -2, -1)


def trace(x: ArrayLike, *, offset: int = 0) -> Node:
    """The sums of the diagonals of the matrices in the last two axes. Raises ShapeError."""
    return diagonals.trace(matrices("trace", x), offset, -2, -1)


def matrix_transpose(x: ArrayLike) -> Node:
    """The last two axes swapped."""
    return swapaxes(x, -1, -2)


__all__ = [
    "LinAlgError", "block_diag", "cho_factor", "cho_solve", "cholesky", "cond", "cross", "det", "diagonal", "eigh", "eigvalsh", "expm",
    "inv", "kron", "lstsq", "lu", "matmul", "matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose", "multi_dot", "norm",
    "outer", "pinv", "qr", "slogdet", "solve", "solve_triangular", "sqrtm", "svd", "svdvals", "tensordot", "tensorinv", "tensorsolve",
    "toeplitz", "trace", "vecdot", "vector_norm",
]  # fmt: skip

for _name in __all__:
    _theirs = getattr(np.linalg, _name, None)
    if hasattr(_theirs, "__wrapped__"):  # what an array-function dispatcher leaves
        NUMPY_FUNCTIONS.setdefault(_theirs, globals()[_name])

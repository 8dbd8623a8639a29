"""Symmetric eigenvalues and eigenvectors: a = v diag(w) v', w ascending."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from graphc.ir import Node, make
from graphc.loopform import Routine
from graphc.ops.compare import where
from graphc.ops.create import eye
from graphc.ops.host import host_op
from graphc.ops.linalg.common import (
    Parts,
    choice,
    columns,
    counts,
    float_square,
    guarded,
    product,
    raises,
    routine_of,
    square,
    symmetric_part,
    to_read,
    transposed,
)  # fmt: skip
from graphc.ops.outputs import outputs
from graphc.ops.registry import ArrayLike
from graphc.traits import Traits
from graphc.types import TensorType, tensor_type


def _type(a: TensorType, reads: str, on_error: str) -> tuple[TensorType, ...]:
    float_square("eigh", a)
    return tensor_type(a.dtype, a.shape[:-1]), a, counts(a)


def _ref(a: np.ndarray, reads: str, on_error: str) -> Any:
    n = a.shape[-1]
    return guarded(lambda s: tuple(np.linalg.eigh(s)), [symmetric_part(a, reads)], [(n,), (n, n)])


def _vjp(g: Parts, out: Any, a: Node, reads: str, on_error: str) -> tuple[Node]:
    """v (diag(gw) + F . v'gv) v', F[i, j] = 1 / (w[j] - w[i]) for i != j, which is infinite between equal eigenvalues."""
    w, v, _ = out
    found = []
    if g[0] is not None:
        found.append(product(columns(v, g[0]), transposed(v)))
    if g[1] is not None:
        same = eye(a.shape[-1], dtype="bool")
        apart = where(same, 1.0, w[..., None, :] - w[..., :, None])
        found.append(product(v, where(same, 0.0, product(transposed(v), g[1]) / apart), transposed(v)))
    return (to_read(found[0] if len(found) == 1 else found[0] + found[1], reads),)


def _routine(node: Node) -> Routine:
    n = node.inputs[0].shape[-1]
    rotations = routine_of(node, "eigh", (node.attrs["reads"],), (n,), (0,), 9 * n * n * n)
    return replace(rotations, most=48, alone=8)  # n = 64: 2.4 ms in lanes, 2.0 by LAPACK; one matrix, n = 16: 90 us in a lane, 40 by LAPACK


EIGH = host_op(
    "eigh", 1, "Eigenvalues (ascending), eigenvectors of a symmetric matrix, and 1 where none are found.", params=("reads", "on_error"),
    type_rule=_type, ref=_ref, vjp=_vjp,
    traits=Traits(
        refusal=lambda node: (2, "has no eigenvalues that could be found") if node.attrs["on_error"] == "raise" else None, routine=_routine,
    ),
)  # fmt: skip


class EighResult(NamedTuple):
    """As NumPy's."""

    eigenvalues: Node
    eigenvectors: Node


def eigh(a: ArrayLike, UPLO: str = "L", *, symmetrize_input: bool = True, on_error: str = "raise") -> EighResult:
    """(w, v) of symmetric matrices a: (.., n, n): a = v diag(w) v', w: (.., n) ascending, columns of v orthonormal.

        w, v = gx.linalg.eigh(a);   a @ v[:, k] = w[k] v[:, k]

    The matrix is (a + a')/2; with symmetrize_input=False the triangle UPLO ("L" or "U") alone is read. Derivatives of any order are
    those of simple eigenvalues. The first derivative of w holds for equal eigenvalues too, where it is that of this choice of v; v itself
    has no derivative there, which is nan or infinite. Where the iteration finds none (nan, infinities), on_error="raise" is LinAlgError
    at the call and "nan" gives nan for that matrix. Raises ShapeError, DTypeError, ArgumentError.
    """
    node = square("eigh", a)
    choice("eigh", "UPLO", UPLO, ("L", "U", "l", "u"))
    if not symmetrize_input and UPLO in "Uu":
        node = transposed(node)
    raises("eigh", on_error)
    w, v, _ = outputs(make(EIGH, (node,), ("both" if symmetrize_input else "L", on_error)))
    return EighResult(w, v)


def eigvalsh(a: ArrayLike, UPLO: str = "L", *, symmetrize_input: bool = True, on_error: str = "raise") -> Node:
    """The eigenvalues of symmetric matrices, ascending: (.., n, n) -> (.., n); see `eigh`."""
    return eigh(a, UPLO, symmetrize_input=symmetrize_input, on_error=on_error).eigenvalues

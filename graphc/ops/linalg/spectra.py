"""Orthogonal factorisations and functions of matrices under NumPy's and SciPy's names."""

from __future__ import annotations

from typing import Any, NamedTuple

from graphc.errors import ArgumentError, fail
from graphc.ir import Node, make
from graphc.ops.linalg.common import choice, matrices, raises, square
from graphc.ops.linalg.functions import exponential, root
from graphc.ops.linalg.lu import inverse
from graphc.ops.linalg.norms import Order, norm
from graphc.ops.linalg.orthogonal import QR, QR_UPPER, singular_values, svd_parts
from graphc.ops.outputs import outputs
from graphc.ops.registry import ArrayLike


class QRResult(NamedTuple):
    """As NumPy's."""

    Q: Node
    R: Node


def qr(a: ArrayLike, mode: str = "reduced") -> QRResult | Node:
    """(q, r) with q r = a: q'q = 1, r an upper triangle. (.., m, n) -> (.., m, k), (.., k, n), k = min(m, n).

    mode "complete": k = m; "r": r alone. Derivatives hold where the first k columns of a are independent; they are infinite or nan where
    not. Of "complete" with m > n there are none, as the last columns of q may be any. Raises ShapeError, DTypeError, ArgumentError.
    """
    node = matrices("qr", a)
    choice("qr", "mode", mode, ("reduced", "complete", "r"))
    return make(QR_UPPER, (node,)) if mode == "r" else QRResult(*outputs(make(QR, (node,), (mode,))))


class SVDResult(NamedTuple):
    """As NumPy's."""

    U: Node
    S: Node
    Vh: Node


def svd(a: ArrayLike, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False, *, on_error: str = "raise") -> Any:
    """(u, s, v') with a = u diag(s) v', s descending: (.., m, n) -> (.., m, m), (.., k), (.., n, n), k = min(m, n).

        u, s, vh = gx.linalg.svd(a, full_matrices=False)        (.., m, k), (.., k), (.., k, n)

    compute_uv=False: s alone. Derivatives of any order are those of singular values that differ; the first of s holds for equal ones,
    too; that of u and v' is nan or infinite there, and where a zero leaves them open. With full_matrices of a matrix that is not square
    u and v' have none. hermitian changes nothing. on_error as of `eigh`. Raises ShapeError, DTypeError, ArgumentError.
    """
    node = matrices("svd", a)
    raises("svd", on_error)
    if not compute_uv:
        return singular_values(node, on_error)
    return SVDResult(*svd_parts(node, bool(full_matrices), on_error)[:3])


def svdvals(x: ArrayLike, *, on_error: str = "raise") -> Node:
    """The singular values, descending: (.., m, n) -> (.., min(m, n)). See `svd`."""
    raises("svdvals", on_error)
    return singular_values(matrices("svdvals", x), on_error)


def cond(x: ArrayLike, p: Order = None) -> Node:
    """norm(x, p) norm(x^-1, p), of p None or 2 the largest singular value by the least: (.., m, n) -> (..,).

    Infinite for a singular matrix where p is None, 2 or -2, else nan. Raises ShapeError, DTypeError, ArgumentError.
    """
    if p is None or (not isinstance(p, str) and p in (2, -2)):
        s = singular_values(matrices("cond", x))
        if s.shape[-1] == 0:
            fail(ArgumentError, "cond: the matrix is empty", s)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    node = square("cond", x)
    return norm(node, p, (-2, -1)) * norm(inverse(node, on_error="nan"), p, (-2, -1))


def expm(A: ArrayLike) -> Node:
    """The exponential sum of A**k / k!: (.., n, n) -> (.., n, n), by squarings of a rational approximation.

    Its derivative towards e is the corner of exp([[a, e], [0, a]]). Raises ShapeError, DTypeError.
    """
    return exponential(square("expm", A))


def sqrtm(A: ArrayLike, *, on_error: str = "raise") -> Node:
    """The symmetric root r with r r = A of symmetric matrices without negative eigenvalues: (.., n, n) -> (.., n, n).

    The matrix is (A + A')/2. Eigenvalues below n times the spacing of the largest count as 0. The derivative x solves r x + x r = g: it
    is infinite where A is singular. A negative eigenvalue is LinAlgError at the call, or nan by on_error. Raises ShapeError, DTypeError.
    """
    node = square("sqrtm", A)
    raises("sqrtm", on_error)
    return root(node, on_error)


__all__ = ["cond", "expm", "qr", "sqrtm", "svd", "svdvals"]

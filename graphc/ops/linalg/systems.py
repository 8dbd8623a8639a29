"""Linear systems, inverses and determinants under NumPy's and SciPy's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from graphc.dims import product as size_of
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node, make
from graphc.ops.assuming import is_definite
from graphc.ops.compare import where
from graphc.ops.create import arange, eye, ones
from graphc.ops.diagonals import diagonal
from graphc.ops.elementwise import log, sign
from graphc.ops.linalg.common import choice, floats, least, matrices, on_batch, product, raises, spread_batch, square, transposed
from graphc.ops.linalg.determinants import DIAGONAL_PRODUCT, LOG_DET
from graphc.ops.linalg.lu import factored, inverse, lower_of, permutation, solved, upper_of
from graphc.ops.linalg.orthogonal import least_squares, pseudo_inverse, singular_values
from graphc.ops.linalg.triangular import cholesky_factor, systems, triangular
from graphc.ops.reductions import prod, sum
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import moveaxis, reshape
from graphc.ops.spread import reduce
from graphc.types import whole_number


def _system(what: str, a: ArrayLike, b: ArrayLike) -> tuple[Node, Node, bool]:
    """(matrices a, matrices b, whether b was one vector). Raises ShapeError, DTypeError."""
    a, b = floats(what, a, b)
    square(what, a)
    if b.ndim == 0:
        fail(ShapeError, f"{what}: the right-hand side is a number", b)
    vector = b.ndim == 1
    matrices = b[:, None] if vector else b
    systems(what, a.tensor, matrices.tensor, a, b)
    return a, matrices, vector


# -- Cholesky -----------------------------------------------------------------------------------------------------------------
def cholesky(a: ArrayLike, upper: bool = False, *, symmetrize_input: bool = True, on_error: str = "raise") -> Node:
    """l with l l' = a, a lower triangle with a positive diagonal; with `upper` its transpose: (.., n, n) -> (.., n, n).

        l = gx.linalg.cholesky(k);   logdet = 2 * gx.sum(gx.log(gx.diagonal(l)))

    The matrix is (a + a')/2, so that its gradient is symmetric; with symmetrize_input=False the triangle asked for alone is read, as
    NumPy does. A matrix that is not positive definite is LinAlgError at the call with on_error="raise", nan with "nan". Derivatives of
    any order, l'^-1 P(l' gl) l^-1 with P the lower triangle, its diagonal halved. Raises ShapeError, DTypeError, ArgumentError.
    """
    node = square("cholesky", a)
    raises("cholesky", on_error)
    if upper and not symmetrize_input:
        node = transposed(node)
    lower = cholesky_factor(node, "both" if symmetrize_input else "L", on_error)
    return transposed(lower) if upper else lower


class CholeskyFactor(NamedTuple):
    """As SciPy's pair."""

    c: Node
    lower: bool


def cho_factor(a: ArrayLike, lower: bool = False, *, on_error: str = "raise") -> CholeskyFactor:
    """(c, lower) for `cho_solve`: the Cholesky factor of a, its other triangle 0. See `cholesky`."""
    return CholeskyFactor(cholesky(a, upper=not lower, on_error=on_error), lower)


def cho_solve(c_and_lower: tuple[ArrayLike, bool], b: ArrayLike, *, on_error: str = "raise") -> Node:
    """x with a x = b where (c, lower) is a's Cholesky factor, and whether it is the lower one: SciPy's.

    x = gx.linalg.cho_solve((gx.linalg.cholesky(a), True), b)
    """
    factor, lower = c_and_lower
    c, right, vector = _system("cho_solve", factor, b)
    raises("cho_solve", on_error)
    x = triangular(c, triangular(c, right, lower, not lower, False, on_error), lower, lower, False, on_error)
    return x[..., 0] if vector else x


# -- systems --------------------------------------------------------------------------------------------------------------------
def solve_triangular(
    a: ArrayLike, b: ArrayLike, trans: int | str = 0, lower: bool = False, unit_diagonal: bool = False, *, on_error: str = "raise"
) -> Node:
    """x with a x = b, of which one triangle of a is read: (.., n, n), (.., n, k) or (n,) -> as b. SciPy's names.

    trans: 0 or "N", 1 or "T" for a' x = b. unit_diagonal: the diagonal counts as ones. A zero on the diagonal is LinAlgError at the call
    with on_error="raise", nan with "nan". gb = a'^-1 g, ga = -gb x' in the triangle. Raises ShapeError, DTypeError, ArgumentError.
    """
    node, right, vector = _system("solve_triangular", a, b)
    choice("solve_triangular", "trans", trans, (0, 1, 2, "N", "T", "C"))
    raises("solve_triangular", on_error)
    x = triangular(node, right, bool(lower), trans not in (0, "N"), bool(unit_diagonal), on_error)
    return x[..., 0] if vector else x


def solve(a: ArrayLike, b: ArrayLike, *, on_error: str = "raise") -> Node:
    """x with a x = b by elimination with row exchanges: (.., n, n), (.., n, k) or (n,) -> as b; b is a vector where it has one axis.

        x = gx.linalg.solve(a, b)

    A singular matrix is LinAlgError at the call with on_error="raise", nan with "nan". gb = a'^-1 g from the same factors, ga = -gb x'.
    `det`, `slogdet`, `inv` and other solves of the same a share its factorisation. Raises ShapeError, DTypeError, ArgumentError.
    """
    node, right, vector = _system("solve", a, b)
    raises("solve", on_error)
    x = _by_cholesky(node, right, on_error) if is_definite(node) else solved(node, right, on_error)
    return x[..., 0] if vector else x


def inv(a: ArrayLike, *, on_error: str = "raise") -> Node:
    """a^-1: (.., n, n) -> (.., n, n). A product with it, inv(a) @ b, becomes solve(a, b), which is faster and more accurate.

    A singular matrix is LinAlgError at the call with on_error="raise", nan with "nan". Raises ShapeError, DTypeError, ArgumentError.
    """
    node = square("inv", a)
    raises("inv", on_error)
    if is_definite(node):
        return _by_cholesky(node, eye(node.shape[-1], dtype=node.dtype), on_error)
    return inverse(node, on_error=on_error)


def _by_cholesky(a: Node, b: Node, on_error: str) -> Node:
    """x with a x = b, for a positive definite a."""
    lower = cholesky_factor(a, "both", on_error)
    return triangular(lower, triangular(lower, b, lower=True), lower=True, trans=True)


def _pivots(a: Node) -> Node:
    """The diagonal of the Cholesky factor."""
    return diagonal(cholesky_factor(a, "both", "raise"), axis1=-2, axis2=-1)


class LUResult(NamedTuple):
    """As SciPy's triple."""

    p: Node
    l: Node  # noqa: E741 - SciPy's name
    u: Node


def lu(a: ArrayLike, permute_l: bool = False, p_indices: bool = False) -> LUResult | tuple[Node, Node]:
    """(p, l, u) with p l u = a: rows exchanged so that no factor exceeds 1; (m, n) = (m, m) (m, k) (k, n), k = min(m, n). SciPy's.

    permute_l: (p l, u). p_indices: p as the rows with l[p] u = a. Where a leading block is singular, u has a zero and derivatives are
    infinite or nan. Raises ShapeError, DTypeError.
    """
    node = matrices("lu", a)
    packed, perm, _ = factored(node)
    k = least(*node.shape[-2:])
    lower, upper = lower_of(packed)[..., :, :k], upper_of(packed)[..., :k, :]
    place = permutation(perm, node.dtype)
    if permute_l:
        return product(place, lower), upper
    if p_indices:
        return LUResult(sum(where(place != 0, arange(place.shape[-1]), 0), axis=-1), lower, upper)
    return LUResult(place, lower, upper)


# -- determinants -----------------------------------------------------------------------------------------------------------------
def det(a: ArrayLike) -> Node:
    """The determinant: (.., n, n) -> (..,). Its gradient is the matrix of cofactors, det(a) a'^-1, which a singular a has, too.

    Derivatives of order 1 to 3 hold for matrices of every rank, those beyond for matrices that are not singular.
    log(det(a)) becomes the logarithm of `slogdet`, which neither overflows nor underflows. Raises ShapeError, DTypeError.
    """
    node = square("det", a)
    if is_definite(node):
        return prod(_pivots(node), axis=-1) ** 2
    packed, _, parity = factored(node)
    return parity * make(DIAGONAL_PRODUCT, (node, packed))


class SlogdetResult(NamedTuple):
    """As NumPy's."""

    sign: Node
    logabsdet: Node


def slogdet(a: ArrayLike) -> SlogdetResult:
    """(sign, log |det a|): (.., n, n) -> (..,) twice; (0, -inf) of a singular matrix. The gradient is that of the second, a'^-1.

    Raises ShapeError, DTypeError.
    """
    node = square("slogdet", a)
    if is_definite(node):
        pivots = _pivots(node)
        return SlogdetResult(ones(node.shape[:-2], node.dtype), 2 * sum(log(pivots), axis=-1))
    packed, _, parity = factored(node)
    return SlogdetResult(parity * prod(sign(diagonal(packed, axis1=-2, axis2=-1)), axis=-1), make(LOG_DET, (node, packed)))


# -- least squares ------------------------------------------------------------------------------------------------------------------
def pinv(a: ArrayLike, rcond: float | None = None, hermitian: bool = False, *, rtol: float | None = None, on_error: str = "raise") -> Node:
    """The pseudo-inverse: (.., m, n) -> (.., n, m), of a of any rank.

    Singular values of at most rcond (or rtol, None: max(m, n) times the spacing at 1) times the largest count as 0. The derivative is
    that among matrices of the same rank: where the rank is not full, a step that raises it has none. hermitian changes nothing. Raises
    ShapeError, DTypeError, ArgumentError.
    """
    node = matrices("pinv", a)
    raises("pinv", on_error)
    return pseudo_inverse(node, _limit("pinv", rcond, rtol), on_error)


def _limit(what: str, rcond: float | None, rtol: float | None) -> float | None:
    if rcond is not None and rtol is not None:
        fail(ArgumentError, f"{what}: rcond and rtol are two names of one number")
    found = rtol if rcond is None else rcond
    if found is not None and not isinstance(found, (int, float)):
        fail(ArgumentError, f"{what}: the cutoff must be a number, got {found!r:.60}")
    return None if found is None else float(found)


class LstsqResult(NamedTuple):
    """As NumPy's."""

    x: Node
    residuals: Node
    rank: Node
    singular_values: Node


def lstsq(a: ArrayLike, b: ArrayLike, rcond: float | None = None, *, on_error: str = "raise") -> LstsqResult:
    """(x, residuals, rank, s): the shortest x with the least |a x - b|^2: (.., m, n), (.., m, k) or (m,).

    residuals: that square for each right-hand side, (k,) also where NumPy leaves it out; rank: the number of singular values s above
    rcond (None: max(m, n) times the spacing at 1) times the largest. The derivative of x is that among matrices of the same rank.
    Raises ShapeError, DTypeError, ArgumentError.
    """
    node, right = floats("lstsq", a, b)
    matrices("lstsq", node)
    raises("lstsq", on_error)
    vector = right.ndim == 1
    node, right = on_batch("lstsq", node, right[:, None] if vector else right)
    limit = _limit("lstsq", rcond, None)
    x = least_squares(node, right, limit, on_error)
    residuals = sum((product(node, x) - right) ** 2, axis=-2)
    s = singular_values(node, on_error)
    return LstsqResult(x[..., 0] if vector else x, residuals, _rank(s, node, None, limit), s)


def _rank(s: Node, a: Node, tol: ArrayLike | None, rtol: ArrayLike | None) -> Node:
    """The number of singular values above the cutoff."""
    if tol is None:
        eps = 2.0**-23 if a.dtype.itemsize == 4 else 2.0**-52
        m, n = a.shape[-2:]
        fraction = (m + n - least(m, n)) * asarray(eps, a.dtype) if rtol is None else asarray(rtol)
        tol = reduce(s, (s.ndim - 1,), "sup") * fraction  # of none -inf, above which there is none
    return sum(s > asarray(tol)[..., None], axis=-1)


def matrix_rank(
    A: ArrayLike,
    tol: ArrayLike | None = None,
    hermitian: bool = False,
    *,
    rtol: ArrayLike | None = None,
    on_error: str = "raise",
) -> Node:
    """The number of singular values above tol, or above rtol (None: max(m, n) times the spacing at 1) times the largest: int64.

    Raises ShapeError, DTypeError, ArgumentError.
    """
    node = matrices("matrix_rank", A)
    if tol is not None and rtol is not None:
        fail(ArgumentError, "matrix_rank: tol and rtol exclude each other")
    raises("matrix_rank", on_error)
    return _rank(singular_values(node, on_error), node, tol, rtol)


# -- powers, and systems of tensors ----------------------------------------------------------------------------------------------------
def matrix_power(a: ArrayLike, n: int) -> Node:
    """a @ a @ .. n times, by squarings; of n < 0 the inverse's. Raises ShapeError, DTypeError, ArgumentError."""
    node, count = square("matrix_power", a), whole_number(n, "matrix_power: n")
    if count < 0:
        node, count = inverse(node, on_error="raise"), -count
    result: Node | None = None
    while count:
        if count % 2:
            result = node if result is None else product(result, node)
        count //= 2
        node = product(node, node) if count else node
    return spread_batch(eye(node.shape[-1], dtype=node.dtype), node.shape[:-2]) if result is None else result


def tensorinv(a: ArrayLike, ind: int = 2) -> Node:
    """The inverse of tensordot(a, ., ind): axes of a's shape[:ind] are the rows. Raises ShapeError, ArgumentError."""
    (node,) = floats("tensorinv", a)
    count = whole_number(ind, "tensorinv: ind")
    if not 0 < count < node.ndim:
        fail(ArgumentError, f"tensorinv: ind={count} of {node.ndim} axes", node)
    rows, others = node.shape[:count], node.shape[count:]
    return reshape(inv(reshape(node, (size_of(rows), size_of(others)))), (*others, *rows))


def tensorsolve(a: ArrayLike, b: ArrayLike, axes: Sequence[int] | None = None) -> Node:
    """x with tensordot(a, x, x.ndim) = b; `axes` of a are moved behind the others first. Raises ShapeError, DTypeError."""
    node, right = floats("tensorsolve", a, b)
    if axes is not None:
        node = moveaxis(node, list(axes), list(range(node.ndim - len(axes), node.ndim)))
    shape = node.shape[right.ndim :]
    x = solve(reshape(node, (size_of(node.shape[: right.ndim]), size_of(shape))), reshape(right, (size_of(right.shape),)))
    return reshape(x, shape)


__all__ = [
    "cho_factor", "cho_solve", "cholesky", "det", "inv", "lstsq", "lu", "matrix_power", "matrix_rank", "pinv", "slogdet", "solve",
    "solve_triangular", "tensorinv", "tensorsolve",
]  # fmt: skip

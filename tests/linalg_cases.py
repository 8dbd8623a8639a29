"""Functions of a matrix a + t e, each beside the same in mpmath: what the derivatives of linear algebra are compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import mpmath as mp
import numpy as np

import graphc as gx

L = gx.linalg


class Case(NamedTuple):
    """A function of a matrix (and of two fixed matrices) that gives one number, on nodes and on matrices of mpmath."""

    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    kind: str = "any"  # spd | any | tall | wide


def total(c: Any, x: Any) -> Any:
    """The sum of c * x of two matrices of mpmath."""
    return sum((c[i, j] * x[i, j] for i in range(x.rows) for j in range(x.cols)), mp.mpf(0))


def picked(c: Any, x: Any) -> Any:
    """The same of nodes, c cut to the shape of x."""
    return gx.sum(c[: x.shape[-2], : x.shape[-1]] * x)


def pinv(a: Any) -> Any:
    return mp.inverse(a.T * a) * a.T if a.rows >= a.cols else a.T * mp.inverse(a * a.T)


def lower(a: Any) -> Any:
    return mp.matrix(a.rows, a.cols) + mp.matrix([[a[i, j] if i >= j else 0 for j in range(a.cols)] for i in range(a.rows)])


def lu(a: Any) -> tuple[Any, Any, Any]:
    """p, l, u of any shape, rows exchanged as for the largest pivot."""
    m, n = a.rows, a.cols
    x, perm = a.copy(), list(range(m))
    for k in range(min(m, n)):
        p = max(range(k, m), key=lambda i: abs(x[i, k]))
        perm[k], perm[p] = perm[p], perm[k]
        for j in range(n):
            x[k, j], x[p, j] = x[p, j], x[k, j]
        for i in range(k + 1, m):
            x[i, k] /= x[k, k]
            for j in range(k + 1, n):
                x[i, j] -= x[i, k] * x[k, j]
    k = min(m, n)
    left = mp.matrix([[x[i, j] if i > j else mp.mpf(i == j) for j in range(k)] for i in range(m)])
    right = mp.matrix([[x[i, j] if i <= j else mp.mpf(0) for j in range(n)] for i in range(k)])
    place = mp.matrix([[mp.mpf(perm[j] == i) for j in range(m)] for i in range(m)])
    return place, left, right


def qr(a: Any) -> tuple[Any, Any]:
    """q and r but for the signs of their columns and rows."""
    q, _ = mp.qr(a[:, : min(a.rows, a.cols)], mode="skinny")
    return q, q.T * a


def svd(a: Any) -> Any:
    return mp.svd_r(a, full_matrices=False)


def symmetric(a: Any) -> Any:
    return (a + a.T) / 2


def eigen(a: Any) -> tuple[Any, Any]:
    return mp.eigsy(symmetric(a))


def root(a: Any) -> Any:
    w, v = eigen(a)
    return v * mp.diag([mp.sqrt(x) for x in w]) * v.T


def squares(x: Any) -> Any:
    return x.apply(lambda v: v**2)


def mirrored(a: Any) -> Any:
    """The symmetric matrix of which the lower triangle is given."""
    return lower(a) + lower(a).T - mp.diag([a[i, i] for i in range(a.rows)])


def unit_lower(a: Any) -> Any:
    return lower(a) - mp.diag([a[i, i] - 1 for i in range(a.rows)])


LU = (lambda a, b, c: picked(c, L.lu(a)[1]) + picked(b, L.lu(a)[2]), lambda a, b, c: total(c, lu(a)[1]) + total(b, lu(a)[2]))
QR = (
    lambda a, b, c: picked(c, L.qr(a)[0] ** 2) + picked(b, L.qr(a)[1] ** 2),
    lambda a, b, c: total(c, squares(qr(a)[0])) + total(b, squares(qr(a)[1])),
)
SVD = (
    lambda a, b, c: picked(c, L.svd(a, full_matrices=False)[0] ** 2) + picked(b, L.svd(a, full_matrices=False)[2] ** 2),
    lambda a, b, c: total(c, squares(svd(a)[0])) + total(b, squares(svd(a)[2])),
)
CASES: dict[str, Case] = {
    "cholesky": Case(lambda a, b, c: picked(c, L.cholesky(a)), lambda a, b, c: total(c, mp.cholesky(symmetric(a))), "spd"),
    "cholesky lower": Case(
        lambda a, b, c: picked(c, L.cholesky(a, symmetrize_input=False)), lambda a, b, c: total(c, mp.cholesky(mirrored(a))), "spd"),
    "cho_solve": Case(
        lambda a, b, c: picked(c, L.cho_solve((L.cholesky(a), True), b)), lambda a, b, c: total(c, mp.inverse(symmetric(a)) * b), "spd"),
    "solve": Case(lambda a, b, c: picked(c, L.solve(a, b)), lambda a, b, c: total(c, mp.inverse(a) * b)),
    "solve of b": Case(
        lambda a, b, c: gx.sum(L.solve(b @ b.T, a @ a) ** 2), lambda a, b, c: sum(squares(mp.inverse(b * b.T) * a * a))),
    "inv": Case(lambda a, b, c: picked(c, L.inv(a)), lambda a, b, c: total(c, mp.inverse(a))),
    "det": Case(lambda a, b, c: L.det(a), lambda a, b, c: mp.det(a)),
    "slogdet": Case(lambda a, b, c: L.slogdet(a)[1] * L.slogdet(a)[0], lambda a, b, c: mp.log(abs(mp.det(a))) * mp.sign(mp.det(a))),
    "triangular": Case(lambda a, b, c: picked(c, L.solve_triangular(a, b, lower=True)), lambda a, b, c: total(c, mp.inverse(lower(a)) * b)),
    "triangular, transposed": Case(
        lambda a, b, c: picked(c, L.solve_triangular(a, b, trans="T", unit_diagonal=True)),
        lambda a, b, c: total(c, mp.inverse(unit_lower(a.T)) * b)),
    "lu": Case(*LU), "lu, tall": Case(*LU, "tall"), "lu, wide": Case(*LU, "wide"),
    "qr": Case(*QR), "qr, tall": Case(*QR, "tall"), "qr, wide": Case(*QR, "wide"),
    "svd": Case(
        lambda a, b, c: gx.sum(L.svd(a)[1] * c[0, :3]) + SVD[0](a, b, c),
        lambda a, b, c: sum(x * c[0, k] for k, x in enumerate(svd(a)[1])) + SVD[1](a, b, c)),
    "svd, tall": Case(*SVD, "tall"), "svd, wide": Case(*SVD, "wide"),
    "svdvals": Case(lambda a, b, c: gx.sum(L.svdvals(a) ** 3), lambda a, b, c: sum(x**3 for x in svd(a)[1]), "tall"),
    "eigh": Case(
        lambda a, b, c: gx.sum(gx.sin(L.eigh(a)[0])) + picked(c, L.eigh(a)[1] ** 2),
        lambda a, b, c: sum(mp.sin(x) for x in eigen(a)[0]) + total(c, squares(eigen(a)[1]))),
    "pinv, tall": Case(lambda a, b, c: picked(c, b.T @ L.pinv(a)), lambda a, b, c: total(c, b.T * pinv(a)), "tall"),
    "pinv, wide": Case(lambda a, b, c: gx.sum(L.pinv(a) ** 2), lambda a, b, c: sum(squares(pinv(a))), "wide"),
    "lstsq": Case(
        lambda a, b, c: gx.sum(L.lstsq(a, gx.concatenate([b, b[:2]]))[0] ** 2),
        lambda a, b, c: sum(squares(pinv(a) * mp.matrix([[b[i % 3, j] for j in range(b.cols)] for i in range(5)]))), "tall"),
    "expm": Case(lambda a, b, c: picked(c, L.expm(a)), lambda a, b, c: total(c, mp.expm(a))),
    "sqrtm": Case(lambda a, b, c: picked(c, L.sqrtm(a)), lambda a, b, c: total(c, root(a)), "spd"),
    "power": Case(lambda a, b, c: picked(c, L.matrix_power(a, -3)), lambda a, b, c: total(c, mp.inverse(a * a * a))),
    "norms": Case(
        lambda a, b, c: L.norm(a, "nuc") * L.norm(a, 2) + L.norm(a, -2) + L.cond(a, "fro"),
        lambda a, b, c: sum(svd(a)[1]) * svd(a)[1][0] + svd(a)[1][2] + mp.sqrt(total(a, a) * sum(squares(mp.inverse(a))))),
}  # fmt: skip


def data(kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(a, e, b, c): a of the kind, a direction, and two 3 x 4 and 5 x 5 matrices that are fixed."""
    random = np.random.default_rng(7)
    shape = {"tall": (5, 3), "wide": (3, 5)}.get(kind, (3, 3))
    a, e = random.normal(size=shape), random.normal(size=shape)
    if kind == "spd":
        a = a @ a.T + 2 * np.eye(3)
    return a, e, random.normal(size=(3, 5)), random.normal(size=(5, 5))


__all__ = ["CASES", "Case", "data"]

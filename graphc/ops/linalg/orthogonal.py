"""q r = a with orthonormal columns q, and u diag(s) v' = a: the factorisations that are stable for every matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import NotDifferentiableError, ShapeError, fail
from graphc.ir import Node, make
from graphc.loopform import Routine
from graphc.ops.compare import where
from graphc.ops.create import eye, tril
from graphc.ops.host import host_op
from graphc.ops.joining import concatenate
from graphc.ops.linalg.common import (
    Parts,
    alike,
    columns,
    counts,
    float_matrix,
    guarded,
    least,
    product,
    routine_of,
    transposed,
    zeros_if_none,
)
from graphc.ops.linalg.triangular import triangular
from graphc.ops.outputs import outputs
from graphc.traits import Traits
from graphc.types import TensorType, same_size, tensor_type


# -- QR ---------------------------------------------------------------------------------------------------------------------
def _qr_type(a: TensorType, mode: str) -> tuple[TensorType, ...]:
    float_matrix("qr", a)
    batch, (m, n) = a.shape[:-2], a.shape[-2:]
    k = m if mode == "complete" else least(m, n)
    return tensor_type(a.dtype, (*batch, m, k)), tensor_type(a.dtype, (*batch, k, n))


def _qr_ref(a: np.ndarray, mode: str) -> tuple[np.ndarray, np.ndarray]:
    q, r, _ = guarded(lambda x: tuple(np.linalg.qr(x, mode)), [a], _qr_shapes(a.shape[-2:], mode))  # type: ignore[call-overload]
    return q, r


def _qr_shapes(sizes: tuple[int, ...], mode: str) -> list[tuple[int, int]]:
    m, n = sizes
    k = m if mode == "complete" else min(m, n)
    return [(m, k), (k, n)]


def _qr_routine(node: Node) -> Routine:
    (m, n), k = node.inputs[0].shape[-2:], outputs(node)[0].shape[-1]
    return routine_of(node, "qr", (), (m, n, k), (0,), 4 * m * n * k)


def _qr_vjp(g: Parts, out: Any, a: Node, mode: str) -> list[Node]:
    """(gq + q s) r'^-1 with m = r gr' - gq' q, s = m's lower triangle and its mirror image; columns beyond the rows are q'a."""
    q, r = out
    m, n = a.shape[-2:]
    gq, gr = zeros_if_none(g[0], q), zeros_if_none(g[1], r)
    if mode == "complete" and not alike(m, n) and not (isinstance(m, int) and isinstance(n, int) and m < n):
        what = "qr: the columns of q beyond those of a may be any that complete a basis"
        fail(NotDifferentiableError, what, a, hint='mode="reduced" has a derivative')
    k = q.shape[-1]
    if alike(n, k):
        return [_tall_vjp(gq, gr, q, r)]
    beyond = gr[..., :, k:]
    first = _tall_vjp(gq + product(a[..., :, k:], transposed(beyond)), gr[..., :, :k], q, r[..., :, :k])
    return [concatenate([first, product(q, beyond)], axis=-1)]


def _tall_vjp(gq: Node, gr: Node, q: Node, r: Node) -> Node:
    m = product(r, transposed(gr)) - product(transposed(gq), q)
    below = tril(m, -1)
    s = below + transposed(below) + m * eye(m.shape[-1], dtype=m.dtype)
    return transposed(triangular(r, transposed(gq + product(q, s)), lower=False))


QR = host_op(
    "qr", 1, "q with orthonormal columns and r, an upper triangle, with q r = a; nan for a matrix that is not finite.", params=("mode",),
    type_rule=_qr_type, ref=_qr_ref, vjp=_qr_vjp, traits=Traits(routine=_qr_routine),
)  # fmt: skip


def _upper_type(a: TensorType) -> TensorType:
    return _qr_type(a, "reduced")[1]


def _upper_ref(a: np.ndarray) -> np.ndarray:
    return guarded(lambda x: np.linalg.qr(x, "r"), [a], _qr_shapes(a.shape[-2:], "reduced")[1:])[0]


def _upper_vjp(g: Node, out: Node, a: Node) -> list[Node]:
    return _qr_vjp([None, g], outputs(make(QR, (a,), ("reduced",))), a, "reduced")


def _upper_routine(node: Node) -> Routine:
    m, n = node.inputs[0].shape[-2:]
    return routine_of(node, "r", (), (m, n), (0,), 2 * m * n * least(m, n))


QR_UPPER = host_op(
    "qr_upper", 1, "r of q r = a alone.", type_rule=_upper_type, ref=_upper_ref, vjp=_upper_vjp, traits=Traits(routine=_upper_routine)
)


# -- SVD ----------------------------------------------------------------------------------------------------------------------
def _svd_type(a: TensorType, full: bool, on_error: str) -> tuple[TensorType, ...]:
    float_matrix("svd", a)
    batch, (m, n) = a.shape[:-2], a.shape[-2:]
    k = least(m, n)
    u, s, v = (m, m if full else k), (k,), (n if full else k, n)
    return (*[tensor_type(a.dtype, (*batch, *shape)) for shape in (u, s, v)], counts(a))


def _svd_ref(a: np.ndarray, full: bool, on_error: str) -> Any:
    m, n = a.shape[-2:]
    k = min(m, n)
    made = [(m, m if full else k), (k,), (n if full else k, n)]
    return guarded(lambda x: tuple(np.linalg.svd(x, full_matrices=full)), [a], made)


def _svd_vjp(g: Parts, out: Any, a: Node, full: bool, on_error: str) -> list[Node]:
    """u (diag(gs) + (F . (ju - ju')) s + s (F . (jv - jv'))) v' and what leaves the spans of u and v; F[i, j] = 1 / (s[j]^2 - s[i]^2)."""
    u, s, vt, _ = out
    gu, gs, gvt, _ = g
    if full and not alike(*a.shape[-2:]) and (gu is not None or gvt is not None):
        what = "svd: the vectors beyond the singular ones may be any that complete a basis"
        fail(NotDifferentiableError, what, a, hint="full_matrices=False has a derivative")
    k = s.shape[-1]
    v, u = transposed(vt)[..., :, :k], u[..., :, :k]
    found = [] if gs is None else [product(columns(u, gs), transposed(v))]
    if gu is not None or gvt is not None:
        gu, gv = zeros_if_none(gu, u), transposed(zeros_if_none(gvt, transposed(v)))
        found += _vectors_vjp(gu, gv, u, s, v)
    return [sum(found[1:], found[0])]


def _vectors_vjp(gu: Node, gv: Node, u: Node, s: Node, v: Node) -> list[Node]:
    ju, jv = product(transposed(u), gu), product(transposed(v), gv)
    same = eye(s.shape[-1], dtype="bool")
    rows, across = s[..., :, None], s[..., None, :]
    apart = where(same, 1.0, (across - rows) * (across + rows))
    of_u = where(same, 0.0, (ju - transposed(ju)) / apart) * across
    of_v = rows * where(same, 0.0, (jv - transposed(jv)) / apart)
    found = [product(u, of_u + of_v, transposed(v))]
    if not alike(u.shape[-2], s.shape[-1]):
        found.append(product(columns(gu - product(u, ju), 1 / s), transposed(v)))
    if not alike(v.shape[-2], s.shape[-1]):
        found.append(product(columns(u, 1 / s), transposed(gv - product(v, jv))))
    return found


SVD = host_op(
    "svd", 1, "u, s, v' with u diag(s) v' = a and s descending, and 1 where none are found.", params=("full", "on_error"),
    type_rule=_svd_type, ref=_svd_ref, vjp=_svd_vjp,
    traits=Traits(refusal=lambda node: (3, "has no singular values that could be found") if node.attrs["on_error"] == "raise" else None),
)  # fmt: skip


def _values_type(a: TensorType, on_error: str) -> tuple[TensorType, ...]:
    return _svd_type(a, False, on_error)[1::2]


def _values_ref(a: np.ndarray, on_error: str) -> Any:
    return guarded(lambda x: np.linalg.svd(x, compute_uv=False), [a], [(min(a.shape[-2:]),)])


def _values_vjp(g: Parts, out: Any, a: Node, on_error: str) -> list[Node | None]:
    if g[0] is None:
        return [None]
    u, _, vt, _ = svd_parts(a, False, on_error)
    return [product(columns(u, g[0]), vt)]


SVDVALS = host_op(
    "svdvals", 1, "The singular values of a, descending, and 1 where none are found.", params=("on_error",),
    type_rule=_values_type, ref=_values_ref, vjp=_values_vjp,
    traits=Traits(refusal=lambda node: (1, "has no singular values that could be found") if node.attrs["on_error"] == "raise" else None),
)  # fmt: skip


def svd_parts(a: Node, full: bool, on_error: str) -> tuple[Node, ...]:
    """(u, s, v', failed)."""
    return outputs(make(SVD, (a,), (full, on_error)))


def singular_values(a: Node, on_error: str = "raise") -> Node:
    """The singular values, descending."""
    return outputs(make(SVDVALS, (a,), (on_error,)))[0]


# -- the pseudo-inverse, and least squares --------------------------------------------------------------------------------------
def _pinv_type(a: TensorType, rtol: float | None, on_error: str) -> tuple[TensorType, ...]:
    float_matrix("pinv", a)
    return tensor_type(a.dtype, (*a.shape[:-2], a.shape[-1], a.shape[-2])), counts(a)


def cutoff(m: int, n: int, dtype: np.dtype, rtol: float | None) -> float:
    """Below which fraction of the largest one a singular value counts as 0."""
    return max(m, n) * float(np.finfo(dtype).eps) if rtol is None else rtol


def _pinv_ref(a: np.ndarray, rtol: float | None, on_error: str) -> Any:
    m, n = a.shape[-2:]
    if not m or not n:
        return np.zeros((*a.shape[:-2], n, m), a.dtype), np.zeros(a.shape[:-2], np.int64)
    limit = cutoff(m, n, a.dtype, rtol)
    return guarded(lambda x: np.linalg.pinv(x, rcond=limit), [a], [(n, m)])


def _pinv_vjp(g: Parts, out: Any, a: Node, rtol: float | None, on_error: str) -> list[Node | None]:
    return [None] if g[0] is None else [pinv_slope(g[0], a, out[0])]


def pinv_slope(g: Node, a: Node, p: Node) -> Node:
    """-p'g p' + (1 - a p) g'p p' + p'p g'(1 - p a): of constant rank (Golub and Pereyra 1973)."""
    pt, gt = transposed(p), transposed(g)
    left, right = product(gt, p, pt), product(pt, p, gt)
    return -product(pt, g, pt) + left - product(a, product(p, left)) + right - product(product(right, p), a)


PINV = host_op(
    "pinv", 1, "The pseudo-inverse of a, and 1 where none is found.", params=("rtol", "on_error"), type_rule=_pinv_type, ref=_pinv_ref,
    vjp=_pinv_vjp,
    traits=Traits(refusal=lambda node: (1, "has no singular values that could be found") if node.attrs["on_error"] == "raise" else None),
)  # fmt: skip


def pseudo_inverse(a: Node, rtol: float | None, on_error: str) -> Node:
    """The primitive."""
    return outputs(make(PINV, (a,), (rtol, on_error)))[0]


def _lstsq_type(a: TensorType, b: TensorType, rtol: float | None, on_error: str) -> tuple[TensorType, ...]:
    float_matrix("lstsq", a, b)
    if not same_size(a.shape[-2], b.shape[-2]):
        fail(ShapeError, f"lstsq: the matrix has {a.shape[-2]} rows, the right-hand side {b.shape[-2]}")
    return tensor_type(a.dtype, (*a.shape[:-2], a.shape[-1], b.shape[-1])), counts(a)


def _lstsq_ref(a: np.ndarray, b: np.ndarray, rtol: float | None, on_error: str) -> Any:
    (m, n), k = a.shape[-2:], b.shape[-1]
    made, failed = np.zeros((*a.shape[:-2], n, k), a.dtype), np.zeros(a.shape[:-2], np.int64)
    limit = cutoff(m, n, a.dtype, rtol)
    for at in np.ndindex(*a.shape[:-2]) if m and n else ():
        made[at], failed[at] = guarded(lambda x, y: np.linalg.lstsq(x, y, limit)[0], [a[at], b[at]], [(n, k)])
    return made, failed


def _lstsq_vjp(g: Parts, out: Any, a: Node, b: Node, rtol: float | None, on_error: str) -> list[Node | None]:
    """x = p b with the pseudo-inverse p."""
    if g[0] is None:
        return [None, None]
    p = pseudo_inverse(a, rtol, on_error)
    return [pinv_slope(product(g[0], transposed(b)), a, p), product(transposed(p), g[0])]


LSTSQ = host_op(
    "lstsq", 2, "The shortest x with the least |a x - b|, and 1 where none is found.", params=("rtol", "on_error"), type_rule=_lstsq_type,
    ref=_lstsq_ref, vjp=_lstsq_vjp,
    traits=Traits(refusal=lambda node: (1, "has no singular values that could be found") if node.attrs["on_error"] == "raise" else None),
)  # fmt: skip


def least_squares(a: Node, b: Node, rtol: float | None, on_error: str) -> Node:
    """The primitive."""
    return outputs(make(LSTSQ, (a, b), (rtol, on_error)))[0]

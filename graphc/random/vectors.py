"""Random vectors and matrices: multivariate normal, orthogonal."""

from __future__ import annotations

from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import maximum, sqrt
from graphc.ops.compare import where
from graphc.ops.diagonals import diagonal
from graphc.ops.linalg.eigen import eigh
from graphc.ops.linalg.spectra import qr
from graphc.ops.linalg.systems import cholesky
from graphc.ops.products import matmul
from graphc.ops.registry import ArrayLike
from graphc.ops.shape import expand_dims, known_shape, one_size, squeeze
from graphc.random.continuous import normal
from graphc.random.keys import KeyLike
from graphc.random.parameters import float_dtype, parameter
from graphc.types import broadcast_shapes, same_size


def multivariate_normal(
    key: KeyLike, mean: ArrayLike, cov: ArrayLike, shape: object = None, dtype: object = None, method: str = "cholesky"
) -> Node:
    """Normal vectors of this mean and covariance: mean + a z with a a' = cov and a standard normal z.

    mean: (..., n); cov: (..., n, n), symmetric. shape: of the draws without the last axis; by default what the axes before broadcast to.
    method: "cholesky", a triangular and cov positive definite, else LinAlgError at the call; "eigh", by eigenvalues, of which those below 0
    count as 0, for a cov that may be singular. Differentiable by mean and cov. Raises ArgumentError, DTypeError, ShapeError.

        x = gx.random.multivariate_normal(key, mu, sigma, (1000,))
    """
    found = float_dtype("multivariate_normal", dtype, mean, cov)
    center, covariance = parameter("multivariate_normal", "mean", mean, found), parameter("multivariate_normal", "cov", cov, found)
    if center.ndim < 1 or covariance.ndim < 2:
        fail(ShapeError, "multivariate_normal: mean needs an axis and cov two", center, covariance)
    n = center.shape[-1]
    if not all([same_size(n, size) for size in covariance.shape[-2:]]):
        fail(ShapeError, "multivariate_normal: cov is not the square of mean's last axis", center, covariance)
    before = broadcast_shapes([center.shape[:-1], covariance.shape[:-2]], "multivariate_normal", [center, covariance])
    sizes = before if shape is None else known_shape(shape, "multivariate_normal")
    if broadcast_shapes([sizes, before], "multivariate_normal", [center, covariance]) != sizes:
        fail(ShapeError, f"multivariate_normal: the parameters do not broadcast to draws of shape {sizes}", center, covariance)
    if method not in ("cholesky", "eigh"):
        fail(ArgumentError, f"multivariate_normal: method {method!r:.60} is unknown", hint="'cholesky' or 'eigh'")
    if method == "cholesky":
        factor = cholesky(covariance)
    else:
        values, axes = eigh(covariance)
        factor = axes * expand_dims(sqrt(maximum(values, 0.0)), -2)
    z = normal(key, (*sizes, n), found)
    return center + squeeze(matmul(factor, expand_dims(z, -1)), -1)


def orthogonal(key: KeyLike, n: object, shape: object = (), dtype: object = "float64", m: object = None) -> Node:
    """A uniformly distributed n x n matrix with q'q = 1 (Haar): q of q r = a normal matrix, its columns with the signs of r's diagonal.

    m: of n x m with orthonormal columns (m <= n) or rows. shape: of the stack of matrices: (*shape, n, m). Sizes may be symbolic. Mezzadri
    (2007), How to generate random matrices from the classical compact groups. Raises DTypeError, ShapeError.
    """
    rows = one_size(n, "orthogonal: n")
    columns = rows if m is None else one_size(m, "orthogonal: m")
    wide = isinstance(rows, int) and isinstance(columns, int) and columns > rows
    long, short = (columns, rows) if wide else (rows, columns)
    found = float_dtype("orthogonal", dtype)
    q, r = qr(normal(key, (*known_shape(shape, "orthogonal"), long, short), found))
    signed = q * expand_dims(where(diagonal(r, axis1=-2, axis2=-1) < 0, -1.0, 1.0), -2).astype(found)
    return signed.mT if wide else signed


__all__ = ["multivariate_normal", "orthogonal"]

"""Polynomials as vectors of coefficients, the highest power first, as NumPy's poly functions have them.

Their number is known when the graph is built, and leading zeros stay: to trim them is a matter of values.
"""

from __future__ import annotations

import numpy as np

from graphc.dtypes import float64, int64, is_float, promote
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.operators import FUNCTIONS
from graphc.ops.elementwise import power
from graphc.ops.joining import concatenate, stack
from graphc.ops.padding import pad
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import in_dtype, one_size, reshape
from graphc.ops.spread import astype, broadcast_to
from graphc.types import whole_number


def _coefficients(p: ArrayLike, what: str) -> list[Node]:
    """The coefficients one by one; a number is a constant polynomial."""
    if isinstance(p, (list, tuple)) and any(isinstance(c, Node) for c in p):
        return [asarray(c) for c in p]
    node = asarray(p)
    if node.ndim > 1:
        fail(ShapeError, f"{what} takes a vector", node)
    node = reshape(node, (1,)) if node.ndim == 0 else node
    if not isinstance(node.shape[0], int):
        hint = "gx.scan over the coefficients evaluates a polynomial of any degree"
        fail(ShapeError, f"{what}: the number {node.shape[0]} of coefficients is symbolic", node, hint=hint)
    return [FUNCTIONS["getitem"](node, k) for k in range(node.shape[0])]


def _vector(p: ArrayLike, what: str) -> Node:
    parts = _coefficients(p, what)
    if not parts:
        fail(ShapeError, f"{what}: a polynomial without coefficients")
    return stack(parts)


def polyval(p: ArrayLike, x: ArrayLike) -> Node:
    """p[0] x**n + .. + p[n], by Horner's scheme, elementwise in x. Raises ShapeError where the number of coefficients is symbolic."""
    node = asarray(x)
    value = broadcast_to(asarray(0, node.dtype), node.shape)
    for c in _coefficients(p, "polyval"):
        value = value * node + c
    return value


def polyadd(a1: ArrayLike, a2: ArrayLike) -> Node:
    """The sum of two polynomials, as long as the longer. Raises ShapeError."""
    x, y = _same_length(a1, a2, "polyadd")
    return x + y


def polysub(a1: ArrayLike, a2: ArrayLike) -> Node:
    """The difference of two polynomials, as long as the longer. Raises ShapeError."""
    x, y = _same_length(a1, a2, "polysub")
    return x - y


def _same_length(a1: ArrayLike, a2: ArrayLike, what: str) -> tuple[Node, Node]:
    x, y = _vector(a1, what), _vector(a2, what)
    length = max(_length(x), _length(y))
    return _in_front(x, length - _length(x)), _in_front(y, length - _length(y))


def _length(p: Node) -> int:
    assert isinstance(p.shape[0], int)
    return p.shape[0]


def _in_front(p: Node, zeros: int) -> Node:
    return pad(p, ((zeros, 0),)) if zeros else p


def polymul(a1: ArrayLike, a2: ArrayLike) -> Node:
    """The product of two polynomials, of n + m - 1 coefficients; leading zeros, which NumPy trims, stay. Raises ShapeError."""
    x, y = _vector(a1, "polymul"), _vector(a2, "polymul")
    return _product(x, y)


def _product(x: Node, y: Node) -> Node:
    short, long = (x, y) if _length(x) <= _length(y) else (y, x)
    terms = [pad(FUNCTIONS["getitem"](short, k) * long, ((k, _length(short) - 1 - k),)) for k in range(_length(short))]
    result = terms[0]
    for term in terms[1:]:
        result = result + term
    return result


def polydiv(u: ArrayLike, v: ArrayLike) -> tuple[Node, Node]:
    """(quotient, remainder) of u by v, whose first coefficient must not be 0: u = q v + r.

    The remainder has len(v) - 1 coefficients (one 0 where that is none); leading zeros, which NumPy trims, stay. Raises ShapeError.
    """
    a, b = _vector(u, "polydiv"), _vector(v, "polydiv")
    dtype = promote(a.dtype, b.dtype, 1.0)
    rest, by = astype(a, dtype), astype(b, dtype)
    count, quotient = _length(a) - _length(b) + 1, []
    item = FUNCTIONS["getitem"]
    for _ in range(count):
        digit = item(rest, 0) / item(by, 0)
        quotient.append(digit)
        rest = item(rest - pad(digit * by, ((0, _length(rest) - _length(by)),)), slice(1, None))
    zero = broadcast_to(asarray(0, dtype), (1,))
    return stack(quotient) if quotient else zero, rest if rest.shape[0] != 0 else zero


def polyder(p: ArrayLike, m: int = 1) -> Node:
    """The m-th derivative of a polynomial: n p[0], (n - 1) p[1], .., empty for a constant. Raises ShapeError, ArgumentError."""
    node = _vector(p, "polyder")
    for _ in range(_times(m, "polyder")):
        n = _length(node)
        node = FUNCTIONS["getitem"](node, slice(None, -1)) * np.arange(n - 1, 0, -1) if n else node
    return node


def polyint(p: ArrayLike, m: int = 1, k: ArrayLike | None = None) -> Node:
    """The m-th antiderivative of a polynomial, with the constants k (None: 0; one for all, or one for each). Integers give float64.

    Raises ShapeError, ArgumentError.
    """
    node, times = _vector(p, "polyint"), _times(m, "polyint")
    constants = [asarray(0.0)] * times if k is None else _coefficients(k, "polyint")
    constants = constants * times if len(constants) == 1 else constants
    if len(constants) < times:
        fail(ArgumentError, f"polyint: {len(constants)} constants for {times} integrations")
    for c in constants[:times]:
        over = node / np.arange(_length(node), 0, -1).astype(node.dtype if is_float(node.dtype) else float64)
        node = concatenate([over, reshape(in_dtype(c, over.dtype), (1,))])
    return node


def _times(m: int, what: str) -> int:
    times = whole_number(m, f"{what}: m")
    if times < 0:
        fail(ArgumentError, f"{what}: m must not be negative, got {times}")
    return times


def poly(seq_of_zeros: ArrayLike) -> Node:
    """The coefficients of the polynomial (x - z[0]) (x - z[1]) .. with the given zeros; the first is 1. Integers give float64.

    Raises ShapeError: of a matrix, whose eigenvalues NumPy takes, and of a symbolic number of zeros.
    """
    zeros = _coefficients(seq_of_zeros, "poly")
    result = asarray(np.ones(1))
    for z in zeros:
        z = z if is_float(z.dtype) else astype(z, float64)
        result = _product(stack([asarray(1, z.dtype), -z]), astype(result, z.dtype))
    return result


def vander(x: ArrayLike, N: object = None, increasing: bool = False) -> Node:
    """The matrix of powers x[i]**(N - 1 - j), or x[i]**j where `increasing`, of shape (len(x), N); N None: len(x).

    Dtypes as in NumPy: float64, int64 for integers. Raises ShapeError.
    """
    node = asarray(x)
    if node.ndim != 1:
        fail(ShapeError, "vander takes a vector", node)
    columns = node.shape[0] if N is None else one_size(N, "vander: N")
    node = astype(node, promote(node.dtype, int64))
    if isinstance(columns, int) and columns <= 32:
        powers = [
            broadcast_to(asarray(1, node.dtype), node.shape) if k == 0 else node if k == 1 else power(node, k) for k in range(columns)
        ]
        if not powers:
            return broadcast_to(asarray(0, node.dtype), (node.shape[0], 0))
        return stack(powers if increasing else powers[::-1], axis=1)
    places = FUNCTIONS["arange"](columns)
    exponents = astype(places if increasing else FUNCTIONS["flip"](places), node.dtype)
    return power(reshape(node, (node.shape[0], 1)), exponents)


__all__ = ["poly", "polyadd", "polyder", "polydiv", "polyint", "polymul", "polysub", "polyval", "vander"]

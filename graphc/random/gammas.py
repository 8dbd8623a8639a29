"""Gamma draws and what is made of them: chi-square, beta, Dirichlet, Student's t.

They have derivatives by their parameters, to order 1: implicit ones, dz/da = -(dF/da) / (dF/dz) of the distribution function F of the
gamma draws that are behind (Figurnov, Mohamed and Mnih 2018, Implicit reparameterization gradients). Of order 2 NotDifferentiableError.
"""

from __future__ import annotations

from graphc.errors import ShapeError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import sqrt
from graphc.ops.elementwise import sigmoid
from graphc.ops.reductions import softmax
from graphc.ops.registry import ArrayLike
from graphc.ops.shape import known_shape
from graphc.ops.spread import broadcast_to
from graphc.random.continuous import normal
from graphc.random.keys import KeyLike, as_key, split
from graphc.random.parameters import POSITIVE, float_dtype, parameter, shape_of
from graphc.random.rejection import gamma_and_log
from graphc.types import Shape, broadcast_shapes


def gamma(key: KeyLike, a: ArrayLike, shape: object = None, dtype: object = None) -> Node:
    """Gamma of shape a and scale 1, density x**(a - 1) e**-x / gamma(a), by the rejection of Marsaglia and Tsang (2000).

    a: greater than 0, where not nan; it broadcasts to `shape`, which is by default its own. dtype: float64 unless a is a float32 array, or
    as given. Of a far below 1 draws underflow to 0: `loggamma` does not. Raises ArgumentError (a known a that is not positive), DTypeError,
    ShapeError.

        x = gx.random.gamma(key, a) / rate                gx.grad of a function of x by a and rate
    """
    return _gamma("gamma", key, a, shape, dtype)[0]


def loggamma(key: KeyLike, a: ArrayLike, shape: object = None, dtype: object = None) -> Node:
    """The logarithm of a gamma draw, see `gamma`: as accurate for any a."""
    return _gamma("loggamma", key, a, shape, dtype)[1]


def chisquare(key: KeyLike, df: ArrayLike, shape: object = None, dtype: object = None) -> Node:
    """Chi-square with df degrees of freedom, the sum of df squares of standard normals: twice a gamma draw of shape df / 2. See `gamma`."""
    found = float_dtype("chisquare", dtype, df)
    return 2 * _gamma("chisquare", key, parameter("chisquare", "df", df, found, POSITIVE) / 2, shape, found)[0]


def beta(key: KeyLike, a: ArrayLike, b: ArrayLike, shape: object = None, dtype: object = None) -> Node:
    """Beta, density x**(a - 1) (1 - x)**(b - 1) / B(a, b) on (0, 1): x / (x + y) of gamma draws of shapes a and b, by their logarithms.

    a, b: greater than 0, where not nan. See `gamma`.
    """
    found = float_dtype("beta", dtype, a, b)
    first, second = parameter("beta", "a", a, found, POSITIVE), parameter("beta", "b", b, found, POSITIVE)
    sizes = shape_of("beta", shape, [first, second])
    keys = split(as_key("beta", key))
    x, y = (_gamma("beta", keys[k], p, sizes, found)[1] for k, p in enumerate((first, second)))
    return sigmoid(x - y)


def dirichlet(key: KeyLike, alpha: ArrayLike, shape: object = None, dtype: object = None) -> Node:
    """Dirichlet, density prod x_i**(alpha_i - 1) / B(alpha) where sum x = 1: gamma draws of shapes alpha over their sum, by logarithms.

    alpha: (..., n), greater than 0, where not nan. shape: of the draws without the last axis n, to which alpha's broadcasts; by default it
    is that. See `gamma`.
    """
    found = float_dtype("dirichlet", dtype, alpha)
    weights = parameter("dirichlet", "alpha", alpha, found, POSITIVE)
    if not weights.ndim:
        fail(ShapeError, "dirichlet: alpha needs an axis of components", weights)
    return softmax(_gamma("dirichlet", key, weights, (*batch_shape("dirichlet", shape, weights, 1), weights.shape[-1]), found)[1], -1)


def student_t(key: KeyLike, df: ArrayLike, shape: object = None, dtype: object = None) -> Node:
    """Student's t with df degrees of freedom: z / sqrt(g / (df / 2)) of a standard normal z and a gamma draw g of shape df / 2.

    df: greater than 0, where not nan. See `gamma`.
    """
    found = float_dtype("student_t", dtype, df)
    freedom = parameter("student_t", "df", df, found, POSITIVE)
    sizes = shape_of("student_t", shape, [freedom])
    keys = split(as_key("student_t", key))
    return normal(keys[0], sizes, found) * sqrt(freedom / 2 / _gamma("student_t", keys[1], freedom / 2, sizes, found)[0])


def _gamma(what: str, key: KeyLike, a: ArrayLike, shape: object, dtype: object) -> tuple[Node, Node]:
    found = float_dtype(what, dtype, a)
    node = parameter(what, "a", a, found, POSITIVE)
    made: tuple[Node, Node] = gamma_and_log(as_key(what, key), broadcast_to(node, shape_of(what, shape, [node])))
    return made


def batch_shape(what: str, shape: object, x: Node, last: int) -> Shape:
    """The shape of draws that each have the `last` axes of a parameter: as asked, else that of the parameter before them."""
    before = x.shape[: x.ndim - last]
    if shape is None:
        return before
    sizes = known_shape(shape, what)
    if broadcast_shapes([sizes, before], what, [x]) != sizes:
        fail(ShapeError, f"{what}: {x.tensor} does not broadcast to draws of shape {sizes}", x)
    return sizes


__all__ = ["beta", "chisquare", "dirichlet", "gamma", "loggamma", "student_t"]

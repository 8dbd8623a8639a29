"""What the parameters of public functions are drawn from, by their names; and whole calls of those whose arguments belong together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gx
from tests.fuzz.draw import SIZES, Draw
from tests.fuzz.losses import LOSSES, Call

Maker = Callable[[Draw], Any]
FIRST = ("x", "a", "input", "f", "m", "p", "v", "arr", "ary", "data", "y", "z", "A", "val", "x1", "a1", "object", "prototype", "element")
OTHER = ("x2", "a2", "b", "values")

REQUIRED: dict[str, Maker] = {
    **{name: Draw.first for name in FIRST},
    "shape": lambda d: d.shape(0, 3), "dimensions": lambda d: d.shape(1, 3), "new_shape": lambda d: d.shape(0, 2),
    "n": lambda d: d.rng.randrange(0, 4), "N": Draw.first, "d": lambda d: d.rng.randrange(1, 4),
    "M": lambda d: d.rng.randrange(0, 6), "k": lambda d: d.rng.randrange(0, 3),
    "arrays": lambda d: [d.first(), d.like(), d.like()][: d.rng.randint(1, 3)], "axis": Draw.axis,
    "fill_value": lambda d: d.rng.choice((0.5, 3, -1)), "dtype": lambda d: d.rng.choice(("float64", "float32", "int64", "bool")),
    "indices_or_sections": lambda d: d.rng.choice((1, 2, 3, [1], [0, 2])), "repeats": lambda d: d.rng.randrange(3),
    "shift": lambda d: d.rng.randrange(-3, 4), "reps": lambda d: d.rng.choice((2, (2, 1), (1, 2, 2))),
    "source": Draw.axis, "destination": Draw.axis, "axis1": Draw.axis, "axis2": Draw.axis, "kth": lambda d: d.rng.randrange(0, 2),
    "q": lambda d: d.rng.choice((0.0, 0.3, [0.1, 0.9], 1.0)), "start": lambda d: d.rng.choice((1, 0.5, 2)),
    "stop": lambda d: d.rng.choice((3, 2.5, 7)), "obj": lambda d: d.rng.choice((0, -1, [0], slice(None, None, 2))),
    "pad_width": lambda d: d.rng.choice((0, 1, (1, 2))), "decimals": lambda d: d.rng.choice((0, 1, -1)),
    "test_elements": lambda d: d.like(), "vals": lambda d: d.like(),
}  # fmt: skip
REQUIRED |= {name: (lambda d: d.like()) for name in OTHER if name not in FIRST}

CHOICES: dict[str, tuple[Any, ...]] = {  # of parameters that have a default
    "axis": (0, -1, 1, None), "keepdims": (True, False), "dtype": ("float64", "float32"), "ddof": (0, 1), "initial": (0, 2),
    "k": (-1, 0, 1, 2), "offset": (-1, 0, 1), "n": (1, 2), "m": (2, 3), "ndim": (1, 2, 3), "deg": (True, False), "equal_nan": (True, False),
    "reverse": (True, False), "include_initial": (True, False), "descending": (True, False), "largest": (True, False),
    "norm": ("ortho", "forward", "backward"), "ord": (None, 1, 2), "num": (1, 4), "endpoint": (True, False), "decimals": (1, -1),
    "increasing": (True, False), "right": (True, False), "side": ("left", "right"), "invert": (True, False), "bias": (True, False),
    "rowvar": (True, False), "period": (3.0,), "discont": (1.0,), "dx": (0.5,), "base": (2.0,), "d": (0.5,), "sparse": (True, False),
    "indexing": ("xy", "ij"), "edge_order": (1, 2), "ndmin": (2,), "nan": (1.0,), "posinf": (7.0,), "neginf": (-7.0,), "start": (0, 1),
    "method": ("linear", "lower", "higher", "midpoint", "nearest"), "upper": (True, False), "lower": (True, False),
    "full_matrices": (True, False), "hermitian": (True, False), "unit_diagonal": (True, False), "p": (None, 1, "fro"),
    "size": (0, 2, 5), "ceil_mode": (True, False), "count_include_pad": (True, False), "flip": (True, False), "wrap": (True, False),
    "left": (-9.0,), "returned": (False,), "density": (True, False), "default": (-1.0,), "minlength": (0, 5), "N": (2, 4),
}  # fmt: skip


# -- calls whose arguments belong together -------------------------------------------------------------------------------------


def _convolution(dimension: int, transposed: bool = False, own: bool = False) -> Callable[[Draw], Call]:
    def draw(d: Draw) -> Call:
        groups, rng = d.rng.choice((1, 1, 2)), d.rng
        sizes = [rng.choice((3, 4, 5)) for _ in range(dimension)]
        kernel, out = [rng.choice((1, 2, 3)) for _ in range(dimension)], rng.choice((1, 2)) * groups
        x = d.floats(rng.choice((1, 2)), 2, *sizes)
        options: dict[str, Any] = {"stride": rng.choice((1, 2)), "padding": rng.choice((0, 1)), "groups": groups}
        if own:
            options = {}
            places = [n - k + 1 for n, k in zip(sizes, kernel)]
            return [x, d.floats(out, *places, 2, *kernel)], options
        shape = (2, out // groups, *kernel) if transposed else (out, 2 // groups, *kernel)
        bias = d.floats(out) if rng.random() < 0.5 else None
        if not transposed and rng.random() < 0.5:
            options |= {"flip": rng.random() < 0.5, "dilation": rng.choice((1, 2))}
        return [x, d.floats(*shape), bias], options

    return draw


def _pooling(dimension: int) -> Callable[[Draw], Call]:
    def draw(d: Draw) -> Call:
        x = d.floats(2, 2, *[d.rng.choice((3, 4, 5)) for _ in range(dimension)])
        return [x, d.rng.choice((1, 2, 3))], {"stride": d.rng.choice((None, 1, 2))}

    return draw


def _linear(kind: str, *more: str) -> Callable[[Draw], Call]:
    def draw(d: Draw) -> Call:
        a = d.matrix(kind)
        rows = d.known(a).shape[-2]
        made: list[Any] = [a]
        for name in more:
            made.append(d.floats(*d.known(a).shape[:-2], rows, 2) if name == "b" else d.rng.choice((-1, 0, 1, 2, 3)))
        return made, {}

    return draw


def _segments(d: Draw) -> Call:
    n = d.rng.choice(SIZES)
    return [d.floats(n, *d.shape(0, 1)), d.integers(0, 3, n)], {"num_segments": 3}


def _bits(d: Draw) -> Call:
    return [d.integers(0, 9, *(shape := d.shape())), d.integers(0, 4, *shape)], {}


def _product(d: Draw) -> Call:
    n, lead = d.rng.choice(SIZES), d.rng.choice(((), (2,), (1, 3)))
    return [d.floats(*lead, d.rng.choice(SIZES), n), d.floats(*d.rng.choice(((), lead)), n, d.rng.choice(SIZES))], {}


def _same(count: int, low: int = 1, high: int = 1, kind: str = "floats") -> Callable[[Draw], Call]:
    def draw(d: Draw) -> Call:
        shape = d.shape(low, high)
        return [getattr(d, kind)(*shape) for _ in range(count)], {}

    return draw


def _zeta(d: Draw) -> list[Any]:
    """Riemann's, and Hurwitz's of a known and of a drawn order."""
    shape, which = d.shape(), d.rng.randrange(3)
    if which == 0:
        return [d.floats(*shape)]
    return [d.rng.randrange(2, 6), d.first()] if which == 1 else [d.positive(*shape) + 1.1, d.positive(*shape)]


CALLS: dict[str, Callable[[Draw], Call]] = {
    **LOSSES,
    "special.zeta": lambda d: (_zeta(d), {}),
    **{f"nn.conv{s}": _convolution(k) for s, k in (("", 2), ("1d", 1), ("2d", 2), ("3d", 3))},
    **{f"nn.conv_transpose{s}": _convolution(k, transposed=True) for s, k in (("", 2), ("1d", 1), ("2d", 2), ("3d", 3))},
    "nn.locally_connected": _convolution(2, own=True),
    **{f"nn.{how}_pool{s}": _pooling(k) for how in ("max", "avg") for s, k in (("", 2), ("1d", 1), ("2d", 2), ("3d", 3))},
    **{f"nn.adaptive_{how}_pool{s}": (lambda d: ([d.floats(2, 1, 4, 5)], {"output_size": d.rng.choice((1, 2, 3))}))
       for how in ("max", "avg") for s in ("", "2d")},
    "nn.lp_pool": lambda d: ([d.floats(2, 2, 4, 5), 2.0, 2], {}),
    **{f"linalg.{name}": _linear("definite") for name in ("cholesky", "cho_factor", "eigh", "eigvalsh", "sqrtm")},
    **{f"linalg.{name}": _linear("square") for name in ("inv", "det", "slogdet", "lu", "expm", "cond")},
    **{f"linalg.{name}": _linear("square", "b") for name in ("solve", "solve_triangular", "lstsq")},
    **{f"linalg.{name}": _linear("any") for name in ("qr", "svd", "svdvals", "pinv", "matrix_rank", "matrix_norm", "matrix_transpose",
                                                     "trace", "diagonal")},
    "linalg.cho_solve": lambda d: ([gx.linalg.cho_factor(a := d.matrix("definite")), d.floats(*d.known(a).shape[:-1], 2)], {}),
    "linalg.matrix_power": _linear("square", "n"),
    "linalg.multi_dot": lambda d: ([[d.floats(2, 3), d.floats(3, 1), d.floats(1, 4)]], {}),
    "linalg.tensorinv": lambda d: ([d.variable(np.eye(6).reshape(2, 3, 3, 2) + d.values.normal(size=(2, 3, 3, 2)) / 9)], {}),
    "linalg.tensorsolve": lambda d: ([d.variable(np.eye(4).reshape(2, 2, 4) + d.values.normal(size=(2, 2, 4)) / 9), d.floats(2, 2)], {}),
    "linalg.block_diag": lambda d: ([d.floats(2, 3), d.floats(1, 2)], {}), "linalg.toeplitz": lambda d: ([d.floats(3), d.floats(2)], {}),
    **{name: _product for name in ("matmul", "linalg.matmul")},
    **{name: (lambda d: ([d.floats(2, 3), d.floats(3, 2)], {"axes": 1})) for name in ("tensordot", "linalg.tensordot")},
    **{name: _same(2, 1, 2) for name in ("vdot", "inner", "vecdot", "linalg.vecdot", "correlate", "convolve", "fft.fftconvolve")},
    **{name: (lambda d: ([d.floats(2, 3), d.floats(3)], {})) for name in ("dot", "matvec")},
    **{name: (lambda d: ([d.floats(2, 3), d.floats(2, 3)], {})) for name in ("cross", "linalg.cross")},
    "vecmat": lambda d: ([d.floats(3), d.floats(3, 2)], {}),
    **{f"segment_{how}": _segments for how in ("sum", "max", "min", "mean")},
    **{name: _bits for name in ("bitwise_left_shift", "bitwise_right_shift", "lcm", "bitwise_invert", "bitwise_not")},
    "bitwise_invert": lambda d: ([d.integers(0, 9, *d.shape())], {}), "bitwise_not": lambda d: ([d.integers(0, 9, *d.shape())], {}),
    **{f"special.{name}": (lambda d: ([d.positive(*(s := d.shape())), d.positive(*s)], {})) for name in ("gammainc", "gammaincc")},
    "special.betainc": lambda d: ([d.positive(*(s := d.shape())), d.positive(*s), d.positive(*s) / 3], {}),
    "special.jn": lambda d: ([d.rng.randrange(4), d.positive(*d.shape())], {}),
    **{f"special.{name}": (lambda d: ([d.rng.choice((2, 3)), d.positive(*d.shape())], {})) for name in ("iv", "ive")},
    "special.lambertw": lambda d: ([d.variable(d.values.uniform(-0.35, -0.05, d.shape()).astype(d.dtype))], {"k": d.rng.choice((0, -1))}),
    "acosh": lambda d: ([d.variable(d.values.uniform(1.2, 4, d.shape()).astype(d.dtype))], {}),
    **{name: (lambda d: ([d.variable(d.values.uniform(-0.9, 0.9, d.shape()).astype(d.dtype))], {})) for name in ("acos", "asin", "atanh")},
    **{name: (lambda d: ([d.positive(*(s := d.shape())), d.positive(*s)], {})) for name in ("float_power", "pow")},
    "one_hot": lambda d: ([d.integers(0, 3, *d.shape()), 3], {}),
    "take": lambda d: ([d.floats(*d.shape(1, 3)), d.integers(-1, 1, *d.shape(0, 2))], {"axis": d.axis()}),
    "take_along_axis": lambda d: ([d.floats(3, 4), d.integers(-3, 3, 3, 2)], {"axis": 1}),
    "put_along_axis": lambda d: ([d.floats(3, 4), d.integers(-3, 3, 3, 2), d.floats(3, 2), 1], {}),
    "put": lambda d: ([d.floats(3, 4), d.integers(-9, 9, 5), d.floats(2)], {}),
    **{name: (lambda d: ([d.floats(3, 2), d.flags(3, 2), d.floats(4)], {})) for name in ("place", "putmask")},
    "choose": lambda d: ([d.integers(0, 2, 3), [d.floats(3), d.floats(2, 3)]], {}),
    "compress": lambda d: ([d.flags(3), d.floats(3, 2)], {"axis": 0, "size": d.rng.choice((0, 2, 5))}),
    "extract": lambda d: ([d.flags(3, 2), d.floats(3, 2)], {"size": d.rng.choice((0, 2, 7))}),
    **{name: (lambda d: ([d.flags(3, 2)], {"size": d.rng.choice((0, 2, 7))})) for name in ("nonzero", "flatnonzero", "argwhere")},
    "ix_": lambda d: ([d.integers(0, 3, 2), d.integers(0, 3, 3)], {}),
    "unravel_index": lambda d: ([d.integers(0, 6, *d.shape()), (2, 3)], {}),
    "ravel_multi_index": lambda d: ([(d.integers(0, 2, *(s := d.shape())), d.integers(0, 3, *s)), (2, 3)], {}),
    **{name: (lambda d: ([d.floats(3, 3)], {"k": d.rng.choice((-1, 0, 1))})) for name in ("tril_indices_from", "triu_indices_from")},
    "diag_indices_from": lambda d: ([d.floats(3, 3)], {}),
    "dynamic_slice": lambda d: ([d.floats(4, 3), (d.integers(-5, 6), 1), (2, 2)], {}),
    "dynamic_update_slice": lambda d: ([d.floats(4, 3), d.floats(2, 1), (d.integers(-5, 6), d.integers(-5, 6))], {}),
    "einsum": lambda d: (["ij,jk,k->i", d.floats(2, 3), d.floats(3, 4), d.floats(4)], {}),
    "block": lambda d: ([[[d.floats(2, 1), d.floats(2, 2)], [d.floats(1, 3)]]], {}),
    "ldexp": lambda d: ([d.floats(*(s := d.shape())), d.integers(-3, 4, *s)], {}),
    "assume": lambda d: ([d.positive(*d.shape())], {"positive": True}), "kaiser": lambda d: ([d.rng.randrange(6), 2.5], {}),
    "in1d": lambda d: ([d.integers(0, 4, 3), d.integers(0, 4, 2)], {}),
    "polyfit": lambda d: ([d.floats(5), d.floats(5), d.rng.choice((0, 1, 2))], {}),
    "where": lambda d: ([d.flags(*(s := d.shape())), d.floats(*s), d.floats(*s)], {}),
    "select": lambda d: ([[d.flags(3), d.flags(2, 3)], [d.floats(3), d.floats(2, 1)]], {"default": 0.5}),
    "piecewise": lambda d: ([d.floats(3), [d.flags(3)], [gx.sin, 2.0]], {}),
    "apply_along_axis": lambda d: ([gx.cumsum, d.axis() if d.main else 0, d.floats(2, 3)], {}),
    "apply_over_axes": lambda d: ([gx.sum, d.floats(2, 3, 2), (0, 2)], {}),
    "fromfunction": lambda d: ([lambda i, j: gx.sin(i) + j, (2, 3)], {}),
    "gradient": lambda d: ([d.floats(*[d.rng.choice((3, 4)) for _ in range(d.rng.choice((1, 2)))])], {}),
    "interp": lambda d: ([d.floats(*d.shape()), d.variable(np.sort(d.values.normal(size=4))), d.floats(4)], {}),
    "searchsorted": lambda d: ([d.variable(np.sort(d.values.normal(size=d.rng.choice(SIZES)))), d.floats(*d.shape())], {}),
    "digitize": lambda d: ([d.floats(*d.shape()), np.array([-1.0, 0.0, 0.5])], {}),
    "bincount": lambda d: ([d.integers(0, 4, 5)], {"minlength": 4, "length": 6} if d.rng.random() < 0.5 else {"length": 4}),
    "histogram": lambda d: ([d.floats(5)], {"bins": np.array([-2.0, 0.0, 0.5, 2.0])}),
    "histogram2d": lambda d: ([d.floats(5), d.floats(5)], {"bins": 3, "range": [[-2, 2], [-1, 1]]}),
    "histogramdd": lambda d: ([d.floats(5, 2)], {"bins": 3, "range": [[-2, 2], [-1, 1]]}),
    "lexsort": lambda d: ([[d.integers(0, 3, 4), d.floats(4)]], {}),
    "average": lambda d: ([d.floats(3, 2)], {"axis": 0, "weights": d.positive(3)}),
    "corrcoef": lambda d: ([d.floats(3, 4)], {}), "cov": lambda d: ([d.floats(3, 4)], {"ddof": d.rng.choice((0, 1))}),
    "trapezoid": lambda d: ([d.floats(2, 3)], {"axis": d.rng.choice((0, 1))}), "trapz": lambda d: ([d.floats(2, 3)], {}),
    "polyval": lambda d: ([d.floats(3), d.floats(*d.shape())], {}), "polydiv": lambda d: ([d.floats(4), d.positive(2)], {}),
    **{name: (lambda d: ([d.floats(3), d.floats(2)], {})) for name in ("polyadd", "polysub", "polymul")},
    **{name: (lambda d: ([d.floats(4)], {})) for name in ("polyder", "polyint", "poly", "vander")},
    "linspace": lambda d: ([d.floats(*(s := d.shape(0, 1))), d.floats(*s)], {"num": 4}),
    "logspace": lambda d: ([d.floats(), d.floats()], {"num": 3}), "geomspace": lambda d: ([d.positive(), d.positive()], {"num": 3}),
    "meshgrid": lambda d: ([d.floats(2), d.floats(3)], {}), "broadcast_arrays": lambda d: ([d.floats(2, 1), d.floats(3)], {}),
    "fill_diagonal": lambda d: ([d.floats(3, 3), d.floats(2)], {}), "diag": lambda d: ([d.floats(*d.shape(1, 2))], {}),
    "tile": lambda d: ([d.floats(*d.shape()), d.rng.choice((2, (2, 1)))], {}),
    "broadcast_to": lambda d: ([d.floats(d.rng.choice((1, 3))), (2, 3)], {}),
    "reshape": lambda d: ([d.floats(2, 6), d.rng.choice(((3, 4), (-1,), (2, 2, -1)))], {}),
    "divmod": lambda d: ([d.floats(*(s := d.shape())), d.positive(*s)], {}),
    "remainder": lambda d: ([d.floats(*(s := d.shape())), d.positive(*s)], {}),
    "argpartition": lambda d: ([d.floats(2, 4), d.rng.randrange(4)], {}), "partition": lambda d: ([d.floats(2, 4), d.rng.randrange(4)], {}),
    "topk": lambda d: ([d.floats(2, 4), d.rng.randrange(1, 4)], {"largest": d.rng.random() < 0.5}),
    "insert": lambda d: ([d.floats(4), d.rng.choice((0, -1, [1, 3])), 0.5], {"axis": 0}),
    **{name: (lambda d: ([d.floats(*d.shape(2, 3)), 1], {})) for name in ("hsplit", "vsplit")},
    "dsplit": lambda d: ([d.floats(2, 1, 4), 2], {}),
}  # fmt: skip

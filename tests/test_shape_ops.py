"""Reshape, transpose, slice, reverse, pad, concat, diagonal, and the functions made of them, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.interp import evaluate
from graphc.ir import Node
from graphc.ops.slicing import cut, pad_with
from tests.loop_eval import run_loop
from tests.ops_cases import arrays, check_batch, check_derivatives, check_values, same

n, m = dims.dim("n"), dims.dim("m")


def padded(x: object, before: tuple[int, ...], after: tuple[int, ...], between: tuple[int, ...]) -> object:
    """The primitive pad, for arrays and nodes."""
    if isinstance(x, Node):
        return pad_with(x, gx.asarray(2.0), before, after, between)
    return pad_with.__globals__["_pad_ref"](x, np.array(2.0), before, after, between)


# functions of arrays or nodes alike, with the shapes of their arguments
LINEAR = {
    "reshape split": (lambda x: np.reshape(x, (2, 3, 4)), [(6, 4)]),
    "reshape merge": (lambda x: np.reshape(x, (6, 4)), [(2, 3, 4)]),
    "reshape regroup": (lambda x: np.reshape(x, (4, 9)), [(6, 6)]),
    "reshape ones": (lambda x: np.reshape(x, (1, 2, 1, 12)), [(2, 1, 3, 4)]),
    "reshape mixed": (lambda x: np.reshape(x, (2, 10, 3)), [(4, 5, 3)]),
    "ravel": (lambda x: np.ravel(x), [(2, 3, 4)]),
    "reshape to scalar": (lambda x: np.reshape(x, ()), [(1, 1)]),
    "transpose": (lambda x: np.transpose(x), [(2, 3, 4)]),
    "transpose axes": (lambda x: np.transpose(x, (1, 2, 0)), [(2, 3, 4)]),
    "swapaxes": (lambda x: np.swapaxes(x, 0, -1), [(2, 3, 4)]),
    "moveaxis": (lambda x: np.moveaxis(x, 0, -1), [(2, 3, 4)]),
    "moveaxis several": (lambda x: np.moveaxis(x, (0, 2), (1, 0)), [(2, 3, 4)]),
    "expand_dims": (lambda x: np.expand_dims(x, (0, -1)), [(2, 3)]),
    "squeeze": (lambda x: np.squeeze(x), [(1, 3, 1)]),
    "squeeze axis": (lambda x: np.squeeze(x, 0), [(1, 3, 1)]),
    "slice": (lambda x: x[1:-1, 2:], [(4, 5)]),
    "slice step": (lambda x: x[1::2, ::3], [(4, 5)]),
    "slice step back": (lambda x: x[::-2, 3:0:-1], [(4, 5)]),
    "slice whole": (lambda x: x[:, 0:], [(4, 5)]),
    "slice int": (lambda x: x[1, ..., -1], [(3, 2, 4)]),
    "new axes": (lambda x: x[None, :, None, 1:], [(3, 4)]),
    "flip": (lambda x: np.flip(x), [(3, 4)]),
    "flip axis": (lambda x: np.flip(x, 1), [(3, 4)]),
    "pad": (lambda x: np.pad(x, 2), [(3, 4)]),
    "pad sides": (lambda x: np.pad(x, ((1, 0), (0, 3)), constant_values=0), [(3, 4)]),
    "concatenate": (lambda x, y: np.concatenate([x, y, x], 1), [(2, 3), (2, 4)]),
    "concatenate raveled": (lambda x, y: np.concatenate([x, y], None), [(2, 3), (4,)]),
    "stack": (lambda x, y: np.stack([x, y], 1), [(2, 3), (2, 3)]),
    "vstack": (lambda x, y: np.vstack([x, y]), [(3,), (2, 3)]),
    "hstack": (lambda x, y: np.hstack([x, y]), [(2, 3), (2, 1)]),
    "column_stack": (lambda x, y: np.column_stack([x, y]), [(3,), (3, 2)]),
    "split": (lambda x: np.split(x, 3, 1)[1], [(2, 6)]),
    "tile": (lambda x: np.tile(x, (2, 1, 3)), [(2, 3)]),
    "tile short": (lambda x: np.tile(x, 2), [(2, 3)]),
    "repeat": (lambda x: np.repeat(x, 2, 0), [(2, 3)]),
    "repeat raveled": (lambda x: np.repeat(x, 2), [(2, 3)]),
    "roll": (lambda x: np.roll(x, 2, 1), [(2, 5)]),
    "roll back": (lambda x: np.roll(x, -1), [(2, 5)]),
    "roll both": (lambda x: np.roll(x, (1, -2), (0, 1)), [(3, 5)]),
    "diag to matrix": (lambda x: np.diag(x), [(3,)]),
    "diag up": (lambda x: np.diag(x, 2), [(3,)]),
    "diag down": (lambda x: np.diag(x, -1), [(3,)]),
    "diag of matrix": (lambda x: np.diag(x, 1), [(3, 5)]),
    "diagonal": (lambda x: np.diagonal(x, 0, 2, 0), [(3, 2, 4)]),
    "diagonal down": (lambda x: np.diagonal(x, -1), [(4, 3)]),
    "trace": (lambda x: np.trace(x, 1), [(3, 4, 2)]),
    "tril": (lambda x: np.tril(x, -1), [(3, 4)]),
    "triu": (lambda x: np.triu(x, 1), [(2, 3, 4)]),
    "broadcast_to": (lambda x: np.broadcast_to(x, (2, 3, 4)), [(3, 1)]),
    "broadcast_arrays": (lambda x, y: np.broadcast_arrays(x, y)[0], [(3, 1), (1, 4)]),
}  # fmt: skip
STATIC = {"reshape split", "reshape regroup", "reshape mixed", "broadcast_to"}  # their sizes say more than a symbol can


@pytest.mark.parametrize("name", LINEAR)
def test_values(name: str) -> None:
    f, shapes = LINEAR[name]
    check_values(f, shapes, symbolic=name not in STATIC)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint64", "bool"])
def test_dtypes(dtype: str) -> None:
    for name, (f, shapes) in LINEAR.items():
        if name != "trace" or dtype != "bool":
            check_values(f, shapes, dtype, symbolic=False)


@pytest.mark.parametrize("name", LINEAR)
def test_derivatives(name: str) -> None:
    f, shapes = LINEAR[name]
    used = [(f, shapes)] if name != "broadcast_arrays" else [(lambda x: np.broadcast_arrays(x, np.ones((1, 4)))[0], shapes[:1])]
    for function, given in used:
        check_derivatives(function, given, symbolic=name not in STATIC)


@pytest.mark.parametrize("name", LINEAR)
def test_batch(name: str) -> None:
    f, shapes = LINEAR[name]
    if name == "broadcast_arrays":
        f, shapes = (lambda x: np.broadcast_arrays(x, np.ones((1, 4)))[0]), shapes[:1]
    check_batch(f, shapes)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1), (0, 0)])
def test_empty_and_single(shape: tuple[int, int]) -> None:
    a, b = shape
    for f in (
        lambda x: np.reshape(x, (b, a)),
        lambda x: np.reshape(x, (-1,)),
        lambda x: np.transpose(x),
        lambda x: x[::-1, 1:],
        lambda x: x[2:, ::-2],
        lambda x: np.flip(x),
        lambda x: np.pad(x, 1),
        lambda x: np.concatenate([x, x], 0),
        lambda x: np.tile(x, 2),
        lambda x: np.repeat(x, 3, 1),
        lambda x: np.roll(x, 1, 0),
        lambda x: np.diagonal(x),
        lambda x: np.stack([x, x]),
        lambda x: x[:, :, None],
        lambda x: np.tril(x),
    ):
        check_values(f, [shape], symbolic=False)


# -- sizes ---------------------------------------------------------------------------------------------------------------
def test_symbolic_sizes() -> None:
    x = gx.tensor("x", ("n", 4))
    v = gx.tensor("v", ("n",))
    shapes = {
        "1:": (x[1:], (n - 1, 4)),
        ":-1": (x[:-1], (n - 1, 4)),
        "::2": (x[::2], ((n + 1) // 2, 4)),
        "::-1": (x[::-1], (n, 4)),
        ":5": (x[:5], (dims.minimum(n, 5), 4)),
        "-5:": (x[-5:], (dims.minimum(n, 5), 4)),
        "n:": (x[n:], (0, 4)),
        "k:k+5": (x[m : m + 5], (5, 4)),
        "-1": (x[-1], (4,)),
        "n-1": (x[n - 1], (4,)),
        "reshape": (gx.reshape(x, (-1,)), (4 * n,)),
        "reshape 2": (gx.reshape(x, (2, -1)), (2, 2 * n)),
        "reshape n": (gx.reshape(x, ("n", 2, 2)), (n, 2, 2)),
        "concat": (gx.concatenate([v, gx.tensor("w", ("m",))]), (m + n,)),
        "pad": (gx.pad(x, ((1, m), (0, 0))), (n + m + 1, 4)),
        "tile": (gx.tile(v, 3), (3 * n,)),
        "tile n": (gx.tile(x, (1, n)), (n, 4 * n)),
        "repeat": (gx.repeat(v, m), (m * n,)),
        "split": (gx.split(gx.reshape(x, (-1,)), 2)[1], (2 * n,)),
        "diag": (gx.diag(v, -1), (n + 1, n + 1)),
        "diagonal": (gx.diagonal(x), (dims.minimum(n, 4),)),
        "roll": (gx.roll(x, 1, 0), (n, 4)),
        "stack": (gx.stack([v, v], 1), (n, 2)),
    }
    for name, (node, shape) in shapes.items():
        assert node.shape == shape, name


def test_sizes_that_do_not_fit_at_run_time() -> None:
    """What is undecidable while building is noted by the type rules, and is wrong for some sizes only."""
    from graphc.types import assumed_sizes

    x = gx.tensor("x", ("n",))
    for build, bad in [
        (lambda: x[2:], 1),
        (lambda: x[3], 3),
        (lambda: x[n - 4 :], 3),
        (lambda: gx.reshape(x, ("m",)), 3),
        (lambda: gx.split(x, 2)[0], 3),
    ]:
        with assumed_sizes() as noted:
            build()
        held = [dims.substitute(a, _at(bad)) == dims.substitute(b, _at(bad)) for a, b in noted]
        assert not all(held)
        assert all(dims.substitute(a, _at(8)) == dims.substitute(b, _at(8)) for a, b in noted)


def _at(value: int) -> dict[dims.Symbol, int]:
    return {s: value if s.name == "n" else 8 for d in (n, m) for s in dims.symbols(d)}


def test_slices_of_every_bound() -> None:
    """All static slices of axes of 0 to 5 elements, and the same on a symbolic axis wherever NumPy would not clip to nothing."""
    bounds = [None, *range(-7, 8)]
    for size in (0, 1, 5):
        values = np.arange(size)
        x = gx.tensor("x", (size,), "int64")
        s = gx.tensor("s", ("n",), "int64")
        for start in bounds:
            for stop in bounds:
                for step in (None, 2, -1, -3):
                    expected = values[start:stop:step]
                    same(evaluate([x[start:stop:step]], {x: values})[0], expected)
                    inside = all(b is None or -size <= b <= size for b in (start, stop))
                    if size == 5 and inside and len(expected):
                        same(evaluate([s[start:stop:step]], {s: values})[0], expected)


def test_reshape_is_affine_where_it_splits() -> None:
    def view(shape: tuple[object, ...], target: tuple[object, ...]) -> bool:
        node = gx.reshape(gx.tensor("x", shape), target)
        assert node.op.loop is not None
        assert node.op.traits.affine(node) == node.op.loop(node).view
        return node.op.loop(node).view

    assert view((6, 4), (2, 3, 4)) and view(("n", 8), ("n", 2, 4)) and view(("n", 1, 4), (1, "n", 4)) and view((12,), (3, 4))
    assert not view((2, 3), (6,)) and not view(("n", 8, 8), ("n", -1)) and not view((6, 4), (4, 6))


def test_symbolic_loops() -> None:
    """Loop forms whose indices mention symbolic sizes."""
    x = gx.tensor("x", ("n", 6))
    values = arrays([(4, 6)])[0]
    sizes = _at(4)
    for node in (gx.reshape(x, (n, 2, 3)), gx.reshape(x, (-1,)), gx.reshape(x, (3, -1)), x[1:, ::-2], x[::-1], gx.pad(x, ((n, 1), (0, 2))),
                 gx.concatenate([x, x]), gx.diagonal(x, 1), gx.roll(x, 5, 0), gx.repeat(x, 2, 0)):  # fmt: skip
        steps = [node]
        while steps:
            step = steps.pop()
            steps += [i for i in step.inputs if i.inputs]
            same(run_loop(step, evaluate(step.inputs, {x: values}), sizes), evaluate([step], {x: values})[0])


# -- primitives with more than NumPy's functions use ------------------------------------------------------------------------
@pytest.mark.parametrize("widths", [((1, 0), (2, 1), (0, 0)), ((0, 2), (0, 1), (2, 1)), ((0, 0), (0, 0), (1, 0))])
def test_pad_between(widths: tuple[tuple[int, ...], ...]) -> None:
    check_values(lambda x: padded(x, *widths), [(3, 2)])
    check_batch(lambda x: padded(x, *widths), [(3, 2)])
    check_derivatives(lambda x: padded(x, *widths), [(3, 2)])


def test_pad_value_has_a_derivative() -> None:
    check_derivatives(lambda x, v: _pad_node(x, v), [(2, 3), ()])
    check_batch(lambda x, v: _pad_node(x, v), [(2, 3), ()])


def _pad_node(x: object, v: object) -> object:
    return gx.pad(x, 1, constant_values=v) if isinstance(x, Node) else np.pad(x, 1, constant_values=v)


def test_slice_and_pad_of_an_unknown_size_that_is_zero() -> None:
    x = gx.tensor("x", ("n",))
    node = x[::3]
    back = pad_with(node, gx.asarray(7.0), (0,), (x.shape[0] - ((node.shape[0] - 1) * 3 + 1),), (2,))
    assert dims.equal(back.shape[0], n)
    for size in range(7):
        value = arrays([(size,)])[0]
        want = np.where(np.arange(size) % 3 == 0, value, 7.0)
        same(evaluate([back], {x: value})[0], want)


def test_cut_checks() -> None:
    x = gx.tensor("x", (5,))
    for start, size, step in [(0, 6, 1), (-1, 2, 1), (1, 3, 2), (6, 0, 1)]:
        with pytest.raises(ShapeError):
            cut(x, (start,), (size,), (step,))
    assert cut(x, (5,), (0,)).shape == (0,)


def test_mixed_dtypes_are_promoted() -> None:
    x = gx.tensor("x", (2,), "float32")
    assert gx.concatenate([x, gx.tensor("i", (3,), "int8")]).dtype == np.float32
    assert gx.stack([x, [1, 2]]).dtype == np.float64
    same(evaluate([gx.stack([1, 2.5, n]), x], {x: np.zeros(2, "float32"), gx.tensor("y", ("n",)): np.zeros(3)})[0], np.array([1, 2.5, 3]))
    assert gx.stack([x[0], 2, 0.5]).dtype == np.float32
    assert [p.shape for p in gx.array_split(gx.arange(7), 3)] == [(3,), (2,), (2,)]
    assert [p.shape for p in gx.split(gx.arange(7), [2, 2, -1])] == [(2,), (0,), (4,), (1,)]
    same(evaluate([gx.repeat([1, 2, 3], [0, 2, 1])], {})[0], np.repeat([1, 2, 3], [0, 2, 1]))


# -- errors ----------------------------------------------------------------------------------------------------------------
def test_error_texts() -> None:
    x = gx.tensor("x", ("n", 4))
    v = gx.tensor("v", (6,))
    where = r", test_shape_ops\.py:\d+"
    for build, kind, text in [
        (lambda: gx.reshape(v, (4, 2)), ShapeError, r"reshape: f64\[6\] has 6 elements, \(4, 2\) has 8"),
        (lambda: gx.reshape(v, (4, -1)), ShapeError, rf"reshape: 6 elements do not divide into \(4, -1\) \(v: f64\[6\]{where}\)"),
        (lambda: gx.reshape(v, (-1, -1)), ShapeError, rf"reshape: only one size can be -1 \(v: f64\[6\]{where}\)"),
        (
            lambda: gx.reshape(v, (None, 6)),
            ShapeError,
            r"reshape: None is not a size here; hint: name the size: a string, a Dim, or x.shape\[k\]",
        ),
        (
            lambda: gx.transpose(x, (0, 0)),
            ShapeError,
            rf"transpose: axes \(0, 0\) do not name each of the 2 axes once \(x: f64\[n, 4\]{where}\)",
        ),
        (
            lambda: gx.concatenate([x, v]),
            ShapeError,
            rf"concatenate: 2 and 1 axes \(x: f64\[n, 4\]{where}, v: f64\[6\]{where}\); hint: gx.stack joins along a new axis",
        ),
        (
            lambda: gx.concatenate([x, gx.zeros((2, 3))]),
            ShapeError,
            rf"concatenate: sizes 4 and 3 of axis 1 differ \(x: f64\[n, 4\]{where}, broadcast: f64\[2, 3\]{where}\)",
        ),
        (
            lambda: gx.stack([x, v]),
            ShapeError,
            rf"stack: the shapes differ \(x: f64\[n, 4\]{where}, v: f64\[6\]{where}\); hint: gx.concatenate joins along an existing axis",
        ),
        (lambda: gx.concatenate(3), ArgumentError, r"concatenate takes a sequence of arrays, got 3"),
        (
            lambda: gx.split(v, 4),
            ShapeError,
            rf"split: size 6 of axis 0 does not divide into 4 equal parts \(v: f64\[6\]{where}\); hint: gx.array_split",
        ),
        (lambda: gx.array_split(v, 10**30), ArgumentError, rf"split: {10**30} parts; between 1 and 1000000 can be made .*"),
        (lambda: gx.sum(x, keepdims=np.ones(2)), ArgumentError, r"keepdims must be True or False, got ndarray array\(\[1., 1.\]\) .*"),
        (lambda: gx.squeeze(x, 1), ShapeError, rf"squeeze: axis 1 has size 4, not 1 \(x: f64\[n, 4\]{where}\)"),
        (lambda: gx.swapaxes(x, 0, 2), ShapeError, rf"swapaxes: axis 2 is out of range for 2 dimensions \(x: f64\[n, 4\]{where}\)"),
        (lambda: gx.pad(v, -1), ShapeError, rf"pad: a width cannot be negative: -1 \(v: f64\[6\]{where}\)"),
        (lambda: gx.pad(x, ((1, 1), (1, 1), (1, 1))), ShapeError, r"pad: pad_width .* does not give a pair for each of 2 axes .*"),
        (
            lambda: gx.arange(gx.scalar("k")),
            ArgumentError,
            rf"arange takes numbers and sizes \(k: f64\[\]{where}\); hint: a size cannot come from a value; use a Dim such as x.shape\[0\]",
        ),
        (
            lambda: gx.zeros((gx.scalar("k"), 2)),
            ShapeError,
            rf"zeros: a size cannot come from a value \(k: f64\[\]{where}\); hint: use an int, a Dim such as x.shape\[0\], or its name",
        ),
        (lambda: gx.arange(1, 2, 0), ArgumentError, "arange: the step is 0"),
        (lambda: gx.one_hot([0.5], 2), DTypeError, r"one_hot: indices must be integers .*; hint: cast with .astype\('int64'\)"),
        (lambda: gx.diag(gx.zeros((2, 2, 2))), ShapeError, r"diag takes a vector or a matrix, got 3 axes .*"),
        (lambda: gx.meshgrid([1], indexing="yx"), ArgumentError, "meshgrid: indexing is 'xy' or 'ij', got 'yx'"),
        (lambda: gx.matrix("A", 3), ShapeError, "matrix: the shape of 'A' must be two sizes, got 3; hint: gx.tensor takes any number"),
    ]:
        with pytest.raises(kind, match=f"^{text}$"):
            build()

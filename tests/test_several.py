"""divmod, modf, frexp and extremes with their position: values to the bit, kernels, derivatives, lanes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.interp import evaluate
from graphc.ir import Node
from graphc.program import Launch
from tests.derivatives import check_derivatives

FLOATS = ["float32", "float64"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
REASONS = {"divmod": gx.divmod, "modf": gx.modf, "frexp": gx.frexp}


def specials(dtype: str) -> np.ndarray:
    """Zeros, ones, halves, subnormals, the ends of the range, infinities, nan, and what is between, of both signs."""
    info = np.finfo(dtype)
    tiny, least = float(info.tiny), float(info.smallest_subnormal)
    base = [
        0.0,
        1.0,
        0.5,
        0.75,
        2.5,
        3.0,
        1e10,
        tiny,
        tiny * 0.75,
        least,
        3 * least,
        1 - float(info.eps) / 2,
        float(info.max),
        np.inf,
        np.nan,
    ]
    spread = np.ldexp(np.linspace(1, 1.99, 40), np.linspace(info.minexp - 20, info.maxexp - 2, 40).astype(int))
    values = np.array([*base, float(info.max), np.inf, np.nan, *spread], dtype)
    return np.concatenate([values, -values])


def same(got: np.ndarray, want: Any) -> None:
    """Equal dtypes and values, zeros of one sign; one nan is as good as another."""
    want = np.asarray(want)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)
    if want.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(got)[~np.isnan(want)], np.signbit(want)[~np.isnan(want)])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["modf", "frexp"])
def test_every_kind_of_float(name: str, dtype: str) -> None:
    value = specials(dtype)
    x = gx.tensor("x", ("n",), dtype)
    pair = REASONS[name](x)
    with np.errstate(all="ignore"):
        want = list(getattr(np, name)(value))
    if name == "frexp":
        want[1] = np.where(np.isfinite(value), want[1], 0).astype("int32")
    f, node_by_node = gx.function([x], pair), gx.function([x], pair, mode="interpret")
    for run in (f, node_by_node):
        for got, right in zip(run(value), want):
            same(got, right)
    for size in (0, 1, 3, 17):
        for got, right in zip(f(value[:size]), want):
            same(got, right[:size])
    if name == "frexp":
        finite = np.isfinite(value)
        back = np.ldexp(*f(value))
        same(back[finite].astype(dtype), value[finite])


@pytest.mark.parametrize("dtype", ["bool", *INTEGERS])
@pytest.mark.parametrize("name", ["modf", "frexp"])
def test_integers_are_taken_as_floats(name: str, dtype: str) -> None:
    value = np.array([0, 1, 2, 100], dtype)
    want = getattr(np, name)(value.astype(gx.sin(gx.asarray(value)).dtype))
    for got, right in zip(REASONS[name](gx.asarray(value)), want):
        same(gx.function([], got)(), right)


@pytest.mark.parametrize("dtype", FLOATS)
def test_divmod_of_floats(dtype: str) -> None:
    few = np.array([0.0, 1.0, 0.3, 7.5, 1e10, 1e-10, np.inf, np.nan], dtype)
    few = np.concatenate([few, -few])
    a, b = (v.ravel() for v in np.meshgrid(few, few))
    x, y = gx.tensor("x", ("n",), dtype), gx.tensor("y", ("n",), dtype)
    for got, alone in zip(gx.function([x, y], gx.divmod(x, y))(a, b), (gx.floor_divide(x, y), gx.mod(x, y))):
        same(got, gx.function([x, y], alone)(a, b))
    with np.errstate(all="ignore"):
        quotient, remainder = np.divmod(a, b)
    q, r = evaluate(list(gx.divmod(x, y)), {x: a, y: b})
    same(q, quotient)
    same(r, remainder)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_divmod_of_integers(dtype: str) -> None:
    info = np.iinfo(dtype)
    few = np.array([0, 1, 2, 7, info.max, info.min, info.max - 1, *([-1, -3] if info.min else [])], dtype)
    a, b = (v.ravel() for v in np.meshgrid(few, few))
    with np.errstate(all="ignore"):
        want = np.divmod(a, b)
    assert not want[0][b == 0].any() and not want[1][b == 0].any()
    x, y = gx.tensor("x", ("n",), dtype), gx.tensor("y", ("n",), dtype)
    for mode in ("default", "interpret"):
        for got, right in zip(gx.function([x, y], gx.divmod(x, y), mode=mode)(a, b), want):
            same(got, right)


def test_spellings() -> None:
    """The builtin, both ways round, and NumPy's functions; broadcasting and promotion."""
    x, k = gx.tensor("x", (2, 1)), gx.tensor("k", (3,), "int32")
    assert divmod(x, k) == gx.divmod(x, k) and divmod(7, k) == gx.divmod(7, k)
    assert np.divmod(x, k) == gx.divmod(x, k) and np.modf(x) == gx.modf(x) and np.frexp(x) == gx.frexp(x)
    q, r = divmod(x, k)
    assert q.shape == (2, 3) and q.dtype == r.dtype == "float64"
    assert divmod(gx.asarray(True), True)[0].dtype == np.divmod(np.bool_(True), np.bool_(True))[0].dtype
    with pytest.raises(gx.ShapeError, match="divmod"):
        gx.divmod(gx.tensor("a", 2), gx.tensor("b", 3))


EXTREMES = {"max": (gx.max_with_index, np.max, np.argmax), "min": (gx.min_with_index, np.min, np.argmin)}


@pytest.mark.parametrize("dtype", ["bool", *INTEGERS, *FLOATS])
@pytest.mark.parametrize("name", EXTREMES)
def test_an_extreme_and_its_position(name: str, dtype: str) -> None:
    ours, value_of, place_of = EXTREMES[name]
    rng = np.random.default_rng(7)
    x = gx.tensor("x", ("n", 4, 5), dtype)
    cases: list[tuple[Any, int | None]] = [(None, None), (0, 0), (1, 1), (-1, 2)]
    wanted = [ours(x, axis, keepdims=k) for axis, _ in cases for k in (False, True)]
    f = gx.function([x], wanted)
    for n in (1, 3):
        value = rng.integers(0, 3, (n, 4, 5)).astype(dtype)  # many are equal: the first counts
        if dtype in FLOATS and n == 3:
            value[1, 2, 3], value[2, 1, 1] = np.nan, np.inf
        found = iter(f(value))
        for _, numpy_axis in cases:
            for keepdims in (False, True):
                best, place = next(found)
                same(best, value_of(value, axis=numpy_axis, keepdims=keepdims))
                same(place, np.asarray(place_of(value, axis=numpy_axis, keepdims=keepdims), "int64"))
    for (best, place), (_, numpy_axis) in zip(evaluate_pairs([ours(x, axis) for axis, _ in cases], {x: value}), cases):
        same(best, value_of(value, axis=numpy_axis))
        same(place, np.asarray(place_of(value, axis=numpy_axis), "int64"))


def evaluate_pairs(pairs: list[tuple[Node, Node]], env: dict[Node, Any]) -> list[tuple[np.ndarray, np.ndarray]]:
    flat = evaluate([node for pair in pairs for node in pair], env)
    return list(zip(flat[::2], flat[1::2]))


@pytest.mark.parametrize("axis", [(0, 2), (1, 2), (0, 1), (), (2, 0)])
def test_several_axes_count_row_by_row(axis: tuple[int, ...]) -> None:
    x = gx.tensor("x", (3, 4, 5))
    value = np.random.default_rng(1).permutation(60).reshape(3, 4, 5).astype("float64")
    best, place = gx.function([x], gx.max_with_index(x, axis))(value)
    same(best, value.max(axis=axis))
    inner = tuple(sorted(axis))
    rows = np.moveaxis(value, inner, range(-len(inner), 0)).reshape(*best.shape, -1)
    same(place, np.asarray(rows.argmax(-1), "int64"))
    gradient = gx.function([x], gx.grad(gx.sum(gx.max_with_index(x, axis)[0] * 2), x))(value)
    same(gradient, 2.0 * (value == value.max(axis=axis, keepdims=True)))


def test_empty_axes_and_single_elements() -> None:
    with pytest.raises(gx.ShapeError, match="max_with_index"):
        gx.max_with_index(gx.tensor("x", (0, 3)), 0)
    none = gx.tensor("none", (0, 3))
    best, place = gx.function([none], gx.max_with_index(none, 1))(np.zeros((0, 3)))
    assert best.shape == place.shape == (0,)
    best, place = evaluate(list(gx.max_with_index(none, 1)), {none: np.zeros((0, 3))})
    assert best.shape == place.shape == (0,)
    t = gx.tensor("t")
    f = gx.function([t], [*gx.max_with_index(t), gx.grad(gx.max_with_index(t)[0], t)])
    assert [float(v) for v in f(3.5)] == [3.5, 0, 1]
    one = gx.tensor("one", (1, 1))
    assert [v.tolist() for v in gx.function([one], gx.min_with_index(one, 1))([[2.0]])] == [[2.0], [0]]


def test_of_what_is_repeated() -> None:
    """Rules that move broadcasts and reshapes behind elementwise ops know one output only: they leave these alone."""
    t = gx.tensor("t")
    wide = gx.broadcast_to(t, (3, 4))
    f = gx.function([t], [*gx.divmod(wide, 2.0), *gx.modf(gx.reshape(wide, (4, 3))), *gx.frexp(wide)])
    for got, want in zip(f(5.25), [2.0, 1.25, 0.25, 5.0, 0.65625, 3]):
        assert got.size == 12 and (got == want).all()


def test_one_pass_each() -> None:
    """Both outputs of each come from one kernel that reads its operand once, fused with what is around it."""
    x = gx.tensor("x", ("n", 300))
    uses: list[Callable[[Node], list[Node]]] = [
        lambda x: list(gx.max_with_index(gx.exp(x) * 2, axis=1)), lambda x: list(gx.max_with_index(x, axis=0)),
        lambda x: [v * 2 for v in gx.modf(x + 1)], lambda x: list(gx.frexp(gx.sin(x))), lambda x: list(gx.divmod(x, x + 7)),
    ]  # fmt: skip
    for use in uses:
        program = gx.function([x], use(x), threads=1)._executable.program
        assert sum(isinstance(step, Launch) for step in program.steps) == 1
        (kernel,) = program.kernels()
        assert sum(not o.written for o in kernel.operands) == 1


def test_outputs_stay_together_where_kernels_are_full() -> None:
    """More values than one kernel takes, all first outputs before all second ones: every operand is still read by one launch."""
    xs = [gx.tensor(f"x{k}", ("n",)) for k in range(70)]
    pairs = [gx.frexp(x) for x in xs]
    f = gx.function(xs, [[m for m, _ in pairs], [e for _, e in pairs]], threads=1)
    program = f._executable.program
    launches = [step for step in program.steps if isinstance(step, Launch)]
    reads = [program.buffers[b].index for step in launches for b in set(step.buffers) if program.buffers[b].role == "input"]
    assert sorted(reads) == list(range(70)) and len(launches) > 1
    mantissas, exponents = f(*[np.full(3, k + 1.0) for k in range(70)])
    assert [m[0] * 2.0 ** int(e[0]) for m, e in zip(mantissas, exponents)] == [k + 1.0 for k in range(70)]


# -- derivatives ----------------------------------------------------------------------------------------------------------
SMOOTH = np.array([[0.31, -1.27, 2.6], [7.3, -0.45, 1.9]])
COSTS: dict[str, Callable[[Node], Node]] = {
    "divmod": lambda x: gx.divmod(x * x, 0.77)[1] * gx.sin(x) + gx.divmod(3.3, x)[1],
    "quotient": lambda x: gx.divmod(x * x, 0.77)[0] * gx.sin(x),
    "modf": lambda x: gx.modf(x * x)[0] * gx.sin(x) + gx.modf(x)[1] * x,
    "frexp": lambda x: gx.frexp(x * x)[0] ** 3 + gx.frexp(x)[1] * x,
    "max": lambda x: gx.max_with_index(x * x, axis=0)[0] ** 2 * gx.sum(x),
    "min": lambda x: gx.min_with_index(gx.sin(x))[0] ** 3 * x,
}


@pytest.mark.parametrize("name", COSTS)
def test_derivatives(name: str) -> None:
    check_derivatives(COSTS[name], SMOOTH, tolerance=1e-5)
    x = gx.tensor("x", (2, 3))
    assert gx.check_grad(COSTS[name](x), x, {x: SMOOTH}, order=2) < 1e-5


def test_closed_forms() -> None:
    x, y = gx.tensor("x", (4,)), gx.tensor("y", (4,))
    a, b = np.array([7.5, -7.5, 0.3, 9.0]), np.array([2.0, 2.0, -0.7, 3.0])
    (q, r) = gx.divmod(x, y)
    dx, dy = gx.function([x, y], gx.grad(gx.sum(r * r) / 2, [x, y]))(a, b)
    np.testing.assert_allclose(dx, a % b)
    np.testing.assert_allclose(dy, -(a % b) * (a // b))
    zeros = gx.function([x, y], gx.grad(gx.sum(q), [x, y]))(a, b)
    assert not np.any(zeros)
    wide = np.array([3.0, 1e-200, -1e200, 0.0])
    same(gx.function([x], gx.grad(gx.sum(gx.frexp(x)[0]), x))(wide), np.ldexp(1.0, -np.frexp(wide)[1]))
    second = gx.grad(gx.sum(gx.grad(gx.sum(gx.frexp(x)[0]), x)), x)
    assert not gx.function([x], second)(wide).any()


def test_ties_and_nan() -> None:
    """The whole derivative goes to the index that is returned, at a nan too; `max` shares it among ties."""
    x = gx.tensor("x", (2, 4))
    value = np.array([[1.0, 3.0, 3.0, 2.0], [1.0, np.nan, np.nan, 5.0]])
    best = gx.max_with_index(x, axis=1)[0]
    g = gx.function([x], gx.grad(gx.sum(best), x))(value)
    same(g, np.array([[0.0, 1, 0, 0], [0, 1, 0, 0]]))
    same(gx.function([x], gx.grad(gx.sum(gx.max(x, axis=1)[:1]), x))(value)[0], np.array([0, 0.5, 0.5, 0]))
    # what is not chosen stays exactly 0 through an infinite derivative
    masked = gx.grad(gx.sum(gx.max_with_index(gx.sqrt(x), axis=1)[0]), x)
    same(gx.function([x], masked)(np.array([[0.0, 4, 1, 0], [0, 0, 0, 1]])), np.array([[0, 0.25, 0, 0], [0, 0, 0, 0.5]]))


@pytest.mark.parametrize("name", COSTS)
def test_lanes(name: str) -> None:
    xs = gx.tensor("xs", ("lanes", 2, 3))
    x = gx.tensor("x", (2, 3))
    value = np.stack([SMOOTH, SMOOTH[::-1], SMOOTH + 0.1])
    for f in (COSTS[name], lambda x: gx.grad(gx.sum(COSTS[name](x)), x)):
        lanes = gx.function([xs], gx.vmap(f)(xs))(value)
        np.testing.assert_allclose(lanes, [gx.function([x], f(x))(v) for v in value], rtol=1e-13)

"""`x.at[key]` with every update and every sort of key, and boolean masks, against NumPy; derivatives of orders 1 to 3."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir import Node
from tests.derivatives import check_derivatives

UFUNCS: dict[str, np.ufunc] = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide, "power": np.power, "min": np.minimum,
    "max": np.maximum,
}  # fmt: skip
SIZES = (1, 2, 2, 3, 3, 0)


def changed(name: str, x: np.ndarray, key: Any, value: Any) -> np.ndarray:
    """What NumPy makes of it: every update counts, one after the other."""
    out = x.copy()
    with np.errstate(all="ignore"):
        if name == "set":
            out[key] = value
        else:
            UFUNCS[name].at(out, key, value)
    return out


def drawn_key(rng: random.Random, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Integers, slices, None, ..., integer arrays that broadcast against each other, and masks."""
    where = tuple(rng.choice((1, 2, 3)) for _ in range(rng.choice((0, 1, 1, 2))))
    key: list[Any] = []
    axis = 0
    while axis < len(shape):
        n, choice = shape[axis], rng.randrange(9)
        if choice == 0 and n:
            key.append(rng.randrange(-n, n))
        elif choice <= 2:
            key.append(rng.choice((slice(None), slice(1, None), slice(None, None, -1), slice(None, None, 2), slice(0, -1))))
        elif choice <= 5 and n:
            kept = where[rng.randrange(len(where) + 1) :]
            kept = tuple(1 if rng.random() < 0.3 else s for s in kept)
            array = np.array([rng.randrange(-n, n) for _ in range(int(np.prod(kept)))], rng.choice(("int64", "int32", "int8")))
            key.append(array.reshape(kept))
        elif choice == 6 and not any(isinstance(k, np.ndarray) for k in key):
            axes = rng.choice((1, 2)) if axis + 1 < len(shape) else 1
            sizes = shape[axis : axis + axes]
            key.append(np.array([rng.random() < 0.5 for _ in range(int(np.prod(sizes)))], bool).reshape(sizes))
            axis += axes - 1
            where = ()
        elif choice == 7 and Ellipsis not in [k for k in key if k is Ellipsis]:
            key.append(Ellipsis)
            break
        else:
            key.append(slice(None))
        if rng.random() < 0.15:
            key.append(None)
        axis += 1
    return tuple(key)


def values_for(rng: random.Random, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.array([rng.choice((-2, -1, 1, 2, 3, 0.5)) for _ in range(int(np.prod(shape)))], dtype).reshape(shape)


@pytest.mark.parametrize("block", range(6))
def test_drawn_keys(block: int) -> None:
    """Of one drawn key all updates in one function, natively and by the interpreter, and the part itself."""
    for seed in range(block * 12, block * 12 + 12):
        rng = random.Random(seed)
        shape = tuple(rng.choice(SIZES) for _ in range(rng.choice((1, 2, 3))))
        dtype = rng.choice(("float64", "float64", "float32"))
        key = drawn_key(rng, shape)
        X = values_for(rng, shape, dtype)
        try:
            selected = X[key]
        except IndexError:
            continue
        V = values_for(rng, selected.shape if rng.random() < 0.7 else selected.shape[-1:], dtype)
        x, v = gx.tensor("x", shape, dtype), gx.tensor("v", V.shape, dtype)
        arrays = [k for k in key if isinstance(k, np.ndarray) and k.dtype != bool]
        nodes = [gx.tensor(f"i{k}", a.shape, a.dtype) for k, a in enumerate(arrays)]
        left = iter(nodes)
        symbolic = tuple(next(left) if isinstance(k, np.ndarray) and k.dtype != bool else k for k in key)
        for given in (key, symbolic):
            names = ["set", *UFUNCS]
            outputs = [x[given], *[getattr(x.at[given], name)(v) for name in names]]
            expected = [selected, *[changed(name, X, key, V) for name in names]]
            for mode in ("default", "interpret"):
                results = gx.function([x, v, *nodes], outputs, mode=mode)(X, V, *arrays)
                for name, got, want in zip(["get", *names], results, expected):
                    np.testing.assert_allclose(got, want, rtol=1e-6, err_msg=f"seed {seed}, {name}, {key}, {mode}")
                    assert got.dtype == want.dtype


INDEX = np.array([2, 0, 2, -1])  # 2 three times over, counted from either end


@pytest.mark.parametrize("name", ["set", *UFUNCS])
@pytest.mark.parametrize("key", [(INDEX % 3,), (slice(None), np.array([1, 1])), (1,), (np.array([0, 2]), slice(None, None, -1))], ids=repr)
def test_derivatives(name: str, key: tuple[Any, ...]) -> None:
    rng = np.random.default_rng(3)
    X = rng.uniform(0.5, 2, (3, 2))
    V = rng.uniform(0.5, 2, X[key].shape)
    check_derivatives(lambda x, v: getattr(x.at[key], name)(v), X, V)


@pytest.mark.parametrize("zeros", [(0,), (0, 1), (3,), (0, 3, 4)])
def test_products_with_zeros(zeros: tuple[int, ...]) -> None:
    """The derivative is the product of the others, also where that is of zeros: x_0, and the updates 0, 1, .. of which 0 and 2 meet."""
    flat = np.array([1.3, -0.7, 0.9, 1.1, -1.4, 0.6])
    flat[list(zeros)] = 0
    X, V = flat[:3], flat[3:]
    check_derivatives(lambda x, v: x.at[np.array([0, 2, 0])].multiply(v), X, V)


@pytest.mark.parametrize("name", ["min", "max"])
def test_ties_share(name: str) -> None:
    x, v, i = gx.vector("x", 3), gx.vector("v", 4), gx.vector("i", 4, "int64")
    out = getattr(x.at[i], name)(v)
    f = gx.function([x, v, i], gx.grad(gx.sum(out * np.array([1.0, 2.0, 4.0])), [x, v]))
    gx_, gv = f([1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], [0, 1, 1, -1])
    np.testing.assert_allclose(gx_, [1 / 2, 2 / 3, 2])
    np.testing.assert_allclose(gv, [1 / 2, 2 / 3, 2 / 3, 2])
    assert np.isnan(gx.function([x, v, i], out)([1.0, np.nan, 1.0], [np.nan, 1.0, 1.0, 1.0], [0, 0, 1, 2])[:2]).all()


def test_what_is_replaced_does_not_count() -> None:
    """sqrt at 0 has an infinite derivative, of which nothing arrives."""
    x, i = gx.vector("x", 3), gx.vector("i", 1, "int64")
    for key in (i, 1, np.array([1]), gx.arange(3) == 1):
        g = gx.function([x, i], gx.grad(gx.sum(gx.sqrt(x).at[key].set(0.0)), x), mode="default")
        np.testing.assert_array_equal(g([4.0, 0.0, 1.0], [1]), [0.25, 0, 0.5])
    m = gx.function([x, i], gx.grad(gx.sum(gx.sqrt(x).at[i].max(2.0)), x))
    np.testing.assert_array_equal(m([4.0, 0.0, 1.0], [1]), [0.25, 0, 0.5])


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8", "uint64", "bool"])
def test_integers(dtype: str) -> None:
    x, i = gx.tensor("x", (3,), dtype), gx.tensor("i", (4,), "int64")
    X, V = np.array([1, 0, 3], dtype), np.array([2, 0, 1, 1], dtype)
    names = ["set", "multiply", "min", "max"] if dtype == "bool" else ["set", "add", "subtract", "multiply", "min", "max"]
    for mode in ("default", "interpret"):
        results = gx.function([x, i], [getattr(x.at[i], name)(V) for name in names], mode=mode)(X, INDEX % 3)
        for name, got in zip(names, results):
            np.testing.assert_array_equal(got, changed(name, X, INDEX % 3, V), err_msg=name)
    if dtype == "uint8":
        np.testing.assert_array_equal(
            gx.function([x, i], x.at[i].subtract(3))(X, INDEX % 3), changed("subtract", X, INDEX % 3, np.uint8(3))
        )


# -- out of range -----------------------------------------------------------------------------------------------------------
OUTSIDE = np.array([0, 5, -4, -1, 3])  # of 3 rows: 5, -4 and 3 lie outside


@pytest.mark.parametrize("rows", [3, "n"])
@pytest.mark.parametrize("known", [True, False])
def test_out_of_range(rows: int | str, known: bool) -> None:
    x, i = gx.tensor("x", (rows, 2)), gx.tensor("i", (5,), "int64")
    X, V = np.arange(6.0).reshape(3, 2) + 1, np.arange(10.0).reshape(5, 2)
    inside = (OUTSIDE >= -3) & (OUTSIDE < 3)
    clipped = np.clip(np.where(OUTSIDE < 0, OUTSIDE + 3, OUTSIDE), 0, 2)
    key: Any = OUTSIDE if known else i
    for name in ("set", *UFUNCS):
        at = getattr(x.at[key], name)
        got = gx.function([x, i], [at(V, mode="drop"), at(V, mode="clip")])(X, OUTSIDE)
        np.testing.assert_allclose(got[0], changed(name, X, OUTSIDE[inside], V[inside]), err_msg=name)
        np.testing.assert_allclose(got[1], changed(name, X, clipped, V), err_msg=name)
    filled = np.where(inside[:, None], X[clipped], -1)
    got = gx.function([x, i], [x.at[key].get(mode="fill", fill_value=-1), x.at[key].get(mode="clip"), x.at[7, 1].get(mode="fill")])(
        X, OUTSIDE
    )
    np.testing.assert_array_equal(got[0], filled)
    np.testing.assert_array_equal(got[1], X[clipped])
    assert np.isnan(got[2])


def test_nothing_to_select_from() -> None:
    x, i = gx.tensor("x", ("n",)), gx.tensor("i", (2,), "int64")
    f = gx.function([x, i], [x.at[i].get(mode="fill", fill_value=7), x.at[i].add(1.0, mode="drop"), x.at[i].set(1.0, mode="drop")])
    got = f(np.zeros(0), [0, -1])
    np.testing.assert_array_equal(got[0], [7, 7])
    assert got[1].shape == got[2].shape == (0,)


@pytest.mark.parametrize("name", ["set", "add", "multiply", "max"])
def test_derivatives_of_what_is_dropped(name: str) -> None:
    rng = np.random.default_rng(5)
    check_derivatives(lambda x, v: getattr(x.at[OUTSIDE], name)(v, mode="drop"), rng.uniform(0.5, 2, (3, 2)), rng.uniform(0.5, 2, (5, 2)))


# -- boolean nodes ------------------------------------------------------------------------------------------------------------
MASKED_KEYS: list[Callable[[Any, Any, Any], Any]] = [  # of a mask by rows, of columns, of rows and columns: for arrays of shape (4, 3, 2)
    lambda r, c, rc: r,
    lambda r, c, rc: (slice(None), c),
    lambda r, c, rc: rc,
    lambda r, c, rc: (Ellipsis, c, 1),
    lambda r, c, rc: (0, c),
    lambda r, c, rc: (1, slice(None), c[:2]),
    lambda r, c, rc: (r, None, slice(None, None, -1)),
    lambda r, c, rc: (slice(1, 3), c, slice(None, 1)),
]
REDUCTIONS: dict[str, Callable[..., Any]] = {
    "sum": lambda m, a, **k: m.sum(a, **k), "prod": lambda m, a, **k: m.prod(a, **k),
    "mean": lambda m, a, **k: m.mean(a, **k), "var": lambda m, a, **k: m.var(a, **k),
    "std": lambda m, a, **k: m.std(a, **k), "max": lambda m, a, **k: m.max(a, **k),
    "min": lambda m, a, **k: m.min(a, **k),
}  # fmt: skip


@pytest.mark.parametrize("key", MASKED_KEYS)
def test_masked_selections(key: Callable[..., Any]) -> None:
    rng = np.random.default_rng(2)
    X = rng.normal(size=(4, 3, 2)).round(1)
    R, C, RC = np.array([True, False, True, True]), np.array([False, True, True]), rng.random((4, 3)) < 0.5
    x = gx.tensor("x", ("n", 3, 2))
    r, c, rc = gx.tensor("r", ("n",), "bool"), gx.tensor("c", (3,), "bool"), gx.tensor("rc", ("n", 3), "bool")
    part, selected = x[key(r, c, rc)], X[key(R, C, RC)]
    assert part.ndim == selected.ndim and part.dtype == selected.dtype
    outputs, expected = [], []
    for axis in [None, part.place, *([(part.place, a) for a in range(part.ndim) if a != part.place])]:
        for f, g in itertools.product([lambda m: m, lambda m: (m * 2 + 1) ** 2 - m], REDUCTIONS.values()):
            for keep in (False, True):
                outputs.append(g(f(part), axis, keepdims=keep))
                expected.append(g(f(selected), axis, keepdims=keep))
    outputs += [gx.any(part > 0), gx.all(part > -3), gx.count_nonzero(part), gx.logsumexp(part), gx.mean(gx.exp(part) - part)]
    expected += [np.any(selected > 0), np.all(selected > -3), np.count_nonzero(selected), np.log(np.exp(selected).sum()),
                 np.mean(np.exp(selected) - selected)]  # fmt: skip
    for mode in ("default", "interpret"):
        for got, want in zip(_called(x, r, c, rc, outputs, mode, (X, R, C, RC)), expected):
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def _called(x: Node, r: Node, c: Node, rc: Node, outputs: list[Node], mode: str, given: tuple[np.ndarray, ...]) -> Any:
    return gx.function([x, r, c, rc], outputs, mode=mode)(*given)


@pytest.mark.parametrize("key", MASKED_KEYS)
def test_updates_of_masked_parts(key: Callable[..., Any]) -> None:
    rng = np.random.default_rng(4)
    X = rng.uniform(0.5, 2, size=(4, 3, 2)).round(2)
    R, C, RC = np.array([True, False, True, True]), np.array([False, True, True]), rng.random((4, 3)) < 0.5
    x = gx.tensor("x", (4, 3, 2))
    r, c, rc = gx.tensor("r", (4,), "bool"), gx.tensor("c", (3,), "bool"), gx.tensor("rc", (4, 3), "bool")
    selected = X[key(R, C, RC)]
    outputs, expected = [], []
    for name in ("set", *UFUNCS):
        outputs += [getattr(x.at[key(r, c, rc)], name)(1.5), getattr(x.at[key(r, c, rc)], name)(x[key(r, c, rc)] * 2)]
        expected += [changed(name, X, key(R, C, RC), 1.5), changed(name, X, key(R, C, RC), selected * 2)]
    for got, want in zip(_called(x, r, c, rc, outputs, "default", (X, R, C, RC)), expected):
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_gradients_leave_out_what_is_not_selected() -> None:
    x = gx.vector("x", "n")
    f = gx.function([x], gx.value_and_grad(gx.sum(gx.log(x[x > 0])), x))
    value, g = f([1.0, 0.0, -2.0, 4.0])
    assert value == np.log(4.0)
    np.testing.assert_array_equal(g, [1, 0, 0, 0.25])
    check_derivatives(lambda x: gx.std(x[gx.asarray(np.array([True, False, True, True])) & (x < 9)]), np.array([0.3, 5.0, 1.2, -0.7]))
    empty = gx.function([x], [gx.sum(x[x > 9]), gx.max(x[x > 9]), gx.mean(x[x > 9])])([1.0, 2.0])
    assert empty[0] == 0 and empty[1] == -np.inf and np.isnan(empty[2])


def test_errors_of_masks() -> None:
    x, y, m = gx.tensor("x", (4, 3)), gx.vector("y", 4), gx.tensor("m", (4,), "bool")
    for build, error, text in [
        (lambda: gx.sort(x[m]) if hasattr(gx, "sort") else gx.asarray(x[m]), gx.ArgumentError, r"of x\[mask\]: how many elements"),
        (lambda: x[m] + gx.ones((4, 3)), gx.ArgumentError, r"an array meets x\[mask\]"),
        (lambda: x[m] + x[y > 0], gx.ArgumentError, "two masked selections do not meet"),
        (lambda: x[m, m[:3]], gx.ArgumentError, "one boolean node can be part of a key"),
        (lambda: x[m, [0, 1]], gx.ArgumentError, "goes with integers, slices, None and ..., not with arrays"),
        (lambda: x[:, m], gx.ShapeError, r"a boolean mask for axes of sizes \(3\)"),
        (lambda: x[m].shape, gx.ArgumentError, "the shape of x"),
        (lambda: len(x[m]), gx.ArgumentError, "the length of x"),
        (lambda: x[m][0], gx.ArgumentError, "a part of x"),
        (lambda: x.at[m].set(np.ones((2, 3))), gx.ArgumentError, "an array meets"),
        (lambda: x.at[0].set(1.0, mode="bounce"), gx.ArgumentError, "at: mode is one of 'raise', 'clip', 'drop', 'fill'"),
        (lambda: x.at[0, 9].set(1.0), gx.IndexOutOfRange, "index 9 is out of range for axis 1 of size 3"),
        (lambda: x.astype("int32").at[0].divide(2), gx.DTypeError, "the result of a division is no int32"),
        (lambda: np.where(m), gx.ArgumentError, r"nonzero: how many elements are selected only values tell"),
        (lambda: np.nonzero(m), gx.ArgumentError, r"nonzero: how many elements are selected only values tell .*size=n"),
        (lambda: gx.compress(m, x, 1, size=2), gx.ShapeError, "a condition of 4 elements for an axis of size 3"),
    ]:
        with pytest.raises(error, match=text):
            build()


# -- positions ------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [0, 1, 3, 9])
def test_positions(size: int) -> None:
    x = gx.tensor("x", ("n", 3))
    outputs = [*gx.nonzero(x, size=size, fill_value=(-1, -2)), gx.flatnonzero(x, size=size, fill_value=5), gx.argwhere(x, size=size),
               gx.compress(x[:, 0] != 0, x, 0, size=size, fill_value=4), gx.extract(x > 0, x, size=size, fill_value=9)]  # fmt: skip
    f = gx.function([x], outputs)
    for X in (np.array([[0, 1, np.nan], [0, 0, 0], [-2, 0, 3]]), np.zeros((2, 3)), np.ones((1, 3)), np.zeros((0, 3))):
        i, j = np.nonzero(X)
        rows, flat = X[X[:, 0] != 0], X[X > 0]
        pad = lambda a, fill: np.concatenate([a[:size], np.full((max(size - len(a), 0), *a.shape[1:]), fill)])
        wanted = [pad(i, -1), pad(j, -2), pad(np.flatnonzero(X), 5), pad(np.argwhere(X), 0), pad(rows, 4), pad(flat, 9)]
        for got, want in zip(f(X), wanted):
            np.testing.assert_array_equal(got, want)
    X = np.array([[0, 1], [2, 0]])
    assert [k.eval().tolist() for k in gx.nonzero(X)] == [[0, 1], [1, 0]] and gx.flatnonzero(X).eval().tolist() == [1, 2]
    mask, y = np.array([[True, False], [True, True]]), gx.tensor("y", (2, 2))
    assert np.extract(mask, y).eval({y: X}).tolist() == [0, 2, 0] and np.compress(mask[0], y, axis=0).eval({y: X}).tolist() == [[0, 1]]
    assert gx.compress([True, False], X, 1).eval().tolist() == [[0], [2]] and gx.argwhere(X).eval().tolist() == [[0, 1], [1, 0]]


def test_derivatives_of_what_is_extracted() -> None:
    check_derivatives(lambda x: gx.extract(x > 0, x**2, size=3), np.array([0.3, -5.0, 1.2, -0.7]))

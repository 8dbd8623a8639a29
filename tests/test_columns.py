"""Reductions over leading and middle axes: turned loops, several in one kernel, producers inside, and what stays outside."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

import graphc as gx
from graphc.codegen.strategy.loops import IN_MEMORY
from graphc.codegen.target import host
from graphc.interp import evaluate

WIDTHS = [1, 3, 15, 16, 17, 33, 64, 100, 128, 257, 1024]  # of columns: tails, one vector, several, the widest turn
HEIGHTS = [0, 1, 2, 5, 8, 31]


def numbers(shape: tuple[int, ...], dtype: str = "float64", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def steps(f: gx.Function) -> int:
    return len(re.findall(r"\n *loops ", f.program))


def moments(x: gx.Node) -> tuple[gx.Node, gx.Node]:
    return gx.mean(x, axis=0), gx.var(x, axis=0)


# -- values -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("symbolic", [False, True])
def test_mean_and_variance(dtype: str, columns: int, symbolic: bool) -> None:
    x = gx.tensor("x", ("m", "n" if symbolic else columns), dtype)
    f = gx.function([x], moments(x))
    assert steps(f) == 3  # one kernel for low columns; what chunks of rows come to, read once, and what these come to for high ones
    eps = np.finfo(dtype).eps
    for rows in HEIGHTS:
        X = numbers((rows, columns), dtype) + np.asarray(3, dtype)
        with np.errstate(all="ignore"):
            if rows == 0:
                want = np.full(columns, np.nan), np.full(columns, np.nan)
            else:
                want = X.astype("float64").mean(axis=0), X.astype("float64").var(axis=0)
        for got, expected in zip(f(X), want, strict=True):
            assert got.dtype == dtype
            np.testing.assert_allclose(got, expected, rtol=8 * eps, atol=40 * eps)


@pytest.mark.parametrize("columns", [1, 5, 16, 70, 300])
def test_known_rows(columns: int) -> None:
    for rows in (1, 2, 3, 4, 7, 9):
        x = gx.tensor("x", (rows, columns))
        X = numbers((rows, columns))
        for got, want in zip(gx.function([x], moments(x))(X), (X.mean(axis=0), X.var(axis=0)), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-14)


COMBINES: dict[str, Callable[..., object]] = {
    name: getattr(np, name) for name in ("sum", "prod", "max", "min", "any", "all", "argmax", "argmin")
}


@pytest.mark.parametrize("name", COMBINES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "bool"])
def test_every_combine(name: str, dtype: str) -> None:
    for rows, columns in ((1, 1), (2, 3), (7, 17), (13, 200)):
        X = (numbers((rows, columns)) * 2).astype(dtype)
        if dtype[0] == "f":
            X[rows // 2, columns // 2], X[0, -1], X[-1, 0] = np.nan, np.inf, -np.inf
        x = gx.tensor("x", ("m", columns), dtype)
        if dtype == "bool" and name in ("max", "min", "argmax", "argmin"):
            continue
        with np.errstate(all="ignore"):
            want = COMBINES[name](X.astype("float64") if dtype[0] == "f" else X, axis=0)
        # a sum of terms a is within len(a) roundings of sum(abs(a)), which is below 8 a term here
        bound = {"float32": 2.0**-23, "float64": 2.0**-52}.get(dtype, 0.0) * rows
        got = gx.function([x], getattr(gx, name)(x, axis=0))(X)
        np.testing.assert_allclose(got, want, rtol=bound, atol=bound * 8 * rows if name == "sum" else 0)


@pytest.mark.parametrize("axis", [0, 1, 2, (0, 1), (0, 2), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("shape", [(2, 3, 5), (4, 1, 33), (1, 6, 20), (3, 40, 1), (0, 3, 4), (5, 9, 70)])
def test_axes_in_the_middle(axis: int | tuple[int, ...], shape: tuple[int, ...]) -> None:
    x = gx.tensor("x", (shape[0], "k", shape[2]))
    y = gx.sum(x * x, axis=axis), gx.max(gx.abs(x) + 1.0, axis=axis) if 0 not in shape else gx.sum(x, axis=axis)
    X = numbers(shape)
    want = (X * X).sum(axis=axis), (np.abs(X) + 1).max(axis=axis) if 0 not in shape else X.sum(axis=axis)
    for got, expected in zip(gx.function([x], y)(X), want, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-13)


def test_transposed_operands() -> None:
    x, y = gx.tensor("x", ("n", 9)), gx.tensor("y", (9, "n"))
    X, Y = numbers((37, 9)), numbers((9, 37), seed=1)
    f = gx.function([x, y], (gx.sum(x * y.T, axis=0), gx.sum(x.T * y, axis=0), gx.softmax(x.T, axis=1), gx.sum(gx.exp(x.T), axis=0)))
    e = np.exp(X.T - X.T.max(axis=1, keepdims=True))
    want = (X * Y.T).sum(axis=0), (X.T * Y).sum(axis=0), e / e.sum(axis=1, keepdims=True), np.exp(X.T).sum(axis=0)
    for got, expected in zip(f(X, Y), want, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-14)


# -- what shares a kernel -----------------------------------------------------------------------------------------------
def test_sums_of_one_domain_share_a_nest() -> None:
    g, x = gx.tensor("g", (19, 64)), gx.tensor("x", (19, 64))
    mu, r = gx.tensor("mu", (19, 1)), gx.tensor("r", (19, 1))
    f = gx.function([g, x, mu, r], (gx.sum(g, axis=0), gx.sum(g * ((x - mu) * r), axis=0), gx.sum(gx.square(x), axis=0)))
    assert steps(f) == 1 and f.loops.count("serial") == 1
    G, X, M, R = (numbers(s, seed=k) for k, s in enumerate([(19, 64), (19, 64), (19, 1), (19, 1)]))
    for got, want in zip(f(G, X, M, R), (G.sum(0), (G * (X - M) * R).sum(0), (X * X).sum(0)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def test_sums_of_different_arrays_do_not() -> None:
    """Bias gradients of many layers: one kernel would keep all alive until the last. Five sums have room for three turns, so two."""
    xs = [gx.tensor(f"x{k}", (9, 6)) for k in range(5)]
    assert steps(gx.function(xs, [gx.sum(x, axis=0) for x in xs])) == 1  # one kernel, launched five times
    assert gx.function(xs, [gx.sum(x, axis=0) for x in xs]).cost()["kernels"] == 5
    f = gx.function(xs, [gx.sum(x * xs[0], axis=0) for x in xs])
    assert f.cost()["kernels"] == 1
    values = [numbers((9, 6), seed=k) for k in range(5)]
    for got, v in zip(f(*values), values, strict=True):
        np.testing.assert_allclose(got, (v * values[0]).sum(axis=0), rtol=1e-12, atol=1e-13)


def test_a_value_for_others_is_stored_where_it_is_summed() -> None:
    h, g, w = gx.tensor("h", (21, 40)), gx.tensor("g", (21, 40)), gx.tensor("w", (40, 8))
    d = gx.where(h > 0, g, 0.0)
    f = gx.function([h, g, w], (d @ w, gx.sum(d, axis=0)))
    assert steps(f) == 1  # beside the product
    H, G, W = numbers((21, 40)), numbers((21, 40), seed=1), numbers((40, 8), seed=2)
    D = np.where(H > 0, G, 0)
    for got, want in zip(f(H, G, W), (D @ W, D.sum(0)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def test_a_transcendental_that_others_read_stays_outside() -> None:
    x = gx.tensor("x", (33, 64))
    f = gx.function([x], gx.softmax(x, axis=0))
    assert f.program.count("exp") == 1
    X = numbers((33, 64))
    e = np.exp(X - X.max(axis=0))
    np.testing.assert_allclose(f(X), e / e.sum(axis=0), rtol=1e-13)
    one = gx.function([x], gx.sum(gx.exp(x), axis=0))
    assert steps(one) == 1 and one.memory()["arena"] == 0


@pytest.mark.parametrize("columns", [1, 3, 4, 8, 17, 64])
def test_transcendentals_into_columns(columns: int) -> None:
    x = gx.tensor("x", ("m", columns))
    X = numbers((12, columns))
    f = gx.function([x], (gx.sum(gx.exp(gx.sin(x)), axis=0), gx.var(gx.tanh(x), axis=0), gx.sum(gx.sign(gx.sin(x) * 4.0), axis=0)))
    for got, want in zip(f(X), (np.exp(np.sin(X)).sum(0), np.tanh(X).var(0), np.sign(np.sin(X)).sum(0)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)


def test_square_matrices_in_both_directions() -> None:
    """One size for rows and columns: an element must not be taken for its transpose."""
    x = gx.tensor("x", (24, 24))
    a = gx.exp(x)
    f = gx.function(
        [x], (gx.sum(a, axis=0), x - gx.mean(x, axis=0), gx.softmax(x - gx.mean(x, axis=0), axis=1), gx.sum(x * x.T, axis=0), x.T + a)
    )
    X = numbers((24, 24))
    c = X - X.mean(axis=0)
    e = np.exp(c - c.max(axis=1, keepdims=True))
    want = np.exp(X).sum(0), c, e / e.sum(axis=1, keepdims=True), (X * X.T).sum(0), X.T + np.exp(X)
    for got, expected in zip(f(X), want, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-14)


def test_bias_is_updated_in_place() -> None:
    b = gx.shared(np.zeros(50), "b")
    d = gx.tensor("d", (9, 50))
    f = gx.function([d], updates={b: b - 0.5 * gx.sum(d, axis=0)})
    assert steps(f) == 1 and f.memory()["arena"] == 0
    D = numbers((9, 50))
    for _ in range(3):
        f(D)
    np.testing.assert_allclose(b.get_value(), -1.5 * D.sum(axis=0), rtol=1e-12)


# -- derivatives --------------------------------------------------------------------------------------------------------
def batch_norm(x: gx.Node, g: gx.Node, b: gx.Node) -> gx.Node:
    return gx.tanh((x - gx.mean(x, axis=0)) / gx.sqrt(gx.var(x, axis=0) + 1e-3) * g + b)


def layer_norm(x: gx.Node, g: gx.Node, b: gx.Node) -> gx.Node:
    return (x - gx.mean(x, axis=1, keepdims=True)) / gx.sqrt(gx.var(x, axis=1, keepdims=True) + 1e-3) * g + b


def spread(x: gx.Node, g: gx.Node, b: gx.Node) -> gx.Node:
    return gx.std(x * g, axis=0) + gx.mean(gx.square(x + b), axis=0) + gx.logsumexp(x, axis=0)


@pytest.mark.parametrize("build", [batch_norm, layer_norm, spread], ids=lambda f: f.__name__)
@pytest.mark.parametrize("shape", [(2, 3), (7, 17), (9, 64)])
@pytest.mark.parametrize("symbolic", [False, True])
def test_derivatives(build: Callable[..., gx.Node], shape: tuple[int, int], symbolic: bool) -> None:
    """Compiled first and second derivatives against those of the interpreter."""
    m, n = ("m", "n") if symbolic else shape
    x, g, b = gx.tensor("x", (m, n)), gx.tensor("g", (n,)), gx.tensor("b", (n,))
    y = build(x, g, b)
    weights = gx.cos(gx.arange(y.shape[-1]).astype("float64"))
    cost = gx.sum(gx.square(y) * weights) + gx.sum(y)
    first = gx.grad(cost, [x, g, b])
    second = gx.hvp(cost, [x, g, b], [gx.sin(x), g * 0.5, b + 1.0])
    arrays = [numbers(shape), numbers(shape[1:], seed=1), numbers(shape[1:], seed=2)]
    outputs = [cost, *first, *second]
    want = evaluate(outputs, dict(zip([x, g, b], arrays, strict=True)))
    for got, expected in zip(gx.function([x, g, b], outputs)(*arrays), want, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9 * (1 + np.abs(expected).max()))


def test_the_first_loop_down_the_rows_asks_ahead_where_arrays_come_from_memory() -> None:
    """Sums alone have one loop: of arrays that the caches hold it finds all there, and asking is only more work."""
    rows = 4096

    def asks(columns: object) -> bool:
        x, y = (gx.tensor(name, (rows, columns), "float32") for name in "xy")
        return "ahead" in gx.function([x, y], [gx.sum(x * y, axis=0), gx.sum(y, axis=0)]).loops

    enough = IN_MEMORY * host().l2 // (rows * 4)
    assert asks(enough) and not asks(enough // 4) and not asks("n")

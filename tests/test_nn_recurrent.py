"""`gx.nn` recurrent layers against loops in NumPy: cells, lengths, directions, wirings, gradients; wrong dicts and sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, ShapeError

RNG = np.random.default_rng(4)
nn = gx.nn
TIME, BATCH, WIDE, SIZE = 6, 3, 4, 5


def rnn_cell(p: Any, h: Any, x: Any) -> tuple[Any, ...]:
    return (np.tanh(x @ p["weight"] + p["bias"] + h[0] @ p["recurrent"]),)


def lstm_cell(p: Any, state: Any, x: Any, squash: str = "cell") -> tuple[Any, ...]:
    h, c = state
    i, f, g, o = np.split(x @ p["weight"] + p["bias"] + h @ p["recurrent"], 4, -1)
    c = c * expit(f) + expit(i) * np.tanh(g)
    return (np.tanh(c) * expit(o) if squash == "cell" else np.tanh(c * expit(o))), c


def gru_cell(p: Any, h: Any, x: Any, reset_after: bool = True) -> tuple[Any, ...]:
    a, b, n = np.split(x @ p["weight"] + p["bias"], 3, -1)
    ur, uz, un = np.split(p["recurrent"], 3, -1)
    cr, cz, cn = np.split(p["recurrent_bias"], 3, -1)
    r, z = expit(a + h[0] @ ur + cr), expit(b + h[0] @ uz + cz)
    new = np.tanh(n + r * (h[0] @ un + cn)) if reset_after else np.tanh(n + (r * h[0]) @ un + cn)
    return ((1 - z) * new + z * h[0],)


CELLS: dict[str, tuple[Any, Any, int, dict[str, Any]]] = {
    "rnn": (nn.rnn, rnn_cell, 1, {}),
    "lstm, product": (nn.lstm, lstm_cell, 2, {"squash": "product"}),
    "gru": (nn.gru, gru_cell, 1, {}),
    "gru, before": (nn.gru, gru_cell, 1, {"reset_after": False}),
}


def parameters(name: str) -> Any:
    p = getattr(nn.init, name.split(",")[0])(RNG, WIDE, SIZE)
    return {k: v + 0.3 * RNG.normal(size=v.shape) for k, v in p.items()}


def run(cell: Any, p: Any, xs: Any, state: tuple[Any, ...], options: Any) -> tuple[np.ndarray, tuple[Any, ...]]:
    hs = []
    for x in xs:
        state = cell(p, state, x, **options)
        hs.append(state[0])
    return np.array(hs), state


@pytest.mark.parametrize("name", CELLS)
def test_cells(name: str) -> None:
    """Values in both directions from a state, each sequence at its own length as if run alone; the gradient against differences."""
    layer, cell, parts, options = CELLS[name]
    p, X = parameters(name), RNG.normal(size=(TIME, BATCH, WIDE))
    start = tuple(RNG.normal(size=(BATCH, SIZE)) * 0.5 for _ in range(parts))
    lengths = np.array([6, 1, 4])
    q, x, n = gx.like(p), gx.tensor("x", ("t", "b", WIDE)), gx.tensor("n", ("b",), "int64")
    given = tuple(gx.tensor(f"s{k}", ("b", SIZE)) for k in range(parts))
    state = given if parts == 2 else given[0]
    plain = layer(q, x, state, **options)
    ragged, back = layer(q, x, state, lengths=n, **options), layer(q, x, state, lengths=n, reverse=True, **options)
    loss = gx.sum(gx.sin(ragged[0]))
    f = gx.function([q, x, n, given], [plain, ragged, back, gx.grad(loss, q), loss])
    got, by_length, backwards, grads, _ = f(p, X, lengths, start)
    leaves = lambda found: [found[0], *gx.tree.leaves(found[1])]
    hs, last = run(cell, p, X, start, options)
    for a, b in zip(leaves(got), [hs, *last], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)
    for k, count in enumerate(lengths):
        own = tuple(s[k] for s in start)
        for found, turns in ((by_length, slice(None)), (backwards, slice(None, None, -1))):
            hs, last = run(cell, p, X[:count, k][turns], own, options)
            padded = np.concatenate([hs[turns], np.zeros((TIME - count, SIZE))])
            for a, b in zip([found[0][:, k], *[s[k] for s in gx.tree.leaves(found[1])]], [padded, *last], strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)
    for key, g in grads.items():
        v = RNG.normal(size=g.shape)
        sides = [f({**p, key: p[key] + s * v}, X, lengths, start)[4] for s in (1e-6, -1e-6)]
        np.testing.assert_allclose((g * v).sum(), (sides[0] - sides[1]) / 2e-6, rtol=1e-6, atol=1e-7)
    one = f(p, X[:1, :1], lengths[1:2], tuple(s[:1] for s in start))
    np.testing.assert_allclose(one[0][0], got[0][:1, :1], rtol=1e-11)


def test_gates_that_only_remember() -> None:
    """f = 1 and i = 0 copy c exactly; of the other form f = 0, i = o = 1 is a plain net with one tanh more."""
    p = nn.init.lstm(0, 2, 3)
    big = {**p, "bias": np.repeat([-1e4, 1e4, 0.0, 1.0], 3)}
    c = RNG.normal(size=(1, 3)) * 3
    _, (_, kept) = nn.lstm(big, RNG.normal(size=(50, 1, 2)), (np.zeros((1, 3)), c))
    np.testing.assert_array_equal(kept.eval(), c)
    plain = {**p, "bias": np.repeat([1e4, -1e4, 0.0, 1e4], 3)}
    X, h = RNG.normal(size=(1, 1, 2)), RNG.normal(size=(1, 3))
    _, (s, _) = nn.lstm(plain, X, (h, c), squash="product")
    want = np.tanh(np.tanh(X[0] @ p["weight"][:, 6:9] + h @ p["recurrent"][:, 6:9]))
    np.testing.assert_allclose(s.eval(), want, rtol=1e-13)


def test_bidirectional() -> None:
    p = nn.init.bidirectional(nn.init.lstm, 0, WIDE, SIZE)
    X, lengths = RNG.normal(size=(TIME, 2, WIDE)), np.array([6, 3])
    hs, (there, back) = nn.bidirectional(nn.lstm, p, X, lengths=lengths)
    for k, count in enumerate(lengths):
        first = nn.lstm(p["forward"], X[:count, k])
        second = nn.lstm(p["backward"], X[:count, k][::-1])
        np.testing.assert_allclose(hs.eval()[:count, k, :SIZE], first[0].eval(), rtol=1e-12)
        np.testing.assert_allclose(hs.eval()[:count, k, SIZE:], second[0].eval()[::-1], rtol=1e-12)
        np.testing.assert_allclose(there[1].eval()[k], first[1][1].eval(), rtol=1e-12)
        np.testing.assert_allclose(back[0].eval()[k], second[1][0].eval(), rtol=1e-12)


def test_outputs_alone_are_carried() -> None:
    """Teacher forcing has no loop, and is the free run where the targets are what that gives."""
    p = nn.init.jordan_rnn(0, WIDE, SIZE, 2)
    X, first = RNG.normal(size=(TIME, BATCH, WIDE)), RNG.normal(size=(BATCH, 2))
    q, x, y, o = gx.like(p), gx.tensor("x", ("t", BATCH, WIDE)), gx.tensor("y", ("t", BATCH, 2)), gx.tensor("o", (BATCH, 2))
    free = gx.function([q, x, o], nn.jordan_rnn(q, x, first=o, feedback=gx.softmax))
    forced = nn.jordan_rnn(q, x, y, first=o)
    f = gx.function([q, x, y, o], [forced, gx.grad(gx.sum(forced**2), q)])
    assert "scan" not in f.graph
    outs, before = [], first
    for at in X:
        outs.append(np.tanh(at @ p["weight"] + p["bias"] + before @ p["recurrent"]) @ p["out"]["weight"] + p["out"]["bias"])
        before = np.exp(outs[-1]) / np.exp(outs[-1]).sum(-1, keepdims=True)
    found = free(p, X, first)
    np.testing.assert_allclose(found, outs, rtol=1e-12)
    targets = np.exp(found) / np.exp(found).sum(-1, keepdims=True)
    np.testing.assert_allclose(f(p, X, targets, first)[0], found, rtol=1e-12)


def test_refused() -> None:
    p, X = nn.init.lstm(0, WIDE, SIZE), np.zeros((TIME, BATCH, WIDE))
    with pytest.raises(ArgumentError, match=r"lstm: the parameters have no 'recurrent'.*gx.nn.init.lstm"):
        nn.lstm({"weight": p["weight"], "bias": p["bias"]}, X)
    with pytest.raises(ShapeError, match="rnn: columns of 'recurrent' and 1 times the rows of 'recurrent' differ: 20 and 5"):
        nn.rnn(p, X)
    with pytest.raises(ShapeError, match="features of the input and rows of 'weight' differ: 3 and 4"):
        nn.lstm(p, X[..., :3])
    with pytest.raises(ShapeError, match=r"the axes \(time, .., features\)"):
        nn.lstm(p, X[0, 0])
    with pytest.raises(ArgumentError, match="a pair"):
        nn.lstm(p, X, np.zeros((BATCH, SIZE)))  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"a state should have the shape \(3, 5\)"):
        nn.lstm(p, X, (np.zeros((2, SIZE)), np.zeros((BATCH, SIZE))))
    with pytest.raises(ShapeError, match=r"a length for each sequence, \(3\)"):
        nn.lstm(p, X, lengths=np.array([1, 2]))
    with pytest.raises(DTypeError, match="lengths are integers"):
        nn.lstm(p, X, lengths=np.ones(3))
    with pytest.raises(ArgumentError, match="squash is 'cell' or 'product'"):
        nn.lstm(p, X, squash="tanh")
    with pytest.raises(ArgumentError, match="gru: the parameters have no 'recurrent_bias'"):
        nn.gru(nn.init.rnn(0, WIDE, SIZE), X)
    with pytest.raises(ArgumentError, match="bidirectional: the parameters have no dict 'forward'"):
        nn.bidirectional(nn.lstm, p, X)
    with pytest.raises(ArgumentError, match="jordan_rnn: the parameters have no dict 'out'"):
        nn.jordan_rnn(p, X)

"""spec/000-001.md: B9 to B13, nets of gates on words of bits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import graphc as gx
from graphc.ir import Node
from tests.spec.kit import both, close, net, weights


# -- B9 to B13: gates ------------------------------------------------------------------------------
def step(z: Node) -> Node:
    return (z > 0).astype("float64")


def bits(n: int) -> np.ndarray:
    return np.array(list(itertools.product([0.0, 1.0], repeat=n)))


def consecutive(rows: np.ndarray) -> np.ndarray:
    """Two ones in a row somewhere."""
    return (rows[:, :-1] * rows[:, 1:]).max(axis=1)


def test_B9_perceptrons_find_consecutive_ones() -> None:
    x = gx.tensor("x", ("n", 4))
    hidden = step(x @ np.array([[1.0, 0], [2, 0], [1, 1], [0, 1]]) - np.array([2.5, 1.5]))
    out = step(hidden @ np.array([1.0, 1.0]) - 0.5)
    first, good = both([hidden[:, 0], out], {x: bits(4)})
    spelled = ["".join(str(int(v)) for v in row) for row in bits(4)]
    assert {s for s, v in zip(spelled, first) if v} == {"1100", "1101", "1110", "1111", "0110", "0111"}
    assert {s for s, v in zip(spelled, good) if v} == {"0011", "0110", "0111", "1011", "1100", "1101", "1110", "1111"}


def test_B9_they_are_learned_with_sigmoids() -> None:
    p = gx.shared(weights([4, 5, 1], seed=1), "p")
    x, y = gx.tensor("x", ("n", 4)), gx.tensor("y", ("n",))
    out = gx.sigmoid(net(p, x, gx.sigmoid)[:, 0])
    cost = gx.mean((out - y) ** 2)
    train = gx.function([x, y], out, updates=(p, gx.tree.map(lambda w, g: w - 8.0 * g, p, gx.grad(cost, p))))
    X, Y = bits(4), consecutive(bits(4))
    for _ in range(3000):
        found = train(X, Y)
    np.testing.assert_array_equal(found > 0.5, Y > 0.5)


def test_B10_a_threshold_is_the_weight_of_a_constant_input() -> None:
    x = gx.tensor("x", ("n", 4))
    W, t = np.array([[1.0, 0], [2, 0], [1, 1], [0, 1]]), np.array([2.5, 1.5])
    widened = gx.concatenate([gx.ones((x.shape[0], 1)), x], axis=1)
    close(*both([step(x @ W - t), step(widened @ np.vstack([-t, W]))], {x: bits(4)}), rtol=0)


@pytest.mark.parametrize(
    ("n", "gates", "good"),
    [
        (5, [([1, 2, 1, 0, 0], 2.5), ([0, 0, 1, 2, 1], 2.5)], 19),
        (6, [([1, 2, 1, 0, 0, 0], 2.5), ([0, 0, 1, 2, 1, 0], 2.5), ([0, 0, 0, 0, 1, 1], 1.5)], 43),
    ],
)
def test_B11_longer_words(n: int, gates: list[tuple[list[int], float]], good: int) -> None:
    x = gx.tensor("x", ("n", n))
    hidden = [step(x @ np.array(w, float) - t) for w, t in gates]
    out = both(step(sum(hidden[1:], start=hidden[0]) - 0.5), {x: bits(n)})
    np.testing.assert_array_equal(out, consecutive(bits(n)))
    assert out.sum() == good


def test_B11_parity() -> None:
    x = gx.tensor("x", ("n", "k"))
    total = gx.sum(x, axis=1)
    h = [step(total - t) for t in (0.5, 1.5, 2.5)]
    two, three = gx.function([x], step(h[0] - h[1] - 0.5)), gx.function([x], step(h[0] - h[1] + h[2] - 0.5))
    np.testing.assert_array_equal(two(bits(2)), bits(2).sum(axis=1) % 2)
    np.testing.assert_array_equal(three(bits(3)), bits(3).sum(axis=1) % 2)


def test_B12_partial_connections_equal_masked_ones(digits: tuple[np.ndarray, np.ndarray]) -> None:
    """Six random inputs per unit, by constant indices, and as a dense layer times a mask of zeros; absent edges have gradient 0."""
    images = digits[0][:20]
    rng = np.random.default_rng(8)
    index = np.stack([rng.choice(64, 6, replace=False) for _ in range(9)])
    x, w, D = gx.tensor("x", ("n", 64)), gx.tensor("w", (9, 6)), gx.tensor("D", (9, 64))
    mask = np.zeros((9, 64))
    np.put_along_axis(mask, index, 1.0, axis=1)
    sparse = gx.tanh(gx.sum(gx.take(x, index, axis=1) * w, axis=2))
    full = gx.tanh(x @ (D * mask).T)
    values = rng.normal(size=(9, 6))
    wide = rng.normal(size=(9, 64))
    np.put_along_axis(wide, index, values, axis=1)
    a, ga = both([sparse, gx.grad(gx.sum(sparse**2), w)], {x: images, w: values})
    b, gb = both([full, gx.grad(gx.sum(full**2), D)], {x: images, D: wide})
    close(a, b, rtol=1e-12)
    close(ga, np.take_along_axis(gb, index, axis=1), rtol=1e-11)
    assert (gb[mask == 0] == 0).all() and (gb[mask == 1] != 0).mean() > 0.5  # some pixels are white in all images


def test_B13_step() -> None:
    z = gx.tensor("z", (4,))
    at = np.array([-1.0, 0.0, 1e-300, 2.0])
    close(both([step(z), gx.grad(gx.sum(step(z) * z), z)], {z: at}), [np.array([0.0, 0, 1, 1])] * 2, rtol=0)  # the step itself is flat
    assert (both(gx.grad(gx.sum(step(z * 1.0)), z), {z: at}) == 0).all()

"""spec/003.md: C1 to C17, G1 to G5, P1 to P7, X4: the three operators of convolution, their closure, pooling. Golden integers are exact."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.signal

import graphc as gx
from graphc.derivatives.grad import pull_back
from graphc.ir import Node
from graphc.ops.convolve import CONVOLVE
from tests.naive_convolution import naive
from tests.spec.kit import both, close, difference

RNG = np.random.default_rng(3)
V, K = np.arange(1.0, 17).reshape(1, 1, 4, 4), np.array([[1.0, 2], [3, 4]]).reshape(1, 1, 2, 2)


def image(digits: tuple[np.ndarray, np.ndarray], count: int = 1) -> np.ndarray:
    return digits[0][:count].reshape(count, 1, 8, 8)


def roles(stride: int, v: np.ndarray = V, k: np.ndarray = K) -> tuple[Node, Node, Node, Node, Node, Node]:
    """(v, k, g and) c(k, v), g(g, v), h(k, g) with a stride."""
    v_, k_ = gx.tensor("v", v.shape), gx.tensor("k", k.shape)
    c = gx.nn.conv2d(v_, k_, stride=stride)
    g = gx.tensor("g", c.shape)
    made = pull_back([(c, g)], {v_, k_})
    return v_, k_, g, c, made[k_], made[v_]


# -- C: operation and variants ---------------------------------------------------------------------
def test_C1_weighted_average() -> None:
    close(gx.convolve(gx.asarray([1.0, 2, 3]), [0, 1, 0.5]).eval(), np.array([0, 1, 2.5, 4, 1.5]), rtol=0)


def test_C2_flipped_is_commutative(digits: tuple[np.ndarray, np.ndarray]) -> None:
    x, k = image(digits), RNG.normal(size=(1, 1, 3, 3))
    f = lambda a, b: gx.nn.conv2d(gx.asarray(a), b, padding="full", flip=True).eval()
    close(f(x, k), f(k, x), atol=1e-13, rtol=0)
    close(f(x, k)[0, 0], scipy.signal.convolve2d(x[0, 0], k[0, 0]), atol=1e-13, rtol=0)


def test_C3_and_C9_cross_correlation_and_stride() -> None:
    v, k = gx.tensor("v", V.shape), gx.tensor("k", K.shape)
    one, two = both([gx.nn.conv2d(v, k), gx.nn.conv2d(v, k, stride=2)], {v: V, k: K})
    close(one[0, 0], np.array([[44.0, 54, 64], [84, 94, 104], [124, 134, 144]]), rtol=0)
    close(two[0, 0], np.array([[44.0, 64], [124, 144]]), rtol=0)
    close(gx.correlate(gx.asarray([1.0, 2, 3, 4]), [1, 2]).eval(), np.array([5.0, 8, 11]), rtol=0)


def test_C4_toeplitz() -> None:
    """The Jacobian is the matrix that nobody builds: for every padding and stride the map is that product."""
    for stride, pad in itertools.product((1, 2), (0, 1)):
        x, k = gx.tensor("x", (1, 1, 4, 5)), RNG.normal(size=(2, 1, 3, 2))
        y = gx.nn.conv2d(x, k, stride=stride, padding=pad)
        X = RNG.normal(size=x.shape)
        out, matrix = both([y, gx.jacobian(y, x)], {x: X})
        close(np.tensordot(matrix, X, 4), out, atol=1e-12)
        assert np.count_nonzero(matrix) <= out.size * 6


def test_C5_receptive_field() -> None:
    """Three layers of width 3 see 2 * 3 + 1 elements; an element reaches three places of the next layer."""
    x = gx.tensor("x", (1, 1, 15))
    y = x
    for _ in range(3):
        y = gx.nn.conv1d(y, np.ones((1, 1, 3)), padding=1)
    seen = gx.grad(y[0, 0, 7], x).eval({x: np.zeros(x.shape)})
    assert np.flatnonzero(seen[0, 0]).tolist() == list(range(4, 11))
    reached = gx.jacobian(gx.nn.conv1d(x, np.ones((1, 1, 3)), padding=1)[0, 0], x).eval({x: np.zeros(x.shape)})
    assert np.count_nonzero(reached[:, 0, 0, 7]) == 3


def test_C6_shift(digits: tuple[np.ndarray, np.ndarray]) -> None:
    x, k = image(digits), RNG.normal(size=(1, 1, 3, 3))
    f = lambda a: gx.nn.conv2d(gx.asarray(a), k, padding=1).eval()
    np.testing.assert_array_equal(f(np.roll(x, 1, 3))[..., 1:-1, 2:-1], np.roll(f(x), 1, 3)[..., 1:-1, 2:-1])


def test_C7_edge_detector() -> None:
    x = gx.tensor("x", (1, 1, 280, 320))
    y = gx.nn.conv2d(x, np.array([-1.0, 1]).reshape(1, 1, 1, 2))
    X = RNG.normal(size=x.shape)
    assert y.shape == (1, 1, 280, 319) and 3 * 319 * 280 == 267_960
    close(both(y, {x: X}), X[..., 1:] - X[..., :-1], rtol=0, atol=1e-15)


def test_C8_channels_and_groups() -> None:
    X, W = RNG.normal(size=(2, 4, 5, 5)), RNG.normal(size=(6, 2, 3, 3))
    blocks = np.zeros((6, 4, 3, 3))
    blocks[:3, :2], blocks[3:, 2:] = W[:3], W[3:]
    close(gx.nn.conv2d(gx.asarray(X), W, groups=2).eval(), naive(X, blocks, (1, 1), ((0, 0),) * 2, (1, 1)), atol=1e-12)


def test_C10_padding() -> None:
    x, k = gx.tensor("x", (1, 1, 16)), np.ones((1, 1, 6))
    sizes = [16]
    y: Node = x
    for _ in range(3):
        y = gx.nn.conv1d(y, k)
        sizes.append(y.shape[2])  # type: ignore[arg-type]
    assert sizes == [16, 11, 6, 1]
    assert [gx.nn.conv1d(x, k, padding=p).shape[2] for p in ("valid", "same", "full")] == [11, 16, 21]
    same = gx.nn.conv1d(x, k, padding="same").eval({x: np.ones(x.shape)})[0, 0]
    close(same, np.array([4.0, 5, *[6] * 11, 5, 4, 3]), rtol=0)  # two of the five zeros before, three behind


def test_C11_and_C13_unshared_and_tiled() -> None:
    """Unshared weights that are equal are shared; weights by place modulo t: t = 1 is a convolution, t = width unshared."""
    X, W = RNG.normal(size=(2, 3, 7)), RNG.normal(size=(4, 5, 3, 3))  # (out, places, in, taps)
    x = gx.asarray(X)

    def tiled(w: np.ndarray) -> np.ndarray:
        return gx.nn.locally_connected(x, gx.take(gx.asarray(w), gx.arange(5) % w.shape[1], axis=1)).eval()

    close(tiled(W), gx.nn.locally_connected(x, W).eval(), rtol=0)
    close(tiled(W[:, :1]), gx.nn.conv1d(x, W[:, 0]).eval(), atol=1e-14)
    mixed = tiled(W[:, :2])
    close(mixed[..., ::2], gx.nn.conv1d(x, W[:, 0]).eval()[..., ::2], atol=1e-14)
    close(mixed[..., 1::2], gx.nn.conv1d(x, W[:, 1]).eval()[..., 1::2], atol=1e-14)


def test_C14_sharing_of_biases() -> None:
    x = gx.tensor("x", (3, 2, 4, 4))
    y = gx.nn.conv2d(x, RNG.normal(size=(5, 2, 3, 3)))
    for shape in [(5, 1, 1), (5, 2, 2), (1, 2, 2)]:
        b = gx.tensor("b", shape)
        gradient = gx.grad(gx.sum((y + b) * 2.0), b)
        np.testing.assert_array_equal(gradient.eval({x: np.zeros(x.shape), b: np.zeros(shape)}), np.full(shape, 2.0 * 60 / np.prod(shape)))


def test_C15_and_C16_ranks_and_open_sizes() -> None:
    for rank in (1, 2, 3):
        x, w = gx.tensor("x", ("n", 2, *[f"s{k}" for k in range(rank)])), gx.tensor("w", (3, 2, *[2] * rank))
        f = gx.function([x, w], gx.nn.conv(x, w))
        for size in (2, 3, 5):
            X, W = RNG.normal(size=(2, 2, *[size] * rank)), RNG.normal(size=w.shape)  # type: ignore[arg-type]
            close(f(X, W), naive(X, W, (1,) * rank, ((0, 0),) * rank, (1,) * rank), atol=1e-12)


# -- G: gradients ----------------------------------------------------------------------------------
def test_G1_and_G2_numbers() -> None:
    for stride, kernel, whole in [
        (1, [[54, 63], [90, 99]], [[1, 3, 3, 2], [4, 10, 10, 6], [4, 10, 10, 6], [3, 7, 7, 4]]),
        (2, [[24, 28], [40, 44]], np.tile(K[0, 0], (2, 2))),
    ]:
        v, k, g, _, for_k, for_v = roles(stride)
        found = both([for_k, for_v], {v: V, k: K, g: np.ones(g.shape)})  # type: ignore[arg-type]
        close(found, [np.array(kernel, float)[None, None], np.array(whole, float)[None, None]], rtol=0)
    ones = gx.asarray(np.ones((1, 1, 2, 2)))
    four, five = (gx.nn.conv_transpose2d(ones, K, stride=2, output_size=(n, n)).eval()[0, 0] for n in (4, 5))
    np.testing.assert_array_equal(four, np.tile(K[0, 0], (2, 2)))
    np.testing.assert_array_equal(five, np.pad(four, ((0, 1), (0, 1))))


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_G3_closure(stride: int) -> None:
    """<G, c(K, V)> = <K, g(G, V)> = <V, h(K, G)>, and derivatives of g and h are the other two operators again."""
    X, W = RNG.normal(size=(2, 3, 7, 6)), RNG.normal(size=(4, 3, 3, 2))
    v, k, g, c, for_k, for_v = roles(stride, X, W)
    G = RNG.normal(size=c.shape)  # type: ignore[arg-type]
    values = both([c, for_k, for_v], {v: X, k: W, g: G})
    close([np.vdot(W, values[1]), np.vdot(X, values[2])], [np.vdot(G, values[0])] * 2, rtol=1e-11)
    e, kernels = gx.tensor("e", X.shape), gx.tensor("kernels", W.shape)
    through = pull_back([(for_v, e)], {k, g})  # of h: d/dK is g(H, E), d/dH is c(K, E)
    again = pull_back([(for_k, kernels)], {g, v})  # of g: d/dG is c(kernels, V), d/dV is h(kernels, G)
    assert all(n.op is CONVOLVE for n in (*through.values(), *again.values()))
    assert through[g] is gx.nn.conv2d(e, k, stride=stride)
    E, M = RNG.normal(size=X.shape), RNG.normal(size=W.shape)
    found = both([through[k], again[g], again[v]], {v: X, k: W, g: G, e: E, kernels: M})
    by_hand = gx.function([v, k, g], [for_k, for_v, c])
    close(found, [by_hand(E, W, G)[0], by_hand(X, M, G)[2], by_hand(X, M, G)[1]], rtol=1e-10, atol=1e-12)


def test_G4_tied_autoencoder(digits: tuple[np.ndarray, np.ndarray]) -> None:
    """R = h(K, c(K, V)): one kernel, used twice; its gradient adds up."""
    X = image(digits, 3)
    k = gx.tensor("k", (2, 1, 3, 3))
    hidden = gx.nn.conv2d(gx.asarray(X), k)
    cost = gx.mean((gx.nn.conv_transpose2d(hidden, k) - X) ** 2)
    W = RNG.normal(size=k.shape) / 3  # type: ignore[arg-type]
    f = gx.function([k], [cost, gx.grad(cost, k)])
    close(f(W)[1], difference(lambda w: f(w)[0], W), atol=1e-7, rtol=1e-6)


def test_G5_unshared() -> None:
    """dW[i, j, l, m] = sum over n of G[n, i, j] V[n, l, j + m]."""
    X, W, G = RNG.normal(size=(2, 3, 6)), RNG.normal(size=(4, 4, 3, 3)), RNG.normal(size=(2, 4, 4))
    x, w = gx.tensor("x", X.shape), gx.tensor("w", W.shape)
    for_w, for_x = gx.function([x, w], gx.vjp(gx.nn.locally_connected(x, w), [w, x], gx.asarray(G)))(X, W)
    want, back = np.zeros(W.shape), np.zeros(X.shape)
    for j, m in itertools.product(range(4), range(3)):
        want[:, j, :, m] = G[:, :, j].T @ X[:, :, j + m]
        back[:, :, j + m] += G[:, :, j] @ W[:, j, :, m]
    close([for_w, for_x], [want, back], atol=1e-13)


# -- P: pooling ------------------------------------------------------------------------------------
def pooled(f: Any, values: list[float], *args: Any, **kwargs: Any) -> list[float]:
    return list(f(gx.asarray(np.array(values)[None, None]), *args, **kwargs).eval()[0, 0])


def test_P1_and_P2_max_pooling() -> None:
    assert pooled(gx.nn.max_pool1d, [0.1, 1, 0.2, 0.1], 3, 1, 1) == [1, 1, 1, 0.2]
    assert pooled(gx.nn.max_pool1d, [0.3, 0.1, 1, 0.2], 3, 1, 1) == [0.3, 1, 1, 1]
    assert pooled(gx.nn.max_pool1d, [0.1, 1, 0.2, 0.1, 0, 0.1], 3, 2, ceil_mode=True) == [1, 0.2, 0.1]
    x = gx.tensor("x", (1, 1, 6))
    g, h = gx.tensor("g", (1, 1, 2)), gx.tensor("h", (1, 1, 6))
    (back,) = pull_back([(gx.nn.max_pool1d(x, 3), g)], {x}).values()
    (gathered,) = pull_back([(back, h)], {g}).values()  # the gradient of the gradient reads at the place of the largest
    X = np.array([3.0, 1, 2, 5, 6, 4])[None, None]
    found = gx.function([x, g, h], [back, gathered])(X, np.array([[[10.0, 20]]]), np.arange(6.0)[None, None])
    assert found[0].tolist() == [[[10, 0, 0, 0, 20, 0]]] and found[1].tolist() == [[[0, 4]]]


def test_P3_other_poolings() -> None:
    assert pooled(gx.nn.avg_pool1d, [1.0, 2, 3, 4], 2) == [1.5, 3.5]
    assert pooled(gx.nn.lp_pool, [3.0, 4, 0, 0], 2.0, 2) == [5, 0]
    x = gx.tensor("x", (1, 1, 4))
    gradient = gx.grad(gx.sum(gx.nn.lp_pool(x, 2.0, 2)), x).eval({x: np.array([[[3.0, 4, 0, 0]]])})
    close(gradient[0, 0], np.array([0.6, 0.8, 0, 0]), rtol=1e-15)
    weights = np.array([0.25, 0.5, 0.25]).reshape(1, 1, 3)
    close(gx.nn.conv1d(gx.asarray([[[1.0, 2, 4, 8]]]), weights).eval(), np.array([[[2.25, 4.5]]]), rtol=0)


def test_P4_maxout_over_channels() -> None:
    X = RNG.normal(size=(2, 6, 3))
    close(gx.max(gx.asarray(X).reshape((2, 3, 2, 3)), axis=2).eval(), X.reshape(2, 3, 2, 3).max(2), rtol=0)


def test_P6_and_P7_as_many_numbers_from_any_image() -> None:
    x = gx.tensor("x", (1, 64, "h", "w"))
    f = gx.function([x], [gx.nn.adaptive_max_pool2d(x, 3).reshape((1, 576)), gx.nn.adaptive_avg_pool2d(x, 1)])
    for h, w in [(7, 9), (12, 3)]:
        X = RNG.normal(size=(1, 64, h, w))
        grid, mean = f(X)
        close(mean[..., 0, 0], X.mean((2, 3)), atol=1e-14)
        assert grid.shape == (1, 576) and grid[0, 0] == X[0, 0, : -(-h // 3), : -(-w // 3)].max()


# -- X: a convolution in a loop --------------------------------------------------------------------
def test_X4_recurrent_convolution() -> None:
    """A scan whose body convolves is the loop written out, value and gradient."""
    X, U, W = RNG.normal(size=(1, 1, 5, 5)), RNG.normal(size=(2, 1, 3, 3)), RNG.normal(size=(2, 2, 3, 3)) / 4
    u, w = gx.tensor("u", U.shape), gx.tensor("w", W.shape)
    first = gx.nn.conv2d(gx.asarray(X), u, padding=1)
    looped = gx.fori_loop(0, 3, lambda _, h: gx.tanh(first + gx.nn.conv2d(h, w, padding=1)), gx.zeros(first.shape))
    unrolled = gx.zeros(first.shape)
    for _ in range(3):
        unrolled = gx.tanh(first + gx.nn.conv2d(unrolled, w, padding=1))
    f = gx.function([u, w], [[y, gx.grad(gx.sum(y**2), w)] for y in (looped, unrolled)])
    one, other = f(U, W)
    close(one, other, rtol=1e-11, atol=1e-13)

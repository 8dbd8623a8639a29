"""spec/000-001.md: A27 to A34 and B27 to B39: convolution, strides, sizes, pooling, hand-made detectors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.signal

import graphc as gx
from graphc.derivatives.grad import pull_back
from graphc.errors import ShapeError
from graphc.ir import Node, toposort
from graphc.ops.convolve import CONVOLVE
from tests.naive_convolution import naive
from tests.spec.kit import both, close

RNG = np.random.default_rng(27)
SERIES, EDGE = np.array([5.0, 6, 6, 2, 5, 6, 5]), np.array([1.0, -1, 1])


def row(x: np.ndarray) -> Node:
    return gx.asarray(x[None, None])


# -- A27 to A34 ------------------------------------------------------------------------------------
def test_A27_one_dimension() -> None:
    x, k = gx.tensor("x", (1, 1, 7)), gx.tensor("k", (1, 1, 3))
    y = gx.nn.conv1d(x, k)
    square = gx.sum(y**2)
    value, gradient, second = both([y, gx.grad(square, x), gx.hessian(square, x)], {x: SERIES[None, None], k: EDGE[None, None]})
    close(value[0, 0], np.array([5.0, 2, 9, 3, 4]), rtol=0)
    matrix = np.array([np.roll([1.0, -1, 1, 0, 0, 0, 0], j) for j in range(5)])
    close(gradient[0, 0], 2 * matrix.T @ value[0, 0], rtol=0)
    close(second.reshape(7, 7), 2 * matrix.T @ matrix, rtol=0)


def test_A27_with_stride_and_its_gradients() -> None:
    """The numbers of the row: z = (5, 9, 4), sum of squares 122."""
    x, k = gx.tensor("x", (1, 1, 7)), gx.tensor("k", (1, 1, 3))
    z = gx.nn.conv1d(x, k, stride=2)
    square = gx.sum(z**2)
    found = both(
        [gx.grad(gx.sum(z), [k, x]), square, gx.grad(square, [k, x]), gx.hessian(square, x)], {x: SERIES[None, None], k: EDGE[None, None]}
    )
    close([g[0, 0] for g in found[0]], [np.array([16.0, 14, 16]), np.array([1.0, -1, 2, -1, 2, -1, 1])], rtol=0)
    assert found[1] == 122
    close([g[0, 0] for g in found[2]], [np.array([198.0, 144, 190]), np.array([10.0, -10, 28, -18, 26, -8, 8])], rtol=0)
    matrix = np.array([[1.0, -1, 1, 0, 0, 0, 0], [0, 0, 1, -1, 1, 0, 0], [0, 0, 0, 0, 1, -1, 1]])
    close(found[3].reshape(7, 7), 2 * matrix.T @ matrix, rtol=0)
    edge = gx.nn.conv1d(row(SERIES), EDGE[None, None], padding=1, padding_mode="edge").eval()
    close(edge[0, 0], np.correlate(np.pad(SERIES, 1, "edge"), EDGE), rtol=0)


def test_A28_and_A29_as_a_product_and_counts() -> None:
    X, W = RNG.normal(size=(2, 6, 9, 3)), RNG.normal(size=(3, 2, 3, 4))
    y = gx.nn.conv2d(gx.asarray(X), W, stride=(2, 3), padding="same", layout="NHWC")
    assert y.shape == (2, 3, 3, 4)  # n / s places along each axis
    patches = np.pad(X, ((0, 0), (0, 1), (0, 0), (0, 0)))
    seen = np.lib.stride_tricks.sliding_window_view(patches, (3, 2), (1, 2)).transpose(0, 1, 2, 4, 5, 3)[:, ::2, ::3]
    want = np.einsum("nijpqc,pqcf->nijf", seen, W)
    close(y.eval(), want, atol=1e-12)


@pytest.mark.parametrize(("layers", "width"), [(1, 3), (2, 3), (3, 4)])
def test_A30_receptive_field(layers: int, width: int) -> None:
    x = gx.tensor("x", (1, 1, 21))
    y: Node = x
    for _ in range(layers):
        y = gx.nn.conv1d(y, np.ones((1, 1, width)))
    assert np.count_nonzero(gx.grad(y[0, 0, 4], x).eval({x: np.zeros(x.shape)})) == (width - 1) * layers + 1


def test_A31_and_A33_shift_and_averages() -> None:
    X, k = RNG.normal(size=(1, 1, 12)), RNG.normal(size=(1, 1, 3))
    f = lambda x: gx.nn.conv1d(gx.asarray(x), k).eval()
    np.testing.assert_array_equal(f(X[..., 1:]), f(X)[..., 1:])
    uniform = gx.nn.conv1d(gx.asarray(X), np.full((1, 1, 3), 1 / 3), stride=3).eval()
    close(gx.nn.avg_pool1d(gx.asarray(X), 3).eval(), uniform, atol=1e-15)


def test_A32_permuted_pixels(digits: tuple[np.ndarray, np.ndarray]) -> None:
    """A dense net learns the same from images whose pixels are shuffled, if the columns of its first layer are: the curves agree."""
    images, labels = digits[0][:64], digits[1][:64]
    rng = np.random.default_rng(0)
    order = rng.permutation(64)
    first, second = rng.normal(size=(64, 16)) / 8, rng.normal(size=(16, 10)) / 4
    curves = []
    for shuffle, start in [(np.arange(64), first), (order, first[order])]:
        w, v = gx.shared(start), gx.shared(second)
        x, y = gx.tensor("x", (64, 64)), gx.tensor("y", (64,), "int64")
        logits = gx.relu(gx.take(x, shuffle, axis=1) @ w) @ v
        loss = gx.mean(gx.logsumexp(logits, axis=1) - gx.take_along_axis(logits, y[:, None], axis=1)[:, 0])
        step = gx.function([x, y], loss, updates=[(p, p - 0.5 * g) for p, g in zip((w, v), gx.grad(loss, [w, v]))])
        curves.append([float(step(images, labels)) for _ in range(30)])
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-9)
    assert curves[0][-1] < curves[0][0] / 2


def test_A34_max_pooling_to_the_hidden_layer() -> None:
    x = gx.tensor("x", (1, 1, 3))
    y = gx.nn.max_pool1d(x, 3)
    value, gradient = both([y, gx.grad(gx.sum(y), x)], {x: np.array([[[5.0, 9, 4]]])})
    assert value.tolist() == [[[9]]] and gradient.tolist() == [[[0, 1, 0]]]


# -- B27 to B39 ------------------------------------------------------------------------------------
def test_B27_and_B28_a_filter() -> None:
    assert gx.nn.conv2d(gx.tensor("x", (1, 1, 224, 224)), np.ones((1, 1, 5, 5))).shape == (1, 1, 220, 220)
    X = np.array([[1.0, 0, 0, 1], [0, 1, 1, 0], [1, 1, 0, 1], [0, 1, 1, 1]])
    y = gx.nn.conv2d(row(X), np.array([[1.0, 0], [0, -1]])[None, None], np.array([0.5])).eval()[0, 0]
    want = np.array([[X[i, j] - X[i + 1, j + 1] for j in range(3)] for i in range(3)])
    close(y, want + 0.5, rtol=0)
    assert want[0, 0] == 0 and want[1, 0] == -1


def test_B29_B31_and_B32_parameters() -> None:
    """k (d f^2 + 1) numbers; a dense layer from an image to as many units as it is wide has 33 million."""
    units = gx.reshape(gx.tensor("image", (224, 224, 3)), (-1,))
    dense = gx.tensor("dense", (*units.shape, 224))
    assert units.shape == (150_528,) and dense.size == 33_718_272 and (units @ dense).shape == (224,)
    shapes = lambda d, f, k: (k, d, f, f)
    count = lambda d, f, k: int(np.prod(shapes(d, f, k))) + k
    assert count(3, 5, 64) == 64 * 76 == 4864
    x = gx.tensor("x", (1, 3, 224, 224), "float32")
    assert gx.nn.conv2d(x, gx.zeros(shapes(3, 5, 64)), gx.zeros(64), padding=2).shape == (1, 64, 224, 224)


def test_B30_sizes_and_errors() -> None:
    """n = (m - f + 2 p) / s + 1, an error where that is none."""
    for m, f, s, p in itertools.product((5, 8), (1, 2, 3), (1, 2, 3), (0, 1, 2)):
        x, w = gx.tensor("x", (1, 1, m)), np.ones((1, 1, f))
        if (m - f + 2 * p) % s:
            with pytest.raises(ShapeError, match=rf"m = {m}, kernel f = {f}, stride s = {s}, padding p = 2 \* {p}"):
                gx.nn.conv1d(x, w, stride=s, padding=p, remainder="error")
        else:
            assert gx.nn.conv1d(x, w, stride=s, padding=p, remainder="error").shape[2] == (m - f + 2 * p) // s + 1
        assert gx.nn.conv1d(x, w, stride=s, padding=p).shape[2] == (m - f + 2 * p) // s + 1
    x = gx.tensor("x", (1, 3, 224, 224))
    with pytest.raises(ShapeError, match="no whole number"):
        gx.nn.conv2d(x, gx.zeros((1, 3, 3, 3)), stride=2, remainder="error")


def test_B33_true_convolution() -> None:
    X, W = RNG.normal(size=(6, 7)), RNG.normal(size=(3, 2))
    cross = gx.nn.conv2d(row(X), W[::-1, ::-1].copy()[None, None]).eval()
    true = gx.nn.conv2d(row(X), W[None, None], flip=True).eval()
    close(true, cross, atol=1e-14)
    close(true[0, 0], scipy.signal.convolve2d(X, W, "valid"), atol=1e-13)


def test_B34_pooling() -> None:
    x = gx.tensor("x", (1, 64, 224, 224), "float32")
    assert gx.nn.max_pool2d(x, 2).shape == (1, 64, 112, 112)
    assert gx.nn.max_pool2d(gx.tensor("x", (1, 5, 9, 9)), 3, 2).shape == (1, 5, 4, 4)  # ((m - f) / s + 1)^2 k
    x = gx.tensor("x", (1, 1, 5))
    y = gx.nn.max_pool1d(x, 3, 2)
    gradient = gx.grad(gx.sum(y), x).eval({x: np.array([[[1.0, 2, 9, 4, 3]]])})
    assert gradient.tolist() == [[[0, 0, 2, 0, 0]]]


def test_B35_sizes_of_the_net() -> None:
    """Eleven layers: 56,447,592 parameters, 3,836,256,256 products a forward pass; row 7 of the figure is 28 x 28 x 512."""
    x: Node = gx.tensor("x", (1, 3, 224, 224), "float32")
    parameters = products = 0
    for channels in (64, 128, 256, 512, 1024):
        w = gx.zeros((channels, x.shape[1], 3, 3), "float32")
        x = gx.maximum(gx.nn.conv2d(x, w, gx.zeros(channels, "float32"), padding=1), 0)
        parameters += int(w.size) + channels
        products += int(w.size) * int(x.shape[2] * x.shape[3])
        assert channels != 512 or x.shape == (1, 512, 28, 28)
        x = gx.nn.max_pool2d(x, 2)
    features = int(np.prod(x.shape))
    assert (parameters + features * 1000 + 1000, products + features * 1000) == (56_447_592, 3_836_256_256)


def test_B36_and_B37_patches_and_gradients_that_are_convolutions() -> None:
    X, W, b = RNG.normal(size=(1, 2, 6, 6)), RNG.normal(size=(3, 2, 3, 3)), RNG.normal(size=3)
    x, w = gx.tensor("x", X.shape), gx.tensor("w", W.shape)
    y = gx.nn.conv2d(x, w, b)
    patches = np.lib.stride_tricks.sliding_window_view(X, (3, 3), (2, 3)).transpose(0, 2, 3, 1, 4, 5).reshape(16, 18)
    z = patches @ W.reshape(3, 18).T + b
    close(both(y, {x: X, w: W})[0].reshape(3, 16), z.T, atol=1e-12)
    g = gx.tensor("g", y.shape)
    made = pull_back([(y, g)], {x, w})
    assert all([n.op is CONVOLVE for n in toposort(list(made.values())) if len(n.inputs) == 2])
    gx.check_grad(gx.sum(gx.tanh(y)), [x, w], {x: X, w: W}, order=2)


def test_B38_exercises() -> None:
    x = gx.tensor("x", (1, 1, 512, 512))
    k = gx.zeros((1, 1, 3, 3))
    assert gx.nn.conv2d(x, k).shape[2:] == (510, 510) and 510**2 == 260_100
    assert gx.nn.conv2d(x, k, padding=1).shape[2:] == (512, 512)
    with pytest.raises(ShapeError):
        gx.nn.conv2d(x, k, stride=3, remainder="error")
    sizes, y = [512], x
    while sizes[-1] >= 3:
        y = gx.nn.conv2d(y, k, stride=3)
        sizes.append(int(y.shape[2]))  # type: ignore[arg-type]
    assert sizes == [512, 170, 56, 18, 6, 2] and 170**2 == 28_900
    with pytest.raises(ShapeError, match="does not fit"):
        gx.nn.conv2d(y, k)


def test_B39_detectors() -> None:
    """+1 where the pattern is 1, -1 where it is 0, bias 1/2 - (number of ones): of all 512 patches exactly one fires."""
    patches = np.array(list(itertools.product([0.0, 1], repeat=9))).reshape(512, 1, 3, 3)
    for pattern in ([1, 1, 1, 0, 0, 0, 1, 1, 1], [0, 1, 0, 0, 1, 0, 0, 1, 0], [1, 0, 1, 0, 1, 0, 1, 0, 1]):
        kernel = np.where(np.array(pattern) == 1, 1.0, -1).reshape(1, 1, 3, 3)
        fires = gx.nn.conv2d(gx.asarray(patches), kernel, np.array([0.5 - sum(pattern)])).eval()[:, 0, 0, 0] > 0
        assert fires.sum() == 1 and patches[fires][0].ravel().tolist() == [float(p) for p in pattern]
    assert naive(patches[:1], kernel, (1, 1), ((0, 0),) * 2, (1, 1)).shape == (1, 1, 1, 1)

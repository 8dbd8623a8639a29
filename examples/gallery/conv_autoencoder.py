"""A convolutional autoencoder of digits whose decoder is the transpose of its encoder: one kernel K, used on both ways.

    python examples/gallery/conv_autoencoder.py [--plot pictures.png]

With E = dJ/dR at the reconstruction R = h(K, H, s): dJ/dK = g(H, E, s) and dJ/dH = c(K, E, s), the textbook's three operations. K has
gradients from both of its uses. A linear one whose kernels do not overlap ends where the principal components of patches do.
(Goodfellow et al. 9.5, equations 9.8 to 9.14)
"""

from __future__ import annotations

import numpy as np
import stage
from data import digits

import graphc as gx

STRIDE = 2


def encode(kernel, x, stride: int = STRIDE):
    """c(K, x, s): (n, 1, 8, 8) -> (n, channels, rows, columns)."""
    return gx.nn.conv2d(x, kernel, stride=stride)


def decode(kernel, h, stride: int = STRIDE):
    """h(K, H, s), the transpose of `encode`, back to (n, 1, 8, 8)."""
    return gx.nn.conv_transpose2d(h, kernel, stride=stride)


def gradients(images: np.ndarray) -> float:
    """The gradients by K and H of J = |R - x|^2 / 2 beside loops over the formula of the textbook. The largest difference."""
    rng = np.random.default_rng(0)
    K, H = rng.normal(size=(3, 1, 4, 4)), rng.normal(size=(2, 3, 3, 3))
    k, h, x = (gx.tensor(name, array.shape) for name, array in (("k", K), ("h", H), ("x", images[:2])))
    R = decode(k, h)
    cost = gx.sum((R - x) ** 2) / 2
    by_k, by_h, error = gx.function([k, h, x], [*gx.grad(cost, [k, h]), R - x])(K, H, images[:2])
    patches = np.lib.stride_tricks.sliding_window_view(error[:, 0], (4, 4), (1, 2))[:, ::STRIDE, ::STRIDE]
    g = np.einsum("ncij,nijkl->ckl", H, patches)[:, None]
    c = np.einsum("ckl,nijkl->ncij", K[:, 0], patches)
    return float(max(np.abs(by_k - g).max(), np.abs(by_h - c).max()))


def linear_limit(images: np.ndarray) -> tuple[float, float]:
    """Squared error of a linear tied autoencoder of 4 kernels of 4 x 4 that tile the picture, and of 4 principal components of patches."""
    x = images.reshape(-1, 1, 8, 8)
    patches = x.reshape(-1, 2, 4, 2, 4).transpose(0, 1, 3, 2, 4).reshape(-1, 16)
    best = float(np.sum(np.linalg.eigvalsh(patches.T @ patches)[:12]) / len(x))
    cost = lambda k: gx.sum((decode(k, encode(k, gx.asarray(x), 4), 4) - x) ** 2) / len(x)
    start = np.random.default_rng(1).normal(size=(4, 1, 4, 4)) / 8
    found = gx.function([], gx.optim.minimize(cost, gx.asarray(start), method="l_bfgs", tol=1e-6))()
    return float(found.fun), best


def reconstruct(p, x):
    """Rectified features of 16 kernels of 4 x 4, a second layer of 32, and back by the same kernels."""
    low = gx.relu(encode(p["low"], x) + p["a"])
    high = gx.relu(encode(p["high"], low, 1) + p["b"])
    return decode(p["low"], gx.relu(decode(p["high"], high, 1) + p["c"]))


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """The gradients, the linear limit, then a net of rectifiers on whole digits."""
    images, _, test_images, _ = digits()
    apart = gradients(images[:2].reshape(2, 1, 8, 8).astype("float64"))
    print(f"gradients of the transposed convolution: equal to g(H, E, s) and c(K, E, s) but for {apart:.0e}")
    assert apart < 1e-12
    error, best = linear_limit(images[:300].astype("float64"))
    print(f"linear, 4 kernels: squared error {error:.6f}, of 4 principal components of patches {best:.6f}")
    assert abs(error / best - 1) < 1e-6

    rng = np.random.default_rng(2)
    kernel = lambda *shape: (rng.normal(size=shape) * np.sqrt(1 / (16 * shape[1]))).astype("float32")
    zeros = {"a": np.zeros((16, 1, 1), "float32"), "b": np.zeros((32, 1, 1), "float32"), "c": np.zeros((16, 1, 1), "float32")}
    p = gx.shared({"low": kernel(16, 1, 4, 4), "high": kernel(32, 16, 2, 2), **zeros})
    x = gx.tensor("x", ("n", 1, 8, 8), "float32")
    loss = gx.mean(gx.sum((reconstruct(p, x) - x) ** 2, (1, 2, 3)))
    step = gx.function([x], loss, updates=gx.optim.adam(3e-3).updates(loss, p))
    losses = stage.epochs(step, (images.reshape(-1, 1, 8, 8),), 4 if short else 40)
    whole = gx.function([x], reconstruct(p, x))
    tests = test_images.reshape(-1, 1, 8, 8)
    test = float(np.mean(np.sum((whole(tests) - tests) ** 2, (1, 2, 3))))
    spread = float(np.mean(np.sum((test_images - images.mean(0)) ** 2, 1)))
    print(f"rectifiers: squared error {losses[-1]:.3f} a picture, test pictures {test:.3f}; these around their mean {spread:.3f}")
    assert test < (0.5 if short else 0.1) * spread
    if plot:
        with stage.picture(plot, 2, 6, 1.5) as axes:
            for row, array in zip(axes, (tests, whole(tests[:6]))):
                for ax, picture in zip(row, array):
                    ax.imshow(picture[0], cmap="gray_r")
    return {"apart": apart, "linear": error, "patches": best, "test": test, "spread": spread}


if __name__ == "__main__":
    stage.run(main)

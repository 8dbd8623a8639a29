"""`gx.nn`: convolutions of every kind against loops in Python and SciPy; layouts, groups, paddings, sizes; error texts in golden files."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.signal

import graphc as gx
from graphc.derivatives.grad import pull_back
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir import Node, origin, toposort
from graphc.ops.convolve import CONVOLVE
from tests.derivatives import check_derivatives
from tests.naive_convolution import naive, naive_unshared
from tests.test_errors import text

RNG = np.random.default_rng(7)


def values(*shape: int, dtype: str = "float64") -> np.ndarray:
    return RNG.normal(size=shape).astype(dtype)


CASES = [  # channels, out channels, groups, space, kernel, stride, pads, dilation
    (3, 4, 1, (5, 4), (3, 2), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    (2, 2, 1, (4, 4), (2, 2), (2, 1), ((1, 0), (0, 2)), (1, 1)),
    (4, 4, 4, (5, 5), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    (4, 6, 2, (6, 3), (2, 3), (3, 2), ((2, 2), (2, 1)), (2, 1)),
    (1, 5, 1, (3, 3), (3, 3), (5, 7), ((0, 0), (1, 1)), (1, 1)),
    (3, 2, 1, (7,), (4,), (2,), ((3, 1),), (1,)),
    (2, 2, 2, (3, 2, 4), (2, 2, 2), (1, 1, 2), ((0, 1), (1, 1), (0, 0)), (1, 1, 2)),
]


@pytest.mark.parametrize("case", CASES)
def test_both_layouts_and_all_gradients(case: Any) -> None:
    """One function: the result, its gradients and those of an NHWC copy, against loops; the gradients by linearity of the loops."""
    c, f, groups, space, kernel, stride, pads, dilation = case
    rank = len(space)
    X, W, B = values(2, c, *space), values(f, c // groups, *kernel), values(f)
    x, w, b = (gx.tensor(n, v.shape) for n, v in (("x", X), ("w", W), ("b", B)))
    args = {"stride": stride, "padding": pads, "dilation": dilation, "groups": groups}
    out = gx.nn.conv(x, w, b, **args)
    want = naive(X, W, stride, pads, dilation, groups) + B.reshape(-1, *[1] * rank)
    last, kernels = (0, *range(2, rank + 2), 1), (*range(2, rank + 2), 1, 0)
    turned = gx.nn.conv(gx.transpose(x, last), gx.transpose(w, kernels), b, layout="NHWC", **args)
    flipped = gx.nn.conv(x, w, flip=True, **args)
    G = values(*want.shape)
    gradients = [gx.vjp(out, [x, w, b], gx.asarray(G)), gx.vjp(turned, [x, w, b], gx.asarray(G.transpose(last)))]
    got = gx.function([x, w, b], [out, turned, flipped, gradients])(X, W, B)
    np.testing.assert_allclose(got[0], want, atol=1e-12)
    np.testing.assert_allclose(got[1], want.transpose(last), atol=1e-12)
    np.testing.assert_allclose(got[2], naive(X, W, stride, pads, dilation, groups, flip=True), atol=1e-12)
    U, V = values(*X.shape), values(*W.shape)
    for gradient in got[3]:
        np.testing.assert_allclose(np.vdot(gradient[0], U), np.vdot(G, naive(U, W, stride, pads, dilation, groups)), atol=1e-11)
        np.testing.assert_allclose(np.vdot(gradient[1], V), np.vdot(G, naive(X, V, stride, pads, dilation, groups)), atol=1e-11)
        np.testing.assert_allclose(gradient[2], G.sum((0, *range(2, rank + 2))), atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_one_function_for_all_sizes(dtype: str) -> None:
    """Batch, space, channels and kernel are open; equal sizes, a batch of nothing, a kernel as large as the image."""
    x, w = gx.tensor("x", ("n", "c", "h", "v"), dtype), gx.tensor("w", ("f", "c", "p", "q"), dtype)
    outs = [gx.nn.conv2d(x, w, padding=pad, stride=s) for pad, s in [("valid", 1), ("same", 2), ("full", 1)]]
    f = gx.function([x, w], outs)
    for n, c, h, v, o, p, q in [
        (2, 3, 5, 4, 2, 3, 2),
        (1, 1, 1, 1, 1, 1, 1),
        (0, 2, 3, 3, 2, 3, 3),
        (3, 3, 3, 3, 3, 3, 3),
        (1, 2, 9, 20, 17, 2, 4),
    ]:
        X, W = (10 * values(n, c, h, v)).astype(dtype), (10 * values(o, c, p, q)).astype(dtype)
        same = [max((-(-m // 2) - 1) * 2 + k - m, 0) for m, k in ((h, p), (v, q))]
        for got, pads, s in zip(
            f(X, W), [((0, 0), (0, 0)), tuple((a // 2, a - a // 2) for a in same), ((p - 1, p - 1), (q - 1, q - 1))], (1, 2, 1), strict=True
        ):
            want = naive(X, W, (s, s), pads, (1, 1))
            assert got.dtype == want.dtype and got.shape == want.shape
            np.testing.assert_allclose(got, want, atol=0 if dtype == "int32" else 1e-3 if dtype == "float32" else 1e-10)


def test_as_scipy() -> None:
    X, W = values(1, 1, 9, 7), values(1, 1, 3, 4)
    x, w = gx.asarray(X), gx.asarray(W)
    for mode in ("valid", "full"):
        np.testing.assert_allclose(
            gx.nn.conv2d(x, w, padding=mode).eval()[0, 0], scipy.signal.correlate2d(X[0, 0], W[0, 0], mode), atol=1e-12
        )
        true = gx.nn.conv2d(x, w, padding=mode, flip=True).eval()[0, 0]
        np.testing.assert_allclose(true, scipy.signal.convolve2d(X[0, 0], W[0, 0], mode), atol=1e-12)
    np.testing.assert_allclose(
        gx.nn.conv1d(x[0, 0, :1, None], w[0, 0, :1, None], padding="full").eval()[0, 0],
        scipy.signal.correlate(X[0, 0, 0], W[0, 0, 0]),
        atol=1e-12,
    )


def test_padding_modes() -> None:
    X, W = values(2, 2, 4, 5), values(3, 2, 3, 3)
    x = gx.asarray(X)
    for mode, theirs in (("reflect", "reflect"), ("edge", "edge"), ("replicate", "edge"), ("circular", "wrap")):
        wide = np.pad(X, ((0, 0), (0, 0), (1, 2), (3, 0)), theirs)  # type: ignore[call-overload]
        got = gx.nn.conv2d(x, W, padding=((1, 2), (3, 0)), padding_mode=mode, stride=2).eval()
        np.testing.assert_allclose(got, naive(wide, W, (2, 2), ((0, 0), (0, 0)), (1, 1)), atol=1e-12)
    check_derivatives(lambda x: gx.nn.conv2d(x, W[:1], padding=1, padding_mode="reflect"), X[:1, :, :3, :3], orders=2)


@pytest.mark.parametrize(
    ("stride", "pad", "extra", "dilation", "groups"), [(1, 0, 0, 1, 1), (2, 1, 1, 1, 1), (3, 0, 2, 2, 2), (2, 0, 0, 1, 4)]
)
def test_transpose_is_the_gradient(stride: int, pad: int, extra: int, dilation: int, groups: int) -> None:
    """<conv_transpose(z), u> = <z, conv(u)>, and the size is the one that the formula says; NHWC as well."""
    Z, W = values(2, 4, 3, 2), values(4, 8 // groups, 2, 3)
    z = gx.tensor("z", Z.shape)
    args: dict[str, Any] = {"stride": stride, "padding": pad, "dilation": dilation, "groups": groups}
    out = gx.nn.conv_transpose2d(z, W, None, **args, output_padding=extra)
    assert out.shape[2:] == tuple((n - 1) * stride - 2 * pad + dilation * (k - 1) + 1 + extra for n, k in ((3, 2), (2, 3)))
    turned = gx.nn.conv_transpose2d(
        gx.transpose(z, (0, 2, 3, 1)), W.transpose(2, 3, 1, 0), None, **args, output_padding=extra, layout="NHWC"
    )
    got, last = gx.function([z], [out, turned])(Z)
    U = values(*got.shape)
    there = naive(U, W, (stride, stride), ((pad, pad),) * 2, (dilation, dilation), groups)[:, :, :3, :2]
    np.testing.assert_allclose(np.vdot(got, U), np.vdot(Z, there), atol=1e-11)
    np.testing.assert_allclose(last, got.transpose(0, 2, 3, 1), atol=1e-12)
    assert gx.nn.conv_transpose(z, W, None, **args, output_size=got.shape[2:]).eval({z: Z}).tolist() == out.eval({z: Z}).tolist()


def test_locally_connected() -> None:
    X, W = values(2, 3, 5, 4), values(2, 3, 3, 3, 3, 2)
    x, w = gx.tensor("x", X.shape), gx.tensor("w", W.shape)
    B = values(2, 3, 3)
    out = gx.nn.locally_connected(x, w, B, stride=2, padding=1)
    want = naive_unshared(X, W, 2, 1) + B
    last = gx.nn.locally_connected(gx.transpose(x, (0, 2, 3, 1)), w, B, stride=2, padding=1, layout="NHWC")
    G = values(*out.shape)
    U, V = values(*X.shape), values(*W.shape)
    got = gx.function([x, w], [out, last, *gx.vjp(out, [x, w], gx.asarray(G))])(X, W)
    np.testing.assert_allclose(got[0], want, atol=1e-12)
    np.testing.assert_allclose(got[1], want.transpose(0, 2, 3, 1), atol=1e-12)
    np.testing.assert_allclose(np.vdot(got[2], U), np.vdot(G, naive_unshared(U, W, 2, 1)), atol=1e-11)
    np.testing.assert_allclose(np.vdot(got[3], V), np.vdot(G, naive_unshared(X, V, 2, 1)), atol=1e-11)
    check_derivatives(lambda x, w: gx.nn.locally_connected(x, w), values(1, 2, 3), values(2, 2, 2, 2))
    shared = np.broadcast_to(values(2, 1, 1, 3, 3, 2), (2, 5, 4, 3, 3, 2)).copy()
    np.testing.assert_allclose(
        gx.nn.locally_connected(x, shared, padding=((1, 1), (0, 1))).eval({x: X}),
        gx.nn.conv2d(x, shared[:, 0, 0], padding=((1, 1), (0, 1))).eval({x: X}), atol=1e-12,
    )  # fmt: skip


def test_derivatives_to_order_three_stay_convolutions() -> None:
    for args in ({"stride": 2, "padding": 1}, {"dilation": 2, "padding": ((1, 2),)}, {"groups": 2, "flip": True}):
        check_derivatives(lambda x, w, a=args: gx.nn.conv1d(x, w, **a), values(2, 2, 5), values(2, 2 // args.get("groups", 1), 2))  # type: ignore[call-overload]
    x, w = gx.tensor("x", (2, 3, 6, 6)), gx.tensor("w", (4, 3, 3, 3))
    cost = gx.sum(gx.nn.conv2d(x, w, stride=2) ** 3)
    u = gx.tensor("u", w.shape)
    found = [n for n in toposort([*pull_back([(gx.sum(pull_back([(cost, gx.asarray(1.0))], {w})[w] * u), gx.asarray(1.0))], {w}).values()])]
    assert sum(n.op is CONVOLVE for n in found) == 3 and not any(n.op.traits.kernel not in (None, "convolve") for n in found)


def test_vmap() -> None:
    """Over images, over kernels, over both: one convolution, not a loop."""
    X, W = values(3, 2, 4, 4), values(3, 5, 2, 2, 2)
    for axes in [(0, None), (None, 0), (0, 0)]:
        xs, ws = X if axes[0] == 0 else X[0], W if axes[1] == 0 else W[0]
        x, w = gx.tensor("x", xs.shape), gx.tensor("w", ws.shape)
        out = gx.vmap(lambda x, w: gx.nn.conv2d(x, w, padding=1), axes)(x, w)
        want = [
            naive((X[k] if axes[0] == 0 else X[0])[None], W[k] if axes[1] == 0 else W[0], (1, 1), ((1, 1),) * 2, (1, 1))[0]
            for k in range(3)
        ]
        np.testing.assert_allclose(gx.function([x, w], out)(xs, ws), np.stack(want), atol=1e-12)


def test_nan_stays_in_its_field() -> None:
    X = values(1, 1, 5, 5)
    X[0, 0, 2, 2] = np.nan
    got = gx.nn.conv2d(gx.asarray(X), values(1, 1, 3, 3), padding=1).eval()[0, 0]
    assert np.isnan(got[1:4, 1:4]).all() and not np.isnan(got[[0, 4]]).any() and not np.isnan(got[:, [0, 4]]).any()


with origin(("net.py", 3)):
    IMAGE, KERNEL = gx.tensor("image", ("n", 3, 224, 224), "float32"), gx.tensor("kernel", (64, 3, 3, 3), "float32")
    SMALL = gx.tensor("small", (1, 3, 2, 2), "float32")
ERRORS: dict[str, Callable[[], Node]] = {
    "a stride that does not divide": lambda: gx.nn.conv2d(IMAGE, KERNEL, stride=2, remainder="error"),
    "a kernel that does not fit": lambda: gx.nn.conv2d(SMALL, KERNEL),
    "a dilated kernel that does not fit": lambda: gx.nn.conv2d(IMAGE, KERNEL, dilation=112, padding=((0, 0), (1, 0))),
    "other channels": lambda: gx.nn.conv2d(IMAGE, KERNEL, groups=2),
    "groups that do not divide": lambda: gx.nn.conv2d(IMAGE, KERNEL, groups=3),
    "a weight of another rank": lambda: gx.nn.conv1d(IMAGE, KERNEL),
    "an image of another rank": lambda: gx.nn.conv2d(IMAGE[0, 0], KERNEL),
    "a layout": lambda: gx.nn.conv2d(IMAGE, KERNEL, layout="HWCN"),
    "a padding": lambda: gx.nn.conv2d(IMAGE, KERNEL, padding="most"),
    "paddings for three axes": lambda: gx.nn.conv2d(IMAGE, KERNEL, padding=(1, 1, 1)),
    "a negative padding": lambda: gx.nn.conv2d(IMAGE, KERNEL, padding=-1),
    "a mode": lambda: gx.nn.conv2d(IMAGE, KERNEL, padding=1, padding_mode="wrap"),
    "too much to reflect": lambda: gx.nn.conv2d(SMALL, KERNEL, padding=2, padding_mode="reflect"),
    "a stride of 0": lambda: gx.nn.conv2d(IMAGE, KERNEL, stride=0),
    "a bias": lambda: gx.nn.conv2d(IMAGE, KERNEL, gx.tensor("bias", (3,))),
    "a transpose of nothing": lambda: gx.nn.conv_transpose2d(SMALL, gx.zeros((3, 1, 1, 1)), padding=3),
    "unshared weights": lambda: gx.nn.locally_connected(SMALL, gx.zeros((4, 2, 2, 3, 2, 2))),
    "windows of padding": lambda: gx.nn.max_pool2d(SMALL, 2, padding=2),
    "a window that does not fit": lambda: gx.nn.avg_pool2d(SMALL, 3),
    "a norm": lambda: gx.nn.lp_pool(SMALL, -1, 2),
    "a mean of integers": lambda: gx.nn.avg_pool2d(SMALL.astype("int32"), 2),
}  # fmt: skip


def test_errors(golden: Callable[[str, str], None]) -> None:
    golden("errors_convolution", text(ERRORS))


def test_error_classes() -> None:
    for title, kind in [("a stride that does not divide", ShapeError), ("a layout", ArgumentError), ("a mean of integers", DTypeError)]:
        with pytest.raises(kind):
            ERRORS[title]()
    assert set(itertools.chain(gx.nn.__all__)) <= set(dir(gx.nn))

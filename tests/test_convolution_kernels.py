"""How convolutions run: gathered block by block as one kernel with what follows them, in both layouts, on any number of threads."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.codegen.strategy.blocks import common_stride, cut
from graphc.program import Axis, loop_index
from tests.naive_convolution import naive

RNG = np.random.default_rng(11)


def plans(f: gx.Function) -> list[str]:
    """The convolutions among the kernels' loops."""
    return [line.strip() for line in f.loops.splitlines() if line.strip().startswith("convolve(")]


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_blocks_epilogue_and_threads(layout: str) -> None:
    """Several blocks of every kind; the result does not depend on the threads, nor the gradients; bias and relu need no kernel."""
    X, W, B = (RNG.normal(size=s).astype("f4") for s in ((3, 32, 20, 21), (40, 32, 3, 3), (40,)))
    x, w, b = (gx.tensor(n, s, "float32") for n, s in zip("xwb", (("n", 32, 20, 21), W.shape, B.shape)))
    last = layout == "NHWC"
    image, kernel = (gx.transpose(x, (0, 2, 3, 1)), gx.transpose(w, (2, 3, 1, 0))) if last else (x, w)
    y = gx.relu(gx.nn.conv2d(image, kernel, b, padding=1, layout=layout))
    outputs = [y, *gx.grad(gx.sum(y * y), [x, w, b])]
    one, two = (gx.function([x, w, b], outputs, threads=k) for k in (1, 2))
    found = one(X, W, B)
    for alone, shared in zip(found, two(X, W, B), strict=True):
        np.testing.assert_array_equal(alone, shared)
    want = np.maximum(naive(X, W, (1, 1), ((1, 1),) * 2, (1, 1)) + B.reshape(-1, 1, 1), 0)
    np.testing.assert_allclose(found[0].transpose(0, 3, 1, 2) if last else found[0], want, atol=2e-4)
    slow = gx.function([x, w, b], outputs, mode="interpret")(X, W, B)
    for got, expected in zip(found, slow, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert len(plans(one)) == 3
    forward = gx.function([x, w, b], y)
    assert len(re.findall(r"^k\d+:", forward.loops, re.MULTILINE)) == 1 and len(plans(forward)) == 1


def test_strided_gradients_run_by_phases() -> None:
    """An input gradient with a stride is a convolution for each phase, or one with an axis of phases where these are alike.

    No product has a factor that is a zero of the padding between: each phase sums over the taps that it meets. Sizes that the stride does
    not divide, sizes that the call tells, a dilation that shares a factor with the stride or not, blocks of channels, and what follows.
    """
    for layout, size, kernel, stride, pad, dilation, taps in [
        ("NCHW", (8, 8), (2, 2), 2, 0, 1, [1]),
        ("NCHW", (9, 8), (3, 3), 2, 1, 1, [1, 2, 2, 4]),
        ("NHWC", ("h", "v"), (3, 2), 2, 1, 1, [1, 1, 2, 2]),
        ("NCHW", ("h", 9), (3, 3), 2, 2, 3, [1, 2, 2, 4]),
        ("NCHW", (9, 10), (3, 2), 4, 3, 2, None),
    ]:
        known = tuple(n if isinstance(n, int) else 8 + k for k, n in enumerate(size))
        channels = 140  # several blocks of the sum
        X, W = (RNG.normal(size=s) for s in ((2, 3, *known), (channels, 3, *kernel)))
        place = {"stride": stride, "padding": pad, "dilation": dilation}
        last = layout == "NHWC"
        x, w = gx.tensor("x", (2, *size, 3) if last else (2, 3, *size)), gx.tensor("w", W.shape)
        y = gx.nn.conv2d(x, gx.transpose(w, (2, 3, 1, 0)) if last else w, **place, layout=layout)  # type: ignore[arg-type]
        G = RNG.normal(size=(2, channels, *[(n + 2 * pad - dilation * (k - 1) - 1) // stride + 1 for n, k in zip(known, kernel)]))
        g = gx.tensor("g", y.shape)
        f = gx.function([x, w, g], gx.vjp(y, [x], g)[0] + 2 * x, mode="verify")
        turn: Any = (lambda a: a.transpose(0, 2, 3, 1)) if last else (lambda a: a)
        got = f(turn(X), W, turn(G)) - 2 * turn(X)
        U = RNG.normal(size=X.shape)
        want = np.vdot(G, naive(U, W, (stride,) * 2, ((pad, pad),) * 2, (dilation,) * 2))
        np.testing.assert_allclose(np.vdot(got, turn(U)), want, rtol=1e-10, err_msg=f.loops)
        sums = [re.findall(r"r[1-9]:(\d+)", part) for part in " ".join(plans(f)).split(" | ")]
        assert taps is None or sorted(math.prod(map(int, some)) for some in sums) == taps, f.loops


def test_sums_without_terms_are_no_turns() -> None:
    """The kernel gradient of a depthwise convolution masks nothing: its loops go where both arrays have an element."""
    X, W = RNG.normal(size=(2, 3, 9, 17)), RNG.normal(size=(3, 1, 3, 5))
    x, w = gx.tensor("x", ("n", 3, "h", 17)), gx.tensor("w", W.shape)
    y = gx.nn.conv2d(x, w, stride=(2, 1), padding=(1, 2), groups=3)
    G = RNG.normal(size=(2, 3, 5, 17))
    f = gx.function([x, w], gx.vjp(y, [w], gx.asarray(G))[0], mode="verify")
    assert " if " not in f.loops and "max(" in f.loops
    V = RNG.normal(size=W.shape)
    np.testing.assert_allclose(np.vdot(f(X, W), V), np.vdot(G, naive(X, V, (2, 1), ((1, 1), (2, 2)), (1, 1), 3)), rtol=1e-11)


def test_short_sums_without_terms() -> None:
    """Depthwise with the channels last: every guard is a bound of the loops over the taps; with lanes along a row its own masks stay."""
    X, W = RNG.normal(size=(2, 7, 24, 9)), RNG.normal(size=(9, 1, 3, 2))
    for layout, image, kernel, masked in [("NHWC", X, W.transpose(2, 3, 1, 0), False), ("NCHW", X.transpose(0, 3, 1, 2), W, True)]:
        x, w = gx.tensor("x", image.shape), gx.tensor("w", kernel.shape)
        f = gx.function([x, w], gx.nn.conv2d(x, w, padding=(2, 1), groups=9, layout=layout), mode="verify")
        assert (" if " in f.loops) == masked and ("max(" in f.loops) != masked
        want = naive(X.transpose(0, 3, 1, 2), W, (1, 1), ((2, 2), (1, 1)), (1, 1), 9)
        got = f(image, kernel)
        np.testing.assert_allclose(got if masked else got.transpose(0, 3, 1, 2), want, atol=1e-12)


def test_cuts() -> None:
    a, b, c = (Axis(loop_index(k), n) for k, n in enumerate((64, 3, 3)))
    blocks = cut([a, b, c], 256)
    assert (blocks.outer, blocks.axis, blocks.chunk, blocks.inner, blocks.blocks, blocks.most) == ((), a, 22, (b, c), 3, 198)
    wide = cut([Axis(loop_index(0), 32), Axis(loop_index(1), 56), Axis(loop_index(2), 56)], 128, 16)
    assert (wide.chunk, wide.most, wide.whole, len(wide.outer)) == (2, 112, True, 1)
    n = gx.dim("n")
    unknown = cut([a, Axis(loop_index(1), n)], 100)
    assert unknown.outer == (a,) and unknown.chunk == 100 and not unknown.whole
    assert common_stride([a, b], a.index * 3 + b.index) == 1 and common_stride([a, b], a.index * 4 + b.index) is None
    assert cut([], 9).most == 1 and cut([], 9).blocks == 1

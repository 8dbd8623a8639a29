"""How convolutions run: gathered block by block as one kernel with what follows them, in both layouts, on any number of threads."""

from __future__ import annotations

import re

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
    """An input gradient with a stride is a convolution for each phase; where the stride does not divide the size, loops."""
    for size, planned in [(8, 1), (9, 0)]:
        X, W = RNG.normal(size=(2, 4, size, size)), RNG.normal(size=(8, 4, 3, 3))
        x, w = gx.tensor("x", X.shape), gx.tensor("w", W.shape)
        y = gx.nn.conv2d(x, w, stride=2, padding=1)
        G = RNG.normal(size=y.shape)  # type: ignore[arg-type]
        g = gx.tensor("g", G.shape)
        f = gx.function([w, g], gx.vjp(y, [x], g))
        U = RNG.normal(size=X.shape)
        np.testing.assert_allclose(np.vdot(f(W, G)[0], U), np.vdot(G, naive(U, W, (2, 2), ((1, 1),) * 2, (1, 1))), rtol=1e-11)
        assert len(plans(f)) == planned


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

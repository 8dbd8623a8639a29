"""Pads, slices and transposes around convolutions become part of them: one kernel, no copy, the same values and derivatives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import graphc as gx
from graphc.interp import evaluate
from graphc.ir import Graph, Node
from graphc.ops.convolve import CONVOLVE
from graphc.passes.rules.convolutions import CONVOLUTIONS
from graphc.passes.simplify import simplify

RNG = np.random.default_rng(5)
X, W, B = (RNG.normal(size=s) for s in ((2, 4, 9, 10), (6, 4, 3, 3), (6,)))
BESIDE = ((0, 0), (0, 0))


def spread_out(x: Node) -> Node:
    """Zeros between rows, as the derivative of a slice with steps has them."""
    wide = gx.tensor("wide", (*x.shape[:2], 2 * x.shape[2], *x.shape[3:]))
    return gx.vjp(wide[:, :, ::2], [wide], x)[0]  # type: ignore[no-any-return]


CASES: dict[str, tuple[Callable[[Node, Node, Node], Node], set[str]]] = {  # what of the moves is left
    "steps": (lambda x, w, b: gx.nn.conv2d(x, w, padding=1)[..., ::2, ::2], set()),
    "part": (lambda x, w, b: gx.nn.conv2d(x, w, padding=1)[1:, :, 1:-2, 3::2], {"slice"}),  # of the batch: of x
    "behind bias and relu": (lambda x, w, b: gx.relu(gx.nn.conv2d(x, w, b, padding=1))[..., ::3, 2:9:3], set()),
    "groups": (lambda x, w, b: gx.nn.conv2d(x, gx.reshape(w, (12, 2, 3, 3)), padding=1, groups=2)[..., ::2, :5], set()),
    "depthwise": (lambda x, w, b: gx.nn.conv2d(x, gx.reshape(b[:4], (4, 1, 1, 1)), padding=1, groups=4)[..., ::2, ::2], {"slice"}),
    "input gradient": (lambda x, w, b: gx.nn.conv_transpose2d(x, gx.reshape(w, (4, 6, 3, 3)), stride=2)[..., 1:-1, 2:8], set()),
    "pad": (lambda x, w, b: gx.nn.conv2d(gx.pad(x, (*BESIDE, (1, 2), (0, 3))), w, b, stride=2), set()),
    "pad of both": (lambda x, w, b: gx.nn.conv2d(gx.pad(x, (*BESIDE, (4, 1), (0, 0))), gx.pad(w, (*BESIDE, (1, 2), (0, 1)))), set()),
    "pad of channels": (lambda x, w, b: gx.nn.conv2d(x, gx.pad(w, ((1, 0), *BESIDE, (0, 0)))), {"pad"}),
    "pad by ones": (lambda x, w, b: gx.nn.conv2d(gx.pad(x, (*BESIDE, (1, 1), (1, 1)), constant_values=1), w), {"pad"}),
    "zeros between": (lambda x, w, b: gx.nn.conv2d(spread_out(x), w, b, padding=1, dilation=(2, 1)), set()),
    "zeros between taps": (lambda x, w, b: gx.nn.conv2d(x, spread_out(w), stride=2, padding=2), set()),
    "zeros between and steps": (lambda x, w, b: gx.nn.conv2d(spread_out(x), w, stride=2), {"pad"}),
    "other layout": (
        lambda x, w, b: gx.transpose(
            gx.tanh(gx.nn.conv2d(gx.transpose(x, (0, 2, 3, 1)), gx.transpose(w, (2, 3, 1, 0)), b, layout="NHWC")), (0, 3, 1, 2)
        ),
        set(),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("case", "known"), [(case, k % 3 == 0) for k, case in enumerate(CASES)])
def test_moves_become_part_of_the_convolution(case: str, known: bool) -> None:
    """What is left of the moves, of known sizes and not; values and derivatives are those of the interpreter, which changes nothing."""
    build, left = CASES[case]
    x = gx.tensor("x", X.shape if known else ("n", 4, "h", 10))
    w, b = gx.tensor("w", W.shape), gx.tensor("b", B.shape)
    y = build(x, w, b)
    simple = simplify(Graph((x, w, b), (y,)))
    assert {n.op.name for n in simple.order} & {"pad", "slice", "transpose"} <= left
    assert sum(n.op is CONVOLVE for n in simple.order) == 1
    first = gx.grad(gx.sum(gx.sin(y)), [x, w], disconnected="zero")
    outputs = [y, *first, gx.grad(gx.sum(first[1] ** 2), x, disconnected="zero")]
    variables = [x, w, b]
    found = gx.function(variables, outputs, mode="verify")(X, W, B)
    for got, want in zip(found, evaluate(outputs, dict(zip(variables, (X, W, B)))), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-11 * max(1, np.abs(want).max()))


def test_what_others_read_is_not_computed_twice() -> None:
    """A slice or a transpose of a convolution that is read as a whole, too, reads that one."""
    x, w = gx.tensor("x", X.shape), gx.tensor("w", W.shape)
    y = gx.nn.conv2d(x, w)
    for outputs in [(y, y[..., ::2]), (gx.sum(y), gx.transpose(y, (0, 2, 3, 1))), (gx.tanh(y)[:, :, 1:], gx.exp(y))]:
        simple = simplify(Graph((x, w), outputs))
        assert sum(n.op is CONVOLVE for n in simple.order) == 1 and any(n.op.name in ("slice", "transpose") for n in simple.order)


def test_honest_about_infinite_weights() -> None:
    """The zeros of a pad times an infinite weight: the rule says that it does not keep every bit, and nothing else changes."""
    assert {r.name: r.floats for r in CONVOLUTIONS} == {"pad in convolution": "reassoc", "transpose in convolution": "exact"}
    x, w = gx.tensor("x", (1, 1, 3)), gx.tensor("w", (1, 1, 1))
    y = gx.nn.conv1d(gx.pad(x, ((0, 0), (0, 0), (1, 1))), w)
    got = gx.function([x, w], y)(np.ones((1, 1, 3)), np.full((1, 1, 1), np.inf))[0, 0]
    assert ((got[1:4] == np.inf).all() and not np.isfinite(got[[0, 4]]).any()) or (got[[0, 4]] == 0).all()

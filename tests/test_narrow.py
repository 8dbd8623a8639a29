"""Pads, slices and transposes around convolutions become part of them: one kernel, no copy, the same values and derivatives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import graphc as gx
from graphc.ir import Node, toposort
from graphc.options import default_options
from graphc.passes.pipeline import Log, optimise
from graphc.passes.rules.convolutions import CONVOLUTIONS

RNG = np.random.default_rng(5)
X, W, B = (RNG.normal(size=s) for s in ((2, 4, 9, 10), (6, 4, 3, 3), (6,)))
MOVES = ("pad", "slice", "transpose")
BESIDE = ((0, 0), (0, 0))


def stuffed(x: Node, step: int) -> Node:
    """Zeros between the elements along the last axis, by hand."""
    rows = gx.pad(x[..., None], (*[(0, 0)] * x.ndim, (0, step - 1)))
    return gx.reshape(rows, (*x.shape[:-1], x.shape[-1] * step))


def spread_out(x: Node) -> Node:
    """Zeros between rows, as the derivative of a slice with steps has them."""
    wide = gx.tensor("wide", (*x.shape[:2], 2 * x.shape[2], *x.shape[3:]))
    return gx.vjp(wide[:, :, ::2], [wide], x)[0]  # type: ignore[no-any-return]


CASES: dict[str, tuple[Callable[[Node, Node, Node], Node], set[str]]] = {  # what of the moves is left
    "steps": (lambda x, w, b: gx.nn.conv2d(x, w, padding=1)[..., ::2, ::2], set()),
    "part": (lambda x, w, b: gx.nn.conv2d(x, w, padding=1)[1:, :, 1:-2, 3::2], {"slice"}),  # of the batch: of x
    "behind bias and relu": (lambda x, w, b: gx.relu(gx.nn.conv2d(x, w, b, padding=1))[..., ::3, 2:9:3], set()),
    "groups": (lambda x, w, b: gx.nn.conv2d(x, w, b, padding=1, groups=1)[..., ::2, :5], set()),
    "depthwise": (lambda x, w, b: gx.nn.conv2d(x, gx.reshape(b[:4], (4, 1, 1, 1)), padding=1, groups=4)[..., ::2, ::2], {"slice"}),
    "input gradient": (lambda x, w, b: gx.nn.conv_transpose2d(x, gx.reshape(w, (4, 6, 3, 3)), stride=2)[..., 1:-1, 2:8], set()),
    "pad": (lambda x, w, b: gx.nn.conv2d(gx.pad(x, (*BESIDE, (1, 2), (0, 3))), w, b, stride=2), set()),
    "pad of both": (lambda x, w, b: gx.nn.conv2d(gx.pad(x, (*BESIDE, (4, 1), (0, 0))), gx.pad(w, (*BESIDE, (1, 2), (0, 1))), flip=True), set()),
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


def moves(outputs: Node, inputs: list[Node]) -> set[str]:
    graph = optimise(gx.Graph(tuple(inputs), (outputs,)) if hasattr(gx, "Graph") else None, "default", Log())  # type: ignore[arg-type]
    return {n.op.name for n in graph.order} & set(MOVES)

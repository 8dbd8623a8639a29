"""Dropout: units deleted at random while training, in both of the textbooks' forms (Srivastava et al. 2014)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphc.errors import ArgumentError, fail
from graphc.ir import Node
from graphc.nn.parameters import Params, floats, parameter
from graphc.ops.compare import where
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.spread import astype
from graphc.random.discrete import bernoulli
from graphc.random.keys import bits
from graphc.types import normal_axes

RESCALE = ("training", "test")
WORDS = 2.0**32


def dropout(
    rng: Any, x: ArrayLike, rate: ArrayLike, training: bool = True, *, rescale: str = "training", shared_axes: int | Sequence[int] = (),
) -> Node:  # fmt: skip
    """x with each element deleted with probability `rate` while training; what is kept is divided by the keep rate 1 - rate.

    rescale="training": out = x * m / keep while training, m = 1 with probability keep, else 0; x itself otherwise. rescale="test": x * m
    while training, x * keep otherwise, which is what scaling the outgoing weights by the keep rate does: `scale_weights` does that
    once. Either way the mean of what the next layer is given is the same in both graphs.

    rng: a `gx.random.default_rng`, whose next draw is taken, or a key; not read when not training. The mask is drawn once: the derivative
    is m / keep with the same m. rate: a number in [0, 1), or a 0-d node. shared_axes: axes along which one mask serves, such as those of
    space, by which whole channels go. Raises ArgumentError, ShapeError; NotDifferentiableError for a derivative by the rate.

        h = gx.nn.dropout(rng, gx.relu(gx.nn.dense(p, x)), 0.5, training=training)
    """
    what = "dropout"
    node = floats(what, x)
    if rescale not in RESCALE:
        fail(ArgumentError, f"{what}: rescale is 'training' or 'test', got {rescale!r}")
    keep = _keep_rate(what, rate, node)
    if not training:
        return node if rescale == "training" else node * keep
    if isinstance(keep, float) and keep == 1:
        return node
    axes = normal_axes(shared_axes, node.ndim, what, node)
    sizes = tuple([1 if k in axes else n for k, n in enumerate(node.shape)])
    # of a number, words of 32 bits: half the work of a uniform double, and the chance is right to 2**-32
    kept = bits(rng, sizes, "uint32") < int(keep * WORDS) if isinstance(keep, float) else bernoulli(rng, keep, sizes)
    return where(kept, node / keep if rescale == "training" else node, 0)


def _keep_rate(what: str, rate: ArrayLike, x: Node) -> float | Node:
    """1 - rate, a Python number where the rate is one."""
    if isinstance(rate, (bool, int, float)):
        if isinstance(rate, bool) or not 0 <= rate < 1:
            fail(ArgumentError, f"{what}: the rate at which units are deleted is in [0, 1), got {rate!r}")
        return 1.0 - rate
    node = asarray(rate)
    if node.ndim or node.dtype.kind != "f":
        fail(ArgumentError, f"{what}: the rate is one float for all units", node)
    return 1 - astype(node, x.dtype)


def scale_weights(p: Params, rate: float) -> dict[str, Any]:
    """{**p, "weight": p["weight"] * (1 - rate)}: of the layer behind units that `dropout(.., rescale="test")` deleted in training.

    By the keep rate: books that say the dropout rate mean it at one half, where both are equal. Arrays give arrays, nodes nodes. Raises
    ArgumentError.
    """
    parameter(p, "weight", "scale_weights")
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < 1:
        fail(ArgumentError, f"scale_weights: the rate is a number in [0, 1), got {rate!r}")
    assert isinstance(p, Mapping)
    return {**p, "weight": p["weight"] * (1 - rate)}


__all__ = ["dropout", "scale_weights"]

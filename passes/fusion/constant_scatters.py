"""Scatters with constant places: where they go in the array laid flat, and which of them build up one array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc.ir import Node
from graphc.ops.registry import CONSTANT


def onward(order: Sequence[Node], kept: set[Node]) -> set[Node]:
    """The scatters that only another one reads, to go on with what they build up: with constant places, all are one kernel."""
    found: dict[Node, bool] = {}
    for node in order:
        for k, i in enumerate(node.inputs):
            if _scatters(i):
                alone = i not in found and k == 0 and _scatters(node) and i not in kept
                found[i] = alone and flat_places(node) is not None and flat_places(i) is not None
    return {i for i, alone in found.items() if alone}


def _scatters(node: Node) -> bool:
    return node.op.traits.kernel == "scatter"


def flat_places(scatter: Node) -> np.ndarray | None:
    """Where single elements of an array of known sizes go, if that is constant: their positions in the array laid flat."""
    x, _, *indices = scatter.inputs
    axes = scatter.attrs["axes"]
    if sorted(axes) != list(range(x.ndim)) or not all(isinstance(s, int) for s in x.shape) or any(i.op is not CONSTANT for i in indices):
        return None
    place = {a: i.attrs["value"].array for a, i in zip(axes, indices, strict=True)}
    flat: np.ndarray = np.ravel_multi_index([place[k] for k in range(x.ndim)], [int(s) for s in x.shape])
    return flat


def progression(places: np.ndarray) -> tuple[int, int | None]:
    """(first, step) of evenly spaced places, such as a diagonal has; (_, None) of others."""
    if places.ndim != 1 or places.size < 2 or len(steps := np.unique(np.diff(places))) != 1:
        return 0, None
    return int(places[0]), int(steps[0])

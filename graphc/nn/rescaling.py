"""Scales of initial weights from data: each layer of a network of any shape begins with outputs of deviation 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc import tree
from graphc.errors import ArgumentError, NumericError, fail
from graphc.ir import Node
from graphc.ops.reductions import std
from graphc.ops.registry import asarray
from graphc.user.function import function
from graphc.user.state import like


def rescale(
    p: Any, layers: Sequence[Mapping[str, np.ndarray]], outputs: Callable[[Any, Any], Sequence[Node]], data: Any, *, tolerance: float = 0.01
) -> Any:
    """The tree p with the layers scaled, first to last, so that each of their outputs has deviation 1 on a batch (Mishkin and Matas 2015).

    p: a tree of arrays; layers: those dicts in it that are scaled, in order, each with a "weight" and perhaps a "bias"; outputs(p, data):
    what each of them gives before its activation, in the same order, of nodes. data: a tree of arrays. One function is compiled, called
    once for each layer. p is left as it is.

    Raises ArgumentError where layers are not dicts of p or are not as many as outputs, NumericError where an output is the same for all
    data, or is no number; or where it does not scale with its layer, to within the tolerance.
    """
    leaves, structure = tree.flatten(p)
    fresh = [np.array(leaf) for leaf in leaves]
    places = {id(leaf): k for k, leaf in enumerate(leaves)}
    inside = [[places.get(id(layer[key])) for key in ("weight", "bias") if layer.get(key) is not None] for layer in layers]
    if any(k is None for found in inside for k in found) or not all("weight" in layer for layer in layers):
        fail(ArgumentError, "init.rescale: the layers are dicts of the tree of parameters, each with a 'weight'")
    made, given = like(p, "p"), like(data, "data")
    found = list(outputs(made, given))
    if len(found) != len(layers):
        fail(ArgumentError, f"init.rescale: {len(layers)} layers, but {len(found)} outputs")
    deviations = function([made, given], [std(asarray(out)) for out in found])
    for number, own in enumerate(inside):
        now = float(deviations(tree.unflatten(structure, fresh), data)[number])
        if not np.isfinite(now) or now == 0:
            fail(
                NumericError, f"init.rescale: the output of layer {number} has the deviation {now}", hint="look at its data and its weights"
            )
        for k in own:
            assert k is not None
            fresh[k] = (fresh[k] / now).astype(fresh[k].dtype)
    for number, now in enumerate(deviations(tree.unflatten(structure, fresh), data)):
        if not abs(float(now) - 1) <= tolerance:
            hint = "outputs are those before an activation, without what other layers add"
            fail(NumericError, f"init.rescale: after scaling, the output of layer {number} has the deviation {float(now)}", hint=hint)
    return tree.unflatten(structure, fresh)


__all__ = ["rescale"]

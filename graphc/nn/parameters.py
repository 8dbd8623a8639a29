"""The parameters of a layer: a dict of arrays, shared variables or nodes under the names that `gx.nn.init` gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.dims import Size
from graphc.dtypes import float64, is_float, promote, to_float
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.spread import astype
from graphc.types import same_size

Params = Mapping[str, Any]


def parameter(p: Params, key: str, layer: str, ndim: int | None = None) -> Node:
    """p[key] as a node. ArgumentError names the layer and the key that is missing, ShapeError the axes it should have."""
    if not isinstance(p, Mapping):
        fail(ArgumentError, f"{layer}: the parameters are a dict, not {type(p).__name__} {p!r:.40}", hint=_made_by(layer))
    if key not in p:
        have = ", ".join(repr(k) for k in p) or "nothing"
        fail(ArgumentError, f"{layer}: the parameters have no {key!r}; they have {have}", hint=_made_by(layer))
    if isinstance(p[key], Mapping):
        fail(ArgumentError, f"{layer}: {key!r} is a dict of {', '.join(map(repr, p[key]))}, not an array", hint=_made_by(layer))
    node = asarray(p[key])
    if not is_float(node.dtype):
        fail(DTypeError, f"{layer}: {key!r} must be floats", node)
    if ndim is not None and node.ndim != ndim:
        fail(ShapeError, f"{layer}: {key!r} has {node.ndim} axes, not {ndim}", node, hint=_made_by(layer))
    return node


def part(p: Params, key: str, layer: str) -> Params:
    """p[key], a dict of parameters itself. ArgumentError names the layer and the key that is missing."""
    if not isinstance(p, Mapping) or key not in p or not isinstance(p[key], Mapping):
        have = ", ".join(repr(k) for k in p) if isinstance(p, Mapping) else type(p).__name__
        fail(ArgumentError, f"{layer}: the parameters have no dict {key!r}; they have {have or 'nothing'}", hint=_made_by(layer))
    return p[key]  # type: ignore[no-any-return]


def _made_by(layer: str) -> str:
    return f"gx.nn.init.{layer.removesuffix('_layer')} makes them"


def optional(p: Params, key: str, layer: str, ndim: int | None = None) -> Node | None:
    """p[key] as `parameter`; None where there is none."""
    if isinstance(p, Mapping) and p.get(key) is None:
        return None
    return parameter(p, key, layer, ndim)


def floats(what: str, x: ArrayLike) -> Node:
    """x in a dtype of floats: integers and bools are cast as functions of floats cast them."""
    node = asarray(x)
    if node.dtype.kind not in "fiub":
        fail(DTypeError, f"{what}: needs an array of numbers", node)
    return astype(node, to_float(node.dtype))


def together(what: str, *values: ArrayLike) -> list[Node]:
    """The values as floats; a Python number takes the dtype of the others, so that float32 stays float32."""
    plain = [isinstance(v, (int, float)) and not isinstance(v, (bool, np.generic)) for v in values]
    strong = [floats(what, v) for v, number in zip(values, plain) if not number]
    dtype = promote(*[x.dtype for x in strong]) if strong else float64
    given = iter(strong)
    return [asarray(v, dtype) if number else next(given) for v, number in zip(values, plain)]


def agree(layer: str, have: Size, want: Size, of: str, x: Node, p: Node) -> None:
    """ShapeError, with both sizes, unless they are one: `dense: x has 3 features, 'weight' takes 4`."""
    if not same_size(have, want):
        fail(ShapeError, f"{layer}: {of}: {have} and {want}", x, p)

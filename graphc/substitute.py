"""`substitute`: an expression with some of its nodes and sizes replaced by others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphc import dims, tree
from graphc.dims import Dim, Size, Symbol
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node, replace
from graphc.ops.registry import asarray
from graphc.types import as_size, same_size


def substitute(exprs: Any, mapping: Mapping[Any, Any]) -> Any:
    """`exprs` (a tree) with nodes and sizes replaced simultaneously; structure kept. Replacements are not entered.

    Replacing x: (n, ..) by y: (m, ..) also replaces the size n by m. Variables that are not replaced stay what they are;
    where they meet a replaced size, the two are compared when the function is called.
    Raises ArgumentError, DTypeError, ShapeError.
    """
    if not isinstance(mapping, Mapping):
        fail(ArgumentError, f"substitute: needs a dict {{old: new}}, got {type(mapping).__name__}")
    leaves, structure = tree.flatten(exprs)
    roots = [asarray(x) for x in leaves]
    nodes: dict[Node, Node] = {}
    sizes: dict[Symbol, Size] = {}
    for old, new in mapping.items():
        if isinstance(old, Dim):
            symbol = dims.as_symbol(old)
            if symbol is None:
                fail(ArgumentError, f"substitute: {old} is not a single size symbol")
            sizes[symbol] = as_size(new)
        elif isinstance(old, Node):
            nodes[old] = _fitting(old, new)
        else:
            fail(ArgumentError, f"substitute: {old!r} is neither a node nor a size")
    for old, value in nodes.items():
        for a, b in zip(old.shape, value.shape, strict=True):
            _follow(sizes, a, b)
    for old, value in nodes.items():
        for axis, (a, b) in enumerate(zip(old.shape, value.shape, strict=True)):
            wanted = a if isinstance(a, int) else dims.substitute(a, sizes)
            if not same_size(wanted, b):
                fail(ShapeError, f"substitute: axis {axis} of the replacement has size {b}, expected {wanted}", old, value)
    return tree.unflatten(structure, replace(roots, nodes, sizes or None))


def _fitting(old: Node, new: Any) -> Node:
    """The replacement as a node of the dtype and rank of the original."""
    weak = isinstance(new, (int, float)) and not isinstance(new, bool)
    value = asarray(new, old.dtype if weak or isinstance(new, Dim) else None)
    if value.dtype != old.dtype:
        what = f"substitute: the replacement is {value.dtype}, the original {old.dtype}"
        fail(DTypeError, what, old, value, hint=f"cast it with .astype({old.dtype.name!r})")
    if value.ndim != old.ndim:
        fail(ShapeError, "substitute: the replacement has another rank", old, value)
    return value


def _follow(sizes: dict[Symbol, Size], old: Size, new: Size) -> None:
    """n -> m for n replaced by m, and (m - k) / c for c * n + k, where that is known to be a size."""
    for symbol in dims.symbols(old):
        if symbol in sizes or old == new:
            return
        split = dims.affine(old, symbol)
        if split is None or not isinstance(split[0], int) or not isinstance(split[1], int):
            return
        found = dims.divide(new - split[1], split[0])
        if found is not None and dims.less_equal(0, found) is not False:
            sizes[symbol] = found

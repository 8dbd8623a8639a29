"""Shared state: variables that keep their value between calls, and `like`, inputs shaped as given arrays."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from graphc import tree
from graphc.dtypes import as_dtype
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node
from graphc.ops.registry import SHARED, tensor, variable
from graphc.types import as_shape


class Shared(Node):
    """A variable that owns an array. Compiled functions read it and, through `updates`, replace it."""

    __slots__ = ("lock", "value")
    value: np.ndarray
    lock: threading.RLock

    def get_value(self) -> np.ndarray:
        """A copy of the current value."""
        with self.lock:
            return self.value.copy()

    def set_value(self, value: Any) -> None:
        """Replace the value by a copy of `value`. Raises DTypeError (only safe casts), ShapeError."""
        array = np.asarray(value)
        if array.dtype == object or not (np.can_cast(array.dtype, self.dtype, "safe") or isinstance(value, (int, float, list))):
            fail(DTypeError, f"set_value: {array.dtype} does not fit {self.dtype}", self, hint=f".astype({self.dtype.name!r}) converts it")
        if array.ndim != self.ndim or any(isinstance(s, int) and s != n for s, n in zip(self.shape, array.shape, strict=True)):
            fail(ShapeError, f"set_value: an array of shape {array.shape} does not fit", self)
        fresh = np.array(array, dtype=self.dtype, order="C")
        with self.lock:
            self.value = fresh


def shared(value: Any, name: str | None = None, shape: object = None) -> Any:
    """State with this initial value (copied): an array or number, or a tree of them, which gives a tree of `Shared`.

    `shape` names sizes that may change between calls, e.g. ("n", 3); by default all sizes are fixed.
    Raises ArgumentError, DTypeError, ShapeError.
    """
    leaves, structure = tree.flatten(value)
    if structure == tree.structure(0):
        return _one(value, name or "shared", shape)
    if shape is not None:
        fail(ArgumentError, "shared: `shape` goes with one array, not with a tree")
    paths = tree.paths(value)
    return tree.unflatten(structure, [_one(v, (name or "") + p or "shared", None) for v, p in zip(leaves, paths, strict=True)])


def _one(value: Any, name: str, shape: object) -> Shared:
    if isinstance(value, Node):
        fail(ArgumentError, "shared: the initial value must be an array, not a node", value)
    array = np.asarray(value)
    if isinstance(value, np.ma.MaskedArray) or array.dtype == object:
        fail(DTypeError, f"shared {name!r}: {type(value).__name__} is not an array of numbers")
    declared = array.shape if shape is None else as_shape(shape)
    if len(declared) != array.ndim:
        fail(ShapeError, f"shared {name!r}: shape has {len(declared)} axes, the value {array.ndim}")
    node = variable(SHARED, name, as_dtype(array.dtype), declared, Shared)
    assert isinstance(node, Shared)
    node.lock = threading.RLock()
    node.value = np.array(array, dtype=node.dtype, order="C")
    node.set_value(node.value)
    return node


def get_values(state: Any) -> Any:
    """The tree of copies of the values of a tree of shared variables."""
    return tree.map(lambda s: _checked(s).get_value(), state)


def set_values(state: Any, values: Any) -> None:
    """Set a tree of shared variables from a tree of arrays; all or, if one does not fit, none."""
    pairs = list(zip(tree.leaves(state), tree.leaves(tree.map(lambda s, v: v, state, values)), strict=True))
    old = [_checked(s).value for s, _ in pairs]
    try:
        for s, v in pairs:
            s.set_value(v)
    except Exception:
        for (s, _), value in zip(pairs, old, strict=True):
            s.value = value
        raise


def _checked(node: Any) -> Shared:
    if not isinstance(node, Shared):
        fail(ArgumentError, f"{node!r} is not a shared variable")
    return node


def like(value: Any, name: str = "v") -> Any:
    """Input variables of the dtypes and shapes of an array, node, or tree of them."""
    paths = tree.paths(value)
    leaves, structure = tree.flatten(value)
    made = []
    for leaf, path in zip(leaves, paths, strict=True):
        shown = leaf if isinstance(leaf, Node) else np.asarray(leaf)
        made.append(tensor(name + path, shown.shape, shown.dtype))
    return tree.unflatten(structure, made)

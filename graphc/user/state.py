"""Shared state: variables that keep their value between calls, and `like`, inputs shaped as given arrays."""

from __future__ import annotations

import ctypes
import os
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from graphc import dims, tree
from graphc.dims import Symbol
from graphc.dtypes import as_dtype
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node
from graphc.ops.registry import SHARED, tensor, variable
from graphc.types import Shape, as_shape
from graphc.user.arguments import as_argument

_LOCKS: weakref.WeakSet[StateLock] = weakref.WeakSet()


def _reset_all() -> None:
    for lock in list(_LOCKS):
        lock.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all)


class StateLock:
    """A re-entrant lock that also says, in memory native code can read, whether somebody holds it.

    Native code that works without the GIL says so in the same cell, and is waited for. It never waits itself: an emitted entry that
    finds the cell in use goes the Python path.
    """

    def __init__(self, cell: ctypes.Array[ctypes.c_int64]) -> None:
        self._lock, self._cell = threading.RLock(), cell
        _LOCKS.add(self)

    def reset(self) -> None:
        """In a child process: whoever held the lock is not there any more."""
        self._lock = threading.RLock()
        self._cell[BUSY] = self._cell[NATIVE] = 0

    def __enter__(self) -> None:
        self._lock.acquire()
        self._cell[BUSY] += 1  # from here on no native code begins
        pause = 0.0
        while self._cell[NATIVE]:
            time.sleep(pause)
            pause = min(1.2 * pause + 1e-5, 1e-3)  # a fifth late, or 1 ms

    def __exit__(self, *_: object) -> None:
        self._cell[BUSY] -= 1
        self._lock.release()


ADDRESS, BUSY, NATIVE = 0, 1, 2  # words of a state cell


class Shared(Node):
    """A variable that owns an array. Compiled functions read it and, through `updates`, replace it.

    `cell` holds what an emitted entry point reads and marks: the address of the array, how often the lock is held, and 1 while native
    code works on the array without the GIL.
    """

    __slots__ = ("_value", "cell", "lock")
    _value: np.ndarray
    cell: ctypes.Array[ctypes.c_int64]
    lock: StateLock

    @property
    def value(self) -> np.ndarray:
        """The array itself, not a copy."""
        return self._value

    def __copy__(self) -> Shared:
        """A new variable of the same name, shape and value."""
        return _made(self.name or "shared", self.dtype, self.shape, self.get_value())

    def __deepcopy__(self, memo: object) -> Shared:
        return self.__copy__()

    def _hold(self, array: np.ndarray) -> None:
        """Own an array that is known to fit; everybody else goes through `set_value`."""
        self.cell[ADDRESS] = array.ctypes.data  # first: another thread's call must not find the address of an array that is gone
        self._value = array

    def get_value(self) -> np.ndarray:
        """A copy of the current value."""
        with self.lock:
            return self.value.copy()

    def set_value(self, value: Any) -> None:
        """Replace the value by a copy of `value`. Raises ArgumentError, DTypeError (arrays are cast if that is safe), ShapeError."""
        write_values([self], [value])


def write_values(state: Sequence[Shared], values: Sequence[Any]) -> None:
    """Set each variable to a copy of its value; all of them or, where one does not fit, none."""
    fresh = [_fitting(s, v) for s, v in zip(state, values, strict=True)]
    with ExitStack() as stack:
        for s in sorted(state, key=lambda s: s.serial):
            stack.enter_context(s.lock)
        for s, array in zip(state, fresh, strict=True):
            s._hold(array)


def _fitting(s: Shared, value: Any) -> np.ndarray:
    """A copy of `value` as an array of the variable's dtype and shape."""
    array = np.array(as_argument(value, s, "safe", "set_value"), order="C")
    known: dict[Symbol, int] = {}
    for size, n in zip(s.shape, array.shape, strict=True):
        symbol = dims.as_symbol(size)
        if symbol is not None:
            known.setdefault(symbol, n)
    for size, n in zip(s.shape, array.shape, strict=True):
        if dims.symbols(size) <= known.keys() and dims.evaluate(size, known) != n:
            fail(ShapeError, f"set_value {s.name!r}: an array of shape {array.shape} does not fit", s)
    return array


def shared(value: Any, name: str | None = None, shape: object = None) -> Any:
    """State with this initial value (copied): an array or number, or a tree of them, which gives a tree of `Shared`.

    A list is a tree; np.array makes an array of it. `shape` names sizes that may change between calls, e.g. ("n", 3); by default
    all sizes are fixed. Raises ArgumentError, DTypeError, ShapeError.
    """
    if name is not None and not isinstance(name, str):
        fail(ArgumentError, f"shared: the name must be a string, got {name!r:.60}")
    leaves, structure = tree.flatten(value)
    if structure == tree.structure(0):
        return _one(value, name or "shared", shape)
    if shape is not None:
        fail(ArgumentError, "shared: `shape` goes with one array, not with a tree", hint="np.array makes one of a list")
    paths = tree.paths(value)
    return tree.unflatten(structure, [_one(v, (name or "") + p or "shared", None) for v, p in zip(leaves, paths, strict=True)])


def _one(value: Any, name: str, shape: object) -> Shared:
    if isinstance(value, Node):
        fail(ArgumentError, "shared: the initial value must be an array, not a node", value)
    if isinstance(value, np.ma.MaskedArray) or (array := np.asarray(value)).dtype.kind not in "fiubc":
        fail(DTypeError, f"shared {name!r}: {type(value).__name__} is not an array of numbers")
    declared = array.shape if shape is None else as_shape(shape)
    if len(declared) != array.ndim:
        fail(ShapeError, f"shared {name!r}: shape has {len(declared)} axes, the value {array.ndim}")
    return _made(name, as_dtype(array.dtype), declared, array)


def _made(name: str, dtype: np.dtype, shape: Shape, value: np.ndarray) -> Shared:
    node = variable(SHARED, name, dtype, shape, Shared)
    assert isinstance(node, Shared)
    node.cell = (ctypes.c_int64 * 3)()
    node.lock = StateLock(node.cell)
    node._hold(_fitting(node, value))
    return node


def get_values(state: Any) -> Any:
    """The tree of copies of the values of a tree of shared variables."""
    return tree.map(lambda s: _checked(s).get_value(), state)


def set_values(state: Any, values: Any) -> None:
    """Set a tree of shared variables from a tree of arrays; all or, if one does not fit, none."""
    states, structure = tree.flatten(state)
    listed, have = tree.flatten(values)
    if structure != have:
        fail(ArgumentError, f"set_values: the tree of shared variables and the tree of values differ {structure.difference(have)}")
    write_values([_checked(s) for s in states], listed)


def _checked(node: Any) -> Shared:
    if not isinstance(node, Shared):
        fail(ArgumentError, f"{node!r:.60} is not a shared variable")
    return node


def like(value: Any, name: str = "v") -> Any:
    """Input variables of the dtypes and shapes of an array, node, or tree of them."""
    if not isinstance(name, str):
        fail(ArgumentError, f"like: the name must be a string, got {name!r:.60}")
    paths = tree.paths(value)
    leaves, structure = tree.flatten(value)
    made = []
    for leaf, path in zip(leaves, paths, strict=True):
        shown = leaf if isinstance(leaf, Node) else np.asarray(leaf)
        made.append(tensor(name + path, shown.shape, shown.dtype))
    return tree.unflatten(structure, made)

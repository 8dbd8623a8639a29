"""Shared state: variables that keep their value between calls, and `like`, inputs shaped as given arrays."""

from __future__ import annotations

import ctypes
import os
import threading
import time
import weakref
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from graphc import dims, tree
from graphc.dims import Symbol
from graphc.dtypes import as_dtype, is_masked, refuse_complex
from graphc.errors import ArgumentError, DTypeError, ShapeError, StateInUseError, fail
from graphc.ir import Node, Site, origin
from graphc.ops.registry import SHARED, tensor, variable
from graphc.types import Shape, as_shape
from graphc.user.arguments import as_argument

ADDRESS, QUEUE, NATIVE = 0, 8, 16  # bytes from the beginning of a cell


class Cell(ctypes.Structure):
    """What native code reads and marks of a state variable: the address of the array, that of the list of who uses it, and while
    native code works on the array without the GIL 1, or its thread where that looks for signals."""

    address: int
    queue: int
    native: int
    _fields_ = (("address", ctypes.c_int64), ("queue", ctypes.c_int64), ("native", ctypes.c_int64))


class Hold:
    """A thread's right to the state that `hold` was asked for: it ends when nobody refers to this object any more."""

    __slots__ = ("__weakref__",)


class _Place(weakref.ref[Hold]):
    """In the queue of a variable: whose turn it is."""

    __slots__ = ("thread",)
    thread: int


def hold(state: Sequence[Shared], changed: Collection[Shared] = ()) -> Hold:
    """Wait until no other thread works with any of these variables; none does then until the answer is dropped.

    StateInUseError if one of those to be `changed` is held by a call of this very thread, which made a callback or was interrupted by a
    handler of signals: its update would be lost, or it would see half of ours. To read what such a call works with is fine: it has
    changed nothing yet.

        held = None
        try:
            held = hold([a, b])
            ...
        finally:
            held = None

    Ctrl-C may interrupt Python code between any two calls, so a lock that is taken by one call and given back by another can be lost.
    Here each variable has a queue of weak references; the thread whose reference is first may work. A reference leaves the queue the
    moment its `Hold` goes, by `list.remove` as its callback: no Python code has to run for that, and what is interrupted loses its
    `Hold` with its frames. (A traceback keeps those, hence the `finally`.) An emitted entry that finds somebody in the queue goes the
    Python path. All queue up in the order of the variables, so nobody waits in a circle.
    """
    mine, thread = Hold(), threading.get_ident()
    for s in changed:
        if s.cell.native == thread or any(place.thread == thread for place in s.queue):
            what = f"{s.name!r} cannot be changed now: a call that this thread has not come back from works with it"
            fail(StateInUseError, what, s, hint="change it when that call has returned")
    try:
        for s in sorted(state, key=lambda s: s.serial):
            place = _Place(mine, s.queue.remove)
            place.thread = thread  # no interrupt comes before it is in the queue: the next call puts it there
            s.queue.append(place)  # from here on no native code begins
            _wait(s, thread)
    except BaseException:
        del mine
        raise
    return mine


def _wait(s: Shared, thread: int) -> None:
    """Wait until this thread is first in the queue, here or further down its stack, and until native code without the GIL is done."""
    pause = 0.0
    while s.cell.native != thread and (s.queue[0].thread != thread or s.cell.native):
        time.sleep(pause)
        pause = min(1.2 * pause + 1e-5, 1e-3)  # a fifth late, or 1 ms


def _reset_all() -> None:
    """In a child process: who else worked with state is not there any more."""
    thread = threading.get_ident()
    for s in list(_SHARED):
        s.cell.native = 0
        s.queue[:] = [place for place in s.queue if place.thread == thread]


_SHARED: weakref.WeakSet[Shared] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all)


class Shared(Node):
    """A variable that owns an array. Compiled functions read it and, through `updates`, replace it.

    next: state -> its new value, a function of a module, of state that every function advances by itself which reads it and does not
    say what becomes of it: that of random draws. None of any other.
    """

    __slots__ = ("_value", "cell", "next", "queue")
    _value: np.ndarray
    next: Callable[[Shared], Node] | None
    cell: Cell
    queue: list[_Place]

    @property
    def value(self) -> np.ndarray:
        """The array itself, not a copy."""
        return self._value

    def __copy__(self) -> Shared:
        """A new variable of the same name, shape and value."""
        return _made(self.name or "shared", self.dtype, self.shape, self.get_value(), self.next)

    def __deepcopy__(self, memo: object) -> Shared:
        return self.__copy__()

    def get_value(self) -> np.ndarray:
        """A copy of the current value."""
        held = None
        try:
            held = hold([self])
            return self.value.copy()
        finally:
            held = None  # noqa: F841

    def set_value(self, value: Any) -> None:
        """Replace the value by a copy of `value`. Raises ArgumentError, DTypeError (arrays are cast if that is safe), ShapeError,
        and StateInUseError inside a callback of a call that works with it.
        """
        write_values([self], [value])


def write_values(state: Sequence[Shared], values: Sequence[Any]) -> None:
    """Set each variable to a copy of its value; all of them or, where one does not fit, none. StateInUseError: see `hold`."""
    fresh = [_fitting(s, v) for s, v in zip(state, values, strict=True)]
    held = None
    try:
        held = hold(state, state)
        _own(state, fresh)
    finally:
        held = None  # noqa: F841


def replace_values(state: Sequence[Shared], values: Sequence[Any]) -> None:
    """The same for whoever holds them."""
    _own(state, [_fitting(s, v) for s, v in zip(state, values, strict=True)])


def _own(state: Sequence[Shared], arrays: Sequence[np.ndarray]) -> None:
    """Have each variable own an array that is known to fit.

    In one step: no other thread and no Ctrl-C comes between, so all are replaced or none, and addresses are those of the arrays.
    """
    changes = [c for s, a in zip(state, arrays, strict=True) for c in ((s.cell, "address", a.ctypes.data), (s, "_value", a))]
    if changes:
        list(map(setattr, *zip(*changes)))


def _fitting(s: Shared, value: Any) -> np.ndarray:
    """A copy of `value` as an array of the variable's dtype and shape; a view, so that nobody resizes it."""
    array = np.array(as_argument(value, s, "safe", "set_value"), order="C")[...]
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
    array = np.asarray(value)
    refuse_complex(array.dtype, f"shared {name!r}")
    if is_masked(value) or array.dtype.kind not in "fiub":
        fail(DTypeError, f"shared {name!r}: {type(value).__name__} is not an array of numbers")
    declared = array.shape if shape is None else as_shape(shape)
    if len(declared) != array.ndim:
        fail(ShapeError, f"shared {name!r}: shape has {len(declared)} axes, the value {array.ndim}")
    return _made(name, as_dtype(array.dtype), declared, array)


Next = Callable[[Shared], Node] | None


def _made(name: str, dtype: np.dtype, shape: Shape, value: np.ndarray, next: Next = None) -> Shared:
    node = variable(SHARED, name, dtype, shape, Shared)
    assert isinstance(node, Shared)
    node.queue, node.next = [], next
    node.cell = Cell(queue=id(node.queue))
    _SHARED.add(node)
    _own([node], [_fitting(node, value)])
    return node


def self_advancing(value: np.ndarray, name: str, next: Callable[[Shared], Node]) -> Shared:
    """State that every function which reads it advances to next(state)."""
    return _made(name, as_dtype(value.dtype), value.shape, value, next)


def restored(name: str, dtype: np.dtype, shape: Shape, value: np.ndarray, site: Site, next: Next = None) -> Shared:
    """A variable as it was written by `graphc.pickling`."""
    with origin(site or ("", 0)):
        return _made(name, dtype, shape, value, next)


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

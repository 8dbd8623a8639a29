"""Data in memory as minibatches: what may be given, and in which order an epoch takes its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from graphc import tree
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.tree import Tree


@dataclass(frozen=True)
class Data:
    """Arrays of one leading size: `arguments` of a function, by position or by name."""

    arguments: Tree
    rows: int

    @cached_property
    def _leaves(self) -> tuple[list[np.ndarray], tree.TreeDef, bool]:
        """(the arrays, the structure, whether that is a plain tuple or list of them: some microseconds less a call)."""
        leaves, structure = tree.flatten(self.arguments)
        return leaves, structure, isinstance(self.arguments, (tuple, list)) and all(c.cls is None for c in structure.children)

    def call(self, function: Callable[..., Any], rows: np.ndarray | slice) -> Any:
        """The function of these rows of every array."""
        leaves, structure, plain = self._leaves
        parts = [a[rows] if isinstance(rows, slice) else np.take(a, rows, axis=0) for a in leaves]
        if plain:
            return function(*parts)
        part = tree.unflatten(structure, parts)
        return function(**part) if isinstance(part, dict) else function(*part)


def as_data(what: str, data: Any) -> Data:
    """Data of an array, of a tuple or list of arguments, or of a dict of them by name; each a tree of arrays.

    ArgumentError for what is no array or has no rows, ShapeError where leading sizes differ: with the path.
    """
    arguments = data if isinstance(data, (tuple, list, dict)) else (data,)
    leaves, structure = tree.flatten(arguments)
    paths = tree.paths(arguments)
    arrays = [np.asarray(leaf) for leaf in leaves]
    for array, path in zip(arrays, paths):
        if array.dtype.kind not in "fiub" or not array.ndim:
            fail(
                ArgumentError, f"{what}: {path} is no array of rows", hint="a tuple of arrays, or a dict of them by the names of arguments"
            )
        if len(array) != len(arrays[0]):
            fail(ShapeError, f"{what}: {path} has {len(array)} rows, {paths[0]} has {len(arrays[0])}")
    if not arrays or not len(arrays[0]):
        fail(ArgumentError, f"{what}: there are no rows")
    return Data(tree.unflatten(structure, arrays), len(arrays[0]))


@dataclass(frozen=True)
class Order:
    """In which order an epoch takes its rows: by itself, so that a run which goes on needs to keep no more than the number of the epoch."""

    rows: int
    batch: int
    shuffle: bool
    seed: int
    drop_last: bool

    @property
    def turns(self) -> int:
        """Minibatches of an epoch."""
        return self.rows // self.batch if self.drop_last else -(-self.rows // self.batch)

    def of(self, epoch: int) -> np.ndarray:
        """The permutation of an epoch, by a generator of its own."""
        if not self.shuffle:
            return np.arange(self.rows)
        bits = np.random.Philox(key=np.array([self.seed, epoch], np.uint64))
        return np.random.Generator(bits).permutation(self.rows)

    def batches(self, epoch: int, first: int = 0) -> Iterator[np.ndarray | slice]:
        """The rows of each minibatch from number `first` on."""
        order = self.of(epoch) if self.shuffle else None
        for k in range(first, self.turns):
            part = slice(k * self.batch, min((k + 1) * self.batch, self.rows))
            yield part if order is None else order[part]


def whole(what: str, value: Any, least: int) -> int:
    """A whole number of at least `least`; ArgumentError otherwise."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < least:
        fail(ArgumentError, f"{what} is {value!r:.60}", hint=f"a whole number, {least} or more")
    return int(value)

"""Keys: what makes one stream of random numbers differ from another. And the words that a draw is made of.

A key is a 0-d uint64. With the counter's upper half `high` it names a stream of Philox words, see `graphc.ops.philox`: draws take
high = 0, 1, ... and every way to make new keys its own quarter of what `high` can be, so no key is ever a word of a draw.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from graphc import dims
from graphc.dtypes import as_dtype, uint32, uint64
from graphc.enclosing import enclosing
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node
from graphc.ops.create import iota
from graphc.ops.joining import stack
from graphc.ops.philox import random_words
from graphc.ops.registry import ArrayLike, asarray, number
from graphc.ops.shape import known_shape, one_size
from graphc.ops.spread import astype, broadcast_to
from graphc.types import Shape
from graphc.user.state import Shared, self_advancing

SPLIT, FOLD, CALL = 1 << 62, 2 << 62, 3 << 62  # where `high` begins for what is no draw
MOST = (1 << 64) - 1


# -- what users call --------------------------------------------------------------------------------------------------------
def key(seed: ArrayLike) -> Node:
    """The key of a seed: the seed itself as a 0-d uint64, for Philox makes unrelated streams of keys that differ in one bit.

    seed: an integer from 0 to 2**64 - 1, or a 0-d node of an integer dtype (modulo 2**64).

        k1, k2 = gx.random.split(gx.random.key(0))
        x, e = gx.random.uniform(k1, (100,)), gx.random.normal(k2, (100,))

    Where a key is asked for, an int stands for the key of this seed, and an rng for its next key. Raises ArgumentError, DTypeError (a seed
    that is no integer), ShapeError.
    """
    if isinstance(seed, Node):
        return _integer("key", "the seed", seed)
    return number(_seed("key", seed), uint64)


def split(key: KeyLike, num: object = 2) -> Node:
    """`num` new keys of one, an array (num,) of uint64: word k of the key's stream of keys. JAX's `random.split`.

    The old key should not be drawn with any more. num: an int or a size. Raises DTypeError, ShapeError for what is no key.
    """
    count = one_size(num, "split: num")
    return random_words(as_key("split", key), SPLIT, astype(iota((count,), 0), uint64))


def fold_in(key: KeyLike, data: ArrayLike) -> Node:
    """A new key of a key and an integer: word `data` of the key's stream of folds. JAX's `random.fold_in`.

    data: an int, or a node of integers of any shape, which gives a key for each. Raises DTypeError, ShapeError.
    """
    which = number(data % (MOST + 1), uint64) if isinstance(data, int) and not isinstance(data, bool) else asarray(data)
    if which.dtype.kind not in "iu":
        fail(DTypeError, f"fold_in: data is {which.dtype}, not an integer", which)
    return random_words(as_key("fold_in", key), FOLD, astype(which, uint64))


def bits(key: KeyLike, shape: object = (), dtype: object = "uint32") -> Node:
    """Random bits: an array of uint32 or uint64, the words of Philox4x32-10 under this key in their order. JAX's `random.bits`.

    Element k of the array in C order is word k of the stream, whatever the shape. Raises DTypeError, ShapeError.
    """
    wanted = as_dtype(dtype)
    if wanted not in (uint32, uint64):
        fail(DTypeError, f"bits: uint32 or uint64, not {wanted}")
    return words(as_key("bits", key), known_shape(shape, "bits"), 8 * wanted.itemsize)


# -- for those who draw -----------------------------------------------------------------------------------------------------
class Source:
    """State that makes keys: a shared uint64[2] of the seed and the number of calls that have drawn. See `graphc.random.default_rng`."""

    def __init__(self, seed: object) -> None:
        value = np.array([_seed("default_rng", seed), 0], uint64)
        self.state = self_advancing(value, "rng", _next_call)
        self._drawn = 0
        self._lock = threading.Lock()

    def key(self) -> Node:
        """The key of one more draw: of the state, the number of the draw, and the turns of loops and lanes of `vmap` around it."""
        with self._lock:
            drawn, self._drawn = self._drawn, self._drawn + 1
        made = random_words(self.state[0], self.state[1] + number(CALL, uint64), drawn)
        for index in enclosing():
            made = fold_in(made, index)
        return made

    def __getstate__(self) -> tuple[Shared, int]:
        return self.state, self._drawn

    def __setstate__(self, found: tuple[Shared, int]) -> None:
        self.state, self._drawn = found
        self._lock = threading.Lock()


KeyLike = ArrayLike | Source


def _next_call(state: Shared) -> Node:
    """The state after a call that has drawn."""
    return stack([state[0], state[1] + number(1, uint64)])


def as_key(what: str, key: KeyLike) -> Node:
    """A key as a node, of an rng the next one; DTypeError or ShapeError for what is none."""
    if isinstance(key, Source):
        return key.key()
    if isinstance(key, int) and not isinstance(key, bool):
        return number(_seed(what, key), uint64)
    return _key_node(what, asarray(key))


def _key_node(what: str, node: Node) -> Node:
    if node.dtype != uint64:
        fail(DTypeError, f"{what}: a key is a uint64, not {node.dtype}", node, hint="gx.random.key(seed) makes one of an integer")
    if node.ndim:
        text = f"{what}: one key is 0-d, and this is {node.tensor}"
        fail(ShapeError, text, node, hint="take one of them, keys[0], or draw for each by gx.vmap")
    return node


def words(key: Node, shape: Shape, bits: int, high: ArrayLike = 0) -> Node:
    """Random words of 32 or 64 bits: element k in C order is word k of the stream (key, high)."""
    index = places(shape)
    return random_words(key, high, index, bits) if index.ndim else broadcast_to(random_words(key, high, index, bits), shape)


def places(shape: Shape) -> Node:
    """The number of each element in C order, a uint64; 0-d where there is one element."""
    index: Node | None = None
    stride: dims.Size = 1
    for axis in range(len(shape) - 1, -1, -1):
        if shape[axis] != 1:
            along = iota(shape, axis) if stride == 1 else iota(shape, axis) * stride
            index = along if index is None else index + along
        stride = shape[axis] * stride
    return number(0, uint64) if index is None else astype(index, uint64)


def _integer(what: str, name: str, node: Node) -> Node:
    if node.dtype.kind not in "iu":
        fail(DTypeError, f"{what}: {name} is {node.dtype}, not an integer", node)
    if node.ndim:
        fail(ShapeError, f"{what}: {name} is {node.tensor}, not one integer", node)
    return astype(node, uint64)


def _seed(what: str, seed: Any) -> int:
    """A seed as an int."""
    if isinstance(seed, (float, np.floating, bool, np.bool_)):
        fail(DTypeError, f"{what}: the seed is an integer, got {type(seed).__name__} {seed!r:.60}")
    try:
        found = int(seed.__index__())
    except (AttributeError, TypeError):
        fail(ArgumentError, f"{what}: the seed is an integer, got {type(seed).__name__} {seed!r:.60}")
    if not 0 <= found <= MOST:
        fail(ArgumentError, f"{what}: the seed {found} is not in 0 .. 2**64 - 1")
    return found


__all__ = ["bits", "fold_in", "key", "split"]

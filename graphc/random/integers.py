"""Uniform integers."""

from __future__ import annotations

import numpy as np

from graphc.dtypes import as_dtype, int64, uint64
from graphc.errors import ArgumentError, DTypeError, fail
from graphc.ir import Node
from graphc.ops.compare import where
from graphc.ops.registry import ArrayLike, asarray, number
from graphc.ops.spread import astype, broadcast_to
from graphc.random.keys import KeyLike, as_key, words
from graphc.random.parameters import known_value, shape_of

LOW = (1 << 32) - 1


def _high_product(a: Node, b: Node) -> Node:
    """The upper 64 bits of a product of uint64."""
    a0, a1, b0, b1 = a & LOW, a >> 32, b & LOW, b >> 32
    middle = a1 * b0 + (a0 * b0 >> 32)
    return a1 * b1 + (middle >> 32) + ((middle & LOW) + a0 * b1 >> 32)


def randint(key: KeyLike, shape: object, minval: ArrayLike, maxval: ArrayLike, dtype: object = "int64") -> Node:
    """Uniform integers in [minval, maxval): minval + floor(w (maxval - minval) / 2**64) of a random word w. JAX's `random.randint`.

    Of more than 2**32 values w has 128 bits, so that no value is likelier than another by a part in 2**32. The ends broadcast to `shape`;
    those that only a call knows give minval where maxval is no greater. dtype: any integer dtype that holds them. Raises ArgumentError
    (known ends the wrong way round, or that do not fit), DTypeError, ShapeError.

        i = gx.random.randint(key, (32,), 0, x.shape[0])
    """
    return between(key, minval, maxval, shape, dtype, False, "randint")


def between(key: KeyLike, low: ArrayLike, high: ArrayLike, shape: object, dtype: object, endpoint: bool, what: str = "integers") -> Node:
    """`randint`, up to and with `high` if `endpoint`."""
    found = as_dtype(dtype)
    if found.kind not in "iu":
        fail(DTypeError, f"{what}: the dtype is an integer one, not {found}")
    first, less = _end(what, "the lower end", low, found), 0 if endpoint else 1
    if isinstance(high, int) and not isinstance(high, bool):
        return _between(what, key, shape, first, _end(what, "the upper end", high - less, found), found)
    last = _end(what, "the upper end", high, found)
    return _between(what, key, shape, first, last - number(less, last.dtype), found)


def _end(what: str, name: str, value: ArrayLike, dtype: np.dtype) -> Node:
    if isinstance(value, int) and not isinstance(value, bool):
        info = np.iinfo(dtype)
        if not info.min <= value <= info.max:
            fail(ArgumentError, f"{what}: {name} does not fit in {dtype}")
        return number(value, dtype)
    node = asarray(np.asarray(value) if isinstance(value, (list, tuple)) else value)
    if node.dtype.kind not in "iu":
        fail(DTypeError, f"{what}: {name} is {node.dtype}, not an integer", node)
    return astype(node, uint64 if dtype == uint64 else int64)


def _between(what: str, key: KeyLike, shape: object, low: Node, last: Node, dtype: np.dtype) -> Node:
    """Uniform in low .. last, both included."""
    below, above = known_value(low), known_value(last)
    if below is not None and above is not None and np.any(below > above):
        fail(ArgumentError, f"{what}: there is no integer between the ends", low, last)
    sizes = shape_of(what, shape, [low, last])
    wide = uint64 if dtype == uint64 else int64
    first, end = (broadcast_to(astype(x, wide), sizes) for x in (low, last))
    count = astype(end, uint64) - astype(first, uint64) + number(1, uint64)  # 0 stands for 2**64
    stream = as_key(what, key)
    word = words(stream, sizes, 64)
    few = below is not None and above is not None and bool(np.all(above.astype(object) - below.astype(object) < LOW))
    place = _high_product(word, count)
    if not few:
        carried = word * count + _high_product(words(stream, sizes, 64, 1), count)
        place = where(count == 0, word, place + astype(carried < word * count, uint64))
    drawn = astype(astype(first, uint64) + place, wide)
    return astype(where(end < first, first, drawn), dtype)


__all__ = ["randint"]

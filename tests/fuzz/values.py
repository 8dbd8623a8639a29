"""What `tests.fuzz.entry` passes: arrays of every dtype, layout and flag, and what is no array, right and wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import graphc as gx
from tests.fuzz.functions import Param

DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64", "longdouble")


@dataclass
class Value:
    """What is passed, the array that it stands for, and the errors it deserves."""

    given: Any
    plain: np.ndarray | None
    errors: tuple[type[gx.GraphcError], ...] = ()


class Raises:
    """An attempt to convert it fails, in some way."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise self.error("no")


class Number:
    """A number to Python, but no array."""

    def __float__(self) -> float:
        return 1.0

    def __index__(self) -> int:
        return 1


class Garbage:
    """Says that it is an array, and gives something else."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return "text"


class Act:
    """Does something when it is converted."""

    def __init__(self, value: np.ndarray, act: Callable[[], object]) -> None:
        self.value, self.act = value, act

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        self.act()
        return self.value


class Sub(np.ndarray):
    """A subclass of no meaning."""


class Wrapped:
    """Convertible, but no array."""

    def __init__(self, value: np.ndarray) -> None:
        self.value = value

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.value


def layout(rng: random.Random, a: np.ndarray) -> np.ndarray:
    """The same values in some layout."""
    choice = rng.randrange(14)
    if choice == 0:
        return np.array(a, order="F")
    if choice == 1:
        base = np.zeros(tuple(2 * n for n in a.shape), a.dtype)[(*[slice(None, None, 2)] * a.ndim, ...)]
        base[...] = a
        return base
    if choice == 2:
        turned = (*[slice(None, None, -1)] * a.ndim, ...)
        return a[turned].copy()[turned]
    if choice == 3 and a.nbytes:
        raw = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
        raw[...] = a
        return raw
    if choice == 4:
        return a.astype(a.dtype.newbyteorder())
    if choice == 5:
        frozen = a.copy()
        frozen.setflags(write=False)
        return frozen
    if choice == 6:
        return a.view(Sub)
    if choice == 7 and a.ndim == 2:
        return a.copy().view(np.matrix)
    if choice == 8:
        return a.astype(np.dtype(a.dtype.name, metadata={"unit": 1})) if a.dtype.name in DTYPES else a
    if choice == 9 and a.dtype == np.int64:
        return a.astype("q")  # the same to NumPy, but another object
    if choice == 10 and a.ndim and a.shape[0] == 1:
        return a[::-1]  # a stride of its own, but contiguous
    if choice == 11 and a.size:
        return np.broadcast_to(a, (2, *a.shape))[1]
    return a


def numbers(rng: random.Random, dtype: str, shape: tuple[int, ...], limit: int | None) -> np.ndarray:
    """Small values that all dtypes hold; indices within the limit."""
    count = int(np.prod(shape))
    if limit is not None:
        values = [rng.randrange(-limit, limit) if limit else 0 for _ in range(count)]
        if np.dtype(dtype).kind in "ub":
            values = [abs(v) % max(limit, 1) for v in values]
    else:
        values = [rng.randrange(0, 2) if dtype == "bool" else rng.randrange(0, 100) for _ in range(count)]
    return np.array(values, "int64").astype(dtype).reshape(shape)


def right(rng: random.Random, param: Param, shape: tuple[int, ...], limit: int | None) -> Value:
    """A value that must be accepted, in a random spelling."""
    wanted = np.dtype(param.dtype)
    if param.limit is not None and limit == 0 and int(np.prod(shape)):
        return Value(np.zeros(shape, param.dtype), None, (gx.IndexOutOfRange,))
    choice = rng.randrange(12)
    if choice == 0:
        dtype = rng.choice([d for d in DTYPES if np.can_cast(d, wanted, "safe")])
        a = numbers(rng, dtype, shape, limit if np.dtype(dtype) != bool else None if limit is None else min(limit, 1))
        return Value(layout(rng, a), a.astype(wanted))
    a = numbers(rng, param.dtype, shape, limit)
    if choice == 1 and a.size:
        listed = a.tolist()
        return Value(tuple(listed) if rng.random() < 0.3 and a.ndim else listed, a)
    if choice == 2 and a.ndim:
        return Value([row for row in a] if a.shape[0] else a, a)
    if choice == 3:
        return Value(Wrapped(a), a)
    if choice == 4 and a.ndim == 0:
        return Value(a[()], a)  # a NumPy scalar
    if choice == 5 and a.ndim == 0:
        return Value(a.item(), a)  # a Python number
    if choice == 6 and a.size and limit is None:
        a[...] = a.flat[0]
        return Value(np.broadcast_to(a.flat[0], shape), a)
    return Value(layout(rng, a) if choice < 9 else a, a)


def wrong(rng: random.Random, param: Param, shape: tuple[int, ...], limit: int | None) -> Value:
    """A value that must be refused."""
    wanted = np.dtype(param.dtype)
    a = numbers(rng, param.dtype, shape, limit)
    junk = (
        None,
        "text",
        b"bytes",
        {"a": 1},
        {1},
        object(),
        Number(),
        Garbage(),
        Raises(ValueError),
        Raises(gx.ShapeError),
        Raises(IndexError),
        len,
        (v for v in ()),
        [[1], [1, 2]],
        ["a"],
        [None],
        np.array([None]),
        np.array("text"),
        np.zeros(shape, "M8[s]"),
    )
    choice = rng.randrange(8)
    if choice == 0:
        return Value(rng.choice(junk), None, (gx.ArgumentError, gx.DTypeError, gx.ShapeError))
    if choice == 1:
        dtype = rng.choice([d for d in (*DTYPES, "complex64", "complex128") if not np.can_cast(d, wanted, "safe")])
        return Value(layout(rng, a.astype(dtype)), None, (gx.DTypeError,))
    if choice == 2:
        return Value(layout(rng, a[None]), None, (gx.ShapeError,))
    if choice == 3 and a.ndim:
        return Value(np.zeros(a.shape[1:], a.dtype), None, (gx.ShapeError,))
    if choice == 4 and any(isinstance(size, int) for size in param.shape):
        bigger = tuple(n + isinstance(size, int) for n, size in zip(shape, param.shape))
        return Value(layout(rng, np.zeros(bigger, a.dtype)), None, (gx.ShapeError,))
    if choice == 5 and limit is not None and a.size:
        a.flat[rng.randrange(a.size)] = rng.choice(
            (limit, -limit - 1, limit + rng.randrange(10**6), -limit - 2 - rng.randrange(10**6), 2**63 - 1, -(2**63))
        )
        return Value(a, None, (gx.IndexOutOfRange,))
    if choice == 6:
        return Value(np.ma.masked_array(a, mask=False), None, (gx.ArgumentError,))
    if wanted.kind in "iub":
        return Value(
            a.astype("float64").tolist() if a.size and a.ndim else 1.5 if not a.ndim else "none", None, (gx.DTypeError, gx.ArgumentError)
        )
    return Value(a.astype("complex128"), None, (gx.DTypeError,))

"""`TensorType` = dtype and dims; NumPy's broadcasting with symbolic sizes."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn

import numpy as np

from graphc import dims
from graphc.dims import Dim, Size
from graphc.dtypes import SHORT, int64
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.intern import InternTable

Shape = tuple[Size, ...]


class TensorType:
    """`f32[n, 64]`: an element type and a size per axis. Interned: equal types are one object."""

    __slots__ = ("__weakref__", "dtype", "shape")
    dtype: np.dtype
    shape: Shape

    def __init__(self, dtype: np.dtype, shape: Shape) -> None:
        object.__setattr__(self, "dtype", dtype)
        object.__setattr__(self, "shape", shape)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a TensorType is immutable")

    def __deepcopy__(self, memo: object) -> TensorType:
        return self

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> Size:
        return dims.product(self.shape)

    def __repr__(self) -> str:
        return f"{SHORT.get(self.dtype, self.dtype)}[{dims.format_shape(self.shape)}]"


_TYPES: InternTable[TensorType] = InternTable()


def tensor_type(dtype: np.dtype, shape: Shape) -> TensorType:
    """The one `TensorType` of this dtype and shape."""
    key = (dtype, shape)
    return _TYPES.find(key) or _TYPES.add(key, TensorType(dtype, shape))


_DTYPE_NAMES = frozenset(d.name for d in SHORT)


def as_size(size: object) -> Size:
    """A size from what a user may write: an int >= 0, a `Dim`, a symbol's name, or None for a fresh symbol."""
    if isinstance(size, Dim):
        return size
    if isinstance(size, str):
        if size in _DTYPE_NAMES:
            fail(ShapeError, f"{size!r} is a dtype, not a size", hint=f"pass it as dtype={size!r}")
        return dims.dim(size)
    if size is None:
        return dims.fresh()
    if isinstance(size, (bool, np.bool_)):
        fail(ShapeError, f"{size!r} is not a size")
    try:
        value = operator.index(size)  # type: ignore[arg-type]
    except TypeError:
        fail(ShapeError, f"{size!r} is not a size", hint="an int, a name for a symbolic size, a Dim, or None")
    if value < 0:
        fail(ShapeError, f"a size cannot be negative: {value}")
    return value


def as_shape(shape: object) -> Shape:
    """A shape from a size or a sequence of sizes, see `as_size`."""
    if isinstance(shape, (str, Dim)) or shape is None or not isinstance(shape, Iterable):
        return (as_size(shape),)
    return tuple(as_size(s) for s in shape)


_assumed: ContextVar[list[tuple[Size, Size]] | None] = ContextVar("assumed", default=None)


def too_large(size: Size, value: int, dtype: np.dtype = int64) -> NoReturn:
    """A size that is used as a value, and is none of its dtype."""
    text = f"the size {size} is {value}" if isinstance(size, Dim) else f"a size is {value}"
    hint = "where floats will do, multiply the sizes as floats" if dtype == int64 else "cast the array that it meets to a wider dtype"
    fail(ShapeError, f"{text}, which no {dtype} holds", hint=hint)


def same_size(a: Size, b: Size) -> bool:
    """True unless the sizes are provably different. What is undecidable is noted in `assumed_sizes` and checked at each call."""
    if a is b or a == b:
        return True
    known = dims.equal(a, b)
    if known is None and (noted := _assumed.get()) is not None:
        noted.append((a, b))
    return known is not False


@contextmanager
def assumed_sizes() -> Iterator[list[tuple[Size, Size]]]:
    """Collects the pairs of sizes that the type rules, run inside, took to be equal without proof."""
    noted: list[tuple[Size, Size]] = []
    token = _assumed.set(noted)
    try:
        yield noted
    finally:
        _assumed.reset(token)


def broadcast_shapes(shapes: Sequence[Shape], what: str, operands: Sequence[object] = ()) -> Shape:
    """NumPy's broadcast of `shapes`; only a literal 1 stretches. `ShapeError` names `what` and the operands."""
    if not shapes:
        return ()
    result = max(shapes, key=len)
    for shape in shapes:
        if shape is result or shape == result:
            continue
        offset = len(result) - len(shape)
        merged = list(result)
        for k, size in enumerate(shape):
            have = merged[offset + k]
            if have is size or have == size or size == 1:
                continue
            if have == 1:
                merged[offset + k] = size
            elif not same_size(have, size):
                one = " (a symbolic size never broadcasts; write 1)" if isinstance(have, Dim) or isinstance(size, Dim) else ""
                fail(ShapeError, f"{what}: sizes {have} and {size} do not broadcast{one}", *operands)
            elif isinstance(have, Dim) and not isinstance(size, Dim):
                merged[offset + k] = size
        result = tuple(merged)
    return result


def whole_number(value: object, what: str, *operands: object) -> int:
    """`value` as an int; `ArgumentError` for anything else, `what` being what it is for: "diag: k"."""
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        fail(ArgumentError, f"{what} must be an integer, got {value!r:.60}", *operands)


def sequence(value: object, what: str, *operands: object) -> list[Any]:
    """The items of a tuple, a list, or an array along its first axis; `ArgumentError` for anything else."""
    if isinstance(value, (tuple, list)) or (isinstance(value, np.ndarray) and value.ndim):
        return list(value)
    fail(ArgumentError, f"{what} must be a tuple or a list, got {type(value).__name__} {value!r:.60}", *operands)


def normal_axis(axis: object, ndim: int, what: str, *operands: object) -> int:
    """`axis` as 0 <= axis < ndim; `ShapeError` otherwise."""
    try:
        index = operator.index(axis)  # type: ignore[arg-type]
    except TypeError:
        fail(ShapeError, f"{what}: axis {axis!r} is not an integer", *operands)
    if not -ndim <= index < ndim:
        fail(ShapeError, f"{what}: axis {index} is out of range for {ndim} dimensions", *operands)
    return index % ndim


def normal_axes(axes: object, ndim: int, what: str, *operands: object) -> tuple[int, ...]:
    """None (all), an int or a sequence of ints as sorted distinct axes."""
    if axes is None:
        return tuple(range(ndim))
    listed = axes if isinstance(axes, (tuple, list)) else (axes,)
    result = tuple(sorted(normal_axis(a, ndim, what, *operands) for a in listed))
    if len(set(result)) != len(result):
        fail(ShapeError, f"{what}: an axis is listed twice: {axes}", *operands)
    return result

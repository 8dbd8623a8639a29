"""What callers hand to a compiled function, made into the arrays native code takes: C-contiguous, aligned, native, of the right dtype."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.dims import Dim
from graphc.dtypes import is_masked, refuse_complex
from graphc.errors import ArgumentError, DTypeError, ShapeError, compose, fail
from graphc.ir import Node

CASTINGS = ("no", "equiv", "safe", "same_kind", "unsafe")
_WEAK = (bool, int, float, complex)  # from narrow to wide
_KINDS = {"b": 0, "u": 1, "i": 1, "f": 2}  # NumPy's kind -> the widest of them that fits
_NOT_ARRAYS = (str, bytes, bytearray, memoryview, dict, set, frozenset, type(None))


def as_argument(value: Any, variable: Node, casting: str, role: str = "argument") -> np.ndarray:
    """The array of an argument. Python numbers (and lists of them) are weak; arrays are cast by NumPy's rule `casting`.

    `role` is what errors call it. Raises ArgumentError (no array), DTypeError (not castable), ShapeError (rank).
    """
    wanted = variable.dtype
    if type(value) is np.ndarray and value.dtype is wanted and value.flags.carray and value.ndim == variable.ndim:
        return value
    what = f"{role} {variable.name!r}: "
    array = value if isinstance(value, np.ndarray) else _converted(value, variable, what)
    if is_masked(value):
        hint = "pass value.filled(...) and, if needed, the mask as an input of its own"
        fail(ArgumentError, what + "a masked array has values that are none", variable, hint=hint)
    refuse_complex(array.dtype, what.removesuffix(": "), variable)
    if array.dtype.kind not in "fiub":
        of = f" of {array.dtype}" if array.dtype != object or isinstance(value, np.ndarray) else ""
        fail(ArgumentError, what + f"{type(value).__name__}{of} is not an array of numbers", variable)
    if array.dtype != wanted:
        if not np.can_cast(array.dtype, wanted, casting):  # type: ignore[arg-type]
            _no_cast(array.dtype, variable, casting, what)
        with np.errstate(all="ignore"):  # a cast that the user allowed
            array = array.astype(wanted)
    if array.ndim != variable.ndim:
        fail(ShapeError, what + f"expected {_dimensions(variable.ndim)}, got shape {array.shape}", variable)
    return np.require(array, wanted, ["C", "A"]).view(np.ndarray)


def _no_cast(dtype: np.dtype, variable: Node, casting: str, what: str) -> None:
    possible = [f"casting={c!r}" for c in CASTINGS if np.can_cast(dtype, variable.dtype, c)]  # type: ignore[arg-type]
    hint = f"pass .astype({variable.dtype.name!r})" + (f", or make the function with {possible[0]}" if what.startswith("argument") else "")
    fail(DTypeError, what + f"{dtype} does not fit {variable.dtype} by casting={casting!r}", variable, hint=hint)


def _dimensions(ndim: int) -> str:
    return f"{ndim} dimension{'s' * (ndim != 1)}"


def _converted(value: Any, variable: Node, what: str) -> np.ndarray:
    """An array of anything that is none; Python numbers take the variable's dtype if they fit it."""
    if isinstance(value, _NOT_ARRAYS):
        fail(ArgumentError, what + f"{'None' if value is None else type(value).__name__} is not an array", variable)
    weak = _weak_kind(value)
    if weak is not None:
        refuse_complex(_WEAK[weak], what.removesuffix(": "), variable)
        if weak > _KINDS[variable.dtype.kind]:
            fail(DTypeError, what + f"a Python {_WEAK[weak].__name__} does not fit {variable.dtype}", variable)
        return _array(lambda: np.array(value, dtype=variable.dtype), value, variable, what)
    if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
        return _array(lambda: np.from_dlpack(value), value, variable, what)
    return _array(lambda: np.asarray(value), value, variable, what)


def _array(make: Callable[[], np.ndarray], value: Any, variable: Node, what: str) -> np.ndarray:
    """make(); whatever it raises is the argument's fault."""
    try:
        with np.errstate(all="ignore"):
            return make()
    except OverflowError as error:
        fail(DTypeError, what + str(error), variable)
    except Exception as error:  # __array__ of a foreign class raises what it likes
        raise ArgumentError(compose(what + f"{type(value).__name__} is not an array: {error}", variable)) from error


def _weak_kind(value: Any) -> int | None:
    """The position in `_WEAK` of the widest of Python numbers, or nested lists of nothing else; None for anything that has a dtype."""
    level: Sequence[Any] = [value]
    for _ in range(64):
        if not any(isinstance(v, (list, tuple)) for v in level):
            break
        level = [x for v in level for x in (v if isinstance(v, (list, tuple)) else (v,))]
    kinds = set(map(type, level))
    return max((_WEAK.index(k) for k in kinds), default=0) if kinds <= set(_WEAK) else None


def as_size_argument(value: Any, size: Dim) -> int:
    """A size passed as an argument: an int >= 0."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < 0:
        fail(ArgumentError, f"size {size}: expected a non-negative int, got {_short(value)}")
    if value > np.iinfo(np.int64).max:
        fail(ArgumentError, f"size {size}: {_short(value)} is too large")
    return int(value)


def _short(value: Any) -> str:
    return repr(value) if isinstance(value, numbers.Number) and len(repr(value)) < 40 else f"a {type(value).__name__}"


def check_out(target: Any, dtype: np.dtype, shape: tuple[int, ...], path: str) -> np.ndarray:
    """`target` if a result of this dtype and shape may be written into it; ArgumentError, DTypeError or ShapeError otherwise."""
    if not isinstance(target, np.ndarray) or is_masked(target):
        fail(ArgumentError, f"out{path}: expected an ndarray, got {type(target).__name__}")
    if not target.flags.writeable:
        fail(ArgumentError, f"out{path}: the array is read-only", hint="pass a writeable copy")
    if target.dtype != dtype:
        fail(DTypeError, f"out{path}: dtype {target.dtype}, the result is {dtype}")
    if target.shape != shape:
        fail(ShapeError, f"out{path}: shape {target.shape}, the result is {shape}")
    return target


def check_outs(targets: Sequence[Any], types: Sequence[tuple[np.dtype, tuple[int, ...]]], paths: Sequence[str]) -> list[np.ndarray]:
    """The arrays of `out=`, each fit for its result, no two of them overlapping."""
    checked = [check_out(t, dtype, shape, path) for t, (dtype, shape), path in zip(targets, types, paths, strict=True)]
    for k, a in enumerate(checked):
        for j, b in enumerate(checked[:k]):
            if np.may_share_memory(a, b) and np.shares_memory(a, b):
                fail(ArgumentError, f"out{paths[k]} and out{paths[j]} overlap", hint="pass arrays of their own memory")
    return checked

"""What callers hand to a compiled function, made into the arrays native code takes: C-contiguous, aligned, native, of the right dtype."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node


def as_argument(value: Any, variable: Node, casting: str) -> np.ndarray:
    """The array of an argument. Python numbers (and lists of them) are weak; arrays are cast by NumPy's rule `casting`.

    Raises ArgumentError (no array), DTypeError (not castable), ShapeError (rank).
    """
    wanted = variable.dtype
    if type(value) is np.ndarray and value.dtype is wanted and value.flags.carray and value.ndim == variable.ndim:
        return value
    if isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray):
        array = value
    else:
        array = _converted(value, variable)
    if array.dtype != wanted or array.dtype.byteorder not in "=|":
        if not np.can_cast(array.dtype, wanted, casting):  # type: ignore[arg-type]
            hint = f"pass .astype({wanted.name!r}), or make the function with casting='same_kind'"
            fail(DTypeError, f"argument {variable.name!r}: {array.dtype} does not fit {wanted} by casting={casting!r}", variable, hint=hint)
        array = array.astype(wanted)
    if array.ndim != variable.ndim:
        fail(ShapeError, f"argument {variable.name!r}: expected {variable.ndim} dimensions, got {array.ndim} (shape {array.shape})", variable)
    return np.require(array, wanted, ["C", "A"]).view(np.ndarray)


def _converted(value: Any, variable: Node) -> np.ndarray:
    """An array of anything that is not a plain one; Python numbers take the variable's dtype if they fit it."""
    what = f"argument {variable.name!r}: "
    if isinstance(value, np.ma.MaskedArray):
        fail(ArgumentError, what + "a masked array has values that are none", variable, hint="pass value.filled(...) and, if needed, the mask as an input of its own")
    if value is None or isinstance(value, (str, bytes, dict, set)):
        fail(ArgumentError, what + f"{type(value).__name__} is not an array", variable)
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        fail(ArgumentError, what + f"{type(value).__name__} is not an array: {error}", variable)
    if array.dtype.kind not in "fiubc":
        fail(ArgumentError, what + f"{type(value).__name__} gives an array of {array.dtype}, not of numbers", variable)
    if not _is_weak(value):
        return array
    order = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}
    if order[array.dtype.kind] > order[variable.dtype.kind] and array.size:
        fail(DTypeError, what + f"a Python {('bool', 'int', 'float', 'complex')[order[array.dtype.kind]]} does not fit {variable.dtype}", variable)
    try:
        return np.array(value, dtype=variable.dtype)
    except (OverflowError, ValueError, TypeError) as error:
        fail(DTypeError, what + str(error), variable)


def _is_weak(value: Any) -> bool:
    """Python numbers, and nested lists of nothing else."""
    level: Sequence[Any] = [value]
    for _ in range(64):
        if not any(isinstance(v, (list, tuple)) for v in level):
            break
        level = [x for v in level for x in (v if isinstance(v, (list, tuple)) else (v,))]
    return all(isinstance(v, numbers.Number) and not isinstance(v, np.generic) for v in level)


def check_out(target: Any, result: np.ndarray, path: str) -> np.ndarray:
    """`target` if a result of this dtype and shape may be written into it; ArgumentError, DTypeError or ShapeError otherwise."""
    if not isinstance(target, np.ndarray) or isinstance(target, np.ma.MaskedArray):
        fail(ArgumentError, f"out{path}: expected an ndarray, got {type(target).__name__}")
    if not target.flags.writeable:
        fail(ArgumentError, f"out{path}: the array is read-only", hint="pass a writeable copy")
    if target.dtype != result.dtype:
        fail(DTypeError, f"out{path}: dtype {target.dtype}, the result is {result.dtype}")
    if target.shape != result.shape:
        fail(ShapeError, f"out{path}: shape {target.shape}, the result is {result.shape}")
    return target

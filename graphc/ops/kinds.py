"""NumPy's questions about dtypes, of nodes as well: what dtype a result has, what can be cast, what is a subtype of what."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.dtypes import as_dtype, promote
from graphc.errors import ArgumentError, DTypeError, fail
from graphc.ops.registry import asarray
from graphc.ops.rows import weak_dtype


def result_type(*arrays_and_dtypes: Any) -> np.dtype:
    """NumPy's dtype of a result of these: nodes, arrays, dtypes, and Python numbers, which are weak. Raises DTypeError, ArgumentError."""
    if not arrays_and_dtypes:
        fail(ArgumentError, "result_type needs at least one argument")
    return promote(*[as_dtype(v) if _names_dtype(v) else weak_dtype(v, "result_type") for v in arrays_and_dtypes])


def _names_dtype(value: Any) -> bool:
    return isinstance(value, (type, str, np.dtype))


def can_cast(from_: Any, to: Any, casting: str = "safe") -> bool:
    """Whether values of a dtype, or of the dtype of an array or node, can be cast to another. Raises DTypeError, ArgumentError."""
    source, target = [as_dtype(v) if _names_dtype(v) else asarray(v).dtype for v in (from_, to)]
    if not isinstance(casting, str) or casting not in ("no", "equiv", "safe", "same_kind", "unsafe"):
        fail(ArgumentError, f"can_cast: casting is 'no', 'equiv', 'safe', 'same_kind' or 'unsafe', got {casting!r:.60}")
    return bool(np.can_cast(source, target, casting))  # type: ignore[arg-type]


def promote_types(type1: Any, type2: Any) -> np.dtype:
    """The dtype to which both can be cast: promote_types("int32", "float32") is float64. Raises DTypeError."""
    return promote(as_dtype(type1), as_dtype(type2))


def issubdtype(arg1: Any, arg2: Any) -> bool:
    """Whether a dtype is, or is of the kind, of another: issubdtype(x.dtype, gx.floating). Raises DTypeError."""
    try:
        return np.issubdtype(arg1, arg2)
    except (TypeError, ValueError, RecursionError):
        fail(DTypeError, f"issubdtype takes dtypes and their kinds, got {arg1!r:.60} and {arg2!r:.60}")


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is one of a kind: "bool", "integral", "real floating", .., a dtype, or one of a tuple of these. Raises DTypeError."""
    try:
        return np.isdtype(np.dtype(as_dtype(dtype)), kind)
    except (TypeError, ValueError):
        fail(DTypeError, f"isdtype takes a dtype and its kinds, got {dtype!r:.60} and {kind!r:.60}")


__all__ = ["can_cast", "isdtype", "issubdtype", "promote_types", "result_type"]

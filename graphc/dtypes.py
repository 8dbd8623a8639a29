"""The element types, and NumPy's promotion (NEP 50: Python numbers are weak)."""

from __future__ import annotations

import sys

import numpy as np

from graphc.errors import DTypeError, fail

bool_ = np.dtype("bool")
int8, int16, int32, int64 = (np.dtype(f"int{b}") for b in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (np.dtype(f"uint{b}") for b in (8, 16, 32, 64))
float32, float64 = np.dtype("float32"), np.dtype("float64")

SHORT: dict[np.dtype, str] = {
    bool_: "bool", int8: "i8", int16: "i16", int32: "i32", int64: "i64",
    uint8: "u8", uint16: "u16", uint32: "u32", uint64: "u64", float32: "f32", float64: "f64",
}  # fmt: skip
COMPLEX = "keep real and imaginary parts as two arrays"
_HINTS = {"f": "use float32 or float64", "c": COMPLEX, "O": "convert to a numeric dtype first"}
_KNOWN: dict[object, np.dtype] = {}


def as_dtype(dtype: object) -> np.dtype:
    """The supported native-order dtype that `dtype` names; `DTypeError` for any other."""
    try:
        return _KNOWN[dtype]
    except (KeyError, TypeError):
        pass
    try:
        known = np.dtype(dtype)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        fail(DTypeError, f"{dtype!r} is not a dtype", hint="one of " + ", ".join(d.name for d in SHORT))
    known = known.newbyteorder("=")
    if known not in SHORT:
        fail(DTypeError, f"dtype {known} is not supported", hint=_HINTS.get(known.kind, "one of " + ", ".join(d.name for d in SHORT)))
    known = next(d for d in SHORT if d == known)
    if isinstance(dtype, (str, type, np.dtype)):
        _KNOWN[dtype] = known
    return known


def refuse_complex(dtype: object, what: str, *operands: object) -> None:
    """DTypeError for a complex dtype, or a type of complex numbers: `what` is where it came in."""
    if dtype is complex or (isinstance(dtype, np.dtype) and dtype.kind == "c"):
        shown = dtype if isinstance(dtype, np.dtype) else "a complex number"
        fail(DTypeError, f"{what}: {shown} has no symbolic form", *operands, hint=COMPLEX)


def is_masked(value: object) -> bool:
    """Whether it is a masked array. Before the module of these is loaded (11 ms) there are none."""
    return isinstance(value, getattr(sys.modules.get("numpy.ma"), "MaskedArray", ()))


def is_float(dtype: np.dtype) -> bool:
    """True for float32 and float64."""
    return dtype.kind == "f"


def is_integer(dtype: np.dtype) -> bool:
    """True for signed and unsigned integers, not for bool."""
    return dtype.kind in "iu"


def promote(*operands: np.dtype | int | float) -> np.dtype:
    """NumPy's result dtype of dtypes and weak Python numbers."""
    key = tuple((type(o), o) if isinstance(o, np.dtype) else type(o) for o in operands)
    try:
        return _PROMOTED[key]
    except KeyError:
        weak = [type(o)(0) if not isinstance(o, np.dtype) else o for o in operands]
        result = _PROMOTED[key] = as_dtype(np.result_type(*weak))
        return result


_PROMOTED: dict[object, np.dtype] = {}


def to_mean(dtype: np.dtype) -> np.dtype:
    """The dtype of means and of what lies between elements: floats stay, bool and integers give float64."""
    return dtype if dtype.kind == "f" else float64


def to_float(dtype: np.dtype) -> np.dtype:
    """The dtype in which a float function of `dtype` is computed.

    Floats stay; bool and integers of up to 16 bits give float32, wider ones float64.
    """
    if dtype.kind == "f":
        return dtype
    return float32 if dtype.itemsize <= 2 else float64

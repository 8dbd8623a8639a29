"""What native code must know of CPython and NumPy to read an ndarray's header and make a new one; checked before it is used."""

from __future__ import annotations

import ctypes
import functools
import sys

import numpy as np

from graphc.dtypes import SHORT

HEAD = object.__basicsize__  # reference count and type, as every object starts
TYPE = HEAD - 8
DATA, NDIM, SHAPE, DESCR, FLAGS = HEAD, HEAD + 8, HEAD + 16, HEAD + 40, HEAD + 48
FLOAT_VALUE = HEAD  # of a Python float
CONTIGUOUS_ALIGNED = 0x1 | 0x100
NEW_FROM_DESCR = 94  # the slot of NumPy's C table, fixed since NumPy 1.0
_FUNCTIONS = (
    "Py_IncRef",
    "Py_DecRef",
    "PyTuple_New",
    "PyTuple_SetItem",
    "PyList_New",
    "PyList_SetItem",
    "PyDict_New",
    "PyDict_SetItem",
    "PyObject_Vectorcall",
)


def symbol(name: str) -> str:
    """The name under which native code refers to a function or object of the process."""
    return f"py.{name}"


@functools.cache
def addresses() -> dict[str, int]:
    """The address of each symbol that an entry may refer to."""
    api = ctypes.pythonapi
    found = {name: ctypes.cast(getattr(api, name), ctypes.c_void_p).value for name in _FUNCTIONS}
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    table = ctypes.cast(api.PyCapsule_GetPointer(np._core.multiarray._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p))  # type: ignore[attr-defined]
    found["PyArray_NewFromDescr"] = table[NEW_FROM_DESCR]
    found |= {"ndarray": id(np.ndarray), "float": id(float), "None": id(None)}
    found |= {short: id(dtype) for dtype, short in SHORT.items()}
    return {symbol(name): int(address or 0) for name, address in found.items()}


@functools.cache
def is_readable() -> bool:
    """Whether arrays and floats look in memory as this module says; if not, the ctypes path serves."""
    if sys.implementation.name != "cpython" or not getattr(sys, "_is_gil_enabled", lambda: True)() or sys.maxsize != 2**63 - 1:
        return False
    try:
        return (
            all(addresses().values())
            and all(_matches(a) for a in _samples())
            and _read(ctypes.c_double, id(_SAMPLE) + FLOAT_VALUE) == _SAMPLE
        )
    except Exception:
        return False


_SAMPLE = 1234.5678


def _samples() -> list[np.ndarray]:
    return [np.arange(24, dtype=d).reshape(2, 3, 4)[:, ::step] for d in (np.float32, np.int64, np.uint8) for step in (1, 2)] + [
        np.zeros(()),
        np.zeros((0, 5), bool),
    ]


def _matches(a: np.ndarray) -> bool:
    base = id(a)
    shape = _read(ctypes.c_void_p, base + SHAPE)
    return bool(
        _read(ctypes.c_void_p, base + TYPE) == id(np.ndarray)
        and (_read(ctypes.c_void_p, base + DATA) or 0) == a.ctypes.data
        and _read(ctypes.c_int, base + NDIM) == a.ndim
        and [_read(ctypes.c_ssize_t, shape + 8 * k) for k in range(a.ndim)] == list(a.shape)
        and _read(ctypes.c_void_p, base + DESCR) == id(a.dtype)
        and (_read(ctypes.c_int, base + FLAGS) & CONTIGUOUS_ALIGNED == CONTIGUOUS_ALIGNED) == (a.flags.c_contiguous and a.flags.aligned)
    )


def _read(kind: type, address: int):  # type: ignore[no-untyped-def]
    return kind.from_address(address).value  # type: ignore[attr-defined]

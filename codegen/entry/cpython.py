"""What native code must know of CPython and NumPy to read an ndarray's header and make a new one; checked before it is used."""

from __future__ import annotations

import ctypes
import functools
import sys
import weakref

import numpy as np

from graphc.dtypes import SHORT

HEAD = object.__basicsize__  # reference count and type, as every object starts
TYPE = HEAD - 8
DATA, NDIM, SHAPE, BASE, DESCR, FLAGS, WEAK = (HEAD + k for k in (0, 8, 16, 32, 40, 48, 56))
COUNT = 0  # references, in 64 bits, as the interpreter reads them: a narrower store before its load would stall
VALUE = HEAD  # of a Python float and of NumPy's scalars
SIZE, LIST_ITEMS = HEAD, HEAD + 8
TUPLE_ITEMS = tuple.__basicsize__
READABLE, WRITEABLE = 0x1 | 0x100, 0x1 | 0x100 | 0x400  # C-contiguous and aligned; writeable too
FRESH, FORTRAN = WRITEABLE | 0x4, 0x2  # a new array also owns its data, and has or has not the other flag, by its shape
VECTORCALL_OFFSET = HEAD + 40  # of a type: where its instances keep the address that calls of them go to
WARN_ON_WRITE = -1 << 31  # numpy.broadcast_arrays and its like
CALL_METHOD = "call_method"
"""PyObject_Vectorcall for a bound method: 3.10 exports no function of that name, but every version keeps the address in the method."""
NEW_FROM_DESCR = 94  # the slot of NumPy's C table, fixed since NumPy 1.0
_FUNCTIONS = (
    "Py_IncRef",
    "Py_DecRef",
    "PyDict_New",
    "PyDict_Next",
    "PyDict_SetItem",
    "PyDict_Size",
    "PyErr_CheckSignals",
    "PyEval_RestoreThread",
    "PyEval_SaveThread",
    "PyList_New",
    "PyLong_AsLongLongAndOverflow",
    "PyLong_FromLongLong",
    "PyMethod_New",
    "PyThread_get_thread_ident",
    "PyTuple_New",
)
OBJECTS: dict[str, object] = {
    "None": None,
    "True": True,
    "ndarray": np.ndarray,
    "out": sys.intern("out"),
    **{cls.__name__: cls for cls in (bool, dict, float, int, list, tuple)},
    **{f"dtype.{short}": dtype for dtype, short in SHORT.items()},
    **{f"scalar.{short}": dtype.type for dtype, short in SHORT.items()},
}
"""What an entry compares with, by name."""


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
    found[CALL_METHOD] = _vectorcall_of(_Sample().method)
    found |= {name: id(value) for name, value in OBJECTS.items()}
    return {symbol(name): int(address or 0) for name, address in found.items()}


@functools.cache
def fault() -> str:
    """Why no entry can serve in this interpreter; empty where it can."""
    if sys.implementation.name != "cpython" or not hasattr(ctypes, "pythonapi"):
        return "this interpreter is not CPython"
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return "this interpreter runs without the global lock"
    if sys.maxsize != 2**63 - 1:
        return "this is not a 64-bit interpreter"
    try:
        missing = [name for name, address in addresses().items() if not address]
        if missing:
            return f"this interpreter lacks {', '.join(missing)}"
        checks = (_arrays_match, _numbers_match, _containers_match, _counts_match, _calls_match)
        wrong = [check.__name__.split("_")[1] for check in checks if not check()]
    except Exception as error:
        return f"this interpreter cannot be read: {error}"
    return f"{', '.join(wrong)} do not lie in memory as expected" if wrong else ""


class _Sample:
    def method(self, *args: object, **kwargs: object) -> object:
        return self, args, kwargs


def _vectorcall_of(method: object) -> int:
    """The address that calls of a bound method go to."""
    place = _read(ctypes.c_ssize_t, id(type(method)) + VECTORCALL_OFFSET)
    return int(_read(ctypes.c_void_p, id(method) + place) or 0) if place > 0 else 0


def _calls_match() -> bool:
    """Whether a bound method can be called by its address."""
    sample = _Sample()
    call = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object, ctypes.c_void_p, ctypes.c_size_t, ctypes.py_object)(
        addresses()[symbol(CALL_METHOD)]
    )
    values = [object(), object(), object()]
    args = (ctypes.c_void_p * 3)(*map(id, values))
    return bool(call(sample.method, ctypes.addressof(args), 2, ("name",)) == (sample, tuple(values[:2]), {"name": values[2]}))


def _arrays_match() -> bool:
    return all(map(_matches, _samples()))


def _numbers_match() -> bool:
    """Whether the value of a number lies where it should."""
    number = 1234.5678
    scalars = [dtype.type(1) for dtype in SHORT]
    return _read(ctypes.c_double, id(number) + VALUE) == number and all(
        ctypes.string_at(id(s) + VALUE, s.itemsize) == np.asarray(s).tobytes() for s in scalars
    )


def _containers_match() -> bool:
    """Whether the items of tuples and lists lie where they should."""
    objects = [object() for _ in range(3)]
    for made, start in ((tuple(objects), None), (list(objects), LIST_ITEMS)):
        first = id(made) + TUPLE_ITEMS if start is None else _read(ctypes.c_void_p, id(made) + start)
        if _read(ctypes.c_ssize_t, id(made) + SIZE) != 3 or [_read(ctypes.c_void_p, first + 8 * k) for k in range(3)] != list(
            map(id, objects)
        ):
            return False
    return True


def _counts_match() -> bool:
    """Whether an array tells how many hold it, whether anyone watches it, and whose its memory is."""
    a = np.zeros((2, 3))
    words = [_read(ctypes.c_int64, id(a) + COUNT), _read(ctypes.c_void_p, id(a) + WEAK), _read(ctypes.c_void_p, id(a) + BASE)]
    held, watch, view = [a, a], weakref.ref(a), a[:]
    return (
        words == [1, None, None]
        and _read(ctypes.c_int, id(a) + FLAGS) & ~FORTRAN == FRESH
        and _read(ctypes.c_int64, id(a) + COUNT) == len(held) + 2
        and watch() is not None
        and _read(ctypes.c_void_p, id(a) + WEAK) is not None
        and _read(ctypes.c_void_p, id(view) + BASE) == id(a)
        and _read(ctypes.c_int, id(view) + FLAGS) & ~FORTRAN != FRESH
    )


def _samples() -> list[np.ndarray]:
    return [np.arange(24, dtype=d).reshape(2, 3, 4)[:, ::step] for d in (np.float32, np.int64, np.uint8) for step in (1, 2)] + [
        np.zeros(()),
        np.zeros((0, 5), bool),
        np.broadcast_to(np.ones(3), (1, 3)),
    ]


def _matches(a: np.ndarray) -> bool:
    """Whether an array's header says what the array does."""
    base = id(a)
    shape = _read(ctypes.c_void_p, base + SHAPE)
    return bool(
        _read(ctypes.c_void_p, base + TYPE) == id(np.ndarray)
        and (_read(ctypes.c_void_p, base + DATA) or 0) == a.ctypes.data
        and _read(ctypes.c_int, base + NDIM) == a.ndim
        and [_read(ctypes.c_ssize_t, shape + 8 * k) for k in range(a.ndim)] == list(a.shape)
        and _read(ctypes.c_void_p, base + DESCR) == id(a.dtype)
        and (_read(ctypes.c_int, base + FLAGS) & READABLE == READABLE) == (a.flags.c_contiguous and a.flags.aligned)
        and (_read(ctypes.c_int, base + FLAGS) & WRITEABLE == WRITEABLE) == a.flags.carray
    )


def _read(kind: type, address: int):  # type: ignore[no-untyped-def]
    return kind.from_address(address).value  # type: ignore[attr-defined]

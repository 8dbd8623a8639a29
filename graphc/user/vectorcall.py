"""Instances that native code is called for directly: `f(x, y)` is one jump to an address kept in `f` (CPython's vectorcall).

A subclass made by `callable_class` has one more word at the end of each instance. While it is 0 calls go to the class's
`__call__`, as always; `set_entry` puts an address there:

    PyObject *entry(PyObject *f, PyObject *const *args, size_t nargsf, PyObject *kwnames)

Neither a tuple nor a dict of arguments is made for such a call, which is most of what calling an instance costs (50 ns).
"""

from __future__ import annotations

import ctypes
import functools
import sys
import weakref
from typing import Any, TypeVar

T = TypeVar("T")

# CPython's numbers, part of its stable ABI: Include/typeslots.h, descrobject.h (structmember.h), object.h
_TP_DOC, _TP_MEMBERS = 56, 72
_SSIZE, _READONLY = 19, 1
_DEFAULT, _VECTORCALL = 1 << 18, 1 << 11


class _Member(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("offset", ctypes.c_ssize_t),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


class _Slot(ctypes.Structure):
    _fields_ = (("slot", ctypes.c_int), ("value", ctypes.c_void_p))


class _Spec(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("basicsize", ctypes.c_int),
        ("itemsize", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("slots", ctypes.POINTER(_Slot)),
    )


@functools.cache
def callable_class(base: type[T]) -> type[T]:
    """A subclass of the same name whose instances may have an entry; `base` itself where the interpreter is not CPython."""
    if sys.implementation.name != "cpython" or not hasattr(ctypes, "pythonapi"):
        return base
    at = base.__basicsize__
    members = (_Member * 2)(_Member(b"__vectorcalloffset__", _SSIZE, at, _READONLY, None))
    doc = ctypes.create_string_buffer((base.__doc__ or "").encode())
    slots = (_Slot * 3)(_Slot(_TP_MEMBERS, ctypes.addressof(members)), _Slot(_TP_DOC, ctypes.addressof(doc)))
    name = f"{base.__module__}.{base.__qualname__}".encode()
    spec = _Spec(name, at + ctypes.sizeof(ctypes.c_void_p), 0, _DEFAULT | _VECTORCALL, slots)
    make = ctypes.pythonapi.PyType_FromSpecWithBases
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object]
    _KEPT.append((members, doc, slots, spec, name))
    made: type[T] = make(ctypes.addressof(spec), (base,))
    return made


_KEPT: list[Any] = []
"""What types were made from; some versions of CPython point to it ever after."""


def set_entry(instance: object, address: int, code: object = None) -> bool:
    """Have calls of `instance` go to `address` (0: to `__call__`); False if its class leaves no room for that.

    `code` is kept as long as anybody can call the instance. An attribute of the instance would not do: the cycle collector finalises
    all that hangs on a cycle, and empties it part by part, and meanwhile what is left of it may call the instance.
    """
    place, key, entries = _place(instance), id(instance), _CODE
    if place is None:
        return False
    entries.pop(key, None)
    place.value = address
    if code is not None:

        def gone(watch: weakref.ref[object]) -> None:
            """The instance is still in memory: a finaliser may call it, or save it."""
            place.value = 0
            if key in entries and entries[key][0] is watch:
                del entries[key]

        entries[key] = weakref.ref(instance, gone), code
    return True


def is_kept(instance: object) -> bool:
    """Whether the code of an instance is kept. It is not once the collector has begun to take it away, though a finaliser may save it."""
    return id(instance) in _CODE


_CODE: dict[int, tuple[weakref.ref[object], object]] = {}
"""The code of living instances, by their ids."""
if hasattr(ctypes, "pythonapi"):
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(_CODE))  # the end of the interpreter takes modules away, and calls functions after that


def entry_of(instance: object) -> int:
    """The address that calls of `instance` go to, 0 if they go to `__call__`."""
    place = _place(instance)
    return 0 if place is None else place.value or 0


def _place(instance: object) -> ctypes.c_void_p | None:
    cls = type(instance)
    if cls.__flags__ & _VECTORCALL == 0 or cls.__base__ is None or callable_class(cls.__base__) is not cls:
        return None
    return ctypes.c_void_p.from_address(id(instance) + cls.__base__.__basicsize__)

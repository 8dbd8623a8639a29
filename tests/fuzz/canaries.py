"""Memory of NumPy's arrays between canaries: 64 bytes before and 64 behind each block, looked at when it is freed.

    before: 8 bytes of length, 56 of 0xA5 | the array | 64 bytes of 0xA5

The allocator is native code, so that no Python runs where NumPy asks for memory (see the list in `graphc.codegen.entry.objects`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from graphc.codegen import jit
from graphc.codegen.target import host

SET_HANDLER = 304  # the slot of PyDataMem_SetHandler in NumPy's C table, since 1.22
_TEXT = """
@damage = global i64 0
declare ptr @c.malloc(i64)
declare void @c.free(ptr)

define internal void @paint(ptr %from, i64 %count) {
  call void @llvm.memset.p0.i64(ptr %from, i8 -91, i64 %count, i1 false)
  ret void
}
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

define internal void @look(ptr %from, i64 %count) {
entry:
  br label %one
one:
  %k = phi i64 [ 0, %entry ], [ %next, %fine ]
  %at = getelementptr i8, ptr %from, i64 %k
  %byte = load i8, ptr %at
  %good = icmp eq i8 %byte, -91
  br i1 %good, label %fine, label %bad
bad:
  %seen = atomicrmw add ptr @damage, i64 1 monotonic
  ret void
fine:
  %next = add i64 %k, 1
  %more = icmp ult i64 %next, %count
  br i1 %more, label %one, label %out
out:
  ret void
}

define ptr @take(ptr %context, i64 %count) {
entry:
  %total = add i64 %count, 128
  %base = call ptr @c.malloc(i64 %total)
  %none = icmp eq ptr %base, null
  br i1 %none, label %out, label %got
got:
  store i64 %count, ptr %base
  %head = getelementptr i8, ptr %base, i64 8
  call void @paint(ptr %head, i64 56)
  %data = getelementptr i8, ptr %base, i64 64
  %tail = getelementptr i8, ptr %data, i64 %count
  call void @paint(ptr %tail, i64 64)
  ret ptr %data
out:
  ret ptr null
}

define ptr @zeros(ptr %context, i64 %count, i64 %size) {
entry:
  %bytes = mul i64 %count, %size
  %data = call ptr @take(ptr %context, i64 %bytes)
  %none = icmp eq ptr %data, null
  br i1 %none, label %out, label %got
got:
  call void @llvm.memset.p0.i64(ptr %data, i8 0, i64 %bytes, i1 false)
  br label %out
out:
  ret ptr %data
}

define void @give(ptr %context, ptr %data, i64 %size) {
entry:
  %none = icmp eq ptr %data, null
  br i1 %none, label %out, label %got
got:
  %base = getelementptr i8, ptr %data, i64 -64
  %count = load i64, ptr %base
  %head = getelementptr i8, ptr %base, i64 8
  call void @look(ptr %head, i64 56)
  %tail = getelementptr i8, ptr %data, i64 %count
  call void @look(ptr %tail, i64 64)
  call void @c.free(ptr %base)
  br label %out
out:
  ret void
}

define ptr @again(ptr %context, ptr %data, i64 %count) {
entry:
  %new = call ptr @take(ptr %context, i64 %count)
  %none = icmp eq ptr %new, null
  %first = icmp eq ptr %data, null
  %stop = or i1 %none, %first
  br i1 %stop, label %out, label %move
move:
  %base = getelementptr i8, ptr %data, i64 -64
  %had = load i64, ptr %base
  %less = icmp ult i64 %had, %count
  %kept = select i1 %less, i64 %had, i64 %count
  call void @llvm.memcpy.p0.p0.i64(ptr %new, ptr %data, i64 %kept, i1 false)
  call void @give(ptr %context, ptr %data, i64 0)
  br label %out
out:
  ret ptr %new
}
"""


class _Handler(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("context", ctypes.c_void_p), ("malloc", ctypes.c_void_p),
        ("calloc", ctypes.c_void_p), ("realloc", ctypes.c_void_p), ("free", ctypes.c_void_p),
    )  # fmt: skip


@contextmanager
def canaries() -> Iterator[Callable[[], int]]:
    """Arrays made meanwhile lie between canaries; yields how many blocks were found damaged so far."""
    c = ctypes.CDLL(None)
    symbols = {f"c.{name}": int(ctypes.cast(getattr(c, name), ctypes.c_void_p).value or 0) for name in ("malloc", "free")}
    code = jit.load(jit.compile_module(_TEXT, host()), symbols)
    handler = _Handler(b"canaries", 1, None, *(code.address(name) for name in ("take", "zeros", "again", "give")))
    _KEPT.append((code, handler))  # arrays outlive the context, and are freed by this code
    api = ctypes.pythonapi
    api.PyCapsule_New.restype, api.PyCapsule_New.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    api.PyCapsule_GetPointer.restype, api.PyCapsule_GetPointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    table = ctypes.cast(api.PyCapsule_GetPointer(np._core.multiarray._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p))  # type: ignore[attr-defined]
    install = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(int(table[SET_HANDLER] or 0))
    before = install(api.PyCapsule_New(ctypes.addressof(handler), _NAME, None))
    damage = ctypes.c_int64.from_address(code.address("damage"))
    try:
        yield lambda: damage.value
    finally:
        install(before)


_NAME = b"mem_handler"  # NumPy's for such capsules, which keep the address of the name
_KEPT: list[object] = []

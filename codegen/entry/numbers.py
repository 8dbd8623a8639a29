"""Arguments of rank 0, read by a function for each dtype that all entries of a process share.

    ptr entry.number.f64(ptr object, ptr slot)

The address of the number: the data of an array, or the slot, to which a Python number or a NumPy scalar goes; null for what the Python
path has to look at. As code of the entry each such argument took LLVM several milliseconds.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from graphc.codegen.entry import cpython
from graphc.codegen.entry.cpython import symbol
from graphc.codegen.entry.shared import linked
from graphc.codegen.llvm.emit_scalar import llvm_type
from graphc.dtypes import SHORT, bool_, int64

NUMBER = "entry.number"


def name_of(dtype: np.dtype) -> str:
    """The function that reads a number of this dtype."""
    return f"{NUMBER}.{SHORT[dtype]}"


def element(dtype: np.dtype) -> str:
    """The type of its slot."""
    return "i8" if dtype == bool_ else llvm_type(dtype, 1)


@functools.cache
def symbols(dtype: np.dtype) -> Mapping[str, int]:
    """The address of the function of this dtype, which is compiled and linked at the first use and stays."""
    return linked(number_text(dtype), (name_of(dtype),))


def number_text(dtype: np.dtype) -> str:
    """The module of one dtype."""
    cases = _cases(dtype)
    compared = [*[name for name, _, _ in cases], "ndarray", f"dtype.{SHORT[dtype]}", *(["True"] if dtype == bool_ else [])]
    lines = [f"define ptr @{name_of(dtype)}(ptr %object, ptr %slot) nounwind {{", "entry:", "  %overflow = alloca i32, align 4"]
    lines += [*_field("kind", cpython.TYPE, "ptr"), f"  %value.at = getelementptr i8, ptr %object, i64 {cpython.VALUE}"]
    for k, (name, read, value) in enumerate(cases):
        lines += [f"  %is{k} = icmp eq ptr %kind, @{symbol(name)}", f"  br i1 %is{k}, label %case{k}, label %other{k}", f"case{k}:"]
        lines += [*read, f"  store {element(dtype)} {value}, ptr %slot, align {dtype.itemsize}", "  ret ptr %slot", f"other{k}:"]
    lines += [*_array(dtype), "no:", "  ret ptr null", "}", ""]
    return "\n".join([*[f"@{symbol(name)} = external global i8" for name in compared], f"declare i64 @{_LONG}(ptr, ptr)", *lines])


_LONG = symbol("PyLong_AsLongLongAndOverflow")


def _cases(dtype: np.dtype) -> list[tuple[str, list[str], str]]:
    """The names of the types that are taken, how the number is read, and what it is then."""
    kind = element(dtype)
    if dtype == bool_:
        return [("bool", [f"  %true = icmp eq ptr %object, @{symbol('True')}", "  %truth = zext i1 %true to i8"], "%truth")]
    scalar = (f"scalar.{SHORT[dtype]}", [f"  %scalar = load {kind}, ptr %value.at, align {dtype.itemsize}"], "%scalar")
    if dtype.kind != "f":
        return [("int", [*_INTEGER, *_in_range(dtype)], "%long" if dtype.itemsize == 8 else "%narrow"), scalar]
    double, whole = ["  %double = load double, ptr %value.at, align 8"], [*_INTEGER, "  %whole = sitofp i64 %long to double"]
    if dtype.itemsize == 8:
        return [("float", double, "%double"), ("int", whole, "%whole"), scalar]
    double, whole = [*double, "  %single = fptrunc double %double to float"], [*whole, "  %rounded = fptrunc double %whole to float"]
    return [("float", double, "%single"), ("int", whole, "%rounded"), scalar]


_INTEGER = [
    f"  %long = call i64 @{_LONG}(ptr %object, ptr %overflow)", "  %over = load i32, ptr %overflow, align 4",
    "  %fits = icmp eq i32 %over, 0", "  br i1 %fits, label %in.64, label %no", "in.64:",
]  # fmt: skip


def _in_range(dtype: np.dtype) -> list[str]:
    """Go on if %long is an integer of this dtype, %narrow where it has fewer bits."""
    if dtype == int64:
        return []
    test = ["  %in = icmp sge i64 %long, 0"]
    if dtype.itemsize < 8:
        extended = f"{'zext' if dtype.kind == 'u' else 'sext'} {element(dtype)} %narrow to i64"
        test = [f"  %narrow = trunc i64 %long to {element(dtype)}", f"  %again = {extended}", "  %in = icmp eq i64 %again, %long"]
    return [*test, "  br i1 %in, label %in.range, label %no", "in.range:"]


def _field(name: str, offset: int, kind: str) -> list[str]:
    """%name: a word of the object's header."""
    at = f"  %{name}.at = getelementptr i8, ptr %object, i64 {offset}"
    return [at, f"  %{name} = load {kind}, ptr %{name}.at, align {4 if kind == 'i32' else 8}"]


def _array(dtype: np.dtype) -> list[str]:
    """The data of an array of rank 0 that can be read as it lies."""
    return [
        f"  %is.array = icmp eq ptr %kind, @{symbol('ndarray')}", "  br i1 %is.array, label %array, label %no", "array:",
        *_field("flags", cpython.FLAGS, "i32"), f"  %flagged = and i32 %flags, {cpython.READABLE | cpython.WARN_ON_WRITE}",
        f"  %readable = icmp eq i32 %flagged, {cpython.READABLE}",
        *_field("descr", cpython.DESCR, "ptr"), f"  %typed = icmp eq ptr %descr, @{symbol('dtype.' + SHORT[dtype])}",
        *_field("rank", cpython.NDIM, "i32"), "  %lone = icmp eq i32 %rank, 0",
        "  %both = and i1 %typed, %lone", "  %good = and i1 %both, %readable", "  br i1 %good, label %found, label %no",
        "found:", *_field("data", cpython.DATA, "ptr"), "  ret ptr %data",
    ]  # fmt: skip

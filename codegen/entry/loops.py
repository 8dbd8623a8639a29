"""Loops that entries of many arrays share, compiled once a process: what straight code does for a few.

    entry.take    whether objects are arrays of the dtypes and sizes of a table, that can be read as they lie; their data to slots,
                  their sizes, and the places of their bytes where they are asked for
    entry.apart   whether no place of a list shares a byte with one of another
    entry.data    the data of arrays, one after the other
    entry.copy    words from one place to another
    entry.hold    take a reference to each of some objects

A row of the table is a dtype, a rank, the bytes of an element, and which of the objects it is; sizes lie beside, -1 where any will do.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from graphc.codegen.entry import cpython
from graphc.codegen.entry.cpython import symbol
from graphc.codegen.entry.shared import filled, for_each, linked

ROW = "{ ptr, i64, i64, i64 }"
TAKE, APART, DATA, COPY, HOLD = "entry.take", "entry.apart", "entry.data", "entry.copy", "entry.hold"
DECLARATIONS = (
    f"declare i1 @{TAKE}(ptr, i64, ptr, ptr, ptr, ptr, ptr)",
    f"declare i1 @{APART}(ptr, i64, ptr, i64)",
    f"declare void @{DATA}(ptr, i64, ptr)",
    f"declare void @{COPY}(ptr, i64, ptr)",
    f"declare void @{HOLD}(ptr, i64)",
)


def loops_text() -> str:
    """The module."""
    return filled(_TEXT, {
        "TYPE": cpython.TYPE, "DATA": cpython.DATA, "NDIM": cpython.NDIM, "SHAPE": cpython.SHAPE, "DESCR": cpython.DESCR,
        "FLAGS": cpython.FLAGS, "READABLE": cpython.READABLE, "LOOKED_AT": cpython.READABLE | cpython.WARN_ON_WRITE, "ROW": ROW,
        "own": symbol("Py_IncRef"), "ndarray": symbol("ndarray"),
    })  # fmt: skip


@functools.cache
def symbols() -> Mapping[str, int]:
    """The addresses of these functions, which are compiled and linked at the first use and stay."""
    return linked(loops_text(), (TAKE, APART, DATA, COPY, HOLD))


_TEXT = """
@$ndarray$ = external global i8
declare void @$own$(ptr)

define i1 @entry.take(ptr %table, i64 %count, ptr %sizes, ptr %objects, ptr %slots, ptr %shapes, ptr %places) nounwind {
entry:
  br label %next
next:
  %k = phi i64 [ 0, %entry ], [ %k1, %good ]
  %first = phi i64 [ 0, %entry ], [ %first1, %good ]
  %on = icmp slt i64 %k, %count
  br i1 %on, label %look, label %yes
look:
  %row = getelementptr $ROW$, ptr %table, i64 %k
  %descr = load ptr, ptr %row, align 8
  %rank.at = getelementptr i8, ptr %row, i64 8
  %rank = load i64, ptr %rank.at, align 8
  %item.at = getelementptr i8, ptr %row, i64 16
  %item = load i64, ptr %item.at, align 8
  %index.at = getelementptr i8, ptr %row, i64 24
  %index = load i64, ptr %index.at, align 8
  %object.at = getelementptr ptr, ptr %objects, i64 %index
  %object = load ptr, ptr %object.at, align 8
  %kind.at = getelementptr i8, ptr %object, i64 $TYPE$
  %kind = load ptr, ptr %kind.at, align 8
  %array = icmp eq ptr %kind, @$ndarray$
  br i1 %array, label %header, label %no
header:
  %flags.at = getelementptr i8, ptr %object, i64 $FLAGS$
  %flags = load i32, ptr %flags.at, align 4
  %flagged = and i32 %flags, $LOOKED_AT$
  %readable = icmp eq i32 %flagged, $READABLE$
  %descr.at = getelementptr i8, ptr %object, i64 $DESCR$
  %have = load ptr, ptr %descr.at, align 8
  %same = icmp eq ptr %have, %descr
  %dims.at = getelementptr i8, ptr %object, i64 $NDIM$
  %dims = load i32, ptr %dims.at, align 4
  %wide = sext i32 %dims to i64
  %ranks = icmp eq i64 %wide, %rank
  %typed = and i1 %same, %ranks
  %fine = and i1 %typed, %readable
  br i1 %fine, label %shape, label %no
shape:
  %shape.at = getelementptr i8, ptr %object, i64 $SHAPE$
  %lengths = load ptr, ptr %shape.at, align 8
  br label %axes
axes:
  %axis = phi i64 [ 0, %shape ], [ %axis1, %one ]
  %bytes = phi i64 [ %item, %shape ], [ %product, %one ]
  %more = icmp slt i64 %axis, %rank
  br i1 %more, label %one, label %done
one:
  %length.at = getelementptr i64, ptr %lengths, i64 %axis
  %length = load i64, ptr %length.at, align 8
  %place = add i64 %first, %axis
  %wanted.at = getelementptr i64, ptr %sizes, i64 %place
  %wanted = load i64, ptr %wanted.at, align 8
  %told = getelementptr i64, ptr %shapes, i64 %place
  store i64 %length, ptr %told, align 8
  %product = mul i64 %bytes, %length
  %axis1 = add i64 %axis, 1
  %any = icmp slt i64 %wanted, 0
  %equal = icmp eq i64 %wanted, %length
  %fits = or i1 %any, %equal
  br i1 %fits, label %axes, label %no
done:
  %data.at = getelementptr i8, ptr %object, i64 $DATA$
  %data = load ptr, ptr %data.at, align 8
  %slot = getelementptr ptr, ptr %slots, i64 %index
  store ptr %data, ptr %slot, align 8
  %unasked = icmp eq ptr %places, null
  br i1 %unasked, label %good, label %noted
noted:
  %mine = getelementptr { ptr, i64 }, ptr %places, i64 %index
  store ptr %data, ptr %mine, align 8
  %bytes.at = getelementptr i8, ptr %mine, i64 8
  store i64 %bytes, ptr %bytes.at, align 8
  br label %good
good:
  %first1 = add i64 %first, %rank
  %k1 = add i64 %k, 1
  br label %next
yes:
  ret i1 true
no:
  ret i1 false
}

; of two places: not -bytes < start - other start < other bytes, or one of them is empty
define i1 @entry.apart(ptr %places, i64 %count, ptr %others, i64 %many) nounwind {
entry:
  br label %next
next:
  %k = phi i64 [ 0, %entry ], [ %k1, %good ]
  %on = icmp slt i64 %k, %count
  br i1 %on, label %look, label %yes
look:
  %place = getelementptr { i64, i64 }, ptr %places, i64 %k
  %start = load i64, ptr %place, align 8
  %bytes.at = getelementptr i8, ptr %place, i64 8
  %bytes = load i64, ptr %bytes.at, align 8
  %less = sub i64 %bytes, 1
  %empty = icmp eq i64 %bytes, 0
  br label %beside
beside:
  %j = phi i64 [ 0, %look ], [ %j1, %one ]
  %more = icmp slt i64 %j, %many
  br i1 %more, label %one, label %good
one:
  %other = getelementptr { i64, i64 }, ptr %others, i64 %j
  %other.start = load i64, ptr %other, align 8
  %other.at = getelementptr i8, ptr %other, i64 8
  %other.bytes = load i64, ptr %other.at, align 8
  %ahead = sub i64 %start, %other.start
  %shifted = add i64 %ahead, %less
  %reach = add i64 %other.bytes, %less
  %clear = icmp uge i64 %shifted, %reach
  %none = icmp eq i64 %other.bytes, 0
  %nothing = or i1 %none, %empty
  %fine = or i1 %clear, %nothing
  %j1 = add i64 %j, 1
  br i1 %fine, label %beside, label %no
good:
  %k1 = add i64 %k, 1
  br label %next
yes:
  ret i1 true
no:
  ret i1 false
}
"""
_TEXT += for_each(
    DATA,
    "ptr %arrays, i64 %count, ptr %into",
    """\
  %from = getelementptr ptr, ptr %arrays, i64 %k
  %array = load ptr, ptr %from, align 8
  %at = getelementptr i8, ptr %array, i64 $DATA$
  %data = load ptr, ptr %at, align 8
  %to = getelementptr ptr, ptr %into, i64 %k
  store ptr %data, ptr %to, align 8""",
)
_TEXT += for_each(
    COPY,
    "ptr %words, i64 %count, ptr %into",
    """\
  %from = getelementptr ptr, ptr %words, i64 %k
  %word = load ptr, ptr %from, align 8
  %to = getelementptr ptr, ptr %into, i64 %k
  store ptr %word, ptr %to, align 8""",
)
_TEXT += for_each(
    HOLD,
    "ptr %objects, i64 %count",
    """\
  %at = getelementptr ptr, ptr %objects, i64 %k
  %object = load ptr, ptr %at, align 8
  call void @$own$(ptr %object)""",
)

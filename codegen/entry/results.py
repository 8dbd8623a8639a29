"""What all entries of a process share: making the arrays of results, or seeing whether those of `out=` will do.

As loops over a table of the results, compiled once a process: as straight code in every entry they were three quarters of it, and half of
what compiling a function took. Besides the table, functions are told where things lie that only the call knows:

    entry.make    sizes of all results, one after the other; two spare arrays a result; where to put the arrays it makes
    entry.fit     the same sizes; the objects of `out=`; the places of all that is read, with room for those of the results behind

A place is an address and the number of bytes there.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from graphc.codegen.entry import cpython
from graphc.codegen.entry.cpython import symbol
from graphc.codegen.entry.shared import filled, for_each, linked
from graphc.codegen.entry.ways import NAMES, ways_text

SPARE_BYTES = 4096  # of a result that is kept for the next call; a larger one takes longer to fill than to make
ROW = "{ ptr, i64, i64 }"
"""A result in the table: its dtype, its rank, the bytes of an element."""
ROW_BYTES = 24
MAKE, FIT, BURY = "entry.make", "entry.fit", "entry.bury"
DECLARATIONS = (
    f"declare i1 @{MAKE}(ptr, i64, ptr, ptr, ptr, ptr, ptr)",
    f"declare i1 @{FIT}(ptr, i64, ptr, ptr, ptr, i64)",
    f"declare void @{BURY}(ptr, i64)",
)


def results_text() -> str:
    """The module."""
    return filled(_TEXT, {
        "COUNT": cpython.COUNT, "TYPE": cpython.TYPE, "DATA": cpython.DATA, "NDIM": cpython.NDIM, "SHAPE": cpython.SHAPE,
        "DESCR": cpython.DESCR, "FLAGS": cpython.FLAGS, "WEAK": cpython.WEAK, "NOT_FORTRAN": ~cpython.FORTRAN, "FRESH": cpython.FRESH,
        "WRITEABLE": cpython.WRITEABLE, "LOOKED_AT": cpython.WRITEABLE | cpython.WARN_ON_WRITE, "SPARE_BYTES": SPARE_BYTES, "ROW": ROW,
        "own": symbol("Py_IncRef"), "disown": symbol("Py_DecRef"), "new": symbol("PyArray_NewFromDescr"), "ndarray": symbol("ndarray"),
    })  # fmt: skip


@functools.cache
def symbols() -> Mapping[str, int]:
    """The addresses of these functions and of the ways through a call, which are compiled and linked at the first use and stay."""
    return linked(results_text() + ways_text(BURY), (MAKE, FIT, BURY, *NAMES))


_TEXT = """
@$ndarray$ = external global i8
declare void @$own$(ptr)
declare void @$disown$(ptr)
declare ptr @$new$(ptr, ptr, i32, ptr, ptr, ptr, i32, ptr)

; the arrays of `count` results into `made`; whether memory is out: then those made are given up, and the error stands.
; What goes for a new spare one is appended to `doomed`, for when native code is done.
define i1 @entry.make(ptr %table, i64 %count, ptr %sizes, ptr %spares, ptr %made, ptr %doomed, ptr %dooms) nounwind {
entry:
  br label %next
next:
  %k = phi i64 [ 0, %entry ], [ %k1, %good ]
  %shape = phi ptr [ %sizes, %entry ], [ %shape1, %good ]
  %row = getelementptr $ROW$, ptr %table, i64 %k
  %descr = load ptr, ptr %row, align 8
  %rank.at = getelementptr i8, ptr %row, i64 8
  %rank = load i64, ptr %rank.at, align 8
  %pair = getelementptr [2 x ptr], ptr %spares, i64 %k
  %first = load ptr, ptr %pair, align 8
  %first.only = call i1 @only(ptr %first)
  br i1 %first.only, label %spared, label %more
more:
  %two = getelementptr i8, ptr %pair, i64 8
  %second = load ptr, ptr %two, align 8
  %second.only = call i1 @only(ptr %second)
  br i1 %second.only, label %spared, label %neither
spared:
  %spare = phi ptr [ %first, %next ], [ %second, %more ]
  %spare.at = phi ptr [ %pair, %next ], [ %two, %more ]
  %fits = call i1 @as_made(ptr %spare, ptr %descr, i64 %rank, ptr %shape)
  br i1 %fits, label %again, label %fresh
again:
  %holders = getelementptr i8, ptr %spare, i64 $COUNT$
  store i64 2, ptr %holders, align 8
  br label %ready
neither: ; exchanged: the older one goes
  store ptr %second, ptr %pair, align 8
  store ptr %first, ptr %two, align 8
  br label %fresh
fresh:
  %at = phi ptr [ %spare.at, %spared ], [ %pair, %neither ]
  call void @$own$(ptr %descr) ; the call below takes a reference over
  %dims = trunc i64 %rank to i32
  %new = call ptr @$new$(ptr @$ndarray$, ptr %descr, i32 %dims, ptr %shape, ptr null, ptr null, i32 0, ptr null)
  %out = icmp eq ptr %new, null
  br i1 %out, label %failed, label %there
failed:
  call void @entry.bury(ptr %made, i64 %k)
  ret i1 true
there:
  %bytes = call i64 @bytes(ptr %row, ptr %shape)
  %small = icmp ule i64 %bytes, $SPARE_BYTES$
  br i1 %small, label %keep, label %ready
keep:
  call void @$own$(ptr %new)
  %gone = load i64, ptr %doomed, align 8
  %gone.at = getelementptr ptr, ptr %dooms, i64 %gone
  %old = load ptr, ptr %at, align 8
  store ptr %old, ptr %gone.at, align 8
  %gone1 = add i64 %gone, 1
  store i64 %gone1, ptr %doomed, align 8
  store ptr %new, ptr %at, align 8
  br label %ready
ready:
  %array = phi ptr [ %spare, %again ], [ %new, %there ], [ %new, %keep ]
  %array.at = getelementptr ptr, ptr %made, i64 %k
  store ptr %array, ptr %array.at, align 8
  br label %good
good:
  %shape1 = getelementptr i64, ptr %shape, i64 %rank
  %k1 = add i64 %k, 1
  %on = icmp slt i64 %k1, %count
  br i1 %on, label %next, label %done
done:
  ret i1 false
}

; whether results may be written into `targets` at any time: they lie apart from the `known` places that are read, and from each other.
; Few calls are of this kind, and it is long: LLVM translates it line by line.
define i1 @entry.fit(ptr %table, i64 %count, ptr %sizes, ptr %targets, ptr %places, i64 %known) nounwind noinline optnone {
entry:
  br label %next
next:
  %k = phi i64 [ 0, %entry ], [ %k1, %good ]
  %shape = phi ptr [ %sizes, %entry ], [ %shape1, %good ]
  %row = getelementptr $ROW$, ptr %table, i64 %k
  %descr = load ptr, ptr %row, align 8
  %rank.at = getelementptr i8, ptr %row, i64 8
  %rank = load i64, ptr %rank.at, align 8
  %target.at = getelementptr ptr, ptr %targets, i64 %k
  %target = load ptr, ptr %target.at, align 8
  %kind.at = getelementptr i8, ptr %target, i64 $TYPE$
  %kind = load ptr, ptr %kind.at, align 8
  %array = icmp eq ptr %kind, @$ndarray$
  br i1 %array, label %header, label %no
header:
  %flags = call i32 @flags(ptr %target)
  %flagged = and i32 %flags, $LOOKED_AT$
  %writeable = icmp eq i32 %flagged, $WRITEABLE$
  %like = call i1 @like(ptr %target, ptr %descr, i64 %rank, ptr %shape)
  %fits = and i1 %writeable, %like
  br i1 %fits, label %where, label %no
where:
  %place = getelementptr { ptr, i64 }, ptr %places, i64 %known
  %mine = getelementptr { ptr, i64 }, ptr %place, i64 %k
  %data.at = getelementptr i8, ptr %target, i64 $DATA$
  %data = load ptr, ptr %data.at, align 8
  store ptr %data, ptr %mine, align 8
  %bytes = call i64 @bytes(ptr %row, ptr %shape)
  %bytes.at = getelementptr i8, ptr %mine, i64 8
  store i64 %bytes, ptr %bytes.at, align 8
  %before = add i64 %known, %k
  %apart = call i1 @apart(ptr %mine, ptr %places, i64 %before)
  br i1 %apart, label %good, label %no
good:
  %shape1 = getelementptr i64, ptr %shape, i64 %rank
  %k1 = add i64 %k, 1
  %on = icmp slt i64 %k1, %count
  br i1 %on, label %next, label %yes
yes:
  ret i1 true
no:
  ret i1 false
}

; whether a place shares no byte with any of `count` others: not -its bytes < its start - their start < their bytes
define internal i1 @apart(ptr %place, ptr %others, i64 %count) alwaysinline nounwind {
entry:
  %start = load i64, ptr %place, align 8
  %bytes.at = getelementptr i8, ptr %place, i64 8
  %bytes = load i64, ptr %bytes.at, align 8
  %less = sub i64 %bytes, 1
  %empty = icmp eq i64 %bytes, 0
  br i1 %empty, label %yes, label %next
next:
  %k = phi i64 [ 0, %entry ], [ %k1, %good ]
  %on = icmp slt i64 %k, %count
  br i1 %on, label %look, label %yes
look:
  %other = getelementptr { i64, i64 }, ptr %others, i64 %k
  %other.start = load i64, ptr %other, align 8
  %other.at = getelementptr i8, ptr %other, i64 8
  %other.bytes = load i64, ptr %other.at, align 8
  %ahead = sub i64 %start, %other.start
  %shifted = add i64 %ahead, %less
  %reach = add i64 %other.bytes, %less
  %clear = icmp uge i64 %shifted, %reach
  %nothing = icmp eq i64 %other.bytes, 0
  %fine = or i1 %clear, %nothing
  br i1 %fine, label %good, label %no
good:
  %k1 = add i64 %k, 1
  br label %next
yes:
  ret i1 true
no:
  ret i1 false
}

define internal i64 @bytes(ptr %row, ptr %shape) alwaysinline nounwind {
entry:
  %rank.at = getelementptr i8, ptr %row, i64 8
  %rank = load i64, ptr %rank.at, align 8
  %item.at = getelementptr i8, ptr %row, i64 16
  %item = load i64, ptr %item.at, align 8
  br label %next
next:
  %axis = phi i64 [ 0, %entry ], [ %axis1, %times ]
  %bytes = phi i64 [ %item, %entry ], [ %product, %times ]
  %on = icmp slt i64 %axis, %rank
  br i1 %on, label %times, label %done
times:
  %size.at = getelementptr i64, ptr %shape, i64 %axis
  %size = load i64, ptr %size.at, align 8
  %product = mul i64 %bytes, %size
  %axis1 = add i64 %axis, 1
  br label %next
done:
  ret i64 %bytes
}

; whether nobody but us holds a spare array
define internal i1 @only(ptr %spare) alwaysinline nounwind {
entry:
  %at = getelementptr i8, ptr %spare, i64 $COUNT$
  %count = load i64, ptr %at, align 8
  %only = icmp eq i64 %count, 1
  ret i1 %only
}

; whether an array that nobody else holds is as it was made: users may have changed it
define internal i1 @as_made(ptr %spare, ptr %descr, i64 %rank, ptr %shape) alwaysinline nounwind {
entry:
  %flags = call i32 @flags(ptr %spare)
  %kept = and i32 %flags, $NOT_FORTRAN$
  %own = icmp eq i32 %kept, $FRESH$
  %weak.at = getelementptr i8, ptr %spare, i64 $WEAK$
  %weak = load ptr, ptr %weak.at, align 8
  %unwatched = icmp eq ptr %weak, null
  %like = call i1 @like(ptr %spare, ptr %descr, i64 %rank, ptr %shape)
  %unchanged = and i1 %own, %unwatched
  %good = and i1 %unchanged, %like
  ret i1 %good
}

define internal i32 @flags(ptr %array) alwaysinline nounwind {
entry:
  %at = getelementptr i8, ptr %array, i64 $FLAGS$
  %flags = load i32, ptr %at, align 4
  ret i32 %flags
}

; whether an array has this dtype and shape
define internal i1 @like(ptr %array, ptr %descr, i64 %rank, ptr %shape) alwaysinline nounwind {
entry:
  %descr.at = getelementptr i8, ptr %array, i64 $DESCR$
  %have = load ptr, ptr %descr.at, align 8
  %kind = icmp eq ptr %have, %descr
  %rank.at = getelementptr i8, ptr %array, i64 $NDIM$
  %dims = load i32, ptr %rank.at, align 4
  %wide = sext i32 %dims to i64
  %ranks = icmp eq i64 %wide, %rank
  %both = and i1 %kind, %ranks
  br i1 %both, label %sizes, label %no
sizes:
  %shape.at = getelementptr i8, ptr %array, i64 $SHAPE$
  %mine = load ptr, ptr %shape.at, align 8
  br label %next
next:
  %axis = phi i64 [ 0, %sizes ], [ %axis1, %same ]
  %on = icmp slt i64 %axis, %rank
  br i1 %on, label %axes, label %yes
axes:
  %a.at = getelementptr i64, ptr %mine, i64 %axis
  %a = load i64, ptr %a.at, align 8
  %b.at = getelementptr i64, ptr %shape, i64 %axis
  %b = load i64, ptr %b.at, align 8
  %equal = icmp eq i64 %a, %b
  br i1 %equal, label %same, label %no
same:
  %axis1 = add i64 %axis, 1
  br label %next
yes:
  ret i1 true
no:
  ret i1 false
}
"""
_TEXT += for_each(
    BURY,  # give up references
    "ptr %objects, i64 %count",
    """\
  %at = getelementptr ptr, ptr %objects, i64 %k
  %object = load ptr, ptr %at, align 8
  call void @$disown$(ptr %object)""",
)

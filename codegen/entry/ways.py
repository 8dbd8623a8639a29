"""The ways through a call that all entries of a process share: parameters given by name, dicts, and what is handed on to Python.

Compiled once a process: as code of every entry they were a quarter of what compiling a short function took. LLVM translates them line by
line (`optnone`), in a third of the time: they are loops over a few names, and ways that cost far more than they do.

    entry.named   how many parameters are given by position and by name together, -1 where the Python path has to look; the object
                  of `out=`, or null, goes to a place. `names`: the parameters' from the first that is not given by position
    entry.items   whether an object is a dict of these very keys in this order; its values to a place
    entry.dict    a new dict, which takes the values over; null if memory is out: then they stay whose they were
    entry.slow    hands the call on to the Python path, as a call of a method of f
    entry.fault   hands the words of a run in which a check has failed to Python, which raises the error
"""

from __future__ import annotations

from graphc.codegen.entry import cpython
from graphc.codegen.entry.context import CALLABLE, FAULT
from graphc.codegen.entry.cpython import symbol
from graphc.codegen.entry.shared import filled

NAMED, ITEMS, DICT, SLOW, FAULTED = "entry.named", "entry.items", "entry.dict", "entry.slow", "entry.fault"
NAMES = (NAMED, ITEMS, DICT, SLOW, FAULTED)
DECLARED = {
    NAMED: f"declare i64 @{NAMED}(ptr, i64, ptr, ptr, i64, ptr)",
    ITEMS: f"declare i1 @{ITEMS}(ptr, ptr, i64, ptr)",
    DICT: f"declare ptr @{DICT}(ptr, i64, ptr)",
    SLOW: f"declare ptr @{SLOW}(ptr, ptr, i64, ptr, ptr)",
    FAULTED: f"declare ptr @{FAULTED}(ptr, ptr, ptr)",
}


def ways_text(bury: str) -> str:
    """Functions of the module that has `graphc.codegen.entry.results`, which declares Py_DecRef and gives up references."""
    return filled(_TEXT, {
        "SIZE": cpython.SIZE, "ITEMS": cpython.TUPLE_ITEMS, "CALLABLE": 8 * CALLABLE, "FAULT": 8 * FAULT, "out": symbol("out"),
        "method": symbol("PyMethod_New"), "call": symbol(cpython.CALL_METHOD), "disown": symbol("Py_DecRef"),
        "number": symbol("PyLong_FromLongLong"), "TYPE": cpython.TYPE, "dict": symbol("dict"), "size": symbol("PyDict_Size"),
        "next": symbol("PyDict_Next"), "new_dict": symbol("PyDict_New"), "set": symbol("PyDict_SetItem"), "bury": bury,
    })  # fmt: skip


_TEXT = """
@$out$ = external global i8
declare ptr @$method$(ptr, ptr)
declare ptr @$call$(ptr, ptr, i64, ptr)
declare ptr @$number$(i64)
@$dict$ = external global i8
declare i64 @$size$(ptr)
declare i32 @$next$(ptr, ptr, ptr, ptr)
declare ptr @$new_dict$()
declare i32 @$set$(ptr, ptr, ptr)

; the keywords must be, as objects, the names that follow those given by position, with `out` behind them if at all
define i64 @entry.named(ptr %args, i64 %positional, ptr %kwnames, ptr %names, i64 %most, ptr %out) nounwind noinline optnone {
entry:
  %size.at = getelementptr i8, ptr %kwnames, i64 $SIZE$
  %number = load i64, ptr %size.at, align 8
  %items = getelementptr i8, ptr %kwnames, i64 $ITEMS$
  %some = icmp sge i64 %number, 1
  br i1 %some, label %last, label %no
last:
  %end = sub i64 %number, 1
  %end.at = getelementptr ptr, ptr %items, i64 %end
  %end.name = load ptr, ptr %end.at, align 8
  %into = icmp eq ptr %end.name, @$out$
  %count = select i1 %into, i64 %end, i64 %number
  %together = add i64 %positional, %count
  %fits = icmp ule i64 %together, %most
  br i1 %fits, label %value, label %no
value:
  %place = add i64 %positional, %end
  %value.at = getelementptr ptr, ptr %args, i64 %place
  %given = load ptr, ptr %value.at, align 8
  %target = select i1 %into, ptr %given, ptr null
  store ptr %target, ptr %out, align 8
  br label %next
next:
  %k = phi i64 [ 0, %value ], [ %k1, %one ]
  %more = icmp ult i64 %k, %count
  br i1 %more, label %one, label %done
one:
  %item.at = getelementptr ptr, ptr %items, i64 %k
  %item = load ptr, ptr %item.at, align 8
  %name.at = getelementptr ptr, ptr %names, i64 %k
  %name = load ptr, ptr %name.at, align 8
  %k1 = add i64 %k, 1
  %same = icmp eq ptr %item, %name
  br i1 %same, label %next, label %no
done:
  ret i64 %together
no:
  ret i64 -1
}

define i1 @entry.items(ptr %object, ptr %keys, i64 %count, ptr %values) nounwind noinline optnone {
entry:
  %position = alloca i64, align 8
  %key = alloca ptr, align 8
  %value = alloca ptr, align 8
  store i64 0, ptr %position, align 8
  %kind.at = getelementptr i8, ptr %object, i64 $TYPE$
  %kind = load ptr, ptr %kind.at, align 8
  %dict = icmp eq ptr %kind, @$dict$
  br i1 %dict, label %length, label %no
length:
  %size = call i64 @$size$(ptr %object)
  %fits = icmp eq i64 %size, %count
  br i1 %fits, label %next, label %no
next:
  %k = phi i64 [ 0, %length ], [ %k1, %same ]
  %on = icmp slt i64 %k, %count
  br i1 %on, label %one, label %yes
one:
  %more = call i32 @$next$(ptr %object, ptr %position, ptr %key, ptr %value)
  %there = icmp eq i32 %more, 1
  br i1 %there, label %look, label %no
look:
  %have = load ptr, ptr %key, align 8
  %wanted.at = getelementptr ptr, ptr %keys, i64 %k
  %wanted = load ptr, ptr %wanted.at, align 8
  %equal = icmp eq ptr %have, %wanted
  br i1 %equal, label %same, label %no
same:
  %found = load ptr, ptr %value, align 8
  %found.at = getelementptr ptr, ptr %values, i64 %k
  store ptr %found, ptr %found.at, align 8
  %k1 = add i64 %k, 1
  br label %next
yes:
  ret i1 true
no:
  ret i1 false
}

define ptr @entry.dict(ptr %keys, i64 %count, ptr %values) nounwind noinline optnone {
entry:
  %made = call ptr @$new_dict$()
  %out = icmp eq ptr %made, null
  br i1 %out, label %none, label %next
next:
  %k = phi i64 [ 0, %entry ], [ %k1, %set ]
  %on = icmp slt i64 %k, %count
  br i1 %on, label %set, label %done
set:
  %key.at = getelementptr ptr, ptr %keys, i64 %k
  %key = load ptr, ptr %key.at, align 8
  %value.at = getelementptr ptr, ptr %values, i64 %k
  %value = load ptr, ptr %value.at, align 8
  %status = call i32 @$set$(ptr %made, ptr %key, ptr %value)
  %k1 = add i64 %k, 1
  %failed = icmp slt i32 %status, 0
  br i1 %failed, label %undone, label %next
done: ; the dict has taken references of its own
  call void @$bury$(ptr %values, i64 %count)
  ret ptr %made
undone:
  call void @$disown$(ptr %made)
  br label %none
none:
  ret ptr null
}

define ptr @entry.slow(ptr %f, ptr %args, i64 %nargsf, ptr %kwnames, ptr %context) nounwind noinline optnone {
entry:
  %function.at = getelementptr i8, ptr %context, i64 $CALLABLE$
  %function = load ptr, ptr %function.at, align 8
  %method = call ptr @$method$(ptr %function, ptr %f)
  %out = icmp eq ptr %method, null
  br i1 %out, label %failed, label %made
failed: ; memory is out, the error stands
  ret ptr null
made:
  %answer = call ptr @$call$(ptr %method, ptr %args, i64 %nargsf, ptr %kwnames)
  call void @$disown$(ptr %method)
  ret ptr %answer
}

define ptr @entry.fault(ptr %f, ptr %words, ptr %context) nounwind noinline optnone {
entry:
  %args = alloca [1 x ptr], align 8
  %place = ptrtoint ptr %words to i64
  %number = call ptr @$number$(i64 %place)
  %out = icmp eq ptr %number, null
  br i1 %out, label %failed, label %told
told:
  store ptr %number, ptr %args, align 8
  %function.at = getelementptr i8, ptr %context, i64 $FAULT$
  %function = load ptr, ptr %function.at, align 8
  %method = call ptr @$method$(ptr %function, ptr %f)
  %unmade = icmp eq ptr %method, null
  br i1 %unmade, label %given, label %made
made:
  %answer = call ptr @$call$(ptr %method, ptr %args, i64 1, ptr null)
  call void @$disown$(ptr %method)
  br label %given
given:
  %result = phi ptr [ null, %told ], [ %answer, %made ]
  call void @$disown$(ptr %number)
  ret ptr %result
failed:
  ret ptr null
}
"""

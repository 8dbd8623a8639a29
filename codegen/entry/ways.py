"""The ways through a call that all entries of a process share: parameters given by name, and what is handed on to Python.

Compiled once a process: as code of every entry they were a quarter of what compiling a short function took.

    entry.named   how many parameters are given by position and by name together, -1 where the Python path has to look; the object
                  of `out=`, or null, goes to a place. `names`: the parameters' from the first that is not given by position
    entry.slow    hands the call on to the Python path, as a call of a method of f
    entry.fault   hands the words of a run in which a check has failed to Python, which raises the error
"""

from __future__ import annotations

from graphc.codegen.entry import cpython
from graphc.codegen.entry.context import CALLABLE, FAULT
from graphc.codegen.entry.cpython import symbol
from graphc.codegen.entry.shared import filled

NAMED, SLOW, FAULTED = "entry.named", "entry.slow", "entry.fault"
DECLARATIONS = {
    NAMED: f"declare i64 @{NAMED}(ptr, i64, ptr, ptr, i64, ptr)",
    SLOW: f"declare ptr @{SLOW}(ptr, ptr, i64, ptr, ptr)",
    FAULTED: f"declare ptr @{FAULTED}(ptr, ptr, ptr)",
}


def ways_text() -> str:
    """Functions of the module that has `graphc.codegen.entry.results`, which declares Py_DecRef."""
    return filled(_TEXT, {
        "SIZE": cpython.SIZE, "ITEMS": cpython.TUPLE_ITEMS, "CALLABLE": 8 * CALLABLE, "FAULT": 8 * FAULT, "out": symbol("out"),
        "method": symbol("PyMethod_New"), "call": symbol(cpython.CALL_METHOD), "disown": symbol("Py_DecRef"),
        "number": symbol("PyLong_FromLongLong"),
    })  # fmt: skip


_TEXT = """
@$out$ = external global i8
declare ptr @$method$(ptr, ptr)
declare ptr @$call$(ptr, ptr, i64, ptr)
declare ptr @$number$(i64)

; the keywords must be, as objects, the names that follow those given by position, with `out` behind them if at all
define i64 @entry.named(ptr %args, i64 %positional, ptr %kwnames, ptr %names, i64 %most, ptr %out) nounwind {
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

define ptr @entry.slow(ptr %f, ptr %args, i64 %nargsf, ptr %kwnames, ptr %context) nounwind {
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

define ptr @entry.fault(ptr %f, ptr %words, ptr %context) nounwind {
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

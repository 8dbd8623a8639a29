"""A few of many records, the first in order or those from some place on: a pass over the row keeps those that can be among them, so
that only these are sorted.

It narrows down the key up to which enough lie, eleven bits a pass: of the records whose bits above are known to be those of that key
each value of the next bits is counted, and the value at which enough have been counted is the next part of it.
"""

from __future__ import annotations

from graphc.codegen.llvm.llvm_text import Function
from graphc.codegen.strategy.records import PARAMETERS, Records, function, signed

ENOUGH = 1024  # candidates beyond those wanted, which are not worth another pass
DIGIT = 11  # bits that it looks at in a pass
MOST = (1 << DIGIT) - 1


def write_first(r: Records, attributes: tuple[str, ...]) -> Function:
    """b = the records up to some key, in order, at least `count` of them; returns how many. All with a key of 0.0 are in or out."""
    text = f"""
    %counts = alloca [{MOST + 1} x i32], align 64
    br label %level
    {_level(r, "%wanted = phi i64 [ %count, %entry ], [ %wanted.next, %deeper ]")}
    %wanted.next = sub i64 %wanted, %f.before
    %all = add i64 %sure.next, %f.count
    %spare = sub i64 %all, %count
    {_enough(r)}
    br i1 %done, label %keep, label %deeper
    {_deeper(r)}
    keep:
    {_limit(r, "%known.next")}
    br label %each
    {_keep(r, "", f"%in = icmp ule {r.word} %k, %limit")}
    end:
    ret i64 %m.next
    """
    return function(r, f"sort.{r.name}.first", (*PARAMETERS, "i64 %count"), text, attributes, "i64")


def write_between(r: Records, attributes: tuple[str, ...]) -> Function:
    """(m, below): b = the m records from some key to another, those of the places `start` to `start + count` of the order among them;
    `below` have smaller keys. All with a key of 0.0 are in or out.

    The keys of both ends are narrowed down together, as long as the values of the next bits are the same.
    """
    w = r.word
    wanted = """
    %place = sub i64 %start, %sure
    %wanted = add i64 %place, 1
    %reach = sub i64 %stop, %sure"""
    below = "%below = phi i64 [ 0, %keep ], [ %below.next, %each ]"
    inside = f"""
    %under = icmp ult {w} %k, %from.key
    %under.one = zext i1 %under to i64
    %below.next = add i64 %below, %under.one
    %past = sub {w} %k, %from.key
    %in = icmp ule {w} %past, %span"""
    text = f"""
    %counts = alloca [{MOST + 1} x i32], align 64
    %stop = add i64 %start, %count
    br label %level
    {_level(r, wanted)}
    %spare = sub i64 %f.count, %count
    {_enough(r)}
    %apart = icmp slt i64 %f.upto, %reach
    %over = or i1 %done, %apart
    br i1 %over, label %upper, label %deeper
    {_deeper(r)}
    {_upper(r)}
    keep:
    {_least(r)}
    %known.last = or {w} %known.high, %u.d
    {_limit(r, "%known.last")}
    %span = sub {w} %limit, %from.key
    br label %each
    {_keep(r, below, inside)}
    end:
    %result.m = insertvalue {{ i64, i64 }} poison, i64 %m.next, 0
    %result = insertvalue {{ i64, i64 }} %result.m, i64 %below.next, 1
    ret {{ i64, i64 }} %result
    """
    parameters = (*PARAMETERS, "i64 %start", "i64 %count")
    return function(r, f"sort.{r.name}.between", parameters, text, attributes, "{ i64, i64 }")


def _level(r: Records, wanted: str) -> str:
    """A pass: count the next bits, and find the value at which as many as are `wanted` have been counted."""
    w = r.word
    return f"""
    level:
    %shift = phi {w} [ {r.bits - DIGIT}, %entry ], [ %shift.next, %deeper ]
    %known = phi {w} [ 0, %entry ], [ %known.next, %deeper ]
    %sure = phi i64 [ 0, %entry ], [ %sure.next, %deeper ]
    {wanted}
    call void @llvm.memset.p0.i64(ptr %counts, i8 0, i64 {4 * (MOST + 1)}, i1 false)
    %above = add {w} %shift, {DIGIT - 1}
    br label %tally
    {_tally(r)}
    {_find(r)}
    found:
    %known.high = shl {w} %known, {DIGIT}
    %known.next = or {w} %known.high, %f.d
    %sure.next = add i64 %sure, %f.before"""


def _enough(r: Records) -> str:
    """Whether what is known is enough: few to spare, or no bits left."""
    return f"""
    %spare.few = icmp sle i64 %spare, {ENOUGH}
    %no.deeper = icmp ult {r.word} %shift, {max(DIGIT, 8 * r.low)}
    %done = or i1 %spare.few, %no.deeper"""


def _deeper(r: Records) -> str:
    """On to the next bits."""
    return f"""
    deeper:
    %shift.next = sub {r.word} %shift, {DIGIT}
    br label %level"""


def _upper(r: Records) -> str:
    """The value `u.d` at which all that are wanted, those up to `reach`, have been counted."""
    w = r.word
    return f"""
    upper:
    %u.d = phi {w} [ %f.d, %found ], [ %u.next, %upper.more ]
    %u.upto = phi i64 [ %f.upto, %found ], [ %u.sum, %upper.more ]
    %u.enough = icmp sge i64 %u.upto, %reach
    br i1 %u.enough, label %keep, label %upper.more
    upper.more:
    %u.next = add {w} %u.d, 1
    %u.at = getelementptr i32, ptr %counts, {w} %u.next
    %u.count32 = load i32, ptr %u.at, align 4
    %u.count = zext i32 %u.count32 to i64
    %u.sum = add i64 %u.upto, %u.count
    br label %upper"""


def _least(r: Records) -> str:
    """The smallest key that begins with what is known; the smaller of the two zeros where it is one."""
    w, (low, _) = r.word, r.zeros
    return f"""
    %least = shl {w} %known.next, %shift
    %least.low = icmp ugt {w} %least, {signed(low, r.bits)}
    %least.high = icmp ule {w} %least, {_last_zero(r)}
    %least.zero = and i1 %least.low, %least.high
    %from.key = select i1 %least.zero, {w} {signed(low, r.bits)}, {w} %least"""


def _tally(r: Records) -> str:
    """Count the values of the bits from `shift` on, of the records whose bits above are `known`."""
    w, size = r.word, r.bits // 8
    return f"""
    tally:
    %t.i = phi i64 [ 0, %level ], [ %t.next, %tally ]
    %t.from = getelementptr {w}, ptr %a0, i64 %t.i
    %t.k = load {w}, ptr %t.from, align {size}
    %t.shifted = lshr {w} %t.k, %shift
    %t.digit = and {w} %t.shifted, {MOST}
    %t.at = getelementptr i32, ptr %counts, {w} %t.digit
    %t.half = lshr {w} %t.k, %above
    %t.top = lshr {w} %t.half, 1
    %t.in = icmp eq {w} %t.top, %known
    %t.one = zext i1 %t.in to i32
    %t.old = load i32, ptr %t.at, align 4
    %t.new = add i32 %t.old, %t.one
    store i32 %t.new, ptr %t.at, align 4
    %t.next = add nuw nsw i64 %t.i, 1
    %t.again = icmp slt i64 %t.next, %n
    br i1 %t.again, label %tally, label %find"""


def _find(r: Records) -> str:
    """The value `f.d` at which as many as are wanted have been counted, `f.upto`, and how many before it."""
    w = r.word
    return f"""
    find:
    %f.d = phi {w} [ 0, %tally ], [ %f.next, %find.more ]
    %f.before = phi i64 [ 0, %tally ], [ %f.upto, %find.more ]
    %f.at = getelementptr i32, ptr %counts, {w} %f.d
    %f.count32 = load i32, ptr %f.at, align 4
    %f.count = zext i32 %f.count32 to i64
    %f.upto = add i64 %f.before, %f.count
    %f.next = add {w} %f.d, 1
    %f.enough = icmp sge i64 %f.upto, %wanted
    br i1 %f.enough, label %found, label %find.more
    find.more:
    br label %find"""


def _last_zero(r: Records) -> int:
    """The greatest word of a zero: it has its position in the lowest bits."""
    return signed(r.zeros[1] + (1 << 8 * r.low) - 1, r.bits)


def _limit(r: Records, known: str) -> str:
    """The greatest key that begins with what is known; the greatest of a zero where it is one."""
    w, low, zero = r.word, r.zeros[0], _last_zero(r)
    return f"""
    %limit.first = shl {w} {known}, %shift
    %limit.bits = shl {w} 1, %shift
    %limit.rest = sub {w} %limit.bits, 1
    %limit.found = or {w} %limit.first, %limit.rest
    %limit.low = icmp uge {w} %limit.found, {signed(low, r.bits)}
    %limit.high = icmp ult {w} %limit.found, {zero}
    %limit.zero = and i1 %limit.low, %limit.high
    %limit = select i1 %limit.zero, {w} {zero}, {w} %limit.found"""


def _keep(r: Records, carried: str, inside: str) -> str:
    """The records that are `inside`, as %in, side by side; each is stored, and the next one over it where it is not."""
    w, size = r.word, r.bits // 8
    return f"""
    each:
    %i = phi i64 [ 0, %keep ], [ %i.next, %each ]
    %m = phi i64 [ 0, %keep ], [ %m.next, %each ]
    {carried}
    %from = getelementptr {w}, ptr %a0, i64 %i
    %k = load {w}, ptr %from, align {size}
    %to = getelementptr {w}, ptr %b0, i64 %m
    store {w} %k, ptr %to, align {size}
    @ %p.from = getelementptr i32, ptr %p0, i64 %i
    @ %p = load i32, ptr %p.from, align 4
    @ %p.to = getelementptr i32, ptr %q0, i64 %m
    @ store i32 %p, ptr %p.to, align 4
    {inside}
    %one = zext i1 %in to i64
    %m.next = add nuw nsw i64 %m, %one
    %i.next = add nuw nsw i64 %i, 1
    %again = icmp slt i64 %i.next, %n
    br i1 %again, label %each, label %end"""

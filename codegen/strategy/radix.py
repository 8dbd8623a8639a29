"""Rows of unsigned keys in order: the functions that a sorting kernel calls for one row, as LLVM text.

A long row goes through one pass for each byte of its keys, the lowest first: elements are counted by that byte and moved, in order,
to where those of its value begin; a byte that all keys share costs no pass, and of long keys only leading bytes are taken where these
tell nearly all apart (`leading`). A short row is sorted by insertion. All are stable, and know nothing of threads. Before, where few of
many are wanted, `few` keeps those that can be among them.

By passes alone 1e6 keys, as in `Records`, take 4.9, 10.8, 5.8 and 18 ms on one Zen 4 core; digits of 11 bits, which would be fewer
passes, write to more places than the first cache holds: 4.2 and 21.9 ms for keys of 32 and 64 bits.
"""

from __future__ import annotations

from graphc.codegen.llvm.llvm_text import Function, Module
from graphc.codegen.strategy.few import write_between, write_first
from graphc.codegen.strategy.leading import write_passes
from graphc.codegen.strategy.records import PARAMETERS, Records, function

SHORT = 40  # elements that insertion sorts: above, clearing and adding up counters costs less than moving half of them
SELECT_LEAST = 2048  # elements, from which on looking for the first few pays
SELECT_PART = 4  # if fewer than one in so many are wanted
CHOICE = f"""
    %part = mul i64 %count, {SELECT_PART}
    %few = icmp sle i64 %part, %n
    %many = icmp sge i64 %n, {SELECT_LEAST}
    %both = and i1 %few, %many
    br i1 %both, label %select, label %all"""


def write_sort(module: Module, r: Records, attributes: tuple[str, ...]) -> str:
    """The name of f(a, b, p, q, n, count) -> i1: the first `count` of the n records in a, and their positions in p, come to lie in order,
    in b and q if the result is true; b and q are room for as many.
    """
    name = f"sort.{r.name}"
    if name not in module.functions:
        module.declare("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
        module.declare("declare i64 @llvm.umin.i64(i64, i64)")
        for part in (_insertion(r, attributes), _bytes(r, attributes), *write_passes(r, attributes), write_first(r, attributes)):
            module.add(part)
        module.add(_sort(r, name, attributes))
    return name


def write_part(module: Module, r: Records, attributes: tuple[str, ...]) -> str:
    """The name of f(a, b, p, q, n, start, count) -> i64: as `write_sort`, of the records from place `start` of the order on, of which
    the first comes to lie at result / 2, in b and q if the result is odd. All zeros that lie before it are there too, or none.
    """
    name = f"sort.{r.name}.part"
    if name not in module.functions:
        whole = write_sort(module, r, attributes)
        module.add(write_between(r, attributes))
        text = f"""
        {CHOICE}
        all:
        %end = add i64 %start, %count
        %there = call i1 @{whole}(ptr %a0, ptr %b0, ptr %p0, ptr %q0, i64 %n, i64 %end)
        br label %done
        select:
        %kept = call {{ i64, i64 }} @sort.{r.name}.between(ptr %a0, ptr %b0, ptr %p0, ptr %q0, i64 %n, i64 %start, i64 %count)
        %m = extractvalue {{ i64, i64 }} %kept, 0
        %below = extractvalue {{ i64, i64 }} %kept, 1
        %rest = sub i64 %start, %below
        %short = icmp sle i64 %m, {SHORT}
        br i1 %short, label %insert, label %pass
        insert:
        call i1 @sort.{r.name}.insertion(ptr %b0, ptr %q0, i64 %m, i64 -1)
        br label %done
        pass:
        %moved = call i1 @sort.{r.name}.passes(ptr %b0, ptr %a0, ptr %q0, ptr %p0, i64 %m)
        %back = xor i1 %moved, true
        br label %done
        done:
        %place = phi i64 [ %start, %all ], [ %rest, %insert ], [ %rest, %pass ]
        %odd = phi i1 [ %there, %all ], [ true, %insert ], [ %back, %pass ]
        %twice = shl i64 %place, 1
        %one = zext i1 %odd to i64
        %result = or i64 %twice, %one
        ret i64 %result
        """
        module.add(function(r, name, (*PARAMETERS, "i64 %start", "i64 %count"), text, attributes, "i64"))
    return name


def _sort(r: Records, name: str, attributes: tuple[str, ...]) -> Function:
    """Choose among the ways by the size alone."""
    text = f"""
    {CHOICE}
    select:
    %m = call i64 @sort.{r.name}.first(ptr %a0, ptr %b0, ptr %p0, ptr %q0, i64 %n, i64 %count)
    %short.m = icmp sle i64 %m, {SHORT}
    br i1 %short.m, label %insert.m, label %pass.m
    insert.m:
    call i1 @sort.{r.name}.insertion(ptr %b0, ptr %q0, i64 %m, i64 -1)
    ret i1 true
    pass.m:
    %moved = call i1 @sort.{r.name}.passes(ptr %b0, ptr %a0, ptr %q0, ptr %p0, i64 %m)
    %back = xor i1 %moved, true
    ret i1 %back
    all:
    %short = icmp sle i64 %n, {SHORT}
    br i1 %short, label %insert, label %pass
    insert:
    call i1 @sort.{r.name}.insertion(ptr %a0, ptr %p0, i64 %n, i64 -1)
    ret i1 false
    pass:
    %there = call i1 @sort.{r.name}.passes(ptr %a0, ptr %b0, ptr %p0, ptr %q0, i64 %n)
    ret i1 %there
    """
    return function(r, name, (*PARAMETERS, "i64 %count"), text, attributes, "i1")


def _insertion(r: Records, attributes: tuple[str, ...]) -> Function:
    """Each record moves down past those with larger keys; records with equal keys keep their order. It ends with false, and some in order,
    where that takes more than `patience` moves in all.
    """
    w, size = r.word, r.bits // 8
    text = f"""
    %any = icmp sgt i64 %n, 1
    br i1 %any, label %each, label %end
    each:
    %i = phi i64 [ 1, %entry ], [ %i.next, %next ]
    %moves = phi i64 [ 0, %entry ], [ %moves.next, %next ]
    %at = getelementptr {w}, ptr %a0, i64 %i
    %k = load {w}, ptr %at, align {size}
    @ %p.at = getelementptr i32, ptr %p0, i64 %i
    @ %p = load i32, ptr %p.at, align 4
    br label %down
    down:
    %j = phi i64 [ %i, %each ], [ %j.low, %move ]
    %j.low = add nsw i64 %j, -1
    %there = getelementptr {w}, ptr %a0, i64 %j.low
    %other = load {w}, ptr %there, align {size}
    %larger = icmp ugt {w} %other, %k
    br i1 %larger, label %move, label %put
    move:
    %to = getelementptr {w}, ptr %a0, i64 %j
    store {w} %other, ptr %to, align {size}
    @ %p.there = getelementptr i32, ptr %p0, i64 %j.low
    @ %p.other = load i32, ptr %p.there, align 4
    @ %p.to = getelementptr i32, ptr %p0, i64 %j
    @ store i32 %p.other, ptr %p.to, align 4
    %more = icmp sgt i64 %j.low, 0
    br i1 %more, label %down, label %put
    put:
    %j.end = phi i64 [ %j, %down ], [ 0, %move ]
    %place = getelementptr {w}, ptr %a0, i64 %j.end
    store {w} %k, ptr %place, align {size}
    @ %p.place = getelementptr i32, ptr %p0, i64 %j.end
    @ store i32 %p, ptr %p.place, align 4
    %far = sub i64 %i, %j.end
    %moves.next = add i64 %moves, %far
    %much = icmp ugt i64 %moves.next, %patience
    br i1 %much, label %tired, label %next
    next:
    %i.next = add nsw i64 %i, 1
    %again = icmp slt i64 %i.next, %n
    br i1 %again, label %each, label %end
    end:
    ret i1 true
    tired:
    ret i1 false
    """
    parameters = ("ptr noalias %a0", "ptr noalias %p0", "i64 %n", "i64 %patience")
    return function(r, f"sort.{r.name}.insertion", parameters, text, attributes, "i1")


def _bytes(r: Records, attributes: tuple[str, ...]) -> Function:
    """By the bytes from `lowest` on, the least significant first, see above; true if the result lies in b."""
    text = f"""
    %counts = alloca [{r.digits} x [256 x i32]], align 64
    call void @llvm.memset.p0.i64(ptr %counts, i8 0, i64 {1024 * r.digits}, i1 false)
    {_tally(r)}
    counted:
    %n32 = trunc i64 %n to i32
    br label %digit
    digit:
    %d = phi i64 [ %lowest, %counted ], [ %d.next, %digit.end ]
    %a = phi ptr [ %a0, %counted ], [ %a.new, %digit.end ]
    %b = phi ptr [ %b0, %counted ], [ %b.new, %digit.end ]
    %p = phi ptr [ %p0, %counted ], [ %p.new, %digit.end ]
    %q = phi ptr [ %q0, %counted ], [ %q.new, %digit.end ]
    %moved = phi i1 [ false, %counted ], [ %moved.new, %digit.end ]
    %bits = shl i64 %d, 3
    %bits.low = add i64 %bits, {8 * r.low}
    %shift = {"trunc i64 %bits.low to i32" if r.bits == 32 else "add i64 %bits.low, 0"}
    %starts = getelementptr [256 x i32], ptr %counts, i64 %d
    %f.k = load {r.word}, ptr %a, align {r.bits // 8}
    %f.shifted = lshr {r.word} %f.k, %shift
    %f.digit = and {r.word} %f.shifted, 255
    %f.at = getelementptr i32, ptr %starts, {r.word} %f.digit
    %f.count = load i32, ptr %f.at, align 4
    %same = icmp eq i32 %f.count, %n32
    br i1 %same, label %digit.end, label %sum
    {_starts()}
    {_move(r)}
    swap:
    %other = xor i1 %moved, true
    br label %digit.end
    digit.end:
    %a.new = phi ptr [ %a, %digit ], [ %b, %swap ]
    %b.new = phi ptr [ %b, %digit ], [ %a, %swap ]
    %p.new = phi ptr [ %p, %digit ], [ %q, %swap ]
    %q.new = phi ptr [ %q, %digit ], [ %p, %swap ]
    %moved.new = phi i1 [ %moved, %digit ], [ %other, %swap ]
    %d.next = add nuw nsw i64 %d, 1
    %d.again = icmp slt i64 %d.next, {r.digits}
    br i1 %d.again, label %digit, label %end
    end:
    ret i1 %moved.new
    """
    return function(r, f"sort.{r.name}.bytes", (*PARAMETERS, "i64 %lowest"), text, attributes, "i1")


def _tally(r: Records) -> str:
    """Count the values of those bytes, in one pass over the row; of all bytes mostly."""
    return f"""
    %all = icmp eq i64 %lowest, 0
    br i1 %all, label %count, label %some
    count:
    %h.i = phi i64 [ 0, %entry ], [ %h.next, %count ]
    %h.from = getelementptr {r.word}, ptr %a0, i64 %h.i
    %h.k = load {r.word}, ptr %h.from, align {r.bits // 8}
    {_counting(r)}
    %h.next = add nuw nsw i64 %h.i, 1
    %h.again = icmp slt i64 %h.next, %n
    br i1 %h.again, label %count, label %counted
    {_some(r)}"""


def _counting(r: Records) -> str:
    """One count for each value of each byte of the key."""
    lines = []
    for d in range(r.digits):
        lines.append(f"""
        %h.shifted{d} = lshr {r.word} %h.k, {8 * (r.low + d)}
        %h.digit{d} = and {r.word} %h.shifted{d}, 255
        %h.at{d} = getelementptr [256 x i32], ptr %counts, i64 {d}, {r.word} %h.digit{d}
        %h.old{d} = load i32, ptr %h.at{d}, align 4
        %h.new{d} = add i32 %h.old{d}, 1
        store i32 %h.new{d}, ptr %h.at{d}, align 4""")
    return "\n".join(lines)


def _some(r: Records) -> str:
    """As `count`, of the bytes from `lowest` on."""
    w = r.word
    return f"""
    some:
    %o.bits = shl i64 %lowest, 3
    %o.lowest = add i64 %o.bits, {8 * r.low}
    %o.shift = {"trunc i64 %o.lowest to i32" if r.bits == 32 else "add i64 %o.lowest, 0"}
    br label %some.each
    some.each:
    %o.i = phi i64 [ 0, %some ], [ %o.next, %some.end ]
    %o.from = getelementptr {w}, ptr %a0, i64 %o.i
    %o.k = load {w}, ptr %o.from, align {r.bits // 8}
    %o.first = lshr {w} %o.k, %o.shift
    br label %some.byte
    some.byte:
    %o.d = phi i64 [ %lowest, %some.each ], [ %o.d.next, %some.byte ]
    %o.rest = phi {w} [ %o.first, %some.each ], [ %o.rest.next, %some.byte ]
    %o.digit = and {w} %o.rest, 255
    %o.of = getelementptr [256 x i32], ptr %counts, i64 %o.d, {w} %o.digit
    %o.old = load i32, ptr %o.of, align 4
    %o.new = add i32 %o.old, 1
    store i32 %o.new, ptr %o.of, align 4
    %o.rest.next = lshr {w} %o.rest, 8
    %o.d.next = add nuw nsw i64 %o.d, 1
    %o.more = icmp slt i64 %o.d.next, {r.digits}
    br i1 %o.more, label %some.byte, label %some.end
    some.end:
    %o.next = add nuw nsw i64 %o.i, 1
    %o.again = icmp slt i64 %o.next, %n
    br i1 %o.again, label %some.each, label %counted"""


def _starts() -> str:
    """Where the elements of each value of a byte begin: the counts before it, added up."""
    return """
    sum:
    %s = phi i64 [ 0, %digit ], [ %s.next, %sum ]
    %total = phi i32 [ 0, %digit ], [ %total.next, %sum ]
    %s.at = getelementptr i32, ptr %starts, i64 %s
    %s.count = load i32, ptr %s.at, align 4
    store i32 %total, ptr %s.at, align 4
    %total.next = add i32 %total, %s.count
    %s.next = add nuw nsw i64 %s, 1
    %s.again = icmp slt i64 %s.next, 256
    br i1 %s.again, label %sum, label %move"""


def _move(r: Records) -> str:
    """Every record to the next place of its value."""
    w, size = r.word, r.bits // 8
    return f"""
    move:
    %i = phi i64 [ 0, %sum ], [ %i.next, %move ]
    %from = getelementptr {w}, ptr %a, i64 %i
    %k = load {w}, ptr %from, align {size}
    %shifted = lshr {w} %k, %shift
    %value = and {w} %shifted, 255
    %start.at = getelementptr i32, ptr %starts, {w} %value
    %start = load i32, ptr %start.at, align 4
    %start.next = add i32 %start, 1
    store i32 %start.next, ptr %start.at, align 4
    %place = zext i32 %start to i64
    %to = getelementptr {w}, ptr %b, i64 %place
    store {w} %k, ptr %to, align {size}
    @ %p.from = getelementptr i32, ptr %p, i64 %i
    @ %p.value = load i32, ptr %p.from, align 4
    @ %p.to = getelementptr i32, ptr %q, i64 %place
    @ store i32 %p.value, ptr %p.to, align 4
    %i.next = add nuw nsw i64 %i, 1
    %again = icmp slt i64 %i.next, %n
    br i1 %again, label %move, label %swap"""

"""Long rows whose leading bytes tell nearly all keys apart: sorted by these alone, and what is still out of order by insertion.

How many bytes that takes is read from a sample in order: the pairs of it that agree in their first bytes and differ below stand for those
of the row, of which insertion moves half. It gives up where it moves more than was thought: what has been done keeps equal
records in their order, so all passes follow. The result is the same in any case.

On 1e6 random keys of 64 bits it takes 0.5 to 0.7 of the time of eight passes (one Zen 4 core).
"""

from __future__ import annotations

from graphc.codegen.llvm.llvm_text import Function
from graphc.codegen.strategy.records import PARAMETERS, Records, function

LONG_KEYS = 8  # bytes: with keys of four, insertion took as long as the passes that it saved
LEAST = 4096  # records, from which on a sample pays
SAMPLE = 1024
APART = 16  # records in the row for one in the sample, at least
MULTIPLIER, ODD = 6364136223846793005, 1442695040888963407  # of the congruential generator that draws the sample (Knuth, MMIX)
MOVES = 1  # a record, on average, that insertion may be expected to need for passes to be saved,
PATIENCE = 4  # and in how many times that it gives up
SAVED = 3  # passes, that insertion and the sample are worth


def write_passes(r: Records, attributes: tuple[str, ...]) -> list[Function]:
    """sort.r.passes(a, b, p, q, n) -> i1: as `sort.r.bytes` by all bytes."""
    if r.digits < LONG_KEYS:
        text = f"""
        %moved = call i1 @sort.{r.name}.bytes(ptr %a0, ptr %b0, ptr %p0, ptr %q0, i64 %n, i64 0)
        ret i1 %moved
        """
        return [function(r, f"sort.{r.name}.passes", PARAMETERS, text, attributes, "i1")]
    return [_lowest(r, attributes), _leading(r, attributes)]


def _leading(r: Records, attributes: tuple[str, ...]) -> Function:
    text = f"""
    %long = icmp sge i64 %n, {LEAST}
    br i1 %long, label %sample, label %all
    sample:
    %lowest = call i64 @sort.{r.name}.lowest(ptr %a0, i64 %n)
    br label %all
    all:
    %from = phi i64 [ 0, %entry ], [ %lowest, %sample ]
    %moved = call i1 @sort.{r.name}.bytes(ptr %a0, ptr %b0, ptr %p0, ptr %q0, i64 %n, i64 %from)
    %whole = icmp eq i64 %from, 0
    br i1 %whole, label %end, label %settle
    settle:
    %a = select i1 %moved, ptr %b0, ptr %a0
    %b = select i1 %moved, ptr %a0, ptr %b0
    %p = select i1 %moved, ptr %q0, ptr %p0
    %q = select i1 %moved, ptr %p0, ptr %q0
    %patience = mul i64 %n, {PATIENCE}
    %settled = call i1 @sort.{r.name}.insertion(ptr %a, ptr %p, i64 %n, i64 %patience)
    br i1 %settled, label %end, label %again
    again:
    %back = call i1 @sort.{r.name}.bytes(ptr %a, ptr %b, ptr %p, ptr %q, i64 %n, i64 0)
    %there = xor i1 %moved, %back
    ret i1 %there
    end:
    ret i1 %moved
    """
    return function(r, f"sort.{r.name}.passes", PARAMETERS, text, attributes, "i1")


def _lowest(r: Records, attributes: tuple[str, ...]) -> Function:
    """The lowest byte that must take part, 0 if all must.

    Of m of n records, e pairs that agree from a byte on and differ stand for e n**2 / m**2 of the row, half of them out of order. In
    the sorted sample the mates of a record are those from the start of its group, which agrees from that byte on, up to the first that is
    equal. At byte 0 there are none.
    """
    w = r.word
    places = "ptr %sp, ptr %tp" if r.apart else "ptr null, ptr null"
    text = f"""
    %s = alloca [{SAMPLE} x {w}], align 64
    %t = alloca [{SAMPLE} x {w}], align 64
    @ %sp = alloca [{SAMPLE} x i32], align 64
    @ %tp = alloca [{SAMPLE} x i32], align 64
    %groups = alloca [{r.digits} x i64], align 64
    %pairs = alloca [{r.digits} x i64], align 64
    call void @llvm.memset.p0.i64(ptr %groups, i8 0, i64 {8 * r.digits}, i1 false)
    @ call void @llvm.memset.p0.i64(ptr %sp, i8 0, i64 {4 * SAMPLE}, i1 false)
    call void @llvm.memset.p0.i64(ptr %pairs, i8 0, i64 {8 * r.digits}, i1 false)
    {_sample(r)}
    order:
    %moved = call i1 @sort.{r.name}.bytes(ptr %s, ptr %t, {places}, i64 %m, i64 0)
    %row = select i1 %moved, ptr %t, ptr %s
    br label %each
    {_mates(r)}
    choose:
    %square = mul i64 %m, %m
    %twice = mul i64 %square, {2 * MOVES}
    %most = udiv i64 %twice, %n
    br label %look
    look:
    %l = phi i64 [ {r.digits - 1}, %choose ], [ %l.next, %lower ]
    %l.at = getelementptr i64, ptr %pairs, i64 %l
    %l.pairs = load i64, ptr %l.at, align 8
    %few = icmp ule i64 %l.pairs, %most
    br i1 %few, label %found, label %lower
    lower:
    %l.next = add nsw i64 %l, -1
    br label %look
    found:
    %pays = icmp sge i64 %l, {SAVED}
    %lowest = select i1 %pays, i64 %l, i64 0
    ret i64 %lowest
    """
    return function(r, f"sort.{r.name}.lowest", ("ptr noalias %a0", "i64 %n"), text, attributes, "i64")


def _sample(r: Records) -> str:
    """s = m records from anywhere in the row: in even steps those of a row in order would have fewer mates than it has."""
    w, size = r.word, r.bits // 8
    return f"""
    %some = udiv i64 %n, {APART}
    %m = call i64 @llvm.umin.i64(i64 %some, i64 {SAMPLE})
    br label %take
    take:
    %k = phi i64 [ 0, %entry ], [ %k.next, %take ]
    %k.odd = phi i64 [ {ODD}, %entry ], [ %k.odd.next, %take ]
    %k.high = lshr i64 %k.odd, 32
    %k.scaled = mul i64 %k.high, %n
    %k.far = lshr i64 %k.scaled, 32
    %k.from = getelementptr {w}, ptr %a0, i64 %k.far
    %k.value = load {w}, ptr %k.from, align {size}
    %k.to = getelementptr {w}, ptr %s, i64 %k
    store {w} %k.value, ptr %k.to, align {size}
    %k.odd.times = mul i64 %k.odd, {MULTIPLIER}
    %k.odd.next = add i64 %k.odd.times, {ODD}
    %k.next = add nuw nsw i64 %k, 1
    %k.again = icmp slt i64 %k.next, %m
    br i1 %k.again, label %take, label %order"""


def _mates(r: Records) -> str:
    """For each byte the pairs of records in order that agree from there on and differ."""
    w, size = r.word, r.bits // 8
    return f"""
    each:
    %i = phi i64 [ 1, %order ], [ %i.next, %counted ]
    %same.from = phi i64 [ 0, %order ], [ %same.start, %counted ]
    %at = getelementptr {w}, ptr %row, i64 %i
    %key = load {w}, ptr %at, align {size}
    %before = getelementptr {w}, ptr %at, i64 -1
    %last = load {w}, ptr %before, align {size}
    %differ = xor {w} %key, %last
    %bits = lshr {w} %differ, {8 * r.low}
    %new = icmp ne {w} %bits, 0
    %same.start = select i1 %new, i64 %i, i64 %same.from
    br label %byte
    byte:
    %d = phi i64 [ 0, %each ], [ %d.next, %byte ]
    %rest = phi {w} [ %bits, %each ], [ %rest.next, %byte ]
    %other = icmp ne {w} %rest, 0
    %group.at = getelementptr i64, ptr %groups, i64 %d
    %group.old = load i64, ptr %group.at, align 8
    %group = select i1 %other, i64 %i, i64 %group.old
    store i64 %group, ptr %group.at, align 8
    %mates = sub i64 %same.start, %group
    %pairs.at = getelementptr i64, ptr %pairs, i64 %d
    %pairs.old = load i64, ptr %pairs.at, align 8
    %pairs.new = add i64 %pairs.old, %mates
    store i64 %pairs.new, ptr %pairs.at, align 8
    %rest.next = lshr {w} %rest, 8
    %d.next = add nuw nsw i64 %d, 1
    %d.again = icmp slt i64 %d.next, {r.digits}
    br i1 %d.again, label %byte, label %counted
    counted:
    %i.next = add nuw nsw i64 %i, 1
    %again = icmp slt i64 %i.next, %m
    br i1 %again, label %each, label %choose"""

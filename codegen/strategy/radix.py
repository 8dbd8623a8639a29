"""Rows of unsigned keys in order: the functions that a sorting kernel calls, as LLVM text.

    k32     keys of 32 bits
    k64     keys of 64 bits
    packed  records of 64 bits: a key of 32 bits above its position
    pairs   keys of 64 bits, and an array of their positions beside

A long row goes through one pass for each byte of its keys, the lowest first: elements are counted by that byte and moved, in order,
to where those of its value begin; a byte that all keys share costs no pass. A short row is sorted by insertion. Both are stable, take
the same way whatever the order was, and know nothing of threads. Before, where few of many are wanted, `first` keeps those that
can be among them: it narrows down the key up to which enough lie, eleven bits a pass.

What is above is on 1e6 keys of one Zen 4 core 4.9, 10.8, 5.8 and 18 ms; digits of 11 bits, which would be fewer passes, write to more
places than the first cache holds: 4.2 and 21.9 ms for keys of 32 and 64 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.codegen.llvm.llvm_text import Function, Module

SHORT = 40  # elements that insertion sorts: above, clearing and adding up counters costs less than moving half of them
SELECT_LEAST = 2048  # elements, from which on looking for the first few pays
SELECT_PART = 4  # if fewer than one in so many are wanted
ENOUGH = 1024  # candidates beyond those wanted, which are not worth another pass
DIGIT = 11  # bits that `first` looks at in a pass


@dataclass(frozen=True)
class Records:
    """What is sorted: words of `bits`, of which the bytes from `low` on are the key; positions in an array of their own or not."""

    name: str
    bits: int
    low: int
    apart: bool

    @property
    def word(self) -> str:
        return f"i{self.bits}"

    @property
    def digits(self) -> int:
        return self.bits // 8 - self.low

    @property
    def zeros(self) -> tuple[int, int]:
        """The keys of -0.0 and 0.0, the smaller first, as words without a position."""
        high = 1 << (self.bits - 1 - 8 * self.low)
        return (high - 1) << 8 * self.low, high << 8 * self.low


RECORDS = {r.name: r for r in (Records("k32", 32, 0, False), Records("k64", 64, 0, False), Records("packed", 64, 4, False),
                               Records("pairs", 64, 0, True))}  # fmt: skip
PARAMETERS = ("ptr noalias %a0", "ptr noalias %b0", "ptr noalias %p0", "ptr noalias %q0", "i64 %n")


def write_sort(module: Module, r: Records, attributes: tuple[str, ...]) -> str:
    """The name of f(a, b, p, q, n, count) -> i1: the first `count` of the n records in a, and their positions in p, come to lie in order,
    in b and q if the result is true; b and q are room for as many.
    """
    name = f"sort.{r.name}"
    if name not in module.functions:
        module.declare("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
        for part in (_insertion(r, attributes), _passes(r, attributes), _first(r, attributes)):
            module.add(part)
        module.add(_sort(r, name, attributes))
    return name


def lines_of(r: Records, text: str) -> list[str]:
    """The lines of a text; labels are those that end in a colon. Those after an `@` are of positions in an array of their own."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    lines = [line.removeprefix("@ ") for line in lines if r.apart or not line.startswith("@")]
    return [line if line.endswith(":") else f"  {line}" for line in lines]


def _function(r: Records, name: str, parameters: tuple[str, ...], text: str, attributes: tuple[str, ...], result: str) -> Function:
    return Function(name, parameters, lines_of(r, text), attributes, result)


def _sort(r: Records, name: str, attributes: tuple[str, ...]) -> Function:
    """Choose among the ways by the size alone."""
    text = f"""
    %part = mul i64 %count, {SELECT_PART}
    %few = icmp sle i64 %part, %n
    %many = icmp sge i64 %n, {SELECT_LEAST}
    %both = and i1 %few, %many
    br i1 %both, label %select, label %all
    select:
    %m = call i64 @sort.{r.name}.first(ptr %a0, ptr %b0, ptr %p0, ptr %q0, i64 %n, i64 %count)
    %short.m = icmp sle i64 %m, {SHORT}
    br i1 %short.m, label %insert.m, label %pass.m
    insert.m:
    call void @sort.{r.name}.insertion(ptr %b0, ptr %q0, i64 %m)
    ret i1 true
    pass.m:
    %moved = call i1 @sort.{r.name}.passes(ptr %b0, ptr %a0, ptr %q0, ptr %p0, i64 %m)
    %back = xor i1 %moved, true
    ret i1 %back
    all:
    %short = icmp sle i64 %n, {SHORT}
    br i1 %short, label %insert, label %pass
    insert:
    call void @sort.{r.name}.insertion(ptr %a0, ptr %p0, i64 %n)
    ret i1 false
    pass:
    %there = call i1 @sort.{r.name}.passes(ptr %a0, ptr %b0, ptr %p0, ptr %q0, i64 %n)
    ret i1 %there
    """
    return _function(r, name, (*PARAMETERS, "i64 %count"), text, attributes, "i1")


def _insertion(r: Records, attributes: tuple[str, ...]) -> Function:
    """Each record moves down past those with larger keys; records with equal keys keep their order."""
    w, size = r.word, r.bits // 8
    text = f"""
    %any = icmp sgt i64 %n, 1
    br i1 %any, label %each, label %end
    each:
    %i = phi i64 [ 1, %entry ], [ %i.next, %put ]
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
    %i.next = add nsw i64 %i, 1
    %again = icmp slt i64 %i.next, %n
    br i1 %again, label %each, label %end
    end:
    ret void
    """
    return _function(r, f"sort.{r.name}.insertion", ("ptr noalias %a0", "ptr noalias %p0", "i64 %n"), text, attributes, "void")


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


def _passes(r: Records, attributes: tuple[str, ...]) -> Function:
    """Least significant byte first, see above; true if the result lies in b."""
    w, size = r.word, r.bits // 8
    text = f"""
    %counts = alloca [{r.digits} x [256 x i32]], align 64
    call void @llvm.memset.p0.i64(ptr %counts, i8 0, i64 {1024 * r.digits}, i1 false)
    br label %count
    count:
    %h.i = phi i64 [ 0, %entry ], [ %h.next, %count ]
    %h.from = getelementptr {w}, ptr %a0, i64 %h.i
    %h.k = load {w}, ptr %h.from, align {size}
    {_counting(r)}
    %h.next = add nuw nsw i64 %h.i, 1
    %h.again = icmp slt i64 %h.next, %n
    br i1 %h.again, label %count, label %counted
    counted:
    %n32 = trunc i64 %n to i32
    br label %digit
    digit:
    %d = phi i64 [ 0, %counted ], [ %d.next, %digit.end ]
    %a = phi ptr [ %a0, %counted ], [ %a.new, %digit.end ]
    %b = phi ptr [ %b0, %counted ], [ %b.new, %digit.end ]
    %p = phi ptr [ %p0, %counted ], [ %p.new, %digit.end ]
    %q = phi ptr [ %q0, %counted ], [ %q.new, %digit.end ]
    %moved = phi i1 [ false, %counted ], [ %moved.new, %digit.end ]
    %bits = shl i64 %d, 3
    %bits.low = add i64 %bits, {8 * r.low}
    %shift = {"trunc i64 %bits.low to i32" if r.bits == 32 else "add i64 %bits.low, 0"}
    %starts = getelementptr [256 x i32], ptr %counts, i64 %d
    %f.k = load {w}, ptr %a, align {size}
    %f.shifted = lshr {w} %f.k, %shift
    %f.digit = and {w} %f.shifted, 255
    %f.at = getelementptr i32, ptr %starts, {w} %f.digit
    %f.count = load i32, ptr %f.at, align 4
    %same = icmp eq i32 %f.count, %n32
    br i1 %same, label %digit.end, label %sum
    sum:
    %s = phi i64 [ 0, %digit ], [ %s.next, %sum ]
    %total = phi i32 [ 0, %digit ], [ %total.next, %sum ]
    %s.at = getelementptr i32, ptr %starts, i64 %s
    %s.count = load i32, ptr %s.at, align 4
    store i32 %total, ptr %s.at, align 4
    %total.next = add i32 %total, %s.count
    %s.next = add nuw nsw i64 %s, 1
    %s.again = icmp slt i64 %s.next, 256
    br i1 %s.again, label %sum, label %move
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
    br i1 %again, label %move, label %swap
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
    return _function(r, f"sort.{r.name}.passes", PARAMETERS, text, attributes, "i1")


def _first(r: Records, attributes: tuple[str, ...]) -> Function:
    """b = the records up to some key, in order, at least `count` of them; returns how many. All with a key of 0.0 are in or out."""
    w, size = r.word, r.bits // 8
    low, high = r.zeros
    most = (1 << DIGIT) - 1
    last = f"{(1 << 8 * r.low) - 1}"  # a word has its position in the lowest bits
    text = f"""
    %counts = alloca [{most + 1} x i32], align 64
    br label %level
    level:
    %shift = phi {w} [ {r.bits - DIGIT}, %entry ], [ %shift.next, %deeper ]
    %known = phi {w} [ 0, %entry ], [ %known.next, %deeper ]
    %wanted = phi i64 [ %count, %entry ], [ %wanted.next, %deeper ]
    %sure = phi i64 [ 0, %entry ], [ %sure.next, %deeper ]
    call void @llvm.memset.p0.i64(ptr %counts, i8 0, i64 {4 * (most + 1)}, i1 false)
    %above = add {w} %shift, {DIGIT - 1}
    br label %tally
    tally:
    %t.i = phi i64 [ 0, %level ], [ %t.next, %tally ]
    %t.from = getelementptr {w}, ptr %a0, i64 %t.i
    %t.k = load {w}, ptr %t.from, align {size}
    %t.shifted = lshr {w} %t.k, %shift
    %t.digit = and {w} %t.shifted, {most}
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
    br i1 %t.again, label %tally, label %find
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
    br label %find
    found:
    %known.high = shl {w} %known, {DIGIT}
    %known.next = or {w} %known.high, %f.d
    %wanted.next = sub i64 %wanted, %f.before
    %sure.next = add i64 %sure, %f.before
    %all = add i64 %sure.next, %f.count
    %spare = sub i64 %all, %count
    %spare.few = icmp sle i64 %spare, {ENOUGH}
    %no.deeper = icmp ult {w} %shift, {max(DIGIT, 8 * r.low)}
    %done = or i1 %spare.few, %no.deeper
    br i1 %done, label %keep, label %deeper
    deeper:
    %shift.next = sub {w} %shift, {DIGIT}
    br label %level
    keep:
    %limit.first = shl {w} %known.next, %shift
    %limit.bits = shl {w} 1, %shift
    %limit.rest = sub {w} %limit.bits, 1
    %limit.found = or {w} %limit.first, %limit.rest
    %limit.low = icmp uge {w} %limit.found, {signed(low, r.bits)}
    %limit.high = icmp ult {w} %limit.found, {signed(high + int(last), r.bits)}
    %limit.zero = and i1 %limit.low, %limit.high
    %limit = select i1 %limit.zero, {w} {signed(high + int(last), r.bits)}, {w} %limit.found
    br label %each
    each:
    %i = phi i64 [ 0, %keep ], [ %i.next, %each ]
    %m = phi i64 [ 0, %keep ], [ %m.next, %each ]
    %from = getelementptr {w}, ptr %a0, i64 %i
    %k = load {w}, ptr %from, align {size}
    %to = getelementptr {w}, ptr %b0, i64 %m
    store {w} %k, ptr %to, align {size}
    @ %p.from = getelementptr i32, ptr %p0, i64 %i
    @ %p = load i32, ptr %p.from, align 4
    @ %p.to = getelementptr i32, ptr %q0, i64 %m
    @ store i32 %p, ptr %p.to, align 4
    %in = icmp ule {w} %k, %limit
    %one = zext i1 %in to i64
    %m.next = add nuw nsw i64 %m, %one
    %i.next = add nuw nsw i64 %i, 1
    %again = icmp slt i64 %i.next, %n
    br i1 %again, label %each, label %end
    end:
    ret i64 %m.next
    """
    return _function(r, f"sort.{r.name}.first", (*PARAMETERS, "i64 %count"), text, attributes, "i64")


def signed(word: int, bits: int) -> int:
    """As LLVM writes it."""
    return word - (1 << bits) if word >> (bits - 1) else word


# -- zeros ----------------------------------------------------------------------------------------------------------
def write_zeros(module: Module, r: Records, attributes: tuple[str, ...]) -> str:
    """The name of f(sorted, count) -> i64: where the smaller of the two keys of zeros begins among the first `count`; -1: nowhere."""
    name = f"sort.{r.name}.zeros"
    if name not in module.functions:
        w, size, (low, _) = r.word, r.bits // 8, r.zeros
        beyond = signed(low + (1 << 8 * r.low) - 1, r.bits)
        text = f"""
        br label %half
        half:
        %first = phi i64 [ 0, %entry ], [ %first.next, %look ]
        %last = phi i64 [ %count, %entry ], [ %last.next, %look ]
        %more = icmp slt i64 %first, %last
        br i1 %more, label %look, label %found
        look:
        %sum = add i64 %first, %last
        %middle = lshr i64 %sum, 1
        %at = getelementptr {w}, ptr %a, i64 %middle
        %k = load {w}, ptr %at, align {size}
        %below = icmp ult {w} %k, {signed(low, r.bits)}
        %behind = add i64 %middle, 1
        %first.next = select i1 %below, i64 %behind, i64 %first
        %last.next = select i1 %below, i64 %last, i64 %middle
        br label %half
        found:
        %inside = icmp slt i64 %first, %count
        br i1 %inside, label %read, label %none
        read:
        %there = getelementptr {w}, ptr %a, i64 %first
        %key = load {w}, ptr %there, align {size}
        %is = icmp ule {w} %key, {beyond}
        br i1 %is, label %yes, label %none
        yes:
        ret i64 %first
        none:
        ret i64 -1
        """
        module.add(_function(r, name, ("ptr %a", "i64 %count"), text, attributes, "i64"))
    return name


def write_mend(module: Module, r: Records, attributes: tuple[str, ...]) -> str:
    """The name of f(sorted, positions, row, n, at, count): from `at` on, up to `count`, the zeros of the row as they follow there."""
    name = f"sort.{r.name}.mend"
    if name not in module.functions:
        w, size, (low, high) = r.word, r.bits // 8, r.zeros
        text = f"""
        br label %each
        each:
        %i = phi i64 [ 0, %entry ], [ %i.next, %next ]
        %m = phi i64 [ %at, %entry ], [ %m.new, %next ]
        %from = getelementptr {w}, ptr %row, i64 %i
        %k = load {w}, ptr %from, align {size}
        %key = and {w} %k, {signed((1 << r.bits) - (1 << 8 * r.low), r.bits)}
        %low = icmp eq {w} %key, {signed(low, r.bits)}
        %high = icmp eq {w} %key, {signed(high, r.bits)}
        %zero = or i1 %low, %high
        br i1 %zero, label %put, label %next
        put:
        %to = getelementptr {w}, ptr %a, i64 %m
        store {w} %k, ptr %to, align {size}
        @ %p.to = getelementptr i32, ptr %p, i64 %m
    @ %position = trunc i64 %i to i32
    @ store i32 %position, ptr %p.to, align 4
        %m.more = add nuw nsw i64 %m, 1
        br label %next
        next:
        %m.new = phi i64 [ %m, %each ], [ %m.more, %put ]
        %i.next = add nuw nsw i64 %i, 1
        %inside = icmp slt i64 %i.next, %n
        %room = icmp slt i64 %m.new, %count
        %again = and i1 %inside, %room
        br i1 %again, label %each, label %end
        end:
        ret void
        """
        parameters = ("ptr %a", "ptr %p", "ptr %row", "i64 %n", "i64 %at", "i64 %count")
        module.add(_function(r, name, parameters, text, attributes, "void"))
    return name

"""Short rows in order, one row a lane: a sorting network, as LLVM text.

    a[r * lanes + lane]: record r of the row of that lane          every comparison is of two vectors, whatever the values are

The network is Batcher's merge exchange (Knuth, volume 3, 5.2.2 M), which needs no power of two: about n (log2 n)**2 / 4 comparisons for
all lanes together. Rows of 50 elements f32: 0.6 ns an element, where counters for every byte of a key cost 15. Records of equal keys
are told apart by their positions, so that the order is the stable one.
"""

from __future__ import annotations

from graphc.codegen.llvm.llvm_text import Module
from graphc.codegen.strategy.records import Records, function, signed
from graphc.target import Target

LONGEST = 2048  # records: vectors of longer rows leave the second cache, and passes over bytes are as fast
FEWEST_LANES = 4


def lanes_of(r: Records, target: Target) -> int:
    """Rows that are sorted together; 1 where vectors are too short for it."""
    lanes = 8 * target.vector_bytes // r.bits
    return lanes if lanes >= FEWEST_LANES else 1


def write_network(module: Module, r: Records, lanes: int, floats: bool, attributes: tuple[str, ...]) -> str:
    """The name of f(a, p, n) -> i1: puts the rows in order, unless it is true: then some row has a zero with the smaller key.

    Zeros of both signs need another look, see `radix`; nothing is done.
    """
    name = f"sort.{r.name}.network{'.floats' if floats else ''}"
    if name not in module.functions:
        module.declare(f"declare i1 @llvm.vector.reduce.or.v{lanes}i1(<{lanes} x i1>)")
        text = f"""
        %long = icmp sgt i64 %n, 1
        br label %{"zeros" if floats else "begin"}
        {_zeros(r, lanes) if floats else ""}
        begin:
        br i1 %long, label %log, label %end
        {_exchanges(r, lanes)}
        end:
        ret i1 false
        """
        module.declare("declare i64 @llvm.ctlz.i64(i64, i1)")
        kind = f"v{lanes}i{r.bits}"
        for which in () if r.apart else ("umin", "umax"):
            vector = f"<{lanes} x {r.word}>"
            module.declare(f"declare {vector} @llvm.{which}.{kind}({vector}, {vector})")
        module.add(function(r, name, ("ptr noalias %a", "ptr noalias %t", "i64 %n"), text, attributes, "i1"))
    return name


def _exchanges(r: Records, lanes: int) -> str:
    """Batcher's rounds: within blocks of p records those d apart, for p = 2**log .. 1 and d from p on, then top - p, top / 2 - p, .."""
    return f"""
        log:
        %less = sub i64 %n, 1
        %clear = call i64 @llvm.ctlz.i64(i64 %less, i1 false)
        %log.n = sub i64 63, %clear
        %top = shl i64 1, %log.n
        br label %phase
        phase:
        %p = phi i64 [ %top, %log ], [ %p.next, %phase.end ]
        br label %round
        round:
        %q = phi i64 [ %top, %phase ], [ %q.next, %round.next ]
        %r = phi i64 [ 0, %phase ], [ %p, %round.next ]
        %d = phi i64 [ %p, %phase ], [ %d.next, %round.next ]
        %limit = sub i64 %n, %d
        %step = shl i64 %p, 1
        %some = icmp slt i64 %r, %limit
        br i1 %some, label %block, label %round.end
        block:
        %b = phi i64 [ %r, %round ], [ %b.next, %block.end ]
        %b.last = add i64 %b, %p
        %b.inside = icmp slt i64 %b.last, %limit
        %stop = select i1 %b.inside, i64 %b.last, i64 %limit
        br label %each
        each:
        %i = phi i64 [ %b, %block ], [ %i.next, %each ]
        %j = add i64 %i, %d
        {_exchange(r, lanes)}
        %i.next = add nuw nsw i64 %i, 1
        %again = icmp slt i64 %i.next, %stop
        br i1 %again, label %each, label %block.end
        block.end:
        %b.next = add i64 %b, %step
        %b.again = icmp slt i64 %b.next, %limit
        br i1 %b.again, label %block, label %round.end
        round.end:
        %over = icmp eq i64 %q, %p
        br i1 %over, label %phase.end, label %round.next
        round.next:
        %d.next = sub i64 %q, %p
        %q.next = lshr i64 %q, 1
        br label %round
        phase.end:
        %p.next = lshr i64 %p, 1
        %p.again = icmp ne i64 %p.next, 0
        br i1 %p.again, label %phase, label %end"""


def _zeros(r: Records, lanes: int) -> str:
    """Look for the smaller key of zeros."""
    vector, (low, _) = f"<{lanes} x {r.word}>", r.zeros
    mask = signed((1 << r.bits) - (1 << 8 * r.low), r.bits)
    return f"""
        zeros:
        %z = phi i64 [ 0, %entry ], [ %z.next, %zeros.next ]
        %z.inside = icmp slt i64 %z, %n
        br i1 %z.inside, label %zeros.look, label %begin
        zeros.look:
        %z.at = getelementptr {vector}, ptr %a, i64 %z
        %z.word = load {vector}, ptr %z.at, align {r.bits // 8}
        %z.key = and {vector} %z.word, splat ({r.word} {mask})
        %z.is = icmp eq {vector} %z.key, splat ({r.word} {signed(low, r.bits)})
        %z.any = call i1 @llvm.vector.reduce.or.v{lanes}i1(<{lanes} x i1> %z.is)
        br i1 %z.any, label %zeros.found, label %zeros.next
        zeros.found:
        ret i1 true
        zeros.next:
        %z.next = add nuw nsw i64 %z, 1
        br label %zeros"""


def _exchange(r: Records, lanes: int) -> str:
    """The smaller record of i and j to i, the greater to j."""
    vector, size, kind = f"<{lanes} x {r.word}>", r.bits // 8, f"v{lanes}i{r.bits}"
    places, mask = f"<{lanes} x i32>", f"<{lanes} x i1>"
    text = f"""
        %x.at = getelementptr {vector}, ptr %a, i64 %i
        %y.at = getelementptr {vector}, ptr %a, i64 %j
        %x = load {vector}, ptr %x.at, align {size}
        %y = load {vector}, ptr %y.at, align {size}"""
    if r.apart:
        text += f"""
        %u.at = getelementptr {places}, ptr %t, i64 %i
        %v.at = getelementptr {places}, ptr %t, i64 %j
        %u = load {places}, ptr %u.at, align 4
        %v = load {places}, ptr %v.at, align 4
        %greater = icmp ugt {vector} %x, %y
        %equal = icmp eq {vector} %x, %y
        %behind = icmp ugt {places} %u, %v
        %tie = and {mask} %equal, %behind
        %turned = or {mask} %greater, %tie
        %low = select {mask} %turned, {vector} %y, {vector} %x
        %high = select {mask} %turned, {vector} %x, {vector} %y
        %low.place = select {mask} %turned, {places} %v, {places} %u
        %high.place = select {mask} %turned, {places} %u, {places} %v
        store {places} %low.place, ptr %u.at, align 4
        store {places} %high.place, ptr %v.at, align 4"""
    else:
        text += f"""
        %low = call {vector} @llvm.umin.{kind}({vector} %x, {vector} %y)
        %high = call {vector} @llvm.umax.{kind}({vector} %x, {vector} %y)"""
    return f"""{text}
        store {vector} %low, ptr %x.at, align {size}
        store {vector} %high, ptr %y.at, align {size}"""


def write_moves(module: Module, r: Records, lanes: int, into: bool, attributes: tuple[str, ...]) -> str:
    """The name of f(lane, lane of positions, row, positions, n): copies a row into its lane, or out of it; the lane is every `lanes`-th."""
    name = f"sort.{r.name}.{'into' if into else 'out'}"
    if name not in module.functions:
        w, size = r.word, r.bits // 8
        source, target = ("%row", "%lane") if into else ("%lane", "%row")
        own, theirs = ("%i", "%k") if into else ("%k", "%i")
        places = ("%places", "%lane.places") if into else ("%lane.places", "%places")
        text = f"""
        %any = icmp sgt i64 %n, 0
        br i1 %any, label %each, label %end
        each:
        %i = phi i64 [ 0, %entry ], [ %i.next, %each ]
        %k = mul nuw nsw i64 %i, {lanes}
        %from = getelementptr {w}, ptr {source}, i64 {own}
        %to = getelementptr {w}, ptr {target}, i64 {theirs}
        %x = load {w}, ptr %from, align {size}
        store {w} %x, ptr %to, align {size}
        @ %p.from = getelementptr i32, ptr {places[0]}, i64 {own}
        @ %p.to = getelementptr i32, ptr {places[1]}, i64 {theirs}
        @ %p = load i32, ptr %p.from, align 4
        @ store i32 %p, ptr %p.to, align 4
        %i.next = add nuw nsw i64 %i, 1
        %again = icmp slt i64 %i.next, %n
        br i1 %again, label %each, label %end
        end:
        ret void
        """
        parameters = tuple(f"ptr noalias %{x}" for x in ("lane", "lane.places", "row", "places"))
        module.add(function(r, name, (*parameters, "i64 %n"), text, attributes, "void"))
    return name

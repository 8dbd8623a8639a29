"""Zeros of both signs in sorted rows: they are equal and have different keys, so they are put back in the order that they had.

-0.0, 0.0 in a row [0.0, 1.0, -0.0]     sorted by keys -0.0, 0.0, 1.0     mended 0.0, -0.0, 1.0
"""

from __future__ import annotations

from graphc.codegen.llvm.llvm_text import Module
from graphc.codegen.strategy.records import Records, function, signed


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
        module.add(function(r, name, ("ptr %a", "i64 %count"), text, attributes, "i64"))
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
        module.add(function(r, name, parameters, text, attributes, "void"))
    return name

"""When a loop of a long call looks whether the user wants it to end: `run` is left at a turn every 10 ms, for Python to see to signals.

The clock costs 20 ns, so short turns ask it now and then only: the next time after twice as many turns as before, up to MOST, or at
the next turn where that has taken long. In the frame of the call:

left     turns to go until the clock is asked again
every    how many that were
asked    the time at which it was asked last, in ns
looked   the time at which signals were looked for last
"""

from __future__ import annotations

import ctypes
import functools
import os

from graphc.codegen.frame import Frame
from graphc.codegen.llvm.llvm_text import Function, Module

PERIOD = 10_000_000  # ns between two looks
SLOW = 1_000_000  # ns between two questions to the clock, beyond which every turn asks
MOST = 64  # turns from one question to the next: some microseconds, where a turn is short
CLOCK = "graphc.clock"
_MONOTONIC = 6 if os.uname().sysname == "Darwin" else 1  # CLOCK_MONOTONIC


def symbols() -> dict[str, int]:
    """What code with such loops refers to."""
    return {CLOCK: _clock()}


@functools.cache
def _clock() -> int:
    return int(ctypes.cast(ctypes.CDLL(None).clock_gettime, ctypes.c_void_p).value or 0)


def write_look(module: Module, frame: Frame) -> str:
    """The name of i1 look(ptr sizes): whether it is time to leave `run`."""
    module.declare(f"declare i32 @{CLOCK}(i32, ptr)")
    places = [
        f"  %{name} = getelementptr i64, ptr %sizes, i64 {frame.signals + k}" for k, name in enumerate(("left", "every", "asked", "looked"))
    ]
    lines = [
        "  %time = alloca [2 x i64], align 8",
        *places,
        f"  %ignored = call i32 @{CLOCK}(i32 {_MONOTONIC}, ptr %time)",
        "  %s = load i64, ptr %time, align 8",
        "  %second = getelementptr i64, ptr %time, i64 1",
        "  %ns = load i64, ptr %second, align 8",
        "  %s.ns = mul i64 %s, 1000000000",
        "  %now = add i64 %s.ns, %ns",
        "  %before = load i64, ptr %asked, align 8",
        "  %took = sub i64 %now, %before",
        f"  %slow = icmp sgt i64 %took, {SLOW}",
        "  %turns = load i64, ptr %every, align 8",
        "  %twice = shl i64 %turns, 1",
        f"  %most = icmp sgt i64 %twice, {MOST}",
        f"  %more = select i1 %most, i64 {MOST}, i64 %twice",
        "  %next = select i1 %slow, i64 1, i64 %more",
        "  store i64 %next, ptr %every, align 8",
        "  store i64 %next, ptr %left, align 8",
        "  store i64 %now, ptr %asked, align 8",
        "  %then = load i64, ptr %looked, align 8",
        "  %first = icmp eq i64 %then, 0",
        "  %since = sub i64 %now, %then",
        f"  %long = icmp sgt i64 %since, {PERIOD}",
        "  %renew = or i1 %first, %long",
        "  %mark = select i1 %renew, i64 %now, i64 %then",
        "  store i64 %mark, ptr %looked, align 8",
        "  %told = xor i1 %first, true",
        "  %leave = and i1 %long, %told",
        "  ret i1 %leave",
    ]
    module.add(Function("look", ("ptr %sizes",), lines, ("nounwind", "noinline", "cold"), "i1"))
    return "look"


def write_turn(k: int, number: int, frame: Frame) -> list[str]:
    """At a turn of loop `number`: leave `run` if it is time; it is entered again here."""
    return [
        f"  %left.at{k} = getelementptr i64, ptr %sizes, i64 {frame.signals}",
        f"  %left{k} = load i64, ptr %left.at{k}, align 8",
        f"  %fewer{k} = sub i64 %left{k}, 1",
        f"  store i64 %fewer{k}, ptr %left.at{k}, align 8",
        f"  %ask{k}.clock = icmp slt i64 %left{k}, 1",
        f"  br i1 %ask{k}.clock, label %clock{k}, label %resume{number}",
        f"clock{k}:",
        f"  %leave{k} = call i1 @look(ptr %sizes)",
        f"  br i1 %leave{k}, label %leave{k}.now, label %resume{number}",
        f"leave{k}.now:",
        f"  ret i64 {number}",
        f"resume{number}:",
    ]


def write_begin(frame: Frame) -> list[str]:
    """At the beginning of a call: ask the clock at the second turn."""
    lines = []
    for k, value in enumerate((1, 1, 0, 0)):
        lines += [
            f"  %signals{k} = getelementptr i64, ptr %sizes, i64 {frame.signals + k}",
            f"  store i64 {value}, ptr %signals{k}, align 8",
        ]
    return lines

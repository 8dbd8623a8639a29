"""The families of workloads, in the order of the table: each module has `rows()`."""

from __future__ import annotations

from benchmarks.families import (
    call,
    chain,
    compiling,
    deep,
    derivatives,
    loops,
    ordering,
    products,
    reductions,
    run_time,
    small,
    training,
    whole,
)  # fmt: skip

FAMILIES = (call, chain, reductions, run_time, ordering, whole, products, training, derivatives, loops, small, deep, compiling)

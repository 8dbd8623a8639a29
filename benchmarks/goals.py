"""The goal of each row: the best peer's time over graphc's."""

from __future__ import annotations

from fnmatch import fnmatch

# the first that matches counts; a row that none matches has no goal
ONE_THREAD: tuple[tuple[str, float], ...] = (
    ("call/*", 1.0),
    ("chain/*", 2.0),
    ("reductions/*/64x10", 3.0),
    ("reductions/*", 1.2),
    ("ordering/*/1000000", 1.5),
    ("ordering/*", 1.0),
    ("whole/*", 1.0),
    ("products/bias-gelu/*/64x784x256", 1.15),
    ("products/bias-gelu/*", 1.03),
    ("products/*/64", 1.2),
    ("products/batched*", 1.1),
    ("products/few-*", 1.1),
    ("products/short/*", 1.1),
    ("products/offset-*", 1.1),
    ("products/static/*/100", 1.1),
    ("products/static/*/129", 1.1),
    ("products/static/*/2??", 1.1),
    ("products/run-time/*/2??", 1.1),
    ("products/*", 0.97),
    ("matrices/*/f64/*", 2.0),
    ("matrices/*", 1.0),
    ("convolutions/3x3*", 0.95),
    ("convolutions/*", 1.0),
    ("special/*", 1.0),  # of all; of SciPy 3, see README.md
    ("random/permutation/*", 1.0),
    ("random/*", 1.0),
    ("training/*", 1.5),
    ("optimizers/*", 1.0),
    ("epochs/*", 1.5),  # one call against the loop of JAX: 5, see README.md
    ("derivatives/*", 1.2),
    ("loops/*", 1.0),
    ("attention/*", 1.0),
    ("small/*", 1.0),
    ("deep/*", 3.0),
    ("compile/cold-*", 1.0),
    ("compile/new-batch-size/*", 1.0),
)
SEVERAL_THREADS = 1.0
LONG = 50e-6  # s: rows of less work are not worth a second thread, and are left out of runs with more


def goal(row: str, threads: int = 1) -> float | None:
    """The goal of a row, by its name."""
    if threads > 1:
        return None if row.startswith("compile/") else SEVERAL_THREADS
    return next((ratio for pattern, ratio in ONE_THREAD if fnmatch(row, pattern)), None)

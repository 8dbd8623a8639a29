"""python -m tests.fuzz --examples N --seed S [--public]: fuzz, and show each failure shrunk."""

from __future__ import annotations

import argparse
import sys

import graphc as gx
from tests.fuzz import public
from tests.fuzz.compare import failure, shrink


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=12, help="longest graph, in steps")
    parser.add_argument("--public", action="store_true", help="calls of single public functions, each in turn, instead of graphs")
    options = parser.parse_args()
    gx.cache.enabled = False  # thousands of random programs would push the user's own out
    if options.public:
        return calls(options.examples, options.seed)
    failed = 0
    for seed in range(options.seed, options.seed + options.examples):
        message = failure(seed, count=options.steps)
        if message is None:
            continue
        failed += 1
        steps = shrink(seed, options.steps)
        print(f"seed {seed}: {failure(seed, steps) or message}\n  steps: {steps}", flush=True)
    print(f"{options.examples - failed} passed, {failed} failed")
    return 1 if failed else 0


def calls(count: int, seed: int) -> int:
    """Show each call that fails: of few operands, it needs no shrinking."""
    found, refused = 0, 0
    for name, number in public.drawn(count, seed):
        message = public.failure(name, number)
        refused += message == "refused"
        if message not in (None, "refused"):
            found += 1
            print(message, flush=True)
    print(f"{count - found - refused} passed, {refused} refused, {found} failed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

"""python -m tests.fuzz --examples N --seed S: fuzz, and show each failure shrunk."""

from __future__ import annotations

import argparse
import sys

import graphc as gx
from tests.fuzz.compare import failure, shrink


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=12, help="longest graph, in steps")
    options = parser.parse_args()
    gx.cache.enabled = False  # thousands of random programs would push the user's own out
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


if __name__ == "__main__":
    sys.exit(main())

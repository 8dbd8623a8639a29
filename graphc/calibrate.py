"""`python -m graphc.calibrate`: measure what the compiler should know about this machine, and keep it beside the object cache.

    python -m graphc.calibrate            measure, keep and show, some 50 ms
    python -m graphc.calibrate --show     what holds, where it comes from and where it is kept
    python -m graphc.calibrate --forget   remove it: the next product measures again what products need

See `graphc.calibration` for what is decided and how to switch it off.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields

from graphc import calibration
from graphc.target import Measured, Target

MEANING = {
    "crossing": "time of vector loads of b across cache lines, of that on lines",
    "packing": "time to copy a panel of b, in rows of a that pass over it",
    "threads": "ns of work from where a second thread pays",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status: 1 where what was measured could not be kept."""
    # the trunk imports no code generation: this is its tool for it
    from graphc.codegen.calibration.first_use import calibrate, machine_key
    from graphc.codegen.target import host

    parser = argparse.ArgumentParser("python -m graphc.calibrate", description="Measure what graphc should know about this machine.")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--show", action="store_true", help="show what holds and where it is kept")
    which.add_argument("--forget", action="store_true", help="remove what is kept")
    given = parser.parse_args(arguments)
    key, fault = machine_key(host()), ""
    if given.forget:
        print("removed" if calibration.forget(key) else "nothing was kept")
        return 0
    if not given.show:
        _, fault = calibrate()
    print(shown(key, host()))
    if fault:
        print(f"not kept: {fault}", file=sys.stderr)
    return 1 if fault else 0


def shown(key: str, target: Target) -> str:
    """What holds on this machine, as a table."""
    kib = "".join(f", {level} {nbytes >> 10} KB" for level, nbytes in (("L1", target.l1), ("L2", target.l2)))
    found = calibration.kept(key)
    source = "never calibrated: the defaults hold" if found is None else f"kept in {calibration.path(key)}"
    lines = [f"vectors of {target.vector_bytes} bytes, {target.cores} cores{kib}", source]
    if found is not None and not calibration.enabled:
        lines.append("switched off: the defaults hold")
    numbers, measured = dict(() if found is None else found.numbers), calibration.DEFAULTS if found is None else found.measured
    for fact in fields(Measured):
        value, default = getattr(measured, fact.name), getattr(calibration.DEFAULTS, fact.name)
        origin = f"measured {numbers[fact.name]:.4g}" if fact.name in numbers else "default"
        lines.append(f"  {fact.name:<10} {value:>9g}   {origin:<16} default {default:<9g} {MEANING[fact.name]}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

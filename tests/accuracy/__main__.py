"""python -m tests.accuracy [--quick]: rank compositions of rows by the digits that graphc loses; write the ranking beside this file.

Every expression is taken through `grad`, `grad` of that and all passes over graphs, and compared with mpmath over the range of f64 and
f32. The summary counts by stratum and half: how many lose digits as they are written (chain rule, plain floats), and how many of those
keep them in graphc. Only the half that is not held out is listed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from functools import partial
from pathlib import Path

from tests.accuracy.expressions import held_out, strata, text
from tests.accuracy.judge import Verdict, judge

RANKING = Path(__file__).parent / "ranking.txt"
LISTED = 250


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.accuracy", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the expressions in f64, printed and not written")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the large strata; not written unless 1")
    parser.add_argument("--find", help="only expressions that contain this text, all of them listed")
    parser.add_argument("--strata", nargs="*", help="only these, for example formulas; not written")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--dtypes", nargs="*", default=["float64", "float32"])
    options = parser.parse_args()
    scale, dtypes = (0.1, ["float64"]) if options.quick else (options.scale, options.dtypes)
    verdicts: dict[str, list[Verdict]] = {}
    start = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        for name, trees in strata(scale).items():
            if options.strata and name not in options.strata:
                continue
            for dtype in dtypes:
                found = [t for t in trees if options.find is None or options.find in text(t)]
                asked = found if dtype == "float64" else found[::6]  # the rules are the same, only overflow comes sooner
                judged = pool.map(partial(judge, dtype=dtype), asked, chunksize=4)
                verdicts[f"{name}, {dtype}"] = [v for v in judged if v is not None]
            print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    report = summary(verdicts) + "\n\n" + ranking(verdicts, 10**6 if options.find else LISTED)
    print(report)
    if scale == 1.0 and options.find is None and options.strata is None and len(dtypes) == 2:
        RANKING.write_text(report + "\n")
    return 0


def summary(verdicts: dict[str, list[Verdict]]) -> str:
    """For each stratum and half: expressions, those that lose digits as written, and the share of these that graphc keeps."""
    lines = [f"{'':36}{'seen half':>30}{'held-out half':>30}", f"{'expressions':36}" + f"{'all':>10}{'lossy':>10}{'kept':>10}" * 2]
    rows = [*verdicts.items(), ("together", [v for found in verdicts.values() for v in found])]
    for name, found in rows:
        line = f"{name:36}"
        for half in (False, True):
            mine = [v for v in found if held_out(v.tree) == half]
            lossy = [v for v in mine if not v.written.kept]
            kept = [v for v in lossy if v.compiled.kept]
            share = f"{len(kept) / len(lossy):.0%}" if lossy else "-"
            line += f"{len(mine):>10}{len(lossy):>10}{share:>10}"
        lines.append(line)
    worse = [v for found in verdicts.values() for v in found if v.written.kept and not v.compiled.kept]
    lines.append(f"worse than written: {len(worse)} in all")
    return "\n".join(line.rstrip() for line in lines)


def ranking(verdicts: dict[str, list[Verdict]], listed: int) -> str:
    """The worst of the half that is not held out: digits lost, and where."""
    mine = [v for found in verdicts.values() for v in found if not held_out(v.tree) and not v.compiled.kept]
    mine.sort(key=lambda v: (-v.compiled.digits, v.compiled.order, len(v.text), v.text, v.dtype))
    lines = [f"{len(mine)} of the seen half lose digits; the worst (digits lost, where, what came out, what is true):"]
    lines += [
        f"{v.text:48} {v.dtype}  {v.compiled}".rstrip() + ("" if not v.written.kept else "   worse than written") for v in mine[:listed]
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

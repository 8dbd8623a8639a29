"""python -m benchmarks [GLOB ...]: measure graphc beside its peers. `python -m benchmarks --help`; README.md says how to read the table."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.goals import LONG
from benchmarks.machine import Machine, ledger
from benchmarks.peers import PEERS
from benchmarks.picture import draw
from benchmarks.row import Row, select
from benchmarks.run import BEFORE, Options, Suite, Timing
from benchmarks.table import beside, head, line, markdown, slower, summary

RESULTS = Path(__file__).parent / "results"  # a folder for each machine
PARALLEL = ("graphc", "graphc-1", "jax", "torch", "torch.compile")  # peers of runs on several threads, unless others are named


def main() -> int:
    """Run the rows; the exit code says whether a result was wrong."""
    arguments = _arguments()
    rows = _rows(arguments)
    if arguments.list:
        print("\n".join(r.name for r in rows))
        return 0
    options = Options(
        arguments.threads, arguments.rounds, arguments.seconds, arguments.patience, arguments.timeout, arguments.python, arguments.before
    )
    several = options.threads > 1
    named = arguments.peers.split(",") if arguments.peers else PARALLEL if several else PEERS
    peers = [p for p in PEERS if (p in named and (several or p != "graphc-1") and p != BEFORE) or (p == BEFORE and options.before)]
    machine = Machine(options.threads)
    report: dict[str, Any] = {"machine": {}, "threads": options.threads, "versions": _versions(options), "rows": {}}
    suite = Suite(peers, machine, options)
    _on_stop(signal.default_int_handler)
    print("  ".join(head(options.threads)))
    try:
        for row in rows:
            machine.measure()
            report["rows"][row.name] = _record(row, suite.measure(row), machine)
            print("  ".join(line(row.name, report["rows"][row.name], options.threads)), flush=True)
            for peer, entry in report["rows"][row.name]["peers"].items():
                if arguments.verbose and ("skip" in entry or "wrong" in entry or "facts" in entry):
                    print(f"    {peer}: {entry.get('skip') or entry.get('wrong') or ''} {entry.get('facts', '')}")
    except KeyboardInterrupt:
        _on_stop(signal.SIG_IGN)
        print("stopped; what was measured is kept")
    finally:
        suite.close()
    report["machine"] = machine.facts()
    for row in rows:
        if row.name in report["rows"]:  # the limits of the whole run
            report["rows"][row.name]["limit"] = _limit(row, machine)
    if options.before:
        print("\n".join(["", "before / now", *beside(report)]))
    print(summary(report))
    for peer, why in suite.absent.items():
        print(f"{peer} skipped: {why}")
    _write(arguments, report)
    return any("wrong" in e for r in report["rows"].values() for e in r["peers"].values())


def _on_stop(handler: Any) -> None:
    """What a stop by Ctrl-C or by `kill` does, also to a run in the background, which would ignore the first."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure graphc beside its peers.")
    parser.add_argument("rows", nargs="*", help="globs of how the rows' names begin: chain, 'products/*/f32'")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peers", default="", help="comma-separated; all that are installed if left out")
    parser.add_argument("--rounds", type=int, default=Options.rounds)
    parser.add_argument("--seconds", type=float, default=Options.seconds, help="length of one slice of one peer")
    parser.add_argument("--patience", type=float, default=Options.patience, help="seconds to wait for a quiet machine before a slice")
    parser.add_argument("--timeout", type=float, default=Options.timeout, help="seconds a peer may take to compile a row")
    parser.add_argument("--python", default=sys.executable, help="the peers' interpreter, if they live in another environment")
    parser.add_argument("--before", default="", metavar="DIR", help="another checkout of graphc, measured beside this one in the same run")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    parser.add_argument("--table", type=Path, help="write the Markdown table to this file")
    parser.add_argument(
        "--save",
        action="store_true",
        help="merge these rows into this machine's ledger: JSON, Markdown table, picture",
    )
    parser.add_argument(
        "--compare",
        type=Path,
        metavar="FILE",
        nargs="?",
        const=Path(),
        help="print what got over 10 %% slower than in this JSON file, by default the ledger",
    )
    parser.add_argument("--verbose", action="store_true", help="say why peers were skipped, and what they told of themselves")
    parser.add_argument("--list", action="store_true", help="print the names of the rows")
    return parser.parse_args()


def _record(row: Row, timings: dict[str, Timing], machine: Machine) -> dict[str, Any]:
    return {"unit": row.unit, "limit": _limit(row, machine), "peers": {p: t.record(machine.best) for p, t in timings.items()}}


def _limit(row: Row, machine: Machine) -> float | None:
    return machine.limit(row.dtype, row.flops, row.nbytes) if row.flops or row.nbytes else None


def _rows(arguments: argparse.Namespace) -> list[Row]:
    """The rows asked for; on several threads, if none is named, those that the one-thread ledger has above 50 us."""
    kept = RESULTS / ledger() / "threads-1.json"
    if arguments.threads == 1 or arguments.rows or not kept.exists():
        return select(arguments.rows)
    known = json.loads(kept.read_text())["rows"]
    times = {name: [e["min"] for e in row["peers"].values() if "min" in e] for name, row in known.items()}
    return [r for r in select([]) if r.family not in ("call", "compile") and min(times.get(r.name, [LONG])) >= LONG]


def _write(arguments: argparse.Namespace, report: dict[str, Any]) -> None:
    kept = RESULTS / ledger() / f"threads-{arguments.threads}.json"
    if arguments.compare:
        before = kept if arguments.compare == Path() else arguments.compare
        lines = list(slower(json.loads(before.read_text()), report)) if before.exists() else [f"{before} is not there to compare with"]
        print("\n".join(lines) or f"nothing is over 10 % slower than in {before}")
    if arguments.save:
        before = json.loads(kept.read_text())["rows"] if kept.exists() else {}
        known = [r.name for r in select([])]
        merged = before | report["rows"]
        kept.parent.mkdir(exist_ok=True)
        whole = report | {"rows": {name: merged[name] for name in known if name in merged}}
        kept.write_text(json.dumps(whole, indent=1) + "\n")
        kept.with_suffix(".md").write_text(markdown(whole))
        kept.with_suffix(".svg").write_text(draw(whole))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    if arguments.table:
        arguments.table.write_text(markdown(report))


def _versions(options: Options) -> dict[str, str]:
    """Of what graphc runs on, and of the packages that the peers' interpreter has."""
    packages = sorted({package for _, _, package in PEERS.values()})
    script = (
        "import importlib.metadata as m, json\n"
        "found = {d.metadata['Name'].lower(): d.version for d in m.distributions()}\n"
        f"print(json.dumps({{p: found[p] for p in {packages!r} if p in found}}))"
    )
    found: dict[str, str] = json.loads(subprocess.run([options.python, "-c", script], capture_output=True, text=True, check=True).stdout)
    return {"llvmlite": metadata.version("llvmlite")} | found


if __name__ == "__main__":
    sys.exit(main())

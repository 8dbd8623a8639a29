"""Plant single-token faults, run the tests that are there for the file, print what survives.

    python -m tests.mutate                                300 faults drawn from the modules of `targets.DEFAULT`
    python -m tests.mutate --count 50 --seed 3 passes/storage/*.py
    python -m tests.mutate --all graphc/ops/ranges.py     every fault of a file
    python -m tests.mutate --again survivors.txt          the survivors of an earlier run, by their lines

    python -m tests.mutate --map map.jsonl                by the quickest tests that enter a fault's function (see `trace.py`):
                                                          seconds a fault; plant what survives `--again` without the map

A fault is killed when a test fails that passes without it, or hangs. Survivors are either a missing test or an equivalent
program; the latter are listed with the reason in `equivalents.txt` and are not planted again. The tree itself is never
touched: each worker has a copy. Exit status 1 when anything survives.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from queue import SimpleQueue

from tests.mutate.entered import Entered
from tests.mutate.faults import Fault, faults
from tests.mutate.targets import DEFAULT, tests_of

ROOT = Path(__file__).resolve().parents[2]
EQUIVALENTS = Path(__file__).with_name("equivalents.txt")
PATIENCE = 3.0  # a fault may take so many times what the same tests take without it, and half a minute


def no_bytecode() -> dict[str, str]:
    """The environment of a run: kept bytecode of a file that is as long, and written in the same second, would hide its fault."""
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}


def tracked() -> list[str]:
    """The files of the checkout, links among them."""
    done = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [f for f in done.stdout.splitlines() if os.path.lexists(ROOT / f)]


def equivalents() -> dict[str, str]:
    """fault's key -> why no test can see it."""
    known: dict[str, str] = {}
    for line in EQUIVALENTS.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            key, _, reason = line.rpartition(" | ")
            known[key] = reason
    return known


def copy_of_the_tree(place: Path) -> Path:
    for name in tracked():
        target = place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target, follow_symlinks=False)
    return place


@dataclass(frozen=True)
class Outcome:
    """What a run of tests came to."""

    alive: bool  # nothing failed
    why: str  # the test that failed, or how it ended
    seconds: float

    @property
    def killer(self) -> str | None:
        """The test that failed, as pytest is told of it."""
        kind, _, rest = self.why.partition(" ")
        return rest.split(" - ")[0] if kind in ("FAILED", "ERROR") else None


def run_tests(tree: Path, tests: list[str], limit: float | None) -> Outcome:
    # no object cache beside the run's own: a fault must not find what was compiled without it
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider", "--no-header", "--tb=line", *tests]
    begin = time.monotonic()
    try:
        done = subprocess.run(command, cwd=tree, env=no_bytecode(), capture_output=True, text=True, timeout=limit, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return Outcome(False, "hangs", time.monotonic() - begin)
    lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))] or [
        f"exit status {done.returncode}",
        *done.stderr.splitlines(),
    ]
    return Outcome(done.returncode == 0, lines[-1], time.monotonic() - begin)


def collected(tree: Path) -> list[str]:
    """The name of every test; there must be some: where none can run, every fault would pass for killed."""
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "--collect-only", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=tree, env=no_bytecode(), capture_output=True, text=True, stdin=subprocess.DEVNULL)
    found = [line for line in done.stdout.splitlines() if "::" in line]
    return found if found and done.returncode == 0 else sys.exit(f"the tests cannot be collected: {done.stdout[-500:]}{done.stderr[-500:]}")


class Campaign:
    """One run: copies of the tree, how long the tests of each file take, what survived."""

    def __init__(self, jobs: int, place: Path, known: Path | None = None) -> None:
        self.trees: SimpleQueue[Path] = SimpleQueue()
        trees = [copy_of_the_tree(place / f"tree{k}") for k in range(jobs)]
        for tree in trees:
            self.trees.put(tree)
        self.everything = tracked()
        self.usual: dict[tuple[str, ...], float] = {}
        self.entered = None if known is None else Entered(known, collected(trees[0]))
        self.innocent: dict[str, bool] = (
            {} if self.entered is None else dict.fromkeys(self.entered.seconds, True)
        )  # test -> passes without a fault

    def baseline(self, tests: list[str]) -> float:
        """The time that they take without a fault; they must pass."""
        key = tuple(tests)
        if key not in self.usual:
            tree = self.trees.get()
            try:
                outcome = run_tests(tree, tests, None)
            finally:
                self.trees.put(tree)
            if not outcome.alive:
                sys.exit(f"without any fault: {outcome.why}")
            self.usual[key] = outcome.seconds
        return self.usual[key]

    def survives(self, fault: Fault) -> bool:
        tests = tests_of(fault.path, self.everything)
        if self.entered is not None:
            tests = self.entered.chosen(fault, (ROOT / fault.path).read_text(), tests) or tests
        outcome = self.planted(fault, tests, self.limit(tests))
        sign, by = ("SURVIVES", "") if outcome.alive else ("killed  ", f"    by {outcome.why[:150]}")
        print(f"{sign} {outcome.seconds:5.1f} s  {fault}{by}", flush=True)
        return outcome.alive

    def limit(self, tests: list[str]) -> float:
        """The time after which they hang: by the map where it knows them, else by a run without a fault."""
        if self.entered is None:
            return PATIENCE * self.baseline(tests) + 30
        return PATIENCE * self.entered.time(tests) + 30

    def planted(self, fault: Fault, tests: list[str], limit: float) -> Outcome:
        """What the tests say of the fault; one that fails without it as well is asked no more."""
        tree = self.trees.get()
        file = tree / fault.path
        source = file.read_text()
        try:
            while True:
                file.write_text(fault.apply(source))
                outcome = run_tests(tree, tests, limit)
                file.write_text(source)
                if outcome.alive or (killer := outcome.killer) is None:
                    return outcome
                if killer not in self.innocent:
                    self.innocent[killer] = run_tests(tree, [killer], None).alive
                if self.innocent[killer]:
                    return outcome
                tests = [t for t in [*tests, "--deselect", killer] if t != killer]
        finally:
            file.write_text(source)
            self.trees.put(tree)


def drawn(patterns: list[str], count: int | None, seed: int, again: Path | None) -> list[Fault]:
    """The faults of a run: evenly over the files, so that a long file is not all of it."""
    chosen = random.Random(seed)
    known = equivalents()
    files = [f for f in tracked() if f.endswith(".py") and any(fnmatch(f, p) for p in patterns)]
    each = {f: [x for x in faults(f, (ROOT / f).read_text()) if x.key not in known] for f in files}
    if again is not None:
        wanted = again.read_text()
        return [x for found in each.values() for x in found if f"{x.before} -> {x.after}    in: {x.text}" in wanted and x.path in wanted]
    for found in each.values():
        chosen.shuffle(found)
    result: list[Fault] = []
    while any(each.values()) and (count is None or len(result) < count):
        result += [found.pop() for found in each.values() if found]
    return result if count is None else result[:count]


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutate", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("files", nargs="*", default=list(DEFAULT), help="patterns of paths")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--all", action="store_true", help="every fault of the files")
    parser.add_argument("--again", type=Path, help="only the faults that this output of an earlier run names")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--map", type=Path, help="which tests enter which functions, as tests/mutate/trace.py writes it")
    parser.add_argument("--list", action="store_true", help="print the faults, plant none")
    args = parser.parse_args(words)
    planned = drawn(args.files, None if args.all or args.again else args.count, args.seed, args.again)
    if args.list:
        print(*planned, sep="\n")
        return 0
    with tempfile.TemporaryDirectory(prefix="graphc-mutate-") as place:
        campaign = Campaign(args.jobs, Path(place), args.map)
        tested = [f for f in planned if tests_of(f.path, campaign.everything)]
        with ThreadPoolExecutor(args.jobs) as pool:
            survivors = [fault for fault, alive in zip(tested, pool.map(campaign.survives, tested)) if alive]
    print(
        f"\n{len(tested)} faults, {len(tested) - len(survivors)} killed, {len(survivors)} survive, {len(equivalents())} known as equivalent"
    )
    print(*survivors, sep="\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())

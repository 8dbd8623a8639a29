"""Runs rows: a process a peer, one busy at a time, results compared first, then rounds of slices in turn, a probe around each slice."""

from __future__ import annotations

import json
import os
import select
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import HEALTHY, Machine
from benchmarks.row import Row

ROOT = Path(__file__).parent.parent
BEFORE = "graphc-before"


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    threads: int = 1
    rounds: int = 5
    seconds: float = 0.05
    """Length of a slice."""
    patience: float = 1.0
    """Seconds to wait for a quiet machine before a slice."""
    timeout: float = 300.0
    """Seconds for one command to a peer; torch.compile and PyTensor need many for large graphs."""
    python: str = sys.executable
    """The interpreter of the peers; graphc runs in this one."""
    before: str = ""
    """Another checkout of graphc, measured beside this one."""


class Gone(Exception):
    """The peer's process ended, or did not answer in time."""


class Worker:
    """A peer's process."""

    def __init__(self, peer: str, options: Options, scratch: str) -> None:
        self.peer, self.options = peer, options
        python = sys.executable if peer.startswith("graphc") else options.python
        root = Path(options.before) if peer == BEFORE else ROOT
        command = [python, "-m", "benchmarks.worker", peer.removesuffix("-before")]
        errors = None if "BENCHMARKS_TRACE" in os.environ else subprocess.DEVNULL
        self.process = subprocess.Popen(
            command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=_environment(options, scratch, root)
        )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a command, wait for its answer."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write((json.dumps({"do": do, **arguments}) + "\n").encode())
            self.process.stdin.flush()
            if not select.select([self.process.stdout], [], [], self.options.timeout)[0]:
                self.stop()
                raise Gone(f"no answer to {do} in {self.options.timeout:.0f} s")
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise Gone(f"ended during {do}, exit code {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class Timing:
    """One peer on one row."""

    skip: str = ""
    build: float = 0.0
    slices: list[tuple[float, list[float]]] = field(default_factory=list)
    """The lower of the two probes around a slice, and its times."""
    facts: dict[str, Any] = field(default_factory=dict)
    wrong: str = ""

    def healthy(self, best: float) -> list[float]:
        """Times of the slices in quiet moments; of all of them if there was none."""
        quiet = [t for probe, times in self.slices if probe >= HEALTHY * best for t in times]
        return quiet or [t for _, times in self.slices for t in times]

    def record(self, best: float) -> dict[str, Any]:
        """For the JSON file."""
        if self.skip:
            return {"skip": self.skip}
        times = self.healthy(best)
        quiet = sum(probe >= HEALTHY * best for probe, _ in self.slices)
        record: dict[str, Any] = {"min": min(times), "median": statistics.median(times), "build": self.build, "quiet": quiet}
        return record | ({"facts": self.facts} if self.facts else {}) | ({"wrong": self.wrong} if self.wrong else {})


class Suite:
    """The peers' processes over a whole run."""

    def __init__(self, peers: list[str], machine: Machine, options: Options) -> None:
        self.peers, self.machine, self.options = peers, machine, options
        self.folder = tempfile.TemporaryDirectory(prefix="benchmarks-")
        self.workers: dict[str, Worker] = {}
        self.absent: dict[str, str] = {}

    def measure(self, row: Row) -> dict[str, Timing]:
        """Every peer on this row."""
        peers = [p for p in self.peers if not row.only or p.removesuffix("-before") in row.only]
        if row.fresh:
            return self._measure_fresh(row, peers)
        timings = {p: Timing(row.skip.get(p, "")) for p in peers}
        for p in peers:
            answer = {} if timings[p].skip else self._ask(p, timings[p], "build", row=row.name)
            timings[p].build = answer.get("seconds", 0.0)
        self._check(row, timings)
        ready = [p for p in peers if not timings[p].skip]
        for p in ready:
            self._ask(p, timings[p], "calibrate", seconds=self.options.seconds)
        for number in range(2 * self.options.rounds):
            if number >= self.options.rounds and all(self._settled(timings[p]) for p in ready):
                break  # noisy slices have been made up for
            for p in ready[number % len(ready) :] + ready[: number % len(ready)]:
                self._slice(p, timings[p])
        for p in ready:
            if not timings[p].skip:
                timings[p].facts = self._ask(p, timings[p], "free").get("facts", {})
        return timings

    def close(self) -> None:
        for w in self.workers.values():
            w.stop()
        self.folder.cleanup()

    def _settled(self, timing: Timing) -> bool:
        quiet = sum(probe >= HEALTHY * self.machine.best for probe, _ in timing.slices)
        return bool(timing.skip) or 2 * quiet >= self.options.rounds

    def _slice(self, peer: str, timing: Timing) -> None:
        if timing.skip:
            return
        before = self.machine.wait(self.options.patience)
        times = self._ask(peer, timing, "run").get("times", [])
        timing.slices.append((min(before, self.machine.probe()), times))

    def _measure_fresh(self, row: Row, peers: list[str]) -> dict[str, Timing]:
        """A new process for every sample: the time to import, or from declaration to first result."""
        timings = {p: Timing(row.skip.get(p, "")) for p in peers}
        for _ in range(self.options.rounds):
            for p, timing in timings.items():
                if timing.skip:
                    continue
                before = self.machine.wait(self.options.patience)
                with tempfile.TemporaryDirectory() as scratch:  # cold: no cache of an earlier process
                    worker = Worker(p, self.options, scratch)
                    answer = _fresh_sample(worker, row)
                    worker.stop()
                if "skip" in answer:
                    timing.skip = answer["skip"]
                    continue
                timing.facts = answer.get("facts", {})
                timing.slices.append((min(before, self.machine.probe()), [answer["seconds"]]))
        return timings

    def _ask(self, peer: str, timing: Timing, do: str, **arguments: Any) -> dict[str, Any]:
        """The answer; what goes wrong becomes `timing.skip`."""
        try:
            worker = self._worker(peer)
            answer = {"skip": self.absent[peer]} if worker is None else worker.ask(do, **arguments)
        except Gone as gone:
            answer = {"skip": str(gone)}
            self.workers.pop(peer).stop()
        if "skip" in answer:
            timing.skip = answer["skip"] or "failed"
        return answer

    def _worker(self, peer: str) -> Worker | None:
        if peer not in self.workers and peer not in self.absent:
            worker = Worker(peer, self.options, self.folder.name)
            answer = worker.ask("load")
            if "skip" in answer:
                self.absent[peer] = answer["skip"]
                worker.stop()
            else:
                self.workers[peer] = worker
        return self.workers.get(peer)

    def _check(self, row: Row, timings: dict[str, Timing]) -> None:
        """Compare results with those of the peer that agrees with most others."""
        results: dict[str, list[np.ndarray]] = {}
        file = os.path.join(self.folder.name, "result.npz")
        for p, timing in timings.items():
            if not timing.skip:
                self._ask(p, timing, "result", file=file)
            if not timing.skip:
                with np.load(file) as saved:
                    results[p] = [saved[k] for k in saved.files]
        apart = {p: {q: difference(results[p], results[q]) for q in results} for p in results}
        if not results:
            return
        reference = max(results, key=lambda p: sum(d <= row.accepted for d in apart[p].values()))
        for p in results:
            if apart[p][reference] > row.accepted:
                timings[p].wrong = f"differs from {reference} by {apart[p][reference]:.1e}"


def _fresh_sample(worker: Worker, row: Row) -> dict[str, Any]:
    try:
        answer = worker.ask("load")
        return answer if row.want == "import" or "skip" in answer else worker.ask("build", row=row.name)
    except Gone as gone:
        return {"skip": str(gone)}


def difference(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    """max |a - b| / max |b| over the outputs, infinite where shapes differ or a value is not finite."""
    if len(a) != len(b):
        return np.inf
    worst = 0.0
    for x, y in zip(a, b, strict=True):
        if x.size != y.size or x.squeeze().shape != y.squeeze().shape or not np.isfinite(x).all():
            return np.inf
        x, y = x.squeeze().astype(np.float64), y.squeeze().astype(np.float64)
        worst = max(worst, float(np.max(np.abs(x - y), initial=0) / max(float(np.max(np.abs(y), initial=0)), 1e-30)))
    return worst


def _environment(options: Options, scratch: str, root: Path) -> dict[str, str]:
    """Thread counts for every library, no cache from earlier runs."""
    threads = str(options.threads)
    counts = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    eigen = "" if options.threads > 1 else "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}  # imports are timed as users see them
    return {
        **inherited,
        **dict.fromkeys(counts, threads),
        "BENCHMARKS_THREADS": threads,
        "PYTHONPATH": str(root),
        "PYTHONHASHSEED": "0",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": eigen,
        "TORCHINDUCTOR_COMPILE_THREADS": "1",  # in the process itself: the first rows' figures would not count its helpers
        "TORCHINDUCTOR_CACHE_DIR": os.path.join(scratch, "inductor"),
        "PYTENSOR_FLAGS": f"base_compiledir={os.path.join(scratch, 'pytensor')}",
        "NUMBA_CACHE_DIR": os.path.join(scratch, "numba"),
        "XDG_CACHE_HOME": os.path.join(scratch, "cache"),
    }

"""One peer in a process of its own: `python -m benchmarks.worker PEER`. Reads a JSON command a line, answers a JSON line.

{"do": "load"}                                -> {"seconds": time to import the library, NumPy already there}
{"do": "build", "row": name}                  -> {"seconds": until the first result} or {"skip": why}
{"do": "result", "file": path}                -> {}; the checked calls' results as an .npz file
{"do": "calibrate", "seconds": s}             -> {"number": calls a sample, "samples": samples a slice}
{"do": "run"}                                 -> {"times": seconds a call, one for each sample}
{"do": "free"}                                -> {"facts": {...}}
"""

from __future__ import annotations

import os
import sys
import time

ONE_THREAD = os.environ.get("BENCHMARKS_THREADS", "1") == "1"


def main() -> None:
    """Serve until the input ends. What a library prints goes to standard error."""
    import json

    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    worker = _Worker(sys.argv[1])
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(worker, command.pop("do"))(**command)
        except Exception as error:  # a peer may fail in any way: the row is skipped with a line
            answer = {"skip": f"{type(error).__name__}: {error}".strip().splitlines()[0][:160]}
            if type(error).__name__ == "Skip":
                answer = {"skip": str(error)}
            elif "BENCHMARKS_TRACE" in os.environ:
                raise
        out.write(json.dumps(answer) + "\n")


class Clock:
    """Seconds since it was made. On one thread processor time counts where it is less: other programs' turns are not the peer's."""

    def __init__(self) -> None:
        self.cpu, self.wall = _processor_time(), time.perf_counter()

    def seconds(self) -> float:
        wall = time.perf_counter() - self.wall
        return min(wall, _processor_time() - self.cpu) if ONE_THREAD else wall


def _processor_time() -> float:
    """Of all threads of this process, and of the compilers it started and waited for."""
    t = os.times()
    return time.process_time() + t.children_user + t.children_system


class _Worker:
    def __init__(self, peer: str) -> None:
        self.name = peer
        self.calls = 0

    def load(self) -> dict[str, object]:
        import importlib

        from benchmarks.peers import PEERS, load  # this imports NumPy

        clock = Clock()
        importlib.import_module(PEERS[self.name][2])
        took = clock.seconds()
        self.peer = load(self.name)
        return {"seconds": took}

    def build(self, row: str) -> dict[str, object]:
        from benchmarks.row import find

        self.row = find(row)
        data = self.row.data()
        clock = Clock()
        self.built = self.peer.build(self.row, data)
        first = self.call(*self._arguments())
        took = float(self.built.facts.pop("seconds", clock.seconds()))
        self.outputs = [first]
        return {"seconds": took, "facts": self.built.facts}

    def result(self, file: str) -> dict[str, object]:
        import numpy as np

        outputs = self.outputs + [self.call(*self._arguments()) for _ in range(self.built.check_calls - 1)]
        arrays = [np.array(a) for o in outputs for a in self.built.arrays(o)]
        np.savez(file, *arrays)
        self.outputs = []
        return {}

    def calibrate(self, seconds: float) -> dict[str, object]:
        self.number, self.samples = 1, 1
        self._sample()  # warm: a second call may still compile or fault pages in
        once = min(self._sample() for _ in range(3))
        once *= self.built.divisor
        if self.built.prepare is None:
            self.number = max(1, int(min(1e-3, seconds / 5) / once))
            once = min(once, self._sample())
        most = 1000 if self.built.prepare is None else 5
        self.samples = max(1, min(most, int(seconds / (once * self.number))))
        return {"number": self.number, "samples": self.samples}

    def run(self) -> dict[str, object]:
        if self.built.reset is not None:
            self.built.reset()
        return {"times": [self._sample() for _ in range(self.samples)]}

    def free(self) -> dict[str, object]:
        import gc

        facts = dict(self.built.facts) | (self.built.late() if self.built.late else {})
        del self.built
        gc.collect()
        return {"facts": facts}

    def call(self, *args: object) -> object:
        return self.built.call(*args) if self.built.out is None else self.built.call(*args, out=self.built.out)

    def _arguments(self) -> tuple[object, ...]:
        if self.built.prepare is None:
            return self.built.args
        self.calls += 1
        return self.built.prepare(self.calls)

    def _sample(self) -> float:
        """Seconds a call over `number` calls; the loop is timeit's, so that it costs 10 ns and not a Python call."""
        import timeit

        args = self._arguments()
        names = {f"a{k}": a for k, a in enumerate(args)}
        passed = ", ".join([*names, *(["out=out"] if self.built.out is not None else [])])
        timer = timeit.Timer(f"call({passed})", globals={"call": self.built.call, "out": self.built.out, **names})
        clock = Clock()
        wall = timer.timeit(self.number)
        return min(wall, clock.seconds()) / self.number / self.built.divisor


if __name__ == "__main__":
    main()

"""Kernels that sum, and then sum squares about what came of it, do both in one sweep.

    for i0 in n:  t0 = sum[i1:m] x[i0, i1]              ->    for i0 in n:  t0 = sum[i1:m/4] x[i0, i1]
                  t1 = t0 / m                                               t1 = t0 / (m/4)
                  t2 = sum[i1:m] (x[i0, i1] - t1)**2                        t2, t3 = sum[i1:m] of x[i0, i1] - t1 and of its square
                                                                            t4 = t2 + m*t1, t5 = t4 / m, t6 from t1, t2, t3, t5

What follows from what is in `graphc.passes.fusion.centred`. A row in the first cache is loaded less often; a longer one is read once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphc import dims
from graphc import scalars as sc
from graphc.passes.fusion.ahead import Ahead
from graphc.passes.fusion.centred import Centred, about, count, first_part, shift
from graphc.passes.fusion.chunks import Nest, beside_each_other
from graphc.program import Kernel, Stage
from graphc.scalars import Scalar

LONG = 4096  # bytes of a row from which a sweep costs more than another sum across lanes: rows of 512 f32 lose 13 %, of 1024 gain 10
HIGH = 64  # elements of a column: there is no such sum


def one_sweep(kernel: Kernel, parts: Sequence[Nest], ahead: Ahead) -> Kernel:
    """The kernel so, where its nests are long; what else can be done ahead saves nothing in rows that are in the cache."""
    squares = {a: (second, tuple([c for c in found if isinstance(c, Centred)])) for a, (second, found) in ahead.items()}
    centred = {a: found for a, found in squares.items() if len(found[1]) == len(ahead[a][1]) and _is_long(kernel, parts[a])}
    return _Sweeps(kernel).write(parts, centred) if centred else kernel


def _is_long(kernel: Kernel, nest: Nest) -> bool:
    size = dims.product([a.extent for a in nest.over])
    least = HIGH if beside_each_other(kernel) else LONG // kernel.stages[nest.stages[0]].dtype.itemsize
    return isinstance(size, int) and size >= least


class _Sweeps:
    """A kernel with its stages in fewer sweeps."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.stages: list[Stage] = []
        self.number: dict[int, int] = {}  # stage of the kernel -> the one here

    def write(self, parts: Sequence[Nest], centred: dict[int, tuple[int, tuple[Centred, ...]]]) -> Kernel:
        ready: dict[int, list[tuple[Centred, tuple[Scalar, Scalar, Scalar, Scalar]]]] = {}
        for at, nest in enumerate(parts):
            if at in ready:
                for c, known in ready[at]:
                    self.keep(c.stage, Stage((), about(self.moved(c.centre), *known), known[0].dtype), at)
            elif at in centred:
                second, listed = centred[at]
                ready[second] = self.sweep(at, nest, listed)
            else:
                for k in nest.stages:
                    stage = self.kernel.stages[k]
                    self.keep(k, replace(stage, body=self.moved(stage.body)), at)
        return replace(self.kernel, stages=tuple(self.stages))

    def sweep(self, at: int, nest: Nest, centred: Sequence[Centred]) -> list[tuple[Centred, tuple[Scalar, Scalar, Scalar, Scalar]]]:
        """One nest, with what the sums of squares of a later one follow from: the shift, how many elements, their sum and squares."""
        sums: dict[int, tuple[Scalar, Scalar]] = {}  # a stage that sums -> the shift, and an element's difference
        part, later = first_part(nest.over), []
        for total in dict.fromkeys(c.total for c in centred):
            body = self.moved(self.kernel.stages[total].body)
            first = self.add(Stage((), body, body.dtype, part, "sum"), 4 * at)
            mean = self.add(Stage((), shift(first, count(part, first.dtype)), body.dtype), 4 * at + 1)
            sums[total] = mean, body - mean
        for k in nest.stages:
            stage = self.kernel.stages[k]
            if k not in sums:
                self.keep(k, replace(stage, body=self.moved(stage.body)), at, 2)
        rest = {k: self.add(Stage((), d, d.dtype, nest.over, "sum"), 4 * at + 2) for k, (_, d) in sums.items()}
        for c in centred:
            mean, d = sums[c.total]
            squares = self.add(Stage((), d * d, d.dtype, nest.over, "sum"), 4 * at + 2)
            later.append((c, (mean, count(nest.over, mean.dtype), rest[c.total], squares)))
        for k, (mean, _) in sums.items():
            stage = self.kernel.stages[k]
            self.keep(k, replace(stage, body=rest[k] + count(nest.over, mean.dtype) * mean, reduce=(), combine=None), at, 3)
        return later

    def add(self, stage: Stage, nest: int) -> Scalar:
        self.stages.append(replace(stage, nest=nest))
        return sc.local(len(self.stages) - 1, (), stage.dtype)

    def keep(self, k: int, stage: Stage, at: int, turn: int = 0) -> None:
        """A stage in the place of stage k of the kernel, with what that one stores."""
        self.number[k] = len(self.stages)
        self.add(replace(stage, stores=self.kernel.stages[k].stores), 4 * at + turn)

    def moved(self, body: Scalar) -> Scalar:
        return sc.replace_leaves(body, lambda s, args: sc.local(self.number[s.param], args, s.dtype) if s.op == "local" else None)

"""One fuzz case: the same graph by interpreter, natively without graph passes, and natively with all of them."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.interp import evaluate
from graphc.ir import Node, toposort
from tests.fuzz.graphs import POOL, Step, build, make_inputs, make_steps, make_values
from tests.fuzz.values import layout

ROUNDS = 3  # perturbations that measure how well conditioned a value is


@contextlib.contextmanager
def rounded(rng: np.random.Generator, step: float) -> Iterator[None]:
    """The interpreter rounds every value on the way a little differently: what cancels shows the rounding of its terms."""
    interpreter = sys.modules["graphc.interp"]  # graphc.interp is NumPy's interp
    apply = interpreter._apply

    def noisy(*args: Any) -> Any:
        value = apply(*args)
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
            return value
        return (value * (1 + step * rng.uniform(-1, 1, value.shape))).astype(value.dtype)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interpreter, "_apply", noisy)
        yield


class Case:
    """A random graph with its values; `check` raises AssertionError where two evaluations differ."""

    modes: tuple[str, ...] = ("none", "default")
    functions: Sequence[gx.Function] = ()  # one a mode, once checked

    def __init__(self, seed: int, steps: Sequence[Step] | None = None, count: int = 12) -> None:
        rng = random.Random(seed)
        self.seed = seed
        self.inputs = make_inputs(rng)
        self.steps = list(steps) if steps is not None else make_steps(rng, rng.randint(1, count))
        self.rows = rng.choice((*POOL, 17))
        self.values = make_values(self.inputs, seed, self.rows)
        self.derive = rng.random() < 0.6

    def outputs(self) -> list[Node]:
        made = build(self.inputs, self.steps)
        outputs = made[-3:]
        floats = [o for o in outputs if o.dtype.kind == "f"]
        if self.derive and floats:
            cost = sum((gx.sum(gx.sin(o.astype("float64"))) for o in floats[:-1]), gx.sum(gx.cos(floats[-1].astype("float64"))))
            wrt = [x for x in self.inputs if x.dtype.kind == "f"]
            grads = gx.grad(cost, wrt, disconnected="zero")
            outputs += grads
            with contextlib.suppress(gx.DisconnectedError):
                outputs += gx.hvp(cost, wrt[:2], [x * 0.5 for x in wrt[:2]])
        return outputs

    def check(self) -> None:
        outputs = self.outputs()
        if not outputs:
            return
        env = dict(zip(self.inputs, self.values, strict=True))
        try:
            reference = evaluate(outputs, env)
        except gx.ShapeError:  # an extreme of an axis that is empty at run time
            return
        room = self.tolerances(outputs, reference)
        rng = random.Random(self.seed)
        self.functions = [gx.function(self.inputs, outputs, mode=mode) for mode in self.modes]
        for f in self.functions:
            results = f(*[layout(rng, v) for v in self.values])
            for k, (want, got, tolerance) in enumerate(zip(reference, results, room, strict=True)):
                self.compare(f"{f.mode}, output {k}", want, got, tolerance)

    def tolerances(self, outputs: Sequence[Node], reference: Sequence[np.ndarray]) -> list[np.ndarray]:
        """How far each value moves when inputs and values on the way move in their last bits, many times over; infinite where it jumps."""
        rng = np.random.default_rng(self.seed)
        f32 = any(n.dtype == np.float32 for n in toposort(outputs) if not isinstance(n.type, tuple))
        eps = np.finfo("float32" if f32 else "float64").eps
        step = 25 * eps if f32 else 130 * eps
        room = []
        for r in reference:
            if r.dtype.kind != "f":
                room.append(np.zeros(r.shape))
                continue
            scale = np.max(np.abs(r), initial=0.0, where=np.isfinite(r))
            room.append(500 * eps * (np.abs(np.nan_to_num(r, posinf=0, neginf=0)) + 0.05 * scale + 1e-3))
        for _ in range(ROUNDS):
            moved = [v * (1 + step * rng.uniform(-1, 1, v.shape)).astype(v.dtype) if v.dtype.kind == "f" else v for v in self.values]
            with rounded(rng, 2 * eps):
                results = evaluate(outputs, dict(zip(self.inputs, moved, strict=True)))
            for k, r in enumerate(results):
                with np.errstate(all="ignore"):
                    change = np.abs(r.astype("float64") - reference[k].astype("float64"))
                both = (r == reference[k]) | (np.isnan(r.astype("float64")) & np.isnan(reference[k].astype("float64")))
                room[k] = room[k] + 20 * np.where(both, 0, np.where(np.isfinite(change), change, np.inf))
        return room

    def compare(self, what: str, want: np.ndarray, got: np.ndarray, room: np.ndarray) -> None:
        assert got.dtype == want.dtype and got.shape == want.shape, f"{what}: {got.dtype}{got.shape}, expected {want.dtype}{want.shape}"
        a, b = want.astype("float64"), got.astype("float64")
        with np.errstate(all="ignore"):
            fine = (a == b) | (np.isnan(a) & np.isnan(b)) | (np.abs(a - b) <= room) | np.isinf(room)
        if not fine.all():
            at = tuple(int(i) for i in np.argwhere(~fine)[0])
            raise AssertionError(
                f"{what}: at {at} expected {a[at]!r}, got {b[at]!r}, tolerance {room[at]:.3g}; {int((~fine).sum())} of {fine.size} wrong"
            )


def failure(seed: int, steps: Sequence[Step] | None = None, count: int = 12) -> str | None:
    """The message of a failing case, None where all agree."""
    try:
        Case(seed, steps, count).check()
    except gx.NotDifferentiableError:
        return None
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def shrink(seed: int, count: int = 12) -> list[Step]:
    """The shortest sublist of steps found that still fails."""
    steps = Case(seed, count=count).steps
    changed = True
    while changed:
        changed = False
        for k in range(len(steps) - 1, -1, -1):
            fewer = steps[:k] + steps[k + 1 :]
            if fewer and failure(seed, fewer) is not None:
                steps, changed = fewer, True
    return steps

"""A structural op with a kernel of its own: correlate(x, w)[.., i] = sum over k of x[.., i + k] * w[.., k].

    python examples/add_your_own_kernel.py

Two places: the op's row, and the strategy that runs it. In graphc itself these are four: the row in `graphc/ops/`, its name in
`graphc/ops/__init__.py` and `graphc/__init__.py`, the strategy in `codegen/strategy/`, its line in `codegen/strategy/table.py`.
The op is linear in both operands and its derivatives are correlations again, so `grad` goes on to any order.
"""

from __future__ import annotations

import numpy as np

import graphc as gx
from graphc import scalars as sc
from graphc.codegen.loops.loopir import Accumulate, Alloc, Block, For, Store
from graphc.codegen.strategy.door import Strategy
from graphc.codegen.strategy.loops import lanes_of
from graphc.codegen.strategy.table import STRATEGIES
from graphc.errors import ShapeError, fail
from graphc.ir import make
from graphc.loopform import LoopForm
from graphc.ops.registry import structural
from graphc.ops.shape import at_most, lift
from graphc.traits import Traits
from graphc.types import same_size, tensor_type

MOST_TAPS = 16  # of w: more are a loop


# -- the op: everything that graphc needs to know of it ------------------------------------------------------------------
def type_rule(x, w):
    """(.., n), (.., m) -> (.., n - m + 1)."""
    if x.ndim != w.ndim or x.dtype != w.dtype or not all(map(same_size, x.shape[:-1], w.shape[:-1])):
        fail(ShapeError, f"correlate: {x} and {w} differ in more than their last axes")
    if not at_most(w.shape[-1], x.shape[-1]):  # of symbolic sizes that is checked at the call
        fail(ShapeError, f"correlate: {x} has fewer elements than there are taps in {w}")
    return tensor_type(x.dtype, (*x.shape[:-1], x.shape[-1] - w.shape[-1] + 1))


def reference(x, w):
    """What the interpreter runs, in NumPy."""
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[-1], axis=-1)
    return (windows * w[..., None, :]).sum(axis=-1, dtype=x.dtype)


def loop(node):
    """One element: what is read, where, and how it is combined over the taps."""

    def body(read, at, taps):
        *lead, i = at
        (k,) = taps
        return read(0, [*lead, i + k]) * read(1, [*lead, k])

    return LoopForm(body, reduce=(node.inputs[1].shape[-1],), combine="sum")


def vjp(g, out, x, w):
    """Each operand's cotangent is a correlation of the result's: with the taps backwards, and with x."""
    edge = w.shape[-1] - 1
    wide = gx.pad(g, ((0, 0),) * (g.ndim - 1) + ((edge, edge),))
    return correlate(wide, gx.flip(w, -1)), correlate(x, g)


CORRELATE = structural(
    "correlate", 2, "The sums of neighbours of x, weighted by w, along the last axis.", type_rule=type_rule, ref=reference, loop=loop,
    vjp=vjp, linear_in=(0, 1), batch=lambda inputs, mapped: correlate(*lift(inputs, mapped)),
    traits=Traits(kernel="correlate", by_address=(0, 1)),
)  # fmt: skip


def correlate(x, w):
    """The public function."""
    return make(CORRELATE, (gx.asarray(x), gx.asarray(w)))


# -- its kernel: for few taps a vector of sums in registers, where loops over taps would store and load it ---------------
def plan(kernel, target):
    """for row: for i in vectors: a sum in registers, over the taps; None (many taps) declines."""
    (stage,), (stores,) = kernel.stages[:1], kernel.stores[:1]
    if len(kernel.stages) > 1 or len(stage.reduce) != 1 or len(stores) != 1 or not kernel.axes:
        return None
    (tap,), (slot, dynamic, static, mode) = stage.reduce, stores[0]
    if not isinstance(tap.extent, int) or not 1 <= tap.extent <= MOST_TAPS:
        return None
    taps = For(tap.index, tap.extent, "serial", Block((Accumulate(0, "sum", stage.body),)))
    body = Block((Alloc(0, stage.dtype, "sum"), taps, Store(slot, dynamic, static, sc.local(0, (), stage.dtype), mode)))
    *rows, last = kernel.axes
    body = Block((For(last.index, last.extent, "vector", body, lanes_of([stage.dtype], target), 1),))
    for axis in reversed(rows):
        body = Block((For(axis.index, axis.extent, "serial", body),))
    return body


STRATEGIES["correlate"] = Strategy("correlate", lambda kernel: kernel.kind == "correlate", plan)
# -- that is all -----------------------------------------------------------------------------------------------------------


def main() -> dict[str, np.ndarray]:
    """Learn the filter that blurred a signal, by gradients through the op; print its kernel and a check of its derivatives."""
    n = gx.dim("n")
    x, w, y = gx.tensor("x", ("b", n + 4)), gx.tensor("w", ("b", 5)), gx.tensor("y", ("b", n))
    loss = gx.sum((correlate(x, w) - y) ** 2)
    draw = np.random.default_rng(0)
    signal, taps = draw.normal(size=(2, 400)), np.array([[0.1, 0.2, 0.4, 0.2, 0.1], [0.0, -0.5, 1.0, -0.5, 0.0]])
    blurred = reference(signal, taps)
    step = gx.function([x, w, y], [loss, w - 1e-3 * gx.grad(loss, w)])
    found, losses = np.zeros((2, 5)), []
    for _ in range(60):
        value, found = step(signal, found, blurred)
        losses.append(float(value))
    print(f"loss {losses[0]:.3g} -> {losses[-1]:.3g}; taps\n{np.round(found, 4)}")
    print("\nIts loops:\n" + gx.function([x, w], correlate(x, w)).loops)
    rows, few = gx.tensor("rows", (2, 7)), gx.tensor("few", (2, 3))
    worst = gx.check_grad(gx.sin(correlate(rows, few)), [rows, few], {rows: signal[:, :7], few: taps[:, 1:4]}, order=2)
    print(f"\nAgainst central differences, orders 1 and 2: relative error {worst:.0e}")
    return {"taps": found, "wanted": taps, "losses": np.array(losses)}


if __name__ == "__main__":
    main()

"""A whole epoch as one native call: a compiled step as the body of a scan over minibatches, its state carried from turn to turn."""

from __future__ import annotations

import weakref
from typing import Any

from graphc import tree
from graphc.control.scan import scan
from graphc.errors import ArgumentError, fail
from graphc.ops.indexing import take
from graphc.ops.registry import tensor
from graphc.substitute import substitute
from graphc.user.function import Function, function
from graphc.user.state import Shared

_COMPILED: weakref.WeakKeyDictionary[Function, dict[int, Function]] = weakref.WeakKeyDictionary()


def epoch_of(step: Function, batch_size: int) -> Function:
    """`epoch(step, batch_size)`, compiled once for as long as the step lives."""
    known = _COMPILED.setdefault(step, {})
    if batch_size not in known:
        known[batch_size] = epoch(step, batch_size)
    return known[batch_size]


def epoch(step: Function, batch_size: int | None = None, *, name: str = "epoch") -> Function:
    """From step(*rows) the function run(*data, order): for every row of `order` one step on the minibatch data[order[t]].

    step: a compiled function with updates whose inputs are arrays with a minibatch in front. data: the same inputs, of any number of
    rows. order: int64[turns, batch], the rows that each turn takes; `batch_size` fixes its second size. What the step gives comes back
    with an axis of turns in front, and the state, the very same shared variables, is what as many calls of `step` leave: the same
    operations, so equal up to the rounding of products and sums that are ordered otherwise in a loop (in float64 1e-12, relatively).
    Raises ArgumentError for a step without updates or with sizes among its inputs, ShapeError for one whose minibatch has another size.

        run = gx.training.epoch(step, 32)
        losses = run(images, labels, rng.permutation(len(images))[: 32 * turns].reshape(turns, 32))
    """
    if not isinstance(step, Function):
        fail(ArgumentError, f"epoch: {step!r:.60} is no compiled function", hint="gx.function([x, y], loss, updates=...)")
    pairs, arguments = step._updates, step._arguments
    if not pairs or arguments.sizes:
        what = "has no updates: every turn would be alike" if not pairs else "has sizes among its inputs"
        fail(ArgumentError, f"epoch: {step.name} {what}")
    state: list[Shared] = [s for s, _ in pairs]
    for v in arguments.variables:
        if not v.ndim:
            fail(ArgumentError, f"epoch: the input {v.name!r} is a number, and has no rows", v, hint="make it shared, and set its value")
    data = [tensor(v.name or "data", ("rows", *v.shape[1:]), v.dtype) for v in arguments.variables]
    length: Any = "batch" if batch_size is None else batch_size
    order = tensor("order", ("turns", length), "int64")

    def turn(carry: list[Any], rows: Any) -> tuple[list[Any], list[Any]]:
        batch = {v: take(d, rows, axis=0) for v, d in zip(arguments.variables, data)}
        outputs, new = substitute([step._outputs, [v for _, v in pairs]], {**batch, **dict(zip(state, carry))})
        return new, outputs

    last, rows = scan(turn, list(state), order)
    inputs: dict[str, Any] = {}
    at = iter(data)
    for argument, structure in zip(arguments.names, arguments.structures):
        inputs[argument] = tree.unflatten(structure, [next(at) for _ in range(structure.num_leaves)])
    if "order" in inputs:
        fail(ArgumentError, "epoch: an input of the step is named 'order'", hint="call it something else: the rows of minibatches are")
    outputs = tree.unflatten(step._structure, rows)
    return function({**inputs, "order": order}, outputs, updates=list(zip(state, last)), name=name, casting=step.casting)

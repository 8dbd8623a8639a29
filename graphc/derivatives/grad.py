"""Reverse mode: the derivative of a graph as a graph of the same ops.

    vjp(outputs, wrt, cotangents)    sum over outputs of J^T cotangent, a tree like wrt
    grad(cost, wrt)                  vjp of one number with cotangent 1

One sweep from the outputs to all of `wrt`: a node on a path gets the sum of what its users pass down, and its op's
vjp turns that into what its inputs get. Nothing here knows an op by name.

**Masks.** Where a branch is not taken (`where`, `maximum`, `clip`, reduce max) the cotangent is not just small, it is
structurally 0, and must stay 0 when a derivative downstream is infinite: 0 * inf is nan. So a cotangent is a pair
(value, mask or None), the value being 0 where the mask is False:

    an op with the trait `masks` introduces masks     where(c, a, b): a gets (where(c, g, 0), c)
    an elementwise vjp re-selects                   (g, m) through f: (where(m, g * f'(x), 0), m)
    one that `keeps_zeros` maps 0 to 0 by itself    (g, m) through add: (g, m)
    an op that only moves and adds elements carries (g, m) through op: (vjp(g), vjp(m as 0s and 1s) > 0)
    an op that mixes in operands (products) drops   (g, m) through a @ b: (g @ b.T, None)
    an op with bodies carries them through these    by the trait `through`
    a sum is masked by `or`, and not at all if one of its parts is not
"""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn

from graphc.derivatives.jumps import refuse_jumps
from graphc.derivatives.user_trees import Leaves, filled, fitted, floats_of, is_zeros, nodes_of, seeds_of, zeros_like
from graphc.dims import format_shape
from graphc.dtypes import is_float
from graphc.errors import ArgumentError, DisconnectedError, NotDifferentiableError, ShapeError, fail
from graphc.ir import Node, origin, toposort
from graphc.operators import FUNCTIONS
from graphc.ops.derived import derived
from graphc.ops.outputs import GET, listed, outputs
from graphc.ops.overlay import any_of, positive, total
from graphc.ops.spread import astype
from graphc.tree import Tree

Seed = tuple[Node, Node]  # an output and its cotangent
Values = Node | tuple[Node | None, ...]  # of one output, or of each of several; None: nothing arrives there


# -- what users call ------------------------------------------------------------------------------------------------
def grad(
    cost: Node | None,
    wrt: Tree,
    *,
    disconnected: str = "error",
    consider_constant: Tree = (),
    known_cotangents: Mapping[Node, Any] | None = None,
) -> Tree:
    """d cost / d wrt: a tree like `wrt`, each leaf of the shape and dtype of its counterpart.

    cost: a 0-d float. wrt: a tree of float nodes, be they variables, state or interior nodes; each derivative is the total one, so
    grad(c, [x, h(x)]) is [grad(c, x), grad(c, h)]. A leaf that the cost does not depend on is an error, or 0 with
    disconnected="zero". consider_constant: nodes through which nothing passes. known_cotangents={node: d cost / d node}: what would
    reach these nodes is replaced; cost may then be None. Raises ArgumentError, ShapeError, NotDifferentiableError, DisconnectedError.
    """
    seeds = [] if cost is None and known_cotangents else [_unit("grad", cost)]
    known = {node: fitted("grad", "known_cotangents", value, node) for node, value in (known_cotangents or {}).items()}
    return reverse("grad", seeds, floats_of("grad", "wrt", wrt), disconnected, consider_constant, known)


def value_and_grad(cost: Node, wrt: Tree, *, disconnected: str = "error", consider_constant: Tree = ()) -> tuple[Node, Tree]:
    """(cost, d cost / d wrt), see `grad`; compiled in one function they share the forward graph."""
    what = "value_and_grad"
    return cost, reverse(what, [_unit(what, cost)], floats_of(what, "wrt", wrt), disconnected, consider_constant)


def vjp(outputs: Tree, wrt: Tree, cotangents: Tree, *, disconnected: str = "error", consider_constant: Tree = ()) -> Tree:
    """J^T u with J = d outputs / d wrt: a tree like `wrt`.

    cotangents: the u, a tree like `outputs` of nodes or arrays of their shapes; None stands for zeros. Raises as `grad` does.
    """
    out = floats_of("vjp", "outputs", outputs)
    seeds = [(node, u) for node, u in zip(out.nodes, seeds_of("vjp", "cotangents", cotangents, out)) if u is not None]
    roots = [(node, zeros_like(node)) for node in out.nodes[:1] if not seeds]
    return reverse("vjp", seeds or roots, floats_of("vjp", "wrt", wrt), disconnected, consider_constant)


def _unit(what: str, cost: object) -> Seed:
    """The cost with its cotangent 1."""
    if not isinstance(cost, Node):
        if callable(cost):
            fail(ArgumentError, f"{what} takes an expression, not a function", hint=f"build it first: cost = f(x), then gx.{what}(cost, x)")
        fail(ArgumentError, f"{what}: the cost must be one node, got {type(cost).__name__}", hint="gx.vjp and gx.jacobian take trees")
    if cost.ndim:
        hint = "reduce it with gx.sum or gx.mean; or use gx.vjp or gx.jacobian"
        fail(ShapeError, f"{what}: the cost must be 0-d, not of shape ({format_shape(cost.shape)})", cost, hint=hint)
    if not is_float(cost.dtype):
        fail(NotDifferentiableError, f"{what}: the cost is {cost.dtype}, not float", cost)
    return cost, filled(1.0, cost)


def reverse(
    what: str, seeds: Sequence[Seed], wrt: Leaves, disconnected: str, consider_constant: Tree = (), known: Mapping[Node, Node] | None = None
) -> Tree:
    """The sweep for checked arguments, after `prepare`: a tree like `wrt`."""
    if disconnected not in ("error", "zero"):
        fail(ArgumentError, f"{what}: disconnected={disconnected!r}", hint='it is "error" or "zero"')
    known = known or {}
    sources, constant = set(wrt.nodes), set(nodes_of(what, "consider_constant", consider_constant).nodes)
    roots = [node for node, _ in seeds] + list(known)
    ready = prepared(roots, {*wrt.nodes, *constant, *known})[: len(seeds)]
    refuse_jumps(ready, sources, passes, constant | known.keys())
    refuse_jumps(list(known), sources - known.keys(), passes, constant)
    found = pull_back([(node, u) for node, (_, u) in zip(ready, seeds)], sources, constant, known)
    if disconnected == "error" and len(found) < len(sources):
        # of the graph as written: a path that `prepare` found to cancel, or that a derivative has lost (`derived`), is zero, not missing
        reached = reached_from(roots)
        lost = [(node, path) for node, path in zip(wrt.nodes, wrt.paths) if node not in reached]
        if lost:
            paths = ", ".join(path for _, path in lost)
            hint = 'leave it out of wrt, or ask for zeros with disconnected="zero"'
            fail(DisconnectedError, f"{what}: the outputs do not depend on {paths}", *[node for node, _ in lost], hint=hint)
    return wrt.unflatten(derived([found[node] if node in found else zeros_like(node) for node in wrt.nodes], roots, sources))


def reached_from(roots: Sequence[Node]) -> set[Node]:
    """The nodes on which the roots depend: of what a loop carries beside each other, only what they read."""
    seen: set[Node] = set()
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        source = node.inputs[0] if node.op is GET else node
        reads = source.op.traits.reads
        stack += node.inputs if reads is None else [source.inputs[i] for i in reads(source, node.params[0])]
    return seen


def readied(outputs: Sequence[Node], wrt: Collection[Node], constant: Collection[Node] = ()) -> list[Node]:
    """The outputs in the form that is differentiated by `wrt`; NotDifferentiableError where a discrete draw is on the way."""
    ready = prepared(outputs, {*wrt, *constant})
    refuse_jumps(ready, wrt, passes, constant)
    return ready


def prepared(outputs: Sequence[Node], keep: Collection[Node]) -> list[Node]:
    """The outputs in the form that is differentiated: simplified by exact and stable rules, with the nodes of `keep` in place."""
    from graphc.passes.prepare import (
        prepare,  # here: the joint from the trunk to the leaf, so that the trunk stands alone
    )

    return prepare(outputs, keep)


@contextmanager
def collector_paused() -> Iterator[None]:
    """No cyclic garbage collection inside: sweeps and compiles make what lives on and hardly any cycle.

    Gradient of 100,000 tanh: 4.2 s -> 2.5 s; a third of the time of a compile.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


# -- the sweep --------------------------------------------------------------------------------------------------------
class Cotangent(NamedTuple):
    """What a user passes down: `value` is exactly 0 where `mask` is False; None: nothing is known."""

    value: Node
    mask: Node | None


def pull_back(
    seeds: Sequence[Seed], sources: AbstractSet[Node], constant: AbstractSet[Node] = frozenset(), known: Mapping[Node, Node] | None = None
) -> dict[Node, Node]:
    """The cotangent of each source that the seeds reach; linear in the arcs, and only paths from sources to seeds are built."""
    found = pull_back_masked([(node, Cotangent(u, None)) for node, u in seeds], sources, constant, known)
    return {node: cotangent.value for node, cotangent in found.items()}


@collector_paused()
def pull_back_masked(
    seeds: Sequence[tuple[Node, Cotangent]],
    sources: AbstractSet[Node],
    constant: AbstractSet[Node] = frozenset(),
    known: Mapping[Node, Node] | None = None,
    selecting: AbstractSet[Node] = frozenset(),
) -> dict[Node, Cotangent]:
    """As `pull_back`, of seeds with their masks; `selecting`: the sources of which masks are asked too."""
    known = known or {}
    order = toposort([node for node, _ in seeds] + list(known), stop=constant)
    through, wanted = _paths(order, sources, constant, selecting)
    arrived: dict[Node, list[Cotangent]] = {}
    several: dict[Node, list[Cotangent | None]] = {}  # of a node of several outputs, what each of them gets
    for node, cotangent in seeds:
        arrived.setdefault(node, []).append(cotangent)
    result: dict[Node, Cotangent] = {}
    for node in reversed(order):
        totals = several.pop(node, None)
        parts = [Cotangent(known[node], None)] if node in known else arrived.pop(node, [])
        if not parts and totals is None:
            continue
        with origin(node.site):
            if totals is None:
                total = parts[0] if len(parts) == 1 else _sum(parts)
                if node in sources:
                    result[node] = total
                totals = [total]
            if node not in through:
                continue
            if node.op is GET:
                source = node.inputs[0]
                several.setdefault(source, [None] * len(outputs(source)))[node.params[0]] = totals[0]
                continue
            if node.op.traits.refuses:
                refuse(node, [k for k, i in enumerate(node.inputs) if i in through or i in sources])
            for i, part in zip(node.inputs, _transposed(node, totals, wanted)):
                if part is not None and (i in through or i in sources):
                    arrived.setdefault(i, []).append(part)
    return result


def _paths(
    order: Sequence[Node], sources: AbstractSet[Node], constant: AbstractSet[Node], selecting: AbstractSet[Node]
) -> tuple[set[Node], set[Node]]:
    """(the nodes through which a derivative passes on to a source, those of them where a mask may be of use further down)."""
    through: set[Node] = set()
    wanted: set[Node] = set(selecting)
    opaque: set[Node] = set()  # of several outputs, without a derivative: right as long as no float one is on a path
    for node in order:
        if not node.inputs or node in constant:
            continue
        if not any(i in through or i in sources for i in node.inputs):
            if node.op is GET and node.inputs[0] in opaque and has_float(node):
                no_derivative(node.inputs[0])
        elif passes(node):
            through.add(node)
            if selects(node) or (not _is_product(node) and any(i in wanted for i in node.inputs)):
                wanted.add(node)
        elif node.op.vjp is None and not node.op.traits.stops and has_float(node):
            if not isinstance(node.type, tuple):
                no_derivative(node)
            opaque.add(node)
    return through, wanted


def selects(node: Node) -> bool:
    """Whether a mask of its cotangent is of use to the derivative of a node: that is not 0 wherever the cotangent is."""
    return (node.op.elementwise and not node.op.traits.keeps_zeros) or node.op.traits.through is not None


def _is_product(node: Node) -> bool:
    """Linear in each of several operands alone: its vjp mixes them in, and a mask ends there."""
    return len(node.op.linear_in) > 1 and not node.op.elementwise


def passes(node: Node) -> bool:
    """Whether a derivative can pass: a float result of an op that has a derivative and does not stop it."""
    return (node.op.vjp is not None or node.op is GET) and has_float(node) and not node.op.traits.stops


def has_float(node: Node) -> bool:
    """Whether the node, or one of its several outputs, is float."""
    type = node.type
    return any([is_float(t.dtype) for t in type]) if isinstance(type, tuple) else is_float(type.dtype)


def no_derivative(node: Node) -> NoReturn:
    """The error of a path that ends at an op without a derivative."""
    hint = "declare it with vjp=, or pass it through gx.stop_gradient"
    fail(NotDifferentiableError, f"the op {node.op.name} has no derivative", node, hint=hint)


def refuse(node: Node, operands: Sequence[int]) -> None:
    """NotDifferentiableError where one of the operands is refused by the op."""
    for k, what in node.op.traits.refuses:
        if k in operands:
            fail(NotDifferentiableError, what, node, hint="pass that operand through gx.stop_gradient, or leave it out of wrt")


def _sum(parts: Sequence[Cotangent]) -> Cotangent:
    return Cotangent(total([part.value for part in parts]), _any([part.mask for part in parts]))


def _transposed(node: Node, totals: Sequence[Cotangent | None], wanted: AbstractSet[Node]) -> list[Cotangent | None]:
    """The cotangents of the inputs from those of the outputs, with their masks: the table at the head of this file.

    Of several outputs, those of one mask go through the vjp together; the vjp is linear, so what the masks give adds up.
    """
    if node.op.traits.through is not None:
        wants = [i in wanted for i in node.inputs]
        found_through = node.op.traits.through(totals, wants, outputs(node), *node.inputs, **node.attrs)
        return list(listed(found_through, node, "derivative", len(node.inputs), "input"))
    if len(totals) == 1 and (alone := totals[0]) is not None and not isinstance(node.type, tuple):
        return _passed(node, alone.value, alone.mask, node, wanted)
    out = outputs(node)
    masks = dict.fromkeys([t.mask for t in totals if t is not None])
    found: list[list[Cotangent]] = [[] for _ in node.inputs]
    for mask in masks:
        g = tuple([None if t is None or t.mask is not mask else t.value for t in totals])
        for parts, part in zip(found, _passed(node, g, mask, out, wanted)):
            if part is not None:
                parts.append(part)
    return [_sum(parts) if parts else None for parts in found]


def _passed(node: Node, g: Values, mask: Node | None, out: Values, wanted: AbstractSet[Node]) -> list[Cotangent | None]:
    """What the cotangent g of one output, or the cotangents of several, under one mask become at the inputs."""
    op, inputs, params = node.op, node.inputs, node.attrs
    assert op.vjp is not None
    given = listed(op.vjp(g, out, *inputs, **params), node, "derivative", len(inputs), "input")
    values = [None if v is None or is_zeros(v) else v for v in given]
    introduces = op.traits.masks if any(i in wanted for i in inputs) else None
    if mask is None and introduces is None:
        return [None if v is None else Cotangent(v, None) for v in values]
    new = list(introduces(out, *inputs, **params)) if introduces else [None] * len(inputs)
    old: list[Node | None] = [None] * len(inputs)
    if mask is not None and op.elementwise:
        old = [mask] * len(inputs)
        if not op.traits.keeps_zeros:
            values = [v if v is None or any([v is u for u in _each(g)]) else FUNCTIONS["where"](mask, v, 0) for v in values]
    elif mask is not None and not _is_product(node) and any(i in wanted for i in inputs):
        shown = [None if u is None else astype(mask, u.dtype) for u in _each(g)]
        ones = tuple(shown) if isinstance(g, tuple) else shown[0]
        assert ones is not None
        old = _carried(node, ones, out, new)
    return [None if v is None else Cotangent(v, _both(a, b)) for v, a, b in zip(values, old, new)]


def _each(values: Values) -> tuple[Node | None, ...]:
    return values if isinstance(values, tuple) else (values,)


def _any(masks: Sequence[Node | None]) -> Node | None:
    """Where one of the masks is True; None where one is not known, or two are the branches of a `where`: nothing is masked."""
    several = dict.fromkeys(masks)
    known = [m for m in several if m is not None]
    if len(known) < len(several) or (len(known) > 1 and any([FUNCTIONS["logical_not"](m) in several for m in known])):
        return None
    return any_of(known)


def _both(a: Node | None, b: Node | None) -> Node | None:
    return b if a is None else a if b is None or a is b else a & b


def _carried(node: Node, ones: Values, out: Values, new: Sequence[Node | None]) -> list[Node | None]:
    """The masks of the inputs of an op that moves or adds elements: where its vjp of the mask, as 0s and 1s, is positive.

    Known by the vjp not reading an operand; one that selects (it introduces a mask) may read it.
    """
    assert node.op.vjp is not None
    shadows = node.op.vjp(ones, out, *node.inputs, **node.attrs)
    results = [r for r in _each(out) if r is not None]
    operands = {*results, *[i for i in node.inputs if is_float(i.dtype)]}
    held = [u for u in (*_each(ones), *results, *node.inputs) if u is not None]
    masks: list[Node | None] = []
    for shadow, selects in zip(shadows, new):
        if shadow is None or (selects is None and not operands.isdisjoint(toposort([shadow], stop=held))):
            masks.append(None)
        else:
            masks.append(positive(shadow))
    return masks

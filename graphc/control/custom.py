"""`custom_vjp` and `custom_jvp`: a function whose derivative the user states.

The op holds the function's body and the rule; compiled, it is its body. Differentiated, its rule is called on nodes, and what it
gives is an ordinary graph: derivatives of derivatives are those of the rule.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphc import tree
from graphc.control.called import called_type, mapped_body, zeros_for
from graphc.control.tracing import Leaves, called, leaves_of, stand_in, trace
from graphc.derivatives.batch import vmap
from graphc.derivatives.check_grad import check_grad
from graphc.derivatives.grad import pull_back
from graphc.derivatives.user_trees import Leaves as Checked
from graphc.derivatives.user_trees import floats_of, seeds_of
from graphc.dims import Size
from graphc.dtypes import is_float
from graphc.errors import ArgumentError, NotDifferentiableError, fail
from graphc.ir import Node, Op, make, toposort
from graphc.ops.outputs import outputs
from graphc.ops.reductions import sum as sum_over
from graphc.ops.registry import structural
from graphc.records import dataclass
from graphc.region import Region, close
from graphc.traits import Traits
from graphc.tree import Tree, TreeDef
from graphc.types import TensorType

Values = Sequence["Node | None"]


@dataclass(frozen=True)
class Rule:
    """A derivative as the user states it: `forward` and `backward` of reverse mode, or `tangent` of forward mode.

    takes, gives: the structures of the arguments and of the result; lanes: for each `vmap` outside, which arguments are mapped.
    """

    name: str
    takes: TreeDef
    gives: TreeDef
    forward: Callable[..., Any] | None = None
    backward: Callable[..., Any] | None = None
    tangent: Callable[..., Any] | None = None
    lanes: tuple[tuple[bool, ...], ...] = ()

    def arguments(self, leaves: Sequence[Node | None]) -> tuple[Tree, ...]:
        """The arguments as the function takes them."""
        return tuple(tree.unflatten(self.takes, list(leaves)))


# -- the ops ------------------------------------------------------------------------------------------------------------
def _custom_type(*inputs: TensorType, rule: Rule, count: int, body: Region) -> tuple[TensorType, ...]:
    return called_type(rule.name, body, inputs)


def _custom_ref(*arrays: Any, rule: Rule, count: int, body: Any) -> Any:
    return body(*arrays)


def _all_arguments(inputs: Sequence[Node], rule: Rule, count: int, body: Region) -> None:
    """NotDifferentiableError where the function captures what it might have to be differentiated by."""
    moving = {leaf: x for leaf, x in zip(body.inputs[count:], inputs[count:]) if is_float(leaf.dtype)}
    for node in toposort(body.outputs) if moving else ():
        source = next((moving[i] for i in node.inputs if i in moving), None)
        if source is not None and not node.op.traits.stops:
            moving[node] = source
    for node in body.outputs:
        if node in moving:
            hint = "make it an argument of the function, or pass it through gx.stop_gradient there"
            what = f"{rule.name} has a derivative of its own, by its arguments, but it captures a value"
            fail(NotDifferentiableError, what, moving[node], hint=hint)


def _vjp(g: Values, out: Sequence[Node], *inputs: Node, rule: Rule, count: int, body: Region) -> list[Node | None]:
    _all_arguments(inputs, rule, count, body)
    arguments = inputs[:count]
    cotangents = tree.unflatten(rule.gives, zeros_for(g, out))
    found = _reverse(rule, rule.lanes)(rule.arguments(arguments), cotangents)
    seeds = _as_cotangents(rule, found, arguments)
    return [*[s if is_float(x.dtype) else None for s, x in zip(seeds, arguments)], *[None] * (len(inputs) - count)]


def _reverse(rule: Rule, lanes: Sequence[tuple[bool, ...]]) -> Callable[[Any, Any], Any]:
    """(arguments, cotangents) -> cotangents of the arguments, mapped as often as the function is."""
    if not lanes:
        return functools.partial(_stated, rule)
    *outer, mapped = lanes
    inside = _reverse(rule, outer)
    axes = tree.unflatten(rule.takes, [0 if m else None for m in mapped])

    def each(arguments: Any, cotangents: Any) -> Any:
        parts = vmap(inside, in_axes=(axes, 0))(arguments, cotangents)
        leaves, structure = tree.flatten(parts)
        summed = [part if m or not is_float(part.dtype) else sum_over(part, 0) for part, m in zip(leaves, mapped)]
        return tree.unflatten(structure, summed)

    return each


def _stated(rule: Rule, arguments: Any, cotangents: Any) -> Any:
    """What the user's two functions give."""
    assert rule.forward is not None and rule.backward is not None
    made = rule.forward(*arguments)
    if not isinstance(made, tuple) or len(made) != 2:
        fail(ArgumentError, f"{rule.name}: fwd must return (result, residuals), got {type(made).__name__}")
    structure = tree.structure(made[0])
    if structure != rule.gives:
        fail(ArgumentError, f"{rule.name}: fwd returns a result unlike that of the function, {rule.gives.difference(structure)}")
    found = rule.backward(made[1], cotangents)
    leaves = [n for n in tree.leaves(arguments) if isinstance(n, Node)]
    return rule.arguments(zeros_for(_as_cotangents(rule, found, leaves), leaves))


def _as_cotangents(rule: Rule, found: Any, arguments: Sequence[Node]) -> list[Node | None]:
    """What bwd returned, a tuple like the arguments with None for zero, leaf by leaf."""
    if not isinstance(found, (tuple, list)) or len(found) != len(rule.takes.children):
        have = f"{len(found)}" if isinstance(found, (tuple, list)) else f"a {type(found).__name__}"
        fail(
            ArgumentError,
            f"{rule.name}: bwd must return a tuple of {len(rule.takes.children)} cotangents, one for each argument, got {have}",
        )
    paths = ["argument " + path for path in tree.paths(rule.arguments(arguments))]
    return seeds_of(rule.name, "cotangents", tuple(found), Checked(list(arguments), paths, rule.takes))


VJP_OP: Op = structural(
    "custom_vjp", None, "Its body, with the reverse derivative of `rule`; the first `count` inputs are its arguments.",
    params=("rule", "count", "body"), type_rule=_custom_type, ref=_custom_ref, vjp=_vjp, regions=("body",),
    traits=Traits(stated=True),
    batch=lambda inputs, mapped, rule, count, body: _batch(VJP_OP, inputs, mapped, rule, count, body),
)  # fmt: skip


def _batch(op: Any, inputs: Sequence[Node], mapped: Sequence[bool], rule: Rule, count: int, body: Region) -> tuple[Node, ...]:
    size: Size = next(x.shape[0] for x, m in zip(inputs, mapped) if m)
    lanes = Rule(rule.name, rule.takes, rule.gives, rule.forward, rule.backward, rule.tangent, (*rule.lanes, tuple(mapped[:count])))
    return outputs(make(op, tuple(inputs), (lanes, count, mapped_body(body, mapped, size))))


def _tangents(rule: Rule, lanes: Sequence[tuple[bool, ...]]) -> Callable[[Any, Any], Any]:
    """(arguments, tangents) -> tangents of the result, mapped as often as the function is."""
    if not lanes:
        return functools.partial(_stated_tangents, rule)
    *outer, mapped = lanes
    axes = tree.unflatten(rule.takes, [0 if m else None for m in mapped])
    return vmap(_tangents(rule, outer), in_axes=(axes, axes))


def _stated_tangents(rule: Rule, arguments: Any, tangents: Any) -> Any:
    assert rule.tangent is not None
    made = rule.tangent(arguments, tangents)
    if not isinstance(made, tuple) or len(made) != 2:
        fail(ArgumentError, f"{rule.name}: the jvp must return (result, its tangent), got {type(made).__name__}")
    structure = tree.structure(made[1])
    if structure != rule.gives:
        fail(ArgumentError, f"{rule.name}: the jvp returns a tangent unlike the result, {rule.gives.difference(structure)}")
    return made[1]


def _pushed(rule: Rule, inputs: Sequence[Node], out: Sequence[Node], tangents: Values) -> list[Node | None]:
    moved = zeros_for(tangents, inputs)
    found = _tangents(rule, rule.lanes)(rule.arguments(inputs), rule.arguments(moved))
    like = Checked(list(out), ["result " + path for path in tree.paths(tree.unflatten(rule.gives, list(out)))], rule.gives)
    made = seeds_of(rule.name, "tangents", found, like)
    return [t if is_float(o.dtype) else None for t, o in zip(made, out)]


def _jvp(out: Sequence[Node], inputs: Sequence[Node], tangents: Values, rule: Rule, count: int, body: Region) -> list[Node | None]:
    _all_arguments(inputs, rule, count, body)
    return _pushed(rule, inputs[:count], out, tangents[:count])


def _transposed(g: Values, out: Sequence[Node], *inputs: Node, rule: Rule, count: int, body: Region) -> list[Node | None]:
    """The rule of forward mode, which is linear in the tangents, transposed."""
    _all_arguments(inputs, rule, count, body)
    moving = [k for k, x in enumerate(inputs[:count]) if is_float(x.dtype)]
    stand_ins = dict(zip(moving, [stand_in(inputs[k].tensor) for k in moving]))
    tangents = _pushed(rule, inputs[:count], out, [stand_ins.get(k) for k in range(count)])
    found = pull_back([(t, u) for t, u in zip(tangents, g) if t is not None and u is not None], set(stand_ins.values()))
    if not set(stand_ins.values()).isdisjoint(toposort(list(found.values()))):
        fail(NotDifferentiableError, f"{rule.name}: its jvp is not linear in the tangents", *out[:1])
    return [found.get(stand_ins[k]) if k in stand_ins else None for k in range(len(inputs))]


JVP_OP: Op = structural(
    "custom_jvp", None, "Its body, with the forward derivative of `rule`; the first `count` inputs are its arguments.",
    params=("rule", "count", "body"), type_rule=_custom_type, ref=_custom_ref, vjp=_transposed, jvp=_jvp, regions=("body",),
    traits=Traits(stated=True),
    batch=lambda inputs, mapped, rule, count, body: _batch(JVP_OP, inputs, mapped, rule, count, body),
)  # fmt: skip


# -- what users call ------------------------------------------------------------------------------------------------------
class _Custom:
    """A function of trees of arrays with a derivative of its own."""

    _kind: str
    _defines: str

    def __init__(self, f: Callable[..., Any]) -> None:
        called(self._kind, f)
        functools.update_wrapper(self, f)
        self.f, self.signature = f, inspect.signature(f)
        self.rules: dict[str, Callable[..., Any]] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Tree:
        name = getattr(self.f, "__name__", "f")
        if not self.rules:
            fail(ArgumentError, f"{self._kind}: {name} has no derivative yet", hint=f"state it: {name}.{self._defines}")
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        if bound.kwargs:
            fail(ArgumentError, f"{self._kind}: {name} has arguments that are passed by keyword alone: {', '.join(bound.kwargs)}")
        given = leaves_of(name, "argument", tuple(bound.args))
        traced = trace(name, self.f, tree.unflatten(given.structure, given.nodes), loop=False)
        made: Leaves = leaves_of(name, "result", traced.result)
        body, captured = close(made.nodes, traced.arguments, traced.since)
        rules = self.rules
        rule = Rule(name, given.structure, made.structure, rules.get("forward"), rules.get("backward"), rules.get("tangent"))
        op = VJP_OP if "backward" in rules else JVP_OP
        node = make(op, (*given.nodes, *captured), (rule, len(given.nodes), body))
        return tree.unflatten(made.structure, outputs(node))

    def _checked(self, at: Sequence[Any] | None, order: int) -> None:
        """check_grad at the arguments `at`, where they are given."""
        if at is not None:
            values = leaves_of("check", "argument", tuple(at))
            variables = [stand_in(n.tensor) for n in values.nodes]
            result = self(*tree.unflatten(values.structure, variables))
            floats = [x for x in variables if is_float(x.dtype)]
            arrays: Mapping[Node, Any] = {x: n.eval() for x, n in zip(variables, values.nodes)}
            outs = [n for n in tree.leaves(result) if is_float(n.dtype)]
            check_grad(floats_of("check", "result", outs).nodes, floats, arrays, order=order)


class custom_vjp(_Custom):
    """f with a reverse derivative of its own; a decorator. JAX's `custom_vjp`.

        @gx.custom_vjp
        def clipped(x): return x
        clipped.defvjp(lambda x: (x, None), lambda residuals, g: (gx.clip(g, -1, 1),))

    fwd(*arguments) -> (f(*arguments), residuals); bwd(residuals, g) -> a tuple of cotangents, one for each argument, None for zero.
    Both are called on nodes, once for each use that is differentiated. Arguments and results are trees of arrays; what f captures has no
    derivative: NotDifferentiableError says so where one is asked for. Forward mode is the transpose of bwd.
    """

    _kind, _defines = "custom_vjp", "defvjp(fwd, bwd)"

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any], *, check: Sequence[Any] | None = None, order: int = 1) -> None:
        """State the rule. check: arguments (arrays) at which `gx.check_grad` compares it with differences now, raising NumericError."""
        if not callable(fwd) or not callable(bwd):
            fail(ArgumentError, "defvjp takes two functions, fwd and bwd")
        self.rules = {"forward": fwd, "backward": bwd}
        self._checked(check, order)


class custom_jvp(_Custom):
    """f with a forward derivative of its own; a decorator. JAX's `custom_jvp`.

        @gx.custom_jvp
        def safe_log(x): return gx.log(x)
        safe_log.defjvp(lambda primals, tangents: (safe_log(*primals), tangents[0] / gx.maximum(primals[0], 1e-6)))

    jvp(primals, tangents) -> (f(*primals), tangent of the result), linear in the tangents; reverse mode is its transpose. See `custom_vjp`.
    """

    _kind, _defines = "custom_jvp", "defjvp(jvp)"

    def defjvp(self, jvp: Callable[..., Any], *, check: Sequence[Any] | None = None, order: int = 1) -> None:
        """State the rule. check: arguments (arrays) at which `gx.check_grad` compares it with differences now, raising NumericError."""
        if not callable(jvp):
            fail(ArgumentError, "defjvp takes a function")
        self.rules = {"tangent": jvp}
        self._checked(check, order)

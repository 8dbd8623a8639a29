"""`switch`: one of several bodies runs; `cond` is the switch of two.

The op reads (index, operands); each of its bodies reads the operands and gives the outputs. An index beyond the ends is the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc import tree
from graphc.control.bodies import plain_vjp
from graphc.control.switch_rules import switch_batch, switch_jvp, switch_vjp
from graphc.control.tracing import INDEX, Leaves, Traced, fits, leaves_of, same_shape, trace
from graphc.dtypes import bool_, int64
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node, make, replace, toposort
from graphc.ops.outputs import outputs
from graphc.ops.registry import asarray, structural
from graphc.ops.spread import astype
from graphc.region import Region, close
from graphc.traits import Traits
from graphc.tree import Tree
from graphc.types import TensorType


# -- the op -----------------------------------------------------------------------------------------------------------
def _switch_type(index: TensorType, *inputs: TensorType, branches: tuple[Region, ...]) -> tuple[TensorType, ...]:
    if index != INDEX or not branches:
        fail(DTypeError, f"switch: {len(branches)} branches, chosen by {index}")
    first = [o.tensor for o in branches[0].outputs]
    for k, branch in enumerate(branches):
        made = [o.tensor for o in branch.outputs]
        if len(inputs) != len(branch.types) or not all(map(fits, inputs, branch.types)):
            fail(ShapeError, f"switch: branch {k} takes {', '.join(map(str, branch.types))}, given {', '.join(map(str, inputs))}")
        if len(made) != len(first) or not all(map(fits, made, first)):
            fail(ShapeError, f"switch: branch {k} gives {', '.join(map(str, made))}, branch 0 {', '.join(map(str, first))}")
    return tuple(first)


def _switch_ref(index: np.ndarray, *arrays: np.ndarray, branches: Sequence[Any]) -> Any:
    return branches[min(max(int(index), 0), len(branches) - 1)](*arrays)


def _reads(k: int, branches: Sequence[Region]) -> list[int]:
    read = set(toposort([branch.outputs[k] for branch in branches]))
    return [0, *[i + 1 for i, x in enumerate(branches[0].inputs) if x in read]]


SWITCH = structural(
    "switch", None, "The outputs of branch number `index`, clipped to the ends; the others do not run.", params=("branches",),
    type_rule=_switch_type, ref=_switch_ref, regions=("branches",),
    vjp=plain_vjp(lambda *args, **params: switch_vjp(switch_node, *args, **params)),
    traits=Traits(reads=lambda node, k: _reads(k, **node.attrs), through=lambda *args, **params: switch_vjp(switch_node, *args, **params)),
    jvp=lambda *args, **params: switch_jvp(switch_node, *args, **params),
    batch=lambda *args, **params: switch_batch(switch_node, *args, **params),
)  # fmt: skip


def switch_node(
    index: Node, results: Sequence[Sequence[Node]], over: Sequence[Node], operands: Sequence[Node], since: int | None = None
) -> tuple[Node, ...]:
    """The outputs of the switch between bodies results[k](over), with `over` being `operands`."""
    every, captured = close([node for result in results for node in result], over, since)
    branches, at = [], 0
    for result in results:
        branches.append(every.with_outputs(every.outputs[at : at + len(result)]))
        at += len(result)
    return outputs(make(SWITCH, (index, *operands, *captured), (tuple(branches),)))


# -- what users call ----------------------------------------------------------------------------------------------------
def cond(pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Tree) -> Tree:
    """true_fun(*operands) if pred else false_fun(*operands): only one of them runs; JAX's `lax.cond`.

    pred: one boolean. Both functions are called once on variables and return trees of equal structure, dtypes and shapes; a Python
    number takes the dtype of its counterpart. Derivatives are those of the branch that runs. Under `vmap` with a mapped `pred` both
    run and `where` selects; a branch that looks something up, or loops, sees only lanes that take it.
    Raises ArgumentError, ShapeError, DTypeError, naming the leaf that differs.
    """
    chosen = asarray(pred)
    if chosen.ndim or chosen.dtype != bool_:
        kind = ShapeError if chosen.dtype == bool_ else DTypeError
        fail(
            kind, f"cond: the predicate is {chosen.tensor}, not one boolean", chosen, hint="compare it, or reduce it with gx.all or gx.any"
        )
    return _switched("cond", ("false_fun", "true_fun"), astype(chosen, int64), (false_fun, true_fun), operands)


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Tree) -> Tree:
    """branches[index](*operands), with an index beyond the ends taken to be the end; JAX's `lax.switch`. See `cond`."""
    chosen = asarray(index)
    if chosen.ndim or chosen.dtype.kind not in "iu":
        kind = DTypeError if not chosen.ndim else ShapeError
        fail(kind, f"switch: the index is {chosen.tensor}, not one integer", chosen)
    functions = tuple(branches)
    if not functions:
        fail(ArgumentError, "switch: no branches")
    return _switched("switch", [f"branches[{k}]" for k in range(len(functions))], astype(chosen, int64), functions, operands)


def _switched(what: str, names: Sequence[str], index: Node, functions: Sequence[Callable[..., Any]], operands: Sequence[Tree]) -> Tree:
    given = [leaves_of(what, f"operand {k}", operand) for k, operand in enumerate(operands)]
    arguments = [tree.unflatten(leaves.structure, leaves.nodes) for leaves in given]
    traces = [trace(what, f, arguments, loop=False) for f in functions]
    found = _alike(what, names, [leaves_of(what, name, t.result) for name, t in zip(names, traces)])
    over = [a for t in traces[:1] for a in t.arguments]
    results = [_renamed(leaves.nodes, t, traces[0]) for leaves, t in zip(found, traces)]
    nodes = [n for leaves in given for n in leaves.nodes]
    made = switch_node(index, results, over, nodes, traces[0].since)
    return tree.unflatten(found[0].structure, made)


def _renamed(results: Sequence[Node], mine: Traced, first: Traced) -> list[Node]:
    """The results over the stand-ins of the first branch."""
    return list(results) if mine is first else replace(results, dict(zip(mine.arguments, first.arguments)))


def _alike(what: str, names: Sequence[str], found: Sequence[Leaves]) -> list[Leaves]:
    """The results of all branches in one dtype each: Python numbers take the dtype of the first result that is none."""
    first = found[0]
    for name, other in zip(names, found):
        if other.structure != first.structure:
            difference = first.structure.difference(other.structure)
            fail(ArgumentError, f"{what}: {names[0]} and {name} return different structures, {difference}")
    made: list[list[Node]] = [[] for _ in found]
    for k, path in enumerate(first.paths):
        column = [leaves.nodes[k] for leaves in found]
        strong = next((n for n, leaves in zip(column, found) if not leaves.weak[k]), column[0])
        for place, (node, leaves, name) in enumerate(zip(column, found, names)):
            if node.dtype != strong.dtype and leaves.weak[k] and strong.dtype.kind == "f":
                node = astype(node, strong.dtype)
            if node.dtype != strong.dtype:
                fail(DTypeError, f"{what}: {path} is {strong.dtype}, and {node.dtype} from {name}", strong, node, hint="cast one of them")
            same_shape(
                f"{what}: {path} is {strong.tensor}, and {node.tensor} from {name}",
                strong.shape,
                node.shape,
                strong,
                node,
                hint="all give one shape",
            )
            made[place].append(node)
    return [Leaves(tuple(nodes), f.paths, f.structure, f.weak) for nodes, f in zip(made, found)]

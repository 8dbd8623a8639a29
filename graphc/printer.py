"""Graph text that reads well.

    input x: f32[n, 64]    # train.py:3
    %0 = tanh(x) : f32[n, 64]    # train.py:5
    return %0

One line a node, inputs before users. Variables keep their names, other nodes are numbered by their place in the
order, constants of one value stand where they are used. A node of several outputs names each; a body stands below its node:

    %1.0, %1.1 = modf(x) : (f64[n], f64[n])
    %2 = call(%1.0) : f64[n]
        body(@0: f64[n]):
            %0 = tanh(@0) : f64[n]
            return %0
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from graphc.dims import format_shape
from graphc.dtypes import SHORT
from graphc.frozen import Frozen
from graphc.ir import Graph, Node, Type, toposort
from graphc.ops.outputs import GET
from graphc.region import BOUND, Region, regions_of
from graphc.types import TensorType

PARAM_WIDTH, EXPR_WIDTH, EXPR_ARGS, EXPR_DEPTH = 80, 160, 4, 8  # characters, characters, operands and levels shown


def format_graph(graph: Graph | Node | Iterable[Node], *, sites: bool = True) -> str:
    """The text of a graph, or of what some outputs need. `sites` adds the user's file and line to each node."""
    inputs, outputs = roots_of(graph)
    order = toposort(outputs)
    used = set(inputs)
    variables = [*inputs, *(n for n in order if n.op.traits.variable and n not in used)]
    names = node_names([*variables, *order])
    lines = [f"{v.op.name} {names[v]}: {format_type(v.type)}{format_site(v) if sites else ''}" for v in variables]
    return "\n".join([*lines, *_body(order, outputs, names, sites)])


def _body(order: Sequence[Node], outputs: Sequence[Node], names: dict[Node, str], sites: bool) -> list[str]:
    """The lines of the nodes that have a number, each with its bodies below, and of the outputs."""
    lines: list[str] = []
    for node in order:
        if names[node].startswith("%") and node.op is not GET:
            lines.append(format_node(node, names, sites))
            for name, region in regions_of(node):
                lines += ["    " + line for line in format_region(name, region, sites)]
    return [*lines, f"return {', '.join(names[o] for o in outputs)}"]


def format_region(name: str, region: Region, sites: bool = True) -> list[str]:
    """`body(@0: f64[n]):` and the lines of the body, whose nodes have numbers of their own."""
    order = toposort(region.outputs)
    names = node_names([*region.inputs, *order])
    head = f"{name}({', '.join(f'{names[i]}: {format_type(i.type)}' for i in region.inputs)}):"
    return [head, *("    " + line for line in _body(order, region.outputs, names, sites))]


def roots_of(graph: Graph | Node | Iterable[Node]) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
    """(inputs, outputs) of a graph; outputs alone have no listed inputs."""
    if isinstance(graph, Graph):
        return graph.inputs, graph.outputs
    return (), (graph,) if isinstance(graph, Node) else tuple(graph)


def node_names(order: Sequence[Node]) -> dict[Node, str]:
    """A name for every node of an order: variables their own (x, x.1 if taken), splat constants their value, others %0, %1, ..."""
    names: dict[Node, str] = {}
    taken: dict[str, int] = {}
    count = 0
    for node in order:
        if node in names:
            continue
        splat = splat_text(node)
        if node.op.traits.variable:
            again = taken[str(node.name)] = taken.get(str(node.name), -1) + 1
            names[node] = f"{node.name}.{again}" if again else str(node.name)
        elif node.op is BOUND:
            names[node] = f"@{node.params[0]}"
        elif splat is not None:
            names[node] = splat
        elif node.op is GET and node.inputs[0] in names:
            names[node] = f"{names[node.inputs[0]]}.{node.params[0]}"
        else:
            names[node] = f"%{count}"
            count += 1
    return names


def format_node(node: Node, names: dict[Node, str], sites: bool = True) -> str:
    """`%5 = tanh(%4) : f32[n, 64]    # train.py:14`."""
    args = [names.get(i, "?") if isinstance(i, Node) else repr(i) for i in node.inputs]
    args += [f"{k}={format_param(v)}" for k, v in zip(node.op.params, node.params) if k not in node.op.regions]
    made = names[node] if isinstance(node.type, TensorType) else ", ".join([f"{names[node]}.{k}" for k in range(len(node.type))])
    return f"{made} = {node.op.name}({', '.join(args)}) : {format_type(node.type)}{format_site(node) if sites else ''}"


def format_type(type: Type) -> str:
    """`f32[n, 64]`; several outputs in parentheses."""
    if not isinstance(type, TensorType):
        return f"({', '.join(map(format_type, type))})"
    return f"{SHORT.get(type.dtype, type.dtype)}[{format_shape(type.shape)}]"


def format_param(param: Hashable) -> str:
    """A parameter in at most 80 characters: dtypes by their short names, tuples without the comma of one."""
    if isinstance(param, np.dtype):
        text = SHORT.get(param, str(param))
    elif type(param) is tuple:
        text = f"({', '.join(format_param(p) for p in param)})"
    elif isinstance(param, str):
        text = param
    elif isinstance(param, TensorType):
        text = format_type(param)
    else:
        text = repr(param)
    return text if len(text) <= PARAM_WIDTH else text[: PARAM_WIDTH - 3] + "..."


def splat_text(node: Node) -> str | None:
    """The text of a constant of one value, with its type unless that is a plain number's; None for any other node."""
    if node.op.traits.leaf != "constant" or not isinstance(node.params[0], Frozen):
        return None
    array = node.params[0].array
    if array.size == 0 or (array.size > 1 and not _one_value(array)):
        return None
    value = repr(array.reshape(-1)[0].item())
    return f"{value}:{format_type(node.type)}" if array.ndim else value


def _one_value(array: np.ndarray) -> bool:
    """Whether all elements have the same bits: 0.0 and -0.0 differ, nan does not."""
    bits = array.reshape(-1).view(f"u{array.itemsize}")
    return bool((bits == bits[0]).all())


def format_site(node: Node) -> str:
    """`    # train.py:14`; "" where nobody knows, and for constants, which are one node wherever they are written."""
    if node.site is None or node.op.traits.leaf == "constant":
        return ""
    return f"    # {os.path.basename(node.site[0])}:{node.site[1]}"


def format_expr(node: Node, depth: int = 2) -> str:
    """One bounded line: `add(tanh(x), multiply(..., 2.0))`. What lies deeper than `depth` levels, at most 8, is `...`."""
    text = _expr(node, min(depth, EXPR_DEPTH))
    return text if len(text) <= EXPR_WIDTH else text[: EXPR_WIDTH - 3] + "..."


def _expr(node: Node, depth: int) -> str:
    if node.op.traits.variable:
        return str(node.name)
    splat = splat_text(node)
    if splat is not None:
        return splat
    if depth <= 0:
        return "..."
    shown = [_expr(i, depth - 1) for i in node.inputs[:EXPR_ARGS]] + ["..."] * (len(node.inputs) > EXPR_ARGS)
    return f"{node.op.name}({', '.join(shown)})"

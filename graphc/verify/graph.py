"""The invariants of a graph, each checked by stating it again, with a message that shows the neighbourhood of what breaks it.

    CompileError: verify: its type rule gives f32[3], but its type is f32[4]
      x: f32[3]    # train.py:3
    > %1 = tanh(x) : f32[4]    # train.py:5    | y = gx.tanh(x)
      %2 = reduce(%1, axes=(0), combine=sum) : f32[]    # train.py:6

`size_assumptions` re-runs the type rules too, for the pairs of sizes that they could not decide.
"""

from __future__ import annotations

import linecache
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

from graphc import dims
from graphc.dims import Dim, Size
from graphc.dtypes import SHORT
from graphc.errors import CompileError, GraphcError
from graphc.frozen import Frozen
from graphc.ir import Graph, Node, Op, Type, make, toposort
from graphc.ops.outputs import GET
from graphc.ops.registry import DIM, OPS
from graphc.printer import format_node, format_site, format_type, node_names, roots_of
from graphc.region import BOUND, Region, everywhere, is_free, regions_of
from graphc.types import TensorType, assumed_sizes

SHOWN_USERS = 4


def verify(graph: Graph | Node | Iterable[Node]) -> None:
    """Raise CompileError unless every node keeps the rules of the graph.

    Inputs are older than their users; ops are registered; arities, parameters and types are what the op's row says; nodes
    are interned; outputs are single arrays; the variables of a `Graph` are listed in its inputs, or shared.
    """
    inputs, outputs = roots_of(graph)
    listed = set(inputs) if isinstance(graph, Graph) else None
    for k, node in enumerate(inputs):
        if not isinstance(node, Node) or node.op.traits.leaf != "input":
            _broken(f"input {k} of the graph is not an input variable", node, ())
    if listed is not None and len(listed) != len(inputs):
        twice = next(a for k, a in enumerate(inputs) if any(a is b for b in inputs[:k]))
        _broken("a variable is listed twice among the inputs", twice, ())
    for k, node in enumerate(outputs):
        if not isinstance(node, Node):
            _broken(f"output {k} of the graph is no node but {type(node).__name__}", node, ())
    order = _order(outputs)
    for node in order:
        _check(node, order)
        if listed is not None and node.op.traits.leaf == "input" and node not in listed:
            _broken("the graph reads a variable that is not among its inputs", node, order)
        if node.op is BOUND:
            _broken("the input of a region lies outside of it", node, order)
    for k, node in enumerate(outputs):
        if not isinstance(node.type, TensorType):
            _broken(f"output {k} of the graph is several arrays, not one", node, order)
    _check_bodies(order)


def _check_bodies(order: Sequence[Node]) -> None:
    """The same of all bodies of a graph whose own nodes are right, and that they are closed; each body once."""
    seen: set[Region] = set()
    waiting = [region for node in order for _, region in regions_of(node)]
    while waiting:
        region = waiting.pop()
        if region in seen:
            continue
        seen.add(region)
        body = _order(region.outputs)
        for node in body:
            _check(node, body)
            if is_free(node) and not any(node is i for i in region.inputs):
                _broken("a region reads a value from outside", node, body)
            waiting += [inner for _, inner in regions_of(node)]
        if [i.params[0] if i.op is BOUND else None for i in region.inputs] != list(range(len(region.inputs))):
            _broken(f"the inputs of a region are not numbered leaves: {region.inputs}", region, body)
        for k, node in enumerate(region.outputs):
            if not isinstance(node.type, TensorType):
                _broken(f"output {k} of a region is several arrays, not one", node, body)


def _order(outputs: Sequence[Node]) -> list[Node]:
    """The nodes in topological order, once it is known that there is one: that inputs are older than users."""
    seen: set[Node] = set(outputs)
    stack = list(seen)
    while stack:
        node = stack.pop()
        if not isinstance(node.inputs, tuple) or not all(isinstance(i, Node) for i in node.inputs):
            _broken("its inputs are not a tuple of nodes", node, ())
        for i in node.inputs:
            if i.serial >= node.serial:
                _broken(f"its input {i!r} is not older than itself", node, ())
            if i not in seen:
                seen.add(i)
                stack.append(i)
    return toposort(outputs)


def _check(node: Node, order: Sequence[Node]) -> None:
    """Everything that one node must be."""
    op = node.op
    if not isinstance(op, Op) or OPS.get(op.name) is not op:
        _broken(f"{op!r} is not a registered op", node, order)
    if op.arity is not None and len(node.inputs) != op.arity:
        _broken(f"{op.name} takes {op.arity} inputs, but it has {len(node.inputs)}", node, order)
    if len(node.params) != len(op.params):
        _broken(f"{op.name} has parameters {', '.join(op.params) or 'none'}, but {len(node.params)} values", node, order)
    if any(not isinstance(r, Region) for _, r in regions_of(node)):
        _broken(f"a parameter among {', '.join(op.regions)} is no region", node, order)
    if op is not GET and any(isinstance(i.type, tuple) for i in node.inputs):
        _broken(f"{op.name} reads a node of several arrays, which only get does", node, order)
    for name, param in zip(op.params, node.params):
        fault = _param_fault(param)
        if fault:
            _broken(f"its parameter {name} {fault}", node, order)
    try:
        wanted = op.type_rule(*[i.type for i in node.inputs], **dict(zip(op.params, node.params)))
    except GraphcError as error:
        _broken(f"its type rule raises {type(error).__name__}: {error}", node, order)
    if wanted is not node.type and wanted != node.type:
        _broken(f"its type rule gives {format_type(wanted)}, but its type is {format_type(node.type)}", node, order)
    for part in (node.type,) if isinstance(node.type, TensorType) else node.type:
        fault = _type_fault(part)
        if fault:
            _broken(f"its type {fault}", node, order)
    if make(op, node.inputs, node.params) is not node:
        _broken("it is not the interned node of its op, inputs and parameters", node, order)


def _param_fault(param: Any) -> str:
    try:
        hash(param)
    except TypeError:
        return f"cannot be hashed: {param!r:.60}"
    if isinstance(param, Frozen) and param.array.flags.writeable:
        return "is an array that can be written"
    return next((f"mentions a loop index: {s}" for s in _sizes_in(param) if _axis_in(s)), "")


def _type_fault(type: TensorType) -> str:
    if type.dtype not in SHORT:
        return f"has an unsupported dtype: {type.dtype}"
    for size in type.shape:
        if _axis_in(size):
            return f"mentions a loop index: {size}"
        if isinstance(size, int) and size < 0:
            return f"has a negative size: {size}"
    return ""


def _sizes_in(param: Any) -> Iterator[Size]:
    if isinstance(param, Dim):
        yield param
    elif type(param) is tuple:
        for p in param:
            yield from _sizes_in(p)


def _axis_in(size: Size) -> bool:
    return isinstance(size, Dim) and any(s.kind != "size" for s in dims.symbols(size))


# -- sizes that nobody could decide ---------------------------------------------------------------------------------
def size_assumptions(outputs: Iterable[Node]) -> list[tuple[Size, Size]]:
    """The pairs of sizes that the type rules under `outputs` took to be equal without proof, each once, in order.

    To be asked of the user's graph, before passes: they may remove the nodes that assumed something.
    """
    pairs = {frozenset(pair): pair for pair, _ in reversed(list(_assumptions(outputs)))}
    return list(pairs.values())[::-1]


def assuming(outputs: Iterable[Node], a: Size, b: Size) -> Node | None:
    """The first node under `outputs` whose type rule took these two sizes to be equal."""
    return next((node for pair, node in _assumptions(outputs) if pair in ((a, b), (b, a))), None)


def _assumptions(outputs: Iterable[Node]) -> Iterator[tuple[tuple[Size, Size], Node]]:
    symbolic: dict[Type, bool] = {}
    for node in everywhere(tuple(outputs)):
        for i in node.inputs:
            if i.type not in symbolic:
                symbolic[i.type] = _symbolic(i.type)
        if any([symbolic[i.type] for i in node.inputs]) or node.op is DIM:
            with assumed_sizes() as noted:
                node.op.type_rule(*[i.type for i in node.inputs], **dict(zip(node.op.params, node.params)))
            yield from [(pair, node) for pair in noted]


def _symbolic(type: Type) -> bool:
    return any(isinstance(s, Dim) for t in ((type,) if isinstance(type, TensorType) else type) for s in t.shape)


# -- the message ----------------------------------------------------------------------------------------------------
def _broken(what: str, node: Any, order: Sequence[Node]) -> NoReturn:
    raise CompileError("\n".join([f"verify: {what}", *(neighbourhood(node, order) if isinstance(node, Node) else ())]))


def neighbourhood(node: Node, order: Sequence[Node]) -> list[str]:
    """A node with its inputs above, up to four of its users below, and the user's source line, with the names of the graph."""
    inputs = list(dict.fromkeys(_inputs(node)))
    readers = [n for n in order if any(i is node for i in _inputs(n))]
    shown = readers[:SHOWN_USERS]
    around = [n for group in (inputs, [node], shown) for n in (*(i for m in group for i in _inputs(m)), *group)]
    names = node_names([*order, *around])
    lines = [f"  {_line(i, names)}" for i in inputs]
    source = linecache.getline(*node.site).strip() if node.site else ""
    lines.append(f"> {_line(node, names)}" + (f"    | {source}" if source else ""))
    lines += [f"  {_line(n, names)}" for n in shown]
    return lines + [f"  and {len(readers) - len(shown)} more users"] * (len(readers) > len(shown))


def _inputs(node: Node) -> tuple[Node, ...]:
    """The inputs of a node that may be broken."""
    return tuple(i for i in node.inputs if isinstance(i, Node)) if isinstance(node.inputs, tuple) else ()


def _line(node: Node, names: dict[Node, str]) -> str:
    """The line of a node as the printer writes it."""
    if node.op.traits.variable or not names[node].startswith("%"):
        return f"{node.op.name} {names[node]}: {format_type(node.type)}{format_site(node)}"
    return format_node(node, names)

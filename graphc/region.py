"""`Region`: a closed graph as a value, over bound leaves; the body of a loop, a branch, a function that is called.

    close([x * exp(w)], over=[x])   ->  Region(@0, @1 -> @0 * @1), [exp(w)]

A body has no free variables: what it captures becomes an operand of the op that holds it. Its leaves are `Bound(k, dtype, shape)`,
numbered and not named, so that equal bodies are the same nodes, and a node with a body is interned as any other. An op names the
parameters that are regions in `Op.regions`; what walks graphs enters them by `map_regions`, or with `everywhere`. Bodies lie in
bodies as deep as functions were nested when they were written; nothing here recurses over the nodes of a graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from graphc.dims import Size, Symbol
from graphc.errors import ArgumentError, fail
from graphc.ir import Node, Op, Sized, make, map_sizes, origin, rebuild, replace, toposort
from graphc.types import TensorType, tensor_type

BOUND = Op("bound", 0, ("k", "dtype", "shape"), "Input k of the region that it lies in.", lambda k, dtype, shape: tensor_type(dtype, shape))


def is_free(node: Node) -> bool:
    """Whether the node is a leaf that has a value only where something gives it one."""
    return node.op is BOUND or node.op.traits.variable


def bound(k: int, type: TensorType) -> Node:
    """The leaf that stands for input k of a region."""
    with origin(("", 0)):  # one leaf serves all bodies: it is nobody's line
        return make(BOUND, (), (k, type.dtype, type.shape))


class Region(Sized):
    """`outputs` over the leaves bound(0, t0), bound(1, t1), ... of the types `inputs`: equal where these are the same nodes."""

    __slots__ = ("_key", "inputs", "outputs")
    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]

    def __init__(self, types: Sequence[TensorType], outputs: Sequence[Node]) -> None:
        self.inputs = tuple([bound(k, t) for k, t in enumerate(types)])
        self.outputs = tuple(outputs)
        self._key = tuple(map(id, (*self.inputs, *self.outputs)))
        for node in self.outputs:
            node.tensor  # noqa: B018 - raises for a node of several outputs
        free = [node for node in toposort(self.outputs) if is_free(node) and not any(node is i for i in self.inputs)]
        if free:
            hint = "graphc.region.close makes what a body captures an operand"
            fail(ArgumentError, "a region is closed, but this one reads values from outside", *free[:4], hint=hint)

    @property
    def types(self) -> tuple[TensorType, ...]:
        """The types of the inputs."""
        return tuple([i.tensor for i in self.inputs])

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Region) and self._key == other._key

    def __repr__(self) -> str:
        return f"({', '.join(map(repr, self.types))}) -> ({', '.join(repr(o.type) for o in self.outputs)})"

    def with_outputs(self, outputs: Sequence[Node]) -> Region:
        """Another body over the same inputs; the region itself where it is the same."""
        made = tuple(outputs)
        return self if len(made) == len(self.outputs) and all(a is b for a, b in zip(made, self.outputs)) else Region(self.types, made)

    def with_sizes(self, sizes: Mapping[Symbol, Size]) -> Region:
        """The body with symbols replaced, in the types of its inputs too."""
        types = [tensor_type(t.dtype, map_sizes(t.shape, sizes)) for t in self.types]
        leaves = {leaf: bound(k, t) for k, (leaf, t) in enumerate(zip(self.inputs, types))}
        return Region(types, replace(self.outputs, leaves, sizes))

    def __call__(self, *operands: Node) -> list[Node]:
        """The body with its inputs replaced, as an ordinary graph."""
        if len(operands) != len(self.inputs):
            fail(ArgumentError, f"a region of {len(self.inputs)} inputs is given {len(operands)}", *operands)
        return replace(self.outputs, dict(zip(self.inputs, operands)))


def close(outputs: Sequence[Node], over: Sequence[Node], since: int | None = None) -> tuple[Region, list[Node]]:
    """(the region outputs(over, captured), what it captures), in the order in which the graph meets it.

    Captured are the largest expressions with a variable in them that do not depend on `over`: they are computed once, outside.
    With `since`, only those that are older than this serial number: what was made later stays inside.
    """
    inside = set(over)
    free: set[Node] = set()
    captured: dict[Node, None] = {}
    order = toposort(outputs, stop=over)
    for node in order:
        if node in inside:
            continue
        made_inside = since is not None and node.serial > since and any(i in free and not isinstance(i.type, tuple) for i in node.inputs)
        if made_inside or any(i in inside for i in node.inputs):
            inside.add(node)
            captured.update(dict.fromkeys([i for i in node.inputs if i in free]))
        elif is_free(node) or any(i in free for i in node.inputs):
            free.add(node)
    captured.update(dict.fromkeys([node for node in outputs if node in free]))
    return bind(outputs, [*over, *captured]), list(captured)


def bind(outputs: Sequence[Node], leaves: Sequence[Node]) -> Region:
    """The region of `outputs`, whose input k is what `leaves[k]` was."""
    types = [leaf.tensor for leaf in leaves]
    held = {leaf: bound(k, t) for k, (leaf, t) in enumerate(zip(leaves, types))}
    return Region(types, replace(outputs, held))


# -- walks that enter bodies ------------------------------------------------------------------------------------------
def map_regions(node: Node, f: Callable[[Region], Region]) -> tuple[Any, ...]:
    """The parameters of `node` with every region replaced by f(region); a parameter may be a tuple of them."""
    names = node.op.regions
    if not names:
        return node.params
    return tuple([_mapped(p, f) if name in names else p for name, p in zip(node.op.params, node.params, strict=True)])


def _mapped(param: Any, f: Callable[[Region], Region]) -> Any:
    return tuple([f(r) for r in param]) if isinstance(param, tuple) else f(param)


def with_bodies(roots: Sequence[Node], f: Callable[[Region], Region]) -> list[Node]:
    """The roots with every body in their graph replaced by f(body)."""
    new: dict[Node, Node] = {}
    for node in toposort(roots):
        inputs = tuple([new[i] for i in node.inputs])
        if node.op.regions and (params := map_regions(node, f)) != node.params:
            with origin(node.site):
                new[node] = make(node.op, inputs, params)
        else:
            new[node] = rebuild(node, inputs)
    return [new[root] for root in roots]


def regions_of(node: Node) -> list[tuple[str, Region]]:
    """The bodies of a node by name: `body`, or `branches.0`, `branches.1` where the parameter is a tuple."""
    found: list[tuple[str, Region]] = []
    for name, param in zip(node.op.params, node.params) if node.op.regions else ():
        if name in node.op.regions:
            found += [(f"{name}.{k}", r) for k, r in enumerate(param)] if isinstance(param, tuple) else [(name, param)]
    return found


def everywhere(outputs: Sequence[Node]) -> Iterator[Node]:
    """The nodes of a graph and of all bodies in it, inputs before users in each; a body is walked once however often it is used."""
    seen: set[Region] = set()
    waiting: list[Sequence[Node]] = [outputs]
    while waiting:
        for node in toposort(waiting.pop()):
            yield node
            for _, region in regions_of(node):
                if region not in seen:
                    seen.add(region)
                    waiting.append(region.outputs)

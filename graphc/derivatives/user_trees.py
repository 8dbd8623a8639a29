"""What users hand to derivatives and to vmap, checked leaf by leaf: trees of nodes, seeds beside outputs, axes beside arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from graphc import tree
from graphc.dtypes import is_float
from graphc.errors import ArgumentError, NotDifferentiableError, ShapeError, fail
from graphc.ir import Node
from graphc.ops.registry import CONSTANT, asarray
from graphc.ops.spread import BROADCAST, astype, broadcast_to
from graphc.tree import Tree, TreeDef
from graphc.types import TensorType, same_size


class Leaves(NamedTuple):
    """The nodes of a tree, the path of each in words (`wrt['W'][0]`), and the structure."""

    nodes: list[Node]
    paths: list[str]
    structure: TreeDef

    def unflatten(self, leaves: list[Any]) -> Tree:
        return tree.unflatten(self.structure, leaves)


def nodes_of(what: str, name: str, value: Tree) -> Leaves:
    """The leaves of the tree `value` that was passed as `name`; ArgumentError where one is not a node."""
    leaves, structure = tree.flatten(value)
    paths = [name + path for path in tree.paths(value)]
    for leaf, path in zip(leaves, paths):
        if isinstance(leaf, Node) and isinstance(leaf.type, TensorType):
            continue
        if isinstance(leaf, Node):
            asarray(leaf)  # of several arrays: raises
        if callable(leaf):
            hint = f"build the expression first: y = f(x), then gx.{what}(y, x, ...)"
            fail(ArgumentError, f"{what} takes expressions, not functions: {path} is {getattr(leaf, '__name__', 'a callable')}", hint=hint)
        fail(ArgumentError, f"{what}: {path} is a {type(leaf).__name__}, not a node", hint="variables come from gx.tensor and gx.shared")
    return Leaves(leaves, paths, structure)


def floats_of(what: str, name: str, value: Tree) -> Leaves:
    """As `nodes_of`; NotDifferentiableError names a leaf that is not float."""
    found = nodes_of(what, name, value)
    for node, path in zip(found.nodes, found.paths):
        if not is_float(node.dtype):
            hint = "make it a float variable, or cast it with .astype and differentiate with respect to the cast value"
            fail(NotDifferentiableError, f"{what}: {path} is {node.dtype}; derivatives exist for float values only", node, hint=hint)
    return found


def fitted(what: str, path: str, value: Any, like: Node) -> Node:
    """A seed as a node of the dtype and shape of `like`; numbers stretch, everything else must have the shape."""
    node = asarray(value, like.dtype if isinstance(value, (int, float)) else None)
    if node.ndim == 0 and not isinstance(value, Node):
        node = broadcast_to(node, like.shape)
    if node.ndim != like.ndim or not all(map(same_size, node.shape, like.shape)):
        fail(ShapeError, f"{what}: {path} has shape {_shape(node)}, its counterpart {_shape(like)}", node, like)
    return astype(node, like.dtype)


def seeds_of(what: str, name: str, value: Tree, like: Leaves) -> list[Node | None]:
    """The tree of seeds beside the leaves `like`, fitted to them; None, for a leaf or a subtree, is zero."""
    found = aligned(what, name, value, like.structure, lambda part: part is None)
    suffixes = [path[path.find("[") :] if "[" in path else "" for path in like.paths]
    pairs = zip(found, like.nodes, suffixes)
    return [None if seed is None else fitted(what, name + suffix, seed, node) for seed, node, suffix in pairs]


def aligned(what: str, name: str, value: Tree, structure: TreeDef, spreads: Callable[[Any], bool]) -> list[Any]:
    """One item of `value` per leaf of `structure`; where `spreads(part)`, a part stands for all leaves below its place.

    aligned(.., (0, None), structure of (x, {"a": y, "b": z}), ..) -> [0, None, None]
    """
    return list(_aligned(what, name, value, structure, spreads))


def _aligned(what: str, name: str, value: Tree, structure: TreeDef, spreads: Callable[[Any], bool]) -> Iterator[Any]:
    if structure.cls is None or spreads(value):
        yield from [value] * structure.num_leaves
        return
    have = tree.structure(value)
    if have.cls is not structure.cls or [hash(k) for k in have.keys] != [hash(k) for k in structure.keys]:
        fail(ArgumentError, f"{what}: {name} must be a tree like its counterpart: {have} and {structure}")
    kind = tree._KINDS.get(structure.cls) or tree._kind(structure.cls)
    assert kind is not None
    for key, child in zip(structure.keys, structure.children):
        yield from _aligned(what, name + kind.step.format(key), kind.get(value, key), child, spreads)


def zeros_like(node: Node) -> Node:
    """Zeros of the shape and dtype of `node`."""
    return filled(0.0, node)


def filled(value: float, like: Node) -> Node:
    """A constant of the shape and dtype of `like`."""
    return broadcast_to(asarray(value, like.dtype), like.shape)


def _shape(node: Node) -> str:
    return "(" + ", ".join(map(str, node.shape)) + ("," if node.ndim == 1 else "") + ")"


def is_zeros(node: Node) -> bool:
    """Whether the node is `zeros_like` of something, as rules of piecewise constant ops return."""
    return (node.op is BROADCAST or node.op is CONSTANT) and is_float(node.dtype) and node is zeros_like(node)

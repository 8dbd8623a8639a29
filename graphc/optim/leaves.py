"""Trees of parameters, gradients and slots: what fits what, leaf by leaf, in errors that name the path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc import tree
from graphc.derivatives.user_trees import filled
from graphc.dims import format_shape
from graphc.dtypes import as_dtype, is_float, refuse_complex
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.interp import evaluate
from graphc.ir import Node
from graphc.ops.registry import asarray, tensor
from graphc.ops.spread import astype
from graphc.tree import Tree
from graphc.types import same_size
from graphc.user.state import Shared


def parameters(what: str, params: Tree) -> Tree:
    """The tree with an array or a node at each leaf; ArgumentError or DTypeError for a leaf that is no float."""
    leaves, structure = flattened(what, "params", params)
    for leaf, path in zip(leaves, tree.paths(params)):
        if not is_float(leaf.dtype):
            hint = "only floats are trained: cast it, or leave it out with gx.optim.freeze"
            fail(DTypeError, f"{what}: params{path} is {leaf.dtype}", *_shown(leaf), hint=hint)
    return tree.unflatten(structure, leaves)


def flattened(what: str, name: str, value: Tree) -> tuple[list[Any], tree.TreeDef]:
    """(the leaves as arrays or nodes, the structure); ArgumentError names a leaf that is neither."""
    leaves, structure = tree.flatten(value)
    return [_array(what, name + path, leaf) for leaf, path in zip(leaves, tree.paths(value))], structure


def _array(what: str, path: str, leaf: Any) -> Any:
    if isinstance(leaf, Node):
        return asarray(leaf)  # of several arrays: raises
    array = np.asarray(leaf)
    refuse_complex(array.dtype, f"{what}: {path}")
    if array.dtype.kind not in "fiub":
        hint = "a tree of arrays, numbers or nodes is needed"
        fail(ArgumentError, f"{what}: {path} is a {type(leaf).__name__}, which is no array of numbers", hint=hint)
    return array.astype(as_dtype(array.dtype), copy=False)


def fitted(what: str, name: str, value: Tree, like: Tree, hint: str) -> Tree:
    """`value` as nodes of the dtypes and shapes of `like`, a tree of arrays or nodes.

    ArgumentError where the structures differ, ShapeError for another shape, DTypeError for a dtype that does not go safely: with the path.
    """
    leaves, structure = flattened(what, name, value)
    wanted, like_structure = tree.flatten(like)
    if structure != like_structure:
        fail(ArgumentError, f"{what}: {name} is not such a tree as is needed, {like_structure.difference(structure)}", hint=hint)
    made = []
    for leaf, other, path in zip(leaves, wanted, tree.paths(like)):
        if len(leaf.shape) != len(other.shape) or not all(map(same_size, leaf.shape, other.shape)):
            have, need = format_shape(leaf.shape), format_shape(other.shape)
            fail(ShapeError, f"{what}: {name}{path} has shape {have}, where {need} is needed", *_shown(leaf), hint=hint)
        if not np.can_cast(leaf.dtype, other.dtype, "safe"):
            cast = f"cast it with .astype({other.dtype.name!r})"
            fail(DTypeError, f"{what}: {name}{path} is {leaf.dtype}, where {other.dtype} is needed", *_shown(leaf), hint=cast)
        made.append(astype(asarray(leaf), other.dtype))
    return tree.unflatten(like_structure, made)


def _shown(leaf: Any) -> list[Node]:
    """The operands that an error describes: an array would be printed whole."""
    return [leaf] if isinstance(leaf, Node) else []


def has_nodes(*trees: Tree) -> bool:
    """Whether a leaf of one of the trees is a node."""
    return any(isinstance(leaf, Node) for t in trees for leaf in tree.leaves(t))


def on_arrays(function: Callable[..., Tree], *trees: Tree) -> Tree:
    """function(*trees) of trees of arrays, node by node in NumPy: `function` sees variables of their dtypes and shapes."""
    leaves, structure = tree.flatten(trees)
    arrays = [np.asarray(leaf) for leaf in leaves]
    variables = [tensor(f"leaf{k}", a.shape, a.dtype) for k, a in enumerate(arrays)]
    made, results = tree.flatten(function(*tree.unflatten(structure, variables)))
    return tree.unflatten(results, evaluate([asarray(m) for m in made], dict(zip(variables, arrays))))


def each(rule: Callable[..., Sequence[Node]], count: int, params: Tree, *trees: Tree) -> tuple[Tree, ...]:
    """`rule` at each leaf of `params` and of the trees like it, which gives `count` nodes: so many trees."""
    leaves, structure = tree.flatten(params)
    rows = [rule(*row) for row in zip(leaves, *(tree.leaves(t) for t in trees))]
    return tuple(tree.unflatten(structure, [row[k] for row in rows]) for k in range(count))


def zeros(params: Tree) -> Tree:
    """A slot of zeros for each parameter."""
    return full(params, 0.0)


def full(params: Tree, value: float) -> Tree:
    """A slot of `value` for each parameter: an array where the parameter owns one, a node otherwise."""
    return tree.map(lambda p: filled(value, p) if _is_symbolic(p) else np.full(_value(p).shape, value, p.dtype), params)


def copies(params: Tree) -> Tree:
    """The parameters themselves as slots, copied where they own their value."""
    return tree.map(lambda p: p if _is_symbolic(p) else np.array(_value(p)), params)


def stand_ins(params: Tree) -> Tree:
    """Variables of the dtypes and shapes of the parameters: slots begun from these are nodes of their shapes, symbolic ones too."""
    return tree.map(lambda p: tensor("p", p.shape, p.dtype), params)


def _is_symbolic(p: Any) -> bool:
    """Whether it is a node whose value is not at hand."""
    return isinstance(p, Node) and not isinstance(p, Shared)


def _value(p: Any) -> np.ndarray:
    return p.get_value() if isinstance(p, Shared) else np.asarray(p)

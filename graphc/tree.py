"""Trees: nested dict, list, tuple, NamedTuple and dataclass instances. All else in them is a leaf; None is a tree without leaves.

`flatten({"b": 1, "a": (2, None)})` -> `[2, 1]` and the structure `{'a': (*, None), 'b': *}`. As in JAX, the leaves of a dict come
in the order of its sorted keys where all are str (or all int), in insertion order otherwise; `unflatten` gives a dict back in the
key order of the dict that was flattened. Subclasses of dict (OrderedDict, defaultdict with its factory, Counter, your own) are dicts
and come back as what they were; subclasses of list and of tuple other than NamedTuple are leaves.
"""

import dataclasses
import functools
import itertools
import math
import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

Tree: TypeAlias = Any
Key: TypeAlias = Any

MAX_DEPTH = 100  # three Python frames a level at most: far from the interpreter's limit of 1000


class Kind(NamedTuple):
    """How one sort of container is taken apart, put together and shown."""

    keys: Callable[[Tree], Sequence[Key]]
    get: Callable[[Tree, Key], Tree]
    build: Callable[[Any, dict[Key, Tree], Any], Tree]  # (class, children by key in the container's own order, `TreeDef.factory`)
    step: str  # one step of a path
    item: str  # one child in a repr


def _dict_keys(tree: dict[Key, Tree]) -> Sequence[Key]:
    """The keys in leaf order. Only str and int are sorted: other keys, such as nodes, need not be comparable."""
    ordered = any(all(isinstance(key, kind) for key in tree) for kind in (str, int))
    return sorted(tree) if ordered else list(tree)


def _build_dict(cls: type[dict[Key, Tree]], children: dict[Key, Tree], factory: Any) -> Tree:
    """A dict made key by key and without `__init__`, whose arguments a subclass may have changed."""
    made = cls.__new__(cls)
    if isinstance(made, defaultdict):
        made.default_factory = factory
    for key, child in children.items():
        made[key] = child
    return made


def _build_dataclass(cls: type, children: dict[Key, Tree], factory: Any) -> Tree:
    """An instance made field by field: frozen or not, and without `__init__`, which may check what a mapped leaf is not."""
    instance: Tree = object.__new__(cls)
    for name, child in children.items():
        object.__setattr__(instance, name, child)
    return instance


_DICT = Kind(_dict_keys, operator.getitem, _build_dict, "[{!r}]", "{!r}: {}")
_SEQUENCE = Kind(lambda tree: range(len(tree)), operator.getitem, lambda cls, children, factory: cls(children.values()), "[{}]", "{1}")
_NAMED = Kind(lambda tree: tree._fields, getattr, lambda cls, children, factory: cls._make(children.values()), ".{}", "{}={}")
_DATACLASS = Kind(lambda tree: [f.name for f in dataclasses.fields(tree)], getattr, _build_dataclass, ".{}", "{}={}")
_NONE = Kind(lambda tree: (), getattr, lambda cls, children, factory: None, "", "")
_KINDS = {dict: _DICT, list: _SEQUENCE, tuple: _SEQUENCE, type(None): _NONE}
_BRACKETS: dict[type, tuple[str, str]] = {dict: ("{", "}"), list: ("[", "]"), tuple: ("(", ")")}


def _kind(cls: type) -> Kind | None:
    """The kind of container that `cls` is; None for a leaf."""
    if cls in _KINDS:
        return _KINDS[cls]
    if issubclass(cls, dict):
        return _DICT
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _NAMED
    return _DATACLASS if dataclasses.is_dataclass(cls) else None


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class TreeDef:
    """The structure of a tree: what is left when every leaf becomes `*`. Dicts that differ only in key order have equal structures."""

    cls: type | None  # None: a leaf
    keys: tuple[Key, ...] = ()  # of the children, in leaf order
    children: tuple["TreeDef", ...] = ()
    order: tuple[Key, ...] = ()  # the same keys in the container's own order; no part of equality
    factory: Any = None  # of a defaultdict; no part of equality

    @functools.cached_property
    def num_leaves(self) -> int:
        """The number of leaves."""
        return 1 if self.cls is None else sum(child.num_leaves for child in self.children)

    def difference(self, other: "TreeDef") -> str:
        """Where and how two structures first differ, in words; "" where they are equal."""
        return _difference(self, other, "")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TreeDef):
            return NotImplemented
        return self is other or (_same_container(self, other) and self.children == other.children)

    def __hash__(self) -> int:
        return hash((self.cls, self.keys, self.children))

    def __repr__(self) -> str:
        return f"TreeDef({_show(self)})"


_LEAF = TreeDef(None)


def flatten(tree: Tree) -> tuple[list[Any], TreeDef]:
    """tree -> (leaves, structure); `unflatten(structure, leaves)` is the tree again."""
    leaves: list[Any] = []
    return leaves, _flatten(tree, leaves, [])


def unflatten(treedef: TreeDef, leaves: Iterable[Any]) -> Tree:
    """(structure, leaves) -> tree."""
    leaves = list(leaves)
    if len(leaves) != treedef.num_leaves:
        raise ValueError(f"tree.unflatten: {len(leaves)} leaves for a structure of {treedef.num_leaves}: {treedef}")
    return _unflatten(treedef, iter(leaves))


def map(f: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    """A tree of `f(leaf, *leaves at the same place of the other trees)`; all structures must agree."""
    first, treedef = flatten(tree)
    columns = [first]
    for number, other in enumerate(rest, start=2):
        column, structure_ = flatten(other)
        if structure_ != treedef:
            raise ValueError(f"tree.map: tree 1 and tree {number} differ {treedef.difference(structure_)}")
        columns.append(column)
    return unflatten(treedef, [f(*row) for row in zip(*columns)])


def leaves(tree: Tree) -> list[Any]:
    """The leaves of a tree, in order."""
    return flatten(tree)[0]


def structure(tree: Tree) -> TreeDef:
    """The structure of a tree."""
    return flatten(tree)[1]


def is_container(value: Any) -> bool:
    """Whether a value is a tree of others, not a leaf."""
    return _kind(type(value)) is not None


def paths(tree: Tree) -> list[str]:
    """One readable path per leaf: `['layers'][0].bias`; "" for a tree that is one leaf."""
    return list(_paths(structure(tree), ""))


def ravel(tree: Tree) -> tuple[Any, Callable[[Any], Tree]]:
    """tree -> (vector, unravel): all leaves, each in C order, end to end in their common dtype, and the way back.

    Leaves are arrays, numbers or nodes; with a node among them the vector is a node. `unravel` takes an array or a node, whatever the tree
    was made of, and casts each leaf back to its dtype. Sizes may be symbolic; then `unravel` takes a node only.
    """
    values, treedef = flatten(tree)
    arrays = [value if _is_node(value) else np.asarray(value) for value in values]
    dtypes = [np.dtype(array.dtype) for array in arrays]
    for value, dtype, path in zip(values, dtypes, _paths(treedef, "")):
        if dtype.kind not in "biufc":
            raise TypeError(f"tree.ravel: the leaf at {path or 'the root'} is no number or numeric array: {value!r:.60}")
    shapes = [tuple(array.shape) for array in arrays]
    sizes = [math.prod(shape) for shape in shapes]  # ints or symbolic sizes
    ends = list(itertools.accumulate(sizes, initial=0))
    common = np.result_type(*dtypes) if dtypes else np.dtype(np.float64)

    def unravel(vector: Any) -> Tree:
        """The tree whose leaves lie end to end in `vector`."""
        if not _is_node(vector):
            vector = np.asarray(vector)
            if vector.shape != (ends[-1],):
                raise ValueError(f"tree.unravel: needs an array of shape ({ends[-1]},), got {vector.shape}")
        reshape = _functions([vector])[1]
        whole = reshape(vector, (ends[-1],))  # a node of unknown size is checked here, so that no slice is cut short
        parts = [whole[start:end] for start, end in itertools.pairwise(ends)]
        return unflatten(treedef, [reshape(p, shape).astype(dt) for p, shape, dt in zip(parts, shapes, dtypes)])

    concatenate, reshape = _functions(arrays)
    flat = [reshape(array.astype(common), (size,)) for array, size in zip(arrays, sizes)]
    return concatenate(flat, axis=0) if flat else np.zeros(0, common), unravel


def _flatten(tree: Tree, leaves: list[Any], outer: list[Tree]) -> TreeDef:
    """Append the leaves of `tree`, which lies inside the containers `outer`."""
    cls = type(tree)
    kind = _kind(cls)
    if kind is None:
        leaves.append(tree)
        return _LEAF
    if any(container is tree for container in outer):
        raise ValueError(f"tree: a {cls.__name__} contains itself")
    if len(outer) == MAX_DEPTH:
        raise ValueError(f"tree: nested deeper than {MAX_DEPTH} levels")
    keys = tuple(kind.keys(tree))
    outer.append(tree)
    children = tuple([_flatten(kind.get(tree, key), leaves, outer) for key in keys])
    outer.pop()
    return TreeDef(cls, keys, children, tuple(tree) if kind is _DICT else keys, getattr(tree, "default_factory", None))


def _unflatten(treedef: TreeDef, leaves: Iterator[Any]) -> Tree:
    """The tree of `treedef` with the next leaves."""
    if treedef.cls is None:
        return next(leaves)
    children = {key: _unflatten(child, leaves) for key, child in zip(treedef.keys, treedef.children)}
    return _row(treedef).build(treedef.cls, {key: children[key] for key in treedef.order}, treedef.factory)


def _row(treedef: TreeDef) -> Kind:
    """The kind of a structure that is no leaf."""
    kind = _kind(treedef.cls) if treedef.cls is not None else None
    assert kind is not None
    return kind


def _same_container(a: TreeDef, b: TreeDef) -> bool:
    """Whether class and keys agree. Hashes first: `==` of two different nodes as keys would build a node."""
    return a.cls is b.cls and [hash(key) for key in a.keys] == [hash(key) for key in b.keys] and a.keys == b.keys


def _difference(a: TreeDef, b: TreeDef, path: str) -> str:
    """`at ['W']: list of 2 and list of 3`."""
    if not _same_container(a, b):
        return f"at {path or 'the root'}: {_words(a)} and {_words(b)}"
    step = "" if a.cls is None else _row(a).step
    found = (_difference(x, y, path + step.format(key)) for key, x, y in zip(a.keys, a.children, b.children))
    return next(filter(None, found), "")


def _words(treedef: TreeDef) -> str:
    """The outermost container, in words."""
    if treedef.cls is None:
        return "a leaf"
    name = "None" if _row(treedef) is _NONE else treedef.cls.__name__
    if _row(treedef) is _DICT:
        return f"{name} with keys {list(treedef.keys)}"
    return f"{name} of {len(treedef.keys)}" if _row(treedef) is _SEQUENCE else name


def _paths(treedef: TreeDef, path: str) -> Iterator[str]:
    """One path per leaf, in order."""
    if treedef.cls is None:
        yield path
    for key, child in zip(treedef.keys, treedef.children):
        yield from _paths(child, path + _row(treedef).step.format(key))


def _show(treedef: TreeDef) -> str:
    """`{'W': *, 'layers': [*, None]}`."""
    if treedef.cls is None or _row(treedef) is _NONE:
        return "*" if treedef.cls is None else "None"
    left, right = _BRACKETS.get(treedef.cls) or (f"{treedef.cls.__name__}(", ")")
    inside = ", ".join(_row(treedef).item.format(key, _show(child)) for key, child in zip(treedef.keys, treedef.children))
    return left + inside + ("," if treedef.cls is tuple and len(treedef.keys) == 1 else "") + right


def _is_node(value: object) -> bool:
    """Whether `value` is a graphc node: by what only nodes have, so that this file needs none of theirs."""
    return hasattr(value, "op") and hasattr(value, "inputs")


def _functions(values: Sequence[Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """(concatenate, reshape): NumPy's, or graphc's where one of the values is a node."""
    if not any(_is_node(value) for value in values):
        return np.concatenate, np.reshape
    from graphc.ops.joining import concatenate  # here: the ops import what imports trees
    from graphc.ops.shape import reshape

    return concatenate, reshape

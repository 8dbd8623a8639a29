"""The structure of a tree as plain data: what a file tells of a tree besides its arrays. No class is named that loading would import.

{"W": a, "layers": [b, None]}  ->  {"dict": [["W", "W"], ["layers", {"list": ["layers.0", null]}]]}, {"W": a, "layers.0": b}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from graphc import tree
from graphc.errors import ArgumentError, fail
from graphc.ir import Node
from graphc.tree import Tree, TreeDef
from graphc.user.state import Shared

Plain = Any
"""A str is the name of an array, None a tree without leaves, a dict of one item a container."""
RESERVED = "__tree__"


def described(what: str, value: Tree) -> tuple[Plain, dict[str, Any]]:
    """(the structure, {name: leaf}): a name is the path of its leaf, `layers.0.W`; "value" is a tree of one leaf."""
    leaves, structure = tree.flatten(value)
    named: dict[str, Any] = {}
    return _plain(what, structure, "", iter(leaves), named), named


def _plain(what: str, structure: TreeDef, path: str, leaves: Iterator[Any], named: dict[str, Any]) -> Plain:
    if structure.cls is None:
        name = path or "value"
        while name in named or name == RESERVED:  # {"a.b": .., "a": {"b": ..}}
            name += "_"
        named[name] = next(leaves)
        return name
    if structure.cls is type(None):
        return None
    children = {}
    for key, child in zip(structure.keys, structure.children):
        if type(key) not in (str, int) or not str(key).isprintable():
            hint = "keys in a file are whole numbers and printable text"
            fail(ArgumentError, f"{what}: the key {key!r:.60} at {path or 'the root'} cannot be written", hint=hint)
        children[key] = _plain(what, child, f"{path}.{key}" if path else str(key), leaves, named)
    if issubclass(structure.cls, (list, tuple)) and not hasattr(structure.cls, "_fields"):
        return {"tuple" if structure.cls is tuple else "list": list(children.values())}
    return {"dict": [[key, children[key]] for key in structure.order]}


def rebuilt(plain: Plain, arrays: Mapping[str, np.ndarray]) -> Tree:
    """The tree of a structure with the arrays of these names. Anything but a structure raises ValueError or KeyError."""
    if plain is None:
        return None
    if isinstance(plain, str):
        return arrays[plain]
    if not isinstance(plain, dict) or len(plain) != 1:
        raise ValueError(f"no structure of a tree: {plain!r:.60}")
    ((kind, children),) = plain.items()
    if kind == "dict":
        return {key: rebuilt(child, arrays) for key, child in children}
    if kind not in ("list", "tuple"):
        raise ValueError(f"no kind of container: {kind!r:.60}")
    items = [rebuilt(child, arrays) for child in children]
    return tuple(items) if kind == "tuple" else items


def array_of(what: str, name: str, leaf: Any) -> np.ndarray:
    """A leaf as an array of numbers; ArgumentError names the one that is none."""
    if isinstance(leaf, Node) and not isinstance(leaf, Shared):
        fail(ArgumentError, f"{what}: {name!r} is an expression, which has no value", leaf, hint="save shared variables and arrays")
    array = leaf.get_value() if isinstance(leaf, Shared) else np.asarray(leaf)
    if array.dtype.kind not in "fiubc":
        fail(ArgumentError, f"{what}: {name!r} is a {type(leaf).__name__}, not an array of numbers")
    return np.require(array, array.dtype.newbyteorder("="), "C")

"""The parameters of a compiled function: names, structures, variables, sizes among them, defaults."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc import dims, tree
from graphc.derivatives.user_trees import aligned
from graphc.dims import Dim
from graphc.errors import ArgumentError, fail
from graphc.ir import Node
from graphc.user.arguments import as_argument, as_size_argument

if TYPE_CHECKING:
    from graphc.program import Layout

_LEAF = tree.structure(0)


class Signature:
    """Binds calls to variables. `inputs`: a list of variables, sizes and trees of them, or a dict of argument names."""

    def __init__(self, inputs: Any, defaults: Any, casting: str) -> None:
        if isinstance(inputs, Mapping):
            entries = list(inputs.items())
            if wrong := [k for k, _ in entries if not isinstance(k, str)]:
                fail(ArgumentError, f"inputs: an argument name must be a string, got {wrong[0]!r}")
        elif isinstance(inputs, (list, tuple)):
            entries = [(e.name if isinstance(e, Node) else str(e) if isinstance(e, Dim) else None, e) for e in inputs]
        else:
            what = f"inputs must be a list or a dict of variables, got {type(inputs).__name__}"
            fail(ArgumentError, what, hint="gx.function([x, y], outputs)")
        self.names: list[str] = [n if n is not None else f"argument {k}" for k, (n, _) in enumerate(entries)]
        twice = sorted({n for n in self.names if self.names.count(n) > 1})
        if twice:
            hint = "give the variables different names, or pass inputs as a dict of argument names"
            fail(ArgumentError, f"two inputs are named {', '.join(map(repr, twice))}", hint=hint)
        if "out" in self.names:
            hint = "give it another name, or pass inputs as a dict of argument names"
            named = [e for n, e in entries if n == "out" and isinstance(e, Node)]
            fail(ArgumentError, "an input cannot be named 'out': f(.., out=) says where results go", *named, hint=hint)
        self.structures: list[tree.TreeDef] = []
        self.variables: list[Node] = []
        self.sizes: list[Dim] = []
        self._slots: list[list[tuple[str, int]]] = []
        seen: set[Any] = set()
        for name, (_, entry) in zip(self.names, entries, strict=True):
            leaves, structure = tree.flatten(entry)
            slots = []
            for leaf in leaves:
                slots.append(self._slot(name, leaf))
                if leaf in seen:
                    fail(ArgumentError, f"input {name!r} is listed twice", leaf)
                seen.add(leaf)
            self.structures.append(structure)
            self._slots.append(slots)
        self.defaults = self._defaults(defaults, [e for _, e in entries], casting)

    def layout(self, outputs: tree.TreeDef) -> Layout | None:
        """How a call looks; None where sizes are among the arguments."""
        from graphc.program import Layout

        if self.sizes:
            return None
        defaults = {n: v for n, v in self.defaults.items() if isinstance(v, np.ndarray)}
        return Layout(tuple(map(sys.intern, self.names)), tuple(self.structures), outputs, defaults)

    def _slot(self, name: str, leaf: Any) -> tuple[str, int]:
        """Where the value of a leaf goes: among the nodes or among the sizes, and its number there."""
        if isinstance(leaf, Dim):
            if dims.as_symbol(leaf) is None:
                fail(ArgumentError, f"input {name!r}: {leaf} is not a single size symbol", hint="list the symbol, gx.dim(name)")
            self.sizes.append(leaf)
            return "size", len(self.sizes) - 1
        if not isinstance(leaf, Node):
            fail(
                ArgumentError,
                f"input {name!r}: {type(leaf).__name__} is not a variable",
                hint="declare it with gx.tensor(name, shape, dtype)",
            )
        if leaf.op.traits.leaf != "input":
            shared = leaf.op.traits.leaf == "shared"
            hint = "shared variables are read without being listed" if shared else "use givens= to replace an inner value"
            fail(ArgumentError, f"input {name!r} is not an input variable", leaf, hint=hint)
        self.variables.append(leaf)
        return "node", len(self.variables) - 1

    def _defaults(self, defaults: Any, entries: list[Any], casting: str) -> dict[str, Any]:
        """Name -> value, checked here, so that a call finds nothing wrong with it but perhaps its size."""
        result: dict[str, Any] = {}
        for key, value in dict(defaults or {}).items():
            found = [k for k, e in enumerate(entries) if e is key or (isinstance(key, str) and self.names[k] == key)]
            if not found:
                shown = key.name or repr(key) if isinstance(key, Node) else key
                fail(ArgumentError, f"defaults: {shown!r} is not an input", hint=f"inputs are {', '.join(self.names)}")
            (k,) = found
            leaves = self._leaves(k, value)
            checked: list[Any] = []
            for (kind, at), leaf in zip(self._slots[k], leaves, strict=True):
                if kind == "size":
                    checked.append(as_size_argument(leaf, self.sizes[at]))
                else:
                    checked.append(leaf if isinstance(leaf, Node) else np.array(as_argument(leaf, self.variables[at], casting)))
            result[self.names[k]] = tree.unflatten(self.structures[k], checked)
        return result

    def _leaves(self, k: int, value: Any) -> list[Any]:
        """The leaves of a value for argument k, which must have its structure; where that has a leaf, a list is an array."""
        structure = self.structures[k]
        if structure is _LEAF or structure == _LEAF:
            return [value]
        try:
            leaves, have = tree.flatten(value)
        except ValueError as error:
            fail(ArgumentError, f"input {self.names[k]!r}: {error}")
        if have == structure:
            return leaves
        try:
            return aligned("", "", value, structure, lambda part: False)
        except ArgumentError:
            what = structure.difference(have) or f"{structure}, got {have}"
            fail(ArgumentError, f"input {self.names[k]!r} has another structure than declared {what}")

    def bind(self, what: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """The leaves of a call: variables in order, then sizes. ArgumentError for a wrong number, name or structure."""
        names = self.names
        if len(args) > len(names):
            listed = f" ({', '.join(names)})" if names else ""
            fail(ArgumentError, f"{what} takes {len(names)} argument{'s' * (len(names) != 1)}{listed}, got {len(args)}")
        given = dict(zip(names, args, strict=False))
        for name, value in kwargs.items():
            if name not in names:
                fail(ArgumentError, f"{what} has no input {name!r}", hint=f"inputs are {', '.join(names) or 'none'}")
            if name in given:
                fail(ArgumentError, f"{what} got input {name!r} twice")
            given[name] = value
        missing = [n for n in names if n not in given and n not in self.defaults]
        if missing:
            fail(ArgumentError, f"{what} misses input {', '.join(map(repr, missing))}")
        nodes: list[Any] = [None] * len(self.variables)
        sizes: list[Any] = [None] * len(self.sizes)
        for k, (name, slots) in enumerate(zip(names, self._slots, strict=True)):
            leaves = self._leaves(k, given[name] if name in given else self.defaults[name])
            for (kind, at), leaf in zip(slots, leaves, strict=True):
                (nodes if kind == "node" else sizes)[at] = leaf
        return nodes + sizes

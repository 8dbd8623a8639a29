"""The form in which a graph is differentiated: exact and stable rules only, so that no derivative overflows or cancels."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, MutableMapping, Iterator, Sequence

from graphc.ir import Node, make, replace
from graphc.ops.registry import INPUT
from passes.fold import FOLD
from passes.rewrite import Fired, Table, rewrite
from passes.rules.algebra import ALGEBRA
from passes.rules.linalg import LINALG
from passes.rules.shapes import SHAPES
from passes.rules.stability import STABILITY

PREPARE = Table((*FOLD, *SHAPES, *ALGEBRA, *STABILITY, *LINALG), floats=("exact", "stable"))


class WeakMemo(MutableMapping[Node, Node]):
    """node -> its normal form, kept as long as the node lives."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[Node], Node | None]] = {}

    def __getitem__(self, node: Node) -> Node:
        _, normal = self._entries[id(node)]
        return node if normal is None else normal  # None: itself, which a strong reference would keep alive

    def get(self, node: Node, default: Node | None = None) -> Node | None:  # type: ignore[override]
        entry = self._entries.get(id(node))
        return default if entry is None else node if entry[1] is None else entry[1]

    def __contains__(self, node: object) -> bool:
        return id(node) in self._entries

    def __setitem__(self, node: Node, normal: Node) -> None:
        key = id(node)
        self._entries[key] = (weakref.ref(node, self._forget(key)), None if normal is node else normal)

    def _forget(self, key: int) -> Callable[[object], None]:
        return lambda _: self._entries.pop(key, None) and None

    def __delitem__(self, node: Node) -> None:
        del self._entries[id(node)]

    def __iter__(self) -> Iterator[Node]:
        return iter([n for ref, _ in list(self._entries.values()) if (n := ref()) is not None])

    def __len__(self) -> int:
        return len(self._entries)


_MEMO = WeakMemo()


def prepare(outputs: Sequence[Node], keep: Collection[Node] = (), log: Fired | None = None) -> list[Node]:
    """The outputs under the exact and the stable rules. No rule looks into a node of `keep`, replaces one, or makes one.

    Rules that change a derivative at a kink are not among them.
    """
    interior = [node for node in keep if node.inputs]
    if not interior:
        return rewrite(outputs, PREPARE, log, _MEMO)
    hidden = {node: make(INPUT, (), ("held", -1 - k, node.dtype, node.shape)) for k, node in enumerate(interior)}
    prepared = rewrite(replace(outputs, hidden), PREPARE, log, avoid=interior)
    return replace(prepared, {leaf: node for node, leaf in hidden.items()})

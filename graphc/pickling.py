"""Pickling: a graph is written as its ops, parameters and lines, and comes back interned.

    pickle.loads(pickle.dumps([x, loss]))      the same nodes in this process, equal ones in another

A node is written as its place in a `Stretch`: the rows of all nodes that it needs and that no stretch of the same pickle has yet.
So a tree of nodes costs what its graph costs, and nothing recurses over a graph. Variables and sizes without a name are known by the
process that made them: read twice they are the same, and never one that somebody else made. State comes with its value, as a new
variable; what shares it in a pickle shares it when that is read. What a graph holds of Python (the functions of `custom_vjp`, of
`callback`) is written as Python writes functions, by name.
"""

from __future__ import annotations

import copyreg
import os
import sys
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from graphc import dims
from graphc.dims import Call, Dim, Size, Symbol
from graphc.errors import ArgumentError, fail
from graphc.frozen import Frozen
from graphc.ir import Node, Site, make, origin
from graphc.ops.registry import INPUT, OPS, new_serial
from graphc.records import dataclass
from graphc.region import Region, map_regions, regions_of
from graphc.types import TensorType, tensor_type
from graphc.user.state import Shared, restored

FORMAT = 1  # of what is written; raised when an older reader would misunderstand it


# -- who made a variable ----------------------------------------------------------------------------------------------------
class _Maker:
    """Which process made the variables and sizes of which numbers: this one, or those that it was forked from."""

    def __init__(self) -> None:
        self.since: list[tuple[int, str]] = []
        self.renew()

    def renew(self) -> None:
        self.since.append((new_serial(), os.urandom(12).hex()))

    def of(self, serial: int) -> str:
        return next((token for first, token in reversed(self.since) if first <= serial), self.since[0][1])

    def is_mine(self, token: str) -> bool:
        return any(token == mine for _, mine in self.since)


_MAKER = _Maker()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_MAKER.renew)

Foreign = tuple[str, int]  # the process that made a variable, and its number there
_HERE: dict[Foreign, int] = {}  # the number here of a variable that another process made
_THERE: dict[int, Foreign] = {}


def _written(number: int) -> Foreign:
    return _THERE.get(number) or (_MAKER.of(number), number)


def _read_number(token: str, number: int) -> int:
    if _MAKER.is_mine(token):
        return number
    here = _HERE.setdefault((token, number), new_serial())
    _THERE[here] = (token, number)
    return here


# -- sizes --------------------------------------------------------------------------------------------------------------------
def _write_size(size: Dim) -> Any:
    return _read_size, (tuple([(c, tuple([(_write_atom(atom), power) for atom, power in m])) for m, c in size.terms]),)


_SYMBOLS: dict[tuple[str, int, str], Dim] = {}  # sizes without a name that were written or read here
_WRITTEN: dict[Symbol, tuple[str, int, str]] = {}


def _write_atom(atom: Symbol | Call) -> tuple[Any, ...]:
    if isinstance(atom, Call):
        return (atom.fn, *atom.args)
    if not atom.serial:
        return ("named", atom.name)
    key = _WRITTEN.setdefault(atom, (_MAKER.since[-1][1], atom.serial, atom.name))
    _SYMBOLS.setdefault(key, dims.of_symbol(atom))
    return ("anonymous", *key)


def _read_symbol(token: str, serial: int, name: str) -> Dim:
    key = (token, serial, name)
    found = _SYMBOLS.setdefault(key, dims.anonymous(name))
    (symbol,) = dims.symbols(found)
    _WRITTEN[symbol] = key
    return found


_CALLS = {"floordiv": dims.floordiv, "mod": dims.mod, "min": dims.minimum, "max": dims.maximum}


def _read_size(terms: Sequence[tuple[int, Sequence[tuple[tuple[Any, ...], int]]]]) -> Size:
    total: Size = 0
    for c, factors in terms:
        product: Size = c
        for (kind, *rest), power in factors:
            atom = dims.dim(*rest) if kind == "named" else _read_symbol(*rest) if kind == "anonymous" else _CALLS[kind](*rest)
            for _ in range(power):
                product = product * atom
        total = total + product
    return total


# -- graphs -------------------------------------------------------------------------------------------------------------------
Row = tuple[str, tuple[str, ...], tuple[Any, ...], tuple[int, ...], Site]  # op, names of parameters, parameters, inputs, line


@dataclass(eq=False)
class Stretch:
    """Nodes in order, of which row k is written as rows[k]; input -1 - j is others[j], a node of another stretch or a state variable."""

    nodes: list[Node]
    others: list[Node]

    def __reduce__(self) -> Any:
        own = {node: k for k, node in enumerate(self.nodes)} | {node: -1 - j for j, node in enumerate(self.others)}
        rows = [_row(node, own) for node in self.nodes]
        return _read_stretch, (FORMAT, _version(), rows, self.others)


_PLACES: dict[Node, tuple[weakref.ref[Stretch], int]] = {}  # of the pickles that are being written


def _write_node(node: Node) -> Any:
    found = _PLACES.get(node)
    stretch = found[0]() if found is not None else None
    if found is None or stretch is None:
        stretch = _stretch(node)
        return _read_node, (stretch, len(stretch.nodes) - 1)
    return _read_node, (stretch, found[1])


def _stretch(root: Node) -> Stretch:
    """What a node needs besides the stretches that there are."""
    nodes: list[Node] = []
    others: dict[Node, None] = {}
    done: set[Node] = set()
    stack = [root]
    while stack:
        node = stack[-1]
        if node in done or node in others:
            stack.pop()
        elif node in _PLACES or isinstance(node, Shared):
            others[stack.pop()] = None
        elif missing := [i for i in _needed(node) if i not in done and i not in others]:
            stack += missing[::-1]
        else:
            done.add(node)
            nodes.append(stack.pop())
    stretch = Stretch(nodes, list(others))
    here = weakref.ref(stretch)
    for k, node in enumerate(nodes):
        _PLACES[node] = (here, k)
    weakref.finalize(stretch, _forget, nodes, here).atexit = False
    return stretch


def _needed(node: Node) -> list[Node]:
    """The inputs of a node, and what its bodies give."""
    return [*node.inputs, *[output for _, region in regions_of(node) for output in region.outputs]]


@dataclass(frozen=True)
class Body:
    """A region as a parameter of a row: its outputs are nodes of the same stretch."""

    types: tuple[TensorType, ...]
    outputs: tuple[int, ...]


def _forget(nodes: Sequence[Node], stretch: weakref.ref[Stretch]) -> None:
    for node in nodes:
        if (place := _PLACES.get(node)) is not None and place[0] is stretch:
            del _PLACES[node]


def _row(node: Node, own: dict[Node, int]) -> Row:
    params = node.params
    if node.op is INPUT:
        params = (params[0], _written(params[1]), *params[2:])
    elif node.op.regions:
        params = map_regions(node, lambda r: Body(r.types, tuple([own[o] for o in r.outputs])))  # type: ignore[arg-type, return-value]
    return node.op.name, node.op.params, params, tuple([own[i] for i in node.inputs]), node.site


def _read_stretch(format: int, version: str, rows: Sequence[Row], others: Sequence[Node]) -> Stretch:
    if format != FORMAT:
        what = f"a graph pickled by graphc {version} has format {format}, graphc {_version()} reads format {FORMAT}"
        fail(ArgumentError, what, hint="write it again with this version")
    nodes: list[Node] = []
    for name, names, params, inputs, site in rows:
        op = OPS.get(name)
        if op is None or op.params != names:
            differs = f"has no op {name!r}" if op is None else f"has {name} with parameters {', '.join(op.params)}, not {', '.join(names)}"
            fail(ArgumentError, f"a graph pickled by graphc {version} does not fit: graphc {_version()} {differs}")
        if op is INPUT:
            params = (params[0], _read_number(*params[1]), *params[2:])
        at = lambda i: nodes[i] if i >= 0 else others[-1 - i]
        if op.regions:
            params = tuple([_regions(p, at) if name in op.regions else p for name, p in zip(names, params)])
        with origin(site or ("", 0)):
            nodes.append(make(op, tuple(map(at, inputs)), params))
    return Stretch(nodes, list(others))


def _regions(param: Any, at: Callable[[int], Node]) -> Any:
    """A parameter that is a body, or a tuple of them."""
    if isinstance(param, Body):
        return Region(param.types, [at(i) for i in param.outputs])
    return tuple([_regions(p, at) for p in param])


def _read_node(stretch: Stretch, k: int) -> Node:
    return stretch.nodes[k]


def _version() -> str:
    return str(sys.modules["graphc"].__version__)


copyreg.pickle(Dim, _write_size)
copyreg.pickle(Node, _write_node)
copyreg.pickle(Shared, lambda s: (restored, (s.name, s.dtype, s.shape, s.get_value(), s.site, s.next)))
copyreg.pickle(Region, lambda r: (Region, (r.types, r.outputs)))
copyreg.pickle(TensorType, lambda t: (tensor_type, (t.dtype, t.shape)))
copyreg.pickle(Frozen, lambda f: (Frozen, (f.array,)))

"""Members whose elements take their turns in order: scans, updates at places, and what is put in order.

cumsum(x, axis=1), x: (m, n)      scan over i1 of x[i0, i1], stored at [i0, i1]
x.at[i].add(u)                    u[i0] added at [i[i0]], one after the other
sort(x, axis=1), x: (m, n)        over r0 the element x[i0, r0] in place i1 of the order
"""

from __future__ import annotations

from collections.abc import Callable

from graphc import scalars as sc
from graphc.dims import Size
from graphc.dtypes import int64
from graphc.ir import Node
from graphc.ops.cumulate import RECUR
from graphc.ops.registry import constant
from graphc.passes.fusion.cluster import Member, indices
from graphc.passes.fusion.constant_scatters import flat_places, progression
from graphc.passes.fusion.loop_order import Loops, own_index, squeezed
from graphc.program import loop_index
from graphc.scalars import Scalar

Element = Callable[[Node, tuple[Size, ...]], Scalar]  # an element of a node at an index, as the cluster reads it


def scan_member(node: Node, domain: tuple[Size, ...], loops: Loops, element: Element) -> Member:
    """A scan along the innermost loop of a cluster, which has a value at every turn."""
    body, factor = _scanned(node, own_index(node.shape, loops), loop_index(len(domain) - 1), element)
    reduce = (node.shape[node.attrs["axis"]],)
    return Member(node, body, domain, reduce, _combine(node), True, _kind(node), factor=factor)


def lone_scan(node: Node, element: Element) -> Member:
    """A scan, perhaps from the end, in a loop of its own beside the loops over the other axes."""
    axis, n = node.attrs["axis"], node.shape[node.attrs["axis"]]
    others = tuple([s for k, s in enumerate(node.shape) if k != axis])
    step = loop_index(0, "r")
    along = n - 1 - step if node.attrs["reverse"] else step
    rest = iter(own_index(others))
    at = tuple([along if k == axis else next(rest) for k in range(node.ndim)])
    body, factor = _scanned(node, at, step, element)
    return Member(node, body, squeezed(others), (n,), _combine(node), scan=_kind(node), at=indices(at), factor=factor)


def update_member(node: Node, part: Node, initial: Scalar, element: Element) -> Member:
    """The updates of `part`, as a step towards `node`."""
    x, updates, *places = part.inputs
    axes, batch, mode = part.attrs["axes"], part.attrs["batch"], part.attrs["mode"]
    own = own_index(updates.shape)
    nb = places[0].ndim
    body = element(updates, own)
    flat = flat_places(part) if initial.op == "const" else None
    if flat is not None:
        first, step = progression(flat)
        at: list[Size | Scalar] = [first + own[0] * step if step is not None else element(constant(flat), own[:nb])]
    else:
        selected = [element(i, own[:nb]).cast(int64) for i in places]
        rest = iter(own[nb:])
        at = [own[k] if k < batch else selected[axes.index(k)] if k in axes else next(rest) for k in range(x.ndim)]
    return Member(node, body, squeezed(updates.shape), at=indices(at), mode=mode, initial=initial)


def sorted_member(node: Node, element: Element) -> Member:
    """An output of a sort: at its own index the element, or the position of it, that comes there in the order of the row."""
    source, output = node.inputs[0], node.params[0]
    x, axis, down = source.inputs[0], source.attrs["axis"], source.attrs["descending"]
    own, n = own_index(node.shape), x.shape[axis]
    at = tuple([(0 if n == 1 else loop_index(0, "r")) if k == axis else own[k] for k in range(x.ndim)])
    if n == 1:
        return Member(node, sc.const(0, int64) if output else element(x, at), squeezed(node.shape))
    combine = ("arg" if output else "") + ("largest" if down else "smallest")
    return Member(node, element(x, at), squeezed(node.shape), (n,), combine, factor=sc.index(own[axis] + source.attrs["start"]))


def _scanned(node: Node, at: tuple[Size, ...], step: Size, element: Element) -> tuple[Scalar, Scalar | None]:
    """What a scan takes in at an element, and what a recurrence multiplies by: the first factor is not used, whatever it is."""
    body = element(node.inputs[-1], at)
    return body, sc.select(sc.index(step) > 0, element(node.inputs[0], at), 0) if node.op is RECUR else None


def _combine(node: Node) -> str:
    return str(node.attrs.get("combine", "recur"))


def _kind(node: Node) -> str:
    return "exclusive" if node.attrs["exclusive"] else "inclusive"

"""The element of a value at an index, as a cluster reads it: what substitution puts into a body.

y = exp(x)[1:] * 2, y a member              element of y at i0      local t0 of its cluster, load %y in any other
v = -y, virtual                             element of v at i0      -(the element of y at i0)
2                                           element anywhere        2
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from graphc import scalars as sc
from graphc.dims import Size
from graphc.ir import Node
from graphc.loopform import LoopForm, Read
from graphc.ops.registry import CONSTANT
from graphc.passes.fusion.cluster import Cluster, Fused, indices, loop_indices
from graphc.passes.fusion.loop_order import own_index, squeezed
from graphc.passes.fusion.several import form_of, operands
from graphc.scalars import Scalar

Index = tuple[Size | Scalar, ...]


class NotHere(Exception):
    """The value cannot be computed in the cluster that was tried."""


class Elements:
    """What is known of the values of a graph that is being fused, and how their elements are read."""

    def __init__(self, fused: Fused, checked: Collection[Node]) -> None:
        self.fused, self.checked = fused, checked
        self.forms: dict[Node, LoopForm | None] = {}
        self.numbers: dict[Node, Scalar] = {}  # what constants of one element hold, and their broadcasts
        self.fixed: dict[Node, Scalar] = {}  # 0-d values of sizes and constants alone: code that uses them keeps them outside its loops
        self.weight: dict[Node, tuple[int, frozenset[Node], int]] = {}  # virtual nodes: ops, what they load, depth

    def form(self, node: Node) -> LoopForm | None:
        """How an element is computed."""
        if node not in self.forms:
            self.forms[node] = form_of(node)
        return self.forms[node]

    def number(self, node: Node) -> int:
        """The number under which bodies load a value."""
        numbers = self.fused.number
        if node not in numbers:
            numbers[node] = len(self.fused.values)
            self.fused.values.append(node)
        return numbers[node]

    def constant(self, node: Node) -> Scalar | None:
        """The number that fills a constant, or a broadcast of one; None where there is none."""
        number = self.numbers.get(node)
        if number is None and node.op is CONSTANT and node.size == 1:
            number = self.numbers[node] = sc.const(node.params[0].array.reshape(())[()], node.dtype)
        return number

    def fix(self, node: Node, form: LoopForm, deepest: int) -> bool:
        """Make a 0-d value of fixed ones fixed too, unless too much has been put into each other.

        It is built once: a body that reads a value twice must not build it twice, over and over.
        """
        depth = 1 + max([self.weight[i][2] for i in operands(node) if i in self.weight], default=0)
        if depth > deepest:
            return False
        self.fixed[node] = form.body(self.reader(Cluster(-1, (), 0), node, 0), (), ())
        self.weight[node] = (0, frozenset(), depth)
        return True

    def reader(self, cluster: Cluster, node: Node, depth: int, mask: Scalar | None = None) -> Read:
        """`read` for the body of `node` in `cluster`: the element of an input at an index."""
        inputs = operands(node)

        def read(k: int, index: Sequence[Size | Scalar], where: Scalar | None = None) -> Scalar:
            if where is None:
                return self.element(cluster, inputs[k], tuple(index), depth, mask)
            value = self.element(cluster, inputs[k], tuple(index), depth, where if mask is None else mask & where)
            # a load under a mask gives 0 by itself; what is computed from loads need not
            return value if value.op == "load" else sc.select(where, value, 0)

        return read  # type: ignore[return-value]

    def element(self, cluster: Cluster, node: Node, index: Index, depth: int, mask: Scalar | None) -> Scalar:
        """The element of `node` at `index`, read in loops of `cluster` of which `depth` are outside. Raises NotHere."""
        place = cluster.place.get(node)
        if place is not None:
            return self._own(cluster, place, node, index, depth)
        if (number := self.constant(node)) is not None:
            return number
        fixed = self.fixed.get(node)
        if fixed is not None and (mask is None or fixed.op != "load"):
            return fixed
        if node in self.weight:
            key = (node, index, depth, mask, cluster.loops)
            if (body := cluster.bodies.get(key)) is None:
                form = self.form(node)
                assert form is not None
                body = cluster.bodies[key] = form.body(self.reader(cluster, node, depth, mask), index, ())  # type: ignore[arg-type]
            return body
        source = self.fused.aliases.get(node, node)
        if (source is not node and self.fused.home.get(source) is cluster) or self.fused.joined.get(source) == cluster.index:
            raise NotHere  # another view of what this kernel is still writing, or what it writes a part of
        return sc.load(self.number(node), indices(index), node.dtype, mask)

    def _own(self, cluster: Cluster, place: int, node: Node, index: Index, depth: int) -> Scalar:
        """The element of a member of the same cluster: only the one that the loops are at."""
        if node in self.checked:
            raise NotHere  # indices are checked between the kernel that makes them and the one that uses them
        inner = len(squeezed(node.shape)) if index else 0
        if index:
            here = own_index(node.shape, cluster.loops if inner == len(cluster.domain) else None)
            if index != here and any([size != 1 and (isinstance(i, Scalar) or i != p) for i, p, size in zip(index, here, node.shape)]):
                raise NotHere  # another element than the loops are at
        if len(cluster.members[place].shape) < depth:
            raise NotHere
        return sc.local(place, loop_indices(inner), node.dtype)

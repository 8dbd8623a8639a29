"""Loops and branches whose bodies are scalar code, or work on a few elements, as one kernel with carries in registers.

    scan(lambda c, x: (sin(c) * x, c), init, xs)    ->    t0 = init; for j0 in n: ys[j0] = t0; t0 = sin(t0) * xs[j0]

`scalar_code` decides which form such a node takes. Arrays of a few static elements, as a carry (3,) or a product of (3, 3), come
apart by the `LoopForm` of each op at constant indices.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

from graphc import dims
from graphc import scalars as sc
from graphc.control.scan import SCAN
from graphc.control.switch import SWITCH
from graphc.control.while_loop import WHILE
from graphc.costs import KERNEL_NS, MATH, STEP_NS, UOP_NS, Limits, instructions, serial_instructions, serial_latency
from graphc.dims import Dim, Size, Symbol
from graphc.dtypes import bool_, int64
from graphc.ir import Node, toposort
from graphc.loopform import LoopForm
from graphc.ops.registry import CONSTANT
from graphc.passes.fusion.cluster import indices
from graphc.passes.fusion.fold_scalars import Folder
from graphc.passes.fusion.scalar_steps import stretch
from graphc.passes.fusion.several import computed_by, form_of, operands, values
from graphc.program import Choice, Put, ScalarCode, Turns, loop_index
from graphc.records import dataclass
from graphc.region import BOUND, Region, regions_of
from graphc.scalars import Scalar
from graphc.traits import Selects
from graphc.verify.scalar import reach, unbound

Index = tuple[Size | Scalar, ...]
Element = Callable[[Index], Scalar]  # of an array, at an index
Place = tuple[int, ...]

FEW = 64  # elements of a value that are computed in order; of larger ones only those that something reads
DEEP = 40  # values of more elements, one read from the other
CHEAP = 16  # instructions of branches that are all computed: a branch that is taken by surprise costs some 15 cycles


class _Declined(Exception):
    """This is no scalar code."""


def scalar_code(node: Node, limits: Limits) -> ScalarCode | None:
    """The code of a scan, a while loop or a switch; None where it is none, and needs steps of its own.

    load(k, index) in it is of operand k of the node, Put(k, index) of its output k. Everything has to be a few elements of static
    shapes, no index may need a check at run time, and a turn has to be short enough for the registers and for LLVM.
    """
    try:
        code = _Coder(limits).whole(node)
    except _Declined:
        return None
    loops = [step for step in code.walk() if isinstance(step, Turns)]
    # a call can be left between the turns of the outermost loop, and must not stay inside for ever
    inner = loops if len(code.steps) != 1 or not loops or loops[0] is not code.steps[0] else loops[1:]
    if any(step.extent is None for step in inner) or (inner is loops and any(stretch(step) is not None for step in loops)):
        return None
    carried = max([len(step.carries) for step in loops], default=0)
    if carried > limits.carried or instructions(code.scalars()) > limits.turn:
        return None
    return code if len(loops) != 1 or _pays(node, code, limits) else None


def _pays(node: Node, code: ScalarCode, limits: Limits) -> bool:
    """Whether a turn is shorter as scalars than as steps: vectors need fewer instructions, but kernels have to be called."""
    bodies = [x for around, listed in code.by_loops() if around for x in listed]
    work, waits = UOP_NS * serial_instructions(bodies), serial_latency(bodies)
    scalars = vectors = 0.0
    calls = STEP_NS
    for _, region in regions_of(node):
        for inside in values(toposort(region.outputs)):
            op = computed_by(inside).op
            if op.traits.leaf is not None or op is BOUND or op.traits.moves is not None or (form := form_of(inside)) is None:
                continue
            count = dims.product([*inside.shape, *form.reduce])
            if not isinstance(count, int):
                continue  # of which the code reads an element or two
            each = MATH.uops if op.costly and not op.traits.instruction else 1
            scalars += count * each
            vectors += -(-count // (limits.vector_bytes // inside.dtype.itemsize)) * each
            calls += KERNEL_NS * (op.traits.kernel is not None or op.traits.reduces)
    return max(work, waits) <= calls + max(work * vectors / max(scalars, 1.0), waits)


def over_values(code: ScalarCode, read: Callable[[int, Index, Scalar | None], Scalar], members: Mapping[int, int]) -> ScalarCode:
    """The code with read(k, index, mask) for the elements of operand k; output k is stored as members[k], and not where there is none."""
    known: dict[Scalar, Scalar] = {}

    def load(s: Scalar, args: tuple[Scalar, ...]) -> Scalar | None:
        if s.op != "load":
            return None
        k, masked = s.param
        at = tuple([i.param if i.op in ("const", "index") else i for i in args])
        return read(k, at[:-1] if masked else at, args[-1] if masked else None)

    def scalar(s: Scalar) -> Scalar:
        return sc.replace_leaves(s, load, known=known)

    def stored(put: Put) -> tuple[Put, ...]:
        return (Put(members[put.slot], tuple(map(scalar, put.at)), scalar(put.value)),) if put.slot in members else ()

    return code.mapped(scalar, stored)


def places(shape: Sequence[Size]) -> list[Place]:
    """Every index of a small static shape, in order."""
    if not all(isinstance(s, int) for s in shape):
        raise _Declined
    return list(itertools.product(*[range(int(s)) for s in shape]))


class _Coder:
    """Numbers locals, and makes code of nodes with bodies from the elements of their operands."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.numbers, self.loops = itertools.count(), itertools.count()
        self.extents: dict[Symbol, Size] = {}  # of the loops
        self.left = 8 * limits.turn  # elements that may still be asked for
        self.element = Folder(self.extents).folded  # a value with what is known computed

    def whole(self, node: Node) -> ScalarCode:
        """The code of a node by itself."""

        def operand(k: int) -> Element:
            return lambda at: sc.load(k, indices(at), node.inputs[k].dtype)

        made = self.node(node, [operand(k) for k in range(len(node.inputs))], True)
        types = node.type if isinstance(node.type, tuple) else (node.type,)
        puts = [Put(k, indices(at), made.outputs[k](at)) for k in made.ends for at in places(types[k].shape)]
        return ScalarCode(tuple(made.steps), tuple(puts))

    def node(self, node: Node, given: Sequence[Element], outermost: bool = False) -> _Made:
        """The code of a node with bodies; the rows that an outermost scan gives are stored in its turns."""
        makers = {SCAN: self._scan, WHILE: self._while, SWITCH: self._switch}
        if node.op not in makers:
            raise _Declined
        return makers[node.op](node, given, outermost)

    def local(self) -> int:
        return next(self.numbers)

    # -- ops with bodies ------------------------------------------------------------------------------------------
    def _scan(self, node: Node, given: Sequence[Element], outermost: bool) -> _Made:
        p = node.attrs
        body, length, carries, rows = p["body"], p["length"], p["carries"], p["sequences"]
        turn = self._turn(length)
        row: Size = length - 1 - turn if p["reverse"] else turn
        state = [_Carry(self, t.dtype, places(t.shape)) for t in body.types[1 : 1 + carries]]
        along = [_row(x, row) for x in given[carries : carries + rows]]
        inside = self.body(body, [_number(row), *[c.element for c in state], *along, *given[carries + rows :]])
        ys = range(carries, len(body.outputs))
        if not outermost and ys:
            raise _Declined  # arrays need memory
        puts = [Put(k, indices((row, *at)), inside.outputs[k](at)) for k in ys for at in places(body.outputs[k].shape)]
        code = ScalarCode(tuple(inside.steps), tuple(puts))
        after = tuple([element(at) for c, element in zip(state, inside.outputs) for at in c.place])
        initial = tuple([x(at) for c, x in zip(state, given) for at in c.place])
        most = max(1, self.limits.turn // max(1, instructions((*after, *code.scalars()))))
        names = tuple([name for c in state for name in c.place.values()])
        step = Turns(turn, length, None, names, initial, code, after, unroll=min(p["unroll"], most))
        return _Made([step], [*[c.element for c in state], *[_nothing] * len(ys)], range(carries))

    def _while(self, node: Node, given: Sequence[Element], outermost: bool) -> _Made:
        p = node.attrs
        body, condition, carries = p["body"], p["condition"], p["carries"]
        turn = self._turn(p["max_steps"])
        state = [_Carry(self, t.dtype, places(t.shape)) for t in body.types[1 : 1 + carries]]
        leaves = [_number(turn), *[c.element for c in state], *given[carries:]]
        asked, inside = self.body(condition, leaves), self.body(body, leaves)
        if asked.steps:
            raise _Declined  # loops in a condition
        holds = asked.outputs[0](())
        after = tuple([element(at) for c, element in zip(state, inside.outputs) for at in c.place])
        initial = tuple([x(at) for c, x in zip(state, given) for at in c.place])
        names, count = tuple([name for c in state for name in c.place.values()]), self.local()
        step = Turns(turn, p["max_steps"], holds, names, initial, ScalarCode(tuple(inside.steps)), after, count)
        turns: Element = lambda at: sc.local(count, (), int64)
        return _Made([step], [*[c.element for c in state], turns], range(carries + 1))

    def _switch(self, node: Node, given: Sequence[Element], outermost: bool) -> _Made:
        bodies = [self.body(branch, given[1:]) for branch in node.params[0]]
        types = [o.tensor for o in node.params[0][0].outputs]
        chosen = given[0](())
        results = [_Carry(self, t.dtype, places(t.shape)) for t in types]
        values = [tuple([b.outputs[k](at) for k, r in enumerate(results) for at in r.place]) for b in bodies]
        if not any(b.steps for b in bodies) and instructions([v for made in values for v in made]) <= CHEAP:
            picked = [self.element(_picked(chosen, options)) for options in zip(*values)]
            found = dict(zip([(k, at) for k, r in enumerate(results) for at in r.place], picked))
            return _Made([], [_among(found, k) for k in range(len(results))], range(len(results)))
        branches = tuple([(ScalarCode(tuple(b.steps)), made) for b, made in zip(bodies, values)])
        step = Choice(chosen, branches, tuple([name for r in results for name in r.place.values()]))
        return _Made([step], [r.element for r in results], range(len(results)))

    def _turn(self, extent: Size | None) -> Dim:
        """The index of a loop, which no other has: what is known of it may be kept."""
        turn = loop_index(next(self.loops), "j")
        (symbol,) = dims.symbols(turn)
        if extent is not None:
            self.extents[symbol] = extent
        return turn

    def body(self, region: Region, leaves: Sequence[Element]) -> _Made:
        """The steps of a body, and the elements of its outputs."""
        inside = _Body(self, region, leaves)
        return _Made(inside.steps, [inside.reader(node) for node in region.outputs], range(len(region.outputs)))


@dataclass
class _Made:
    """The steps that a node takes, its outputs, and those of them that are there when the steps are done: others are stored inside."""

    steps: list[Turns | Choice]
    outputs: list[Element]
    ends: Sequence[int]


class _Carry:
    """A local for each element of a small array."""

    def __init__(self, coder: _Coder, dtype: object, listed: Sequence[Place]) -> None:
        if len(listed) > coder.limits.carried:
            raise _Declined
        self.dtype, self.place = dtype, {at: coder.local() for at in listed}

    def element(self, at: Index) -> Scalar:
        if at not in self.place:
            raise _Declined  # an index that only the data tell: registers have no addresses
        return sc.local(self.place[at], (), self.dtype)  # type: ignore[index,arg-type]


class _Body:
    """One body: its values element by element, in order, and the steps that its own loops and branches take."""

    def __init__(self, coder: _Coder, region: Region, leaves: Sequence[Element]) -> None:
        self.coder = coder
        self.leaves = dict(zip(region.inputs, leaves))
        self.steps: list[Turns | Choice] = []
        self.forms: dict[Node, LoopForm] = {}
        self.made: dict[Node, _Made] = {}
        self.memo: dict[tuple[Node, Index], Scalar] = {}
        self.deep = 0
        for node in toposort(region.outputs):
            if isinstance(node.type, tuple):
                continue
            count = dims.product(node.shape)
            if isinstance(count, int) and count <= FEW and node not in self.leaves:
                for at in places(node.shape):
                    self.element(node, at)

    def reader(self, node: Node) -> Element:
        return lambda at: self.element(node, at)

    def element(self, node: Node, at: Index) -> Scalar:
        """One element of a value of the body."""
        if (found := self.memo.get((node, at))) is not None:
            return found
        self.deep += 1
        self.coder.left -= 1
        if self.deep > DEEP or self.coder.left < 0:
            raise _Declined
        made = self.memo[node, at] = self.coder.element(self._element(node, at))
        self.deep -= 1
        return made

    def _element(self, node: Node, at: Index) -> Scalar:
        if node in self.leaves:
            return self.leaves[node](at)
        if node.op is CONSTANT:
            array = node.attrs["value"].array
            if not all(isinstance(i, int) for i in at) and array.size != 1:
                raise _Declined  # a table in memory
            return sc.const(array[at] if array.size != 1 else array.reshape(())[()], node.dtype)
        source = computed_by(node)
        if source.op.regions:
            return self._output(source, node)(at)
        if node not in self.forms:
            form = form_of(node)
            if form is None:
                raise _Declined
            self.forms[node] = form
        if source.op.traits.checked is not None and not all(self._inside(s) for s in source.op.traits.checked(node)):
            raise _Declined
        return self._combined(self.forms[node], node, at)

    def _output(self, source: Node, node: Node) -> Element:
        """An output of a loop or branch inside."""
        if source not in self.made:
            made = self.coder.node(source, [self.reader(x) for x in source.inputs])
            self.steps += made.steps
            self.made[source] = made
        return self.made[source].outputs[0 if source is node else node.params[0]]

    def _inside(self, selects: Selects) -> bool:
        """Whether it is known that every index is one of an axis, and counts from its start."""
        for at in places(selects.indices.shape):
            i, extents = self.element(selects.indices, at), self.coder.extents
            known = i.op == "const" or (i.op == "index" and not unbound(i.param, extents))
            ends = reach(i.param, extents) if known else None
            if ends is None or dims.less_equal(0, ends[0]) is not True or dims.less_equal(ends[1] + 1, selects.size) is not True:
                return False
        return True

    def _combined(self, form: LoopForm, node: Node, at: Index) -> Scalar:
        """An element by its loop form, a reduction written out."""
        op = computed_by(node).op
        plain = op.elementwise or op.traits.permutes or op.traits.repeats or op.traits.reduces or op.traits.moves == "data"
        if not plain and any(isinstance(i, Scalar) for i in at):
            raise _Declined  # it computes with sizes where the index is data
        read = self._read(node)
        if form.combine is None:
            return form.body(read, at, ())  # type: ignore[arg-type]
        values = [form.body(read, at, r) for r in places(form.reduce)]  # type: ignore[arg-type]
        return combined(form.combine, values, node.dtype)

    def _read(self, node: Node) -> Callable[..., Scalar]:
        inputs = operands(node)

        def read(k: int, index: Sequence[Size | Scalar], mask: Scalar | None = None) -> Scalar:
            if mask is not None:
                mask = self.coder.element(mask)
                if mask.op != "const":
                    raise _Declined
                if not mask.param:
                    return sc.const(0, inputs[k].dtype)
            return self.element(inputs[k], tuple([self._size(i) for i in index]))

        return read

    def _size(self, i: Size | Scalar) -> Size | Scalar:
        if isinstance(i, Scalar):
            i = self.coder.element(i)
            return i.param if i.op in ("const", "index") else i
        return i


def combined(combine: str, values: Sequence[Scalar], dtype: object) -> Scalar:
    """combine over the values, in order."""
    if combine in ("argmax", "argmin"):
        return _position(combine, values)
    if not values:
        neutral = {"sum": 0, "any": 0, "prod": 1, "all": 1}
        if combine not in neutral:
            raise _Declined
        return sc.const(neutral[combine], dtype)  # type: ignore[arg-type]
    op = {"sum": "add", "prod": "mul", "any": "or", "all": "and"}.get(combine, combine)
    if values[0].dtype == bool_:
        op = {"add": "or", "mul": "and", "max": "or", "min": "and"}.get(op, op)
    result = values[0]
    for value in values[1:]:
        result = sc.binary(op, result, value)
    return result


def _position(combine: str, values: Sequence[Scalar]) -> Scalar:
    """Where the first extreme stands; nan wins."""
    if not values:
        raise _Declined
    best, position = values[0], sc.const(0, int64)
    for k, value in enumerate(values[1:], start=1):
        better = value > best if combine == "argmax" else value < best
        if value.dtype.kind == "f":
            better = better | (value.ne(value) & best.eq(best))  # nothing compares with a nan that is the best
        best, position = sc.select(better, value, best), sc.select(better, sc.const(k, int64), position)
    return position


def _picked(chosen: Scalar, options: Sequence[Scalar]) -> Scalar:
    """options[chosen], the ends for what lies beyond."""
    result = options[-1]
    for k, option in reversed(list(enumerate(options[:-1]))):
        if chosen.op == "cast" and chosen.args[0].dtype == bool_:  # of a truth value
            result = sc.select(chosen.args[0], result, option)
        else:
            result = sc.select(chosen <= k, option, result)
    return result


def _row(x: Element, row: Size) -> Element:
    return lambda at: x((row, *at))


def _number(size: Size) -> Element:
    return lambda at: sc.index(size)


def _among(found: dict[tuple[int, Place], Scalar], k: int) -> Element:
    def element(at: Index) -> Scalar:
        if (k, at) not in found:
            raise _Declined
        return found[k, at]  # type: ignore[index]

    return element


def _nothing(at: Index) -> Scalar:
    raise _Declined


__all__ = ["over_values", "scalar_code"]

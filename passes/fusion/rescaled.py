"""Sums of exponentials of how far elements lie below the largest of all, by chunks that are read once.

    u = max(e),  s = sum(exp(e - u))        of a chunk: m = max(e), r = sum(exp(e - m))
                                            and in the end u = max over chunks of m, s = sum over chunks of r*exp(m - u)

An identity for finite numbers; r is at least 1 and m - u at most 0, so that nothing overflows, and what underflows would have anyway.
A chunk that is -inf throughout is taken about 0, where it sums to 0, and so is one with inf or nan, whose sum is no number that
differs with it: what the sum about the largest gives, nan or inf or 0, comes out (see the test of these). An exponential that one later
nest reads as well is computed there; for two it is kept, and the sum is one of what is about the largest of all.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

from graphc import scalars as sc
from graphc.passes.fusion.chunks import Nest, is_large, nests_of
from graphc.program import Kernel, Stage, Store
from graphc.records import dataclass
from graphc.scalars import Scalar


@dataclass(frozen=True)
class Rescaled:
    """Stage `stage` sums exponentials of `element` less `largest`, of an outer point; stage `most` of an earlier nest takes the largest
    element."""

    stage: int
    most: int
    element: Scalar
    largest: Scalar


def about(most: Scalar) -> Scalar:
    """What a chunk takes its exponentials about: its largest element, or 0 where that is no finite number."""
    return sc.select(abs(most) < math.inf, most, 0.0)


def scale(most: Scalar, largest: Scalar) -> Scalar:
    """What the sum of a chunk is multiplied by: 0 or nan where the chunk is -inf throughout, and the sum 0."""
    return sc.math("exp", most - largest)


class Values:
    """The elements of a kernel as they read where nothing is kept: two of them are equal if they are the same."""

    def __init__(self, kernel: Kernel, private: Collection[int]) -> None:
        """`private`: operands that no other launch reads."""
        self.kernel = kernel
        writers: dict[int, list[tuple[int, Store]]] = {}
        for k, stage in enumerate(kernel.stages):
            for store in stage.stores:
                writers.setdefault(store.slot, []).append((k, store))
        self.kept = {slot: w[0] for slot, w in writers.items() if slot in private and len(w) == 1 and self._is_element(w[0][0])}

    def _is_element(self, k: int) -> bool:
        stage = self.kernel.stages[k]
        return bool(stage.axes) and not stage.reduce and all(store.mode == "set" for store in stage.stores)

    def whole(self, body: Scalar) -> Scalar:
        """A body with all that it reads of elements computed in its place."""

        def leaf(s: Scalar, args: tuple[Scalar, ...]) -> Scalar | None:
            if s.op == "local" and args and args == self.kernel.stages[s.param].own and self._is_element(s.param):
                return self.whole(self.kernel.stages[s.param].body)
            if s.op == "load" and (kept := self.kept.get(s.param[0])) is not None and args == kept[1].at:
                return self.whole(self.kernel.stages[kept[0]].body)
            return None

        return sc.replace_leaves(body, leaf)

    def alone(self, body: Scalar) -> Scalar:
        """A body with what it reads of elements of its own nest computed in its place."""

        def leaf(s: Scalar, args: tuple[Scalar, ...]) -> Scalar | None:
            inside = s.op == "local" and args and args == self.kernel.stages[s.param].own and self._is_element(s.param)
            return self.alone(self.kernel.stages[s.param].body) if inside else None

        return sc.replace_leaves(body, leaf)

    def per_point(self, value: Scalar) -> Scalar:
        """A value of an outer point as it was computed."""
        while value.op == "local" and not value.args and not self.kernel.stages[value.param].combine:
            value = self.kernel.stages[value.param].body
        return value


def rescaled(values: Values, number: int, before: Nest) -> Rescaled | None:
    """What a stage sums, if that is as above."""
    kernel = values.kernel
    stage = kernel.stages[number]
    if stage.combine != "sum" or stage.scan is not None or (difference := _exponent(values, stage.body)) is None:
        return None
    element, largest = difference.args
    most = _largest(values, largest)
    if most not in before.stages or any(s.op == "local" and s.args for s in sc.order((element,))):
        return None
    first = kernel.stages[most]
    same = first.combine == "max" and first.scan is None and first.dtype == stage.dtype == element.dtype
    return Rescaled(number, most, element, largest) if same and values.whole(first.body) is values.whole(element) else None


def _exponent(values: Values, body: Scalar) -> Scalar | None:
    """The difference that an element is the exponential of."""
    body = values.alone(body)
    found = body.op == "exp" and body.dtype.kind == "f" and body.args[0].op == "sub"
    return body.args[0] if found else None


def _largest(values: Values, value: Scalar) -> int:
    """The stage whose result a value of an outer point is, perhaps with 0 in place of what is not finite."""
    value = values.per_point(value)
    if value.op == "select":
        finite = values.per_point(value.args[1])
        value = finite if value is sc.select(abs(value.args[1]) < math.inf, value.args[1], 0.0) else value
    return value.param if value.op == "local" and not value.args else -1


# -- exponentials that later nests read ------------------------------------------------------------------------------------
def put_off(kernel: Kernel, private: Collection[int]) -> Kernel:
    """exp(e - u), of many elements, is stored, summed, and read in one later nest    ->    it is summed, and computed there."""
    values, parts = Values(kernel, private), nests_of(kernel) or []
    for slot, (k, store) in values.kept.items():
        found = [at for at, nest in enumerate(parts) if k in nest.stages]
        later = [at for at, nest in enumerate(parts) if nest.over and at > found[0] and _loads(kernel, nest, slot)]
        large = is_large([a.extent for a in (*kernel.axes, *kernel.stages[k].axes)])
        if large and len(later) == 1 and _can_wait(values, parts, k, found[0], parts[later[0]], store):
            return put_off(_moved(values, parts[later[0]], k, slot), private)
    return kernel


def _loads(kernel: Kernel, nest: Nest, slot: int) -> list[Scalar]:
    return [s for s in sc.order([kernel.stages[k].body for k in nest.stages]) if s.op == "load" and s.param[0] == slot]


def _can_wait(values: Values, parts: Sequence[Nest], k: int, home: int, there: Nest, store: Store) -> bool:
    """Whether stage k is the exponential, its nest does nothing but sum it, and another one over the same reads it as it was stored."""
    kernel = values.kernel
    if (
        there.over != parts[home].over
        or len(kernel.stages[k].stores) != 1
        or any(s.args != store.at for s in _loads(kernel, there, store.slot))
    ):
        return False
    before = [nest for nest in parts[:home] if nest.over]
    sums = [j for j in parts[home].stages if j != k]
    return bool(sums) and bool(before) and all(rescaled(values, j, before[-1]) is not None for j in sums)


def _moved(values: Values, there: Nest, k: int, slot: int) -> Kernel:
    """The kernel with stage k at the beginning of a later nest."""
    kernel = values.kernel
    order = [j for j in range(len(kernel.stages)) if j != k]
    order.insert(order.index(there.stages[0]), k)
    number = {j: at for at, j in enumerate(order)}
    moved = kernel.stages[k]
    local = sc.local(number[k], kernel.stages[k].own, moved.dtype)

    def stage(j: int) -> Stage:
        here = j in there.stages

        def leaf(s: Scalar, args: tuple[Scalar, ...]) -> Scalar | None:
            if s.op == "local":
                return sc.replace_leaves(moved.body, leaf) if s.param == k else sc.local(number[s.param], args, s.dtype)
            return local if here and s.op == "load" and s.param[0] == slot else None

        old = kernel.stages[j]
        made = replace(old, body=sc.replace_leaves(old.body, leaf))
        return replace(made, stores=(), nest=kernel.stages[there.stages[0]].nest) if j == k else made

    return replace(kernel, stages=tuple([stage(j) for j in order]))

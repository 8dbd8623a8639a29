"""In which order the operands of an einsum are multiplied, two at a time."""

from __future__ import annotations

import itertools
import math
import operator
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from graphc import dims
from graphc.dims import Size
from graphc.ops.products import Names

NOMINAL = 100  # what a symbolic size counts as
EXHAUSTIVE = 7  # operands up to which every order is tried: 3**7 pairs of subsets
LOOK = 1 << 17  # pairs of sets of operands that are looked at, some 30 ms, for the best order without products of strangers

Steps = list[tuple[int, int]]  # of sets of operands, as the bits of a number


def best_order(labels: Sequence[Names], out: Names, sizes: dict[str, Size]) -> list[tuple[int, int]]:
    """The pairs (i, j), i < j, to multiply in turn: both are removed and the product is put at the end."""
    weight = {name: _nominal(size) for name, size in sizes.items()}
    if len(labels) == 2:
        return [(0, 1)]
    users = Counter(itertools.chain.from_iterable(labels))
    labels = [tuple([name for name in x if users[name] > 1 or name in out]) for x in labels]  # what only one has is summed first
    if len(labels) > EXHAUSTIVE:
        greedy, bound = _greedy_order(labels, out, weight)
        connected = _connected_order(labels, out, weight, bound)
        return greedy if connected is None else _positions(connected, len(labels))
    count = len(labels)
    whole = (1 << count) - 1
    inside = [frozenset(itertools.chain.from_iterable(labels[k] for k in range(count) if s >> k & 1)) for s in range(whole + 1)]
    result = [inside[s] & (inside[whole ^ s] | set(out)) if s & (s - 1) else inside[s] for s in range(whole + 1)]
    best: dict[int, tuple[int, int]] = {1 << k: (0, 0) for k in range(count)}  # subset -> (cost, its first part)
    for s in range(1, whole + 1):
        part = s
        while s & (s - 1) and (part := (part - 1) & s):
            rest = s ^ part
            if part & -part == s & -s:  # the part that holds the first operand is on the left
                cost = best[part][0] + best[rest][0] + _product(weight, result[part] | result[rest])
                if s not in best or cost < best[s][0]:
                    best[s] = (cost, part)
    steps: list[tuple[int, int]] = []
    for s in sorted(_subsets(whole, best), key=lambda s: s.bit_count()):
        steps.append((best[s][1], s ^ best[s][1]))
    return _positions(steps, count)


def _connected_order(labels: Sequence[Names], out: Names, weight: dict[str, int], bound: int) -> Steps | None:
    """The cheapest order in which operands, or products of them, meet that have a label in common; None where that takes too long, or
    costs more than `bound`.

    What has nothing in common with the rest is multiplied at the end, the two smallest each time.
    """
    tree = _Tree(labels, out, weight, bound)
    ordered: list[list[int]] = [[], [1 << k for k in range(len(labels))]]
    looked = 0
    for size in range(2, len(labels) + 1):
        ordered.append([])
        for few in range(1, size // 2 + 1):
            for a in ordered[few]:
                others = ordered[size - few]
                looked += len(others)
                if looked > LOOK:
                    return None
                near = tree.inside[a]
                ordered[size] += [a | b for b in others if not a & b and near & tree.inside[b] and tree.join(a, b)]
    if (parts := tree.parts()) is None:
        return None
    steps = [
        (tree.best[s][1], s ^ tree.best[s][1]) for part in parts for s in sorted(_subsets(part, tree.best), key=lambda s: s.bit_count())
    ]
    while len(parts) > 1:
        small, other, *rest = sorted(parts, key=tree.left_size)
        steps.append((small, other))
        tree.kept[small | other] = tree.kept[small] | tree.kept[other]
        parts = [*rest, small | other]
    return steps


class _Tree:
    """The cheapest products found so far of sets of operands; sets of operands and of labels are the bits of numbers."""

    def __init__(self, labels: Sequence[Names], out: Names, weight: dict[str, int], bound: int) -> None:
        bit = {name: 1 << k for k, name in enumerate(dict.fromkeys([*itertools.chain.from_iterable(labels), *out]))}
        self.weight = [weight[name] for name in bit]
        self.operands = [sum([bit[name] for name in x]) for x in labels]
        self.out = sum([bit[name] for name in out])
        self.best: dict[int, tuple[int, int]] = {1 << k: (0, 0) for k in range(len(labels))}
        self.inside = {1 << k: x for k, x in enumerate(self.operands)}
        self.kept = dict(self.inside)
        self.costs: dict[int, int] = {}
        self.bound = bound

    def join(self, a: int, b: int) -> bool:
        """Take the product of a and b into account, if it may be part of the cheapest; True where it is the first of these operands."""
        s, cost = a | b, self.best[a][0] + self.best[b][0] + self.cost(self.kept[a] | self.kept[b])
        if cost > self.bound:
            return False
        if s in self.best:
            if cost < self.best[s][0]:
                self.best[s] = (cost, a)
            return False
        self.best[s], self.inside[s] = (cost, a), self.inside[a] | self.inside[b]
        needed = self.out
        for k, x in enumerate(self.operands):
            if not s >> k & 1:
                needed |= x
        self.kept[s] = self.inside[s] & needed
        return True

    def cost(self, names: int) -> int:
        found = self.costs.get(names)
        if found is None:
            found = self.costs[names] = math.prod([w for k, w in enumerate(self.weight) if names >> k & 1])
        return found

    def left_size(self, s: int) -> int:
        """The elements of the product of s."""
        return self.cost(self.kept[s])

    def parts(self) -> list[int] | None:
        """The connected parts of all operands, if the products of each are known."""
        found: list[int] = []
        for k in range(len(self.operands)):
            part, names = 1 << k, self.operands[k]
            while (grown := sum([1 << j for j, x in enumerate(self.operands) if x & names or part >> j & 1])) != part:
                part = grown
                for j, x in enumerate(self.operands):
                    names |= x if part >> j & 1 else 0
            if part not in found:
                found.append(part)
        return found if all([part in self.best for part in found]) else None


def given_order(steps: Sequence[Any], count: int) -> list[tuple[int, int]] | None:
    """The pairs of `numpy.einsum_path`, whose steps may take one or several operands at a time; None where they are no such order."""
    theirs, ours = list(range(count)), list(range(count))  # which operands, or products, stand where
    pairs: list[tuple[int, int]] = []
    for step in steps:
        try:
            places = sorted({operator.index(k) for k in step}, reverse=True)
        except TypeError:
            return None
        if not places or places[-1] < 0 or places[0] >= len(theirs) or len(places) != len(step):
            return None
        product, *others = [theirs.pop(k) for k in places]
        for other in others:
            i, j = sorted((ours.index(product), ours.index(other)))
            pairs.append((i, j))
            ours.pop(j)
            ours.pop(i)
            product = count
            count += 1
            ours.append(product)
        theirs.append(product)
    return pairs if len(ours) == 1 else None


def _subsets(whole: int, best: dict[int, tuple[int, int]]) -> list[int]:
    """The products of the best tree, as the sets of operands that they multiply."""
    found, open_ = [], [whole]
    while open_:
        s = open_.pop()
        if s & (s - 1):
            found.append(s)
            open_ += [best[s][1], s ^ best[s][1]]
    return found


def _positions(steps: Sequence[tuple[int, int]], count: int) -> list[tuple[int, int]]:
    """Steps between sets of operands as positions in the shrinking list of terms."""
    present = [1 << k for k in range(count)]
    result = []
    for left, right in steps:
        i, j = sorted((present.index(left), present.index(right)))
        result.append((i, j))
        present.pop(j)
        present.pop(i)
        present.append(left | right)
    return result


def _greedy_order(labels: Sequence[Names], out: Names, weight: dict[str, int]) -> tuple[list[tuple[int, int]], int]:
    """Each time the pair whose product adds least to the memory held, then costs least; and what all of them cost."""
    total = 0
    terms = [frozenset(x) for x in labels]
    result: list[tuple[int, int]] = []
    while len(terms) > 1:
        choices = []
        for i, j in itertools.combinations(range(len(terms)), 2):
            others = set(out).union(*[x for k, x in enumerate(terms) if k not in (i, j)])
            made = (terms[i] | terms[j]) & others
            grown = _product(weight, made) - _product(weight, terms[i]) - _product(weight, terms[j])
            choices.append((grown, _product(weight, terms[i] | terms[j]), i, j, made))
        _, cost, i, j, made = min(choices, key=lambda c: c[:4])
        total += cost
        result.append((i, j))
        terms.pop(j)
        terms.pop(i)
        terms.append(frozenset(made))
    return result, total


def _product(weight: dict[str, int], labels: Iterable[str]) -> int:
    return math.prod([weight[name] for name in labels])  # an int: exact, whatever the order of a set


def _nominal(size: Size) -> int:
    return size if isinstance(size, int) else max(1, dims.evaluate(size, {s: NOMINAL for s in dims.symbols(size)}))

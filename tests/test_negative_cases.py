"""Where a rule's pattern matches and its condition must refuse: applied all the same, each would change a result.

For rules with a `where=` such cases are searched among numbers that round, overflow, cancel or change a sign; the rules on parameters
have theirs listed. A rule without one fails here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import GraphcError
from graphc.interp import evaluate
from graphc.ir import Node, toposort
from graphc.ops.create import iota
from graphc.ops.indexing import gather
from graphc.ops.ranges import within
from graphc.ops.slicing import pad_with
from graphc.ops.special.hyperbolic import over_expm1
from graphc.ops.spread import broadcast
from graphc.passes.prepare import prepare
from graphc.passes.rewriting.rule import Glance, Local, Rule, template
from tests import test_rules as proof

AWKWARD = [3.0, 5.0, 0.1, 7.3, -1.0, 0.0, -0.0, 1e30, -1e30, 1e-30, 2.0**24 + 2, 0.5, 0.25, 4.0, 2.0, math.inf, math.nan]
NOT_FOR_VALUES = {  # what these refuse is right as well
    "times reciprocal": "a division by what is repeated is made once for all of it",
    **dict.fromkeys(("add a negative number", "subtract a negative number"), "one of two directions; without it they undo each other"),
    **dict.fromkeys(("negative number factor", "negative of a multiple", "x**4"), "integers wrap alike, and have no need of it"),
    "softmax": "x - max(x) is safe already", "softmax by reciprocal": "x - max(x) is safe already",
    "log-sum-exp": "x - max(x) is safe already", "expectation under softmax": "x - max(x) is safe already",
    "log-mean-exp": "x - max(x) is safe already", "log of weighted sum-exp": "x - max(x) is safe already",
    "log of weighted sum-exp over": "x - max(x) is safe already", "log(1 + sum-exp)": "x - max(x) is safe already",
    "power of a square": "whole powers have forms of their own",
}  # fmt: skip
CONDITIONAL = [r for r in proof.RULES if r.where is not None]


def bindings(rule: Rule, kind: np.dtype) -> Iterator[tuple[dict[str, Any], dict[Node, np.ndarray]]]:
    numbers = AWKWARD if kind.kind == "f" else [0, 1, 2, 3, 5, 100]
    if proof.lifted(rule):
        for bound, env in proof.fill_lifted(rule, kind):
            for c in numbers:
                yield bound | {name: kind.type(c) for name, v in bound.items() if isinstance(v, np.generic)}, env
        return
    yield from proof.fill(rule, kind, lambda h: proof.values(str(h.params[0]), kind, str(h.params[1])), numbers)


def refused(rule: Rule, kind: np.dtype) -> Iterator[tuple[Node, Node, dict[Node, np.ndarray]]]:
    """(before, what the rule would make of it, values) where the condition does not hold."""
    for bound, env in bindings(rule, kind):
        try:
            with np.errstate(all="ignore"):
                if rule.holds(bound):
                    continue
                before = template(rule.before)(bound)
                if before.op is not rule.before.op:
                    continue
                assert rule.apply(before) is None
                after = rule.build(bound)
        except (GraphcError, OverflowError, ZeroDivisionError, ValueError):
            continue  # such as -x of unsigned numbers: nothing to be made
        if isinstance(after, Node) and after.type is before.type:
            yield before, after, env


def differs(rule: Rule, before: np.ndarray, after: np.ndarray) -> bool:
    """Beyond what the rule's claim of honesty allows."""
    if rule.floats == "exact" or before.dtype.kind != "f":
        return not bool(np.all(proof.same_bits(before, after)))
    with np.errstate(all="ignore"):
        room = 16 * np.finfo(before.dtype).eps * np.abs(before)
        return bool(np.any((np.isnan(before) != np.isnan(after)) | (np.abs(after - before) > room)))


@pytest.mark.parametrize("rule", [pytest.param(r, id=r.name) for r in CONDITIONAL if r.name not in NOT_FOR_VALUES])
def test_a_condition_keeps_results_right(rule: Rule) -> None:
    kinds = ["float32", "float64", "int8", "uint8", "int64"]
    for kind in kinds:
        for before, after, env in refused(rule, np.dtype(kind)):
            if differs(rule, *evaluate([before, after], env)):
                return
    pytest.fail(f"no case in which {rule.name!r} must be refused: its condition is not needed, or this test needs another number")


def test_what_is_for_speed_is_conditional() -> None:
    assert set(NOT_FOR_VALUES) <= {r.name for r in CONDITIONAL}


# -- rules on parameters ------------------------------------------------------------------------------------------------------
ALWAYS = {  # they hold wherever their ops meet
    "broadcast of broadcast", "reshape of reshape", "transpose of transpose", "transpose of broadcast", "slice of slice",
    "slice of broadcast", "reverse of reverse", "log of erfc", "difference of exponentials",
    "transpose in product", "transpose of product", "sign out of product", "transpose in convolution",
}  # fmt: skip
x, y, w = gx.tensor("x", (3, 4)), gx.tensor("y", (4,)), gx.tensor("w", (4, 3))
i, k = gx.tensor("i", (3,), "int64"), gx.tensor("k", (4, 3), "int64")
m, n = gx.dim("m"), gx.dim("n")
s, t = gx.tensor("s", ("n", 4)), gx.tensor("t", ("n", "m"))
one = gx.tensor("one", (3, 1))
SQUARE = gx.tensor("square", (3, 3))
ROW = gx.broadcast_to(y, (3, 4))
IMAGE, KERNEL = gx.tensor("image", (1, 3, 4)), gx.tensor("kernel", (2, 3, 2))


def one_hot(index: Node, combine: Callable[..., Node] = gx.sum, elsewhere: float = 0.0, size: int = 4) -> Node:
    hit = iota((3, size), 1) == broadcast(index, (3, size), (0,))
    return combine(gx.where(hit, broadcast(x[:, 0], (3, size), (0,)), elsewhere), axis=1)


NEGATIVE: dict[str, list[Callable[[], Node]]] = {
    "fold": [
        lambda: gx.stop_gradient(gx.asarray(1.0)),  # would no longer be constant by definition
        lambda: gx.outer(np.arange(100.0), np.arange(100.0)),  # longer than what it is computed from
    ],
    "choice known from above": [
        lambda: gx.where(x > 0, gx.where(x >= 0, 1.0, 2.0), gx.where(x < 0, 3.0, 4.0)),  # at nan and 0 neither is known
        lambda: gx.where(x > 0, gx.cumsum(gx.where(x > 0, x, 0.0), axis=1), 0.0),  # other elements are seen too
        lambda: gx.where(x == y[:, None][:3], gx.where(x != w.T, 1.0, 2.0), 0.0),  # a test of other operands
        lambda: gx.where(x > 0, gx.exp(gx.where(x > 0, x, 0.0)), 0.0),  # others may read the exponential, which would be computed twice
    ],
    "slope of a softmax": [
        lambda: proof.softmax_slope(w.T, gx.exp(x), x, 1),  # not its chain rule
        lambda: proof.softmax_slope(w.T, gx.exp(w.T), x),  # other exponentials
        lambda: (w.T - gx.exp(x)) * gx.exp(x),
        lambda: -proof.single_softmax_slope(w.T[:1], gx.exp(x[:1]), -1),  # the sum with the other sign
        lambda: proof.softmax_slope(gx.tanh(SQUARE), gx.exp(SQUARE), SQUARE, axis=0),  # sums over the other axis
    ],
    "division by what is repeated": [lambda: x / ROW, lambda: x / gx.broadcast_to(gx.square(y), (3, 4))],  # 1 / y may overflow
    "log before a view": [lambda: gx.log(w.T), lambda: gx.log((w + 1).T)],
    "product with exponentials": [lambda: gx.exp(x) * w.T, lambda: gx.sigmoid(x) * gx.sigmoid(w.T), lambda: gx.expm1(x) * gx.cosh(x)],
    "quotient with exponentials": [lambda: gx.exp(x) / w.T, lambda: x / gx.exp(x), lambda: gx.exp(x) / gx.square(gx.sin(x))],
    "quotient by a sum of exponentials": [
        lambda: gx.exp(x) / (w.T + gx.exp(x)), lambda: x / (1 + gx.square(x)), lambda: 1.5 / gx.square(gx.sin(x)),
    ],
    "reciprocal of a sum of exponentials": [lambda: gx.reciprocal(x + 1), lambda: gx.reciprocal(gx.exp(x) + w.T)],
    "root of exponentials": [lambda: gx.sqrt(gx.exp(x) * w.T), lambda: gx.sqrt(gx.exp(x) + x), lambda: gx.sqrt(-gx.exp(x) * 1.5)],
    "power of exponentials": [
        lambda: (1 + gx.exp(x)) ** 3, lambda: (gx.exp(x) * w.T) ** 0.5, lambda: (gx.exp(x) + w.T) ** 0.5,
    ],
    "logarithm of exponentials": [
        lambda: gx.log(x + gx.exp(x)), lambda: gx.log(gx.square(x) * w.T), lambda: gx.log(gx.exp(x) * w.T - 1),
        lambda: gx.log((gx.exp(x) * w.T) ** 0.5), lambda: gx.log(2.0 + x),
    ],
    "log1p of exponentials": [lambda: gx.log1p(x * w.T), lambda: gx.log1p(gx.exp(x) * w.T), lambda: gx.log1p(-(gx.exp(x) - gx.exp(w.T)))],
    "logarithm of exponentials, base 2": [lambda: gx.log2(x), lambda: gx.log2(x + gx.exp(x))],
    "logarithm of exponentials, base 10": [lambda: gx.log10(x), lambda: gx.log10(gx.exp(x) * w.T - 1)],
    "difference of one function": [
        lambda: gx.sqrt(x) - gx.sqrt(w.T), lambda: gx.sin(x) - gx.sin(w.T), lambda: gx.log(x) - gx.log(w.T), lambda: gx.exp(x) - gx.sin(x),
        lambda: gx.tanh(x + 30.0) - gx.tanh(x), lambda: x**3 - w.T**3, lambda: (x + 1) ** 3 - x**4, lambda: y / (x + 1) - w.T / x,
        lambda: gx.log(x) - gx.log1p(w.T), lambda: (x + 1.0) ** 5 - x**5,
    ],
    "quotient less 1": [lambda: x / w.T - 1, lambda: x / (x + 1) - 2, lambda: x / (2 * x + 1) - 1],
    "power less 1": [lambda: (1 + x) ** 3 - 2, lambda: (2 + x) ** 3 - 1, lambda: (x - 1) ** 3 - 1, lambda: x**3 - 1],
    "root less its main term": [lambda: gx.sqrt(gx.square(x) + 1) - w.T, lambda: gx.sqrt(x) - x, lambda: gx.sqrt(2 * gx.square(x) + 3) - x],
    "power near 1": [lambda: (1 + x) ** 3, lambda: (2 + x) ** 40, lambda: (x - 1) ** 40, lambda: (1 + x) ** w.T],
    "logarithm of a ratio": [lambda: gx.log(x / w.T), lambda: gx.log((x + 10) / x), lambda: gx.log(2 * x / (x + 1))],
    "quotient that is 0 / 0 at a point": [
        lambda: (2 * x * x) / x, lambda: gx.log(x) / x, lambda: gx.erfc(x) / x,
        lambda: gx.sin(x) / w.T, lambda: gx.cos(x) / gx.sin(w.T), lambda: gx.sin(x + 1) / x, lambda: gx.sin(x) / gx.square(x),
    ],
    "product that is 0 inf at a point": [lambda: x * (1.5 / x), lambda: w.T * over_expm1(x), lambda: (x + 1) * over_expm1(x)],
    "quotient of powers": [
        lambda: x**1.5 / w.T**0.5, lambda: x**1.5 / x**1.5, lambda: gx.sqrt(x) / gx.square(w.T),
    ],
    "product of powers": [lambda: gx.sqrt(x) * x, lambda: gx.sqrt(x) * (y / w.T), lambda: gx.sqrt(x) * gx.sqrt(w.T)],
    "power of a size": [lambda: gx.abs(x) ** 3, lambda: gx.abs(x) ** -0.5, lambda: gx.abs(x) ** w.T],
    "log of cumsum-exp": [lambda: gx.log(gx.cumsum(x, axis=1)), lambda: gx.log(gx.cumprod(gx.exp(x), axis=1))],
    "difference of sigmoids of what is related": [lambda: gx.sigmoid(x) - gx.sigmoid(w.T), lambda: gx.sigmoid(x) - gx.sigmoid(w.T + 1)],
    "sum that vanishes at a point": [
        lambda: gx.sin(x) + x, lambda: (x + 1e16) + -x, lambda: gx.sin(x) + -(x * w.T), lambda: gx.exp(x) + (1.0 + x),
    ],
    "logarithm near 1": [lambda: gx.log(gx.sin(x)), lambda: gx.log(w.T * gx.cos(x)), lambda: gx.log(gx.cos(x) + 1), lambda: gx.log(x * x)],
    "difference that vanishes at a point": [
        lambda: (x + 1e16) - 1e16, lambda: gx.sin(x) - gx.sin(x), lambda: 1.0000000001 * gx.sin(x) - x,
        lambda: gx.sin(gx.arcsin(x)) - x, lambda: gx.sin(x + 1) - 0.8414709848078965,
        lambda: gx.sin(x) - w.T, lambda: gx.sin(2 * x) - x, lambda: gx.erf(x) - x, lambda: x - gx.sin(x + 1),
    ],
    "cast of cast": [
        lambda: k.astype("float64").astype("int64"),  # 2**53 + 1
        lambda: k.astype("int32").astype("int64"), lambda: k.astype("float32").astype("float64"), lambda: k.astype("bool").astype("int64"),
        lambda: x.astype("int64").astype("float64"), lambda: x.astype("float32").astype("float64"),
    ],
    "root of squares": [lambda: gx.sqrt(gx.sum(gx.square(x) - 1.0, axis=1)), lambda: gx.sqrt(x),
        lambda: gx.sqrt(gx.sum(-2 * gx.square(x)))],
    "root of squares by power": [lambda: gx.sum(gx.square(x), axis=1) ** 1.5, lambda: gx.sum(x, axis=1) ** 0.5],
    "square of root": [
        lambda: gx.square(gx.where(x > 0, 0.0, gx.sqrt(gx.where(x > 0, 1.0, x)))),
        lambda: gx.square(gx.where(x == 0, 1.0, gx.sqrt(gx.where(x == 0, 1.0, x))))],
    "log-softmax of what is shifted": [
        lambda: x - broadcast(gx.max(x, axis=1), (3, 4), (0,)) - broadcast(gx.log(gx.sum(gx.exp(x), axis=1)), (3, 4), (0,)),
    ],
    "softmax of what is shifted": [
        lambda: gx.exp(x - broadcast(gx.max(x, axis=1), (3, 4), (0,))) / broadcast(gx.sum(gx.exp(x), axis=1), (3, 4), (0,)),
    ],
    "broadcast after elementwise": [lambda: gx.broadcast_to(y, (4, 4)) + broadcast(y, (4, 4), (0,))],
    "reshape after elementwise": [lambda: gx.reshape(x, (2, 6)) + gx.reshape(gx.square(w), (2, 6))],
    "inverse in product": [
        lambda: gx.einsum("ij,jk->ijk", gx.linalg.inv(SQUARE), SQUARE),  # nothing is summed
        lambda: gx.einsum("bij,jk->bik", gx.linalg.inv(gx.stack([SQUARE, SQUARE])), SQUARE),  # one batch alone
        lambda: gx.linalg.solve(SQUARE, SQUARE) @ SQUARE,
    ],
    "log of determinant": [lambda: gx.log(gx.linalg.det(SQUARE) * 2.0), lambda: gx.log(x * w.T)],
    "abs of positive": [lambda: gx.abs(gx.assume(SQUARE, "positive_definite"))],  # its elements may be negative
    "sign of positive": [lambda: gx.sign(gx.assume(SQUARE, "positive_definite"))],
    "log of positive": [
        lambda: gx.log(x**3.5), lambda: gx.log(gx.assume(x, positive=True) * w.T), lambda: gx.log(x / gx.assume(w.T, positive=True)),
    ],
    "broadcast of ones": [lambda: ROW],
    "broadcast of iota": [lambda: gx.broadcast_to(iota((3, 1), 1), (3, 4))],  # zeros, not 0 .. 3
    "reshape of iota": [lambda: gx.reshape(iota((2, 6), 1), (3, 4)), lambda: gx.reshape(iota((4, 1), 1), (4,))],
    "reshape of broadcast": [lambda: gx.reshape(ROW, (4, 3))],
    "transpose of ones": [lambda: x.T],
    "slice of pad": [
        lambda: gx.pad(x, 1)[:3, 1:5], lambda: gx.pad(x, 1)[1:4, 1:6], lambda: pad_with(x, gx.asarray(0.0), (0, 0), (0, 0), (0, 1))[:, :4],
    ],
    "reduce of ones": [lambda: gx.sum(x, axis=1), lambda: gx.sum(t, axis=1)],  # a symbolic size that may be 1 is not
    "extreme of extremes": [
        lambda: gx.max(gx.min(x, axis=1)), lambda: gx.sum(gx.max(x, axis=1)), lambda: gx.sum(gx.sum(x, axis=1)), 
        lambda: gx.any(gx.all(x > 0, axis=1)),
    ],
    "extreme that was checked": [lambda: gx.max(i), lambda: gx.min(x, axis=1), lambda: gx.sum(x, axis=1)],  # integers have no -inf
    "sum of sums": [lambda: gx.sum(gx.prod(x, axis=1)), lambda: gx.sum(gx.max(x, axis=1)), lambda: gx.sum(gx.sum(k, axis=1))],
    "reduce of reshape": [lambda: gx.sum(gx.reshape(x, (2, 6)), axis=1), lambda: gx.sum(gx.reshape(one, (3,)))],
    "reduce of broadcast": [
        lambda: gx.prod(ROW, axis=0), lambda: gx.max(gx.broadcast_to(y, (n, 4)), axis=0),  # nothing, where n is 0
        lambda: gx.sum(ROW, axis=0), lambda: gx.all(gx.broadcast_to(y > 0, (n, 4)), axis=0),
    ],
    "sum of broadcast": [
        lambda: gx.prod(ROW, axis=0), lambda: gx.max(ROW, axis=0), lambda: gx.sum(ROW, axis=1),
        lambda: gx.sum(gx.broadcast_to(i.astype("int8"), (300, 3)), axis=0, dtype="int8"),  # 300 is no int8
    ],
    "sum of negative": [lambda: gx.prod(-x, axis=1), lambda: gx.max(-x, axis=1), lambda: gx.min(-x, axis=1)],
    "sum of one-hot": [
        lambda: one_hot(i.astype("int8"), size=200),  # positions wrap in the dtype of the index
        lambda: one_hot(i % 4, gx.prod), lambda: one_hot(i % 4, gx.max), lambda: one_hot(i % 4, elsewhere=1.0),
        lambda: gx.sum(gx.where(iota((3, 4), 1) <= broadcast(i % 4, (3, 4), (0,)), broadcast(x[:, 0], (3, 4), (0,)), 0.0), axis=1),
        lambda: gx.sum(gx.where(iota((3, 4), 1) == broadcast(i % 4, (3, 4), (0,)), x, 0.0), axis=1),
        lambda: gx.sum(gx.where(iota((3, 4), 1) == broadcast(i % 4, (3, 4), (0,)), broadcast(x[:, 0], (3, 4), (0,)), 0.0), axis=0),
    ],
    "gather at ones": [lambda: gather(x, i % 3, axes=(0,))],
    "gather of elementwise": [
        lambda: gather(gx.exp(x), i % 3, axes=(0,)), lambda: gather(x + gx.square(gx.sin(x)), i % 3, axes=(0,)),
        lambda: gather(x + ROW, gx.concatenate([i, i]) % 4, axes=(1,)),  # the other operand varies along the axis
    ],
    "slice of concat": [
        lambda: gx.concatenate([x, x])[::2],  # the steps do not start anew in the second part
        lambda: gx.concatenate([x, x])[1:5], lambda: gx.concatenate([s, s])[1:3],  # where the first part ends is not known
    ],
    "slice of elementwise": [
        lambda: gx.exp(x)[1:], lambda: (gx.concatenate([x, x]) + 1.0)[1:5], lambda: (gx.concatenate([x, x]) * 2.0)[1:2],
    ],
    "concat of slices": [
        lambda: gx.concatenate([x[:1], x[2:]]), lambda: gx.concatenate([x[1:], x[:1]]), lambda: gx.concatenate([x[:2], x[1:]]),
        lambda: gx.concatenate([x[:1], w.T[1:]]), lambda: gx.concatenate([x, x]),
    ],
    "concat of concat": [lambda: gx.concatenate([gx.concatenate([x, x], axis=1), gx.concatenate([x, x], axis=1)], axis=0)],
    "pad in convolution": [
        lambda: gx.nn.conv1d(gx.pad(x[None], ((0, 0), (0, 0), (1, 1)), constant_values=1), KERNEL),  # not by zeros
        lambda: gx.nn.conv1d(gx.pad(x[None, 1:], ((0, 0), (1, 0), (1, 1))), KERNEL),  # the kernel has the axis, too
        lambda: gx.nn.conv1d(gx.vjp(IMAGE[..., ::2], [IMAGE], 2 * IMAGE[..., :2])[0], KERNEL, stride=2),  # zeros between, and steps
    ],
    "multiple beside its limit, sum": [
        lambda: 0.5 * gx.erf(x) + 0.25, lambda: 0.5 * gx.sin(x) + 0.5, lambda: 0.5 * gx.exp(x) + 0.5,
    ],
    "multiple beside its limit": [lambda: 2.0 * gx.sin(x) - 2.0, lambda: 2.0 * gx.erf(x) - 1.0, lambda: 0.5 * gx.erf(x) - x],
    "product without a sum": [lambda: x @ w, lambda: gx.matmul(x, y)],
}  # fmt: skip


def test_every_rule_on_parameters_has_a_negative_case() -> None:
    names = {rule.name for rule in proof.LOCALS}
    assert names == set(NEGATIVE) | ALWAYS, names ^ (set(NEGATIVE) | ALWAYS)
    assert not set(NEGATIVE) & ALWAYS


@pytest.mark.parametrize(
    ("rule", "case"), [pytest.param(r, c, id=f"{r.name} {j}") for r in proof.LOCALS for j, c in enumerate(NEGATIVE.get(r.name, ()))]
)
def test_a_rule_on_parameters_refuses(rule: Local, case: Callable[[], Node]) -> None:
    """The ops meet as the rule wants them to, and it declines: at the node itself, alone and where the other rules come first."""
    node = case()
    met = 0
    for found in toposort([node]):
        if rule.root in (found.op.name, None) and rule.accepts(Glance("", False, tuple([j.op.name for j in found.inputs]), ())):
            met += found is node or rule.root is None or rule.root == found.op.name
            assert rule.apply(found) is None, f"{rule.name} takes {found}"
    assert met, "the case does not contain the pattern"


@pytest.mark.parametrize("case", [pytest.param(c, id=f"{name} {j}") for name, cases in NEGATIVE.items() for j, c in enumerate(cases)])
def test_refused_cases_compile_to_the_same_numbers(case: Callable[[], Node]) -> None:
    """Awkward values through every pass and native code, against the interpreter: 2**53 + 1, nan, infinities, -0, a size of 0."""
    node = case()
    leaves = [v for v in toposort([node]) if v.op.name == "input"]
    draw = np.random.default_rng(1)
    floats = np.array([0.0, -0.0, 1.5, -2.0, math.nan, 1e-310, 3.0, -1e30])
    whole = np.array([0, 1, -1, 2**53 + 1, 2**31, 7, -(2**40), 3])
    if any(v.op.name == "gather" for v in toposort([node])):
        whole = np.array([0, 1, 2])
    env = {}
    for v in leaves:
        shape = [size if isinstance(size, int) else 0 for size in v.shape]
        env[v] = draw.choice(floats if v.dtype.kind == "f" else whole, size=shape).astype(v.dtype)
    try:
        (expected,) = evaluate([node], env)
    except (GraphcError, ValueError):
        return  # an index out of range, the maximum of nothing
    got = gx.function(leaves, node)(*env.values())
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-300)


# -- faults that were planted and lived --------------------------------------------------------------------------------------
def test_an_index_clipped_to_one_too_far_is_checked() -> None:
    """take(x, clip(i, 0, n)) of n elements: n itself is outside."""
    v, at = gx.tensor("v", (n + 1,)), gx.tensor("at", (), "int64")
    for high, inside in [(n, True), (n + 1, False)]:
        f = gx.function([v, at], gx.take(v, gx.clip(at, 0, high)))
        if inside:
            assert f(np.arange(3.0), 99) == 2.0 and "check" not in f.program
        else:
            with pytest.raises(gx.IndexOutOfRange):
                f(np.arange(3.0), 3)


def test_what_is_proved_of_constants_and_remainders() -> None:
    """One below and one above are not within: such an index is read without a check."""
    v = gx.tensor("v", (3,), "int64")
    for index, inside in [
        (gx.asarray(np.array([0, 2])), True), (gx.asarray(np.array([-1, 2])), False), (gx.asarray(np.array([0, 3])), False),
        (v % 3, True), (v % 4, False), (gx.clip(v, 0, 2), True), (gx.clip(v, -1, 2), False), (gx.clip(v, 0, 3), False),
        (iota((3, 2), 0), True), (iota((4, 2), 0), False), (gx.argmax(x, axis=0), True), (gx.argmax(x, axis=1), False),
        (gx.asarray(np.zeros(0, np.int64)), True), ((v % 3).astype("int8"), False), (v % 3 - 1, False),
    ]:  # fmt: skip
        assert bool(within(index, 3)) is inside, index


def test_integers_through_floats_are_rounded() -> None:
    v = gx.tensor("v", (2,), "int64")
    big = np.array([2**53 + 1, -(2**53) - 1])
    np.testing.assert_array_equal(gx.function([v], v.astype("float64").astype("int64"))(big), [2**53, -(2**53)])
    u = gx.tensor("u", (2,), "int32")
    kept = np.array([2**24 + 1, -(2**31)], "int32")
    np.testing.assert_array_equal(gx.function([u], u.astype("float32").astype("int32"))(kept), [2**24, -(2**31)])
    np.testing.assert_array_equal(gx.function([u], u.astype("float64").astype("int32"))(kept), kept)


@pytest.mark.parametrize("size", [0, 1, 4, 5, 6, 9])
def test_sizes_that_are_negative_on_the_way(size: int) -> None:
    """Floor division and remainder of sizes round towards -inf below 0 too: (n - 5) // 3 at n = 0 is -2."""
    v = gx.tensor("v", ("n",))
    formulas = {3: ((n - 5) // 3, (n - 5) % 3), 4: ((n - 5) // 4, (n - 5) % 4), 7: ((2 * n - 9) // 7, (2 * n - 9) % 7)}
    nodes = [gx.asarray(f) for pair in formulas.values() for f in pair]
    got = [int(r) for r in gx.function([v], nodes)(np.zeros(size))]
    assert got == [g(a, b) for a, b in [(size - 5, 3), (size - 5, 4), (2 * size - 9, 7)] for g in (lambda a, b: a // b, lambda a, b: a % b)]


def test_a_jacobian_of_overlapping_stencils() -> None:
    """sin(x) * x[::-1] + x * x[::-1]: two patterns hit the same entries, which add up."""
    v = gx.tensor("v", (5,))
    jacobian = gx.function([v], gx.jacobian(gx.sin(v) * v[::-1] + v * v[::-1], v))
    at = np.array([0.3, -1.0, 2.0, 0.7, 1.1])
    back = np.eye(5)[::-1]
    expected = np.diag((np.cos(at) + 1) * at[::-1]) + (np.sin(at) + at)[:, None] * back
    np.testing.assert_allclose(jacobian(at), expected, rtol=1e-14)


def test_prepare_keeps_kinks() -> None:
    """What is for after `grad` only does not happen before it: a second choice may guard a derivative."""
    v = gx.tensor("v", ())
    guarded = gx.where(v > 0, gx.sqrt(gx.where(v > 0, v, 1.0)), 0.0)
    assert prepare([guarded])[0] is guarded

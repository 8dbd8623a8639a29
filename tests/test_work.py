"""What the compiler does for a node does not grow with the graph: work is counted, not timed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import graphc as gx
from graphc.ir import Node, kinds_of, toposort
from graphc.passes.prepare import prepare
from graphc.passes.rules import exponentials, logarithms, removable
from graphc.passes.rules.expansion import Expansion, is_plain
from graphc.passes.rules.power_series import decimals


def test_nodes_know_the_ops_they_are_made_of() -> None:
    x, s = gx.tensor("x", ("n", 4)), gx.shared(np.ones(4))
    rows, _ = gx.scan(lambda c, r: (c * r, c), s, x)
    loss = gx.sum(gx.softmax(x @ gx.ones((4, 3)))) + gx.sum(rows) + gx.concatenate([x[0], s])[5]
    for node in toposort([loss, *gx.grad(loss, [x])]):
        below = {n.op for n in toposort([node]) if not n.op.elementwise and n.op.traits.leaf not in ("input", "constant")}
        assert node.kinds == below
    assert kinds_of([]) == frozenset() and kinds_of([x, s]) == {s.op}


def chain(layers: int) -> Node:
    x = gx.scalar("x")
    for _ in range(layers):
        x = gx.tanh(0.9 * x + 0.1) * 1.01 / (2.0 + gx.square(x) * gx.exp(-x) * gx.exp(0.5 * gx.sin(x)))
    return x


def cancelling(layers: int) -> Node:
    """Of layers in which something could cancel: a series each tells that nothing does."""
    x = gx.scalar("x")
    for _ in range(layers):
        y = 0.9 * x + 0.1
        x = gx.sin(y) - 2.0 * y
    return x


def counted(monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> list[int]:
    """How often a function is called from now on."""
    count, function = [0], getattr(module, name)

    def counting(*args: object) -> object:
        count[0] += 1
        return function(*args)

    monkeypatch.setattr(module, name, counting)
    return count


def test_rules_work_in_proportion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Factors and logarithms are what rules are dear by."""
    calls = {
        "factors": counted(monkeypatch, exponentials, "_Exponents"),
        "logarithms": counted(monkeypatch, logarithms, "_log_of_product"),
    }
    found = []
    for layers in (40, 80):
        before = {name: count[0] for name, count in calls.items()}
        prepare([chain(layers)])
        found.append({name: count[0] - before[name] for name, count in calls.items()})
    for name in calls:
        assert 40 <= found[1][name] <= 2.2 * found[0][name] + 4, found


def test_of_alike_layers_none_is_expanded_a_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Series are what is dearest: as many for 80 layers as for 40, which have some."""
    count, found = counted(monkeypatch, removable, "_cancels"), []
    for layers in (40, 80):
        removable._PLAIN.clear()
        before = count[0]
        prepare([cancelling(layers)])
        found.append(count[0] - before)
    assert found[1] == found[0] > 10, found


EXPRESSIONS: dict[str, Callable[[Node], Node]] = {
    "sin(x) - x": lambda x: gx.sin(x) - x,
    "sin(x) - 2x": lambda x: gx.sin(x) - 2.0 * x,
    "sin(2x) - 2x": lambda x: gx.sin(2.0 * x) - 2.0 * x,
    "sin(x) + x": lambda x: gx.sin(x) + x,
    "tanh(x) - 1": lambda x: gx.tanh(x) - 1.0,
    "exp(x) - 1 - x": lambda x: gx.expm1(x) - x,
    "x tanh(x) - 1": lambda x: gx.tanh(x) * x - 1.0,
}


@pytest.mark.parametrize("order", [1, -1])
def test_what_was_looked_at_before_changes_nothing(order: int) -> None:
    def answers(forget: bool) -> list[bool]:
        made = []
        for build in list(EXPRESSIONS.values())[::order]:
            if forget:
                removable._PLAIN.clear()
            node = build(gx.scalar("x"))
            made.append(removable.removable(node) is not None)
        return made

    alone = answers(True)
    removable._PLAIN.clear()
    assert answers(False) == alone and answers(False) == alone and any(alone) and not all(alone)


PLAIN: dict[str, Callable[[Node], Node]] = {
    "2 - tanh(x)": lambda x: 2.0 - gx.tanh(x),
    "tanh(0.3 - x) - 0.7": lambda x: gx.tanh(0.3 - x) - 0.7,
    "exp(x) / cosh(x)": lambda x: gx.exp(x) / gx.cosh(x),
    "sin(x) exp(x)": lambda x: gx.sin(x) * gx.exp(x),
    "log(3 + sin(x))": lambda x: gx.log(3.0 + gx.sin(x)),
}
CANCELS: dict[str, Callable[[Node], Node]] = {
    "sin(x) - x": lambda x: gx.sin(x) - x,
    "exp(x) - 1": lambda x: gx.exp(x) - 1.0,
    "exp(x - x) - cos(x)": lambda x: gx.exp(x * 0.0) - gx.cos(x),
    "sin(x) / x": lambda x: gx.sin(x) / x,
    "x (1 / sinh(x))": lambda x: x * gx.reciprocal(gx.sinh(x)),
    "log(cos(x))": lambda x: gx.log(gx.cos(x)),
    "((exp(x) - 1) / x) - 1": lambda x: (gx.exp(x) - 1.0) / x - 1.0,
    "noise over noise": lambda x: (gx.exp(x) + 1e-3 - 1e-3 - 1.0) / (gx.exp(2.0 * x) + 1e-3 - 1e-3 - 1.0) - 0.5,
}


@pytest.mark.parametrize("name", [*PLAIN, *CANCELS])
def test_a_glance_in_floats_spares_the_series_where_nothing_cancels(name: str) -> None:
    x = gx.scalar("x")
    node = {**PLAIN, **CANCELS}[name](x)
    assert is_plain(node, x, 0.0) == (name in PLAIN)
    if name in PLAIN:
        with decimals():
            assert not removable._cancels(node, Expansion(x, 0.0, 30))


def test_layers_that_differ_in_their_numbers_are_hardly_ever_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    y = gx.vector("x", 8)
    for k in range(300):
        y = (gx.sigmoid, gx.tanh, gx.sin)[k % 3]((0.3 + 1e-3 * k) - y if k % 2 else y * (0.3 + 1e-3 * k))
    removable._PLAIN.clear()
    count = counted(monkeypatch, removable, "_cancels")
    prepare([y])
    assert count[0] <= 10

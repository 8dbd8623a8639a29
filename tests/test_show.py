"""`print(node)`: an expression as mathematics, bounded. tests/golden/show_*.txt is the spec; what is shown computes what the node does."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.show import show

Golden = Callable[[str, str], None]


def model() -> tuple[Any, Any, Any]:
    x, y = gx.tensor("x", ("n", 64), "float32"), gx.tensor("y", ("n",), "int64")
    p = gx.shared({"w": np.zeros((64, 10), "float32"), "b": np.zeros(10, "float32")}, "p")
    logp = gx.log(gx.softmax(x @ p["w"] + p["b"]))
    return x, p, -gx.mean(gx.take_along_axis(logp, y[:, None], axis=1))


def regression() -> tuple[Any, Any]:
    x, y = gx.tensor("x", ("n", 2)), gx.tensor("y", ("n",))
    w = gx.shared(np.zeros(2), "w")
    return gx.mean((x @ w - y) ** 2), w


def test_golden(golden: Golden) -> None:
    x, p, loss = model()
    square, w = regression()
    u, v, m = gx.tensor("u"), gx.tensor("v"), gx.tensor("m", (3, 4))
    shown = {
        "a variable": x, "state": p["w"], "mean squared error": square, "its gradient": gx.grad(square, w),
        "cross entropy": loss, "its gradient, b": gx.grad(loss, p["b"]),
        "brackets": (u - (v - 1)) * -(u + v) / (u * v) / (u / v) - -u ** 2 + (-u) ** v ** 2,
        "comparisons": (u < v) & ((u >= 0) | ~(u == v)), "integers": (gx.tensor("i", (), "int64") << 2) // 3 % 5,
        "shapes": gx.concatenate([m.T[1:, ::2], gx.flip(m[:2], axis=0).reshape(4, 2)], axis=0) + gx.arange(7)[:, None],
        "a selection": gx.where(m > 0.5, m, gx.zeros((3, 4))).sum(axis=(0, 1)), "a constant": m * np.arange(12.0).reshape(3, 4),
        "a size": gx.sum(x) / x.shape[0] + 2 * x.shape[0], "products": gx.einsum("ij,kj->ik", m, m) + gx.einsum("ij,kj->ijk", m, m).sum(),
        "an index": m[gx.tensor("k", (), "int64")], "a gradient of a max": gx.grad(gx.max(m), m),
        "many operands": gx.concatenate([gx.exp(m) * k for k in range(20)]).sum(),
    }  # fmt: skip
    golden("show_expressions", "\n\n".join(f"-- {title}\n{node}" for title, node in shown.items()))


def test_graph_and_str_are_one_and_repr_is_one_line() -> None:
    _, _, loss = model()
    assert loss.graph == str(loss) == f"{loss}" == show(loss)
    assert "\n" not in repr(loss) and len(repr(loss)) < 80


UNARY: list[Callable[[Any], Any]] = [
    lambda a: -a, lambda a: a**2, lambda a: 2**a, lambda a: 1 / a, gx.exp, gx.square, gx.reciprocal, lambda a: a.sum(axis=1)[:, None] * a,
    lambda a: gx.mean(a, axis=0) + a, lambda a: a.T @ a, lambda a: a @ a.T, lambda a: a - a.max(), lambda a: a[1:], lambda a: a[::2, 1:],
    lambda a: gx.where(a > 0.4, a, -a), lambda a: a.reshape(a.shape[1], a.shape[0]), lambda a: gx.flip(a, axis=1), lambda a: a % 0.3,
]  # fmt: skip
BINARY: list[Callable[[Any, Any], Any]] = [
    lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a / b, lambda a, b: a // b, lambda a, b: a**b,
]  # fmt: skip


def read(text: str, values: dict[str, Any]) -> Any:
    """What the shown text computes, by NumPy."""
    names = "exp sum mean max where flip reshape broadcast_to float64 square reciprocal transpose"
    scope: dict[str, Any] = {**{name: getattr(np, name) for name in names.split()}, **values}
    result = None
    for line in text.splitlines():
        if line.startswith("  ") or ("#" not in line):
            continue
        target, _, source = line.split("    # ")[0].rstrip().rpartition(" = ")
        result = eval(source, scope)
        if target:
            scope[target] = result
    return result


@pytest.mark.parametrize("seed", range(60))
def test_the_text_computes_what_the_node_does(seed: int) -> None:
    """Parentheses, axes and letters are right: the text, read as Python over NumPy arrays, gives the interpreter's value."""
    rng = np.random.default_rng(seed)
    x, y = gx.tensor("x", (4, 4)), gx.tensor("y", (4, 4))
    nodes = [x, y]
    for _ in range(rng.integers(2, 14)):
        a, b = (nodes[k] for k in rng.integers(0, len(nodes), 2))
        made = BINARY[rng.integers(len(BINARY))](a, b) if rng.random() < 0.5 and a.shape == b.shape else UNARY[rng.integers(len(UNARY))](a)
        nodes.append(made if min(made.shape) > 1 else a + 1)
    values = {"x": rng.uniform(0.2, 1, (4, 4)), "y": rng.uniform(0.2, 1, (4, 4))}
    text = str(nodes[-1])
    if "..." in text:
        pytest.skip("cut")
    if len(text.splitlines()) == 1:
        return
    with np.errstate(all="ignore"):
        want = nodes[-1].eval({x: values["x"], y: values["y"]})
        np.testing.assert_allclose(read(text, values), want, rtol=1e-9, atol=1e-12, err_msg=text)


def test_chains_and_wide_graphs_are_bounded() -> None:
    x = gx.tensor("x")
    deep, doubled = x, x
    for _ in range(50_000):
        deep = gx.sin(deep) + 0.5
        doubled = doubled + doubled
    wide = gx.stack([gx.exp(gx.tensor(f"v{k}")) for k in range(5000)]).sum()
    for node, more in ((deep, "99,"), (doubled, "49,"), (wide, "more nodes")):
        start = time.process_time()
        text = str(node)
        assert time.process_time() - start < 20  # seconds where a walk of all paths would need years
        lines = text.splitlines()
        assert len(lines) < 200 and max(map(len, lines)) < 260 and more in lines[-1], text
        assert re.fullmatch(r"  \.\.\. and [\d,]+ more nodes", lines[-1])


def test_letters_are_no_names_of_variables() -> None:
    a, b, other = gx.tensor("a"), gx.tensor("b"), gx.tensor("a")
    e = gx.exp(a * b + other)
    assert str(e * e + e).splitlines()[0].startswith("c = exp(") and "a.1" in str(e)


def test_several_outputs() -> None:
    square, w = regression()
    text = show(square, gx.grad(square, w))
    assert [re.sub(r" +# .*", "", line) for line in text.splitlines() if "#" in line] == [
        "a = x @ w - y", "b = float64(n)", "mean(a ** 2)", "x.T @ (1 / b * (a + a))",
    ]  # fmt: skip
    assert show() == ""


def test_types_of_several_arrays_and_unknown_parameters() -> None:
    """What has no row of its own is written by its name, operands and parameters."""
    x = gx.tensor("x", (3,))
    assert str(gx.cumsum(x, axis=0)).splitlines()[0].startswith("cumulate(x, ")
    assert str(gx.argmax(x)).splitlines()[0].startswith("arg_reduce(x, ")

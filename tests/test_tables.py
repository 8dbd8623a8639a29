"""Many launches as tables: the same results as code, in text that does not grow with their number."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.codegen import tables
from graphc.codegen.tables import stretches
from graphc.program import Check, Kernel, Launch


def layers(count: int, rows: int | str) -> tuple[list[gx.Node], list[gx.Node]]:
    """A network of equal layers with its gradient."""
    x, w, b = gx.tensor("x", (rows, 5), "float32"), gx.tensor("w", (5, 5), "float32"), gx.tensor("b", (5,), "float32")
    h = x
    for _ in range(count):
        h = gx.tanh(h @ w + b)
    loss = gx.sum(h * h)
    return [x, w, b], [loss, *gx.grad(loss, [x, w, b])]


def turns() -> tuple[list[gx.Node], list[gx.Node]]:
    """Loops whose carries change places, and whose rows lie where the turn says; one turn after the other, and examples side by side."""
    x, w = gx.tensor("x", ("n", 6)), gx.tensor("w", (6, 6))

    def body(c: gx.Node, row: gx.Node) -> tuple[gx.Node, gx.Node]:
        new = gx.tanh(w @ c) + row
        return new, gx.cumsum(new[::-1])

    last, rows = gx.scan(body, x[0], x)
    each = gx.vmap(lambda row: gx.scan(lambda c, _: (w @ gx.sin(w @ c), None), row, length=3)[0])(x)
    loss = gx.sum(last * rows) + gx.sum(each)
    return [x, w], [loss, *gx.grad(loss, [x, w])]


def checked() -> tuple[list[gx.Node], list[gx.Node]]:
    """Launches between checks of indices."""
    x, i = gx.tensor("x", (4, 4)), gx.tensor("i", (4,), "int64")
    y = x
    for _ in range(3):
        y = gx.take(y @ x, i + 0, axis=0)
        y = gx.take(gx.cumsum(y, axis=1) @ y, i - 1, axis=0)
    return [x, i], [y]


def data(inputs: Sequence[gx.Node], rows: int) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    shapes = [tuple([s if isinstance(s, int) else rows for s in v.shape]) for v in inputs]
    return [
        np.array([1, 3, 2, 1]) if v.dtype.kind == "i" else (rng.standard_normal(shape) / 2).astype(v.dtype)
        for v, shape in zip(inputs, shapes, strict=True)
    ]


@pytest.mark.parametrize(
    "declare", [lambda: layers(3, 4), lambda: layers(3, "n"), turns, checked], ids=["static", "sizes", "loops", "checks"]
)
def test_a_table_gives_what_code_gives(declare: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, outputs = declare()
    code = gx.function(inputs, outputs)
    monkeypatch.setattr(tables, "LONG_RUN", 1)
    monkeypatch.setattr(tables, "ALIKE", 0)
    table = gx.function(inputs, outputs)
    assert ".rows = " in table.llvm and ".rows = " not in code.llvm
    for rows in (4, 1, 7):
        if rows == 4 or any(not isinstance(s, int) for v in inputs for s in v.shape):
            arrays = data(inputs, rows)
            for a, b in zip(code(*arrays), table(*arrays), strict=True):
                np.testing.assert_array_equal(a, b)
    if any(v.dtype.kind == "i" for v in inputs):
        with pytest.raises(gx.IndexOutOfRange, match="9"):
            table(arrays[0], np.array([0, 0, 9, 0]))


def test_the_text_of_a_network_does_not_grow_with_its_layers() -> None:
    few, many = (gx.function(*layers(count, 4)) for count in (45, 90))
    assert abs(many.llvm.count("\n") - few.llvm.count("\n")) < 100
    assert abs(many.llvm.count("call void @k") - few.llvm.count("call void @k")) <= 8  # what no table takes
    x, w, b = data(many.inputs, 4)
    h = x.astype(float)
    for _ in range(90):
        h = np.tanh(h @ w + b)
    np.testing.assert_allclose(many(x, w, b)[0], np.sum(h * h), rtol=1e-4)


def test_scratch_of_a_thread_is_one_base_of_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LONG_RUN", 8)
    x = gx.vector("x", "n", "float32")
    y = x
    for _ in range(150):
        y = gx.tanh(0.9 * y + 0.1) * 1.01
    loss = gx.sum(y)
    f = gx.function([x], [loss, gx.grad(loss, x)], threads=2)
    places = [int(count) for count in re.findall(r"%places = alloca \[(\d+) x ptr\]", f.llvm)]
    assert places and max(places) <= 4, places  # not one for each of the arrays in a cache block
    value, wanted = np.linspace(-2, 2, 1000, dtype="float32"), np.linspace(-2, 2, 1000)
    slope = np.ones(1000)
    for _ in range(150):
        t = np.tanh(0.9 * wanted + 0.1)
        wanted, slope = t * 1.01, slope * 1.01 * 0.9 * (1 - t * t)
    got = f(value)
    np.testing.assert_allclose(got[0], np.sum(wanted), rtol=1e-5)
    np.testing.assert_allclose(got[1], slope, rtol=1e-3, atol=1e-30)


def test_runs_of_many_launches_of_few_kernels_become_tables() -> None:
    x = gx.tensor("x", (3,))
    a, b = Kernel((), (), ()), Kernel((), (), (), "scalar")
    launch = lambda k: Launch((a, b)[k % 2], ())
    check = Check(0, 0, x, 1)
    run = [(k, launch(k)) for k in range(tables.LONG_RUN)]
    assert [(long, len(s)) for long, s in stretches(run)] == [(True, len(run))]
    assert [(long, len(s)) for long, s in stretches(run[1:])] == [(False, len(run) - 1)]
    assert [(long, len(s)) for long, s in stretches([(0, launch(0)), (1, check), *run, (2, check)])] == [
        (False, 2),
        (True, len(run)),
        (False, 1),
    ]
    different = [(k, Launch(Kernel((), (), (), f"kind {k}"), ())) for k in range(2 * tables.LONG_RUN)]
    assert [long for long, _ in stretches(different)] == [False]
    assert stretches([]) == []

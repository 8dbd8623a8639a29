"""Kernels that differ in one size alone are one function; what runs once in a long call stands as it is written."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.codegen import compile as compiling
from graphc.codegen.alike import Callee, _own, callees
from graphc.codegen.strategy.product_scratch import lowered
from graphc.codegen.target import host

COLUMNS = 40  # a chunk of a column sum is 409 rows
ROWS = (0, 1, 3, 64, 408, 409, 410, 819, 1000, 5000)


def text_of(f: gx.Function) -> str:
    assert f._executable is not None
    return f._executable.text


def functions(f: gx.Function) -> dict[str, str]:
    """The attributes of each function of the module."""
    text = text_of(f)
    groups = dict(re.findall(r"^attributes (#\d+) = \{(.*)\}$", text, re.M))
    return {name: groups.get(group, "") for name, group in re.findall(r"^define .*?@([\w.]+)\(.*\) (#\d+)? ?\{$", text, re.M)}


def momentum(dtype: str) -> gx.Function:
    """Sums of columns, and a step of state by them, as an optimiser makes it: one kernel, of as many rows as there are."""
    x, rate = gx.tensor("x", ("n", COLUMNS), dtype), gx.scalar("rate", dtype)
    w, v = gx.tensor("w", (COLUMNS,), dtype), gx.tensor("v", (COLUMNS,), dtype)
    speed = 0.9 * v + gx.sum(x, 0)
    return gx.function([x, w, v, rate], [w - rate * speed / gx.sqrt(1 + speed * speed), speed])


def kernels(f: gx.Function) -> list[str]:
    return [name for name in functions(f) if re.fullmatch(r"k\d+", name)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_of_rows_and_of_partial_sums_are_one_function(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one = momentum(dtype)
    with monkeypatch.context() as patch:
        patch.setattr(compiling, "callees", lambda bodies, loops, names, apart: {k: _own(names[k], b) for k, b in bodies.items()})
        each = momentum(dtype)
    fewer = len(kernels(each)) - len(kernels(one))
    assert fewer == (host().vector_bytes == 64), "the sum of all rows and that of partial sums, whose loops differ for narrower vectors"
    rng = np.random.default_rng(3)
    for n in ROWS:
        X, W, V = (rng.normal(size=s).astype(dtype) for s in ((n, COLUMNS), COLUMNS, COLUMNS))
        got, want = one(X, W, V, 0.1), each(X, W, V, 0.1)
        for g, w in zip(got, want, strict=True):
            assert g.tobytes() == w.tobytes(), n
        speed = 0.9 * V + X.sum(0, dtype="f8")
        tolerance = {"rtol": 3e-5, "atol": 3e-5} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-12}
        np.testing.assert_allclose(got[1], speed, **tolerance)
        np.testing.assert_allclose(got[0], W - 0.1 * speed / np.sqrt(1 + speed * speed), **tolerance)


def named(f: gx.Function) -> list[Callee]:
    program = f._program
    assert program is not None
    names = program.kernels()
    return list(callees({k: k for k in names}, {k: lowered(k, host()) for k in names}, names, ()).values())


@pytest.mark.parametrize("reduction", [gx.mean, gx.var])
def test_a_kernel_that_knows_another_size_stays_apart(reduction: Any) -> None:
    """A mean divides by n, which is not the number of partial sums."""
    x = gx.tensor("x", ("n", COLUMNS), "float32")
    listed = named(gx.function([x], reduction(x, 0)))
    assert len({c.name for c in listed}) == len(listed) > 1


def test_loops_that_are_written_differently_stay_apart() -> None:
    """Of few columns the lanes go along the rows where there are many, and not where there are few: the order of the sum differs."""
    x = gx.tensor("x", ("n", 3), "float64")
    f, g = (gx.function([x], gx.softmax(gx.tanh(x), 0), threads=k) for k in (1, 5))
    for n in (1, 40, 40000):
        X = np.random.default_rng(n).normal(size=(n, 3))
        np.testing.assert_array_equal(f(X), g(X))


def test_other_shapes_are_other_functions() -> None:
    x, y = (gx.tensor(name, ("n", columns), "float32") for name, columns in (("x", COLUMNS), ("y", COLUMNS + 1)))
    listed = named(gx.function([x, y], [gx.exp(gx.sum(x, 0)), gx.exp(gx.sum(y, 0))]))
    last = {(c.name, c.kernel.operands[-1].shape[-1]) for c in listed}
    assert len(last) == len({name for name, _ in last}) == len(listed) - 2


# -- what runs once in a long call ------------------------------------------------------------------------------------
def as_they_stand(f: gx.Function) -> set[str]:
    return {name for name, attributes in functions(f).items() if "optnone" in attributes}


def test_what_runs_once_in_a_long_call_stands_as_it_is_written() -> None:
    """Its kernels do not, nor does what a loop runs in each turn; in a short call nothing does."""
    a, n = gx.tensor("a", (256, 256), "float32"), gx.tensor("n", ("n",), "float32")
    product = gx.function([a, n], [a @ a, gx.exp(n)], threads=1)
    assert {"entry", "part0"} <= as_they_stand(product) and not [k for k in as_they_stand(product) if k.startswith(("k", "tile"))]
    assert as_they_stand(gx.function([n], gx.exp(n), threads=1)) == set()
    last, _ = gx.scan(lambda c, _: (gx.tanh(a @ c), c[0]), a, None, length=5)
    turned = gx.function([a], gx.sum(last), threads=1)
    parts = {name for name in functions(turned) if name.startswith("part")}
    assert parts - as_they_stand(turned) and "entry" in as_they_stand(turned)
    A, N = np.eye(256, dtype="f4") * 2, np.linspace(-1, 1, 7, dtype="f4")
    np.testing.assert_array_equal(product(A, N)[0], A @ A)
    np.testing.assert_allclose(product(A, N)[1], np.exp(N), rtol=1e-6)
    out = [np.empty((256, 256), "f4"), np.empty(7, "f4")]
    assert product(A, N, out=out) is out and out[0][3, 3] == 4
    c = A
    for _ in range(5):
        c = np.tanh(A @ c)
    np.testing.assert_allclose(turned(A), c.sum(), rtol=1e-5)

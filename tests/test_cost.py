"""`f.cost` and `f.memory`: counted, for given sizes."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx


def test_counts() -> None:
    x, y = gx.vector("x", "n"), gx.vector("y", "n")
    f = gx.function([x, y], gx.exp(x) * y + 1)
    got = f.cost(n=100)
    assert got == {"operations": 300, "transcendental": 100, "bytes": 2400, "kernels": 1}
    assert f.cost(n=0)["operations"] == 0
    product = gx.function([a := gx.matrix("a", ("n", 8)), b := gx.matrix("b", (8, "m"))], a @ b)
    assert product.cost(n=3, m=5)["operations"] == 2 * 3 * 5 * 8
    total = gx.function([z := gx.vector("z", 64)], gx.sum(z))
    assert total.cost()["operations"] == 64 and total.cost()["bytes"] == 65 * 8
    chunks = gx.function([x], gx.sum(x))  # of 16384 elements, the last shorter, and then the sum of their sums
    assert chunks.cost(n=40000)["operations"] == 40000 + 3 and chunks.cost(n=0)["operations"] == 0
    assert gx.function([x], x).cost(n=10) == {"operations": 0, "transcendental": 0, "bytes": 160, "kernels": 1}


def test_memory() -> None:
    x = gx.matrix("x", ("n", 4), "float32")
    s = gx.shared(np.zeros((4, 4), "float32"), "s")
    big = np.arange(40, dtype="float32").reshape(4, 10)
    f = gx.function([x], (x @ s) @ big, updates={s: s * 2})
    got = f.memory(n=16)
    assert got["inputs"] == 256 and got["state"] == 64 and got["constants"] == 160 and got["outputs"] == 640
    assert got["arena"] >= got["largest"] and got["largest"] in (256, 16 * 4 * 4)
    chain = x
    for _ in range(5):
        chain = gx.softmax(chain @ s, axis=0)
    long = gx.function([x], chain, threads=1)  # each thread has a panel for packed operands
    assert long.memory(n=1000)["arena"] <= 3 * 16064  # blocks are used again
    assert gx.function([x], x * 2).memory(n=9)["arena"] == 0


def test_sizes_by_name() -> None:
    n = gx.dim("n")
    s = gx.shared(np.zeros(7), "s", shape=("k",))
    f = gx.function([n, gx.vector("x", "m")], [gx.arange(n), s], updates={s: s + 1})
    assert f.cost(n=3, m=2)["bytes"] > 0
    assert f.memory(n=3, m=2)["state"] == 56  # sizes of state are known
    assert f.memory(n=3, m=2, k=2)["state"] == 16
    for sizes, text in [
        ({"n": 3}, "the size m is needed; hint: pass m=..."),
        ({"n": 3, "m": 1, "q": 2}, "there is no size named q; hint: sizes are k, m, n"),
        ({"n": -1, "m": 1}, "size n: expected a non-negative int, got -1"),
        ({"n": 1.5, "m": 1}, "size n: expected a non-negative int, got 1.5"),
    ]:
        with pytest.raises(gx.ArgumentError, match=text.replace("...", r"\.\.\.")):
            f.cost(**sizes)
    with pytest.raises(gx.ArgumentError, match="sizes are all fixed"):
        gx.function([], 1.0).cost(n=1)
    fixed = gx.function([gx.vector("x", 3)], 1.0)
    assert fixed.cost()["operations"] == 0


def test_a_masked_softmax_and_its_gradient_compute_one_exponential_each() -> None:
    """The derivative is masked as well, which must not make another exponential of what is not masked."""
    x, mask = gx.tensor("x", (8, 16)), gx.tensor("mask", (8, 16), "bool")
    p = gx.softmax(gx.where(mask, x, -np.inf), axis=1)
    f = gx.function([x, mask], [p, gx.grad(gx.sum(p * p), x)])
    assert f.cost()["transcendental"] == 8 * 16

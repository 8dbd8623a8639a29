"""Derivatives of the determinant are polynomials: compared with Leibniz' sum in mpmath, for matrices of every rank."""

from __future__ import annotations

import itertools
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import graphc as gx
from graphc.interp import evaluate
from graphc.ir import toposort

L = gx.linalg


def leibniz(a: Any) -> Any:
    """The sum over permutations."""
    total = mp.mpf(0)
    for p in itertools.permutations(range(a.rows)):
        odd = sum(p[i] < p[j] for i in range(a.rows) for j in range(i)) % 2
        total += (-1) ** odd * mp.fprod(a[i, p[i]] for i in range(a.rows))
    return total


def of_rank(n: int, rank: int) -> list[np.ndarray]:
    """Matrices of this rank: of normal numbers, of whole numbers, with equal singular values and exact zeros."""
    random = np.random.default_rng(10 * n + rank)
    a = random.normal(size=(n, rank)) @ random.normal(size=(rank, n))
    return [a, np.round(2 * a), np.diag([1.0] * rank + [0.0] * (n - rank))]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_orders_0_to_3_of_matrices_of_every_rank(dtype: str) -> None:
    a, e, t = gx.tensor("a", ("n", "n"), dtype), gx.tensor("e", ("n", "n"), dtype), gx.scalar("t", dtype)
    orders = [L.det(a + t * e + t * t * e.T)]
    for _ in range(4):
        orders.append(gx.grad(orders[-1], t))
    f = gx.function([a, e, t], orders[:4])
    tolerance = 1e-11 if dtype == "float64" else 2e-4
    for n in range(5):
        direction = np.random.default_rng(n).normal(size=(n, n)).astype(dtype)
        for rank in range(n + 1):
            for value in (m.astype(dtype) for m in of_rank(n, rank)):
                with mp.workdps(40):
                    x, y = (mp.matrix(v.tolist()) if n else mp.matrix(0, 0) for v in (value, direction))
                    wanted = [float(mp.diff(lambda s, x=x, y=y: leibniz(x + s * y + s * s * y.T), 0, k)) for k in range(5)]
                scale = 1 + np.abs(wanted)
                assert (np.abs(np.array(f(value, direction, 0)) - wanted[:4]) <= tolerance * scale[:4]).all(), (n, rank)
                if n == 3 and rank == 3:  # the fourth order takes an inverse
                    fourth = evaluate([orders[4]], {a: value, e: direction, t: np.asarray(0, dtype)})[0]
                    assert abs(fourth - wanted[4]) <= 1e3 * tolerance * scale[4]


def test_the_gradient_shares_the_factors_and_batches_mix_ranks() -> None:
    a = gx.tensor("a", ("b", 3, 3))
    made = [L.det(a), gx.grad(gx.sum(L.det(a)), a), L.solve(a, a[..., :1], on_error="nan")]
    f = gx.function([a], made)
    assert [n.op.name for n in toposort(f._optimised.outputs)].count("lu") == 1
    values = np.stack([m for rank in (3, 2, 1, 0) for m in of_rank(3, rank)])
    slope = f(values)[1]
    minors = [[[(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(m, i, 0), j, 1)) for j in range(3)] for i in range(3)] for m in values]
    np.testing.assert_allclose(slope, minors, rtol=1e-10, atol=1e-10)
    second = gx.function([a], gx.grad(gx.sum(made[1][..., 0, 0]), a))(values)  # of a[1, 1] a[2, 2] - a[1, 2] a[2, 1]
    np.testing.assert_allclose(second[:, 1:, 1:], values[:, 1:, 1:][:, ::-1, ::-1] * [[1, -1], [-1, 1]], atol=1e-10)
    np.testing.assert_allclose(second[:, 0], 0, atol=1e-10)

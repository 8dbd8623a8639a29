"""Reductions over an axis of size 0, known when the graph is built or only when it is called: one convention, that of NumPy and SciPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.interp import evaluate
from graphc.ir import Node

Case = tuple[Callable[[Node], Node], Callable[[np.ndarray], Any]]

WITH_VALUE: dict[str, Case] = {
    "sum": (lambda x: gx.sum(x, 1), lambda a: np.sum(a, 1)),
    "prod": (lambda x: gx.prod(x, 1), lambda a: np.prod(a, 1)),
    "any": (lambda x: gx.any(x, 1), lambda a: np.any(a, 1)),
    "all": (lambda x: gx.all(x, 1), lambda a: np.all(a, 1)),
    "count_nonzero": (lambda x: gx.count_nonzero(x, 1), lambda a: np.count_nonzero(a, 1)),
    "mean": (lambda x: gx.mean(x, 1), lambda a: np.mean(a, 1)),
    "var": (lambda x: gx.var(x, 1), lambda a: np.var(a, 1)),
    "std": (lambda x: gx.std(x, 1), lambda a: np.std(a, 1)),
    "std, ddof": (lambda x: gx.std(x, 1, ddof=1), lambda a: np.std(a, 1, ddof=1)),
    "norm": (lambda x: gx.norm(x, axis=1), lambda a: np.linalg.norm(a, axis=1)),
    "norm 1": (lambda x: gx.norm(x, 1, axis=1), lambda a: np.linalg.norm(a, 1, axis=1)),
    "norm 0": (lambda x: gx.norm(x, 0, axis=1), lambda a: np.linalg.norm(a, 0, axis=1)),
    "norm 3": (lambda x: gx.norm(x, 3, axis=1), lambda a: np.linalg.norm(a, 3, axis=1)),
    "cumsum": (lambda x: gx.cumsum(x, 1), lambda a: np.cumsum(a, 1)),
    "cumprod": (lambda x: gx.cumprod(x, 1), lambda a: np.cumprod(a, 1)),
    "logsumexp": (lambda x: gx.logsumexp(x, 1), lambda a: np.log(np.sum(np.exp(a), 1))),  # SciPy's since 1.15
    "logsumexp, kept": (lambda x: gx.logsumexp(x, 1, keepdims=True), lambda a: np.full((3, 1), -np.inf)),
    "softmax": (lambda x: gx.softmax(x, 1), lambda a: np.exp(a)),
    "log_softmax": (lambda x: gx.log_softmax(x, 1), lambda a: a),
    "naive logsumexp": (lambda x: gx.log(gx.sum(gx.exp(x), axis=1)), lambda a: np.log(np.sum(np.exp(a), 1))),
    "naive softmax": (lambda x: gx.exp(x) / gx.sum(gx.exp(x), axis=1, keepdims=True), lambda a: np.exp(a)),
    "naive softmax, reciprocal": (lambda x: gx.exp(x) * (1 / gx.sum(gx.exp(x), axis=1))[:, None], lambda a: np.exp(a)),
    "naive log_softmax": (lambda x: gx.log(gx.exp(x) / gx.sum(gx.exp(x), axis=1)[:, None]), lambda a: a),
    "log-mean-exp": (lambda x: gx.log(gx.mean(gx.exp(x), axis=1)), lambda a: np.log(np.mean(np.exp(a), 1))),
    "log(1 + sum-exp)": (lambda x: gx.log(1 + gx.sum(gx.exp(x), axis=1)), lambda a: np.log(1 + np.sum(np.exp(a), 1))),
    "log of a multiple": (lambda x: gx.log(3 * gx.sum(gx.exp(x), axis=1)), lambda a: np.log(3 * np.sum(np.exp(a), 1))),
    "weighted": (lambda x: gx.log(gx.sum(x * gx.exp(x), axis=1)), lambda a: np.log(np.sum(a * np.exp(a), 1))),
    "log of prod": (lambda x: gx.log(gx.prod(gx.exp(x), axis=1)), lambda a: np.log(np.prod(np.exp(a), 1))),
    "naive variance": (lambda x: gx.mean(x**2, 1) - gx.mean(x, 1) ** 2, lambda a: np.mean(a**2, 1) - np.mean(a, 1) ** 2),
}  # fmt: skip
WITHOUT: dict[str, Callable[[Node], Node]] = {
    "max": lambda x: gx.max(x, 1), "min": lambda x: gx.min(x, 1), "argmax": lambda x: gx.argmax(x, 1), "argmin": lambda x: gx.argmin(x, 1),
    "norm inf": lambda x: gx.norm(x, np.inf, axis=1), "norm -inf": lambda x: gx.norm(x, -np.inf, axis=1),
}  # fmt: skip
SIZES = [pytest.param(0, id="static"), pytest.param("n", id="symbolic")]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", WITH_VALUE)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_value_and_derivatives(name: str, dtype: str, size: Any) -> None:
    """NumPy's and SciPy's value over nothing, the same in the interpreter; the derivatives of orders 1 and 2 are empty."""
    f, reference = WITH_VALUE[name]
    x = gx.tensor("x", (3, size), dtype)
    nothing = np.zeros((3, 0), dtype)
    value = f(x)
    outputs = [value]
    if value.dtype.kind == "f":
        outputs.append(gx.grad(gx.sum(value), x))
        outputs.append(gx.grad(gx.sum(outputs[1] * outputs[1]), x, disconnected="zero"))
    with np.errstate(all="ignore"):
        wanted = reference(nothing)
    for got in (gx.function([x], outputs)(nothing), evaluate(outputs, {x: nothing})):
        assert got[0].dtype == value.dtype
        np.testing.assert_array_equal(got[0], wanted)
        assert all(g.shape == (3, 0) for g in got[1:])


@pytest.mark.parametrize("name", WITHOUT)
def test_what_has_no_value_over_nothing_is_an_error(name: str) -> None:
    with pytest.raises(gx.ShapeError, match="empty"):
        WITHOUT[name](gx.tensor("x", (3, 0)))
    x = gx.tensor("x", (3, "n"))
    f = gx.function([x], WITHOUT[name](x))
    with pytest.raises(gx.ShapeError, match="at least 1"):
        f(np.zeros((3, 0)))
    assert f(np.zeros((3, 1))).shape == (3,)


def test_the_other_axis_may_be_empty() -> None:
    """An extreme over 3 elements for each of 0 rows is an array of no elements."""
    x = gx.tensor("x", ("n", 3))
    f = gx.function([x], [build(x) for build in WITHOUT.values()])
    assert all(r.shape == (0,) for r in f(np.zeros((0, 3))))


def test_an_infinite_or_missing_maximum() -> None:
    """The shift of the exponentials is the supremum: -inf of nothing and of -inf alone, inf of inf, nan of nan."""
    x = gx.tensor("x", ("n", 2))
    rows = np.array([[-np.inf, -np.inf], [np.inf, 0.0], [np.nan, 1.0], [-np.inf, 2.0]])
    got = gx.function([x], [gx.logsumexp(x, 1), gx.grad(gx.sum(gx.logsumexp(x, 1)), x)])(rows)
    np.testing.assert_array_equal(got[0], [-np.inf, np.inf, np.nan, 2.0])
    np.testing.assert_array_equal(got[1][0], [0, 0])

"""NumPy: the row as written, derivatives by hand where the family gives them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.peers import Built, Ops, Peer, Skip, moments
from benchmarks.row import DTYPES, Arrays, Row


class NumpyOps(Ops):
    module = np

    def relu(self, x: Any) -> Any:
        return np.maximum(x, 0)

    def sum(self, x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        return np.sum(x, axis=axis, keepdims=keepdims)

    def mean(self, x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        return np.mean(x, axis=axis, keepdims=keepdims)

    def max(self, x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        return np.max(x, axis=axis, keepdims=keepdims)

    def pick(self, x: Any, y: Any) -> Any:
        return x[np.arange(len(y)), y]

    def topk(self, x: Any, k: int) -> Any:
        return np.sort(np.partition(x, len(x) - k)[len(x) - k :])[::-1]

    def scatter_add(self, x: Any, i: Any, u: Any) -> Any:
        y = x.copy()
        np.add.at(y, i, u)
        return y

    def erf(self, x: Any) -> Any:
        raise Skip("NumPy has no erf")


class Draws:
    """By a Generator, in the dtype where it has it."""

    def __init__(self, rng: Any, dtype: Any) -> None:
        self.rng, self.dtype = rng, dtype

    def uniform(self, n: int) -> Any:
        return self.rng.random(n, self.dtype)

    def normal(self, n: int) -> Any:
        return self.rng.standard_normal(n, self.dtype)

    def exponential(self, n: int) -> Any:
        return self.rng.standard_exponential(n, self.dtype)

    def gamma(self, n: int, a: float) -> Any:
        return self.rng.standard_gamma(a, n, self.dtype)

    def bernoulli(self, n: int, p: float) -> Any:
        return self.rng.random(n) < p

    def poisson(self, n: int, lam: float) -> Any:
        return self.rng.poisson(lam, n)

    def binomial(self, n: int, trials: float, p: float) -> Any:
        return self.rng.binomial(int(trials), p, n)

    def permutation(self, n: int) -> Any:
        return self.rng.permutation(n)


class Numpy(Peer):
    def __init__(self, ops: NumpyOps | None = None) -> None:
        self.ops = ops or NumpyOps()

    def value(self, row: Row, data: Arrays) -> Built:
        return Built(row.by_hand.get("numpy") or partial(row.function, self.ops), data, as_arrays)

    call = value

    def draws(self, row: Row, data: Arrays) -> Built:
        draws = Draws(np.random.default_rng(0), np.dtype(DTYPES[row.dtype]))
        return Built(partial(row.function, draws), (), moments)

    def call_out(self, row: Row, data: Arrays) -> Built:
        results = row.function(self.ops, *data)
        out = tuple(map(np.empty_like, results)) if isinstance(results, tuple) else np.empty_like(results)
        return Built(row.by_hand["numpy"], data, as_arrays, out=out)

    def resize(self, row: Row, data: Arrays) -> Built:
        return Built(partial(row.function, self.ops), data, as_arrays, prepare=row.data)

    def gradient(self, row: Row, data: Arrays) -> Built:
        if "numpy" not in row.by_hand:
            raise Skip(f"no {row.want} by hand")
        return Built(row.by_hand["numpy"], data, as_arrays)

    value_and_gradient = hvp = hessian = gradient

    def step(self, row: Row, data: Arrays) -> Built:
        """Adam in place, with one temporary array; the gradient by hand."""
        gradient = row.by_hand["numpy"]
        params = [p.copy() for p in data[: row.wrt]]
        moments = [(np.zeros_like(p), np.zeros_like(p)) for p in params]
        count = 0

        def reset() -> None:
            nonlocal count
            count = 0
            for p, start, (m, v) in zip(params, data, moments, strict=False):
                p[...], m[...], v[...] = start, 0, 0

        def step(*rest: np.ndarray) -> np.ndarray:
            nonlocal count
            count += 1
            rate = params[0].dtype.type(1e-3 / (1 - 0.9**count))
            scale = params[0].dtype.type((1 - 0.999**count) ** -0.5)
            loss, grads = gradient(*params, *rest)
            for p, g, (m, v) in zip(params, grads, moments, strict=True):
                m *= p.dtype.type(0.9)
                m += p.dtype.type(0.1) * g
                v *= p.dtype.type(0.999)
                g *= g
                g *= p.dtype.type(0.001)
                v += g
                np.sqrt(v, out=g)
                g *= scale
                g += p.dtype.type(1e-8)
                np.divide(m, g, out=g)
                g *= rate
                p -= g
            return loss

        return Built(step, data[row.wrt :], lambda o: [np.asarray(o)], reset=reset, check_calls=3)


def as_arrays(out: Any) -> list[np.ndarray]:
    """The leaves of nested tuples and lists, depth first."""
    if isinstance(out, (tuple, list)):
        return [a for o in out for a in as_arrays(o)]
    return [np.asarray(out)]


def make(variant: str) -> Numpy:
    return Numpy()

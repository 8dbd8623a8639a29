"""Convolution as the formula says it: loops over every place, tap and channel, in Python. What the tests of convolution compare with."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np


def naive(
    x: np.ndarray,
    w: np.ndarray,
    stride: Sequence[int],
    pads: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    groups: int = 1,
    flip: bool = False,
) -> np.ndarray:
    """out[n, f, i..] = sum over c, p.. of x[n, c, s i + d p - before] w[f, c, p..]; x is (batch, channels, *space), f counts all groups."""
    space, kernel = x.shape[2:], w.shape[2:]
    if flip:
        w = np.flip(w, tuple(range(2, w.ndim)))
    each, many = w.shape[1], w.shape[0] // groups
    places = [(m + sum(p) - d * (k - 1) - 1) // s + 1 for m, k, s, p, d in zip(space, kernel, stride, pads, dilation, strict=True)]
    out = np.zeros((x.shape[0], w.shape[0], *places), np.result_type(x, w))
    for i in itertools.product(*map(range, places)):
        for p in itertools.product(*map(range, kernel)):
            y = tuple(s * a + d * b - lo for s, a, d, b, (lo, _) in zip(stride, i, dilation, p, pads))
            if not all(0 <= a < m for a, m in zip(y, space)):
                continue
            for f in range(w.shape[0]):
                first = f // many * each
                out[(slice(None), f, *i)] += x[(slice(None), slice(first, first + each), *y)] @ w[(f, slice(None), *p)]
    return out


def naive_unshared(x: np.ndarray, w: np.ndarray, stride: int, pad: int) -> np.ndarray:
    """out[n, f, i..] = sum over c, p.. of x[n, c, s i + p - pad] w[f, i.., c, p..]."""
    rank = x.ndim - 2
    places, kernel = w.shape[1 : rank + 1], w.shape[rank + 2 :]
    out = np.zeros((x.shape[0], w.shape[0], *places))
    for i in itertools.product(*map(range, places)):
        for p in itertools.product(*map(range, kernel)):
            y = tuple(stride * a + b - pad for a, b in zip(i, p))
            if all(0 <= a < m for a, m in zip(y, x.shape[2:])):
                out[(slice(None), slice(None), *i)] += x[(slice(None), slice(None), *y)] @ w[(slice(None), *i, slice(None), *p)].T
    return out

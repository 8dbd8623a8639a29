"""What the tests of loops share: a program compiled with and without passes, against the interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import graphc as gx


def both(inputs: Sequence[Any], outputs: Any, *arguments: Any) -> list[np.ndarray]:
    """What native code gives, after a comparison with the interpreter; under all passes and under none."""
    native, plain = compiled(list(inputs), outputs)
    want = gx.tree.flatten(gx.function(list(inputs), outputs, mode="interpret")(*arguments))[0]
    for f in (native, plain):
        same(gx.tree.flatten(f(*arguments))[0], want)
    return [np.asarray(w) for w in want]


_compiled: dict[Any, tuple[gx.Function, gx.Function]] = {}


def compiled(inputs: list[Any], outputs: Any) -> tuple[gx.Function, gx.Function]:
    """The program under all passes, verified, and under none; once for calls of several sizes."""
    key = (*inputs, *gx.tree.flatten(outputs)[0])
    if key not in _compiled:
        _compiled.clear()
        _compiled[key] = gx.function(inputs, outputs, mode="verify"), gx.function(inputs, outputs, mode="none")
    return _compiled[key]


def same(found: Sequence[Any], want: Sequence[Any]) -> None:
    assert len(found) == len(want)
    for a, b in zip(found, want):
        a, b = np.asarray(a), np.asarray(b)
        assert a.dtype == b.dtype and a.shape == b.shape
        scale = np.abs(b[np.isfinite(b)]).max(initial=1.0) if b.dtype.kind == "f" else 1.0
        tolerance = {"f": {4: 2e-5, 8: 1e-12}[b.dtype.itemsize] if b.dtype.kind == "f" else 0}.get(b.dtype.kind, 0)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale)


def numbers(*shape: int, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)

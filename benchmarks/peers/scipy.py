"""SciPy: the special functions of rows that have nothing else in them, on NumPy arrays."""

from __future__ import annotations

from typing import Any

import scipy.special

from benchmarks.peers.numpy import Numpy, NumpyOps


class ScipyOps(NumpyOps):
    functions = (scipy.special,)

    def special(self, name: str) -> Any:
        return (lambda x: scipy.special.lambertw(x).real) if name == "lambertw" else super().special(name)


def make(variant: str) -> Numpy:
    return Numpy(ScipyOps())

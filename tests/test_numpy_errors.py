"""The errors of NumPy's functions: which one, which operand and where it was made, and a hint. The golden file is the spec."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gx
from graphc.ir import origin
from tests.test_errors import text

Golden = Callable[[str, str], None]

with origin(("train.py", 9)):
    X = gx.tensor("x", ("b", "n"), "float32")
    M = gx.tensor("m", (3, 4))
    V = gx.tensor("v", (3,))
    S = gx.tensor("s")
    I = gx.tensor("i", (3,), "int64")  # noqa: E741
    P = gx.tensor("p", ("n",))
    B = gx.tensor("mask", (3,), "bool")

CASES: dict[str, Callable[[], Any]] = {
    "np.union1d(x, y)": lambda: np.union1d(V, V),
    "np.linalg.eig(x)": lambda: np.linalg.eig(M[:, :3]),
    "np.fft.hfft(x)": lambda: np.fft.hfft(V),
    "np.put(x, 0, 1.0)": lambda: np.put(V, 0, 1.0),
    "np.copyto(x, 0.0)": lambda: np.copyto(V, 0.0),
    "np.array2string(x)": lambda: np.array2string(V),
    "np.save(file, x)": lambda: np.save("x.npy", V),
    "np.roots(p)": lambda: np.roots(V),
    "np.add(x, 1, out=y)": lambda: np.add(V, 1, out=np.ones(3)),
    "np.sum(x, out=y)": lambda: np.sum(V, out=np.ones(())),
    "np.add(x, 1, where=mask)": lambda: np.add(V, 1, where=[True, False, True]),
    "np.stack([x, x], casting='no')": lambda: np.stack([V, V], casting="no"),
    "np.subtract.reduce(x)": lambda: np.subtract.reduce(V),
    "np.add.at(x, 0, 1)": lambda: np.add.at(V, 0, 1),
    "max(x, where=mask)": lambda: gx.max(V, where=B),
    "sum(x, where=mask of another size)": lambda: gx.sum(M, where=B),
    "ldexp(x, y)": lambda: gx.ldexp(V, V),
    "gcd(x, y)": lambda: gx.gcd(V, I),
    "bitwise_count(x)": lambda: gx.bitwise_count(V),
    "positive(mask)": lambda: gx.positive(B),
    "hypot(x, y) of other sizes": lambda: gx.hypot(V, M),
    "isclose of other sizes": lambda: gx.isclose(V, M),
    "isin(kind='hash')": lambda: gx.isin(V, V, kind="hash"),
    "diff(s)": lambda: gx.diff(S),
    "diff(x, n=-1)": lambda: gx.diff(V, -1),
    "gradient(x, edge_order=3)": lambda: gx.gradient(V, edge_order=3),
    "gradient(x[:2], edge_order=2)": lambda: gx.gradient(V[:2], edge_order=2),
    "gradient(m, 1.0, 2.0, 3.0)": lambda: gx.gradient(M, 1.0, 2.0, 3.0),
    "gradient(x, coordinates)": lambda: gx.gradient(V, np.arange(5.0)),
    "trapezoid(s)": lambda: gx.trapezoid(S),
    "unwrap(x, period=node)": lambda: gx.unwrap(V, period=S),
    "average(m, weights=v)": lambda: gx.average(M, weights=V),
    "average(m, axis=1, weights=v)": lambda: gx.average(M, axis=1, weights=V),
    "ptp of nothing": lambda: gx.ptp(V[:0]),
    "cov(3-d)": lambda: gx.cov(M[None]),
    "cov(m, ddof=0.5)": lambda: gx.cov(M, ddof=0.5),
    "cov(m, aweights=v)": lambda: gx.cov(M, aweights=V),
    "cross of 4 components": lambda: gx.cross(M, M),
    "vecdot(s, v)": lambda: gx.vecdot(S, V),
    "fliplr(v)": lambda: gx.fliplr(V),
    "rot90(m, axes=(0, 0))": lambda: gx.rot90(M, axes=(0, 0)),
    "rollaxis(m, 0, 5)": lambda: gx.rollaxis(M, 0, 5),
    "block with a tuple": lambda: gx.block([(M, M)]),
    "block of uneven depth": lambda: gx.block([[M], M]),
    "block that does not fit": lambda: gx.block([[M, V]]),
    "vsplit(v, 2)": lambda: gx.vsplit(V, 2),
    "unstack(x) of a symbolic size": lambda: gx.unstack(X),
    "polyval(p, x) of a symbolic number of coefficients": lambda: gx.polyval(P, V),
    "polyder(p, -1)": lambda: gx.polyder(V, -1),
    "polyint(p, 3, k=[1, 2])": lambda: gx.polyint(V, 3, [1.0, 2.0]),
    "poly of a matrix": lambda: gx.poly(M),
    "vander(m)": lambda: gx.vander(M),
    "select without conditions": lambda: gx.select([], []),
    "select of what is no condition": lambda: gx.select([V], [V]),
    "piecewise(x, [mask], 3 functions)": lambda: gx.piecewise(V, [B], [1, 2, 3]),
    "apply_along_axis(f, 0, s)": lambda: gx.apply_along_axis(gx.sum, 0, S),
    "apply_over_axes(f, m, 0)": lambda: gx.apply_over_axes(lambda a, axis: gx.sum(a), M, 0),
    "fromfunction(3, (2,))": lambda: gx.fromfunction(3, (2,)),  # type: ignore[arg-type]
    "broadcast_shapes((2,), (3,))": lambda: gx.broadcast_shapes((2,), (3,)),
    "result_type()": lambda: gx.result_type(),
    "can_cast(x, 'int8', 'maybe')": lambda: gx.can_cast(V, "int8", "maybe"),
    "issubdtype(1.5, floating)": lambda: gx.issubdtype(1.5, gx.floating),
    "promote_types('complex64', 'int8')": lambda: gx.promote_types("complex64", "int8"),
    "array of rows of other sizes": lambda: gx.array([[V[0], 1.0], [2.0]]),
}


def test_errors_of_numpys_functions(golden: Golden) -> None:
    golden("errors_numpy", text(CASES))

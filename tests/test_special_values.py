"""Random elementwise programs on special values: native code and the interpreter, values and derivatives of orders 1 and 2.

nan, infinities, both zeros, subnormal and huge numbers, the ends of the integers: where one gives nan or an infinity the other does.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

import graphc as gx
from graphc.interp import evaluate
from graphc.ir import Node
from graphc.ops import special
from graphc.ops.registry import OPS
from graphc.ops.rows import PUBLIC

OF_FAMILIES = {name for module in special.MODULES for name in vars(module)}  # tests/test_kernels.py has them on such values, one by one
ROWS = {
    k: [n for n, op in OPS.items() if op.elementwise and op.arity == k and n in PUBLIC and op.row is not None and n not in OF_FAMILIES]
    for k in (1, 2)
}
SEEDS, LANES = 160, 40


def edges(dtype: np.dtype) -> list[float]:
    if dtype.kind != "f":
        info = np.iinfo(dtype)
        return [0, 1, 2, 3, 7, info.max, info.max - 1, info.min, info.min + 1, *([-1, -2, -7] if info.min else [9, 11])]
    info = np.finfo(dtype)
    sizes = [0.0, 1.0, 0.5, 2.0, 3.7, 20.0, 1e-20, float(info.tiny) / 8, float(info.max) / 16, np.inf]
    return [*sizes, *[-s for s in sizes], np.nan]


def program(draw: random.Random, xs: Sequence[Node]) -> Node:
    """Up to four ops on the variables and what was made before."""
    pool = list(xs)
    for _ in range(draw.randint(1, 4)):
        arity = draw.choice((1, 2))
        try:
            pool.append(PUBLIC[draw.choice(ROWS[arity])](*[draw.choice(pool) for _ in range(arity)]))
        except gx.DTypeError:  # the bits of floats, the sign of bool
            continue
    return pool[-1]


@pytest.mark.parametrize("seed", range(0, SEEDS, 10))
def test_native_code_and_the_interpreter_agree(seed: int) -> None:
    for k in range(seed, seed + 10):
        draw = random.Random(k)
        dtype = np.dtype(draw.choice(["float32", "float64", "int8", "int32", "int64", "uint8"]))
        xs = [gx.tensor(f"x{j}", (LANES,), dtype) for j in range(2)]
        env = {x: np.array([draw.choice(edges(dtype)) for _ in range(LANES)], dtype) for x in xs}
        outs = [program(draw, xs)]
        if dtype.kind == outs[0].dtype.kind == "f":
            for _ in range(2):
                outs.append(gx.grad(gx.sum(outs[-1]), xs[0], disconnected="zero"))
        for a, b in zip(gx.function(xs, outs, mode="none")(*env.values()), evaluate(outs, env)):
            assert a.dtype == b.dtype
            if a.dtype.kind != "f":
                np.testing.assert_array_equal(a, b, err_msg=str(k))
                continue
            info = np.finfo(a.dtype)  # terms that cancel, each rounded in its own way, are compared with the largest of a result
            finite = np.abs(b[np.isfinite(b) & (np.abs(b) < 1e6)])
            room = 1e4 * float(info.eps) * float(finite.max(initial=1.0))
            np.testing.assert_allclose(a, b, rtol=1e4 * float(info.eps), atol=room, err_msg=str(k))

"""mode="verify" finds no fault where there is none: sizes that no call may have are not tried; and still finds what is wrong.

The fuzzer's graphs are verified after each pass, too: the tests' default options say so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc.errors import CompileError
from graphc.interp import evaluate
from graphc.ir import Node
from graphc.verify.program import verify_program
from graphc.verify.storage import samples
from tests.stages import assembled, planned

N, M = gx.dim("n"), gx.dim("m")


def steps(x: Node) -> Node:
    """Several kernels, so that there is an arena."""
    return gx.cumsum(gx.exp(x - gx.max(x)) / gx.sum(gx.exp(x)))[::-1]


USERS: dict[str, tuple[tuple[object, ...], Callable[[Node], Node]]] = {
    "slice": ((N,), lambda x: steps(x[4:]) * 2),
    "slices": ((N,), lambda x: steps(x[3:-2]) + steps(x[1:-4])),
    "far slice": ((N,), lambda x: steps(x[100:])),
    "differences": ((N,), lambda x: gx.sum(steps(x[2:] - 2 * x[1:-1] + x[:-2]) ** 2)),
    "half": ((2 * N,), lambda x: steps(x[:N]) @ steps(x[N:])),
    "less": ((N - 4,), lambda x: steps(gx.pad(x, (2, 2)))),
    "floor": ((N,), lambda x: steps(x[: N // 2]) * gx.sum(x[N // 2 :])),
    "every third": ((N,), lambda x: steps(x[1::3])),
    "table": ((N, M - 1), lambda x: steps(x[2:, 1:].reshape(-1)) @ gx.ones((N - 2) * (M - 2))),
    "blocks": ((N, M), lambda x: gx.concatenate([steps(x[0]), steps(x[:, 0])])),
    "same": ((N, M), lambda x: steps(x[0]) + steps(x[:, 0])),
    "windows": ((N,), lambda x: gx.sum(gx.stack([x[k : N - 4 + k] for k in range(5)]) @ gx.ones(N - 4))),
}


@pytest.mark.parametrize("name", USERS)
@pytest.mark.parametrize("derive", [False, True])
def test_users_graphs(name: str, derive: bool) -> None:
    shape, f = USERS[name]
    x = gx.tensor("x", shape)
    y = f(x)
    outputs = [y, gx.grad(gx.sum(gx.sin(y)), x)] if derive else [y]
    run = gx.function([x], outputs, mode="verify")
    sizes = (106,) if len(shape) == 1 else (6, 6 - (name == "table"))
    value = np.random.default_rng(0).normal(size=sizes)
    for a, b in zip(run(value), evaluate(outputs, {x: value}), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_sizes_are_those_of_calls() -> None:
    n, m = dims.as_symbol(N), dims.as_symbol(M)
    x, y = gx.tensor("x", (N,)), gx.tensor("y", (M,))
    far = samples(assembled([x], [steps(x[200:])]))
    assert far and all(env[n] >= 200 for env in far)
    together = samples(assembled([x, y], [steps(x[::3]) + steps(y)]))
    assert len(together) > 1 and all((env[n] + 2) // 3 == env[m] for env in together)


@pytest.mark.parametrize("start", [4, 200])
def test_what_shares_bytes_is_still_found(start: int) -> None:
    x = gx.tensor("x", (N,))
    program = planned([x], [steps(x[start:])])
    assert sum(b.role == "arena" for b in program.buffers) > 1
    buffers = tuple(replace(b, offset=0) if b.role == "arena" else b for b in program.buffers)
    with pytest.raises(CompileError, match="share bytes"):
        verify_program(replace(program, buffers=buffers))

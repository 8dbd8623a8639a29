"""One function written for NumPy, run on arrays and on nodes: values, loop forms, both derivatives, the mapped axis, symbolic sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import graphc as gx
from graphc.derivatives.forward import push_forward
from graphc.derivatives.grad import pull_back
from graphc.interp import evaluate
from graphc.ir import Node, toposort
from tests.loop_eval import run_loop


def arrays(shapes: Sequence[tuple[int, ...]], dtype: str = "float64", seed: int = 0) -> list[np.ndarray]:
    """Arrays without two equal elements in sight."""
    random = np.random.default_rng(seed)
    return [(random.normal(size=s) * 50).astype(dtype) for s in shapes]


def inputs(values: Sequence[np.ndarray], symbolic: bool = False) -> list[Node]:
    """A variable for each array; symbolic: with a size n5 for each 5 (1 and 0 are no sizes that one would leave open)."""
    return [gx.tensor(f"x{k}", tuple(f"n{n}" if symbolic and n > 1 else n for n in v.shape), v.dtype) for k, v in enumerate(values)]


def same(got: np.ndarray, expected: Any, rtol: float = 0) -> None:
    expected = np.asarray(expected)
    assert got.shape == expected.shape and got.dtype == expected.dtype, (got.dtype, got.shape, expected.dtype, expected.shape)
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol)


def check_values(
    f: Callable[..., Any], shapes: Sequence[tuple[int, ...]], dtype: str = "float64", symbolic: bool = True, rtol: float = 0
) -> None:
    """f(nodes) evaluates to f(arrays), with sizes known and unknown; each node's loop form agrees with its reference."""
    values = arrays(shapes, dtype)
    expected = f(*values)
    listed = expected if isinstance(expected, (list, tuple)) else [expected]
    for unknown in [False, True] if symbolic else [False]:
        xs = inputs(values, unknown)
        result = f(*xs)
        outputs = result if isinstance(result, (list, tuple)) else [result]
        assert len(outputs) == len(listed)
        for got, want in zip(evaluate(outputs, dict(zip(xs, values))), listed):
            same(got, want, rtol)
        if not unknown:
            check_loops(outputs, dict(zip(xs, values)))


def check_loops(outputs: Sequence[Node], env: dict[Node, np.ndarray]) -> None:
    """The loop form of every structural op below `outputs` gives what its reference gives."""
    for node in toposort(outputs):
        if (
            node.op.loop is None
            or node.op.elementwise
            or (not node.inputs and node.op.name == "size")
            or node.op.name in ("reduce", "contract")
        ):
            continue
        got, want, *operands = [*evaluate([node], env) * 2, *evaluate(node.inputs, env)]
        got = run_loop(node, operands)
        same(got, want)


def check_derivatives(f: Callable[..., Any], shapes: Sequence[tuple[int, ...]], symbolic: bool = True, linear: bool = True) -> None:
    """<w, J t> = <J'w, t>, and J t = f(x + t) - f(x) for a linear f; then the same for the derivative of J'w in w."""
    values, tangents = arrays(shapes), arrays(shapes, seed=1)
    for unknown in [False, True] if symbolic else [False]:
        xs, ts = inputs(values, unknown), inputs(tangents, unknown)
        out = f(*xs)
        w = gx.tensor("w", out.shape, out.dtype)
        back = pull_back([(out, w)], set(xs))
        (pushed,) = push_forward([out], dict(zip(xs, ts)))
        assert pushed is not None
        weights = arrays([evaluate([out], dict(zip(xs, values)))[0].shape], seed=2)[0]
        env = {**dict(zip(xs, values)), **dict(zip(ts, tangents)), w: weights}
        used = [x for x in xs if x in back]  # a whole that is overwritten has no influence
        gradients = dict(zip(used, evaluate([back[x] for x in used], env)))
        assert all(g.shape == v.shape for x, v in zip(xs, values) if (g := gradients.get(x)) is not None)
        (moved,) = evaluate([pushed], env)
        np.testing.assert_allclose(
            sum(np.vdot(gradients[x], t) for x, t in zip(xs, tangents) if x in gradients), np.vdot(weights, moved), rtol=1e-10
        )
        if linear:
            shifted = f(*[v + t for v, t in zip(values, tangents)]) - f(*values)
            np.testing.assert_allclose(moved, shifted, rtol=1e-9, atol=1e-9)
        if not unknown:
            check_loops([back[x] for x in used] + [pushed], env)
        # the derivative rule is made of ops that have one
        w2 = gx.tensor("w2", used[0].shape, used[0].dtype)
        again = pull_back([(back[used[0]], w2)], {w})[w]
        t = dict(zip(xs, ts))[used[0]]
        (alone,) = push_forward([out], {used[0]: t})
        assert alone is not None
        twice, once = evaluate([again, alone], {**env, w2: env[t]})
        np.testing.assert_allclose(twice, once, rtol=1e-10, atol=1e-12)


def check_batch(f: Callable[..., Any], shapes: Sequence[tuple[int, ...]], rtol: float = 0) -> None:
    """vmap of f over every choice of mapped inputs is np.stack of f of each example."""
    lanes = 3
    for choice in range(1, 2 ** len(shapes)):
        mapped = [bool(choice >> k & 1) for k in range(len(shapes))]
        values = arrays([(lanes, *s) if m else s for s, m in zip(shapes, mapped)])
        xs = [gx.tensor(f"x{k}", v.shape) for k, v in enumerate(values)]
        out = gx.vmap(f, tuple(0 if m else None for m in mapped))(*xs)
        expected = np.stack([f(*[v[lane] if m else v for v, m in zip(values, mapped)]) for lane in range(lanes)])
        same(evaluate([out], dict(zip(xs, values)))[0], expected, rtol)

"""Every op of the registry: derivatives of orders 1 to 3 against differences of the order below, both modes, and the batch rule."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import graphc as gx
from graphc.derivatives.batch import batch
from graphc.derivatives.check_grad import check_grad
from graphc.derivatives.grad import has_float
from graphc.interp import evaluate
from graphc.ir import Node, Op, make, toposort
from graphc.ops import contract, cumulate, derived, indexing, slicing, spread, updates, windows
from graphc.ops.draws import discrete_draw
from graphc.ops.outputs import outputs
from graphc.ops.philox import random_words
from graphc.ops.registry import OPS, constant
from tests import audit_linalg

SOURCES = {"input", "shared", "constant", "size", "iota", "bound"}  # nothing to differentiate, nothing to map
OWN_TESTS = {"get": "tests/test_outputs.py", "first_derivative": "tests/random/test_continuous.py"}
INTEGER = np.arange(6).reshape(2, 3)


class Example(NamedTuple):
    """A build of a structural op: f of one variable per array. Integer arrays are not differentiated."""

    f: Callable[..., Node]
    arrays: tuple[np.ndarray, ...]


def values(*shape: int, seed: int = 0) -> np.ndarray:
    """Distinct, of both signs, away from 0 and from one another."""
    size = int(np.prod(shape, dtype=int))
    rng = np.random.default_rng(seed)
    return rng.permutation((np.arange(size) - size / 2 + 0.31) / max(size, 1) * 3.1).reshape(shape)


def at(*rows: list[int]) -> np.ndarray:
    return np.array(rows, np.int64)


def reduced(combine: str) -> list[Example]:
    return [Example(lambda x, axes=axes: spread.reduce(x, axes, combine), (values(2, 3, 2),)) for axes in [(1,), (0, 2), (0, 1, 2)]]


def running(combine: str) -> list[Example]:
    """All directions; without the first value of an exclusive maximum, which is -inf."""
    inner = {(False, True): slice(1, None), (True, True): slice(None, -1)} if combine == "max" else {}
    flags = list(itertools.product([False, True], repeat=2))
    return [
        Example(lambda x, r=r, e=e: cumulate.cumulate(x, 1, combine, r, e)[:, inner.get((r, e), slice(None))], (values(2, 4),))
        for r, e in flags
    ]


UNIT = np.array([0.15, 0.4, 0.62, 0.9])
ELEMENTWISE = {  # those of the elementwise ops that are not rows
    "cast": [Example(lambda x: gx.astype(gx.astype(x, "float32"), "float64") * 0 + x**2, (values(4),))],
    "select": [Example(lambda c, a, b: gx.where(c > 2, a * b, b), (INTEGER, values(2, 3), values(2, 3, seed=1)))],
    "divmod": [Example(lambda x, y: gx.divmod(x, y)[1] * x + gx.divmod(x, y)[0], (values(4) + 4, np.array([1.1, -0.7, 2.3, 1.9])))],
    "modf": [Example(lambda x: gx.modf(x)[0] * gx.modf(x)[1], (values(4) * 2,))],
    "frexp": [Example(lambda x: gx.frexp(x)[0] ** 2 * x, (values(4) + 0.05,))],
    "iv": [Example(lambda x: gx.special.iv(2, x), (values(4),))],
    "ive": [Example(lambda x: gx.special.ive(3, x), (values(4),))],
    "i0e_slope": [Example(lambda x: gx.grad(gx.sum(gx.special.i0e(x)), x), (values(4),))],
    "k0e_slope": [Example(lambda x: gx.grad(gx.sum(gx.special.k0e(x)), x), (values(4) + 2.0,))],
    "expi_slope": [Example(lambda x: gx.grad(gx.sum(gx.special.expi(x)), x), (values(4) + 3.0,))],
    "sinc_slope": [Example(lambda x: gx.grad(gx.sum(gx.special.sici(x)[0]), x), (values(4),))],
    "cosc_slope": [Example(lambda x: gx.grad(gx.sum(gx.special.sici(x)[1]), x), (values(4) + 3.0,))],
    "ellipk_slope": [Example(lambda x: gx.grad(gx.sum(gx.special.ellipk(x)), x), (values(4) - 1.0,))],
    "ellipe_slope": [Example(lambda x: gx.grad(gx.sum(gx.special.ellipe(x)), x), (values(4) - 1.0,))],
    "spence_slope": [Example(lambda x: gx.grad(gx.sum(gx.special.spence(x)), x), (values(4) + 2.0,))],
    "lambertw_slope": [Example(lambda x: gx.grad(gx.sum(gx.special.lambertw(x)), x), (values(4) + 2.0,))],
    "lambertw_lower_slope": [Example(lambda x: gx.grad(gx.sum(gx.special.lambertw(x, -1)), x), (values(4) * 0.05 - 0.2,))],
    "polygamma": [Example(lambda x: gx.special.polygamma(2, x), (values(4),)), Example(lambda x: gx.special.zeta(3, x), (values(4) + 3,))],
    "riemann_zeta": [Example(lambda x: gx.special.zeta(gx.full(4, 2.5)) * x**2, (values(4) + 3,))],
    "hurwitz_zeta": [Example(lambda q: gx.special.zeta(2.5, q), (values(4) + 3,))],
    "gammainc": [Example(lambda x: gx.special.gammainc(2.5, x), (values(4) + 3,))],
    "betainc": [Example(lambda x: gx.special.betainc(2.5, 1.5, x), (UNIT,))],
    "betainc_slope_a": [Example(lambda x: gx.grad(gx.sum(gx.special.betainc(a := gx.full(4, 2.5), 1.5, x)), a), (UNIT,))],
    "betainc_slope_b": [Example(lambda x: gx.grad(gx.sum(gx.special.betainc(1.5, b := gx.full(4, 2.5), x)), b), (UNIT,))],
    "beta_density": [Example(lambda x: gx.grad(gx.sum(gx.special.betainc(2.5, 1.5, x)), x), (UNIT,))],
    "beta_large": [Example(lambda x: gx.special.beta(x, 30.0), (values(4) + 3,))],
    "gammaincc": [Example(lambda x: gx.special.gammaincc(2.5, x), (values(4) + 3,))],
    "gammainc_slope": [Example(lambda x: gx.grad(gx.sum(gx.special.gammainc(a := gx.full(4, 2.5), x)), a), (values(4) + 3,))],
    "gamma_density": [Example(lambda x: gx.grad(gx.sum(gx.special.gammainc(2.5, x)), x), (values(4) + 3,))],
    "log_less_digamma": [
        Example(lambda x: gx.grad(gx.sum(gx.grad(gx.sum(gx.special.gammainc(x, a := gx.full(4, 2.5))), a)), x), (values(4) + 3,))
    ],
    "jn": [Example(lambda x: gx.special.jn(3, x), (values(4),))],
    "random_word32": [Example(lambda k, i: random_words(k, 3, i, 32), (INTEGER.astype("u8"), (INTEGER + 5).astype("u8")))],
    "random_word64": [Example(lambda k, i: random_words(k, i, i), (INTEGER.astype("u8"), (INTEGER + 5).astype("u8")))],
    "discrete_draw": [Example(lambda v, p: discrete_draw(v, gx.sum(p)), (at([2, 0, 2])[0], values(2)))],
    "ldexp": [Example(lambda x, n: gx.ldexp(x, n) ** 2, (values(2, 3), INTEGER - 2))],
    "sinc": [Example(gx.sinc, (np.array([-3.3, -1.2, -0.4, -0.2, 0.01, 0.3, 0.9, 2.6]),))],
    "assume": [Example(lambda x: gx.assume(x, positive=True) ** 3, (values(4) + 3,))],
    "stop_gradient": [Example(lambda x: gx.stop_gradient(gx.floor(x)) * x**2, (values(4),))],
}
STRUCTURAL = {
    "extreme": [
        Example(lambda x, axes=axes: gx.max_with_index(x, axes)[0] - gx.min_with_index(x, axes)[0] ** 2, (values(2, 3, 2),))
        for axes in [(1,), (0, 2), None]
    ],
    "derived": [Example(lambda x, y: derived.derived([gx.sin(x)], [y], ())[0], (values(2), values(3, seed=1)))],
    "broadcast": [
        Example(lambda x: gx.broadcast_to(x, (4, 2, 3)), (values(2, 1),)),
        Example(lambda x: spread.broadcast(x, (3, 2, 4), (0, 2)), (values(3, 4),)),
        Example(lambda x: gx.broadcast_to(x, (2, 2)), (values(),)),
    ],
    "reduce": reduced("sum") + reduced("prod") + reduced("max") + reduced("min") + reduced("sup"),
    "reshape": [Example(lambda x: gx.reshape(x, (3, 4)), (values(2, 6),)), Example(lambda x: gx.reshape(x, ()), (values(1, 1),))],
    "transpose": [Example(lambda x: gx.transpose(x, (2, 0, 1)), (values(2, 3, 4),))],
    "gather": [
        Example(lambda x, i: indexing.gather(x, i, axes=(1,)), (values(2, 4, 2), at([3, 0, 3]))),
        Example(lambda x, i: indexing.gather(x, i, axes=(0,)), (values(3, 2), np.array(1))),
        Example(lambda x, i: gx.take_along_axis(x, i, axis=1), (values(3, 4), at([1], [0], [3]))),
        Example(lambda x, i, j: indexing.gather(x, i, j, axes=(0, 2)), (values(3, 2, 4), at([2, 0], [2, 1]), at([1, 3], [1, 0]))),
    ],
    "scatter": [
        Example(
            lambda x, u, i, m=mode: indexing.scatter(x, u, i, axes=(0,), mode=m), (values(4, 2), values(3, 2, seed=1), at([2, 0, 2])[0])
        )
        for mode in ("add", "set")
    ]
    + [
        Example(
            lambda x, u, i: indexing.scatter(x, u, i, axes=(1,), batch=1, mode="set"),
            (values(2, 4), values(2, 2, seed=1), at([1, 1], [3, 0])),
        )
    ],
    "update": [
        Example(lambda x, u, i, m=mode: updates.update(x, u, i, axes=(0,), mode=m), (values(4, 2), values(3, 2, seed=1), at([2, 0, 2])[0]))
        for mode in ("min", "max")
    ]
    + [
        Example(
            lambda x, u, m=mode: updates.update(x, u, constant(at([3, 1], [3, 0])), axes=(1,), batch=1, mode=m),
            (values(2, 4), values(2, 2, seed=1)),
        )
        for mode in ("multiply", "min")
    ],
    "slice": [Example(lambda x: x[1:, ::2], (values(3, 5),)), Example(lambda x: x[0:0], (values(3),))],
    "reverse": [Example(lambda x: gx.flip(x, (0, 2)), (values(2, 2, 3),))],
    "pad": [Example(lambda x, v: slicing.pad_with(x, v, (1, 0), (0, 2), (1, 0)), (values(2, 3), np.array(0.7)))],
    "diagonal": [Example(lambda x, k=k: gx.diagonal(x, k, 0, 2), (values(3, 2, 4),)) for k in (0, 1, -1)],
    "concat": [Example(lambda a, b, c: gx.concatenate([a, b, c], 1), (values(2, 1), values(2, 3, seed=1), values(2, 2, seed=2)))],
    "contract": [
        Example(gx.matmul, (values(2, 3, 4), values(2, 4, 2, seed=1))),
        Example(gx.outer, (values(3), values(2, seed=1))),
        Example(lambda a, b: contract.contract(a, b, ((0, 1, 2), (2, 1, 3), (3, 0, 1))), (values(2, 3, 4), values(4, 3, 2, seed=1))),
    ],
    "search": [Example(lambda a, v: gx.searchsorted(gx.sort(a), v).astype("float64") * v + gx.sum(a), (values(3), values(4, seed=1)))],
    "sort": [
        Example(lambda x, axis=axis, down=down: gx.sort(x, axis, descending=down) * x[:2, :3], (values(2, 3, 2),))
        for axis, down in [(0, False), (1, True), (2, False)]
    ]
    + [Example(lambda x: gx.topk(x, 2, 0)[0] ** 2 * gx.topk(x, 2, 0, largest=False)[0], (values(4, 2),))],
    "convolve": [
        Example(lambda x, w: gx.nn.conv1d(x, w, stride=2, padding=((1, 2),)), (values(1, 2, 5), values(2, 2, 3, seed=1))),
        Example(lambda x, w: gx.nn.conv2d(x, w, groups=2, dilation=2, flip=True), (values(1, 2, 3, 4), values(2, 1, 2, 2, seed=1))),
        Example(gx.nn.locally_connected, (values(1, 2, 3), values(1, 2, 2, 2, seed=1))),
        Example(lambda g, w: gx.nn.conv_transpose1d(g, w, None, 3, 1), (values(1, 2, 2), values(2, 1, 4, seed=1))),
    ],
    "window": [Example(lambda x, v: windows.window(x, v, [windows.Sliding(1, 3, 2, 2, 1, 1)]), (values(2, 5), np.array(0.7)))],
    "fold": [Example(lambda g, s=s: windows.fold(g, [windows.Sliding(0, 3, 2, s, 1, 1)], (4,)), (values(3, 2, 2),)) for s in (1, 2)],
    "arg_reduce": [Example(lambda x: gx.argmax(x, axis=1).astype("float64") + x[:, 0] ** 2, (values(3, 4),))],
    "cumulate": running("sum") + running("prod") + running("max"),
    "recur": [
        Example(lambda a, b, r=r, e=e: cumulate.recur(a, b, 0, r, e), (values(4, 2), values(4, 2, seed=1)))
        for r, e in itertools.product([False, True], repeat=2)
    ],
    "scan": [
        Example(lambda c, x, w: gx.scan(lambda c, x: (gx.sin(c * w) + x, c * x), c, x)[1], (values(2), values(3, 2), values(2, seed=1))),
        Example(lambda c, x: gx.scan(lambda c, x: (x, c), c, x, reverse=True)[0] ** 2, (values(2), values(3, 2))),
    ],
    "while": [
        Example(lambda x: gx.while_loop(lambda v: gx.sum(v * v) < 9, lambda v: v * 1.7 + gx.sin(v), x, max_steps=6), (values(3),)),
    ],
    "switch": [
        Example(lambda x, y: gx.cond(gx.sum(x) < 5, lambda x: x * y, lambda x: x**2, x), (values(3), values(3, seed=1))),
        Example(lambda i, x: gx.switch(i[0, 1], [gx.sin, lambda x: x**3], x), (INTEGER, values(3))),
    ],
    "checkpoint": [Example(lambda x, y: gx.checkpoint(lambda x: gx.sin(x * y) * x)(x) ** 2, (values(3), values(3, seed=1)))],
    "custom_vjp": [Example(lambda x, y: stated(gx.custom_vjp(lambda x, y: gx.sin(x) * y))(x, y) * y, (values(3), values(3, seed=1)))],
    "custom_jvp": [Example(lambda x, y: stated(gx.custom_jvp(lambda x, y: gx.sin(x) * y))(x, y) * y, (values(3), values(3, seed=1)))],
    "callback": [Example(lambda x: host_sin(x) * x, (values(3),))],
}

STRUCTURAL |= {
    name: [Example(f, tuple([values(*s, seed=k) for k, s in enumerate(shapes)])) for f, shapes in listed]
    for name, listed in audit_linalg.EXAMPLES.items()
}


def stated(f: Any) -> Any:
    """f(x, y) = sin(x) y with its derivative, stated."""
    if isinstance(f, gx.custom_vjp):
        f.defvjp(lambda x, y: (gx.sin(x) * y, (x, y)), lambda r, g: (g * gx.cos(r[0]) * r[1], g * gx.sin(r[0])))
    else:
        f.defjvp(lambda p, t: (gx.sin(p[0]) * p[1], gx.cos(p[0]) * p[1] * t[0] + gx.sin(p[0]) * t[1]))
    return f


host_sin = gx.callback(np.sin, lambda x: x, vjp=lambda g, out, x: (g * host_cos(x),))
host_cos = gx.callback(np.cos, lambda x: x, vjp=lambda g, out, x: (-g * host_sin(x),))


def row_example(op: Op) -> Example:
    """The op on points of its domain, away from integers and halves, where some have kinks."""
    domain = op.row.domain
    bounds = [domain] * op.arity if isinstance(domain[0], (int, float)) else list(domain)
    rng = np.random.default_rng(3)
    points = tuple(low + (high - low) * (rng.permutation(7) + rng.uniform(0.15, 0.85, 7)) / 7 for low, high in bounds)
    integral = "f" not in op.row.kinds
    return Example(lambda *xs: make(op, xs), tuple(p.astype(np.int64) if integral else p for p in points))


def examples(op: Op) -> list[Example]:
    listed = {**ELEMENTWISE, **STRUCTURAL}.get(op.name)
    if listed is None and op.row is not None:
        listed = [row_example(op)]
    if listed is None:
        pytest.fail(f"the op {op.name!r} has no example: add one to STRUCTURAL in tests/test_audit.py, or give its row a `domain`")
    return listed


def built(example: Example) -> tuple[Node, list[Node]]:
    xs = [gx.tensor(f"x{k}", a.shape, a.dtype) for k, a in enumerate(example.arrays)]
    return example.f(*xs), xs


# ops that tests make for themselves come and go; those of the table are here when it is imported
NAMES = [name for name in OPS if name not in SOURCES and name not in OWN_TESTS]


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_to_order_3(name: str) -> None:
    op = OPS[name]
    for example in examples(op):
        out, xs = built(example)
        assert any(node.op is op for node in toposort([out])), f"the example of {name} does not build it"
        wrt = [x for x in xs if x.dtype.kind == "f"]
        if out.dtype.kind != "f" or not wrt:
            assert op.vjp is None or name == "arg_reduce", f"{name} has a derivative rule but no float result"
            continue
        check_grad(out, wrt, dict(zip(xs, example.arrays)), order=3, rtol=2e-6)


@pytest.mark.parametrize("name", NAMES)
def test_cotangents_have_the_type_of_their_inputs(name: str) -> None:
    op = OPS[name]
    for example in examples(op):
        out, _ = built(example)
        for node in toposort([out]):
            if node.op is op and op.vjp is not None and has_float(node):
                several = isinstance(node.type, tuple)
                g = tuple([gx.tensor("g", o.shape, o.dtype) if o.dtype.kind == "f" else None for o in outputs(node)])
                given = (g, outputs(node)) if several else (g[0], node)
                for cotangent, x in zip(op.vjp(*given, *node.inputs, **node.attrs), node.inputs, strict=True):
                    assert cotangent is None or cotangent.type is x.type, f"{name}: {cotangent!r} for {x!r}"


@pytest.mark.parametrize("name", NAMES)
def test_batch_rule_is_stacking(name: str) -> None:
    lanes = 3
    for example in examples(OPS[name]):
        out, xs = built(example)
        for mapped in itertools.product([False, True], repeat=len(xs)):
            if not any(mapped):
                continue
            wide: dict[Node, Node] = {}
            stacked, single = {}, {}
            for k, (x, a, m) in enumerate(zip(xs, example.arrays, mapped)):
                if not m:
                    single[x] = a
                    continue
                # integers are indices: other lanes are permutations; floats are moved, which keeps them in their domain
                wide[x] = gx.tensor(f"xs{k}", (lanes, *a.shape), a.dtype)
                stacked[wide[x]] = np.stack(
                    [np.roll(a, j).reshape(a.shape) if a.dtype.kind != "f" else a * (1 - j / 16) for j in range(lanes)]
                )
            ((result, is_mapped),) = batch([out], wide, lanes)
            assert is_mapped
            (together,) = evaluate([result], {**stacked, **single})
            for j in range(lanes):
                (alone,) = evaluate([out], {**single, **{x: stacked[wide[x]][j] for x in wide}})
                np.testing.assert_allclose(together[j], alone, rtol=1e-12, err_msg=f"{name}, mapped {mapped}, lane {j}")


def test_a_missing_example_says_what_to_do() -> None:
    with pytest.raises(pytest.fail.Exception, match="the op 'odd' has no example: add one"):
        examples(Op("odd", 1, (), "", lambda x: x))

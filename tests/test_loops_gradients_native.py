"""Derivatives and vmap of loops as native code: with and without passes, against the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.options import Options, default_options, set_default_options
from tests.loop_programs import both, numbers
from tests.test_loops_native import BODIES, DTYPES


def losses(scanned: Any) -> Any:
    carry, ys = scanned
    return gx.sum(carry * carry) + sum(gx.sum(y * gx.cos(y)) for y in gx.tree.flatten(ys)[0] if y.dtype.kind == "f")


@pytest.mark.parametrize(("dtype", "reverse"), [("float64", False), ("float32", True)])
@pytest.mark.parametrize("body", BODIES, ids=lambda f: f.__name__)
def test_gradients_of_bodies(body: Callable[..., Any], dtype: str, reverse: bool) -> None:
    """The first of both modes; the second forward over reverse and reverse over reverse."""
    x, h, v = gx.tensor("x", ("n", "m"), dtype), gx.tensor("h", ("m",), dtype), gx.tensor("v", ("m",), dtype)
    loss = losses(gx.scan(body, h, x, reverse=reverse))
    first = gx.grad(loss, [x, h])
    second = [] if reverse else [*gx.jvp(first, [h], [v]), *gx.grad(sum(gx.sum(g * g) for g in first), [x, h])]
    wanted = [loss, *first, gx.jvp(loss, h, v), *second]
    for n in (0, 1, 3):
        both([x, h, v], wanted, numbers(n, 4, dtype=dtype), numbers(4, dtype=dtype, seed=1), numbers(4, dtype=dtype, seed=2))


@pytest.mark.parametrize("body", BODIES, ids=lambda f: f.__name__)
def test_vmap_of_bodies(body: Callable[..., Any], dtype: str = "float64") -> None:
    f = lambda h, x: gx.scan(body, h, x)
    h, hs = gx.tensor("h", ("m",), dtype), gx.tensor("hs", ("b", "m"), dtype)
    x, xs = gx.tensor("x", ("n", "m"), dtype), gx.tensor("xs", ("b", "n", "m"), dtype)
    one, rows = numbers(4, dtype=dtype, seed=1), numbers(3, 4, dtype=dtype, seed=1)
    for n in (0, 2):
        every = gx.vmap(f)(hs, xs), gx.vmap(f, in_axes=(None, 0))(h, xs), gx.vmap(f, in_axes=(0, None))(hs, x)
        both([h, hs, x, xs], every, one, rows, numbers(n, 4, dtype=dtype), numbers(3, n, 4, dtype=dtype))


def test_loops_in_branches_in_loops_and_their_derivatives() -> None:
    x, h = gx.tensor("x", ("n", "m")), gx.tensor("h", ("m",))

    def turn(c: Any, r: Any) -> Any:
        longer = lambda v: gx.scan(lambda s, e: (gx.sin(s) * e, s), v, gx.stack([r, c, r]))[0]
        until = lambda v: gx.while_loop(lambda w: gx.sum(w * w) > 1.0, lambda w: w * 0.7, v, max_steps=9)
        return gx.switch(gx.turn_index() % 3, [longer, until, gx.tanh], c) + r, gx.sum(c)

    loss = losses(gx.scan(turn, h, x))
    first = gx.grad(loss, [x, h])
    both([x, h], [loss, *first, *gx.grad(gx.sum(first[1] * first[1]), [x, h])], numbers(4, 3), numbers(3, seed=1))
    both([x, h], [loss, *first], numbers(0, 3), numbers(3, seed=1))


def elman(dtype: str = "float64", **options: Any) -> tuple[Any, Any]:
    """The gradient of a recurrent network, large enough for several threads, and arguments for it."""
    x, w, u = gx.tensor("x", ("n", "b", 48), dtype), gx.tensor("w", (48, 64), dtype), gx.tensor("u", (64, 64), dtype)
    last, ys = gx.scan(lambda h, r: ((h := gx.tanh(r @ w + h @ u)), gx.softmax(h)), gx.zeros((x.shape[1], 64), dtype), x)
    loss = gx.sum(last * last) + gx.sum(ys[-1] * ys[0])
    given = numbers(9, 700, 48, dtype=dtype), numbers(48, 64, dtype=dtype) * 0.1, numbers(64, 64, dtype=dtype) * 0.1
    return gx.function([x, w, u], [loss, *gx.grad(loss, [x, w, u])], **options), given


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_bits_are_the_same_for_any_number_of_threads(dtype: str) -> None:
    (one, given), (two, _), (four, _) = [elman(dtype, threads=k) for k in (1, 2, 4)]
    for a, b, c in zip(one(*given), two(*given), four(*given)):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_no_kernel_of_a_loop_writes_beside_its_arrays() -> None:
    before = default_options()
    plain, given = elman()
    try:
        set_default_options(Options(verify=True, canaries=True))
        guarded, _ = elman()
        for a, b in zip(plain(*given), guarded(*given)):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
        x, h = gx.tensor("x", ("n", "m")), gx.tensor("h", ("m",))
        for body in BODIES:
            loss = losses(gx.scan(body, h, x))
            f = gx.function([x, h], [loss, *gx.grad(loss, [x, h])])
            for n, m in ((0, 4), (1, 1), (3, 7)):
                f(numbers(n, m), numbers(m))
    finally:
        set_default_options(before)

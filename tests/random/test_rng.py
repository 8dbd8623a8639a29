"""`default_rng`: which functions advance the state, and that a draw is one draw wherever it is used."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest

import graphc as gx


def test_a_function_that_draws_advances_the_state_and_no_other() -> None:
    rng = gx.random.default_rng(5)
    x = gx.vector("x", "n")
    draws = gx.function([x], x + rng.normal(size=x.shape))
    does_not = gx.function([x], 2 * x)
    X = np.zeros(4)
    first = draws(X)
    does_not(X)
    assert draws.updates == [] and rng.state.get_value().tolist() == [5, 1]
    second = draws(X)
    assert not np.isin(first, second).any() and rng.state.get_value().tolist() == [5, 2]
    again = gx.random.default_rng(5)
    same = gx.function([x], x + again.normal(size=x.shape), mode="interpret")
    np.testing.assert_allclose(same(X), first, rtol=1e-14)
    np.testing.assert_allclose(same(X), second, rtol=1e-14)
    rng.state.set_value(np.array([5, 0], np.uint64))
    np.testing.assert_array_equal(draws(X), first)


def test_draws_of_one_function_and_of_several() -> None:
    rng = gx.random.default_rng(0)
    a, b = rng.normal(size=3), rng.normal(size=3)
    one, both, other = gx.function([], a), gx.function([], [a, a, b]), gx.function([], b)
    assert a is not b
    got = both()
    np.testing.assert_array_equal(got[0], got[1])
    assert not np.isin(got[0], got[2]).any()
    drawn = np.concatenate([np.concatenate(got[1:]), one(), other(), one()])
    assert len(set(drawn.tolist())) == 15


def test_an_update_that_the_user_states_holds() -> None:
    rng = gx.random.default_rng(0)
    z = rng.random(2)
    held = gx.function([], z, updates={rng.state: rng.state})
    np.testing.assert_array_equal(held(), held())
    assert rng.state.get_value().tolist() == [0, 0] and len(held.updates) == 1
    fixed = gx.function([], z, givens={rng.state: np.array([0, 0], np.uint64)})
    np.testing.assert_array_equal(fixed(), held())
    assert rng.state.get_value().tolist() == [0, 0]
    np.testing.assert_array_equal(z.eval(), held())
    assert rng.state.get_value().tolist() == [0, 0]


def test_a_call_that_fails_leaves_the_state() -> None:
    rng = gx.random.default_rng(0)
    x, i = gx.vector("x", "n"), gx.scalar("i", "int64")
    f = gx.function([x, i], x[i] + rng.normal())
    with pytest.raises(gx.IndexOutOfRange):
        f(np.zeros(2), 7)
    assert rng.state.get_value().tolist() == [0, 0]
    f(np.zeros(2), 1)
    assert rng.state.get_value().tolist() == [0, 1]


def test_value_and_gradient_see_one_draw() -> None:
    """In one call, and in two with the same state; differences with the state held agree with the gradient."""
    rng = gx.random.default_rng(3)
    m, s = gx.vector("m", "n"), gx.vector("s", "n")
    y = rng.normal(m, s)
    cost = gx.sum(gx.sin(y) * y)
    grads = gx.grad(cost, [m, s])
    f = gx.function([m, s], [y, cost, *grads])
    M, S = np.array([0.3, -1.0, 2.0]), np.array([1.0, 0.5, 2.0])
    z, _, gm, gs = f(M, S)
    z = (z - M) / S
    np.testing.assert_allclose(gs, gm * z, rtol=1e-12)
    at = lambda m, s: (rng.state.set_value(np.array([3, 0], np.uint64)), f(m, s)[1])[1]
    for k in range(3):
        h = 1e-6 * np.eye(3)[k]
        np.testing.assert_allclose((at(M + h, S) - at(M - h, S)) / 2e-6, gm[k], rtol=1e-8)
        np.testing.assert_allclose((at(M, S + h) - at(M, S - h)) / 2e-6, gs[k], rtol=1e-8)


def test_turns_and_lanes_draw_for_themselves() -> None:
    """Scans, loops, maps and vmap, also in each other; the gradient through them sees the values that were drawn."""
    rng = gx.random.default_rng(1)
    x, w = gx.vector("x", "n"), gx.scalar("w")
    draw = lambda *_: rng.normal(w, 1.0)
    rows = lambda f, length: gx.scan(lambda c, _: (c, f()), 0.0, length=length)[1]
    made = [
        rows(draw, 3),
        gx.vmap(draw)(x),
        rows(lambda: gx.vmap(draw)(x), 3),
        gx.vmap(lambda _: rows(draw, 3))(x),
        rows(lambda: rows(draw, 2), 3),
        gx.map(draw, x),
        rows(lambda: gx.checkpoint(draw)(w), 3),
        gx.fori_loop(0, 5, lambda i, v: v.at[i].set(draw()), gx.zeros(5)),
        gx.while_loop(lambda v: v[0] < 4, lambda v: (v[0] + 1, v[1].at[v[0]].set(draw())), (gx.asarray(0), gx.zeros(4)), 4)[1],
        gx.cond(x[0] < 1, draw, lambda: rng.normal()),
        draw(),
    ]
    costs = [gx.sum(v * v) for v in made]
    f = gx.function([x, w], [made, [gx.grad(c, w) for c in costs]])
    values, grads = f(np.arange(4.0), 0.5)
    everything = np.concatenate([v.ravel() for v in values])
    assert everything.size == len(set(everything.tolist())) == 3 + 4 + 12 + 12 + 6 + 4 + 3 + 5 + 4 + 1 + 1
    for v, g in zip(values, grads):
        np.testing.assert_allclose(g, 2 * v.sum(), rtol=1e-12)
    slow = gx.function([x, w], [made, [gx.grad(c, w) for c in costs]], mode="interpret")
    rng.state.set_value(np.array([1, 0], np.uint64))
    for got, wanted in zip(slow(np.arange(4.0), 0.5)[0], values):
        np.testing.assert_allclose(got, wanted, rtol=1e-12)


def test_explicit_keys_stay_as_they_are() -> None:
    k = gx.random.key(2)
    x = gx.vector("x", "n")
    same = gx.function([x], [gx.vmap(lambda _: gx.random.normal(k))(x), gx.scan(lambda c, _: (c, gx.random.normal(k)), 0.0, x)[1]])
    for got in same(np.zeros(3)):
        np.testing.assert_array_equal(got, np.repeat(gx.random.normal(k).eval(), 3))
    lanes = gx.vmap(lambda key: gx.random.normal(key, (2,)))(gx.random.split(k, 3)).eval()
    for lane, key in zip(lanes, gx.random.split(k, 3).eval()):
        np.testing.assert_allclose(lane, gx.random.normal(key, (2,)).eval(), rtol=1e-14)


def test_checkpoint_draws_once() -> None:
    rng = gx.random.default_rng(0)
    w = gx.vector("w", 3)
    plain = lambda z: gx.sum(gx.tanh(w * z) ** 2)
    kept = gx.checkpoint(lambda v: gx.sum(gx.tanh(v * (z := rng.normal(size=3))) ** 2) + 0 * gx.sum(z))
    cost = kept(w)
    z = gx.function([w], gx.grad(cost, w))(np.zeros(3))
    assert (z == 0).all()  # the derivative at 0, whatever was drawn
    rng = gx.random.default_rng(0)
    drawn = rng.normal(size=3)
    rng._drawn = 0
    cost = gx.checkpoint(lambda v: gx.sum(gx.tanh(v * rng.normal(size=3)) ** 2))(w)
    got, wanted = gx.function([w], [[cost, gx.grad(cost, w)], [plain(drawn), gx.grad(plain(drawn), w)]])(np.arange(1.0, 4.0))
    np.testing.assert_allclose(got[0], wanted[0], rtol=1e-14)
    np.testing.assert_allclose(got[1], wanted[1], rtol=1e-13)


def test_inlined_pickled_and_copied_functions_draw() -> None:
    rng = gx.random.default_rng(9)
    x = gx.scalar("x")
    f = gx.function([x], x + rng.normal())
    g = gx.function([x], 10 * f(x))
    assert f(0.0) != f(0.0) and rng.state.get_value().tolist() == [9, 2]
    apart, other = pickle.loads(pickle.dumps((f, rng))), copy.deepcopy(f)
    wanted = f(0.0)
    assert apart[0](0.0) == wanted == other(0.0) and apart[0].updates == []
    assert apart[1].state.get_value().tolist() == [9, 3] and rng.state.get_value().tolist() == [9, 3]
    assert apart[0](0.0) == f(0.0) and g(0.0) not in (10 * wanted,)
    assert rng.state.get_value().tolist() == [9, 5]
    # the next draw of the copy is that of the original
    rng.state.set_value(apart[1].state.get_value())
    assert rng.normal().eval() == apart[1].normal().eval()


def test_threads_that_share_an_rng() -> None:
    rng = gx.random.default_rng(0)
    f = gx.function([], gx.random.bits(rng, (200,), "uint64"))
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.extend([f() for _ in range(50)])) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert rng.state.get_value().tolist() == [0, 200]
    assert len(set(np.concatenate(found).tolist())) == 200 * 200


def test_jit_draws_anew() -> None:
    rng = gx.random.default_rng(0)
    f = gx.jit(lambda x: x + rng.normal(size=x.shape))
    a, b, c = f(np.zeros(3)), f(np.zeros(3)), f(np.zeros(3, np.float32))
    assert len(set(np.concatenate([a, b, c]).tolist())) == 9


def test_draws_in_a_scan_do_not_depend_on_what_its_derivative_keeps() -> None:
    x, w = gx.vector("x", 6), gx.scalar("w")
    how = [{}, {"checkpoint": "full"}, {"checkpoint": "sqrt"}, {"unroll": 2}]
    made = []
    for options in how:
        rng = gx.random.default_rng(4)
        last, rows = gx.scan(lambda c, v, rng=rng: (gx.tanh(c * rng.normal(w, 0.5) + v), c), 0.3, x, **options)
        made.append([last, rows, gx.grad(last + gx.sum(rows), w)])
    first, *others = gx.function([x, w], made)(np.arange(6.0), 0.7)
    for found in others:
        for got, wanted in zip(found, first):
            np.testing.assert_allclose(got, wanted, rtol=1e-13)

"""`gx.optim.minimize`, `least_squares` and `line_search` beside known minima, SciPy, and their own promises: they end, and say why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.optimize

import graphc as gx
from graphc.optim import Result, Status
from graphc.optim.directions import Move
from graphc.optim.minimize import METHODS
from graphc.optim.problem import Point
from graphc.optim.quasi_newton import Recent, _product, l_bfgs

SLOW = ("steepest_descent", "coordinate_descent")  # a thousand turns in a curved valley are not enough
START = np.array([-1.2, 1.0])


def rosenbrock(x: Any) -> Any:
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def ended(found: Result) -> Status:
    return Status(int(found.status))


@pytest.fixture(scope="module")
def every() -> Callable[..., dict[str, Result]]:
    """All methods from x0 on s * rosenbrock(x) - d * log(x1), which is nan for x1 < 0 unless d = 0, and without a minimum for s = 0 < d."""
    x0, s, d = gx.vector("x0", 2), gx.scalar("s"), gx.scalar("d")
    fun = lambda x: s * rosenbrock(x) - gx.where(d == 0, 0.0, d * gx.log(gx.where(d == 0, 1.0, x[0])))
    return gx.function([x0, s, d], {name: gx.optim.minimize(fun, x0, name, max_iterations=400) for name in METHODS})


def test_rosenbrock(every: Callable[..., dict[str, Result]]) -> None:
    """The minimum is at (1, 1), all say how they came there, and what they say is true."""
    value = lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
    for name, found in every(START, 1.0, 0.0).items():
        g = scipy.optimize.approx_fprime(found.x, value, 1e-8)
        assert found.fun == pytest.approx(value(found.x), rel=1e-9, abs=1e-25), name
        assert found.grad_norm == pytest.approx(np.linalg.norm(g), rel=1e-3, abs=2e-5), name
        assert found.success == (found.grad_norm <= 2**-26) == (ended(found) == Status.CONVERGED), name
        assert found.evaluations > found.iterations > 0, name
        if name in SLOW:
            assert ended(found) == Status.ITERATIONS and found.iterations == 400 and found.fun < 1, name
        else:
            np.testing.assert_allclose(found.x, 1, atol=1e-7, err_msg=name)
            assert ended(found) == Status.CONVERGED, name


def test_evaluations_stay_in_the_range_of_scipys(every: Callable[..., dict[str, Result]]) -> None:
    found = every(START, 1.0, 0.0)
    slope = lambda x: np.array([-400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]), 200 * (x[1] - x[0] ** 2)])
    for name, theirs in [("bfgs", "BFGS"), ("l_bfgs", "L-BFGS-B"), ("polak_ribiere", "CG")]:
        peer = scipy.optimize.minimize(rosenbrock, START, jac=slope, method=theirs, options={"gtol": 1e-8})
        assert found[name].evaluations < 1.5 * peer.nfev, (name, peer.nfev)


def test_starts_that_are_no_numbers(every: Callable[..., dict[str, Result]]) -> None:
    """A cost or a gradient that is not finite at x0 ends it there, with x0."""
    for start, s in [([np.nan, 1.0], 1.0), ([1e200, 1.0], 1.0), ([0.0, 0.0], np.inf)]:
        for name, found in every(np.array(start), s, 0.0).items():
            assert ended(found) == Status.NOT_FINITE and found.iterations == 0, name
            np.testing.assert_array_equal(found.x, start)
    for found in every(np.array([0.0, 1.0]), 1.0, 0.5).values():  # log(0): the cost is infinite
        assert ended(found) == Status.NOT_FINITE


def test_a_domain_with_an_edge(every: Callable[..., dict[str, Result]]) -> None:
    """Searches turn back where the cost is nan, and find the minimum of rosenbrock - log(x1) / 2 from near the edge."""
    best = scipy.optimize.minimize(lambda x: rosenbrock(x) - 0.5 * np.log(x[0]), [1.0, 1.0], tol=1e-12)
    for name, found in every(np.array([0.05, 2.0]), 1.0, 0.5).items():
        assert np.isfinite(found.fun) and found.x[0] > 0, name
        if name not in SLOW:
            np.testing.assert_allclose(found.x, best.x, rtol=1e-5, err_msg=name)


def test_without_a_minimum_they_end(every: Callable[..., dict[str, Result]]) -> None:
    for name, found in every(np.array([1.0, 1.0]), 0.0, 1.0).items():
        assert found.x[0] > 100 and np.isfinite(found.fun), name  # -log(x1): ever smaller gradients
    for found in every(np.array([3.0, 2.0]), 0.0, 0.0).values():  # no slope at all
        assert ended(found) == Status.CONVERGED and found.iterations == 0 and found.evaluations == 1


def test_a_cost_that_is_not_what_its_gradient_says() -> None:
    """Where no step lowers the cost, that is why it ends: here the gradient has the wrong sign."""
    x0 = gx.vector("x0", 2)
    fun = lambda x: 2 * gx.stop_gradient(gx.sum(x**2)) - gx.sum(x**2)
    names = ["bfgs", "newton", "trust_region"]
    for name, found in zip(names, gx.function([x0], [gx.optim.minimize(fun, x0, name) for name in names])(START)):
        assert ended(found) == Status.NO_DECREASE, name
        np.testing.assert_allclose(found.x, START, rtol=1e-12)


def test_a_hessian_or_a_direction_that_is_not_finite() -> None:
    """At the edge of (1 - x1)^1.5 the second derivative is infinite: Newton-CG goes on along -g, a trust region says why it does not."""
    x0, d = gx.vector("x0", 2), gx.vector("d", 2)
    fun = lambda x: x[0] ** 2 + (1 - x[1]) ** 1.5
    outputs = [*[gx.optim.minimize(fun, x0, name) for name in ("newton_cg", "trust_region")], gx.optim.line_search(fun, x0, d)]
    at = np.array([1.0, 1.0])
    plain, region, step = gx.function([x0, d], outputs)(at, np.array([-np.inf, 0.0]))
    assert plain.success and plain.x[0] == 0
    assert ended(region) == Status.NOT_FINITE and (region.x == at).all() and region.fun == 1
    assert not step.success and step.length == 0 and (step.x == at).all() and step.fun == 1 and step.evaluations == 0


def test_trees_single_precision_and_limits() -> None:
    """A tree of f32 leaves comes back as it was; f64 beside f32 is computed in f64; tol and max_iterations are kept to."""
    start = {"a": np.float32(-1.2), "b": [np.ones((1, 1), "float32")]}
    p, wide, tol, turns = gx.like(start), gx.scalar("c"), gx.scalar("tol", "float32"), gx.scalar("turns", "int64")
    fun = lambda t: rosenbrock([t["a"], t["b"][0][0, 0]])
    outputs = {
        "bfgs": gx.optim.minimize(fun, p, "bfgs", tol=tol, max_iterations=turns),
        "mixed": gx.optim.minimize(lambda t: fun(t[0]) + t[1] ** 2, (p, wide), "trust_region"),
    }
    f = gx.function([p, wide, tol, turns], outputs)
    got = f(start, 2.0, 4e-4, 1000)
    found, rough, three, none = got["bfgs"], f(start, 2.0, 10.0, 1000)["bfgs"], f(start, 2.0, 0.0, 3)["bfgs"], f(start, 2.0, 0.0, 0)["bfgs"]
    assert found.x["b"][0].shape == (1, 1) and found.x["a"].dtype == found.fun.dtype == np.float32
    assert found.success and abs(found.x["a"] - 1) < 2e-3
    assert rough.grad_norm <= 10 and rough.iterations < found.iterations and rough.success
    assert three.iterations == 3 and ended(three) == Status.ITERATIONS
    assert none.iterations == 0 and ended(none) == Status.ITERATIONS and none.x["a"] == np.float32(-1.2)
    assert got["mixed"].success and got["mixed"].x[1].dtype == np.float64 and abs(got["mixed"].x[1]) < 1e-8


def test_many_starts_at_once_and_sizes_of_the_call() -> None:
    """Under vmap each lane is what it is alone; sizes may be those of a call, also 1."""
    starts, one = gx.tensor("starts", (4, 3)), gx.vector("one", "n")
    fun = lambda x: gx.sum(100 * (x - 0.5) ** 4 + gx.cos(x) ** 2)
    lanes = gx.function([starts], gx.vmap(lambda x: gx.optim.minimize(fun, x, "l_bfgs"))(starts))
    alone = gx.function([one], gx.optim.minimize(fun, one, "l_bfgs"))
    rows = np.random.default_rng(1).normal(size=(4, 3))
    many = lanes(rows)
    for k, row in enumerate(rows):
        single = alone(row)
        assert many.iterations[k] == single.iterations and single.success and many.success[k]
        np.testing.assert_allclose(many.x[k], single.x, rtol=1e-9, atol=1e-12)
    best = scipy.optimize.minimize_scalar(lambda x: 100 * (x - 0.5) ** 4 + np.cos(x) ** 2, bracket=(0, 1), tol=1e-12)
    np.testing.assert_allclose(alone(np.array([2.0])).x, best.x, rtol=1e-6)


def test_inside_a_larger_graph() -> None:
    """What the cost captures is an operand; a jitted function may minimise. The solution has forward derivatives; reverse ones and
    those of higher order come by `implicit`, and without it the error names what does not have them."""
    c = gx.vector("c", 3)
    fun = lambda x: gx.sum(gx.cosh(x - c)) + 0.5 * gx.sum(x**2)
    x = gx.optim.minimize(fun, gx.zeros(3), "newton", line_search="full_step").x
    exact = gx.optim.implicit(fun, x)
    slopes = gx.grad(gx.sum(exact), c)
    outputs = (2 * x, gx.jvp(x, c, np.ones(3)), exact, slopes, gx.grad(gx.sum(slopes), c))
    at = np.array([0.5, -1.0, 2.0])
    value, tangent, precise, slope, bend = gx.function([c], outputs)(at)
    root = np.array([scipy.optimize.brentq(lambda t, k=k: np.sinh(t - k) + t, -5, 5, xtol=1e-14) for k in at])
    np.testing.assert_allclose(value, 2 * root, rtol=1e-8)
    np.testing.assert_allclose(precise, root, rtol=1e-13)
    s, k = np.sinh(root - at), np.cosh(root - at)
    np.testing.assert_allclose(tangent, k / (1 + k), rtol=1e-6)
    np.testing.assert_allclose(slope, k / (1 + k), rtol=1e-10)
    np.testing.assert_allclose(bend, -s / (1 + k) ** 3, rtol=1e-8)
    with pytest.raises(gx.NotDifferentiableError, match="while"):
        gx.grad(gx.sum(x), c)

    @gx.jit
    def nearest(target: Any, start: Any) -> Any:
        return gx.optim.minimize(lambda p: gx.sum((p["x"] - target) ** 4 + (p["x"] - target) ** 2), {"x": start}).x["x"]

    np.testing.assert_allclose(nearest(at, np.zeros(3)), at, atol=1e-7)


def test_the_history_of_l_bfgs() -> None:
    """After five steps with room for three, M g is that of the last three updates of the whole matrix, the oldest first."""
    n, m = 6, 3
    memory = Recent(*gx.like([np.zeros((m, n)), np.zeros((m, n)), np.zeros(m), np.int64(0), 0.0, 0.0]))
    ends = gx.like([np.zeros(n)] * 4)
    x, f = ends[0], gx.asarray(0.0)
    move = Move(Point(x, f, ends[1]), Point(ends[2], f, ends[3]), x, f, f)
    learn = gx.function([memory, ends], [l_bfgs(m).learn(memory, move), _product(memory, ends[1], m)])
    rng = np.random.default_rng(0)
    a = np.diag(np.arange(1.0, n + 1)) + 0.1
    state = Recent(np.zeros((m, n)), np.zeros((m, n)), np.zeros(m), np.int64(0), 1.0, 1.0)
    steps = [(s, a @ s + 0.05 * rng.normal(size=n)) for s in rng.normal(size=(5, n))]
    for s, y in steps:
        state = Recent(*learn(state, [np.zeros(n), np.zeros(n), s, y])[0])
    whole = np.eye(n) * (s @ y) / (y @ y)
    for s, y in steps[-m:]:
        v = np.eye(n) - np.outer(s, y) / (s @ y)
        whole = v @ whole @ v.T + np.outer(s, s) / (s @ y)
    g = rng.normal(size=n)
    np.testing.assert_allclose(learn(state, [np.zeros(n), g, g, g])[1], whole @ g, rtol=1e-11)
    unlearnt = learn(state, [np.zeros(n), np.zeros(n), s, -y])[0]  # s.y < 0: nothing is written
    assert unlearnt[3] == state.steps and (unlearnt[0] == state.s).all() and (unlearnt[2] == state.r).all()


# -- least squares ------------------------------------------------------------------------------------------------------
T = np.linspace(0, 4, 25)


def test_least_squares_beside_scipy() -> None:
    """A decay with an offset from noisy points, residuals as a tree; and residuals whose Jacobian is singular at the start."""
    rng = np.random.default_rng(0)
    y = 2.5 * np.exp(-1.3 * T) + 0.5 + 0.05 * rng.normal(size=T.size)
    t, v, p, unit = gx.vector("t", "n"), gx.vector("y", "n"), gx.like({"a": 0.0, "k": 0.0, "c": 0.0}), gx.scalar("unit")
    model = lambda p: {"data": unit * p["a"] * gx.exp(-p["k"] * t) + p["c"] - v, "prior": 1e-3 * gx.stack([unit * p["a"], p["k"]])}
    turns = gx.scalar("turns", "int64")
    found = [gx.optim.least_squares(model, p, name, max_iterations=turns) for name in ("levenberg_marquardt", "gauss_newton")]
    f = gx.function([t, v, p, unit, turns], found)
    residuals = lambda q: np.r_[q[0] * np.exp(-q[2] * T) + q[1] - y, 1e-3 * q[0], 1e-3 * q[2]]
    theirs = scipy.optimize.least_squares(residuals, [1.0, 0, 0.5], method="lm", xtol=1e-14, ftol=1e-14, gtol=1e-14)
    for found in f(T, y, {"a": 1.0, "k": 0.5, "c": 0.0}, 1.0, 1000):
        np.testing.assert_allclose([found.x[k] for k in "ack"], theirs.x, rtol=1e-6)
        assert found.fun == pytest.approx(theirs.cost, rel=1e-12) and found.success
        assert found.products == found.iterations
    for turns in (1, 2, 5):  # the units of a parameter make no difference
        here, there = (f(T, y, {"a": 3.0 / unit, "k": 4.0, "c": 0.0}, unit, turns)[0] for unit in (1.0, 1e5))
        assert here.fun == pytest.approx(float(there.fun), rel=1e-7) and here.iterations == there.iterations == turns
        assert here.x["k"] == pytest.approx(float(there.x["k"]), rel=1e-7)
    singular = f(T, y, {"a": 0.0, "k": 1.0, "c": 0.0}, 1.0, 1000)[0]  # d / dk is 0
    np.testing.assert_allclose([singular.x[k] for k in "ack"], theirs.x, rtol=1e-6)


# -- line searches ------------------------------------------------------------------------------------------------------
def test_line_searches() -> None:
    """The test functions 1 to 3 of More and Thuente (1994) from first lengths of 1e-3 to 1e3, along them and against."""
    x, a, way = gx.vector("x", 1), gx.scalar("a"), gx.scalar("way")
    smooth = lambda t: -t / (t**2 + 2)
    steep = lambda t: (t + 0.004) ** 5 - 2 * (t + 0.004) ** 4
    wavy = lambda t: (
        gx.where(t <= 0.99, 1 - t, gx.where(t >= 1.01, t - 1, (t - 1) ** 2 / 0.02 + 0.005))
        + 2 * 0.99 / (39 * np.pi) * gx.sin(39 * np.pi / 2 * t)
    )
    searches = {"armijo": gx.optim.armijo(1e-3), "strong_wolfe": gx.optim.strong_wolfe(1e-3, 0.1), "exact": "exact"}
    steps = {(k, name): gx.optim.line_search(lambda x, p=p: p(x[0]), x, gx.stack([way]), s, a) for k, p in enumerate((smooth, steep, wavy))
             for name, s in searches.items()}  # fmt: skip
    slopes = [gx.value_and_grad(p(x[0]), x) for p in (smooth, steep, wavy)]
    f = gx.function([x, a, way], [list(steps.values()), slopes])
    origin = f(np.zeros(1), 1.0, 1.0)[1]
    for length in (1e-3, 0.1, 1.0, 10.0, 1e3):
        for (k, name), step in zip(steps, f(np.zeros(1), length, 1.0)[0]):
            assert step.success and step.length > 0 and step.evaluations <= 25, (k, name, length)
            value, slope = f(step.x, 1.0, 1.0)[1][k]
            assert step.x[0] == step.length and step.fun == value
            np.testing.assert_array_equal(step.grad, slope)
            start, downhill = origin[k]
            assert value <= start + 1e-4 * step.length * downhill[0]
            if name == "strong_wolfe":
                assert abs(slope[0]) <= -0.1 * downhill[0] * (1 + 1e-12)
    for step in f(np.zeros(1), 1.0, -1.0)[0]:  # uphill
        assert not step.success and step.length == 0 and step.x[0] == 0


# -- misuse -------------------------------------------------------------------------------------------------------------
def test_misuse() -> None:
    x0 = np.zeros(2)
    square = lambda x: gx.sum(x**2)
    cases: list[tuple[type[Exception], str, Callable[[], Any]]] = [
        (gx.ArgumentError, "method='bfg'.*one of steepest_descent", lambda: gx.optim.minimize(square, x0, "bfg")),
        (gx.ArgumentError, "no option 'histori'.*history", lambda: gx.optim.minimize(square, x0, "l_bfgs", histori=3)),
        (gx.ArgumentError, "history=0", lambda: gx.optim.minimize(square, x0, "l_bfgs", history=0)),
        (gx.ArgumentError, "no line search", lambda: gx.optim.minimize(square, x0, "trust_region", line_search="armijo")),
        (gx.ArgumentError, "line_search='wolfe'", lambda: gx.optim.minimize(square, x0, line_search="wolfe")),
        (gx.ArgumentError, "tol=-1", lambda: gx.optim.minimize(square, x0, tol=-1)),
        (gx.ArgumentError, "c1=0.9, c2=0.1", lambda: gx.optim.strong_wolfe(0.9, 0.1)),
        (gx.ArgumentError, "damping=-1", lambda: gx.optim.minimize(square, x0, "newton", damping=-1)),
        (gx.ArgumentError, "radius=0", lambda: gx.optim.minimize(square, x0, "trust_region", radius=0)),
        (gx.ArgumentError, "no function.*lambda x", lambda: gx.optim.minimize(gx.sum(x0), x0)),
        (gx.ArgumentError, "gives 2 arrays", lambda: gx.optim.minimize(lambda x: (x[0], x[1]), x0)),
        (gx.ArgumentError, "x0 holds no array", lambda: gx.optim.minimize(square, {})),
        (gx.ShapeError, "the cost is f64", lambda: gx.optim.minimize(lambda x: x**2, x0)),
        (gx.ShapeError, "direction of 3 elements", lambda: gx.optim.line_search(square, x0, np.ones(3))),
        (gx.DTypeError, "x0 is int64", lambda: gx.optim.minimize(square, np.zeros(2, int))),
        (gx.DTypeError, "int64", lambda: gx.optim.minimize(lambda x: gx.sum(x > 0), x0)),
        (gx.DisconnectedError, "x", lambda: gx.optim.minimize(lambda x: gx.asarray(1.0), x0)),
        (gx.ArgumentError, "one of levenberg", lambda: gx.optim.least_squares(lambda x: x, x0, "bfgs")),
    ]  # fmt: skip
    for error, text, call in cases:
        with pytest.raises(error, match=text):
            call()

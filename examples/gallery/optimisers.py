"""Every method of descent on one problem whose minimum is known: is this digit an eight? Logistic regression with weight decay.

    python examples/gallery/optimisers.py

The cost is convex and smooth, so every method comes to the same place, and what is left is how many steps it takes and what a step
costs. First-order methods see the whole data at every step, so that they differ by nothing but their rule; each is one native scan.
Those that know second derivatives, or learn them, are one native loop each.
"""

from __future__ import annotations

import time
from typing import Any

import data
import numpy as np
import stage

import graphc as gx

o = gx.optim
DECAY = 1e-3  # of the weights; it makes the minimum unique

FIRST: dict[str, o.Optimizer] = {  # rates: the best of 1, 2, 5 times a power of ten
    "sgd": o.sgd(0.5),
    "momentum": o.momentum(0.5, 0.9),
    "nesterov": o.nesterov(0.5, 0.9),
    "delta-bar-delta": o.delta_bar_delta(0.5, up=0.1, down=0.2),
    "adagrad": o.adagrad(0.5),
    "adadelta": o.adadelta(100.0),
    "rmsprop": o.rmsprop(o.schedules.exponential(0.1, 0.1, 150)),
    "rmsprop, nesterov": o.rmsprop(o.schedules.exponential(0.02, 0.1, 150), momentum=0.9, nesterov=True),
    "adam": o.adam(0.1),
    "adam, as printed": o.adam(0.1, eps=0.0, eps_root=1e-8),
    "amsgrad": o.adam(0.1, amsgrad=True),
    "adamw, no decay": o.adamw(0.1, weight_decay=0.0),
    "lion": o.lion(o.schedules.exponential(0.05, 0.1, 150)),
    "sgd, averaged": o.chain(o.sgd(2.0), o.polyak(0.9)),
    "clipped, decaying": o.chain(o.clip_by_global_norm(0.1), o.sgd(o.schedules.linear(5.0, 0.05, 300))),
}
SECOND = (
    "steepest_descent", "coordinate_descent", "fletcher_reeves", "polak_ribiere", "bfgs", "l_bfgs", "newton", "saddle_free_newton",
    "newton_cg", "trust_region",
)  # fmt: skip
SLOW = {"steepest_descent", "coordinate_descent"}  # a turn of the latter moves one of 65 numbers
IN_SHORT = ("sgd", "nesterov", "adam", "newton", "polak_ribiere")


def problem() -> tuple[Any, dict[str, np.ndarray]]:
    """(the cost of weights and a bias, where descent begins)."""
    images, labels, *_ = data.digits("float64")
    eight = (labels == 8).astype(float)

    def cost(p: Any) -> gx.Node:
        score = images @ p["w"] + p["b"]
        return gx.mean(gx.softplus(score) - eight * score) + 0.5 * DECAY * gx.sum(p["w"] ** 2)

    return cost, {"w": np.zeros(64), "b": np.array(0.0)}


def first_order(opt: o.Optimizer, cost: Any, start: Any, steps: int) -> np.ndarray:
    """The cost before each of so many steps: one native scan."""
    p = gx.like(start)

    def step(carry: Any, _: Any) -> Any:
        p, state = carry
        value, slope = gx.value_and_grad(cost(p), p)
        return opt.update(slope, state, p), value

    return gx.function([p], gx.scan(step, (p, opt.init(p)), length=steps)[1])(start)


def second_order(method: str, cost: Any, start: Any) -> Any:
    """What `minimize` found, and the seconds of one call."""
    p = gx.like(start)
    run = gx.function([p], o.minimize(cost, p, method, tol=1e-8))
    run(start)
    begin = time.perf_counter()
    return run(start), time.perf_counter() - begin


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """How far above the minimum each method is after its steps."""
    cost, start = problem()
    steps = 100 if short else 300
    newton = second_order("newton", cost, start)
    least = float(newton[0].fun)
    figures, curves = {}, {}
    print(f"the minimum is {least:.12f}; {steps} steps of what follows the gradient, from {np.log(2):.3f}:")
    for name, opt in FIRST.items():
        if not short or name in IN_SHORT:
            curves[name] = first_order(opt, cost, start, steps) - least
            figures[name] = float(curves[name][-1])
            print(f"  {name:20s} {figures[name]:9.1e} above")
    print("and of what knows or learns second derivatives, until the gradient is below 1e-8:")
    for method in SECOND:
        if not short or method in IN_SHORT:
            found, seconds = newton if method == "newton" else second_order(method, cost, start)
            figures[method], figures[f"{method}, turns"] = float(found.fun) - least, float(found.iterations)
            print(f"  {method:20s} {figures[method]:9.1e} above after {found.iterations} turns in {1e3 * seconds:.1f} ms")
            assert abs(figures[method]) < (0.05 if method in SLOW else 1e-10)
    assert max(figures["nesterov"], figures.get("momentum", 0.0)) < figures["sgd"] / 3  # O5, O7: convex, whole batches
    assert figures["newton, turns"] <= 10 < figures["polak_ribiere, turns"]
    if plot:
        with stage.picture(plot, size=6) as axes:
            for name, curve in curves.items():
                axes.semilogy(np.maximum(curve, 1e-12), label=name)
            axes.set(xlabel="step", ylabel="above the minimum")
            axes.legend()
    return figures


if __name__ == "__main__":
    stage.run(main)

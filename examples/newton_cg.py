"""Newton-CG on the digits network: second-order training by Hessian-vector products, without a Hessian.

    python examples/newton_cg.py

A Newton step minimises the quadratic model m(s) = g s + s H s / 2 of the loss inside a ball of radius r. Conjugate gradients
(Steihaug 1983) need only products H v, and `gx.hvp` gives each for about two gradients, in the memory of a few. The Hessian of the
17226 weights would have 297 million entries; `check_memory` asserts that nothing here exceeds weights and activations together.

The comparison counts arithmetic, from `f.cost()`: one unit is one gradient over the whole training set, and all that either method
evaluates is paid for. Gradient descent has the same budget and the best of its rates. The column "momentum" is a reminder that
first-order methods have more to offer than that.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from digits import SIZES, cross_entropy, initial_parameters, load_digits, log_probabilities

import graphc as gx

Vector = np.ndarray
RATES = (0.3, 1.0)  # of 0.05 to 2.0 the best is 1.0, and 2.0 diverges


@dataclass(frozen=True)
class Problem:
    """The loss over the flat vector w of all weights, its derivatives, and what an evaluation costs, in gradients."""

    loss: Callable[[Vector], float]
    slope: Callable[[Vector], tuple[float, Vector]]  # loss and gradient
    product: Callable[[Vector, Vector], Vector]  # (w, v) -> H(w) v
    classify: Callable[[Vector, np.ndarray], np.ndarray]  # (w, images) -> digits
    start: Vector
    loss_cost: float
    product_cost: float
    memory: dict[str, int]  # of one product, in bytes


def build(images: np.ndarray, labels: np.ndarray, seed: int = 0) -> Problem:
    """Compile loss, gradient and Hessian-vector product of the digits network over these images."""
    start, unravel = gx.tree.ravel(initial_parameters(seed))
    w = gx.like(start, "w")
    v = gx.like(start, "v")
    x = gx.tensor("x", ("n", SIZES[0]), "float32")
    y = gx.tensor("y", ("n",), "int64")
    layers = unravel(w)  # views of one vector: the tree of layers, as nodes
    cost = cross_entropy(layers, x, y)
    loss = gx.function([w, x, y], cost)
    slope = gx.function([w, x, y], gx.value_and_grad(cost, w))
    product = gx.function([w, v, x, y], gx.hvp(cost, w, v))
    classify = gx.function([w, x], gx.argmax(log_probabilities(layers, x), axis=1))

    n = len(images)
    unit = slope.cost(n=n)["operations"]
    memory = product.memory(n=n)
    check_memory(memory, weights=len(start), activations=n * sum(SIZES[1:]), itemsize=start.itemsize)
    return Problem(
        loss=lambda w: float(loss(w, images, labels)),
        slope=lambda w: slope(w, images, labels),
        product=lambda w, v: product(w, v, images, labels),
        classify=classify,
        start=start,
        loss_cost=loss.cost(n=n)["operations"] / unit,
        product_cost=product.cost(n=n)["operations"] / unit,
        memory=memory,
    )


def check_memory(memory: dict[str, int], weights: int, activations: int, itemsize: int) -> None:
    """Nothing is as large as a Hessian: no array exceeds weights plus activations, all together are a few times that."""
    linear = (weights + activations) * itemsize
    assert memory["largest"] <= linear, f"an intermediate of {memory['largest']} bytes, linear is {linear}"
    assert memory["arena"] <= 8 * linear, f"an arena of {memory['arena']} bytes, linear is {linear}"
    assert memory["arena"] < weights**2 * itemsize / 50, "that is on the way to a Hessian"


@dataclass(frozen=True)
class Leg:
    """A straight piece of the path of conjugate gradients: from s along p as far as s + a p; a is inf where p H p <= 0."""

    s: Vector
    p: Vector
    Hs: Vector
    Hp: Vector
    a: float


def conjugate_gradients(product: Callable[[Vector], Vector], g: Vector, radius: float, limit: int = 40) -> list[Leg]:
    """The path of CG on H s = -g, up to where it leaves the ball, curves downwards, or has solved enough.

    A direction of negative curvature ends the path, for the model falls along it without bound: the ball is what stops it.
    """
    size = norm(g)
    enough = min(0.5, math.sqrt(size)) * size  # superlinear near the minimum, cheap far from it
    s, Hs, r = np.zeros_like(g), np.zeros_like(g), -g
    p = r
    path = []
    while True:
        Hp = product(p)
        curvature, rr = float(p @ Hp), float(r @ r)
        a = rr / curvature if curvature > 0 else math.inf
        path.append(Leg(s, p, Hs, Hp, a))
        if a == math.inf or norm(s + a * p) >= radius or len(path) == limit:
            return path
        s, Hs, r = s + a * p, Hs + a * Hp, r - a * Hp
        if norm(r) <= enough:
            return path
        p = r + float(r @ r) / rr * p


def walk(path: list[Leg], g: Vector, radius: float) -> tuple[Vector, float, bool]:
    """(s, m(s), whether s is on the boundary): the end of the path, or where it leaves a ball of this radius.

    Along the path both the length of s and -m(s) grow, so a smaller radius needs no new product.
    """
    for leg in path:
        if leg.a == math.inf or norm(leg.s + leg.a * leg.p) >= radius:
            pp, sp, ss = float(leg.p @ leg.p), float(leg.s @ leg.p), float(leg.s @ leg.s)
            a, outside = (-sp + math.sqrt(sp * sp + pp * (radius * radius - ss))) / pp, True
            break
    else:
        a, outside = leg.a, False
    s, Hs = leg.s + a * leg.p, leg.Hs + a * leg.Hp
    return s, float(g @ s) + 0.5 * float(s @ Hs), outside


def norm(v: Vector) -> float:
    """|v|, as a Python float: a NumPy scalar would turn the f32 vectors it multiplies into f64."""
    return math.sqrt(float(v @ v))


@dataclass(frozen=True)
class Point:
    """A state of an optimisation: what was spent, in gradients, and what it bought."""

    work: float
    loss: float
    products: int = 0
    radius: float = 0.0
    downwards: int = 0  # how often the Hessian had negative curvature


def newton_cg(problem: Problem, budget: float, radius: float = 1.0) -> tuple[Vector, list[Point]]:
    """Minimise until `budget` gradients' worth of arithmetic are spent; the weights and the history."""
    w = problem.start
    loss, g = problem.slope(w)
    point = Point(1.0, float(loss), radius=radius)
    history = [point]
    while point.work < budget and norm(g) > 1e-6:
        path = conjugate_gradients(functools.partial(problem.product, w), g, radius)
        work = point.work + len(path) * problem.product_cost
        while True:
            s, predicted, outside = walk(path, g, radius)
            work += problem.loss_cost
            gain = (point.loss - problem.loss(w + s)) / -predicted
            if gain > 0.1:
                break
            radius = 0.25 * norm(s)  # the model promised too much: the same path, cut shorter
            if radius < 1e-6:
                return w, history  # what is left to gain is below the rounding of the loss
        radius *= 2.0 if gain > 0.75 and outside else 0.5 if gain < 0.25 else 1.0
        w = w + s
        loss, g = problem.slope(w)
        point = Point(work + 1, float(loss), point.products + len(path), radius, point.downwards + (path[-1].a == math.inf))
        history.append(point)
    return w, history


def gradient_descent(problem: Problem, budget: float, rate: float, momentum: float = 0.0) -> list[Point]:
    """Full-batch steps w <- w - rate * gradient, one unit of work each."""
    w, velocity, history = problem.start, np.zeros_like(problem.start), []
    for k in range(1, math.ceil(budget) + 1):
        loss, g = problem.slope(w)
        history.append(Point(k, float(loss)))
        velocity = momentum * velocity - rate * g
        w = w + velocity
    return history


def at(history: list[Point], work: float) -> Point:
    """The last point that had spent no more than `work`."""
    return [p for p in history if p.work <= work + 1e-9][-1]


def main(budget: float = 400) -> tuple[float, float]:
    """Print both methods side by side; return the last losses of Newton-CG and of gradient descent."""
    images, labels, test_images, test_labels = load_digits()
    problem = build(images, labels)
    n = len(problem.start)
    print(f"{n} weights; one Hessian-vector product costs {problem.product_cost:.2f} gradients,")
    print(f"its largest intermediate has {problem.memory['largest'] / 1e6:.2f} MB, all share {problem.memory['arena'] / 1e6:.2f} MB;")
    print(f"the Hessian would have {n * n * 4 / 1e6:.0f} MB\n")

    w, newton = newton_cg(problem, budget)
    spent = newton[-1].work
    plain = {rate: gradient_descent(problem, spent, rate) for rate in RATES}
    heavy = gradient_descent(problem, spent, 0.3, momentum=0.9)  # for perspective: more than plain gradient descent
    print("        Newton-CG                                          gradient descent")
    print("  work       loss   products   radius   down-curved" + "".join(f"   rate {r:<4}" for r in RATES) + "    (momentum)")
    for mark in [spent * part for part in (0.1, 0.25, 0.5, 0.75, 1.0)]:
        p = at(newton, mark)
        losses = "".join(f"   {at(h, mark).loss:9.5f}" for h in (*plain.values(), heavy))
        print(f"{p.work:6.0f}  {p.loss:9.5f}   {p.products:8d}   {p.radius:6.3f}   {p.downwards:11d}{losses}")
    accuracy = np.mean(problem.classify(w, test_images) == test_labels)
    best = min(h[-1].loss for h in plain.values())
    print(f"\nNewton-CG: loss {newton[-1].loss:.6f}, test accuracy {accuracy:.2%}; gradient descent for the same work: {best:.6f}")
    return newton[-1].loss, best


if __name__ == "__main__":
    main()

"""Derivative matching: a net that is told the slope of a function as well as its values, by a gradient inside of the cost.

    python examples/gallery/derivative_matching.py

A net with one hidden layer can approximate a function and its derivatives together (Hornik, Stinchcombe and White 1990; GBC14 6.6). Here
ten points of a curve are all that is known: with values alone the net passes through them and wavers in between; with slopes, or slopes
and curvatures, as further targets it is right where nobody looked. The cost holds first (second) derivatives, its gradient one more.
"""

from __future__ import annotations

from typing import Any

import data
import numpy as np
import stage

import graphc as gx


def net(p: dict[str, Any], x: gx.Node) -> gx.Node:
    """One hidden layer of tanh: numbers (n,) to numbers (n,)."""
    return gx.tanh(x[:, None] * p["w"] + p["b"]) @ p["v"] + p["c"]


def jets(p: dict[str, Any], x: gx.Node, order: int) -> list[gx.Node]:
    """The net, its slope, its curvature ..: each element depends on its own x alone, so the gradient of the sum is every slope."""
    found = [net(p, x)]
    for _ in range(order):
        found.append(gx.grad(gx.sum(found[-1]), x))
    return found


def curve(x: np.ndarray) -> list[np.ndarray]:
    """exp(-x^2 / 4) sin(3 x), its slope and its curvature."""
    bell, s, c = np.exp(-(x**2) / 4), np.sin(3 * x), np.cos(3 * x)
    return [bell * s, bell * (3 * c - x / 2 * s), bell * ((x**2 / 4 - 9.5) * s - 3 * x * c)]


def fit(order: int, hidden: int, turns: int) -> tuple[np.ndarray, np.ndarray]:
    """Train on ten points of the curve and its first derivatives up to this order; the errors in between, of value and slope."""
    rng = np.random.default_rng(0)
    initial = {"w": rng.normal(size=hidden) * 2, "b": rng.normal(size=hidden) * 2, "v": rng.normal(size=hidden) / 4, "c": np.zeros(())}
    points, between = np.linspace(-3, 3, 10), np.linspace(-3, 3, 301)
    x, p0 = gx.vector("x", 10), gx.like(initial)
    weights = (1.0, 0.1, 0.01)  # slopes and curvatures are larger numbers

    def cost(p: dict[str, Any]) -> gx.Node:
        parts = [w * gx.mean((made - told) ** 2) for w, made, told in zip(weights, jets(p, x, order), curve(points))]
        return sum(parts[1:], start=parts[0]) + 1e-8 * sum(gx.sum(leaf**2) for leaf in gx.tree.leaves(p))

    found = gx.function([x, p0], gx.optim.minimize(cost, p0, "l_bfgs", max_iterations=turns, tol=1e-6))(points, initial)
    value, slope, _ = curve(between)
    z = gx.vector("z", "n")
    made = gx.function([z], jets(gx.tree.map(gx.asarray, found.x), z, 1))(between)
    return tuple(float(np.sqrt(np.mean((m - t) ** 2))) for m, t in zip(made, (value, slope)))


def cars() -> tuple[float, float]:
    """Stopping distances of cars: the slope of the net at rest, where it must be 0, without and with being told."""
    table = data.table("stopping")
    speed, distance = table["speed"] / 10, table["distance"] / 100
    rng = np.random.default_rng(1)
    initial = {"w": rng.normal(size=8), "b": rng.normal(size=8), "v": rng.normal(size=8) / 4, "c": np.zeros(())}
    rest, p0 = gx.vector("rest", 1), gx.like(initial)

    def slope_at_rest(told: float) -> gx.Node:
        def cost(p: dict[str, Any]) -> gx.Node:
            value, slope = jets(p, rest, 1)
            fitted = gx.mean((net(p, gx.asarray(speed)) - distance) ** 2) + 1e-4 * sum(gx.sum(leaf**2) for leaf in gx.tree.leaves(p))
            return fitted + told * (value[0] ** 2 + slope[0] ** 2)

        found = gx.optim.minimize(cost, p0, "bfgs", max_iterations=300, tol=1e-5).x
        return jets(gx.tree.map(gx.stop_gradient, found), rest, 1)[1][0]

    free, told = gx.function([rest, p0], [slope_at_rest(0.0), slope_at_rest(1.0)])(np.zeros(1), initial)
    return float(free), float(told)


def main(short: bool = False) -> dict[str, float]:
    """Values alone, with slopes, with curvatures; and cars that stand still at no speed."""
    figures = {}
    for order, name in enumerate(["values", "and slopes", "and curvatures"][: 2 if short else 3]):
        value, slope = fit(order, 24, 400 if short else 3000)
        print(f"ten points told: {name:15} error between them {value:.4f}, of the slope {slope:.4f}")
        figures |= {f"{name}: error": value, f"{name}: error of the slope": slope}
    assert figures["and slopes: error"] < figures["values: error"] / 3
    assert figures["and slopes: error of the slope"] < figures["values: error of the slope"] / 3
    if not short:
        free, told = cars()
        print(f"stopping distance: slope at rest {free:.3f}, told that it is 0: {told:.4f}")
        assert abs(told) < abs(free) / 5
        assert figures["and curvatures: error of the slope"] < figures["and slopes: error of the slope"]
        figures |= {"cars: slope at rest": free, "cars: told": told}
    return figures


if __name__ == "__main__":
    stage.run(main)

"""Swing a pendulum up with a motor that is too weak to lift it: 200 torques found by gradients through 200 steps of dynamics.

    python examples/pendulum.py

The dynamics are a `scan` over Runge-Kutta steps. The gradient of what it costs to end upright and at rest runs through all of them
backwards, and becomes, with the update of the torques, one native function. Where SciPy is installed its integrator has the last word.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import graphc as gx

STEPS, DT = 200, 0.05  # ten seconds
GRAVITY, DAMPING, MAX_TORQUE = 9.81, 0.05, 3.0  # of a mass of 1 kg on a rod of 1 m, which takes 9.81 Nm to hold level
RATE, ITERATIONS = 0.05, 600


def slope(angle: Any, speed: Any, torque: Any) -> tuple[Any, Any]:
    """d (angle, speed) / dt; the angle is 0 hanging down, pi upright. Of nodes as of NumPy's arrays."""
    return speed, torque - GRAVITY * np.sin(angle) - DAMPING * speed


def runge_kutta(state: tuple[Any, Any], torque: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """One step of the classical method with a constant torque: the state after it, twice, as `scan` wants it."""

    def moved(change: tuple[Any, Any], dt: float) -> tuple[Any, Any]:
        return state[0] + dt * change[0], state[1] + dt * change[1]

    a = slope(*state, torque)
    b = slope(*moved(a, DT / 2), torque)
    c = slope(*moved(b, DT / 2), torque)
    d = slope(*moved(c, DT), torque)
    after = moved(tuple(p + 2 * q + 2 * r + s for p, q, r, s in zip(a, b, c, d)), DT / 6)
    return after, after


def build() -> tuple[gx.Function, gx.Function]:
    """(a step of Adam on the torques -> cost, the swing () -> torques, angles, speeds)."""
    rng = np.random.default_rng(0)
    free = gx.shared(0.1 * rng.standard_normal(STEPS), "free")  # any number; the torque is its tanh
    torques = MAX_TORQUE * gx.tanh(free)
    (angle, speed), (angles, speeds) = gx.scan(runge_kutta, (0.0, 0.0), torques)
    cost = 20 * (1 + gx.cos(angle)) + speed**2 + gx.mean(1 + gx.cos(angles)) + 0.001 * gx.mean(torques**2)

    count, mean, square = gx.shared(0.0, "count"), gx.shared(np.zeros(STEPS), "mean"), gx.shared(np.zeros(STEPS), "square")
    g = gx.grad(cost, free)
    now, m, v = count + 1, 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g**2
    adam = free - RATE * (m / (1 - 0.9**now)) / (gx.sqrt(v / (1 - 0.999**now)) + 1e-8)
    step = gx.function([], cost, updates={free: adam, count: now, mean: m, square: v})
    return step, gx.function([], [torques, angles, speeds])


def by_scipy(torques: np.ndarray) -> tuple[float, float] | None:
    """Angle and speed at the end by an adaptive method of order 8, or None where SciPy is not installed."""
    try:
        from scipy.integrate import solve_ivp
    except ImportError:
        return None
    state = np.zeros(2)
    for torque in torques:  # constant for a step: an integrator should not step over the jumps
        solved = solve_ivp(lambda t, y, u=torque: slope(*y, u), (0, DT), state, "DOP853", rtol=1e-10, atol=1e-12)
        state = solved.y[:, -1]
    return float(state[0]), float(state[1])


def main() -> dict[str, Any]:
    """Find the swing, print how it goes, and return the torques and the states at the end."""
    start = time.perf_counter()
    step, swing = build()
    print(f"compiled in {time.perf_counter() - start:.2f} s")
    start = time.perf_counter()
    costs = [float(step()) for _ in range(ITERATIONS)]
    took = (time.perf_counter() - start) / ITERATIONS
    for k in (*range(0, ITERATIONS, 100), ITERATIONS - 1):
        print(f"iteration {k:3d}   cost {costs[k]:8.4f}")
    print(f"{took * 1e6:.0f} us an iteration: {STEPS} steps of dynamics, there and back\n")
    torques, angles, speeds = swing()
    for k in range(0, STEPS, 8):
        row = [" "] * 41
        row[int(np.clip(20.5 + 20 * np.sin(angles[k]), 0, 40))] = "o" if np.cos(angles[k]) < 0 else "."  # o: above the axis
        print(f"{k * DT:5.1f} s   {torques[k]:+5.2f} Nm  |{''.join(row)}|")
    print(f"\nat the end {np.degrees(angles[-1] % (2 * np.pi)):.2f} degrees (180: upright), {speeds[-1]:+.4f} rad/s")
    exact = by_scipy(torques)
    if exact is not None:
        print(f"by SciPy's DOP853 {np.degrees(exact[0] % (2 * np.pi)):.2f} degrees, {exact[1]:+.4f} rad/s")
    return {"costs": costs, "torques": torques, "end": (float(angles[-1]), float(speeds[-1])), "exact": exact}


if __name__ == "__main__":
    main()

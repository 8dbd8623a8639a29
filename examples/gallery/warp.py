"""Two inputs, two hidden units, one output: the hidden layer warps the plane until a straight line separates two curves.

    python examples/gallery/warp.py --plot warp.png

Two parallel arcs cannot be parted by a line. Two units tanh(W x + b) move every point of the plane, without folding it, to a place
where they can. The whole training, gradients and all, is one native loop.
"""

from __future__ import annotations

import numpy as np
import stage

import graphc as gx


def arcs(n: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """n points of each of two parallel arcs, and their classes -1 and 1."""
    t = np.linspace(-1, 1, n)
    lower = np.stack([t, 0.6 - 1.2 * t**2], 1)
    return np.r_[lower - [0, 0.25], lower + [0, 0.25]], np.repeat([-1.0, 1.0], n)


def hidden(p, x):
    """Where a point of the plane, or a row of each, is moved to."""
    return gx.tanh(x @ p["W"] + p["b"])


def warped(p, x):
    """The score of the class 1: a line in the plane of the hidden units."""
    return hidden(p, x) @ p["w"] + p["c"]


def straight(p, x):
    """The score of the class 1: a line in the plane of the inputs."""
    return x @ p["w"] + p["c"]


def folding(p, points: np.ndarray) -> np.ndarray:
    """The determinant of the hidden layer's Jacobian at each point: where it changes sign the plane is folded."""
    x = gx.tensor("x", ("n", 2))
    return gx.function([x], gx.vmap(lambda row: gx.linalg.det(gx.jacobian(hidden(p, row), row)))(x))(points)


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """Fit both scores; with --plot, draw the plane before and after."""
    X, y = arcs()
    rng = np.random.default_rng(2)
    line = {"w": np.zeros(2), "c": 0.0}
    net = {"W": rng.normal(size=(2, 2)), "b": np.zeros(2), "w": rng.normal(size=2), "c": 0.0}
    right = {}
    for score, initial in ((straight, line), (warped, net)):

        def cost(p, score=score):
            small = sum(gx.sum(value**2) for value in p.values())  # a gentle warp rather than a sharp one
            return gx.mean(gx.softplus(-y * score(p, X))) + 1e-3 * small

        p = stage.minimise(cost, initial, 500 if short else 2000, 0.05)
        right[score.__name__] = float(np.mean(gx.function([], score(p, gx.asarray(X)))() * y > 0))
        print(f"{score.__name__}: {right[score.__name__]:.1%} of the points on their side")
    grid = np.stack(np.meshgrid(np.linspace(-1.2, 1.2, 25), np.linspace(-1.2, 1.2, 25)), -1).reshape(-1, 2)
    determinants = folding(p, grid)
    print(f"determinants of the warp: {determinants.min():.2e} to {determinants.max():.2e}")
    assert right["warped"] == 1 > right["straight"]
    assert (np.sign(determinants) == np.sign(determinants[0])).all(), "the plane is bent but not folded"
    if plot:
        draw(plot, p, X, y, grid)
    return {**right, "smallest": np.abs(determinants).min()}


def draw(file: str, p, X: np.ndarray, y: np.ndarray, grid: np.ndarray) -> None:
    """The arcs and a grid, as they are and as the hidden layer sees them, with the line that separates."""
    x = gx.tensor("x", ("n", 2))
    move = gx.function([x], hidden(p, x))
    with stage.picture(file, columns=2) as axes:
        for ax, place in zip(axes, (lambda points: points, move)):
            lattice = place(grid).reshape(25, 25, 2)
            for lines in (lattice, lattice.swapaxes(0, 1)):
                ax.plot(lines[..., 0].T, lines[..., 1].T, color="0.8", linewidth=0.6)
            for sign, colour in ((-1, "tab:blue"), (1, "tab:red")):
                ax.plot(*place(X[y == sign]).T, color=colour, linewidth=2)
        axes[1].axline(-p["c"] * p["w"] / (p["w"] @ p["w"]), slope=-p["w"][0] / p["w"][1], color="black")
        axes[1].set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05))


if __name__ == "__main__":
    stage.run(main)

"""The primary visual cortex in a page: Gabor functions, a complex cell, reverse correlation, and a fit.

    python examples/gallery/gabor.py [--plot gabor.png]

A simple cell sees noise; its weights are recovered from what it said. A Gabor function with eight parameters is then fitted to them, and
to filters that k-means has learnt from patches of a photograph, by descending many beginnings at once. (Goodfellow et al. 9.10, equations
9.15 to 9.18)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import stage
from data import photograph

import graphc as gx

WIDTH = 11
PARAMETERS = ("alpha", "beta_x", "beta_y", "f", "phi", "x0", "y0", "tau")


def gabor(p: Any, width: int) -> Any:
    """w(x, y; alpha, beta_x, beta_y, f, phi, x0, y0, tau), equation 9.16, on a grid with the origin in its middle."""
    y, x = np.mgrid[:width, :width] - (width - 1) / 2
    alpha, beta_x, beta_y, f, phi, x0, y0, tau = p
    along = (x - x0) * gx.cos(tau) + (y - y0) * gx.sin(tau)
    across = -(x - x0) * gx.sin(tau) + (y - y0) * gx.cos(tau)
    return alpha * gx.exp(-beta_x * along**2 - beta_y * across**2) * gx.cos(f * along + phi)


def complex_cell() -> dict[str, float]:
    """sqrt(s0^2 + s1^2) of two simple cells a quarter wave apart answers a grating alike at every phase; each of them does not."""
    beta, f, tau, width = 0.01, 0.8, 0.4, 65
    cells = [gabor((1.0, beta, beta, f, phase, 0.0, 0.0, tau), width) for phase in (0.0, np.pi / 2)]
    phase = gx.vector("phase", "n")
    grating = gx.vmap(lambda shift: gabor((1.0, 0.0, 0.0, f, shift, 0.0, 0.0, tau), width))(phase)
    simple = [gx.sum(cell * grating, axis=(1, 2)) for cell in cells]
    respond = gx.function([phase], [simple[0], gx.sqrt(simple[0] ** 2 + simple[1] ** 2)])
    one, both = respond(np.linspace(0, 2 * np.pi, 16))
    np.testing.assert_allclose(both, 157.07830549, rtol=1e-9)
    centre = gabor((2.0, 0.1, 0.2, 1.0, 0.3, 0.0, 0.0, 0.5), 3)[1, 1].eval()
    np.testing.assert_allclose(centre, 1.910672978251212, rtol=1e-15)  # alpha cos(phi)
    return {"complex cell": float(both[0]), "swing of the complex cell": float(np.ptp(both)), "of a simple cell": float(np.ptp(one))}


def reverse_correlation(wanted: np.ndarray, trials: int) -> np.ndarray:
    """The weights of a linear cell from its answers to white noise: exactly, by least squares; roughly, by what noise excites it."""
    noise = np.random.default_rng(0).normal(size=(trials, wanted.size))
    x, s = gx.tensor("x", noise.shape), gx.tensor("s", (trials,))
    excites = gx.function([x, s], [gx.linalg.solve(x.T @ x, x.T @ s), x.T @ s / trials])
    exact, roughly = excites(noise, noise @ wanted.ravel())
    np.testing.assert_allclose(exact, wanted.ravel(), atol=1e-12)
    error = np.linalg.norm(roughly - exact) / np.linalg.norm(exact)
    assert 0.5 < error / np.sqrt(wanted.size / trials) < 1.5, "correlation alone has an error like 1 / sqrt(trials)"
    return exact.reshape(wanted.shape)


def fit(filters: np.ndarray, begins: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """(parameters of the best of some beginnings, share of the variance that they explain) for each filter, in one native call."""
    rng, count = np.random.default_rng(1), len(filters)
    start = rng.uniform([0.5, 0.02, 0.02, 0.3, -3, -2, -2, 0], [1.5, 0.2, 0.2, 1.5, 3, 2, 2, 3.1], (count, begins, 8))
    wanted = filters / np.abs(filters).max((1, 2), keepdims=True)
    p = gx.tensor("p", start.shape)
    drawn = gx.vmap(gx.vmap(lambda row: gabor(tuple(row[k] for k in range(8)), filters.shape[1])))(p)
    errors = gx.sum((drawn - wanted[:, None]) ** 2, axis=(2, 3)) / np.sum(wanted**2, axis=(1, 2))[:, None]
    slope = gx.grad(gx.sum(errors), p)
    adam = gx.optim.adam(lambda k: 0.03 * gx.minimum(1, 2 * (1 - k / steps)), b2=0.99)
    descend = lambda _, state: adam.update(gx.substitute(slope, {p: state[0]}), state[1], state[0])
    end, _ = gx.fori_loop(0, steps, descend, (p, adam.init(p)))
    found, left = gx.function([p], [end, gx.substitute(errors, {p: end})])(start)
    best = np.nanargmin(left, axis=1)
    return found[np.arange(count), best], 1 - left[np.arange(count), best]


def learnt_filters(count: int) -> np.ndarray:
    """Centres of k-means on whitened patches of the photograph: what a layer learns that sees one picture."""
    rng = np.random.default_rng(2)
    seen = np.lib.stride_tricks.sliding_window_view(photograph("float64"), (WIDTH, WIDTH)).reshape(-1, WIDTH**2)
    seen = seen[rng.permutation(len(seen))[:20_000]]
    seen = seen - seen.mean(1, keepdims=True)
    values, vectors = np.linalg.eigh(np.cov(seen.T) + 0.003 * np.eye(WIDTH**2))
    white = seen @ (vectors / np.sqrt(values)) @ vectors.T
    x = gx.asarray(white / np.linalg.norm(white, axis=1, keepdims=True))

    def turn(_: Any, centres: Any) -> Any:
        likeness = x @ centres.T
        chosen = gx.one_hot(gx.argmax(gx.abs(likeness), axis=1), count, dtype="float64") * gx.sign(likeness)
        moved = chosen.T @ x
        return moved / (gx.linalg.norm(moved, axis=1) + 1e-9)[:, None]

    return gx.function([], gx.fori_loop(0, 25, turn, x[:count]))().reshape(count, WIDTH, WIDTH)


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """The cells; when not short, the filters of the photograph as well."""
    found = complex_cell()
    cell = gabor((1.0, 0.08, 0.04, 1.1, 0.6, 0.7, -0.4, 0.9), WIDTH).eval()
    recovered = reverse_correlation(cell, 400 if short else 4000)
    _, explained = fit(recovered[None], 8 if short else 32, 150 if short else 1500)
    found["variance explained of a cell"] = float(explained[0])
    assert explained[0] > (0.9 if short else 1 - 1e-6)
    if not short:
        filters = learnt_filters(12)
        parameters, explained = fit(filters, 32, 1500)
        found["variance explained of learnt filters"] = float(np.median(explained))
        assert np.median(explained) > 0.7, "many learnt filters are much like Gabor functions"
        if plot:
            with stage.picture(plot, 2, 12, size=0.8) as axes:
                for column, (kernel, row) in enumerate(zip(filters, parameters)):
                    axes[0, column].imshow(kernel, cmap="gray")
                    axes[1, column].imshow(gabor(tuple(row), WIDTH).eval(), cmap="gray")
                for ax in axes.ravel():
                    ax.set_axis_off()
    for name, value in found.items():
        print(f"{name:38} {value:.9g}")
    return found


if __name__ == "__main__":
    stage.run(main)

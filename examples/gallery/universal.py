"""One hidden layer approximates any function: the more units the closer, for a row of a photograph, a sine and a step.

    python examples/gallery/universal.py --plot universal.png

The hidden units are squashing functions at drawn places and slopes; the output weights are solved for. Units are only ever added, so the
error cannot rise. That enough units exist is the theorem; that they may have to be many is what the photograph shows.
"""

from __future__ import annotations

import data
import numpy as np
import stage

import graphc as gx

WIDTHS = (1, 4, 16, 64, 256)


def squashed(x, places, slopes):
    """tanh(slope (x - place)) of every point x (n,) and unit: (n, units), and a column of ones."""
    return gx.concatenate([gx.ones((x.shape[0], 1)), gx.tanh(slopes * (x[:, None] - places))], axis=1)


def fitted(units: int):
    """(x, y, places, slopes) -> the best output of so many units, by least squares."""
    x, y = gx.tensor("x", ("n",)), gx.tensor("y", ("n",))
    places, slopes = gx.tensor("places", (units,)), gx.tensor("slopes", (units,))
    h = squashed(x, places, slopes)
    weights = gx.linalg.solve(h.T @ h + 1e-9 * gx.eye(units + 1), h.T @ y)
    return gx.function([x, y, places, slopes], h @ weights)


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """The root mean square error of each width for each function."""
    row = data.photograph("float64")[100]
    x = np.linspace(-1, 1, len(row))
    targets = {"photograph": row, "sine": np.sin(3 * np.pi * x), "step": (x > 0.3).astype(float)}
    widths = WIDTHS[:4] if short else WIDTHS
    rng = np.random.default_rng(0)
    places, slopes = rng.uniform(-1.1, 1.1, WIDTHS[-1]), rng.normal(size=WIDTHS[-1]) * 60
    fits = {name: [] for name in targets}
    for width in widths:
        f = fitted(width)
        for name, y in targets.items():
            fits[name].append(f(x, y, places[:width], slopes[:width]))
    figures = {}
    for name, y in targets.items():
        errors = [float(np.sqrt(np.mean((fit - y) ** 2))) for fit in fits[name]]
        print(f"{name:10s} " + "   ".join(f"{width} units {error:.4f}" for width, error in zip(widths, errors)))
        assert errors == sorted(errors, reverse=True) and errors[-1] < errors[0] / 2
        figures[name] = errors[-1]
    if plot:
        with stage.picture(plot, rows=3, size=3) as axes:
            for ax, (name, y) in zip(axes, targets.items()):
                ax.plot(x, y, color="0.7", linewidth=3, label=name)
                for width, fit in zip(widths, fits[name]):
                    ax.plot(x, fit, linewidth=1, label=f"{width}")
                ax.legend(fontsize="x-small")
    return figures


if __name__ == "__main__":
    stage.run(main)

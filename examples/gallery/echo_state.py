"""An echo state network: a recurrent net that nobody trained, and a readout solved for in one step.

    python examples/gallery/echo_state.py [--plot echo.png]

Where recurrent weights are small, two different beginnings end alike: the state is an echo of the input. Where they are large, neighbours
part: chaos. Between the two, 200 random units hold a chaotic signal well enough for a linear readout, found by ridge regression, to
foretell it, and then to run on its own output, where a linear model of 20 past values soon goes astray. The signal is that of Mackey and
Glass, a delayed equation integrated in the graph. (Goodfellow et al. 8.4: recurrent nets with large weights are chaotic; Jaeger and Haas
2004)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import stage

import graphc as gx

UNITS, WASHOUT, DELAY = 200, 100, 17


def mackey_glass(length: int) -> np.ndarray:
    """dx/dt = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x, by Euler's steps of 1/10; one value per unit of time, moved into (-1, 1)."""
    fine = 10

    def turn(past: Any, _: Any) -> tuple[Any, Any]:  # the values since t - 17, the newest last
        x, delayed = past[-1], past[0]
        new = x + (0.2 * delayed / (1 + delayed**10) - 0.1 * x) / fine
        return gx.concatenate([past[1:], new[None]]), new

    past = gx.full(DELAY * fine + 1, 1.2)
    _, path = gx.scan(turn, past, length=(length + 200) * fine)
    return np.tanh(gx.function([], path)()[200 * fine :: fine] - 1)


def reservoir(radius: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(input weights, sparse recurrent weights of that spectral radius)."""
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(UNITS, UNITS)) * (rng.random((UNITS, UNITS)) < 0.1)
    return rng.uniform(-0.5, 0.5, (2, UNITS)), W * radius / np.abs(np.linalg.eigvals(W)).max()


def update(h: Any, u: Any, enter: Any, W: Any) -> Any:
    """The next state from this one and a number; a constant 1 is the second input."""
    return gx.tanh(u * enter[0] + enter[1] + W @ h)


def build() -> tuple[gx.Function, gx.Function, gx.Function]:
    """(signal -> states; states and targets -> readout; state and readout -> what the net goes on to say by itself)."""
    u, h, enter, W = gx.vector("u", "n"), gx.vector("h", UNITS), gx.tensor("enter", (2, UNITS)), gx.tensor("W", (UNITS, UNITS))
    run = gx.function([u, h, enter, W], gx.scan(lambda h, u: (update(h, u, enter, W),) * 2, h, u)[1])
    H, y, ridge = gx.tensor("H", ("m", UNITS)), gx.vector("y", "m"), gx.scalar("ridge")
    fit = gx.function([H, y, ridge], gx.linalg.solve(H.T @ H + ridge * gx.eye(UNITS), H.T @ y))
    readout = gx.vector("readout", UNITS)

    def alone(h: Any, _: Any) -> tuple[Any, Any]:
        said = h @ readout
        return update(h, said, enter, W), said

    free = gx.function([h, readout, enter, W, gx.dim("steps")], gx.scan(alone, h, length="steps")[1])
    return run, fit, free


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """Echo and chaos, then the error of a step, beside that of autoregression, and of a hundred steps without a teacher."""
    run, fit, free = build()
    signal = mackey_glass(1000 if short else 4000)
    rng, found = np.random.default_rng(1), {}
    for radius in (0.5, 3.0):
        enter, W = reservoir(radius)
        start = rng.normal(size=UNITS)
        one, other = (run(signal[:300], h, enter, W) for h in (start, start + 1e-6 * rng.normal(size=UNITS)))
        found[f"distance at radius {radius}"] = float(np.linalg.norm(one[-1] - other[-1]))
    assert found["distance at radius 0.5"] < 1e-12 and found["distance at radius 3.0"] > 0.1

    enter, W = reservoir(0.95)
    cut = len(signal) - 400
    states = run(signal[:-1], np.zeros(UNITS), enter, W)
    out = fit(states[WASHOUT:cut], signal[WASHOUT + 1 : cut + 1], 1e-8)
    found["error of a step"] = float(np.std(states[cut:] @ out - signal[cut + 1 :]) / signal.std())
    lags = np.lib.stride_tricks.sliding_window_view(signal[:-1], 20)
    linear = np.linalg.lstsq(lags[: cut - 19], signal[20 : cut + 1], rcond=None)[0]
    found["of autoregression"] = float(np.std(lags[cut - 19 :] @ linear - signal[cut + 1 :]) / signal.std())
    past = list(signal[cut - 19 : cut + 1])
    for _ in range(100):
        past.append(past[-20:] @ linear)
    said, truth = free(states[cut], out, enter, W, 100), signal[cut + 1 : cut + 101]
    found["error of 100 steps alone"] = float(np.sqrt(np.mean((said - truth) ** 2)) / signal.std())
    found["of autoregression alone"] = float(np.sqrt(np.mean((past[20:] - truth) ** 2)) / signal.std())
    for name, value in found.items():
        print(f"{name:26} {value:.3g}")
    assert short or found["error of a step"] < found["of autoregression"]
    assert short or found["error of 100 steps alone"] < found["of autoregression alone"] / 5
    if plot:
        with stage.picture(plot) as ax:
            ax.plot(truth, label="signal")
            ax.plot(said, "--", label="net alone")
            ax.legend()
    return found


if __name__ == "__main__":
    stage.run(main)

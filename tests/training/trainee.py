"""A run of `fit` that can be killed: python -m tests.training.trainee CHECKPOINT RESULT PAUSE

Trains a small net with momentum and random noise, EPOCHS long, sleeps PAUSE seconds after every epoch, and writes all
state and the history to RESULT.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

import graphc as gx

EPOCHS, EVERY = 12, 3
ROWS = 50


Made = tuple[gx.Function, list[gx.Shared], tuple[np.ndarray, np.ndarray], list[np.ndarray]]


def built() -> Made:
    """(a step, all of its state, data, the state as it begins). The step draws noise: one draw more or less shows everywhere."""
    rng, noise = np.random.default_rng(3), gx.random.default_rng(4)
    p = gx.shared({"W": 0.3 * rng.standard_normal((4, 5)), "v": 0.3 * rng.standard_normal(5)}, "p")
    x, y = gx.tensor("x", ("n", 4)), gx.tensor("y", ("n",))
    loss = gx.mean((gx.tanh(x @ p["W"]) @ p["v"] - y + noise.normal(0, 0.1, y.shape)) ** 2)
    step = gx.function([x, y], loss, updates=gx.optim.momentum(0.05).updates(loss, p))
    state = [*[s for s, _ in step.updates], noise.state]
    images = rng.standard_normal((ROWS, 4))
    return step, state, (images, np.sin(images.sum(axis=1))), gx.get_values(state)


def run(checkpoint: str | None, pause: float = 0.0, epochs: int = EPOCHS, native: bool = False, made: Made | None = None) -> dict[str, Any]:
    """All state at the end, and the history; of a step that was made before, whose state begins again."""
    step, state, data, start = made or built()
    gx.set_values(state, start)
    slow = lambda record: time.sleep(pause)
    every = None if native or checkpoint is None else EVERY
    how: dict[str, Any] = {"checkpoint": checkpoint, "checkpoint_every": every, "native": native}
    fitted = gx.fit(step, data, epochs, batch_size=8, seed=5, callbacks=[slow], patience=50, **how)
    return {"state": gx.get_values(state), "history": np.array(fitted.history["loss"])}


if __name__ == "__main__":
    gx.save(sys.argv[2], run(sys.argv[1], float(sys.argv[3])))

"""A character model of Python: an LSTM reads the standard library's own sources, window by window, and then writes some of its own.

    python examples/char_rnn.py

The recurrence is a `scan`; its gradient is another one, backwards. The state of the cell goes from window to window as the state of the
compiled function, and so do the weights and the moments of Adam: training is one native call a window. Sampling is a scan as well,
whose carry is the last character.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import textwrap
import time
import typing
from typing import Any

import numpy as np

import graphc as gx

SOURCES = (argparse, ast, inspect, textwrap, typing)  # on every installation
HIDDEN, BATCH, WINDOW = 128, 32, 64
RATE, STEPS = 4e-3, 700


def corpus() -> tuple[np.ndarray, str]:
    """(the text as numbers of characters, the alphabet): all that is not plain ASCII is a question mark."""
    text = "".join(inspect.getsource(module) for module in SOURCES).encode("ascii", "replace").decode()
    alphabet = "".join(sorted(set(text)))
    number = {c: k for k, c in enumerate(alphabet)}
    return np.array([number[c] for c in text]), alphabet


def windows(text: np.ndarray) -> np.ndarray:
    """[window, turn, stream]: the text as BATCH streams, cut into windows that overlap by the character to predict."""
    length = (len(text) - 1) // BATCH
    streams = np.stack([text[k * length : (k + 1) * length + 1] for k in range(BATCH)], axis=1)
    return np.stack([streams[at : at + WINDOW + 1] for at in range(0, length - WINDOW + 1, WINDOW)])


def initial_parameters(characters: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights of scale 1 / sqrt(HIDDEN); the gate that forgets begins open."""
    rng = np.random.default_rng(seed)
    draw = lambda *shape: (rng.standard_normal(shape) / np.sqrt(HIDDEN)).astype("float32")
    bias = np.zeros(4 * HIDDEN, "float32")
    bias[HIDDEN : 2 * HIDDEN] = 1
    return {
        "read": draw(characters, 4 * HIDDEN),
        "recur": draw(HIDDEN, 4 * HIDDEN),
        "bias": bias,
        "write": draw(HIDDEN, characters),
        "prior": np.zeros(characters, "float32"),
    }


def cell(p: dict[str, Any], state: tuple[Any, Any], read: Any) -> tuple[Any, Any]:
    """The LSTM: state is (h, c), `read` what the character adds to the gates."""
    h, c = state
    gates = read + h @ p["recur"] + p["bias"]
    enter, forget, value, leave = (gates[..., k * HIDDEN : (k + 1) * HIDDEN] for k in range(4))
    c = gx.sigmoid(forget) * c + gx.sigmoid(enter) * gx.tanh(value)
    return gx.sigmoid(leave) * gx.tanh(c), c


def cross_entropy(p: dict[str, Any], state: tuple[Any, Any], text: Any) -> tuple[Any, tuple[Any, Any]]:
    """(mean -log probability of each next character in text[turn, stream], the state after the window)."""

    def turn(state: tuple[Any, Any], read: Any) -> tuple[tuple[Any, Any], Any]:
        h, c = cell(p, state, read)
        return (h, c), h

    state, hs = gx.scan(turn, state, gx.take(p["read"], text[:-1], axis=0))
    scores = gx.log_softmax(hs @ p["write"] + p["prior"])
    return -gx.mean(gx.take_along_axis(scores, text[1:, :, None], axis=2)), state


def build(initial: dict[str, np.ndarray]) -> tuple[gx.Function, gx.Function]:
    """(a step of training: window -> bits a character; the sampler: (noise, first character) -> characters)."""
    p = gx.shared(initial, "p")
    state = gx.shared(tuple(np.zeros((BATCH, HIDDEN), "float32") for _ in range(2)), "state")
    mean, square = gx.shared((gx.tree.map(np.zeros_like, initial),) * 2, "moments")
    count = gx.shared(np.float32(0), "count")

    text = gx.tensor("text", ("turns", BATCH), "int64")
    loss, after = cross_entropy(p, state, text)
    g = gx.grad(loss, p)
    now = count + 1
    m = gx.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, g)
    v = gx.tree.map(lambda v, g: 0.99 * v + 0.01 * g**2, square, g)
    rate = RATE * gx.sqrt(1 - 0.99**now) / (1 - 0.9**now)
    adam = gx.tree.map(lambda w, m, v: w - rate * m / (gx.sqrt(v) + 1e-6), p, m, v)
    step = gx.function([text], loss / np.float32(np.log(2)), updates=((p, state, mean, square, count), (adam, after, m, v, now)))

    noise, first = gx.tensor("noise", ("length", len(initial["prior"])), "float32"), gx.scalar("first", "int64")

    def write(carry: tuple[Any, Any], noise: Any) -> tuple[tuple[Any, Any], Any]:
        character, state = carry
        h, c = cell(p, state, gx.take(p["read"], character, axis=0))
        character = gx.argmax(h @ p["write"] + p["prior"] + noise)
        return (character, (h, c)), character

    silent = (gx.zeros(HIDDEN, "float32"),) * 2
    return step, gx.function([noise, first], gx.scan(write, (first, silent), noise)[1])


def main(steps: int = STEPS) -> tuple[list[float], str]:
    """Train, print bits a character and what the model writes; return both."""
    text, alphabet = corpus()
    data = windows(text)
    print(f"{len(text)} characters, {len(alphabet)} different ones: {np.log2(len(alphabet)):.2f} bits each if all were alike")
    start = time.perf_counter()
    step, sample = build(initial_parameters(len(alphabet)))
    print(f"compiled in {time.perf_counter() - start:.2f} s")
    start = time.perf_counter()
    bits = []
    for k in range(steps):
        bits.append(float(step(data[k % len(data)])))
        if (k + 1) % 100 == 0:
            took = time.perf_counter() - start
            print(f"step {k + 1:4d}   {np.mean(bits[-100:]):.3f} bits a character   {took:.1f} s")
    noise = np.random.default_rng(1).gumbel(size=(500, len(alphabet)))  # the largest of scores + Gumbel noise is a draw by the softmax
    written = "".join(alphabet[k] for k in sample((0.7 * noise).astype("float32"), alphabet.index("\n")))
    print(written)
    return bits, written


if __name__ == "__main__":
    main()

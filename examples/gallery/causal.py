"""A deep autoregressive model of text: causal convolutions, dilated by 1, 2, 4, .., with gates and skips, as WaveNet has them for sound.

    python examples/gallery/causal.py

Output t sees what came before it, exactly: the derivative by later characters is 0, and the receptive field doubles with every layer. On
Python's `random.py` it needs fewer bits a character than a table of which character follows which two. A linear model of the same kind,
fitted by descent to rows of a photograph, is the solution of the normal equations. (Russell and Norvig 22.7.1)
"""

from __future__ import annotations

import numpy as np
import stage
from data import photograph, text

import graphc as gx

CHANNELS, LAYERS, LENGTH = 32, 4, 64
REACH = 2**LAYERS  # characters that an output sees


def initial(symbols: int, seed: int = 0):
    """Parameters: an embedding, gated layers of kernel 2, two layers on the sum of their skips."""
    rng = np.random.default_rng(seed)
    make = lambda *shape: (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype("float32")
    layers = [{"gated": make(2 * CHANNELS, CHANNELS, 2), "out": make(CHANNELS, CHANNELS, 1)} for _ in range(LAYERS)]
    last = {"hidden": make(CHANNELS, CHANNELS, 1), "scores": make(symbols, CHANNELS, 1)}
    return {"embed": make(symbols, CHANNELS) * np.float32(5), "layers": layers, **last}


def causal(x, kernel, dilation: int):
    """The convolution in which nothing sees what follows it: (n, channels, t) -> the same, zeros in front."""
    return gx.nn.conv1d(gx.pad(x, ((0, 0), (0, 0), (dilation * (kernel.shape[-1] - 1), 0))), kernel, dilation=dilation)


def network(p, x):
    """Scores of the next symbol at every place: (n, channels, t) of embedded symbols -> (n, symbols, t)."""
    skips = 0.0
    for k, layer in enumerate(p["layers"]):
        both = causal(x, layer["gated"], 2**k)
        h = gx.nn.conv1d(gx.tanh(both[:, :CHANNELS]) * gx.sigmoid(both[:, CHANNELS:]), layer["out"])
        x, skips = x + h, skips + h
    return gx.nn.conv1d(gx.relu(gx.nn.conv1d(gx.relu(skips), p["hidden"])), p["scores"])


def embedded(p, ids):
    """(n, t) -> (n, channels, t)"""
    return gx.swapaxes(gx.take(p["embed"], ids, axis=0), 1, 2)


def receptive_field(p) -> tuple[int, float]:
    """How far back output 40 depends on inputs, and the largest derivative by later ones, which is 0."""
    x = gx.tensor("x", (1, CHANNELS, 48), "float32")
    slope = gx.grad(gx.sum(network(p, x)[0, :, 40]), x)
    seen = np.abs(gx.function([x], slope)(np.random.default_rng(1).normal(size=x.shape).astype("float32"))).max((0, 1))
    return 41 - int(np.flatnonzero(seen)[0]), float(seen[41:].max())


def bits_of_counts(ids: np.ndarray, test: np.ndarray, symbols: int) -> float:
    """Bits a character of a table of which character follows which two, each pair's counts filled up by those of the last one."""
    one, two = np.full((symbols, symbols), 0.02), np.zeros((symbols,) * 3)
    np.add.at(one, (ids[:-1], ids[1:]), 1)
    np.add.at(two, (ids[:-2], ids[1:-1], ids[2:]), 1)
    two += 2 * (one / one.sum(1, keepdims=True))
    return float(-np.mean(np.log2((two / two.sum(2, keepdims=True))[test[:-2], test[1:-1], test[2:]])))


def linear_model(lags: int) -> float:
    """x[t] from `lags` pixels before it, by the minimum of the squared error, less the normal equations' solution; relative."""
    rows = photograph("float64")[::8] - 0.5
    windows = np.lib.stride_tricks.sliding_window_view(rows, lags + 1, 1).reshape(-1, lags + 1)
    past, now = windows[:, :-1], windows[:, -1]
    cost = lambda w: gx.mean((gx.asarray(past) @ w - now) ** 2)
    found = gx.function([], gx.optim.minimize(cost, np.zeros(lags), method="bfgs", tol=1e-12))().x
    exact = np.linalg.lstsq(past, now, rcond=None)[0]
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def learn(ids: np.ndarray, symbols: int, steps: int):
    """State after so many steps on drawn pieces of the text, and a function from pieces to bits a character."""
    p, rng = gx.shared(initial(symbols)), np.random.default_rng(2)
    x, y = gx.tensor("x", ("n", "t"), "int64"), gx.tensor("y", ("n", "t"), "int64")
    loss = gx.nn.cross_entropy(network(p, embedded(p, x)), y, axis=1)
    opt = gx.optim.chain(gx.optim.clip_by_global_norm(1.0), gx.optim.adamw(2e-3, weight_decay=0.03))
    step = gx.function([x, y], loss, updates=opt.updates(loss, p))
    for _ in range(steps):
        at = rng.integers(0, len(ids) - LENGTH - 1, 16)[:, None] + np.arange(LENGTH)
        step(ids[at], ids[at + 1])
    return p, gx.function([x, y], loss / np.float32(np.log(2)))


def write(p, start: np.ndarray, count: int):
    """Characters drawn one after the other, in one native call: a scan whose carry is what the net can see."""
    rng = gx.random.default_rng(3)

    def turn(seen, _):
        new = rng.categorical(network(p, embedded(p, seen[None]))[0, :, -1])
        return gx.concatenate([seen[1:], new[None]]), new

    return gx.function([], gx.scan(turn, gx.asarray(start), length=count)[1])()


def main(short: bool = False) -> dict[str, float]:
    """The linear model; what an output sees; then learn a text, and write."""
    apart = linear_model(4 if short else 8)
    print(f"linear model of pixel rows: the normal equations' solution but for {apart:.0e}")
    assert apart < 1e-8
    prose = text()
    alphabet = sorted(set(prose))
    ids = np.array([alphabet.index(c) for c in prose])
    reach, later = receptive_field(initial(len(alphabet)))
    print(f"an output sees {reach} characters of {LAYERS} layers; its derivative by later ones is {later:.0f}")
    assert reach == REACH and later == 0
    cut = len(ids) * 9 // 10
    p, bits = learn(ids[:cut], len(alphabet), 60 if short else 300)  # longer, it knows the text by heart
    test = ids[cut : cut + (len(ids) - cut - 1) // LENGTH * LENGTH + 1]
    found = float(bits(test[:-1].reshape(-1, LENGTH), test[1:].reshape(-1, LENGTH)))
    counts = bits_of_counts(ids[:cut], test, len(alphabet))
    print(f"unseen text: {found:.3f} bits a character, a table of three characters {counts:.3f}, of all alike {np.log2(len(alphabet)):.3f}")
    assert found < (0.75 * np.log2(len(alphabet)) if short else counts)
    if not short:
        print("".join(alphabet[k] for k in write(p, ids[:REACH], 300)))
    return {"apart": apart, "reach": reach, "later": later, "bits": found, "counts": counts}


if __name__ == "__main__":
    stage.run(main)

"""An attention classifier: eight rows of a digit look at one another, then one question is asked of them all.

    python examples/gallery/attention.py [--plot attention.png]

Weights are softmax(q k / sqrt(d)): non-negative, of sum 1, a lookup that is differentiable. Without the numbers of the rows the answer
cannot depend on their order, and indeed is the same for every shuffle; with them it does, and reads better. A mask hides rows as if they
were not there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import stage
from data import digits

import graphc as gx

ROWS, WIDTH, HEADS = 8, 32, 4


def initial(places: bool, seed: int = 0) -> dict[str, np.ndarray]:
    """Rows to tokens, perhaps the numbers of rows, queries, keys and values of the two attentions, the question, and the classifier."""
    rng = np.random.default_rng(seed)
    shapes = {"enter": (8, WIDTH), "qkv": (3, WIDTH, WIDTH), "mix": (WIDTH, WIDTH), "ask": (1, WIDTH), "kv": (2, WIDTH, WIDTH)}
    if places:
        shapes["place"] = (ROWS, WIDTH)
    p = {name: rng.normal(size=shape) / np.sqrt(shape[-2] if name != "ask" else 1) for name, shape in shapes.items()}
    return p | {"leave": rng.normal(size=(WIDTH, 10)) / 6, "b": np.zeros(10)}


def heads(x: Any) -> Any:
    """(n, tokens, WIDTH) -> (n, HEADS, tokens, WIDTH / HEADS)."""
    n, tokens, _ = x.shape
    return gx.transpose(x.reshape((n, tokens, HEADS, WIDTH // HEADS)), (0, 2, 1, 3))


def attend(q: Any, k: Any, v: Any, seen: Any) -> tuple[Any, Any]:
    """(values mixed by weights, the weights): softmax over the tokens that are seen (n, tokens)."""
    scores = q @ gx.swapaxes(k, -1, -2) / np.sqrt(WIDTH / HEADS)
    weights = gx.softmax(gx.where(seen[:, None, None, :], scores, -1e9), axis=-1)
    mixed = gx.transpose(weights @ v, (0, 2, 1, 3))
    return mixed.reshape((mixed.shape[0], mixed.shape[1], WIDTH)), weights


def scores(p: Any, x: Any, seen: Any) -> tuple[Any, Any]:
    """(scores of ten digits, weights of the question) of images whose rows are tokens."""
    x = x @ p["enter"] + p.get("place", 0)
    mixed, _ = attend(*(heads(x @ p["qkv"][k]) for k in range(3)), seen)
    x = x + gx.tanh(mixed @ p["mix"])
    question = gx.broadcast_to(p["ask"][None], (x.shape[0], 1, WIDTH))
    answer, weights = attend(heads(question), *(heads(x @ p["kv"][k]) for k in range(2)), seen)
    return gx.tanh(answer[:, 0]) @ p["leave"] + p["b"], weights


def train(places: bool, epochs: int) -> tuple[Callable[..., list[np.ndarray]], float]:
    """(images, seen -> scores and weights; accuracy on held-out digits)"""
    images, labels, test, answers = digits("float64")
    images, test = images.reshape(-1, ROWS, 8), test.reshape(-1, ROWS, 8)
    params, rng = gx.shared(initial(places)), np.random.default_rng(1)
    x, y, seen = gx.tensor("x", ("n", ROWS, 8)), gx.tensor("y", ("n",), "int64"), gx.tensor("seen", ("n", ROWS), "bool")
    logits, weights = scores(params, x, seen)
    loss = gx.nn.cross_entropy(logits, y)
    step = gx.function([x, y, seen], loss, updates=gx.optim.adam(0.005).updates(loss, params))
    look = lambda images, seen_rows: [out.eval({x: images, seen: seen_rows}) for out in (logits, weights)]
    for _ in range(epochs):
        for part in stage.minibatches(rng, len(labels), 64):
            step(images[part], labels[part], np.ones((len(part), ROWS), bool))
    return look, float(np.mean(look(test, np.ones((len(test), ROWS), bool))[0].argmax(axis=1) == answers))


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """Train without the numbers of rows (when short, this alone) and with them; shuffle, hide, and look where it looks."""
    test = digits("float64")[2].reshape(-1, ROWS, 8)
    everything, found = np.ones((len(test), ROWS), bool), {}
    rng = np.random.default_rng(3)
    order = rng.permutation(ROWS)
    for name in ["a set of rows"] if short else ["a set of rows", "a sequence of rows"]:
        look, accuracy = train(name == "a sequence of rows", 4 if short else 40)
        logits, weights = look(test, everything)
        moved = float(np.abs(look(test[:, order], everything)[0] - logits).max())
        np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-12)
        some = everything.copy()
        some[:, 6:] = False
        strange = test.copy()
        strange[:, 6:] = rng.normal(size=strange[:, 6:].shape)
        np.testing.assert_allclose(look(strange, some)[0], look(test, some)[0], rtol=1e-10)  # what is hidden does not count
        print(f"{name:18} {accuracy:7.2%} right; a shuffle of the rows moves scores by {moved:.1e}")
        found |= {name: accuracy, f"{name}: moved by a shuffle": moved}
    assert found["a set of rows: moved by a shuffle"] < 1e-10 and found["a set of rows"] > (0.4 if short else 0.8)
    if not short:
        assert found["a sequence of rows"] > found["a set of rows"] and found["a sequence of rows: moved by a shuffle"] > 1
    if plot:
        with stage.picture(plot, 2, 8, size=1) as axes:
            for k, (above, below) in enumerate(axes.T):
                above.imshow(test[k], cmap="gray")
                below.imshow(weights[k, :, 0].T, cmap="gray", vmin=0)  # rows down, heads across
                above.set_axis_off()
                below.set_axis_off()
    return found


if __name__ == "__main__":
    stage.run(main)

"""A net like VGG: blocks of convolution, batch norm, rectifier and pooling; pictures are turned and moved in the graph, on the way in.

    python examples/gallery/vgg.py

The textbook's net of eleven layers is built at full size, to count its weights and products; one of the same make, for digits of 8 x 8
pixels, is trained. Every call draws its own rotations and shifts. Training and inference are two graphs of one model, and for inference
batch norm is folded into the convolutions: same answers, fewer operations. (Leskovec et al. 13.4.4 and 13.6.4, Goodfellow et al. 8.7.1)
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import stage
from data import digits

import graphc as gx

Params = dict[str, Any]


def full_size() -> dict[str, float]:
    """Figure 13.11 with its row 7 corrected: 224 x 224 colour pixels, five times convolution and pooling, 1000 classes."""
    x, weights, products = gx.tensor("x", (1, 3, 224, 224), "float32"), 0, 0
    for k, (inward, outward) in enumerate(pairwise((3, 64, 128, 256, 512, 1024))):
        p = gx.tensor(f"w{k}", (outward, inward, 3, 3), "float32"), gx.tensor(f"b{k}", (outward,), "float32")
        x = gx.nn.conv2d(x, *p, padding="same")
        weights, products = weights + sum(w.size for w in p), products + x.size * 9 * inward
        x = gx.nn.max_pool2d(gx.relu(x), 2)
    assert x.shape == (1, 1024, 7, 7)
    weights, products = weights + (x.size + 1) * 1000, products + x.size * 1000
    assert weights == 56_447_592 and products == 3_836_256_256
    return {"weights at full size": weights, "products at full size": products}


def initial(channels: tuple[int, ...], seed: int = 0) -> tuple[Params, Params]:
    """(weights, running statistics) of a block for each step from 1 through the channels, and of the last layer."""
    rng, blocks = np.random.default_rng(seed), list(pairwise((1, *channels)))
    p: Params = {f"conv{k}": gx.nn.init.conv(rng, *sizes, (3, 3)) for k, sizes in enumerate(blocks)}
    p |= {f"norm{k}": gx.nn.init.batch_norm(outward) for k, (_, outward) in enumerate(blocks)}
    p["last"] = gx.nn.init.dense(rng, channels[-1], 10)
    state = {f"norm{k}": gx.nn.init.batch_norm_state(outward) for k, (_, outward) in enumerate(blocks)}
    return gx.tree.map(np.float32, (p, state))


def network(p: Params, state: Params | None, x: Any, training: bool = False) -> tuple[Any, Params]:
    """(scores of ten digits, running statistics after a batch); without a state there is no batch norm left to do."""
    h, after = x[:, None], {}
    for k in range(sum(name.startswith("conv") for name in p)):
        h = gx.nn.conv_layer(p[f"conv{k}"], h, padding="same")
        if state is not None:
            h, after[f"norm{k}"] = gx.nn.batch_norm(p[f"norm{k}"], state[f"norm{k}"], h, training=training)
        h = gx.nn.max_pool2d(gx.relu(h), 2)
    return gx.nn.dense(p["last"], gx.mean(h, axis=(2, 3))), after


def moved(x: Any, angle: Any, down: Any, right: Any) -> Any:
    """Images (n, h, w) turned about their centres and shifted, each by its own angle and distances, bilinearly."""
    n, height, width = x.shape
    y0, x0 = (height - 1) / 2, (width - 1) / 2
    rows, columns = (gx.asarray(a.astype("float32")) for a in np.mgrid[:height, :width] - np.float32([[[y0]], [[x0]]]))
    cos, sin = gx.cos(angle)[:, None, None], gx.sin(angle)[:, None, None]
    source = [cos * rows + sin * columns + y0 - down[:, None, None], cos * columns - sin * rows + x0 - right[:, None, None]]
    low = [gx.floor(s) for s in source]
    part = [s - a for s, a in zip(source, low)]
    wide = gx.pad(x, ((0, 0), (1, 1), (1, 1)))  # a frame of zeros; what lies outside is read from it
    image = gx.arange(n)[:, None, None]
    at = lambda i, j: wide[
        image,
        gx.clip(low[0] + (i + 1), 0, height + 1).astype("int64"),
        gx.clip(low[1] + (j + 1), 0, width + 1).astype("int64"),
    ]
    top, bottom = (at(i, 0) * (1 - part[1]) + at(i, 1) * part[1] for i in (0, 1))
    return top * (1 - part[0]) + bottom * part[0]


def quarter_turns(images: np.ndarray) -> dict[str, float]:
    """Turned by nothing, a picture is itself; by quarters, what NumPy makes of it."""
    x, angle = gx.tensor("x", ("n", 8, 8), "float32"), gx.vector("angle", "n", "float32")
    still = gx.zeros(x.shape[0], "float32")
    turned = moved(x, angle, still, still)
    f = lambda quarters: turned.eval({x: images, angle: np.full(len(images), quarters * np.pi / 2, "float32")})
    errors = [np.abs(f(k) - np.rot90(images, k, (1, 2))).max() for k in range(5)]
    assert errors[0] == 0 and max(errors) < 1e-5
    return {"error of four quarter turns": float(errors[4])}


def main(short: bool = False) -> dict[str, float]:
    """Counts, turns, training with batch norm and augmentation, and the folded net."""
    images, labels, test, answers = (part.reshape(-1, 8, 8) if part.ndim == 2 else part for part in digits())
    found = full_size() | quarter_turns(images[:50])
    start, statistics = initial((16,) if short else (16, 32, 64))
    p, state, noise, rate = gx.shared(start), gx.shared(statistics), gx.random.default_rng(0), gx.scalar("rate", "float32")
    x, y = gx.tensor("x", ("n", 8, 8), "float32"), gx.tensor("y", ("n",), "int64")
    draw = lambda reach: noise.uniform(-reach, reach, x.shape[0], dtype="float32")
    scores, after = network(p, state, moved(x, draw(0.2), draw(0.7), draw(0.7)), training=True)
    loss = gx.nn.cross_entropy(scores, y)
    statistics = list(zip(gx.tree.leaves(state), gx.tree.leaves(after)))
    step = gx.function([x, y, rate], loss, updates=[*gx.optim.adam(rate).updates(loss, p), *statistics])
    folded = {f"conv{k}": gx.nn.fold_batch_norm(p[f"conv{k}"], p[f"norm{k}"], state[f"norm{k}"]) for k in range(len(statistics) // 2)}
    infer = gx.function([x], [network(p, state, x)[0], network(folded | {"last": p["last"]}, None, x)[0]])
    rng, epochs, losses = np.random.default_rng(1), 4 if short else 40, []
    for epoch in range(epochs):
        for part in stage.minibatches(rng, len(labels), 64):
            losses.append(float(step(images[part], labels[part], 0.004 * min(1.0, 2 * (1 - epoch / epochs)))))
    one, other = infer(test)
    np.testing.assert_allclose(one, other, atol=1e-3)
    found["right"] = float(np.mean(one.argmax(axis=1) == answers))
    for name, value in found.items():
        print(f"{name:28} {value:.10g}")
    assert losses[-1] < losses[0] and found["right"] > (0.2 if short else 0.985)
    return found


if __name__ == "__main__":
    stage.run(main)

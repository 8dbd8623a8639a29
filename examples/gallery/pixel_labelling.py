"""A label for every pixel, refined step by step by one recurrent convolutional net.

    python examples/gallery/pixel_labelling.py [--plot labels.png]

Two real digits lie anywhere in a noisy scene; each pixel is to say which digit it belongs to, or none. The same kernels U, V and W refine
a guess again and again, so a pixel comes to see farther with every step, and one compiled function makes as many steps as a call asks
for. (Goodfellow et al. 9.6, figure 9.17)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import stage
from data import digits

import graphc as gx

HEIGHT, WIDTH, MAPS, NONE = 12, 20, 32, 10


def scenes(images: np.ndarray, labels: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(pixels, labels of pixels): a digit in each half of a scene, some noise, and label 10 where there is no ink."""
    pixels, wanted = np.zeros((count, HEIGHT, WIDTH), "float32"), np.full((count, HEIGHT, WIDTH), NONE)
    for scene, truth in zip(pixels, wanted):
        for half in (0, 10):
            k, top, left = rng.integers(len(images)), rng.integers(5), half + rng.integers(3)
            ink = images[k].reshape(8, 8)
            scene[top : top + 8, left : left + 8] = ink
            truth[top : top + 8, left : left + 8][ink > 0.3] = labels[k]
    return pixels + 0.1 * rng.normal(size=pixels.shape).astype("float32"), wanted


def initial(seed: int = 0) -> dict[str, np.ndarray]:
    """U reads the image, W the guess of the step before, V writes the scores of 11 labels."""
    rng = np.random.default_rng(seed)
    shapes = {"U": (MAPS, 1, 5, 5), "W": (MAPS, NONE + 1, 5, 5), "V": (NONE + 1, MAPS, 3, 3)}
    p = {name: (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype("float32") for name, shape in shapes.items()}
    return p | {"b": np.zeros((MAPS, 1, 1), "float32"), "c": np.zeros((NONE + 1, 1, 1), "float32")}


def same(x: Any, kernel: Any) -> Any:
    return gx.nn.conv2d(x, kernel, padding="same")


def refine(p: Any, image: Any, guess: Any) -> Any:
    """One step: the probabilities of labels, (n, 11, height, width), from the image and from the guess before."""
    h = gx.relu(same(image[:, None], p["U"]) + same(guess, p["W"]) + p["b"])
    return gx.softmax(same(h, p["V"]) + p["c"], axis=1)


def nothing(image: Any) -> Any:
    """The guess before the first step: zeros."""
    n, height, width = image.shape
    return gx.zeros((n, NONE + 1, height, width), "float32")


def labelled(p: Any, image: Any, steps: Any) -> Any:
    """The probabilities after each of so many steps: a scan."""
    return gx.scan(lambda guess, _: (refine(p, image, guess),) * 2, nothing(image), length=steps)[1]


def build(steps: int) -> tuple[gx.Function, gx.Function]:
    """(a step of training by Adam, with a cost after every refinement; images and number of refinements -> probabilities)."""
    params, rate = gx.shared(initial()), gx.scalar("rate", "float32")
    image, wanted = gx.tensor("image", ("n", HEIGHT, WIDTH), "float32"), gx.tensor("wanted", ("n", HEIGHT, WIDTH), "int64")
    guesses = labelled(params, image, steps)
    loss = -gx.mean(gx.log(gx.take_along_axis(guesses, gx.broadcast_to(wanted[None, :, None], guesses[:, :, :1].shape), axis=2)))
    train = gx.function([image, wanted, rate], loss, updates=gx.optim.adam(rate, b2=0.99).updates(loss, params))
    turns = gx.dim("turns")
    refined, once = labelled(params, image, turns), refine(params, image, nothing(image))
    return train, gx.function([image, turns], [refined, gx.max(gx.abs(refined[0] - once))])


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """Train on scenes that are drawn anew for every step, then count right labels among the inked pixels of unseen digits."""
    images, labels, test, answers = digits()
    rng = np.random.default_rng(1)
    train, label = build(steps=2 if short else 5)
    losses = []
    for k in range(6 if short else 600):
        drawn = scenes(images, labels, 16, rng)
        losses.append(float(train(*drawn, 0.005 if k < 400 else 0.001)))
    pixels, wanted = scenes(test, answers, 20 if short else 200, rng)
    turns = 2 if short else 7
    guesses, difference = label(pixels, turns)
    assert difference < 1e-6, "the first refinement is the plain net without memory"
    np.testing.assert_allclose(guesses.sum(axis=2), 1, rtol=1e-5)
    ink = wanted != NONE
    right = [float(np.mean((g.argmax(axis=1) == wanted)[ink])) for g in guesses]
    print(f"loss {losses[0]:.3f} -> {np.mean(losses[-20:]):.3f}; right labels of inked pixels after each refinement:")
    print("  ".join(f"{r:.1%}" for r in right))
    assert losses[-1] < losses[0] and (short or (right[4] > right[0] + 0.1 and right[4] > 0.8))
    if plot:
        with stage.picture(plot, 3, 1) as axes:
            for ax, shown in zip(axes, (pixels[0], guesses[0, 0].argmax(axis=0), guesses[-1, 0].argmax(axis=0))):
                ax.imshow(shown, cmap="tab20" if shown.dtype == "int64" else "gray", vmax=NONE if shown.dtype == "int64" else None)
                ax.set_axis_off()
    return {"after one refinement": right[0], "after the last": right[-1]}


if __name__ == "__main__":
    stage.run(main)

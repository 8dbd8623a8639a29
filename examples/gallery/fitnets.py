"""FitNets: a deep thin student that learns by hints, what it alone cannot.

    python examples/gallery/fitnets.py

The teacher has three wide layers, the student eleven thin ones, too deep to train from scratch. First the student's lower half learns
to say what the teacher's hidden layer says, through a regressor that is thrown away afterwards; then the whole student learns the labels.
The teacher is given: what it says is a constant for the gradient.
"""

from __future__ import annotations

import data
import numpy as np
import stage

import graphc as gx

THIN, WIDE = 16, 128
LOWER, UPPER = 4, 5  # layers of the student after its first that hints reach, and above them


def layer(p, x):
    """A layer of tanh units."""
    return gx.tanh(x @ p["W"] + p["b"])


def teacher(p, x):
    """Scores of a wide network of three layers."""
    return layer(p["second"], layer(p["first"], x)) @ p["out"]["W"] + p["out"]["b"]


def lower(p, x):
    """The student's lower half: a layer, and more as a scan over stacked weights."""
    return gx.scan(lambda h, q: (layer(q, h), None), layer(p["first"], x), p["lower"])[0]


def student(p, x):
    """Scores of a thin network of eleven layers."""
    h, _ = gx.scan(lambda h, q: (layer(q, h), None), lower(p, x), p["upper"])
    return h @ p["out"]["W"] + p["out"]["b"]


def stacked(rng: np.random.Generator, layers: int) -> dict[str, np.ndarray]:
    """Small weights of so many thin layers, one above the other."""
    return {"W": (rng.normal(size=(layers, THIN, THIN)) / 2 / np.sqrt(THIN)).astype("float32"), "b": np.zeros((layers, THIN), "float32")}


def guidance(s, t, regressor) -> gx.Function:
    """A step pictures -> (error, the teacher's gradients): the student's lower half learns to say, through the regressor, the hint."""
    x = gx.tensor("x", ("n", 64), "float32")
    hint = gx.stop_gradient(layer(t["first"], x))
    error = gx.mean((lower(s, x) @ regressor["W"] + regressor["b"] - hint) ** 2)
    trained = {"first": s["first"], "lower": s["lower"], "regressor": regressor}
    updates = gx.optim.adam(2e-3).updates(error, trained)
    return gx.function([x], [error, gx.grad(error, t["first"])], updates=updates)


def main(short: bool = False) -> dict[str, float]:
    """Train the teacher, then two students with the same start: one alone and one with hints."""
    images, labels, test_images, test_labels = data.digits()
    rng = np.random.default_rng(0)
    wide = {"first": stage.dense(rng, 64, WIDE), "second": stage.dense(rng, WIDE, WIDE), "out": stage.dense(rng, WIDE, 10)}
    thin = {
        "first": stage.dense(rng, 64, THIN),
        "lower": stacked(rng, LOWER),
        "upper": stacked(rng, UPPER),
        "out": stage.dense(rng, THIN, 10),
    }
    t, step = stage.classifier(teacher, wide, gx.optim.adam(2e-3))
    stage.epochs(step, (images, labels), 4 if short else 20)
    figures = {"teacher": stage.accuracy(teacher, t, test_images, test_labels)}

    epochs = 15 if short else 30
    for name in ("alone", "with hints"):
        s, step = stage.classifier(student, thin, gx.optim.adam(2e-3))
        if name == "with hints":
            guide = guidance(s, t, gx.shared(stage.dense(rng, THIN, WIDE)))
            errors = stage.epochs(lambda batch, guide=guide: guide(batch)[0], (images,), epochs)
            assert not any(slope.any() for slope in guide(images[:10])[1].values()), "no gradient reaches the teacher"
            print(f"hints: squared error {errors[0]:.3f} -> {errors[-1]:.3f}")
        losses = stage.epochs(step, (images, labels), epochs)
        figures[name] = stage.accuracy(student, s, test_images, test_labels)
        print(f"student {name}: loss {losses[-1]:.3f}, test accuracy {figures[name]:.1%}")
    weights = [sum(a.size for a in gx.tree.leaves(p)) for p in (wide, thin)]
    print(f"teacher: {figures['teacher']:.1%} with {weights[0]} weights; the student has {weights[1]}")
    assert figures["with hints"] > figures["alone"] + (0.05 if short else 0.1)
    return figures


if __name__ == "__main__":
    stage.run(main)

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

THIN, WIDE, LAYERS, GUIDED = 12, 128, 10, 5


def layers(p, x):
    """Layer after layer of tanh units."""
    for layer in p:
        x = gx.tanh(x @ layer["W"] + layer["b"])
    return x


def linear(p, x):
    """A layer without a nonlinearity."""
    return x @ p["W"] + p["b"]


def teacher(p, x):
    """Scores of a wide network of three layers."""
    return linear(p["out"], layers(p["hidden"], x))


def student(p, x):
    """Scores of a thin network of eleven layers."""
    return linear(p["out"], layers(p["hidden"], x))


def main(short: bool = False) -> dict[str, float]:
    """Train the teacher, then two students with the same start: one alone and one with hints."""
    images, labels, test_images, test_labels = data.digits()
    rng = np.random.default_rng(0)
    wide = {"hidden": [stage.dense(rng, 64, WIDE), stage.dense(rng, WIDE, WIDE)], "out": stage.dense(rng, WIDE, 10)}
    thin = {"hidden": [stage.dense(rng, n, THIN, gain=0.5) for n in (64, *[THIN] * (LAYERS - 1))], "out": stage.dense(rng, THIN, 10)}
    adam = gx.optim.adam(2e-3)

    t, step = stage.classifier(teacher, wide, adam)
    stage.epochs(step, (images, labels), 4 if short else 20)
    figures = {"teacher": stage.accuracy(teacher, t, test_images, test_labels)}

    epochs = 15 if short else 30
    for name in ("alone", "with hints"):
        s, step = stage.classifier(student, thin, adam)
        if name == "with hints":
            regressor = gx.shared(stage.dense(rng, THIN, WIDE))
            x = gx.tensor("x", ("n", 64), "float32")
            hint = gx.stop_gradient(layers(t["hidden"][:1], x))
            said = linear(regressor, layers(s["hidden"][:GUIDED], x))
            loss = gx.mean((said - hint) ** 2)
            trained = {"lower": s["hidden"][:GUIDED], "regressor": regressor}
            guide = gx.function([x], [loss, *gx.tree.leaves(gx.grad(loss, t["hidden"][0]))], updates=adam.updates(loss, trained))
            losses = stage.epochs(lambda batch, guide=guide: guide(batch)[0], (images,), epochs)
            assert not any(slope.any() for slope in guide(images[:10])[1:]), "no gradient reaches the teacher"
            print(f"hints: squared error {losses[0]:.3f} -> {losses[-1]:.3f}")
        losses = stage.epochs(step, (images, labels), epochs)
        figures[name] = stage.accuracy(student, s, test_images, test_labels)
        print(f"student {name}: loss {losses[-1]:.3f}, test accuracy {figures[name]:.1%}")
    weights = [sum(a.size for a in gx.tree.leaves(p)) for p in (wide, thin)]
    print(f"teacher: {figures['teacher']:.1%} with {weights[0]} weights; the student has {weights[1]}")
    assert figures["with hints"] > figures["alone"] + (0.05 if short else 0.1)
    return figures


if __name__ == "__main__":
    stage.run(main)

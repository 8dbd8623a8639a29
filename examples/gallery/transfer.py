"""Transfer: a trunk that has learnt one task, frozen, learns another from a few pictures. It helps where the tasks share what matters.

    python examples/gallery/transfer.py

Freezing is leaving parameters out of the gradient: nothing of the backward pass below the new head is built, so the step is cheaper as
well, and the frozen weights keep every bit. Whoever tells ten digits apart knows almost all about odd and even; whoever tells 0 to 4 apart
knows too little about 5 to 9, and a new network does better.
"""

from __future__ import annotations

import data
import numpy as np
import stage

import graphc as gx

HIDDEN = 64


def trunk(p, x):
    """Two layers: of rectifiers, and of scores."""
    h = gx.relu(x @ p[0]["W"] + p[0]["b"])
    return h @ p[1]["W"] + p[1]["b"]


def headed(p, x):
    """Scores of a new task, from the probabilities that the trunk gives to the classes of its own."""
    return gx.softmax(trunk(p["trunk"], x)) @ p["head"]["W"] + p["head"]["b"]


def initial(seed: int, between: int, outputs: int) -> dict:
    """A trunk with so many scores, and a head."""
    rng = np.random.default_rng(seed)
    return {"trunk": [stage.dense(rng, 64, HIDDEN), stage.dense(rng, HIDDEN, between)], "head": stage.dense(rng, between, outputs)}


def training(scores, trained) -> gx.Function:
    """A step (pictures, classes) -> loss that moves `trained`, some of the parameters of `scores`."""
    x, y = gx.tensor("x", ("n", 64), "float32"), gx.tensor("y", ("n",), "int64")
    loss = gx.nn.cross_entropy(scores(x), y)
    return gx.function([x, y], loss, updates=gx.optim.adam(2e-2).updates(loss, trained))


def few(labels: np.ndarray, count: int) -> np.ndarray:
    """The places of the first `count` pictures of each label."""
    return np.concatenate([np.flatnonzero(labels == k)[:count] for k in np.unique(labels)])


def transferred(source, target, test, outputs: int, short: bool) -> dict[str, float]:
    """Learn the source task; then the target from few pictures, with the trunk frozen and from scratch: test accuracies.

    source, target, test: (pictures, labels).
    """
    between = int(source[1].max()) + 1
    before = gx.shared(initial(0, between, outputs)["trunk"])
    stage.epochs(training(lambda x: trunk(before, x), before), source, 5 if short else 30)
    learnt = gx.get_values(before)
    figures, products = {}, {}
    for name in ("frozen", "scratch"):
        p = gx.shared(initial(1, between, outputs))
        if name == "frozen":
            gx.set_values(p["trunk"], learnt)
        step = training(lambda x, p=p: headed(p, x), p["head"] if name == "frozen" else p)
        stage.epochs(step, target, 100 if short else 500)
        figures[name] = stage.accuracy(headed, p, *test)
        products[name] = step.graph.count("= contract(")
        if name == "frozen":
            for now, then in zip(gx.tree.leaves(gx.get_values(p["trunk"])), gx.tree.leaves(learnt)):
                np.testing.assert_array_equal(now, then)
    assert products == {"frozen": 4, "scratch": 8}  # there 3; back 1, or one for each weight and one for each layer between
    return figures


def main(short: bool = False) -> dict[str, float]:
    """From ten digits to odd and even; from 0 to 4 to 5 to 9."""
    images, labels, test_images, test_labels = data.digits()
    half = len(images) // 2
    new_images, new_labels = images[half:], labels[half:]
    chosen = few(new_labels, 2)
    target = new_images[chosen], new_labels[chosen] % 2
    parity = transferred((images[:half], labels[:half]), target, (test_images, test_labels % 2), 2, short)
    print(f"odd or even, from {len(chosen)} pictures: frozen trunk {parity['frozen']:.1%}, from scratch {parity['scratch']:.1%}")
    print("the frozen weights kept every bit, and a step takes 4 matrix products instead of 8")
    assert parity["frozen"] > parity["scratch"] + 0.05

    figures = {f"parity, {name}": value for name, value in parity.items()}
    if short:
        return figures

    low, high, test_high = labels < 5, labels >= 5, test_labels >= 5
    pictures, classes = images[high], labels[high] - 5
    chosen = few(classes, 5)
    test = test_images[test_high], test_labels[test_high] - 5
    digits = transferred((images[low], labels[low]), (pictures[chosen], classes[chosen]), test, 5, short)
    print(f"5 to 9, from {len(chosen)} pictures, after 0 to 4: frozen trunk {digits['frozen']:.1%}, from scratch {digits['scratch']:.1%}")
    assert digits["frozen"] < digits["scratch"]
    return figures | {f"digits, {name}": value for name, value in digits.items()}


if __name__ == "__main__":
    stage.run(main)

"""Optimisation in the gallery; the spec's rows, of 003, are named at the tests."""

from __future__ import annotations

import pytest

from tests.gallery.kit import figures


def test_optimisers() -> None:
    """O1 to O12 on one problem, N2 and N5: whole batches of a convex cost, above its minimum after as many steps."""
    found = figures("optimisers")
    assert found["nesterov"] < found["sgd"] / 3 and found["adam"] < found["sgd"]
    assert found["newton, turns"] <= 10 and found["polak_ribiere"] < 1e-10


def test_continuation() -> None:
    """M9: the blurred hill, 8.40, is -1.08 there; blurring finds the least minimum from everywhere. M10: so does annealing, mostly."""
    found = figures("continuation")
    assert found["hill"] == pytest.approx(-1.08, abs=0.01)
    assert found["continuation"] == 1 and found["annealing"] > 0.9 and found["descent"] < 0.2


def test_curriculum() -> None:
    """M11: weights of 1 are the plain cost; a curriculum that mixes lengths learns what long strings alone do not teach."""
    found = figures("curriculum")
    assert found["weights"] < 1e-14 and found["stochastic"] > 0.95 and found["none"] < 0.6


def test_pretraining() -> None:
    """M3, I10: lower layers keep every bit (asserted there); all layers together go on from what the stages found."""
    found = figures("pretraining")
    assert found["fine-tuned"] > found["greedy"] > 0.5 and found["fine-tuned, cost"] < found["greedy, cost"]


def test_early_stopping() -> None:
    """M13: the weights of the best epoch come back. O14: averages of a run that does not settle."""
    found = figures("early_stopping")
    assert found["best epoch"] < found["epochs"] and found["stopped, loss"] < found["all epochs, loss"]
    assert found["mean of all"] < found["last iterate"] / 3


def test_exploding() -> None:
    """S4: clipping by the norm of all. S5: the printed powers."""
    found = figures("exploding")
    assert found["by global norm"] < 0.7 * found["not clipped"]
    assert found["1.1^50"] == pytest.approx(117.39085287969579, rel=1e-12)
    assert found["0.9^50"] == pytest.approx(0.00515377520732012, rel=1e-12)

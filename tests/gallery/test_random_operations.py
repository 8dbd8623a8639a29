"""Random operations in the gallery; the spec's rows are named at the tests."""

from __future__ import annotations

from tests.gallery.kit import figures


def test_reparametrisation() -> None:
    """002-004 R52 to R54, R57: slopes of expectations, noise that value and gradient share, coins that refuse, a net with a drawn input."""
    found = figures("reparametrisation")
    assert abs(found["slope by mu, 1.4"] - 1.4) < 0.05 and abs(found["slope by sigma, 2.6"] - 2.6) < 0.05
    assert found["coins refused"] == 1 and found["score"] < found["score of a line"]


def test_reinforce() -> None:
    """002-004 R28, R58, R59, F3: the program asserts the listed numbers; variances of the draws fall as those do."""
    found = figures("reinforce")
    none, mean, best = (found[f"variance, baseline {name}"] for name in ("none", "mean", "best"))
    assert abs(none / 16.6656 - 1) < 0.05 and abs(mean / 5.9653 - 1) < 0.05 and abs(best / 4.8683 - 1) < 0.05
    assert abs(found["perturbation of 100: variance"] / 99 - 1) < 0.2


def test_bernoulli_net() -> None:
    """002-004 R60, R61: averages as state, equal to a loop in NumPy; the score function before the coins, `grad` behind them."""
    assert figures("bernoulli_net")["learnt"] > 0.5

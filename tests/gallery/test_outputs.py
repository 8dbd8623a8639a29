"""Outputs and losses of the gallery; the spec's rows are named at the tests."""

from __future__ import annotations

import pytest

from tests.gallery.kit import figures


def test_losses() -> None:
    """002-004 F5, the best constants; 000-001 A21, A22, B22, B23: mean, median, entropies; the slopes of figure F5."""
    found = figures("losses")
    assert found["squared"] == pytest.approx(3.487783, abs=1e-4) and found["absolute"] == pytest.approx(4, abs=1e-2)
    assert found["absolute"] > found["huber"] > found["squared"]
    assert found["nll"] == pytest.approx(2.4401896985611953, rel=1e-14)
    assert found["by nll"] == pytest.approx(-0.91285568126, abs=1e-11)
    assert found["by squares"] == pytest.approx(-0.22745927167, abs=1e-11) and found["vanished"] == pytest.approx(-8.24e-9, rel=1e-3)
    assert (found["entropy"], found["cross-entropy"], found["kl"]) == pytest.approx((1.75, 2, 0.25), rel=1e-13)


def test_gaussian_outputs() -> None:
    """002-004 heteroscedastic and full covariance, 003 I9, 000-001 A24 (asserted there): variances are those of the residuals."""
    found = figures("gaussian_outputs")
    assert found["residual"] == pytest.approx(11353.52105 / 50 / 100, rel=1e-9)  # the residual sum of squares that textbooks print
    assert found["variance"] == pytest.approx(found["residual"], rel=1e-3)
    assert found["varying"] < found["one"] - 0.05 and found["correlation"] == pytest.approx(0.2893, abs=2e-3)


def test_mixture_density() -> None:
    """000-001 A25: integrates to one (asserted there); three components beat one."""
    found = figures("mixture_density")
    assert found["3 components"] < found["1 components"] - 0.3 and found["long after short"] > 0.9


def test_heads() -> None:
    """000-001 A62, 002-004: the gradient of a sum is the sum of gradients; a joint softmax sees what single heads cannot."""
    found = figures("heads")
    assert found["apart"] < 1e-5 and found["joint"] < found["separate"]

"""Sampling in the gallery."""

from __future__ import annotations

import pytest

from tests.gallery.kit import figures


def test_sampling() -> None:
    """The posterior means of eight schools as published (A. Gelman et al., Bayesian Data Analysis, 5.5); the O-rings by a grid."""
    found = figures("sampling")
    assert found["first school"] == pytest.approx(6.2, abs=1.0) and found["mean effect"] == pytest.approx(4.4, abs=0.6)
    assert found["langevin"] == pytest.approx(found["distress at 31 F"], abs=0.01)

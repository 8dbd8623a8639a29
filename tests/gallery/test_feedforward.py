"""Feedforward networks of the gallery; the spec's rows are named at the tests."""

from __future__ import annotations

import numpy as np
import pytest

from tests.gallery.kit import figures, program


def test_gates() -> None:
    """000-001 B9 to B11: how many of the vectors are good; 002-004: parity and threshold circuits."""
    found = figures("gates")
    assert [found[f"consecutive ones of {n}"] for n in (4, 5, 6)] == [8, 19, 43]
    assert found["learnt"] == 1


def test_the_first_gate_fires_where_the_textbook_says() -> None:
    module = program("gates")
    weights, thresholds = module.CONSECUTIVE[4]
    fires = module.bits(4) @ np.array(weights[0]) > thresholds[0]
    assert ["".join(str(int(b)) for b in row) for row in module.bits(4)[fires]] == ["0110", "0111", "1100", "1101", "1110", "1111"]


def test_shallow_regression() -> None:
    """002-004 F2: the cost of example 6.1.1 at the printed weights; the fit beats a plane."""
    found = figures("shallow_regression")
    assert found["J"] == pytest.approx(5.9261683129666767, rel=1e-14)
    assert found["plane"] == pytest.approx(0.08642, abs=1e-4) and found["error"] < 0.05

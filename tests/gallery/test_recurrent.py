"""Recurrent nets in the gallery; the spec's rows are named at the tests."""

from __future__ import annotations

import numpy as np

from tests.gallery.kit import figures


def test_rnn() -> None:
    """003 R3 to R6: gradients by hand, and the third wiring reads digits."""
    found = figures("rnn")
    assert found["by hand - grad"] < 1e-13 and found["output at the end"] < np.log(10) / 1.2


def test_teacher_forcing() -> None:
    """003 R4, R8, R10: a batched product equals the loop with chance 0; errors feed on errors."""
    found = figures("teacher_forcing")
    assert found["teacher forcing: fed the truth"] < found["teacher forcing: running free"]


def test_bit_detectors() -> None:
    """000-001 B46, 003 R13."""
    found = figures("bit_detectors")
    assert found["loss at last"] < found["loss at first"] / 5 and found["right on 500 bits"] > 0.9

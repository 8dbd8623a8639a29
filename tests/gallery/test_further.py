"""The last group of the gallery; the spec's rows are named at the tests."""

from __future__ import annotations

import pytest

from tests.gallery.kit import figures


def test_power_method() -> None:
    """003 S5, 002-004 R46: powers of a matrix; the first eigenpair; a Hessian's spectrum by products alone."""
    found = figures("power_method")
    assert found["smallest"] < 0 < found["largest"]
    assert found["power method: error"] < 1e-3 and found["Lanczos: error of the largest"] < 1e-6


def test_derivative_matching() -> None:
    """002-004, derivative matching: the slope's error falls when the slope is a target, and so does the value's."""
    found = figures("derivative_matching")
    assert found["and slopes: error of the slope"] < found["values: error of the slope"] / 3


def test_architecture_search() -> None:
    """000-001 A46: nets compiled one after the other; the second-order term of DARTS is the difference quotient."""
    found = figures("architecture_search")
    assert found["nets"] == 2 and found["best"] > 0.6
    assert found["DARTS: error"] < 1e-4
    assert sum(found[f"DARTS: {name}"] for name in ("tanh", "relu", "sigmoid", "none")) == pytest.approx(1)


def test_q_learning() -> None:
    """000-001 A66: the tabular case is value iteration; the net's walks reach the goal."""
    found = figures("q_learning")
    assert found["table: difference"] < 1e-14 and found["arrived"] > 0.8


def test_word_embeddings() -> None:
    """000-001 A64: a gather is the product with one-hot rows, value and gradient; pairs that were never seen are told from random ones."""
    found = figures("word_embeddings")
    assert found["one-hot: difference"] < 1e-15 and found["told apart"] > 0.6

"""Second-order methods in the gallery; the spec's rows are named at the tests."""

from __future__ import annotations

from tests.gallery.kit import figures


def test_second_order() -> None:
    """003 S2, N2, N4, N5, N7, N8 on one problem: the same minimum by every method, Newton in a handful of turns."""
    found = figures("second_order")
    assert found["CG: gradient left"] < 1e-6
    assert found["Newton: turns"] <= 11

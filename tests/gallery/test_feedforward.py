"""Feedforward networks of the gallery; the spec's rows are named at the tests."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
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


def test_linear_models() -> None:
    """000-001 A13, 002-004: least squares in closed form; logistic regression and the numbers that the literature has for the O-rings."""
    found = figures("linear_models")
    assert found["mean loss"] == pytest.approx(368 / 21, rel=1e-12)
    assert found["O-ring slope"] == pytest.approx(-0.2322, abs=5e-5)  # Dalal, Fowlkes and Hoadley and every textbook after them
    assert found["at 31 F"] == pytest.approx(1 / (1 + np.exp(-15.0429 + 0.2322 * 31)), abs=1e-4)
    assert found["mistakes"] == 5 and found["never"] > 0


def test_warp() -> None:
    """002-004, figure 6.2: a line fails, the warp does not, and it does not fold the plane."""
    found = figures("warp")
    assert found["straight"] < 0.8 < found["warped"] == 1 and found["smallest"] > 0


def test_deep_mlp() -> None:
    """002-004 R7, the digits net of figure 6.3; 000-001 A32: permuted pixels give the same losses."""
    found = figures("deep_mlp")
    assert found["difference"] < 1e-12 and found["error"] < 0.05
    assert found["permuted"] == pytest.approx(found["loss"], rel=1e-3)


def test_wiring() -> None:
    """002-004: skip connections, partial connectivity; 000-001 B12: few random inputs a unit equal a masked matrix."""
    found = figures("wiring")
    assert found["chain"] > 2.2 and found["skips"] < 1.5 and found["apart"] < 1e-12
    assert found["patches"] > 0.9


def test_rbf() -> None:
    """002-004: an RBF network and the kernel machine, where the network's gradient is 0."""
    found = figures("rbf")
    assert found["kernel machine"] > found["solved"] and found["slope"] < 1e-8


def test_nearness_is_the_corrected_formula() -> None:
    """exp(-|w - x|^2 / sigma^2), which the draft prints without the minus between w and x."""
    x, w = np.random.default_rng(0).normal(size=(4, 3)), np.random.default_rng(1).normal(size=(5, 3))
    got = gx.function([], program("rbf").nearness(gx.asarray(x), gx.asarray(w), 1.7))()
    np.testing.assert_allclose(got, np.exp(-((x[:, None] - w) ** 2).sum(2) / 1.7**2), rtol=1e-13)


def test_random_features() -> None:
    """002-004, 003 U1: only the last layer learns; a convex cost has one value whatever the start."""
    found = figures("random_features")
    assert found["gap"] < 0.02 and found["alone"] > 0.93


def test_maxout() -> None:
    """002-004: two pieces are a rectifier and an absolute value bit for bit (asserted there); error of x^2 by pieces."""
    found = figures("maxout")
    assert found["2 pieces"] == pytest.approx(1 / np.sqrt(180), rel=0.01)  # the least error of a line for a parabola of width 1
    assert found["16 pieces"] < 0.01 and found["accuracy"] > 0.94


def test_sum_product() -> None:
    """002-004 6.6: the probabilities of all vectors sum to one."""
    found = figures("sum_product")
    assert found["total"] == pytest.approx(1, abs=1e-12) and found["together"] > found["alone"] + 0.2


def test_residual() -> None:
    """000-001 A26, A35: identity and zero gradient exactly (asserted there); 100 residual layers learn, 100 plain ones do not."""
    found = figures("residual")
    assert found["vanished"] < found["bound"] < 1e-3 and found["accuracy"] > 0.6 and found["residual"] < 1.7 < 2.2 < found["plain"]


def test_universal() -> None:
    """000-001 A19, 002-004 6.6: errors fall with the number of units."""
    found = figures("universal")
    assert found["sine"] < 0.01 and found["photograph"] < 0.04 and found["step"] < 0.07


def test_depth() -> None:
    """000-001 A48: with as many weights, 11 layers of convolution learn more than 3 (numbers of weights asserted there)."""
    found = figures("depth")
    assert found["11 layers, 4 maps"] < 0.85 * found["3 layers, 12 maps"]

"""Regularisation in the gallery; the spec's rows are named at the tests."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage

import graphc as gx
from tests.gallery.kit import figures, program


def test_weight_decay() -> None:
    """000-001 A43, B51; 003 M13: the penalty's gradient, the prior at W_0 (asserted there); L1 makes zeros."""
    found = figures("weight_decay")
    assert 0 < found["best"] < 0.01 and found["gain"] > 0
    assert found["zeros"] > 0.5 and found["none"] == 0 and found["accuracy"] > 0.85


def test_dropout() -> None:
    """000-001 A44, B52: the mean over all masks is the whole network; one mask there and back; no draw where none is due."""
    found = figures("dropout")
    assert found["apart"] < 1e-13 and found["kept"] == pytest.approx(0.5, abs=0.01)
    assert found["dropout"] < 0.9 * found["plain"]


def test_augmentation() -> None:
    """000-001 B54: quarter turns (asserted there); noise on the inputs of a linear model is a penalty; turned pictures are read."""
    found = figures("augmentation")
    assert found["noise"] < 1e-12 and found["augmented, turned"] > found["plain, turned"] + 0.03


def test_turned_pictures_are_scipys() -> None:
    """Bilinear interpolation as SciPy's of order 1, with black outside."""
    module = program("augmentation")
    images = np.random.default_rng(0).random((3, 8, 8))
    angles, shifts = np.array([0.3, -1.0, 2.0]), np.array([[0.5, -0.25], [1.0, 2.0], [-3.5, 0.0]])
    inputs = gx.tensor("images", ("n", 8, 8)), gx.tensor("angles", ("n",)), gx.tensor("shifts", ("n", 2))
    got = gx.function(inputs, module.turned(*inputs))(images, angles, shifts)
    for picture, image, angle, shift in zip(got, images, angles, shifts, strict=True):
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        offset = 3.5 - turn @ [3.5, 3.5] - shift
        wanted = scipy.ndimage.affine_transform(image, turn, offset, order=1, mode="grid-constant")
        np.testing.assert_allclose(picture, wanted, atol=1e-12)


def test_adversarial() -> None:
    """000-001 A45: the loss rises along its gradient (asserted there); small changes flip answers; training against them helps."""
    found = figures("adversarial")
    assert found["plain, attacked"] < 0.6 < 0.9 < found["plain"]
    assert found["hardened, attacked"] > found["plain, attacked"] + 0.1


def test_tangents() -> None:
    """002-004 R48: gradients of derivatives agree with differences (asserted there), and training lowers what they penalise."""
    found = figures("tangents")
    assert found["error"] < 1e-7 and found["tangents, change"] < 0.1 * found["plain, change"]
    assert found["gradient, steepness"] < 0.9 * found["plain, steepness"]
    assert found["tangents, turned"] < found["plain, turned"] and found["gradient, noisy"] < found["plain, noisy"]


def test_the_tangent_is_the_direction_of_a_turn() -> None:
    """On slopes, where bilinear interpolation and differences of neighbours are exact; away from the border."""
    row, column = np.mgrid[:8, :8]
    slopes = np.stack([0.3 * row - 0.1 * column, 0.2 * column + 0.5])
    inputs = gx.tensor("images", ("n", 8, 8)), gx.tensor("angles", ("n",)), gx.tensor("shifts", ("n", 2))
    turn = gx.function(inputs, program("augmentation").turned(*inputs))
    difference = (turn(slopes, np.full(2, 1e-4), np.zeros((2, 2))) - turn(slopes, np.full(2, -1e-4), np.zeros((2, 2)))) / 2e-4
    tangent = program("tangents").turning(slopes.reshape(2, 64)).reshape(2, 8, 8)
    np.testing.assert_allclose(tangent[:, 1:-1, 1:-1], difference[:, 1:-1, 1:-1], atol=1e-6)


def test_transfer() -> None:
    """000-001 A61, 003 I10: frozen weights keep every bit and the step has no node for their gradients (asserted there)."""
    found = figures("transfer")
    assert found["parity, frozen"] > 0.93 > found["parity, scratch"]


def test_fitnets() -> None:
    """003 M4: no gradient reaches the teacher (asserted there); the student learns by its hints."""
    found = figures("fitnets")
    assert found["teacher"] > 0.9 and found["with hints"] > found["alone"] + 0.05


def test_brain_damage() -> None:
    """000-001 A47: the diagonal equals differences of gradients (asserted there); saliency chooses better than size or lot."""
    found = figures("brain_damage")
    assert found["saliency"] < found["size"] < found["lot"]
    assert found["predicted"] == pytest.approx(found["rise"], rel=0.5, abs=1e-5)

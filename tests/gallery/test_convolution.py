"""Convolution in the gallery; the spec's rows are named at the tests."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage

import graphc as gx
from tests.gallery.kit import figures, program


def test_convolution() -> None:
    """003 C1, C3, C7, C9, C10, C15, K4, K5; 000-001 A27 to A29, B27, B36: numbers as printed are asserted by the program."""
    found = figures("convolution")
    assert found["operations"] == 267_960 and found["times fewer than a matrix"] == pytest.approx(59_733, abs=1)
    assert found["moving left"] > found["energy moving right"] == 0
    assert found["border under zeros"] < found["border under copies"] == pytest.approx(1)


def test_convolution_sharing() -> None:
    """003 C11, C12, C13, G5: weights and accuracy of a first layer that is a convolution."""
    found = figures("convolution_sharing")
    assert found["largest difference on the ladder"] < 1e-13 and found["convolution: accuracy"] > 0.7


def test_transposed() -> None:
    """003 G1 to G4: printed numbers, closure, a decoder that is a transposed convolution."""
    found = figures("transposed")
    assert found["sum of the map"] == 846
    assert found["error of the transposed net"] < found["error of copied pixels"]


def test_fast_convolution() -> None:
    """003 F1, F2, K10, K11."""
    found = figures("fast_convolution")
    assert found["width 9: times fewer operations"] > 3 and found["width 9: difference"] < 1e-13


def test_pooling() -> None:
    """003 P1 to P7; 000-001 A33, A34, B34."""
    found = figures("pooling")
    assert found["pooled values that a shift changes"] == 0.5
    assert found["of the four together by"] < 1e-14 < found["response of one filter moves by"]
    assert found["adaptive max: accuracy"] > 0.75 and found["of larger images"] > 0.3


def test_pixel_labelling() -> None:
    """003 X3, X4: the program asserts sums of 1 and the first refinement; a second one is the same step from the first one's guess."""
    figures("pixel_labelling")
    module = program("pixel_labelling")
    p, image = module.initial(), gx.asarray(np.random.default_rng(0).random((2, 6, 7), "float32"))
    first = module.refine(p, image, module.nothing(image))
    second = module.refine(p, image, first)
    found = module.labelled(p, image, 2).eval()
    np.testing.assert_allclose(found, np.stack([first.eval(), second.eval()]), rtol=1e-5, atol=1e-7)
    assert np.abs(found[1] - found[0]).max() > 1e-3


def test_filters() -> None:
    """003 U1 to U3; 000-001 B39."""
    assert figures("filters")["k-means"] > 0.8


def test_gabor() -> None:
    """003 U5 to U7: the response of the complex cell, and a fit that explains a cell."""
    found = figures("gabor")
    assert found["complex cell"] == pytest.approx(157.07830549, rel=1e-9)
    assert found["swing of the complex cell"] < 1e-6 < 100 < found["of a simple cell"]
    assert found["variance explained of a cell"] > 0.9


def test_the_gabor_function_is_the_formula() -> None:
    module = program("gabor")
    alpha, beta_x, beta_y, f, phi, x0, y0, tau = p = (1.3, 0.2, 0.1, 0.9, 0.4, 0.5, -0.3, 0.7)
    x, y = 2.0, -1.0  # column 4, row 1 of 5
    along = (x - x0) * np.cos(tau) + (y - y0) * np.sin(tau)
    across = -(x - x0) * np.sin(tau) + (y - y0) * np.cos(tau)
    want = alpha * np.exp(-beta_x * along**2 - beta_y * across**2) * np.cos(f * along + phi)
    assert module.gabor(p, 5).eval()[1, 4] == pytest.approx(want, rel=1e-14)


def test_vgg() -> None:
    """000-001 B35, B54; 003 M2 of convolutions, F3: counts at full size, pictures turned in the graph, batch norm folded."""
    found = figures("vgg")
    assert found["weights at full size"] == 56_447_592 and found["products at full size"] == 3_836_256_256
    assert found["error of four quarter turns"] < 1e-5 and found["right"] > 0.2


def test_turned_pictures_are_those_of_scipy() -> None:
    """000-001 B54: any angle and shift, bilinearly, against `scipy.ndimage.affine_transform` of order 1."""
    module, rng = program("vgg"), np.random.default_rng(0)
    images = rng.random((3, 8, 7))
    angle, down, right = rng.uniform(-0.5, 0.5, 3), rng.uniform(-1, 1, 3), rng.uniform(-1, 1, 3)
    found = module.moved(*(gx.asarray(a) for a in (images, angle, down, right))).eval()
    centre = np.array([3.5, 3.0])
    for k, image in enumerate(images):
        turn = np.array([[np.cos(angle[k]), np.sin(angle[k])], [-np.sin(angle[k]), np.cos(angle[k])]])
        offset = centre - turn @ centre - np.array([down[k], right[k]])
        want = scipy.ndimage.affine_transform(image, turn, offset, order=1, mode="grid-constant")
        np.testing.assert_allclose(found[k], want, atol=1e-6)

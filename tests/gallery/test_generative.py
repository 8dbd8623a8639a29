"""Generative and latent models of the gallery; the spec's rows are named at the tests."""

from __future__ import annotations

import math

import pytest

from tests.gallery.kit import figures


def test_ppca() -> None:
    """000-001 A53: the optimum that the requirements print; anomalies; draws (asserted there)."""
    found = figures("ppca")
    assert found["s"] == pytest.approx(5.824351319301791, abs=2e-6)
    assert found["log-likelihood"] == pytest.approx(-287508.734969, abs=1e-4)
    assert found["ordinary"] > 0.99


def test_components() -> None:
    """000-001 A54: the least squared errors that the requirements print; slow features beside pixels."""
    found = figures("components")
    assert found["sse 2"] == pytest.approx(1543523.771185, rel=1e-9)
    assert found["sse 10"] == pytest.approx(565183.403322, rel=1e-9)
    assert found["slow"] < found["component"] < found["pixel"]


def test_autoencoders() -> None:
    """000-001 A55, 002-004 denoising and contractive autoencoders: better than a plane, than copying, than without the penalty."""
    found = figures("autoencoders")
    assert found["deep"] < 0.85 * found["plane"] and found["plane"] == pytest.approx(1543523.77 / 1797 / 256, rel=0.01)
    assert found["mended"] < 0.5 * found["plain"] and found["tight"] < 0.6 * found["free"]


def test_conv_autoencoder() -> None:
    """003 G4: both gradients of the transpose, the limit of principal components."""
    found = figures("conv_autoencoder")
    assert found["apart"] < 1e-12 and found["linear"] == pytest.approx(found["patches"], rel=1e-6)
    assert found["test"] < 0.5 * found["spread"]


def test_vae() -> None:
    """000-001 A56: with the exact posterior the bound is log P(x); it is below the likelihood; the divergence is not negative."""
    found = figures("vae")
    assert found["gap"] < 1e-12
    assert found["alone"] + 1 < found["bound"] < found["likelihood"] and found["divergence"] > 0


def test_gan() -> None:
    """000-001 A59: at rest the loss is log 4; each step moves its own parameters (asserted there)."""
    found = figures("gan")
    assert found["same"] == pytest.approx(math.log(4), abs=1e-6) and found["loss"] == pytest.approx(math.log(4), abs=0.2)


def test_translation() -> None:
    """000-001 A60: opposite maps between unpaired heaps; 002-004 R48, a gradient inside the cost."""
    found = figures("translation")
    assert found["wrong"] < 0.25 * found["before"] and found["home"] < 0.1


def test_energy() -> None:
    """000-001 A67: the energy never rises; Gibbs sampling has the enumerated probabilities; 002-004 R49, contrastive divergence."""
    found = figures("energy")
    assert found["rises"] < 1e-12 and found["recalled"] > 0.99 and found["apart"] < 0.01
    assert found["digits"] < found["noise"] - 5


def test_sparse_coding() -> None:
    """003 M8: J never rises (asserted there), its gradient by W is 0 at the least squares' solution."""
    found = figures("sparse_coding")
    assert found["last"] < 0.5 * found["first"] and found["by W"] < 1e-12 and 0 < found["active"] < 0.5


def test_causal() -> None:
    """000-001 A57, A58: least squares; an output does not see what follows it, and doubles its reach with every layer."""
    found = figures("causal")
    assert found["apart"] < 1e-8 and found["reach"] == 16 and found["later"] == 0 and found["bits"] < 5


def test_score_matching() -> None:
    """002-004 R48 and chapter 18: a third derivative; the precision of a Gaussian exactly."""
    found = figures("score_matching")
    assert found["apart"] < 1e-6 and found["net"] > found["gaussian"] + 0.1


def test_clusters() -> None:
    """002-004 chapters 1 and 5, 003 U3: counts are the maximum of the likelihood; the inertia never rises (asserted there)."""
    found = figures("clusters")
    assert found["digits"] > 0.85 and found["flat"] < 1e-8 and found["inertia"] < found["first"]

"""`gx.optim.krylov` beside NumPy's dense algebra and SciPy's MINRES, on matrices of every kind by one compiled function."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse.linalg

import graphc as gx
from graphc.optim import krylov

N = 12
Matrix = np.ndarray
SPECTRA = {
    "positive": np.linspace(0.1, 5, N),
    "indefinite": np.linspace(-3.67, 4.3, N),
    "singular": np.r_[0, 0, np.linspace(-2, 4, N - 2)],
    "identity": np.ones(N),
    "zero": np.zeros(N),
    "two": np.r_[np.full(6, -1.0), np.full(6, 2.0)],
}


def symmetric(spectrum: np.ndarray, seed: int = 0) -> Matrix:
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(spectrum),) * 2))
    m = (q * spectrum) @ q.T
    return (m + m.T) / 2


@pytest.fixture(scope="module")
def solve() -> Callable[[Matrix, np.ndarray], dict[str, object]]:
    """All methods on (A, b)."""
    a, b = gx.tensor("A", (N, N)), gx.vector("b", N)
    product = lambda v: a @ v
    made = {
        "cg": krylov.cg(product, b, tol=1e-10),
        "ball": krylov.cg(product, b, tol=1e-10, radius=0.5),
        "minres": krylov.minres(product, b, tol=1e-10),
        "shifted": krylov.minres(product, b, tol=1e-10, shift=0.77),
        "power": krylov.power_iteration(product, b, tol=1e-8),
        "lanczos": krylov.lanczos(product, b, N),
        "plain": krylov.lanczos(product, b, 4, reorthogonalise=False),
    }
    return gx.function([a, b], made)


B = np.random.default_rng(1).normal(size=N)


@pytest.mark.parametrize("name", SPECTRA)
def test_every_kind_of_matrix(name: str, solve: Callable[..., dict[str, object]]) -> None:
    spectrum = SPECTRA[name]
    a = symmetric(spectrum)
    got = solve(a, B)
    conjugate, ball, least, shifted = got["cg"], got["ball"], got["minres"], got["shifted"]
    if spectrum.min() > 0:
        np.testing.assert_allclose(conjugate.x, np.linalg.solve(a, B), rtol=1e-8, atol=1e-9)
        assert conjugate.status == krylov.Status.CONVERGED
        assert ball.status == krylov.Status.BOUNDARY
    else:
        assert conjugate.status == krylov.Status.NEGATIVE_CURVATURE
        assert conjugate.curvature <= 0
        p = conjugate.direction
        np.testing.assert_allclose(p @ a @ p, conjugate.curvature, rtol=1e-9, atol=1e-12)
        assert np.linalg.norm(B - a @ conjugate.x) == pytest.approx(float(conjugate.residual_norm), rel=1e-9)
    assert np.linalg.norm(ball.x) == pytest.approx(0.5, rel=1e-12)
    model = lambda x: x @ a @ x / 2 - B @ x
    cauchy = min(model(t * B) for t in np.linspace(0, 0.5 / np.linalg.norm(B), 100))
    assert model(ball.x) <= cauchy + 1e-12  # as good as along b alone
    best = np.linalg.norm(B - a @ (np.linalg.pinv(a, rcond=1e-12) @ B))
    assert np.linalg.norm(B - a @ least.x) == pytest.approx(best, rel=1e-8, abs=1e-9)
    assert float(least.residual_norm) == pytest.approx(best, rel=1e-8, abs=1e-9)
    assert least.status == krylov.Status.CONVERGED
    np.testing.assert_allclose(shifted.x, np.linalg.solve(a - 0.77 * np.eye(N), B), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", SPECTRA)
def test_spectra(name: str, solve: Callable[..., dict[str, object]]) -> None:
    spectrum = SPECTRA[name]
    a = symmetric(spectrum)
    got = solve(a, B)
    distinct = len(np.unique(np.round(spectrum, 12)))
    found, v = got["lanczos"], got["lanczos"].vectors
    assert found.rank == distinct
    np.testing.assert_allclose(v @ v.T, np.diag(np.r_[np.ones(distinct), np.zeros(N - distinct)]), atol=1e-13)
    np.testing.assert_allclose((v @ a @ v.T)[:distinct, :distinct], found.tridiagonal[:distinct, :distinct], atol=1e-13)
    np.testing.assert_array_equal(np.diag(found.tridiagonal, 1), found.off_diagonal)
    np.testing.assert_allclose(np.linalg.eigvalsh(found.tridiagonal)[[0, -1]], [spectrum.min(), spectrum.max()], atol=1e-13)
    few = min(4, distinct)
    np.testing.assert_allclose(got["plain"].diagonal[:few], found.diagonal[:few], rtol=1e-10, atol=1e-13)
    power = got["power"]
    assert power.status == krylov.Status.CONVERGED
    assert abs(power.value) == pytest.approx(abs(spectrum).max(), abs=1e-7)
    assert np.linalg.norm(a @ power.vector - power.value * power.vector) <= 1e-7


def test_minres_is_scipys(solve: Callable[..., dict[str, object]]) -> None:
    a = symmetric(SPECTRA["indefinite"])
    theirs, _ = scipy.sparse.linalg.minres(a, B, rtol=1e-10)
    np.testing.assert_allclose(solve(a, B)["minres"].x, theirs, rtol=1e-9, atol=1e-10)


def test_bad_numbers_end_at_once(solve: Callable[..., dict[str, object]]) -> None:
    bad = symmetric(SPECTRA["positive"])
    bad[3, 3] = np.nan
    for a, b in [(bad, B), (symmetric(SPECTRA["positive"]), np.r_[np.inf, B[1:]])]:
        got = solve(a, b)
        for name in ("cg", "ball", "minres", "power"):
            assert got[name].status == krylov.Status.NOT_FINITE, name
    got = solve(bad, np.zeros(N))
    assert got["cg"].status == got["minres"].status == krylov.Status.CONVERGED
    assert not got["cg"].x.any() and not got["minres"].x.any()
    assert got["power"].status == krylov.Status.NOT_FINITE


def test_trees_single_precision_and_products_with_a_hessian() -> None:
    """The net of F2: H is indefinite; products come from `hvp`, and w, v and x are trees."""
    rng = np.random.default_rng(2)
    w = {"a": rng.normal(size=(2, 2)).astype("float32"), "b": rng.normal(size=3).astype("float32")}
    nodes = gx.like(w)
    cost = gx.sum(gx.tanh(nodes["a"]) ** 2) * gx.sum(nodes["b"] ** 3) + gx.sum(nodes["a"] ** 4)
    b = gx.like(w)
    probes = gx.like({"a": np.zeros((64, 2, 2), "float32"), "b": np.zeros((64, 3), "float32")})
    product = lambda v: gx.hvp(cost, nodes, v)
    outputs = [
        gx.hessian(cost, nodes, flat=True), krylov.minres(product, b, tol=1e-6, max_iterations=60),
        krylov.hutchinson_trace(product, probes), krylov.hutchinson_diagonal(product, probes), krylov.lanczos(product, b, 7),
    ]  # fmt: skip
    signs = {k: rng.choice([-1.0, 1.0], size=(64, *v.shape)).astype("float32") for k, v in w.items()}
    h, solved, trace, diagonal, lanczos = gx.function([nodes, b, probes], outputs)(w, w, signs)
    flat = lambda t: np.concatenate([t["a"].ravel(), t["b"].ravel()])
    np.testing.assert_allclose(h @ flat(solved.x), flat(w), atol=2e-4)
    z = np.concatenate([signs["a"].reshape(64, -1), signs["b"]], axis=1)
    each = np.einsum("ki,ij,kj->k", z, h, z)
    np.testing.assert_allclose(trace.value, each.mean(), rtol=1e-5)
    np.testing.assert_allclose(trace.standard_error, each.std(ddof=1) / 8, rtol=1e-4)
    np.testing.assert_allclose(flat(diagonal.value), (z * (z @ h)).mean(0), rtol=1e-4, atol=1e-5)
    assert lanczos.vectors["a"].shape == (7, 2, 2) and lanczos.vectors["b"].dtype == np.float32
    np.testing.assert_allclose(np.linalg.eigvalsh(lanczos.tridiagonal), np.linalg.eigvalsh(h), rtol=1e-4, atol=1e-4)


def test_hutchinson_is_exact_for_a_diagonal_matrix_and_nan_for_the_error_of_one_probe() -> None:
    z = gx.tensor("z", ("k", 3))
    f = gx.function([z], [krylov.hutchinson_trace(lambda v: v * np.array([1.0, 2, 4]), z), krylov.hutchinson_diagonal(lambda v: 3 * v, z)])
    trace, diagonal = f(np.array([[1.0, -1, 1]]))
    like = {"a": np.zeros((2, 3), "float32"), "b": gx.vector("b", 4)}
    signs = gx.function([like["b"]], krylov.probes(gx.random.key(0), like, 500))(np.zeros(4))
    assert signs["a"].shape == (500, 2, 3) and signs["a"].dtype == np.float32 and signs["b"].shape == (500, 4)
    both = np.concatenate([signs["a"].reshape(500, 6), signs["b"]], axis=1)
    assert (np.abs(both) == 1).all() and np.abs(both.T @ both / 500 - np.eye(10)).max() < 0.2  # 4.5 standard errors
    assert trace.value == 7 and np.isnan(trace.standard_error)
    np.testing.assert_array_equal(diagonal.value, [3, 3, 3])


def test_misuse() -> None:
    b = gx.vector("b", 3)
    with pytest.raises(gx.ArgumentError, match=r"no function.*lambda v: A @ v"):
        krylov.cg(np.eye(3), b)
    with pytest.raises(gx.ShapeError, match=r"minres: A\(v\)"):
        krylov.minres(lambda v: v[:2], b)
    with pytest.raises(gx.ArgumentError, match="differ"):
        krylov.cg(lambda v: {"x": v}, b)
    with pytest.raises(gx.DTypeError, match="int64"):
        krylov.lanczos(lambda v: v, np.arange(3), 2)
    with pytest.raises(gx.ArgumentError, match="k=0"):
        krylov.lanczos(lambda v: v, b, 0)
    with pytest.raises(gx.DTypeError, match="int64"):
        krylov.probes(gx.random.key(0), np.arange(3), 2)
    with pytest.raises(gx.ShapeError, match="first axis"):
        krylov.hutchinson_trace(lambda v: v, 1.0)

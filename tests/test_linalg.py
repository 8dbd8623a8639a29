"""Linear algebra: against NumPy, SciPy and mpmath, in both dtypes, for every size, what has no answer included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import scipy.linalg

import graphc as gx
from graphc.errors import ArgumentError, LinAlgError, NotDifferentiableError, ShapeError
from graphc.interp import evaluate
from graphc.ir import toposort
from tests.linalg_cases import CASES, data

L = gx.linalg


def T(x: np.ndarray) -> np.ndarray:
    return x.swapaxes(-1, -2)


# -- derivatives ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", CASES)
def test_values_and_derivatives_of_order_1_to_3_against_mpmath(name: str) -> None:
    case = CASES[name]
    values = data(case.kind)
    a, e, b, c = (gx.tensor("aebc"[k], tuple([f"n{s}" if k < 2 and s == 5 else s for s in v.shape])) for k, v in enumerate(values))
    t = gx.scalar("t")
    orders = [case.ours(a + t * e, b, c)]
    for _ in range(3):
        orders.append(gx.grad(orders[-1], t))
    got = evaluate(orders, {**dict(zip((a, e, b, c), values)), t: 0.0})
    with mp.workdps(40):
        ma, me, mb, mc = (mp.matrix(v.tolist()) for v in values)
        wanted = [float(mp.diff(lambda s: case.theirs(ma + s * me, mb, mc), 0, k)) for k in range(4)]
    np.testing.assert_allclose(got, wanted, rtol=1e-8)


def test_forward_mode_agrees_and_gradients_of_symmetric_functions_are_symmetric() -> None:
    a, e = gx.tensor("a", (3, 3)), gx.tensor("e", (3, 3))
    value, direction, *_ = data("spd")
    for f in (
        lambda x: gx.sum(gx.log(gx.diagonal(L.cholesky(x)))),
        lambda x: gx.sum(L.eigvalsh(x) ** 3),
        lambda x: gx.sum(L.sqrtm(x) ** 3),
    ):
        slope, pushed = evaluate([gx.grad(f(a), a), gx.jvp(f(a), a, e)], {a: value, e: direction})  # type: ignore[list-item]
        np.testing.assert_allclose(slope, slope.T, rtol=1e-12)
        np.testing.assert_allclose(pushed, np.sum(slope * direction), rtol=1e-10)
    half = evaluate([gx.grad(gx.sum(gx.log(gx.diagonal(L.cholesky(a)))), a)], {a: value})[0]
    np.testing.assert_allclose(half, np.linalg.inv(value) / 2, rtol=1e-10)


# -- values ------------------------------------------------------------------------------------------------------------------------
def _everything(dtype: str, batch: tuple[Any, ...]) -> Callable[..., Any]:
    """One compiled function of (a, s, b, tall, wide, rhs): every factorisation and what is solved with it, for every size n."""
    n = gx.dim("n")
    a, s, b = (gx.tensor(k, (*batch, n, m), dtype) for k, m in (("a", n), ("s", n), ("b", 2)))
    tall, wide, rhs = (gx.tensor(k, (*batch, p, q), dtype) for k, p, q in (("tall", n + 2, n), ("wide", n, n + 2), ("rhs", n + 2, 2)))
    outs = {
        "cholesky": L.cholesky(s), "upper": L.cholesky(s, upper=True), "solve": L.solve(a, b), "inv": L.inv(a), "det": L.det(s),
        "sign": L.slogdet(a)[0], "logabsdet": L.slogdet(a)[1], "lu tall": L.lu(tall), "lu wide": L.lu(wide),
        "rows": L.lu(tall, p_indices=True),
        "qr tall": L.qr(tall), "qr wide": L.qr(wide), "qr full": L.qr(tall, "complete"), "r": L.qr(tall, mode="r"),
        "svd tall": L.svd(tall, full_matrices=False), "svd wide": L.svd(wide), "svdvals": L.svdvals(wide), "eigh": L.eigh(s),
        "eigvalsh": L.eigvalsh(s), "pinv": L.pinv(tall), "lstsq": L.lstsq(tall, rhs), "expm": L.expm(a * 0.1), "sqrtm": L.sqrtm(s),
        "cho_solve": L.cho_solve(L.cho_factor(s), b), "lower": L.solve_triangular(s, b, lower=True),
        "unit": L.solve_triangular(s * 0.1, b, trans=1, unit_diagonal=True), "power": L.matrix_power(a, 5), "one": L.matrix_power(a, 0),
        "rank": L.matrix_rank(tall), "trace": L.trace(a), "diagonal": L.diagonal(tall), "vector": L.vector_norm(tall, axis=(-2, -1)),
        "fro": L.matrix_norm(wide),
    }  # fmt: skip
    f = gx.function([a, s, b, tall, wide, rhs], outs)
    return f


@pytest.fixture(scope="module")
def compiled() -> Iterator[dict[tuple[str, int], Any]]:
    yield {(d, len(b)): _everything(d, b) for d, b in (("float64", ("k",)), ("float32", ()))}


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 70])
@pytest.mark.parametrize("kind", [("float64", (3,)), ("float64", (0,)), ("float32", ())], ids=str)
def test_values_for_every_size(compiled: dict[tuple[str, int], Any], kind: tuple[str, tuple[int, ...]], n: int) -> None:
    dtype, batch = kind
    random = np.random.default_rng(n)
    a, b, tall, rhs = (random.normal(size=(*batch, *s)).astype(dtype) for s in ((n, n), (n, 2), (n + 2, n), (n + 2, 2)))
    s, wide, unit = a @ T(a) + np.eye(n, dtype=dtype), T(tall).copy(), np.broadcast_to(np.eye(n, dtype=dtype), a.shape)
    got = compiled[dtype, len(batch)](a, s, b, tall, wide, rhs)
    eps = float(np.finfo(dtype).eps)

    def close(x: Any, y: Any, condition: float = 1.0) -> None:
        assert x.shape == np.shape(y) and x.dtype in (dtype, np.int64), (x.shape, np.shape(y), x.dtype)
        scale = np.abs(y).max(initial=1.0)
        np.testing.assert_allclose(x, y, rtol=0, atol=400 * (n + 1) * eps * condition * scale)

    bad = float(np.linalg.cond(a.astype("f8")).max(initial=1.0)) if n else 1.0
    close(got["cholesky"] @ T(got["cholesky"]), s)
    np.testing.assert_array_equal(got["cholesky"], np.tril(got["cholesky"]))
    close(got["upper"], T(got["cholesky"]))
    close(a @ got["solve"], b, bad)
    close(a @ got["inv"], unit, bad)
    sign, logabsdet = np.linalg.slogdet(a.astype("f8"))
    close(got["sign"], sign)
    close(got["logabsdet"], logabsdet, bad)
    if n < 6:
        close(got["det"] / np.linalg.det(s.astype("f8")).astype(dtype), np.ones(batch), bad)
    for name, whole in (("lu tall", tall), ("lu wide", wide)):
        p, lower, u = got[name]
        close(p @ lower @ u, whole)
        np.testing.assert_array_equal(lower, np.tril(lower))
        np.testing.assert_array_equal(u, np.triu(u))
        assert np.abs(lower).max(initial=0) <= 1
        if batch == ():
            for mine, theirs in zip((p, lower, u), scipy.linalg.lu(whole) if n else (p, lower, u)):
                close(mine, theirs, 100.0)
    np.testing.assert_array_equal(np.take_along_axis(T(got["lu tall"][0]), got["rows"][0][..., None], -1) >= 0, True)
    close(np.take_along_axis(got["rows"][1] @ got["rows"][2], got["rows"][0][..., None], -2), tall)
    for name, whole in (("qr tall", tall), ("qr wide", wide), ("qr full", tall)):
        q, r = got[name]
        close(q @ r, whole)
        close(T(q) @ q, np.broadcast_to(np.eye(q.shape[-1]), T(q).shape[:-1] + q.shape[-1:]))
        np.testing.assert_array_equal(r, np.triu(r))
    close(got["r"], got["qr tall"][1])
    u, v, w = got["svd tall"]
    close((u * v[..., None, :]) @ w, tall)
    close(got["svdvals"], np.linalg.svd(wide, compute_uv=False) if n else v)
    close(got["svd wide"][0] * got["svd wide"][1][..., None, :] @ got["svd wide"][2][..., :n, :], wide)
    w, v = got["eigh"]
    close((v * w[..., None, :]) @ T(v), s)
    close(T(v) @ v, unit)
    assert (np.diff(w) >= 0).all()
    close(got["eigvalsh"], w)
    close(got["pinv"] @ tall, unit, bad)
    x, residuals, rank, _ = got["lstsq"]
    close(T(tall) @ (tall @ x - rhs), np.zeros_like(b), bad)
    close(residuals, ((tall @ x - rhs) ** 2).sum(-2))
    assert (rank == n).all() and (got["rank"] == n).all()
    if batch == () and n:
        close(got["expm"], scipy.linalg.expm(a * np.asarray(0.1, dtype)), 10.0)
    close(got["sqrtm"] @ got["sqrtm"], s)
    close(s @ got["cho_solve"], b, bad**2)
    close(np.tril(s) @ got["lower"], b, bad**2)
    if n < 6:
        close(T(np.triu(s * np.asarray(0.1, dtype), 1) + unit) @ got["unit"], b, bad**2)
        close(got["power"], np.linalg.matrix_power(a, 5), bad)
    close(got["one"], unit)
    close(got["trace"], np.trace(a, axis1=-2, axis2=-1))
    close(got["diagonal"], np.diagonal(tall, axis1=-2, axis2=-1))
    close(got["vector"], np.sqrt((tall**2).sum((-2, -1))))
    close(got["fro"], np.sqrt((tall**2).sum((-2, -1))))


def test_numpy_and_scipy_signatures() -> None:
    random = np.random.default_rng(3)
    a, b = random.normal(size=(2, 3, 3)), random.normal(size=(3,))
    x, y = gx.tensor("x", (2, 3, 3)), gx.tensor("y", (3,))
    pairs = [
        (np.linalg.solve(x, y[:, None]), np.linalg.solve(a, b[:, None])), (np.linalg.inv(x), np.linalg.inv(a)),
        (L.solve(x, y), np.linalg.solve(a, np.broadcast_to(b[:, None], (2, 3, 1)))[..., 0]), (np.linalg.det(x), np.linalg.det(a)),
        (np.linalg.norm(x, "nuc", (-2, -1)), np.linalg.norm(a, "nuc", (-2, -1))), (gx.norm(x[0], 2), np.linalg.norm(a[0], 2)),
        (np.linalg.norm(x, -2, (0, 2), True), np.linalg.norm(a, -2, (0, 2), True)), (np.linalg.cond(x), np.linalg.cond(a)),
        *[(np.linalg.cond(x[0], p), np.linalg.cond(a[0], p)) for p in (1, -1, 2, -2, "fro", np.inf, -np.inf)],
        (np.linalg.matrix_power(x, -2), np.linalg.matrix_power(a, -2)), (np.linalg.slogdet(x)[1], np.linalg.slogdet(a)[1]),
        (np.linalg.multi_dot([y, x[0], x[1], y]), np.linalg.multi_dot([b, a[0], a[1], b])),
        (L.multi_dot([x[0], x[1], y]), a[0] @ a[1] @ b), (L.block_diag(x[0], y, 2), scipy.linalg.block_diag(a[0], b, 2)),
        (L.toeplitz(y), scipy.linalg.toeplitz(b)), (L.toeplitz(y, x[0, 0, :2]), scipy.linalg.toeplitz(b, a[0, 0, :2])),
        (np.kron(x[0], y), np.kron(a[0], b)), (gx.kron(y, x), np.kron(b, a)), (gx.kron(2, y), np.kron(2, b)),
        (np.linalg.pinv(x[:, :2]), np.linalg.pinv(a[:, :2])), (np.linalg.lstsq(x[0], y)[0], np.linalg.lstsq(a[0], b)[0]),
        (np.linalg.matrix_rank(x * 0 + 1), np.linalg.matrix_rank(a * 0 + 1)), (L.matrix_rank(x, 1.0), np.linalg.matrix_rank(a, 1.0)),
        (np.linalg.svd(x, compute_uv=False), np.linalg.svd(a, compute_uv=False)), (np.linalg.qr(x, "r"), np.linalg.qr(a, "r")),
        (L.tensorinv(gx.reshape(x[0], (3, 1, 3)), 2), np.linalg.tensorinv(a[0].reshape(3, 1, 3), 2)),
        (L.tensorsolve(gx.reshape(x[0], (3, 3, 1)), y), np.linalg.tensorsolve(a[0].reshape(3, 3, 1), b)),
        (L.inv(gx.asarray([[2, 1], [1, 1]])), np.linalg.inv([[2, 1], [1, 1]])),
        (L.lu(x[0], permute_l=True)[0], scipy.linalg.lu(a[0], True)[0]),
        (np.linalg.eigvalsh(x + x.mT), np.linalg.eigvalsh(a + T(a))), (np.linalg.cholesky(x @ x.mT), np.linalg.cholesky(a @ T(a))),
        (L.eigvalsh(x, "U", symmetrize_input=False), np.linalg.eigvalsh(a, "U")),
        (L.vector_norm(x, axis=1, ord=3), np.linalg.norm(a, 3, 1)), (gx.norm(x[0], 2, 1), np.linalg.norm(a[0], 2, 1)),
        (gx.norm(x[0, 0], 2), np.linalg.norm(a[0, 0], 2)),
        (L.cholesky(x @ x.mT + gx.triu(x, 1), symmetrize_input=False), np.linalg.cholesky(a @ T(a))),
    ]  # fmt: skip
    for k, (got, wanted) in enumerate(zip(evaluate([p[0] for p in pairs], {x: a, y: b}), [p[1] for p in pairs])):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9, err_msg=str(k))
        assert got.shape == np.shape(wanted), k


# -- what has no answer ---------------------------------------------------------------------------------------------------------------
REFUSED: dict[str, tuple[Callable[..., Any], np.ndarray]] = {
    "cholesky": (L.cholesky, np.diag([1.0, -1, 2])),
    "cholesky of 0": (L.cholesky, np.zeros((3, 3))),
    "solve": (lambda a, **k: L.solve(a, a[:, :1], **k), np.ones((3, 3))),
    "inv": (L.inv, np.diag([1.0, 0, 2])),
    "solve_triangular": (lambda a, **k: L.solve_triangular(a, a[:, :1], **k), np.diag([1.0, 0, 2])),
    "cho_solve": (lambda a, **k: L.cho_solve((a, True), a, **k), np.diag([1.0, 0, 2])),
    "eigh": (lambda a, **k: L.eigh(a, **k)[1], np.full((3, 3), np.nan)),
    "svd": (lambda a, **k: L.svd(a, **k)[0], np.full((3, 3), np.nan)),
    "svdvals": (L.svdvals, np.full((3, 3), np.inf)),
    "pinv": (L.pinv, np.full((3, 3), np.nan)),
    "lstsq": (lambda a, **k: L.lstsq(a, a, **k)[0], np.full((3, 3), np.nan)),
    "sqrtm": (L.sqrtm, np.diag([1.0, -1, 2])),
}


@pytest.mark.parametrize("name", REFUSED)
def test_no_answer_is_an_error_or_nan(name: str) -> None:
    f, bad = REFUSED[name]
    a, state = gx.tensor("a", (3, 3)), gx.shared(np.zeros(()))
    good = np.diag([3.0, 2.0, 1.0])
    made = f(a)
    raising = gx.function([a], made, updates={state: state + 1}, mode="verify")
    raising(good)
    with pytest.raises(LinAlgError, match=r"the matrix .*\(.*test_linalg\.py:\d+.*on_error"):
        raising(bad)
    with pytest.raises(LinAlgError):
        made.eval({a: bad})
    with pytest.raises(np.linalg.LinAlgError):
        gx.function([a], gx.grad(gx.sum(made), a))(bad)
    assert state.get_value() == 1
    quiet = gx.function([a], gx.vmap(lambda x: f(x, on_error="nan"))(gx.stack([a, gx.asarray(good)])))
    first, second = quiet(bad)
    assert np.isnan(first).all()
    np.testing.assert_allclose(second, raising(good), rtol=1e-12)


def test_degenerate_derivatives_are_as_documented() -> None:
    a = gx.tensor("a", (2, 2))
    unit = np.eye(2)
    at = lambda y, value=unit: evaluate([gx.grad(y, a)], {a: value})[0]
    np.testing.assert_allclose(at(gx.sum(L.eigvalsh(a) ** 2)), 2 * unit)  # of equal eigenvalues: of values it holds
    assert not np.isfinite(at(gx.sum(L.eigh(a)[1] ** 3))).all()  # of vectors there is none
    np.testing.assert_allclose(at(gx.sum(L.svdvals(a) ** 2)), 2 * unit)
    assert not np.isfinite(at(gx.sum(L.svd(a)[0] ** 3))).all()
    np.testing.assert_allclose(at(gx.sum(L.pinv(a))), -np.ones((2, 2)))
    rank_one = np.ones((2, 2))
    step = at(gx.sum(L.pinv(a) * gx.asarray([[1.0, 2.0], [3.0, 4.0]])), rank_one)
    for direction in ([[1, 1], [0, 0]], [[1.0, 0], [1, 0]]):  # along which the rank stays
        e = 1e-6 * np.array(direction)
        f = lambda x: np.sum(np.linalg.pinv(x, rcond=1e-3) * [[1.0, 2.0], [3.0, 4.0]])
        np.testing.assert_allclose(np.sum(step * e), (f(rank_one + e) - f(rank_one - e)) / 2, rtol=1e-6)
    np.testing.assert_allclose(at(L.det(a), rank_one), [[1, -1], [-1, 1]])  # its cofactors: see tests/test_determinants.py
    assert not np.isfinite(at(gx.sum(L.sqrtm(a)), rank_one)).all()
    assert not np.isfinite(at(gx.sum(L.qr(a)[0] ** 3), np.array([[1.0, 0], [1, 0]]))).all()
    np.testing.assert_array_equal(L.slogdet(a)[1].eval({a: rank_one}), -np.inf)
    for made in (L.qr(gx.tensor("t", (3, 2)), "complete")[0], L.svd(gx.tensor("t", (3, 2)))[0]):
        with pytest.raises(NotDifferentiableError, match="complete a basis"):
            gx.grad(gx.sum(made), made.inputs[0].inputs[0])


def test_misuse_is_refused_when_it_is_written() -> None:
    x, v = gx.tensor("x", (2, 3)), gx.tensor("v", (2,))
    for f in (L.cholesky, L.inv, L.det, L.slogdet, L.eigh, L.expm, L.sqrtm, lambda a: L.matrix_power(a, 2), lambda a: L.solve(a, v)):
        with pytest.raises(ShapeError, match=r"not square, 2 x 3 \(x: f64\[2, 3\], test_linalg\.py"):
            f(x)
    for f in (L.svd, L.qr, L.pinv, L.lu, L.matrix_rank):
        with pytest.raises(ShapeError, match="two axes or more"):
            f(v)  # type: ignore[operator]
    square = gx.tensor("s", (3, 3))
    for call, text in (
        (lambda: L.cholesky(square, on_error="no"), "on_error='no'"), (lambda: L.qr(square, "raw"), "mode='raw'"),
        (lambda: L.eigh(square, "X"), "UPLO='X'"), (lambda: L.solve_triangular(square, square, trans=3), "trans=3"),
        (lambda: L.multi_dot([square]), "two matrices"), (lambda: L.block_diag(), "no matrices"),
        (lambda: L.matrix_power(square, 0.5), "integer"),
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match=text):
            call()
    with pytest.raises(ShapeError, match="2 rows"):
        L.solve(square, v)


# -- native code ---------------------------------------------------------------------------------------------------------------------
def _small(dtype: str, n: Any, k: Any) -> Any:
    a, s, b = (gx.tensor(name, ("b", n, m), dtype) for name, m in (("a", n), ("s", n), ("r", k)))
    nan = {"on_error": "nan"}
    outs = {
        "cholesky": L.cholesky(s, **nan), "lower": L.cholesky(s, symmetrize_input=False, **nan), "solve": L.solve(a, b, **nan),  # type: ignore[arg-type]
        "back": gx.grad(gx.sum(L.solve(a, b, **nan) ** 2), b), "lu": L.lu(a),  # type: ignore[arg-type]
        "triangular": [L.solve_triangular(a, b, t, low, u, **nan) for t in (0, 1) for low in (0, 1) for u in (0, 1)],  # type: ignore[arg-type]
        "eigh": L.eigh(s, **nan),  # type: ignore[arg-type]
    }  # fmt: skip
    return (a, s, b), outs


@pytest.mark.parametrize(("dtype", "n", "k"), [("float64", "n", "k"), ("float32", "n", "k"), ("float64", 3, 1), ("float32", 8, 2)])
def test_native_code_gives_what_the_reference_gives(dtype: str, n: Any, k: Any) -> None:
    """Every number of lanes that are used, sizes around the widths of vectors, examples without an answer among others."""
    inputs, outs = _small(dtype, n, k)
    leaves = gx.tree.flatten(outs)[0]
    f = gx.function(list(inputs), leaves, mode="verify")
    eps, random = float(np.finfo(dtype).eps), np.random.default_rng(0)
    for size, rhs, batch in [
        (1, 1, 1),
        (2, 3, 5),
        (3, 1, 8),
        (4, 1, 17),
        (5, 2, 3),
        (8, 2, 9),
        (16, 1, 4),
        (19, 5, 2),
        (33, 1, 33),
        (0, 2, 3),
        (3, 0, 2),
    ]:
        if not isinstance(n, str) and (size, rhs) != (n, k):
            continue
        a, b = (random.normal(size=(batch, size, m)).astype(dtype) for m in (size, rhs))
        s = (a @ T(a) + np.eye(size)).astype(dtype)
        if batch > 2 and size > 1:
            a[1], a[2, 0], s[1] = 0, np.nan, -s[1]
        if batch > 4 and size > 1:
            s[2, 1, 0], s[3, 1, 1] = np.nan, np.inf
        wanted = evaluate(leaves, dict(zip(inputs, (a, s, b))))
        for path, got, true in zip(gx.tree.paths(outs), f(a, s, b), wanted):
            scale = np.nanmax(np.abs(np.where(np.isfinite(true), true, 0)), initial=1.0)
            if "eigenvectors" in path:  # columns but for their signs
                got, true = np.abs(got), np.abs(true)
            np.testing.assert_array_equal(np.isnan(got), np.isnan(true), err_msg=f"{path} {size} {batch}")
            tolerance = 2e3 * (size + 1) ** 2 * eps * scale
            if not path.startswith(("['lu']", "['cho", "['lower']", "['eigh']")):
                tolerance *= 1e4 if dtype == "float64" else 1e2
            np.testing.assert_allclose(got, true, rtol=0.1, atol=tolerance, err_msg=f"{path} {size} {batch}")


def test_native_code_is_chosen_by_size_and_shares_threads() -> None:
    a = gx.tensor("a", ("b", "n", "n"))
    f = gx.function([a], [L.cholesky(a), L.solve(a, a[..., :1])], threads=2)
    text = str(f.program)
    assert "matrices k" in text and "if n < 257" in text and "call cholesky" in text
    large = str(gx.function([a2 := gx.tensor("a", (2, 257, 257))], L.cholesky(a2)).program)
    assert "matrices" not in large and "call cholesky" in large
    small = str(gx.function([a3 := gx.tensor("a", ("b", 16, 16))], L.cholesky(a3)).program)
    assert "matrices" in small and "call" not in small
    random = np.random.default_rng(1)
    values = random.normal(size=(3000, 6, 6))
    values = values @ T(values) + np.eye(6)
    lower, x = f(values)
    np.testing.assert_allclose(lower @ T(lower), values, rtol=0, atol=1e-12 * np.abs(values).max())
    np.testing.assert_allclose(x, np.broadcast_to(np.eye(6)[:, :1], x.shape), rtol=0, atol=1e-8)
    values[1234, 0, 0] = -1
    with pytest.raises(LinAlgError, match=r"^cholesky: the matrix at \(1234,\) of the batch is not positive definite \(a: f64\[b, n, n\]"):
        f(values)


def test_large_matrices_in_lanes() -> None:
    """One matrix or few, larger than many would be: with exchanges of rows, against NumPy; and one without inverse."""
    dtype = "float64"
    a, b = gx.tensor("a", ("m", "n", "n"), dtype), gx.tensor("b", ("n", 2), dtype)
    f = gx.function([a, b], [L.solve(a, b, on_error="nan"), L.inv(a, on_error="nan"), *L.slogdet(a)])
    one = gx.tensor("one", ("k", "k"), "float32")
    g = gx.function([one], [L.solve(one, one[:, :2]), L.solve_triangular(one, one[:, :2], lower=True), L.cholesky(one @ one.T)])
    eps, random = np.finfo(dtype).eps, np.random.default_rng(5)
    for m, n in ((2, 65), (3, 130), (1, 258)):
        values, right = random.normal(size=(m, n, n)).astype(dtype), random.normal(size=(n, 2)).astype(dtype)
        values[-1] = values[-1] if m == 1 else 1
        x, inverse, sign, log = f(values, right)
        for k in range(m - 1 if m > 1 else 1):
            condition = np.linalg.cond(values[k].astype(float))
            true = np.linalg.inv(values[k].astype(float))
            assert np.abs(inverse[k] - true).max() < 20 * eps * condition * np.abs(true).max()
            assert np.abs(values[k] @ x[k] - right).max() < 20 * eps * n * np.abs(x[k]).max() * 4
            true_sign, true_log = np.linalg.slogdet(values[k].astype(float))
            assert sign[k] == true_sign and abs(log[k] - true_log) < 20 * eps * condition
        assert m == 1 or (np.isnan(x[-1]).all() and np.isnan(inverse[-1]).all() and sign[-1] == 0)
    dtype, eps = "float32", np.finfo("float32").eps
    values = np.linalg.qr(random.normal(size=(300, 300)))[0].astype(dtype) + 2 * np.eye(300, dtype=dtype)
    unit, low, lower = g(values)
    assert np.abs(unit - np.eye(300)[:, :2]).max() < 1e3 * eps
    np.testing.assert_allclose(np.tril(values) @ low, values[:, :2], atol=1e3 * eps)
    np.testing.assert_allclose(lower @ lower.T, values @ values.T, atol=1e3 * eps)


# -- structure -------------------------------------------------------------------------------------------------------------------------
def _ops(*nodes: Any) -> list[str]:
    """The names of the ops that are left when the graph is simplified."""
    f = gx.function(_variables(nodes), list(nodes), mode="verify")
    return [n.op.name for n in toposort(f._optimised.outputs)]


def _variables(nodes: Any) -> list[Any]:
    return [n for n in toposort(nodes) if n.op.name == "input"]


def test_one_factorisation_serves_all_and_inverses_are_not_made() -> None:
    a, b = gx.tensor("a", (3, 3)), gx.tensor("b", (3, 2))
    shared = _ops(L.solve(a, b), L.det(a), L.slogdet(a)[1], L.inv(a), *gx.grad(gx.sum(L.solve(a, b) ** 2) + L.slogdet(a)[1], [a, b]))
    assert shared.count("lu") == 1
    for y in (L.inv(a) @ b, b.T @ L.inv(a), L.inv(a).T @ b, gx.trace(L.inv(a) @ (b @ b.T))):
        names = _ops(y)
        assert "inv" not in names and "solve" in names
    logs = _ops(gx.log(L.det(a)))
    assert "log_abs_det" in logs and "product_of_pivots" not in logs
    large = 40 * np.eye(200)
    x = gx.tensor("x", (200, 200))
    f = gx.function([x], [gx.log(L.det(x)), gx.grad(gx.log(L.det(x)), x)])
    value, slope = f(large)
    np.testing.assert_allclose(value, 200 * np.log(40.0))  # of which the determinant overflows
    np.testing.assert_allclose(slope, np.eye(200) / 40)
    assert np.isnan(gx.function([a], gx.log(L.det(a)))(np.diag([1.0, -1, 1])))
    assert gx.function([a], gx.log(L.det(a)))(np.diag([1.0, 0, 1])) == -np.inf


def test_what_is_assumed_is_used() -> None:
    a, b, x = gx.tensor("a", (3, 3)), gx.tensor("b", (3,)), gx.tensor("x", (4,))
    value, _, rhs, _ = data("spd")
    known = gx.assume(a, "positive_definite")
    outs = [L.solve(known, b), L.inv(known), L.det(known), *L.slogdet(known)]
    names = _ops(*outs)
    assert names.count("cholesky") == 1 and "lu" not in names
    wanted = [np.linalg.solve(value, rhs[:, 0]), np.linalg.inv(value), np.linalg.det(value), *np.linalg.slogdet(value)]
    for got, true in zip(gx.function([a, b], outs)(value, rhs[:, 0]), wanted):
        np.testing.assert_allclose(got, true, rtol=1e-12)
    c = gx.assume(gx.scalar("c"), positive=True)
    for made in (known.T, 2.0 * known, known / 4, c * known, known + known.T * c, known[None]):
        derived = _ops(L.solve(made, b[:, None]), L.slogdet(made)[1], L.inv(made))
        assert "lu" not in derived and derived.count("cholesky") == 1
    for other in (known * gx.scalar("c"), -known, known * b, known - known, known * x[0]):
        assert "lu" in _ops(L.solve(other, b[:, None]))
    p = gx.assume(x, positive=True)
    assert gx.function([x], gx.log(p**40))(np.full(4, 1e300)) == pytest.approx(np.full(4, 40 * 300 * np.log(10)))
    assert not {"abs", "sign"} & {*_ops(gx.abs(p) + gx.sign(p) + gx.sqrt(gx.square(p)) + gx.abs(p * p / (p + 1)))}
    assert gx.function([x], gx.log(p * p * p))(np.full(4, 1e-200)) == pytest.approx(np.full(4, -600 * np.log(10)))
    assert gx.function([x], gx.log(2 * p))(np.full(4, 0.5 + 2.0**-50)) == pytest.approx(np.full(4, 2.0**-49), rel=1e-12)
    np.testing.assert_array_equal(gx.function([x], gx.grad(gx.sum(p**2), x))(np.arange(4.0)), 2 * np.arange(4.0))
    for bad in (
        lambda: gx.assume(x),
        lambda: gx.assume(x, "even"),
        lambda: gx.assume([1], positive=True),
        lambda: gx.assume(x, "positive_definite"),
    ):
        with pytest.raises(gx.GraphcError, match="assume: "):
            bad()

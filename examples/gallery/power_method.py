"""The power method: what powers of a matrix do to a signal and its gradient, and how they find the largest eigenvalue.

    python examples/gallery/power_method.py

x W^t grows and shrinks by the powers of the eigenvalues, and so does its gradient: why a recurrent net forgets or explodes (GBC 8.2.5).
Put to use: the main pattern in patches of a photograph, and the sharpest and the flattest direction of a net's cost, by products with its
Hessian alone, of which Lanczos needs far fewer than the power method (GBC14 6.5.3).
"""

from __future__ import annotations

import data
import numpy as np
import stage

import graphc as gx

krylov = gx.optim.krylov


def powers(t: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """The factors by which x W^t and its gradient by x have changed after t turns of a scan, along the eigenvectors 1.1 and 0.9."""
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(2, 2)))
    x, W = gx.vector("x", 2), gx.matrix("W", (2, 2))
    after = gx.scan(lambda h, _: (h @ W, None), x, None, t)[0]
    along = [gx.dot(after, q[:, k]) for k in (0, 1)]
    return gx.function([x, W], [gx.stack(along), gx.stack([gx.dot(gx.grad(a, x), q[:, k]) for k, a in enumerate(along)])])(
        q[:, 0] + q[:, 1], (q * [1.1, 0.9]) @ q.T
    )


def patches(side: int = 8) -> tuple[float, float, int]:
    """The largest eigenvalue of the covariance of a photograph's patches by the power method, by NumPy, and the products it took."""
    view = np.lib.stride_tricks.sliding_window_view(data.photograph("float64"), (side, side))[::3, ::3]
    rows = view.reshape(-1, side * side)
    rows = rows - rows.mean(0)
    x = gx.matrix("x", ("n", side * side))
    pair = krylov.power_iteration(lambda v: x.T @ (x @ v) / len(rows), np.ones(side * side), tol=1e-10)
    found = gx.function([x], pair)(rows)
    return float(found.value), float(np.linalg.eigvalsh(rows.T @ rows / len(rows))[-1]), int(found.iterations)


def curvature(hidden: int, turns: int) -> dict[str, float]:
    """Extreme eigenvalues and the trace of the Hessian of a net on digits at its first weights, by products alone and by the matrix."""
    images, labels, _, _ = data.digits("float64")
    rng = np.random.default_rng(1)
    start, unravel = gx.tree.ravel([stage.dense(rng, 64, hidden, "float64"), stage.dense(rng, hidden, 10, "float64")])
    w = gx.vector("w", len(start))
    first, last = unravel(w)
    cost = gx.nn.cross_entropy(gx.tanh(gx.asarray(images[:300]) @ first["W"] + first["b"]) @ last["W"] + last["b"], labels[:300])
    product = lambda v: gx.hvp(cost, w, v)
    lanczos = krylov.lanczos(product, rng.normal(size=len(start)), turns)
    power = krylov.power_iteration(product, rng.normal(size=len(start)), tol=1e-3, max_iterations=500)
    trace = krylov.hutchinson_trace(product, krylov.probes(gx.random.key(0), start, 30))
    tridiagonal, power, trace, H = gx.function([w], [lanczos.tridiagonal, power, trace, gx.hessian(cost, w)])(start)
    ritz, exact = np.linalg.eigvalsh(tridiagonal), np.linalg.eigvalsh(H)
    assert abs(trace.value - np.trace(H)) < 4 * trace.standard_error
    return {
        "largest": exact[-1], "smallest": exact[0], "Lanczos: error of the largest": abs(ritz[-1] - exact[-1]),
        "Lanczos: error of the smallest": abs(ritz[0] - exact[0]), "power method: error": abs(float(power.value) - exact[-1]),
        "power method: products": float(power.iterations), "trace": float(np.trace(H)), "Hutchinson: trace": float(trace.value),
    }  # fmt: skip


def main(short: bool = False) -> dict[str, float]:
    """Powers, patches, and the Hessian of a small net (of 610 weights in the whole run)."""
    values, slopes = powers()
    print(f"after 50 turns the eigenvalues 1.1 and 0.9 have made of a signal {values}, of a gradient {slopes}")
    np.testing.assert_allclose(values, [117.39085287969579, 0.00515377520732012], rtol=1e-9)
    np.testing.assert_allclose(slopes, values, rtol=1e-9)

    top, exact, products = patches()
    print(f"patches of the photograph: largest eigenvalue {top:.6f} after {products} products, NumPy {exact:.6f}")
    assert abs(top - exact) < 1e-9 * exact

    turns = 25 if short else 40
    found = curvature(2 if short else 8, turns)
    print(f"Hessian of a net: eigenvalues {found['smallest']:.4f} to {found['largest']:.4f}, trace {found['trace']:.3f}")
    print(
        f"  {turns} products by Lanczos: errors {found['Lanczos: error of the smallest']:.0e}, {found['Lanczos: error of the largest']:.0e}"
    )
    print(f"  {found['power method: products']:.0f} products by the power method: {found['power method: error']:.0e}")
    print(f"  30 random vectors: trace {found['Hutchinson: trace']:.3f}")
    assert found["smallest"] < 0, "not convex"
    assert found["Lanczos: error of the largest"] < 1e-6 < 1e-3 * found["largest"]
    return {"patches: products": products, **found}


if __name__ == "__main__":
    stage.run(main)

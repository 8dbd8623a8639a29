"""Second-order methods: whole minimisations as native loops, from steepest descent that zigzags to Newton's method that does not.

    python examples/gallery/second_order.py

On a quadratic, steepest descent with exact line searches turns at right angles for ever, while conjugate gradients end after as many
turns as there are variables. At a saddle point Newton's method is caught: dividing by the absolute eigenvalues of the Hessian leads out
of it. Then every method of `gx.optim.minimize` finds the same weights of a softmax regression on Fisher's flowers, and those that need no
Hessian train a net on the digits, beside as many gradients of Adam. Goodfellow, Bengio and Courville, sections 8.2.3 and 8.6.
"""

from __future__ import annotations

import time

import data
import numpy as np
import stage

import graphc as gx
from graphc.optim.minimize import METHODS

SAFE = ("l_bfgs", "newton", "trust_region")  # what the short run compares


def quadratic(k: int = 8, condition: float = 262.0) -> dict[str, float]:
    """What steepest descent and conjugate gradients leave of the gradient of x.A x / 2 - b.x after k exact line searches."""
    rng = np.random.default_rng(0)
    q, _ = np.linalg.qr(rng.normal(size=(k, k)))
    A, b = (q * np.geomspace(1, condition, k)) @ q.T, rng.normal(size=k)
    cost = lambda x: 0.5 * gx.dot(x, A @ x) - gx.dot(b, x)
    runs = [
        gx.optim.minimize(cost, gx.zeros(k), name, line_search="exact", max_iterations=k)
        for name in ("steepest_descent", "fletcher_reeves")
    ]
    return {
        name: float(np.linalg.norm(A @ r.x - b) / np.linalg.norm(b)) for name, r in zip(("steepest", "conjugate"), gx.function([], runs)())
    }


def saddle() -> tuple[np.ndarray, np.ndarray]:
    """Where Newton's method and its saddle-free form end from (0.1, 0.1), for the linear autoencoder (1 - a b)^2 / 2 with a saddle at 0."""
    p = gx.vector("p", 2)
    cost = lambda p: 0.5 * (1 - p[0] * p[1]) ** 2
    ends = [gx.optim.minimize(cost, p, name, line_search="full_step").x for name in ("newton", "saddle_free_newton")]
    newton, free = gx.function([p], ends)(np.full(2, 0.1))
    return newton, free


def compared(cost, start, names, **options) -> dict[str, gx.optim.Result]:
    """Each method's result on the cost; a line of the table for each. All of one minimisation is one native call."""
    print("  method                     cost   |gradient|   turns   gradients   Hessian products      time")
    found = {}
    for name in names:
        x0 = gx.vector("x0", len(start))
        f = gx.function([x0], gx.optim.minimize(cost, x0, name, **options))
        f(start)
        begin = time.perf_counter()
        r = found[name] = f(start)
        took = time.perf_counter() - begin
        print(f"  {name:20}{r.fun:11.7f}{r.grad_norm:13.1e}{r.iterations:8d}{r.evaluations:12d}{r.products:19d}{took * 1e3:10.2f} ms")
    return found


def flowers(names) -> dict[str, gx.optim.Result]:
    """Softmax regression on Fisher's 150 flowers with a small penalty: convex, so every method should find one minimum."""
    X, species = data.iris()
    X = np.c_[data.standardised(X), np.ones(len(X))]
    cost = lambda w: gx.nn.cross_entropy(gx.asarray(X) @ w.reshape((5, 3)), gx.asarray(species)) + 1e-3 * gx.dot(w, w)
    return compared(cost, np.zeros(15), names, max_iterations=2000)


def digits_net(turns: int = 200) -> dict[str, float]:
    """The cost of a net of 1210 weights on 1000 digits by methods that need no Hessian, and by Adam for as many gradients."""
    images, labels, _, _ = data.digits("float64")
    images, labels = images[:1000], labels[:1000]
    rng = np.random.default_rng(0)
    start, unravel = gx.tree.ravel([stage.dense(rng, 64, 16, "float64"), stage.dense(rng, 16, 10, "float64")])

    def cost(w):
        first, last = unravel(w)
        hidden = gx.tanh(gx.asarray(images) @ first["W"] + first["b"])
        return gx.nn.cross_entropy(hidden @ last["W"] + last["b"], gx.asarray(labels)) + 1e-4 * gx.dot(w, w)

    found = compared(cost, start, ("polak_ribiere", "l_bfgs", "newton_cg", "trust_region"), max_iterations=turns, tol=1e-5)
    gradients = int(found["l_bfgs"].evaluations)
    adam = stage.minimise(cost, start, gradients, 0.01)
    value = float(gx.function([], cost(gx.asarray(adam)))())
    print(f"  adam                {value:11.7f}             {gradients:8d}{gradients:12d}")
    return {name: float(r.fun) for name, r in found.items()} | {"adam": value}


def main(short: bool = False) -> dict[str, float]:
    """The quadratic, the saddle and the flowers; in the whole run all methods, and the digits."""
    left = quadratic()
    print(f"quadratic: after 8 turns steepest descent leaves {left['steepest']:.2f} of the gradient, CG {left['conjugate']:.0e}")
    assert left["conjugate"] < 1e-6 < 0.1 < left["steepest"]

    newton, free = saddle()
    print(f"from (0.1, 0.1), the saddle at (0, 0): Newton ends at {np.round(newton, 8)}, saddle-free at {np.round(free, 8)}")
    assert np.abs(newton).max() < 1e-7 and abs(free.prod() - 1) < 1e-7

    print("Fisher's flowers, softmax regression, 15 weights")
    found = flowers(SAFE if short else METHODS)
    best = min(float(r.fun) for r in found.values())
    for name, r in found.items():
        if name not in ("steepest_descent", "coordinate_descent"):
            assert r.success and r.fun - best < 1e-12, name
    assert found["newton"].iterations < 12 < found["l_bfgs"].iterations
    figures = {"CG: gradient left": left["conjugate"], "Newton: turns": float(found["newton"].iterations), "flowers: cost": best}

    if not short:
        print("digits, a net of 1210 weights")
        costs = digits_net()
        assert max(costs["l_bfgs"], costs["newton_cg"], costs["trust_region"]) < costs["adam"]
        figures |= {f"digits: {name}": value for name, value in costs.items()}
    return figures


if __name__ == "__main__":
    stage.run(main)

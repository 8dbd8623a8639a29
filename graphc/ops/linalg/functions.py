"""Functions of matrices: the exponential, the square root of a symmetric matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir import Node, make
from graphc.ops.create import zeros
from graphc.ops.host import host_op
from graphc.ops.joining import concatenate
from graphc.ops.linalg.common import Parts, counts, float_square, guarded, product, symmetric, transposed
from graphc.ops.outputs import outputs
from graphc.traits import Traits
from graphc.types import TensorType

# -- the exponential ---------------------------------------------------------------------------------------------------------
# the 1-norm up to which the approximation of degree (m, m) is good to 2**-53, and its coefficients (Higham 2005)
_REACH = {3: 1.495585217958292e-2, 5: 2.539398330063230e-1, 7: 9.504178996162932e-1, 9: 2.097847961257068, 13: 5.371920351148152}


def pade(degree: int) -> list[float]:
    """The coefficients of the numerator p of exp(x) = p(x) / p(-x): (2m-j)! m! / ((2m)! j! (m-j)!)."""
    found = [1.0]
    for j in range(degree):
        found.append(found[-1] * (degree - j) / ((2 * degree - j) * (j + 1)))
    return found


def _exp_of(a: np.ndarray, degree: int, halvings: int) -> np.ndarray:
    """exp(a) = (p(a 2**-s) / p(-a 2**-s)) ** 2**s, for matrices of alike norms."""
    x = a * 2.0**-halvings
    square, unit, c = x @ x, np.eye(a.shape[-1]), pade(degree)
    power, even, odd = unit, c[0] * unit, c[1] * unit
    for j in range(2, degree + 1, 2):
        power = power @ square
        even = even + c[j] * power
        odd = odd + c[j + 1] * power
    odd = x @ odd
    result = np.linalg.solve(even - odd, even + odd)
    for _ in range(halvings):
        result = result @ result
    return result


def _exp_ref(a: np.ndarray) -> np.ndarray:
    n = a.shape[-1]
    if not a.size:
        return np.array(a)
    flat = a.reshape(-1, n, n).astype(np.float64)
    norms = np.abs(flat).sum(1).max(1)
    result = np.full_like(flat, np.nan)
    good = np.isfinite(norms)
    halvings = np.maximum(np.ceil(np.log2(np.where(good & (norms > 0), norms, 1.0) / _REACH[13])), 0).astype(int)
    degrees = np.array([next((m for m, reach in _REACH.items() if norm <= reach), 13) for norm in norms])
    for degree, s in {(int(m), int(s)) for m, s, ok in zip(degrees, halvings, good) if ok}:
        among = good & (degrees == degree) & (halvings == s)
        result[among] = _exp_of(flat[among], degree, s)
    return result.reshape(a.shape).astype(a.dtype)


def _exp_type(a: TensorType) -> TensorType:
    float_square("expm", a)
    return a


def _exp_vjp(g: Node, out: Node, a: Node) -> tuple[Node]:
    """The derivative of exp at a' towards g: the corner of exp([[a', g], [0, a']])."""
    return (_towards(transposed(a), g),)


def _exp_jvp(out: Node, inputs: Any, tangents: Any) -> Node | None:
    return None if tangents[0] is None else _towards(inputs[0], tangents[0])


def _towards(a: Node, e: Node) -> Node:
    n = a.shape[-1]
    above = concatenate([a, e], axis=-1)
    below = concatenate([zeros(a.shape, a.dtype), a], axis=-1)
    return exponential(concatenate([above, below], axis=-2))[..., :n, n:]


EXPM = host_op("expm", 1, "The exponential of a square matrix.", type_rule=_exp_type, ref=_exp_ref, vjp=_exp_vjp, jvp=_exp_jvp)


def exponential(a: Node) -> Node:
    """The primitive."""
    return make(EXPM, (a,))


# -- the square root of a symmetric matrix -------------------------------------------------------------------------------------
def _root_type(a: TensorType, on_error: str) -> tuple[TensorType, ...]:
    float_square("sqrtm", a)
    return a, counts(a)


def _root(a: np.ndarray) -> np.ndarray:
    w, v = np.linalg.eigh(a)
    tiny = a.shape[-1] * np.finfo(a.dtype).eps * np.abs(w).max(-1, initial=0, keepdims=True)
    root = np.sqrt(np.where(np.abs(w) <= tiny, np.maximum(w, 0), w))
    return np.asarray((v * root[..., None, :]) @ v.swapaxes(-1, -2))


def _root_ref(a: np.ndarray, on_error: str) -> Any:
    n = a.shape[-1]
    root, failed = guarded(_root, [(a + a.swapaxes(-1, -2)) / 2], [(n, n)])
    failed[np.isnan(root).any((-1, -2)) & ~np.isnan(a).any((-1, -2))] = 1
    return root, failed


def _root_vjp(g: Parts, out: Any, a: Node, on_error: str) -> list[Node | None]:
    """x with root x + x root = g."""
    return [None] if g[0] is None else [lyapunov(out[0], symmetric(g[0]))]


SQRTM = host_op(
    "sqrtm", 1, "The symmetric root of a symmetric matrix without negative eigenvalues, and 1 where there is none.", params=("on_error",),
    type_rule=_root_type, ref=_root_ref, vjp=_root_vjp,
    traits=Traits(refusal=lambda node: (1, "has a negative eigenvalue") if node.attrs["on_error"] == "raise" else None),
)  # fmt: skip


def root(a: Node, on_error: str = "raise") -> Node:
    """The primitive."""
    return outputs(make(SQRTM, (a,), (on_error,)))[0]


def _lyapunov_type(s: TensorType, g: TensorType) -> TensorType:
    float_square("lyapunov", s, g)
    return g


def _lyapunov_ref(s: np.ndarray, g: np.ndarray) -> np.ndarray:
    n = s.shape[-1]
    w, v, _ = guarded(lambda x: tuple(np.linalg.eigh(x)), [(s + s.swapaxes(-1, -2)) / 2], [(n,), (n, n)])
    vt = v.swapaxes(-1, -2)
    return np.asarray(v @ ((vt @ g @ v) / (w[..., :, None] + w[..., None, :])) @ vt, s.dtype)


def _lyapunov_vjp(g: Node, out: Node, s: Node, c: Node) -> list[Node]:
    """gc = x with s x + x s = g, gs = -(gc y' + y'gc), taken for symmetric s."""
    back = lyapunov(s, g)
    return [-symmetric(product(back, transposed(out)) + product(transposed(out), back)), back]


LYAPUNOV = host_op(
    "lyapunov", 2, "x with s x + x s = c for a symmetric s.",
    type_rule=_lyapunov_type, ref=_lyapunov_ref, vjp=_lyapunov_vjp, linear_in=(1,),
)  # fmt: skip


def lyapunov(s: Node, c: Node) -> Node:
    """The primitive."""
    return make(LYAPUNOV, (s, c))

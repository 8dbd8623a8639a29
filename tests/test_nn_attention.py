"""`gx.nn` attention against NumPy: masks, blocks of keys, heads, derivatives of two orders; what is kept for the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, NotDifferentiableError, ShapeError
from tests.derivatives import check_derivatives

RNG = np.random.default_rng(11)
nn = gx.nn


def by_hand(q: Any, k: Any, v: Any, sees: Any = True, causal: bool = False, scale: float | None = None) -> np.ndarray:
    """Softmax of what may be seen, 0 where nothing may."""
    s = q @ np.swapaxes(k, -1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    sees = np.broadcast_to(sees, s.shape)
    sees = sees & (np.arange(s.shape[-2])[:, None] >= np.arange(s.shape[-1])) if causal else sees
    s = np.where(sees, s, -1e300)
    e = np.where(sees, np.exp(s - s.max(-1, keepdims=True)), 0)
    total = e.sum(-1, keepdims=True)
    return (e / np.where(total == 0, 1, total)) @ v


Q, K, V = RNG.normal(size=(2, 3, 5, 4)), RNG.normal(size=(2, 3, 7, 4)), RNG.normal(size=(2, 3, 7, 6))
MASK = RNG.random((2, 1, 5, 7)) < 0.6
MASK[0, 0, 2], MASK[1, 0, 4, 1:] = False, False


@pytest.mark.parametrize("block", [None, 3])
def test_masks_and_blocks(block: int | None) -> None:
    """One function for all: sizes known at the call, no mask, one that hides all keys of a query, causal; gradients by the plain form."""
    q, k, v, m = (
        gx.tensor("q", (2, 3, "s", 4)),
        gx.tensor("k", (2, 3, "t", 4)),
        gx.tensor("v", (2, 3, "t", 6)),
        gx.tensor("m", (2, 1, "s", "t"), "bool"),
    )
    G = RNG.normal(size=(2, 3, 5, 6))
    g = gx.tensor("g", (2, 3, "s", 6))
    cases = [(None, False, None), (None, True, 0.3), (m, False, None), (m, True, None)]
    rows = []
    for mask, causal, scale in cases:
        out = nn.attention(q, k, v, mask, causal, scale, block=block)
        rows.append([out, *gx.grad(gx.sum(out * g), [q, k, v])])
    for s, t in ((5, 7), (1, 1)):
        at = (Q[..., :s, :], K[..., :t, :], V[..., :t, :], MASK[..., :s, :t], G[..., :s, :])
        found = gx.function([q, k, v, m, g], rows)(*at)
        for (mask, causal, scale), got in zip(cases, found, strict=True):
            np.testing.assert_allclose(got[0], by_hand(*at[:3], True if mask is None else at[3], causal, scale), rtol=1e-12, atol=1e-14)
            if block is not None and s > 1:
                plain = nn.attention(q, k, v, mask, causal, scale)
                want = gx.function([q, k, v, m, g], gx.grad(gx.sum(plain * g), [q, k, v]), mode="interpret")(*at)
                for a, b in zip(got[1:], want, strict=True):
                    np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


def test_derivatives() -> None:
    """Two orders, both modes; of blocks reverse mode, whose second order is that of the plain form."""
    at, sees = (Q[0, 0, :2], K[0, 0, :3], V[0, 0, :3, :2]), MASK[1, 0, :2, :3]
    check_derivatives(lambda q, k, v: nn.attention(q, k, v, sees), *at, orders=2, tolerance=1e-5)
    check_derivatives(lambda q, k, v: nn.attention(q, k, v, causal=True), *at, orders=1)
    xs = [gx.tensor(name, a.shape) for name, a in zip("qkv", at)]
    rows = []
    for block in (None, 2):
        first = gx.grad(gx.sum(nn.attention(*xs, sees, block=block) ** 3), xs)
        rows.append([*first, *gx.grad(gx.sum(gx.concatenate([gx.ravel(gx.sin(g)) for g in first])), xs)])
    plain, blocks = gx.function(xs, rows)(*at)
    for a, b in zip(plain, blocks, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)
    with pytest.raises(NotDifferentiableError):
        gx.jvp(nn.attention(*xs, block=2), xs[0], np.ones((2, 4)))


def test_broadcasting_and_huge_scores() -> None:
    """One set of keys for all heads; scores of 1e4 in float32; a query that no key answers passes no derivative on."""
    one = nn.attention(Q, K[:1, :1], V[:1, :1], block=4).eval()
    np.testing.assert_allclose(one, by_hand(Q, K[:1, :1], V[:1, :1]), rtol=1e-12)
    q, k = (np.array(a, "float32") * 100 for a in (Q, K))
    x = gx.tensor("x", q.shape, "float32")
    for block in (None, 10):
        out = nn.attention(x, k, V.astype("float32"), MASK, block=block)
        got, slope = gx.function([x], [out, gx.grad(gx.sum(out), x)])(q)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, by_hand(q.astype(float), k.astype(float), V, MASK), rtol=1e-3, atol=1e-4)
        assert np.isfinite(slope).all()
        np.testing.assert_array_equal(slope[0, :, 2], 0)
        np.testing.assert_array_equal(got[0, :, 2], 0)


def test_what_the_gradient_keeps() -> None:
    """Loss and gradients: three arrays of scores in one piece live at once, with a gap beside them; of blocks, about one."""
    size, width = 256, 16
    q, k, v = (gx.tensor(n, (4, size, width), "float32") for n in "qkv")
    one = 4 * 4 * size * size
    arena = {}
    for block in (None, 32):
        loss = gx.sum(nn.attention(q, k, v, causal=True, block=block) ** 2)
        arena[block] = gx.function([q, k, v], [loss, *gx.grad(loss, [q, k, v])], threads=1).memory()["arena"]
    assert arena[None] <= 4.2 * one
    assert arena[32] <= 1.2 * one


def test_heads() -> None:
    """Against the same by hand: keys of another width, padding, causal; widths that do not divide; dicts that are not there."""
    p = nn.init.attention(0, 6, 3, memory_width=5)
    X, M, lengths = RNG.normal(size=(2, 4, 6)), RNG.normal(size=(2, 7, 5)), np.array([7, 3])
    r, x, m, n = gx.like(p), gx.tensor("x", (2, "s", 6)), gx.tensor("m", (2, "t", 5)), gx.tensor("n", (2,), "int64")
    out = nn.multi_head_attention(r, x, m, heads=3, mask=nn.padding_mask(n, m.shape[1]))
    again = nn.multi_head_attention(r, x, m, heads=3, mask=nn.padding_mask(n, m.shape[1]), block=2)
    got, same = gx.function([r, x, m, n], [out, again])(p, X, M, lengths)
    part = lambda name, a: (a @ p[name]["weight"] + p[name]["bias"]).reshape(*a.shape[:-1], 3, 2).swapaxes(1, 2)
    heads = by_hand(part("query", X), part("key", M), part("value", M), (np.arange(7) < lengths[:, None])[:, None, None])
    want = heads.swapaxes(1, 2).reshape(2, 4, 6) @ p["out"]["weight"] + p["out"]["bias"]
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(same, want, rtol=1e-12, atol=1e-14)
    own = nn.init.attention(1, 6, 2, bias=False)
    causal = nn.multi_head_attention(own, gx.asarray(X), heads=2, causal=True).eval()
    np.testing.assert_allclose(causal[:, :2], nn.multi_head_attention(own, X[:, :2], heads=2, causal=True).eval(), rtol=1e-12)
    with pytest.raises(ShapeError, match="4 heads divide"):
        nn.multi_head_attention(own, X, heads=4)
    with pytest.raises(ArgumentError, match=r"attention: the parameters have no dict 'key'; they have 'query'; hint: gx.nn.init.attention"):
        nn.multi_head_attention({"query": own["query"]}, X, heads=2)
    with pytest.raises(ArgumentError, match="dense: the parameters have no 'weight'"):
        nn.multi_head_attention({**own, "key": {}}, X, heads=2)


def test_refused() -> None:
    with pytest.raises(ShapeError, match="features of queries and keys differ: 4 and 6"):
        nn.attention(Q, V, V)
    with pytest.raises(ShapeError, match="7 keys, but 5 values"):
        nn.attention(Q, K, Q)
    with pytest.raises(ShapeError, match=r"the mask should broadcast to \(2, 3, 5, 7\)"):
        nn.attention(Q, K, V, np.ones((5, 6), bool))
    with pytest.raises(DTypeError, match="a mask is of bools"):
        nn.attention(Q, K, V, np.zeros((5, 7)))
    with pytest.raises(ArgumentError, match="block is a positive number"):
        nn.attention(Q, K, V, block=0)
    with pytest.raises(ShapeError, match=r"queries have the axes \(.., positions, features\)"):
        nn.attention(Q[0, 0, 0], K, V)
    with pytest.raises(DTypeError, match="lengths are integers"):
        nn.padding_mask(np.ones(3), 4)
